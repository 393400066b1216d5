//! `holdfast demo`: an exchange in a minute. The API and two workers run as processes of their
//! own on a private Postgres; everything is asked over HTTP; at the end every balance is compared
//! with an independent model of what was accepted.

mod books;
mod cast;
mod clock;
mod crowd;
mod deposits;
mod fan_out;
mod kill;
mod notes;
mod process;
mod race;
mod screen;
mod stage;
mod summary;
mod trades;
mod withdrawals;

use anyhow::{Result, anyhow};
use integrity::verify;

use crate::client::Answer;
use crate::config;
use crate::failure::{Failure, chain};
use crate::stop::Stop;

use cast::Cast;
use notes::{Asked, Notes};
use screen::Screen;
use stage::Stage;

/// `holdfast demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Leave everything running after the summary, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Jobs of the scene in which a worker is killed
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..=200_000))]
    jobs: u32,
    /// Show what the processes log, on standard error
    #[arg(long)]
    verbose: bool,
}

/// Everything that a scene needs.
#[derive(Debug)]
struct Play {
    stage: Stage,
    screen: Screen,
    notes: Notes,
    cast: Cast,
}

/// Plays every scene, and takes everything away again, however it ends.
///
/// # Errors
/// It cannot start, was interrupted, or a balance differs from the model by the least unit.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    config::refuse_production("holdfast demo")?;
    let stop = Stop::listen(false)?;
    let screen = Screen::new();
    screen.title("holdfast demo: the API and two workers, processes of their own, on a private Postgres");
    let stage = tokio::select! {
        stage = Stage::start(&screen, arguments.verbose) => stage?,
        () = stop.ordered() => return Err(interrupted()),
    };
    let cast = match Cast::empty(&stage.private.owner).await {
        Ok(cast) => cast,
        Err(error) => {
            stage.end().await?;
            return Err(error.into());
        }
    };
    let mut play = Play { stage, screen, notes: Notes::default(), cast };
    let played = tokio::select! {
        played = play.scenes(arguments.jobs) => Some(played),
        () = stop.ordered() => None,
    };
    let result = match played {
        Some(Ok(())) => play.verdict(),
        Some(Err(error)) => {
            play.screen.clear_line();
            eprintln!("{}", chain(&error));
            play.stage.show_logs();
            Err(Failure::Told)
        }
        None => {
            play.screen.clear_line();
            Err(interrupted())
        }
    };
    if arguments.keep && result.is_ok() {
        play.keep(&stop).await;
    }
    let ended = play.stage.end().await;
    result?;
    Ok(ended?)
}

fn interrupted() -> Failure {
    Failure::Failed(anyhow!("interrupted"))
}

impl Play {
    async fn scenes(&mut self, jobs: u32) -> Result<()> {
        cast::scene(self).await?;
        deposits::scene(self).await?;
        trades::scene(self).await?;
        race::scene(self).await?;
        withdrawals::scene(self).await?;
        let crowd = crowd::scene(self, jobs).await?;
        // Last, since it moves the clock for everybody.
        clock::scene(self).await?;
        let compared = books::compare(self).await?;
        let verification = verify(&self.stage.private.owner).await?;
        summary::show(self, &crowd, &compared, &verification).await
    }

    /// Whether everything that was checked was as it should be.
    fn verdict(&mut self) -> Result<(), Failure> {
        let wrong = self.screen.wrong();
        if wrong == 0 {
            return Ok(());
        }
        eprintln!("error: {wrong} of the checks above failed");
        self.stage.show_logs();
        Err(Failure::Told)
    }

    /// Asks for a job, waits for what comes of it, and notes both.
    async fn ask(&mut self, key: &str, asked: Asked) -> Result<Answer> {
        let answer = asked.send(&self.stage.client, key).await?;
        self.notes.answered(asked, &answer)?;
        self.notes.quiet();
        Ok(answer)
    }

    /// The same where it has to settle. The id of the job.
    async fn done(&mut self, key: &str, asked: Asked) -> Result<i64> {
        let answer = self.ask(key, asked).await?;
        if answer.status == 200 { answer.id() } else { Err(answer.unexpected(key)) }
    }

    /// Checks an answer, and shows it.
    fn check(&self, what: &str, answer: &Answer, status: u16, code: &str) {
        let seen = match answer.code() {
            "" => answer.status.to_string(),
            code => format!("{} {code}", answer.status),
        };
        self.screen.check(what, answer.status == status && answer.code() == code, seen);
    }

    async fn keep(&self, stop: &Stop) {
        let client = &self.stage.client;
        self.screen.title(&format!(
            "Everything still runs. The API is at {}, its key is\n  {}\nFor example:\n  curl -sS {}/v1/users/{}/balances \
             -H 'Authorization: Bearer {}'\nCtrl-C stops it and takes everything away.",
            client.base(),
            client.key(),
            client.base(),
            self.cast.people.first().map_or(1, |person| person.id),
            client.key(),
        ));
        stop.ordered().await;
    }
}
