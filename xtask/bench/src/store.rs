//! The stores that are measured, behind one small trait: one call is one put or one get, complete in itself.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use opendb::{OpenDB, Options, Scan};

use crate::workload::{Key, VALUE_BYTES, digest};

/// Looks a key up without copying its value, and gives the digest of what was found.
pub(crate) type Lookup<'a> = &'a dyn Fn(&Key) -> Result<Option<u64>>;

/// One store, open on a directory of its own.
pub(crate) trait Store {
    /// Writes one value, in a commit of its own, without waiting for the device.
    fn put(&self, key: &Key, value: &[u8; VALUE_BYTES]) -> Result<()>;

    /// Reads the newest value as a program that asks once in a while would, and gives its digest.
    fn get(&self, key: &Key) -> Result<Option<u64>>;

    /// The first key in order, by a scan that is left after it; `None` in an empty store.
    fn first(&self) -> Result<Option<Key>>;

    /// Hands `work` the cheapest way this store has to read many values.
    fn with_lookup(&self, work: &mut dyn FnMut(Lookup<'_>) -> Result<()>) -> Result<()>;
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// This store with its default options.
    OpenDb,
    /// LMDB, dirty pages written with system calls.
    Lmdb,
    /// LMDB, dirty pages written through a writable map.
    LmdbWritableMap,
    /// An ordered map in memory: no log, no disk, nothing survives. The floor.
    Memory,
}

impl Kind {
    /// The name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::OpenDb => "OpenDB",
            Kind::Lmdb => "LMDB",
            Kind::LmdbWritableMap => "LMDB, writable map",
            Kind::Memory => "BTreeMap in memory",
        }
    }

    /// The settings, in words, for the report.
    pub(crate) fn settings(self) -> &'static str {
        match self {
            Kind::OpenDb => {
                "default options: every put is a commit that survives the death of the process; the device is synced \
                 in the background at least once a second; get copies the value, get_ref does not"
            }
            Kind::Lmdb => {
                "heed 0.23, MDB_NOSYNC, one write transaction a put: survives the death of the process; nothing syncs \
                 the device; one read transaction a get, or one for all gets where no copy is made"
            }
            Kind::LmdbWritableMap => "as LMDB, with MDB_WRITEMAP",
            Kind::Memory => "std::collections::BTreeMap, one thread, nothing survives",
        }
    }

    /// Opens the store in `directory` and runs `work` on it.
    pub(crate) fn with_store(
        self,
        directory: &Path,
        keys: usize,
        work: &mut dyn FnMut(&dyn Store) -> Result<()>,
    ) -> Result<()> {
        match self {
            Kind::OpenDb => {
                let database = OpenDB::open_with_options(directory, Options::new())?;
                work(&database)?;
                Ok(database.close()?)
            }
            Kind::Lmdb => crate::lmdb::with_store(directory, keys, false, work),
            Kind::LmdbWritableMap => crate::lmdb::with_store(directory, keys, true, work),
            Kind::Memory => work(&Memory::default()),
        }
    }
}

impl Store for OpenDB {
    fn put(&self, key: &Key, value: &[u8; VALUE_BYTES]) -> Result<()> {
        Ok(OpenDB::put(self, key, value)?)
    }

    fn get(&self, key: &Key) -> Result<Option<u64>> {
        Ok(OpenDB::get(self, key)?.map(|value| digest(&value)))
    }

    fn first(&self) -> Result<Option<Key>> {
        let entry = self.iter(&Scan::all())?.next().transpose()?;
        Ok(entry.and_then(|(key, _)| key.try_into().ok()))
    }

    fn with_lookup(&self, work: &mut dyn FnMut(Lookup<'_>) -> Result<()>) -> Result<()> {
        work(&|key| Ok(self.get_ref(key)?.map(|value| digest(&value))))
    }
}

#[derive(Default)]
struct Memory(RefCell<BTreeMap<Key, [u8; VALUE_BYTES]>>);

impl Store for Memory {
    fn put(&self, key: &Key, value: &[u8; VALUE_BYTES]) -> Result<()> {
        self.0.borrow_mut().insert(*key, *value);
        Ok(())
    }

    fn get(&self, key: &Key) -> Result<Option<u64>> {
        Ok(self.0.borrow().get(key).map(|value| digest(value)))
    }

    fn first(&self) -> Result<Option<Key>> {
        Ok(self.0.borrow().first_key_value().map(|(key, _)| *key))
    }

    fn with_lookup(&self, work: &mut dyn FnMut(Lookup<'_>) -> Result<()>) -> Result<()> {
        let map = self.0.borrow();
        work(&|key| Ok(map.get(key).map(|value| digest(value))))
    }
}
