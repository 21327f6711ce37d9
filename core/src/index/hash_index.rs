//! The index as the rest of the engine sees it.

use super::candidates::Candidates;
use super::shard::Shard;
use super::slot::{SHARD_BITS, TAG_MASK, Tag};
use crate::location::Location;

/// Where the newest record of each key lies, by the 64-bit hash of (keyspace, key).
///
/// Safe from any number of threads. Each call is atomic by itself; what belongs together over several calls is the
/// caller's to order.
pub(crate) struct Index {
    /// A power of two of them, at most 1024.
    shards: Box<[Shard]>,
    /// The bits of a tag in use: all of them, but in tests.
    tag_mask: u64,
}

/// The number of the shard that has a hash.
pub(crate) fn shard_of(hash: u64) -> usize {
    (hash >> (64 - SHARD_BITS)) as usize
}

impl Index {
    /// An empty index: 64 KiB of shards, and no tables.
    pub(crate) fn new() -> Index {
        Index::with_shape(1 << SHARD_BITS, TAG_MASK)
    }

    fn with_shape(shards: usize, tag_mask: u64) -> Index {
        Index { shards: (0..shards).map(|_| Shard::new()).collect(), tag_mask }
    }

    /// An index where hashes look alike more often: of the hash's top 33 bits it uses the last few of the first ten,
    /// for a power of two of shards up to 1024, and those of the other 23 that are set in the mask.
    #[cfg(test)]
    pub(super) fn with_collisions(shards: usize, tag_mask: u64) -> Index {
        assert!(shards.is_power_of_two() && shards <= 1 << SHARD_BITS && tag_mask & !TAG_MASK == 0);
        Index::with_shape(shards, tag_mask)
    }

    fn shard_and_tag(&self, hash: u64) -> (&Shard, Tag) {
        let shard = shard_of(hash) & (self.shards.len() - 1);
        (&self.shards[shard], Tag::of_hash(hash, self.tag_mask))
    }

    /// The locations of all keys whose hashes agree in the bits that the index keeps: the key's own, if it is there,
    /// and seldom another's.
    pub(crate) fn candidates(&self, hash: u64) -> Candidates {
        let (shard, tag) = self.shard_and_tag(hash);
        shard.find(tag)
    }

    /// Starts loading what the next call with this hash will look at, so that work done in between hides the wait
    /// for memory.
    pub(crate) fn prefetch(&self, hash: u64) {
        let (shard, tag) = self.shard_and_tag(hash);
        shard.prefetch(tag);
    }

    /// Adds a key that is not in the index; the caller knows.
    pub(crate) fn insert(&self, hash: u64, location: Location) {
        let (shard, tag) = self.shard_and_tag(hash);
        shard.insert(tag, location);
    }

    /// Moves a key from one location to another. `false`, and nothing is changed, if it is not at the old one any
    /// more.
    pub(crate) fn replace(&self, hash: u64, old: Location, new: Location) -> bool {
        let (shard, tag) = self.shard_and_tag(hash);
        shard.replace(tag, old, new)
    }

    /// Takes out a key. `false`, and nothing is changed, if it is not at this location any more.
    pub(crate) fn remove(&self, hash: u64, old: Location) -> bool {
        let (shard, tag) = self.shard_and_tag(hash);
        shard.remove(tag, old)
    }

    /// Keys in the index.
    #[cfg(test)]
    pub(crate) fn len(&self) -> u64 {
        self.shards.iter().map(Shard::entries).sum()
    }

    /// Everything the index takes: its tables with their overflow lines, and the shards.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let tables: usize = self.shards.iter().map(Shard::table_bytes).sum();
        (size_of::<Index>() + size_of_val::<[Shard]>(&self.shards) + tables) as u64
    }

    /// Visits every location, each shard's as they are at one moment. The visitor may use the index.
    #[cfg(test)]
    pub(crate) fn for_each(&self, visit: impl FnMut(Location)) {
        self.shards.iter().flat_map(Shard::locations).for_each(visit);
    }

    /// Lines that a lookup of the hash looks at.
    #[cfg(test)]
    #[cfg(not(loom))]
    pub(crate) fn lines_touched(&self, hash: u64) -> usize {
        let (shard, tag) = self.shard_and_tag(hash);
        shard.lines_touched(tag)
    }
}
