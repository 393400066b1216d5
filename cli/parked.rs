use serde_json::{Value, json};

use crate::client::text;
use crate::config;
use crate::failure::Failure;
use crate::operator::{Operator, time};
use crate::say::say;

/// The longest detail in a list, in characters; `holdfast parked show` has all of it.
const DETAIL_CHARS_MAX: usize = 60;

/// `holdfast parked`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the jobs that need a person, newest first
    #[command(after_help = config::help::OPERATOR)]
    List {
        /// Only jobs of this kind, such as release
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
    },
    /// Show one: what was seen, what it means, and what can be done
    #[command(after_help = config::help::OPERATOR)]
    Show {
        /// The job's id, as the list shows it
        id: u64,
    },
    /// Put one back into the queue; its attempts go on from where they stood
    ///
    /// Mend first what parked it, or it will be parked again. For example:
    /// holdfast parked retry 4711 --reason "the disk is replaced"
    #[command(after_help = config::help::OPERATOR)]
    Retry(Decision),
    /// End one without any effect; it stays on record as cancelled
    ///
    /// A job that may move money takes two people: the first decision is put on record, and within
    /// 24 hours another operator, with a key of their own, runs the same command. For example:
    /// holdfast parked cancel 4711 --reason "asked for twice by mistake"
    #[command(after_help = config::help::OPERATOR)]
    Cancel(Decision),
}

/// What is decided about, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Decision {
    /// The job's id, as the list shows it
    id: u64,
    /// Why, for whoever looks later; kept for ever
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Does what was asked with parked jobs.
///
/// # Errors
/// It is refused, or no worker did it in time.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    let operator = Operator::from_environment()?;
    match command {
        Command::List { kind } => list(&operator, kind).await,
        Command::Show { id } => show(&operator, id).await,
        Command::Retry(Decision { id, reason }) => {
            operator.ask(&format!("/v1/jobs/{id}/retry"), &json!({ "reason": reason })).await?;
            say(format_args!("job {id} is back in the queue"));
            Ok(())
        }
        Command::Cancel(Decision { id, reason }) => {
            let result = operator.ask(&format!("/v1/jobs/{id}/cancel"), &json!({ "reason": reason })).await?;
            if result.get("needs").is_some() {
                say(format_args!(
                    "your decision is on record, and nothing has changed yet: job {id} may move money, so another operator \
                     must say the same within 24 hours:\n  holdfast parked cancel {id} --reason …"
                ));
            } else {
                say(format_args!("job {id} is cancelled; it had no effect and will have none"));
            }
            Ok(())
        }
    }
}

async fn list(operator: &Operator, kind: Option<String>) -> Result<(), Failure> {
    let kind = kind.map_or_else(String::new, |kind| format!("&kind={kind}"));
    let mut cursor = String::new();
    let mut shown = 0_usize;
    loop {
        let page = operator.read(&format!("/v1/jobs?state=parked&limit=200{kind}{cursor}")).await?;
        for job in page.get("jobs").and_then(Value::as_array).into_iter().flatten() {
            if shown == 0 {
                say(row("job", "kind", "reason", "parked (UTC)", "attempts", "what was seen"));
            }
            shown = shown.saturating_add(1);
            let parked = job.get("parked").unwrap_or(&Value::Null);
            let attempts = job.get("attempts").map_or_else(String::new, ToString::to_string);
            let detail: String = text(parked, "detail").chars().take(DETAIL_CHARS_MAX).collect();
            let at = time(parked, "parked_at")?;
            say(row(text(job, "id"), text(job, "kind"), text(job, "reason"), &at, &attempts, &detail));
        }
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    if shown == 0 {
        say("nothing is parked");
    }
    Ok(())
}

fn row(id: &str, kind: &str, reason: &str, at: &str, attempts: &str, detail: &str) -> String {
    format!("{id:>8}  {kind:<16} {reason:<14} {at:<20} {attempts:>8}  {detail}").trim_end().to_owned()
}

async fn show(operator: &Operator, id: u64) -> Result<(), Failure> {
    let job = operator.read(&format!("/v1/jobs/{id}")).await?;
    let Some(parked) = job.get("parked") else {
        say(format_args!("job {id} ({}) is not parked: it is {}", text(&job, "kind"), text(&job, "state")));
        return Ok(());
    };
    say(format_args!("job       {id}, {}", text(&job, "kind")));
    say(format_args!("received  {} UTC", time(&job, "received_at")?));
    say(format_args!("parked    {} UTC", time(parked, "parked_at")?));
    say(format_args!("reason    {}", text(&job, "reason")));
    say(format_args!("seen      {}", text(parked, "detail")));
    if parked.get("waits_for_second").and_then(Value::as_bool) == Some(true) {
        say("decided   one operator has decided to cancel it; a second one is awaited");
    }
    say(format_args!("\n{}", text(parked, "explanation")));
    say(format_args!("  holdfast parked retry {id} --reason …\n  holdfast parked cancel {id} --reason …"));
    Ok(())
}
