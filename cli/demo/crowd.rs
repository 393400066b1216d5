use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::client::{Client, id, text};

use super::Play;
use super::cast::Cast;
use super::deposits::{TRADED, is_funded};
use super::kill::{self, Killed};
use super::notes::Asked;
use super::screen::seconds;

/// Clients that work beside each other, each asking for its next wave when the last has ended.
const GROUPS: u32 = 8;
/// Of a hundred jobs of a group, so many are locks; as many are paid and as many closed.
const LOCKS_PERCENT: u32 = 28;
/// Jobs of one request, at most.
const REQUEST_MAX: usize = 250;
/// How often progress is looked at.
const TICK: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(5);

/// What the scene took.
#[derive(Clone, Debug)]
pub(crate) struct Crowd {
    pub(crate) jobs: u32,
    pub(crate) elapsed: Duration,
    pub(crate) killed: Killed,
}

impl Crowd {
    /// Jobs that ended in a second.
    pub(crate) fn jobs_per_second(&self) -> u128 {
        u128::from(self.jobs).saturating_mul(1000).checked_div(self.elapsed.as_millis()).unwrap_or(0)
    }
}

/// Many clients at once, and a worker that is killed in the middle of it.
pub(crate) async fn scene(play: &mut Play, jobs: u32) -> Result<Crowd> {
    play.screen.scene("crowd", format_args!("{jobs} mixed jobs in batches, from {GROUPS} clients at once"));
    let owner = play.stage.private.owner.clone();
    let before = kill::ended(&owner).await?;
    let began = Instant::now();
    let deadline = Duration::from_mins(1).saturating_add(Duration::from_millis(20).saturating_mul(jobs));
    let cast = Arc::new(play.cast.clone());
    let mut groups = JoinSet::new();
    for number in 0..GROUPS {
        let share = share_of(jobs, number);
        let group = Group {
            client: play.stage.client.clone(),
            owner: owner.clone(),
            cast: Arc::clone(&cast),
            random: StdRng::seed_from_u64(u64::from(number).saturating_add(100)),
            number,
            asked: Vec::new(),
            deadline: began.checked_add(deadline).context("the deadline is out of range")?,
        };
        groups.spawn(group.run(share));
    }
    let (middle, last) = (before.saturating_add(i64::from(jobs / 4)), before.saturating_add(i64::from(jobs)));
    let screen = &play.screen;
    let all = async {
        let mut asked = Vec::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                group = groups.join_next() => match group {
                    Some(group) => asked.extend(group??),
                    None => return Ok::<_, anyhow::Error>((asked, began.elapsed())),
                },
                _ = tick.tick() => {
                    let done = kill::ended(&owner).await?.saturating_sub(before);
                    screen.count(format_args!("{done} of {jobs} have an outcome, {}", seconds(began.elapsed())));
                }
            }
        }
    };
    let kill = async {
        let killed = kill::in_the_middle(&mut play.stage, middle, last).await?;
        let Killed { pid, held, successor } = killed;
        screen.detail(format_args!(
            "kill -9 {pid}, a worker with {held} jobs in hand; {successor} is started in its place"
        ));
        Ok(killed)
    };
    let ((asked, elapsed), killed) = tokio::try_join!(all, kill)?;
    play.stage.await_empty_queue().await?;
    ensure!(asked.len() == usize::try_from(jobs)?, "{} of {jobs} jobs were accepted", asked.len());
    play.notes.accepted.extend(asked);
    let crowd = Crowd { jobs, elapsed, killed };
    let rate = crowd.jobs_per_second();
    play.screen
        .detail(format_args!("every one of the {jobs} has its outcome after {}: {rate} jobs/s", seconds(elapsed)));
    Ok(crowd)
}

/// How many of the jobs a group asks for, so that the sum is exact.
fn share_of(jobs: u32, number: u32) -> u32 {
    let extra = u32::from(number < jobs % GROUPS);
    (jobs / GROUPS).saturating_add(extra)
}

/// A client with its own trades.
struct Group {
    client: Client,
    owner: PgPool,
    cast: Arc<Cast>,
    random: StdRng,
    number: u32,
    asked: Vec<(i64, Asked)>,
    deadline: Instant,
}

/// A trade as its client knows it.
#[derive(Clone, Copy)]
struct Deal {
    trade: i64,
    seller: i64,
    buyer: i64,
}

impl Group {
    /// Three waves: locks; payments; releases and refunds. Among them are requests that must be
    /// refused.
    async fn run(mut self, jobs: u32) -> Result<Vec<(i64, Asked)>> {
        let locks = (jobs.saturating_mul(LOCKS_PERCENT) / 100).max(1);
        let rest = jobs.saturating_sub(locks.saturating_mul(3));
        let extras = [rest / 3, rest / 3, rest.saturating_sub(rest / 3).saturating_sub(rest / 3)];

        let mut wave = Vec::new();
        for _ in 0..locks {
            wave.push(self.lock(1)?);
        }
        for number in 0..extras[0] {
            wave.push(if number.is_multiple_of(2) { self.newcomer()? } else { self.lock(1_000_000)? });
        }
        let first = self.wave(1, wave).await?;
        let deals: Vec<Deal> = first.iter().filter_map(Deal::of).take(usize::try_from(locks)?).collect();

        let paid = deals.iter().map(|deal| Asked::MarkPaid { trade: deal.trade, by: deal.buyer });
        let mut wave: Vec<Asked> = paid.collect();
        for number in 0..extras[1] {
            let deal = self.any(&deals)?;
            let stranger = self.anybody()?;
            wave.push(match number % 3 {
                0 => Asked::Release { trade: deal.trade, by: stranger },
                1 => Asked::MarkPaid { trade: deal.trade, by: deal.seller },
                _ => self.newcomer()?,
            });
        }
        self.wave(2, wave).await?;

        let mut wave = Vec::new();
        for (deal, number) in deals.iter().zip(0_u32..) {
            wave.push(if number % 3 == 2 {
                Asked::Refund { trade: deal.trade, by: deal.buyer }
            } else {
                Asked::Release { trade: deal.trade, by: deal.seller }
            });
        }
        for number in 0..extras[2] {
            let deal = self.any(&deals)?;
            wave.push(match number % 3 {
                0 => Asked::Refund { trade: deal.trade, by: deal.buyer },
                1 => Asked::Refund { trade: deal.trade, by: deal.seller },
                _ => Asked::Release { trade: deal.trade, by: deal.seller },
            });
        }
        self.wave(3, wave).await?;
        Ok(self.asked)
    }

    /// Asks for a wave in batches and waits until every job of it has an outcome.
    async fn wave(&mut self, wave: u32, jobs: Vec<Asked>) -> Result<Vec<(i64, Asked)>> {
        let mut accepted = Vec::with_capacity(jobs.len());
        for (chunk, batch) in jobs.chunks(REQUEST_MAX).zip(0_u32..) {
            let key = |number: u32| format!("crowd-{}-{wave}-{batch}-{number}", self.number);
            let items: Vec<_> = chunk.iter().zip(0..).map(|(asked, number)| asked.item(&key(number))).collect();
            let answers = self.client.batch(&items).await?;
            let mut ids = Vec::with_capacity(answers.len());
            for answer in &answers {
                ensure!(text(answer, "status") == "new", "a job of a batch was answered {answer}");
                ids.push(id(answer, "job_id").context("a new job has no id")?);
            }
            // A client whose connection broke sends it all again: that must be the same jobs.
            if self.number == 0 && batch == 0 {
                let again = self.client.batch(&items).await?;
                for (answer, known) in again.iter().zip(&ids) {
                    let is_replay = text(answer, "status") == "replay" && id(answer, "job_id") == Some(*known);
                    ensure!(is_replay, "job {known} was asked for again and answered {answer}");
                }
            }
            accepted.extend(ids.into_iter().zip(chunk.iter().cloned()));
        }
        self.await_outcomes(&accepted).await?;
        self.asked.extend(accepted.iter().cloned());
        Ok(accepted)
    }

    async fn await_outcomes(&self, jobs: &[(i64, Asked)]) -> Result<()> {
        let ids: Vec<i64> = jobs.iter().map(|(id, _)| *id).collect();
        let wanted = i64::try_from(ids.len())?;
        loop {
            let ended =
                sqlx::query_scalar!(r#"select count(*) as "ended!" from outcome where job_id = any ($1)"#, &ids);
            let ended = ended.fetch_one(&self.owner).await?;
            if ended == wanted {
                return Ok(());
            }
            if Instant::now() > self.deadline {
                bail!("{} of {wanted} jobs of a wave have no outcome yet", wanted.saturating_sub(ended));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A lock between two people, of so many thousandths of what a credit may be and some odd
    /// minor units, so that fees have something to round.
    fn lock(&mut self, factor: i128) -> Result<Asked> {
        let place = self.random.random_range(0..TRADED.len());
        let code = TRADED.get(place).context("nothing is traded")?;
        let (seller, buyer) = loop {
            let people = self.cast.people.len();
            let (seller, buyer) = (self.random.random_range(0..people), self.random.random_range(0..people));
            if seller != buyer && is_funded(seller, place) {
                break (self.person(seller)?, self.person(buyer)?);
            }
        };
        let terms = self.cast.assets.by_code(code).with_context(|| format!("the registry has no {code}"))?;
        let unit = terms.credit_max.minor() / 1000;
        let odd = self.random.random_range(1..1000_i128);
        let amount = unit.saturating_mul(factor).saturating_mul(self.random.random_range(1..=8)).saturating_add(odd);
        let amount = ledger::Amount::from_minor(amount)?;
        Ok(Asked::Lock { seller, buyer, asset: terms.asset.clone(), amount })
    }

    fn newcomer(&mut self) -> Result<Asked> {
        Ok(Asked::Register { referrer: Some(self.anybody()?) })
    }

    fn anybody(&mut self) -> Result<i64> {
        let number = self.random.random_range(0..self.cast.people.len());
        self.person(number)
    }

    fn person(&self, number: usize) -> Result<i64> {
        Ok(self.cast.people.get(number).context("there is nobody")?.id)
    }

    fn any(&mut self, deals: &[Deal]) -> Result<Deal> {
        let place = self.random.random_range(0..deals.len());
        deals.get(place).copied().context("there is no trade")
    }
}

impl Deal {
    fn of(accepted: &(i64, Asked)) -> Option<Self> {
        let (trade, Asked::Lock { seller, buyer, .. }) = accepted else {
            return None;
        };
        Some(Self { trade: *trade, seller: *seller, buyer: *buyer })
    }
}
