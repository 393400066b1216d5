//! The order of the batches that one worker has in hand at once.

use tokio::sync::watch;

/// How far a batch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It is claimed.
    Claimed,
    /// It has locked its own rows, and waits for no other batch of this worker that comes later; the accounts that it
    /// asks for are made, so that whoever comes later finds them.
    Locked,
    /// It is committed or rolled back.
    Ended,
}

/// A batch's place among those of its worker: behind the one that was claimed before it.
///
/// A batch locks its own rows only when the one before it has locked all of its own, and locks what
/// batches share only when that one has ended. So nobody waits in the database for somebody who waits
/// here for them; for the same reason nothing that another batch may store as well is stored before the
/// one before has ended: until then everything that is stored goes by the number of a job of the batch, or
/// belongs to a row that it has locked. And what was received earlier is decided earlier, as far as one worker settles
/// it.
#[derive(Debug)]
pub(crate) struct Turn {
    /// All that have not ended: the nearest one may be dropped before it has waited for the others.
    before: Vec<watch::Receiver<Stage>>,
    own: watch::Sender<Stage>,
}

/// The batches of a worker that are in hand, in the order of their claims.
pub(crate) type Line = Vec<watch::Receiver<Stage>>;

/// Whether it is committed, rolled back or gone.
fn has_ended(batch: &watch::Receiver<Stage>) -> bool {
    *batch.borrow() >= Stage::Ended || batch.has_changed().is_err()
}

impl Turn {
    /// Behind nobody.
    pub(crate) fn alone() -> Self {
        Self { before: Vec::new(), own: watch::Sender::new(Stage::Claimed) }
    }

    /// The next one behind all in the line, which it joins.
    pub(crate) fn behind(line: &mut Line) -> Self {
        line.retain(|batch| !has_ended(batch));
        let own = watch::Sender::new(Stage::Claimed);
        let before = line.clone();
        line.push(own.subscribe());
        Self { before, own }
    }

    /// Waits until all before have come so far, or are gone.
    pub(crate) async fn until(&mut self, stage: Stage) {
        for before in &mut self.before {
            if before.wait_for(|reached| *reached >= stage).await.is_err() {
                tracing::debug!("a batch was dropped");
            }
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

    use super::{Line, Stage, Turn};

    /// Whether somebody need not wait.
    async fn at_once(turn: &mut Turn, stage: Stage) -> bool {
        timeout(Duration::ZERO, turn.until(stage)).await.is_ok()
    }

    #[tokio::test]
    async fn each_waits_for_the_one_before() {
        let mut line = Line::new();
        let mut first = Turn::behind(&mut line);
        let mut second = Turn::behind(&mut line);
        assert!(at_once(&mut first, Stage::Ended).await);
        assert!(!at_once(&mut second, Stage::Locked).await);
        first.reached(Stage::Locked);
        assert!(at_once(&mut second, Stage::Locked).await);
        assert!(!at_once(&mut second, Stage::Ended).await);
        first.reached(Stage::Ended);
        assert!(at_once(&mut second, Stage::Ended).await);
    }

    #[tokio::test]
    async fn whoever_is_behind_one_that_is_gone_waits_for_those_before_it() {
        let mut line = Line::new();
        let first = Turn::behind(&mut line);
        drop(Turn::behind(&mut line));
        let mut third = Turn::behind(&mut line);
        assert!(!at_once(&mut third, Stage::Ended).await);
        first.reached(Stage::Ended);
        assert!(at_once(&mut third, Stage::Ended).await);
    }

    #[tokio::test]
    async fn nobody_waits_for_one_that_is_gone() {
        let mut line = Line::new();
        let first = Turn::behind(&mut line);
        let mut second = Turn::behind(&mut line);
        drop(first);
        assert!(at_once(&mut second, Stage::Ended).await);
        assert!(at_once(&mut Turn::alone(), Stage::Ended).await);
    }
}
