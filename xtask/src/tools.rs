//! The programs of other languages that a full run needs, and how to get them.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A program that must be on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    /// Python.
    Python,
    /// Python's module for virtual environments.
    Venv,
    /// Node.
    Node,
    /// Node's package manager.
    Npm,
    /// A C compiler.
    C,
    /// A C++ compiler.
    Cpp,
    /// The memory checker.
    Valgrind,
}

impl Tool {
    /// The program to start. `PYTHON`, `CC` and `CXX` name others than the usual ones.
    pub(crate) fn program(self) -> PathBuf {
        let (variable, usual) = match self {
            Tool::Python | Tool::Venv => (Some("PYTHON"), "python3"),
            Tool::Node => (None, "node"),
            Tool::Npm => (None, "npm"),
            Tool::C => (Some("CC"), "cc"),
            Tool::Cpp => (Some("CXX"), "c++"),
            Tool::Valgrind => (None, "valgrind"),
        };
        variable.and_then(env::var_os).map_or_else(|| PathBuf::from(usual), PathBuf::from)
    }

    /// What is wrong with the tool on this machine and what to do about it; nothing when it is there.
    pub(crate) fn missing(self) -> Option<String> {
        let program = self.program();
        if which::which(&program).is_err() {
            return Some(format!("{} is not on this machine: {}", program.display(), self.how_to_get()));
        }
        let probe = self.probe();
        if !probe.is_empty() && !succeeds(Command::new(&program).args(probe)) {
            return Some(format!("{} is not enough: {}", program.display(), self.how_to_get()));
        }
        None
    }

    /// Arguments with which the program succeeds if it is what is needed; none where being there is enough.
    fn probe(self) -> &'static [&'static str] {
        match self {
            Tool::Python => &["-c", "import sys; sys.exit(sys.version_info < (3, 11))"],
            Tool::Venv => &["-c", "import venv, ensurepip"],
            Tool::Node => &["-e", "process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)"],
            Tool::Npm | Tool::C | Tool::Cpp | Tool::Valgrind => &[],
        }
    }

    fn how_to_get(self) -> &'static str {
        match self {
            Tool::Python => "install Python 3.11 or newer, or set PYTHON to the interpreter to use",
            Tool::Venv => {
                "install python3-venv (Debian, Ubuntu), or set PYTHON to an interpreter that has venv"
            }
            Tool::Node => "install nodejs 20 or newer",
            Tool::Npm => "install npm, which comes with nodejs 20 or newer",
            Tool::C => "install gcc (Debian, Ubuntu: build-essential), or set CC to the compiler to use",
            Tool::Cpp => "install g++ (Debian, Ubuntu: build-essential), or set CXX to the compiler to use",
            Tool::Valgrind => "install valgrind (Debian, Ubuntu: the package of that name)",
        }
    }
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
