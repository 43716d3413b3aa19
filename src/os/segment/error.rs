//! What can go wrong with a segment, and what to do about it.

use std::fmt;
use std::io;

/// Why a segment was not created, opened or removed. `Display` says what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum SegmentError {
    /// There is one of this name.
    Exists,
    /// There is none of this name.
    NotFound,
    /// This user may not do that.
    Permission,
    /// Shared memory has no room for it. Nothing was left behind.
    NoSpace,
    /// The name breaks the rules; the text says which.
    Name(String),
    /// Something is there, and it is not a segment that this process should trust.
    Foreign(String),
    /// This system, or this argument, is not supported.
    Unsupported(String),
    /// Any other failure of the system.
    Io(io::Error),
}

impl fmt::Display for SegmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str(
                "a segment of this name exists: open it, choose another name, or unlink it first",
            ),
            Self::NotFound => {
                f.write_str("no segment of this name: create it first, or check the name")
            }
            Self::Permission => f.write_str(
                "permission denied: the segment belongs to another user; create it with a mode \
                 that lets this one in (such as 0660 and a common group)",
            ),
            Self::NoSpace => f.write_str(
                "no room in shared memory: remove unused segments, or make /dev/shm larger \
                 (mount -o remount,size=..., docker run --shm-size ...)",
            ),
            Self::Name(why) => write!(
                f,
                "bad segment name: {why}; use one slash and 1 to 250 bytes, such as \"/ticks\""
            ),
            Self::Foreign(what) => {
                write!(
                    f,
                    "not a usable segment: {what}; choose another name or remove it"
                )
            }
            Self::Unsupported(what) => write!(f, "not supported: {what}"),
            Self::Io(error) => write!(f, "system error: {error}"),
        }
    }
}

impl std::error::Error for SegmentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for SegmentError {
    /// Sorts the kernel's error numbers into the cases that a caller treats differently.
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EEXIST) => Self::Exists,
            Some(libc::ENOENT) => Self::NotFound,
            Some(libc::EACCES | libc::EPERM) => Self::Permission,
            Some(libc::ENOSPC | libc::EDQUOT) => Self::NoSpace,
            _ => Self::Io(error),
        }
    }
}

/// One row of `Segment::list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The name, with its slash.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether any live process is attached; a segment in use by nobody is stale.
    pub in_use: bool,
    /// Permission bits, such as 0o600.
    pub mode: u32,
    /// User number of the owner.
    pub owner: u32,
}

/// Checks the rules for names: one slash in front and no other, 1 to 250 bytes after it, no NUL.
pub(super) fn check_name(name: &str) -> Result<(), SegmentError> {
    let refuse = |why: &str| Err(SegmentError::Name(format!("{name:?} {why}")));
    let Some(rest) = name.strip_prefix('/') else {
        return refuse("has no slash in front");
    };
    match rest {
        "" => refuse("has nothing after the slash"),
        "." | ".." => refuse("is a directory"),
        _ if rest.contains('/') => refuse("has a second slash"),
        _ if rest.contains('\0') => refuse("contains a NUL byte"),
        _ if rest.len() > 250 => refuse("is longer than 250 bytes"),
        _ if rest.starts_with(TEMPORARY) => refuse("is reserved for segments that are being made"),
        _ if rest.starts_with(BELL) => refuse("is reserved for what event descriptors need"),
        _ => Ok(()),
    }
}

/// How the names of segments begin while they are being made.
pub(super) const TEMPORARY: &str = ".turtle-new-";
/// How the names of the FIFOs beside segments begin.
pub(super) const BELL: &str = ".turtle-bell-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_pass() {
        let longest = format!("/{}", "x".repeat(250));
        for name in [
            "/ticks",
            "/a",
            "/.hidden",
            "/with space",
            "/ünïcode",
            &longest,
        ] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn bad_names_are_refused_and_say_why() {
        let long = format!("/{}", "x".repeat(251));
        let (reserved, bell) = (format!("/{TEMPORARY}1"), format!("/{BELL}1"));
        let cases = [
            ("", "no slash"),
            ("ticks", "no slash"),
            ("/", "nothing after"),
            ("/a/b", "second slash"),
            ("//a", "second slash"),
            ("/a\0b", "NUL"),
            ("/.", "directory"),
            ("/..", "directory"),
            (&long, "250"),
            (&reserved, "reserved"),
            (&bell, "reserved"),
        ];
        for (name, why) in cases {
            let error = check_name(name).expect_err(name);
            assert!(matches!(error, SegmentError::Name(_)));
            assert!(error.to_string().contains(why), "{name:?}: {error}");
        }
    }
}
