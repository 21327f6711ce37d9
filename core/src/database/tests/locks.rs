//! Waiting for the lock of a directory.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::disk::{DirectoryLock, Disk, UnixDisk};
use crate::{Error, OpenDB, Options};

/// Long enough for every machine.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn an_opening_waits_for_the_lock_as_long_as_it_was_told_and_no_longer() {
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(UnixDisk::default());
    let lock = DirectoryLock::acquire(&disk, directory.path()).unwrap();
    let open = |timeout| OpenDB::open_with_options(directory.path(), Options::new().lock_timeout(timeout));
    for timeout in [Duration::ZERO, Duration::from_millis(30)] {
        let begun = Instant::now();
        assert!(matches!(open(timeout), Err(Error::Locked(_))));
        assert!(begun.elapsed() >= timeout, "{:?}", begun.elapsed());
    }
    let (begins, begun) = channel();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            begins.send(()).unwrap();
            open(LONG)
        });
        begun.recv().unwrap();
        // By then it has been refused some times.
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        drop(lock);
        waiting.join().unwrap().unwrap().put(b"k", b"v").unwrap();
    });
    // What is wrong for another reason is told at once.
    let begun = Instant::now();
    let missing = Options::new().create(false).lock_timeout(LONG);
    let opened = OpenDB::open_with_options(directory.path().join("missing"), missing);
    assert!(matches!(opened, Err(Error::Io { .. })));
    assert!(begun.elapsed() < LONG);
}

#[test]
fn the_longest_timeout_there_is_can_be_given() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::new().lock_timeout(Duration::MAX);
    OpenDB::open_with_options(directory.path(), options).unwrap().close().unwrap();
}
