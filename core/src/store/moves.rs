//! Segments given up between two checkpoints, and what a recovery has to know of them.
//!
//! What the last checkpoint's index leads to must be found by a recovery. So a segment can go before the next checkpoint only if
//! a list says where its records are now. Then the index of the checkpoint is read *forwarded*: where a record was moved, the
//! entry leads to its copy. Where it was out of use by the time its segment was emptied, the entry stays as it is until the log
//! behind the checkpoint, which is read anyway, puts or deletes the key: that is found by its hash.
//!
//! # Invariants
//! - Only what the checkpoint knows the whole of is given up so: every record in it is older than the place from which the log
//!   is read again, and is moved once.
//! - So an entry that leads into such a segment is moved, or something behind the checkpoint has taken its place. When the log
//!   was read no entry leads there any more.
//! - The slot of such a segment is given out again only after the next checkpoint.
//! - Nothing is moved while a checkpoint is made, so a move is in its counts or in a list, never in both.

use std::collections::{HashMap, HashSet};

use super::Store;
use super::compaction::Compactor;
use super::job::Fates;
use crate::checkpoint::Contents;
use crate::disk::OpenMode;
use crate::epoch::Guard;
use crate::error::Result;
use crate::index::{Index, with_location};
use crate::keys::Old;
use crate::location::Location;
use crate::log::{LiveCount, Log, LogConfig, Settled};
use crate::manifest::{SegmentEntry, SegmentKind};
use crate::moves::{Emptied, Fate, Moves, Owner};
use crate::numbered::{number_of_name, numbered_name};

const SUFFIX: &str = ".moves";

/// The file with what was moved since a checkpoint.
pub(super) fn name(checkpoint: u64) -> String {
    numbered_name(checkpoint, SUFFIX)
}

/// The checkpoint of such a file; `None` for any other name.
pub(super) fn number_of(file_name: &str) -> Option<u64> {
    number_of_name(file_name, SUFFIX)
}

/// What a checkpoint knows the whole of.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach {
    /// Segments of the log below this one.
    pub(super) serial: u64,
    /// These segments of copies.
    pub(super) copies: HashSet<u64>,
    /// Bytes of moves since that count. Nothing is added any more when some could not be written.
    pub(super) moves_bytes: u64,
    pub(super) is_broken: bool,
}

impl Reach {
    pub(super) fn of(contents: &Contents) -> Reach {
        let copies = contents.segments.iter().filter(|segment| segment.kind == SegmentKind::Copy);
        let copies = copies.map(|segment| segment.serial).collect();
        Reach { serial: contents.position.0, copies, ..Reach::default() }
    }

    pub(super) fn has_moves(&self) -> bool {
        self.moves_bytes > 0
    }

    fn has(&self, entry: &SegmentEntry) -> bool {
        match entry.kind {
            SegmentKind::Log => entry.serial < self.serial,
            SegmentKind::Copy => self.copies.contains(&entry.serial),
            SegmentKind::Large => false,
        }
    }

    /// Leaves of the victims those that can be given up at once, if there are any.
    pub(super) fn takes(&self, victims: &mut Vec<Settled>) -> bool {
        let takes = !self.is_broken && victims.iter().any(|victim| self.has(&victim.entry));
        if takes {
            victims.retain(|victim| self.has(&victim.entry));
        }
        takes
    }
}

/// What was moved since a checkpoint, as a recovery finds it.
#[derive(Debug, Default)]
pub(super) struct Since {
    by_slot: HashMap<u16, Emptied>,
    /// What was live of the copies.
    pub(super) live: Vec<(u64, LiveCount)>,
}

impl Since {
    /// Reads the moves that count. `None` where they are not whole: without them the checkpoint is of no use.
    pub(super) fn read(config: &LogConfig, checkpoint: u64, bytes: u64) -> Option<Since> {
        if bytes == 0 {
            return Some(Since::default());
        }
        let file = config.disk.open(&config.directory.join(name(checkpoint)), OpenMode::ReadOnly).ok()?;
        if file.length().ok()? < bytes {
            return None;
        }
        let mut read = vec![0; usize::try_from(bytes).ok()?];
        let length = file.read_at(&mut read, 0).ok()?;
        let owner = Owner { identity: config.identity, checkpoint };
        let all = Moves::decode_all(read.get(..length).filter(|read| read.len() as u64 == bytes)?, owner)?;
        let mut since = Since::default();
        for moves in all {
            let live = |copies: &crate::moves::Copies| {
                (copies.serial, LiveCount { bytes: copies.live_bytes, records: copies.live_records })
            };
            since.live.extend(moves.copies.iter().map(live));
            since.by_slot.extend(moves.emptied.into_iter().map(|emptied| (emptied.slot, emptied)));
        }
        Some(since)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_slot.is_empty()
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = u16> {
        self.by_slot.keys().copied()
    }

    /// Whether this segment was given up.
    pub(super) fn is_of(&self, slot: u16, serial: u64) -> bool {
        self.by_slot.get(&slot).is_some_and(|emptied| emptied.serial == serial)
    }

    /// Has these entries of the index lead to where the records are now.
    pub(super) fn forward(&self, words: &mut [u64]) {
        if self.is_empty() {
            return;
        }
        for word in words {
            if let Some(Fate::Moved(to)) = Location::from_bits(*word).and_then(|from| self.fate(from)) {
                *word = with_location(*word, to);
            }
        }
    }

    fn fate(&self, location: Location) -> Option<Fate> {
        self.by_slot.get(&location.slot())?.fate(location.offset())
    }

    /// The newest record of a key while the log behind the checkpoint is read: one that can be looked at, or one of which no more
    /// is known than that it was there.
    pub(super) fn find(
        &self,
        log: &Log,
        index: &Index,
        hash: u64,
        (keyspace, key): (u16, &[u8]),
        guard: &Guard,
    ) -> Result<Option<Old>> {
        for location in index.candidates(hash)? {
            match self.fate(location) {
                Some(Fate::Dead(low)) if low == hash as u32 => {
                    return Ok(Some(Old { location, stored_bytes: 0, large: None }));
                }
                Some(_) => {}
                None => {
                    if let Some(mut record) = log.find(location, keyspace, key, guard)? {
                        return Old::of(&mut record).map(Some);
                    }
                }
            }
        }
        Ok(None)
    }
}

impl Store {
    /// Gives up victims of a compaction behind whose back no checkpoint is needed: a list of what became of their records is put on
    /// the device, and then a manifest without them. Where the list cannot be written they wait for the next checkpoint.
    pub(super) fn retire_moved(
        &self,
        compactor: &mut Compactor,
        victims: Vec<Settled>,
        fates: Fates,
    ) -> Result<()> {
        let written = match &mut compactor.reach {
            Some(reach) if !fates.loses_large => {
                self.write_moves(reach, compactor.checkpoint, &victims, fates)
            }
            _ => None,
        };
        let Some(moves_bytes) = written else {
            compactor.emptied.extend(victims);
            return Ok(());
        };
        self.retire(compactor, victims, Some(compactor.checkpoint), moves_bytes)?;
        let mut listed_before = 0;
        if let Some(reach) = &mut compactor.reach {
            listed_before = std::mem::replace(&mut reach.moves_bytes, moves_bytes);
        }
        self.figures.listed(moves_bytes - listed_before);
        compactor.has_copied = true;
        Ok(())
    }

    /// Puts a list behind those that are there already. Gives the bytes that count with it; `None` where it cannot be written.
    fn write_moves(
        &self,
        reach: &mut Reach,
        checkpoint: u64,
        victims: &[Settled],
        fates: Fates,
    ) -> Option<u64> {
        let (disk, directory, identity) = self.log.place();
        let bytes = moves_of(victims, fates).encode(Owner { identity, checkpoint });
        let path = directory.join(name(checkpoint));
        let write = || {
            let file = if reach.has_moves() {
                disk.open(&path, OpenMode::ReadWrite)?
            } else {
                // What an earlier attempt left.
                if let Err(error) = disk.remove(&path)
                    && error.kind() != std::io::ErrorKind::NotFound
                {
                    return Err(error);
                }
                let file = disk.open(&path, OpenMode::CreateNew)?;
                disk.sync_directory(directory)?;
                file
            };
            file.write_all_at(&bytes, reach.moves_bytes)?;
            file.sync()
        };
        // After a failed sync nobody knows what of the file is on the device.
        reach.is_broken |= write().is_err();
        (!reach.is_broken).then_some(reach.moves_bytes + bytes.len() as u64)
    }
}

fn moves_of(victims: &[Settled], fates: Fates) -> Moves {
    let mut of = fates.of;
    of.sort_unstable_by_key(|(location, _)| *location);
    let emptied = victims.iter().map(|victim| {
        let slot = victim.segment.slot();
        let start = of.partition_point(|(location, _)| location.slot() < slot);
        let own =
            of.get(start..).unwrap_or_default().iter().take_while(|(location, _)| location.slot() == slot);
        let fates = own.map(|(location, fate)| (location.offset(), *fate)).collect();
        Emptied { serial: victim.entry.serial, slot, fates }
    });
    Moves { emptied: emptied.collect(), copies: fates.copies }
}
