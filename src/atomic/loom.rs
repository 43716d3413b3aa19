//! Loom backend: model checking.
//!
//! Loom 0.7.3 forgets a load by one thread once another thread loads and then
//! stores the same atomic (tokio-rs/loom issues 166 and 392): every ring does
//! that, and bare loom passes wrong orderings after a single execution. Each
//! word therefore carries a shadow; a relaxed read-modify-write of it before
//! each access makes all accesses of one word depend on each other and adds no
//! happens-before edge. It repairs what is understood of the defect, and is no
//! proof that loom is now complete. `tests/model_loom.rs` checks the two-outcome case.
#![allow(clippy::disallowed_types)] // loom's types need std's Ordering

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Condvar, Mutex};
use std::time::Duration;

pub(super) use loom::sync::atomic::fence;

#[derive(Debug)]
pub(super) struct RawWord {
    word: AtomicU64,
    shadow: AtomicU64,
}

impl RawWord {
    pub(super) fn new(value: u64) -> Self {
        Self { word: AtomicU64::new(value), shadow: AtomicU64::new(0) }
    }
    fn touch(&self) {
        self.shadow.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) fn load(&self, order: Ordering) -> u64 {
        self.touch();
        self.word.load(order)
    }
    pub(super) fn store(&self, value: u64, order: Ordering) {
        self.touch();
        self.word.store(value, order);
    }
    pub(super) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.touch();
        self.word.compare_exchange(current, new, success, failure)
    }
    pub(super) fn fetch_or(&self, bits: u64, order: Ordering) -> u64 {
        self.touch();
        self.word.fetch_or(bits, order)
    }
    pub(super) fn fetch_add(&self, n: u64, order: Ordering) -> u64 {
        self.touch();
        self.word.fetch_add(n, order)
    }
}

/// Marks accesses to a slot's payload so that loom can see races on it.
#[derive(Debug)]
pub struct Tracker(loom::cell::UnsafeCell<()>);

impl Tracker {
    /// A tracker for a payload nobody accesses yet.
    #[must_use]
    pub fn new() -> Self {
        Self(loom::cell::UnsafeCell::new(()))
    }
    /// Runs `f`, which reads the payload.
    pub fn reading<R>(&self, f: impl FnOnce() -> R) -> R {
        self.0.with(|_| f())
    }
    /// Runs `f`, which writes the payload (or moves it out).
    pub fn writing<R>(&self, f: impl FnOnce() -> R) -> R {
        self.0.with_mut(|_| f())
    }
}

impl Default for Tracker {
    fn default() -> Self {
        Self::new()
    }
}

/// Waiters sleep at once in the model.
pub const SPINS: u32 = 0;
/// Waiters sleep at once in the model.
pub const YIELDS: u32 = 0;

/// One pause of a spinning thread: nothing to model.
pub fn pause() {}

/// Lets loom run another thread; loom ends a spin loop only through this.
pub fn yield_now() {
    loom::thread::yield_now();
}

/// Both sides of the asymmetric barrier are full fences in the model: what
/// the pair of them gives is the order of the two sides, which loom knows of
/// fences only.
pub fn light_barrier() {
    fence(Ordering::SeqCst);
}

/// How a wait at a [`Gate`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateWait {
    /// Woken, or the gate had moved already: look again.
    Moved,
    /// The time was up; the model has no clock, so never.
    TimedOut,
    /// A signal handler ran; never in the model.
    Interrupted,
}

/// A place to sleep: a sequence under a lock, and a condition variable.
#[derive(Debug)]
pub struct Gate {
    sequence: Mutex<u32>,
    moved: Condvar,
}

impl Gate {
    /// A gate nobody sleeps at.
    #[must_use]
    pub fn new() -> Self {
        Self { sequence: Mutex::new(0), moved: Condvar::new() }
    }
    /// The sequence now.
    pub fn sequence(&self) -> u32 {
        *self.sequence.lock().unwrap()
    }
    /// Sleeps while the sequence is `seen`. There is no re-check after some
    /// time in the model: a lost wake-up is a deadlock, which loom reports.
    pub fn wait(&self, seen: u32, _timeout: Duration, _shared: bool) -> GateWait {
        let mut sequence = self.sequence.lock().unwrap();
        while *sequence == seen {
            sequence = self.moved.wait(sequence).unwrap();
        }
        GateWait::Moved
    }
    /// Moves the sequence on and wakes the sleepers; answers 1, for how many
    /// really slept is not known here (one sleeper in the models).
    pub fn open(&self, _n: u32, _shared: bool) -> usize {
        let mut sequence = self.sequence.lock().unwrap();
        *sequence = sequence.wrapping_add(1);
        self.moved.notify_all();
        1
    }
    /// Always, in the model.
    pub fn has_heavy_barrier(_shared: bool) -> bool {
        true
    }
    /// The asymmetric barrier's expensive side.
    pub fn heavy_barrier(_shared: bool) -> bool {
        fence(Ordering::SeqCst);
        true
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
