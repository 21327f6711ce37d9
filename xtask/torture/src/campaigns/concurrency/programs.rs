//! The programs by which anomalies were published. Each is run by threads, and what it comes to is exact.

use std::sync::Barrier;

use opendb::{OpenDB, Scan, Transaction};
use opendb_tests::random::Random;
use opendb_tests::{Failure, Outcome};

use super::{Work, durability, is_committed, together};
use crate::plan::Tally;

/// Times that a program runs in a history.
const TIMES: u64 = 5;

/// Runs one of the programs.
pub(super) fn run(
    database: &OpenDB,
    prefix: &str,
    number: u64,
    random: &mut Random,
    tally: &mut Tally,
) -> Outcome<()> {
    let program = [lost_update, write_skew, read_only, phantom][(number % 4) as usize];
    tally.add("programs", TIMES);
    (0..TIMES).try_for_each(|time| program(database, &format!("{prefix}{time}:"), random))
}

fn number(value: Option<&[u8]>) -> i64 {
    value.and_then(|value| value.first_chunk()).map_or(0, |bytes| i64::from_le_bytes(*bytes))
}

fn get(transaction: &Transaction, key: &[u8]) -> Outcome<i64> {
    Ok(number(transaction.get("default", key)?.as_deref()))
}

/// Each thread adds one again and again (H. Berenson et al., *A Critique of ANSI SQL Isolation Levels*, 1995, P4): every number is
/// given out once.
fn lost_update(database: &OpenDB, prefix: &str, random: &mut Random) -> Outcome<()> {
    const THREADS: i64 = 4;
    const TIMES: i64 = 8;
    let key = format!("{prefix}counter").into_bytes();
    let add = |mut random: Random| -> Work<'_, Vec<i64>> {
        let key = &key;
        Box::new(move || {
            let mut given = Vec::new();
            while (given.len() as i64) < TIMES {
                let mut transaction = database.begin_transaction()?;
                let next = get(&transaction, key)? + 1;
                transaction.put("default", key, &next.to_le_bytes())?;
                if is_committed(transaction.commit_with(durability(&mut random)))? {
                    given.push(next);
                }
            }
            Ok(given)
        })
    };
    let works = (0..THREADS).map(|_| add(Random::new(random.bits()))).collect();
    let mut given: Vec<i64> = together(works)?.into_iter().flatten().collect();
    given.sort_unstable();
    let last = number(database.get(&key)?.as_deref());
    if given.iter().copied().eq(1..=THREADS * TIMES) && last == THREADS * TIMES {
        return Ok(());
    }
    Err(Failure(format!("lost update: {given:?} were given out, and the counter is {last}")))
}

/// Each of two goes off duty if the other one is on (A5B of the same): one of them stays, exactly.
fn write_skew(database: &OpenDB, prefix: &str, random: &mut Random) -> Outcome<()> {
    let keys = [0, 1].map(|doctor| format!("{prefix}duty {doctor}").into_bytes());
    for key in &keys {
        database.put(key, &1_i64.to_le_bytes())?;
    }
    let have_looked = Barrier::new(keys.len());
    let leave = |own: usize, mut random: Random| -> Work<'_, bool> {
        let (keys, have_looked) = (&keys, &have_looked);
        Box::new(move || {
            let mut transaction = database.begin_transaction()?;
            let on_duty: i64 = if random.one_in(2) {
                let start = format!("{prefix}duty ");
                let entries = transaction.scan_prefix("default", start.as_bytes())?;
                entries.iter().map(|entry| number(Some(&entry.1))).sum()
            } else {
                get(&transaction, &keys[0])? + get(&transaction, &keys[1])?
            };
            have_looked.wait();
            if on_duty < 2 {
                return Ok(false);
            }
            transaction.put("default", &keys[own], &0_i64.to_le_bytes())?;
            is_committed(transaction.commit_with(durability(&mut random)))
        })
    };
    let works = (0..keys.len()).map(|own| leave(own, Random::new(random.bits()))).collect();
    let left = together(works)?.into_iter().filter(|left| *left).count();
    let mut on_duty = 0;
    for key in &keys {
        on_duty += number(database.get(key)?.as_deref());
    }
    if (left, on_duty) == (1, 1) {
        return Ok(());
    }
    Err(Failure(format!("write skew: {left} have left, and {on_duty} are on duty")))
}

/// Checking and savings (A. Fekete, E. O'Neil and P. O'Neil, *A Read-Only Transaction Anomaly Under Snapshot Isolation*, 2004): 20 go
/// into the savings, and then somebody looks; meanwhile 10 are drawn, and one more as a charge where both together do not have as
/// much. Who saw 20 and nothing drawn knows that no charge will come.
fn read_only(database: &OpenDB, prefix: &str, random: &mut Random) -> Outcome<()> {
    let (checking, savings) =
        (format!("{prefix}checking").into_bytes(), format!("{prefix}savings").into_bytes());
    // Every other time the one that draws has read before anything else happens, and commits last.
    let is_ordered = random.one_in(2);
    let (has_read, has_looked) = (Barrier::new(2), Barrier::new(2));
    let wait = |barrier: &Barrier| {
        if is_ordered {
            barrier.wait();
        }
    };
    let (mut one, mut other) = (Random::new(random.bits()), Random::new(random.bits()));
    let draw: Work<'_, i64> = Box::new(|| {
        for attempt in 0.. {
            let mut transaction = database.begin_transaction()?;
            let before = get(&transaction, &checking)?;
            let charge = i64::from(before + get(&transaction, &savings)? < 10);
            if attempt == 0 {
                wait(&has_read);
                wait(&has_looked);
            }
            transaction.put("default", &checking, &(before - 10 - charge).to_le_bytes())?;
            if is_committed(transaction.commit_with(durability(&mut one)))? {
                break;
            }
        }
        Ok(0)
    });
    let deposit_and_look: Work<'_, i64> = Box::new(|| {
        wait(&has_read);
        loop {
            let mut transaction = database.begin_transaction()?;
            let before = get(&transaction, &savings)?;
            transaction.put("default", &savings, &(before + 20).to_le_bytes())?;
            if is_committed(transaction.commit_with(durability(&mut other)))? {
                break;
            }
        }
        let look = database.begin_transaction()?;
        let (checking, savings) = (get(&look, &checking)?, get(&look, &savings)?);
        look.commit()?;
        wait(&has_looked);
        if savings == 20 { Ok(checking) } else { Err("what was put into the savings is not there".into()) }
    });
    let seen: i64 = together(vec![draw, deposit_and_look])?.into_iter().sum();
    let last = number(database.get(&checking)?.as_deref());
    let is_right = if seen == 0 { last == -10 } else { last == seen && !is_ordered };
    if is_right && [-10, -11].contains(&last) {
        return Ok(());
    }
    Err(Failure(format!("read-only anomaly: {seen} was seen, and {last} is there at the end")))
}

/// Seats are given out by counting those that are taken, under keys that nobody else writes (P3 of the critique): each seat once, and
/// none is left out.
fn phantom(database: &OpenDB, prefix: &str, random: &mut Random) -> Outcome<()> {
    const THREADS: u64 = 3;
    const SEATS: usize = 12;
    let start = format!("{prefix}seat ");
    let take = |guest: u64, mut random: Random| -> Work<'_, usize> {
        let start = &start;
        Box::new(move || {
            let mut mine = 0;
            loop {
                let mut transaction = database.begin_transaction()?;
                let mut taken = 0;
                for key in transaction.keys("default", &Scan::prefix(start.clone().into_bytes()))? {
                    key?;
                    taken += 1;
                }
                if taken >= SEATS {
                    return Ok(mine);
                }
                transaction.put("default", format!("{start}{taken:02} of {guest}").as_bytes(), b"")?;
                mine += usize::from(is_committed(transaction.commit_with(durability(&mut random)))?);
            }
        })
    };
    let works = (0..THREADS).map(|guest| take(guest, Random::new(random.bits()))).collect();
    let given: usize = together(works)?.into_iter().sum();
    let seats = database.scan_prefix(start.as_bytes())?;
    let is_in_place = |(at, (key, _)): (usize, &(Vec<u8>, Vec<u8>))| {
        key.starts_with(format!("{start}{at:02} of ").as_bytes())
    };
    if given == SEATS && seats.len() == SEATS && seats.iter().enumerate().all(is_in_place) {
        return Ok(());
    }
    let seats: Vec<_> = seats.iter().map(|entry| String::from_utf8_lossy(&entry.0).into_owned()).collect();
    Err(Failure(format!("phantom: {given} of {SEATS} seats were given out: {seats:?}")))
}
