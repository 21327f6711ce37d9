//! A device is filled to its last byte by puts, batches, transactions and values over 1 MiB, and others may
//! take what the database leaves. Whoever has no room is told so and nothing else; reads go on, nothing
//! acknowledged is lost, and deleting and compacting is a way out, also after the death of the process, a
//! close or a power cut while the device was full.
//!
//! # Layout
//! - here: one filling and what must hold
//! - [`volume`]: the devices, simulated and real
//!
//! What room there is, and in which files the rest is, stands beside each failure; a mounted device that failed is kept.
//!
//! The seed repeats a run as far as the threads of the engine do.

mod volume;

use std::time::{Duration, Instant};

use opendb::{Durability, Error, ErrorKind, OpenDB, Options};
use opendb_tests::random::Random;
use opendb_tests::sequence::{KEYSPACES, Manner, Operation, State, Write, perform, read_state};
use opendb_tests::{Failure, Outcome};

use crate::look::{SETTINGS, check_same, check_whole, options, told};
use crate::mounted::try_out;
use crate::plan::{Plan, Tally};
use volume::Volume;

/// Refusals in a row after which there is no room for what is that long.
const REFUSALS: u32 = 3;
/// Overwrites of one length: a device may never be full of them, since compaction makes room for the next.
const OVERWRITES_MAX: u32 = 1500;
/// Lengths of values of the fillings but those with large ones, one after the other.
const LENGTHS: [u64; 3] = [4000, 200, 1];
/// How often a delete that finds no room is tried again after compacting.
const TRIES: usize = 6;
/// What a database with segments of 64 KiB keeps of a full device for compaction: room for the copies of a segment, and as much for
/// what goes with them. What it keeps beside that for deletes the end of a segment may have taken.
const RESERVE_BYTES: u64 = 2 * (64 << 10);
/// How long that may be on loan to compaction, and how often it is looked for.
const LOAN_MAX: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How often others take the rest until they have not taken what was on loan.
const TAKES_MAX: usize = 20;

/// Fillings as many as are wanted, each with a seed of its own, one more than that of the one before.
pub(super) fn run(plan: &Plan, tally: &mut Tally) -> Outcome<()> {
    let can_mount = try_out(&plan.directory);
    if let Err(reason) = &can_mount {
        println!("diskfull: the parts on mounted filesystems are left out: {reason}");
        volume::MOUNTED.into_iter().for_each(|counted| tally.add(counted, 0));
    }
    for seed in (plan.seed..).take_while(|seed| seed - plan.seed < plan.iterations) {
        let mut random = Random::new(seed);
        let words = SETTINGS[random.index(SETTINGS.len())];
        let load = LOADS[random.index(LOADS.len())];
        let volume = Volume::draw(&mut random, load.needs_much(), can_mount.is_ok(), &plan.directory)?;
        tally.add("fillings", 1);
        tally.add(volume.counted(), 1);
        let context = format!("seed {seed}, {load:?}, {words}, {}", volume.counted());
        let mut filling = Filling::new(volume, options(words)?, load, random);
        if let Err(failure) = filling.go_through(tally) {
            let Filling { volume, story, .. } = filling;
            let kept = volume.keep();
            return Err(Failure(format!(
                "{failure}\n{context}; {kept}\nwhat was done:\n  {}",
                story.join("\n  ")
            )));
        }
    }
    Ok(())
}

/// What a device is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// Keys of their own: all of it is live.
    Puts,
    /// The same keys, over and over.
    Overwrites,
    /// Puts that wait for the device.
    Synced,
    Batches,
    Transactions,
    /// Values of which some have segments of their own.
    LargeValues,
    /// A batch of which some have.
    LargeBatches,
}

const LOADS: [Load; 7] = [
    Load::Puts,
    Load::Overwrites,
    Load::Synced,
    Load::Batches,
    Load::Transactions,
    Load::LargeValues,
    Load::LargeBatches,
];

impl Load {
    fn needs_much(self) -> bool {
        matches!(self, Load::LargeValues | Load::LargeBatches)
    }

    /// The next write.
    fn operation(self, number: u64, length: u64, random: &mut Random) -> Operation {
        let (manner, count) = match self {
            Load::Puts | Load::Overwrites | Load::Synced | Load::LargeValues => (Manner::Single, 1),
            Load::Batches => (Manner::Batch, 1 + random.below(12)),
            Load::Transactions => (Manner::Transaction, 1 + random.below(6)),
            Load::LargeBatches => (Manner::Batch, 1 + random.below(4)),
        };
        let durability = if self == Load::Synced { Durability::Sync } else { Durability::Buffered };
        let writes = (0..count).map(|at| self.write(number, at, length, random)).collect();
        Operation { manner, durability, writes }
    }

    fn write(self, number: u64, at: u64, length: u64, random: &mut Random) -> Write {
        let key = match self {
            Load::Overwrites => format!("{:03}", random.below(600)),
            _ => format!("{number:06} {at}"),
        };
        let length =
            if self.needs_much() && random.one_in(8) { (1 << 20) + 1 + random.below(4000) } else { length };
        let mut value = format!("{number}.{at}:").into_bytes();
        while (value.len() as u64) < length {
            value.extend(random.bits().to_le_bytes());
        }
        ((KEYSPACES[random.index(KEYSPACES.len())], key.into_bytes()), Some(value))
    }
}

/// One device, and what was acknowledged.
struct Filling {
    volume: Volume,
    options: Options,
    load: Load,
    random: Random,
    state: State,
    /// Writes that were tried.
    number: u64,
    /// Bytes of values that were acknowledged and must still be there.
    bytes: u64,
    story: Vec<String>,
}

impl Filling {
    fn new(volume: Volume, options: Options, load: Load, random: Random) -> Filling {
        Filling { volume, options, load, random, state: State::new(), number: 0, bytes: 0, story: Vec::new() }
    }

    fn go_through(&mut self, tally: &mut Tally) -> Outcome<()> {
        let database = self.open("a new database")?;
        // Makes the keyspaces as well.
        self.check("when it is new", &database)?;
        self.fill(&database, tally)?;
        self.check("when the device is full", &database)?;
        if self.random.one_in(2) {
            self.take_the_rest(&database)?;
        }
        let database = self.end_and_open(database)?;
        self.check("when it was opened on the full device", &database)?;
        self.get_out(&database)?;
        self.volume.give_back()?;
        self.write_on(&database)?;
        check_whole(&database)?;
        let database = self.close_and_open(database)?;
        self.check("at the end", &database)?;
        check_whole(&database)?;
        self.no_error("the last close", database.close())
    }

    /// Fills the device with ever shorter values, until there is no room for the shortest.
    fn fill(&mut self, database: &OpenDB, tally: &mut Tally) -> Outcome<()> {
        for length in LENGTHS {
            let (mut in_a_row, mut written) = (0, 0);
            while in_a_row < REFUSALS && (self.load != Load::Overwrites || written < OVERWRITES_MAX) {
                if self.bytes > self.volume.room() {
                    return Err("more was acknowledged than the device has room for".into());
                }
                let has_room = self.write(database, length)?;
                in_a_row = if has_room { 0 } else { in_a_row + 1 };
                written += 1;
            }
            tally.add("times full", u64::from(in_a_row == REFUSALS));
        }
        self.story.push(format!("filled by {} writes, {} keys", self.number, self.state.len()));
        Ok(())
    }

    /// One more write. Whether there was room for it.
    fn write(&mut self, database: &OpenDB, length: u64) -> Outcome<bool> {
        let operation = self.load.operation(self.number, length, &mut self.random);
        self.number += 1;
        match perform(database, &operation) {
            Ok(()) => self.done(operation),
            Err(error) => {
                self.check_refusal("a write", database, &error)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn done(&mut self, operation: Operation) {
        for ((keyspace, key), value) in operation.writes {
            let place = (keyspace.to_owned(), key);
            let value = value.unwrap_or_default();
            self.bytes += value.len() as u64;
            let old = self.state.insert(place, value);
            self.bytes -= old.map_or(0, |old| old.len() as u64);
        }
    }

    /// The only error of a full device is that it is full, and it ends nothing.
    fn check_refusal(&self, what: &str, database: &OpenDB, error: &Error) -> Outcome<()> {
        match (error.kind(), database.stats()?.poisoned) {
            (ErrorKind::NoSpace, false) => Ok(()),
            (_, poisoned) => {
                Err(self.failed(&format!("{what} on a full device: {}; poisoned: {poisoned}", told(error))))
            }
        }
    }

    /// A finding, with what the device has.
    fn failed(&self, what: &str) -> Failure {
        Failure(format!("{what}\nthe device: {}", self.volume.look()))
    }

    fn no_error<T>(&self, what: &str, result: opendb::Result<T>) -> Outcome<T> {
        result.map_err(|error| self.failed(&format!("{what}: {}", told(&error))))
    }

    fn open(&self, what: &str) -> Outcome<OpenDB> {
        self.no_error(&format!("opening {what}"), self.volume.open(&self.options))
    }

    fn close_and_open(&self, database: OpenDB) -> Outcome<OpenDB> {
        self.no_error("a close", database.close())?;
        drop(database);
        self.open("what was closed")
    }

    /// Others take what the database has left, once it has its reserve and nobody compacts.
    fn take_the_rest(&mut self, database: &OpenDB) -> Outcome<()> {
        if let Err(error) = database.compact() {
            self.check_refusal("a compaction", database, &error)?;
        }
        // What compaction has made room for is the database's own.
        let (mut refused, mut written) = (0, 0);
        while refused < REFUSALS && written < OVERWRITES_MAX {
            refused += u32::from(!self.write(database, LENGTHS[0])?);
            written += 1;
        }
        if refused < REFUSALS {
            self.story.push("it was never full for long".to_owned());
            return Ok(());
        }
        for _ in 0..TAKES_MAX {
            self.wait_for_reserve()?;
            self.volume.take_the_rest()?;
            if self.has_reserve() {
                self.story.push("others took the rest".to_owned());
                return self.check("when others have taken the rest", database);
            }
            // They were in the middle of a compaction.
            self.volume.give_back()?;
        }
        Err(self.failed("others never find the reserve in its place"))
    }

    /// Where writes are refused the reserve is there, or on loan to compaction for a moment.
    fn wait_for_reserve(&self) -> Outcome<()> {
        let begin = Instant::now();
        while !self.has_reserve() {
            if begin.elapsed() > LOAN_MAX {
                return Err(self.failed("writes are refused, and yet there is no reserve"));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Whether the reserve is there, where that can be seen.
    fn has_reserve(&self) -> bool {
        self.volume.reserve_bytes().is_none_or(|bytes| bytes >= RESERVE_BYTES)
    }

    /// The process goes on, dies, closes, or the power goes.
    fn end_and_open(&mut self, database: OpenDB) -> Outcome<OpenDB> {
        match self.random.below(4) {
            0 => {
                self.story.push("goes on".to_owned());
                return Ok(database);
            }
            1 => {
                self.story.push("the process dies".to_owned());
                self.volume.kill();
                drop(database);
            }
            2 => {
                self.story.push("closed".to_owned());
                return self.close_and_open(database);
            }
            _ => {
                self.story.push("flushed, and the power goes".to_owned());
                self.no_error("a flush", database.flush())?;
                self.volume.cut(database, &mut self.random)?;
            }
        }
        self.open("what was left")
    }

    /// Everything acknowledged, and nothing else, is there.
    fn check(&mut self, when: &str, database: &OpenDB) -> Outcome<()> {
        self.story.push(format!("compared {when}"));
        let found = read_state(database)?;
        check_same(&found, &self.state).map_err(|failure| Failure(format!("{when}: {failure}")))
    }

    /// Deletes half of the keys, and compacts.
    fn get_out(&mut self, database: &OpenDB) -> Outcome<()> {
        let places: Vec<_> = self.state.keys().step_by(2).cloned().collect();
        for (keyspace, key) in places {
            let handle = database.keyspace(&keyspace)?;
            let is_deleted =
                (0..TRIES).find_map(|_| self.delete(database, || handle.delete(&key)).transpose());
            is_deleted.unwrap_or_else(|| Err(self.failed("deleting is no way out of a full device")))?;
            let value = self.state.remove(&(keyspace, key));
            self.bytes -= value.map_or(0, |value| value.len() as u64);
        }
        self.check("when half of it was deleted", database)?;
        self.no_error("a compaction of what was deleted", database.compact())?;
        self.check("when it was compacted", database)
    }

    /// Deletes; where there is no room for it compacts. Whether it was deleted.
    fn delete(&self, database: &OpenDB, delete: impl Fn() -> opendb::Result<()>) -> Outcome<Option<()>> {
        let Err(error) = delete() else { return Ok(Some(())) };
        self.check_refusal("a delete", database, &error)?;
        if let Err(error) = database.compact() {
            self.check_refusal("a compaction", database, &error)?;
        }
        Ok(None)
    }

    /// The same handle goes on, at once: on an ext4 as well, which has the room of removed files only when its journal was
    /// committed, but commits it itself before it says that there is no room.
    fn write_on(&mut self, database: &OpenDB) -> Outcome<()> {
        let operation = Load::Puts.operation(self.number, LENGTHS[0], &mut self.random);
        self.number += 1;
        self.no_error("there is room again, and yet", perform(database, &operation))?;
        self.done(operation);
        self.check("when it went on", database)
    }
}
