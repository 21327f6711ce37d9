//! Databases of closed and of killed lives rot: bits flip, sectors are lost, files are cut, mixed up and removed. Whatever is
//! read of what is left is right, or an error that names the place; nothing is made up, nobody panics or hangs, and no damaged
//! length is believed.
//!
//! # What is checked of each mutation
//! - Opened in order, everything that is read is of one state: the last one of a closed life, one from the last sync on of a
//!   killed one. Where damage also took the mark that tells of the last sync, any state of that life will do.
//! - Where nothing but checkpoints, runs, hints, moves, the lock and the reserve was touched, or files were added, it opens, and
//!   everything is there. Parts of checkpoints and runs are read only when they are needed: what needs them may be refused
//!   then, and the next opening has all of it.
//! - Where one segment alone was touched, errors of corruption name that one, and `verify` finds something wherever a read did.
//! - An opening that is refused has cut and removed nothing.
//! - Opened for reading what is left, every value is one that its key had, every write is refused, and no file is changed.
//! - Of salvage see [`remains`].
//!
//! A case is a function of the seed and its number, but for the identities of the databases, which are random: so the salts of
//! their checksums, and with them the damaged bytes, are others in each run. A directory that failed is kept and named.

pub(super) mod hostile;
mod lives;
mod mutation;
mod remains;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use opendb::{AppendMode, ErrorKind, OpenDB, Options};
use opendb_tests::allocation::{forget, largest_bytes};
use opendb_tests::damage::{Findings, damage_or, read_damaged, read_files, try_remains, write_files};
use opendb_tests::random::Random;
use opendb_tests::watch::Watch;
use opendb_tests::{Failure, Outcome, place};

use crate::panics;
use crate::plan::{Plan, Tally};
use lives::{Life, lives};
use remains::Remains;

/// Threads that try cases.
const THREADS: u64 = 2;
/// Largest piece of memory that may be asked for at once: far less than what a flipped bit of a length can name, far more than
/// what databases of some MiB need.
const ALLOCATION_BYTES_MAX: usize = 32 << 20;
/// How seldom a case is also read as it is, salvaged, and opened once more after its close.
const READ_AS_IT_IS: u64 = 4;
const SALVAGED: u64 = 3;
const OPENED_AGAIN: u64 = 4;

/// What a case came to, by the names under which it is counted.
type Counts = Vec<&'static str>;

/// Tries what may be done with one damaged directory, and gives what is counted of it.
type Try<'a> = &'a (dyn Fn(&Life, &BTreeMap<PathBuf, Vec<u8>>, &mut Random) -> Outcome<Counts> + Sync);

/// Damages as often as is wanted.
pub(super) fn run(plan: &Plan, tally: &mut Tally) -> Outcome<()> {
    let remains = Remains::default();
    each_case(plan, tally, &|life, files, random| try_case(life, &remains, files, random))
}

/// Damages lives as often as is wanted, and tries each case.
fn each_case(plan: &Plan, tally: &mut Tally, try_one: Try<'_>) -> Outcome<()> {
    let lives = lives(plan.seed)?;
    forget();
    let (next, is_over, before) = (AtomicU64::new(0), AtomicBool::new(false), panics());
    let (tally, finding) = (Mutex::new(tally), Mutex::new(None));
    let work = || {
        while !is_over.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= plan.iterations {
                break;
            }
            match try_number(&lives, try_one, (plan.seed, number), before) {
                Ok(counts) => {
                    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                    counts.into_iter().for_each(|name| tally.add(name, 1));
                }
                Err(failure) => {
                    is_over.store(true, Ordering::Relaxed);
                    finding.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
                }
            }
        }
    };
    std::thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(work))));
    match finding.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// One case. What it finds tells the life, the damage and where the damaged files are.
fn try_number(
    lives: &[Life],
    try_one: Try<'_>,
    (seed, number): (u64, u64),
    panics_before: u64,
) -> Outcome<Counts> {
    let mut random = Random::new(seed ^ Random::new(number).bits());
    let at = random.index(lives.len());
    let life = lives.get(at).ok_or("there is no life to damage")?;
    let (files, told) = mutation::mutate(&mut random, at, lives);
    let case = format!("case {number} of seed {seed}, {}: {}", life.name, told.join("; "));
    let watch = Watch::start(&case);
    let tried = catch_unwind(AssertUnwindSafe(|| try_one(life, &files, &mut random)));
    drop(watch);
    let tried = tried.unwrap_or_else(|_| Err("a panic, told above".into()));
    // Of whichever thread, those of the background included.
    let tried = match panics() == panics_before {
        true => tried,
        false => Err("somebody panicked, as is told above".into()),
    };
    let tried = tried.and_then(|counts| match largest_bytes() {
        bytes if bytes > ALLOCATION_BYTES_MAX => {
            Err(Failure(format!("{bytes} bytes were asked for at once")))
        }
        _ => Ok(counts),
    });
    tried.map_err(|failure| {
        let kept = place::temporary().map(tempfile::TempDir::keep);
        let kept = kept.and_then(|kept| write_files(&kept, &files).map(|()| kept.display().to_string()));
        let kept = kept.unwrap_or_else(|failure| format!("nowhere: {failure}"));
        Failure(format!("{case}\n{failure}\nthe damaged files are in {kept}"))
    })
}

/// What was touched.
#[derive(Debug)]
struct Damage {
    /// Files that are gone or have other bytes.
    changed: BTreeSet<PathBuf>,
}

impl Damage {
    fn of(life: &Life, files: &BTreeMap<PathBuf, Vec<u8>>) -> Damage {
        let is_changed = |entry: &(&PathBuf, &Vec<u8>)| files.get(entry.0) != Some(entry.1);
        let changed = life.base.files.iter().filter(is_changed).map(|(name, _)| name.clone());
        Damage { changed: changed.collect() }
    }

    /// Whether everything is still there that is not made anew from the rest.
    fn spares_the_truth(&self) -> bool {
        !self.changed.iter().any(|name| is_truth(name) || name == Path::new("DURABLE"))
    }

    /// The segment that was touched, where it is the only thing.
    fn only_segment(&self) -> Option<u64> {
        let name = self.changed.first().filter(|_| self.changed.len() == 1)?;
        let serial = name.to_str()?.strip_suffix(".segment")?;
        u64::from_str_radix(serial, 16).ok()
    }

    /// Whether what is left may not tell how far the log had been synced.
    fn hides_the_last_sync(&self) -> bool {
        self.changed.contains(Path::new("DURABLE")) && self.changed.len() > 1
    }
}

/// Whether a file holds what no other one holds.
fn is_truth(name: &Path) -> bool {
    name == Path::new("MANIFEST") || name.extension().is_some_and(|extension| extension == "segment")
}

fn options(random: &mut Random) -> Options {
    let append = if random.one_in(2) { AppendMode::Mapped } else { AppendMode::Write };
    Options::new().append(append).mapped_reads(random.one_in(2)).segment_bytes(65536).cache_bytes(1 << 20)
}

fn try_case(
    life: &Life,
    remains: &Remains,
    files: &BTreeMap<PathBuf, Vec<u8>>,
    random: &mut Random,
) -> Outcome<Counts> {
    let damage = Damage::of(life, files);
    let directory = place::in_memory()?;
    let (path, options) = (directory.path(), options(random));
    write_files(path, files)?;
    let mut counts = vec!["mutations"];
    if random.one_in(READ_AS_IT_IS) && try_remains(&life.base, options.clone(), path, files)? {
        counts.push("read as they were");
    }
    if random.one_in(SALVAGED) && remains.try_salvage(life, &damage, path, files)? {
        counts.push("salvaged");
    }
    let opened = OpenDB::open_with_options(path, options.clone());
    if let Err(error) = &opened {
        check_refusal(&damage, error)?;
    }
    let Some(database) = damage_or(opened)? else {
        check_kept(life, files, path)?;
        counts.push("refused");
        return Ok(counts);
    };
    let is_whole = read_in_order(life, &damage, &database)?;
    counts.push(if is_whole { "opened and whole" } else { "opened with errors for parts" });
    let is_closed = damage_or(database.close())?.is_some();
    if damage.spares_the_truth() && !is_whole {
        // What is read only when it is needed was found to be damaged, and is made anew.
        if !read_in_order(life, &damage, &OpenDB::open_with_options(path, options)?)? {
            return Err(
                "the second opening shows errors still, though nothing that is needed is damaged".into()
            );
        }
        counts.push("whole when opened again");
    } else if is_closed
        && random.one_in(OPENED_AGAIN)
        && let Some(database) = damage_or(OpenDB::open_with_options(path, options))?
    {
        // What was shown once stays.
        read_in_order(life, &damage, &database)?;
        counts.push("opened again");
    }
    Ok(counts)
}

/// An opening was refused: only for what is needed, and with the name of what is damaged.
fn check_refusal(damage: &Damage, error: &opendb::Error) -> Outcome<()> {
    if damage.spares_the_truth() {
        return Err(Failure(format!("refused, though nothing that is needed is damaged: {error}")));
    }
    match (damage.only_segment(), error) {
        (Some(touched), opendb::Error::Corruption { segment, .. }) if *segment != touched => {
            Err(Failure(format!("segment {touched} is damaged, and another one is named: {error}")))
        }
        _ => Ok(()),
    }
}

/// An opening that was refused has cut and removed nothing of what there was to know.
fn check_kept(life: &Life, files: &BTreeMap<PathBuf, Vec<u8>>, path: &Path) -> Outcome<()> {
    let left = read_files(path)?;
    let is_kept = |name: &PathBuf| match (files.get(name), left.get(name)) {
        (Some(before), Some(after)) => after.starts_with(before),
        (before, _) => before.is_none(),
    };
    match life.base.files.keys().filter(|name| is_truth(name)).find(|name| !is_kept(name)) {
        Some(name) => {
            Err(Failure(format!("{} was cut or removed by an opening that was refused", name.display())))
        }
        None => Ok(()),
    }
}

/// Reads everything of a database that has opened, and has it verified. Whether nothing was refused.
fn read_in_order(life: &Life, damage: &Damage, database: &OpenDB) -> Outcome<bool> {
    let findings = read_damaged(database, &life.base)?;
    let checked = findings.check(&life.base);
    if checked.is_err() && !(damage.hides_the_last_sync() && life.had(&findings)) {
        checked?;
    }
    let verified = damage_or(database.verify())?;
    let told = verified.map(|verification| verification.violations.iter().map(|one| one.segment).collect());
    check_places(damage, &findings, told.as_ref())?;
    Ok(findings.refusals.is_empty())
}

/// What reads have refused and what `verify` tells, unless it is refused itself, go together, and name what is damaged.
fn check_places(damage: &Damage, findings: &Findings, told: Option<&BTreeSet<u64>>) -> Outcome<()> {
    let refusals = &findings.refusals;
    let both = format!("reads: {refusals:?}, segments named by verify: {told:?}");
    let is_of_storage = |refusal: &(ErrorKind, u64)| refusal.0 == ErrorKind::Storage;
    let tells_something = told.is_none_or(|told| !told.is_empty());
    if damage.spares_the_truth() {
        if refusals.iter().all(is_of_storage) && told.is_none_or(BTreeSet::is_empty) {
            return Ok(());
        }
        return Err(Failure(format!("nothing that is needed is damaged, and yet: {both}")));
    }
    if !refusals.is_empty() && !tells_something {
        return Err(Failure(format!("a read was refused, and verify finds nothing: {both}")));
    }
    let Some(touched) = damage.only_segment() else { return Ok(()) };
    let names_another =
        |(kind, segment): &(ErrorKind, u64)| *kind == ErrorKind::Corruption && *segment != touched;
    let verify_names_another = told.is_some_and(|told| !told.is_empty() && !told.contains(&touched));
    if refusals.iter().any(names_another) || verify_names_another {
        return Err(Failure(format!("segment {touched} alone is damaged, and another one is named: {both}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damage(names: &[&str]) -> Damage {
        Damage { changed: names.iter().map(PathBuf::from).collect() }
    }

    #[test]
    fn what_may_be_missing_is_told_from_what_may_not() {
        assert!(damage(&[]).spares_the_truth());
        assert!(damage(&["LOCK", "0000000000000001.run", "0000000000000003.hint"]).spares_the_truth());
        assert!(!damage(&["LOCK", "MANIFEST"]).spares_the_truth());
        assert_eq!(damage(&["000000000000001f.segment"]).only_segment(), Some(31));
        assert_eq!(damage(&["000000000000001f.segment", "LOCK"]).only_segment(), None);
        assert!(damage(&["DURABLE", "000000000000001f.segment"]).hides_the_last_sync());
        assert!(!damage(&["DURABLE"]).hides_the_last_sync());
    }

    #[test]
    fn errors_have_to_name_what_is_damaged() {
        let error = |segment| opendb::Error::Corruption { segment, offset: 0, reason: "damaged".to_owned() };
        let segment = damage(&["000000000000001f.segment"]);
        assert_eq!(check_refusal(&segment, &error(31)), Ok(()));
        assert!(check_refusal(&segment, &error(30)).is_err());
        assert!(check_refusal(&damage(&["LOCK"]), &error(31)).is_err());
        let found = |refusals: &[(ErrorKind, u64)]| {
            let mut findings = Findings::default();
            findings.refusals.extend(refusals);
            findings
        };
        let refused = found(&[(ErrorKind::Corruption, 31)]);
        assert_eq!(check_places(&segment, &refused, Some(&BTreeSet::from([31]))), Ok(()));
        assert!(check_places(&segment, &refused, Some(&BTreeSet::new())).is_err());
        let other = found(&[(ErrorKind::Corruption, 4)]);
        assert!(check_places(&segment, &other, Some(&BTreeSet::from([31]))).is_err());
        let (run, nothing) = (damage(&["0000000000000001.run"]), BTreeSet::new());
        assert_eq!(check_places(&run, &found(&[(ErrorKind::Storage, 0)]), Some(&nothing)), Ok(()));
        assert!(check_places(&run, &refused, Some(&nothing)).is_err());
    }
}
