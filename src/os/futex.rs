//! Sleeping on a 32-bit word until somebody wakes the sleepers.
//!
//! Thin over `futex(2)`: the kernel compares the word and falls asleep in one step, so a wake
//! between the caller's check and its sleep is never lost. Every return may be spurious: callers
//! loop. Where there is no futex, the wait is a bounded row of yields.

// The futex word is shared with the kernel and perhaps with another process: it must be a plain
// standard atomic, not one of the atomics door's checked ones.
#![allow(clippy::disallowed_types)]

use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Why [`futex_wait`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FutexWait {
    /// Somebody woke the word, or nobody did and the kernel returned anyway.
    Woken,
    /// The word did not hold the expected value (or, on a bad address, could not be compared).
    Changed,
    /// The time was up first.
    TimedOut,
    /// A signal handler ran. The caller goes on with the time that remains.
    Interrupted,
}

/// Sleeps while `*word == expected`, at most `timeout` (`None`: without limit).
///
/// `shared` must be true when the word lies in memory that several processes map, and false waits
/// and true wakes do not meet: both sides pass the same value.
///
/// # Safety
/// `word` is valid and aligned for the whole call.
#[must_use]
pub unsafe fn futex_wait(
    word: *const AtomicU32,
    expected: u32,
    timeout: Option<Duration>,
    shared: bool,
) -> FutexWait {
    // SAFETY: passed on to the caller.
    unsafe { imp::wait(word, expected, timeout, shared) }
}

/// Wakes at most `n` sleepers of `word` and returns how many it woke.
///
/// # Safety
/// `word` is valid and aligned for the call. (The kernel only uses its address.)
pub unsafe fn futex_wake(word: *const AtomicU32, n: u32, shared: bool) -> usize {
    // SAFETY: passed on to the caller.
    unsafe { imp::wake(word, n, shared) }
}

#[cfg(target_os = "linux")]
mod imp {
    use super::{AtomicU32, Duration, FutexWait};
    use std::io;

    fn op(base: libc::c_int, shared: bool) -> libc::c_int {
        if shared {
            base
        } else {
            base | libc::FUTEX_PRIVATE_FLAG
        }
    }

    pub(super) unsafe fn wait(
        word: *const AtomicU32,
        expected: u32,
        timeout: Option<Duration>,
        shared: bool,
    ) -> FutexWait {
        let limit = timeout.map(|t| libc::timespec {
            // The kernel saturates; more than 2^63 seconds is "for ever" either way.
            tv_sec: i64::try_from(t.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(t.subsec_nanos()),
        });
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the caller keeps `word` valid; `limit` is null or points to a live timespec.
        let rc = unsafe {
            libc::syscall(
                libc::SYS_futex,
                word,
                op(libc::FUTEX_WAIT, shared),
                expected,
                limit,
            )
        };
        if rc == 0 {
            return FutexWait::Woken;
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::ETIMEDOUT) => FutexWait::TimedOut,
            Some(libc::EINTR) => FutexWait::Interrupted,
            _ => FutexWait::Changed,
        }
    }

    pub(super) unsafe fn wake(word: *const AtomicU32, n: u32, shared: bool) -> usize {
        let n = i32::try_from(n).unwrap_or(i32::MAX);
        // SAFETY: FUTEX_WAKE does not read the word; the caller keeps the address valid.
        let rc = unsafe { libc::syscall(libc::SYS_futex, word, op(libc::FUTEX_WAKE, shared), n) };
        usize::try_from(rc).unwrap_or(0)
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::{AtomicU32, Duration, FutexWait};
    use std::sync::atomic::Ordering;
    use std::time::Instant;

    /// Yields before the wait answers as if it had been woken; the caller checks and comes back.
    const YIELDS: u32 = 1000;

    pub(super) unsafe fn wait(
        word: *const AtomicU32,
        expected: u32,
        timeout: Option<Duration>,
        _shared: bool,
    ) -> FutexWait {
        let start = Instant::now();
        for _ in 0..YIELDS {
            // SAFETY: the caller keeps `word` valid for the call.
            if unsafe { (*word).load(Ordering::Acquire) } != expected {
                return FutexWait::Changed;
            }
            if timeout.is_some_and(|t| start.elapsed() >= t) {
                return FutexWait::TimedOut;
            }
            std::thread::yield_now();
        }
        FutexWait::Woken
    }

    pub(super) unsafe fn wake(_word: *const AtomicU32, _n: u32, _shared: bool) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_changed_word_does_not_sleep() {
        let word = AtomicU32::new(7);
        for shared in [false, true] {
            // SAFETY: `word` outlives the call.
            let answer = unsafe { futex_wait(&word, 8, None, shared) };
            assert_eq!(answer, FutexWait::Changed);
        }
    }

    #[test]
    fn a_timeout_is_kept_from_below() {
        let word = AtomicU32::new(7);
        let limit = Duration::from_millis(20);
        let start = Instant::now();
        loop {
            let rest = limit.saturating_sub(start.elapsed());
            // SAFETY: `word` outlives the call.
            match unsafe { futex_wait(&word, 7, Some(rest), false) } {
                FutexWait::TimedOut => break,
                FutexWait::Woken | FutexWait::Interrupted => {}
                FutexWait::Changed => panic!("the word never changes"),
            }
        }
        assert!(start.elapsed() >= limit);
    }

    #[test]
    fn a_huge_timeout_is_accepted() {
        let word = AtomicU32::new(7);
        // SAFETY: `word` outlives the call.
        let answer = unsafe { futex_wait(&word, 8, Some(Duration::MAX), false) };
        assert_eq!(answer, FutexWait::Changed);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_sleeper_is_woken_and_counted() {
        use std::sync::Arc;
        use std::sync::atomic::Ordering;
        let word = Arc::new(AtomicU32::new(0));
        let sleeper = {
            let word = Arc::clone(&word);
            std::thread::spawn(move || {
                while word.load(Ordering::Acquire) == 0 {
                    // SAFETY: the Arc keeps `word` alive.
                    let _ = unsafe { futex_wait(Arc::as_ptr(&word), 0, None, false) };
                }
            })
        };
        // The word keeps its value, so the sleeper goes back to sleep each time: once it sleeps,
        // a wake must find exactly one.
        let mut woken = 0;
        while woken == 0 {
            // SAFETY: as above.
            woken = unsafe { futex_wake(Arc::as_ptr(&word), 1, false) };
            std::thread::yield_now();
        }
        assert_eq!(woken, 1);
        word.store(1, Ordering::Release);
        // SAFETY: as above.
        unsafe { futex_wake(Arc::as_ptr(&word), u32::MAX, false) };
        sleeper.join().unwrap();
    }
}
