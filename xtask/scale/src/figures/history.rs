//! `history`: the core's random histories, many more of them than its tests run by themselves.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::flags::{Flags, Sizes};
use crate::report::{Line, Outcome, Report, Target};

/// Runs the tests of the core that have `histories` in their names.
pub(crate) fn run(flags: &Flags, report: &mut Report) -> Result<()> {
    let histories = flags.histories(Sizes(10_000, 20));
    report.parameters(json!({"histories": histories}));
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let begin = Instant::now();
    let output = Command::new(cargo)
        .args(["test", "--package", "opendb", "--lib", "--locked", "--manifest-path"])
        .arg(&manifest)
        .arg("histories")
        .env("OPENDB_HISTORIES", histories.to_string())
        .stdin(Stdio::null())
        .output()
        .context("starting cargo")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let name = "random histories passed";
    let line = Line::new(name, "histories", if output.status.success() { histories as f64 } else { 0.0 })
        .target(Target::AtLeast(histories as f64));
    let line = if output.status.success() && tests_passed(&printed) == 0 {
        line.outcome(Outcome::Unavailable("no test of the core has histories in its name".to_owned()))
    } else {
        line.details(json!({"tests": tests_passed(&printed), "seconds": begin.elapsed().as_secs_f64()}))
    };
    report.line(&line);
    if !output.status.success() {
        eprintln!("{printed}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// How many tests a run of cargo says have passed.
fn tests_passed(printed: &str) -> u64 {
    let counts = printed.lines().filter_map(|line| line.strip_prefix("test result: ok. "));
    counts.filter_map(|rest| rest.split_once(" passed")?.0.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_tests_is_told_from_one_that_passed() {
        assert_eq!(tests_passed("\ntest result: ok. 0 passed; 0 failed; 300 filtered out\n"), 0);
        assert_eq!(tests_passed("\ntest result: ok. 2 passed; 0 failed; 298 filtered out\n"), 2);
        assert_eq!(tests_passed("\ntest result: FAILED. 1 passed; 1 failed\n"), 0);
    }
}
