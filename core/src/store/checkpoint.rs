//! Checkpoints: what is known of the keys, as of one commit, in a file.

use std::collections::HashMap;

use crate::error::Result;
use crate::log::{LiveCount, Log};

/// What a checkpoint says of the log, once it is opened.
#[derive(Debug, Default)]
pub(super) struct Base {
    /// By shard of the index: the last commit that is in it.
    sequences: Vec<u64>,
    /// The last commit that is counted.
    pub(super) counted_to: u64,
    /// What is live, by serial of the segment.
    live: HashMap<u64, LiveCount>,
}

impl Base {
    /// Tells a log what is live in its segments.
    pub(super) fn begin(&self, log: &Log) -> Result<()> {
        log.set_live(&self.live);
        Ok(())
    }

    /// Whether the index has this commit's record of a key already.
    pub(super) fn knows(&self, hash: u64, sequence: u64) -> bool {
        let shard = crate::index::shard_of(hash);
        self.sequences.get(shard).is_some_and(|known| sequence <= *known)
    }
}
