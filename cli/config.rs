//! The configuration: what the environment says. It is read here and nowhere else.

mod operating;

use std::env::VarError;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use api::{Limits, Rate};
use providers::nowpayments::Secret;

use crate::failure::Failure;

pub(crate) use operating::{operator, verify_every};

const DATABASE_URL: &str = "DATABASE_URL";
const DATABASE_URL_API: &str = "DATABASE_URL_API";
const DATABASE_URL_WORKER: &str = "DATABASE_URL_WORKER";
const IPN_SECRET: &str = "NOWPAYMENTS_IPN_SECRET";
const IPN_SECRET_PREVIOUS: &str = "NOWPAYMENTS_IPN_SECRET_PREVIOUS";
const LISTEN: &str = "HOLDFAST_LISTEN";
const PORT: &str = "PORT";
const RATE_PER_SECOND: &str = "HOLDFAST_RATE_PER_SECOND";
const RATE_BURST: &str = "HOLDFAST_RATE_BURST";
const LOG: &str = "HOLDFAST_LOG";
const LOG_FORMAT: &str = "HOLDFAST_LOG_FORMAT";
const METRICS_LISTEN: &str = "HOLDFAST_METRICS_LISTEN";
const OTLP_ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
const OTLP_PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const OTLP_HTTP: &str = "http/protobuf";

/// Everything that names a database or a secret of production. Processes with a database of their
/// own refuse them and never hand them on.
const PRODUCTION: [&str; 5] = [DATABASE_URL, DATABASE_URL_API, DATABASE_URL_WORKER, IPN_SECRET, IPN_SECRET_PREVIOUS];

/// Where the API listens unless told otherwise.
pub(crate) const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// The configuration of a child process: what it is given, and what it must not inherit.
#[derive(Clone, Debug)]
pub(crate) struct ForChild {
    /// Variables with their values.
    pub(crate) set: [(&'static str, String); 4],
    /// Variables that are taken away first.
    pub(crate) unset: Vec<&'static str>,
}

/// The configuration of a `web` and of a `worker` that a demonstration starts.
pub(crate) fn for_child(api_url: &str, worker_url: &str, ipn_secret: &str) -> ForChild {
    let set = [
        (DATABASE_URL_API, api_url),
        (DATABASE_URL_WORKER, worker_url),
        (IPN_SECRET, ipn_secret),
        // It verifies by itself when it is done.
        (operating::VERIFY_EVERY, "0"),
    ];
    ForChild {
        set: set.map(|(name, value)| (name, value.to_owned())),
        unset: PRODUCTION.into_iter().chain([LISTEN, PORT, METRICS_LISTEN, operating::KEY]).collect(),
    }
}

/// What the help of the commands says about the environment.
pub(crate) mod help {
    pub(crate) const OWNER: &str = "Environment:
  DATABASE_URL  the database, as the owner of its tables (required),
                such as postgres://holdfast_owner:secret@db.example/holdfast";
    pub(crate) const WEB: &str = "Environment:
  DATABASE_URL_API        the database, as a login that has only the role holdfast_api
                          (required; DATABASE_URL stands in for it), such as
                          postgres://holdfast_api:secret@db.example/holdfast
  NOWPAYMENTS_IPN_SECRET  what callbacks are signed with (required unless --without-webhooks)
  NOWPAYMENTS_IPN_SECRET_PREVIOUS  accepted as well, while the secret is being rotated
  HOLDFAST_LISTEN         address to listen on, such as 127.0.0.1:8080
  PORT                    as process runners set it: listens on 0.0.0.0:$PORT
  HOLDFAST_RATE_PER_SECOND  jobs a second that one principal may ask of this process (50000); a
                          request that asks for none counts as one
  HOLDFAST_RATE_BURST     how many of them at once (twice as many)
  HOLDFAST_LOG            what is logged: error, warn, info (default), debug, or a filter
                          such as info,api=debug; each request is a line of holdfast::http
  HOLDFAST_LOG_FORMAT     text (default) or json
  OTEL_EXPORTER_OTLP_ENDPOINT  sends traces to this collector, by http/protobuf, such as
                          http://127.0.0.1:4318; the other OTEL_* variables are heeded too";
    pub(crate) const WORKER: &str = "Environment:
  DATABASE_URL_WORKER     the database, as a login that has only the role holdfast_worker
                          (required; DATABASE_URL stands in for it), such as
                          postgres://holdfast_worker:secret@db.example/holdfast
  NOWPAYMENTS_IPN_SECRET  the lane ledger verifies callbacks again before it credits them
                          (required there unless --without-webhooks)
  NOWPAYMENTS_IPN_SECRET_PREVIOUS  accepted as well, while the secret is being rotated
  HOLDFAST_VERIFY_EVERY   how often the integrity checks run, such as 15m or 1h (default);
                          0 for never
  HOLDFAST_LOG            what is logged: error, warn, info (default), debug, or a filter
                          such as info,settlement=debug
  HOLDFAST_LOG_FORMAT     text (default) or json
  HOLDFAST_METRICS_LISTEN  as --metrics, such as 127.0.0.1:9464; off unless set
  OTEL_EXPORTER_OTLP_ENDPOINT  sends traces to this collector, by http/protobuf, such as
                          http://127.0.0.1:4318; the other OTEL_* variables are heeded too";
    pub(crate) const OPERATOR: &str = "Environment:
  HOLDFAST_KEY  your own key, with the scope operate (required): what you do is recorded under
                your name, and some of it takes two people
                `holdfast key create --name ann --scope operate` makes one
  HOLDFAST_URL  where the API is; default http://127.0.0.1:8080";
    pub(crate) const TOP: &str = "Environment:
  DATABASE_URL  the database, as any login that may read it (required), such as
                postgres://holdfast_api:secret@db.example/holdfast";
}

/// A variable; `None` where it is not set.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
fn read(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Failure::configuration(format!("{name} is not UTF-8 text"))),
    }
}

/// A variable that must not be empty where it is set: an empty one is a mistake in a deployment,
/// and guessing what was meant could start the wrong thing.
fn read_filled(name: &str) -> Result<Option<String>, Failure> {
    match read(name)? {
        Some(value) if value.trim().is_empty() => {
            Err(Failure::configuration(format!("{name} is set but empty; give it a value or unset it")))
        }
        other => Ok(other),
    }
}

/// An address of a database. It is never printed, since it may have a password.
fn read_address(name: &str) -> Result<Option<String>, Failure> {
    match read_filled(name)? {
        Some(url) if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) => {
            Err(Failure::configuration(format!(
                "{name} is no address of a Postgres; it reads postgres://login:password@host:5432/database"
            )))
        }
        other => Ok(other),
    }
}

/// The database as the owner of its tables.
///
/// # Errors
/// It is not set.
pub(crate) fn owner_database() -> Result<String, Failure> {
    read_address(DATABASE_URL)?.ok_or_else(|| {
        Failure::configuration(format!(
            "{DATABASE_URL} is not set, so there is no database to work on; set it to the address of the tables' \
             owner, such as postgres://holdfast_owner:secret@db.example/holdfast\n  \
             to try Holdfast without a database, run `holdfast` or `holdfast demo`"
        ))
    })
}

/// The database as any login that may read it.
///
/// # Errors
/// It is not set.
pub(crate) fn readable_database() -> Result<String, Failure> {
    read_address(DATABASE_URL)?.ok_or_else(|| {
        Failure::configuration(format!(
            "{DATABASE_URL} is not set, so there is no database to look at; set it to the address of any login that may \
             read it, such as postgres://holdfast_api:secret@db.example/holdfast\n  \
             to try Holdfast without a database, run `holdfast` or `holdfast demo`"
        ))
    })
}

/// The database as the HTTP side connects to it.
///
/// # Errors
/// It is not set.
pub(crate) fn api_database() -> Result<String, Failure> {
    role_database(DATABASE_URL_API, "holdfast_api")
}

/// The database as workers connect to it.
///
/// # Errors
/// It is not set.
pub(crate) fn worker_database() -> Result<String, Failure> {
    role_database(DATABASE_URL_WORKER, "holdfast_worker")
}

fn role_database(name: &str, role: &str) -> Result<String, Failure> {
    if let Some(url) = read_address(name)? {
        return Ok(url);
    }
    read_address(DATABASE_URL)?.ok_or_else(|| {
        Failure::configuration(format!(
            "neither {name} nor {DATABASE_URL} is set, so there is no database to work on; set {name} to the address \
             of a login that has only the role {role}, such as postgres://{role}:secret@db.example/holdfast\n  \
             to try Holdfast without a database, run `holdfast` or `holdfast demo`"
        ))
    })
}

/// What callbacks are verified with; empty only where that was asked for.
///
/// # Errors
/// A secret is missing or empty, or the flag contradicts the environment.
pub(crate) fn ipn_secrets(without_webhooks: bool) -> Result<Vec<Secret>, Failure> {
    let (current, previous) = (read_filled(IPN_SECRET)?, read_filled(IPN_SECRET_PREVIOUS)?);
    match (current, without_webhooks) {
        (Some(_), true) => Err(Failure::configuration(format!(
            "{IPN_SECRET} is set and --without-webhooks is given: unset the one or leave out the other"
        ))),
        (None, _) if previous.is_some() => Err(Failure::configuration(format!(
            "{IPN_SECRET_PREVIOUS} is set without {IPN_SECRET}, which new callbacks are signed with"
        ))),
        (None, true) => Ok(Vec::new()),
        (None, false) => Err(Failure::configuration(format!(
            "{IPN_SECRET} is not set, so no deposit could be credited; set it to the IPN secret of the payment \
             provider's account, or say --without-webhooks where callbacks are not wanted"
        ))),
        (Some(current), false) => {
            let secrets = [Some((IPN_SECRET, current)), previous.map(|text| (IPN_SECRET_PREVIOUS, text))];
            let read = secrets.into_iter().flatten();
            read.map(|(name, text)| {
                let secret = Secret::new(&text);
                secret.map_err(|error| Failure::cannot_start(anyhow::Error::new(error).context(name)))
            })
            .collect()
        }
    }
}

/// Where `holdfast web` listens: the flag, then `HOLDFAST_LISTEN`, then `PORT` on every address,
/// which is how process runners and containers hand a port out.
///
/// # Errors
/// A variable does not read as an address or a port.
pub(crate) fn listen(flag: Option<SocketAddr>) -> Result<SocketAddr, Failure> {
    if let Some(given) = given_listen(flag)? {
        return Ok(given);
    }
    let Some(port) = read(PORT)?.filter(|port| !port.is_empty()) else {
        return Ok(LISTEN_DEFAULT);
    };
    let port: u16 = port
        .parse()
        .map_err(|_| Failure::configuration(format!("{PORT} is {port:?}, which is no port; such as {PORT}=8080")))?;
    Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))
}

/// The address that was asked for by name, if any was.
///
/// # Errors
/// `HOLDFAST_LISTEN` does not read as an address.
pub(crate) fn given_listen(flag: Option<SocketAddr>) -> Result<Option<SocketAddr>, Failure> {
    given_address(flag, LISTEN, "127.0.0.1:8080")
}

/// Where a worker answers `GET /metrics`, if anywhere: the flag, then `HOLDFAST_METRICS_LISTEN`.
///
/// # Errors
/// The variable does not read as an address.
pub(crate) fn metrics_listen(flag: Option<SocketAddr>) -> Result<Option<SocketAddr>, Failure> {
    given_address(flag, METRICS_LISTEN, "127.0.0.1:9464")
}

fn given_address(flag: Option<SocketAddr>, name: &str, example: &str) -> Result<Option<SocketAddr>, Failure> {
    if flag.is_some() {
        return Ok(flag);
    }
    let Some(text) = read(name)?.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        Failure::configuration(format!("{name} is {text:?}, which is no address; such as {name}={example}"))
    })
}

/// What the environment says of traces beyond what the library reads for itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traces {
    /// The service has a name already.
    pub(crate) named: bool,
    /// How many spans may wait to be sent is said already.
    pub(crate) bounded: bool,
}

/// Traces as the standard variables of OpenTelemetry ask for them: `None` unless a collector is
/// named, or if they are switched off.
///
/// # Errors
/// They ask for a protocol or an exporter that there is none of.
pub(crate) fn traces() -> Result<Option<Traces>, Failure> {
    let given = |name: &str| Ok::<_, Failure>(read(name)?.filter(|text| !text.trim().is_empty()));
    let disabled = given("OTEL_SDK_DISABLED")?.is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let [endpoint, traces_endpoint] = OTLP_ENDPOINTS.map(given);
    if disabled || endpoint?.or(traces_endpoint?).is_none() {
        return Ok(None);
    }
    match given("OTEL_TRACES_EXPORTER")?.as_deref() {
        None | Some("otlp") => {}
        Some("none") => return Ok(None),
        Some(other) => {
            let message = format!("OTEL_TRACES_EXPORTER is {other:?}; it can be otlp (default) or none");
            return Err(Failure::configuration(message));
        }
    }
    for name in OTLP_PROTOCOLS {
        match given(name)? {
            None => {}
            // The first one that is set is the one that counts.
            Some(protocol) if protocol == OTLP_HTTP => break,
            Some(protocol) => {
                return Err(Failure::configuration(format!(
                    "{name} is {protocol:?}; traces are sent by {OTLP_HTTP} only, which collectors take on port 4318"
                )));
            }
        }
    }
    let attributes = given("OTEL_RESOURCE_ATTRIBUTES")?.unwrap_or_default();
    let named = given("OTEL_SERVICE_NAME")?.is_some() || attributes.contains("service.name=");
    Ok(Some(Traces { named, bounded: given("OTEL_BSP_MAX_QUEUE_SIZE")?.is_some() }))
}

/// How much one principal may ask of one process.
///
/// # Errors
/// A variable is no number above zero.
pub(crate) fn rate() -> Result<Rate, Failure> {
    let number = |name: &str| -> Result<Option<u32>, Failure> {
        let Some(text) = read_filled(name)? else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|number| *number > 0);
        number.map(Some).ok_or_else(|| {
            Failure::configuration(format!(
                "{name} is {text:?}, which is no whole number above zero; such as {name}=1000"
            ))
        })
    };
    let (per_second, burst) = (number(RATE_PER_SECOND)?, number(RATE_BURST)?);
    let usual = Limits::default().rate;
    let per_second = per_second.unwrap_or(usual.per_second.get());
    Ok(Rate::new(per_second, burst.unwrap_or(per_second.saturating_mul(2))))
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// A filter, if one was asked for.
    pub(crate) filter: Option<String>,
    /// JSON instead of text.
    pub(crate) json: bool,
}

/// Reads `HOLDFAST_LOG` and `HOLDFAST_LOG_FORMAT`.
///
/// # Errors
/// The format is neither text nor json.
pub(crate) fn log() -> Result<Log, Failure> {
    let filter = read(LOG)?.filter(|filter| !filter.trim().is_empty());
    match read(LOG_FORMAT)?.as_deref() {
        None | Some("" | "text") => Ok(Log { filter, json: false }),
        Some("json") => Ok(Log { filter, json: true }),
        Some(other) => {
            Err(Failure::configuration(format!("{LOG_FORMAT} is {other:?}; it can be text (default) or json")))
        }
    }
}

/// Keeps a command that has a private database of its own away from everything of production.
///
/// # Errors
/// One of these variables is set, even to nothing: whoever set it meant something else.
pub(crate) fn refuse_production(command: &str) -> Result<(), Failure> {
    for name in PRODUCTION {
        if read(name)?.is_some() {
            return Err(Failure::configuration(format!(
                "{name} is set, and `{command}` is for trying Holdfast out on a private database of its own; for real \
                 work run `holdfast web` and `holdfast worker`, for a trial unset {name}"
            )));
        }
    }
    Ok(())
}
