use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::say::say;

/// How wide a list may be, so that a terminal of 80 columns does not break it.
const LIST_COLUMNS: usize = 62;

/// Where the demonstration tells what happens. A plain terminal will do, and so will a file.
#[derive(Debug)]
pub(crate) struct Screen {
    began: Instant,
    /// Whether a line can be written over.
    is_terminal: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether a counter stands on the last line.
    counting: bool,
    /// Checks that were not as they should be.
    wrong: u32,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        Self { began: Instant::now(), is_terminal, state: Mutex::default() }
    }

    /// A line of its own.
    pub(crate) fn title(&self, text: &str) {
        self.clear_line();
        say(text);
    }

    /// What a scene is about and what it came to, with the time since the beginning.
    pub(crate) fn scene(&self, name: &str, text: impl Display) {
        self.clear_line();
        let line = format!("{:>6}  {name:<9} {text}", seconds(self.began.elapsed()));
        say(line.trim_end());
    }

    /// Something that belongs to the scene.
    pub(crate) fn detail(&self, text: impl Display) {
        self.clear_line();
        say(format_args!("        {text}"));
    }

    /// Something that should be so, and what was seen.
    pub(crate) fn check(&self, what: &str, is_right: bool, seen: impl Display) {
        let mark = if is_right { "ok" } else { "NO" };
        self.detail(format_args!("{mark}  {what:<44} {seen}"));
        if !is_right {
            let mut state = self.state();
            state.wrong = state.wrong.saturating_add(1);
        }
    }

    /// A figure of the summary.
    pub(crate) fn figure(&self, name: &str, text: impl Display) {
        self.clear_line();
        say(format_args!("  {name:<13} {text}"));
    }

    /// A list of the summary, on as many lines as it takes.
    pub(crate) fn list(&self, name: &str, items: &[String]) {
        let mut lines: Vec<String> = Vec::new();
        for item in items {
            match lines.last_mut() {
                Some(line) if line.len().saturating_add(item.len()) < LIST_COLUMNS => {
                    line.push_str(", ");
                    line.push_str(item);
                }
                Some(_) | None => lines.push(item.clone()),
            }
        }
        if lines.is_empty() {
            lines.push("nothing".to_owned());
        }
        for (line, name) in lines.iter().zip(std::iter::once(name).chain(std::iter::repeat(""))) {
            self.figure(name, line);
        }
    }

    /// A counter that is written over; on anything but a terminal it is left out.
    pub(crate) fn count(&self, text: impl Display) {
        if !self.is_terminal {
            return;
        }
        let mut out = std::io::stdout().lock();
        let written = write!(out, "\r\x1b[2K        {text}").and_then(|()| out.flush());
        drop(out);
        self.state().counting = written.is_ok();
    }

    /// Takes the counter away.
    pub(crate) fn clear_line(&self) {
        let mut state = self.state();
        if state.counting {
            let mut out = std::io::stdout().lock();
            if write!(out, "\r\x1b[2K").and_then(|()| out.flush()).is_err() {
                tracing::trace!("standard output is closed");
            }
            state.counting = false;
        }
    }

    /// How many checks failed.
    pub(crate) fn wrong(&self) -> u32 {
        self.state().wrong
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A duration in seconds, to a tenth.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{}.{}s", duration.as_secs(), duration.subsec_millis() / 100)
}
