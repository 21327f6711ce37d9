//! Segments of copies, and segments that are retired.

use std::collections::HashMap;
use std::sync::Arc;

use super::Log;
use super::room::Claim;
use crate::checkpoint::SegmentState;
use crate::disk::OpenMode;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, SEGMENT_HEADER_BYTES, SegmentEntry, SegmentKind};
use crate::sabotage::{Sabotage, is_planted};
use crate::segment::Segment;

use super::segments::{LiveCount, Slot};

const HEADER: u64 = SEGMENT_HEADER_BYTES as u64;

/// A segment that nothing is appended to any more, with what is live in it.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    pub(crate) entry: SegmentEntry,
    pub(crate) segment: Arc<Segment>,
    pub(crate) live: LiveCount,
}

fn content_bytes(entry: &SegmentEntry) -> usize {
    entry.length.saturating_sub(HEADER) as usize
}

impl Log {
    /// The sealed segments of all kinds, oldest first.
    pub(crate) fn settled(&self) -> Vec<Settled> {
        let state = self.state();
        let guard = self.pin();
        let sealed = state.manifest.segments.iter().filter(|entry| entry.sealed);
        sealed
            .filter_map(|entry| {
                let slot = self.segments.get(entry.slot, &guard)?;
                let (segment, live) = (Arc::clone(&slot.segment), slot.live_count());
                Some(Settled { entry: *entry, segment, live })
            })
            .collect()
    }

    /// Creates a segment for copies with room for so many bytes of them. It is in the manifest, and means nothing before it is
    /// sealed.
    pub(crate) fn begin_copies(&self, bytes: u64) -> Result<Arc<Segment>> {
        let mut state = self.state();
        self.add_segment(&mut state, Claim::Compacts, SegmentKind::Copy, bytes)
    }

    /// Puts a segment of copies on the device and ends it. Its sequences lie between these two; where the first one is greater,
    /// nothing was copied.
    pub(crate) fn end_copies(&self, segment: &Segment, (first, last): (u64, u64)) -> Result<()> {
        self.check_not_poisoned()?;
        self.check_in_place(segment)?;
        segment.sync().map_err(|error| self.poisoned_by(error))?;
        segment.seal();
        let mut state = self.state();
        state.seal(segment, last);
        state.begin_segment(segment.serial(), if first <= last { first } else { 0 });
        self.write_manifest(&mut state)
    }

    /// Writes a manifest that no longer names these segments, nothing in which is needed any more, and that names this checkpoint
    /// with so many bytes of moves. From then on they are out of the way of every recovery. Their files are removed; who still
    /// looks into them goes on.
    pub(crate) fn retire(&self, serials: &[u64], checkpoint: Option<u64>, moves_bytes: u64) -> Result<()> {
        let mut state = self.state();
        if state.has_ended() {
            // No manifest would say it.
            return Err(Error::Closed);
        }
        let before = state.manifest.clone();
        let is_retired = |entry: &SegmentEntry| serials.contains(&entry.serial);
        let retired: Vec<SegmentEntry> =
            state.manifest.segments.iter().filter(|entry| is_retired(entry)).copied().collect();
        if is_planted(Sabotage::RemoveBeforeManifest) {
            retired.iter().for_each(|entry| self.remove_file(&super::segment_name(entry.serial)));
        }
        state.manifest.segments.retain(|entry| !is_retired(entry));
        (state.manifest.checkpoint, state.manifest.moves_bytes) = (checkpoint, moves_bytes);
        let log = retired.iter().filter(|entry| entry.kind == SegmentKind::Log);
        let retired_to = log.map(|entry| entry.last_sequence).max().unwrap_or(0);
        state.manifest.retired_to = state.manifest.retired_to.max(retired_to);
        if let Err(error) = self.write_manifest(&mut state) {
            if !self.is_poisoned() {
                // The numbers of generations go on.
                state.manifest = Manifest { generation: state.manifest.generation, ..before };
            }
            return Err(error);
        }
        if moves_bytes > 0 {
            self.segments.reserve(retired.iter().map(|entry| entry.slot));
        } else {
            self.segments.unreserve();
        }
        for entry in &retired {
            let content = content_bytes(entry) as u64;
            match entry.kind {
                SegmentKind::Log | SegmentKind::Copy => state.settled.0 -= content,
                SegmentKind::Large => state.settled.1 -= content,
            }
        }
        drop(state);
        for entry in &retired {
            let name = super::segment_name(entry.serial);
            if is_planted(Sabotage::WriteOverRetired) {
                let file = self.config.disk.open(&self.config.directory.join(&name), OpenMode::ReadWrite);
                let zeros = vec![0; content_bytes(entry)];
                let _best_effort = file.and_then(|file| file.write_all_at(&zeros, HEADER));
            }
            self.remove_file(&name);
        }
        Ok(())
    }

    /// Keeps the slots of segments that were retired in an earlier life from being given out, as those of this one are.
    pub(crate) fn reserve_slots(&self, slots: impl IntoIterator<Item = u16>) {
        self.segments.reserve(slots);
    }

    /// Gives up a retired segment. Nobody can meet its slot by a location any more.
    pub(crate) fn forget_segment(&self, serial: u64) {
        self.segments.retire(serial);
    }

    /// Seals the segment that is being appended to, so that it can be compacted; the next commit begins another one. Called
    /// under the commit lock.
    pub(crate) fn end_segment(&self, appender: &mut super::Appender) -> Result<()> {
        self.check_writable()?;
        if appender.is_at_beginning() {
            return Ok(());
        }
        self.roll(appender, Claim::Deletes, 0, self.appended())
    }

    /// Sets what is live in each segment, as a checkpoint knows it.
    pub(crate) fn set_live(&self, live: &HashMap<u64, LiveCount>) {
        let guard = self.pin();
        self.segments.for_each(&guard, |slot| {
            slot.live.set(live.get(&slot.segment.serial()).copied().unwrap_or_default());
        });
    }

    /// From here on it is known of each copy in a segment whether it is dead: all of them were moved to, or noted as dead.
    pub(crate) fn copies_are_known(&self, segment: &Segment) {
        let guard = self.pin();
        if let Some(slot) = self.segments.by_serial(segment.serial(), &guard) {
            slot.dead.know();
        }
    }

    /// Finds the segments that were opened and in which nothing is dead, and of which so all is known. Called once, when all of the
    /// log is known, under the commit lock: what is live is counted exactly then, and adds up to all there is only if nothing is
    /// dead. Where a commit of several records stands it never does.
    pub(crate) fn find_wholly_live(&self) {
        let guard = self.pin();
        self.segments.for_each(&guard, |slot| {
            let is_whole = slot.live.count().bytes == slot.segment.published().saturating_sub(HEADER);
            if slot.dead.was_opened() && is_whole {
                slot.dead.know();
            }
        });
    }

    /// Memory in which dead records are noted.
    pub(crate) fn dead_memory_bytes(&self) -> u64 {
        let guard = self.pin();
        let mut bytes = 0;
        self.segments.for_each(&guard, |slot| bytes += slot.dead.memory_bytes());
        bytes
    }

    /// What is live in each segment, those included that are retired and not forgotten. Called under the commit lock, so the
    /// state is not asked: it is held while manifests are written, and everybody who commits would wait for that.
    pub(crate) fn live_segments(&self) -> Vec<SegmentState> {
        let guard = self.pin();
        let mut segments = Vec::new();
        self.segments.for_each(&guard, |slot| {
            let live = slot.live_count();
            segments.push(SegmentState {
                serial: slot.segment.serial(),
                slot: slot.segment.slot(),
                kind: slot.kind,
                live_bytes: live.bytes,
                live_records: live.records,
                kept_bytes: 0,
            });
        });
        segments
    }

    /// What is live in one segment.
    pub(crate) fn live_in(&self, segment: &Segment) -> LiveCount {
        let guard = self.pin();
        let slot = self.segments.by_serial(segment.serial(), &guard);
        slot.map_or_else(LiveCount::default, Slot::live_count)
    }

    /// Bytes that a new log segment would have now.
    pub(crate) fn usual_segment_bytes(&self) -> u64 {
        let state = self.state();
        self.config.sizes.usual(state.allocated())
    }

    /// A serial above all that were given out.
    pub(crate) fn next_serial(&self) -> u64 {
        self.state().manifest.next_serial
    }

    /// Bytes of the newest records of all keys, and of the large values that they name.
    pub(crate) fn live_bytes(&self) -> (u64, u64) {
        let guard = self.pin();
        let (mut records, mut large) = (0, 0);
        self.segments.for_each(&guard, |slot| match slot.kind {
            SegmentKind::Log | SegmentKind::Copy => records += slot.live_count().bytes,
            SegmentKind::Large => large += slot.live_count().bytes,
        });
        (records, large)
    }
}
