//! Random runs of a door beside the model, and the shortest run that still goes wrong.

use std::path::Path;

use crate::doors::Door;
use crate::generator::Generator;
use crate::model::Model;
use crate::place;
use crate::protocol::{Call, Command};
use crate::script::to_source;
use crate::{Failure, Outcome};

/// How a database may be opened; the model runs with each.
pub const SETTINGS: [&[(&str, &str)]; 6] = [
    &[],
    &[("append", "mapped"), ("segment_bytes", "65536")],
    &[("append", "write"), ("segment_bytes", "65536"), ("cache_bytes", "0")],
    &[("append", "write"), ("mapped_reads", "false"), ("segment_bytes", "65536"), ("cache_bytes", "8192")],
    &[("append", "mapped"), ("mapped_reads", "false"), ("cache_bytes", "8192")],
    &[("durability", "sync"), ("segment_bytes", "131072")],
];
/// Most runs that are spent on making a failure shorter.
const SHRINKING_RUNS_MAX: usize = 200;

/// One random run.
#[derive(Debug, Clone)]
pub struct Run<'a> {
    /// What answers.
    pub door: &'a Door,
    /// How the database is opened.
    pub settings: &'a [(&'a str, &'a str)],
    /// What the commands come from.
    pub seed: u64,
    /// How many commands.
    pub commands: usize,
    /// Longest value.
    pub value_bytes_max: usize,
}

impl Run<'_> {
    /// Runs the commands and then reads everything, before and after opening again.
    ///
    /// # Errors
    /// An answer is wrong: the failure holds the seed and the shortest script found that shows it.
    pub fn go(&self) -> Outcome<()> {
        let directory = place::in_memory()?;
        let settings =
            self.settings.iter().map(|(key, word)| ((*key).to_owned(), (*word).to_owned())).collect();
        let path = directory.path().join("db");
        let mut generator = Generator::new(self.seed, path, settings, self.value_bytes_max);
        let mut driver = self.door.start()?;
        let mut model = Model::default();
        let mut done = Vec::new();
        let mut waiting = vec![generator.open()];
        loop {
            for command in waiting {
                done.push(command.clone());
                let answer = driver.call(&command);
                if let Err(failure) = answer.and_then(|answer| model.judge(&command, &answer)) {
                    drop(driver);
                    return Err(self.report(&failure, done));
                }
            }
            if done.len() >= self.commands {
                break;
            }
            waiting = generator.next(&model);
        }
        let mut last = Generator::read_everything(&model);
        last.extend(generator.reopen(&model));
        last.extend(Generator::read_everything(&model));
        for command in last {
            done.push(command.clone());
            let answer = driver.call(&command);
            if let Err(failure) = answer.and_then(|answer| model.judge(&command, &answer)) {
                drop(driver);
                return Err(self.report(&failure, done));
            }
        }
        Ok(())
    }

    fn report(&self, failure: &Failure, done: Vec<Command>) -> Failure {
        let (length, shortest) = (done.len(), shrink(done, |commands| self.replay(commands)));
        let again = self.replay(&shortest);
        let what = again.unwrap_or_else(|| Failure("this does not show again in a new directory".to_owned()));
        let script: Vec<_> = shortest.iter().map(to_source).collect();
        Failure(format!(
            "door {}, seed {}, settings {:?}: after {length} commands: {failure}\nshortest run found: {what}\n{}\n",
            self.door.name,
            self.seed,
            self.settings,
            script.join("\n"),
        ))
    }

    /// Runs these commands in a fresh directory; the failure, if there is one.
    fn replay(&self, commands: &[Command]) -> Option<Failure> {
        let directory = match place::in_memory() {
            Ok(directory) => directory,
            Err(failure) => return Some(failure),
        };
        let mut driver = match self.door.start() {
            Ok(driver) => driver,
            Err(failure) => return Some(failure),
        };
        let mut model = Model::default();
        for command in commands {
            let command = moved_to(command, directory.path());
            // Where the maker of an object was cut out, what was done to the object goes with it.
            if !model.understands(&command) {
                continue;
            }
            if let Err(failure) = driver.call(&command).and_then(|answer| model.judge(&command, &answer)) {
                return Some(Failure(format!("{}: {failure}", to_source(&command))));
            }
        }
        None
    }
}

fn moved_to(command: &Command, directory: &Path) -> Command {
    let mut command = command.clone();
    if let Call::Open { path, .. } = &mut command.call {
        *path = directory.join("db");
    }
    command
}

/// Cuts pieces out, large ones first, as long as what is left still fails.
fn shrink(commands: Vec<Command>, fails: impl Fn(&[Command]) -> Option<Failure>) -> Vec<Command> {
    let mut shortest = commands;
    let mut piece = shortest.len() / 2;
    let mut runs = 0;
    while piece > 0 {
        let mut start = 0;
        while start < shortest.len() && runs < SHRINKING_RUNS_MAX {
            let end = (start + piece).min(shortest.len());
            let mut shorter = shortest.clone();
            shorter.drain(start..end);
            runs += 1;
            if fails(&shorter).is_some() {
                shortest = shorter;
            } else {
                start = end;
            }
        }
        piece /= 2;
    }
    shortest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shrinking_keeps_what_is_needed_for_the_failure() {
        let command = |number: u64| Command { name: "i".to_owned(), call: Call::Next { count: number } };
        let has = |commands: &[Command], number| commands.contains(&command(number));
        let commands = (0..100).map(command).collect();
        let fails = |commands: &[Command]| {
            (has(commands, 7) && has(commands, 60)).then(|| Failure("both are there".to_owned()))
        };
        assert_eq!(shrink(commands, fails), [command(7), command(60)]);
    }
}
