//! Calls of all kinds on a simulated disk, compared with a map: puts, deletes, gets, scans, batches, transactions, snapshots,
//! compactions, closes, and deaths of the process.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use opendb::simulation::{SimulatedDisk, open_simulated};
use opendb::{OpenDB, Options, Scan};

const DIRECTORY: &str = "/db";

#[derive(Debug, Arbitrary)]
enum Step {
    Put(u8, u16),
    Delete(u8),
    Get(u8),
    Batch(Vec<(u8, Option<u8>)>),
    Transaction(Vec<(u8, Option<u8>)>),
    Scan { from: u8, reverse: bool },
    Compact,
    Flush,
    CloseAndOpen,
    DieAndOpen,
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fuzz_target!(|steps: Vec<Step>| {
    let mut disk = SimulatedDisk::new();
    let mut db = open(&disk);
    let mut model = Model::new();
    for step in &steps {
        match step {
            Step::CloseAndOpen => db.close().expect("closing"),
            Step::DieAndOpen => disk = disk.process_death(),
            step => {
                take(&db, &mut model, step);
                continue;
            }
        }
        db = open(&disk);
        assert_eq!(entries(&db, &Scan::all()), model.clone().into_iter().collect::<Vec<_>>());
    }
    assert!(db.verify().expect("verifying").violations.is_empty());
});

fn open(disk: &SimulatedDisk) -> OpenDB {
    open_simulated(disk, DIRECTORY, &Options::new().segment_bytes(64 << 10)).expect("opening")
}

fn entries(db: &OpenDB, scan: &Scan) -> Vec<(Vec<u8>, Vec<u8>)> {
    db.iter(scan).expect("scanning").collect::<Result<_, _>>().expect("scanning")
}

fn key(number: u8) -> Vec<u8> {
    vec![b'k'; usize::from(number % 5)].into_iter().chain([number]).collect()
}

fn value(length: u16) -> Vec<u8> {
    (0..length).map(|at| (at ^ length) as u8).collect()
}

fn set(model: &mut Model, number: u8, new: Option<Vec<u8>>) {
    match new {
        Some(value) => drop(model.insert(key(number), value)),
        None => drop(model.remove(&key(number))),
    }
}

fn take(db: &OpenDB, model: &mut Model, step: &Step) {
    match step {
        Step::Put(number, length) => {
            db.put(&key(*number), &value(*length)).expect("putting");
            set(model, *number, Some(value(*length)));
        }
        Step::Delete(number) => {
            db.delete(&key(*number)).expect("deleting");
            set(model, *number, None);
        }
        Step::Get(number) => {
            assert_eq!(db.get(&key(*number)).expect("getting").as_ref(), model.get(&key(*number)));
        }
        Step::Batch(writes) => {
            let mut batch = db.batch();
            for (number, length) in writes {
                match length {
                    Some(length) => batch.put("default", &key(*number), &value(u16::from(*length))),
                    None => batch.delete("default", &key(*number)),
                }
                .expect("adding to a batch");
                set(model, *number, length.map(|length| value(u16::from(length))));
            }
            batch.commit().expect("committing");
        }
        Step::Transaction(writes) => {
            let mut transaction = db.begin_transaction().expect("beginning");
            for (number, length) in writes {
                let before = transaction.get("default", &key(*number)).expect("getting");
                assert_eq!(before.as_ref(), model.get(&key(*number)));
                match length {
                    Some(length) => transaction.put("default", &key(*number), &value(u16::from(*length))),
                    None => transaction.delete("default", &key(*number)),
                }
                .expect("adding to a transaction");
                set(model, *number, length.map(|length| value(u16::from(length))));
            }
            transaction.commit().expect("committing");
        }
        Step::Scan { from, reverse } => {
            let scan = Scan::all().from(key(*from));
            let mut expected: Vec<_> =
                model.range(key(*from)..).map(|(key, value)| (key.clone(), value.clone())).collect();
            if *reverse {
                expected.reverse();
            }
            let scan = if *reverse { scan.reverse() } else { scan };
            assert_eq!(entries(db, &scan), expected);
        }
        Step::Compact => drop(db.compact().expect("compacting")),
        Step::Flush => db.flush().expect("flushing"),
        Step::CloseAndOpen | Step::DieAndOpen => {}
    }
}
