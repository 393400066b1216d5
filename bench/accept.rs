//! The accept rate: durable 202s per second on many connections, next to what is usually written: a
//! handler with one insert and one commit for each request.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use axum::extract::{Json, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing;
use axum::serve::ListenerExt;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::Bench;
use crate::http::{Connection, Site, Web, post};
use crate::report::{Figure, Goal, Ratio};
use crate::server::Server;
use crate::usage;

/// Connections that ask at once.
const CONNECTIONS: usize = 64;
/// Connections to the database that are tried for the plain server's best rate.
const POOLS: [u32; 5] = [4, 8, 16, 32, 64];
/// What stands for the key in a request that is used again and again.
const KEY: &str = "0000000000000000";

/// Rounds of both in turns, with no worker in the way.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let seconds = bench.sizes.seconds;
    let pool = search(&bench.server, seconds).await?;
    let web = Web::start(&bench.server).await?;
    let plain = start(&bench.server, pool).await?;
    let asked = web.post("/v1/users", KEY, "", "{}");
    let asked_plainly = plain_post();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..bench.sizes.rounds {
        let first = u64::try_from(round)? << 40;
        // Who begins takes turns as well.
        if round % 2 == 1 {
            theirs.push(rate(&bench.server, &plain, &asked_plainly, seconds, first | 1 << 60).await?);
        }
        ours.push(rate(&bench.server, &web.site, &asked, seconds, first).await?);
        if round % 2 == 0 {
            theirs.push(rate(&bench.server, &plain, &asked_plainly, seconds, first | 1 << 60).await?);
        }
    }
    drop((web, plain));
    record(bench, ours, theirs, pool)?;
    crate::drain::settle_all(&bench.server).await
}

fn record(bench: &mut Bench, ours: Vec<Round>, theirs: Vec<Round>, pool: u32) -> Result<()> {
    let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours.rate / theirs.rate).collect();
    let mut note = |contestant: &str, rounds: Vec<Round>, settings: String, lacks| {
        let shares = rounds.last().map(|round| round.shares.clone()).unwrap_or_default();
        let figure = Figure {
            measure: "accept",
            contestant: contestant.to_owned(),
            unit: "202s/s",
            rounds: rounds.iter().map(|round| round.rate).collect(),
            settings: format!("{CONNECTIONS} connections, {settings}; {shares}"),
            lacks,
        };
        bench.report.figure(&figure, None)
    };
    note("holdfast", ours, "authenticated, requests of many clients in one commit".to_owned(), "")?;
    let lacks = "keys of principals, replies to replays, validation, limits";
    note("axum, one insert and one commit", theirs, format!("{pool} connections to the database"), lacks)?;
    let of = "accept rate ÷ axum with a commit per request".to_owned();
    bench.report.ratio(&Ratio { measure: "accept", of, rounds: ratios, goal: Some(Goal::Least(5.0)) })
}

/// What a server did in a round.
struct Round {
    rate: f64,
    /// Of the machine, by whom.
    shares: String,
}

/// Lets all connections ask again and again for a time; keys are numbered from `first`.
async fn rate(server: &Server, site: &Site, request: &[u8], seconds: u64, first: u64) -> Result<Round> {
    let at = request.windows(KEY.len()).position(|window| window == KEY.as_bytes()).context("no key in the request")?;
    let spent = || [usage::cpu_seconds(site.pid()), server.cpu_seconds(), usage::cpu_seconds(std::process::id())];
    let mut clients = JoinSet::new();
    let (before, began) = (spent(), Instant::now());
    let until = began + Duration::from_secs(seconds);
    for client in (0..CONNECTIONS).map(|client| first | (client as u64) << 32) {
        let mut connection = Connection::open(site.address).await?;
        let mut request = request.to_vec();
        clients.spawn(async move {
            let mut accepted = 0_u64;
            while Instant::now() < until {
                let key = format!("{:016x}", client | accepted);
                request.get_mut(at..at + KEY.len()).context("the key's place")?.copy_from_slice(key.as_bytes());
                let status = connection.call(&request).await?.status;
                ensure!(status == 202, "a request was answered {status}");
                accepted += 1;
            }
            anyhow::Ok(accepted)
        });
    }
    let mut accepted = 0;
    while let Some(ended) = clients.join_next().await {
        accepted += ended??;
    }
    let took = began.elapsed().as_secs_f64();
    let names = ["web", "Postgres", "client"];
    let spent: Vec<_> =
        names.into_iter().zip(spent()).zip(before).map(|((name, now), then)| (name, now - then)).collect();
    Ok(Round { rate: accepted as f64 / took, shares: usage::shares(took, &spent) })
}

/// How many connections to the database are best for the plain server.
async fn search(server: &Server, seconds: u64) -> Result<u32> {
    let admin = &server.owner;
    sqlx::raw_sql("create database plain").execute(admin).await?;
    let owner = PgPool::connect(&server.url("postgres", "plain")).await?;
    sqlx::raw_sql(
        "create table job (id bigint generated always as identity primary key, key text not null unique,
             payload jsonb not null, state text not null default 'queued', created_at timestamptz not null default now())",
    )
    .execute(&owner)
    .await?;
    owner.close().await;
    let request = plain_post();
    let mut best = (0.0, 0);
    for (pool, first) in POOLS.into_iter().zip(1_u64..) {
        let site = start(server, pool).await?;
        let rate = rate(server, &site, &request, seconds.div_ceil(5), first << 50).await?.rate;
        eprintln!("axum with {pool} connections to the database: {rate:.0} 202s/s");
        if rate > best.0 {
            best = (rate, pool);
        }
    }
    Ok(best.1)
}

async fn start(server: &Server, pool: u32) -> Result<Site> {
    let mut program = Command::new(std::env::current_exe()?);
    let (database, pool) = (server.url("postgres", "plain"), pool.to_string());
    Site::start(&mut program, |program, address| {
        program.args(["--plain", &address.to_string(), &pool, &database]);
    })
    .await
}

fn plain_post() -> Vec<u8> {
    post("/jobs", &format!("idempotency-key: {KEY}\r\n"), r#"{"kind":"user-register","payload":{}}"#)
}

/// Is the plain server, until it is killed: told where to listen, how many connections to the database
/// to have, and which database.
pub(crate) async fn serve(told: &[String]) -> Result<()> {
    let [listen, connections, url] = told else { bail!("the plain server is told three things") };
    let (listen, connections): (SocketAddr, u32) = (listen.parse()?, connections.parse()?);
    let pool = PgPoolOptions::new().max_connections(connections).min_connections(connections).connect(url).await?;
    let router = axum::Router::new().route("/jobs", routing::post(take)).with_state(pool);
    let listener = TcpListener::bind(listen).await?.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            eprintln!("a connection would not send without delay: {error}");
        }
    });
    Ok(axum::serve(listener, router).await?)
}

/// One insert, committed by itself.
async fn take(
    State(pool): State<PgPool>,
    headers: HeaderMap,
    Json(job): Json<Value>,
) -> Result<(StatusCode, Json<Value>), StatusCode> {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).ok_or(StatusCode::BAD_REQUEST)?;
    let (id,): (i64,) = sqlx::query_as("insert into job (key, payload) values ($1, $2) returning id")
        .bind(key)
        .bind(job)
        .fetch_one(&pool)
        .await
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "id": id.to_string(), "status": "queued" }))))
}
