//! Opening: at once, or with the first use of what was pickled.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use opendb::{Error, Options};
use pyo3::prelude::*;

use crate::database::Handle;
use crate::error::{exception, exception_at, guard};
use crate::options::OpenArguments;

/// While an opening waits for another process, Python's signal handlers run about as often as this.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(50);

/// The handle of an `OpenDB`.
///
/// One that was pickled opens with its first use, in the process that uses it: what goes wrong is then an exception of that call. Raised
/// by the unpickling it would end a worker of `multiprocessing.Pool`, and the pool would wait for its answer for ever.
pub(crate) struct Opened {
    path: PathBuf,
    arguments: OpenArguments,
    handle: OnceLock<Arc<Handle>>,
    /// That it was closed before it was used.
    given_up: AtomicBool,
}

impl Opened {
    pub(crate) fn at_first_use(path: PathBuf, arguments: OpenArguments) -> Opened {
        Opened { path, arguments, handle: OnceLock::new(), given_up: AtomicBool::new(false) }
    }

    pub(crate) fn at_once(py: Python<'_>, path: PathBuf, arguments: OpenArguments) -> PyResult<Opened> {
        let opened = Opened::at_first_use(path, arguments);
        opened.handle(py)?;
        Ok(opened)
    }

    #[inline]
    pub(crate) fn handle(&self, py: Python<'_>) -> PyResult<&Arc<Handle>> {
        self.handle.get().map_or_else(|| self.open(py), Ok)
    }

    #[cold]
    fn open(&self, py: Python<'_>) -> PyResult<&Arc<Handle>> {
        if self.given_up.load(Ordering::Relaxed) {
            return Err(exception(py, &Error::Closed));
        }
        let database = open(py, &self.path, &self.arguments)?;
        let opened = Arc::new(Handle::new(database, self.arguments.durability));
        // Where two threads have opened it, one of the two handles on the same engine goes.
        Ok(self.handle.get_or_init(|| opened))
    }

    /// The handle, if it is open or was.
    pub(crate) fn used(&self) -> Option<&Arc<Handle>> {
        self.handle.get()
    }

    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.given_up.store(true, Ordering::Relaxed);
        self.used().map_or(Ok(()), |handle| handle.close(py))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.used().map_or_else(|| self.given_up.load(Ordering::Relaxed), |handle| handle.is_closed())
    }

    pub(crate) fn path(&self) -> &Path {
        self.used().map_or(&self.path, |handle| handle.database.path())
    }

    pub(crate) fn arguments(&self) -> &OpenArguments {
        &self.arguments
    }
}

fn open(py: Python<'_>, path: &Path, arguments: &OpenArguments) -> PyResult<opendb::OpenDB> {
    let (begun, timeout) = (Instant::now(), arguments.lock_timeout.0);
    loop {
        let rest = timeout.saturating_sub(begun.elapsed());
        let options = Options::from(arguments).lock_timeout(rest.min(BETWEEN_SIGNALS));
        match py.detach(|| guard(|| opendb::OpenDB::open_with_options(path, options))) {
            Err(Error::Locked(_)) if rest > BETWEEN_SIGNALS => py.check_signals()?,
            opened => return opened.map_err(|error| exception_at(py, &error, Some(path))),
        }
    }
}
