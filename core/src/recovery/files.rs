//! The segment files of a directory: those that the manifest names, opened, and those that it does not name.

use std::sync::Arc;

use crate::checksum::Salt;
use crate::disk::OpenMode;
use crate::error::{Error, Result};
use crate::log::{FrameWalk, Log, LogConfig, OpenedSegment, Walked, segment_name, serial_of_name};
use crate::manifest::{
    Manifest, SEGMENT_HEADER_BYTES, SegmentEntry, SegmentKind, check_segment_header, is_header_of_another,
};
use crate::segment::Segment;

use super::Start;
use super::tail::Found;

pub(super) const HEADER: u64 = SEGMENT_HEADER_BYTES as u64;
/// How far beyond the manifest's next serial an interrupted recovery can have come.
const SERIALS_AHEAD_MAX: u64 = 1 << 20;

/// A segment as it is opened first: sealed ones up to their end, open ones as far as the file goes.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) entry: SegmentEntry,
    pub(super) segment: Arc<Segment>,
}

/// The segments as the log goes on with them.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) opened: Vec<OpenedSegment>,
    /// What was open at an unclean end: the tail is read from here.
    pub(super) scanned: Vec<Scanned>,
    /// Serials of segments that were cut.
    cut: Vec<u64>,
    /// Serials of segments of which nothing is kept.
    dropped: Vec<u64>,
}

impl LogConfig {
    pub(super) fn open_segment(&self, entry: &SegmentEntry, end: u64, resume: bool) -> Result<Segment> {
        let path = self.directory.join(segment_name(entry.serial));
        let mut access = self.access;
        access.mapped_append &= entry.kind == SegmentKind::Log;
        let opened =
            Segment::open(&self.disk, path, entry.serial, entry.slot, entry.capacity, end, access, resume);
        opened.map_err(|error| match error {
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Error::corruption(entry.serial, 0, "the segment's file is missing")
            }
            other => other,
        })
    }

    pub(super) fn salt(&self, serial: u64) -> Salt {
        Salt::new(self.identity, serial)
    }
}

/// Takes out of a manifest the copies that compaction had not finished, or that no checkpoint has come to know: the records that
/// they were made of are still where they were. Without a checkpoint every finished copy counts.
pub(super) fn without_unfinished_copies(
    mut manifest: Manifest,
    start: Option<&Start>,
) -> (Manifest, Vec<u64>) {
    let counts = |entry: &SegmentEntry| {
        let is_known = start.is_none_or(|start| start.copies.contains(&entry.serial));
        entry.kind != SegmentKind::Copy || entry.sealed && is_known
    };
    let (kept, dropped): (Vec<_>, Vec<_>) = manifest.segments.into_iter().partition(counts);
    manifest.segments = kept;
    (manifest, dropped.into_iter().map(|entry| entry.serial).collect())
}

/// Opens every segment that the manifest names and checks its header and its length.
pub(super) fn open_all(config: &LogConfig, manifest: &Manifest) -> Result<Vec<Scanned>> {
    let mut files = Vec::with_capacity(manifest.segments.len());
    for entry in &manifest.segments {
        let exact = entry.sealed || manifest.clean;
        let end = if exact { entry.length } else { entry.capacity };
        // A file has its whole capacity on the device before the manifest names it, and keeps it while it is open.
        let segment = config.open_segment(entry, end, false)?;
        if manifest.clean && !entry.sealed && entry.kind == SegmentKind::Log {
            check_nothing_follows(config, manifest, entry)?;
        }
        check_segment(config, &segment, entry, end)?;
        files.push(Scanned { entry: *entry, segment: Arc::new(segment) });
    }
    Ok(files)
}

/// Refuses a file that has not so many bytes, or the header of another one.
pub(super) fn check_segment(
    config: &LogConfig,
    segment: &Segment,
    entry: &SegmentEntry,
    end: u64,
) -> Result<()> {
    if segment.published() < end {
        return Err(Error::corruption(
            entry.serial,
            segment.published(),
            format!("the segment's file ends here, it had {end} bytes: it was cut"),
        ));
    }
    check_segment_header(&segment.read_at_most(0, SEGMENT_HEADER_BYTES)?, config.identity, entry)
}

/// Refuses a manifest of an orderly end after which the database was written to: it is an old copy. The commit that came
/// next stands right behind the recorded end.
fn check_nothing_follows(config: &LogConfig, manifest: &Manifest, entry: &SegmentEntry) -> Result<()> {
    let segment = config.open_segment(entry, entry.capacity, false)?;
    let mut walk = FrameWalk::only(&segment, config.salt(entry.serial), entry.length);
    match walk.step()? {
        Walked::Frame(offset, frame) if frame.sequence > manifest.durable_sequence => Err(Error::corruption(
            entry.serial,
            offset,
            "the segment goes on behind the end that the manifest names, which is an old copy; restore the one that \
             belongs to the segments",
        )),
        _ => Ok(()),
    }
}

/// Opens what is there, for reading a damaged database. What is missing is noted.
pub(super) fn open_as_they_are(
    config: &LogConfig,
    manifest: &Manifest,
    damaged: &mut Vec<String>,
) -> Vec<OpenedSegment> {
    let mut opened = Vec::new();
    for entry in &manifest.segments {
        let end = if entry.sealed || manifest.clean { entry.length } else { entry.capacity };
        let segment = match config.open_segment(entry, end, false) {
            Ok(segment) => Arc::new(segment),
            Err(error) => {
                damaged.push(error.to_string());
                continue;
            }
        };
        if segment.published() < end {
            let (serial, found) = (entry.serial, segment.published());
            damaged.push(format!("segment {serial}: the file ends at {found}, it had {end} bytes"));
        }
        let header = segment.read_at_most(0, SEGMENT_HEADER_BYTES);
        if let Err(error) = header.and_then(|header| check_segment_header(&header, manifest.identity, entry))
        {
            damaged.push(error.to_string());
        }
        opened.push(OpenedSegment { entry: *entry, segment, resumes: false });
    }
    opened
}

/// Turns the segments into those that the log goes on with: what was sealed stays, what was closed in order resumes, and
/// what was open at an unclean end is sealed where its durable content ends.
pub(super) fn settle(config: &LogConfig, files: Vec<Scanned>, found: &Found) -> Result<Settled> {
    let mut settled = Settled { opened: vec![], scanned: vec![], cut: vec![], dropped: vec![] };
    for file in files {
        let mut entry = file.entry;
        if entry.sealed {
            settled.opened.push(OpenedSegment { entry, segment: file.segment, resumes: false });
        } else if found.clean {
            settled.opened.push(resume(config, entry, file.segment));
        } else {
            // What the manifest knows to be durable stays: values there may be named by segments that are sealed.
            let cut = found.cut(entry.serial).map_or(entry.length, |cut| entry.length.max(cut));
            let cut = cut.min(entry.capacity);
            if cut > HEADER {
                (entry.sealed, entry.length) = (true, cut);
                settled.cut.push(entry.serial);
                let part = found.durable_part(entry.serial);
                entry.first_sequence = part.map_or(0, |part| part.first);
                entry.last_sequence = part.map_or(0, |part| part.last);
                let segment = Arc::new(config.open_segment(&entry, cut, false)?);
                settled.opened.push(OpenedSegment { entry, segment, resumes: false });
            } else {
                settled.dropped.push(entry.serial);
            }
            settled.scanned.push(file);
        }
    }
    Ok(settled)
}

/// Goes on in a segment that was closed in order, or, where there is no room to, leaves it as it is: the next write
/// then asks for a new one and tells that the device is full.
fn resume(config: &LogConfig, mut entry: SegmentEntry, scanned: Arc<Segment>) -> OpenedSegment {
    let resumed = config.open_segment(&entry, entry.length, true);
    // The length of the file is on the device before the manifest says that the segment is open.
    match resumed.and_then(|segment| segment.sync().map(|()| segment)) {
        Ok(segment) => OpenedSegment { entry, segment: Arc::new(segment), resumes: true },
        Err(_) => {
            entry.sealed = true;
            OpenedSegment { entry, segment: scanned, resumes: false }
        }
    }
}

impl Settled {
    /// Gives back the room behind the cuts and removes what nothing is kept of. The manifest on the device no longer
    /// needs any of it.
    pub(super) fn trim(self, log: &Log) {
        drop(self.scanned);
        for serial in self.cut {
            log.trim(serial);
        }
        for serial in self.dropped {
            log.remove_file(&segment_name(serial));
        }
    }
}

/// Segment files that the manifest does not name.
#[derive(Debug)]
pub(super) struct Unnamed {
    serials: Vec<u64>,
    /// Those that are copies of other segments. They are left alone, and their serials are not used.
    strange: Vec<u64>,
    /// Whether the manifest had been written by a close in order.
    clean: bool,
    /// Serials that the manifest does not know of: the files were made after it was written.
    unknown_from: u64,
}

/// Whether a directory has any segment file.
pub(crate) fn has_segments(names: &[String]) -> bool {
    names.iter().any(|name| serial_of_name(name).is_some())
}

/// Finds the segment files that the manifest does not name.
pub(super) fn unnamed(config: &LogConfig, manifest: &Manifest) -> Result<Unnamed> {
    let names = config
        .disk
        .list(&config.directory)
        .map_err(|error| Error::io(format!("listing {}", config.directory.display()), error))?;
    let is_named = |serial: &u64| manifest.segments.iter().any(|entry| entry.serial == *serial);
    // A name far beyond any serial that can have been given out is not ours.
    let bound = manifest.next_serial.saturating_add(SERIALS_AHEAD_MAX);
    let may_be_ours = |serial: &u64| !is_named(serial) && *serial < bound;
    let serials = names.iter().filter_map(|name| serial_of_name(name)).filter(may_be_ours);
    let (strange, serials) = serials.partition(|serial| is_strange(config, *serial));
    Ok(Unnamed { serials, strange, clean: manifest.clean, unknown_from: manifest.next_serial })
}

/// Whether a file is another segment under this one's name: a copy that somebody has put there.
fn is_strange(config: &LogConfig, serial: u64) -> bool {
    let path = config.directory.join(segment_name(serial));
    let mut header = [0; SEGMENT_HEADER_BYTES];
    let file = config.disk.open(&path, OpenMode::ReadOnly);
    let read = file.and_then(|file| file.read_at(&mut header, 0));
    read.is_ok_and(|read| {
        is_header_of_another(header.get(..read).unwrap_or_default(), config.identity, serial)
    })
}

impl Unnamed {
    /// A serial above every one that was ever used, these files' included.
    pub(super) fn next_serial(&self, manifest: &Manifest) -> u64 {
        let highest = self.serials.iter().chain(&self.strange).copied().max().unwrap_or(0);
        manifest.next_serial.max(highest.saturating_add(1))
    }

    /// Refuses a manifest that is older than the segments: a commit newer than the log's last one stands in a segment
    /// that it does not name.
    ///
    /// Not every such commit tells that. A serial that the manifest has given out and does not name is done with. And
    /// behind an unclean end an interrupted recovery may have left copies of commits that were only in memory then,
    /// and went with the power later: of them only a watermark tells, because that had been on the device.
    pub(super) fn check_is_older(&self, config: &LogConfig, last_sequence: u64) -> Result<()> {
        for serial in self.serials.iter().filter(|serial| **serial >= self.unknown_from) {
            let path = config.directory.join(segment_name(*serial));
            let file = config.disk.open(&path, OpenMode::ReadOnly);
            let Ok(capacity) = file.and_then(|file| file.length()) else { continue };
            if capacity <= HEADER {
                continue;
            }
            let entry = SegmentEntry {
                serial: *serial,
                slot: 0,
                kind: SegmentKind::Log,
                sealed: true,
                capacity,
                length: capacity,
                first_sequence: 0,
                last_sequence: 0,
            };
            let segment = config.open_segment(&entry, capacity, false)?;
            let mut walk = FrameWalk::new(&segment, config.salt(*serial), HEADER);
            while let Walked::Frame(offset, frame) = walk.step()? {
                let known = if self.clean { frame.sequence } else { frame.watermark() };
                if known > last_sequence {
                    return Err(Error::corruption(
                        *serial,
                        offset,
                        "the segment has commits that are newer than the manifest, which does not name it; \
                         restore the manifest that belongs to it",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Removes the files: what an interrupted creation or recovery left. Before anything new is written, so that attempts
    /// that fail do not add up.
    pub(super) fn remove(&self, config: &LogConfig) {
        for serial in &self.serials {
            let _best_effort = config.disk.remove(&config.directory.join(segment_name(*serial)));
        }
    }
}
