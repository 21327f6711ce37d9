//! Doing what is asked for.

use std::collections::HashSet;
use std::io::{self, BufWriter, IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use opendb::{Batch, Durability, Keyspace, OpenDB, Options};
use serde_json::{Map, Value, json};

use crate::arguments::{
    Backup, Command, Compact, Delete, Dump, Get, Keyspaces, Load, Put, Salvage, Scan, Stat, Verify, Wait,
};
use crate::report::{self, Report as _};
use crate::text::{from_base64, given, shown, to_base64};
use crate::{Failure, Outcome};

/// So many entries are stored with one commit by `load`.
const LOADED_AT_ONCE: usize = 1000;

/// Does what a command line says.
pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::Stat(arguments) => stat(&arguments),
        Command::Get(arguments) => get(&arguments),
        Command::Put(arguments) => put(&arguments),
        Command::Delete(arguments) => delete(&arguments),
        Command::Scan(arguments) => scan(&arguments),
        Command::Keyspaces(arguments) => keyspaces(&arguments),
        Command::Dump(arguments) => dump(&arguments),
        Command::Load(arguments) => load(&arguments),
        Command::Verify(arguments) => verify(&arguments),
        Command::Salvage(arguments) => salvage(&arguments),
        Command::Compact(arguments) => compact(&arguments),
        Command::Backup(arguments) => backup(&arguments),
    }
}

fn writing(path: &Path, wait: &Wait, create: bool) -> opendb::Result<OpenDB> {
    OpenDB::open_with_options(path, Options::new().create(create).lock_timeout(wait.lock_timeout))
}

fn keyspace_to_read(path: &Path, name: &str) -> opendb::Result<Keyspace> {
    OpenDB::open_read_only(path)?.keyspace(name)
}

fn stat(arguments: &Stat) -> Outcome {
    let stats = OpenDB::open_read_only(&arguments.place.database)?.stats()?;
    report::print(&stats, arguments.output.json)?;
    Ok(true)
}

fn get(arguments: &Get) -> Outcome {
    let data = &arguments.data;
    let keyspace = keyspace_to_read(&arguments.place.database, &data.keyspace)?;
    let value = keyspace.get(&given(&arguments.key, data.hex)?)?;
    if arguments.output.json {
        report::print_json(&json!({ "value": value.as_deref().map(to_base64) }))?;
    } else if let Some(value) = &value {
        let mut output = io::stdout().lock();
        if data.hex || output.is_terminal() {
            writeln!(output, "{}", shown(value, data.hex))?;
        } else {
            output.write_all(value)?;
            output.flush()?;
        }
    }
    Ok(value.is_some())
}

fn put(arguments: &Put) -> Outcome {
    let data = &arguments.data;
    let key = given(&arguments.key, data.hex)?;
    let value = match &arguments.value {
        Some(value) => given(value, data.hex)?,
        None => {
            let mut value = Vec::new();
            io::stdin().lock().read_to_end(&mut value)?;
            value
        }
    };
    let database = writing(&arguments.place.database, &arguments.wait, true)?;
    database.keyspace(&data.keyspace)?.put_with(&key, &value, Durability::Sync)?;
    database.close()?;
    Ok(true)
}

fn delete(arguments: &Delete) -> Outcome {
    let data = &arguments.data;
    let key = given(&arguments.key, data.hex)?;
    let database = writing(&arguments.place.database, &arguments.wait, false)?;
    let was_there = database.keyspace(&data.keyspace)?.take_with(&key, Durability::Sync)?.is_some();
    database.close()?;
    Ok(was_there)
}

fn scan(arguments: &Scan) -> Outcome {
    let (data, json) = (&arguments.data, arguments.output.json);
    let wanted = wanted(arguments)?;
    let keyspace = keyspace_to_read(&arguments.place.database, &data.keyspace)?;
    let mut output = BufWriter::new(io::stdout().lock());
    if arguments.keys {
        let mut keys = keyspace.keys(&wanted)?;
        while let Some(key) = keys.next_ref().transpose()? {
            match json {
                true => writeln!(output, "{}", json!({ "key": to_base64(key) }))?,
                false => writeln!(output, "{}", shown(key, data.hex))?,
            }
        }
    } else {
        let mut entries = keyspace.iter(&wanted)?;
        while let Some((key, value)) = entries.next_ref().transpose()? {
            match json {
                true => {
                    writeln!(output, "{}", json!({ "key": to_base64(key), "value": to_base64(value) }))?;
                }
                false => writeln!(output, "{}\t{}", shown(key, data.hex), shown(value, data.hex))?,
            }
        }
    }
    output.flush()?;
    Ok(true)
}

/// The entries that a scan is of.
fn wanted(arguments: &Scan) -> Result<opendb::Scan, Failure> {
    let bytes = |text: &std::ffi::OsString| given(text, arguments.data.hex);
    let prefix = arguments.prefix.as_ref().map(bytes).transpose()?;
    let mut scan = prefix.map_or_else(opendb::Scan::all, opendb::Scan::prefix);
    if let Some(key) = &arguments.start {
        scan = scan.from(bytes(key)?);
    }
    if let Some(key) = &arguments.end {
        scan = scan.until(bytes(key)?);
    }
    if let Some(key) = &arguments.start_after {
        scan = scan.start_after(bytes(key)?);
    }
    if let Some(limit) = arguments.limit {
        scan = scan.limit(limit);
    }
    Ok(if arguments.reverse { scan.reverse() } else { scan })
}

fn keyspaces(arguments: &Keyspaces) -> Outcome {
    let database = OpenDB::open_read_only(&arguments.place.database)?;
    let mut counts = Map::new();
    for name in database.keyspaces()? {
        let count = database.keyspace(&name)?.len()?;
        counts.insert(name, json!(count));
    }
    if arguments.output.json {
        report::print_json(&Value::Object(counts))?;
        return Ok(true);
    }
    let mut output = io::stdout().lock();
    for (name, count) in &counts {
        writeln!(output, "{}\t{count}", shown(name.as_bytes(), false))?;
    }
    Ok(true)
}

fn dump(arguments: &Dump) -> Outcome {
    let database = OpenDB::open_read_only(&arguments.place.database)?;
    let snapshot = database.snapshot()?;
    let names = match &arguments.keyspace {
        Some(name) => vec![name.clone()],
        None => database.keyspaces()?,
    };
    let mut output = BufWriter::new(io::stdout().lock());
    for name in names {
        let mut entries = snapshot.keyspace(&name)?.iter(&opendb::Scan::all())?;
        while let Some((key, value)) = entries.next_ref().transpose()? {
            let entry = json!({ "keyspace": name, "key": to_base64(key), "value": to_base64(value) });
            writeln!(output, "{entry}")?;
        }
    }
    output.flush()?;
    Ok(true)
}

fn load(arguments: &Load) -> Outcome {
    let database = writing(&arguments.place.database, &arguments.wait, true)?;
    let mut loading = Loading::new(&database)?;
    let read = loading.read(io::stdin().lock());
    // What stands before a line that cannot be read is loaded.
    loading.commit()?;
    report::complain(&format!("{} entries loaded", loading.loaded));
    read?;
    database.flush()?;
    database.close()?;
    Ok(true)
}

/// Entries on their way into a database.
struct Loading<'a> {
    database: &'a OpenDB,
    /// Keyspaces that are there.
    known: HashSet<String>,
    batch: Batch,
    loaded: usize,
}

impl<'a> Loading<'a> {
    fn new(database: &'a OpenDB) -> opendb::Result<Loading<'a>> {
        let known = database.keyspaces()?.into_iter().collect();
        Ok(Loading { database, known, batch: database.batch(), loaded: 0 })
    }

    /// Stores entries that stand one a line.
    fn read(&mut self, input: impl io::BufRead) -> Result<(), Failure> {
        for (line, number) in input.split(b'\n').zip(1_u64..) {
            let line = line?;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let (keyspace, key, value) = parse_entry(&line).ok_or_else(|| {
                let expected = "give an object with keyspace, key and value, the last two in base64";
                Failure::Input(format!("line {number} is no entry: {expected}"))
            })?;
            if !self.known.contains(&keyspace) {
                self.database.keyspace(&keyspace)?;
                self.known.insert(keyspace.clone());
            }
            self.batch.put(&keyspace, &key, &value)?;
            if self.batch.len() >= LOADED_AT_ONCE {
                self.commit()?;
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> opendb::Result<()> {
        let batch = std::mem::replace(&mut self.batch, self.database.batch());
        let count = batch.len();
        batch.commit()?;
        self.loaded += count;
        Ok(())
    }
}

/// Keyspace, key and value of an entry as `dump` prints it.
fn parse_entry(line: &[u8]) -> Option<(String, Vec<u8>, Vec<u8>)> {
    let entry: Value = serde_json::from_slice(line).ok()?;
    let entry = entry.as_object()?;
    let keyspace = entry.get("keyspace").map_or(Some("default"), Value::as_str)?;
    let part = |name: &str| entry.get(name).and_then(Value::as_str).and_then(from_base64);
    Some((keyspace.to_owned(), part("key")?, part("value")?))
}

fn verify(arguments: &Verify) -> Outcome {
    let options = Options::new().create(false).read_damaged(true);
    let database = OpenDB::open_with_options(&arguments.place.database, options)?;
    let found = database.verify()?;
    let damaged = database.stats()?.recovery.damaged;
    let is_whole = damaged.is_empty() && found.violations.is_empty();
    if arguments.output.json {
        let mut fields = found.fields();
        fields["damaged"] = json!(damaged);
        report::print_json(&fields)?;
        return Ok(is_whole);
    }
    let mut output = io::stdout().lock();
    for damage in &damaged {
        writeln!(output, "damaged: {damage}")?;
    }
    for violation in &found.violations {
        writeln!(output, "segment {}, offset {}: {}", violation.segment, violation.offset, violation.reason)?;
    }
    let counts = (found.records, found.keys, found.segments);
    writeln!(output, "{} records and {} keys in {} segments", counts.0, counts.1, counts.2)?;
    if !is_whole {
        let advice = "salvage makes a new database of what can be read";
        writeln!(output, "not whole: {advice}, and tells what cannot")?;
    }
    Ok(is_whole)
}

fn salvage(arguments: &Salvage) -> Outcome {
    let salvaged = OpenDB::salvage(&arguments.place.database, &arguments.into)?;
    report::print(&salvaged, arguments.output.json)?;
    Ok(salvaged.lost.is_empty())
}

fn compact(arguments: &Compact) -> Outcome {
    let database = writing(&arguments.place.database, &arguments.wait, false)?;
    let bar = ProgressBar::new(0);
    if arguments.output.json {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left") {
        bar.set_style(style);
    }
    let compaction = database.compact_with(|progress| {
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes_done);
        true
    })?;
    bar.finish_and_clear();
    report::print(&compaction, arguments.output.json)?;
    database.close()?;
    Ok(true)
}

fn backup(arguments: &Backup) -> Outcome {
    let database = writing(&arguments.place.database, &arguments.wait, false)?;
    report::print(&database.backup(&arguments.directory)?, arguments.output.json)?;
    database.close()?;
    Ok(true)
}
