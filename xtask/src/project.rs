//! Where things are in this repository, and the programs that work on them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// The checkout.
pub(crate) struct Project {
    root: PathBuf,
    target: PathBuf,
}

impl Project {
    /// The checkout that this program was started from, by cargo or by hand.
    pub(crate) fn find() -> Result<Project> {
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package.parent().context("the package of the tasks has no directory above it")?.to_owned();
        let target =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |target| root.join(target));
        Ok(Project { root, target })
    }

    /// A place in the checkout.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The root of the checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A place in cargo's target directory.
    pub(crate) fn target(&self, relative: &str) -> PathBuf {
        self.target.join(relative)
    }

    /// A program, to be run in a directory of the checkout.
    pub(crate) fn program(&self, program: impl AsRef<Path>, directory: &str) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(self.path(directory));
        command
    }

    /// A program that is linked to the C library in a directory. Cargo, which runs these tasks, makes the debug build of the
    /// library win over the path that is written into the program, so the directory is named again.
    pub(crate) fn linked(&self, program: impl AsRef<Path>, libraries: &Path) -> Command {
        let mut command = self.program(program, "");
        command.env("LD_LIBRARY_PATH", libraries);
        command
    }

    /// Cargo with arguments, separated by spaces.
    pub(crate) fn cargo(&self, arguments: &str) -> Command {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = self.program(PathBuf::from(cargo), "");
        command.args(arguments.split_whitespace());
        // What maturin sets, so that its build and ours are one and the Python crate is not built twice in turns.
        command.env("PYO3_BUILD_EXTENSION_MODULE", "1");
        command
    }

    /// The Python of the virtual environment in the checkout.
    pub(crate) fn venv_python(&self) -> PathBuf {
        self.venv_python_in("bindings-python")
    }

    /// The Python of the virtual environment in a directory of the checkout.
    pub(crate) fn venv_python_in(&self, directory: &str) -> PathBuf {
        let inside = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
        self.path(directory).join(".venv").join(inside)
    }
}

/// The file name of a shared library on this system.
pub(crate) fn shared_library(name: &str) -> String {
    format!("{}{name}{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX)
}

/// Removes a directory with all that is in it, if it is there.
pub(crate) fn remove_directory(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("removing {}", directory.display()))?;
    }
    Ok(())
}
