//! Every test runs on every disk, with every way to append and to read.

use std::io::ErrorKind;
use std::sync::atomic::AtomicBool;
use std::thread;

use super::*;
use crate::disk::tests::{on_each_disk, random};
use crate::disk::{Call, Fault, Operation, SimulatedDisk};
use crate::error;

const MAPPED: Access = Access { mapped_append: true, mapped_reads: true };
const WRITE: Access = Access { mapped_append: false, mapped_reads: true };
const PLAIN: Access = Access { mapped_append: false, mapped_reads: false };
/// Small under miri, which takes its time for every byte.
const CAPACITY: u64 = if cfg!(miri) { 24 << 10 } else { 64 << 10 };

fn on_each(test: impl Fn(&Arc<dyn Disk>, &Path, Access)) {
    for access in [MAPPED, WRITE, PLAIN, Access { mapped_append: true, mapped_reads: false }] {
        on_each_disk(|disk, directory| test(disk, &directory.join("7.segment"), access));
    }
}

fn create(disk: &Arc<dyn Disk>, path: &Path, access: Access) -> Segment {
    Segment::create(disk, path.to_path_buf(), 7, 3, CAPACITY, b"header..", access).unwrap()
}

fn open(disk: &Arc<dyn Disk>, path: &Path, end: u64, access: Access, resume: bool) -> Result<Segment> {
    Segment::open(disk, path.to_path_buf(), 7, 3, CAPACITY, end, access, resume)
}

fn commit(segment: &Segment, parts: &[&[u8]]) -> u64 {
    let offset = segment.append(parts).unwrap();
    segment.publish(offset + parts.iter().map(|part| part.len() as u64).sum::<u64>());
    offset
}

fn file_length(disk: &Arc<dyn Disk>, path: &Path) -> u64 {
    disk.open(path, OpenMode::ReadOnly).unwrap().length().unwrap()
}

/// A simulated disk with an empty directory, and the path of a segment in it.
fn simulated() -> (SimulatedDisk, Arc<dyn Disk>, PathBuf) {
    let simulated = SimulatedDisk::new();
    let disk = simulated.shared();
    disk.create_directory(Path::new("/d")).unwrap();
    disk.sync_directory(Path::new("/")).unwrap();
    (simulated, disk, PathBuf::from("/d/7.segment"))
}

#[test]
fn what_is_appended_and_published_is_read_back() {
    on_each(|disk, path, access| {
        let segment = Arc::new(create(disk, path, access));
        assert_eq!((segment.serial(), segment.slot(), segment.capacity()), (7, 3, CAPACITY));
        assert_eq!(segment.path(), path);
        assert_eq!(segment.appends_mapped(), access.mapped_append);
        assert_eq!(segment.reads_mapped(), access.mapped_append || access.mapped_reads);
        assert_eq!((segment.published(), &*segment.read(0, 8).unwrap()), (8, &b"header.."[..]));
        assert_eq!(commit(&segment, &[b"one", b"", b"two"]), 8);
        assert_eq!(commit(&segment, &[b"three"]), 14);
        assert_eq!(&*segment.read(8, 11).unwrap(), b"onetwothree");
        assert_eq!(&*segment.read_at_most(14, 1000).unwrap(), b"three");
        assert!(segment.read_at_most(19, 1000).unwrap().is_empty());
        assert!(segment.read_at_most(u64::MAX, usize::MAX).unwrap().is_empty());
        let slice = segment.slice(14, 5).unwrap();
        assert_eq!(matches!(slice, Slice::Mapped(_)), segment.reads_mapped());
        drop(segment);
        assert_eq!(&*slice.clone(), b"three", "a slice outlives every other handle");
        assert_eq!(file_length(disk, path), CAPACITY);
    });
}

#[test]
fn nothing_is_read_before_it_is_published() {
    on_each(|disk, path, access| {
        let segment = Arc::new(create(disk, path, access));
        let offset = segment.append(&[b"hidden"]).unwrap();
        assert_eq!((offset, segment.published()), (8, 8));
        let expect = |result: Result<Bytes<'_>>, at: u64| match result {
            Err(Error::Corruption { segment: 7, offset, .. }) => assert_eq!(offset, at),
            other => panic!("{other:?}"),
        };
        expect(segment.read(8, 1), 8);
        expect(segment.read(7, 2), 7);
        expect(segment.read(u64::MAX, 1), u64::MAX);
        expect(segment.read(0, usize::MAX), 0);
        assert!(segment.slice(8, 1).is_err());
        assert!(segment.borrow(8, 1).is_none());
        assert!(!segment.range_is_published(8, 1) && segment.range_is_published(8, 0));
        segment.publish(14);
        assert_eq!(&*segment.read(8, 6).unwrap(), b"hidden");
    });
}

#[test]
fn the_border_only_grows_and_never_beyond_what_was_appended() {
    on_each(|disk, path, access| {
        let segment = create(disk, path, access);
        segment.publish(100);
        assert_eq!(segment.published(), 8, "nothing was appended");
        segment.append(&[b"0123456789"]).unwrap();
        segment.publish(12);
        segment.publish(10);
        assert_eq!(segment.published(), 12);
        segment.publish(100);
        assert_eq!(segment.published(), 18);
        // An append that was not published is overwritten by the next, and its length counts for nothing.
        segment.append(&[b"a long one that fails later"]).unwrap();
        segment.append(&[b"short"]).unwrap();
        segment.publish(u64::MAX);
        assert_eq!(&*segment.read_at_most(18, 100).unwrap(), b"short");
    });
}

#[test]
fn a_segment_is_filled_to_its_last_byte_and_not_one_further() {
    on_each(|disk, path, access| {
        let segment = create(disk, path, access);
        let large = vec![b'x'; usize::try_from(CAPACITY).unwrap() - 9];
        commit(&segment, &[&large]);
        assert!(matches!(segment.append(&[b"12"]), Err(Error::Internal(_))));
        commit(&segment, &[b"1"]);
        assert_eq!(segment.published(), CAPACITY);
        assert!(matches!(segment.append(&[b"1"]), Err(Error::Internal(_))));
        assert_eq!(segment.append(&[]).unwrap(), CAPACITY);
        assert_eq!(&*segment.read(CAPACITY - 2, 2).unwrap(), b"x1");
    });
}

#[test]
fn large_appends_of_many_parts_arrive_whole() {
    let size = if cfg!(miri) { 20_000 } else { 3 << 19 };
    on_each(|disk, path, access| {
        let capacity = if cfg!(miri) { CAPACITY } else { 2 << 20 };
        let segment = Segment::create(disk, path.to_path_buf(), 1, 0, capacity, b"", access).unwrap();
        let mut next = random(1);
        let parts: Vec<Vec<u8>> = (0..8).map(|_| (0..size / 8).map(|_| next() as u8).collect()).collect();
        let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        commit(&segment, &[b"small", b"parts"]);
        commit(&segment, &slices);
        commit(&segment, &[b"small", b"again"]);
        let whole = [b"smallparts", &*parts.concat(), b"smallagain"].concat();
        assert!(*segment.read(0, whole.len()).unwrap() == *whole);
    });
}

#[test]
fn a_segment_is_opened_again_to_read_and_to_go_on() {
    on_each(|disk, path, access| {
        let segment = create(disk, path, access);
        commit(&segment, &[b"first"]);
        segment.append(&[b"never published"]).unwrap();
        segment.sync().unwrap();
        drop(segment);
        let reader = open(disk, path, 13, access, false).unwrap();
        assert_eq!(&*reader.read(8, 5).unwrap(), b"first");
        assert!(matches!(reader.append(&[b"x"]), Err(Error::Internal(_))));
        assert!(matches!(reader.truncate_to_end(), Err(Error::Internal(_))));
        assert!(!reader.populate_ahead(1 << 20).unwrap());
        let segment = open(disk, path, 13, access, true).unwrap();
        assert_eq!(commit(&segment, &[b"second"]), 13);
        assert_eq!(&*segment.read(8, 11).unwrap(), b"firstsecond");
        assert_eq!(&*reader.read(8, 5).unwrap(), b"first", "another handle on the file is not disturbed");
    });
}

#[test]
fn a_clean_close_cuts_the_file_and_keeps_every_byte() {
    on_each(|disk, path, access| {
        let segment = Arc::new(create(disk, path, access));
        let value = vec![b'v'; 5000];
        commit(&segment, &[&value]);
        let slice = segment.slice(8, 5000).unwrap();
        segment.append(&[b"never published"]).unwrap();
        segment.truncate_to_end().unwrap();
        assert_eq!(file_length(disk, path), 8192);
        assert!(*slice == *value && *segment.read(8, 5000).unwrap() == *value, "reads go on");
        assert!(matches!(segment.append(&[b"x"]), Err(Error::Internal(_))));
        segment.publish(u64::MAX);
        assert_eq!(segment.published(), 5008);
        assert!(!segment.populate_ahead(1 << 20).unwrap());
        assert_eq!(file_length(disk, path), 8192, "nothing made it grow again");
        drop(segment);
        let segment = open(disk, path, 5008, access, true).unwrap();
        assert_eq!(file_length(disk, path), CAPACITY);
        commit(&segment, &[&value]);
        assert!(*segment.read(5008, 5000).unwrap() == *value && *slice == *value);
    });
}

#[test]
fn what_is_cached_ahead_is_read_as_it_was_written() {
    on_each(|disk, path, access| {
        let segment = create(disk, path, access);
        let mut content = b"header..".to_vec();
        for length in [1, 9000, 16_000, 500, 20_000] {
            segment.cache_ahead(length);
            let piece = vec![length as u8; length as usize];
            commit(&segment, &[&piece]);
            content.extend_from_slice(&piece);
            assert!(*segment.read(0, content.len()).unwrap() == content, "after {length}");
        }
        segment.cache_ahead(u64::MAX);
        assert_eq!(file_length(disk, path), CAPACITY, "it did not grow");
        segment.sync().unwrap();
        let mut written = vec![0; content.len()];
        disk.open(path, OpenMode::ReadOnly).unwrap().read_at(&mut written, 0).unwrap();
        assert!(written == content);
    });
}

#[test]
fn a_full_segment_is_not_cut() {
    on_each(|disk, path, access| {
        let segment = create(disk, path, access);
        let large = vec![b'x'; usize::try_from(CAPACITY).unwrap() - 8];
        commit(&segment, &[&large]);
        segment.truncate_to_end().unwrap();
        assert_eq!(file_length(disk, path), CAPACITY);
    });
}

#[test]
fn a_sealed_segment_is_only_read() {
    on_each(|disk, path, access| {
        let segment = create(disk, path, access);
        commit(&segment, &[b"sealed"]);
        segment.seal();
        segment.seal();
        assert!(matches!(segment.append(&[b"x"]), Err(Error::Internal(_))));
        assert!(!segment.populate_ahead(1 << 20).unwrap());
        assert_eq!(&*segment.read(8, 6).unwrap(), b"sealed");
        segment.sync().unwrap();
        assert_eq!(file_length(disk, path), CAPACITY);
    });
}

#[test]
fn a_file_that_was_cut_is_corruption_and_never_a_signal() {
    on_each(|disk, path, access| {
        let segment = create(disk, path, access);
        let value = vec![b'v'; 20_000];
        commit(&segment, &[&value]);
        drop(segment);
        for length in [10_000, 8192, 4097, 9, 8, 1, 0] {
            disk.open(path, OpenMode::ReadWrite).unwrap().set_length(length).unwrap();
            let segment = open(disk, path, 20_008, access, false).unwrap();
            assert_eq!(segment.published(), length);
            let size = usize::try_from(length).unwrap();
            assert_eq!(segment.read(0, size).unwrap().len(), size);
            assert!(matches!(segment.read(0, size + 1), Err(Error::Corruption { segment: 7, .. })));
            assert!(matches!(segment.read(20_000, 8), Err(Error::Corruption { offset: 20_000, .. })));
            match open(disk, path, 20_008, access, true) {
                Err(Error::Corruption { segment: 7, offset, .. }) => assert_eq!(offset, length),
                other => panic!("{other:?}"),
            }
            assert_eq!(file_length(disk, path), length, "a damaged file is left as it is");
        }
    });
}

#[test]
fn a_file_cut_while_it_is_read_without_a_map_is_corruption() {
    on_each_disk(|disk, directory| {
        let path = directory.join("7.segment");
        let segment = create(disk, &path, PLAIN);
        commit(&segment, &[&[1; 5000]]);
        disk.open(&path, OpenMode::ReadWrite).unwrap().set_length(4000).unwrap();
        match segment.read(3000, 2000) {
            Err(Error::Corruption { segment: 7, offset: 4000, .. }) => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn impossible_requests_are_refused() {
    on_each(|disk, path, access| {
        let header = vec![0; HEADER_BYTES_MAX + 1];
        let made = Segment::create(disk, path.to_path_buf(), 1, 0, CAPACITY, &header, access);
        assert!(matches!(made, Err(Error::Internal(_))));
        let made = Segment::create(disk, path.to_path_buf(), 1, 0, 4, b"12345", access);
        assert!(matches!(made, Err(Error::Internal(_))));
        assert_eq!(disk.open(path, OpenMode::ReadOnly).unwrap_err().kind(), ErrorKind::NotFound);
        let header = vec![7; HEADER_BYTES_MAX];
        let segment = Segment::create(disk, path.to_path_buf(), 1, 0, CAPACITY, &header, access).unwrap();
        assert_eq!(segment.published(), HEADER_BYTES_MAX as u64);
        assert!(matches!(open(disk, path, CAPACITY + 1, access, false), Err(Error::Internal(_))));
        // The name is taken now, and the file that has it stays.
        let again = Segment::create(disk, path.to_path_buf(), 1, 0, CAPACITY, b"", access);
        assert_eq!(again.unwrap_err().kind(), error::ErrorKind::Io);
        assert_eq!(file_length(disk, path), CAPACITY);
    });
}

/// One thread appends and publishes, one populates ahead, two read whatever is published and check every byte.
#[test]
fn readers_see_whole_records_while_others_append_and_populate() {
    fn record(at: u64, length: usize) -> Vec<u8> {
        (0..length as u64).map(|step| (((at + step) * 31) >> 3) as u8).collect()
    }
    on_each(|disk, path, access| {
        let capacity = if cfg!(miri) { 4096 } else { 768 << 10 };
        let segment =
            Arc::new(Segment::create(disk, path.to_path_buf(), 1, 0, capacity, b"", access).unwrap());
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    segment.populate_ahead(1 << 20).unwrap();
                    segment.sync().unwrap();
                    thread::yield_now();
                }
            });
            for seed in 0..2 {
                let (segment, done) = (&segment, &done);
                scope.spawn(move || {
                    let mut next = random(seed);
                    let mut checked = 0_u64;
                    while !done.load(Ordering::Relaxed) || checked == 0 {
                        let end = segment.published();
                        let length = end.min(200);
                        if length == 0 {
                            thread::yield_now();
                            continue;
                        }
                        // Mostly the newest bytes, where a race would show.
                        let at =
                            if next().is_multiple_of(4) { next() % (end - length + 1) } else { end - length };
                        let size = usize::try_from(length).unwrap();
                        let expected = record(at, size);
                        assert_eq!(&*segment.read(at, size).unwrap(), expected);
                        assert_eq!(&*segment.slice(at, size).unwrap(), expected);
                        checked += 1;
                    }
                });
            }
            let mut next = random(9);
            let mut at = 0;
            while capacity - at > 400 {
                let size = usize::try_from(1 + next() % 390).unwrap();
                let bytes = record(at, size);
                let (one, two) = bytes.split_at(size / 2);
                assert_eq!(segment.append(&[one, two]).unwrap(), at);
                at += size as u64;
                segment.publish(at);
            }
            done.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn sealing_and_cutting_while_the_background_populates_is_quiet() {
    let rounds = if cfg!(miri) { 2 } else { 20 };
    on_each_disk(|disk, directory| {
        for round in 0..rounds {
            let path = directory.join(format!("{round}.segment"));
            let capacity = if cfg!(miri) { 300 << 10 } else { 2 << 20 };
            let segment = Segment::create(disk, path.clone(), 1, 0, capacity, b"", MAPPED).unwrap();
            commit(&segment, &[b"bytes"]);
            thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..3 {
                        segment.populate_ahead(capacity).unwrap();
                    }
                });
                if round % 2 == 0 { segment.truncate_to_end().unwrap() } else { segment.seal() }
            });
            assert_eq!(file_length(disk, &path), if round % 2 == 0 { 4096 } else { capacity });
            assert_eq!(&*segment.read(0, 5).unwrap(), b"bytes");
            disk.remove(&path).unwrap();
        }
    });
}

#[test]
fn the_background_stays_ahead_and_then_rests() {
    on_each(|disk, path, access| {
        let capacity = if cfg!(miri) { 512 << 10 } else { 2 << 20 };
        let segment = Segment::create(disk, path.to_path_buf(), 1, 0, capacity, b"", access).unwrap();
        assert_eq!(segment.populate_ahead(capacity).unwrap(), access.mapped_append);
        assert!(!segment.populate_ahead(capacity).unwrap(), "all is populated");
        assert!(!segment.populate_ahead(u64::MAX).unwrap());
    });
}

/// A sync takes full pages out of the map, for everybody at once. What stands there must be readable all the time, and the page
/// that is being filled must stay, at whatever offset in it a sync comes.
#[test]
fn appends_and_reads_go_on_over_pages_that_a_sync_has_settled() {
    let capacity = if cfg!(miri) { 3 } else { 16 } * SETTLED_BYTES_MIN;
    for access in [MAPPED, WRITE] {
        on_each_disk(|disk, directory| {
            let (path, header) = (directory.join("7.segment"), b"header..");
            let segment = Segment::create(disk, path, 7, 3, capacity, header, access).unwrap();
            let record = |at: u64| [(at >> 4) as u8; 4000];
            thread::scope(|scope| {
                let writer = scope.spawn(|| {
                    for at in (8..capacity - 4000).step_by(4000) {
                        assert_eq!(commit(&segment, &[&record(at)]), at);
                        if at % 3 == 2 {
                            segment.sync().unwrap();
                        }
                    }
                });
                while !writer.is_finished() {
                    let end = segment.published();
                    for at in (8..end).step_by(4000) {
                        assert_eq!(&*segment.read(at, 4000).unwrap(), &record(at), "at {at} of {end}");
                    }
                }
            });
            segment.sync().unwrap();
            let settled = segment.body.settled.load(Ordering::Relaxed);
            assert!(settled <= segment.published());
            assert_eq!(settled > capacity / 2, access.mapped_append);
        });
    }
}

#[test]
fn a_new_segment_is_synced_before_it_is_handed_out() {
    for access in [MAPPED, WRITE, PLAIN] {
        let (simulated, disk, path) = simulated();
        simulated.clear_trace();
        let segment = create(&disk, &path, access);
        commit(&segment, &[b"one", b"two"]);
        segment.sync().unwrap();
        let mut expected = vec![
            Operation::Create(path.clone()),
            Operation::Allocate(path.clone(), CAPACITY),
            Operation::Write(path.clone(), 0, 8),
            Operation::Sync(path.clone()),
        ];
        if access.mapped_append {
            expected.push(Operation::Store(path.clone(), 8, 3));
            expected.push(Operation::Store(path.clone(), 11, 3));
        } else {
            expected.push(Operation::Write(path.clone(), 8, 6));
        }
        expected.push(Operation::Sync(path));
        assert_eq!(simulated.trace(), expected);
    }
}

#[test]
fn a_power_cut_keeps_what_was_synced_by_either_way() {
    for access in [MAPPED, WRITE, PLAIN] {
        let (simulated, disk, path) = simulated();
        let segment = create(&disk, &path, access);
        disk.sync_directory(Path::new("/d")).unwrap();
        commit(&segment, &[b"synced"]);
        segment.sync().unwrap();
        commit(&segment, &[b"not synced"]);
        let mut lost = 0;
        for seed in 0..if cfg!(miri) { 8 } else { 64 } {
            let after = simulated.crash(&mut random(seed)).shared();
            let segment = open(&after, &path, 24, access, true).unwrap();
            assert_eq!(&*segment.read(0, 14).unwrap(), b"header..synced");
            lost += u64::from(*segment.read(14, 10).unwrap() != *b"not synced");
        }
        assert!(lost > 0, "the power cut takes what was not synced");
        let after = simulated.process_death().shared();
        let segment = open(&after, &path, 24, access, false).unwrap();
        assert_eq!(&*segment.read(14, 10).unwrap(), b"not synced");
    }
}

#[test]
fn a_failing_creation_is_clean_whatever_call_fails() {
    for access in [MAPPED, WRITE, PLAIN] {
        let kinds = [
            (ErrorKind::StorageFull, error::ErrorKind::NoSpace),
            (ErrorKind::QuotaExceeded, error::ErrorKind::NoSpace),
            (ErrorKind::PermissionDenied, error::ErrorKind::Io),
        ];
        // The second and third bring nothing new to miri.
        for (kind, expected) in kinds.into_iter().take(if cfg!(miri) { 1 } else { 3 }) {
            let mut failures = 0;
            loop {
                let (simulated, disk, path) = simulated();
                simulated.fail_after(Fault::any_after(failures, kind));
                let made = Segment::create(&disk, path.clone(), 1, 0, CAPACITY, b"header", access);
                simulated.clear_faults();
                let Err(error) = made else { break };
                failures += 1;
                assert_eq!(error.kind(), expected, "{error}");
                assert!(error.to_string().contains("7.segment"), "{error}");
                assert!(disk.list(Path::new("/d")).unwrap().is_empty(), "the file is gone after: {error}");
                create(&disk, &path, access);
            }
            let calls = if access == PLAIN { 4 } else { 6 } + u64::from(access.mapped_append);
            assert_eq!(failures, calls, "create, allocate, write, sync; then length, map; then populate");
        }
    }
}

#[test]
fn a_full_disk_is_met_at_creation_and_gone_when_there_is_room() {
    for access in [MAPPED, WRITE, PLAIN] {
        let (simulated, disk, path) = simulated();
        simulated.set_room(CAPACITY - 1);
        let made = Segment::create(&disk, path.clone(), 1, 0, CAPACITY, b"", access);
        assert_eq!(made.unwrap_err().kind(), error::ErrorKind::NoSpace);
        assert!(disk.list(Path::new("/d")).unwrap().is_empty());
        simulated.set_room(CAPACITY);
        let segment = create(&disk, &path, access);
        commit(&segment, &[&[1; 20_000]]);
    }
}

#[test]
fn an_append_that_cannot_populate_leaves_nothing_and_can_be_done_again() {
    let (simulated, disk, path) = simulated();
    let capacity = 1 << 20;
    let segment = Segment::create(&disk, path, 1, 0, capacity, b"", MAPPED).unwrap();
    let large = vec![b'x'; 300 << 10];
    simulated.fail_after(Fault::next(Call::Populate, ErrorKind::Other));
    assert_eq!(segment.append(&[&large]).unwrap_err().kind(), error::ErrorKind::Io);
    segment.publish(u64::MAX);
    assert_eq!(segment.published(), 0, "nothing of it is visible");
    // The system tells why only when it is asked for the room again.
    simulated.fail_after(Fault::next(Call::Populate, ErrorKind::Other));
    simulated.fail_after(Fault::next(Call::Allocate, ErrorKind::StorageFull));
    assert_eq!(segment.append(&[&large]).unwrap_err().kind(), error::ErrorKind::NoSpace);
    simulated.fail_after(Fault::next(Call::Populate, ErrorKind::Other));
    assert_eq!(segment.populate_ahead(capacity).unwrap_err().kind(), error::ErrorKind::Io);
    commit(&segment, &[&large]);
    assert!(*segment.read(0, large.len()).unwrap() == *large);
}

#[test]
fn a_write_that_fails_half_way_is_not_visible_and_the_next_one_is_whole() {
    for access in [WRITE, PLAIN] {
        let (simulated, disk, path) = simulated();
        let segment = create(&disk, &path, access);
        simulated
            .fail_after(Fault { half_written: true, ..Fault::next(Call::Write, ErrorKind::StorageFull) });
        assert_eq!(segment.append(&[b"half", b"half"]).unwrap_err().kind(), error::ErrorKind::NoSpace);
        segment.publish(u64::MAX);
        assert_eq!(segment.published(), 8);
        commit(&segment, &[b"wh", b"ole"]);
        assert_eq!(&*segment.read_at_most(8, 100).unwrap(), b"whole");
    }
}

#[test]
fn a_failed_sync_is_reported() {
    let (simulated, disk, path) = simulated();
    let segment = create(&disk, &path, WRITE);
    simulated.fail_after(Fault::next(Call::Sync, ErrorKind::Other));
    assert_eq!(segment.sync().unwrap_err().kind(), error::ErrorKind::Io);
    disk.remove(&path).unwrap();
    let segment = create(&disk, &path, WRITE);
    commit(&segment, &[&[7; 8 << 10]]);
    simulated.fail_after(Fault::next(Call::Sync, ErrorKind::Other));
    assert_eq!(segment.write_out().unwrap_err().kind(), error::ErrorKind::Io);
}

/// The system tells a failure once, to whoever asks first. What it has dropped is not durable for anybody else either.
#[test]
fn after_a_failure_on_the_device_no_sync_succeeds() {
    let (simulated, disk, path) = simulated();
    for fails_in_sync in [false, true] {
        let segment = create(&disk, &path, WRITE);
        commit(&segment, &[&[7; 8 << 10]]);
        simulated.fail_after(Fault::next(Call::Sync, ErrorKind::Other));
        let first = if fails_in_sync { segment.sync() } else { segment.write_out() };
        assert_eq!(first.unwrap_err().kind(), error::ErrorKind::Io);
        assert_eq!(segment.sync().unwrap_err().kind(), error::ErrorKind::Io);
        assert_eq!(segment.write_out().unwrap_err().kind(), error::ErrorKind::Io);
        disk.remove(&path).unwrap();
    }
}

#[test]
fn without_maps_or_populating_appends_are_writes() {
    for (maps, populates) in [(false, true), (true, false)] {
        for access in [MAPPED, Access { mapped_append: true, mapped_reads: false }] {
            let (simulated, disk, path) = simulated();
            simulated.set_maps(maps);
            simulated.set_populates(populates);
            let segment = create(&disk, &path, access);
            assert!(!segment.appends_mapped());
            assert_eq!(segment.reads_mapped(), maps && access.mapped_reads);
            commit(&segment, &[b"a", b"b"]);
            assert_eq!(&*segment.read(8, 2).unwrap(), b"ab");
            assert!(!segment.populate_ahead(1 << 20).unwrap());
            segment.truncate_to_end().unwrap();
        }
    }
}

#[test]
fn what_is_appended_piece_by_piece_is_published_as_one_with_its_beginning_filled_in_last() {
    on_each(|disk, path, access| {
        let segment = create(disk, path, access);
        assert_eq!(segment.append(&[b"...."]).unwrap(), 8);
        segment.append_more(b"one").unwrap();
        segment.append_more(&[]).unwrap();
        segment.append_more(b"two").unwrap();
        assert!(segment.borrow(8, 1).is_none(), "nothing of it can be read yet");
        segment.fill_in(8, b"head").unwrap();
        // Only what was appended and is not published is written over.
        assert!(segment.fill_in(7, b"head").is_err() && segment.fill_in(15, b"head").is_err());
        segment.publish(18);
        assert_eq!(&*segment.read(8, 10).unwrap(), b"headonetwo");
        assert!(segment.fill_in(8, b"head").is_err());
        // Given up: the next append begins where the border is.
        segment.append(&[b"given up"]).unwrap();
        segment.append_more(b" later").unwrap();
        assert_eq!(commit(&segment, &[b"next"]), 18);
        assert_eq!(&*segment.read_at_most(8, 100).unwrap(), b"headonetwonext");
        let room = vec![1; (CAPACITY - 22) as usize];
        segment.append_more(&room).unwrap();
        assert!(segment.append_more(b"x").is_err(), "one byte too many");
        let mut buffer = [0; 10];
        segment.read_into(8, &mut buffer).unwrap();
        assert_eq!(&buffer, b"headonetwo");
        assert!(matches!(segment.read_into(20, &mut buffer), Err(Error::Corruption { .. })));
    });
}
