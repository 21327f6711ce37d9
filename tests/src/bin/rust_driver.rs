//! The Rust door as a driver process: one command a line on standard input, one answer a line on standard output.

use std::io::{BufRead, Write};

use opendb_tests::driver::Driver;
use opendb_tests::protocol::Command;
use opendb_tests::rust_driver::RustDriver;

fn main() -> std::io::Result<()> {
    let mut driver = RustDriver::default();
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = Command::from_line(&line?).and_then(|command| driver.call(&command));
        match answer {
            Ok(answer) => writeln!(output, "{}", answer.to_line())?,
            Err(failure) => writeln!(output, "failure {}", failure.0.replace('\n', " "))?,
        }
        output.flush()?;
    }
    Ok(())
}
