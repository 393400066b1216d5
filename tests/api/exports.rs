//! A person's transactions as a file: whole, or visibly not whole, and never held whole by the server.

use std::time::Duration;

use ::api::Limits;
use chrono::{DateTime, Utc};
use providers::nowpayments::PaymentStatus;
use reqwest::Method;
use serde_json::Value;
use simulators::nowpayments::Payment;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{by, seller_and_buyer, trade_of};
use crate::harness::{Db, Site, payment, refund, until, withdraw};

/// More transactions than any buffer on the way has room for.
const MANY: usize = 100_000;

/// The lines of a file, without the first, which names the columns.
async fn lines(site: &Site, user: i64, query: &str) -> Vec<Vec<String>> {
    let answer = site.get(&format!("/v1/users/{user}/transactions.csv?{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let disposition = answer.header("content-disposition").unwrap();
    assert_eq!(disposition, format!("attachment; filename=\"transactions-{user}.csv\""));
    let text = answer.body.as_str().unwrap();
    assert!(text.ends_with("\r\n"), "{text}");
    let mut lines = text.split_terminator("\r\n").map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap()[..5], ["id", "at", "asset", "account", "what"]);
    lines.collect()
}

/// The line that a transaction of the list is.
fn line(row: &Value) -> Vec<String> {
    let text = |pointer: &str| row.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let id = text("/id");
    let id = if id.starts_with('-') { format!("'{id}") } else { id };
    let rest = [
        "/asset",
        "/account",
        "/what",
        "/change/posted",
        "/change/held",
        "/balance/posted",
        "/balance/held",
        "/balance/available",
        "/job_id",
        "/job_kind",
        "/trade_id",
        "/withdrawal_id",
    ];
    [id, text("/at")].into_iter().chain(rest.map(text)).collect()
}

#[tokio::test]
async fn the_file_is_the_list() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let [user, other] = db.people().await;
    db.fund(user, "btc", "0.9").await;
    db.fund(user, "eth", "2").await;
    let trade = db.trade(user, other, "btc", "0.5").await;
    db.know(user, 3).await;
    let withdrawal = db.ask(withdraw(user, "btc", "0.1")).await;
    db.drain().await;
    db.pass("2 hours").await;
    db.done(refund(trade, other)).await;
    let list = site.found(&format!("/v1/users/{user}/transactions?limit=200")).await;
    let list = list["transactions"].as_array().unwrap();
    let expected: Vec<Vec<String>> = list.iter().map(line).collect();
    assert_eq!(list.len(), 5);
    let about: Vec<_> = list.iter().map(|row| (row["trade_id"].as_str(), row["withdrawal_id"].as_str())).collect();
    let (trade, withdrawal) = (trade.to_string(), withdrawal.to_string());
    let (traded, withdrawn) = ((Some(&*trade), None), (None, Some(&*withdrawal)));
    assert_eq!(about, [traded, withdrawn, traded, (None, None), (None, None)]);
    assert_eq!(lines(&site, user, "").await, expected);
    let bitcoin: Vec<_> = expected.iter().filter(|line| line[2] == "btc").cloned().collect();
    assert_eq!(lines(&site, user, "asset=btc").await, bitcoin);
    assert_eq!(lines(&site, user, "asset=doge").await, [] as [Vec<String>; 0]);
    for cut in 0..expected.len() {
        let at = &expected[cut][1];
        let later = expected.iter().filter(|line| line[1] >= *at).count();
        assert_eq!(lines(&site, user, &format!("from={at}")).await, expected[..later], "from {at}");
        assert_eq!(lines(&site, user, &format!("to={at}")).await, expected[later..], "to {at}");
    }
    for (query, refusal) in [
        ("asset=xmr", "422 asset_unknown asset"),
        ("from=yesterday", "422 filter_invalid from"),
        ("to=2026-01-01", "422 filter_invalid to"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-02T00:00:00Z", "422 filter_invalid to"),
        ("limit=5", "400 query_invalid"),
    ] {
        let answer = site.get(&format!("/v1/users/{user}/transactions.csv?{query}")).await;
        assert_eq!(answer.refusal(), refusal, "{query}");
    }
    assert_eq!(site.get("/v1/users/999999/transactions.csv").await.refusal(), "404 user_unknown");
    db.verified().await;
}

#[tokio::test]
async fn what_a_person_owes_is_no_formula() {
    let db = Db::new().await;
    let site = Site::working(&db).await;
    let [user, other] = seller_and_buyer(&site, "0.9").await;
    let trade = site.settled("/v1/trades", &trade_of(user, other, "btc", "0.5")).await;
    site.settled(&format!("/v1/trades/{trade}/refund"), &by(other)).await;
    let paid = payment(user, "eth", "2");
    site.told(&paid).await;
    until("it is credited", async || db.wallet(user, "eth").await.starts_with('2')).await;
    let sold = site.settled("/v1/trades", &trade_of(user, other, "eth", "1.5")).await;
    site.told(&Payment { status: PaymentStatus::Refunded, ..paid }).await;
    until("1.5 is owed", async || db.owed(user, "eth").await.starts_with("-1.5")).await;
    // Accounts without a floor have negative ids, and a line begins with them.
    let owed = lines(&site, user, "asset=eth").await;
    let owed: Vec<_> = owed.iter().filter(|line| line[3] == "receivable").collect();
    assert_eq!((owed.len(), &owed[0][0][..2], &*owed[0][5]), (1, "'-", "-1.500000000000000000"), "{owed:?}");
    site.settled(&format!("/v1/trades/{sold}/refund"), &by(other)).await;
    db.verified().await;
}

/// A site, and a person with an account of 100 000 entries.
async fn with_many(limits: Limits) -> (Db, Site, i64) {
    let db = Db::new().await;
    let site = Site::limited(&db, limits).await;
    let [user] = db.people().await;
    db.sql(&format!(
        "
        insert into account (id, owner, asset, purpose) values (900001, {user}, 2, 'wallet'), (-900001, 0, 2, 'world');
        insert into job (id, kind, payload, submitted_by, received_at)
            select 1000000 + n, 'deposit-credit', '{{\"inbox_id\": \"1\"}}', 2, clock() from generate_series(1, {MANY}) n;
        insert into outcome (job_id, status, attempts, finished_at)
            select 1000000 + n, 'settled', 1, clock() from generate_series(1, {MANY}) n;
        insert into transfer (job_id, leg, code, debit, credit, amount)
            select 1000000 + n, 0, 'deposit', -900001, 900001, 1 from generate_series(1, {MANY}) n;
        insert into entry (account_id, version, job_id, leg, d_posted, d_held, posted, held)
            select 900001, n, 1000000 + n, 0, 1, 0, n, 0 from generate_series(1, {MANY}) n;
        analyze;
        "
    ))
    .await;
    (db, site, user)
}

/// A client that has asked for everything and has read nothing yet; little waits for it on the way.
async fn asked(site: &Site, user: i64) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut client = socket.connect(site.address.parse().unwrap()).await.unwrap();
    let request = format!(
        "GET /v1/users/{user}/transactions.csv HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {}\r\n\
         connection: close\r\n\r\n",
        site.secret
    );
    client.write_all(request.as_bytes()).await.unwrap();
    client
}

/// Everything that comes until the server closes: how many rows, and whether it was the whole.
async fn rest(mut client: TcpStream) -> (usize, bool) {
    let mut text = Vec::new();
    // A connection that is cut off may end in an error as well.
    let whole = client.read_to_end(&mut text).await.is_ok() && text.ends_with(b"\r\n0\r\n\r\n");
    let rows = String::from_utf8_lossy(&text).matches(",deposit-credit,").count();
    (rows, whole)
}

/// The server's time.
async fn now(db: &Db) -> DateTime<Utc> {
    sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(&db.owner).await.unwrap()
}

/// Returns when the server has read something for exports since then and reads nothing more, because
/// nobody takes it.
async fn stalled(db: &Db, since: DateTime<Utc>) {
    until("the export stalls", async || {
        sqlx::query_scalar!(
            r#"
            select count(*) filter (where state_change > $1) > 0
                and bool_and(state = 'idle' and state_change < now() - interval '500 ms') as "stalled!"
            from pg_stat_activity where datname = current_database() and application_name = 'holdfast exports'
            "#,
            since,
        )
        .fetch_one(&db.owner)
        .await
        .unwrap()
    })
    .await;
}

#[tokio::test]
async fn a_hundred_thousand_rows_are_read_as_they_are_taken() {
    let (db, site, user) = with_many(Limits::default()).await;
    let since = now(&db).await;
    let late = asked(&site, user).await;
    stalled(&db, since).await;
    // What comes meanwhile is not of the moment that was asked for.
    db.sql(
        "
        insert into job (id, kind, payload, submitted_by, received_at) values (1200000, 'deposit-credit', '{}', 2, clock());
        insert into outcome (job_id, status, attempts, finished_at) values (1200000, 'settled', 1, clock());
        insert into transfer values (1200000, 0, 'deposit', -900001, 900001, 1);
        insert into entry select 900001, max(version) + 1, 1200000, 0, null, 1, 0, max(posted) + 1, 0
            from entry where account_id = 900001;
        ",
    )
    .await;
    assert_eq!(rest(late).await, (MANY, true));

    let since = now(&db).await;
    let cut = asked(&site, user).await;
    stalled(&db, since).await;
    db.sql("revoke select on outcome from holdfast_api").await;
    let (rows, whole) = rest(cut).await;
    assert!(!whole, "an export that failed midway must not end as a whole one does");
    assert!(rows > 0 && rows < MANY / 2, "{rows} rows were read ahead of a reader that took none");
    // And where it fails before anything is sent, that is an answer like any other.
    let refused = site.get(&format!("/v1/users/{user}/transactions.csv")).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    db.sql("grant select on outcome to holdfast_api").await;
    assert_eq!(rest(asked(&site, user).await).await, (MANY + 1, true));
}

#[tokio::test]
async fn who_takes_nothing_is_cut_off_and_makes_room() {
    let limits = Limits { exports_max: 1, write_within: Duration::from_secs(2), ..Limits::default() };
    let (db, site, user) = with_many(limits).await;
    let path = format!("/v1/users/{user}/transactions.csv?asset=btc");
    let mut idle = asked(&site, user).await;
    let mut head = [0; 12];
    idle.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let refused = site.get(&path).await;
    assert_eq!((refused.refusal().as_str(), refused.header("retry-after")), ("503 overloaded", Some("1")));
    until("there is room again", async || site.get(&path).await.status == 200).await;
    let (rows, whole) = rest(idle).await;
    assert!(!whole && rows < MANY, "{rows} rows");
    // The API itself was never in want of a connection.
    assert_eq!(site.call(Method::GET, &format!("/v1/users/{user}/balances")).answer().await.status, 200);
    stalled(&db, DateTime::UNIX_EPOCH).await;
}
