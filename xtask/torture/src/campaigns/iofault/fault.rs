//! What fails, and whom the calls are told to.

use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use opendb::simulation::Call;
use opendb_tests::random::Random;
use rustix::io::Errno;

/// Errors of a device that is full, or of which this user has used up what it may have.
const FULL: [Errno; 2] = [Errno::NOSPC, Errno::DQUOT];
/// Too many open files, of the process and of the machine.
const FILES: [Errno; 2] = [Errno::MFILE, Errno::NFILE];

/// Every kind of call.
const CALLS: [Call; 17] = [
    Call::CreateDirectory,
    Call::SyncDirectory,
    Call::List,
    Call::Create,
    Call::Open,
    Call::Rename,
    Call::Link,
    Call::Remove,
    Call::Lock,
    Call::Read,
    Call::Write,
    Call::Length,
    Call::SetLength,
    Call::Allocate,
    Call::Sync,
    Call::Map,
    Call::Populate,
];

/// Calls of one kind that fail.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    call: Call,
    error: Errno,
    /// So many succeed before,
    after: u64,
    /// and so many fail then.
    times: u64,
}

impl Fault {
    pub(super) fn draw(random: &mut Random) -> Fault {
        let call = CALLS[random.index(CALLS.len())];
        let errors = errors_of(call);
        let error = errors[random.index(errors.len())];
        let most = match call {
            _ if is_rare(call) || call == Call::Populate => 3,
            _ if random.one_in(3) => 100,
            _ => 12,
        };
        let after = random.below(most);
        let times = match random.below(3) {
            0 => 1,
            1 => 2 + random.below(6),
            _ => u64::MAX,
        };
        Fault { call, error, after, times }
    }

    pub(super) fn is_of_a_full_device(self) -> bool {
        FULL.contains(&self.error)
    }

    /// What kind of call fails.
    pub(super) fn call_name(self) -> String {
        format!("{:?}", self.call)
    }

    /// Whether a read may make such a call.
    pub(super) fn is_of_reading(self) -> bool {
        matches!(self.call, Call::Read | Call::Open | Call::List | Call::Length | Call::Map | Call::Lock)
    }

    /// Whether such calls are made by opening, and hardly by anything else.
    pub(super) fn is_of_opening(self) -> bool {
        is_rare(self.call) && !self.is_of_backups()
    }

    /// Whether only a backup makes such a call.
    pub(super) fn is_of_backups(self) -> bool {
        self.call == Call::Link
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { call, error, after, times } = self;
        write!(f, "{call:?} fails with {:?} after {after} calls, ", io::Error::from(*error).to_string())?;
        if *times == u64::MAX { f.write_str("for ever") } else { write!(f, "{times} times") }
    }
}

/// What a call of this kind can fail with.
fn errors_of(call: Call) -> Vec<Errno> {
    let mut errors = vec![Errno::IO, Errno::NOMEM];
    if is_write(call) || matches!(call, Call::Lock | Call::Populate) {
        errors.extend(FULL);
    }
    let opens = [Call::SyncDirectory, Call::List, Call::Create, Call::Open, Call::Lock];
    if opens.contains(&call) {
        errors.extend(FILES);
    }
    errors
}

/// Whether there are only a few such calls in the life of a database.
fn is_rare(call: Call) -> bool {
    matches!(call, Call::CreateDirectory | Call::List | Call::Lock | Call::Link)
}

/// Whether such a call changes what is on the device.
fn is_write(call: Call) -> bool {
    !matches!(
        call,
        Call::List | Call::Open | Call::Lock | Call::Read | Call::Length | Call::Map | Call::Populate
    )
}

/// Is told of every call, and has those fail that are to.
#[derive(Debug, Default)]
pub(super) struct Switch(Mutex<Switched>);

#[derive(Debug, Default)]
struct Switched {
    armed: Option<Fault>,
    hits: u64,
    writes: u64,
}

impl Switch {
    fn switched(&self) -> MutexGuard<'_, Switched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn arm(&self, fault: Fault) {
        self.switched().armed = Some(fault);
    }

    /// Nothing fails any more. What was left of the fault.
    pub(super) fn disarm(&self) -> Option<Fault> {
        self.switched().armed.take()
    }

    /// Calls that failed so far.
    pub(super) fn hits(&self) -> u64 {
        self.switched().hits
    }

    /// Calls so far that change what is on the device.
    pub(super) fn writes(&self) -> u64 {
        self.switched().writes
    }

    /// A call is about to be made.
    pub(super) fn tell(&self, call: Call) -> io::Result<()> {
        let mut switched = self.switched();
        switched.writes += u64::from(is_write(call));
        let Some(fault) = switched.armed.as_mut().filter(|fault| fault.call == call) else { return Ok(()) };
        if fault.after > 0 {
            fault.after -= 1;
            return Ok(());
        }
        let error = fault.error;
        fault.times -= 1;
        if fault.times == 0 {
            switched.armed = None;
        }
        switched.hits += 1;
        Err(error.into())
    }
}
