//! The real disk: files of a Unix system.
#![allow(unsafe_code)] // System calls that neither the standard library nor rustix has a name for.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
use std::os::fd::AsRawFd;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use memmap2::MmapOptions;
#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::fs::StatxFlags;
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags};

use super::fork::ClosedInChildren;
#[cfg(target_os = "linux")]
use super::map::cache_in_one_page;
use super::{DeviceRoom, Disk, DiskFile, FileIdentity, HeldLock, LockAttempt, Map, OpenMode, generation};
use crate::error::is_full;

/// How much is written at once where room has to be made by writing zeros.
const ZERO_FILL_BYTES: usize = 64 << 10;

impl FileIdentity {
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss)] // the widths and signs differ between systems
    fn of(stat: &rustix::fs::Stat) -> FileIdentity {
        FileIdentity { device: stat.st_dev as u64, inode: stat.st_ino as u64 }
    }
}

/// The filesystems of this machine.
///
/// One directory can be *held*: the names in it are then looked up in the directory that was there when it was
/// opened, wherever it is moved meanwhile and whatever else has taken its path.
#[derive(Debug, Default)]
pub(crate) struct UnixDisk {
    held: Option<HeldDirectory>,
}

#[derive(Debug)]
struct HeldDirectory {
    directory: File,
    path: PathBuf,
}

impl UnixDisk {
    /// The filesystems of this machine with this directory held, and what names it.
    pub(crate) fn holding(path: PathBuf) -> io::Result<(UnixDisk, FileIdentity)> {
        let directory = open_directory(CWD, &path)?;
        let identity = FileIdentity::of(&rustix::fs::fstat(&directory)?);
        Ok((UnixDisk { held: Some(HeldDirectory { directory, path }) }, identity))
    }

    /// Where to look a path up: by its name in the directory that is held, or as it is.
    fn place<'a>(&'a self, path: &'a Path) -> (BorrowedFd<'a>, &'a Path) {
        match (&self.held, path.file_name()) {
            (Some(held), Some(name)) if path.parent() == Some(&held.path) => {
                (held.directory.as_fd(), Path::new(name))
            }
            _ => (CWD, path),
        }
    }

    fn open_file(&self, path: &Path, flags: OFlags) -> io::Result<File> {
        let (directory, name) = self.place(path);
        open_regular(directory, name, flags)
    }

    fn directory(&self, path: &Path) -> io::Result<File> {
        match &self.held {
            // Opened anew, because what one reads of a directory goes on where the last one who read it stopped.
            Some(held) if held.path == path => open_directory(held.directory.as_fd(), Path::new(".")),
            _ => open_directory(CWD, path),
        }
    }
}

/// Pages that had to be brought from storage, of the process or of the thread.
fn major_faults(of: libc::c_int) -> Option<u64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a whole `rusage`, which the call fills and does not keep.
    if unsafe { libc::getrusage(of, usage.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: it was zeroed, which is a valid `rusage`, and then filled.
    let usage = unsafe { usage.assume_init() };
    u64::try_from(usage.ru_majflt).ok()
}

impl Disk for UnixDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let synced = match &self.held {
            // Needs no descriptor: where all are taken by segments this must not fail for want of one.
            Some(held) if held.path == path => held.directory.sync_all(),
            _ => open_directory(CWD, path)?.sync_all(),
        };
        match synced {
            // Some network and FUSE filesystems have no sync of a directory: entries are durable there when the call
            // that made them returns, or never will be, and no call of ours changes that.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOTSUP)) => Ok(()),
            other => other,
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::new(self.directory(path)?)? {
            let name = entry?.file_name().to_str().map(str::to_owned);
            names.extend(name.ok().filter(|name| name != "." && name != ".."));
        }
        Ok(names)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let flags = match mode {
            OpenMode::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
            OpenMode::ReadWrite => OFlags::RDWR,
            OpenMode::ReadOnly => OFlags::RDONLY,
        };
        Ok(Arc::new(UnixFile { file: self.open_file(path, flags)? }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((from_directory, from), (to_directory, to)) = (self.place(from), self.place(to));
        Ok(rustix::fs::renameat(from_directory, from, to_directory, to)?)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((from_directory, from), (to_directory, to)) = (self.place(from), self.place(to));
        Ok(rustix::fs::linkat(from_directory, from, to_directory, to, AtFlags::empty())?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (directory, name) = self.place(path);
        Ok(rustix::fs::unlinkat(directory, name, AtFlags::empty())?)
    }

    fn keeps_allocations(&self, path: &Path) -> bool {
        self.directory(path).is_ok_and(|directory| keeps_allocations(&directory))
    }

    fn room(&self, path: &Path) -> Option<DeviceRoom> {
        let answer = rustix::fs::fstatvfs(&self.directory(path).ok()?).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(answer.f_frsize);
        // Some network and FUSE filesystems answer with zeros.
        (answer.f_blocks > 0)
            .then(|| DeviceRoom { all: bytes(answer.f_blocks), free: bytes(answer.f_bavail) })
    }

    fn storage_waits(&self) -> u64 {
        major_faults(libc::RUSAGE_SELF).unwrap_or(0)
    }

    #[cfg(target_os = "linux")]
    fn storage_waits_here(&self) -> Option<u64> {
        major_faults(libc::RUSAGE_THREAD)
    }

    fn lock(&self, path: &Path) -> io::Result<LockAttempt> {
        // Not truncated: the text in it is the holder's, which may be somebody else.
        let file = self.open_file(path, OFlags::RDWR | OFlags::CREATE)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(LockAttempt::Busy(read_process(&file))),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let identity = FileIdentity::of(&rustix::fs::fstat(&file)?);
        // From here on the guard gives the lock back, also when the id cannot be written.
        let closed_in_children = ClosedInChildren::register(&file);
        let held = FileLock { file: Some(file), identity, closed_in_children, generation: generation() };
        held.write_process()?;
        Ok(LockAttempt::Held(Box::new(held)))
    }

    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>> {
        let (directory, name) = self.place(path);
        match identity_at(directory, name) {
            Ok(identity) => Ok(Some(identity)),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// What names a file. Its times are not asked for: Linux from 6.13 on gives who has asked a new one with the next write, and on ext4 each
/// sync then writes the inode as well, which takes as long as the data.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn identity_at(directory: BorrowedFd<'_>, name: &Path) -> rustix::io::Result<FileIdentity> {
    match rustix::fs::statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO) {
        Ok(stat) => Ok(FileIdentity {
            device: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
        }),
        // A kernel before 4.11, or a sandbox that knows no such call.
        Err(rustix::io::Errno::NOSYS) => stat_at(directory, name),
        Err(error) => Err(error),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn identity_at(directory: BorrowedFd<'_>, name: &Path) -> rustix::io::Result<FileIdentity> {
    stat_at(directory, name)
}

fn stat_at(directory: BorrowedFd<'_>, name: &Path) -> rustix::io::Result<FileIdentity> {
    Ok(FileIdentity::of(&rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?))
}

fn open_directory(at: BorrowedFd<'_>, path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(at, path, flags, Mode::empty())?))
}

/// Opens a regular file: closed on `exec`, for its owner alone when it is new, and never through a symbolic link.
fn open_regular(at: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<File> {
    // Not blocking, so that a pipe in the file's place is refused below instead of being waited for. It means
    // nothing for regular files.
    let always = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::openat(at, path, flags | always, Mode::RUSR | Mode::WUSR)?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// The process id that stands in a lock file.
fn read_process(file: &File) -> Option<u32> {
    let mut buffer = [0; 16];
    let length = file.read_at(&mut buffer, 0).ok()?;
    std::str::from_utf8(buffer.get(..length)?).ok()?.lines().next()?.trim().parse().ok()
}

/// A held `flock`.
#[derive(Debug)]
struct FileLock {
    /// There until this is dropped.
    file: Option<File>,
    identity: FileIdentity,
    closed_in_children: Option<ClosedInChildren>,
    generation: u64,
}

impl FileLock {
    /// Writes down who holds the lock. That is for people only, so a full device does not matter.
    fn write_process(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let text = format!("{}\n", process::id());
        // Written first and cut after, so that nobody finds the file empty.
        match file.write_all_at(text.as_bytes(), 0).and_then(|()| file.set_len(text.len() as u64)) {
            Err(error) if is_full(&error) => Ok(()),
            other => other,
        }
    }
}

impl HeldLock for FileLock {
    fn identity(&self) -> FileIdentity {
        self.identity
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        let closed_in_children = self.closed_in_children.take();
        if self.generation == generation() {
            // Before the file is closed: its descriptor may be another file's right after.
            drop(closed_in_children);
            // A child that was forked at a bad moment may still have the file open, so the lock is given back by name.
            let _closing_does_it_too = file.unlock();
        } else if closed_in_children.is_some() {
            // This is the child of a fork: the descriptor was closed when it came to life, and may be another file's.
            let _not_ours = file.into_raw_fd();
        }
        // Otherwise it is closed here. Closing the child's copy does not unlock the parent's.
    }
}

#[derive(Debug)]
struct UnixFile {
    file: File,
}

impl DiskFile for UnixFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        Ok(FileIdentity::of(&rustix::fs::fstat(&self.file)?))
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        if length == 0 || allocate_extents(&self.file, length)? {
            return Ok(());
        }
        let present = self.length()?;
        zero_fill(&self.file, present, length)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn write_out(&self, offset: u64, length: u64) -> io::Result<()> {
        const ALL: libc::c_uint = libc::SYNC_FILE_RANGE_WAIT_BEFORE
            | libc::SYNC_FILE_RANGE_WRITE
            | libc::SYNC_FILE_RANGE_WAIT_AFTER;
        let (Ok(offset), Ok(length)) = (offset.try_into(), length.try_into()) else { return Ok(()) };
        // SAFETY: the descriptor is open for as long as `self`, and the call takes numbers only.
        if unsafe { libc::sync_file_range(self.file.as_raw_fd(), offset, length, ALL) } == 0 {
            return Ok(());
        }
        match io::Error::last_os_error() {
            // Nothing was begun. The sync does all of it.
            error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL | libc::ESPIPE)) => {
                Ok(())
            }
            error => Err(error),
        }
    }

    #[cfg(target_os = "linux")]
    fn cache_in_one_page(&self, offset: u64) {
        let _best_effort = cache_in_one_page(&self.file, offset);
    }

    fn hold(&self) {
        let _best_effort = self.file.try_lock_shared();
    }

    fn if_nobody_else_holds(&self, work: &mut dyn FnMut()) {
        if self.file.try_lock().is_ok() {
            work();
        }
        // Shared again; also where the attempt failed, since it may have given up what was held before.
        self.hold();
    }

    fn map(&self, length: usize, writable: bool) -> io::Result<Map> {
        // A page that the file does not reach would raise SIGBUS when touched.
        if length == 0 || self.length()? < length as u64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the file does not reach as far as the map",
            ));
        }
        let mut options = MmapOptions::new();
        options.len(length);
        let map = if writable { options.map_raw(&self.file) } else { options.map_raw_read_only(&self.file) };
        match map {
            Ok(map) => Ok(Map::system(map, writable)),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
                Err(io::Error::new(io::ErrorKind::Unsupported, error))
            }
            Err(error) => Err(error),
        }
    }
}

/// Writes zeros from `from` up to `to`: room that every filesystem understands, short of those that copy on write.
fn zero_fill(file: &File, from: u64, to: u64) -> io::Result<()> {
    let zeros = [0; ZERO_FILL_BYTES];
    let mut at = from;
    while at < to {
        let count = usize::try_from(to - at).unwrap_or(usize::MAX).min(ZERO_FILL_BYTES);
        file.write_all_at(zeros.get(..count).unwrap_or_default(), at)?;
        at += count as u64;
    }
    Ok(())
}

/// Asks the filesystem for the room and the length at once; false where it has no such call.
#[cfg(target_os = "linux")]
fn allocate_extents(file: &File, length: u64) -> io::Result<bool> {
    use rustix::io::Errno;
    loop {
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, length) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Asks for the room, so that a full device is met before the zeros are written; always false, because only written
/// bytes are really there on this system.
#[cfg(target_os = "macos")]
fn allocate_extents(file: &File, length: u64) -> io::Result<bool> {
    let present = file.metadata()?.len();
    let Some(missing) = length.checked_sub(present).filter(|missing| *missing > 0) else {
        return Ok(true);
    };
    let mut request = libc::fstore_t {
        fst_flags: libc::F_ALLOCATEALL,
        fst_posmode: libc::F_PEOFPOSMODE,
        fst_offset: 0,
        fst_length: libc::off_t::try_from(missing)
            .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?,
        fst_bytesalloc: 0,
    };
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and `request` is the structure that this
    // command reads and writes; it lives past the call.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_PREALLOCATE, &raw mut request) } == -1 {
        let error = io::Error::last_os_error();
        if !matches!(error.raw_os_error(), Some(libc::ENOTSUP | libc::EINVAL)) {
            return Err(error);
        }
    }
    Ok(false)
}

/// Other systems have no call that every filesystem of theirs keeps to.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn allocate_extents(_file: &File, _length: u64) -> io::Result<bool> {
    Ok(false)
}

/// Ext2 to ext4, XFS and tmpfs write allocated blocks in place. Filesystems that copy on write, overlays, network and
/// FUSE filesystems may need room again for each write, whatever was allocated.
#[cfg(target_os = "linux")]
fn keeps_allocations(directory: &File) -> bool {
    let Ok(answer) = rustix::fs::fstatfs(directory) else { return false };
    // The width and sign of these numbers differ between architectures.
    let kind = i128::from(answer.f_type);
    [i128::from(libc::EXT4_SUPER_MAGIC), i128::from(libc::XFS_SUPER_MAGIC), i128::from(libc::TMPFS_MAGIC)]
        .contains(&kind)
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
fn keeps_allocations(_directory: &File) -> bool {
    false
}
