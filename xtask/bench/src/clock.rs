//! How long calls take.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use opendb_measure::histogram::Histogram;
use opendb_measure::workload::Key;

/// Calls for which keys are drawn at once, so that drawing is not measured.
const KEYS_PER_BLOCK: usize = 64;
/// One block in so many is timed call by call; of the others only the whole is, since looking at the clock takes as long
/// as a part of a get.
const BLOCKS_PER_TIMED: u64 = 8;
/// Calls between two looks at how much time is left.
const CALLS_PER_LOOK: u64 = 16;

/// How much is measured: so many calls, or as many as there is time for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// Calls.
    pub(crate) calls: u64,
    /// Time.
    pub(crate) time: Duration,
}

/// How long a call took.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Timing {
    /// Calls that were made.
    pub(crate) calls: u64,
    /// Whether all calls were made that were wanted.
    pub(crate) complete: bool,
    /// Nanoseconds a call; of several threads, nanoseconds from one call of any of them to the next.
    pub(crate) mean: f64,
    /// Quantiles of single calls, in nanoseconds.
    pub(crate) p50: u64,
    /// One in a hundred took longer.
    pub(crate) p99: u64,
    /// One in a thousand took longer.
    pub(crate) p999: u64,
    /// The slowest.
    pub(crate) slowest: u64,
}

/// Times calls one by one.
#[derive(Default)]
pub(crate) struct Clock {
    each: Histogram,
    calls: u64,
    nanoseconds: u64,
}

impl Clock {
    /// Times one call.
    pub(crate) fn time<T>(&mut self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        let begin = Instant::now();
        let result = call();
        let nanoseconds = begin.elapsed().as_nanos() as u64;
        self.each.add(nanoseconds);
        self.calls += 1;
        self.nanoseconds += nanoseconds;
        result
    }

    fn merge(&mut self, other: &Clock) {
        self.each.merge(&other.each);
        self.calls += other.calls;
        self.nanoseconds += other.nanoseconds;
    }

    fn timing(&self, threads: u64, wanted: u64) -> Timing {
        Timing {
            calls: self.calls,
            complete: self.calls >= wanted,
            mean: self.nanoseconds as f64 / (self.calls.max(1) * threads) as f64,
            p50: self.each.quantile(0.5),
            p99: self.each.quantile(0.99),
            p999: self.each.quantile(0.999),
            slowest: self.each.slowest(),
        }
    }
}

/// Runs `step` with the number of each call; what it times of it counts.
pub(crate) fn each(budget: Budget, mut step: impl FnMut(u64, &mut Clock) -> Result<()>) -> Result<Timing> {
    Ok(run(budget, &mut step)?.timing(1, budget.calls))
}

fn run(budget: Budget, step: &mut dyn FnMut(u64, &mut Clock) -> Result<()>) -> Result<Clock> {
    let (mut clock, begin) = (Clock::default(), Instant::now());
    for call in 0..budget.calls {
        if call % CALLS_PER_LOOK == 0 && begin.elapsed() > budget.time {
            break;
        }
        step(call, &mut clock)?;
    }
    Ok(clock)
}

/// The same on several threads at once; each has its own part of the calls, and makes its step with [`Clock`] from its
/// number.
pub(crate) fn together<S>(threads: u64, budget: Budget, make: impl Fn(u64) -> S + Sync) -> Result<Timing>
where
    S: FnMut(u64, &mut Clock) -> Result<()>,
{
    let part = Budget { calls: budget.calls / threads, ..budget };
    let make = &make;
    let clocks: Vec<Result<Clock>> = thread::scope(|scope| {
        let running: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || run(part, &mut make(thread)))).collect();
        let joined = running.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|ended| ended.unwrap_or_else(|_| bail!("a thread panicked"))).collect()
    });
    let mut all = Clock::default();
    for clock in clocks {
        all.merge(&clock?);
    }
    Ok(all.timing(threads, part.calls * threads))
}

/// Times quick calls in blocks: `draw` gives the key of each, outside of what is timed.
pub(crate) fn blocks(
    budget: Budget,
    mut draw: impl FnMut() -> Key,
    mut call: impl FnMut(&Key) -> Result<()>,
) -> Result<Timing> {
    let (mut clock, mut whole, mut in_whole) = (Clock::default(), Duration::ZERO, 0_u64);
    let (begin, mut made, mut block) = (Instant::now(), 0, 0_u64);
    let mut keys = Vec::with_capacity(KEYS_PER_BLOCK);
    while made < budget.calls && begin.elapsed() <= budget.time {
        keys.clear();
        let calls = KEYS_PER_BLOCK.min((budget.calls - made) as usize);
        keys.extend(std::iter::repeat_with(&mut draw).take(calls));
        if block.is_multiple_of(BLOCKS_PER_TIMED) {
            keys.iter().try_for_each(|key| clock.time(|| call(key)))?;
        } else {
            let begin = Instant::now();
            keys.iter().try_for_each(&mut call)?;
            whole += begin.elapsed();
            in_whole += calls as u64;
        }
        made += calls as u64;
        block += 1;
    }
    let mut timing = clock.timing(1, 0);
    if in_whole > 0 {
        timing.mean = whole.as_nanos() as f64 / in_whole as f64;
    }
    Ok(Timing { calls: made, complete: made >= budget.calls, ..timing })
}

/// How long something took that is done once.
pub(crate) fn once(work: impl FnOnce() -> Result<()>) -> Result<Timing> {
    let mut clock = Clock::default();
    clock.time(work).context("what is done once")?;
    Ok(clock.timing(1, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use opendb_measure::workload::Keys;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn every_call_is_made_and_only_what_is_timed_counts() {
        let mut seen = Vec::new();
        let budget = Budget { calls: 100, time: LONG };
        let timing = each(budget, |call, clock| {
            seen.push(call);
            if call % 2 == 0 { clock.time(|| Ok(())) } else { Ok(()) }
        });
        let timing = timing.unwrap();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert_eq!((timing.calls, timing.complete), (50, false));
        assert!(timing.p50 <= timing.p99 && timing.p99 <= timing.p999 && timing.p999 <= timing.slowest);
    }

    #[test]
    fn a_budget_of_time_ends_before_all_calls_are_made() {
        let budget = Budget { calls: u64::MAX, time: Duration::from_millis(5) };
        let timing = each(budget, |_, clock| clock.time(|| Ok(()))).unwrap();
        assert!(timing.calls > 0 && !timing.complete);
        let key = Keys::new(1).key(1);
        let timing = blocks(budget, || key, |_| Ok(())).unwrap();
        assert!(timing.calls > 0 && !timing.complete);
    }

    #[test]
    fn blocks_make_exactly_the_calls_they_were_asked_for() {
        let (mut drawn, mut called) = (0, 0);
        let key = Keys::new(1).key(1);
        let draw = || {
            drawn += 1;
            key
        };
        let count = |_: &Key| {
            called += 1;
            Ok(())
        };
        let timing = blocks(Budget { calls: 1000, time: LONG }, draw, count).unwrap();
        assert_eq!((timing.calls, timing.complete), (1000, true));
        assert_eq!((drawn, called), (1000, 1000));
    }

    #[test]
    fn threads_share_the_calls_and_an_error_of_one_is_that_of_all() {
        let budget = Budget { calls: 101, time: LONG };
        let timing = together(4, budget, |_| |_: u64, clock: &mut Clock| clock.time(|| Ok(()))).unwrap();
        assert_eq!((timing.calls, timing.complete), (100, true));
        let failing =
            |thread| move |_: u64, _: &mut Clock| if thread == 1 { bail!("one of them") } else { Ok(()) };
        assert!(together(2, budget, failing).is_err());
    }
}
