//! One key that is read and written in one step: nobody else changes it in between.

use super::Keyspace;
use super::opendb::rest_after;
use crate::error::{Error, Result};
use crate::options::{Durability, check_key, check_value};
use crate::transaction::Work;

/// Bytes of a number that [`Keyspace::increment`] adds to.
const NUMBER_BYTES: usize = size_of::<i64>();

impl Keyspace {
    /// Stores `new` under a key if its value is `expected`, and tells whether it was; `None` stands for a key that is not there, so
    /// that a key can be created only where it is missing, and deleted only while it has this value. Otherwise nothing is
    /// written.
    ///
    /// # Errors
    /// As [`Keyspace::put`] and [`Keyspace::get`].
    pub fn compare_and_swap(&self, key: &[u8], expected: Option<&[u8]>, new: Option<&[u8]>) -> Result<bool> {
        self.compare_and_swap_with(key, expected, new, self.handle.durability())
    }

    /// [`Keyspace::compare_and_swap`], waiting for what this commit is to wait for.
    ///
    /// # Errors
    /// As [`Keyspace::compare_and_swap`].
    pub fn compare_and_swap_with(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
        durability: Durability,
    ) -> Result<bool> {
        new.map_or(Ok(()), check_value)?;
        self.update(key, durability, |value| Ok((value.as_deref() == expected).then_some((new, true))))
            .map(Option::unwrap_or_default)
    }

    /// Adds to the number under a key, and gives the sum; 0 where the key is not there. Numbers are 8 bytes, little endian, signed (two's
    /// complement): an unsigned one below 2^63 is the same bytes.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], with nothing written, where the value does not have 8 bytes or the sum is beyond what they
    /// hold; otherwise as [`Keyspace::put`] and [`Keyspace::get`].
    pub fn increment(&self, key: &[u8], by: i64) -> Result<i64> {
        self.increment_with(key, by, self.handle.durability())
    }

    /// [`Keyspace::increment`], waiting for what this commit is to wait for.
    ///
    /// # Errors
    /// As [`Keyspace::increment`].
    pub fn increment_with(&self, key: &[u8], by: i64, durability: Durability) -> Result<i64> {
        let sum = self.update(key, durability, |value| {
            let sum = number(value.as_deref())?.checked_add(by).ok_or_else(too_large)?;
            Ok(Some((Some(sum.to_le_bytes()), sum)))
        })?;
        sum.ok_or_else(|| Error::Internal("a sum was not stored".to_owned()))
    }

    /// Removes a key, and gives the value that it had; `None`, and nothing is written, where it is not there. Of those who take the
    /// same key at once one gets the value.
    ///
    /// # Errors
    /// As [`Keyspace::put`] and [`Keyspace::get`].
    pub fn take(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.take_with(key, self.handle.durability())
    }

    /// [`Keyspace::take`], waiting for what this commit is to wait for.
    ///
    /// # Errors
    /// As [`Keyspace::take`].
    pub fn take_with(&self, key: &[u8], durability: Durability) -> Result<Option<Vec<u8>>> {
        self.update(key, durability, |value| Ok(value.map(|value| (None::<Vec<u8>>, value))))
    }

    /// Stores, in place of the value that `decide` was shown, what it says, and gives what else it says. Where it says nothing,
    /// nothing is written. Asked again each time somebody else has changed the key in between, which is as often as others get on.
    fn update<V: AsRef<[u8]>, T>(
        &self,
        key: &[u8],
        durability: Durability,
        mut decide: impl FnMut(Option<Vec<u8>>) -> Result<Option<(Option<V>, T)>>,
    ) -> Result<Option<T>> {
        let keyspace = self.entry.number;
        for attempt in 1.. {
            let store = self.handle.store_to_write()?;
            check_key(key)?;
            let mut work = Work::begin(&store);
            let value = work.get(&store, keyspace, key, &self.handle.pin()?)?;
            let Some((new, answer)) = decide(value)? else { return Ok(None) };
            work.write(&store, keyspace, key, new.as_ref().map(AsRef::as_ref))?;
            match work.commit(&store, durability) {
                Err(Error::Transaction(_)) => rest_after(attempt),
                committed => return committed.map(|()| Some(answer)),
            }
        }
        Err(Error::Internal("the attempts at an update have no end".to_owned()))
    }
}

/// The number that a value is.
fn number(value: Option<&[u8]>) -> Result<i64> {
    let Some(value) = value else { return Ok(0) };
    let bytes = value.try_into().map_err(|_| {
        Error::InvalidArgument(format!(
            "the value under the key has {} bytes, and a number that can be added to has {NUMBER_BYTES}",
            value.len()
        ))
    })?;
    Ok(i64::from_le_bytes(bytes))
}

fn too_large() -> Error {
    Error::InvalidArgument(
        "the sum is beyond what a number of 8 bytes holds; the one under the key is as it was".to_owned(),
    )
}
