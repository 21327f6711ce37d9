//! The stores that can be measured.

use anyhow::{Result, bail};

use super::{Profile, Setup, Work, lmdb, memory, opendb, profile, raw_file};

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// This one.
    OpenDb,
    /// LMDB, dirty pages written with system calls.
    Lmdb,
    /// LMDB, dirty pages written through a writable map.
    LmdbWritableMap,
    /// redb.
    Redb,
    /// fjall.
    Fjall,
    /// RocksDB.
    RocksDb,
    /// sled.
    Sled,
    /// emdb.
    Emdb,
    /// CandyStore.
    CandyStore,
    /// SurrealKV.
    SurrealKv,
    /// Bf-Tree.
    BfTree,
    /// A sorted map in memory.
    SortedMap,
    /// A hash map in memory.
    HashMap,
    /// A file appended to and synced.
    RawFile,
}

impl Kind {
    /// All of them, in the order of the columns.
    pub(crate) const ALL: [Kind; 14] = [
        Kind::OpenDb,
        Kind::Lmdb,
        Kind::LmdbWritableMap,
        Kind::Redb,
        Kind::Fjall,
        Kind::RocksDb,
        Kind::Sled,
        Kind::Emdb,
        Kind::CandyStore,
        Kind::SurrealKv,
        Kind::BfTree,
        Kind::SortedMap,
        Kind::HashMap,
        Kind::RawFile,
    ];

    /// What is to be known about it.
    pub(crate) fn profile(self) -> &'static Profile {
        profile::of(self)
    }

    /// The store with this name on the command line.
    pub(crate) fn named(id: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.profile().id == id)
    }

    /// Whether it was compiled in.
    pub(crate) fn is_built(self) -> bool {
        match self {
            Kind::Redb => cfg!(feature = "redb"),
            Kind::Fjall => cfg!(feature = "fjall"),
            Kind::RocksDb => cfg!(feature = "rocksdb"),
            Kind::Sled => cfg!(feature = "sled"),
            Kind::Emdb => cfg!(feature = "emdb"),
            Kind::CandyStore => cfg!(feature = "candystore"),
            Kind::SurrealKv => cfg!(feature = "surrealkv"),
            Kind::BfTree => cfg!(feature = "bf-tree"),
            Kind::OpenDb
            | Kind::Lmdb
            | Kind::LmdbWritableMap
            | Kind::SortedMap
            | Kind::HashMap
            | Kind::RawFile => true,
        }
    }

    /// Opens the store and runs `work` on it.
    pub(crate) fn with_store(self, setup: &Setup<'_>, work: Work<'_>) -> Result<()> {
        match self {
            Kind::OpenDb => opendb::with_store(setup, work),
            Kind::Lmdb => lmdb::with_store(setup, false, work),
            Kind::LmdbWritableMap => lmdb::with_store(setup, true, work),
            Kind::SortedMap => work(&mut memory::Sorted::default()),
            Kind::HashMap => work(&mut memory::Hashed::default()),
            Kind::RawFile => raw_file::with_store(setup, work),
            #[cfg(feature = "redb")]
            Kind::Redb => super::redb::with_store(setup, work),
            #[cfg(feature = "fjall")]
            Kind::Fjall => super::fjall::with_store(setup, work),
            #[cfg(feature = "rocksdb")]
            Kind::RocksDb => super::rocksdb::with_store(setup, work),
            #[cfg(feature = "sled")]
            Kind::Sled => super::sled::with_store(setup, work),
            #[cfg(feature = "emdb")]
            Kind::Emdb => super::emdb::with_store(setup, work),
            #[cfg(feature = "candystore")]
            Kind::CandyStore => super::candystore::with_store(setup, work),
            #[cfg(feature = "surrealkv")]
            Kind::SurrealKv => super::surrealkv::with_store(setup, work),
            #[cfg(feature = "bf-tree")]
            Kind::BfTree => super::bf_tree::with_store(setup, work),
            #[allow(unreachable_patterns)] // with every peer there is no other one left
            other => bail!("{} is not compiled in", other.profile().name),
        }
    }
}
