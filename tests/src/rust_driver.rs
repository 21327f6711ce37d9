//! The Rust crate as a driver: in this process, and behind the protocol as the program `rust-driver`.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use opendb::{
    AppendMode, Batch, Compression, Durability, Error, Iter, Keys, Keyspace, KeyspaceOptions, OpenDB,
    Options, Result, Scan, Snapshot, Transaction, ValueReader, ValueRef, ValueWriter,
};

use crate::driver::Driver;
use crate::protocol::{Answer, Call, Command, Range, Wait};
use crate::{Failure, Outcome};

/// The objects of a driver by name.
#[derive(Default)]
pub struct RustDriver {
    objects: BTreeMap<String, Object>,
}

enum Object {
    Database(Database),
    Transaction(Transaction),
    Snapshot(Snapshot),
    Batch(Batch),
    Entries(Iter),
    Keys(Keys),
    Reader(ValueReader),
    Writer(ValueWriter),
}

/// A handle and the handles of its keyspaces, which are kept so that they are used after a close too.
struct Database {
    handle: OpenDB,
    keyspaces: BTreeMap<String, Keyspace>,
}

/// What ended a command other than an answer: an error of the database becomes an answer, a failure does not.
enum Ended {
    Error(Error),
    Failure(Failure),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Ended {
        Ended::Error(error)
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        Ended::Failure(failure)
    }
}

impl Driver for RustDriver {
    fn call(&mut self, command: &Command) -> Outcome<Answer> {
        match self.perform(&command.name, &command.call) {
            Ok(answer) => Ok(answer),
            Err(Ended::Error(error)) => Ok(Answer::error(error.kind())),
            Err(Ended::Failure(failure)) => Err(failure),
        }
    }
}

impl RustDriver {
    fn perform(&mut self, name: &str, call: &Call) -> std::result::Result<Answer, Ended> {
        match call {
            Call::Open { path, settings } => {
                let database = Database { handle: open(path, settings)??, keyspaces: BTreeMap::new() };
                self.keep(name, Object::Database(database));
            }
            Call::Begin { database } => {
                let transaction = self.database(database)?.handle.begin_transaction()?;
                self.keep(name, Object::Transaction(transaction));
            }
            Call::Snapshot { database } => {
                let snapshot = self.database(database)?.handle.snapshot()?;
                self.keep(name, Object::Snapshot(snapshot));
            }
            Call::Batch { database } => {
                let batch = self.database(database)?.handle.batch();
                self.keep(name, Object::Batch(batch));
            }
            Call::Cursor { object, keyspace, keys_only, scan } => {
                let object = self.object(object)?;
                let cursor = if *keys_only {
                    Object::Keys(object.keys(keyspace, &to_scan(scan))?)
                } else {
                    Object::Entries(object.iter(keyspace, &to_scan(scan))?)
                };
                self.keep(name, cursor);
            }
            Call::Reader { object, keyspace, key } => {
                let Some(reader) = self.object(object)?.value_reader(keyspace, key)? else {
                    return Ok(Answer::None);
                };
                self.keep(name, Object::Reader(reader));
            }
            Call::Writer { database, keyspace, key, length } => {
                let database = self.database(database)?;
                let writer = match keyspace.as_str() {
                    "default" => database.handle.value_writer(key, *length)?,
                    _ => database.keyspace(keyspace)?.value_writer(key, *length)?,
                };
                self.keep(name, Object::Writer(writer));
            }
            Call::Drop => drop(self.take(name)?),
            Call::Commit { durability } => match self.take(name)? {
                Object::Transaction(transaction) => match to_durability(*durability) {
                    None => transaction.commit()?,
                    Some(durability) => transaction.commit_with(durability)?,
                },
                Object::Batch(batch) => match to_durability(*durability) {
                    None => batch.commit()?,
                    Some(durability) => batch.commit_with(durability)?,
                },
                Object::Writer(writer) => match to_durability(*durability) {
                    None => writer.finish()?,
                    Some(durability) => writer.finish_with(durability)?,
                },
                _ => return Err(wrong("commit")),
            },
            Call::Rollback => match self.take(name)? {
                Object::Transaction(transaction) => transaction.rollback()?,
                _ => return Err(wrong("rollback")),
            },
            _ => return self.object(name)?.perform(call),
        }
        Ok(Answer::Ok)
    }

    fn keep(&mut self, name: &str, object: Object) {
        self.objects.insert(name.to_owned(), object);
    }

    fn take(&mut self, name: &str) -> Outcome<Object> {
        self.objects.remove(name).ok_or_else(|| Failure(format!("there is no object {name}")))
    }

    fn object(&mut self, name: &str) -> Outcome<&mut Object> {
        self.objects.get_mut(name).ok_or_else(|| Failure(format!("there is no object {name}")))
    }

    fn database(&mut self, name: &str) -> Outcome<&mut Database> {
        match self.object(name)? {
            Object::Database(database) => Ok(database),
            _ => Err(Failure(format!("{name} is not a database"))),
        }
    }
}

type Values = Vec<Option<Vec<u8>>>;

fn borrowed(values: Vec<Option<ValueRef>>) -> Values {
    values.into_iter().map(|value| value.map(|value| value.to_vec())).collect()
}

fn wrong(call: &str) -> Ended {
    Ended::Failure(Failure(format!("this object has no call {call}")))
}

impl Object {
    /// The calls that leave the object where it is.
    fn perform(&mut self, call: &Call) -> std::result::Result<Answer, Ended> {
        Ok(match call {
            Call::Get { keyspace, key } => self.get(keyspace, key)?.map_or(Answer::None, Answer::Value),
            Call::GetMany { keyspace, keys } => Answer::Values(self.get_many(keyspace, keys)?),
            Call::Exists { keyspace, key } => Answer::Flag(self.exists(keyspace, key)?),
            Call::ScanPrefix { keyspace, prefix } => Answer::Entries(self.scan_prefix(keyspace, prefix)?),
            Call::Iter { keyspace, keys_only: false, scan } => {
                Answer::Entries(self.iter(keyspace, &to_scan(scan))?.collect::<Result<_>>()?)
            }
            Call::Iter { keyspace, keys_only: true, scan } => {
                Answer::Keys(self.keys(keyspace, &to_scan(scan))?.collect::<Result<_>>()?)
            }
            Call::Put { keyspace, key, value, durability } => {
                self.put(keyspace, key, value, *durability)?;
                Answer::Ok
            }
            Call::Delete { keyspace, key, durability } => {
                self.delete(keyspace, key, *durability)?;
                Answer::Ok
            }
            Call::Next { count } => self.next(*count)?,
            Call::Read { offset, length } => self.read(*offset, *length)?,
            Call::Write { piece } => self.write(piece)?,
            _ => match self {
                Object::Database(database) => database.perform(call)?,
                _ => return Err(wrong("of a database")),
            },
        })
    }

    fn get(&mut self, keyspace: &str, key: &[u8]) -> std::result::Result<Option<Vec<u8>>, Ended> {
        Ok(match self {
            Object::Database(database) if keyspace == "default" => database.handle.get(key)?,
            Object::Database(database) => database.keyspace(keyspace)?.get(key)?,
            Object::Transaction(transaction) => transaction.get(keyspace, key)?,
            Object::Snapshot(snapshot) if keyspace == "default" => snapshot.get(key)?,
            Object::Snapshot(snapshot) => snapshot.keyspace(keyspace)?.get(key)?,
            _ => return Err(wrong("get")),
        })
    }

    fn get_many(&mut self, keyspace: &str, keys: &[Vec<u8>]) -> std::result::Result<Values, Ended> {
        Ok(match self {
            Object::Database(database) if keyspace == "default" => database.handle.get_many(keys)?,
            Object::Database(database) => borrowed(database.keyspace(keyspace)?.get_many_ref(keys)?),
            Object::Transaction(transaction) => transaction.get_many(keyspace, keys)?,
            Object::Snapshot(snapshot) if keyspace == "default" => snapshot.get_many(keys)?,
            Object::Snapshot(snapshot) => borrowed(snapshot.keyspace(keyspace)?.get_many_ref(keys)?),
            _ => return Err(wrong("many")),
        })
    }

    fn value_reader(
        &mut self,
        keyspace: &str,
        key: &[u8],
    ) -> std::result::Result<Option<ValueReader>, Ended> {
        Ok(match self {
            Object::Database(database) if keyspace == "default" => database.handle.value_reader(key)?,
            Object::Database(database) => database.keyspace(keyspace)?.value_reader(key)?,
            Object::Snapshot(snapshot) => snapshot.keyspace(keyspace)?.value_reader(key)?,
            _ => return Err(wrong("reader")),
        })
    }

    fn read(&mut self, offset: u64, length: u64) -> std::result::Result<Answer, Ended> {
        let Object::Reader(reader) = self else { return Err(wrong("read")) };
        reader.seek(SeekFrom::Start(offset)).map_err(Error::from)?;
        let mut piece = Vec::new();
        reader.take(length).read_to_end(&mut piece).map_err(Error::from)?;
        Ok(Answer::Value(piece))
    }

    fn write(&mut self, piece: &[u8]) -> std::result::Result<Answer, Ended> {
        let Object::Writer(writer) = self else { return Err(wrong("write")) };
        writer.write_all(piece).map_err(Error::from)?;
        Ok(Answer::Ok)
    }

    fn exists(&mut self, keyspace: &str, key: &[u8]) -> std::result::Result<bool, Ended> {
        Ok(match self {
            Object::Database(database) if keyspace == "default" => database.handle.exists(key)?,
            Object::Database(database) => database.keyspace(keyspace)?.exists(key)?,
            Object::Transaction(transaction) => transaction.exists(keyspace, key)?,
            Object::Snapshot(snapshot) => snapshot.keyspace(keyspace)?.exists(key)?,
            _ => return Err(wrong("exists")),
        })
    }

    fn scan_prefix(
        &mut self,
        keyspace: &str,
        prefix: &[u8],
    ) -> std::result::Result<crate::protocol::Entries, Ended> {
        Ok(match self {
            Object::Database(database) if keyspace == "default" => database.handle.scan_prefix(prefix)?,
            Object::Database(database) => database.keyspace(keyspace)?.scan_prefix(prefix)?,
            Object::Transaction(transaction) => transaction.scan_prefix(keyspace, prefix)?,
            Object::Snapshot(snapshot) => snapshot.keyspace(keyspace)?.scan_prefix(prefix)?,
            _ => return Err(wrong("scan")),
        })
    }

    fn iter(&mut self, keyspace: &str, scan: &Scan) -> std::result::Result<Iter, Ended> {
        Ok(match self {
            Object::Database(database) if keyspace == "default" => database.handle.iter(scan)?,
            Object::Database(database) => database.keyspace(keyspace)?.iter(scan)?,
            Object::Transaction(transaction) => transaction.iter(keyspace, scan)?,
            Object::Snapshot(snapshot) => snapshot.keyspace(keyspace)?.iter(scan)?,
            _ => return Err(wrong("iter")),
        })
    }

    fn keys(&mut self, keyspace: &str, scan: &Scan) -> std::result::Result<Keys, Ended> {
        Ok(match self {
            Object::Database(database) if keyspace == "default" => database.handle.keys(scan)?,
            Object::Database(database) => database.keyspace(keyspace)?.keys(scan)?,
            Object::Transaction(transaction) => transaction.keys(keyspace, scan)?,
            Object::Snapshot(snapshot) => snapshot.keyspace(keyspace)?.keys(scan)?,
            _ => return Err(wrong("keys")),
        })
    }

    fn put(
        &mut self,
        keyspace: &str,
        key: &[u8],
        value: &[u8],
        durability: Wait,
    ) -> std::result::Result<(), Ended> {
        let default = keyspace == "default";
        match (self, to_durability(durability)) {
            (Object::Database(database), None) if default => database.handle.put(key, value)?,
            (Object::Database(database), None) => database.keyspace(keyspace)?.put(key, value)?,
            (Object::Database(database), Some(wait)) if default => {
                database.handle.put_with(key, value, wait)?;
            }
            (Object::Database(database), Some(wait)) => {
                database.keyspace(keyspace)?.put_with(key, value, wait)?;
            }
            (Object::Transaction(transaction), _) => transaction.put(keyspace, key, value)?,
            (Object::Batch(batch), _) => batch.put(keyspace, key, value)?,
            _ => return Err(wrong("put")),
        }
        Ok(())
    }

    fn delete(&mut self, keyspace: &str, key: &[u8], durability: Wait) -> std::result::Result<(), Ended> {
        let default = keyspace == "default";
        match (self, to_durability(durability)) {
            (Object::Database(database), None) if default => database.handle.delete(key)?,
            (Object::Database(database), None) => database.keyspace(keyspace)?.delete(key)?,
            (Object::Database(database), Some(wait)) if default => database.handle.delete_with(key, wait)?,
            (Object::Database(database), Some(wait)) => {
                database.keyspace(keyspace)?.delete_with(key, wait)?;
            }
            (Object::Transaction(transaction), _) => transaction.delete(keyspace, key)?,
            (Object::Batch(batch), _) => batch.delete(keyspace, key)?,
            _ => return Err(wrong("delete")),
        }
        Ok(())
    }

    /// As many entries as asked for, fewer at the end.
    fn next(&mut self, count: u64) -> std::result::Result<Answer, Ended> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Ok(match self {
            Object::Entries(iterator) => Answer::Entries(iterator.take(count).collect::<Result<_>>()?),
            Object::Keys(iterator) => Answer::Keys(iterator.take(count).collect::<Result<_>>()?),
            _ => return Err(wrong("next")),
        })
    }
}

impl Database {
    fn perform(&mut self, call: &Call) -> std::result::Result<Answer, Ended> {
        Ok(match call {
            Call::Close => {
                self.handle.close()?;
                Answer::Ok
            }
            Call::Flush => {
                self.handle.flush()?;
                Answer::Ok
            }
            Call::Refresh => {
                self.handle.refresh()?;
                Answer::Ok
            }
            Call::Compact => {
                self.handle.compact()?;
                Answer::Ok
            }
            Call::Verify => Answer::Count(self.handle.verify()?.violations.len() as u64),
            Call::Keyspaces => Answer::Names(self.handle.keyspaces()?),
            Call::Keyspace { keyspace } => {
                let handle = self.handle.keyspace(keyspace)?;
                self.keyspaces.insert(keyspace.clone(), handle);
                Answer::Ok
            }
            Call::Compress { keyspace, compression } => {
                let compression = match compression.as_str() {
                    "lz4" => Compression::Lz4,
                    _ => Compression::None,
                };
                let options = KeyspaceOptions::new().compression(compression);
                let handle = self.handle.keyspace_with_options(keyspace, options)?;
                self.keyspaces.insert(keyspace.clone(), handle);
                Answer::Ok
            }
            Call::Swap { keyspace, key, expected, new, durability } => {
                let (expected, new) = (expected.as_deref(), new.as_deref());
                Answer::Flag(match (keyspace.as_str(), to_durability(*durability)) {
                    ("default", None) => self.handle.compare_and_swap(key, expected, new)?,
                    ("default", Some(wait)) => self.handle.compare_and_swap_with(key, expected, new, wait)?,
                    (_, None) => self.keyspace(keyspace)?.compare_and_swap(key, expected, new)?,
                    (_, Some(wait)) => {
                        self.keyspace(keyspace)?.compare_and_swap_with(key, expected, new, wait)?
                    }
                })
            }
            Call::Take { keyspace, key, durability } => {
                let taken = match (keyspace.as_str(), to_durability(*durability)) {
                    ("default", None) => self.handle.take(key)?,
                    ("default", Some(wait)) => self.handle.take_with(key, wait)?,
                    (_, None) => self.keyspace(keyspace)?.take(key)?,
                    (_, Some(wait)) => self.keyspace(keyspace)?.take_with(key, wait)?,
                };
                taken.map_or(Answer::None, Answer::Value)
            }
            Call::Increment { keyspace, key, by, durability } => {
                Answer::Number(match (keyspace.as_str(), to_durability(*durability)) {
                    ("default", None) => self.handle.increment(key, *by)?,
                    ("default", Some(wait)) => self.handle.increment_with(key, *by, wait)?,
                    (_, None) => self.keyspace(keyspace)?.increment(key, *by)?,
                    (_, Some(wait)) => self.keyspace(keyspace)?.increment_with(key, *by, wait)?,
                })
            }
            Call::Len { keyspace } if keyspace == "default" => Answer::Count(self.handle.len()?),
            Call::Len { keyspace } => Answer::Count(self.keyspace(keyspace)?.len()?),
            _ => return Err(wrong("of that kind")),
        })
    }

    fn keyspace(&mut self, name: &str) -> Result<&Keyspace> {
        if !self.keyspaces.contains_key(name) {
            let handle = self.handle.keyspace(name)?;
            self.keyspaces.insert(name.to_owned(), handle);
        }
        self.keyspaces.get(name).ok_or(Error::Closed)
    }
}

fn to_durability(wait: Wait) -> Option<Durability> {
    match wait {
        Wait::Default => None,
        Wait::Buffered => Some(Durability::Buffered),
        Wait::Sync => Some(Durability::Sync),
    }
}

/// The scan that the words ask for.
#[must_use]
pub fn to_scan(range: &Range) -> Scan {
    let mut scan = range.prefix.as_deref().map_or_else(Scan::all, Scan::prefix);
    if let Some(from) = &range.from {
        scan = scan.from(from.as_slice());
    }
    if let Some(until) = &range.until {
        scan = scan.until(until.as_slice());
    }
    if let Some(key) = &range.start_after {
        scan = scan.start_after(key.as_slice());
    }
    if let Some(limit) = range.limit {
        scan = scan.limit(limit);
    }
    if range.reverse { scan.reverse() } else { scan }
}

/// Reads the words of settings and opens.
fn open(path: &Path, settings: &[(String, String)]) -> Outcome<Result<OpenDB>> {
    Ok(OpenDB::open_with_options(path, to_options(settings)?))
}

/// The options that words such as `append=write` ask for.
///
/// # Errors
/// A word is not known.
pub fn to_options(settings: &[(String, String)]) -> Outcome<Options> {
    let mut options = Options::new();
    for (key, word) in settings {
        let unknown = || Failure(format!("unknown setting {key}={word}"));
        options = match (key.as_str(), word.as_str()) {
            ("create", word) => options.create(word.parse().map_err(|_| unknown())?),
            ("mapped_reads", word) => options.mapped_reads(word.parse().map_err(|_| unknown())?),
            ("read_damaged", word) => options.read_damaged(word.parse().map_err(|_| unknown())?),
            ("read_only", word) => options.read_only(word.parse().map_err(|_| unknown())?),
            ("lock_timeout", word) => {
                options.lock_timeout(Duration::from_millis(word.parse().map_err(|_| unknown())?))
            }
            ("cache_bytes", word) => options.cache_bytes(word.parse().map_err(|_| unknown())?),
            ("segment_bytes", word) => options.segment_bytes(word.parse().map_err(|_| unknown())?),
            ("durability", "buffered") => options.durability(Durability::Buffered),
            ("durability", "sync") => options.durability(Durability::Sync),
            ("append", "auto") => options.append(AppendMode::Auto),
            ("append", "mapped") => options.append(AppendMode::Mapped),
            ("append", "write") => options.append(AppendMode::Write),
            _ => return Err(unknown()),
        };
    }
    Ok(options)
}
