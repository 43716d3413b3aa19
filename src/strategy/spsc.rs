//! One producer, one consumer.
//!
//! Source: L. Lamport, *Specifying Concurrent Program Modules*, TOPLAS 1983
//! (the ring of two indices); cached indices as in Lee, Bu, Chandranmenon,
//! *MCRingBuffer*, IPDPS 2010, section 3. Differs from both in: closing by
//! anyone, exact with a stopped producer; run-time element sizes.
//!
//! # Idea
//!
//! 1. Each side owns one position and keeps a private copy of the other's.
//! 2. It looks at the other's position only when its copy says *full* or
//!    *empty*, so in a moving ring most calls touch no foreign line.
//! 3. Push: write the payload, enter, see that the ring is not sealed, publish
//!    the next position. Pop: read the payload, publish the next position.
//! 4. Sealing needs no read-modify-write in a push: the sealer marks the
//!    ring, makes every thread pass a barrier, and then knows that a producer
//!    it does not see inside will see the mark.
//!
//! # State
//!
//! | word | meaning | range |
//! |---|---|---|
//! | `written` | 2 × elements pushed, + 1 while a push decides | 63-bit count |
//! | `taken` | elements popped | 63-bit count |
//! | `sealed` | bit 0: marked; bit 1: every thread has passed the barrier | 0, 1, 3 |
//!
//! Counts may grow to 2^62 elements: 146 years at 10^9 a second.
//!
//! # Invariants
//!
//! * I1: taken ≤ written/2 ≤ taken + capacity.
//! * I2: slots from `taken` up to `written/2` are written and the consumer's;
//!   the others are the producer's.
//! * I3: the private copies are never ahead of the words they copy.
//! * I4: after bit 1 of `sealed` is set, a push that enters sees bit 0; so once
//!   `written` is even after that, it only ever flickers and never grows.
//!
//! # Steps
//!
//! | step | access | order | pairs with | why |
//! |---|---|---|---|---|
//! | `PUSH_HEAD` | load taken | acquire | `POP_RELEASE` | the slot's last payload has been moved out |
//! | `PUSH_FENCE` | fence | seq_cst | `POP_FENCE` | `Full` is decided after everything before this call |
//! | `PUSH_ENTER` | store written | release | `SEAL_LOOK`, `POP_WRITTEN` | the sealer sees a push that may not have seen the mark; whoever reads it instead of the last `PUSH_PUBLISH` has those payloads |
//! | `PUSH_SEALED` | load sealed | relaxed | `SEAL_MARK` | ordered after `PUSH_ENTER` by the asymmetric barrier |
//! | `PUSH_LEAVE` | store written | release | `POP_WRITTEN` | refused: nothing more to come |
//! | `PUSH_PUBLISH` | store written | release | `POP_WRITTEN` | the payload is visible |
//! | `POP_WRITTEN` | load written | acquire | `PUSH_PUBLISH` | the payload is visible |
//! | `POP_FENCE` | fence | seq_cst | `PUSH_FENCE` | `Empty` is decided after everything before this call |
//! | `POP_SEALED` | load sealed | acquire | `SEAL_DONE` | read before `POP_LAST`: what is inside then is all |
//! | `POP_LAST` | load written | acquire | `PUSH_PUBLISH`, `PUSH_LEAVE` | empty, closed, or one more |
//! | `POP_RELEASE` | store taken | release | `PUSH_HEAD` | the payload has been moved out |
//! | `SEAL_MARK` | or sealed | seq_cst | `PUSH_SEALED` | pushes that enter from now on are refused |
//! | `SEAL_LOOK` | load written | acquire | `PUSH_ENTER` | whether a push is still deciding |
//! | `SEAL_DONE` | or sealed | release | `POP_SEALED` | everyone has passed the barrier |
//! | `LOOK_WRITTEN`, `LOOK_TAKEN`, `LOOK_SEALED` | loads | acquire | – | handles, lengths, diagnosis |
//!
//! # Linearization
//!
//! | outcome | step |
//! |---|---|
//! | pushed | `PUSH_PUBLISH` |
//! | popped | `POP_RELEASE` |
//! | `Full` | `PUSH_HEAD` |
//! | `Empty` | `POP_WRITTEN` or `POP_LAST` |
//! | `Closed` | `PUSH_SEALED`; for a pop `POP_LAST` |
//!
//! # Progress
//!
//! *Returns and succeeds*: wait-free, at most 5 shared accesses a call,
//! whatever the other side does. A stopped producer leaves its consumer with
//! `Empty` (which is true), a stopped consumer its producer with `Full`. A
//! producer stopped between `PUSH_ENTER` and its next store delays the answer
//! `Closed` to the consumer; until then it hears `Empty`.
//!
//! # Limits
//!
//! One outstanding claim and one outstanding take. A leaked claim or take is
//! lent again by the next one.
//!
//! # Evidence
//!
//! `tests/model_loom.rs`, `tests/orders.rs`, `tests/model_shuttle.rs`,
//! `tests/conformance.rs`, `tests/stress.rs`, the stall table in
//! `docs/stall.md`. Not proved yet: `proofs/README.md`.

use std::alloc::Layout;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::pace::{Look, Pace};
use super::{
    Arity, Engine, Geometry, Lease, PopRefusal, PushRefusal, RawRing, Shape, SlotLayout, Strategy,
    Traits,
};
use crate::atomic::{
    Gate, Padded, Profile, Tracker, Tuned, Word, fence, light_barrier, prefetch_write,
};
use crate::error::BuildError;

crate::steps! {
    /// Producer reads the consumer's position.
    PUSH_HEAD;
    /// Producer orders `Full` after what came before.
    PUSH_FENCE;
    /// Producer shows that it is deciding.
    PUSH_ENTER;
    /// Producer looks for the mark.
    PUSH_SEALED;
    /// Producer shows that it was refused.
    PUSH_LEAVE;
    /// Producer publishes its next position.
    PUSH_PUBLISH;
    /// Consumer reads the producer's position.
    POP_WRITTEN;
    /// Consumer orders `Empty` after what came before.
    POP_FENCE;
    /// Consumer looks for the mark.
    POP_SEALED;
    /// Consumer reads the producer's position once more.
    POP_LAST;
    /// Consumer publishes its next position.
    POP_RELEASE;
    /// Sealer marks the ring.
    SEAL_MARK;
    /// Sealer sees whether a push is deciding.
    SEAL_LOOK;
    /// Sealer notes that everyone passed the barrier.
    SEAL_DONE;
    /// Observer reads the producer's position.
    LOOK_WRITTEN;
    /// Observer reads the consumer's position.
    LOOK_TAKEN;
    /// Observer reads the mark.
    LOOK_SEALED;
}

/// The engine's name: `Ring<T, Spsc>`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spsc<P = Tuned>(PhantomData<P>);

impl<P: Profile> Engine for Spsc<P> {
    type Raw<Sh: Shape> = SpscRing<Sh, P>;
    const STRATEGY: Option<Strategy> = Some(Strategy::Spsc);
}

/// Bytes of look-ahead.
const AHEAD: usize = 256;

/// Positions that a side may begin at. Only a hostile process writes others, and
/// then this keeps the arithmetic of a lifetime from overflowing.
const POSITIONS: u64 = (1 << 62) - 1;
const MARKED: u64 = 1;
const PASSED: u64 = 2;

#[derive(Debug)]
#[repr(C)]
struct Header {
    written: Padded<Word>,
    taken: Padded<Word>,
    sealed: Padded<Word>,
}

/// The ring over slots of shape `Sh`.
#[derive(Debug)]
pub struct SpscRing<Sh, P> {
    header: NonNull<Header>,
    slots: NonNull<u8>,
    capacity: usize,
    /// A run worth waiting a moment for.
    goal: usize,
    layout: SlotLayout,
    shared: bool,
    profile: PhantomData<(Sh, P)>,
}

impl<Sh: Shape, P> Clone for SpscRing<Sh, P> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

// SAFETY: the pointers lead to words and to payloads handed over by the
// positions (I2); the faces require `T: Send` for what is moved.
unsafe impl<Sh: Shape, P> Send for SpscRing<Sh, P> {}
// SAFETY: as above.
unsafe impl<Sh: Shape, P> Sync for SpscRing<Sh, P> {}

/// A side's private state.
#[derive(Debug)]
pub struct Side {
    /// Elements this side has pushed (popped) in the life of the ring.
    position: u64,
    /// `position` modulo the capacity.
    index: usize,
    /// Up to where this side may go by what it last read of the other's
    /// position (I3). Never more than a capacity ahead, whatever was read.
    limit: u64,
    /// Not 0: no asymmetric barrier on this machine, so use a full fence.
    fenced: u64,
    /// One more than the position of a lease that is known by its address
    /// only (`claim_at`, `taken_at`).
    lent: u64,
    pace: Pace,
}

impl<Sh: Shape, P: Profile> SpscRing<Sh, P> {
    #[inline(always)]
    fn layout(&self) -> SlotLayout {
        match Sh::STATIC {
            Some((size, align)) => slot_layout(size, align),
            None => self.layout,
        }
    }

    #[inline(always)]
    fn header(&self) -> &Header {
        // SAFETY: `attach` requires a ring there for as long as a view is used.
        unsafe { self.header.as_ref() }
    }

    /// The slot of a private index, which is always below the capacity.
    #[inline(always)]
    fn lease(&self, side: &Side) -> Lease {
        self.lease_at(side.index, side.position)
    }

    #[inline(always)]
    fn lease_at(&self, index: usize, ticket: u64) -> Lease {
        debug_assert!(index < self.capacity);
        let layout = self.layout();
        // SAFETY: index < capacity, so the slot lies inside the region.
        unsafe {
            let slot = self.slots.as_ptr().add(index * layout.stride);
            Lease {
                payload: slot.add(layout.offset),
                tracker: slot.cast(),
                ticket,
            }
        }
    }

    #[inline(always)]
    fn step(&self, side: &mut Side, n: usize) {
        side.position += n as u64;
        side.index += n;
        if side.index >= self.capacity {
            side.index -= self.capacity;
        }
    }

    /// Slots (elements) this side may use by the private copy.
    #[inline(always)]
    fn left(&self, side: &Side) -> usize {
        // I3 makes the difference at most a capacity; slots are counted with it,
        // so it is not taken on trust.
        (side.limit.wrapping_sub(side.position) as usize).min(self.capacity)
    }

    /// Takes over what was read of the consumer's position. A hostile peer
    /// may have written any number: never more room than the whole ring.
    #[inline(always)]
    fn set_room(&self, side: &mut Side, taken: u64) -> usize {
        let used = side.position.wrapping_sub(taken).min(self.capacity as u64);
        side.limit = side.position + (self.capacity as u64 - used);
        self.left(side)
    }

    /// The same for the producer's position.
    #[inline(always)]
    fn set_ready(&self, side: &mut Side, written: u64) -> usize {
        let ready = written
            .wrapping_sub(side.position)
            .min(self.capacity as u64);
        side.limit = side.position + ready;
        self.left(side)
    }

    /// Looks at the consumer's position; `Err` if there is no room for one.
    #[cold]
    #[inline(never)]
    fn refresh_room(&self, side: &mut Side) -> Result<usize, PushRefusal> {
        let taken = self.header().taken.load(P::acquire(PUSH_HEAD));
        match self.set_room(side, taken) {
            0 => self.push_blocked(side),
            room if room >= self.goal => Ok(room),
            few => Ok(self.gather(side, few, |ring, side| {
                let taken = ring.header().taken.load(P::acquire(PUSH_HEAD));
                ring.set_room(side, taken)
            })),
        }
    }

    /// Few are there: waits, within bounds, for more of them.
    ///
    /// The two sides would otherwise fall into lock-step and pay a line
    /// transfer each way for every element (`benches/records`, spsc single).
    #[cold]
    fn gather(
        &self,
        side: &mut Side,
        few: usize,
        look: impl Fn(&Self, &mut Side) -> usize,
    ) -> usize {
        let mut seen = few;
        let mut pace = std::mem::take(&mut side.pace);
        pace.gather(|| {
            let before = std::mem::replace(&mut seen, look(self, side));
            match seen {
                enough if enough >= self.goal => Look::Enough,
                more if more > before => Look::More,
                _ => Look::Same,
            }
        });
        side.pace = pace;
        if seen < few {
            // Positions never go back, unless a hostile process writes them:
            // what the caller was promised stays.
            side.limit = side.position + few as u64;
            return few;
        }
        seen
    }

    #[inline(never)]
    fn push_blocked(&self, side: &mut Side) -> Result<usize, PushRefusal> {
        let header = self.header();
        if header.sealed.load(P::acquire(LOOK_SEALED)) != 0 {
            return Err(PushRefusal::Closed);
        }
        // ORDER: seq_cst: with its partner in `pop_blocked`, of two sides that
        // each did something and then look at the other, one sees it. The
        // answer is decided by a look after the fence.
        fence(P::seq_cst(PUSH_FENCE));
        let taken = header.taken.load(P::acquire(PUSH_HEAD));
        match self.set_room(side, taken) {
            0 => Err(PushRefusal::Full),
            room => Ok(room),
        }
    }

    /// Looks at the producer's position; `Err` if nothing is inside.
    #[cold]
    #[inline(never)]
    fn refresh_ready(&self, side: &mut Side) -> Result<usize, PopRefusal> {
        let written = self.header().written.load(P::acquire(POP_WRITTEN));
        match self.set_ready(side, written >> 1) {
            0 => self.pop_blocked(side),
            ready if ready >= self.goal => Ok(ready),
            few => Ok(self.gather(side, few, |ring, side| {
                let written = ring.header().written.load(P::acquire(POP_WRITTEN));
                ring.set_ready(side, written >> 1)
            })),
        }
    }

    #[inline(never)]
    fn pop_blocked(&self, side: &mut Side) -> Result<usize, PopRefusal> {
        let header = self.header();
        fence(P::seq_cst(POP_FENCE));
        let sealed = header.sealed.load(P::acquire(POP_SEALED));
        // Decided by a look after the fence, as in `push_blocked`. I4: read
        // after the mark, an even position is the last one.
        let written = header.written.load(P::acquire(POP_LAST));
        match self.set_ready(side, written >> 1) {
            0 if sealed & PASSED != 0 && written & 1 == 0 => Err(PopRefusal::Closed),
            0 => Err(PopRefusal::Empty),
            ready => Ok(ready),
        }
    }

    /// Shows that a push is deciding; `false` if the ring is sealed.
    #[inline(always)]
    fn enter(&self, side: &Side) -> bool {
        let header = self.header();
        header
            .written
            .store(side.position * 2 + 1, P::release(PUSH_ENTER));
        light_barrier();
        let sealed = header.sealed.load(P::relaxed(PUSH_SEALED));
        sealed | side.fenced == 0 || self.enter_slowly(side)
    }

    #[cold]
    #[inline(never)]
    fn enter_slowly(&self, side: &Side) -> bool {
        let header = self.header();
        fence(P::seq_cst(PUSH_FENCE)); // the barrier that the sealer cannot give
        if header.sealed.load(P::relaxed(PUSH_SEALED)) != 0 {
            header
                .written
                .store(side.position * 2, P::release(PUSH_LEAVE));
            return false;
        }
        true
    }

    #[inline(always)]
    fn publish(&self, position: u64) {
        self.header()
            .written
            .store(position * 2, P::release(PUSH_PUBLISH));
    }
}

#[inline(always)]
const fn slot_layout(size: usize, align: usize) -> SlotLayout {
    SlotLayout::of(size_of::<Tracker>(), align_of::<Tracker>(), size, align)
}

// SAFETY: linearizable at the steps of the module's table (I1-I4); the checks
// are listed under Evidence.
unsafe impl<Sh: Shape, P: Profile> RawRing<Sh> for SpscRing<Sh, P> {
    const TRAITS: Traits = Traits {
        name: "spsc",
        producers: Arity::One,
        consumers: Arity::One,
        returns: "always, within 5 shared accesses",
        stopped_thread: "holds up only the other side",
        survives_kill: false,
        shared: true,
        source: "L. Lamport, TOPLAS 1983; cached indices: MCRingBuffer, IPDPS 2010",
        steps: STEPS,
    };
    type Producer = Side;
    type Consumer = Side;

    fn footprint(geometry: &Geometry<Sh>) -> Result<Layout, BuildError> {
        if geometry.capacity as u64 > 1 << 48 {
            return Err(BuildError::Invalid("capacity is above 2^48".into()));
        }
        let slot = slot_layout(geometry.shape.size(), geometry.shape.align());
        geometry
            .array(Layout::new::<Header>(), slot)
            .map(|(whole, _)| whole)
    }

    unsafe fn init(at: NonNull<u8>, geometry: &Geometry<Sh>) {
        // SAFETY: the caller gives a region of the footprint; no words yet.
        unsafe {
            // Word by word: the padding stays zero.
            let header = at.cast::<Header>().as_ptr();
            (&raw mut (*header).written.0).write(Word::new(0));
            (&raw mut (*header).taken.0).write(Word::new(0));
            (&raw mut (*header).sealed.0).write(Word::new(0));
            let ring = Self::attach(at, geometry);
            for index in 0..geometry.capacity {
                let slot = ring.slots.as_ptr().add(index * ring.layout.stride);
                slot.cast::<Tracker>().write(Tracker::new());
            }
        }
    }

    unsafe fn attach(at: NonNull<u8>, geometry: &Geometry<Sh>) -> Self {
        let layout = slot_layout(geometry.shape.size(), geometry.shape.align());
        let (_, offset) = geometry
            .array(Layout::new::<Header>(), layout)
            .expect("the footprint of this geometry was computed before");
        Self {
            header: at.cast(),
            // SAFETY: the offset lies inside the footprint.
            slots: unsafe { at.add(offset) },
            capacity: geometry.capacity,
            goal: Pace::goal(geometry.capacity, layout.stride),
            layout,

            shared: geometry.shared,
            profile: PhantomData,
        }
    }

    unsafe fn finish(&self) {
        // SAFETY: the caller is the last user; `init` wrote these words.
        unsafe {
            for index in 0..self.capacity {
                let slot = self.slots.as_ptr().add(index * self.layout.stride);
                slot.cast::<Tracker>().drop_in_place();
            }
            self.header.drop_in_place();
        }
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn positions(&self) -> (u64, u64) {
        let popped = self.header().taken.load(P::acquire(LOOK_TAKEN));
        let pushed = self.header().written.load(P::acquire(LOOK_WRITTEN)) >> 1;
        (pushed, popped)
    }

    fn new_producer(&self) -> Side {
        let written = self.header().written.load(P::acquire(LOOK_WRITTEN));
        let position = written >> 1 & POSITIONS;
        if written & 1 != 0 {
            // The last owner died while deciding: its push did not happen.
            self.header()
                .written
                .store(position * 2, P::release(PUSH_LEAVE));
        }
        Side {
            position,
            index: (position % self.capacity as u64) as usize,
            limit: position, // nothing known yet: the first push looks
            fenced: u64::from(!Gate::has_heavy_barrier(self.shared)),
            lent: 0,
            pace: Pace::default(),
        }
    }

    fn new_consumer(&self) -> Side {
        let position = self.header().taken.load(P::acquire(LOOK_TAKEN)) & POSITIONS;
        Side {
            position,
            index: (position % self.capacity as u64) as usize,
            limit: position,
            fenced: 0,
            lent: 0,
            pace: Pace::default(),
        }
    }

    #[inline(always)]
    unsafe fn try_claim(&self, side: &mut Side) -> Result<Lease, PushRefusal> {
        if side.position == side.limit {
            self.refresh_room(side)?;
        }
        let lease = self.lease(side);
        let stride = self.layout().stride;
        if stride <= 64 && (side.index * stride) & 63 < stride {
            // A new line: ask for one a little further on, ready to be written.
            prefetch_write(lease.payload.wrapping_add(AHEAD));
        }
        Ok(lease)
    }

    #[inline(always)]
    unsafe fn try_commit(&self, side: &mut Side, claim: Lease) -> Result<(), (Lease, PushRefusal)> {
        if !self.enter(side) {
            return Err((claim, PushRefusal::Closed));
        }
        self.step(side, 1);
        self.publish(side.position);
        Ok(())
    }

    unsafe fn abandon(&self, side: &mut Side, _: Lease) {
        side.lent = 0;
    }

    fn note_claim(&self, side: &mut Side) {
        side.lent = side.position + 1;
    }

    fn note_take(&self, side: &mut Side) {
        side.lent = side.position + 1;
    }

    #[inline(always)]
    unsafe fn try_take_if(
        &self,
        side: &mut Side,
        mut accept: impl FnMut(*mut u8) -> bool,
    ) -> Result<Option<Lease>, PopRefusal> {
        if side.position == side.limit {
            self.refresh_ready(side)?;
        }
        let lease = self.lease(side);
        Ok(accept(lease.payload).then_some(lease))
    }

    #[inline(always)]
    unsafe fn release(&self, side: &mut Side, _: Lease) {
        self.step(side, 1);
        self.header()
            .taken
            .store(side.position, P::release(POP_RELEASE));
    }

    #[inline]
    unsafe fn push_run(
        &self,
        side: &mut Side,
        n: usize,
        mut fill: impl FnMut(*mut u8) -> bool,
    ) -> Result<usize, PushRefusal> {
        let mut room = self.left(side);
        if room < n {
            room = self.refresh_room(side)?;
        }
        // Decide first: what `fill` takes from its source must not come back.
        if !self.enter(side) {
            return Err(PushRefusal::Closed);
        }
        let mut run = Filling {
            ring: self,
            side,
            filled: 0,
        };
        let n = n.min(room);
        while run.filled < n {
            let mut index = run.side.index + run.filled;
            if index >= self.capacity {
                index -= self.capacity;
            }
            // SAFETY: I2: there is room for this slot, it is the producer's.
            if !unsafe { self.lease_at(index, 0).write(&mut fill) } {
                break;
            }
            run.filled += 1;
        }
        Ok(run.filled)
    }

    #[inline]
    unsafe fn pop_run(
        &self,
        side: &mut Side,
        n: usize,
        mut read: impl FnMut(*mut u8),
    ) -> Result<usize, PopRefusal> {
        let mut ready = self.left(side);
        if ready < n {
            ready = self.refresh_ready(side)?;
        }
        let n = n.min(ready);
        for _ in 0..n {
            // SAFETY: I2: below `written`, so written and the consumer's.
            unsafe { self.lease(side).read(&mut read) };
            self.step(side, 1);
        }
        self.header()
            .taken
            .store(side.position, P::release(POP_RELEASE));
        Ok(n)
    }

    unsafe fn claim_at(&self, side: &mut Side, payload: *mut u8) -> Option<Lease> {
        let lease = self.lease(side);
        (side.lent == side.position + 1 && lease.payload == payload).then_some(lease)
    }

    unsafe fn taken_at(&self, side: &mut Side, payload: *mut u8) -> Option<Lease> {
        let lease = self.lease(side);
        (side.lent == side.position + 1 && lease.payload == payload).then_some(lease)
    }

    fn seal(&self) -> bool {
        let header = self.header();
        header.sealed.fetch_or(MARKED, P::seq_cst(SEAL_MARK));
        if !Gate::heavy_barrier(self.shared) {
            // Producers fence by themselves then (`Side::fenced`).
            fence(P::seq_cst(SEAL_MARK));
        }
        header.sealed.fetch_or(PASSED, P::release(SEAL_DONE));
        header.written.load(P::acquire(SEAL_LOOK)) & 1 == 0
    }

    fn is_sealed(&self) -> bool {
        self.header().sealed.load(P::acquire(LOOK_SEALED)) != 0
    }

    unsafe fn for_each_left(&self, mut f: impl FnMut(*mut u8)) {
        let (end, start) = self.positions();
        for position in start..end {
            let index = (position % self.capacity as u64) as usize;
            f(self.lease_at(index, position).payload);
        }
    }
}

/// A run that has entered; dropped (also by a panic in `fill`), it publishes
/// what was filled.
struct Filling<'a, Sh: Shape, P: Profile> {
    ring: &'a SpscRing<Sh, P>,
    side: &'a mut Side,
    filled: usize,
}

impl<Sh: Shape, P: Profile> Drop for Filling<'_, Sh, P> {
    #[inline(always)]
    fn drop(&mut self) {
        self.ring.step(self.side, self.filled);
        self.ring.publish(self.side.position);
    }
}
