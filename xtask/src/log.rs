//! Runs programs and decides where their output goes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Where the output of a step goes: to a file that is shown when the step fails, or straight out.
pub(crate) enum Log {
    /// To this file.
    File(PathBuf),
    /// Straight out, as it comes.
    Out,
}

impl Log {
    /// A log in a file, emptied.
    pub(crate) fn file(path: PathBuf) -> Result<Log> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
        }
        File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Log::File(path))
    }

    /// Runs a program to its end. Anything but success is an error that names the program.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        let line = command_line(command);
        self.say(&format!("$ {line}"))?;
        command.stdin(Stdio::null());
        if let Log::File(path) = self {
            let file = append(path)?;
            command
                .stdout(file.try_clone().context("sharing the log between output and errors")?)
                .stderr(file);
        }
        let status = command.status().with_context(|| format!("starting {line}"))?;
        if !status.success() {
            bail!("`{line}` ended with {status}");
        }
        Ok(())
    }

    /// Runs a program to its end without a word before it, where its output is for other programs to read.
    pub(crate) fn quiet(command: &mut Command) -> Result<()> {
        let line = command_line(command);
        let status = command.stdin(Stdio::null()).status().with_context(|| format!("starting {line}"))?;
        if !status.success() {
            bail!("`{line}` ended with {status}");
        }
        Ok(())
    }

    /// Runs a program to its end and gives what it printed. Its errors go where this log goes.
    pub(crate) fn output(&self, command: &mut Command) -> Result<String> {
        let line = command_line(command);
        self.say(&format!("$ {line}"))?;
        let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting {line}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        self.say(&String::from_utf8_lossy(&output.stderr))?;
        self.say(&text)?;
        if !output.status.success() {
            bail!("`{line}` ended with {}", output.status);
        }
        Ok(text)
    }

    /// Adds a line.
    pub(crate) fn say(&self, text: &str) -> Result<()> {
        let text = text.trim_end();
        if text.is_empty() {
            return Ok(());
        }
        match self {
            Log::File(path) => writeln!(append(path)?, "{text}").context("writing the log"),
            Log::Out => writeln!(std::io::stdout(), "{text}").context("writing to the output"),
        }
    }
}

fn append(path: &Path) -> Result<File> {
    File::options().append(true).open(path).with_context(|| format!("opening the log {}", path.display()))
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_named_and_its_output_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs/one.log");
        let log = Log::file(path.clone()).unwrap();
        log.run(Command::new("sh").args(["-c", "echo fine"])).unwrap();
        let error = log.run(Command::new("sh").args(["-c", "echo bad >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("exit 3"), "{error}");
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains("fine\n") && text.contains("bad\n"), "{text}");
    }

    #[test]
    fn what_a_program_prints_is_given_back() {
        let log = Log::Out;
        assert_eq!(log.output(Command::new("sh").args(["-c", "echo fine"])).unwrap(), "fine\n");
        assert!(log.output(Command::new("sh").args(["-c", "exit 1"])).is_err());
    }
}
