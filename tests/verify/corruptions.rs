//! What the rows are changed to, and which checks must find it.

mod causes;
mod matters;
mod money;
mod operating;
mod records;
mod withdrawals;

/// A change that no guard would let pass, made while none is looking.
pub(super) struct Corruption {
    /// What is wrong.
    pub(super) what: &'static str,
    /// The statements; a name in braces stands for its id.
    pub(super) sql: &'static str,
    /// Exactly the checks that find it.
    pub(super) found_by: &'static [&'static str],
}

/// At least one for every check.
pub(super) const CORRUPTIONS: [&[Corruption]; 6] =
    [causes::CAUSES, money::MONEY, operating::OPERATING, records::RECORDS, matters::MATTERS, withdrawals::WITHDRAWALS];

const fn corruption(what: &'static str, sql: &'static str, found_by: &'static [&'static str]) -> Corruption {
    Corruption { what, sql, found_by }
}
