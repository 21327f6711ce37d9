//! What Python objects hold of the core, and how closing their database takes it from them: Python keeps its objects for
//! as long as it likes, but what they hold is freed when the program says that it is done.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use opendb::{Error, Result};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;

use crate::database::Handle;
use crate::error::{call, guard};

/// Something held that closing the database takes away.
pub(crate) trait Release: Send + Sync {
    /// Takes it away. It waits for calls that are at it, so not with the interpreter that they may wait for.
    fn release(&self);
}

/// Below this number of holders nobody looks for those that are gone.
const HOLDERS_MIN: usize = 16;

/// Everything that is held of one database. Objects come and go without being taken off the list: it is looked through
/// when it is full, so the work of that is a constant for each object, and at most as many are gone as are alive.
#[derive(Default)]
pub(crate) struct Holders(Mutex<Vec<Weak<dyn Release>>>);

impl Holders {
    /// The lock is held for moments and nothing of Python happens meanwhile, so it is safe to wait for with the
    /// interpreter.
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<dyn Release>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, holder: Weak<dyn Release>) {
        let mut holders = self.lock();
        if holders.len() == holders.capacity() {
            holders.retain(|holder| holder.strong_count() > 0);
            let room = holders.len().max(HOLDERS_MIN);
            holders.shrink_to(room);
            holders.reserve_exact(room);
        }
        holders.push(holder);
    }

    /// Takes away everything that is held.
    pub(crate) fn release(&self) {
        let holders = mem::take(&mut *self.lock());
        for holder in holders.iter().filter_map(Weak::upgrade) {
            holder.release();
        }
    }
}

/// Something that closing the database takes away, under a lock.
pub(crate) fn hold<T>(handle: &Handle, held: T) -> Arc<Mutex<T>>
where
    T: Send + 'static,
    Mutex<T>: Release,
{
    let held = Arc::new(Mutex::new(held));
    let holder: Weak<Mutex<T>> = Arc::downgrade(&held);
    handle.holders.add(holder);
    // Who closes the database meanwhile may have been through the list already. No call is at what is new.
    if handle.is_closed() {
        held.release();
    }
    held
}

/// What the core's calls consume, in the course of its life.
enum Held<T> {
    Open(T),
    /// Committed, rolled back, discarded or released by a call.
    Finished,
    /// Taken away when the database was closed.
    Closed,
}

impl<T: Send> Release for Mutex<Held<T>> {
    fn release(&self) {
        let mut held = self.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = match &*held {
            Held::Open(_) => mem::replace(&mut *held, Held::Closed),
            Held::Finished | Held::Closed => return,
        };
        drop(held);
        drop(taken);
    }
}

/// A transaction, batch or snapshot that is there until it is finished. Python keeps its object for as long as it likes
/// and is told so in each later call.
pub(crate) struct Slot<T> {
    // Before the handle, so that what is held lets go of the database first.
    held: Arc<Mutex<Held<T>>>,
    pub(crate) handle: Arc<Handle>,
    /// What a call says that comes too late.
    finished: &'static str,
}

impl<T: Send + 'static> Slot<T> {
    pub(crate) fn new(handle: &Arc<Handle>, held: T, finished: &'static str) -> Slot<T> {
        Slot { held: hold(handle, Held::Open(held)), handle: Arc::clone(handle), finished }
    }

    /// What is held, unless it is the parent's in the child of a fork.
    fn lock(&self, py: Python<'_>) -> Result<MutexGuard<'_, Held<T>>> {
        if self.handle.is_of_the_parent() {
            return Err(Error::Forked);
        }
        // A panic of the core is caught inside the lock, so the lock is never poisoned.
        Ok(self.held.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner))
    }

    /// One call of the core. It runs no Python code, so the lock is not held for longer than the call takes.
    pub(crate) fn with<R>(&self, py: Python<'_>, work: impl FnOnce(&mut T) -> Result<R>) -> PyResult<R> {
        let outcome = self.lock(py).and_then(|mut held| match &mut *held {
            Held::Open(held) => guard(|| work(held)),
            gone => Err(self.too_late(gone)),
        });
        call(py, || outcome)
    }

    /// [`Slot::with`] for a call that waits for the device or moves much data: other Python threads run meanwhile.
    pub(crate) fn with_detached<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut T) -> Result<R> + Send,
    ) -> PyResult<R> {
        let outcome = self.lock(py).and_then(|mut held| match &mut *held {
            Held::Open(held) => py.detach(|| guard(|| work(held))),
            gone => Err(self.too_late(gone)),
        });
        call(py, || outcome)
    }

    /// That it can be used: it is neither finished, nor is its database closed or the parent's.
    pub(crate) fn check(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |_| self.handle.check())
    }

    /// Takes out what is held; the slot is finished then.
    pub(crate) fn take(&self, py: Python<'_>) -> PyResult<T> {
        let taken = self.lock(py).and_then(|mut held| match mem::replace(&mut *held, Held::Finished) {
            Held::Open(taken) => Ok(taken),
            gone => {
                let error = self.too_late(&gone);
                *held = gone;
                Err(error)
            }
        });
        call(py, || taken)
    }

    /// [`Slot::take`] at the end of a `with` block that has not failed: nothing where the block has finished it itself,
    /// and nothing where the child of a fork leaves its parent's block.
    pub(crate) fn take_at_end(&self, py: Python<'_>) -> PyResult<Option<T>> {
        match self.lock(py).map(|held| matches!(*held, Held::Finished)) {
            Ok(true) | Err(_) => Ok(None),
            Ok(false) => self.take(py).map(Some),
        }
    }

    /// Lets go of what is held, if it is still there.
    pub(crate) fn finish(&self, py: Python<'_>) {
        let taken = self.lock(py).map(|mut held| match &*held {
            Held::Open(_) => Some(mem::replace(&mut *held, Held::Finished)),
            Held::Finished | Held::Closed => None,
        });
        drop(taken);
    }

    /// Whether it is still there. What the parent of a fork has is not asked for.
    pub(crate) fn is_open(&self, py: Python<'_>) -> bool {
        self.lock(py).map_or(true, |held| matches!(*held, Held::Open(_)))
    }

    fn too_late(&self, gone: &Held<T>) -> Error {
        match gone {
            Held::Closed => Error::Closed,
            Held::Open(_) | Held::Finished => Error::InvalidArgument(self.finished.into()),
        }
    }
}
