//! What a reader of the report must know of each store: its version, its settings, and what it cannot do.

use super::Kind;
use crate::report::StoreNotes;

/// What a workload needs of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// Puts, gets and deletes.
    Point,
    /// A scan of the keys in order.
    Scan,
    /// A batch that is there as a whole or not at all.
    Batch,
    /// A transaction that reads, writes, and loses no update.
    Transaction,
    /// A put that waits for the device.
    Durable,
    /// The data can be opened again.
    Reopen,
}

/// One store.
pub(crate) struct Profile {
    /// The name on the command line and in files.
    pub(crate) id: &'static str,
    /// The name in tables.
    pub(crate) name: &'static str,
    /// The crate that brings it, whose version stands in the lock file.
    pub(crate) package: Option<&'static str>,
    /// Whether what it holds is there when it is opened again, so that others may be held against it.
    pub(crate) persistent: bool,
    /// The setting in which a put survives the process.
    pub(crate) survives: &'static str,
    /// The setting in which a put is on the device.
    pub(crate) durable: &'static str,
    /// What was done to settle it.
    pub(crate) settling: &'static str,
    /// What it has not got, and why.
    pub(crate) lacks: &'static [(Call, &'static str)],
}

impl Profile {
    /// Why it cannot take part in what needs this call.
    pub(crate) fn lacks(&self, call: Call) -> Option<&'static str> {
        self.lacks.iter().find(|(lacking, _)| *lacking == call).map(|(_, reason)| *reason)
    }

    /// What a reader of a report must know.
    pub(crate) fn notes(&self) -> StoreNotes {
        StoreNotes {
            id: self.id.to_owned(),
            name: self.name.to_owned(),
            version: self.version(),
            persistent: self.persistent,
            survives: self.survives.to_owned(),
            durable: Some(self.durable.to_owned()),
            settling: self.settling.to_owned(),
        }
    }

    /// The crate and its version.
    pub(crate) fn version(&self) -> String {
        match self.package {
            Some(package) => {
                format!("{package} {}", version_in(LOCK, package).unwrap_or("of unknown version"))
            }
            None => format!("std of Rust {}", env!("CARGO_PKG_RUST_VERSION")),
        }
    }
}

const LOCK: &str = include_str!("../../../../Cargo.lock");

fn version_in<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{package}\""));
    lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')
}

const NOTHING_SURVIVES: &[(Call, &str)] =
    &[(Call::Durable, "nothing survives"), (Call::Reopen, "nothing survives")];

const OPENDB: Profile = Profile {
    id: "opendb",
    name: "OpenDB",
    package: Some("opendb"),
    persistent: true,
    survives: "default options: each write is a commit through a mapping; the device is synced in the background at \
               least once a second",
    durable: "Durability::Sync: concurrent commits share a sync",
    settling: "compact()",
    lacks: &[],
};

const LMDB: Profile = Profile {
    id: "lmdb",
    name: "LMDB",
    package: Some("heed"),
    persistent: true,
    survives: "MDB_NOSYNC, one write transaction a write; one read transaction a get, or one for all gets without a copy",
    durable: "without MDB_NOSYNC: a sync in each commit",
    settling: "nothing: it has no call for it",
    lacks: &[],
};

const LMDB_WRITABLE_MAP: Profile = Profile {
    id: "lmdb-writemap",
    name: "LMDB, writable map",
    survives: "as LMDB, with MDB_WRITEMAP",
    durable: "as LMDB, with MDB_WRITEMAP: msync in each commit",
    ..LMDB
};

const REDB: Profile = Profile {
    id: "redb",
    name: "redb",
    package: Some("redb"),
    persistent: true,
    survives: "Durability::Immediate, which syncs each commit: with Durability::None a commit is lost with the process; \
               cache of 1 GiB",
    durable: "the same",
    settling: "compact(), until it says that there is nothing left to do",
    lacks: &[],
};

const FJALL: Profile = Profile {
    id: "fjall",
    name: "fjall",
    package: Some("fjall"),
    persistent: true,
    survives: "journal written to the page cache with each write (PersistMode::Buffer), no compression, cache of 1 GiB; \
               OptimisticTxDatabase for transactions",
    durable: "persist(PersistMode::SyncData) after each write",
    settling: "rotate_memtable_and_wait() and major_compact()",
    lacks: &[],
};

const ROCKSDB: Profile = Profile {
    id: "rocksdb",
    name: "RocksDB",
    package: Some("rust-librocksdb-sys"),
    persistent: true,
    survives: "write-ahead log to the page cache with each write (sync = false), no compression, Bloom filters of 10 bits \
               a key, cache of 1 GiB, two background threads; OptimisticTransactionDB for transactions; get_pinned \
               where there is no copy",
    durable: "sync = true: concurrent writers share a sync",
    settling: "flush() and compact_range() over everything",
    lacks: &[],
};

const SLED: Profile = Profile {
    id: "sled",
    name: "sled",
    package: Some("sled"),
    persistent: true,
    survives: "flush() after each write, which waits for the device: without, writes are lost with the process; \
               Mode::HighThroughput, cache of 1 GiB; the last version that is not an alpha",
    durable: "the same",
    settling: "flush(): it has no call to compact",
    lacks: &[],
};

const EMDB: Profile = Profile {
    id: "emdb",
    name: "emdb",
    package: Some("emdb"),
    persistent: true,
    survives: "default options: one system call a write; enable_range_scans only where scans are measured; batches load \
               with insert_many",
    durable: "flush() after each write: concurrent flushes share a sync",
    settling: "compact() and checkpoint()",
    lacks: &[
        (Call::Batch, "a crash may cut a batch"),
        (Call::Transaction, "its transactions lose updates, as it says"),
    ],
};

const CANDYSTORE: Profile = Profile {
    id: "candystore",
    name: "CandyStore",
    package: Some("candystore"),
    persistent: true,
    survives: "default options: appends to the page cache and changes a mapped index; checkpoints in the background",
    durable: "flush() after each write, which syncs every file",
    settling: "checkpoint()",
    lacks: &[(Call::Scan, "no order"), (Call::Batch, "no batches"), (Call::Transaction, "no transactions")],
};

const SURREALKV: Profile = Profile {
    id: "surrealkv",
    name: "SurrealKV",
    package: Some("surrealkv"),
    persistent: true,
    survives: "Durability::Eventual, no compression, cache of 1 GiB; commits are futures, waited for with block_on of a \
               tokio runtime with one worker; one read transaction a get, or one for all gets without a copy",
    durable: "Durability::Immediate",
    settling: "compact_range() over everything",
    lacks: &[],
};

const BF_TREE: Profile = Profile {
    id: "bf-tree",
    name: "Bf-Tree",
    package: Some("bf-tree"),
    persistent: false,
    survives: "nothing survives: its log cannot be read back (`recovery` is documented as incomplete), so it is off; \
               buffer of 1 GiB over a file",
    durable: "none",
    settling: "nothing: it has no call for it",
    lacks: &[
        (Call::Batch, "no batches"),
        (Call::Transaction, "no transactions"),
        (Call::Durable, "its log cannot be read back"),
        (Call::Reopen, "its log cannot be read back"),
    ],
};

const SORTED_MAP: Profile = Profile {
    id: "btreemap",
    name: "BTreeMap",
    package: None,
    persistent: false,
    survives: "nothing survives: the map of the standard library under a lock, as the floor",
    durable: "none",
    settling: "nothing",
    lacks: NOTHING_SURVIVES,
};

const HASH_MAP: Profile = Profile {
    id: "hashmap",
    name: "HashMap",
    lacks: &[
        (Call::Scan, "no order"),
        (Call::Durable, "nothing survives"),
        (Call::Reopen, "nothing survives"),
    ],
    ..SORTED_MAP
};

const RAW_FILE: Profile = Profile {
    id: "file",
    name: "write + fdatasync",
    survives: "none",
    durable: "a file written ahead with zeros: the same bytes appended, then fdatasync; the floor of durable writes",
    lacks: &[
        (Call::Point, "no keys"),
        (Call::Scan, "no keys"),
        (Call::Batch, "no keys"),
        (Call::Transaction, "no keys"),
        (Call::Reopen, "no keys"),
    ],
    ..SORTED_MAP
};

pub(super) fn of(kind: Kind) -> &'static Profile {
    match kind {
        Kind::OpenDb => &OPENDB,
        Kind::Lmdb => &LMDB,
        Kind::LmdbWritableMap => &LMDB_WRITABLE_MAP,
        Kind::Redb => &REDB,
        Kind::Fjall => &FJALL,
        Kind::RocksDb => &ROCKSDB,
        Kind::Sled => &SLED,
        Kind::Emdb => &EMDB,
        Kind::CandyStore => &CANDYSTORE,
        Kind::SurrealKv => &SURREALKV,
        Kind::BfTree => &BF_TREE,
        Kind::SortedMap => &SORTED_MAP,
        Kind::HashMap => &HASH_MAP,
        Kind::RawFile => &RAW_FILE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_has_a_name_of_its_own_and_a_version_in_the_lock_file() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.profile().id), Some(kind));
            assert!(!kind.profile().version().contains("unknown"), "{}", kind.profile().name);
        }
    }

    #[test]
    fn a_store_that_cannot_be_opened_again_is_nothing_to_be_held_against() {
        for kind in Kind::ALL {
            let profile = kind.profile();
            assert_eq!(profile.persistent, profile.lacks(Call::Reopen).is_none(), "{}", profile.name);
        }
    }
}
