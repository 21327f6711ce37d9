//! The program `opendb`: see [`opendb_cli`].

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(opendb_cli::run("opendb", env::args_os().skip(1)))
}
