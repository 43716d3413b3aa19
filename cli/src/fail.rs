//! How a subcommand fails: a sentence and an exit status.

use std::fmt;
use std::process::ExitCode;

use turtle_buffers::BuildError;
use turtle_buffers::os::segment::SegmentError;

/// Why a subcommand did not do what was asked.
#[derive(Debug)]
pub(crate) enum Fail {
    /// Status 1: the ring, the file or the system refused.
    Refused(String),
    /// Status 2: the arguments cannot be meant like that.
    Usage(String),
    /// Status 3: what is there is damaged, or no ring.
    Corrupt(String),
}

impl Fail {
    /// Refused, with what was being done: "reading x: no such file".
    pub(crate) fn doing(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self::Refused(format!("{what}: {error}"))
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Corrupt(_) => 3,
        })
    }

    pub(crate) fn opening(name: &str, error: &BuildError) -> Self {
        let text = error.to_string();
        let text = if text.contains(name) {
            text
        } else {
            format!("{name}: {text}")
        };
        match error {
            BuildError::Invalid(_) => Self::Usage(text),
            BuildError::Corrupt(_) | BuildError::Mismatch(_) => Self::Corrupt(text),
            _ => Self::Refused(text),
        }
    }

    pub(crate) fn segment(name: &str, error: &SegmentError) -> Self {
        let text = format!("{name}: {error}");
        match error {
            SegmentError::Name(_) => Self::Usage(text),
            SegmentError::Foreign(_) => Self::Corrupt(text),
            _ => Self::Refused(text),
        }
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(text) | Self::Usage(text) | Self::Corrupt(text) => f.write_str(text),
        }
    }
}
