use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use embedded::{Cluster, Options};
use outbox::{connect_options, settle_options};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, raw_sql};
use tokio::sync::{Mutex, OnceCell};

/// The one server. It is bound to no runtime, and its leash takes it away when the process ends.
static SERVER: OnceCell<Cluster> = OnceCell::const_new();
/// Creating a database from a template needs the template for itself.
static CREATING: Mutex<()> = Mutex::const_new(());
static NUMBER: AtomicU32 = AtomicU32::new(1);

const TEMPLATE: &str = "holdfast_template";

/// A migrated database that one test has for itself.
#[derive(Debug)]
pub(crate) struct Db {
    /// Its name in the server.
    pub(crate) name: String,
    /// As the superuser who owns the tables.
    pub(crate) owner: PgPool,
    /// As `holdfast_api`.
    pub(crate) api: PgPool,
    /// As `holdfast_worker`.
    pub(crate) worker: PgPool,
}

impl Db {
    /// A copy of the migrated template. The pools connect when they are used.
    pub(crate) async fn new() -> Self {
        super::timed();
        super::statements::install();
        let server = server().await;
        let name = format!("t_{:04}", NUMBER.fetch_add(1, Ordering::Relaxed));
        {
            let _alone = CREATING.lock().await;
            let mut admin = PgConnection::connect(&server.url("postgres", "postgres")).await.unwrap();
            // Copying by log needs no checkpoint, which is what takes long with fsync on.
            let create = format!("create database {name} template {TEMPLATE} strategy wal_log");
            raw_sql(AssertSqlSafe(create)).execute(&mut admin).await.unwrap();
            admin.close().await.unwrap();
        }
        let pool = |user: &str| lazy_pool(&server.url(user, &name), user, 4);
        let (owner, api, worker) = (pool("postgres"), pool("holdfast_api"), pool("holdfast_worker"));
        Self { name, owner, api, worker }
    }

    /// The address of this database for a user, as a process takes it in `DATABASE_URL`.
    pub(crate) async fn url(&self, user: &str) -> String {
        server().await.url(user, &self.name)
    }

    /// Another pool, such as a second worker has.
    pub(crate) async fn pool(&self, user: &str, connections: u32) -> PgPool {
        lazy_pool(&self.url(user).await, user, connections)
    }

    /// Runs statements as the superuser. For what no role of Holdfast may do.
    pub(crate) async fn sql(&self, statements: &str) {
        self.try_sql(statements).await.unwrap();
    }

    /// Like [`Db::sql`], to see it refused.
    pub(crate) async fn try_sql(&self, statements: &str) -> Result<(), sqlx::Error> {
        run(&self.owner, statements).await
    }

    /// A column of a table that an update may name, whatever else the table has.
    pub(crate) async fn some_column(&self, table: &str) -> String {
        sqlx::query_scalar!(
            r#"
            select attname::text as "name!" from pg_attribute
            where attrelid = to_regclass($1) and attnum > 0 and attidentity = '' order by attnum limit 1
            "#,
            table,
        )
        .fetch_one(&self.owner)
        .await
        .unwrap()
    }

    /// Moves `clock()` ahead, such as `2 hours`.
    pub(crate) async fn pass(&self, interval: &str) {
        self.sql(&format!("update clock_shift set shift = shift + interval '{interval}'")).await;
    }
}

/// Runs statements that are put together at run time, as whoever the pool connects.
pub(crate) async fn run(pool: &PgPool, statements: &str) -> Result<(), sqlx::Error> {
    raw_sql(AssertSqlSafe(statements.to_owned())).execute(pool).await.map(|_| ())
}

async fn server() -> &'static Cluster {
    SERVER
        .get_or_init(async || {
            // Races are judged by when their transactions committed.
            let options = Options::temporary().with("max_connections", "300").with("track_commit_timestamp", "on");
            let server = Cluster::start(options).await.unwrap();
            let mut admin = PgConnection::connect(&server.url("postgres", "postgres")).await.unwrap();
            let create = format!("create database {TEMPLATE}");
            raw_sql(AssertSqlSafe(create)).execute(&mut admin).await.unwrap();
            admin.close().await.unwrap();
            let template = lazy_pool(&server.url("postgres", TEMPLATE), "postgres", 1);
            outbox::migrate(&template).await.unwrap();
            // The first principal that is not Holdfast's own is SUBMITTER.
            run(&template, "insert into principal (name) values ('tests'), ('other tests')").await.unwrap();
            template.close().await;
            server
        })
        .await
}

fn lazy_pool(url: &str, user: &str, connections: u32) -> PgPool {
    let options = if user == "holdfast_worker" { settle_options } else { connect_options };
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(30))
        .connect_lazy_with(options(url, "holdfast tests").unwrap())
}
