//! A clock that only goes forward, exact or cheap.
//!
//! The exact one waits for every load that the processor has begun, so asked by each get it takes away what gets that follow each
//! other do at the same time. The cheap one is a number in memory that the system counts up, some hundred times a second.

#[cfg(not(target_os = "linux"))]
use std::time::Instant;

/// Both count from the same moment, which is not said.
#[derive(Debug)]
pub(crate) struct Clock {
    #[cfg(not(target_os = "linux"))]
    began: Instant,
}

#[cfg(target_os = "linux")]
impl Clock {
    pub(crate) fn new() -> Clock {
        Clock {}
    }

    /// Microseconds, exactly.
    #[inline]
    pub(crate) fn exact(&self) -> u64 {
        microseconds(rustix::time::ClockId::Monotonic)
    }

    /// Microseconds: as many as [`Clock::exact`] said within the last few milliseconds.
    #[inline]
    pub(crate) fn coarse(&self) -> u64 {
        microseconds(rustix::time::ClockId::MonotonicCoarse)
    }
}

#[cfg(target_os = "linux")]
#[inline]
fn microseconds(clock: rustix::time::ClockId) -> u64 {
    let time = rustix::time::clock_gettime(clock);
    // Neither is negative: both count from the start of the machine.
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000
}

#[cfg(not(target_os = "linux"))]
impl Clock {
    pub(crate) fn new() -> Clock {
        Clock { began: Instant::now() }
    }

    /// Microseconds, exactly.
    #[inline]
    pub(crate) fn exact(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// [`Clock::exact`], where the system has nothing cheaper.
    #[inline]
    pub(crate) fn coarse(&self) -> u64 {
        self.exact()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn the_coarse_clock_follows_the_exact_one_and_never_leads() {
        let clock = Clock::new();
        let began = Instant::now();
        let mut last = 0;
        while began.elapsed() < Duration::from_millis(50) {
            let coarse = clock.coarse();
            let exact = clock.exact();
            assert!(last <= coarse && coarse <= exact, "{last}, {coarse}, {exact}");
            last = coarse;
        }
        std::thread::sleep(Duration::from_millis(50));
        assert!(clock.coarse() > last, "it goes on");
    }
}
