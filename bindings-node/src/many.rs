//! Many keys in one call: how they come in, and how their values go out.
//!
//! Keys come as one piece of memory, each as its length (4 bytes, little endian) and its bytes. Values go out as buffers: the
//! first has the length of each value in the same form, in the order of the keys, and behind the lengths the values one after
//! the other. [`ABSENT`] stands for an absent key. [`LARGE`] stands for a value that has a buffer of its own among the others,
//! so that who keeps a small value does not keep large ones with it.

use napi::bindgen_prelude::{BufferSlice, Env, Result};
use napi_derive::napi;
use opendb::Error;

use crate::database::{KeyspaceHandle, SnapshotHandle};
use crate::transaction::TransactionHandle;

const LENGTH_BYTES: usize = 4;
const ABSENT: u32 = u32::MAX;
const LARGE: u32 = u32::MAX - 1;
/// The longest value that stands among the others.
const SMALL_BYTES_MAX: usize = 4096;

/// The values of many keys.
#[napi(catch_unwind, ts_return_type = "Buffer[]")]
pub(crate) fn keyspace_get_many<'env>(
    env: &'env Env,
    keyspace: &KeyspaceHandle,
    keys: &[u8],
) -> Result<Vec<BufferSlice<'env>>> {
    let values = keyspace.call(env, |open| open.keyspace.get_many_ref(&unpack(keys)?))?;
    hand_out(env, &values)
}

/// The values of many keys at the moment of the snapshot.
#[napi(catch_unwind, ts_return_type = "Buffer[]")]
pub(crate) fn snapshot_get_many<'env>(
    env: &'env Env,
    snapshot: &SnapshotHandle,
    keys: &[u8],
) -> Result<Vec<BufferSlice<'env>>> {
    let values = snapshot.call(env, |snapshot| snapshot.get_many_ref(&unpack(keys)?))?;
    hand_out(env, &values)
}

/// The values of many keys as the transaction sees them.
#[napi(catch_unwind, ts_return_type = "Buffer[]")]
pub(crate) fn transaction_get_many<'env>(
    env: &'env Env,
    transaction: &TransactionHandle,
    keyspace: String,
    keys: &[u8],
) -> Result<Vec<BufferSlice<'env>>> {
    let values = transaction.call(env, |transaction| transaction.get_many(&keyspace, &unpack(keys)?))?;
    hand_out(env, &values)
}

fn unpack(mut packed: &[u8]) -> opendb::Result<Vec<&[u8]>> {
    let mut keys = Vec::new();
    while let Some((length, rest)) = packed.split_first_chunk::<LENGTH_BYTES>() {
        let (key, rest) =
            rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(cut_short)?;
        keys.push(key);
        packed = rest;
    }
    if packed.is_empty() { Ok(keys) } else { Err(cut_short()) }
}

fn cut_short() -> Error {
    Error::Internal("the keys of a call are cut short".to_owned())
}

/// Copies the values out, the one copy that is made of them.
fn hand_out<'env, V: AsRef<[u8]>>(env: &'env Env, values: &[Option<V>]) -> Result<Vec<BufferSlice<'env>>> {
    let small = |value: &[u8]| value.len() <= SMALL_BYTES_MAX;
    let there = || values.iter().flatten().map(AsRef::as_ref);
    let bytes: usize = there().filter(|value| small(value)).map(<[u8]>::len).sum();
    let mut packed = Vec::with_capacity(values.len() * LENGTH_BYTES + bytes);
    for value in values {
        let length = match value.as_ref().map(AsRef::as_ref) {
            None => ABSENT,
            Some(value) if small(value) => value.len() as u32,
            Some(_) => LARGE,
        };
        packed.extend_from_slice(&length.to_le_bytes());
    }
    there().filter(|value| small(value)).for_each(|value| packed.extend_from_slice(value));
    let large = there().filter(|value| !small(value)).map(|value| BufferSlice::copy_from(env, value));
    std::iter::once(BufferSlice::copy_from(env, packed)).chain(large).collect()
}
