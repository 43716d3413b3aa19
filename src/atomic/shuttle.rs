//! Shuttle backend: random and systematic schedules over larger sizes.
//! Shuttle treats every ordering as sequentially consistent.
#![allow(clippy::disallowed_types)] // shuttle's types need std's Ordering

use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::sync::{Condvar, Mutex};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

pub(super) use shuttle::sync::atomic::fence;

/// What is told of every access.
type Watcher = Rc<dyn Fn()>;

thread_local! {
    // All threads of a model are one thread of the system.
    static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
}

/// Calls `watcher` in each thread of the model before each of its accesses of
/// shared words: it may count them, or stop the thread there.
pub fn watch(watcher: Option<Watcher>) {
    WATCHER.set(watcher);
}

fn told() {
    let watcher = WATCHER.with_borrow(Clone::clone);
    if let Some(watcher) = watcher {
        watcher();
    }
}

#[derive(Debug)]
#[repr(transparent)]
pub(super) struct RawWord(AtomicU64);

impl RawWord {
    pub(super) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }
    pub(super) fn load(&self, order: Ordering) -> u64 {
        told();
        self.0.load(order)
    }
    pub(super) fn store(&self, value: u64, order: Ordering) {
        told();
        self.0.store(value, order);
    }
    pub(super) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        told();
        self.0.compare_exchange(current, new, success, failure)
    }
    pub(super) fn fetch_or(&self, bits: u64, order: Ordering) -> u64 {
        told();
        self.0.fetch_or(bits, order)
    }
    pub(super) fn fetch_add(&self, n: u64, order: Ordering) -> u64 {
        told();
        self.0.fetch_add(n, order)
    }
}

/// Marks accesses to a slot's payload; shuttle does not look for races on it.
#[derive(Debug, Default)]
pub struct Tracker;

impl Tracker {
    /// A tracker for a payload nobody accesses yet.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
    /// Runs `f`, which reads the payload.
    pub fn reading<R>(&self, f: impl FnOnce() -> R) -> R {
        f()
    }
    /// Runs `f`, which writes the payload (or moves it out).
    pub fn writing<R>(&self, f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// Waiters sleep at once in the model.
pub const SPINS: u32 = 0;
/// Waiters sleep at once in the model.
pub const YIELDS: u32 = 0;

/// Looks at a slot that a call in flight holds, before the last one.
pub const IN_FLIGHT_LOOKS: u32 = 1;

/// Slots of a ring of few elements whose slots need not be as many.
pub const LEAST_SLOTS: usize = 1;

/// One pause of a spinning thread: nothing to model.
pub fn pause() {}

/// Nothing to model.
pub fn prefetch_write(_at: *const u8) {}

/// Nothing to model.
pub fn prefetch_read(_at: *const u8) {}

/// Lets the scheduler run another thread.
pub fn yield_now() {
    shuttle::thread::yield_now();
}

/// Everything is sequentially consistent here.
pub fn light_barrier() {}

/// How a wait at a [`Gate`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateWait {
    /// Woken, or the gate had moved already: look again.
    Moved,
    /// The time was up; there is no clock here, so never.
    TimedOut,
    /// A signal handler ran; never here.
    Interrupted,
}

/// A place to sleep: a sequence and a count of sleepers under a lock, and a
/// condition variable.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<GateState>,
    moved: Condvar,
}

#[derive(Debug)]
struct GateState {
    sequence: u32,
    asleep: u32,
}

impl Gate {
    /// A gate nobody sleeps at.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: Mutex::new(GateState {
                sequence: 0,
                asleep: 0,
            }),
            moved: Condvar::new(),
        }
    }
    /// The sequence now.
    pub fn sequence(&self) -> u32 {
        self.state.lock().unwrap().sequence
    }
    /// Sleeps while the sequence is `seen`. There is no re-check after some
    /// time in the model: a lost wake-up is a deadlock, which is reported.
    pub fn wait(&self, seen: u32, _timeout: Duration, _shared: bool) -> GateWait {
        let mut state = self.state.lock().unwrap();
        if state.sequence == seen {
            state.asleep += 1;
            drop(self.moved.wait(state).unwrap());
        }
        GateWait::Moved
    }
    /// Moves the sequence on and wakes up to `n` sleepers; answers how many.
    pub fn open(&self, n: u32, _shared: bool) -> usize {
        let mut state = self.state.lock().unwrap();
        state.sequence = state.sequence.wrapping_add(1);
        let woken = state.asleep.min(n);
        state.asleep -= woken;
        for _ in 0..woken {
            self.moved.notify_one();
        }
        woken as usize
    }
    /// Always, in the model.
    pub fn has_heavy_barrier(_shared: bool) -> bool {
        true
    }
    /// The asymmetric barrier's expensive side.
    pub fn heavy_barrier(_shared: bool) -> bool {
        true
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
