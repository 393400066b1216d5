//! One owner and its cluster.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use embedded::{Cluster, Error, Options};
use sqlx::{Connection, PgConnection};

use crate::{alive, connect, kill, until};

async fn setting(connection: &mut PgConnection, name: &str) -> String {
    sqlx::query_scalar("select current_setting($1)").bind(name).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn a_temporary_cluster_starts_with_sound_settings_and_leaves_nothing() {
    let options = Options::temporary().with("work_mem", "7MB");
    let cluster = Cluster::start(options).await.unwrap();
    let (data, sockets) = (cluster.data_dir().to_owned(), cluster.socket_dir().to_owned());
    let home = data.parent().unwrap().to_owned();
    for directory in [&home, &data, &sockets] {
        let found = fs::metadata(directory).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o700);
        assert_ne!(found.uid(), 0, "root's server must not keep root's files");
    }

    let mut connection = connect(&cluster).await;
    for (name, value) in [
        ("fsync", "on"),
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
        ("timezone", "UTC"),
        ("work_mem", "7MB"),
    ] {
        assert_eq!(setting(&mut connection, name).await, value, "{name}");
    }
    // Text is ordered by its bytes, whatever the languages of the machine.
    let collation: String = sqlx::query_scalar("select datcollate from pg_database where datname = current_database()")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(collation, "C");
    connection.close().await.unwrap();

    let pid = cluster.postmaster_pid().unwrap();
    cluster.stop().await.unwrap();
    assert!(!home.exists() && !sockets.exists());
    assert!(!alive(pid));
}

#[tokio::test]
async fn what_was_committed_survives_a_crash_and_a_halt() {
    let cluster = Cluster::start(Options::temporary().without_fsync()).await.unwrap();
    let mut connection = connect(&cluster).await;
    sqlx::raw_sql("create table kept (n int); insert into kept values (1)").execute(&mut connection).await.unwrap();

    let first = cluster.postmaster_pid().unwrap();
    cluster.crash().await.unwrap();
    assert_eq!(cluster.postmaster_pid(), None);
    assert!(!alive(first));
    sqlx::query_scalar::<_, i32>("select 1").fetch_one(&mut connection).await.expect_err("no backend outlives a crash");

    cluster.restart().await.unwrap();
    let second = cluster.postmaster_pid().unwrap();
    assert_ne!(first, second);
    sqlx::raw_sql("insert into kept values (2)").execute(&mut connect(&cluster).await).await.unwrap();
    cluster.halt().await.unwrap();
    assert!(!alive(second));
    cluster.restart().await.unwrap();
    // A restart of a running server stops it first.
    cluster.restart().await.unwrap();
    let kept: i64 =
        sqlx::query_scalar("select sum(n) from kept").fetch_one(&mut connect(&cluster).await).await.unwrap();
    assert_eq!(kept, 3);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_postmaster_killed_from_elsewhere_can_be_restarted_beside_a_busy_backend() {
    let cluster = Cluster::start(Options::temporary().without_fsync()).await.unwrap();
    let mut busy = connect(&cluster).await;
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut busy).await.unwrap();
    // Busy in the processor, a backend does not notice that its postmaster is gone.
    #[expect(clippy::disallowed_methods, reason = "awaited below")]
    let work = tokio::spawn(async move {
        sqlx::raw_sql("select count(*) from generate_series(1, 100000000000)").execute(&mut busy).await.map(|_| ())
    });
    let mut watch = connect(&cluster).await;
    loop {
        let active: bool =
            sqlx::query_scalar("select exists (select from pg_stat_activity where pid = $1 and state = 'active')")
                .bind(backend)
                .fetch_one(&mut watch)
                .await
                .unwrap();
        if active {
            break;
        }
    }

    let backend = u32::try_from(backend).unwrap();
    kill(cluster.postmaster_pid().unwrap());
    cluster.restart().await.unwrap();
    until("the busy backend is gone", || !alive(backend)).await;
    work.await.unwrap().expect_err("its backend was killed");
    connect(&cluster).await.close().await.unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_crash_before_the_end_leaves_no_shared_memory() {
    let cluster = Cluster::start(Options::temporary()).await.unwrap();
    let maps = format!("/proc/{}/maps", cluster.postmaster_pid().unwrap());
    // Where there is no `/proc`, shared memory is no file either.
    let maps = fs::read_to_string(maps).unwrap_or_default();
    let files: Vec<&str> =
        maps.lines().filter_map(|line| line.find("/dev/shm/").and_then(|at| line.get(at..))).collect();
    assert!(maps.is_empty() || !files.is_empty());
    let lock = fs::read_to_string(cluster.data_dir().join("postmaster.pid")).unwrap();
    let segment = lock.lines().nth(6).unwrap().split_whitespace().nth(1);
    let segment = segment.unwrap().to_owned();

    cluster.crash().await.unwrap();
    cluster.stop().await.unwrap();
    for file in files {
        assert!(!fs::exists(file).unwrap(), "{file}");
    }
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let mut ids = segments.lines().filter_map(|line| line.split_whitespace().nth(1));
    assert!(ids.all(|id| id != segment));
}

#[tokio::test]
async fn a_dropped_cluster_is_gone_soon() {
    let cluster = Cluster::start(Options::temporary()).await.unwrap();
    let home = cluster.data_dir().parent().unwrap().to_owned();
    let sockets = cluster.socket_dir().to_owned();
    drop(cluster);
    until("both directories are gone", || !home.exists() && !sockets.exists()).await;
}

#[test]
fn a_cluster_outlives_the_runtime_that_started_it() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cluster = runtime().block_on(Cluster::start(Options::temporary().without_fsync())).unwrap();
    runtime().block_on(async {
        cluster.crash().await.unwrap();
        cluster.restart().await.unwrap();
        connect(&cluster).await.close().await.unwrap();
        cluster.stop().await.unwrap();
    });
}

#[tokio::test]
async fn a_setting_that_postgres_refuses_is_told_in_its_own_words() {
    let options = Options::temporary().with("no_such_setting", "1");
    let error = Cluster::start(options).await.unwrap_err();
    assert!(matches!(&error, Error::Server { log, .. } if log.contains("no_such_setting")), "{error}");
}

#[tokio::test]
async fn names_that_a_url_would_misread_are_escaped() {
    let cluster = Cluster::start(Options::temporary().without_fsync()).await.unwrap();
    for sql in ["create role \"a@b/c\" login", "create database \"d?e#f\""] {
        sqlx::raw_sql(sql).execute(&mut connect(&cluster).await).await.unwrap();
    }
    let url = cluster.url("a@b/c", "d?e#f");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let names: (String, String) =
        sqlx::query_as("select current_user::text, current_database()::text").fetch_one(&mut connection).await.unwrap();
    assert_eq!(names, ("a@b/c".to_owned(), "d?e#f".to_owned()));
    connection.close().await.unwrap();
    cluster.stop().await.unwrap();
}
