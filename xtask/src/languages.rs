//! What is built and tested in each language, with that language's own tools.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::doors;
use crate::log::Log;
use crate::project::Project;
use crate::tools::Tool;

/// What builds and tests the Python package, and in which versions.
pub(crate) const REQUIREMENTS: &str = "bindings-python/requirements-dev.txt";

/// Makes the virtual environment, installs what `requirements-dev.txt` names, and builds the package into it.
pub(crate) fn build_python(project: &Project, log: &Log) -> Result<()> {
    let python = project.venv_python();
    if !python.exists() {
        log.run(project.program(Tool::Python.program(), "bindings-python").args(["-m", "venv", ".venv"]))?;
    }
    let requirements = project.path(REQUIREMENTS);
    let stamp = project.path("bindings-python/.venv/requirements-installed.txt");
    unless_stamped(&requirements, &stamp, || {
        let mut pip = project.program(&python, "bindings-python");
        log.run(
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
                .arg(&requirements),
        )
    })?;
    let mut maturin = project.program(&python, "bindings-python");
    maturin
        .args(["-m", "maturin", "develop", "--locked"])
        .env("VIRTUAL_ENV", project.path("bindings-python/.venv"));
    log.run(&mut maturin)
}

/// Where the build of the Node package goes. Not into the package, where it would overwrite the committed files that it
/// generates, and no check could tell that they differ.
pub(crate) fn node_output(project: &Project) -> PathBuf {
    project.target("xtask/node")
}

/// Installs what `package-lock.json` names, builds the package, and puts the native module into its directory.
pub(crate) fn build_node(project: &Project, log: &Log) -> Result<()> {
    let lock = project.path("bindings-node/package-lock.json");
    let stamp = project.path("bindings-node/node_modules/.package-lock-installed.json");
    let npm = || project.program(Tool::Npm.program(), "bindings-node");
    unless_stamped(&lock, &stamp, || log.run(npm().args(["ci", "--no-audit", "--no-fund"])))?;
    let output = node_output(project);
    fs::create_dir_all(&output).with_context(|| format!("creating {}", output.display()))?;
    log.run(npm().args(["run", "build:debug", "--", "--output-dir"]).arg(&output))?;
    doors::copy_files(&output, &project.path("bindings-node"), &["node"])
}

/// Runs an installation unless the file that says what to install is the one that was installed last.
pub(crate) fn unless_stamped(
    wanted: &Path,
    stamp: &Path,
    install: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let contents = fs::read(wanted).with_context(|| format!("reading {}", wanted.display()))?;
    if fs::read(stamp).is_ok_and(|installed| installed == contents) {
        return Ok(());
    }
    install()?;
    fs::write(stamp, contents).with_context(|| format!("writing {}", stamp.display()))
}

/// Builds the C library and the driver through which the conformance suite reaches it.
pub(crate) fn build_c(project: &Project, log: &Log) -> Result<()> {
    log.run(&mut project.cargo("build --package opendb-ffi --locked"))?;
    doors::compile_c(project, log, "tests/drivers/c_driver.c", &c_driver(project), &project.target("debug"))
}

/// The conformance suite, with every door required.
pub(crate) fn conformance(project: &Project, log: &Log) -> Result<()> {
    let driver = |program: &Path, script: &str| {
        let mut words = OsString::from(program);
        words.push(" ");
        words.push(project.path(script));
        words
    };
    let mut command = project.cargo("test --package opendb-tests --locked --no-fail-fast");
    command
        .env("OPENDB_DOORS", "required")
        .env("OPENDB_DOOR_PYTHON", driver(&project.venv_python(), "tests/drivers/python_driver.py"))
        .env("OPENDB_DOOR_NODE", driver(&Tool::Node.program(), "tests/drivers/node_driver.mjs"))
        .env("OPENDB_DOOR_C", c_driver(project));
    log.run(&mut command)
}

/// The package's own tests, and the suites that other packages publish for what plugs into them.
pub(crate) fn python_tests(project: &Project, log: &Log) -> Result<()> {
    // Plugins of pytest that come with those packages are for their suites alone.
    let pytest = || {
        let mut command = project.program(project.venv_python(), "bindings-python");
        command.args(["-m", "pytest", "-q"]).env("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1");
        command
    };
    log.run(&mut pytest())?;
    log.run(pytest().args(["-p", "pytest_asyncio.plugin", "-c", "tests_ext/pytest.ini", "tests_ext"]))
}

/// The stubs against the module, and the programs against the stubs.
pub(crate) fn python_types(project: &Project, log: &Log) -> Result<()> {
    types_of(log, &project.venv_python(), || project.program(project.venv_python(), "bindings-python"))
}

/// The same with any interpreter, started where the programs are.
pub(crate) fn types_of(log: &Log, interpreter: &Path, python: impl Fn() -> Command) -> Result<()> {
    log.run(python().args(["-m", "mypy.stubtest", "opendb"]))?;
    log.run(python().args(["-m", "mypy", "--strict", "-p", "opendb"]))?;
    log.run(python().args(["-m", "mypy", "--strict", "examples", "tests"]))?;
    log.run(python().args(["-m", "mypy", "--strict", "tests_ext"]))?;
    log.run(python().args(["-m", "mypy", "--strict", "benches"]))?;
    log.run(python().args(["-m", "pyright", "examples", "--pythonpath"]).arg(interpreter))
}

/// Where the driver for C is compiled to.
fn c_driver(project: &Project) -> PathBuf {
    project.target("xtask/c_driver")
}
