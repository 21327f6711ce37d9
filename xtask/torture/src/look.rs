//! What several campaigns look at databases by.

use opendb::{Error, ErrorKind, OpenDB, Options, Scan, Snapshot};
use opendb_tests::rust_driver::to_options;
use opendb_tests::sequence::{Expected, KEYSPACES, State, check_absent, read_state};
use opendb_tests::{Failure, Outcome};

/// Ways to append and read, each once.
pub(crate) const SETTINGS: [&str; 3] = [
    "append=mapped,segment_bytes=65536",
    "append=write,segment_bytes=65536,cache_bytes=8192",
    "append=write,mapped_reads=false,segment_bytes=65536",
];

/// The options that words such as `append=write,segment_bytes=65536` ask for.
pub(crate) fn options(words: &str) -> Outcome<Options> {
    let settings = words.split(',').filter_map(|word| word.split_once('='));
    let settings: Vec<_> = settings.map(|(key, word)| (key.to_owned(), word.to_owned())).collect();
    to_options(&settings)
}

/// Everything that a database says of its one stream is of a state after `least` operations or more, and after `most` at most. Goes
/// on to that state.
pub(crate) fn settle(expected: &mut Expected, database: &OpenDB, least: u64, most: u64) -> Outcome<()> {
    let state = read_state(database)?;
    check_absent(database, &state, 1)?;
    expected.settle_within(&state, least, most)?;
    check_whole(database)
}

/// Nothing of an open database is as it must not be.
pub(crate) fn check_whole(database: &OpenDB) -> Outcome<()> {
    match database.verify()?.violations.first() {
        None => Ok(()),
        Some(violation) => Err(Failure(format!("verify: {violation:?}, and perhaps more"))),
    }
}

/// All that a snapshot has of the keyspaces that there are.
pub(crate) fn read_snapshot(snapshot: &Snapshot) -> Outcome<State> {
    let mut state = State::new();
    for keyspace in KEYSPACES {
        let keyspace_then = match snapshot.keyspace(keyspace) {
            Err(error) if error.kind() == ErrorKind::KeyspaceNotFound => continue,
            other => other?,
        };
        for entry in keyspace_then.iter(&Scan::all())? {
            let (key, value) = entry?;
            state.insert((keyspace.to_owned(), key), value);
        }
    }
    Ok(state)
}

/// The first place in which two states differ, for a person: bytes of values are not told.
pub(crate) fn check_same(found: &State, expected: &State) -> Outcome<()> {
    let mut places = expected.keys().chain(found.keys());
    let Some(place) = places.find(|place| found.get(*place) != expected.get(*place)) else {
        return Ok(());
    };
    let show = |state: &State| state.get(place).map(|value| (value.len(), beginning(value)));
    Err(Failure(format!(
        "{} {}: expected {:?}, found {:?}; {} keys expected, {} found",
        place.0,
        String::from_utf8_lossy(&place.1),
        show(expected),
        show(found),
        expected.len(),
        found.len()
    )))
}

fn beginning(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == b':').next().unwrap_or_default())
        .chars()
        .take(40)
        .collect()
}

/// An error with its kind, as the failures have it.
pub(crate) fn told(error: &Error) -> String {
    format!("{}: {error}", error.kind().name())
}
