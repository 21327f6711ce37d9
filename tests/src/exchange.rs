//! One door writes, another reads the same directory: the same bytes through every language.

use std::path::PathBuf;

use opendb::ErrorKind;

use crate::bytes::pattern;
use crate::doors::Door;
use crate::driver::Driver;
use crate::generator::Generator;
use crate::model::Model;
use crate::place;
use crate::protocol::{Call, Command, Wait};
use crate::script::DATABASE;
use crate::{Failure, Outcome};

/// A value that is large enough to be stored apart from small ones.
const LARGE_VALUE_BYTES: usize = 2 << 20;

/// One directory, and what has to be in it.
struct Exchange {
    model: Model,
    path: PathBuf,
}

/// Writes through `first`, reads and writes through `second`, reads through `first` again; then `first` is killed
/// with the database open, if it is a process, and `second` reads what it left.
///
/// # Errors
/// An answer is wrong; the failure names the doors and the command.
pub fn between(first: &Door, second: &Door) -> Outcome<()> {
    let directory = place::in_memory()?;
    let mut exchange = Exchange { model: Model::default(), path: directory.path().join("db") };
    let mut one = Named { name: first.name, driver: first.start()? };
    let mut two = Named { name: second.name, driver: second.start()? };
    exchange.session(&mut one, 1)?;
    exchange.session(&mut two, 2)?;
    exchange.session(&mut one, 3)?;
    exchange.open(&mut one)?;
    exchange.write(&mut one, 4)?;
    if first.is_in_process() {
        exchange.close(&mut one)?;
    }
    drop(one);
    exchange.session(&mut two, 5)?;
    exchange.open(&mut two)?;
    exchange.read(&mut two)
}

/// While `first` has a directory open, `second`, another process, gets `Locked`; after a close it does not.
///
/// # Errors
/// The second got in, or did not after the close.
pub fn locked_out(first: &Door, second: &Door) -> Outcome<()> {
    let directory = place::in_memory()?;
    let mut exchange = Exchange { model: Model::default(), path: directory.path().join("db") };
    let mut one = Named { name: first.name, driver: first.start()? };
    let mut two = Named { name: second.name, driver: second.start()? };
    exchange.open(&mut one)?;
    let answer = two.driver.call(&exchange.open_command())?;
    if !answer.is_error(ErrorKind::Locked) {
        return Err(Failure(format!(
            "{} got into the directory that {} holds: {answer:?}",
            two.name, one.name
        )));
    }
    let put = Call::Put {
        keyspace: "default".to_owned(),
        key: b"held".to_vec(),
        value: b"by the first".to_vec(),
        durability: Wait::Default,
    };
    exchange.check(&mut one, &Command { name: DATABASE.to_owned(), call: put })?;
    exchange.close(&mut one)?;
    exchange.open(&mut two)?;
    exchange.read(&mut two)?;
    exchange.close(&mut two)
}

struct Named {
    name: &'static str,
    driver: Box<dyn Driver>,
}

impl Exchange {
    /// Opens, reads everything, writes, closes.
    fn session(&mut self, door: &mut Named, round: u8) -> Outcome<()> {
        self.open(door)?;
        self.read(door)?;
        self.write(door, round)?;
        self.close(door)
    }

    fn open_command(&self) -> Command {
        Command { name: DATABASE.to_owned(), call: Call::Open { path: self.path.clone(), settings: vec![] } }
    }

    fn open(&mut self, door: &mut Named) -> Outcome<()> {
        let open = self.open_command();
        self.check(door, &open)
    }

    fn close(&mut self, door: &mut Named) -> Outcome<()> {
        self.check(door, &Command { name: DATABASE.to_owned(), call: Call::Close })
    }

    fn read(&mut self, door: &mut Named) -> Outcome<()> {
        Generator::read_everything(&self.model).iter().try_for_each(|command| self.check(door, command))
    }

    fn write(&mut self, door: &mut Named, round: u8) -> Outcome<()> {
        for (name, call) in written_in(round) {
            self.check(door, &Command { name: name.to_owned(), call })?;
        }
        Ok(())
    }

    fn check(&mut self, door: &mut Named, command: &Command) -> Outcome<()> {
        let answer = door.driver.call(command).and_then(|answer| self.model.judge(command, &answer));
        answer.map_err(|failure| Failure(format!("{}: {:.100}: {failure}", door.name, command.to_line())))
    }
}

/// What a round writes: keyspaces, keys of any bytes, a large value, deletes, overwrites of earlier rounds, a
/// transaction over two keyspaces and a batch.
fn written_in(round: u8) -> Vec<(&'static str, Call)> {
    let put = |keyspace: &str, key: &[u8], value: Vec<u8>| Call::Put {
        keyspace: keyspace.to_owned(),
        key: key.to_vec(),
        value,
        durability: Wait::Default,
    };
    let delete = |keyspace: &str, key: &[u8]| Call::Delete {
        keyspace: keyspace.to_owned(),
        key: key.to_vec(),
        durability: Wait::Default,
    };
    let keyspace = |name: String| Call::Keyspace { keyspace: name };
    let database = || DATABASE.to_owned();
    let mut calls = vec![
        (DATABASE, keyspace("späte".to_owned())),
        (DATABASE, keyspace(format!("of round {round}"))),
        (DATABASE, put("default", b"", vec![round])),
        (DATABASE, put("default", &[0, round, 0], b"\x00\n\r\xff".to_vec())),
        (DATABASE, put("default", b"large", pattern(LARGE_VALUE_BYTES, round))),
        (DATABASE, put("default", &[b'L', round], pattern(100_000, round))),
        (DATABASE, put("späte", &pattern(65_535, round), b"longest key".to_vec())),
        (DATABASE, put("späte", b"empty", vec![])),
        (DATABASE, delete("default", &[0, round - 1, 0])),
    ];
    for number in 0..50_u8 {
        calls.push((DATABASE, put("default", &[0xff, number, round], vec![number; usize::from(number)])));
    }
    calls.extend([
        ("t", Call::Begin { database: database() }),
        ("t", Call::Get { keyspace: "default".to_owned(), key: vec![] }),
        ("t", put("späte", b"moved", vec![round])),
        ("t", delete("default", &[0xff, 3, round])),
        ("t", Call::Commit { durability: Wait::Sync }),
        ("b", Call::Batch { database: database() }),
        ("b", put("default", b"batched", vec![1])),
        ("b", put("default", b"batched", vec![round, round])),
        ("b", delete("späte", b"empty")),
        ("b", Call::Commit { durability: Wait::Default }),
        ("r", Call::Begin { database: database() }),
        ("r", put("default", b"never", vec![])),
        ("r", Call::Rollback),
    ]);
    calls
}
