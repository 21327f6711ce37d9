//! Opening a database that another process may be writing to, or that cannot be written to at all. Nothing in the directory is
//! changed.
//!
//! What is served is an exact prefix of the commits, as everywhere. Where the other process removes a file that the manifest names
//! while it is being opened, that is an error here; whoever opens then reads the manifest again.

use std::sync::Arc;

use super::files::{self, HEADER};
use super::replay::{lost, replay};
use super::{Recovery, Start, Visit};
use crate::error::Result;
use crate::log::{FreshFrames, Log, LogConfig, OpenedSegment, check_mark, read_mark};
use crate::manifest::{Manifest, SegmentEntry, SegmentKind};
use crate::segment::Segment;

/// Opens the log that a manifest describes, as far as it has come by now, and shows every record of it.
pub(crate) fn open_beside(
    config: LogConfig,
    manifest: Manifest,
    start: Option<&Start>,
    visit: &mut dyn Visit,
) -> Result<(Log, Recovery)> {
    let mut recovery = Recovery { clean: manifest.clean, ..Recovery::default() };
    // Read before the segments are, so that they have what it tells of.
    let mark = read_mark(&*config.disk, &config.directory, config.identity)?;
    check_mark(mark.as_ref(), &manifest)?;
    let (mut manifest, _) = files::without_unfinished_copies(manifest, start);
    let mut opened = Vec::with_capacity(manifest.segments.len());
    for entry in &manifest.segments {
        let segment = open_segment(&config, entry, !entry.sealed && !manifest.clean)?;
        opened.push(OpenedSegment { entry: *entry, segment, resumes: !entry.sealed });
    }
    let (last, place) = find_end(&config, &manifest, &opened)?;
    let durable = manifest.durable_sequence.max(mark.map_or(0, |(mark, _)| mark.durable));
    if last < durable {
        return Err(lost(place.0, place.1, last + 1));
    }
    let (clean, open) = (manifest.clean, open_serials(&manifest));
    manifest.durable_sequence = last;
    let log = Log::assemble(config, manifest, None, opened)?;
    visit.begin(&log)?;
    let was_read = |serial| !clean && open.contains(&serial);
    replay(&log, start, last, &was_read, &mut recovery, visit)?;
    visit.end(&log)?;
    Ok((log, recovery))
}

fn open_serials(manifest: &Manifest) -> Vec<u64> {
    manifest.segments.iter().filter(|entry| !entry.sealed).map(|entry| entry.serial).collect()
}

/// Opens a segment that a manifest names and checks its header; where nothing is appended to it also its length. Of a log segment that
/// is appended to nothing is known yet.
pub(crate) fn open_segment(
    config: &LogConfig,
    entry: &SegmentEntry,
    is_appended_to: bool,
) -> Result<Arc<Segment>> {
    let end = match entry.kind {
        _ if !is_appended_to => entry.length,
        SegmentKind::Log => HEADER,
        // Read only where a record says that a value stands.
        SegmentKind::Copy | SegmentKind::Large => entry.capacity,
    };
    let segment = config.open_segment(entry, end, false)?;
    files::check_segment(config, &segment, entry, if is_appended_to { 0 } else { end })?;
    Ok(Arc::new(segment))
}

/// The last commit, and where the next one would stand: serial and offset. Moves the borders of segments that are appended to.
fn find_end(config: &LogConfig, manifest: &Manifest, opened: &[OpenedSegment]) -> Result<(u64, (u64, u64))> {
    let log = || opened.iter().filter(|one| one.entry.kind == SegmentKind::Log);
    let mut place = log().next_back().map_or((0, 0), |one| (one.entry.serial, one.segment.published()));
    if manifest.clean {
        return Ok((manifest.durable_sequence, place));
    }
    let sealed = log().filter(|one| one.entry.sealed).map(|one| one.entry.last_sequence).max();
    let mut last = sealed.unwrap_or(0).max(manifest.retired_to);
    let mut frames = FreshFrames::default();
    for OpenedSegment { entry, segment, .. } in log().filter(|one| !one.entry.sealed) {
        let salt = config.salt(entry.serial);
        while let Some(frame) =
            frames.at(segment, salt, segment.published())?.filter(|frame| frame.sequence == last + 1)
        {
            let end = segment.published() + frame.bytes as u64;
            segment.follow_to(end);
            last += 1;
            place = (entry.serial, end);
        }
    }
    Ok((last, place))
}
