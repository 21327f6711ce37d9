//! The power goes at any call to the disk: while a database is created, worked on, compacted, closed, and
//! while it recovers from the cut before. What is left is opened again and lived on, and cut again.
//! Everything that was promised to be on the device is there, and the state is an exact prefix of what was
//! done: no transaction in part, no deleted key back.
//!
//! # Layout
//! - here: one life of a database, and what is known of an image that is taken of its disk meanwhile
//! - [`simulated`]: on the simulated disk, which keeps, loses or tears what was not synced
//! - [`device`]: on an ext4 in a file, of which copies are made as the device has it
//!
//! The seed repeats a run as far as the threads of the engine do.

mod device;
mod simulated;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use opendb::{Durability, OpenDB, Snapshot};
use opendb_tests::random::Random;
use opendb_tests::sequence::{Expected, perform};
use opendb_tests::{Failure, Outcome};

use crate::look::{check_same, read_snapshot, settle};
use crate::mounted::try_out;
use crate::plan::{Plan, Tally};

/// One image in so many is of a real filesystem.
const DEVICE_ONE_IN: u64 = 50;
/// Lives of a line, each of which begins with what a cut of the one before has left.
const LIVES: usize = 3;
/// Ways to append and read.
const SETTINGS: [&str; 4] = [
    "append=mapped,segment_bytes=65536",
    "append=mapped,segment_bytes=262144,cache_bytes=0",
    "append=write,segment_bytes=65536,cache_bytes=8192",
    "append=write,mapped_reads=false,segment_bytes=65536",
];

/// Images as many as are wanted.
pub(super) fn run(plan: &Plan, tally: &mut Tally) -> Outcome<()> {
    let on_device = match try_out(&plan.directory) {
        Ok(()) => plan.iterations / DEVICE_ONE_IN,
        Err(reason) => {
            println!("powercut: the part on a mounted ext4 is left out: {reason}");
            0
        }
    };
    simulated::run(plan, plan.iterations - on_device, tally)?;
    device::run(plan, on_device, tally)
}

fn settings(random: &mut Random) -> &'static str {
    SETTINGS[random.index(SETTINGS.len())]
}

/// What is known of an image.
#[derive(Debug, Clone)]
struct Known {
    /// A state that it has at least.
    expected: Expected,
    /// Operations that were promised to be there.
    least: u64,
    /// Operations that had been begun.
    most: u64,
    /// What happened, for a person who looks for the reason of a failure.
    story: Vec<String>,
}

impl Known {
    /// Of a disk on which nothing was done yet.
    fn nothing(seed: u64) -> Known {
        Known { expected: Expected::new(seed, 0), least: 0, most: 0, story: Vec::new() }
    }

    /// Compares all that a database says of itself with what must be there, and gives the state that it has.
    fn settle(&self, database: &OpenDB) -> Outcome<Expected> {
        let mut expected = self.expected.clone();
        settle(&mut expected, database, self.least, self.most)?;
        Ok(expected)
    }

    /// The failure with what led to it.
    fn told(&self, failure: &Failure) -> Failure {
        Failure(format!("{failure}\nwhat was done:\n  {}", self.story.join("\n  ")))
    }
}

/// How far a life has come, for whoever takes an image of its disk meanwhile.
#[derive(Debug)]
struct Progress(Mutex<Known>);

impl Progress {
    fn new(known: Known) -> Progress {
        Progress(Mutex::new(known))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has happened that a failure tells of.
    fn note(&self, what: String) {
        self.known().story.push(what);
    }

    /// Takes an image. Nothing new begins until it is taken; what is under way goes on.
    fn image<T>(&self, what: impl FnOnce(&Known) -> String, take: impl FnOnce() -> T) -> (T, Known) {
        let known = self.known();
        let image = take();
        let mut of_image = known.clone();
        of_image.story.push(what(&known));
        (image, of_image)
    }

    /// The database was opened and found to have this state, all of which is on the device by now.
    fn found(&self, expected: Expected) {
        let mut known = self.known();
        (known.least, known.most) = (expected.done(), expected.done());
        known.expected = expected;
    }

    fn begins(&self) {
        self.known().most += 1;
    }

    /// Everything that was begun is on the device.
    fn promised(&self) {
        let mut known = self.known();
        known.least = known.most;
    }
}

/// A database that is worked on.
struct Life<'a> {
    database: &'a OpenDB,
    progress: &'a Progress,
    /// Goes along with what was done.
    expected: Expected,
    /// A snapshot that is held for a while, with how many operations it shows.
    held: Option<(Snapshot, Expected)>,
}

impl<'a> Life<'a> {
    /// Compares what was found with what is known, and goes on from there with operations of another seed.
    fn begin(database: &'a OpenDB, progress: &'a Progress, random: &mut Random) -> Outcome<Life<'a>> {
        let known = progress.known().clone();
        let mut expected = known.settle(database)?;
        expected.turn_to(random.bits());
        progress.found(expected.clone());
        progress.note(format!("opened, {} operations found", expected.done()));
        Ok(Life { database, progress, expected, held: None })
    }

    /// Works for so many steps, or until it is over.
    fn work(&mut self, random: &mut Random, steps: u64, is_over: &AtomicBool) -> Outcome<()> {
        for _ in 0..steps {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            self.step(random)?;
        }
        self.progress.note(format!("worked up to operation {}", self.expected.done()));
        Ok(())
    }

    fn step(&mut self, random: &mut Random) -> Outcome<()> {
        match random.below(48) {
            0 => {
                self.database.flush()?;
                self.progress.promised();
            }
            1 | 2 => {
                self.database.compact()?;
            }
            3 => self.hold_or_compare()?,
            _ => self.operate()?,
        }
        Ok(())
    }

    fn operate(&mut self) -> Outcome<()> {
        let operation = self.expected.next_operation();
        self.progress.begins();
        perform(self.database, &operation)?;
        if operation.durability == Durability::Sync {
            self.progress.promised();
        }
        self.expected.advance(self.expected.done() + 1);
        Ok(())
    }

    /// Takes a snapshot, or looks whether the one that was taken still shows what it did.
    fn hold_or_compare(&mut self) -> Outcome<()> {
        match self.held.take() {
            Some((snapshot, then)) => check_same(&read_snapshot(&snapshot)?, then.state())
                .map_err(|failure| Failure(format!("a snapshot of {} operations: {failure}", then.done()))),
            None => {
                self.held = Some((self.database.snapshot()?, self.expected.clone()));
                Ok(())
            }
        }
    }
}
