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
//!    it does not see inside will see the mark. Where some process has no such
//!    barrier the ring says so, and the producer fences in every push.
//!
//! # State
//!
//! | word | meaning | range |
//! |---|---|---|
//! | `written` | 2 × elements pushed, + 1 while a push decides | 63-bit count |
//! | `taken` | 2 × elements popped | 63-bit count |
//! | `sealed` | bit 0: marked; bit 1: every thread has passed the barrier; bit 2: producers fence; bit 3: all of them do | 0 to 15 |
//!
//! Counts may grow to 2^62 elements: 146 years at 10^9 a second.
//!
//! # Invariants
//!
//! * I1: taken/2 ≤ written/2 ≤ taken/2 + capacity.
//! * I2: slots from `taken/2` up to `written/2` are written and the consumer's;
//!   the others are the producer's.
//! * I3: the private copies are never ahead of the words they copy.
//! * I4: after bit 1 of `sealed` is set, a push that enters sees bit 0; so once
//!   `written` is even after that, it only ever flickers and never grows.
//! * I5: bit 3 of `sealed` is set while no producer is active that began before
//!   bit 2 was (at the beginning, or while the producer's side has no owner).
//!   So every producer after it sees bit 2, and has fenced between `PUSH_ENTER`
//!   and its last `PUSH_SEALED`.
//!
//! # Steps
//!
//! | step | access | order | pairs with | why |
//! |---|---|---|---|---|
//! | `PUSH_HEAD` | load taken | acquire | `POP_RELEASE` | the slot's last payload has been moved out |
//! | `PUSH_FENCE` | fence | seq_cst | `POP_FENCE` | `Full` is decided after everything before this call |
//! | `PUSH_ENTER` | store written | release | `SEAL_LOOK`, `POP_WRITTEN` | the sealer sees a push that may not have seen the mark; whoever reads it instead of the last `PUSH_PUBLISH` has those payloads |
//! | `PUSH_SEALED` | load sealed | relaxed | `SEAL_MARK` | ordered after `PUSH_ENTER` by the asymmetric barrier, or by `PUSH_FENCE` and once more (I5) |
//! | `PUSH_LEAVE` | store written | release | `POP_WRITTEN` | refused: nothing more to come |
//! | `PUSH_PUBLISH` | store written | release | `POP_WRITTEN` | the payload is visible; inside a long run, still deciding, every 4 KiB |
//! | `POP_WRITTEN` | load written | acquire | `PUSH_PUBLISH` | the payload is visible |
//! | `POP_FENCE` | fence | seq_cst | `PUSH_FENCE` | `Empty` is decided after everything before this call |
//! | `POP_SEALED` | load sealed | acquire | `SEAL_DONE` | read before `POP_LAST`: what is inside then is all |
//! | `POP_LAST` | load written | acquire | `PUSH_PUBLISH`, `PUSH_LEAVE` | empty, closed, or one more |
//! | `POP_RELEASE` | store taken | release | `PUSH_HEAD` | the payload has been moved out |
//! | `SEAL_MARK` | or sealed | seq_cst | `PUSH_SEALED` | pushes that enter from now on are refused |
//! | `SEAL_FENCE` | fence | seq_cst | `PUSH_FENCE` | in place of the barrier, where all producers fence (I5) |
//! | `SEAL_LOOK` | load written | acquire | `PUSH_ENTER` | whether a push is still deciding |
//! | `SEAL_DONE` | or sealed | release | `POP_SEALED` | everyone has passed the barrier |
//! | `FENCE_ASK` | or sealed | relaxed | `PUSH_SEALED` | producers fence from now on; one that begins after it has seen it, for its side changed hands after it |
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
//! *Returns and succeeds*: wait-free, at most 14 shared accesses a call,
//! whatever the other side does: for a push 1 to find out, 8 looks of pacing,
//! 4 to decide, and 1 of the face's, which sees whether somebody sleeps; 11 for
//! a pop (`tests/trace.rs` counts them). A run adds a store every 4 KiB; waking
//! a sleeper comes on top. A stopped producer leaves its consumer with `Empty`
//! (which is true), a stopped consumer its producer with `Full`. A producer
//! stopped between `PUSH_ENTER` and its next store delays the answer `Closed`
//! to the consumer; until then it hears `Empty`.
//!
//! # Limits
//!
//! One outstanding claim and one outstanding take. While one is known by its
//! address only, the side refuses what would use its slot (`Lent`); a leaked
//! guard of the typed face is lent again by the next one.
//!
//! # Evidence
//!
//! `tests/model_loom.rs`, `tests/orders.rs`, `tests/model_shuttle.rs`,
//! `tests/conformance.rs`, `tests/stress.rs`, the stall table in
//! `docs/stall.md`. Proved under interleaving semantics: `proofs/README.md`.

use std::alloc::Layout;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::pace::{LARGEST_AHEAD, Look, Pace};
use super::{
    Arity, Engine, Geometry, Lease, PopRefusal, PushRefusal, RawRing, Shape, SlotLayout, Strategy,
    Traits,
};
use crate::atomic::{
    Gate, Padded, Profile, Tracker, Tuned, Word, fence, light_barrier, prefetch_read,
    prefetch_write,
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
    /// Sealer orders the mark itself, without the barrier.
    SEAL_FENCE;
    /// Sealer sees whether a push is deciding.
    SEAL_LOOK;
    /// Sealer notes that everyone passed the barrier.
    SEAL_DONE;
    /// A process without the barrier makes producers fence.
    FENCE_ASK;
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
const AHEAD: usize = 512;

/// From a position to the next, in the words and in a side's private state; the
/// low bit is the producer's [`DECIDING`].
const ONE: u64 = 2;
/// The bit of `written` that says that a push is deciding.
const DECIDING: u64 = 1;
/// Positions that a side may begin at. Only a hostile process writes others, and
/// then this keeps the arithmetic of a lifetime from overflowing.
const POSITIONS: u64 = (1 << 63) - ONE;
const MARKED: u64 = 1;
const PASSED: u64 = 2;
/// Some process has no asymmetric barrier: producers that see this use a fence.
const FENCED: u64 = 4;
/// No producer is left that may not have seen it (I5).
const AGREED: u64 = 8;

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
    /// Twice the elements this side has pushed (popped) in the life of the ring.
    position: u64,
    /// The position's slot.
    index: usize,
    /// Up to where this side may go by what it last read of the other's
    /// position (I3). Never more than a capacity ahead, whatever was read.
    limit: u64,
    /// One more than the position of a lease that is known by its address
    /// only (`claim_at`, `taken_at`). `limit` is the position meanwhile, so
    /// that every other call goes the slow way and finds it (`is_lent`).
    lent: u64,
    /// The limit to return to then.
    kept: u64,
    pace: Pace,
}

impl Side {
    /// Whether the slot of this position is lent by its address.
    fn is_lent(&self) -> bool {
        self.lent == self.position + 1
    }

    /// Notes the lease of this position. The other calls of this side look no
    /// further than `limit`, which costs them nothing while nothing is lent.
    fn note(&mut self) {
        self.lent = self.position + 1;
        self.kept = std::mem::replace(&mut self.limit, self.position);
    }

    /// Ends the note: the lease is about to be used.
    fn end_note(&mut self) {
        self.limit = self.kept;
    }
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

    fn index_of(&self, position: u64) -> usize {
        (position / ONE % self.capacity as u64) as usize
    }

    /// One step on from `position`, the side's own, which the caller has at
    /// hand: read again it would cost a load after the payload's store.
    #[inline(always)]
    fn step_from(&self, side: &mut Side, position: u64) -> u64 {
        side.position = position + ONE;
        side.index = self.index_after(side.index);
        side.position
    }

    #[inline(always)]
    fn index_after(&self, index: usize) -> usize {
        if index + 1 == self.capacity {
            0
        } else {
            index + 1
        }
    }

    /// Slots from a side's own to the end of the array, and at most what is
    /// published at once.
    #[inline(always)]
    fn stretch(&self, side: &Side) -> usize {
        let most = (DEFERRED / self.layout().stride).max(1);
        (self.capacity - side.index).min(most)
    }

    /// Shows the next `n` slots' payloads to the model checker as written.
    #[inline(always)]
    unsafe fn each_tracker(&self, side: &Side, n: usize) {
        for index in side.index..side.index + n {
            // SAFETY: the caller's slots, up to the end of the array.
            unsafe { self.lease_at(index, 0).write(|_| ()) };
        }
    }

    /// Asks for the lines of a slot a little further on, of a line or more each.
    #[inline(always)]
    fn look_ahead(&self, lease: &Lease, prefetch: impl Fn(*const u8)) {
        let stride = self.layout().stride;
        if (64..=LARGEST_AHEAD).contains(&stride) {
            let ahead = lease.payload.wrapping_add(stride.max(AHEAD));
            for line in 0..stride.div_ceil(64) {
                prefetch(ahead.wrapping_add(line * 64));
            }
        }
    }

    /// Asks for the lines of the next `n` slots, which this producer knows to
    /// be free, while the caller gets the next run ready.
    #[inline(always)]
    fn fetch_ahead(&self, side: &Side, n: usize) {
        let layout = self.layout();
        let first = self.lease_at(side.index, 0).payload;
        let bytes = (n.min(self.capacity - side.index) * layout.stride).min(DEFERRED);
        for line in (0..bytes).step_by(64) {
            prefetch_write(first.wrapping_add(line));
        }
    }

    #[inline(always)]
    fn step(&self, side: &mut Side, n: usize) {
        side.position += n as u64 * ONE;
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
        ((side.limit.wrapping_sub(side.position) / ONE) as usize).min(self.capacity)
    }

    /// Takes over what was read of the consumer's position. A hostile peer
    /// may have written any number: never more room than the whole ring.
    #[inline(always)]
    fn set_room(&self, side: &mut Side, taken: u64) -> usize {
        let whole = self.capacity as u64 * ONE;
        let used = side.position.wrapping_sub(taken & !DECIDING).min(whole);
        side.limit = side.position + (whole - used);
        self.left(side)
    }

    /// The same for the producer's position.
    #[inline(always)]
    fn set_ready(&self, side: &mut Side, written: u64) -> usize {
        let whole = self.capacity as u64 * ONE;
        let ready = (written & !DECIDING).wrapping_sub(side.position).min(whole);
        side.limit = side.position + ready;
        self.left(side)
    }

    /// The next slot, which is free; asks for a line further on.
    #[inline(always)]
    fn free_slot(&self, side: &Side) -> Lease {
        let lease = self.lease(side);
        let stride = self.layout().stride;
        if stride >= 64 {
            self.look_ahead(&lease, prefetch_write);
        } else if (side.index * stride) & 63 < stride {
            // A new line: ask for one a little further on, ready to be written.
            prefetch_write(lease.payload.wrapping_add(AHEAD));
        }
        lease
    }

    /// The next slot, which is full; likewise.
    #[inline(always)]
    fn full_slot(&self, side: &Side) -> Lease {
        let lease = self.lease(side);
        self.look_ahead(&lease, prefetch_read);
        lease
    }

    /// Takes over what a look at the producer's position showed, if an element
    /// is there and need not wait for company: [`gather`](Self::gather)'s business.
    #[inline(always)]
    fn ready_at_once(&self, side: &mut Side, written: u64) -> bool {
        let whole = self.capacity as u64 * ONE;
        let ready = (written & !DECIDING).wrapping_sub(side.position).min(whole);
        if ready == 0 || side.is_lent() || ready < self.goal as u64 * ONE && !side.pace.rests() {
            return false;
        }
        side.limit = side.position + ready;
        true
    }

    #[inline(always)]
    fn look_written(&self) -> u64 {
        self.header().written.load(P::acquire(POP_WRITTEN))
    }

    /// Looks at the consumer's position; `Err` if there is no room for one.
    #[cold]
    #[inline(never)]
    fn refresh_room(&self, side: &mut Side) -> Result<usize, PushRefusal> {
        if side.is_lent() {
            return Err(PushRefusal::Lent);
        }
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
            side.limit = side.position + few as u64 * ONE;
            return few;
        }
        seen
    }

    #[inline(never)]
    fn push_blocked(&self, side: &mut Side) -> Result<usize, PushRefusal> {
        let header = self.header();
        if header.sealed.load(P::acquire(LOOK_SEALED)) & MARKED != 0 {
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

    /// Takes over what a look at the producer's position showed; `Err` if nothing
    /// is inside.
    #[cold]
    #[inline(never)]
    fn refresh_ready(&self, side: &mut Side, written: u64) -> Result<usize, PopRefusal> {
        if side.is_lent() {
            return Err(PopRefusal::Lent);
        }
        match self.set_ready(side, written) {
            0 => self.pop_blocked(side),
            ready if ready >= self.goal => Ok(ready),
            few => Ok(self.gather(side, few, |ring, side| {
                ring.set_ready(side, ring.look_written())
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
        match self.set_ready(side, written) {
            0 if sealed & PASSED != 0 && written & DECIDING == 0 => Err(PopRefusal::Closed),
            0 => Err(PopRefusal::Empty),
            ready => Ok(ready),
        }
    }

    /// Shows that a push is deciding; `false` if the ring is sealed.
    #[inline(always)]
    fn enter(&self, side: &Side, position: u64) -> bool {
        let header = self.header();
        header
            .written
            .store(position | DECIDING, P::release(PUSH_ENTER));
        light_barrier();
        header.sealed.load(P::relaxed(PUSH_SEALED)) == 0 || self.enter_slowly(side)
    }

    #[cold]
    #[inline(never)]
    fn enter_slowly(&self, side: &Side) -> bool {
        let header = self.header();
        fence(P::seq_cst(PUSH_FENCE)); // the barrier that the sealer may not be able to give
        if header.sealed.load(P::relaxed(PUSH_SEALED)) & MARKED != 0 {
            header.written.store(side.position, P::release(PUSH_LEAVE));
            return false;
        }
        true
    }

    /// Decides a run of up to `n` elements and enters; answers how many there
    /// is room for. First of all, because what is taken from the caller's
    /// source does not go back there.
    #[inline(always)]
    fn begin_push(&self, side: &mut Side, n: usize) -> Result<usize, PushRefusal> {
        let mut room = self.left(side);
        if room < n {
            room = self.refresh_room(side)?;
        }
        if self.enter(side, side.position) {
            Ok(n.min(room))
        } else {
            Err(PushRefusal::Closed)
        }
    }

    /// Decides a run of up to `n` elements; answers how many are there.
    #[inline(always)]
    fn begin_pop(&self, side: &mut Side, n: usize) -> Result<usize, PopRefusal> {
        let mut ready = self.left(side);
        if ready < n {
            ready = self.refresh_ready(side, self.look_written())?;
        }
        Ok(n.min(ready))
    }

    #[inline(always)]
    fn publish(&self, position: u64) {
        self.header()
            .written
            .store(position, P::release(PUSH_PUBLISH));
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
        returns: "always, within 14 shared accesses, a wake-up apart",
        stopped_thread: "holds up only the other side",
        survives_kill: false,
        shared: true,
        records: false,
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
            let sealed = match Gate::has_heavy_barrier(geometry.shared) {
                true => 0,
                false => FENCED | AGREED,
            };
            (&raw mut (*header).sealed.0).write(Word::new(sealed));
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
        let popped = self.header().taken.load(P::acquire(LOOK_TAKEN)) / ONE;
        let pushed = self.header().written.load(P::acquire(LOOK_WRITTEN)) / ONE;
        (pushed, popped)
    }

    fn new_producer(&self) -> Result<Side, BuildError> {
        let written = self.header().written.load(P::acquire(LOOK_WRITTEN));
        let position = written & POSITIONS;
        if written & DECIDING != 0 {
            // The last owner died while deciding: its push did not happen.
            self.header()
                .written
                .store(position, P::release(PUSH_LEAVE));
        }
        if !Gate::has_heavy_barrier(self.shared) {
            // Mostly said already. A forked child may have lost what its parent
            // had; this thread's later looks see its own word.
            self.header().sealed.fetch_or(FENCED, P::relaxed(FENCE_ASK));
        }
        Ok(Side {
            position,
            index: self.index_of(position),
            limit: position, // nothing known yet: the first push looks
            lent: 0,
            kept: position,
            pace: Pace::default(),
        })
    }

    fn new_consumer(&self) -> Result<Side, BuildError> {
        let position = self.header().taken.load(P::acquire(LOOK_TAKEN)) & POSITIONS;
        Ok(Side {
            position,
            index: self.index_of(position),
            limit: position,
            lent: 0,
            kept: position,
            pace: Pace::default(),
        })
    }

    #[inline(always)]
    unsafe fn try_claim(&self, side: &mut Side) -> Result<Lease, PushRefusal> {
        if side.position == side.limit {
            self.refresh_room(side)?;
        }
        Ok(self.free_slot(side))
    }

    #[inline(always)]
    unsafe fn try_commit(&self, side: &mut Side, claim: Lease) -> Result<(), (Lease, PushRefusal)> {
        debug_assert_eq!(claim.ticket, side.position);
        if !self.enter(side, claim.ticket) {
            return Err((claim, PushRefusal::Closed));
        }
        self.publish(self.step_from(side, claim.ticket));
        Ok(())
    }

    unsafe fn abandon(&self, side: &mut Side, _: Lease) {
        side.lent = 0;
    }

    fn note_claim(&self, side: &mut Side) {
        side.note();
    }

    fn note_take(&self, side: &mut Side) {
        side.note();
    }

    #[inline(always)]
    unsafe fn try_take(&self, side: &mut Side) -> Result<Lease, PopRefusal> {
        // SAFETY: the caller's promise.
        unsafe { super::take_any(self, side) }
    }

    #[inline(always)]
    unsafe fn try_take_if(
        &self,
        side: &mut Side,
        mut accept: impl FnMut(*mut u8) -> bool,
    ) -> Result<Option<Lease>, PopRefusal> {
        if side.position == side.limit {
            let written = self.look_written();
            if !self.ready_at_once(side, written) {
                self.refresh_ready(side, written)?;
            }
        }
        let lease = self.full_slot(side);
        Ok(accept(lease.payload).then_some(lease))
    }

    #[inline(always)]
    unsafe fn release(&self, side: &mut Side, taken: Lease) {
        debug_assert_eq!(taken.ticket, side.position);
        let next = self.step_from(side, taken.ticket);
        self.header().taken.store(next, P::release(POP_RELEASE));
    }

    #[inline(always)]
    unsafe fn push_straight(&self, side: &mut Side, write: impl FnOnce(*mut u8)) -> bool {
        let (position, index, header) = (side.position, side.index, self.header());
        if position == side.limit {
            return false;
        }
        // Before the payload is copied: the compiler cannot know that this does
        // not change what it read from memory.
        let next = self.index_after(index);
        // SAFETY: I2: known to be free, and the producer's.
        unsafe { self.free_slot(side).write(write) };
        header
            .written
            .store(position | DECIDING, P::release(PUSH_ENTER));
        light_barrier();
        if header.sealed.load(P::relaxed(PUSH_SEALED)) != 0 {
            // Closed, or to be fenced: both are the ordinary way's.
            header.written.store(position, P::release(PUSH_LEAVE));
            return false;
        }
        side.position = position + ONE;
        side.index = next;
        header
            .written
            .store(position + ONE, P::release(PUSH_PUBLISH));
        true
    }

    #[inline(always)]
    unsafe fn pop_straight(&self, side: &mut Side, read: impl FnOnce(*mut u8)) -> bool {
        let (position, index, header) = (side.position, side.index, self.header());
        if position == side.limit && !self.ready_at_once(side, self.look_written()) {
            return false;
        }
        let next = self.index_after(index);
        // SAFETY: I2: below `written`, so written and the consumer's.
        unsafe { self.full_slot(side).read(read) };
        side.position = position + ONE;
        side.index = next;
        header.taken.store(position + ONE, P::release(POP_RELEASE));
        true
    }

    #[inline]
    unsafe fn push_run(
        &self,
        side: &mut Side,
        n: usize,
        mut fill: impl FnMut(*mut u8) -> bool,
        _: impl FnMut(*mut u8),
    ) -> Result<usize, PushRefusal> {
        let n = self.begin_push(side, n)?;
        let mut run = Filling::new(self, side);
        while run.filled < n {
            // SAFETY: I2: there is room for this slot, it is the producer's.
            if !unsafe { self.lease(run.side).write(&mut fill) } {
                break;
            }
            run.advance(1);
        }
        Ok(run.filled)
    }

    #[inline]
    unsafe fn push_copies(
        &self,
        side: &mut Side,
        mut from: *const u8,
        n: usize,
        size: usize,
    ) -> Result<usize, PushRefusal> {
        let n = self.begin_push(side, n)?;
        let mut run = Filling::new(self, side);
        while run.filled < n {
            let stretch = (n - run.filled).min(self.stretch(run.side));
            // SAFETY: I2, as above, for `stretch` slots up to the array's end.
            unsafe {
                self.each_tracker(run.side, stretch);
                let to = self.lease(run.side).payload;
                copy_elements(from, size, to, self.layout().stride, size, stretch);
                from = from.add(stretch * size);
            }
            run.advance(stretch);
        }
        let ahead = self.left(run.side).min(n);
        self.fetch_ahead(run.side, ahead);
        Ok(run.filled)
    }

    #[inline]
    unsafe fn pop_run(
        &self,
        side: &mut Side,
        n: usize,
        mut read: impl FnMut(*mut u8),
    ) -> Result<usize, PopRefusal> {
        let n = self.begin_pop(side, n)?;
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

    #[inline]
    unsafe fn pop_copies(
        &self,
        side: &mut Side,
        mut to: *mut u8,
        n: usize,
        size: usize,
    ) -> Result<usize, PopRefusal> {
        let n = self.begin_pop(side, n)?;
        let mut done = 0;
        while done < n {
            let stretch = (n - done).min(self.stretch(side));
            // SAFETY: I2, as above, for `stretch` slots up to the array's end.
            unsafe {
                self.each_tracker(side, stretch);
                let from = self.lease(side).payload;
                copy_elements(from, self.layout().stride, to, size, size, stretch);
                to = to.add(stretch * size);
            }
            self.step(side, stretch);
            done += stretch;
        }
        self.header()
            .taken
            .store(side.position, P::release(POP_RELEASE));
        Ok(n)
    }

    unsafe fn claim_at(&self, side: &mut Side, payload: *mut u8) -> Option<Lease> {
        let lease = self.lease(side);
        (side.is_lent() && lease.payload == payload).then(|| {
            side.end_note();
            lease
        })
    }

    unsafe fn taken_at(&self, side: &mut Side, payload: *mut u8) -> Option<Lease> {
        let lease = self.lease(side);
        (side.is_lent() && lease.payload == payload).then(|| {
            side.end_note();
            lease
        })
    }

    fn seal(&self) -> bool {
        let header = self.header();
        let was = header.sealed.fetch_or(MARKED, P::seq_cst(SEAL_MARK));
        if was & AGREED != 0 {
            fence(P::seq_cst(SEAL_FENCE)); // I5: with the producer's own
        } else if !Gate::heavy_barrier(self.shared) {
            // Taken away since this process attached (`do_without_barrier`):
            // pops answer `Empty` until somebody who has one seals as well.
            return false;
        }
        header.sealed.fetch_or(PASSED, P::release(SEAL_DONE));
        header.written.load(P::acquire(SEAL_LOOK)) & DECIDING == 0
    }

    fn is_sealed(&self) -> bool {
        self.header().sealed.load(P::acquire(LOOK_SEALED)) & MARKED != 0
    }

    fn do_without_barrier(&self, no_producer: impl Fn() -> bool) -> bool {
        let sealed = &self.header().sealed;
        if sealed.load(P::acquire(LOOK_SEALED)) & AGREED != 0 {
            return true;
        }
        // Once before anything is asked: a refusal shall not slow anybody down.
        if !no_producer() {
            return false;
        }
        // ORDER: relaxed: whoever becomes the producer after the look below
        // takes the side over after it, and so sees this.
        sealed.fetch_or(FENCED, P::relaxed(FENCE_ASK));
        if !no_producer() {
            return false;
        }
        sealed.fetch_or(AGREED, P::relaxed(FENCE_ASK));
        true
    }

    unsafe fn for_each_left(&self, mut f: impl FnMut(*mut u8)) {
        let (end, start) = self.positions();
        for position in start..end {
            f(self
                .lease_at(self.index_of(position * ONE), position * ONE)
                .payload);
        }
    }
}

/// A run that has entered; dropped (also by a panic in `fill`), it publishes
/// what was filled.
struct Filling<'a, Sh: Shape, P: Profile> {
    ring: &'a SpscRing<Sh, P>,
    side: &'a mut Side,
    filled: usize,
    /// Up to here all is published.
    published: u64,
}

/// Bytes of slots that a run fills before it publishes them.
const DEFERRED: usize = 4096;

impl<'a, Sh: Shape, P: Profile> Filling<'a, Sh, P> {
    #[inline(always)]
    fn new(ring: &'a SpscRing<Sh, P>, side: &'a mut Side) -> Self {
        Self {
            published: side.position,
            ring,
            side,
            filled: 0,
        }
    }

    /// Notes `n` filled slots. A consumer that looks need not wait for the end
    /// of a long run: every 4 KiB are published, the run still deciding. One
    /// that sleeps is woken at the end.
    #[inline(always)]
    fn advance(&mut self, n: usize) {
        self.ring.step(self.side, n);
        self.filled += n;
        let deferred = (self.side.position - self.published) / ONE;
        if deferred as usize * self.ring.layout().stride >= DEFERRED {
            self.published = self.side.position;
            self.ring.publish(self.side.position | DECIDING);
        }
    }
}

impl<Sh: Shape, P: Profile> Drop for Filling<'_, Sh, P> {
    #[inline(always)]
    fn drop(&mut self) {
        self.ring.publish(self.side.position);
    }
}

/// Copies `n` elements of `size` bytes between arrays of these strides.
///
/// # Safety
/// Both are valid for `n` elements and do not overlap.
#[inline(always)]
unsafe fn copy_elements(
    from: *const u8,
    from_stride: usize,
    to: *mut u8,
    to_stride: usize,
    size: usize,
    n: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if from_stride == to_stride {
            // All but what may lie behind the last element.
            std::ptr::copy_nonoverlapping(from, to, (n - 1) * from_stride + size);
        } else {
            for i in 0..n {
                std::ptr::copy_nonoverlapping(
                    from.add(i * from_stride),
                    to.add(i * to_stride),
                    size,
                );
            }
        }
    }
}
