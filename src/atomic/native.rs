//! Native backend: `std` atomics and the system's futex.
#![allow(clippy::disallowed_types)] // the one place where shared words are std atomics

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::os;

pub(super) use std::sync::atomic::fence;

#[derive(Debug)]
#[repr(transparent)]
pub(super) struct RawWord(AtomicU64);

impl RawWord {
    pub(super) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }
    #[inline(always)]
    pub(super) fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }
    #[inline(always)]
    pub(super) fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
    }
    #[inline(always)]
    pub(super) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.0.compare_exchange(current, new, success, failure)
    }
    #[inline(always)]
    pub(super) fn fetch_or(&self, bits: u64, order: Ordering) -> u64 {
        self.0.fetch_or(bits, order)
    }
    #[inline(always)]
    pub(super) fn fetch_add(&self, n: u64, order: Ordering) -> u64 {
        self.0.fetch_add(n, order)
    }
}

/// Marks accesses to a slot's payload so that loom can see races on it.
/// Natively it has no size and costs nothing.
#[derive(Debug, Default)]
pub struct Tracker;

impl Tracker {
    /// A tracker for a payload nobody accesses yet.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
    /// Runs `f`, which reads the payload.
    #[inline(always)]
    pub fn reading<R>(&self, f: impl FnOnce() -> R) -> R {
        f()
    }
    /// Runs `f`, which writes the payload (or moves it out).
    #[inline(always)]
    pub fn writing<R>(&self, f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// Rounds of spinning before a waiter yields, each twice as long as the one
/// before: 127 pauses in all, about a microsecond.
pub const SPINS: u32 = 7;
/// Yields before a waiter sleeps.
pub const YIELDS: u32 = 4;

/// Looks at a slot that a call in flight holds, before the last one.
pub const IN_FLIGHT_LOOKS: u32 = 4;

/// Slots of a ring of few elements whose slots need not be as many.
pub const LEAST_SLOTS: usize = 1;

/// One pause of a spinning thread.
#[inline(always)]
pub fn pause() {
    std::hint::spin_loop();
}

/// Asks for the line of `at` in a state that can be written, without waiting.
/// Any address will do: nothing is accessed.
#[inline(always)]
pub fn prefetch_write(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults; processors without `prefetchw` in
    // 64-bit mode treat it as a no-operation (Intel SDM, PREFETCHW).
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a prefetch never faults.
    unsafe {
        std::arch::asm!("prfm pstl1keep, [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = at;
}

/// Asks for the line of `at` to be read, without waiting. As `prefetch_write`,
/// any address will do.
#[inline(always)]
pub fn prefetch_read(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults.
    unsafe {
        std::arch::asm!("prefetcht0 [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a prefetch never faults.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = at;
}

/// Lets another runnable thread go first.
pub fn yield_now() {
    std::thread::yield_now();
}

/// The cheap side of the asymmetric barrier: keeps the compiler from moving
/// the load of a waiters word before the store that published an item.
#[inline(always)]
pub fn light_barrier() {
    os::barrier::light();
}

/// How a wait at a [`Gate`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateWait {
    /// Woken, or the gate had moved already: look again.
    Moved,
    /// The time was up.
    TimedOut,
    /// A signal handler ran: look again with the time that is left.
    Interrupted,
}

/// A place to sleep: a sequence that only grows, and a futex on it.
#[derive(Debug)]
#[repr(C)]
pub struct Gate {
    sequence: AtomicU32,
    _reserved: u32,
}

impl Gate {
    /// A gate nobody sleeps at.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sequence: AtomicU32::new(0),
            _reserved: 0,
        }
    }

    /// The sequence now. Read it before the last look at what is waited for.
    #[inline]
    pub fn sequence(&self) -> u32 {
        self.sequence.load(Ordering::SeqCst)
    }

    /// Sleeps while the sequence is `seen`, `timeout` at the longest.
    pub fn wait(&self, seen: u32, timeout: Duration, shared: bool) -> GateWait {
        use os::futex::FutexWait;
        // SAFETY: the word lives as long as `self`.
        match unsafe {
            os::futex::futex_wait(&raw const self.sequence, seen, Some(timeout), shared)
        } {
            FutexWait::Woken | FutexWait::Changed => GateWait::Moved,
            FutexWait::TimedOut => GateWait::TimedOut,
            FutexWait::Interrupted => GateWait::Interrupted,
        }
    }

    /// Moves the sequence on and wakes up to `n` sleepers; answers how many.
    pub fn open(&self, n: u32, shared: bool) -> usize {
        self.sequence.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the word lives as long as `self`.
        unsafe { os::futex::futex_wake(&raw const self.sequence, n, shared) }
    }

    /// Whether this process can use the asymmetric barrier (registers it).
    pub fn has_heavy_barrier(shared: bool) -> bool {
        os::barrier::register(shared)
    }

    /// The asymmetric barrier's expensive side; `false` where there is none.
    pub fn heavy_barrier(shared: bool) -> bool {
        os::barrier::heavy(shared)
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
