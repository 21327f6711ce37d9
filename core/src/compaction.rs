//! Which segments are worth compacting, and when. Pure: it is given figures and gives numbers.
//!
//! Garbage is looked at over the whole database, since segments of like age are alike under random overwrites: taking each as
//! soon as it is 40 % dead would copy 60 % of it, which is 2.5 bytes written for one; waiting until the database as a
//! whole has this much and then taking the emptiest costs two thirds of that. The emptiest and oldest are taken first
//! (cost-benefit, after Rosenblum and Ousterhout, 1992).

use std::cmp::Ordering;

/// Dead part of the sealed segments from which compaction runs, in percent.
const DEAD_PERCENT_MAX: u64 = 30;
/// Dead part to which it goes on once nobody writes.
const DEAD_PERCENT_AT_REST: u64 = 8;
/// A segment that is dead to this part is taken at once: it costs next to nothing.
const DEAD_PERCENT_AT_ONCE: u64 = 90;
/// A segment that is less dead than this is not worth its copy.
const DEAD_PERCENT_MIN: u64 = 3;

/// One sealed segment of log or copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) serial: u64,
    /// Bytes of its content.
    pub(crate) bytes: u64,
    /// Bytes that are still of use: newest records, and what has to be kept beside them.
    pub(crate) live: u64,
    /// The newest sequence in it.
    pub(crate) last_sequence: u64,
    /// Whether its records stand in the order in which they came, and not in that of their keys.
    pub(crate) is_unsorted: bool,
}

impl Candidate {
    fn dead(&self) -> u64 {
        self.bytes.saturating_sub(self.live)
    }

    fn is_dead_to(&self, percent: u64) -> bool {
        // Of one that never had anything in it the file takes room all the same.
        self.bytes == 0 || self.dead() > 0 && self.dead() * 100 >= self.bytes * percent
    }

    /// What is gained for what it costs, times how long it is likely to stay gained.
    fn score(&self, now: u64) -> f64 {
        let utilization = self.live as f64 / self.bytes.max(1) as f64;
        let age = now.saturating_sub(self.last_sequence) as f64 + 1.0;
        (1.0 - utilization) * age / (1.0 + utilization)
    }
}

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// What has to be done while others write.
    Busy,
    /// What can be done well while nobody writes.
    Rest,
    /// Everything that gives back anything worth having, and everything that is not in the order of its keys.
    Full,
}

/// Dead bytes in a hundred.
fn dead_percent(candidates: &[Candidate]) -> u64 {
    let bytes: u64 = candidates.iter().map(|candidate| candidate.bytes).sum();
    let dead: u64 = candidates.iter().map(Candidate::dead).sum();
    (dead * 100).checked_div(bytes).unwrap_or(0)
}

/// The segments to compact now, together. None where all is well. Their live bytes are at most `live_bytes_max`, unless one
/// alone has more.
pub(crate) fn choose(
    candidates: &[Candidate],
    now: u64,
    effort: Effort,
    dead_bytes_min: u64,
    live_bytes_max: u64,
) -> Vec<Candidate> {
    let dead: u64 = candidates.iter().map(Candidate::dead).sum();
    let percent = dead_percent(candidates);
    let is_due = match effort {
        Effort::Busy => percent >= DEAD_PERCENT_MAX && dead >= dead_bytes_min,
        Effort::Rest => percent > DEAD_PERCENT_AT_REST && dead >= dead_bytes_min,
        Effort::Full => true,
    };
    let worth = |candidate: &&Candidate| {
        candidate.is_dead_to(DEAD_PERCENT_AT_ONCE)
            || is_due && candidate.is_dead_to(if effort == Effort::Full { 1 } else { DEAD_PERCENT_MIN })
            || effort == Effort::Full && candidate.is_unsorted
    };
    let mut worthy: Vec<Candidate> = candidates.iter().filter(worth).copied().collect();
    worthy.sort_by(|one, other| other.score(now).partial_cmp(&one.score(now)).unwrap_or(Ordering::Equal));
    // What is wholly dead is free, however much there is of it, and goes before: it makes room for the copies of others.
    if worthy.iter().any(|candidate| candidate.live == 0) {
        worthy.retain(|candidate| candidate.live == 0);
    }
    let mut live = 0;
    let mut chosen: Vec<Candidate> = Vec::new();
    for candidate in worthy {
        if chosen.is_empty() || live + candidate.live <= live_bytes_max {
            live += candidate.live;
            chosen.push(candidate);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(serial: u64, live: u64) -> Candidate {
        Candidate { serial, bytes: 100, live, last_sequence: serial * 100, is_unsorted: false }
    }

    fn serials(chosen: &[Candidate]) -> Vec<u64> {
        chosen.iter().map(|candidate| candidate.serial).collect()
    }

    #[test]
    fn nothing_is_done_while_there_is_little_garbage() {
        let candidates = [candidate(1, 95), candidate(2, 99), candidate(3, 93)];
        assert!(choose(&candidates, 400, Effort::Busy, 1, 1000).is_empty());
        assert!(choose(&candidates, 400, Effort::Rest, 1, 1000).is_empty());
        let more = [candidate(1, 80), candidate(2, 90), candidate(3, 70)];
        assert!(choose(&more, 400, Effort::Busy, 1, 1000).is_empty());
        assert_eq!(choose(&more, 400, Effort::Rest, 1, 1000).len(), 3, "nobody writes");
        assert_eq!(serials(&choose(&candidates, 400, Effort::Full, 1, 1000)).len(), 3);
    }

    #[test]
    fn the_emptiest_and_oldest_come_first_up_to_the_bound() {
        let candidates = [candidate(1, 60), candidate(2, 20), candidate(3, 60), candidate(4, 98)];
        assert_eq!(serials(&choose(&candidates, 500, Effort::Busy, 1, 1000)), [2, 1, 3]);
        assert_eq!(serials(&choose(&candidates, 500, Effort::Busy, 1, 80)), [2, 1]);
        assert_eq!(serials(&choose(&candidates, 500, Effort::Busy, 1, 10)), [2]);
        assert!(choose(&candidates, 500, Effort::Busy, 1000, 1000).is_empty(), "too little to begin for");
    }

    #[test]
    fn what_is_all_dead_is_taken_at_once_and_without_bound() {
        let candidates =
            [candidate(1, 0), candidate(2, 0), candidate(3, 99), candidate(4, 99), candidate(5, 99)];
        let candidates: Vec<_> = candidates.into_iter().chain((6..20).map(|n| candidate(n, 100))).collect();
        assert_eq!(serials(&choose(&candidates, 2000, Effort::Busy, 1, 0)), [1, 2]);
    }

    #[test]
    fn a_segment_without_garbage_is_never_taken() {
        let candidates = [candidate(1, 100), Candidate { live: 120, ..candidate(2, 0) }, candidate(3, 0)];
        assert_eq!(serials(&choose(&candidates, 500, Effort::Full, 0, 1000)), [3]);
        let unsorted = [Candidate { is_unsorted: true, ..candidate(1, 100) }];
        assert_eq!(serials(&choose(&unsorted, 500, Effort::Full, 0, 1000)), [1], "but to be sorted");
        assert!(choose(&unsorted, 500, Effort::Rest, 0, 1000).is_empty());
    }

    #[test]
    fn a_segment_with_nothing_in_it_is_taken_at_once() {
        let candidates = [candidate(1, 100), Candidate { bytes: 0, ..candidate(2, 0) }, candidate(3, 90)];
        assert_eq!(serials(&choose(&candidates, 500, Effort::Busy, 1 << 20, 0)), [2]);
    }
}
