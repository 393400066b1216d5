//! What a path names.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use jobs::{JobRef, Kind, LockEscrow, TradeId, UserId, UserRegister, WithdrawalId, WithdrawalRequest};

use crate::http::problem::Problem;

/// Something that a path can name. Its id is the id of the job that brought it into being.
pub(crate) trait Thing: FromStr + Send {
    /// The kind of that job; none where any will do.
    const OPENED_BY: Option<&'static str>;
    const UNKNOWN: &'static str;
    const UNKNOWN_DETAIL: &'static str;

    fn job_id(&self) -> i64;

    /// 404.
    fn unknown() -> Problem {
        Problem::not_found(Self::UNKNOWN, Self::UNKNOWN_DETAIL)
    }
}

impl Thing for JobRef {
    const OPENED_BY: Option<&'static str> = None;
    const UNKNOWN: &'static str = "job_unknown";
    const UNKNOWN_DETAIL: &'static str = "No such job";

    fn job_id(&self) -> i64 {
        self.0
    }
}

impl Thing for TradeId {
    const OPENED_BY: Option<&'static str> = Some(LockEscrow::NAME);
    const UNKNOWN: &'static str = "trade_unknown";
    const UNKNOWN_DETAIL: &'static str = "No such trade";

    fn job_id(&self) -> i64 {
        self.0
    }
}

impl Thing for WithdrawalId {
    const OPENED_BY: Option<&'static str> = Some(WithdrawalRequest::NAME);
    const UNKNOWN: &'static str = "withdrawal_unknown";
    const UNKNOWN_DETAIL: &'static str = "No such withdrawal";

    fn job_id(&self) -> i64 {
        self.0
    }
}

impl Thing for UserId {
    const OPENED_BY: Option<&'static str> = Some(UserRegister::NAME);
    const UNKNOWN: &'static str = "user_unknown";
    const UNKNOWN_DETAIL: &'static str = "No such user is registered; a registration counts once it has settled";

    fn job_id(&self) -> i64 {
        self.0
    }
}

/// The thing that the path names by its `{id}`; 404 for what is not spelled as an id, which names
/// nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InPath<T>(pub(crate) T);

impl<T: Thing, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| T::unknown())?;
        text.parse().map(Self).map_err(|_| T::unknown())
    }
}
