//! Whether what was refused was refused rightly, as far as the end can tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Account, Balance, Exchange};

/// What was asked for and refused; `by` is who asked.
#[derive(Clone, Debug)]
pub enum Refused {
    /// A lock-escrow.
    Lock {
        /// Whose money.
        seller: i64,
        /// Who would have received it.
        buyer: i64,
        /// Code of the asset.
        asset: String,
        /// Minor units.
        amount: i128,
    },
    /// A mark-paid.
    MarkPaid {
        /// Of which trade.
        trade: i64,
        /// Who asked.
        by: i64,
    },
    /// A release.
    Release {
        /// Of which trade.
        trade: i64,
        /// Who asked.
        by: i64,
    },
    /// A refund.
    Refund {
        /// Of which trade.
        trade: i64,
        /// Who asked.
        by: i64,
    },
}

/// What had settled when nothing else was under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Quiet {
    people: BTreeSet<i64>,
    trades: BTreeSet<i64>,
    paid: BTreeSet<i64>,
    balances: BTreeMap<Account, Balance>,
}

/// A refusal, and what had certainly settled before it was decided.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    asked: Refused,
    reason: String,
    since: Arc<Quiet>,
}

impl Exchange {
    /// Everything told so far had settled before anything that is told from now on was asked for.
    /// Without this, a refusal is judged by the end alone, which can tell less.
    pub fn quiet(&mut self) {
        self.quiet = Arc::new(Quiet {
            people: self.people.keys().copied().collect(),
            trades: self.locked.keys().copied().collect(),
            paid: self.ever_paid.clone(),
            // Commissions follow by themselves, and may still have been on their way.
            balances: self.without_commissions(),
        });
    }

    /// A job was rejected, with the code of its reason.
    pub fn refuse(&mut self, asked: Refused, reason: &str) {
        self.refusals.push(Refusal { asked, reason: reason.to_owned(), since: Arc::clone(&self.quiet) });
    }

    /// The refusals that no order of the settled jobs explains. What the model cannot judge, such
    /// as a deadline, is taken as right.
    pub fn unjust(&self) -> Vec<String> {
        self.refusals
            .iter()
            .filter_map(|refusal| {
                let why = self.protest(refusal)?;
                Some(format!("{:?} was refused as {}, but {why}", refusal.asked, refusal.reason))
            })
            .collect()
    }

    /// What speaks against a refusal, if anything does.
    fn protest(&self, refusal: &Refusal) -> Option<String> {
        let since = &refusal.since;
        match (&refusal.asked, refusal.reason.as_str()) {
            (Refused::Lock { seller, asset, amount, .. }, "insufficient_funds") => {
                let least = self.least(since, *seller, asset);
                (least >= *amount).then(|| format!("there were never less than {least} available"))
            }
            (Refused::Lock { seller, buyer, .. }, "user_unknown") => {
                let known = since.people.contains(seller) && since.people.contains(buyer);
                known.then(|| "both had registered before".to_owned())
            }
            (Refused::Lock { seller, buyer, .. }, "self_trade") => {
                (seller != buyer).then(|| "they are two people".to_owned())
            }
            (Refused::Lock { .. }, _) => None,
            (Refused::MarkPaid { trade, by } | Refused::Refund { trade, by }, "not_the_buyer") => {
                let buyer = self.locked.get(trade)?.buyer;
                (buyer == *by).then(|| "it was the buyer who asked".to_owned())
            }
            (Refused::Release { trade, by }, "not_the_seller") => {
                let seller = self.locked.get(trade)?.seller;
                (seller == *by).then(|| "it was the seller who asked".to_owned())
            }
            (asked, "trade_never_opened") => {
                self.locked.contains_key(&asked.trade()?).then(|| "the trade was opened".to_owned())
            }
            (asked, "wrong_state" | "hold_closed") => self.protest_state(asked, since),
            (Refused::MarkPaid { .. } | Refused::Release { .. } | Refused::Refund { .. }, _) => None,
        }
    }

    /// A refusal for the state of the trade needs somebody who brought it there.
    fn protest_state(&self, asked: &Refused, since: &Quiet) -> Option<String> {
        let trade = asked.trade()?;
        if !self.locked.contains_key(&trade) {
            return Some("the trade was never locked".to_owned());
        }
        let over = self.released.contains(&trade) || self.refunded.contains(&trade);
        let explained = match asked {
            Refused::Lock { .. } | Refused::Refund { .. } => over,
            Refused::MarkPaid { .. } => over || self.ever_paid.contains(&trade),
            // It may have come before the mark-paid, unless that had settled long before.
            Refused::Release { .. } => over || !since.paid.contains(&trade),
        };
        (!explained).then(|| "nothing had brought the trade into another state".to_owned())
    }

    /// The least that can ever have been available since then: only locks take from it.
    fn least(&self, since: &Quiet, seller: i64, asset: &str) -> i128 {
        let wallet = (seller, asset.to_owned(), "wallet".to_owned());
        let (posted, held) = since.balances.get(&wallet).copied().unwrap_or_default();
        let locked = self
            .locked
            .iter()
            .filter(|(trade, deal)| !since.trades.contains(trade) && deal.seller == seller && deal.asset == asset)
            .fold(0_i128, |sum, (_, deal)| sum.saturating_add(deal.amount));
        posted.saturating_sub(held).saturating_sub(locked)
    }
}

impl Refused {
    const fn trade(&self) -> Option<i64> {
        match self {
            Self::Lock { .. } => None,
            Self::MarkPaid { trade, .. } | Self::Release { trade, .. } | Self::Refund { trade, .. } => Some(*trade),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::exchange;
    use super::{Exchange, Refused};

    fn lock(amount: i128) -> Refused {
        Refused::Lock { seller: 1, buyer: 2, asset: "btc".to_owned(), amount }
    }

    fn unjust(exchange: &mut Exchange, asked: Refused, reason: &str) -> String {
        exchange.refuse(asked, reason);
        let found = exchange.unjust().join("\n");
        exchange.refusals.clear();
        found
    }

    #[test]
    fn a_lock_is_refused_rightly_only_where_the_money_may_have_been_elsewhere() {
        let mut exchange = exchange();
        // Nobody knows whether the deposit came first.
        assert_eq!(unjust(&mut exchange, lock(1), "insufficient_funds"), "");
        exchange.quiet();
        assert!(unjust(&mut exchange, lock(1), "insufficient_funds").contains("never less than 1 "));
        assert_eq!(unjust(&mut exchange, lock(2), "insufficient_funds"), "");
        exchange.lock(8, 1, 2, "btc", 1);
        assert_eq!(unjust(&mut exchange, lock(1), "insufficient_funds"), "");
        // That it came back may have been too late.
        exchange.refund(8);
        assert_eq!(unjust(&mut exchange, lock(1), "insufficient_funds"), "");
        assert!(unjust(&mut exchange, lock(1), "self_trade").contains("two people"));
        assert!(unjust(&mut exchange, lock(1), "user_unknown").contains("registered"));
    }

    #[test]
    fn a_move_is_refused_rightly_only_where_another_one_was_made() {
        let mut exchange = exchange();
        let paid = || Refused::MarkPaid { trade: 7, by: 2 };
        let release = || Refused::Release { trade: 7, by: 1 };
        let refund = || Refused::Refund { trade: 7, by: 2 };
        assert!(unjust(&mut exchange, paid(), "wrong_state").contains("nothing had brought"));
        assert_eq!(unjust(&mut exchange, release(), "wrong_state"), "");
        assert!(unjust(&mut exchange, refund(), "wrong_state").contains("nothing had brought"));
        exchange.mark_paid(7);
        assert_eq!(unjust(&mut exchange, paid(), "wrong_state"), "");
        // The release may have come before the mark-paid, until that is known to be settled.
        assert_eq!(unjust(&mut exchange, release(), "wrong_state"), "");
        exchange.quiet();
        assert!(unjust(&mut exchange, release(), "wrong_state").contains("nothing had brought"));
        exchange.refund(7);
        for asked in [paid(), release(), refund()] {
            assert_eq!(unjust(&mut exchange, asked, "wrong_state"), "");
        }
    }

    #[test]
    fn a_stranger_is_refused_and_a_party_is_not() {
        let mut exchange = exchange();
        for (asked, reason) in [
            (Refused::MarkPaid { trade: 7, by: 2 }, "not_the_buyer"),
            (Refused::Refund { trade: 7, by: 2 }, "not_the_buyer"),
            (Refused::Release { trade: 7, by: 1 }, "not_the_seller"),
            (Refused::Release { trade: 7, by: 1 }, "trade_never_opened"),
        ] {
            assert_ne!(unjust(&mut exchange, asked, reason), "", "{reason}");
        }
        for (asked, reason) in [
            (Refused::MarkPaid { trade: 7, by: 1 }, "not_the_buyer"),
            (Refused::Release { trade: 7, by: 2 }, "not_the_seller"),
            (Refused::Release { trade: 9, by: 1 }, "trade_never_opened"),
            (Refused::MarkPaid { trade: 7, by: 2 }, "deadline_passed"),
        ] {
            assert_eq!(unjust(&mut exchange, asked, reason), "", "{reason}");
        }
    }
}
