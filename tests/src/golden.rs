//! Runs a script through a driver and compares with what was recorded, or records.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::driver::Driver;
use crate::protocol::{Answer, Call, Command};
use crate::script::{Action, Item, Script, Step, record};
use crate::{Failure, Outcome};

/// A step that answered otherwise than recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Line of the command in the file.
    pub line: usize,
    /// The command.
    pub source: String,
    /// What stands in the file.
    pub recorded: Vec<String>,
    /// What was answered.
    pub answered: Vec<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "  line {}: {}", self.line, self.source)?;
        for line in &self.recorded {
            writeln!(f, "    - {line}")?;
        }
        for line in &self.answered {
            writeln!(f, "    + {line}")?;
        }
        Ok(())
    }
}

/// The scripts of a directory by name, sorted.
///
/// # Errors
/// The directory cannot be read.
pub fn scripts(directory: &Path) -> Outcome<Vec<PathBuf>> {
    let mut paths = crate::place::files(directory)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    Ok(paths)
}

/// Runs a script and gives it back with the answers as they were, and the steps that differ from the recording.
///
/// # Errors
/// The script is not understood, the driver could not do as told, or a step failed that has to succeed or the other
/// way round (that is never recorded).
pub fn run(text: &str, directory: &Path, driver: &mut dyn Driver) -> Outcome<(Script, Vec<Difference>)> {
    let mut script = Script::parse(text, directory)?;
    let mut opened = BTreeMap::new();
    let mut differences = Vec::new();
    for item in &mut script.items {
        let Item::Step(step) = item else { continue };
        let answer = perform(&step.action, &mut opened, driver)
            .map_err(|failure| Failure(format!("line {}: {}: {failure}", step.line, step.source)))?;
        check_outcome(step, &answer)?;
        let answered = record(&answer);
        if answered != step.recorded {
            differences.push(Difference {
                line: step.line,
                source: step.source.clone(),
                recorded: std::mem::replace(&mut step.recorded, answered.clone()),
                answered,
            });
        }
    }
    Ok((script, differences))
}

fn check_outcome(step: &Step, answer: &Answer) -> Outcome<()> {
    let failed = matches!(answer, Answer::Error { .. });
    if failed == step.fails {
        return Ok(());
    }
    let what = if failed { "has to succeed and failed" } else { "has to fail and succeeded" };
    let answered = record(answer).join("; ");
    Err(Failure(format!("line {}: {}: {what}: {answered}", step.line, step.source)))
}

fn perform(
    action: &Action,
    opened: &mut BTreeMap<String, Command>,
    driver: &mut dyn Driver,
) -> Outcome<Answer> {
    match action {
        Action::Command(command) => {
            if matches!(command.call, Call::Open { .. }) {
                opened.insert(command.name.clone(), command.clone());
            }
            driver.call(command)
        }
        Action::Reopen(name) => {
            let open = opened.get(name).ok_or_else(|| Failure(format!("{name} was never opened")))?;
            match driver.call(&Command { name: name.clone(), call: Call::Close })? {
                Answer::Ok => driver.call(open),
                error => Ok(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers everything with the same.
    struct Always(Answer);

    impl Driver for Always {
        fn call(&mut self, _command: &Command) -> Outcome<Answer> {
            Ok(self.0.clone())
        }
    }

    #[test]
    fn a_different_answer_is_a_difference_and_is_recorded() {
        let text = "get default a\n=> none\nget default b\n=> \"v\"\n";
        let (script, differences) =
            run(text, Path::new("/base"), &mut Always(Answer::Value(b"v".to_vec()))).unwrap();
        assert_eq!(differences.len(), 1);
        assert_eq!(differences[0].line, 1);
        assert_eq!(script.to_text(), "get default a\n=> \"v\"\nget default b\n=> \"v\"\n");
    }

    #[test]
    fn success_and_failure_are_never_mistaken_for_each_other() {
        let closed = Answer::error(opendb::ErrorKind::Closed);
        assert!(run("flush\n=> error CLOSED\n", Path::new("/base"), &mut Always(closed)).is_err());
        assert!(run("! flush\n", Path::new("/base"), &mut Always(Answer::Ok)).is_err());
    }
}
