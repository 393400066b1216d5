//! The webhook of the payment provider: known by its signature and by nothing else.

use std::sync::{Arc, Mutex};

use ::api::Config;
use futures_util::future::join_all;
use outbox::Recorded;
use providers::nowpayments::{PayoutStatus, Secret};
use reqwest::Method;
use serde_json::json;
use simulators::nowpayments::{Payment, Payout, forge, sign};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

use crate::harness::{Call, Db, IPN_SECRET, Site, Traces, payment, until};

const PATH: &str = "/webhooks/nowpayments";

/// A callback with whatever stands in the signature header.
fn hooked(site: &Site, path: &str, body: &[u8], signature: &str) -> Call {
    let call = site.call(Method::POST, path).bearer(None).body("application/json", body.to_vec());
    call.header("x-nowpayments-sig", signature)
}

/// Collects the running count that the log gives with every callback that is refused.
struct Refusals(Arc<Mutex<Vec<u64>>>);

impl<S: Subscriber> Layer<S> for Refusals {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Count<'a>(&'a Mutex<Vec<u64>>);
        impl Visit for Count<'_> {
            fn record_u64(&mut self, field: &Field, value: u64) {
                if field.name() == "refused" {
                    self.0.lock().unwrap().push(value);
                }
            }
            fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
        }
        event.record(&mut Count(&self.0));
    }
}

/// `scenario raw_body_bypass`: no header, query or body makes up for a signature, and every
/// refusal is counted.
#[tokio::test]
async fn what_the_provider_did_not_sign_is_refused_counted_and_not_stored() {
    let counts = Arc::default();
    let _watching = tracing::subscriber::set_default(Registry::default().with(Refusals(Arc::clone(&counts))));
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let [user] = db.people().await;
    let before = db.traces().await;
    let body = payment(user, "btc", "0.5").body();
    let bytes = body.as_bytes();
    let good = sign(IPN_SECRET, bytes);
    let other = payment(user, "btc", "0.6").body();
    let call = |signature: &str| hooked(&site, PATH, bytes, signature);
    let long = format!(r#"{{"payment_id":1,"filler":"{}"}}"#, "x".repeat(64 * 1024));
    let twice = body.replacen('{', r#"{"payment_id":1,"#, 1);
    let cases = [
        ("no signature", site.hook(bytes), "401 missing_signature"),
        ("another secret's", call(&forge(IPN_SECRET, bytes)), "401 mismatch"),
        ("another body's", call(&sign(IPN_SECRET, other.as_bytes())), "401 mismatch"),
        ("that of nothing", call(&sign(IPN_SECRET, b"")), "401 mismatch"),
        ("an empty secret's", call(&sign("", bytes)), "401 mismatch"),
        ("only zeros", call(&"0".repeat(128)), "401 mismatch"),
        ("empty", call(""), "400 signature_length"),
        ("too short", call(&good[..126]), "400 signature_length"),
        ("of odd length", call(&good[..127]), "400 signature_length"),
        ("too long", call(&format!("{good}00")), "400 signature_length"),
        ("not hexadecimal", call(&good.replacen(|_| true, "g", 1)), "400 signature_not_hex"),
        ("not text", call(&"ä".repeat(64)), "400 signature_not_hex"),
        ("given twice", call(&good).header("x-nowpayments-sig", &good), "400 signature_not_hex"),
        ("good, in a query", site.hook(bytes), "401 missing_signature"),
        ("a changed body", hooked(&site, PATH, body.replace("0.5", "5.0").as_bytes(), &good), "401 mismatch"),
        ("two facts in a body", hooked(&site, PATH, twice.as_bytes(), &good), "400 duplicate_key"),
        ("a flag", hooked(&site, &format!("{PATH}?skip_signature=true&debug=1"), bytes, "0"), "400 signature_length"),
        ("no JSON", hooked(&site, PATH, b"nonsense", &good), "400 not_json"),
        ("no UTF-8", hooked(&site, PATH, b"\xff", &good), "400 not_utf8"),
        ("no body", hooked(&site, PATH, b"", &good), "400 not_json"),
    ];
    let refused = cases.len();
    for (what, call, refusal) in cases {
        let call = if refusal.ends_with("missing_signature") { call.without_signature() } else { call };
        let answer = call.answer().await;
        assert_eq!(answer.refusal(), refusal, "{what}: {answer:?}");
        assert_eq!(answer.header("www-authenticate").is_some(), answer.status == 401, "{what}");
    }
    // Too long is refused before anything is looked at, also when it is signed.
    let answer = hooked(&site, PATH, long.as_bytes(), &sign(IPN_SECRET, long.as_bytes())).answer().await;
    assert_eq!(answer.refusal(), "413 body_too_large");
    assert_eq!(db.traces().await, before);
    let counts: &Mutex<Vec<u64>> = &counts;
    let expected: Vec<u64> = (1..).take(refused).collect();
    assert_eq!(*counts.lock().unwrap(), expected, "every refusal is counted");
    assert_eq!(call(&good).answer().await.status, 200, "the same body with its signature is taken");
    db.drain().await;
    assert_eq!(db.wallet(user, "btc").await, "0.50000000");
    db.verified().await;
}

/// RULES 19: an authentic body is always stored and answered 200, whatever we think of it.
#[tokio::test]
async fn what_is_authentic_is_stored_whatever_it_says() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let payout = Payout {
        id: 1,
        batch_withdrawal_id: 2,
        status: PayoutStatus::Finished,
        currency: "btc".to_owned(),
        amount: "0.5".to_owned(),
        address: "nowhere".to_owned(),
        extra_id: None,
        fee: None,
        hash: None,
        error: None,
        updated_at: None,
    };
    let sound = payment(1, "btc", "0.5").body();
    let filler = |length: usize| format!(r#"{{"filler":"{}"}}"#, "x".repeat(length - 13));
    let before = db.traces().await;
    let bodies = [
        ("a payout", payout.body()),
        ("an unknown status", sound.replace("finished", "astonishing")),
        ("no payment id", sound.replace("\"payment_id\"", "\"payment_name\"")),
        ("a payment id of text", r#"{"payment_id":"seven","payment_status":"finished"}"#.to_owned()),
        ("a negative amount", sound.replace(r#""outcome_amount":0.5"#, r#""outcome_amount":-0.5"#)),
        ("both a payment and a payout", r#"{"payment_id":1,"batch_withdrawal_id":"2"}"#.to_owned()),
        ("something new", r#"{"subscription":{"id":7}}"#.to_owned()),
        ("a NUL", r#"{"payment_id":1,"payment_status":"\u0000"}"#.to_owned()),
        ("an array", "[1,2,3]".to_owned()),
        ("a number", "7".to_owned()),
        ("an empty object", "{}".to_owned()),
        ("as long as may be", filler(64 * 1024)),
    ];
    // What is about a payment and cannot be read becomes a job, which ends with a person.
    let unreadable = [
        "an unknown status",
        "no payment id",
        "a payment id of text",
        "a negative amount",
        "both a payment and a payout",
        "a NUL",
    ];
    let mut persons = 0;
    for (number, (what, body)) in (1..).zip(&bodies) {
        let answer = site.hook(body.as_bytes()).answer().await;
        assert_eq!((answer.status, &answer.body), (200, &json!({ "status": "stored" })), "{what}: {answer:?}");
        let stored = sqlx::query!("select body, signature, fact_key from ipn_inbox order by id desc limit 1");
        let stored = stored.fetch_one(&db.owner).await.unwrap();
        assert_eq!(stored.body.as_slice(), body.as_bytes(), "{what}");
        let to_a_person = stored.fact_key.is_some_and(|key| key.starts_with("unreadable:"));
        assert_eq!(to_a_person, unreadable.contains(what), "{what}");
        persons += i64::from(to_a_person);
        assert_eq!(stored.signature, sign(IPN_SECRET, body.as_bytes()), "{what}");
        let now = Traces {
            requests: before.requests + persons,
            jobs: before.jobs + persons,
            queued: before.queued + persons,
            callbacks: before.callbacks + number,
        };
        assert_eq!(db.traces().await, now, "{what}");
    }
    assert_eq!(i64::try_from(db.drain().await.parked).unwrap(), persons, "each lies with a person");
    db.verified().await;
}

/// The provider tells everything several times, at once, and in other words.
#[tokio::test]
async fn a_fact_that_is_told_many_times_is_credited_once() {
    let db = Db::new().await;
    let mut site = Site::new(&db).await;
    let other_site = Site::new(&db).await;
    let [user] = db.people().await;
    let before = db.traces().await;
    let paid = payment(user, "btc", "0.5");
    let reworded = Payment { updated_at_ms: Some(1_765_249_461_097), price_amount: "21".to_owned(), ..paid.clone() };
    let bodies = [paid.body(), reworded.body()];
    let told = (0..40).map(|number| {
        let site = if number % 4 < 2 { &site } else { &other_site };
        site.hook(bodies[number % 2].as_bytes()).answer()
    });
    assert!(join_all(told).await.iter().all(|answer| answer.status == 200));
    let after = db.traces().await;
    assert_eq!((after.callbacks, after.jobs), (before.callbacks + 40, before.jobs + 1), "every body is kept");
    site.employ(&db).await;
    until("it is credited", async || db.wallet(user, "btc").await == "0.50000000").await;
    // Spaces between the members are not what was signed; the sorted text is.
    let body = paid.body();
    let spaced = body.replace(',', ", ");
    let again = hooked(&site, PATH, spaced.as_bytes(), &sign(IPN_SECRET, body.as_bytes()));
    assert_eq!(again.answer().await.status, 200);
    assert_eq!(db.traces().await.jobs, before.jobs + 1);
    // The key names the fact and not the row of the inbox, so telling it again is no conflict.
    assert!(matches!(db.callback(&reworded).await, Recorded::Replay(_)));
    db.drain().await;
    assert_eq!(db.wallet(user, "btc").await, "0.50000000");
    db.verified().await;
}

#[tokio::test]
async fn without_a_secret_no_callback_is_taken() {
    let db = Db::new().await;
    let site = Site::with(&db, Config::new(db.api.clone(), Vec::new())).await;
    let body = payment(1, "btc", "0.5").body();
    let answer = site.hook(body.as_bytes()).answer().await;
    assert_eq!((answer.refusal().as_str(), answer.header("retry-after")), ("503 webhooks_not_configured", Some("1")));
    assert_eq!(db.traces().await.callbacks, 0);
}

/// While the secret is being rotated the provider may sign with either; afterwards with the new one.
#[tokio::test]
async fn a_secret_is_rotated_without_losing_a_callback() {
    let db = Db::new().await;
    let new = "the next secret";
    let site = async |secrets: &[&str]| {
        let secrets = secrets.iter().map(|text| Secret::new(text).unwrap()).collect();
        Site::with(&db, Config::new(db.pool("holdfast_api", 4).await, secrets)).await
    };
    let body = payment(1, "btc", "0.5").body();
    let told = async |site: &Site, secret: &str| {
        let call = hooked(site, PATH, body.as_bytes(), &sign(secret, body.as_bytes()));
        call.answer().await.refusal()
    };
    let before = site(&[IPN_SECRET]).await;
    assert_eq!(told(&before, IPN_SECRET).await, "200 no problem");
    assert_eq!(told(&before, new).await, "401 mismatch");
    let during = site(&[new, IPN_SECRET]).await;
    for secret in [IPN_SECRET, new] {
        assert_eq!(told(&during, secret).await, "200 no problem");
    }
    let after = site(&[new]).await;
    assert_eq!(told(&after, new).await, "200 no problem");
    assert_eq!(told(&after, IPN_SECRET).await, "401 mismatch");
    assert_eq!(db.traces().await.callbacks, 4);
}
