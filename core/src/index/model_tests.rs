//! The index beside a map that remembers everything, and beside other threads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::Index;
use super::random::{Random, location};
use super::slot::TAG_MASK;
use crate::location::Location;

/// An index, and what should be in it: the locations under the hash bits that the index keeps.
struct Pair {
    index: Index,
    hash_mask: u64,
    model: HashMap<u64, Vec<Location>>,
    /// Every entry with its hash, for picking one at random.
    entries: Vec<(u64, Location)>,
    locations: u64,
}

impl Pair {
    fn new(shards: usize, tag_mask: u64) -> Pair {
        let hash_mask = (shards as u64 - 1) << 54 | tag_mask << 31;
        let index = Index::with_collisions(shards, tag_mask);
        Pair { index, hash_mask, model: HashMap::new(), entries: Vec::new(), locations: 0 }
    }

    fn new_location(&mut self) -> Location {
        self.locations += 1;
        location(self.locations)
    }

    fn insert(&mut self, hash: u64) {
        let location = self.new_location();
        self.index.insert(hash, location);
        self.model.entry(hash & self.hash_mask).or_default().push(location);
        self.entries.push((hash, location));
        self.check(hash);
    }

    fn replace(&mut self, position: usize) {
        let (hash, old) = self.entries[position];
        let new = self.new_location();
        assert!(!self.index.replace(hash, new, old), "what is not there cannot be replaced");
        assert!(self.index.replace(hash, old, new));
        assert!(!self.index.replace(hash, old, new), "it has moved on");
        self.entries[position].1 = new;
        let locations = self.model.get_mut(&(hash & self.hash_mask)).unwrap();
        *locations.iter_mut().find(|location| **location == old).unwrap() = new;
        self.check(hash);
    }

    fn remove(&mut self, position: usize) {
        let (hash, old) = self.entries.swap_remove(position);
        assert!(self.index.remove(hash, old));
        assert!(!self.index.remove(hash, old), "it is gone");
        self.model.get_mut(&(hash & self.hash_mask)).unwrap().retain(|&location| location != old);
        self.check(hash);
    }

    /// The candidates of the hash are exactly the model's: none missing, none twice, none of another tag.
    fn check(&self, hash: u64) {
        let mut found: Vec<_> = self.index.candidates(hash).unwrap().collect();
        found.sort();
        let mut expected = self.model.get(&(hash & self.hash_mask)).cloned().unwrap_or_default();
        expected.sort();
        assert_eq!(found, expected, "candidates of {hash:016x}");
    }

    fn check_all(&self) {
        self.model.keys().for_each(|&hash| self.check(hash));
        assert_eq!(self.index.len(), self.entries.len() as u64);
        let mut found = Vec::new();
        self.index.for_each(|location| found.push(location));
        found.sort();
        let mut expected: Vec<_> = self.entries.iter().map(|&(_, location)| location).collect();
        expected.sort();
        assert_eq!(found, expected);
    }

    /// Random operations, of which `inserts` in 100 are insertions, half of them under a hash that is known.
    fn run(&mut self, random: &mut Random, operations: usize, inserts: usize) {
        for _ in 0..operations {
            let fresh = random.next();
            if self.entries.is_empty() || random.below(100) < inserts {
                let known = !self.entries.is_empty() && random.below(2) == 0 && self.hash_mask != full_mask();
                let hash = if known { self.entries[random.below(self.entries.len())].0 } else { fresh };
                self.insert(hash);
            } else if random.below(3) == 0 {
                self.replace(random.below(self.entries.len()));
            } else {
                self.remove(random.below(self.entries.len()));
            }
            self.check(fresh);
        }
        self.check_all();
    }
}

fn full_mask() -> u64 {
    !0 << 31
}

fn run_model(shards: usize, tag_mask: u64, operations: usize) {
    for seed in 1..=3 {
        let mut pair = Pair::new(shards, tag_mask);
        let mut random = Random::new(seed);
        pair.run(&mut random, operations, 80);
        pair.run(&mut random, operations, 45);
        pair.run(&mut random, 2 * operations, 10);
        while let Some(last) = pair.entries.len().checked_sub(1) {
            pair.remove(last);
        }
        pair.check_all();
        pair.run(&mut random, operations / 2, 80);
    }
}

#[test]
fn agrees_with_the_model_over_the_full_tags() {
    run_model(1024, TAG_MASK, 10_000);
    run_model(2, TAG_MASK, 10_000);
}

#[test]
fn agrees_with_the_model_where_tags_collide_often() {
    // Few tags, apart in their high bits and in the low ones that pick the spill bit.
    run_model(4, 0b111_1111 << 16 | 0b111, 5_000);
    run_model(1, 0b111 << 20 | 0b1, 1_000);
}

#[test]
fn agrees_with_the_model_where_all_tags_are_equal() {
    run_model(1, 0, 300);
}

#[test]
fn holds_any_number_of_entries_in_the_last_line_of_all() {
    let mut pair = Pair::new(1, 1 << 22 | 1);
    (0..500).for_each(|_| pair.insert(!0));
    pair.check_all();
    assert!(pair.index.memory_bytes() < 64 << 10, "{} bytes", pair.index.memory_bytes());
}

#[test]
fn takes_little_memory_while_empty_and_gives_it_back() {
    let index = Index::new();
    assert!(index.memory_bytes() < 72 << 10, "{} bytes", index.memory_bytes());
    let mut random = Random::new(7);
    let hashes: Vec<_> = (0..200_000).map(|_| random.next()).collect();
    (1..).zip(&hashes).for_each(|(n, &hash)| index.insert(hash, location(n)));
    assert!(index.memory_bytes() > 1 << 20);
    (1..).zip(&hashes).for_each(|(n, &hash)| assert!(index.remove(hash, location(n))));
    assert_eq!(index.len(), 0);
    // At most a line or so of each shard, kept for the next key.
    assert!(index.memory_bytes() < 200 << 10, "{} bytes", index.memory_bytes());
}

/// From tables of their own to those out of the pool, to one that is too large for it, and all the way back.
#[test]
fn agrees_with_the_model_at_every_size_of_a_table() {
    let mut pair = Pair::new(2, TAG_MASK);
    let mut random = Random::new(21);
    for keys in [1_000, 2_500, 6_000, 40_000, 180_000, 260_000] {
        while pair.entries.len() < keys {
            pair.insert(random.next());
        }
        pair.check_all();
        (0..200).for_each(|_| pair.check(pair.entries[random.below(keys)].0));
    }
    for keys in [150_000, 20_000, 2_000, 0] {
        while pair.entries.len() > keys {
            pair.remove(random.below(pair.entries.len()));
        }
        pair.check_all();
    }
    assert!(pair.index.memory_bytes() < 32 << 10, "{} bytes", pair.index.memory_bytes());
}

#[test]
fn a_visitor_may_use_the_index() {
    let index = Index::new();
    (1..=1000).for_each(|n| index.insert(n << 40, location(n)));
    let mut visited = 0;
    index.for_each(|_| {
        visited += 1;
        index.insert(visited << 41, location(1000 + visited));
    });
    assert!(visited >= 1000 && index.len() == 1000 + visited);
}

/// Ends the readers' loops when it is dropped, so that a failed writer fails the test and does not hang it.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Every key that is in the index is found by readers at every moment, while other keys come and go, the tables grow
/// and shrink, and the key itself is moved.
#[test]
fn readers_never_miss_a_key_beside_writers() {
    const KEYS: u64 = 2_000;
    let index = Index::with_collisions(2, 0xff << 15 | 0b11);
    let mut random = Random::new(11);
    let hashes: Vec<_> = (0..KEYS).map(|_| random.next()).collect();
    // Key n is moved between locations n and KEYS + n; others lie beyond.
    (0..KEYS).for_each(|n| index.insert(hashes[n as usize], location(n)));
    let (done, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let _done = Done(&done);
        for seed in 0..2 {
            let (index, hashes, done, reads) = (&index, &hashes, &done, &reads);
            scope.spawn(move || {
                let mut random = Random::new(100 + seed);
                while !done.load(Ordering::Relaxed) {
                    let n = random.below(hashes.len());
                    let places = [location(n as u64), location(KEYS + n as u64)];
                    assert!(
                        index.candidates(hashes[n]).unwrap().any(|found| places.contains(&found)),
                        "key {n} is missing"
                    );
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mover = scope.spawn(|| {
            for round in 0..20 {
                for n in 0..KEYS {
                    let (even, odd) = (location(n), location(KEYS + n));
                    let (old, new) = if round % 2 == 0 { (even, odd) } else { (odd, even) };
                    assert!(index.replace(hashes[n as usize], old, new), "key {n} is not where it was left");
                }
            }
        });
        let mut random = Random::new(12);
        for round in 0..3 {
            let others: Vec<_> =
                (0..6_000).map(|n| (random.next(), location((2 + round) * KEYS + n))).collect();
            others.iter().for_each(|&(hash, location)| index.insert(hash, location));
            others.iter().for_each(|&(hash, location)| assert!(index.remove(hash, location)));
        }
        mover.join().unwrap();
    });
    assert_eq!(index.len(), KEYS);
    assert!(reads.into_inner() > 0);
}

#[test]
fn what_is_held_is_shown_to_nobody_until_it_was_changed_as_a_whole() {
    let index = Index::with_collisions(4, TAG_MASK);
    let mut random = Random::new(13);
    let hashes: Vec<_> = (0..400).map(|_| random.next() & !(3 << 54)).collect();
    hashes.iter().zip(0..).for_each(|(hash, n)| index.insert(*hash, location(n)));
    index.hold(0);
    let is_held = || {
        assert!(index.is_absent(hashes[0]) && index.candidates(hashes[0]).is_err());
        assert!(index.image(0).is_err() && index.image_in_memory(0).is_err() && index.locations(0).is_err());
    };
    is_held();
    assert!(index.image(1).is_ok() && index.candidates(1 << 54).is_ok());
    let fails = |aside: &Index| {
        assert!(aside.remove(hashes[0], location(0)));
        (0..5_000).for_each(|n| aside.insert(hashes[1], location(1_000 + n)));
        Err(crate::error::Error::Internal("as the test wants it".to_owned()))
    };
    assert!(index.catch_up(0, fails).is_err());
    is_held();
    let changes = |aside: &Index| {
        assert!(aside.replace(hashes[0], location(0), location(500)));
        assert!(aside.remove(hashes[1], location(1)));
        (600..900).for_each(|n| aside.insert(random.next() & !(3 << 54), location(n)));
        Ok(())
    };
    index.catch_up(0, changes).unwrap();
    index.catch_up(0, |_| panic!("it has caught up already")).unwrap();
    assert_eq!(index.candidates(hashes[0]).unwrap().collect::<Vec<_>>(), [location(500)]);
    assert_eq!(index.candidates(hashes[1]).unwrap().count(), 0);
    for (hash, n) in hashes.iter().zip(0..).skip(2) {
        assert!(index.candidates(*hash).unwrap().any(|found| found == location(n)));
    }
    assert_eq!((index.len(), index.locations(0).unwrap().len()), (699, 699));
}
