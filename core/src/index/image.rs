//! A shard as plain words: what a checkpoint keeps of it, and what it is made of again when somebody first looks.

use crate::checkpoint::ShardShape;
use crate::error::Result;

/// A shard at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShardImage {
    /// Lines that entries call home.
    pub(crate) home_lines: u32,
    /// The entries without their spill bits, in the order of their lines.
    pub(crate) words: Vec<u64>,
}

/// Where the shards are that nobody has looked at yet.
pub(crate) trait ShardSource: Send + Sync + std::fmt::Debug {
    /// Shards of the index when the source was made.
    fn shape(&self, shard: usize) -> Option<ShardShape>;

    /// The entries of a shard, found to be whole.
    fn words(&self, shard: usize) -> Result<Vec<u64>>;
}
