//! This program started anew, for what must happen in another process: an open that is really the first one, a kill that
//! kills nobody else, memory that is one store's alone. A child prints one object of JSON.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Signal, getpid, kill_process};
use serde_json::Value;

/// How a child is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, having succeeded.
    Well,
    /// By the signal that nothing can be done against.
    Killed,
}

/// A command that starts this program.
#[must_use]
pub fn this_program() -> Command {
    Command::new(std::env::current_exe().unwrap_or_default())
}

/// What a child printed.
///
/// # Errors
/// When it did not end as it was to, or did not print an object of JSON.
pub fn output_of(command: &mut Command, end: End) -> Result<Value> {
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("starting a child")?;
    let as_wanted = match end {
        End::Killed => output.status.signal() == Some(Signal::KILL.as_raw()),
        End::Well => output.status.success(),
    };
    ensure!(as_wanted, "a child ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("reading what a child printed")
}

/// Prints the last words of a child and kills it.
///
/// # Errors
/// When it lives on.
pub fn print_and_die(line: &Value) -> Result<()> {
    let mut output = std::io::stdout();
    writeln!(output, "{line}").and_then(|()| output.flush()).context("printing")?;
    kill_process(getpid(), Signal::KILL).context("killing this process")
}

/// A number of what a child printed.
///
/// # Errors
/// When it is not there.
pub fn number(printed: &Value, name: &str) -> Result<f64> {
    printed.get(name).and_then(Value::as_f64).with_context(|| format!("a child did not print {name}"))
}
