//! The log behind a checkpoint, taken in shard by shard of the index, on several threads.
//!
//! What recovery shows is gathered by the shard that has the key. When there is enough of it, or no more to come, each thread takes
//! a shard and makes its records known one by one. So a shard's table is looked into while it is at hand, and the records, which
//! may be anywhere in the log, are asked for ahead of their turn.
//!
//! *Invariant:* all records of a key are in one shard, and those of a shard are made known in the order of the log, by one thread.
//! So it ends where making all of them known one by one would have ended; what is counted are sums, whatever their order.

use super::bulk::{Turns, on_threads, usual_threads};
use super::moves::Since;
use crate::epoch::Guard;
use crate::error::Result;
use crate::index::{Index, shard_of};
use crate::keys::{Change, Keys};
use crate::location::Location;
use crate::log::Log;

/// Records that are gathered at most: 24 MiB of them.
const RECORDS_MAX: usize = if cfg!(test) { 40 } else { 1 << 20 };
/// Records below which one thread is faster than several.
const PARALLEL_RECORDS_MIN: usize = if cfg!(test) { 4 } else { 4 << 10 };
/// How many records are asked for at once.
const BATCH_RECORDS: usize = if cfg!(test) { 3 } else { 32 };
/// What is asked for of a record: its header and a short key, wherever in a cache line they begin.
const RECORD_BYTES: usize = 128;

/// A record that was shown.
#[derive(Clone, Copy)]
struct Gathered {
    hash: u64,
    location: Location,
    /// Whether the checkpoint has not counted it.
    counts: bool,
}

/// Records that were shown and are still to be made known.
pub(super) struct Replay<'a> {
    /// What compaction has moved since the checkpoint.
    since: &'a Since,
    /// By shard of the index, in the order of the log.
    shards: Vec<Vec<Gathered>>,
    records: usize,
    /// How many threads make them known; `None` for as many as there are.
    threads: Option<usize>,
}

impl<'a> Replay<'a> {
    pub(super) fn new(since: &'a Since, threads: Option<usize>) -> Replay<'a> {
        Replay { since, shards: vec![Vec::new(); Index::SHARDS], records: 0, threads }
    }

    /// Takes in a record of a key. Mostly it is only gathered.
    pub(super) fn add(
        &mut self,
        log: &Log,
        keys: &Keys,
        hash: u64,
        location: Location,
        counts: bool,
    ) -> Result<()> {
        if let Some(shard) = self.shards.get_mut(shard_of(hash)) {
            shard.push(Gathered { hash, location, counts });
        }
        self.records += 1;
        if self.records < RECORDS_MAX {
            return Ok(());
        }
        self.make_known(log, keys)?;
        // More is to come, and what was new is still unsorted.
        while keys.order.maintain(&|_| true) {}
        Ok(())
    }

    /// Makes known what was gathered.
    pub(super) fn make_known(&mut self, log: &Log, keys: &Keys) -> Result<()> {
        let usual = if self.records < PARALLEL_RECORDS_MIN { 1 } else { usual_threads() };
        let turns = Turns::new(self.shards.len());
        let work = || -> Result<()> {
            let mut scratch = Vec::new();
            while let Some(turn) = turns.take() {
                let records = self.shards.get(turn).map_or(&[][..], Vec::as_slice);
                for batch in records.chunks(BATCH_RECORDS) {
                    let guard = log.pin();
                    ask_for(log, keys, batch, &guard)?;
                    batch
                        .iter()
                        .try_for_each(|one| one.make_known(log, keys, self.since, &guard, &mut scratch))?;
                }
            }
            Ok(())
        };
        on_threads(self.threads.unwrap_or(usual), &work)?;
        self.shards.iter_mut().for_each(Vec::clear);
        self.records = 0;
        Ok(())
    }
}

/// Begins to load the records of a batch, and those that they may make old.
fn ask_for(log: &Log, keys: &Keys, batch: &[Gathered], guard: &Guard) -> Result<()> {
    for one in batch {
        keys.index.prefetch(one.hash);
        log.prefetch(one.location, 0..RECORD_BYTES, guard);
    }
    for one in batch {
        // Mostly there is one at most, and it is the key's.
        if let Some(location) = keys.index.candidates(one.hash)?.next() {
            log.prefetch(location, 0..RECORD_BYTES, guard);
        }
    }
    Ok(())
}

impl Gathered {
    fn make_known(
        &self,
        log: &Log,
        keys: &Keys,
        since: &Since,
        guard: &Guard,
        scratch: &mut Vec<u8>,
    ) -> Result<()> {
        let mut record = log.record_at(self.location, guard)?;
        let (kind, stored_bytes, large) = (record.kind(), record.stored_bytes(), record.large_pointer()?);
        let (keyspace, key) = record.name()?;
        let old = since.find(log, keys, self.hash, (keyspace, key), guard)?;
        let (hash, location) = (self.hash, self.location);
        let change = Change { kind, keyspace, key, hash, location, stored_bytes, large, old };
        keys.enter(&change, scratch);
        if self.counts {
            keys.account(log, &change);
        }
        Ok(())
    }
}
