//! The keys between two bounds, as they were when the cursor was opened.

use super::bounds::{Bounds, is_after, is_before};
use super::merge::Merge;
use super::run::Run;
use super::walk::{Ascending, Descending, Walk};
use std::ops::Bound;
use std::sync::Arc;

/// Gives the keys between two bounds in order, each once. It holds the runs it reads, so whatever is inserted or
/// merged after it was opened does not touch it.
pub(crate) struct Cursor {
    direction: Direction,
    /// The bound it runs towards.
    end: Bound<Box<[u8]>>,
}

enum Direction {
    Ascending(Merge<Ascending>),
    Descending(Merge<Descending>),
}

impl Cursor {
    pub(super) fn new<'a>(
        runs: impl Iterator<Item = &'a Arc<Run>>,
        bounds: &Bounds<'_>,
        reverse: bool,
    ) -> Self {
        let (lower, upper) = (bounds.lower, bounds.upper);
        if reverse {
            let walks = runs.filter_map(|run| Descending::new(run, upper));
            let walks = walks.filter(|walk| !is_before(walk.key(), lower)).collect();
            Self { direction: Direction::Descending(Merge::new(walks)), end: lower.map(Box::from) }
        } else {
            let walks = runs.filter_map(|run| Ascending::new(run, lower));
            let walks = walks.filter(|walk| !is_after(walk.key(), upper)).collect();
            Self { direction: Direction::Ascending(Merge::new(walks)), end: upper.map(Box::from) }
        }
    }

    /// The next key, or `None` at the end and ever after.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        let end = self.end.as_ref().map(|bound| &**bound);
        match &mut self.direction {
            Direction::Ascending(merge) => merge.next().filter(|key| !is_after(key, end)),
            Direction::Descending(merge) => merge.next().filter(|key| !is_before(key, end)),
        }
    }
}
