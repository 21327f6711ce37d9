//! Where a record is: a slot and an offset.

pub(crate) use crate::index::Location;
