//! Workers are killed at random and Postgres with them, while mixed jobs drain. At the end every
//! balance is what a naive model of the accepted requests says, to the last unit.
//!
//! The short form runs with the other tests. The long one, as in `docs/performance.md`:
//!
//! ```text
//! CHAOS_JOBS=50000 CHAOS_KILLS=50 CHAOS_CRASHES=5 cargo test --test tests chaos -- --nocapture
//! ```

mod load;
mod model;
mod site;
mod worker;

use rand::{RngExt, SeedableRng};

use site::Site;
use worker::Worker;

/// How much of everything; from the environment for the long form.
struct Scale {
    jobs: usize,
    kills: usize,
    crashes: usize,
}

impl Scale {
    #[expect(clippy::disallowed_methods, reason = "the long form of a test is asked for by its environment")]
    fn asked() -> Self {
        let number = |name: &str, short| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(short);
        Self { jobs: number("CHAOS_JOBS", 3_000), kills: number("CHAOS_KILLS", 8), crashes: number("CHAOS_CRASHES", 1) }
    }
}

/// What became of the workers.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    /// Kills that hit a worker whose transaction had written something.
    in_open_batch: usize,
    crashes: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_unit_is_lost_or_doubled_when_workers_and_postgres_are_killed() {
    let scale = Scale::asked();
    let site = Site::start().await;
    let queued = load::queue(&site, scale.jobs).await;
    let mut rng = rand::rngs::StdRng::seed_from_u64(7);
    let mut workers = vec![Worker::start(&site, 0), Worker::start(&site, 1)];
    let mut number = 2;
    let mut tally = Tally::default();

    let blows = scale.kills + scale.crashes;
    for blow in 1..=blows {
        // Spread over the whole drain: the n-th blow falls when n shares of the jobs have ended.
        site.until_ended(queued * blow / (blows + 1)).await;
        if blow % (blows / scale.crashes.max(1)).max(1) == 0 && tally.crashes < scale.crashes {
            site.crash_postgres().await;
            tally.crashes += 1;
            continue;
        }
        let victim = rng.random_range(0..workers.len());
        workers[victim].pause();
        tally.in_open_batch += usize::from(site.has_open_batch(&workers[victim]).await);
        workers[victim].kill();
        tally.kills += 1;
        workers[victim] = Worker::start(&site, number);
        number += 1;
    }
    site.until_ended(queued).await;
    for worker in &mut workers {
        worker.terminate().await;
    }

    let differences = model::differences(&site).await;
    #[expect(clippy::print_stdout, reason = "the run says how often a kill really hit an open batch")]
    {
        println!(
            "chaos: {queued} jobs, {} kills of which {} hit an open batch, {} crashes of Postgres, {} differences from the model",
            tally.kills,
            tally.in_open_batch,
            tally.crashes,
            differences.len(),
        );
    }
    assert!(differences.is_empty(), "the books differ from the model:\n{}", differences.join("\n"));
    site.verified().await;
    assert_eq!(site.parked().await, 0, "no job of the load needs a person");
    assert!(tally.in_open_batch > 0, "no kill hit an open batch, so this run proved nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_stopped_past_everything_wakes_up_and_does_no_harm() {
    let site = Site::start().await;
    let queued = load::queue(&site, 600).await;
    let mut sleeper = Worker::start(&site, 0);
    // Paused at a moment when it holds a batch; tried until one is hit.
    loop {
        sleeper.pause();
        if site.has_open_batch(&sleeper).await {
            break;
        }
        sleeper.wake();
        assert!(site.ended().await < queued, "the queue drained before the worker was caught in a batch");
    }
    // Its transaction is ended by the server, its heartbeat is missed, its jobs are taken over.
    let mut other = Worker::start(&site, 1);
    site.until_ended(queued).await;
    site.until_declared_dead(&sleeper).await;
    sleeper.wake();
    site.until_it_beats_again(&sleeper).await;
    sleeper.terminate().await;
    other.terminate().await;
    let differences = model::differences(&site).await;
    assert!(differences.is_empty(), "the books differ from the model:\n{}", differences.join("\n"));
    site.verified().await;
    assert_eq!(site.parked().await, 0, "waking up parks nothing");
}
