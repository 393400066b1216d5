//! What the races are about, made in this process before they begin.

use jobs::{AnyJob, UserFlag, UserId};
use outbox::Ask;
use providers::nowpayments::{Callback, verify};
use simulators::nowpayments::{Payment, sign};

use super::ring::Ring;
use crate::harness::{
    Db, IPN_SECRET, ask_of, credit_of, fresh_key, ipn_secrets, lock, mark_paid, payment, register, withdraw,
};

/// A trade of 0.5 of the 0.9 that its seller has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deal {
    pub(super) trade: i64,
    pub(super) seller: i64,
    pub(super) buyer: i64,
}

/// What somebody has of btc, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wallet {
    pub(super) available: i64,
    pub(super) held: i64,
}

/// A wallet with that much available and held, in minor units.
pub(super) const fn wallet(available: i64, held: i64) -> Wallet {
    Wallet { available, held }
}

/// An ask under a key of its own.
pub(super) fn ask(job: &AnyJob) -> Ask {
    ask_of(&fresh_key(), job)
}

/// An ask of another principal's.
pub(super) fn ask_by(principal: i64, job: &AnyJob) -> Ask {
    Ask { submitter: principal, ..ask(job) }
}

/// An operator sets something on a person.
pub(super) fn flag(user: i64) -> UserFlag {
    UserFlag { user_id: UserId(user), frozen: None, tier: None, kyc: None, reason: "a race".to_owned() }
}

impl Ring {
    /// Settles these, all of them.
    async fn settled(&self, asks: &[Ask]) -> Vec<i64> {
        let jobs: Vec<i64> = self.db.enqueue(asks).await.unwrap().into_iter().map(outbox::Recorded::job_id).collect();
        self.db.drain().await;
        let settled = sqlx::query_scalar!(
            r#"select count(*) as "n!" from outcome where job_id = any ($1) and status = 'settled'"#,
            &jobs
        );
        let settled = settled.fetch_one(&self.db.owner).await.unwrap();
        assert_eq!(usize::try_from(settled).unwrap(), jobs.len());
        jobs
    }

    async fn all(&self, jobs: impl Iterator<Item = AnyJob>) -> Vec<i64> {
        let asks: Vec<Ask> = jobs.map(|job| ask(&job)).collect();
        self.settled(&asks).await
    }

    /// People who have nothing, one for each round.
    pub(super) async fn people(&self) -> Vec<i64> {
        self.all(std::iter::repeat_n(register(None), super::asked_rounds())).await
    }

    /// People with that much btc, one for each round.
    pub(super) async fn funded(&self, amount: &str) -> Vec<i64> {
        let people = self.people().await;
        let payments: Vec<Payment> = people.iter().map(|user| payment(*user, "btc", amount)).collect();
        let asks = callbacks(&self.db, &payments).await;
        self.settled(&asks).await;
        people
    }

    /// The same, known well enough to withdraw.
    pub(super) async fn known(&self, amount: &str) -> Vec<i64> {
        let people = self.funded(amount).await;
        let operator = self.db.another_operator().await;
        let know = |user: &i64| ask_by(operator, &AnyJob::UserFlag(UserFlag { kyc: Some(3), ..flag(*user) }));
        let asks: Vec<Ask> = people.iter().map(know).collect();
        self.settled(&asks).await;
        people
    }

    /// Trades that nobody has paid.
    pub(super) async fn deals(&self) -> Vec<Deal> {
        let (sellers, buyers) = (self.funded("0.9").await, self.people().await);
        let trades =
            self.all(sellers.iter().zip(&buyers).map(|(seller, buyer)| lock(*seller, *buyer, "btc", "0.5"))).await;
        let deal = |((trade, seller), buyer)| Deal { trade, seller, buyer };
        trades.into_iter().zip(sellers).zip(buyers).map(deal).collect()
    }

    /// Trades that their buyers have paid.
    pub(super) async fn paid_deals(&self) -> Vec<Deal> {
        let deals = self.deals().await;
        self.all(deals.iter().map(|deal| mark_paid(deal.trade, deal.buyer))).await;
        deals
    }

    /// A withdrawal of 0.03 for each of these people.
    pub(super) async fn withdrawals(&self, people: &[i64]) -> Vec<i64> {
        self.all(people.iter().map(|user| withdraw(*user, "btc", "0.03"))).await
    }

    /// The provider tells of all these payments, and it is settled.
    pub(super) async fn told(&self, payments: &[Payment]) {
        let asks = callbacks(&self.db, payments).await;
        self.settled(&asks).await;
    }

    /// What each of these people has of btc, in their order.
    pub(super) async fn wallets(&self, people: impl Iterator<Item = i64>) -> Vec<Wallet> {
        let people: Vec<i64> = people.collect();
        let rows = sqlx::query!(
            r#"
            select coalesce(e.posted - e.held, 0)::bigint as "available!", coalesce(e.held, 0)::bigint as "held!"
            from unnest($1::bigint[]) with ordinality as p (id, place)
            left join account a on a.owner = p.id and a.asset = 1 and a.purpose = 'wallet'
            left join lateral (
                select posted, held from entry where account_id = a.id order by version desc limit 1
            ) e on true
            order by p.place
            "#,
            &people,
        )
        .fetch_all(&self.db.owner)
        .await
        .unwrap();
        assert_eq!(rows.len(), people.len());
        rows.into_iter().map(|row| wallet(row.available, row.held)).collect()
    }
}

/// Puts callbacks into the inbox, all in one statement. The asks that they cause.
pub(super) async fn callbacks(db: &Db, payments: &[Payment]) -> Vec<Ask> {
    let bodies: Vec<Vec<u8>> = payments.iter().map(|payment| payment.body().into_bytes()).collect();
    let signatures: Vec<String> = bodies.iter().map(|body| sign(IPN_SECRET, body)).collect();
    let fact_key = |(body, signature): (&Vec<u8>, &String)| {
        let signed = verify(body, Some(signature), &ipn_secrets()).unwrap();
        match Callback::read(&signed).unwrap() {
            Callback::Payment(facts) => facts.fact_key(),
            Callback::Payout(_) | Callback::Other => panic!("not about a payment"),
        }
    };
    let keys: Vec<String> = bodies.iter().zip(&signatures).map(fact_key).collect();
    let stored = sqlx::query!(
        r#"
        insert into ipn_inbox (provider, body, signature, fact_key)
        select 'nowpayments', body, signature, key
        from unnest($1::bytea[], $2::text[], $3::text[]) with ordinality as c (body, signature, key, place) order by place
        returning id, fact_key as "fact_key!"
        "#,
        &bodies,
        &signatures,
        &keys,
    )
    .fetch_all(&db.api)
    .await
    .unwrap();
    assert_eq!(stored.iter().map(|row| &row.fact_key).collect::<Vec<_>>(), keys.iter().collect::<Vec<_>>());
    stored.into_iter().map(|row| credit_of(row.id, &row.fact_key)).collect()
}
