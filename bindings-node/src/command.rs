//! What `npx opendb` runs.

use napi_derive::napi;

/// Does what the words of a command line say, with standard input and output of the process, and gives the exit code.
#[napi(catch_unwind)]
pub(crate) fn command_line(words: Vec<String>) -> u32 {
    u32::from(opendb_cli::run("npx opendb", words.into_iter().map(Into::into)))
}
