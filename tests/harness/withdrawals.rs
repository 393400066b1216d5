use jobs::{AnyJob, DecisionName, Tier, UserFlag, UserId, WithdrawalDecision, WithdrawalId, WithdrawalRequest};
use outbox::Ask;

use super::{Db, ask_of, run};

/// Asks for a withdrawal of an amount, such as `0.2`.
pub(crate) fn withdraw(user: i64, asset: &str, amount: &str) -> AnyJob {
    AnyJob::WithdrawalRequest(WithdrawalRequest {
        user_id: UserId(user),
        asset: asset.to_owned(),
        amount: amount.to_owned(),
        address: "bc1q-somewhere".to_owned(),
        memo: None,
    })
}

fn nothing(user: i64) -> UserFlag {
    UserFlag { user_id: UserId(user), frozen: None, tier: None, kyc: None, reason: "a test".to_owned() }
}

fn decision(withdrawal: i64, decision: DecisionName) -> WithdrawalDecision {
    WithdrawalDecision {
        withdrawal_id: WithdrawalId(withdrawal),
        decision,
        content_hash: None,
        user_id: None,
        reason: None,
    }
}

/// Somebody calls a withdrawal off.
pub(crate) fn call_off(withdrawal: i64, user: i64) -> AnyJob {
    let cancel = decision(withdrawal, DecisionName::Cancel);
    AnyJob::WithdrawalDecision(WithdrawalDecision { user_id: Some(UserId(user)), ..cancel })
}

/// An operator refuses a withdrawal.
pub(crate) fn reject(withdrawal: i64) -> AnyJob {
    let reject = decision(withdrawal, DecisionName::Reject);
    AnyJob::WithdrawalDecision(WithdrawalDecision { reason: Some("a test".to_owned()), ..reject })
}

/// An operator approves a withdrawal whose content has this hash.
pub(crate) fn approve(withdrawal: i64, content_hash: &str) -> AnyJob {
    let approve = decision(withdrawal, DecisionName::Approve);
    AnyJob::WithdrawalDecision(WithdrawalDecision { content_hash: Some(content_hash.to_owned()), ..approve })
}

/// The same ask by another principal.
pub(crate) fn asked_by(principal: i64, key: &str, job: &AnyJob) -> Ask {
    Ask { submitter: principal, ..ask_of(key, job) }
}

impl Db {
    /// Gives a principal a key that may operate.
    pub(crate) async fn operator(&self, principal: i64) {
        let sql = format!(
            "insert into api_key (principal_id, secret_hash, scopes) values ({principal}, sha256('{principal} {}'), '{{operate}}')",
            super::fresh_key()
        );
        run(&self.owner, &sql).await.unwrap();
    }

    /// Another principal, who may operate. Its id.
    pub(crate) async fn another_operator(&self) -> i64 {
        let name = super::fresh_key();
        let id = sqlx::query_scalar!("insert into principal (name) values ($1) returning id", name);
        let id = id.fetch_one(&self.owner).await.unwrap();
        self.operator(id).await;
        id
    }

    /// Makes a person known, as an operator would, so that they may withdraw.
    pub(crate) async fn know(&self, user: i64, kyc: i16) {
        self.flag(UserFlag { kyc: Some(kyc), ..nothing(user) }).await;
    }

    /// Freezes a person, as an operator would.
    pub(crate) async fn freeze(&self, user: i64) {
        self.flag(UserFlag { frozen: Some(true), ..nothing(user) }).await;
    }

    /// Makes a person a golden referrer, as an operator would.
    pub(crate) async fn favour(&self, user: i64) {
        self.flag(UserFlag { tier: Some(Tier::Golden), ..nothing(user) }).await;
    }

    async fn flag(&self, flag: UserFlag) {
        let operator = self.another_operator().await;
        assert_eq!(self.done_by(operator, &AnyJob::UserFlag(flag)).await, "settled");
    }

    /// A job of a principal, settled. Its outcome.
    pub(crate) async fn done_by(&self, principal: i64, job: &AnyJob) -> String {
        let ask = asked_by(principal, &super::fresh_key(), job);
        let id = self.enqueue(&[ask]).await.unwrap()[0].job_id();
        self.drain().await;
        self.outcome(id).await
    }

    /// The hash that an approval of a withdrawal has to name.
    pub(crate) async fn content_hash(&self, withdrawal: i64) -> String {
        let hash = sqlx::query_scalar!(
            r#"select encode(content_hash, 'hex') as "hash!" from withdrawal where id = $1"#,
            withdrawal
        );
        hash.fetch_one(&self.owner).await.unwrap()
    }
}
