//! Many at once: what they share must not let one harm another.

use ::api::Limits;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};
use tokio::task::JoinSet;

use super::{seller_and_buyer, trade_of};
use crate::harness::{Answer, Db, Site, until};

/// A balance of 0.37 and 200 locks of 0.01 at once, through two processes and two workers.
#[tokio::test]
async fn two_hundred_locks_of_a_balance_that_covers_thirty_seven() {
    let db = Db::new().await;
    let sites = [Site::working(&db).await, Site::working(&db).await];
    let [seller, buyer] = seller_and_buyer(&sites[0], "0.37").await;
    let body = trade_of(seller, buyer, "btc", "0.01");
    let locks = (0..200).map(|number| sites[number % 2].post("/v1/trades", &body).wait(30).answer());
    let answers = join_all(locks).await;
    let settled = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.refusal() == "409 insufficient_funds").count();
    assert_eq!((settled, refused), (37, 163));
    assert_eq!(sites[1].balance(seller, "btc").await, "available 0.00000000 of 0.37000000, owed 0.00000000");
    assert_eq!(db.wallet(seller, "btc").await, "0.37000000 held 0.37000000");
    db.verified().await;
}

/// Sites whose queue takes 21 jobs, while nothing can be committed.
struct Crowd {
    db: Db,
    site: Site,
    held: Transaction<'static, Postgres>,
    calls: JoinSet<(String, Answer)>,
}

/// Jobs that the site of a [`Crowd`] lets wait.
const ROOM: usize = 21;

impl Crowd {
    /// Two jobs wait for a lock that is held, each in a commit of its own, and 19 behind them for one of
    /// those commits; more than that are refused, which is how it is known that as many wait.
    async fn of(db: Db, keys: impl Iterator<Item = String>) -> Self {
        let site = Site::limited(&db, Limits { queue_jobs_max: 21, ..Limits::default() }).await;
        let mut held = db.owner.begin().await.unwrap();
        sqlx::raw_sql("lock table request in exclusive mode").execute(&mut *held).await.unwrap();
        let mut crowd = Self { db, site, held, calls: JoinSet::new() };
        for (key, waiting) in [("the first", 1), ("the second", 2)] {
            crowd.ask(key.to_owned());
            until("it waits for the lock", async || crowd.db.recorders_waiting().await == waiting).await;
        }
        for key in keys {
            crowd.ask(key);
        }
        while crowd.calls.len() > ROOM {
            let (_, answer) = crowd.calls.join_next().await.unwrap().unwrap();
            assert_eq!((answer.refusal().as_str(), answer.header("retry-after")), ("503 overloaded", Some("1")));
        }
        assert_eq!(crowd.db.recorders_waiting().await, 2);
        crowd
    }

    fn ask(&mut self, key: String) {
        let call = self.site.post("/v1/users", &json!({})).key(&key);
        self.calls.spawn(async move { (key, call.answer().await) });
    }

    /// Lets the lock go. The site, and what those heard who had waited.
    async fn heard(self) -> (Db, Site, Vec<(String, Answer)>) {
        self.held.rollback().await.unwrap();
        let answers = self.calls.join_all().await;
        assert_eq!(answers.len(), ROOM);
        (self.db, self.site, answers)
    }
}

#[tokio::test]
async fn what_waits_is_bounded_and_recorded_in_one_commit() {
    let crowd = Crowd::of(Db::new().await, (0..60).map(|number| format!("key {number}"))).await;
    let too_many = json!({ "jobs": [{ "kind": "user-register", "key": "one too many", "payload": {} }] });
    let refused = crowd.site.post("/v1/jobs:batch", &too_many).answer().await;
    assert_eq!(refused.refusal(), "503 overloaded");
    let (db, site, answers) = crowd.heard().await;
    assert!(answers.iter().all(|(_, answer)| answer.status == 202), "{answers:?}");
    let commits = sqlx::query_scalar!(r#"select count(distinct xmin::text) as "n!" from request"#);
    assert_eq!(commits.fetch_one(&db.owner).await.unwrap(), 3, "one for each of the first two, one for all others");
    let traces = db.traces().await;
    assert_eq!((traces.requests, traces.jobs, traces.queued), (21, 21, 21), "what was refused is not recorded");
    assert_eq!(site.post("/v1/jobs:batch", &too_many).answer().await.status, 202, "there is room again");
}

/// Lets no key in that begins with `text`, as if it could not be stored, or with `broken`, as if
/// it broke a rule. The API itself lets neither kind of data come this far.
const POISON: &str = "
    create function poison() returns trigger language plpgsql as $$ begin
        if new.key like 'text%' then raise exception 'poisoned' using errcode = '22P05'; end if;
        if new.key like 'broken%' then raise exception 'poisoned' using errcode = '23514'; end if;
        return new;
    end $$;
    create trigger poison before insert on request for each row execute function poison()";

/// RULES 5, `scenario poison_neighbour`: those who share a commit with what cannot be stored.
#[tokio::test]
async fn one_clients_poison_does_not_fail_another_clients_job() {
    let db = Db::new().await;
    db.sql(POISON).await;
    let kinds = ["good", "text", "good", "good", "broken"];
    let crowd = Crowd::of(db, (0..60).map(|number| format!("{} {number}", kinds[number % kinds.len()]))).await;
    let (db, site, answers) = crowd.heard().await;
    let mut seen = [0; 3];
    for (key, answer) in &answers {
        let (kind, expected) = match key.split(' ').next().unwrap() {
            "text" => (0, "422 text_not_storable"),
            "broken" => (1, "500 internal"),
            _ => (2, "202 no problem"),
        };
        seen[kind] += 1;
        assert_eq!(answer.refusal(), expected, "{key}: {answer:?}");
        assert!(!answer.body.to_string().contains("poisoned"), "{answer:?}");
    }
    assert!(seen.iter().all(|&count| count > 0), "all kinds met: {seen:?}");
    let traces = db.traces().await;
    assert_eq!((traces.requests, traces.jobs, traces.queued), (seen[2], seen[2], seen[2]));

    let item = |key: &str| json!({ "kind": "user-register", "key": key, "payload": {} });
    let keys = ["a", "text", "b", "broken", "c", "d", "text too"];
    let answer = site.post("/v1/jobs:batch", &json!({ "jobs": keys.map(item) })).answer().await;
    let told = |item: &Value| format!("{} {}", item["status"], item["error"]["code"]).replace('"', "");
    let told: Vec<String> = answer.body["jobs"].as_array().unwrap().iter().map(told).collect();
    let (text, broken) = ("invalid text_not_storable", "invalid internal");
    assert_eq!(told, ["new null", text, "new null", broken, "new null", "new null", text]);
}

/// A connection that breaks in mid commit: everybody hears that it is not known, nothing is half
/// recorded, and the same key is safe to send again.
#[tokio::test]
async fn weather_is_told_to_all_and_blamed_on_none() {
    let crowd = Crowd::of(Db::new().await, (0..60).map(|number| format!("key {number}"))).await;
    crowd
        .db
        .sql(
            "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and usename = 'holdfast_api' and wait_event_type = 'Lock'",
        )
        .await;
    let (db, site, answers) = crowd.heard().await;
    let (lost, kept): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, answer)| answer.status != 202);
    let mut keys: Vec<&str> = lost.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["the first", "the second"], "only what was in those commits: {lost:?}");
    for (_, answer) in &lost {
        assert_eq!((answer.refusal().as_str(), answer.header("retry-after")), ("503 database_unavailable", Some("1")));
    }
    assert_eq!(db.traces().await.requests, 19);
    for (key, answer) in &kept {
        let again = site.post("/v1/users", &json!({})).key(key).answer().await;
        assert_eq!((again.header("idempotency-replayed"), again.job()), (Some("true"), answer.job()));
    }
    for key in keys {
        let again = site.post("/v1/users", &json!({})).key(key).answer().await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (202, None));
    }
}
