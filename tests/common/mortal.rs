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

/// Of a thread: a step, how often it has come by, and when it dies there.
#[derive(Clone, Copy)]
struct Fate {
    step: Step,
    times: u32,
    last: Option<u32>,
}

loom::thread_local! {
    static FATE: Cell<Option<Fate>> = Cell::new(None);
}

impl Profile for Mortal {
    fn map(step: Step, written: Ordering) -> Ordering {
        let dies = FATE.with(|fate| match fate.get() {
            Some(mut mine) if mine.step == step => {
                mine.times += 1;
                fate.set(Some(mine));
                mine.last == Some(mine.times)
            }
            _ => false,
        });
        if dies {
            resume_unwind(Box::new(Death)); // no panic: nobody is to report it
        }
        Weakened::map(step, written)
    }
}

/// Runs `life`, which ends before this step the `last`th time it comes by:
/// whether it did.
#[must_use]
pub fn dies_before(step: Step, last: u32, life: impl FnOnce()) -> bool {
    FATE.with(|fate| {
        fate.set(Some(Fate {
            step,
            times: 0,
            last: Some(last),
        }))
    });
    let end = catch_unwind(AssertUnwindSafe(life));
    FATE.with(|fate| fate.set(None));
    match end {
        Ok(()) => false,
        Err(death) if death.is::<Death>() => true,
        Err(other) => resume_unwind(other),
    }
}

/// Runs `life`, and tells how often it came by this step.
pub fn comes_by<R>(step: Step, life: impl FnOnce() -> R) -> (R, u32) {
    FATE.with(|fate| {
        fate.set(Some(Fate {
            step,
            times: 0,
            last: None,
        }))
    });
    let answer = life();
    let fate = FATE.with(Cell::take);
    (answer, fate.map_or(0, |fate| fate.times))
}
