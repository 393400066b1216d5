use std::collections::BTreeMap;

use anyhow::{Context, Result};
use jobs::Assets;
use serde_json::Value;
use settlement::Numeric;
use simulators::exchange::{Account, Balance, Exchange, Fees, Refused};

use crate::client::{Client, id, text};

use super::Play;
use super::fan_out::fan_out;
use super::notes::{Asked, End, Notes};

/// How the balances compare with the model's.
#[derive(Clone, Debug)]
pub(crate) struct Compared {
    /// People whose balances were read over HTTP.
    pub(crate) people: usize,
    /// Balances that are not zero.
    pub(crate) balances: usize,
    /// What differs, a line each.
    pub(crate) differences: Vec<String>,
    /// What every account has.
    pub(crate) actual: BTreeMap<Account, Balance>,
}

/// Reads every outcome and every balance back over HTTP, tells the model what was accepted and
/// what came of it, and compares.
pub(crate) async fn compare(play: &mut Play) -> Result<Compared> {
    // What settled jobs have caused, such as commissions, counts as well.
    play.stage.await_empty_queue().await?;
    read_outcomes(play).await?;
    let mut actual = house(play).await?;
    let people = people(&play.notes);
    let count = people.len();
    actual.extend(wallets(&play.stage.client, people, &play.cast.assets).await?);
    actual.retain(|_, balance| *balance != (0, 0));
    let mut differences = model(&play.notes, &play.cast.assets).differences(&actual);
    differences.extend(unanswered(&play.notes));
    Ok(Compared { people: count, balances: actual.len(), differences, actual })
}

/// Reads the outcomes of those jobs that nobody waited for.
async fn read_outcomes(play: &mut Play) -> Result<()> {
    let notes = &play.notes;
    let open: Vec<i64> = notes.accepted.keys().filter(|id| !notes.ended.contains_key(id)).copied().collect();
    let client = play.stage.client.clone();
    let read = fan_out(open, move |id| {
        let client = client.clone();
        async move { Ok((id, client.get(&format!("/v1/jobs/{id}")).await?)) }
    });
    for (id, job) in read.await? {
        play.notes.read(id, &job);
    }
    Ok(())
}

/// Jobs that were accepted and have no outcome, and registrations that were refused: all of them
/// were in order.
fn unanswered(notes: &Notes) -> impl Iterator<Item = String> {
    notes.accepted.iter().filter_map(|(id, asked)| match (notes.ended.get(id), asked) {
        (None, _) => Some(format!("job {id} was accepted and has no outcome")),
        (Some(End::Rejected(reason)), Asked::Register { .. }) => {
            Some(format!("registration {id} was refused: {reason}"))
        }
        (Some(End::Settled | End::Rejected(_)), _) => None,
    })
}

/// Everybody whose registration settled.
fn people(notes: &Notes) -> Vec<i64> {
    let settled = notes.accepted.iter().filter(|(id, _)| notes.ended.get(id) == Some(&End::Settled));
    settled.filter(|(_, asked)| matches!(asked, Asked::Register { .. })).map(|(id, _)| *id).collect()
}

/// The model, told of what was accepted and settled.
fn model(notes: &Notes, assets: &Assets) -> Exchange {
    let fees = assets.iter().map(|terms| {
        let (maker_bps, taker_bps) = (terms.maker_rate.get().into(), terms.taker_rate.get().into());
        (terms.asset.code.clone(), Fees { maker_bps, taker_bps, referral_bps: 2_000 })
    });
    let mut exchange = Exchange::new(fees);
    for deposit in &notes.deposits {
        let payment = deposit.payment_id.to_string();
        exchange.deposit(&payment, deposit.user, &deposit.asset.code, deposit.amount.minor());
    }
    // Deposits were credited before anybody traded.
    exchange.quiet();
    for (id, asked) in &notes.accepted {
        match notes.ended.get(id) {
            Some(End::Settled) => settled(&mut exchange, *id, asked),
            Some(End::Rejected(reason)) => {
                if let Some(asked) = refused(asked) {
                    exchange.refuse(asked, reason);
                }
            }
            None => {}
        }
        if notes.expired_to == Some(*id) {
            exchange.expire();
        }
        if notes.quiet.contains(id) {
            exchange.quiet();
        }
    }
    exchange
}

fn settled(exchange: &mut Exchange, id: i64, asked: &Asked) {
    match asked {
        Asked::Register { referrer } => exchange.register(id, *referrer),
        Asked::Lock { seller, buyer, asset, amount } => {
            exchange.lock(id, *seller, *buyer, &asset.code, amount.minor());
        }
        Asked::MarkPaid { trade, .. } => exchange.mark_paid(*trade),
        Asked::Release { trade, .. } => exchange.release(*trade),
        Asked::Refund { trade, .. } | Asked::Cancel { trade, .. } => exchange.refund(*trade),
        Asked::Undo { trade, .. } => exchange.undo(*trade),
        Asked::Withdraw { user, asset, amount, fee } => {
            exchange.withdraw(id, *user, &asset.code, amount.minor().saturating_add(fee.minor()));
        }
        Asked::CallOff { withdrawal, .. } => exchange.call_off(*withdrawal),
    }
}

/// In the model's words.
fn refused(asked: &Asked) -> Option<Refused> {
    match asked {
        Asked::Lock { seller, buyer, asset, amount } => {
            Some(Refused::Lock { seller: *seller, buyer: *buyer, asset: asset.code.clone(), amount: amount.minor() })
        }
        Asked::MarkPaid { trade, by } => Some(Refused::MarkPaid { trade: *trade, by: *by }),
        Asked::Release { trade, by } => Some(Refused::Release { trade: *trade, by: *by }),
        Asked::Refund { trade, by } | Asked::Cancel { trade, by } => Some(Refused::Refund { trade: *trade, by: *by }),
        // What the model does not judge: it knows no limits and no clock.
        Asked::Register { .. } | Asked::Undo { .. } | Asked::Withdraw { .. } | Asked::CallOff { .. } => None,
    }
}

/// What people have, as the API tells it.
async fn wallets(client: &Client, people: Vec<i64>, assets: &Assets) -> Result<Vec<(Account, Balance)>> {
    let client = client.clone();
    let documents = fan_out(people, move |user| {
        let client = client.clone();
        async move { client.get(&format!("/v1/users/{user}/balances")).await }
    });
    let mut all = Vec::new();
    for document in documents.await? {
        let user = id(&document, "user_id").with_context(|| format!("balances of nobody: {document}"))?;
        for balance in document.get("balances").and_then(Value::as_array).into_iter().flatten() {
            let code = text(balance, "asset");
            let terms = assets.by_code(code).with_context(|| format!("the registry has no {code}"))?;
            let minor = |member| anyhow::Ok(terms.asset.parse(text(balance, member))?.minor());
            all.push(((user, code.to_owned(), "wallet".to_owned()), (minor("posted")?, minor("held")?)));
            all.push(((user, code.to_owned(), "receivable".to_owned()), (minor("owed")?, 0)));
        }
    }
    Ok(all)
}

/// What the house and the outside have, which no client may ask for; all stripes together.
async fn house(play: &Play) -> Result<BTreeMap<Account, Balance>> {
    let rows = sqlx::query!(
        r#"
        select t.code, a.purpose, sum(e.posted) as "posted!: Numeric", sum(e.held) as "held!: Numeric"
        from account a
        join asset t on t.id = a.asset
        cross join lateral (
            select posted, held from entry where account_id = a.id order by version desc limit 1
        ) e
        where a.owner = 0
        group by t.code, a.purpose
        "#
    )
    .fetch_all(&play.stage.private.owner)
    .await?;
    Ok(rows.into_iter().map(|row| ((0, row.code, row.purpose), (row.posted.0, row.held.0))).collect())
}
