//! How urgently a thread asks for a processor.

/// Lets other threads go first from now on, where a thread can say so for itself: the larger the number, the more. Best effort.
///
/// It cannot be taken back without privileges, so a thread that does this does it for good.
#[cfg(target_os = "linux")]
pub(crate) fn let_others_go_first(steps: i32) {
    // On Linux this concerns the calling thread alone; the standard says that it is the whole process, and so it is elsewhere.
    let _best_effort = rustix::process::nice(steps);
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn let_others_go_first(_steps: i32) {}
