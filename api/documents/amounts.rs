//! Amounts as documents carry them, out of what is stored and what was asked.

use jobs::Assets;
use ledger::{Asset, AssetId};

/// The asset of a row.
///
/// # Errors
/// The registry does not have it: it was added a moment ago, or never.
pub(crate) fn asset_of(assets: &Assets, id: i16) -> Result<&Asset, sqlx::Error> {
    let terms = assets.by_id(AssetId::new(id));
    terms.map(|terms| &terms.asset).ok_or_else(|| sqlx::Error::Decode(format!("asset {id} is not known").into()))
}

/// Minor units out of the text of a numeric.
pub(crate) fn minor(text: &str) -> Result<i128, sqlx::Error> {
    text.parse().map_err(|error: std::num::ParseIntError| sqlx::Error::Decode(error.into()))
}

/// The amount in the asset's scale. A client may write 0.5 for 0.50000000; a document has one spelling
/// from the beginning.
pub(crate) fn one_spelling(assets: &Assets, asset: &str, amount: String) -> String {
    let in_scale = assets.by_code(asset).map(|terms| &terms.asset).and_then(|asset| {
        let amount = asset.parse(&amount).ok()?;
        Some(asset.format(amount))
    });
    in_scale.unwrap_or(amount)
}
