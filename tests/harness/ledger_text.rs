use std::fmt::Write;

use ledger::{Asset, AssetId};
use settlement::Numeric;

use super::Db;

impl Db {
    /// The whole ledger as text, an entry a line, in the order of the jobs: what the job did, to
    /// whom, the account's version, the change, and what it left. For snapshots.
    ///
    /// ```text
    /// 3   deposit            world btc        v1     -0.50000000 ->    -0.50000000 held 0.00000000
    /// 3                      1 btc            v1      0.50000000 ->     0.50000000 held 0.00000000
    /// 4   open hold 4        1 btc            v2      0.20000000 ->     0.50000000 held 0.20000000
    /// ```
    pub(crate) async fn ledger_text(&self) -> String {
        let rows = sqlx::query!(
            r#"
            select e.job_id, e.version, e.leg, e.hold_id, e.d_posted as "d_posted: Numeric", e.d_held as "d_held: Numeric",
                e.posted as "posted: Numeric", e.held as "held: Numeric", t.code as "code?", a.owner, a.purpose,
                s.id as asset_id, s.code as asset, s.scale
            from entry e
            join account a on a.id = e.account_id
            join asset s on s.id = a.asset
            left join transfer t on t.job_id = e.job_id and t.leg = e.leg
            order by e.job_id, e.leg nulls first, e.d_posted, e.version
            "#
        )
        .fetch_all(&self.owner)
        .await
        .unwrap();
        let mut text = String::new();
        let mut before = None;
        for row in rows {
            let asset = asset(row.asset_id, &row.asset, row.scale);
            let what = match (row.code, row.hold_id) {
                // The receiving side of a transfer stands below the paying one.
                (Some(_), _) if before == Some((row.job_id, row.leg)) => String::new(),
                (Some(code), _) => code,
                (None, Some(hold)) if row.d_held.0 > 0 => format!("open hold {hold}"),
                (None, Some(hold)) => format!("close hold {hold}"),
                (None, None) => "no transfer".to_owned(),
            };
            before = Some((row.job_id, row.leg));
            let whose = match row.purpose.as_str() {
                "wallet" => format!("{} {}", row.owner, row.asset),
                "receivable" => format!("{} owes {}", row.owner, row.asset),
                house => format!("{house} {}", row.asset),
            };
            let change = asset.format_signed(row.d_posted.0 + row.d_held.0);
            let (posted, held) = (asset.format_signed(row.posted.0), asset.format_signed(row.held.0));
            writeln!(
                text,
                "{:<3} {what:<18} {whose:<16} v{:<2} {change:>14} -> {posted:>14} held {held}",
                row.job_id, row.version
            )
            .unwrap();
        }
        text
    }

    /// What a person has of an asset: `1.50000000 held 1.00000000`; `nothing` without a wallet.
    pub(crate) async fn wallet(&self, user: i64, asset: &str) -> String {
        self.balance(user, asset, "wallet").await
    }

    /// What a person owes, with its minus sign; `nothing` for those who never owed anything.
    pub(crate) async fn owed(&self, user: i64, asset: &str) -> String {
        self.balance(user, asset, "receivable").await
    }

    /// What a house account has, all of its stripes together.
    pub(crate) async fn house(&self, asset: &str, purpose: &str) -> String {
        self.balance(0, asset, purpose).await
    }

    async fn balance(&self, owner: i64, code: &str, purpose: &str) -> String {
        let row = sqlx::query!(
            r#"
            select s.id, s.scale, count(a.id) as "accounts!", coalesce(sum(e.posted), 0) as "posted!: Numeric",
                coalesce(sum(e.held), 0) as "held!: Numeric"
            from asset s
            left join account a on a.asset = s.id and a.owner = $1 and a.purpose = $3
            left join lateral (
                select posted, held from entry where account_id = a.id order by version desc limit 1
            ) e on true
            where s.code = $2
            group by s.id, s.scale
            "#,
            owner,
            code,
            purpose,
        )
        .fetch_one(&self.owner)
        .await
        .unwrap();
        if row.accounts == 0 {
            return "nothing".to_owned();
        }
        let asset = asset(row.id, code, row.scale);
        let posted = asset.format_signed(row.posted.0);
        if row.held.0 == 0 { posted } else { format!("{posted} held {}", asset.format_signed(row.held.0)) }
    }
}

fn asset(id: i16, code: &str, scale: i16) -> Asset {
    Asset { id: AssetId::new(id), code: code.to_owned(), scale: scale.try_into().unwrap() }
}
