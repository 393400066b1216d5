mod look;
mod screen;

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::{DefaultTerminal, Frame};
use sqlx::PgPool;
use tokio::task::spawn_blocking;

use crate::config;
use crate::database::{open_to_read, require_schema};
use crate::failure::Failure;
use crate::say::say;
use crate::top::look::{Look, look};
use crate::top::screen::{text, view};

/// The time from one look to the next.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// `holdfast top`.
#[derive(Debug, clap::Args)]
#[command(after_help = config::help::TOP)]
pub(crate) struct Arguments {
    /// Print one look as text and end, as it also does where standard output is no terminal
    #[arg(long)]
    once: bool,
}

/// Shows what is queued, parked, paused and working, until `q` is pressed.
///
/// # Errors
/// The database cannot be read, or the terminal cannot be drawn on.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let url = config::readable_database()?;
    let pool = open_to_read(&url, "holdfast top").await?;
    require_schema(&pool).await?;
    if arguments.once || !std::io::stdout().is_terminal() {
        let seen = look(&pool).await.context("the database cannot be read").map_err(Failure::cannot_start)?;
        say(text(&seen));
    } else {
        let mut terminal = ratatui::try_init().context("the terminal cannot be drawn on")?;
        let shown = live(&mut terminal, &pool).await;
        ratatui::try_restore().context("the terminal cannot be restored; `reset` does")?;
        shown?;
    }
    pool.close().await;
    Ok(())
}

/// Looks and draws once a second. While the database does not answer, the last look stays.
async fn live(terminal: &mut DefaultTerminal, pool: &PgPool) -> Result<(), Failure> {
    let mut last: Option<Look> = None;
    loop {
        let trouble = match look(pool).await {
            Ok(seen) => {
                last = Some(seen);
                None
            }
            Err(error) => Some(format!("the database does not answer: {error}")),
        };
        let draw = |frame: &mut Frame<'_>| frame.render_widget(view(last.as_ref(), trouble.as_deref()), frame.area());
        terminal.draw(draw).context("the terminal cannot be drawn on")?;
        let pressed = spawn_blocking(|| is_told_to_quit(LOOK_EVERY)).await.context("the keyboard cannot be read")?;
        if pressed.context("the keyboard cannot be read")? {
            return Ok(());
        }
    }
}

/// Waits that long for a key, and says whether it was one that quits. Another key, or a new size
/// of the terminal, ends the wait early.
fn is_told_to_quit(wait: Duration) -> std::io::Result<bool> {
    if !event::poll(wait)? {
        return Ok(false);
    }
    let Event::Key(key) = event::read()? else {
        return Ok(false);
    };
    let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    let quits = interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc);
    Ok(quits && key.kind == KeyEventKind::Press)
}
