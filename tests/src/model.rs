//! What every call has to answer: an executable model over `BTreeMap`s.
//!
//! # When a commit conflicts
//! Every change of a key, a deletion of a present one included, gives it a new version. A transaction reads the state
//! of its beginning with its own writes laid over. At commit, each of its reads is done again on the state of now with
//! the own writes of the time of the read laid over:
//! - **it must conflict** if it wrote something and one of the reads observes something else now: another version or
//!   absence of a key, another set of keys of a scan (as far as its limit let it see), another version of an entry;
//!   a read of keys only and `exists` observe presence, not versions;
//! - **it must not conflict** if it wrote nothing, or if no key that it read and no key inside a range that it scanned
//!   was written by anybody since its beginning; blind writes are no reads;
//! - **in between either is right**: something inside what it looked at was written, but what it saw is the same (a
//!   key came and went, an insert beyond the limit of a scan, a new value where only presence was asked, a key that it
//!   had written itself before it read it).

use std::collections::BTreeMap;
use std::sync::Arc;

use opendb::{ErrorKind, KEY_BYTES_MAX};

use crate::protocol::{Answer, Call, Command, Entries, Range};
use crate::{Failure, Outcome};

/// A value with the version of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stored {
    version: u64,
    value: Vec<u8>,
}

type Space = BTreeMap<Vec<u8>, Stored>;
type Spaces = BTreeMap<String, Space>;
type Place = (String, Vec<u8>);
type Writes = BTreeMap<Place, Option<Vec<u8>>>;

/// The state that one database has to have, and of the objects made of it.
#[derive(Debug, Clone)]
pub struct Model {
    spaces: Arc<Spaces>,
    version: u64,
    /// Who wrote what: looked at by transactions that began before.
    written: Vec<(u64, Place)>,
    objects: BTreeMap<String, Object>,
}

#[derive(Debug, Clone)]
enum Object {
    Database,
    Transaction(Transaction),
    Snapshot(Arc<Spaces>),
    Batch(Vec<(Place, Option<Vec<u8>>)>),
    Cursor { rest: Entries, keys_only: bool },
}

#[derive(Debug, Clone)]
struct Transaction {
    began: u64,
    state: Arc<Spaces>,
    writes: Writes,
    reads: Vec<Read>,
}

/// One read with what it observed.
#[derive(Debug, Clone)]
struct Read {
    keyspace: String,
    what: What,
    /// The writes that the transaction had made when it read.
    over: Writes,
    observed: Vec<Observed>,
}

#[derive(Debug, Clone)]
enum What {
    Key { key: Vec<u8>, presence_only: bool },
    Keys { scan: Range, presence_only: bool },
}

/// A key that was there: with the version that was seen, 0 where only presence was asked, `None` where it was the
/// transaction's own.
type Observed = (Vec<u8>, Option<u64>);

/// Kinds of objects that a random run looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Made by `begin`.
    Transaction,
    /// Made by `snapshot`.
    Snapshot,
    /// Made by `batch`.
    Batch,
    /// Made by `cursor`.
    Cursor,
}

impl Default for Model {
    fn default() -> Model {
        Model {
            spaces: Arc::new(Spaces::from([("default".to_owned(), Space::new())])),
            version: 0,
            written: Vec::new(),
            objects: BTreeMap::new(),
        }
    }
}

impl Model {
    /// The names of the living objects of a kind.
    #[must_use]
    pub fn names(&self, kind: Kind) -> Vec<String> {
        let is_wanted = |object: &Object| match object {
            Object::Database => false,
            Object::Transaction(_) => kind == Kind::Transaction,
            Object::Snapshot(_) => kind == Kind::Snapshot,
            Object::Batch(_) => kind == Kind::Batch,
            Object::Cursor { .. } => kind == Kind::Cursor,
        };
        self.objects.iter().filter(|entry| is_wanted(entry.1)).map(|entry| entry.0.clone()).collect()
    }

    /// The names of the keyspaces.
    #[must_use]
    pub fn keyspaces(&self) -> Vec<String> {
        self.spaces.keys().cloned().collect()
    }

    /// The value that a key of the database has.
    #[must_use]
    pub fn value_of(&self, keyspace: &str, key: &[u8]) -> Option<Vec<u8>> {
        Some(self.spaces.get(keyspace)?.get(key)?.value.clone())
    }

    /// Whether a command is about objects that are there (a shortened run may have lost the one that made them).
    #[must_use]
    pub fn understands(&self, command: &Command) -> bool {
        let has = |name: &String| self.objects.contains_key(name);
        match &command.call {
            Call::Open { .. } => !has(&command.name),
            Call::Begin { database } | Call::Snapshot { database } | Call::Batch { database } => {
                has(database)
            }
            Call::Cursor { object, .. } => has(object),
            // A close ends every object: only where none is left but the database itself.
            Call::Close => has(&command.name) && self.objects.len() == 1,
            _ => has(&command.name),
        }
    }

    /// Compares an answer with what it has to be, and goes on to the state after the command.
    ///
    /// # Errors
    /// The answer is wrong; the failure says what it has to be.
    pub fn judge(&mut self, command: &Command, answer: &Answer) -> Outcome<()> {
        if let Call::Commit { .. } = command.call {
            return self.judge_commit(&command.name, answer);
        }
        let expected = self.expect(command)?;
        if expected == *answer {
            return Ok(());
        }
        Err(Failure(format!("expected {}, answered {}", show(&expected), show(answer))))
    }

    fn expect(&mut self, command: &Command) -> Outcome<Answer> {
        let name = command.name.clone();
        match &command.call {
            Call::Open { .. } => self.keep(name, Object::Database),
            Call::Close | Call::Drop | Call::Rollback => {
                self.objects.remove(&name);
            }
            Call::Flush | Call::Refresh | Call::Compact => {}
            Call::Verify => return Ok(Answer::Count(0)),
            Call::Keyspaces => return Ok(Answer::Names(self.keyspaces())),
            Call::Keyspace { keyspace } => {
                Arc::make_mut(&mut self.spaces).entry(keyspace.clone()).or_default();
            }
            Call::Begin { .. } => {
                let (began, state) = (self.version, Arc::clone(&self.spaces));
                let transaction = Transaction { began, state, writes: Writes::new(), reads: Vec::new() };
                self.keep(name, Object::Transaction(transaction));
            }
            Call::Snapshot { .. } => self.keep(name, Object::Snapshot(Arc::clone(&self.spaces))),
            Call::Batch { .. } => self.keep(name, Object::Batch(Vec::new())),
            Call::Put { keyspace, key, value, .. } => return self.write(&name, keyspace, key, Some(value)),
            Call::Delete { keyspace, key, .. } => return self.write(&name, keyspace, key, None),
            Call::Swap { keyspace, key, expected, new, .. } => {
                return self.swap(&name, keyspace, key, (expected.as_ref(), new.as_ref()));
            }
            Call::Take { keyspace, key, .. } => {
                let taken = match self.value(&name, keyspace, key)? {
                    Ok(taken) => taken,
                    Err(kind) => return Ok(Answer::error(kind)),
                };
                self.write(&name, keyspace, key, None)?;
                return Ok(taken.map_or(Answer::None, Answer::Value));
            }
            Call::Increment { keyspace, key, by, .. } => return self.increment(&name, keyspace, key, *by),
            Call::Cursor { object, keyspace, keys_only, scan } => {
                let what = What::Keys { scan: scan.clone(), presence_only: *keys_only };
                match self.read(object, keyspace, what)? {
                    Ok(rest) => self.keep(name, Object::Cursor { rest, keys_only: *keys_only }),
                    Err(kind) => return Ok(Answer::error(kind)),
                }
            }
            Call::GetMany { keyspace, keys } => return self.expect_many(&name, keyspace, keys),
            Call::Next { count } => return self.next(&name, *count),
            Call::Len { keyspace } => {
                return Ok(Answer::Count(self.spaces.get(keyspace).map_or(0, BTreeMap::len) as u64));
            }
            _ => return self.expect_read(&name, &command.call),
        }
        Ok(Answer::Ok)
    }

    /// Nothing is read where one of the keys is too long.
    fn expect_many(&mut self, name: &str, keyspace: &str, keys: &[Vec<u8>]) -> Outcome<Answer> {
        let too_long = keys.iter().find(|key| key.len() > KEY_BYTES_MAX);
        let asked = if let Some(key) = too_long { std::slice::from_ref(key) } else { keys };
        let mut values = Vec::new();
        if keys.is_empty() && !self.state_of(name)?.contains_key(keyspace) {
            return Ok(Answer::error(ErrorKind::KeyspaceNotFound));
        }
        for key in asked {
            match self.value(name, keyspace, key)? {
                Ok(value) => values.push(value),
                Err(kind) => return Ok(Answer::error(kind)),
            }
        }
        Ok(Answer::Values(values))
    }

    fn expect_read(&mut self, name: &str, call: &Call) -> Outcome<Answer> {
        let (keyspace, what) = match call {
            Call::Get { keyspace, key } => (keyspace, What::Key { key: key.clone(), presence_only: false }),
            Call::Exists { keyspace, key } => (keyspace, What::Key { key: key.clone(), presence_only: true }),
            Call::ScanPrefix { keyspace, prefix } => {
                let scan = Range { prefix: Some(prefix.clone()), ..Range::default() };
                (keyspace, What::Keys { scan, presence_only: false })
            }
            Call::Iter { keyspace, keys_only, scan } => {
                (keyspace, What::Keys { scan: scan.clone(), presence_only: *keys_only })
            }
            _ => return Err("the model does not know this call".into()),
        };
        let entries = match self.read(name, keyspace, what)? {
            Ok(entries) => entries,
            Err(kind) => return Ok(Answer::error(kind)),
        };
        Ok(match call {
            Call::Get { .. } => {
                entries.into_iter().next().map_or(Answer::None, |entry| Answer::Value(entry.1))
            }
            Call::Exists { .. } => Answer::Flag(!entries.is_empty()),
            Call::Iter { keys_only: true, .. } => {
                Answer::Keys(entries.into_iter().map(|entry| entry.0).collect())
            }
            _ => Answer::Entries(entries),
        })
    }

    fn keep(&mut self, name: String, object: Object) {
        self.objects.insert(name, object);
    }

    /// What the object of this name reads, without writes of its own.
    fn state_of(&self, name: &str) -> Outcome<&Spaces> {
        match self.objects.get(name) {
            Some(Object::Database) => Ok(&self.spaces),
            Some(Object::Snapshot(state)) => Ok(state),
            Some(Object::Transaction(transaction)) => Ok(&transaction.state),
            _ => Err(Failure(format!("{name} cannot be read"))),
        }
    }

    /// What a read gives, and its trace in the read set of a transaction.
    fn read(&mut self, name: &str, keyspace: &str, what: What) -> Outcome<Result<Entries, ErrorKind>> {
        let nothing = Writes::new();
        let state = self.state_of(name)?;
        let over = match self.objects.get(name) {
            Some(Object::Transaction(transaction)) => &transaction.writes,
            _ => &nothing,
        };
        let Some(space) = state.get(keyspace) else {
            return Ok(Err(ErrorKind::KeyspaceNotFound));
        };
        if matches!(&what, What::Key { key, .. } if key.len() > KEY_BYTES_MAX) {
            return Ok(Err(ErrorKind::InvalidArgument));
        }
        let seen = view(space, keyspace, over, &what);
        let entries = seen.iter().map(|(key, stored)| (key.clone(), stored.value.clone())).collect();
        if let Some(Object::Transaction(transaction)) = self.objects.get_mut(name) {
            let observed = observe(&seen, &what);
            let over = transaction.writes.clone();
            transaction.reads.push(Read { keyspace: keyspace.to_owned(), what, over, observed });
        }
        Ok(Ok(entries))
    }

    fn write(&mut self, name: &str, keyspace: &str, key: &[u8], value: Option<&Vec<u8>>) -> Outcome<Answer> {
        let place = (keyspace.to_owned(), key.to_vec());
        let in_state = |state: &Spaces| state.contains_key(keyspace);
        let known = match self.objects.get(name) {
            Some(Object::Transaction(transaction)) => in_state(&transaction.state),
            Some(_) => in_state(&self.spaces),
            None => return Err(Failure(format!("there is no object {name}"))),
        };
        if !known {
            return Ok(Answer::error(ErrorKind::KeyspaceNotFound));
        }
        if key.len() > KEY_BYTES_MAX {
            return Ok(Answer::error(ErrorKind::InvalidArgument));
        }
        match self.objects.get_mut(name) {
            Some(Object::Transaction(transaction)) => {
                transaction.writes.insert(place, value.cloned());
            }
            Some(Object::Batch(operations)) => operations.push((place, value.cloned())),
            _ => self.apply([(place, value.cloned())]),
        }
        Ok(Answer::Ok)
    }

    fn swap(
        &mut self,
        name: &str,
        keyspace: &str,
        key: &[u8],
        (expected, new): (Option<&Vec<u8>>, Option<&Vec<u8>>),
    ) -> Outcome<Answer> {
        let found = match self.value(name, keyspace, key)? {
            Ok(found) => found,
            Err(kind) => return Ok(Answer::error(kind)),
        };
        let swaps = found.as_ref() == expected;
        if swaps {
            self.write(name, keyspace, key, new)?;
        }
        Ok(Answer::Flag(swaps))
    }

    fn increment(&mut self, name: &str, keyspace: &str, key: &[u8], by: i64) -> Outcome<Answer> {
        let found = match self.value(name, keyspace, key)? {
            Ok(found) => found.unwrap_or_else(|| 0_i64.to_le_bytes().to_vec()),
            Err(kind) => return Ok(Answer::error(kind)),
        };
        let number = found.try_into().ok().map(i64::from_le_bytes);
        let Some(sum) = number.and_then(|number| number.checked_add(by)) else {
            return Ok(Answer::error(ErrorKind::InvalidArgument));
        };
        self.write(name, keyspace, key, Some(&sum.to_le_bytes().to_vec()))?;
        Ok(Answer::Number(sum))
    }

    fn value(
        &mut self,
        name: &str,
        keyspace: &str,
        key: &[u8],
    ) -> Outcome<Result<Option<Vec<u8>>, ErrorKind>> {
        let entries = self.read(name, keyspace, What::Key { key: key.to_vec(), presence_only: false })?;
        Ok(entries.map(|entries| entries.into_iter().next().map(|entry| entry.1)))
    }

    fn next(&mut self, name: &str, count: u64) -> Outcome<Answer> {
        let Some(Object::Cursor { rest, keys_only }) = self.objects.get_mut(name) else {
            return Err(Failure(format!("{name} is no cursor")));
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(rest.len());
        let taken: Entries = rest.drain(..count).collect();
        if *keys_only {
            return Ok(Answer::Keys(taken.into_iter().map(|entry| entry.0).collect()));
        }
        Ok(Answer::Entries(taken))
    }

    fn judge_commit(&mut self, name: &str, answer: &Answer) -> Outcome<()> {
        let conflict = match self.objects.remove(name) {
            Some(Object::Batch(operations)) => {
                self.apply(operations);
                Verdict::MustNot
            }
            Some(Object::Transaction(transaction)) => {
                let verdict = self.verdict(&transaction);
                if *answer == Answer::Ok {
                    self.apply(transaction.writes);
                }
                verdict
            }
            _ => return Err(Failure(format!("{name} cannot be committed"))),
        };
        let refused = answer.is_error(ErrorKind::Transaction);
        match conflict {
            Verdict::Must if refused => Ok(()),
            Verdict::MustNot if *answer == Answer::Ok => Ok(()),
            Verdict::Either if refused || *answer == Answer::Ok => Ok(()),
            _ => Err(Failure(format!(
                "expected of the commit: {conflict:?} conflict; answered {}",
                show(answer)
            ))),
        }
    }

    fn verdict(&self, transaction: &Transaction) -> Verdict {
        if transaction.writes.is_empty() {
            return Verdict::MustNot;
        }
        let empty = Space::new();
        let changed = transaction.reads.iter().any(|read| {
            let space = self.spaces.get(&read.keyspace).unwrap_or(&empty);
            observe(&view(space, &read.keyspace, &read.over, &read.what), &read.what) != read.observed
        });
        if changed {
            return Verdict::Must;
        }
        let touched = self.written.iter().filter(|entry| entry.0 > transaction.began).any(|(_, place)| {
            transaction.reads.iter().any(|read| read.keyspace == place.0 && read.what.looked_at(&place.1))
        });
        if touched { Verdict::Either } else { Verdict::MustNot }
    }

    fn apply(&mut self, operations: impl IntoIterator<Item = (Place, Option<Vec<u8>>)>) {
        self.version += 1;
        let version = self.version;
        let spaces = Arc::make_mut(&mut self.spaces);
        for (place, value) in operations {
            let space = spaces.entry(place.0.clone()).or_default();
            match value {
                Some(value) => {
                    space.insert(place.1.clone(), Stored { version, value });
                }
                None => {
                    space.remove(&place.1);
                }
            }
            self.written.push((version, place));
        }
        if !self.objects.values().any(|object| matches!(object, Object::Transaction(_))) {
            self.written.clear();
        }
    }
}

/// What has to become of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Must,
    MustNot,
    Either,
}

impl What {
    /// Whether a key lies inside what was asked for, whatever the limit.
    fn looked_at(&self, candidate: &[u8]) -> bool {
        match self {
            What::Key { key, .. } => key == candidate,
            What::Keys { scan, .. } => contains(scan, candidate),
        }
    }
}

/// Whether a key lies in a range.
#[must_use]
pub fn contains(scan: &Range, key: &[u8]) -> bool {
    let after = |start: &Vec<u8>| if scan.reverse { key < start.as_slice() } else { key > start.as_slice() };
    scan.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix))
        && scan.from.as_ref().is_none_or(|from| key >= from.as_slice())
        && scan.until.as_ref().is_none_or(|until| key < until.as_slice())
        && scan.start_after.as_ref().is_none_or(after)
}

/// What a read sees of a keyspace under the writes laid over it. Own writes have version 0.
fn view(space: &Space, keyspace: &str, over: &Writes, what: &What) -> Vec<(Vec<u8>, Stored)> {
    let mut seen: BTreeMap<Vec<u8>, Stored> = space
        .iter()
        .filter(|entry| what.looked_at(entry.0))
        .map(|(key, stored)| (key.clone(), stored.clone()))
        .collect();
    for ((name, key), value) in
        over.iter().filter(|entry| entry.0.0 == keyspace && what.looked_at(&entry.0.1))
    {
        debug_assert_eq!(name, keyspace);
        match value {
            Some(value) => seen.insert(key.clone(), Stored { version: 0, value: value.clone() }),
            None => seen.remove(key),
        };
    }
    let mut entries: Vec<_> = seen.into_iter().collect();
    if let What::Keys { scan, .. } = what {
        if scan.reverse {
            entries.reverse();
        }
        entries.truncate(scan.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)));
    }
    entries
}

fn observe(seen: &[(Vec<u8>, Stored)], what: &What) -> Vec<Observed> {
    let presence_only = match what {
        What::Key { presence_only, .. } | What::Keys { presence_only, .. } => *presence_only,
    };
    let version = |stored: &Stored| match stored.version {
        0 => None,
        _ if presence_only => Some(0),
        version => Some(version),
    };
    seen.iter().map(|(key, stored)| (key.clone(), version(stored))).collect()
}

fn show(answer: &Answer) -> String {
    let lines = crate::script::record(answer);
    if lines.is_empty() { "success".to_owned() } else { format!("[{}]", lines.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Action, Item, Script};
    use std::path::Path;

    /// Runs lines with the answers that stand below them and returns the first that the model refuses.
    fn judge(text: &str) -> Option<String> {
        let mut model = Model::default();
        let script = Script::parse(text, Path::new("/base")).unwrap();
        for item in script.items {
            let Item::Step(step) = item else { continue };
            let Action::Command(command) = step.action else { panic!("no reopening here") };
            let answer = step.recorded.first().map_or(Answer::Ok, |line| Answer::from_line(line).unwrap());
            if model.judge(&command, &answer).is_err() {
                return Some(step.source);
            }
        }
        None
    }

    #[test]
    fn right_answers_pass_and_wrong_ones_do_not() {
        assert_eq!(judge("open\nput default a=1\nget default a\n=> value x31\n"), None);
        assert!(judge("open\nput default a=1\nget default a\n=> value x32\n").is_some());
        assert!(judge("open\nput default a=1\nget default a\n=> none\n").is_some());
        assert!(judge("open\nput default a=1\nlen default\n=> count 2\n").is_some());
        assert_eq!(
            judge("open\nput default a=1\nput default b=2\nkeys default reverse\n=> keys x62 x61\n"),
            None
        );
    }

    #[test]
    fn a_commit_over_a_changed_read_has_to_conflict() {
        let begun = "open\nput default a=1\nt: begin\nt: get default a\n=> value x31\nt: put default b=1\n";
        let conflict = "t: commit\n=> error 3 TRANSACTION\n";
        assert_eq!(judge(&format!("{begun}put default a=2\n{conflict}")), None);
        assert!(judge(&format!("{begun}put default a=2\nt: commit\n")).is_some());
        assert!(judge(&format!("{begun}put default c=2\n{conflict}")).is_some());
        assert_eq!(judge(&format!("{begun}put default c=2\nt: commit\n")), None);
    }

    #[test]
    fn a_phantom_has_to_conflict_and_one_beyond_the_limit_may() {
        let begun = "open\nput default a1=1\nput default a3=1\nt: begin\nt: put default z=1\n";
        let scanned = "t: keys default prefix=a\n=> keys x6131 x6133\n";
        let limited = "t: keys default prefix=a limit=1\n=> keys x6131\n";
        let conflict = "t: commit\n=> error 3 TRANSACTION\n";
        assert_eq!(judge(&format!("{begun}{scanned}put default a2=1\n{conflict}")), None);
        assert!(judge(&format!("{begun}{scanned}put default a2=1\nt: commit\n")).is_some());
        assert!(judge(&format!("{begun}{limited}put default a0=1\nt: commit\n")).is_some());
        assert_eq!(judge(&format!("{begun}{limited}put default a2=1\nt: commit\n")), None);
        assert_eq!(judge(&format!("{begun}{limited}put default a2=1\n{conflict}")), None);
    }
}
