//! The native layer of the Node.js package `opendb`: plain functions over handles, and no logic.
//!
//! A method of a native class costs about 640 ns a call before it does anything, a plain function 35 to 130. So the
//! classes that users see are written in JavaScript (`lib/`), check every argument, and call the functions here with
//! byte arrays and handles only. Nothing here is public: the JavaScript classes are the API.
//!
//! To look into a byte array or to make one costs 150 ns and more, so small keys, values and pages do not cross as such:
//! JavaScript copies them into or out of a piece of memory that a keyspace knows (`lib/room.cjs`), and a call says how many
//! bytes stand there.
//!
//! # Layout
//!
//! - `database`: opening, closing, keyspaces, snapshots, and the key-value calls.
//! - `transaction`: transactions and batches.
//! - `scan`: what a scan covers, and the packed pages in which entries cross the border.
//! - `stream`: values that are read and written piece by piece.
//! - `maintenance`: compaction, verification and backups.
//! - `options`: plain objects that cross the border: settings on the way in, statistics on the way out.
//! - `command`: the command line.
//! - `error`: how errors and panics of the core become JavaScript errors.
//!
//! # Memory
//!
//! Bytes from JavaScript are borrowed for the length of a synchronous call; the room, for as long as a keyspace is open. Work for the thread pool owns a copy,
//! made before the call returns. What a handle holds goes when its owner ends it. The handle itself can only go with a
//! finalizer, which Node.js runs at a turn of its event loop and not before, so `lib/handles.cjs` lets the next object
//! use the handle of one that has ended (`Slot`).

#![allow(clippy::needless_pass_by_value, reason = "strings from JavaScript arrive owned")]
#![cfg_attr(test, allow(dead_code, unused_imports, reason = "under test nothing is registered with Node.js"))]

mod command;
mod database;
mod error;
pub mod maintenance;
mod many;
pub mod options;
mod scan;
mod stream;
mod transaction;

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};

use napi::bindgen_prelude::{AsyncTask, Env, External, Result, Task, ToNapiValue, TypeName};
use napi_derive::napi;

type Work<T> = Box<dyn FnOnce() -> opendb::Result<T> + Send>;

/// The handles that are alive in this process, and those of them that hold something.
static HANDLES: AtomicU32 = AtomicU32::new(0);
static HELD: AtomicU32 = AtomicU32::new(0);

/// One in a count of what is alive.
struct Counted(&'static AtomicU32);

impl Counted {
    fn in_count(count: &'static AtomicU32) -> Counted {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(count)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a handle can hold.
pub(crate) trait Content: 'static {
    /// What a call gets once the content is gone.
    fn ended() -> opendb::Error;
}

/// What a handle holds until it is committed, rolled back, closed or exhausted. Empty again, it can be filled again.
///
/// Only the thread that owns the JavaScript handle reaches it, so a `RefCell` is enough; no borrow is held while
/// JavaScript runs, so none is ever refused.
pub(crate) struct Slot<T> {
    content: RefCell<Option<(T, Counted)>>,
    _counted: Counted,
}

impl<T: Content> Slot<T> {
    fn vacant() -> Slot<T> {
        Slot { content: RefCell::new(None), _counted: Counted::in_count(&HANDLES) }
    }

    /// A slot that holds this.
    pub(crate) fn new(content: T) -> Slot<T> {
        let slot = Slot::vacant();
        slot.fill(content);
        slot
    }

    /// A handle that holds this.
    pub(crate) fn holding(content: T) -> External<Slot<T>> {
        External::new(Slot::new(content))
    }

    /// A handle that holds nothing yet.
    pub(crate) fn empty() -> External<Slot<T>> {
        External::new(Slot::vacant())
    }

    /// Puts a value in, in place of the one before.
    pub(crate) fn fill(&self, content: T) {
        let _replaced = self.content.borrow_mut().replace((content, Counted::in_count(&HELD)));
    }

    /// Takes the value out, if it is still there.
    pub(crate) fn take(&self) -> Option<T> {
        self.content.borrow_mut().take().map(|(content, _counted)| content)
    }

    /// Takes the value out, or throws that it has ended.
    pub(crate) fn end(&self, env: &Env) -> Result<T> {
        self.take().ok_or_else(|| error::thrown(env, &T::ended()))
    }

    /// Whether the value is still there.
    pub(crate) fn holds(&self) -> bool {
        self.content.borrow().is_some()
    }

    /// A clone of the value, for work during which the handle may be emptied.
    pub(crate) fn copy(&self, env: &Env) -> Result<T>
    where
        T: Clone,
    {
        self.call(env, |content| Ok(content.clone()))
    }

    /// Runs a call on the value, and throws its error or that the value has ended.
    pub(crate) fn call<R>(&self, env: &Env, call: impl FnOnce(&mut T) -> opendb::Result<R>) -> Result<R> {
        let result = match self.content.borrow_mut().as_mut() {
            Some((content, _counted)) => call(content),
            None => Err(T::ended()),
        };
        result.map_err(|error| error::thrown(env, &error))
    }
}

/// How many native objects there are.
#[napi(object, object_from_js = false)]
pub(crate) struct LiveObjects {
    /// The handles.
    pub handles: u32,
    /// The handles that hold something.
    pub held: u32,
}

/// For tests: how many native objects are alive in this process.
#[napi(catch_unwind)]
pub(crate) fn live_objects() -> LiveObjects {
    LiveObjects { handles: HANDLES.load(Ordering::Relaxed), held: HELD.load(Ordering::Relaxed) }
}

/// Work for a thread of the pool, and how its result becomes a JavaScript value.
pub(crate) struct Background<T, V> {
    work: Option<Work<T>>,
    finish: fn(&Env, T) -> Result<V>,
}

impl<T: Send + 'static, V: ToNapiValue + TypeName + 'static> Background<T, V> {
    /// Work that owns all it needs, and whose result becomes a value on the JavaScript thread.
    pub(crate) fn run(
        work: impl FnOnce() -> opendb::Result<T> + Send + 'static,
        finish: fn(&Env, T) -> Result<V>,
    ) -> AsyncTask<Background<T, V>> {
        AsyncTask::new(Background { work: Some(Box::new(work)), finish })
    }
}

/// How work ends that has nothing to hand over.
pub(crate) fn done(_env: &Env, (): ()) -> Result<()> {
    Ok(())
}

impl<T: Send + 'static, V: ToNapiValue + TypeName + 'static> Task for Background<T, V> {
    type Output = opendb::Result<T>;
    type JsValue = V;

    fn compute(&mut self) -> Result<Self::Output> {
        let work = self.work.take();
        Ok(error::guarded(|| match work {
            Some(work) => work(),
            None => Err(opendb::Error::Internal("background work was started twice".to_owned())),
        }))
    }

    fn resolve(&mut self, env: Env, output: Self::Output) -> Result<V> {
        output.map_err(|error| error::thrown(&env, &error)).and_then(|done| (self.finish)(&env, done))
    }
}
