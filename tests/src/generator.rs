//! Random commands that make sense: about objects that are there, over few keys, so that they meet often.

use std::path::PathBuf;

use crate::bytes::pattern;
use crate::model::{Kind, Model};
use crate::protocol::{Call, Command, Range, Wait};
use crate::random::Random;
use crate::script::DATABASE;

/// Keyspaces beside `default` that a run may create.
const KEYSPACES: [&str; 3] = ["logs", "user data", "späte"];
/// A keyspace that no run creates.
const UNKNOWN_KEYSPACE: &str = "nowhere";
/// Most living objects of one kind.
const OBJECTS_MAX: usize = 4;

/// Makes commands from a seed.
#[derive(Debug)]
pub struct Generator {
    random: Random,
    made: u64,
    open: Command,
    /// Longest value; runs through a pipe keep it small.
    value_bytes_max: usize,
}

impl Generator {
    /// Commands on a database at this path with these settings.
    #[must_use]
    pub fn new(
        seed: u64,
        path: PathBuf,
        settings: Vec<(String, String)>,
        value_bytes_max: usize,
    ) -> Generator {
        let open = Command { name: DATABASE.to_owned(), call: Call::Open { path, settings } };
        Generator { random: Random::new(seed), made: 0, open, value_bytes_max }
    }

    /// The command that opens the database.
    #[must_use]
    pub fn open(&self) -> Command {
        self.open.clone()
    }

    /// The next commands: one, or the few that close and open the database again.
    pub fn next(&mut self, model: &Model) -> Vec<Command> {
        let choice = self.random.below(200);
        let call = match choice {
            0 => return self.reopen(model),
            1..=2 => return self.keyspace(model),
            3..=4 => Call::Keyspaces,
            5..=7 => Call::Flush,
            8..=15 => Call::Len { keyspace: self.keyspace_name(model) },
            16..=30 => return self.make(model),
            31..=50 => return self.end(model),
            51..=65 => return self.cursor(model),
            66..=112 => return vec![self.write(model)],
            113..=120 => return vec![self.update(model)],
            _ => return vec![self.read(model)],
        };
        vec![Command { name: DATABASE.to_owned(), call }]
    }

    /// Reads everything, as the end of a run does.
    #[must_use]
    pub fn read_everything(model: &Model) -> Vec<Command> {
        let mut calls = vec![Call::Keyspaces];
        for keyspace in model.keyspaces() {
            calls.push(Call::Len { keyspace: keyspace.clone() });
            calls.push(Call::Iter { keyspace: keyspace.clone(), keys_only: false, scan: Range::default() });
            let scan = Range { reverse: true, ..Range::default() };
            calls.push(Call::Iter { keyspace, keys_only: true, scan });
        }
        calls.into_iter().map(|call| Command { name: DATABASE.to_owned(), call }).collect()
    }

    /// Ends all objects, closes and opens.
    #[must_use]
    pub fn reopen(&self, model: &Model) -> Vec<Command> {
        let kinds = [Kind::Transaction, Kind::Snapshot, Kind::Batch, Kind::Cursor];
        let names = kinds.into_iter().flat_map(|kind| model.names(kind));
        let mut commands: Vec<_> = names.map(|name| Command { name, call: Call::Drop }).collect();
        commands.push(Command { name: DATABASE.to_owned(), call: Call::Close });
        commands.push(self.open());
        commands
    }

    /// Keyspaces are created only where no older view is alive: what those see of a younger one is not promised.
    fn keyspace(&mut self, model: &Model) -> Vec<Command> {
        let views = model.names(Kind::Transaction).len() + model.names(Kind::Snapshot).len();
        let index = self.random.index(KEYSPACES.len());
        let known = model.keyspaces().iter().any(|name| name == KEYSPACES[index]);
        if views > 0 && !known {
            return vec![];
        }
        let call = Call::Keyspace { keyspace: KEYSPACES[index].to_owned() };
        vec![Command { name: DATABASE.to_owned(), call }]
    }

    fn make(&mut self, model: &Model) -> Vec<Command> {
        let (kind, letter) = match self.random.below(4) {
            0 | 1 => (Kind::Transaction, 't'),
            2 => (Kind::Snapshot, 's'),
            _ => (Kind::Batch, 'b'),
        };
        if model.names(kind).len() >= OBJECTS_MAX {
            return self.end(model);
        }
        self.made += 1;
        let database = DATABASE.to_owned();
        let call = match letter {
            't' => Call::Begin { database },
            's' => Call::Snapshot { database },
            _ => Call::Batch { database },
        };
        vec![Command { name: format!("{letter}{}", self.made), call }]
    }

    fn end(&mut self, model: &Model) -> Vec<Command> {
        let kind = [Kind::Transaction, Kind::Transaction, Kind::Snapshot, Kind::Batch][self.random.index(4)];
        let Some(name) = self.random.pick(&model.names(kind)).cloned() else { return vec![] };
        let durability = self.wait();
        let call = match kind {
            Kind::Transaction if self.random.one_in(8) => Call::Rollback,
            Kind::Transaction | Kind::Batch if !self.random.one_in(8) => Call::Commit { durability },
            _ => Call::Drop,
        };
        vec![Command { name, call }]
    }

    /// Cursors are made of the database and of snapshots; what one of a transaction gives after the commit is not
    /// promised in every language.
    fn cursor(&mut self, model: &Model) -> Vec<Command> {
        let cursors = model.names(Kind::Cursor);
        if let Some(name) = self.random.pick(&cursors).cloned() {
            if cursors.len() >= OBJECTS_MAX || self.random.one_in(8) {
                return vec![Command { name, call: Call::Drop }];
            }
            if !self.random.one_in(3) {
                return vec![Command { name, call: Call::Next { count: self.random.below(6) } }];
            }
        }
        self.made += 1;
        let mut objects = model.names(Kind::Snapshot);
        objects.push(DATABASE.to_owned());
        let object = self.random.pick(&objects).cloned().unwrap_or_default();
        let keyspace = self.keyspace_name(model);
        let call = Call::Cursor { object, keyspace, keys_only: self.random.one_in(2), scan: self.range() };
        vec![Command { name: format!("i{}", self.made), call }]
    }

    fn write(&mut self, model: &Model) -> Command {
        let mut writers = model.names(Kind::Transaction);
        writers.extend(model.names(Kind::Batch));
        let in_database = writers.is_empty() || self.random.one_in(2);
        let name = if in_database { None } else { self.random.pick(&writers).cloned() };
        let keyspace = self.known_or_unknown_keyspace(model, name.is_some());
        // The durability of a write inside a transaction or batch is that of its commit.
        let durability = if name.is_some() { Wait::Default } else { self.wait() };
        let call = if self.random.one_in(4) {
            Call::Delete { keyspace, key: self.key(), durability }
        } else {
            Call::Put { keyspace, key: self.key(), value: self.value(), durability }
        };
        Command { name: name.unwrap_or(DATABASE.to_owned()), call }
    }

    /// Reads and writes a key of the database in one step. Few keys have numbers, so that sums come about; the other ones are
    /// refused by `increment`.
    fn update(&mut self, model: &Model) -> Command {
        let (keyspace, durability) = (self.keyspace_name(model), self.wait());
        let is_number = self.random.one_in(2);
        let key = if is_number { vec![b'n', b'0' + self.random.index(3) as u8] } else { self.key() };
        let call = if is_number && !self.random.one_in(4) {
            let by = [1, -1, 1_000_000, i64::MAX, i64::MIN][self.random.index(5)];
            Call::Increment { keyspace, key, by, durability }
        } else if self.random.one_in(4) {
            Call::Take { keyspace, key, durability }
        } else {
            // What is there, more often than chance would have it.
            let found = model.value_of(&keyspace, &key);
            let expected = if self.random.one_in(4) { self.value_or_none() } else { found };
            Call::Swap { keyspace, key, expected, new: self.value_or_none(), durability }
        };
        Command { name: DATABASE.to_owned(), call }
    }

    fn value_or_none(&mut self) -> Option<Vec<u8>> {
        if self.random.one_in(3) { None } else { Some(self.value()) }
    }

    fn read(&mut self, model: &Model) -> Command {
        let mut readers = model.names(Kind::Transaction);
        readers.extend(model.names(Kind::Snapshot));
        let name = if self.random.one_in(2) { None } else { self.random.pick(&readers).cloned() };
        let keyspace = self.known_or_unknown_keyspace(model, name.is_some());
        let call = match self.random.below(12) {
            0..=3 => Call::Get { keyspace, key: self.key() },
            10..=11 => Call::GetMany { keyspace, keys: self.keys() },
            4..=5 => Call::Exists { keyspace, key: self.key() },
            6..=7 => Call::ScanPrefix { keyspace, prefix: self.bound() },
            _ => Call::Iter { keyspace, keys_only: self.random.one_in(2), scan: self.range() },
        };
        Command { name: name.unwrap_or(DATABASE.to_owned()), call }
    }

    /// None, one, some, or more than are asked for together.
    fn keys(&mut self) -> Vec<Vec<u8>> {
        let count = if self.random.one_in(8) { 30 + self.random.below(40) } else { self.random.below(5) };
        (0..count).map(|_| self.key()).collect()
    }

    fn keyspace_name(&mut self, model: &Model) -> String {
        if self.random.one_in(2) {
            return "default".to_owned();
        }
        self.random.pick(&model.keyspaces()).cloned().unwrap_or_default()
    }

    /// Through objects an unknown keyspace is an error; a database would create it.
    fn known_or_unknown_keyspace(&mut self, model: &Model, through_object: bool) -> String {
        if through_object && self.random.one_in(40) {
            return UNKNOWN_KEYSPACE.to_owned();
        }
        self.keyspace_name(model)
    }

    fn wait(&mut self) -> Wait {
        match self.random.below(30) {
            0 => Wait::Sync,
            1 => Wait::Buffered,
            _ => Wait::Default,
        }
    }

    /// Short strings over few bytes, so that they are prefixes of each other and lie at the edges of the order.
    fn key(&mut self) -> Vec<u8> {
        if self.random.one_in(3) {
            return format!("user:{:02}", self.random.below(30)).into_bytes();
        }
        if self.random.one_in(60) {
            let number = self.random.below(3);
            return pattern(1000, u8::try_from(number).unwrap_or(0));
        }
        let length = self.random.index(5);
        (0..length).map(|_| [0x00, b'a', b'b', 0xfe, 0xff][self.random.index(5)]).collect()
    }

    fn bound(&mut self) -> Vec<u8> {
        match self.random.below(6) {
            0 => Vec::new(),
            1 => b"user:".to_vec(),
            2 => vec![0xff; 1 + self.random.index(2)],
            _ => self.key(),
        }
    }

    fn range(&mut self) -> Range {
        let mut maybe = |times: u64| if self.random.one_in(times) { Some(()) } else { None };
        let (prefix, from, until, start_after) = (maybe(2), maybe(4), maybe(4), maybe(4));
        Range {
            prefix: prefix.map(|()| self.bound()),
            from: from.map(|()| self.bound()),
            until: until.map(|()| self.bound()),
            start_after: start_after.map(|()| self.bound()),
            limit: if self.random.one_in(3) { Some(self.random.below(8)) } else { None },
            reverse: self.random.one_in(2),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        let length = match self.random.below(100) {
            0..=4 => 0,
            5..=79 => self.random.index(40),
            80..=95 => self.random.index(2000),
            96..=98 => self.random.index(20_000),
            _ => self.random.index(200_000),
        };
        let number = u8::try_from(self.random.below(256)).unwrap_or(0);
        pattern(length.min(self.value_bytes_max), number)
    }
}
