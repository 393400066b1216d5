//! Every endpoint. A handler says in its `utoipa::path` where it is served and what it takes and
//! answers, and stands here once; so nothing is served that is not described.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Api;
use crate::openapi::preamble;
use crate::{
    batch, health, integrity, job, jobs_list, metrics, openapi, page, parked, pauses, trade, trade_actions,
    transactions, user, webhook,
};

/// The endpoints with their description. To add one, annotate its handler and add a line.
pub(crate) fn endpoints() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(preamble())
        .routes(routes!(user::post_user))
        .routes(routes!(user::get_balances))
        .routes(routes!(transactions::get_transactions))
        .routes(routes!(trade::post_trade))
        .routes(routes!(trade::get_trade))
        .routes(routes!(trade_actions::post_mark_paid))
        .routes(routes!(trade_actions::post_undo))
        .routes(routes!(trade_actions::post_extend))
        .routes(routes!(trade_actions::post_cancel))
        .routes(routes!(trade_actions::post_release))
        .routes(routes!(trade_actions::post_refund))
        .routes(routes!(batch::post_batch))
        .routes(routes!(job::get_job))
        .routes(routes!(jobs_list::get_jobs))
        .routes(routes!(parked::post_retry))
        .routes(routes!(parked::post_cancel))
        .routes(routes!(pauses::post_pause))
        .routes(routes!(pauses::get_pauses))
        .routes(routes!(integrity::post_integrity))
        .routes(routes!(integrity::get_integrity))
        .routes(routes!(webhook::post_nowpayments))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::get_metrics))
        .routes(routes!(openapi::get_openapi))
        .routes(routes!(page::get_docs))
}
