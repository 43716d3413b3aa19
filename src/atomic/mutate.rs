//! Generated mutants: any one step can be left out while the program runs.
//!
//! A store that is left out does not happen; an exchange loses its atomicity;
//! a fence is none; a re-check (marked with [`skip`] at its place) is taken to
//! have found nothing new. Active under `--cfg turtle_mutate` only; otherwise
//! [`skip`] is the constant `false`.

use super::Step;

#[cfg(turtle_mutate)]
static LEFT_OUT: std::sync::Mutex<Option<Step>> = std::sync::Mutex::new(None);

/// Leaves `step` out from now on; `None` puts everything back.
#[cfg(turtle_mutate)]
pub fn leave_out(step: Option<Step>) {
    *LEFT_OUT.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = step;
}

/// Whether this step is the one left out.
#[cfg(turtle_mutate)]
pub fn skip(step: Step) -> bool {
    *LEFT_OUT.lock().unwrap_or_else(std::sync::PoisonError::into_inner) == Some(step)
}

/// Whether this step is the one left out: never, in ordinary builds.
#[cfg(not(turtle_mutate))]
#[inline(always)]
#[must_use]
pub const fn skip(_: Step) -> bool {
    false
}
