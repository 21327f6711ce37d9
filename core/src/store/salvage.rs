//! Everything that can still be read of a damaged database.

use std::ops::Bound;

use super::{Found, Store};
use crate::error::Result;
use crate::keys::split_ordered_key;

/// Takes a key with its keyspace, and its value or why that cannot be read.
pub(crate) type Take<'a> = &'a mut dyn FnMut(u16, &[u8], Result<Found>) -> Result<()>;

impl Store {
    /// Shows every key that is there, in order.
    pub(crate) fn each_entry(&self, take: Take<'_>) -> Result<()> {
        let mut cursor = self.keys.order.cursor(Bound::Unbounded, Bound::Unbounded, false)?;
        while let Some(ordered) = cursor.next()? {
            let Some((keyspace, key)) = split_ordered_key(ordered) else { continue };
            // Pinned no more when the value is taken, which may be for long. A key that is in the order only was deleted.
            let value = self.get_ref(keyspace, key, None, &self.log.pin()).transpose();
            if let Some(value) = value {
                take(keyspace, key, value)?;
            }
        }
        Ok(())
    }

    /// The name of each keyspace by number, empty where it is lost.
    pub(crate) fn keyspace_names(&self) -> Vec<String> {
        self.keys.keyspaces.states().into_iter().map(|state| state.name).collect()
    }
}
