use jobs::PauseScope;
use serde_json::{Value, json};

use crate::config;
use crate::failure::Failure;
use crate::operator::Operator;
use crate::say::say;

/// `holdfast pause` and `holdfast resume`.
#[derive(Debug, clap::Args)]
#[command(after_help = config::help::OPERATOR)]
pub(crate) struct Arguments {
    /// What sort of thing
    #[arg(value_enum)]
    scope: Scope,
    /// Which one: a lane, a kind, the code of an asset, or a rail (bank, crypto)
    name: String,
    /// Why, for whoever looks later; shown with the pause and kept for ever
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// What can be paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Scope {
    /// A class of workers: it claims nothing
    Lane,
    /// A kind of job, such as release
    Kind,
    /// Every job that touches an asset, such as btc
    Asset,
    /// A way that money leaves
    Rail,
}

impl From<Scope> for PauseScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Lane => Self::Lane,
            Scope::Kind => Self::Kind,
            Scope::Asset => Self::Asset,
            Scope::Rail => Self::Rail,
        }
    }
}

/// Pauses something, or lets it go on, and says what changed.
///
/// # Errors
/// It is refused, or no worker did it in time.
pub(crate) async fn run(arguments: Arguments, paused: bool) -> Result<(), Failure> {
    let operator = Operator::from_environment()?;
    let Arguments { scope, name, reason } = arguments;
    let scope = PauseScope::from(scope).as_str();
    let body = json!({ "scope": scope, "name": name, "paused": paused, "reason": reason });
    let result = operator.ask("/v1/pauses", &body).await?;
    let changed = result.get("changed").and_then(Value::as_bool).unwrap_or(true);
    say(match (paused, changed) {
        (true, true) => format!(
            "{scope} {name} is paused: what is asked for is kept and put off\n`holdfast resume {scope} {name} --reason …` ends it"
        ),
        (true, false) => format!("{scope} {name} was paused already; nothing changed"),
        (false, true) => format!("{scope} {name} goes on; what was put off is due again within a second"),
        (false, false) => format!("{scope} {name} was not paused; nothing changed"),
    });
    Ok(())
}
