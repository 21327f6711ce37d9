//! Everything that is measured: one row of the report each.

use clap::ValueEnum;

use crate::stores::Call;

/// Rows that are measured together and can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Group {
    /// Puts of new keys, at random and in order
    Put,
    /// Gets of every kind
    Get,
    /// Puts of keys that are there
    Overwrite,
    /// Deletes
    Delete,
    /// Batches of a thousand
    Batch,
    /// Scans, right after a load and settled
    Scan,
    /// Transactions that read and write
    Transaction,
    /// Puts that wait for the device
    Durable,
    /// The workloads A to F of YCSB
    Ycsb,
    /// Opening after a close and after a kill
    Open,
    /// Memory, and bytes on the disk
    Footprint,
}

impl Group {
    /// The name in the report.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Group::Put => "Puts of new keys",
            Group::Get => "Gets",
            Group::Overwrite => "Overwrites",
            Group::Delete => "Deletes",
            Group::Batch => "Batches",
            Group::Scan => "Scans",
            Group::Transaction => "Transactions",
            Group::Durable => "Durable puts",
            Group::Ycsb => "YCSB",
            Group::Open => "Opening",
            Group::Footprint => "Memory and disk",
        }
    }
}

/// What a row's numbers count. Less is better in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds a call.
    Time,
    /// Bytes.
    Bytes,
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its name in files.
    pub(crate) id: &'static str,
    /// Its name in tables.
    pub(crate) title: &'static str,
    /// What it is measured with.
    pub(crate) group: Group,
    /// What it needs of a store.
    pub(crate) call: Call,
    /// What is counted.
    pub(crate) unit: Unit,
    /// Whether it stands in the summary.
    pub(crate) summary: bool,
}

const fn row(group: Group, call: Call, id: &'static str, title: &'static str) -> Row {
    Row { id, title, group, call, unit: Unit::Time, summary: false }
}

/// The same for the summary.
const fn main_row(group: Group, call: Call, id: &'static str, title: &'static str) -> Row {
    Row { summary: true, ..row(group, call, id, title) }
}

const fn bytes(call: Call, id: &'static str, title: &'static str) -> Row {
    Row { unit: Unit::Bytes, ..main_row(Group::Footprint, call, id, title) }
}

/// Every row, in the order of the report.
pub(crate) const ROWS: &[Row] = &[
    main_row(Group::Put, Call::Point, "put-random", "put, new keys at random"),
    main_row(Group::Put, Call::Point, "put-in-order", "put, new keys in order"),
    main_row(Group::Get, Call::Point, "get-uniform", "get"),
    row(Group::Get, Call::Point, "get-zipfian", "get, zipfian"),
    main_row(Group::Get, Call::Point, "lookup-uniform", "get without a copy"),
    row(Group::Get, Call::Point, "lookup-zipfian", "get without a copy, zipfian"),
    main_row(Group::Get, Call::Point, "get-absent", "get, absent key"),
    row(Group::Get, Call::Point, "exists", "exists"),
    row(Group::Get, Call::Point, "get-hot", "get, one of a thousand hot keys"),
    row(Group::Get, Call::Point, "lookup-hot", "get without a copy, one of a thousand hot keys"),
    row(Group::Get, Call::Point, "get-many", "get of 100 keys together"),
    main_row(Group::Overwrite, Call::Point, "overwrite", "put, existing key"),
    main_row(Group::Delete, Call::Point, "delete", "delete"),
    main_row(Group::Batch, Call::Batch, "batch", "batch of 1,000 new keys"),
    row(Group::Scan, Call::Scan, "scan-first-fresh", "first entry of a scan, fresh"),
    main_row(Group::Scan, Call::Scan, "scan-10-iterated-fresh", "scan of 10, fresh"),
    row(Group::Scan, Call::Scan, "scan-10-collected-fresh", "scan of 10, collected, fresh"),
    main_row(Group::Scan, Call::Scan, "scan-1000-iterated-fresh", "scan of 1,000, fresh"),
    row(Group::Scan, Call::Scan, "scan-1000-collected-fresh", "scan of 1,000, collected, fresh"),
    row(Group::Scan, Call::Scan, "scan-100000-iterated-fresh", "scan of 100,000, fresh"),
    row(Group::Scan, Call::Scan, "scan-100000-collected-fresh", "scan of 100,000, collected, fresh"),
    row(Group::Scan, Call::Scan, "settle", "settling"),
    main_row(Group::Scan, Call::Scan, "scan-10-iterated-settled", "scan of 10, settled"),
    row(Group::Scan, Call::Scan, "scan-10-collected-settled", "scan of 10, collected, settled"),
    main_row(Group::Scan, Call::Scan, "scan-1000-iterated-settled", "scan of 1,000, settled"),
    row(Group::Scan, Call::Scan, "scan-1000-collected-settled", "scan of 1,000, collected, settled"),
    main_row(Group::Scan, Call::Scan, "scan-100000-iterated-settled", "scan of 100,000, settled"),
    row(Group::Scan, Call::Scan, "scan-100000-collected-settled", "scan of 100,000, collected, settled"),
    main_row(Group::Transaction, Call::Transaction, "transaction-cold-1", "transaction, 1 thread"),
    row(Group::Transaction, Call::Transaction, "transaction-cold-2", "transaction, 2 threads"),
    main_row(Group::Transaction, Call::Transaction, "transaction-cold-4", "transaction, 4 threads"),
    row(Group::Transaction, Call::Transaction, "transaction-hot-1", "transaction, 16 hot keys, 1 thread"),
    row(Group::Transaction, Call::Transaction, "transaction-hot-2", "transaction, 16 hot keys, 2 threads"),
    main_row(
        Group::Transaction,
        Call::Transaction,
        "transaction-hot-4",
        "transaction, 16 hot keys, 4 threads",
    ),
    main_row(Group::Durable, Call::Durable, "durable-put-1", "durable put, 1 thread"),
    main_row(Group::Durable, Call::Durable, "durable-put-4", "durable put, 4 threads"),
    main_row(Group::Ycsb, Call::Point, "ycsb-a-1", "A: half updates, 1 thread"),
    row(Group::Ycsb, Call::Point, "ycsb-a-2", "A: half updates, 2 threads"),
    main_row(Group::Ycsb, Call::Point, "ycsb-b-1", "B: 5 % updates, 1 thread"),
    row(Group::Ycsb, Call::Point, "ycsb-b-2", "B: 5 % updates, 2 threads"),
    row(Group::Ycsb, Call::Point, "ycsb-c-1", "C: reads, 1 thread"),
    main_row(Group::Ycsb, Call::Point, "ycsb-c-2", "C: reads, 2 threads"),
    row(Group::Ycsb, Call::Point, "ycsb-d-1", "D: reads of the latest, 5 % inserts, 1 thread"),
    row(Group::Ycsb, Call::Point, "ycsb-d-2", "D: reads of the latest, 5 % inserts, 2 threads"),
    main_row(Group::Ycsb, Call::Scan, "ycsb-e-1", "E: short scans, 5 % inserts, 1 thread"),
    row(Group::Ycsb, Call::Scan, "ycsb-e-2", "E: short scans, 5 % inserts, 2 threads"),
    main_row(Group::Ycsb, Call::Transaction, "ycsb-f-1", "F: half transactions, 1 thread"),
    row(Group::Ycsb, Call::Transaction, "ycsb-f-2", "F: half transactions, 2 threads"),
    main_row(Group::Open, Call::Reopen, "open-closed", "open to the first value, after a close"),
    main_row(Group::Open, Call::Reopen, "open-killed", "open to the first value, after a kill"),
    bytes(Call::Point, "memory-loaded", "anonymous memory, loaded"),
    bytes(Call::Point, "memory-overwritten", "anonymous memory, overwritten 5 times"),
    bytes(Call::Reopen, "disk-loaded", "disk, loaded"),
    bytes(Call::Reopen, "disk-overwritten", "disk, overwritten 5 times"),
    bytes(Call::Reopen, "disk-settled", "disk, settled after that"),
];

/// The row with this name.
pub(crate) fn find(id: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own_and_groups_stand_together() {
        let ids: BTreeSet<&str> = ROWS.iter().map(|row| row.id).collect();
        assert_eq!(ids.len(), ROWS.len());
        assert!(ROWS.is_sorted_by_key(|row| row.group));
        assert!(Group::value_variants().iter().all(|group| ROWS.iter().any(|row| row.group == *group)));
    }
}
