//! Key runs: sorted keys without duplicates, in blocks that never change, in memory or in a file.

use std::ops::{Bound, Range};
use std::sync::Arc;

use super::block::Block;
use super::bounds::{Bounds, is_after, is_before};
use super::directory::Directory;
use super::file::{RunFile, RunFiles};
use crate::error::{Error, Result};

/// A run. Its keys are strictly ascending, and there is at least one, but in a run that was never in a view.
pub(super) struct Run {
    /// Tells the runs of a database apart for ever.
    pub(super) number: u64,
    directory: Directory,
    blocks: Blocks,
}

enum Blocks {
    Memory(Vec<Arc<Block>>),
    File(RunFile),
}

impl Run {
    pub(super) fn in_memory(number: u64, directory: Directory, blocks: Vec<Arc<Block>>) -> Self {
        Self { number, directory, blocks: Blocks::Memory(blocks) }
    }

    pub(super) fn in_file(directory: Directory, file: RunFile) -> Self {
        Self { number: file.number(), directory, blocks: Blocks::File(file) }
    }

    /// Opens a run file that is on the device.
    pub(super) fn open(files: &RunFiles, number: u64, bytes: u64, entries: u64) -> Result<Self> {
        let (file, directory) = RunFile::open(files, number, bytes, entries)?;
        Ok(Self::in_file(directory, file))
    }

    /// The file, for a run that has one.
    pub(super) fn file(&self) -> Option<&RunFile> {
        match &self.blocks {
            Blocks::Memory(_) => None,
            Blocks::File(file) => Some(file),
        }
    }

    /// A block; `None` behind the last one.
    pub(super) fn block(&self, number: usize) -> Result<Option<Arc<Block>>> {
        match &self.blocks {
            Blocks::Memory(blocks) => Ok(blocks.get(number).cloned()),
            Blocks::File(file) => {
                self.directory.place(number).map(|place| file.block(number, place)).transpose()
            }
        }
    }

    /// Starts loading what a search in a block looks at first, where it is in memory or mapped.
    pub(super) fn prefetch(&self, number: usize) {
        match &self.blocks {
            Blocks::Memory(blocks) => {
                if let Some(block) = blocks.get(number) {
                    block.prefetch();
                }
            }
            Blocks::File(file) => {
                if let Some(place) = self.directory.place(number) {
                    file.prefetch(place);
                }
            }
        }
    }

    /// Asks the system for some blocks that will be read, where they are mapped, and does not wait.
    pub(super) fn read_soon(&self, numbers: Range<usize>) {
        if let Blocks::File(file) = &self.blocks {
            let last =
                numbers.end.min(self.directory.len()).checked_sub(1).filter(|last| *last >= numbers.start);
            let places = last
                .and_then(|last| Some((self.directory.place(numbers.start)?, self.directory.place(last)?)));
            if let Some((first, last)) = places {
                let end = last.offset + u64::from(last.bytes);
                file.read_soon(first.offset, end.saturating_sub(first.offset) as usize);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn blocks(&self) -> usize {
        self.directory.len()
    }

    /// The first block that can have a key which `lower` allows.
    pub(super) fn first_block(&self, lower: Bound<&[u8]>) -> usize {
        match lower {
            Bound::Included(key) | Bound::Excluded(key) => self.directory.block_of(key),
            Bound::Unbounded => 0,
        }
    }

    /// The last block that can have a key which `upper` allows.
    pub(super) fn last_block(&self, upper: Bound<&[u8]>) -> usize {
        match upper {
            Bound::Included(key) | Bound::Excluded(key) => self.directory.block_of(key),
            Bound::Unbounded => self.directory.len().saturating_sub(1),
        }
    }

    /// Whether any key may lie inside the bounds. No block is read for that.
    pub(super) fn may_reach(&self, bounds: &Bounds<'_>) -> bool {
        self.directory.len() > 0
            && !is_before(self.directory.last(), bounds.lower)
            && !is_after(self.directory.first(), bounds.upper)
    }

    /// What to say when a block does not decode.
    #[cold]
    pub(super) fn damaged(&self, block: usize) -> Error {
        let offset = self.directory.place(block).map_or(0, |place| place.offset);
        match &self.blocks {
            Blocks::Memory(_) => {
                Error::Internal(format!("block {block} of a key run in memory does not decode"))
            }
            Blocks::File(file) => file.damaged_block(offset, "a block does not decode"),
        }
    }

    pub(super) fn entries(&self) -> u64 {
        self.directory.entries()
    }

    /// Bytes of its blocks, wherever they are.
    pub(super) fn bytes(&self) -> u64 {
        self.directory.blocks_end()
    }

    /// Bytes of memory that it holds; what is mapped is not counted.
    pub(super) fn memory_bytes(&self) -> u64 {
        let blocks = match &self.blocks {
            Blocks::Memory(blocks) => self.bytes() + (blocks.len() * size_of::<(Arc<Block>, Block)>()) as u64,
            Blocks::File(file) => file.memory_bytes(),
        };
        blocks + self.directory.memory_bytes() + size_of::<Self>() as u64
    }
}

#[cfg(test)]
impl Run {
    /// Walks the run entry by entry, proves that it is what the format says, and gives its keys.
    pub(super) fn check(&self) -> Vec<Vec<u8>> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for number in 0..self.blocks() {
            let block = self.block(number).unwrap().unwrap();
            let (mut offset, mut count, mut key) = (0, 0_u32, Vec::new());
            while offset < block.entries().len() {
                let entry = super::block::entry_at(block.entries(), offset).unwrap();
                assert!(entry.shared <= key.len() && (count > 0 || entry.shared == 0));
                key.truncate(entry.shared);
                key.extend_from_slice(entry.rest);
                assert!(keys.last().is_none_or(|last| *last < key), "keys of a run ascend");
                assert_eq!(self.directory.block_of(&key), number, "the directory leads to the key");
                keys.push(key.clone());
                (offset, count) = (entry.next, count + 1);
            }
            assert!(count > 0 && block.restarts() as u32 == count.div_ceil(16));
            assert_eq!(self.directory.place(number).unwrap().entries, count);
        }
        assert_eq!(keys.len() as u64, self.entries());
        assert_eq!(keys.first().unwrap(), self.directory.first());
        assert_eq!(keys.last().unwrap(), self.directory.last());
        keys
    }
}
