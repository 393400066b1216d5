//! Whether it is worth trying again what saves work if it comes true, and costs some if it does not.

/// How often something that may fail has come true of late.
///
/// Where another worker settles for the same people it hardly ever does, and then a large batch is stored twice.
/// So it is tried more and more rarely, until it comes true again.
#[derive(Debug)]
pub(crate) struct Trust {
    /// At most so many batches pass before it is tried again.
    skipped_max: u8,
    /// How many batches pass after one for which it did not come true.
    skipped: u8,
    /// How many of them are to come.
    left: u8,
}

impl Trust {
    /// In something that is tried again after so many batches at the latest.
    pub(crate) const fn new(skipped_max: u8) -> Self {
        Self { skipped_max, skipped: 0, left: 0 }
    }

    /// Whether it is to be tried with the next batch.
    pub(crate) fn tries(&mut self) -> bool {
        let tries = self.left == 0;
        self.left = self.left.saturating_sub(1);
        tries
    }

    /// It has come true for a batch, or has not.
    pub(crate) fn note(&mut self, came_true: bool) {
        self.skipped = if came_true { 0 } else { self.skipped.saturating_mul(2).clamp(1, self.skipped_max) };
        self.left = self.skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::Trust;

    #[test]
    fn what_does_not_come_true_is_tried_ever_more_rarely_until_it_does() {
        let mut trust = Trust::new(16);
        let mut skipped = Vec::new();
        for _ in 0..6 {
            assert!(trust.tries());
            trust.note(false);
            skipped.push((0..20).take_while(|_| !trust.tries()).count());
            trust.left = 0;
        }
        assert_eq!(skipped, [1, 2, 4, 8, 16, 16]);
        trust.note(true);
        assert!(trust.tries() && trust.tries());
    }
}
