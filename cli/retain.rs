use std::str::FromStr;

use anyhow::{Context, anyhow};
use chrono::{DateTime, Utc};
use outbox::{Leftover, PayloadFate, PayloadPartition, RETENTION_MONTHS_MIN, RETENTION_SCHEMA, RetentionPlan};
use sqlx::PgPool;

use crate::config;
use crate::database::{open_as_owner, require_schema};
use crate::failure::Failure;
use crate::say::say;

/// `holdfast retain`.
#[derive(Debug, clap::Args)]
#[command(after_help = config::help::OWNER)]
pub(crate) struct Arguments {
    /// How many whole calendar months to keep, besides the current one: 3 or more
    #[arg(long, value_name = "N")]
    months: Months,
    /// Only say what would be dropped, and why the rest is kept; any login that may read will do
    #[arg(long)]
    dry_run: bool,
    /// Who you are, such as ann@example.com: it stays on record with what was dropped
    #[arg(long, value_name = "NAME", required_unless_present = "dry_run")]
    by: Option<Name>,
}

/// A number of months that may be kept.
#[derive(Clone, Copy, Debug)]
struct Months(i32);

impl FromStr for Months {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let months: i32 = text.parse().map_err(|_| "give a number of months, such as 12".to_owned())?;
        if months < RETENTION_MONTHS_MIN {
            return Err(format!(
                "at least {RETENTION_MONTHS_MIN} months are kept: as long as anybody may still ask what was asked"
            ));
        }
        if months > 1_200 { Err("a hundred years, 1200 months, are the most".to_owned()) } else { Ok(Self(months)) }
    }
}

/// A name that fits on record.
#[derive(Clone, Debug)]
struct Name(String);

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim();
        let fits = !name.is_empty() && name.chars().count() <= 200 && !name.contains(char::is_control);
        if fits { Ok(Self(name.to_owned())) } else { Err("give 1 to 200 characters on one line") }
    }
}

/// Says what is due, and drops it unless it is a dry run.
///
/// # Errors
/// The database refuses, or job is in use. What was done before stands, and the next run goes on
/// from there.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let url = config::owner_database()?;
    let pool = open_as_owner(&url, "holdfast retain").await?;
    require_schema(&pool).await?;
    let Months(months) = arguments.months;
    let plan = outbox::retention_plan(&pool, months).await.context("the partitions of job cannot be read")?;
    say(Table { plan: &plan, months });
    match arguments.by {
        Some(Name(by)) if !arguments.dry_run => carry_out(&pool, &plan, months, &by).await?,
        Some(_) | None => say("dry run: nothing was changed"),
    }
    pool.close().await;
    Ok(())
}

async fn carry_out(pool: &PgPool, plan: &RetentionPlan, months: i32, by: &str) -> Result<(), Failure> {
    require_owner(pool).await?;
    let mut changed = false;
    for left in plan.partitions.iter().filter(|part| part.leftover == Some(Leftover::Spent)) {
        outbox::drop_spent(pool, left.number).await.map_err(|error| told(error, left))?;
        say(format_args!("{}: dropped the table that an interrupted run had left", left.name));
        changed = true;
    }
    for due in plan.partitions.iter().filter(|part| part.fate == PayloadFate::Due) {
        one(pool, due, months, by).await?;
        changed = true;
    }
    if !changed {
        say("nothing to do");
    }
    Ok(())
}

/// Copies, swaps and drops; each step is a transaction of its own.
async fn one(pool: &PgPool, due: &PayloadPartition, months: i32, by: &str) -> Result<(), Failure> {
    let name = &due.name;
    match due.leftover {
        Some(Leftover::Copied) => say(format_args!("{name}: copying anew what an interrupted run has copied")),
        Some(Leftover::Spent) | None => say(format_args!("{name}: copying what is kept of {} jobs", due.jobs)),
    }
    let jobs = outbox::copy_kept(pool, due.number, months).await.map_err(|error| told(error, due))?;
    say(format_args!("{name}: comparing, and putting the copy in its place"));
    outbox::swap_in(pool, due.number, months, by).await.map_err(|error| told(error, due))?;
    outbox::drop_spent(pool, due.number).await.map_err(|error| told(error, due))?;
    let after = sqlx::query_scalar!(r#"select bytes_after from retention where part = $1"#, due.number);
    let after = after.fetch_one(pool).await.context("the record cannot be read")?;
    say(format_args!("{name}: the payloads of {jobs} jobs are dropped, {} -> {}", size(due.bytes), size(after)));
    Ok(())
}

/// Only the owner may change tables; whoever may only read is told so before anything begins.
async fn require_owner(pool: &PgPool) -> Result<(), Failure> {
    let owns = sqlx::query_scalar!(
        r#"select pg_has_role(c.relowner, 'usage') as "owns!" from pg_class c where c.oid = to_regclass('job')"#
    );
    if owns.fetch_one(pool).await.context("the owner of the tables cannot be read")? {
        return Ok(());
    }
    Err(Failure::configuration(
        "DATABASE_URL is not the owner of the tables, who alone may drop payloads; with --dry-run it may look",
    ))
}

fn told(error: sqlx::Error, part: &PayloadPartition) -> Failure {
    let name = &part.name;
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    let told = match code.as_deref() {
        Some("55P03" | "40P01") => format!(
            "{name}: job is in use by a transaction that takes longer than a second, such as a verification, a backup \
             or another retain; nothing of this partition changed for anybody. Run the same command again when it has \
             ended: `select pid, usename, application_name, xact_start from pg_stat_activity order by xact_start` shows it"
        ),
        Some("23514") => format!("{name}: the database refuses, and nothing of this partition changed for anybody"),
        _ => format!("{name}: interrupted; what was done stands, and the same command goes on from there"),
    };
    Failure::Failed(anyhow!(error).context(told))
}

/// The plan as a person reads it.
struct Table<'a> {
    plan: &'a RetentionPlan,
    months: i32,
}

impl std::fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "keeping {} months and the current one: whatever was received or ended since {} UTC",
            self.months,
            self.plan.cutoff.format("%Y-%m-%d")
        )?;
        writeln!(f, "dropped are payloads only; keys, jobs, outcomes and the ledger stay for ever")?;
        let due = self.plan.partitions.iter().any(|part| part.fate == PayloadFate::Due);
        if due && self.plan.oldest_binary < RETENTION_SCHEMA {
            writeln!(
                f,
                "once payloads are gone, binaries for schema {} and older run here no more: replace `holdfast web` of those first",
                RETENTION_SCHEMA - 1
            )?;
        }
        write!(f, "{:<14} {:<20} {:>12} {:>10}  payloads", "partition", "received", "jobs", "size")?;
        for part in &self.plan.partitions {
            let received = part.received.map_or_else(String::new, |(first, last)| {
                let (first, last) = (first.format("%Y-%m").to_string(), last.format("%Y-%m").to_string());
                if first == last { first } else { format!("{first} to {last}") }
            });
            let size = size(part.bytes);
            write!(f, "\n{:<14} {received:<20} {:>12} {size:>10}  {}", part.name, part.jobs, fate(part))?;
        }
        Ok(())
    }
}

/// What becomes of a partition, in words.
fn fate(part: &PayloadPartition) -> String {
    let words = match &part.fate {
        PayloadFate::Due => "go".to_owned(),
        PayloadFate::Dropped { at, by, bytes_before } => {
            format!("gone since {} by {by}, before that {}", day(*at), size(*bytes_before))
        }
        PayloadFate::Current => "stay: jobs are recorded there now".to_owned(),
        PayloadFate::ToCome => "stay: for jobs to come".to_owned(),
        PayloadFate::Empty => "stay: there are none".to_owned(),
        PayloadFate::Young(at) => format!("stay: its newest job is of {}", day(*at)),
        PayloadFate::Unfinished(1, first) => format!("stay: job {first} has not ended"),
        PayloadFate::Unfinished(jobs, first) => format!("stay: {jobs} jobs have not ended, the first is {first}"),
    };
    match part.leftover {
        Some(Leftover::Copied) => format!("{words}; an earlier run has made {}_kept", part.name),
        Some(Leftover::Spent) => format!("{words}; {}_spent is still to be dropped", part.name),
        None => words,
    }
}

fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d").to_string()
}

/// Bytes for a person.
fn size(bytes: i64) -> String {
    match bytes {
        ..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        10_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}
