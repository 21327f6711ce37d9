//! The log behind a checkpoint, taken in shard by shard of the index, each when somebody first looks there.
//!
//! What recovery shows is gathered by the shard that has the key, and the shards are held (see [`Index::hold`]). Whoever looks into
//! one makes its records known first; what needs all of them does so for all, and so does the background at once. Only where more
//! is shown than is to be kept in memory are records made known while recovery runs.
//!
//! # Invariants
//! - All records of a key are in one shard, and those of a shard are made known in the order of the log, by one thread, before
//!   anybody else looks into it. So what is committed meanwhile comes behind them.
//! - The records of a shard are made known all at once or not at all: what can fail is done on a copy of the shard, and what
//!   changes order and counts comes behind that. So after an error whoever asks next begins anew, and is told as well.
//! - Order and counts have everything of a shard when the shard can be looked into. So they are whole when no shard is held.
//! - Until all is known nothing is moved and no checkpoint is made. So the process may die anywhere: recovery finds what it found.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::Store;
use super::bulk::{Turns, on_threads, usual_threads};
use super::moves::Since;
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::index::{Index, shard_of};
use crate::keys::{Change, Keys, Unknown};
use crate::location::{LOCATION_BITS, Location};
use crate::log::Log;

/// Records that are gathered at most: 32 MiB of them, and as much again while they are brought together. Tests come to it.
const RECORDS_MAX: usize = if cfg!(test) { 100 } else { 2 << 20 };
/// How many records are asked for at once.
const BATCH_RECORDS: usize = if cfg!(test) { 3 } else { 32 };
/// What is asked for of a record: its header and a short key, wherever in a cache line they begin.
const RECORD_BYTES: usize = 128;

/// A record that was shown.
#[derive(Clone, Copy, Default)]
struct Gathered {
    hash: u64,
    /// The location, and [`COUNTS`].
    place: u64,
}

/// Set where the checkpoint has not counted a record.
const COUNTS: u64 = 1 << LOCATION_BITS;

/// Records that were shown and are still to be made known.
pub(super) struct Replay<'a> {
    /// What compaction has moved since the checkpoint.
    since: &'a Arc<Since>,
    /// In the order of the log.
    records: Vec<Gathered>,
}

/// Records by the shard that has their keys.
#[derive(Debug)]
struct Shards {
    since: Arc<Since>,
    /// In the order of the log. Whoever makes those of a shard known has it.
    shards: Box<[Mutex<Box<[Gathered]>>]>,
    /// Shards of which some are not known.
    left: AtomicUsize,
    turns: Turns,
}

impl std::fmt::Debug for Gathered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gathered").finish_non_exhaustive()
    }
}

impl<'a> Replay<'a> {
    pub(super) fn new(since: &'a Arc<Since>) -> Replay<'a> {
        Replay { since, records: Vec::new() }
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
        if self.records.len() >= RECORDS_MAX {
            let all = self.take(&keys.index);
            on_threads(usual_threads(), &|| all.make_all_known(log, keys))?;
            // More is to come, and what was new is still unsorted.
            while keys.order.maintain(&|_| true) {}
        }
        let place = location.bits() | if counts { COUNTS } else { 0 };
        self.records.push(Gathered { hash, place });
        Ok(())
    }

    /// Leaves what was gathered to those who look for it.
    pub(super) fn leave(&mut self, keys: &Keys) -> Result<()> {
        keys.wait_for(Box::new(self.take(&keys.index)))
    }

    /// Brings together what was gathered, and holds the shards that have any of it.
    fn take(&mut self, index: &Index) -> Shards {
        let records = std::mem::take(&mut self.records);
        let mut counts = vec![0; Index::SHARDS];
        for record in &records {
            if let Some(count) = counts.get_mut(shard_of(record.hash)) {
                *count += 1;
            }
        }
        let mut shards: Vec<Vec<Gathered>> = counts.into_iter().map(Vec::with_capacity).collect();
        for record in records {
            if let Some(shard) = shards.get_mut(shard_of(record.hash)) {
                shard.push(record);
            }
        }
        let any = shards.iter().enumerate().filter(|(_, shard)| !shard.is_empty());
        let left = any.map(|(number, _)| index.hold(number)).count();
        Shards {
            since: Arc::clone(self.since),
            turns: Turns::new(shards.len()),
            shards: shards.into_iter().map(|shard| Mutex::new(shard.into_boxed_slice())).collect(),
            left: AtomicUsize::new(left),
        }
    }
}

impl Unknown for Shards {
    fn make_known(&self, log: &Log, keys: &Keys, shard: usize) -> Result<()> {
        let Some(records) = self.shards.get(shard) else { return Ok(()) };
        let mut records = records.lock();
        if records.is_empty() {
            return Ok(());
        }
        keys.index.catch_up(shard, |shard| {
            let mut steps = Steps::default();
            for batch in records.chunks(BATCH_RECORDS) {
                let guard = log.pin();
                ask_for(log, shard, batch, &guard)?;
                batch.iter().try_for_each(|one| steps.add(log, shard, &self.since, one, &guard))?;
            }
            // Nothing from here on can fail.
            steps.take(log, keys);
            Ok(())
        })?;
        *records = Box::default();
        // Release: who finds none left also finds what was done for the last one.
        self.left.fetch_sub(1, Ordering::Release);
        Ok(())
    }

    fn make_all_known(&self, log: &Log, keys: &Keys) -> Result<()> {
        if self.left.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        while let Some(turn) = self.turns.take() {
            // It is met again below.
            let _error = self.make_known(log, keys, turn);
        }
        // What others are still at is waited for, and what has failed is tried again.
        (0..self.shards.len()).try_for_each(|shard| self.make_known(log, keys, shard))
    }
}

/// Begins to load the records of a batch, and those that they may make old.
fn ask_for(log: &Log, index: &Index, batch: &[Gathered], guard: &Guard) -> Result<()> {
    for one in batch {
        index.prefetch(one.hash);
        log.prefetch(one.location()?, 0..RECORD_BYTES, guard);
    }
    for one in batch {
        // Mostly there is one at most, and it is the key's.
        if let Some(location) = index.candidates(one.hash)?.next() {
            log.prefetch(location, 0..RECORD_BYTES, guard);
        }
    }
    Ok(())
}

impl Gathered {
    fn location(&self) -> Result<Location> {
        Location::from_bits(self.place).ok_or_else(|| Error::Internal("a record of no place".to_owned()))
    }
}

/// What the records of a shard change beside the index.
#[derive(Default)]
struct Steps {
    steps: Vec<Step>,
    /// Keys that are new to the order, one behind the other.
    arena: Vec<u8>,
}

struct Step {
    /// Without the key.
    change: Change<'static>,
    /// Where it is.
    key: Range<usize>,
    /// Whether the checkpoint has not counted it.
    counts: bool,
}

impl Steps {
    /// Makes a record known to a shard of the index that nobody else sees.
    fn add(&mut self, log: &Log, shard: &Index, since: &Since, one: &Gathered, guard: &Guard) -> Result<()> {
        let (hash, location) = (one.hash, one.location()?);
        let mut record = log.record_at(location, guard)?;
        let (kind, stored_bytes, large) = (record.kind(), record.stored_bytes(), record.large_pointer()?);
        let (keyspace, key) = record.name()?;
        let old = since.find(log, shard, hash, (keyspace, key), guard)?;
        let start = self.arena.len();
        if kind.is_put() && old.is_none() {
            self.arena.extend_from_slice(key);
        }
        let change = Change { kind, keyspace, key: &[], hash, location, stored_bytes, large, old };
        change.enter(shard);
        let (key, counts) = (start..self.arena.len(), one.place & COUNTS != 0);
        self.steps.push(Step { change, key, counts });
        Ok(())
    }

    /// Makes all of it known to the order, and counts it.
    fn take(&self, log: &Log, keys: &Keys) {
        let mut scratch = Vec::new();
        for step in &self.steps {
            let key = self.arena.get(step.key.clone()).unwrap_or_default();
            let change = Change { key, ..step.change };
            keys.enter_order(&change, &mut scratch);
            if step.counts {
                keys.account(log, &change);
            }
        }
    }
}

impl Store {
    /// Sees to it that all of the log is known. Whoever calls it does part of the work.
    pub(crate) fn know_all(&self) -> Result<()> {
        self.keys.know_all(&self.log)?;
        if !self.has_judged.load(Ordering::Acquire) {
            self.judge_opened();
        }
        Ok(())
    }

    /// Finds out, once, in which of the segments that were opened nothing is dead.
    #[cold]
    fn judge_opened(&self) {
        let _nobody_commits = self.committer.lock();
        if !self.has_judged.swap(true, Ordering::AcqRel) {
            self.log.find_wholly_live();
        }
    }
}
