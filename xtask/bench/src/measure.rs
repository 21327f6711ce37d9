//! Times the calls of one round.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::store::Store;
use crate::workload::{Key, VALUE_BYTES, Workload, expected_digest, fill_value};

/// Calls between two readings of the clock: reading it costs tens of nanoseconds, as much as a tenth of a get.
const CALLS_PER_BLOCK: usize = 64;

/// The versions of a value that a round writes, one after the other.
const FIRST: u64 = 1;
const SECOND: u64 = 2;

/// What is timed, in the order of the round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Writes keys that are not there yet.
    Put,
    /// Begins a scan of everything and takes its first entry: once, right after the puts.
    FirstOfScan,
    /// Reads one key in a call of its own.
    Get,
    /// Reads one key in the cheapest way the store has.
    Lookup,
    /// Asks for keys that are not there.
    Absent,
    /// Writes keys that are there.
    Overwrite,
}

impl Phase {
    /// Every phase, in the order of the round.
    pub(crate) const ALL: [Phase; 6] =
        [Phase::Put, Phase::FirstOfScan, Phase::Get, Phase::Lookup, Phase::Absent, Phase::Overwrite];

    /// The name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Phase::Put => "put, new key",
            Phase::FirstOfScan => "first entry of a scan, once, right after the puts",
            Phase::Get => "get",
            Phase::Lookup => "get, no copy",
            Phase::Absent => "get, absent key",
            Phase::Overwrite => "put, existing key",
        }
    }
}

/// Nanoseconds a call took in one phase of one round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Timing {
    /// Time of the whole phase, divided by its calls.
    pub(crate) mean: f64,
    /// The middle one of all blocks of calls.
    pub(crate) p50: f64,
    /// One block in a hundred was slower.
    pub(crate) p99: f64,
    /// The slowest block.
    pub(crate) slowest: f64,
}

/// Runs every phase on a fresh store.
pub(crate) fn run_round(store: &dyn Store, workload: &Workload) -> Result<Vec<(Phase, Timing)>> {
    let put = time_puts(store, &workload.new, FIRST)?;
    let first = workload.new.iter().min();
    let first_of_scan = time_calls(first.as_slice(), |key| {
        ensure!(store.first()?.as_ref() == Some(*key), "a scan did not begin with the first key");
        Ok(())
    })?;
    let get = time_calls(&workload.drawn, |key| expect(key, store.get(key)?, Some(FIRST)))?;
    let mut lookup = None;
    store.with_lookup(&mut |find| {
        lookup = Some(time_calls(&workload.drawn, |key| expect(key, find(key)?, Some(FIRST)))?);
        Ok(())
    })?;
    let absent = time_calls(&workload.absent, |key| expect(key, store.get(key)?, None))?;
    let overwrite = time_puts(store, &workload.drawn, SECOND)?;
    for key in workload.drawn.iter().step_by(97) {
        expect(key, store.get(key)?, Some(SECOND))?;
    }
    let mut timings = vec![(Phase::Put, put), (Phase::FirstOfScan, first_of_scan), (Phase::Get, get)];
    timings.extend(lookup.map(|timing| (Phase::Lookup, timing)));
    timings.extend([(Phase::Absent, absent), (Phase::Overwrite, overwrite)]);
    Ok(timings)
}

fn time_puts(store: &dyn Store, keys: &[Key], version: u64) -> Result<Timing> {
    let mut value = [0; VALUE_BYTES];
    time_calls(keys, |key| {
        fill_value(&mut value, key, version);
        store.put(key, &value)
    })
}

fn expect(key: &Key, found: Option<u64>, version: Option<u64>) -> Result<()> {
    let expected = version.map(|version| expected_digest(key, version));
    ensure!(
        found == expected,
        "a get returned something else than what was put last: the run is worth nothing"
    );
    Ok(())
}

fn time_calls<K>(keys: &[K], mut call: impl FnMut(&K) -> Result<()>) -> Result<Timing> {
    let mut blocks = Vec::with_capacity(keys.len().div_ceil(CALLS_PER_BLOCK));
    let begin = Instant::now();
    let mut block_begin = begin;
    for block in keys.chunks(CALLS_PER_BLOCK) {
        for key in block {
            call(key)?;
        }
        let now = Instant::now();
        blocks.push((now - block_begin).as_nanos() as f64 / block.len() as f64);
        block_begin = now;
    }
    let mean = begin.elapsed().as_nanos() as f64 / keys.len().max(1) as f64;
    blocks.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| blocks.get((blocks.len() as f64 * part) as usize).copied();
    let slowest = blocks.last().copied().unwrap_or(mean);
    Ok(Timing { mean, p50: at(0.5).unwrap_or(mean), p99: at(0.99).unwrap_or(slowest), slowest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Kind;

    #[test]
    fn a_round_runs_on_every_store_and_times_every_phase() {
        let workload = Workload::new(500, 7);
        for kind in [Kind::OpenDb, Kind::Lmdb, Kind::LmdbWritableMap, Kind::Memory] {
            let directory = tempfile::tempdir().unwrap();
            let mut phases = Vec::new();
            kind.with_store(directory.path(), 500, &mut |store| {
                phases = run_round(store, &workload)?.into_iter().map(|(phase, _)| phase).collect();
                Ok(())
            })
            .unwrap();
            assert_eq!(phases, Phase::ALL, "{}", kind.name());
        }
    }

    #[test]
    fn a_wrong_value_ends_the_run() {
        let key = &Workload::new(1, 7).new[0];
        assert!(expect(key, Some(expected_digest(key, SECOND)), Some(SECOND)).is_ok());
        assert!(expect(key, Some(expected_digest(key, FIRST)), Some(SECOND)).is_err());
        assert!(expect(key, None, Some(FIRST)).is_err());
        assert!(expect(key, Some(1), None).is_err());
    }
}
