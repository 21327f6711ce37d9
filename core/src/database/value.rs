//! A value without a copy.

use std::fmt;
use std::ops::Deref;

use crate::store::Found;

/// A value as it stands in the log or the cache, without a copy, or as it was unpacked. It stays valid for as long as it is held, also when the
/// key is overwritten or the database closed; until then it keeps a segment's mapping alive.
#[derive(Clone)]
pub struct ValueRef(pub(super) Found);

impl Deref for ValueRef {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for ValueRef {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for ValueRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValueRef({} bytes)", self.len())
    }
}
