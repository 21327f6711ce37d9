//! When to look for new commits, as every call that reads asks.
//!
//! # Invariants
//! - Where something is due, the next call a tick of the coarse clock later says so, whatever threads have done before.
//! - A thread whose calls follow each other at once says so within some tens of microseconds, one whose calls are rare says so at once.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;

/// A thread asks the exact clock about as often as this, in microseconds, or with each call.
const BETWEEN_EXACT: u64 = 50;
/// Most calls that it lets pass in between.
const PASSED_MAX: u32 = 63;

/// See the module.
#[derive(Debug)]
pub(super) struct Due {
    clock: Clock,
    /// In microseconds of the clock.
    at: AtomicU64,
}

/// How a thread goes about it.
#[derive(Clone, Copy)]
struct Pace {
    /// Calls that pass before the exact clock is asked.
    left: u32,
    /// As many as passed before it was asked the last time.
    passed: u32,
    asked_at: u64,
}

thread_local! {
    static PACE: Cell<Pace> = const { Cell::new(Pace { left: 0, passed: 0, asked_at: 0 }) };
}

impl Due {
    /// Due from now on.
    pub(super) fn new() -> Due {
        Due { clock: Clock::new(), at: AtomicU64::new(0) }
    }

    /// Whether it is time.
    #[inline]
    pub(super) fn is_now(&self) -> bool {
        let at = self.at.load(Ordering::Relaxed);
        self.clock.coarse() >= at || self.is_exactly_now(at)
    }

    #[inline]
    fn is_exactly_now(&self, at: u64) -> bool {
        let pace = PACE.get();
        if pace.left > 0 {
            PACE.set(Pace { left: pace.left - 1, ..pace });
            return false;
        }
        let now = self.clock.exact();
        PACE.set(pace.after(now));
        now >= at
    }

    /// Not before so much time from now has gone by.
    pub(super) fn rest(&self, time: Duration) {
        self.at.store(self.clock.exact() + time.as_micros() as u64, Ordering::Relaxed);
    }
}

impl Pace {
    /// Half as many calls pass next time if these took long, and twice as many if not.
    fn after(self, now: u64) -> Pace {
        let took = now.saturating_sub(self.asked_at);
        let passed =
            if took < BETWEEN_EXACT { (2 * self.passed + 1).min(PASSED_MAX) } else { self.passed / 2 };
        Pace { left: passed, passed, asked_at: now }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Calls of one thread that come so many microseconds after each other: the longest time between two looks at the exact clock, and
    /// how many calls were made for each.
    fn steady(between: u64) -> (u64, u64) {
        let mut pace = Pace { left: 0, passed: 0, asked_at: 0 };
        let (mut longest, mut looks) = (0, 0);
        let calls = 10_000;
        for call in 1..=calls {
            let now = call * between;
            if pace.left > 0 {
                pace.left -= 1;
                continue;
            }
            longest = longest.max(now - pace.asked_at);
            looks += 1;
            pace = pace.after(now);
        }
        (longest, calls / looks)
    }

    #[test]
    fn calls_that_follow_each_other_share_a_look_and_rare_ones_do_not() {
        assert_eq!(steady(1).0, 64);
        assert!(steady(1).1 >= 40, "{:?}", steady(1));
        assert!(steady(10).0 <= 100 && steady(10).1 >= 3, "{:?}", steady(10));
        for between in [50, 100, 1000, 1_000_000] {
            assert_eq!(steady(between), (between, 1));
        }
    }

    /// A look that would come only when a thread's calls have passed would be minutes late where they become rare.
    #[test]
    fn calls_that_become_rare_find_it_due() {
        let due = Due::new();
        due.rest(Duration::from_secs(3600));
        (0..100_000).for_each(|_| assert!(!due.is_now()));
        PACE.set(Pace { left: PASSED_MAX, passed: PASSED_MAX, asked_at: due.clock.exact() });
        due.rest(Duration::from_millis(1));
        std::thread::sleep(Duration::from_millis(50));
        assert!(due.is_now(), "the coarse clock tells");
    }

    #[test]
    fn it_rests_for_as_long_as_it_was_told() {
        let due = Due::new();
        assert!(due.is_now());
        let began = Instant::now();
        due.rest(Duration::from_millis(20));
        while !due.is_now() {}
        // Its clock is another one, and rounds otherwise.
        assert!(began.elapsed() >= Duration::from_millis(19), "{:?}", began.elapsed());
    }
}
