use std::str::FromStr;

use anyhow::{Context, anyhow};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::config;
use crate::database::{open_as_owner, require_schema};
use crate::failure::Failure;
use crate::say::say;

/// Ids below this belong to Holdfast itself and to the providers.
const FIRST_PRINCIPAL: i64 = 100;

/// `holdfast key`.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = config::help::OWNER)]
pub(crate) enum Command {
    /// Make a key, and its principal if the name is new; prints the secret, once
    ///
    /// The secret alone goes to standard output, so that `KEY=$(holdfast key create …)` works. A
    /// principal may have several keys at once.
    /// For example: holdfast key create --name shop --scope submit --scope read --expires 365d
    #[command(after_help = config::help::OWNER)]
    Create(Create),
    /// Make a key that takes the place of another; prints the secret, once
    ///
    /// The new key is of the same principal and has the same scopes, so what was asked under the
    /// old one is a replay under the new one. The old key is good for the overlap and then expires.
    /// For example: holdfast key rotate 3 --overlap 24h
    #[command(after_help = config::help::OWNER)]
    Rotate(Rotate),
    /// Revoke a key; every process notices within a second
    ///
    /// For example: holdfast key revoke 3
    #[command(after_help = config::help::OWNER)]
    Revoke {
        /// The key's number, as `holdfast key list` shows it
        id: i64,
    },
    /// List the keys, without their secrets
    ///
    /// The fingerprint tells which secret a key is of: the first eight digits of its SHA-256, as
    /// `printf %s "$KEY" | sha256sum` prints it.
    #[command(after_help = config::help::OWNER)]
    List,
}

/// What a new key is to be.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// Whose key it is: a person or a service, such as shop or ann@example.com
    #[arg(long)]
    pub(crate) name: String,
    /// What it may do; give it once for each: submit asks for jobs, read reads, operate and admin
    /// are for operators
    #[arg(long = "scope", value_enum, required = true, value_name = "SCOPE")]
    pub(crate) scopes: Vec<Scope>,
    /// When it expires, from now, such as 365d or 12h; without it the key is good until it is revoked
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<Hours>,
    /// The id of the person that this principal is, if it is one of the exchange's people: then it
    /// never decides on what is that person's
    #[arg(long, value_name = "USER_ID")]
    pub(crate) user: Option<i64>,
}

/// Which key is to be replaced.
#[derive(Debug, clap::Args)]
pub(crate) struct Rotate {
    /// The key's number, as `holdfast key list` shows it
    id: i64,
    /// How long the old key stays good, such as 24h or 7d; 0h ends it at once
    #[arg(long, value_name = "TIME", default_value = "24h")]
    overlap: Hours,
    /// When the new key expires, from now; without it after as long a time as the old one had
    #[arg(long, value_name = "TIME")]
    expires: Option<Hours>,
}

/// A time in whole hours, up to ten years; `24h` or `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hours(i32);

impl Hours {
    const MAX: i32 = 24 * 3_660;
    /// A day.
    pub(crate) const DAY: Self = Self(24);
}

impl FromStr for Hours {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hours = match (text.strip_suffix('h'), text.strip_suffix('d')) {
            (Some(hours), _) => hours.parse().ok(),
            (None, Some(days)) => days.parse().ok().and_then(|days: i32| days.checked_mul(24)),
            (None, None) => None,
        };
        hours.filter(|hours| (0..=Self::MAX).contains(hours)).map(Self).ok_or("give hours or days, such as 24h or 365d")
    }
}

/// What a key may do. `admin` implies every scope, `operate` implies `read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scope {
    Submit,
    Read,
    Operate,
    Admin,
}

impl Scope {
    /// Every scope.
    pub(crate) const ALL: [Self; 4] = [Self::Submit, Self::Read, Self::Operate, Self::Admin];

    /// The stored text.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

/// Does what was asked with the keys of the API.
///
/// # Errors
/// The database refuses, or there is no such key.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    let url = config::owner_database()?;
    let pool = open_as_owner(&url, "holdfast key").await?;
    require_schema(&pool).await?;
    match command {
        Command::Create(asked) => {
            let made = create(&pool, &asked).await?;
            eprintln!(
                "key {} of {} (principal {}), which is shown once and stored nowhere:",
                made.id, asked.name, made.principal
            );
            if made.expires_at.is_none() {
                eprintln!("warning: key {} never expires; --expires 365d would end it in a year", made.id);
            }
            say(made.secret);
        }
        Command::Rotate(asked) => {
            let (made, old_until) = rotate(&pool, &asked).await?;
            eprintln!(
                "key {} of principal {} takes the place of key {}, which expires at {}; its secret, shown once and stored \
                 nowhere:",
                made.id,
                made.principal,
                asked.id,
                time(old_until)
            );
            say(made.secret);
        }
        Command::Revoke { id } => revoke(&pool, id).await?,
        Command::List => list(&pool).await?,
    }
    pool.close().await;
    Ok(())
}

/// A key that was just made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) id: i64,
    pub(crate) principal: i64,
    pub(crate) secret: String,
    expires_at: Option<DateTime<Utc>>,
}

/// Makes a key, and its principal where there is none of that name.
///
/// # Errors
/// The name is not one, or the database refuses.
pub(crate) async fn create(pool: &PgPool, asked: &Create) -> Result<Made, Failure> {
    let mut scopes: Vec<&str> = asked.scopes.iter().map(|scope| scope.as_str()).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let (secret, hash) = api::new_key();
    let mut tx = outbox::begin(pool).await?;
    sqlx::query!("insert into principal (name) values ($1) on conflict do nothing", asked.name)
        .execute(&mut *tx)
        .await
        .map_err(|error| refused_name(error, &asked.name))?;
    let principal =
        sqlx::query_scalar!("select id from principal where name = $1", asked.name).fetch_one(&mut *tx).await?;
    if principal < FIRST_PRINCIPAL {
        return Err(Failure::Failed(anyhow!("{} is Holdfast's own name; choose another", asked.name)));
    }
    if let Some(user) = asked.user {
        name_person(&mut tx, principal, user).await?;
    }
    let key = sqlx::query!(
        "
        insert into api_key (principal_id, secret_hash, scopes, expires_at)
        values ($1, $2, $3, (select clock()) + make_interval(hours => $4)) returning id, expires_at
        ",
        principal,
        hash.as_slice(),
        &scopes as _,
        asked.expires.map(|hours| hours.0),
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Made { id: key.id, principal, secret, expires_at: key.expires_at })
}

/// Notes which person a principal is. That never changes to another one.
async fn name_person(db: &mut PgConnection, principal: i64, user: i64) -> Result<(), Failure> {
    let noted = sqlx::query!(
        "update principal set user_id = $2 where id = $1 and coalesce(user_id, $2) = $2",
        principal,
        user,
    )
    .execute(db)
    .await;
    match noted {
        Ok(noted) if noted.rows_affected() == 1 => Ok(()),
        Ok(_) => Err(Failure::Failed(anyhow!("this principal is somebody else already; choose another name"))),
        Err(sqlx::Error::Database(error)) if error.constraint() == Some("principal_user_fk") => {
            Err(Failure::Failed(anyhow!("no user {user} is registered")))
        }
        Err(sqlx::Error::Database(error)) if error.constraint() == Some("principal_user") => {
            Err(Failure::Failed(anyhow!("user {user} is another principal already: one person, one principal")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes a key in the place of another, and returns it with the end of the other's time.
async fn rotate(pool: &PgPool, asked: &Rotate) -> Result<(Made, DateTime<Utc>), Failure> {
    let (secret, hash) = api::new_key();
    let mut tx = outbox::begin(pool).await?;
    let old = sqlx::query!(
        r#"
        select principal_id, revoked_at is not null as "revoked!",
            coalesce(expires_at <= (select clock()), false) as "expired!"
        from api_key where id = $1 for update
        "#,
        asked.id,
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or_else(|| unknown(asked.id))?;
    if old.revoked || old.expired {
        let how = if old.revoked { "was revoked" } else { "has expired" };
        return Err(Failure::Failed(anyhow!(
            "key {} {how}, so there is nothing to hand over; make a new one with `holdfast key create`",
            asked.id
        )));
    }
    let key = sqlx::query!(
        "
        insert into api_key (principal_id, secret_hash, scopes, expires_at)
        select principal_id, $2, scopes,
            (select clock()) + coalesce(make_interval(hours => $3), expires_at - created_at)
        from api_key where id = $1
        returning id, expires_at
        ",
        asked.id,
        hash.as_slice(),
        asked.expires.map(|hours| hours.0),
    )
    .fetch_one(&mut *tx)
    .await?;
    // It never lives longer than it would have without this.
    let old_until = sqlx::query_scalar!(
        r#"
        update api_key set expires_at = least(expires_at, (select clock()) + make_interval(hours => $2))
        where id = $1 returning expires_at as "expires_at!"
        "#,
        asked.id,
        asked.overlap.0,
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok((Made { id: key.id, principal: old.principal_id, secret, expires_at: key.expires_at }, old_until))
}

fn unknown(id: i64) -> Failure {
    Failure::Failed(anyhow!("there is no key {id}; `holdfast key list` shows those that there are"))
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

fn refused_name(error: sqlx::Error, name: &str) -> Failure {
    let constraint = error.as_database_error().and_then(sqlx::error::DatabaseError::constraint);
    if constraint == Some("principal_name_form") {
        return Failure::Failed(anyhow!(
            "{name:?} is no name: 1 to 63 letters, digits, spaces and . _ @ -, the first a letter or a digit"
        ));
    }
    error.into()
}

async fn revoke(pool: &PgPool, id: i64) -> Result<(), Failure> {
    let revoked =
        sqlx::query!("update api_key set revoked_at = (select clock()) where id = $1 and revoked_at is null", id)
            .execute(pool)
            .await?;
    if revoked.rows_affected() == 1 {
        say(format_args!("key {id} is revoked"));
        return Ok(());
    }
    let before = sqlx::query_scalar!(r#"select revoked_at as "at!" from api_key where id = $1"#, id);
    let before = before.fetch_optional(pool).await.context("looking for the key")?;
    match before {
        Some(at) => {
            say(format_args!("key {id} was revoked at {at} already"));
            Ok(())
        }
        None => Err(unknown(id)),
    }
}

async fn list(pool: &PgPool) -> Result<(), Failure> {
    let keys = sqlx::query!(
        r#"
        select k.id, left(encode(k.secret_hash, 'hex'), 8) as "fingerprint!", p.id as principal, p.name, array_to_string(k.scopes, ',') as "scopes!", k.created_at, k.expires_at,
            case when k.revoked_at is not null then 'revoked'
                when k.expires_at <= (select clock()) then 'expired' else 'valid' end as "state!"
        from api_key k join principal p on p.id = k.principal_id order by k.id
        "#
    )
    .fetch_all(pool)
    .await?;
    let row = |id: &str,
               state: &str,
               fingerprint: &str,
               scopes: &str,
               created: &str,
               expires: &str,
               principal: &str,
               name: &str| {
        format!("{id:>4}  {state:<8} {fingerprint:<12} {scopes:<27} {created:<20} {expires:<20} {principal:>9}  {name}")
    };
    say(row("key", "state", "fingerprint", "scopes", "created (UTC)", "expires (UTC)", "principal", "name"));
    for key in keys {
        let expires = key.expires_at.map_or_else(|| "never".to_owned(), time);
        let (id, principal) = (key.id.to_string(), key.principal.to_string());
        say(row(
            &id,
            &key.state,
            &key.fingerprint,
            &key.scopes,
            &time(key.created_at),
            &expires,
            &principal,
            &key.name,
        ));
    }
    Ok(())
}
