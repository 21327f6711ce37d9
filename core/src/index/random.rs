//! Reproducible random numbers for the tests.

use crate::location::Location;

/// Marsaglia's xorshift64, its output multiplied as in xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }
}

/// The n-th of 2^40 - 2^15 different locations.
pub(crate) fn location(n: u64) -> Location {
    let units_max = (1 << 25) - 1;
    Location::new((n / units_max) as u16, (n % units_max + 1) * 8).unwrap()
}
