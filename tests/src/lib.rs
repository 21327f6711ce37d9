//! The conformance suite of OpenDB.
//!
//! One set of scripts, one random model and one set of crash and damage tests say what every language door does. They
//! see the public interface only: the Rust crate in process, and small driver processes that speak [`protocol`] for
//! Python, Node and C. Drivers hold no expectations; all of those stand in `scripts/` and in [`model`].
//!
//! # Layout
//! - [`bytes`], [`random`], [`place`]: literals, seeded numbers, directories for a test;
//! - [`protocol`]: one command, one answer, each one line; [`driver`]: who answers; [`rust_driver`]: the Rust crate
//!   as a driver; [`doors`]: which drivers there are on this machine;
//! - [`script`]: the language of the golden scripts; [`golden`]: runs them and records;
//! - [`model`]: what every call must answer; [`generator`]: random commands; [`replay`]: runs and shrinks them;
//! - [`exchange`]: one door writes, another reads the same directory;
//! - [`damage`]: what may be seen of a damaged database; [`allocation`]: what memory is asked for meanwhile;
//! - [`watch`]: a hang made into a failure;
//! - [`sequence`]: the operations of the campaigns as a function of seed and number, and the check that a state is
//!   an exact prefix of them.

pub mod allocation;
pub mod bytes;
pub mod damage;
pub mod doors;
pub mod driver;
pub mod exchange;
pub mod generator;
pub mod golden;
pub mod model;
pub mod place;
pub mod protocol;
pub mod random;
pub mod replay;
pub mod rust_driver;
pub mod script;
pub mod sequence;
pub mod watch;

use std::fmt;

/// Why a part of the suite could not go on, or what was found to be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure(message)
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Failure {
        Failure(message.to_owned())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure(error.to_string())
    }
}

impl From<opendb::Error> for Failure {
    fn from(error: opendb::Error) -> Failure {
        Failure(format!("{}: {error}", error.kind().name()))
    }
}

/// What the suite's own fallible functions return.
pub type Outcome<T> = Result<T, Failure>;
