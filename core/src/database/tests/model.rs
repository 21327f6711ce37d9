//! The executable model: the list of commits and the state after any number of them, and a database driven beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use crate::database::{OpenDB, ValueWriter};
use crate::disk::{Disk, SimulatedDisk};
use crate::options::{AppendMode, Compression, Durability, KeyspaceOptions, Options};
use crate::{Error, Result, Scan};

/// Where every test's database is.
pub(super) const PATH: &str = "/data";
const DEFAULT: &str = "default";
const KEYSPACES: [&str; 4] = [DEFAULT, "left", "right", "späte"];

/// Reproducible random numbers (SplitMix64).
#[derive(Debug, Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }

    pub(super) fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn durability(&mut self) -> Durability {
        if self.one_in(8) { Durability::Sync } else { Durability::Buffered }
    }

    fn key(&mut self) -> Vec<u8> {
        format!("key {}", self.below(40)).into_bytes()
    }

    fn compression(&mut self) -> Compression {
        if self.one_in(2) { Compression::Lz4 } else { Compression::None }
    }

    /// Mostly short, sometimes half a segment; bytes that are not alike, so that a torn sector is seen. Some of them can be
    /// compressed.
    fn value(&mut self) -> Arc<[u8]> {
        let bytes = match self.below(40) {
            0..=23 => self.below(120),
            24..=37 => self.below(5_000),
            _ => self.below(50_000),
        };
        if self.one_in(2) { self.bytes(bytes) } else { self.compressible(bytes) }
    }

    /// Bytes of which each eight come five times.
    pub(super) fn compressible(&mut self, count: usize) -> Arc<[u8]> {
        let mut bytes = Vec::with_capacity(count + 40);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.next().to_le_bytes().repeat(5));
        }
        bytes.truncate(count);
        bytes.into()
    }

    pub(super) fn bytes(&mut self, count: usize) -> Arc<[u8]> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes.into()
    }

    pub(super) fn large_value(&mut self) -> Arc<[u8]> {
        let bytes = (1 << 20) + 1 + self.below(4_000);
        self.bytes(bytes)
    }
}

/// A way to append and read, and sizes that make segments change often.
pub(super) fn options(random: &mut Random) -> Options {
    let options = Options::new().segment_bytes(if random.one_in(4) { 256 << 10 } else { 64 << 10 });
    match random.below(3) {
        0 => options.append(AppendMode::Mapped),
        1 => options.append(AppendMode::Write),
        _ => options.append(AppendMode::Write).mapped_reads(false),
    }
}

/// Every way to append and read.
pub(super) fn all_options(segment_bytes: u64) -> [Options; 3] {
    let options = Options::new().segment_bytes(segment_bytes);
    [
        options.clone().append(AppendMode::Mapped),
        options.clone().append(AppendMode::Write),
        options.append(AppendMode::Write).mapped_reads(false),
    ]
}

/// A key with its keyspace.
type Name = (&'static str, Vec<u8>);

/// All keyspaces and all entries at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    keyspaces: BTreeMap<String, Compression>,
    pub(super) entries: BTreeMap<Name, Arc<[u8]>>,
}

impl State {
    /// The entries of the keyspace that is always there, in order.
    pub(super) fn of_default(&self) -> Vec<(Vec<u8>, Arc<[u8]>)> {
        let entries = self.entries.iter().filter(|((keyspace, _), _)| *keyspace == DEFAULT);
        entries.map(|((_, key), value)| (key.clone(), Arc::clone(value))).collect()
    }

    fn apply(&mut self, commit: &Commit) {
        self.keyspaces.extend(commit.keyspace.map(|(name, compression)| (name.to_owned(), compression)));
        for (name, value) in &commit.writes {
            match value {
                Some(value) => self.entries.insert(name.clone(), Arc::clone(value)),
                None => self.entries.remove(name),
            };
        }
    }
}

/// What one sequence does.
#[derive(Debug, Clone, Default)]
pub(super) struct Commit {
    keyspace: Option<(&'static str, Compression)>,
    writes: Vec<(Name, Option<Arc<[u8]>>)>,
}

impl FromIterator<(Name, Option<Arc<[u8]>>)> for Commit {
    fn from_iter<T: IntoIterator<Item = (Name, Option<Arc<[u8]>>)>>(writes: T) -> Commit {
        Commit { writes: writes.into_iter().collect(), ..Commit::default() }
    }
}

/// The commits so far. The first has sequence 1.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    commits: Vec<Commit>,
    /// So many of them a power cut must leave.
    pub(super) durable: usize,
}

impl History {
    pub(super) fn len(&self) -> usize {
        self.commits.len()
    }

    /// The state after the first `count` commits.
    pub(super) fn state(&self, count: usize) -> State {
        let default = (DEFAULT.to_owned(), Compression::None);
        let mut state = State { keyspaces: BTreeMap::from([default]), ..State::default() };
        self.commits[..count].iter().for_each(|commit| state.apply(commit));
        state
    }

    /// Whether a key ever had this value; in any keyspace where none is named.
    pub(super) fn ever_had(&self, keyspace: Option<&str>, key: &[u8], value: &[u8]) -> bool {
        self.commits.iter().flat_map(|commit| &commit.writes).any(|((in_keyspace, in_key), written)| {
            keyspace.is_none_or(|keyspace| keyspace == *in_keyspace)
                && in_key == key
                && written.as_deref() == Some(value)
        })
    }

    /// The history with one commit more.
    pub(super) fn with(&self, commit: &Commit) -> History {
        let mut history = self.clone();
        history.commits.push(commit.clone());
        history
    }

    /// What is left after a recovery is durable.
    pub(super) fn cut_to(&mut self, count: usize) {
        self.commits.truncate(count);
        self.durable = count;
    }
}

/// Everything that a database says of its content.
pub(super) fn read_all(db: &OpenDB) -> State {
    let mut state = State::default();
    for name in db.keyspaces().unwrap() {
        let Some(known) = KEYSPACES.iter().find(|known| **known == name) else {
            panic!("a keyspace that nobody created: {name}");
        };
        let keyspace = db.keyspace(&name).unwrap();
        let entries: Vec<_> = keyspace.iter(&Scan::all()).unwrap().map(Result::unwrap).collect();
        let count = entries.len() as u64;
        let keys: Vec<_> = entries.iter().map(|(key, _)| key).collect();
        let values = keyspace.get_many_ref(&keys).unwrap();
        assert!(entries.iter().map(|(_, value)| Some(&value[..])).eq(values.iter().map(Option::as_deref)));
        state.entries.extend(entries.into_iter().map(|(key, value)| ((*known, key), value.into())));
        // What waits for the device, and may wait for ever after a failed sync, is counted already.
        if !keyspace.handle.shared_store().unwrap().is_hiding() {
            assert_eq!(keyspace.len().unwrap(), count, "length of a keyspace");
        }
        state.keyspaces.insert(name, keyspace.compression());
    }
    state
}

/// Says where two states differ, without the bytes of all the others.
pub(super) fn assert_same(found: &State, expected: &State, context: &str) {
    assert_eq!(found.keyspaces, expected.keyspaces, "keyspaces, {context}");
    let names: BTreeSet<_> = found.entries.keys().chain(expected.entries.keys()).collect();
    for name in names {
        let (one, other) = (found.entries.get(name), expected.entries.get(name));
        let lengths = (one.map(|value| value.len()), other.map(|value| value.len()));
        assert!(one == other, "{name:?} differs, found and expected lengths {lengths:?}, {context}");
    }
}

/// Opens a database.
pub(super) fn open(disk: &SimulatedDisk, options: &Options) -> Result<OpenDB> {
    OpenDB::open_on(disk, Path::new(PATH), options)
}

/// Opens an image, which must be the state after a prefix of the commits with at least `least` of them. Gives the
/// database and the length of the prefix.
pub(super) fn open_image(
    disk: &SimulatedDisk,
    options: &Options,
    history: &History,
    least: usize,
    context: &str,
) -> (OpenDB, usize) {
    let db = match open(disk, options) {
        Ok(db) => db,
        Err(error) => panic!("an image does not open: {error}, {context}"),
    };
    let found = db.stats().unwrap().last_sequence as usize;
    assert!(found >= least, "{least} commits were on the device, {found} are left, {context}");
    assert!(found <= history.len(), "{found} commits, {} were made, {context}", history.len());
    assert_same(&read_all(&db), &history.state(found), context);
    (db, found)
}

/// A value that is half written.
struct Stream {
    name: Name,
    value: Arc<[u8]>,
    writer: ValueWriter,
}

/// A database driven beside the model.
pub(super) struct Driven {
    pub(super) disk: SimulatedDisk,
    pub(super) db: OpenDB,
    pub(super) history: History,
    pub(super) state: State,
    /// What the last operation was about to commit.
    pub(super) attempt: Commit,
    /// One in so many operations has a value that is too long for a record; 0 for none.
    pub(super) large_one_in: usize,
    /// A value that is half written while others are written.
    stream: Option<Stream>,
}

impl Driven {
    pub(super) fn new(disk: &SimulatedDisk, options: &Options) -> Driven {
        let db = open(disk, options).unwrap();
        Driven::on(disk, db, History::default())
    }

    /// Goes on with a database whose state is that after all of the history.
    pub(super) fn on(disk: &SimulatedDisk, db: OpenDB, history: History) -> Driven {
        let state = history.state(history.len());
        Driven {
            disk: disk.clone(),
            db,
            history,
            state,
            attempt: Commit::default(),
            large_one_in: 60,
            stream: None,
        }
    }

    /// The number of commits that a power cut now must leave.
    pub(super) fn durable(&self) -> usize {
        self.history.durable.max(self.db.stats().unwrap().durable_sequence as usize)
    }

    /// One random operation. After an error nothing was added to the history.
    pub(super) fn step(&mut self, random: &mut Random) -> Result<()> {
        self.attempt = Commit::default();
        let durability = random.durability();
        match random.below(100) {
            0..=38 => self.put(random, durability),
            39..=44 => self.stream(random, durability),
            45..=57 => self.delete(random, durability),
            58..=74 => self.batch(random, durability),
            75..=87 => self.transaction(random, durability),
            88..=90 => self.create_keyspace(random),
            91..=93 => {
                self.db.flush()?;
                self.history.durable = self.history.len();
                Ok(())
            }
            94..=95 => self.prepare_spare(),
            _ => {
                let name = self.name(random);
                let keyspace = self.db.keyspace(name.0)?;
                self.get_many(random, name.0)?;
                let found = match random.below(3) {
                    0 => keyspace.get(&name.1)?,
                    1 => keyspace.get_ref(&name.1)?.map(|value| value.to_vec()),
                    _ => keyspace.value_reader(&name.1)?.map(|mut reader| {
                        let mut value = Vec::new();
                        reader.read_to_end(&mut value).unwrap();
                        value
                    }),
                };
                let expected = self.state.entries.get(&name);
                assert_eq!(found.as_deref(), expected.map(|value| &value[..]), "{name:?}");
                Ok(())
            }
        }
    }

    fn get_many(&self, random: &mut Random, keyspace: &'static str) -> Result<()> {
        let keys: Vec<_> = (0..random.below(70)).map(|_| random.key()).collect();
        let found = self.db.keyspace(keyspace)?.get_many(&keys)?;
        for (key, found) in keys.iter().zip(&found) {
            let expected = self.state.entries.get(&(keyspace, key.clone()));
            assert_eq!(found.as_deref(), expected.map(|value| &value[..]), "{key:?} of {keys:?}");
        }
        assert_eq!(found.len(), keys.len());
        Ok(())
    }

    /// What the background does when a segment is more than half full, at a moment that the test chooses.
    pub(super) fn prepare_spare(&self) -> Result<()> {
        self.db.keyspace(DEFAULT)?.handle.shared_store()?.log.prepare_spare()
    }

    fn name(&self, random: &mut Random) -> Name {
        let there: Vec<_> =
            KEYSPACES.into_iter().filter(|name| self.state.keyspaces.contains_key(*name)).collect();
        (there[random.below(there.len())], random.key())
    }

    fn value(&self, random: &mut Random) -> Arc<[u8]> {
        if self.large_one_in > 0 && random.one_in(self.large_one_in) {
            return random.large_value();
        }
        random.value()
    }

    fn done(&mut self, durability: Durability) {
        let commit = std::mem::take(&mut self.attempt);
        self.state.apply(&commit);
        self.history.commits.push(commit);
        if durability == Durability::Sync {
            self.history.durable = self.history.len();
        }
    }

    fn put(&mut self, random: &mut Random, durability: Durability) -> Result<()> {
        let (name, value) = (self.name(random), self.value(random));
        self.put_value(name, value, durability)
    }

    #[allow(clippy::needless_pass_by_value)] // so that both can be made in place
    pub(super) fn put_value(&mut self, name: Name, value: Arc<[u8]>, durability: Durability) -> Result<()> {
        let keyspace = self.db.keyspace(name.0)?;
        self.attempt = Commit { writes: vec![(name.clone(), Some(Arc::clone(&value)))], ..Commit::default() };
        keyspace.put_with(&name.1, &value, durability)?;
        self.done(durability);
        Ok(())
    }

    /// Goes on with the value that is half written, or begins one.
    fn stream(&mut self, random: &mut Random, durability: Durability) -> Result<()> {
        let Some(mut stream) = self.stream.take() else {
            let (name, value) = (self.name(random), self.value(random));
            let writer = self.db.keyspace(name.0)?.value_writer(&name.1, value.len() as u64)?;
            self.stream = Some(Stream { name, value, writer });
            return Ok(());
        };
        if random.one_in(6) {
            return Ok(());
        }
        let written = stream.writer.written() as usize;
        let left = stream.value.len() - written;
        let piece = if random.one_in(3) { left } else { random.below(left + 1) };
        // An error gives up the value, whichever call it comes from.
        stream
            .writer
            .write_all(&stream.value[written..written + piece])
            .map_err(|error| error.downcast::<Error>().unwrap())?;
        if piece < left {
            self.stream = Some(stream);
            return Ok(());
        }
        let Stream { name, value, writer } = stream;
        self.attempt = Commit { writes: vec![(name, Some(value))], ..Commit::default() };
        writer.finish_with(durability)?;
        self.done(durability);
        Ok(())
    }

    /// Gives up the value that is half written: nobody has a segment for himself any more.
    pub(super) fn end_stream(&mut self) {
        self.stream = None;
    }

    fn delete(&mut self, random: &mut Random, durability: Durability) -> Result<()> {
        let name = self.name(random);
        self.delete_key(name, durability)
    }

    #[allow(clippy::needless_pass_by_value)] // so that it can be made in place
    pub(super) fn delete_key(&mut self, name: Name, durability: Durability) -> Result<()> {
        self.attempt = Commit { writes: vec![(name.clone(), None)], ..Commit::default() };
        self.db.keyspace(name.0)?.delete_with(&name.1, durability)?;
        self.done(durability);
        Ok(())
    }

    fn writes(&self, random: &mut Random, count: usize) -> Commit {
        let mut commit = Commit::default();
        for _ in 0..count {
            let value = if random.one_in(4) { None } else { Some(self.value(random)) };
            commit.writes.push((self.name(random), value));
        }
        commit
    }

    fn batch(&mut self, random: &mut Random, durability: Durability) -> Result<()> {
        let most = if random.one_in(6) { 60 } else { 8 };
        let count = 1 + random.below(most);
        let commit = self.writes(random, count);
        let mut batch = self.db.batch();
        for ((keyspace, key), value) in &commit.writes {
            match value {
                Some(value) => batch.put(keyspace, key, value)?,
                None => batch.delete(keyspace, key)?,
            }
        }
        self.attempt = commit;
        batch.commit_with(durability)?;
        self.done(durability);
        Ok(())
    }

    fn transaction(&mut self, random: &mut Random, durability: Durability) -> Result<()> {
        let mut transaction = self.db.begin_transaction()?;
        let read = self.name(random);
        let found = transaction.get(read.0, &read.1)?;
        assert_eq!(found.as_deref(), self.state.entries.get(&read).map(|value| &value[..]), "{read:?}");
        let count = 1 + random.below(5);
        let commit = self.writes(random, count);
        for ((keyspace, key), value) in &commit.writes {
            match value {
                Some(value) => transaction.put(keyspace, key, value)?,
                None => transaction.delete(keyspace, key)?,
            }
        }
        if random.one_in(6) {
            return transaction.rollback();
        }
        if random.one_in(5) {
            let value = random.bytes(9);
            self.put_value(read, value, Durability::Buffered)?;
            // Large values are written before a conflict is looked for, so that the device may be full first.
            return match transaction.commit_with(durability) {
                Err(Error::Transaction(_)) => Ok(()),
                Err(error) => Err(error),
                Ok(()) => panic!("a conflict was not noticed"),
            };
        }
        self.attempt = commit;
        transaction.commit_with(durability)?;
        self.done(durability);
        Ok(())
    }

    fn create_keyspace(&mut self, random: &mut Random) -> Result<()> {
        let name = KEYSPACES[random.below(KEYSPACES.len())];
        let before = self.state.keyspaces.get(name).copied();
        let changes = random.one_in(2);
        let compression = if changes { random.compression() } else { before.unwrap_or_default() };
        let is_new = before != Some(compression);
        self.attempt = Commit { keyspace: Some((name, compression)).filter(|_| is_new), ..Commit::default() };
        match changes {
            true => {
                let options = KeyspaceOptions::new().compression(compression);
                self.db.keyspace_with_options(name, options)?
            }
            false => self.db.keyspace(name)?,
        };
        if is_new {
            self.done(Durability::Buffered);
        }
        Ok(())
    }
}

/// Nothing of an open database is as it must not be.
pub(super) fn check(db: &OpenDB, context: &str) {
    let found = db.verify().unwrap();
    assert!(found.violations.is_empty(), "{:?}, {context}", found.violations);
}

/// So that everything is made anew from the segments.
pub(super) fn lose_checkpoints(disk: &SimulatedDisk) {
    for name in disk.list(Path::new(PATH)).unwrap() {
        if name.ends_with(".checkpoint") {
            disk.remove(&Path::new(PATH).join(name)).unwrap();
        }
    }
}
