//! The same jobs by the libraries that people would take, at the best settings that a small search
//! finds, and by what a specialist would write by hand.
//!
//! Each gets a database of its own on the same server for each run, a copy of one in which everything
//! is prepared; its jobs are queued beforehand, and the server is at rest before the clock runs.

pub(crate) mod books;
pub(crate) mod by_hand;
mod contestant;
pub(crate) mod day;
pub(crate) mod pace;
mod toolbox;

use anyhow::{Context, Result, ensure};
use sqlx::PgPool;

use crate::peers::books::Books;
use crate::peers::contestant::{Contestant, MONEY, Mode, NOTHING, Runner, Settings};
use crate::peers::toolbox::Toolbox;
use crate::report::{Figure, Goal, Ratio, spread};
use crate::server::Server;
use crate::{Bench, queue_alone, settle};

/// Where a contestant's run takes place.
const DATABASE: &str = "peer";
/// A search tries each setting with one of so many of the jobs.
const SEARCHED: usize = 4;
/// With fewer jobs there is nothing to be seen.
const JOBS_MIN: usize = 200;

/// A contestant in the settings that suit it best, and its rounds.
struct Entrant {
    contestant: Contestant,
    settings: Settings,
    rates: Vec<f64>,
}

/// The whole money day, Holdfast and everybody in turns.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let (arena, mut entrants) = enter(bench, "peers", &MONEY).await?;
    let mut rates = Vec::new();
    for round in 1..=bench.sizes.rounds {
        // Who begins takes turns.
        if round % 2 == 0 {
            entrants.reverse();
            arena.round(bench, "peers", &mut entrants).await?;
            entrants.reverse();
        }
        rates.push(settle::round(bench, 2_000 + round).await?.jobs_per_second as f64);
        if round % 2 == 1 {
            arena.round(bench, "peers", &mut entrants).await?;
        }
    }
    let settings = format!("{} workers, batches of {}", bench.sizes.workers, bench.sizes.batch);
    let holdfast = [("holdfast".to_owned(), settings, rates)];
    let goals: [Compared; 4] = [
        ("the best library per job", Some(10.0), |it| it.is_library() && it.contestant.mode == Mode::PerJob),
        ("the best library in bulk", Some(2.0), |it| it.is_library() && it.contestant.mode == Mode::Bulk),
        ("the procedure by hand", Some(0.8), |it| !it.is_library() && it.contestant.mode == Mode::Bulk),
        ("the loop by hand", None, |it| !it.is_library() && it.contestant.mode == Mode::PerJob),
    ];
    note(bench, "peers", &arena, &holdfast, &entrants, &goals)
}

/// Claiming and completing alone, with nothing between.
pub(crate) async fn noop(bench: &mut Bench) -> Result<()> {
    let (arena, mut entrants) = enter(bench, "noop", &NOTHING).await?;
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for round in 1..=bench.sizes.rounds {
        if round % 2 == 0 {
            entrants.reverse();
            arena.round(bench, "noop", &mut entrants).await?;
            entrants.reverse();
        }
        one.push(queue_alone::rate(&bench.server, arena.jobs, bench.sizes.batch, 1).await?);
        two.push(queue_alone::rate(&bench.server, arena.jobs, bench.sizes.batch, 2).await?);
        if round % 2 == 1 {
            arena.round(bench, "noop", &mut entrants).await?;
        }
    }
    bench.report.skipped("noop", "River", "it is a library of Go, for which this bench has no toolchain")?;
    let named = |connections: &str, rates| {
        (
            format!("holdfast, {connections}"),
            format!("batches of {}, with outcomes; called by the bench, without a worker process", bench.sizes.batch),
            rates,
        )
    };
    let holdfast = [named("one connection", one), named("two connections", two)];
    let goals: [Compared; 1] = [("the best library", Some(1.0), Entrant::is_library)];
    note(bench, "noop", &arena, &holdfast, &entrants, &goals)
}

/// Who Holdfast is divided by, the least that should come out, and who is among them.
type Compared = (&'static str, Option<f64>, fn(&Entrant) -> bool);

impl Entrant {
    const fn is_library(&self) -> bool {
        matches!(self.contestant.runner, Runner::Library(_))
    }
}

/// What contestants run with.
struct Arena {
    toolbox: Toolbox,
    jobs: usize,
}

/// Prepares the load and finds everybody's best settings; those who cannot run are noted as such.
async fn enter(bench: &mut Bench, measure: &'static str, contestants: &[Contestant]) -> Result<(Arena, Vec<Entrant>)> {
    let jobs = bench.sizes.jobs;
    day::prepare(&bench.server, jobs, bench.sizes.people).await.context("preparing the load of the peers")?;
    let arena = Arena { toolbox: Toolbox::install().await, jobs };
    let mut entrants = Vec::new();
    for contestant in contestants {
        if let Runner::Library(program) = contestant.runner
            && let Some(why) = arena.toolbox.missing(program)
        {
            bench.report.skipped(measure, contestant.name, &why)?;
            continue;
        }
        match arena.search(&bench.server, *contestant, bench.sizes.rounds > 1).await? {
            Ok(settings) => entrants.push(Entrant { contestant: *contestant, settings, rates: Vec::new() }),
            Err(why) => bench.report.skipped(measure, contestant.name, &format!("{why:#}"))?,
        }
    }
    Ok((arena, entrants))
}

impl Arena {
    /// How many of the jobs a contestant is given.
    fn given(&self, contestant: &Contestant) -> usize {
        (self.jobs / contestant.share).max(JOBS_MIN).min(self.jobs)
    }

    /// The best of a contestant's settings, or the likeliest where nothing is searched.
    async fn search(&self, server: &Server, contestant: Contestant, all: bool) -> Result<Result<Settings>> {
        let jobs = (self.given(&contestant) / SEARCHED).max(JOBS_MIN).min(self.jobs);
        let tried = if all { contestant.candidates } else { contestant.candidates.get(..1).unwrap_or_default() };
        let mut best = None;
        let under_way = |settings: &&Settings| match contestant.mode {
            Mode::Bulk => usize::from(settings.at_once) * usize::from(settings.batch),
            Mode::PerJob | Mode::Noop | Mode::NoopBulk => 0,
        };
        for settings in tried.iter().filter(|settings| under_way(settings) <= day::under_way_max(self.jobs)) {
            let rate = match self.run(server, contestant, *settings, jobs, &mut Books::default()).await? {
                Ok(rate) => rate,
                Err(why) => return Ok(Err(why)),
            };
            eprintln!("{}, {}: {rate:.0} jobs/s", contestant.name, settings.text());
            if best.is_none_or(|(most, _)| rate > most) {
                best = Some((rate, *settings));
            }
        }
        Ok(Ok(best.context("a contestant without settings")?.1))
    }

    /// Everybody once; who does not get through is noted as such, and left out from then on.
    async fn round(&self, bench: &mut Bench, measure: &'static str, entrants: &mut Vec<Entrant>) -> Result<()> {
        let mut books = Books::default();
        for mut entrant in std::mem::take(entrants) {
            let (contestant, jobs) = (entrant.contestant, self.given(&entrant.contestant));
            match self.run(&bench.server, contestant, entrant.settings, jobs, &mut books).await? {
                Ok(rate) => {
                    entrant.rates.push(rate);
                    entrants.push(entrant);
                }
                Err(why) => bench.report.skipped(measure, contestant.name, &format!("{why:#}"))?,
            }
        }
        Ok(())
    }

    /// Jobs per second of one run, or why it did not get through. Books that do not agree are an error.
    async fn run(
        &self,
        server: &Server,
        contestant: Contestant,
        settings: Settings,
        jobs: usize,
        books: &mut Books,
    ) -> Result<Result<f64>> {
        let db = server.database(DATABASE, Some(day::TEMPLATE)).await?;
        let seconds = match self.drain(&db, &server.url("postgres", DATABASE), contestant, settings, jobs).await {
            Ok(seconds) => seconds,
            Err(why) if contestant.runner == Runner::ByHand => return Err(why),
            Err(why) => return Ok(Err(why)),
        };
        if contestant.posts() {
            books.check(&db, contestant.name, jobs, contestant.keeps()).await?;
        }
        db.close().await;
        Ok(Ok(jobs as f64 / seconds))
    }

    /// Seconds from the first fetch to the last commit.
    async fn drain(
        &self,
        db: &PgPool,
        url: &str,
        contestant: Contestant,
        settings: Settings,
        jobs: usize,
    ) -> Result<f64> {
        let Runner::Library(program) = contestant.runner else {
            let by_hand = contestant.by_hand(settings);
            by_hand.queue(db, jobs).await?;
            rest(db).await?;
            return by_hand.run(url, settings.at_once).await;
        };
        let numbers = [usize::from(settings.at_once), usize::from(settings.batch), jobs];
        let arguments = std::iter::once(contestant.mode.word().to_owned());
        let arguments: Vec<String> = arguments.chain(numbers.map(|number| number.to_string())).collect();
        let running = self.toolbox.start(program, url, &arguments).await?;
        rest(db).await?;
        let (seconds, ended) = running.go().await?;
        ensure!(ended == jobs, "it ended {ended} of {jobs} jobs");
        Ok(seconds)
    }
}

/// Nothing of the preparation is left to be done while the clock runs.
pub(crate) async fn rest(db: &PgPool) -> Result<()> {
    for maintenance in ["vacuum analyze", "checkpoint"] {
        sqlx::raw_sql(maintenance).execute(db).await?;
    }
    Ok(())
}

/// Notes what everybody did, and Holdfast's best divided by the best of each sort.
fn note(
    bench: &mut Bench,
    measure: &'static str,
    arena: &Arena,
    holdfast: &[(String, String, Vec<f64>)],
    entrants: &[Entrant],
    goals: &[Compared],
) -> Result<()> {
    let unit = "jobs/s";
    for (contestant, settings, rounds) in holdfast {
        let settings = format!("{} jobs, {settings}", arena.jobs);
        let (contestant, rounds) = (contestant.clone(), rounds.clone());
        bench.report.figure(&Figure { measure, contestant, unit, rounds, settings, lacks: "" }, None)?;
    }
    for entrant in entrants {
        let settings = format!("{} jobs, {}", arena.given(&entrant.contestant), entrant.settings.text());
        let (contestant, lacks) = (entrant.contestant.name.to_owned(), entrant.contestant.lacks);
        let rounds = entrant.rates.clone();
        bench.report.figure(&Figure { measure, contestant, unit, rounds, settings, lacks }, None)?;
    }
    let median = |rates: &[f64]| spread(rates).0;
    let Some((_, _, ours)) = holdfast.iter().max_by(|a, b| median(&a.2).total_cmp(&median(&b.2))) else {
        return Ok(());
    };
    for (what, least, among) in goals {
        let among = entrants.iter().filter(|entrant| among(entrant));
        let Some(than) = among.max_by(|a, b| median(&a.rates).total_cmp(&median(&b.rates))) else { continue };
        let rounds = ours.iter().zip(&than.rates).map(|(ours, theirs)| ours / theirs).collect();
        let of = format!("holdfast ÷ {what} ({})", than.contestant.name);
        bench.report.ratio(&Ratio { measure, of, rounds, goal: least.map(Goal::Least) })?;
    }
    Ok(())
}
