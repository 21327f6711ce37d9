//! Transactions from many threads, and the anomalies that serializable transactions exclude. That each of them is
//! refused step by step is in the scripts; here they are driven by threads.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail like the test")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use opendb::{Durability, Error, ErrorKind, OpenDB, Options, Scan, TransactOptions};
use opendb_tests::place;
use opendb_tests::random::Random;
use tempfile::TempDir;

const THREADS: u64 = 8;

fn database() -> (TempDir, OpenDB) {
    let directory = place::in_memory().unwrap();
    let database =
        OpenDB::open_with_options(directory.path(), Options::new().segment_bytes(1 << 20)).unwrap();
    (directory, database)
}

fn number(value: Option<Vec<u8>>) -> u64 {
    value.map_or(0, |value| u64::from_le_bytes(value.try_into().unwrap()))
}

#[test]
fn two_that_read_and_write_the_same_key() {
    let (_directory, db) = database();
    let mut first = db.begin_transaction().unwrap();
    let mut second = db.begin_transaction().unwrap();
    assert_eq!(first.get("default", b"k").unwrap(), None);
    assert_eq!(second.get("default", b"k").unwrap(), None);
    first.put("default", b"k", b"first").unwrap();
    second.put("default", b"k", b"second").unwrap();
    first.commit().unwrap();
    let refused = second.commit().unwrap_err();
    assert!(matches!(refused, Error::Transaction(_)), "{refused:?}");
    assert!(refused.retryable());
    assert_eq!(db.get(b"k").unwrap().as_deref(), Some(&b"first"[..]));
}

#[test]
fn dropped_without_commit_nothing_is_left() {
    let (_directory, db) = database();
    {
        let mut transaction = db.begin_transaction().unwrap();
        transaction.put("default", b"k", b"v").unwrap();
    }
    assert_eq!(db.get(b"k").unwrap(), None);
    assert_eq!(db.stats().unwrap().snapshots, 0, "a dropped transaction keeps its snapshot");
}

#[test]
fn a_snapshot_is_kept_while_another_commits() {
    let (_directory, db) = database();
    db.put(b"k", b"old").unwrap();
    let reader = db.begin_transaction().unwrap();
    let mut writer = db.begin_transaction().unwrap();
    writer.put("default", b"k", b"new").unwrap();
    writer.commit().unwrap();
    assert_eq!(reader.get("default", b"k").unwrap().as_deref(), Some(&b"old"[..]));
    assert_eq!(reader.scan_prefix("default", b"").unwrap(), [(b"k".to_vec(), b"old".to_vec())]);
    reader.commit().unwrap();
    assert_eq!(db.get(b"k").unwrap().as_deref(), Some(&b"new"[..]));
}

#[test]
fn an_iterator_of_a_transaction_stays_as_it_was_made() {
    let (_directory, db) = database();
    db.put(b"a", b"1").unwrap();
    let mut transaction = db.begin_transaction().unwrap();
    transaction.put("default", b"b", b"2").unwrap();
    let entries = transaction.iter("default", &Scan::all()).unwrap();
    transaction.put("default", b"c", b"3").unwrap();
    transaction.delete("default", b"a").unwrap();
    let keys: Vec<_> = entries.map(|entry| entry.unwrap().0).collect();
    assert_eq!(keys, [b"a".to_vec(), b"b".to_vec()]);
    let keys: Vec<_> = transaction.keys("default", &Scan::all()).unwrap().map(Result::unwrap).collect();
    assert_eq!(keys, [b"b".to_vec(), b"c".to_vec()]);
}

#[test]
fn a_counter_is_exact_with_transact() {
    const ROUNDS: u64 = 200;
    let (_directory, db) = database();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    // The retries of one call are bounded; under this much contention a thread may use them up.
                    while let Err(error) = db.transact(|transaction| {
                        let count = number(transaction.get("default", b"count")?) + 1;
                        transaction.put("default", b"count", &count.to_le_bytes())
                    }) {
                        assert_eq!(error.kind(), ErrorKind::Transaction);
                    }
                }
            });
        }
    });
    assert_eq!(number(db.get(b"count").unwrap()), THREADS * ROUNDS);
}

#[test]
fn a_counter_is_exact_with_retries_by_hand() {
    const ROUNDS: u64 = 200;
    let (_directory, db) = database();
    let db = Arc::new(db);
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let db = Arc::clone(&db);
            thread::spawn(move || {
                let mut seen = Vec::new();
                while (seen.len() as u64) < ROUNDS {
                    let mut transaction = db.begin_transaction().unwrap();
                    let count = number(transaction.get("default", b"count").unwrap()) + 1;
                    transaction.put("default", b"count", &count.to_le_bytes()).unwrap();
                    match transaction.commit() {
                        Ok(()) => seen.push(count),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Transaction),
                    }
                }
                seen
            })
        })
        .collect();
    let mut seen: Vec<u64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    seen.sort_unstable();
    let all: Vec<u64> = (1..=THREADS * ROUNDS).collect();
    assert_eq!(seen, all, "a number was given out twice or never");
}

#[test]
fn an_error_of_the_work_ends_transact_and_leaves_nothing() {
    let (_directory, db) = database();
    let mut runs = 0;
    let result: opendb::Result<()> = db.transact(|transaction| {
        runs += 1;
        transaction.put("default", b"k", b"v")?;
        Err(Error::InvalidArgument("by the work itself".to_owned()))
    });
    assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(runs, 1, "only a conflict is a reason to run again");
    assert_eq!(db.get(b"k").unwrap(), None);
}

const ACCOUNTS: u64 = 12;
const BALANCE: u64 = 1000;

/// Keyspace and key of an account: half of them stand in another keyspace.
fn account(number: u64) -> (&'static str, Vec<u8>) {
    let keyspace = if number.is_multiple_of(2) { "default" } else { "savings" };
    (keyspace, format!("account:{number:02}").into_bytes())
}

fn sum(entries: Vec<(Vec<u8>, Vec<u8>)>) -> u64 {
    entries.into_iter().map(|entry| number(Some(entry.1))).sum()
}

/// Moves random amounts; whoever has less keeps it. Goes on until somebody has looked a few times meanwhile.
fn transfer(db: &OpenDB, seed: u64, looks: &AtomicU64) {
    const TRANSFERS: u64 = 150;
    const LOOKS: u64 = 20;
    let mut random = Random::new(seed);
    let mut tries = 0;
    while tries < TRANSFERS || looks.load(Ordering::Acquire) < LOOKS {
        tries += 1;
        let (from, to, amount) = (random.below(ACCOUNTS), random.below(ACCOUNTS), random.below(50));
        if from == to {
            continue;
        }
        let ((from_space, from), (to_space, to)) = (account(from), account(to));
        while let Err(error) = db.transact(|transaction| {
            let left = number(transaction.get(from_space, &from)?);
            let there = number(transaction.get(to_space, &to)?);
            if left < amount {
                return Ok(());
            }
            transaction.put(from_space, &from, &(left - amount).to_le_bytes())?;
            transaction.put(to_space, &to, &(there + amount).to_le_bytes())
        }) {
            assert_eq!(error.kind(), ErrorKind::Transaction);
        }
    }
}

/// Looks at all accounts by a snapshot and by a transaction.
fn look(db: &OpenDB) {
    let snapshot = db.snapshot().unwrap();
    let savings = snapshot.keyspace("savings").unwrap();
    let seen = sum(snapshot.scan_prefix(b"account:").unwrap()) + sum(savings.scan_prefix(b"").unwrap());
    assert_eq!(seen, ACCOUNTS * BALANCE, "a snapshot sees half a transfer");
    let transaction = db.begin_transaction().unwrap();
    let seen = sum(transaction.scan_prefix("savings", b"account:").unwrap())
        + sum(transaction.scan_prefix("default", b"account:").unwrap());
    assert_eq!(seen, ACCOUNTS * BALANCE, "a transaction sees half a transfer");
    transaction.commit().unwrap();
}

/// Transfers between accounts of two keyspaces. Whoever looks, by transaction or by snapshot, sees the whole sum.
#[test]
fn transfers_keep_the_sum() {
    let (_directory, db) = database();
    db.keyspace("savings").unwrap();
    for number in 0..ACCOUNTS {
        let (keyspace, key) = account(number);
        db.keyspace(keyspace).unwrap().put(&key, &BALANCE.to_le_bytes()).unwrap();
    }
    let (moving, looks) = (AtomicU64::new(THREADS), AtomicU64::new(0));
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let (db, moving, looks) = (&db, &moving, &looks);
            scope.spawn(move || {
                let _leaving = Leaving { counter: moving, to: |count| count - 1 };
                transfer(db, seed, looks);
            });
        }
        scope.spawn(|| {
            let _leaving = Leaving { counter: &looks, to: |_| u64::MAX };
            while moving.load(Ordering::Acquire) > 0 {
                look(&db);
                looks.fetch_add(1, Ordering::Release);
            }
        });
    });
    look(&db);
}

/// Tells the others that a thread is gone, also where an assertion failed in it, so that they come to an end.
struct Leaving<'a> {
    counter: &'a AtomicU64,
    to: fn(u64) -> u64,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.counter.update(Ordering::AcqRel, Ordering::Acquire, self.to);
    }
}

/// Write skew under threads: each of two takes itself off duty if the other one is on. One of them has to stay.
#[test]
fn write_skew_is_excluded() {
    let (_directory, db) = database();
    for round in 0..100 {
        db.put(b"duty:0", b"on").unwrap();
        db.put(b"duty:1", b"on").unwrap();
        let start = Barrier::new(2);
        let left = thread::scope(|scope| {
            let leave = |own: &'static [u8], by_scan: bool| {
                let (db, start) = (&db, &start);
                scope.spawn(move || {
                    let mut transaction = db.begin_transaction().unwrap();
                    let on = if by_scan {
                        let entries = transaction.scan_prefix("default", b"duty:").unwrap();
                        entries.iter().filter(|entry| entry.1 == b"on").count()
                    } else {
                        let keys: [&[u8]; 2] = [b"duty:0", b"duty:1"];
                        let is_on = |key: &&[u8]| transaction.get("default", key).unwrap().unwrap() == b"on";
                        keys.iter().filter(|key| is_on(key)).count()
                    };
                    start.wait();
                    if on < 2 {
                        return false;
                    }
                    transaction.put("default", own, b"off").unwrap();
                    transaction.commit().is_ok()
                })
            };
            let threads = [leave(b"duty:0", round % 2 == 0), leave(b"duty:1", round % 3 == 0)];
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|left| *left).count()
        });
        assert_eq!(left, 1, "round {round}: exactly one may leave");
        let on = db.scan_prefix(b"duty:").unwrap().into_iter().filter(|entry| entry.1 == b"on").count();
        assert_eq!(on, 1);
    }
}

/// A phantom under threads: seats are given out by counting those that are taken. None is given out twice and none is
/// left out, since an insert into the scanned prefix refuses whoever counted before it.
#[test]
fn phantoms_are_excluded() {
    const SEATS: usize = 120;
    let (_directory, db) = database();
    let taken = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|guest| {
                let db = &db;
                scope.spawn(move || {
                    let mut mine = 0;
                    loop {
                        let mut transaction = db.begin_transaction().unwrap();
                        let seat = transaction.keys("default", &Scan::prefix("seat:")).unwrap().count();
                        if seat >= SEATS {
                            return mine;
                        }
                        // The key differs from guest to guest, so that only the scan can conflict.
                        let key = format!("seat:{seat:03}:{guest}");
                        transaction.put("default", key.as_bytes(), b"taken").unwrap();
                        match transaction.commit() {
                            Ok(()) => mine += 1,
                            Err(error) => assert_eq!(error.kind(), ErrorKind::Transaction),
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
    });
    assert_eq!(taken, SEATS);
    let entries = db.scan_prefix(b"seat:").unwrap();
    for (number, (key, _)) in entries.iter().enumerate() {
        assert!(key.starts_with(format!("seat:{number:03}:").as_bytes()), "a seat was given out twice");
    }
    assert_eq!(entries.len(), SEATS);
}

#[test]
fn blind_writes_of_many_threads_never_conflict() {
    let (_directory, db) = database();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let db = &db;
            scope.spawn(move || {
                for number in 0..100_u64 {
                    let mut transaction = db.begin_transaction().unwrap();
                    transaction.put("default", b"shared", &thread.to_le_bytes()).unwrap();
                    transaction.put("default", format!("{thread}:{number}").as_bytes(), b"").unwrap();
                    transaction.commit().unwrap();
                }
            });
        }
    });
    assert_eq!(db.len().unwrap(), THREADS * 100 + 1);
}

#[test]
fn every_increment_counts() {
    let (_directory, db) = database();
    let logs = db.keyspace("logs").unwrap();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..500 {
                    db.increment(b"visits", 1).unwrap();
                    logs.increment(b"visits", -3).unwrap();
                }
            });
        }
    });
    assert_eq!(db.increment(b"visits", 0).unwrap(), 500 * i64::try_from(THREADS).unwrap());
    assert_eq!(logs.increment(b"visits", 0).unwrap(), -1500 * i64::try_from(THREADS).unwrap());
}

#[test]
fn what_many_take_goes_to_one_of_them() {
    let (_directory, db) = database();
    let keys: Vec<[u8; 2]> = (0..2000_u16).map(u16::to_be_bytes).collect();
    keys.iter().for_each(|key| db.put(key, key).unwrap());
    let taken = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for key in &keys {
                    if let Some(value) = db.take(key).unwrap() {
                        assert_eq!(value, key);
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(taken.into_inner(), 2000);
    assert!(db.is_empty().unwrap());
}

#[test]
fn a_swap_is_a_lock() {
    let (_directory, db) = database();
    let inside = AtomicU64::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (db, inside) = (&db, &inside);
            scope.spawn(move || {
                let mine = thread.to_le_bytes();
                for _ in 0..100 {
                    while !db.compare_and_swap(b"lock", None, Some(&mine)).unwrap() {
                        thread::yield_now();
                    }
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    assert!(db.compare_and_swap(b"lock", Some(&mine), None).unwrap());
                }
            });
        }
    });
    assert!(!db.exists(b"lock").unwrap());
}

#[test]
fn transact_gives_up_after_as_many_retries_as_it_was_told() {
    let (_directory, db) = database();
    for retries in [0, 2] {
        let mut runs = 0;
        let outcome = db.transact_with(TransactOptions::new().retries(retries), |transaction| {
            runs += 1;
            transaction.get("default", b"k")?;
            db.put(b"k", b"changed")?;
            transaction.put("default", b"k", b"never")
        });
        assert!(matches!(outcome, Err(Error::Transaction(_))));
        assert_eq!(runs, retries + 1);
    }
    let options = TransactOptions::new().durability(Durability::Sync);
    let before = db.stats().unwrap().syncs;
    db.transact_with(options, |transaction| transaction.put("default", b"k", b"v")).unwrap();
    assert!(db.stats().unwrap().syncs > before, "the commit has not waited for the device");
}
