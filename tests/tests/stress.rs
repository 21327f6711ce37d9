//! Four threads do everything at once to one database, and whatever they see has to be of some order of whole commits:
//! money is neither made nor lost, no count is lost, a pair is written as a pair, no seat is given out beyond the last,
//! a snapshot is of one moment, and what is there at the end is there after a close and after a kill.
//!
//! `OPENDB_STRESS_SECONDS` is how long each of the two runs takes (2 unless set), `OPENDB_STRESS_SEED` repeats the numbers
//! of a run, though not the instants of its threads.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail like the test")]

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opendb::{Durability, ErrorKind, OpenDB, Options, Scan, Snapshot, Transaction};
use opendb_tests::damage::{Content, read_content};
use opendb_tests::place;
use opendb_tests::random::{Random, seed_from_environment};
use opendb_tests::watch::Watch;
use tempfile::TempDir;

mod common {
    pub(crate) mod killed;
}

use common::killed::killed;

const THREADS: u64 = 4;
const SECONDS: u64 = 2;
const KEYSPACES: [&str; 2] = ["default", "other"];
const ACCOUNTS: u64 = 24;
const BALANCE: u64 = 1000;
const COUNTERS: usize = 8;
/// Most seats that may be taken: whoever finds fewer takes one more.
const SEATS: usize = 12;

#[test]
fn where_a_sync_takes_no_time() {
    run(&place::in_memory().unwrap(), 1);
}

#[test]
fn where_a_sync_takes_its_time() {
    run(&place::temporary().unwrap(), 2);
}

fn options() -> Options {
    Options::new().segment_bytes(1 << 20).cache_bytes(1 << 20)
}

fn run(directory: &TempDir, salt: u64) {
    let seed = seed_from_environment("OPENDB_STRESS_SEED");
    let seconds = std::env::var("OPENDB_STRESS_SECONDS").ok().map_or(SECONDS, |text| text.parse().unwrap());
    println!("OPENDB_STRESS_SEED={seed} OPENDB_STRESS_SECONDS={seconds}");
    let world = World::new(OpenDB::open_with_options(directory.path(), options()).unwrap());
    let end = Instant::now() + Duration::from_secs(seconds);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let mut worker = Worker::new(&world, Random::new(seed ^ (salt << 32) ^ (thread << 40)));
            scope.spawn(move || {
                let _failing = Failing(&worker.world.stop);
                while Instant::now() < end && !worker.world.stop.load(Ordering::Relaxed) {
                    let _watch = Watch::start("a thread among others");
                    (0..100).for_each(|_| worker.step());
                }
                worker.world.steps.fetch_add(worker.steps, Ordering::Relaxed);
            });
        }
    });
    world.check_the_end();
    reopen(world, directory);
}

/// Has the other threads stop where an assertion fails in one.
struct Failing<'a>(&'a AtomicBool);

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// The database, and what is known of it without reading it.
struct World {
    db: OpenDB,
    stop: AtomicBool,
    /// Commits that added one, by counter.
    added: [AtomicU64; COUNTERS],
    /// Numbers that were never used before.
    unique: AtomicU64,
    /// Seats that were given up. Each is given up once, since no seat has the same name twice.
    given_up: Mutex<BTreeSet<Vec<u8>>>,
    conflicts: AtomicU64,
    steps: AtomicU64,
}

fn account(number: u64) -> (&'static str, Vec<u8>) {
    (KEYSPACES[(number % 2) as usize], format!("account {number:02}").into_bytes())
}

fn counter(number: usize) -> Vec<u8> {
    format!("counter {number}").into_bytes()
}

fn number(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().unwrap())
}

impl World {
    fn new(db: OpenDB) -> World {
        db.keyspace(KEYSPACES[1]).unwrap();
        let mut batch = db.batch();
        for number in 0..ACCOUNTS {
            let (keyspace, key) = account(number);
            batch.put(keyspace, &key, &BALANCE.to_be_bytes()).unwrap();
        }
        for number in 0..COUNTERS {
            batch.put("default", &counter(number), &0_u64.to_be_bytes()).unwrap();
        }
        for keyspace in KEYSPACES {
            batch.put(keyspace, b"pair", &0_u64.to_be_bytes()).unwrap();
        }
        batch.commit().unwrap();
        World {
            db,
            stop: AtomicBool::default(),
            added: Default::default(),
            unique: AtomicU64::new(1),
            given_up: Mutex::default(),
            conflicts: AtomicU64::default(),
            steps: AtomicU64::default(),
        }
    }

    fn unique(&self) -> u64 {
        self.unique.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether a transaction was committed; if not, it was in conflict with another.
    fn commit(&self, transaction: Transaction, durability: Durability) -> bool {
        match transaction.commit_with(durability) {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Transaction, "{error}");
                self.conflicts.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    /// What must hold when all threads have come to their end.
    fn check_the_end(&self) {
        check_moment(&self.db.snapshot().unwrap());
        for (number_of, added) in self.added.iter().enumerate() {
            let count = number(&self.db.get(&counter(number_of)).unwrap().unwrap());
            assert_eq!(count, added.load(Ordering::Relaxed), "counter {number_of} has lost a count");
        }
        let given_up = self.given_up.lock().unwrap();
        let seats = self.db.keys(&Scan::prefix(b"seat ")).unwrap().map(Result::unwrap);
        assert_eq!(seats.filter(|seat| given_up.contains(seat)).count(), 0, "a deleted key is there");
        for keyspace in KEYSPACES.map(|name| self.db.keyspace(name).unwrap()) {
            let keys = keyspace.keys(&Scan::all()).unwrap().count() as u64;
            assert_eq!(keys, keyspace.len().unwrap(), "the count of keys is not that of the keys");
        }
        let stats = self.db.stats().unwrap();
        assert_eq!((stats.snapshots, stats.versions), (0, 0), "old versions are kept for nobody");
        let (steps, conflicts) = (&self.steps, &self.conflicts);
        println!("{steps:?} steps, {conflicts:?} conflicts, {} commits", stats.last_sequence);
        assert!(steps.load(Ordering::Relaxed) > 100, "the threads hardly did anything");
    }
}

/// What must hold of any one moment.
fn check_moment(snapshot: &Snapshot) {
    let mut sum = 0;
    let mut accounts = 0;
    let mut pair = Vec::new();
    for keyspace in KEYSPACES {
        let snapshot = snapshot.keyspace(keyspace).unwrap();
        let up = snapshot.scan_prefix(b"").unwrap();
        let down = snapshot.iter(&Scan::all().reverse()).unwrap();
        let mut down: Vec<_> = down.map(Result::unwrap).collect();
        down.reverse();
        assert!(up == down, "a scan and its reverse differ");
        for (key, value) in &up {
            assert!(snapshot.get(key).unwrap().as_ref() == Some(value), "a get and a scan differ");
            if key.starts_with(b"account ") {
                (sum, accounts) = (sum + number(value), accounts + 1);
            }
        }
        let seats = up.iter().filter(|(key, _)| key.starts_with(b"seat ")).count();
        assert!(seats <= SEATS, "{seats} seats are taken: a phantom");
        pair.push(snapshot.get(b"pair").unwrap().unwrap());
    }
    assert_eq!((accounts, sum), (ACCOUNTS, ACCOUNTS * BALANCE), "a snapshot sees half a transfer");
    assert!(pair[0] == pair[1], "a snapshot sees half a batch");
}

/// What a killed process would have left, and what an orderly close leaves, is what was there.
fn reopen(world: World, directory: &TempDir) {
    let content = read_content(&world.db).unwrap();
    let copy = killed(directory.path());
    assert_content(&copy, &content, "after a kill");
    world.db.close().unwrap();
    drop(world);
    assert_content(directory, &content, "after a close");
}

fn assert_content(directory: &TempDir, content: &Content, when: &str) {
    let db = OpenDB::open_with_options(directory.path(), options()).unwrap();
    assert!(read_content(&db).unwrap() == *content, "{when} the content is another");
    check_moment(&db.snapshot().unwrap());
    db.close().unwrap();
}

/// One thread.
struct Worker<'a> {
    world: &'a World,
    db: &'a OpenDB,
    random: Random,
    steps: u64,
    /// The latest that this thread has seen: nothing goes back.
    counters: [u64; COUNTERS],
}

impl<'a> Worker<'a> {
    fn new(world: &'a World, random: Random) -> Worker<'a> {
        Worker { world, db: &world.db, random, steps: 0, counters: [0; COUNTERS] }
    }

    fn step(&mut self) {
        self.steps += 1;
        let durability = if self.random.one_in(3) { Durability::Sync } else { Durability::Buffered };
        match self.random.below(13) {
            0 | 1 => self.transfer(durability),
            2 => check_moment(&self.db.snapshot().unwrap()),
            3 => self.sum_up(durability),
            4 | 5 => self.count(durability),
            6 | 7 => self.look(),
            8 => self.write_pair(durability),
            9 | 10 => self.take_seat(durability),
            11 => self.give_up_first_seat(durability),
            _ => self.fill(durability),
        }
    }

    fn transfer(&mut self, durability: Durability) {
        let (from, to) = (self.random.below(ACCOUNTS), self.random.below(ACCOUNTS));
        let amount = self.random.below(50);
        let mut transaction = self.db.begin_transaction().unwrap();
        let ((from_space, from_key), (to_space, to_key)) = (account(from), account(to));
        let left = number(&transaction.get(from_space, &from_key).unwrap().unwrap());
        let there = number(&transaction.get(to_space, &to_key).unwrap().unwrap());
        if from == to || left < amount {
            return;
        }
        transaction.put(from_space, &from_key, &(left - amount).to_be_bytes()).unwrap();
        transaction.put(to_space, &to_key, &(there + amount).to_be_bytes()).unwrap();
        self.world.commit(transaction, durability);
    }

    /// The sum as a transaction sees it, after a change of its own.
    fn sum_up(&mut self, durability: Durability) {
        let mut transaction = self.db.begin_transaction().unwrap();
        let (keyspace, key) = account(self.random.below(ACCOUNTS));
        let balance = number(&transaction.get(keyspace, &key).unwrap().unwrap());
        transaction.put(keyspace, &key, &(balance + 1).to_be_bytes()).unwrap();
        let mut sum = 0;
        for keyspace in KEYSPACES {
            let entries = transaction.scan_prefix(keyspace, b"account ").unwrap();
            sum += entries.iter().map(|entry| number(&entry.1)).sum::<u64>();
        }
        assert_eq!(sum, ACCOUNTS * BALANCE + 1, "a transaction sees half a transfer, or not its own write");
        transaction.put(keyspace, &key, &balance.to_be_bytes()).unwrap();
        transaction.put("other", b"sum", &sum.to_be_bytes()).unwrap();
        if self.random.one_in(2) {
            self.world.commit(transaction, durability);
        } else {
            transaction.rollback().unwrap();
        }
    }

    fn count(&mut self, durability: Durability) {
        let which = self.random.index(COUNTERS);
        let mut transaction = self.db.begin_transaction().unwrap();
        let count = number(&transaction.get("default", &counter(which)).unwrap().unwrap()) + 1;
        transaction.put("default", &counter(which), &count.to_be_bytes()).unwrap();
        if self.world.commit(transaction, durability) {
            self.world.added[which].fetch_add(1, Ordering::Relaxed);
            assert!(count > self.counters[which], "a count was given out twice");
            self.counters[which] = count;
        }
    }

    /// Reads outside of any transaction: what a thread has seen or done is there for it from then on.
    fn look(&mut self) {
        let which = self.random.index(COUNTERS);
        let value = self.db.get(&counter(which)).unwrap();
        let count = number(&value.unwrap_or_else(|| panic!("counter {which} is gone")));
        assert!(count >= self.counters[which], "counter {which} went back");
        self.counters[which] = count;
        for keyspace in KEYSPACES {
            let keyspace = self.db.keyspace(keyspace).unwrap();
            assert!(keyspace.exists(b"pair").unwrap(), "a key that is only overwritten is gone");
        }
    }

    fn write_pair(&mut self, durability: Durability) {
        let value = self.world.unique().to_be_bytes();
        let mut batch = self.db.batch();
        KEYSPACES.iter().for_each(|keyspace| batch.put(keyspace, b"pair", &value).unwrap());
        batch.commit_with(durability).unwrap();
    }

    fn take_seat(&mut self, durability: Durability) {
        let mut transaction = self.db.begin_transaction().unwrap();
        let mut scan = Scan::prefix(b"seat ");
        if self.random.one_in(2) {
            scan = scan.reverse();
        }
        let seats: Vec<_> = transaction.keys("default", &scan).unwrap().map(Result::unwrap).collect();
        assert!(seats.len() <= SEATS, "{} seats are taken: a phantom", seats.len());
        if seats.len() < SEATS {
            // Spread over the prefix, so that the insert is now before, now behind what others look at.
            let name = self.world.unique().wrapping_mul(0x9e37_79b9_7f4a_7c15);
            transaction.put("default", format!("seat {name:016x}").as_bytes(), b"").unwrap();
            self.world.commit(transaction, durability);
        } else {
            let many = 1 + self.random.index(4);
            self.give_up(transaction, &seats[..many], durability);
        }
    }

    /// Takes the first one, of which a limited scan tells: nobody else gets the same one.
    fn give_up_first_seat(&mut self, durability: Durability) {
        let transaction = self.db.begin_transaction().unwrap();
        let first = transaction.keys("default", &Scan::prefix(b"seat ").limit(1)).unwrap().next();
        if let Some(seat) = first {
            self.give_up(transaction, &[seat.unwrap()], durability);
        }
    }

    fn give_up(&mut self, mut transaction: Transaction, seats: &[Vec<u8>], durability: Durability) {
        seats.iter().for_each(|seat| transaction.delete("default", seat).unwrap());
        if self.world.commit(transaction, durability) {
            for seat in seats {
                let is_new = self.world.given_up.lock().unwrap().insert(seat.clone());
                assert!(is_new, "a seat was given up twice");
            }
        }
    }

    /// Bytes that fill segments, so that new ones begin; now and then a large value, or a flush.
    fn fill(&mut self, durability: Durability) {
        let length = match self.random.below(60) {
            0 => (1 << 20) + 1,
            1..=4 => 200_000,
            _ => self.random.index(3000),
        };
        let byte = self.random.bits() as u8;
        let key = [b'f', self.random.below(40) as u8];
        self.db.put_with(&key, &vec![byte; length], durability).unwrap();
        let value = self.db.get_ref(&key).unwrap().unwrap();
        assert!(value.iter().all(|one| *one == value.first().copied().unwrap_or_default()), "a torn value");
        if self.random.one_in(50) {
            self.db.flush().unwrap();
        }
    }
}
