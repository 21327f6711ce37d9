//! Checkpoints: what is known of the keys, as of about one commit, in a file, so that opening reads neither the log nor the index.
//!
//! # How one is made, while others write
//! 1. The commit and the place in the log from which the log will be read again are noted.
//! 2. The index is written shard by shard. Each shard is copied under the commit lock, in some microseconds, and remembers the
//!    last commit that is in it.
//! 3. What is counted (keys of keyspaces, live bytes of segments) is noted under the commit lock, with its own last commit.
//! 4. The order of the keys writes what it has in memory.
//! 5. The log is put on the device: nothing that the checkpoint knows may be lost behind it.
//! 6. A manifest names the checkpoint, and no longer the segments that compaction has emptied.
//!
//! So recovery reads the log from the place of step 1. A commit goes into a shard if it is behind that shard's, and is counted
//! if it is behind step 3: exact, though nobody had to wait.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::Store;
use super::compaction::Compactor;
use super::maintenance::INDEX_BYTES_PER_KEY;
use super::moves::{Reach, Since};
use crate::checkpoint::{
    CHECKPOINT_HEADER_BYTES, CONTENTS_BYTES_MAX, CheckpointHeader, Contents, KeyspaceState, OrderState,
    RunState, SegmentState, ShardShape, ShardState,
};
use crate::checksum::crc32c;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::{Error, Result};
use crate::index::{Index, ShardImage, ShardSource};
use crate::log::{LiveCount, Log, LogConfig};
use crate::manifest::Manifest;
use crate::numbered::{number_of_name, numbered_name};
use crate::order::{OrderImage, RunRef};
use crate::packed::{pack, unpack};
use crate::recovery::Start;

const SUFFIX: &str = ".checkpoint";
/// How much is written at once.
const WRITE_BYTES: usize = 1 << 20;

fn name(number: u64) -> String {
    numbered_name(number, SUFFIX)
}

/// The number of a checkpoint's file name; `None` for any other name.
fn number_of(file_name: &str) -> Option<u64> {
    number_of_name(file_name, SUFFIX)
}

/// What a checkpoint says of the log, once it is opened.
#[derive(Debug, Default)]
pub(super) struct Base {
    pub(super) number: u64,
    pub(super) start: Start,
    /// By shard of the index: the last commit that is in it.
    sequences: Vec<u64>,
    /// The last commit that is counted.
    pub(super) counted_to: u64,
    /// What is live, by serial of the segment.
    live: HashMap<u64, LiveCount>,
    /// What is kept beside newest records, by serial.
    pub(super) kept: HashMap<u64, u64>,
    pub(super) keyspaces: Vec<KeyspaceState>,
    pub(super) order: OrderImage,
    /// What was moved since.
    pub(super) since: Arc<Since>,
    pub(super) reach: Reach,
}

impl Base {
    /// Tells a log what is live in its segments.
    pub(super) fn begin(&self, log: &Log) -> Result<()> {
        log.set_live(&self.live);
        log.reserve_slots(self.since.slots());
        Ok(())
    }

    /// Whether the index has this commit's record of a key already.
    pub(super) fn knows(&self, hash: u64, sequence: u64) -> bool {
        let shard = crate::index::shard_of(hash);
        self.sequences.get(shard).is_some_and(|known| sequence <= *known)
    }

    /// Numbers of the files of key order that go with it.
    pub(super) fn runs(&self) -> Vec<u64> {
        self.order.runs.iter().map(|run| run.number).collect()
    }

    fn of(number: u64, contents: Contents, since: Arc<Since>, moves_bytes: u64) -> Base {
        let (serial, offset) = contents.position;
        let reach = Reach { moves_bytes, ..Reach::of(&contents) };
        let copies: HashSet<u64> =
            reach.copies.iter().copied().chain(since.live.iter().map(|(serial, _)| *serial)).collect();
        let mut sequences = vec![0; Index::SHARDS];
        for shard in &contents.shards {
            if let Some(sequence) = sequences.get_mut(shard.number as usize) {
                *sequence = shard.sequence;
            }
        }
        let live =
            |segment: &SegmentState| LiveCount { bytes: segment.live_bytes, records: segment.live_records };
        let runs = contents.order.runs.iter();
        let runs = runs.map(|run| RunRef { number: run.number, bytes: run.bytes, entries: run.entries });
        Base {
            number,
            start: Start { serial, offset, sequence: contents.sequence, copies },
            sequences,
            counted_to: contents.counted_to,
            live: contents
                .segments
                .iter()
                .map(|segment| (segment.serial, live(segment)))
                .chain(since.live.iter().copied())
                .collect(),
            kept: contents.segments.iter().map(|segment| (segment.serial, segment.kept_bytes)).collect(),
            keyspaces: contents.keyspaces,
            order: OrderImage {
                runs: runs.collect(),
                last_number: contents.order.last_number,
                deletes: contents.order.deletes,
            },
            since,
            reach,
        }
    }
}

/// A checkpoint that was opened: the shards are read when they are needed.
#[derive(Debug)]
struct Source {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    shards: HashMap<usize, ShardState>,
    since: Arc<Since>,
}

impl ShardSource for Source {
    fn shape(&self, shard: usize) -> Option<ShardShape> {
        self.shards.get(&shard).map(|state| state.shape)
    }

    fn words(&self, shard: usize) -> Result<Vec<u64>> {
        let Some(state) = self.shards.get(&shard) else { return Ok(Vec::new()) };
        let context = || format!("reading {}", self.path.display());
        let mut bytes = vec![0; state.bytes as usize];
        let read =
            self.file.read_at(&mut bytes, state.offset).map_err(|error| Error::io(context(), error))?;
        let is_whole = read == bytes.len() && crc32c(0, &bytes) == state.crc;
        if let Some(mut words) = unpack(&bytes, state.shape.entries as usize).filter(|_| is_whole) {
            self.since.forward(&mut words);
            return Ok(words);
        }
        // Without the file the next open makes everything anew from the log, which is whole.
        let _best_effort = self.disk.remove(&self.path);
        Err(Error::Storage(format!(
            "{} is damaged; close the database and open it again: the index is then made anew from the log, and \
             nothing is lost",
            self.path.display()
        )))
    }
}

/// Opens the checkpoint that a manifest names. `None` where there is none, or it is damaged or does not go with the segments:
/// everything is made anew from the log then.
pub(super) fn open(config: &LogConfig, manifest: &Manifest) -> Option<(Base, Index)> {
    let number = manifest.checkpoint?;
    let path = config.directory.join(name(number));
    let file = config.disk.open(&path, OpenMode::ReadOnly).ok()?;
    let contents = read_contents(&*file, number, config.identity)?;
    let since = Arc::new(Since::read(config, number, manifest.moves_bytes)?);
    let is_there = |segment: &SegmentState| {
        segment.live_records == 0
            || since.is_of(segment.slot, segment.serial)
            || manifest.segments.iter().any(|entry| {
                (entry.serial, entry.slot, entry.kind) == (segment.serial, segment.slot, segment.kind)
            })
    };
    let length = file.length().ok()?;
    let fits = |shard: &ShardState| {
        let end = shard.offset.checked_add(shard.bytes.into());
        (shard.number as usize) < Index::SHARDS && end.is_some_and(|end| end <= length)
    };
    if !contents.segments.iter().all(is_there) || !contents.shards.iter().all(fits) {
        return None;
    }
    let shards = contents.shards.iter().map(|shard| (shard.number as usize, *shard)).collect();
    let source = Source { disk: Arc::clone(&config.disk), path, file, shards, since: Arc::clone(&since) };
    Some((Base::of(number, contents, since, manifest.moves_bytes), Index::from_source(Box::new(source))))
}

fn read_contents(file: &dyn DiskFile, number: u64, identity: [u8; 16]) -> Option<Contents> {
    let mut header = [0; CHECKPOINT_HEADER_BYTES];
    let read = file.read_at(&mut header, 0).ok()?;
    let header = CheckpointHeader::decode(header.get(..read)?, identity)?;
    let end = header.contents_offset.checked_add(header.contents_bytes)?;
    if header.number != number || header.contents_bytes > CONTENTS_BYTES_MAX || file.length().ok()? < end {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(header.contents_bytes).ok()?];
    let read = file.read_at(&mut bytes, header.contents_offset).ok()?;
    let is_whole = read == bytes.len() && crc32c(0, &bytes) == header.contents_crc;
    Contents::decode(&bytes).filter(|_| is_whole)
}

/// Removes a checkpoint and its moves.
fn remove(disk: &dyn Disk, directory: &std::path::Path, number: u64) {
    for name in [name(number), super::moves::name(number)] {
        let _best_effort = disk.remove(&directory.join(name));
    }
}

/// Removes the checkpoints that no manifest names.
pub(super) fn remove_others(disk: &dyn Disk, directory: &std::path::Path, kept: Option<u64>) {
    let names = disk.list(directory).unwrap_or_default();
    let number_of = |name: &&String| number_of(name).or_else(|| super::moves::number_of(name));
    for file_name in names.iter().filter(|file_name| number_of(file_name).is_some_and(|n| Some(n) != kept)) {
        let _best_effort = disk.remove(&directory.join(file_name));
    }
}

/// A checkpoint that is being written.
struct Writer {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    buffer: Vec<u8>,
    written: u64,
}

impl Writer {
    fn create(disk: &dyn Disk, path: PathBuf) -> Result<Writer> {
        match disk.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(format!("removing {}", path.display()), error));
            }
            _ => {}
        }
        let file = disk.open(&path, OpenMode::CreateNew);
        let file = file.map_err(|error| Error::io(format!("creating {}", path.display()), error))?;
        Ok(Writer { file, path, buffer: vec![0; CHECKPOINT_HEADER_BYTES], written: 0 })
    }

    /// Where the next byte goes.
    fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES { self.drain() } else { Ok(()) }
    }

    fn drain(&mut self) -> Result<()> {
        let written = self.file.write_all_at(&self.buffer, self.written);
        let length = self.buffer.len() as u64;
        // Now and not all at the end, so that reads of others come between.
        let written = written.and_then(|()| self.file.write_out(self.written, length));
        written.map_err(|error| self.failed(error))?;
        self.written += length;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self, header: &CheckpointHeader) -> Result<u64> {
        self.drain()?;
        let ended = self.file.write_all_at(&header.encode(), 0).and_then(|()| self.file.sync());
        ended.map_err(|error| self.failed(error))?;
        Ok(self.written)
    }

    fn failed(&self, error: std::io::Error) -> Error {
        Error::io(format!("writing {}", self.path.display()), error)
    }
}

impl Store {
    /// Makes a checkpoint, and gives up the segments that compaction has emptied. Where the device is too full for a checkpoint
    /// they are given up without one, which makes room: the next open takes longer then.
    pub(super) fn checkpoint(&self, compactor: &mut Compactor) -> Result<()> {
        match self.make_checkpoint(compactor) {
            Err(Error::NoSpace(_)) if !compactor.emptied.is_empty() => self.do_without_checkpoint(compactor),
            other => other,
        }
    }

    pub(super) fn do_without_checkpoint(&self, compactor: &mut Compactor) -> Result<()> {
        self.retire_emptied(compactor, None)?;
        let (disk, directory, _) = self.log.place();
        remove(&**disk, directory, compactor.checkpoint);
        self.keys.order.release(&[]);
        // Nothing is known to the next open, so the close makes one.
        (compactor.has_copied, compactor.reach) = (true, None);
        Ok(())
    }

    fn make_checkpoint(&self, compactor: &mut Compactor) -> Result<()> {
        self.log.check_not_poisoned()?;
        if !self.has_room_for_checkpoint() {
            let reason =
                "a checkpoint would take of the room that is kept in reserve; make room and try again";
            return Err(Error::NoSpace(reason.to_owned()));
        }
        let number = compactor.checkpoint + 1;
        let (disk, directory, _) = self.log.place();
        let path = directory.join(name(number));
        let written = Writer::create(&**disk, path.clone())
            .and_then(|writer| self.write_checkpoint(compactor, number, writer));
        // No manifest names it, and its room may be what the manifest that does without takes.
        let give_up = |_: &Error| {
            if !self.log.is_poisoned() {
                let _best_effort = disk.remove(&path);
            }
        };
        let (bytes, order, sequence, reach) = written.inspect_err(give_up)?;
        disk.sync_directory(directory)
            .map_err(|error| Error::io(format!("syncing {}", directory.display()), error))?;
        self.retire_emptied(compactor, Some(number)).inspect_err(give_up)?;
        remove(&**disk, directory, compactor.checkpoint);
        compactor.noted(number, sequence, self.log.bytes_appended(), reach);
        self.figures.checkpointed(bytes);
        let runs: Vec<u64> = order.runs.iter().map(|run| run.number).collect();
        self.keys.order.release(&runs);
        Ok(())
    }

    /// Whether a checkpoint can be had of what is free beside the reserve.
    pub(super) fn has_room_for_checkpoint(&self) -> bool {
        let keys_bytes = self.keys.order.stats().memory_bytes;
        self.log.has_room_to_spare(self.keys.index.len() * INDEX_BYTES_PER_KEY + keys_bytes)
    }

    fn write_checkpoint(
        &self,
        compactor: &Compactor,
        number: u64,
        mut writer: Writer,
    ) -> Result<(u64, OrderImage, u64, Reach)> {
        // 1. From here the log is read again.
        let mut contents = Contents::default();
        (contents.sequence, contents.position) = {
            let committer = self.committer.lock();
            (self.log.appended(), self.log.position(&committer.appender))
        };
        // 2. The index.
        for shard in 0..Index::SHARDS {
            let (state, bytes) = self.shard(shard)?;
            if state.shape.home_lines > 0 {
                contents.shards.push(ShardState { offset: writer.position(), ..state });
                writer.put(&bytes)?;
            }
        }
        // 3. What is counted.
        self.note_counts(compactor, &mut contents);
        // 4. The order of the keys.
        self.log.check_not_poisoned()?;
        let order = self.keys.order.checkpoint(&|ordered| self.may_be_live(ordered))?;
        contents.order = order_state(&order);
        let bytes = contents.encode();
        let header = CheckpointHeader {
            identity: self.log.place().2,
            number,
            contents_offset: writer.position(),
            contents_bytes: bytes.len() as u64,
            contents_crc: crc32c(0, &bytes),
        };
        self.log.check_not_poisoned()?;
        writer.put(&bytes)?;
        // 5. The log is put on the device by whoever retires.
        Ok((writer.finish(&header)?, order, contents.sequence, Reach::of(&contents)))
    }

    /// One shard as it is now, packed.
    fn shard(&self, number: usize) -> Result<(ShardState, Vec<u8>)> {
        let (image, sequence) = {
            let _nobody_publishes = self.committer.lock();
            (self.keys.index.image_in_memory(number)?, self.log.appended())
        };
        // A shard that nobody has looked at is as it was in the last checkpoint: nothing can have changed it.
        let ShardImage { home_lines, mut words } = image.map_or_else(|| self.keys.index.image(number), Ok)?;
        words.sort_unstable();
        let bytes = pack(&words);
        let shape = ShardShape { home_lines, entries: words.len() as u32 };
        let (number, length, crc) = (number as u32, bytes.len() as u32, crc32c(0, &bytes));
        Ok((ShardState { number, shape, offset: 0, bytes: length, crc, sequence }, bytes))
    }

    fn note_counts(&self, compactor: &Compactor, contents: &mut Contents) {
        let _nobody_publishes = self.committer.lock();
        contents.counted_to = self.log.appended();
        contents.keyspaces = self.keys.keyspaces.states();
        let given_up = compactor.emptied.iter().chain(&compactor.leaving);
        let given_up: HashSet<u64> = given_up.map(|one| one.entry.serial).collect();
        let mut segments = self.log.live_segments();
        segments.retain(|segment| !given_up.contains(&segment.serial));
        for segment in &mut segments {
            segment.kept_bytes = compactor.kept_bytes(segment.serial);
        }
        contents.segments = segments;
    }
}

fn order_state(image: &OrderImage) -> OrderState {
    let runs = image.runs.iter();
    let runs = runs.map(|run| RunState { number: run.number, bytes: run.bytes, entries: run.entries });
    OrderState { runs: runs.collect(), last_number: image.last_number, deletes: image.deletes }
}
