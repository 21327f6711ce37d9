//! Notices that the process is the child of a fork, and closes there what belongs to the parent.
#![allow(unsafe_code)] // Registering the handler, what the handler does, and values by process; see the SAFETY comments.

use std::sync::atomic::{AtomicPtr, Ordering};

/// A number that is the same for the whole life of a process and another one in the child of a `fork`.
///
/// Keep it beside what must not be used across a fork and compare. It costs two loads. Only forks after the first
/// call are noticed, so whoever keeps a number has asked for it in time.
#[cfg(unix)]
#[inline]
pub(crate) fn generation() -> u64 {
    if *unix::REGISTERED {
        // Relaxed: the number changes only while the child has a single thread.
        unix::FORKS.load(Ordering::Relaxed)
    } else {
        // The handler could not be registered for want of memory: the process id tells the same, for a system call.
        u64::from(std::process::id())
    }
}

/// There is no `fork` on this system.
#[cfg(not(unix))]
#[inline]
pub(crate) fn generation() -> u64 {
    0
}

/// A value of each process in the line of forks: a child begins with a new one, because the parent's may have been locked or
/// half changed by another thread when the process was forked. No lock, since a lock may be held for ever in a child.
pub(crate) struct PerProcess<T: 'static> {
    newest: AtomicPtr<OfProcess<T>>,
}

/// The value of one process. Never freed: there are as many as there were forks.
struct OfProcess<T: 'static> {
    generation: u64,
    value: T,
    before: Option<&'static OfProcess<T>>,
}

impl<T: Default + Sync> PerProcess<T> {
    pub(crate) const fn new() -> PerProcess<T> {
        PerProcess { newest: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// The value of the process of this generation.
    pub(crate) fn of(&'static self, generation: u64) -> &'static T {
        loop {
            let newest = self.newest.load(Ordering::Acquire);
            // SAFETY: the pointer is null or was made by `Box::into_raw` below, published with release after that, and
            // what it names is never changed nor freed.
            let before: Option<&'static OfProcess<T>> = unsafe { newest.as_ref() };
            let mut known = std::iter::successors(before, |process| process.before);
            if let Some(process) = known.find(|process| process.generation == generation) {
                return &process.value;
            }
            let new = Box::into_raw(Box::new(OfProcess { generation, value: T::default(), before }));
            if self.newest.compare_exchange(newest, new, Ordering::AcqRel, Ordering::Acquire).is_err() {
                // SAFETY: the pointer was made by `Box::into_raw` above and nobody else has seen it.
                drop(unsafe { Box::from_raw(new) });
            }
        }
    }
}

#[cfg(unix)]
pub(super) use unix::ClosedInChildren;

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::os::fd::{AsRawFd, RawFd};
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

    /// How many files at a time are closed in children; what is open beyond them is not.
    const FILES_MAX: usize = 1024;
    const NONE: RawFd = -1;

    /// Descriptors that a child of a fork is not to have. A plain array, because the handler may not wait for a lock.
    static FILES: [AtomicI32; FILES_MAX] = [const { AtomicI32::new(NONE) }; FILES_MAX];

    /// Has a file closed in every child of a fork, for as long as this lives: a lock that a child had open too would
    /// outlive its owner.
    #[derive(Debug)]
    pub(in super::super) struct ClosedInChildren {
        place: &'static AtomicI32,
        forks: u64,
    }

    impl ClosedInChildren {
        /// `None` where forks are not watched or too many files are registered; the children then share the file.
        /// Drop this before the file is closed.
        pub(in super::super) fn register(file: &File) -> Option<ClosedInChildren> {
            if !*REGISTERED {
                return None;
            }
            let place = FILES.iter().find(|place| {
                let taken =
                    place.compare_exchange(NONE, file.as_raw_fd(), Ordering::AcqRel, Ordering::Relaxed);
                taken.is_ok()
            });
            place.map(|place| ClosedInChildren { place, forks: FORKS.load(Ordering::Relaxed) })
        }
    }

    impl Drop for ClosedInChildren {
        fn drop(&mut self) {
            // In a child the place was given back when it came to life, and may be another file's by now.
            if self.forks == FORKS.load(Ordering::Relaxed) {
                self.place.store(NONE, Ordering::Release);
            }
        }
    }

    /// How many forks lie between the first process of this line and the present one.
    pub(super) static FORKS: AtomicU64 = AtomicU64::new(0);

    /// Whether the handler is registered. Decided once, at the first call.
    pub(super) static REGISTERED: LazyLock<bool> = LazyLock::new(|| {
        if cfg!(miri) {
            return false; // miri has neither fork nor the call that watches it
        }
        register()
    });

    unsafe extern "C" {
        fn pthread_atfork(
            prepare: Option<unsafe extern "C" fn()>,
            parent: Option<unsafe extern "C" fn()>,
            child: Option<unsafe extern "C" fn()>,
        ) -> libc::c_int;
    }

    fn register() -> bool {
        // SAFETY: the signature is the one POSIX gives. `begin_child` stays callable for as long as this code is loaded
        // (the C library drops the handlers of a library that is unloaded), takes no lock, allocates nothing and
        // cannot unwind, which is all that a handler may rely on in the child of a fork.
        unsafe { pthread_atfork(None, None, Some(begin_child)) == 0 }
    }

    unsafe extern "C" fn begin_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
        for place in &FILES {
            let file = place.swap(NONE, Ordering::Relaxed);
            if file != NONE {
                // SAFETY: `close` may be called in the child of a fork. The descriptor was open in the parent, so it is
                // open here, where nothing has run yet; its owner sees by the generation that it is closed.
                unsafe { libc::close(file) };
            }
        }
    }
}
