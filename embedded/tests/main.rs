//! A private Postgres through its public face.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cluster;
mod owners;

use std::time::{Duration, Instant};

use embedded::Cluster;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sqlx::{Connection, PgConnection};

async fn connect(cluster: &Cluster) -> PgConnection {
    PgConnection::connect(&cluster.url("postgres", "postgres")).await.unwrap()
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}

/// A process that has ended counts as dead even if its parent has not asked for its status.
fn alive(number: u32) -> bool {
    let zombie = std::fs::read_to_string(format!("/proc/{number}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    !zombie && test_kill_process(pid(number)).is_ok()
}

fn kill(number: u32) {
    kill_process(pid(number), Signal::KILL).unwrap();
}

/// Waits for a condition that no one can signal: something about other processes.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed().as_secs() < 30, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
