//! Whether it is worth foreseeing what a batch will decide.

/// At most so many batches are not foreseen before it is tried again.
const SKIPPED_MAX: u8 = 16;

/// How often what was foreseen has come true of late.
///
/// Where another worker settles for the same people it hardly ever does, and then a large batch is stored twice:
/// as foreseen, and as it is decided. So it is foreseen more and more rarely, until it comes true again.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    /// How many batches are not foreseen after one that was foreseen wrongly.
    skipped: u8,
    /// How many of them are to come.
    left: u8,
}

impl Trust {
    /// Whether the next batch is to be foreseen.
    pub(crate) fn foresees(&mut self) -> bool {
        let foresees = self.left == 0;
        self.left = self.left.saturating_sub(1);
        foresees
    }

    /// What was foreseen of a batch has come true, or has not.
    pub(crate) fn note(&mut self, came_true: bool) {
        self.skipped = if came_true { 0 } else { self.skipped.saturating_mul(2).clamp(1, SKIPPED_MAX) };
        self.left = self.skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::Trust;

    #[test]
    fn what_does_not_come_true_is_tried_ever_more_rarely_until_it_does() {
        let mut trust = Trust::default();
        let mut skipped = Vec::new();
        for _ in 0..6 {
            assert!(trust.foresees());
            trust.note(false);
            skipped.push((0..20).take_while(|_| !trust.foresees()).count());
            trust.left = 0;
        }
        assert_eq!(skipped, [1, 2, 4, 8, 16, 16]);
        trust.note(true);
        assert!(trust.foresees() && trust.foresees());
    }
}
