//! Following a log that another process writes.
//!
//! The store has an index, an order and versions of its own. What it finds in the log behind the last commit that it knows it takes in
//! as the other process had: frame by frame, under the commit lock, each as a whole. So readers see an exact prefix of the commits,
//! which only grows, and their snapshots stay what they are.
//!
//! The other process moves records and gives up segments meanwhile. Nothing of that is followed: what this store has open stays where
//! it is, also when the file has no name any more. What is given up that way takes room on the device until the store is left for one
//! that begins with a newer checkpoint. That is due ([`Followed::Anew`]) once there is such a checkpoint, or where the log goes on
//! behind commits that were given up before they were read here.
//!
//! # Invariants
//! - A commit is taken in if it is the next one and all of it is there: its frame, and the segments that its records name.
//! - The other process writes over nothing: a segment is made, appended to, cut behind its end and removed. So what is known of a place
//!   stays true for as long as the file is open.

use std::collections::HashMap;
use std::sync::Arc;

use super::Store;
use super::commit::{Before, change_of};
use crate::disk::DiskFile;
use crate::error::{Error, Result};
use crate::location::Location;
use crate::log::{FreshFrames, Log, LogConfig, MANIFEST_NAME, open_manifest, read_manifest};
use crate::manifest::{Manifest, SEGMENT_HEADER_BYTES, SegmentEntry, SegmentKind};
use crate::options::Durability;
use crate::record::{Frame, Kind, LargePointer, Record};
use crate::recovery::{large_pointers, lost, open_segment};
use crate::segment::Segment;

const HEADER: u64 = SEGMENT_HEADER_BYTES as u64;
/// After this many records the order is maintained.
const MAINTAIN_EVERY_RECORDS: u64 = 32 << 10;

/// How far the other process's log was read.
#[derive(Debug)]
pub(super) struct Follower {
    /// As it was read last.
    manifest: Manifest,
    /// Its file. While it is open no other file can be taken for it.
    file: Arc<dyn DiskFile>,
    /// The checkpoint that this store began with.
    checkpoint: Option<u64>,
    /// The segment that is read, and where the next frame is looked for in it.
    serial: u64,
    offset: u64,
    frames: FreshFrames,
    /// Records taken in since the order was maintained.
    records: u64,
}

/// What came of following.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Followed {
    /// All that is there is known.
    All,
    /// What is there is to be opened anew.
    Anew,
}

/// Why no further frame of a segment was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    /// There is none.
    AtEnd,
    /// It names a segment that is not known here.
    Unknown,
    /// It is not the next commit.
    Gap,
}

/// Whether there is another manifest by now.
pub(super) fn has_changed(config: &LogConfig, manifest: &Manifest) -> Result<bool> {
    let now = read_manifest(&*config.disk, &config.directory)?;
    Ok(now.is_none_or(|now| now.generation != manifest.generation))
}

impl Follower {
    /// Goes on behind what was read of a log when it was opened.
    pub(super) fn new(manifest: Manifest, file: Arc<dyn DiskFile>, log: &Log) -> Follower {
        let segments = log.segments_of(SegmentKind::Log);
        let has_content = |segment: &&(SegmentEntry, Arc<Segment>)| segment.1.published() > HEADER;
        let last = segments.iter().rfind(has_content).or(segments.first());
        let (serial, offset) =
            last.map_or((0, HEADER), |(entry, segment)| (entry.serial, segment.published()));
        let (checkpoint, frames) = (manifest.checkpoint, FreshFrames::default());
        Follower { manifest, file, checkpoint, serial, offset, frames, records: 0 }
    }

    fn entry(&self, serial: u64) -> Option<&SegmentEntry> {
        self.manifest.segments.iter().find(|entry| entry.serial == serial)
    }

    /// Reads the manifest, if there is another one by now.
    fn read_manifest(&mut self, log: &Log) -> Result<bool> {
        let (disk, directory, identity) = log.place();
        let path = directory.join(MANIFEST_NAME);
        let context = |error| Error::io(format!("looking at {}", path.display()), error);
        let known = self.file.identity().map_err(context)?;
        if disk.identity(&path).map_err(context)? == Some(known) {
            return Ok(false);
        }
        let Some((manifest, file)) = open_manifest(&**disk, directory)? else {
            return Err(context(std::io::ErrorKind::NotFound.into()));
        };
        if manifest.identity != identity || manifest.generation < self.manifest.generation {
            let reason = "another database, or an older copy of this one, has taken the place of the one that was opened; \
                          close it and open it again";
            return Err(Error::corruption(0, 0, reason));
        }
        (self.manifest, self.file) = (manifest, file);
        Ok(true)
    }

    /// Opens the segments that the manifest names and the log does not have. Copies are left out: what they were made of is still open
    /// here. `false` where one is gone already, so that there is another manifest.
    fn open_segments(&self, log: &Log) -> Result<bool> {
        for entry in self.manifest.segments.iter().filter(|entry| entry.kind != SegmentKind::Copy) {
            if log.has_segment(entry.serial) {
                continue;
            }
            // What is not whole may be sealed later than this was read.
            let is_appended_to = SegmentEntry { sealed: false, ..*entry };
            match log.adopt(is_appended_to, |config, entry| open_segment(config, entry, true)) {
                Err(Error::Corruption { offset: 0, .. }) => return Ok(false),
                other => other?,
            }
        }
        Ok(true)
    }

    /// Whether the store keeps files that no other process needs, and one that begins now would not.
    fn is_outdated(&self, log: &Log) -> bool {
        let is_given_up = |serial: &u64| self.entry(*serial).is_none();
        self.manifest.checkpoint != self.checkpoint && log.serials().iter().any(is_given_up)
    }
}

impl Store {
    /// Takes in what the other process has committed since.
    pub(crate) fn follow(&self) -> Result<Followed> {
        let Some(follower) = &self.follower else { return Ok(Followed::All) };
        let follower = &mut *follower.lock();
        loop {
            let stopped = self.take_frames(follower)?;
            if stopped == Stopped::AtEnd && self.goes_on(follower)? {
                continue;
            }
            if stopped == Stopped::Gap {
                return Ok(Followed::Anew);
            }
            if !follower.read_manifest(&self.log)? {
                // A segment is named before anything is put into it, so what is unknown now was given up.
                if stopped == Stopped::Unknown {
                    return Ok(Followed::Anew);
                }
                break;
            }
            if !follower.open_segments(&self.log)? && !follower.read_manifest(&self.log)? {
                return Ok(Followed::Anew);
            }
        }
        Ok(if follower.is_outdated(&self.log) { Followed::Anew } else { Followed::All })
    }

    /// Takes in the frames of the segment that is read.
    fn take_frames(&self, follower: &mut Follower) -> Result<Stopped> {
        let Some(segment) = self.log.segment(follower.serial) else { return Ok(Stopped::AtEnd) };
        let salt = self.log.salt(follower.serial);
        loop {
            let offset = follower.offset;
            let Some(frame) = follower.frames.at(&segment, salt, offset)? else { return Ok(Stopped::AtEnd) };
            let (end, known) = (offset + frame.bytes as u64, self.log.appended());
            if frame.sequence > known + 1 {
                return Ok(Stopped::Gap);
            }
            // What a recovery has written anew is known from where it stood before.
            if frame.sequence == known + 1 {
                let names_unknown = |pointer: LargePointer| !self.log.has_segment(pointer.serial);
                if large_pointers(&frame).any(names_unknown) {
                    return Ok(Stopped::Unknown);
                }
                segment.follow_to(end);
                follower.records += self.take(&segment, offset, &frame)?;
            } else {
                segment.follow_to(end);
            }
            follower.offset = end;
            if follower.records >= MAINTAIN_EVERY_RECORDS {
                follower.records = 0;
                while self.maintain_order() {}
            }
        }
    }

    /// Goes to the segment in which the log goes on, if it does so in one that is known.
    fn goes_on(&self, follower: &mut Follower) -> Result<bool> {
        let last = self.log.appended();
        for serial in self.log.serials_behind(follower.serial) {
            let Some(segment) = self.log.segment(serial) else { continue };
            // One that was passed over stays empty for ever.
            let Some(frame) = follower.frames.at(&segment, self.log.salt(serial), HEADER)? else { continue };
            if frame.sequence > last + 1 && follower.manifest.retired_to <= last {
                // Commits before it are still to come from where the log was read.
                return Ok(false);
            }
            if let Some(ended) = self.log.segment(follower.serial) {
                self.log.ends(&ended, last);
            }
            (follower.serial, follower.offset) = (serial, HEADER);
            return Ok(true);
        }
        Ok(false)
    }

    /// Takes in one commit, as a whole. Gives how many records it has.
    fn take(&self, segment: &Segment, offset: u64, frame: &Frame<'_>) -> Result<u64> {
        let committer = &mut *self.committer.lock();
        // What has many records is hidden while it is published, by way of the version table.
        let is_one = frame.records().nth(1).is_none();
        let durability = if is_one { Durability::Buffered } else { Durability::Sync };
        let mut taken = Vec::new();
        let mut newest: HashMap<(u16, &[u8]), usize> = HashMap::new();
        for (at, record) in frame.records() {
            if record.shape.kind == Kind::Keyspace {
                self.keys.learn_keyspace((segment.serial(), offset), &record, false)?;
                continue;
            }
            let (keyspace, key) = (record.shape.keyspace, record.key);
            let location = Location::new(segment.slot(), offset + at as u64)
                .ok_or_else(|| lost(segment.serial(), offset, frame.sequence))?;
            let hash = self.keys.hash(keyspace, key);
            let before = self.look_up(hash, keyspace, key, durability)?;
            if let Some(number) = newest.insert((keyspace, key), taken.len()) {
                mark_overtaken(&mut taken, number);
            }
            taken.push((before, hash, location, record));
        }
        // From here on nothing can fail.
        let sequence = frame.sequence;
        self.log.recovered_to(sequence);
        let mut publish = || {
            for (before, hash, location, record) in &taken {
                if before.overtaken {
                    self.log.note_dead(*location, &self.log.pin());
                    continue;
                }
                let change = change_of(record, *hash, *location, before.old);
                let value = (change.kind == Kind::Put).then_some(record.value);
                self.publish(&change, before, segment.serial(), value, sequence, &mut committer.ordered_key);
            }
        };
        if is_one {
            publish();
            self.show_unless_hiding(sequence);
        } else {
            self.publish_as_one(sequence, publish);
        }
        Ok(taken.len() as u64)
    }
}

type Taken<'a> = (Before, u64, Location, Record<'a>);

fn mark_overtaken(taken: &mut [Taken<'_>], number: usize) {
    if let Some((before, ..)) = taken.get_mut(number) {
        before.overtaken = true;
    }
}
