//! A process is killed with SIGKILL at a random instant; its directory is opened again. Whatever had been acknowledged
//! is there, and the state is an exact prefix of what the process did: no transaction in part, no deleted key back.
//!
//! `OPENDB_CRASH_ROUNDS` is the number of kills for each way to append (10, so 20 in all; 200 for the long form),
//! `OPENDB_CRASH_SEED` repeats a run as far as the instants of the kills can be repeated.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail like the test")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use opendb::OpenDB;
use opendb_tests::random::{Random, seed_from_environment};
use opendb_tests::rust_driver::to_options;
use opendb_tests::sequence::{Expected, check_absent, read_state};
use opendb_tests::{Outcome, place};

/// Operations of a stream in one life that is not cut short: more than a life has time for, mostly.
const OPERATIONS: u64 = 2000;
/// Longest time from the opening of a database to the kill.
const LIFE_MILLISECONDS_MAX: u64 = 120;
/// Longest time from the start of a process to the kill, where the kill is to hit the opening.
const OPENING_MILLISECONDS_MAX: u64 = 15;

#[test]
fn kills_with_mapped_append() {
    kills("append=mapped,segment_bytes=65536", 1);
}

#[test]
fn kills_with_written_append() {
    kills("append=write,segment_bytes=65536,cache_bytes=8192", 2);
}

fn kills(settings: &str, salt: u64) {
    let seed = seed_from_environment("OPENDB_CRASH_SEED");
    let rounds = std::env::var("OPENDB_CRASH_ROUNDS").ok().map_or(10, |text| text.parse().unwrap());
    println!("OPENDB_CRASH_SEED={seed} OPENDB_CRASH_ROUNDS={rounds} {settings}");
    let mut random = Random::new(seed.wrapping_add(salt));
    let mut killed = 0;
    let mut acknowledged = 0;
    while killed < rounds {
        // A directory lives through a few kills, with one stream or with three.
        let directory = place::in_memory().unwrap();
        let streams = if random.one_in(2) { 1 } else { 3 };
        let mut history = History::new(directory.path(), settings, random.bits() >> 32, streams);
        for _ in 0..6 {
            if killed >= rounds {
                break;
            }
            killed += u64::from(history.live(&mut random));
            if let Err(failure) = history.check(&mut random) {
                // The directory stays for whoever looks into it.
                let kept = directory.keep();
                let lives = history.lives.join("\n  ");
                panic!(
                    "seed {seed}, kill {killed}: {failure}\n{} had these lives:\n  {lives}",
                    kept.display()
                );
            }
        }
        acknowledged += history.streams.iter().map(Expected::done).sum::<u64>();
    }
    println!("{killed} kills, {acknowledged} operations acknowledged or found done");
    assert!(acknowledged > rounds, "the processes are killed before they do anything: {acknowledged}");
}

/// One directory and what is known to have been done to it.
struct History {
    path: PathBuf,
    settings: String,
    seed: u64,
    streams: Vec<Expected>,
    /// Operations of each stream whose call returned.
    acknowledged: Vec<u64>,
    /// What happened, for a person who looks for the reason of a failure.
    lives: Vec<String>,
}

impl History {
    fn new(path: &Path, settings: &str, seed: u64, streams: u64) -> History {
        History {
            path: path.join("db"),
            settings: settings.to_owned(),
            seed,
            streams: (0..streams).map(|stream| Expected::new(seed, stream)).collect(),
            acknowledged: vec![0; usize::try_from(streams).unwrap()],
            lives: vec![format!("directory's seed {seed}, {streams} streams, {settings}")],
        }
    }

    /// Runs a worker and kills it: most often while it writes, sometimes while it opens. False where it had come to
    /// its end before.
    fn live(&mut self, random: &mut Random) -> bool {
        let only_opens = random.one_in(4);
        let operations = if random.one_in(6) { 20 } else { OPERATIONS };
        let mut worker = self.start(only_opens, operations);
        let mut lines = BufReader::new(worker.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        if only_opens || random.one_in(5) {
            std::thread::sleep(Duration::from_micros(random.below(OPENING_MILLISECONDS_MAX * 1000)));
        } else {
            // The time runs from the opening, so that a slow start of the process is not all there is.
            said.extend(lines.next().map(Result::unwrap));
            std::thread::sleep(Duration::from_micros(random.below(LIFE_MILLISECONDS_MAX * 1000)));
        }
        worker.kill().unwrap();
        said.extend(lines.map_while(Result::ok));
        let status = worker.wait().unwrap();
        let what = if only_opens { "opened only" } else { "worked" };
        self.lives.push(format!(
            "{what}, said {} lines, the last of them {:?}; {status}",
            said.len(),
            said.last()
        ));
        assert!(
            matches!(status.code(), None | Some(0)) && !said.iter().any(|line| line.starts_with("failed")),
            "{:#?}",
            self.lives
        );
        for line in &said {
            self.note(line);
        }
        status.code().is_none()
    }

    fn start(&self, only_opens: bool, operations: u64) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crash-worker"));
        command.arg(&self.path);
        if only_opens {
            command.args(["open", &self.settings]);
        } else {
            command.args([&self.seed.to_string(), &operations.to_string(), &self.settings]);
            command.args(self.acknowledged.iter().map(u64::to_string));
        }
        command.stdout(Stdio::piped()).spawn().unwrap()
    }

    /// A line of the worker. Each is one short write to a pipe, which the system does whole or not at all.
    fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let (stream, done): (usize, u64) = match words.as_slice() {
            ["start", stream, number] => (stream.parse().unwrap(), number.parse().unwrap()),
            ["done", stream, number] => (stream.parse().unwrap(), number.parse::<u64>().unwrap() + 1),
            _ => return,
        };
        assert!(done >= self.acknowledged[stream], "the worker went back from an acknowledged operation");
        self.acknowledged[stream] = done;
    }

    /// Opens the directory in this process and compares; now and then leaves it to the next worker, so that one
    /// unclean end follows another without a clean close in between.
    fn check(&mut self, random: &mut Random) -> Outcome<()> {
        if random.one_in(3) {
            self.lives.push("not opened here".to_owned());
            return Ok(());
        }
        let words = self.settings.split(',').filter_map(|word| word.split_once('='));
        let settings: Vec<_> = words.map(|(key, word)| (key.to_owned(), word.to_owned())).collect();
        // The second time after a clean close.
        for _ in 0..2 {
            let database = OpenDB::open_with_options(&self.path, to_options(&settings)?)?;
            let state = read_state(&database)?;
            check_absent(&database, &state, self.streams.len() as u64)?;
            for (expected, acknowledged) in self.streams.iter_mut().zip(&mut self.acknowledged) {
                *acknowledged = expected.settle(&state, *acknowledged)?;
            }
            database.close()?;
            self.lives.push(format!("opened here, found {:?} operations, closed", self.acknowledged));
        }
        Ok(())
    }
}
