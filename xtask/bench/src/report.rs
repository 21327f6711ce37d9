//! Medians and ratios of what was measured, as tables, as charts and for programs.

use std::collections::BTreeSet;

use opendb_measure::machine::Machine;
use opendb_measure::numbers::{grouped, median};
use serde_json::{Map, Value, json};

use crate::chart::{Bar, Block, Look};
use crate::clock::Timing;
use crate::rows::{Group, ROWS, Row, Unit};
use crate::run::{Outcome, Plan, Sample};
use crate::stores::Kind;

/// Raised when fields of the file for programs change their meaning.
const FORMAT: u32 = 1;

/// Everything a run measured.
pub(crate) struct Report {
    /// What was asked for.
    pub(crate) plan: Plan,
    /// Where.
    pub(crate) machine: Machine,
    /// What came of it.
    pub(crate) samples: Vec<Sample>,
}

impl Report {
    fn samples_of(&self, kind: Kind, row: &Row) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.kind == kind && sample.row == row)
    }

    /// The median over the rounds of one number of the timings.
    fn median_of(&self, kind: Kind, row: &Row, number: impl Fn(&Timing) -> f64) -> Option<f64> {
        let timings = self.samples_of(kind, row).filter_map(|sample| match &sample.outcome {
            Outcome::Timing(timing) => Some(number(timing)),
            _ => None,
        });
        let numbers: Vec<f64> = timings.collect();
        (!numbers.is_empty()).then(|| median(&numbers))
    }

    /// What the row counts: the median over the rounds.
    pub(crate) fn value(&self, kind: Kind, row: &Row) -> Option<f64> {
        if row.unit == Unit::Time {
            return self.median_of(kind, row, |timing| timing.mean);
        }
        let counted = self.samples_of(kind, row).filter_map(|sample| match sample.outcome {
            Outcome::Bytes(bytes) => Some(bytes as f64),
            _ => None,
        });
        let counted: Vec<f64> = counted.collect();
        (!counted.is_empty()).then(|| median(&counted))
    }

    /// The best of the other stores whose data can be opened again.
    pub(crate) fn best_other(&self, row: &Row) -> Option<(Kind, f64)> {
        let others =
            self.plan.kinds.iter().filter(|kind| **kind != Kind::OpenDb && kind.profile().persistent);
        let values = others.filter_map(|kind| Some((*kind, self.value(*kind, row)?)));
        values.min_by(|(_, one), (_, other)| one.total_cmp(other))
    }

    /// What OpenDB takes, divided by what the best of the others takes.
    pub(crate) fn ratio(&self, row: &Row) -> Option<f64> {
        let own = self.value(Kind::OpenDb, row)?;
        self.best_other(row).map(|(_, best)| own / best)
    }

    /// The rows that were asked for.
    fn rows(&self) -> impl Iterator<Item = &'static Row> {
        ROWS.iter().filter(|row| self.plan.groups.contains(&row.group))
    }

    /// Failures, each once: the store, the row and what was wrong.
    pub(crate) fn failures(&self) -> BTreeSet<(Kind, &'static str, &str)> {
        let failed = self.samples.iter().filter_map(|sample| match &sample.outcome {
            Outcome::Failed(reason) => Some((sample.kind, sample.row.id, reason.as_str())),
            _ => None,
        });
        failed.collect()
    }

    /// What was written and how it was measured, in words.
    pub(crate) fn conditions(&self) -> String {
        let Plan { data, rounds, time, .. } = &self.plan;
        format!(
            "{} keys of 16 to 24 bytes, values of {} bytes that cannot be compressed; the median of {rounds} rounds, in \
             each of which the stores take turns in an order of chance; a row takes at most {} seconds (puts ten times \
             that). Every answer is checked. {}.",
            grouped(data.count as f64),
            grouped(data.value_bytes as f64),
            time.as_secs_f64(),
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
        let groups: BTreeSet<Group> = self.rows().map(|row| row.group).collect();
        groups.into_iter().for_each(|group| self.push_table(&mut text, group));
        self.push_stores(&mut text);
        text
    }

    /// One table. Stores that can do nothing of it are named below.
    fn push_table(&self, text: &mut String, group: Group) {
        let rows: Vec<&Row> = self.rows().filter(|row| row.group == group).collect();
        let lacks = |kind: Kind| rows.iter().find_map(|row| kind.profile().lacks(row.call));
        let takes_part = |kind: Kind| rows.iter().any(|row| kind.profile().lacks(row.call).is_none());
        let (columns, left_out): (Vec<Kind>, Vec<Kind>) =
            self.plan.kinds.iter().copied().partition(|kind| takes_part(*kind));
        text.push_str(&format!("\n## {}\n\n| |", group.title()));
        columns.iter().for_each(|kind| text.push_str(&format!(" {} |", kind.profile().name)));
        text.push_str(" OpenDB / best other |\n|---|");
        text.push_str(&"---:|".repeat(columns.len() + 1));
        for row in &rows {
            text.push_str(&format!("\n| {} |", row.title));
            columns.iter().for_each(|kind| text.push_str(&format!(" {} |", self.cell(*kind, row))));
            text.push_str(&format!(
                " {} |",
                self.ratio(row).map_or("-".to_owned(), |ratio| format!("{ratio:.2}"))
            ));
        }
        text.push('\n');
        let reasons: Vec<String> = left_out
            .iter()
            .filter_map(|kind| Some(format!("{} ({})", kind.profile().name, lacks(*kind)?)))
            .collect();
        if !reasons.is_empty() {
            text.push_str(&format!("\nNot here: {}.\n", reasons.join("; ")));
        }
    }

    fn cell(&self, kind: Kind, row: &Row) -> String {
        let Some(value) = self.value(kind, row) else {
            let failed =
                self.samples_of(kind, row).any(|sample| matches!(sample.outcome, Outcome::Failed(_)));
            let lacking = kind.profile().lacks(row.call).unwrap_or("-");
            return if failed { "**failed**".to_owned() } else { lacking.to_owned() };
        };
        if row.unit == Unit::Bytes {
            return bytes(value);
        }
        let complete = self.samples_of(kind, row).all(|sample| match &sample.outcome {
            Outcome::Timing(timing) => timing.complete,
            _ => true,
        });
        let mark = if complete { "" } else { "~" };
        match self.median_of(kind, row, |timing| timing.p99 as f64) {
            Some(p99) if self.median_of(kind, row, |timing| timing.calls as f64) > Some(1.0) => {
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
        for kind in &self.plan.kinds {
            let profile = kind.profile();
            text.push_str(&format!(
                "| {} | {} | {} | {} | {} |\n",
                profile.name,
                profile.version(),
                profile.survives,
                profile.durable,
                profile.settling
            ));
        }
        let missing: Vec<&str> = Kind::ALL
            .iter()
            .filter(|kind| !self.plan.kinds.contains(kind))
            .map(|kind| kind.profile().name)
            .collect();
        if !missing.is_empty() {
            text.push_str(&format!("\nNot measured in this run: {}.\n", missing.join(", ")));
        }
        for (kind, row, reason) in self.failures() {
            text.push_str(&format!("\n- {} failed in `{row}`: {reason}", kind.profile().name));
        }
        text.push('\n');
    }

    /// The rows that matter most, in Markdown for the README: OpenDB, LMDB and the best of the others.
    pub(crate) fn summary(&self) -> String {
        let mut text = format!("{}\n\n", self.conditions());
        text.push_str("| | OpenDB | LMDB | best other | OpenDB / best other |\n|---|---:|---:|---:|---:|");
        for row in self.rows().filter(|row| row.summary) {
            let shown = |value| match row.unit {
                Unit::Time => time(value),
                Unit::Bytes => bytes(value),
            };
            let own = self.value(Kind::OpenDb, row).map_or_else(|| "-".to_owned(), shown);
            let lmdb = self.value(Kind::Lmdb, row).map_or_else(|| "-".to_owned(), shown);
            let best = self.best_other(row).map_or_else(
                || "-".to_owned(),
                |(kind, value)| format!("{} ({})", shown(value), kind.profile().name),
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
            let rows = self.rows().filter(|row| row.summary && groups.contains(&row.group));
            let blocks = rows.filter_map(|row| self.block(row)).collect();
            (name, heading, blocks)
        });
        with_blocks.filter(|(_, _, blocks): &(_, _, Vec<Block>)| !blocks.is_empty()).collect()
    }

    /// The bars of a row, the best one first.
    fn block(&self, row: &Row) -> Option<Block> {
        let mut values: Vec<(Kind, f64)> =
            self.plan.kinds.iter().filter_map(|kind| Some((*kind, self.value(*kind, row)?))).collect();
        values.sort_unstable_by(|(_, one), (_, other)| one.total_cmp(other));
        let shorter_is_better = row.unit == Unit::Bytes || row.group == Group::Open;
        let bar = |(kind, value): (Kind, f64)| {
            let (length, text) = match row.unit {
                Unit::Bytes => (value, bytes(value)),
                Unit::Time if shorter_is_better => (value, time(value)),
                Unit::Time => (1e9 / value.max(1.0), grouped(1e9 / value.max(1.0))),
            };
            let look = match kind {
                Kind::OpenDb => Look::Own,
                _ if kind.profile().persistent => Look::Other,
                _ => Look::Floor,
            };
            Bar { label: kind.profile().name.to_owned(), length, text, look }
        };
        let bars: Vec<Bar> = values.into_iter().map(bar).collect();
        (!bars.is_empty()).then(|| Block { title: row.title.to_owned(), bars })
    }

    /// Everything, for programs.
    pub(crate) fn json(&self) -> Value {
        let object =
            |entries: Vec<(String, Value)>| Value::Object(entries.into_iter().collect::<Map<_, _>>());
        let stores = self.plan.kinds.iter().map(|kind| store_json(*kind)).collect::<Vec<Value>>();
        let rows = self.rows().map(|row| {
            let unit = if row.unit == Unit::Time { "nanoseconds" } else { "bytes" };
            json!({"id": row.id, "title": row.title, "group": row.group.title(), "unit": unit})
        });
        let medians = self.rows().map(|row| {
            let values = self
                .plan
                .kinds
                .iter()
                .filter_map(|kind| Some((kind.profile().id.to_owned(), json!(self.value(*kind, row)?))));
            (row.id.to_owned(), object(values.collect()))
        });
        let ratios = self.rows().filter_map(|row| Some((row.id.to_owned(), json!(self.ratio(row)?))));
        json!({
            "format": FORMAT,
            "language": "rust",
            "machine": self.machine.json(),
            "keys": self.plan.data.count,
            "value_bytes": self.plan.data.value_bytes,
            "seed": self.plan.data.seed,
            "rounds": self.plan.rounds,
            "seconds_per_row": self.plan.time.as_secs_f64(),
            "stores": stores,
            "rows": rows.collect::<Vec<Value>>(),
            "medians": object(medians.collect()),
            "ratios_to_best_other": object(ratios.collect()),
            "samples": self.samples.iter().map(sample_json).collect::<Vec<Value>>(),
        })
    }
}

fn store_json(kind: Kind) -> Value {
    let profile = kind.profile();
    json!({
        "id": profile.id,
        "name": profile.name,
        "version": profile.version(),
        "persistent": profile.persistent,
        "survives": profile.survives,
        "durable": profile.durable,
        "settling": profile.settling,
    })
}

fn sample_json(sample: &Sample) -> Value {
    let mut line = json!({
        "store": sample.kind.profile().id,
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
    use std::time::Duration;

    use super::*;
    use crate::data::Data;
    use crate::rows::find;

    fn report(samples: &[(Kind, &'static str, Outcome)]) -> Report {
        let sample = |(kind, id, outcome): &(Kind, &'static str, Outcome)| Sample {
            kind: *kind,
            row: find(id).unwrap(),
            round: 1,
            outcome: outcome.clone(),
            details: json!({}),
        };
        let plan = Plan {
            data: Data { count: 1_000_000, value_bytes: 100, seed: 1 },
            rounds: 3,
            time: Duration::from_secs(5),
            groups: [Group::Put, Group::Get, Group::Durable, Group::Footprint].into(),
            kinds: vec![Kind::OpenDb, Kind::Lmdb, Kind::LmdbWritableMap, Kind::CandyStore, Kind::HashMap],
            directory: std::path::PathBuf::new(),
        };
        let machine = Machine::of(std::path::Path::new("/"));
        Report { plan, machine, samples: samples.iter().map(sample).collect() }
    }

    fn mean(mean: f64) -> Outcome {
        let p99 = mean as u64 * 2;
        let (calls, complete) = (10, mean < 1e6);
        Outcome::Timing(Timing { calls, complete, mean, p50: 1, p99, p999: p99, slowest: p99 })
    }

    #[test]
    fn the_ratio_is_to_the_best_of_those_that_can_be_opened_again() {
        let report = report(&[
            (Kind::OpenDb, "put-random", mean(100.0)),
            (Kind::OpenDb, "put-random", mean(900.0)),
            (Kind::OpenDb, "put-random", mean(300.0)),
            (Kind::Lmdb, "put-random", mean(200.0)),
            (Kind::LmdbWritableMap, "put-random", mean(150.0)),
            (Kind::HashMap, "put-random", mean(1.0)),
        ]);
        let row = find("put-random").unwrap();
        assert_eq!(report.ratio(row), Some(2.0));
        assert_eq!(report.best_other(row), Some((Kind::LmdbWritableMap, 150.0)));
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
            (Kind::OpenDb, "get-many", Outcome::Lacks("no call for many keys")),
            (Kind::CandyStore, "get-uniform", Outcome::Failed("it was wrong".to_owned())),
            (Kind::Lmdb, "put-random", mean(20e6)),
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
            (Kind::OpenDb, "get-uniform", mean(500.0)),
            (Kind::Lmdb, "get-uniform", mean(1000.0)),
            (Kind::OpenDb, "disk-loaded", Outcome::Bytes(1 << 20)),
            (Kind::Lmdb, "disk-loaded", Outcome::Bytes(3 << 20)),
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
