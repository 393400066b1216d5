use std::time::Duration;

use chrono::TimeDelta;
use ledger::{Amount, AssetId, Balance, Code, Purpose};
use serde::{Deserialize, Serialize};

use crate::desk::{Desk, Want};
use crate::ids::InboxId;
use crate::job::{Job, Settlement, Verdict, doubled};
use crate::kind::{Decide, Kind};
use crate::kind_info::{Lane, Origin};
use crate::machines::deposit::{DepositMove, DepositState, Review, next};
use crate::policy::receivable;
use crate::rows::deposit::{Deposit, Fact, Stage, Unread};
use crate::subject::About;

/// Credits what a payment brought, once per payment id.
///
/// It carries no facts, only where the signed callback lies: the worker verifies it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepositCredit {
    /// The callback in the inbox.
    pub inbox_id: InboxId,
}

/// How long a callback waits for the secret that signed it. During a rotation the API may know a
/// new secret before the workers do.
const WAIT_FOR_SECRET: TimeDelta = TimeDelta::hours(1);

impl Kind for DepositCredit {
    const NAME: &'static str = "deposit-credit";
    const LANE: Lane = Lane::Ledger;
    const ORIGIN: Origin = Origin::Internal;
    const ABOUT: About<Self> = About::Payment(|job| job.inbox_id);

    fn rows(&self, want: &mut Want) {
        want.inbox.insert(self.inbox_id);
    }

    fn accounts(&self, desk: &Desk, _: &Job, want: &mut Want) {
        let Some(Ok(fact)) = desk.inbox.get(&self.inbox_id) else {
            return;
        };
        let known = desk.deposits.get(&fact.payment);
        let user = known.and_then(|deposit| deposit.user).or_else(|| fact.beneficiary());
        let asset = known.and_then(|deposit| deposit.asset).or_else(|| fact.asset(&desk.assets));
        want.users.extend(user);
        let (Some(user), Some(asset)) = (user, asset) else {
            return;
        };
        match fact.stage {
            Stage::Paid => {
                want.accounts.insert(Desk::wallet(user, asset));
                want.accounts.insert(desk.house(asset, Purpose::World));
                want.existing.insert(Desk::receivable(user, asset));
            }
            Stage::Refunded if known.is_some_and(|deposit| deposit.credited.is_some()) => {
                // It may freeze the person, and who freezes a person locks them and all of their wallets.
                want.flagged.insert(user);
                want.existing.extend(desk.assets.iter().map(|terms| Desk::wallet(user, terms.asset.id)));
                want.accounts.insert(Desk::wallet(user, asset));
                want.accounts.insert(desk.house(asset, Purpose::World));
                want.accounts.insert(Desk::receivable(user, asset));
            }
            Stage::Refunded | Stage::Waiting | Stage::Coming { .. } | Stage::Expired | Stage::Failed => {}
        }
    }

    fn assets(&self, desk: &Desk) -> Vec<AssetId> {
        let Some(Ok(fact)) = desk.inbox.get(&self.inbox_id) else {
            return Vec::new();
        };
        let known = desk.deposits.get(&fact.payment).and_then(|deposit| deposit.asset);
        known.into_iter().chain(fact.asset(&desk.assets)).collect()
    }
}

impl Decide for DepositCredit {
    fn decide(&self, desk: &mut Desk, job: &Job) -> Verdict {
        let fact = match desk.inbox.get(&self.inbox_id) {
            Some(Ok(fact)) => fact.clone(),
            Some(Err(Unread::NotSigned)) => return not_signed(desk, job),
            Some(Err(Unread::Contents(why))) => return Verdict::contradiction(why.clone()),
            None => return Verdict::contradiction(format!("inbox row {} does not exist", self.inbox_id)),
        };
        if fact.stage == Stage::Paid
            && let Some(later) = fact.beneficiary().and_then(|user| desk.await_user(user, job))
        {
            return later;
        }
        let before = desk.deposits.get(&fact.payment).cloned();
        let state = before.as_ref().map(|deposit| deposit.state);
        let credited = before.as_ref().is_some_and(|deposit| deposit.credited.is_some());
        let mut deposit = before.clone().unwrap_or_else(|| Deposit::first_seen(&fact, job.id));
        let done = match next(state, credited, deposit.status.1, fact.stage) {
            DepositMove::Nothing => Ok("nothing"),
            DepositMove::Note(state) => {
                deposit.state = state;
                deposit.review = None;
                Ok("noted")
            }
            DepositMove::Credit => credit(desk, job, &fact, &mut deposit),
            DepositMove::Compare => Ok(compare(desk, &fact, &mut deposit)),
            DepositMove::ClawBack => claw_back(desk, job, &mut deposit),
        };
        let done = match done {
            Ok(done) => done,
            Err(verdict) => return verdict,
        };
        deposit.note(&fact, job.id);
        let stored = if before.is_none() {
            desk.deposits.insert(fact.payment.clone(), deposit)
        } else if done == "nothing" {
            true
        } else {
            desk.deposits.update(&fact.payment, |row| *row = deposit)
        };
        debug_assert!(stored, "the deposit was looked up above");
        if done == "credited" {
            return Verdict::SETTLED;
        }
        Verdict::Settled(Settlement { result: Some(serde_json::json!({ "deposit": done })) })
    }
}

/// Credits what arrived, never what was asked for; what cannot be credited goes to review.
fn credit(desk: &mut Desk, job: &Job, fact: &Fact, deposit: &mut Deposit) -> Result<&'static str, Verdict> {
    if matches!(deposit.review, Some(Review::AboveCreditMax | Review::AmountUnreadable)) {
        // A person is looking at its amount; another amount does not answer their question.
        return Ok("review");
    }
    let Some((text, currency)) = &fact.outcome else {
        return Ok(deposit.send_to_review(Review::OutcomeMissing));
    };
    let Some(user) = fact.beneficiary().filter(|user| desk.users.get(user).is_some()) else {
        return Ok(deposit.send_to_review(Review::UserUnknown));
    };
    let Some(terms) = desk.assets.by_code(currency).cloned() else {
        return Ok(deposit.send_to_review(Review::AssetUnknown));
    };
    // The raw text stays in the deposit; what is finer than the asset's scale is not ours to give.
    let Ok((amount, _dust)) = terms.asset.parse_floor(text) else {
        return Ok(deposit.send_to_review(Review::AmountUnreadable));
    };
    if amount > terms.credit_max {
        return Ok(deposit.send_to_review(Review::AboveCreditMax));
    }
    let asset = terms.asset.id;
    let keys = [Desk::wallet(user, asset), desk.house(asset, Purpose::World)];
    let [Some(wallet), Some(world)] = keys.map(|key| desk.book.account_id(&key)) else {
        // The person registered in this very batch, after the accounts were loaded.
        return Err(again(job));
    };
    if !amount.is_zero() {
        desk.book.transfer(job.id, Code::Deposit, world, wallet, amount)?;
        receivable::repay(desk, job.id, user, asset, amount)?;
    }
    deposit.user = Some(user);
    deposit.asset = Some(asset);
    deposit.credited = Some((amount, job.id));
    // The text that was credited stays, whatever is told later.
    deposit.outcome.clone_from(&fact.outcome);
    deposit.state = DepositState::Credited;
    deposit.review = None;
    Ok("credited")
}

/// A credited payment is told of again: the same amount is no news, another one is for a person.
fn compare(desk: &Desk, fact: &Fact, deposit: &mut Deposit) -> &'static str {
    let told = fact.outcome.as_ref().and_then(|(text, currency)| {
        let terms = desk.assets.by_code(currency)?;
        Some((terms.asset.id, terms.asset.parse_floor(text).ok()?.0))
    });
    let known = deposit.asset.zip(deposit.credited.map(|(amount, _)| amount));
    if told == known {
        return "nothing";
    }
    deposit.send_to_review(Review::AmountChanged)
}

/// The provider took the payment back: so do we, as far as the wallet goes. What is missing is
/// owed, and the person is frozen. Money that an escrow holds is not touched.
fn claw_back(desk: &mut Desk, job: &Job, deposit: &mut Deposit) -> Result<&'static str, Verdict> {
    let (Some(user), Some(asset), Some((credited, _))) = (deposit.user, deposit.asset, deposit.credited) else {
        return Err(Verdict::contradiction("a credited deposit without a beneficiary"));
    };
    let keys = [Desk::wallet(user, asset), desk.house(asset, Purpose::World), Desk::receivable(user, asset)];
    let [Some(wallet), Some(world), Some(debt)] = keys.map(|key| desk.book.account_id(&key)) else {
        // The credit happened in this very batch, after the accounts were loaded.
        return Err(again(job));
    };
    let available = desk.book.account(wallet).map_or(0, |account| Balance::available(account.balance));
    let taken = Amount::from_minor(available.clamp(0, credited.minor()))
        .map_err(|error| Verdict::contradiction(error.to_string()))?;
    let Some(missing) = credited.checked_sub(taken) else {
        return Err(Verdict::contradiction("more taken than credited"));
    };
    if !taken.is_zero() {
        desk.book.transfer(job.id, Code::Clawback, wallet, world, taken)?;
    }
    deposit.clawed_back = Some((taken, missing, job.id));
    deposit.review = None;
    if missing.is_zero() {
        deposit.state = DepositState::Reversed;
        return Ok("reversed");
    }
    desk.book.transfer(job.id, Code::ClawbackShortfall, debt, world, missing)?;
    deposit.state = DepositState::Loss;
    if !desk.users.update(&user, |person| person.frozen = true) {
        return Err(Verdict::contradiction(format!("user {user} was not loaded")));
    }
    Ok("loss")
}

fn not_signed(desk: &Desk, job: &Job) -> Verdict {
    if desk.now.signed_duration_since(job.received_at) > WAIT_FOR_SECRET {
        return Verdict::contradiction("the callback is signed with none of the secrets that the worker has");
    }
    let after = doubled(job.attempt, Duration::from_secs(1), 6);
    Verdict::Later { after, why: "the callback is signed with none of the secrets that the worker has" }
}

fn again(job: &Job) -> Verdict {
    job.later("its accounts were not known when the batch was loaded")
}
