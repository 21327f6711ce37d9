//! Scans, right after a load of keys at random and again after the store was settled.

use anyhow::Result;

use super::load::load;
use crate::clock::{each, once};
use crate::data::Digest;
use crate::run::{Needs, Run};
use crate::stores::Store;

/// How many entries, and how many scans of them at most.
const LENGTHS: [(usize, u64); 3] = [(10, 100_000), (1000, 10_000), (100_000, 100)];

pub(super) fn run(run: &mut Run<'_>) -> Result<()> {
    run.open(Needs { scans: true, ..Needs::default() }, |run, store| {
        load(store, &run.data(), 0..run.data().count)?;
        first(run, store)?;
        all(run, store, "fresh")?;
        let settling = once(|| store.settle())?;
        run.timing("settle", settling)?;
        all(run, store, "settled")
    })
}

/// The first entry of everything, once: what a scan costs that begins right after a load.
fn first(run: &mut Run<'_>, store: &dyn Store) -> Result<()> {
    let (order, mut shown) = (run.order, Digest::new());
    let key = run.data().key(order.number(0)?);
    let timing = once(|| store.scan(&key, 1, false, &mut |key, value| shown.add(key, value)))?;
    order.expect(0, 1, &shown)?;
    run.timing("scan-first-fresh", timing)
}

fn all(run: &mut Run<'_>, store: &dyn Store, moment: &str) -> Result<()> {
    for (entries, scans) in LENGTHS {
        for (way, collected) in [("iterated", false), ("collected", true)] {
            let id = format!("scan-{entries}-{way}-{moment}");
            let (data, order, mut random) = (run.data(), run.order, run.random(&id));
            // Not nearer to the end than the scan is long, where there are enough entries.
            let places = data.count.saturating_sub(entries as u64).max(1);
            let timing = each(run.budget(scans), |_, clock| {
                let rank = random.below(places) as usize;
                let (start, mut shown) = (data.key(order.number(rank)?), Digest::new());
                let mut visit = |key: &[u8], value: &[u8]| shown.add(key, value);
                clock.time(|| store.scan(&start, entries, collected, &mut visit))?;
                order.expect(rank, entries, &shown)
            })?;
            run.timing(&id, timing)?;
        }
    }
    Ok(())
}
