//! `cargo xtask scale`: builds and runs the figures at scale.

use std::ffi::OsString;

use anyhow::Result;

use crate::log::Log;
use crate::project::Project;

/// What is asked for in place of a figure, and takes no flags.
const HELP: [&str; 3] = ["help", "--help", "-h"];

/// What `scale` takes. Its help is the program's own.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A figure, `all` of them, or `help`
    #[arg(allow_hyphen_values = true)]
    figure: String,
    /// Its flags, such as `--keys 1000000 --strict`; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    flags: Vec<OsString>,
}

/// Builds the program in release and runs it. Its lines of JSON are all that goes to the output.
pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let mut command = project.cargo("run --release --quiet --package opendb-scale --");
    command.arg(&arguments.figure);
    if !HELP.contains(&arguments.figure.as_str()) {
        command.arg("--directory").arg(project.target("scale"));
    }
    Log::quiet(command.args(&arguments.flags))
}
