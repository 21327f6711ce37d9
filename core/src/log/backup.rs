//! The log as a backup takes it: the segments as they were at one commit, and how each comes into another directory.
//!
//! # Invariant
//! A file gets a second name only while a manifest on the device says that it is sealed. Nothing writes into a sealed segment, and
//! neither database ever cuts one below the end that its manifest names: what is cut at an open was open before it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest_file::segment_name;
use super::{Log, create_manifest};
use crate::disk::OpenMode;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, SEGMENT_HEADER_BYTES, SegmentEntry, SegmentKind};
use crate::segment::Segment;

const HEADER: u64 = SEGMENT_HEADER_BYTES as u64;
/// How much is copied at once.
const COPY_BYTES: u64 = 1 << 20;

/// The segments as they were at one commit.
#[derive(Debug)]
pub(crate) struct LogImage {
    /// Whose segments are the parts, sealed where they ended.
    manifest: Manifest,
    pub(crate) parts: Vec<ImagePart>,
}

/// One segment of an image.
#[derive(Debug)]
pub(crate) struct ImagePart {
    /// As the image's manifest names it.
    entry: SegmentEntry,
    segment: Arc<Segment>,
    /// Whether a manifest on the device names it just so, so that its file may be shared.
    is_sealed: bool,
}

impl LogImage {
    /// The last commit that is in it.
    pub(crate) fn sequence(&self) -> u64 {
        self.manifest.durable_sequence
    }
}

impl Log {
    /// The segments up to the last commit. Called under the commit lock, while nobody compacts.
    pub(crate) fn image(&self) -> LogImage {
        let state = self.state();
        let sequence = self.appended();
        let full: HashMap<u64, Option<u64>> =
            self.front.lock().log.iter().map(|one| (one.segment.serial(), one.full)).collect();
        let guard = self.pin();
        let parts = state.manifest.segments.iter().filter_map(|entry| {
            let segment = Arc::clone(&self.segments.get(entry.slot, &guard)?.segment);
            // Copies that were given up half-way mean nothing, nor does what was created ahead.
            let is_used = entry.sealed || entry.kind != SegmentKind::Copy;
            let length = if entry.sealed { entry.length } else { segment.published() };
            let last_sequence = match full.get(&entry.serial) {
                Some(full) if !entry.sealed => full.unwrap_or(sequence),
                _ => entry.last_sequence,
            };
            let entry = SegmentEntry { sealed: true, length, last_sequence, ..*entry };
            (is_used && length > HEADER).then_some(ImagePart { entry, segment, is_sealed: false })
        });
        let parts: Vec<ImagePart> = parts.collect();
        let manifest = Manifest {
            durable_sequence: sequence,
            clean: true,
            checkpoint: None,
            moves_bytes: 0,
            segments: parts.iter().map(|part| part.entry).collect(),
            ..state.manifest.clone()
        };
        LogImage { manifest, parts }
    }

    /// Puts on the device which segments are sealed by now, and notes in the image which of them may be shared.
    pub(crate) fn settle_image(&self, image: &mut LogImage) -> Result<()> {
        let mut state = self.state();
        self.write_manifest(&mut state)?;
        let sealed = state.manifest.segments.iter().filter(|entry| entry.sealed);
        let ends: HashMap<u64, u64> = sealed.map(|entry| (entry.serial, entry.length)).collect();
        for part in &mut image.parts {
            part.is_sealed = ends.get(&part.entry.serial) == Some(&part.entry.length);
        }
        Ok(())
    }

    /// Brings one segment of an image into another directory. Tells how many bytes were copied; 0 where the file was given a
    /// second name. `go_on` is asked from time to time.
    pub(crate) fn link_or_copy(
        &self,
        part: &ImagePart,
        target: &Path,
        go_on: &dyn Fn() -> Result<()>,
    ) -> Result<u64> {
        go_on()?;
        self.check_in_place(&part.segment)?;
        let (disk, path) = (&self.config.disk, part.path(target));
        if part.is_sealed && disk.link(part.segment.path(), &path).is_ok() {
            return Ok(0);
        }
        self.copy_part(part, &path, go_on)?;
        Ok(part.entry.length)
    }

    fn copy_part(&self, part: &ImagePart, path: &Path, go_on: &dyn Fn() -> Result<()>) -> Result<()> {
        let failed = |error| Error::io(format!("copying a segment to {}", path.display()), error);
        let file = self.config.disk.open(path, OpenMode::CreateNew).map_err(failed)?;
        let (mut at, end) = (0, part.entry.length);
        while at < end {
            go_on()?;
            let bytes = part.segment.read(at, COPY_BYTES.min(end - at) as usize)?;
            file.write_all_at(&bytes, at).map_err(failed)?;
            at += bytes.len() as u64;
        }
        file.sync().map_err(failed)
    }

    /// Makes a database of the segments of an image that are in a directory: puts their names on the device, and then a manifest.
    pub(crate) fn name_image(&self, image: &LogImage, target: &Path) -> Result<()> {
        let disk = &*self.config.disk;
        disk.sync_directory(target)
            .map_err(|error| Error::io(format!("syncing {}", target.display()), error))?;
        create_manifest(disk, target, &image.manifest)
    }
}

impl ImagePart {
    /// Where its file is in a directory.
    pub(crate) fn path(&self, directory: &Path) -> PathBuf {
        directory.join(segment_name(self.entry.serial))
    }
}
