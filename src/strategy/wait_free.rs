//! The exchange ring: nobody waits for anybody.
//!
//! Source: own design. Its parents are M. Herlihy, *Wait-Free Synchronization*,
//! TOPLAS 1991 (one consensus decision for each step, help by turns); A. Kogan,
//! E. Petrank, *A Methodology for Creating Fast Wait-Free Data Structures*,
//! PPoPP 2012 (a fast path, then an announcement); R. Nikolaev, *A Scalable,
//! Portable, and Memory-Efficient Lock-Free FIFO Queue*, DISC 2019 (rings of
//! indices).
//!
//! # Idea
//!
//! 1. A slot always holds exactly one *cell*: an empty one in an empty slot, a
//!    full one in a full slot. Every participant owns one spare cell.
//! 2. A push writes its elements into the spare and swaps that for the slot's
//!    empty cell; a pop swaps its spare for the slot's full cell, then reads.
//!    One exchange of one word decides the position, publishes the elements and
//!    passes the ownership: there is no moment at which a slot is taken and not
//!    yet written, so nobody can be found halfway.
//! 3. A cell holds a *run* of 1 to 8 elements, as many as fit a line (a single
//!    one lies in a place of its own, several cells' in a line); a run is pushed
//!    with one exchange. It has as many positions as elements;
//!    the slot of its first one holds it, the slots of the others stay as they
//!    are. Where a run ends another one begins, for everybody.
//! 4. Each slot has a *phase* that only grows: a push in lap `n` moves it to
//!    `2n + 1`, the pop of its last element to `2n + 2`. Push and pop are
//!    the same exchange with another parity. A pop that leaves others of the
//!    run there copies what it takes, then counts in the word how much is taken.
//! 5. Who knows that all pops before `p` are done, and finds slot `p` not yet
//!    pushed, has met an empty ring. Who finds the first element that is left
//!    `capacity` positions before its own push has met a full one. Both are
//!    exact at that look; no two counters are compared.
//! 6. Who loses often announces its operation. Position `p` has a preferred
//!    participant, `p mod participants`: everyone looks at its announcement
//!    first (a word that is read-mostly) and, if there is one, installs a
//!    *claim* for it instead of an operation of its own. A push makes no run
//!    over such a position; the last element of a run is for one of those whose
//!    positions it has, another one first each time. So an announced operation
//!    is decided within as many positions as there are participants on its
//!    side, eight times as many if all is runs.
//!
//! # State
//!
//! | word | meaning |
//! |---|---|
//! | `slot[x]` | phase, sealed (1 bit), sequence mod 4, participant + 1, popped of the run, its length - 1, cell. Participant and sequence are 0 in a plain word; otherwise it is a claim |
//! | `hint[side]` | a lower bound of the first position of the side that is not done, at which a run begins |
//! | `closed` | bit 0: somebody closes the ring; bit 1: it is closed |
//! | `announced[side][i]` | 0, or the sequence number of what participant `i` announced |
//! | `entry[side][i][seq & 1].state` | sequence, popped of the run, status (blocked, pending, whole, part), the cell it got |
//! | `entry[side][i][seq & 1].cell` | the cell it gives |
//! | `place[side][i]` | who is participant `i`, and in shared memory what it is doing (`wait_free/places.rs`) |
//!
//! # Invariants
//!
//! * I1: of each side the positions are completed in order; `hint` and each
//!   participant's own position are never beyond the first that is not, and a
//!   run begins there.
//! * I2: a slot's phase only grows, and in one phase the popped part of its
//!   run; otherwise its word goes plain → claim → claim … and never repeats a
//!   value, so a compare-exchange that succeeds has seen everything.
//! * I3: the cells in slots and the spares are each cell once, where an
//!   operation that is done but not carried out counts as if it were.
//! * I4: of a pending operation at most one claim is in a slot, that slot is
//!   its side's next position, and the claim goes only by being carried out.
//!   (Who claims reads the slot first and the announcement after it.)
//! * I5: a dead claim (of an operation that is blocked, or done with another
//!   cell, or older) is dead for ever; it is overwritten, never rolled back.
//! * I6: two bits of the sequence tell a slot's claims apart: while an element
//!   is next a participant ends at most one operation of that side that others
//!   know of.
//! * I7: an entry is used again two operations later; by then its slot has
//!   been completed.
//! * I8: there are `longest run - 1` slots more than elements, so a push that
//!   has room finds a slot whose run is popped to its end.
//! * I9: before a slot is used for the next lap the hint of the pops is beyond
//!   its run; so who finds it used can go on from the hint.
//! * I10: positions only grow along a cell's way from slot to place to slot.
//!
//! # Steps
//!
//! | step | access | order | pairs with | why |
//! |---|---|---|---|---|
//! | `SLOT_LOOK` | load slot | acquire | `DECIDE`, `COMPLETE` | the cell is handed over; read before any record (I4) |
//! | `TURN_LOOK` | load announced | relaxed | – | progress only |
//! | `DECIDE` | exchange slot | acq_rel | `SLOT_LOOK` | gives the own cell, takes the slot's |
//! | `TAKE_PART` | exchange slot | acq_rel | `SLOT_LOOK` | takes elements that were copied before; whoever gets the cell later comes after |
//! | `HINT_PEEK` | load hint | relaxed | – | whether it is worth moving |
//! | `HINT_MOVE` | exchange hint, once | release | `HINT_READ` | all below are done |
//! | `HINT_READ` | load hint | acquire | `HINT_MOVE` | the slots below are seen as done |
//! | `ROOM_HINT` | load hint | acquire | `HINT_MOVE` | so much is popped |
//! | `ROOM_LOOK` | load slot | acquire | `DECIDE`, `COMPLETE` | where the pops are |
//! | `ROOM_PEEK` | load hint | relaxed | – | whether it is so far already |
//! | `ROOM_MOVE` | exchange hint | release | `HINT_READ` | it is before the slot is used again (I9) |
//! | `PENDING_ANNOUNCED` | load announced | acquire | `ANNOUNCE` | which entry to look at |
//! | `PENDING_STATE` | load state | acquire | `ANNOUNCE_STATE` | whether it still waits to be decided |
//! | `CLAIM` | exchange slot | acq_rel | `SLOT_LOOK` | the position is the announced operation's |
//! | `RESOLVE_STATE` | load state | acquire | `ANNOUNCE_STATE`, `CONFIRM` | decided already, and how |
//! | `RESOLVE_SLOT` | load slot | acquire | `COMPLETE` | the claim still stands, so it is this operation's |
//! | `CONFIRM` | exchange state | acq_rel | `OWN_STATE`, `RESOLVE_STATE` | the announced operation is decided |
//! | `CONFIRM_SEEN` | load state | acquire | `CONFIRM`, `WITHDRAW` | another was faster: how it was decided |
//! | `RESOLVE_CELL` | load cell | acquire | `ANNOUNCE_STATE` | what goes into the slot |
//! | `COMPLETE` | exchange slot | acq_rel | `SLOT_LOOK` | carries out what was decided |
//! | `BLOCK_FENCE` | fence | seq_cst | itself | an answer is not older than what came before the call |
//! | `BLOCK_LOOK` | load slot | acquire | `DECIDE` | unchanged: full or empty now |
//! | `ANNOUNCE_CELL` | store cell | relaxed | – | published by `ANNOUNCE_STATE` |
//! | `ANNOUNCE_STATE` | store state | release | `PENDING_STATE` | the payload and the cell are visible |
//! | `ANNOUNCE` | store announced | release | `PENDING_ANNOUNCED` | from now on others help |
//! | `ANNOUNCE_FENCE` | fence | seq_cst | itself | those who look later see it |
//! | `OWN_STATE` | load state | acquire | `CONFIRM` | decided by somebody |
//! | `WITHDRAW` | exchange state | acq_rel | `CONFIRM` | blocked, unless somebody has decided |
//! | `RETIRE` | store announced | release | `PENDING_ANNOUNCED` | nothing more to help with |
//! | `GATHER_LOOK` | load slot | relaxed | – | pacing: a guess |
//! | `GATHER_HINT` | load hint | relaxed | – | pacing: a guess |
//! | `AHEAD_LOOK` | load slot | relaxed | – | prefetching: a guess |
//! | `CLOSING_LOOK` | load closed | relaxed | – | somebody wants help with closing; progress only |
//! | `SEAL_ASK` | or closed | relaxed | – | asks for it |
//! | `SEAL_LOOK` | load slot | acquire | `DECIDE` | the next position of the pushing side |
//! | `SEAL_MARK` | exchange slot | acq_rel | `SLOT_LOOK` | no push gets this position |
//! | `SEAL_NOTE` | or closed | release | `LOOK_CLOSED` | so that nobody has to search |
//! | `JOIN_LOOK` | load owner | relaxed | – | whether it is worth trying |
//! | `JOIN` | exchange owner | acquire | `LEAVE` | takes over cell and sequences |
//! | `SIT_DOWN` | store owner | release | `RECOVER_LOOK` | in shared memory, under the place's lock |
//! | `PLACE_READ` | load place | relaxed | – | between `JOIN` and `LEAVE` of one owner |
//! | `PLACE_WRITE` | store place | release | `RECOVER_PLACE` | what is left is seen no later than that it is left; the next owner has it by `LEAVE` |
//! | `LEAVE` | store owner | release | `JOIN` | gives them on |
//! | `NOTE_WRITE` | store place | release | `RECOVER_PLACE` | what is tried, and what came of it, in this order |
//! | `NOTE_BEGIN` | store begun | release | `RECOVER_PLACE` | all of the attempt is written down |
//! | `NOTE_END` | store ended | release | `RECOVER_PLACE` | all of its outcome is |
//! | `TAG_WRITE` | store tag | relaxed | – | published by `NOTE_BEGIN` and `DECIDE` |
//! | `TAG_READ` | load tag | relaxed | – | of the own cell |
//! | `RECOVER_LOOK` | load place | acquire | `LEAVE` | what a place looks like |
//! | `RECOVER_PLACE` | load place | acquire | `NOTE_BEGIN`, `NOTE_END` | what somebody was doing |
//! | `RECOVER_ANNOUNCED` | store announced | release | `PENDING_ANNOUNCED` | nobody helps the dead |
//! | `RECOVER_STATE` | load state | acquire | `CONFIRM` | what was decided for it |
//! | `RECOVER_WITHDRAW` | exchange state | acq_rel | `CONFIRM` | nothing more will be |
//! | `RECOVER_SLOT` | load slot | acquire | `DECIDE` | whether its exchange took place |
//! | `RECOVER_TAG` | load tag | acquire | `TAG_WRITE` | whether its cell was pushed by somebody else |
//! | `RECOVER_WRITE` | store place | release | `RECOVER_PLACE` | likewise, of somebody dead |
//! | `LOOK_SLOT` | load slot | acquire | `DECIDE` | lengths and diagnosis |
//! | `LOOK_HINT` | load hint | acquire | `HINT_MOVE` | lengths and diagnosis |
//! | `LOOK_CLOSED` | load closed | acquire | `SEAL_NOTE` | whether it is closed |
//!
//! # Linearization
//!
//! | outcome | step |
//! |---|---|
//! | pushed, popped | `DECIDE` or `TAKE_PART`, or `CONFIRM` if it was announced |
//! | `Full`, `Empty` | `BLOCK_LOOK` |
//! | `Closed` | `SLOT_LOOK` |
//!
//! A batch is a sequence of such decisions, one for each run (or part of one).
//! Its elements stay in order; those of others may come between two runs.
//!
//! # Progress
//!
//! *Returns and succeeds*: wait-free. A call makes at most a constant number of
//! fast attempts, then announces itself and is decided within `8 n` positions,
//! `n` the number of participants on a side: O(n) own accesses
//! whatever the others do. Sealing asks all who push to seal too, so it ends in
//! O(n) as well. A conditional pop (`try_take_if`: a record, into less room than
//! the largest needs) is lock-free: others cannot decide for it.
//! A stopped or killed participant holds up nobody.
//!
//! # Limits
//!
//! One outstanding claim or take for each participant; the number of
//! participants of a side is set when the ring is built. Phases are told apart
//! over `2^(64 - 9 - bits of cells - bits of participants)`: with 64 threads
//! about 2^46 elements, and a failure needs a thread that sleeps for exactly so
//! many inside one call and finds an equal cell. The copy of a part of a run is
//! read while the cell may be written by its next owner; it is discarded then
//! and never looked at (as in a sequence lock; bytes, by volatile reads).
//!
//! # Evidence
//!
//! `tests/model_loom.rs` (also with every call announced), `tests/orders.rs`
//! (each ordering; recovery), `tests/stress.rs`, `tests/conformance.rs`, the stall
//! table in `docs/stall.md`, the own steps of a call in `docs/cost.md`. Its steps
//! as a model, all runs of which were explored for a few participants, and which
//! is replayed against this file: `proofs/README.md`. Not proved: the step bound
//! is argued, and measured.

mod layout;
mod places;
mod slow;
mod words;

use std::alloc::Layout;
use std::marker::PhantomData;
use std::ptr::NonNull;

use self::layout::{CellLayout, LINE, Parts};
use self::places::Place;
pub use self::places::Side;
use self::words::Fields;
use super::count::Count;
use super::{
    Arity, Direction, Engine, Geometry, Lease, Left, PopRefusal, PushRefusal, RawRing, Shape,
    Standing, Strategy, Traits,
};
use crate::atomic::{
    Padded, Profile, Step, Tracker, Tuned, Word, mutate::skip, prefetch_read, prefetch_write,
};
use crate::error::BuildError;

crate::steps! {
    /// Reads the slot of the own position.
    SLOT_LOOK;
    /// Looks whether the preferred participant announced something.
    TURN_LOOK;
    /// Exchanges the own cell for the slot's.
    DECIDE;
    /// Takes a part of a run.
    TAKE_PART;
    /// Reads the hint before moving it.
    HINT_PEEK;
    /// Moves the hint.
    HINT_MOVE;
    /// Reads the hint to go on from there.
    HINT_READ;
    /// Reads how far pops are known to be.
    ROOM_HINT;
    /// Looks where they are.
    ROOM_LOOK;
    /// Reads the hint of the pops.
    ROOM_PEEK;
    /// Moves it before a slot is used again.
    ROOM_MOVE;
    /// Reads an announcement in order to help.
    PENDING_ANNOUNCED;
    /// Reads whether it is undecided.
    PENDING_STATE;
    /// Puts a claim into the slot.
    CLAIM;
    /// Reads the state of a claim's operation.
    RESOLVE_STATE;
    /// Sees that the claim still stands.
    RESOLVE_SLOT;
    /// Decides an announced operation.
    CONFIRM;
    /// Reads how somebody else decided it.
    CONFIRM_SEEN;
    /// Reads the cell that an announced operation gives.
    RESOLVE_CELL;
    /// Carries a decided operation out.
    COMPLETE;
    /// Orders a blocked answer.
    BLOCK_FENCE;
    /// Sees that the ring is still blocked.
    BLOCK_LOOK;
    /// Writes the cell that the own operation gives.
    ANNOUNCE_CELL;
    /// Writes that it is pending.
    ANNOUNCE_STATE;
    /// Announces it.
    ANNOUNCE;
    /// Orders the announcement.
    ANNOUNCE_FENCE;
    /// Sees whether the own operation is decided.
    OWN_STATE;
    /// Takes the own operation back: blocked.
    WITHDRAW;
    /// Ends the announcement.
    RETIRE;
    /// Sees whether a run has gathered.
    GATHER_LOOK;
    /// Sees whether the other side has told of a run.
    GATHER_HINT;
    /// Guesses which cells come next.
    AHEAD_LOOK;
    /// Sees whether somebody closes the ring.
    CLOSING_LOOK;
    /// Asks all who push to help closing.
    SEAL_ASK;
    /// Sealer reads a slot.
    SEAL_LOOK;
    /// Sealer marks the next position of the pushing side.
    SEAL_MARK;
    /// Notes that the ring is sealed.
    SEAL_NOTE;
    /// Sees whether a place is free.
    JOIN_LOOK;
    /// Takes a place.
    JOIN;
    /// Takes a place under its lock.
    SIT_DOWN;
    /// Reads what the last owner of a place left.
    PLACE_READ;
    /// Leaves something for the next owner.
    PLACE_WRITE;
    /// Gives a place back.
    LEAVE;
    /// Writes down what is tried, or what came of it.
    NOTE_WRITE;
    /// An attempt begins.
    NOTE_BEGIN;
    /// It has ended.
    NOTE_END;
    /// Marks the own cell before it is pushed.
    TAG_WRITE;
    /// Reads the mark of the own cell.
    TAG_READ;
    /// Sees whose a place is.
    RECOVER_LOOK;
    /// Reads what a participant was doing.
    RECOVER_PLACE;
    /// Ends the announcement of somebody dead.
    RECOVER_ANNOUNCED;
    /// Reads what was decided for somebody.
    RECOVER_STATE;
    /// Takes an operation of somebody dead back.
    RECOVER_WITHDRAW;
    /// Reads a slot that somebody dead was to change.
    RECOVER_SLOT;
    /// Reads the mark of a cell.
    RECOVER_TAG;
    /// Writes down what somebody dead has.
    RECOVER_WRITE;
    /// Observer reads a slot.
    LOOK_SLOT;
    /// Observer reads a hint.
    LOOK_HINT;
    /// Observer reads whether it is sealed.
    LOOK_CLOSED;
}

/// Choices that a mutant undoes, one at a time (`tests/mutants.rs`). They are no
/// accesses, and cost nothing elsewhere.
#[doc(hidden)]
pub const CHOICES: &[Step] = &[SLOT_FIRST, OWN_RECORDS, DEAD_STAYS, FIND_OUT];
/// A helper reads the slot before the record (I4).
const SLOT_FIRST: Step = Step::new("SLOT_FIRST");
/// Each side has records of its own (I6).
const OWN_RECORDS: Step = Step::new("OWN_RECORDS");
/// A dead claim is overwritten, not rolled back (I5).
const DEAD_STAYS: Step = Step::new("DEAD_STAYS");
/// Whether the exchange of somebody dead took place is found out, not guessed (I3).
const FIND_OUT: Step = Step::new("FIND_OUT");

/// The engine's name: `Ring<T, WaitFree>`.
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitFree<P = Tuned>(PhantomData<P>);

impl<P: Profile> Engine for WaitFree<P> {
    type Raw<Sh: Shape> = ExchangeRing<Sh, P>;
    const STRATEGY: Option<Strategy> = Some(Strategy::WaitFree);
}

const PUSH: usize = Direction::Push as usize;
const POP: usize = Direction::Pop as usize;

/// Set in `Side::flags` while the last call found the ring blocked. No slot word
/// has these bits below a phase, so the next call leaves the short path.
const ARMED: u64 = 1 << 63;
/// Set there while the spare is lent by its address.
const LENT: u64 = 1 << 62;

/// In `Header::closed`: somebody closes the ring.
const ASKED: u64 = 1;
/// There: it is closed.
const SEALED: u64 = 2;

/// Positions between two looks ahead, as a shift: 8, the longest run.
const GROUP: u32 = 3;
/// In `Side::taken`: what was taken lies aside, not in the spare.
const ASIDE: u32 = !0;
/// There: it was a run of one element.
const SINGLE: u32 = !0 - 1;

#[derive(Debug)]
#[repr(C)]
struct Header {
    hint: [Padded<Word>; 2],
    closed: Padded<Word>,
}

/// Eight of them in a line, as many as the longest run.
#[derive(Debug)]
#[repr(C, align(8))]
struct Slot {
    word: Word,
}

#[derive(Debug)]
#[repr(C)]
struct Entry {
    state: Word,
    cell: Word,
}

/// What a participant announces: two entries, by turns.
#[derive(Debug)]
#[repr(C, align(64))]
struct Record {
    entries: [Entry; 2],
}

/// How long to wait, in pauses (11 ns each on the reference machine). All of it
/// is bounded, and none of it is needed.
#[derive(Clone, Copy, Debug)]
struct Pacing {
    /// Before the first blocked answer after a success.
    poll: u16,
    /// Elements (or room) that should gather before a run starts.
    goal: u16,
    /// Pauses for each look at whether they have.
    look: u16,
    /// Whether to ask for lines in advance.
    ahead: bool,
    /// Less room than that, and the pops are followed too closely.
    near: u8,
    /// Pauses to let more gather.
    rest: u16,
    /// Positions between two moves of a hint, as a shift: such an exchange costs
    /// as much as a decision.
    hints: u8,
}

impl Pacing {
    fn of(capacity: usize) -> Self {
        let small = capacity.min(256) as u16;
        let whole = Self {
            poll: 128,
            goal: 64,
            look: 32,
            ahead: true,
            near: 8,
            rest: small,
            hints: 4,
        };
        match capacity {
            1024.. => whole,
            256.. => Self { hints: 3, ..whole },
            // Found by a search of 200 settings at capacity 64: little matters.
            _ => Self {
                poll: small.min(64),
                goal: 1,
                ahead: false,
                near: if capacity < 32 { 0 } else { 4 },
                rest: small / 4,
                ..whole
            },
        }
    }
}

/// The exchange ring over cells of shape `Sh`.
#[derive(Debug)]
pub struct ExchangeRing<Sh, P> {
    header: NonNull<Header>,
    slots: NonNull<Slot>,
    cells: NonNull<u8>,
    /// The runs of the cells; the same, if a run is one element.
    runs: NonNull<u8>,
    announced: NonNull<Word>,
    records: NonNull<Record>,
    places: NonNull<Place>,
    /// Elements.
    capacity: usize,
    slot_count: usize,
    cell_count: usize,
    /// The bits of a position that say whose turn it is: participants of each
    /// side, a power of two, less one.
    turns: usize,
    /// How many of them may join.
    asked: usize,
    patience: u32,
    fields: Fields,
    /// In laps that have all these bits runs are of one element.
    refresh: u64,
    layout: CellLayout,
    /// Bytes of an element.
    size: usize,
    shared: bool,
    pacing: Pacing,
    helps: Count,
    profile: PhantomData<(Sh, P)>,
}

impl<Sh: Shape, P> Clone for ExchangeRing<Sh, P> {
    fn clone(&self) -> Self {
        Self {
            helps: self.helps.clone(),
            ..*self
        }
    }
}

// SAFETY: the pointers lead to words and to payloads that are handed over by
// the slots (I3); the faces require `T: Send` for what is moved.
unsafe impl<Sh: Shape, P> Send for ExchangeRing<Sh, P> {}
// SAFETY: as above.
unsafe impl<Sh: Shape, P> Sync for ExchangeRing<Sh, P> {}

/// No slot word: the caller has not seen one that it could exchange for.
const UNSEEN: u64 = !0;

/// Why an exchange did not happen.
#[derive(Clone, Copy)]
enum Stop {
    Blocked,
    Closed,
    /// The element at the front was declined.
    Declined,
}

/// Whoever takes whatever comes.
fn any(_: *mut u8) -> bool {
    true
}

impl<Sh: Shape, P: Profile> ExchangeRing<Sh, P> {
    #[inline(always)]
    fn header(&self) -> &Header {
        // SAFETY: `attach` requires a ring there for as long as a view is used.
        unsafe { self.header.as_ref() }
    }

    /// A slot's word; the caller's index is below the number of slots.
    #[inline(always)]
    fn slot(&self, index: usize) -> &Word {
        debug_assert!(index < self.slot_count);
        // SAFETY: the slot lies inside the region.
        unsafe { &(*self.slots.as_ptr().add(index)).word }
    }

    /// Of each side; a power of two.
    #[inline(always)]
    fn participants(&self) -> usize {
        self.turns + 1
    }

    /// Whose turn it is at a position.
    #[inline(always)]
    fn turn(&self, position: u64) -> usize {
        position as usize & self.turns
    }

    /// How many positions from this one on are nobody's turn who announced
    /// something, `n` at the most.
    #[inline(always)]
    fn wanted<const S: usize>(&self, position: u64, n: u64) -> u64 {
        let waits = |by: &u64| {
            let turn = self.announced::<S>(self.turn(position.wrapping_add(*by)));
            turn.load(P::relaxed(TURN_LOOK)) != 0
        };
        (0..n).find(waits).unwrap_or(n)
    }

    #[inline(always)]
    fn announced<const S: usize>(&self, participant: usize) -> &Word {
        self.announced_of(S, participant)
    }

    #[inline(always)]
    fn announced_of(&self, side: usize, participant: usize) -> &Word {
        let index = side * self.participants() + (participant & self.turns);
        // SAFETY: two rows of `participants` words.
        unsafe { &*self.announced.as_ptr().add(index) }
    }

    /// The entry of a participant's operation; any numbers are brought into range.
    fn entry(&self, participant: usize, side: usize, sequence: u64) -> &Entry {
        let participant = participant & (self.turns);
        let row = if skip(OWN_RECORDS) { 0 } else { side & 1 };
        let index = row * self.participants() + participant;
        // SAFETY: two rows of `participants` records.
        let record = unsafe { &*self.records.as_ptr().add(index) };
        &record.entries[(sequence & 1) as usize]
    }

    /// The layout of a cell: a constant, if the shape is one.
    #[inline(always)]
    fn layout(&self) -> CellLayout {
        match Sh::STATIC {
            Some((size, align)) if self.shared => CellLayout::of(size, align, true),
            Some((size, align)) => CellLayout::of(size, align, false),
            None => self.layout,
        }
    }

    /// An index of a cell: one that no ring writes is spoilt data, not a wild
    /// access.
    #[inline(always)]
    fn within(&self, cell: u64) -> usize {
        let index = cell as usize;
        if index < self.cell_count { index } else { 0 }
    }

    #[inline(always)]
    fn cell(&self, cell: u64) -> *mut u8 {
        let stride = self.layout().stride;
        // SAFETY: below the number of cells, so inside the region.
        unsafe { self.cells.as_ptr().add(self.within(cell) * stride) }
    }

    /// Where a cell's run lies, if it is longer than one element.
    #[inline(always)]
    fn run(&self, cell: u64) -> *mut u8 {
        let stride = self.layout().run_stride;
        // SAFETY: below the number of cells, so inside the region.
        unsafe { self.runs.as_ptr().add(self.within(cell) * stride) }
    }

    /// Bytes of an element: a constant, if the shape is one.
    #[inline(always)]
    fn size(&self) -> usize {
        Sh::STATIC.map_or(self.size, |(size, _)| size)
    }

    /// The element of a cell whose run is one.
    #[inline(always)]
    fn single(&self, cell: u64) -> Lease {
        let at = self.cell(cell);
        // SAFETY: the element of a cell, inside the region.
        unsafe {
            Lease {
                payload: at.add(self.layout().payload),
                tracker: at.cast(),
                ticket: cell,
            }
        }
    }

    /// Element `i` of a longer run.
    #[inline(always)]
    fn element(&self, cell: u64, i: usize) -> Lease {
        let layout = self.layout();
        if layout.elements == 1 {
            return self.single(cell);
        }
        let i = i.min(layout.elements - 1);
        let at = self.run(cell);
        // SAFETY: an element of a run, inside the region.
        unsafe {
            Lease {
                payload: at.add(layout.run_payload + i * self.size()),
                tracker: at.cast(),
                ticket: cell,
            }
        }
    }

    /// The next element that a slot's word has.
    #[inline(always)]
    fn front(&self, word: u64) -> Lease {
        let fields = &self.fields;
        if fields.length(word) == 1 {
            self.single(fields.cell(word))
        } else {
            self.element(fields.cell(word), fields.popped(word) as usize)
        }
    }

    /// Element `i` of what was taken last.
    #[inline(always)]
    fn taken(&self, side: &Side, i: usize) -> Lease {
        match side.taken {
            SINGLE => self.single(side.spare),
            ASIDE => self.taken_aside(side, i),
            first => self.element(side.spare, first as usize + i),
        }
    }

    /// Puts the first element of a run in the own spare where a single one lies:
    /// no more of it is pushed.
    #[cold]
    fn make_single(&self, side: &Side) {
        let size = self.size();
        if self.layout().elements == 1 {
            return; // it lies there
        }
        // SAFETY: both are places of the own spare, which is not lent, and do
        // not overlap.
        unsafe {
            self.element(side.spare, 0).read(|from| {
                self.single(side.spare)
                    .write(|to| std::ptr::copy_nonoverlapping(from, to, size));
            });
        }
    }

    #[cold]
    fn taken_aside(&self, side: &Side, i: usize) -> Lease {
        let i = i.min(self.layout.elements - 1);
        let place = side.place();
        Lease {
            // SAFETY: the aside holds as many elements as a run.
            payload: unsafe { place.aside().add(i * self.size) },
            tracker: &raw const place.tracker,
            ticket: side.spare,
        }
    }

    /// Copies `n` elements that somebody else may be overwriting: what it reads
    /// is used only if the slot's word turns out to be unchanged.
    fn copy_aside(&self, side: &Side, from: *const u8, n: usize) {
        let bytes = n.min(self.layout.elements) * self.size;
        let to = side.place().aside();
        let words = if self.size.is_multiple_of(8) {
            bytes / 8
        } else {
            0
        };
        // SAFETY: both are inside the region and aligned to the element, hence
        // to 8 if that is what is copied; the aside is this participant's.
        // Volatile, because the other owner may write meanwhile.
        unsafe {
            for i in 0..words {
                let word = from.cast::<u64>().add(i).read_volatile();
                to.cast::<u64>().add(i).write(word);
            }
            for i in 8 * words..bytes {
                to.add(i).write(from.add(i).read_volatile());
            }
        }
    }

    #[inline(always)]
    fn base(&self, lap: u64, side: usize) -> u64 {
        (lap.wrapping_mul(2) + side as u64) << self.fields.phase
    }

    /// Goes to `position`, from anywhere.
    #[cold]
    fn jump<const S: usize>(&self, side: &mut Side, position: u64) {
        let count = self.slot_count as u64;
        side.position = position;
        side.lap = position - position % count;
        side.base = self.base(position / count, S);
    }

    /// Goes over the end of a lap.
    #[cold]
    fn next_lap(&self, side: &mut Side) {
        let count = self.slot_count as u64;
        side.lap = side.lap.wrapping_add(count);
        side.base = side.base.wrapping_add(2 * self.fields.one);
        if side.position.wrapping_sub(side.lap) >= count {
            side.lap = side.position; // a run no ring writes
        }
    }

    /// Goes on by a run.
    #[inline(always)]
    fn step_on<const S: usize>(&self, side: &mut Side, n: u64) {
        let was = side.position;
        side.position = side.position.wrapping_add(n);
        let count = self.slot_count as u64;
        if side.position.wrapping_sub(side.lap) >= count {
            self.next_lap(side);
        }
        if (was ^ side.position) >> GROUP != 0 {
            self.new_group::<S>(side, was, n);
        }
    }

    /// The own position is in a new group: looks ahead, tells others. Apart,
    /// because seven calls of eight have no use for its registers.
    #[inline(never)]
    fn new_group<const S: usize>(&self, side: &mut Side, was: u64, n: u64) {
        let index = side.index();
        // A run is decided in a fifth of the time that a line needs to come.
        let (slots, cells) = if n > 1 { (64, 32) } else { (16, 8) };
        // Not over the end of a lap, which is rarely near.
        if self.pacing.ahead && side.skip == 0 && index + slots < self.slot_count {
            prefetch_write(std::ptr::from_ref(self.slot(index + slots)).cast());
            let look = |by: usize| self.slot(index + by).load(P::relaxed(AHEAD_LOOK));
            let next = look(cells);
            // What is not pushed yet need not be asked for.
            if S == PUSH || !self.is_behind(side, next) {
                let ask = if S == PUSH {
                    prefetch_write
                } else {
                    prefetch_read
                };
                if n > 1 {
                    ask(self.run(self.fields.cell(next)));
                } else {
                    let mut last = 0;
                    for by in cells..cells + 8 {
                        let cell = self.cell(self.fields.cell(look(by)));
                        // Neighbours often lie in one line.
                        if cell as usize / LINE != last {
                            ask(cell);
                        }
                        last = cell as usize / LINE;
                    }
                }
            }
        }
        let crossed = was ^ side.position;
        if crossed >> self.pacing.hints == 0 {
            return;
        }
        // Of long runs others hear four times as rarely: as many runs apart.
        if n < 4 || crossed >> (self.pacing.hints + 2) != 0 {
            self.move_hint(S, side.position);
        }
        if S == PUSH && self.header().closed.load(P::relaxed(CLOSING_LOOK)) != 0 {
            side.limit = 0; // the next push helps to close
        }
    }

    #[inline]
    fn move_hint(&self, side: usize, position: u64) {
        let hint = &self.header().hint[side];
        let was = hint.load(P::relaxed(HINT_PEEK));
        if was < position {
            // Once: whoever moved it meanwhile moved it as well as this.
            let _ = hint.compare_exchange(was, position, P::release(HINT_MOVE));
        }
    }

    /// After a claim was carried out: moves the hint, if that begins a group.
    fn tell(&self, side: usize, index: usize, claim: u64) {
        let hint = self.header().hint[side].load(P::relaxed(HINT_PEEK));
        let (count, phase) = (self.slot_count as u64, self.fields.phase(claim));
        // The word has the low bits of the lap; the hint is not far off.
        let lap = hint / count;
        let bits = !0 >> (self.fields.phase + 1);
        let mut laps = (phase >> 1).wrapping_sub(lap) & bits;
        if laps > bits / 2 {
            return; // older than the hint
        }
        laps = laps.wrapping_add(lap);
        let position = laps.wrapping_mul(count).wrapping_add(index as u64);
        let length = if side == POP {
            self.fields.length(claim)
        } else {
            1
        };
        let next = position.wrapping_add(length);
        if (position ^ next) >> self.pacing.hints != 0 {
            self.move_hint(side, next);
        }
    }

    /// After a success: the next push may take the short path.
    #[inline]
    fn open_way(&self, side: &mut Side) {
        side.limit = if self.patience == 0 { 0 } else { side.room };
    }

    /// The expected case of a push: nobody moved since the last call, there is
    /// room, nobody wants help. `word` is what the slot held, seen in this call;
    /// `n` elements are in the spare.
    #[inline(always)]
    fn push_once(&self, side: &mut Side, word: u64, n: u64) -> bool {
        let next = side.base.wrapping_add(self.fields.one);
        let barred = word & self.fields.barred != 0;
        if side.position.wrapping_add(n) > side.limit
            || word.wrapping_sub(next).cast_signed() >= 0
            || barred
            || (n > 1 && n > self.longest(side))
        {
            return false;
        }
        self.push_at(side, word, n)
    }

    /// The same, where the caller has seen that nothing stands in the way.
    #[inline(always)]
    fn push_at(&self, side: &mut Side, word: u64, n: u64) -> bool {
        if self.wanted::<PUSH>(side.position, n) < n {
            return false;
        }
        let next = side.base.wrapping_add(self.fields.one);
        self.note_attempt(side, word, n);
        let mine = next | self.fields.run_of(n) | side.spare;
        let slot = self.slot(side.index());
        if slot
            .compare_exchange(word, mine, P::acq_rel(DECIDE))
            .is_err()
        {
            self.note_lost(side);
            return false;
        }
        side.spare = self.fields.cell(word);
        self.note_done(side, n);
        self.step_on::<PUSH>(side, n);
        true
    }

    /// Likewise of a pop that takes what is left of the run, `n` elements at
    /// the most: how many.
    #[inline(always)]
    fn pop_once(&self, side: &mut Side, word: u64, most: u64) -> Option<u64> {
        let fields = &self.fields;
        // For single elements a run is one, and its field 0.
        let run = if most == 1 { 0 } else { fields.run };
        if (word ^ side.base ^ side.flags) & !(fields.cells | run) != 0 {
            return None;
        }
        let (left, length) = if most == 1 {
            (1, 1)
        } else {
            (fields.left(word), fields.length(word))
        };
        if left > most {
            return None;
        }
        if self.wanted::<POP>(side.position, length) < length {
            return None;
        }
        self.note_attempt(side, word, left);
        let keep = if most == 1 {
            0
        } else {
            fields.length_field(word)
        };
        let mine = side.base.wrapping_add(fields.one) | keep | side.spare;
        let slot = self.slot(side.index());
        if slot
            .compare_exchange(word, mine, P::acq_rel(DECIDE))
            .is_err()
        {
            self.note_lost(side);
            return None;
        }
        side.spare = fields.cell(word);
        side.taken = if length == 1 {
            SINGLE
        } else {
            fields.popped(word) as u32
        };
        self.note_done(side, left);
        self.step_on::<POP>(side, length);
        Some(left)
    }

    /// Pops 1 to `most` elements.
    #[inline(always)]
    fn pop_some(&self, side: &mut Side, most: u64) -> Result<u64, Stop> {
        let word = self.slot(side.index()).load(P::acquire(SLOT_LOOK));
        match self.pop_once(side, word, most) {
            Some(n) => Ok(n),
            None => self.take::<true>(side, most, any),
        }
    }

    /// The first position of a side that is not done, at some moment of the
    /// call; and the run that it is in begins at the first answer.
    fn frontier<const S: usize>(&self) -> (u64, u64) {
        let count = self.slot_count as u64;
        let mut position = self.header().hint[S].load(P::acquire(LOOK_HINT));
        // A hint is behind by as much as is in flight; others move on meanwhile,
        // and a hostile process may have written anything.
        for _ in 0..self.slot_count + 16 * self.participants() {
            let word = self.slot((position % count) as usize);
            let word = word.load(P::acquire(LOOK_SLOT));
            let base = self.base(position / count, S);
            let phases = word.wrapping_sub(base).cast_signed() >> self.fields.phase;
            if phases <= 0 {
                let inside = S == POP && phases == 0;
                let popped = if inside { self.fields.popped(word) } else { 0 };
                return (position, position.wrapping_add(popped));
            }
            position = self.after::<S>(position, word).max(position);
        }
        (position, position)
    }

    /// Marks the next position of the pushing side, and notes that it is done.
    fn mark_sealed(&self) {
        let count = self.slot_count as u64;
        // In a ring that nobody spoils it ends when everybody that pushes has
        // seen that it is asked for.
        for _ in 0..64 + 32 * self.participants() {
            let (position, _) = self.frontier::<PUSH>();
            let index = (position % count) as usize;
            let slot = self.slot(index);
            let word = slot.load(P::acquire(SEAL_LOOK));
            let next = self
                .base(position / count, PUSH)
                .wrapping_add(self.fields.one);
            if word.wrapping_sub(next).cast_signed() >= 0 {
                continue; // this position was pushed meanwhile
            }
            if word & self.fields.sealed != 0 {
                break;
            }
            if self.fields.claimant(word) != 0 && self.carry_out(index, word) {
                continue;
            }
            let sealed = self.fields.plain(word) | self.fields.sealed;
            if slot
                .compare_exchange(word, sealed, P::acq_rel(SEAL_MARK))
                .is_ok()
            {
                break;
            }
        }
        self.header().closed.fetch_or(SEALED, P::release(SEAL_NOTE));
    }
}

// SAFETY: linearizable at the steps of the module's table (I1-I9); the checks
// are listed in docs/guarantees.md.
unsafe impl<Sh: Shape, P: Profile> RawRing<Sh> for ExchangeRing<Sh, P> {
    const TRAITS: Traits = Traits {
        name: "wait_free",
        producers: Arity::Many,
        consumers: Arity::Many,
        returns: "always, within O(participants) of its own shared accesses",
        stopped_thread: "holds up nobody",
        survives_kill: true,
        shared: true,
        records: true,
        source: "own design: the exchange ring, after Herlihy 1991, Kogan and Petrank 2012",
        steps: STEPS,
    };
    type Producer = Side;
    type Consumer = Side;

    fn footprint(geometry: &Geometry<Sh>) -> Result<Layout, BuildError> {
        Parts::of(geometry).map(|parts| parts.whole)
    }

    unsafe fn init(at: NonNull<u8>, geometry: &Geometry<Sh>) {
        // SAFETY: the caller gives a region of the footprint; no words yet.
        unsafe {
            let ring = Self::attach(at, geometry);
            let header = at.cast::<Header>().as_ptr();
            for side in 0..2 {
                (&raw mut (*header).hint[side].0).write(Word::new(0));
            }
            (&raw mut (*header).closed.0).write(Word::new(0));
            for index in 0..ring.slot_count {
                (&raw mut (*ring.slots.as_ptr().add(index)).word).write(Word::new(index as u64));
            }
            for i in 0..2 * ring.participants() {
                ring.announced.add(i).write(Word::new(0));
                for turn in 0..2 {
                    let entry = &raw mut (*ring.records.as_ptr().add(i)).entries[turn];
                    (&raw mut (*entry).state).write(Word::new(0));
                    (&raw mut (*entry).cell).write(Word::new(0));
                }
                ring.places
                    .add(i)
                    .write(Place::new((ring.slot_count + i) as u64));
            }
            for cell in 0..ring.cell_count {
                let at = ring.cell(cell as u64);
                at.cast::<Tracker>().write(Tracker::new());
                if ring.shared {
                    at.add(ring.layout.tag).cast::<Word>().write(Word::new(0));
                }
                if ring.layout.elements > 1 {
                    let run = ring.run(cell as u64);
                    run.cast::<Tracker>().write(Tracker::new());
                }
            }
        }
    }

    unsafe fn attach(at: NonNull<u8>, geometry: &Geometry<Sh>) -> Self {
        let parts =
            Parts::of(geometry).expect("the footprint of this geometry was computed before");
        let (size, align) = (geometry.shape.size(), geometry.shape.align());
        let layout = CellLayout::of(size, align, geometry.shared);
        let fields = parts.fields;
        // Once in so many laps every slot is used (`longest`).
        let bits = u64::BITS - fields.phase;
        let refresh = ((1 << (bits - 6)) - 1) << (fields.phase + 1);
        // SAFETY: the offsets lie inside the footprint.
        unsafe {
            Self {
                header: at.cast(),
                slots: at.add(parts.slots).cast(),
                cells: at.add(parts.cells),
                runs: at.add(parts.runs),
                announced: at.add(parts.announced).cast(),
                records: at.add(parts.records).cast(),
                places: at.add(parts.places).cast(),
                capacity: geometry.capacity,
                slot_count: parts.slot_count,
                cell_count: parts.cell_count,
                turns: parts.participants - 1,
                asked: geometry.participants,
                patience: geometry.patience,
                fields,
                refresh,
                layout,
                size,
                shared: geometry.shared,
                pacing: Pacing::of(geometry.capacity),
                helps: Count::default(),
                profile: PhantomData,
            }
        }
    }

    unsafe fn finish(&self) {
        // SAFETY: the caller is the last user; `init` wrote these words.
        unsafe {
            for index in 0..self.slot_count {
                self.slots.add(index).drop_in_place();
            }
            for i in 0..2 * self.participants() {
                self.announced.add(i).drop_in_place();
                self.records.add(i).drop_in_place();
                self.places.add(i).drop_in_place();
            }
            for cell in 0..self.cell_count {
                let at = self.cell(cell as u64);
                at.cast::<Tracker>().drop_in_place();
                if self.shared {
                    at.add(self.layout.tag).cast::<Word>().drop_in_place();
                }
                if self.layout.elements > 1 {
                    self.run(cell as u64).cast::<Tracker>().drop_in_place();
                }
            }
            self.header.drop_in_place();
        }
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn positions(&self) -> (u64, u64) {
        let (_, popped) = self.frontier::<POP>();
        (self.frontier::<PUSH>().1, popped)
    }

    fn new_producer(&self) -> Result<Side, BuildError> {
        self.join::<PUSH>()
    }

    fn new_consumer(&self) -> Result<Side, BuildError> {
        self.join::<POP>()
    }

    fn places(&self) -> usize {
        self.asked
    }

    fn standing(&self, direction: Direction, place: usize) -> (Standing, u64) {
        self.standing_of(direction as usize, place)
    }

    unsafe fn recover(&self, direction: Direction, place: usize) -> Left {
        self.recover_at(direction as usize, place)
    }

    unsafe fn producer_at(&self, place: usize, session: u64) -> Side {
        self.occupy::<PUSH>(place, session)
    }

    unsafe fn consumer_at(&self, place: usize, session: u64) -> Side {
        self.occupy::<POP>(place, session)
    }

    unsafe fn take_orphans(&self, place: usize, n: usize, read: impl FnMut(*mut u8)) -> usize {
        self.orphans_at(place, n, read)
    }

    unsafe fn forget(&self, direction: Direction, place: usize) {
        self.forget_at(direction as usize, place);
    }

    fn audit(&self) -> Result<(), String> {
        self.every_cell_once()
    }

    fn helps(&self) -> u64 {
        self.helps.get()
    }

    #[inline(always)]
    unsafe fn try_claim(&self, side: &mut Side) -> Result<Lease, PushRefusal> {
        let word = self.slot(side.index()).load(P::acquire(SLOT_LOOK));
        let next = side.base.wrapping_add(self.fields.one);
        let free = side.position < side.limit
            && word.wrapping_sub(next).cast_signed() < 0
            && word & self.fields.barred == 0;
        let word = if free {
            word // what the commit expects to find
        } else {
            self.look_before_push(side)?;
            UNSEEN
        };
        Ok(Lease {
            ticket: word,
            ..self.single(side.spare)
        })
    }

    #[inline(always)]
    unsafe fn try_commit(&self, side: &mut Side, claim: Lease) -> Result<(), (Lease, PushRefusal)> {
        // Nothing has happened on this side since the claim.
        if claim.ticket != UNSEEN && self.push_at(side, claim.ticket, 1) {
            return Ok(());
        }
        match self.push_more(side, 1) {
            Ok(_) => Ok(()),
            Err(stop) => Err((claim, stop.into())),
        }
    }

    unsafe fn abandon(&self, _: &mut Side, _: Lease) {}

    #[inline(always)]
    unsafe fn try_take_if(
        &self,
        side: &mut Side,
        mut accept: impl FnMut(*mut u8) -> bool,
    ) -> Result<Option<Lease>, PopRefusal> {
        if side.flags & LENT != 0 {
            return Err(PopRefusal::Lent);
        }
        let word = self.slot(side.index()).load(P::acquire(SLOT_LOOK));
        // Who may take it at once need not be asked again.
        let ready = (word ^ side.base ^ side.flags) & !self.fields.cells == 0;
        if ready
            && accept(self.single(self.fields.cell(word)).payload)
            && self.pop_once(side, word, 1).is_some()
        {
            return Ok(Some(self.single(side.spare)));
        }
        match self.take::<false>(side, 1, accept) {
            Ok(_) => Ok(Some(self.taken(side, 0))),
            Err(Stop::Declined) => Ok(None),
            Err(stop) => Err(stop.into()),
        }
    }

    #[inline(always)]
    unsafe fn try_take(&self, side: &mut Side) -> Result<Lease, PopRefusal> {
        let word = self.slot(side.index()).load(P::acquire(SLOT_LOOK));
        if self.pop_once(side, word, 1).is_none() {
            if side.flags & LENT != 0 {
                return Err(PopRefusal::Lent);
            }
            self.take::<true>(side, 1, any)?;
            return Ok(self.taken(side, 0));
        }
        Ok(self.single(side.spare))
    }

    #[inline(always)]
    unsafe fn push_straight(&self, side: &mut Side, write: impl FnOnce(*mut u8)) -> bool {
        let word = self.slot(side.index()).load(P::acquire(SLOT_LOOK));
        let next = side.base.wrapping_add(self.fields.one);
        if side.position >= side.limit
            || word.wrapping_sub(next).cast_signed() >= 0
            || word & self.fields.barred != 0
        {
            return false;
        }
        // SAFETY: the own spare, which is not lent.
        unsafe { self.single(side.spare).write(write) };
        self.push_at(side, word, 1)
    }

    #[inline(always)]
    unsafe fn pop_straight(&self, side: &mut Side, read: impl FnOnce(*mut u8)) -> bool {
        let word = self.slot(side.index()).load(P::acquire(SLOT_LOOK));
        if self.pop_once(side, word, 1).is_none() {
            return false;
        }
        // SAFETY: the cell is this participant's now.
        unsafe { self.single(side.spare).read(read) };
        self.note_given(side);
        true
    }

    #[inline(always)]
    unsafe fn release(&self, side: &mut Side, _: Lease) {
        self.note_given(side);
    }

    #[inline]
    unsafe fn push_run(
        &self,
        side: &mut Side,
        n: usize,
        mut fill: impl FnMut(*mut u8) -> bool,
        mut back: impl FnMut(*mut u8),
    ) -> Result<usize, PushRefusal> {
        let mut pushed = 0;
        while pushed < n {
            // SAFETY: the caller's promise.
            let pushing = unsafe { self.try_claim(side) }.and_then(|claim| {
                // SAFETY: the own spare.
                if !unsafe { claim.write(&mut fill) } {
                    return Ok(false);
                }
                // SAFETY: the caller's promise; the payload is written.
                match unsafe { self.try_commit(side, claim) } {
                    Ok(()) => Ok(true),
                    Err((claim, why)) => {
                        // SAFETY: still the own spare.
                        unsafe { claim.write(&mut back) };
                        Err(why)
                    }
                }
            });
            match pushing {
                Ok(true) => pushed += 1,
                Ok(false) => break,
                Err(why) if pushed == 0 => return Err(why),
                Err(_) => break,
            }
        }
        Ok(pushed)
    }

    #[inline]
    unsafe fn pop_run(
        &self,
        side: &mut Side,
        n: usize,
        mut read: impl FnMut(*mut u8),
    ) -> Result<usize, PopRefusal> {
        if side.flags & LENT != 0 {
            return Err(PopRefusal::Lent);
        }
        let mut popped = 0;
        while popped < n {
            match self.pop_some(side, (n - popped) as u64) {
                Ok(got) => {
                    for i in 0..got as usize {
                        // SAFETY: the elements are this participant's now.
                        unsafe { self.taken(side, i).read(&mut read) };
                    }
                    self.note_given(side);
                    popped += got as usize;
                }
                Err(stop) if popped == 0 => return Err(stop.into()),
                Err(_) => break,
            }
        }
        Ok(popped)
    }

    #[inline]
    unsafe fn push_copies(
        &self,
        side: &mut Side,
        from: *const u8,
        n: usize,
        size: usize,
    ) -> Result<usize, PushRefusal> {
        if side.flags & LENT != 0 {
            return Err(PushRefusal::Lent);
        }
        // What cannot have room is not read either.
        let n = n.min(self.capacity);
        let mut pushed = 0;
        while pushed < n {
            let run = (n - pushed).min(self.layout().elements);
            let spare = if run == 1 {
                self.single(side.spare)
            } else {
                self.element(side.spare, 0)
            };
            // SAFETY: the own spare has room for a run; `from` has `n` elements.
            unsafe {
                let from = from.add(pushed * size);
                spare.write(|to| std::ptr::copy_nonoverlapping(from, to, run * size));
            }
            let word = self.slot(side.index()).load(P::acquire(SLOT_LOOK));
            if self.push_once(side, word, run as u64) {
                pushed += run;
                continue;
            }
            match self.push_more(side, run as u64) {
                Ok(done) => pushed += done as usize,
                Err(stop) if pushed == 0 => return Err(stop.into()),
                Err(_) => break,
            }
        }
        Ok(pushed)
    }

    #[inline]
    unsafe fn pop_copies(
        &self,
        side: &mut Side,
        to: *mut u8,
        n: usize,
        size: usize,
    ) -> Result<usize, PopRefusal> {
        if side.flags & LENT != 0 {
            return Err(PopRefusal::Lent);
        }
        let mut popped = 0;
        while popped < n {
            match self.pop_some(side, (n - popped) as u64) {
                Ok(got) => {
                    // SAFETY: what was taken lies in a row and is this
                    // participant's now; `to` has room for `n`.
                    unsafe {
                        let to = to.add(popped * size);
                        self.taken(side, 0).read(|from| {
                            std::ptr::copy_nonoverlapping(from, to, got as usize * size);
                        });
                    }
                    self.note_given(side);
                    popped += got as usize;
                }
                Err(stop) if popped == 0 => return Err(stop.into()),
                Err(_) => break,
            }
        }
        Ok(popped)
    }

    fn note_claim(&self, side: &mut Side) {
        side.lend();
    }

    fn note_take(&self, side: &mut Side) {
        side.lend();
    }

    unsafe fn claim_at(&self, side: &mut Side, payload: *mut u8) -> Option<Lease> {
        let lease = self.single(side.spare);
        (side.flags & LENT != 0 && lease.payload == payload).then(|| {
            side.flags &= !LENT;
            Lease {
                ticket: UNSEEN,
                ..lease
            }
        })
    }

    unsafe fn taken_at(&self, side: &mut Side, payload: *mut u8) -> Option<Lease> {
        let lease = self.taken(side, 0);
        (side.flags & LENT != 0 && lease.payload == payload).then(|| {
            side.flags &= !LENT;
            lease
        })
    }

    fn seal(&self) -> bool {
        let was = self.header().closed.fetch_or(ASKED, P::relaxed(SEAL_ASK));
        if was & SEALED == 0 {
            self.mark_sealed();
        }
        true
    }

    fn is_sealed(&self) -> bool {
        self.header().closed.load(P::acquire(LOOK_CLOSED)) & SEALED != 0
    }

    unsafe fn for_each_left(&self, mut f: impl FnMut(*mut u8)) {
        let count = self.slot_count as u64;
        let (mut position, _) = self.frontier::<POP>();
        // Twice as many runs as fit end a ring that somebody spoilt.
        for _ in 0..2 * self.slot_count {
            let index = (position % count) as usize;
            let mut word = self.slot(index).load(P::acquire(LOOK_SLOT));
            if self.fields.claimant(word) != 0 && self.carry_out(index, word) {
                word = self.slot(index).load(P::acquire(LOOK_SLOT));
            }
            let base = self.base(position / count, POP);
            let phases = word.wrapping_sub(base).cast_signed() >> self.fields.phase;
            if phases < 0 {
                break;
            }
            if phases == 0 {
                let (cell, length) = (self.fields.cell(word), self.fields.length(word));
                if length == 1 {
                    f(self.single(cell).payload);
                } else {
                    for i in self.fields.popped(word)..length {
                        f(self.element(cell, i as usize).payload);
                    }
                }
            }
            position = position.wrapping_add(self.fields.length(word));
        }
    }
}

impl From<Stop> for PushRefusal {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Blocked => Self::Full,
            Stop::Closed => Self::Closed,
            Stop::Declined => unreachable!("pushes take any slot"),
        }
    }
}

impl From<Stop> for PopRefusal {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Blocked => Self::Empty,
            Stop::Closed => Self::Closed,
            Stop::Declined => unreachable!("answered by its caller"),
        }
    }
}
