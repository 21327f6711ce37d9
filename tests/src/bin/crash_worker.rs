//! The process that the crash test kills.
//!
//! `crash-worker <directory> <seed> <operations a life> <settings> <acknowledged…>`: opens the database, checks that
//! each stream's state is right for the number of operations that were acknowledged of it, goes on from there with one
//! thread a stream, and says on standard output what it did: `opened`, `start <stream> <number>`, and after each call
//! that returned `done <stream> <number>`. `crash-worker <directory> open <settings>` opens only.
//! Settings are words such as `append=write,segment_bytes=65536`.

use std::io::Write;
use std::process::ExitCode;

use opendb::OpenDB;
use opendb_tests::rust_driver::to_options;
use opendb_tests::sequence::{Expected, check_absent, operation, perform, read_state};
use opendb_tests::{Failure, Outcome};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        [directory, "open", settings] => open(directory, settings).map(drop),
        [directory, seed, operations, settings, acknowledged @ ..] => {
            live(directory, seed, operations, settings, acknowledged)
        }
        _ => Err("the words are those of the module's text".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // The parent reads this: it is a finding, not noise.
            say(&format!("failed {}", failure.0.replace('\n', " | ")));
            ExitCode::FAILURE
        }
    }
}

fn open(directory: &str, settings: &str) -> Outcome<OpenDB> {
    let words = settings.split(',').filter_map(|word| word.split_once('='));
    let settings: Vec<_> = words.map(|(key, word)| (key.to_owned(), word.to_owned())).collect();
    let database = OpenDB::open_with_options(directory, to_options(&settings)?)?;
    say("opened");
    Ok(database)
}

fn live(directory: &str, seed: &str, operations: &str, settings: &str, acknowledged: &[&str]) -> Outcome<()> {
    let seed = number(seed)?;
    let operations = number(operations)?;
    let database = open(directory, settings)?;
    let state = read_state(&database)?;
    check_absent(&database, &state, acknowledged.len() as u64)?;
    let mut starts = Vec::new();
    for (stream, acknowledged) in (0..).zip(acknowledged) {
        let start = Expected::new(seed, stream).settle(&state, number(acknowledged)?)?;
        say(&format!("start {stream} {start}"));
        starts.push((stream, start));
    }
    std::thread::scope(|scope| {
        let work = |(stream, start)| {
            let database = &database;
            scope.spawn(move || {
                (start..start + operations).try_for_each(|at| step(database, seed, stream, at))
            })
        };
        let threads: Vec<_> = starts.into_iter().map(work).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err("a thread of the worker panicked".into()))
        })
    })?;
    Ok(database.close()?)
}

fn step(database: &OpenDB, seed: u64, stream: u64, at: u64) -> Outcome<()> {
    perform(database, &operation(seed, stream, at))?;
    say(&format!("done {stream} {at}"));
    Ok(())
}

fn number(word: &str) -> Outcome<u64> {
    word.parse().map_err(|_| Failure(format!("not a number: {word}")))
}

/// One write to the pipe, whole or not at all. A parent that is gone is no reason to go on.
fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    if output.write_all(format!("{line}\n").as_bytes()).and_then(|()| output.flush()).is_err() {
        std::process::exit(1);
    }
}
