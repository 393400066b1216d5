use super::Db;

impl Db {
    /// Checks that the books are right. Every test that moves money ends with it.
    pub(crate) async fn verified(&self) {
        let wrong = sqlx::query_scalar!(
            r#"
            with newest as (
                select distinct on (e.account_id) e.account_id, a.asset, e.posted, e.held
                from entry e join account a on a.id = e.account_id order by e.account_id, e.version desc
            )
            select 'asset ' || asset || ' sums to ' || sum(posted) as "wrong!" from newest group by asset having sum(posted) <> 0
            union all
            select 'account ' || n.account_id || ' holds ' || n.held || ' for ' || coalesce(h.amount, 0)
            from newest n
            left join (select account_id, sum(amount) as amount from hold where closed_by is null group by account_id) h
                on h.account_id = n.account_id
            where n.held <> coalesce(h.amount, 0)
            union all
            select 'job ' || j.id || ' is in ' || n.places || ' places' from job j
            cross join lateral (select (select count(*) from outbox where job_id = j.id)
                + (select count(*) from outcome where job_id = j.id)
                + (select count(*) from parked where job_id = j.id) as places) n
            where n.places <> 1
            "#
        )
        .fetch_all(&self.owner)
        .await
        .unwrap();
        assert!(wrong.is_empty(), "the books are wrong:\n{}", wrong.join("\n"));
    }
}
