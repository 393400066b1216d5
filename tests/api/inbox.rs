//! Callbacks that wait for one that is being stored are stored together, and each is answered as if it had come alone.

use ::api::Limits;
use simulators::nowpayments::Payment;
use tokio::task::JoinSet;

use crate::harness::{Answer, Db, Site, payment, until};

/// About nothing that a job acts on.
const OTHER: &str = r#"{"subscription":{"id":7}}"#;

/// Tells all of them at once; the first is being stored while the others come. The site, the one for which there was no
/// room and which came again alone, and what was answered.
async fn told_at_once(db: &Db, bodies: &[String]) -> (Site, String, Vec<(String, Answer)>) {
    let limits = Limits { queue_jobs_max: u32::try_from(bodies.len()).unwrap(), ..Limits::default() };
    let site = Site::limited(db, limits).await;
    let mut held = db.owner.begin().await.unwrap();
    sqlx::raw_sql("lock table ipn_inbox in exclusive mode").execute(&mut *held).await.unwrap();
    let mut calls = JoinSet::new();
    let mut tell = |body: String| {
        let call = site.hook(body.as_bytes());
        calls.spawn(async move { (body, call.answer().await) });
    };
    tell(bodies[0].clone());
    until("it is being stored", async || db.recorders_waiting().await == 1).await;
    for body in &bodies[1..] {
        tell(body.clone());
    }
    // There is room for as many and no more: whoever is refused says that the others wait.
    tell(OTHER.to_owned());
    let (refused, answer) = calls.join_next().await.unwrap().unwrap();
    assert_eq!(answer.refusal(), "503 overloaded");
    held.rollback().await.unwrap();
    let mut heard = calls.join_all().await;
    let again = site.hook(refused.as_bytes()).answer().await;
    heard.push((refused.clone(), again));
    (site, refused, heard)
}

/// How many callbacks are stored, and in how many commits.
async fn stored(db: &Db) -> (i64, i64) {
    let counts = "select count(*), count(distinct xmin::text) from ipn_inbox";
    sqlx::query_as(counts).fetch_one(&db.owner).await.unwrap()
}

#[tokio::test]
async fn what_comes_meanwhile_is_stored_together() {
    let db = Db::new().await;
    let people: [i64; 5] = db.people().await;
    let paid: Vec<Payment> = people.iter().map(|person| payment(*person, "btc", "0.5")).collect();
    // Some are told twice.
    let bodies: Vec<String> = paid.iter().chain(&paid[..3]).map(Payment::body).collect();
    let (_site, _, heard) = told_at_once(&db, &bodies).await;
    assert!(heard.iter().all(|(_, answer)| answer.status == 200), "{heard:?}");
    let (callbacks, commits) = stored(&db).await;
    assert_eq!(callbacks, 9, "every body is kept");
    // The first, those behind it in one commit or, if they have waited long, in two, and the one that was refused.
    assert!(commits <= 4, "{commits} commits");
    assert_eq!(db.drain().await.settled, 5);
    for person in people {
        assert_eq!(db.wallet(person, "btc").await, "0.50000000");
    }
    db.verified().await;
}

/// Its job breaks a rule of the database: it is stored without it, told to come again, and harms nobody else.
#[tokio::test]
async fn one_whose_job_cannot_be_recorded_is_stored_alone() {
    // If it is the one that came again alone, nothing is shown of a round.
    while !is_stored_alone().await {}
}

/// Whether it was in one round with others.
async fn is_stored_alone() -> bool {
    let db = Db::new().await;
    let people: [i64; 6] = db.people().await;
    let paid: Vec<Payment> = people.iter().map(|person| payment(*person, "btc", "0.5")).collect();
    let broken = &paid[3];
    let rule = format!("alter table request add constraint no_such check (key not like '%{}%')", broken.payment_id);
    db.sql(&rule).await;
    let bodies: Vec<String> = paid.iter().map(Payment::body).collect();
    let (site, alone, heard) = told_at_once(&db, &bodies).await;
    for (body, answer) in &heard {
        let expected = if *body == broken.body() { "500 internal" } else { "200 no problem" };
        assert_eq!(answer.refusal(), expected, "{body}");
    }
    assert_eq!(stored(&db).await.0, 7, "every body is kept");
    assert_eq!(db.drain().await.settled, 5);
    db.sql("alter table request drop constraint no_such").await;
    // The provider was not answered 200, and tells it again.
    site.told(broken).await;
    assert_eq!(db.drain().await.settled, 1);
    for person in people {
        assert_eq!(db.wallet(person, "btc").await, "0.50000000");
    }
    db.verified().await;
    alone != broken.body()
}
