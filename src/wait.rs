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
//! | `WAKE_SEEN` | load waiting | acquire | `WAIT_ANNOUNCE` | which announcements this wake-up answers, and whether somebody polls |
//! | `WAKE_CLEAR` | exchange waiting | relaxed | – | nobody is left, or who polls was told; a later announcement makes it fail |
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
//!
//! Who polls a descriptor instead of sleeping here announces itself in the same
//! word, with a second bit. For it the bell (an eventfd, or the FIFO beside the
//! segment) is what the sequence is for a sleeper: it empties the bell, announces
//! itself, passes the barrier and looks once more. A waker that sees the bit rings
//! before it takes the bit back; if the bell was emptied in between, the
//! announcement that followed has a later number, and taking back fails.

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

/// Where the kernel has no barrier, a wake-up can be missed.
pub(crate) const RECHECK_UNCERTAIN: Duration = Duration::from_millis(1);

/// Where one side sleeps. Lies in the ring's region, shared if that is.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Bench {
    /// Four times the number of announcements ever made, [`SOMEONE`] while one
    /// of them may stand, and [`POLLED`] while one by somebody who polls may.
    /// It is no count of sleepers: one that is killed leaves its announcement,
    /// and the next waker clears it.
    waiting: Word,
    gate: Gate,
}

/// The bit of `waiting` that says so.
const SOMEONE: u64 = 1;
/// The bit of `waiting` that asks wakers to ring. Without [`SOMEONE`] it is a
/// remainder that nobody looks at.
const POLLED: u64 = 2;
/// One more announcement.
const ANNOUNCEMENT: u64 = 4;

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

    /// Wakes up to `n` who sleep here; answers how many it reached. Calls
    /// `ring` if somebody polls.
    #[cold]
    #[inline(never)]
    pub(crate) fn wake(&self, n: usize, tasks: &Tasks, shared: bool, ring: impl FnOnce()) -> usize {
        let seen = self.waiting.load(Tuned::acquire(WAKE_SEEN));
        let asleep = self.gate.open(u32::try_from(n).unwrap_or(u32::MAX), shared);
        // ORDER: `seen` was acquired, so a task that announced itself in it is
        // known as one.
        let tasks_told = if asleep < n {
            tasks.notify_more(n - asleep)
        } else {
            0
        };
        let mut left = seen;
        if seen & POLLED != 0 {
            // Before the announcement is taken back: if this process is killed in
            // between, the next one rings again.
            ring();
            left &= !POLLED;
        }
        if asleep + tasks_told < n {
            // Fewer than we would have woken: nobody is left of those seen.
            left &= !SOMEONE;
        }
        if left != seen {
            let _ = self
                .waiting
                .compare_exchange(seen, left, Tuned::relaxed(WAKE_CLEAR));
        }
        asleep + tasks_told
    }

    /// Announces a waiter. Afterwards whoever publishes will open the gate,
    /// or the waiter's next look finds what was published. `false`: this
    /// machine cannot promise that, so look again soon.
    pub(crate) fn announce(&self, shared: bool) -> (u64, bool) {
        self.announce_as(SOMEONE, shared)
    }

    /// The same for somebody who polls: whoever publishes will ring.
    pub(crate) fn announce_poll(&self, shared: bool) -> (u64, bool) {
        self.announce_as(SOMEONE | POLLED, shared)
    }

    /// Whether that announcement still stands, so that it need not be repeated.
    pub(crate) fn stands(&self, announced: u64) -> bool {
        self.waiting.load(Tuned::relaxed(WAIT_CHECK)) == announced
    }

    fn announce_as(&self, bits: u64, shared: bool) -> (u64, bool) {
        let mut was = self.waiting.load(Tuned::relaxed(WAIT_CHECK));
        loop {
            // The other's bit stays: its announcement is answered like this one.
            let ours = was.wrapping_add(ANNOUNCEMENT) | bits;
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
    #[inline]
    pub(crate) fn block<R>(
        &self,
        timeout: Option<Duration>,
        shared: bool,
        mut attempt: impl FnMut() -> Option<R>,
        interrupted: impl Fn() -> bool,
        on_sleep: impl Fn(),
        pass_on: impl Fn(),
    ) -> Result<R, WaitEnd> {
        self.block_on(
            timeout,
            shared,
            &mut attempt,
            &interrupted,
            &on_sleep,
            &pass_on,
        )
    }

    /// One copy for all engines and sizes: whoever waits can afford the calls.
    fn block_on<R>(
        &self,
        timeout: Option<Duration>,
        shared: bool,
        attempt: &mut dyn FnMut() -> Option<R>,
        interrupted: &dyn Fn() -> bool,
        on_sleep: &dyn Fn(),
        pass_on: &dyn Fn(),
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
                    slice = RECHECK_UNCERTAIN;
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
            // whoever was woken mostly finds what it was woken for. An interrupt
            // goes first: it was for this wait, what came after it for the next.
            if woken
                && !interrupted()
                && let Some(done) = attempt()
            {
                return Ok(done);
            }
        }
    }

    /// Moves the sequence, so that everybody here looks up. Calls `ring` if
    /// somebody polls.
    pub(crate) fn wake_all(&self, tasks: &Tasks, shared: bool, ring: impl FnOnce()) {
        self.gate.open(u32::MAX, shared);
        tasks.notify_all();
        // What the caller changed comes before this load, as before `WAKE_LOOK`.
        light_barrier();
        if self.waiting.load(Tuned::acquire(WAKE_SEEN)) & POLLED != 0 {
            ring();
        }
    }

    /// Sleeps here for a moment (a watcher on behalf of asynchronous waiters).
    pub(crate) fn watch(&self, shared: bool) {
        let sequence = self.gate.sequence();
        self.announce(shared);
        self.gate.wait(sequence, RECHECK, shared);
    }
}
