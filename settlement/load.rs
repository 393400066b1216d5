use jobs::{AnyJob, Desk, Job, Kind, LockEscrow, SubjectType, TradeId, UserRegister, Want, WithdrawalRequest};
use ledger::{Hold, HoldSubject};
use providers::nowpayments::Secret;
use sqlx::PgConnection;

use crate::foresight::Known;
use crate::tables::{self, account, app_user, corrupt, ipn_inbox, outcome, principal, withdrawal};

/// The jobs of a batch, in the order of their ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch<'a> {
    /// All of them.
    pub(crate) ids: &'a [i64],
    /// Those that could be read.
    pub(crate) jobs: &'a [(Job, AnyJob)],
}

impl Batch<'_> {
    /// Whether a job of this number is one of them.
    pub(crate) fn has(self, id: i64) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    /// Whether a job of the batch is of a kind; of those that could not be read nobody knows.
    fn may_be(self, id: i64, kind: &str) -> bool {
        let place = self.jobs.binary_search_by_key(&id, |(job, _)| job.id.0).ok();
        place.and_then(|place| self.jobs.get(place)).is_none_or(|(_, job)| job.info().name == kind)
    }
}

/// What a batch asks for by its payloads.
pub(crate) fn wanted(batch: &[(Job, AnyJob)]) -> Want {
    let mut want = Want::default();
    for (_, kind) in batch {
        kind.rows(&mut want);
    }
    want
}

/// Reads what never changes, without a lock. The deposits that callbacks speak of are wanted with them.
pub(crate) async fn facts(
    db: &mut PgConnection,
    desk: &mut Desk,
    want: &mut Want,
    secrets: &[Secret],
) -> Result<(), sqlx::Error> {
    let inbox: Vec<i64> = want.inbox.iter().map(|id| id.0).collect();
    ipn_inbox::load(db, desk, &inbox, secrets).await?;
    want.deposits.extend(desk.inbox.values().flatten().map(|fact| fact.payment.clone()));
    Ok(())
}

/// Loads and locks the rows that a batch hardly ever shares with another one, in the one order of locks, which is that
/// of [`jobs::each_table`]. What they imply is added to what is wanted.
pub(crate) async fn rows(
    db: &mut PgConnection,
    desk: &mut Desk,
    batch: &[(Job, AnyJob)],
    want: &mut Want,
) -> Result<(), sqlx::Error> {
    tables::load(db, desk, want).await?;
    load_pending(db, desk, want, batch).await?;
    for (job, kind) in batch {
        kind.limits(desk, job, want);
    }
    withdrawal::days(desk, want);
    for (job, kind) in batch {
        kind.accounts(desk, job, want);
    }
    Ok(())
}

/// Loads and locks what batches share, in the one order of locks: accounts with a floor, accounts without, people who
/// may be changed. Days of limits and all other people are read after that, under the locks of their wallets. What is
/// known of balances and people is not read. Answers with how often people were changed by then, if that is to be
/// asked.
pub(crate) async fn shared(
    db: &mut PgConnection,
    desk: &mut Desk,
    want: &Want,
    known: &mut account::Ids,
    remembered: &Known,
    batch: Batch<'_>,
) -> Result<Option<i64>, sqlx::Error> {
    account::load(db, desk, want, known, &remembered.heads).await?;
    app_user::lock(db, &want.flagged).await?;
    let user_changes = match remembered.user_changes {
        Some(_) => Some(app_user::changes(db).await?),
        None => None,
    };
    if user_changes == remembered.user_changes {
        for (id, user) in &remembered.users {
            desk.users.load(*id, user.clone());
        }
    }
    load_rest(db, desk, want, batch).await?;
    Ok(user_changes)
}

/// Puts on a desk what [`shared`] would, without any lock: with what is remembered of accounts and people,
/// and what the others are now. Good enough to foresee what a batch will decide.
pub(crate) async fn foresee(
    db: &mut PgConnection,
    desk: &mut Desk,
    want: &Want,
    known: &account::Ids,
    remembered: Known,
    batch: Batch<'_>,
) -> Result<(), sqlx::Error> {
    account::foresee(db, desk, want, known, &remembered.heads).await?;
    for (id, user) in remembered.users {
        desk.users.load(id, user);
    }
    load_rest(db, desk, want, batch).await
}

/// Loads the days of limits and the people concerned, who decides, and what becomes of the jobs that would have made
/// what is not there. The jobs of the batch itself have made nothing yet, and the database is not asked about them: it
/// may show what was only foreseen.
async fn load_rest(db: &mut PgConnection, desk: &mut Desk, want: &Want, batch: Batch<'_>) -> Result<(), sqlx::Error> {
    tables::load_shared(db, desk, want, batch).await?;
    principal::load(db, desk, &want.principals).await?;
    let trades = want.trades.iter().filter(|id| desk.trades.get(id).is_none()).map(|id| (id.0, LockEscrow::NAME));
    let people = want.users.iter().filter(|id| desk.users.get(id).is_none()).map(|id| (id.0, UserRegister::NAME));
    let requests = want
        .withdrawals
        .iter()
        .filter(|id| desk.withdrawals.get(id).is_none())
        .map(|id| (id.0, WithdrawalRequest::NAME));
    let (ours, others): (Vec<_>, Vec<_>) =
        trades.chain(people).chain(requests).partition(|(id, _): &(i64, &str)| batch.has(*id));
    desk.awaited.extend(ours.iter().filter(|(id, kind)| batch.may_be(*id, kind)).map(|(id, _)| *id));
    outcome::load_fates(db, desk, &others).await?;
    load_holds(desk, want)
}

/// Notes the trades that may expire while something that was received by their deadline is still on
/// its way. Asked under the locks of the trades, so that it cannot settle behind the asker's back.
async fn load_pending(
    db: &mut PgConnection,
    desk: &mut Desk,
    want: &Want,
    batch: &[(Job, AnyJob)],
) -> Result<(), sqlx::Error> {
    let expiring = want.expiring.iter().filter_map(|id| Some((id.0, desk.trades.get(id)?.pay_by))).collect::<Vec<_>>();
    if expiring.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = batch.iter().map(|(job, _)| job.id.0).collect();
    let pending = outbox::received_by(db, SubjectType::Trade.as_str(), &expiring, &ids).await?;
    desk.pending.extend(pending.into_iter().map(TradeId));
    Ok(())
}

/// Puts the open holds of the loaded trades and withdrawals into the book. A hold changes only under
/// the lock of its trade or withdrawal, which says all there is to it; closing it checks account and
/// amount once more.
fn load_holds(desk: &mut Desk, want: &Want) -> Result<(), sqlx::Error> {
    for id in &want.trades {
        let Some(trade) = desk.trades.get(id) else { continue };
        if trade.closed_at.is_some() {
            continue;
        }
        // Who only marks a trade as paid asks for no account, and so gets no hold either.
        let Some(account) = account::wallet_of(desk, trade.seller, trade.asset) else { continue };
        let hold = Hold { id: trade.hold, account, subject: HoldSubject(id.0), amount: trade.amount, closed_by: None };
        desk.book.load_hold(hold).map_err(|error| corrupt(error.to_string()))?;
    }
    for id in &want.withdrawals {
        let Some(withdrawal) = desk.withdrawals.get(id).filter(|withdrawal| withdrawal.closed_at.is_none()) else {
            continue;
        };
        let Some(account) = account::wallet_of(desk, withdrawal.user, withdrawal.asset) else { continue };
        let whole = withdrawal.amount.checked_add(withdrawal.fee).ok_or_else(|| corrupt("amount and fee"))?;
        let hold = Hold { id: withdrawal.hold, account, subject: HoldSubject(id.0), amount: whole, closed_by: None };
        desk.book.load_hold(hold).map_err(|error| corrupt(error.to_string()))?;
    }
    Ok(())
}
