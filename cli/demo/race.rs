use anyhow::Result;

use super::Play;
use super::notes::Asked;

const ROUNDS: u32 = 10;

/// Seller and buyer of a paid trade decide at once, he to give it up and she to release it.
pub(crate) async fn scene(play: &mut Play) -> Result<()> {
    let (seller, buyer) = (play.cast.id("Ida")?, play.cast.id("Jan")?);
    let (asset, amount) = play.cast.amount("usdttrc20", "250.5")?;
    let (mut released, mut refunded, mut decided) = (0_u32, 0_u32, 0_u32);
    for round in 1..=ROUNDS {
        let asked = Asked::Lock { seller, buyer, asset: asset.clone(), amount };
        let trade = play.done(&format!("race-{round}"), asked).await?;
        play.done(&format!("race-{round}-paid"), Asked::MarkPaid { trade, by: buyer }).await?;
        let (release, refund) = (Asked::Release { trade, by: seller }, Asked::Refund { trade, by: buyer });
        let (release_key, refund_key) = (format!("race-{round}-release"), format!("race-{round}-refund"));
        let client = &play.stage.client;
        // Neither is always asked first.
        let (one, other) = if round.is_multiple_of(2) {
            tokio::try_join!(release.send(client, &release_key), refund.send(client, &refund_key))?
        } else {
            let (refund, release) =
                tokio::try_join!(refund.send(client, &refund_key), release.send(client, &release_key))?;
            (release, refund)
        };
        play.notes.answered(release, &one)?;
        play.notes.answered(refund, &other)?;
        play.notes.quiet();
        match (one.status, other.status) {
            (200, 409) => released = released.saturating_add(1),
            (409, 200) => refunded = refunded.saturating_add(1),
            _ => continue,
        }
        decided = decided.saturating_add(1);
    }
    play.screen.scene("race", format_args!("release and refund of one paid trade at once, {ROUNDS} times"));
    let seen = format!("{released} released, {refunded} refunded");
    play.screen.check("exactly one of the two wins each time", decided == ROUNDS, seen);
    Ok(())
}
