//! A wish of one thread for the work of another: made as often as one likes, told once, and never lost.

use crate::sync::{AtomicU64, Ordering};

const NONE: u64 = 0;
const MADE: u64 = 1;
const TOLD: u64 = 2;

/// Whether there is a wish, and whether somebody was woken for it. Waking costs a system call, and the thread that is woken may
/// not get a processor for some milliseconds: who makes wishes meanwhile must not wake it each time.
#[derive(Debug)]
pub(crate) struct Wish(AtomicU64);

impl Wish {
    pub(crate) fn new() -> Wish {
        Wish(AtomicU64::new(NONE))
    }

    /// Makes the wish, if it is not there. Whoever takes it from now on sees what was done before this call: also one that is
    /// there is written again, so that this is always before the taking.
    #[inline]
    pub(crate) fn make(&self) {
        self.0.fetch_or(MADE, Ordering::AcqRel);
    }

    /// Whether somebody is to be woken, which is said once for each wish.
    #[inline]
    pub(crate) fn is_to_be_told(&self) -> bool {
        self.0.load(Ordering::Relaxed) == MADE
            && self.0.compare_exchange(MADE, MADE | TOLD, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Whether there is one to be taken.
    pub(crate) fn is_there(&self) -> bool {
        self.0.load(Ordering::Acquire) != NONE
    }

    /// Takes the wish, if there is one. What is to be done for it is looked up afterwards.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(NONE, Ordering::AcqRel) != NONE
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_told_once_and_is_there_until_it_is_taken() {
        let wish = Wish::new();
        assert!(!wish.is_there() && !wish.is_to_be_told() && !wish.take());
        wish.make();
        assert!(wish.is_there() && wish.is_to_be_told());
        wish.make();
        assert!(!wish.is_to_be_told(), "it was told already");
        assert!(wish.take() && !wish.is_there() && !wish.take());
        wish.make();
        assert!(wish.is_to_be_told(), "a new one");
        assert!(wish.take());
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU64, Ordering};
    use loom::thread;

    use super::Wish;

    /// What was done before a wish was made is seen by whoever takes it, or the wish is still there.
    #[test]
    fn no_wish_is_lost() {
        loom::model(|| {
            let shared = Arc::new((Wish::new(), AtomicU64::new(0)));
            let maker = Arc::clone(&shared);
            let maker = thread::spawn(move || {
                (0..2).for_each(|_| {
                    maker.1.fetch_add(1, Ordering::Relaxed);
                    maker.0.make();
                    maker.0.is_to_be_told();
                });
            });
            let mut seen = 0;
            for _ in 0..2 {
                if shared.0.take() {
                    seen = shared.1.load(Ordering::Relaxed);
                }
            }
            maker.join().unwrap();
            assert!(shared.0.is_there() || seen == 2, "{seen} were seen, and no wish is there");
        });
    }
}
