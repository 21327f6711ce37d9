//! Turns the timings into a table for people and a file for programs.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};

use crate::measure::{Phase, Timing};
use crate::store::Kind;

/// One phase of one round on one store.
pub(crate) struct Sample {
    /// The store.
    pub(crate) kind: Kind,
    /// What was timed.
    pub(crate) phase: Phase,
    /// How long a call took.
    pub(crate) timing: Timing,
}

/// Everything a run measured.
pub(crate) struct Report {
    /// The stores, in the order of the columns.
    pub(crate) kinds: Vec<Kind>,
    /// How many keys.
    pub(crate) keys: usize,
    /// How many rounds.
    pub(crate) rounds: usize,
    /// The samples, in the order in which they were taken.
    pub(crate) samples: Vec<Sample>,
}

impl Report {
    /// The median over the rounds of one number of the timings.
    fn median(&self, kind: Kind, phase: Phase, number: impl Fn(&Timing) -> f64) -> Option<f64> {
        let of_cell = self.samples.iter().filter(|sample| sample.kind == kind && sample.phase == phase);
        let mut numbers: Vec<f64> = of_cell.map(|sample| number(&sample.timing)).collect();
        numbers.sort_unstable_by(f64::total_cmp);
        let upper = *numbers.get(numbers.len() / 2)?;
        match numbers.len() % 2 {
            0 => numbers.get(numbers.len() / 2 - 1).map(|lower| (lower + upper) / 2.0),
            _ => Some(upper),
        }
    }

    /// OpenDB's time divided by that of the faster LMDB. Not for what is called once a round: that is no throughput.
    pub(crate) fn ratio(&self, phase: Phase) -> Option<f64> {
        if phase == Phase::FirstOfScan {
            return None;
        }
        let ours = self.median(Kind::OpenDb, phase, |timing| timing.mean)?;
        let theirs = [Kind::Lmdb, Kind::LmdbWritableMap]
            .into_iter()
            .filter_map(|kind| self.median(kind, phase, |timing| timing.mean))
            .min_by(f64::total_cmp)?;
        Some(ours / theirs)
    }

    /// The table, the settings and the machine, in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "Nanoseconds a call: the median of {} rounds, and in brackets the 99th percentile of blocks of 64 calls. \
             {} keys of 20 random bytes, values of 100 bytes, as many calls of each kind, one thread, no sync a put.\n\n",
            self.rounds,
            grouped(self.keys as f64)
        );
        text.push_str("| call |");
        for kind in &self.kinds {
            let _ = write!(text, " {} |", kind.name());
        }
        text.push_str(" OpenDB / faster LMDB |\n|---|");
        text.push_str(&"---:|".repeat(self.kinds.len() + 1));
        for phase in Phase::ALL {
            let _ = write!(text, "\n| {} |", phase.name());
            for kind in &self.kinds {
                text.push_str(&self.cell(*kind, phase));
            }
            let ratio = self.ratio(phase).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
            let _ = write!(text, " {ratio} |");
        }
        text.push_str("\n\n");
        for kind in &self.kinds {
            let _ = writeln!(text, "- {}: {}.", kind.name(), kind.settings());
        }
        let _ = writeln!(text, "- Machine: {}.", machine());
        text
    }

    fn cell(&self, kind: Kind, phase: Phase) -> String {
        let mean = self.median(kind, phase, |timing| timing.mean);
        let p99 = self.median(kind, phase, |timing| timing.p99);
        match mean.zip(p99) {
            Some((mean, p99)) => format!(" {} ({}) |", grouped(mean), grouped(p99)),
            None => " - |".to_owned(),
        }
    }

    /// Every sample, for programs.
    pub(crate) fn json(&self) -> Value {
        let samples: Vec<Value> = self.samples.iter().map(sample_json).collect();
        let ratios: serde_json::Map<String, Value> = Phase::ALL
            .into_iter()
            .filter_map(|phase| Some((phase.name().to_owned(), json!(self.ratio(phase)?))))
            .collect();
        let settings: serde_json::Map<String, Value> =
            self.kinds.iter().map(|kind| (kind.name().to_owned(), json!(kind.settings()))).collect();
        json!({
            "keys": self.keys,
            "key_bytes": crate::workload::KEY_BYTES,
            "value_bytes": crate::workload::VALUE_BYTES,
            "rounds": self.rounds,
            "machine": machine(),
            "settings": settings,
            "ratios_to_faster_lmdb": ratios,
            "samples": samples,
        })
    }
}

fn sample_json(sample: &Sample) -> Value {
    json!({
        "store": sample.kind.name(),
        "call": sample.phase.name(),
        "mean_ns": sample.timing.mean,
        "p50_ns": sample.timing.p50,
        "p99_ns": sample.timing.p99,
        "slowest_ns": sample.timing.slowest,
    })
}

/// A whole number with a comma between every three digits.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The processor, its cores and the system, as far as they can be read.
fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("processor unknown", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, {} {}", std::env::consts::OS, release.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(means: &[(Kind, f64)]) -> Report {
        let sample = |&(kind, mean)| Sample {
            kind,
            phase: Phase::Put,
            timing: Timing { mean, p50: mean, p99: mean * 2.0, slowest: mean * 3.0 },
        };
        Report {
            kinds: vec![Kind::OpenDb, Kind::Lmdb, Kind::LmdbWritableMap],
            keys: 1_000_000,
            rounds: 3,
            samples: means.iter().map(sample).collect(),
        }
    }

    #[test]
    fn the_ratio_is_to_the_faster_of_the_two() {
        let report = report(&[
            (Kind::OpenDb, 100.0),
            (Kind::OpenDb, 900.0),
            (Kind::OpenDb, 300.0),
            (Kind::Lmdb, 200.0),
            (Kind::LmdbWritableMap, 150.0),
        ]);
        assert_eq!(report.ratio(Phase::Put), Some(2.0));
        assert_eq!(report.ratio(Phase::Get), None);
        assert!(report.markdown().contains("| put, new key | 300 (600) | 200 (400) | 150 (300) | 2.00 |"));
        assert_eq!(report.json()["ratios_to_faster_lmdb"]["put, new key"], 2.0);
    }

    #[test]
    fn an_even_number_of_rounds_takes_the_middle_of_the_middle_two() {
        let report = report(&[(Kind::OpenDb, 100.0), (Kind::OpenDb, 200.0)]);
        assert_eq!(report.median(Kind::OpenDb, Phase::Put, |timing| timing.mean), Some(150.0));
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!(grouped(1_234_567.4), "1,234,567");
        assert_eq!(grouped(999.0), "999");
    }
}
