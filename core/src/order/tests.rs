//! The set beside a `BTreeSet`, alone and with three threads at it.

use super::delta::CHUNK_ENTRIES_MAX;
use super::maintenance::RUNS_MAX;
use super::{Cursor, Order};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(super) const KEY_BYTES_MAX: usize = 65_537;

/// Small and repeatable (xorshift).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    /// Keys that are hard on an ordered set: empty, prefixes of each other, equal in their first bytes, at the edges of
    /// the byte range, long.
    pub(super) fn key(&mut self) -> Vec<u8> {
        let letters = |random: &mut Self, length| -> Vec<u8> {
            (0..length).map(|_| [0, 1, b'a', 0xFE, 0xFF][random.below(5) as usize]).collect()
        };
        match self.below(1000) {
            0 => vec![0xFF; self.below(40) as usize],
            1 => vec![0; self.below(40) as usize],
            2 => vec![b'l'; KEY_BYTES_MAX - self.below(3) as usize],
            3..300 => {
                let length = self.below(9);
                letters(self, length)
            }
            300..500 => {
                let (stem, length) = (self.below(3), self.below(6));
                let mut key = vec![b's'; [14, 16, 300][stem as usize]];
                key.extend(letters(self, length));
                key
            }
            _ => [self.next(), self.next(), self.next()].map(u64::to_be_bytes).concat()[..20].to_vec(),
        }
    }

    pub(super) fn bound(&mut self, known: &[Vec<u8>]) -> Bound<Vec<u8>> {
        let known_or_new = |random: &mut Self| match random.below(3) {
            0 => random.key(),
            _ if known.is_empty() => Vec::new(),
            _ => known[random.below(known.len() as u64) as usize].clone(),
        };
        match self.below(4) {
            0 => Bound::Unbounded,
            1 => Bound::Excluded(known_or_new(self)),
            _ => Bound::Included(known_or_new(self)),
        }
    }
}

/// A set, what was inserted into it, and what of that is alive.
pub(super) struct Model {
    pub(super) order: Order,
    pub(super) live: BTreeMap<Vec<u8>, bool>,
    pub(super) inserted: Vec<Vec<u8>>,
}

/// A cursor with what it must and what it may give.
pub(super) struct Opened {
    cursor: Cursor,
    reverse: bool,
    expected: Vec<(Vec<u8>, bool)>,
}

impl Model {
    fn new() -> Self {
        Self::of(Order::in_memory())
    }

    pub(super) fn of(order: Order) -> Self {
        Self { order, live: BTreeMap::new(), inserted: Vec::new() }
    }

    pub(super) fn insert(&mut self, key: Vec<u8>) {
        if self.live.insert(key.clone(), true) != Some(true) {
            self.order.insert(&key);
            self.inserted.push(key);
        }
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        if let Some(live) = self.live.get_mut(key).filter(|live| **live) {
            *live = false;
            self.order.note_deleted(1);
        }
    }

    pub(super) fn maintain(&self) -> bool {
        self.order.maintain(&|key| self.live[key])
    }

    pub(super) fn settle(&self) {
        while self.maintain() {}
        self.order.check();
        assert!(self.order.memory_run_bytes().len() < RUNS_MAX, "runs in memory stay few");
        assert!(self.order.run_numbers().len() < RUNS_MAX, "files stay few");
    }

    pub(super) fn open(&self, lower: &Bound<Vec<u8>>, upper: &Bound<Vec<u8>>, reverse: bool) -> Opened {
        let borrow = |bound: &'_ Bound<Vec<u8>>| bound.clone();
        let (lower, upper) = (borrow(lower), borrow(upper));
        let (low, high) = (lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice));
        let cursor = self.order.cursor(low, high, reverse).unwrap();
        let inside = |key: &Vec<u8>| {
            (match low {
                Bound::Included(low) => key.as_slice() >= low,
                Bound::Excluded(low) => key.as_slice() > low,
                Bound::Unbounded => true,
            }) && match high {
                Bound::Included(high) => key.as_slice() <= high,
                Bound::Excluded(high) => key.as_slice() < high,
                Bound::Unbounded => true,
            }
        };
        let keys = self.live.iter().filter(|(key, _)| inside(key));
        let mut expected: Vec<_> = keys.map(|(key, live)| (key.clone(), *live)).collect();
        if reverse {
            expected.reverse();
        }
        Opened { cursor, reverse, expected }
    }

    pub(super) fn open_random(&self, random: &mut Random) -> Opened {
        let (lower, upper) = (random.bound(&self.inserted), random.bound(&self.inserted));
        self.open(&lower, &upper, random.below(2) == 0)
    }
}

impl Opened {
    /// Every live key exactly once and in order; a dead one at most once; nothing else; and then `None` for good.
    pub(super) fn verify(mut self) {
        let mut expected = self.expected.iter();
        while let Some(key) = self.cursor.next().unwrap() {
            loop {
                let (next, live) = expected.next().unwrap_or_else(|| panic!("{key:?} is too much"));
                if next == key {
                    break;
                }
                assert!(!live, "{next:?} is missing before {key:?}, reverse: {}", self.reverse);
            }
        }
        assert!(expected.all(|(_, live)| !live), "keys are missing at the end");
        assert!(self.cursor.next().unwrap().is_none() && self.cursor.next().unwrap().is_none());
    }
}

#[test]
fn an_empty_set_gives_nothing() {
    let order = Order::in_memory();
    assert!(!order.maintain(&|_| true));
    assert!(order.cursor(Bound::Unbounded, Bound::Unbounded, false).unwrap().next().unwrap().is_none());
    assert!(order.cursor(Bound::Unbounded, Bound::Unbounded, true).unwrap().next().unwrap().is_none());
    assert_eq!((order.entries(), order.runs()), (0, 0));
}

#[test]
fn a_cursor_may_go_to_another_thread_and_outlive_the_set() {
    let order = Order::in_memory();
    (0..5000).for_each(|number| order.insert(&scattered(number)));
    let mut cursor = order.cursor(Bound::Unbounded, Bound::Unbounded, true).unwrap();
    drop(order);
    let count = std::thread::spawn(move || std::iter::from_fn(|| cursor.next().unwrap().map(|_| ())).count());
    assert_eq!(count.join().unwrap(), 5000);
}

#[test]
fn every_stage_gives_the_same_keys() {
    let mut model = Model::new();
    let mut random = Random(7);
    let all = || (Bound::Unbounded, Bound::Unbounded);
    for stage in 0..4 {
        (0..300).for_each(|_| model.insert(random.key()));
        for reverse in [false, true] {
            model.open(&all().0, &all().1, reverse).verify();
        }
        if stage == 2 {
            model.settle();
        }
    }
    for lower in [Bound::Included(Vec::new()), Bound::Excluded(Vec::new()), Bound::Included(vec![0xFF; 40])] {
        for reverse in [false, true] {
            model.open(&lower, &Bound::Unbounded, reverse).verify();
            model.open(&Bound::Unbounded, &lower, reverse).verify();
            model.open(&lower, &lower, reverse).verify();
        }
    }
}

impl Model {
    /// One random insert, delete, step of maintenance or scan.
    pub(super) fn random_operation(&mut self, random: &mut Random) {
        match random.below(96) {
            0..40 => (0..random.below(1200)).for_each(|_| self.insert(random.key())),
            40..55 => {
                for _ in 0..random.below(900).min(self.inserted.len() as u64) {
                    let key = self.inserted[random.below(self.inserted.len() as u64) as usize].clone();
                    self.delete(&key);
                }
            }
            55..60 => {
                for _ in 0..random.below(300).min(self.inserted.len() as u64) {
                    let key = self.inserted[random.below(self.inserted.len() as u64) as usize].clone();
                    self.insert(key);
                }
            }
            60..85 => {
                self.maintain();
            }
            _ => self.open_random(random).verify(),
        }
    }

    pub(super) fn verify_all(&self) {
        self.open(&Bound::Unbounded, &Bound::Unbounded, false).verify();
        self.open(&Bound::Unbounded, &Bound::Unbounded, true).verify();
    }
}

/// Random operations, with cursors some of which are kept open over all that follows.
fn random_operations(seed: u64, steps: u64) {
    let mut random = Random(seed);
    let mut model = Model::new();
    let mut kept: Vec<Opened> = Vec::new();
    for _ in 0..steps {
        match random.below(100) {
            0..96 => model.random_operation(&mut random),
            96..99 => kept.push(model.open_random(&mut random)),
            _ => model.settle(),
        }
        if kept.len() > 6 {
            kept.swap_remove(random.below(7) as usize).verify();
        }
    }
    model.settle();
    model.verify_all();
    kept.into_iter().for_each(Opened::verify);
}

#[test]
fn the_set_does_what_the_model_does() {
    for seed in 1..5 {
        random_operations(0x9E37_79B9_7F4A_7C15 ^ seed, 120);
    }
}

pub(super) fn scattered(number: u64) -> [u8; 20] {
    let mut key = [0; 20];
    key[2..10].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    key[10..18].copy_from_slice(&number.to_be_bytes());
    key
}

#[test]
fn many_deletes_force_a_merge_of_everything() {
    let mut model = Model::new();
    let count = 3 * CHUNK_ENTRIES_MAX as u64 + 100;
    (0..count).for_each(|number| model.insert(scattered(number).to_vec()));
    model.settle();
    assert_eq!(model.order.entries(), count);
    (0..count).filter(|number| number % 3 != 0).for_each(|number| model.delete(&scattered(number)));
    let old = model.open(&Bound::Unbounded, &Bound::Unbounded, true);
    model.settle();
    assert_eq!((model.order.runs(), model.order.entries()), (1, count.div_ceil(3)));
    old.verify();
    model.open(&Bound::Unbounded, &Bound::Unbounded, false).verify();
    (0..count).filter(|number| number % 3 == 0).for_each(|number| model.delete(&scattered(number)));
    model.settle();
    assert_eq!((model.order.runs(), model.order.entries()), (0, 0), "nothing is left of nothing");
}

#[test]
fn a_merge_of_everything_takes_over_from_merges_under_way() {
    let mut model = Model::new();
    for number in 0..300_000 {
        model.insert(scattered(number).to_vec());
    }
    // The first call begins a merge of a dozen steps, so this leaves it half done.
    for _ in 0..4 {
        assert!(model.maintain());
    }
    assert!(model.order.runs() > 1);
    (0..300_000).filter(|number| number % 4 != 1).for_each(|number| model.delete(&scattered(number)));
    model.settle();
    assert_eq!((model.order.runs(), model.order.entries()), (1, 75_000));
    model.open(&Bound::Unbounded, &Bound::Unbounded, false).verify();
}

#[test]
fn without_the_background_the_writer_sorts() {
    let order = Order::in_memory();
    let count = 40 * CHUNK_ENTRIES_MAX as u64;
    (0..count).for_each(|number| order.insert(&scattered(number)));
    assert!(order.runs() >= 30, "the writer left too many chunks unsorted");
    let mut cursor = order.cursor(Bound::Unbounded, Bound::Unbounded, false).unwrap();
    let mut seen = 0;
    while cursor.next().unwrap().is_some() {
        seen += 1;
    }
    assert_eq!(seen, count);
}

/// What the threads of the test below share. Key `n` is inserted, then counted in `published`. Every seventh key is
/// deleted some time later, and every second of these inserted again and counted in `returned`.
struct Shared {
    order: Order,
    dead: Vec<AtomicBool>,
    published: AtomicUsize,
    returned: AtomicUsize,
    done: AtomicBool,
}

const THREADED_KEYS: usize = 120_000;
const DELETED_LATER: usize = 3000;

fn insert_and_delete(shared: &Shared) {
    for number in 0..THREADED_KEYS {
        shared.order.insert(&scattered(number as u64));
        shared.published.store(number + 1, Ordering::Release);
        let Some(old) = number.checked_sub(DELETED_LATER).filter(|old| old % 7 == 0) else { continue };
        shared.dead[old].store(true, Ordering::Release);
        shared.order.note_deleted(1);
        // Noted too often on purpose, so that merges of everything happen all the time.
        shared.order.note_deleted(4);
        if let Some(older) = old.checked_sub(14 * 100).filter(|older| older % 14 == 0) {
            shared.dead[older].store(false, Ordering::Release);
            shared.order.insert(&scattered(older as u64));
            shared.returned.store(older + 1, Ordering::Release);
        }
    }
    shared.done.store(true, Ordering::Release);
}

fn number_of(key: &[u8]) -> usize {
    u64::from_be_bytes(key[10..18].try_into().unwrap()) as usize
}

fn scan_once(shared: &Shared, reverse: bool) {
    let returned = shared.returned.load(Ordering::Acquire);
    let published = shared.published.load(Ordering::Acquire);
    let mut cursor = shared.order.cursor(Bound::Unbounded, Bound::Unbounded, reverse).unwrap();
    let (mut seen, mut last) = (BTreeSet::new(), Vec::new());
    while let Some(key) = cursor.next().unwrap() {
        assert!(last.is_empty() || (last.as_slice() < key) != reverse && last != key, "in order, each once");
        last = key.to_vec();
        assert!(seen.insert(number_of(key)));
    }
    for number in 0..published {
        let must_be_there = number % 7 != 0 || number % 14 == 0 && number < returned;
        assert!(!must_be_there || seen.contains(&number), "key {number} of {published} is missing");
    }
}

#[test]
fn cursors_see_all_that_was_inserted_before_while_merges_run() {
    let shared = Shared {
        order: Order::in_memory(),
        dead: (0..THREADED_KEYS).map(|_| AtomicBool::new(false)).collect(),
        published: AtomicUsize::new(0),
        returned: AtomicUsize::new(0),
        done: AtomicBool::new(false),
    };
    let is_live = |key: &[u8]| !shared.dead[number_of(key)].load(Ordering::Acquire);
    std::thread::scope(|threads| {
        threads.spawn(|| insert_and_delete(&shared));
        threads.spawn(|| {
            while !shared.done.load(Ordering::Acquire) {
                if !shared.order.maintain(&is_live) {
                    std::thread::yield_now();
                }
            }
        });
        let mut scans = 0_usize;
        while !shared.done.load(Ordering::Acquire) || scans < 2 {
            scan_once(&shared, scans % 2 == 1);
            scans += 1;
        }
    });
    while shared.order.maintain(&is_live) {}
    shared.order.check();
    scan_once(&shared, false);
}
