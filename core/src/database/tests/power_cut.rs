//! Power cuts and deaths of the process at random moments, over several lives: the state must always be the one after
//! a prefix of the commits, with everything that was on the device, or written, respectively.
//!
//! `OPENDB_POWER_CUTS` sets how many lines of lives are gone through, `OPENDB_POWER_CUT_SEED` where they begin.

use std::sync::atomic::{AtomicBool, Ordering};

use super::model::{Driven, History, PATH, Random, all_options, open, open_image, options};
use crate::database::OpenDB;
use crate::disk::{Fault, SimulatedDisk};
use crate::options::Options;

const LIVES: usize = 3;
/// So many failing calls in a row are as good as the end of the process.
const FAULTS: usize = 400;

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn for_each_line(usual: u64, mut line: impl FnMut(u64)) {
    let first = setting("OPENDB_POWER_CUT_SEED", 1);
    for seed in first..first + setting("OPENDB_POWER_CUTS", usual) {
        line(seed);
    }
}

/// A disk without maps, or whose pages cannot be populated, now and then.
fn some_disk(random: &mut Random) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    disk.set_populates(!random.one_in(8));
    disk.set_maps(!random.one_in(8));
    disk
}

/// Lives for a while.
fn live(driven: &mut Driven, random: &mut Random, context: &str) {
    let most = if random.one_in(3) { 150 } else { 40 };
    let steps = 1 + random.below(most);
    for _ in 0..steps {
        if let Err(error) = driven.step(random) {
            panic!("a step failed: {error}, {context}");
        }
    }
}

/// An image of the disk as it is, and the least number of commits that must be in it.
fn image(driven: &Driven, random: &mut Random) -> (SimulatedDisk, usize, &'static str) {
    if random.one_in(4) {
        return (driven.disk.process_death(), driven.history.len(), "death of the process");
    }
    let durable = driven.durable();
    (driven.disk.crash(&mut || random.next()), durable, "power cut")
}

#[test]
fn every_image_is_a_prefix_of_the_commits_with_all_that_was_durable() {
    for_each_line(17, |seed| {
        let mut random = Random(seed);
        let disk = some_disk(&mut random);
        let mut driven = Driven::new(&disk, &options(&mut random));
        for life in 1..=LIVES {
            live(&mut driven, &mut random, &format!("seed {seed}, life {life}"));
            // An image to look at only, and the one that life goes on with.
            for goes_on in [false, true] {
                let (image, least, what) = image(&driven, &mut random);
                let context = format!("seed {seed}, life {life}, {what}");
                let (db, found) = open_image(&image, &options(&mut random), &driven.history, least, &context);
                if goes_on {
                    let mut history = driven.history.clone();
                    history.cut_to(found);
                    driven = Driven::on(&image, db, history);
                }
            }
            if random.one_in(4) {
                driven = closed_and_opened(driven, &mut random, &format!("seed {seed}, life {life}"));
            }
        }
    });
}

/// Closes in order, has the power cut, and opens again: all of it must be there, and known to be.
fn closed_and_opened(driven: Driven, random: &mut Random, context: &str) -> Driven {
    driven.db.close().unwrap();
    let (Driven { disk, mut history, db, .. }, context) = (driven, format!("{context}, closed"));
    drop(db);
    history.cut_to(history.len());
    let after_cut = if random.one_in(2) { disk.crash(&mut || random.next()) } else { disk };
    let (db, _) = open_image(&after_cut, &options(random), &history, history.len(), &context);
    assert!(db.stats().unwrap().recovery.clean, "{context}");
    Driven::on(&after_cut, db, history)
}

/// Opens, and has every call from the `after`-th on fail, as if the process had died there. `Some` if it had come
/// through before.
fn open_and_die(disk: &SimulatedDisk, options: &Options, after: u64) -> Option<OpenDB> {
    for _ in 0..FAULTS {
        disk.fail_after(Fault::any_after(after, std::io::ErrorKind::Other));
    }
    let opened = open(disk, options);
    if let Err(error) = &opened {
        assert!(!matches!(error, crate::Error::Corruption { .. }), "call {after}: {error}");
    }
    opened.ok()
}

#[test]
fn a_recovery_that_dies_anywhere_starts_over_and_loses_nothing() {
    for_each_line(1, |seed| {
        let mut random = Random(seed ^ 0xdead);
        let mut driven = Driven::new(&some_disk(&mut random), &options(&mut random));
        driven.large_one_in = 25;
        live(&mut driven, &mut random, "before the recovery");
        let (base, whole, what) = image(&driven, &mut random);
        let least = driven.durable().min(whole);
        let options = options(&mut random);
        let context = format!("seed {seed}, {what}");
        let (_, whole) = open_image(&base.process_death(), &options, &driven.history, whole, &context);
        let mut after = 0;
        loop {
            let dying = base.process_death();
            let opened = open_and_die(&dying, &options, after);
            let context = format!("{context}, recovery ends at call {after}");
            let cut = dying.crash(&mut || random.next());
            check_twice(&cut, &options, &driven.history, least, &mut random, &context);
            check_twice(&dying.process_death(), &options, &driven.history, whole, &mut random, &context);
            if opened.is_some() {
                break;
            }
            // A step of more than one keeps the short form short; the seeds start at different calls.
            after += 1 + random.next() % 4;
        }
        assert!(after > 5, "the recovery of {context} made no calls");
    });
}

/// Opens an image, writes a little, and has the power cut once more.
fn check_twice(
    disk: &SimulatedDisk,
    options: &Options,
    history: &History,
    least: usize,
    random: &mut Random,
    context: &str,
) {
    let (db, found) = open_image(disk, options, history, least, context);
    let mut history = history.clone();
    history.cut_to(found);
    let mut driven = Driven::on(disk, db, history);
    driven.large_one_in = 0;
    for _ in 0..random.below(6) {
        driven.step(random).unwrap();
    }
    let (image, least, what) = image(&driven, random);
    open_image(&image, options, &driven.history, least, &format!("{context}, and then {what}"));
}

#[test]
fn a_creation_that_dies_anywhere_leaves_what_can_be_opened() {
    for_each_line(1, |seed| {
        let mut random = Random(seed ^ 0xbeef);
        let options = options(&mut random);
        let mut after = 0;
        loop {
            let disk = SimulatedDisk::new();
            let opened = open_and_die(&disk, &options, after);
            let context = format!("seed {seed}, {PATH} is created up to call {after}");
            for _ in 0..3 {
                let cut = disk.crash(&mut || random.next());
                check_twice(&cut, &options, &History::default(), 0, &mut random, &context);
            }
            check_twice(&disk.process_death(), &options, &History::default(), 0, &mut random, &context);
            if opened.is_some() {
                break;
            }
            after += 1;
        }
        assert!(after > 5, "the creation made no calls");
    });
}

#[test]
fn what_is_said_to_be_durable_while_others_write_is_durable() {
    for options in all_options(256 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for writer in 0..2_u8 {
                let (db, done) = (&db, &done);
                scope.spawn(move || {
                    let mut number = 0_u64;
                    while !done.load(Ordering::Relaxed) && number < 400 {
                        let key = [&[writer], &(number % 50).to_le_bytes()[..]].concat();
                        db.put(&key, &[writer; 60]).unwrap();
                        number += 1;
                    }
                });
            }
            for _ in 0..6 {
                db.flush().unwrap();
                let durable = db.stats().unwrap().durable_sequence;
                // Odd numbers lose everything that was not synced.
                let cut = open(&disk.crash(&mut || 3), &options);
                let left = cut.map(|cut| cut.stats().unwrap().last_sequence);
                done.store(left.as_ref().is_ok_and(|left| *left < durable), Ordering::Relaxed);
                assert!(left.as_ref().is_ok_and(|left| *left >= durable), "{durable}, found {left:?}");
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}

/// A database dies while it is created, and the power goes while the next process opens it: the durable mark came to the
/// device before the manifest, whose rename nobody had synced, and a mark without a manifest was taken for damage.
#[test]
fn a_death_in_creation_and_a_power_cut_in_the_next_open_leave_what_can_be_opened() {
    let mut random = Random(5);
    let options = Options::new().segment_bytes(64 << 10);
    for died_at in 0.. {
        let first = SimulatedDisk::new();
        first.fail_after(Fault::any_after(died_at, std::io::ErrorKind::Other));
        if open(&first, &options).is_ok() {
            assert!(died_at > 10);
            return;
        }
        first.clear_faults();
        for cut_at in 0.. {
            let second = first.process_death();
            second.fail_after(Fault::any_after(cut_at, std::io::ErrorKind::Other));
            let opened = open(&second, &options);
            second.clear_faults();
            for _ in 0..12 {
                let cut = second.crash(&mut || random.next());
                if let Err(error) = open(&cut, &options) {
                    panic!("died at call {died_at}, cut at call {cut_at}: {error}");
                }
            }
            if opened.is_ok() {
                break;
            }
        }
    }
}
