//! What a rebuild ends with, in a form that can be compared.

use crate::error::Result;
use crate::index::Index;
use crate::keys::Keys;
use crate::log::LogConfig;
use crate::manifest::Manifest;
use crate::order::Order;
use crate::recovery;

use super::rebuild::Rebuild;

/// Everything that is known of the keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rebuilt {
    /// By shard of the index, ascending.
    locations: Vec<Vec<u64>>,
    /// Serial, bytes, records.
    live: Vec<(u64, u64, u64)>,
    /// Names and keys.
    keyspaces: Vec<(String, u64)>,
    /// The keys of the order that are live.
    ordered: Vec<Vec<u8>>,
    appended: u64,
}

/// Opens a log without a checkpoint and makes everything anew on so many threads; for 0 record by record. Tells as well how
/// many commits were read one by one.
pub(crate) fn rebuilt(config: LogConfig, manifest: Manifest, threads: usize) -> Result<(Rebuilt, u64)> {
    let keys = Keys::from_parts(manifest.hash_seed, Index::new(), Order::in_memory());
    let mut rebuild = Rebuild::new(&keys, None, false).on_threads(threads);
    let (log, recovery) = recovery::open(config, manifest, None, false, &mut rebuild)?;
    let locations = |shard| -> Vec<u64> {
        let mut locations: Vec<u64> =
            keys.index.locations(shard).unwrap().iter().map(|location| location.bits()).collect();
        locations.sort_unstable();
        locations
    };
    let live = log.live_segments();
    let mut ordered = Vec::new();
    let (all, none) = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    let mut cursor = keys.order.cursor(all, none, false)?;
    while let Some(key) = cursor.next()? {
        let (keyspace, name) = crate::keys::split_ordered_key(key).unwrap();
        if keys.find(&log, keys.hash(keyspace, name), keyspace, name, &log.pin())?.is_some() {
            ordered.push(key.to_vec());
        }
    }
    let rebuilt = Rebuilt {
        locations: (0..Index::SHARDS).map(locations).collect(),
        live: live.iter().map(|one| (one.serial, one.live_bytes, one.live_records)).collect(),
        keyspaces: keys.keyspaces.states().into_iter().map(|state| (state.name, state.keys)).collect(),
        ordered,
        appended: log.appended(),
    };
    assert_eq!(keys.index.len(), rebuilt.locations.iter().map(|shard| shard.len() as u64).sum::<u64>());
    Ok((rebuilt, recovery.frames))
}
