use anyhow::{Context, Result};
use jobs::{UserId, order_id_of};
use ledger::{Amount, Asset};
use providers::nowpayments::PaymentStatus;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simulators::nowpayments::{Payment, forge, sign};

use crate::client::{Answer, text};

use super::Play;
use super::fan_out::fan_out;
use super::notes::Deposit;

/// What people trade; everybody has three of the four.
pub(crate) const TRADED: [&str; 4] = ["btc", "eth", "ltc", "usdttrc20"];

/// Whether the person of that number is given what stands at that place of [`TRADED`].
pub(crate) fn is_funded(person: usize, place: usize) -> bool {
    person.checked_rem(TRADED.len()) != Some(place)
}
/// What the special cases are paid in, so that the balance shows them and nothing else.
const SPECIAL: &str = "doge";
const FIRST_PAYMENT: u64 = 5_500_000_001;

/// Funds everybody, and sends what providers send on bad days.
pub(crate) async fn scene(play: &mut Play) -> Result<()> {
    let mut next_payment = FIRST_PAYMENT..;
    let mut random = StdRng::seed_from_u64(1);
    let mut deposits = Vec::new();
    for (person, number) in play.cast.people.iter().zip(0_usize..) {
        for (code, place) in TRADED.into_iter().zip(0_usize..) {
            if !is_funded(number, place) {
                continue;
            }
            let asset = play.cast.asset(code)?;
            let amount = large_amount(play, code, &mut random)?;
            let payment_id = next_payment.next().context("payment ids ran out")?;
            deposits.push(Deposit { payment_id, user: person.id, asset, amount });
        }
    }
    let count = deposits.len();
    let (client, secret) = (play.stage.client.clone(), play.stage.ipn_secret.clone());
    let posted = fan_out(deposits.clone(), move |deposit| {
        let (client, body) = (client.clone(), deposit.payment().body());
        let signature = sign(&secret, body.as_bytes());
        async move { client.callback(body, &signature).await }
    });
    for answer in posted.await? {
        if answer.status != 200 {
            return Err(answer.unexpected("a signed callback"));
        }
    }
    play.notes.deposits.extend(deposits);
    play.stage.await_empty_queue().await?;
    play.screen.scene("deposits", format_args!("{count} signed callbacks of the payment provider, credited"));
    told_twice(play, &mut next_payment).await?;
    told_backwards(play, &mut next_payment).await?;
    partly_paid(play, &mut next_payment).await?;
    not_credited(play, &mut next_payment).await
}

/// Between a quarter and a half of the largest credit that needs no person.
fn large_amount(play: &Play, code: &str, random: &mut StdRng) -> Result<Amount> {
    let terms = play.cast.assets.by_code(code).with_context(|| format!("the registry has no {code}"))?;
    let most = terms.credit_max.minor();
    Ok(Amount::from_minor(random.random_range(most / 4..most / 2))?)
}

impl Deposit {
    /// The callback that tells that it arrived.
    fn payment(&self) -> Payment {
        let order_id = order_id_of(UserId(self.user));
        Payment::finished(self.payment_id, &order_id, &self.asset.format(self.amount), &self.asset.code)
    }
}

async fn told_twice(play: &mut Play, ids: &mut impl Iterator<Item = u64>) -> Result<()> {
    let deposit = special(play, ids, "Ann", "1000")?;
    let first = post(play, &deposit.payment()).await?;
    let second = post(play, &deposit.payment()).await?;
    play.stage.await_empty_queue().await?;
    let credited = posted(play, &deposit).await?;
    let right = (first.status, second.status, &credited) == (200, 200, &deposit.text());
    let seen = format!("200 and 200, credited {credited}");
    play.notes.deposits.push(deposit);
    play.screen.check("the same callback twice is one credit", right, seen);
    Ok(())
}

async fn told_backwards(play: &mut Play, ids: &mut impl Iterator<Item = u64>) -> Result<()> {
    let deposit = special(play, ids, "Ben", "500")?;
    let finished = deposit.payment();
    let waiting = Payment {
        status: PaymentStatus::Waiting,
        actually_paid: "0".to_owned(),
        outcome_amount: None,
        outcome_currency: None,
        ..finished.clone()
    };
    for payment in [&finished, &waiting] {
        let answer = post(play, payment).await?;
        if answer.status != 200 {
            return Err(answer.unexpected("a callback out of order"));
        }
        play.stage.await_empty_queue().await?;
    }
    let credited = posted(play, &deposit).await?;
    play.screen.check(
        "finished before waiting is one credit",
        credited == deposit.text(),
        format!("credited {credited}"),
    );
    play.notes.deposits.push(deposit);
    Ok(())
}

async fn partly_paid(play: &mut Play, ids: &mut impl Iterator<Item = u64>) -> Result<()> {
    let deposit = special(play, ids, "Cleo", "640")?;
    let payment = Payment {
        status: PaymentStatus::PartiallyPaid,
        price_amount: "80".to_owned(),
        pay_amount: "800".to_owned(),
        ..deposit.payment()
    };
    let answer = post(play, &payment).await?;
    play.stage.await_empty_queue().await?;
    let credited = posted(play, &deposit).await?;
    let right = answer.status == 200 && credited == deposit.text();
    play.screen.check("640 of 800 paid credits what arrived", right, format!("credited {credited}"));
    play.notes.deposits.push(deposit);
    Ok(())
}

async fn not_credited(play: &mut Play, ids: &mut impl Iterator<Item = u64>) -> Result<()> {
    let deposit = special(play, ids, "Dan", "700")?;
    let body = deposit.payment().body();
    let forged = forge(&play.stage.ipn_secret, body.as_bytes());
    let answer = play.stage.client.callback(body, &forged).await?;
    play.notes.turn_away(answer.code());
    play.check("a forged signature is turned away", &answer, 401, "mismatch");

    let stranger = Payment { order_id: Some("user-999999".to_owned()), ..special(play, ids, "Dan", "50")?.payment() };
    let answer = post(play, &stranger).await?;
    play.check("an order id of nobody is kept for a person", &answer, 200, "");

    let large = special(play, ids, "Dan", "600000")?.payment();
    let answer = post(play, &large).await?;
    play.check("a credit above the asset's bound is too", &answer, 200, "");
    play.stage.await_empty_queue().await?;
    let credited = posted(play, &deposit).await?;
    play.screen.check(
        "none of the three is credited",
        credited.is_empty(),
        if credited.is_empty() { "0" } else { &credited },
    );
    Ok(())
}

fn special(play: &Play, ids: &mut impl Iterator<Item = u64>, name: &str, amount: &str) -> Result<Deposit> {
    let (asset, amount) = play.cast.amount(SPECIAL, amount)?;
    let payment_id = ids.next().context("payment ids ran out")?;
    Ok(Deposit { payment_id, user: play.cast.id(name)?, asset, amount })
}

async fn post(play: &Play, payment: &Payment) -> Result<Answer> {
    let body = payment.body();
    let signature = sign(&play.stage.ipn_secret, body.as_bytes());
    play.stage.client.callback(body, &signature).await
}

/// What its person has of its asset; empty for those who never had any.
async fn posted(play: &Play, deposit: &Deposit) -> Result<String> {
    let document = play.stage.client.get(&format!("/v1/users/{}/balances", deposit.user)).await?;
    let balances = document.get("balances").and_then(serde_json::Value::as_array);
    let balance = balances.into_iter().flatten().find(|balance| text(balance, "asset") == deposit.asset.code);
    Ok(balance.map(|balance| format!("{} {}", text(balance, "posted"), deposit.asset.code)).unwrap_or_default())
}

impl Deposit {
    fn text(&self) -> String {
        describe(&self.asset, self.amount)
    }
}

/// An amount with its asset.
pub(crate) fn describe(asset: &Asset, amount: Amount) -> String {
    format!("{} {}", asset.format(amount), asset.code)
}
