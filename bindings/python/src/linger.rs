//! When a thread that waits asks for the interpreter again.
//!
//! Two threads of one interpreter cannot run Python code at once. A waiting thread that asks for
//! the interpreter as soon as a first item (or some room) is there finds its peer still holding it,
//! and sleeps until the peer stops. That halts a core which nobody else needs, and to wake one takes
//! 36 microseconds on the reference machine, as long as moving 1,500 items. So the thread watches
//! the ring for a while, without the interpreter and without sleeping, until the peer has to wait
//! in its turn. It only chooses the moment of its next attempt: no answer depends on it.
#![allow(clippy::disallowed_types)] // counters of this process; no algorithm rests on them

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use turtle_buffers::erased::DynRing;

use crate::wait::Side;

/// How long a thread watches a ring in which nothing happens: some wake-ups of a halted core.
const WATCH: Duration = Duration::from_micros(100);
/// How long it lets a peer that is moving items run on. The interpreter would take
/// it away from the peer after 5 ms.
const RUN: Duration = Duration::from_millis(1);
/// A peer that has moved nothing for so long is busy with something else, or gone.
const STILL: Duration = Duration::from_micros(5);
/// The same while there is one item (or room for one), which may well be all that comes.
const STILL_ALONE: Duration = Duration::from_nanos(500);

/// Threads of this process that watch some ring: they do not have the interpreter. A forked child
/// may start with some that it does not have, and then lets its peers run on for less.
static WATCHING: AtomicUsize = AtomicUsize::new(0);

/// One side of a ring that belongs to the threads of one interpreter.
#[derive(Default)]
struct Bank {
    /// Threads that watch from here.
    watching: AtomicUsize,
    /// Watching did not pay: nothing came in time.
    vain: AtomicBool,
}

/// Both sides.
#[derive(Default)]
pub(crate) struct Linger {
    put: Bank,
    get: Bank,
}

impl Linger {
    fn bank(&self, side: Side) -> &Bank {
        match side {
            Side::Put => &self.put,
            Side::Get => &self.get,
        }
    }

    /// Waits, in a wait that may last for `limit`, for a good moment to try again.
    pub(crate) fn watch(
        &self,
        ring: &dyn DynRing,
        side: Side,
        limit: Duration,
        interrupted: impl Fn() -> bool,
    ) {
        let ours = self.bank(side);
        if limit < RUN + WATCH || ours.vain.load(Relaxed) {
            return;
        }
        ours.watching.fetch_add(1, Relaxed);
        WATCHING.fetch_add(1, Relaxed);
        let capacity = ring.capacity();
        let mut changed = Instant::now();
        let mut end = changed + WATCH;
        let mut before = 0;
        loop {
            // Who shares this core goes first. On a core of our own it takes 0.2 microseconds.
            std::thread::yield_now();
            let ready = match side {
                Side::Put => capacity.saturating_sub(ring.len()),
                Side::Get => ring.len(),
            };
            let now = Instant::now();
            if ready != before {
                if before == 0 {
                    end = now + RUN;
                }
                (before, changed) = (ready, now);
            }
            let still = if ready == 1 { STILL_ALONE } else { STILL };
            // Whoever watches elsewhere is probably the peer: it has to wait.
            let peer_waits = WATCHING.load(Relaxed) > ours.watching.load(Relaxed);
            if ready > 0 && (peer_waits || now > changed + still)
                || now > end
                || ring.is_closed()
                || interrupted()
            {
                break;
            }
        }
        if before == 0 {
            ours.vain.store(true, Relaxed);
        }
        WATCHING.fetch_sub(1, Relaxed);
        ours.watching.fetch_sub(1, Relaxed);
    }

    /// Learns from a wait that is over, after `time`.
    pub(crate) fn waited(&self, side: Side, time: Duration) {
        let ours = self.bank(side);
        if ours.vain.load(Relaxed) && time < WATCH {
            ours.vain.store(false, Relaxed);
        }
    }
}
