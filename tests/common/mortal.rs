//! Threads that die in the middle of a call, under loom.
//!
//! A profile is asked for the ordering of each access before it is made; this
//! one may unwind instead. What the call had done by then stays: to all others
//! the thread is one that was killed there.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;

use turtle_buffers::atomic::{Profile, Step, Weakened};

/// As [`Weakened`]; a thread may be told where to die.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mortal;

/// What a death unwinds with.
struct Death;

loom::thread_local! {
    /// The step that this thread dies before, and at which time it comes by.
    static FATE: Cell<Option<(Step, u32)>> = Cell::new(None);
}

impl Profile for Mortal {
    fn map(step: Step, written: Ordering) -> Ordering {
        let dies = FATE.with(|fate| match fate.get() {
            Some((at, 1)) if at == step => {
                fate.set(None);
                true
            }
            Some((at, times)) if at == step => {
                fate.set(Some((at, times - 1)));
                false
            }
            _ => false,
        });
        if dies {
            resume_unwind(Box::new(Death)); // no panic: nobody is to report it
        }
        Weakened::map(step, written)
    }
}

/// Runs `life`, which ends before this step the `times`th time it comes by:
/// whether it did.
#[must_use]
pub fn dies_before(step: Step, times: u32, life: impl FnOnce()) -> bool {
    FATE.with(|fate| fate.set(Some((step, times))));
    let end = catch_unwind(AssertUnwindSafe(life));
    FATE.with(|fate| fate.set(None));
    match end {
        Ok(()) => false,
        Err(death) if death.is::<Death>() => true,
        Err(other) => resume_unwind(other),
    }
}
