//! `cargo xtask python`: the Python package as those get it who install it. The wheel and the source distribution are built and
//! installed into environments of their own, and the tests run there from a copy, so that nothing of the checkout is found by chance.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::doors::copy_files;
use crate::languages::{REQUIREMENTS, types_of};
use crate::log::Log;
use crate::project::{Project, remove_directory};
use crate::runners::{self, Runner};
use crate::steps::{self, Step};
use crate::tools::Tool;

/// Where all of it goes, seen from cargo's target directory.
const WORKSPACE: &str = "python";
/// What of the package runs from a copy.
const COPIED: [&str; 4] = ["tests", "tests_ext", "examples", "benches"];
/// What the package's own tests need.
const FOR_TESTS: [&str; 2] = ["pytest", "numpy"];

/// What `python` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Runs this step only, and those it needs; may be given several times
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
}

/// Runs the steps and prints the summary. `PYTHON` names the interpreter for which the wheel is built and tried.
pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    steps::sum_up(&steps::run(project, &steps::select(STEPS, &arguments.only)?, true))
}

const STEPS: &[Step] = &[
    Step {
        name: "distributions",
        what: "the wheel, in release, and the source distribution",
        tools: &[Tool::Python, Tool::Venv],
        needs: &[],
        run: |project, log| {
            remove_directory(&project.target(WORKSPACE))?;
            distributions(project, log, &["--release"])
        },
    },
    Step {
        name: "wheel",
        what: "the wheel, in a clean environment: the quickstart with nothing else installed, then the tests",
        tools: &[],
        needs: &["distributions"],
        run: |project, log| {
            let place = Place::new(project, "wheel", log)?;
            place.install_wheel(log)?;
            place.quickstart(log)?;
            place.tests(log)
        },
    },
    Step {
        name: "suites",
        what: "the suites that other packages publish for what plugs into them, from their published packages",
        tools: &[],
        needs: &["wheel"],
        run: |project, log| {
            let place = Place::there(project, "wheel");
            place.pip(log, |pip| pip.arg("-r").arg(project.path(REQUIREMENTS)))?;
            log.run(place.pytest().args([
                "-p",
                "pytest_asyncio.plugin",
                "-c",
                "tests_ext/pytest.ini",
                "tests_ext",
            ]))?;
            log.run(place.pytest().arg("tests/test_examples.py"))
        },
    },
    Step {
        name: "types",
        what: "the stubs of the installed package, and programs against them",
        tools: &[],
        needs: &["suites"],
        run: |project, log| {
            let place = Place::there(project, "wheel");
            types_of(log, &place.python, || place.program())
        },
    },
    Step {
        name: "leaks",
        what: "a million calls of each function leave nothing behind",
        tools: &[],
        needs: &["wheel"],
        run: |project, log| log.run(Place::there(project, "wheel").program().arg("benches/leaks.py")),
    },
    Step {
        name: "source",
        what: "the source distribution, built by pip with nothing but cargo, in a clean environment",
        tools: &[],
        needs: &["distributions"],
        run: |project, log| {
            let place = Place::new(project, "source", log)?;
            let source = distribution(project, ".tar.gz")?;
            place.pip(log, |pip| {
                pip.args(["--no-binary", "opendb"]).arg(source).env("CARGO_TARGET_DIR", place.path("target"))
            })?;
            place.quickstart(log)?;
            place.tests(log)
        },
    },
    Step {
        name: "beside",
        what: "gets, puts and scans beside py-lmdb, in one run",
        tools: &[Tool::Node],
        needs: &[],
        run: |project, _| {
            let arguments = ["--stores", "opendb,lmdb", "--only", "put,get,scan", "--seconds", "1"];
            runners::run(project, Runner::Python, &project.target("python-beside"), arguments.into_iter())
        },
    },
];

/// The short form, for `cargo xtask test`: of the same build as the other steps, without the tests, which they have run.
pub(crate) fn quick(project: &Project, log: &Log) -> Result<()> {
    remove_directory(&project.target(WORKSPACE))?;
    distributions(project, log, &[])?;
    let place = Place::new(project, "wheel", log)?;
    place.install_wheel(log)?;
    place.quickstart(log)
}

/// Builds both, with the maturin that the requirements name.
fn distributions(project: &Project, log: &Log, profile: &[&str]) -> Result<()> {
    let tools = Place::new(project, "tools", log)?;
    tools.pip(log, |pip| pip.arg("maturin").arg("-c").arg(project.path(REQUIREMENTS)))?;
    let maturin = |what: &str| {
        let mut command = project.program(&tools.python, "bindings-python");
        command.args(["-m", "maturin", what, "--out"]).arg(project.target(WORKSPACE).join("dist"));
        command
    };
    let mut wheel = maturin("build");
    log.run(wheel.arg("--locked").args(profile).arg("--interpreter").arg(&tools.python))?;
    log.run(&mut maturin("sdist"))
}

/// The one file with this ending that was built.
fn distribution(project: &Project, ending: &str) -> Result<PathBuf> {
    let directory = project.target(WORKSPACE).join("dist");
    let entries = fs::read_dir(&directory).with_context(|| format!("listing {}", directory.display()))?;
    let files: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .filter(|path| path.as_ref().map_or(true, |path| path.to_string_lossy().ends_with(ending)))
        .collect::<Result<_>>()?;
    match files.as_slice() {
        [one] => Ok(one.clone()),
        _ => bail!("{} files end with {ending} in {}", files.len(), directory.display()),
    }
}

/// An environment of its own, with a copy of the programs beside it.
struct Place<'a> {
    project: &'a Project,
    directory: PathBuf,
    python: PathBuf,
}

impl<'a> Place<'a> {
    /// Makes it, with nothing installed.
    fn new(project: &'a Project, name: &str, log: &Log) -> Result<Place<'a>> {
        let place = Place::there(project, name);
        remove_directory(&place.directory)?;
        log.run(
            project
                .program(Tool::Python.program(), "")
                .args(["-m", "venv"])
                .arg(place.directory.join("venv")),
        )?;
        for directory in COPIED {
            let from = project.path("bindings-python").join(directory);
            copy_files(&from, &place.directory.join(directory), &["py", "ini"])?;
        }
        copy_files(&project.path("bindings-python"), &place.directory, &["toml", "txt"])?;
        Ok(place)
    }

    /// One that an earlier step has made.
    fn there(project: &'a Project, name: &str) -> Place<'a> {
        let directory = project.target(WORKSPACE).join(name);
        let inside = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
        let python = directory.join("venv").join(inside);
        Place { project, directory, python }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.directory.join(relative)
    }

    /// The interpreter, where the copy is.
    fn program(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.current_dir(&self.directory);
        command
    }

    fn pip(&self, log: &Log, arguments: impl FnOnce(&mut Command) -> &mut Command) -> Result<()> {
        let mut pip = self.program();
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        log.run(arguments(&mut pip))
    }

    /// Without an index, so that it needs nothing else.
    fn install_wheel(&self, log: &Log) -> Result<()> {
        let wheel = distribution(self.project, ".whl")?;
        self.pip(log, |pip| pip.arg("--no-index").arg(wheel))
    }

    /// The quickstart as the README prints it, given to the interpreter as one would paste it, and the command line.
    fn quickstart(&self, log: &Log) -> Result<()> {
        let where_from = log.output(self.program().args(["-c", "import opendb; print(opendb.__file__)"]))?;
        ensure!(
            Path::new(where_from.trim()).starts_with(self.path("venv")),
            "the package is not the installed one but {where_from}"
        );
        let printed = printed_quickstart(self.project)?;
        let output = log.output(self.program().args(["-c", &printed]))?;
        ensure!(output.ends_with("visits: 1\n"), "the quickstart of the README printed {output:?}");
        log.run(self.program().args(["-m", "opendb", "--version"]))
    }

    fn pytest(&self) -> Command {
        let mut command = self.program();
        command.args(["-m", "pytest", "-q"]).env("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1");
        command
    }

    /// The package's own tests. Versions are those of the requirements, of which nothing else is installed.
    fn tests(&self, log: &Log) -> Result<()> {
        self.pip(log, |pip| pip.args(FOR_TESTS).arg("-c").arg(self.project.path(REQUIREMENTS)))?;
        log.run(&mut self.pytest())
    }
}

/// The program in Python that stands in the README.
fn printed_quickstart(project: &Project) -> Result<String> {
    let readme = fs::read_to_string(project.path("README.md")).context("reading README.md")?;
    let (_, after) = readme.split_once("```python\n").context("README.md has no program in Python")?;
    let (program, _) = after.split_once("```").context("the program in README.md does not end")?;
    Ok(program.to_owned())
}
