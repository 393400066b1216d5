//! The fields of a signed object, each read as the one type it may have.

use super::decimal::{DecimalError, DecimalText};
use super::json::{Member, Node};
use super::signature::Refusal;
use super::spelling;

/// The largest integer whose neighbours are all doubles: 2^53 - 1. From 2^53 on a double may
/// stand for another integer than the one that was sent.
const SAFE_INTEGER_MAX: u64 = 9_007_199_254_740_991;

/// The longest id, in digits.
const ID_DIGITS_MAX: usize = 32;

/// Why no facts can be read from a text that is authentic. A person has to look at it; it is
/// never dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// The text is not JSON, which no text that was verified can be.
    #[error("the signed text cannot be read")]
    Text(#[source] Refusal),
    /// The text is of a payment and of a payout at once.
    #[error("the callback is of a payment and of a payout at once")]
    Ambiguous,
    /// A field without which there is no fact is absent or null.
    #[error("{field} is missing")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A field has a type that it cannot have.
    #[error("{field} has the wrong type")]
    WrongType {
        /// Its name.
        field: &'static str,
    },
    /// An id is not spelled as plain digits (at most 32, none of them a leading zero).
    #[error("{field} is not spelled as plain digits")]
    NotAnId {
        /// Its name.
        field: &'static str,
    },
    /// An amount cannot be read.
    #[error("{field} is not an amount")]
    NotAnAmount {
        /// Its name.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: DecimalError,
    },
    /// An amount is below zero.
    #[error("{field} is below zero")]
    Negative {
        /// Its name.
        field: &'static str,
    },
    /// An integer of 2^53 or more was signed as a double, so its last digits are not known.
    #[error("{field} is an integer beyond 2^53 that was signed as a double")]
    Imprecise {
        /// Its name.
        field: &'static str,
    },
    /// A text has a NUL or half a character, which no database stores.
    #[error("{field} has a character that cannot be stored")]
    NotText {
        /// Its name.
        field: &'static str,
    },
    /// A text is longer than the field can be.
    #[error("{field} is longer than {bytes_max} bytes")]
    TooLong {
        /// Its name.
        field: &'static str,
        /// The most it may have.
        bytes_max: usize,
    },
    /// The provider has a status that we do not know.
    #[error("{field} is {status:?}, which is not a known status")]
    UnknownStatus {
        /// Its name.
        field: &'static str,
        /// What it says.
        status: String,
    },
}

impl FactsError {
    /// A stable name for logs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Ambiguous => "ambiguous",
            Self::Missing { .. } => "missing",
            Self::WrongType { .. } => "wrong_type",
            Self::NotAnId { .. } => "not_an_id",
            Self::NotAnAmount { .. } => "not_an_amount",
            Self::Negative { .. } => "negative",
            Self::Imprecise { .. } => "imprecise",
            Self::NotText { .. } => "not_text",
            Self::TooLong { .. } => "too_long",
            Self::UnknownStatus { .. } => "unknown_status",
        }
    }
}

/// The members of one object. An absent field and a null one are the same.
pub(super) struct Fields<'a> {
    members: &'a [Member<'a>],
    keeps_integers: bool,
}

impl<'a> Fields<'a> {
    /// `keeps_integers` is false where numbers went through a double before they were signed.
    pub(super) fn new(members: &'a [Member<'a>], keeps_integers: bool) -> Self {
        Self { members, keeps_integers }
    }

    /// Whether the field is there, be it null.
    pub(super) fn names(&self, field: &str) -> bool {
        self.members.iter().any(|(key, _)| key == field)
    }

    /// Whether the field is there and not null.
    pub(super) fn has(&self, field: &str) -> bool {
        self.get(field).is_some()
    }

    fn get(&self, field: &str) -> Option<&'a Node<'a>> {
        let (_, node) = self.members.iter().find(|(key, _)| key == field)?;
        (*node != Node::Null).then_some(node)
    }

    /// An id of the provider, from a string or a number.
    pub(super) fn id(&self, field: &'static str) -> Result<Option<String>, FactsError> {
        let spelled: &str = match self.get(field) {
            None => return Ok(None),
            Some(Node::Number(token)) => {
                self.check_integer(field, token)?;
                token
            }
            Some(Node::Text(spelled)) => spelled,
            Some(Node::Null | Node::Bool(_) | Node::Array(_) | Node::Object(_)) => {
                return Err(FactsError::WrongType { field });
            }
        };
        let digits = !spelled.is_empty() && spelled.bytes().all(|digit| digit.is_ascii_digit());
        let padded = spelled.len() > 1 && spelled.starts_with('0');
        if !digits || padded || spelled.len() > ID_DIGITS_MAX {
            return Err(FactsError::NotAnId { field });
        }
        Ok(Some(spelled.to_owned()))
    }

    /// As [`Self::id`], of a field that must be there.
    pub(super) fn id_required(&self, field: &'static str) -> Result<String, FactsError> {
        self.id(field)?.ok_or(FactsError::Missing { field })
    }

    /// An amount of zero or more, from a string or a number.
    pub(super) fn amount(&self, field: &'static str) -> Result<Option<DecimalText>, FactsError> {
        let spelled: &str = match self.get(field) {
            None => return Ok(None),
            Some(Node::Number(token)) => {
                self.check_integer(field, token)?;
                token
            }
            Some(Node::Text(spelled)) => spelled,
            Some(Node::Null | Node::Bool(_) | Node::Array(_) | Node::Object(_)) => {
                return Err(FactsError::WrongType { field });
            }
        };
        let amount = decimal(field, spelled)?;
        if amount.is_negative() {
            return Err(FactsError::Negative { field });
        }
        Ok(Some(amount))
    }

    /// As [`Self::amount`], of a field whose type is not documented: null if it is neither a
    /// string nor a number.
    pub(super) fn amount_if_scalar(&self, field: &'static str) -> Result<Option<DecimalText>, FactsError> {
        match self.get(field) {
            None | Some(Node::Null | Node::Bool(_) | Node::Array(_) | Node::Object(_)) => Ok(None),
            Some(Node::Number(_) | Node::Text(_)) => self.amount(field),
        }
    }

    /// A text; an empty one is none.
    pub(super) fn text(&self, field: &'static str, bytes_max: usize) -> Result<Option<String>, FactsError> {
        match self.get(field) {
            None => Ok(None),
            Some(Node::Text(spelled)) => {
                let text = unescape(field, spelled)?;
                if text.len() > bytes_max {
                    return Err(FactsError::TooLong { field, bytes_max });
                }
                Ok(Some(text).filter(|text| !text.is_empty()))
            }
            Some(Node::Null | Node::Number(_) | Node::Bool(_) | Node::Array(_) | Node::Object(_)) => {
                Err(FactsError::WrongType { field })
            }
        }
    }

    /// A text that some send as an integer: an order id or a memo.
    pub(super) fn label(&self, field: &'static str, bytes_max: usize) -> Result<Option<String>, FactsError> {
        match self.get(field) {
            Some(Node::Number(_)) => self.id(field),
            None | Some(Node::Null | Node::Text(_) | Node::Bool(_) | Node::Array(_) | Node::Object(_)) => {
                self.text(field, bytes_max)
            }
        }
    }

    /// Refuses an integer that a double may have changed before it was signed.
    fn check_integer(&self, field: &'static str, token: &str) -> Result<(), FactsError> {
        if self.keeps_integers {
            return Ok(());
        }
        let value = decimal(field, token)?;
        let magnitude = value.as_str().trim_start_matches('-');
        // A double that has a fraction is below 2^53.
        let safe = magnitude.contains('.') || magnitude.parse().is_ok_and(|integer: u64| integer <= SAFE_INTEGER_MAX);
        if safe { Ok(()) } else { Err(FactsError::Imprecise { field }) }
    }
}

fn decimal(field: &'static str, spelled: &str) -> Result<DecimalText, FactsError> {
    spelled.parse().map_err(|source| FactsError::NotAnAmount { field, source })
}

/// The text that a canonical spelling stands for.
fn unescape(field: &'static str, spelled: &str) -> Result<String, FactsError> {
    if !spelled.contains('\\') {
        return Ok(spelled.to_owned());
    }
    let text: Result<String, _> = char::decode_utf16(spelling::units(spelled)).collect();
    text.ok().filter(|text| !text.contains('\0')).ok_or(FactsError::NotText { field })
}
