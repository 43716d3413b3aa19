//! `claim` and `peek`: slots that Python code writes and reads where they lie.
//!
//! A slot is Python's from `__enter__` until it is given back, and it is given
//! back only when no buffer of it is exported any more: a `memoryview` that is
//! in use keeps the claim, and whoever ends the block is told. An array cannot
//! be taken back from the variable that holds it, so one such reference is let
//! through; what it points to stays mapped for as long as it lives.

use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyBufferError, PyRuntimeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyMemoryView, PyTuple, PyWeakrefMethods, PyWeakrefReference};
use turtle_buffers::erased::{DynRing, Outcome};

use crate::base::Base;
use crate::errors::End;
use crate::shared::SharedRingBuffer;
use crate::wait::{Limit, Side, run};

/// A slot that is lent, or about to be.
struct Lent {
    ring: Arc<dyn DynRing>,
    object: Py<SharedRingBuffer>,
    side: Side,
    limit: Limit,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    at: *mut u8,
    /// Bytes that are shown.
    len: usize,
    /// Buffers of it that are in use.
    exports: usize,
    /// What the block was given. It holds on to us, so we must not hold on to it.
    view: Option<Py<PyWeakrefReference>>,
    /// It is an array, which stays with whoever has it.
    array: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    New,
    /// Some thread waits for the slot.
    Coming,
    Held,
    Over,
}

// SAFETY: the address is used while the state's lock is held, or by Python code
// that was given the buffer, under the rules of any buffer.
unsafe impl Send for State {}

/// An address on its way out of a call that may have waited.
struct At(*mut u8);
// SAFETY: only an address; the slot is the caller's.
unsafe impl Send for At {}

impl Lent {
    fn new(
        object: &Bound<'_, SharedRingBuffer>,
        side: Side,
        limit: Limit,
        len: usize,
    ) -> PyResult<Self> {
        Ok(Self {
            ring: object.as_super().get().ring()?,
            object: object.clone().unbind(),
            side,
            limit,
            state: Mutex::new(State {
                phase: Phase::New,
                at: std::ptr::null_mut(),
                len,
                exports: 0,
                view: None,
                array: false,
            }),
        })
    }

    /// Nobody who holds it runs Python code.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gets the slot and shows it. `owner` is the object that exports it.
    fn enter<'py>(&self, owner: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = owner.py();
        {
            let mut state = self.state();
            if state.phase != Phase::New {
                return Err(PyRuntimeError::new_err(
                    "a slot is lent once: call claim() or peek() again for the next one",
                ));
            }
            state.phase = Phase::Coming; // another thread may come while this one waits
        }
        let object = self.object.bind(py);
        let base: &Bound<'_, Base> = object.as_super();
        let (mut at, mut len) = (At(std::ptr::null_mut()), 0);
        let ring = &*self.ring;
        {
            let (at, len, side) = (&mut at, &mut len, self.side);
            run((base, ring), side, self.limit, move |time| {
                let at = &mut *at; // the whole of it, which may be sent
                match side {
                    Side::Put => ring.claim_within(&mut at.0, Some(time)),
                    Side::Get => {
                        let mut slot = std::ptr::null();
                        let outcome = ring.peek_within(&mut slot, len, Some(time));
                        at.0 = slot.cast_mut();
                        outcome
                    }
                }
            })
            .map_err(|end| {
                self.state().phase = Phase::New;
                end.raise(py)
            })?;
        }
        {
            let mut state = self.state();
            state.phase = Phase::Held;
            state.at = at.0;
            if matches!(self.side, Side::Get) {
                state.len = len;
            }
        }
        let shown = match object.get().arrays(py) {
            Some(arrays) => arrays.call_method1("over", (owner,)),
            None => PyMemoryView::from(owner).map(Bound::into_any),
        };
        let noted = shown.and_then(|view| Ok((PyWeakrefReference::new(&view)?, view)));
        match noted {
            Ok((weakly, view)) => {
                let mut state = self.state();
                state.array = !view.is_instance_of::<PyMemoryView>();
                state.view = Some(weakly.unbind());
                Ok(view)
            }
            Err(error) => {
                self.give_back(&mut self.state());
                Err(error)
            }
        }
    }

    /// The state of a slot that is lent.
    fn held(&self) -> PyResult<MutexGuard<'_, State>> {
        let state = self.state();
        match state.phase {
            Phase::Held => Ok(state),
            Phase::New | Phase::Coming => Err(PyRuntimeError::new_err(
                "no slot is lent yet: use it in a with block",
            )),
            Phase::Over => Err(PyRuntimeError::new_err("the slot was given back")),
        }
    }

    /// Takes back what the block was given. While the answer is kept nobody can
    /// reach the slot; or it says why somebody still can.
    fn take_back(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, State>> {
        let (view, array) = {
            let state = self.held()?;
            let view = state.view.as_ref();
            (view.and_then(|view| view.bind(py).upgrade()), state.array)
        };
        // An array stays with the block's variable: one reference besides ours, one export.
        let mut allowed = 0;
        let mut in_use = false;
        if let Some(view) = &view {
            if array {
                allowed = 1;
                // SAFETY: attached, a valid object.
                in_use = unsafe { ffi::Py_REFCNT(view.as_ptr()) } > 2;
            } else {
                in_use = view.call_method0("release").is_err();
            }
        }
        if in_use || self.held()?.exports > allowed {
            return Err(still_in_use());
        }
        if let Some(view) = view
            && array
        {
            // What that variable does from now on must not reach what others write here.
            view.call_method1("setflags", (false,))?;
        }
        // Python code has run, and another thread may have been quicker.
        let state = self.held()?;
        if state.exports > allowed {
            return Err(still_in_use());
        }
        Ok(state)
    }

    /// Leaves the slot without a trace, or, if it was read, for the next lap.
    fn give_back(&self, state: &mut State) -> Outcome {
        if state.phase != Phase::Held {
            return Outcome::Ok;
        }
        state.phase = Phase::Over;
        match self.side {
            Side::Put => self.ring.abandon(state.at),
            Side::Get => self.ring.release(state.at),
        }
    }

    fn end(&self, py: Python<'_>) -> PyResult<()> {
        let mut state = self.take_back(py)?;
        let outcome = self.give_back(&mut state);
        drop(state);
        told(outcome, py)
    }

    /// # Safety
    /// As a `bf_getbuffer` slot of `owner`, whose buffer this is.
    unsafe fn export(
        &self,
        owner: *mut ffi::PyObject,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let mut state = self.state();
        if state.phase != Phase::Held {
            return Err(PyBufferError::new_err(
                "the slot is lent in a with block only",
            ));
        }
        let len = ffi::Py_ssize_t::try_from(state.len).expect("an item's size is limited");
        let read_only = c_int::from(matches!(self.side, Side::Get));
        // SAFETY: the caller's promise; the slot is ours for `len` bytes, and the
        // export counts against giving it back.
        let failed =
            unsafe { ffi::PyBuffer_FillInfo(view, owner, state.at.cast(), len, read_only, flags) };
        if failed != 0 {
            // SAFETY: attached: this is called by Python.
            return Err(unsafe { PyErr::fetch(Python::assume_attached()) });
        }
        state.exports += 1;
        Ok(())
    }

    fn unexport(&self) {
        self.state().exports -= 1;
    }
}

impl Drop for Lent {
    /// The block was never left, or not as it should: an export would keep the object alive, so
    /// there is none. On "spsc" this must be the thread that owns the side; else the slot stays lent.
    fn drop(&mut self) {
        self.give_back(&mut self.state());
    }
}

#[cold]
fn still_in_use() -> PyErr {
    PyBufferError::new_err(
        "the slot is still in use: a view, slice or array of it is alive. Delete it, or copy \
         what you need, before the block ends; then the slot can be given back",
    )
}

fn told(outcome: Outcome, py: Python<'_>) -> PyResult<()> {
    match outcome {
        Outcome::Ok => Ok(()),
        Outcome::Closed => Err(End::ShutDown.raise(py)),
        Outcome::Busy => Err(End::Busy.raise(py)),
        Outcome::Full => Err(End::Full.raise(py)),
        Outcome::NoHandle => Err(PyRuntimeError::new_err(
            "the slot was lent to another thread: give it back there",
        )),
        other => Err(PyRuntimeError::new_err(format!(
            "the slot could not be given back ({other:?}): was it lent to another thread, or this \
             process forked meanwhile?"
        ))),
    }
}

/// A slot to write in: what `SharedRingBuffer.claim` answers, for one `with` block.
#[pyclass(frozen, module = "turtle_buffers")]
pub(crate) struct Claim(Lent);

impl Claim {
    pub(crate) fn new(
        object: &Bound<'_, SharedRingBuffer>,
        limit: Limit,
        len: usize,
    ) -> PyResult<Self> {
        Lent::new(object, Side::Put, limit, len).map(Self)
    }
}

#[pymethods]
impl Claim {
    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.get().0.enter(slf.as_any())
    }

    /// Append what was written, as an item of `nbytes` bytes (None: of all that was claimed).
    ///
    /// The block's view is released by this: using it afterwards raises ValueError. Leaving the
    /// block without an exception does the same. Call it to set the length.
    ///
    /// Raises: BufferError, and the slot stays claimed, if a slice or array of the view is still
    /// alive; ValueError if that is more than was claimed; ShutDown if the ring was shut down
    /// meanwhile (nothing was appended); on "wait_free" Full, and the slot stays claimed, if others
    /// took the room meanwhile: commit again, or abandon it.
    #[pyo3(signature = (nbytes = None))]
    fn commit(&self, py: Python<'_>, nbytes: Option<usize>) -> PyResult<()> {
        let lent = &self.0;
        let claimed = lent.state().len;
        let len = nbytes.unwrap_or(claimed);
        let records = lent.ring.has_records();
        if len > claimed || (!records && len != claimed) {
            return Err(PyValueError::new_err(format!(
                "{len} bytes cannot be committed: {} {claimed} were claimed",
                if records { "at most" } else { "exactly" }
            )));
        }
        let mut state = lent.take_back(py)?;
        // SAFETY: claimed, by nobody else since, because `state` is kept, and all of its bytes are plain ones, written or not.
        let outcome = unsafe {
            if records {
                lent.ring.commit_record(state.at, len)
            } else {
                lent.ring.commit(state.at)
            }
        };
        match outcome {
            Outcome::Ok => state.phase = Phase::Over,
            Outcome::Closed => {
                state.phase = Phase::Over;
                lent.ring.abandon(state.at);
            }
            _ => {} // it stays claimed
        }
        drop(state);
        told(outcome, py)
    }

    /// Give the slot back without appending anything. An exception in the block does the same.
    fn abandon(&self, py: Python<'_>) -> PyResult<()> {
        self.0.end(py)
    }

    #[pyo3(signature = (*error))]
    fn __exit__(&self, error: &Bound<'_, PyTuple>) -> PyResult<()> {
        let py = error.py();
        if self.0.state().phase != Phase::Held {
            return Ok(());
        }
        if error.get_item(0).is_ok_and(|kind| !kind.is_none()) {
            self.abandon(py)
        } else {
            self.commit(py, None)
        }
    }

    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        // SAFETY: called by Python as the slot that it is.
        unsafe { slf.get().0.export(slf.as_ptr(), view, flags) }
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.0.unexport();
    }
}

/// A slot to read: what `SharedRingBuffer.peek` answers, for one `with` block.
#[pyclass(frozen, module = "turtle_buffers")]
pub(crate) struct Peek(Lent);

impl Peek {
    pub(crate) fn new(object: &Bound<'_, SharedRingBuffer>, limit: Limit) -> PyResult<Self> {
        Lent::new(object, Side::Get, limit, 0).map(Self)
    }
}

#[pymethods]
impl Peek {
    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.get().0.enter(slf.as_any())
    }

    /// Give the slot back before the block ends: the ring has room for another item.
    ///
    /// Raises BufferError, and the slot stays lent, if a slice or array of the view is still alive.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.0.end(py)
    }

    #[pyo3(signature = (*error))]
    fn __exit__(&self, error: &Bound<'_, PyTuple>) -> PyResult<()> {
        if self.0.state().phase == Phase::Held {
            self.release(error.py())?;
        }
        Ok(())
    }

    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        // SAFETY: called by Python as the slot that it is.
        unsafe { slf.get().0.export(slf.as_ptr(), view, flags) }
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.0.unexport();
    }
}
