//! Calls that fail on demand, who is told of calls, and the list of those that were made.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Shared;

/// Who is told of each call before it is made; an error is what the call fails with.
#[allow(unreachable_pub, reason = "public in builds with the feature `simulation`")]
pub type Hook = Arc<dyn Fn(Call) -> io::Result<()> + Send + Sync>;

/// The hook of a simulated disk, where it has one.
#[derive(Default)]
pub(super) struct HookPlace(Mutex<Option<Hook>>);

impl fmt::Debug for HookPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookPlace").finish_non_exhaustive()
    }
}

impl HookPlace {
    pub(super) fn set(&self, hook: Option<Hook>) {
        *self.0.lock() = hook;
    }

    /// Nothing is locked while the hook is asked, so that it can take an image of its disk.
    fn tell(&self, call: Call) -> io::Result<()> {
        let hook = self.0.lock().clone();
        hook.map_or(Ok(()), |hook| hook(call))
    }
}

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

/// A call that fails.
#[derive(Debug)]
pub(super) struct Failing {
    pub(super) error: io::Error,
    /// Whether a write has written the first half of its bytes.
    pub(super) half_written: bool,
}

impl Shared {
    /// How this call fails, if it does.
    pub(super) fn failing(&self, call: Call) -> Option<Failing> {
        if let Err(error) = self.hook.tell(call) {
            return Some(Failing { error, half_written: self.features.lock().tears_writes });
        }
        let fault = self.fault(call)?;
        Some(Failing { error: fault.error.into(), half_written: fault.half_written })
    }

    /// The fault that hits this call, if any.
    fn fault(&self, call: Call) -> Option<Fault> {
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

    /// Fails where this call does.
    pub(super) fn check(&self, call: Call) -> io::Result<()> {
        self.failing(call).map_or(Ok(()), |failing| Err(failing.error))
    }

    /// Adds to the trace.
    pub(super) fn record(&self, operation: impl FnOnce() -> Operation) {
        self.trace.lock().push(operation());
    }
}
