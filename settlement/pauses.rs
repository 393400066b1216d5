use jobs::{AnyJob, Desk, Job, Lane, PauseScope, Subject};
use outbox::{Moment, SubjectKey};
use rustc_hash::FxHashMap;
use sqlx::PgConnection;

use crate::behind::stored;

/// What was paused when a batch began, and whom that puts off.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pauses {
    /// Scope and name, as they are stored.
    names: Vec<(PauseScope, String)>,
    /// Whether any job is put off: a pause may be over and what it put off not back yet.
    put_off: bool,
    /// Jobs that stand behind one of an earlier batch that was put off, with its pause.
    behind: FxHashMap<i64, String>,
    /// Subjects of which this batch has put a job off: what was received later waits as well.
    subjects: FxHashMap<Subject, String>,
}

impl Pauses {
    /// Reads them as [`outbox::moment`] gives them. A paused lane puts nobody off: it is not
    /// claimed from.
    pub(crate) fn read(moment: &Moment) -> Self {
        let names = moment.paused.iter().filter_map(|pause| {
            let (scope, name) = pause.split_once(' ')?;
            let scope = PauseScope::parse(scope).filter(|scope| *scope != PauseScope::Lane)?;
            Some((scope, name.to_owned()))
        });
        Self { names: names.collect(), put_off: moment.put_off, ..Self::default() }
    }

    /// Looks for what stands behind a job that was put off earlier. To be called under the locks
    /// of the batch; where nothing is paused or put off it asks nothing.
    pub(crate) async fn look_ahead(
        &mut self,
        db: &mut PgConnection,
        jobs: &[(Job, AnyJob)],
    ) -> Result<(), sqlx::Error> {
        if self.names.is_empty() && !self.put_off {
            return Ok(());
        }
        let subjects: Vec<(i64, SubjectKey)> =
            jobs.iter().filter_map(|(job, kind)| kind.named().map(|subject| (job.id.0, stored(subject)))).collect();
        let batch: Vec<i64> = jobs.iter().map(|(job, _)| job.id.0).collect();
        self.behind = outbox::behind_paused(db, &subjects, &batch).await?.into_iter().collect();
        Ok(())
    }

    /// The pause that puts this job off, if one does, as scope and name.
    pub(crate) fn on(&self, job: &Job, kind: &AnyJob, desk: &Desk) -> Option<String> {
        if kind.info().lane == Lane::Operate {
            return None;
        }
        let waits = self.subjects.get(&kind.subject(job.id)).or_else(|| self.behind.get(&job.id.0)).cloned();
        waits.or_else(|| {
            let paused = self.names.iter().find(|(scope, name)| match scope {
                PauseScope::Lane => false,
                PauseScope::Kind => kind.info().name == name,
                PauseScope::Asset => {
                    let asset = desk.assets.by_code(name).map(|terms| terms.asset.id);
                    asset.is_some_and(|asset| kind.assets(desk).contains(&asset))
                }
                PauseScope::Rail => kind.rail(desk) == Some(name.as_str()),
            });
            paused.map(|(scope, name)| format!("{} {name}", scope.as_str()))
        })
    }

    /// The job was put off: whatever is about the same thing and was received later waits as well.
    pub(crate) fn note(&mut self, job: &Job, kind: &AnyJob, pause: String) {
        self.subjects.insert(kind.subject(job.id), pause);
    }
}
