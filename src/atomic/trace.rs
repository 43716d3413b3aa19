//! Tracing layer: every access to a shared word, with calls and returns, in
//! execution order. Active under `--cfg turtle_trace`.
//!
//! One lock is held across an access and its entry in the log, so the log is
//! an interleaving that really happened. It slows the program and hides weak
//! orderings; it is for replay against a model, not for measuring.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Step, Word};

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A thread enters an operation; `value` is its argument.
    Call {
        /// Which thread, as named by [`set_thread`].
        thread: u32,
        /// `push`, `pop`, `seal`, …
        operation: &'static str,
        /// The argument, 0 if none.
        value: u64,
    },
    /// A thread performs one step.
    Access {
        /// Which thread.
        thread: u32,
        /// The step's name.
        step: &'static str,
        /// `load`, `store`, `cas`, `or`, `add`.
        kind: &'static str,
        /// Address of the word.
        word: usize,
        /// Value read (for a store: the value written).
        read: u64,
        /// Value written, or that would have been.
        written: u64,
        /// Whether an exchange succeeded.
        done: bool,
    },
    /// A thread passes a fence.
    Fence {
        /// Which thread.
        thread: u32,
        /// The step's name.
        step: &'static str,
    },
    /// A thread leaves an operation.
    Return {
        /// Which thread.
        thread: u32,
        /// `ok`, `full`, `empty`, `busy`, `closed`.
        outcome: &'static str,
        /// The value popped, 0 if none.
        value: u64,
    },
}

static LOG: Mutex<Vec<Event>> = Mutex::new(Vec::new());
static TURN: Mutex<()> = Mutex::new(());

/// What others do between two steps of a call.
type Between = Box<dyn FnMut()>;

thread_local! {
    static THREAD: Cell<Option<u32>> = const { Cell::new(None) };
    static BETWEEN: Cell<Option<Between>> = const { Cell::new(None) };
}

/// Names the calling thread in the trace and starts recording it. In a
/// simulation (`--cfg turtle_cost`, too) the cores have their own numbers.
pub fn set_thread(thread: u32) {
    THREAD.with(|t| t.set(Some(thread)));
}

/// Runs `others` before each access and fence of the calling thread from now
/// on, until the answer is dropped. So a test acts for another thread between
/// any two steps of a call; it names that thread meanwhile. What `others` itself
/// accesses is not interrupted.
#[must_use = "dropped, it ends the interruptions"]
pub fn interrupted_by(others: impl FnMut() + 'static) -> Interrupted {
    BETWEEN.set(Some(Box::new(others)));
    Interrupted(())
}

/// See [`interrupted_by`].
#[derive(Debug)]
pub struct Interrupted(());

impl Drop for Interrupted {
    fn drop(&mut self) {
        BETWEEN.set(None);
    }
}

/// Takes what has been recorded so far.
#[must_use]
pub fn take() -> Vec<Event> {
    std::mem::take(&mut LOG.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Records the start of an operation.
pub fn call(operation: &'static str, value: u64) {
    record(|thread| Event::Call {
        thread,
        operation,
        value,
    });
}

/// Records the end of an operation.
pub fn ret(outcome: &'static str, value: u64) {
    record(|thread| Event::Return {
        thread,
        outcome,
        value,
    });
}

/// Waits for this thread's turn. Others may go first, so that traces mix.
pub(super) fn turn() -> Option<MutexGuard<'static, ()>> {
    if let Some(mut others) = BETWEEN.take() {
        others();
        BETWEEN.set(Some(others));
    }
    // On simulated cores others go first inside the access, and nobody between it
    // and its entry in the log.
    #[cfg(turtle_cost)]
    if super::cost::core().is_some() {
        return None;
    }
    super::yield_now();
    THREAD
        .with(Cell::get)
        .map(|_| TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Who is acting, if it is to be recorded.
fn acting() -> Option<u32> {
    let named = THREAD.with(Cell::get)?;
    #[cfg(turtle_cost)]
    let named = super::cost::core().unwrap_or(named);
    Some(named)
}

pub(super) fn access(
    step: Step,
    kind: &'static str,
    word: &Word,
    read: u64,
    written: u64,
    done: bool,
) {
    let word = std::ptr::from_ref(word) as usize;
    record(|thread| Event::Access {
        thread,
        step: step.name(),
        kind,
        word,
        read,
        written,
        done,
    });
}

pub(super) fn fence(step: Step) {
    record(|thread| Event::Fence {
        thread,
        step: step.name(),
    });
}

fn record(event: impl FnOnce(u32) -> Event) {
    if let Some(thread) = acting() {
        LOG.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(event(thread));
    }
}
