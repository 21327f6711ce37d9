//! Room on the device: what is kept back of it, so that a database gets out of a full device by itself.
//!
//! Deleting takes room for tombstones, compaction room for copies, opening after a crash room for the tail that is written anew,
//! and each of them is what makes room. So where the device gets tight, room for a segment and a quarter of one is taken
//! by the file `RESERVE`, of which nothing is ever read. Where there is plenty the room itself is the reserve, and there is no file.
//!
//! # Invariants
//! - After a segment was made for what adds to the database, the device has room for [`PLENTY`] more of them, or the reserve is
//!   whole. Where neither can be had nothing is made, and the write is refused.
//! - A commit that only deletes takes of the reserve as long as room for a whole segment of copies is left of it. A manifest,
//!   compaction and recovery take what there is. Nobody else does: files that can be done without are made only of what is free
//!   beside the whole reserve.
//! - While it is lent to compaction nobody makes a segment or such a file but that, unless the device has plenty of room again.
//! - What is taken is given up right before, and no more than that: whatever is free is anybody's on the device.
//! - Nothing depends on the file: whoever needs its room cuts it, and no manifest names it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::Log;
use super::manifest_file::WriteFailure;
use super::state::Made;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::{Error, Result};

/// Name of the file.
pub(super) const RESERVE_NAME: &str = "RESERVE";
/// The room itself is the reserve where so many segments fit.
const PLENTY: u64 = 3;
/// Beside the room for copies: manifests, lists of moves, and what filesystems need for themselves.
const ASIDE_BYTES: u64 = 256 << 10;
/// What a manifest takes of the reserve beside its bytes.
const MANIFEST_SHARE_BYTES: u64 = 64 << 10;
/// What a segment takes of it beside its own: blocks in which a filesystem notes where the others are.
const SEGMENT_ASIDE_BYTES: u64 = 16 << 10;
/// So many small segments can be taken of the reserve for deletes.
const DELETES_SHARES: u64 = 4;

/// Who wants room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// What adds to the database. It never takes of the reserve.
    Adds,
    /// What only deletes, or ends a segment so that it can be compacted.
    Deletes,
    /// Compaction.
    Compacts,
    /// Recovery, before anything is served.
    Recovers,
}

/// Bytes of a segment that is to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct SegmentBytes {
    /// As it is wanted.
    pub(super) capacity: u64,
    /// The fewest that are of use.
    pub(super) least: u64,
    /// What segments usually have.
    pub(super) usual: u64,
}

/// The file, once it is known to be there, and how much room it holds.
#[derive(Debug, Default)]
struct Reserve {
    file: Option<Arc<dyn DiskFile>>,
    bytes: u64,
    is_lent: bool,
    /// How many are making segments: they have looked for room and not taken it yet.
    makers: usize,
    /// Manifests that are written with room of it, which comes back right after.
    manifests: usize,
}

/// The reserve of one database.
#[derive(Debug)]
pub(super) struct Room {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    reserve: Mutex<Reserve>,
    /// Told when somebody has made a segment, or written a manifest with room of the reserve.
    made: Condvar,
}

impl Room {
    pub(super) fn new(disk: Arc<dyn Disk>, directory: PathBuf) -> Room {
        Room { disk, directory, reserve: Mutex::default(), made: Condvar::new() }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(RESERVE_NAME)
    }

    fn is_lent(&self) -> bool {
        self.reserve.lock().is_lent
    }

    /// Whether after `capacity` bytes were taken the device would have plenty of room for segments of `usual` bytes.
    fn is_plenty(&self, capacity: u64, usual: u64) -> bool {
        self.free().is_none_or(|free| free >= capacity.saturating_add(usual.saturating_mul(PLENTY)))
    }

    /// Sees to it that a segment can be made for somebody who adds: there is plenty of room, or the reserve is whole.
    fn keep(&self, capacity: u64, usual: u64) -> io::Result<()> {
        if !self.is_lent() {
            return self.is_kept(capacity, usual);
        }
        // There may be room again since it was lent.
        if self.is_plenty(capacity, usual) { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    /// The same for who has made one, of what was free or, where somebody else was faster, of what is not his.
    fn is_kept(&self, capacity: u64, usual: u64) -> io::Result<()> {
        let mut reserve = self.reserve.lock();
        while reserve.manifests > 0 {
            self.made.wait(&mut reserve);
        }
        if self.is_plenty(capacity, usual) { Ok(()) } else { self.fill(&mut reserve, whole(usual)) }
    }

    /// Takes room until the reserve holds so much.
    fn fill(&self, reserve: &mut Reserve, bytes: u64) -> io::Result<()> {
        if reserve.bytes >= bytes {
            return Ok(());
        }
        let file = match &reserve.file {
            Some(file) => Arc::clone(file),
            None => open_or_create(&*self.disk, &self.path())?,
        };
        reserve.file = Some(Arc::clone(&file));
        let allocated = file.allocate(bytes);
        // Some filesystems keep what they found of the room.
        reserve.bytes = if allocated.is_ok() { bytes } else { reserve.bytes };
        allocated.or_else(|error| file.set_length(reserve.bytes).and(Err(error)))
    }

    /// Takes room until the reserve holds so much or there is no more. Where all of it cannot be had whoever adds is told; some is
    /// worth having.
    fn fill_as_far_as_possible(&self, reserve: &mut Reserve, bytes: u64) {
        let there = self.free().map_or(bytes, |free| reserve.bytes.saturating_add(free)).min(bytes);
        let there = there - there % 4096;
        let most = [bytes, there, there.saturating_sub(SEGMENT_ASIDE_BYTES)];
        let halved = (1..4).map(|times| bytes >> times);
        let _best_effort = most.into_iter().chain(halved).any(|bytes| self.fill(reserve, bytes).is_ok());
    }

    /// Gives up so much of the reserve, if at least `least` bytes are left of it. Whether that was so.
    fn give_up(&self, share: u64, least: u64) -> bool {
        let mut reserve = self.reserve.lock();
        let left = reserve.bytes.saturating_sub(share);
        reserve.bytes > 0 && left >= least && cut(&mut reserve, left)
    }

    /// Gives up so much of the reserve while a manifest is written, and takes it back then: the one before is gone. Nobody else
    /// makes anything of it meanwhile. `None` where there is none.
    fn with_share<T>(&self, share: u64, write: impl FnOnce() -> T) -> Option<T> {
        let held = {
            let mut reserve = self.reserve.lock();
            let held = reserve.bytes;
            if held == 0 || !cut(&mut reserve, held.saturating_sub(share)) {
                return None;
            }
            reserve.manifests += 1;
            held
        };
        let written = write();
        let mut reserve = self.reserve.lock();
        self.fill_as_far_as_possible(&mut reserve, held);
        reserve.manifests -= 1;
        self.made.notify_all();
        Some(written)
    }

    /// Whether so many bytes can be taken for what can be done without: also after that the device has plenty of room, or the
    /// reserve is whole.
    fn spares(&self, bytes: u64, usual: u64) -> bool {
        self.keep(bytes, usual).is_ok() && self.free().is_none_or(|free| free >= bytes)
    }

    /// What is free on the device, where that is known.
    fn free(&self) -> Option<u64> {
        self.disk.room(&self.directory).map(|room| room.free)
    }

    /// What an earlier life has left counts as the reserve.
    fn find(&self) {
        let mut reserve = self.reserve.lock();
        if reserve.file.is_none()
            && let Ok(file) = self.disk.open(&self.path(), OpenMode::ReadWrite)
        {
            reserve.bytes = file.length().unwrap_or(0);
            reserve.file = Some(file);
        }
    }

    /// Takes the room where the device has become tight, and gives it back where there is plenty again.
    pub(super) fn tend(&self, usual: u64) {
        self.find();
        let mut reserve = self.reserve.lock();
        if reserve.is_lent || reserve.manifests > 0 {
        } else if !self.is_plenty(0, usual) {
            self.fill_as_far_as_possible(&mut reserve, whole(usual));
        } else if reserve.file.is_some() && self.is_plenty(usual, usual) {
            (reserve.file, reserve.bytes) = (None, 0);
            let _best_effort = self.disk.remove(&self.path());
        }
    }
}

/// What compaction needs of the reserve where segments usually have so many bytes.
fn for_compaction(usual: u64) -> u64 {
    usual.saturating_add(ASIDE_BYTES.min(usual))
}

/// The whole reserve.
fn whole(usual: u64) -> u64 {
    for_compaction(usual).saturating_add(DELETES_SHARES * share_of_deletes(usual))
}

/// What a segment for deletes takes of the reserve.
fn share_of_deletes(usual: u64) -> u64 {
    (usual / 16).next_multiple_of(4096)
}

fn open_or_create(disk: &dyn Disk, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
    match disk.open(path, OpenMode::ReadWrite) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => disk.open(path, OpenMode::CreateNew),
        other => other,
    }
}

/// Cuts the file to so many bytes. Whether that could be done.
fn cut(reserve: &mut Reserve, bytes: u64) -> bool {
    let cut = reserve.file.as_ref().is_some_and(|file| file.set_length(bytes).is_ok());
    if cut {
        reserve.bytes = bytes;
    }
    cut
}

/// Somebody who makes a segment. Nothing is lent meanwhile that he is about to take.
struct Making<'a>(&'a Room);

impl Making<'_> {
    fn begin(room: &Room) -> Making<'_> {
        room.reserve.lock().makers += 1;
        Making(room)
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.0.reserve.lock().makers -= 1;
        self.0.made.notify_all();
    }
}

/// The reserve while compaction has it: nobody else makes a segment.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    log: &'a Log,
    /// Room for copies.
    pub(crate) bytes: u64,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let room = &self.log.room;
        room.reserve.lock().is_lent = false;
        // Where it cannot be had again, whoever adds is refused until it can.
        room.tend(self.log.usual_segment_bytes());
    }
}

impl Log {
    /// Runs `make`, which makes the file of a segment with so many bytes, as the claim allows: perhaps with fewer bytes, or after some
    /// of the reserve was given up.
    pub(super) fn with_room(
        &self,
        claim: Claim,
        bytes: SegmentBytes,
        mut make: impl FnMut(u64) -> Result<Made>,
    ) -> Result<Made> {
        self.check_not_poisoned()?;
        self.check_directory()?;
        let SegmentBytes { capacity, least, usual } = bytes;
        let small = share_of_deletes(usual).max(least).min(capacity);
        let _making = (claim != Claim::Compacts).then(|| Making::begin(&self.room));
        if matches!(claim, Claim::Compacts | Claim::Recovers) {
            return self.with_reserve(claim, capacity, small, make);
        }
        match self.beside_reserve(capacity, usual, &mut make) {
            Err(Error::NoSpace(_)) if claim == Claim::Deletes && !self.room.is_lent() => {}
            other => return other,
        }
        match make(small) {
            Err(Error::NoSpace(_))
                if !self.room.is_lent() && self.room.give_up(small, for_compaction(usual)) =>
            {
                make(small)
            }
            other => other,
        }
    }

    /// [`Log::with_room`] for who never takes of the reserve. Others may have looked for the same room at the same time, or a manifest
    /// was just written with some of the reserve: so that is looked at again when it is taken.
    fn beside_reserve(
        &self,
        capacity: u64,
        usual: u64,
        mut make: impl FnMut(u64) -> Result<Made>,
    ) -> Result<Made> {
        self.keep_reserve(capacity, usual)?;
        let made = make(capacity)?;
        match self.room.is_kept(0, usual) {
            Ok(()) => Ok(made),
            Err(error) => {
                self.discard_segment(made);
                Err(self.not_kept(usual, error))
            }
        }
    }

    /// [`Log::with_room`] for who may have all of the reserve: what is needed of it at first, and then the rest. Copies are never
    /// made with fewer bytes: they have just what they need.
    fn with_reserve(
        &self,
        claim: Claim,
        capacity: u64,
        small: u64,
        mut make: impl FnMut(u64) -> Result<Made>,
    ) -> Result<Made> {
        let mut made = make(capacity);
        if claim == Claim::Recovers {
            self.room.find();
        } else if !self.room.is_lent() {
            return made;
        }
        for share in [small + SEGMENT_ASIDE_BYTES, u64::MAX] {
            if !matches!(made, Err(Error::NoSpace(_))) {
                break;
            }
            self.room.give_up(share, 0);
            made = make(small);
        }
        made
    }

    /// Sees to it that so many bytes can be taken for what adds to the database.
    pub(super) fn keep_reserve(&self, capacity: u64, usual: u64) -> Result<()> {
        self.room.keep(capacity, usual).map_err(|error| self.not_kept(usual, error))
    }

    fn not_kept(&self, usual: u64, error: io::Error) -> Error {
        let (bytes, path) = (whole(usual), self.room.path());
        Error::io(
            format!("keeping {bytes} bytes (the option segment_bytes) in reserve in {}", path.display()),
            error,
        )
    }

    /// Runs `write`, which writes a manifest of so many bytes; where there was no room for it once more with room of the reserve.
    pub(super) fn with_room_for_manifest<T>(
        &self,
        bytes: u64,
        mut write: impl FnMut() -> std::result::Result<T, WriteFailure>,
    ) -> std::result::Result<T, WriteFailure> {
        let mut written = write();
        for share in [bytes.saturating_add(MANIFEST_SHARE_BYTES), u64::MAX] {
            if !matches!(written, Err(WriteFailure::Unchanged(Error::NoSpace(_)))) {
                break;
            }
            self.room.find();
            match self.room.with_share(share, &mut write) {
                Some(again) => written = again,
                None => break,
            }
        }
        written
    }

    /// Whether so many bytes can be taken for what the database can do without, such as hints and checkpoints.
    pub(crate) fn has_room_to_spare(&self, bytes: u64) -> bool {
        // Not in a directory that is somebody else's by now.
        !self.is_poisoned()
            && self.check_directory().is_ok()
            && self.room.spares(bytes, self.usual_segment_bytes())
    }

    /// Looks whether the device has become tight, or has plenty of room again. For the background.
    pub(crate) fn tend_reserve(&self) {
        if self.check_directory().is_ok() && !self.is_poisoned() {
            self.room.tend(self.usual_segment_bytes());
        }
    }

    /// Lends the reserve to compaction, with what else is free on the device. `None` where there is next to nothing.
    pub(crate) fn lend_reserve(&self) -> Option<Lent<'_>> {
        if self.check_directory().is_err() {
            return None;
        }
        self.room.find();
        let mut reserve = self.room.reserve.lock();
        if std::mem::replace(&mut reserve.is_lent, true) {
            return None;
        }
        while reserve.makers > 0 {
            self.room.made.wait(&mut reserve);
        }
        let held = reserve.bytes;
        let free = self.room.free().unwrap_or(0);
        let aside = ASIDE_BYTES.min(free.saturating_add(held) / 4);
        if free < aside && held > 0 && !cut(&mut reserve, held.saturating_sub(aside - free)) {
            reserve.is_lent = false;
            return None;
        }
        Some(Lent { log: self, bytes: free.saturating_add(held) - aside })
    }
}
