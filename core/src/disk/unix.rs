//! The real disk: files of a Unix system.
#![allow(unsafe_code)] // The system calls that the standard library has no name for.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
#[cfg(any(target_os = "linux", target_os = "macos"))]
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::process;
use std::sync::Arc;

use memmap2::MmapOptions;

use super::{Disk, DiskFile, HeldLock, LockAttempt, Map, OpenMode, generation};

/// How much is written at once where room has to be made by writing zeros.
const ZERO_FILL_BYTES: usize = 64 << 10;

/// The filesystems of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct UnixDisk;

impl Disk for UnixDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let directory = File::open(path)?;
        match directory.sync_all() {
            // Some network and FUSE filesystems have no sync of a directory: entries are durable there when the call
            // that made them returns, or never will be, and no call of ours changes that.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOTSUP)) => Ok(()),
            other => other,
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::ReadOnly).create_new(mode == OpenMode::CreateNew);
        Ok(Arc::new(UnixFile { file: open_regular(&mut options, path)? }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn keeps_allocations(&self, path: &Path) -> bool {
        keeps_allocations(path)
    }

    fn storage_waits(&self) -> u64 {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the pointer is to a whole `rusage`, which the call fills and does not keep.
        if unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0 {
            return 0;
        }
        // SAFETY: it was zeroed, which is a valid `rusage`, and then filled.
        let usage = unsafe { usage.assume_init() };
        u64::try_from(usage.ru_majflt).unwrap_or(0)
    }

    fn lock(&self, path: &Path) -> io::Result<LockAttempt> {
        let mut options = OpenOptions::new();
        // Not truncated: the text in it is the holder's, which may be somebody else.
        options.read(true).write(true).create(true).truncate(false);
        let file = open_regular(&mut options, path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(LockAttempt::Busy(read_process(&file))),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // From here on the guard gives the lock back, also when the id cannot be written.
        let held = FileLock { file, generation: generation() };
        let text = format!("{}\n", process::id());
        // Written first and cut after, so that nobody finds the file empty.
        held.file.write_all_at(text.as_bytes(), 0)?;
        held.file.set_len(text.len() as u64)?;
        Ok(LockAttempt::Held(Box::new(held)))
    }
}

/// Opens a regular file: closed on `exec`, for its owner alone when it is new, and never through a symbolic link.
fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Not blocking, so that a pipe in the file's place is refused below instead of being waited for. It means
    // nothing for regular files. The standard library adds O_CLOEXEC.
    let file = options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
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
    file: File,
    generation: u64,
}

impl HeldLock for FileLock {}

impl Drop for FileLock {
    fn drop(&mut self) {
        // The lock belongs to the open file, which the child of a fork shares: unlocking there would take the lock
        // away from the parent. Closing does not, as long as the parent has the file open. In the process that took
        // it the lock is given back by name, because a child may still have the file open.
        if self.generation == generation() {
            let _closing_does_it_too = self.file.unlock();
        }
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
    let length = libc::off_t::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    loop {
        // SAFETY: the descriptor is open for as long as `file` is borrowed; the call takes numbers only.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length) } == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EOPNOTSUPP | libc::ENOSYS) => return Ok(false),
            _ => return Err(error),
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
fn keeps_allocations(path: &Path) -> bool {
    use std::ffi::CString;
    use std::mem::MaybeUninit;
    use std::os::unix::ffi::OsStrExt;

    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    let mut answer = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `path` is a string that ends in NUL and `answer` has the room of the structure; both live past the call.
    if unsafe { libc::statfs(path.as_ptr(), answer.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: the call succeeded, so it filled the structure.
    let answer = unsafe { answer.assume_init() };
    // The width and sign of these numbers differ between architectures.
    let kind = i128::from(answer.f_type);
    [i128::from(libc::EXT4_SUPER_MAGIC), i128::from(libc::XFS_SUPER_MAGIC), i128::from(libc::TMPFS_MAGIC)]
        .contains(&kind)
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
fn keeps_allocations(_path: &Path) -> bool {
    false
}
