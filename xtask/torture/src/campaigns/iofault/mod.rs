//! Calls to the system fail: each kind of call with each error that it can have, once, some times or for
//! ever, while a database is opened, worked on, flushed, compacted or closed. Whoever asked is told by an
//! error of the right kind, nothing of the write that failed is to be seen, reads go on, and everything
//! acknowledged is there at once and after the next open. After a failed sync nothing is written or synced
//! any more until then; a device that is only full ends nothing.
//!
//! # Layout
//! - here: what is done to one database and what must hold
//! - [`fault`]: what fails, and whom the calls are told to
//! - [`ground`]: the two kinds of disks that it is done on
//!
//! The seed repeats a run as far as the threads of the engine do.

mod fault;
mod ground;

use std::collections::BTreeSet;
use std::sync::Arc;

use opendb::simulation::open_simulated;
use opendb::{Durability, Error, ErrorKind, OpenDB, Options};
use opendb_tests::random::Random;
use opendb_tests::sequence::{Expected, check_absent, perform, read_state};
use opendb_tests::{Failure, Outcome};

use crate::look::{SETTINGS, check_same, options, read_snapshot, settle, told};
use crate::plan::{Plan, Tally};
use fault::{Fault, Switch};
use ground::{Ground, SimulatedImages};

/// Most steps before the fault.
const BEFORE_MAX: u64 = 40;
/// Steps in which the fault is met, or not.
const STEPS: u64 = 60;
/// Errors after which a database that goes on is not asked for more of them.
const ERRORS_MAX: u64 = 6;
/// Steps after a fault that ended nothing.
const AFTER: u64 = 12;

/// Faults as many as are wanted, each in a database of its own. Each database has a seed of its own, one more
/// than that of the one before. A fault that no call has met does not count.
pub(super) fn run(plan: &Plan, tally: &mut Tally) -> Outcome<()> {
    let mut met = BTreeSet::new();
    for seed in plan.seed.. {
        if tally.count("faults") >= plan.iterations {
            break;
        }
        tally.add("databases", 1);
        let mut random = Random::new(seed);
        let fault = Fault::draw(&mut random);
        let words = SETTINGS[random.index(SETTINGS.len())];
        let ground = Ground::draw(&mut random)?;
        let counted = ground.counted();
        let context = format!("seed {seed}, {fault}, {words}, {counted}");
        let mut trial = Trial::new(ground, options(words)?, fault, random);
        trial.go_through(tally).map_err(|failure| {
            Failure(format!("{failure}\n{context}\nwhat was done:\n  {}", trial.story.join("\n  ")))
        })?;
        if trial.switch.hits() > 0 {
            tally.add("faults", 1);
            tally.add(counted, 1);
            met.insert(fault.call_name());
        }
    }
    tally.add("kinds of calls failed", met.len() as u64);
    Ok(())
}

/// One database and one fault.
struct Trial {
    ground: Ground,
    options: Options,
    fault: Fault,
    switch: Arc<Switch>,
    random: Random,
    /// What was acknowledged.
    expected: Expected,
    /// What of it a power cut must leave.
    durable: Expected,
    backups: u64,
    story: Vec<String>,
}

impl Trial {
    fn new(ground: Ground, options: Options, fault: Fault, mut random: Random) -> Trial {
        let expected = Expected::new(random.bits(), 0);
        let durable = expected.clone();
        let switch = Arc::default();
        Trial { ground, options, fault, switch, random, expected, durable, backups: 0, story: Vec::new() }
    }

    fn go_through(&mut self, tally: &mut Tally) -> Outcome<()> {
        let mut database = self.open()?;
        // Makes the keyspaces as well.
        self.check_all(&database)?;
        for _ in 0..self.random.below(BEFORE_MAX) {
            self.step(&database).map_err(|error| Failure(format!("before the fault: {}", told(&error))))?;
        }
        if self.fault.is_of_opening() || self.random.one_in(4) {
            database = self.reopen_under_fault(database)?;
        }
        let errors = self.work_under_fault(&database)?;
        self.switch.disarm();
        // Waits for a round of the background that had begun before.
        database.verify()?;
        tally.add("calls that failed", self.switch.hits());
        tally.add("errors told", errors);
        let has_ended = database.stats()?.poisoned;
        tally.add("ends of all writing", u64::from(has_ended));
        if has_ended {
            self.check_ended(&database)?;
        } else {
            self.check_goes_on(&database)?;
        }
        drop(database);
        // An operation that failed when all writing ended may be there now.
        let database = self.open()?;
        settle_beyond(&mut self.expected, &database, u64::from(has_ended))?;
        Ok(database.close()?)
    }

    fn open(&self) -> opendb::Result<OpenDB> {
        self.ground.open(self.ground.path(), &self.options, &self.switch)
    }

    /// Closes and opens while calls fail. Either may be told of it; another try, with nothing failing, finds
    /// everything.
    fn reopen_under_fault(&mut self, database: OpenDB) -> Outcome<OpenDB> {
        if self.random.one_in(2) {
            database.close()?;
            self.durable = self.expected.clone();
        }
        self.arm();
        match database.close() {
            Ok(()) => self.durable = self.expected.clone(),
            Err(error) => self.check_kind("the close", &error)?,
        }
        drop(database);
        let error = match self.open() {
            Ok(database) => {
                self.story.push("opened in spite of it".to_owned());
                self.check_reads(&database)?;
                return Ok(database);
            }
            Err(error) => error,
        };
        self.check_kind("the open", &error)?;
        self.switch.disarm();
        let database = self.open()?;
        self.check_all(&database)?;
        Ok(database)
    }

    fn arm(&mut self) {
        self.story.push(format!("armed after {} operations", self.expected.done()));
        self.switch.arm(self.fault);
    }

    /// Works while calls fail. How many errors that was.
    fn work_under_fault(&mut self, database: &OpenDB) -> Outcome<u64> {
        self.arm();
        let mut errors = 0;
        for _ in 0..STEPS {
            let done = self.expected.done();
            let Err(error) = self.step(database) else { continue };
            errors += 1;
            self.check_kind(&format!("a step after {done} operations"), &error)?;
            let poisoned = database.stats()?.poisoned;
            let contradicts = match error.kind() {
                ErrorKind::Poisoned => !poisoned,
                ErrorKind::NoSpace => poisoned,
                _ => false,
            };
            if contradicts {
                return Err(Failure(format!("poisoned: {poisoned}, and yet {}", told(&error))));
            }
            self.check_reads(database)?;
            if poisoned || errors == ERRORS_MAX {
                break;
            }
        }
        Ok(errors)
    }

    /// One step. After an error nothing of it was acknowledged.
    fn step(&mut self, database: &OpenDB) -> opendb::Result<()> {
        match self.random.below(24) {
            0 => {
                database.flush()?;
                self.durable = self.expected.clone();
            }
            1 => drop(database.compact()?),
            2 => drop(database.snapshot()?),
            3..=5 => return self.read_one(database),
            6 | 7 if self.fault.is_of_backups() => return self.back_up(database),
            _ => {
                let operation = self.expected.next_operation();
                perform(database, &operation)?;
                self.expected.advance(self.expected.done() + 1);
                if operation.durability == Durability::Sync {
                    self.durable = self.expected.clone();
                }
            }
        }
        Ok(())
    }

    /// A read may fail where calls do, but never gives anything else than what is there.
    fn read_one(&mut self, database: &OpenDB) -> opendb::Result<()> {
        let at = self.random.index(self.expected.state().len());
        let Some(((keyspace, key), value)) = self.expected.state().iter().nth(at) else { return Ok(()) };
        if database.keyspace(keyspace)?.get(key)?.as_ref() == Some(value) {
            return Ok(());
        }
        // No error that a fault may have.
        Err(Error::Internal(format!("get of a key of {keyspace} gives another value than was written")))
    }

    /// A backup is made or not; where it is, it has everything.
    fn back_up(&mut self, database: &OpenDB) -> opendb::Result<()> {
        self.backups += 1;
        let path = self.ground.aside(self.backups);
        database.backup(&path)?;
        let fault = self.switch.disarm();
        let backup = self.ground.open(&path, &self.options, &self.switch)?;
        let is_whole = read_state(&backup).is_ok_and(|state| state == *self.expected.state());
        backup.close()?;
        fault.into_iter().for_each(|fault| self.switch.arm(fault));
        // As above.
        if is_whole { Ok(()) } else { Err(Error::Internal("a backup is not what was there".to_owned())) }
    }

    /// An error of the right kind: one of the system's, and that of a full device only where it was one.
    fn check_kind(&mut self, what: &str, error: &Error) -> Outcome<()> {
        self.story.push(format!("{what}: {}", told(error)));
        let has_failed = self.switch.hits() > 0;
        let is_right = match error.kind() {
            ErrorKind::Io | ErrorKind::Poisoned => has_failed,
            ErrorKind::NoSpace => has_failed && self.fault.is_of_a_full_device(),
            _ => false,
        };
        if is_right { Ok(()) } else { Err(Failure(format!("{what} has the wrong error: {}", told(error)))) }
    }

    /// Reads go on, and show what was acknowledged and nothing else. Where it is reading that fails they are
    /// asked without that.
    fn check_reads(&mut self, database: &OpenDB) -> Outcome<()> {
        let held_back = if self.fault.is_of_reading() { self.switch.disarm() } else { None };
        let state = read_snapshot(&database.snapshot()?)?;
        check_same(&state, self.expected.state())
            .map_err(|failure| Failure(format!("what is read after an error: {failure}")))?;
        check_absent(database, &state, 1)?;
        held_back.into_iter().for_each(|fault| self.switch.arm(fault));
        Ok(())
    }

    /// Everything, and nothing else, is there.
    fn check_all(&mut self, database: &OpenDB) -> Outcome<()> {
        settle_beyond(&mut self.expected, database, 0)
    }

    /// After an error that ended nothing the same handle goes on, and a power cut leaves what is promised.
    fn check_goes_on(&mut self, database: &OpenDB) -> Outcome<()> {
        self.check_all(database)?;
        for _ in 0..AFTER {
            self.step(database).map_err(|error| Failure(format!("does not go on: {}", told(&error))))?;
        }
        self.check_all(database)?;
        self.check_images(0)?;
        Ok(database.close()?)
    }

    /// After a failed sync or write nothing is written any more, above all not what had failed, and reads go
    /// on.
    fn check_ended(&mut self, database: &OpenDB) -> Outcome<()> {
        self.check_reads(database)?;
        let writes = self.switch.writes();
        self.check_refuses(database)?;
        self.check_reads(database)?;
        self.check_images(1)?;
        match database.close() {
            Err(Error::Poisoned(_)) => {}
            other => return Err(Failure(format!("a close after writing has ended gives {other:?}"))),
        }
        match self.switch.writes() - writes {
            0 => Ok(()),
            tried => Err(Failure(format!("{tried} writes or syncs were tried after writing has ended"))),
        }
    }

    /// Every way to write is refused.
    fn check_refuses(&self, database: &OpenDB) -> Outcome<()> {
        let key = b"s0:00";
        let mut batch = database.batch();
        batch.put("default", key, b"refused")?;
        let mut transaction = database.begin_transaction()?;
        transaction.put("default", key, b"refused")?;
        let outcomes = [
            database.put(key, b"refused"),
            database.put_with(key, b"refused", Durability::Sync),
            database.put(key, &vec![1; (1 << 20) + 1]),
            database.delete(key),
            batch.commit(),
            transaction.commit(),
            database.keyspace("refused").map(drop),
        ];
        match outcomes.iter().find(|outcome| !matches!(outcome, Err(Error::Poisoned(_)))) {
            None => Ok(()),
            Some(other) => Err(Failure(format!("a write after writing has ended gives {other:?}"))),
        }
    }

    /// What the death of the process now, and a power cut, would leave: what was acknowledged, or was
    /// promised to be on the device, and at most one operation that failed beyond.
    fn check_images(&mut self, beyond: u64) -> Outcome<()> {
        let Some(SimulatedImages { death, cuts }) = self.ground.images(&mut self.random) else {
            return Ok(());
        };
        let begun = self.expected.done() + beyond - self.durable.done();
        let all = std::iter::once((death, &self.expected, beyond));
        for (image, least, beyond) in all.chain(cuts.into_iter().map(|cut| (cut, &self.durable, begun))) {
            let path = self.ground.path();
            let database = open_simulated(&image, path, &self.options)?;
            settle_beyond(&mut least.clone(), &database, beyond)
                .map_err(|failure| Failure(format!("an image of the disk: {failure}")))?;
        }
        Ok(())
    }
}

/// Compares all that a database says with a state, or one with up to so many operations more.
fn settle_beyond(expected: &mut Expected, database: &OpenDB, beyond: u64) -> Outcome<()> {
    let least = expected.done();
    settle(expected, database, least, least + beyond)
}
