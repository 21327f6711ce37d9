//! A disk of which nothing is changed, whatever is tried: for those who read beside a process that writes, or from what cannot be
//! written to.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{DeviceRoom, Disk, DiskFile, FileIdentity, LockAttempt, OpenMode};

/// Another disk, of which files are only read.
#[derive(Debug)]
pub(crate) struct ReadOnlyDisk {
    disk: Arc<dyn Disk>,
}

impl ReadOnlyDisk {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> ReadOnlyDisk {
        ReadOnlyDisk { disk }
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for ReadOnlyDisk {
    fn create_directory(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        match mode {
            // What is opened so is not written to either: the system sees to that.
            OpenMode::ReadOnly => self.disk.open(path, mode),
            OpenMode::CreateNew | OpenMode::ReadWrite => refused(),
        }
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        refused()
    }

    fn link(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn keeps_allocations(&self, path: &Path) -> bool {
        self.disk.keeps_allocations(path)
    }

    fn room(&self, path: &Path) -> Option<DeviceRoom> {
        self.disk.room(path)
    }

    fn storage_waits(&self) -> u64 {
        self.disk.storage_waits()
    }

    fn storage_waits_here(&self) -> Option<u64> {
        self.disk.storage_waits_here()
    }

    fn lock(&self, _path: &Path) -> io::Result<LockAttempt> {
        refused()
    }

    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>> {
        self.disk.identity(path)
    }
}
