//! What holds for the files of the project, whatever they say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use expect_test::expect_file;
use jobs::KINDS;
use sha2::{Digest, Sha256};

const LINES_MAX: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file that is tracked or about to be.
fn files() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    // A file that is being removed is still listed.
    listed.split_terminator('\0').filter(|file| root().join(file).is_file()).map(str::to_owned).collect()
}

fn files_with(extension: &str) -> Vec<String> {
    let found: Vec<String> = files()
        .into_iter()
        .filter(|file| Path::new(file).extension().is_some_and(|found| found == extension))
        .collect();
    assert!(!found.is_empty(), "no file is a .{extension}");
    found
}

fn read(file: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(root().join(file)).unwrap()).into_owned()
}

#[test]
fn no_file_of_rust_is_longer_than_it_should_be() {
    let long: Vec<String> = files_with("rs")
        .into_iter()
        .map(|file| (read(&file).lines().count(), file))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, file)| format!("{file}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "longer than {LINES_MAX} lines: {long:#?}");
}

/// Whoever is dropped while a pool's transaction begins leaves it open: `outbox::begin` is for that. What has a connection
/// of its own closes it.
#[test]
fn no_transaction_begins_on_a_connection_that_a_pool_takes_back() {
    let own = ["outbox/begin.rs", "api/intake/inbox.rs", "integrity/lib.rs"];
    let found: Vec<String> = files_with("rs")
        .iter()
        .filter(|file| !file.starts_with("tests/") && !file.starts_with("bench/") && !own.contains(&file.as_str()))
        .flat_map(|file| {
            let begins = |line: &&str| line.contains(".begin().await") || line.contains(".begin_with(");
            read(file).lines().filter(begins).map(|line| format!("{file}: {}", line.trim())).collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "use outbox::begin: {found:#?}");
}

#[test]
fn no_module_is_called_mod_and_none_imports_everything() {
    let globs: Vec<String> = files_with("rs")
        .iter()
        .flat_map(|file| {
            let text = read(file);
            let glob = |line: &&str| {
                let line = line.trim_start();
                (line.starts_with("use ") || line.starts_with("pub use ") || line.starts_with("pub(crate) use "))
                    && line.contains("::*")
                    // A prelude is made to be taken whole.
                    && !line.contains("::prelude::*")
            };
            text.lines().filter(glob).map(|line| format!("{file}: {line}")).collect::<Vec<_>>()
        })
        .chain(files().into_iter().filter(|file| file.ends_with("/mod.rs")))
        .collect();
    assert!(globs.is_empty(), "{globs:#?}");
}

/// The targets of Markdown links that lead to another file, outside code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let spans: String = line.split('`').step_by(2).collect();
        for (start, _) in spans.match_indices("](") {
            let target = &spans[start + 2..];
            let target = &target[..target.find([')', ' ']).unwrap_or(target.len())];
            let target = target.split('#').next().unwrap();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                found.push(target.to_owned());
            }
        }
    }
    found
}

#[test]
fn links_between_documents_lead_somewhere() {
    assert_eq!(links("[a](b.md#c) `[x](y)` [d](https://e) [f](#g)\n```\n[h](i)\n```"), ["b.md"]);
    let mut broken = Vec::new();
    for file in &files_with("md") {
        let folder = root().join(file).parent().map_or_else(PathBuf::new, Path::to_path_buf);
        broken.extend(
            links(&read(file))
                .into_iter()
                .filter(|link| !folder.join(link).exists())
                .map(|link| format!("{file}: {link}")),
        );
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A kind is one file, one line in the registry and a replay test.
#[test]
fn every_kind_has_its_file_and_its_replay_test() {
    let replay = read("tests/replay.rs");
    for kind in KINDS {
        let file = format!("jobs/kinds/{}.rs", kind.name.replace('-', "_"));
        assert!(read(&file).contains(&format!("\"{}\"", kind.name)), "{file} does not name {}", kind.name);
        assert!(replay.contains(&format!("\"{}\" =>", kind.name)), "tests/replay.rs has no {}", kind.name);
    }
}

/// The runtime can be exchanged where only one crate knows of it. The benchmarks may name it too:
/// they compare with its own storage.
#[test]
fn apalis_is_named_by_the_workers_only() {
    let elsewhere: Vec<String> = files_with("rs")
        .into_iter()
        .chain(files_with("toml").into_iter().filter(|file| file.ends_with("/Cargo.toml")))
        .filter(|file| !file.starts_with("workers/") && !file.starts_with("bench/") && file != "tests/tidy.rs")
        .filter(|file| read(file).to_lowercase().contains("apalis"))
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
}

/// A migration that has run somewhere can never change: only lines may be added to this list.
#[test]
fn migrations_are_append_only() {
    let mut text = String::new();
    for file in files_with("sql").iter().filter(|file| file.starts_with("migrations/")) {
        let digest = Sha256::digest(std::fs::read(root().join(file)).unwrap());
        writeln!(text, "{} {file}", hex::encode(digest)).unwrap();
    }
    expect_file!["migrations.txt"].assert_eq(&text);
}

/// The packages of `Cargo.lock` with what each depends on, tests included.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in read("Cargo.lock").lines() {
        if let Some(name) = line.strip_prefix("name = ") {
            name.trim_matches('"').clone_into(&mut current);
        } else if let Some(name) = line.strip_prefix(" \"") {
            // Where two versions are in use, the name is followed by one.
            let name = name.split(['"', ' ']).next().unwrap();
            found.entry(current.clone()).or_default().insert(name.to_owned());
        }
    }
    found
}

/// The part of a file from the first of these lines to the next one that begins as the second does.
fn part(file: &str, from: &str, to: &str) -> String {
    let text = read(file);
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("{file} has no {from}"));
    rest.split(to).next().unwrap().trim_end().to_owned()
}

/// The versions in a lock file, by name; those of workspaces are nothing to compare.
fn versions(lock: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in read(lock).split("[[package]]").filter(|package| package.contains("checksum = ")) {
        let value = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_matches([' ', '=', '"']).to_owned()
        };
        found.entry(value("name")).or_default().insert(value("version"));
    }
    found
}

/// What measures is a workspace of its own, built of the same and as the other one is.
#[test]
fn the_two_workspaces_agree() {
    for (from, to) in [("[workspace.lints.rust]", "\n[package]"), ("[profile.release]", "\n\n")] {
        assert_eq!(part("bench/Cargo.toml", from, to), part("Cargo.toml", from, to));
    }
    let (ours, theirs) = (versions("Cargo.lock"), versions("bench/Cargo.lock"));
    let other: Vec<_> = theirs
        .iter()
        .filter(|(name, versions)| ours.get(*name).is_some_and(|ours| !versions.is_subset(ours)))
        .collect();
    assert!(other.is_empty(), "bench/Cargo.lock has other versions: {other:?}");
}

/// Everything that a package stands on, itself included.
fn reach<'a>(dependencies: &'a BTreeMap<String, BTreeSet<String>>, package: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![package];
    while let Some(package) = open.pop() {
        if reached.insert(package) {
            open.extend(dependencies.get(package).into_iter().flatten().map(String::as_str));
        }
    }
    reached
}

#[test]
fn the_crates_depend_on_each_other_in_one_direction() {
    let dependencies = dependencies();
    let io = ["tokio", "mio", "socket2", "sqlx", "sqlx-core", "reqwest", "hyper", "axum", "rustls", "apalis"];
    let cases: [(&str, &[&str]); 7] = [
        ("ledger", &["integrity", "jobs", "outbox", "providers", "settlement", "api", "workers"]),
        ("jobs", &["integrity", "outbox", "providers", "settlement", "api", "workers"]),
        ("providers", &["integrity", "jobs", "ledger", "outbox", "settlement", "api", "workers"]),
        ("outbox", &["integrity", "jobs", "ledger", "providers", "settlement", "api", "workers"]),
        ("integrity", &["outbox", "providers", "settlement", "api", "workers"]),
        ("settlement", &["api", "workers"]),
        ("api", &["integrity", "settlement", "workers", "apalis", "apalis-core"]),
    ];
    for (package, forbidden) in cases {
        assert!(dependencies.contains_key(package), "no package {package}");
        let reached = reach(&dependencies, package);
        let pure: &[&str] = if matches!(package, "ledger" | "jobs") { &io } else { &[] };
        let wrong: Vec<&&str> = forbidden.iter().chain(pure).filter(|name| reached.contains(*name)).collect();
        assert!(wrong.is_empty(), "{package} reaches {wrong:?}");
    }
}

/// What decides is pure: no clock, no files, no environment, no chance.
#[test]
fn the_pure_crates_reach_for_nothing() {
    let outside = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant::now",
        "Utc::now",
        "rand::",
        "println!",
    ];
    let mut found = Vec::new();
    for file in files_with("rs").iter().filter(|file| file.starts_with("ledger/") || file.starts_with("jobs/")) {
        let text = read(file);
        found.extend(outside.iter().filter(|word| text.contains(**word)).map(|word| format!("{file}: {word}")));
    }
    found.retain(|line| !line.contains("/tests/"));
    assert!(found.is_empty(), "{found:#?}");
}

/// A document that names a path of somebody's machine is right for nobody else.
#[test]
fn nothing_names_a_path_of_somebodys_machine() {
    // Where a package manager puts its files is the same for everybody.
    let public = "/home/linuxbrew/";
    let paths =
        [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"], ["/Us", "ers/"], ["/tmp/", "target"], ["/tmp/", "plan"]]
            .map(|parts| parts.concat());
    let mut found = Vec::new();
    for file in files() {
        let text = read(&file);
        for (number, line) in text.lines().enumerate() {
            let named = |path: &String| {
                let before = |at: usize| line[..at].chars().next_back();
                // In an address or a relative path it is something else.
                line.match_indices(path.as_str()).any(|(at, _)| {
                    !line[at..].starts_with(public)
                        && before(at).is_none_or(|c| !c.is_alphanumeric() && !"./-_}".contains(c))
                })
            };
            found.extend(paths.iter().filter(|path| named(path)).map(|path| format!("{file}:{}: {path}", number + 1)));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
