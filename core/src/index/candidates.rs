//! What a lookup finds.

use crate::location::Location;

/// Almost every lookup finds none or one; more than this many are needed only where tags collide on purpose.
const INLINE: usize = 2;

/// The locations that may be the key's, in no particular order. Kept on the stack up to two.
#[derive(Debug)]
pub(crate) struct Candidates {
    inline: [Option<Location>; INLINE],
    /// Filled cells of `inline`.
    filled: usize,
    /// Cells of `inline` already handed out.
    taken: usize,
    more: Vec<Location>,
}

impl Candidates {
    pub(super) fn new() -> Candidates {
        Candidates { inline: [None; INLINE], filled: 0, taken: 0, more: Vec::new() }
    }

    pub(super) fn push(&mut self, location: Location) {
        match self.inline.get_mut(self.filled) {
            Some(cell) => {
                *cell = Some(location);
                self.filled += 1;
            }
            None => self.more.push(location),
        }
    }
}

impl Iterator for Candidates {
    type Item = Location;

    fn next(&mut self) -> Option<Location> {
        // A cell that was never filled is `None`.
        match self.inline.get(self.taken).copied().flatten() {
            Some(location) => {
                self.taken += 1;
                Some(location)
            }
            None => self.more.pop(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.filled - self.taken + self.more.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for Candidates {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_out_everything_once() {
        for count in [0, 1, 7, 8, 9, 100] {
            let locations: Vec<_> = (1..=count).map(|n| Location::new(1, n * 8).unwrap()).collect();
            let mut candidates = Candidates::new();
            locations.iter().for_each(|&location| candidates.push(location));
            assert_eq!(candidates.len(), locations.len());
            let mut found: Vec<_> = candidates.by_ref().collect();
            found.sort();
            assert_eq!(found, locations);
            assert_eq!((candidates.next(), candidates.len()), (None, 0));
        }
    }
}
