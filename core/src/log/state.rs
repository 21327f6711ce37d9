//! What the manifest says and will say, and the life of a segment: created, appended to, full, sealed.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Condvar, Mutex};

use super::dead::Knowledge;
use super::front::Front;
use super::large::LargePool;
use super::manifest_file::{WriteFailure, segment_name, write_manifest};
use super::mark_file::MarkFile;
use super::room::{Claim, Room, SegmentBytes};
use super::segments::{SegmentTable, SlotNumber};
use super::turn::Turns;
use super::{Log, LogConfig, LogStats};
use crate::checksum::Salt;
use crate::disk::generation;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, SEGMENT_HEADER_BYTES, SegmentEntry, SegmentKind, segment_header};
use crate::options::SEGMENT_BYTES_MAX;
use crate::segment::Segment;
use crate::wish::Wish;

/// Default size of the first segments: two of them are always there, so a small database is not much larger than its data.
const SEGMENT_BYTES_DEFAULT: u64 = 8 << 20;
/// Segments grow so that there are about this many, until they are of full size.
const SEGMENTS_WANTED: u64 = 96;
/// On a small device they are smaller, so that one to write to, one ahead and one in reserve are a small part of it.
const SEGMENTS_OF_DEVICE: u64 = 24;
const SEGMENT_BYTES_MIN: u64 = 256 << 10;
/// Segments are allocated in whole pages.
const PAGE_BYTES: u64 = 4096;

/// How large new segments are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentSizes {
    /// The size asked for; `None` grows with the database.
    pub(crate) fixed: Option<u64>,
    /// All bytes of the device, where that is known.
    pub(crate) device: Option<u64>,
}

impl SegmentSizes {
    /// Capacity of a segment whose content is known before.
    fn exact(needed: u64) -> u64 {
        (needed + SEGMENT_HEADER_BYTES as u64).next_multiple_of(PAGE_BYTES)
    }

    /// Bytes that a segment of a database with this many bytes usually has.
    pub(super) fn usual(self, allocated: u64) -> u64 {
        self.capacity(allocated, 0)
    }

    /// Capacity of the next segment of a database with this many bytes, which must hold `needed` bytes of content.
    fn capacity(self, allocated: u64, needed: u64) -> u64 {
        let usual = self.fixed.unwrap_or_else(|| {
            let most =
                self.device.map_or(u64::MAX, |device| (device / SEGMENTS_OF_DEVICE).max(SEGMENT_BYTES_MIN));
            let grown = (allocated / SEGMENTS_WANTED).next_power_of_two();
            grown.clamp(SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX).min(most)
        });
        usual.max(needed + SEGMENT_HEADER_BYTES as u64).next_multiple_of(PAGE_BYTES)
    }
}

/// How much room a new segment gets for its content.
#[derive(Debug, Clone, Copy)]
pub(super) enum SegmentRoom {
    /// As segments usually have, and at least so many bytes.
    Usual(u64),
    /// Just so many bytes, where the content is known before.
    Exact(u64),
}

/// A segment that may hold bytes which are not on the device.
#[derive(Debug, Clone)]
pub(super) struct Unsynced {
    pub(super) segment: Arc<Segment>,
    /// Set once nothing more is appended: the sequence of the last frame (0 for large values).
    pub(super) full: Option<u64>,
}

#[derive(Debug)]
pub(super) struct State {
    /// As it is on the device, or will be at the next write.
    pub(super) manifest: Manifest,
    /// While recovery runs, nothing is written to the manifest, so that it can start over.
    pub(super) deferred: bool,
    /// The directory is somebody else's by now: nothing is written to it any more.
    ended: bool,
    /// Large-value segments to sync.
    pub(super) large: Vec<Unsynced>,
    /// Content of the segments that are not appended to any more: log and copies, large values.
    pub(super) settled: (u64, u64),
}

/// A segment that is going to be made.
#[derive(Debug)]
pub(super) struct Planned {
    entry: SegmentEntry,
    path: PathBuf,
    number: SlotNumber,
}

/// A segment that was planned and whose file is made, and that no manifest names yet.
#[derive(Debug)]
pub(super) struct Made {
    planned: Planned,
    segment: Segment,
}

impl State {
    pub(super) fn entry(&mut self, serial: u64) -> Option<&mut SegmentEntry> {
        self.manifest.segments.iter_mut().find(|entry| entry.serial == serial)
    }

    /// Whether the log was closed, and the directory is nobody's or somebody else's.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether what is written to the manifest is on the device then: neither is it left to the end of recovery, nor was the log
    /// closed.
    pub(super) fn reaches_device(&self) -> bool {
        !self.deferred && !self.ended
    }

    pub(super) fn allocated(&self) -> u64 {
        self.manifest.segments.iter().map(|entry| entry.capacity).sum()
    }

    /// Notes the first commit that a log segment can hold.
    pub(super) fn begin_segment(&mut self, serial: u64, first_sequence: u64) {
        if let Some(entry) = self.entry(serial) {
            entry.first_sequence = first_sequence;
        }
    }

    /// Notes that a segment is full and its bytes are on the device.
    pub(super) fn seal(&mut self, segment: &Segment, last_sequence: u64) {
        let (serial, length) = (segment.serial(), segment.published());
        let content = length.saturating_sub(SEGMENT_HEADER_BYTES as u64);
        if let Some(entry) = self.entry(serial) {
            (entry.sealed, entry.length, entry.last_sequence) = (true, length, last_sequence);
            match entry.kind {
                SegmentKind::Log | SegmentKind::Copy => self.settled.0 += content,
                SegmentKind::Large => self.settled.1 += content,
            }
        }
    }

    /// Notes up to where the bytes of an open segment are on the device.
    pub(super) fn note_durable(&mut self, segment: &Segment, end: u64) {
        if let Some(entry) = self.entry(segment.serial()) {
            entry.length = entry.length.max(end);
        }
    }

    /// Large-value segments with bytes that are not on the device, or that wait to be sealed.
    pub(super) fn unsynced_large(&self) -> Vec<Unsynced> {
        let durable = |segment: &Segment| {
            let entry = self.manifest.segments.iter().find(|entry| entry.serial == segment.serial());
            entry.map_or(0, |entry| entry.length)
        };
        let is_unsynced =
            |one: &&Unsynced| one.full.is_some() || one.segment.published() > durable(&one.segment);
        self.large.iter().filter(is_unsynced).cloned().collect()
    }

    pub(super) fn sizes(&self, log: &[Unsynced]) -> LogStats {
        let content = |list: &[Unsynced]| -> u64 {
            list.iter().map(|one| one.segment.published().saturating_sub(SEGMENT_HEADER_BYTES as u64)).sum()
        };
        LogStats {
            segments: self.manifest.segments.len() as u64,
            log_bytes: self.settled.0 + content(log),
            large_bytes: self.settled.1 + content(&self.large),
            allocated_bytes: self.allocated(),
            ..LogStats::default()
        }
    }
}

/// A segment that recovery has opened, as it goes on.
#[derive(Debug)]
pub(crate) struct OpenedSegment {
    pub(crate) entry: SegmentEntry,
    pub(crate) segment: Arc<Segment>,
    /// Whether appending goes on in it.
    pub(crate) resumes: bool,
}

impl Log {
    /// A log of these segments. Nothing is written to the manifest before [`Log::end_recovery`].
    pub(crate) fn assemble(
        config: LogConfig,
        mut manifest: Manifest,
        mark: Option<MarkFile>,
        opened: Vec<OpenedSegment>,
    ) -> Result<Log> {
        manifest.clean = false;
        manifest.segments.clear();
        let durable = manifest.durable_sequence;
        let segments = SegmentTable::new(generation());
        let mut state = State { manifest, deferred: true, ended: false, large: vec![], settled: (0, 0) };
        let (mut front, mut large) = (Front::default(), LargePool::default());
        for OpenedSegment { entry, segment, resumes } in opened {
            let number = segments.take(entry.slot)?;
            segments.add(
                Arc::clone(&segment),
                Salt::new(config.identity, entry.serial),
                entry.kind,
                number,
                Knowledge::Nothing,
            )?;
            state.manifest.segments.push(entry);
            if !resumes {
                state.seal(&segment, entry.last_sequence);
                if entry.kind == SegmentKind::Log {
                    segments.note_end(entry.slot, entry.last_sequence);
                }
                continue;
            }
            let unsynced = Unsynced { segment: Arc::clone(&segment), full: None };
            match entry.kind {
                // Copies are dropped when they are not sealed.
                SegmentKind::Log | SegmentKind::Copy => front.log.push(unsynced),
                SegmentKind::Large => {
                    state.large.push(unsynced);
                    large.resume(segment);
                }
            }
        }
        let wants_room = Wish::new();
        wants_room.make();
        let room = Room::new(Arc::clone(&config.disk), config.directory.clone());
        Ok(Log {
            config,
            segments,
            state: Mutex::new(state),
            front: Mutex::new(front),
            large: Mutex::new(large),
            large_rests: Condvar::new(),
            mark: Mutex::new(mark),
            manifest_file: Mutex::new(None),
            sync_turns: Turns::new(),
            appended: AtomicU64::new(durable),
            bytes_appended: AtomicU64::new(0),
            large_bytes_appended: AtomicU64::new(0),
            durable: AtomicU64::new(durable),
            syncs: AtomicU64::new(0),
            poison: OnceLock::new(),
            closed: AtomicBool::new(false),
            wants_room,
            room,
        })
    }

    /// Creates a segment and puts it into the manifest on the device. A full device is a clean error.
    pub(super) fn add_segment(
        &self,
        state: &mut State,
        claim: Claim,
        kind: SegmentKind,
        needed: u64,
    ) -> Result<Arc<Segment>> {
        let room = match kind {
            SegmentKind::Copy => SegmentRoom::Exact(needed),
            SegmentKind::Log | SegmentKind::Large => SegmentRoom::Usual(needed),
        };
        let (claim, bytes) = self.claim(state, claim, room);
        let made = self.with_room(claim, bytes, |capacity| {
            let planned = self.plan_segment(state, kind, capacity)?;
            self.make_segment(planned)
        })?;
        self.enter_segment(state, made)
    }

    /// What to ask for a segment: how many bytes, how few at least, and how many segments usually have.
    pub(super) fn claim(&self, state: &State, claim: Claim, room: SegmentRoom) -> (Claim, SegmentBytes) {
        let (sizes, allocated) = (self.config.sizes, state.allocated());
        let (capacity, least) = match room {
            SegmentRoom::Exact(bytes) => (SegmentSizes::exact(bytes), SegmentSizes::exact(bytes)),
            SegmentRoom::Usual(needed) => (sizes.capacity(allocated, needed), SegmentSizes::exact(needed)),
        };
        let claim = if state.deferred { Claim::Recovers } else { claim };
        (claim, SegmentBytes { capacity, least, usual: sizes.usual(allocated) })
    }

    /// Decides on the next segment.
    pub(super) fn plan_segment(
        &self,
        state: &mut State,
        kind: SegmentKind,
        capacity: u64,
    ) -> Result<Planned> {
        self.check_not_poisoned()?;
        self.check_directory()?;
        let number = self.segments.take_number(kind)?;
        let slot = number.number;
        let serial = state.manifest.next_serial;
        state.manifest.next_serial += 1;
        let path = self.config.directory.join(segment_name(serial));
        let entry = SegmentEntry {
            serial,
            slot,
            kind,
            sealed: false,
            capacity,
            length: SEGMENT_HEADER_BYTES as u64,
            first_sequence: 0,
            last_sequence: 0,
        };
        Ok(Planned { entry, path, number })
    }

    /// Makes the file of a segment, with its name on the device. No lock is needed for that.
    pub(super) fn make_segment(&self, planned: Planned) -> Result<Made> {
        let SegmentEntry { serial, slot, kind, capacity, .. } = planned.entry;
        let header = segment_header(self.config.identity, serial, kind, capacity);
        let (disk, directory) = (&self.config.disk, &self.config.directory);
        let mut access = self.config.access;
        access.mapped_append &= kind == SegmentKind::Log;
        let segment = Segment::create(disk, planned.path.clone(), serial, slot, capacity, &header, access)?;
        disk.sync_directory(directory).map_err(|error| {
            self.poisoned_by(Error::uncertain(format!("syncing {}", directory.display()), error))
        })?;
        Ok(Made { planned, segment })
    }

    /// Gives up a segment that no manifest names.
    pub(super) fn discard_segment(&self, made: Made) {
        let Made { planned, segment } = made;
        drop(segment);
        if !self.is_poisoned() {
            // Where that fails it is removed at the next open.
            let _best_effort = self.config.disk.remove(&planned.path);
        }
    }

    /// Puts a segment that was made into the manifest on the device.
    pub(super) fn enter_segment(&self, state: &mut State, made: Made) -> Result<Arc<Segment>> {
        let Made { planned, segment } = made;
        let SegmentEntry { serial, kind, .. } = planned.entry;
        let segment = Arc::new(segment);
        // One with a higher serial may have been made meanwhile.
        let at = state.manifest.segments.partition_point(|entry| entry.serial < serial);
        state.manifest.segments.insert(at, planned.entry);
        if let Err(error) = self.write_manifest(state) {
            if !self.is_poisoned() {
                // The manifest on the device is the one before, which does not name the file.
                state.manifest.segments.retain(|entry| entry.serial != serial);
                let _best_effort = self.config.disk.remove(&planned.path);
            }
            return Err(error);
        }
        // What recovery writes anew is not known record by record.
        let knowledge = match kind {
            _ if state.deferred => Knowledge::Nothing,
            SegmentKind::Copy => Knowledge::Later,
            SegmentKind::Log | SegmentKind::Large => Knowledge::All,
        };
        self.segments.add(
            Arc::clone(&segment),
            Salt::new(self.config.identity, serial),
            kind,
            planned.number,
            knowledge,
        )?;
        Ok(segment)
    }

    /// Puts the manifest as it is now on the device.
    pub(super) fn write_manifest(&self, state: &mut State) -> Result<()> {
        if !state.reaches_device() {
            return Ok(());
        }
        self.check_not_poisoned()?;
        self.check_directory()?;
        // Held until it is known what the new one is, so that nobody takes it for somebody else's.
        let mut manifest_file = self.manifest_file.lock();
        state.manifest.generation += 1;
        state.manifest.durable_sequence = self.durable();
        let bytes = state.manifest.encode();
        let written = self.with_room_for_manifest(bytes.len() as u64, || {
            write_manifest(&*self.config.disk, &self.config.directory, &bytes)
        });
        let identity = written.map_err(|failure| match failure {
            WriteFailure::Unchanged(error) => error,
            WriteFailure::Unknown(error) => self.poisoned_by(error),
        })?;
        *manifest_file = Some(identity);
        drop(manifest_file);
        self.mark(Some(state.manifest.generation))
    }

    /// Puts the manifest on the device as it is.
    #[cfg(test)]
    pub(crate) fn write_manifest_now(&self) -> Result<()> {
        self.write_manifest(&mut self.state())
    }

    /// The segments of a kind with what the manifest says of them, oldest first.
    pub(crate) fn segments_of(&self, kind: SegmentKind) -> Vec<(SegmentEntry, Arc<Segment>)> {
        let state = self.state();
        let guard = self.pin();
        let of_kind = state.manifest.segments.iter().filter(|entry| entry.kind == kind);
        of_kind
            .filter_map(|entry| {
                let slot = self.segments.get(entry.slot, &guard)?;
                Some((*entry, Arc::clone(&slot.segment)))
            })
            .collect()
    }

    /// The segment of this serial, if the log has it.
    pub(crate) fn segment(&self, serial: u64) -> Option<Arc<Segment>> {
        let guard = self.pin();
        self.segments.by_serial(serial, &guard).map(|slot| Arc::clone(&slot.segment))
    }

    /// The salt of a segment's checksums.
    pub(crate) fn salt(&self, serial: u64) -> Salt {
        Salt::new(self.config.identity, serial)
    }

    /// Notes the first commit that a log segment holds, as recovery has found it.
    pub(crate) fn begin_segment(&self, serial: u64, first_sequence: u64) {
        self.state().begin_segment(serial, first_sequence);
    }

    /// The last commit of all log segments that were retired.
    pub(crate) fn retired_to(&self) -> u64 {
        self.state().manifest.retired_to
    }

    /// Tells the last commit of a log that is opened for reading only.
    pub(crate) fn recovered_to(&self, sequence: u64) {
        self.appended.store(sequence, Ordering::Release);
    }

    /// Removes a file that nothing needs any more. If that fails it is removed at the next open.
    pub(crate) fn remove_file(&self, name: &str) {
        if self.check_directory().is_err() {
            return;
        }
        let _best_effort = self.config.disk.remove(&self.config.directory.join(name));
    }

    /// Gives back the room behind the end of a sealed segment.
    pub(crate) fn trim(&self, serial: u64) {
        if let Some(segment) = self.segment(serial).filter(|_| self.check_directory().is_ok()) {
            segment.trim(&*self.config.disk);
        }
    }

    /// Ends recovery: what it made is on the device, and the manifest names it from now on.
    pub(crate) fn end_recovery(&self) -> Result<()> {
        self.sync()?;
        let mut state = self.state();
        state.deferred = false;
        self.write_manifest(&mut state)
    }

    /// Creates a segment ahead when the one being appended to is more than half full. For the background.
    pub(crate) fn prepare_spare(&self) -> Result<()> {
        self.check_not_poisoned()?;
        let is_wanted = {
            let front = self.front.lock();
            let half_full = |active: &Arc<Segment>| active.published() > active.capacity() / 2;
            front.spare.is_none() && front.active().is_some_and(half_full)
        };
        let mut state = if is_wanted { self.state() } else { return Ok(()) };
        // There may be one by now; while the state is held nobody else makes one.
        if state.deferred || self.front.lock().spare.is_some() {
            return Ok(());
        }
        let spare = self.add_segment(&mut state, Claim::Adds, SegmentKind::Log, 0)?;
        self.front.lock().spare = Some(spare);
        Ok(())
    }

    /// Has pages populated ahead of the appender. For the background.
    pub(crate) fn populate_ahead(&self) -> Result<()> {
        let (active, spare) = {
            let front = self.front.lock();
            (front.active().map(Arc::clone), front.spare.clone())
        };
        if let Some(active) = active {
            let written = active.published();
            while active.populate_ahead((written / 2).clamp(POPULATE_BYTES_MIN, POPULATE_BYTES_MAX))? {}
        }
        if let Some(spare) = spare {
            while spare.populate_ahead(POPULATE_BYTES_MAX)? {}
        }
        Ok(())
    }

    /// Ends all appending. Called under the commit lock; waits for calls that write large values.
    pub(crate) fn end_appending(&self) {
        let mut pool = self.large.lock();
        self.closed.store(true, Ordering::Release);
        while pool.under_way > 0 {
            self.large_rests.wait(&mut pool);
        }
    }

    /// Ends the log in order: every length in the manifest, so that the next open believes it. Everything was synced and
    /// nobody appends any more.
    pub(crate) fn close(&self) -> Result<()> {
        // A sync that is under way may still write the manifest; after this turn none does.
        let _turn = self.sync_turns.take();
        let mut state = self.state();
        let closed = self.close_manifest(&mut state);
        state.ended = true;
        closed
    }

    fn close_manifest(&self, state: &mut State) -> Result<()> {
        self.check_not_poisoned()?;
        let (spare, log) = {
            let mut front = self.front.lock();
            (front.spare.take(), front.log.clone())
        };
        if let Some(spare) = &spare {
            state.manifest.segments.retain(|entry| entry.serial != spare.serial());
        }
        let open: Vec<Unsynced> = log.iter().chain(&state.large).cloned().collect();
        let last_sequence = self.durable();
        for one in &open {
            if let Some(last_sequence) = one.full {
                // Full since the last sync, which had nothing new to do.
                state.seal(&one.segment, last_sequence);
            } else if let Some(entry) = state.entry(one.segment.serial()) {
                entry.length = one.segment.published();
                entry.last_sequence = if entry.kind == SegmentKind::Log { last_sequence } else { 0 };
            }
        }
        state.manifest.clean = true;
        self.write_manifest(state)?;
        // From here on the directory is closed in order; giving room back is a courtesy.
        for one in &open {
            let _best_effort = one.segment.truncate_to_end();
        }
        if let Some(spare) = spare {
            let _best_effort = self.config.disk.remove(spare.path());
        }
        // What that has given back is kept for the next open, where the device is tight.
        self.room.tend(self.config.sizes.usual(state.allocated()));
        Ok(())
    }
}

/// Least that is populated ahead of the appender.
const POPULATE_BYTES_MIN: u64 = 256 << 10;
/// Most that is populated ahead of the appender.
const POPULATE_BYTES_MAX: u64 = 4 << 20;
