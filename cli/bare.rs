use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use jobs::{Lane, UserId, order_id_of};
use outbox::{Role, connect_options};
use providers::nowpayments::Secret;
use serde_json::json;
use settlement::{Outside, Settings};
use simulators::nowpayments::{Payment, sign};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::watch;
use workers::Options;

use crate::client::Client;
use crate::config;
use crate::failure::Failure;
use crate::key::{self, Create, Scope};
use crate::private::Private;
use crate::say::say;
use crate::stop::Stop;
use crate::worker;

/// Where the database and the secrets of the trial are kept.
const HOME: &str = ".holdfast";
const KEY_FILE: &str = "dev_key";
const IPN_SECRET_FILE: &str = "dev_ipn_secret";
const PRINCIPAL: &str = "development";

/// Everything in one process, on a database of its own that is kept, for trying Holdfast out.
///
/// # Errors
/// It cannot start, or a part of it died.
pub(crate) async fn run(listen: Option<SocketAddr>, traces: bool) -> Result<(), Failure> {
    config::refuse_production("holdfast")?;
    let given = config::given_listen(listen)?;
    let stop = Stop::listen(false)?;
    let listener = bind(given).await.map_err(Failure::CannotStart)?;
    let mut options = embedded::Options::persistent(HOME);
    options.progress = true;
    let private = tokio::select! {
        started = Private::start(options) => started.map_err(Failure::CannotStart)?,
        () = stop.ordered() => return Ok(()),
    };
    let result = serve(&private, listener, &stop, traces).await;
    let stopped = private.stop().await;
    result?;
    Ok(stopped?)
}

/// The address that was asked for; else the usual one, or a free one if that is taken.
async fn bind(given: Option<SocketAddr>) -> Result<TcpListener> {
    let address = given.unwrap_or(config::LISTEN_DEFAULT);
    match TcpListener::bind(address).await {
        Err(error) if given.is_none() && error.kind() == io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port is free")
        }
        bound => bound.with_context(|| format!("cannot listen on {address}; choose another address with --listen")),
    }
}

/// Runs the API and a worker until the order to stop: then the API finishes its requests, and
/// after it the worker its batch. When either ends by itself, so does the other.
async fn serve(private: &Private, listener: TcpListener, stop: &Stop, traces: bool) -> Result<(), Failure> {
    let home = Path::new(HOME);
    let key = development_key(&private.owner, &home.join(KEY_FILE)).await?;
    let ipn_secret = kept_secret(&home.join(IPN_SECRET_FILE), || hex::encode(rand::random::<[u8; 32]>()))?;
    let secrets = vec![Secret::new(&ipn_secret).context("the development IPN secret")?];

    let api_options = connect_options(&private.api_url(), "holdfast").map_err(Failure::cannot_start)?;
    let pool = outbox::open(api_options, Role::Api, 8).await.map_err(Failure::cannot_start)?;
    let app = api::app(api::Config::new(pool.clone(), secrets.clone())).await.map_err(Failure::cannot_start)?;
    let base = format!("http://{}", listener.local_addr().context("the listening address is unknown")?);
    let options = Options {
        url: private.worker_url(),
        lane: Lane::Ledger,
        calls: jobs::CALLS,
        outside: Outside::new(),
        settings: Settings { ipn_secrets: secrets, ..Settings::default() },
        name: worker::name(),
        poll: worker::POLL,
        grace: std::time::Duration::from_secs(20),
        // Asked for by hand: in a trial the numbers of the first jobs are told beforehand.
        verify_every: None,
        metrics: None,
        traces,
    };

    let (stop_web, stop_worker) = (watch::Sender::new(false), watch::Sender::new(false));
    let (web_stopped, worker_stopped) = (until(&stop_web), until(&stop_worker));
    let web = async {
        let served = api::serve(listener, app, async {
            tokio::select! { () = stop.ordered() => {}, () = web_stopped => {} }
        })
        .await;
        stop_worker.send_replace(true);
        served.map_err(|error| Failure::Failed(error.into()))
    };
    let worker = async {
        let worked = Box::pin(workers::run(options, worker_stopped)).await;
        stop_web.send_replace(true);
        worked.map_err(worker::failure)
    };
    let tell = async {
        let told = tokio::select! {
            told = tell(&base, &key, &ipn_secret) => told,
            () = stop.ordered() => Ok(()),
        };
        if told.is_err() {
            stop_web.send_replace(true);
        }
        told
    };
    let (api, ledger, told) = tokio::join!(web, worker, tell);
    pool.close().await;
    api.and(ledger)?;
    Ok(told?)
}

fn until(order: &watch::Sender<bool>) -> impl Future<Output = ()> + Send + 'static {
    let mut ordered = order.subscribe();
    async move {
        if ordered.wait_for(|ordered| *ordered).await.is_err() {
            tracing::debug!("whoever gives the order is gone");
        }
    }
}

/// Registers two people the way a client does, and prints how to go on.
async fn tell(base: &str, key: &str, ipn_secret: &str) -> Result<()> {
    let client = Client::new(base.to_owned(), key.to_owned())?;
    let mut people = Vec::new();
    for name in ["ann", "ben"] {
        people.push(client.post("/v1/users", name, Some(30), &json!({})).await?.id()?);
    }
    let [ann, ben] = people.as_slice() else {
        return Ok(());
    };
    let payment = Payment::finished(6_000_000_001, &order_id_of(UserId(*ann)), "0.5", "btc").body();
    let signature = sign(ipn_secret, payment.as_bytes());
    let auth = format!("-H 'Authorization: Bearer {key}'");
    let json = "-H 'Content-Type: application/json'";
    say(format_args!(
        "
Holdfast listens on {base}; its data stay in {HOME}/. Ctrl-C stops it.

  API key     {key}
              (all scopes, kept in {HOME}/{KEY_FILE})
  IPN secret  kept in {HOME}/{IPN_SECRET_FILE}

Users {ann} (ann) and {ben} (ben) are registered. In another terminal, as often as you like:

  # register ann: the same key is the same request, so she stays one person
  curl -sS {base}/v1/users {auth} {json} -H 'Idempotency-Key: ann' -H 'Prefer: wait=10' -d '{{}}'

  # half a bitcoin arrives for her, with the payment provider's signature
  curl -sS {base}/webhooks/nowpayments {json} -H 'x-nowpayments-sig: {signature}' -d '{payment}'

  # she sells 0.1 of it to ben: held until she releases it, or he gives it up
  curl -sS {base}/v1/trades {auth} {json} -H 'Idempotency-Key: first-trade' -H 'Prefer: wait=10' \
-d '{{\"seller_id\":\"{ann}\",\"buyer_id\":\"{ben}\",\"asset\":\"btc\",\"amount\":\"0.1\",\"maker\":\"seller\"}}'

  # what she has
  curl -sS {base}/v1/users/{ann}/balances {auth}
"
    ));
    Ok(())
}

/// The key of the trial: the one of last time while it is good, else a new one with all scopes.
async fn development_key(owner: &PgPool, file: &Path) -> Result<String, Failure> {
    if let Ok(kept) = fs::read_to_string(file) {
        let kept = kept.trim().to_owned();
        let hash = api::key_hash(&kept);
        let good = sqlx::query_scalar!(
            r#"
            select exists (
                select from api_key where secret_hash = $1 and revoked_at is null
                    and (expires_at is null or expires_at > (select clock()))
            ) as "good!"
            "#,
            hash.as_slice(),
        );
        if good.fetch_one(owner).await? {
            return Ok(kept);
        }
        fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    let asked = Create { name: PRINCIPAL.to_owned(), scopes: Scope::ALL.to_vec(), expires: None, user: None };
    let made = key::create(owner, &asked).await?;
    Ok(kept_secret(file, || made.secret)?)
}

/// What a file has, which only its owner may read; made when missing.
fn kept_secret(file: &Path, make: impl FnOnce() -> String) -> Result<String> {
    let write = |secret: &str| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        writeln!(file, "{secret}")
    };
    match fs::read_to_string(file) {
        Ok(kept) if !kept.trim().is_empty() => Ok(kept.trim().to_owned()),
        Ok(_empty) => {
            let secret = make();
            fs::remove_file(file)
                .and_then(|()| write(&secret))
                .with_context(|| format!("cannot write {}", file.display()))?;
            Ok(secret)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = make();
            write(&secret).with_context(|| format!("cannot write {}", file.display()))?;
            Ok(secret)
        }
        Err(error) => Err(anyhow::Error::new(error).context(format!("cannot read {}", file.display()))),
    }
}
