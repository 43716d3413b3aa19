//! Rings of bytes in shared memory, for any process that knows their name.

use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyGenericAlias, PyList, PyString, PyTuple, PyType};
use turtle_buffers::erased::{DynRing, Outcome, open};
use turtle_buffers::os::segment::Segment;
use turtle_buffers::{BuildError, OpenMode, Options};

use crate::base::{Base, strategy};
use crate::errors::{End, build_error};
use crate::lend::{Claim, Peek};
use crate::wait::{Limit, Side, drain, run, truth, wait};

const CAPACITY: usize = 1024;
const ITEM_SIZE: usize = 1024;
/// The pickle protocol of every Python that this package runs on.
const PICKLE_PROTOCOL: i32 = 5;
/// Bytes that a batch of plain items is moved in at a time.
const CHUNK: usize = 1 << 20;

/// A bounded FIFO in shared memory, for any process that knows its name.
///
/// Items are bytes-like objects of up to `item_size` bytes, and `get` answers `bytes`; or what a
/// NumPy dtype describes; or any objects, pickled. The ring stays there until `unlink()`, whoever
/// leaves. It pickles as its name, so it can be handed to a `multiprocessing.Process` whatever the
/// start method; a forked child can just use it.
///
/// Args:
///     name: such as "/ticks"; a missing slash is added.
///     capacity: items that fit, at least 1. None: 1024, or what is there.
///     item_size: bytes of the longest item. None: 1024, or what is there.
///     strategy: the engine, by name. None: the library's choice, or what is there.
///     create: True creates the ring, False attaches to it, None does what is needed.
///     mode: permission bits of a ring that is created.
///     dtype: items are of this NumPy dtype, structured ones and arrays such as ("f4", (480, 640))
///         included, and exactly as long. `get` answers a scalar or array, `get_many` and `put_many`
///         move arrays of them. A C or C++ struct of the same layout shares the ring. The ring
///         does not store the dtype, only how long items are: who attaches says it again.
///     objects: items are any objects that can be pickled; `item_size` limits the pickles.
///         Unpickling runs code: only for rings whose writers you trust.
///
/// Raises:
///     FileExistsError: `create=True`, and there is one of this name.
///     FileNotFoundError: `create=False`, and there is none.
///     Mismatch: the one of this name differs in what was asked for (a ValueError). The dtype is
///         compared by its length.
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
    items: Items,
}

/// What items are to Python.
enum Items {
    Bytes,
    /// `turtle_buffers.items.Arrays`.
    Arrays(Py<PyAny>),
    /// `pickle.dumps` and `pickle.loads`.
    Objects(Py<PyAny>, Py<PyAny>),
}

impl Items {
    fn new(py: Python<'_>, dtype: Option<&Bound<'_, PyAny>>, objects: bool) -> PyResult<Self> {
        match dtype {
            Some(_) if objects => Err(PyValueError::new_err(
                "dtype= and objects=True exclude each other: an array can be pickled, too",
            )),
            Some(dtype) => {
                let class = py.import("turtle_buffers.items")?.getattr("Arrays")?;
                Ok(Self::Arrays(class.call1((dtype,))?.unbind()))
            }
            None if objects => {
                let pickle = py.import("pickle")?;
                let get = |name| pickle.getattr(name).map(Bound::unbind);
                Ok(Self::Objects(get("dumps")?, get("loads")?))
            }
            None => Ok(Self::Bytes),
        }
    }
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
    fn at(self) -> *const u8 {
        self.at
    }

    /// # Safety
    /// The bytes are valid for as long as the answer is used.
    unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.at, self.len) }
    }

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

impl View {
    fn new(object: &Bound<'_, PyAny>, flags: std::ffi::c_int) -> PyResult<Self> {
        let mut view = Self(ffi::Py_buffer::new());
        // SAFETY: attached. The fields may move with the struct: Python keeps no address of it.
        if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &mut view.0, flags) } != 0 {
            return Err(PyErr::fetch(object.py()));
        }
        Ok(view)
    }

    fn len(&self) -> usize {
        self.0.len.cast_unsigned()
    }
}

/// Where to write what is taken: its owner waits for the call.
#[derive(Clone, Copy)]
struct Target(*mut u8);
// SAFETY: as for `Span`.
unsafe impl Send for Target {}
// SAFETY: as above; sharing it only copies the address.
unsafe impl Sync for Target {}

impl Target {
    fn at(self) -> *mut u8 {
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
    /// The helper for arrays, if items are of a dtype.
    pub(crate) fn arrays<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, PyAny>> {
        match &self.items {
            Items::Arrays(arrays) => Some(arrays.bind(py)),
            _ => None,
        }
    }

    /// Calls `call` with the bytes of an item.
    #[inline(always)]
    fn with_item<R>(
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
    fn packed<'py>(&self, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = item.py();
        match &self.items {
            Items::Bytes => Ok(item.clone()),
            Items::Arrays(arrays) => arrays.bind(py).call_method1("pack", (item,)),
            Items::Objects(dumps, _) => dumps.bind(py).call1((item, PICKLE_PROTOCOL)),
        }
    }

    #[cold]
    fn wrong_length(&self, len: usize) -> PyErr {
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
    fn with_bytes<R>(
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

    fn put_one(slf: &Bound<'_, Self>, item: &Bound<'_, PyAny>, limit: Limit) -> PyResult<()> {
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

    fn get_one<'py>(slf: &Bound<'py, Self>, limit: Limit) -> Result<Bound<'py, PyAny>, End> {
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

    fn get_bytes<'py>(slf: &Bound<'py, Self>, limit: Limit) -> Result<Bound<'py, PyBytes>, End> {
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
    fn fill(slf: &Bound<'_, Self>, at: Target, room: usize, limit: Limit) -> Result<usize, End> {
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
    fn push_all(
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
    fn put_plain(slf: &Bound<'_, Self>, items: &Bound<'_, PyAny>, limit: Limit) -> PyResult<usize> {
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
    fn put_records(
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
    fn get_array<'py>(
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
        let taken = array.get_item(pyo3::types::PySlice::new(py, 0, count.cast_signed(), 1))?;
        // A small part does not keep a large whole.
        if count < room / 2 {
            taken.call_method0("copy")
        } else {
            Ok(taken)
        }
    }
}

/// An array for `count` items, and where its bytes lie.
fn room<'py>(arrays: &Bound<'py, PyAny>, count: usize) -> PyResult<(Bound<'py, PyAny>, View)> {
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

/// What is there, as far as `max` items, by one operation of the ring for each chunk.
fn take_plain<'py>(
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

#[pymethods]
impl SharedRingBuffer {
    #[new]
    #[pyo3(signature = (name, capacity = None, item_size = None, *, strategy = None, create = None, mode = 0o600, dtype = None, objects = false))]
    #[allow(clippy::too_many_arguments)] // they are the caller's, by name
    fn new(
        py: Python<'_>,
        name: &str,
        capacity: Option<usize>,
        item_size: Option<usize>,
        strategy: Option<&str>,
        create: Option<bool>,
        mode: u32,
        dtype: Option<&Bound<'_, PyAny>>,
        objects: bool,
    ) -> PyResult<PyClassInitializer<Self>> {
        for (what, number) in [("capacity", capacity), ("item_size", item_size)] {
            if number == Some(0) {
                return Err(PyValueError::new_err(format!("{what} must be at least 1")));
            }
        }
        let name = with_slash(name);
        let items = Items::new(py, dtype, objects)?;
        let (mut exact, mut align) = (None, 0);
        if let Items::Arrays(arrays) = &items {
            let size: usize = arrays.getattr(py, "size")?.extract(py)?;
            if item_size.is_some_and(|asked| asked != size) {
                return Err(PyValueError::new_err(format!(
                    "an item of this dtype has {size} bytes: leave item_size out"
                )));
            }
            exact = Some(size);
            align = arrays.getattr(py, "align")?.extract(py)?;
        }
        // Items are compared below, in Python's words.
        let attach = Options {
            strategy: self::strategy(py, strategy)?,
            capacity: capacity.unwrap_or(0), // 0: what is there
            elem_size: 0,
            path: Some(name.clone()),
            open: OpenMode::Attach,
            mode,
            ..Options::default()
        };
        let make = |open| Options {
            capacity: capacity.unwrap_or(CAPACITY),
            elem_size: exact.or(item_size).unwrap_or(ITEM_SIZE),
            elem_align: align,
            records: exact.is_none(),
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
        let (there, records) = (ring.elem_size(), ring.has_records());
        let differs = match (exact, item_size) {
            (Some(size), _) if records => Some(format!(
                "its items are bytes of any length up to {there}; items of dtype {} have exactly {size}",
                dtype_name(py, &items)
            )),
            (Some(size), _) if size != there => Some(format!(
                "its items have {there} bytes; items of dtype {} have {size}",
                dtype_name(py, &items)
            )),
            (None, _) if objects && !records => Some(format!(
                "its items have exactly {there} bytes each, as those of a dtype or a C struct: \
                 pickled objects need a ring of its own"
            )),
            (None, Some(asked)) if asked != there => {
                Some(format!("item_size {there} there, {asked} asked"))
            }
            _ => None,
        };
        if let Some(differs) = differs {
            let text = format!("{name} is another ring than the one asked for: {differs}");
            return Err(build_error(py, BuildError::Mismatch(text)));
        }
        let this = Self {
            name,
            item_size: there,
            records,
            items,
        };
        Ok(PyClassInitializer::from(Base::new(ring)).add_subclass(this))
    }

    /// How many items fit; the same as `maxsize`.
    #[getter]
    fn capacity(slf: &Bound<'_, Self>) -> PyResult<usize> {
        slf.as_super().get().with(|ring| Ok(ring.capacity()))
    }

    /// The NumPy dtype of the items; None if they are bytes or objects.
    #[getter]
    fn dtype(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.arrays(py)
            .map(|arrays| arrays.getattr("dtype").map(Bound::unbind))
            .transpose()
    }

    /// Whether items are pickled objects.
    #[getter]
    fn objects(&self) -> bool {
        matches!(self.items, Items::Objects(..))
    }

    #[classmethod]
    #[pyo3(signature = (of, /))]
    fn __class_getitem__<'py>(
        class: &Bound<'py, PyType>,
        of: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyGenericAlias>> {
        PyGenericAlias::new(class.py(), class, of)
    }

    /// Append an item, waiting for room if need be: a bytes-like object, or what the ring is for.
    ///
    /// With `block=False`, and with `timeout` seconds gone, raises instead of waiting (longer).
    /// The bytes of a contiguous array are copied once, straight into the ring.
    ///
    /// Raises: as `RingBuffer.put`; ValueError if the item is longer than `item_size`, or of
    /// another shape than the dtype says; TypeError if it is not bytes-like, or of another dtype.
    ///
    /// >>> with turtle_buffers.SharedRingBuffer("/turtle-doc", 8, dtype="f8, i4") as ring:
    /// ...     ring.unlink()
    /// ...     ring.put((1.5, 7))
    /// ...     print(ring.get()["f0"])
    /// 1.5
    #[pyo3(signature = (item, block = true, timeout = None))]
    fn put(
        slf: &Bound<'_, Self>,
        item: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        Self::put_one(slf, item, Limit::new(block, timeout)?)
    }

    /// Take the oldest item, waiting for one if need be: bytes, or what the ring is for.
    ///
    /// With `block=False`, and with `timeout` seconds gone, raises instead of waiting (longer).
    ///
    /// Raises: as `RingBuffer.get`. What a pickled object raises while it is made anew is passed
    /// on; the item is gone then.
    #[pyo3(signature = (block = true, timeout = None))]
    fn get<'py>(
        slf: &Bound<'py, Self>,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::get_one(slf, Limit::new(block, timeout)?).map_err(|end| end.raise(slf.py()))
    }

    /// Take the oldest item into `buffer`, and say how many bytes it has.
    ///
    /// `buffer` is any writable contiguous one: bytearray, memoryview, array. One copy, and nothing
    /// is allocated: for large items that come again and again.
    ///
    /// Raises: as `get`; ValueError if the item does not fit (it stays in the ring); TypeError on a
    /// ring of objects.
    ///
    /// >>> with turtle_buffers.SharedRingBuffer("/turtle-doc", 8, 64) as ring:
    /// ...     ring.unlink()
    /// ...     ring.put(b"hello")
    /// ...     room = bytearray(64)
    /// ...     print(room[:ring.get_into(room)])
    /// bytearray(b'hello')
    #[pyo3(signature = (buffer, block = true, timeout = None))]
    fn get_into(
        slf: &Bound<'_, Self>,
        buffer: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<usize> {
        slf.get().plain("get_into")?;
        let limit = Limit::new(block, timeout)?;
        let view = View::new(buffer, ffi::PyBUF_WRITABLE)?;
        Self::fill(slf, Target(view.0.buf.cast()), view.len(), limit)
            .map_err(|end| end.raise(slf.py()))
    }

    /// Lend the next slot to write in: `with ring.claim(n) as view:`. No copy is made.
    ///
    /// `view` is a writable memoryview of `nbytes` bytes (None: `item_size`), on a ring with a dtype
    /// an array of that dtype's shape. Leaving the block appends the item; an exception gives the
    /// slot back without a trace. The length may be set at the end: `claim.commit(n)`. Until then
    /// the slot keeps its place in the order: what others append behind it waits, too.
    ///
    /// Using the memoryview afterwards raises ValueError; one of its slices or arrays that is still
    /// alive when the block ends is a BufferError, and the slot stays claimed. An array given by the
    /// block becomes read-only, and shows whatever the slot holds then: keep nothing made of it.
    ///
    /// The block begins by waiting for room as `put` does, and raises what that raises.
    ///
    /// >>> with turtle_buffers.SharedRingBuffer("/turtle-doc", 8, 64) as ring:
    /// ...     ring.unlink()
    /// ...     with ring.claim(5) as view:
    /// ...         view[:] = b"hello"
    /// ...     claim = ring.claim()
    /// ...     with claim as view:
    /// ...         view[:6] = b" world"
    /// ...         claim.commit(6)
    /// ...     print(ring.get() + ring.get())
    /// b'hello world'
    #[pyo3(signature = (nbytes = None, block = true, timeout = None))]
    fn claim(
        slf: &Bound<'_, Self>,
        nbytes: Option<usize>,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<Claim> {
        let this = slf.get();
        this.plain("claim")?;
        let len = nbytes.unwrap_or(this.item_size);
        if len > this.item_size || (!this.records && len < this.item_size) {
            return Err(this.wrong_length(len));
        }
        Claim::new(slf, Limit::new(block, timeout)?, len)
    }

    /// Take the oldest item where it lies: `with ring.peek() as view:`. No copy is made.
    ///
    /// `view` is a read-only memoryview of the item, on a ring with a dtype an array. The item is
    /// taken when the block begins, and its slot is free for another one when the block ends. As for
    /// `claim`, nothing made of the view may be alive then.
    ///
    /// The block begins by waiting for an item as `get` does, and raises what that raises.
    ///
    /// >>> with turtle_buffers.SharedRingBuffer("/turtle-doc", 8, dtype=("u1", 3)) as ring:
    /// ...     ring.unlink()
    /// ...     ring.put([1, 2, 3])
    /// ...     with ring.peek() as rgb:
    /// ...         print(rgb.sum())
    /// 6
    #[pyo3(signature = (block = true, timeout = None))]
    fn peek(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<Peek> {
        slf.get().plain("peek")?;
        Peek::new(slf, Limit::new(block, timeout)?)
    }

    /// Append an item, or raise at once. Raises as `RingBuffer.put_nowait`.
    fn put_nowait(slf: &Bound<'_, Self>, item: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::put_one(slf, item, Limit::Now)
    }

    /// Take the oldest item, or raise at once. Raises as `RingBuffer.get_nowait`.
    fn get_nowait<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::get_one(slf, Limit::Now).map_err(|end| end.raise(slf.py()))
    }

    /// Append many items in order, and say how many were appended.
    ///
    /// Waits until all are in; the count is smaller, and the rest was not appended, with
    /// `block=False`, after `timeout` seconds, and when the ring is shut down or interrupted.
    /// On a ring with a dtype `items` is an array of them (or a list), and moved by one block copy.
    ///
    /// Raises: what `put` raises, if not a single item was appended; ValueError and TypeError
    /// for an item that cannot be put (those before it were appended; of an array none).
    #[pyo3(signature = (items, block = true, timeout = None))]
    fn put_many(
        slf: &Bound<'_, Self>,
        items: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<usize> {
        let limit = Limit::new(block, timeout)?.fixed();
        let this = slf.get();
        match &this.items {
            Items::Arrays(arrays) => {
                let packed = arrays.call_method1(slf.py(), "pack_many", (items,))?;
                let view = View::new(packed.bind(slf.py()), ffi::PyBUF_SIMPLE)?;
                let (at, len) = (view.0.buf.cast_const().cast(), view.len());
                let (done, end) =
                    Self::push_all(slf, Span { at, len }, len / this.item_size, limit);
                end.map_or(Ok(done), |end| end.after(slf.py(), done))
            }
            Items::Bytes if !this.records => Self::put_plain(slf, items, limit),
            _ => Self::put_records(slf, items, limit),
        }
    }

    /// Take up to `max_items` items: waits for one, then takes what is there.
    ///
    /// Answers a list; on a ring with a dtype an array, moved by one block copy.
    ///
    /// Raises: what `get` raises, if there is not a single item.
    #[pyo3(signature = (max_items, block = true, timeout = None))]
    fn get_many<'py>(
        slf: &Bound<'py, Self>,
        max_items: usize,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let limit = Limit::new(block, timeout)?;
        if let Some(arrays) = this.arrays(py) {
            return Self::get_array(slf, arrays, max_items, limit);
        }
        if max_items == 0 {
            return Ok(PyList::empty(py).into_any());
        }
        let first = Self::get_bytes(slf, limit).map_err(|end| end.raise(py))?;
        let ring = &*slf.as_super().get().ring()?;
        let mut items = Vec::with_capacity(max_items.min(ring.len() + 1));
        items.push(first);
        if this.records {
            while items.len() < max_items
                && let Ok(item) = take(py, ring)?
            {
                items.push(item);
            }
        } else {
            take_plain(py, ring, max_items, &mut items)?;
        }
        if let Items::Objects(_, loads) = &this.items {
            let loads = loads.bind(py);
            let objects = items.into_iter().map(|item| loads.call1((item,)));
            return Ok(PyList::new(py, objects.collect::<PyResult<Vec<_>>>()?)?.into_any());
        }
        Ok(PyList::new(py, items)?.into_any())
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
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
        drain(|limit| Self::get_bytes(slf, limit).map(drop)).map_err(|end| end.raise(slf.py()))
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
        match &this.items {
            Items::Bytes => {}
            Items::Arrays(_) => by_name.set_item("dtype", this.dtype(py)?)?,
            Items::Objects(..) => by_name.set_item("objects", true)?,
        }
        ((&this.name, ring.capacity(), item_size), by_name).into_pyobject(py)
    }
}

impl SharedRingBuffer {
    /// Fails for calls about bytes on a ring of objects.
    fn plain(&self, call: &str) -> PyResult<()> {
        match self.items {
            Items::Objects(..) => Err(PyTypeError::new_err(format!(
                "items of this ring are pickled objects, which {call}() cannot show: use put and get"
            ))),
            _ => Ok(()),
        }
    }
}

fn dtype_name(py: Python<'_>, items: &Items) -> String {
    match items {
        Items::Arrays(arrays) => arrays
            .getattr(py, "dtype")
            .map_or_else(|_| "?".into(), |dtype| dtype.to_string()),
        _ => "bytes".into(),
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
