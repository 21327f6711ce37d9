//! What a job of compaction holds: what goes on of its victims, in the order of the keys, and copies that are ready.

use std::ops::Range;

use crate::keys::{KEYSPACE_PREFIX_BYTES, push_ordered_key};
use crate::location::Location;
use crate::moves::{Copies, Fate};
use crate::options::COMMIT_BYTES_MAX;
use crate::order::head;
use crate::record::{NewRecord, Record, StandaloneHeader, aligned, content_crc};
use crate::room::{make_room, push};

/// Bytes and records that are copied before the index is moved: what the commit lock is held for at a time.
pub(super) const BATCH_BYTES: usize = 128 << 10;
const BATCH_RECORDS: usize = 256;

/// A record of a victim that goes on.
#[derive(Debug)]
pub(super) struct Item {
    /// Its key as the order has it, in the job's arena.
    pub(super) key: Range<usize>,
    pub(super) hash: u64,
    pub(super) location: Location,
    pub(super) sequence: u64,
    /// Bytes that its copy takes.
    pub(super) copied_bytes: u64,
    /// Whether the index leads to it; otherwise it is kept for recovery.
    pub(super) is_live: bool,
    /// Whether it names a large value.
    pub(super) is_large: bool,
}

/// A tombstone of a victim.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tombstone {
    pub(super) hash: u64,
    pub(super) sequence: u64,
    /// Its item.
    pub(super) item: usize,
    pub(super) is_needed: bool,
}

/// What became of the puts of the victims.
#[derive(Debug, Default)]
pub(super) struct Fates {
    is_wanted: bool,
    pub(super) of: Vec<(Location, Fate)>,
    pub(super) copies: Vec<Copies>,
    /// Whether one that is out of use names a large value: whoever takes its place has to know which.
    pub(super) loses_large: bool,
}

impl Fates {
    /// They are noted only where a list will tell of them.
    pub(super) fn new(is_wanted: bool) -> Fates {
        Fates { is_wanted, ..Fates::default() }
    }

    fn push(&mut self, from: Location, fate: Fate) {
        if self.is_wanted {
            push(&mut self.of, (from, fate));
        }
    }

    pub(super) fn note_dead(&mut self, location: Location, hash: u64, is_large: bool) {
        self.push(location, Fate::Dead(hash as u32));
        self.loses_large |= is_large;
    }

    /// Notes that an item has a copy with so many bytes now, or is out of use.
    pub(super) fn note(&mut self, item: &Item, to: Option<(Location, u64)>) {
        let Some((to, bytes)) = to else { return self.note_dead(item.location, item.hash, item.is_large) };
        self.push(item.location, Fate::Moved(to));
        if let Some(copies) = self.copies.last_mut() {
            copies.live_bytes += bytes;
            copies.live_records += 1;
        }
    }
}

/// One job: some victims and what goes on of them.
#[derive(Debug, Default)]
pub(super) struct Job {
    pub(super) arena: Vec<u8>,
    pub(super) items: Vec<Item>,
    pub(super) tombstones: Vec<Tombstone>,
}

/// Copies that are ready, and not yet where the index leads.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) moves: Vec<Move>,
}

/// One of the copies of a batch.
#[derive(Debug)]
pub(super) struct Move {
    /// From the beginning of the batch.
    pub(super) offset: usize,
    /// The number of the item in the job.
    pub(super) item: usize,
    /// What the record takes at the old place and at the new one.
    pub(super) old_bytes: u64,
    pub(super) new_bytes: u64,
    /// Where the index leads now, if it was moved.
    pub(super) to: Option<Location>,
}

/// Marks the tombstones that may delete something in a segment with these hashes, or with any. Both are ascending.
pub(super) fn mark_needed(tombstones: &mut [Tombstone], hashes: Option<&[u64]>, first_sequence: u64) {
    let mut at = 0;
    for tombstone in tombstones {
        let is_there = hashes.is_none_or(|hashes| {
            at += hashes.get(at..).unwrap_or_default().partition_point(|hash| *hash < tombstone.hash);
            hashes.get(at) == Some(&tombstone.hash)
        });
        tombstone.is_needed |= is_there && first_sequence < tombstone.sequence;
    }
}

impl Job {
    /// Puts a key into the arena, as the order has it.
    pub(super) fn push_key(&mut self, keyspace: u16, key: &[u8]) -> Range<usize> {
        let start = self.arena.len();
        make_room(&mut self.arena, KEYSPACE_PREFIX_BYTES + key.len());
        push_ordered_key(&mut self.arena, keyspace, key);
        start..self.arena.len()
    }

    /// The items in the order of their keys. Sorted are the first bytes of the keys, as numbers; only where these are equal the
    /// keys themselves are looked at.
    pub(super) fn sorted(&self) -> Vec<usize> {
        let key = |item: &Item| self.arena.get(item.key.clone()).unwrap_or_default();
        let mut order: Vec<(u128, u32)> =
            self.items.iter().zip(0..).map(|(item, number)| (head(key(item)), number)).collect();
        order.sort_unstable();
        let key_of = |number: u32| self.items.get(number as usize).map(key).unwrap_or_default();
        for equal in order.chunk_by_mut(|one, other| one.0 == other.0) {
            if equal.len() > 1 {
                equal.sort_unstable_by(|one, other| key_of(one.1).cmp(key_of(other.1)));
            }
        }
        order.into_iter().map(|(_, number)| number as usize).collect()
    }

    /// How many of the items fit one segment, and the bytes that they take.
    pub(super) fn fitting(&self, order: &[usize]) -> (usize, u64) {
        let mut bytes = 0;
        for (count, item) in order.iter().filter_map(|number| self.items.get(*number)).enumerate() {
            if bytes + item.copied_bytes > COMMIT_BYTES_MAX {
                return (count, bytes);
            }
            bytes += item.copied_bytes;
        }
        (order.len(), bytes)
    }
}

impl Batch {
    /// Encodes a copy; returns the bytes that it takes.
    pub(super) fn push(&mut self, item: usize, record: &Record<'_>, sequence: u64, salt: u32) -> u64 {
        self.push_new(item, &record.again(), record.stored_bytes() as u64, sequence, salt)
    }

    /// Encodes what takes the place of a record that has so many bytes; returns the bytes that it takes.
    pub(super) fn push_new(
        &mut self,
        item: usize,
        new: &NewRecord<'_>,
        old_bytes: u64,
        sequence: u64,
        salt: u32,
    ) -> u64 {
        let offset = self.bytes.len();
        let content = content_crc(new.key, new.value);
        // The lag says nothing here: what stands in a segment of copies had been durable or is synced with it.
        let header = StandaloneHeader::new(new, content, sequence, sequence, salt);
        self.bytes.extend_from_slice(header.as_slice());
        self.bytes.extend_from_slice(new.key);
        self.bytes.extend_from_slice(new.value);
        self.bytes.resize(aligned(self.bytes.len()), 0);
        let new_bytes = (self.bytes.len() - offset) as u64;
        self.moves.push(Move { offset, item, old_bytes, new_bytes, to: None });
        new_bytes
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES || self.moves.len() >= BATCH_RECORDS
    }
}
