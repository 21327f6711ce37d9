//! `cargo xtask demo`: real files of this machine in one database, worked on from four languages.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use console::style;

use crate::doors::Doors;
use crate::log::Log;
use crate::project::{Project, remove_directory};
use crate::quickstarts;
use crate::tools::Tool;

/// What cannot be missing. The package managers of the languages are not needed: cargo builds everything.
const TOOLS: [Tool; 3] = [Tool::Python, Tool::Node, Tool::C];

/// Builds in release, loads, scans, counts and verifies, then runs the quickstarts.
pub(crate) fn run(project: &Project) -> Result<()> {
    let missing: Vec<_> = TOOLS.iter().filter_map(|tool| tool.missing()).collect();
    if !missing.is_empty() {
        bail!("{}", missing.join("\n"));
    }
    let directory = project.target("demo");
    remove_directory(&directory)?;
    let database = directory.join("db");
    fs::create_dir_all(&database).with_context(|| format!("creating {}", database.display()))?;

    let mut stage = Stages::default();
    let doors = stage.run("building the Rust, Python, Node and C packages in release", || {
        let doors = Doors::place(project, &Log::Out, "--package opendb-demo")?;
        Log::Out.run(&mut project.cargo("build --release --locked --package opendb --example quickstart"))?;
        Ok(doors)
    })?;
    stage.run("Rust loads real files of this machine", || {
        show(doors.cargo_run(project, "--package opendb-demo").arg(&database))
    })?;
    stage.run("Python scans them, counts words and searches by prefix", || {
        show(doors.python(project, "xtask/demo/demo.py").arg(&database))
    })?;
    stage.run("Node counts in concurrent transactions", || {
        show(doors.node(project, "xtask/demo/demo.mjs")?.arg(&database))
    })?;
    stage.run("C reads everything back and verifies it", || {
        let mut program = doors.c(project, &Log::file(directory.join("c.log"))?, "xtask/demo/demo.c")?;
        show(program.arg(&database))
    })?;
    stage.run("the quickstarts of the README, one database for all four", || {
        quickstarts::run(project, &doors, &Log::Out, &directory.join("quickstart"))
    })?;
    stage.sum_up(&database)
}

/// Runs a program whose output is the demonstration itself.
fn show(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("starting {program}"))?;
    if !status.success() {
        bail!("{program} ended with {status}");
    }
    Ok(())
}

/// The parts of the demonstration, with their times.
#[derive(Default)]
struct Stages {
    done: Vec<(&'static str, f64)>,
}

impl Stages {
    fn run<T>(&mut self, title: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("\n{}", style(format!("{}. {title}", self.done.len() + 1)).bold().cyan());
        let begin = Instant::now();
        let result = work().context(title)?;
        self.done.push((title, begin.elapsed().as_secs_f64()));
        Ok(result)
    }

    fn sum_up(&self, database: &Path) -> Result<()> {
        println!("\n{}", style("What was done").bold());
        for (title, seconds) in &self.done {
            println!("  {seconds:>6.1} s  {title}");
        }
        let total: f64 = self.done.iter().map(|(_, seconds)| seconds).sum();
        println!("  {total:>6.1} s  in all; the database is {}", database.display());
        println!("{}", style("four languages, one database: everything adds up").green());
        Ok(())
    }
}
