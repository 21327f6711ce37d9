//! The process that the campaign of kills kills.
//!
//! `worker <what is broken> <call at which it dies, 0 for none> <directory> <seed> <operations a life> <settings>
//! <acknowledged…>` opens the database, checks that each stream's state is right for the number of operations that were
//! acknowledged of it, goes on from there with one thread a stream, and says on standard output what it did: `opened`,
//! `start <stream> <number>`, and after each call that returned `done <stream> <number>`. With the word `open` in the place of
//! seed and operations it opens only. Settings are words such as `append=write,segment_bytes=65536`.
//!
//! Beside the streams a thread compacts, flushes and holds snapshots against themselves.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use opendb::{OpenDB, simulation};
use opendb_tests::random::Random;
use opendb_tests::sequence::{Expected, check_absent, operation, perform, read_state};
use opendb_tests::{Failure, Outcome};
use rustix::process::{Signal, getpid, kill_process};

use crate::look::{options, read_snapshot};
use crate::plan::take_word;

/// Longest rest of the thread that compacts and flushes.
const REST_MICROSECONDS_MAX: u64 = 8000;

/// What the words say, up to the settings.
struct Words<'a> {
    /// The call to the system at which this process kills itself; 0 for none.
    dies_at: u64,
    directory: &'a str,
    settings: &'a str,
}

/// Does what the words say.
pub(crate) fn main(words: &[String]) -> ExitCode {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        [broken, dies_at, directory, "open", settings] => {
            prepare(broken, dies_at, directory, settings).and_then(|words| open(&words)).map(drop)
        }
        [broken, dies_at, directory, seed, operations, settings, acknowledged @ ..] => {
            prepare(broken, dies_at, directory, settings)
                .and_then(|words| live(&words, seed, operations, acknowledged))
        }
        _ => Err("the words are those of the module's text".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => tell(&failure),
    }
}

/// Says what was found. The parent reads this: it is a finding, not noise.
pub(crate) fn tell(failure: &Failure) -> ExitCode {
    say(&format!("failed {}", failure.0.replace('\n', " | ")));
    ExitCode::FAILURE
}

/// Breaks what the parent has broken.
pub(crate) fn take_broken(word: &str) -> Outcome<()> {
    take_word(word).map_err(|error| Failure(error.to_string()))
}

fn prepare<'a>(broken: &str, dies_at: &str, directory: &'a str, settings: &'a str) -> Outcome<Words<'a>> {
    take_broken(broken)?;
    Ok(Words { dies_at: number(dies_at)?, directory, settings })
}

fn open(words: &Words<'_>) -> Outcome<OpenDB> {
    let options = options(words.settings)?;
    let database = match words.dies_at {
        0 => OpenDB::open_with_options(words.directory, options)?,
        dies_at => {
            let calls = AtomicU64::new(0);
            let hook: simulation::Hook = Arc::new(move |_| {
                if calls.fetch_add(1, Ordering::Relaxed) + 1 == dies_at {
                    kill_process(getpid(), Signal::KILL)?;
                }
                Ok(())
            });
            simulation::open_hooked(words.directory, &options, hook)?
        }
    };
    say("opened");
    Ok(database)
}

fn live(words: &Words<'_>, seed: &str, operations: &str, acknowledged: &[&str]) -> Outcome<()> {
    let (seed, operations) = (number(seed)?, number(operations)?);
    let database = open(words)?;
    let state = read_state(&database)?;
    check_absent(&database, &state, acknowledged.len() as u64)?;
    let mut starts = Vec::new();
    for (stream, acknowledged) in (0..).zip(acknowledged) {
        let start = Expected::new(seed, stream).settle(&state, number(acknowledged)?)?;
        say(&format!("start {stream} {start}"));
        starts.push((stream, start));
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let work = |(stream, start)| {
            let database = &database;
            scope.spawn(move || {
                (start..start + operations).try_for_each(|at| step(database, seed, stream, at))
            })
        };
        let threads: Vec<_> = starts.into_iter().map(work).collect();
        let beside = scope.spawn(|| disturb(&database, Random::new(seed ^ words.dies_at), &is_over));
        let join = |thread: std::thread::ScopedJoinHandle<'_, Outcome<()>>| {
            thread.join().unwrap_or_else(|_| Err("a thread of the worker panicked".into()))
        };
        let worked = threads.into_iter().try_for_each(join);
        is_over.store(true, Ordering::Relaxed);
        worked.and(join(beside))
    })?;
    Ok(database.close()?)
}

fn step(database: &OpenDB, seed: u64, stream: u64, at: u64) -> Outcome<()> {
    perform(database, &operation(seed, stream, at))?;
    say(&format!("done {stream} {at}"));
    Ok(())
}

/// Does what has to change nothing for anybody, until the streams are through.
fn disturb(database: &OpenDB, mut random: Random, is_over: &AtomicBool) -> Outcome<()> {
    while !is_over.load(Ordering::Relaxed) {
        match random.below(4) {
            0 => database.flush()?,
            1 => drop(database.compact()?),
            _ => {
                let snapshot = database.snapshot()?;
                let before = read_snapshot(&snapshot)?;
                rest(&mut random);
                if read_snapshot(&snapshot)? != before {
                    return Err("a snapshot shows another state than before".into());
                }
            }
        }
        rest(&mut random);
    }
    Ok(())
}

fn rest(random: &mut Random) {
    std::thread::sleep(Duration::from_micros(random.below(REST_MICROSECONDS_MAX)));
}

/// The number that a word is.
pub(crate) fn number(word: &str) -> Outcome<u64> {
    word.parse().map_err(|_| Failure(format!("not a number: {word}")))
}

/// One write to the pipe, whole or not at all. A parent that is gone is no reason to go on.
pub(crate) fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    if output.write_all(format!("{line}\n").as_bytes()).and_then(|()| output.flush()).is_err() {
        std::process::exit(1);
    }
}
