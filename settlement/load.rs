use jobs::machines::trade::TradeState;
use jobs::{AnyJob, Desk, Job, Kind, LockEscrow, UserRegister, Want};
use ledger::{AccountKey, Hold, Subject};
use providers::nowpayments::Secret;
use rustc_hash::FxHashSet;
use sqlx::PgConnection;

use crate::tables::{account, app_user, corrupt, deposit, ipn_inbox, outcome, parked, pause, trade};

/// Loads everything that a batch touches, in the one order of locks: pauses, parked jobs, trades, deposits, accounts
/// with a floor, accounts without. People are read last, under the locks of their wallets.
///
/// `known` are keys of accounts that exist; accounts are never deleted, so they need no look.
pub(crate) async fn load(
    db: &mut PgConnection,
    desk: &mut Desk,
    batch: &[(Job, AnyJob)],
    secrets: &[Secret],
    known: &mut FxHashSet<AccountKey>,
) -> Result<(), sqlx::Error> {
    let mut want = Want::default();
    for (_, kind) in batch {
        kind.rows(&mut want);
    }
    pause::load(db, desk, want.pauses.iter()).await?;
    parked::load(db, desk, want.parked.iter()).await?;
    let inbox: Vec<i64> = want.inbox.iter().map(|id| id.0).collect();
    ipn_inbox::load(db, desk, &inbox, secrets).await?;
    let trades: Vec<i64> = want.trades.iter().map(|id| id.0).collect();
    trade::load(db, desk, &trades).await?;
    deposit::load(db, desk).await?;
    for (job, kind) in batch {
        kind.accounts(desk, job, &mut want);
    }
    load_accounts(db, desk, &want, known).await?;
    let users: Vec<i64> = want.users.iter().map(|id| id.0).collect();
    app_user::load(db, desk, &users).await?;
    let trades = want.trades.iter().filter(|id| desk.trades.get(id).is_none()).map(|id| (id.0, LockEscrow::NAME));
    let people = want.users.iter().filter(|id| desk.users.get(id).is_none()).map(|id| (id.0, UserRegister::NAME));
    let makers: Vec<(i64, &str)> = trades.chain(people).collect();
    outcome::load_fates(db, desk, &makers).await?;
    load_holds(desk, &want)
}

async fn load_accounts(
    db: &mut PgConnection,
    desk: &mut Desk,
    want: &Want,
    known: &mut FxHashSet<AccountKey>,
) -> Result<(), sqlx::Error> {
    let mut unknown: Vec<AccountKey> = want.accounts.difference(known).copied().collect();
    unknown.sort_unstable();
    account::make_missing(db, &unknown).await?;
    let keys: Vec<AccountKey> = want.accounts.union(&want.existing).copied().collect();
    account::load(db, desk, &keys).await?;
    known.extend(keys.into_iter().filter(|key| desk.book.account_id(key).is_some()));
    Ok(())
}

/// Puts the open holds of the loaded trades into the book. A hold changes only under the lock of
/// its trade, which says all there is to it; closing it checks account and amount once more.
fn load_holds(desk: &mut Desk, want: &Want) -> Result<(), sqlx::Error> {
    for id in &want.trades {
        let Some(trade) = desk.trades.get(id) else { continue };
        match trade.state {
            TradeState::AwaitingPayment | TradeState::Paid => {}
            TradeState::Released | TradeState::Refunded => continue,
        }
        // Who only marks a trade as paid asks for no account, and so gets no hold either.
        let Some(account) = account::wallet_of(desk, trade.seller, trade.asset) else { continue };
        let hold = Hold { id: trade.hold, account, subject: Subject(id.0), amount: trade.amount, closed_by: None };
        desk.book.load_hold(hold).map_err(|error| corrupt(error.to_string()))?;
    }
    Ok(())
}
