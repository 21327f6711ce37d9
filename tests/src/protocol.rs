//! What is said to a driver: one command, one answer, each one line of words.
//!
//! A command is `<verb> <name> <arguments>`: the name is that of the object it is done to, which the driver keeps under
//! that name. Bytes, names of keyspaces and paths are hexadecimal words with an `x` before them; what is absent is `-`.
//!
//! | command | does |
//! |---|---|
//! | `open NAME PATH SETTING=WORD…` | opens a database and keeps its handle (the old one of that name is dropped) |
//! | `close NAME`, `flush NAME`, `refresh NAME`, `keyspaces NAME`, `keyspace NAME KEYSPACE` | the calls of those names |
//! | `compact NAME`, `verify NAME` | the calls of those names; the second answers with the number of violations |
//! | `begin NAME DATABASE`, `snapshot NAME DATABASE`, `batch NAME DATABASE` | makes an object of a database |
//! | `put NAME KEYSPACE KEY VALUE DURABILITY`, `delete NAME KEYSPACE KEY DURABILITY` | durability: `default`, `buffered`, `sync` |
//! | `swap NAME KEYSPACE KEY EXPECTED NEW DURABILITY`, `take NAME KEYSPACE KEY DURABILITY`, `increment NAME KEYSPACE KEY NUMBER DURABILITY` | reads and writes a key in one step |
//! | `get NAME KEYSPACE KEY`, `exists NAME KEYSPACE KEY`, `len NAME KEYSPACE`, `scan NAME KEYSPACE PREFIX` | reads of a database, transaction or snapshot |
//! | `many NAME KEYSPACE KEY…` | reads many keys with one call |
//! | `iter NAME KEYSPACE SCAN`, `keys NAME KEYSPACE SCAN` | everything that a lazy iterator gives |
//! | `cursor NAME OBJECT KEYSPACE entries\|keys SCAN`, `next NAME COUNT` | keeps a lazy iterator, takes entries from it |
//! | `compress NAME KEYSPACE none\|lz4` | gives a keyspace by name this compression from now on; created if missing |
//! | `reader NAME OBJECT KEYSPACE KEY`, `read NAME OFFSET LENGTH` | keeps a reader of a value, or answers `none`; reads a piece of it |
//! | `writer NAME DATABASE KEYSPACE KEY LENGTH`, `write NAME BYTES` | keeps a writer of a value, writes a piece of it; `commit` finishes it |
//! | `commit NAME DURABILITY`, `rollback NAME`, `drop NAME` | ends an object |
//!
//! A SCAN is six words: `PREFIX FROM UNTIL START_AFTER LIMIT forward|reverse`.
//!
//! Answers: `ok`, `none`, `value BYTES`, `yes`, `no`, `count NUMBER`, `number NUMBER`, `entries KEY=VALUE…`, `keys KEY…`,
//! `values VALUE…`, `names NAME…`, `error NUMBER NAME`; and `failure TEXT` where the driver itself could not do as told.

use std::path::PathBuf;
use std::str::FromStr;

use opendb::ErrorKind;

use crate::bytes::{from_word, to_word};
use crate::{Failure, Outcome};

/// One command: what is done to the object of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The object; for those that make one, the name it gets.
    pub name: String,
    /// What is done.
    pub call: Call,
}

/// What is done to an object. See the table of the module.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words are those of the public interface and of the module's table")]
pub enum Call {
    Open { path: PathBuf, settings: Vec<(String, String)> },
    Close,
    Flush,
    Refresh,
    Compact,
    Verify,
    Drop,
    Keyspaces,
    Keyspace { keyspace: String },
    Begin { database: String },
    Snapshot { database: String },
    Batch { database: String },
    Put { keyspace: String, key: Vec<u8>, value: Vec<u8>, durability: Wait },
    Delete { keyspace: String, key: Vec<u8>, durability: Wait },
    Swap { keyspace: String, key: Vec<u8>, expected: Option<Vec<u8>>, new: Option<Vec<u8>>, durability: Wait },
    Take { keyspace: String, key: Vec<u8>, durability: Wait },
    Increment { keyspace: String, key: Vec<u8>, by: i64, durability: Wait },
    Get { keyspace: String, key: Vec<u8> },
    GetMany { keyspace: String, keys: Vec<Vec<u8>> },
    Exists { keyspace: String, key: Vec<u8> },
    Len { keyspace: String },
    ScanPrefix { keyspace: String, prefix: Vec<u8> },
    Iter { keyspace: String, keys_only: bool, scan: Range },
    Cursor { object: String, keyspace: String, keys_only: bool, scan: Range },
    Next { count: u64 },
    Compress { keyspace: String, compression: String },
    Reader { object: String, keyspace: String, key: Vec<u8> },
    Read { offset: u64, length: u64 },
    Writer { database: String, keyspace: String, key: Vec<u8>, length: u64 },
    Write { piece: Vec<u8> },
    Commit { durability: Wait },
    Rollback,
}

/// What a write or commit waits for: nothing said, or one of the two durabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wait {
    /// As the database was opened.
    #[default]
    Default,
    /// Not for the device.
    Buffered,
    /// For the device.
    Sync,
}

impl Wait {
    /// Every one, with the word for it.
    pub const ALL: [(Wait, &'static str); 3] =
        [(Wait::Default, "default"), (Wait::Buffered, "buffered"), (Wait::Sync, "sync")];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Wait::Default => "default",
            Wait::Buffered => "buffered",
            Wait::Sync => "sync",
        }
    }
}

/// What a scan asks for, in the words of the public interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Range {
    /// Only keys that begin with these bytes.
    pub prefix: Option<Vec<u8>>,
    /// Inclusive lower bound.
    pub from: Option<Vec<u8>>,
    /// Exclusive upper bound.
    pub until: Option<Vec<u8>>,
    /// Only keys after this one in the direction of the scan.
    pub start_after: Option<Vec<u8>>,
    /// At most so many entries.
    pub limit: Option<u64>,
    /// Largest key first.
    pub reverse: bool,
}

/// Keys with their values, in the order in which they were given.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// What a driver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words are those of the module's text")]
pub enum Answer {
    Ok,
    None,
    Value(Vec<u8>),
    Flag(bool),
    Count(u64),
    Number(i64),
    Entries(Entries),
    Keys(Vec<Vec<u8>>),
    Values(Vec<Option<Vec<u8>>>),
    Names(Vec<String>),
    Error { number: i32, name: String },
}

impl Answer {
    /// The answer for an error of this kind.
    #[must_use]
    pub fn error(kind: ErrorKind) -> Answer {
        Answer::Error { number: kind.code(), name: kind.name().to_owned() }
    }

    /// Whether the answer is an error of this kind, by number and by name.
    #[must_use]
    pub fn is_error(&self, kind: ErrorKind) -> bool {
        *self == Answer::error(kind)
    }

    /// The line without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        match self {
            Answer::Ok => "ok".to_owned(),
            Answer::None => "none".to_owned(),
            Answer::Value(value) => format!("value {}", to_word(value)),
            Answer::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
            Answer::Count(count) => format!("count {count}"),
            Answer::Number(number) => format!("number {number}"),
            Answer::Entries(entries) => entries.iter().fold("entries".to_owned(), |line, (key, value)| {
                line + " " + &to_word(key) + "=" + &to_word(value)
            }),
            Answer::Keys(keys) => keys.iter().fold("keys".to_owned(), |line, key| line + " " + &to_word(key)),
            Answer::Values(values) => values
                .iter()
                .fold("values".to_owned(), |line, value| line + " " + &optional_to_word(value.as_deref())),
            Answer::Names(names) => {
                names.iter().fold("names".to_owned(), |line, name| line + " " + &to_word(name.as_bytes()))
            }
            Answer::Error { number, name } => format!("error {number} {name}"),
        }
    }

    /// Reads a line of a driver.
    ///
    /// # Errors
    /// The line is none of the answers, or the driver reports that it could not do as told.
    pub fn from_line(line: &str) -> Outcome<Answer> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words = || rest.split(' ').filter(|word| !word.is_empty());
        let number = |word: &str| word.parse().map_err(|_| Failure(format!("not a number in: {line:.80}")));
        Ok(match verb {
            "ok" => Answer::Ok,
            "none" => Answer::None,
            "value" => Answer::Value(from_word(rest)?),
            "yes" => Answer::Flag(true),
            "no" => Answer::Flag(false),
            "count" => Answer::Count(rest.parse().map_err(|_| Failure(format!("not a count: {line:.80}")))?),
            "number" => {
                Answer::Number(rest.parse().map_err(|_| Failure(format!("not a number: {line:.80}")))?)
            }
            "entries" => Answer::Entries(words().map(entry_from_word).collect::<Outcome<_>>()?),
            "keys" => Answer::Keys(words().map(from_word).collect::<Outcome<_>>()?),
            "values" => Answer::Values(words().map(optional_from_word).collect::<Outcome<_>>()?),
            "names" => Answer::Names(words().map(text_from_word).collect::<Outcome<_>>()?),
            "error" => {
                let (code, name) = rest.split_once(' ').unwrap_or((rest, ""));
                Answer::Error { number: number(code)?, name: name.to_owned() }
            }
            "failure" => return Err(Failure(format!("the driver reports: {rest}"))),
            _ => return Err(Failure(format!("the driver answered with an unknown line: {line:.80}"))),
        })
    }
}

impl Command {
    /// The line without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        let name = &self.name;
        let text = |text: &String| to_word(text.as_bytes());
        match &self.call {
            Call::Open { path, settings } => settings.iter().fold(
                format!("open {name} {}", to_word(path.as_os_str().as_encoded_bytes())),
                |line, (key, value)| format!("{line} {key}={value}"),
            ),
            Call::Close => format!("close {name}"),
            Call::Flush => format!("flush {name}"),
            Call::Refresh => format!("refresh {name}"),
            Call::Compact => format!("compact {name}"),
            Call::Verify => format!("verify {name}"),
            Call::Drop => format!("drop {name}"),
            Call::Keyspaces => format!("keyspaces {name}"),
            Call::Keyspace { keyspace } => format!("keyspace {name} {}", text(keyspace)),
            Call::Begin { database } => format!("begin {name} {database}"),
            Call::Snapshot { database } => format!("snapshot {name} {database}"),
            Call::Batch { database } => format!("batch {name} {database}"),
            Call::Put { keyspace, key, value, durability } => {
                let (key, value) = (to_word(key), to_word(value));
                format!("put {name} {} {key} {value} {}", text(keyspace), durability.word())
            }
            Call::Delete { keyspace, key, durability } => {
                format!("delete {name} {} {} {}", text(keyspace), to_word(key), durability.word())
            }
            Call::Swap { .. } | Call::Take { .. } | Call::Increment { .. } => self.update_line(),
            Call::Get { keyspace, key } => format!("get {name} {} {}", text(keyspace), to_word(key)),
            Call::GetMany { keyspace, keys } => keys
                .iter()
                .fold(format!("many {name} {}", text(keyspace)), |line, key| line + " " + &to_word(key)),
            Call::Exists { keyspace, key } => format!("exists {name} {} {}", text(keyspace), to_word(key)),
            Call::Len { keyspace } => format!("len {name} {}", text(keyspace)),
            Call::ScanPrefix { keyspace, prefix } => {
                format!("scan {name} {} {}", text(keyspace), to_word(prefix))
            }
            Call::Iter { keyspace, keys_only, scan } => {
                let verb = if *keys_only { "keys" } else { "iter" };
                format!("{verb} {name} {} {}", text(keyspace), scan.to_words())
            }
            Call::Cursor { object, keyspace, keys_only, scan } => {
                let what = if *keys_only { "keys" } else { "entries" };
                format!("cursor {name} {object} {} {what} {}", text(keyspace), scan.to_words())
            }
            Call::Next { count } => format!("next {name} {count}"),
            Call::Compress { keyspace, compression } => {
                format!("compress {name} {} {compression}", text(keyspace))
            }
            Call::Reader { object, keyspace, key } => {
                format!("reader {name} {object} {} {}", text(keyspace), to_word(key))
            }
            Call::Read { offset, length } => format!("read {name} {offset} {length}"),
            Call::Writer { database, keyspace, key, length } => {
                format!("writer {name} {database} {} {} {length}", text(keyspace), to_word(key))
            }
            Call::Write { piece } => format!("write {name} {}", to_word(piece)),
            Call::Commit { durability } => format!("commit {name} {}", durability.word()),
            Call::Rollback => format!("rollback {name}"),
        }
    }

    /// The line of a command that reads and writes a key in one step.
    fn update_line(&self) -> String {
        let name = &self.name;
        let text = |text: &String| to_word(text.as_bytes());
        match &self.call {
            Call::Swap { keyspace, key, expected, new, durability } => format!(
                "swap {name} {} {} {} {} {}",
                text(keyspace),
                to_word(key),
                optional_to_word(expected.as_deref()),
                optional_to_word(new.as_deref()),
                durability.word()
            ),
            Call::Take { keyspace, key, durability } => {
                format!("take {name} {} {} {}", text(keyspace), to_word(key), durability.word())
            }
            Call::Increment { keyspace, key, by, durability } => {
                format!("increment {name} {} {} {by} {}", text(keyspace), to_word(key), durability.word())
            }
            _ => String::new(),
        }
    }

    /// Reads a line, as a driver does.
    ///
    /// # Errors
    /// The line is no command.
    pub fn from_line(line: &str) -> Outcome<Command> {
        let mut words = Words { line, rest: line.split(' ') };
        let verb = words.next()?;
        let name = words.next()?.to_owned();
        let call = match verb {
            "open" => Call::Open { path: PathBuf::from(words.text()?), settings: words.settings()? },
            "close" => Call::Close,
            "flush" => Call::Flush,
            "refresh" => Call::Refresh,
            "compact" => Call::Compact,
            "verify" => Call::Verify,
            "drop" => Call::Drop,
            "keyspaces" => Call::Keyspaces,
            "rollback" => Call::Rollback,
            "keyspace" => Call::Keyspace { keyspace: words.text()? },
            "begin" => Call::Begin { database: words.next()?.to_owned() },
            "snapshot" => Call::Snapshot { database: words.next()?.to_owned() },
            "batch" => Call::Batch { database: words.next()?.to_owned() },
            "put" => Call::Put {
                keyspace: words.text()?,
                key: words.bytes()?,
                value: words.bytes()?,
                durability: words.durability()?,
            },
            "delete" => {
                Call::Delete { keyspace: words.text()?, key: words.bytes()?, durability: words.durability()? }
            }
            "swap" => Call::Swap {
                keyspace: words.text()?,
                key: words.bytes()?,
                expected: words.optional_bytes()?,
                new: words.optional_bytes()?,
                durability: words.durability()?,
            },
            "take" => {
                Call::Take { keyspace: words.text()?, key: words.bytes()?, durability: words.durability()? }
            }
            "increment" => Call::Increment {
                keyspace: words.text()?,
                key: words.bytes()?,
                by: words.number()?,
                durability: words.durability()?,
            },
            "get" => Call::Get { keyspace: words.text()?, key: words.bytes()? },
            "many" => Call::GetMany { keyspace: words.text()?, keys: words.all_bytes()? },
            "exists" => Call::Exists { keyspace: words.text()?, key: words.bytes()? },
            "len" => Call::Len { keyspace: words.text()? },
            "scan" => Call::ScanPrefix { keyspace: words.text()?, prefix: words.bytes()? },
            "iter" => Call::Iter { keyspace: words.text()?, keys_only: false, scan: words.range()? },
            "keys" => Call::Iter { keyspace: words.text()?, keys_only: true, scan: words.range()? },
            "cursor" => Call::Cursor {
                object: words.next()?.to_owned(),
                keyspace: words.text()?,
                keys_only: words.next()? == "keys",
                scan: words.range()?,
            },
            "next" => Call::Next { count: words.number()? },
            "commit" => Call::Commit { durability: words.durability()? },
            _ => words.of_streams(verb)?,
        };
        Ok(Command { name, call })
    }
}

impl Range {
    fn to_words(&self) -> String {
        let bytes = |bytes: &Option<Vec<u8>>| optional_to_word(bytes.as_deref());
        format!(
            "{} {} {} {} {} {}",
            bytes(&self.prefix),
            bytes(&self.from),
            bytes(&self.until),
            bytes(&self.start_after),
            self.limit.map_or("-".to_owned(), |limit| limit.to_string()),
            if self.reverse { "reverse" } else { "forward" }
        )
    }
}

/// The words of a line, taken one by one.
struct Words<'a> {
    line: &'a str,
    rest: std::str::Split<'a, char>,
}

impl<'a> Words<'a> {
    fn malformed(&self) -> Failure {
        Failure(format!("not a command: {:.80}", self.line))
    }

    /// The commands on values that go piece by piece, and on how they are stored.
    fn of_streams(&mut self, verb: &str) -> Outcome<Call> {
        Ok(match verb {
            "compress" => Call::Compress { keyspace: self.text()?, compression: self.next()?.to_owned() },
            "reader" => {
                Call::Reader { object: self.next()?.to_owned(), keyspace: self.text()?, key: self.bytes()? }
            }
            "read" => Call::Read { offset: self.number()?, length: self.number()? },
            "writer" => Call::Writer {
                database: self.next()?.to_owned(),
                keyspace: self.text()?,
                key: self.bytes()?,
                length: self.number()?,
            },
            "write" => Call::Write { piece: self.bytes()? },
            _ => return Err(self.malformed()),
        })
    }

    fn next(&mut self) -> Outcome<&'a str> {
        self.rest.next().ok_or_else(|| Failure(format!("the command ends too early: {:.80}", self.line)))
    }

    fn bytes(&mut self) -> Outcome<Vec<u8>> {
        from_word(self.next()?)
    }

    fn all_bytes(&mut self) -> Outcome<Vec<Vec<u8>>> {
        self.rest.by_ref().map(from_word).collect()
    }

    fn text(&mut self) -> Outcome<String> {
        text_from_word(self.next()?)
    }

    fn number<N: FromStr>(&mut self) -> Outcome<N> {
        self.next()?.parse().map_err(|_| self.malformed())
    }

    fn optional_bytes(&mut self) -> Outcome<Option<Vec<u8>>> {
        optional_from_word(self.next()?)
    }

    fn durability(&mut self) -> Outcome<Wait> {
        let word = self.next()?;
        Wait::ALL
            .into_iter()
            .find(|entry| entry.1 == word)
            .map(|entry| entry.0)
            .ok_or_else(|| self.malformed())
    }

    fn range(&mut self) -> Outcome<Range> {
        Ok(Range {
            prefix: self.optional_bytes()?,
            from: self.optional_bytes()?,
            until: self.optional_bytes()?,
            start_after: self.optional_bytes()?,
            limit: match self.next()? {
                "-" => None,
                word => Some(word.parse().map_err(|_| self.malformed())?),
            },
            reverse: self.next()? == "reverse",
        })
    }

    fn settings(&mut self) -> Outcome<Vec<(String, String)>> {
        let mut settings = Vec::new();
        for word in self.rest.by_ref() {
            let (key, value) =
                word.split_once('=').ok_or_else(|| Failure(format!("not a setting: {word}")))?;
            settings.push((key.to_owned(), value.to_owned()));
        }
        Ok(settings)
    }
}

fn entry_from_word(word: &str) -> Outcome<(Vec<u8>, Vec<u8>)> {
    let (key, value) = word.split_once('=').ok_or_else(|| Failure(format!("not an entry: {word:.80}")))?;
    Ok((from_word(key)?, from_word(value)?))
}

fn optional_to_word(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "-".to_owned(), to_word)
}

fn optional_from_word(word: &str) -> Outcome<Option<Vec<u8>>> {
    if word == "-" { Ok(None) } else { from_word(word).map(Some) }
}

fn text_from_word(word: &str) -> Outcome<String> {
    String::from_utf8(from_word(word)?).map_err(|_| Failure(format!("not text: {word:.80}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_back() {
        let answers = [
            Answer::Ok,
            Answer::None,
            Answer::Value(vec![]),
            Answer::Value(vec![0, 255]),
            Answer::Flag(true),
            Answer::Flag(false),
            Answer::Count(u64::MAX),
            Answer::Number(i64::MIN),
            Answer::Entries(vec![]),
            Answer::Entries(vec![(vec![], vec![]), (vec![1], vec![2, 3])]),
            Answer::Keys(vec![vec![], vec![9]]),
            Answer::Values(vec![]),
            Answer::Values(vec![None, Some(vec![]), Some(vec![9, 0])]),
            Answer::Names(vec!["default".to_owned(), "späte".to_owned()]),
            Answer::error(ErrorKind::Locked),
        ];
        for answer in answers {
            assert_eq!(Answer::from_line(&answer.to_line()), Ok(answer));
        }
        for line in ["", "okay", "value", "count x", "entries x00", "failure no such object"] {
            assert!(Answer::from_line(line).is_err(), "{line:?} was taken for an answer");
        }
    }

    #[test]
    fn malformed_commands_are_refused() {
        for line in ["", "get", "get db", "get db x00", "put db x x x never", "fly db", "next i1 many"] {
            assert!(Command::from_line(line).is_err(), "{line:?} was taken for a command");
        }
    }
}
