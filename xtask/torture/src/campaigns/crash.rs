//! A process is killed with SIGKILL at a random instant, at its nth call to the system, or while it opens what an earlier one
//! has left; its directory is opened again. Whatever had been acknowledged is there, and the state is an exact prefix of what
//! the process did: no transaction in part, no deleted key back.
//!
//! The seed repeats a run as far as the instants of the kills can be repeated.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use opendb::OpenDB;
use opendb_tests::random::Random;
use opendb_tests::sequence::{Expected, check_absent, read_state};
use opendb_tests::{Failure, Outcome, place};

use crate::look::{check_whole, options};
use crate::plan::{Plan, Tally};

/// Operations of a stream in one life that is not cut short: more than a life has time for, mostly.
const OPERATIONS: u64 = 2000;
/// Longest time from the opening of a database to the kill.
const LIFE_MILLISECONDS_MAX: u64 = 120;
/// Longest time from the start of a process to the kill, where the kill is to hit the opening.
const OPENING_MILLISECONDS_MAX: u64 = 15;
/// Calls to the system of an opening, about.
const OPENING_CALLS: u64 = 120;
/// Calls to the system of a life, about.
const LIFE_CALLS: u64 = 3000;
/// Lives of one directory.
const LIVES: usize = 6;
/// Both ways to append.
const SETTINGS: [&str; 2] =
    ["append=mapped,segment_bytes=65536", "append=write,segment_bytes=65536,cache_bytes=8192"];

/// Kills as often as is wanted.
pub(super) fn run(plan: &Plan, tally: &mut Tally) -> Outcome<()> {
    let mut random = Random::new(plan.seed);
    while tally.count("kills") < plan.iterations {
        // A directory lives through a few kills, with one stream or with three.
        let directory = place::in_memory()?;
        let streams = if random.one_in(2) { 1 } else { 3 };
        let settings = SETTINGS[random.index(SETTINGS.len())];
        let mut history = History::new(plan, directory.path(), settings, random.bits() >> 32, streams);
        for _ in 0..LIVES {
            if tally.count("kills") >= plan.iterations {
                break;
            }
            let lived = history.live(&mut random, tally).and_then(|()| history.check(&mut random, tally));
            if let Err(failure) = lived {
                // The directory stays for whoever looks into it.
                let kept = directory.keep();
                let lives = history.lives.join("\n  ");
                return Err(Failure(format!("{failure}\n{} had these lives:\n  {lives}", kept.display())));
            }
        }
        tally.add("operations acknowledged or found done", history.streams.iter().map(Expected::done).sum());
    }
    Ok(())
}

/// How a worker ends.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// So long after it was started.
    SinceStart(Duration),
    /// So long after it had opened the database.
    SinceOpening(Duration),
    /// At its nth call to the system.
    AtCall(u64),
}

impl Death {
    fn draw(random: &mut Random, only_opens: bool) -> Death {
        match random.below(3) {
            0 => Death::AtCall(1 + random.below(if only_opens { OPENING_CALLS } else { LIFE_CALLS })),
            1 if !only_opens => {
                Death::SinceOpening(Duration::from_micros(random.below(LIFE_MILLISECONDS_MAX * 1000)))
            }
            _ if only_opens || random.one_in(5) => {
                Death::SinceStart(Duration::from_micros(random.below(OPENING_MILLISECONDS_MAX * 1000)))
            }
            _ => Death::SinceOpening(Duration::from_micros(random.below(LIFE_MILLISECONDS_MAX * 1000))),
        }
    }
}

/// One directory and what is known to have been done to it.
struct History {
    path: PathBuf,
    settings: String,
    /// What is broken in the processes that are started.
    word: String,
    seed: u64,
    streams: Vec<Expected>,
    /// Operations of each stream whose call returned.
    acknowledged: Vec<u64>,
    /// What happened, for a person who looks for the reason of a failure.
    lives: Vec<String>,
}

impl History {
    fn new(plan: &Plan, path: &Path, settings: &str, seed: u64, streams: u64) -> History {
        History {
            path: path.join("db"),
            settings: settings.to_owned(),
            word: plan.word(),
            seed,
            streams: (0..streams).map(|stream| Expected::new(seed, stream)).collect(),
            acknowledged: (0..streams).map(|_| 0).collect(),
            lives: vec![format!("directory's seed {seed}, {streams} streams, {settings}")],
        }
    }

    /// Runs a worker and has it die: most often while it writes, sometimes while it opens.
    fn live(&mut self, random: &mut Random, tally: &mut Tally) -> Outcome<()> {
        let only_opens = random.one_in(4);
        let operations = if random.one_in(6) { 20 } else { OPERATIONS };
        let death = Death::draw(random, only_opens);
        let mut worker = self.start(only_opens, operations, death)?;
        let output = worker.stdout.take().ok_or("a worker without an output")?;
        let mut lines = BufReader::new(output).lines();
        let mut said = Vec::new();
        match death {
            Death::SinceStart(time) => std::thread::sleep(time),
            Death::SinceOpening(time) => {
                // The time runs from the opening, so that a slow start of the process is not all there is.
                said.extend(lines.next().transpose()?);
                std::thread::sleep(time);
            }
            Death::AtCall(_) => {}
        }
        if !matches!(death, Death::AtCall(_)) {
            worker.kill()?;
        }
        said.extend(lines.map_while(Result::ok));
        let status = worker.wait()?;
        let what = if only_opens { "opened only" } else { "worked" };
        let (count, last) = (said.len(), said.last());
        self.lives
            .push(format!("{what}, {death:?}, said {count} lines, the last of them {last:?}; {status}"));
        if !matches!(status.code(), None | Some(0)) || said.iter().any(|line| line.starts_with("failed")) {
            return Err("a worker has found something".into());
        }
        said.iter().try_for_each(|line| self.note(line))?;
        if status.code().is_none() {
            tally.add("kills", 1);
            tally.add(if matches!(death, Death::AtCall(_)) { "at a call" } else { "at an instant" }, 1);
            tally.add("of openings only", u64::from(only_opens));
        }
        Ok(())
    }

    fn start(&self, only_opens: bool, operations: u64, death: Death) -> Outcome<Child> {
        let dies_at = if let Death::AtCall(call) = death { call } else { 0 };
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["worker", &self.word, &dies_at.to_string()]).arg(&self.path);
        if only_opens {
            command.args(["open", &self.settings]);
        } else {
            command.args([&self.seed.to_string(), &operations.to_string(), &self.settings]);
            command.args(self.acknowledged.iter().map(u64::to_string));
        }
        Ok(command.stdout(Stdio::piped()).spawn()?)
    }

    /// A line of the worker. Each is one short write to a pipe, which the system does whole or not at all.
    fn note(&mut self, line: &str) -> Outcome<()> {
        let words: Vec<&str> = line.split(' ').collect();
        let (stream, number, more) = match words.as_slice() {
            ["start", stream, number] => (stream, number, 0),
            ["done", stream, number] => (stream, number, 1),
            _ => return Ok(()),
        };
        let not_a_number = |_| Failure(format!("a worker said {line:?}"));
        let stream: usize = stream.parse().map_err(not_a_number)?;
        let done = number.parse::<u64>().map_err(not_a_number)? + more;
        let acknowledged = self.acknowledged.get_mut(stream).ok_or("a stream that nobody began")?;
        if done < *acknowledged {
            return Err("the worker went back from an acknowledged operation".into());
        }
        *acknowledged = done;
        Ok(())
    }

    /// Removes every file that can be made anew from the log.
    fn remove_what_the_log_has(&mut self) -> Outcome<()> {
        if self.path.is_dir() {
            for file in place::files(&self.path)? {
                let is_beside =
                    |end: &OsStr| ["checkpoint", "moves", "hint", "run"].iter().any(|kind| end == *kind);
                if file.extension().is_some_and(is_beside) {
                    std::fs::remove_file(file)?;
                }
            }
        }
        self.lives.push("checkpoint, moves, hints and runs removed".to_owned());
        Ok(())
    }

    /// Opens the directory in this process and compares; now and then leaves it to the next worker, so that one
    /// unclean end follows another without a clean close in between.
    fn check(&mut self, random: &mut Random, tally: &mut Tally) -> Outcome<()> {
        if random.one_in(3) {
            self.lives.push("not opened here".to_owned());
            return Ok(());
        }
        if random.one_in(4) {
            self.remove_what_the_log_has()?;
            tally.add("rebuilt from the log alone", 1);
        }
        // The second time after a clean close.
        for _ in 0..2 {
            let database = OpenDB::open_with_options(&self.path, options(&self.settings)?)?;
            let state = read_state(&database)?;
            check_absent(&database, &state, self.streams.len() as u64)?;
            for (expected, acknowledged) in self.streams.iter_mut().zip(&mut self.acknowledged) {
                *acknowledged = expected.settle(&state, *acknowledged)?;
            }
            check_whole(&database)?;
            database.close()?;
            tally.add("states compared and verified", 1);
            self.lives.push(format!("opened here, found {:?} operations, closed", self.acknowledged));
        }
        Ok(())
    }
}
