//! Rings of bytes in shared memory, for any process that knows their name.

use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use turtle_buffers::erased::{DynRing, Outcome, open};
use turtle_buffers::os::segment::Segment;
use turtle_buffers::{BuildError, OpenMode, Options};

use crate::base::{Base, strategy};
use crate::errors::{End, build_error};
use crate::wait::{Limit, Side, drain, run, wait};

const CAPACITY: usize = 1024;
const ITEM_SIZE: usize = 1024;

/// A bounded FIFO of bytes in shared memory, for any process that knows its name.
///
/// Items are bytes-like objects of up to `item_size` bytes; `get` answers `bytes`. The ring
/// stays there until `unlink()`, whoever leaves. It pickles as its name, so it can be handed to
/// a `multiprocessing.Process` whatever the start method; a forked child can just use it.
///
/// Args:
///     name: such as "/ticks"; a missing slash is added.
///     capacity: items that fit, at least 1. None: 1024, or what is there.
///     item_size: bytes of the longest item. None: 1024, or what is there.
///     strategy: the engine, by name. None: the library's choice, or what is there.
///     create: True creates the ring, False attaches to it, None does what is needed.
///     mode: permission bits of a ring that is created.
///
/// Raises:
///     FileExistsError: `create=True`, and there is one of this name.
///     FileNotFoundError: `create=False`, and there is none.
///     Mismatch: the one of this name differs in what was asked for (a ValueError).
///     Corrupt: what has this name is no ring, or a damaged one (an OSError).
///     MemoryError: shared memory has no room for it.
///     ValueError, PermissionError, NotImplementedError: as they say.
///
/// Thread rules: any thread of any process may call anything, unless the engine says otherwise:
/// on "spsc" one thread of one process puts and one gets, see `release_thread()`.
///
/// >>> with turtle_buffers.SharedRingBuffer("/turtle-doc", 8, 64, create=True) as ring:
/// ...     ring.put(b"hello")
/// ...     with turtle_buffers.SharedRingBuffer("/turtle-doc") as other:
/// ...         print(other.get())
/// ...     ring.unlink()
/// b'hello'
#[pyclass(frozen, subclass, extends = Base, module = "turtle_buffers")]
pub(crate) struct SharedRingBuffer {
    #[pyo3(get)]
    /// The name, with its slash.
    name: String,
    #[pyo3(get)]
    /// Bytes of the longest item.
    item_size: usize,
    /// Whether items have a length of their own; if not, each is `item_size` bytes long.
    records: bool,
}

/// Bytes to be put, where they lie.
#[derive(Clone, Copy)]
struct Span {
    at: *const u8,
    len: usize,
}

// SAFETY: the object that owns the bytes is kept, exported, until the call is
// over. Whoever writes to it meanwhile spoils the item, as with any write(2).
unsafe impl Send for Span {}
// SAFETY: as above; sharing it only copies the address.
unsafe impl Sync for Span {}

impl Span {
    /// # Safety
    /// The bytes are valid for reading.
    unsafe fn push(self, ring: &dyn DynRing, records: bool, time: Duration) -> Outcome {
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
struct View(ffi::Py_buffer);

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: filled by PyObject_GetBuffer, or still empty, which is allowed.
        unsafe { ffi::PyBuffer_Release(&mut self.0) };
    }
}

/// Room for one item that is taken without the interpreter.
struct Room(Vec<u8>, usize);

impl Room {
    fn pop(&mut self, ring: &dyn DynRing, records: bool, time: Duration) -> Outcome {
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

impl SharedRingBuffer {
    fn with_bytes<R>(
        &self,
        item: &Bound<'_, PyAny>,
        call: impl FnOnce(Span) -> PyResult<R>,
    ) -> PyResult<R> {
        let checked = |at, len| {
            if len > self.item_size || (!self.records && len < self.item_size) {
                return Err(PyValueError::new_err(format!(
                    "the item has {len} bytes; items of {} have {} {}",
                    self.name,
                    if self.records { "at most" } else { "exactly" },
                    self.item_size
                )));
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
        let mut view = View(ffi::Py_buffer::new());
        // SAFETY: attached; the view stays where it is until it is released.
        if unsafe { ffi::PyObject_GetBuffer(item.as_ptr(), &mut view.0, ffi::PyBUF_SIMPLE) } != 0 {
            return Err(PyErr::fetch(item.py()));
        }
        checked(view.0.buf.cast_const().cast(), view.0.len.cast_unsigned())
    }

    fn put_one(slf: &Bound<'_, Self>, item: &Bound<'_, PyAny>, limit: Limit) -> PyResult<()> {
        let this = slf.get();
        let base = slf.as_super();
        this.with_bytes(item, |span| {
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

    fn get_one<'py>(slf: &Bound<'py, Self>, limit: Limit) -> Result<Bound<'py, PyBytes>, End> {
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
}

/// Takes the oldest item without waiting, copied once: from its slot.
#[inline]
fn take<'py>(
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

#[pymethods]
impl SharedRingBuffer {
    #[new]
    #[pyo3(signature = (name, capacity = None, item_size = None, *, strategy = None, create = None, mode = 0o600))]
    fn new(
        py: Python<'_>,
        name: &str,
        capacity: Option<usize>,
        item_size: Option<usize>,
        strategy: Option<&str>,
        create: Option<bool>,
        mode: u32,
    ) -> PyResult<PyClassInitializer<Self>> {
        for (what, number) in [("capacity", capacity), ("item_size", item_size)] {
            if number == Some(0) {
                return Err(PyValueError::new_err(format!("{what} must be at least 1")));
            }
        }
        let name = with_slash(name);
        let attach = Options {
            strategy: self::strategy(py, strategy)?,
            capacity: capacity.unwrap_or(0), // 0: what is there
            elem_size: item_size.unwrap_or(0),
            records: true,
            path: Some(name.clone()),
            open: OpenMode::Attach,
            mode,
            ..Options::default()
        };
        let make = |open| Options {
            capacity: capacity.unwrap_or(CAPACITY),
            elem_size: item_size.unwrap_or(ITEM_SIZE),
            open,
            ..attach.clone()
        };
        // SAFETY: no drop hook.
        let ring = py.detach(|| unsafe {
            match create {
                Some(true) => open(&make(OpenMode::CreateNew), None),
                Some(false) => open(&attach, None),
                None => match open(&attach, None) {
                    Err(BuildError::NotFound(_)) => open(&make(OpenMode::CreateOrAttach), None),
                    answer => answer,
                },
            }
        });
        let ring = ring.map_err(|error| build_error(py, error))?;
        let this = Self {
            name,
            item_size: ring.elem_size(),
            records: ring.has_records(),
        };
        Ok(PyClassInitializer::from(Base::new(ring)).add_subclass(this))
    }

    /// How many items fit; the same as `maxsize`.
    #[getter]
    fn capacity(slf: &Bound<'_, Self>) -> PyResult<usize> {
        slf.as_super().get().with(|ring| Ok(ring.capacity()))
    }

    /// Append an item, a bytes-like object, waiting for room if need be.
    ///
    /// With `block=False`, and with `timeout` seconds gone, raises instead of waiting (longer).
    ///
    /// Raises: as `RingBuffer.put`; ValueError if the item is longer than `item_size`;
    /// TypeError if it is not bytes-like.
    #[pyo3(signature = (item, block = true, timeout = None))]
    fn put(
        slf: &Bound<'_, Self>,
        item: &Bound<'_, PyAny>,
        block: bool,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        Self::put_one(slf, item, Limit::new(block, timeout)?)
    }

    /// Take the oldest item as bytes, waiting for one if need be.
    ///
    /// With `block=False`, and with `timeout` seconds gone, raises instead of waiting (longer).
    ///
    /// Raises: as `RingBuffer.get`.
    #[pyo3(signature = (block = true, timeout = None))]
    fn get<'py>(
        slf: &Bound<'py, Self>,
        block: bool,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        Self::get_one(slf, Limit::new(block, timeout)?).map_err(|end| end.raise(slf.py()))
    }

    /// Append an item, or raise at once. Raises as `RingBuffer.put_nowait`.
    fn put_nowait(slf: &Bound<'_, Self>, item: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::put_one(slf, item, Limit::Now)
    }

    /// Take the oldest item as bytes, or raise at once. Raises as `RingBuffer.get_nowait`.
    fn get_nowait<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyBytes>> {
        Self::get_one(slf, Limit::Now).map_err(|end| end.raise(slf.py()))
    }

    /// Append many items in order, and say how many were appended.
    ///
    /// Waits until all are in; the count is smaller, and the rest was not appended, with
    /// `block=False`, after `timeout` seconds, and when the ring is shut down or interrupted.
    ///
    /// Raises: what `put` raises, if not a single item was appended; ValueError and TypeError
    /// for an item that cannot be put (those before it were appended).
    #[pyo3(signature = (items, block = true, timeout = None))]
    fn put_many(
        slf: &Bound<'_, Self>,
        items: &Bound<'_, PyAny>,
        block: bool,
        timeout: Option<f64>,
    ) -> PyResult<usize> {
        let limit = Limit::new(block, timeout)?.fixed();
        let (this, base) = (slf.get(), slf.as_super());
        let ring = &*base.get().ring()?;
        let mut count = 0;
        for item in items.try_iter()? {
            let end = this.with_bytes(&item?, |span| {
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

    /// Take up to `max_items` items: waits for one, then takes what is there.
    ///
    /// Raises: what `get` raises, if there is not a single item.
    #[pyo3(signature = (max_items, block = true, timeout = None))]
    fn get_many<'py>(
        slf: &Bound<'py, Self>,
        max_items: usize,
        block: bool,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyList>> {
        let py = slf.py();
        let limit = Limit::new(block, timeout)?;
        let items = PyList::empty(py);
        if max_items > 0 {
            items.append(Self::get_one(slf, limit).map_err(|end| end.raise(py))?)?;
            let ring = &*slf.as_super().get().ring()?;
            while items.len() < max_items
                && let Ok(item) = take(py, ring)?
            {
                items.append(item)?;
            }
        }
        Ok(items)
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        match Self::get_one(slf, Limit::Never) {
            Ok(item) => Ok(Some(item)),
            Err(End::ShutDown) => Ok(None),
            Err(end) => Err(end.raise(slf.py())),
        }
    }

    /// Shut the ring down for every process: idempotent, any thread, wakes everyone who waits.
    ///
    /// From now on `put` raises `ShutDown`; `get` does so when what is inside was taken. With
    /// `immediate=True` what is inside is dropped. A ring cannot be opened again: `unlink` it
    /// and make another one.
    #[pyo3(signature = (immediate = false))]
    fn shutdown(slf: &Bound<'_, Self>, immediate: bool) -> PyResult<()> {
        slf.as_super().get().with(|ring| {
            ring.close();
            Ok(())
        })?;
        slf.as_super().get().wake_coroutines(slf.py())?;
        if !immediate {
            return Ok(());
        }
        drain(|limit| Self::get_one(slf, limit).map(drop)).map_err(|end| end.raise(slf.py()))
    }

    /// Leave the ring; it goes on for others. Waits of this object end. Idempotent.
    ///
    /// Any other call raises ValueError afterwards.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.as_super().get().detach(slf.py())
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(slf: &Bound<'_, Self>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        Self::close(slf)
    }

    /// Remove the name. Who is attached stays attached; the memory goes with the last one.
    ///
    /// Raises FileNotFoundError if there is none of this name (any more).
    fn unlink(&self, py: Python<'_>) -> PyResult<()> {
        self::unlink(py, &self.name)
    }

    /// What pickling keeps: the name, and what the ring of that name must look like.
    fn __getnewargs_ex__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let (py, this) = (slf.py(), slf.get());
        let ring = slf.as_super().get().ring()?;
        let item_size = this.records.then_some(this.item_size);
        let by_name = PyDict::new(py);
        by_name.set_item("strategy", ring.strategy().name())?;
        by_name.set_item("create", false)?;
        ((&this.name, ring.capacity(), item_size), by_name).into_pyobject(py)
    }
}

fn with_slash(name: &str) -> String {
    if name.starts_with('/') {
        name.to_owned()
    } else {
        format!("/{name}")
    }
}

/// Remove the name of a shared ring, attached or not.
///
/// Raises FileNotFoundError if there is none of this name, ValueError if it cannot be one.
#[pyfunction]
pub(crate) fn unlink(py: Python<'_>, name: &str) -> PyResult<()> {
    let name = with_slash(name);
    Segment::unlink(&name).map_err(|error| match BuildError::from(error) {
        BuildError::NotFound(_) => build_error(
            py,
            BuildError::NotFound(format!("there is no ring called {name}")),
        ),
        error => build_error(py, error),
    })
}
