//! Every endpoint. A handler says in its `utoipa::path` where it is served and what it takes and
//! answers, and stands here once; so nothing is served that is not described.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Api;
use crate::documents::job;
use crate::endpoints::history;
use crate::endpoints::jobs::commands::{batch, parked};
use crate::endpoints::jobs::queries as jobs_list;
use crate::endpoints::operations::queries::{fees, integrity, pauses, retentions};
use crate::endpoints::server::health;
use crate::endpoints::trades::commands as trade;
use crate::endpoints::trades::queries as trades;
use crate::endpoints::users::queries::{balances as user, export, referrals, transactions, user as person};
use crate::endpoints::webhooks::nowpayments as webhook;
use crate::endpoints::withdrawals::commands as withdrawal_asks;
use crate::endpoints::withdrawals::queries as withdrawals;
use crate::openapi::document as openapi;
use crate::openapi::document::preamble;
use crate::openapi::page;
use crate::telemetry::metrics;

/// The endpoints with their description. To add one, annotate its handler and add a line.
pub(crate) fn endpoints() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(preamble())
        .routes(routes!(user::post_user))
        .routes(routes!(person::get_user))
        .routes(routes!(user::get_balances))
        .routes(routes!(person::get_user_flags))
        .routes(routes!(person::post_user_flag))
        .routes(routes!(referrals::get_referrals))
        .routes(routes!(referrals::get_commissions))
        .routes(routes!(transactions::get_transactions))
        .routes(routes!(export::get_transactions_csv))
        .routes(routes!(trade::post_trade))
        .routes(routes!(trades::get_trades))
        .routes(routes!(trades::get_trade))
        .routes(routes!(history::get_trade_history))
        .routes(routes!(trade::post_mark_paid))
        .routes(routes!(trade::post_undo))
        .routes(routes!(trade::post_extend))
        .routes(routes!(trade::post_cancel))
        .routes(routes!(trade::post_release))
        .routes(routes!(trade::post_refund))
        .routes(routes!(withdrawal_asks::post_withdrawal))
        .routes(routes!(withdrawals::get_withdrawals))
        .routes(routes!(withdrawals::get_withdrawal))
        .routes(routes!(history::get_withdrawal_history))
        .routes(routes!(withdrawal_asks::post_withdrawal_approve))
        .routes(routes!(withdrawal_asks::post_withdrawal_reject))
        .routes(routes!(withdrawal_asks::post_withdrawal_cancel))
        .routes(routes!(fees::get_fees))
        .routes(routes!(batch::post_batch))
        .routes(routes!(job::get_job))
        .routes(routes!(jobs_list::get_jobs))
        .routes(routes!(parked::post_job_retry))
        .routes(routes!(parked::post_job_cancel))
        .routes(routes!(pauses::post_pause))
        .routes(routes!(pauses::get_pauses))
        .routes(routes!(integrity::post_integrity))
        .routes(routes!(integrity::get_integrity))
        .routes(routes!(retentions::get_retentions))
        .routes(routes!(webhook::post_nowpayments))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::get_metrics))
        .routes(routes!(openapi::get_openapi))
        .routes(routes!(page::get_docs))
}
