//! Waiting: blocking, timed and asynchronous calls over the `try_` calls.
//!
//! A caller that finds nothing to do spins a little, yields a little, and then
//! sleeps at a gate. The other side's fast path pays one load of a word that
//! hardly ever changes: no fence, no system call.
//!
//! # Steps
//!
//! | step | access | order | pairs with | why |
//! |---|---|---|---|---|
//! | `WAIT_CHECK` | load waiting | relaxed | – | still announced: the barrier need not be repeated |
//! | `WAIT_ANNOUNCE` | exchange waiting | seq_cst | `WAKE_LOOK` | from now on whoever changes the ring opens the gate |
//! | `WAIT_LOOK` | the call itself, again | – | `WAKE_LOOK` | what was published before the announcement is found |
//! | `WAKE_LOOK` | load waiting | relaxed | `WAIT_ANNOUNCE` | ordered after the publication by the asymmetric barrier |
//! | `WAKE_SEEN` | load waiting | acquire | `WAIT_ANNOUNCE` | which announcements this wake-up answers |
//! | `WAKE_CLEAR` | exchange waiting | relaxed | – | nobody is left; a later announcement makes it fail |
//!
//! Why no wake-up is lost: the sleeper announces itself, makes every other
//! thread pass a full barrier, looks once more, and sleeps only if the gate's
//! sequence has not moved since before the announcement. Whoever publishes
//! afterwards sees the announcement and moves the sequence; whoever published
//! before is seen by that last look. A waker takes an announcement back only if
//! it saw that very one (they are numbered) before it moved the sequence, so the
//! waiter, who read the sequence before announcing, notices and announces itself
//! again. Where the kernel has no such barrier, and
//! when a peer is killed between publishing and waking, the sleeper looks
//! again after [`RECHECK`].

use std::ptr::NonNull;
use std::time::{Duration, Instant};

use crate::asynchronous::Tasks;
use crate::atomic::{
    Gate, GateWait, Padded, Profile, SPINS, Tuned, Word, YIELDS, light_barrier, mutate::skip,
    pause, yield_now,
};

crate::steps! {
    /// Sleeper sees whether it is still announced.
    WAIT_CHECK;
    /// Sleeper announces itself.
    WAIT_ANNOUNCE;
    /// Sleeper looks once more before it sleeps.
    WAIT_LOOK;
    /// Waker sees whether anybody sleeps.
    WAKE_LOOK;
    /// Waker notes whom it answers.
    WAKE_SEEN;
    /// Waker notes that nobody is left.
    WAKE_CLEAR;
}

/// In shared memory a sleeper looks again at least this often, whatever
/// happens: a peer may be killed between publishing and waking.
pub const RECHECK: Duration = Duration::from_millis(10);
/// In private memory nobody can be killed alone, only stopped. A look costs
/// about 28 microseconds of processor time on the reference machine, a bare
/// 10 ms futex sleep as much: ten times a second is 0.03 % of a core.
pub const RECHECK_PRIVATE: Duration = Duration::from_millis(100);

/// Where one side sleeps. Lies in the ring's region, shared if that is.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Bench {
    /// Twice the number of announcements ever made, and [`SOMEONE`] while one
    /// of them may stand. It is no count of sleepers: one that is killed
    /// leaves its announcement, and the next waker clears it.
    waiting: Word,
    gate: Gate,
}

/// The bit of `waiting` that says so.
const SOMEONE: u64 = 1;

/// Both sides' benches: `pop` is where consumers wait for elements.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Benches {
    pub(crate) pop: Padded<Bench>,
    pub(crate) push: Padded<Bench>,
}

impl Benches {
    /// Writes benches where nobody waits, and nothing into the padding around
    /// them: a copy of a whole struct would carry bytes of this thread's stack
    /// into shared memory.
    ///
    /// # Safety
    /// `at` is valid for writes, and nobody else looks.
    pub(crate) unsafe fn init(at: NonNull<Self>) {
        let at = at.as_ptr();
        // SAFETY: the caller's promise.
        unsafe {
            (&raw mut (*at).pop.0).write(Bench::new());
            (&raw mut (*at).push.0).write(Bench::new());
        }
    }
}

/// Why a wait ended without what was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitEnd {
    Timeout,
    Interrupted,
}

impl Bench {
    fn new() -> Self {
        Self {
            waiting: Word::new(0),
            gate: Gate::new(),
        }
    }

    /// Whether somebody may be asleep: the fast path's one load.
    #[inline(always)]
    pub(crate) fn anyone(&self) -> bool {
        light_barrier();
        !skip(WAKE_LOOK) && self.waiting.load(Tuned::relaxed(WAKE_LOOK)) & SOMEONE != 0
    }

    /// Wakes up to `n` who wait here; answers how many it reached.
    #[cold]
    #[inline(never)]
    pub(crate) fn wake(&self, n: usize, tasks: &Tasks, shared: bool) -> usize {
        let seen = self.waiting.load(Tuned::acquire(WAKE_SEEN));
        let asleep = self.gate.open(u32::try_from(n).unwrap_or(u32::MAX), shared);
        // ORDER: `seen` was acquired, so a task that announced itself in it is
        // known as one.
        let polled = if asleep < n {
            tasks.notify_more(n - asleep)
        } else {
            0
        };
        if asleep + polled < n && seen & SOMEONE != 0 {
            // Fewer than we would have woken: nobody is left of those seen.
            let _ =
                self.waiting
                    .compare_exchange(seen, seen & !SOMEONE, Tuned::relaxed(WAKE_CLEAR));
        }
        asleep + polled
    }

    /// Announces a waiter. Afterwards whoever publishes will open the gate,
    /// or the waiter's next look finds what was published. `false`: this
    /// machine cannot promise that, so look again soon.
    pub(crate) fn announce(&self, shared: bool) -> (u64, bool) {
        let mut was = self.waiting.load(Tuned::relaxed(WAIT_CHECK));
        loop {
            let ours = was.wrapping_add(2) | SOMEONE;
            match self
                .waiting
                .compare_exchange(was, ours, Tuned::seq_cst(WAIT_ANNOUNCE))
            {
                Ok(_) => return (ours, Gate::heavy_barrier(shared)),
                Err(now) => was = now,
            }
        }
    }

    /// Blocks until `attempt` answers something, the time is up, or
    /// `interrupted` says so. The first attempt has been made already.
    pub(crate) fn block<R>(
        &self,
        timeout: Option<Duration>,
        shared: bool,
        mut attempt: impl FnMut() -> Option<R>,
        interrupted: impl Fn() -> bool,
        on_sleep: impl Fn(),
        pass_on: impl Fn(),
    ) -> Result<R, WaitEnd> {
        for round in 0..SPINS {
            for _ in 0..1_u32 << round {
                pause();
            }
            if let Some(done) = attempt() {
                return Ok(done);
            }
        }
        // A time too far away to be computed is for ever.
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        for _ in 0..YIELDS {
            yield_now();
            if let Some(done) = attempt() {
                return Ok(done);
            }
        }
        let mut announced = None;
        let mut woken = false;
        loop {
            if interrupted() {
                if woken {
                    pass_on(); // the wake-up was meant for somebody who takes
                }
                return Err(WaitEnd::Interrupted);
            }
            let sequence = self.gate.sequence();
            let mut slice = if shared { RECHECK } else { RECHECK_PRIVATE };
            let stands = Some((sequence, self.waiting.load(Tuned::relaxed(WAIT_CHECK))));
            if announced != stands && !(skip(WAIT_CHECK) && announced.is_some()) {
                let (ticket, certain) = self.announce(shared);
                announced = certain.then_some((sequence, ticket));
                if !certain {
                    slice = Duration::from_millis(1);
                }
            }
            if let Some(done) = if skip(WAIT_LOOK) { None } else { attempt() } {
                return Ok(done);
            }
            if let Some(deadline) = deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(WaitEnd::Timeout);
                }
                slice = slice.min(left);
            }
            on_sleep();
            woken = self.gate.wait(sequence, slice, shared) == GateWait::Moved;
            // Before announcing again, which costs every running thread a barrier:
            // whoever was woken mostly finds what it was woken for.
            if woken && let Some(done) = attempt() {
                return Ok(done);
            }
        }
    }

    /// Moves the sequence, so that everybody here looks up.
    pub(crate) fn wake_all(&self, tasks: &Tasks, shared: bool) {
        self.gate.open(u32::MAX, shared);
        tasks.notify_all();
    }

    /// Sleeps here for a moment (a watcher on behalf of asynchronous waiters).
    pub(crate) fn watch(&self, shared: bool) {
        let sequence = self.gate.sequence();
        self.announce(shared);
        self.gate.wait(sequence, RECHECK, shared);
    }
}
