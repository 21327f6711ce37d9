//! The keys between two bounds, as they were when the cursor was opened.

use super::bounds::{Bounds, is_after, is_before};
use super::merge::Merge;
use super::run::Run;
use super::walk::{Ascending, Descending, Walk};
use crate::error::Result;
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
    ) -> Result<Self> {
        let runs = runs.filter(|run| run.may_reach(bounds));
        if reverse {
            let mut walks = Vec::new();
            for run in runs {
                walks.extend(Descending::new(run, bounds.upper)?);
            }
            walks.retain(|walk| !is_before(walk.key(), bounds.lower));
            let direction = Direction::Descending(Merge::new(walks));
            return Ok(Self { direction, end: bounds.lower.map(Box::from) });
        }
        let mut walks = Vec::new();
        for run in runs {
            walks.extend(Ascending::new(run, bounds.lower)?);
        }
        walks.retain(|walk| !is_after(walk.key(), bounds.upper));
        Ok(Self { direction: Direction::Ascending(Merge::new(walks)), end: bounds.upper.map(Box::from) })
    }

    /// The next key, or `None` at the end and ever after.
    ///
    /// # Errors
    /// Where a run file cannot be read. There is nothing more after that.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>> {
        let end = self.end.as_ref().map(|bound| &**bound);
        Ok(match &mut self.direction {
            Direction::Ascending(merge) => merge.next()?.filter(|key| !is_after(key, end)),
            Direction::Descending(merge) => merge.next()?.filter(|key| !is_before(key, end)),
        })
    }
}
