//! On an ext4 that is mounted from a file. While a thread works on the database the file is copied at random
//! instants: the copy is what the device had when the power went, and what the system kept in memory is not
//! in it.

use std::fs::File;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opendb::OpenDB;
use opendb_tests::random::Random;
use opendb_tests::{Failure, Outcome, place};
use rustix::fs::{Advice, fadvise};

use super::{Known, LIVES, Life, Progress, settings};
use crate::look::options;
use crate::mounted::{Mounted, copy, make_ext4};
use crate::plan::{Plan, Tally};

/// Size of the filesystem.
const FILESYSTEM_BYTES: u64 = 100 << 20;
/// Longest time between two images, or between the mount and the first.
const BETWEEN_IMAGES_MILLISECONDS_MAX: u64 = 60;
/// More steps than a life has time for.
const STEPS: u64 = 100_000;
/// Name of a copy of the image that is mounted, for whoever looks into a failure.
const AS_CUT: &str = "as it was cut";
/// What it is counted under.
const COUNTED: &str = "of them on a mounted ext4";

/// What is done with images of one filesystem.
struct Line<'a> {
    wanted: u64,
    tally: &'a mut Tally,
    random: Random,
    directory: &'a Path,
    /// Numbers the images.
    made: u64,
}

/// So many images, where filesystems can be mounted.
pub(super) fn run(plan: &Plan, wanted: u64, tally: &mut Tally) -> Outcome<()> {
    tally.add(COUNTED, 0);
    if wanted == 0 {
        return Ok(());
    }
    let directory = tempfile::Builder::new().prefix("opendb-torture-").tempdir_in(&plan.directory)?;
    let blank = directory.path().join("blank");
    make_ext4(&blank, FILESYSTEM_BYTES)?;
    for seed in plan.seed.. {
        if tally.count(COUNTED) >= wanted {
            break;
        }
        let mut random = Random::new(seed ^ 0xdec1);
        let known = Known::nothing(random.bits());
        let mut line = Line { wanted, tally: &mut *tally, random, directory: directory.path(), made: 0 };
        let first = line.new_image();
        copy(&blank, &first)?;
        if let Err(failure) = line.live(&first, known, 1) {
            let kept = directory.keep().join(AS_CUT);
            return Err(Failure(format!(
                "the line of lives on ext4 of seed {seed}, whose image is kept as {}: {failure}",
                kept.display()
            )));
        }
    }
    Ok(())
}

impl Line<'_> {
    fn new_image(&mut self) -> PathBuf {
        self.made += 1;
        self.directory.join(format!("image {}", self.made))
    }

    /// Mounts an image, works on the database in it, and goes on with the copies that were made meanwhile.
    fn live(&mut self, image: &Path, known: Known, life: usize) -> Outcome<()> {
        if life > 1 {
            if self.tally.count(COUNTED) >= self.wanted {
                return Ok(std::fs::remove_file(image)?);
            }
            self.tally.add("images", 1);
            self.tally.add(COUNTED, 1);
        }
        copy(image, &self.directory.join(AS_CUT))?;
        let mounted = Mounted::image(image, &self.directory.join("mounted"))?;
        let progress = Progress::new(known);
        let images = self.live_on(&mounted, image, &progress, life);
        let images = images.map_err(|failure| progress.known().told(&failure))?;
        mounted.unmount()?;
        std::fs::remove_file(image)?;
        for (image, known) in images {
            self.live(&image, known, life + 1)?;
        }
        Ok(())
    }

    /// Works until as many copies are made as this life is to have.
    fn live_on(
        &mut self,
        mounted: &Mounted,
        image: &Path,
        progress: &Progress,
        life: usize,
    ) -> Outcome<Vec<(PathBuf, Known)>> {
        let copies = if life < LIVES { 1 + self.random.below(3) } else { 0 };
        let words = settings(&mut self.random);
        progress.note(format!("opens on ext4 with {words}"));
        let path = mounted.path().join("database");
        let is_over = AtomicBool::new(copies == 0);
        let random = Random::new(self.random.bits());
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| live_until(&path, words, progress, random, &is_over));
            let images: Outcome<Vec<_>> =
                (0..copies).map(|_| self.cut(mounted, image, &path, progress)).collect();
            is_over.store(true, Ordering::Relaxed);
            worker.join().unwrap_or_else(|_| Err("the thread that worked has panicked".into()))?;
            images
        })
    }

    /// After some time a copy of the device.
    fn cut(
        &mut self,
        mounted: &Mounted,
        image: &Path,
        path: &Path,
        progress: &Progress,
    ) -> Outcome<(PathBuf, Known)> {
        let rest = self.random.below(BETWEEN_IMAGES_MILLISECONDS_MAX * 1000);
        std::thread::sleep(Duration::from_micros(rest));
        if self.random.one_in(2) {
            self.stir(path);
        }
        let to = self.new_image();
        let what = |known: &Known| {
            format!(
                "the device was copied, with {} operations promised and {} begun",
                known.least, known.most
            )
        };
        let (copied, known) = progress.image(what, || mounted.copy_as_the_device_has_it(image, &to));
        copied.map(|()| (to, known))
    }

    /// Has the system write out parts of the files that nobody has synced, as it does on its own after a
    /// while.
    fn stir(&mut self, path: &Path) {
        let files = place::files(path).unwrap_or_default();
        for file in files.iter().filter_map(|path| File::open(path).ok()) {
            let (offset, length) = (self.random.below(1 << 18), NonZeroU64::new(self.random.below(1 << 16)));
            // A file that cannot be asked for this stays as it is.
            let _best_effort = fadvise(&file, offset & !4095, length, Advice::DontNeed);
        }
    }
}

/// Opens, compares, and works until it is over.
fn live_until(
    path: &Path,
    words: &str,
    progress: &Progress,
    mut random: Random,
    is_over: &AtomicBool,
) -> Outcome<()> {
    let database = OpenDB::open_with_options(path, options(words)?)?;
    let mut life = Life::begin(&database, progress, &mut random)?;
    life.work(&mut random, STEPS, is_over)?;
    drop(life);
    Ok(database.close()?)
}
