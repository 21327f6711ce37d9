//! A disk of which every call is told to somebody before it is made, who may have it fail.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Call, DeviceRoom, Disk, DiskFile, FileIdentity, Hook, LockAttempt, Map, OpenMode};

/// The disk behind it, with the hook. Populating pages of a map, and stores, are no calls here.
pub(crate) struct Hooked<D> {
    inner: D,
    hook: Hook,
}

/// A file of such a disk.
type HookedFile = Hooked<Arc<dyn DiskFile>>;

impl<D> Hooked<D> {
    pub(crate) fn new(inner: D, hook: Hook) -> Hooked<D> {
        Hooked { inner, hook }
    }

    fn tell(&self, call: Call) -> io::Result<()> {
        (self.hook)(call)
    }
}

impl<D: fmt::Debug> fmt::Debug for Hooked<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooked").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<D: Disk> Disk for Hooked<D> {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.tell(Call::CreateDirectory)?;
        self.inner.create_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.tell(Call::SyncDirectory)?;
        self.inner.sync_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.tell(Call::List)?;
        self.inner.list(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.tell(if mode == OpenMode::CreateNew { Call::Create } else { Call::Open })?;
        let file = self.inner.open(path, mode)?;
        Ok(Arc::new(HookedFile::new(file, Arc::clone(&self.hook))))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.tell(Call::Rename)?;
        self.inner.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.tell(Call::Link)?;
        self.inner.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.tell(Call::Remove)?;
        self.inner.remove(path)
    }

    fn keeps_allocations(&self, path: &Path) -> bool {
        self.inner.keeps_allocations(path)
    }

    fn room(&self, path: &Path) -> Option<DeviceRoom> {
        self.inner.room(path)
    }

    fn storage_waits(&self) -> u64 {
        self.inner.storage_waits()
    }

    fn storage_waits_here(&self) -> Option<u64> {
        self.inner.storage_waits_here()
    }

    fn lock(&self, path: &Path) -> io::Result<LockAttempt> {
        self.tell(Call::Lock)?;
        self.inner.lock(path)
    }

    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>> {
        self.inner.identity(path)
    }
}

impl DiskFile for HookedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.tell(Call::Read)?;
        self.inner.read_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.tell(Call::Write)?;
        self.inner.write_all_at(bytes, offset)
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        self.inner.identity()
    }

    fn length(&self) -> io::Result<u64> {
        self.tell(Call::Length)?;
        self.inner.length()
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.tell(Call::SetLength)?;
        self.inner.set_length(length)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.tell(Call::Allocate)?;
        self.inner.allocate(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.tell(Call::Sync)?;
        self.inner.sync()
    }

    fn write_out(&self, offset: u64, length: u64) -> io::Result<()> {
        self.tell(Call::Sync)?;
        self.inner.write_out(offset, length)
    }

    fn cache_in_one_page(&self, offset: u64) {
        self.inner.cache_in_one_page(offset);
    }

    fn hold(&self) {
        self.inner.hold();
    }

    fn if_nobody_else_holds(&self, work: &mut dyn FnMut()) {
        self.inner.if_nobody_else_holds(work);
    }

    fn map(&self, length: usize, writable: bool) -> io::Result<Map> {
        self.tell(Call::Map)?;
        self.inner.map(length, writable)
    }
}
