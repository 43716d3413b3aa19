//! What calls answer.

use std::ffi::{c_char, c_int};

use turtle_buffers::BuildError;

/// How a call ended: 0 done, above 0 an outcome that a program meets every day, below 0 an error.
///
/// Later versions may answer numbers that this header does not list; the sign tells what they are.
pub type turtle_status = i32;

/// Done.
pub const TURTLE_OK: turtle_status = 0;
/// The ring held `capacity` elements at some moment of the call.
pub const TURTLE_FULL: turtle_status = 1;
/// The ring held no element at some moment of the call.
pub const TURTLE_EMPTY: turtle_status = 2;
/// Another call is halfway through the slot that comes next. Calls that wait go on waiting then.
pub const TURTLE_BUSY: turtle_status = 3;
/// The ring has been closed; for a pop: and everything in it was taken.
pub const TURTLE_CLOSED: turtle_status = 4;
/// The time is up. Never answered for a time of 0.
pub const TURTLE_TIMEOUT: turtle_status = 5;
/// turtle_interrupt ended the wait.
pub const TURTLE_INTERRUPTED: turtle_status = 6;

/// An argument that cannot be, or a private ring in a forked child.
pub const TURTLE_ERR_INVALID: turtle_status = -1;
/// No memory, or no room in shared memory.
pub const TURTLE_ERR_NOMEM: turtle_status = -2;
/// This build, strategy or machine cannot do it.
pub const TURTLE_ERR_UNSUPPORTED: turtle_status = -3;
/// The system refused: permissions, descriptors.
pub const TURTLE_ERR_IO: turtle_status = -4;
/// What has that name is no ring, or a damaged one.
pub const TURTLE_ERR_CORRUPT: turtle_status = -5;
/// Every producer (consumer) that the strategy or `max_threads` allows is out, perhaps on another thread; or a session.
pub const TURTLE_ERR_NO_HANDLE: turtle_status = -6;
/// A process that was needed has died.
pub const TURTLE_ERR_PEER_DIED: turtle_status = -7;
/// An earlier failure left the ring unusable.
pub const TURTLE_ERR_POISONED: turtle_status = -8;
/// A bug in the library: it panicked, and the panic stopped here. Please report it.
pub const TURTLE_ERR_PANIC: turtle_status = -9;
/// The ring of that name has another strategy, capacity or element.
pub const TURTLE_ERR_MISMATCH: turtle_status = -10;
/// There is no ring of that name.
pub const TURTLE_ERR_NOT_FOUND: turtle_status = -11;
/// There is a ring of that name already.
pub const TURTLE_ERR_EXISTS: turtle_status = -12;

/// Tells what a status means, in a few English words.
///
/// Answers never null; a text for numbers it does not know, too. The text is static.
/// Threads: any. Progress: always returns.
#[unsafe(no_mangle)]
pub extern "C" fn turtle_status_str(status: turtle_status) -> *const c_char {
    let text = match status {
        TURTLE_OK => c"done",
        TURTLE_FULL => c"the ring is full",
        TURTLE_EMPTY => c"the ring is empty",
        TURTLE_BUSY => c"another call is halfway through the next slot",
        TURTLE_CLOSED => c"the ring is closed",
        TURTLE_TIMEOUT => c"the time is up",
        TURTLE_INTERRUPTED => c"the wait was interrupted",
        TURTLE_ERR_INVALID => c"invalid argument",
        TURTLE_ERR_NOMEM => c"out of memory",
        TURTLE_ERR_UNSUPPORTED => c"not supported",
        TURTLE_ERR_IO => c"the system refused",
        TURTLE_ERR_CORRUPT => c"not a ring, or a damaged one",
        TURTLE_ERR_NO_HANDLE => c"every handle that the strategy allows is out",
        TURTLE_ERR_PEER_DIED => c"a process that was needed has died",
        TURTLE_ERR_POISONED => c"an earlier failure left the ring unusable",
        TURTLE_ERR_PANIC => c"a bug in the library",
        TURTLE_ERR_MISMATCH => c"the ring of that name is another one",
        TURTLE_ERR_NOT_FOUND => c"there is no ring of that name",
        TURTLE_ERR_EXISTS => c"there is a ring of that name already",
        _ => c"unknown status",
    };
    text.as_ptr()
}

/// The number of a failure to build, attach or get a handle.
pub(crate) fn of_build_error(error: &BuildError) -> turtle_status {
    match error {
        BuildError::Unsupported(_) => TURTLE_ERR_UNSUPPORTED,
        BuildError::NoMemory(_) => TURTLE_ERR_NOMEM,
        BuildError::Exists(_) => TURTLE_ERR_EXISTS,
        BuildError::NotFound(_) => TURTLE_ERR_NOT_FOUND,
        BuildError::Mismatch(_) => TURTLE_ERR_MISMATCH,
        BuildError::Corrupt(_) => TURTLE_ERR_CORRUPT,
        BuildError::NoHandle(_) => TURTLE_ERR_NO_HANDLE,
        BuildError::Io(_) => TURTLE_ERR_IO,
        // `Invalid`, and what later versions add before it gets a number here.
        _ => TURTLE_ERR_INVALID,
    }
}

const _: () = assert!(
    size_of::<turtle_status>() == size_of::<c_int>(),
    "FFIs without int32_t use int"
);

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;
    use turtle_buffers::erased::Outcome;

    #[test]
    fn outcomes_have_the_numbers_of_the_header() {
        let pairs = [
            (Outcome::Ok, TURTLE_OK),
            (Outcome::Full, TURTLE_FULL),
            (Outcome::Empty, TURTLE_EMPTY),
            (Outcome::Busy, TURTLE_BUSY),
            (Outcome::Closed, TURTLE_CLOSED),
            (Outcome::Timeout, TURTLE_TIMEOUT),
            (Outcome::Interrupted, TURTLE_INTERRUPTED),
            (Outcome::Invalid, TURTLE_ERR_INVALID),
            (Outcome::NoHandle, TURTLE_ERR_NO_HANDLE),
        ];
        for (outcome, status) in pairs {
            assert_eq!(outcome as i32, status);
        }
    }

    #[test]
    fn every_status_has_a_text_of_its_own() {
        let text = |status| {
            // SAFETY: static texts that end with a NUL.
            unsafe { CStr::from_ptr(turtle_status_str(status)) }.to_owned()
        };
        let texts: std::collections::HashSet<_> = (-12..=6).map(text).collect();
        assert_eq!(texts.len(), 19);
        for unknown in [-13, 7, i32::MIN, i32::MAX] {
            assert_eq!(text(unknown).as_c_str(), c"unknown status");
            assert!(!texts.contains(&text(unknown)));
        }
    }
}
