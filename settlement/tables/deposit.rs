use jobs::machines::deposit::{DepositState, Review};
use jobs::{Deposit, Desk, PaymentKey, UserId, Want};
use ledger::{Amount, AssetId, JobId};
use outbox::{COPY_MIN, copy_in};
use providers::nowpayments::PaymentStatus;
use sqlx::PgConnection;

use crate::numeric::Numeric;
use crate::tables::asset::amount;
use crate::tables::ipn_inbox::{NOWPAYMENTS, stage};
use crate::tables::{Loaded, When, all_hit, corrupt};

/// Deposits. A new one may be another batch's as well: whoever waits for that must hold nothing that somebody waits for
/// here.
pub(crate) struct Table;

/// The rows of one store, column by column.
struct Columns<'a> {
    payment_ids: Vec<&'a str>,
    parents: Vec<Option<&'a str>>,
    orders: Vec<Option<&'a str>>,
    users: Vec<Option<i64>>,
    assets: Vec<Option<i16>>,
    statuses: Vec<&'a str>,
    states: Vec<&'a str>,
    outcome_texts: Vec<Option<&'a str>>,
    outcome_currencies: Vec<Option<&'a str>>,
    credited: Vec<Option<Numeric>>,
    credited_by: Vec<Option<i64>>,
    clawed_back: Vec<Option<Numeric>>,
    shortfalls: Vec<Option<Numeric>>,
    clawed_back_by: Vec<Option<i64>>,
    reviews: Vec<Option<&'a str>>,
    first_jobs: Vec<i64>,
    last_jobs: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(rows: &[(&'a PaymentKey, &'a Deposit)]) -> Self {
        let numeric = |amount: Amount| Numeric(amount.minor());
        Self {
            payment_ids: rows.iter().map(|(key, _)| key.payment_id.as_str()).collect(),
            parents: rows.iter().map(|(_, row)| row.parent_payment_id.as_deref()).collect(),
            orders: rows.iter().map(|(_, row)| row.order_id.as_deref()).collect(),
            users: rows.iter().map(|(_, row)| row.user.map(|user| user.0)).collect(),
            assets: rows.iter().map(|(_, row)| row.asset.map(AssetId::get)).collect(),
            statuses: rows.iter().map(|(_, row)| row.status.0.as_str()).collect(),
            states: rows.iter().map(|(_, row)| row.state.as_str()).collect(),
            outcome_texts: rows.iter().map(|(_, row)| row.outcome.as_ref().map(|(text, _)| text.as_str())).collect(),
            outcome_currencies: rows
                .iter()
                .map(|(_, row)| row.outcome.as_ref().map(|(_, currency)| currency.as_str()))
                .collect(),
            credited: rows.iter().map(|(_, row)| row.credited.map(|(amount, _)| numeric(amount))).collect(),
            credited_by: rows.iter().map(|(_, row)| row.credited.map(|(_, job)| job.0)).collect(),
            clawed_back: rows.iter().map(|(_, row)| row.clawed_back.map(|(taken, _, _)| numeric(taken))).collect(),
            shortfalls: rows.iter().map(|(_, row)| row.clawed_back.map(|(_, missing, _)| numeric(missing))).collect(),
            clawed_back_by: rows.iter().map(|(_, row)| row.clawed_back.map(|(_, _, job)| job.0)).collect(),
            reviews: rows.iter().map(|(_, row)| row.review.map(Review::as_str)).collect(),
            first_jobs: rows.iter().map(|(_, row)| row.first_job.0).collect(),
            last_jobs: rows.iter().map(|(_, row)| row.last_job.0).collect(),
        }
    }
}

impl Loaded for Table {
    type Key = PaymentKey;
    type Row = Deposit;
    const INSERTED: When = When::Shared;

    /// Locks deposits in the order of their keys and reads them.
    async fn load(db: &mut PgConnection, desk: &mut Desk, want: &Want) -> Result<(), sqlx::Error> {
        let payments: Vec<&str> = want.deposits.iter().map(|payment| payment.payment_id.as_str()).collect();
        if payments.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query!(
            r#"
            select payment_id, parent_payment_id, order_id, user_id, asset, status, state, outcome_text, outcome_currency,
                credited as "credited: Numeric", credited_by, clawed_back as "clawed_back: Numeric",
                shortfall as "shortfall: Numeric", clawed_back_by, review_reason, first_job, last_job
            from deposit where provider = 'nowpayments' and payment_id = any ($1)
            order by payment_id for no key update
            "#,
            &payments as _,
        )
        .fetch_all(db)
        .await?;
        for row in rows {
            let status = PaymentStatus::parse(&row.status).ok_or_else(|| corrupt("deposit.status"))?;
            let deposit = Deposit {
                parent_payment_id: row.parent_payment_id,
                order_id: row.order_id,
                user: row.user_id.map(UserId),
                asset: row.asset.map(AssetId::new),
                status: (row.status, stage(status)),
                state: DepositState::parse(&row.state).ok_or_else(|| corrupt("deposit.state"))?,
                outcome: row.outcome_text.zip(row.outcome_currency),
                credited: match (row.credited, row.credited_by) {
                    (Some(credited), Some(job)) => Some((amount(credited)?, JobId(job))),
                    (None, _) | (_, None) => None,
                },
                clawed_back: match (row.clawed_back, row.shortfall, row.clawed_back_by) {
                    (Some(taken), Some(missing), Some(job)) => Some((amount(taken)?, amount(missing)?, JobId(job))),
                    (None, _, _) | (_, None, _) | (_, _, None) => None,
                },
                review: row
                    .review_reason
                    .map(|reason| Review::parse(&reason).ok_or_else(|| corrupt("deposit.review_reason")))
                    .transpose()?,
                first_job: JobId(row.first_job),
                last_job: JobId(row.last_job),
            };
            desk.deposits.load(PaymentKey { provider: NOWPAYMENTS, payment_id: row.payment_id }, deposit);
        }
        Ok(())
    }

    /// Two batches may meet on a payment that neither has seen. Whichever comes second inserts fewer
    /// rows than it meant to, which rolls its batch back; the next time it finds the row and locks it.
    async fn insert(db: &mut PgConnection, _: &Desk, inserted: &[(&PaymentKey, &Deposit)]) -> Result<(), sqlx::Error> {
        let rows = Columns::of(inserted);
        if inserted.len() >= COPY_MIN {
            return copy(db, &rows).await;
        }
        let result = sqlx::query!(
            "
            insert into deposit (provider, payment_id, parent_payment_id, order_id, user_id, asset, status, state,
                outcome_text, outcome_currency, credited, credited_by, clawed_back, shortfall, clawed_back_by,
                review_reason, first_job, last_job)
            select 'nowpayments', d.* from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::smallint[],
                $6::text[], $7::text[], $8::text[], $9::text[], $10::numeric[], $11::bigint[], $12::numeric[],
                $13::numeric[], $14::bigint[], $15::text[], $16::bigint[], $17::bigint[]) as d
            on conflict do nothing
            ",
            &rows.payment_ids as _,
            &rows.parents as _,
            &rows.orders as _,
            &rows.users as _,
            &rows.assets as _,
            &rows.statuses as _,
            &rows.states as _,
            &rows.outcome_texts as _,
            &rows.outcome_currencies as _,
            &rows.credited as _,
            &rows.credited_by as _,
            &rows.clawed_back as _,
            &rows.shortfalls as _,
            &rows.clawed_back_by as _,
            &rows.reviews as _,
            &rows.first_jobs,
            &rows.last_jobs,
        )
        .execute(db)
        .await?;
        all_hit(result.rows_affected(), rows.payment_ids.len())
    }

    async fn update(db: &mut PgConnection, _: &Desk, updated: &[(&PaymentKey, &Deposit)]) -> Result<(), sqlx::Error> {
        let rows = Columns::of(updated);
        let result = sqlx::query!(
            "
            update deposit d
            set parent_payment_id = u.parent_payment_id, order_id = u.order_id, user_id = u.user_id, asset = u.asset,
                status = u.status, state = u.state, outcome_text = u.outcome_text, outcome_currency = u.outcome_currency,
                credited = u.credited, credited_by = u.credited_by, clawed_back = u.clawed_back, shortfall = u.shortfall,
                clawed_back_by = u.clawed_back_by, review_reason = u.review_reason, last_job = u.last_job
            from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::smallint[], $6::text[], $7::text[],
                $8::text[], $9::text[], $10::numeric[], $11::bigint[], $12::numeric[], $13::numeric[], $14::bigint[],
                $15::text[], $16::bigint[]) as u (payment_id, parent_payment_id, order_id, user_id, asset, status, state,
                outcome_text, outcome_currency, credited, credited_by, clawed_back, shortfall, clawed_back_by,
                review_reason, last_job)
            where d.provider = 'nowpayments' and d.payment_id = u.payment_id
            ",
            &rows.payment_ids as _,
            &rows.parents as _,
            &rows.orders as _,
            &rows.users as _,
            &rows.assets as _,
            &rows.statuses as _,
            &rows.states as _,
            &rows.outcome_texts as _,
            &rows.outcome_currencies as _,
            &rows.credited as _,
            &rows.credited_by as _,
            &rows.clawed_back as _,
            &rows.shortfalls as _,
            &rows.clawed_back_by as _,
            &rows.reviews as _,
            &rows.last_jobs,
        )
        .execute(db)
        .await?;
        all_hit(result.rows_affected(), rows.payment_ids.len())
    }
}

/// The same for many. A payment that another batch has stored meanwhile is a key violation here, and rolls the
/// batch back as well.
async fn copy(db: &mut PgConnection, rows: &Columns<'_>) -> Result<(), sqlx::Error> {
    let providers = vec![NOWPAYMENTS; rows.payment_ids.len()];
    let copied = copy_in(
        db,
        "copy deposit (provider, payment_id, parent_payment_id, order_id, user_id, asset, status, state, outcome_text, \
            outcome_currency, credited, credited_by, clawed_back, shortfall, clawed_back_by, review_reason, first_job, \
            last_job) from stdin (format binary)",
        rows.payment_ids.len(),
        &[
            &providers,
            &rows.payment_ids,
            &rows.parents,
            &rows.orders,
            &rows.users,
            &rows.assets,
            &rows.statuses,
            &rows.states,
            &rows.outcome_texts,
            &rows.outcome_currencies,
            &rows.credited,
            &rows.credited_by,
            &rows.clawed_back,
            &rows.shortfalls,
            &rows.clawed_back_by,
            &rows.reviews,
            &rows.first_jobs,
            &rows.last_jobs,
        ],
    )
    .await?;
    all_hit(copied, rows.payment_ids.len())
}
