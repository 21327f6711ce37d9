//! The tail on a full device: where there is no room to write it anew, it is written over itself.
//!
//! The same bytes go to the same places, so whatever a crash leaves of that is what was there before, and recovery starts over.
//! The pages of good frames are dirty again by it, also those of which a failed write-back has been forgotten, so a sync that
//! succeeds says that they are on the device. From then on they are durable like the rest.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::checksum::Salt;
use crate::disk::{DiskFile, OpenMode};
use crate::error::{Error, Result};
use crate::log::{LogConfig, Walked, segment_name};
use crate::segment::Segment;

use super::files::Scanned;
use super::tail::{Found, GoodFrame, Walks, large_pointers, large_segments};

/// How much is written at once.
const PIECE_BYTES: u64 = 1 << 20;

/// The files that are written to, by serial.
struct InPlace<'a> {
    config: &'a LogConfig,
    files: BTreeMap<u64, Arc<dyn DiskFile>>,
}

/// Puts the tail on the device where it stands. It counts as durable then.
pub(super) fn put_on_device(config: &LogConfig, scanned: &[Scanned], found: &mut Found) -> Result<()> {
    let mut in_place = InPlace { config, files: BTreeMap::new() };
    let mut walks = Walks::default();
    let open = scanned.iter().filter(|file| !file.entry.sealed);
    let open: HashMap<u64, &Arc<Segment>> = open.map(|file| (file.entry.serial, &file.segment)).collect();
    let large = large_segments(scanned);
    for good in std::mem::take(&mut found.tail) {
        let GoodFrame { serial, offset, end, .. } = good;
        let Some(segment) = open.get(&serial) else { continue };
        in_place.write_again(segment, offset, end)?;
        let walk = walks.at(segment, Salt::new(config.identity, serial), offset);
        let Walked::Frame(_, frame) = walk.step()? else {
            return Err(Error::corruption(serial, offset, "a commit changed while it was read"));
        };
        for pointer in large_pointers(&frame) {
            // What is in segments that are sealed is on the device.
            if let Some(values) = open.get(&pointer.serial).filter(|_| large.contains_key(&pointer.serial)) {
                in_place.write_again(values, pointer.offset, pointer.offset + pointer.stored_bytes())?;
            }
        }
        found.is_durable_now(&good, &frame, &large);
    }
    in_place.sync()
}

impl InPlace<'_> {
    fn failed(&self, what: &str, serial: u64, error: std::io::Error) -> Error {
        let path = self.config.directory.join(segment_name(serial));
        Error::io(format!("{what} the segment {}", path.display()), error)
    }

    fn write_again(&mut self, segment: &Segment, start: u64, end: u64) -> Result<()> {
        let serial = segment.serial();
        let file = match self.files.get(&serial) {
            Some(file) => Arc::clone(file),
            None => {
                let file = self.config.disk.open(segment.path(), OpenMode::ReadWrite);
                let file = file.map_err(|error| self.failed("opening", serial, error))?;
                self.files.insert(serial, Arc::clone(&file));
                file
            }
        };
        let end = end.min(segment.published());
        let mut at = start;
        while at < end {
            // By way of a buffer: a write from a map of the same pages would wait for itself on some systems.
            let mut piece = vec![0; (end - at).min(PIECE_BYTES) as usize];
            segment.read_into(at, &mut piece)?;
            file.write_all_at(&piece, at)
                .map_err(|error| self.failed("writing the end of", serial, error))?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.files.iter().try_for_each(|(serial, file)| {
            file.sync().map_err(|error| self.failed("syncing", *serial, error))
        })
    }
}
