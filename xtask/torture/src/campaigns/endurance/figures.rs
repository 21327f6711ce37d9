//! What the process and the directory take, and how much they may.

use std::path::Path;

use opendb_measure::system::{anonymous_bytes, directory_bytes, resident_bytes};
use opendb_tests::{Failure, Outcome};

/// The part of a run, in percent, of which the bounds come.
const SETTLES_PERCENT: u64 = 10;
/// A bound is twice the highest figure of that part, and so much more, by figure.
const FIGURES: [(&str, u64); 6] = [
    ("bytes of memory in use", 64 << 20),
    ("bytes of it anonymous", 48 << 20),
    ("maps", 48),
    ("open descriptors", 48),
    ("bytes in the directory", 64 << 20),
    ("files in the directory", 48),
];

/// Figures of one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    pub(super) descriptors: u64,
    all: [u64; FIGURES.len()],
}

impl Figures {
    /// Those of now, of this process and of a directory, which may not be there yet.
    pub(super) fn now(directory: &Path) -> Outcome<Figures> {
        let told = |error: anyhow::Error| Failure(format!("{error:#}"));
        let maps = std::fs::read_to_string("/proc/self/maps")?.lines().count() as u64;
        let descriptors = std::fs::read_dir("/proc/self/fd")?.count() as u64;
        let (mut bytes, mut files) = (0, 0);
        if directory.is_dir() {
            bytes = directory_bytes(directory).map_err(told)?;
            files = std::fs::read_dir(directory)?.count() as u64;
        }
        let (resident, anonymous) = (resident_bytes().map_err(told)?, anonymous_bytes().map_err(told)?);
        Ok(Figures { descriptors, all: [resident, anonymous, maps, descriptors, bytes, files] })
    }
}

/// The highest figures so far: of the part of the run of which the bounds come, and since.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    settled: [u64; FIGURES.len()],
    highest: [u64; FIGURES.len()],
}

impl Bounds {
    /// Takes the figures of a moment, so many percent into the run, and holds them against the bounds.
    pub(super) fn take(&mut self, percent: u64, figures: &Figures) -> Outcome<()> {
        if percent < SETTLES_PERCENT {
            raise(&mut self.settled, figures);
            return Ok(());
        }
        raise(&mut self.highest, figures);
        let bounds = self.bounds();
        for ((figure, bound), (name, _)) in figures.all.iter().zip(bounds).zip(FIGURES) {
            if *figure > bound {
                return Err(Failure(format!(
                    "{figure} {name}, {bound} are allowed: {}",
                    self.told().join("; ")
                )));
            }
        }
        Ok(())
    }

    fn bounds(&self) -> [u64; FIGURES.len()] {
        let mut bounds = self.settled;
        bounds.iter_mut().zip(FIGURES).for_each(|(bound, (_, more))| *bound = 2 * *bound + more);
        bounds
    }

    /// The figures with their bounds, in words.
    pub(super) fn told(&self) -> Vec<String> {
        let figures = self.settled.iter().zip(self.highest).zip(self.bounds()).zip(FIGURES);
        let told = figures.map(|(((settled, highest), bound), (name, _))| {
            format!("{name}: at most {settled} in the first tenth, {highest} since, {bound} allowed")
        });
        told.collect()
    }
}

fn raise(highest: &mut [u64], figures: &Figures) {
    highest.iter_mut().zip(figures.all).for_each(|(highest, figure)| *highest = figure.max(*highest));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_beyond_what_it_had_settled_to_is_found() {
        let figures = |descriptors| Figures { descriptors, all: [0, 0, 0, descriptors, 0, 0] };
        let mut bounds = Bounds::default();
        assert_eq!(bounds.take(3, &figures(20)), Ok(()));
        assert_eq!(bounds.take(50, &figures(88)), Ok(()));
        let failure = bounds.take(51, &figures(89)).unwrap_err();
        assert!(failure.0.starts_with("89 open descriptors, 88 are allowed"), "{failure}");
    }

    #[test]
    fn figures_of_this_process_are_there() {
        let figures = Figures::now(Path::new("/nowhere")).unwrap();
        assert!(figures.descriptors >= 3 && figures.all[..4].iter().all(|figure| *figure > 0), "{figures:?}");
    }
}
