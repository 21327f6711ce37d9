//! A shard as plain words: what a checkpoint keeps of it, and what it is made of again when somebody first looks.

use crate::checkpoint::ShardShape;
use crate::error::Result;

/// A shard at one moment: its shape, and the words of its lines, little endian.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShardImage {
    pub(crate) shape: ShardShape,
    pub(crate) words: Vec<u8>,
}

/// Where the shards are that nobody has looked at yet.
pub(crate) trait ShardSource: Send + Sync + std::fmt::Debug {
    /// Shards of the index when the source was made.
    fn shape(&self, shard: usize) -> Option<ShardShape>;

    /// The words of a shard, found to be whole.
    fn words(&self, shard: usize) -> Result<Vec<u8>>;
}
