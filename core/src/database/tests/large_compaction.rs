//! Compaction of large values: the room of those that were overwritten or deleted comes back, whoever reads goes on, and no
//! death or power cut at any moment changes what is there.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::model::{
    Driven, History, PATH, Random, State, all_options, assert_same, check, lose_checkpoints, open,
    open_image, read_all,
};
use super::rebuilds::all_agree;
use crate::database::{OpenDB, Snapshot, ValueReader};
use crate::disk::{Disk, DiskFile, Fault, OpenMode, SimulatedDisk};
use crate::log::{segment_name, serial_of_name};
use crate::options::{Compression, Options};
use crate::record::{Kind, NewRecord};
use crate::store::Commit;
use crate::{Durability, Error};

const LARGE: usize = (1 << 20) + 1;

fn directory_bytes(disk: &SimulatedDisk) -> u64 {
    let length = |name: &String| {
        let file = disk.open(&Path::new(PATH).join(name), OpenMode::ReadOnly);
        file.map_or(0, |file| file.length().unwrap())
    };
    disk.list(Path::new(PATH)).unwrap().iter().map(length).sum()
}

fn file(disk: &SimulatedDisk, serial: u64) -> Arc<dyn DiskFile> {
    disk.open(&Path::new(PATH).join(segment_name(serial)), OpenMode::ReadWrite).unwrap()
}

/// Serials of the segments of large values that are there.
fn large_segments(disk: &SimulatedDisk) -> Vec<u64> {
    let mut serials: Vec<u64> =
        disk.list(Path::new(PATH)).unwrap().iter().filter_map(|name| serial_of_name(name)).collect();
    serials.retain(|serial| {
        let mut kind = [0; 4];
        file(disk, *serial).read_at(&mut kind, 12).unwrap();
        kind == 2_u32.to_le_bytes()
    });
    serials.sort_unstable();
    serials
}

/// Segments of large values of which a part is live, and what each of ten keys has.
fn half_dead(db: &OpenDB, random: &mut Random) -> Vec<Arc<[u8]>> {
    let mut values: Vec<Arc<[u8]>> = Vec::new();
    for number in 0..10_u8 {
        values.push(random.bytes(LARGE + usize::from(number)));
        db.put(&[number], &values[usize::from(number)]).unwrap();
    }
    for number in [1_u8, 3, 4, 8] {
        values[usize::from(number)] = random.bytes(LARGE);
        db.put(&[number], &values[usize::from(number)]).unwrap();
    }
    values
}

fn assert_has(db: &OpenDB, values: &[Arc<[u8]>]) {
    for (number, value) in values.iter().enumerate() {
        assert!(db.get(&[number as u8]).unwrap().as_deref() == Some(&value[..]), "value {number}");
    }
}

#[test]
fn the_room_of_large_values_that_are_overwritten_again_and_again_comes_back() {
    let mut random = Random(11);
    for options in all_options(4 << 20) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let mut values: Vec<Arc<[u8]>> = (0..20).map(|_| random.bytes(LARGE)).collect();
        for (number, value) in values.iter().enumerate() {
            db.put(&[number as u8], value).unwrap();
        }
        for _ in 0..100 {
            let number = random.below(20);
            values[number] = random.bytes(LARGE + random.clone().below(3_000));
            db.put(&[number as u8], &values[number]).unwrap();
        }
        let compacted = db.compact().unwrap();
        let stats = db.stats().unwrap();
        assert!(stats.large_bytes * 100 <= stats.large_live_bytes * 101, "{stats:?}");
        assert!(compacted.segments_removed > 0, "{compacted:?}");
        check(&db, "compacted");
        assert_has(&db, &values);
        db.close().unwrap();
        let (used, live) = (directory_bytes(&disk), stats.large_live_bytes + stats.live_bytes);
        assert!(used * 10 <= live * 13, "{used} bytes for {live} live ones");
        let db = open(&disk, &options).unwrap();
        assert_has(&db, &values);
        check(&db, "opened again");
        // What was moved can be moved again, and nothing is left when all is gone.
        values.iter().enumerate().skip(5).for_each(|(number, _)| db.delete(&[number as u8]).unwrap());
        db.compact().unwrap();
        let stats = db.stats().unwrap();
        assert!(stats.large_bytes * 100 <= stats.large_live_bytes * 101, "{stats:?}");
        assert_has(&db, &values[..5]);
        (0..5_u8).for_each(|number| db.delete(&[number]).unwrap());
        db.compact().unwrap();
        assert_eq!(db.stats().unwrap().large_bytes, 0);
        assert!(large_segments(&disk).is_empty());
        check(&db, "all deleted");
    }
}

#[test]
fn the_background_gives_back_half_dead_segments_without_being_asked() {
    let options = &all_options(2 << 20)[1];
    let db = open(&SimulatedDisk::new(), options).unwrap();
    let values = half_dead(&db, &mut Random(12));
    // As long as it takes: the bound is the runner's.
    loop {
        let stats = db.stats().unwrap();
        if stats.large_bytes * 100 <= stats.large_live_bytes * 125 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_has(&db, &values);
    check(&db, "at rest");
}

#[test]
fn readers_and_snapshots_go_on_in_segments_that_are_given_up() {
    let mut random = Random(13);
    for options in all_options(4 << 20) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let values = half_dead(&db, &mut random);
        let mut readers: Vec<ValueReader> =
            (0..10_u8).map(|number| db.value_reader(&[number]).unwrap().unwrap()).collect();
        let held = db.get_ref(&[0]).unwrap().unwrap();
        let mut halves = vec![vec![0; LARGE / 2]; 10];
        readers.iter_mut().zip(&mut halves).for_each(|(reader, half)| reader.read_exact(half).unwrap());
        let snapshot = db.snapshot().unwrap();
        let newer = random.bytes(LARGE);
        db.put(&[5], &newer).unwrap();
        db.delete(&[6]).unwrap();
        let before = large_segments(&disk);
        db.compact().unwrap();
        let after = large_segments(&disk);
        assert!(before.iter().filter(|serial| !after.contains(serial)).count() >= 3, "{before:?}, {after:?}");
        check(&db, "compacted");
        for (number, value) in values.iter().enumerate() {
            let found = snapshot.get(&[number as u8]).unwrap();
            assert!(found.as_deref() == Some(&value[..]), "value {number} of the snapshot");
        }
        assert!(db.get(&[5]).unwrap().as_deref() == Some(&newer[..]));
        assert_eq!(db.get(&[6]).unwrap(), None);
        assert!(db.stats().unwrap().pinned_bytes > 0, "the snapshot keeps what is overwritten and deleted");
        drop(snapshot);
        db.compact().unwrap();
        // The files are gone as well as the names, but whoever has one open reads on.
        assert_eq!(db.stats().unwrap().pinned_bytes, 0);
        db.close().unwrap();
        for ((reader, half), value) in readers.iter_mut().zip(&mut halves).zip(&values) {
            reader.read_to_end(half).unwrap();
            assert!(half[..] == value[..]);
        }
        assert!(held[..] == values[0][..]);
    }
}

/// The old record stays in the log and names a place where nothing is any more. Nobody must ever come to it again.
#[test]
fn without_a_checkpoint_the_copies_of_moved_values_come_before_the_records_in_the_log() {
    let mut random = Random(14);
    for options in all_options(4 << 20) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let mut values = half_dead(&db, &mut random);
        db.compact().unwrap();
        // One is overwritten and one deleted behind their copies, and their copies are compacted away.
        values[0] = random.bytes(100);
        db.put(&[0], &values[0]).unwrap();
        db.delete(&[9]).unwrap();
        db.flush().unwrap();
        for round in 0..2 {
            let image = disk.process_death();
            all_agree(&image, &options, &mut random, "a process death");
            lose_checkpoints(&image);
            let rebuilt = open(&image, &options).unwrap();
            assert_has(&rebuilt, &values[..9]);
            assert_eq!(rebuilt.get(&[9]).unwrap(), None, "round {round}");
            check(&rebuilt, "rebuilt");
            db.compact().unwrap();
        }
    }
}

/// Damages one byte of the first of ten values, at a place behind its header's beginning, and compacts. Gives the segment's serial.
fn compact_with_damage(options: &Options, at: u64) -> (SimulatedDisk, OpenDB, Vec<Arc<[u8]>>, u64) {
    let disk = SimulatedDisk::new();
    let db = open(&disk, options).unwrap();
    let values = half_dead(&db, &mut Random(15));
    let serial = large_segments(&disk)[0];
    let (file, mut byte) = (file(&disk, serial), [0]);
    file.read_at(&mut byte, 64 + at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 64 + at).unwrap();
    for _ in 0..3 {
        db.compact().unwrap();
    }
    assert!(large_segments(&disk).contains(&serial), "what is damaged stays");
    assert!(matches!(db.get(&[0]), Err(Error::Corruption { segment, .. }) if segment == serial));
    assert_has_but_first(&db, &values);
    let violations = db.verify().unwrap().violations;
    assert!(violations.iter().all(|one| one.segment == serial), "{violations:?}");
    (disk, db, values, serial)
}

fn assert_has_but_first(db: &OpenDB, values: &[Arc<[u8]>]) {
    for (number, value) in values.iter().enumerate().skip(1) {
        assert!(db.get(&[number as u8]).unwrap().as_deref() == Some(&value[..]), "value {number}");
    }
}

#[test]
fn a_value_that_is_damaged_stays_where_it_is_and_stays_damaged() {
    for options in all_options(16 << 20) {
        // In the value, and in the part of the hash that the index does not look at.
        for at in [16 + 77, 8] {
            let (_, db, _, serial) = compact_with_damage(&options, at);
            let live = db.stats().unwrap().large_live_bytes;
            assert!(db.stats().unwrap().large_bytes > live * 12 / 10, "segment {serial} is still there");
        }
    }
}

/// Where all values that a job takes on were damaged it had come no further, and the next job took on the same ones, for ever.
#[test]
fn more_damaged_values_than_a_job_takes_on_do_not_keep_the_compaction_going() {
    let mut random = Random(16);
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let mut batch = db.batch();
        // Those behind the first 256 KiB stand aside.
        for number in 0..2_000_u32 {
            batch.put("default", &number.to_be_bytes(), &random.bytes(1_000)).unwrap();
        }
        batch.commit().unwrap();
        db.flush().unwrap();
        for serial in large_segments(&disk) {
            let file = file(&disk, serial);
            for value in 0..55 {
                file.write_all_at(b"damage", 64 + value * 1_016 + 500).unwrap();
            }
        }
        (500..2_000_u32)
            .filter(|number| number % 2 == 0)
            .for_each(|number| db.put(&number.to_be_bytes(), b"").unwrap());
        let mut told = 0;
        db.compact_with(|_| {
            told += 1;
            told < 1_000
        })
        .unwrap();
        assert!(told < 1_000, "each job takes on what the one before has left");
        assert!((1..2_000).step_by(2).any(|number: u32| db.get(&number.to_be_bytes()).is_err()));
    }
}

#[test]
fn a_value_that_cannot_be_found_keeps_all_that_is_in_its_segment_until_it_is_gone() {
    for options in all_options(16 << 20) {
        // In the length, and in the part of the hash by which the index finds.
        for at in [6, 15] {
            let (disk, db, values, serial) = compact_with_damage(&options, at);
            assert_eq!(large_segments(&disk), [serial], "nothing was copied for nothing");
            // With its key the value goes, and what kept the others from being moved.
            db.put(&[0], b"").unwrap();
            db.close().unwrap();
            let db = open(&disk, &options).unwrap();
            db.compact().unwrap();
            assert_has_but_first(&db, &values);
            check(&db, "moved");
            assert_eq!(
                large_segments(&disk).contains(&serial),
                at == 6,
                "behind a wrong length none is found"
            );
        }
    }
}

#[test]
fn on_a_full_device_nothing_is_lost_and_what_is_dead_is_given_back() {
    for options in all_options(4 << 20) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let values = half_dead(&db, &mut Random(17));
        disk.set_room(directory_bytes(&disk) + (16 << 10));
        let compacted = db.compact();
        assert!(matches!(compacted, Ok(_) | Err(Error::NoSpace(_))), "{compacted:?}");
        assert_has(&db, &values);
        disk.set_room(u64::MAX);
        db.compact().unwrap();
        assert_has(&db, &values);
        let stats = db.stats().unwrap();
        assert!(stats.large_bytes * 100 <= stats.large_live_bytes * 101, "{stats:?}");
        check(&db, "with room");
    }
}

/// The calls of a compaction fail from one on, as if the process had died there, and then the power goes too.
#[test]
fn a_compaction_of_large_values_that_dies_anywhere_changes_nothing() {
    let mut random = Random(18);
    let options = &all_options(4 << 20)[1];
    let disk = SimulatedDisk::new();
    let mut driven = Driven::new(&disk, options);
    for number in [0, 1, 2, 3, 1, 3, 4, 1] {
        let value = random.bytes(LARGE);
        driven.put_value(("default", vec![number]), value, Durability::Buffered).unwrap();
    }
    driven.delete_key(("default", vec![4]), Durability::Sync).unwrap();
    let all = driven.history.len();
    let mut after = 0;
    loop {
        let dying = disk.process_death();
        let db = open(&dying, options).unwrap();
        // Enough of them for whatever is tried afterwards.
        (0..200).for_each(|_| dying.fail_after(Fault::any_after(after, std::io::ErrorKind::Other)));
        let ended = db.compact();
        let context = format!("compaction ends at call {after}");
        for image in [dying.crash(&mut || random.next()), dying.crash(&mut || 3), dying.process_death()] {
            if random.one_in(2) {
                lose_checkpoints(&image);
            }
            let (again, _) = open_image(&image, options, &driven.history, all, &context);
            check(&again, &context);
            again.compact().unwrap();
            check(&again, &context);
            let stats = again.stats().unwrap();
            assert!(stats.large_bytes * 100 <= stats.large_live_bytes * 101, "{stats:?}, {context}");
        }
        if ended.is_ok() {
            break;
        }
        after += 1 + random.next() % 3;
    }
    assert!(after > 20, "the compaction made {after} calls");
}

/// A value stands in a segment that is sealed, and its commit is not on the device yet: a copy of its record that were there first
/// would be newer than the log.
#[test]
fn a_power_cut_leaves_no_copy_of_a_record_whose_commit_it_takes() {
    let mut random = Random(19);
    for options in all_options(4 << 20) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let store = db.keyspace("default").unwrap().handle.shared_store().unwrap();
        let values: Vec<_> = (0..4).map(|_| random.bytes(LARGE)).collect();
        db.put(&[0], &values[0]).unwrap();
        db.put(&[1], &values[1]).unwrap();
        let (hash, under_way) = (store.keys.hash(0, &[2]), store.log.pin());
        let pointer = store.log.append_large(&values[2], hash).unwrap().encode();
        db.flush().unwrap();
        let record = NewRecord { kind: Kind::LargePut, keyspace: 0, key: &[2], value: &pointer };
        let commit = Commit::One(record, hash, Compression::None);
        store.commit(commit, Durability::Buffered, &mut |_| Ok(())).unwrap();
        drop(under_way);
        let sequence = db.stats().unwrap().last_sequence;
        db.put(&[0], &values[3]).unwrap();
        assert!(store.compact_large_now().unwrap(), "a third of the first segment is dead");
        let image = disk.crash(&mut || 3);
        lose_checkpoints(&image);
        let cut = open(&image, &options).unwrap();
        let is_there = cut.stats().unwrap().last_sequence >= sequence;
        let expected = if is_there { Some(&values[2][..]) } else { None };
        assert!(cut.get(&[2]).unwrap().as_deref() == expected, "there: {is_there}");
        check(&cut, "cut");
    }
}

/// What stays while the history goes on.
struct Held {
    snapshot: Snapshot,
    state: State,
    readers: Vec<(ValueReader, Arc<[u8]>, usize)>,
}

impl Held {
    fn new(driven: &Driven) -> Held {
        let snapshot = driven.db.snapshot().unwrap();
        let state = driven.state.clone();
        let readers = state.of_default().into_iter().filter(|(_, value)| value.len() > 1 << 20).take(2);
        let readers = readers.map(|(key, value)| (snapshot.value_reader(&key).unwrap().unwrap(), value, 0));
        let readers = readers.collect();
        Held { snapshot, state, readers }
    }

    fn check(&mut self, context: &str) {
        for (key, value) in self.state.of_default() {
            assert!(self.snapshot.get(&key).unwrap().as_deref() == Some(&value[..]), "{key:?}, {context}");
        }
        for (reader, value, at) in &mut self.readers {
            let mut piece = vec![0; 50_000.min(value.len() - *at)];
            reader.read_exact(&mut piece).unwrap();
            assert!(piece == value[*at..*at + piece.len()], "a reader at {at}, {context}");
            *at += piece.len();
        }
    }
}

struct Lives {
    driven: Driven,
    options: Options,
    held: Vec<Held>,
    context: String,
}

impl Lives {
    fn step(&mut self, random: &mut Random) {
        match random.below(100) {
            0..=64 => self.driven.step(random).unwrap(),
            65..=79 => assert!(self.driven.db.compact().is_ok()),
            80..=84 if self.held.len() < 2 => self.held.push(Held::new(&self.driven)),
            85..=88 => drop(self.held.pop()),
            89..=91 => self.go_on_with(|driven, _| driven.db.close().unwrap(), random),
            92..=94 => self.go_on_with(|_, _| (), random),
            95..=97 => self.lose_power(random),
            _ => {
                for (key, _) in self.driven.state.of_default() {
                    if !random.one_in(3) {
                        self.driven.delete_key(("default", key), Durability::Buffered).unwrap();
                    }
                }
            }
        }
        check(&self.driven.db, &self.context);
        for held in &mut self.held {
            held.check(&self.context);
        }
    }

    fn go_on_with(&mut self, end: impl Fn(&Driven, &mut Random), random: &mut Random) {
        self.held.clear();
        end(&self.driven, random);
        let (disk, all) = (self.driven.disk.process_death(), self.driven.history.len());
        self.open(&disk, all, random);
    }

    fn lose_power(&mut self, random: &mut Random) {
        self.held.clear();
        let least = self.driven.durable();
        let disk = self.driven.disk.crash(&mut || random.next());
        self.open(&disk, least, random);
    }

    fn open(&mut self, disk: &SimulatedDisk, least: usize, random: &mut Random) {
        all_agree(disk, &self.options, random, &self.context);
        if random.one_in(2) {
            lose_checkpoints(disk);
        }
        let mut history: History = self.driven.history.clone();
        let (db, found) = open_image(disk, &self.options, &history, least, &self.context);
        history.cut_to(found);
        self.driven = Driven::on(disk, db, history);
        self.driven.large_one_in = 3;
    }
}

#[test]
fn random_lives_with_large_values_are_what_the_model_says_after_every_step() {
    let setting =
        |name: &str, usual: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let first = setting("OPENDB_HISTORY_SEED", 1);
    for seed in first..first + setting("OPENDB_LARGE_HISTORIES", 4) {
        let mut random = Random(seed.wrapping_mul(0x517c_c1b7));
        let options = all_options([64 << 10, 4 << 20][seed as usize % 2])[seed as usize % 3].clone();
        let mut driven = Driven::new(&SimulatedDisk::new(), &options);
        driven.large_one_in = 3;
        let mut lives = Lives { driven, options, held: Vec::new(), context: String::new() };
        for step in 0..60 {
            lives.context = format!("seed {seed}, step {step}");
            lives.step(&mut random);
        }
        lives.held.clear();
        lives.driven.end_stream();
        lives.driven.db.compact().unwrap();
        check(&lives.driven.db, &lives.context);
        let stats = lives.driven.db.stats().unwrap();
        assert!(stats.large_bytes * 100 <= stats.large_live_bytes * 101, "{stats:?}, {}", lives.context);
        assert_same(&read_all(&lives.driven.db), &lives.driven.state, &lives.context);
    }
}
