//! A hang made into a failure.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How long a piece of work may take before it counts as hanging. Generous: the machine may be busy with other things.
const WORK_SECONDS_MAX: u64 = 120;

/// Ends the process with the name of the work if that takes too long: a hang cannot be told apart in any other way.
#[derive(Debug)]
pub struct Watch {
    _alive: Sender<()>,
}

impl Watch {
    /// Watches until it is dropped.
    #[must_use]
    pub fn start(work: &str) -> Watch {
        let (alive, ended) = channel::<()>();
        let work = work.to_owned();
        std::thread::spawn(move || {
            if ended.recv_timeout(Duration::from_secs(WORK_SECONDS_MAX)) == Err(RecvTimeoutError::Timeout) {
                eprintln!("this hangs: {work}");
                std::process::abort();
            }
        });
        Watch { _alive: alive }
    }
}
