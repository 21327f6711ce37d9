//! What is done to the files of a database.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use opendb_tests::random::Random;

use super::lives::{Life, kind};

/// Files by name.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Most mutations of one case, and how seldom it has more than one.
const SEVERAL_MAX: usize = 5;
const SEVERAL: u64 = 6;
/// Most bits that are flipped at once.
const BITS_MAX: usize = 16;
/// Longest bytes that are overwritten without regard to sectors.
const BYTES_MAX: usize = 64;
/// Sectors of devices, and pages of the system and of devices.
const UNITS: [usize; 2] = [512, 4096];
/// Longest bytes that are put at an end.
const EXTENSION_BYTES_MAX: usize = 16 << 10;
/// Bytes at the beginning and at the end of what is in use that are hit more often than others.
const EDGE_BYTES: usize = 256;

/// The files of a life as something has damaged them, and what was done, in words.
pub(super) fn mutate(random: &mut Random, at: usize, lives: &[Life]) -> (Files, Vec<String>) {
    let mut files = lives.get(at).map(|life| life.base.files.clone()).unwrap_or_default();
    let count = if random.one_in(SEVERAL) { 2 + random.index(SEVERAL_MAX - 1) } else { 1 };
    let told = (0..count).map(|_| step(random, &mut files, lives)).collect();
    (files, told)
}

fn step(random: &mut Random, files: &mut Files, lives: &[Life]) -> String {
    let Some(name) = choose(random, files) else { return "nothing was left to damage".to_owned() };
    match random.below(16) {
        0..=7 => in_place(random, files, &name, lives),
        8 => {
            let bytes = files.get_mut(&name).map(|bytes| (bytes.len(), bytes));
            let Some((length, bytes)) = bytes else { return String::new() };
            bytes.truncate(if random.one_in(2) { spot(random, bytes) } else { random.index(length) });
            format!("{} cut from {length} to {} bytes", name.display(), bytes.len())
        }
        9 => {
            let (more, with) = (1 + random.index(EXTENSION_BYTES_MAX), filling(random));
            let more = (0..more).map(|_| with.unwrap_or_else(|| random.bits() as u8)).collect::<Vec<_>>();
            let told = format!("{} made longer by {} bytes of {with:?}", name.display(), more.len());
            files.entry(name).or_default().extend(more);
            told
        }
        10 | 11 => {
            files.remove(&name);
            format!("{} removed", name.display())
        }
        12 => duplicate(random, files, &name),
        _ => mix_up(random, files, &name, lives),
    }
}

/// A segment in half of the cases, and otherwise a file of any kind, however few there are of it.
fn choose(random: &mut Random, files: &Files) -> Option<PathBuf> {
    let mut kinds: BTreeMap<&Path, Vec<&PathBuf>> = BTreeMap::new();
    for name in files.keys() {
        kinds.entry(kind(name)).or_default().push(name);
    }
    let segments = kinds.get(Path::new("segment")).filter(|_| random.one_in(2));
    let alike = segments.or_else(|| {
        let at = random.index(kinds.len());
        kinds.values().nth(at)
    })?;
    random.pick(alike).map(|name| (*name).clone())
}

/// A place in what is in use of a file: before the zeros at its end, more often near the edges.
fn spot(random: &mut Random, bytes: &[u8]) -> usize {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
    let edge = random.index(used.min(EDGE_BYTES));
    match random.below(4) {
        0 => edge,
        1 => used.saturating_sub(1 + edge),
        _ => random.index(used),
    }
}

/// What bytes are filled with: zeros, ones, or `None` for anything.
fn filling(random: &mut Random) -> Option<u8> {
    [Some(0), Some(0xff), None][random.index(3)]
}

/// Bytes of a file become others.
fn in_place(random: &mut Random, files: &mut Files, name: &Path, lives: &[Life]) -> String {
    let Some(bytes) = files.get(name).filter(|bytes| !bytes.is_empty()) else {
        return format!("{} is empty", name.display());
    };
    let at = spot(random, bytes);
    let (at, length) = if random.one_in(2) {
        (at, 1 + random.index(BYTES_MAX))
    } else {
        let unit = UNITS[random.index(UNITS.len())];
        (at - at % unit, unit)
    };
    let length = length.min(bytes.len() - at);
    let (new, what): (Vec<u8>, String) = match random.below(6) {
        0..=2 => return flip(random, files, name),
        3 | 4 => {
            let with = filling(random);
            ((0..length).map(|_| with.unwrap_or_else(|| random.bits() as u8)).collect(), format!("{with:?}"))
        }
        _ => elsewhere(random, files, length, lives),
    };
    if let Some(old) = files.get_mut(name).and_then(|bytes| bytes.get_mut(at..)) {
        old.iter_mut().zip(&new).for_each(|(old, new)| *old = *new);
    }
    format!("{length} bytes of {} from {at} on overwritten with {what}", name.display())
}

fn flip(random: &mut Random, files: &mut Files, name: &Path) -> String {
    let count = if random.one_in(3) { 1 + random.index(BITS_MAX) } else { 1 };
    let Some(bytes) = files.get_mut(name) else { return String::new() };
    let flipped = (0..count).map(|_| {
        let (at, bit) = (spot(random, bytes), random.below(8));
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << bit;
        }
        format!("{at}.{bit}")
    });
    let flipped = flipped.collect::<Vec<_>>().join(" ");
    format!("bits of {} flipped: {flipped}", name.display())
}

/// So many bytes, or fewer, of a file of this directory or of another database.
fn elsewhere(random: &mut Random, files: &Files, length: usize, lives: &[Life]) -> (Vec<u8>, String) {
    let (files, whose) = donor(random, files, lives);
    let name = choose(random, files).unwrap_or_default();
    let bytes = files.get(&name).map(Vec::as_slice).unwrap_or_default();
    let from = spot(random, bytes);
    let from = if random.one_in(2) { from } else { from - from % UNITS[random.index(UNITS.len())] };
    let piece: Vec<u8> = bytes.iter().skip(from).take(length).copied().collect();
    (piece, format!("those from {from} on of {}{whose}", name.display()))
}

/// This directory, or one of the others.
fn donor<'a>(random: &mut Random, files: &'a Files, lives: &'a [Life]) -> (&'a Files, &'static str) {
    match random.pick(lives) {
        Some(other) if random.one_in(3) => (&other.base.files, " of another database"),
        _ => (files, ""),
    }
}

fn duplicate(random: &mut Random, files: &mut Files, name: &Path) -> String {
    let new = match name.to_str().and_then(|name| name.split_once('.')) {
        Some((number, kind)) => {
            let number = u64::from_str_radix(number, 16).unwrap_or(0) + 1 + random.below(40);
            PathBuf::from(format!("{number:016x}.{kind}"))
        }
        None => name.with_extension(if random.one_in(2) { "new" } else { "copy" }),
    };
    if files.contains_key(&new) {
        return format!("{} left as it is", name.display());
    }
    let told = format!("{} duplicated as {}", name.display(), new.display());
    files.insert(new, files.get(name).cloned().unwrap_or_default());
    told
}

/// Two files change their places, or one is copied over the other.
fn mix_up(random: &mut Random, files: &mut Files, name: &Path, lives: &[Life]) -> String {
    let (donors, whose) = donor(random, files, lives);
    let other = like(random, donors, name);
    let Some(bytes) = donors.get(&other).cloned() else { return String::new() };
    let (name_shown, other_shown) = (name.display(), other.display());
    if whose.is_empty() && random.one_in(2) {
        let old = files.insert(name.to_path_buf(), bytes).unwrap_or_default();
        files.insert(other.clone(), old);
        return format!("{name_shown} and {other_shown} swapped");
    }
    files.insert(name.to_path_buf(), bytes);
    format!("{other_shown}{whose} copied over {name_shown}")
}

/// A file of the same kind, mostly.
fn like(random: &mut Random, files: &Files, name: &Path) -> PathBuf {
    let is_alike = |other: &&PathBuf| other.extension() == name.extension();
    let alike: Vec<&PathBuf> = files.keys().filter(is_alike).collect();
    let one = if random.one_in(6) { None } else { random.pick(&alike) };
    one.map(|one| (*one).clone()).or_else(|| choose(random, files)).unwrap_or_default()
}
