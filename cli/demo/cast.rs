use anyhow::{Context, Result};
use jobs::Assets;
use ledger::{Amount, Asset};
use settlement::load_assets;
use sqlx::PgPool;

use super::Play;
use super::fan_out::fan_out;
use super::notes::Asked;

const NAMES: [&str; 40] = [
    "Ann", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gina", "Hugo", "Ida", "Jan", "Kira", "Leo", "Mia", "Noah", "Olga",
    "Paul", "Quinn", "Rosa", "Sam", "Tina", "Uma", "Vito", "Wanda", "Xaver", "Yara", "Zeno", "Alma", "Boris", "Cora",
    "Dirk", "Elsa", "Fred", "Greta", "Hans", "Iris", "Jonas", "Karin", "Lars", "Maja", "Nils",
];
/// Those who come first and bring others.
const REFERRERS: usize = 10;

/// Somebody who trades. The name is for the screen: Holdfast knows people by their id alone.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: i64,
    pub(crate) name: &'static str,
}

/// Who trades what.
#[derive(Clone, Debug)]
pub(crate) struct Cast {
    pub(crate) people: Vec<Person>,
    /// The registry of the database.
    pub(crate) assets: Assets,
}

impl Cast {
    /// Nobody yet, with the assets of the database.
    pub(crate) async fn empty(owner: &PgPool) -> Result<Self> {
        Ok(Self { people: Vec::new(), assets: load_assets(owner).await? })
    }

    /// An asset by its code.
    pub(crate) fn asset(&self, code: &str) -> Result<Asset> {
        let terms = self.assets.by_code(code).with_context(|| format!("the registry has no {code}"))?;
        Ok(terms.asset.clone())
    }

    /// An amount as people write it.
    pub(crate) fn amount(&self, code: &str, text: &str) -> Result<(Asset, Amount)> {
        let asset = self.asset(code)?;
        let amount = asset.parse(text)?;
        Ok((asset, amount))
    }

    /// The person of that name.
    pub(crate) fn id(&self, name: &str) -> Result<i64> {
        let person = self.people.iter().find(|person| person.name == name);
        Ok(person.with_context(|| format!("nobody is called {name}"))?.id)
    }
}

/// Registers everybody: those who bring others first, then those whom they bring.
pub(crate) async fn scene(play: &mut Play) -> Result<()> {
    let (first, others) = NAMES.split_at(REFERRERS);
    let plain = first.iter().map(|name| (*name, None)).collect();
    register(play, plain).await?;
    let referrers: Vec<i64> = play.cast.people.iter().map(|person| person.id).collect();
    // Every second one was brought by somebody.
    let brought = referrers.iter().copied().cycle().map(Some).zip(0_u32..);
    let others: Vec<(&'static str, Option<i64>)> = others
        .iter()
        .zip(brought)
        .map(|(name, (referrer, number))| (*name, referrer.filter(|_| number.is_multiple_of(2))))
        .collect();
    let count = others.iter().filter(|(_, referrer)| referrer.is_some()).count();
    register(play, others).await?;
    // As they are listed above, whoever was answered first.
    play.cast.people.sort_by_key(|person| NAMES.iter().position(|name| *name == person.name));
    let people = play.cast.people.len();
    play.screen.scene("people", format_args!("{people} people registered, {count} of them brought by another"));
    Ok(())
}

async fn register(play: &mut Play, people: Vec<(&'static str, Option<i64>)>) -> Result<()> {
    let client = play.stage.client.clone();
    let registered = fan_out(people, move |(name, referrer)| {
        let client = client.clone();
        async move {
            let asked = Asked::Register { referrer };
            let answer = asked.send(&client, &format!("register-{name}")).await?;
            Ok((name, asked, answer))
        }
    });
    for (name, asked, answer) in registered.await? {
        if answer.status != 200 {
            return Err(answer.unexpected("a registration"));
        }
        play.cast.people.push(Person { id: answer.id()?, name });
        play.notes.answered(asked, &answer)?;
    }
    play.notes.quiet();
    Ok(())
}
