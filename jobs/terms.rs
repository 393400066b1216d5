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
    /// How it leaves.
    pub withdraw: WithdrawTerms,
}

/// The terms under which an asset leaves. Amounts are minor units.
#[derive(Clone, Debug)]
pub struct WithdrawTerms {
    /// The way that it leaves: `crypto` or `bank`.
    pub rail: String,
    /// The chain that its addresses are of.
    pub network: String,
    /// Decimal places that a withdrawal may have.
    pub scale: u8,
    /// The least that may be withdrawn.
    pub min: Amount,
    /// What we charge on top.
    pub fee: Amount,
    /// The most that the provider may charge us.
    pub network_fee_max: Amount,
    /// More than this needs two approvers.
    pub two_approvals_above: Amount,
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
