//! The Rust part of the demonstration: loads tens of thousands of real files into a database, each with its length and
//! checksum beside it, and reads some of them back. What it writes, the Python, Node and C parts go on with.
//!
//! # Layout
//! - [`sources`]: finds real files on this machine
//! - [`load`]: puts them into the database

mod load;
mod sources;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

/// Enough to see something, little enough to be done in seconds.
const FILES_MAX: usize = 40_000;
const TOTAL_BYTES_MAX: u64 = 512 << 20;

fn main() -> Result<()> {
    let directory: PathBuf =
        std::env::args_os().nth(1).context("usage: opendb-demo <directory of the database>")?.into();
    let mut limits = sources::Limits { files: FILES_MAX, total_bytes: TOTAL_BYTES_MAX };
    let mut files = Vec::new();
    for source in sources::all() {
        let count_before = files.len();
        sources::collect(&source, &mut limits, &mut files);
        let count = files.len() - count_before;
        if count > 0 {
            println!("  found {count} files in {}", source.directory.display());
        }
    }
    ensure!(
        !files.is_empty(),
        "no files were found to load: neither the cargo registry nor /usr/share/doc is there"
    );
    let database = opendb::OpenDB::open(&directory)?;
    let loaded = load::load(&database, &files)?;
    load::read_back(&database, &loaded)?;
    load::describe(&database)?;
    Ok(database.close()?)
}
