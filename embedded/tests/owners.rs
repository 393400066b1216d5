//! What happens to a cluster when its owner ends, and when two want the same one.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use embedded::{Cluster, Error, Home, Options};
use sqlx::Connection;

use crate::{alive, connect, kill, until};

/// Tells a process of this program that it is an owner: empty, or the directory to keep.
const OWNER: &str = "HOLDFAST_TEST_OWNER";

/// Another process that owns a cluster, and what it owns.
struct Owner {
    child: Child,
    _stdin: Option<ChildStdin>,
    home: PathBuf,
    sockets: PathBuf,
    postmaster: u32,
}

impl Owner {
    fn start(kept: &str) -> Owner {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "owners::another_process_owns_a_cluster"])
            .arg("--nocapture")
            .env(OWNER, kept)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = || {
            let told = lines.find_map(|line| Some(line.unwrap().strip_prefix("own ")?.to_owned()));
            told.expect("the owner has started its cluster")
        };
        Owner {
            home: told().into(),
            sockets: told().into(),
            postmaster: told().parse().unwrap(),
            _stdin: child.stdin.take(),
            child,
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The parent of the postmaster. Not every machine with `/proc` has `ps` as well.
    fn leash(&self) -> u32 {
        let parent = if fs::exists("/proc/self").unwrap() {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.postmaster)).unwrap();
            stat.split(' ').nth(3).unwrap().to_owned()
        } else {
            let mut ps = Command::new("ps");
            ps.args(["-o", "ppid=", "-p", &self.postmaster.to_string()]);
            String::from_utf8(ps.output().unwrap().stdout).unwrap()
        };
        parent.trim().parse().unwrap()
    }
}

/// Not a test of its own: the other tests start this program again to run only this.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "how a test tells a process of its own what it is")]
async fn another_process_owns_a_cluster() {
    let Some(kept) = env::var_os(OWNER) else {
        return;
    };
    let mut options = Options::temporary();
    if !kept.is_empty() {
        options.home = Home::Persistent(kept.into());
    }
    let cluster = Cluster::start(options).await.unwrap();
    let told = format!(
        "\nown {}\nown {}\nown {}\n",
        cluster.data_dir().parent().unwrap().display(),
        cluster.socket_dir().display(),
        cluster.postmaster_pid().unwrap()
    );
    io::stdout().write_all(told.as_bytes()).unwrap();
    io::stdout().flush().unwrap();
    // Until the test that started it kills this process.
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// A directory to keep a cluster in, removed after the test together with the home it points to.
struct Kept(PathBuf);

impl Kept {
    fn new(test: &str) -> Kept {
        let name = format!("holdfast-owners-{test}-{}", std::process::id());
        Kept(env::temp_dir().join(name))
    }

    fn options(&self) -> Options {
        Options::persistent(&self.0)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Ok(home) = fs::read_to_string(self.0.join("location")) {
            fs::remove_dir_all(home.trim_end()).unwrap();
        }
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[tokio::test]
async fn an_owner_killed_outright_leaves_nothing() {
    let mut owner = Owner::start("");
    assert!(owner.home.exists() && owner.sockets.exists() && alive(owner.postmaster));
    let leash = owner.leash();
    owner.kill();
    until("server, leash and directories are gone", || {
        !owner.home.exists() && !owner.sockets.exists() && !alive(owner.postmaster) && !alive(leash)
    })
    .await;
}

#[tokio::test]
async fn what_an_owner_left_when_its_leash_was_killed_too_is_reclaimed() {
    let mut owner = Owner::start("");
    kill(owner.leash());
    owner.kill();
    assert!(owner.home.exists() && alive(owner.postmaster));
    let next = Cluster::start(Options::temporary()).await.unwrap();
    // Another test's start may have found it first and be at work on it.
    until("the server of the dead owner is gone", || {
        !owner.home.exists() && !owner.sockets.exists() && !alive(owner.postmaster)
    })
    .await;
    assert!(next.data_dir().exists());
    next.stop().await.unwrap();
}

#[tokio::test]
async fn a_directory_with_open_doors_or_a_foreign_name_is_left_alone() {
    let unlike = Path::new("/var/tmp").join(format!("holdfast-tmp-not-ours-{}", std::process::id()));
    fs::create_dir(&unlike).unwrap();
    let open = Path::new("/var/tmp").join(format!("holdfast-tmp-{:012x}", std::process::id()));
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let cluster = Cluster::start(Options::temporary()).await.unwrap();
    cluster.stop().await.unwrap();
    fs::remove_dir(unlike).unwrap();
    fs::remove_dir(open).unwrap();
}

#[tokio::test]
async fn a_kept_cluster_survives_its_owner_with_the_settings_of_the_next() {
    let kept = Kept::new("survives");
    let cluster = Cluster::start(kept.options()).await.unwrap();
    let url = cluster.url("postgres", "postgres");
    sqlx::raw_sql("create table kept (n int); insert into kept values (7)")
        .execute(&mut connect(&cluster).await)
        .await
        .unwrap();
    let sockets = cluster.socket_dir().to_owned();
    cluster.stop().await.unwrap();
    assert!(!sockets.exists());

    let options = kept.options().with("work_mem", "9MB");
    let cluster = Cluster::start(options).await.unwrap();
    assert_eq!(cluster.url("postgres", "postgres"), url);
    let mut connection = connect(&cluster).await;
    let found: (i32, String) =
        sqlx::query_as("select n, current_setting('work_mem') from kept").fetch_one(&mut connection).await.unwrap();
    assert_eq!(found, (7, "9MB".to_owned()));
    connection.close().await.unwrap();
    assert_eq!(fs::read_to_string(kept.0.join(".gitignore")).unwrap(), "*\n");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_kept_cluster_has_one_owner_and_the_next_waits_for_a_dead_ones_server() {
    let kept = Kept::new("one");
    let mut owner = Owner::start(kept.0.to_str().unwrap());
    let error = Cluster::start(kept.options()).await.unwrap_err();
    assert!(matches!(&error, Error::InUse { pid, .. } if *pid == owner.child.id()), "{error}");
    assert!(alive(owner.postmaster), "a refusal disturbs nobody");

    owner.kill();
    let cluster = Cluster::start(kept.options()).await.unwrap();
    assert!(!alive(owner.postmaster));
    assert_eq!(cluster.socket_dir(), owner.sockets);

    let error = Cluster::start(kept.options()).await.unwrap_err();
    assert!(matches!(&error, Error::InUse { pid, .. } if *pid == std::process::id()), "{error}");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_kept_cluster_whose_leash_was_killed_too_is_taken_over() {
    let kept = Kept::new("orphan");
    let mut owner = Owner::start(kept.0.to_str().unwrap());
    kill(owner.leash());
    owner.kill();
    assert!(alive(owner.postmaster));
    let cluster = Cluster::start(kept.options()).await.unwrap();
    assert!(!alive(owner.postmaster));
    connect(&cluster).await.close().await.unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn data_of_a_version_that_is_not_installed_is_refused_by_name() {
    let kept = Kept::new("version");
    let cluster = Cluster::start(kept.options()).await.unwrap();
    let version = cluster.data_dir().join("PG_VERSION");
    cluster.stop().await.unwrap();
    fs::write(version, "99\n").unwrap();
    let error = Cluster::start(kept.options()).await.unwrap_err();
    assert!(matches!(error, Error::VersionGone { major: 99, .. }), "{error}");
}
