//! What holds for every disk, then what each one adds.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;

/// Runs a test on an empty directory of each disk there is. Miri has no files, so it gets the simulated one only.
pub(crate) fn on_each_disk(test: impl Fn(&Arc<dyn Disk>, &Path)) {
    let simulated = SimulatedDisk::new().shared();
    let directory = PathBuf::from("/database");
    simulated.create_directory(&directory).unwrap();
    test(&simulated, &directory);
    #[cfg(all(unix, not(miri)))]
    {
        let directory = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(UnixDisk::default());
        test(&disk, directory.path());
        let directory = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(UnixDisk::holding(directory.path().to_path_buf()).unwrap().0);
        test(&disk, directory.path());
    }
}

/// Numbers that look random and are the same in every run.
pub(crate) fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn content(file: &dyn DiskFile) -> Vec<u8> {
    let mut bytes = vec![0xaa; usize::try_from(file.length().unwrap()).unwrap() + 7];
    let count = file.read_at(&mut bytes, 0).unwrap();
    bytes.truncate(count);
    bytes
}

fn write_file(disk: &Arc<dyn Disk>, path: &Path, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.open(path, OpenMode::CreateNew).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

#[test]
fn files_are_created_written_read_renamed_and_removed() {
    on_each_disk(|disk, directory| {
        let (one, two) = (directory.join("one"), directory.join("two"));
        assert_eq!(disk.open(&one, OpenMode::ReadWrite).unwrap_err().kind(), ErrorKind::NotFound);
        let file = write_file(disk, &one, b"hello");
        assert_eq!(disk.open(&one, OpenMode::CreateNew).unwrap_err().kind(), ErrorKind::AlreadyExists);
        file.write_all_at(b"HE", 8).unwrap();
        assert_eq!(content(&*file), b"hello\0\0\0HE");
        let mut short = [9; 4];
        assert_eq!(file.read_at(&mut short, 8).unwrap(), 2);
        assert_eq!(short, [b'H', b'E', 9, 9]);
        assert_eq!(file.read_at(&mut short, 1 << 40).unwrap(), 0);
        file.set_length(3).unwrap();
        file.set_length(6).unwrap();
        assert_eq!(content(&*file), b"hel\0\0\0");
        disk.rename(&one, &two).unwrap();
        disk.sync_directory(directory).unwrap();
        assert_eq!(disk.list(directory).unwrap(), ["two"]);
        let reader = disk.open(&two, OpenMode::ReadOnly).unwrap();
        assert_eq!(content(&*reader), b"hel\0\0\0");
        assert!(reader.write_all_at(b"x", 0).is_err());
        disk.remove(&two).unwrap();
        assert_eq!(disk.remove(&two).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(disk.list(directory).unwrap().is_empty());
    });
}

#[test]
fn a_rename_replaces_what_had_the_name() {
    on_each_disk(|disk, directory| {
        let (old, new) = (directory.join("MANIFEST"), directory.join("MANIFEST.new"));
        let before = write_file(disk, &old, b"old");
        write_file(disk, &new, b"new");
        disk.rename(&new, &old).unwrap();
        assert_eq!(content(&*disk.open(&old, OpenMode::ReadOnly).unwrap()), b"new");
        assert_eq!(content(&*before), b"old", "who has the old file open keeps it");
    });
}

#[test]
fn a_link_is_one_more_name_of_the_same_file() {
    on_each_disk(|disk, directory| {
        let (one, two) = (directory.join("one"), directory.join("two"));
        assert_eq!(disk.link(&one, &two).unwrap_err().kind(), ErrorKind::NotFound);
        let file = write_file(disk, &one, b"same");
        disk.link(&one, &two).unwrap();
        assert_eq!(disk.link(&one, &two).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(disk.identity(&two).unwrap(), Some(file.identity().unwrap()));
        disk.remove(&one).unwrap();
        file.write_all_at(b"SA", 0).unwrap();
        assert_eq!(content(&*disk.open(&two, OpenMode::ReadOnly).unwrap()), b"SAme");
    });
}

#[test]
fn directories_are_made_with_their_parents_and_may_be_there() {
    on_each_disk(|disk, directory| {
        let inner = directory.join("a").join("b");
        disk.create_directory(&inner).unwrap();
        disk.create_directory(&inner).unwrap();
        assert!(disk.list(&inner).unwrap().is_empty());
        assert!(disk.open(&inner, OpenMode::ReadOnly).is_err(), "a directory is not a file");
        write_file(disk, &directory.join("file"), b"");
        assert!(disk.create_directory(&directory.join("file")).is_err());
        assert_eq!(disk.list(&directory.join("none")).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn allocation_extends_with_zeros_and_keeps_what_is_there() {
    on_each_disk(|disk, directory| {
        let file = write_file(disk, &directory.join("file"), b"kept");
        file.allocate(20_000).unwrap();
        assert_eq!(file.length().unwrap(), 20_000);
        let bytes = content(&*file);
        assert_eq!(&bytes[..4], b"kept");
        assert!(bytes[4..].iter().all(|byte| *byte == 0));
        file.allocate(10).unwrap();
        assert_eq!(file.length().unwrap(), 20_000, "allocation never cuts");
    });
}

#[test]
#[allow(unsafe_code)]
fn a_map_and_the_file_are_the_same_bytes() {
    on_each_disk(|disk, directory| {
        let file = disk.open(&directory.join("file"), OpenMode::CreateNew).unwrap();
        file.allocate(8192).unwrap();
        assert!(file.map(8193, true).is_err(), "a map beyond the file would raise SIGBUS");
        let map = file.map(8192, true).unwrap();
        assert_eq!(map.len(), 8192);
        map.populate(0, 8192).unwrap();
        // SAFETY: nothing refers to the map's bytes yet, and there is one thread.
        assert!(unsafe { map.store(4094, b"across") });
        // SAFETY: as above; the range is outside, so nothing is stored.
        assert!(!unsafe { map.store(8190, b"over") });
        assert_eq!(&content(&*file)[4094..4100], b"across");
        file.write_all_at(b"written", 100).unwrap();
        // SAFETY: nothing is stored to the range from here on.
        assert_eq!(unsafe { map.bytes(100, 7) }, Some(&b"written"[..]));
        // SAFETY: outside the map, so nothing is handed out.
        assert_eq!(unsafe { map.bytes(8192, 1) }, None);
        // SAFETY: outside the map, so nothing is handed out.
        assert_eq!(unsafe { map.bytes(usize::MAX, 2) }, None);
        assert!(map.populate(8192, 1).is_err());
        // Wherever it lies.
        for (at, length) in [(0, 8192), (4096, 1 << 20), (8192, 1), (usize::MAX, 2)] {
            map.read_soon(at, length);
        }
        map.end_stores(0, 8192);
        // SAFETY: nothing is stored to the range from here on.
        assert_eq!(unsafe { map.bytes(4094, 6) }, Some(&b"across"[..]), "the bytes are the file's");
        map.end_stores(4096, 8192);
        map.protect();
        // SAFETY: nothing is stored to the range from here on.
        assert_eq!(unsafe { map.bytes(100, 7) }, Some(&b"written"[..]));
        let reader = disk.open(&directory.join("file"), OpenMode::ReadOnly).unwrap();
        let readable = reader.map(8192, false).unwrap();
        // SAFETY: the map is for reading, so nothing is stored.
        assert!(!unsafe { readable.store(0, b"x") });
        assert!(readable.populate(0, 1).is_err());
    });
}

#[test]
fn the_lock_is_held_once_and_given_back() {
    on_each_disk(|disk, directory| {
        let lock = DirectoryLock::acquire(disk, directory).unwrap();
        let error = DirectoryLock::acquire(disk, directory).unwrap_err();
        assert_eq!(error.kind(), crate::error::ErrorKind::Locked);
        let message = error.to_string();
        assert!(message.contains(&directory.display().to_string()), "{message}");
        assert!(message.contains(&std::process::id().to_string()), "{message}");
        drop(lock);
        drop(DirectoryLock::acquire(disk, directory).unwrap());
        assert_eq!(disk.list(directory).unwrap(), [LOCK_FILE_NAME], "the lock file stays");
    });
}

#[test]
fn a_lock_in_a_directory_that_is_not_there_is_an_io_error() {
    on_each_disk(|disk, directory| {
        let error = DirectoryLock::acquire(disk, &directory.join("none")).unwrap_err();
        assert_eq!(error.kind(), crate::error::ErrorKind::Io);
        assert!(error.to_string().contains("LOCK"), "{error}");
    });
}

#[cfg(all(unix, not(miri)))]
mod unix_disk {
    use std::io::Read as _;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::process::{Command, Stdio};
    use std::time::Duration;
    use std::{env, fs, process, thread};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_belongs_to_its_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/b");
        UnixDisk::default().create_directory(&directory).unwrap();
        assert_eq!(mode(&directory), 0o700);
        UnixDisk::default().open(&directory.join("file"), OpenMode::CreateNew).unwrap();
        assert_eq!(mode(&directory.join("file")), 0o600);
        let _lock = UnixDisk::default().lock(&directory.join("LOCK")).unwrap();
        assert_eq!(mode(&directory.join("LOCK")), 0o600);
    }

    #[test]
    fn links_and_pipes_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let (file, link, pipe) =
            (root.path().join("file"), root.path().join("link"), root.path().join("pipe"));
        fs::write(&file, b"x").unwrap();
        symlink(&file, &link).unwrap();
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [&link, &pipe] {
            assert!(UnixDisk::default().open(path, OpenMode::ReadOnly).is_err(), "{}", path.display());
            assert!(UnixDisk::default().open(path, OpenMode::ReadWrite).is_err(), "{}", path.display());
            assert!(UnixDisk::default().lock(path).is_err(), "{}", path.display());
        }
        assert!(UnixDisk::default().open(&file, OpenMode::ReadOnly).is_ok());
    }

    #[test]
    fn names_that_are_not_text_are_left_out() {
        use std::os::unix::ffi::OsStrExt as _;
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), b"").unwrap();
        fs::write(root.path().join("text"), b"").unwrap();
        assert_eq!(UnixDisk::default().list(root.path()).unwrap(), ["text"]);
    }

    #[test]
    fn allocated_room_is_really_there_also_in_holes() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        let file = UnixDisk::default().open(&path, OpenMode::CreateNew).unwrap();
        file.set_length(1 << 20).unwrap();
        assert!(fs::metadata(&path).unwrap().blocks() * 512 < 1 << 20, "a hole takes no room");
        file.allocate(1 << 20).unwrap();
        assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 1 << 20);
    }

    #[test]
    fn filesystems_that_keep_allocations_are_known_by_name() {
        #[cfg(target_os = "linux")]
        {
            assert!(UnixDisk::default().keeps_allocations(Path::new("/dev/shm")), "tmpfs");
            assert!(!UnixDisk::default().keeps_allocations(Path::new("/proc")), "proc");
        }
        assert!(!UnixDisk::default().keeps_allocations(Path::new("/no such directory")));
    }

    /// Not a test of its own: the second process of the test below, which runs this very binary.
    const DIRECTORY: &str = "OPENDB_TEST_LOCK_DIRECTORY";

    #[test]
    fn second_process_holds_the_lock() {
        let Some(directory) = env::var_os(DIRECTORY) else { return };
        let disk: Arc<dyn Disk> = Arc::new(UnixDisk::default());
        let _lock = DirectoryLock::acquire(&disk, Path::new(&directory)).unwrap();
        fs::write(Path::new(&directory).join("held"), b"").unwrap();
        // Until the parent closes its end, or kills.
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
    }

    #[test]
    fn another_process_is_kept_out_and_named() {
        let root = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(UnixDisk::default());
        // A longer number than any process has must not shine through.
        fs::write(root.path().join("LOCK"), b"99999999999\n").unwrap();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "disk::tests::unix_disk::second_process_holds_the_lock"])
            .env(DIRECTORY, root.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..1000 {
            if root.path().join("held").exists() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let error = DirectoryLock::acquire(&disk, root.path()).unwrap_err();
        assert_eq!(error.kind(), crate::error::ErrorKind::Locked);
        assert!(error.to_string().contains(&format!("process {}:", child.id())), "{error}");
        assert_eq!(fs::read_to_string(root.path().join("LOCK")).unwrap(), format!("{}\n", child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        let _lock = DirectoryLock::acquire(&disk, root.path()).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("LOCK")).unwrap(), format!("{}\n", process::id()));
    }

    /// Runs `work` in the child of a fork and returns its answer, a small number. The child runs nothing else.
    #[allow(unsafe_code)]
    fn in_fork(work: impl FnOnce() -> u8) -> u8 {
        // SAFETY: the child calls `work`, which the tests keep free of locks that another thread of theirs could
        // hold, and leaves without running anything of the test harness.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let answer = work();
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(i32::from(answer)) };
        }
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFEXITED(status));
        u8::try_from(libc::WEXITSTATUS(status)).unwrap()
    }

    #[test]
    fn the_child_of_a_fork_has_another_generation() {
        let before = generation();
        assert_eq!(in_fork(|| u8::from(generation() != before)), 1);
        assert_eq!(generation(), before, "the parent keeps its own");
    }

    #[test]
    fn a_forked_child_that_drops_its_copy_does_not_unlock_the_parent() {
        let root = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(UnixDisk::default());
        let mut lock = Some(DirectoryLock::acquire(&disk, root.path()).unwrap());
        in_fork(|| {
            drop(lock.take());
            0
        });
        assert!(DirectoryLock::acquire(&disk, root.path()).is_err(), "the parent still holds it");
        drop(lock);
        assert!(DirectoryLock::acquire(&disk, root.path()).is_ok());
    }

    #[test]
    fn a_forked_child_that_lives_on_does_not_keep_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(UnixDisk::default());
        let lock = DirectoryLock::acquire(&disk, root.path()).unwrap();
        // The child asks for the lock while the parent has it, and its own open files are left alone.
        let refused = in_fork(|| u8::from(DirectoryLock::acquire(&disk, root.path()).is_err()));
        assert_eq!(refused, 1);
        let names = |directory: &str| -> Vec<PathBuf> {
            let files = fs::read_dir(directory).unwrap();
            files.filter_map(|file| fs::read_link(file.unwrap().path()).ok()).collect()
        };
        let path = root.path().join("LOCK");
        assert!(names("/proc/self/fd").contains(&path));
        assert_eq!(in_fork(|| u8::from(names("/proc/self/fd").contains(&path))), 0);
        drop(lock);
    }

    fn held(attempt: LockAttempt) -> Box<dyn HeldLock> {
        match attempt {
            LockAttempt::Held(lock) => lock,
            LockAttempt::Busy(holder) => panic!("held by {holder:?}"),
        }
    }

    #[test]
    fn a_held_directory_is_the_same_wherever_it_is_moved() {
        let root = tempfile::tempdir().unwrap();
        let (path, moved) = (root.path().join("here"), root.path().join("there"));
        fs::create_dir(&path).unwrap();
        let (disk, identity) = UnixDisk::holding(path.clone()).unwrap();
        let lock = held(disk.lock(&path.join("LOCK")).unwrap());
        fs::rename(&path, &moved).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("other"), b"").unwrap();
        disk.open(&path.join("new"), OpenMode::CreateNew).unwrap();
        disk.rename(&path.join("new"), &path.join("file")).unwrap();
        disk.sync_directory(&path).unwrap();
        let mut names = disk.list(&path).unwrap();
        names.sort();
        assert_eq!(names, ["LOCK", "file"]);
        assert!(moved.join("file").exists() && !path.join("file").exists());
        assert_eq!(disk.identity(&path.join("LOCK")).unwrap(), Some(lock.identity()));
        assert_ne!(identity, UnixDisk::holding(path).unwrap().1);
        assert_eq!(identity, UnixDisk::holding(moved).unwrap().1);
    }

    #[test]
    fn a_lock_file_that_was_replaced_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("LOCK");
        let (disk, _) = UnixDisk::holding(root.path().to_path_buf()).unwrap();
        assert_eq!(disk.identity(&path).unwrap(), None, "nothing was locked yet");
        let lock = held(disk.lock(&path).unwrap());
        assert_eq!(disk.identity(&path).unwrap(), Some(lock.identity()));
        fs::remove_file(&path).unwrap();
        assert_ne!(disk.identity(&path).unwrap(), Some(lock.identity()));
        fs::write(&path, b"").unwrap();
        assert_ne!(disk.identity(&path).unwrap(), Some(lock.identity()));
    }
}

mod simulated_disk {
    use super::*;

    fn disk() -> (SimulatedDisk, Arc<dyn Disk>) {
        let simulated = SimulatedDisk::new();
        let disk = simulated.shared();
        disk.create_directory(Path::new("/d")).unwrap();
        disk.sync_directory(Path::new("/")).unwrap();
        simulated.clear_trace();
        (simulated, disk)
    }

    /// What the file holds after each of many power cuts; `None` where it is not there.
    fn after_crashes(simulated: &SimulatedDisk, path: &str) -> BTreeSet<Option<Vec<u8>>> {
        (0..if cfg!(miri) { 12 } else { 200 })
            .map(|seed| {
                let after = simulated.crash(&mut random(seed)).shared();
                after.open(Path::new(path), OpenMode::ReadOnly).ok().map(|file| content(&*file))
            })
            .collect()
    }

    #[test]
    fn what_was_synced_stays_and_what_was_not_may_go() {
        let (simulated, disk) = disk();
        let file = write_file(&disk, Path::new("/d/f"), &[1; 1024]);
        file.sync().unwrap();
        let states = after_crashes(&simulated, "/d/f");
        assert_eq!(states, BTreeSet::from([None, Some(vec![1; 1024])]), "the entry was not synced");
        disk.sync_directory(Path::new("/d")).unwrap();
        assert_eq!(after_crashes(&simulated, "/d/f"), BTreeSet::from([Some(vec![1; 1024])]));

        file.write_all_at(&[2; 1024], 0).unwrap();
        let states = after_crashes(&simulated, "/d/f");
        let is = |bytes: [u8; 2]| {
            states.contains(&Some([[bytes[0]; 512].to_vec(), [bytes[1]; 512].to_vec()].concat()))
        };
        assert!(is([1, 2]) && is([2, 1]), "sectors are kept and lost on their own");
        if !cfg!(miri) {
            assert!(is([1, 1]) && is([2, 2]));
            assert!(states.len() > 4, "some are torn");
        }
        for state in &states {
            assert!(state.as_ref().unwrap().iter().all(|byte| *byte == 1 || *byte == 2));
        }
    }

    #[test]
    fn a_rename_is_there_or_not() {
        let (simulated, disk) = disk();
        write_file(&disk, Path::new("/d/name"), b"old").sync().unwrap();
        disk.sync_directory(Path::new("/d")).unwrap();
        write_file(&disk, Path::new("/d/name.new"), b"new").sync().unwrap();
        disk.rename(Path::new("/d/name.new"), Path::new("/d/name")).unwrap();
        let either = BTreeSet::from([Some(b"old".to_vec()), Some(b"new".to_vec())]);
        assert_eq!(after_crashes(&simulated, "/d/name"), either);
        disk.sync_directory(Path::new("/d")).unwrap();
        assert_eq!(after_crashes(&simulated, "/d/name"), BTreeSet::from([Some(b"new".to_vec())]));
        assert_eq!(after_crashes(&simulated, "/d/name.new"), BTreeSet::from([None]));
    }

    #[test]
    fn a_removal_may_be_undone_until_the_directory_is_synced() {
        let (simulated, disk) = disk();
        write_file(&disk, Path::new("/d/f"), b"x").sync().unwrap();
        disk.sync_directory(Path::new("/d")).unwrap();
        disk.remove(Path::new("/d/f")).unwrap();
        assert_eq!(after_crashes(&simulated, "/d/f"), BTreeSet::from([None, Some(b"x".to_vec())]));
        disk.sync_directory(Path::new("/d")).unwrap();
        assert_eq!(after_crashes(&simulated, "/d/f"), BTreeSet::from([None]));
    }

    #[test]
    fn a_failed_sync_forgets() {
        let (simulated, disk) = disk();
        let file = write_file(&disk, Path::new("/d/f"), &[1; 512]);
        file.sync().unwrap();
        disk.sync_directory(Path::new("/d")).unwrap();
        file.write_all_at(&[2; 512], 0).unwrap();
        simulated.fail_after(Fault::next(Call::Sync, ErrorKind::Other));
        assert!(file.sync().is_err());
        file.sync().unwrap();
        assert_eq!(content(&*file), [2; 512], "it still reads as written");
        assert!(after_crashes(&simulated, "/d/f").contains(&Some(vec![1; 512])), "but is not on the device");
        // Written anew it is dirty again, and the next sync takes it along.
        file.write_all_at(&[2; 512], 0).unwrap();
        file.sync().unwrap();
        assert_eq!(after_crashes(&simulated, "/d/f"), BTreeSet::from([Some(vec![2; 512])]));
    }

    #[test]
    fn the_death_of_the_process_keeps_everything_and_frees_the_lock() {
        let (simulated, disk) = disk();
        let _lock = DirectoryLock::acquire(&disk, Path::new("/d")).unwrap();
        let file = write_file(&disk, Path::new("/d/f"), b"unsynced");
        let after = simulated.process_death();
        file.write_all_at(b"later", 0).unwrap();
        let disk = after.shared();
        let _lock = DirectoryLock::acquire(&disk, Path::new("/d")).unwrap();
        let file = disk.open(Path::new("/d/f"), OpenMode::ReadWrite).unwrap();
        assert_eq!(content(&*file), b"unsynced");
        assert!(after_crashes(&after, "/d/f").contains(&None), "a power cut may still take it");
        file.sync().unwrap();
        disk.sync_directory(Path::new("/d")).unwrap();
        assert_eq!(after_crashes(&after, "/d/f"), BTreeSet::from([Some(b"unsynced".to_vec())]));
    }

    #[test]
    fn any_call_fails_on_demand_and_once() {
        let (simulated, disk) = disk();
        let file = write_file(&disk, Path::new("/d/f"), b"0123456789");
        simulated.fail_after(Fault {
            call: Some(Call::Write),
            after: 1,
            error: ErrorKind::StorageFull,
            half_written: true,
        });
        file.write_all_at(b"a", 0).unwrap();
        assert_eq!(file.write_all_at(b"bbbb", 4).unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(content(&*file), b"a123bb6789");
        file.write_all_at(b"c", 9).unwrap();
        simulated.fail_after(Fault::any_after(2, ErrorKind::PermissionDenied));
        file.sync().unwrap();
        disk.list(Path::new("/d")).unwrap();
        assert_eq!(
            disk.rename(Path::new("/d/f"), Path::new("/d/g")).unwrap_err().kind(),
            ErrorKind::PermissionDenied
        );
        disk.rename(Path::new("/d/f"), Path::new("/d/g")).unwrap();
    }

    #[test]
    fn a_hook_is_told_of_each_call_takes_images_and_has_calls_fail() {
        let (simulated, disk) = disk();
        let file = write_file(&disk, Path::new("/d/f"), b"01234567");
        let images = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let (kept, seen) = (Arc::clone(&images), simulated.clone());
        simulated.set_tears_writes(true);
        simulated.set_hook(Some(Arc::new(move |call| {
            kept.lock().push((call, seen.process_death().shared()));
            if call == Call::Write { Err(ErrorKind::QuotaExceeded.into()) } else { Ok(()) }
        })));
        assert_eq!(file.write_all_at(b"aaaa", 0).unwrap_err().kind(), ErrorKind::QuotaExceeded);
        file.sync().unwrap();
        simulated.set_hook(None);
        file.write_all_at(b"b", 7).unwrap();
        let images: Vec<_> = images.lock().drain(..).collect();
        let at = |(call, image): &(Call, Arc<dyn Disk>)| {
            (*call, content(&*image.open(Path::new("/d/f"), OpenMode::ReadOnly).unwrap()))
        };
        let expected = [(Call::Write, b"01234567".to_vec()), (Call::Sync, b"aa234567".to_vec())];
        assert_eq!(images.iter().map(at).collect::<Vec<_>>(), expected);
        assert_eq!(content(&*file), b"aa23456b");
    }

    #[test]
    fn others_can_take_what_room_is_left() {
        let (simulated, disk) = disk();
        let file = write_file(&disk, Path::new("/d/f"), &[1; 600]);
        simulated.leave_no_room();
        assert_eq!(file.allocate(601).unwrap_err().kind(), ErrorKind::StorageFull);
        file.write_all_at(&[2; 600], 0).unwrap();
    }

    #[test]
    fn room_is_limited_and_comes_back() {
        let (simulated, disk) = disk();
        simulated.set_room(1000);
        let file = write_file(&disk, Path::new("/d/f"), &[1; 600]);
        let other = disk.open(Path::new("/d/g"), OpenMode::CreateNew).unwrap();
        assert_eq!(other.allocate(401).unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(other.write_all_at(&[1; 401], 0).unwrap_err().kind(), ErrorKind::StorageFull);
        other.allocate(400).unwrap();
        file.set_length(500).unwrap();
        other.allocate(500).unwrap();
        disk.remove(Path::new("/d/f")).unwrap();
        other.allocate(1000).unwrap();
    }

    #[test]
    fn the_trace_tells_the_order() {
        let (simulated, disk) = disk();
        let (path, name) = (PathBuf::from("/d/new"), PathBuf::from("/d/name"));
        let file = write_file(&disk, &path, b"abc");
        file.allocate(10).unwrap();
        file.sync().unwrap();
        disk.rename(&path, &name).unwrap();
        disk.sync_directory(Path::new("/d")).unwrap();
        disk.remove(&name).unwrap();
        assert_eq!(
            simulated.trace(),
            [
                Operation::Create(path.clone()),
                Operation::Write(path.clone(), 0, 3),
                Operation::Allocate(path.clone(), 10),
                Operation::Sync(path.clone()),
                Operation::Rename(path, name.clone()),
                Operation::SyncDirectory(PathBuf::from("/d")),
                Operation::Remove(name),
            ]
        );
    }

    #[test]
    #[allow(unsafe_code)]
    fn what_would_raise_sigbus_is_refused() {
        let (_, disk) = disk();
        let file = disk.open(Path::new("/d/f"), OpenMode::CreateNew).unwrap();
        file.allocate(8192).unwrap();
        let map = file.map(8192, true).unwrap();
        map.populate(0, 4096).unwrap();
        // SAFETY: one thread, and no reference to the range.
        assert!(unsafe { map.store(4090, b"inside") });
        // SAFETY: as above.
        assert!(!unsafe { map.store(4091, b"beyond") }, "the second page was not populated");
        map.end_stores(0, 4096);
        // SAFETY: as above.
        assert!(!unsafe { map.store(0, b"again") }, "stores there have ended");
        file.set_length(4096).unwrap();
        // SAFETY: nothing is stored any more.
        assert!(unsafe { map.bytes(0, 4096) }.is_some());
        // SAFETY: nothing is stored any more.
        assert!(unsafe { map.bytes(0, 4097) }.is_none(), "the file was cut");
        assert!(map.populate(4096, 1).is_err());
    }
}
