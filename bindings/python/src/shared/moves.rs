//! How items get in and out: one by one or in batches, as bytes, arrays or pickles.

use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PySlice, PyString};
use turtle_buffers::erased::{DynRing, Outcome};

use super::bytes::{Room, Span, Target, View};
use super::{Items, SharedRingBuffer};
use crate::errors::End;
use crate::wait::{Limit, Side, run, wait};

/// The pickle protocol of every Python that this package runs on.
const PICKLE_PROTOCOL: i32 = 5;
/// Bytes that a batch of plain items is moved in at a time.
const CHUNK: usize = 1 << 20;

impl SharedRingBuffer {
    /// The helper for arrays, if items are of a dtype.
    pub(crate) fn arrays<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, PyAny>> {
        match &self.items {
            Items::Arrays(arrays) => Some(arrays.bind(py)),
            _ => None,
        }
    }

    /// Calls `call` with the bytes of an item.
    #[inline(always)]
    pub(super) fn with_item<R>(
        &self,
        item: &Bound<'_, PyAny>,
        call: impl FnOnce(Span) -> PyResult<R>,
    ) -> PyResult<R> {
        match &self.items {
            Items::Bytes => self.with_bytes(item, call),
            _ => self.with_bytes(&self.packed(item)?, call),
        }
    }

    #[inline(never)]
    pub(super) fn packed<'py>(&self, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = item.py();
        match &self.items {
            Items::Bytes => Ok(item.clone()),
            Items::Arrays(arrays) => arrays.bind(py).call_method1("pack", (item,)),
            Items::Objects(dumps, _) => dumps.bind(py).call1((item, PICKLE_PROTOCOL)),
        }
    }

    #[cold]
    pub(super) fn wrong_length(&self, len: usize) -> PyErr {
        let (name, size) = (&self.name, self.item_size);
        PyValueError::new_err(match &self.items {
            Items::Objects(..) => format!(
                "the item, pickled, has {len} bytes; items of {name} have at most {size}. \
                 Make the ring with a larger item_size"
            ),
            _ if self.records => {
                format!("the item has {len} bytes; items of {name} have at most {size}")
            }
            _ => format!("the item has {len} bytes; items of {name} have exactly {size}"),
        })
    }

    #[inline(always)]
    pub(super) fn with_bytes<R>(
        &self,
        item: &Bound<'_, PyAny>,
        call: impl FnOnce(Span) -> PyResult<R>,
    ) -> PyResult<R> {
        let checked = |at, len| {
            if len > self.item_size || (!self.records && len < self.item_size) {
                return Err(self.wrong_length(len));
            }
            call(Span { at, len })
        };
        if let Ok(bytes) = item.cast::<PyBytes>() {
            let bytes = bytes.as_bytes();
            return checked(bytes.as_ptr(), bytes.len());
        }
        if item.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err(
                "an item is bytes-like, not 'str': encode it first",
            ));
        }
        let view = View::new(item, ffi::PyBUF_SIMPLE)?;
        checked(view.0.buf.cast_const().cast(), view.len())
    }

    pub(super) fn put_one(
        slf: &Bound<'_, Self>,
        item: &Bound<'_, PyAny>,
        limit: Limit,
    ) -> PyResult<()> {
        let this = slf.get();
        let base = slf.as_super();
        this.with_item(item, |span| {
            // SAFETY: `span` is valid in here.
            let push = |ring: &dyn DynRing, time| unsafe { span.push(ring, this.records, time) };
            match base.get().with(|ring| Ok(push(&**ring, Duration::ZERO)))? {
                Outcome::Ok => Ok(()),
                first => {
                    let ring = &*base.get().ring()?;
                    wait((base, ring), Side::Put, limit, first, &mut |time| {
                        push(ring, time)
                    })
                    .map_err(|end| end.raise(slf.py()))
                }
            }
        })
    }

    pub(super) fn get_one<'py>(
        slf: &Bound<'py, Self>,
        limit: Limit,
    ) -> Result<Bound<'py, PyAny>, End> {
        let py = slf.py();
        match &slf.get().items {
            Items::Bytes => Self::get_bytes(slf, limit).map(Bound::into_any),
            Items::Objects(_, loads) => {
                let bytes = Self::get_bytes(slf, limit)?;
                loads.bind(py).call1((bytes,)).map_err(End::Raised)
            }
            Items::Arrays(arrays) => {
                let (array, view) = room(arrays.bind(py), 1).map_err(End::Raised)?;
                Self::fill(slf, Target(view.0.buf.cast()), view.len(), limit)?;
                array.get_item(0).map_err(End::Raised)
            }
        }
    }

    pub(super) fn get_bytes<'py>(
        slf: &Bound<'py, Self>,
        limit: Limit,
    ) -> Result<Bound<'py, PyBytes>, End> {
        let py = slf.py();
        let base = slf.as_super();
        let first = match base.get().with(|ring| take(py, &**ring)) {
            Ok(Ok(item)) => return Ok(item),
            Ok(Err(outcome)) => outcome,
            Err(error) => return Err(End::Raised(error)),
        };
        let ring = &*base.get().ring().map_err(End::Raised)?;
        let mut room = Room(Vec::new(), 0);
        let records = slf.get().records;
        wait((base, ring), Side::Get, limit, first, &mut |time| {
            room.pop(ring, records, time)
        })?;
        // SAFETY: the call that succeeded wrote that many bytes.
        unsafe { room.0.set_len(room.1) };
        Ok(PyBytes::new(py, &room.0))
    }

    /// Takes the oldest item into `room` bytes at `at`, which stay valid meanwhile; says how long it is.
    pub(super) fn fill(
        slf: &Bound<'_, Self>,
        at: Target,
        room: usize,
        limit: Limit,
    ) -> Result<usize, End> {
        let this = slf.get();
        let base = slf.as_super();
        let ring = &*base.get().ring().map_err(End::Raised)?;
        let (mut len, mut fits) = (this.item_size, true);
        if !this.records && room < len {
            return Err(End::Raised(too_small(len, room)));
        }
        // SAFETY: the caller's promise.
        run((base, ring), Side::Get, limit, |time| unsafe {
            if !this.records {
                return ring.pop(at.at(), Some(time));
            }
            match ring.pop_record(at.at(), room, &mut len, Some(time)) {
                Outcome::Invalid if len > room => {
                    fits = false;
                    Outcome::Ok
                }
                outcome => outcome,
            }
        })?;
        if fits {
            Ok(len)
        } else {
            Err(End::Raised(too_small(len, room)))
        }
    }

    /// Appends `count` items of the ring's one size that lie at `items`; says how many, and why not all.
    pub(super) fn push_all(
        slf: &Bound<'_, Self>,
        items: Span,
        count: usize,
        limit: Limit,
    ) -> (usize, Option<End>) {
        let base = slf.as_super();
        let ring = match base.get().ring() {
            Ok(ring) => ring,
            Err(error) => return (0, Some(End::Raised(error))),
        };
        let ring = &*ring;
        let size = slf.get().item_size;
        let mut done = 0;
        while done < count {
            let end = run((base, ring), Side::Put, limit, |time| {
                let mut pushed = 0;
                // SAFETY: the span holds `count` items, of which `done` are behind us.
                let outcome = unsafe {
                    let rest = items.at().add(done * size);
                    match ring.try_push_n(rest, count - done, &mut pushed) {
                        Outcome::Full | Outcome::Busy if !time.is_zero() => {
                            let outcome = ring.push(rest, Some(time));
                            pushed = usize::from(outcome == Outcome::Ok);
                            outcome
                        }
                        outcome => outcome,
                    }
                };
                done += pushed;
                outcome
            });
            if let Err(end) = end {
                return (done, Some(end));
            }
        }
        (done, None)
    }

    /// Items of one size, from wherever they lie: one operation of the ring for each chunk.
    pub(super) fn put_plain(
        slf: &Bound<'_, Self>,
        items: &Bound<'_, PyAny>,
        limit: Limit,
    ) -> PyResult<usize> {
        let (py, this) = (slf.py(), slf.get());
        let size = this.item_size;
        let mut all = items.try_iter()?;
        let (mut chunk, mut count) = (Vec::<u8>::new(), 0);
        loop {
            chunk.clear();
            let mut wrong = None;
            let mut over = true;
            for item in all.by_ref() {
                let copied = item.and_then(|item| {
                    this.with_bytes(&item, |span| {
                        // SAFETY: `span` is valid in here.
                        chunk.extend_from_slice(unsafe { span.bytes() });
                        Ok(())
                    })
                });
                if let Err(error) = copied {
                    wrong = Some(error);
                    break;
                }
                if chunk.len() >= CHUNK {
                    over = false;
                    break;
                }
            }
            let span = Span {
                at: chunk.as_ptr(),
                len: chunk.len(),
            };
            let (done, end) = Self::push_all(slf, span, chunk.len() / size, limit);
            count += done;
            if let Some(end) = end {
                return end.after(py, count);
            }
            if let Some(error) = wrong {
                return Err(error); // those before it were appended
            }
            if over {
                return Ok(count);
            }
        }
    }

    /// Records, one by one: each has a length of its own. The interpreter is kept while there is room.
    pub(super) fn put_records(
        slf: &Bound<'_, Self>,
        items: &Bound<'_, PyAny>,
        limit: Limit,
    ) -> PyResult<usize> {
        let (this, base) = (slf.get(), slf.as_super());
        let ring = &*base.get().ring()?;
        let mut count = 0;
        for item in items.try_iter()? {
            let end = this.with_item(&item?, |span| {
                // SAFETY: `span` is valid in here.
                let push = |time| unsafe { span.push(ring, this.records, time) };
                Ok(run((base, ring), Side::Put, limit, push))
            })?;
            if let Err(end) = end {
                return end.after(slf.py(), count);
            }
            count += 1;
        }
        Ok(count)
    }

    /// Up to `max` items of one size, by one operation of the ring, into an array.
    pub(super) fn get_array<'py>(
        slf: &Bound<'py, Self>,
        arrays: &Bound<'py, PyAny>,
        max: usize,
        limit: Limit,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let ring = &*slf.as_super().get().ring()?;
        let there = ring.len();
        // Nothing yet: room for what comes while this waits, and what is not used is not kept.
        let likely = if there > 0 {
            there
        } else {
            (CHUNK / slf.get().item_size).max(1)
        };
        let max = max.min(ring.capacity());
        let (array, view) = room(arrays, max.min(likely))?;
        let into = Target(view.0.buf.cast());
        let room = max.min(likely);
        let mut count = 0;
        // SAFETY: there is room for that many items.
        run((slf.as_super(), ring), Side::Get, limit, |time| unsafe {
            ring.pop_n(into.at(), room, Some(time), &mut count)
        })
        .map_err(|end| end.raise(py))?;
        drop(view);
        if count == room {
            return Ok(array);
        }
        let taken = array.get_item(PySlice::new(py, 0, count.cast_signed(), 1))?;
        // A small part does not keep a large whole.
        if count < room / 2 {
            taken.call_method0("copy")
        } else {
            Ok(taken)
        }
    }
}

/// An array for `count` items, and where its bytes lie.
pub(super) fn room<'py>(
    arrays: &Bound<'py, PyAny>,
    count: usize,
) -> PyResult<(Bound<'py, PyAny>, View)> {
    let (array, bytes): (Bound<'py, PyAny>, Bound<'py, PyAny>) =
        arrays.call_method1("room", (count,))?.extract()?;
    Ok((array, View::new(&bytes, ffi::PyBUF_WRITABLE)?))
}

#[cold]
fn too_small(len: usize, room: usize) -> PyErr {
    PyValueError::new_err(format!(
        "the item has {len} bytes, the buffer {room}; the item stays in the ring"
    ))
}

/// Takes the oldest item without waiting, copied once: from its slot.
#[inline]
pub(super) fn take<'py>(
    py: Python<'py>,
    ring: &dyn DynRing,
) -> PyResult<Result<Bound<'py, PyBytes>, Outcome>> {
    let (mut slot, mut len) = (std::ptr::null(), 0);
    match ring.peek(&mut slot, &mut len) {
        Outcome::Ok => {}
        outcome => return Ok(Err(outcome)),
    }
    let len_c = ffi::Py_ssize_t::try_from(len).expect("an item's size is limited");
    // SAFETY: `len` bytes of the slot are ours until the release. They are
    // copied without a Rust reference to them: another process may be writing.
    let bytes = unsafe { ffi::PyBytes_FromStringAndSize(slot.cast(), len_c) };
    ring.release(slot);
    // SAFETY: a new reference to a bytes object, or null with an exception set.
    let bytes = unsafe { Bound::from_owned_ptr_or_err(py, bytes) }?;
    Ok(Ok(bytes.cast_into::<PyBytes>()?))
}

/// What is there, as far as `max` items, by one operation of the ring for each chunk.
pub(super) fn take_plain<'py>(
    py: Python<'py>,
    ring: &dyn DynRing,
    max: usize,
    items: &mut Vec<Bound<'py, PyBytes>>,
) -> PyResult<()> {
    let size = ring.elem_size();
    let mut chunk = Vec::<u8>::new();
    while items.len() < max {
        let room = (max - items.len())
            .min(ring.len())
            .min((CHUNK / size).max(1));
        if room == 0 {
            break;
        }
        chunk.reserve_exact(room * size);
        let mut count = 0;
        // SAFETY: there is room for that many; `count` are there afterwards.
        let outcome =
            unsafe { ring.pop_n(chunk.as_mut_ptr(), room, Some(Duration::ZERO), &mut count) };
        if outcome != Outcome::Ok {
            break;
        }
        // SAFETY: as above.
        unsafe { chunk.set_len(count * size) };
        items.extend(chunk.chunks_exact(size).map(|item| PyBytes::new(py, item)));
        chunk.clear();
    }
    Ok(())
}
