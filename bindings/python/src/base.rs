//! What both kinds of rings share.
#![allow(clippy::disallowed_types)] // a counter of this process; no algorithm rests on it

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use turtle_buffers::Strategy;
use turtle_buffers::erased::DynRing;
use turtle_buffers::options::MAX_THREADS;

use crate::errors::build_error;
use crate::linger::Linger;

/// The part that `RingBuffer` and `SharedRingBuffer` share. It cannot be made alone.
#[pyclass(
    frozen,
    subclass,
    weakref,
    name = "_Ring",
    module = "turtle_buffers._turtle"
)]
pub(crate) struct Base {
    /// None: this handle was closed. The lock is held for as long as a call
    /// that never waits takes, and never across giving the interpreter up.
    ring: RwLock<Option<Arc<dyn DynRing>>>,
    /// Another object has the same ring: what is said to the ring to end waits is said to both.
    lodger: bool,
    interrupts: AtomicU64,
    /// None: the other side has an interpreter of its own.
    linger: Option<Linger>,
    /// Who waits in coroutines (`turtle_buffers/aio.py`), once somebody has.
    awaited: PyOnceLock<Py<PyAny>>,
}

/// What an event loop watches: keeps the ring, and so its descriptor, until the loop lets go,
/// whatever happens to the object.
#[pyclass(frozen, name = "_Watch", module = "turtle_buffers._turtle")]
pub(crate) struct Watch(Arc<dyn DynRing>);

#[pymethods]
impl Watch {
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        descriptor(py, &self.0)
    }
}

fn descriptor(py: Python<'_>, ring: &Arc<dyn DynRing>) -> PyResult<i32> {
    usable(&**ring)?;
    let ring = ring.clone();
    Ok(py.detach(|| ring.event_fd())?)
}

impl Base {
    pub(crate) fn new(ring: Arc<dyn DynRing>, linger: Option<Linger>) -> Self {
        Self::of(ring, false, linger)
    }

    /// For a ring that another object has, too. Its waits end at their next look at signals.
    pub(crate) fn lodger(ring: Arc<dyn DynRing>) -> Self {
        Self::of(ring, true, None)
    }

    /// Whether an interruption that this object did not ask for was meant for another one.
    pub(crate) fn is_lodger(&self) -> bool {
        self.lodger
    }

    fn of(ring: Arc<dyn DynRing>, lodger: bool, linger: Option<Linger>) -> Self {
        Self {
            ring: RwLock::new(Some(ring)),
            lodger,
            interrupts: AtomicU64::new(0),
            linger,
            awaited: PyOnceLock::new(),
        }
    }

    /// The ring, for calls that wait.
    pub(crate) fn ring(&self) -> PyResult<Arc<dyn DynRing>> {
        self.with(|ring| Ok(ring.clone()))
    }

    /// Calls `call` with the ring; it must not wait, nor run Python code.
    #[inline]
    pub(crate) fn with<R>(
        &self,
        call: impl FnOnce(&Arc<dyn DynRing>) -> PyResult<R>,
    ) -> PyResult<R> {
        match &*self.ring.read().unwrap_or_else(PoisonError::into_inner) {
            Some(ring) => call(ring),
            None => Err(closed()),
        }
    }

    /// Fails if this handle was closed.
    pub(crate) fn check(&self) -> PyResult<()> {
        self.with(|_| Ok(()))
    }

    /// Gives the ring up; waits of this handle end.
    pub(crate) fn detach(&self, py: Python<'_>) -> PyResult<()> {
        let ring = self
            .ring
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(ring) = ring {
            if !self.lodger {
                ring.interrupt();
            }
            self.wake_coroutines(py)?;
        }
        Ok(())
    }

    /// Lets every coroutine that waits look again. The descriptor cannot say this: it belongs to
    /// all loops of the process, and any of them may have made it quiet before another looks.
    pub(crate) fn wake_coroutines(&self, py: Python<'_>) -> PyResult<()> {
        match self.awaited.get(py) {
            Some(awaited) => awaited.call_method0(py, "wake_all").map(drop),
            None => Ok(()),
        }
    }

    pub(crate) fn linger(&self) -> Option<&Linger> {
        self.linger.as_ref()
    }

    pub(crate) fn interrupts(&self) -> u64 {
        self.interrupts.load(Ordering::Relaxed)
    }
}

#[cold]
fn closed() -> PyErr {
    PyValueError::new_err("this handle of the ring is closed")
}

/// Fails if this process was forked off the one that made the private ring.
pub(crate) fn usable(ring: &dyn DynRing) -> PyResult<()> {
    match ring.trouble() {
        Some(why) => Err(PyRuntimeError::new_err(why)),
        None => Ok(()),
    }
}

/// The arguments `max_threads`, with the default of this call, and `patience`.
pub(crate) fn participants(
    max_threads: Option<i64>,
    otherwise: u32,
    patience: Option<i64>,
) -> PyResult<(u32, Option<u32>)> {
    let within = |what, number: i64, from, to: u32| match u32::try_from(number) {
        Ok(number) if (from..=to).contains(&number) => Ok(number),
        _ => Err(PyValueError::new_err(format!(
            "{what} must be {from} to {to}, not {number}"
        ))),
    };
    let max_threads = max_threads.map(|n| within("max_threads", n, 1, MAX_THREADS));
    let patience = patience.map(|n| within("patience", n, 0, u32::MAX));
    Ok((
        max_threads.transpose()?.unwrap_or(otherwise),
        patience.transpose()?,
    ))
}

/// Participants of a ring that is made here: Python programs are free with threads.
pub(crate) const PARTICIPANTS: u32 = 256;

/// The engine that is called `name`; none named is the library's choice.
pub(crate) fn strategy(py: Python<'_>, name: Option<&str>) -> PyResult<Option<Strategy>> {
    name.map(|name| name.parse().map_err(|error| build_error(py, error)))
        .transpose()
}

#[pymethods]
impl Base {
    /// Count the items inside, about: others may be changing it.
    fn qsize(&self) -> PyResult<usize> {
        self.with(|ring| Ok(ring.len()))
    }

    fn __len__(&self) -> PyResult<usize> {
        self.qsize()
    }

    /// True, also when nothing is inside: `if queue:` means what it does with `queue.Queue`.
    fn __bool__(&self) -> bool {
        true
    }

    /// Say whether nothing is inside, about.
    fn empty(&self) -> PyResult<bool> {
        self.with(|ring| Ok(ring.is_empty()))
    }

    /// Say whether there is no room, about.
    fn full(&self) -> PyResult<bool> {
        self.with(|ring| Ok(ring.len() >= ring.capacity()))
    }

    /// How many items fit. Exact: what was asked for, never rounded.
    #[getter]
    fn maxsize(&self) -> PyResult<usize> {
        self.with(|ring| Ok(ring.capacity()))
    }

    /// The engine, such as "turn"; `strategies()` lists them.
    #[getter]
    fn strategy(&self) -> PyResult<&'static str> {
        self.with(|ring| Ok(ring.strategy().name()))
    }

    /// Whether the ring has been shut down.
    #[getter]
    fn is_shutdown(&self) -> PyResult<bool> {
        self.with(|ring| Ok(ring.is_closed()))
    }

    /// End every wait of this object once: the waiting calls raise `Interrupted`.
    ///
    /// Nothing is lost, and later calls wait as before. Any thread.
    fn interrupt(&self, py: Python<'_>) -> PyResult<()> {
        self.with(|ring| {
            self.interrupts.fetch_add(1, Ordering::Relaxed);
            if !self.lodger {
                ring.interrupt();
            }
            Ok(())
        })?;
        self.wake_coroutines(py)
    }

    /// How often `interrupt` was called: coroutines compare.
    #[getter]
    fn _interrupts(&self) -> u64 {
        self.interrupts()
    }

    /// Who waits in coroutines, if anybody has.
    #[getter]
    fn _awaited<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, PyAny>> {
        self.awaited.get(py).map(|awaited| awaited.bind(py))
    }

    /// The same, made when first asked for.
    fn _await<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        let ring = self.ring()?;
        let awaited = self.awaited.get_or_try_init(py, || {
            let class = py.import("turtle_buffers.aio")?.getattr("Awaited")?;
            class.call1((Watch(ring),)).map(Bound::unbind)
        })?;
        Ok(awaited.bind(py))
    }

    /// Give back the sides that the calling thread owns.
    ///
    /// Matters for engines with one producer or one consumer ("spsc"), where the first
    /// thread to put (get) owns that side until it calls this or ends; and for engines that keep
    /// a record of each participant, where a thread keeps one of `max_threads` places likewise.
    fn release_thread(&self) -> PyResult<()> {
        self.with(|ring| {
            ring.release_thread();
            Ok(())
        })
    }

    /// A descriptor that is readable when an item may be there, or the ring has been shut down.
    ///
    /// For `loop.add_reader(ring, ...)` of asyncio, `select` and `selectors`; no thread is made.
    /// Then take items with `get_nowait` until it raises `Empty` (which makes the descriptor quiet)
    /// or `ShutDown`. It may be readable for nothing: that of a shared ring is every 10 ms, because
    /// another process may be killed before it tells. One for each object, for any number of loops;
    /// it belongs to the ring, so do not read or close it. A forked child calls `fileno()` again.
    /// Coroutines need none of this: they `await ring.aget()`.
    ///
    /// Raises OSError if the process is out of descriptors, or if something else lies where the
    /// descriptors of a shared ring meet; RuntimeError in a forked child of a `RingBuffer`.
    ///
    /// >>> import select
    /// >>> ring = turtle_buffers.RingBuffer(2)
    /// >>> ring.put("here")
    /// >>> select.select([ring], [], [], 60)[0] == [ring]
    /// True
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        descriptor(py, &self.ring()?)
    }

    /// Report what has happened so far, as a dict.
    ///
    /// `pushed` and `popped` are exact and count everybody's items; `full`, `empty`,
    /// `busy` (calls so answered), `waits` and `wakes` count what this object saw.
    /// Waiting here goes in slices, so a long wait counts several times.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.with(|ring| usable(&**ring).map(|()| ring.stats()))?;
        let dict = PyDict::new(py);
        for (name, number) in [
            ("capacity", stats.capacity),
            ("len", stats.len),
            ("pushed", stats.pushed),
            ("popped", stats.popped),
            ("full", stats.full),
            ("empty", stats.empty),
            ("busy", stats.busy),
            ("waits", stats.waits),
            ("wakes", stats.wakes),
            ("helps", stats.helps),
            ("dead_participants", stats.dead_participants),
        ] {
            dict.set_item(name, number)?;
        }
        dict.set_item("closed", stats.closed)?;
        Ok(dict)
    }

    /// Iterate over the items, waiting for each; ends when the ring has been shut down and drained.
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let kind = slf.get_type().name()?;
        let Ok(ring) = slf.get().ring() else {
            return Ok(format!("<{kind} closed>"));
        };
        Ok(format!(
            "<{kind} strategy={:?} maxsize={} qsize={}{}>",
            ring.strategy().name(),
            ring.capacity(),
            ring.len(),
            if ring.is_closed() { " shut down" } else { "" }
        ))
    }
}
