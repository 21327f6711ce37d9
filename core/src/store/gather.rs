//! What goes on of the victims of a compaction: live records, and the tombstones that are still needed.

use std::collections::HashSet;

use super::Store;
use super::compaction::{HEADER, no_location};
use super::job::{Fates, Item, Job, Tombstone, mark_needed};
use crate::error::{Error, Result};
use crate::keys::split_ordered_key;
use crate::location::Location;
use crate::log::{FrameWalk, Settled, Walked};
use crate::manifest::SegmentKind;
use crate::record::{Kind, Record};
use crate::room::push;
use crate::sabotage::{Sabotage, is_planted};

/// Records that are taken in before the index is asked about them: what it has of the last has come when the first is asked about.
const SEEN_MAX: usize = 64;

/// A record of a victim that may go on.
struct Seen {
    item: Item,
    kind: Kind,
}

impl Store {
    /// Finds what goes on of one victim.
    pub(super) fn gather(&self, job: &mut Job, fates: &mut Fates, victim: &Settled) -> Result<()> {
        let segment = &victim.segment;
        let mut walk = FrameWalk::new(segment, self.log.salt(segment.serial()), HEADER);
        let mut seen = Vec::with_capacity(SEEN_MAX);
        while walk.position() < segment.published() {
            match walk.step()? {
                Walked::Frame(offset, frame) => {
                    for (at, record) in frame.records() {
                        let location =
                            Location::new(segment.slot(), offset + at as u64).ok_or_else(no_location)?;
                        seen.push(self.see(job, location, &record, frame.sequence));
                        if seen.len() >= SEEN_MAX {
                            self.judge(job, fates, &mut seen)?;
                        }
                    }
                }
                Walked::Stopped(offset) => {
                    let reason = "a record cannot be read; the segment is not compacted";
                    return Err(Error::corruption(segment.serial(), offset, reason));
                }
            }
        }
        self.judge(job, fates, &mut seen)
    }

    /// Takes in a record, and asks for what the index has of its key.
    fn see(&self, job: &mut Job, location: Location, record: &Record<'_>, sequence: u64) -> Seen {
        let (kind, keyspace) = (record.shape.kind, record.shape.keyspace);
        let hash = self.keys.hash(keyspace, record.key);
        self.keys.index.prefetch(hash);
        let key = job.push_key(keyspace, record.key);
        let copied_bytes = record.again().standalone_bytes(sequence) as u64;
        let is_large = kind == Kind::LargePut;
        let item = Item { key, hash, location, sequence, copied_bytes, is_live: kind.is_put(), is_large };
        Seen { item, kind }
    }

    /// Finds which of the records that were taken in last go on. Of the others nothing stays in the arena.
    fn judge(&self, job: &mut Job, fates: &mut Fates, seen: &mut Vec<Seen>) -> Result<()> {
        let mut end = seen.first().map_or(job.arena.len(), |first| first.item.key.start);
        for Seen { mut item, kind } in seen.drain(..) {
            let mut candidates = self.keys.candidates(&self.log, item.hash)?;
            if kind.is_put() && !candidates.any(|candidate| candidate == item.location) {
                fates.note_dead(item.location, item.hash, item.is_large);
                continue;
            }
            if kind == Kind::Tombstone {
                // The key has come back since, by a commit that is on the device before this segment is gone.
                let key = job.arena.get(item.key.clone()).and_then(split_ordered_key);
                let (keyspace, key) = key.ok_or_else(no_location)?;
                if self.keys.find(&self.log, item.hash, keyspace, key, &self.log.pin())?.is_some() {
                    continue;
                }
                let (hash, sequence, number) = (item.hash, item.sequence, job.items.len());
                job.tombstones.push(Tombstone { hash, sequence, item: number, is_needed: false });
            }
            let length = item.key.len();
            job.arena.copy_within(item.key, end);
            item.key = end..end + length;
            end += length;
            push(&mut job.items, item);
        }
        job.arena.truncate(end);
        Ok(())
    }

    /// Takes out the tombstones that delete nothing any more once these segments are gone.
    pub(super) fn judge_tombstones(&self, job: &mut Job, gone: &HashSet<u64>) -> Result<()> {
        if job.tombstones.is_empty() {
            return Ok(());
        }
        job.tombstones.sort_unstable_by_key(|tombstone| tombstone.hash);
        let newest = job.tombstones.iter().map(|tombstone| tombstone.sequence).max().unwrap_or(0);
        for other in self.log.settled() {
            let may_have_older = !is_planted(Sabotage::DropTombstones)
                && other.entry.kind != SegmentKind::Large
                && !gone.contains(&other.entry.serial)
                && other.entry.first_sequence < newest;
            if may_have_older {
                if self.wake.is_stopping() {
                    return Err(Error::Closed);
                }
                let hashes = self.put_hashes(&other)?;
                mark_needed(&mut job.tombstones, hashes.as_deref(), other.entry.first_sequence);
                if job.tombstones.iter().all(|one| one.is_needed) {
                    return Ok(());
                }
            }
        }
        let superfluous: HashSet<usize> =
            job.tombstones.iter().filter(|one| !one.is_needed).map(|one| one.item).collect();
        let mut at = 0;
        job.items.retain(|_| {
            at += 1;
            !superfluous.contains(&(at - 1))
        });
        Ok(())
    }

    /// Hashes of the keys that have puts in a segment, ascending. `None` where not all of it can be read: then nobody knows.
    pub(super) fn put_hashes(&self, settled: &Settled) -> Result<Option<Vec<u64>>> {
        if let Some(hashes) = self.hinted_put_hashes(&settled.entry) {
            return Ok(Some(hashes));
        }
        let segment = &settled.segment;
        let mut hashes = Vec::new();
        let mut walk = FrameWalk::new(segment, self.log.salt(segment.serial()), HEADER);
        while walk.position() < segment.published() {
            let Walked::Frame(_, frame) = walk.step()? else { return Ok(None) };
            for (_, record) in frame.records() {
                if record.shape.kind.is_put() {
                    push(&mut hashes, self.keys.hash(record.shape.keyspace, record.key));
                }
            }
        }
        hashes.sort_unstable();
        Ok(Some(hashes))
    }
}
