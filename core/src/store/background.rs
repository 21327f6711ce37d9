//! What goes on beside the calls: pages populated and segments and memory of the index prepared ahead, the device synced, keys
//! sorted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Store;
use crate::disk::let_others_go_first;
use crate::error::{Error, Result};
use crate::wish::Wish;

/// Twice as often as promised, so that the time of the sync itself fits as well.
const SYNC_EVERY: Duration = Duration::from_millis(500);
/// How long the sorting of keys may rest when nobody wakes it.
const ORDER_EVERY: Duration = Duration::from_millis(100);

/// Wakes the threads. They rest on the standard library's lock: parking_lot keeps a table of resting threads, which in the
/// child of a fork would name threads that are not there.
#[derive(Debug, Default)]
pub(super) struct Wake {
    stopping: AtomicBool,
    /// Of those who are woken to stop only: each that is woken takes a processor from somebody.
    stop: Bell,
    room: Bell,
    sorting: Bell,
}

/// What threads rest at until it is rung.
#[derive(Debug, Default)]
struct Bell {
    turn: Mutex<()>,
    rung: Condvar,
}

impl Bell {
    fn turn(&self) -> MutexGuard<'_, ()> {
        // Nothing is behind the lock that a panic could have left half done.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rests, unless there is something to get up for already: that is asked when nobody can ring in between.
    fn rest(&self, time: Duration, is_due: impl Fn() -> bool) {
        let turn = self.turn();
        if !is_due() {
            let _woken_or_not = self.rung.wait_timeout(turn, time);
        }
    }

    /// Wakes who rests. What it is rung for was done before.
    fn ring(&self) {
        drop(self.turn());
        self.rung.notify_all();
    }
}

impl Wake {
    pub(super) fn rest(&self, time: Duration) {
        self.stop.rest(time, || self.is_stopping());
    }

    /// Rests until there is one of the wishes.
    fn rest_until(&self, wishes: &[&Wish], bell: &Bell, time: Duration) {
        bell.rest(time, || wishes.iter().any(|wish| wish.is_there()) || self.is_stopping());
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        [&self.stop, &self.room, &self.sorting].into_iter().for_each(Bell::ring);
    }
}

/// The threads of an open store.
#[derive(Debug)]
pub(crate) struct Background {
    store: Arc<Store>,
    threads: Vec<JoinHandle<()>>,
}

/// How far the threads step back that nobody waits for. Where there are more threads than processors a put waits several times
/// as long for a processor without it. Much more than this, and compaction does not keep up, and who is interrupted under a lock
/// comes back to it too late.
const STEPS_BACK: i32 = 5;

/// A thread's name, how far it steps back, and what it does until the store is stopped.
type Work = (&'static str, i32, fn(&Store));

impl Background {
    /// Starts the threads.
    pub(crate) fn start(store: &Arc<Store>) -> Result<Background> {
        let mut background = Background { store: Arc::clone(store), threads: Vec::new() };
        let works: [Work; 4] = [
            ("opendb-room", 0, Store::make_room),
            ("opendb-sync", STEPS_BACK, Store::sync_regularly),
            ("opendb-order", STEPS_BACK, Store::keep_order),
            ("opendb-compact", STEPS_BACK, Store::compact_regularly),
        ];
        for (name, steps_back, work) in works {
            let store = Arc::clone(store);
            let begin = move || {
                let_others_go_first(steps_back);
                work(&store);
            };
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(begin);
            match thread {
                Ok(thread) => background.threads.push(thread),
                Err(error) => {
                    background.stop();
                    return Err(Error::io("starting a background thread", error));
                }
            }
        }
        Ok(background)
    }

    /// Stops the threads and waits for them.
    pub(crate) fn stop(self) {
        self.store.wake.stop();
        for thread in self.threads {
            // A thread that panicked has told so on the standard error; there is nothing to add.
            let _panicked = thread.join();
        }
    }
}

impl Store {
    /// Wakes the background where there is something new for it: the appender or the index has come near the end of what is
    /// prepared, or there are keys to sort.
    #[inline]
    pub(super) fn tell_wishes(&self) {
        if self.log.wish_for_room().is_to_be_told() || self.keys.index.wish_for_memory().is_to_be_told() {
            self.wake.room.ring();
        }
        if self.keys.order.wish_for_sorting().is_to_be_told() {
            self.wake.sorting.ring();
        }
    }

    fn make_room(&self) {
        let (room, memory) = (self.log.wish_for_room(), self.keys.index.wish_for_memory());
        self.keys.index.prepare_memory();
        while !self.wake.is_stopping() {
            if room.take() {
                // Where there is no room, the write that needs it says so.
                let _told_by_the_writer = self.log.populate_ahead().and_then(|()| self.log.prepare_spare());
            } else if memory.take() {
                self.keys.index.prepare_memory();
            } else {
                self.wake.rest_until(&[room, memory], &self.wake.room, SYNC_EVERY);
            }
        }
    }

    fn sync_regularly(&self) {
        let mut last = Instant::now();
        while !self.wake.is_stopping() {
            let due = last + SYNC_EVERY;
            self.wake.rest(due.saturating_duration_since(Instant::now()));
            if Instant::now() < due {
                continue;
            }
            last = Instant::now();
            self.log.tend_reserve();
            // A failure poisons the log, which the next write tells. The mark is synced when the log rests: until then each
            // commit tells of those before it.
            let _told_by_the_writer = match self.log.durable() < self.log.appended() {
                true => self.log.write_out().and_then(|()| self.sync_written()),
                false => self.log.sync_mark(),
            };
            self.judge_reads();
        }
    }

    fn keep_order(&self) {
        let wish = self.keys.order.wish_for_sorting();
        while !self.wake.is_stopping() {
            // What is waiting when a step begins is sorted by it.
            wish.take();
            if !self.maintain_order() {
                self.wake.rest_until(&[wish], &self.wake.sorting, ORDER_EVERY);
            }
        }
    }

    /// One step of sorting and merging; whether there was anything to do.
    pub(super) fn maintain_order(&self) -> bool {
        let has_room = |bytes| self.log.has_room_to_spare(bytes);
        self.keys.order.maintain_with_room(&|ordered| self.may_be_live(ordered), &has_room)
    }

    /// Whether a key may still be there for anybody: one that looks like it is in the index, or an old version of it is
    /// kept. The index is asked first: a key leaves it only after its version was kept.
    pub(super) fn may_be_live(&self, ordered: &[u8]) -> bool {
        let Some((keyspace, key)) = crate::keys::split_ordered_key(ordered) else { return true };
        let hash = self.keys.hash(keyspace, key);
        // Where it cannot be told the key stays.
        let looks_alike =
            self.keys.candidates(&self.log, hash).map_or(true, |mut found| found.next().is_some());
        looks_alike || self.versions.has(hash)
    }
}
