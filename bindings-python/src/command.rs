//! What `python -m opendb` runs.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Does what the words of a command line say, with standard input and output of the process, and returns the exit code.
#[pyfunction]
pub(crate) fn _command(py: Python<'_>, words: Vec<OsString>) -> u8 {
    py.detach(|| opendb_cli::run("python -m opendb", words))
}
