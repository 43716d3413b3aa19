//! Rings of bytes in shared memory, for any process that knows their name.

mod bytes;
mod moves;
mod session;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyGenericAlias, PyList, PyTuple, PyType};
use turtle_buffers::erased::open;
use turtle_buffers::os::segment::Segment;
use turtle_buffers::{BuildError, Direction, OpenMode, Options};

use crate::base::{Base, PARTICIPANTS, participants, strategy};
use crate::errors::{End, build_error};
use crate::lend::{Claim, Peek};
use crate::wait::{Limit, drain, truth};
use bytes::{Span, Target, View};
use moves::{take, take_plain};
pub(crate) use session::Recovered;

const CAPACITY: usize = 1024;
const ITEM_SIZE: usize = 1024;

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
///     strategy: the engine, by name. None: "wait_free", or what is there.
///     create: True creates the ring, False attaches to it, None does what is needed.
///     mode: permission bits of a ring that is created.
///     dtype: items are of this NumPy dtype, structured ones and arrays such as ("f4", (480, 640))
///         included, and exactly as long. `get` answers a scalar or array, `get_many` and `put_many`
///         move arrays of them. A C or C++ struct of the same layout shares the ring. The ring
///         does not store the dtype, only how long items are: who attaches says it again.
///     max_threads: threads of all processes that may put, and as many that may get, on engines
///         that keep a record of each. None: 256, or what is there. Others ignore it.
///     patience: attempts that a call of such an engine makes before it lets others help; 0: none;
///         None: the engine's choice. It concerns this object only.
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
    /// Of a session.
    recovered: Option<Py<Recovered>>,
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
    fn clone(&self, py: Python<'_>) -> Self {
        match self {
            Self::Bytes => Self::Bytes,
            Self::Arrays(arrays) => Self::Arrays(arrays.clone_ref(py)),
            Self::Objects(dumps, loads) => Self::Objects(dumps.clone_ref(py), loads.clone_ref(py)),
        }
    }

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

#[pymethods]
impl SharedRingBuffer {
    #[new]
    #[pyo3(signature = (name, capacity = None, item_size = None, *, strategy = None, create = None, mode = 0o600, dtype = None, objects = false, max_threads = None, patience = None))]
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
        max_threads: Option<i64>,
        patience: Option<i64>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let (max_threads, patience) = participants(max_threads, 0, patience)?; // 0: what is there
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
            max_threads,
            patience,
            ..Options::default()
        };
        let make = |open| Options {
            capacity: capacity.unwrap_or(CAPACITY),
            elem_size: exact.or(item_size).unwrap_or(ITEM_SIZE),
            elem_align: align,
            records: exact.is_none(),
            max_threads: if max_threads == 0 {
                PARTICIPANTS
            } else {
                max_threads
            },
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
            recovered: None,
        };
        Ok(PyClassInitializer::from(Base::new(ring, None)).add_subclass(this))
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
    /// the slot keeps its place in the order, and what others append behind it waits, too; not so on
    /// "wait_free": there the item gets its place at the end of the block, which raises `Full`, with the
    /// slot still claimed, if others took the room meanwhile. A thread has one claim at a time there.
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
    /// taken when the block begins, and its slot is free for another one when the block ends (on
    /// "wait_free" at once). As for
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

    /// This ring, with a producer that is known by `session`: any number but 0.
    ///
    /// Answers another object of the same ring. What it puts is counted under the session, and when
    /// the session is opened again, in whatever process, after whatever end of the last one,
    /// `recovered.done` says exactly how many of its items arrived: go on behind them. While the
    /// object is open nobody else has the session; `close()` gives it back. It keeps its place, one
    /// of `max_threads`, until `forget_producer`.
    ///
    /// Raises: NotImplementedError on an engine that keeps no record of its participants;
    /// RuntimeError while its owner is alive, or when there is no free place; ValueError for 0.
    ///
    /// Thread rules: one thread at a time puts; another one gets a RuntimeError if that lasts.
    fn as_producer<'py>(slf: &Bound<'py, Self>, session: u64) -> PyResult<Bound<'py, Self>> {
        Self::open_session(slf, Direction::Push, session)
    }

    /// This ring, with a consumer that is known by `session`; see `as_producer`.
    ///
    /// `recovered.orphans` are the items that the last one had taken and perhaps not used. Sessions
    /// of producers and of consumers are apart.
    fn as_consumer<'py>(slf: &Bound<'py, Self>, session: u64) -> PyResult<Bound<'py, Self>> {
        Self::open_session(slf, Direction::Pop, session)
    }

    /// What became of the session before this object opened it; None without a session.
    #[getter]
    fn recovered(&self, py: Python<'_>) -> Option<Py<Recovered>> {
        self.recovered.as_ref().map(|was| was.clone_ref(py))
    }

    /// End a producer's session that nobody has now, and say whether there was one.
    ///
    /// Raises RuntimeError while its owner is alive, NotImplementedError as `as_producer`.
    fn forget_producer(slf: &Bound<'_, Self>, session: u64) -> PyResult<bool> {
        Self::forget(slf, Direction::Push, session)
    }

    /// End a consumer's session that nobody has now, and say whether there was one.
    ///
    /// Raises as `forget_producer`; ValueError while items wait for its next consumer.
    fn forget_consumer(slf: &Bound<'_, Self>, session: u64) -> PyResult<bool> {
        Self::forget(slf, Direction::Pop, session)
    }

    /// Items that consumers without a session had taken when they died, and perhaps not used.
    ///
    /// Each is handed out once, to whoever asks; until then they keep the places of their consumers.
    ///
    /// >>> with turtle_buffers.SharedRingBuffer("/turtle-doc", 8, 64) as ring:
    /// ...     ring.unlink()
    /// ...     print(ring.orphans())
    /// []
    fn orphans<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        Self::all_orphans(slf)
    }

    /// Look for participants that died, put right what they left, and say how many there were.
    ///
    /// Nobody has to call it: who waits looks about every 50 ms, and so does who finds no free place.
    fn reclaim(slf: &Bound<'_, Self>) -> PyResult<usize> {
        let ring = slf.as_super().get().ring()?;
        Ok(slf.py().detach(|| ring.reclaim()))
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
        if this.recovered.is_some() {
            return Err(PyTypeError::new_err(
                "a session belongs to one process: pickle the ring, and open the session there",
            ));
        }
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
