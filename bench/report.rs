//! What was measured: a line for people while it runs, a JSON line for whoever keeps it, a table at the end.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The rounds of one contestant in one measure.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// The row of the list of measures that it belongs to, in the words of the command line.
    pub(crate) measure: &'static str,
    /// Who was measured, with the load where there are several: `holdfast`, `pg-boss, bulk procedure`.
    pub(crate) contestant: String,
    /// `jobs/s`, `ms`, `bytes` …
    pub(crate) unit: &'static str,
    /// One value for each round, in the order in which they ran.
    pub(crate) rounds: Vec<f64>,
    /// The settings that it ran with: those that a search found best, or what was asked for.
    pub(crate) settings: String,
    /// What it does not guarantee of what Holdfast does; empty where nothing is missing.
    pub(crate) lacks: &'static str,
}

/// How two contestants of a measure compare: a ratio for each pair of rounds that took turns.
#[derive(Clone, Debug)]
pub(crate) struct Ratio {
    /// As in [`Figure`].
    pub(crate) measure: &'static str,
    /// What is divided by what, in words.
    pub(crate) of: String,
    /// One for each round.
    pub(crate) rounds: Vec<f64>,
    /// What it should be, and whether that is the least or the most; `None` for scale only.
    pub(crate) goal: Option<Goal>,
}

/// What a ratio or a figure should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// Not less than this.
    Least(f64),
    /// Not more than this.
    Most(f64),
}

/// Collects figures and ratios.
pub(crate) struct Report {
    file: Option<File>,
    machine: Value,
    /// Lines of the table at the end.
    lines: Vec<[String; 5]>,
}

/// The middle one, or what lies between two of them; the lowest and the highest.
pub(crate) fn spread(rounds: &[f64]) -> (f64, f64, f64) {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    let last = sorted.len().saturating_sub(1);
    (f64::midpoint(at(last / 2), at(sorted.len() / 2)), at(0), at(last))
}

/// As many digits as mean something.
pub(crate) fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

impl Goal {
    fn text(self) -> String {
        match self {
            Self::Least(least) => format!("≥ {least}"),
            Self::Most(most) => format!("≤ {most}"),
        }
    }

    fn is_met(self, value: f64) -> bool {
        match self {
            Self::Least(least) => value >= least,
            Self::Most(most) => value <= most,
        }
    }
}

impl Report {
    /// A report that is printed, and kept in a file if one is given: each line of it is a JSON document.
    pub(crate) fn new(path: Option<&PathBuf>, server: &str, quick: bool) -> Result<Self> {
        let file = path
            .map(|path| {
                File::options().append(true).create(true).open(path).with_context(|| path.display().to_string())
            })
            .transpose()?;
        let machine = json!({ "server": server, "machine": machine(), "quick": quick });
        Ok(Self { file, machine, lines: Vec::new() })
    }

    /// Notes what a contestant did; a goal may stand for a figure by itself.
    pub(crate) fn figure(&mut self, figure: &Figure, goal: Option<Goal>) -> Result<()> {
        let (median, low, high) = spread(&figure.rounds);
        self.add(figure.measure, &figure.contestant, figure.unit, (median, low, high), goal);
        self.keep(json!({
            "measure": figure.measure, "contestant": figure.contestant, "unit": figure.unit,
            "median": median, "low": low, "high": high, "rounds": figure.rounds, "settings": figure.settings,
            "lacks": figure.lacks, "goal": goal.map(Goal::text), "met": goal.map(|goal| goal.is_met(median)),
        }))
    }

    /// Notes how two contestants compare.
    pub(crate) fn ratio(&mut self, ratio: &Ratio) -> Result<()> {
        let (median, low, high) = spread(&ratio.rounds);
        self.add(ratio.measure, &ratio.of, "×", (median, low, high), ratio.goal);
        self.keep(json!({
            "measure": ratio.measure, "ratio": ratio.of, "median": median, "low": low, "high": high,
            "rounds": ratio.rounds, "goal": ratio.goal.map(Goal::text),
            "met": ratio.goal.map(|goal| goal.is_met(median)),
        }))
    }

    /// Notes that something was left out, and why.
    pub(crate) fn skipped(&mut self, measure: &'static str, contestant: &str, why: &str) -> Result<()> {
        eprintln!("{measure}: {contestant} skipped: {why}");
        self.lines.push([
            measure.to_owned(),
            contestant.to_owned(),
            format!("skipped: {why}"),
            String::new(),
            String::new(),
        ]);
        self.keep(json!({ "measure": measure, "contestant": contestant, "skipped": why }))
    }

    /// Keeps what a row of the table cannot show, such as a histogram or what happened from minute to minute.
    pub(crate) fn detail(&mut self, document: Value) -> Result<()> {
        self.keep(document)
    }

    fn add(&mut self, measure: &str, what: &str, unit: &str, (median, low, high): (f64, f64, f64), goal: Option<Goal>) {
        let met = goal.map_or_else(String::new, |goal| {
            format!("{} {}", goal.text(), if goal.is_met(median) { "met" } else { "not met" })
        });
        let value = format!("{} {unit}", digits(median));
        let range = format!("{} … {}", digits(low), digits(high));
        eprintln!("{measure}: {what}: {value} ({range}) {met}");
        self.lines.push([measure.to_owned(), what.to_owned(), value, range, met]);
    }

    fn keep(&mut self, mut document: Value) -> Result<()> {
        if let (Some(document), Some(machine)) = (document.as_object_mut(), self.machine.as_object()) {
            document.extend(machine.clone());
        }
        println!("{document}");
        if let Some(file) = &mut self.file {
            writeln!(file, "{document}")?;
        }
        Ok(())
    }

    /// The table of everything that was noted.
    pub(crate) fn table(&self) -> String {
        let head = ["measure", "what", "median", "range", "goal"].map(str::to_owned);
        let rows: Vec<&[String; 5]> = std::iter::once(&head).chain(&self.lines).collect();
        let width =
            |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
        let mut table = String::new();
        for row in rows {
            let line: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
            if writeln!(table, "{}", line.join("  ").trim_end()).is_err() {
                break;
            }
        }
        table
    }
}

/// The processor and how many of it, as the kernel says.
fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} × {}", model.unwrap_or("unknown processor"))
}
