//! The set with run files, on the simulated disk: beside the model, opened again, damaged, and out of room.

use super::tests::{Model, Opened, Random};
use super::{Order, OrderImage, RunFiles};
use crate::disk::{Call, Disk, Fault, SimulatedDisk};
use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeSet;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

const DIRECTORY: &str = "/database";
/// So small that a few thousand keys make many files.
const FLUSH_BYTES: u64 = 24 << 10;

fn new_disk() -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    disk.create_directory(Path::new(DIRECTORY)).unwrap();
    disk.sync_directory(Path::new("/")).unwrap();
    disk
}

fn files_on(disk: &SimulatedDisk, mapped: bool) -> RunFiles {
    RunFiles {
        disk: disk.shared(),
        directory: DIRECTORY.into(),
        identity: [5; 16],
        mapped,
        written: Arc::default(),
    }
}

fn new_order(disk: &SimulatedDisk, mapped: bool) -> Order {
    Order::new(files_on(disk, mapped)).with_flush_bytes(FLUSH_BYTES)
}

fn open_again(disk: &SimulatedDisk, mapped: bool, image: &OrderImage) -> Result<Order> {
    Ok(Order::open(files_on(disk, mapped), image)?.with_flush_bytes(FLUSH_BYTES))
}

fn names(disk: &SimulatedDisk) -> BTreeSet<String> {
    disk.list(Path::new(DIRECTORY)).unwrap().into_iter().collect()
}

fn names_of(numbers: &[u64]) -> BTreeSet<String> {
    numbers.iter().map(|number| format!("{number:016x}.run")).collect()
}

fn numbers_of(image: &OrderImage) -> Vec<u64> {
    image.runs.iter().map(|run| run.number).collect()
}

fn key(number: u64) -> Vec<u8> {
    [number.wrapping_mul(0x9E37_79B9_7F4A_7C15), number, 7].map(u64::to_be_bytes).concat()
}

/// A model whose set is opened again from time to time.
struct Durable {
    disk: SimulatedDisk,
    mapped: bool,
    model: Model,
    image: OrderImage,
    /// What was inserted and deleted since the image was made, in order; true for an insert.
    since: Vec<(Vec<u8>, bool)>,
}

impl Durable {
    fn new(mapped: bool) -> Self {
        let disk = new_disk();
        let model = Model::of(new_order(&disk, mapped));
        Self { disk, mapped, model, image: OrderImage::default(), since: Vec::new() }
    }

    /// Does something to the model and notes what became of the keys.
    fn change(&mut self, change: impl FnOnce(&mut Model)) {
        let before = self.model.live.clone();
        change(&mut self.model);
        let changed = self.model.live.iter().filter(|(key, live)| before.get(*key) != Some(live));
        self.since.extend(changed.map(|(key, live)| (key.clone(), *live)));
    }

    fn checkpoint(&mut self) {
        let live = &self.model.live;
        self.image = self.model.order.checkpoint(&|key| live[key]).unwrap();
        self.since.clear();
        self.model.order.release(&numbers_of(&self.image));
        let expected = [self.model.order.run_numbers(), numbers_of(&self.image)].concat();
        assert!(names(&self.disk).is_superset(&names_of(&expected)));
    }

    /// Opens the set from its image on another disk, and does to it what was done since.
    fn reopen(&mut self, disk: SimulatedDisk) {
        self.model.order = open_again(&disk, self.mapped, &self.image).unwrap();
        self.disk = disk;
        self.model.order.release(&numbers_of(&self.image));
        assert_eq!(names(&self.disk), names_of(&numbers_of(&self.image)), "nothing else is left");
        for (key, live) in &self.since {
            match live {
                true => self.model.order.insert(key),
                false => self.model.order.note_deleted(1),
            }
        }
    }
}

fn random_operations(seed: u64, steps: u64, mapped: bool) {
    let mut random = Random(seed);
    let mut durable = Durable::new(mapped);
    let mut kept: Vec<Opened> = Vec::new();
    for _ in 0..steps {
        match random.below(100) {
            0..85 => durable.change(|model| model.random_operation(&mut random)),
            85..90 => durable.model.settle(),
            90..94 => durable.checkpoint(),
            94..96 => {
                let crashed = durable.disk.crash(&mut || random.next());
                durable.reopen(crashed);
            }
            96 => {
                let dead = durable.disk.process_death();
                durable.reopen(dead);
            }
            _ => kept.push(durable.model.open_random(&mut random)),
        }
        if kept.len() > 4 {
            kept.swap_remove(random.below(5) as usize).verify();
        }
    }
    durable.model.settle();
    durable.model.verify_all();
    kept.into_iter().for_each(Opened::verify);
    durable.checkpoint();
    durable.reopen(durable.disk.process_death());
    durable.model.verify_all();
    durable.model.settle();
}

#[test]
fn a_set_with_files_does_what_the_model_does() {
    for seed in 1..4 {
        random_operations(0x9E37_79B9_7F4A_7C15 ^ seed, 150, true);
    }
}

#[test]
fn a_set_without_maps_does_what_the_model_does() {
    for seed in 4..7 {
        random_operations(0x9E37_79B9_7F4A_7C15 ^ seed, 150, false);
    }
}

/// A disk with one small run file, the image of it, and its keys.
fn small_run() -> (SimulatedDisk, OrderImage, Vec<Vec<u8>>) {
    let disk = new_disk();
    let order = new_order(&disk, true);
    let mut keys: Vec<Vec<u8>> = (0..12).map(key).collect();
    // Keys so long that there are several blocks.
    keys.extend((20..36).map(|number| [key(number), vec![b'l'; 1200]].concat()));
    keys.iter().for_each(|key| order.insert(key));
    let image = order.checkpoint(&|_| true).unwrap();
    keys.sort();
    (disk, image, keys)
}

fn write(disk: &SimulatedDisk, path: &str, bytes: &[u8]) {
    let file = disk.open(Path::new(path), crate::disk::OpenMode::ReadWrite).unwrap();
    file.set_length(bytes.len() as u64).unwrap();
    file.write_all_at(bytes, 0).unwrap();
}

fn read(disk: &SimulatedDisk, path: &str) -> Vec<u8> {
    let file = disk.open(Path::new(path), crate::disk::OpenMode::ReadOnly).unwrap();
    let mut bytes = vec![0; file.length().unwrap() as usize];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    bytes
}

fn all_keys(order: &Order, reverse: bool) -> Result<Vec<Vec<u8>>> {
    let mut cursor = order.cursor(Bound::Unbounded, Bound::Unbounded, reverse)?;
    let mut keys = Vec::new();
    while let Some(key) = cursor.next()? {
        keys.push(key.to_vec());
    }
    Ok(keys)
}

/// The keys of a run file with these bytes, or the error that says what is wrong.
fn keys_with(image: &OrderImage, bytes: &[u8], mapped: bool, reverse: bool) -> Result<Vec<Vec<u8>>> {
    let disk = new_disk();
    let path = format!("{DIRECTORY}/{:016x}.run", image.runs[0].number);
    disk.open(Path::new(&path), crate::disk::OpenMode::CreateNew).unwrap();
    write(&disk, &path, bytes);
    all_keys(&open_again(&disk, mapped, image)?, reverse)
}

#[test]
fn every_byte_of_a_run_file_is_watched() {
    let (disk, image, keys) = small_run();
    let bytes = read(&disk, &format!("{DIRECTORY}/{:016x}.run", image.runs[0].number));
    assert_eq!(bytes.len() as u64, image.runs[0].bytes);
    assert_eq!(keys_with(&image, &bytes, true, false).unwrap(), keys);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= if at % 2 == 0 { 1 } else { 0x80 };
        let error = keys_with(&image, &changed, at % 3 == 0, at % 5 == 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "byte {at}: {error}");
        assert!(error.to_string().contains("corruption in the key run file"), "byte {at}: {error}");
    }
}

#[test]
fn a_run_file_that_was_cut_is_refused() {
    let (disk, image, _) = small_run();
    let bytes = read(&disk, &format!("{DIRECTORY}/{:016x}.run", image.runs[0].number));
    for length in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
        let error = keys_with(&image, &bytes[..length], length % 2 == 0, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "cut at {length}: {error}");
    }
    let error = open_again(&new_disk(), true, &image).err().unwrap();
    assert!(matches!(error, Error::Io { .. }), "a missing file: {error}");
}

#[test]
fn a_run_file_of_another_database_or_number_is_refused() {
    let (disk, image, _) = small_run();
    let other = RunFiles { identity: [6; 16], ..files_on(&disk, true) };
    assert_eq!(Order::open(other, &image).err().unwrap().kind(), ErrorKind::Storage);
    let mut renamed = image.clone();
    renamed.runs[0].number += 1;
    let path = |image: &OrderImage| format!("{DIRECTORY}/{:016x}.run", image.runs[0].number);
    disk.rename(Path::new(&path(&image)), Path::new(&path(&renamed))).unwrap();
    assert_eq!(open_again(&disk, true, &renamed).err().unwrap().kind(), ErrorKind::Storage);
}

#[test]
fn a_failing_read_is_told_by_the_cursor_and_not_again() {
    let (disk, image, _) = small_run();
    let order = open_again(&disk, false, &image).unwrap();
    let mut cursor = order.cursor(Bound::Unbounded, Bound::Unbounded, false).unwrap();
    assert!(cursor.next().unwrap().is_some());
    disk.fail_after(Fault::next(Call::Read, io::ErrorKind::Other));
    let mut outcome = Ok(true);
    while let Ok(true) = outcome {
        outcome = cursor.next().map(|key| key.is_some());
    }
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Io);
    assert!(cursor.next().unwrap().is_none());
}

fn filled(disk: &SimulatedDisk, keys: std::ops::Range<u64>) -> Model {
    let mut model = Model::of(new_order(disk, true));
    keys.for_each(|number| model.insert(key(number)));
    model
}

#[test]
fn a_full_disk_keeps_runs_in_memory_until_there_is_room() {
    let disk = new_disk();
    disk.set_room(10 << 10);
    let mut model = filled(&disk, 0..20_000);
    model.settle();
    model.verify_all();
    assert_eq!(model.order.stats().file_runs, 0);
    assert_eq!(names(&disk), BTreeSet::new(), "no half-written file stays");
    let live = &model.live;
    let error = model.order.checkpoint(&|key| live[key]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    assert_eq!(names(&disk), BTreeSet::new());
    (20_000..21_000).for_each(|number| model.insert(key(number)));
    model.verify_all();

    disk.set_room(u64::MAX);
    model.order.retry_now();
    model.settle();
    assert!(model.order.stats().file_runs > 0 && model.order.stats().memory_bytes < 200 << 10);
    model.verify_all();
}

#[test]
fn a_file_whose_sync_failed_is_written_anew() {
    let disk = new_disk();
    let model = filled(&disk, 0..9000);
    model.settle();
    let live = &model.live;
    disk.fail_after(Fault::next(Call::Sync, io::ErrorKind::Other));
    assert_eq!(model.order.checkpoint(&|key| live[key]).unwrap_err().kind(), ErrorKind::Io);
    disk.clear_faults();
    let image = model.order.checkpoint(&|key| live[key]).unwrap();
    let mut losing = || 1;
    let order = open_again(&disk.crash(&mut losing), true, &image).unwrap();
    assert_eq!(all_keys(&order, false).unwrap(), live.keys().cloned().collect::<Vec<_>>());
}

#[test]
fn files_of_an_image_stay_until_it_is_released() {
    let disk = new_disk();
    let mut model = filled(&disk, 0..9000);
    let first = model.order.checkpoint(&|_| true).unwrap();
    (0..9000).filter(|number| number % 8 != 0).for_each(|number| model.delete(&key(number)));
    model.settle();
    let in_use = model.order.run_numbers();
    assert!(numbers_of(&first).iter().all(|number| !in_use.contains(number)), "all was merged");
    assert!(names(&disk).is_superset(&names_of(&numbers_of(&first))));
    let bytes = |image: &OrderImage| image.runs.iter().map(|run| run.bytes).sum::<u64>();
    assert_eq!(model.order.superseded_bytes(), bytes(&first));
    let order = open_again(&disk.process_death(), true, &first).unwrap();
    assert_eq!(all_keys(&order, true).unwrap().len(), 9000);

    let live = &model.live;
    let second = model.order.checkpoint(&|key| live[key]).unwrap();
    model.order.release(&numbers_of(&second));
    assert_eq!(names(&disk), names_of(&model.order.run_numbers()));
    assert_eq!(model.order.superseded_bytes(), 0);
    model.order.discard_files();
    assert_eq!(names(&disk), names_of(&numbers_of(&second)), "what an image names stays");
    model.order.release(&[]);
    model.order.discard_files();
    assert_eq!(names(&disk), BTreeSet::new());
    model.verify_all();
}

#[test]
fn no_file_is_begun_without_room_to_spare() {
    let disk = new_disk();
    let order = Order::new(files_on(&disk, true)).with_flush_bytes(64 << 10);
    (0..40_000).for_each(|number| order.insert(&key(number)));
    while order.maintain_with_room(&|_| true, &|bytes| bytes < 32 << 10) {}
    assert_eq!(names(&disk), BTreeSet::new());
    assert_eq!(all_keys(&order, false).unwrap().len(), 40_000);
}

#[test]
fn most_keys_are_in_few_files() {
    let disk = new_disk();
    let order = Order::new(files_on(&disk, true)).with_flush_bytes(256 << 10);
    for number in 0..150_000 {
        order.insert(&key(number));
        if order.wish_for_sorting().take() {
            while order.maintain(&|_| true) {
                assert!(order.run_numbers().len() <= super::maintenance::RUNS_MAX);
            }
        }
    }
    let stats = order.stats();
    assert_eq!(stats.entries, 150_000);
    assert!(stats.file_bytes > 3 << 20 && stats.memory_bytes < 500 << 10, "{stats:?}");
    // Once it is quiet, fewer are left.
    while order.maintain(&|_| true) || order.maintain(&|_| true) {}
    assert!(order.stats().file_runs <= 3 && order.stats().memory_runs <= 2, "{:?}", order.stats());
    assert_eq!(names(&disk), names_of(&order.run_numbers()));
    assert_eq!(all_keys(&order, false).unwrap().len(), 150_000);
}

#[test]
fn leftovers_go_and_strangers_stay() {
    let disk = new_disk();
    for name in ["0000000000000003.run", "0000000000000004.run", "4.run", "0000000000000003.segment"] {
        disk.open(&Path::new(DIRECTORY).join(name), crate::disk::OpenMode::CreateNew).unwrap();
    }
    files_on(&disk, true).remove_all_but(&[4]);
    let left = ["0000000000000004.run", "4.run", "0000000000000003.segment"].map(str::to_owned);
    assert_eq!(names(&disk), left.into());
}

#[test]
fn a_file_that_somebody_else_has_put_in_place_is_not_removed() {
    let disk = new_disk();
    let model = filled(&disk, 0..9000);
    model.settle();
    let name = names(&disk).pop_first().unwrap();
    let path = Path::new(DIRECTORY).join(name);
    disk.remove(&path).unwrap();
    disk.open(&path, crate::disk::OpenMode::CreateNew).unwrap();
    model.order.discard_files();
    assert_eq!(names(&disk).len(), 1);
}
