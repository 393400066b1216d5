use jobs::{Desk, Fact, InboxId, PaymentKey, Stage, Unread};
use providers::nowpayments::{Callback, PaymentFacts, PaymentStatus, Refusal, Secret, verify};
use sqlx::PgConnection;

/// The provider's name, as stored.
pub(crate) const NOWPAYMENTS: &str = "nowpayments";

/// Reads callbacks and verifies each one again: what is not signed by the provider is not a fact,
/// whoever put it into the inbox.
pub(crate) async fn load(
    db: &mut PgConnection,
    desk: &mut Desk,
    ids: &[i64],
    secrets: &[Secret],
) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!("select id, provider, body, signature from ipn_inbox where id = any ($1)", ids)
        .fetch_all(db)
        .await?;
    for row in rows {
        let fact = match row.provider.as_str() {
            NOWPAYMENTS => read(&row.body, &row.signature, secrets),
            other => Err(Unread::Contents(format!("no provider {other:?} is known"))),
        };
        desk.inbox.insert(InboxId(row.id), fact);
    }
    Ok(())
}

fn read(body: &[u8], signature: &str, secrets: &[Secret]) -> Result<Fact, Unread> {
    let signed = verify(body, Some(signature), secrets).map_err(|refusal| match refusal {
        Refusal::Mismatch | Refusal::NoSecret => Unread::NotSigned,
        Refusal::MissingSignature
        | Refusal::SignatureLength { .. }
        | Refusal::SignatureNotHex
        | Refusal::BodyTooLong { .. }
        | Refusal::NotUtf8 { .. }
        | Refusal::NotJson { .. }
        | Refusal::DuplicateKey { .. }
        | Refusal::TooDeep { .. } => Unread::Contents(format!("not authentic: {refusal}")),
    })?;
    match Callback::read(&signed) {
        Ok(Callback::Payment(facts)) => Ok(fact(facts)),
        Ok(Callback::Payout(_) | Callback::Other) => {
            Err(Unread::Contents("the callback is not about a payment".to_owned()))
        }
        Err(error) => Err(Unread::Contents(format!("the callback cannot be read: {error}"))),
    }
}

fn fact(facts: PaymentFacts) -> Fact {
    Fact {
        stage: stage(facts.status),
        status: facts.status.as_str().to_owned(),
        payment: PaymentKey { provider: NOWPAYMENTS, payment_id: facts.payment_id },
        parent_payment_id: facts.parent_payment_id,
        order_id: facts.order_id,
        outcome: facts.outcome_amount.map(|amount| amount.to_string()).zip(facts.outcome_currency),
    }
}

/// What the provider's word means for us.
pub(crate) const fn stage(status: PaymentStatus) -> Stage {
    match status {
        PaymentStatus::Waiting => Stage::Waiting,
        PaymentStatus::Confirming => Stage::Coming { rank: 0 },
        PaymentStatus::Confirmed => Stage::Coming { rank: 1 },
        PaymentStatus::Sending => Stage::Coming { rank: 2 },
        PaymentStatus::PartiallyPaid | PaymentStatus::Finished => Stage::Paid,
        PaymentStatus::Failed => Stage::Failed,
        PaymentStatus::Expired | PaymentStatus::Cancelled => Stage::Expired,
        PaymentStatus::Refunded => Stage::Refunded,
    }
}
