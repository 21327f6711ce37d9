//! Builds the packages of the other languages, as their users would have them, and starts programs against them.
//!
//! Two ways lead there. The tests use the tools of each language (`maturin`, `napi`), which generate declarations on the
//! way. The demonstration and the quickstarts put what cargo built beside the files of each package, so that they need
//! nothing but cargo, the interpreters and a C compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::log::Log;
use crate::project::{Project, shared_library};
use crate::tools::Tool;

/// The packages that cargo builds for the other languages.
const PACKAGES: &str = "--package opendb-python --package opendb-node --package opendb-ffi";

/// Where the Node package is, seen from the programs that find it.
const NODE_PACKAGE: &str = "node_modules/opendb";

/// The packages of every language, ready to be imported and linked.
pub(crate) struct Doors {
    release: bool,
    /// Where cargo puts the shared library for C.
    libraries: PathBuf,
    /// Where compiled C programs go.
    programs: PathBuf,
    /// The interpreter, and where it finds the package if that is not installed for it.
    python: (PathBuf, Option<PathBuf>),
    /// Where Node programs are copied to, for them to find the package; none where they find it from their own place.
    node: Option<PathBuf>,
}

impl Doors {
    /// The debug packages that the tools of each language have built and installed in the checkout.
    pub(crate) fn installed(project: &Project) -> Doors {
        Doors {
            release: false,
            libraries: project.target("debug"),
            programs: project.target("xtask"),
            python: (project.venv_python(), None),
            node: None,
        }
    }

    /// Builds the packages in release with cargo, and what else it is told to build with them, and puts them into
    /// `target/doors`.
    pub(crate) fn place(project: &Project, log: &Log, also: &str) -> Result<Doors> {
        let directory = project.target("doors");
        let doors = Doors {
            release: true,
            libraries: project.target("release"),
            programs: directory.join("c"),
            python: (Tool::Python.program(), Some(directory.join("python"))),
            node: Some(directory.join("node")),
        };
        log.run(&mut project.cargo(&format!("build --release --locked {PACKAGES} {also}")))?;
        let package = directory.join("python/opendb");
        copy_files(&project.path("bindings-python/python/opendb"), &package, &["py", "pyi", "typed"])?;
        let module = if cfg!(windows) { "_opendb.pyd" } else { "_opendb.abi3.so" };
        copy(&doors.libraries.join(shared_library("_opendb")), &package.join(module))?;
        let package = directory.join("node").join(NODE_PACKAGE);
        copy_files(&project.path("bindings-node"), &package, &["cjs", "mjs", "ts", "json"])?;
        for directory in ["lib", "bin"] {
            let from = project.path("bindings-node").join(directory);
            copy_files(&from, &package.join(directory), &["cjs"])?;
        }
        copy(
            &doors.libraries.join(shared_library("opendb_node")),
            &package.join(node_module(project, log)?),
        )?;
        Ok(doors)
    }

    /// A program of the workspace, run by cargo.
    pub(crate) fn cargo_run(&self, project: &Project, arguments: &str) -> Command {
        let profile = if self.release { " --release" } else { "" };
        project.cargo(&format!("run --quiet --locked {arguments}{profile} --"))
    }

    /// A Python program of the checkout.
    pub(crate) fn python(&self, project: &Project, program: &str) -> Command {
        self.python_with(project, &self.python.0, program)
    }

    /// The same with another interpreter.
    pub(crate) fn python_with(&self, project: &Project, interpreter: &Path, program: &str) -> Command {
        let (_, package) = &self.python;
        let mut command = project.program(interpreter, "");
        command.arg(project.path(program)).env("PYTHONUNBUFFERED", "1").env("PYTHONDONTWRITEBYTECODE", "1");
        if let Some(package) = package {
            command.env("PYTHONPATH", package);
        }
        command
    }

    /// Where the Node package is.
    pub(crate) fn node_package(&self, project: &Project) -> PathBuf {
        self.node
            .as_ref()
            .map_or_else(|| project.path("bindings-node"), |directory| directory.join(NODE_PACKAGE))
    }

    /// A Node program of the checkout.
    pub(crate) fn node(&self, project: &Project, program: &str) -> Result<Command> {
        let mut path = project.path(program);
        if let Some(directory) = &self.node {
            let copied = directory.join(path.file_name().context("the program has no file name")?);
            copy(&path, &copied)?;
            path = copied;
        }
        let mut command = project.program(Tool::Node.program(), "");
        command.arg(path);
        Ok(command)
    }

    /// A C program of the checkout, compiled and linked to the shared library.
    pub(crate) fn c(&self, project: &Project, log: &Log, program: &str) -> Result<Command> {
        let name = Path::new(program).file_stem().context("the program has no file name")?;
        let compiled = self.programs.join(name);
        compile_c(project, log, program, &compiled, &self.libraries)?;
        Ok(project.linked(compiled, &self.libraries))
    }
}

/// Compiles a C program of the checkout with every warning as an error, linked to the shared library in `libraries`.
pub(crate) fn compile_c(
    project: &Project,
    log: &Log,
    program: &str,
    compiled: &Path,
    libraries: &Path,
) -> Result<()> {
    if let Some(directory) = compiled.parent() {
        fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    }
    log.run(
        project
            .program(Tool::C.program(), "")
            .args([
                "-std=c11",
                "-O2",
                "-g",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-I",
                "ffi/include",
                program,
                "-o",
            ])
            .arg(compiled)
            .arg("-L")
            .arg(libraries)
            .args(["-lopendb", "-lpthread"])
            .arg(format!("-Wl,-rpath,{}", libraries.display())),
    )
}

/// The name under which the package of this platform looks for its native module.
pub(crate) fn node_module(project: &Project, log: &Log) -> Result<String> {
    let report = "process.platform + '-' + process.arch + (process.platform === 'linux' ? \
                  (process.report.getReport().header.glibcVersionRuntime ? '-gnu' : '-musl') : \
                  process.platform === 'win32' ? '-msvc' : '')";
    let platform = log.output(project.program(Tool::Node.program(), "").args(["-p", report]))?;
    Ok(format!("opendb.{}.node", platform.trim()))
}

/// Copies the files with these endings from one directory into another.
pub(crate) fn copy_files(from: &Path, to: &Path, extensions: &[&str]) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("listing {}", from.display()))? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if let Some(name) = path.file_name().filter(|_| extensions.contains(&extension)) {
            copy(&path, &to.join(name))?;
        }
    }
    Ok(())
}

/// Copies a file to a new place. What is there is removed first: a library that some process still has loaded must not
/// change under it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    }
    if to.exists() {
        fs::remove_file(to).with_context(|| format!("removing {}", to.display()))?;
    }
    fs::copy(from, to).with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    Ok(())
}
