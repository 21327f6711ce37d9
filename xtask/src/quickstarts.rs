//! The programs that the README prints, one for each language, and how to run them.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::doors::Doors;
use crate::log::Log;
use crate::project::Project;

/// Builds the command that runs one quickstart.
type Prepare = fn(&Project, &Doors, &Log) -> Result<Command>;

const ALL: [(&str, Prepare); 4] = [
    ("Rust", |project, doors, _| Ok(doors.cargo_run(project, "--package opendb --example quickstart"))),
    ("Python", |project, doors, _| Ok(doors.python(project, "bindings-python/examples/quickstart.py"))),
    ("Node", |project, doors, _| doors.node(project, "bindings-node/examples/quickstart.mjs")),
    ("C", |project, doors, log| doors.c(project, log, "ffi/examples/quickstart.c")),
];

/// Runs every quickstart on one database. Each ends with the number of visits that were counted there in whatever
/// language, so each must say one more than the one before.
pub(crate) fn run(project: &Project, doors: &Doors, log: &Log, database: &Path) -> Result<()> {
    for (at, (language, prepare)) in ALL.into_iter().enumerate() {
        log.say(&format!("the quickstart in {language}:"))?;
        let output = log.output(prepare(project, doors, log)?.arg(database))?;
        let visits = output.split_whitespace().next_back().unwrap_or_default();
        ensure!(
            visits == (at + 1).to_string(),
            "the quickstart in {language} ended with {visits:?} visits where {} were due",
            at + 1
        );
    }
    Ok(())
}
