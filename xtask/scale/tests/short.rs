//! Every figure in its short form. Nothing that is measured here means anything; what counts is that each figure comes out.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Figures and how many lines each of them prints.
const LINES: [(&str, usize); 9] = [
    ("load", 3),
    ("open", 3),
    ("scan", 5),
    ("churn", 4),
    ("latency", 5),
    ("history", 1),
    ("hot-key", 3),
    ("memory-limit", 9),
    ("readers", 6),
];

fn scale(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_opendb-scale"));
    command.args(arguments);
    command
}

#[test]
fn every_figure_comes_out_as_lines_of_json() {
    let directory = tempfile::tempdir().unwrap();
    let output = scale(&["all", "--short", "--directory"])
        .arg(directory.path())
        .output()
        .expect("starting the figures");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut lines = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        check(&line);
        *lines.entry(line["figure"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    let wanted: BTreeMap<String, usize> =
        LINES.into_iter().map(|(figure, lines)| (figure.to_owned(), lines)).collect();
    assert_eq!(lines, wanted);
    assert_eq!(directory.path().read_dir().unwrap().count(), 0, "databases were left behind");
}

fn check(line: &Value) {
    assert!(line["measured"].is_string() && line["unit"].is_string(), "{line}");
    assert!(line["parameters"].is_object() && line["details"].is_object(), "{line}");
    assert!(line["available"].is_boolean(), "{line}");
    let available = line["available"] == true;
    assert_eq!(line["value"].is_number(), available, "{line}");
    assert_eq!(line["unavailable"].is_string() || line["skipped"].is_string(), !available, "{line}");
    if line["target"].is_number() {
        assert!(line["bound"].is_string(), "{line}");
        assert_eq!(line["met"].is_boolean(), available, "{line}");
    }
}

#[test]
fn only_a_strict_run_fails_for_a_missed_target() {
    let directory = tempfile::tempdir().unwrap();
    // A handful of keys cannot make up for the smallest tables of the index's shards.
    let load = ["load", "--short", "--keys", "10", "--directory"];
    let output = scale(&load).arg(directory.path()).output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("\"met\":false"));
    let output = scale(&load).arg(directory.path()).arg("--strict").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
