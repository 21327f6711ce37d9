//! The index as the rest of the engine sees it.

use std::sync::Arc;

use super::candidates::Candidates;
use super::image::{ShardImage, ShardSource};
use super::pool::Pool;
use super::shard::Shard;
use super::slot::{SHARD_BITS, TAG_MASK, Tag};
use crate::checkpoint::ShardShape;
use crate::error::{Error, Result};
use crate::location::Location;
use crate::sabotage::keys_collide;
use crate::wish::Wish;

/// Where the newest record of each key lies, by the 64-bit hash of (keyspace, key).
///
/// Safe from any number of threads. Each call is atomic by itself; what belongs together over several calls is the
/// caller's to order.
pub(crate) struct Index {
    /// A power of two of them, at most 1024.
    shards: Box<[Shard]>,
    /// The bits of a tag in use: all of them, but in tests.
    tag_mask: u64,
    /// Where the shards are that were not looked at yet.
    source: Option<Box<dyn ShardSource>>,
    /// Where large tables have their lines.
    pool: Arc<Pool>,
}

/// The number of the shard that has a hash.
pub(crate) fn shard_of(hash: u64) -> usize {
    (used_bits(hash) >> (64 - SHARD_BITS)) as usize
}

/// Of a hash what the index looks at: all of it, but where keys are to collide.
fn used_bits(hash: u64) -> u64 {
    /// Eight bits of the tag, in its high part and in its low one, and none of the shard.
    const COLLIDING: u64 = (0b11_1111 << 17 | 0b11) << 31;
    if keys_collide() { hash & COLLIDING } else { hash }
}

impl Index {
    /// An empty index: 64 KiB of shards, 6 KiB of an empty pool, and no tables.
    pub(crate) fn new() -> Index {
        Index::with_shape(1 << SHARD_BITS, TAG_MASK)
    }

    fn with_shape(shards: usize, tag_mask: u64) -> Index {
        let pool = Pool::new(shards, 0);
        Index { shards: (0..shards).map(|_| Shard::new()).collect(), tag_mask, source: None, pool }
    }

    /// An index as it was when its shards were put into the source.
    pub(crate) fn from_source(source: Box<dyn ShardSource>) -> Index {
        let shapes = (0..Index::SHARDS).map(|number| source.shape(number).unwrap_or_default());
        let shapes: Vec<ShardShape> = shapes.collect();
        let lines = shapes.iter().map(|shape| shape.home_lines as usize).sum();
        Index {
            shards: shapes.into_iter().map(Shard::absent).collect(),
            tag_mask: TAG_MASK,
            pool: Pool::new(Index::SHARDS, lines),
            source: Some(source),
        }
    }

    /// Shards of every index outside of tests.
    pub(crate) const SHARDS: usize = 1 << SHARD_BITS;

    /// One shard as it is now. Nobody may change it meanwhile, which the caller sees to.
    pub(crate) fn image(&self, number: usize) -> Result<ShardImage> {
        let Some(shard) = self.shards.get(number) else { return Ok(ShardImage::default()) };
        match (shard.image()?, &self.source) {
            (Some(image), _) => Ok(image),
            (None, Some(source)) => Ok(ShardImage {
                home_lines: source.shape(number).unwrap_or_default().home_lines,
                words: source.words(number)?,
            }),
            (None, None) => Ok(ShardImage::default()),
        }
    }

    /// [`Index::image`] of a shard that is in memory; `None` where it is not.
    pub(crate) fn image_in_memory(&self, number: usize) -> Result<Option<ShardImage>> {
        self.shards.get(number).map_or(Ok(None), Shard::image)
    }

    /// Keeps everybody out of a shard, until [`Index::catch_up`] has changed it. Nobody else may use the index yet.
    pub(crate) fn hold(&self, number: usize) {
        if let Some(shard) = self.shards.get(number) {
            shard.hold();
        }
    }

    /// Has a shard changed that is held, as an index of its own that nobody else sees, and lets everybody look into it then. It
    /// is held on after an error. Who asks for the same shard meanwhile waits.
    pub(crate) fn catch_up(&self, number: usize, change: impl FnOnce(&Index) -> Result<()>) -> Result<()> {
        let Some(shard) = self.shards.get(number) else { return Ok(()) };
        shard.catch_up(
            &self.pool,
            || self.words(number),
            |shard| {
                let (shards, pool) = (Box::new([shard]), Arc::clone(&self.pool));
                let aside = Index { shards, tag_mask: self.tag_mask, source: None, pool };
                change(&aside)?;
                let changed = aside.shards.into_vec().pop();
                changed.ok_or_else(|| Error::Internal("a shard of the index was lost".to_owned()))
            },
        )
    }

    /// Reads a shard that nobody has looked at yet.
    #[cold]
    fn load(&self, number: usize) -> Result<()> {
        self.shards.get(number).map_or(Ok(()), |shard| shard.load(&self.pool, || self.words(number)))
    }

    /// The words of a shard as its source has them.
    fn words(&self, number: usize) -> Result<Vec<u64>> {
        self.source.as_ref().map_or(Ok(Vec::new()), |source| source.words(number))
    }

    /// An index where hashes look alike more often: of the hash's top 33 bits it uses the last few of the first ten,
    /// for a power of two of shards up to 1024, and those of the other 23 that are set in the mask.
    #[cfg(test)]
    pub(super) fn with_collisions(shards: usize, tag_mask: u64) -> Index {
        assert!(shards.is_power_of_two() && shards <= 1 << SHARD_BITS && tag_mask & !TAG_MASK == 0);
        Index::with_shape(shards, tag_mask)
    }

    #[inline(always)]
    fn shard_and_tag(&self, hash: u64) -> (&Shard, Tag) {
        let shard = shard_of(hash) & (self.shards.len() - 1);
        (&self.shards[shard], Tag::of_hash(used_bits(hash), self.tag_mask))
    }

    /// Whether nobody has looked into the shard of this hash yet, or it is held.
    #[inline]
    pub(crate) fn is_absent(&self, hash: u64) -> bool {
        self.shard_and_tag(hash).0.is_absent()
    }

    /// The locations of all keys whose hashes agree in the bits that the index keeps: the key's own, if it is there,
    /// and seldom another's.
    ///
    /// A shard that nobody has looked at yet is read for that, which may fail; every other call comes after this one for the
    /// same hash, and cannot.
    #[inline(always)]
    pub(crate) fn candidates(&self, hash: u64) -> Result<Candidates> {
        let (shard, tag) = self.shard_and_tag(hash);
        if shard.is_absent() {
            self.load(shard_of(hash) & (self.shards.len() - 1))?;
        }
        Ok(shard.find(tag))
    }

    /// Starts loading what the next call with this hash will look at, so that work done in between hides the wait
    /// for memory.
    pub(crate) fn prefetch(&self, hash: u64) {
        let (shard, tag) = self.shard_and_tag(hash);
        shard.prefetch(tag, &self.pool);
    }

    /// Adds a key that is not in the index; the caller knows.
    pub(crate) fn insert(&self, hash: u64, location: Location) {
        let (shard, tag) = self.shard_and_tag(hash);
        shard.insert(tag, location, &self.pool);
    }

    /// Fills a shard that has no entry yet, with a table of its final size. The hashes must be of the shard; the keys are different
    /// ones.
    pub(crate) fn fill(&self, number: usize, entries: &[(u64, Location)]) {
        let with_tag =
            |(hash, location): &(u64, Location)| (Tag::of_hash(used_bits(*hash), self.tag_mask), *location);
        if let Some(shard) = self.shards.get(number) {
            shard.fill(|| entries.iter().map(with_tag), entries.len(), &self.pool);
        }
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
        shard.remove(tag, old, &self.pool)
    }

    /// The wish that [`Index::prepare_memory`] is called.
    #[inline]
    pub(crate) fn wish_for_memory(&self) -> &Wish {
        self.pool.wish()
    }

    /// Has the memory ready that tables will soon grow into, so that no put waits for the system to empty a large page. To be called
    /// whenever there is a wish, by one thread, and once before.
    pub(crate) fn prepare_memory(&self) {
        self.pool.prepare();
    }

    /// Keys in the index.
    pub(crate) fn len(&self) -> u64 {
        self.shards.iter().map(Shard::entries).sum()
    }

    /// Everything the index takes: its tables with their overflow lines, what the pool of large ones has, and the shards.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let tables: usize = self.shards.iter().map(Shard::table_bytes).sum();
        (size_of::<Index>() + size_of_val::<[Shard]>(&self.shards) + tables + self.pool.memory_bytes()) as u64
    }

    /// Every location of one shard at one moment.
    pub(crate) fn locations(&self, number: usize) -> Result<Vec<Location>> {
        let Some(shard) = self.shards.get(number) else { return Ok(Vec::new()) };
        if shard.is_absent() {
            self.load(number)?;
        }
        Ok(shard.locations())
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
