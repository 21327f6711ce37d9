//! The workloads of YCSB. Requests are zipfian; of D, those for the latest. Every thread inserts numbers of its own.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use opendb_measure::workload::{Random, Seen, Values, Zipfian, version_of};

use super::load::load;
use crate::clock::{Clock, together};
use crate::data::{Data, expect};
use crate::run::{Needs, Run};
use crate::stores::{Call, Store};

const THREADS: [u64; 2] = [1, 2];
/// Entries of a scan of E.
const SCAN_MAX: u64 = 100;
/// Inserts of each thread and workload have numbers of their own from here on.
const NUMBERS_PER_PART: u64 = 1 << 32;
/// Versions of each thread and workload as well.
const VERSIONS_PER_PART: u64 = 1 << 32;

/// What a request does, in parts of a hundred; the rest reads.
#[derive(Debug, Clone, Copy, Default)]
struct Mix {
    name: &'static str,
    updates: u64,
    inserts: u64,
    scans: u64,
    transactions: u64,
    latest: bool,
}

const REST: Mix = Mix { name: "", updates: 0, inserts: 0, scans: 0, transactions: 0, latest: false };
/// In this order, since inserts make the store larger.
const MIXES: [Mix; 5] = [
    Mix { name: "a", updates: 50, ..REST },
    Mix { name: "b", updates: 5, ..REST },
    Mix { name: "c", ..REST },
    Mix { name: "d", inserts: 5, latest: true, ..REST },
    Mix { name: "e", inserts: 5, scans: 95, ..REST },
];
const F: Mix = Mix { name: "f", transactions: 50, ..REST };

pub(super) fn run(run: &mut Run<'_>) -> Result<()> {
    let lacks = |call| run.kind.profile().lacks(call).is_some();
    let (no_scans, no_transactions) = (lacks(Call::Scan), lacks(Call::Transaction));
    run.open(Needs { scans: !no_scans, ..Needs::default() }, |run, store| {
        load(store, &run.data(), 0..run.data().count)?;
        let mut mixes = MIXES.iter().filter(|mix| mix.scans == 0 || !no_scans);
        let mut progress = Progress::default();
        mixes.try_for_each(|mix| measure_all(run, store, mix, &mut progress))
    })?;
    if no_transactions {
        return Ok(());
    }
    run.open(Needs { transactions: true, ..Needs::default() }, |run, store| {
        load(store, &run.data(), 0..run.data().count)?;
        measure_all(run, store, &F, &mut Progress::default())
    })
}

/// What was done to a store up to now.
#[derive(Default)]
struct Progress {
    /// Threads that have run.
    parts: u64,
    /// How often each number was counted up.
    counts: HashMap<u64, u64>,
}

fn measure_all(run: &mut Run<'_>, store: &dyn Store, mix: &Mix, progress: &mut Progress) -> Result<()> {
    for threads in THREADS {
        let id = format!("ycsb-{}-{threads}", mix.name);
        measure(run, store, mix, threads, progress, &id)?;
    }
    Ok(())
}

/// Runs so many threads, and sees that what they have written is there.
fn measure(
    run: &mut Run<'_>,
    store: &dyn Store,
    mix: &Mix,
    threads: u64,
    progress: &mut Progress,
    id: &str,
) -> Result<()> {
    let data = run.data();
    let (zipfian, seed, done) = (Zipfian::new(data.count), run.random(id).bits(), Mutex::new(Vec::new()));
    let first = progress.parts;
    progress.parts += threads;
    let timing = together(threads, run.budget(data.count), |thread| {
        let part = first + thread;
        let mut client = Client {
            store,
            data,
            mix: *mix,
            zipfian: &zipfian,
            random: Random::new(seed ^ part),
            values: data.values(),
            written: Written { part, ..Written::default() },
            done: &done,
        };
        move |_, clock: &mut Clock| client.request(clock)
    })?;
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    check(store, &data, &done, &mut progress.counts)?;
    run.timing(id, timing)
}

/// What one thread has written.
#[derive(Default)]
struct Written {
    /// What its numbers and versions begin with.
    part: u64,
    /// How many updates it has made, and the last version of each number.
    updates: u64,
    updated: HashMap<u64, u64>,
    /// How many it has inserted, from the first number of its part.
    inserted: u64,
    /// How often each number was counted up in a transaction.
    counted: HashMap<u64, u64>,
}

/// One thread. Gives what it has written when it is dropped.
struct Client<'a> {
    store: &'a dyn Store,
    data: Data,
    mix: Mix,
    zipfian: &'a Zipfian,
    random: Random,
    values: Values,
    written: Written,
    done: &'a Mutex<Vec<Written>>,
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        let written = std::mem::take(&mut self.written);
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(written);
    }
}

impl Client<'_> {
    fn request(&mut self, clock: &mut Clock) -> Result<()> {
        let chance = self.random.below(100);
        let Mix { updates, inserts, scans, transactions, .. } = self.mix;
        match chance {
            _ if chance < updates => self.update(clock),
            _ if chance < updates + inserts => self.insert(clock),
            _ if chance < updates + inserts + scans => self.scan(clock),
            _ if chance < updates + inserts + scans + transactions => self.count(clock),
            _ => self.read(clock),
        }
    }

    /// A number that is there.
    fn number(&mut self) -> u64 {
        if !self.mix.latest {
            return self.zipfian.next(&mut self.random);
        }
        // The latest of what this thread has inserted, and before that the loaded ones.
        let back = self.zipfian.next_rank(&mut self.random);
        match self.written.inserted.checked_sub(back + 1) {
            Some(inserted) => self.inserted_number(inserted),
            None => self.data.count - 1 - (back - self.written.inserted).min(self.data.count - 1),
        }
    }

    fn inserted_number(&self, inserted: u64) -> u64 {
        (self.written.part + 1) * NUMBERS_PER_PART + inserted
    }

    fn read(&mut self, clock: &mut Clock) -> Result<()> {
        let number = self.number();
        let key = self.data.key(number);
        let seen = clock.time(|| self.store.get(&key))?;
        seen.context("a key that was put is not there")?.version(&key).map(drop)
    }

    fn update(&mut self, clock: &mut Clock) -> Result<()> {
        let number = self.number();
        let version = (self.written.part + 1) * VERSIONS_PER_PART + self.written.updates;
        let key = self.data.key(number);
        let value = self.values.value(&key, version);
        clock.time(|| self.store.put(&key, value))?;
        self.written.updates += 1;
        self.written.updated.insert(number, version);
        Ok(())
    }

    fn insert(&mut self, clock: &mut Clock) -> Result<()> {
        let key = self.data.key(self.inserted_number(self.written.inserted));
        let value = self.values.value(&key, 0);
        clock.time(|| self.store.put(&key, value))?;
        self.written.inserted += 1;
        Ok(())
    }

    /// A scan must show as many entries as it was asked for, in order, unless it came to the end.
    fn scan(&mut self, clock: &mut Clock) -> Result<()> {
        let number = self.number();
        let (start, entries) = (self.data.key(number), 1 + self.random.below(SCAN_MAX));
        let (mut shown, mut last, mut whole) = (0, None, true);
        let mut visit = |key: &[u8], value: &[u8]| {
            let rank = key.first_chunk::<8>().map(|word| u64::from_be_bytes(*word));
            whole &= rank > last && value.len() as u64 == self.data.value_bytes;
            (shown, last) = (shown + 1, rank);
        };
        clock.time(|| self.store.scan(&start, entries as usize, false, &mut visit))?;
        let near_the_end = start.rank() > u64::MAX - u64::MAX / self.data.count * SCAN_MAX * 4;
        ensure!(whole && (shown == entries || near_the_end), "a scan of {entries} showed {shown}, or others");
        Ok(())
    }

    fn count(&mut self, clock: &mut Clock) -> Result<()> {
        let number = self.number();
        let key = self.data.key(number);
        let values = &mut self.values;
        let mut change = |value: &[u8]| Ok(values.value(&key, version_of(&key, value)? + 1).to_vec());
        clock.time(|| self.store.update(&key, &mut change))?;
        *self.written.counted.entry(number).or_default() += 1;
        Ok(())
    }
}

/// Every inserted entry must be there, every updated one in the last version of one of the threads, and no count missing.
fn check(store: &dyn Store, data: &Data, done: &[Written], counts: &mut HashMap<u64, u64>) -> Result<()> {
    let version = |number| -> Result<u64> {
        let key = data.key(number);
        let seen: Option<Seen> = store.get(&key)?;
        seen.context("a key that was put is not there")?.version(&key)
    };
    for written in done {
        for inserted in 0..written.inserted {
            let key = data.key((written.part + 1) * NUMBERS_PER_PART + inserted);
            expect(&key, store.get(&key)?, Some(0))?;
        }
        for number in written.updated.keys() {
            let found = version(*number)?;
            let of_somebody = done.iter().any(|written| written.updated.get(number) == Some(&found));
            ensure!(of_somebody, "an update is lost");
        }
        for (number, counted) in &written.counted {
            *counts.entry(*number).or_default() += counted;
        }
    }
    for (number, counted) in counts.iter() {
        ensure!(version(*number)? == *counted, "a count is lost");
    }
    Ok(())
}
