//! A private Postgres: finds the binaries (or fetches them), starts a server that only its owner
//! can reach, and takes it away when the owner ends.
//!
//! The server listens on a Unix socket in a directory of its own under `/tmp`, so two clusters
//! never meet on a port. Its parent is a *leash*, a small shell script that waits for the end of a
//! pipe whose other end only the owner holds: however the owner ends, SIGKILL included, the kernel
//! closes the pipe and the leash stops the server and removes what is temporary. No destructor has
//! to run for that.
//!
//! Postgres refuses to run as root. A root owner therefore gives the leash and the server the
//! account `postgres` (or `nobody` where there is none) and keeps the data under `/var/tmp`.

mod account;
mod archive;
mod cluster;
mod error;
mod fetch;
mod find;
mod leash;
mod place;
mod settings;
mod stale;

pub use cluster::Cluster;
pub use error::Error;
pub use settings::{Home, Options};
