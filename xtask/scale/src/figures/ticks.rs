//! Whether the machine itself stood still. A processor that works is interrupted by its timer at a steady rate, and one that a
//! hypervisor has stopped is not: a call during which those interrupts are missing says nothing about the store.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two looks.
const REST: Duration = Duration::from_millis(5);

/// The timer interrupts of each processor so far, at one moment.
struct Look {
    at: Instant,
    interrupts: Vec<u64>,
}

/// Looks again and again, beside what is measured.
pub(super) struct Watch {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Look>>,
}

impl Watch {
    pub(super) fn begin() -> Watch {
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                let mut looks = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    looks.push(Look::now());
                    thread::sleep(REST);
                }
                looks.push(Look::now());
                looks
            }
        });
        Watch { is_over, thread }
    }

    pub(super) fn end(self) -> Ticks {
        self.is_over.store(true, Ordering::Relaxed);
        Ticks::new(self.thread.join().unwrap_or_default())
    }
}

impl Look {
    fn now() -> Look {
        let text = fs::read_to_string("/proc/interrupts").unwrap_or_default();
        Look { at: Instant::now(), interrupts: timer_interrupts(&text) }
    }

    fn interrupts(&self, processor: usize) -> u64 {
        self.interrupts.get(processor).copied().unwrap_or_default()
    }
}

/// What was seen.
pub(super) struct Ticks {
    looks: Vec<Look>,
    /// Time from one interrupt to the next on the processor that worked most; `None` where the system does not tell.
    interval: Option<Duration>,
}

impl Ticks {
    fn new(looks: Vec<Look>) -> Ticks {
        let interval = || {
            let (first, last) = (looks.first()?, looks.last()?);
            let most = (0..first.interrupts.len())
                .map(|processor| last.interrupts(processor).saturating_sub(first.interrupts(processor)))
                .max()?;
            last.at.duration_since(first.at).checked_div(u32::try_from(most).ok()?)
        };
        let interval = interval();
        Ticks { looks, interval }
    }

    /// For how long a processor got no interrupts during a call: it stood still, or had nothing to do. `None` where nothing is
    /// known.
    pub(super) fn missing(&self, end: Instant, duration: Duration, processor: usize) -> Option<Duration> {
        let begin = end.checked_sub(duration)?;
        let before = self.looks.iter().rev().find(|look| look.at <= begin)?;
        let after = self.looks.iter().find(|look| look.at >= end)?;
        let interrupts = after.interrupts(processor).checked_sub(before.interrupts(processor))?;
        // One more, since an interval is cut at each end.
        let accounted = self.interval?.checked_mul(u32::try_from(interrupts).ok()? + 1)?;
        Some(after.at.duration_since(before.at).saturating_sub(accounted).min(duration))
    }
}

/// By the number of the processor, the sum of the rows that are a processor's own timer's: on x86 one that ends in
/// `Local timer interrupts`, on Arm one that ends in `arch_timer`. Only processors that are in use have a column.
fn timer_interrupts(text: &str) -> Vec<u64> {
    let mut lines = text.lines();
    let names = lines.next().unwrap_or_default().split_whitespace();
    let columns: Vec<usize> = names.filter_map(|name| name.strip_prefix("CPU")?.parse().ok()).collect();
    let mut sums = vec![0; columns.iter().max().map_or(0, |last| last + 1)];
    for line in lines.filter(|line| line.ends_with("Local timer interrupts") || line.ends_with("arch_timer"))
    {
        let numbers = line.split_whitespace().skip(1).map_while(|number| number.parse::<u64>().ok());
        columns.iter().zip(numbers).for_each(|(processor, number)| sums[*processor] += number);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timer_interrupts_are_summed_by_processor() {
        let text = "      CPU0   CPU2\n  1:   7   8  IO-APIC\nLOC:  40  50   Local timer interrupts\n";
        assert_eq!(timer_interrupts(text), [40, 0, 50]);
        assert_eq!(timer_interrupts(""), [0; 0]);
    }

    impl Ticks {
        /// Two seconds of a processor with an interrupt each 4 ms that misses those between two milliseconds.
        pub(in super::super) fn with_a_gap(begin: Instant, from: u64, to: u64) -> Ticks {
            let interrupts =
                |milliseconds: u64| (milliseconds - milliseconds.min(to).saturating_sub(from)).div_ceil(4);
            let look = |milliseconds| Look {
                at: begin + Duration::from_millis(milliseconds),
                interrupts: vec![interrupts(milliseconds)],
            };
            Ticks::new((0..2000).step_by(5).map(look).collect())
        }
    }

    #[test]
    fn interrupts_are_missed_where_a_processor_got_none() {
        let begin = Instant::now();
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        let ticks = Ticks::with_a_gap(begin, 200, 240);
        let missing = |from, to| ticks.missing(at(to), Duration::from_millis(to - from), 0).unwrap();
        assert!((30..=41).contains(&missing(200, 241).as_millis()), "{:?}", missing(200, 241));
        assert!(missing(100, 140) < Duration::from_millis(2));
        assert_eq!(ticks.missing(at(5000), Duration::from_millis(1), 0), None);
    }
}
