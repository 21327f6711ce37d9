//! Processes that share a directory: one writes, compacts and makes checkpoints, one to eight read beside it. Any of them is killed
//! with SIGKILL at any instant, and another one takes its place. What a reader sees is always the state after one of the commits, all
//! of it, and never an earlier one than before; what the writer had acknowledged before a reader began is there.

mod history;
pub(crate) mod member;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use opendb::OpenDB;
use opendb_tests::random::Random;
use opendb_tests::{Failure, Outcome, place};

use crate::look::{SETTINGS, check_whole, options};
use crate::plan::{Plan, Tally};

/// Most readers at a time.
const READERS_MAX: u64 = 8;
/// Kills that a directory lives through.
const KILLS: u64 = 40;
/// Longest time between two kills.
const REST_MICROSECONDS_MAX: u64 = 60_000;

/// Kills as often as is wanted.
pub(super) fn run(plan: &Plan, tally: &mut Tally) -> Outcome<()> {
    let mut random = Random::new(plan.seed);
    while tally.count("kills") < plan.iterations {
        let directory = place::in_memory()?;
        let mut shared = Shared::new(plan, directory.path(), &mut random);
        let lived = shared.live(&mut random, plan.iterations, tally);
        drop(shared);
        if let Err(failure) = lived {
            // The directory stays for whoever looks into it.
            return Err(Failure(format!("{failure}\nthe directory is {}", directory.keep().display())));
        }
    }
    Ok(())
}

/// A process, and what it says.
struct Member {
    child: Child,
    /// Reads until the process has ended. Gives what it found, if anything.
    listener: Option<JoinHandle<Option<String>>>,
}

impl Member {
    /// Starts one. The numbers behind `done` are noted, and lines counted.
    fn start(words: &[&str], acknowledged: &Arc<AtomicU64>, looks: &Arc<AtomicU64>) -> Outcome<Member> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("member").args(words).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("a process without an output")?;
        let (acknowledged, looks) = (Arc::clone(acknowledged), Arc::clone(looks));
        let listen = move || {
            let mut found = None;
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                match line.split_once(' ') {
                    Some(("done", number)) => {
                        // The last line of one that was killed may be cut.
                        let _cut =
                            number.parse().map(|number| acknowledged.fetch_max(number, Ordering::Relaxed));
                    }
                    Some(("looked", _)) => drop(looks.fetch_add(1, Ordering::Relaxed)),
                    _ => found = Some(line),
                }
            }
            found
        };
        Ok(Member { child, listener: Some(std::thread::spawn(listen)) })
    }

    /// Kills it. An error is what it has found, or that it had ended by itself.
    fn kill(&mut self) -> Outcome<()> {
        self.child.kill()?;
        let status = self.child.wait()?;
        let found = self.listener.take().map(JoinHandle::join);
        match found {
            Some(Ok(Some(found))) => Err(Failure(found)),
            _ if status.code().is_some() => Err(Failure(format!("a process ended by itself: {status}"))),
            _ => Ok(()),
        }
    }

    /// Whether it has ended by itself.
    fn has_ended(&mut self) -> Outcome<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _nobody_is_left_behind = self.kill();
    }
}

/// One directory and the processes that share it.
struct Shared {
    path: PathBuf,
    settings: &'static str,
    word: String,
    acknowledged: Arc<AtomicU64>,
    looks: Arc<AtomicU64>,
    writer: Option<Member>,
    readers: Vec<Member>,
}

impl Shared {
    fn new(plan: &Plan, path: &Path, random: &mut Random) -> Shared {
        Shared {
            path: path.join("db"),
            settings: SETTINGS[random.index(SETTINGS.len())],
            word: plan.word(),
            acknowledged: Arc::default(),
            looks: Arc::default(),
            writer: None,
            readers: Vec::new(),
        }
    }

    fn start_writer(&mut self, random: &mut Random) -> Outcome<()> {
        let (path, seed) = (self.path.display().to_string(), random.bits().to_string());
        let words = ["writes", &self.word, &path, self.settings, &seed];
        self.writer = Some(Member::start(&words, &self.acknowledged, &self.looks)?);
        Ok(())
    }

    fn start_reader(&mut self, random: &mut Random) -> Outcome<()> {
        let (path, seed) = (self.path.display().to_string(), random.bits().to_string());
        let least = self.acknowledged.load(Ordering::Relaxed).to_string();
        let words = ["reads", &self.word, &path, self.settings, &seed, &least];
        self.readers.push(Member::start(&words, &self.acknowledged, &self.looks)?);
        Ok(())
    }

    fn live(&mut self, random: &mut Random, kills: u64, tally: &mut Tally) -> Outcome<()> {
        // Without a database there is nothing to read.
        OpenDB::open_with_options(&self.path, options(self.settings)?)?.close()?;
        self.start_writer(random)?;
        for _ in 0..=random.below(READERS_MAX) {
            self.start_reader(random)?;
        }
        for _ in 0..KILLS {
            if tally.count("kills") >= kills {
                break;
            }
            std::thread::sleep(Duration::from_micros(random.below(REST_MICROSECONDS_MAX)));
            for member in self.readers.iter_mut().chain(&mut self.writer) {
                if member.has_ended()? {
                    member.kill()?;
                }
            }
            if random.one_in(3) {
                self.writer.take().map_or(Ok(()), |mut writer| writer.kill())?;
                tally.add("of the writer", 1);
                if random.one_in(4) {
                    self.check(tally)?;
                }
                self.start_writer(random)?;
            } else {
                let number = random.index(self.readers.len());
                self.readers.swap_remove(number).kill()?;
                self.start_reader(random)?;
            }
            tally.add("kills", 1);
        }
        self.readers.drain(..).try_for_each(|mut reader| reader.kill())?;
        self.writer.take().map_or(Ok(()), |mut writer| writer.kill())?;
        self.check(tally)?;
        tally.add("commits", self.acknowledged.load(Ordering::Relaxed));
        tally.add("lives of a reader's handle", self.looks.load(Ordering::Relaxed));
        Ok(())
    }

    /// Looks at what the last writer has left.
    fn check(&self, tally: &mut Tally) -> Outcome<()> {
        let least = self.acknowledged.load(Ordering::Relaxed);
        let database = OpenDB::open_with_options(&self.path, options(self.settings)?)?;
        let last = history::check(&database.snapshot()?)?.unwrap_or(0);
        if last < least {
            return Err(Failure(format!("commit {least} was acknowledged, and {last} is the last one")));
        }
        check_whole(&database)?;
        tally.add("states verified", 1);
        Ok(database.close()?)
    }
}
