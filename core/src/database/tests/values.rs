//! Values of every length: large ones that do not wait for each other, values written and read piece by piece, and
//! compressed ones.

use std::io::{ErrorKind as IoKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::model::{PATH, Random, all_options, open};
use crate::database::OpenDB;
use crate::disk::{Disk, DiskFile, OpenMode, SimulatedDisk};
use crate::log::segment_name;
use crate::manifest::SEGMENT_HEADER_BYTES;
use crate::options::{AppendMode, Compression, Durability, KeyspaceOptions, Options, VALUE_BYTES_MAX};
use crate::record::{
    INLINE_VALUE_BYTES_MAX, Kind, NewRecord, StandaloneHeader, claim, content_crc, large_owner,
};
use crate::{Error, Scan};

const HEADER: u64 = SEGMENT_HEADER_BYTES as u64;

fn write_in_pieces(db: &OpenDB, key: &[u8], value: &[u8], piece_bytes: usize) {
    let mut writer = db.value_writer(key, value.len() as u64).unwrap();
    value.chunks(piece_bytes).for_each(|piece| writer.write_all(piece).unwrap());
    writer.finish().unwrap();
}

fn read_in_pieces(db: &OpenDB, key: &[u8], piece_bytes: usize) -> Vec<u8> {
    let mut reader = db.value_reader(key).unwrap().unwrap();
    let (mut value, mut piece) = (Vec::new(), vec![0; piece_bytes]);
    loop {
        match reader.read(&mut piece).unwrap() {
            0 => return value,
            count => value.extend_from_slice(&piece[..count]),
        }
    }
}

fn lz4() -> KeyspaceOptions {
    KeyspaceOptions::new().compression(Compression::Lz4)
}

fn file(disk: &SimulatedDisk, serial: u64) -> Arc<dyn DiskFile> {
    disk.open(&Path::new(PATH).join(segment_name(serial)), OpenMode::ReadWrite).unwrap()
}

/// Serial and header of the first value of every large-value segment.
fn large_segments(disk: &SimulatedDisk) -> Vec<(u64, [u8; 16])> {
    let mut found = Vec::new();
    for name in disk.list(Path::new(PATH)).unwrap() {
        let Some(serial) = crate::log::serial_of_name(&name) else { continue };
        let (file, mut kind, mut header) = (file(disk, serial), [0; 4], [0; 16]);
        file.read_at(&mut kind, 12).unwrap();
        file.read_at(&mut header, HEADER).unwrap();
        if kind == 2_u32.to_le_bytes() {
            found.push((serial, header));
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn a_value_of_any_length_is_written_and_read_piece_by_piece() {
    let mut random = Random(1);
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let lengths = [
            0,
            1,
            1000,
            INLINE_VALUE_BYTES_MAX,
            INLINE_VALUE_BYTES_MAX + 1,
            INLINE_VALUE_BYTES_MAX + 8,
            3 << 20,
        ];
        let values: Vec<_> = lengths.iter().map(|length| random.bytes(*length)).collect();
        for (value, piece_bytes) in values.iter().zip([1, 1, 7, 1 << 16, 100_000, 5 << 20, 333_333]) {
            let key = value.len().to_le_bytes();
            write_in_pieces(&db, &key, value, piece_bytes);
            assert!(read_in_pieces(&db, &key, piece_bytes) == **value, "{} bytes", value.len());
            assert!(db.get(&key).unwrap().unwrap() == **value, "{} bytes", value.len());
        }
        let image = open(&disk.process_death(), &options).unwrap();
        for value in &values {
            let key = value.len().to_le_bytes();
            assert!(read_in_pieces(&image, &key, 1 << 20) == **value, "{} bytes, recovered", value.len());
        }
        assert!(db.value_reader(b"absent").unwrap().is_none());
    }
}

#[test]
fn a_value_of_another_length_than_announced_is_refused_and_nothing_of_it_is_there() {
    for length in [0, 10, INLINE_VALUE_BYTES_MAX + 1] {
        let db = open(&SimulatedDisk::new(), &Options::new()).unwrap();
        let mut writer = db.value_writer(b"k", length as u64).unwrap();
        let error = writer.write_all(&vec![1; length + 1]).unwrap_err();
        assert_eq!(error.kind(), IoKind::InvalidInput);
        assert!(matches!(error.downcast::<Error>(), Ok(Error::InvalidArgument(_))));
        assert_eq!(writer.written(), 0, "a piece that is too long is refused as a whole");
        let finished = writer.finish();
        assert_eq!(matches!(finished, Err(Error::InvalidArgument(_))), length > 0, "{finished:?}");
        assert_eq!(db.exists(b"k").unwrap(), length == 0);
    }
    let db = open(&SimulatedDisk::new(), &Options::new()).unwrap();
    let too_long = db.value_writer(b"k", VALUE_BYTES_MAX as u64 + 1);
    assert!(matches!(too_long, Err(Error::InvalidArgument(_))));
    assert!(matches!(db.value_writer(&[0; 1 << 16], 1), Err(Error::InvalidArgument(_))));
}

#[test]
fn what_was_written_of_a_value_that_is_given_up_is_written_over() {
    let mut random = Random(2);
    for options in all_options(1 << 20) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let value = random.bytes((1 << 20) + 100);
        db.put(b"before", &value).unwrap();
        let before = db.stats().unwrap();
        for _ in 0..20 {
            let mut writer = db.value_writer(b"given up", 2 << 20).unwrap();
            writer.write_all(&random.bytes(1 << 20)).unwrap();
            drop(writer);
        }
        let after = db.stats().unwrap();
        assert_eq!(after.large_bytes, before.large_bytes);
        // One segment was too full for a value of that length.
        assert!(after.segments <= before.segments + 1, "{} segments", after.segments);
        db.put(b"after", &value).unwrap();
        assert!(!db.exists(b"given up").unwrap());
        for db in [&db, &open(&disk.process_death(), &options).unwrap()] {
            assert!(
                db.get(b"before").unwrap().unwrap() == *value && db.get(b"after").unwrap().unwrap() == *value
            );
        }
    }
}

#[test]
fn nobody_waits_for_a_value_that_is_half_written() {
    let mut random = Random(3);
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let value = random.bytes((1 << 20) + 5);
        let mut writer = db.value_writer(b"stream", value.len() as u64).unwrap();
        writer.write_all(&value[..1000]).unwrap();
        // Every one of these would wait for ever for a lock that the half-written value held.
        std::thread::scope(|scope| {
            scope.spawn(|| (0..100_u8).for_each(|n| db.put(&[n], &[n; 2000]).unwrap()));
            scope.spawn(|| db.put_with(b"large", &value, Durability::Sync).unwrap());
            scope.spawn(|| write_in_pieces(&db, b"other stream", &value, 100_000));
        });
        db.flush().unwrap();
        let other = db.value_writer(b"never finished", value.len() as u64).unwrap();
        writer.write_all(&value[1000..]).unwrap();
        assert!(!db.exists(b"stream").unwrap(), "nobody sees it before it is finished");
        writer.finish_with(Durability::Sync).unwrap();
        for key in [&b"large"[..], b"other stream", b"stream"] {
            assert!(db.get(key).unwrap().unwrap() == *value);
        }
        let cut = open(&disk.crash(&mut || 3), &options).unwrap();
        assert!(cut.get(b"stream").unwrap().unwrap() == *value && cut.get(&[7]).unwrap().is_some());
        drop(other);
    }
}

#[test]
fn small_puts_go_on_while_a_long_one_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let db = OpenDB::open(directory.path()).unwrap();
    let value = vec![7; 64 << 20];
    let (is_over, puts) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) || puts.load(Ordering::Relaxed) == 0 {
                db.put(b"small", b"value").unwrap();
                puts.fetch_add(1, Ordering::Relaxed);
            }
        });
        // The long one is not over before small ones were written between two of its pieces.
        let mut writer = db.value_writer(b"long", value.len() as u64).unwrap();
        for piece in value.chunks(16 << 20) {
            let before = puts.load(Ordering::Relaxed);
            writer.write_all(piece).unwrap();
            while puts.load(Ordering::Relaxed) == before {
                std::thread::yield_now();
            }
        }
        writer.finish().unwrap();
        db.put(b"long at once", &value).unwrap();
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(puts.load(Ordering::Relaxed) >= 4);
    assert!(db.get(b"long").unwrap().unwrap() == value && db.get(b"long at once").unwrap().unwrap() == value);
}

#[test]
fn there_are_as_many_large_segments_open_as_were_written_to_at_a_time() {
    let options = Options::new().segment_bytes(8 << 20);
    let disk = SimulatedDisk::new();
    let db = open(&disk, &options).unwrap();
    let value = vec![1; (1 << 20) + 1];
    (0..5_u8).for_each(|n| db.put(&[n], &value).unwrap());
    assert_eq!(large_segments(&disk).len(), 1);
    let streams: Vec<_> =
        (0..3_u8).map(|n| db.value_writer(&[b's', n], value.len() as u64).unwrap()).collect();
    assert_eq!(large_segments(&disk).len(), 3);
    drop(streams);
    (5..16_u8).for_each(|n| db.put(&[n], &value).unwrap());
    assert_eq!(large_segments(&disk).len(), 3, "the room in all of them is used");
    // One that fills a segment by itself takes nobody's place.
    db.put(b"long", &vec![1; 9 << 20]).unwrap();
    db.put(b"again", &value).unwrap();
    assert_eq!(large_segments(&disk).len(), 4);
}

#[test]
fn a_close_does_not_wait_for_half_written_values_and_ends_them() {
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let mut large = db.value_writer(b"large", 2 << 20).unwrap();
        let mut short = db.value_writer(b"short", 10).unwrap();
        large.write_all(&[1; 1 << 20]).unwrap();
        db.close().unwrap();
        for writer in [&mut large, &mut short] {
            let error = writer.write_all(&[1; 10]).unwrap_err();
            assert!(matches!(error.downcast::<Error>(), Ok(Error::Closed)));
        }
        assert!(matches!(db.value_reader(b"k"), Err(Error::Closed)));
        assert!(matches!(db.value_writer(b"k", 1), Err(Error::Closed)));
        drop((large, short));
        let again = open(&disk, &options).unwrap();
        assert!(again.stats().unwrap().recovery.clean && again.is_empty().unwrap());
        again.put(b"large", &[2; 2 << 20]).unwrap();
        assert!(again.get(b"large").unwrap().unwrap() == [2; 2 << 20]);
    }
}

/// A handle is closed under a half-written value while another one goes on: the value's segment was lost to both.
#[test]
fn a_value_that_is_given_up_after_its_handle_was_closed_gives_its_segment_back() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::new().segment_bytes(16 << 20);
    let (one, other) = (
        OpenDB::open_with_options(directory.path(), options.clone()),
        OpenDB::open_with_options(directory.path(), options),
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    other.put(b"log", b"").unwrap();
    let writer = one.value_writer(b"k", 2 << 20).unwrap();
    one.close().unwrap();
    assert!(matches!(writer.finish(), Err(Error::Closed)));
    let segments = other.stats().unwrap().segments;
    drop(other.value_writer(b"k", 2 << 20).unwrap());
    other.put(b"k", &vec![1; 2 << 20]).unwrap();
    assert_eq!(other.stats().unwrap().segments, segments);
}

#[test]
fn a_reader_stays_valid_when_the_key_is_overwritten_and_the_database_closed() {
    let mut random = Random(4);
    for options in all_options(64 << 10) {
        let db = open(&SimulatedDisk::new(), &options).unwrap();
        db.keyspace_with_options("default", lz4()).unwrap();
        let values = [random.bytes(2 << 20), random.bytes(500), random.compressible(50_000)];
        for (n, value) in values.iter().enumerate() {
            db.put(&[n as u8], value).unwrap();
        }
        let mut readers: Vec<_> = (0..3_u8).map(|n| db.value_reader(&[n]).unwrap().unwrap()).collect();
        let snapshot = db.snapshot().unwrap();
        (0..3_u8).for_each(|n| db.put(&[n], b"other").unwrap());
        for (n, value) in values.iter().enumerate() {
            let mut read = Vec::new();
            snapshot.value_reader(&[n as u8]).unwrap().unwrap().read_to_end(&mut read).unwrap();
            assert!(read == **value, "value {n} of a snapshot");
        }
        db.close().unwrap();
        drop((db, snapshot));
        for (reader, value) in readers.iter_mut().zip(&values) {
            assert_eq!((reader.len(), reader.is_empty()), (value.len() as u64, false));
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            assert!(read == **value);
            assert_eq!(reader.seek(SeekFrom::End(-3)).unwrap(), value.len() as u64 - 3);
            assert_eq!(reader.read(&mut [0; 10]).unwrap(), 3);
            assert_eq!(reader.seek(SeekFrom::Current(-100)).unwrap(), value.len() as u64 - 100);
            let mut piece = [0; 50];
            reader.read_exact(&mut piece).unwrap();
            assert_eq!(piece, value[value.len() - 100..value.len() - 50]);
            assert_eq!(reader.seek(SeekFrom::End(5)).unwrap(), value.len() as u64 + 5);
            assert_eq!(reader.read(&mut piece).unwrap(), 0);
            assert_eq!(reader.seek(SeekFrom::Start(0)).unwrap(), 0);
            let error = reader.seek(SeekFrom::Current(-1)).unwrap_err();
            assert_eq!(error.kind(), IoKind::InvalidInput);
        }
    }
}

#[test]
fn a_damaged_large_value_is_noticed_by_whoever_reads_all_of_it_in_order() {
    let mut random = Random(5);
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let value = random.bytes((1 << 20) + 777);
        db.put_with(b"k", &value, Durability::Sync).unwrap();
        db.close().unwrap();
        let (serial, _) = large_segments(&disk)[0];
        file(&disk, serial).write_all_at(&[value[9] ^ 1], HEADER + 16 + 9).unwrap();
        let db = open(&disk, &options).unwrap();
        let mut reader = db.value_reader(b"k").unwrap().unwrap();
        let mut read = vec![0; 1 << 20];
        reader.read_exact(&mut read).unwrap();
        for _ in 0..2 {
            let error = reader.read(&mut [0; 5000]).unwrap_err();
            assert_eq!(error.kind(), IoKind::InvalidData);
            assert!(
                matches!(error.downcast::<Error>(), Ok(Error::Corruption { segment, .. }) if segment == serial)
            );
        }
        // Going back over what was read is no way around.
        reader.seek(SeekFrom::Start(100)).unwrap();
        assert_eq!(reader.read_to_end(&mut read).unwrap_err().kind(), IoKind::InvalidData);
        // Who leaves something out has read what is there.
        let mut reader = db.value_reader(b"k").unwrap().unwrap();
        reader.seek(SeekFrom::Start(10)).unwrap();
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert!(rest == value[10..]);
        assert!(matches!(db.get(b"k"), Err(Error::Corruption { .. })));
        // A header that is damaged is noticed at once.
        let mut byte = [0];
        assert_eq!(file(&disk, serial).read_at(&mut byte, HEADER + 9).unwrap(), 1);
        file(&disk, serial).write_all_at(&[byte[0] ^ 1], HEADER + 9).unwrap();
        assert!(matches!(db.value_reader(b"k"), Err(Error::Corruption { .. })));
    }
}

#[test]
fn a_large_value_says_whose_it_is_also_after_it_was_written_anew() {
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let value = vec![3; 2 << 20];
        let mut batch = db.batch();
        batch.put("default", b"small", b"first").unwrap();
        batch.put("default", b"batch", &value).unwrap();
        batch.commit().unwrap();
        let held = db.value_writer(b"held", 2 << 20).unwrap();
        db.put(b"put", &value).unwrap();
        write_in_pieces(&db, b"stream", &value, 1 << 20);
        drop(held);
        let store = db.keyspace("default").unwrap().handle.shared_store().unwrap();
        let mut expected: Vec<u64> =
            [&b"batch"[..], b"put", b"stream"].iter().map(|key| store.keys.hash(0, key)).collect();
        expected.sort_unstable();
        let owners = |disk: &SimulatedDisk| {
            let mut owners: Vec<_> =
                large_segments(disk).iter().filter_map(|(_, header)| large_owner(header)).collect();
            owners.retain(|owner| *owner != 0);
            owners.sort_unstable();
            owners
        };
        assert_eq!(owners(&disk), expected);
        let image = disk.process_death();
        let recovered = open(&image, &options).unwrap();
        assert_eq!(recovered.stats().unwrap().recovery.frames_rewritten, 3);
        assert_eq!(owners(&image), expected);
    }
}

#[test]
fn settings_of_a_keyspace_stay_and_what_changes_holds_for_later_writes() {
    let mut random = Random(6);
    let (value, noise) = (random.compressible(20_000), random.bytes(20_000));
    for options in all_options(1 << 20) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let stored = |db: &OpenDB, keyspace: &str, key: &[u8], value: &[u8]| {
            let before = db.stats().unwrap();
            db.keyspace(keyspace).unwrap().put(key, value).unwrap();
            let after = db.stats().unwrap();
            assert_eq!(after.live_bytes - before.live_bytes, after.log_bytes - before.log_bytes);
            after.log_bytes - before.log_bytes
        };
        let pages = db.keyspace_with_options("pages", lz4()).unwrap();
        assert_eq!(pages.compression(), Compression::Lz4);
        assert!(stored(&db, "pages", b"a", &value) < 8_000);
        assert!(
            stored(&db, "pages", b"noise", &noise) > 20_000,
            "what does not get smaller is stored as it is"
        );
        assert!(stored(&db, "default", b"a", &value) > 20_000);
        let frames = db.stats().unwrap().last_sequence;
        db.keyspace_with_options("pages", lz4()).unwrap();
        db.keyspace("pages").unwrap();
        assert_eq!(db.stats().unwrap().last_sequence, frames, "nothing changed, so nothing is written");
        db.keyspace_with_options("pages", KeyspaceOptions::new()).unwrap();
        db.keyspace_with_options("default", lz4()).unwrap();
        assert_eq!(pages.compression(), Compression::None, "for every handle");
        assert!(stored(&db, "pages", b"b", &value) > 20_000);
        assert!(stored(&db, "default", b"b", &value) < 8_000);
        for image in [disk.process_death(), {
            db.close().unwrap();
            disk.process_death()
        }] {
            let db = open(&image, &options).unwrap();
            let (default, pages) = (db.keyspace("default").unwrap(), db.keyspace("pages").unwrap());
            assert_eq!((default.compression(), pages.compression()), (Compression::Lz4, Compression::None));
            for (keyspace, key) in [(&default, b"a"), (&default, b"b"), (&pages, b"a"), (&pages, b"b")] {
                assert_eq!(keyspace.get(key).unwrap().as_deref(), Some(&value[..]));
            }
            assert_eq!(pages.get(b"noise").unwrap().as_deref(), Some(&noise[..]));
            let all: Vec<_> = pages.iter(&Scan::all()).unwrap().map(|entry| entry.unwrap().1.len()).collect();
            assert_eq!(all, [20_000; 3]);
        }
    }
}

/// To copy a long value takes as long as to wait for a page of it. Only who has waited fills the cache, which each get then asks.
#[test]
fn what_is_in_memory_is_not_kept_by_the_cache_however_long_it_takes() {
    let directory = tempfile::tempdir().unwrap();
    let db = OpenDB::open_with_options(directory.path(), Options::new().cache_bytes(256 << 20)).unwrap();
    if db.stats().unwrap().append != AppendMode::Mapped {
        // What is read by calls always waits.
        return;
    }
    let value = Random(8).bytes(900_000);
    for number in 0..20_u64 {
        db.put(&number.to_le_bytes(), &value).unwrap();
        assert!(db.get(&number.to_le_bytes()).unwrap().as_deref() == Some(&value[..]));
        assert!(db.get_ref(&number.to_le_bytes()).unwrap().as_deref() == Some(&value[..]));
    }
    // A page of the program itself may have had to be brought in meanwhile, for one read or another.
    assert!(db.stats().unwrap().cache_admissions < 10);
}

#[test]
fn an_unpacked_value_is_kept_by_the_cache_and_an_overwrite_follows() {
    let mut random = Random(7);
    let value = random.compressible(5_000);
    for options in all_options(1 << 20) {
        let db = open(&SimulatedDisk::new(), &options).unwrap();
        let pages = db.keyspace_with_options("pages", lz4()).unwrap();
        for key in [b"a", b"b", b"c"] {
            pages.put(key, &value).unwrap();
        }
        assert_eq!(pages.scan_prefix(b"").unwrap().len(), 3);
        assert_eq!(db.stats().unwrap().cache_admissions, 0, "a scan does not fill it");
        pages.get(b"a").unwrap();
        pages.get_ref(b"b").unwrap();
        pages.value_reader(b"c").unwrap();
        assert_eq!(db.stats().unwrap().cache_admissions, 3);
        for key in [b"a", b"b", b"c"] {
            assert_eq!(pages.get_ref(key).unwrap().as_deref(), Some(&value[..]));
            assert_eq!(pages.get(key).unwrap().as_deref(), Some(&value[..]));
        }
        assert_eq!(db.stats().unwrap().cache_hits, 6);
        // By a put the new value takes the old one's place, as it was put; a batch takes it away.
        let newer = random.compressible(5_000);
        pages.put(b"a", &newer).unwrap();
        assert_eq!(pages.get(b"a").unwrap().as_deref(), Some(&newer[..]));
        assert_eq!(db.stats().unwrap().cache_hits, 7);
        let mut batch = db.batch();
        batch.put("pages", b"b", &newer).unwrap();
        batch.commit().unwrap();
        let mut transaction = db.begin_transaction().unwrap();
        transaction.put("pages", b"c", &newer).unwrap();
        transaction.commit().unwrap();
        assert_eq!(pages.get(b"b").unwrap().as_deref(), Some(&newer[..]));
        assert_eq!(pages.get(b"c").unwrap().as_deref(), Some(&newer[..]));
        assert!(db.stats().unwrap().log_bytes < 12_000, "batches and transactions compress as well");
    }
}

/// One compressed value in a database, its bytes in the log, and where they stand.
fn one_compressed(options: &Options, value: &[u8]) -> (SimulatedDisk, u64) {
    let disk = SimulatedDisk::new();
    let db = open(&disk, options).unwrap();
    db.keyspace_with_options("default", lz4()).unwrap();
    let offset = HEADER + db.stats().unwrap().log_bytes;
    db.put_with(b"k", value, Durability::Sync).unwrap();
    db.close().unwrap();
    (disk, offset)
}

#[test]
fn every_flipped_bit_of_a_compressed_value_is_an_error_or_changes_nothing() {
    let value = Random(8).compressible(300);
    for options in all_options(64 << 10) {
        let (disk, offset) = one_compressed(&options, &value);
        let db = open(&disk, &options.cache_bytes(0)).unwrap();
        let file = file(&disk, 1);
        let mut noticed = 0;
        let bytes = db.stats().unwrap().log_bytes + HEADER - offset;
        for at in offset..offset + bytes {
            let mut byte = [0];
            file.read_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
            match (db.get(b"k"), db.get_ref(b"k")) {
                (Ok(Some(found)), Ok(Some(by_reference))) => {
                    assert!(found == *value && *by_reference == *value, "byte {at}");
                }
                // Where the kind, the lengths or the key are damaged it may be another key's record.
                (Ok(None), Ok(None)) => assert!(at < offset + 19, "byte {at}"),
                (Err(Error::Corruption { .. }), Err(Error::Corruption { .. })) => noticed += 1,
                other => panic!("byte {at}: {other:?}"),
            }
            file.write_all_at(&byte, at).unwrap();
        }
        assert!(noticed >= bytes - 35, "{noticed} of {bytes} bytes");
    }
}

#[test]
fn bytes_with_a_right_checksum_that_are_no_compressed_value_are_corruption() {
    let value = Random(9).compressible(300);
    let options = &all_options(64 << 10)[2];
    let (disk, offset) = one_compressed(options, &value);
    let (file, mut stored) = (file(&disk, 1), [0; 24]);
    file.read_at(&mut stored, offset).unwrap();
    let value_bytes = (u32::from_le_bytes(stored[4..8].try_into().unwrap()) & 0x1f_ffff) as usize;
    let (sequence, _) = claim(&stored).unwrap();
    let mut right = vec![0; value_bytes];
    file.read_at(&mut right, offset + 19).unwrap();
    let length = |length: u32| [&length.to_le_bytes()[..], &right[4..]].concat();
    let replaced = [
        (right.clone(), true),
        (length(301), false),
        (length(299), false),
        (length(0), false),
        (length((1 << 20) + 1), false),
        (length(u32::MAX), false),
        ([&right[..4], &vec![0xff; value_bytes - 4]].concat(), false),
        ([&right[..value_bytes - 1], &[right[value_bytes - 1] ^ 0xff]].concat(), false),
    ];
    for (number, (bytes, is_right)) in replaced.iter().enumerate() {
        let record = NewRecord { kind: Kind::CompressedPut, keyspace: 0, key: b"k", value: bytes };
        let db = open(&disk, options).unwrap();
        let store = db.keyspace("default").unwrap().handle.shared_store().unwrap();
        let salt = store.log.salt(1).at(offset);
        let header = StandaloneHeader::new(&record, content_crc(b"k", bytes), sequence, sequence - 1, salt);
        file.write_all_at(&[header.as_slice(), b"k", bytes].concat(), offset).unwrap();
        let found = db.get(b"k");
        match (is_right, number) {
            (true, _) => assert_eq!(found.unwrap().as_deref(), Some(&value[..])),
            // The last byte of a block is a literal: another one is another value, of the same length.
            (false, 7) => assert_eq!(found.unwrap().unwrap().len(), 300),
            (false, _) => {
                assert!(matches!(found, Err(Error::Corruption { segment: 1, .. })), "{number}: {found:?}");
            }
        }
    }
}

#[test]
fn settings_that_nobody_knows_are_corruption() {
    let options = &all_options(64 << 10)[2];
    for settings in [&[2_u8, 1][..], &[1, 2], &[1, 1, 0], &[1]] {
        let disk = SimulatedDisk::new();
        let db = open(&disk, options).unwrap();
        db.keyspace_with_options("k", lz4()).unwrap();
        let store = db.keyspace("default").unwrap().handle.shared_store().unwrap();
        let record = NewRecord { kind: Kind::Keyspace, keyspace: 1, key: b"k", value: settings };
        let salt = store.log.salt(1).at(HEADER);
        let header = StandaloneHeader::new(&record, content_crc(b"k", settings), 1, 0, salt);
        file(&disk, 1).write_all_at(&[header.as_slice(), b"k", settings].concat(), HEADER).unwrap();
        let image = disk.process_death();
        assert!(matches!(open(&image, options), Err(Error::Corruption { .. })), "{settings:?}");
    }
    // What format version 1 wrote.
    let disk = SimulatedDisk::new();
    let db = open(&disk, options).unwrap();
    db.keyspace_with_options("k", lz4()).unwrap();
    let store = db.keyspace("default").unwrap().handle.shared_store().unwrap();
    let record = NewRecord { kind: Kind::Keyspace, keyspace: 1, key: b"k", value: &[] };
    let header = StandaloneHeader::new(&record, content_crc(b"k", &[]), 1, 0, store.log.salt(1).at(HEADER));
    file(&disk, 1).write_all_at(&[header.as_slice(), b"k"].concat(), HEADER).unwrap();
    let old = open(&disk.process_death(), options).unwrap();
    assert_eq!(old.keyspace("k").unwrap().compression(), Compression::None);
}
