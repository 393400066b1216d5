//! What `NOWPayments` would send.

use hmac::{Hmac, KeyInit, Mac};
use providers::nowpayments::{PaymentStatus, PayoutStatus};
use serde_json::Value;
use sha2::Sha512;

/// A payment, as its callback tells of it.
///
/// Amounts are decimal text (`"0.00022187"`) and are written as number tokens exactly as
/// they stand here, so a text that is no JSON number makes a body that is no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Names the payment.
    pub payment_id: u64,
    /// The payment whose address this one arrived on, if it is a repeated one.
    pub parent_payment_id: Option<u64>,
    /// How far it is.
    pub status: PaymentStatus,
    /// The exchange's label.
    pub order_id: Option<String>,
    /// What was asked for, in `price_currency`.
    pub price_amount: String,
    /// A fiat code.
    pub price_currency: String,
    /// What was asked for, in `pay_currency`.
    pub pay_amount: String,
    /// What arrived, in `pay_currency`.
    pub actually_paid: String,
    /// The currency of the deposit.
    pub pay_currency: String,
    /// The address that was paid.
    pub pay_address: String,
    /// What is the exchange's; `None` is `null`.
    pub outcome_amount: Option<String>,
    /// The currency of `outcome_amount`; `None` is `null`.
    pub outcome_currency: Option<String>,
    /// When the provider last touched it, in milliseconds since 1970. Live bodies have it,
    /// the documents do not; `None` leaves the field out.
    pub updated_at_ms: Option<u64>,
}

impl Payment {
    /// A payment that arrived in full, in the asset that it is credited in.
    pub fn finished(payment_id: u64, order_id: &str, amount: &str, currency: &str) -> Self {
        Self {
            payment_id,
            parent_payment_id: None,
            status: PaymentStatus::Finished,
            order_id: Some(order_id.to_owned()),
            price_amount: "20".to_owned(),
            price_currency: "usd".to_owned(),
            pay_amount: amount.to_owned(),
            actually_paid: amount.to_owned(),
            pay_currency: currency.to_owned(),
            pay_address: "0x0000000000000000000000000000000000000001".to_owned(),
            outcome_amount: Some(amount.to_owned()),
            outcome_currency: Some(currency.to_owned()),
            updated_at_ms: None,
        }
    }

    /// The body of the callback: every documented field, keys sorted, compact.
    pub fn body(&self) -> String {
        let fee_currency = nullable(self.outcome_currency.as_deref());
        let fee = format!(r#"{{"currency":{fee_currency},"depositFee":0,"serviceFee":0,"withdrawalFee":0}}"#);
        let mut fields = vec![
            ("actually_paid", self.actually_paid.clone()),
            ("actually_paid_at_fiat", "0".to_owned()),
            ("fee", fee),
            ("invoice_id", null()),
            ("order_description", null()),
            ("order_id", nullable(self.order_id.as_deref())),
            ("outcome_amount", self.outcome_amount.clone().unwrap_or_else(null)),
            ("outcome_currency", nullable(self.outcome_currency.as_deref())),
            ("parent_payment_id", self.parent_payment_id.map_or_else(null, |id| id.to_string())),
            ("pay_address", text(&self.pay_address)),
            ("pay_amount", self.pay_amount.clone()),
            ("pay_currency", text(&self.pay_currency)),
            ("payin_extra_id", null()),
            ("payment_extra_ids", null()),
            ("payment_id", self.payment_id.to_string()),
            ("payment_status", text(self.status.as_str())),
            ("price_amount", self.price_amount.clone()),
            ("price_currency", text(&self.price_currency)),
            ("purchase_id", text(&self.payment_id.to_string())),
        ];
        if let Some(updated_at_ms) = self.updated_at_ms {
            fields.push(("updated_at", updated_at_ms.to_string()));
        }
        object(&fields)
    }
}

/// One withdrawal of a payout batch, as its callback tells of it. Ids and the amount are
/// strings there, and the status is in capitals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payout {
    /// Names the withdrawal.
    pub id: u64,
    /// Names its batch.
    pub batch_withdrawal_id: u64,
    /// How far it is.
    pub status: PayoutStatus,
    /// The currency sent.
    pub currency: String,
    /// Decimal text, in units of `currency`.
    pub amount: String,
    /// Where to.
    pub address: String,
    /// The memo or destination tag.
    pub extra_id: Option<String>,
    /// The network's cost, as decimal text.
    pub fee: Option<String>,
    /// The transaction on the chain.
    pub hash: Option<String>,
    /// The provider's words on what went wrong.
    pub error: Option<String>,
    /// When the provider last touched it, as the text it would print.
    pub updated_at: Option<String>,
}

impl Payout {
    /// The body of the callback: every documented field, keys sorted, compact.
    pub fn body(&self) -> String {
        object(&[
            ("address", text(&self.address)),
            ("amount", text(&self.amount)),
            ("batch_withdrawal_id", text(&self.batch_withdrawal_id.to_string())),
            ("created_at", text("2026-01-01T00:00:00.000Z")),
            ("currency", text(&self.currency)),
            ("error", nullable(self.error.as_deref())),
            ("extra_id", nullable(self.extra_id.as_deref())),
            ("fee", self.fee.clone().unwrap_or_else(null)),
            ("hash", nullable(self.hash.as_deref())),
            ("id", text(&self.id.to_string())),
            ("ipn_callback_url", null()),
            ("requested_at", null()),
            ("status", text(&self.status.as_str().to_ascii_uppercase())),
            ("updated_at", nullable(self.updated_at.as_deref())),
        ])
    }
}

/// Signs a body as the provider does: the value of `x-nowpayments-sig`, 128 hexadecimal
/// digits in lower case.
///
/// # Panics
/// Never: an HMAC takes a key of any length.
#[allow(clippy::expect_used, reason = "an HMAC takes a key of any length")]
pub fn sign(secret: &str, body: &[u8]) -> String {
    let keyed = Hmac::<Sha512>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    hex::encode(keyed.chain_update(body).finalize().into_bytes())
}

/// Signs a body as somebody does who knows everything but the secret: well formed and wrong.
pub fn forge(secret: &str, body: &[u8]) -> String {
    sign(&format!("not {secret}"), body)
}

fn null() -> String {
    "null".to_owned()
}

fn text(text: &str) -> String {
    Value::from(text).to_string()
}

fn nullable(optional: Option<&str>) -> String {
    optional.map_or_else(null, text)
}

fn object(fields: &[(&str, String)]) -> String {
    let members: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use providers::nowpayments::{Callback, Form, PaymentStatus, PayoutStatus, Refusal, Secret, verify};

    use super::{Payment, Payout, forge, sign};

    const SECRET: &str = "simulated-secret";

    fn callback(body: &str) -> Callback {
        let secrets = [Secret::new(SECRET).unwrap()];
        let signature = sign(SECRET, body.as_bytes());
        let signed = verify(body.as_bytes(), Some(&signature), &secrets).unwrap();
        assert_eq!((signed.form(), signed.text()), (Form::Raw, body));
        Callback::read(&signed).unwrap()
    }

    #[test]
    fn a_payment_is_read_as_it_was_sent() {
        let sent = Payment {
            parent_payment_id: Some(5_800_000_001),
            status: PaymentStatus::PartiallyPaid,
            outcome_amount: Some("0.016334590".to_owned()),
            outcome_currency: Some("bnbbsc".to_owned()),
            updated_at_ms: Some(1_765_249_461_097),
            ..Payment::finished(5_800_000_003, "hf \"1\"\n", "13", "usdtbsc")
        };
        let Callback::Payment(read) = callback(&sent.body()) else {
            panic!("not a payment");
        };
        assert_eq!(read.payment_id, "5800000003");
        assert_eq!(read.parent_payment_id.as_deref(), Some("5800000001"));
        assert_eq!(read.status, sent.status);
        assert_eq!(read.order_id, sent.order_id);
        assert_eq!(read.pay_amount.unwrap().as_str(), "13");
        assert_eq!(read.outcome_amount.unwrap().as_str(), "0.01633459");
        assert_eq!(read.outcome_currency, sent.outcome_currency);
    }

    #[test]
    fn a_payout_is_read_as_it_was_sent() {
        let sent = Payout {
            id: 5_000_000_001,
            batch_withdrawal_id: 5_000_000_713,
            status: PayoutStatus::Finished,
            currency: "usdttrc20".to_owned(),
            amount: "50.000000".to_owned(),
            address: "TEmGwPeRTPiLFLVfBxXkSP91yc5GMNQhfS".to_owned(),
            extra_id: None,
            fee: Some("1.5".to_owned()),
            hash: Some("ab12".to_owned()),
            error: None,
            updated_at: None,
        };
        let Callback::Payout(read) = callback(&sent.body()) else {
            panic!("not a payout");
        };
        assert_eq!((read.id.as_str(), read.batch_withdrawal_id.as_str()), ("5000000001", "5000000713"));
        assert_eq!(read.status, sent.status);
        assert_eq!(read.amount.unwrap().as_str(), "50");
        assert_eq!(read.fee.unwrap().as_str(), "1.5");
        assert_eq!(read.hash, sent.hash);
    }

    #[test]
    fn the_body_is_the_canonical_text() {
        let body = Payment { updated_at_ms: Some(1), ..Payment::finished(7, "hf_1", "0.5", "btc") }.body();
        let secrets = [Secret::new(SECRET).unwrap()];
        let loose = body.replace(',', ", ");
        let signed = verify(loose.as_bytes(), Some(&sign(SECRET, body.as_bytes())), &secrets).unwrap();
        assert_eq!((signed.form(), signed.text()), (Form::Sorted, body.as_str()));
    }

    #[test]
    fn a_forged_signature_is_well_formed_and_refused() {
        let body = Payment::finished(7, "hf_1", "0.5", "btc").body();
        let forged = forge(SECRET, body.as_bytes());
        assert_eq!(forged.len(), 128);
        let secrets = [Secret::new(SECRET).unwrap()];
        assert_eq!(verify(body.as_bytes(), Some(&forged), &secrets), Err(Refusal::Mismatch));
    }
}
