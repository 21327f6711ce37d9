//! The lock on a database's directory: one writing process at a time.

use std::path::Path;
use std::process;
use std::sync::Arc;

use super::{Disk, FileIdentity, HeldLock, LockAttempt};
use crate::error::{Error, Result};

/// Name of the lock file. It is never removed: a process that had opened the removed file would hold a lock that
/// nobody else sees.
pub(crate) const LOCK_FILE_NAME: &str = "LOCK";

/// The right to write in a directory. Dropping it gives the right back; the end of the process does too.
///
/// A child of a fork shares the open file with its parent, so it neither gives back the parent's lock when it drops
/// its copy, nor lets go of a lock whose holder has died while the child still runs.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    held: Box<dyn HeldLock>,
}

impl DirectoryLock {
    /// What names the lock file.
    pub(crate) fn identity(&self) -> FileIdentity {
        self.held.identity()
    }

    /// Takes the lock of `directory`, which must exist, without waiting. [`Error::Locked`] when another holds it.
    pub(crate) fn acquire(disk: &Arc<dyn Disk>, directory: &Path) -> Result<DirectoryLock> {
        let path = directory.join(LOCK_FILE_NAME);
        match disk.lock(&path) {
            Ok(LockAttempt::Held(held)) => Ok(DirectoryLock { held }),
            Ok(LockAttempt::Busy(holder)) => Err(Error::Locked(busy_message(directory, holder))),
            Err(source) => Err(Error::io(format!("locking {}", path.display()), source)),
        }
    }
}

/// Names the directory, the holder and the way out.
fn busy_message(directory: &Path, holder: Option<u32>) -> String {
    let directory = directory.display();
    match holder {
        Some(id) if id == process::id() => {
            format!("{directory} is already open for writing in this process ({id}): close it first")
        }
        Some(id) => format!(
            "{directory} is open for writing in process {id}: close the database there, or wait for that process \
             to end, and open it again"
        ),
        None => format!(
            "{directory} is open for writing in another process: close the database there, or wait for that \
             process to end, and open it again"
        ),
    }
}
