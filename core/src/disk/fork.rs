//! Notices that the process is the child of a fork.
#![allow(unsafe_code)] // One call registers the handler; see its SAFETY comment.

/// A number that is the same for the whole life of a process and another one in the child of a `fork`.
///
/// Keep it beside what must not be used across a fork and compare. It costs two loads. Only forks after the first
/// call are noticed, so whoever keeps a number has asked for it in time.
#[cfg(unix)]
#[inline]
pub(crate) fn generation() -> u64 {
    use std::sync::atomic::Ordering;
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

#[cfg(unix)]
mod unix {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

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
        // SAFETY: the signature is the one POSIX gives. `count` stays callable for as long as this code is loaded
        // (the C library drops the handlers of a library that is unloaded), takes no lock, allocates nothing and
        // cannot unwind, which is all that a handler may rely on in the child of a fork.
        unsafe { pthread_atfork(None, None, Some(count)) == 0 }
    }

    unsafe extern "C" fn count() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
}
