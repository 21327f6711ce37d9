//! What segment files say of themselves, where the manifest is lost or does not know them. For reading what is left of a
//! damaged database; no open in order ever comes here.

use std::collections::{BTreeMap, HashSet};

use super::files::HEADER;
use crate::disk::OpenMode;
use crate::error::{Error, Result};
use crate::log::{FrameWalk, LogConfig, Walked, read_mark, segment_name, serial_of_name};
use crate::manifest::{
    Manifest, NUMBER_MAX, SEGMENT_HEADER_BYTES, SEGMENTS_MAX, SegmentEntry, SegmentHeader, SegmentKind,
};
use crate::record::ALIGNMENT;
use crate::segment::Segment;

/// A segment file that no manifest names.
struct Unnamed {
    serial: u64,
    bytes: u64,
    /// `None` where it is damaged.
    header: Option<SegmentHeader>,
}

/// What a walk over the frames of a file has found.
#[derive(Debug, Default)]
struct Survey {
    /// What the file seems to be, if it has any frame.
    kind: Option<SegmentKind>,
    first_sequence: Option<u64>,
    last_sequence: u64,
    /// Behind the last thing that is not zeros, or before what a recovery had dropped.
    end: u64,
}

/// A manifest of all segment files there are: those that `known` names, as it does, and those that it cannot know, as they are.
/// `None` where nothing tells which database it is. The identity is put into the configuration as well. What is left out is
/// noted in `lost`. Nothing in the directory is changed.
pub(crate) fn complete_manifest(
    config: &mut LogConfig,
    known: Option<Manifest>,
    hash_seed: [u8; 16],
    lost: &mut Vec<String>,
) -> Result<Option<Manifest>> {
    let known = match known {
        Some(manifest) if is_of_another(config, &manifest)? => {
            lost.push("the manifest belongs to another database".to_owned());
            None
        }
        other => other,
    };
    let files = unnamed_from(config, known.as_ref().map_or(1, |manifest| manifest.next_serial))?;
    let identity = known.as_ref().map(|manifest| manifest.identity).or_else(|| most_frequent(&files));
    let Some(identity) = identity else { return Ok(None) };
    config.identity = identity;
    let marked = read_mark(&*config.disk, &config.directory, identity);
    let (marked, durable) = marked.ok().flatten().map_or((0, 0), |(mark, _)| (mark.generation, mark.durable));
    // Nothing tells which commits had been given up: all that had been on the device may have been.
    let anew = || Manifest { generation: marked, retired_to: durable, ..Manifest::new(identity, hash_seed) };
    let mut manifest = known.unwrap_or_else(anew);
    let ours = files.into_iter().filter(|file| is_ours(file, identity, lost)).collect::<Vec<_>>();
    // What says that it was the last one is not believed where anything is newer.
    manifest.clean &= ours.is_empty() && marked <= manifest.generation;
    let mut slots = free_slots(&manifest);
    let mut bound = u64::MAX;
    let mut entries = Vec::with_capacity(ours.len());
    for file in ours.into_iter().rev() {
        let Some(slot) = slots.next() else {
            lost.push(format!("segment {}: a database has not as many", file.serial));
            continue;
        };
        match entry_of(config, &file, slot, &mut bound) {
            Ok(entry) => entries.push(entry),
            Err(error) => lost.push(error.to_string()),
        }
    }
    entries.reverse();
    for entry in &entries {
        manifest.next_serial = manifest.next_serial.max(entry.serial + 1);
        manifest.durable_sequence = manifest.durable_sequence.max(entry.last_sequence);
    }
    manifest.segments.extend(entries);
    Ok(Some(manifest))
}

/// Whether segment files tell whose they are, and none is of the database of this manifest.
fn is_of_another(config: &LogConfig, manifest: &Manifest) -> Result<bool> {
    let files = unnamed_from(config, 1)?;
    let mut headers = files.iter().filter_map(|file| file.header.as_ref()).peekable();
    Ok(headers.peek().is_some() && headers.all(|header| header.identity != manifest.identity))
}

/// The segment files with serials from this one on, ascending.
fn unnamed_from(config: &LogConfig, first: u64) -> Result<Vec<Unnamed>> {
    let names = config
        .disk
        .list(&config.directory)
        .map_err(|error| Error::io(format!("listing {}", config.directory.display()), error))?;
    let mut serials: Vec<u64> = names.iter().filter_map(|name| serial_of_name(name)).collect();
    serials.retain(|serial| (first..NUMBER_MAX).contains(serial));
    serials.sort_unstable();
    Ok(serials.into_iter().map(|serial| unnamed(config, serial)).collect())
}

fn unnamed(config: &LogConfig, serial: u64) -> Unnamed {
    let path = config.directory.join(segment_name(serial));
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    let file = config.disk.open(&path, OpenMode::ReadOnly);
    let length = file.as_ref().map_or(0, |file| file.length().unwrap_or(0));
    let read = file.and_then(|file| file.read_at(&mut bytes, 0)).unwrap_or(0);
    let header = SegmentHeader::decode(bytes.get(..read).unwrap_or_default());
    Unnamed { serial, bytes: length, header }
}

/// The identity that most files have.
fn most_frequent(files: &[Unnamed]) -> Option<[u8; 16]> {
    let mut counts: BTreeMap<[u8; 16], usize> = BTreeMap::new();
    for header in files.iter().filter_map(|file| file.header.as_ref()) {
        *counts.entry(header.identity).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(identity, _)| identity)
}

/// Whether a file is what its name says, as far as can be told.
fn is_ours(file: &Unnamed, identity: [u8; 16], lost: &mut Vec<String>) -> bool {
    let reason = match &file.header {
        Some(header) if header.identity != identity => "the file belongs to another database",
        Some(header) if header.serial != file.serial => "the file is a copy of another segment",
        _ if file.bytes <= HEADER && file.header.is_none() => {
            "the file is missing, or too short for a segment"
        }
        _ => return true,
    };
    lost.push(format!("segment {}: {reason}", file.serial));
    false
}

/// The slots that no segment of a manifest has.
fn free_slots(manifest: &Manifest) -> impl Iterator<Item = u16> + use<> {
    let taken: HashSet<u16> = manifest.segments.iter().map(|entry| entry.slot).collect();
    (0..SEGMENTS_MAX as u16).filter(move |slot| !taken.contains(slot))
}

/// How a manifest would name a file. `bound` is the lowest first commit of the log segments behind it.
fn entry_of(config: &LogConfig, file: &Unnamed, slot: u16, bound: &mut u64) -> Result<SegmentEntry> {
    let header = file.header.as_ref();
    let capacity = header.map_or(file.bytes, |header| header.capacity).max(HEADER);
    let mut entry = SegmentEntry {
        serial: file.serial,
        slot,
        kind: header.map_or(SegmentKind::Large, |header| header.kind),
        sealed: true,
        capacity,
        length: file.bytes.clamp(HEADER, capacity),
        first_sequence: 0,
        last_sequence: 0,
    };
    if header.is_some_and(|header| header.kind == SegmentKind::Large) {
        return Ok(entry);
    }
    let segment = config.open_segment(&entry, entry.length, false)?;
    let survey = survey(config, &segment, header.map(|header| header.kind), *bound);
    // A file without a header and without a frame can only have large values: they are found by what names them.
    let Some(kind) = survey.kind else { return Ok(entry) };
    (entry.kind, entry.length, entry.last_sequence) = (kind, survey.end, survey.last_sequence);
    if let (SegmentKind::Log, Some(first)) = (kind, survey.first_sequence) {
        (entry.first_sequence, *bound) = (first, first.min(*bound));
    }
    Ok(entry)
}

/// Looks for frames. A recovery may have dropped commits behind a torn place, and their sequences were used again: a frame behind
/// a gap that has a sequence of a later segment ends the segment.
fn survey(config: &LogConfig, segment: &Segment, kind: Option<SegmentKind>, bound: u64) -> Survey {
    let mut survey = Survey { kind, end: HEADER, ..Survey::default() };
    let mut walk = FrameWalk::new(segment, config.salt(segment.serial()), HEADER);
    let (mut expected, mut has_gap) = (None, false);
    loop {
        let (sequence, lag) = match walk.step() {
            Ok(Walked::Frame(_, frame)) => (frame.sequence, frame.lag),
            Ok(Walked::Stopped(offset)) if offset >= segment.published() => return survey,
            Ok(Walked::Stopped(offset)) => {
                has_gap = true;
                if walk.is_nonzero().unwrap_or(true) {
                    survey.end = (offset + ALIGNMENT as u64).min(segment.published());
                }
                match walk.skip() {
                    Ok(true) => continue,
                    _ => return survey,
                }
            }
            // Whoever reads it meets the same error, and tells.
            Err(_) => return Survey { end: segment.published(), ..survey },
        };
        // A copy says that it is durable itself, which no frame of the log can.
        let kind = *survey.kind.get_or_insert(if lag == 0 { SegmentKind::Copy } else { SegmentKind::Log });
        has_gap |= expected.is_some_and(|expected| expected != sequence);
        if kind == SegmentKind::Log && has_gap && sequence >= bound {
            return survey;
        }
        expected = Some(sequence + 1);
        survey.first_sequence = Some(survey.first_sequence.map_or(sequence, |first| first.min(sequence)));
        survey.last_sequence = survey.last_sequence.max(sequence);
        survey.end = walk.position();
    }
}
