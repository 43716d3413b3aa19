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
//! | `POP_FENCE` | fence | seq_cst | `PUSH_FENCE` | `Empty` is decided after everything before this call |
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
//! | `Closed` of a push | `PUSH_TICKET` or `PUSH_RETRY` |
//!
//! # Progress
//!
//! *Returns*: a call repeats only when another call moved a ticket, so some
//! call always completes. *Succeeds*: a thread stopped between its claim and
//! its publication makes the others answer `Busy` at its slot until it goes
//! on; it does not make them wait inside a `try_` call.
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
//! `docs/stall.md`. Not proved yet: the model and its proof come with the
//! verification work (`proofs/README.md`).

use std::alloc::Layout;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::{
    Arity, Engine, Geometry, Lease, PopRefusal, PushRefusal, RawRing, Shape, SlotLayout, Strategy,
    Traits,
};
use crate::atomic::{Padded, Profile, Tracker, Tuned, Word, fence, mutate::skip, pause};
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
/// Phases, added to a ticket: a free slot's turn is the ticket itself.
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

/// One side's private state: pacing only, never needed for correctness.
#[derive(Debug, Default)]
pub struct Pace {
    /// Answered `Full` or `Empty` since the last success.
    blocked: bool,
    /// Successes to let pass before gathering is tried again.
    rest: u32,
}

impl<Sh: Shape, P: Profile> TurnRing<Sh, P> {
    const fn slot_layout(size: usize, align: usize) -> SlotLayout {
        SlotLayout::of(size_of::<Head>(), align_of::<Head>(), size, align)
    }

    #[inline(always)]
    fn layout(&self) -> SlotLayout {
        match Sh::STATIC {
            Some((size, align)) => const_layout::<Sh>(size, align),
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
            ticket + n * ONE
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

    #[inline(always)]
    fn lease(&self, ticket: u64) -> Lease {
        let (head, payload) = self.slot_of(ticket);
        Lease { payload, tracker: &raw const head.tracker, ticket }
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
                return if self.clear_void(pop) { Ok(ticket) } else { Err(PushRefusal::Full) };
            }
            let (head, _) = self.slot_of(ticket);
            if skip(PUSH_RECHECK) || head.turn.load(P::acquire(PUSH_RECHECK)) == seen {
                let now = header.push.load(P::relaxed(PUSH_RETRY));
                // A ticket that moved on was not this slot's: look again.
                return if now == ticket { Err(PushRefusal::Busy) } else { Ok(now) };
            }
        }
        // ORDER: relaxed: `PUSH_TURN` acquired a turn that some push published
        // after moving the ticket, so a ticket beyond this one is visible.
        match header.push.load(P::relaxed(PUSH_RETRY)) {
            // Only another process that writes nonsense can bring this about.
            now if now == ticket => Err(PushRefusal::Busy),
            now => Ok(now),
        }
    }

    /// Whether `turn` still belongs to the lap before `ticket`'s.
    #[inline(always)]
    fn lap_behind(&self, ticket: u64, turn: u64) -> bool {
        (turn & !(ONE - 1)) == ticket.wrapping_sub(self.one_lap) & !SEALED
    }

    /// If the oldest slot is void, gives it back and answers `true`.
    fn clear_void(&self, pop: u64) -> bool {
        let (head, _) = self.slot_of(pop);
        if head.turn.load(P::acquire(POP_TURN)) != pop + VOID {
            return false;
        }
        if self.header().pop.compare_exchange(pop, self.next(pop, 1), P::relaxed(POP_CLAIM)).is_ok() {
            head.turn.store(self.lap_on(pop), P::release(POP_RECYCLE));
        }
        true
    }

    /// Finds out why slot(ticket) was not full. `Ok` is the ticket to try next.
    #[cold]
    #[inline(never)]
    fn pop_blocked(&self, ticket: u64, seen: u64) -> Result<u64, PopRefusal> {
        let header = self.header();
        if seen == ticket + VOID {
            self.clear_void(ticket);
            return Ok(header.pop.load(P::relaxed(POP_RETRY)));
        }
        if seen == ticket {
            // ORDER: seq_cst, as in `push_blocked`.
            fence(P::seq_cst(POP_FENCE));
            let push = header.push.load(P::acquire(POP_PUSH_TICKET));
            if skip(POP_PUSH_TICKET) || push & !SEALED == ticket {
                // I5: with the sealed bit set nothing more will come.
                let closed = push & SEALED != 0;
                return Err(if closed { PopRefusal::Closed } else { PopRefusal::Empty });
            }
            let (head, _) = self.slot_of(ticket);
            if skip(POP_RECHECK) || head.turn.load(P::acquire(POP_RECHECK)) == seen {
                let now = header.pop.load(P::relaxed(POP_RETRY));
                return if now == ticket { Err(PopRefusal::Busy) } else { Ok(now) };
            }
        }
        match header.pop.load(P::relaxed(POP_RETRY)) {
            now if now == ticket => Err(PopRefusal::Busy), // as in `push_blocked`
            now => Ok(now),
        }
    }

    /// Slots from `ticket` on, up to `n`, whose turn is `phase` of their own
    /// ticket.
    #[inline(always)]
    fn run_length(&self, ticket: u64, n: usize, phase: u64, order: crate::atomic::Order) -> usize {
        let mut at = ticket;
        for found in 0..n.min(self.capacity) {
            let (head, _) = self.slot_of(at);
            if head.turn.load(order) != at + phase {
                return found;
            }
            at = self.next(at, 1);
        }
        n.min(self.capacity)
    }
}

#[inline(always)]
const fn const_layout<Sh: Shape>(size: usize, align: usize) -> SlotLayout {
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
        geometry.array(Layout::new::<Header>(), slot).map(|(whole, _)| whole)
    }

    unsafe fn init(at: NonNull<u8>, geometry: &Geometry<Sh>) {
        // SAFETY: the caller gives a region of the footprint; no words yet.
        unsafe {
            let header = Header { push: Padded(Word::new(0)), pop: Padded(Word::new(0)) };
            at.cast::<Header>().write(header);
            let ring = Self::attach(at, geometry);
            for index in 0..geometry.capacity {
                let slot = ring.slots.as_ptr().add(index * ring.layout.stride).cast::<Head>();
                let turn = Word::new((index as u64) << PHASE_BITS);
                slot.write(Head { turn, tracker: Tracker::new() });
            }
        }
    }

    unsafe fn attach(at: NonNull<u8>, geometry: &Geometry<Sh>) -> Self {
        let layout = Self::slot_layout(geometry.shape.size(), geometry.shape.align());
        let (_, offset) = geometry
            .array(Layout::new::<Header>(), layout)
            .expect("the footprint of this geometry was computed before");
        let index_bits = (geometry.capacity as u64 - 1).checked_ilog2().map_or(0, |b| b + 1);
        let one_lap = ONE << index_bits;
        Self {
            header: at.cast(),
            // SAFETY: the offset lies inside the footprint.
            slots: unsafe { at.add(offset) },
            capacity: geometry.capacity,
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

    fn new_producer(&self) -> Pace {
        Pace::default()
    }

    fn new_consumer(&self) -> Pace {
        Pace::default()
    }

    #[inline(always)]
    unsafe fn try_claim(&self, _: &mut Pace) -> Result<Lease, PushRefusal> {
        let header = self.header();
        let mut ticket = header.push.load(P::relaxed(PUSH_TICKET));
        let mut times = 0;
        loop {
            let (head, _) = self.slot_of(ticket);
            let turn = head.turn.load(P::acquire(PUSH_TURN));
            if turn == ticket {
                // A sealed ticket has the top bit, no turn has: it never gets here.
                let next = self.next(ticket, 1);
                match header.push.compare_exchange(ticket, next, P::relaxed(PUSH_CLAIM)) {
                    Ok(_) => return Ok(self.lease(ticket)),
                    Err(now) => {
                        ticket = now;
                        lost(&mut times);
                    }
                }
            } else {
                ticket = self.push_blocked(ticket, turn)?;
            }
        }
    }

    #[inline(always)]
    unsafe fn try_commit(&self, _: &mut Pace, claim: Lease) -> Result<(), (Lease, PushRefusal)> {
        let (head, _) = self.slot_of(claim.ticket);
        head.turn.store(claim.ticket + FULL, P::release(PUSH_PUBLISH));
        Ok(())
    }

    unsafe fn abandon(&self, _: &mut Pace, claim: Lease) {
        let (head, _) = self.slot_of(claim.ticket);
        head.turn.store(claim.ticket + VOID, P::release(PUSH_VOID));
    }

    #[inline(always)]
    unsafe fn try_take_if(
        &self,
        _: &mut Pace,
        mut accept: impl FnMut(*mut u8) -> bool,
    ) -> Result<Option<Lease>, PopRefusal> {
        let header = self.header();
        let mut ticket = header.pop.load(P::relaxed(POP_TICKET));
        let mut times = 0;
        loop {
            let (head, payload) = self.slot_of(ticket);
            let turn = head.turn.load(P::acquire(POP_TURN));
            if turn == ticket + FULL {
                if !accept(payload) {
                    return Ok(None);
                }
                let next = self.next(ticket, 1);
                match header.pop.compare_exchange(ticket, next, P::relaxed(POP_CLAIM)) {
                    Ok(_) => return Ok(Some(self.lease(ticket))),
                    Err(now) => {
                        ticket = now;
                        lost(&mut times);
                    }
                }
            } else {
                ticket = self.pop_blocked(ticket, turn)?;
            }
        }
    }

    #[inline(always)]
    unsafe fn release(&self, _: &mut Pace, taken: Lease) {
        let (head, _) = self.slot_of(taken.ticket);
        head.turn.store(self.lap_on(taken.ticket), P::release(POP_RECYCLE));
    }

    #[inline]
    unsafe fn push_run(
        &self,
        _: &mut Pace,
        n: usize,
        mut fill: impl FnMut(*mut u8) -> bool,
    ) -> Result<usize, PushRefusal> {
        let header = self.header();
        let mut ticket = header.push.load(P::relaxed(PUSH_TICKET));
        let mut times = 0;
        let count = loop {
            // ORDER: acquire, each of them: every slot's last payload is out.
            let count = self.run_length(ticket, n, 0, P::acquire(PUSH_TURN));
            if count == 0 {
                let (head, _) = self.slot_of(ticket);
                let turn = head.turn.load(P::acquire(PUSH_TURN));
                if turn != ticket {
                    ticket = self.push_blocked(ticket, turn)?;
                }
                continue;
            }
            let next = self.next(ticket, count as u64);
            match header.push.compare_exchange(ticket, next, P::relaxed(PUSH_CLAIM)) {
                Ok(_) => break count,
                Err(now) => {
                    ticket = now;
                    lost(&mut times);
                }
            }
        };
        // If `fill` ends early (or unwinds), what it did not fill goes void.
        let mut rest = Unfilled { ring: self, ticket, left: count };
        while rest.left > 0 {
            let lease = self.lease(rest.ticket);
            // SAFETY: I2: the exchange gave this thread the whole run.
            if !unsafe { lease.write(&mut fill) } {
                break;
            }
            let (head, _) = self.slot_of(rest.ticket);
            head.turn.store(rest.ticket + FULL, P::release(PUSH_PUBLISH));
            rest.ticket = self.next(rest.ticket, 1);
            rest.left -= 1;
        }
        Ok(count - rest.left)
    }

    #[inline]
    unsafe fn pop_run(
        &self,
        _: &mut Pace,
        n: usize,
        mut read: impl FnMut(*mut u8),
    ) -> Result<usize, PopRefusal> {
        let header = self.header();
        let mut ticket = header.pop.load(P::relaxed(POP_TICKET));
        let mut times = 0;
        let count = loop {
            let count = self.run_length(ticket, n, FULL, P::acquire(POP_TURN));
            if count == 0 {
                let (head, _) = self.slot_of(ticket);
                let turn = head.turn.load(P::acquire(POP_TURN));
                if turn != ticket + FULL {
                    ticket = self.pop_blocked(ticket, turn)?;
                }
                continue;
            }
            let next = self.next(ticket, count as u64);
            match header.pop.compare_exchange(ticket, next, P::relaxed(POP_CLAIM)) {
                Ok(_) => break count,
                Err(now) => {
                    ticket = now;
                    lost(&mut times);
                }
            }
        };
        for _ in 0..count {
            let lease = self.lease(ticket);
            // SAFETY: I2 and I3: written, and this thread's alone.
            unsafe { lease.read(&mut read) };
            let (head, _) = self.slot_of(ticket);
            head.turn.store(self.lap_on(ticket), P::release(POP_RECYCLE));
            ticket = self.next(ticket, 1);
        }
        Ok(count)
    }

    unsafe fn claim_at(&self, _: &mut Pace, payload: *mut u8) -> Option<Lease> {
        let (index, turn) = self.turn_at(payload)?;
        let push = self.header().push.load(P::acquire(LOOK_PUSH));
        let claimed = self.position(turn) < self.position(push);
        (self.index_of(turn) == index && turn & (ONE - 1) == 0 && claimed)
            .then(|| self.lease(turn))
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
            if head.turn.load(P::acquire(POP_TURN)) == ticket + FULL {
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
        let distance = (payload as usize).checked_sub(self.slots.as_ptr() as usize + layout.offset)?;
        let index = distance / layout.stride;
        if distance % layout.stride != 0 || index >= self.capacity {
            return None;
        }
        let (head, _) = self.slot_of((index as u64) << PHASE_BITS);
        Some((index as u64, head.turn.load(P::acquire(LOOK_TURN))))
    }
}

/// Claimed slots that have not been filled yet; dropped, they go void.
struct Unfilled<'a, Sh: Shape, P: Profile> {
    ring: &'a TurnRing<Sh, P>,
    ticket: u64,
    left: usize,
}

impl<Sh: Shape, P: Profile> Drop for Unfilled<'_, Sh, P> {
    #[inline(always)]
    fn drop(&mut self) {
        while self.left > 0 {
            let (head, _) = self.ring.slot_of(self.ticket);
            head.turn.store(self.ticket + VOID, P::release(PUSH_VOID));
            self.ticket = self.ring.next(self.ticket, 1);
            self.left -= 1;
        }
    }
}
