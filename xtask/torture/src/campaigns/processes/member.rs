//! The processes that share a directory: one that writes, and those that read.
//!
//! `member writes <what is broken> <directory> <settings> <seed>` goes on with the commits of the directory and says `done <number>`
//! after each. `member reads <what is broken> <directory> <settings> <seed> <least>` looks at the database again and again, of which
//! commit `least` is known to have been made. Both go on until they are killed, or have found something, which they say.

use std::process::ExitCode;
use std::time::Duration;

use opendb::OpenDB;
use opendb_tests::random::Random;
use opendb_tests::{Failure, Outcome};

use super::history::{begin, check, commit};
use crate::look::{check_whole, options};
use crate::worker::{number, say, take_broken, tell};

/// Does what the words say.
pub(crate) fn main(words: &[String]) -> ExitCode {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["writes", broken, directory, settings, seed] => {
            take_broken(broken).and_then(|()| write(directory, settings, number(seed)?))
        }
        ["reads", broken, directory, settings, seed, least] => {
            take_broken(broken).and_then(|()| read(directory, settings, number(seed)?, number(least)?))
        }
        _ => Err("the words are those of the module's text".into()),
    };
    result.map_or_else(|failure| tell(&failure), |()| ExitCode::FAILURE)
}

fn write(directory: &str, settings: &str, seed: u64) -> Outcome<()> {
    let mut random = Random::new(seed);
    let database = OpenDB::open_with_options(directory, options(settings)?)?;
    begin(&database)?;
    let mut last = check(&database.snapshot()?)?.unwrap_or(0);
    say(&format!("done {last}"));
    loop {
        last += 1;
        commit(&database, last)?;
        say(&format!("done {last}"));
        match random.below(400) {
            0 => drop(database.compact()?),
            1 => database.flush()?,
            2..20 => std::thread::sleep(Duration::from_micros(random.below(3000))),
            _ => {}
        }
    }
}

fn read(directory: &str, settings: &str, seed: u64, least: u64) -> Outcome<()> {
    let mut random = Random::new(seed);
    let mut last = least;
    loop {
        let options = options(settings)?.read_only(true).mapped_reads(!random.one_in(3));
        let database = OpenDB::open_with_options(directory, options)?;
        let mut held = None;
        for _ in 0..=random.below(40) {
            match random.below(20) {
                0 => database.refresh()?,
                1 => std::thread::sleep(Duration::from_millis(random.below(30))),
                2 => check_whole(&database)?,
                _ => {}
            }
            let snapshot = database.snapshot()?;
            let now = check(&snapshot)?.unwrap_or(0);
            if now < last {
                return Err(Failure(format!("commit {last} had been there, and now {now} is the last one")));
            }
            last = now;
            if let Some((snapshot, then)) = &held
                && check(snapshot)? != Some(*then)
            {
                return Err(Failure(format!("a snapshot of commit {then} is of another one now")));
            }
            if random.one_in(4) {
                held = Some((snapshot, now)).filter(|_| now > 0);
            }
        }
        say(&format!("looked {last}"));
    }
}
