//! Recorded histories of any queue, written down for `turtle check`.
//!
//! The checker itself is not in this library: it would be code for tests in every program.

// The clock watches queues, it is no part of one.
#![allow(
    clippy::disallowed_types,
    reason = "a checker's clock, not shared state of a ring"
)]

use std::ffi::{CStr, OsStr, c_char};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

use turtle_buffers::check::{Event, History, Op, PENDING, Spec};

use crate::boundary::{Refused, guard, guard_or, invalid, refuse, usable};
use crate::status::{TURTLE_ERR_IO, turtle_status};

/// The return stamp of a call that never returned.
pub const TURTLE_PENDING: u64 = u64::MAX;

/// For turtle_history_write: everything was popped in the end, so an element that never came out is lost.
pub const TURTLE_DRAINED: u32 = 1;

/// Operation of a history: the value was accepted; with TURTLE_PENDING: it may have been.
pub const TURTLE_OP_PUSH: u32 = 0;
/// Operation of a history: a push was refused because the queue was full.
pub const TURTLE_OP_PUSH_FULL: u32 = 1;
/// Operation of a history: a push was refused because a pop was halfway.
pub const TURTLE_OP_PUSH_BUSY: u32 = 2;
/// Operation of a history: a push was refused because the queue was closed.
pub const TURTLE_OP_PUSH_CLOSED: u32 = 3;
/// Operation of a history: a claim that was given up, or is still held. It may keep pops busy meanwhile.
pub const TURTLE_OP_PUSH_ABANDONED: u32 = 4;
/// Operation of a history: the value was taken.
pub const TURTLE_OP_POP: u32 = 5;
/// Operation of a history: the queue was empty.
pub const TURTLE_OP_POP_EMPTY: u32 = 6;
/// Operation of a history: a pop was refused because a push was halfway.
pub const TURTLE_OP_POP_BUSY: u32 = 7;
/// Operation of a history: the queue was closed and everything in it had been taken.
pub const TURTLE_OP_POP_CLOSED: u32 = 8;
/// Operation of a history: a pop of a thread or process that died: it may have taken one element or none.
pub const TURTLE_OP_POP_UNKNOWN: u32 = 9;
/// Operation of a history: the queue was closed.
pub const TURTLE_OP_CLOSE: u32 = 10;

/// Recorded calls of a queue, be it of this library or not. The command `turtle check` reads what turtle_history_write
/// wrote and says whether every answer was right, and if not, which few calls show it; docs/checking.md explains it.
///
/// Number the elements: each pushed value must be different.
#[derive(Debug)]
pub struct turtle_history {
    clock: AtomicU64,
    /// By thread, so that threads hardly ever wait for each other; within one the order counts.
    events: [Mutex<Vec<Event>>; LISTS],
}

const LISTS: usize = 64;

/// A poisoned lock only says that a panic stopped at the boundary; a list of events is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl turtle_history {
    fn all(&self) -> History {
        let mut events = Vec::new();
        for list in &self.events {
            events.extend_from_slice(&lock(list));
        }
        events.into()
    }
}

fn spec(capacity: usize, flags: u32) -> Result<Spec, Refused> {
    if flags & !TURTLE_DRAINED != 0 {
        return Err(invalid("flags are 0 or TURTLE_DRAINED"));
    }
    Ok(Spec {
        capacity: (capacity > 0).then_some(capacity),
        drained: flags & TURTLE_DRAINED != 0,
        ..Spec::default()
    })
}

/// The history behind a pointer.
///
/// # Safety
/// `history` is null, misaligned, or one that nobody frees during `'a`.
unsafe fn history<'a>(history: *const turtle_history) -> Result<&'a turtle_history, Refused> {
    if !usable(history) {
        return Err(invalid(
            "the turtle_history is null or misaligned; turtle_history_new makes one",
        ));
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { &*history })
}

/// The file that a text names.
///
/// # Safety
/// `path` is null or a text that ends with a NUL and lives during `'a`.
unsafe fn file_of<'a>(path: *const c_char) -> Result<&'a Path, Refused> {
    if path.is_null() {
        return Err(invalid("path is null; pass the name of a file to write"));
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    Ok(Path::new(OsStr::from_bytes(bytes)))
}

fn could_not(path: &Path, error: std::io::Error) -> Refused {
    refuse(TURTLE_ERR_IO, format!("{}: {error}", path.display()))
}

fn operation(op: u32, value: u64) -> Result<Op, Refused> {
    Ok(match op {
        TURTLE_OP_PUSH => Op::Push(value),
        TURTLE_OP_PUSH_FULL => Op::PushFull,
        TURTLE_OP_PUSH_BUSY => Op::PushBusy,
        TURTLE_OP_PUSH_CLOSED => Op::PushClosed,
        TURTLE_OP_PUSH_ABANDONED => Op::PushAbandoned,
        TURTLE_OP_POP => Op::Pop(value),
        TURTLE_OP_POP_EMPTY => Op::PopEmpty,
        TURTLE_OP_POP_BUSY => Op::PopBusy,
        TURTLE_OP_POP_CLOSED => Op::PopClosed,
        TURTLE_OP_POP_UNKNOWN => Op::PopUnknown,
        TURTLE_OP_CLOSE => Op::Close,
        _ => {
            return Err(invalid(
                "there is no such operation; op is one of TURTLE_OP_...",
            ));
        }
    })
}

/// Makes an empty history.
///
/// `*out` is written on success only. Returns TURTLE_OK or TURTLE_ERR_INVALID. Threads: any. Progress: allocates.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_history_new(out: *mut *mut turtle_history) -> turtle_status {
    guard(|| {
        if !usable(out) {
            return Err(invalid(
                "out is null or misaligned; pass the address of a variable",
            ));
        }
        let new = turtle_history {
            clock: AtomicU64::new(0),
            events: std::array::from_fn(|_| Mutex::default()),
        };
        // SAFETY: checked above.
        unsafe { out.write(Box::into_raw(Box::new(new))) };
        Ok(())
    })
}

/// Frees a history. Null is allowed.
///
/// Threads: one, when no other uses it any more. Progress: always returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_history_free(history: *mut turtle_history) {
    guard_or((), || {
        if usable(history) {
            // SAFETY: the caller's promise: made by turtle_history_new, used no more.
            drop(unsafe { Box::from_raw(history) });
        }
    });
}

/// Takes a stamp: one before a call of the queue, one after it.
///
/// Stamps of one history are all different, and their order is the order in time: a counter that all threads share. It
/// costs a full barrier, which may hide missing ones inside the queue. Any other clock that all threads share does, too
/// (nanoseconds, say); a coarse one loses findings and causes none.
/// Answers 0 for a null history. Threads: any. Progress: always returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_history_now(history: *mut turtle_history) -> u64 {
    guard_or(0, || {
        // SAFETY: the caller's promise.
        unsafe { self::history(history) }
            .map_or(0, |history| history.clock.fetch_add(1, SeqCst) + 1)
    })
}

/// Adds one call: which thread, what it did, between which two stamps.
///
/// `thread` is any number; `op` one of TURTLE_OP_...; `value` names the element of a push or pop and is not looked at
/// otherwise; `call` and `ret` are below 2^61, and `ret` is TURTLE_PENDING for a call that never returned. A call that
/// moves several elements is added once for each, in their order, with the same thread and stamps.
/// Returns TURTLE_OK or TURTLE_ERR_INVALID. Threads: any. Progress: may allocate, and wait for a thread that adds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_history_add(
    history: *mut turtle_history,
    thread: u32,
    op: u32,
    value: u64,
    call: u64,
    ret: u64,
) -> turtle_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let history = unsafe { self::history(history)? };
        let op = operation(op, value)?;
        if call >= 1 << 61 || (ret >= 1 << 61 && ret != PENDING) {
            return Err(invalid(
                "a stamp is 2^61 or more; count from the start of the run",
            ));
        }
        if ret < call {
            return Err(invalid(
                "ret is smaller than call: the return is before the call",
            ));
        }
        let pending = matches!(
            op,
            Op::Push(_) | Op::PushAbandoned | Op::Pop(_) | Op::PopUnknown | Op::Close
        );
        if ret == PENDING && !pending {
            return Err(invalid(
                "a call that never returned has no answer; a pop of this kind is TURTLE_OP_POP_UNKNOWN",
            ));
        }
        lock(&history.events[thread as usize % LISTS]).push(Event {
            thread: thread as usize,
            op,
            call,
            ret,
        });
        Ok(())
    })
}

/// Writes what was added so far as JSON lines, which the command `turtle check` reads.
///
/// The first line says what the queue is: its exact `capacity` (0: without a limit), and with TURTLE_DRAINED in `flags`
/// that everything was popped in the end. A file of that name is replaced.
/// Returns TURTLE_OK, TURTLE_ERR_INVALID or TURTLE_ERR_IO. Threads: any. Progress: writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_history_write(
    history: *const turtle_history,
    capacity: usize,
    flags: u32,
    path: *const c_char,
) -> turtle_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let (history, path) = unsafe { (self::history(history)?, file_of(path)?) };
        let (events, spec) = (history.all(), spec(capacity, flags)?);
        let write = || {
            let mut file = BufWriter::new(File::create(path)?);
            events.write_lines(&spec, &mut file)?;
            file.flush()
        };
        write().map_err(|error| could_not(path, error))
    })
}
