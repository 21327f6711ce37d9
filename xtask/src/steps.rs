//! Runs named steps one after the other and sums them up.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use console::style;
use indicatif::{ProgressBar, ProgressStyle};

use crate::log::Log;
use crate::project::Project;
use crate::tools::Tool;

/// How many lines of a failed step's log are shown; the rest is in the file.
const LOG_LINES_SHOWN: usize = 200;

/// One step of a run.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    /// The word that `--only` takes.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) what: &'static str,
    /// The programs it cannot do without.
    pub(crate) tools: &'static [Tool],
    /// The steps whose results it uses.
    pub(crate) needs: &'static [&'static str],
    /// Does it.
    pub(crate) run: fn(&Project, &Log) -> Result<()>,
}

/// What became of a step.
pub(crate) struct Outcome {
    name: &'static str,
    duration: Duration,
    failure: Option<String>,
}

/// The steps of these names and those they need, in order; all of them when there are no names.
pub(crate) fn select(steps: &[Step], names: &[String]) -> Result<Vec<Step>> {
    if names.is_empty() {
        return Ok(steps.to_vec());
    }
    let mut wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut at = 0;
    while let Some(name) = wanted.get(at).copied() {
        let Some(step) = steps.iter().find(|step| step.name == name) else {
            let known: Vec<_> = steps.iter().map(|step| step.name).collect();
            bail!("there is no step {name:?}; the steps are {}", known.join(", "));
        };
        wanted.extend(step.needs);
        at += 1;
    }
    Ok(steps.iter().filter(|step| wanted.contains(&step.name)).copied().collect())
}

/// Runs the steps. A step that fails does not keep others from running, except those that need it.
pub(crate) fn run(project: &Project, steps: &[Step], stream: bool) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let title = format!("[{}/{}] {}: {}", at + 1, steps.len(), step.name, step.what);
        let begin = Instant::now();
        let result = match obstacle(step, &outcomes) {
            Some(obstacle) => Err(obstacle),
            None => run_one(project, step, &title, stream),
        };
        let outcome = Outcome { name: step.name, duration: begin.elapsed(), failure: result.err() };
        report(&title, &outcome);
        outcomes.push(outcome);
    }
    outcomes
}

/// Why a step cannot even begin.
fn obstacle(step: &Step, outcomes: &[Outcome]) -> Option<String> {
    let failed = outcomes
        .iter()
        .find(|outcome| outcome.failure.is_some() && step.needs.contains(&outcome.name))
        .map(|outcome| format!("it needs the step {}, which failed", outcome.name));
    failed.or_else(|| step.tools.iter().find_map(|tool| tool.missing()))
}

fn run_one(project: &Project, step: &Step, title: &str, stream: bool) -> Result<(), String> {
    if stream {
        println!("\n{}", style(title).bold());
        return (step.run)(project, &Log::Out).map_err(|error| format!("{error:#}"));
    }
    let spinner = ProgressBar::new_spinner().with_message(title.to_owned());
    if let Ok(template) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        spinner.set_style(template);
    }
    spinner.enable_steady_tick(Duration::from_millis(120));
    let path = project.target(&format!("xtask/{}.log", step.name));
    let result = Log::file(path.clone()).and_then(|log| (step.run)(project, &log));
    spinner.finish_and_clear();
    result.map_err(|error| {
        let log = fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let shown = lines.get(lines.len().saturating_sub(LOG_LINES_SHOWN)..).unwrap_or_default();
        format!("{}\n{error:#}\nthe whole log is {}", shown.join("\n"), path.display())
    })
}

fn report(title: &str, outcome: &Outcome) {
    let seconds = outcome.duration.as_secs_f64();
    match &outcome.failure {
        None => println!("{} {title} ({seconds:.1} s)", style("passed").green()),
        Some(failure) => println!("{} {title} ({seconds:.1} s)\n{failure}", style("FAILED").red().bold()),
    }
}

/// Prints every step with its time, then the counts alone on the last line. An error when a step failed.
pub(crate) fn sum_up(outcomes: &[Outcome]) -> Result<()> {
    println!("\n{:>3}  {:<16} {:>9}  result", "", "step", "time");
    for (at, outcome) in outcomes.iter().enumerate() {
        let result = match outcome.failure {
            None => style("passed").green(),
            Some(_) => style("FAILED").red().bold(),
        };
        let seconds = outcome.duration.as_secs_f64();
        println!("{:>3}  {:<16} {seconds:>7.1} s  {result}", at + 1, outcome.name);
    }
    let total: Duration = outcomes.iter().map(|outcome| outcome.duration).sum();
    let failed: Vec<_> =
        outcomes.iter().filter(|outcome| outcome.failure.is_some()).map(|outcome| outcome.name).collect();
    println!("     {:<16} {:>7.1} s\n", "total", total.as_secs_f64());
    println!("{} passed, {} failed", outcomes.len() - failed.len(), failed.len());
    if !failed.is_empty() {
        bail!("failed: {}; run one alone with --only <step>", failed.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[Step] = &[
        Step { name: "build", what: "", tools: &[], needs: &[], run: |_, _| bail!("no compiler") },
        Step { name: "other", what: "", tools: &[], needs: &[], run: |_, log| log.say("fine") },
        Step { name: "test", what: "", tools: &[], needs: &["build"], run: |_, _| Ok(()) },
    ];

    #[test]
    fn a_named_step_brings_what_it_needs() {
        let names = |only: &[&str]| {
            let only: Vec<_> = only.iter().map(ToString::to_string).collect();
            select(STEPS, &only).map(|steps| steps.iter().map(|step| step.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap(), ["build", "other", "test"]);
        assert_eq!(names(&["test"]).unwrap(), ["build", "test"]);
        assert!(names(&["tset"]).unwrap_err().to_string().contains("build, other, test"));
    }

    #[test]
    fn a_failure_stops_only_what_needs_it_and_fails_the_run() {
        let project = Project::find().unwrap();
        let outcomes = run(&project, STEPS, true);
        let failures: Vec<_> =
            outcomes.iter().map(|outcome| outcome.failure.clone().unwrap_or_default()).collect();
        assert_eq!(failures, ["no compiler", "", "it needs the step build, which failed"]);
        assert_eq!(sum_up(&outcomes).unwrap_err().to_string().find("failed: build, test"), Some(0));
        assert!(sum_up(&run(&project, &STEPS[1..2], true)).is_ok());
    }
}
