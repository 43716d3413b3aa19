//! How calls end when they do not simply return: outcomes and build errors
//! as Python exceptions. The classes are in `turtle_buffers/errors.py`.

use pyo3::exceptions::{
    PyFileExistsError, PyFileNotFoundError, PyMemoryError, PyNotImplementedError, PyRuntimeError,
    PyValueError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use turtle_buffers::BuildError;

/// An exception class of `turtle_buffers/errors.py`.
struct Class(&'static str, PyOnceLock<Py<PyType>>);

static FULL: Class = Class("Full", PyOnceLock::new());
static EMPTY: Class = Class("Empty", PyOnceLock::new());
static BUSY: Class = Class("Busy", PyOnceLock::new());
static SHUT_DOWN: Class = Class("ShutDown", PyOnceLock::new());
static INTERRUPTED: Class = Class("Interrupted", PyOnceLock::new());
static MISMATCH: Class = Class("Mismatch", PyOnceLock::new());
static CORRUPT: Class = Class("Corrupt", PyOnceLock::new());
static ANY: Class = Class("TurtleError", PyOnceLock::new());

impl Class {
    #[cold]
    fn error(&'static self, py: Python<'_>, text: impl Into<String>) -> PyErr {
        match self.1.import(py, "turtle_buffers.errors", self.0) {
            Ok(class) => PyErr::from_type(class.clone(), text.into()),
            Err(error) => error,
        }
    }
}

/// Why a call did not do all of what it was asked for.
pub(crate) enum End {
    Full,
    Empty,
    Busy,
    ShutDown,
    Interrupted,
    /// Not an answer of the ring: a signal handler raised, or the call cannot be.
    Raised(PyErr),
}

impl End {
    /// The exception that says so.
    #[cold]
    pub(crate) fn raise(self, py: Python<'_>) -> PyErr {
        match self {
            Self::Full => FULL.error(py, "the ring is full"),
            Self::Empty => EMPTY.error(py, "the ring is empty"),
            Self::Busy => BUSY.error(
                py,
                "another call is halfway through the next slot; try again",
            ),
            Self::ShutDown => SHUT_DOWN.error(py, "the ring has been shut down"),
            Self::Interrupted => INTERRUPTED.error(py, "interrupt() ended the wait"),
            Self::Raised(error) => error,
        }
    }

    /// A batch that did something answers how much; the reason why it stopped
    /// comes with the next call. Exceptions of other code are passed on.
    pub(crate) fn after(self, py: Python<'_>, done: usize) -> PyResult<usize> {
        match self {
            Self::Raised(error) => Err(error),
            _ if done > 0 => Ok(done),
            end => Err(end.raise(py)),
        }
    }
}

// The same numbers on every system this library knows; they make `error.errno` useful.
const ENOENT: i32 = 2;
const EEXIST: i32 = 17;

/// Why a ring was not built, attached or removed.
#[cold]
pub(crate) fn build_error(py: Python<'_>, error: BuildError) -> PyErr {
    match error {
        BuildError::Invalid(text) => PyValueError::new_err(text),
        BuildError::Unsupported(text) => PyNotImplementedError::new_err(text),
        BuildError::NoMemory(text) => PyMemoryError::new_err(text),
        BuildError::Exists(text) => PyFileExistsError::new_err((EEXIST, text)),
        BuildError::NotFound(text) => PyFileNotFoundError::new_err((ENOENT, text)),
        BuildError::Mismatch(text) => MISMATCH.error(py, text),
        BuildError::Corrupt(text) => CORRUPT.error(py, text),
        BuildError::NoHandle(text) => PyRuntimeError::new_err(text),
        BuildError::Io(error) => error.into(),
        other => ANY.error(py, other.to_string()),
    }
}
