//! One round of one store: what is measured, and what came of it.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use opendb_measure::workload::Random;
use serde_json::{Value, json};

use crate::clock::{Budget, Timing};
use crate::data::{Data, Order};
use crate::rows::{Group, ROWS, Row, find};
use crate::scenes::SCENES;
use crate::stores::{Guarantee, Kind, Setup, Store};

/// Bytes of a key and what stores put around an entry, to tell how much room one needs.
const ENTRY_BYTES_MORE: u64 = 64;
/// Runs put more than they load: overwrites, batches, inserts.
const DATA_TIMES: u64 = 4;

/// What is measured.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The entries.
    pub(crate) data: Data,
    /// How often every store is measured.
    pub(crate) rounds: u32,
    /// For how long a row is measured at most.
    pub(crate) time: Duration,
    /// The rows.
    pub(crate) groups: BTreeSet<Group>,
    /// The stores.
    pub(crate) kinds: Vec<Kind>,
    /// Where they put their files.
    pub(crate) directory: PathBuf,
}

impl Plan {
    /// Room that a store is told to have.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.data.count * (self.data.value_bytes + ENTRY_BYTES_MORE) * DATA_TIMES
    }
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// It was timed.
    Timing(Timing),
    /// Bytes were counted.
    Bytes(u64),
    /// The store has not got what it takes.
    Lacks(String),
    /// The store failed, or gave a wrong answer.
    Failed(String),
}

/// One row of one store in one round.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// The store, by its name on the command line.
    pub(crate) store: String,
    /// The row.
    pub(crate) row: &'static Row,
    /// The round, from 1.
    pub(crate) round: u32,
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// What helps to understand it, an object of JSON.
    pub(crate) details: Value,
}

/// How a scene opens its store, beside the directory.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Needs {
    /// Writes wait for the device.
    pub(crate) durable: bool,
    /// It is for transactions.
    pub(crate) transactions: bool,
    /// It is for scans.
    pub(crate) scans: bool,
}

/// One round of one store.
pub(crate) struct Run<'a> {
    /// What is measured.
    pub(crate) plan: &'a Plan,
    /// What scans must show.
    pub(crate) order: &'a Order,
    /// The store.
    pub(crate) kind: Kind,
    /// The round.
    pub(crate) round: u32,
    /// What came of it.
    pub(crate) samples: Vec<Sample>,
}

impl Run<'_> {
    /// Measures every row of the plan.
    pub(crate) fn measure(mut self) -> Vec<Sample> {
        for scene in SCENES {
            let groups = scene.groups;
            if !groups.iter().any(|group| self.wants(*group)) || self.lacks_all_of(groups) {
                self.fill_in(groups, None);
                continue;
            }
            // A store that panics has failed, and the others go on.
            let result = catch_unwind(AssertUnwindSafe(|| (scene.run)(&mut self)));
            let failure = match result {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("{error:#}")),
                Err(_) => Some("it panicked".to_owned()),
            };
            if let Some(failure) = &failure {
                eprintln!("{} failed: {failure}", self.kind.profile().name);
            }
            self.fill_in(groups, failure.as_deref());
        }
        self.samples
    }

    fn lacks_all_of(&self, groups: &[Group]) -> bool {
        let mut rows = ROWS.iter().filter(|row| groups.contains(&row.group) && self.wants(row.group));
        rows.all(|row| self.kind.profile().lacks(row.call).is_some())
    }

    /// Says of every row that was wanted and not measured why not.
    fn fill_in(&mut self, groups: &[Group], failure: Option<&str>) {
        for row in ROWS.iter().filter(|row| groups.contains(&row.group)) {
            let measured = self.samples.iter().any(|sample| sample.row == row);
            if measured || !self.wants(row.group) {
                continue;
            }
            let outcome = match (self.kind.profile().lacks(row.call), failure) {
                (Some(reason), _) => Outcome::Lacks(reason.to_owned()),
                (None, Some(failure)) => Outcome::Failed(failure.to_owned()),
                (None, None) => Outcome::Failed("it was not measured".to_owned()),
            };
            self.add(row, outcome, json!({}));
        }
    }

    /// Whether rows of this group are wanted.
    pub(crate) fn wants(&self, group: Group) -> bool {
        self.plan.groups.contains(&group)
    }

    /// The entries.
    pub(crate) fn data(&self) -> Data {
        self.plan.data
    }

    /// Draws for a row, the same for every store.
    pub(crate) fn random(&self, id: &str) -> Random {
        let mixed =
            id.bytes().fold(self.plan.data.seed, |mixed, byte| mixed.rotate_left(7) ^ u64::from(byte));
        Random::new(mixed ^ (u64::from(self.round) << 32))
    }

    /// So many calls, or as many as there is time for.
    pub(crate) fn budget(&self, calls: u64) -> Budget {
        Budget { calls: calls.max(1), time: self.plan.time }
    }

    /// Opens the store in a directory of its own, which is deleted afterwards.
    pub(crate) fn open(
        &mut self,
        needs: Needs,
        mut work: impl FnMut(&mut Self, &mut dyn Store) -> Result<()>,
    ) -> Result<()> {
        let directory = tempfile::tempdir_in(&self.plan.directory).context("making a directory")?;
        let guarantee = if needs.durable { Guarantee::Durable } else { Guarantee::Survives };
        let setup = Setup {
            directory: directory.path(),
            guarantee,
            transactions: needs.transactions,
            scans: needs.scans,
            data_bytes: self.plan.data_bytes(),
        };
        let kind = self.kind;
        kind.with_store(&setup, &mut |store| work(self, store))
    }

    /// Notes how long the calls of a row took.
    pub(crate) fn timing(&mut self, id: &str, timing: Timing) -> Result<()> {
        self.timing_and(id, timing, json!({}))
    }

    /// The same with details, an object of JSON.
    pub(crate) fn timing_and(&mut self, id: &str, timing: Timing, details: Value) -> Result<()> {
        let row = find(id).with_context(|| format!("there is no row {id}"))?;
        self.add(row, Outcome::Timing(timing), details);
        Ok(())
    }

    /// Notes the bytes of a row.
    pub(crate) fn bytes(&mut self, id: &str, bytes: u64) -> Result<()> {
        let row = find(id).with_context(|| format!("there is no row {id}"))?;
        self.add(row, Outcome::Bytes(bytes), json!({}));
        Ok(())
    }

    fn add(&mut self, row: &'static Row, outcome: Outcome, details: Value) {
        let store = self.kind.profile().id.to_owned();
        self.samples.push(Sample { store, row, round: self.round, outcome, details });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::find;

    fn plan(directory: PathBuf, groups: &[Group]) -> Plan {
        Plan {
            data: Data { count: 500, value_bytes: 100, seed: 7 },
            rounds: 1,
            time: Duration::from_millis(20),
            groups: groups.iter().copied().collect(),
            kinds: vec![Kind::SortedMap, Kind::HashMap],
            directory,
        }
    }

    #[test]
    fn every_wanted_row_has_an_outcome_and_no_other_one_has() {
        let directory = tempfile::tempdir().unwrap();
        let plan = plan(directory.path().to_owned(), &[Group::Get, Group::Scan, Group::Durable]);
        let order = Order::new(&plan.data);
        for kind in plan.kinds.clone() {
            let run = Run { plan: &plan, order: &order, kind, round: 1, samples: Vec::new() };
            let samples = run.measure();
            for row in ROWS {
                let outcomes: Vec<&Outcome> =
                    samples.iter().filter(|sample| sample.row == row).map(|sample| &sample.outcome).collect();
                assert_eq!(outcomes.len(), usize::from(plan.groups.contains(&row.group)), "{}", row.id);
                let lacking = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Lacks(_)));
                let lacks = plan.groups.contains(&row.group) && kind.profile().lacks(row.call).is_some();
                assert_eq!(lacking, lacks, "{}", row.id);
            }
            assert!(!samples.iter().any(|sample| matches!(sample.outcome, Outcome::Failed(_))));
        }
    }

    #[test]
    fn a_store_that_cannot_be_opened_has_failed_in_every_row() {
        let plan = plan(PathBuf::from("/nowhere"), &[Group::Get]);
        let order = Order::new(&plan.data);
        let run = Run { plan: &plan, order: &order, kind: Kind::SortedMap, round: 1, samples: Vec::new() };
        let samples = run.measure();
        let uniform = samples.iter().find(|sample| sample.row == find("get-uniform").unwrap());
        assert!(matches!(uniform.unwrap().outcome, Outcome::Failed(_)));
    }
}
