//! Calls that fail on demand, and the list of those that were made.

use std::io;
use std::path::PathBuf;

use super::Shared;

/// The kinds of calls that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Creating a directory.
    CreateDirectory,
    /// Syncing a directory.
    SyncDirectory,
    /// Listing a directory.
    List,
    /// Creating a file.
    Create,
    /// Opening a file that is there.
    Open,
    /// Renaming a file.
    Rename,
    /// Giving a file one more name.
    Link,
    /// Removing a file.
    Remove,
    /// Taking the lock.
    Lock,
    /// Reading from a file.
    Read,
    /// Writing to a file.
    Write,
    /// Asking for a file's length.
    Length,
    /// Cutting or extending a file.
    SetLength,
    /// Allocating room.
    Allocate,
    /// Syncing a file, or writing a part of it out.
    Sync,
    /// Mapping a file.
    Map,
    /// Populating pages of a map.
    Populate,
}

/// A call that is going to fail.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// Which kind of call; `None` means any.
    pub call: Option<Call>,
    /// How many such calls succeed before. The one after them fails, and the fault is spent.
    pub after: u64,
    /// What the call fails with.
    pub error: io::ErrorKind,
    /// Whether a write that fails has written the first half of its bytes.
    pub half_written: bool,
}

impl Fault {
    /// The next call of this kind fails.
    #[must_use]
    pub fn next(call: Call, error: io::ErrorKind) -> Fault {
        Fault { call: Some(call), after: 0, error, half_written: false }
    }

    /// The call after so many, of whatever kind, fails.
    #[must_use]
    pub fn any_after(after: u64, error: io::ErrorKind) -> Fault {
        Fault { call: None, after, error, half_written: false }
    }
}

/// Something that was done to the disk: which file, then offset and length in bytes where it has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A directory was created.
    CreateDirectory(PathBuf),
    /// A directory was synced.
    SyncDirectory(PathBuf),
    /// A file was created.
    Create(PathBuf),
    /// A file was renamed, from, to.
    Rename(PathBuf, PathBuf),
    /// A file was given one more name: from, to.
    Link(PathBuf, PathBuf),
    /// A file was removed.
    Remove(PathBuf),
    /// Bytes were written: offset, length.
    Write(PathBuf, u64, u64),
    /// Bytes were stored through a map: offset, length.
    Store(PathBuf, u64, u64),
    /// A file was cut or extended: length.
    SetLength(PathBuf, u64),
    /// Room was allocated: length.
    Allocate(PathBuf, u64),
    /// A file was synced.
    Sync(PathBuf),
}

impl Shared {
    /// The fault that hits this call, if any.
    pub(super) fn fault(&self, call: Call) -> Option<Fault> {
        let mut faults = self.faults.lock();
        let mut hit = None;
        faults.retain_mut(|fault| {
            if hit.is_some() || fault.call.is_some_and(|kind| kind != call) {
                return true;
            }
            if fault.after > 0 {
                fault.after -= 1;
                return true;
            }
            hit = Some(*fault);
            false
        });
        hit
    }

    /// Fails where a fault hits this call.
    pub(super) fn check(&self, call: Call) -> io::Result<()> {
        match self.fault(call) {
            Some(fault) => Err(fault.error.into()),
            None => Ok(()),
        }
    }

    /// Adds to the trace.
    pub(super) fn record(&self, operation: impl FnOnce() -> Operation) {
        self.trace.lock().push(operation());
    }
}
