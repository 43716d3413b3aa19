//! Turn ring: many producers, many consumers.
//!
//! Source: D. Vyukov, bounded MPMC queue (1024cores.net, 2010), in the stamp
//! encoding of crossbeam's `ArrayQueue`. Differs from both in: a third answer
//! (`Busy`) that keeps `Full` and `Empty` exact without waiting, closing in
//! the push ticket, void slots, runs of slots claimed by one exchange, pacing.
//!
//! # Idea
//!
//! Push:
//! 1. Read the push *ticket*: it names a slot and a lap.
//! 2. See whether it is this ticket's *turn* at the slot; if not, find out why.
//! 3. Move the push ticket on by one exchange: the push has taken effect.
//! 4. Write the payload, then pass the turn to the consumer.
//!
//! Pop does the same with the pop ticket and passes the turn to the producer
//! of the next lap. Many are claimed by moving the ticket on by many.
//!
//! # State
//!
//! | word | meaning | range |
//! |---|---|---|
//! | `push` | the next push ticket; top bit: sealed | `[sealed:1 \| lap \| index:k \| 00]` |
//! | `pop` | the next pop ticket | `[0 \| lap \| index:k \| 00]` |
//! | `turn` of slot i | whose go it is | ticket + phase: 0 free, 1 full, 2 void |
//!
//! `k` is the number of bits of `capacity - 1`. A ticket t is free for its
//! push while the slot's turn is t, full at t + 1, void (an abandoned claim)
//! at t + 2; a pop sets it to t + one lap. The phases never meet the next
//! ticket, so capacity 1 is as unambiguous as any other. Tickets wrap after at least 2^60 pushes (36
//! years at 10^9 a second); a mistake needs a thread asleep for exactly that.
//!
//! # Invariants
//!
//! * I1: pop ≤ push ≤ pop + capacity, as positions.
//! * I2: between moving `push` from t and the next store to slot(t).turn, only
//!   the thread that moved it touches that slot; likewise for `pop`.
//! * I3: a slot's turn is full(t) only if the push of t has written its payload.
//! * I4: tickets and turns only grow.
//! * I5: once the sealed bit is set, `push` does not change again.
//!
//! # Steps
//!
//! | step | access | order | pairs with | why |
//! |---|---|---|---|---|
//! | `PUSH_TICKET` | load push | relaxed | – | a stale ticket costs a failed claim or a re-read |
//! | `PUSH_TURN` | load turn | acquire | `POP_RECYCLE` | the payload of the last lap has been moved out |
//! | `PUSH_CLAIM` | exchange push | relaxed | – | the ticket orders claims; data is ordered by the turns |
//! | `PUSH_PUBLISH` | store turn | release | `POP_TURN` | the payload is visible to its consumer |
//! | `PUSH_VOID` | store turn | release | `POP_TURN` | an abandoned claim: passes on what the slot's last user did |
//! | `PUSH_FENCE` | fence | seq_cst | `POP_FENCE` | `Full` is decided after everything that came before this call |
//! | `PUSH_POP_TICKET` | load pop | relaxed | – | full if the ticket of one lap ago has not been popped |
//! | `PUSH_RECHECK` | load turn | acquire | `POP_RECYCLE` | still not released: `Busy` is true now |
//! | `PUSH_RETRY` | load push | relaxed | – | as `PUSH_TICKET` |
//! | `POP_TICKET` | load pop | relaxed | – | as `PUSH_TICKET` |
//! | `POP_TURN` | load turn | acquire | `PUSH_PUBLISH`, `PUSH_VOID` | the payload is visible |
//! | `POP_CLAIM` | exchange pop | relaxed | – | as `PUSH_CLAIM` |
//! | `POP_RECYCLE` | store turn | release | `PUSH_TURN` | the payload has been moved out |
//! | `POP_FENCE` | fence | seq_cst | `PUSH_FENCE` | `Empty` is decided after everything before this call; an element that was declined was looked at before its turn is read again |
//! | `POP_PUSH_TICKET` | load push | acquire | `SEAL_MARK` | empty if nothing was claimed beyond this ticket |
//! | `POP_RECHECK` | load turn | acquire | `PUSH_PUBLISH` | still not published: `Busy` is true now |
//! | `POP_RETRY` | load pop | relaxed | – | as `POP_TICKET` |
//! | `SEAL_MARK` | or push | acq_rel | `POP_PUSH_TICKET` | no claim succeeds after it (I5) |
//! | `LOOK_PUSH`, `LOOK_POP` | load push, pop | acquire | – | lengths and diagnosis only |
//! | `LOOK_TURN` | load turn | relaxed | – | pacing and recovery of a lease: a hint, re-checked by the claim |
//!
//! # Linearization
//!
//! | outcome | step |
//! |---|---|
//! | pushed | `PUSH_CLAIM` |
//! | popped | `POP_CLAIM` |
//! | `Full` | `PUSH_POP_TICKET` |
//! | `Empty`, `Closed` of a pop | `POP_PUSH_TICKET` |
//! | `Busy` | `PUSH_RECHECK`, `POP_RECHECK` |
//! | declined (`try_take_if`) | `POP_TURN`, if the second one after it reads the same |
//! | `Closed` of a push | `PUSH_TICKET` or `PUSH_RETRY` |
//!
//! # Progress
//!
//! *Returns*: a call repeats only when another call moved a ticket or passed on
//! one of its slots, or after clearing a void away, so some call always gets
//! on. *Succeeds*: a thread stopped between its claim and its publication makes
//! the others answer `Busy` at its slot until it goes on; it does not make them wait inside a `try_` call. On machines weaker than
//! x86-64 a push that returned in another thread, of which nothing has reached
//! this one yet, counts as going on (loom shows it; tickets are relaxed).
//!
//! # Limits
//!
//! An abandoned claim leaves a void slot. It counts towards `Full` until it is
//! the oldest, where pushes and pops both clear it. A claim that is leaked
//! keeps its slot for good: the ring answers `Busy` there.
//!
//! # Evidence
//!
//! `tests/model_loom.rs`, `tests/orders.rs`, `tests/model_shuttle.rs`,
//! `tests/conformance.rs`, `tests/stress.rs`, the stall table in
//! `docs/stall.md`. Proved under interleaving semantics, and the proved steps
//! replayed against this file: `proofs/README.md`.

use std::alloc::Layout;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::pace::{LARGEST_AHEAD, Look, Pace};
use super::{
    Arity, Engine, Geometry, Lease, PopRefusal, PushRefusal, RawRing, Shape, SlotLayout, Strategy,
    Traits,
};
use crate::atomic::{
    IN_FLIGHT_LOOKS, Padded, Profile, Tracker, Tuned, Word, fence, mutate::skip, pause,
    prefetch_write,
};
use crate::error::BuildError;

crate::steps! {
    /// Producer reads its ticket.
    PUSH_TICKET;
    /// Producer sees whether the slot is on its turn.
    PUSH_TURN;
    /// Producer moves the ticket on.
    PUSH_CLAIM;
    /// Producer passes the turn to the consumer.
    PUSH_PUBLISH;
    /// Producer passes an abandoned claim on as void.
    PUSH_VOID;
    /// Producer orders its answer after what came before.
    PUSH_FENCE;
    /// Producer compares with the pop ticket: full or not.
    PUSH_POP_TICKET;
    /// Producer looks at the slot again: busy or not.
    PUSH_RECHECK;
    /// Producer reads its ticket again.
    PUSH_RETRY;
    /// Consumer reads its ticket.
    POP_TICKET;
    /// Consumer sees whether the slot is on its turn.
    POP_TURN;
    /// Consumer moves the ticket on.
    POP_CLAIM;
    /// Consumer passes the turn to the producer of the next lap.
    POP_RECYCLE;
    /// Consumer orders its answer after what came before.
    POP_FENCE;
    /// Consumer compares with the push ticket: empty, closed or neither.
    POP_PUSH_TICKET;
    /// Consumer looks at the slot again: busy or not.
    POP_RECHECK;
    /// Consumer reads its ticket again.
    POP_RETRY;
    /// Closer marks the push ticket.
    SEAL_MARK;
    /// Observer reads the push ticket.
    LOOK_PUSH;
    /// Observer reads the pop ticket.
    LOOK_POP;
    /// Observer reads a turn.
    LOOK_TURN;
}

/// The engine's name: `Ring<T, Turn>`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turn<P = Tuned>(PhantomData<P>);

impl<P: Profile> Engine for Turn<P> {
    type Raw<Sh: Shape> = TurnRing<Sh, P>;
    const STRATEGY: Option<Strategy> = Some(Strategy::Turn);
}

const SEALED: u64 = 1 << 63;
/// From a ticket to the next one on the same lap; the low bits are the phase.
const ONE: u64 = 1 << PHASE_BITS;
const PHASE_BITS: u32 = 2;
/// Phases, added to a ticket: a free slot's turn is the ticket itself. (Wrapping:
/// a hostile process may have written any ticket.)
const FULL: u64 = 1;
const VOID: u64 = 2;

#[derive(Debug)]
#[repr(C)]
struct Header {
    push: Padded<Word>,
    pop: Padded<Word>,
}

/// What precedes a payload.
#[derive(Debug)]
#[repr(C)]
struct Head {
    turn: Word,
    tracker: Tracker,
}

/// The turn ring over slots of shape `Sh`.
#[derive(Debug)]
pub struct TurnRing<Sh, P> {
    header: NonNull<Header>,
    slots: NonNull<u8>,
    capacity: usize,
    /// A run worth waiting a moment for.
    goal: usize,
    /// Bytes of look-ahead: not so far that a small ring is lapped.
    ahead: usize,
    index_mask: u64,
    one_lap: u64,
    layout: SlotLayout,
    profile: PhantomData<(Sh, P)>,
}

impl<Sh: Shape, P> Clone for TurnRing<Sh, P> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

// SAFETY: the pointers lead to words and to payloads that are handed over by
// the turns (I2, I3); the faces require `T: Send` for what is moved.
unsafe impl<Sh: Shape, P> Send for TurnRing<Sh, P> {}
// SAFETY: as above.
unsafe impl<Sh: Shape, P> Sync for TurnRing<Sh, P> {}

impl<Sh: Shape, P: Profile> TurnRing<Sh, P> {
    const fn slot_layout(size: usize, align: usize) -> SlotLayout {
        SlotLayout::of(size_of::<Head>(), align_of::<Head>(), size, align)
    }

    #[inline(always)]
    fn layout(&self) -> SlotLayout {
        match Sh::STATIC {
            Some((size, align)) => const_layout(size, align),
            None => self.layout,
        }
    }

    #[inline(always)]
    fn header(&self) -> &Header {
        // SAFETY: `attach` requires a ring there for as long as a view is used.
        unsafe { self.header.as_ref() }
    }

    /// The index of a ticket's slot, below the capacity for any ticket this
    /// view makes itself.
    #[inline(always)]
    fn index_of(&self, ticket: u64) -> u64 {
        (ticket & self.index_mask) >> PHASE_BITS
    }

    /// The slot of an index; an index out of range (which only a hostile
    /// process can cause) is brought back into the array.
    #[inline(always)]
    fn slot_of(&self, ticket: u64) -> (&Head, *mut u8) {
        let mut index = self.index_of(ticket) as usize;
        if index >= self.capacity {
            index = 0; // a ticket no ring writes: spoilt data, not a wild access
        }
        let layout = self.layout();
        // SAFETY: index < capacity, so the slot lies inside the region.
        unsafe {
            let slot = self.slots.as_ptr().add(index * layout.stride);
            (&*slot.cast::<Head>(), slot.add(layout.offset))
        }
    }

    /// The ticket `n` places on (`n` ≤ capacity).
    ///
    /// Wraps: the lap is below the sealed bit, which stays clear; I4 holds up
    /// to the wrap stated in the module's table.
    #[inline(always)]
    fn next(&self, ticket: u64, n: u64) -> u64 {
        let index = self.index_of(ticket) + n;
        if index < self.capacity as u64 {
            ticket.wrapping_add(n * ONE)
        } else {
            let lap = ticket & !(self.index_mask);
            let wrapped = (index - self.capacity as u64) << PHASE_BITS;
            (lap.wrapping_add(self.one_lap) | wrapped) & !SEALED
        }
    }

    /// The same slot one lap on.
    #[inline(always)]
    fn lap_on(&self, ticket: u64) -> u64 {
        ticket.wrapping_add(self.one_lap) & !SEALED
    }

    /// Places pushed (or popped) before this ticket.
    fn position(&self, ticket: u64) -> u64 {
        let ticket = ticket & !SEALED;
        (ticket / self.one_lap) * self.capacity as u64 + self.index_of(ticket)
    }

    /// What precedes a lease's payload.
    #[inline(always)]
    fn head_of(&self, lease: &Lease) -> &Head {
        // SAFETY: a lease of this ring lies `offset` behind its slot's start.
        unsafe { &*lease.payload.sub(self.layout().offset).cast::<Head>() }
    }

    #[inline(always)]
    fn lease(&self, ticket: u64) -> Lease {
        let (head, payload) = self.slot_of(ticket);
        Lease {
            payload,
            tracker: &raw const head.tracker,
            ticket,
        }
    }

    /// Finds out why slot(ticket) was not free. `Ok` is the ticket to try next.
    #[cold]
    #[inline(never)]
    fn push_blocked(&self, ticket: u64, seen: u64) -> Result<u64, PushRefusal> {
        if ticket & SEALED != 0 {
            return Err(PushRefusal::Closed);
        }
        let header = self.header();
        let behind = self.lap_behind(ticket, seen);
        if behind {
            // ORDER: seq_cst: an answer `Full` must not be older than what this
            // thread (or one it heard from) did before the call.
            fence(P::seq_cst(PUSH_FENCE));
            let pop = header.pop.load(P::relaxed(PUSH_POP_TICKET));
            if skip(PUSH_POP_TICKET) || self.lap_on(pop) == ticket {
                // Nothing beyond one lap ago was popped, so all slots are
                // taken; if the oldest is void, clear it and try again.
                return if self.clear_void(pop, seen) {
                    Ok(ticket)
                } else {
                    Err(PushRefusal::Full)
                };
            }
            if skip(PUSH_RECHECK) || self.still(ticket, seen, P::acquire(PUSH_RECHECK)) {
                let now = header.push.load(P::relaxed(PUSH_RETRY));
                // A ticket that moved on was not this slot's: look again.
                return if now == ticket {
                    Err(PushRefusal::Busy)
                } else {
                    Ok(now)
                };
            }
            // The slot has moved on meanwhile: `Busy` would not be true.
            return Ok(header.push.load(P::relaxed(PUSH_RETRY)));
        }
        // ORDER: relaxed: `PUSH_TURN` acquired a turn that some push published
        // after moving the ticket, so a ticket beyond this one is visible.
        match header.push.load(P::relaxed(PUSH_RETRY)) {
            // Only another process that writes nonsense can bring this about.
            now if now == ticket => Err(PushRefusal::Busy),
            now => Ok(now),
        }
    }

    /// Whether the slot's turn is still `seen`, looked at a few times: the call
    /// in flight is about to store to that very line, so it is left alone for a
    /// moment between the looks.
    fn still(&self, ticket: u64, seen: u64, order: crate::atomic::Order) -> bool {
        let (head, _) = self.slot_of(ticket);
        for _ in 0..IN_FLIGHT_LOOKS {
            if head.turn.load(order) != seen {
                return false;
            }
            for _ in 0..IN_FLIGHT_PAUSES {
                pause();
            }
        }
        head.turn.load(order) == seen
    }

    /// The first attempt of a push; `None` if it did not get through.
    ///
    /// `try_claim` spells the same once more: shared, the two cost a lone item
    /// a tenth at p99 (the refusals of a polling consumer become longer).
    #[inline(always)]
    fn claim_once(&self, pace: Pace) -> Option<Lease> {
        let header = self.header();
        let ticket = header.push.load(P::relaxed(PUSH_TICKET));
        let (head, payload) = self.slot_of(ticket);
        // Computed before the slot is looked at, so that nothing is reloaded.
        let next = self.next(ticket, 1);
        // A sealed ticket has the top bit, no turn has: it is not taken here.
        if head.turn.load(P::acquire(PUSH_TURN)) != ticket || pace.blocked() {
            return None;
        }
        self.look_ahead(head);
        header
            .push
            .compare_exchange(ticket, next, P::relaxed(PUSH_CLAIM))
            .ok()?;
        Some(Lease {
            payload,
            tracker: &raw const head.tracker,
            ticket,
        })
    }

    /// Whether the element that was declined is the one of this ticket: while it
    /// was looked at others may have popped it, and filled its slot again.
    #[cold]
    fn is_still(&self, head: &Head, ticket: u64) -> bool {
        // ORDER: as in a sequence lock: what was looked at was read before this.
        fence(P::seq_cst(POP_FENCE));
        head.turn.load(P::acquire(POP_TURN)) == ticket.wrapping_add(FULL)
    }

    /// The first attempt of a pop, likewise; `Some(None)` if `accept` does not
    /// like the oldest element.
    #[inline(always)]
    fn take_once(
        &self,
        pace: Pace,
        mut accept: impl FnMut(*mut u8) -> bool,
    ) -> Option<Option<Lease>> {
        let header = self.header();
        let ticket = header.pop.load(P::relaxed(POP_TICKET));
        let (head, payload) = self.slot_of(ticket);
        let next = self.next(ticket, 1);
        if head.turn.load(P::acquire(POP_TURN)) != ticket.wrapping_add(FULL) || pace.blocked() {
            return None;
        }
        if !accept(payload) {
            return self.is_still(head, ticket).then_some(None);
        }
        self.look_ahead(head);
        header
            .pop
            .compare_exchange(ticket, next, P::relaxed(POP_CLAIM))
            .ok()?;
        Some(Some(Lease {
            payload,
            tracker: &raw const head.tracker,
            ticket,
        }))
    }

    /// The rest of a push whose first attempt did not get through: again until
    /// it does, or there is a reason why not.
    #[cold]
    #[inline(never)]
    fn claim_again(&self, pace: &mut Pace) -> Result<Lease, PushRefusal> {
        let header = self.header();
        let mut ticket = header.push.load(P::relaxed(PUSH_TICKET));
        let mut times = 0;
        loop {
            let (head, _) = self.slot_of(ticket);
            let turn = head.turn.load(P::acquire(PUSH_TURN));
            if turn != ticket {
                ticket = self
                    .push_blocked(ticket, turn)
                    .inspect_err(|_| pace.set_blocked(true))?;
                continue;
            }
            if pace.blocked() {
                self.gather(pace, ticket, 0, self.goal);
            }
            match header
                .push
                .compare_exchange(ticket, self.next(ticket, 1), P::relaxed(PUSH_CLAIM))
            {
                Ok(_) => return Ok(self.lease(ticket)),
                Err(now) => {
                    ticket = now;
                    lost(&mut times);
                }
            }
        }
    }

    /// The rest of a pop, likewise.
    #[cold]
    #[inline(never)]
    fn take_again(
        &self,
        pace: &mut Pace,
        mut accept: impl FnMut(*mut u8) -> bool,
    ) -> Result<Option<Lease>, PopRefusal> {
        let header = self.header();
        let mut ticket = header.pop.load(P::relaxed(POP_TICKET));
        let mut times = 0;
        loop {
            let (head, payload) = self.slot_of(ticket);
            let turn = head.turn.load(P::acquire(POP_TURN));
            if turn != ticket.wrapping_add(FULL) {
                ticket = self
                    .pop_blocked(ticket, turn)
                    .inspect_err(|_| pace.set_blocked(true))?;
                continue;
            }
            if !accept(payload) {
                if self.is_still(head, ticket) {
                    return Ok(None);
                }
                ticket = header.pop.load(P::relaxed(POP_RETRY));
                continue;
            }
            if pace.blocked() {
                self.gather(pace, ticket, FULL, self.goal);
            }
            match header
                .pop
                .compare_exchange(ticket, self.next(ticket, 1), P::relaxed(POP_CLAIM))
            {
                Ok(_) => return Ok(Some(self.lease(ticket))),
                Err(now) => {
                    ticket = now;
                    lost(&mut times);
                }
            }
        }
    }

    /// After a refusal something is there again: waits, within bounds, for a
    /// run of it (`pace.rs` says why).
    #[cold]
    #[inline(never)]
    fn gather(&self, pace: &mut Pace, ticket: u64, phase: u64, goal: usize) {
        pace.set_blocked(false);
        if goal < 2 {
            return;
        }
        pace.gather(|| match self.has(ticket, goal, phase) {
            true => Look::Enough,
            false => Look::Unknown,
        });
    }

    /// Asks for the lines of a slot a little further on, once a line.
    #[inline(always)]
    fn look_ahead(&self, head: &Head) {
        let stride = self.layout().stride;
        let at = std::ptr::from_ref(head).cast::<u8>();
        if stride <= 64 {
            if at as usize & 63 < stride {
                prefetch_write(at.wrapping_add(self.ahead));
            }
        } else if stride <= LARGEST_AHEAD {
            for line in 0..stride.div_ceil(64) {
                prefetch_write(at.wrapping_add(self.ahead + line * 64));
            }
        }
    }

    /// Whether `turn` still belongs to the lap before `ticket`'s.
    #[inline(always)]
    fn lap_behind(&self, ticket: u64, turn: u64) -> bool {
        (turn & !(ONE - 1)) == ticket.wrapping_sub(self.one_lap) & !SEALED
    }

    /// If the oldest slot is void, gives it back. Answers whether the slot is
    /// or was void: `false` only if its turn is still the one `seen`, not void.
    fn clear_void(&self, pop: u64, seen: u64) -> bool {
        let (head, _) = self.slot_of(pop);
        let turn = head.turn.load(P::acquire(POP_TURN));
        if turn != pop.wrapping_add(VOID) {
            return turn != seen;
        }
        if self
            .header()
            .pop
            .compare_exchange(pop, self.next(pop, 1), P::relaxed(POP_CLAIM))
            .is_ok()
        {
            head.turn.store(self.lap_on(pop), P::release(POP_RECYCLE));
        }
        true
    }

    /// Finds out why slot(ticket) was not full. `Ok` is the ticket to try next.
    #[cold]
    #[inline(never)]
    fn pop_blocked(&self, ticket: u64, seen: u64) -> Result<u64, PopRefusal> {
        let header = self.header();
        if seen == ticket.wrapping_add(VOID) {
            self.clear_void(ticket, seen);
            return Ok(header.pop.load(P::relaxed(POP_RETRY)));
        }
        // Free for this ticket's push; or still with the pop of one lap ago, and
        // then not pushed either.
        if seen == ticket || self.lap_behind(ticket, seen) {
            // ORDER: seq_cst, as in `push_blocked`.
            fence(P::seq_cst(POP_FENCE));
            let push = header.push.load(P::acquire(POP_PUSH_TICKET));
            if skip(POP_PUSH_TICKET) || push & !SEALED == ticket {
                // I5: with the sealed bit set nothing more will come.
                let closed = push & SEALED != 0;
                return Err(if closed {
                    PopRefusal::Closed
                } else {
                    PopRefusal::Empty
                });
            }
            if skip(POP_RECHECK) || self.still(ticket, seen, P::acquire(POP_RECHECK)) {
                let now = header.pop.load(P::relaxed(POP_RETRY));
                return if now == ticket {
                    Err(PopRefusal::Busy)
                } else {
                    Ok(now)
                };
            }
            // As in `push_blocked`.
            return Ok(header.pop.load(P::relaxed(POP_RETRY)));
        }
        match header.pop.load(P::relaxed(POP_RETRY)) {
            now if now == ticket => Err(PopRefusal::Busy), // as in `push_blocked`
            now => Ok(now),
        }
    }

    /// Slots from `ticket` on, up to `n`, whose turn is `phase` of their own
    /// ticket. Waits a moment, within bounds, if the last of them is not there.
    #[inline(always)]
    fn run_length(
        &self,
        pace: &mut Pace,
        ticket: u64,
        n: usize,
        phase: u64,
        order: crate::atomic::Order,
    ) -> usize {
        let (head, _) = self.slot_of(ticket);
        if head.turn.load(P::relaxed(LOOK_TURN)) != ticket.wrapping_add(phase) {
            return 0; // the caller finds out why
        }
        let wanted = n.min(self.capacity / 2).max(1);
        pace.set_flowing(self.has(ticket, wanted, phase));
        if pace.flowing() {
            self.fetch_lines(ticket, wanted);
        } else {
            // Lines that are not ready belong to the other side: none is asked for.
            self.gather(pace, ticket, phase, wanted);
        }
        let before_end = self.until_end(ticket);
        let found = self.stretch(ticket, n.min(before_end), phase, order);
        let n = n.min(self.capacity);
        if found < before_end || found >= n {
            return found;
        }
        // From the start of the array; elsewhere only by a ticket that no ring writes.
        let start = self.next(ticket, found as u64);
        found + self.stretch(start, (n - found).min(self.until_end(start)), phase, order)
    }

    /// Whether the `n`th slot from `ticket` on is on this phase of its ticket.
    #[inline(always)]
    fn has(&self, ticket: u64, n: usize, phase: u64) -> bool {
        // `next` by 0 would not be the same ticket if no ring writes such a one.
        let far = if n > 1 {
            self.next(ticket, n as u64 - 1)
        } else {
            ticket
        };
        let (head, _) = self.slot_of(far);
        head.turn.load(P::relaxed(LOOK_TURN)) == far.wrapping_add(phase)
    }

    /// Asks for the lines of a run at once, ready to be written: fetched one
    /// after the other, and to be read first, each would cost two transfers.
    #[inline(always)]
    fn fetch_lines(&self, ticket: u64, n: usize) {
        let stride = self.layout().stride;
        let (head, _) = self.slot_of(ticket);
        let first = std::ptr::from_ref(head).cast::<u8>();
        let bytes = (n.min(self.until_end(ticket)) * stride).min(MOST_AHEAD);
        for line in (0..bytes).step_by(64) {
            prefetch_write(first.wrapping_add(line));
        }
    }

    /// After a whole run: asks for the next one's lines, which arrive while this
    /// one is moved (twice the rate of batches of 64: docs/benchmarks.md).
    #[inline(always)]
    fn fetch_ahead(&self, pace: &Pace, ticket: u64, count: usize, n: usize) {
        if pace.flowing() && count == n {
            self.fetch_lines(self.next(ticket, count as u64), n);
        }
    }

    /// The same within one lap: `n` slots from `ticket` on do not pass the end
    /// of the array.
    #[inline(always)]
    fn stretch(&self, ticket: u64, n: usize, phase: u64, order: crate::atomic::Order) -> usize {
        debug_assert!(n <= self.until_end(ticket));
        let stride = self.layout().stride;
        let (head, _) = self.slot_of(ticket);
        let first: *const Head = head;
        for found in 0..n {
            // SAFETY: ticket's index + found < capacity.
            let head = unsafe { &*first.byte_add(found * stride) };
            if head.turn.load(order) != ticket.wrapping_add(found as u64 * ONE + phase) {
                return found;
            }
        }
        n
    }

    /// Slots from this ticket's to the end of the array.
    #[inline(always)]
    fn until_end(&self, ticket: u64) -> usize {
        self.capacity
            .saturating_sub(self.index_of(ticket) as usize)
            .max(1)
    }

    /// Calls `each` for the leases of a run of `count` slots, in order, until
    /// it answers `false`; answers how many it took.
    #[inline(always)]
    fn walk(&self, ticket: u64, count: usize, mut each: impl FnMut(&Head, Lease) -> bool) -> usize {
        let layout = self.layout();
        let (mut ticket, mut done) = (ticket, 0);
        while done < count {
            let (first, payload) = self.slot_of(ticket);
            let first: *const Head = first;
            let stretch = (count - done).min(self.until_end(ticket));
            for i in 0..stretch {
                // SAFETY: ticket's index + i < capacity.
                let (head, payload) = unsafe {
                    (
                        &*first.byte_add(i * layout.stride),
                        payload.add(i * layout.stride),
                    )
                };
                let ticket = ticket.wrapping_add(i as u64 * ONE);
                if !each(
                    head,
                    Lease {
                        payload,
                        tracker: &raw const head.tracker,
                        ticket,
                    },
                ) {
                    return done + i;
                }
            }
            done += stretch;
            ticket = self.next(ticket, stretch as u64);
        }
        done
    }
}

/// Pauses after each look at a slot that a call in flight holds.
const IN_FLIGHT_PAUSES: u32 = 8;
/// Bytes of look-ahead, at most.
const AHEAD: usize = 1024;
/// Bytes of a run that are asked for in advance.
const MOST_AHEAD: usize = 4096;

#[inline(always)]
const fn const_layout(size: usize, align: usize) -> SlotLayout {
    SlotLayout::of(size_of::<Head>(), align_of::<Head>(), size, align)
}

/// A short pause after losing an exchange, longer the more were lost.
#[cold]
fn lost(times: &mut u32) {
    for _ in 0..(8_u32 << (*times).min(4)) {
        pause();
    }
    *times += 1;
}

// SAFETY: linearizable at the steps of the module's table; the argument is
// there (I1-I5), the checks are listed under Evidence.
unsafe impl<Sh: Shape, P: Profile> RawRing<Sh> for TurnRing<Sh, P> {
    const TRAITS: Traits = Traits {
        name: "turn",
        producers: Arity::Many,
        consumers: Arity::Many,
        returns: "always; repeats only when another call got through",
        stopped_thread: "can hold others `Busy`",
        survives_kill: false,
        shared: true,
        records: false,
        source: "D. Vyukov, bounded MPMC queue, 2010",
        steps: STEPS,
    };
    type Producer = Pace;
    type Consumer = Pace;

    fn footprint(geometry: &Geometry<Sh>) -> Result<Layout, BuildError> {
        if geometry.capacity as u64 > 1 << 48 {
            return Err(BuildError::Invalid("capacity is above 2^48".into()));
        }
        let slot = Self::slot_layout(geometry.shape.size(), geometry.shape.align());
        geometry
            .array(Layout::new::<Header>(), slot)
            .map(|(whole, _)| whole)
    }

    unsafe fn init(at: NonNull<u8>, geometry: &Geometry<Sh>) {
        // SAFETY: the caller gives a region of the footprint; no words yet.
        unsafe {
            // Word by word: the padding stays zero.
            let header = at.cast::<Header>().as_ptr();
            (&raw mut (*header).push.0).write(Word::new(0));
            (&raw mut (*header).pop.0).write(Word::new(0));
            let ring = Self::attach(at, geometry);
            for index in 0..geometry.capacity {
                let slot = ring
                    .slots
                    .as_ptr()
                    .add(index * ring.layout.stride)
                    .cast::<Head>();
                let turn = Word::new((index as u64) << PHASE_BITS);
                slot.write(Head {
                    turn,
                    tracker: Tracker::new(),
                });
            }
        }
    }

    unsafe fn attach(at: NonNull<u8>, geometry: &Geometry<Sh>) -> Self {
        let layout = Self::slot_layout(geometry.shape.size(), geometry.shape.align());
        let (_, offset) = geometry
            .array(Layout::new::<Header>(), layout)
            .expect("the footprint of this geometry was computed before");
        let index_bits = (geometry.capacity as u64 - 1)
            .checked_ilog2()
            .map_or(0, |b| b + 1);
        let one_lap = ONE << index_bits;
        Self {
            header: at.cast(),
            // SAFETY: the offset lies inside the footprint.
            slots: unsafe { at.add(offset) },
            capacity: geometry.capacity,
            goal: Pace::goal(geometry.capacity, layout.stride),
            ahead: (geometry.capacity * layout.stride / 4).min(AHEAD),
            index_mask: one_lap - ONE,
            one_lap,
            layout,

            profile: PhantomData,
        }
    }

    unsafe fn finish(&self) {
        // SAFETY: the caller is the last user; `init` wrote these words.
        unsafe {
            for index in 0..self.capacity {
                let slot = self.slots.as_ptr().add(index * self.layout.stride);
                slot.cast::<Head>().drop_in_place();
            }
            self.header.drop_in_place();
        }
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn positions(&self) -> (u64, u64) {
        // Pop first: it never passes push, so the difference is not negative.
        let popped = self.header().pop.load(P::acquire(LOOK_POP));
        let pushed = self.header().push.load(P::acquire(LOOK_PUSH));
        (self.position(pushed), self.position(popped))
    }

    fn new_producer(&self) -> Result<Pace, BuildError> {
        Ok(Pace::default())
    }

    fn new_consumer(&self) -> Result<Pace, BuildError> {
        Ok(Pace::default())
    }

    #[inline(always)]
    fn resume_producer(&self, hint: u32) -> Pace {
        Pace::from_hint(hint)
    }
    #[inline(always)]
    fn resume_consumer(&self, hint: u32) -> Pace {
        Pace::from_hint(hint)
    }
    #[inline(always)]
    fn producer_hint(side: &Pace) -> u32 {
        side.hint()
    }
    #[inline(always)]
    fn consumer_hint(side: &Pace) -> u32 {
        side.hint()
    }

    #[inline(always)]
    unsafe fn try_claim(&self, pace: &mut Pace) -> Result<Lease, PushRefusal> {
        let header = self.header();
        let ticket = header.push.load(P::relaxed(PUSH_TICKET));
        let (head, payload) = self.slot_of(ticket);
        // Computed before the slot is looked at, so that nothing is reloaded.
        let next = self.next(ticket, 1);
        // A sealed ticket has the top bit, no turn has: it is not taken here.
        if head.turn.load(P::acquire(PUSH_TURN)) == ticket && !pace.blocked() {
            self.look_ahead(head);
            if header
                .push
                .compare_exchange(ticket, next, P::relaxed(PUSH_CLAIM))
                .is_ok()
            {
                return Ok(Lease {
                    payload,
                    tracker: &raw const head.tracker,
                    ticket,
                });
            }
        }
        self.claim_again(pace)
    }

    #[inline(always)]
    unsafe fn try_commit(&self, _: &mut Pace, claim: Lease) -> Result<(), (Lease, PushRefusal)> {
        let head = self.head_of(&claim);
        head.turn
            .store(claim.ticket.wrapping_add(FULL), P::release(PUSH_PUBLISH));
        Ok(())
    }

    unsafe fn abandon(&self, _: &mut Pace, claim: Lease) {
        let head = self.head_of(&claim);
        head.turn
            .store(claim.ticket.wrapping_add(VOID), P::release(PUSH_VOID));
    }

    #[inline(always)]
    unsafe fn try_take(&self, side: &mut Pace) -> Result<Lease, PopRefusal> {
        // SAFETY: the caller's promise.
        unsafe { super::take_any(self, side) }
    }

    #[inline(always)]
    unsafe fn try_take_if(
        &self,
        pace: &mut Pace,
        mut accept: impl FnMut(*mut u8) -> bool,
    ) -> Result<Option<Lease>, PopRefusal> {
        let header = self.header();
        let ticket = header.pop.load(P::relaxed(POP_TICKET));
        let (head, payload) = self.slot_of(ticket);
        let next = self.next(ticket, 1);
        if head.turn.load(P::acquire(POP_TURN)) == ticket.wrapping_add(FULL) && !pace.blocked() {
            if !accept(payload) {
                return match self.is_still(head, ticket) {
                    true => Ok(None),
                    false => self.take_again(pace, accept),
                };
            }
            self.look_ahead(head);
            if header
                .pop
                .compare_exchange(ticket, next, P::relaxed(POP_CLAIM))
                .is_ok()
            {
                return Ok(Some(Lease {
                    payload,
                    tracker: &raw const head.tracker,
                    ticket,
                }));
            }
        }
        self.take_again(pace, accept)
    }

    #[inline(always)]
    unsafe fn release(&self, _: &mut Pace, taken: Lease) {
        let head = self.head_of(&taken);
        head.turn
            .store(self.lap_on(taken.ticket), P::release(POP_RECYCLE));
    }

    #[inline(always)]
    unsafe fn push_straight(&self, pace: &mut Pace, write: impl FnOnce(*mut u8)) -> bool {
        let Some(claim) = self.claim_once(*pace) else {
            return false;
        };
        // SAFETY: claimed, and committed here.
        unsafe {
            claim.write(write);
            self.try_commit(pace, claim).is_ok()
        }
    }

    #[inline(always)]
    unsafe fn pop_straight(&self, pace: &mut Pace, read: impl FnOnce(*mut u8)) -> bool {
        let Some(Some(taken)) = self.take_once(*pace, |_| true) else {
            return false;
        };
        // SAFETY: taken, and released here.
        unsafe {
            taken.read(read);
            self.release(pace, taken);
        }
        true
    }

    #[inline]
    unsafe fn push_run(
        &self,
        pace: &mut Pace,
        n: usize,
        mut fill: impl FnMut(*mut u8) -> bool,
        _: impl FnMut(*mut u8),
    ) -> Result<usize, PushRefusal> {
        let header = self.header();
        let mut ticket = header.push.load(P::relaxed(PUSH_TICKET));
        let mut times = 0;
        let count = loop {
            // ORDER: acquire, each of them: every slot's last payload is out.
            let count = self.run_length(pace, ticket, n, 0, P::acquire(PUSH_TURN));
            if count == 0 {
                let (head, _) = self.slot_of(ticket);
                let turn = head.turn.load(P::acquire(PUSH_TURN));
                if turn != ticket {
                    ticket = self.push_blocked(ticket, turn)?;
                }
                continue;
            }
            let next = self.next(ticket, count as u64);
            match header
                .push
                .compare_exchange(ticket, next, P::relaxed(PUSH_CLAIM))
            {
                Ok(_) => break count,
                Err(now) => {
                    ticket = now;
                    lost(&mut times);
                }
            }
        };
        self.fetch_ahead(pace, ticket, count, n);
        // If `fill` ends early (or unwinds), what it did not fill goes void.
        let mut rest = Unfilled {
            ring: self,
            ticket,
            filled: 0,
            count,
        };
        self.walk(ticket, count, |head, lease| {
            // SAFETY: I2: the exchange gave this thread the whole run.
            let filled = unsafe { lease.write(&mut fill) };
            if filled {
                head.turn
                    .store(lease.ticket.wrapping_add(FULL), P::release(PUSH_PUBLISH));
                rest.filled += 1;
            }
            filled
        });
        Ok(rest.filled)
    }

    #[inline]
    unsafe fn pop_run(
        &self,
        pace: &mut Pace,
        n: usize,
        mut read: impl FnMut(*mut u8),
    ) -> Result<usize, PopRefusal> {
        let header = self.header();
        let mut ticket = header.pop.load(P::relaxed(POP_TICKET));
        let mut times = 0;
        let count = loop {
            let count = self.run_length(pace, ticket, n, FULL, P::acquire(POP_TURN));
            if count == 0 {
                let (head, _) = self.slot_of(ticket);
                let turn = head.turn.load(P::acquire(POP_TURN));
                if turn != ticket.wrapping_add(FULL) {
                    ticket = self.pop_blocked(ticket, turn)?;
                }
                continue;
            }
            let next = self.next(ticket, count as u64);
            match header
                .pop
                .compare_exchange(ticket, next, P::relaxed(POP_CLAIM))
            {
                Ok(_) => break count,
                Err(now) => {
                    ticket = now;
                    lost(&mut times);
                }
            }
        };
        self.fetch_ahead(pace, ticket, count, n);
        self.walk(ticket, count, |head, lease| {
            // SAFETY: I2 and I3: written, and this thread's alone.
            unsafe { lease.read(&mut read) };
            head.turn
                .store(self.lap_on(lease.ticket), P::release(POP_RECYCLE));
            true
        });
        Ok(count)
    }

    unsafe fn claim_at(&self, _: &mut Pace, payload: *mut u8) -> Option<Lease> {
        let (index, turn) = self.turn_at(payload)?;
        let push = self.header().push.load(P::acquire(LOOK_PUSH));
        let claimed = self.position(turn) < self.position(push);
        (self.index_of(turn) == index && turn & (ONE - 1) == 0 && claimed).then(|| self.lease(turn))
    }

    unsafe fn taken_at(&self, _: &mut Pace, payload: *mut u8) -> Option<Lease> {
        let (index, turn) = self.turn_at(payload)?;
        let ticket = turn.wrapping_sub(FULL);
        let pop = self.header().pop.load(P::acquire(LOOK_POP));
        let taken = self.position(ticket) < self.position(pop);
        (self.index_of(ticket) == index && ticket & (ONE - 1) == 0 && taken)
            .then(|| self.lease(ticket))
    }

    fn seal(&self) -> bool {
        self.header().push.fetch_or(SEALED, P::acq_rel(SEAL_MARK));
        true
    }

    fn is_sealed(&self) -> bool {
        self.header().push.load(P::acquire(LOOK_PUSH)) & SEALED != 0
    }

    unsafe fn for_each_left(&self, mut f: impl FnMut(*mut u8)) {
        let end = self.header().push.load(P::acquire(LOOK_PUSH)) & !SEALED;
        let mut ticket = self.header().pop.load(P::acquire(LOOK_POP));
        while ticket != end {
            let (head, payload) = self.slot_of(ticket);
            // A leaked claim is neither full nor void: nothing to drop there.
            if head.turn.load(P::acquire(POP_TURN)) == ticket.wrapping_add(FULL) {
                f(payload);
            }
            ticket = self.next(ticket, 1);
        }
    }
}

impl<Sh: Shape, P: Profile> TurnRing<Sh, P> {
    /// The slot index whose payload lies at `payload`, and its turn.
    fn turn_at(&self, payload: *mut u8) -> Option<(u64, u64)> {
        let layout = self.layout();
        let distance =
            (payload as usize).checked_sub(self.slots.as_ptr() as usize + layout.offset)?;
        let index = distance / layout.stride;
        if distance % layout.stride != 0 || index >= self.capacity {
            return None;
        }
        let (head, _) = self.slot_of((index as u64) << PHASE_BITS);
        Some((index as u64, head.turn.load(P::relaxed(LOOK_TURN))))
    }
}

/// A claimed run; dropped, what was not filled goes void.
struct Unfilled<'a, Sh: Shape, P: Profile> {
    ring: &'a TurnRing<Sh, P>,
    ticket: u64,
    filled: usize,
    count: usize,
}

impl<Sh: Shape, P: Profile> Drop for Unfilled<'_, Sh, P> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.filled < self.count {
            let rest = self.ring.next(self.ticket, self.filled as u64);
            self.ring
                .walk(rest, self.count - self.filled, |head, lease| {
                    head.turn
                        .store(lease.ticket.wrapping_add(VOID), P::release(PUSH_VOID));
                    true
                });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::Typed;

    /// A ring in memory of its own, all of whose tickets begin at `first`.
    fn ring_at(
        capacity: usize,
        laps_before_the_wrap: u64,
    ) -> (TurnRing<Typed<u64>, Tuned>, Layout) {
        let geometry = Geometry::new(capacity, Typed::new(), false);
        let layout = TurnRing::<Typed<u64>, Tuned>::footprint(&geometry).unwrap();
        // SAFETY: a fresh, zeroed region of the footprint; freed by `free`.
        let ring = unsafe {
            let at = NonNull::new(std::alloc::alloc_zeroed(layout)).unwrap();
            TurnRing::<Typed<u64>, Tuned>::init(at, &geometry);
            TurnRing::<Typed<u64>, Tuned>::attach(at, &geometry)
        };
        let first = SEALED - laps_before_the_wrap * ring.one_lap;
        ring.header().push.store(first, Tuned::relaxed(PUSH_CLAIM));
        ring.header().pop.store(first, Tuned::relaxed(POP_CLAIM));
        for index in 0..capacity as u64 {
            let ticket = first + index * ONE;
            ring.slot_of(ticket)
                .0
                .turn
                .store(ticket, Tuned::relaxed(POP_RECYCLE));
        }
        (ring, layout)
    }

    fn free((ring, layout): (TurnRing<Typed<u64>, Tuned>, Layout)) {
        // SAFETY: allocated with this layout, and the last use.
        unsafe {
            ring.finish();
            std::alloc::dealloc(ring.header.as_ptr().cast(), layout);
        }
    }

    const CAPACITIES: [usize; 7] = [1, 2, 3, 4, 5, 8, 100];

    #[test]
    fn the_next_ticket_of_the_last_lap_is_the_first() {
        for capacity in CAPACITIES {
            let made = ring_at(capacity, 1);
            let ring = &made.0;
            let first = SEALED - ring.one_lap;
            let last = first + (capacity as u64 - 1) * ONE;
            assert_eq!(ring.next(last, 1), 0, "capacity {capacity}");
            assert_eq!(ring.next(first, capacity as u64), 0);
            assert_eq!(ring.lap_on(first), 0);
            assert_eq!(ring.lap_on(last), last - first);
            for n in 0..=capacity as u64 {
                let one_by_one = (0..n).fold(first, |ticket, _| ring.next(ticket, 1));
                assert_eq!(ring.next(first, n), one_by_one);
                assert_eq!(one_by_one & SEALED, 0, "the sealed bit stays clear");
            }
            assert!(ring.lap_behind(0, first) && ring.lap_behind(0, first + FULL));
            assert!(ring.lap_behind(0, first + VOID) && !ring.lap_behind(0, 0));
            assert!(ring.lap_behind(last - first, last) && !ring.lap_behind(first, 0));
            free(made);
        }
    }

    #[test]
    fn positions_count_places_not_tickets() {
        for capacity in CAPACITIES {
            let made = ring_at(capacity, 4);
            let ring = &made.0;
            let (mut ticket, before) = (0, ring.position(0));
            for n in 0..5 * capacity as u64 {
                assert_eq!(ring.position(ticket), before + n, "capacity {capacity}");
                assert_eq!(ring.position(ticket | SEALED), before + n);
                assert!(ring.index_of(ticket) < capacity as u64);
                ticket = ring.next(ticket, 1);
            }
            free(made);
        }
    }

    #[test]
    fn a_ring_goes_on_over_the_end_of_its_tickets() {
        for capacity in CAPACITIES {
            for by_runs in [false, true] {
                let made = ring_at(capacity, 2);
                let ring = &made.0;
                let (mut tx, mut rx) = (ring.new_producer().unwrap(), ring.new_consumer().unwrap());
                let (mut next, mut expected) = (0, 0);
                for lap in 0..5 {
                    // SAFETY: one thread; payloads are written and moved out whole.
                    unsafe {
                        while next < expected + capacity as u64 {
                            if by_runs {
                                let room = expected + capacity as u64 - next;
                                let fill = |slot: *mut u8| {
                                    slot.cast::<u64>().write(next);
                                    next += 1;
                                    true
                                };
                                let n = ring.push_run(&mut tx, capacity + 1, fill, |_| {});
                                assert!((1..=room as usize).contains(&n.unwrap()));
                            } else {
                                let claim = ring.try_claim(&mut tx).unwrap();
                                claim.write(|slot| slot.cast::<u64>().write(next));
                                ring.try_commit(&mut tx, claim).unwrap();
                                next += 1;
                            }
                        }
                        assert_eq!(ring.try_claim(&mut tx).unwrap_err(), PushRefusal::Full);
                        // One slot over the end, so that laps begin everywhere.
                        for _ in 0..capacity {
                            let taken = ring.try_take(&mut rx).unwrap();
                            assert_eq!(taken.read(|slot| slot.cast::<u64>().read()), expected);
                            ring.release(&mut rx, taken);
                            expected += 1;
                        }
                        assert_eq!(ring.try_take(&mut rx).unwrap_err(), PopRefusal::Empty);
                        // A void in every lap, taken away by the pop.
                        let claim = ring.try_claim(&mut tx).unwrap();
                        ring.abandon(&mut tx, claim);
                        assert_eq!(
                            ring.try_take(&mut rx).unwrap_err(),
                            PopRefusal::Empty,
                            "lap {lap}"
                        );
                    }
                }
                assert!(
                    ring.header().push.load(Tuned::relaxed(LOOK_PUSH)) < SEALED / 2,
                    "it wrapped"
                );
                ring.seal();
                // SAFETY: as above.
                unsafe {
                    assert_eq!(ring.try_claim(&mut tx).unwrap_err(), PushRefusal::Closed);
                    assert_eq!(ring.try_take(&mut rx).unwrap_err(), PopRefusal::Closed);
                }
                free(made);
            }
        }
    }
}
