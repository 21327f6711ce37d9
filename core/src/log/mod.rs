//! The set of segments: what is appended to, what is read from, what is on the device.
//!
//! The log is the truth; everything else is rebuilt from it. A written byte never changes, so (serial, offset) names
//! one record for ever.
//!
//! # Locks
//! In this order: the turn to sync, the commit lock of the store (which owns the [`Appender`]), the pool of large-value
//! segments, the state, its front. The state is held for the time of a log segment's creation at most, and never by a reader; its
//! front for moments; the pool only to take a segment out or put one in, and while a value is written no lock is held at all.
//!
//! # Invariants
//! - A frame is appended behind the last one, in the newest segment, with the next sequence.
//! - A segment is in the manifest on the device before anything is appended to it.
//! - A segment is named sealed only after its bytes were synced. A failed sync is never tried again: from then on the
//!   log is *poisoned* and takes no more writes.

mod append;
mod backup;
mod beside;
mod copies;
mod dead;
mod follow;
mod front;
mod large;
mod large_series;
mod manifest_file;
mod mark_file;
mod read;
mod room;
mod segments;
mod state;
mod sync;
mod turn;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Condvar, Mutex};

use crate::disk::{Disk, FileIdentity, LOCK_FILE_NAME};
use crate::epoch::{self, Guard};
use crate::error::{Error, Result};
use crate::options::COMMIT_KEPT_BYTES_MAX;
use crate::sabotage::{Sabotage, is_planted};
use crate::segment::{Access, Segment};
use crate::wish::Wish;

pub(crate) use append::{Appender, NewFrame};
pub(crate) use backup::LogImage;
pub(crate) use beside::FreshFrames;
pub(crate) use copies::Settled;
pub(crate) use follow::Place;
pub(crate) use large::{LargeRead, LargeWrite};
pub(crate) use large_series::LargeSeries;
pub(crate) use manifest_file::{
    MANIFEST_NAME, create_manifest, open_manifest, read_manifest, segment_name, serial_of_name,
};
pub(crate) use mark_file::{MARK_NAME, MarkFile, check_mark, read_mark};
pub(crate) use read::{BEHIND_BYTES, FrameWalk, RecordAt, Value, Walked};
pub(crate) use segments::LiveCount;
pub(crate) use state::{OpenedSegment, SegmentSizes};

use front::Front;
use large::LargePool;
use room::Room;
use segments::SegmentTable;
use state::State;
use turn::Turns;

/// How a log is opened.
#[derive(Debug, Clone)]
pub(crate) struct LogConfig {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) directory: PathBuf,
    pub(crate) access: Access,
    pub(crate) sizes: SegmentSizes,
    pub(crate) identity: [u8; 16],
    /// What names the lock file that this process holds.
    pub(crate) lock: FileIdentity,
}

/// What the log has done and has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LogStats {
    pub(crate) segments: u64,
    pub(crate) log_bytes: u64,
    pub(crate) large_bytes: u64,
    pub(crate) allocated_bytes: u64,
    pub(crate) appended: u64,
    pub(crate) durable: u64,
    pub(crate) syncs: u64,
    /// Since it was opened, large values included.
    pub(crate) bytes_appended: u64,
}

/// The segments of one database, open for reading and, by an [`Appender`], for appending.
#[derive(Debug)]
pub(crate) struct Log {
    config: LogConfig,
    segments: SegmentTable,
    state: Mutex<State>,
    front: Mutex<Front>,
    large: Mutex<LargePool>,
    /// Told when a call that writes a large value ends.
    large_rests: Condvar,
    /// The durable mark, once recovery has ended. The last lock of all.
    mark: Mutex<Option<MarkFile>>,
    /// What names the manifest that was written last, so that another one in its place is noticed.
    manifest_file: Mutex<Option<FileIdentity>>,
    /// Of whoever syncs. Others wait for their turn, and then mostly find that it was done for them.
    sync_turns: Turns,
    /// Sequence of the last frame appended.
    appended: AtomicU64,
    /// Bytes of frames appended since the log was opened.
    bytes_appended: AtomicU64,
    /// Bytes of large values written for commits since then.
    large_bytes_appended: AtomicU64,
    /// Sequence up to which everything is on the device.
    durable: AtomicU64,
    syncs: AtomicU64,
    /// Why writes are refused, once a write or sync has failed.
    poison: OnceLock<String>,
    /// Set, under the commit lock, when the log ends: nobody appends afterwards.
    closed: AtomicBool,
    /// Set when the appender has come so far that pages should be populated or a segment prepared.
    wants_room: Wish,
    /// Locked for the time of a few calls of the system, perhaps under the state.
    room: Room,
}

impl Log {
    /// Begins to look at segments by their slots. While the guard lives none that could be met is given up. Held for the
    /// time of one read, and never while the device is waited for on purpose.
    #[inline]
    pub(crate) fn pin(&self) -> Guard {
        epoch::pin(self.segments.generation())
    }

    /// Sequence of the last frame appended.
    pub(crate) fn appended(&self) -> u64 {
        self.appended.load(Ordering::Acquire)
    }

    /// Bytes of frames appended since the log was opened.
    pub(crate) fn bytes_appended(&self) -> u64 {
        self.bytes_appended.load(Ordering::Relaxed)
    }

    /// Bytes of a commit that are kept until it is made, and stand together in the log.
    pub(crate) fn commit_bytes_kept(&self) -> u64 {
        let four_segments = self.config.sizes.fixed.map(|bytes| 4 * bytes);
        four_segments.unwrap_or(COMMIT_KEPT_BYTES_MAX).min(COMMIT_KEPT_BYTES_MAX)
    }

    /// The disk, the directory and the identity of the database, for what is kept beside the log.
    pub(crate) fn place(&self) -> (&Arc<dyn Disk>, &Path, [u8; 16]) {
        (&self.config.disk, &self.config.directory, self.config.identity)
    }

    /// Sequence up to which every frame is on the device.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poison.get().is_some()
    }

    /// Refuses once the log was closed, or a write or sync has failed.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        self.check_not_poisoned()
    }

    /// Refuses once a write or sync has failed.
    pub(crate) fn check_not_poisoned(&self) -> Result<()> {
        match self.poison.get() {
            None => Ok(()),
            Some(reason) => Err(Error::Poisoned(reason.clone())),
        }
    }

    /// Ends all writing after a failure whose effect on the device is not known, and passes the error on.
    pub(crate) fn poisoned_by(&self, error: Error) -> Error {
        if !is_planted(Sabotage::GoOnAfterFailure) {
            // Only the first reason is kept: it is the one to look into.
            let _first_wins = self.poison.set(error.to_string());
        }
        error
    }

    /// Ends all writing when the directory is not ours any more: its files were removed or replaced, and somebody else may
    /// have locked and filled it since. Asked before every step that changes the directory or promises durability.
    pub(crate) fn check_directory(&self) -> Result<()> {
        self.check_file(&self.config.directory.join(LOCK_FILE_NAME), self.config.lock)?;
        match *self.manifest_file.lock() {
            Some(written) => self.check_file(&self.config.directory.join(MANIFEST_NAME), written),
            None => Ok(()),
        }
    }

    /// [`Log::check_directory`] for the file of a segment.
    fn check_in_place(&self, segment: &Segment) -> Result<()> {
        self.check_file(segment.path(), segment.identity())
    }

    fn check_file(&self, path: &Path, identity: FileIdentity) -> Result<()> {
        let context = || format!("looking for the files of {}", self.config.directory.display());
        match self.config.disk.identity(path) {
            Ok(found) if found == Some(identity) => Ok(()),
            Ok(_) => Err(self.poisoned_by(Error::io(
                context() + ", which were removed or replaced while it was open; close the database",
                std::io::ErrorKind::NotFound.into(),
            ))),
            Err(error) => Err(self.poisoned_by(Error::io(context(), error))),
        }
    }

    /// The wish that the background looks for room ahead.
    #[inline]
    pub(crate) fn wish_for_room(&self) -> &Wish {
        &self.wants_room
    }

    /// How often this process has waited for storage so far, as far as the system tells.
    pub(crate) fn storage_waits(&self) -> u64 {
        self.config.disk.storage_waits()
    }

    /// The same of the calling thread; `None` where that is not known.
    pub(crate) fn storage_waits_here(&self) -> Option<u64> {
        self.config.disk.storage_waits_here()
    }

    pub(crate) fn stats(&self) -> LogStats {
        let mut stats = {
            let state = self.state();
            state.sizes(&self.front.lock().log)
        };
        stats.appended = self.appended();
        stats.durable = self.durable();
        stats.bytes_appended = self.bytes_appended() + self.large_bytes_appended.load(Ordering::Relaxed);
        stats.syncs = self.syncs.load(Ordering::Relaxed);
        stats
    }
}
