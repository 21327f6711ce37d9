//! `get_view`: a value where it lies, as a `memoryview`.

use std::ffi::c_int;

use opendb::ValueRef;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

/// What a `memoryview` of `get_view` is of. It keeps the bytes where they are, whatever becomes of the key and the database.
#[pyclass(frozen, module = "opendb._opendb")]
pub(crate) struct ViewedValue(pub(crate) ValueRef);

#[pymethods]
#[allow(unsafe_code, reason = "Python's buffers are handed out as addresses")]
impl ViewedValue {
    /// Fills in where the bytes are.
    ///
    /// # Safety
    /// `view` is what the interpreter wants filled in.
    unsafe fn __getbuffer__(slf: &Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let bytes: &[u8] = &slf.get().0;
        let length = isize::try_from(bytes.len()).map_err(PyBufferError::new_err)?;
        let read_only = 1;
        // SAFETY: the bytes are where they are and as they are for as long as the object lives, of which the view takes a
        // reference, and nobody is told that they can be written to.
        let filled = unsafe {
            let data = bytes.as_ptr().cast_mut().cast();
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), data, length, read_only, flags)
        };
        if filled == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}
