//! One thread with keys of its own, of which it knows what is in them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use opendb::{Durability, ErrorKind, OpenDB, Scan, Snapshot};
use opendb_tests::bytes::pattern;
use opendb_tests::random::Random;
use opendb_tests::{Failure, Outcome};

/// The other keyspace; the first one is `default`.
pub(super) const OTHER: &str = "other";
/// Keys of a thread. Three of four are there at any time.
const KEYS: u64 = 6000;
/// Values of so many keys stand in segments of their own.
const LARGE_KEYS: u64 = 2;
/// How long a snapshot is held.
const HELD: Duration = Duration::from_millis(400);
/// Keys that are compared when it is given up.
const COMPARED: u64 = 30;
const SCANNED: u64 = 50;

/// What a key has: the number of its value, or nothing.
type Known = BTreeMap<u64, u64>;

/// One thread, from round to round.
pub(super) struct Worker {
    thread: u64,
    random: Random,
    known: Known,
    /// Operations so far, each of which numbers its values.
    pub(super) done: u64,
}

/// A snapshot with what it has to show.
struct Held {
    snapshot: Snapshot,
    known: Known,
    since: Instant,
}

impl Worker {
    pub(super) fn new(thread: u64, random: Random) -> Worker {
        Worker { thread, random, known: Known::new(), done: 0 }
    }

    /// Works until it is over. First the live set is brought to its size, which it is already in all rounds but the first.
    pub(super) fn work(&mut self, database: &OpenDB, is_over: &AtomicBool) -> Outcome<()> {
        if self.done == 0 {
            (0..KEYS).try_for_each(|key| self.write(database, &[(key, true)], Durability::Buffered))?;
        }
        let mut held = None;
        while !is_over.load(Ordering::Relaxed) {
            self.done += 1;
            self.step(database, &mut held)?;
        }
        // What is given up by the close is compared as well.
        held.map_or(Ok(()), |held: Held| self.compare(&held))
    }

    fn step(&mut self, database: &OpenDB, held: &mut Option<Held>) -> Outcome<()> {
        let durability = if self.random.one_in(400) { Durability::Sync } else { Durability::Buffered };
        match self.random.below(100) {
            0..=44 => {
                let writes = [self.draw()];
                self.write(database, &writes, durability)
            }
            45..=54 => self.write_many(database, durability),
            55..=64 => self.transact(database, durability),
            65..=94 => {
                let key = self.random.below(KEYS);
                self.read(database, key)
            }
            95..=97 => self.scan(database),
            98 => self.hold(database, held),
            _ if self.random.one_in(500) => Ok(database.compact().map(drop)?),
            _ => Ok(()),
        }
    }

    /// A key, and whether it is written or deleted.
    fn draw(&mut self) -> (u64, bool) {
        (self.random.below(KEYS), !self.random.one_in(4))
    }

    fn name(&self, key: u64) -> (&'static str, Vec<u8>) {
        let keyspace = if key.is_multiple_of(3) { OTHER } else { "default" };
        (keyspace, format!("{}:{key:06}", self.thread).into_bytes())
    }

    /// The value with this number of a key.
    fn value(key: u64, number: u64) -> Vec<u8> {
        let mut value = format!("{key} {number} ").into_bytes();
        let length = if key < LARGE_KEYS { 1 << 20 } else { 100 + (number.wrapping_mul(977) % 600) as usize };
        value.extend(pattern(length, (number % 251) as u8));
        value
    }

    fn note(&mut self, key: u64, number: Option<u64>) {
        match number {
            Some(number) => self.known.insert(key, number),
            None => self.known.remove(&key),
        };
    }

    /// Writes or deletes, all in one commit.
    fn write(&mut self, database: &OpenDB, writes: &[(u64, bool)], durability: Durability) -> Outcome<()> {
        let mut batch = database.batch();
        for (key, is_put) in writes {
            let ((keyspace, name), number) = (self.name(*key), self.done);
            match (is_put, writes.len()) {
                (true, 1) => {
                    database.keyspace(keyspace)?.put_with(&name, &Worker::value(*key, number), durability)?;
                }
                (false, 1) => database.keyspace(keyspace)?.delete_with(&name, durability)?,
                (true, _) => batch.put(keyspace, &name, &Worker::value(*key, number))?,
                (false, _) => batch.delete(keyspace, &name)?,
            }
            self.note(*key, is_put.then_some(number));
        }
        if batch.is_empty() { Ok(()) } else { Ok(batch.commit_with(durability)?) }
    }

    fn write_many(&mut self, database: &OpenDB, durability: Durability) -> Outcome<()> {
        let writes: Vec<_> = (0..2 + self.random.below(20)).map(|_| self.draw()).collect();
        self.write(database, &writes, durability)
    }

    /// Reads a few keys and writes them. Nobody else has these keys, so that there is no conflict.
    fn transact(&mut self, database: &OpenDB, durability: Durability) -> Outcome<()> {
        let mut transaction = database.begin_transaction()?;
        let mut writes = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            let ((key, is_put), number) = (self.draw(), self.done);
            let (keyspace, name) = self.name(key);
            if !writes.iter().any(|(written, _)| *written == key) {
                self.check(key, self.known.get(&key), transaction.get(keyspace, &name)?.as_deref())?;
            }
            match is_put {
                true => transaction.put(keyspace, &name, &Worker::value(key, number))?,
                false => transaction.delete(keyspace, &name)?,
            }
            writes.push((key, is_put.then_some(number)));
        }
        if self.random.one_in(5) {
            return Ok(transaction.rollback()?);
        }
        match transaction.commit_with(durability) {
            Err(error) if error.kind() == ErrorKind::Transaction => {
                Err("a transaction was in conflict with nobody".into())
            }
            committed => {
                committed?;
                writes.into_iter().for_each(|(key, number)| self.note(key, number));
                Ok(())
            }
        }
    }

    fn read(&self, database: &OpenDB, key: u64) -> Outcome<()> {
        let (keyspace, name) = self.name(key);
        let value = database.keyspace(keyspace)?.get(&name)?;
        self.check(key, self.known.get(&key), value.as_deref())
    }

    fn check(&self, key: u64, number: Option<&u64>, found: Option<&[u8]>) -> Outcome<()> {
        let expected = number.map(|number| Worker::value(key, *number));
        if found == expected.as_deref() {
            return Ok(());
        }
        let start = found.map(|value| String::from_utf8_lossy(value.get(..24).unwrap_or(value)).into_owned());
        Err(Failure(format!(
            "thread {}, key {key}: expected number {number:?}, found {start:?}",
            self.thread
        )))
    }

    /// Reads the next keys from one on, of one keyspace, in either direction.
    fn scan(&mut self, database: &OpenDB) -> Outcome<()> {
        let (from, is_reverse) = (self.random.below(KEYS), self.random.one_in(2));
        let until = (from + 3 * SCANNED).min(KEYS);
        let (start, end) = (self.name(from).1, self.name(until).1);
        let mut scan = Scan::all().from(start).until(end);
        if is_reverse {
            scan = scan.reverse();
        }
        let mut found = Vec::new();
        for entry in database.keyspace(OTHER)?.iter(&scan)? {
            found.push(entry?);
        }
        if is_reverse {
            found.reverse();
        }
        let expected = self.known.range(from..until).filter(|(key, _)| key.is_multiple_of(3));
        let expected = expected.map(|(key, number)| (self.name(*key).1, Worker::value(*key, *number)));
        if found.into_iter().eq(expected) { Ok(()) } else { Err("a scan has not what it must have".into()) }
    }

    /// Takes a snapshot, or gives up the one that was held for long enough.
    fn hold(&mut self, database: &OpenDB, held: &mut Option<Held>) -> Outcome<()> {
        match held.take() {
            None => {
                let (snapshot, known) = (database.snapshot()?, self.known.clone());
                *held = Some(Held { snapshot, known, since: Instant::now() });
                Ok(())
            }
            Some(one) if one.since.elapsed() >= HELD => self.compare(&one),
            Some(one) => {
                *held = Some(one);
                Ok(())
            }
        }
    }

    /// A snapshot shows what was there when it was taken.
    fn compare(&mut self, held: &Held) -> Outcome<()> {
        let other = held.snapshot.keyspace(OTHER)?;
        for _ in 0..COMPARED {
            let key = self.random.below(KEYS);
            let (keyspace, name) = self.name(key);
            let view = if keyspace == OTHER { &other } else { &held.snapshot };
            self.check(key, held.known.get(&key), view.get(&name)?.as_deref())?;
        }
        Ok(())
    }
}
