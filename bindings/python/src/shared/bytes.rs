//! Where bytes lie that are put or taken: of Python's objects, and our own.

use std::time::Duration;

use pyo3::ffi;
use pyo3::prelude::*;
use turtle_buffers::erased::{DynRing, Outcome};

/// Bytes to be put, where they lie.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) at: *const u8,
    pub(super) len: usize,
}

// SAFETY: the object that owns the bytes is kept, exported, until the call is
// over. Whoever writes to it meanwhile spoils the item, as with any write(2).
unsafe impl Send for Span {}
// SAFETY: as above; sharing it only copies the address.
unsafe impl Sync for Span {}

impl Span {
    pub(super) fn at(self) -> *const u8 {
        self.at
    }

    /// # Safety
    /// The bytes are valid for as long as the answer is used.
    pub(super) unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.at, self.len) }
    }

    /// # Safety
    /// The bytes are valid for reading.
    pub(super) unsafe fn push(self, ring: &dyn DynRing, records: bool, time: Duration) -> Outcome {
        // SAFETY: the caller's promise; the length was checked by `with_bytes`.
        unsafe {
            if records {
                ring.push_record(self.at, self.len, Some(time))
            } else {
                ring.push(self.at, Some(time))
            }
        }
    }
}

/// An object's bytes, exported in one piece until this is dropped.
pub(super) struct View(pub(super) ffi::Py_buffer);

impl View {
    pub(super) fn new(object: &Bound<'_, PyAny>, flags: std::ffi::c_int) -> PyResult<Self> {
        let mut view = Self(ffi::Py_buffer::new());
        // SAFETY: attached. The fields may move with the struct: Python keeps no address of it.
        if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &mut view.0, flags) } != 0 {
            return Err(PyErr::fetch(object.py()));
        }
        Ok(view)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len.cast_unsigned()
    }
}

/// Where to write what is taken: its owner waits for the call.
#[derive(Clone, Copy)]
pub(super) struct Target(pub(super) *mut u8);
// SAFETY: as for `Span`.
unsafe impl Send for Target {}
// SAFETY: as above; sharing it only copies the address.
unsafe impl Sync for Target {}

impl Target {
    pub(super) fn at(self) -> *mut u8 {
        self.0
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: filled by PyObject_GetBuffer, or still empty, which is allowed.
        unsafe { ffi::PyBuffer_Release(&mut self.0) };
    }
}

/// Room for one item that is taken without the interpreter.
pub(super) struct Room(pub(super) Vec<u8>, pub(super) usize);

impl Room {
    pub(super) fn pop(&mut self, ring: &dyn DynRing, records: bool, time: Duration) -> Outcome {
        self.0.reserve_exact(ring.elem_size());
        let room = self.0.capacity();
        // SAFETY: the vector has room for an item.
        unsafe {
            if records {
                ring.pop_record(self.0.as_mut_ptr(), room, &mut self.1, Some(time))
            } else {
                self.1 = ring.elem_size();
                ring.pop(self.0.as_mut_ptr(), Some(time))
            }
        }
    }
}
