use std::collections::BTreeMap;

use serde_json::Value;
use simulators::exchange::{Account, Balance, Exchange, Fees};

use super::site::Site;

/// What the books say otherwise than a naive model that is told which of the recorded requests
/// settled. The amounts come from the requests and the callbacks as they were sent.
pub(super) async fn differences(site: &Site) -> Vec<String> {
    let assets =
        sqlx::query!("select code, scale, maker_bps, taker_bps from asset").fetch_all(&site.owner).await.unwrap();
    let scales: BTreeMap<String, usize> =
        assets.iter().map(|asset| (asset.code.clone(), usize::try_from(asset.scale).unwrap())).collect();
    let mut model = Exchange::new(assets.into_iter().map(|asset| {
        (asset.code, Fees { maker_bps: asset.maker_bps.into(), taker_bps: asset.taker_bps.into(), referral_bps: 2_000 })
    }));
    let settled = sqlx::query!(
        r#"
        select j.id, j.kind, j.payload::text as "payload!", convert_from(i.body, 'utf8') as body
        from job j join outcome o on o.job_id = j.id
        left join ipn_inbox i on j.kind = 'deposit-credit' and i.id = (j.payload ->> 'inbox_id')::bigint
        where o.status = 'settled'
        "#
    )
    .fetch_all(&site.owner)
    .await
    .unwrap();
    for job in settled {
        let payload: Value = serde_json::from_str(&job.payload).unwrap();
        let id = |name: &str| payload[name].as_str().unwrap().parse::<i64>().unwrap();
        let minor = |asset: &str, text: &str| units(text, scales[asset]);
        match job.kind.as_str() {
            "user-register" => {
                model.register(job.id, payload["referrer_id"].as_str().map(|id| id.parse().unwrap()));
            }
            "lock-escrow" => {
                let asset = payload["asset"].as_str().unwrap();
                let amount = minor(asset, payload["amount"].as_str().unwrap());
                model.lock(job.id, id("seller_id"), id("buyer_id"), asset, amount);
            }
            "trade-event" => match payload["event"].as_str().unwrap() {
                "mark-paid" => model.mark_paid(id("trade_id")),
                "undo" => model.undo(id("trade_id")),
                // Neither moves money: what is cancelled is given back by a refund.
                "cancel" | "extend" => {}
                other => panic!("the load has no {other}"),
            },
            "timer-expiry" | "referral-commission" => {}
            "release" => model.release(id("trade_id")),
            "refund" => model.refund(id("trade_id")),
            "deposit-credit" => {
                let body = job.body.unwrap();
                let (payment, order) = (token(&body, "payment_id"), token(&body, "order_id"));
                let asset = token(&body, "outcome_currency");
                let user = order.strip_prefix("user-").unwrap().parse().unwrap();
                model.deposit(&payment, user, &asset, minor(&asset, &token(&body, "outcome_amount")));
            }
            other => panic!("the load has no {other}"),
        }
    }
    model.differences(&books(site).await)
}

/// What the newest entries say, stripes summed.
async fn books(site: &Site) -> BTreeMap<Account, Balance> {
    sqlx::query!(
        r#"
        select a.owner, s.code, a.purpose, sum(e.posted)::text as "posted!", sum(e.held)::text as "held!"
        from account a join asset s on s.id = a.asset
        cross join lateral (
            select posted, held from entry where account_id = a.id order by version desc limit 1
        ) e
        group by a.owner, s.code, a.purpose
        "#
    )
    .fetch_all(&site.owner)
    .await
    .unwrap()
    .into_iter()
    .map(|row| ((row.owner, row.code, row.purpose), (row.posted.parse().unwrap(), row.held.parse().unwrap())))
    .collect()
}

/// The token of a field of a flat JSON text, without quotes: read by hand, so that the amount is
/// the very text that was sent.
fn token(body: &str, field: &str) -> String {
    let start = body.find(&format!("\"{field}\":")).unwrap() + field.len() + 3;
    body[start..].split([',', '}']).next().unwrap().trim_matches('"').to_owned()
}

/// Decimal text in minor units.
fn units(text: &str, scale: usize) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= scale, "the load has nothing finer than the asset");
    format!("{whole}{fraction:0<scale$}").parse().unwrap()
}
