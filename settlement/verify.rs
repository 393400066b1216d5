//! The integrity checks.
