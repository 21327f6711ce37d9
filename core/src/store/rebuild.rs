//! What is known of the keys, made anew from the records that recovery shows.
//!
//! Of a damaged database they are made known one by one. What stands behind a checkpoint is gathered first (see
//! [`super::replay`]), and a whole log is taken in at once (see [`super::bulk`]), which leads to the same end.
//!
//! *Invariant:* the newest record of a key wins, in whatever order they are shown. The log shows its records in order; only
//! copies, which are shown before it, may be older or newer than what follows, and are told apart by their sequences. A
//! tombstone among the copies is remembered until the end: what it deleted may still stand in the log.

use std::collections::HashMap;

use super::commit::change_of;
use crate::error::Result;
use crate::keys::{Keys, Old, ordered_key};
use crate::log::Log;
use crate::manifest::SegmentKind;
use crate::record::Kind;
use crate::recovery::{Shown, Visit};

use super::checkpoint::Base;
use super::replay::Replay;

/// While the log is replayed, the order is maintained after this many records.
const MAINTAIN_EVERY_RECORDS: u64 = 32 << 10;

/// Takes in the records of a log, behind a checkpoint or from the beginning.
pub(super) struct Rebuild<'a> {
    keys: &'a Keys,
    /// The checkpoint behind which the log is shown, and what was gathered.
    behind: Option<(&'a Base, Replay<'a>)>,
    is_damaged: bool,
    /// Sequence of the newest tombstone of a key among the copies, by the key as the order has it.
    tombstones: HashMap<Vec<u8>, u64>,
    has_copies: bool,
    /// Sequence of the newest record of a keyspace.
    keyspaces: HashMap<u16, u64>,
    /// How many threads take in a whole log; `None` for as many as there are. With 0 every record is shown.
    threads: Option<usize>,
    scratch: Vec<u8>,
    replayed: u64,
}

impl<'a> Rebuild<'a> {
    pub(super) fn new(keys: &'a Keys, base: Option<&'a Base>, is_damaged: bool) -> Rebuild<'a> {
        Rebuild {
            keys,
            behind: base.map(|base| (base, Replay::new(&base.since))),
            is_damaged,
            tombstones: HashMap::new(),
            has_copies: false,
            keyspaces: HashMap::new(),
            threads: None,
            scratch: Vec::new(),
            replayed: 0,
        }
    }

    /// Takes in a whole log on so many threads, or, for 0, record by record.
    #[cfg(test)]
    pub(super) fn on_threads(self, threads: usize) -> Rebuild<'a> {
        Rebuild { threads: Some(threads), ..self }
    }

    /// Whether a tombstone that compaction has kept is newer than this record.
    fn is_deleted(&mut self, shown: &Shown<'_>) -> bool {
        if self.tombstones.is_empty() {
            return false;
        }
        ordered_key(&mut self.scratch, shown.record.shape.keyspace, shown.record.key);
        self.tombstones.get(&self.scratch).is_some_and(|sequence| *sequence >= shown.sequence)
    }

    fn remember_tombstone(&mut self, shown: &Shown<'_>) {
        ordered_key(&mut self.scratch, shown.record.shape.keyspace, shown.record.key);
        let newest = self.tombstones.entry(self.scratch.clone()).or_default();
        *newest = shown.sequence.max(*newest);
    }

    /// The key's record so far; `None` in the second place where that is to stay.
    fn old(&self, log: &Log, hash: u64, shown: &Shown<'_>) -> Result<Option<Option<Old>>> {
        let guard = log.pin();
        let (keyspace, key) = (shown.record.shape.keyspace, shown.record.key);
        let Some(mut old) = self.keys.find(log, hash, keyspace, key, &guard)? else { return Ok(Some(None)) };
        if self.has_copies {
            let sequence = old.sequence(log)?;
            // A copy is the same record as the one in the log that has its sequence, and of two copies the later one counts: it
            // may name another place for a large value.
            let is_same = sequence == shown.sequence && old.is_in(SegmentKind::Copy);
            if sequence > shown.sequence || is_same && !shown.is_copy {
                return Ok(None);
            }
        }
        Old::of(&mut old).map(|old| Some(Some(old)))
    }
}

impl Visit for Rebuild<'_> {
    fn begin(&mut self, log: &Log) -> Result<()> {
        self.behind.as_ref().map_or(Ok(()), |(base, _)| base.begin(log))
    }

    fn whole(&mut self, log: &Log, last: u64) -> Result<Option<u64>> {
        if self.behind.is_some() || self.is_damaged || self.threads == Some(0) {
            return Ok(None);
        }
        self.has_copies = !log.segments_of(SegmentKind::Copy).is_empty();
        super::bulk::rebuild(log, self.keys, last, self.threads).map(Some)
    }

    fn end(&mut self, _log: &Log) -> Result<()> {
        self.behind.as_mut().map_or(Ok(()), |(_, replay)| replay.leave(self.keys))
    }

    fn record(&mut self, log: &Log, shown: &Shown<'_>) -> Result<()> {
        let (kind, keyspace, key) = (shown.record.shape.kind, shown.record.shape.keyspace, shown.record.key);
        if kind == Kind::Keyspace {
            let guard = log.pin();
            let place = (log.serial(shown.location, &guard)?, shown.location.offset());
            self.has_copies |= shown.is_copy;
            let may_have_gaps = self.is_damaged || self.has_copies;
            let newest = self.keyspaces.entry(keyspace).or_default();
            // An older record of the name has the settings that it had then.
            if shown.sequence < *newest {
                return Ok(());
            }
            *newest = shown.sequence;
            return self.keys.learn_keyspace(place, shown.record, may_have_gaps);
        }
        let hash = self.keys.hash(keyspace, key);
        if let Some((base, replay)) = &mut self.behind {
            if base.knows(hash, shown.sequence) {
                return Ok(());
            }
            return replay.add(log, self.keys, hash, shown.location, shown.sequence > base.counted_to);
        }
        self.has_copies |= shown.is_copy;
        if shown.is_copy {
            // The log, which tells the names, comes later.
            self.keys.keyspaces.make_room(keyspace);
        }
        if shown.is_copy && kind == Kind::Tombstone {
            self.remember_tombstone(shown);
        } else if self.is_deleted(shown) {
            return Ok(());
        }
        let Some(old) = self.old(log, hash, shown)? else { return Ok(()) };
        let change = change_of(shown.record, hash, shown.location, old);
        self.keys.publish(log, &change, &mut self.scratch);
        self.replayed += 1;
        if self.replayed.is_multiple_of(MAINTAIN_EVERY_RECORDS) {
            while self.keys.order.maintain(&|_| true) {}
        }
        Ok(())
    }
}
