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
        // Made before the threads are: its first use would order them.
        let _ = &*LIGHTS;
        Self {
            word: AtomicU64::new(value),
            shadow: AtomicU64::new(0),
        }
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

// SAFETY: loom checks every access against those of the other threads.
unsafe impl Sync for Tracker {}

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

/// Nothing to model.
pub fn prefetch_write(_at: *const u8) {}

/// Nothing to model.
pub fn prefetch_read(_at: *const u8) {}

/// Lets loom run another thread; loom ends a spin loop only through this.
pub fn yield_now() {
    loom::thread::yield_now();
}

/// Looks at a slot that a call in flight holds, before the last one. None
/// here: they only make the search larger.
pub const IN_FLIGHT_LOOKS: u32 = 0;

/// Slots of a ring of few elements whose slots need not be as many.
pub const LEAST_SLOTS: usize = 1;

/// One word a thread, for the asymmetric barrier.
struct Lights {
    words: [AtomicU64; loom::MAX_THREADS],
    next: std::sync::Mutex<usize>,
}

loom::lazy_static! {
    static ref LIGHTS: Lights = Lights {
        words: std::array::from_fn(|_| AtomicU64::new(0)),
        next: std::sync::Mutex::new(0),
    };
}

loom::thread_local! {
    static LIGHT: std::cell::Cell<Option<usize>> = std::cell::Cell::new(None);
}

/// The cheap side of the asymmetric barrier: a read-modify-write of the
/// thread's own word, which the expensive side accesses too.
///
/// Whichever comes second has seen all that came before the first: that is
/// what the barrier promises about the two sides. A fence here would promise
/// more, for it would make every later relaxed store of this thread publish
/// what came before; natively this side is no instruction at all.
pub fn light_barrier() {
    let me = LIGHT.with(|light| {
        light.get().unwrap_or_else(|| {
            let mut next = LIGHTS.next.lock().unwrap();
            let me = *next;
            *next += 1;
            light.set(Some(me));
            me
        })
    });
    LIGHTS.words[me].fetch_add(1, Ordering::AcqRel);
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
        for light in &LIGHTS.words {
            light.fetch_add(1, Ordering::AcqRel);
        }
        fence(Ordering::SeqCst);
        true
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
