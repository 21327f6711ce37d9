//! On the simulated disk. An image can be taken at any call, by any thread of the engine.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use opendb::simulation::{Call, SimulatedDisk, open_simulated};
use opendb_tests::random::Random;
use opendb_tests::{Failure, Outcome};

use super::{Known, LIVES, Life, Progress, settings};
use crate::look::options;
use crate::plan::{Plan, Tally};

/// Where every database is.
const PATH: &str = "/data";
/// Most images of one life.
const IMAGES_MAX: usize = 5;
/// An image is taken at one call in so many. The first of these cuts openings mostly, the last one what comes
/// late.
const RARITIES: [u64; 4] = [12, 40, 120, 400];

/// What is done with a disk that a cut has left.
struct Line<'a> {
    wanted: u64,
    tally: &'a mut Tally,
    random: Random,
}

/// Images until there are as many as are wanted, line after line. Each line has a seed of its own, one more
/// than that of the line before, so that a failure can be had again by itself.
pub(super) fn run(plan: &Plan, wanted: u64, tally: &mut Tally) -> Outcome<()> {
    for seed in plan.seed.. {
        if tally.count("images") >= wanted {
            break;
        }
        let mut random = Random::new(seed);
        let disk = some_disk(&mut random);
        let known = Known::nothing(random.bits());
        tally.add("lines of lives", 1);
        Line { wanted, tally: &mut *tally, random }
            .live(&disk, known, 1)
            .map_err(|failure| Failure(format!("the line of lives of seed {seed}: {failure}")))?;
    }
    Ok(())
}

/// A disk without maps, or whose pages cannot be populated, now and then.
fn some_disk(random: &mut Random) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    disk.set_populates(!random.one_in(8));
    disk.set_maps(!random.one_in(8));
    disk
}

impl Line<'_> {
    /// Opens what is on the disk, compares, works, and goes on with the images that were taken meanwhile.
    fn live(&mut self, disk: &SimulatedDisk, known: Known, life: usize) -> Outcome<()> {
        if life > 1 {
            if self.tally.count("images") >= self.wanted {
                return Ok(());
            }
            self.tally.add("images", 1);
        }
        let goes_on = life == 1 || life < LIVES && self.random.one_in(2);
        let progress = Arc::new(Progress::new(known));
        let cutter = goes_on.then(|| Cutter::set(disk, &progress, &mut self.random));
        let lived = self.live_through(disk, &progress, goes_on);
        let images = cutter.map(|cutter| cutter.take_away(disk)).unwrap_or_default();
        lived.map_err(|failure| progress.known().told(&failure))?;
        for (image, known) in images {
            self.live(&image, known, life + 1)?;
        }
        Ok(())
    }

    fn live_through(&mut self, disk: &SimulatedDisk, progress: &Progress, goes_on: bool) -> Outcome<()> {
        let rounds = if goes_on { 1 + self.random.below(3) } else { 1 };
        for round in 0..rounds {
            let words = settings(&mut self.random);
            progress.note(format!("opens with {words}"));
            let database = open_simulated(disk, PATH, &options(words)?)?;
            let mut life = Life::begin(&database, progress, &mut self.random)?;
            if round > 0 {
                self.tally.add("clean closes", 1);
                if !database.stats()?.recovery.clean {
                    return Err("a database that was closed is not taken for one".into());
                }
            }
            if goes_on {
                let steps = if self.random.one_in(3) { 150 } else { 30 };
                let steps = 1 + self.random.below(steps);
                life.work(&mut self.random, steps, &AtomicBool::new(false))?;
            }
            database.close()?;
            progress.promised();
            progress.note("closed".to_owned());
        }
        Ok(())
    }
}

/// Takes images of a disk whose calls it is told of.
struct Cutter {
    taken: Arc<Mutex<Taken>>,
}

struct Taken {
    random: Random,
    rarity: u64,
    calls: u64,
    images: Vec<(SimulatedDisk, Known)>,
}

impl Cutter {
    fn set(disk: &SimulatedDisk, progress: &Arc<Progress>, random: &mut Random) -> Cutter {
        let rarity = RARITIES[random.index(RARITIES.len())];
        let random = Random::new(random.bits());
        let taken = Arc::new(Mutex::new(Taken { random, rarity, calls: 0, images: Vec::new() }));
        let (cut, progress, ours) = (disk.clone(), Arc::clone(progress), Arc::clone(&taken));
        disk.set_hook(Some(Arc::new(move |call| {
            ours.lock().unwrap_or_else(PoisonError::into_inner).see(&cut, &progress, call);
            Ok(())
        })));
        Cutter { taken }
    }

    /// The images.
    fn take_away(self, disk: &SimulatedDisk) -> Vec<(SimulatedDisk, Known)> {
        disk.set_hook(None);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut taken.images)
    }
}

impl Taken {
    fn see(&mut self, disk: &SimulatedDisk, progress: &Progress, call: Call) {
        self.calls += 1;
        if self.images.len() == IMAGES_MAX || !self.random.one_in(self.rarity) {
            return;
        }
        let number = self.calls;
        let what = |known: &Known| {
            format!(
                "cut at call {number} ({call:?}), with {} operations promised and {} begun",
                known.least, known.most
            )
        };
        let random = &mut self.random;
        let image = progress.image(what, || disk.crash(&mut || random.bits()));
        self.images.push(image);
    }
}
