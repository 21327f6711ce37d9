//! Transactions that read a counter and write it anew, on keys that are all over the store and on a few hot ones. At the
//! end no count may be missing.

use anyhow::{Context as _, Result, ensure};
use opendb_measure::workload::{Random, version_of};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};

use super::load::load;
use crate::clock::{Clock, together};
use crate::data::Data;
use crate::run::{Needs, Run};
use crate::stores::Store;

/// Counters, spread over all entries.
const COUNTERS: u64 = 50_000;
/// Those of them that everybody wants.
const HOT: u64 = 16;
const THREADS: [u64; 3] = [1, 2, 4];
/// Of all threads together.
const TRANSACTIONS_MAX: u64 = 1_000_000;

pub(super) fn run(run: &mut Run<'_>) -> Result<()> {
    run.open(Needs { transactions: true, ..Needs::default() }, |run, store| {
        let data = run.data();
        load(store, &data, 0..data.count)?;
        let counters = Counters { data, count: COUNTERS.min(data.count) };
        let mut counted = 0;
        for (name, keys) in [("cold", counters.count), ("hot", HOT.min(counters.count))] {
            for threads in THREADS {
                let id = format!("transaction-{name}-{threads}");
                counted += measure(run, store, &counters, keys, threads, &id)?;
                let found = counters.sum(store)?;
                ensure!(found == counted, "of {counted} counts {found} are there after {id}");
            }
        }
        Ok(())
    })
}

/// Entries whose versions count.
struct Counters {
    data: Data,
    count: u64,
}

impl Counters {
    fn number(&self, counter: u64) -> u64 {
        counter * (self.data.count / self.count)
    }

    fn sum(&self, store: &dyn Store) -> Result<u64> {
        let mut sum = 0;
        for counter in 0..self.count {
            let key = self.data.key(self.number(counter));
            sum += store.get(&key)?.context("a counter is gone")?.version(&key)?;
        }
        Ok(sum)
    }
}

/// Counts on the first `keys` counters; gives how often.
fn measure(
    run: &mut Run<'_>,
    store: &dyn Store,
    counters: &Counters,
    keys: u64,
    threads: u64,
    id: &str,
) -> Result<u64> {
    let (data, conflicts) = (counters.data, AtomicU64::new(0));
    let seed = run.random(id).bits();
    let budget = run.budget(TRANSACTIONS_MAX.min(data.count));
    let timing = together(threads, budget, |thread| {
        let (mut random, mut values) = (Random::new(seed ^ thread), data.values());
        let conflicts = &conflicts;
        move |_, clock: &mut Clock| {
            let key = data.key(counters.number(random.below(keys)));
            let mut change = |value: &[u8]| Ok(values.value(&key, version_of(&key, value)? + 1).to_vec());
            let in_vain = clock.time(|| store.update(&key, &mut change))?;
            conflicts.fetch_add(in_vain, Ordering::Relaxed);
            Ok(())
        }
    })?;
    let calls = timing.calls;
    run.timing_and(id, timing, json!({"conflicts": conflicts.into_inner()}))?;
    Ok(calls)
}
