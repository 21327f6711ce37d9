//! Medians and ratios of what was measured, as tables, as charts and for programs.
//!
//! It knows nothing of how it was measured: the runners for other languages fill it from their lines ([`crate::lines`]).

use std::collections::BTreeSet;

use opendb_measure::machine::Machine;
use opendb_measure::numbers::{grouped, median};
use serde_json::{Map, Value, json};

use crate::chart::{Bar, Block, Look};
use crate::clock::Timing;
use crate::rows::{Group, Row, Unit};
use crate::run::{Outcome, Sample};

/// Raised when fields of the file for programs change their meaning.
pub(crate) const FORMAT: u32 = 1;
/// The store that this is about.
const OWN: &str = "opendb";
/// The one that stands in the summary by name.
const LMDB: &str = "lmdb";

/// What a reader must know of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreNotes {
    /// The name in samples and files.
    pub(crate) id: String,
    /// The name in tables.
    pub(crate) name: String,
    /// What was measured of it.
    pub(crate) version: String,
    /// Whether what it holds is there when it is opened again, so that others may be held against it.
    pub(crate) persistent: bool,
    /// The setting in which a put survives the process.
    pub(crate) survives: String,
    /// The setting in which a put is on the device, where that was measured.
    pub(crate) durable: Option<String>,
    /// What was done to settle it.
    pub(crate) settling: String,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conditions {
    /// The language of the program that used the stores.
    pub(crate) language: String,
    /// How many keys were loaded.
    pub(crate) keys: u64,
    /// Length of their values.
    pub(crate) value_bytes: u64,
    /// Start of the random numbers.
    pub(crate) seed: u64,
    /// How often every store was measured.
    pub(crate) rounds: u64,
    /// For how long a row was measured at most.
    pub(crate) seconds_per_row: f64,
}

/// Everything a run measured.
pub(crate) struct Report {
    /// What was asked for.
    pub(crate) asked: Conditions,
    /// Where.
    pub(crate) machine: Machine,
    /// The stores that took part.
    pub(crate) stores: Vec<StoreNotes>,
    /// The rows that were asked for, in the order of all rows.
    pub(crate) rows: Vec<&'static Row>,
    /// What came of it.
    pub(crate) samples: Vec<Sample>,
    /// The stores that took no part, with the reason where there is one.
    pub(crate) left_out: Vec<String>,
}

impl Report {
    fn samples_of(&self, store: &StoreNotes, row: &Row) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.store == store.id && sample.row == row)
    }

    fn store(&self, id: &str) -> Option<&StoreNotes> {
        self.stores.iter().find(|store| store.id == id)
    }

    /// The median over the rounds of one number of the timings.
    fn median_of(&self, store: &StoreNotes, row: &Row, number: impl Fn(&Timing) -> f64) -> Option<f64> {
        let timings = self.samples_of(store, row).filter_map(|sample| match &sample.outcome {
            Outcome::Timing(timing) => Some(number(timing)),
            _ => None,
        });
        let numbers: Vec<f64> = timings.collect();
        (!numbers.is_empty()).then(|| median(&numbers))
    }

    /// What the row counts: the median over the rounds.
    pub(crate) fn value(&self, store: &StoreNotes, row: &Row) -> Option<f64> {
        if row.unit == Unit::Time {
            return self.median_of(store, row, |timing| timing.mean);
        }
        let counted = self.samples_of(store, row).filter_map(|sample| match sample.outcome {
            Outcome::Bytes(bytes) => Some(bytes as f64),
            _ => None,
        });
        let counted: Vec<f64> = counted.collect();
        (!counted.is_empty()).then(|| median(&counted))
    }

    /// Why the store has nothing to show in the row.
    fn lacks(&self, store: &StoreNotes, row: &Row) -> Option<&str> {
        self.samples_of(store, row).find_map(|sample| match &sample.outcome {
            Outcome::Lacks(reason) => Some(reason.as_str()),
            _ => None,
        })
    }

    /// The best of the other stores whose data can be opened again.
    pub(crate) fn best_other(&self, row: &Row) -> Option<(&StoreNotes, f64)> {
        let others = self.stores.iter().filter(|store| store.id != OWN && store.persistent);
        let values = others.filter_map(|store| Some((store, self.value(store, row)?)));
        values.min_by(|(_, one), (_, other)| one.total_cmp(other))
    }

    /// What OpenDB takes, divided by what the best of the others takes.
    pub(crate) fn ratio(&self, row: &Row) -> Option<f64> {
        let own = self.value(self.store(OWN)?, row)?;
        self.best_other(row).map(|(_, best)| own / best)
    }

    /// What OpenDB takes in each row, divided by what the best of the others takes.
    pub(crate) fn ratios(&self) -> Vec<(&'static Row, f64)> {
        self.rows.iter().filter_map(|row| Some((*row, self.ratio(row)?))).collect()
    }

    /// Failures, each once: the store, the row and what was wrong.
    fn failures(&self) -> BTreeSet<(&str, &'static str, &str)> {
        let failed = self.samples.iter().filter_map(|sample| match &sample.outcome {
            Outcome::Failed(reason) => Some((sample.store.as_str(), sample.row.id, reason.as_str())),
            _ => None,
        });
        failed.collect()
    }

    /// What OpenDB failed in: the row and what was wrong.
    pub(crate) fn own_failures(&self) -> Vec<(&'static str, &str)> {
        let own = self.failures().into_iter().filter(|(store, ..)| *store == OWN);
        own.map(|(_, row, reason)| (row, reason)).collect()
    }

    /// What was written and how it was measured, in words.
    pub(crate) fn conditions(&self) -> String {
        let Conditions { language, keys, value_bytes, rounds, seconds_per_row, .. } = &self.asked;
        let language = match language.as_str() {
            "rust" => "Rust",
            "python" => "Python",
            "node" => "Node.js",
            other => other,
        };
        format!(
            "{language}; {} keys of 16 to 24 bytes, values of {} bytes that cannot be compressed; the median of {rounds} \
             rounds, in each of which the stores take turns in an order of chance; a row takes at most {seconds_per_row} \
             seconds (puts ten times that). Every answer is checked. {}.",
            grouped(*keys as f64),
            grouped(*value_bytes as f64),
            self.machine.line()
        )
    }

    /// Everything, in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("# OpenDB beside other stores\n\n{}\n\n", self.conditions());
        text.push_str(
            "Time of a call, and in brackets the 99th percentile of single calls; of several threads, time from one call \
             of any of them to the next. Less is better in every row. The last column is what OpenDB takes divided by \
             what the best of the others takes whose data can be opened again. `~`: not all calls were made in the time \
             there was.\n",
        );
        let groups: BTreeSet<Group> = self.rows.iter().map(|row| row.group).collect();
        groups.into_iter().for_each(|group| self.push_table(&mut text, group));
        self.push_stores(&mut text);
        text
    }

    /// One table. Stores that can do nothing of it are named below.
    fn push_table(&self, text: &mut String, group: Group) {
        let rows: Vec<&Row> = self.rows.iter().copied().filter(|row| row.group == group).collect();
        let lacks_all = |store: &&StoreNotes| rows.iter().all(|row| self.lacks(store, row).is_some());
        let (left_out, columns): (Vec<&StoreNotes>, Vec<&StoreNotes>) =
            self.stores.iter().partition(lacks_all);
        text.push_str(&format!("\n## {}\n\n| |", group.title()));
        columns.iter().for_each(|store| text.push_str(&format!(" {} |", store.name)));
        text.push_str(" OpenDB / best other |\n|---|");
        text.push_str(&"---:|".repeat(columns.len() + 1));
        for row in &rows {
            text.push_str(&format!("\n| {} |", row.title));
            columns.iter().for_each(|store| text.push_str(&format!(" {} |", self.cell(store, row))));
            text.push_str(&format!(
                " {} |",
                self.ratio(row).map_or("-".to_owned(), |ratio| format!("{ratio:.2}"))
            ));
        }
        text.push('\n');
        let reason = |store: &StoreNotes| rows.iter().find_map(|row| self.lacks(store, row));
        let reasons: Vec<String> = left_out
            .iter()
            .filter_map(|store| Some(format!("{} ({})", store.name, reason(store)?)))
            .collect();
        if !reasons.is_empty() {
            text.push_str(&format!("\nNot here: {}.\n", reasons.join("; ")));
        }
    }

    fn cell(&self, store: &StoreNotes, row: &Row) -> String {
        let Some(value) = self.value(store, row) else {
            let failed =
                self.samples_of(store, row).any(|sample| matches!(sample.outcome, Outcome::Failed(_)));
            return if failed { "**failed**" } else { self.lacks(store, row).unwrap_or("-") }.to_owned();
        };
        if row.unit == Unit::Bytes {
            return bytes(value);
        }
        let complete = self.samples_of(store, row).all(|sample| match &sample.outcome {
            Outcome::Timing(timing) => timing.complete,
            _ => true,
        });
        let mark = if complete { "" } else { "~" };
        match self.median_of(store, row, |timing| timing.p99 as f64) {
            Some(p99) if self.median_of(store, row, |timing| timing.calls as f64) > Some(1.0) => {
                format!("{mark}{} ({})", time(value), time(p99))
            }
            _ => format!("{mark}{}", time(value)),
        }
    }

    fn push_stores(&self, text: &mut String) {
        text.push_str("\n## Stores and their settings\n\n");
        text.push_str(
            "| store | version | survives the process | on the device | settling |\n|---|---|---|---|---|\n",
        );
        for store in &self.stores {
            let StoreNotes { name, version, survives, settling, .. } = store;
            let durable = store.durable.as_deref().unwrap_or("not measured");
            text.push_str(&format!("| {name} | {version} | {survives} | {durable} | {settling} |\n"));
        }
        if !self.left_out.is_empty() {
            text.push_str(&format!("\nNot measured in this run: {}.\n", self.left_out.join(", ")));
        }
        for (id, row, reason) in self.failures() {
            let name = self.store(id).map_or(id, |store| &store.name);
            text.push_str(&format!("\n- {name} failed in `{row}`: {reason}"));
        }
        text.push('\n');
    }

    /// The rows that matter most, in Markdown for the README: OpenDB, LMDB and the best of the others.
    pub(crate) fn summary(&self) -> String {
        let lmdb = self.store(LMDB);
        let mut text = format!("{}\n\n", self.conditions());
        text.push_str(&format!(
            "| | OpenDB | {} | best other | OpenDB / best other |\n|---|---:|---:|---:|---:|",
            lmdb.map_or("LMDB", |lmdb| &lmdb.name)
        ));
        for row in self.rows.iter().filter(|row| row.summary) {
            let shown = |value| match row.unit {
                Unit::Time => time(value),
                Unit::Bytes => bytes(value),
            };
            let value_of =
                |store: Option<&StoreNotes>| store.and_then(|store| self.value(store, row)).map(shown);
            let own = value_of(self.store(OWN)).unwrap_or_else(|| "-".to_owned());
            let lmdb = value_of(lmdb).unwrap_or_else(|| "-".to_owned());
            let best = self.best_other(row).map_or_else(
                || "-".to_owned(),
                |(store, value)| format!("{} ({})", shown(value), store.name),
            );
            let ratio = self.ratio(row).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
            text.push_str(&format!("\n| {} | {own} | {lmdb} | {best} | {ratio} |", row.title));
        }
        text.push_str("\n\nLess is better in every row.\n");
        text
    }

    /// The charts: a name for the file, a heading and blocks each.
    pub(crate) fn charts(&self) -> Vec<(&'static str, &'static str, Vec<Block>)> {
        use Group::{Batch, Delete, Durable, Footprint, Get, Open, Overwrite, Put, Scan, Transaction, Ycsb};
        let charts: [(&str, &str, &[Group]); 6] = [
            (
                "writes",
                "Writes a second, each survives the process (longer is better)",
                &[Put, Overwrite, Delete, Batch],
            ),
            ("reads", "Gets a second (longer is better)", &[Get]),
            ("scans", "Scans a second (longer is better)", &[Scan]),
            (
                "transactions",
                "Transactions and durable puts a second (longer is better)",
                &[Transaction, Durable],
            ),
            ("ycsb", "YCSB, requests a second (longer is better)", &[Ycsb]),
            ("footprint", "Opening, memory and disk (shorter is better)", &[Open, Footprint]),
        ];
        let with_blocks = charts.into_iter().map(|(name, heading, groups)| {
            let rows = self.rows.iter().filter(|row| row.summary && groups.contains(&row.group));
            let blocks = rows.filter_map(|row| self.block(row)).collect();
            (name, heading, blocks)
        });
        with_blocks.filter(|(_, _, blocks): &(_, _, Vec<Block>)| !blocks.is_empty()).collect()
    }

    /// The bars of a row, the best one first.
    fn block(&self, row: &Row) -> Option<Block> {
        let mut values: Vec<(&StoreNotes, f64)> =
            self.stores.iter().filter_map(|store| Some((store, self.value(store, row)?))).collect();
        values.sort_unstable_by(|(_, one), (_, other)| one.total_cmp(other));
        let shorter_is_better = row.unit == Unit::Bytes || row.group == Group::Open;
        let bar = |(store, value): (&StoreNotes, f64)| {
            let (length, text) = match row.unit {
                Unit::Bytes => (value, bytes(value)),
                Unit::Time if shorter_is_better => (value, time(value)),
                Unit::Time => (1e9 / value.max(1.0), grouped(1e9 / value.max(1.0))),
            };
            let look = match store {
                StoreNotes { id, .. } if id == OWN => Look::Own,
                StoreNotes { persistent: true, .. } => Look::Other,
                _ => Look::Floor,
            };
            Bar { label: store.name.clone(), length, text, look }
        };
        let bars: Vec<Bar> = values.into_iter().map(bar).collect();
        (!bars.is_empty()).then(|| Block { title: row.title.to_owned(), bars })
    }

    /// Everything, for programs.
    pub(crate) fn json(&self) -> Value {
        let object =
            |entries: Vec<(String, Value)>| Value::Object(entries.into_iter().collect::<Map<_, _>>());
        let rows = self.rows.iter().map(|row| {
            let unit = if row.unit == Unit::Time { "nanoseconds" } else { "bytes" };
            json!({"id": row.id, "title": row.title, "group": row.group.title(), "unit": unit})
        });
        let medians = self.rows.iter().map(|row| {
            let values = self
                .stores
                .iter()
                .filter_map(|store| Some((store.id.clone(), json!(self.value(store, row)?))));
            (row.id.to_owned(), object(values.collect()))
        });
        let ratios = self.ratios().into_iter().map(|(row, ratio)| (row.id.to_owned(), json!(ratio)));
        json!({
            "format": FORMAT,
            "language": self.asked.language,
            "machine": self.machine.json(),
            "keys": self.asked.keys,
            "value_bytes": self.asked.value_bytes,
            "seed": self.asked.seed,
            "rounds": self.asked.rounds,
            "seconds_per_row": self.asked.seconds_per_row,
            "stores": self.stores.iter().map(store_json).collect::<Vec<Value>>(),
            "rows": rows.collect::<Vec<Value>>(),
            "medians": object(medians.collect()),
            "ratios_to_best_other": object(ratios.collect()),
            "samples": self.samples.iter().map(sample_json).collect::<Vec<Value>>(),
        })
    }
}

fn store_json(store: &StoreNotes) -> Value {
    json!({
        "id": store.id,
        "name": store.name,
        "version": store.version,
        "persistent": store.persistent,
        "survives": store.survives,
        "durable": store.durable,
        "settling": store.settling,
    })
}

fn sample_json(sample: &Sample) -> Value {
    let mut line = json!({
        "store": sample.store,
        "row": sample.row.id,
        "round": sample.round,
        "details": sample.details,
    });
    let outcome = match &sample.outcome {
        Outcome::Timing(timing) => json!({
            "calls": timing.calls,
            "complete": timing.complete,
            "mean": timing.mean,
            "p50": timing.p50,
            "p99": timing.p99,
            "p99.9": timing.p999,
            "slowest": timing.slowest,
        }),
        Outcome::Bytes(bytes) => json!({"bytes": bytes}),
        Outcome::Lacks(reason) => json!({"lacks": reason}),
        Outcome::Failed(reason) => json!({"failed": reason}),
    };
    if let (Value::Object(line), Value::Object(outcome)) = (&mut line, outcome) {
        line.extend(outcome);
    }
    line
}

/// A time with three digits at least and a unit that fits.
fn time(nanoseconds: f64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    match UNITS.into_iter().find(|(unit, _)| nanoseconds >= *unit * 10.0) {
        Some((unit, name)) if nanoseconds >= unit * 100.0 => {
            format!("{} {name}", grouped(nanoseconds / unit))
        }
        Some((unit, name)) => format!("{:.1} {name}", nanoseconds / unit),
        None => format!("{} ns", grouped(nanoseconds)),
    }
}

fn bytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{ROWS, find};

    const STORES: [(&str, &str, bool); 5] = [
        ("opendb", "OpenDB", true),
        ("lmdb", "LMDB", true),
        ("lmdb-writemap", "LMDB, writable map", true),
        ("candystore", "CandyStore", true),
        ("hashmap", "HashMap", false),
    ];

    fn report(samples: &[(&str, &'static str, Outcome)]) -> Report {
        let sample = |(store, id, outcome): &(&str, &'static str, Outcome)| Sample {
            store: (*store).to_owned(),
            row: find(id).unwrap(),
            round: 1,
            outcome: outcome.clone(),
            details: json!({}),
        };
        let notes = |(id, name, persistent): (&str, &str, bool)| StoreNotes {
            id: id.to_owned(),
            name: name.to_owned(),
            version: "1".to_owned(),
            persistent,
            survives: "default".to_owned(),
            durable: None,
            settling: "nothing".to_owned(),
        };
        let asked = Conditions {
            language: "rust".to_owned(),
            keys: 1_000_000,
            value_bytes: 100,
            seed: 1,
            rounds: 3,
            seconds_per_row: 5.0,
        };
        let groups = [Group::Put, Group::Get, Group::Durable, Group::Footprint];
        Report {
            asked,
            machine: Machine::of(std::path::Path::new("/")),
            stores: STORES.map(notes).into(),
            rows: ROWS.iter().filter(|row| groups.contains(&row.group)).collect(),
            samples: samples.iter().map(sample).collect(),
            left_out: vec!["redb".to_owned(), "fjall".to_owned()],
        }
    }

    fn mean(mean: f64) -> Outcome {
        let p99 = mean as u64 * 2;
        let (calls, complete) = (10, mean < 1e6);
        Outcome::Timing(Timing { calls, complete, mean, p50: 1, p99, p999: p99, slowest: p99 })
    }

    #[test]
    fn the_ratio_is_to_the_best_of_those_that_can_be_opened_again() {
        let report = report(&[
            ("opendb", "put-random", mean(100.0)),
            ("opendb", "put-random", mean(900.0)),
            ("opendb", "put-random", mean(300.0)),
            ("lmdb", "put-random", mean(200.0)),
            ("lmdb-writemap", "put-random", mean(150.0)),
            ("hashmap", "put-random", mean(1.0)),
        ]);
        let row = find("put-random").unwrap();
        assert_eq!(report.ratio(row), Some(2.0));
        let best = report.best_other(row).map(|(store, value)| (store.id.as_str(), value));
        assert_eq!(best, Some(("lmdb-writemap", 150.0)));
        assert_eq!(report.ratio(find("get-uniform").unwrap()), None);
        let line = "| put, new keys at random | 300 ns (600 ns) | 200 ns (400 ns) | 150 ns (300 ns) | - | 1 ns (2 ns) | 2.00 |";
        assert!(report.markdown().contains(line), "{}", report.markdown());
        assert_eq!(report.json()["ratios_to_best_other"]["put-random"], 2.0);
        let line = "| put, new keys at random | 300 ns | 200 ns | 150 ns (LMDB, writable map) | 2.00 |";
        assert!(report.summary().contains(line), "{}", report.summary());
    }

    #[test]
    fn what_a_store_lacks_and_where_it_failed_is_told() {
        let report = report(&[
            ("opendb", "get-many", Outcome::Lacks("no call for many keys".to_owned())),
            ("hashmap", "durable-put-1", Outcome::Lacks("nothing survives".to_owned())),
            ("hashmap", "durable-put-4", Outcome::Lacks("nothing survives".to_owned())),
            ("candystore", "get-uniform", Outcome::Failed("it was wrong".to_owned())),
            ("lmdb", "put-random", mean(20e6)),
        ]);
        let text = report.markdown();
        assert!(text.contains("**failed**") && text.contains("it was wrong"));
        assert!(text.contains("no call for many keys"));
        assert!(text.contains("Not here: HashMap (nothing survives)."), "{text}");
        assert!(text.contains("~20.0 ms"), "{text}");
        assert!(text.contains("Not measured in this run: redb, fjall"), "{text}");
        assert_eq!(report.failures().len(), 1);
    }

    #[test]
    fn bytes_are_shorter_bars_where_less_is_better_and_calls_a_second_longer_ones() {
        let report = report(&[
            ("opendb", "get-uniform", mean(500.0)),
            ("lmdb", "get-uniform", mean(1000.0)),
            ("opendb", "disk-loaded", Outcome::Bytes(1 << 20)),
            ("lmdb", "disk-loaded", Outcome::Bytes(3 << 20)),
        ]);
        let charts = report.charts();
        let bars = |name| {
            let chart = charts.iter().find(|(chart, ..)| *chart == name).unwrap();
            chart.2[0].bars.iter().map(|bar| (bar.length, bar.text.as_str())).collect::<Vec<_>>()
        };
        assert_eq!(bars("reads"), [(2e6, "2,000,000"), (1e6, "1,000,000")]);
        assert_eq!(bars("footprint"), [(1048576.0, "1.0 MiB"), (3145728.0, "3.0 MiB")]);
        assert_eq!(charts.len(), 2, "charts without bars are left out");
    }

    #[test]
    fn times_have_units_that_fit() {
        assert_eq!(time(999.4), "999 ns");
        assert_eq!(time(9_999.0), "9,999 ns");
        assert_eq!(time(12_340.0), "12.3 µs");
        assert_eq!(time(123_400.0), "123 µs");
        assert_eq!(time(12_340_000.0), "12.3 ms");
        assert_eq!(time(11e9), "11.0 s");
    }
}
