//! The native layer of the Node.js package `opendb`: plain functions over handles, and no logic.
//!
//! A method of a native class costs about 640 ns a call before it does anything, a plain function 35 to 130. So the
//! classes that users see are written in JavaScript (`lib/`), check every argument, and call the functions here with
//! byte arrays and handles only. Nothing here is public: the JavaScript classes are the API.
//!
//! # Layout
//!
//! - `database`: opening, closing, keyspaces, snapshots, and the key-value calls.
//! - `transaction`: transactions and batches.
//! - `scan`: what a scan covers, and the packed pages in which entries cross the border.
//! - `options`: plain objects that cross the border: settings on the way in, statistics on the way out.
//! - `error`: how errors and panics of the core become JavaScript errors.
//!
//! # Memory
//!
//! Bytes from JavaScript are borrowed for the length of a synchronous call. Work for the thread pool owns a copy,
//! made before the call returns. A handle is released when the garbage collector finds it, or earlier when its owner
//! gives it up (`Slot`).

#![allow(clippy::needless_pass_by_value, reason = "strings from JavaScript arrive owned")]
#![cfg_attr(test, allow(dead_code, unused_imports, reason = "under test nothing is registered with Node.js"))]

mod database;
mod error;
pub mod options;
mod scan;
mod transaction;

use std::cell::RefCell;
use std::rc::Rc;

use napi::bindgen_prelude::{AsyncTask, Env, External, Result, Task, ToNapiValue, TypeName};

type Work<T> = Box<dyn FnOnce() -> opendb::Result<T> + Send>;

/// What a handle holds until it is committed, rolled back, closed or exhausted.
///
/// Only the thread that owns the JavaScript handle reaches it, so a `RefCell` is enough; no borrow is held while
/// JavaScript runs, so none is ever refused.
pub(crate) struct Slot<T>(Rc<RefCell<Option<T>>>);

impl<T: 'static> Slot<T> {
    /// A place for a value.
    pub(crate) fn new(value: T) -> Slot<T> {
        Slot(Rc::new(RefCell::new(Some(value))))
    }

    /// A handle to this place, for JavaScript to own.
    pub(crate) fn handle(&self) -> External<Slot<T>> {
        External::new(Slot(Rc::clone(&self.0)))
    }

    /// A handle that alone holds the value.
    pub(crate) fn wrap(value: T) -> External<Slot<T>> {
        External::new(Slot::new(value))
    }

    /// Takes the value out, if it is still there.
    pub(crate) fn take(&self) -> Option<T> {
        self.0.borrow_mut().take()
    }

    /// Runs a call on the value, if it is still there.
    pub(crate) fn with<R>(&self, call: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.0.borrow_mut().as_mut().map(call)
    }
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
