//! The stores behind one small trait, each in the fastest setting that keeps what is promised.

#[cfg(feature = "bf-tree")]
mod bf_tree;
#[cfg(feature = "candystore")]
mod candystore;
#[cfg(feature = "emdb")]
mod emdb;
#[cfg(feature = "fjall")]
mod fjall;
mod kind;
mod lmdb;
mod memory;
mod opendb;
mod profile;
mod raw_file;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(feature = "sled")]
mod sled;
#[cfg(feature = "surrealkv")]
mod surrealkv;

use std::path::Path;

use anyhow::{Result, bail};
use opendb_measure::workload::{Key, Seen};

pub(crate) use kind::Kind;
pub(crate) use profile::{Call, Profile};

/// What a write that returned is safe from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guarantee {
    /// The death of the process at any instant. Nobody waits for the device.
    Survives,
    /// The loss of power as well: it is on the device.
    Durable,
}

/// How a store is opened.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code)] // some of it is of use to peers only, which may not be compiled in
pub(crate) struct Setup<'a> {
    /// Where its files go.
    pub(crate) directory: &'a Path,
    /// What its writes promise.
    pub(crate) guarantee: Guarantee,
    /// It is opened for transactions, where that is another kind of database.
    pub(crate) transactions: bool,
    /// It is opened for scans in order, where they have to be asked for.
    pub(crate) scans: bool,
    /// How many bytes of keys and values it is to have room for.
    pub(crate) data_bytes: u64,
}

/// One entry of a batch.
pub(crate) struct Entry {
    /// Its key.
    pub(crate) key: Key,
    /// Its value.
    pub(crate) value: Vec<u8>,
}

/// Looks a key up in the cheapest way.
pub(crate) type Lookup<'a> = &'a dyn Fn(&[u8]) -> Result<Option<Seen>>;
/// Is shown the entries of a scan.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]);
/// Makes the new value of a key from its present one.
pub(crate) type Change<'a> = &'a mut dyn FnMut(&[u8]) -> Result<Vec<u8>>;

/// One store, open on a directory of its own. A call is complete in itself. What a store's [`Profile`] says that it lacks is
/// never called.
pub(crate) trait Store: Sync {
    /// Writes one value in a commit of its own.
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()>;

    /// Reads the newest value as something that is the caller's own.
    fn get(&self, key: &[u8]) -> Result<Option<Seen>>;

    /// Removes a key in a commit of its own.
    fn delete(&self, _key: &[u8]) -> Result<()> {
        lacking()
    }

    /// Whether a key is there.
    fn exists(&self, key: &[u8]) -> Result<bool> {
        Ok(self.get(key)?.is_some())
    }

    /// Hands `work` the cheapest way this store has to read many values, without a copy where it can.
    fn with_lookup(&self, work: &mut dyn FnMut(Lookup<'_>) -> Result<()>) -> Result<()> {
        work(&|key| self.get(key))
    }

    /// Reads many values in the cheapest way; what was found goes to `found`, in the order of the keys. Where the store has no
    /// call for it, one after the other, in one read transaction where it has those.
    fn get_many(&self, keys: &[Key], found: &mut dyn FnMut(Option<Seen>) -> Result<()>) -> Result<()> {
        self.with_lookup(&mut |find: Lookup<'_>| keys.iter().try_for_each(|key| found(find(key)?)))
    }

    /// Writes all entries, in one commit where the store has batches.
    fn batch(&self, entries: &[Entry]) -> Result<()> {
        entries.iter().try_for_each(|Entry { key, value }| self.put(key, value))
    }

    /// Shows `visit` at most `limit` entries from `start` on. Collected, all of them are first gathered as the caller's own.
    fn scan(&self, _start: &[u8], _limit: usize, _collected: bool, _visit: Visit<'_>) -> Result<()> {
        lacking()
    }

    /// Replaces the value of a key that is there in a transaction, again until it commits. Gives how many tries were in vain.
    fn update(&self, _key: &[u8], _change: Change<'_>) -> Result<u64> {
        lacking()
    }

    /// Brings what is there into the form that reads are fastest from, as far as the store has a call for it.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }
}

fn lacking<T>() -> Result<T> {
    bail!("the store was asked for what it does not have")
}

/// What runs on an open store.
pub(crate) type Work<'a> = &'a mut dyn FnMut(&mut dyn Store) -> Result<()>;

/// An entry of a scan that is the caller's own, for stores that lend theirs.
type OwnEntry = (Vec<u8>, Vec<u8>);

/// Gathers entries, then shows them.
fn show_collected<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    entries: impl Iterator<Item = Result<(K, V)>>,
    visit: Visit<'_>,
) -> Result<()> {
    let entries: Vec<(K, V)> = entries.collect::<Result<_>>()?;
    for (key, value) in std::hint::black_box(&entries) {
        visit(key.as_ref(), value.as_ref());
    }
    Ok(())
}

/// Shows entries as they come.
fn show_each<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    entries: impl Iterator<Item = Result<(K, V)>>,
    visit: Visit<'_>,
) -> Result<()> {
    for entry in entries {
        let (key, value) = entry?;
        visit(key.as_ref(), value.as_ref());
    }
    Ok(())
}

/// Shows entries that are the caller's own anyway, in the way asked for.
#[cfg(any(feature = "emdb", feature = "fjall", feature = "sled"))]
fn show<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    entries: impl Iterator<Item = Result<(K, V)>>,
    collected: bool,
    visit: Visit<'_>,
) -> Result<()> {
    if collected { show_collected(entries, visit) } else { show_each(entries, visit) }
}
