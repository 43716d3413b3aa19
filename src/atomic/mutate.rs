//! Generated mutants: any one step can be left out while the program runs.
//!
//! A store that is left out does not happen; an exchange loses its atomicity;
//! a fence is none; a re-check (marked with [`skip`] at its place) is taken to
//! have found nothing new. Active under `--cfg turtle_mutate` only; otherwise
//! [`skip`] is the constant `false`.

use super::Step;

/// The step that is left out, and how often it has been.
#[cfg(turtle_mutate)]
static LEFT_OUT: std::sync::Mutex<(Option<Step>, u64)> = std::sync::Mutex::new((None, 0));

/// Leaves `step` out from now on; `None` puts everything back.
#[cfg(turtle_mutate)]
pub fn leave_out(step: Option<Step>) {
    *LEFT_OUT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner) = (step, 0);
}

/// How often the step has been left out: a mutant that was never reached has
/// not been tested.
#[cfg(turtle_mutate)]
#[must_use]
pub fn times_left_out() -> u64 {
    LEFT_OUT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .1
}

/// Whether this step is the one left out.
#[cfg(turtle_mutate)]
#[must_use]
pub fn skip(step: Step) -> bool {
    let mut left_out = LEFT_OUT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let skipped = left_out.0 == Some(step);
    left_out.1 += u64::from(skipped);
    skipped
}

/// Whether this step is the one left out: never, in ordinary builds.
#[cfg(not(turtle_mutate))]
#[inline(always)]
#[must_use]
pub const fn skip(_: Step) -> bool {
    false
}
