//! Threads: a cheap token, pinning, processor time.

use std::time::Duration;

pub use super::fork::{fork_generation, fork_guard};

/// A token of the calling thread, unique among the live threads of this process. Never 0.
///
/// Costs one register or thread-local read. Another thread may get the token again after this one
/// ended.
#[inline(always)]
#[must_use]
pub fn thread_token() -> usize {
    imp::token()
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod imp {
    #[inline(always)]
    pub(super) fn token() -> usize {
        let token: usize;
        // SAFETY: in the x86-64 ELF ABI the word at fs:0 is the thread's own control block address.
        // It never changes in a thread, so the read counts as pure and without memory effects.
        unsafe {
            core::arch::asm!(
                "mov {}, fs:0",
                out(reg) token,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        token
    }
}

#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
mod imp {
    #[inline(always)]
    pub(super) fn token() -> usize {
        let token: usize;
        // SAFETY: tpidr_el0 holds the thread pointer; reading it is always allowed.
        unsafe {
            core::arch::asm!(
                "mrs {}, tpidr_el0",
                out(reg) token,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        token
    }
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod imp {
    thread_local!(static PLACE: u8 = const { 0 });

    pub(super) fn token() -> usize {
        PLACE.with(|place| std::ptr::from_ref(place).addr())
    }
}

/// Lets the scheduler run somebody else.
#[inline]
pub fn yield_now() {
    std::thread::yield_now();
}

/// Enough bits for every processor number that Linux can be built for.
#[cfg(target_os = "linux")]
type CoreSet = [u64; 128];

/// Binds the calling thread to one processor. False: not allowed here, no such one, or no Linux.
pub fn pin_to_core(core: usize) -> bool {
    #[cfg(target_os = "linux")]
    {
        let mut set: CoreSet = [0; 128];
        let Some(word) = set.get_mut(core / 64) else {
            return false;
        };
        *word = 1 << (core % 64);
        // SAFETY: `set` is a live array of the length given; 0 means the calling thread.
        unsafe { libc::sched_setaffinity(0, size_of::<CoreSet>(), set.as_ptr().cast()) == 0 }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = core;
        false
    }
}

/// The processors the calling thread may run on, ascending. Never empty.
#[must_use]
pub fn allowed_cores() -> Vec<usize> {
    #[cfg(target_os = "linux")]
    {
        let mut set: CoreSet = [0; 128];
        // SAFETY: `set` is a live array of the length given; 0 means the calling thread.
        let rc =
            unsafe { libc::sched_getaffinity(0, size_of::<CoreSet>(), set.as_mut_ptr().cast()) };
        if rc == 0 {
            let allowed = |core: &usize| set[core / 64] >> (core % 64) & 1 == 1;
            let cores: Vec<usize> = (0..set.len() * 64).filter(allowed).collect();
            if !cores.is_empty() {
                return cores;
            }
        }
    }
    (0..std::thread::available_parallelism().map_or(1, usize::from)).collect()
}

/// Processor time that the calling thread has used.
#[must_use]
pub fn thread_cpu_time() -> Duration {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Processor time that all threads of this process have used.
#[must_use]
pub fn process_cpu_time() -> Duration {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn clock(which: libc::clockid_t) -> Duration {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is live and writable.
    let rc = unsafe { libc::clock_gettime(which, &raw mut now) };
    assert_eq!(
        rc, 0,
        "the processor time clocks exist everywhere this crate builds"
    );
    // The clocks start at 0 and nanoseconds stay below 10^9.
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::{Arc, Barrier};

    #[test]
    fn tokens_differ_between_live_threads_and_stay_the_same_in_one() {
        let all_alive = Arc::new(Barrier::new(8));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let all_alive = Arc::clone(&all_alive);
                std::thread::spawn(move || {
                    let token = thread_token();
                    all_alive.wait();
                    assert_eq!(token, thread_token());
                    token
                })
            })
            .collect();
        let tokens: HashSet<usize> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        assert_eq!(tokens.len(), 8);
        assert!(!tokens.contains(&0));
    }

    #[test]
    fn a_pinned_thread_may_use_that_processor_only() {
        // A thread of its own, so that the pin does not outlive the test.
        let pinned = std::thread::spawn(|| {
            let last = *allowed_cores().last().unwrap();
            pin_to_core(last).then(|| (last, allowed_cores()))
        });
        match pinned.join().unwrap() {
            Some((core, allowed)) => assert_eq!(allowed, [core]),
            None => println!("skipped: this system does not let a thread choose its processor"),
        }
        assert!(!pin_to_core(usize::MAX));
        assert!(!pin_to_core(8191), "no machine this runs on has that many");
    }

    #[test]
    fn work_costs_processor_time() {
        let before = (thread_cpu_time(), process_cpu_time());
        let mut sum = 0_u64;
        while thread_cpu_time() < before.0 + Duration::from_millis(2) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(process_cpu_time() > before.1);
    }
}
