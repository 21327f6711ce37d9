//! The hash index (Bitcask's *keydir*): where in the log the newest record of each key lies. It holds no keys.
//!
//! What goes in is a 64-bit hash of (keyspace, key) and a [`Location`]; what comes out is every location whose hash
//! looks alike, the *candidates*. The caller compares the key in the log, since equal hash bits are not equal keys.
//!
//! # Layout
//! The top 10 bits of a hash pick one of 1024 shards, the next 23 bits are the entry's **tag**. A shard is one flat
//! table of cache lines, each of eight 8-byte slots, in pointer-free words that can be copied as they are:
//!
//! | bits  | field    | meaning                                                              |
//! |-------|----------|----------------------------------------------------------------------|
//! | 63    | spill    | belongs to the line, not to the entry: one bit of its Bloom filter   |
//! | 40-62 | tag      | 23 bits of the hash                                                  |
//! | 0-39  | location | 15 bits of segment slot, 25 bits of offset / 8; all zero: empty slot |
//!
//! The home line of a tag is `tag * lines >> 23`. An entry whose home line is full goes to the next line with room, and
//! in each full line on its way it sets the spill bit of slot `tag & 7`. So a lookup leaves a line only if an entry with
//! the same three bits has left it before: 1.15 to 1.25 lines are touched by a hit, 1.05 to 1.1 by a miss.
//!
//! Both places come from the tag alone, which is in the slot. A table therefore grows, by about a sixth, in one sequential
//! pass over its own words, with no key and no full hash at hand; and each shard does so at its own time, so that no
//! write waits for more than its own shard's table.
//!
//! The lines of a large table lie in pieces out of a pool, which may be backed by large pages: see `pool.rs`.
//!
//! # Images
//! A checkpoint keeps the entries of each shard, without the lines that they stand in. An index that is opened from one has nothing
//! in memory: a shard is read, and its table filled, when somebody first looks into it, and so opening takes the same time at any
//! size.
//!
//! # Threads
//! - **Readers** share a shard's lock only while they look at slot words.
//! - **Writers** of a shard take turns. They change a slot by one atomic store, beside readers. A key that is only
//!   replaced never leaves its slot: a reader sees the old location or the new one, never neither.
//! - **Growth** fills the new table aside. Readers are kept out for the exchange of two pointers, and no longer.
//!
//! # Invariants
//! - An entry lies in its home line, or in a later line such that every line from the home line up to the one before
//!   it has the entry's spill bit set.
//! - A store into a slot keeps the slot's spill bit. A spill bit is never cleared in place, only by a new table.
//! - Whoever finds a location also sees what was written to the log before it was put here.

mod block;
mod candidates;
mod hash_index;
mod image;
mod line;
mod lines;
mod pool;
mod shard;
mod slot;
mod table;

#[cfg(test)]
#[cfg(not(loom))]
mod density_tests;
#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
#[cfg(test)]
#[cfg(not(loom))]
mod model_tests;
#[cfg(test)]
#[cfg(not(loom))]
mod random;

pub(crate) use candidates::Candidates;
pub(crate) use hash_index::{Index, shard_of};
pub(crate) use image::{ShardImage, ShardSource};
pub(crate) use slot::with_location;
