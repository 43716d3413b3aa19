//! Where the measured call begins and ends.
//!
//! Two functions that are never inlined: the tracer knows their addresses.

use std::arch::asm;

/// The instruction after this call is boundary 0.
#[inline(never)]
pub(crate) extern "C" fn begins() {
    // Assembly is neither removed nor moved across other memory accesses, and
    // two different bodies are not made one function.
    // SAFETY: does nothing.
    unsafe { asm!("nop", options(nostack, preserves_flags)) };
}

/// The first instruction of this is the last boundary.
#[inline(never)]
pub(crate) extern "C" fn ends() {
    // SAFETY: does nothing.
    unsafe { asm!("nop", "nop", options(nostack, preserves_flags)) };
}

/// Runs `call` between the two.
#[inline(always)]
pub(crate) fn measured<R>(call: impl FnOnce() -> R) -> R {
    begins();
    let answer = call();
    ends();
    answer
}

/// The addresses of the two.
pub(crate) fn addresses() -> (u64, u64) {
    (begins as *const () as u64, ends as *const () as u64)
}

/// Hands the thread over to the tracer: it stops here, and goes on when told.
/// One system call and no other. The arguments are the caller's numbers.
pub(crate) fn hand_over(process: libc::pid_t, thread: libc::pid_t) {
    // SAFETY: a signal to this very thread; the tracer takes it away.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, crate::tracee::HAND_OVER) };
}
