use anyhow::Result;
use sqlx::PgPool;

use crate::client::text;

use super::Play;
use super::notes::Asked;
use super::trades::lock;

/// What time does to trades, and what people may take back.
pub(crate) async fn scene(play: &mut Play) -> Result<()> {
    play.screen.scene("clock", "a buyer has two hours to pay");
    let (cleo, dan) = (play.cast.id("Cleo")?, play.cast.id("Dan")?);
    let cancelled = play.done("clock-1", lock(play, "Cleo", "Dan", "usdttrc20", "40")?).await?;
    let answer = play.ask("clock-1-seller", Asked::Cancel { trade: cancelled, by: cleo }).await?;
    play.check("Cleo, who sells, cannot call it off", &answer, 409, "not_the_buyer");
    let answer = play.ask("clock-1-cancel", Asked::Cancel { trade: cancelled, by: dan }).await?;
    play.check("Dan, who buys, can: the money goes back", &answer, 200, "");

    let undone = play.done("clock-2", lock(play, "Cleo", "Dan", "usdttrc20", "50")?).await?;
    play.done("clock-2-paid", Asked::MarkPaid { trade: undone, by: dan }).await?;
    let answer = play.ask("clock-2-undo", Asked::Undo { trade: undone, by: dan }).await?;
    play.check("Dan said too early that he paid, and takes it back", &answer, 200, "");
    play.done("clock-2-paid-again", Asked::MarkPaid { trade: undone, by: dan }).await?;
    let answer = play.ask("clock-2-undo-again", Asked::Undo { trade: undone, by: dan }).await?;
    play.check("once", &answer, 409, "already_undone");

    let forgotten = play.done("clock-3", lock(play, "Cleo", "Dan", "usdttrc20", "60")?).await?;
    let_time_pass(play).await?;
    let answer = play.ask("clock-3-late", Asked::MarkPaid { trade: forgotten, by: dan }).await?;
    play.check("three hours later Dan is too late", &answer, 409, "wrong_state");
    let document = play.stage.client.get(&format!("/v1/trades/{forgotten}")).await?;
    let (state, closed) = (text(&document, "state"), !text(&document, "closed_at").is_empty());
    play.screen.check(
        "the trade has expired, and Cleo has her money back",
        state == "expired" && closed,
        state.to_owned(),
    );
    let document = play.stage.client.get(&format!("/v1/trades/{undone}")).await?;
    let state = text(&document, "state");
    play.screen.check("what was paid in time has not", state == "paid", state.to_owned());
    Ok(())
}

/// Moves the clock of this database by three hours, which no real one lets anybody do, and returns
/// when everything that fell due has been dealt with.
async fn let_time_pass(play: &mut Play) -> Result<()> {
    let owner = &play.stage.private.owner;
    sqlx::query!("update clock_shift set shift = shift + interval '3 hours'").execute(owner).await?;
    play.notes.time_passed();
    let open = async |owner: &PgPool| {
        sqlx::query_scalar!(
            r#"
            select count(*) as "open!" from trade
            where (state = 'awaiting_payment' and pay_by < clock())
                or (state in ('cancelled', 'expired') and closed_at is null)
            "#
        )
        .fetch_one(owner)
        .await
    };
    play.stage.until_none("trades have not expired", open).await
}
