use anyhow::{Context, Result};

use crate::client::{id, text};

use super::Play;
use super::deposits::describe;
use super::notes::Asked;

/// Trades that end well and trades that do not, each asked for with `Prefer: wait`.
pub(crate) async fn scene(play: &mut Play) -> Result<()> {
    play.screen.scene("trades", "asked for one by one, each waiting for its outcome");
    released(play).await?;
    shared(play).await?;
    refunded(play).await?;
    refused(play).await?;
    same_key(play).await
}

/// A lock of what the seller has.
pub(crate) fn lock(play: &Play, seller: &str, buyer: &str, asset: &str, amount: &str) -> Result<Asked> {
    let (asset, amount) = play.cast.amount(asset, amount)?;
    Ok(Asked::Lock { seller: play.cast.id(seller)?, buyer: play.cast.id(buyer)?, asset, amount })
}

async fn released(play: &mut Play) -> Result<()> {
    let (ann, ben) = (play.cast.id("Ann")?, play.cast.id("Ben")?);
    let trade = play.done("sale-1", lock(play, "Ann", "Ben", "eth", "2.5")?).await?;
    play.done("sale-1-paid", Asked::MarkPaid { trade, by: ben }).await?;
    let answer = play.ask("sale-1-release", Asked::Release { trade, by: ann }).await?;
    play.check("Ann sells Ben 2.5 eth and releases it", &answer, 200, "");
    let document = play.stage.client.get(&format!("/v1/trades/{trade}")).await?;
    let fees = (text(&document, "maker_fee"), text(&document, "taker_fee"));
    let right = fees == ("0.005000000000000000", "0.005000000000000000");
    play.screen.check(
        "both pay the fee fixed at the lock, 0.2 %",
        right,
        format!("{} and {} eth", short(fees.0), short(fees.1)),
    );
    Ok(())
}

/// Without the zeros at the end.
fn short(amount: &str) -> &str {
    amount.trim_end_matches('0').trim_end_matches('.')
}

/// Somebody brought Kira, and shares in what she pays.
async fn shared(play: &mut Play) -> Result<()> {
    let (cleo, kira) = (play.cast.id("Cleo")?, play.cast.id("Kira")?);
    let person = play.stage.client.get(&format!("/v1/users/{kira}")).await?;
    let referrer = id(&person, "referrer_id").context("nobody brought Kira")?;
    let name = play.cast.people.iter().find(|person| person.id == referrer).map_or("somebody", |person| person.name);
    let trade = play.done("sale-6", lock(play, "Cleo", "Kira", "eth", "1")?).await?;
    play.done("sale-6-paid", Asked::MarkPaid { trade, by: kira }).await?;
    play.done("sale-6-release", Asked::Release { trade, by: cleo }).await?;
    // The commission is a job of its own, which the release caused.
    play.stage.await_empty_queue().await?;
    let document = play.stage.client.get(&format!("/v1/users/{referrer}/commissions")).await?;
    let first = document.get("commissions").and_then(|all| all.get(0)).cloned().unwrap_or_default();
    let amount = text(&first, "amount");
    play.screen.check(
        &format!("{name} brought Kira, and gets a fifth of her fee"),
        amount == "0.000400000000000000",
        format!("{} eth", short(amount)),
    );
    Ok(())
}

async fn refunded(play: &mut Play) -> Result<()> {
    let ben = play.cast.id("Ben")?;
    let trade = play.done("sale-2", lock(play, "Ann", "Ben", "eth", "1")?).await?;
    let answer = play.ask("sale-2-refund", Asked::Refund { trade, by: ben }).await?;
    play.check("Ben gives up another: all goes back to Ann", &answer, 200, "");
    Ok(())
}

async fn refused(play: &mut Play) -> Result<()> {
    let (ann, ben, eva) = (play.cast.id("Ann")?, play.cast.id("Ben")?, play.cast.id("Eva")?);
    let answer = play.ask("sale-3", lock(play, "Ann", "Ben", "eth", "1000000")?).await?;
    play.check("Ann cannot lock what she does not have", &answer, 409, "insufficient_funds");

    let trade = play.done("sale-4", lock(play, "Ann", "Ben", "eth", "0.75")?).await?;
    let answer = play.ask("sale-4-early", Asked::Release { trade, by: ann }).await?;
    play.check("nothing is released before it is paid", &answer, 409, "wrong_state");
    play.done("sale-4-paid", Asked::MarkPaid { trade, by: ben }).await?;
    let answer = play.ask("sale-4-stranger", Asked::Release { trade, by: eva }).await?;
    play.check("Eva, a stranger, cannot release it", &answer, 409, "not_the_seller");
    let answer = play.ask("sale-4-cancel", Asked::Refund { trade, by: ann }).await?;
    play.check("Ann cannot take it back once Ben has paid", &answer, 409, "not_the_buyer");
    let answer = play.ask("sale-4-release", Asked::Release { trade, by: ann }).await?;
    play.check("so she releases it", &answer, 200, "");
    let answer = play.ask("sale-4-release-again", Asked::Release { trade, by: ann }).await?;
    play.check("once", &answer, 409, "wrong_state");
    Ok(())
}

async fn same_key(play: &mut Play) -> Result<()> {
    let asked = lock(play, "Finn", "Gina", "ltc", "3")?;
    let first = play.ask("sale-5", asked.clone()).await?;
    let again = play.ask("sale-5", asked).await?;
    let same = again.replayed && first.id()? == again.id()?;
    play.screen.check("the same request again is the same job", same, format!("job {} twice", again.id()?));
    let other = lock(play, "Finn", "Gina", "ltc", "4")?;
    let seen = match &other {
        Asked::Lock { asset, amount, .. } => describe(asset, *amount),
        Asked::Register { .. }
        | Asked::MarkPaid { .. }
        | Asked::Release { .. }
        | Asked::Refund { .. }
        | Asked::Cancel { .. }
        | Asked::Undo { .. }
        | Asked::Withdraw { .. }
        | Asked::CallOff { .. } => String::new(),
    };
    let answer = play.ask("sale-5", other).await?;
    play.check(&format!("its key does not do for {seen}"), &answer, 422, "idempotency_conflict");
    Ok(())
}
