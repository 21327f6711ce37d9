//! The golden scripts, the random model and the exchange between languages, through every door of this machine.
//!
//! - `cargo test -p opendb-tests --test conformance` runs everything; a word after `--` runs the parts whose name
//!   contains it: `-- scripts`, `-- python`, `-- transactions`.
//! - `UPDATE=1` records the answers of the scripts, by the Rust door only; the difference is reviewed like code.
//! - `OPENDB_MODEL_SEED` repeats a random run, `OPENDB_MODEL_COMMANDS` sets its length.
//! - `OPENDB_DOORS=required` makes a door that was not built a failure.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use opendb_tests::doors::{Door, Doors};
use opendb_tests::random::seed_from_environment;
use opendb_tests::replay::{Run, SETTINGS};
use opendb_tests::script::Script;
use opendb_tests::{Failure, Outcome, exchange, golden, place};

/// Commands of a random run of the Rust door in this process, and of the others.
const COMMANDS_IN_PROCESS: usize = 4000;
const COMMANDS_THROUGH_PIPE: usize = 600;

fn main() -> ExitCode {
    let doors = Doors::find(env!("CARGO_BIN_EXE_rust-driver"));
    let mut suite = Suite { filter: filter(), passed: 0, failed: Vec::new() };
    for door in &doors.built {
        println!("door {}: built", door.name);
    }
    for name in &doors.missing {
        println!("door {name}: not built");
        if doors.required {
            suite.failed.push(format!("door {name} is required and was not built"));
        }
    }
    suite.scripts(&doors.built);
    suite.model(&doors.built);
    suite.exchange(&doors.built);
    suite.end()
}

/// The first argument that is no option of the test harness.
fn filter() -> String {
    std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default()
}

/// What was run and how it went.
struct Suite {
    filter: String,
    passed: usize,
    failed: Vec<String>,
}

impl Suite {
    fn run(&mut self, name: &str, part: impl FnOnce() -> Outcome<()>) {
        if !name.contains(&self.filter) {
            return;
        }
        let began = Instant::now();
        match part() {
            Ok(()) => {
                println!("{name}: ok ({} ms)", began.elapsed().as_millis());
                self.passed += 1;
            }
            Err(failure) => {
                println!("{name}: FAILED\n{failure}");
                self.failed.push(name.to_owned());
            }
        }
    }

    fn end(self) -> ExitCode {
        println!("conformance: {} parts passed, {} failed", self.passed, self.failed.len());
        for name in &self.failed {
            println!("  failed: {name}");
        }
        // A filter that nothing matches must not look like a success.
        if self.failed.is_empty() && self.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn scripts(&mut self, doors: &[Door]) {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let scripts = match golden::scripts(&directory) {
            Ok(scripts) if !scripts.is_empty() => scripts,
            other => return self.failed.push(format!("scripts cannot be read: {other:?}")),
        };
        let update = std::env::var("UPDATE").is_ok_and(|word| word == "1");
        for door in doors {
            let may_record = update && door.is_in_process();
            for path in &scripts {
                let name =
                    format!("scripts {} {}", door.name, path.file_stem().unwrap_or_default().display());
                match exception(door, path) {
                    Some(reason) => println!("{name}: does not apply, since {reason}"),
                    None => self.run(&name, || script(door, path, may_record)),
                }
            }
        }
    }

    fn model(&mut self, doors: &[Door]) {
        let seed = seed_from_environment("OPENDB_MODEL_SEED");
        println!("model: OPENDB_MODEL_SEED={seed}");
        let asked = std::env::var("OPENDB_MODEL_COMMANDS").ok().and_then(|number| number.parse().ok());
        for door in doors {
            let (usual, value_bytes_max) = if door.is_in_process() {
                (COMMANDS_IN_PROCESS, 200_000)
            } else {
                (COMMANDS_THROUGH_PIPE, 20_000)
            };
            let commands = asked.unwrap_or(usual);
            for settings in SETTINGS {
                let words: Vec<_> = settings.iter().map(|(key, word)| format!("{key}={word}")).collect();
                let run = Run { door, settings, seed, commands, value_bytes_max };
                self.run(&format!("model {} {}", door.name, words.join(" ")), || run.go());
            }
        }
    }

    fn exchange(&mut self, doors: &[Door]) {
        for first in doors {
            for second in doors {
                // Rust in a process of its own is the same door as Rust in this one: it stands for two processes.
                let both_are_rust = first.name.starts_with("rust") && second.name.starts_with("rust");
                if !both_are_rust && [first, second].iter().any(|door| door.name == "rust-process") {
                    continue;
                }
                let pair = format!("{} to {}", first.name, second.name);
                self.run(&format!("exchange {pair}"), || exchange::between(first, second));
                // Within one process a second handle is let in.
                if !(first.is_in_process() && second.is_in_process()) {
                    self.run(&format!("lock {pair}"), || exchange::locked_out(first, second));
                }
            }
        }
    }
}

/// Why a script does not apply to a door. What cannot be read is left to the run to report.
fn exception(door: &Door, path: &Path) -> Option<String> {
    let script = Script::parse(&std::fs::read_to_string(path).ok()?, path).ok()?;
    script.exception(door.name).map(str::to_owned)
}

fn script(door: &Door, path: &PathBuf, may_record: bool) -> Outcome<()> {
    let text = std::fs::read_to_string(path)?;
    let directory = place::temporary()?;
    let mut driver = door.start()?;
    let (script, differences) = golden::run(&text, directory.path(), driver.as_mut())?;
    if differences.is_empty() {
        return Ok(());
    }
    if may_record {
        std::fs::write(path, script.to_text())?;
        return Ok(());
    }
    let mut report = format!("{}: {} answers differ\n", path.display(), differences.len());
    for difference in differences {
        // Writing to a string does not fail.
        let _written = write!(report, "{difference}");
    }
    Err(Failure(report))
}
