//! Options: one struct for every strategy and every language.

use crate::error::BuildError;
use crate::strategy::Strategy;

/// What to do about a name that exists, or does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenMode {
    /// Attach to a ring of that name, or create it.
    #[default]
    CreateOrAttach,
    /// Create it; an existing one is an error.
    CreateNew,
    /// Attach to it; a missing one is an error.
    Attach,
}

/// How a ring is built or attached.
///
/// ```
/// use turtle_buffers::{Options, Strategy};
/// let options = Options { strategy: Some(Strategy::Spsc), capacity: 64, ..Options::default() };
/// assert_eq!(options.path, None); // private memory
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// The engine; `None` attaches to whatever is there, and creates the
    /// default one, `wait_free`.
    pub strategy: Option<Strategy>,
    /// Elements, at least 1. 0 when attaching means: whatever is there.
    pub capacity: usize,
    /// Bytes of an element (erased face only; the typed one takes it from `T`).
    pub elem_size: usize,
    /// Alignment of an element, 0 for 8 (erased face only).
    pub elem_align: usize,
    /// Each slot holds a length and up to `elem_size` bytes (erased face only).
    pub records: bool,
    /// `None`: private memory. `"/ticks"`: shared memory of that name.
    pub path: Option<String>,
    /// Create, attach, or either.
    pub open: OpenMode,
    /// Permission bits of a shared segment that is created.
    pub mode: u32,
    /// Participants of each side, for engines that keep a record of each: 1 to
    /// 65,536, or 0 for 64, or for whatever the ring that is there was built
    /// for. Others ignore it.
    pub max_threads: u32,
    /// Attempts that a call of such an engine makes before it lets others help;
    /// 0: it asks at once. `None`: what `TURTLE_PATIENCE` in the environment
    /// says, else the engine's choice. It is of this process, not of the ring:
    /// it makes calls faster or slower, never different.
    pub patience: Option<u32>,
}

/// The largest [`Options::max_threads`].
pub const MAX_THREADS: u32 = 1 << 16;

impl Options {
    /// The participants asked for; `None` for the default.
    pub(crate) fn participants(&self) -> Result<Option<usize>, BuildError> {
        if self.max_threads > MAX_THREADS {
            return Err(BuildError::Invalid(format!(
                "max_threads is {}; it must be 1 to {MAX_THREADS}, or 0 for the default",
                self.max_threads
            )));
        }
        Ok((self.max_threads != 0).then_some(self.max_threads as usize))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            strategy: None,
            capacity: 1024,
            elem_size: 8,
            elem_align: 0,
            records: false,
            path: None,
            open: OpenMode::default(),
            mode: 0o600,
            max_threads: 0,
            patience: None,
        }
    }
}
