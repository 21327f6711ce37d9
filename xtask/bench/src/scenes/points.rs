//! Puts, gets, overwrites, deletes and batches, on one store in this order.

use anyhow::{Result, ensure};
use opendb_measure::workload::{Key, Random, Zipfian};

use super::load::{ENTRIES_PER_BATCH, entries, load};
use crate::clock::{Timing, blocks, each};
use crate::data::{Data, expect};
use crate::rows::Group;
use crate::run::{Needs, Run};
use crate::stores::{Call, Lookup, Store};

/// Keys that are asked for again and again.
const HOT_KEYS: u64 = 1000;
/// Keys of one call that asks for many.
const KEYS_PER_CALL: u64 = 100;
/// Puts get so many times the time of other rows: what they have not put is loaded without being measured, and a half
/// empty store would flatter.
const PUT_TIMES: u32 = 10;
/// Entries that are read after writes, to see that those were made.
const CHECKED: u64 = 10_000;
/// In the model of what is there: nothing.
const GONE: u32 = u32::MAX;

pub(super) fn run(run: &mut Run<'_>) -> Result<()> {
    run.open(Needs::default(), |run, store| {
        let loaded = if run.wants(Group::Put) { puts(run, store, "put-random", Data::key)? } else { 0 };
        load(store, &run.data(), loaded..run.data().count)?;
        if run.wants(Group::Get) {
            gets(run, store)?;
        }
        let mut versions = vec![0; run.data().count as usize];
        if run.wants(Group::Overwrite) {
            overwrites(run, store, &mut versions)?;
        }
        if run.wants(Group::Delete) {
            deletes(run, store, &mut versions)?;
        }
        let wants_batches = run.wants(Group::Batch) && run.kind.profile().lacks(Call::Batch).is_none();
        if wants_batches { batches(run, store) } else { Ok(()) }
    })?;
    if run.wants(Group::Put) {
        run.open(Needs::default(), |run, store| {
            puts(run, store, "put-in-order", Data::key_in_order).map(drop)
        })?;
    }
    Ok(())
}

/// Puts every key once, or as many as there is time for; gives how many.
fn puts(run: &mut Run<'_>, store: &dyn Store, id: &str, key: fn(&Data, u64) -> Key) -> Result<u64> {
    let (data, mut values) = (run.data(), run.data().values());
    let mut budget = run.budget(data.count);
    budget.time *= PUT_TIMES;
    let timing = each(budget, |number, clock| {
        let key = key(&data, number);
        let value = values.value(&key, 0);
        clock.time(|| store.put(&key, value))
    })?;
    let put = timing.calls;
    for number in (0..put).step_by((put / CHECKED).max(1) as usize) {
        let key = key(&data, number);
        expect(&key, store.get(&key)?, Some(0))?;
    }
    run.timing(id, timing)?;
    Ok(put)
}

fn gets(run: &mut Run<'_>, store: &dyn Store) -> Result<()> {
    let data = run.data();
    let zipfian = Zipfian::new(data.count);
    let uniform = |random: &mut Random| data.key(random.below(data.count));
    let skewed = |random: &mut Random| data.key(zipfian.next(random));
    let hot = |random: &mut Random| data.key(random.below(HOT_KEYS.min(data.count)));
    let get = |key: &Key| expect(key, store.get(key)?, Some(0));
    let absent = |key: &Key| expect(key, store.get(key)?, None);
    let exists = |key: &Key| {
        ensure!(store.exists(key)?, "a key that was put does not exist");
        Ok(())
    };
    measure_gets(run, "get-uniform", uniform, get)?;
    measure_gets(run, "get-zipfian", skewed, get)?;
    lookups(run, store, "lookup-uniform", uniform)?;
    lookups(run, store, "lookup-zipfian", skewed)?;
    measure_gets(run, "get-absent", |random| data.absent(random.below(data.count)), absent)?;
    measure_gets(run, "exists", uniform, exists)?;
    measure_gets(run, "get-hot", hot, get)?;
    lookups(run, store, "lookup-hot", hot)?;
    get_many(run, store)
}

fn measure_gets(
    run: &mut Run<'_>,
    id: &str,
    draw: impl Fn(&mut Random) -> Key,
    get: impl Fn(&Key) -> Result<()>,
) -> Result<()> {
    let mut random = run.random(id);
    let timing = blocks(run.budget(run.data().count), || draw(&mut random), get)?;
    run.timing(id, timing)
}

fn lookups(run: &mut Run<'_>, store: &dyn Store, id: &str, draw: impl Fn(&mut Random) -> Key) -> Result<()> {
    store.with_lookup(&mut |find: Lookup<'_>| {
        measure_gets(run, id, &draw, |key| expect(key, find(key)?, Some(0)))
    })
}

fn get_many(run: &mut Run<'_>, store: &dyn Store) -> Result<()> {
    let (data, mut random) = (run.data(), run.random("get-many"));
    let timing = each(run.budget(data.count / KEYS_PER_CALL), |_, clock| {
        let keys: Vec<Key> = (0..KEYS_PER_CALL).map(|_| data.key(random.below(data.count))).collect();
        clock.time(|| {
            let mut left = keys.iter();
            store.get_many(&keys, &mut |found| {
                left.next().map_or(Ok(()), |key| expect(key, found, Some(0)))
            })?;
            ensure!(left.next().is_none(), "not all keys were answered");
            Ok(())
        })
    })?;
    run.timing("get-many", timing)
}

fn overwrites(run: &mut Run<'_>, store: &dyn Store, versions: &mut [u32]) -> Result<()> {
    let (data, mut values, mut random) = (run.data(), run.data().values(), run.random("overwrite"));
    let timing = each(run.budget(data.count), |call, clock| {
        let (number, version) = (random.below(data.count), call as u32 + 1);
        let key = data.key(number);
        let value = values.value(&key, u64::from(version));
        clock.time(|| store.put(&key, value))?;
        note(versions, number, version);
        Ok(())
    })?;
    written(run, store, versions, "overwrite", timing)
}

fn deletes(run: &mut Run<'_>, store: &dyn Store, versions: &mut [u32]) -> Result<()> {
    let (data, mut random) = (run.data(), run.random("delete"));
    let timing = each(run.budget(data.count / 2), |_, clock| {
        // A key that is there, so that there is something to do.
        let mut number = random.below(data.count);
        while version_of(versions, number).is_none() {
            number = (number + 1) % data.count;
        }
        let key = data.key(number);
        clock.time(|| store.delete(&key))?;
        note(versions, number, GONE);
        Ok(())
    })?;
    written(run, store, versions, "delete", timing)
}

fn note(versions: &mut [u32], number: u64, version: u32) {
    if let Some(place) = versions.get_mut(number as usize) {
        *place = version;
    }
}

/// The version that is there.
fn version_of(versions: &[u32], number: u64) -> Option<u64> {
    versions.get(number as usize).filter(|version| **version != GONE).map(|version| u64::from(*version))
}

/// Reads some entries of all parts, to see that what was timed was done, and notes the time.
fn written(run: &mut Run<'_>, store: &dyn Store, versions: &[u32], id: &str, timing: Timing) -> Result<()> {
    let data = run.data();
    for number in (0..data.count).step_by((data.count / CHECKED).max(1) as usize) {
        let key = data.key(number);
        expect(&key, store.get(&key)?, version_of(versions, number))?;
    }
    run.timing(id, timing)
}

fn batches(run: &mut Run<'_>, store: &dyn Store) -> Result<()> {
    let data = run.data();
    let timing = each(run.budget(data.count / ENTRIES_PER_BATCH), |call, clock| {
        let begin = data.count + call * ENTRIES_PER_BATCH;
        let entries = entries(&data, begin..begin + ENTRIES_PER_BATCH, 0);
        clock.time(|| store.batch(&entries))
    })?;
    let end = data.count + timing.calls * ENTRIES_PER_BATCH;
    for number in (data.count..end).step_by(((end - data.count) / CHECKED).max(1) as usize) {
        let key = data.key(number);
        expect(&key, store.get(&key)?, Some(0))?;
    }
    run.timing("batch", timing)
}
