//! The model itself: a list of lines, summed anew each time. It shares no code with the book.

/// One line of the model: what a step added to an account.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) account: i64,
    pub(crate) job: i64,
    pub(crate) why: Why,
    pub(crate) posted: i128,
    pub(crate) held: i128,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Why {
    Leg(usize),
    Opened(i64),
    Closed(i64),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Held {
    pub(crate) id: i64,
    pub(crate) account: i64,
    pub(crate) amount: i128,
    pub(crate) loaded: bool,
    pub(crate) closed_by: Option<i64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Naive {
    /// Account, asset, version, posted and held as loaded.
    pub(crate) loaded: Vec<(i64, i16, i64, i128, i128)>,
    pub(crate) lines: Vec<Line>,
    /// Job, payer, receiver and amount.
    pub(crate) transfers: Vec<(i64, i64, i64, i128)>,
    pub(crate) holds: Vec<Held>,
    /// Hold and closing job, of holds that were loaded, in order.
    pub(crate) closed: Vec<(i64, i64)>,
}

/// What the model expects of a step, in words of its own.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    Done,
    TooLittle(i128),
    AlreadyClosed(i64),
    NoAccount(i64),
    NoHold,
    Itself,
    Nothing,
    TwoAssets,
    TooMuch,
    HeldBefore,
}

pub(crate) const TEN_TO_38: i128 = 10_i128.pow(38);

impl Naive {
    pub(crate) fn asset(&self, account: i64) -> Option<i16> {
        self.loaded.iter().find(|row| row.0 == account).map(|row| row.1)
    }

    pub(crate) fn posted(&self, account: i64) -> i128 {
        let loaded: i128 = self.loaded.iter().filter(|row| row.0 == account).map(|row| row.3).sum();
        let since = self.lines.iter().filter(|line| line.account == account);
        loaded + since.map(|line| line.posted).sum::<i128>()
    }

    pub(crate) fn held(&self, account: i64) -> i128 {
        let loaded: i128 = self.loaded.iter().filter(|row| row.0 == account).map(|row| row.4).sum();
        let since = self.lines.iter().filter(|line| line.account == account);
        loaded + since.map(|line| line.held).sum::<i128>()
    }

    pub(crate) fn version(&self, account: i64) -> i64 {
        let loaded: i64 = self.loaded.iter().filter(|row| row.0 == account).map(|row| row.2).sum();
        let since = self.lines.iter().filter(|line| line.account == account).count();
        loaded + i64::try_from(since).unwrap()
    }

    pub(crate) fn too_little(&self, account: i64, wanted: i128) -> Option<Said> {
        let available = self.posted(account) - self.held(account);
        (account > 0 && available < wanted).then_some(Said::TooLittle(available))
    }

    pub(crate) fn too_much(&self, account: i64, posted: i128, held: i128) -> bool {
        let (posted, held) = (self.posted(account) + posted, self.held(account) + held);
        [posted, held, posted - held].iter().any(|value| value.abs() >= TEN_TO_38)
    }

    pub(crate) fn transfer(&mut self, job: i64, debit: i64, credit: i64, amount: i128) -> Said {
        if amount == 0 {
            return Said::Nothing;
        }
        if debit == credit {
            return Said::Itself;
        }
        let Some(paying) = self.asset(debit) else {
            return Said::NoAccount(debit);
        };
        let Some(receiving) = self.asset(credit) else {
            return Said::NoAccount(credit);
        };
        if paying != receiving {
            return Said::TwoAssets;
        }
        if let Some(refusal) = self.too_little(debit, amount) {
            return refusal;
        }
        if self.too_much(debit, -amount, 0) || self.too_much(credit, amount, 0) {
            return Said::TooMuch;
        }
        let leg = self.transfers.iter().filter(|transfer| transfer.0 == job).count();
        for (account, posted) in [(debit, -amount), (credit, amount)] {
            self.lines.push(Line { account, job, why: Why::Leg(leg), posted, held: 0 });
        }
        self.transfers.push((job, debit, credit, amount));
        Said::Done
    }

    pub(crate) fn open(&mut self, job: i64, account: i64, amount: i128) -> Said {
        if amount == 0 {
            return Said::Nothing;
        }
        if self.holds.iter().any(|hold| hold.id == job) {
            return Said::HeldBefore;
        }
        if self.asset(account).is_none() {
            return Said::NoAccount(account);
        }
        if let Some(refusal) = self.too_little(account, amount) {
            return refusal;
        }
        if self.too_much(account, 0, amount) {
            return Said::TooMuch;
        }
        self.lines.push(Line { account, job, why: Why::Opened(job), posted: 0, held: amount });
        self.holds.push(Held { id: job, account, amount, loaded: false, closed_by: None });
        Said::Done
    }

    pub(crate) fn close(&mut self, job: i64, id: i64) -> Said {
        let Some(hold) = self.holds.iter_mut().find(|hold| hold.id == id) else {
            return Said::NoHold;
        };
        if let Some(by) = hold.closed_by {
            return Said::AlreadyClosed(by);
        }
        hold.closed_by = Some(job);
        if hold.loaded {
            self.closed.push((id, job));
        }
        let (account, released) = (hold.account, hold.amount);
        self.lines.push(Line { account, job, why: Why::Closed(id), posted: 0, held: -released });
        Said::Done
    }
}
