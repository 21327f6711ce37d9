//! Every interleaving of a reader and a writer, on the code as it is, up to loom's bound on preemptions.
//!
//! A location means a record that was written before: each test has a log, in which relaxed stores stand for the bytes
//! of records, and a reader that finds a location must find its record there.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::Index;
use super::slot::TAG_MASK;
use crate::location::Location;

/// One shard. The first table has one line and takes six entries; the seventh makes it grow to two, with a third line
/// for overflow.
struct Engine {
    index: Index,
    log: [AtomicU64; 4],
}

fn location(n: u64) -> Location {
    Location::new(0, 8 * (n + 1)).unwrap()
}

/// A hash whose tag has these bits, with home in the first line while `tag` is small.
fn hash(tag: u64) -> u64 {
    tag << 31
}

impl Engine {
    /// With `count` entries of a tag that nobody asks for, none of them in the log.
    fn filled(count: u64) -> Arc<Engine> {
        let index = Index::with_collisions(1, TAG_MASK);
        (0..count).for_each(|n| index.insert(hash(0), location(100 + n)));
        Arc::new(Engine { index, log: std::array::from_fn(|_| AtomicU64::new(0)) })
    }

    /// Writes record n, which says n + 1.
    fn write(&self, n: u64) -> Location {
        self.log[n as usize].store(n + 1, Ordering::Relaxed);
        location(n)
    }

    /// The numbers of the records found under the tag, each of which is in the log.
    fn read(&self, tag: u64) -> Vec<u64> {
        let found = self.index.candidates(hash(tag)).unwrap().map(|location| location.offset() / 8 - 1);
        found
            .inspect(|&n| assert_eq!(self.log[n as usize].load(Ordering::Relaxed), n + 1, "record {n}"))
            .collect()
    }
}

fn explore(test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

#[test]
fn a_replaced_key_is_at_the_old_location_or_the_new() {
    explore(|| {
        let engine = Engine::filled(1);
        engine.index.insert(hash(1), engine.write(0));
        let writer = engine.clone();
        let writer = thread::spawn(move || {
            let new = writer.write(1);
            assert!(writer.index.replace(hash(1), location(0), new));
        });
        let (first, second) = (engine.read(1), engine.read(1));
        assert!(first == [0] || first == [1], "{first:?}");
        assert!(second == [0] && first == [0] || second == [1], "{second:?} after {first:?}");
        writer.join().unwrap();
        assert_eq!(engine.read(1), [1]);
    });
}

#[test]
fn a_key_that_spills_is_there_at_the_latest_when_its_insertion_returns() {
    explore(|| {
        // Eight entries fill the first line of two.
        let engine = Engine::filled(8);
        let writer = engine.clone();
        let writer = thread::spawn(move || writer.index.insert(hash(1), writer.write(0)));
        let first = engine.read(1);
        assert!(first.is_empty() || first == [0]);
        // Once it is in its slot, the way to it is there, too.
        let mut visited = first == [0];
        engine.index.for_each(|found| visited |= found == location(0));
        let second = engine.read(1);
        assert!(second == [0] || second.is_empty() && !visited, "{second:?} after {first:?}");
        writer.join().unwrap();
        assert_eq!(engine.read(1), [0]);
    });
}

#[test]
fn a_key_that_has_spilled_stays_found_while_the_line_before_it_changes() {
    explore(|| {
        let engine = Engine::filled(7);
        // Tag 1 uses the spill bit of slot 1 in the first line, which is full once tag 2 is there.
        engine.index.insert(hash(2), engine.write(2));
        engine.index.insert(hash(1), engine.write(0));
        let writer = engine.clone();
        let writer = thread::spawn(move || {
            assert!(writer.index.replace(hash(0), location(101), location(200)));
            assert!(writer.index.remove(hash(0), location(200)));
            writer.index.insert(hash(3), writer.write(1));
        });
        assert_eq!(engine.read(1), [0]);
        writer.join().unwrap();
        assert_eq!((engine.read(1), engine.read(2), engine.read(3)), (vec![0], vec![2], vec![1]));
    });
}

#[test]
fn a_key_stays_found_while_the_table_grows() {
    explore(|| {
        let engine = Engine::filled(5);
        engine.index.insert(hash(1), engine.write(0));
        let writer = engine.clone();
        let writer = thread::spawn(move || writer.index.insert(hash(2), writer.write(1)));
        assert_eq!(engine.read(1), [0]);
        let added = engine.read(2);
        assert!(added.is_empty() || added == [1]);
        writer.join().unwrap();
        assert_eq!((engine.read(1), engine.read(2)), (vec![0], vec![1]));
    });
}

#[test]
fn a_replacement_beside_growth_is_kept() {
    explore(|| {
        let engine = Engine::filled(5);
        engine.index.insert(hash(1), engine.write(0));
        let (inserter, mover) = (engine.clone(), engine.clone());
        let inserter = thread::spawn(move || inserter.index.insert(hash(2), inserter.write(1)));
        let mover = thread::spawn(move || {
            let new = mover.write(2);
            assert!(mover.index.replace(hash(1), location(0), new));
        });
        inserter.join().unwrap();
        mover.join().unwrap();
        assert_eq!((engine.read(1), engine.read(2), engine.index.len()), (vec![2], vec![1], 7));
    });
}

#[test]
fn a_slot_that_changes_hands_gives_no_key_the_location_of_another() {
    explore(|| {
        let engine = Engine::filled(1);
        engine.index.insert(hash(1), engine.write(0));
        engine.index.insert(hash(2), engine.write(1));
        let writer = engine.clone();
        let writer = thread::spawn(move || {
            assert!(writer.index.remove(hash(1), location(0)));
            // The same slot, since it is the first free one.
            writer.index.insert(hash(3), writer.write(2));
        });
        let removed = engine.read(1);
        assert!(removed == [0] || removed.is_empty(), "{removed:?}");
        assert_eq!(engine.read(2), [1]);
        let added = engine.read(3);
        assert!(added == [2] || added.is_empty(), "{added:?}");
        writer.join().unwrap();
        assert_eq!((engine.read(1), engine.read(2), engine.read(3)), (vec![], vec![1], vec![2]));
    });
}

#[test]
fn a_shard_that_is_held_is_changed_once_and_before_anybody_finds_anything_in_it() {
    explore(|| {
        let engine = Engine::filled(1);
        engine.index.insert(hash(1), engine.write(0));
        engine.index.hold(0);
        let look = |engine: &Engine| {
            let change = |aside: &Index| {
                // A second time it would not be there.
                assert!(aside.replace(hash(1), location(0), engine.write(1)));
                Ok(())
            };
            if engine.index.is_absent(hash(1)) {
                engine.index.catch_up(0, change).unwrap();
            }
            assert_eq!(engine.read(1), [1]);
        };
        let other = engine.clone();
        let other = thread::spawn(move || look(&other));
        look(&engine);
        other.join().unwrap();
        assert_eq!(engine.index.len(), 2);
    });
}
