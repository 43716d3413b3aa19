//! Door 1: shared memory.
//!
//! Algorithms touch shared words only through [`Word`], whose accesses take an
//! [`Order`] (an ordering and the name of the step) instead of a bare
//! ordering. One of four backends does the access: native, loom, shuttle or
//! cost (`docs/cost.md`), which counts what it would cost on many cores;
//! two layers sit above any of them, tracing and mutation, and compile to
//! nothing in ordinary builds. `tests/assembly.rs` compares the native code
//! with the same algorithm on plain `std` atomics.
//!
//! The glossary (acquire, release, publish, happens before) is
//! `docs/memory-model.md`.

#[cfg_attr(turtle_loom, path = "loom.rs")]
#[cfg_attr(shuttle, path = "shuttle.rs")]
#[cfg_attr(not(any(turtle_loom, shuttle)), path = "native.rs")]
#[cfg(not(turtle_cost))]
mod backend;
#[cfg(turtle_cost)]
pub mod cost;
#[cfg(turtle_cost)]
use cost as backend;
pub mod mutate;
mod order;
#[cfg(turtle_trace)]
pub mod trace;

#[cfg(shuttle)]
pub use backend::watch;
pub use backend::{
    Gate, GateWait, IN_FLIGHT_LOOKS, LEAST_SLOTS, SPINS, Tracker, YIELDS, light_barrier, pause,
    prefetch_read, prefetch_write, yield_now,
};
pub use order::{Order, Profile, Step, Strict, Tuned, Weakened};

use std::sync::atomic::Ordering;

/// A shared 64-bit word.
///
/// Any thread (and, in shared memory, any process) may access it at any time.
#[derive(Debug)]
#[repr(transparent)]
pub struct Word(backend::RawWord);

impl Word {
    /// A word holding `value`.
    #[must_use]
    pub fn new(value: u64) -> Self {
        Self(backend::RawWord::new(value))
    }

    /// Reads the word.
    #[inline(always)]
    pub fn load(&self, order: Order) -> u64 {
        #[cfg(turtle_cost)]
        cost::names(order.step);
        #[cfg(turtle_trace)]
        let _turn = trace::turn();
        let value = self.0.load(load_ordering(order.ordering));
        #[cfg(turtle_trace)]
        trace::access(order.step, "load", self, value, value, true);
        value
    }

    /// Writes the word.
    #[inline(always)]
    pub fn store(&self, value: u64, order: Order) {
        #[cfg(turtle_mutate)]
        if mutate::skip(order.step) {
            return;
        }
        #[cfg(turtle_cost)]
        cost::names(order.step);
        #[cfg(turtle_trace)]
        let _turn = trace::turn();
        self.0.store(value, store_ordering(order.ordering));
        #[cfg(turtle_trace)]
        trace::access(order.step, "store", self, value, value, true);
    }

    /// Writes `new` if the word holds `current`; otherwise answers what it
    /// holds. The failure ordering is relaxed, or sequentially consistent
    /// under [`Strict`].
    #[inline(always)]
    pub fn compare_exchange(&self, current: u64, new: u64, order: Order) -> Result<u64, u64> {
        #[cfg(turtle_mutate)]
        if mutate::skip(order.step) {
            return self.torn_compare_exchange(current, new);
        }
        #[cfg(turtle_cost)]
        cost::names(order.step);
        #[cfg(turtle_trace)]
        let _turn = trace::turn();
        let outcome = self.0.compare_exchange(
            current,
            new,
            order.ordering,
            failure_ordering(order.ordering),
        );
        #[cfg(turtle_trace)]
        {
            let (read, done) = match outcome {
                Ok(read) => (read, true),
                Err(read) => (read, false),
            };
            trace::access(order.step, "cas", self, read, new, done);
        }
        outcome
    }

    /// What is left of the exchange when its atomicity is taken away.
    #[cfg(turtle_mutate)]
    fn torn_compare_exchange(&self, current: u64, new: u64) -> Result<u64, u64> {
        let seen = self.0.load(Ordering::Relaxed);
        if seen != current {
            return Err(seen);
        }
        self.0.store(new, Ordering::Relaxed);
        Ok(seen)
    }

    /// Sets the bits of `bits`; answers the word as it was.
    #[inline(always)]
    pub fn fetch_or(&self, bits: u64, order: Order) -> u64 {
        #[cfg(turtle_mutate)]
        if mutate::skip(order.step) {
            return self.0.load(Ordering::Relaxed);
        }
        #[cfg(turtle_cost)]
        cost::names(order.step);
        #[cfg(turtle_trace)]
        let _turn = trace::turn();
        let was = self.0.fetch_or(bits, order.ordering);
        #[cfg(turtle_trace)]
        trace::access(order.step, "or", self, was, was | bits, true);
        was
    }

    /// Adds `n` (wrapping); answers the word as it was.
    #[inline(always)]
    pub fn fetch_add(&self, n: u64, order: Order) -> u64 {
        #[cfg(turtle_mutate)]
        if mutate::skip(order.step) {
            return self.0.load(Ordering::Relaxed);
        }
        #[cfg(turtle_cost)]
        cost::names(order.step);
        #[cfg(turtle_trace)]
        let _turn = trace::turn();
        let was = self.0.fetch_add(n, order.ordering);
        #[cfg(turtle_trace)]
        trace::access(order.step, "add", self, was, was.wrapping_add(n), true);
        was
    }
}

/// A fence that is a step of its own.
#[inline(always)]
pub fn fence(order: Order) {
    #[cfg(turtle_mutate)]
    if mutate::skip(order.step) {
        return;
    }
    if matches!(order.ordering, Ordering::Relaxed) {
        return; // a weakened fence is none
    }
    #[cfg(turtle_trace)]
    let _turn = trace::turn();
    backend::fence(order.ordering);
    #[cfg(turtle_trace)]
    trace::fence(order.step);
}

// A load has no release half and a store no acquire half; profiles may hand
// either a stronger ordering than the access can carry.
#[inline(always)]
const fn load_ordering(written: Ordering) -> Ordering {
    match written {
        Ordering::Release => Ordering::Relaxed,
        Ordering::AcqRel => Ordering::Acquire,
        other => other,
    }
}

#[inline(always)]
const fn store_ordering(written: Ordering) -> Ordering {
    match written {
        Ordering::Acquire => Ordering::Relaxed,
        Ordering::AcqRel => Ordering::Release,
        other => other,
    }
}

#[inline(always)]
const fn failure_ordering(written: Ordering) -> Ordering {
    match written {
        Ordering::SeqCst => Ordering::SeqCst,
        _ => Ordering::Relaxed,
    }
}

/// Puts `T` on cache lines of its own.
///
/// 128 bytes: x86-64 prefetches lines in pairs, so two neighbours share fate
/// (Intel optimisation manual, spatial prefetcher; the same constant as
/// crossbeam's `CachePadded`).
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Padded<T>(pub T);

impl<T> std::ops::Deref for Padded<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}
