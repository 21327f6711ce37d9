//! The benchmark with the packages of other languages: a runner in each of them prints what it measures as lines of JSON, and
//! the Rust benchmark makes the same tables and charts of them as of its own.
//!
//! What is measured beside OpenDB is installed under `benches/` of each package and is a dependency of nothing else. What
//! cannot be had on a machine is missing in the tables, which say so.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::doors::Doors;
use crate::languages::unless_stamped;
use crate::log::Log;
use crate::project::Project;
use crate::tools::Tool;

/// What is asked of a runner in place of measuring.
const HELP: [&str; 2] = ["--help", "-h"];

/// A language with a runner of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Runner {
    /// Python.
    Python,
    /// Node.
    Node,
}

impl Runner {
    /// The name of its results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Runner::Python => "python",
            Runner::Node => "node",
        }
    }

    /// Where the runner is, and what it measures beside OpenDB is installed.
    fn directory(self) -> &'static str {
        match self {
            Runner::Python => "bindings-python/benches",
            Runner::Node => "bindings-node/benches",
        }
    }

    fn tools(self) -> &'static [Tool] {
        match self {
            Runner::Python => &[Tool::Python, Tool::Venv, Tool::Node],
            Runner::Node => &[Tool::Node, Tool::Npm],
        }
    }

    /// The program with the package that was built in release.
    fn command(self, project: &Project, doors: &Doors) -> Command {
        let program = |file: &str| format!("{}/{file}", self.directory());
        match self {
            Runner::Python => {
                let python = project.venv_python_in(self.directory());
                doors.python_with(project, &python, &program("run.py"))
            }
            Runner::Node => {
                let mut command = project.program(Tool::Node.program(), "");
                command
                    .arg(project.path(&program("run.mjs")))
                    .arg("--opendb")
                    .arg(doors.node_package(project));
                command
            }
        }
    }
}

/// Installs, builds, measures, and makes tables and charts in `results`.
pub(crate) fn run<'a>(
    project: &Project,
    runner: Runner,
    results: &Path,
    arguments: impl Iterator<Item = &'a str>,
) -> Result<()> {
    let missing: Vec<_> = runner.tools().iter().filter_map(|tool| tool.missing()).collect();
    if !missing.is_empty() {
        bail!("{}", missing.join("\n"));
    }
    let installed = match runner {
        Runner::Python => install_python(project, runner),
        Runner::Node => install_node(project, runner),
    };
    if let Err(error) = installed {
        println!("not everything could be installed, and what is missing is left out: {error:#}");
    }
    let doors = Doors::place(project, &Log::Out, "--package opendb-bench")?;
    let stores = project.target("bench/stores");
    let mut command = runner.command(project, &doors);
    let arguments: Vec<&str> = arguments.collect();
    command.arg("--directory").arg(&stores).args(&arguments);
    if arguments.iter().any(|argument| HELP.contains(argument)) {
        return Log::Out.run(&mut command);
    }
    let lines = results.join("lines.jsonl");
    measure(&mut command, &lines)?;
    let mut tables = doors.cargo_run(project, "--package opendb-bench");
    tables.arg("lines").arg(&lines).arg("--directory").arg(&stores).arg("--results").arg(results);
    Log::Out.run(&mut tables)
}

/// Runs the runner. Its lines go to a file, and how far it is to the terminal.
fn measure(command: &mut Command, lines: &Path) -> Result<()> {
    if let Some(directory) = lines.parent() {
        fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    }
    let file = File::create(lines).with_context(|| format!("creating {}", lines.display()))?;
    Log::Out.run(command.stdout(file))
}

/// A virtual environment with what `requirements.txt` names, one after the other, so that one that cannot be had on this
/// machine does not keep the others away.
fn install_python(project: &Project, runner: Runner) -> Result<()> {
    let directory = runner.directory();
    let python = project.venv_python_in(directory);
    if !python.exists() {
        Log::Out.run(project.program(Tool::Python.program(), directory).args(["-m", "venv", ".venv"]))?;
    }
    let requirements = project.path(directory).join("requirements.txt");
    let wanted =
        fs::read_to_string(&requirements).with_context(|| format!("reading {}", requirements.display()))?;
    let stamp = project.path(directory).join(".venv/requirements-installed.txt");
    unless_stamped(&requirements, &stamp, || {
        let mut failures = Vec::new();
        for requirement in wanted.lines().filter(|line| !line.starts_with('#')) {
            let mut pip = project.program(&python, directory);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement]);
            failures.extend(Log::Out.run(&mut pip).err().map(|error| error.to_string()));
        }
        if failures.is_empty() { Ok(()) } else { bail!("{}", failures.join("; ")) }
    })
}

/// What `package-lock.json` names. All of it is optional, so npm goes on without what cannot be had.
fn install_node(project: &Project, runner: Runner) -> Result<()> {
    let directory = project.path(runner.directory());
    let stamp = directory.join("node_modules/.package-lock-installed.json");
    unless_stamped(&directory.join("package-lock.json"), &stamp, || {
        let mut npm = project.program(Tool::Npm.program(), runner.directory());
        npm.args(["ci", "--no-audit", "--no-fund"]);
        // What is compiled here takes the headers that came with Node.js, where they did, and not those of a download.
        if let Some(prefix) = node_with_headers() {
            npm.env("npm_config_nodedir", prefix);
        }
        Log::Out.run(&mut npm)
    })
}

/// The directory that Node.js was installed into, if its headers are there.
fn node_with_headers() -> Option<std::path::PathBuf> {
    let node = which::which(Tool::Node.program()).ok()?.canonicalize().ok()?;
    let prefix = node.parent()?.parent()?;
    prefix.join("include/node/node.h").exists().then(|| prefix.to_owned())
}
