//! A naive model of the exchange: what balances must be, given what was accepted.
//!
//! It is written from the rules alone and shares no code with the ledger or the kinds: plain maps,
//! plain integers, one effect at a time, the whole state recomputed where that is simplest. It is
//! told of jobs that settled, in any order, and adds their effects up; sums do not depend on the
//! order, so the end must agree whatever the workers did in between.

mod refusals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use refusals::Refused;
use refusals::{Quiet, Refusal};

/// An asset's code with the fees that trades in it are locked with, in basis points.
#[derive(Clone, Debug)]
pub struct Fees {
    /// Maker fee.
    pub maker_bps: i128,
    /// Taker fee.
    pub taker_bps: i128,
    /// The share in a fee of who brought the trader, for referrers of the ordinary tier.
    pub referral_bps: i128,
}

/// What an account must have: posted and held, in minor units.
pub type Balance = (i128, i128);

/// Owner (0 is the house), asset code and purpose: `wallet`, `fee` or `world`.
pub type Account = (i64, String, String);

/// A trade as the model sees it.
#[derive(Clone, Debug)]
struct Deal {
    seller: i64,
    buyer: i64,
    asset: String,
    amount: i128,
}

/// The model. Amounts are minor units.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    fees: BTreeMap<String, Fees>,
    /// Everybody, with who brought them.
    people: BTreeMap<i64, Option<i64>>,
    payments: BTreeMap<String, (i64, String, i128)>,
    locked: BTreeMap<i64, Deal>,
    /// How often a trade was marked as paid, less how often that was taken back.
    paid: BTreeMap<i64, i64>,
    ever_paid: BTreeSet<i64>,
    released: BTreeSet<i64>,
    refunded: BTreeSet<i64>,
    /// Owner, asset, and amount with fee of what is on its way out.
    withdrawals: BTreeMap<i64, (i64, String, i128)>,
    /// What settled twice although it can only once.
    twice: Vec<String>,
    quiet: Arc<Quiet>,
    refusals: Vec<Refusal>,
}

impl Exchange {
    /// An exchange that deals in these assets.
    pub fn new(fees: impl IntoIterator<Item = (String, Fees)>) -> Self {
        Self { fees: fees.into_iter().collect(), ..Self::default() }
    }

    /// A user-register settled.
    pub fn register(&mut self, user: i64, referrer: Option<i64>) {
        self.people.insert(user, referrer);
    }

    /// A deposit-credit settled as a credit. A payment counts once, however often it is told of.
    pub fn deposit(&mut self, payment: &str, user: i64, asset: &str, amount: i128) {
        self.payments.entry(payment.to_owned()).or_insert_with(|| (user, asset.to_owned(), amount));
    }

    /// A lock-escrow settled; the seller made the offer.
    pub fn lock(&mut self, trade: i64, seller: i64, buyer: i64, asset: &str, amount: i128) {
        let before = self.locked.insert(trade, Deal { seller, buyer, asset: asset.to_owned(), amount });
        self.once(before.is_none(), trade, "locked");
    }

    /// A mark-paid settled.
    pub fn mark_paid(&mut self, trade: i64) {
        let times = self.paid.entry(trade).or_default();
        *times = times.saturating_add(1);
        self.ever_paid.insert(trade);
    }

    /// An undo settled.
    pub fn undo(&mut self, trade: i64) {
        let times = self.paid.entry(trade).or_default();
        *times = times.saturating_sub(1);
    }

    /// A release settled.
    pub fn release(&mut self, trade: i64) {
        let first = self.released.insert(trade);
        self.once(first, trade, "released");
    }

    /// A refund settled, whoever asked for it: a buyer, or Holdfast for a trade that was cancelled or
    /// has expired.
    pub fn refund(&mut self, trade: i64) {
        let first = self.refunded.insert(trade);
        self.once(first, trade, "refunded");
    }

    /// More time has passed than anybody has for paying: what is not paid has expired, and its money
    /// is back.
    pub fn expire(&mut self) {
        let unpaid = |trade: &&i64| self.paid.get(*trade).copied().unwrap_or_default() == 0;
        let expired: Vec<i64> = self.locked.keys().filter(unpaid).copied().collect();
        self.refunded.extend(expired.into_iter().filter(|trade| !self.released.contains(trade)));
    }

    /// A withdrawal-request settled: amount and fee are held.
    pub fn withdraw(&mut self, withdrawal: i64, user: i64, asset: &str, whole: i128) {
        let before = self.withdrawals.insert(withdrawal, (user, asset.to_owned(), whole));
        self.once(before.is_none(), withdrawal, "requested");
    }

    /// A withdrawal was called off or refused.
    pub fn call_off(&mut self, withdrawal: i64) {
        let there = self.withdrawals.remove(&withdrawal).is_some();
        self.once(there, withdrawal, "given back");
    }

    fn once(&mut self, first: bool, trade: i64, what: &str) {
        if !first {
            self.twice.push(format!("{trade} was {what} twice, or never before"));
        }
    }

    /// What a person must have: posted and held.
    pub fn wallet(&self, user: i64, asset: &str) -> Balance {
        self.balance(user, asset, "wallet")
    }

    /// What the house must have earned.
    pub fn fee(&self, asset: &str) -> i128 {
        self.balance(0, asset, "fee").0
    }

    /// Minus what must have come in from outside.
    pub fn world(&self, asset: &str) -> i128 {
        self.balance(0, asset, "world").0
    }

    fn balance(&self, owner: i64, asset: &str, purpose: &str) -> Balance {
        self.balances().get(&(owner, asset.to_owned(), purpose.to_owned())).copied().unwrap_or_default()
    }

    /// What every account must have at the end; accounts with nothing are left out.
    pub fn balances(&self) -> BTreeMap<Account, Balance> {
        self.summed(true)
    }

    /// What every account has at least as long as no commission was paid.
    fn without_commissions(&self) -> BTreeMap<Account, Balance> {
        self.summed(false)
    }

    fn summed(&self, commissions: bool) -> BTreeMap<Account, Balance> {
        let mut all: BTreeMap<Account, Balance> = BTreeMap::new();
        let mut add = |owner: i64, asset: &str, purpose: &str, posted: i128, held: i128| {
            let balance = all.entry((owner, asset.to_owned(), purpose.to_owned())).or_default();
            balance.0 = balance.0.saturating_add(posted);
            balance.1 = balance.1.saturating_add(held);
        };
        for (user, asset, amount) in self.payments.values() {
            add(*user, asset, "wallet", *amount, 0);
            add(0, asset, "world", amount.saturating_neg(), 0);
        }
        for (trade, deal) in &self.locked {
            if self.released.contains(trade) {
                let (maker_fee, taker_fee) = self.fees_of(deal);
                let fee = maker_fee.saturating_add(taker_fee);
                add(deal.seller, &deal.asset, "wallet", deal.amount.saturating_neg(), 0);
                add(deal.buyer, &deal.asset, "wallet", deal.amount.saturating_sub(fee), 0);
                add(0, &deal.asset, "fee", fee, 0);
                let due = if commissions { self.commissions_of(deal, maker_fee, taker_fee) } else { Vec::new() };
                for (referrer, commission) in due {
                    add(0, &deal.asset, "fee", commission.saturating_neg(), 0);
                    add(referrer, &deal.asset, "wallet", commission, 0);
                }
            } else if !self.refunded.contains(trade) {
                add(deal.seller, &deal.asset, "wallet", 0, deal.amount);
            }
        }
        for (user, asset, whole) in self.withdrawals.values() {
            add(*user, asset, "wallet", 0, *whole);
        }
        all.retain(|_, balance| *balance != (0, 0));
        all
    }

    /// Maker's and taker's fee, each floored by itself.
    fn fees_of(&self, deal: &Deal) -> (i128, i128) {
        let Some(fees) = self.fees.get(&deal.asset) else { return (0, 0) };
        (share(deal.amount, fees.maker_bps), share(deal.amount, fees.taker_bps))
    }

    /// Who gets which part of the fees: of the one whose trader they brought, or of both together.
    fn commissions_of(&self, deal: &Deal, maker_fee: i128, taker_fee: i128) -> Vec<(i64, i128)> {
        let bps = self.fees.get(&deal.asset).map_or(0, |fees| fees.referral_bps);
        let referrer = |user: i64| self.people.get(&user).copied().flatten();
        match (referrer(deal.seller), referrer(deal.buyer)) {
            (Some(one), Some(other)) if one == other => vec![(one, share(maker_fee.saturating_add(taker_fee), bps))],
            (one, other) => {
                [one.map(|one| (one, share(maker_fee, bps))), other.map(|other| (other, share(taker_fee, bps)))]
                    .into_iter()
                    .flatten()
                    .collect()
            }
        }
    }

    /// What could never have settled under the rules, whatever the order.
    pub fn impossible(&self) -> Vec<String> {
        let mut found = self.twice.clone();
        for trade in self.released.intersection(&self.refunded) {
            found.push(format!("trade {trade} was released and refunded"));
        }
        for (trade, times) in &self.paid {
            if !(0..=1).contains(times) {
                found.push(format!("trade {trade} is marked as paid {times} times"));
            }
        }
        for trade in self.released.iter().filter(|trade| self.paid.get(trade) != Some(&1)) {
            found.push(format!("trade {trade} was released and never paid"));
        }
        for trade in self.ever_paid.iter().chain(&self.released).chain(&self.refunded) {
            if !self.locked.contains_key(trade) {
                found.push(format!("trade {trade} moved and was never locked"));
            }
        }
        for (trade, deal) in &self.locked {
            if !self.people.contains_key(&deal.seller) || !self.people.contains_key(&deal.buyer) {
                found.push(format!("trade {trade} is between people who never registered"));
            }
            if deal.seller == deal.buyer || deal.amount <= 0 || !self.fees.contains_key(&deal.asset) {
                found.push(format!("trade {trade} is {deal:?}"));
            }
        }
        for ((owner, asset, purpose), (posted, held)) in self.balances() {
            if purpose != "world" && (posted < held || held < 0) {
                found.push(format!("{owner} has {posted} {asset} and {held} of it held"));
            }
        }
        found
    }

    /// What the books say otherwise, a line each, with what cannot be and what was refused
    /// wrongly; empty means equal to the last unit. `actual` may
    /// leave out accounts with nothing; stripes of the house are to be summed.
    pub fn differences(&self, actual: &BTreeMap<Account, Balance>) -> Vec<String> {
        let expected = self.balances();
        let mut lines = self.impossible();
        lines.extend(self.unjust());
        let keys: BTreeSet<&Account> = expected.keys().chain(actual.keys()).collect();
        for key in keys {
            let wanted = expected.get(key).copied().unwrap_or_default();
            let found = actual.get(key).copied().unwrap_or_default();
            if wanted != found {
                let (owner, asset, purpose) = key;
                lines.push(format!("{purpose} of {owner} in {asset}: expected {wanted:?}, found {found:?}"));
            }
        }
        lines
    }
}

/// Basis points of an amount, floored.
fn share(amount: i128, bps: i128) -> i128 {
    amount.saturating_mul(bps).checked_div_euclid(10_000).unwrap_or(0)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking, and its figures are small"
)]
mod tests {
    use super::{Exchange, Fees};

    pub(super) fn exchange() -> Exchange {
        let mut exchange =
            Exchange::new([("btc".to_owned(), Fees { maker_bps: 10, taker_bps: 25, referral_bps: 2000 })]);
        exchange.register(1, None);
        exchange.register(2, None);
        exchange.deposit("p1", 1, "btc", 10_000);
        exchange.deposit("p1", 1, "btc", 10_000);
        exchange.lock(7, 1, 2, "btc", 9_999);
        exchange
    }

    #[test]
    fn a_payment_counts_once_and_a_lock_holds() {
        let balances = exchange().balances();
        assert_eq!(balances[&(1, "btc".into(), "wallet".into())], (10_000, 9_999));
        assert_eq!(balances[&(0, "btc".into(), "world".into())], (-10_000, 0));
    }

    #[test]
    fn a_release_takes_each_fee_floored() {
        let mut exchange = exchange();
        exchange.mark_paid(7);
        exchange.release(7);
        let balances = exchange.balances();
        // floor(9.999) + floor(24.9975)
        assert_eq!(balances[&(0, "btc".into(), "fee".into())], (33, 0));
        assert_eq!(balances[&(2, "btc".into(), "wallet".into())], (9_966, 0));
        assert_eq!(balances[&(1, "btc".into(), "wallet".into())], (1, 0));
        assert_eq!(balances.values().map(|(posted, _)| posted).sum::<i128>(), 0);
        assert!(exchange.differences(&balances).is_empty());
    }

    #[test]
    fn who_brought_a_trader_shares_in_their_fee() {
        let mut exchange = exchange();
        exchange.register(3, None);
        exchange.register(1, Some(3));
        exchange.mark_paid(7);
        exchange.release(7);
        // floor(9 × 0.2): only the maker was brought.
        assert_eq!((exchange.wallet(3, "btc"), exchange.fee("btc")), ((1, 0), 32));
        exchange.register(2, Some(3));
        // floor(33 × 0.2): both were, so the fees count together.
        assert_eq!((exchange.wallet(3, "btc"), exchange.fee("btc")), ((6, 0), 27));
    }

    #[test]
    fn the_order_of_what_is_told_does_not_matter() {
        let mut forward = exchange();
        forward.mark_paid(7);
        forward.release(7);
        let mut backward =
            Exchange::new([("btc".to_owned(), Fees { maker_bps: 10, taker_bps: 25, referral_bps: 2000 })]);
        backward.release(7);
        backward.mark_paid(7);
        backward.lock(7, 1, 2, "btc", 9_999);
        backward.deposit("p1", 1, "btc", 10_000);
        backward.register(2, None);
        backward.register(1, None);
        assert_eq!(forward.balances(), backward.balances());
        assert_eq!(backward.impossible(), Vec::<String>::new());
        assert_eq!((backward.wallet(2, "btc"), backward.fee("btc"), backward.world("btc")), ((9_966, 0), 33, -10_000));
    }

    #[test]
    fn a_difference_of_one_unit_is_named() {
        let exchange = exchange();
        let mut actual = exchange.balances();
        actual.get_mut(&(1, "btc".into(), "wallet".into())).unwrap().1 -= 1;
        actual.insert((2, "btc".into(), "receivable".into()), (-1, 0));
        let found = exchange.differences(&actual);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("expected (10000, 9999), found (10000, 9998)"), "{found:?}");
    }

    #[test]
    fn what_cannot_be_is_named() {
        let mut exchange = exchange();
        exchange.release(7);
        exchange.refund(7);
        exchange.lock(8, 1, 3, "btc", 1);
        let found = exchange.differences(&exchange.balances()).join("\n");
        assert!(found.contains("released and refunded") && found.contains("never paid"), "{found}");
        assert!(found.contains("never registered"), "{found}");
        exchange.release(7);
        exchange.lock(9, 1, 1, "eth", 0);
        let found = exchange.impossible().join("\n");
        assert!(found.contains("7 was released twice") && found.contains("trade 9 is"), "{found}");
    }
}
