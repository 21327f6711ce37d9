//! Who answers commands: something in this process, or a process behind two pipes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::protocol::{Answer, Command};
use crate::{Failure, Outcome};

/// How long a driver may think about one command before it counts as hanging.
const ANSWER_SECONDS_MAX: u64 = 120;

/// Does commands and answers them.
pub trait Driver {
    /// Does one command.
    ///
    /// # Errors
    /// The driver could not do as told: it knows no such object, broke the protocol, died or hangs. Errors of the
    /// database are answers, not failures.
    fn call(&mut self, command: &Command) -> Outcome<Answer>;
}

/// A driver in a process of its own. Dropped, it is ended.
pub struct Process {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<std::io::Result<String>>,
}

impl Process {
    /// Starts a program with its arguments.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(words: &[String]) -> Outcome<Process> {
        let (program, arguments) = words.split_first().ok_or("a driver without a program")?;
        let mut child = std::process::Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure(format!("starting the driver {program}: {error}")))?;
        let commands = child.stdin.take().ok_or("the driver has no standard input")?;
        let output = child.stdout.take().ok_or("the driver has no standard output")?;
        let (sender, answers) = channel();
        // A thread of its own reads, so that a driver that hangs is noticed. It ends with the driver's output.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Process { child, commands, answers })
    }
}

impl Driver for Process {
    fn call(&mut self, command: &Command) -> Outcome<Answer> {
        let line = command.to_line() + "\n";
        let written = self.commands.write_all(line.as_bytes()).and_then(|()| self.commands.flush());
        written.map_err(|error| Failure(format!("the driver takes no commands any more: {error}")))?;
        match self.answers.recv_timeout(Duration::from_secs(ANSWER_SECONDS_MAX)) {
            Ok(line) => Answer::from_line(&line?),
            Err(RecvTimeoutError::Timeout) => {
                Err(Failure(format!("the driver hangs on: {:.120}", command.to_line())))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(Failure(format!("the driver died on: {:.120}", command.to_line())))
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killed and waited for, so that no test leaves a process or a lock on a directory behind.
        let _already_gone = self.child.kill();
        let _already_waited = self.child.wait();
    }
}
