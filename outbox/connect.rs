use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgPool};

use crate::schema::{SchemaError, await_schema};

/// As what a process connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The HTTP side: records what is asked and reads.
    Api,
    /// A worker: settles.
    Worker,
}

impl Role {
    /// The database role whose rights are asked for.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "holdfast_api",
            Self::Worker => "holdfast_worker",
        }
    }
}

/// Why a process refuses to start. There is no degraded mode.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address of the database does not read as one.
    #[error("the database address is not a postgres URL")]
    BadUrl(#[source] sqlx::Error),
    /// The database did not answer.
    #[error("the database does not answer")]
    Unreachable(#[source] sqlx::Error),
    /// See [`SchemaError`].
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A setting of the server would lose money in a crash.
    #[error("the server runs with {setting} = {value}: a crash could lose what was acknowledged; set it to on")]
    Unsafe {
        /// The setting.
        setting: &'static str,
        /// What it is.
        value: String,
    },
    /// The login could lift the guards that the design rests on.
    #[error(
        "the login {login:?} {why}, so it could lift every guard; connect as a login that has only the role \
         {role}, for example: alter role {role} password '…', then use {role} as the user of the address"
    )]
    TooPowerful {
        /// Who is connected.
        login: String,
        /// What it could do.
        why: &'static str,
        /// Which role it should be.
        role: &'static str,
    },
    /// The login cannot do its work.
    #[error("the login {login:?} lacks {lacks}; grant it the role {role}")]
    Powerless {
        /// Who is connected.
        login: String,
        /// Which right.
        lacks: String,
        /// Which role has it.
        role: &'static str,
    },
    /// Time was moved for a test and never moved back.
    #[error("clock() is shifted by {0}: this is a test's database, or a test's setting was left behind")]
    ShiftedClock(String),
}

/// How every process connects: index plans whatever the tables' size was when a plan was cached,
/// and no statement or transaction that waits for ever.
const SETTINGS: [(&str, &str); 9] = [
    ("enable_seqscan", "off"),
    ("jit", "off"),
    ("statement_timeout", "30s"),
    ("lock_timeout", "15s"),
    // A worker that is stopped in the middle of a batch lets go of its rows after this.
    ("idle_in_transaction_session_timeout", "30s"),
    // A machine that is gone lets go of them as well: no other limit holds while the server waits for rows
    // to copy. A worker that is only stopped is ended by the others (see `Run::beat`).
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("timezone", "UTC"),
];

/// Reads an address and adds what every connection is to have. A setting that the address itself
/// gives, as `?options=-c name=value`, stands.
///
/// # Errors
/// [`StartError::BadUrl`].
pub fn connect_options(url: &str, name: &str) -> Result<PgConnectOptions, StartError> {
    let options = PgConnectOptions::from_str(url).map_err(StartError::BadUrl)?.application_name(name);
    Ok(unless_given(options, &SETTINGS))
}

/// The same for what settles: a statement is planned once and not each time, which would be a third of what a batch
/// of one job costs the server. Whoever connects so throws the plans away when the load has changed, and
/// plans each time where partitions are many. Behind a proxy that takes no settings with a connection it is as before.
///
/// # Errors
/// [`StartError::BadUrl`].
pub fn settle_options(url: &str, name: &str) -> Result<PgConnectOptions, StartError> {
    Ok(plan_once(connect_options(url, name)?))
}

/// The same for a connection that is made beside others.
pub fn plan_once(options: PgConnectOptions) -> PgConnectOptions {
    unless_given(options, &[PLAN_ONCE])
}

/// Adds settings, where the address does not give them itself.
fn unless_given(options: PgConnectOptions, settings: &[(&str, &str)]) -> PgConnectOptions {
    let given = options.get_options().unwrap_or_default().to_owned();
    options.options(settings.iter().copied().filter(|(name, _)| !given.contains(name)))
}

/// A plan that serves whatever is asked for.
const PLAN_ONCE: (&str, &str) = ("plan_cache_mode", "force_generic_plan");

/// The same for what a worker notes about itself, which matters only while the server is up: its
/// commits need not wait for the disk.
///
/// # Errors
/// [`StartError::BadUrl`].
pub fn note_options(url: &str, name: &str) -> Result<PgConnectOptions, StartError> {
    Ok(connect_options(url, name)?.options([("synchronous_commit", "off")]))
}

/// A connection that has rested for this long is asked whether it is still there before it is used.
const RESTED: Duration = Duration::from_secs(1);

/// How the pools of a worker work. Asking a connection whether it is there is a round trip; of one that was
/// in use a moment ago the statement itself asks that, and what fails so is weather like any other.
pub fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new().test_before_acquire(false).before_acquire(|db, seen| {
        Box::pin(async move {
            if seen.idle_for >= RESTED {
                db.ping().await?;
            }
            Ok(true)
        })
    })
}

/// Opens a pool and makes sure that it is safe to work with.
///
/// # Errors
/// [`StartError`]: the process must not start.
pub async fn open(options: PgConnectOptions, role: Role, connections: u32) -> Result<PgPool, StartError> {
    let pool = match role {
        Role::Worker => pool_options(),
        // Whoever asks over HTTP is not to be told of a connection that broke while it rested.
        Role::Api => PgPoolOptions::new(),
    };
    let pool = pool
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        .connect_with(options)
        .await
        .map_err(StartError::Unreachable)?;
    await_schema(&pool).await.map_err(|error| match error {
        SchemaError::Unreadable(error) => StartError::Unreachable(error),
        refused @ (SchemaError::TooOld { .. } | SchemaError::TooNew { .. }) => refused.into(),
    })?;
    refuse_unsafe_server(&pool, role).await?;
    Ok(pool)
}

/// Refuses a server or a login that the promises of Holdfast could not be kept with.
///
/// # Errors
/// [`StartError`] says what to do.
pub async fn refuse_unsafe_server(pool: &PgPool, role: Role) -> Result<(), StartError> {
    let seen = sqlx::query!(
        r#"
        select current_setting('fsync') as "fsync!", current_setting('full_page_writes') as "full_page_writes!",
            current_setting('synchronous_commit') as "synchronous_commit!", session_user::text as "login!",
            (select rolsuper from pg_roles where rolname = session_user) as "superuser!",
            (select rolbypassrls from pg_roles where rolname = session_user) as "bypasses!",
            exists (select from pg_class c where c.relname in ('entry', 'job', 'outbox')
                and pg_has_role(session_user, c.relowner, 'member')) as "owner!",
            has_table_privilege(session_user, 'entry', 'insert') as "may_settle!",
            (select shift::text from clock_shift where shift <> interval '0') as shift
        "#
    )
    .fetch_one(pool)
    .await
    .map_err(StartError::Unreachable)?;
    let settings = [("fsync", seen.fsync), ("full_page_writes", seen.full_page_writes)];
    for (setting, value) in settings {
        if value != "on" {
            return Err(StartError::Unsafe { setting, value });
        }
    }
    // local is durable on this machine; off is not durable anywhere.
    if seen.synchronous_commit == "off" {
        return Err(StartError::Unsafe { setting: "synchronous_commit", value: seen.synchronous_commit });
    }
    let too_powerful = if seen.superuser {
        Some("is a superuser")
    } else if seen.owner {
        Some("owns the tables")
    } else if seen.bypasses {
        Some("bypasses row security")
    } else if role == Role::Api && seen.may_settle {
        Some("may write the ledger")
    } else {
        None
    };
    if let Some(why) = too_powerful {
        return Err(StartError::TooPowerful { login: seen.login, why, role: role.name() });
    }
    if let Some(lacks) = missing_right(pool, role).await? {
        return Err(StartError::Powerless { login: seen.login, lacks, role: role.name() });
    }
    match seen.shift {
        Some(shift) => Err(StartError::ShiftedClock(shift)),
        None => Ok(()),
    }
}

/// The first right that the role should have and the login has not.
async fn missing_right(pool: &PgPool, role: Role) -> Result<Option<String>, StartError> {
    let (tables, rights): (Vec<&str>, Vec<&str>) = match role {
        Role::Api => ["request", "job", "outbox"].map(|table| (table, "insert")).into_iter().unzip(),
        Role::Worker => [
            ("outbox", "insert"),
            ("outbox", "delete"),
            ("outcome", "insert"),
            ("parked", "insert"),
            ("account", "insert"),
            ("transfer", "insert"),
            ("entry", "insert"),
            ("hold", "insert"),
            ("trade", "insert"),
            ("deposit", "insert"),
            ("app_user", "insert"),
            ("worker_run", "insert"),
            ("pause", "insert"),
            ("pause", "delete"),
            ("parked_decision", "insert"),
            ("verification", "insert"),
            ("call", "insert"),
            ("call_end", "insert"),
        ]
        .into_iter()
        .unzip(),
    };
    let (right, columns): (&str, &[(&str, &str)]) = match role {
        Role::Api => ("insert", &[("ipn_inbox", "body"), ("ipn_inbox", "signature"), ("ipn_inbox", "fact_key")]),
        Role::Worker => (
            "update",
            &[
                ("outbox", "run_at"),
                ("outbox", "attempt"),
                ("hold", "closed_by"),
                ("trade", "state"),
                ("deposit", "state"),
                ("app_user", "frozen"),
                ("worker_run", "beat_at"),
            ],
        ),
    };
    let (names, fields): (Vec<&str>, Vec<&str>) = columns.iter().copied().unzip();
    sqlx::query_scalar!(
        r#"
        select r.right || ' on ' || r.name as "lacks!"
        from unnest($1::text[], $2::text[]) as r (name, "right")
        where not has_table_privilege(session_user, r.name, r.right)
        union all
        select $5 || ' of ' || c.field || ' on ' || c.name
        from unnest($3::text[], $4::text[]) as c (name, field)
        where not has_column_privilege(session_user, c.name, c.field, $5)
        union all
        select 'usage of job_id' where not has_sequence_privilege(session_user, 'job_id', 'usage')
        limit 1
        "#,
        &tables as _,
        &rights as _,
        &names as _,
        &fields as _,
        right,
    )
    .fetch_optional(pool)
    .await
    .map_err(StartError::Unreachable)
}
