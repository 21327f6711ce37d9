//! Values that are taken away while others may still be looking at them.
//!
//! A reader **pins** its thread for the moment of a call and borrows a value from its [`Retirable`] cell without a lock
//! and without counting. Whoever retires the value empties the cell at once; the value itself is dropped when every
//! thread that was pinned then is pinned no more (epoch-based reclamation, after Fraser, 2004).
//!
//! A thread that vanished in a fork while it was pinned would stay pinned in the child for ever, and nothing would be
//! dropped there. So each process has its own list of pinned threads, told apart by the generation, the number that a fork
//! changes.
#![allow(unsafe_code)] // Cells that are read while they are emptied; see the SAFETY comments.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_epoch::{Atomic, Collector, LocalHandle, Shared};

use crate::disk::PerProcess;

/// How often a retired value is asked for before it is left to those who still look at it. Three times are enough where
/// nobody does; after some more the others are given the processor, and then time.
const ATTEMPTS_MAX: u32 = 150;
const ATTEMPTS_AT_ONCE: u32 = 8;
const ATTEMPTS_YIELDING: u32 = 100;
const REST: Duration = Duration::from_millis(1);

/// The threads of each process that may be pinned.
static THREADS: PerProcess<Collector> = PerProcess::new();

/// Values that were retired and are not dropped yet.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// One thread among those of its process.
struct Participant {
    generation: u64,
    local: LocalHandle,
}

thread_local! {
    static PARTICIPANT: RefCell<Option<Participant>> = const { RefCell::new(None) };
}

/// Keeps what was found in cells from being dropped. Held for the time of one read: while it lives, nothing is dropped
/// anywhere that is retired after it was made.
pub(crate) struct Guard {
    pinned: crossbeam_epoch::Guard,
    /// Dropped after the pin.
    _end: GuardEnd,
}

/// What is done when a thread is pinned no more: whoever looked longest drops what was waiting for that.
struct GuardEnd;

impl Drop for GuardEnd {
    #[inline]
    fn drop(&mut self) {
        if WAITING.load(Ordering::Relaxed) != 0 {
            drop_what_waits();
        }
    }
}

#[cold]
fn drop_what_waits() {
    let _a_thread_that_ends_leaves_it = PARTICIPANT.try_with(|participant| {
        let participant = participant.try_borrow().ok()?;
        let local = &participant.as_ref()?.local;
        (0..ATTEMPTS_AT_ONCE).for_each(|_| local.pin().flush());
        Some(())
    });
}

impl From<crossbeam_epoch::Guard> for Guard {
    #[inline]
    fn from(pinned: crossbeam_epoch::Guard) -> Guard {
        Guard { pinned, _end: GuardEnd }
    }
}

/// Pins the thread. Cells are read by guards of their own generation.
#[inline(always)]
pub(crate) fn pin(generation: u64) -> Guard {
    let pinned = PARTICIPANT.try_with(|participant| match &*participant.try_borrow().ok()? {
        Some(known) if known.generation == generation => Some(known.local.pin()),
        _ => None,
    });
    match pinned {
        Ok(Some(pinned)) => Guard::from(pinned),
        _ => pin_anew(generation),
    }
}

/// Pins a thread that is new to its process.
#[cold]
fn pin_anew(generation: u64) -> Guard {
    let local = threads(generation).register();
    let guard = local.pin();
    // A thread that is ending keeps nothing; its guard stays good all the same.
    let _before = PARTICIPANT.try_with(|participant| {
        let mut participant = participant.try_borrow_mut().ok()?;
        participant.replace(Participant { generation, local })
    });
    Guard::from(guard)
}

/// The threads of the process of this generation.
fn threads(generation: u64) -> Collector {
    THREADS.of(generation).clone()
}

/// Waits until every thread that is pinned now has been unpinned, for a moment. Whether that came to pass: a thread may stay
/// pinned for long, and then the caller asks again later. Not to be called under a guard.
pub(crate) fn everybody_has_moved_on(generation: u64) -> bool {
    let passed = Arc::new(AtomicBool::new(false));
    let tells = Arc::clone(&passed);
    let local = threads(generation).register();
    local.pin().defer(move || tells.store(true, Ordering::Release));
    flush_until(&local, &passed);
    passed.load(Ordering::Acquire)
}

/// Moves on, again and again for some time, until it is done.
fn flush_until(local: &LocalHandle, done: &AtomicBool) {
    for attempt in 0..ATTEMPTS_MAX {
        local.pin().flush();
        match attempt {
            _ if done.load(Ordering::Acquire) => break,
            0..ATTEMPTS_AT_ONCE => {}
            ATTEMPTS_AT_ONCE..ATTEMPTS_YIELDING => std::thread::yield_now(),
            _ => std::thread::sleep(REST),
        }
    }
}

/// A value that can be taken away under the eyes of its readers.
pub(crate) struct Retirable<T> {
    /// Null while there is no value: before it is filled, and once the value was retired.
    value: Atomic<T>,
    threads: Collector,
}

impl<T: Send + Sync + 'static> Retirable<T> {
    pub(crate) fn new(value: T, generation: u64) -> Retirable<T> {
        Retirable { value: Atomic::new(value), threads: threads(generation) }
    }

    /// A cell without a value, to be filled later.
    pub(crate) fn empty(generation: u64) -> Retirable<T> {
        Retirable { value: Atomic::null(), threads: threads(generation) }
    }

    /// Puts a value into an empty cell: a new one, or one whose value was retired. `false`, and the value is dropped, where
    /// there is one.
    pub(crate) fn fill(&self, value: T) -> bool {
        let local = self.threads.register();
        let guard = local.pin();
        let value = crossbeam_epoch::Owned::new(value);
        self.value
            .compare_exchange(Shared::null(), value, Ordering::AcqRel, Ordering::Acquire, &guard)
            .is_ok()
    }

    /// Whether there is a value, which may be gone the next moment. Takes no guard, which costs more than this.
    #[inline]
    pub(crate) fn is_filled(&self) -> bool {
        // SAFETY: the pointer is only compared with null and nothing is read through it, so what it names need not be kept
        // from being dropped; nothing is retired under this guard.
        let guard = unsafe { crossbeam_epoch::unprotected() };
        !self.value.load(Ordering::Acquire, guard).is_null()
    }

    /// The value, unless it was retired. A guard of another process finds nothing.
    #[inline]
    pub(crate) fn get<'g>(&'g self, guard: &'g Guard) -> Option<&'g T> {
        if guard.pinned.collector() != Some(&self.threads) {
            return None;
        }
        let value = self.value.load(Ordering::Acquire, &guard.pinned);
        // SAFETY: the pointer is null or was published with release by `new` or `fill` and names a value that is shared
        // from then on. It is dropped by `drop`, which borrows the cell alone while `'g` borrows it as well, or after
        // `retire` has emptied the cell, by the collector that `guard` was just seen to be pinned in, and not before
        // that guard is gone.
        unsafe { value.as_ref() }
    }

    /// Puts another value into the place of the one that is there, which is dropped as by [`Retirable::retire`]. `false`, and the
    /// new one is dropped, where none was there.
    pub(crate) fn replace(&self, value: T) -> bool {
        let local = self.threads.register();
        let guard = local.pin();
        let mut next = crossbeam_epoch::Owned::new(value);
        let mut current = self.value.load(Ordering::Acquire, &guard);
        while !current.is_null() {
            match self.value.compare_exchange(current, next, Ordering::AcqRel, Ordering::Acquire, &guard) {
                Ok(_) => {
                    let dropped = drop_later(&guard, current);
                    drop(guard);
                    flush_until(&local, &dropped);
                    return true;
                }
                Err(error) => (current, next) = (error.current, error.new),
            }
        }
        false
    }

    /// Takes the value away and drops it as soon as nobody looks at it, which is before this returns unless another
    /// thread stays pinned for long. Whether it was still there. Not to be called under a guard, which would be waited
    /// for.
    pub(crate) fn retire(&self) -> bool {
        let local = self.threads.register();
        let guard = local.pin();
        let value = self.value.swap(Shared::null(), Ordering::AcqRel, &guard);
        if value.is_null() {
            return false;
        }
        let dropped = drop_later(&guard, value);
        drop(guard);
        flush_until(&local, &dropped);
        true
    }
}

/// Drops a value that was just taken out of its cell, when nobody can be looking at it any more, and tells of that.
fn drop_later<T: Send + Sync + 'static>(
    guard: &crossbeam_epoch::Guard,
    value: Shared<'_, T>,
) -> Arc<AtomicBool> {
    let dropped = Arc::new(AtomicBool::new(false));
    let tells = Arc::clone(&dropped);
    WAITING.fetch_add(1, Ordering::Relaxed);
    let drop_value = move || {
        // SAFETY: whoever calls this has exchanged the pointer in its cell for another one, which only one can have done, so nobody
        // else drops it; and this runs after the last guard under which it can have been read is gone.
        drop(unsafe { value.into_owned() });
        tells.store(true, Ordering::Release);
        WAITING.fetch_sub(1, Ordering::Relaxed);
    };
    // SAFETY: `drop_value` may run at any later time in any thread: `T` is `Send` and borrows nothing, and the
    // pointer's lifetime is only that of the caller's guard, not of what it names. The cell has another one by now, so
    // no guard made after this one can read the pointer there.
    unsafe { guard.defer_unchecked(drop_value) };
    dropped
}

impl<T> Drop for Retirable<T> {
    fn drop(&mut self) {
        let value = std::mem::take(&mut self.value);
        // SAFETY: the cell is borrowed alone, so nobody reads from it, and what was read from it before borrowed it too.
        drop(unsafe { value.try_into_owned() });
    }
}

impl<T> fmt::Debug for Retirable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Retirable")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    /// Counts its drops; afterwards the word it holds is another one.
    struct Counted {
        word: u64,
        drops: Arc<AtomicUsize>,
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.word = 0;
            self.drops.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counted(generation: u64) -> (Arc<AtomicUsize>, Retirable<Counted>) {
        let drops = Arc::new(AtomicUsize::new(0));
        let value = Counted { word: 7, drops: Arc::clone(&drops) };
        (drops, Retirable::new(value, generation))
    }

    fn drops_of(drops: &AtomicUsize) -> usize {
        drops.load(Ordering::SeqCst)
    }

    /// Each test has a process of its own, which the others cannot hold up.
    fn in_a_process_of_its_own(test: impl Fn(u64)) {
        static LAST: AtomicUsize = AtomicUsize::new(1 << 20);
        test(LAST.fetch_add(1, Ordering::Relaxed) as u64);
    }

    #[test]
    fn what_nobody_looks_at_is_dropped_before_retire_returns() {
        in_a_process_of_its_own(|generation| {
            for _ in 0..if cfg!(miri) { 10 } else { 1000 } {
                let (drops, cell) = counted(generation);
                assert_eq!(cell.get(&pin(generation)).unwrap().word, 7);
                assert!(cell.is_filled());
                assert!(cell.retire());
                assert_eq!(drops_of(&drops), 1);
                assert!(cell.get(&pin(generation)).is_none() && !cell.is_filled());
                assert!(!cell.retire(), "it is retired only once");
                drop(cell);
                assert_eq!(drops_of(&drops), 1);
            }
        });
    }

    #[test]
    fn what_was_never_retired_is_dropped_with_its_cell() {
        in_a_process_of_its_own(|generation| {
            let (drops, cell) = counted(generation);
            drop(cell);
            assert_eq!(drops_of(&drops), 1);
        });
    }

    /// Retires a value while another thread looks at it. What that thread is given waits until it was retired.
    fn retire_while_looked_at(cell: &Retirable<Counted>, look: impl FnOnce(&dyn Fn()) + Send) {
        let (found, retired) = (Barrier::new(2), Barrier::new(2));
        thread::scope(|scope| {
            scope.spawn(|| {
                look(&|| {
                    found.wait();
                    retired.wait();
                });
            });
            found.wait();
            assert!(cell.retire());
            retired.wait();
        });
    }

    #[test]
    fn a_reader_keeps_what_it_found_and_only_for_so_long() {
        in_a_process_of_its_own(|generation| {
            let (drops, cell) = counted(generation);
            retire_while_looked_at(&cell, |wait_until_retired| {
                let guard = pin(generation);
                let value = cell.get(&guard).unwrap();
                wait_until_retired();
                assert!(cell.get(&guard).is_none());
                assert_eq!((value.word, drops_of(&drops)), (7, 0));
            });
            let (other_drops, other) = counted(generation);
            assert!(other.retire());
            assert_eq!((drops_of(&drops), drops_of(&other_drops)), (1, 1));
        });
    }

    #[test]
    fn readers_that_come_and_go_never_see_a_dropped_value() {
        in_a_process_of_its_own(|generation| {
            for _ in 0..if cfg!(miri) { 3 } else { 200 } {
                let (drops, cell) = counted(generation);
                let started = Barrier::new(3);
                thread::scope(|scope| {
                    for _ in 0..2 {
                        scope.spawn(|| {
                            started.wait();
                            while cell.get(&pin(generation)).map(|value| assert_eq!(value.word, 7)).is_some()
                            {
                            }
                        });
                    }
                    started.wait();
                    assert!(cell.retire());
                });
                drop(cell);
                // With both readers gone nothing can hold it up.
                assert!(Retirable::new(0, generation).retire());
                assert_eq!(drops_of(&drops), 1);
            }
        });
    }

    /// Whoever looked longest drops it, at the end of the look and without another call.
    #[test]
    fn a_reader_that_stays_for_long_drops_what_waited_for_it() {
        in_a_process_of_its_own(|generation| {
            let (drops, cell) = counted(generation);
            retire_while_looked_at(&cell, |wait_until_retired| {
                let guard = pin(generation);
                cell.get(&guard).unwrap();
                wait_until_retired();
                assert_eq!(drops_of(&drops), 0);
                drop(guard);
                assert_eq!(drops_of(&drops), 1);
            });
        });
    }

    /// A thread that is pinned when its process forks is pinned for ever in the child, where it does not run.
    #[test]
    fn a_thread_that_vanished_in_a_fork_holds_nothing_up_in_the_child() {
        in_a_process_of_its_own(|parent| {
            let (_, of_the_parent) = counted(parent);
            let _pinned_for_ever = pin(parent);
            let child = parent + (1 << 30);
            let (drops, cell) = counted(child);
            assert_eq!(cell.get(&pin(child)).unwrap().word, 7);
            assert!(of_the_parent.get(&pin(child)).is_none(), "a guard of another process protects nothing");
            assert!(cell.retire());
            assert_eq!(drops_of(&drops), 1);
        });
    }
}
