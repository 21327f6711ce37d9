//! Which segments of large values are worth compacting, and when. Pure: it is given figures and gives numbers.
//!
//! As with segments of records, garbage is looked at over all of them, and the emptiest are taken first. The limits are higher:
//! a move of a large value is all copying, none of it brings keys into order, and one value that is overwritten again and
//! again must not make the others be copied for little.

use crate::compaction::{Candidate, Effort};

/// Dead part of the sealed segments from which compaction runs, in percent. Then 2.1 bytes are copied for one, at most.
const DEAD_PERCENT_MAX: u64 = 32;
/// Dead part to which it goes on once nobody writes: 5.3 bytes are copied for one, at most.
const DEAD_PERCENT_AT_REST: u64 = 16;
/// A segment that is dead to this part is taken at once: it costs next to nothing.
const DEAD_PERCENT_AT_ONCE: u64 = 90;
/// A segment that is less dead than this is not worth its copy, unless everything is to be given back.
const DEAD_PERCENT_MIN: u64 = 8;
const DEAD_PERCENT_MIN_FULL: u64 = 1;

fn dead(candidate: &Candidate) -> u64 {
    candidate.bytes.saturating_sub(candidate.live)
}

fn is_dead_to(candidate: &Candidate, percent: u64) -> bool {
    dead(candidate) > 0 && dead(candidate) * 100 >= candidate.bytes * percent
}

/// Whether so many dead bytes are worth it, where everything that can be given back shall be.
pub(crate) fn is_worth_in_full(bytes: u64, live: u64) -> bool {
    let dead = bytes.saturating_sub(live);
    dead > 0 && dead * 100 >= bytes * DEAD_PERCENT_MIN_FULL
}

/// The serials of the segments to compact now, together, of some that have live values. None where all is well. Their live
/// bytes are at most `live_bytes_max`, unless one alone has more.
pub(crate) fn choose_large(
    candidates: &[Candidate],
    effort: Effort,
    dead_bytes_min: u64,
    live_bytes_max: u64,
) -> Vec<u64> {
    let all_bytes: u64 = candidates.iter().map(|candidate| candidate.bytes).sum();
    let all_dead: u64 = candidates.iter().map(dead).sum();
    let is_over = |percent: u64| all_dead * 100 > all_bytes * percent && all_dead >= dead_bytes_min;
    let (is_due, least) = match effort {
        Effort::Busy => (is_over(DEAD_PERCENT_MAX), DEAD_PERCENT_MIN),
        Effort::Rest => (is_over(DEAD_PERCENT_AT_REST), DEAD_PERCENT_MIN),
        Effort::Full => (true, DEAD_PERCENT_MIN_FULL),
    };
    let least = if is_due { least } else { DEAD_PERCENT_AT_ONCE };
    let mut worthy: Vec<&Candidate> =
        candidates.iter().filter(|candidate| is_dead_to(candidate, least)).collect();
    // The part that is live, exactly: the smaller the better, and the older of two alike.
    worthy.sort_by(|one, other| {
        let (left, right) =
            (u128::from(one.live) * u128::from(other.bytes), u128::from(other.live) * u128::from(one.bytes));
        left.cmp(&right).then(one.serial.cmp(&other.serial))
    });
    let mut live = 0;
    let mut chosen = Vec::new();
    for candidate in worthy {
        if chosen.is_empty() || live + candidate.live <= live_bytes_max {
            live += candidate.live;
            chosen.push(candidate.serial);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(serial: u64, live: u64) -> Candidate {
        Candidate { serial, bytes: 100, live, last_sequence: 0, is_unsorted: false }
    }

    #[test]
    fn nothing_is_copied_for_little_garbage_unless_everything_is_wanted() {
        let little = [candidate(1, 90), candidate(2, 85), candidate(3, 99)];
        assert!(choose_large(&little, Effort::Busy, 1, 1000).is_empty());
        assert!(choose_large(&little, Effort::Rest, 1, 1000).is_empty());
        assert_eq!(choose_large(&little, Effort::Full, 1, 1000), [2, 1, 3]);
        let more = [candidate(1, 70), candidate(2, 75), candidate(3, 100)];
        assert!(choose_large(&more, Effort::Busy, 1, 1000).is_empty());
        assert_eq!(choose_large(&more, Effort::Rest, 1, 1000), [1, 2]);
        assert!(choose_large(&more, Effort::Rest, 1000, 1000).is_empty(), "too little to begin for");
        let much = [candidate(1, 60), candidate(2, 95), candidate(3, 30)];
        assert_eq!(choose_large(&much, Effort::Busy, 1, 1000), [3, 1], "one is not worth it");
    }

    #[test]
    fn the_emptiest_come_first_up_to_the_bound() {
        let much = [candidate(1, 40), candidate(2, 20), candidate(3, 40), candidate(4, 30)];
        assert_eq!(choose_large(&much, Effort::Busy, 1, 1000), [2, 4, 1, 3]);
        assert_eq!(choose_large(&much, Effort::Busy, 1, 90), [2, 4, 1]);
        assert_eq!(choose_large(&much, Effort::Busy, 1, 10), [2], "one alone may have more");
    }

    #[test]
    fn what_is_almost_all_dead_is_taken_at_once() {
        let candidates: Vec<_> =
            std::iter::once(candidate(1, 10)).chain((2..20).map(|n| candidate(n, 100))).collect();
        assert_eq!(choose_large(&candidates, Effort::Busy, 1 << 20, 1000), [1]);
        assert!(is_worth_in_full(100, 99) && !is_worth_in_full(1000, 991) && !is_worth_in_full(0, 0));
    }
}
