//! One segment file of the log: bytes are appended to it, published, and never change again.
//!
//! A segment is a border in a file. Below `published` lie bytes that anybody may read and nobody writes; at and above
//! it nobody reads and one thread at a time writes. [`Segment::publish`] moves the border, and only upwards. That one
//! rule makes borrowing from the map sound, keeps what is read from ever changing, and needs no lock of a reader.
//!
//! What the bytes mean is not known here.

mod append;
mod bytes;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

pub(crate) use bytes::{Bytes, Slice};

use crate::disk::{Disk, DiskFile, FileIdentity, LARGE_PAGE_BYTES, Map, OpenMode};
use crate::error::{Error, Result};
use crate::sabotage::{Sabotage, is_planted};
use append::{Append, MappedAppend, WriteAppend};

/// Longest header that [`Segment::create`] takes.
pub(crate) const HEADER_BYTES_MAX: usize = 4096;
/// What the length of a file is rounded up to when it is cut at a clean close.
const CUT_BYTES: u64 = 4096;
/// What is left over of a sealed segment is given back from so many bytes on.
const TAIL_BYTES_MIN: u64 = 64 << 10;
/// Pages of the map of a file that is stored to, several of them.
const PAGE_BYTES: u64 = 64 << 10;
/// What is written out at a time. A read that comes meanwhile waits for as much.
const WRITE_OUT_BYTES: u64 = if cfg!(test) { 4 << 10 } else { 1 << 20 };
/// How much is published and not yet settled when a sync settles it.
const SETTLED_BYTES_MIN: u64 = PAGE_BYTES;
/// How much is populated with one call, so that the process's other maps never wait long for it.
const POPULATE_STEP_BYTES: u64 = 256 << 10;

/// How the bytes of a segment are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    /// Append by stores into a shared map. The caller asks for it only where the filesystem keeps allocations. Where
    /// files cannot be mapped, or pages not populated, appends are writes all the same.
    pub(crate) mapped_append: bool,
    /// Read through a shared map. Appending through one reads through it as well.
    pub(crate) mapped_reads: bool,
}

/// One segment file.
///
/// Any number of threads may read. Appending and publishing take an inner lock; the commit lock above keeps it free.
pub(crate) struct Segment {
    body: Body,
    writer: Mutex<Writer>,
    appends_mapped: bool,
    /// No more appends: the background has nothing to populate.
    finished: AtomicBool,
}

/// What reading and both ways to append share.
struct Body {
    serial: u64,
    slot: u16,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    identity: FileIdentity,
    /// Room of the file in bytes; also the most that appends can reach.
    capacity: u64,
    /// Written to only by the mapped way to append.
    map: Option<Map>,
    /// The border. Changed only under the lock of `Segment::writer`.
    published: AtomicU64,
    /// All pages below it were populated. Only grows.
    populated: AtomicU64,
    /// Nothing is stored to pages below it any more, and the map knows. Only grows.
    settled: AtomicU64,
    /// Everything below was written out.
    written_out: AtomicU64,
    /// Held through each sync and each step of writing out: whether one has failed. The system tells that once, so whoever comes later, or
    /// waits meanwhile, has to hear of it here.
    sync_failed: Mutex<bool>,
}

/// What only one thread at a time touches.
struct Writer {
    /// End of the bytes that are there, whole, and may be published.
    appended: u64,
    /// The way to append; `None` where the segment is for reading only.
    way: Option<Box<dyn Append>>,
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("serial", &self.body.serial)
            .field("path", &self.body.path)
            .field("published", &self.published())
            .finish_non_exhaustive()
    }
}

impl Segment {
    /// Creates the file with room for `capacity` bytes, puts `header` at its beginning, and syncs it. The header is
    /// published. The caller syncs the directory. After an error the file is gone again, as far as the disk lets it.
    pub(crate) fn create(
        disk: &Arc<dyn Disk>,
        path: PathBuf,
        serial: u64,
        slot: u16,
        capacity: u64,
        header: &[u8],
        access: Access,
    ) -> Result<Segment> {
        if header.len() > HEADER_BYTES_MAX || header.len() as u64 > capacity {
            return Err(Error::Internal(format!(
                "a header of {} bytes does not fit a segment of {capacity}",
                header.len()
            )));
        }
        let file = disk.open(&path, OpenMode::CreateNew).map_err(|error| failed("creating", &path, error))?;
        let published = header.len() as u64;
        let named = path.clone();
        let made = fill_new(&*file, &named, capacity, header)
            .and_then(|()| Body::new(file, path, (serial, slot), capacity, published, access, true))
            .and_then(|body| Segment::with(body, access, true));
        if made.is_err() {
            // The error that matters is the first one. A file that stays is not named by anything and is removed
            // when the directory is opened the next time.
            let _best_effort = disk.remove(&named);
        }
        made
    }

    /// Opens a file of which `end` bytes are known to be valid, for reading; with `resume` also for appending after
    /// them, for which the room is allocated again first.
    ///
    /// For reading, a file shorter than `end` is opened as far as it goes, and what is missing is
    /// [`Error::Corruption`] when it is read. It is never resumed.
    #[allow(clippy::too_many_arguments)] // Four say which segment, and the log has them apart.
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        path: PathBuf,
        serial: u64,
        slot: u16,
        capacity: u64,
        end: u64,
        access: Access,
        resume: bool,
    ) -> Result<Segment> {
        if end > capacity {
            return Err(Error::Internal(format!(
                "{end} bytes are said to be valid in a segment of {capacity}: {}",
                path.display()
            )));
        }
        let mode = if resume { OpenMode::ReadWrite } else { OpenMode::ReadOnly };
        let file = disk.open(&path, mode).map_err(|error| failed("opening", &path, error))?;
        let length = file.length().map_err(|error| failed("asking for the length of", &path, error))?;
        if resume {
            if length < end {
                let reason = format!("the file ends here, but {end} bytes of it are known: it was cut");
                return Err(Error::corruption(serial, length, reason));
            }
            file.allocate(capacity).map_err(|error| failed("allocating room for", &path, error))?;
        }
        let body = Body::new(file, path, (serial, slot), capacity, end.min(length), access, resume)?;
        Segment::with(body, access, resume)
    }

    /// Gives the room of a sealed segment behind its end back to the device, unless somebody, anywhere, still has the
    /// file open: values that are held longer than their database may lie behind the end, and a page that is cut off
    /// must not be touched any more. Best effort.
    pub(crate) fn trim(&self, disk: &dyn Disk) {
        let length = self.published().next_multiple_of(CUT_BYTES);
        self.body.file.if_nobody_else_holds(&mut || {
            let file = disk.open(&self.body.path, OpenMode::ReadWrite);
            let _best_effort = file.and_then(|file| file.set_length(length));
        });
    }

    /// Chooses the way to append.
    fn with(mut body: Body, access: Access, appends: bool) -> Result<Segment> {
        body.file.hold();
        let mapped = if appends && access.mapped_append { MappedAppend::start(&body)? } else { None };
        let appends_mapped = mapped.is_some();
        let way: Option<Box<dyn Append>> = match mapped {
            Some(mapped) => Some(Box::new(mapped)),
            None if appends => {
                body.keep_map_for_reading(access);
                Some(Box::new(WriteAppend::default()))
            }
            None => None,
        };
        let appended = body.published.load(Ordering::Relaxed);
        Ok(Segment {
            body,
            writer: Mutex::new(Writer { appended, way }),
            appends_mapped,
            finished: AtomicBool::new(!appends),
        })
    }

    /// The serial, which no other segment of the database ever had or will have.
    pub(crate) fn serial(&self) -> u64 {
        self.body.serial
    }

    /// The slot, which other segments may have had.
    pub(crate) fn slot(&self) -> u16 {
        self.body.slot
    }

    /// Room of the file in bytes.
    pub(crate) fn capacity(&self) -> u64 {
        self.body.capacity
    }

    /// What names the file.
    pub(crate) fn identity(&self) -> FileIdentity {
        self.body.identity
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.body.path
    }

    /// Whether appends are, or were until it was sealed, stores into a map.
    pub(crate) fn appends_mapped(&self) -> bool {
        self.appends_mapped
    }

    /// Whether reads borrow from a map.
    #[cfg(test)]
    pub(crate) fn reads_mapped(&self) -> bool {
        self.body.map.is_some()
    }

    /// End of the bytes that can be read.
    #[inline]
    pub(crate) fn published(&self) -> u64 {
        // Acquire: whoever sees the border sees the bytes below it.
        self.body.published.load(Ordering::Acquire)
    }

    /// Appends the concatenation of `parts` at [`Segment::published`] and returns that offset. The room must be
    /// there. Nobody can read the bytes before they are published, and what had been appended before without being
    /// published is overwritten. After an error nothing was appended.
    pub(crate) fn append(&self, parts: &[&[u8]]) -> Result<u64> {
        let writer = &mut *self.writer.lock();
        let offset = self.body.published.load(Ordering::Relaxed);
        // What was there is overwritten from here on: until all of it is there again nothing may be published.
        writer.appended = offset;
        writer.appended = self.write(writer, offset, parts)?;
        Ok(offset)
    }

    /// Appends a piece behind what was appended and not published yet. After an error it was not appended.
    pub(crate) fn append_more(&self, piece: &[u8]) -> Result<()> {
        let writer = &mut *self.writer.lock();
        let end = writer.appended;
        writer.appended = self.write(writer, end, &[piece])?;
        Ok(())
    }

    /// Appends the concatenation of `parts` at a place that is not published and up to which everything was appended. What
    /// had been appended from there on is given up, also after an error.
    pub(crate) fn append_at(&self, offset: u64, parts: &[&[u8]]) -> Result<()> {
        let writer = &mut *self.writer.lock();
        if offset < self.body.published.load(Ordering::Relaxed) || offset > writer.appended {
            return Err(Error::Internal(format!(
                "bytes at {offset} of segment {} were published before they were there, or would leave a gap",
                self.body.serial
            )));
        }
        writer.appended = offset;
        writer.appended = self.write(writer, offset, parts)?;
        Ok(())
    }

    /// Writes over bytes that were appended and not published yet.
    pub(crate) fn fill_in(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let writer = &mut *self.writer.lock();
        let end = offset.saturating_add(bytes.len() as u64);
        if offset < self.body.published.load(Ordering::Relaxed) || end > writer.appended {
            return Err(Error::Internal(format!(
                "bytes at {offset} of segment {} were published before they were there, or never appended",
                self.body.serial
            )));
        }
        self.write(writer, offset, &[bytes])?;
        Ok(())
    }

    /// Writes above the border and returns where it ends.
    fn write(&self, writer: &mut Writer, offset: u64, parts: &[&[u8]]) -> Result<u64> {
        let Some(way) = writer.way.as_mut() else {
            return Err(Error::Internal(format!("segment {} is not open for appending", self.body.serial)));
        };
        let length = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.len() as u64));
        let end = offset.saturating_add(length);
        if end > self.body.capacity {
            return Err(Error::Internal(format!(
                "{length} bytes at {offset} do not fit segment {} of {} bytes",
                self.body.serial, self.body.capacity
            )));
        }
        way.append(&self.body, offset, parts, length)?;
        Ok(end)
    }

    /// Lets everybody read up to `end`. The border only grows, and never beyond what was appended.
    pub(crate) fn publish(&self, end: u64) {
        self.publish_from(&mut self.writer.lock(), end);
    }

    /// [`Segment::publish`] of something whose first bytes were left out when it was appended at `offset`. Other processes read the file
    /// above this one's border, and find no frame there before. Only where appends are stores, which cost as little as that.
    pub(crate) fn publish_begun(&self, offset: u64, first: &[u8], end: u64) {
        let writer = &mut *self.writer.lock();
        // The page was stored to when the rest was appended, so this cannot fail; and without these bytes nothing is published.
        if self.write(writer, offset, &[first]).is_ok() {
            self.publish_from(writer, end);
        }
    }

    /// The lock keeps the border from moving while an append writes above it.
    fn publish_from(&self, writer: &mut Writer, end: u64) {
        let end = end.min(writer.appended);
        if end > self.body.published.load(Ordering::Relaxed) {
            self.body.published.store(end, Ordering::Release);
        }
    }

    /// Bytes that may lie above the border, as another process has written them: a copy, at most `length` bytes and as far as the file
    /// goes. Nothing is known of them before a checksum was found to be right.
    pub(crate) fn peek(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let context = |error| failed("looking behind the end of", &self.body.path, error);
        let end = self.body.file.length().map_err(context)?.min(self.body.capacity);
        let rest = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(rest)];
        let count = self.body.file.read_at(&mut bytes, offset).map_err(context)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// Moves the border of a segment that another process appends to: up to here everything was found to be whole, and does not change
    /// any more.
    pub(crate) fn follow_to(&self, end: u64) {
        let mut writer = self.writer.lock();
        let end = end.min(self.body.capacity);
        writer.appended = writer.appended.max(end);
        self.body.published.fetch_max(end, Ordering::Release);
    }

    /// Keeps the pages of the next `ahead_bytes` populated, in steps, for a thread in the background. True if there
    /// was something to do. Where appends are writes there never is.
    pub(crate) fn populate_ahead(&self, ahead_bytes: u64) -> Result<bool> {
        let Some(map) = self.body.map.as_ref().filter(|_| self.appends_mapped) else { return Ok(false) };
        let mut worked = false;
        loop {
            let populated = self.body.populated.load(Ordering::Acquire);
            let goal = self.published().saturating_add(ahead_bytes).min(self.body.capacity);
            // The writer's lock is not taken: populating must not make it wait.
            if populated >= goal || self.finished.load(Ordering::Acquire) {
                return Ok(worked);
            }
            let end = populated.saturating_add(POPULATE_STEP_BYTES).min(self.body.capacity);
            if let Err(error) = self.body.populate(map, populated, end) {
                let writer = self.writer.lock();
                // Sealed or cut meanwhile: then the error means nothing, and the file must not grow again.
                return if writer.way.is_none() { Ok(worked) } else { Err(self.body.explain(error)) };
            }
            worked = true;
        }
    }

    /// Has the next bytes that are written in large pages of the system's cache, where they will be read through a map: who reads in no
    /// order needs one entry of the processor's for 2 MiB instead of 512. For whoever appends, of much that nobody waits for: the system
    /// takes up to milliseconds for one. Best effort.
    pub(crate) fn cache_ahead(&self, bytes: u64) {
        if self.appends_mapped || self.body.map.is_none() {
            return;
        }
        let (begin, capacity) = (self.published(), self.body.capacity);
        // What begins before was cached ahead by the call before this one, or is the first, which has the header in a small page.
        (begin.next_multiple_of(LARGE_PAGE_BYTES)..begin.saturating_add(bytes))
            .step_by(LARGE_PAGE_BYTES as usize)
            .take_while(|at| at + LARGE_PAGE_BYTES <= capacity)
            .for_each(|at| self.body.file.cache_in_one_page(at));
    }

    /// Writes out what was appended, in steps, so that the sync that follows has little left. For the background: whoever reads from the
    /// device meanwhile waits for one step at most, and not for all of what a sync writes at once.
    pub(crate) fn write_out(&self) -> Result<()> {
        let (mut at, end) = (self.body.written_out.load(Ordering::Relaxed), self.published());
        if end.saturating_sub(at) < WRITE_OUT_BYTES {
            return Ok(());
        }
        if self.appends_mapped {
            self.body.settle();
        }
        while at + WRITE_OUT_BYTES <= end {
            self.body.on_device("writing out", |file| file.write_out(at, WRITE_OUT_BYTES))?;
            at += WRITE_OUT_BYTES;
            self.body.written_out.fetch_max(at, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Makes everything appended so far durable, stores through the map included. After an error of this or of
    /// [`Segment::write_out`] there is only another one.
    pub(crate) fn sync(&self) -> Result<()> {
        if self.appends_mapped {
            self.body.settle();
        }
        if is_planted(Sabotage::SkipSync) {
            return Ok(());
        }
        self.body.on_device("syncing", |file| file.sync())
    }

    /// Ends appending for good. The map becomes read-only.
    pub(crate) fn seal(&self) {
        let mut writer = self.writer.lock();
        self.finish(&mut writer);
        if let Some(map) = &self.body.map {
            map.protect();
        }
    }

    /// For a clean close: ends appending for good and cuts the file to what is published, rounded up to 4 KiB.
    ///
    /// The map stays longer than the file. That cannot raise SIGBUS, because nothing at or beyond `published` is
    /// touched any more: reads never go there, and the way to append is gone before the file is cut. Populating may
    /// still go there and gets an error.
    pub(crate) fn truncate_to_end(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        if writer.way.is_none() {
            return Err(Error::Internal(format!("segment {} is not open for appending", self.body.serial)));
        }
        self.finish(&mut writer);
        let length = self.published().next_multiple_of(CUT_BYTES);
        let cut =
            self.body.file.length().and_then(|present| {
                if length < present { self.body.file.set_length(length) } else { Ok(()) }
            });
        cut.map_err(|error| failed("cutting", &self.body.path, error))
    }

    /// Gives back the room behind the end of a segment that was sealed and that a manifest on the device names so, where that is
    /// worth a call. Nobody touches it any more, as in [`Segment::truncate_to_end`]. Best effort.
    pub(crate) fn cut_tail(&self) {
        let length = self.published().next_multiple_of(CUT_BYTES);
        if self.body.capacity.saturating_sub(length) >= TAIL_BYTES_MIN {
            let longer = self.body.file.length().is_ok_and(|present| present > length);
            let _best_effort = longer.then(|| self.body.file.set_length(length));
        }
    }

    fn finish(&self, writer: &mut Writer) {
        writer.way = None;
        // What was appended and not published is gone with a cut, and must not be published after it.
        writer.appended = self.body.published.load(Ordering::Relaxed);
        self.finished.store(true, Ordering::Release);
    }
}

impl Body {
    /// Maps the file as asked.
    fn new(
        file: Arc<dyn DiskFile>,
        path: PathBuf,
        (serial, slot): (u64, u16),
        capacity: u64,
        published: u64,
        access: Access,
        appends: bool,
    ) -> Result<Body> {
        let writable = appends && access.mapped_append;
        let map =
            if writable || access.mapped_reads { map_file(&*file, &path, capacity, writable)? } else { None };
        let identity = file.identity().map_err(|error| failed("looking at", &path, error))?;
        Ok(Body {
            identity,
            serial,
            slot,
            path,
            file,
            capacity,
            map,
            published: AtomicU64::new(published),
            // A page that holds published bytes may still have to be fetched for writing, so nothing is populated yet.
            populated: AtomicU64::new(published / CUT_BYTES * CUT_BYTES),
            settled: AtomicU64::new(published / CUT_BYTES * CUT_BYTES),
            written_out: AtomicU64::new(0),
            sync_failed: Mutex::new(false),
        })
    }

    /// Appends are writes: a map that was made for storing is not needed as such.
    fn keep_map_for_reading(&mut self, access: Access) {
        if access.mapped_reads {
            if let Some(map) = &self.map {
                map.protect();
            }
        } else {
            self.map = None;
        }
    }

    /// Populates up to `end`, of which `populated` are.
    fn populate(&self, map: &Map, populated: u64, end: u64) -> io::Result<()> {
        let at = usize::try_from(populated).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let length =
            usize::try_from(end.saturating_sub(populated)).map_err(|_| io::ErrorKind::FileTooLarge)?;
        map.populate(at, length)?;
        // Everything below `populated` was populated, by this thread or another, so everything below `end` is.
        self.populated.fetch_max(end, Ordering::AcqRel);
        Ok(())
    }

    /// Puts something on the device, unless that has failed before.
    fn on_device(&self, doing: &str, put: impl FnOnce(&dyn DiskFile) -> io::Result<()>) -> Result<()> {
        let mut has_failed = self.sync_failed.lock();
        let outcome =
            if *has_failed { Err(io::Error::other("a sync of it failed before")) } else { put(&*self.file) };
        *has_failed = outcome.is_err() && !is_planted(Sabotage::GoOnAfterFailure);
        outcome.map_err(|error| Error::uncertain(doing_to(doing, &self.path), error))
    }

    /// Ends stores to the pages that are published as a whole, where there are so many that this costs less than what a sync would
    /// do for each.
    fn settle(&self) {
        let Some(map) = &self.map else { return };
        let end = self.published.load(Ordering::Acquire) / PAGE_BYTES * PAGE_BYTES;
        let settled = self.settled.load(Ordering::Relaxed);
        let count = end.saturating_sub(settled);
        if let (true, Ok(at), Ok(length)) =
            (count >= SETTLED_BYTES_MIN, usize::try_from(settled), usize::try_from(count))
        {
            map.end_stores(at, length);
            self.settled.fetch_max(end, Ordering::Relaxed);
        }
    }

    /// What to report when populating failed. The kernel does not tell there whether the device is full or failing,
    /// only when it is asked for the room once more. The caller holds the writer's lock and has seen that the segment
    /// is neither sealed nor cut, so this never makes a finished file grow.
    fn explain(&self, error: io::Error) -> Error {
        let error = self.file.allocate(self.capacity).err().unwrap_or(error);
        failed("populating pages of", &self.path, error)
    }
}

/// The first bytes of a new file.
fn fill_new(file: &dyn DiskFile, path: &Path, capacity: u64, header: &[u8]) -> Result<()> {
    // A full device is told how much it would have taken, and what takes less.
    let allocating = format!("allocating {capacity} bytes (the option segment_bytes) for");
    file.allocate(capacity).map_err(|error| failed(&allocating, path, error))?;
    file.write_all_at(header, 0).map_err(|error| failed("writing the header of", path, error))?;
    file.sync().map_err(|error| failed("syncing", path, error))
}

/// A map of the whole file, but never beyond its real length, where a touch would raise SIGBUS; `None` where there is
/// nothing to map or files cannot be mapped.
fn map_file(file: &dyn DiskFile, path: &Path, capacity: u64, writable: bool) -> Result<Option<Map>> {
    let length = file.length().map_err(|error| failed("asking for the length of", path, error))?;
    let Ok(length) = usize::try_from(length.min(capacity)) else { return Ok(None) };
    if length == 0 {
        return Ok(None);
    }
    match file.map(length, writable) {
        Ok(map) => Ok(Some(map)),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(failed("mapping", path, error)),
    }
}

fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    Error::io(doing_to(what, path), error)
}

fn doing_to(what: &str, path: &Path) -> String {
    format!("{what} the segment {}", path.display())
}
