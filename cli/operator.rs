use anyhow::{Context, anyhow};
use serde_json::Value;

use crate::client::{Answer, Client, text};
use crate::config;
use crate::failure::Failure;

/// How long an operator waits for what was asked, seconds.
const WAIT_S: u8 = 15;

/// An operator at the API: what is asked is recorded under the name of the key's principal.
#[derive(Debug)]
pub(crate) struct Operator {
    client: Client,
}

impl Operator {
    /// With the address and the key of the environment.
    ///
    /// # Errors
    /// There is no key.
    pub(crate) fn from_environment() -> Result<Self, Failure> {
        let (url, key) = config::operator()?;
        Ok(Self { client: Client::new(url, key)? })
    }

    /// Asks for something and waits until it is done. Its result.
    ///
    /// # Errors
    /// It is refused, or nobody has done it within 15 s; the message says what to do.
    pub(crate) async fn ask(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        // A key of its own: asking for the same again is asking anew, and changes nothing twice.
        let key = format!("cli-{}", hex::encode(rand::random::<[u8; 16]>()));
        let answer = self.client.post(path, &key, Some(WAIT_S), body).await;
        let answer = answer.map_err(|error| self.unreachable(error))?;
        match answer.status {
            200 => Ok(answer.body.get("result").cloned().unwrap_or(Value::Null)),
            202 => Err(Failure::Failed(anyhow!(
                "it is recorded as job {}, and no worker has done it within {WAIT_S} s; it will be done as soon as one \
                 can: see that `holdfast worker` runs, and look at `holdfast top`",
                text(&answer.body, "id")
            ))),
            _ => Err(refusal(&answer)),
        }
    }

    /// Reads something.
    ///
    /// # Errors
    /// It is not there, or the key may not read it.
    pub(crate) async fn read(&self, path: &str) -> Result<Value, Failure> {
        let answer = self.client.look(path).await.map_err(|error| self.unreachable(error))?;
        if answer.status == 200 { Ok(answer.body) } else { Err(refusal(&answer)) }
    }

    fn unreachable(&self, error: anyhow::Error) -> Failure {
        let base = self.client.base();
        Failure::cannot_start(error.context(format!(
            "the API at {base} does not answer as it should; set HOLDFAST_URL to where `holdfast web` listens"
        )))
    }
}

/// What a refusal says, and what to do about it.
fn refusal(answer: &Answer) -> Failure {
    let detail = match text(&answer.body, "detail") {
        "" => format!("the API answered {} without saying why", answer.status),
        detail => detail.to_owned(),
    };
    let advice = match (answer.status, answer.code()) {
        (401, _) => "HOLDFAST_KEY is not a key of this API, or it has expired or was revoked",
        (403, _) => {
            "HOLDFAST_KEY needs the scope operate: `holdfast key create --name YOU --scope operate` makes such a key"
        }
        (404, "job_unknown") => "`holdfast parked list` shows those that there are",
        (404, _) => "is HOLDFAST_URL the address of a Holdfast API of this version?",
        (_, "not_parked") => "`holdfast parked list` shows the jobs that are parked",
        (_, "same_principal") => "have another operator run the same command with a key of their own, within 24 hours",
        (429 | 503, _) => "try again shortly",
        _ => return Failure::Failed(anyhow!("{detail} ({} {})", answer.status, answer.code())),
    };
    Failure::Failed(anyhow!("{detail} ({} {})\n  {advice}", answer.status, answer.code()))
}

/// A time as people read it.
pub(crate) fn time(value: &Value, member: &str) -> Result<String, Failure> {
    let at = text(value, member).parse::<chrono::DateTime<chrono::Utc>>();
    let at = at.with_context(|| format!("the API's {member} is no time"))?;
    Ok(at.format("%Y-%m-%d %H:%M:%S").to_string())
}
