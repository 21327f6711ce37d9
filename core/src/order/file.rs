//! Run files: where they are, how they are read, and how they go away.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::block::{Block, SEARCHED_BYTES, block_crc};
use super::directory::{Directory, Place};
use super::footer::{FOOTER_BYTES, Footer, HEADER_BYTES, is_header};
use crate::checksum::{Salt, crc32c};
use crate::disk::{Disk, FileIdentity};
use crate::error::{Error, Result};
use crate::numbered::{number_of_name, numbered_name};
use crate::prefetch::prefetch_all;
use crate::record::u32_at;
use crate::segment::{Access, Segment, Slice};

const RUN_SUFFIX: &str = ".run";
/// Blocks of a file without a map that are kept for the next reader.
const RECENT_BLOCKS: usize = 4;

/// Where run files are kept.
#[derive(Debug, Clone)]
pub(crate) struct RunFiles {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) directory: PathBuf,
    /// Of the database.
    pub(crate) identity: [u8; 16],
    /// Whether files are read through maps.
    pub(crate) mapped: bool,
    /// Bytes written to files so far.
    pub(crate) written: Arc<AtomicU64>,
}

/// The name of a run's file.
fn run_name(number: u64) -> String {
    numbered_name(number, RUN_SUFFIX)
}

impl RunFiles {
    /// Bytes written to files so far.
    pub(super) fn bytes_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(super) fn count_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn path(&self, number: u64) -> PathBuf {
        self.directory.join(run_name(number))
    }

    pub(super) fn salt(&self, number: u64) -> Salt {
        Salt::new(self.identity, number)
    }

    /// Removes every run file of the directory that is not in `keep`, as far as that can be: for when nothing else uses the
    /// directory yet. What stays is in nobody's way.
    pub(crate) fn remove_all_but(&self, keep: &[u64]) {
        let numbers = self.disk.list(&self.directory).unwrap_or_default();
        for number in numbers.iter().filter_map(|name| number_of_name(name, RUN_SUFFIX)) {
            if !keep.contains(&number) {
                let _best_effort = self.disk.remove(&self.path(number));
            }
        }
    }

    /// Removes a file, if it is still the one that this identity names: by now the directory may be somebody else's. Best
    /// effort; what stays is removed when the database is opened again.
    pub(super) fn remove(&self, number: u64, identity: FileIdentity) {
        let path = self.path(number);
        if self.disk.identity(&path).is_ok_and(|found| found == Some(identity)) {
            let _best_effort = self.disk.remove(&path);
        }
    }

    pub(super) fn open_segment(&self, number: u64, bytes: u64) -> Result<Arc<Segment>> {
        let access = Access { mapped_append: false, mapped_reads: self.mapped };
        let path = self.path(number);
        Ok(Arc::new(Segment::open(&self.disk, path, number, 0, bytes, bytes, access, false)?))
    }
}

/// How far a file is known to be on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Synced {
    NotYet,
    Yes,
    /// A sync has failed, and a later one would say nothing: the file must not be relied on.
    Never,
}

/// The blocks of one run, in a file.
pub(super) struct RunFile {
    files: RunFiles,
    number: u64,
    salt: Salt,
    /// Reads the file as it would a segment: it is one more file whose bytes never change.
    segment: Arc<Segment>,
    /// A bit for each block whose checksum was found to be right.
    verified: Box<[AtomicU64]>,
    /// Blocks read last, where there is no map.
    recent: Mutex<Vec<(u64, Arc<Block>)>>,
    synced: AtomicU8,
}

impl RunFile {
    /// A file that was written to its end and has so many blocks.
    pub(super) fn new(
        files: &RunFiles,
        number: u64,
        segment: Arc<Segment>,
        blocks: usize,
        synced: Synced,
    ) -> Self {
        Self {
            files: files.clone(),
            number,
            salt: files.salt(number),
            segment,
            verified: (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            recent: Mutex::default(),
            synced: AtomicU8::new(synced as u8),
        }
    }

    /// Opens a file that is on the device and reads its directory. Its blocks are not looked at.
    pub(super) fn open(files: &RunFiles, number: u64, bytes: u64, entries: u64) -> Result<(Self, Directory)> {
        let segment = files.open_segment(number, bytes)?;
        let file = Self::new(files, number, segment, 0, Synced::Yes);
        let footer_at = bytes
            .checked_sub(FOOTER_BYTES as u64)
            .filter(|_| file.segment.published() == bytes)
            .ok_or_else(|| file.damaged(0, "it is shorter than it was"))?;
        if !is_header(&file.read(0, HEADER_BYTES)?, files.identity, number) {
            return Err(file.damaged(0, "its header is not that of this run"));
        }
        let footer = Footer::decode(&file.read(footer_at, FOOTER_BYTES)?, file.salt, footer_at)
            .filter(|footer| footer.number == number && footer.entries == entries)
            .ok_or_else(|| file.damaged(footer_at, "its footer is not that of this run"))?;
        let directory = file.read_directory(&footer, footer_at)?;
        let verified = (0..directory.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok((Self { verified, ..file }, directory))
    }

    fn read_directory(&self, footer: &Footer, footer_at: u64) -> Result<Directory> {
        let at = footer.directory_offset;
        let length = footer_at.checked_sub(at).and_then(|length| usize::try_from(length).ok());
        let Some(length) = length else { return Err(self.damaged(footer_at, "its directory cannot be")) };
        // Not longer than the file, which is what `read` allows at most.
        let bytes = self.read(at, length)?;
        if crc32c(0, &bytes) ^ self.salt.at(at) != footer.directory_checksum {
            return Err(self.damaged(at, "its directory does not pass its checksum"));
        }
        Directory::decode(&bytes, footer.blocks as usize)
            .filter(|directory| directory.blocks_end() == at && directory.entries() == footer.entries)
            .ok_or_else(|| self.damaged(at, "its directory contradicts itself"))
    }

    /// A block, its checksum looked at when it is first used; without a map, whenever it is read.
    pub(super) fn block(&self, number: usize, place: Place) -> Result<Arc<Block>> {
        if let Some(block) = self.recently_read(place.offset) {
            return Ok(block);
        }
        let bytes = self.read(place.offset, place.bytes as usize)?;
        let is_mapped = matches!(bytes, Slice::Mapped(_));
        let (word, bit) = (self.verified.get(number / 64), 1 << (number % 64));
        let is_verified = word.is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0);
        if !is_mapped || !is_verified {
            let checksum = block_crc(&bytes) ^ self.salt.at(place.offset);
            if u32_at(&bytes, 0) != Some(checksum) {
                return Err(self.damaged_block(place.offset, "a block does not pass its checksum"));
            }
            if let Some(word) = word {
                word.fetch_or(bit, Ordering::Relaxed);
            }
        }
        let block = Block::new(bytes)
            .ok_or_else(|| self.damaged_block(place.offset, "a block contradicts itself"))?;
        let block = Arc::new(block);
        if !is_mapped {
            self.keep(place.offset, &block);
        }
        Ok(block)
    }

    /// Starts loading what a search in a block looks at first, where it is mapped.
    pub(super) fn prefetch(&self, place: Place) {
        let length = SEARCHED_BYTES.min(place.bytes as usize);
        prefetch_all(self.segment.borrow(place.offset, length).unwrap_or_default());
    }

    /// Asks the system for a range of the file that will be read, where it is mapped.
    pub(super) fn read_soon(&self, offset: u64, length: usize) {
        self.segment.read_soon(offset, length);
    }

    fn recently_read(&self, offset: u64) -> Option<Arc<Block>> {
        if self.segment.is_mapped() {
            return None;
        }
        let recent = self.recent.lock();
        recent.iter().find(|(at, _)| *at == offset).map(|(_, block)| Arc::clone(block))
    }

    fn keep(&self, offset: u64, block: &Arc<Block>) {
        let mut recent = self.recent.lock();
        if recent.len() == RECENT_BLOCKS {
            recent.remove(0);
        }
        recent.push((offset, Arc::clone(block)));
    }

    fn read(&self, offset: u64, length: usize) -> Result<Slice> {
        self.segment.slice(offset, length).map_err(|error| match error {
            // No segment has this number: what is damaged is a file of another kind.
            Error::Corruption { offset, reason, .. } => self.damaged(offset, &reason),
            other => other,
        })
    }

    /// Damage in a block. The file is removed: opening a set looks at no block, so the next open would take it for a good one;
    /// without it all keys are made anew. What can be read in it can still be read.
    pub(super) fn damaged_block(&self, offset: u64, reason: &str) -> Error {
        self.files.remove(self.number, self.identity());
        self.damaged(offset, reason)
    }

    /// Damage at a place of the file.
    fn damaged(&self, offset: u64, reason: &str) -> Error {
        Error::Storage(format!(
            "corruption in the key run file {} at offset {offset}: {reason}; open the database again to have it made anew \
             from the log",
            self.segment.path().display()
        ))
    }

    /// Brings the file to the device.
    pub(super) fn sync(&self) -> Result<()> {
        if self.synced() == Synced::NotYet {
            let outcome = self.segment.write_out().and_then(|()| self.segment.sync());
            let synced = if outcome.is_ok() { Synced::Yes } else { Synced::Never };
            self.synced.store(synced as u8, Ordering::Relaxed);
            outcome?;
        }
        match self.synced() {
            Synced::Yes => Ok(()),
            _ => Err(Error::Storage(format!("{} could not be synced before", self.segment.path().display()))),
        }
    }

    pub(super) fn synced(&self) -> Synced {
        match self.synced.load(Ordering::Relaxed) {
            0 => Synced::NotYet,
            1 => Synced::Yes,
            _ => Synced::Never,
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn identity(&self) -> FileIdentity {
        self.segment.identity()
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.segment.published()
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        let recent: usize = self.recent.lock().iter().map(|(_, block)| block.bytes()).sum();
        (size_of_val::<[AtomicU64]>(&self.verified) + recent) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        assert_eq!(run_name(26), "000000000000001a.run");
        assert_eq!(number_of_name("000000000000001a.run", RUN_SUFFIX), Some(26));
        for name in ["1a.run", "000000000000001A.run", "000000000000001a.segment", "+00000000000001a.run"] {
            assert_eq!(number_of_name(name, RUN_SUFFIX), None, "{name}");
        }
    }
}
