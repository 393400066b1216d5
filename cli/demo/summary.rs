use std::collections::BTreeMap;

use anyhow::Result;
use integrity::Verification;
use ledger::Asset;

use super::Play;
use super::books::Compared;
use super::crowd::Crowd;
use super::notes::{End, Notes};

/// How many people's wallets are shown.
const WALLETS: usize = 5;
/// In which assets: a terminal has room for three.
const SHOWN: [&str; 3] = ["btc", "eth", "usdttrc20"];
/// How many differences are shown.
const DIFFERENCES: usize = 20;

/// What it all came to.
pub(crate) async fn show(
    play: &mut Play,
    crowd: &Crowd,
    compared: &Compared,
    verification: &Verification,
) -> Result<()> {
    let screen = &play.screen;
    screen.title("");
    screen.scene("summary", "");
    wallets(play, compared)?;
    screen.list("refused", &refused(&play.notes));
    screen.list("turned away", &counts(&play.notes.turned_away));
    screen.list("for a person", &reviews(play).await?);
    let killed = match crowd.killed.held {
        0 => "held nothing just then: everything was done already".to_owned(),
        held => format!("held {held} jobs; others did them, none is lost and none done twice"),
    };
    screen.figure("killed worker", killed);
    let workers = play.stage.workers.len();
    screen.figure("rate", format_args!("{} jobs/s with {workers} workers, in this build", crowd.jobs_per_second()));
    screen.title("");
    let Compared { people, balances, differences, .. } = compared;
    let seen = match differences.len() {
        0 => format!("all {balances} equal the model's"),
        count => format!("{count} differences from the model"),
    };
    screen.check(&format!("balances of {people} people and the house"), differences.is_empty(), seen);
    for difference in differences.iter().take(DIFFERENCES) {
        screen.detail(format_args!("    {difference}"));
    }
    let checks = verification.checks.len();
    let seen = format!("{checks} checks, {} failed", verification.failed().count());
    screen.check("verify: the books agree with themselves", verification.is_clean(), seen);
    for check in verification.failed() {
        screen.title(&check.to_string());
    }
    play.stage.nobody_ended()
}

/// A table of who has what, its columns as wide as what stands in them.
fn wallets(play: &Play, compared: &Compared) -> Result<()> {
    let assets = SHOWN.into_iter().map(|code| play.cast.asset(code)).collect::<Result<Vec<Asset>>>()?;
    let cells = |owner: i64, purpose: &str| -> Vec<String> {
        let cell = |asset: &Asset| {
            let key = (owner, asset.code.clone(), purpose.to_owned());
            compared.actual.get(&key).map_or_else(|| "-".to_owned(), |(posted, _)| asset.format_signed(*posted))
        };
        assets.iter().map(cell).collect()
    };
    let mut rows = vec![("", assets.iter().map(|asset| asset.code.clone()).collect())];
    rows.extend(play.cast.people.iter().take(WALLETS).map(|person| (person.name, cells(person.id, "wallet"))));
    rows.push(("fees earned", cells(0, "fee")));
    rows.push(("outside", cells(0, "world")));
    let widths: Vec<usize> = (0..assets.len())
        .map(|column| rows.iter().filter_map(|(_, cells)| cells.get(column)).map(String::len).max().unwrap_or(0))
        .collect();
    for (name, cells) in rows {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}   "));
        play.screen.figure(name, cells.collect::<String>().trim_end());
    }
    Ok(())
}

/// Jobs that a rule refused, by reason.
fn refused(notes: &Notes) -> Vec<String> {
    let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
    for end in notes.ended.values() {
        if let End::Rejected(reason) = end {
            let count = reasons.entry(reason.clone()).or_default();
            *count = count.saturating_add(1);
        }
    }
    counts(&reasons)
}

/// The most frequent first.
fn counts(counts: &BTreeMap<String, u32>) -> Vec<String> {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    counts.into_iter().map(|(code, count)| format!("{count} {code}")).collect()
}

/// Deposits that wait for a person, and why.
async fn reviews(play: &Play) -> Result<Vec<String>> {
    let rows = sqlx::query!(
        r#"
        select review_reason as "reason!", count(*) as "count!" from deposit where state = 'review'
        group by review_reason order by review_reason
        "#
    )
    .fetch_all(&play.stage.private.owner)
    .await?;
    Ok(rows.into_iter().map(|row| format!("{} deposit: {}", row.count, row.reason)).collect())
}
