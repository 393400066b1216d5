//! Looks for installed binaries. Only `initdb` and `postgres` are needed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::account::Account;

/// The oldest major version that the migrations and the queries are written for.
pub(crate) const MAJOR_MIN: u32 = 15;

/// Where packages put a version's binaries: a parent that is listed, the beginning of the entry's
/// name, and the way on from the entry.
const PACKAGED: [(&str, &str, &str); 7] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ("/usr/libexec", "postgresql", ""),
];

/// The two programs of one installation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Binaries {
    pub(crate) initdb: PathBuf,
    pub(crate) postgres: PathBuf,
    pub(crate) version: Version,
}

/// A released version; a beta counts as its minor version 0.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// The newest installed version that the account can run: of the wanted major version, or of any
/// from [`MAJOR_MIN`] on.
#[expect(clippy::disallowed_methods, reason = "where programs are is said by PATH alone")]
pub(crate) fn installed(wanted: Option<u32>, account: Account) -> Option<Binaries> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    directories.extend(pg_config(account));
    for (parent, name, rest) in PACKAGED {
        directories.extend(entries(Path::new(parent), name).map(|entry| entry.join(rest)));
    }
    newest(&directories, wanted, |program| version(program, account))
}

/// The newest usable version in the given directories; of equals the first.
///
/// `probe` answers which version a program is, and nothing for one that cannot be run.
pub(crate) fn newest(
    directories: &[PathBuf],
    wanted: Option<u32>,
    probe: impl Fn(&Path) -> Option<Version>,
) -> Option<Binaries> {
    let mut seen = BTreeSet::new();
    let mut best: Option<Binaries> = None;
    for directory in directories {
        // A package may link its programs into a directory of the PATH, and `initdb` looks for
        // `postgres` beside what the link leads to.
        let resolve = |name: &str| fs::canonicalize(directory.join(name));
        let (Ok(initdb), Ok(postgres)) = (resolve("initdb"), resolve("postgres")) else {
            continue;
        };
        if !seen.insert(postgres.clone()) {
            continue;
        }
        let Some(version) = probe(&postgres).filter(|_| initdb.parent() == postgres.parent()) else {
            continue;
        };
        let fits = wanted.map_or(version.major >= MAJOR_MIN, |major| version.major == major);
        let newer = best.as_ref().is_none_or(|best| version > best.version);
        if fits && newer && probe(&initdb) == Some(version) {
            best = Some(Binaries { initdb, postgres, version });
        }
    }
    best
}

/// Asks a program for its version, as the account that is to run it: that shows as well whether
/// the account can reach it and its libraries.
pub(crate) fn version(program: &Path, account: Account) -> Option<Version> {
    let text = output(program, "--version", account)?;
    parse_version(&text)
}

/// Reads `postgres (PostgreSQL) 15.16 (Debian 15.16-0+deb12u1)` and its like.
fn parse_version(text: &str) -> Option<Version> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    let version = version.split_whitespace().next()?;
    let digits = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text.get(..end)?.parse().ok()
    };
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    Some(Version { major: digits(major)?, minor: digits(minor)? })
}

fn pg_config(account: Account) -> Option<PathBuf> {
    let text = output(Path::new("pg_config"), "--bindir", account)?;
    Some(PathBuf::from(text.trim_end()))
}

fn output(program: &Path, argument: &str, account: Account) -> Option<String> {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null());
    // A program that was unpacked a moment ago is busy while a child that another thread has
    // forked, and that has not begun its own program yet, still holds the file open for writing.
    for _ in 0..40 {
        match account.run(&mut command).output() {
            Ok(output) if output.status.success() => return String::from_utf8(output.stdout).ok(),
            Ok(output) => {
                tracing::debug!(program = %program.display(), status = %output.status, "skipped");
                return None;
            }
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(25));
            }
            Err(error) => {
                tracing::debug!(program = %program.display(), %error, "skipped");
                return None;
            }
        }
    }
    None
}

/// A directory that is not there has no entries.
pub(crate) fn entries(parent: &Path, name: &str) -> impl Iterator<Item = PathBuf> {
    let begins = |entry: &fs::DirEntry| {
        let found: &OsStr = &entry.file_name();
        found.as_encoded_bytes().starts_with(name.as_bytes())
    };
    let mut found: Vec<PathBuf> =
        fs::read_dir(parent).into_iter().flatten().flatten().filter(begins).map(|entry| entry.path()).collect();
    found.sort();
    found.into_iter()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::{Version, newest, parse_version};
    use std::fs;
    use std::path::{Path, PathBuf};

    fn v(major: u32, minor: u32) -> Version {
        Version { major, minor }
    }

    #[test]
    fn versions_as_distributions_print_them() {
        for (text, version) in [
            ("postgres (PostgreSQL) 15.16 (Debian 15.16-0+deb12u1)\n", Some(v(15, 16))),
            ("initdb (PostgreSQL) 17.2\n", Some(v(17, 2))),
            ("postgres (PostgreSQL) 18beta1", Some(v(18, 0))),
            ("postgres (PostgreSQL) 19devel", Some(v(19, 0))),
            ("postgres (PostgreSQL) 9.6.24", Some(v(9, 6))),
            ("postgres (PostgreSQL) ", None),
            ("postgres 15.1", None),
        ] {
            assert_eq!(parse_version(text), version, "{text}");
        }
    }

    /// Directories named after the version that their programs claim to be.
    struct Fake(PathBuf);

    impl Fake {
        fn new(test: &str) -> Fake {
            let name = format!("holdfast-find-{test}-{}", std::process::id());
            let root = std::env::temp_dir().join(name);
            fs::create_dir_all(&root).unwrap();
            Fake(fs::canonicalize(root).unwrap())
        }

        fn install(&self, name: &str, programs: &[&str]) -> PathBuf {
            let directory = self.0.join(name);
            fs::create_dir_all(&directory).unwrap();
            for program in programs {
                fs::write(directory.join(program), "").unwrap();
            }
            directory
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn probe(program: &Path) -> Option<Version> {
        let name = program.parent()?.file_name()?.to_str()?;
        parse_version(&format!("(PostgreSQL) {name}"))
    }

    #[test]
    fn the_newest_from_15_on_wins_wherever_it_stands() {
        let fake = Fake::new("newest");
        let both = ["initdb", "postgres"];
        let directories = [
            fake.install("14.20", &both),
            fake.install("15.9", &both),
            fake.install("17.1", &["postgres"]),
            fake.install("broken", &both),
            fake.install("16.10", &both),
            fake.install("16.9", &both),
            fake.0.join("missing"),
        ];
        let found = newest(&directories, None, probe).unwrap();
        assert_eq!(found.version, v(16, 10));
        assert_eq!(found.initdb, fake.0.join("16.10/initdb"));
        assert_eq!(newest(&directories, Some(15), probe).unwrap().version, v(15, 9));
        assert_eq!(newest(&directories, Some(17), probe), None);
        assert_eq!(newest(&directories[..1], None, probe), None);
    }

    #[test]
    fn a_link_leads_to_where_the_programs_really_are() {
        let fake = Fake::new("link");
        let real = fake.install("15.3", &["initdb", "postgres"]);
        let linked = fake.install("bin", &[]);
        for program in ["initdb", "postgres"] {
            std::os::unix::fs::symlink(real.join(program), linked.join(program)).unwrap();
        }
        let found = newest(&[linked], None, probe).unwrap();
        assert_eq!(found.postgres, real.join("postgres"));
    }
}
