//! The values of many keys that were read with one call.

use std::mem::MaybeUninit;

use engine::{Error, ValueRef};

use crate::bytes::View;
use crate::error::{Failure, OPENDB_NOT_FOUND, OPENDB_OK, Status};
use crate::guard::{guard, guard_or, required};
use crate::handle::{self, Handle, Table};

/// The values of the keys of one call, in the order of the keys. Free it with `opendb_values_free`: until then the values
/// can be read, also after the database is closed.
pub struct Values {
    values: Vec<Option<Held>>,
}

enum Held {
    Lying(ValueRef),
    Own(Vec<u8>),
}

static VALUES: Table<Values> = Table::new();

impl Handle for Values {
    const NAME: &'static str = "values";
    const TYPE: usize = 14;
    fn table() -> &'static Table<Values> {
        &VALUES
    }
}

impl Values {
    /// Values that are read where they lie.
    pub(crate) fn lying(values: Vec<Option<ValueRef>>) -> Values {
        Values { values: values.into_iter().map(|value| value.map(Held::Lying)).collect() }
    }

    /// Values that were copied.
    pub(crate) fn own(values: Vec<Option<Vec<u8>>>) -> Values {
        Values { values: values.into_iter().map(|value| value.map(Held::Own)).collect() }
    }
}

/// How many values there are, absent ones counted: as many as keys were asked for. 0 for NULL and what are no live values.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_values_length(values: *const Values) -> usize {
    guard_or(0, || Ok(handle::borrow(values)?.values.len()))
}

/// The value at a place, counted from 0, where it lies: the view lives until the values are freed. `OPENDB_NOT_FOUND` where
/// the key was not there, `OPENDB_ERROR_INVALID_ARGUMENT` where there is no such place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_values_at(
    values: *const Values,
    index: usize,
    value_out: Option<&mut MaybeUninit<View>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    guard(error_out, || {
        let value_out = required("value_out", value_out, View::EMPTY)?;
        let values = handle::borrow(values)?;
        *value_out = match values.values.get(index) {
            Some(Some(Held::Lying(value))) => View::of(value),
            Some(Some(Held::Own(value))) => View::of(value),
            Some(None) => return Ok(OPENDB_NOT_FOUND),
            None => return Err(no_place(index, values.values.len())),
        };
        Ok(OPENDB_OK)
    })
}

fn no_place(index: usize, length: usize) -> Error {
    Error::InvalidArgument(format!("index is {index}, and there are {length} values"))
}

/// Frees values: the views of them end here.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_values_free(values: *mut Values) {
    handle::free(values);
}
