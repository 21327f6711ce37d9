//! The last segment is cut at every length and every byte of a small database is flipped: opening and reading give a
//! typed error or correct data; never a wrong value, a panic, a hang, or memory that a damaged length asks for.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail like the test")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use opendb::{AppendMode, OpenDB, Options};
use opendb_tests::allocation::{Watched, largest_bytes};
use opendb_tests::damage::{
    Base, damage_or, make, read_content, read_damaged, read_files, try_remains, write_files,
};
use opendb_tests::watch::Watch;
use opendb_tests::{Failure, Outcome, place};

#[global_allocator]
static WATCHED: Watched = Watched;

/// Threads that try cases.
const THREADS: usize = 2;
/// Every how manieth byte is tried inside long runs of equal or patterned bytes (zeros that were only allocated, the
/// middles of the two long values).
const SAMPLE: usize = 509;
/// Every how manieth case is also tried with `read_damaged`.
const REMAINS_SAMPLE: usize = 5;
/// Largest piece of memory that may be asked for: far less than what a flipped bit of a length can name, far more than
/// what a database of some hundred KiB needs.
const ALLOCATION_BYTES_MAX: usize = 32 << 20;

/// One damage to one file.
#[derive(Debug, Clone)]
enum Damage {
    Cut(usize),
    Flip(usize, u8),
}

/// How the life of the database ended before its files were damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Closed in order.
    Closed,
    /// The process died after everything was synced: nothing follows that would tell of it.
    Synced,
    /// The process died behind commits that were not synced.
    Writing,
}

const ENDINGS: [Ending; 3] = [Ending::Closed, Ending::Synced, Ending::Writing];

#[test]
fn a_cleanly_closed_database() {
    every_damage(AppendMode::Mapped, Ending::Closed);
    every_damage(AppendMode::Write, Ending::Closed);
}

#[test]
fn a_database_that_was_synced_and_not_closed() {
    every_damage(AppendMode::Mapped, Ending::Synced);
    every_damage(AppendMode::Write, Ending::Synced);
}

#[test]
fn a_database_that_was_being_written_to() {
    every_damage(AppendMode::Mapped, Ending::Writing);
    every_damage(AppendMode::Write, Ending::Writing);
}

#[test]
fn without_damage_everything_is_there() {
    for append in [AppendMode::Mapped, AppendMode::Write] {
        for ending in ENDINGS {
            let base = base(append, ending);
            let directory = place::in_memory().unwrap();
            write_files(directory.path(), &base.files).unwrap();
            let database = OpenDB::open_with_options(directory.path(), options(append)).unwrap();
            let content = read_content(&database).unwrap();
            // A copy of a directory in use holds everything that was written before the copy.
            assert_eq!(Some(&content), base.states.last(), "{append:?}, {ending:?}");
            assert_eq!(
                database.stats().unwrap().keys,
                content.values().map(|space| space.len() as u64).sum()
            );
        }
    }
}

fn options(append: AppendMode) -> Options {
    Options::new().append(append).segment_bytes(65536).cache_bytes(1 << 20)
}

/// Makes the database, and copies its directory after the close or in the middle of its life.
fn base(append: AppendMode, ending: Ending) -> Base {
    let directory = place::in_memory().unwrap();
    let database = OpenDB::open_with_options(directory.path(), options(append)).unwrap();
    let mut base = Base { files: BTreeMap::new(), states: Vec::new(), history: BTreeMap::new() };
    make(&database, |synced| {
        let content = read_content(&database)?;
        for (name, space) in &content {
            for (key, value) in space {
                base.history.entry((name.clone(), key.clone())).or_default().insert(value.clone());
            }
        }
        if synced {
            base.states.clear();
        }
        base.states.push(content);
        Ok(())
    })
    .unwrap();
    match ending {
        Ending::Closed => database.close().unwrap(),
        Ending::Synced => database.flush().unwrap(),
        Ending::Writing => {}
    }
    if ending != Ending::Writing {
        let last = base.states.pop().unwrap();
        base.states = vec![last];
    }
    base.files = read_files(directory.path()).unwrap();
    assert!(base.files.keys().any(|name| is_segment(name)), "no segment among {:?}", base.files.keys());
    base
}

fn is_segment(name: &Path) -> bool {
    name.extension().is_some_and(|extension| extension == "segment")
}

fn every_damage(append: AppendMode, ending: Ending) {
    let base = base(append, ending);
    let cases = cases(&base);
    println!("{append:?}, {ending:?}: {} cases", cases.len());
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let findings = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((at, (name, damage))) = take(&next, &cases) {
                    let watch = Watch::start(&format!("{} {damage:?}", name.display()));
                    let result = catch_unwind(AssertUnwindSafe(|| try_case(&base, append, at, name, damage)));
                    drop(watch);
                    let result = result.unwrap_or_else(|_| Err(Failure("a panic".to_owned())));
                    if let Err(failure) = result {
                        findings.lock().unwrap().push((format!("{} {damage:?}", name.display()), failure));
                    }
                }
            });
        }
    });
    println!("{} cases in {} ms", cases.len(), began.elapsed().as_millis());
    let findings = findings.into_inner().unwrap();
    assert!(
        findings.is_empty(),
        "{append:?}, {ending:?}: {} of {} cases:\n{}",
        findings.len(),
        cases.len(),
        summary(findings)
    );
    let largest = largest_bytes();
    assert!(largest < ALLOCATION_BYTES_MAX, "a damaged file asked for {largest} bytes at once");
}

/// One line for each finding of a kind, with the cases that show it.
fn summary(findings: Vec<(String, Failure)>) -> String {
    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (case, failure) in findings {
        kinds.entry(failure.0).or_default().push(case);
    }
    let lines = kinds.into_iter().map(|(failure, mut cases)| {
        cases.sort();
        format!(
            "{} times {failure}: {}",
            cases.len(),
            cases.into_iter().take(12).collect::<Vec<_>>().join(", ")
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn take<'a>(next: &AtomicUsize, cases: &'a [(PathBuf, Damage)]) -> Option<(usize, &'a (PathBuf, Damage))> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    Some((at, cases.get(at)?))
}

/// Every length of the last segment; every byte of every file that holds data.
fn cases(base: &Base) -> Vec<(PathBuf, Damage)> {
    let mut cases = Vec::new();
    let segments: Vec<_> = base.files.keys().filter(|name| is_segment(name)).collect();
    for (name, bytes) in &base.files {
        let places: Vec<usize> = (0..bytes.len()).filter(|at| is_tried(bytes, *at)).collect();
        if Some(&name) == segments.last() {
            cases.extend(places.iter().map(|at| (name.clone(), Damage::Cut(*at))));
        }
        // One bit in each byte, another one from byte to byte.
        cases.extend(places.iter().map(|at| (name.clone(), Damage::Flip(*at, 1 << (at % 8)))));
    }
    cases
}

/// Whether a place is tried: all of those near structure, a sample of long runs of data or of nothing.
fn is_tried(bytes: &[u8], at: usize) -> bool {
    if at.is_multiple_of(SAMPLE) {
        return true;
    }
    let around = &bytes[at.saturating_sub(64)..(at + 64).min(bytes.len())];
    let is_empty = around.iter().all(|byte| *byte == 0);
    // The middles of the long values look random: no short run of zeros, such as every header has, is near.
    let is_middle = around.len() == 128 && !around.windows(2).any(|pair| pair == [0, 0]);
    !is_empty && !is_middle
}

fn damaged(base: &Base, name: &Path, damage: &Damage) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = base.files.clone();
    let bytes = files.get_mut(name).unwrap();
    match damage {
        Damage::Cut(length) => bytes.truncate(*length),
        Damage::Flip(at, bits) => bytes[*at] ^= bits,
    }
    files
}

fn try_case(base: &Base, append: AppendMode, at: usize, name: &Path, damage: &Damage) -> Outcome<()> {
    let files = damaged(base, name, damage);
    let directory = place::in_memory()?;
    write_files(directory.path(), &files)?;
    if at.is_multiple_of(REMAINS_SAMPLE) {
        try_remains(base, options(append), directory.path(), &files)?;
    }
    let Some(database) = damage_or(OpenDB::open_with_options(directory.path(), options(append)))? else {
        return Ok(());
    };
    read_damaged(&database, base)?.check(base)?;
    // What was shown once stays: after a close and a second opening it is of the same states.
    if damage_or(database.close())?.is_none() || !at.is_multiple_of(REMAINS_SAMPLE) {
        return Ok(());
    }
    match damage_or(OpenDB::open_with_options(directory.path(), options(append)))? {
        Some(database) => read_damaged(&database, base)?.check(base),
        None => Ok(()),
    }
}
