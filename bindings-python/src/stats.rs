//! `Stats` and `Recovery`: what `OpenDB.stats` returns; and how such records come about. Their classes, with what each attribute
//! means, are dataclasses: `opendb/_records.py`.

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::options::append_name;

/// The core's struct, which becomes the dataclass of the same name with the same fields; those behind the fields are calls of the
/// core's struct.
macro_rules! record {
    ($name:ident { $($field:ident $(= $from:path)?,)* } $(calls { $($call:ident,)* })?) => {
        pub(crate) struct $name(pub(crate) opendb::$name);

        impl<'py> pyo3::IntoPyObject<'py> for $name {
            type Target = pyo3::PyAny;
            type Output = pyo3::Bound<'py, pyo3::PyAny>;
            type Error = pyo3::PyErr;

            fn into_pyobject(self, py: pyo3::Python<'py>) -> pyo3::PyResult<Self::Output> {
                use pyo3::types::PyDictMethods as _;
                static CLASS: pyo3::sync::PyOnceLock<pyo3::Py<pyo3::PyAny>> = pyo3::sync::PyOnceLock::new();
                let $name(core) = self;
                let fields = pyo3::types::PyDict::new(py);
                // First, since the fields are moved out of it.
                $($(fields.set_item(stringify!($call), core.$call())?;)*)?
                $(fields.set_item(stringify!($field), $($from)?(core.$field))?;)*
                pyo3::types::PyAnyMethods::call(
                    CLASS.import(py, "opendb._records", stringify!($name))?,
                    (),
                    Some(&fields),
                )
            }
        }
    };
}

pub(crate) use record;

/// A list that nobody changes.
pub(crate) struct Tuple<T>(pub(crate) Vec<T>);

impl<'py, T: IntoPyObject<'py>> IntoPyObject<'py> for Tuple<T> {
    type Target = PyTuple;
    type Output = Bound<'py, PyTuple>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0)
    }
}

record! {
    Stats {
        keys,
        keyspaces,
        segments,
        log_bytes,
        live_bytes,
        dead_bytes,
        allocated_bytes,
        bytes_appended,
        bytes_copied,
        bytes_checkpointed,
        bytes_hinted,
        bytes_ordered,
        compactions,
        checkpoints,
        large_bytes,
        large_live_bytes,
        last_sequence,
        durable_sequence,
        syncs,
        snapshots,
        oldest_snapshot_seconds,
        pinned_bytes,
        versions,
        versions_bytes,
        index_bytes,
        order_bytes,
        order_runs,
        order_file_bytes,
        cache_bytes,
        cache_hits,
        cache_misses,
        cache_admissions,
        append = append_name,
        poisoned,
        recovery = Recovery,
    }
    calls {
        write_amplification,
        space_amplification,
    }
}

record! {
    Recovery {
        clean,
        frames,
        frames_rewritten,
        bytes_dropped,
        torn_segment,
        torn_offset,
        damaged = Tuple,
    }
}
