//! One test for each bug in what readers and transactions may see while others commit, headed by its story.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail like the test")]

use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use opendb::{Durability, Error, ErrorKind, OpenDB, Options, Scan};
use opendb_tests::place;
use opendb_tests::watch::Watch;
use tempfile::TempDir;

/// Longest value that stands in its record: one byte more, and it is a large value.
const INLINE_BYTES_MAX: usize = 1 << 20;
/// How long the instants that a bug needs are looked for. What was broken showed in far less.
const LOOKING: Duration = Duration::from_millis(1200);

/// A database where a sync takes the time of a device, as long as the usual temporary place is on one.
fn on_the_device() -> (TempDir, OpenDB) {
    open_in(place::temporary().unwrap())
}

/// A database where a sync takes no time.
fn in_memory() -> (TempDir, OpenDB) {
    open_in(place::in_memory().unwrap())
}

fn open_in(directory: TempDir) -> (TempDir, OpenDB) {
    let db = OpenDB::open(directory.path()).unwrap();
    (directory, db)
}

fn number(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().unwrap())
}

/// Tells the workers to stop, also where an assertion fails.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Looks again and again, while each worker does its work again and again in a thread of its own.
fn look_while(workers: &[&(dyn Fn() + Sync)], mut look: impl FnMut()) {
    let _watch = Watch::start("readers beside writers");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stopping = Stopping(&stop);
        for work in workers {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    work();
                }
            });
        }
        let end = Instant::now() + LOOKING;
        while Instant::now() < end {
            look();
        }
    });
}

/// Starts a commit that waits for the device, and does `meanwhile` once it is in the log, most often before it is to be
/// seen.
fn while_it_waits(db: &OpenDB, commit: impl FnOnce() + Send, meanwhile: impl FnOnce()) {
    let _watch = Watch::start("a transaction beside a commit that waits");
    let before = db.stats().unwrap().last_sequence;
    thread::scope(|scope| {
        let commit = scope.spawn(commit);
        while db.stats().unwrap().last_sequence == before && !commit.is_finished() {
            thread::yield_now();
        }
        meanwhile();
    });
}

/// While commits wait for the device, readers see the last one that had reached it. Where a second commit of a key came
/// between a sync's start and its end, the record that the end of the sync made visible had been overwritten and was not
/// kept for anybody: a key that was never deleted was absent for `get` and for scans, for as long as the next sync took.
#[test]
fn a_key_that_is_only_overwritten_is_there_at_any_time() {
    const KEYS: [&[u8]; 3] = [b"a", b"b", b"c"];
    for (_directory, db) in [on_the_device(), in_memory()] {
        for key in KEYS {
            db.put(key, &0_u64.to_be_bytes()).unwrap();
        }
        db.flush().unwrap();
        let count = AtomicU64::new(0);
        let overwrite = |key: &[u8]| {
            let next = count.fetch_add(1, Ordering::Relaxed) + 1;
            db.put_with(key, &next.to_be_bytes(), Durability::Sync).unwrap();
        };
        let workers = KEYS.map(|key| move || overwrite(key));
        let workers: Vec<&(dyn Fn() + Sync)> = workers.iter().map(|work| work as _).collect();
        let mut seen = [0; KEYS.len()];
        look_while(&workers, || {
            for (key, seen) in KEYS.iter().zip(&mut seen) {
                let value = db.get(key).unwrap().unwrap_or_else(|| panic!("a key is gone"));
                assert!(number(&value) >= *seen, "a read went back to an older value");
                *seen = number(&value);
            }
            let entries = db.scan_prefix(b"").unwrap();
            assert_eq!(entries.len(), KEYS.len(), "a scan misses a key");
        });
    }
}

/// A read that met a hidden commit looked for what was visible instead. Where the hiding ended just then and a buffered
/// commit overwrote the key once more, nobody kept that any longer, and the read found nothing: a key that was never
/// deleted was absent.
#[test]
fn a_read_that_meets_the_end_of_hiding_finds_the_key() {
    let (_directory, db) = in_memory();
    db.put(b"k", b"0").unwrap();
    let hide = || db.put_with(b"x", b"1", Durability::Sync).unwrap();
    let overwrite = || db.put(b"k", b"1").unwrap();
    look_while(&[&hide, &overwrite, &overwrite], || {
        for _ in 0..100 {
            assert!(db.get(b"k").unwrap().is_some(), "the key is gone");
        }
    });
}

/// Which keys changed was remembered only while a transaction was alive. A put that waited for the device when a
/// transaction began after it was thus unknown to the check of that transaction's ranges: it scanned a prefix, did not
/// see the put, and committed on top of it. A phantom.
#[test]
fn a_commit_that_is_not_seen_yet_conflicts_with_a_scan_over_it() {
    let (_directory, db) = on_the_device();
    let mut unseen = 0;
    for round in 0..150 {
        let key = format!("key {round}").into_bytes();
        let put = || db.put_with(&key, b"put", Durability::Sync).unwrap();
        let mut committed = false;
        while_it_waits(&db, put, || {
            let mut transaction = db.begin_transaction().unwrap();
            if transaction.keys("default", &Scan::prefix(key.clone())).unwrap().count() == 0 {
                unseen += 1;
                transaction.put("default", &key, b"the first one").unwrap();
                committed = transaction.commit().inspect_err(assert_conflict).is_ok();
            }
        });
        assert!(!committed, "round {round}: the prefix was said to be empty, with a put before in the log");
    }
    println!("a put was in the log and not to be seen in {unseen} rounds");
}

/// The same with keys that are read by name, and with a range that is left early: what counts is what was observed.
#[test]
fn a_commit_that_is_not_seen_yet_conflicts_with_a_read_of_its_key() {
    let (_directory, db) = on_the_device();
    for round in 0..60_u64 {
        db.put(b"a", b"before").unwrap();
        db.delete(b"b").unwrap();
        db.flush().unwrap();
        let put = || {
            let mut batch = db.batch();
            batch.put("default", b"a", &round.to_be_bytes()).unwrap();
            batch.put("default", b"b", &round.to_be_bytes()).unwrap();
            batch.commit_with(Durability::Sync).unwrap();
        };
        let mut lost = false;
        while_it_waits(&db, put, || {
            let mut transaction = db.begin_transaction().unwrap();
            let is_old = match round % 3 {
                0 => transaction.get("default", b"a").unwrap().unwrap() == b"before",
                1 => !transaction.exists("default", b"b").unwrap(),
                _ => {
                    transaction.iter("default", &Scan::all()).unwrap().next().unwrap().unwrap().1 == b"before"
                }
            };
            transaction.put("default", b"a", b"after").unwrap();
            lost = transaction.commit().inspect_err(assert_conflict).is_ok() && is_old;
        });
        assert!(!lost, "round {round}: an update was lost");
    }
}

fn assert_conflict(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Transaction, "{error}");
}

/// The records of a batch went into the index one after the other, and readers saw each as it came: the first key of a
/// batch was new while its last one was still old, as if half of it had been committed.
#[test]
fn a_batch_is_seen_as_a_whole() {
    const KEYS: u8 = 50;
    for durability in [Durability::Buffered, Durability::Sync] {
        let (_directory, db) = in_memory();
        let count = AtomicU64::new(0);
        let write = || {
            let next = count.fetch_add(1, Ordering::Relaxed) + 1;
            let mut batch = db.batch();
            (0..KEYS).for_each(|key| batch.put("default", &[key], &next.to_be_bytes()).unwrap());
            batch.commit_with(durability).unwrap();
        };
        write();
        look_while(&[&write], || {
            // What is read later is at least as new.
            let first = number(&db.get(&[0]).unwrap().unwrap());
            let last = number(&db.get(&[KEYS - 1]).unwrap().unwrap());
            assert!(first <= last, "batch {first} is seen by its first key only, the last one is of {last}");
            let entries = db.scan_prefix(b"").unwrap();
            assert!(entries.iter().all(|entry| entry.1 == entries[0].1), "a scan sees half a batch");
            let keys: Vec<_> = (0..KEYS).map(|key| [key]).collect();
            let values = db.get_many(&keys).unwrap();
            assert!(
                values[0].is_some() && values.iter().all(|value| *value == values[0]),
                "half a batch is read"
            );
        });
    }
}

/// A value over 1 MiB takes 24 bytes in the commit's frame, since it stands in a segment of its own, but a transaction
/// counted it as 1 MiB: with the 256th such value it was refused as too large, where a batch took as many as one liked.
#[test]
fn large_values_take_no_room_in_the_frame_of_a_transaction() {
    let (_directory, db) = in_memory();
    let value = vec![0; INLINE_BYTES_MAX + 1];
    let mut transaction = db.begin_transaction().unwrap();
    for key in 0..258_u32 {
        transaction.put("default", &key.to_be_bytes(), &value).unwrap();
    }
    transaction.rollback().unwrap();
}

/// A transaction counted every write of a key, though only the last one is committed: a key that was written often used
/// up the room, and the transaction was refused as too large.
#[test]
fn a_key_written_again_and_again_takes_its_room_once() {
    let (_directory, db) = in_memory();
    let mut transaction = db.begin_transaction().unwrap();
    let value = vec![7; INLINE_BYTES_MAX];
    for _ in 0..300 {
        transaction.put("default", b"k", &value).unwrap();
    }
    // The other way round: what is replaced by less gives its room back, and what really is too large is still refused.
    for _ in 0..300 {
        transaction.delete("default", b"k").unwrap();
        transaction.put("default", b"k", b"short").unwrap();
    }
    let long_key = |number: u32| [&number.to_be_bytes()[..], &[0; 60_000]].concat();
    let refused = (0..5_000).find_map(|number| transaction.put("default", &long_key(number), b"").err());
    assert_eq!(refused.map(|error| error.kind()), Some(ErrorKind::InvalidArgument));
    transaction.rollback().unwrap();
}

/// The large values of a transaction were written before anything was checked: each try that ended in a conflict left them
/// on the device, where nothing finds them.
#[test]
fn a_transaction_that_conflicts_writes_no_large_value() {
    let (_directory, db) = in_memory();
    let value = vec![0; 2 << 20];
    db.put(b"first", b"").unwrap();
    for by_scan in [false, true] {
        let before = db.stats().unwrap();
        for _ in 0..5 {
            let mut transaction = db.begin_transaction().unwrap();
            match by_scan {
                false => assert_eq!(transaction.get("default", b"read").unwrap(), None),
                true => assert_eq!(transaction.scan_prefix("default", b"read").unwrap(), []),
            }
            transaction.put("default", b"large", &value).unwrap();
            db.put(b"read", b"changed").unwrap();
            assert_conflict(&transaction.commit().unwrap_err());
            db.delete(b"read").unwrap();
        }
        let after = db.stats().unwrap();
        assert_eq!(after.large_bytes, before.large_bytes);
        assert_eq!(
            after.allocated_bytes, before.allocated_bytes,
            "room was allocated for what is not committed"
        );
    }
}

/// A snapshot compares the sequence in a record with its own. A damaged one, larger than any, made the record one "from
/// later on": the key was absent for snapshots and scans, without an error.
#[test]
fn a_damaged_sequence_is_no_absent_key() {
    // The first record stands behind the segment's header; the sequence stands 12 bytes into it, and has 6.
    const SEQUENCE_AT: u64 = 64 + 12;
    for options in [Options::new(), Options::new().mapped_reads(false).cache_bytes(0)] {
        let directory = place::in_memory().unwrap();
        let db = OpenDB::open_with_options(directory.path(), options).unwrap();
        db.put(b"k", b"v").unwrap();
        let snapshot = db.snapshot().unwrap();
        let segment = directory.path().join("0000000000000001.segment");
        let file = std::fs::OpenOptions::new().write(true).open(segment).unwrap();
        // Far beyond what was ever committed; one more than that; none at all.
        for sequence in [1_u64 << 47, 2, 0] {
            file.write_all_at(&sequence.to_le_bytes()[..6], SEQUENCE_AT).unwrap();
            let found = [
                db.get(b"k").map(drop),
                db.scan_prefix(b"").map(drop),
                db.keys(&Scan::all()).and_then(Iterator::collect::<Result<Vec<_>, _>>).map(drop),
                snapshot.get(b"k").map(drop),
                snapshot.exists(b"k").map(drop),
                snapshot.scan_prefix(b"").map(drop),
                db.begin_transaction().unwrap().get("default", b"k").map(drop),
            ];
            for (call, found) in found.into_iter().enumerate() {
                let is_told = matches!(&found, Err(Error::Corruption { segment: 1, offset: 64, .. }));
                assert!(is_told, "sequence {sequence}, call {call}: {found:?}");
            }
        }
    }
}

/// Every scan of a transaction first copied all that the transaction had written, to mix it with what is stored: a loop
/// that wrote and looked by turns took time and memory with the square of its length.
#[test]
fn a_scan_copies_nothing_of_a_transaction_that_it_does_not_give() {
    const WRITES: u64 = 20_000;
    let (_directory, db) = in_memory();
    let mut transaction = db.begin_transaction().unwrap();
    for key in 0..WRITES {
        transaction.put("default", &key.to_be_bytes(), &[0; 100]).unwrap();
    }
    for scan in [Scan::all().limit(1), Scan::all().reverse().limit(1), Scan::prefix(5_u64.to_be_bytes())] {
        let before = allocation::bytes_so_far();
        let keys: Vec<_> = transaction.keys("default", &scan).unwrap().map(Result::unwrap).collect();
        let taken = allocation::bytes_so_far() - before;
        assert_eq!(keys.len(), 1);
        assert!(taken < WRITES, "a scan that gives one key takes {taken} bytes of memory");
    }
    transaction.rollback().unwrap();
}

/// Counts the memory that a thread asks for.
mod allocation {
    #![allow(
        unsafe_code,
        reason = "an allocator cannot be written without; it only hands on to the system's"
    )]

    use std::alloc::{GlobalAlloc, Layout, System};
    use std::cell::Cell;

    thread_local! {
        static BYTES: Cell<u64> = const { Cell::new(0) };
    }

    #[global_allocator]
    static COUNTED: Counted = Counted;

    /// What this thread has asked for so far, given back or not.
    pub(super) fn bytes_so_far() -> u64 {
        BYTES.get()
    }

    fn count(bytes: usize) {
        // A thread that is ending has no counter any more, and nobody asks for it.
        let _ended = BYTES.try_with(|sum| sum.set(sum.get() + bytes as u64));
    }

    struct Counted;

    // SAFETY: every call goes to the system's allocator with the arguments as they are; counting allocates nothing.
    unsafe impl GlobalAlloc for Counted {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            count(layout.size());
            // SAFETY: the caller's layout is handed on, under the caller's promises.
            unsafe { System.alloc(layout) }
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            count(layout.size());
            // SAFETY: the caller's layout is handed on, under the caller's promises.
            unsafe { System.alloc_zeroed(layout) }
        }

        unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            count(size);
            // SAFETY: the pointer came from the same allocator, and the caller's promises are handed on.
            unsafe { System.realloc(pointer, layout, size) }
        }

        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            // SAFETY: the pointer came from the same allocator with this layout.
            unsafe { System.dealloc(pointer, layout) }
        }
    }
}
