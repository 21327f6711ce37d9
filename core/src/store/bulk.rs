//! Everything that is known of the keys, made anew from a whole log at once, on several threads.
//!
//! # How it goes
//! 1. Of each segment the records are listed by the hash of their keys: its hint says that, or else its records do.
//! 2. In the order of the log: the segments go on from each other, and keyspaces get their names.
//! 3. Shard by shard of the index, the lists of all segments are brought together. Of each key the newest record is found, goes
//!    into the shard's table and is counted and marked as live.
//! 4. Segment by segment, the marked records are read in the order of the log: their keys are counted and go to the key order.
//!
//! # Invariants
//! - It ends where showing every record one by one ends ([`super::rebuild`]), which is the reference.
//! - Equal hashes are never taken for equal keys: where two records have one hash, their keys are compared in the log.
//! - The hashes of what is live must add up to those of the keys that are found there (step 4), so a record that is not what
//!   a hint has said does not go unnoticed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::sources::Source;
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::hint::HintEntry;
use crate::index::Index;
use crate::keys::Keys;
use crate::location::Location;
use crate::log::{FrameWalk, LiveCount, Log};
use crate::manifest::{SEGMENT_HEADER_BYTES, SegmentEntry, SegmentKind};
use crate::order::KeyBatch;
use crate::record::Kind;
use crate::recovery::{Chain, lost, lost_copy};
use crate::segment::Segment;

const HEADER: u64 = SEGMENT_HEADER_BYTES as u64;
/// Bytes of log below which one thread is faster than several.
const PARALLEL_BYTES_MIN: u64 = 4 << 20;
const THREADS_MAX: usize = 8;

/// Makes index, order, keyspaces and counts from the whole log up to its commit `last`. Gives how many commits were read
/// one by one.
pub(super) fn rebuild(log: &Log, keys: &Keys, last: u64, threads: Option<usize>) -> Result<u64> {
    let segments: Vec<(SegmentEntry, Arc<Segment>)> = [SegmentKind::Copy, SegmentKind::Log]
        .into_iter()
        .flat_map(|kind| log.segments_of(kind))
        .filter(|(_, segment)| segment.published() > HEADER)
        .collect();
    let bytes: u64 = segments.iter().map(|(_, segment)| segment.published()).sum();
    let usual = if bytes < PARALLEL_BYTES_MIN { 1 } else { usual_threads() };
    let mut bulk =
        Bulk { log, keys, threads: threads.unwrap_or(usual), sources: Vec::new(), has_copies: false };
    bulk.list(&segments)?;
    let frames = bulk.follow(last)?;
    let found = bulk.fill_index()?;
    // What is left of the lists is the marks.
    bulk.sources.iter_mut().for_each(|source| source.entries = Vec::new());
    bulk.fill_order(&found)?;
    log.set_live(&found.live_by_serial(&bulk.sources));
    Ok(frames)
}

pub(super) fn usual_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX)
}

/// One record of a shard.
#[derive(Clone, Copy)]
struct Candidate {
    entry: HintEntry,
    source: u32,
}

/// What one thread, or all of them, have found to be live.
#[derive(Default)]
struct Live {
    /// By source.
    counts: Vec<LiveCount>,
    /// By source: the sum of the hashes.
    hashes: Vec<u64>,
    /// By serial of a segment of large values.
    large: HashMap<u64, LiveCount>,
}

struct Bulk<'a> {
    log: &'a Log,
    keys: &'a Keys,
    threads: usize,
    /// The copies first, and then the log, oldest first.
    sources: Vec<Source>,
    has_copies: bool,
}

/// Hands out numbers, each once.
#[derive(Debug)]
pub(super) struct Turns {
    next: AtomicUsize,
    count: usize,
}

impl Turns {
    pub(super) fn new(count: usize) -> Turns {
        Turns { next: AtomicUsize::new(0), count }
    }

    pub(super) fn take(&self) -> Option<usize> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        (turn < self.count).then_some(turn)
    }
}

/// Does the same work on several threads, this one among them, until all of them are done. Where no more threads can be had,
/// fewer do it.
pub(super) fn on_threads<T: Send>(threads: usize, work: &(impl Fn() -> Result<T> + Sync)) -> Result<Vec<T>> {
    if threads <= 1 {
        return work().map(|done| vec![done]);
    }
    std::thread::scope(|scope| {
        let spawn = |_| std::thread::Builder::new().name("opendb-open".to_owned()).spawn_scoped(scope, work);
        let others: Vec<_> = (1..threads).map_while(|number| spawn(number).ok()).collect();
        let mut done = vec![work()];
        let panicked = |_| Err(Error::Internal("a thread that opens the database has panicked".to_owned()));
        done.extend(others.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)));
        done.into_iter().collect()
    })
}

impl Live {
    fn of_sources(count: usize) -> Live {
        Live { counts: vec![LiveCount::default(); count], hashes: vec![0; count], large: HashMap::new() }
    }

    fn add(&mut self, source: usize, entry: HintEntry) {
        if let (Some(count), Some(hashes)) = (self.counts.get_mut(source), self.hashes.get_mut(source)) {
            count.add(entry.stored_bytes());
            *hashes = hashes.wrapping_add(entry.hash);
        }
    }

    fn merge(&mut self, other: &Live) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            count.merge(*more);
        }
        for (hashes, more) in self.hashes.iter_mut().zip(&other.hashes) {
            *hashes = hashes.wrapping_add(*more);
        }
        for (serial, more) in &other.large {
            self.large.entry(*serial).or_default().merge(*more);
        }
    }

    fn live_by_serial(self, sources: &[Source]) -> HashMap<u64, LiveCount> {
        let records = sources.iter().map(|source| source.entry.serial).zip(self.counts);
        records.chain(self.large).collect()
    }
}

impl Bulk<'_> {
    /// Step 1.
    fn list(&mut self, segments: &[(SegmentEntry, Arc<Segment>)]) -> Result<()> {
        let (log, keys) = (self.log, self.keys);
        let turns = Turns::new(segments.len());
        let work = || -> Result<Vec<(usize, Result<Source>)>> {
            let mut listed = Vec::new();
            while let Some(turn) = turns.take() {
                if let Some((entry, segment)) = segments.get(turn) {
                    let mut source = Source::new(*entry, Arc::clone(segment));
                    listed.push((turn, source.list(log, keys).map(|()| source)));
                }
            }
            Ok(listed)
        };
        let mut listed: Vec<_> = on_threads(self.threads, &work)?.into_iter().flatten().collect();
        listed.sort_unstable_by_key(|(turn, _)| *turn);
        self.sources = listed.into_iter().map(|(_, source)| source).collect::<Result<_>>()?;
        self.has_copies = self.sources.iter().any(|source| source.is_copy);
        Ok(())
    }

    /// Step 2. Gives how many commits of the log were read one by one.
    fn follow(&self, last: u64) -> Result<u64> {
        let mut chain = Chain::behind(None);
        let mut frames = 0;
        let mut named: HashMap<u16, u64> = HashMap::new();
        for source in &self.sources {
            let serial = source.entry.serial;
            if source.is_copy {
                source.stopped.map_or(Ok(()), |offset| Err(lost_copy(serial, offset)))?;
            } else {
                chain.begin(self.log, &source.entry)?;
                if source.commits > 0 && source.first != chain.expected {
                    return Err(lost(serial, HEADER, chain.expected));
                }
                chain.expected += source.commits;
                frames += source.frames;
                source.stopped.map_or(Ok(()), |offset| Err(lost(serial, offset, chain.expected)))?;
            }
            for offset in &source.names {
                let guard = self.log.pin();
                let mut record = self.log.record_at(source.location(*offset)?, &guard)?;
                let sequence = record.sequence(self.log)?;
                let record = record.checked()?;
                let newest = named.entry(record.shape.keyspace).or_default();
                // An older record of the name has the settings that it had then.
                if sequence >= *newest {
                    *newest = sequence;
                    self.keys.learn_keyspace((serial, *offset), &record, self.has_copies)?;
                }
            }
        }
        chain.end(self.log, last)?;
        Ok(frames)
    }

    /// Step 3.
    fn fill_index(&self) -> Result<Live> {
        let turns = Turns::new(Index::SHARDS);
        let work = || -> Result<Live> {
            let mut live = Live::of_sources(self.sources.len());
            let (mut candidates, mut entries) = (Vec::new(), Vec::new());
            while let Some(shard) = turns.take() {
                candidates.clear();
                entries.clear();
                self.gather(shard, &mut candidates);
                self.choose(&candidates, &mut entries, &mut live)?;
                if !entries.is_empty() {
                    self.keys.index.fill(shard, &entries);
                }
            }
            Ok(live)
        };
        let mut all = Live::of_sources(self.sources.len());
        on_threads(self.threads, &work)?.iter().for_each(|live| all.merge(live));
        Ok(all)
    }

    /// Brings together the records of a shard, ascending by hash; those of one hash are in the order of the sources.
    fn gather(&self, shard: usize, candidates: &mut Vec<Candidate>) {
        for (number, source) in self.sources.iter().enumerate() {
            let of_keys = source.of_shard(shard).iter().filter(|entry| entry.kind() != Kind::Keyspace);
            candidates.extend(of_keys.map(|entry| Candidate { entry: *entry, source: number as u32 }));
        }
        // Stable, and fast where what comes together is sorted already.
        candidates.sort_by_key(|candidate| candidate.entry.hash);
    }

    /// Finds the newest record of each key, if it is a put.
    fn choose(
        &self,
        candidates: &[Candidate],
        entries: &mut Vec<(u64, Location)>,
        live: &mut Live,
    ) -> Result<()> {
        let mut newest = Vec::new();
        for alike in candidates.chunk_by(|one, other| one.entry.hash == other.entry.hash) {
            newest.clear();
            match alike {
                [only] => newest.push(*only),
                // Nothing of it can be live.
                _ if !alike.iter().any(|candidate| candidate.entry.is_put()) => {}
                _ => self.newest_of_each_key(alike, &mut newest)?,
            }
            for candidate in newest.iter().filter(|candidate| candidate.entry.is_put()) {
                let number = candidate.source as usize;
                let Some(source) = self.sources.get(number) else { continue };
                let location = source.location(candidate.entry.offset())?;
                entries.push((candidate.entry.hash, location));
                live.add(number, candidate.entry);
                source.mark(candidate.entry.offset());
                if candidate.entry.kind() == Kind::LargePut {
                    let guard = self.log.pin();
                    if let Some(pointer) = self.log.record_at(location, &guard)?.large_pointer()? {
                        live.large.entry(pointer.serial).or_default().add(pointer.stored_bytes());
                    }
                }
            }
        }
        Ok(())
    }

    /// Of records with one hash, which are of one key almost always, the newest of each key.
    fn newest_of_each_key(&self, alike: &[Candidate], newest: &mut Vec<Candidate>) -> Result<()> {
        let guard = self.log.pin();
        'records: for candidate in alike {
            let mut record = self.log.record_at(self.location(candidate)?, &guard)?;
            let (keyspace, key) = record.name()?;
            for known in newest.iter_mut() {
                if self.log.find(self.location(known)?, keyspace, key, &guard)?.is_some() {
                    if self.is_newer(candidate, known, &guard)? {
                        *known = *candidate;
                    }
                    continue 'records;
                }
            }
            newest.push(*candidate);
        }
        Ok(())
    }

    /// Whether a record is newer than another one of its key that comes before it. In the log it is. Of a copy only the sequence
    /// tells; where that is the same, a copy is the record that it was made of, and of two copies the later one counts, which
    /// may name another place for a large value. A tombstone among them says that this is over.
    fn is_newer(&self, record: &Candidate, other: &Candidate, guard: &Guard) -> Result<bool> {
        let is_copy = |candidate: &Candidate| {
            self.sources.get(candidate.source as usize).is_some_and(|source| source.is_copy)
        };
        if !is_copy(other) {
            return Ok(true);
        }
        let sequence =
            |candidate: &Candidate| self.log.record_at(self.location(candidate)?, guard)?.sequence(self.log);
        let (new, old) = (sequence(record)?, sequence(other)?);
        Ok(new > old || new == old && is_copy(record) && other.entry.is_put())
    }

    fn location(&self, candidate: &Candidate) -> Result<Location> {
        let source = self.sources.get(candidate.source as usize);
        let source = source.ok_or_else(|| Error::Internal("a record of no segment".to_owned()))?;
        source.location(candidate.entry.offset())
    }

    /// Step 4.
    fn fill_order(&self, live: &Live) -> Result<()> {
        let turns = Turns::new(self.sources.len());
        let work = || -> Result<HashMap<u16, u64>> {
            let (mut batch, mut counts) = (KeyBatch::default(), HashMap::new());
            while let Some(turn) = turns.take() {
                if let (Some(source), Some(hashes)) = (self.sources.get(turn), live.hashes.get(turn)) {
                    self.order_source(source, *hashes, &mut batch, &mut counts)?;
                }
            }
            self.keys.order.insert_batch(&batch)?;
            Ok(counts)
        };
        for counts in on_threads(self.threads, &work)? {
            for (number, keys) in counts {
                // In an old log the name may come from nowhere, which is told when all is read.
                if self.has_copies {
                    self.keys.keyspaces.make_room(number);
                }
                self.keys.keyspaces.add_keys(number, keys);
            }
        }
        Ok(())
    }

    fn order_source(
        &self,
        source: &Source,
        hashes: u64,
        batch: &mut KeyBatch,
        counts: &mut HashMap<u16, u64>,
    ) -> Result<()> {
        let mut walk = FrameWalk::new(&source.segment, self.log.salt(source.entry.serial), HEADER);
        let (mut keyspace, mut keys, mut sum) = (0, 0, 0_u64);
        for offset in source.marked() {
            let found = walk.key_at(offset)?.filter(|(shape, _)| shape.kind.is_put());
            let Some((shape, key)) = found else { return Err(not_as_hinted(source.entry.serial, offset)) };
            sum = sum.wrapping_add(self.keys.hash(shape.keyspace, key));
            if shape.keyspace != keyspace {
                *counts.entry(keyspace).or_default() += keys;
                (keyspace, keys) = (shape.keyspace, 0);
            }
            keys += 1;
            batch.push(&shape.keyspace.to_be_bytes(), key);
            if batch.is_full() {
                self.keys.order.insert_batch(&std::mem::take(batch))?;
            }
        }
        *counts.entry(keyspace).or_default() += keys;
        if sum == hashes { Ok(()) } else { Err(not_as_hinted(source.entry.serial, HEADER)) }
    }
}

fn not_as_hinted(serial: u64, offset: u64) -> Error {
    Error::corruption(serial, offset, "the segment has not the keys that it had when it was sealed")
}
