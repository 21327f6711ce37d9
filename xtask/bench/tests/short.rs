//! Every row of OpenDB and of LMDB at a tiny size. Nothing that is measured here means anything; what counts is that each row
//! comes out with checked answers, and that what a run writes can be read.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Rows that LMDB and OpenDB have no call for.
const WITHOUT_CALL: [&str; 1] = ["get-many"];

fn bench(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_opendb-bench"));
    command.arg("--directory").arg(directory.join("stores")).arg("--results").arg(directory.join("results"));
    command.args(["--keys", "2000", "--rounds", "1", "--seconds", "0.01"]).args(arguments);
    command
}

fn results(directory: &Path) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(directory.join("results/results.json")).ok()?).ok()
}

#[test]
fn every_row_comes_out_for_opendb_and_lmdb() {
    let directory = tempfile::tempdir().unwrap();
    let stores = ["--stores", "opendb,lmdb,lmdb-writemap,btreemap,hashmap,file"];
    let output = bench(directory.path(), &stores).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let results = results(directory.path()).expect("reading results.json");
    let rows: BTreeSet<&str> =
        results["rows"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
    let samples = results["samples"].as_array().unwrap();
    let failed: Vec<&Value> = samples.iter().filter(|sample| sample.get("failed").is_some()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    for store in ["opendb", "lmdb", "lmdb-writemap"] {
        let measured =
            samples.iter().filter(|sample| sample["store"] == store && sample.get("lacks").is_none());
        let mut measured: BTreeSet<&str> = measured.map(|sample| sample["row"].as_str().unwrap()).collect();
        measured.extend(WITHOUT_CALL);
        assert_eq!(measured, rows, "{store}");
    }
    let floor = samples.iter().any(|sample| sample["store"] == "file" && sample["row"] == "durable-put-1");
    assert!(floor, "durable writes have no floor");
    assert!(results["ratios_to_best_other"]["get-uniform"].as_f64().unwrap() > 0.0);
    assert!(results["machine"]["filesystem"].is_string());
    assert_eq!(directory.path().join("stores").read_dir().unwrap().count(), 0, "stores were left behind");
    for chart in ["writes", "reads", "scans", "transactions", "ycsb", "footprint"] {
        let text = std::fs::read_to_string(directory.path().join(format!("results/{chart}.svg"))).unwrap();
        assert!(text.contains("OpenDB") && text.contains("LMDB"), "{chart}");
    }
    for table in ["results.md", "summary.md"] {
        let text = std::fs::read_to_string(directory.path().join("results").join(table)).unwrap();
        assert!(text.contains("| OpenDB |") && text.contains("put, new keys at random"), "{table}");
    }
}

#[test]
fn only_what_was_asked_for_is_measured_and_a_ratio_can_fail_a_run() {
    let directory = tempfile::tempdir().unwrap();
    let only = ["--stores", "opendb,lmdb", "--only", "get,delete"];
    assert!(bench(directory.path(), &only).output().unwrap().status.success());
    let results = results(directory.path()).expect("reading results.json");
    let groups: BTreeSet<&str> =
        results["rows"].as_array().unwrap().iter().map(|row| row["group"].as_str().unwrap()).collect();
    assert_eq!(groups, ["Deletes", "Gets"].into());
    let strict = [&only[..], &["--ratio-max", "0.000001"]].concat();
    assert!(!bench(directory.path(), &strict).output().unwrap().status.success());
    assert!(!bench(directory.path(), &["--stores", "nobody"]).output().unwrap().status.success());
}
