//! What several test programs share: names that are removed again, processes to talk to, random
//! numbers, and waiting for conditions without sleeping.
#![allow(dead_code)] // each test program uses a part of it

use std::time::{Duration, Instant};

pub(crate) mod executor;
#[cfg(target_os = "linux")]
pub(crate) mod peer;

/// Longer than anything takes on a loaded machine; only a hang gets here.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Yields until `condition` holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LONG, "{what}: not within {LONG:?}");
        std::thread::yield_now();
    }
}

/// Runs `body` on a thread of its own and panics if it hangs.
#[track_caller]
pub(crate) fn finishes<R: Send + 'static>(
    what: &str,
    body: impl FnOnce() -> R + Send + 'static,
) -> R {
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let result = body();
        let _ = tell.send(());
        result
    });
    match told.recv_timeout(LONG) {
        Ok(()) | Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        },
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("{what}: hangs"),
    }
}

/// Small, fast and reproducible: G. Marsaglia, "Xorshift RNGs", 2003.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub(crate) fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    /// Below `n`, which is at least 1.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.word()) * n as u128) >> 64) as usize
    }
    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

thread_local! {
    static PATIENCE: std::cell::Cell<Option<u32>> = const { std::cell::Cell::new(None) };
}

/// Sets how often calls of an engine that is helped try alone, in the rings
/// that this thread makes from now on; 0: every call is announced.
pub(crate) fn set_patience(patience: Option<u32>) {
    PATIENCE.set(patience);
}

/// A ring of that patience.
pub(crate) fn ring<T: Send, S: turtle_buffers::strategy::Engine>(
    capacity: usize,
) -> turtle_buffers::Ring<T, S> {
    let options = turtle_buffers::Options {
        capacity,
        patience: PATIENCE.get(),
        ..turtle_buffers::Options::default()
    };
    turtle_buffers::Ring::with_options(&options).unwrap()
}
