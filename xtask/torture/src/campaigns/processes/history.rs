//! What the writer of a directory does, commit by commit, so that of any state it can be told whether it is one of those that there
//! were, and which.
//!
//! Commits are numbered from 1. An odd one is a single put. An even one is a transaction over two keyspaces, which moves money between
//! two accounts, puts one of many slots, puts a key that will be gone, and deletes one that was put before. So one of the last two
//! commits tells the number of any state, and all the rest follows from it.

use std::collections::BTreeMap;

use opendb::{OpenDB, Snapshot};
use opendb_tests::random::Random;
use opendb_tests::{Failure, Outcome};

/// Slots that are put in turn, so that most of the log is garbage.
const SLOTS: u64 = 150;
/// Keys that are there at a time of those that will be gone.
const KEPT: u64 = 20;
const ACCOUNTS: u64 = 8;
const MONEY: u64 = 1000;
/// After so many transactions one has a large value.
const LARGE_EVERY: u64 = 64;
const LARGE_BYTES: usize = (1 << 20) + 77;
const SECOND: &str = "second";

/// The value of a commit: its number tells its bytes.
fn value(number: u64) -> Vec<u8> {
    let mut random = Random::new(number);
    let length = 8 + random.below(900) as usize;
    let mut value = number.to_le_bytes().to_vec();
    value.resize(length, random.bits() as u8);
    value
}

fn large_value(number: u64) -> Vec<u8> {
    let mut value = value(number);
    value.resize(LARGE_BYTES, number as u8);
    value
}

fn slot(number: u64) -> Vec<u8> {
    format!("slot:{:04}", number / 2 % SLOTS).into_bytes()
}

fn gone(number: u64) -> Vec<u8> {
    format!("gone:{number:016}").into_bytes()
}

fn account(number: u64) -> Vec<u8> {
    format!("account:{number}").into_bytes()
}

fn number_in(bytes: Option<Vec<u8>>) -> Outcome<u64> {
    let Some(bytes) = bytes else { return Ok(0) };
    let first = bytes.first_chunk().ok_or("a value is too short for a number")?;
    Ok(u64::from_le_bytes(*first))
}

fn is_large(number: u64) -> bool {
    number.is_multiple_of(2 * LARGE_EVERY)
}

/// Makes commit `number`.
pub(super) fn commit(database: &OpenDB, number: u64) -> Outcome<()> {
    if number % 2 == 1 {
        return Ok(database.put(b"single", &value(number))?);
    }
    database.transact(|transaction| {
        let mut random = Random::new(number ^ 0x5eed);
        let (from, to) = (account(random.below(ACCOUNTS)), account(random.below(ACCOUNTS)));
        let money = |found: Option<Vec<u8>>| number_in(found).unwrap_or_default();
        let (left, right) =
            (money(transaction.get("default", &from)?), money(transaction.get("default", &to)?));
        let moved = left.min(random.below(50));
        if from != to {
            transaction.put("default", &from, &(left - moved).to_le_bytes())?;
            transaction.put("default", &to, &(right + moved).to_le_bytes())?;
        }
        transaction.put("default", b"count", &number.to_le_bytes())?;
        transaction.put(SECOND, b"count", &number.to_le_bytes())?;
        transaction.put("default", &slot(number), &value(number))?;
        transaction.put(SECOND, &gone(number), b"")?;
        if number > 2 * KEPT {
            transaction.delete(SECOND, &gone(number - 2 * KEPT))?;
        }
        if is_large(number) {
            transaction.put("default", b"large", &large_value(number))?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Makes what commits are made on, unless it is there.
pub(super) fn begin(database: &OpenDB) -> Outcome<()> {
    database.keyspace(SECOND)?;
    let mut batch = database.batch();
    for number in 0..ACCOUNTS {
        if !database.exists(&account(number))? {
            batch.put("default", &account(number), &MONEY.to_le_bytes())?;
        }
    }
    Ok(batch.commit()?)
}

/// The last commit of a state, all of which is looked at; `None` where nothing was begun.
pub(super) fn check(snapshot: &Snapshot) -> Outcome<Option<u64>> {
    let Ok(second) = snapshot.keyspace(SECOND) else { return Ok(None) };
    let state: BTreeMap<Vec<u8>, Vec<u8>> = snapshot.scan_prefix(b"")?.into_iter().collect();
    if state.is_empty() {
        return Ok(None);
    }
    for (key, value) in &state {
        if snapshot.get(key)?.as_ref() != Some(value) || !snapshot.exists(key)? {
            return Err(Failure(format!("{} is scanned and not got", String::from_utf8_lossy(key))));
        }
    }
    let count = number_in(state.get(&b"count"[..]).cloned())?;
    let single = number_in(state.get(&b"single"[..]).cloned())?;
    let last = count.max(single);
    let told = || format!("count {count}, single {single}");
    if number_in(second.get(b"count")?)? != count || count + 1 != single && (single + 1 != count && last > 0)
    {
        return Err(Failure(format!("half a commit: {}", told())));
    }
    let mut expected = BTreeMap::new();
    for number in (count.saturating_sub(2 * SLOTS) + 1..=count).filter(|number| number % 2 == 0) {
        expected.insert(slot(number), value(number));
    }
    if single > 0 {
        expected.insert(b"single".to_vec(), value(single));
    }
    if count > 0 {
        expected.insert(b"count".to_vec(), count.to_le_bytes().to_vec());
    }
    let large = count / (2 * LARGE_EVERY) * (2 * LARGE_EVERY);
    if large > 0 {
        expected.insert(b"large".to_vec(), large_value(large));
    }
    let (accounts, rest): (BTreeMap<_, _>, BTreeMap<_, _>) =
        state.into_iter().partition(|(key, _)| key.starts_with(b"account:"));
    let money = accounts.into_values().map(|value| number_in(Some(value))).sum::<Outcome<u64>>()?;
    if money != ACCOUNTS * MONEY {
        return Err(Failure(format!("{money} of {} are left: {}", ACCOUNTS * MONEY, told())));
    }
    if rest != expected {
        let other = expected.keys().chain(rest.keys()).find(|key| expected.get(*key) != rest.get(*key));
        let key = other.map(|key| String::from_utf8_lossy(key).into_owned()).unwrap_or_default();
        return Err(Failure(format!("{key} is not what it was then: {}", told())));
    }
    let kept = second.scan_prefix(b"gone:")?.into_iter().map(|(key, _)| key);
    let all = (count.saturating_sub(2 * KEPT) + 1..=count).filter(|number| number % 2 == 0).map(gone);
    if !kept.eq(all) {
        return Err(Failure(format!("a deleted key is there, or one is missing: {}", told())));
    }
    Ok(Some(last))
}
