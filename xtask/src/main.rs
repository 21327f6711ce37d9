//! The tasks of this repository: `cargo xtask test`, `demo`, `codegen`, `python`, `node`, `bench`, `scale` and `torture`.
//!
//! # Layout
//! - [`project`], [`tools`], [`log`]: where things are, what has to be on the machine, how programs are run
//! - [`steps`]: named steps with their times and a summary
//! - [`doors`]: builds the Python, Node and C packages and starts programs against them
//! - [`snippets`], [`difference`], [`links`], [`header`]: what the other modules check and generate
//! - [`languages`], [`quickstarts`]: what is built and tested in each language
//! - [`runners`]: the benchmark with the packages of other languages
//! - [`codegen`], [`mod@test`], [`demo`], [`python`], [`node`], [`mod@bench`], [`scale`], [`torture`]: the eight tasks

mod bench;
mod codegen;
mod demo;
mod difference;
mod doors;
mod header;
mod languages;
mod links;
mod log;
mod node;
mod project;
mod python;
mod quickstarts;
mod runners;
mod scale;
mod snippets;
mod steps;
mod test;
mod tools;
mod torture;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use project::Project;

/// The tasks of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs every check of every language, in named steps
    Test(test::Arguments),
    /// Loads real files of this machine and works on them from four languages
    Demo,
    /// Writes anew what is generated: the C header, the Node declarations, the programs in the README
    Codegen(codegen::Arguments),
    /// Builds the Python package as it is published, installs it into clean environments and tries everything there
    Python(python::Arguments),
    /// Packs the Node package as it is published, installs it into an empty project and tries everything there
    Node(node::Arguments),
    /// Measures OpenDB beside other stores, from Rust, Python or Node
    Bench(bench::Arguments),
    /// Measures OpenDB at scale: memory, opening, scans, space and latency, each with its target
    #[command(disable_help_flag = true)]
    Scale(scale::Arguments),
    /// Torments databases with kills, power cuts, rot and failing devices, and looks whether anything is lost
    #[command(disable_help_flag = true)]
    Torture(torture::Arguments),
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{} {error:#}", console::style("error:").for_stderr().red().bold());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let project = Project::find()?;
    match &arguments.task {
        Task::Test(arguments) => test::run(&project, arguments),
        Task::Demo => demo::run(&project),
        Task::Codegen(arguments) => codegen::run(&project, arguments, &log::Log::Out),
        Task::Python(arguments) => python::run(&project, arguments),
        Task::Node(arguments) => node::run(&project, arguments),
        Task::Bench(arguments) => bench::run(&project, arguments),
        Task::Scale(arguments) => scale::run(&project, arguments),
        Task::Torture(arguments) => torture::run(&project, arguments),
    }
}
