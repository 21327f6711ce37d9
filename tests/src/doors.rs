//! Which doors there are on this machine.
//!
//! The Rust door is always there. The others are driver processes named by environment variables, each the command to
//! run with its arguments, separated by spaces: `OPENDB_DOOR_PYTHON="python3 /…/tests/drivers/python_driver.py"`, and
//! likewise `OPENDB_DOOR_NODE` and `OPENDB_DOOR_C`. With `OPENDB_DOORS=required` a door that is missing is a failure.

use crate::Outcome;
use crate::driver::{Driver, Process};
use crate::rust_driver::RustDriver;

/// How a door is driven.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    InProcess,
    Process(Vec<String>),
}

/// A door that can be driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// `rust`, `rust-process`, `python`, `node` or `c`.
    pub name: &'static str,
    way: Way,
}

/// The doors of this machine, and the names of those that were not built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doors {
    /// What can be driven; the first is Rust in this process, the second Rust in a process of its own.
    pub built: Vec<Door>,
    /// What no environment variable names.
    pub missing: Vec<&'static str>,
    /// Whether a missing one is a failure.
    pub required: bool,
}

/// The doors beside Rust, with the environment variables that name their drivers.
const OTHERS: [(&str, &str); 3] =
    [("python", "OPENDB_DOOR_PYTHON"), ("node", "OPENDB_DOOR_NODE"), ("c", "OPENDB_DOOR_C")];

impl Doors {
    /// Looks at the environment. `rust_driver` is the path of the program `rust-driver`.
    #[must_use]
    pub fn find(rust_driver: &str) -> Doors {
        Doors::from_variables(rust_driver, |variable| std::env::var(variable).ok())
    }

    fn from_variables(rust_driver: &str, read: impl Fn(&str) -> Option<String>) -> Doors {
        let mut doors = Doors {
            built: vec![
                Door::in_process(),
                Door { name: "rust-process", way: Way::Process(vec![rust_driver.to_owned()]) },
            ],
            missing: Vec::new(),
            required: read("OPENDB_DOORS").is_some_and(|word| word == "required"),
        };
        for (name, variable) in OTHERS {
            let words: Vec<String> =
                read(variable).unwrap_or_default().split_whitespace().map(str::to_owned).collect();
            if words.is_empty() {
                doors.missing.push(name);
            } else {
                doors.built.push(Door { name, way: Way::Process(words) });
            }
        }
        doors
    }
}

impl Door {
    /// Rust in this process.
    #[must_use]
    pub fn in_process() -> Door {
        Door { name: "rust", way: Way::InProcess }
    }

    /// Whether commands are done in this process.
    #[must_use]
    pub fn is_in_process(&self) -> bool {
        self.way == Way::InProcess
    }

    /// Starts a driver that has nothing open.
    ///
    /// # Errors
    /// The driver's process cannot be started.
    pub fn start(&self) -> Outcome<Box<dyn Driver>> {
        Ok(match &self.way {
            Way::InProcess => Box::new(RustDriver::default()),
            Way::Process(words) => Box::new(Process::start(words)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_variable_names_is_missing_by_name() {
        let doors = Doors::from_variables("driver", |variable| match variable {
            "OPENDB_DOOR_NODE" => Some("node driver.mjs".to_owned()),
            "OPENDB_DOOR_C" => Some(" ".to_owned()),
            "OPENDB_DOORS" => Some("required".to_owned()),
            _ => None,
        });
        assert_eq!(doors.missing, ["python", "c"]);
        assert!(doors.required);
        let names: Vec<_> = doors.built.iter().map(|door| door.name).collect();
        assert_eq!(names, ["rust", "rust-process", "node"]);
    }
}
