use crate::ids::JobRef;
use crate::parked_decision::{DecisionMade, ParkedJob};
use crate::pause::{PauseChange, PauseKey, Paused};
use crate::rows::Rows;

/// The part of a desk that operators' jobs decide on.
#[derive(Clone, Debug, Default)]
pub struct Operating {
    /// Pauses that a job of the batch names.
    pub pauses: Rows<PauseKey, Paused>,
    /// Pauses and resumptions, by the job that made them.
    pub pause_changes: Rows<i64, PauseChange>,
    /// Parked jobs that a job of the batch names.
    pub parked: Rows<JobRef, ParkedJob>,
    /// Decisions, by the job that made them.
    pub decisions: Rows<JobRef, DecisionMade>,
}

/// A moment of it, to go back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OperatingMark {
    pauses: usize,
    pause_changes: usize,
    parked: usize,
    decisions: usize,
}

impl Operating {
    pub(crate) fn mark(&self) -> OperatingMark {
        OperatingMark {
            pauses: self.pauses.mark(),
            pause_changes: self.pause_changes.mark(),
            parked: self.parked.mark(),
            decisions: self.decisions.mark(),
        }
    }

    pub(crate) fn undo(&mut self, mark: OperatingMark) {
        self.pauses.undo(mark.pauses);
        self.pause_changes.undo(mark.pause_changes);
        self.parked.undo(mark.parked);
        self.decisions.undo(mark.decisions);
    }
}
