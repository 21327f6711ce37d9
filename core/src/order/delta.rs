//! The newest keys, in the order they came: the active delta, and the chunks it is frozen into.

use super::block::shared_length;
use super::bounds::{Bounds, head_in};
use super::directory::Directory;
use super::run::Run;
use super::writer::RunWriter;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// Most keys of one chunk: sorting them takes a fraction of a millisecond.
pub(super) const CHUNK_ENTRIES_MAX: usize = 4096;
/// Key bytes at which a chunk is full, however few keys they are. One more key may still pass it, so an arena ends
/// below this and the longest key, and offsets fit 32 bits many times over.
const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Keys and key bytes up to which the active delta is looked through by a cursor under the state lock, and what is in its
/// range sorted again by each cursor. A delta beyond either is frozen first: then that is done once.
const COPY_ENTRIES_MAX: usize = 64;
const COPY_BYTES_MAX: usize = 64 << 10;
/// The bits of a rank that hold the place of a key in its delta, which is below `CHUNK_ENTRIES_MAX`.
const RANK_PLACE: u128 = 0xFFFF;
/// How often an unsorted chunk is looked through before a cursor rather sorts it. The number of the chunk is added,
/// up to `FILTERED_SPREAD`, so that one cursor does not sort all that is waiting.
const FILTERED_MAX: u32 = 4;
const FILTERED_SPREAD: u64 = 8;

/// Keys in the order they were inserted: one arena of bytes, and where in it each key ends.
#[derive(Default)]
pub(super) struct Delta {
    arena: Vec<u8>,
    ends: Vec<u32>,
}

impl Delta {
    /// An empty delta with the room that `previous` took, so that a steady load seldom grows one.
    pub(super) fn with_room_of(previous: &Delta) -> Self {
        let bytes = previous.arena.len() + previous.arena.len() / 16;
        Self { arena: Vec::with_capacity(bytes), ends: Vec::with_capacity(previous.ends.len()) }
    }

    #[inline]
    pub(super) fn push(&mut self, key: &[u8]) {
        self.arena.extend_from_slice(key);
        self.ends.push(self.arena.len() as u32);
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.ends.len() >= CHUNK_ENTRIES_MAX || self.arena.len() >= CHUNK_BYTES_MAX
    }

    /// Whether looking through it would hold the state lock for too long.
    pub(super) fn is_large_to_copy(&self) -> bool {
        self.ends.len() > COPY_ENTRIES_MAX || self.arena.len() > COPY_BYTES_MAX
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        (self.arena.capacity() + self.ends.capacity() * size_of::<u32>()) as u64
    }

    /// A copy of the keys inside the bounds.
    pub(super) fn within(&self, bounds: &Bounds<'_>) -> Delta {
        let mut copy = Delta::default();
        self.places_within(bounds).for_each(|place| copy.push(self.key(place)));
        copy
    }

    /// The keys as a run.
    pub(super) fn to_run(&self, number: u64) -> Run {
        self.run_of(number, 0..self.len())
    }

    #[inline]
    fn range(&self, place: usize) -> Range<usize> {
        let start = if place == 0 { 0 } else { self.ends[place - 1] as usize };
        start..self.ends[place] as usize
    }

    #[inline]
    fn key(&self, place: usize) -> &[u8] {
        &self.arena[self.range(place)]
    }

    fn places_within(&self, bounds: &Bounds<'_>) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(move |&place| {
            let range = self.range(place);
            bounds.contain(head_in(&self.arena, range.clone()), || &self.arena[range.clone()])
        })
    }

    /// The run of the keys at some places, equal keys once.
    fn run_of(&self, number: u64, places: impl Iterator<Item = usize> + Clone) -> Run {
        let mut writer = RunWriter::in_memory(number);
        let mut previous = None;
        for rank in self.ranks(places) {
            let (bytes, key) = (rank & !RANK_PLACE, self.key((rank & RANK_PLACE) as usize));
            if previous.is_none_or(|previous| previous != (bytes, key)) {
                writer.push(key);
            }
            previous = Some((bytes, key));
        }
        // Nothing in memory fails; without keys it is a run in which there is nothing.
        let run = writer.finish().ok().flatten();
        run.unwrap_or_else(|| Run::in_memory(number, Directory::default(), Vec::new()))
    }

    /// The places in the order of their keys. What is sorted is numbers, which is several times faster than to sort by
    /// the keys: of each key 14 bytes behind what all of them share, and below them the place. Only where these bytes
    /// are equal the keys themselves are compared.
    fn ranks(&self, places: impl Iterator<Item = usize> + Clone) -> Vec<u128> {
        let shared = self.shared_by_all(places.clone());
        let rank = |place| {
            let Range { start, end } = self.range(place);
            head_in(&self.arena, start + shared..end) & !RANK_PLACE | place as u128
        };
        let mut ranks: Vec<u128> = places.map(rank).collect();
        ranks.sort_unstable();
        for equal in ranks.chunk_by_mut(|a, b| a & !RANK_PLACE == b & !RANK_PLACE) {
            if equal.len() > 1 {
                equal.sort_unstable_by_key(|rank| self.key((rank & RANK_PLACE) as usize));
            }
        }
        ranks
    }

    /// How many first bytes are the same in the keys at all these places.
    fn shared_by_all(&self, mut places: impl Iterator<Item = usize>) -> usize {
        let Some(first) = places.next().map(|place| self.key(place)) else { return 0 };
        places.fold(first.len(), |shared, place| shared_length(&first[..shared], self.key(place)))
    }
}

/// A frozen delta, with its sorted form once somebody made it.
pub(super) struct Chunk {
    pub(super) number: u64,
    delta: Delta,
    sorted: OnceLock<Arc<Run>>,
    filtered: AtomicU32,
}

impl Chunk {
    pub(super) fn new(number: u64, delta: Delta) -> Self {
        Self { number, delta, sorted: OnceLock::new(), filtered: AtomicU32::new(0) }
    }

    /// The whole chunk as a run. Two threads that ask at once do the work once.
    pub(super) fn sorted(&self) -> &Arc<Run> {
        self.sorted.get_or_init(|| Arc::new(self.delta.to_run(self.number)))
    }

    /// The keys inside the bounds as a run of their own, where that is cheaper than to sort the chunk: `None` when the
    /// bounds hold much of it, or when it was looked through a few times already.
    pub(super) fn narrow_run(&self, bounds: &Bounds<'_>) -> Option<Run> {
        let filtered_max = FILTERED_MAX + (self.number % FILTERED_SPREAD) as u32;
        if self.sorted.get().is_some() || self.filtered.fetch_add(1, Ordering::Relaxed) >= filtered_max {
            return None;
        }
        let few = self.delta.len() / 4;
        let inside: Vec<usize> = self.delta.places_within(bounds).take(few + 1).collect();
        (inside.len() <= few).then(|| self.delta.run_of(self.number, inside.iter().copied()))
    }

    pub(super) fn len(&self) -> usize {
        self.delta.len()
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        self.delta.memory_bytes() + self.sorted.get().map_or(0, |run| run.memory_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Bound;

    #[test]
    fn a_delta_is_full_at_its_limits() {
        let mut many = Delta::default();
        for number in 1..=CHUNK_ENTRIES_MAX {
            assert!(!many.is_full());
            many.push(&number.to_be_bytes());
        }
        assert!(many.is_full());
        let mut long = Delta::default();
        long.push(&vec![7; CHUNK_BYTES_MAX - 1]);
        assert!(!long.is_full());
        long.push(b"x");
        assert!(long.is_full());
    }

    #[test]
    fn equal_keys_become_one_entry() {
        let mut delta = Delta::default();
        for key in [&b"b"[..], b"", b"b", b"a", b"", b"b\0"] {
            delta.push(key);
        }
        assert_eq!(delta.len(), 6);
        assert_eq!(delta.to_run(1).entries(), 4);
        let bounds = Bounds::new(Bound::Included(b"b"), Bound::Unbounded);
        assert_eq!(delta.within(&bounds).len(), 3);
    }

    #[test]
    fn a_wide_or_repeated_look_sorts_the_chunk() {
        let mut delta = Delta::default();
        for number in 0..1000_u32 {
            delta.push(&number.to_be_bytes());
        }
        let chunk = Chunk::new(8, delta);
        assert!(chunk.narrow_run(&Bounds::new(Bound::Unbounded, Bound::Unbounded)).is_none());
        let end = 10_u32.to_be_bytes();
        let narrow = Bounds::new(Bound::Unbounded, Bound::Excluded(&end));
        for _ in 1..FILTERED_MAX {
            assert_eq!(chunk.narrow_run(&narrow).map(|run| run.entries()), Some(10));
        }
        assert!(chunk.narrow_run(&narrow).is_none());
    }
}
