//! What a machine's own stalls are: a thread that does nothing but look at the clock, alone and beside threads that write files.
//!
//! Where such a thread is kept from looking for as long as a call took, the call says nothing about the store.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use opendb_measure::histogram::Histogram;

/// Threads that write, about as many as a store has that are busy at once.
const WRITERS: usize = 2;
const WRITE_BYTES: usize = 1 << 20;
/// A second and thread: with what a store writes, about.
const WRITES_PER_SECOND: u32 = 64;
const FILE_WRITES: usize = 256;
/// How often a file is put on the device.
const SYNC_EVERY: usize = WRITES_PER_SECOND as usize / 2;
/// What is shorter is no gap.
const GAP_NANOSECONDS: u64 = 1_000_000;

/// Gaps of a millisecond and more between two looks at the clock.
pub(super) struct Stalls {
    pub(super) alone: Histogram,
    pub(super) beside_writers: Histogram,
}

impl Stalls {
    /// Looks for so long with nobody beside, and for as long beside threads that write files in a directory.
    pub(super) fn measure(directory: &Path, duration: Duration) -> Result<Stalls> {
        let alone = gaps(duration);
        let is_over = AtomicBool::new(false);
        let beside_writers = thread::scope(|scope| {
            let paths = (0..WRITERS).map(|number| directory.join(format!("stalls-{number}")));
            let write = |path: PathBuf| {
                scope.spawn({
                    let is_over = &is_over;
                    move || write_until(&path, is_over)
                })
            };
            let writers: Vec<_> = paths.map(write).collect();
            let gaps = gaps(duration);
            is_over.store(true, Ordering::Relaxed);
            // One that panics is reported by the scope.
            writers.into_iter().filter_map(|writer| writer.join().ok()).collect::<Result<()>>().map(|()| gaps)
        })?;
        Ok(Stalls { alone, beside_writers })
    }
}

fn gaps(duration: Duration) -> Histogram {
    let mut gaps = Histogram::new();
    let begin = Instant::now();
    let mut last = begin;
    while last.duration_since(begin) < duration {
        let now = Instant::now();
        let gap = now.duration_since(last).as_nanos() as u64;
        if gap >= GAP_NANOSECONDS {
            gaps.add(gap);
        }
        last = now;
    }
    gaps
}

fn write_until(path: &Path, is_over: &AtomicBool) -> Result<()> {
    let mut file = File::create(path)?;
    let bytes = vec![1; WRITE_BYTES];
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        number += 1;
        file.write_all(&bytes)?;
        if number % SYNC_EVERY == 0 {
            file.sync_data()?;
        }
        if number % FILE_WRITES == 0 {
            file.set_len(0)?;
            file.rewind()?;
        }
        thread::sleep(Duration::from_secs(1) / WRITES_PER_SECOND);
    }
    Ok(std::fs::remove_file(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_looked_for_alone_and_beside_writers() {
        let directory = tempfile::tempdir().unwrap();
        let stalls = Stalls::measure(directory.path(), Duration::from_millis(50)).unwrap();
        assert!(stalls.alone.count() <= 50 && stalls.beside_writers.count() <= 50);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "the files are removed");
    }
}
