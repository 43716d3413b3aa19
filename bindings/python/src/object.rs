//! Rings of any Python object, for the threads of one process.

use std::ffi::c_void;
use std::mem::{MaybeUninit, forget};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyGenericAlias, PyList, PyTuple, PyType};
use turtle_buffers::Options;
use turtle_buffers::erased::{DropHook, DynRing, Outcome, open};

use crate::base::{Base, PARTICIPANTS, participants, strategy, usable};
use crate::errors::{End, build_error};
use crate::linger::Linger;
use crate::wait::{Limit, Side, drain, run, truth};

/// Items of a batch for which there is room from the start, if it says that it has as many.
const LIKELY: usize = 1 << 16;

/// What a slot holds: a reference that belongs to the ring.
type Item = Py<PyAny>;

/// Drops an item that is left. If this thread is attached to the interpreter
/// that happens now; if not, when the next thread attaches, which may be never.
unsafe extern "C" fn drop_item(item: *mut c_void, _: *mut c_void) {
    // SAFETY: the slot holds an `Item` that nobody will take any more.
    unsafe { item.cast::<Item>().drop_in_place() };
}

/// A bounded FIFO of any objects, for the threads of one process.
///
/// It does what `queue.Queue` does, under the same names, and can be put in its place.
/// Beyond that: batches, shutting down on every Python version, iteration, statistics.
///
/// Args:
///     maxsize: items that fit, at least 1. There is no unbounded engine yet.
///     strategy: the engine, by name; "wait_free" if None. `strategies()` lists them.
///     max_threads: threads that may put, and as many that may get, on engines that keep a record
///         of each; None: 256. Others ignore it.
///     patience: attempts that a call of such an engine makes before it lets others help; 0: none;
///         None: the engine's choice.
///
/// Raises:
///     ValueError: maxsize below 1, max_threads not 1 to 65536, or no such engine.
///     MemoryError: there is no memory for that many items.
///
/// Thread rules: any thread may call anything, unless the engine says otherwise: on "spsc" one
/// thread puts and one gets, see `release_thread()`. A forked child cannot use its parent's
/// objects' ring and gets a RuntimeError; between processes use `SharedRingBuffer`.
/// The cycle collector does not look inside: a ring that is reachable from its own items is
/// freed after `shutdown(immediate=True)` only.
///
/// >>> import threading
/// >>> ring = turtle_buffers.RingBuffer(64)
/// >>> worker = threading.Thread(target=lambda: print(sum(ring)))
/// >>> worker.start()
/// >>> for number in range(1000):
/// ...     ring.put(number)
/// >>> ring.shutdown(); worker.join()
/// 499500
#[pyclass(frozen, subclass, extends = Base, module = "turtle_buffers")]
pub(crate) struct RingBuffer {
    /// The base holds it too, behind a lock that this class does not need.
    ring: Arc<dyn DynRing>,
    /// Items for which `task_done` was called.
    done: Mutex<u64>,
    all_done: Condvar,
}

impl RingBuffer {
    #[inline(always)]
    fn put_one(slf: &Bound<'_, Self>, item: Item, limit: Limit) -> Result<(), End> {
        let ring = &*slf.get().ring;
        let slot = &raw const item;
        let slot = Elem(slot.cast_mut().cast());
        // SAFETY: `item` outlives the calls; a slot is as large as it.
        run((slf.as_super(), ring), Side::Put, limit, |time| unsafe {
            ring.push(slot.at(), Some(time))
        })?;
        forget(item); // it is the ring's now
        Ok(())
    }

    #[inline(always)]
    fn get_one(slf: &Bound<'_, Self>, limit: Limit) -> Result<Item, End> {
        let ring = &*slf.get().ring;
        let mut item = MaybeUninit::<Item>::uninit();
        let slot = Elem(item.as_mut_ptr().cast());
        // SAFETY: room for one item; it was put as one, and is ours when the call succeeds.
        unsafe {
            run((slf.as_super(), ring), Side::Get, limit, |time| {
                ring.pop(slot.at(), Some(time))
            })?;
            Ok(item.assume_init())
        }
    }

    /// The count of finished tasks. Nobody who holds it waits for the interpreter.
    fn done(&self) -> MutexGuard<'_, u64> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, tasks: u64) {
        let mut done = self.done();
        *done = (*done + tasks).min(self.pushed());
        drop(done);
        self.all_done.notify_all();
    }

    fn pushed(&self) -> u64 {
        self.ring.stats().pushed
    }
}

/// The address of an item, for calls that are made without the interpreter.
#[derive(Clone, Copy)]
struct Elem(*mut u8);
// SAFETY: the item is `Send`, and its owner waits for the call that uses the address.
unsafe impl Send for Elem {}
// SAFETY: as above; sharing it only copies the address.
unsafe impl Sync for Elem {}

impl Elem {
    fn at(self) -> *mut u8 {
        self.0
    }
}

#[pymethods]
impl RingBuffer {
    #[new]
    #[pyo3(signature = (maxsize = 1024, *, strategy = None, max_threads = None, patience = None))]
    fn new(
        py: Python<'_>,
        maxsize: i64,
        strategy: Option<&str>,
        max_threads: Option<i64>,
        patience: Option<i64>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let (max_threads, patience) = participants(max_threads, PARTICIPANTS, patience)?;
        let capacity = usize::try_from(maxsize)
            .ok()
            .filter(|&n| n > 0)
            .ok_or_else(|| {
                PyValueError::new_err(
                    "maxsize must be at least 1: there is no unbounded engine yet",
                )
            })?;
        let options = Options {
            strategy: self::strategy(py, strategy)?,
            capacity,
            elem_size: size_of::<Item>(),
            elem_align: align_of::<Item>(),
            max_threads,
            patience,
            ..Options::default()
        };
        let hook = DropHook {
            call: drop_item,
            context: std::ptr::null_mut(),
        };
        // SAFETY: `drop_item` may run on any thread, attached or not.
        let ring = unsafe { open(&options, Some(hook)) }.map_err(|error| build_error(py, error))?;
        let this = Self {
            ring: ring.clone(),
            done: Mutex::new(0),
            all_done: Condvar::new(),
        };
        Ok(PyClassInitializer::from(Base::new(ring, Some(Linger::default()))).add_subclass(this))
    }

    #[classmethod]
    #[pyo3(signature = (of, /))]
    fn __class_getitem__<'py>(
        class: &Bound<'py, PyType>,
        of: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyGenericAlias>> {
        PyGenericAlias::new(class.py(), class, of)
    }

    /// Append an item, waiting for room if need be.
    ///
    /// With `block=False`, and with `timeout` seconds gone, raises instead of waiting (longer).
    ///
    /// Raises:
    ///     Full: there is no room, or the time is up.
    ///     Busy: as for `put_nowait`, with `block=False` or `timeout=0`.
    ///     ShutDown: the ring has been shut down.
    ///     Interrupted: `interrupt()` ended the wait.
    ///     ValueError: the timeout is negative.
    ///
    /// Thread rules: any thread; one at a time on "spsc".
    #[pyo3(signature = (item, block = true, timeout = None))]
    fn put(
        slf: &Bound<'_, Self>,
        item: Item,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        Self::put_one(slf, item, Limit::new(block, timeout)?).map_err(|end| end.raise(slf.py()))
    }

    /// Take the oldest item, waiting for one if need be.
    ///
    /// With `block=False`, and with `timeout` seconds gone, raises instead of waiting (longer).
    ///
    /// Raises:
    ///     Empty: there is no item, or the time is up.
    ///     Busy: as for `get_nowait`, with `block=False` or `timeout=0`.
    ///     ShutDown: the ring has been shut down, and all items were taken.
    ///     Interrupted: `interrupt()` ended the wait.
    ///     ValueError: the timeout is negative.
    ///
    /// Thread rules: any thread; one at a time on "spsc".
    #[pyo3(signature = (block = true, timeout = None))]
    fn get(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<Item> {
        Self::get_one(slf, Limit::new(block, timeout)?).map_err(|end| end.raise(slf.py()))
    }

    /// Append an item, or raise at once.
    ///
    /// Raises:
    ///     Full: the ring held `maxsize` items at some moment during the call.
    ///     Busy: only on "turn": another thread is halfway through the next slot, and stayed
    ///         there for a millisecond. It is a `Full`, too.
    ///     ShutDown: the ring has been shut down.
    ///
    /// Thread rules: any thread; one at a time on "spsc". Progress: always returns.
    fn put_nowait(slf: &Bound<'_, Self>, item: Item) -> PyResult<()> {
        Self::put_one(slf, item, Limit::Now).map_err(|end| end.raise(slf.py()))
    }

    /// Take the oldest item, or raise at once.
    ///
    /// Raises:
    ///     Empty: the ring was empty at some moment during the call.
    ///     Busy: only on "turn": another thread is halfway through the next slot, and stayed
    ///         there for a millisecond. It is an `Empty`, too.
    ///     ShutDown: the ring has been shut down, and all items were taken.
    ///
    /// Thread rules: any thread; one at a time on "spsc". Progress: always returns.
    fn get_nowait(slf: &Bound<'_, Self>) -> PyResult<Item> {
        Self::get_one(slf, Limit::Now).map_err(|end| end.raise(slf.py()))
    }

    /// Append many items in order, and say how many were appended.
    ///
    /// Waits until all are in. With `block=False`, after `timeout` seconds, and when the ring
    /// is shut down or interrupted meanwhile, the count is smaller, and the rest of `items`
    /// was not appended. `items` is read to its end first: it must be finite.
    ///
    /// Raises: what `put` raises, if not a single item was appended.
    ///
    /// >>> turtle_buffers.RingBuffer(3).put_many("abcde", block=False)
    /// 3
    #[pyo3(signature = (items, block = true, timeout = None))]
    fn put_many(
        slf: &Bound<'_, Self>,
        items: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<usize> {
        let limit = Limit::new(block, timeout)?.fixed();
        let ring = &*slf.get().ring;
        let mut all = Vec::<Item>::with_capacity(items.len().unwrap_or(0).min(LIKELY));
        for item in items.try_iter()? {
            all.push(item?.unbind());
        }
        let items = all;
        let all = items.len();
        let mut left = items.into_iter();
        while !left.as_slice().is_empty() {
            let end = run((slf.as_super(), ring), Side::Put, limit, |time| {
                let rest = left.as_slice();
                let mut count = 0;
                // SAFETY: `rest` lies still during the calls; slots are as large as items.
                let mut outcome =
                    unsafe { ring.try_push_n(rest.as_ptr().cast(), rest.len(), &mut count) };
                if matches!(outcome, Outcome::Full | Outcome::Busy) && !time.is_zero() {
                    // SAFETY: as above.
                    outcome = unsafe { ring.push(rest.as_ptr().cast(), Some(time)) };
                    count = usize::from(outcome == Outcome::Ok);
                }
                left.by_ref().take(count).for_each(forget); // the ring's now
                outcome
            });
            if let Err(end) = end {
                return end.after(slf.py(), all - left.len());
            }
        }
        Ok(all)
    }

    /// Take up to `max_items` items: waits for one, then takes what is there.
    ///
    /// Raises: what `get` raises, if there is not a single item.
    ///
    /// >>> ring = turtle_buffers.RingBuffer()
    /// >>> ring.put_many(range(5))
    /// 5
    /// >>> ring.get_many(3), ring.get_many(3)
    /// ([0, 1, 2], [3, 4])
    #[pyo3(signature = (max_items, block = true, timeout = None))]
    fn get_many<'py>(
        slf: &Bound<'py, Self>,
        max_items: usize,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyList>> {
        let ring = &*slf.get().ring;
        let limit = Limit::new(block, timeout)?;
        let max = max_items.min(ring.capacity());
        let mut items = Vec::<Item>::with_capacity(max);
        let slot = Elem(items.as_mut_ptr().cast());
        let mut count = 0;
        // SAFETY: room for `max` items; `count` says how many of them are ours now.
        unsafe {
            run((slf.as_super(), ring), Side::Get, limit, |time| {
                ring.pop_n(slot.at(), max, Some(time), &mut count)
            })
            .map_err(|end| end.raise(slf.py()))?;
            items.set_len(count);
        }
        PyList::new(slf.py(), items)
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Option<Item>> {
        match Self::get_one(slf, Limit::Never) {
            Ok(item) => Ok(Some(item)),
            Err(End::ShutDown) => Ok(None),
            Err(end) => Err(end.raise(slf.py())),
        }
    }

    /// Shut the ring down: idempotent, any thread, wakes everyone who waits.
    ///
    /// From now on `put` raises `ShutDown`; `get` does so when what is inside was taken. With
    /// `immediate=True` what is inside is dropped first, and counts as done for `join()`. On
    /// "spsc" only the consuming thread can drop it: elsewhere RuntimeError, after shutting down.
    #[pyo3(signature = (immediate = false))]
    fn shutdown(slf: &Bound<'_, Self>, immediate: bool) -> PyResult<()> {
        let this = slf.get();
        this.ring.close();
        slf.as_super().get().wake_coroutines(slf.py())?;
        if !immediate {
            return Ok(());
        }
        let mut dropped = 0;
        let end = drain(|limit| Self::get_one(slf, limit).map(|_| dropped += 1));
        this.finish(dropped);
        end.map_err(|end| end.raise(slf.py()))
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(slf: &Bound<'_, Self>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        Self::shutdown(slf, false)
    }

    /// Say that one item that was taken has been dealt with.
    ///
    /// Raises ValueError if called more often than items were put.
    fn task_done(&self) -> PyResult<()> {
        usable(&*self.ring)?;
        let mut done = self.done();
        let pushed = self.pushed();
        if *done >= pushed {
            return Err(PyValueError::new_err("task_done() called too many times"));
        }
        *done += 1;
        if *done == pushed {
            self.all_done.notify_all();
        }
        Ok(())
    }

    /// Wait until `task_done` was called for every item that was put.
    fn join(&self, py: Python<'_>) -> PyResult<()> {
        usable(&*self.ring)?;
        while py.detach(|| {
            let done = self.done();
            let open = |done: &u64| *done < self.pushed();
            if !open(&done) {
                return false;
            }
            let slice = Duration::from_millis(50);
            let (done, _) = self
                .all_done
                .wait_timeout(done, slice)
                .unwrap_or_else(PoisonError::into_inner);
            open(&done)
        }) {
            py.check_signals()?;
        }
        Ok(())
    }

    /// Items that were put and for which `task_done` has not been called.
    #[getter]
    fn unfinished_tasks(&self) -> PyResult<u64> {
        usable(&*self.ring)?;
        let done = self.done();
        Ok(self.pushed().saturating_sub(*done))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "cannot pickle a RingBuffer: its objects live in this process only; \
             use SharedRingBuffer between processes",
        ))
    }
}
