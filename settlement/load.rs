use jobs::{AnyJob, Desk, Job, Kind, LockEscrow, TradeId, UserRegister, Want, WithdrawalRequest};
use ledger::{Hold, Subject};
use providers::nowpayments::Secret;
use sqlx::PgConnection;

use crate::tables::{
    account, app_user, corrupt, deposit, ipn_inbox, outcome, parked, pause, principal, referral, trade, withdrawal,
    withdrawal_day,
};

/// Loads everything that a batch touches, in the one order of locks: pauses, parked jobs, counters of
/// limits, trades, deposits, withdrawals, accounts with a floor, accounts without. People are read
/// last, under the locks of their wallets.
///
/// `known` are the accounts whose ids are known already.
pub(crate) async fn load(
    db: &mut PgConnection,
    desk: &mut Desk,
    batch: &[(Job, AnyJob)],
    secrets: &[Secret],
    known: &mut account::Ids,
) -> Result<(), sqlx::Error> {
    let mut want = Want::default();
    for (_, kind) in batch {
        kind.rows(&mut want);
    }
    pause::load(db, desk, want.pauses.iter()).await?;
    parked::load(db, desk, want.parked.iter()).await?;
    load_days(db, desk, batch, &mut want).await?;
    let inbox: Vec<i64> = want.inbox.iter().map(|id| id.0).collect();
    ipn_inbox::load(db, desk, &inbox, secrets).await?;
    let trades: Vec<i64> = want.trades.iter().map(|id| id.0).collect();
    trade::load(db, desk, &trades).await?;
    referral::load(db, desk, &want).await?;
    load_pending(db, desk, &want, batch).await?;
    deposit::load(db, desk).await?;
    let withdrawals: Vec<i64> = want.withdrawals.iter().map(|id| id.0).collect();
    withdrawal::load(db, desk, &withdrawals).await?;
    for (job, kind) in batch {
        kind.accounts(desk, job, &mut want);
    }
    account::load(db, desk, &want, known).await?;
    let users: Vec<i64> = want.users.iter().map(|id| id.0).collect();
    app_user::lock(db, &want.flagged).await?;
    app_user::load(db, desk, &users).await?;
    principal::load(db, desk, &want.principals).await?;
    let trades = want.trades.iter().filter(|id| desk.trades.get(id).is_none()).map(|id| (id.0, LockEscrow::NAME));
    let people = want.users.iter().filter(|id| desk.users.get(id).is_none()).map(|id| (id.0, UserRegister::NAME));
    let requests = want
        .withdrawals
        .iter()
        .filter(|id| desk.withdrawals.get(id).is_none())
        .map(|id| (id.0, WithdrawalRequest::NAME));
    let makers: Vec<(i64, &str)> = trades.chain(people).chain(requests).collect();
    outcome::load_fates(db, desk, &makers).await?;
    load_holds(desk, &want)
}

/// Makes and locks the counters of limits, before anything else is locked. Those of a withdrawal
/// that is decided about are known without locking it: whose it is and its day never change.
async fn load_days(
    db: &mut PgConnection,
    desk: &mut Desk,
    batch: &[(Job, AnyJob)],
    want: &mut Want,
) -> Result<(), sqlx::Error> {
    for (job, kind) in batch {
        kind.limits(desk, job, want);
    }
    withdrawal::days(db, want).await?;
    withdrawal_day::load(db, desk, &want.days).await
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
    let pending = outbox::received_by(db, &expiring, &ids).await?;
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
        let hold = Hold { id: trade.hold, account, subject: Subject(id.0), amount: trade.amount, closed_by: None };
        desk.book.load_hold(hold).map_err(|error| corrupt(error.to_string()))?;
    }
    for id in &want.withdrawals {
        let Some(withdrawal) = desk.withdrawals.get(id).filter(|withdrawal| withdrawal.closed_at.is_none()) else {
            continue;
        };
        let Some(account) = account::wallet_of(desk, withdrawal.user, withdrawal.asset) else { continue };
        let whole = withdrawal.amount.checked_add(withdrawal.fee).ok_or_else(|| corrupt("amount and fee"))?;
        let hold = Hold { id: withdrawal.hold, account, subject: Subject(id.0), amount: whole, closed_by: None };
        desk.book.load_hold(hold).map_err(|error| corrupt(error.to_string()))?;
    }
    Ok(())
}
