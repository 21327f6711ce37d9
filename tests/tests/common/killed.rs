//! What a killed process leaves.

use std::path::Path;

use opendb_tests::place;
use tempfile::TempDir;

/// Copies the directory of a database as a process that was killed at this moment would have left it. Nobody may write
/// meanwhile.
pub(crate) fn killed(directory: &Path) -> TempDir {
    let copy = place::in_memory().unwrap();
    let name = |path: &Path| copy.path().join(path.file_name().unwrap());
    // The manifest goes first, since the background may add a segment, and then a manifest that names it.
    let manifest = directory.join("MANIFEST");
    std::fs::copy(&manifest, name(&manifest)).unwrap();
    for path in place::files(directory).unwrap() {
        if path.extension().is_some_and(|extension| extension == "segment") {
            std::fs::copy(&path, name(&path)).unwrap();
        }
    }
    copy
}
