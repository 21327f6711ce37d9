//! What can be asked for.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

const EXIT_CODES: &str = "Exit codes: 0 when done, 1 where the answer is no (a key that is absent, a database that is not whole), 2 for a wrong \
                          command line, 3 for an error.";

/// A database of OpenDB from the command line.
#[derive(Parser)]
#[command(name = "opendb", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// What the database holds and has done
    Stat(Stat),
    /// The value of a key; 1 where it is absent
    Get(Get),
    /// Stores a value under a key, on the device
    Put(Put),
    /// Removes a key; 1 where it is absent
    Delete(Delete),
    /// Keys and values in the order of the keys, a line each
    Scan(Scan),
    /// The keyspaces, and how many keys each has
    Keyspaces(Keyspaces),
    /// Every entry as a line of JSON, of one moment, with key and value in base64
    Dump(Dump),
    /// Stores what dump has printed, from standard input, in steps of a thousand entries
    Load(Load),
    /// Checks everything, also of a damaged database; 1 where something is wrong
    Verify(Verify),
    /// Makes a new database of what can be read of a damaged one; 1 for a loss
    Salvage(Salvage),
    /// Gives back the room of what was overwritten and deleted
    Compact(Compact),
    /// Makes a database of its own of everything, in another directory
    Backup(Backup),
}

/// The database that is meant.
#[derive(Args)]
pub(crate) struct Place {
    /// Directory of the database
    pub(crate) database: PathBuf,
}

/// How it is told.
#[derive(Args)]
pub(crate) struct Output {
    /// Print JSON, with keys and values in base64
    #[arg(long)]
    pub(crate) json: bool,
}

/// How keys and values are given and shown.
#[derive(Args)]
pub(crate) struct Data {
    /// The keyspace
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub(crate) keyspace: String,
    /// Keys and values are hexadecimal
    #[arg(long)]
    pub(crate) hex: bool,
}

/// Of who writes.
#[derive(Args)]
pub(crate) struct Wait {
    /// How long to wait for another process that writes
    #[arg(long, default_value = "0", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) lock_timeout: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "give a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[derive(Args)]
pub(crate) struct Stat {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct Get {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The key
    pub(crate) key: OsString,
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct Put {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The key
    pub(crate) key: OsString,
    /// The value; without, it is read from standard input
    pub(crate) value: Option<OsString>,
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

#[derive(Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The key
    pub(crate) key: OsString,
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

#[derive(Args)]
pub(crate) struct Scan {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Only keys that begin with it
    #[arg(long, value_name = "KEY")]
    pub(crate) prefix: Option<OsString>,
    /// Only keys from this one on
    #[arg(long, value_name = "KEY")]
    pub(crate) start: Option<OsString>,
    /// Only keys before this one
    #[arg(long, value_name = "KEY")]
    pub(crate) end: Option<OsString>,
    /// Only keys that come after this one, in the direction of the scan
    #[arg(long, value_name = "KEY")]
    pub(crate) start_after: Option<OsString>,
    /// At most so many
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<u64>,
    /// From the last key to the first
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Keys alone
    #[arg(long)]
    pub(crate) keys: bool,
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct Keyspaces {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct Dump {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Only this one
    #[arg(long, value_name = "NAME")]
    pub(crate) keyspace: Option<String>,
}

#[derive(Args)]
pub(crate) struct Load {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

#[derive(Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct Salvage {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Directory of the new one, which must be empty or not there
    pub(crate) into: PathBuf,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct Compact {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) wait: Wait,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct Backup {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Where it goes: a directory that is empty or not there
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) wait: Wait,
    #[command(flatten)]
    pub(crate) output: Output,
}
