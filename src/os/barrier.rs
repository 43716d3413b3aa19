//! The asymmetric barrier: the rare side runs a full fence on everybody, the frequent side runs
//! none.
//!
//! A sleeper stores "I sleep", calls [`heavy`], and looks at the ring again. A pusher publishes,
//! passes [`light`], and looks whether somebody sleeps. `heavy` makes every other thread execute
//! a full fence at some moment of the call: before that moment the sleeper sees the publication,
//! after it the pusher sees the sleeper. So the pusher needs no store-load fence of its own.
//!
//! On Linux this is `membarrier(2)`: *private expedited* within a process, *global expedited* for
//! rings that processes share. Global expedited reaches only processes that have called
//! [`register`]`(true)`, so a shared ring may rely on it only when every attached process got
//! `true`. Elsewhere `heavy` says `false`, and the caller sleeps in bounded slices instead.
//!
//! `TURTLE_NO_MEMBARRIER=1` in the environment, read once, forces that fallback.

// One cached word; no algorithm.
#![allow(clippy::disallowed_types)]

use std::sync::atomic::{Ordering, compiler_fence};

/// Makes this process reachable by [`heavy`] calls (its own, and with `shared` those of other
/// processes).
///
/// Returns whether the heavy side works. Idempotent and cheap when repeated; a forked child
/// registers anew.
pub fn register(shared: bool) -> bool {
    imp::register(shared)
}

/// The heavy side: on `true`, every other thread that may touch the ring has executed a full
/// fence since the call began.
///
/// That is every thread of this process, and with `shared` every thread of all registered
/// processes. The calling thread has executed one too. `false`: not available; the caller must
/// use a bounded sleep.
pub fn heavy(shared: bool) -> bool {
    imp::register(shared) && imp::fence_everybody(shared)
}

/// The light side: keeps the compiler from moving a load above a store, and costs no instruction.
#[inline(always)]
pub fn light() {
    compiler_fence(Ordering::SeqCst);
}

#[cfg(target_os = "linux")]
mod imp {
    use super::super::fork::{fork_generation, fork_guard};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Generation in the upper half; below it, for each kind, a bit "asked" and a bit "works".
    static STATE: AtomicU64 = AtomicU64::new(0);
    static DISABLED: OnceLock<bool> = OnceLock::new();

    fn bits(shared: bool) -> (u64, u64) {
        if shared {
            (0b0100, 0b1000)
        } else {
            (0b0001, 0b0010)
        }
    }

    pub(super) fn register(shared: bool) -> bool {
        let (asked, works) = bits(shared);
        let generation = u64::from(fork_generation()) << 32;
        // ORDER: relaxed: the word guards nothing; at worst the process registers twice.
        let mut state = STATE.load(Ordering::Relaxed);
        if state & !0xffff_ffff != generation {
            state = generation;
        }
        if state & asked == 0 {
            fork_guard();
            state |= asked | if ask(shared) { works } else { 0 };
            // Two threads may race here; each result is true of its own kind, and a lost bit asks
            // again.
            STATE.store(state, Ordering::Relaxed);
        }
        state & works != 0
    }

    fn ask(shared: bool) -> bool {
        if *DISABLED
            .get_or_init(|| std::env::var_os("TURTLE_NO_MEMBARRIER").is_some_and(|v| v == "1"))
        {
            return false;
        }
        membarrier(if shared {
            libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED
        } else {
            libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED
        })
    }

    pub(super) fn fence_everybody(shared: bool) -> bool {
        membarrier(if shared {
            libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED
        } else {
            libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED
        })
    }

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: membarrier takes numbers only and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    pub(super) fn register(_shared: bool) -> bool {
        false
    }

    pub(super) fn fence_everybody(_shared: bool) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registering_is_idempotent_and_heavy_agrees() {
        for shared in [false, true] {
            let first = register(shared);
            assert_eq!(register(shared), first);
            assert_eq!(heavy(shared), first);
            if !first {
                println!(
                    "skipped: no membarrier here (shared = {shared}); the fallback is bounded sleep"
                );
            }
        }
    }
}
