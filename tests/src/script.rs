//! The language of the golden scripts: one command a line, in words.
//!
//! ```text
//! # a comment
//! open segment_bytes=65536          a database named db; `d2: open` names another, `at=other` is another directory
//! put default user:1="Alice\x00"    bytes: bare words, "quoted" with \" \\ \xNN, @bytes(length,number), @text(length)
//! get default user:1
//! => "Alice\x00"                    the recorded answer; nothing is recorded for a plain success
//! many default user:1 user:2        many keys with one call
//! swap default user:1 old=Bob new=Al  one that was not there has no `old`, one that is deleted no `new`
//! take default user:1
//! increment default visits by=-5
//! iter default prefix=user: from=a until=z start_after=b limit=2 reverse
//! t1: begin                         an object gets a name; `begin on d2` makes it of another database
//! t1: put default user:1=Bob sync
//! ! t1: commit                      has to fail; the kind of the error is recorded
//! => error TRANSACTION
//! i1: cursor on t1 default keys prefix=user:
//! i1: next 10
//! w1: writer default film=10        a value of ten bytes that is written piece by piece; `commit` finishes it
//! w1: write Bob
//! r1: reader on db default film     and one that is read so: so many bytes from a place on
//! r1: read 0 100
//! compress logs lz4                 the keyspace stores its values so from now on
//! compact                           gives room back; `verify` answers with the number of violations
//! reopen                            closes and opens with the same settings
//! ```
//!
//! A line `#! except c: <reason>` says that the whole script does not apply to a door; the reason is printed.

use std::path::Path;
use std::str::FromStr;

use crate::bytes::{is_bare, pattern, to_literal, to_recording};
use crate::protocol::{Answer, Call, Command, Range, Wait};
use crate::{Failure, Outcome};

/// What begins a line of a recorded answer.
const RECORDED: &str = "=> ";

/// A script as it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Lines in their order.
    pub items: Vec<Item>,
}

/// A line that is kept as it is, or a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A comment or an empty line.
    Text(String),
    /// A command with its recorded answer.
    Step(Box<Step>),
}

/// One command of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Number of the line in the file, from 1.
    pub line: usize,
    /// The line itself.
    pub source: String,
    /// Whether it has to fail.
    pub fails: bool,
    /// What is done.
    pub action: Action,
    /// The recorded answer, without the mark.
    pub recorded: Vec<String>,
}

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A command for the driver.
    Command(Command),
    /// Close the database of this name and open it as before.
    Reopen(String),
}

impl Script {
    /// Reads a script. Databases stand in or below `directory`.
    ///
    /// # Errors
    /// A line is not understood; the failure names it.
    pub fn parse(text: &str, directory: &Path) -> Outcome<Script> {
        let mut items = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let trimmed = line.trim();
            if let Some(recorded) = trimmed.strip_prefix(RECORDED) {
                match items.last_mut() {
                    Some(Item::Step(step)) => step.recorded.push(recorded.to_owned()),
                    _ => return Err(Failure(format!("line {}: an answer without a command", at + 1))),
                }
            } else if trimmed.is_empty() || trimmed.starts_with('#') {
                items.push(Item::Text(line.to_owned()));
            } else {
                let (fails, action) = parse_line(trimmed, directory)
                    .map_err(|failure| Failure(format!("line {}: {failure}: {line}", at + 1)))?;
                let source = line.to_owned();
                let recorded = Vec::new();
                items.push(Item::Step(Box::new(Step { line: at + 1, source, fails, action, recorded })));
            }
        }
        Ok(Script { items })
    }

    /// Why the script does not apply to a door, where it says so.
    #[must_use]
    pub fn exception(&self, door: &str) -> Option<&str> {
        self.items.iter().find_map(|item| match item {
            Item::Text(line) => line.strip_prefix("#! except ")?.strip_prefix(door)?.strip_prefix(": "),
            Item::Step(_) => None,
        })
    }

    /// The text of the file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for item in &self.items {
            match item {
                Item::Text(line) => text.extend([line, "\n"]),
                Item::Step(step) => {
                    text.extend([&step.source, "\n"]);
                    for line in &step.recorded {
                        text.extend([RECORDED, line, "\n"]);
                    }
                }
            }
        }
        text
    }
}

/// The lines that are recorded of an answer: none for a plain success.
#[must_use]
pub fn record(answer: &Answer) -> Vec<String> {
    let several = |lines: Vec<String>| if lines.is_empty() { vec!["(nothing)".to_owned()] } else { lines };
    match answer {
        Answer::Ok => vec![],
        Answer::None => vec!["none".to_owned()],
        Answer::Value(value) => vec![to_recording(value)],
        Answer::Flag(flag) => vec![if *flag { "yes" } else { "no" }.to_owned()],
        Answer::Count(count) => vec![count.to_string()],
        Answer::Number(number) => vec![number.to_string()],
        Answer::Entries(entries) => several(
            entries
                .iter()
                .map(|(key, value)| format!("{} = {}", to_recording(key), to_recording(value)))
                .collect(),
        ),
        Answer::Values(values) => several(
            values
                .iter()
                .map(|value| value.as_deref().map_or_else(|| "none".to_owned(), to_recording))
                .collect(),
        ),
        Answer::Keys(keys) => several(keys.iter().map(|key| to_recording(key)).collect()),
        Answer::Names(names) => several(names.iter().map(|name| to_recording(name.as_bytes())).collect()),
        Answer::Error { number, name } => {
            let known = opendb::ErrorKind::ALL.into_iter().any(|kind| answer.is_error(kind));
            let mark = if known { String::new() } else { format!(" with the wrong number {number}") };
            vec![format!("error {name}{mark}")]
        }
    }
}

/// The line of the script language for a command, so that a random run that failed can be read and kept as a script.
#[must_use]
pub fn to_source(command: &Command) -> String {
    let text = |text: &String| to_literal(text.as_bytes());
    let wait = |durability: &Wait| match durability {
        Wait::Default => String::new(),
        wait => format!(" {}", wait.word()),
    };
    let words = match &command.call {
        Call::Open { settings, .. } => {
            settings.iter().fold("open".to_owned(), |line, (key, word)| format!("{line} {key}={word}"))
        }
        Call::Close => "close".to_owned(),
        Call::Flush => "flush".to_owned(),
        Call::Refresh => "refresh".to_owned(),
        Call::Compact => "compact".to_owned(),
        Call::Verify => "verify".to_owned(),
        Call::Drop => "drop".to_owned(),
        Call::Keyspaces => "keyspaces".to_owned(),
        Call::Rollback => "rollback".to_owned(),
        Call::Keyspace { keyspace } => format!("keyspace {}", text(keyspace)),
        Call::Begin { database } => format!("begin on {database}"),
        Call::Snapshot { database } => format!("snapshot on {database}"),
        Call::Batch { database } => format!("batch on {database}"),
        Call::Put { keyspace, key, value, durability } => {
            format!("put {} {}={}{}", text(keyspace), to_literal(key), to_literal(value), wait(durability))
        }
        Call::Delete { keyspace, key, durability } => {
            format!("delete {} {}{}", text(keyspace), to_literal(key), wait(durability))
        }
        Call::Swap { keyspace, key, expected, new, durability } => {
            let equation = |word: &str, bytes: &Option<Vec<u8>>| {
                bytes.as_deref().map_or_else(String::new, |bytes| format!(" {word}={}", to_literal(bytes)))
            };
            let (expected, new) = (equation("old", expected), equation("new", new));
            format!("swap {} {}{expected}{new}{}", text(keyspace), to_literal(key), wait(durability))
        }
        Call::Take { keyspace, key, durability } => {
            format!("take {} {}{}", text(keyspace), to_literal(key), wait(durability))
        }
        Call::Increment { keyspace, key, by, durability } => {
            format!("increment {} {} by={by}{}", text(keyspace), to_literal(key), wait(durability))
        }
        Call::Get { keyspace, key } => format!("get {} {}", text(keyspace), to_literal(key)),
        Call::GetMany { keyspace, keys } => keys
            .iter()
            .fold(format!("many {}", text(keyspace)), |line, key| format!("{line} {}", to_literal(key))),
        Call::Exists { keyspace, key } => format!("exists {} {}", text(keyspace), to_literal(key)),
        Call::Len { keyspace } => format!("len {}", text(keyspace)),
        Call::ScanPrefix { keyspace, prefix } => format!("scan {} {}", text(keyspace), to_literal(prefix)),
        Call::Iter { keyspace, keys_only, scan } => {
            format!("{} {}{}", if *keys_only { "keys" } else { "iter" }, text(keyspace), range_source(scan))
        }
        Call::Cursor { object, keyspace, keys_only, scan } => {
            let what = if *keys_only { "keys" } else { "entries" };
            format!("cursor on {object} {} {what}{}", text(keyspace), range_source(scan))
        }
        Call::Next { count } => format!("next {count}"),
        Call::Compress { keyspace, compression } => format!("compress {} {compression}", text(keyspace)),
        Call::Reader { object, keyspace, key } => {
            format!("reader on {object} {} {}", text(keyspace), to_literal(key))
        }
        Call::Read { offset, length } => format!("read {offset} {length}"),
        Call::Writer { database, keyspace, key, length } => {
            format!("writer on {database} {} {}={length}", text(keyspace), to_literal(key))
        }
        Call::Write { piece } => format!("write {}", to_literal(piece)),
        Call::Commit { durability } => format!("commit{}", wait(durability)),
    };
    if command.name == DATABASE { words } else { format!("{}: {words}", command.name) }
}

/// The name of a database that a line does not name.
pub const DATABASE: &str = "db";

fn range_source(scan: &Range) -> String {
    let mut words = String::new();
    let bounds = [
        ("prefix", &scan.prefix),
        ("from", &scan.from),
        ("until", &scan.until),
        ("start_after", &scan.start_after),
    ];
    for (word, bound) in bounds {
        if let Some(bytes) = bound {
            words.push_str(&format!(" {word}={}", to_literal(bytes)));
        }
    }
    if let Some(limit) = scan.limit {
        words.push_str(&format!(" limit={limit}"));
    }
    if scan.reverse {
        words.push_str(" reverse");
    }
    words
}

/// A word of a line: a literal, or two with an equals sign between.
struct Token {
    left: Vec<u8>,
    right: Option<Vec<u8>>,
}

fn parse_line(line: &str, directory: &Path) -> Outcome<(bool, Action)> {
    let (fails, line) = match line.strip_prefix('!') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, line),
    };
    let (name, line) = match line.split_once(": ") {
        Some((name, rest)) if name.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            (name, rest.trim_start())
        }
        _ => (DATABASE, line),
    };
    let mut tokens = Tokens { entries: tokenize(line)?.into_iter().peekable() };
    let verb = tokens.text("a verb")?;
    if verb == "reopen" {
        tokens.end()?;
        return Ok((fails, Action::Reopen(name.to_owned())));
    }
    let call = parse_call(&verb, &mut tokens, directory)?;
    tokens.end()?;
    Ok((fails, Action::Command(Command { name: name.to_owned(), call })))
}

fn parse_call(verb: &str, tokens: &mut Tokens, directory: &Path) -> Outcome<Call> {
    Ok(match verb {
        "open" => parse_open(tokens, directory)?,
        "close" => Call::Close,
        "flush" => Call::Flush,
        "refresh" => Call::Refresh,
        "compact" => Call::Compact,
        "verify" => Call::Verify,
        "drop" => Call::Drop,
        "keyspaces" => Call::Keyspaces,
        "rollback" => Call::Rollback,
        "keyspace" => Call::Keyspace { keyspace: tokens.text("a keyspace")? },
        "begin" => Call::Begin { database: tokens.on()? },
        "snapshot" => Call::Snapshot { database: tokens.on()? },
        "batch" => Call::Batch { database: tokens.on()? },
        "put" => {
            let keyspace = tokens.text("a keyspace")?;
            let entry = tokens.next("key=value")?;
            let value = entry.right.ok_or("put wants key=value")?;
            Call::Put { keyspace, key: entry.left, value, durability: tokens.wait()? }
        }
        "delete" => Call::Delete {
            keyspace: tokens.text("a keyspace")?,
            key: tokens.bytes("a key")?,
            durability: tokens.wait()?,
        },
        "swap" => Call::Swap {
            keyspace: tokens.text("a keyspace")?,
            key: tokens.bytes("a key")?,
            expected: tokens.equation(b"old"),
            new: tokens.equation(b"new"),
            durability: tokens.wait()?,
        },
        "take" => Call::Take {
            keyspace: tokens.text("a keyspace")?,
            key: tokens.bytes("a key")?,
            durability: tokens.wait()?,
        },
        "increment" => Call::Increment {
            keyspace: tokens.text("a keyspace")?,
            key: tokens.bytes("a key")?,
            by: number(&tokens.equation(b"by").ok_or("increment wants by=number")?)?,
            durability: tokens.wait()?,
        },
        "get" => Call::Get { keyspace: tokens.text("a keyspace")?, key: tokens.bytes("a key")? },
        "many" => Call::GetMany { keyspace: tokens.text("a keyspace")?, keys: tokens.all_bytes()? },
        "exists" => Call::Exists { keyspace: tokens.text("a keyspace")?, key: tokens.bytes("a key")? },
        "len" => Call::Len { keyspace: tokens.text("a keyspace")? },
        "scan" => {
            Call::ScanPrefix { keyspace: tokens.text("a keyspace")?, prefix: tokens.bytes("a prefix")? }
        }
        "iter" | "keys" => Call::Iter {
            keyspace: tokens.text("a keyspace")?,
            keys_only: verb == "keys",
            scan: tokens.range()?,
        },
        "cursor" => Call::Cursor {
            object: tokens.on()?,
            keyspace: tokens.text("a keyspace")?,
            keys_only: tokens.text("entries or keys")? == "keys",
            scan: tokens.range()?,
        },
        "next" => Call::Next { count: number(&tokens.bytes("a count")?)? },
        "commit" => Call::Commit { durability: tokens.wait()? },
        _ => parse_stream_call(verb, tokens)?,
    })
}

/// The commands on values that go piece by piece, and on how they are stored.
fn parse_stream_call(verb: &str, tokens: &mut Tokens) -> Outcome<Call> {
    Ok(match verb {
        "compress" => {
            Call::Compress { keyspace: tokens.text("a keyspace")?, compression: tokens.text("none or lz4")? }
        }
        "reader" => Call::Reader {
            object: tokens.on()?,
            keyspace: tokens.text("a keyspace")?,
            key: tokens.bytes("a key")?,
        },
        "read" => Call::Read {
            offset: number(&tokens.bytes("an offset")?)?,
            length: number(&tokens.bytes("a length")?)?,
        },
        "writer" => {
            let (database, keyspace) = (tokens.on()?, tokens.text("a keyspace")?);
            let entry = tokens.next("key=length")?;
            let length = number(&entry.right.ok_or("writer wants key=length")?)?;
            Call::Writer { database, keyspace, key: entry.left, length }
        }
        "write" => Call::Write { piece: tokens.bytes("a piece")? },
        _ => return Err(Failure(format!("unknown verb {verb}"))),
    })
}

fn parse_open(tokens: &mut Tokens, directory: &Path) -> Outcome<Call> {
    let mut path = directory.to_owned();
    let mut settings = Vec::new();
    for token in tokens.entries.by_ref() {
        let (key, word) = (utf8(token.left)?, utf8(token.right.ok_or("open wants setting=word")?)?);
        if key == "at" {
            path.push(word);
        } else {
            settings.push((key, word));
        }
    }
    Ok(Call::Open { path, settings })
}

/// The words of a line that were not read yet.
struct Tokens {
    entries: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl Tokens {
    fn next(&mut self, what: &str) -> Outcome<Token> {
        self.entries.next().ok_or_else(|| Failure(format!("{what} is missing")))
    }

    fn end(&mut self) -> Outcome<()> {
        match self.entries.next() {
            None => Ok(()),
            Some(_) => Err("a word too many".into()),
        }
    }

    fn all_bytes(&mut self) -> Outcome<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        while self.entries.peek().is_some() {
            all.push(self.bytes("a key")?);
        }
        Ok(all)
    }

    fn bytes(&mut self, what: &str) -> Outcome<Vec<u8>> {
        let token = self.next(what)?;
        if token.right.is_some() {
            return Err(Failure(format!("{what} is wanted, not an equation")));
        }
        Ok(token.left)
    }

    fn text(&mut self, what: &str) -> Outcome<String> {
        utf8(self.bytes(what)?)
    }

    /// `on <name>`, or the database that needs no name.
    fn on(&mut self) -> Outcome<String> {
        if self.entries.next_if(|token| token.left == b"on" && token.right.is_none()).is_some() {
            return self.text("a name");
        }
        Ok(DATABASE.to_owned())
    }

    /// What is said to be equal to this word, if that comes next.
    fn equation(&mut self, word: &[u8]) -> Option<Vec<u8>> {
        self.entries.next_if(|token| token.left == word && token.right.is_some())?.right
    }

    fn wait(&mut self) -> Outcome<Wait> {
        let Some(token) = self.entries.next() else {
            return Ok(Wait::Default);
        };
        let word = utf8(token.left)?;
        let known = Wait::ALL.into_iter().find(|entry| entry.1 == word);
        known.map(|entry| entry.0).ok_or_else(|| Failure(format!("{word} is not a durability")))
    }

    fn range(&mut self) -> Outcome<Range> {
        let mut range = Range::default();
        for token in self.entries.by_ref() {
            match (token.left.as_slice(), token.right) {
                (b"prefix", Some(bytes)) => range.prefix = Some(bytes),
                (b"from", Some(bytes)) => range.from = Some(bytes),
                (b"until", Some(bytes)) => range.until = Some(bytes),
                (b"start_after", Some(bytes)) => range.start_after = Some(bytes),
                (b"limit", Some(digits)) => range.limit = Some(number(&digits)?),
                (b"reverse", None) => range.reverse = true,
                _ => return Err("a word that no scan knows".into()),
            }
        }
        Ok(range)
    }
}

fn number<N: FromStr>(digits: &[u8]) -> Outcome<N> {
    std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or("a number is wanted".into())
}

fn utf8(bytes: Vec<u8>) -> Outcome<String> {
    String::from_utf8(bytes).map_err(|_| "a name has to be text".into())
}

fn tokenize(line: &str) -> Outcome<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = line.as_bytes();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Ok(tokens);
        }
        let left = literal(&mut rest)?;
        let right = match rest.strip_prefix(b"=") {
            Some(after) => {
                rest = after;
                Some(literal(&mut rest)?)
            }
            None => None,
        };
        if !(rest.is_empty() || rest.starts_with(b" ")) {
            return Err("words are separated by spaces".into());
        }
        tokens.push(Token { left, right });
    }
}

/// Takes one literal off the front.
fn literal(rest: &mut &[u8]) -> Outcome<Vec<u8>> {
    match rest.first() {
        Some(b'"') => quoted(rest),
        Some(b'@') => generated(rest),
        _ => {
            let end = rest.iter().position(|byte| !is_bare(*byte)).unwrap_or(rest.len());
            if end == 0 {
                return Err("a word is wanted; no bytes at all are \"\"".into());
            }
            let (word, after) = rest.split_at(end);
            *rest = after;
            Ok(word.to_vec())
        }
    }
}

fn quoted(rest: &mut &[u8]) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut input = rest[1..].iter().copied();
    loop {
        match input.next() {
            None => return Err("a quote is not closed".into()),
            Some(b'"') => break,
            Some(b'\\') => match input.next() {
                Some(b'x') => {
                    let digits = [input.next(), input.next()].map(|byte| byte.unwrap_or(b' '));
                    let digits = std::str::from_utf8(&digits).unwrap_or_default();
                    bytes.push(
                        u8::from_str_radix(digits, 16).map_err(|_| Failure("\\x wants two digits".into()))?,
                    );
                }
                Some(byte @ (b'"' | b'\\')) => bytes.push(byte),
                _ => return Err("the escapes are \\\" \\\\ \\xNN".into()),
            },
            Some(byte) => bytes.push(byte),
        }
    }
    *rest = &rest[rest.len() - input.len()..];
    Ok(bytes)
}

/// `@bytes(length)`, `@bytes(length,number)`, `@text(length)`.
fn generated(rest: &mut &[u8]) -> Outcome<Vec<u8>> {
    let end = rest.iter().position(|byte| *byte == b')').ok_or("a parenthesis is not closed")?;
    let (word, after) = rest.split_at(end);
    *rest = &after[1..];
    let word = std::str::from_utf8(word).unwrap_or_default();
    let (what, arguments) = word.split_once('(').ok_or("a parenthesis is missing")?;
    let (length, seed) = arguments.split_once(',').unwrap_or((arguments, "0"));
    let length: usize = number(length.as_bytes())?;
    let seed: u8 = number(seed.as_bytes())?;
    match what {
        "@bytes" => Ok(pattern(length, seed)),
        "@text" => Ok(vec![b'n'; length]),
        _ => Err(Failure(format!("unknown literal {what}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(text: &str) -> Vec<Command> {
        let script = Script::parse(text, Path::new("/base")).unwrap();
        assert_eq!(script.to_text(), text, "the file changes by being read");
        script
            .items
            .into_iter()
            .filter_map(|item| match item {
                Item::Step(step) => Some(step.action),
                Item::Text(_) => None,
            })
            .filter_map(|action| match action {
                Action::Command(command) => Some(command),
                Action::Reopen(_) => None,
            })
            .collect()
    }

    const EVERYTHING: &str = "open segment_bytes=65536 append=write\n\
        put default user:1=\"Al\\x00ice\\\"\\\\\"\n\
        put logs \"\"=\"\" sync\n\
        delete default \"a b\" buffered\n\
        swap default k old=a new=\"\" sync\nswap default k new=a\nswap default k old=a\ntake default k\nincrement default k by=-5\n\
        get default k\nexists default k\nlen logs\nscan default \"\"\n\
        iter default prefix=a from=a until=\"\\xff\" start_after=ab limit=2 reverse\n\
        keys default\n\
        keyspace logs\nkeyspaces\nflush\nrefresh\n\
        t1: begin on db\ns1: snapshot on db\nb1: batch on db\n\
        i1: cursor on t1 default keys prefix=u\ni1: next 3\n\
        put default k=@bytes(100,7)\n\
        b1: commit sync\nt1: commit\nt2: rollback\ns1: drop\nclose\n";

    #[test]
    fn every_line_survives_the_protocol_and_comes_back_as_source() {
        let commands = commands(EVERYTHING);
        assert_eq!(commands.len(), EVERYTHING.lines().count());
        for (command, line) in commands.iter().zip(EVERYTHING.lines()) {
            assert_eq!(Command::from_line(&command.to_line()), Ok(command.clone()));
            assert_eq!(to_source(command), line);
        }
    }

    #[test]
    fn an_exception_is_for_one_door_and_has_a_reason() {
        let script = Script::parse("#! except c: it has no such call\nopen\n", Path::new("/base")).unwrap();
        assert_eq!(script.exception("c"), Some("it has no such call"));
        assert_eq!(script.exception("node"), None);
    }

    #[test]
    fn answers_belong_to_the_command_above() {
        let text = "# about\n\n! t1: commit\n=> error TRANSACTION\nreopen\n";
        let script = Script::parse(text, Path::new("/base")).unwrap();
        assert_eq!(script.to_text(), text);
        let Some(Item::Step(step)) = script.items.get(2) else { panic!("not a step: {script:?}") };
        assert!(step.fails);
        assert_eq!(step.recorded, ["error TRANSACTION"]);
        assert_eq!(step.line, 3);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        for line in [
            "fly",
            "put default k",
            "put default k=",
            "get default",
            "get default a b",
            "get default \"a",
            "iter default sideways",
            "iter default limit=x",
            "get default @bytes(",
            "get default \"\\x0\"",
            "commit soon",
            "=> none",
            "put default k=v=w",
        ] {
            let failure = Script::parse(&format!("# first\n{line}\n"), Path::new("/base")).unwrap_err();
            assert!(failure.0.contains("line 2"), "{line}: {failure}");
        }
    }

    #[test]
    fn a_wrong_number_of_a_kind_shows() {
        let right = Answer::Error { number: 8, name: "CLOSED".to_owned() };
        assert_eq!(record(&right), ["error CLOSED"]);
        let wrong = Answer::Error { number: 9, name: "CLOSED".to_owned() };
        assert_eq!(record(&wrong), ["error CLOSED with the wrong number 9"]);
    }
}
