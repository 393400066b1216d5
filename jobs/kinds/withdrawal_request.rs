use ledger::{Amount, AssetId, HoldSubject};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::desk::{Desk, Want};
use crate::ids::{UserId, WithdrawalId};
use crate::job::{Job, Verdict};
use crate::kind::{Decide, Invalid, Kind};
use crate::kind_info::{Lane, Origin};
use crate::machines::withdrawal::WithdrawalState;
use crate::policy::receivable;
use crate::reason::Reason;
use crate::rows::pause::RAILS;
use crate::rows::withdrawal::{Content, Day, DayKey, Destination, Withdrawal};
use crate::subject::{About, SubjectType};
use crate::terms::{AssetTerms, Assets};

/// Longest address and memo, in bytes.
const TEXT_MAX: usize = 256;

/// Asks for money to leave: sets amount and fee aside until it is paid out, refused or called off.
/// The id of the withdrawal and of its hold is the id of this job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalRequest {
    /// Whose money it is, and who receives it.
    pub user_id: UserId,
    /// Code of the asset.
    pub asset: String,
    /// What is to arrive: decimal text; the fee comes on top.
    pub amount: String,
    /// Where it goes: an address on the asset's network, or the exchange's own reference to the
    /// person's bank account. Printable ASCII without spaces.
    pub address: String,
    /// Tag or memo where the network wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<String>,
}

impl WithdrawalRequest {
    fn read<'a>(&self, assets: &'a Assets) -> Result<(&'a AssetTerms, Amount), Invalid> {
        let terms =
            assets.by_code(&self.asset).ok_or_else(|| Invalid::new("asset", "asset_unknown", "no such asset"))?;
        let amount = terms.asset.parse(&self.amount).map_err(|error| Invalid::amount("amount", error))?;
        if amount.is_zero() {
            return Err(Invalid::new("amount", "amount_zero", "the amount is zero"));
        }
        let decimals = self.amount.split_once('.').map_or(0, |(_, decimals)| decimals.trim_end_matches('0').len());
        if decimals > usize::from(terms.withdraw.scale) {
            let message = format!("a withdrawal of {} has at most {} decimal places", self.asset, terms.withdraw.scale);
            return Err(Invalid::new("amount", "amount_too_fine", message));
        }
        let memo = self.memo.iter().map(|memo| ("memo", memo));
        for (field, text) in std::iter::once(("address", &self.address)).chain(memo) {
            let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
            if text.is_empty() || text.len() > TEXT_MAX || !printable {
                let message = format!("the {field} is 1 to {TEXT_MAX} printable ASCII characters without spaces");
                return Err(Invalid::new(field, "text_form", message));
            }
        }
        Ok((terms, amount))
    }

    fn day(&self, terms: &AssetTerms, job: &Job) -> DayKey {
        DayKey { user: self.user_id, asset: terms.asset.id, day: job.received_at.date_naive() }
    }
}

impl Kind for WithdrawalRequest {
    const NAME: &'static str = "withdrawal-request";
    const LANE: Lane = Lane::Ledger;
    const ORIGIN: Origin = Origin::Client;
    const ABOUT: About<Self> = About::New(SubjectType::Withdrawal);

    fn check(&self, assets: &Assets) -> Result<(), Invalid> {
        let (terms, amount) = self.read(assets)?;
        if amount < terms.withdraw.min {
            let least = terms.asset.format(terms.withdraw.min);
            let message = format!("the least that may be withdrawn is {least} {}", self.asset);
            return Err(Invalid::new("amount", "amount_too_small", message));
        }
        Ok(())
    }

    fn rows(&self, want: &mut Want) {
        want.users.insert(self.user_id);
    }

    fn limits(&self, desk: &Desk, job: &Job, want: &mut Want) {
        if let Some(terms) = desk.assets.by_code(&self.asset) {
            want.days.insert(self.day(terms, job));
        }
    }

    fn accounts(&self, desk: &Desk, _: &Job, want: &mut Want) {
        if let Some(terms) = desk.assets.by_code(&self.asset) {
            want.existing.insert(Desk::wallet(self.user_id, terms.asset.id));
            want.existing.insert(Desk::receivable(self.user_id, terms.asset.id));
        }
    }

    fn assets(&self, desk: &Desk) -> Vec<AssetId> {
        desk.assets.by_code(&self.asset).map(|terms| terms.asset.id).into_iter().collect()
    }

    fn rail(&self, desk: &Desk) -> Option<&'static str> {
        let terms = desk.assets.by_code(&self.asset)?;
        RAILS.into_iter().find(|rail| *rail == terms.withdraw.rail)
    }
}

impl Decide for WithdrawalRequest {
    fn decide(&self, desk: &mut Desk, job: &Job) -> Verdict {
        let assets = desk.assets.clone();
        let Ok((terms, amount)) = self.read(&assets) else {
            return Reason::PayloadInvalid.into();
        };
        if amount < terms.withdraw.min {
            return Reason::AmountTooSmall.into();
        }
        if let Some(later) = desk.await_user(self.user_id, job) {
            return later;
        }
        let Some(user) = desk.users.get(&self.user_id) else {
            return Reason::UserUnknown.into();
        };
        if user.frozen {
            return Reason::UserFrozen.into();
        }
        if receivable::owes(desk, self.user_id, terms.asset.id) {
            return Reason::Owes.into();
        }
        let day_key = self.day(terms, job);
        let Some(day) = desk.days.get(&day_key).copied() else {
            return Verdict::contradiction("the day of the limit was not loaded");
        };
        let limit = desk.rules.kyc_limits.get(&(user.kyc, terms.asset.id)).copied().unwrap_or(Amount::ZERO);
        let Some(sum) = day.used.checked_add(amount).filter(|sum| *sum <= limit) else {
            return Reason::KycLimit.into();
        };
        let Some(wallet) = desk.book.account_id(&Desk::wallet(self.user_id, terms.asset.id)) else {
            return Reason::InsufficientFunds.into();
        };
        let Some(whole) = amount.checked_add(terms.withdraw.fee) else {
            return Reason::InsufficientFunds.into();
        };
        let id = WithdrawalId(job.id.0);
        let hold = match desk.book.open_hold(job.id, wallet, HoldSubject(id.0), whole) {
            Ok(hold) => hold,
            Err(error) => return error.into(),
        };
        let withdrawal = self.make(desk, job, terms, amount, hold);
        let noted = desk.days.update(&day_key, |day| *day = Day { used: sum, max: limit, ..*day });
        if noted && desk.withdrawals.insert(id, withdrawal) {
            Verdict::SETTLED
        } else {
            Verdict::contradiction(format!("withdrawal {id} exists already"))
        }
    }
}

impl WithdrawalRequest {
    fn make(&self, desk: &Desk, job: &Job, terms: &AssetTerms, amount: Amount, hold: ledger::HoldId) -> Withdrawal {
        let to = Destination {
            rail: terms.withdraw.rail.clone(),
            network: terms.withdraw.network.clone(),
            address: self.address.clone(),
            memo: self.memo.clone(),
        };
        let (fee, network_fee_max) = (terms.withdraw.fee, terms.withdraw.network_fee_max);
        let content = Content {
            id: WithdrawalId(job.id.0),
            user: self.user_id,
            asset: &self.asset,
            to: &to,
            amount,
            fee,
            network_fee_max,
        };
        Withdrawal {
            user: self.user_id,
            requested_by: job.submitted_by,
            asset: terms.asset.id,
            amount,
            fee,
            network_fee_max,
            hold,
            content_hash: content.hash(),
            to,
            state: WithdrawalState::AwaitingApproval,
            approvals_needed: if amount > terms.withdraw.two_approvals_above { 2 } else { 1 },
            day: job.received_at.date_naive(),
            requested_at: desk.now,
            approved: None,
            closed_at: None,
            close_reason: None,
            approvals: Vec::new(),
        }
    }
}
