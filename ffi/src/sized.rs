//! Structs of a caller that begin with their size, so that later versions can add fields at their end.

use engine::{Error, Result};

/// Longest size of a struct that is believed: a larger one was never written.
pub(crate) const STRUCT_BYTES_MAX: usize = 4096;

/// A caller's struct that is to be filled, and the size that stands in it.
pub(crate) struct Place<T> {
    place: *mut T,
    /// What the caller has written into the first field, checked.
    pub(crate) size: usize,
}

impl<T: Copy> Place<T> {
    /// Reads the size that the caller left in the struct. `init` is the macro that the caller begins with.
    ///
    /// # Safety
    /// Where the pointer is not NULL, the struct begins with a `usize` that can be read, and as many bytes as that says can
    /// be written and are nobody else's for as long as this place is used.
    pub(crate) unsafe fn new(name: &str, init: &str, place: *mut T) -> Result<Place<T>> {
        if place.is_null() {
            return Err(Error::InvalidArgument(format!("{name} is NULL")));
        }
        // SAFETY: the caller of this function answers for the size, which is the first field.
        let size = unsafe { place.cast::<usize>().read() };
        if !(size_of::<usize>()..=STRUCT_BYTES_MAX).contains(&size) {
            return Err(Error::InvalidArgument(format!("{name}.size is {size}: begin with {init}")));
        }
        Ok(Place { place, size })
    }

    /// Fills the struct as far as its size goes. Fields of a later version are left at 0.
    pub(crate) fn fill(self, value: &T) {
        let known = self.size.min(size_of::<T>());
        // SAFETY: who made this place has answered for `size` bytes; bytes need no alignment.
        unsafe { self.place.cast::<u8>().write_bytes(0, self.size) };
        // SAFETY: as above; `known` is not more than either struct has, and the value is this crate's own.
        unsafe { std::ptr::from_ref(value).cast::<u8>().copy_to_nonoverlapping(self.place.cast(), known) };
    }
}
