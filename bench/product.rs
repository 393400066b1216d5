//! What is measured: the program that the workspace beside this one makes, built as this one was.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// How programs are built, which is how this one was, and the folder that cargo puts them in.
pub(crate) const PROFILE: (&str, &str) = if cfg!(debug_assertions) { ("dev", "debug") } else { ("release", "release") };

/// Builds `holdfast` unless it is built. Where it is.
pub(crate) fn build() -> Result<PathBuf> {
    eprintln!("building holdfast where it is not");
    let mut command = cargo_build(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    command.args(["--bin", "holdfast", "--message-format", "json-render-diagnostics"]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("cargo is not there")?;
    ensure!(output.status.success(), "holdfast cannot be built: {}", output.status);
    let said = String::from_utf8(output.stdout)?;
    let executable = |line: &str| {
        let artifact: Value = serde_json::from_str(line).ok()?;
        artifact.get("executable")?.as_str().map(PathBuf::from)
    };
    said.lines().find_map(executable).context("cargo does not say where holdfast is")
}

/// A build of the package in a folder, without what cargo has told this process about its own: another cargo would
/// take it for a change.
pub(crate) fn cargo_build(folder: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let mut command = Command::new(cargo);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command.args(["build", "--profile", PROFILE.0, "--locked", "--quiet", "--manifest-path"]);
    command.arg(folder.join("Cargo.toml"));
    command
}
