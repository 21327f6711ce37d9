//! The program, run as one runs it.
#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use opendb::OpenDB;
use tempfile::tempdir;

fn run<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>, input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_opendb"));
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that ends before it has read everything is a test of its own.
    let _written = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Output of a command that has to end with this code.
fn output(words: &[&str], input: &[u8], code: i32) -> String {
    let output = run(words, input);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{words:?}: {errors}");
    String::from_utf8(if code == 3 { errors.into_bytes() } else { output.stdout }).unwrap()
}

fn path(directory: &Path) -> &str {
    directory.to_str().unwrap()
}

#[test]
fn keys_and_values_in_every_form() {
    let directory = tempdir().unwrap();
    let db = path(directory.path());
    output(&["put", db, "user:1", "Ada"], b"", 0);
    output(&["put", db, "user:2"], b"from\nstdin\0\xff", 0);
    output(&["put", db, "--hex", "00ff", "c3a4"], b"", 0);
    output(&["put", db, "--keyspace", "logs", "w\u{f6}rter", "\u{200b}text"], b"", 0);
    assert_eq!(output(&["get", db, "user:1"], b"", 0), "Ada");
    assert_eq!(run(["get", db, "user:2"], b"").stdout, b"from\nstdin\0\xff");
    assert_eq!(output(&["get", db, "--hex", "00ff"], b"", 0), "c3a4\n");
    assert_eq!(output(&["get", db, "absent"], b"", 1), "");
    assert_eq!(output(&["get", db, "--json", "absent"], b"", 1), "{\"value\":null}\n");
    assert_eq!(
        output(&["scan", db], b"", 0),
        "\\x00\\xff\t\u{e4}\nuser:1\tAda\nuser:2\tfrom\\nstdin\\x00\\xff\n"
    );
    assert_eq!(output(&["scan", db, "--keyspace", "logs"], b"", 0), "w\u{f6}rter\t\\xe2\\x80\\x8btext\n");
    assert_eq!(output(&["scan", db, "--prefix", "user:", "--reverse", "--keys"], b"", 0), "user:2\nuser:1\n");
    assert_eq!(
        output(&["scan", db, "--start", "75", "--hex", "--limit", "1"], b"", 0),
        "757365723a31\t416461\n"
    );
    assert_eq!(output(&["keyspaces", db], b"", 0), "default\t3\nlogs\t1\n");
    output(&["delete", db, "user:1"], b"", 0);
    output(&["delete", db, "user:1"], b"", 1);
}

#[test]
fn a_dump_comes_back_and_a_wrong_line_is_told_with_its_number() {
    let (from, to) = (tempdir().unwrap(), tempdir().unwrap());
    let db = OpenDB::open(from.path()).unwrap();
    (0..2500_u32).for_each(|key| db.put(&key.to_be_bytes(), &vec![key as u8; key as usize % 50]).unwrap());
    db.keyspace("other").unwrap().put(b"\xff", b"value").unwrap();
    let dumped = output(&["dump", path(from.path())], b"", 0);
    assert_eq!(dumped.lines().count(), 2501);
    output(&["load", path(to.path())], dumped.as_bytes(), 0);
    assert_eq!(output(&["dump", path(to.path())], b"", 0), dumped);
    for wrong in ["no json", "[]", "{\"key\": \"AP8=\"}", "{\"key\": \"AP8=\", \"value\": \"?\"}", "\u{0}"] {
        let third = tempdir().unwrap();
        let lines = format!("{{\"key\": \"YQ==\", \"value\": \"\"}}\n\n{wrong}\n");
        let told = output(&["load", path(third.path())], lines.as_bytes(), 3);
        assert!(told.contains("1 entries loaded") && told.contains("line 3 is no entry"), "{told}");
        assert_eq!(output(&["scan", path(third.path())], b"", 0), "a\t\n", "what stands before it is there");
    }
}

#[test]
fn damage_is_found_salvaged_and_the_rest_kept() {
    let directory = tempdir().unwrap();
    let (db, salvaged, backup) =
        (directory.path().join("db"), directory.path().join("salvaged"), directory.path().join("backup"));
    let (db, salvaged, backup) = (path(&db), path(&salvaged), path(&backup));
    let filled = OpenDB::open(db).unwrap();
    (0..1000_u32).for_each(|key| filled.put(&key.to_be_bytes(), &[7; 100]).unwrap());
    filled.close().unwrap();
    assert!(output(&["verify", db], b"", 0).contains("1000 keys in"));
    assert!(output(&["backup", db, backup], b"", 0).contains("sequence: 1000\n"));
    let files = fs::read_dir(db).unwrap().map(|entry| entry.unwrap().path());
    let segment = files.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[20_000] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let told = output(&["verify", db], b"", 1);
    assert!(told.contains("salvage makes a new database"), "{told}");
    let told = output(&["salvage", db, salvaged], b"", 1);
    assert!(told.contains("keys: 999\n") && told.contains("lost: "), "{told}");
    assert!(output(&["verify", salvaged], b"", 0).contains("999 keys in"));
    assert!(output(&["compact", backup, "--json"], b"", 0).contains("segments_removed"));
    assert!(output(&["stat", backup], b"", 0).contains("keys: 1000\n"));
}

#[test]
fn a_database_that_somebody_writes_to_is_read_beside_and_not_written_to() {
    let directory = tempdir().unwrap();
    let db = path(directory.path());
    let writer = OpenDB::open(directory.path()).unwrap();
    writer.put(b"key", b"value").unwrap();
    assert_eq!(output(&["get", db, "key"], b"", 0), "value");
    let told = output(&["put", db, "key", "other"], b"", 3);
    assert!(told.contains(&std::process::id().to_string()), "the holder is named: {told}");
    writer.close().unwrap();
    output(&["put", db, "--lock-timeout", "5", "key", "other"], b"", 0);
}

#[test]
fn whoever_reads_may_stop() {
    let directory = tempdir().unwrap();
    let db = OpenDB::open(directory.path()).unwrap();
    (0..20_000_u32).for_each(|key| db.put(&key.to_be_bytes(), &[0; 100]).unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_opendb"));
    command.args(["dump", path(directory.path())]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(3), Vec::new()));
}

#[test]
fn a_wrong_command_line_is_told_apart_from_an_error() {
    for words in [&[][..], &["fly"], &["get"], &["scan", "db", "--limit", "x"], &["stat", ""]] {
        let output = run(words, b"");
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(!output.stderr.is_empty());
    }
    assert!(output(&["get", "/absent", "key"], b"", 3).contains("/absent; check the path"));
    assert!(output(&["put", "/absent", "--hex", "0", "0"], b"", 3).contains("not hexadecimal"));
    assert!(output(&["--version"], b"", 0).starts_with("opendb "));
}
