//! Cost backend: the engines on simulated cores, under `--cfg turtle_cost`.
//!
//! Inside a [`Simulation`] every access to a shared word, every access to a
//! payload and every prefetch passes through a directory of cache lines that
//! knows who holds which line in which state (MESI). It says whether the line
//! must move, and what that costs; each core has a clock of its own, and the
//! core that is furthest behind goes next. So what is counted (lines moved,
//! read-modify-writes, accesses a call) and the simulated time do not depend on
//! the machine or its load: the same seed gives the same numbers. Other
//! schedules look for bad luck instead of a duration ([`Schedule`]).
//!
//! Outside of a simulation the words are the native backend's.
//!
//! The words lie where they lie in what ships: a word is 8 bytes, a [`Tracker`]
//! has no size, and real addresses decide who shares a line. Values are read
//! and written in the order in which the cores go: sequentially consistent.
//!
//! # Numbers
//!
//! [`Model::REFERENCE`] is calibrated with single measurements on the reference
//! machine (2 cores, Sapphire-Rapids-class Xeon at 3.6 GHz, 2026-11-23). Where
//! no measurement gives a number directly, it is chosen so that the cases in
//! `tests/cost.rs` come to what was measured; `docs/cost.md` has both.
//!
//! | number | ns | from |
//! |---|---|---|
//! | hit | 0.3 | a load of 16 bytes 0.28, a dependent add 0.28 |
//! | read-modify-write, own line | 5 | lock xadd 5.07, lock cmpxchg 5.39, xchg 4.80 |
//! | transfer + hold | 55 + 15 | round trip of one line 139: two of each |
//! | hold | 15 | two cores adding to one word: 22.6 an addition, so 3 a visit |
//! | upgrade | 55 | a guess: the trip is the transfer's |
//! | fence | 12 | a store and mfence 12.8 |
//! | pause | 11 | 11.0 |
//! | yield | 180 | sched_yield 180 |
//! | memory | 100 | a guess; paid once a line |
//! | wake | 5,000 | a guess; sleepers are not what is measured here |
//! | written lines move whole (migratory) | yes | a round trip of two lines takes 300, of one 139; and one line takes the same polled by loads and by exchanges |
//!
//! # What it is not
//!
//! Not a processor: a core waits for each load (hardware overlaps independent
//! ones), no instruction but an access costs anything, caches are infinite, the
//! distance between any two cores is the same, and a payload counts as the line
//! it begins in. The peeking of a conditional pop is not seen at all.
#![allow(clippy::disallowed_types)] // the native backend's words

mod machine;
mod model;
// The native side, of which this one uses what it does not count itself.
#[path = "native.rs"]
#[allow(dead_code, unreachable_pub)] // pub where it is the door, which here it is not
mod native;
mod report;
mod schedule;

pub use machine::{Core, Simulation};
pub use model::{Found, Kind, MOST_CORES, Model, NS, Time};
pub use report::{Calls, Counts, Done, Report};
pub use schedule::{Schedule, Turn, Until, VICTIM};

pub use native::{GateWait, IN_FLIGHT_LOOKS, LEAST_SLOTS, SPINS, YIELDS};

use std::sync::atomic::Ordering;
use std::time::Duration;

use machine::{What, access, give_way, simulated};

/// Names the step of the next access.
pub(super) fn names(step: super::Step) {
    simulated(|machine| machine.step(step.name()));
}

/// The core that runs, in a simulation.
#[cfg(turtle_trace)]
pub(super) fn core() -> Option<u32> {
    simulated(|machine| machine.core())
}

pub(super) fn fence(order: Ordering) {
    if order == Ordering::SeqCst {
        simulated(|machine| machine.fences());
    }
    native::fence(order);
}

#[derive(Debug)]
#[repr(transparent)]
pub(super) struct RawWord(native::RawWord);

impl RawWord {
    pub(super) fn new(value: u64) -> Self {
        Self(native::RawWord::new(value))
    }
    fn access(&self, kind: Kind) {
        access(std::ptr::from_ref(self) as usize, kind, What::Word);
    }
    pub(super) fn load(&self, order: Ordering) -> u64 {
        self.access(Kind::Load);
        self.0.load(order)
    }
    pub(super) fn store(&self, value: u64, order: Ordering) {
        // On x86-64 a sequentially consistent store is an exchange.
        self.access(match order {
            Ordering::SeqCst => Kind::Rmw,
            _ => Kind::Store,
        });
        self.0.store(value, order);
    }
    pub(super) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.access(Kind::Rmw);
        self.0.compare_exchange(current, new, success, failure)
    }
    pub(super) fn fetch_or(&self, bits: u64, order: Ordering) -> u64 {
        self.access(Kind::Rmw);
        self.0.fetch_or(bits, order)
    }
    pub(super) fn fetch_add(&self, n: u64, order: Ordering) -> u64 {
        self.access(Kind::Rmw);
        self.0.fetch_add(n, order)
    }
}

/// Marks accesses to a slot's payload. It has no size, so that words and
/// payloads lie where they lie natively; its place is its payload's.
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
        access(std::ptr::from_ref(self) as usize, Kind::Load, What::Payload);
        f()
    }
    /// Runs `f`, which writes the payload (or moves it out).
    pub fn writing<R>(&self, f: impl FnOnce() -> R) -> R {
        access(
            std::ptr::from_ref(self) as usize,
            Kind::Store,
            What::Payload,
        );
        f()
    }
}

/// One pause of a spinning thread.
pub fn pause() {
    if simulated(|machine| machine.pauses()).is_none() {
        native::pause();
    }
}

/// Asks for the line of `at` in a state that can be written, without waiting.
pub fn prefetch_write(at: *const u8) {
    access(at as usize, Kind::Store, What::Ahead);
}

/// Asks for the line of `at` to be read, without waiting.
pub fn prefetch_read(at: *const u8) {
    access(at as usize, Kind::Load, What::Ahead);
}

/// Lets another runnable thread go first.
pub fn yield_now() {
    if simulated(|machine| machine.yields()).is_none() {
        native::yield_now();
    }
}

/// The cheap side of the asymmetric barrier: free.
pub fn light_barrier() {
    native::light_barrier();
}

/// A place to sleep: the native one; in a simulation a sleeper looks again
/// each time that a wake-up would take.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Gate(native::Gate);

impl Gate {
    /// A gate nobody sleeps at.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// The sequence now.
    pub fn sequence(&self) -> u32 {
        self.0.sequence()
    }
    /// Sleeps while the sequence is `seen`, `timeout` at the longest.
    pub fn wait(&self, seen: u32, timeout: Duration, shared: bool) -> GateWait {
        let mut left =
            u64::try_from(timeout.as_nanos()).map_or(u64::MAX, |ns| ns.saturating_mul(NS));
        while let Some(slept) = simulated(|machine| machine.sleeps()) {
            give_way();
            if self.sequence() != seen {
                return GateWait::Moved;
            }
            left = left.saturating_sub(slept);
            if left == 0 {
                return GateWait::TimedOut;
            }
        }
        self.0.wait(seen, timeout, shared)
    }
    /// Moves the sequence on and wakes up to `n` sleepers; answers how many.
    pub fn open(&self, n: u32, shared: bool) -> usize {
        self.0.open(n, shared)
    }
    /// Whether this process can use the asymmetric barrier (registers it).
    pub fn has_heavy_barrier(shared: bool) -> bool {
        native::Gate::has_heavy_barrier(shared)
    }
    /// The asymmetric barrier's expensive side; `false` where there is none.
    pub fn heavy_barrier(shared: bool) -> bool {
        native::Gate::heavy_barrier(shared)
    }
}
