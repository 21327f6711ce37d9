//! What a killed process leaves.

use std::path::Path;
use std::{fs, io};

use opendb_tests::place;
use tempfile::TempDir;

/// Copies the directory of a database as a process that was killed at this moment would have left it. Nobody may write
/// meanwhile; what the background does at rest is allowed for.
pub(crate) fn killed(directory: &Path) -> TempDir {
    loop {
        let copy = place::in_memory().unwrap();
        if copied_at_one_moment(directory, copy.path()).unwrap() {
            return copy;
        }
    }
}

/// Copies the manifest and the segments, and tells whether one manifest stood all the while. A file is removed only after
/// a manifest that does not name it, so then all that it names is there; a segment that is added later belongs to the next.
fn copied_at_one_moment(directory: &Path, copy: &Path) -> io::Result<bool> {
    let manifest = fs::read(directory.join("MANIFEST"))?;
    fs::write(copy.join("MANIFEST"), &manifest)?;
    for path in place::files(directory)? {
        if path.extension().is_some_and(|extension| extension == "segment") {
            match fs::copy(&path, copy.join(path.file_name().unwrap())) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                copied => copied?,
            };
        }
    }
    Ok(fs::read(directory.join("MANIFEST"))? == manifest)
}
