//! Whose turn it is to sync.
//!
//! One sync serves everybody whose commits were appended when it began. Those who come while it goes on wait for its end, and one
//! of them takes the next turn. Before he syncs he waits a little for the others who took part in the last turn: they have just heard
//! that it is over, and would otherwise come a moment too late and wait for a sync of their own. (PostgreSQL has the same as
//! `commit_delay`, fixed and off at first; here it follows from how many there were and how long a sync takes.)
//!
//! Waiting is on the standard library's locks: `parking_lot` wakes those who wait one after the other, and a sync is not much longer than
//! that takes.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

#[cfg(loom)]
use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(loom))]
use std::sync::{Condvar, Mutex, MutexGuard};

/// The part of the last sync's time that others are waited for.
const GATHERED_PART: u32 = 4;
/// Longer than this they are not waited for: on their way they have little to do.
const GATHER_MAX: Duration = Duration::from_millis(1);

/// The turns of one log.
#[derive(Debug)]
pub(super) struct Turns {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_taken: bool,
    /// How many wait for the end of this turn.
    waiting: usize,
    /// How many are to be expected in the next turn: who waited for the end of the last one, and who synced in it.
    expected: usize,
    /// How long the last sync took.
    took: Duration,
}

/// The turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    /// When the sync began; `None` where the turn is for something else.
    begin: Option<Instant>,
}

impl Turns {
    pub(super) fn new() -> Turns {
        Turns { state: Mutex::new(State::default()), ended: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is behind the lock that a panic could have left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn, for something else than a sync.
    pub(super) fn take(&self) -> Turn<'_> {
        let mut state = self.state();
        while state.is_taken {
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.begin(&mut state)
    }

    /// Waits for the turn, or until there is nothing left to do: that is asked when a turn has ended. Whoever has the turn then also
    /// has the work of those who come meanwhile.
    pub(super) fn take_unless(&self, is_done: impl Fn() -> bool) -> Option<Turn<'_>> {
        let mut state = self.state();
        while !is_done() {
            if !state.is_taken {
                let mut turn = self.begin(&mut state);
                self.gather(state);
                turn.begin = Some(Instant::now());
                return Some(turn);
            }
            state.waiting += 1;
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn begin(&self, state: &mut State) -> Turn<'_> {
        state.is_taken = true;
        Turn { turns: self, begin: None }
    }

    /// Waits for those who are expected, but not for long: they may have other things to do.
    fn gather<'a>(&'a self, mut state: MutexGuard<'a, State>) {
        if cfg!(loom) {
            // Time would differ from run to run. Nothing depends on who is waited for.
            return;
        }
        let end = Instant::now() + (state.took / GATHERED_PART).min(GATHER_MAX);
        while state.waiting + 1 < state.expected && Instant::now() < end {
            drop(state);
            // Sleeping until the last one has come would take longer than that takes.
            std::thread::yield_now();
            state = self.state();
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        state.is_taken = false;
        state.expected = std::mem::take(&mut state.waiting);
        if let Some(begin) = self.begin {
            state.took = begin.elapsed();
            state.expected += 1;
        }
        drop(state);
        self.turns.ended.notify_all();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::*;

    /// Each thread asks for what it has appended; a turn does what was appended when it began.
    #[test]
    fn one_turn_serves_all_who_have_come() {
        const THREADS: u64 = 4;
        const EACH: u64 = 50;
        let turns = Turns::new();
        let (appended, done, taken) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let inside = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        let wanted = appended.fetch_add(1, Ordering::AcqRel) + 1;
                        if let Some(turn) = turns.take_unless(|| done.load(Ordering::Acquire) >= wanted) {
                            assert_eq!(inside.fetch_add(1, Ordering::AcqRel), 0, "two had the turn");
                            let target = appended.load(Ordering::Acquire);
                            thread::sleep(Duration::from_millis(1));
                            done.store(target, Ordering::Release);
                            taken.fetch_add(1, Ordering::Relaxed);
                            inside.fetch_sub(1, Ordering::AcqRel);
                            drop(turn);
                        }
                        assert!(done.load(Ordering::Acquire) >= wanted);
                    }
                });
            }
        });
        assert!(taken.into_inner() < THREADS * EACH, "each had a turn of its own");
    }

    #[test]
    fn others_who_stay_away_are_forgotten() {
        let turns = Turns::new();
        let expected = |turns: &Turns| turns.state().expected;
        let mut state = turns.state();
        (state.expected, state.took) = (4, Duration::from_millis(1));
        drop(state);
        drop(turns.take_unless(|| false).unwrap());
        assert_eq!(expected(&turns), 1);
        drop(turns.take());
        assert_eq!(expected(&turns), 0);
        assert!(turns.take_unless(|| true).is_none());
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU64, Ordering};
    use loom::thread;

    use super::Turns;

    /// Whoever waits comes to an end, and what he asked for was done by somebody who was alone at it. Up to a bound on preemptions.
    #[test]
    fn all_are_served() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(|| {
            let shared = Arc::new((Turns::new(), AtomicU64::new(0), AtomicU64::new(0)));
            let commit = |shared: &(Turns, AtomicU64, AtomicU64)| {
                let (turns, appended, done) = shared;
                let wanted = appended.fetch_add(1, Ordering::AcqRel) + 1;
                if let Some(_turn) = turns.take_unless(|| done.load(Ordering::Acquire) >= wanted) {
                    let before = done.load(Ordering::Acquire);
                    let target = appended.load(Ordering::Acquire);
                    assert_eq!(done.swap(target, Ordering::AcqRel), before, "two had the turn");
                }
                assert!(done.load(Ordering::Acquire) >= wanted);
            };
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || commit(&shared))
                })
                .collect();
            commit(&shared);
            others.into_iter().for_each(|other| other.join().unwrap());
        });
    }
}
