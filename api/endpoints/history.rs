//! Why is this money here? Everything that was asked about a trade or a withdrawal, what came of
//! it, and what it did to whose account.

mod rows;

use axum::Json;
use jobs::{Assets, PrincipalId};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::documents::amounts::asset_of;
use crate::documents::amounts::minor;
use crate::documents::job::JobState;
use crate::documents::texts::{AssetCode, CodeText, Id, PathText, SignedAmountText};
use crate::documents::time::Time;
use crate::endpoints::history::rows::{Effect, Step, effects, steps};
use crate::http::paging::{Limit, List, ListName, Turned};
use crate::http::path::Thing;
use crate::http::problem::Problem;
use crate::intake::asked::require_asked_for;
use crate::state::Api;

/// Every job about one thing, in the order in which they were asked for; `next_cursor` is null on
/// the last page. What was refused is there too.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = History)]
pub(crate) struct HistoryDocument {
    /// The trade or the withdrawal.
    #[schema(value_type = PathText)]
    about: String,
    jobs: Vec<StepDocument>,
    next_cursor: Option<String>,
}

/// One of the jobs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HistoryJob)]
struct StepDocument {
    #[schema(value_type = Id)]
    job_id: String,
    #[schema(pattern = "^[a-z][a-z-]*$")]
    kind: String,
    /// Which event or decision, where the kind has several: `mark-paid`, `approve`, …; null where
    /// `payload_dropped_at` is there, and then the actor is the principal or Holdfast.
    #[schema(value_type = Option<String>)]
    event: Option<String>,
    actor: Actor,
    /// The principal whose key asked for it.
    principal: Principal,
    /// The job whose settlement caused it, where Holdfast did.
    #[schema(value_type = Option<Id>)]
    caused_by: Option<String>,
    received_at: Time,
    finished_at: Option<Time>,
    state: JobState,
    /// Why it was rejected, cancelled or parked.
    #[schema(value_type = Option<CodeText>)]
    reason: Option<String>,
    /// When the stored payload was dropped because of its age; absent while it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Time)]
    payload_dropped_at: Option<Time>,
    /// What it did, in this order; nothing unless it settled.
    entries: Vec<EntryDocument>,
}

/// Who did it: a person, as the exchange says; an operator or a service; or Holdfast by itself.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "by", rename_all = "lowercase")]
#[schema(as = HistoryActor)]
enum Actor {
    User {
        #[schema(value_type = Id)]
        user_id: String,
    },
    Principal {
        #[schema(value_type = Id)]
        principal_id: String,
    },
    Holdfast,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HistoryPrincipal)]
struct Principal {
    #[schema(value_type = Id)]
    id: String,
    name: String,
}

/// A change of an account, as decimal text in the asset's scale. Those of one transfer add up to
/// nothing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HistoryEntry)]
struct EntryDocument {
    account: Account,
    /// The code of a transfer, or `hold_opened` or `hold_closed`.
    #[schema(value_type = CodeText)]
    what: String,
    /// Change of what the account has.
    #[schema(value_type = SignedAmountText)]
    posted: String,
    /// Change of what of it is set aside.
    #[schema(value_type = SignedAmountText)]
    held: String,
}

/// Whose account it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HistoryAccount)]
struct Account {
    /// The person; null for the exchange itself.
    #[schema(value_type = Option<Id>)]
    user_id: Option<String>,
    /// `wallet`, `fee`, `world` for everything outside, or `receivable` for what a person owes.
    #[schema(value_type = CodeText)]
    purpose: String,
    #[schema(value_type = AssetCode)]
    asset: String,
}

/// The history of a trade or a withdrawal, one page.
///
/// # Errors
/// 404 where it was never asked for; 400 and 422 for a page that is none of this list.
pub(crate) async fn history(
    api: &Api,
    thing: impl Thing,
    path: String,
    wanted: &Turned,
) -> Result<Json<HistoryDocument>, Problem> {
    let id = thing.job_id();
    let page = wanted.page(Steps { subject: id })?;
    require_asked_for(&api.pool, &thing).await?;
    let (rows, next_cursor) = page.read(&api.pool).await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let effects = effects(&api.pool, id, &ids).await?;
    let assets = api.assets.current().await;
    let jobs = rows.into_iter().map(|row| document(row, &effects, &assets));
    let jobs = jobs.collect::<Result<_, sqlx::Error>>()?;
    Ok(Json(HistoryDocument { about: path, jobs, next_cursor }))
}

/// The jobs about a trade or a withdrawal, oldest first.
#[derive(Clone, Copy, Debug)]
struct Steps {
    subject: i64,
}

impl List for Steps {
    type Row = Step;
    type Place = i64;

    fn name(&self) -> ListName {
        ListName::of("history").with(Some(self.subject))
    }

    async fn read(&self, pool: &PgPool, from: Option<i64>, limit: Limit) -> Result<(Vec<Step>, Option<i64>), Problem> {
        let rows = steps(pool, self.subject, from.unwrap_or_default(), limit.rows_max()).await?;
        Ok(limit.cut(rows, |row| row.id))
    }
}

fn document(step: Step, effects: &[Effect], assets: &Assets) -> Result<StepDocument, sqlx::Error> {
    let of_job = effects.iter().filter(|effect| effect.job_id == step.id);
    let entries = of_job.map(|effect| entry(effect, assets)).collect::<Result<_, _>>()?;
    let state = JobState::of(step.status.as_deref(), step.parked_reason.is_some());
    Ok(StepDocument {
        job_id: step.id.to_string(),
        actor: actor(step.submitted_by, step.user_id),
        kind: step.kind,
        event: step.event,
        principal: Principal { id: step.submitted_by.to_string(), name: step.principal },
        caused_by: step.caused_by.map(|job| job.to_string()),
        received_at: step.received_at.into(),
        finished_at: step.finished_at.map(Time::from),
        state,
        reason: step.reason.or(step.parked_reason),
        payload_dropped_at: step.payload_dropped_at.map(Time::from),
        entries,
    })
}

fn actor(submitted_by: i64, user_id: Option<String>) -> Actor {
    match user_id {
        _ if submitted_by == PrincipalId::HOLDFAST.0 => Actor::Holdfast,
        Some(user_id) => Actor::User { user_id },
        None => Actor::Principal { principal_id: submitted_by.to_string() },
    }
}

fn entry(effect: &Effect, assets: &Assets) -> Result<EntryDocument, sqlx::Error> {
    let asset = asset_of(assets, effect.asset)?;
    let owner = (effect.owner != ledger::Owner::HOUSE.get()).then(|| effect.owner.to_string());
    Ok(EntryDocument {
        account: Account { user_id: owner, purpose: effect.purpose.clone(), asset: asset.code.clone() },
        what: effect.what.clone(),
        posted: asset.format_signed(minor(&effect.d_posted)?),
        held: asset.format_signed(minor(&effect.d_held)?),
    })
}

#[cfg(test)]
mod tests {
    use super::{Actor, actor};

    #[test]
    fn holdfast_acts_for_nobody() {
        assert_eq!(actor(1, None), Actor::Holdfast);
        assert_eq!(actor(1, Some("7".to_owned())), Actor::Holdfast);
        assert_eq!(actor(100, Some("7".to_owned())), Actor::User { user_id: "7".to_owned() });
        assert_eq!(actor(100, None), Actor::Principal { principal_id: "100".to_owned() });
    }
}
