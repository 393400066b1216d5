#![allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the server of a test ends with its runtime")]

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Error, cached, client, install};
use crate::account::Account;
use crate::archive::Archive;
use crate::find::{Binaries, Version};

const NAME: &str = "postgresql-18.4.0-test";

/// A web server on the loopback that answers each path with a fixed response.
struct Web {
    base: String,
    asked: Arc<AtomicUsize>,
}

impl Web {
    async fn new(pages: impl Fn(&str) -> HashMap<String, Vec<u8>>) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let pages = Arc::new(pages(&base));
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer(stream, Arc::clone(&pages)));
            }
        });
        Web { base, asked }
    }

    fn archive(&self, sha256: &str, paths: &[&str]) -> Archive {
        Archive {
            name: NAME.to_owned(),
            sha256: sha256.to_owned(),
            urls: paths.iter().map(|path| format!("{}{path}", self.base)).collect(),
        }
    }
}

async fn answer(mut stream: TcpStream, pages: Arc<HashMap<String, Vec<u8>>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap();
    let missing = head("404 Not Found", "", 0);
    stream.write_all(pages.get(path).unwrap_or(&missing)).await.unwrap();
}

fn head(status: &str, header: &str, length: usize) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\n{header}Content-Length: {length}\r\n\r\n").into_bytes()
}

fn page(body: &[u8]) -> Vec<u8> {
    let mut page = head("200 OK", "", body.len());
    page.extend_from_slice(body);
    page
}

fn elsewhere(url: &str) -> Vec<u8> {
    head("302 Found", &format!("Location: {url}\r\n"), 0)
}

/// An archive whose programs are scripts that know their version.
fn tarball() -> (Vec<u8>, String) {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for program in ["initdb", "postgres"] {
        let text = format!("#!/bin/sh\necho '{program} (PostgreSQL) 18.4'\n");
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(text.len()).unwrap());
        header.set_mode(0o777);
        let path = format!("{NAME}/bin/{program}");
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    let mut gzip = tar.into_inner().unwrap();
    gzip.flush().unwrap();
    let bytes = gzip.finish().unwrap();
    let sha256 = hex::encode(Sha256::digest(&bytes));
    (bytes, sha256)
}

/// A cache that is gone after the test.
struct Cache(PathBuf);

impl Cache {
    fn new(test: &str) -> Cache {
        let name = format!("holdfast-fetch-{test}-{}", std::process::id());
        Cache(std::env::temp_dir().join(name))
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

async fn fetch(archive: &Archive, cache: &Path) -> Result<Binaries, Error> {
    let account = Account::choose().unwrap();
    install(archive, cache, &client(false).unwrap(), account, false).await
}

/// What stands in the cache when a download was refused: nothing that could be taken for binaries.
async fn refused(archive: &Archive, cache: &Cache) -> Error {
    let error = fetch(archive, &cache.0).await.unwrap_err();
    let account = Account::choose().unwrap();
    assert_eq!(cached(&cache.0, None, account).await.unwrap(), None);
    assert!(!cache.0.join("partial").exists());
    for command in ["apt-get install", "dnf install", "brew install"] {
        assert!(error.to_string().contains(command), "{error}");
    }
    match error {
        Error::NotInstalled { source: Some(source), .. } => *source,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_redirect_and_a_second_source_lead_to_binaries_that_run() {
    let (bytes, sha256) = tarball();
    let web = Web::new(|base| {
        HashMap::from([
            ("/second".to_owned(), elsewhere(&format!("{base}/store"))),
            ("/store".to_owned(), page(&bytes)),
        ])
    })
    .await;
    let cache = Cache::new("second");
    let archive = web.archive(&sha256, &["/gone", "/second"]);

    let binaries = fetch(&archive, &cache.0).await.unwrap();
    let version = Version { major: 18, minor: 4 };
    assert_eq!(binaries.version, version);
    let mode = fs::metadata(&binaries.postgres).unwrap().mode();
    assert_eq!(mode & 0o777, 0o755, "only its owner may change it");
    assert!(!cache.0.join("partial").exists());

    let asked = web.asked.load(Ordering::SeqCst);
    assert_eq!(fetch(&archive, &cache.0).await.unwrap(), binaries);
    assert_eq!(web.asked.load(Ordering::SeqCst), asked, "the cache serves");
    let account = Account::choose().unwrap();
    let found = cached(&cache.0, Some(18), account).await.unwrap();
    assert_eq!(found, Some(binaries));
    assert_eq!(cached(&cache.0, Some(17), account).await.unwrap(), None);
}

#[tokio::test]
async fn two_at_once_download_once() {
    let (bytes, sha256) = tarball();
    let web = Web::new(|_| HashMap::from([("/a".to_owned(), page(&bytes))])).await;
    let cache = Cache::new("once");
    let archive = web.archive(&sha256, &["/a"]);
    let (one, two) = tokio::join!(fetch(&archive, &cache.0), fetch(&archive, &cache.0));
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(web.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn another_hash_is_refused_and_a_later_attempt_works() {
    let (bytes, sha256) = tarball();
    let mut forged = bytes.clone();
    forged.push(0);
    let web =
        Web::new(|_| HashMap::from([("/forged".to_owned(), page(&forged)), ("/true".to_owned(), page(&bytes))])).await;
    let cache = Cache::new("hash");
    let error = refused(&web.archive(&sha256, &["/forged"]), &cache).await;
    assert!(matches!(error, Error::Checksum { .. }), "{error:?}");
    fetch(&web.archive(&sha256, &["/true"]), &cache.0).await.unwrap();
}

#[tokio::test]
async fn an_endless_redirect_ends() {
    let web = Web::new(|base| HashMap::from([("/loop".to_owned(), elsewhere(&format!("{base}/loop")))])).await;
    let cache = Cache::new("loop");
    let error = refused(&web.archive("00", &["/loop"]), &cache).await;
    assert!(matches!(error, Error::Download { .. }), "{error:?}");
    assert_eq!(web.asked.load(Ordering::SeqCst), super::REDIRECTS_MAX + 1);
}

#[tokio::test]
async fn the_real_client_does_not_speak_plain_http() {
    let (bytes, sha256) = tarball();
    let web = Web::new(|_| HashMap::from([("/a".to_owned(), page(&bytes))])).await;
    let cache = Cache::new("plain");
    let archive = web.archive(&sha256, &["/a"]);
    let account = Account::choose().unwrap();
    let client = client(true).unwrap();
    let fetched = install(&archive, &cache.0, &client, account, false).await;
    assert!(matches!(fetched, Err(Error::NotInstalled { source: Some(_), .. })));
    assert_eq!(web.asked.load(Ordering::SeqCst), 0);
}
