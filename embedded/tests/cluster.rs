//! A private Postgres through its public face: it starts, survives a crash, and leaves nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use embedded::{Cluster, Options};
use sqlx::{Connection, PgConnection};

async fn connect(cluster: &Cluster) -> PgConnection {
    PgConnection::connect(&cluster.url("postgres", "postgres")).await.unwrap()
}

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
        ("lc_collate", "C"),
        ("timezone", "UTC"),
        ("work_mem", "7MB"),
    ] {
        assert_eq!(setting(&mut connection, name).await, value, "{name}");
    }
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

fn alive(pid: u32) -> bool {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::test_kill_process(pid).is_ok()
}
