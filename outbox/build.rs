//! The migrations are compiled in, so a new one must rebuild the crate; and the newest one is the schema that the binary is
//! written for.

use std::io::{Error, Result};

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=../migrations");
    let mut newest = 0;
    for file in std::fs::read_dir("../migrations")? {
        let name = file?.file_name();
        let number =
            name.to_str().and_then(|name| name.split_once('_')).and_then(|(number, _)| number.parse::<i32>().ok());
        newest = number.ok_or_else(|| Error::other(format!("{} has no number", name.display())))?.max(newest);
    }
    println!("cargo:rustc-env=HOLDFAST_SCHEMA={newest}");
    Ok(())
}
