//! Writing a run: keys go in ascending, and come out as blocks in memory or in a file.

use std::path::PathBuf;
use std::sync::Arc;

use super::block::{BLOCK_BYTES, Block, BlockBuilder, block_crc, shared_length};
use super::directory::{Directory, fence_of};
use super::file::{RunFile, RunFiles, Synced};
use super::footer::{Footer, header};
use super::run::Run;
use crate::checksum::{Salt, crc32c};
use crate::disk::{DiskFile, FileIdentity, OpenMode};
use crate::error::{Error, Result};
use crate::segment::Slice;

/// Takes strictly ascending keys and makes a run of them.
pub(super) struct RunWriter {
    number: u64,
    builder: BlockBuilder,
    directory: Directory,
    /// Of the block that is being built.
    fence: Vec<u8>,
    /// The last key that was pushed.
    last: Vec<u8>,
    sink: Sink,
}

enum Sink {
    Memory(Vec<Arc<Block>>),
    File(NewFile),
}

/// A run file that is being written. Unless it is finished it goes away.
struct NewFile {
    files: Arc<RunFiles>,
    file: Arc<dyn DiskFile>,
    identity: FileIdentity,
    number: u64,
    path: PathBuf,
    salt: Salt,
    /// What is still to be written, and where that goes.
    buffer: Vec<u8>,
    offset: u64,
    is_finished: bool,
}

impl RunWriter {
    /// Writes into memory.
    pub(super) fn in_memory(number: u64) -> Self {
        Self::to(number, Sink::Memory(Vec::new()))
    }

    /// Writes into a new file.
    pub(super) fn to_file(files: &Arc<RunFiles>, number: u64) -> Result<Self> {
        Ok(Self::to(number, Sink::File(NewFile::create(files, number)?)))
    }

    fn to(number: u64, sink: Sink) -> Self {
        let (builder, directory) = (BlockBuilder::default(), Directory::default());
        Self { number, builder, directory, fence: Vec::new(), last: Vec::new(), sink }
    }

    /// Adds a key.
    pub(super) fn push(&mut self, key: &[u8]) {
        if self.builder.is_full() {
            self.end_block();
        }
        let is_first = self.builder.is_empty() && self.directory.len() == 0;
        let shared = shared_length(&self.last, key);
        if self.builder.is_empty() {
            self.fence.clear();
            self.fence.extend_from_slice(if is_first { key } else { fence_of(key, shared) });
        }
        self.builder.push(key, shared);
        self.last.truncate(shared);
        self.last.extend_from_slice(key.get(shared..).unwrap_or_default());
    }

    /// Bytes of the blocks that are finished.
    pub(super) fn bytes(&self) -> u64 {
        self.directory.blocks_end()
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn writes_file(&self) -> bool {
        matches!(self.sink, Sink::File(_))
    }

    /// Hands what has been gathered to the file.
    pub(super) fn flush(&mut self) -> Result<()> {
        match &mut self.sink {
            Sink::Memory(_) => Ok(()),
            Sink::File(file) => file.flush(),
        }
    }

    /// The run, or `None` when no key was pushed.
    pub(super) fn finish(mut self) -> Result<Option<Run>> {
        if !self.builder.is_empty() {
            self.end_block();
        }
        if self.directory.len() == 0 {
            return Ok(None);
        }
        self.directory.end_with(self.last);
        match self.sink {
            Sink::Memory(blocks) => Ok(Some(Run::in_memory(self.number, self.directory, blocks))),
            Sink::File(file) => file.finish(self.directory).map(Some),
        }
    }

    fn end_block(&mut self) {
        let entries = self.builder.len();
        let offset = self.directory.blocks_end();
        let bytes = self.builder.finish();
        self.directory.push(bytes.len() as u32, entries, &self.fence);
        match &mut self.sink {
            // What the builder made is always a block.
            Sink::Memory(blocks) => blocks.extend(Block::new(Slice::Owned(bytes.to_vec())).map(Arc::new)),
            Sink::File(file) => file.append_block(bytes, offset),
        }
    }
}

impl NewFile {
    fn create(files: &Arc<RunFiles>, number: u64) -> Result<Self> {
        let path = files.path(number);
        let context = |error| Error::io(format!("creating the key run file {}", path.display()), error);
        let file = files.disk.open(&path, OpenMode::CreateNew).map_err(context)?;
        let identity = file.identity().map_err(context)?;
        Ok(Self {
            files: Arc::clone(files),
            file,
            identity,
            number,
            path,
            salt: files.salt(number),
            buffer: header(files.identity, number).to_vec(),
            offset: 0,
            is_finished: false,
        })
    }

    fn append_block(&mut self, bytes: &mut [u8], offset: u64) {
        let checksum = block_crc(bytes) ^ self.salt.at(offset);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        self.buffer.reserve(BLOCK_BYTES);
        self.buffer.extend_from_slice(bytes);
    }

    fn flush(&mut self) -> Result<()> {
        let written = self.file.write_all_at(&self.buffer, self.offset);
        written
            .map_err(|error| Error::io(format!("writing the key run file {}", self.path.display()), error))?;
        self.offset += self.buffer.len() as u64;
        self.files.count_written(self.buffer.len());
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self, directory: Directory) -> Result<Run> {
        let mut encoded = Vec::new();
        directory.encode(&mut encoded);
        let at = directory.blocks_end();
        let footer = Footer {
            number: self.number,
            directory_offset: at,
            entries: directory.entries(),
            blocks: u32::try_from(directory.len())
                .map_err(|_| Error::Internal("a key run has more blocks than can be".to_owned()))?,
            directory_checksum: crc32c(0, &encoded) ^ self.salt.at(at),
        };
        let footer_at = at + encoded.len() as u64;
        self.buffer.append(&mut encoded);
        self.buffer.extend_from_slice(&footer.encode(self.salt, footer_at));
        self.flush()?;
        let segment = self.files.open_segment(self.number, self.offset)?;
        if segment.identity() != self.identity {
            return Err(Error::Storage(format!("{} was replaced while it was written", self.path.display())));
        }
        let file = RunFile::new(&self.files, self.number, segment, directory.len(), Synced::NotYet);
        self.is_finished = true;
        Ok(Run::in_file(directory, file))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_finished {
            self.files.remove(self.number, self.identity);
        }
    }
}
