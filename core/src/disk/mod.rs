//! The operating system, behind one small trait: everything the log asks of a directory and its files.
//!
//! There are two implementations. `UnixDisk` is the real one. `SimulatedDisk` keeps files in memory, knows what a
//! power cut would leave of them and fails any call on demand; it is there for tests and runs under miri.
//!
//! Nothing here knows of formats, and nothing retries: an error is handed up as the system gave it.

mod fork;
#[cfg(feature = "simulation")]
mod hooked;
mod lock;
mod map;
mod priority;
mod read_only;
#[cfg(any(test, feature = "simulation"))]
mod simulated;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(unix)]
mod unix;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub(crate) use fork::{PerProcess, generation};
#[cfg(feature = "simulation")]
pub(crate) use hooked::Hooked;
pub(crate) use lock::{DirectoryLock, LOCK_FILE_NAME};
pub(crate) use map::Map;
pub(crate) use priority::let_others_go_first;
pub(crate) use read_only::ReadOnlyDisk;
#[cfg(test)]
pub(crate) use simulated::Operation;
#[cfg(feature = "simulation")]
pub use simulated::{Call, Fault, Hook, SimulatedDisk};
#[cfg(all(test, not(feature = "simulation")))]
pub(crate) use simulated::{Call, Fault, SimulatedDisk};
#[cfg(unix)]
pub(crate) use unix::UnixDisk;

/// A directory tree and the calls that change it.
///
/// A creation, rename or removal is durable only after [`Disk::sync_directory`] of the directory it happened in.
pub(crate) trait Disk: Send + Sync + fmt::Debug {
    /// Creates a directory for its owner alone (mode 0700), with the parents that are missing. Fine if it is there.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes the entries of a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Names of the entries of a directory, in no order. Names that are not UTF-8 are none of ours and are left out.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Opens a regular file. A symbolic link, a directory or a device in its place is an error.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name, atomically: whoever opens `to` gets the old file or the new one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file one more name. An error where there is a file of that name, where the two places are on different
    /// filesystems, and where files have one name only.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Whether the filesystem of `path` keeps the room that [`DiskFile::allocate`] promised, so that a store into a
    /// map of the file cannot meet a full device. Where that is not known the answer is no.
    fn keeps_allocations(&self, path: &Path) -> bool;

    /// How much room there is where this directory is; `None` where that is not known.
    fn room(&self, _path: &Path) -> Option<DeviceRoom> {
        None
    }

    /// How often this process has had to wait for storage to bring a page, since it began. 0 where that is not known.
    fn storage_waits(&self) -> u64 {
        0
    }

    /// The same of the calling thread; `None` where that is not known.
    fn storage_waits_here(&self) -> Option<u64> {
        None
    }

    /// Tries to take the lock that the file at `path` stands for, and never waits. The file is created if it is
    /// missing and is never removed. The holder's process id stands in it as decimal text.
    fn lock(&self, path: &Path) -> io::Result<LockAttempt>;

    /// What names the file that has this path now; `None` where there is none.
    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>>;
}

/// One open file. Closed when dropped.
pub(crate) trait DiskFile: Send + Sync + fmt::Debug {
    /// Reads from a place; fewer bytes than asked for only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at a place. After an error any part of them may be there.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// What names the file for as long as it is open.
    fn identity(&self) -> io::Result<FileIdentity>;

    /// Length of the file now.
    fn length(&self) -> io::Result<u64>;

    /// Cuts the file, or extends it with a hole.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Makes the file at least `length` bytes long with room on the device for all of them; what is new reads as
    /// zeros. A full device is an error here and not later. Bytes that are there stay as they are.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// Makes the bytes of the file durable, those stored through maps of it included. After an error nobody knows
    /// which of them are; a later success says nothing about them.
    fn sync(&self) -> io::Result<()>;

    /// Writes what is in these bytes of the file to the device and waits for that. They are not durable by it, but a sync that
    /// follows has less to do, and reads of others come between two such calls, while a sync of much lets none of them pass. An error
    /// is one of a sync: it is told once, here or there.
    fn write_out(&self, _offset: u64, _length: u64) -> io::Result<()> {
        Ok(())
    }

    /// Brings the [`LARGE_PAGE_BYTES`] from a multiple of them on into the system's cache, as one page that maps have as one, where the
    /// system has such pages of files. Best effort: what is in the cache in smaller pages stays so.
    fn cache_in_one_page(&self, _offset: u64) {}

    /// Says, for as long as the file is open, that somebody may touch any byte of it. Best effort.
    fn hold(&self) {}

    /// Runs `work` if nobody but this holds the file: no other open file in this process, in another one, or in a child of a
    /// fork. Nobody comes to hold it meanwhile.
    fn if_nobody_else_holds(&self, work: &mut dyn FnMut()) {
        work();
    }

    /// A shared mapping of the first `length` bytes, which the file must have. [`io::ErrorKind::Unsupported`] where
    /// files cannot be mapped.
    fn map(&self, length: usize, writable: bool) -> io::Result<Map>;
}

/// What the processor can have as one page, where the usual ones are of 4 KiB.
pub(crate) const LARGE_PAGE_BYTES: u64 = if cfg!(test) { 16 << 10 } else { 2 << 20 };

/// What names a file or directory for as long as somebody has it open: its device and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileIdentity {
    device: u64,
    inode: u64,
}

/// Bytes of a filesystem, or of what of it one may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeviceRoom {
    pub(crate) all: u64,
    pub(crate) free: u64,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenMode {
    /// A new file for its owner alone (mode 0600), for reading and writing. An error where there is one already.
    CreateNew,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// An existing file, for reading.
    ReadOnly,
}

/// What came of an attempt to lock.
#[derive(Debug)]
pub(crate) enum LockAttempt {
    /// The lock is ours until this is dropped.
    Held(Box<dyn HeldLock>),
    /// Somebody else has it: the process with this id, where it could be read.
    Busy(Option<u32>),
}

/// A lock that is held. Dropping it gives it back, except in the child of a fork: the lock is the parent's there.
pub(crate) trait HeldLock: Send + Sync + fmt::Debug {
    /// What names the file that is locked. Where another one has its name, somebody else may have locked that.
    fn identity(&self) -> FileIdentity;
}
