use std::sync::Arc;

use ledger::{Amount, Asset, AssetId, BasisPoints};

/// An asset and the terms under which the exchange deals in it.
#[derive(Clone, Debug)]
pub struct AssetTerms {
    /// What it is.
    pub asset: Asset,
    /// A single credit above this goes to review; minor units.
    pub credit_max: Amount,
    /// Maker fee of new trades.
    pub maker_rate: BasisPoints,
    /// Taker fee of new trades.
    pub taker_rate: BasisPoints,
}

/// The registry of assets as it was read from the database.
#[derive(Clone, Debug, Default)]
pub struct Assets(Arc<[AssetTerms]>);

impl Assets {
    /// The registry of these.
    pub fn new(terms: Vec<AssetTerms>) -> Self {
        Self(terms.into())
    }

    /// The asset with this code.
    pub fn by_code(&self, code: &str) -> Option<&AssetTerms> {
        self.0.iter().find(|terms| terms.asset.code == code)
    }

    /// The asset with this id.
    pub fn by_id(&self, id: AssetId) -> Option<&AssetTerms> {
        self.0.iter().find(|terms| terms.asset.id == id)
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &AssetTerms> {
        self.0.iter()
    }
}
