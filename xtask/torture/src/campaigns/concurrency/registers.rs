//! Single calls on single keys have to be linearizable: each takes effect at one instant between its call and its return.
//!
//! The check is that of J. M. Wing and C. Gong, *Testing and Verifying Concurrent Objects* (Journal of Parallel and Distributed
//! Computing 17, 1993): of the calls that are left, each that was made before any other of them had returned may be the next, and
//! all are tried in turn. States that were come to before are not gone on from again (G. Lowe, *Testing for Linearizability*,
//! 2017). Each key is looked at by itself, which is enough: M. P. Herlihy and J. M. Wing, *Linearizability* (1990), theorem 1.

use std::collections::HashSet;
use std::time::Instant;

use opendb::{Durability, Keyspace, OpenDB};
use opendb_tests::bytes::pattern;
use opendb_tests::random::Random;
use opendb_tests::{Failure, Outcome};

use super::{OTHER, Work, durability, together};
use crate::plan::Tally;

/// Times that the threads meet in a history, each time on new keys.
const TIMES: u64 = 6;
const THREADS: u64 = 4;
const KEYS: u64 = 3;
/// Calls of a thread. All calls of one time are at most 64: a set of them is the bits of a number.
const CALLS: u64 = 14;
/// One value among so many stands in a segment of its own.
const LARGE: u64 = 50;

/// What a call did or saw. Values are told apart by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Put(u64),
    Delete,
    Get(Option<u64>),
    Exists(bool),
}

/// A call on a key, with the nanoseconds of its call and its return.
#[derive(Debug, Clone, Copy)]
struct Event {
    key: u64,
    called: u64,
    returned: u64,
    act: Act,
}

/// One history.
pub(super) fn run(database: &OpenDB, prefix: &str, random: &mut Random, tally: &mut Tally) -> Outcome<()> {
    (0..TIMES).try_for_each(|time| meet(database, &format!("{prefix}{time}:"), random, tally))
}

fn meet(database: &OpenDB, prefix: &str, random: &mut Random, tally: &mut Tally) -> Outcome<()> {
    let begin = Instant::now();
    let caller = |thread: u64, mut random: Random| -> Work<'_, Vec<Event>> {
        Box::new(move || {
            let calls = (0..CALLS).map(|at| thread * CALLS + at + 1);
            calls.map(|number| call(database, prefix, number, &mut random, begin)).collect()
        })
    };
    let works = (0..THREADS).map(|thread| caller(thread, Random::new(random.bits()))).collect();
    let events: Vec<Event> = together(works)?.into_iter().flatten().collect();
    tally.add("single calls", events.len() as u64);
    for key in 0..KEYS {
        let mut of_key: Vec<Event> = events.iter().filter(|event| event.key == key).copied().collect();
        of_key.sort_by_key(|event| event.called);
        if !is_linearizable(&of_key) {
            let lines: Vec<_> = of_key.iter().map(|event| format!("  {event:?}")).collect();
            return Err(Failure(format!("no order of these calls explains them:\n{}", lines.join("\n"))));
        }
    }
    Ok(())
}

fn call(database: &OpenDB, prefix: &str, number: u64, random: &mut Random, begin: Instant) -> Outcome<Event> {
    let key = random.below(KEYS);
    // Keys of both keyspaces, and one that is long.
    let keyspace = if key == 0 { "default" } else { OTHER };
    let name = format!("{prefix}register {}", "k".repeat(1 + 200 * key as usize)).into_bytes();
    let handle = database.keyspace(keyspace)?;
    let (kind, way, durability) = (random.below(10), random.below(4), durability(random));
    let value = value(number);
    let now = || u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let called = now();
    let act = match kind {
        0..=3 => {
            write(database, &handle, &name, Some(&value), way, durability)?;
            Act::Put(number)
        }
        4 => {
            write(database, &handle, &name, None, way, durability)?;
            Act::Delete
        }
        5 => Act::Exists(handle.exists(&name)?),
        _ => Act::Get(read(database, &handle, &name, way)?.map(|value| number_of(&value)).transpose()?),
    };
    Ok(Event { key, called, returned: now(), act })
}

/// Writes one key, in each of the ways to do so.
fn write(
    database: &OpenDB,
    keyspace: &Keyspace,
    key: &[u8],
    value: Option<&[u8]>,
    way: u64,
    durability: Durability,
) -> opendb::Result<()> {
    match (way, value) {
        (0, Some(value)) => {
            let mut batch = database.batch();
            batch.put(keyspace.name(), key, value)?;
            batch.commit_with(durability)
        }
        (0, None) => {
            let mut batch = database.batch();
            batch.delete(keyspace.name(), key)?;
            batch.commit_with(durability)
        }
        (1, Some(value)) => {
            let mut transaction = database.begin_transaction()?;
            transaction.put(keyspace.name(), key, value)?;
            transaction.commit_with(durability)
        }
        (_, Some(value)) => keyspace.put_with(key, value, durability),
        (_, None) => keyspace.delete_with(key, durability),
    }
}

/// Reads one key, in each of the ways to do so.
fn read(database: &OpenDB, keyspace: &Keyspace, key: &[u8], way: u64) -> opendb::Result<Option<Vec<u8>>> {
    match way {
        0 => keyspace.snapshot()?.get(key),
        1 => database.begin_transaction()?.get(keyspace.name(), key),
        2 => Ok(keyspace.scan_prefix(key)?.into_iter().find(|entry| entry.0 == key).map(|entry| entry.1)),
        _ => keyspace.get(key),
    }
}

/// A value that tells its number.
fn value(number: u64) -> Vec<u8> {
    let mut value = number.to_le_bytes().to_vec();
    let length = if number.is_multiple_of(LARGE) { 1 << 20 } else { number.wrapping_mul(977) % 400 };
    value.extend(pattern(length as usize, (number % 251) as u8));
    value
}

fn number_of(bytes: &[u8]) -> Outcome<u64> {
    let number = bytes.first_chunk().map_or(0, |number| u64::from_le_bytes(*number));
    if bytes == value(number) { Ok(number) } else { Err("a value is read that nobody has written".into()) }
}

/// Whether some order of the calls explains what each of them saw.
fn is_linearizable(events: &[Event]) -> bool {
    go_on(events, 0, None, &mut HashSet::new())
}

/// Goes on from where these calls have taken effect and this is the value.
fn go_on(events: &[Event], done: u64, value: Option<u64>, known: &mut HashSet<(u64, Option<u64>)>) -> bool {
    let is_left = |at: &usize| done >> at & 1 == 0;
    if !known.insert((done, value)) {
        return false;
    }
    let left: Vec<(usize, &Event)> = events.iter().enumerate().filter(|(at, _)| is_left(at)).collect();
    let Some(first_return) = left.iter().map(|(_, event)| event.returned).min() else { return true };
    left.into_iter().filter(|(_, event)| event.called <= first_return).any(|(at, event)| {
        let (explains, next) = match event.act {
            Act::Put(number) => (true, Some(number)),
            Act::Delete => (true, None),
            Act::Get(seen) => (seen == value, value),
            Act::Exists(seen) => (seen == value.is_some(), value),
        };
        explains && go_on(events, done | 1 << at, next, known)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_right(calls: &[(u64, u64, Act)]) -> bool {
        let event = |(called, returned, act): &(u64, u64, Act)| Event {
            key: 0,
            called: *called,
            returned: *returned,
            act: *act,
        };
        is_linearizable(&calls.iter().map(event).collect::<Vec<_>>())
    }

    #[test]
    fn calls_that_overlap_may_take_effect_in_either_order() {
        let puts = [(0, 10, Act::Put(1)), (0, 10, Act::Put(2))];
        for seen in [Act::Get(Some(1)), Act::Get(Some(2)), Act::Exists(true)] {
            assert!(is_right(&[puts[0], puts[1], (11, 12, seen)]), "{seen:?}");
        }
        assert!(!is_right(&[puts[0], puts[1], (11, 12, Act::Get(None))]));
        assert!(is_right(&[puts[0], (5, 6, Act::Get(None)), (7, 8, Act::Get(Some(1)))]));
    }

    #[test]
    fn what_was_seen_stays_seen_and_what_returned_is_seen() {
        let put = (0, 10, Act::Put(1));
        assert!(!is_right(&[put, (1, 2, Act::Get(Some(1))), (3, 4, Act::Get(None))]), "a read went back");
        assert!(!is_right(&[(0, 1, Act::Put(1)), (2, 3, Act::Get(None))]), "a put was lost");
        assert!(!is_right(&[(0, 1, Act::Put(1)), (2, 3, Act::Delete), (4, 5, Act::Exists(true))]));
        assert!(!is_right(&[(2, 3, Act::Get(Some(1))), (4, 5, Act::Put(1))]), "read before it was written");
    }

    #[test]
    fn values_tell_their_numbers() {
        for number in [1, 7, LARGE] {
            assert_eq!(number_of(&value(number)), Ok(number));
        }
        assert!(number_of(&value(7)[..9]).is_err());
    }
}
