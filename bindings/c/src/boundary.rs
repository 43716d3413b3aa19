//! The line between two languages: panics stop here, and failures leave a text.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::num::NonZeroI32;
use std::panic::{AssertUnwindSafe, catch_unwind};

use turtle_buffers::BuildError;
use turtle_buffers::erased::Outcome;

use crate::status::{TURTLE_ERR_INVALID, TURTLE_ERR_PANIC, of_build_error, turtle_status};

/// A status other than `TURTLE_OK`. For errors the text has been left.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) NonZeroI32);

pub(crate) type Answer = Result<(), Refused>;

/// Runs the body of an exported function.
#[inline(always)]
pub(crate) fn guard(body: impl FnOnce() -> Answer) -> turtle_status {
    guard_or(TURTLE_ERR_PANIC, || match body() {
        Ok(()) => 0,
        Err(Refused(status)) => status.get(),
    })
}

/// The same for functions that answer something else; `otherwise` after a panic.
#[inline(always)]
pub(crate) fn guard_or<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    // Nothing of a body survives it half-changed: the rings are shared by
    // threads that may be killed, which is worse than a panic.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(answer) => answer,
        Err(payload) => {
            panicked(payload);
            otherwise
        }
    }
}

#[cold]
#[inline(never)]
fn panicked(payload: Box<dyn Any + Send>) {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    leave_text(format!(
        "a bug in the library, please report it: panicked: {text}"
    ));
    // Dropping a payload could panic again, outside of any guard.
    std::mem::forget(payload);
}

/// An error with this number and text.
#[cold]
#[inline(never)]
pub(crate) fn refuse(status: turtle_status, text: impl Into<String>) -> Refused {
    leave_text(text.into());
    Refused(NonZeroI32::new(status).expect("an error is not TURTLE_OK"))
}

/// `TURTLE_ERR_INVALID` with a text that says what to do.
#[cold]
#[inline(never)]
pub(crate) fn invalid(text: &str) -> Refused {
    refuse(TURTLE_ERR_INVALID, text)
}

impl From<BuildError> for Refused {
    #[cold]
    fn from(error: BuildError) -> Self {
        refuse(of_build_error(&error), error.to_string())
    }
}

/// Translates an outcome; `explain` leaves the text of an error.
#[inline(always)]
pub(crate) fn answer(outcome: Outcome, explain: impl FnOnce(Outcome)) -> Answer {
    match NonZeroI32::new(outcome as i32) {
        None => Ok(()),
        Some(status) => {
            if status.get() < 0 {
                explain(outcome);
            }
            Err(Refused(status))
        }
    }
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

#[cold]
pub(crate) fn leave_text(text: String) {
    // A NUL inside (from a path) would end the text early; show it instead.
    let text = CString::new(text.replace('\0', "\\0")).unwrap_or_default();
    // A thread that is ending has nowhere to keep it, and nobody who reads it.
    let _ = LAST.try_with(|last| last.replace(text));
}

/// Tells what the last failed call of this thread found wrong, and what to do about it.
///
/// Only calls that answered a number below 0 leave a text; it stays until the next such call of the same thread,
/// and so does the pointer. Answers never null; an empty text when nothing has failed.
/// Threads: any, each has its own text. Progress: always returns.
#[unsafe(no_mangle)]
pub extern "C" fn turtle_last_error() -> *const c_char {
    let empty = c"".as_ptr();
    guard_or(empty, || {
        LAST.try_with(|last| last.borrow().as_ptr())
            .unwrap_or(empty)
    })
}

/// Whether a pointer may be read or written as a `T`.
#[inline(always)]
pub(crate) fn usable<T>(pointer: *const T) -> bool {
    !pointer.is_null() && pointer.is_aligned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn last_error() -> String {
        // SAFETY: a text that ends with a NUL and lives until the next failure.
        unsafe { CStr::from_ptr(turtle_last_error()) }
            .to_str()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn a_panic_becomes_a_status() {
        assert_eq!(guard(|| panic!("slot {} is gone", 7)), TURTLE_ERR_PANIC);
        assert!(
            last_error().ends_with("panicked: slot 7 is gone"),
            "{}",
            last_error()
        );
        assert_eq!(guard(|| panic!("static")), TURTLE_ERR_PANIC);
        assert!(last_error().ends_with("panicked: static"));
        assert!(!guard_or(false, || -> bool { panic!() }));
    }

    #[test]
    fn a_payload_that_panics_when_dropped_stops_here_too() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        assert_eq!(guard(|| std::panic::panic_any(Bomb)), TURTLE_ERR_PANIC);
        assert!(last_error().ends_with("no message"));
    }

    #[test]
    fn texts_belong_to_their_thread() {
        assert_eq!(guard(|| Err(invalid("mine"))), TURTLE_ERR_INVALID);
        let other = std::thread::spawn(last_error).join().unwrap();
        assert_eq!((last_error().as_str(), other.as_str()), ("mine", ""));
    }

    #[test]
    fn outcomes_leave_no_text_and_zeros_inside_are_shown() {
        leave_text("a\0b".into());
        let full = guard(|| answer(Outcome::Full, |_| panic!("explained an outcome")));
        assert_eq!(full, Outcome::Full as i32);
        assert_eq!(last_error(), "a\\0b");
    }

    #[test]
    fn errors_of_the_core_keep_their_numbers_and_texts() {
        use crate::status::*;
        let io = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let pairs = [
            (BuildError::Invalid("w".into()), TURTLE_ERR_INVALID),
            (BuildError::Unsupported("w".into()), TURTLE_ERR_UNSUPPORTED),
            (BuildError::NoMemory("w".into()), TURTLE_ERR_NOMEM),
            (BuildError::Exists("w".into()), TURTLE_ERR_EXISTS),
            (BuildError::NotFound("w".into()), TURTLE_ERR_NOT_FOUND),
            (BuildError::Mismatch("w".into()), TURTLE_ERR_MISMATCH),
            (BuildError::Corrupt("w".into()), TURTLE_ERR_CORRUPT),
            (BuildError::NoHandle("w".into()), TURTLE_ERR_NO_HANDLE),
            (BuildError::Io(io), TURTLE_ERR_IO),
        ];
        for (error, status) in pairs {
            let text = error.to_string();
            assert_eq!(guard(|| Err(error.into())), status);
            assert_eq!(last_error(), text);
        }
    }
}
