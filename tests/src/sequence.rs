//! The operations of the campaigns of kills, cuts and failing calls, and the check that a state is an exact prefix of them.
//!
//! Operation `number` of a stream is a function of seed, stream and number alone, so that whoever knows the seed can
//! say what the state is after any number of them. A stream is what one thread does; streams share the keyspaces but no
//! keys.

use std::collections::BTreeMap;

use opendb::{Durability, OpenDB, Scan};

use crate::bytes::pattern;
use crate::random::Random;
use crate::{Failure, Outcome};

/// The keyspaces of the campaigns.
pub const KEYSPACES: [&str; 3] = ["default", "alpha", "beta"];
/// Keys of one stream in one keyspace that are written mostly: few, so that most writes are overwrites. All of them: some stay
/// as they are for long, and with them the segments that they are in.
const HOT_KEYS: u64 = 24;
const KEYS: u64 = 120;

/// How an operation is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// One put or delete.
    Single,
    /// A batch.
    Batch,
    /// A transaction that reads each key before it writes it.
    Transaction,
}

/// A keyspace and a key, with the value or the wish that it be gone.
pub type Write = ((&'static str, Vec<u8>), Option<Vec<u8>>);

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// How it is done.
    pub manner: Manner,
    /// What it waits for.
    pub durability: Durability,
    /// What it writes, all or nothing.
    pub writes: Vec<Write>,
}

/// What is in the database, of one stream or of all.
pub type State = BTreeMap<(String, Vec<u8>), Vec<u8>>;

/// Operation `number` of a stream.
#[must_use]
pub fn operation(seed: u64, stream: u64, number: u64) -> Operation {
    let mixed = Random::new(seed ^ stream.rotate_left(40)).bits();
    let mut random = Random::new(mixed.wrapping_add(number.wrapping_mul(0x2545_f491_4f6c_dd1d)));
    let (manner, count) = match random.below(10) {
        0..=5 => (Manner::Single, 1),
        6..=7 => (Manner::Batch, 2 + random.below(6)),
        _ => (Manner::Transaction, 2 + random.below(5)),
    };
    let durability = if random.one_in(25) { Durability::Sync } else { Durability::Buffered };
    let writes = (0..count).map(|at| write(&mut random, stream, number, at)).collect();
    Operation { manner, durability, writes }
}

fn write(random: &mut Random, stream: u64, number: u64, at: u64) -> Write {
    let keyspace = KEYSPACES[random.index(KEYSPACES.len())];
    let keys = if random.one_in(4) { KEYS } else { HOT_KEYS };
    let key = format!("{}{:03}", prefix(stream), random.below(keys)).into_bytes();
    if random.one_in(4) {
        return ((keyspace, key), None);
    }
    let length = match random.below(50) {
        0 => 4000 + random.index(12_000),
        1 => 40_000 + random.index(60_000),
        _ => random.index(200),
    };
    // The value tells which operation wrote it.
    let mut value = format!("{stream}.{number}.{at}:").into_bytes();
    value.extend(pattern(length, u8::try_from(number % 251).unwrap_or(0)));
    ((keyspace, key), Some(value))
}

/// What every key of a stream begins with.
#[must_use]
pub fn prefix(stream: u64) -> String {
    format!("s{stream}:")
}

/// Does an operation.
///
/// # Errors
/// As the calls of the database; a conflict too, since streams share no keys.
pub fn perform(database: &OpenDB, operation: &Operation) -> opendb::Result<()> {
    let durability = operation.durability;
    match operation.manner {
        Manner::Single => operation.writes.iter().try_for_each(|((keyspace, key), value)| {
            let keyspace = database.keyspace(keyspace)?;
            match value {
                Some(value) => keyspace.put_with(key, value, durability),
                None => keyspace.delete_with(key, durability),
            }
        }),
        Manner::Batch => {
            let mut batch = database.batch();
            for ((keyspace, key), value) in &operation.writes {
                match value {
                    Some(value) => batch.put(keyspace, key, value)?,
                    None => batch.delete(keyspace, key)?,
                }
            }
            batch.commit_with(durability)
        }
        Manner::Transaction => {
            let mut transaction = database.begin_transaction()?;
            for ((keyspace, key), value) in &operation.writes {
                transaction.get(keyspace, key)?;
                match value {
                    Some(value) => transaction.put(keyspace, key, value)?,
                    None => transaction.delete(keyspace, key)?,
                }
            }
            transaction.commit_with(durability)
        }
    }
}

/// Reads everything of the keyspaces of the campaigns, by scan and key by key, which have to agree.
///
/// # Errors
/// A read fails, scan and get disagree, or the number of keys is wrong.
pub fn read_state(database: &OpenDB) -> Outcome<State> {
    let mut state = State::new();
    for keyspace in KEYSPACES {
        let handle = database.keyspace(keyspace)?;
        let mut keys = 0;
        for entry in handle.iter(&Scan::all())? {
            let (key, value) = entry?;
            if handle.get(&key)?.as_deref() != Some(value.as_slice()) {
                return Err(Failure(format!("{keyspace}: scan and get disagree about a key")));
            }
            state.insert((keyspace.to_owned(), key), value);
            keys += 1;
        }
        if handle.len()? != keys {
            return Err(Failure(format!("{keyspace}: len is {}, the scan gives {keys} keys", handle.len()?)));
        }
    }
    Ok(state)
}

/// Deleted keys have to be gone by every way of asking.
///
/// # Errors
/// A key that is not in the state is found by `get` or `exists`, or a read fails.
pub fn check_absent(database: &OpenDB, state: &State, streams: u64) -> Outcome<()> {
    for keyspace in KEYSPACES {
        let handle = database.keyspace(keyspace)?;
        for stream in 0..streams {
            for number in 0..KEYS {
                let key = format!("{}{number:03}", prefix(stream)).into_bytes();
                let there = state.contains_key(&(keyspace.to_owned(), key.clone()));
                if handle.exists(&key)? != there || handle.get(&key)?.is_some() != there {
                    return Err(Failure(format!(
                        "{keyspace} {}: the scan says {there}, exists or get the opposite",
                        String::from_utf8_lossy(&key)
                    )));
                }
            }
        }
    }
    Ok(())
}

/// One stream's state after some number of operations, as it has to be.
#[derive(Debug, Clone)]
pub struct Expected {
    seed: u64,
    stream: u64,
    done: u64,
    state: State,
}

impl Expected {
    /// Before the first operation.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Expected {
        Expected { seed, stream, done: 0, state: State::new() }
    }

    /// How many operations the state has.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done
    }

    /// What the stream has in the database now.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// From the next operation on the stream does what it does under another seed: what was lost is not simply done again.
    pub fn turn_to(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// The next operation.
    #[must_use]
    pub fn next_operation(&self) -> Operation {
        operation(self.seed, self.stream, self.done)
    }

    /// Goes on to the state after `done` operations; never back.
    pub fn advance(&mut self, done: u64) {
        while self.done < done {
            for ((keyspace, key), value) in self.next_operation().writes {
                let place = (keyspace.to_owned(), key);
                match value {
                    Some(value) => self.state.insert(place, value),
                    None => self.state.remove(&place),
                };
            }
            self.done += 1;
        }
    }

    /// Finds how many operations a state has: all that were acknowledged, or one more, which was under way. Goes on to
    /// that state.
    ///
    /// # Errors
    /// The state is no such prefix; the failure says in what it differs and whether it is an older or younger one.
    pub fn settle(&mut self, whole: &State, acknowledged: u64) -> Outcome<u64> {
        self.settle_within(whole, acknowledged, acknowledged + 1)
    }

    /// Finds how many operations a state has, at least `least`, which had been promised to be there, and at most `most`, which
    /// had been begun. Goes on to that state.
    ///
    /// # Errors
    /// As [`Expected::settle`].
    pub fn settle_within(&mut self, whole: &State, least: u64, most: u64) -> Outcome<u64> {
        let start = prefix(self.stream).into_bytes();
        let observed: State = whole
            .iter()
            .filter(|entry| entry.0.1.starts_with(&start))
            .map(|(place, value)| (place.clone(), value.clone()))
            .collect();
        let before = self.clone();
        self.advance(least);
        let differences = differences(&self.state, &observed);
        loop {
            if observed == self.state {
                return Ok(self.done);
            }
            if self.done >= most {
                break;
            }
            self.advance(self.done + 1);
        }
        let nearest = before.find(&observed, most + 100);
        Err(Failure(format!(
            "stream {} of seed {}: {least} operations were promised, {most} begun, and the state is {}; \
             against the promised state:\n{differences}",
            self.stream,
            self.seed,
            nearest.map_or("no prefix of the operations".to_owned(), |done| format!("that after {done}")),
        )))
    }

    fn find(mut self, observed: &State, until: u64) -> Option<u64> {
        loop {
            if self.state == *observed {
                return Some(self.done);
            }
            if self.done >= until {
                return None;
            }
            self.advance(self.done + 1);
        }
    }
}

fn differences(expected: &State, observed: &State) -> String {
    let origin = |state: &State, place: &(String, Vec<u8>)| {
        let value = state.get(place)?;
        let origin = value.split(|byte| *byte == b':').next().unwrap_or_default();
        Some(format!("{} ({} bytes)", String::from_utf8_lossy(origin), value.len()))
    };
    let mut places: Vec<_> = expected.keys().chain(observed.keys()).collect();
    places.sort();
    places.dedup();
    places.retain(|place| expected.get(*place) != observed.get(*place));
    let lines = places.into_iter().map(|place| {
        let show = |state| origin(state, place).unwrap_or("absent".to_owned());
        let key = String::from_utf8_lossy(&place.1);
        format!("  {} {key}: expected {}, found {}", place.0, show(expected), show(observed))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u64 = 11;

    /// The states of streams 0 and 1 after so many operations, together.
    fn states(zero: u64, one: u64) -> State {
        let mut together = State::new();
        for (stream, done) in [(0, zero), (1, one)] {
            let mut expected = Expected::new(SEED, stream);
            expected.advance(done);
            together.extend(expected.state);
        }
        together
    }

    fn settle(state: &State, acknowledged: u64) -> Outcome<u64> {
        Expected::new(SEED, 0).settle(state, acknowledged)
    }

    /// The first operation from `start` on that is done like this and changes the state.
    fn changing(start: u64, wanted: impl Fn(&Operation) -> bool) -> u64 {
        (start..)
            .find(|number| {
                wanted(&operation(SEED, 0, *number)) && states(*number, 0) != states(*number + 1, 0)
            })
            .unwrap()
    }

    #[test]
    fn the_acknowledged_state_and_the_one_after_are_right() {
        let number = changing(200, |_| true);
        assert_eq!(settle(&states(number, 3), number), Ok(number));
        assert_eq!(settle(&states(number + 1, 9), number), Ok(number + 1));
    }

    #[test]
    fn a_lost_acknowledged_write_is_found() {
        let number = changing(200, |_| true);
        let failure = settle(&states(number, 3), number + 1).unwrap_err();
        assert!(failure.0.contains("the state is that after"), "{failure}");
    }

    #[test]
    fn what_was_never_begun_is_found() {
        let number = changing(200, |_| true);
        let later = changing(number + 1, |_| true);
        assert!(settle(&states(later + 1, 0), number).is_err());
    }

    #[test]
    fn a_stream_that_has_turned_does_something_else() {
        let mut turned = Expected::new(SEED, 0);
        turned.advance(200);
        let before = turned.state().clone();
        turned.turn_to(SEED + 1);
        assert_eq!((turned.state(), turned.done()), (&before, 200));
        assert_eq!(turned.next_operation(), operation(SEED + 1, 0, 200));
        turned.advance(240);
        assert_ne!(*turned.state(), states(240, 0));
        let mut whole = Expected::new(SEED, 0);
        whole.advance(200);
        whole.turn_to(SEED + 1);
        assert_eq!(whole.settle(turned.state(), 239), Ok(240));
    }

    #[test]
    fn part_of_a_transaction_is_found() {
        let number =
            changing(200, |operation| operation.manner == Manner::Transaction && operation.writes.len() > 2);
        let (before, after) = (states(number, 0), states(number + 1, 0));
        let changed: Vec<_> = after.iter().filter(|entry| before.get(entry.0) != Some(entry.1)).collect();
        assert!(changed.len() > 1, "choose another transaction: {changed:?}");
        let mut partial = before.clone();
        partial.insert(changed[0].0.clone(), changed[0].1.clone());
        let failure = settle(&partial, number).unwrap_err();
        assert!(failure.0.contains("no prefix"), "{failure}");
    }

    #[test]
    fn a_deleted_key_that_is_back_is_found() {
        let is_delete =
            |operation: &Operation| operation.manner == Manner::Single && operation.writes[0].1.is_none();
        let number = changing(200, is_delete);
        let (before, mut state) = (states(number, 0), states(number + 10, 0));
        let gone = before.keys().find(|place| !states(number + 1, 0).contains_key(*place)).unwrap();
        state.insert(gone.clone(), before[gone].clone());
        assert!(settle(&state, number + 10).is_err());
    }

    #[test]
    fn an_older_value_is_found() {
        let number = changing(200, |_| true);
        let mut state = states(number, 0);
        let place = state.keys().find(|place| place.1.starts_with(b"s0:")).unwrap().clone();
        state.insert(place, b"0.0.0:".to_vec());
        assert!(settle(&state, number).is_err());
    }

    #[test]
    fn operations_are_of_every_manner_and_cross_keyspaces() {
        let operations: Vec<_> = (0..500).map(|number| operation(SEED, 0, number)).collect();
        for manner in [Manner::Single, Manner::Batch, Manner::Transaction] {
            assert!(operations.iter().any(|operation| operation.manner == manner), "no {manner:?}");
        }
        let crosses =
            |operation: &Operation| operation.writes.iter().any(|write| write.0.0 != operation.writes[0].0.0);
        assert!(operations.iter().any(crosses));
        assert!(operations.iter().any(|operation| operation.durability == Durability::Sync));
        assert_eq!(operations[77], operation(SEED, 0, 77));
    }
}
