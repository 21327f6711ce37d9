//! `readers`: processes that read beside one that writes: how soon they see a commit, what their gets cost, how much memory many of
//! them take, and what the writer pays for them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use opendb::{OpenDB, Options};
use serde_json::{Value, json};

use crate::child::Database;
use crate::flags::{Flags, Sizes};
use crate::report::{Line, Report, Target};
use opendb_measure::child::{number, this_program};
use opendb_measure::histogram::Histogram;
use opendb_measure::numbers::median;
use opendb_measure::system;
use opendb_measure::workload::{KEY_BYTES, Random, Values, version_of};

/// Readers whose memory is compared with that of one.
const READERS: usize = 8;
/// Readers that do nothing while puts are measured.
const IDLE_READERS: usize = 4;
/// The key whose value is the time of its commit.
const STAMP: &[u8] = b"stamp";
/// Stands for the end of the stamps.
const NO_MORE: u64 = u64::MAX;
const BETWEEN_STAMPS: Duration = Duration::from_millis(5);
const NANOSECONDS_PER_MILLISECOND: f64 = 1e6;

pub(crate) fn run(flags: &Flags, report: &mut Report) -> Result<()> {
    let rounds = flags.rounds(Sizes(5, 1));
    let directory = flags.directory()?;
    let database = Database {
        path: directory.path().join("db"),
        keys: flags.keys(Sizes(5_000_000, 5000)),
        value_bytes: flags.value_bytes(100),
        seed: flags.seed,
    };
    let (stamps, calls, cycles) = if flags.short { (20, 2000, 20) } else { (1000, 1_000_000, 100_000) };
    report.parameters(json!({
        "keys": database.keys,
        "key_bytes": KEY_BYTES,
        "value_bytes": database.value_bytes,
        "rounds": rounds,
    }));
    let db = OpenDB::open(&database.path)?;
    database.load(&db)?;
    db.flush()?;
    lag(report, &db, &database, stamps)?;
    gets(report, &db, &database, calls, rounds)?;
    puts(report, &db, &database, calls, rounds)?;
    let mut one = Reader::start(&database)?;
    let left = one.ask(&format!("cycles {cycles}"))?;
    let leaked = number(&left, "descriptors")? + number(&left, "maps")?;
    report.line(
        &Line::new("descriptors and maps left after many openings of a reader", "count", leaked)
            .target(Target::AtMost(0.0))
            .details(left),
    );
    drop(one);
    // Half of what a lone reader shares with the writer would be counted as the writer's.
    db.close()?;
    memory(report, &database)
}

fn lag(report: &mut Report, db: &OpenDB, database: &Database, stamps: u64) -> Result<()> {
    db.put(STAMP, &0_u64.to_le_bytes())?;
    let mut reader = Reader::start(database)?;
    reader.tell("lag")?;
    for _ in 0..stamps {
        std::thread::sleep(BETWEEN_STAMPS);
        db.put(STAMP, &now()?.to_le_bytes())?;
    }
    std::thread::sleep(BETWEEN_STAMPS);
    db.put(STAMP, &NO_MORE.to_le_bytes())?;
    let seen = reader.answer()?;
    for (name, part, most) in [
        ("from a commit to its sight in another process, median", "median", 2.0),
        ("from a commit to its sight in another process, 99th percentile", "p99", 10.0),
    ] {
        let milliseconds = number(&seen, part)? / NANOSECONDS_PER_MILLISECOND;
        report.line(&Line::new(name, "ms", milliseconds).target(Target::AtMost(most)).details(seen.clone()));
    }
    Ok(())
}

/// A reader's gets beside the writer's own, in turns.
fn gets(report: &mut Report, db: &OpenDB, database: &Database, calls: u64, rounds: u64) -> Result<()> {
    let mut reader = Reader::start(database)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (own, other) =
            (gets_of(db, database, calls)?, number(&reader.ask(&format!("gets {calls}"))?, "nanoseconds")?);
        // The first one makes everything known.
        if round > 0 {
            ours.push(own);
            theirs.push(other);
        }
    }
    report.line(
        &Line::new("a reader's get beside the writer's own", "ratio", median(&theirs) / median(&ours))
            .target(Target::AtMost(1.2))
            .details(json!({"writer_ns": ours, "reader_ns": theirs})),
    );
    Ok(())
}

/// The writer's puts with and without readers that do nothing, in turns.
fn puts(report: &mut Report, db: &OpenDB, database: &Database, calls: u64, rounds: u64) -> Result<()> {
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let nanoseconds = puts_of(db, database, calls, 2 * round)?;
        let readers = (0..IDLE_READERS).map(|_| Reader::start(database)).collect::<Result<Vec<_>>>()?;
        let nanoseconds_beside = puts_of(db, database, calls, 2 * round + 1)?;
        drop(readers);
        if round > 0 {
            alone.push(nanoseconds);
            beside.push(nanoseconds_beside);
        }
    }
    report.line(
        &Line::new("a put beside four idle readers and without", "ratio", median(&beside) / median(&alone))
            .target(Target::AtMost(1.05))
            .details(json!({"without_ns": alone, "beside_ns": beside})),
    );
    Ok(())
}

/// What many readers take of memory that is shared among them, when each has looked at every key.
fn memory(report: &mut Report, database: &Database) -> Result<()> {
    let mut readers = Vec::new();
    let mut of_one = 0.0;
    while readers.len() < READERS {
        let mut reader = Reader::start(database)?;
        reader.ask("all")?;
        readers.push(reader);
        if readers.len() == 1 {
            of_one = proportional_bytes(&mut readers)?;
        }
    }
    let of_all = proportional_bytes(&mut readers)?;
    report.line(
        &Line::new("memory of eight readers beside that of one", "ratio", of_all / of_one)
            .target(Target::AtMost(2.0))
            .details(json!({"one_bytes": of_one, "eight_bytes": of_all})),
    );
    Ok(())
}

fn proportional_bytes(readers: &mut [Reader]) -> Result<f64> {
    readers.iter_mut().map(|reader| number(&reader.ask("memory")?, "bytes")).sum()
}

fn gets_of(db: &OpenDB, database: &Database, calls: u64) -> Result<f64> {
    let (keys, mut random) = (database.keys(), Random::new(database.seed));
    let begin = Instant::now();
    for _ in 0..calls {
        let key = keys.key(random.below(database.keys));
        ensure!(db.get(&key)?.is_some(), "a key that was put is not there");
    }
    Ok(begin.elapsed().as_nanos() as f64 / calls as f64)
}

fn puts_of(db: &OpenDB, database: &Database, calls: u64, version: u64) -> Result<f64> {
    let (keys, mut random) = (database.keys(), Random::new(database.seed ^ version));
    let mut values = Values::new(database.value_bytes);
    let begin = Instant::now();
    for _ in 0..calls {
        let key = keys.key(random.below(database.keys));
        db.put(&key, values.value(&key, version))?;
    }
    Ok(begin.elapsed().as_nanos() as f64 / calls as f64)
}

/// Nanoseconds by the clock that all processes of a machine share.
fn now() -> Result<u64> {
    Ok(SystemTime::UNIX_EPOCH.elapsed().context("looking at the clock")?.as_nanos() as u64)
}

/// A process that reads, and does what it is told by a line. It ends with its input.
struct Reader {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Reader {
    fn start(database: &Database) -> Result<Reader> {
        let mut command: Command = this_program();
        database.add_arguments(command.args(["child", "reader"]));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("starting a reader")?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("a reader without an output")?);
        let mut reader = Reader { child, input, output };
        reader.ask("gets 1")?;
        Ok(reader)
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().context("a reader without an input")?;
        writeln!(input, "{line}").and_then(|()| input.flush()).context("telling a reader")
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.output.read_line(&mut line).context("listening to a reader")?;
        serde_json::from_str(&line).context("reading what a reader said")
    }

    fn ask(&mut self, line: &str) -> Result<Value> {
        self.tell(line)?;
        self.answer()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ended = self.child.wait();
    }
}

/// The work of such a process.
pub(crate) fn read(database: &Database) -> Result<()> {
    let open = || OpenDB::open_with_options(&database.path, Options::new().read_only(true));
    let mut db = open()?;
    for line in std::io::stdin().lines() {
        let line = line.context("reading what to do")?;
        let (what, count) = line.split_once(' ').unwrap_or((&line, "0"));
        let count: u64 = count.parse().with_context(|| format!("doing {line:?}"))?;
        let answer = match what {
            "gets" => json!({"nanoseconds": gets_of(&db, database, count)?}),
            "lag" => lag_of(&db)?,
            "all" => {
                let keys = database.keys();
                for number in 0..database.keys {
                    let key = keys.key(number);
                    version_of(&key, &db.get(&key)?.context("a key that was put is not there")?)?;
                }
                json!({})
            }
            "memory" => json!({"bytes": system::proportional_bytes()?}),
            _ => {
                // An open one would be shared by those that are opened beside it.
                db.close()?;
                let before = open_things()?;
                for _ in 0..count {
                    open()?.close()?;
                }
                let after = open_things()?;
                db = open()?;
                json!({"cycles": count, "descriptors": after.0 - before.0, "maps": after.1 - before.1})
            }
        };
        let mut output = std::io::stdout().lock();
        writeln!(output, "{answer}").and_then(|()| output.flush()).context("answering")?;
    }
    Ok(())
}

/// Looks for the next stamp again and again, and tells how old each was when it was seen.
fn lag_of(db: &OpenDB) -> Result<Value> {
    let (mut last, mut ages) = (0, Histogram::new());
    while last != NO_MORE {
        let value = db.get(STAMP)?.context("the stamp is not there")?;
        let stamp = u64::from_le_bytes(value.as_slice().try_into().context("reading a stamp")?);
        let seen = now()?;
        if stamp > last && stamp != NO_MORE {
            ages.add(seen.saturating_sub(stamp));
        }
        last = stamp;
    }
    Ok(json!({
        "median": ages.quantile(0.5),
        "p99": ages.quantile(0.99),
        "slowest": ages.slowest(),
        "stamps": ages.count(),
    }))
}

/// Descriptors and maps of this process.
fn open_things() -> Result<(i64, i64)> {
    let descriptors = std::fs::read_dir("/proc/self/fd").context("counting descriptors")?.count();
    let maps = std::fs::read_to_string("/proc/self/maps").context("counting maps")?;
    // Those of files; the allocator's come and go.
    let maps = maps.lines().filter(|line| line.contains("/db/")).count();
    Ok((descriptors as i64, maps as i64))
}
