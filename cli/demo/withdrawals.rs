use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::client::{Answer, Client, text};
use crate::failure::Failure;
use crate::key::{self, Create, Hours, Scope};

use super::Play;
use super::notes::Asked;

/// How long a request waits for what comes of it, in seconds.
const WAIT_S: u8 = 30;

/// Money that wants to leave: held at once, and let go only by others than who asked.
pub(crate) async fn scene(play: &mut Play) -> Result<()> {
    play.screen.scene("withdrawals", "held at once, approved by others than who asked and who receives");
    let gina = play.cast.id("Gina")?;
    let [one, two] = [operator(play, "desk one").await?, operator(play, "desk two").await?];

    let answer = play.ask("out-1", request(play, "20")?).await?;
    play.check("nobody knows Gina well enough to let her withdraw", &answer, 409, "kyc_limit");
    let body = json!({ "kyc": 3, "reason": "papers seen" });
    let answer = one.post(&format!("/v1/users/{gina}/flags"), "gina-known", Some(WAIT_S), &body).await?;
    play.check("an operator has seen her papers", &answer, 200, "");

    let small = play.done("out-2", request(play, "20")?).await?;
    let hash = content_hash(play, small).await?;
    let answer = approve(&play.stage.client, small, "out-2-self", &hash).await?;
    play.check("whoever asked cannot approve", &answer, 403, "scope_missing");
    let answer = approve(&one, small, "out-2-other", &"0".repeat(64)).await?;
    play.check("nor can anybody approve what they did not see", &answer, 409, "content_changed");
    let answer = approve(&one, small, "out-2-one", &hash).await?;
    play.check("an operator approves it", &answer, 200, "");
    state(play, small, "approved").await?;

    let large = play.done("out-3", request(play, "11000")?).await?;
    let hash = content_hash(play, large).await?;
    approve(&one, large, "out-3-one", &hash).await?;
    state(play, large, "awaiting_approval").await?;
    let answer = approve(&one, large, "out-3-one-again", &hash).await?;
    play.check("a large one needs two, and one is not two", &answer, 409, "already_approved");
    let answer = approve(&two, large, "out-3-two", &hash).await?;
    play.check("a second operator approves it", &answer, 200, "");
    state(play, large, "approved").await?;
    let answer = play.ask("out-3-off", Asked::CallOff { withdrawal: large, by: gina }).await?;
    play.check("until it is on its way, Gina may call it off", &answer, 200, "");
    Ok(())
}

/// Somebody who may operate: a principal and a key of their own.
async fn operator(play: &Play, name: &str) -> Result<Client> {
    let asked = Create { name: name.to_owned(), scopes: vec![Scope::Operate], expires: Some(Hours::DAY), user: None };
    let key = key::create(&play.stage.private.owner, &asked).await.map_err(Failure::into_error)?;
    Client::new(play.stage.client.base().to_owned(), key.secret)
}

fn request(play: &Play, amount: &str) -> Result<Asked> {
    let terms = play.cast.assets.by_code("usdttrc20").context("the registry has no usdttrc20")?;
    let (asset, amount) = play.cast.amount("usdttrc20", amount)?;
    Ok(Asked::Withdraw { user: play.cast.id("Gina")?, asset, amount, fee: terms.withdraw.fee })
}

async fn approve(client: &Client, withdrawal: i64, key: &str, hash: &str) -> Result<Answer> {
    let body = json!({ "content_hash": hash });
    client.post(&format!("/v1/withdrawals/{withdrawal}/approve"), key, Some(WAIT_S), &body).await
}

async fn document(play: &Play, withdrawal: i64) -> Result<Value> {
    play.stage.client.get(&format!("/v1/withdrawals/{withdrawal}")).await
}

async fn content_hash(play: &Play, withdrawal: i64) -> Result<String> {
    Ok(text(&document(play, withdrawal).await?, "content_hash").to_owned())
}

async fn state(play: &Play, withdrawal: i64, expected: &str) -> Result<()> {
    let document = document(play, withdrawal).await?;
    let state = text(&document, "state");
    play.screen.check(&format!("now it is {}", expected.replace('_', " ")), state == expected, state.to_owned());
    Ok(())
}
