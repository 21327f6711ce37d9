//! Puts that wait for the device.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;

use crate::clock::{Clock, together};
use crate::data::expect;
use crate::run::{Needs, Run};
use crate::stores::Call;

/// Puts of each thread have numbers of their own from here on.
const NUMBERS_PER_THREAD: u64 = 1 << 32;
const THREADS: [u64; 2] = [1, 4];
/// Of all threads together.
const PUTS_MAX: u64 = 100_000;

pub(super) fn run(run: &mut Run<'_>) -> Result<()> {
    for threads in THREADS {
        run.open(Needs { durable: true, ..Needs::default() }, |run, store| {
            let store = &*store;
            let data = run.data();
            let made: Vec<AtomicU64> = (0..threads).map(|_| AtomicU64::new(0)).collect();
            let timing = together(threads, run.budget(PUTS_MAX.min(data.count)), |thread| {
                let (mut values, made) = (data.values(), &made);
                move |call, clock: &mut Clock| {
                    let key = data.key(thread * NUMBERS_PER_THREAD + call);
                    let value = values.value(&key, 0);
                    clock.time(|| store.put(&key, value))?;
                    made.iter()
                        .skip(thread as usize)
                        .take(1)
                        .for_each(|made| made.store(call + 1, Ordering::Relaxed));
                    Ok(())
                }
            })?;
            let can_read = run.kind.profile().lacks(Call::Point).is_none();
            for (thread, made) in (0..).zip(made).filter(|_| can_read) {
                for call in 0..made.into_inner() {
                    let key = data.key(thread * NUMBERS_PER_THREAD + call);
                    expect(&key, store.get(&key)?, Some(0))?;
                }
            }
            run.timing(&format!("durable-put-{threads}"), timing)
        })?;
    }
    Ok(())
}
