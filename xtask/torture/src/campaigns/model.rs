//! The random commands of the conformance suite through the crate in this process, held against the model: more of them, and with
//! every way to open a database. A failure has the shortest script that was found to show it.

use opendb_tests::Outcome;
use opendb_tests::doors::Door;
use opendb_tests::random::Random;
use opendb_tests::replay::{Run, SETTINGS};

use crate::plan::{Plan, Tally};

/// Commands on one database.
const COMMANDS: u64 = 5000;
const VALUE_BYTES_MAX: usize = 200_000;

/// Does as many commands as are wanted.
pub(super) fn run(plan: &Plan, tally: &mut Tally) -> Outcome<()> {
    let (mut random, door) = (Random::new(plan.seed), Door::in_process());
    while tally.count("commands") < plan.iterations {
        let commands = COMMANDS.min(plan.iterations - tally.count("commands"));
        let settings = SETTINGS[random.index(SETTINGS.len())];
        let seed = random.bits() >> 32;
        let (commands_of_run, value_bytes_max) = (commands as usize, VALUE_BYTES_MAX);
        Run { door: &door, settings, seed, commands: commands_of_run, value_bytes_max }.go()?;
        tally.add("commands", commands);
        tally.add("databases", 1);
    }
    Ok(())
}
