//! The order of the batches that one worker has in hand at once.

use tokio::sync::watch;

/// How far a batch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It is claimed.
    Claimed,
    /// It has locked its own rows: from here on it waits for no batch of this worker that comes later.
    Locked,
    /// It has said what it will probably decide, or will not say it.
    Foreseen,
    /// It is committed or rolled back.
    Ended,
}

/// A batch's place among those of its worker: behind the one that was claimed before it.
///
/// A batch locks its own rows only when the one before it has locked all of its own, foresees when that one
/// has foreseen, and locks what batches share only when that one has ended. Each stores what rests on its own
/// rows while others do. So nobody waits in the database for somebody who waits here for them; for the same
/// reason nothing that another batch may store as well is stored before the one before has ended. And what
/// was received earlier is decided earlier, as far as one worker settles it.
#[derive(Debug)]
pub(crate) struct Turn {
    before: Option<watch::Receiver<Stage>>,
    own: watch::Sender<Stage>,
}

impl Turn {
    /// Behind nobody.
    pub(crate) fn alone() -> Self {
        Self { before: None, own: watch::Sender::new(Stage::Claimed) }
    }

    /// The next one behind `last`, which becomes this one.
    pub(crate) fn behind(last: &mut Option<watch::Receiver<Stage>>) -> Self {
        let own = watch::Sender::new(Stage::Claimed);
        let before = last.replace(own.subscribe());
        Self { before, own }
    }

    /// Waits until the one before has come so far, or is gone.
    pub(crate) async fn until(&mut self, stage: Stage) {
        if let Some(before) = &mut self.before
            && before.wait_for(|reached| *reached >= stage).await.is_err()
        {
            self.before = None;
        }
    }

    /// Tells the one behind.
    pub(crate) fn reached(&self, stage: Stage) {
        self.own.send_replace(stage);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::{Stage, Turn};

    /// Whether somebody need not wait.
    async fn at_once(turn: &mut Turn, stage: Stage) -> bool {
        timeout(Duration::ZERO, turn.until(stage)).await.is_ok()
    }

    #[tokio::test]
    async fn each_waits_for_the_one_before() {
        let mut last = None;
        let mut first = Turn::behind(&mut last);
        let mut second = Turn::behind(&mut last);
        assert!(at_once(&mut first, Stage::Ended).await);
        assert!(!at_once(&mut second, Stage::Locked).await);
        first.reached(Stage::Locked);
        assert!(at_once(&mut second, Stage::Locked).await);
        assert!(!at_once(&mut second, Stage::Foreseen).await);
        first.reached(Stage::Foreseen);
        assert!(at_once(&mut second, Stage::Foreseen).await);
        assert!(!at_once(&mut second, Stage::Ended).await);
        first.reached(Stage::Ended);
        assert!(at_once(&mut second, Stage::Ended).await);
    }

    #[tokio::test]
    async fn nobody_waits_for_one_that_is_gone() {
        let mut last = None;
        let first = Turn::behind(&mut last);
        let mut second = Turn::behind(&mut last);
        drop(first);
        assert!(at_once(&mut second, Stage::Ended).await);
        assert!(at_once(&mut Turn::alone(), Stage::Ended).await);
    }
}
