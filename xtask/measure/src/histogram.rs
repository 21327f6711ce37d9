//! How often a call took how long: buckets of at most 1/128 of their value, so that millions of calls take no memory and
//! the slowest one is exact.

/// Bits of a number that are kept; the rest is its magnitude.
const KEPT_BITS: u32 = 7;
const KEPT: u64 = 1 << KEPT_BITS;

/// Counts of durations in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    slowest: u64,
}

impl Histogram {
    /// With nothing counted.
    #[must_use]
    pub fn new() -> Histogram {
        Histogram { buckets: vec![0; bucket(u64::MAX) + 1], count: 0, slowest: 0 }
    }

    /// Counts what another one has counted.
    pub fn merge(&mut self, other: &Histogram) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(count, more)| *count += more);
        self.count += other.count;
        self.slowest = self.slowest.max(other.slowest);
    }

    /// Counts one.
    pub fn add(&mut self, nanoseconds: u64) {
        if let Some(count) = self.buckets.get_mut(bucket(nanoseconds)) {
            *count += 1;
        }
        self.count += 1;
        self.slowest = self.slowest.max(nanoseconds);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest one.
    #[must_use]
    pub fn slowest(&self) -> u64 {
        self.slowest
    }

    /// How many took this long or longer, to the width of a bucket.
    #[must_use]
    pub fn at_least(&self, nanoseconds: u64) -> u64 {
        self.buckets.iter().skip(bucket(nanoseconds)).sum()
    }

    /// The time within which this part of all ended; not under it by more than a bucket's width, and never over it.
    #[must_use]
    pub fn quantile(&self, part: f64) -> u64 {
        let wanted = (self.count as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && *count > 0 {
                return upper_end(at).min(self.slowest);
            }
        }
        self.slowest
    }
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram::new()
    }
}

/// Numbers below [`KEPT`] have a bucket each; above, each doubling has [`KEPT`] of them.
fn bucket(number: u64) -> usize {
    let magnitude = number.max(1).ilog2().saturating_sub(KEPT_BITS);
    (u64::from(magnitude) * KEPT + (number >> magnitude)) as usize
}

/// The largest number of a bucket.
fn upper_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let magnitude = (bucket / KEPT).saturating_sub(1);
    let kept = bucket - magnitude * KEPT;
    (kept << magnitude) + ((1 << magnitude) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_the_bucket_that_ends_at_or_just_above_it() {
        for shift in 0..64 {
            for number in [1_u64 << shift, (1_u64 << shift) + 1, (1_u64 << shift).wrapping_sub(1), u64::MAX] {
                let end = upper_end(bucket(number));
                assert!(end >= number && end - number <= number / KEPT, "{number} is in a bucket to {end}");
            }
        }
        assert!((1..100_000).all(|number| bucket(number) - bucket(number - 1) <= 1));
    }

    #[test]
    fn what_two_have_counted_is_counted_by_one() {
        let (mut odd, mut even, mut all) = (Histogram::new(), Histogram::new(), Histogram::new());
        for number in 1..1000 {
            if number % 2 == 0 { &mut even } else { &mut odd }.add(number);
            all.add(number);
        }
        odd.merge(&even);
        assert_eq!(odd, all);
    }

    #[test]
    fn quantiles_are_of_what_was_counted() {
        let mut histogram = Histogram::new();
        (1..=10_000).for_each(|number| histogram.add(number));
        for (part, exact) in [(0.5, 5000), (0.99, 9900), (0.9999, 9999)] {
            let found = histogram.quantile(part);
            assert!(found >= exact && found - exact <= exact / 100, "{part}: {found}");
        }
        assert_eq!((histogram.count(), histogram.slowest()), (10_000, 10_000));
        assert!((950..=1050).contains(&histogram.at_least(9001)));
        assert_eq!(Histogram::new().quantile(0.5), 0);
    }
}
