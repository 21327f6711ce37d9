//! OpenDB in the terminal: the program `opendb`, and what `python -m opendb` and `npx opendb` run.
//!
//! # Layout
//! - `arguments`: what can be asked for
//! - `commands`: doing it
//! - `text`: keys and values as they are typed and shown
//! - `report`: what a call has told, as lines or as JSON
//!
//! # Exit codes
//! 0 when done, 1 where the answer is no (a key that is absent, a database that is not whole), 2 for a wrong command line, 3 for an error.

mod arguments;
mod commands;
mod report;
mod text;

use std::ffi::OsString;
use std::io;

use clap::{CommandFactory as _, FromArgMatches as _};

use arguments::Arguments;

/// Done, and where there is a question, the answer is yes.
const DONE: u8 = 0;
/// The answer is no.
const NO: u8 = 1;
/// It could not be done.
const ERROR: u8 = 3;

/// Why a command could not be done.
enum Failure {
    Database(opendb::Error),
    Io(io::Error),
    /// What was given cannot be read.
    Input(String),
}

impl From<opendb::Error> for Failure {
    fn from(error: opendb::Error) -> Failure {
        Failure::Database(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error)
    }
}

/// Whether the answer is yes.
type Outcome = Result<bool, Failure>;

/// Does what the words of a command line say, and returns the exit code. `program` is how the user calls it, for what it says of its use.
/// It reads standard input and writes to standard output and error, and never panics or ends the process.
pub fn run(program: &str, words: impl IntoIterator<Item = OsString>) -> u8 {
    let command = Arguments::command().bin_name(program);
    let all = std::iter::once(OsString::from(program)).chain(words);
    let parsed = command.try_get_matches_from(all).and_then(|found| Arguments::from_arg_matches(&found));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nobody may be reading.
            let _printed = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(ERROR);
        }
    };
    match commands::run(arguments.command) {
        Ok(true) => DONE,
        Ok(false) => NO,
        // Nobody reads any more, which is for the one who reads to say.
        Err(Failure::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ERROR,
        Err(failure) => {
            let text = match failure {
                Failure::Database(error) => error.to_string(),
                Failure::Io(error) => error.to_string(),
                Failure::Input(text) => text,
            };
            report::complain(&format!("opendb: {text}"));
            ERROR
        }
    }
}
