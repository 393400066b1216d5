//! The archive that is fetched where no Postgres is installed: which one, from where, and how it
//! is unpacked.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::Error;

/// The major version of the pinned archives.
pub(crate) const MAJOR: u32 = 18;

/// The pinned release of github.com/theseus-rs/postgresql-binaries, whose archives the project
/// `postgresql_embedded` uses.
const RELEASE: &str = "18.4.0";

/// The SHA-256 of the pinned release's archive for each target, as published beside the archive.
/// To pin another release, replace [`RELEASE`] and all of these together.
const SHA256: [(&str, &str); 4] = [
    ("aarch64-apple-darwin", "1b68828f524b638a24918e258b173d0f16773547a0d3b83d9ba74473b61649f2"),
    ("aarch64-unknown-linux-gnu", "569984d426365c6ca3c197d2b3a999b73161ff1f3abc963824a8c3624620e5dd"),
    ("x86_64-apple-darwin", "cbc38067a795d10bbddc730e61c835df0b351c36a7bd2544d388790fcf50aa4d"),
    ("x86_64-unknown-linux-gnu", "65c06cf318b9a57525d842d658d6d18cd461d12b3a89b57d6d8ed7cccbe2db53"),
];

/// Where a release's archives are. The hash decides what is accepted, so a further source needs no
/// trust; they are tried in this order.
const SOURCES: [&str; 1] = ["https://github.com/theseus-rs/postgresql-binaries/releases/download"];

/// One archive: a gzipped tar of a single directory that has `bin`, `lib` and `share` in it.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    /// The name of the archive without its ending, and of the directory in it.
    pub(crate) name: String,
    /// In lower-case hexadecimal.
    pub(crate) sha256: String,
    /// Tried in this order.
    pub(crate) urls: Vec<String>,
}

/// The pinned archive for the target that this program was built for, if there is one.
pub(crate) fn pinned() -> Option<Archive> {
    let system = if cfg!(target_os = "macos") {
        "apple-darwin"
    } else if cfg!(all(target_os = "linux", target_env = "gnu")) {
        "unknown-linux-gnu"
    } else {
        return None;
    };
    let target = format!("{}-{system}", std::env::consts::ARCH);
    let (_, sha256) = SHA256.iter().find(|(name, _)| *name == target)?;
    let name = format!("postgresql-{RELEASE}-{target}");
    Some(Archive {
        sha256: (*sha256).to_owned(),
        urls: SOURCES.iter().map(|source| format!("{source}/{RELEASE}/{name}.tar.gz")).collect(),
        name,
    })
}

/// Unpacks an archive whose hash has been checked into a new directory, and returns the directory
/// that it holds.
pub(crate) fn unpack(archive: &Path, name: &str, into: &Path) -> Result<PathBuf, Error> {
    let file = File::open(archive).map_err(Error::file("open", archive))?;
    fs::create_dir(into).map_err(Error::file("create", into))?;
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    // The account that runs the server is not the one that unpacks, and must not write there.
    archive.set_mask(0o022);
    archive.set_preserve_mtime(false);
    archive.unpack(into).map_err(Error::file("unpack the archive into", into))?;
    let unpacked = into.join(name);
    if unpacked.is_dir() {
        Ok(unpacked)
    } else {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        Err(Error::file("find", unpacked)(missing))
    }
}

#[cfg(test)]
mod tests {
    use super::{MAJOR, RELEASE, SHA256};

    #[test]
    fn the_pins_are_whole() {
        assert!(RELEASE.starts_with(&format!("{MAJOR}.")));
        for (target, sha256) in SHA256 {
            let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            assert!(sha256.len() == 64 && sha256.chars().all(hex), "{target}");
        }
    }
}
