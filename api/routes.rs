//! Every endpoint. A handler says in its `utoipa::path` where it is served and what it takes and
//! answers, and stands here once; so nothing is served that is not described.

use std::sync::LazyLock;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::endpoints::{jobs, operations, server, trades, users, webhooks, withdrawals};
use crate::openapi::description::Description;
use crate::openapi::document::preamble;
use crate::state::Api;

/// The one description of all of them.
pub(crate) static DESCRIPTION: LazyLock<Result<Description, String>> =
    LazyLock::new(|| Description::of(endpoints().into_openapi()));

/// The description of the API: an `OpenAPI` 3.1 document as JSON text.
///
/// # Errors
/// It cannot be written down.
pub fn openapi() -> Result<&'static str, &'static String> {
    DESCRIPTION.as_ref().map(|description| description.text.as_str())
}

/// The endpoints with their description. To add one, annotate its handler and add a line.
pub(crate) fn endpoints() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(preamble())
        .routes(routes!(users::commands::post_user))
        .routes(routes!(users::queries::user::get_user))
        .routes(routes!(users::queries::balances::get_balances))
        .routes(routes!(users::queries::flags::get_user_flags))
        .routes(routes!(users::commands::post_user_flag))
        .routes(routes!(users::queries::referrals::get_referrals))
        .routes(routes!(users::queries::commissions::get_commissions))
        .routes(routes!(users::queries::transactions::get_transactions))
        .routes(routes!(users::queries::export::get_transactions_csv))
        .routes(routes!(trades::commands::post_trade))
        .routes(routes!(trades::queries::get_trades))
        .routes(routes!(trades::queries::get_trade))
        .routes(routes!(trades::queries::get_trade_history))
        .routes(routes!(trades::commands::post_mark_paid))
        .routes(routes!(trades::commands::post_undo))
        .routes(routes!(trades::commands::post_extend))
        .routes(routes!(trades::commands::post_cancel))
        .routes(routes!(trades::commands::post_release))
        .routes(routes!(trades::commands::post_refund))
        .routes(routes!(withdrawals::commands::post_withdrawal))
        .routes(routes!(withdrawals::queries::get_withdrawals))
        .routes(routes!(withdrawals::queries::get_withdrawal))
        .routes(routes!(withdrawals::queries::get_withdrawal_history))
        .routes(routes!(withdrawals::commands::post_withdrawal_approve))
        .routes(routes!(withdrawals::commands::post_withdrawal_reject))
        .routes(routes!(withdrawals::commands::post_withdrawal_cancel))
        .routes(routes!(operations::queries::fees::get_fees))
        .routes(routes!(jobs::commands::batch::post_batch))
        .routes(routes!(jobs::queries::get_job))
        .routes(routes!(jobs::queries::get_jobs))
        .routes(routes!(jobs::commands::parked::post_job_retry))
        .routes(routes!(jobs::commands::parked::post_job_cancel))
        .routes(routes!(operations::commands::post_pause))
        .routes(routes!(operations::queries::pauses::get_pauses))
        .routes(routes!(operations::commands::post_integrity))
        .routes(routes!(operations::queries::integrity::get_integrity))
        .routes(routes!(operations::queries::retentions::get_retentions))
        .routes(routes!(webhooks::nowpayments::post_nowpayments))
        .routes(routes!(server::root::get_root))
        .routes(routes!(server::health::livez))
        .routes(routes!(server::health::readyz))
        .routes(routes!(server::metrics::get_metrics))
        .routes(routes!(server::description::get_openapi))
        .routes(routes!(server::description::get_docs))
}
