//! Binaries of our own: looked up in a cache, or downloaded into it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Client;
use reqwest::redirect::Policy;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use crate::account::Account;
use crate::archive::{self, Archive};
use crate::find::{self, Binaries, MAJOR_MIN};
use crate::{Error, cluster};

/// The archives are between 10 and 30 MB; whatever is much larger is not one of them.
const ARCHIVE_BYTES_MAX: u64 = 200 << 20;

/// Releases are kept on another host than the one that is asked.
const REDIRECTS_MAX: usize = 5;

/// The cached binaries of the wanted major version or, for none in particular, the newest; fetched
/// first if the cache has none.
pub(crate) async fn binaries(wanted: Option<u32>, account: Account, progress: bool) -> Result<Binaries, Error> {
    let Some(cache) = cache(account) else {
        return Err(missing("and no directory for a cache is known", None));
    };
    let found = cached(&cache, wanted, account).await?;
    if let Some(binaries) = found {
        return Ok(binaries);
    }
    if wanted.is_some_and(|major| major != archive::MAJOR) {
        return Err(missing("and the wanted version cannot be fetched", None));
    }
    let Some(archive) = archive::pinned() else {
        return Err(missing("and none can be fetched for this system", None));
    };
    let client = client(true).map_err(|source| Error::Download { url: archive.urls.join(", "), source })?;
    install(&archive, &cache, &client, account, progress).await
}

/// A root owner's cache has to be readable for the account that runs the server.
#[expect(clippy::disallowed_methods, reason = "where caches are is said by XDG_CACHE_HOME alone")]
fn cache(account: Account) -> Option<PathBuf> {
    let parent = if cfg!(target_os = "macos") {
        if account.dropped { PathBuf::from("/Library/Caches") } else { std::env::home_dir()?.join("Library/Caches") }
    } else if account.dropped {
        PathBuf::from("/var/cache")
    } else {
        std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))?
    };
    Some(parent.join("holdfast"))
}

async fn cached(cache: &Path, wanted: Option<u32>, account: Account) -> Result<Option<Binaries>, Error> {
    let cache = cache.to_owned();
    cluster::blocking(move || {
        let directories: Vec<PathBuf> = find::entries(&cache, "postgresql-").map(|entry| entry.join("bin")).collect();
        Ok(find::newest(&directories, wanted, |program| find::version(program, account)))
    })
    .await
}

/// Fetches an archive into the cache, once for all who ask at the same time.
async fn install(
    archive: &Archive,
    cache: &Path,
    client: &Client,
    account: Account,
    progress: bool,
) -> Result<Binaries, Error> {
    fs::create_dir_all(cache).map_err(Error::file("create", cache))?;
    open_to_all(cache)?;
    let _lock = lock(&cache.join("lock")).await?;
    let name = archive.name.clone();
    let whole = cache.join(&name);
    if !whole.exists() {
        // Whoever was interrupted left this; the lock says that nobody uses it now.
        let partial = cache.join("partial");
        remove(&partial)?;
        fs::create_dir(&partial).map_err(Error::file("create", &partial))?;
        let file = partial.join("archive.tar.gz");
        if let Err(error) = download(archive, &file, client, progress).await {
            remove(&partial)?;
            return Err(missing("and one could not be fetched", Some(error)));
        }
        let to = whole.clone();
        cluster::blocking(move || {
            let unpacked = archive::unpack(&file, &name, &partial.join("unpacked"))?;
            open_to_all(&unpacked)?;
            fs::rename(&unpacked, &to).map_err(Error::file("create", to))?;
            remove(&partial)
        })
        .await?;
    }
    cluster::blocking(move || {
        find::newest(&[whole.join("bin")], None, |program| find::version(program, account))
            .ok_or_else(|| missing("and the one that was fetched does not run here", None))
    })
    .await
}

/// Tries one source after the other; the last one's error is the one that is told.
async fn download(archive: &Archive, file: &Path, client: &Client, progress: bool) -> Result<(), Error> {
    let mut last = None;
    for url in &archive.urls {
        match download_from(url, &archive.sha256, file, client, progress).await {
            Ok(()) => return Ok(()),
            Err(error) => {
                tracing::warn!(%url, %error, "this source does not serve");
                last = Some(error);
            }
        }
    }
    Err(last.unwrap_or_else(|| missing("and no source is known", None)))
}

async fn download_from(url: &str, sha256: &str, file: &Path, client: &Client, progress: bool) -> Result<(), Error> {
    let failed = |source| Error::Download { url: url.to_owned(), source };
    let write = || Error::file("write", file);
    let mut response = client.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
    let bar = bar(progress, response.content_length());
    let mut out = tokio::fs::File::create(file).await.map_err(write())?;
    let mut hash = Sha256::new();
    let mut bytes = 0_u64;
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        bytes = bytes.saturating_add(length);
        if bytes > ARCHIVE_BYTES_MAX {
            return Err(Error::TooLarge { url: url.to_owned(), bytes_max: ARCHIVE_BYTES_MAX });
        }
        hash.update(&chunk);
        out.write_all(&chunk).await.map_err(write())?;
        bar.inc(length);
    }
    out.flush().await.map_err(write())?;
    bar.finish_and_clear();
    let found = hex::encode(hash.finalize());
    if found == sha256 {
        Ok(())
    } else {
        Err(Error::Checksum { url: url.to_owned(), found, expected: sha256.to_owned() })
    }
}

fn client(https_only: bool) -> Result<Client, reqwest::Error> {
    Client::builder()
        .https_only(https_only)
        .redirect(Policy::limited(REDIRECTS_MAX))
        .connect_timeout(Duration::from_secs(15))
        .read_timeout(Duration::from_secs(30))
        .timeout(Duration::from_mins(10))
        .user_agent("holdfast")
        .build()
}

fn bar(progress: bool, bytes: Option<u64>) -> ProgressBar {
    if !progress {
        return ProgressBar::hidden();
    }
    let (bar, template) = match bytes {
        Some(bytes) => (ProgressBar::new(bytes), "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}"),
        None => (ProgressBar::new_spinner(), "{msg} {spinner} {bytes}, {bytes_per_sec}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.set_style(style),
        Err(error) => tracing::debug!(%error, "the progress bar has its default style"),
    }
    bar.set_message("fetching Postgres");
    bar
}

/// Waits for the others without holding a thread, so that giving up is possible at any time.
async fn lock(path: &Path) -> Result<File, Error> {
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::file("open", path))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(TryLockError::Error(source)) => return Err(Error::file("lock", path)(source)),
        }
    }
}

/// Whatever the umask: a root owner fetches for another account.
fn open_to_all(path: &Path) -> Result<(), Error> {
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(path, mode).map_err(Error::file("open to all", path))
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", path)(source)),
        _ => Ok(()),
    }
}

fn missing(reason: &str, source: Option<Error>) -> Error {
    Error::NotInstalled { oldest: MAJOR_MIN, reason: reason.to_owned(), source: source.map(Box::new) }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
