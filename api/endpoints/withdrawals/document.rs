//! A withdrawal as clients see it.

use chrono::{DateTime, Utc};
use jobs::{Assets, WithdrawalId, WithdrawalRequest};
use serde::Serialize;
use utoipa::ToSchema;

use crate::documents::amounts::{asset_of, minor, one_spelling};
use crate::documents::texts::{AmountText, AssetCode, CodeText, Id, PathText};
use crate::documents::time::Time;

/// A withdrawal as a client sees it. Amounts are decimal text in the asset's scale.
///
/// It is there from the moment its request is recorded: `requesting` until that has settled, then
/// the withdrawal's own state, or `rejected` or `cancelled` with the `reason` if it never came to be.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Withdrawal)]
pub(crate) struct WithdrawalDocument {
    #[schema(value_type = Id)]
    id: String,
    #[schema(value_type = CodeText)]
    state: String,
    #[schema(value_type = Id)]
    user_id: String,
    /// The principal that asked for it.
    #[schema(value_type = Id)]
    requested_by: String,
    #[schema(value_type = AssetCode)]
    asset: String,
    /// What is to arrive; the fee comes on top.
    #[schema(value_type = AmountText)]
    amount: String,
    address: String,
    memo: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = CodeText)]
    reason: Option<String>,
    #[serde(flatten)]
    #[schema(value_type = Terms)]
    terms: Option<Terms>,
    links: Links,
}

/// What is known of a withdrawal once its money is held.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WithdrawalTerms)]
struct Terms {
    /// `crypto` or `bank`.
    #[schema(required = false)]
    rail: String,
    #[schema(required = false)]
    network: String,
    /// What the exchange charges on top of the amount.
    #[schema(required = false, value_type = AmountText)]
    fee: String,
    /// The most that sending it may cost the exchange.
    #[schema(required = false, value_type = AmountText)]
    network_fee_max: String,
    /// What an approval names: it changes with anything that an approver should have seen.
    #[schema(required = false, pattern = "^[0-9a-f]{64}$")]
    content_hash: String,
    #[schema(required = false, minimum = 1)]
    approvals_needed: i16,
    /// In the order in which they were given.
    #[schema(required = false)]
    approvals: Vec<Approval>,
    #[schema(required = false)]
    requested_at: Time,
    approved_at: Option<Time>,
    /// When the first of the approvals that it rests on expires.
    approved_until: Option<Time>,
    closed_at: Option<Time>,
    /// What the operator who refused it said.
    close_reason: Option<String>,
}

/// Somebody approved it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WithdrawalApproval)]
struct Approval {
    /// The principal that approved.
    #[schema(value_type = Id)]
    approver: String,
    at: Time,
    valid_until: Time,
    /// Whether it still counted when this was read.
    valid: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WithdrawalLinks)]
struct Links {
    #[serde(rename = "self")]
    #[schema(value_type = PathText)]
    withdrawal: String,
    /// The job that asked for it.
    #[schema(value_type = PathText)]
    request: String,
    /// Every job about it.
    #[schema(value_type = PathText)]
    history: String,
    #[schema(value_type = PathText)]
    user: String,
}

impl Links {
    fn of(id: i64, user: i64) -> Self {
        Self {
            withdrawal: format!("/v1/withdrawals/{id}"),
            request: format!("/v1/jobs/{id}"),
            history: format!("/v1/withdrawals/{id}/history"),
            user: format!("/v1/users/{user}"),
        }
    }
}

/// A withdrawal as it is stored, with its approvals.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) user_id: i64,
    pub(crate) requested_by: i64,
    pub(crate) asset: i16,
    pub(crate) rail: String,
    pub(crate) network: String,
    pub(crate) address: String,
    pub(crate) memo: Option<String>,
    pub(crate) amount: String,
    pub(crate) fee: String,
    pub(crate) network_fee_max: String,
    pub(crate) content_hash: Vec<u8>,
    pub(crate) state: String,
    pub(crate) approvals_needed: i16,
    pub(crate) requested_at: DateTime<Utc>,
    pub(crate) approved_at: Option<DateTime<Utc>>,
    pub(crate) approved_until: Option<DateTime<Utc>>,
    pub(crate) closed_at: Option<DateTime<Utc>>,
    pub(crate) close_reason: Option<String>,
    pub(crate) approvers: Vec<i64>,
    pub(crate) approvals_at: Vec<DateTime<Utc>>,
    pub(crate) valid_until: Vec<DateTime<Utc>>,
    pub(crate) valid: Vec<bool>,
}

impl Row {
    pub(crate) fn document(self, assets: &Assets) -> Result<WithdrawalDocument, sqlx::Error> {
        let asset = asset_of(assets, self.asset)?;
        let decimal = |text: &str| minor(text).map(|minor| asset.format_signed(minor));
        let times = self.approvals_at.into_iter().zip(self.valid_until).zip(self.valid);
        let approvals = self.approvers.into_iter().zip(times).map(|(approver, ((at, valid_until), valid))| Approval {
            approver: approver.to_string(),
            at: at.into(),
            valid_until: valid_until.into(),
            valid,
        });
        Ok(WithdrawalDocument {
            id: self.id.to_string(),
            state: self.state,
            user_id: self.user_id.to_string(),
            requested_by: self.requested_by.to_string(),
            asset: asset.code.clone(),
            amount: decimal(&self.amount)?,
            address: self.address,
            memo: self.memo,
            reason: None,
            terms: Some(Terms {
                rail: self.rail,
                network: self.network,
                fee: decimal(&self.fee)?,
                network_fee_max: decimal(&self.network_fee_max)?,
                content_hash: hex::encode(self.content_hash),
                approvals_needed: self.approvals_needed,
                approvals: approvals.collect(),
                requested_at: self.requested_at.into(),
                approved_at: self.approved_at.map(Time::from),
                approved_until: self.approved_until.map(Time::from),
                closed_at: self.closed_at.map(Time::from),
                close_reason: self.close_reason,
            }),
            links: Links::of(self.id, self.user_id),
        })
    }
}

impl WithdrawalDocument {
    /// A withdrawal that was asked for by a principal and has not settled, or was refused.
    pub(crate) fn asked(
        id: WithdrawalId,
        (request, requested_by): (WithdrawalRequest, i64),
        status: Option<&str>,
        reason: Option<String>,
        assets: &Assets,
    ) -> Self {
        let state = match status {
            // Settled between the two looks: the next one finds the withdrawal.
            None | Some("settled") => "requesting".to_owned(),
            Some(status) => status.to_owned(),
        };
        Self {
            id: id.to_string(),
            state,
            user_id: request.user_id.to_string(),
            requested_by: requested_by.to_string(),
            amount: one_spelling(assets, &request.asset, request.amount),
            asset: request.asset,
            address: request.address,
            memo: request.memo,
            reason,
            terms: None,
            links: Links::of(id.0, request.user_id.0),
        }
    }
}
