use std::collections::HashMap;
use std::time::Duration;

use jobs::{AnyJob, DepositCredit, InboxId, PrincipalId};
use outbox::{Ask, Recorded, Trouble};
use sqlx::{Acquire, PgConnection};

use crate::http::problem::Problem;
use crate::intake::gather::{Gathered, Gatherer};
use crate::intake::line::Line;
use crate::within::within;

/// Stores callbacks, each with the job that it causes.
pub(crate) type Inbox = Gatherer<Heard>;

/// As many as can be stored while their senders wait: whoever comes to more is told at once to come again.
pub(crate) const INBOX_MAX: u32 = 4_096;

/// An authentic callback.
#[derive(Debug)]
pub(crate) struct Heard {
    /// The raw body.
    pub(crate) body: Vec<u8>,
    /// The signature as it came.
    pub(crate) signature: String,
    /// The job that it causes, if it states a fact that a job acts on.
    pub(crate) credit: Option<Credit>,
}

/// The job that a callback causes, before the callback has a number.
#[derive(Debug)]
pub(crate) struct Credit {
    pub(crate) fact_key: String,
    pub(crate) trace_parent: Option<String>,
}

/// A callback that is stored for good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    pub(crate) inbox_id: i64,
    /// The lane of the job, if there is a new one.
    nudge: Option<&'static str>,
}

/// Callbacks and jobs in one commit, in two statements: whether a job's callback is there, the database looks
/// up when the job is recorded.
impl Gathered for Heard {
    type Written = Result<Stored, Problem>;

    const STATEMENT_TIMEOUT: &'static str = "1500ms";

    /// At most 16 MiB of bodies.
    const ROUND_MAX: usize = 256;

    /// Nobody waits for what comes of a callback; and each commit is four round trips.
    const BESIDE_AFTER: Duration = Duration::from_millis(100);

    /// The provider waits three seconds.
    const COMMIT_WITHIN: Duration = Duration::from_millis(1_800);

    async fn commit(db: &mut PgConnection, all: &[Self]) -> Result<Vec<Self::Written>, sqlx::Error> {
        let mut tx = db.begin().await?;
        let ids = store(&mut tx, all).await?;
        let asks = all
            .iter()
            .zip(&ids)
            .filter_map(|(heard, inbox_id)| Some(heard.credit.as_ref()?.ask(*inbox_id)))
            .collect::<Result<Vec<_>, _>>()?;
        let recorded = outbox::enqueue(&mut tx, &asks).await?;
        tx.commit().await?;
        let mut recorded = asks.iter().zip(recorded);
        let stored = all.iter().zip(ids).map(|(heard, inbox_id)| {
            let asked = heard.credit.as_ref().and_then(|_| recorded.next());
            let nudge = asked.and_then(|(ask, job)| matches!(job, Recorded::New(_)).then_some(ask.lane));
            Ok(Stored { inbox_id, nudge })
        });
        Ok(stored.collect())
    }

    /// If its job cannot be recorded, the callback is stored alone with its fact, where `verify` finds it, and
    /// the answer is an error, so that the provider repeats: an authentic body is never lost.
    async fn failed(&self, line: &mut Line, error: &sqlx::Error) -> Self::Written {
        if let Some(credit) = &self.credit
            && outbox::trouble(error) == Trouble::Data
        {
            tracing::error!(%error, fact = credit.fact_key, "a callback's job cannot be recorded; the callback is stored without it");
            let alone = async {
                let mut db = line.take().await?;
                store(&mut db, std::slice::from_ref(self)).await?;
                line.give(db);
                Ok(())
            };
            within(Self::COMMIT_WITHIN, alone).await?;
        }
        Err(error.into())
    }

    fn lane(&self, written: &Self::Written) -> Option<&'static str> {
        written.as_ref().ok().and_then(|stored| stored.nudge)
    }
}

/// Puts callbacks into the inbox; their numbers, in their order.
async fn store(db: &mut PgConnection, all: &[Heard]) -> Result<Vec<i64>, sqlx::Error> {
    let bodies: Vec<&[u8]> = all.iter().map(|heard| heard.body.as_slice()).collect();
    let signatures: Vec<&str> = all.iter().map(|heard| heard.signature.as_str()).collect();
    let facts: Vec<Option<&str>> =
        all.iter().map(|heard| heard.credit.as_ref().map(|credit| credit.fact_key.as_str())).collect();
    let rows = sqlx::query!(
        "
        insert into ipn_inbox (provider, body, signature, fact_key)
        select 'nowpayments', * from unnest($1::bytea[], $2::text[], $3::text[])
        returning id, signature, fact_key
        ",
        &bodies as _,
        &signatures as _,
        &facts as _,
    )
    .fetch_all(db)
    .await?;
    // Which row is whose is not a matter of their order. With the same signature and the same fact they say the same.
    let mut ids: HashMap<(&str, Option<&str>), Vec<i64>> = HashMap::new();
    for row in &rows {
        ids.entry((&row.signature, row.fact_key.as_deref())).or_default().push(row.id);
    }
    let found = signatures.iter().zip(&facts).map(|(signature, fact)| ids.get_mut(&(*signature, *fact))?.pop());
    found.collect::<Option<Vec<_>>>().ok_or(sqlx::Error::RowNotFound)
}

impl Credit {
    /// The job of a fact. Its hash covers the fact and not the inbox row, so the same fact told again
    /// is a replay.
    fn ask(&self, inbox_id: i64) -> Result<Ask, sqlx::Error> {
        let job = AnyJob::DepositCredit(DepositCredit { inbox_id: InboxId(inbox_id) });
        let info = job.info();
        let payload = job.payload().map_err(|error| sqlx::Error::Encode(error.into()))?;
        let submitter = PrincipalId::NOWPAYMENTS.0;
        let hash = outbox::payload_hash(&[&submitter.to_be_bytes(), info.name.as_bytes(), self.fact_key.as_bytes()]);
        Ok(Ask {
            submitter,
            kind: info.name,
            key: self.fact_key.clone(),
            payload_hash: hash,
            payload: payload.to_string(),
            lane: info.lane.as_str(),
            subject_type: job.info().about.sort.as_str(),
            subject: job.named().map(jobs::Subject::number),
            run_at: None,
            caused_by: None,
            trace_parent: self.trace_parent.clone(),
        })
    }
}
