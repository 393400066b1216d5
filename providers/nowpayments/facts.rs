//! What a signed callback says.

use serde::Serialize;

use super::decimal::DecimalText;
use super::fields::{FactsError, Fields};
use super::json::{self, Node};
use super::signature::{Refusal, Signed};
use super::status::{PaymentStatus, PayoutStatus};

/// The longest currency code or status, in bytes.
const WORD_BYTES_MAX: usize = 32;
/// The longest address, memo, order id or transaction hash, in bytes.
const LABEL_BYTES_MAX: usize = 256;
/// The longest free text, in bytes.
const PROSE_BYTES_MAX: usize = 4096;

/// A callback, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callback {
    /// Of a payment: a deposit.
    Payment(PaymentFacts),
    /// Of one withdrawal of a payout batch.
    Payout(PayoutFacts),
    /// Authentic, but of neither: a custody transfer, a subscription, or something new.
    Other,
}

/// What the provider says of a payment.
///
/// Ids are plain digits; currencies are the provider's codes in lower case; amounts are in
/// units of their currency and never below zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PaymentFacts {
    /// Names the payment. A repeated or wrong-asset deposit has one of its own.
    pub payment_id: String,
    /// The payment whose address this one arrived on, where it is a repeated one.
    pub parent_payment_id: Option<String>,
    /// How far it is.
    pub status: PaymentStatus,
    /// Our label. Children carry their parent's, so never credit by it.
    pub order_id: Option<String>,
    /// The address that was paid.
    pub pay_address: Option<String>,
    /// What was asked for.
    pub pay_amount: Option<DecimalText>,
    /// What arrived on the address.
    pub actually_paid: Option<DecimalText>,
    /// The currency of `pay_amount` and `actually_paid`.
    pub pay_currency: Option<String>,
    /// What is ours: the amount to credit.
    pub outcome_amount: Option<DecimalText>,
    /// The currency of `outcome_amount`, and the only one to credit in.
    pub outcome_currency: Option<String>,
}

/// What the provider says of one withdrawal of a payout batch. It carries no label of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PayoutFacts {
    /// Names the withdrawal at the provider.
    pub id: String,
    /// Names its batch.
    pub batch_withdrawal_id: String,
    /// How far it is.
    pub status: PayoutStatus,
    /// The provider's code in lower case.
    pub currency: Option<String>,
    /// What is sent, in units of `currency`.
    pub amount: Option<DecimalText>,
    /// Where to.
    pub address: Option<String>,
    /// The memo or destination tag.
    pub extra_id: Option<String>,
    /// The network's cost. Its type is not documented: none if it is neither a string nor a
    /// number.
    pub fee: Option<DecimalText>,
    /// The transaction on the chain.
    pub hash: Option<String>,
    /// The provider's own words on what went wrong.
    pub error: Option<String>,
}

impl Callback {
    /// Reads the facts out of a signed text.
    ///
    /// A text with a `payment_id` or `payment_status` is of a payment, one with a
    /// `batch_withdrawal_id` is of a payout.
    ///
    /// # Errors
    /// [`FactsError`]: the callback is the provider's, but cannot be acted on. Keep it for a
    /// person to look at.
    pub fn read(signed: &Signed) -> Result<Self, FactsError> {
        let node = json::read(signed.text()).map_err(|fault| FactsError::Text(Refusal::from(fault)))?;
        let Node::Object(members) = &node else {
            return Ok(Self::Other);
        };
        let fields = Fields::new(members, signed.form().keeps_integers());
        let payment = fields.names("payment_id") || fields.names("payment_status");
        match (payment, fields.has("batch_withdrawal_id")) {
            (true, true) => Err(FactsError::Ambiguous),
            (true, false) => PaymentFacts::from_fields(&fields).map(Self::Payment),
            (false, true) => PayoutFacts::from_fields(&fields).map(Self::Payout),
            (false, false) => Ok(Self::Other),
        }
    }
}

impl PaymentFacts {
    fn from_fields(fields: &Fields<'_>) -> Result<Self, FactsError> {
        Ok(Self {
            payment_id: fields.id_required("payment_id")?,
            parent_payment_id: fields.id("parent_payment_id")?,
            status: status(fields, "payment_status", PaymentStatus::parse)?,
            order_id: fields.label("order_id", LABEL_BYTES_MAX)?,
            pay_address: fields.text("pay_address", LABEL_BYTES_MAX)?,
            pay_amount: fields.amount("pay_amount")?,
            actually_paid: fields.amount("actually_paid")?,
            pay_currency: currency(fields, "pay_currency")?,
            outcome_amount: fields.amount("outcome_amount")?,
            outcome_currency: currency(fields, "outcome_currency")?,
        })
    }

    /// The business key of the fact, to be put behind a kind.
    ///
    /// `payment_id`, `status`, `outcome_amount`, `outcome_currency`, `actually_paid`, `order_id`,
    /// in this order, each as `<bytes>:<text>,` or `-,` where it is absent. Nothing else counts:
    /// the same news at another time (`updated_at`), or with another estimate of the fees, is the
    /// same fact. A corrected order id is news, since a credit depends on it. At most 600 bytes.
    pub fn fact_key(&self) -> String {
        key(&[
            Some(&self.payment_id),
            Some(self.status.as_str()),
            self.outcome_amount.as_ref().map(DecimalText::as_str),
            self.outcome_currency.as_deref(),
            self.actually_paid.as_ref().map(DecimalText::as_str),
            self.order_id.as_deref(),
        ])
    }
}

impl PayoutFacts {
    fn from_fields(fields: &Fields<'_>) -> Result<Self, FactsError> {
        Ok(Self {
            id: fields.id_required("id")?,
            batch_withdrawal_id: fields.id_required("batch_withdrawal_id")?,
            status: status(fields, "status", PayoutStatus::parse)?,
            currency: currency(fields, "currency")?,
            amount: fields.amount("amount")?,
            address: fields.text("address", LABEL_BYTES_MAX)?,
            extra_id: fields.label("extra_id", LABEL_BYTES_MAX)?,
            fee: fields.amount_if_scalar("fee")?,
            hash: fields.text("hash", LABEL_BYTES_MAX)?,
            error: fields.text("error", PROSE_BYTES_MAX)?,
        })
    }

    /// The business key of the fact, to be put behind a kind.
    ///
    /// `id`, `batch_withdrawal_id`, `status`, `currency`, `amount`, `address`, `extra_id`,
    /// `fee`, `hash`, in this order, each as `<bytes>:<text>,` or `-,` where it is absent.
    /// The provider's words (`error`) and its times do not count. At most 1100 bytes.
    pub fn fact_key(&self) -> String {
        key(&[
            Some(&self.id),
            Some(&self.batch_withdrawal_id),
            Some(self.status.as_str()),
            self.currency.as_deref(),
            self.amount.as_ref().map(DecimalText::as_str),
            self.address.as_deref(),
            self.extra_id.as_deref(),
            self.fee.as_ref().map(DecimalText::as_str),
            self.hash.as_deref(),
        ])
    }
}

fn status<S>(fields: &Fields<'_>, field: &'static str, parse: fn(&str) -> Option<S>) -> Result<S, FactsError> {
    let word = fields.text(field, WORD_BYTES_MAX)?.ok_or(FactsError::Missing { field })?;
    parse(&word).ok_or(FactsError::UnknownStatus { field, status: word })
}

fn currency(fields: &Fields<'_>, field: &'static str) -> Result<Option<String>, FactsError> {
    let code = fields.text(field, WORD_BYTES_MAX)?;
    Ok(code.map(|code| code.to_ascii_lowercase()))
}

/// Joins fields so that no two lists of fields have the same key.
fn key(fields: &[Option<&str>]) -> String {
    let mut key = String::new();
    for field in fields {
        match field {
            Some(text) => {
                key.push_str(&text.len().to_string());
                key.push(':');
                key.push_str(text);
            }
            None => key.push('-'),
        }
        key.push(',');
    }
    key
}
