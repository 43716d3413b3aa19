//! Sessions: a ring object whose puts, or gets, are known by a number.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use turtle_buffers::erased::{DynRing, Element, Recovered as Found};
use turtle_buffers::erased::{through_consumer, through_producer};
use turtle_buffers::{BuildError, Direction};

use super::moves::room;
use super::{Items, SharedRingBuffer};
use crate::base::{Base, usable};
use crate::errors::build_error;

/// What became of a session: `ring.as_producer(7).recovered`.
#[pyclass(frozen, get_all, module = "turtle_buffers")]
pub(crate) struct Recovered {
    /// Items that were put (got) under this session before, exactly; 0: the session is new.
    done: u64,
    /// Whether the last one that had the session did not give it back: it was killed, or ended
    /// without `close()`.
    died: bool,
    /// Of a consumer: items that the last one had taken and perhaps not used, oldest first. They
    /// count in `done`, and are handed out this once.
    orphans: Py<PyList>,
}

#[pymethods]
impl Recovered {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let died = if self.died { "True" } else { "False" };
        let orphans = self.orphans.bind(py).repr()?;
        Ok(format!(
            "Recovered(done={}, died={died}, orphans={orphans})",
            self.done
        ))
    }
}

impl SharedRingBuffer {
    pub(super) fn open_session<'py>(
        slf: &Bound<'py, Self>,
        direction: Direction,
        session: u64,
    ) -> PyResult<Bound<'py, Self>> {
        let (py, this) = (slf.py(), slf.get());
        let ring = slf.as_super().get().ring()?;
        usable(&*ring)?;
        type Opened = Result<(Arc<dyn DynRing>, Found<Element>), BuildError>;
        let opened: Opened = py.detach(|| {
            Ok(match direction {
                Direction::Push => {
                    let (side, was) = ring.clone().producer_as(session)?;
                    (through_producer(ring, side), was)
                }
                Direction::Pop => {
                    let (side, was) = ring.clone().consumer_as(session)?;
                    (through_consumer(ring, side), was)
                }
            })
        });
        let (ring, was) = opened.map_err(|error| build_error(py, error))?;
        let recovered = Recovered {
            done: was.done,
            died: was.died,
            orphans: this.items_of(py, &was.orphans)?.unbind(),
        };
        let object = Self {
            name: this.name.clone(),
            item_size: this.item_size,
            records: this.records,
            items: this.items.clone(py),
            recovered: Some(Py::new(py, recovered)?),
        };
        Bound::new(
            py,
            PyClassInitializer::from(Base::lodger(ring)).add_subclass(object),
        )
    }

    pub(super) fn forget(
        slf: &Bound<'_, Self>,
        direction: Direction,
        session: u64,
    ) -> PyResult<bool> {
        let py = slf.py();
        let ring = slf.as_super().get().ring()?;
        match py.detach(|| ring.forget_session(direction, session)) {
            Ok(()) => Ok(true),
            Err(BuildError::NotFound(_)) => Ok(false),
            Err(error) => Err(build_error(py, error)),
        }
    }

    pub(super) fn all_orphans<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let py = slf.py();
        let ring = slf.as_super().get().ring()?;
        usable(&*ring)?;
        let orphans = py.detach(|| ring.take_orphans(usize::MAX));
        slf.get().items_of(py, &orphans)
    }

    /// Items from their bytes.
    fn items_of<'py>(&self, py: Python<'py>, bytes: &[Element]) -> PyResult<Bound<'py, PyList>> {
        let items = bytes.iter().map(|bytes| self.item_of(py, bytes));
        PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)
    }

    fn item_of<'py>(&self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        match &self.items {
            Items::Bytes => Ok(PyBytes::new(py, bytes).into_any()),
            Items::Objects(_, loads) => loads.bind(py).call1((PyBytes::new(py, bytes),)),
            Items::Arrays(arrays) => {
                let (array, view) = room(arrays.bind(py), 1)?;
                let len = bytes.len().min(view.len());
                // SAFETY: the view is writable for its length, and nobody else has the array.
                unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), view.0.buf.cast(), len) };
                drop(view);
                array.get_item(0)
            }
        }
    }
}
