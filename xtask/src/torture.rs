//! `cargo xtask torture`: builds and runs the campaigns that torment databases.

use std::ffi::OsString;
use std::fs;

use anyhow::{Context as _, Result};

use crate::log::Log;
use crate::project::Project;

/// What is asked for in place of a campaign, and takes no flags.
const HELP: [&str; 3] = ["help", "--help", "-h"];

/// What `torture` takes. Its help is the program's own.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A campaign, `all` of them, `planted`, or `help`
    #[arg(allow_hyphen_values = true)]
    campaign: String,
    /// Its flags, such as `--iterations 10000 --seed 7`; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    flags: Vec<OsString>,
}

/// Builds the program and runs it. Not in release: what the code asserts is to be looked at as well.
pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    run_campaigns(project, &Log::Out, &arguments.campaign, &arguments.flags)
}

/// All campaigns in their short form, and whether they find what they are to find.
pub(crate) fn quick(project: &Project, log: &Log) -> Result<()> {
    run_campaigns(project, log, "all", &["--quick".into()])?;
    run_campaigns(project, log, "planted", &[])
}

fn run_campaigns(project: &Project, log: &Log, campaign: &str, flags: &[OsString]) -> Result<()> {
    let mut command = project.cargo("run --quiet --locked --package opendb-torture --");
    if HELP.contains(&campaign) {
        return log.run(command.arg("--help"));
    }
    let directory = project.target("torture");
    fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    log.run(command.arg(campaign).arg("--directory").arg(directory).args(flags))
}
