use chrono::{DateTime, NaiveDate, Utc};
use ledger::{Amount, AssetId, HoldId};
use sha2::{Digest, Sha256};

use crate::ids::{PrincipalId, UserId, WithdrawalId};
use crate::job::Rejection;
use crate::machines::withdrawal::WithdrawalState;
use crate::reason::Reason;

/// A withdrawal as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// Whose money it is, and who receives it.
    pub user: UserId,
    /// Who asked for it.
    pub requested_by: PrincipalId,
    /// What is withdrawn.
    pub asset: AssetId,
    /// Where it goes, and how.
    pub to: Destination,
    /// What is to arrive; minor units.
    pub amount: Amount,
    /// What we charge on top; minor units.
    pub fee: Amount,
    /// The most that the provider may charge us; minor units.
    pub network_fee_max: Amount,
    /// The hold of amount and fee.
    pub hold: HoldId,
    /// What an approval is bound to.
    pub content_hash: [u8; 32],
    /// Where it stands.
    pub state: WithdrawalState,
    /// How many principals have to approve.
    pub approvals_needed: u8,
    /// The day that it counts for.
    pub day: NaiveDate,
    /// When the request settled.
    pub requested_at: DateTime<Utc>,
    /// When it was approved, and when the first of its approvals expires.
    pub approved: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// When its money was given back.
    pub closed_at: Option<DateTime<Utc>>,
    /// Why.
    pub close_reason: Option<String>,
    /// The approvals that it has, expired ones included.
    pub approvals: Vec<Approval>,
}

/// Where a withdrawal goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// `crypto` or `bank`.
    pub rail: String,
    /// The chain.
    pub network: String,
    /// The address on it; for a bank, the exchange's reference to the person's account.
    pub address: String,
    /// Tag or memo where the network wants one.
    pub memo: Option<String>,
}

/// Somebody approved a withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Which.
    pub withdrawal: WithdrawalId,
    /// Who.
    pub approver: PrincipalId,
    /// It counts until then.
    pub valid_until: DateTime<Utc>,
}

/// A day of a person's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DayKey {
    /// Whose.
    pub user: UserId,
    /// Of what.
    pub asset: AssetId,
    /// The day, in UTC.
    pub day: NaiveDate,
}

/// What is used of it; minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// How often it was changed when it was read; 0 if it has no row.
    pub version: i64,
    /// What was asked for and not refused since.
    pub used: Amount,
    /// The limit that the last request accepted was held against.
    pub max: Amount,
}

/// Everything that an approval binds.
pub(crate) struct Content<'a> {
    pub(crate) id: WithdrawalId,
    pub(crate) user: UserId,
    pub(crate) asset: &'a str,
    pub(crate) to: &'a Destination,
    pub(crate) amount: Amount,
    pub(crate) fee: Amount,
    pub(crate) network_fee_max: Amount,
}

impl Content<'_> {
    /// Its hash. Every part is length-delimited, so that no two contents hash alike, and a missing
    /// memo differs from an empty one.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let Destination { rail, network, address, memo } = self.to;
        let parts = [
            self.id.to_string(),
            self.user.to_string(),
            rail.clone(),
            self.asset.to_owned(),
            network.clone(),
            address.clone(),
            memo.as_ref().map_or_else(|| "-".to_owned(), |memo| format!("={memo}")),
            self.amount.to_string(),
            self.fee.to_string(),
            self.network_fee_max.to_string(),
        ];
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().into()
    }
}

impl Withdrawal {
    /// The day of the limit that it uses.
    pub const fn day_key(&self) -> DayKey {
        DayKey { user: self.user, asset: self.asset, day: self.day }
    }

    /// A refusal that tells the state it found.
    pub const fn refusal(&self, reason: Reason) -> Rejection {
        Rejection { reason, found: Some(self.state.as_str()) }
    }
}
