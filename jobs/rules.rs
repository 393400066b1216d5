use chrono::TimeDelta;
use ledger::{Amount, AssetId, BasisPoints};
use rustc_hash::FxHashMap;

use crate::rows::people::Tier;

/// What an operator may set for the whole exchange, as it was read from the database.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How long the buyer has to say that they paid, from the lock.
    pub pay_window: TimeDelta,
    /// How long after its deadline a trade expires.
    pub expiry_grace: TimeDelta,
    /// By how much a seller may put the deadline off.
    pub extension_max: TimeDelta,
    /// How long an approval counts.
    pub approval_valid: TimeDelta,
    /// How much of an asset somebody who is known that well may withdraw in a day; minor units.
    pub kyc_limits: FxHashMap<(i16, AssetId), Amount>,
    /// Which share of a fee a referrer of a tier and level gets.
    pub referral_rates: FxHashMap<(Tier, i16), BasisPoints>,
}

impl Default for Rules {
    /// What a new database has, but for the referral rates and limits, of which there are none.
    fn default() -> Self {
        Self {
            pay_window: TimeDelta::minutes(120),
            expiry_grace: TimeDelta::seconds(60),
            extension_max: TimeDelta::minutes(60),
            approval_valid: TimeDelta::hours(24),
            kyc_limits: FxHashMap::default(),
            referral_rates: FxHashMap::default(),
        }
    }
}
