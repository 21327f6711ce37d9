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
        // First every run's block is found and asked for, so that memory is waited for once and not once a run.
        let places = places_of(runs.filter(|run| run.may_reach(bounds)), bounds, reverse);
        if reverse {
            let mut walks = Vec::with_capacity(places.len());
            for (run, block) in places {
                walks.extend(Descending::new(run, block, bounds.upper)?);
            }
            walks.retain(|walk| !is_before(walk.key(), bounds.lower));
            let direction = Direction::Descending(Merge::new(walks));
            return Ok(Self { direction, end: bounds.lower.map(Box::from) });
        }
        let mut walks = Vec::with_capacity(places.len());
        for (run, block) in places {
            walks.extend(Ascending::new(run, block, bounds.lower)?);
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

/// For each run the block in which a walk begins, which is being loaded when this returns.
fn places_of<'a>(
    runs: impl Iterator<Item = &'a Arc<Run>>,
    bounds: &Bounds<'_>,
    reverse: bool,
) -> Vec<(&'a Arc<Run>, usize)> {
    let place = |run: &'a Arc<Run>| {
        let block = if reverse { run.last_block(bounds.upper) } else { run.first_block(bounds.lower) };
        run.prefetch(block);
        (run, block)
    };
    runs.map(place).collect()
}
