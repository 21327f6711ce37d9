//! The databases that are damaged: what they have lived through, and what may be read of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use opendb::{AppendMode, Compression, Durability, KeyspaceOptions, OpenDB, Options};
use opendb_tests::bytes::pattern;
use opendb_tests::damage::{Base, Content, Findings, read_content, read_files};
use opendb_tests::random::Random;
use opendb_tests::sequence::{Manner, Operation, Write, operation, perform};
use opendb_tests::{Failure, Outcome, place};
use tempfile::TempDir;

/// A keyspace whose values are compressed, and one for values in segments of their own.
const COMPRESSED: &str = "alpha";
const WITH_LARGE: &str = "beta";
/// Longest value that stands in its record.
const INLINE_BYTES_MAX: usize = 1 << 20;
/// Operations of a life before its first compaction, and after each.
const LONG: usize = 150;
const SHORT: usize = 40;
/// How long moves are waited for, which compaction makes when it likes, and how long it is let alone in between.
const MOVES_WITHIN: Duration = Duration::from_secs(30);
const LET_ALONE: Duration = Duration::from_millis(60);
/// Every kind of file that has to be there in some life, or it is never damaged.
const KINDS: [&str; 8] = ["MANIFEST", "DURABLE", "LOCK", "segment", "hint", "checkpoint", "run", "moves"];

/// A database at its end.
pub(super) struct Life {
    pub(super) name: String,
    /// Its files, the states that may be read, and every value that a key has had.
    pub(super) base: Base,
    is_closed: bool,
    steps: Vec<Step>,
}

/// What changes a state.
enum Step {
    Keyspace(&'static str),
    Writes(Vec<Write>),
}

/// Lives of every ending, in both ways to append.
pub(super) fn lives(seed: u64) -> Outcome<Vec<Life>> {
    let mut lives = Vec::new();
    let endings: [fn(Living) -> Outcome<Life>; 4] = [closed, synced, writing, moved];
    for (at, (append, live)) in (0..).zip(
        [AppendMode::Mapped, AppendMode::Write]
            .into_iter()
            .flat_map(|append| endings.into_iter().map(move |live| (append, live))),
    ) {
        lives.push(live(Living::begin(append, seed ^ (at << 32))?)?);
    }
    let kinds: BTreeSet<&Path> =
        lives.iter().flat_map(|life| life.base.files.keys()).map(|name| kind(name)).collect();
    match KINDS.into_iter().find(|kind| !kinds.contains(Path::new(kind))) {
        Some(missing) => Err(Failure(format!("no life has left a file of the kind {missing}"))),
        None => Ok(lives),
    }
}

/// The extension of a file's name, or the name where it has none.
pub(super) fn kind(name: &Path) -> &Path {
    name.extension().map_or(name, Path::new)
}

/// Closed in order, behind two compactions.
fn closed(mut living: Living) -> Outcome<Life> {
    living.grow()?;
    living.work(SHORT)?;
    living.large("one")?;
    living.compact()?;
    living.work(SHORT)?;
    living.large("three")?;
    living.close()
}

/// Killed right after everything had reached the device.
fn synced(mut living: Living) -> Outcome<Life> {
    living.grow()?;
    living.work(SHORT)?;
    living.flush()?;
    living.kill("synced")
}

/// Killed behind commits of which some had not been synced, and one of them is large.
fn writing(mut living: Living) -> Outcome<Life> {
    living.grow()?;
    living.work(SHORT)?;
    living.flush()?;
    living.work(4)?;
    living.large("late")?;
    living.work(4)?;
    living.kill("writing")
}

/// Killed when segments had been given up since the last checkpoint.
fn moved(mut living: Living) -> Outcome<Life> {
    living.grow()?;
    let end = Instant::now() + MOVES_WITHIN;
    loop {
        living.work(4)?;
        std::thread::sleep(LET_ALONE);
        if living.has_moves()? {
            living.flush()?;
            living.work(3)?;
            if living.has_moves()? {
                return living.kill("moved");
            }
        }
        if Instant::now() > end {
            return Err("compaction has given up no segment between two checkpoints".into());
        }
    }
}

/// A database in use, and what was done to it.
struct Living {
    directory: TempDir,
    database: OpenDB,
    append: AppendMode,
    seed: u64,
    random: Random,
    steps: Vec<Step>,
    /// So many steps are known to be on the device.
    promised: usize,
}

impl Living {
    fn begin(append: AppendMode, seed: u64) -> Outcome<Living> {
        let directory = place::in_memory()?;
        let options = Options::new().append(append).segment_bytes(65536).cache_bytes(1 << 20);
        let database = OpenDB::open_with_options(directory.path(), options)?;
        let lz4 = KeyspaceOptions::new().compression(Compression::Lz4);
        database.keyspace_with_options(COMPRESSED, lz4)?;
        database.keyspace(WITH_LARGE)?;
        database.keyspace("empty")?;
        let steps = [COMPRESSED, WITH_LARGE, "empty"].map(Step::Keyspace).into();
        let random = Random::new(seed);
        Ok(Living { directory, database, append, seed, random, steps, promised: 0 })
    }

    fn commit(&mut self, operation: Operation) -> Outcome<()> {
        perform(&self.database, &operation)?;
        self.steps.push(Step::Writes(operation.writes));
        if operation.durability == Durability::Sync {
            self.promised = self.steps.len();
        }
        Ok(())
    }

    /// Random operations.
    fn work(&mut self, count: usize) -> Outcome<()> {
        for _ in 0..count {
            let number = self.steps.len() as u64;
            if self.random.one_in(4) {
                let value = text(number, self.random.index(6000));
                self.put(COMPRESSED, format!("text {}", number % 20), value)?;
            } else {
                self.commit(operation(self.seed, 0, number))?;
            }
        }
        Ok(())
    }

    fn put(&mut self, keyspace: &'static str, key: String, value: Vec<u8>) -> Outcome<()> {
        let writes = vec![((keyspace, key.into_bytes()), Some(value))];
        self.commit(Operation { manner: Manner::Single, durability: Durability::Buffered, writes })
    }

    /// A value in a segment of its own.
    fn large(&mut self, key: &str) -> Outcome<()> {
        let number = self.steps.len();
        let mut value = format!("large {number}:").into_bytes();
        value.extend(pattern(INLINE_BYTES_MAX + self.random.index(4000), (number % 251) as u8));
        self.put(WITH_LARGE, key.to_owned(), value)
    }

    /// A long time, some of it behind a compaction.
    fn grow(&mut self) -> Outcome<()> {
        self.work(LONG)?;
        self.large("one")?;
        self.work(SHORT)?;
        self.large("two")?;
        self.compact()
    }

    fn compact(&mut self) -> Outcome<()> {
        self.database.compact()?;
        self.promised = self.steps.len();
        Ok(())
    }

    fn flush(&mut self) -> Outcome<()> {
        self.database.flush()?;
        self.promised = self.steps.len();
        Ok(())
    }

    fn has_moves(&self) -> Outcome<bool> {
        Ok(place::files(self.directory.path())?.iter().any(|name| kind(name) == Path::new("moves")))
    }

    fn close(mut self) -> Outcome<Life> {
        self.promised = self.steps.len();
        self.check()?;
        self.database.close()?;
        let files = read_files(self.directory.path())?;
        Ok(self.into_life("closed", files))
    }

    fn kill(self, name: &str) -> Outcome<Life> {
        self.check()?;
        let files = files_at_one_moment(self.directory.path())?;
        Ok(self.into_life(name, files))
    }

    /// What is known of the content is what is read.
    fn check(&self) -> Outcome<()> {
        let (mut last, read) = (Content::new(), read_content(&self.database)?);
        each_state(&self.steps, |state| last.clone_from(state));
        if read == last {
            Ok(())
        } else {
            Err("a database that nothing has damaged shows another state".into())
        }
    }

    fn into_life(self, name: &str, files: BTreeMap<PathBuf, Vec<u8>>) -> Life {
        let (mut states, mut done) = (Vec::new(), 0);
        each_state(&self.steps, |state| {
            if done >= self.promised {
                states.push(state.clone());
            }
            done += 1;
        });
        let name = format!("{name}, {:?}", self.append);
        let base = Base { files, states, history: history(&self.steps) };
        Life { is_closed: name.starts_with("closed"), name, base, steps: self.steps }
    }
}

/// A value that can be made shorter.
fn text(number: u64, length: usize) -> Vec<u8> {
    let words = format!("text {number}: the same again and again. ");
    words.bytes().cycle().take(words.len() + length).collect()
}

/// Shows the state before the first step and after each.
fn each_state(steps: &[Step], mut show: impl FnMut(&Content)) {
    let mut state = Content::from([("default".to_owned(), BTreeMap::new())]);
    show(&state);
    for step in steps {
        match step {
            Step::Keyspace(name) => {
                state.entry((*name).to_owned()).or_default();
            }
            Step::Writes(writes) => {
                for ((keyspace, key), value) in writes {
                    let space = state.entry((*keyspace).to_owned()).or_default();
                    match value {
                        Some(value) => space.insert(key.clone(), value.clone()),
                        None => space.remove(key),
                    };
                }
            }
        }
        show(&state);
    }
}

/// Every value that each key has had. Keys that were only deleted are among them as well.
fn history(steps: &[Step]) -> BTreeMap<(String, Vec<u8>), BTreeSet<Vec<u8>>> {
    let mut history: BTreeMap<_, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for step in steps {
        let Step::Writes(writes) = step else { continue };
        for ((keyspace, key), value) in writes {
            history.entry(((*keyspace).to_owned(), key.clone())).or_default().extend(value.clone());
        }
    }
    history
}

/// The files as a process that is killed at this moment leaves them. Nobody writes meanwhile; what the background does at rest is
/// allowed for: what is the same twice was so in between.
fn files_at_one_moment(directory: &Path) -> Outcome<BTreeMap<PathBuf, Vec<u8>>> {
    loop {
        // A file that is removed in the middle is no reason to give up.
        if let (Ok(first), Ok(second)) = (read_files(directory), read_files(directory))
            && first == second
        {
            return Ok(first);
        }
    }
}

impl Life {
    /// Whether what was read is of any state that there ever was, where the life was not closed in order.
    pub(super) fn had(&self, findings: &Findings) -> bool {
        self.any_state(|state| findings.are_of(state))
    }

    /// Whether this is the whole of a state that a recovery may come to: the last one, or any where the life was killed.
    pub(super) fn had_content(&self, content: &Content) -> bool {
        self.base.states.last() == Some(content) || self.any_state(|state| content == state)
    }

    fn any_state(&self, is_it: impl Fn(&Content) -> bool) -> bool {
        let mut found = false;
        if !self.is_closed {
            each_state(&self.steps, |state| found = found || is_it(state));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_follow_the_steps() {
        let write = |value: Option<&[u8]>| {
            Step::Writes(vec![(("default", b"k".to_vec()), value.map(<[u8]>::to_vec))])
        };
        let steps = [write(Some(b"1")), Step::Keyspace("alpha"), write(None)];
        let mut states = Vec::new();
        each_state(&steps, |state| states.push(state.clone()));
        let sizes: Vec<_> = states.iter().map(|state| (state.len(), state["default"].len())).collect();
        assert_eq!(sizes, [(1, 0), (1, 1), (2, 1), (2, 0)]);
        assert_eq!(history(&steps)[&("default".to_owned(), b"k".to_vec())], BTreeSet::from([b"1".to_vec()]));
        assert_eq!(text(1, 10).len(), text(1, 0).len() + 10);
    }
}
