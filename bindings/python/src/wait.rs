//! Waiting on behalf of Python: one attempt with the interpreter attached,
//! then slices without it.

use std::time::{Duration, Instant};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use turtle_buffers::erased::{DynRing, Outcome};

use crate::base::{Base, usable};
use crate::errors::End;

/// The longest time without a look at pending signals.
const SLICE: Duration = Duration::from_millis(50);
/// How long a call that must not wait tries again while another call is halfway.
const BRIEFLY: Duration = Duration::from_millis(1);
/// How long to wait for a side that another thread owns: a thread that Python
/// has joined may still be on its way out, and gives its sides back last.
const GRACE: Duration = Duration::from_millis(200);

/// An argument that is true or false as anything is in Python: `get(1)` is `get(True)`.
#[inline]
pub(crate) fn truth(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    object.is_truthy()
}

/// How long a call may wait.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    Now,
    Within(Duration),
    Until(Instant),
    Never,
}

impl Limit {
    /// From the arguments `block` and `timeout`, which mean what they do in `queue.Queue`.
    #[inline]
    pub(crate) fn new(block: bool, timeout: Option<f64>) -> PyResult<Self> {
        match timeout {
            _ if !block => Ok(Self::Now),
            None => Ok(Self::Never),
            Some(0.0) => Ok(Self::Now),
            // A time too long for the clock is for ever.
            Some(seconds) if seconds > 0.0 => {
                Ok(Duration::try_from_secs_f64(seconds).map_or(Self::Never, Self::Within))
            }
            Some(_) => Err(PyValueError::new_err(
                "'timeout' must be a non-negative number",
            )),
        }
    }

    /// The same limit for several waits in a row.
    pub(crate) fn fixed(self) -> Self {
        match self {
            Self::Within(time) => Instant::now()
                .checked_add(time)
                .map_or(Self::Never, Self::Until),
            other => other,
        }
    }
}

/// Which side of the ring a call is on.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Put,
    Get,
}

impl Side {
    fn refusal(self) -> End {
        match self {
            Self::Put => End::Full,
            Self::Get => End::Empty,
        }
    }
}

/// Runs `call` until it is done or `limit` is reached. `call` is given the
/// time it may wait: zero while the interpreter is attached.
#[inline(always)]
pub(crate) fn run(
    at: (&Bound<'_, Base>, &dyn DynRing),
    side: Side,
    limit: Limit,
    mut call: impl FnMut(Duration) -> Outcome + Send,
) -> Result<(), End> {
    match call(Duration::ZERO) {
        Outcome::Ok => Ok(()),
        first => wait(at, side, limit, first, &mut call),
    }
}

/// What follows a first attempt that answered `outcome`.
#[cold]
#[inline(never)]
pub(crate) fn wait(
    (base, ring): (&Bound<'_, Base>, &dyn DynRing),
    side: Side,
    limit: Limit,
    mut outcome: Outcome,
    call: &mut (dyn FnMut(Duration) -> Outcome + Send),
) -> Result<(), End> {
    let py = base.py();
    let base = base.get();
    let interrupts = base.interrupts();
    let began = Instant::now();
    let limit = limit.fixed();
    loop {
        let mut slice = SLICE;
        match outcome {
            Outcome::Ok => {
                if let Some(linger) = base.linger() {
                    linger.waited(side, began.elapsed());
                }
                return Ok(());
            }
            Outcome::Closed => return Err(End::ShutDown),
            Outcome::Invalid => {
                let error = usable(ring).err();
                let other = || PyRuntimeError::new_err("the ring cannot do this");
                return Err(End::Raised(error.unwrap_or_else(other)));
            }
            Outcome::NoHandle if began.elapsed() > GRACE => {
                return Err(End::Raised(not_owner(ring, side)));
            }
            Outcome::NoHandle => {
                // A thread that is ending gives its side back without telling anyone:
                // there is no condition to wait for, so this looks again, for GRACE.
                py.detach(|| std::thread::sleep(Duration::from_millis(1)));
                slice = Duration::ZERO;
            }
            Outcome::Busy if matches!(limit, Limit::Now) => {
                if began.elapsed() > BRIEFLY {
                    return Err(End::Busy);
                }
                py.detach(std::thread::yield_now);
                slice = Duration::ZERO;
            }
            // A bare interruption is the ring's, of which ours may know nothing.
            Outcome::Interrupted if base.interrupts() == interrupts => {
                base.check().map_err(End::Raised)?;
                if !base.is_lodger() {
                    return Err(End::Interrupted);
                }
                slice = Duration::ZERO; // another object's
            }
            Outcome::Full
            | Outcome::Empty
            | Outcome::Busy
            | Outcome::Timeout
            | Outcome::Interrupted => match limit {
                Limit::Now => return Err(side.refusal()),
                Limit::Until(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(side.refusal());
                    }
                    slice = left.min(SLICE);
                }
                Limit::Within(_) | Limit::Never => {}
            },
        }
        py.check_signals().map_err(End::Raised)?;
        base.check().map_err(End::Raised)?;
        // Counted here because one that comes between two slices meets no wait.
        if base.interrupts() != interrupts {
            return Err(End::Interrupted);
        }
        outcome = if slice.is_zero() {
            call(slice)
        } else {
            py.detach(|| {
                if let Some(linger) = base.linger() {
                    let interrupted = || base.interrupts() != interrupts;
                    linger.watch(ring, side, slice, interrupted);
                    if interrupted() {
                        slice = Duration::ZERO;
                    }
                }
                call(slice)
            })
        };
    }
}

/// Takes what is left in a closed ring: calls `get` until it says `ShutDown`.
pub(crate) fn drain(mut get: impl FnMut(Limit) -> Result<(), End>) -> Result<(), End> {
    loop {
        match get(Limit::Within(Duration::from_secs(1))) {
            Ok(()) => {}
            Err(End::ShutDown) => return Ok(()),
            // Closed, and still no answer: some call stays halfway.
            Err(End::Empty) => return Err(End::Busy),
            Err(end) => return Err(end),
        }
    }
}

#[cold]
fn not_owner(ring: &dyn DynRing, side: Side) -> PyErr {
    if ring.strategy().traits().records {
        return PyRuntimeError::new_err(format!(
            "all places of this {} ring are taken, or this object is another thread's or process's \
             session: release_thread() and close() give places back; max_threads= says how many a \
             new ring has",
            ring.strategy()
        ));
    }
    let (one, verb) = match side {
        Side::Put => ("producer", "puts"),
        Side::Get => ("consumer", "gets"),
    };
    PyRuntimeError::new_err(format!(
        "{} has one {one}: another thread or process {verb}. \
         It gives its side back with release_thread(), or when it ends",
        ring.strategy()
    ))
}
