//! Errors: small enums that give the value back and say whose turn it is.

use std::fmt;

use crate::os::segment::SegmentError;
use crate::strategy::{PopRefusal, PushRefusal};

/// Why a ring could not be built, attached or given a handle.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// An argument is out of range; the text says which and what would do.
    Invalid(String),
    /// This machine, platform or strategy cannot do what was asked.
    Unsupported(String),
    /// No memory.
    NoMemory(String),
    /// The name exists already and `exclusive` was asked for.
    Exists(String),
    /// There is no ring of that name.
    NotFound(String),
    /// The ring of that name has another geometry; both sides are named.
    Mismatch(String),
    /// What has that name is no ring of this library, or a damaged one.
    Corrupt(String),
    /// Every handle that the strategy allows is out.
    NoHandle(String),
    /// The system refused.
    Io(std::io::Error),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(text)
            | Self::Unsupported(text)
            | Self::NoMemory(text)
            | Self::Exists(text)
            | Self::NotFound(text)
            | Self::Mismatch(text)
            | Self::Corrupt(text)
            | Self::NoHandle(text) => f.write_str(text),
            Self::Io(error) => write!(f, "the system refused: {error}"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<SegmentError> for BuildError {
    fn from(error: SegmentError) -> Self {
        let text = error.to_string();
        match error {
            SegmentError::Exists => Self::Exists(text),
            SegmentError::NotFound => Self::NotFound(text),
            SegmentError::NoSpace => Self::NoMemory(text),
            SegmentError::Name(_) => Self::Invalid(text),
            SegmentError::Foreign(_) => Self::Corrupt(text),
            SegmentError::Unsupported(_) => Self::Unsupported(text),
            SegmentError::Permission => Self::Io(std::io::Error::new(
                std::io::ErrorKind::PermissionDenied,
                text,
            )),
            SegmentError::Io(error) => Self::Io(error),
        }
    }
}

/// Why `try_push` did not push. The value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryPushError<T> {
    /// The ring held `capacity` elements at some moment during the call.
    Full(T),
    /// Another call is halfway through the slot that comes next.
    Busy(T),
    /// The ring has been closed.
    Closed(T),
}

impl<T> TryPushError<T> {
    pub(crate) fn new(why: PushRefusal, value: T) -> Self {
        match why {
            PushRefusal::Full => Self::Full(value),
            PushRefusal::Busy => Self::Busy(value),
            PushRefusal::Closed => Self::Closed(value),
            PushRefusal::Lent => unreachable!("this face holds the lease itself"),
        }
    }

    /// The value that was not pushed.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Busy(value) | Self::Closed(value) => value,
        }
    }
}

/// Why a blocking push did not push. The value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PushError<T> {
    /// The ring is full and the time allowed was zero.
    Full(T),
    /// Another call is halfway and the time allowed was zero.
    Busy(T),
    /// The ring has been closed.
    Closed(T),
    /// The time is up.
    Timeout(T),
    /// `interrupt` ended the wait.
    Interrupted(T),
}

impl<T> PushError<T> {
    /// The value that was not pushed.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value)
            | Self::Busy(value)
            | Self::Closed(value)
            | Self::Timeout(value)
            | Self::Interrupted(value) => value,
        }
    }
}

impl<T> From<TryPushError<T>> for PushError<T> {
    fn from(error: TryPushError<T>) -> Self {
        match error {
            TryPushError::Full(value) => Self::Full(value),
            TryPushError::Busy(value) => Self::Busy(value),
            TryPushError::Closed(value) => Self::Closed(value),
        }
    }
}

/// Why `try_pop` answered nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryPopError {
    /// The ring was empty at some moment during the call.
    Empty,
    /// Another call is halfway through the slot that comes next.
    Busy,
    /// The ring has been closed and everything in it was taken.
    Closed,
}

impl From<PopRefusal> for TryPopError {
    fn from(why: PopRefusal) -> Self {
        match why {
            PopRefusal::Empty => Self::Empty,
            PopRefusal::Busy => Self::Busy,
            PopRefusal::Closed => Self::Closed,
            PopRefusal::Lent => unreachable!("this face holds the lease itself"),
        }
    }
}

/// Why a blocking pop answered nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PopError {
    /// The ring is empty and the time allowed was zero.
    Empty,
    /// Another call is halfway and the time allowed was zero.
    Busy,
    /// The ring has been closed and everything in it was taken.
    Closed,
    /// The time is up.
    Timeout,
    /// `interrupt` ended the wait.
    Interrupted,
}

impl From<TryPopError> for PopError {
    fn from(why: TryPopError) -> Self {
        match why {
            TryPopError::Empty => Self::Empty,
            TryPopError::Busy => Self::Busy,
            TryPopError::Closed => Self::Closed,
        }
    }
}

const FULL: &str = "the ring is full";
const EMPTY: &str = "the ring is empty";
const BUSY: &str = "another call is halfway through the next slot";
const CLOSED: &str = "the ring is closed";
const TIMEOUT: &str = "the time is up";
const INTERRUPTED: &str = "the wait was interrupted";

impl<T> TryPushError<T> {
    fn text(&self) -> &'static str {
        match self {
            Self::Full(_) => FULL,
            Self::Busy(_) => BUSY,
            Self::Closed(_) => CLOSED,
        }
    }
}

impl<T> PushError<T> {
    fn text(&self) -> &'static str {
        match self {
            Self::Full(_) => FULL,
            Self::Busy(_) => BUSY,
            Self::Closed(_) => CLOSED,
            Self::Timeout(_) => TIMEOUT,
            Self::Interrupted(_) => INTERRUPTED,
        }
    }
}

// The value may not be printable: only the reason is shown.
macro_rules! show_reason {
    ($($name:ident),+) => {$(
        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.text())
            }
        }
        impl<T> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.text())
            }
        }
        impl<T> std::error::Error for $name<T> {}
    )+};
}
show_reason!(TryPushError, PushError);

impl fmt::Display for TryPopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => EMPTY,
            Self::Busy => BUSY,
            Self::Closed => CLOSED,
        })
    }
}
impl std::error::Error for TryPopError {}

impl fmt::Display for PopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => EMPTY,
            Self::Busy => BUSY,
            Self::Closed => CLOSED,
            Self::Timeout => TIMEOUT,
            Self::Interrupted => INTERRUPTED,
        })
    }
}
impl std::error::Error for PopError {}
