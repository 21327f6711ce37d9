//! Directories for tests.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Outcome;

/// A fresh directory on the machine's usual temporary place, removed when dropped.
///
/// # Errors
/// The directory cannot be made.
pub fn temporary() -> Outcome<TempDir> {
    Ok(tempfile::Builder::new().prefix("opendb-tests-").tempdir()?)
}

/// A fresh directory in memory where the machine has such a place (`/dev/shm`), otherwise the same as [`temporary`]:
/// for tests that make thousands of databases, and for the mapped way to append, which wants a filesystem that keeps
/// the room it promised.
///
/// # Errors
/// The directory cannot be made.
pub fn in_memory() -> Outcome<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        return Ok(tempfile::Builder::new().prefix("opendb-tests-").tempdir_in(memory)?);
    }
    temporary()
}

/// The files of a directory (it has no subdirectories), sorted by name.
///
/// # Errors
/// The directory cannot be read.
pub fn files(directory: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
