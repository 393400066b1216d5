use std::net::SocketAddr;

use anyhow::Context;
use outbox::Role;
use tokio::net::TcpListener;

use crate::config;
use crate::database;
use crate::failure::Failure;
use crate::stop::Stop;

/// Connections to the database of one process: enough to keep its cores busy, few enough that
/// several processes fit a server's default limit.
const CONNECTIONS: u32 = 12;

/// `holdfast web`.
#[derive(Debug, clap::Args)]
#[command(after_help = config::help::WEB)]
pub(crate) struct Arguments {
    /// Address to listen on; default 127.0.0.1:8080, or 0.0.0.0:$PORT where PORT is set
    ///
    /// For example `--listen 0.0.0.0:8080`. Holdfast speaks plain HTTP: put it behind a proxy that
    /// ends TLS where the network is not yours.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Start without an IPN secret; callbacks are then answered 503 and no deposit is credited
    #[arg(long)]
    without_webhooks: bool,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    leashed: bool,
}

/// Serves the HTTP API until it is told to stop.
///
/// # Errors
/// It cannot start, or it lost what it needs to go on.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let url = config::api_database()?;
    let secrets = config::ipn_secrets(arguments.without_webhooks)?;
    let address = config::listen(arguments.listen)?;
    let rate = config::rate()?;
    let stop = Stop::listen(arguments.leashed)?;
    let limits = api::Limits { rate, ..api::Limits::default() };
    let app = async |pool| match api::app(api::Config { limits, ..api::Config::new(pool, secrets.clone()) }).await {
        Err(api::Error::Assets(error)) => Err(error),
        made => Ok(made),
    };
    let opened = database::open((&url, "holdfast web"), Role::Api, CONNECTIONS, &stop, app).await?;
    let Some((pool, app)) = opened else { return Ok(()) };
    let app = app.map_err(Failure::cannot_start)?;
    let listener = TcpListener::bind(address).await;
    let listener = listener
        .with_context(|| format!("cannot listen on {address}; choose another address with --listen"))
        .map_err(Failure::cannot_start)?;
    let address = listener.local_addr().context("the listening address is unknown")?;
    tracing::info!(%address, "listening");
    api::serve(listener, app, stop.future()).await.map_err(|error| Failure::Failed(error.into()))?;
    pool.close().await;
    tracing::info!("stopped");
    Ok(())
}
