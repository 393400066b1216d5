//! The operator's commands, against the API of a site.

use jobs::PauseScope;

use super::api::operated;
use crate::cli::processes::{Ran, holdfast};
use crate::harness::{Db, Site, lock, pause, register, until};

async fn run(site: &Site, key: &str, command: &str) -> Ran {
    let url = format!("http://{}", site.address);
    holdfast(command, &[("HOLDFAST_URL", &url), ("HOLDFAST_KEY", key), ("HOLDFAST_LOG", "error")]).await
}

/// It does what it was asked, and says this.
async fn does(site: &Site, key: &str, command: &str, told: &str) {
    let ran = run(site, key, command).await;
    assert_eq!(ran.code, 0, "{command}: {ran:?}");
    assert!(ran.stdout.contains(told), "{command} does not say {told:?}: {ran:?}");
}

/// It fails, and says this on standard error.
async fn fails(site: &Site, key: &str, command: &str, code: i32, told: &str) {
    let ran = run(site, key, command).await;
    assert_eq!(ran.code, code, "{command}: {ran:?}");
    assert!(ran.stderr.contains(told), "{command} does not say {told:?}: {ran:?}");
    assert!(!ran.stderr.contains(key), "{command} shows the key: {ran:?}");
}

#[tokio::test]
async fn an_operator_pauses_and_resumes() {
    let (db, site, [ann, ben]) = operated().await;
    let paused =
        async || sqlx::query_scalar!(r#"select count(*) as "n!" from pause"#).fetch_one(&db.owner).await.unwrap();
    does(&site, &ann, "pause asset btc --reason stopped", "asset btc is paused").await;
    assert_eq!(paused().await, 1);
    does(&site, &ben, "pause asset btc --reason stopped", "was paused already").await;
    does(&site, &ben, "resume asset btc --reason again", "asset btc goes on").await;
    does(&site, &ben, "resume asset btc --reason again", "was not paused").await;
    assert_eq!(paused().await, 0);
    fails(&site, &ann, "pause kind payday --reason why", 1, "no such kind").await;
    fails(&site, &ann, "pause lane operate --reason why", 1, "no such lane").await;
    fails(&site, &ann, "pause asset btc", 2, "--reason").await;
    fails(&site, &ann, "pause planet earth --reason why", 2, "invalid value 'planet'").await;
    let reader = db.key(crate::harness::SUBMITTER, &["read"]).await;
    fails(&site, &reader, "pause asset btc --reason why", 1, "needs the scope operate").await;
    fails(&site, "hf_live_nonsense", "pause asset btc --reason why", 1, "HOLDFAST_KEY is not a key").await;
    let ran = holdfast("pause asset btc --reason why", &[]).await;
    ran.refuses_to_start("pause", "HOLDFAST_KEY is not set");
    let nowhere = [("HOLDFAST_URL", "http://127.0.0.1:1"), ("HOLDFAST_KEY", "k")];
    holdfast("parked list", &nowhere).await.refuses_to_start("parked list", "set HOLDFAST_URL");
    let no_url = [("HOLDFAST_URL", "127.0.0.1:1"), ("HOLDFAST_KEY", "k")];
    holdfast("parked list", &no_url).await.refuses_to_start("parked list", "is no address of an API");
    db.verified().await;
}

/// Somebody who has money, a parked lock of theirs and a parked registration.
async fn with_parked(db: &Db, site: &Site) -> [i64; 2] {
    let [seller, buyer] = site.people().await;
    site.fund(seller, "btc", "0.9").await;
    let paused = db.ask_as(crate::harness::SUBMITTER, pause(PauseScope::Lane, "ledger")).await;
    until("the lane is paused", async || db.outcome(paused).await == "settled").await;
    let jobs = [db.ask(lock(seller, buyer, "btc", "0.5")).await, db.ask(register(None)).await];
    for job in jobs {
        db.park(job, 0).await;
    }
    jobs
}

#[tokio::test]
async fn two_operators_decide_about_parked_jobs() {
    let (db, site, [ann, ben]) = operated().await;
    does(&site, &ann, "parked list", "nothing is parked").await;
    let [locked, registered] = with_parked(&db, &site).await;
    let listed = run(&site, &ann, "parked list").await.stdout;
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 3, "{listed}");
    assert!(lines[1].contains(&format!("{registered}  user-register")), "{listed}");
    assert!(lines[2].contains(&format!("{locked}  lock-escrow")) && lines[2].ends_with("a test"), "{listed}");
    does(&site, &ann, &format!("parked show {locked}"), "Cancelling it takes two principals").await;
    does(&site, &ann, &format!("parked retry {registered} --reason mended"), "back in the queue").await;
    let cancel = format!("parked cancel {locked} --reason mistaken");
    does(&site, &ann, &cancel, "nothing has changed yet").await;
    does(&site, &ann, &format!("parked show {locked}"), "a second one is awaited").await;
    fails(&site, &ann, &cancel, 1, "have another operator run the same command").await;
    does(&site, &ben, &cancel, "is cancelled").await;
    fails(&site, &ben, &cancel, 1, "`holdfast parked list` shows").await;
    fails(&site, &ben, "parked retry 999999 --reason why", 1, "No such job").await;
    does(&site, &ben, &format!("parked show {locked}"), "is not parked: it is cancelled").await;
    assert_eq!(db.outcome(registered).await, "queued");
    db.verified().await;
}
