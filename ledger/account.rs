use std::fmt;

use crate::asset::AssetId;

/// The number under which an account is stored. Accounts without a floor have negative ids, so
/// that the database can tell them apart on every entry; no account has the id zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(i64);

impl AccountId {
    /// The account stored under this number, or `None` for zero, which is not an id.
    pub const fn new(id: i64) -> Option<Self> {
        if id == 0 { None } else { Some(Self(id)) }
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether the available balance must never fall below zero.
    pub const fn has_floor(self) -> bool {
        self.0 > 0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Whose account it is: the house or a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(i64);

impl Owner {
    /// The exchange itself.
    pub const HOUSE: Self = Self(0);

    /// The owner stored under this number: 0 is the house, anything else a user's id.
    pub const fn new(id: i64) -> Self {
        Self(id)
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether it is the exchange itself.
    pub const fn is_house(self) -> bool {
        self.0 == 0
    }
}

/// What an account is for. The text of each is stored and never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// What an owner has with us and may trade or withdraw.
    Wallet,
    /// What the house has earned.
    Fee,
    /// Everything outside: its negative balance is what came in and has not gone out again.
    World,
    /// What an owner owes the house after a clawback that found too little.
    Receivable,
}

impl Purpose {
    /// Every purpose, in the order of this type.
    pub const ALL: [Self; 4] = [Self::Wallet, Self::Fee, Self::World, Self::Receivable];

    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wallet => "wallet",
            Self::Fee => "fee",
            Self::World => "world",
            Self::Receivable => "receivable",
        }
    }

    /// The purpose that is stored as this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }

    /// Whether accounts of this purpose may not fall below zero, and so have positive ids.
    pub const fn has_floor(self) -> bool {
        match self {
            Self::Wallet | Self::Fee => true,
            Self::World | Self::Receivable => false,
        }
    }
}

/// What names an account for those who do not know its id. Missing accounts are created in this
/// order, so that two batches cannot wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountKey {
    /// Whose it is.
    pub owner: Owner,
    /// What it counts.
    pub asset: AssetId,
    /// What it is for.
    pub purpose: Purpose,
    /// Which part of a house account that is split so that batches need not wait for one row; 0
    /// for accounts that are not split.
    pub stripe: i16,
}

/// What an account has, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Balance {
    /// What transfers left there. Negative only without a floor.
    pub posted: i128,
    /// The part of it that open holds have set aside. Never negative.
    pub held: i128,
}

impl Balance {
    /// The largest magnitude that any part of a balance may have: 38 decimal digits, which is
    /// what `numeric(38,0)` stores.
    pub const LIMIT: i128 = 99_999_999_999_999_999_999_999_999_999_999_999_999;

    /// What may be spent: posted − held. Exact for every balance that a [`crate::Book`] holds,
    /// because it keeps all three within [`Balance::LIMIT`]; beyond that it stops at the ends of
    /// `i128`.
    pub const fn available(self) -> i128 {
        self.posted.saturating_sub(self.held)
    }

    /// Whether every part of it can be stored.
    pub(crate) const fn is_storable(self) -> bool {
        const fn fits(value: i128) -> bool {
            value.unsigned_abs() <= Balance::LIMIT.unsigned_abs()
        }
        fits(self.posted) && fits(self.held) && fits(self.available())
    }
}

/// An account as the newest entry leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    /// Under what it is stored.
    pub id: AccountId,
    /// What names it.
    pub key: AccountKey,
    /// The version of its newest entry; 0 if it has none. Versions have no gaps.
    pub version: i64,
    /// What the newest entry says it has.
    pub balance: Balance,
}
