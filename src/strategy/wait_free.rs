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
//! 2. A push writes its value into the spare and swaps that for the slot's
//!    empty cell; a pop swaps its spare for the slot's full cell, then reads.
//!    One exchange of one word decides the position, publishes the value and
//!    passes the ownership: there is no moment at which a slot is taken and not
//!    yet written, so nobody can be found halfway.
//! 3. Each slot has a *phase* that only grows by 1: push number `p` moves the
//!    phase of slot `p mod capacity` from `2 lap` to `2 lap + 1`, pop number `p`
//!    on to `2 lap + 2`. Push and pop are the same code with another parity.
//! 4. Who knows that all positions of its side below `p` are done, and finds
//!    slot `p` one phase behind, is blocked: full (push) or empty (pop), exact
//!    at that look. No comparison of two counters.
//! 5. Who loses often announces its operation. Position `p` has a preferred
//!    participant, `p mod participants`: everyone looks at its announcement
//!    first (a word that is read-mostly) and, if there is one, installs a
//!    *claim* for it instead of an operation of its own. So an announced
//!    operation is decided within as many positions as there are participants.
//!
//! # State
//!
//! | word | meaning |
//! |---|---|
//! | `slot[x]` | phase, sealed (1 bit), sequence mod 4, participant + 1, cell. Participant and sequence are 0 in a plain word; otherwise it is a claim |
//! | `hint[side]` | a lower bound of the first position of the side that is not done |
//! | `announced[side][i]` | 0, or the sequence number of what participant `i` announced |
//! | `entry[i][side][seq & 1].state` | sequence, status (pending, done, blocked), the cell it got |
//! | `entry[i][side][seq & 1].cell` | the cell it gives |
//! | `owner[i]` | 0, or who is participant `i` |
//!
//! # Invariants
//!
//! * I1: of each side the positions are completed in order; `hint` and each
//!   participant's own position are never beyond the first that is not.
//! * I2: a slot's phase only grows by 1; in one phase its word goes plain →
//!   claim → claim … and never repeats a value, so a compare-exchange that
//!   succeeds has seen everything.
//! * I3: the cells in slots and the spares are each cell once, where an
//!   operation that is done but not carried out counts as if it were.
//! * I4: of a pending operation at most one claim is in a slot, that slot is
//!   its side's next position, and the claim goes only by being carried out.
//!   (Who claims reads the slot first and the announcement after it.)
//! * I5: a dead claim (of an operation that is blocked, or done with another
//!   cell, or older) is dead for ever; it is overwritten, never rolled back.
//! * I6: two bits of the sequence tell a slot's claims apart: while a slot is
//!   next in one phase a participant ends at most one operation of that side.
//! * I7: an entry is used again two operations later; by then its slot has
//!   been completed.
//!
//! # Steps
//!
//! | step | access | order | pairs with | why |
//! |---|---|---|---|---|
//! | `SLOT_LOOK` | load slot | acquire | `DECIDE`, `COMPLETE` | the cell is handed over; read before any record (I4) |
//! | `TURN_LOOK` | load announced | relaxed | – | progress only |
//! | `DECIDE` | exchange slot | acq_rel | `SLOT_LOOK` | gives the own cell, takes the slot's |
//! | `HINT_PEEK` | load hint | relaxed | – | whether it is worth moving |
//! | `HINT_MOVE` | exchange hint, once | release | `HINT_READ` | all below are done |
//! | `HINT_READ` | load hint | acquire | `HINT_MOVE` | the slots below are seen as done |
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
//! | `GATHER_LOOK`, `AHEAD_LOOK` | load slot | relaxed | – | pacing and prefetching: guesses |
//! | `SEAL_LOOK` | load slot | acquire | `DECIDE` | the next position of the pushing side |
//! | `SEAL_MARK` | exchange slot | acq_rel | `SLOT_LOOK` | no push gets this position |
//! | `SEAL_NOTE` | store closed | release | `LOOK_CLOSED` | so that nobody has to search |
//! | `JOIN_LOOK`, `JOIN` | load, exchange owner | acquire | `LEAVE` | takes over cell and sequences |
//! | `PLACE_READ`, `PLACE_WRITE` | load, store of a place | relaxed | – | between `JOIN` and `LEAVE` of one owner |
//! | `LEAVE` | store owner | release | `JOIN` | gives them on |
//! | `LOOK_SLOT`, `LOOK_HINT`, `LOOK_CLOSED` | loads | acquire | – | lengths and diagnosis |
//!
//! # Linearization
//!
//! | outcome | step |
//! |---|---|
//! | pushed, popped | `DECIDE`, or `CONFIRM` if it was announced |
//! | `Full`, `Empty` | `BLOCK_LOOK` |
//! | `Closed` | `SLOT_LOOK` |
//!
//! # Progress
//!
//! *Returns and succeeds*: wait-free. A call makes at most a constant number of
//! fast attempts, then announces itself and is decided within `n` positions,
//! `n` the number of participants: O(n) own accesses whatever the others do.
//! Sealing is lock-free. A stopped or killed participant holds up nobody.
//!
//! # Not done yet
//!
//! Compiled with `--cfg turtle_next` only, and in no table. Missing: a run that
//! takes from an iterator (`push_run` can find the ring full after it has taken
//! an element), runs with one decision, rings in shared memory and the records
//! of the dead, sealing in bounded steps, the number of participants and the
//! patience as options, spec and tests for all of that.
//!
//! # Limits
//!
//! One outstanding claim or take for each participant; `n` is set when the
//! ring is built. Phases are told apart over 2^(62 − bits of cells − bits of
//! participants): see `footprint`.

use std::alloc::Layout;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::{
    Arity, Engine, Geometry, Lease, PopRefusal, PushRefusal, RawRing, Shape, SlotLayout, Strategy,
    Traits,
};
use crate::atomic::{
    Padded, Profile, Tracker, Tuned, Word, fence, mutate::skip, pause, prefetch_read,
    prefetch_write,
};
use crate::error::BuildError;
use crate::os::fork::fork_generation;

crate::steps! {
    /// Reads the slot of the own position.
    SLOT_LOOK;
    /// Looks whether the preferred participant announced something.
    TURN_LOOK;
    /// Exchanges the own cell for the slot's.
    DECIDE;
    /// Reads the hint before moving it.
    HINT_PEEK;
    /// Moves the hint.
    HINT_MOVE;
    /// Reads the hint to go on from there.
    HINT_READ;
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
    /// Guesses which cells come next.
    AHEAD_LOOK;
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
    /// Reads what the last owner of a place left.
    PLACE_READ;
    /// Leaves something for the next owner.
    PLACE_WRITE;
    /// Gives a place back.
    LEAVE;
    /// Observer reads a slot.
    LOOK_SLOT;
    /// Observer reads a hint.
    LOOK_HINT;
    /// Observer reads whether it is sealed.
    LOOK_CLOSED;
}

/// The engine's name: `Ring<T, WaitFree>`.
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitFree<P = Tuned>(PhantomData<P>);

impl<P: Profile> Engine for WaitFree<P> {
    type Raw<Sh: Shape> = ExchangeRing<Sh, P>;
    const STRATEGY: Option<Strategy> = Some(Strategy::WaitFree);
}

const PUSH: usize = 0;
const POP: usize = 1;

/// Status of an announced operation.
const PENDING: u64 = 1;
const DONE: u64 = 2;
const BLOCKED: u64 = 3;

/// Set in `Side::armed` while the last call found the ring blocked. No slot word
/// has these bits, so the next call leaves the short path.
const ARMED: u64 = 1 << 63;
/// Set there while the spare is lent by its address.
const LENT: u64 = 1 << 62;

#[derive(Debug)]
#[repr(C)]
struct Header {
    hint: [Padded<Word>; 2],
    closed: Padded<Word>,
}

/// Two words, four of them in a line: measured better than eight.
#[derive(Debug)]
#[repr(C, align(16))]
struct Slot {
    word: Word,
}

#[derive(Debug)]
#[repr(C)]
struct Entry {
    state: Word,
    cell: Word,
}

/// What a participant announces: of each side two entries, by turns.
#[derive(Debug)]
#[repr(C, align(64))]
struct Record {
    entries: [[Entry; 2]; 2],
}

/// What a participant leaves to the next one.
#[derive(Debug)]
#[repr(C, align(64))]
struct Place {
    owner: Word,
    spare: Word,
    sequence: [Word; 2],
}

/// Where the parts lie, from the ring's start.
#[derive(Clone, Copy, Debug)]
struct Parts {
    slots: usize,
    announced: usize,
    records: usize,
    places: usize,
    cells: usize,
    whole: Layout,
}

/// How the fields of a slot word lie.
#[derive(Clone, Copy, Debug)]
struct Fields {
    /// Of the cell.
    cells: u64,
    /// Shift of participant + 1.
    participant: u32,
    /// Of it, unshifted.
    participants: u64,
    /// Shift of the sequence.
    sequence: u32,
    sealed: u64,
    /// Shift of the phase, and one phase.
    phase: u32,
    one: u64,
}

impl Fields {
    fn of(capacity: usize, participants: usize) -> Self {
        let cell_bits = bits(capacity as u64 + participants as u64);
        let participant_bits = bits(participants as u64 + 1);
        let sequence = cell_bits + participant_bits;
        Self {
            cells: (1 << cell_bits) - 1,
            participant: cell_bits,
            participants: (1 << participant_bits) - 1,
            sequence,
            sealed: 1 << (sequence + 2),
            phase: sequence + 3,
            one: 1 << (sequence + 3),
        }
    }
    #[inline(always)]
    fn phase(&self, word: u64) -> u64 {
        word >> self.phase
    }
    #[inline(always)]
    fn cell(&self, word: u64) -> u64 {
        word & self.cells
    }
    /// Whose claim it is, plus 1; 0: nobody's.
    #[inline(always)]
    fn claimant(&self, word: u64) -> u64 {
        (word >> self.participant) & self.participants
    }
    fn sequence(&self, word: u64) -> u64 {
        (word >> self.sequence) & 3
    }
    fn claim(&self, base: u64, sequence: u64, participant: usize, word: u64) -> u64 {
        base | (word & self.sealed)
            | (sequence & 3) << self.sequence
            | (participant as u64 + 1) << self.participant
            | self.cell(word)
    }
    /// A state word.
    fn state(&self, sequence: u64, status: u64, cell: u64) -> u64 {
        (sequence << 2 | status) << self.participant | cell
    }
    fn state_sequence(&self, state: u64) -> u64 {
        state >> (self.participant + 2)
    }
    fn status(&self, state: u64) -> u64 {
        (state >> self.participant) & 3
    }
}

/// Bits that tell `n` things apart.
const fn bits(n: u64) -> u32 {
    u64::BITS - (n - 1).leading_zeros()
}

/// How long to wait, in pauses (11 ns each on the reference machine). All of it
/// is bounded, and none of it is needed.
#[derive(Clone, Copy, Debug)]
struct Pacing {
    /// Before the first blocked answer after a success.
    poll: u32,
    /// Elements (or room) that should gather before a run starts.
    goal: usize,
    /// Pauses for each look at whether they have.
    look: u32,
    /// Whether to ask for lines in advance.
    ahead: bool,
}

const LOOKS: u32 = 8;
/// After a lost slot; doubled three times.
const LOST: u32 = 32;

impl Pacing {
    fn of(capacity: usize) -> Self {
        if capacity >= 256 {
            Self {
                poll: 128,
                goal: 64,
                look: 32,
                ahead: true,
            }
        } else {
            let small = capacity as u32; // below 256
            Self {
                poll: small.min(64),
                goal: (capacity / 2).clamp(1, 32),
                look: small.min(32),
                ahead: false,
            }
        }
    }
}

/// The exchange ring over cells of shape `Sh`.
#[derive(Debug)]
pub struct ExchangeRing<Sh, P> {
    header: NonNull<Header>,
    slots: NonNull<Slot>,
    cells: NonNull<u8>,
    announced: NonNull<Word>,
    records: NonNull<Record>,
    places: NonNull<Place>,
    capacity: usize,
    /// A power of two.
    participants: usize,
    patience: u32,
    fields: Fields,
    layout: SlotLayout,
    pacing: Pacing,
    profile: PhantomData<(Sh, P)>,
}

impl<Sh: Shape, P> Clone for ExchangeRing<Sh, P> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

// SAFETY: the pointers lead to words and to payloads that are handed over by
// the slots (I3); the faces require `T: Send` for what is moved.
unsafe impl<Sh: Shape, P> Send for ExchangeRing<Sh, P> {}
// SAFETY: as above.
unsafe impl<Sh: Shape, P> Sync for ExchangeRing<Sh, P> {}

/// A participant: one producer or one consumer.
#[derive(Debug)]
pub struct Side {
    /// The own position of this side: all below are done (I1).
    position: u64,
    /// Its slot.
    index: usize,
    /// Its phase, shifted to its place in a slot word.
    base: u64,
    /// The cell that this participant owns.
    spare: u64,
    /// [`ARMED`] and [`LENT`].
    armed: u64,
    sequence: u64,
    participant: usize,
    /// From blocked to free without waiting, so many times more.
    skip: u32,
    /// The next such number, as a power of 2.
    missed: u32,
    /// POP or PUSH.
    kind: usize,
    place: NonNull<Place>,
    /// The process that joined.
    home: u32,
}

// SAFETY: the place is words in a region that outlives the side; see `Side`.
unsafe impl Send for Side {}

impl Drop for Side {
    fn drop(&mut self) {
        if self.home != fork_generation() {
            return; // the parent's
        }
        // SAFETY: faces drop the sides before the region.
        let place = unsafe { self.place.as_ref() };
        place.spare.store(self.spare, Tuned::relaxed(PLACE_WRITE));
        place.sequence[self.kind].store(self.sequence, Tuned::relaxed(PLACE_WRITE));
        place.owner.store(0, Tuned::release(LEAVE));
    }
}

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
fn any(_: u64) -> bool {
    true
}

/// What became of a claim.
#[derive(PartialEq)]
enum Resolved {
    /// The slot has moved on.
    Moved,
    /// The claim is nobody's any more: the word counts as a plain one.
    Dead,
}

impl<Sh: Shape, P: Profile> ExchangeRing<Sh, P> {
    const fn cell_layout(size: usize, align: usize) -> SlotLayout {
        // A line for each: cells wander from slot to slot, so neighbours would
        // be written by different threads.
        let align = if align < 64 { 64 } else { align };
        SlotLayout::of(size_of::<Tracker>(), align_of::<Tracker>(), size, align)
    }

    #[inline(always)]
    fn layout(&self) -> SlotLayout {
        match Sh::STATIC {
            Some((size, align)) => Self::cell_layout(size, align),
            None => self.layout,
        }
    }

    fn parts(geometry: &Geometry<Sh>) -> Result<Parts, BuildError> {
        let too_large = |_| {
            BuildError::Invalid(format!(
                "{} cells of {} bytes do not fit the address space",
                geometry.capacity,
                geometry.shape.size()
            ))
        };
        let n = geometry.participants.next_power_of_two();
        let (capacity, layout) = (
            geometry.capacity,
            Self::cell_layout(geometry.shape.size(), geometry.shape.align()),
        );
        let whole = Layout::new::<Header>();
        let (whole, slots) = whole
            .extend(Layout::array::<Slot>(capacity).map_err(too_large)?)
            .map_err(too_large)?;
        let whole = whole.align_to(128).map_err(too_large)?.pad_to_align();
        let (whole, announced) = whole
            .extend(Layout::array::<Word>(2 * n).map_err(too_large)?)
            .map_err(too_large)?;
        let (whole, records) = whole
            .extend(Layout::array::<Record>(n).map_err(too_large)?)
            .map_err(too_large)?;
        let (whole, places) = whole
            .extend(Layout::array::<Place>(n).map_err(too_large)?)
            .map_err(too_large)?;
        let bytes = (capacity.checked_add(n))
            .and_then(|cells| cells.checked_mul(layout.stride))
            .unwrap_or(usize::MAX);
        let cells = Layout::from_size_align(bytes, layout.align.max(128)).map_err(too_large)?;
        let (whole, cells) = whole.extend(cells).map_err(too_large)?;
        Ok(Parts {
            slots,
            announced,
            records,
            places,
            cells,
            whole: whole.pad_to_align(),
        })
    }

    #[inline(always)]
    fn header(&self) -> &Header {
        // SAFETY: `attach` requires a ring there for as long as a view is used.
        unsafe { self.header.as_ref() }
    }

    /// A slot's word; the caller's index is below the capacity.
    #[inline(always)]
    fn slot(&self, index: usize) -> &Word {
        debug_assert!(index < self.capacity);
        // SAFETY: index < capacity, so the slot lies inside the region.
        unsafe { &(*self.slots.as_ptr().add(index)).word }
    }

    #[inline(always)]
    fn announced<const S: usize>(&self, participant: usize) -> &Word {
        let participant = participant & (self.participants - 1);
        // SAFETY: two rows of `participants` words.
        unsafe {
            &*self
                .announced
                .as_ptr()
                .add(S * self.participants + participant)
        }
    }

    /// The entry of a participant's operation; any numbers are brought into range.
    fn entry(&self, participant: usize, side: usize, sequence: u64) -> &Entry {
        let participant = participant & (self.participants - 1);
        // SAFETY: below the number of records.
        let record = unsafe { &*self.records.as_ptr().add(participant) };
        &record.entries[side & 1][(sequence & 1) as usize]
    }

    #[inline(always)]
    fn lease(&self, cell: u64) -> Lease {
        let cells = self.capacity + self.participants;
        let mut index = cell as usize;
        if index >= cells {
            index = 0; // a cell no ring writes: spoilt data, not a wild access
        }
        let layout = self.layout();
        // SAFETY: below the number of cells, so inside the region.
        unsafe {
            let at = self.cells.as_ptr().add(index * layout.stride);
            Lease {
                payload: at.add(layout.offset),
                tracker: at.cast(),
                ticket: cell,
            }
        }
    }

    #[inline(always)]
    fn base(&self, lap: u64, side: usize) -> u64 {
        (2 * lap + side as u64) << self.fields.phase
    }

    /// Goes to `position`, from anywhere.
    #[cold]
    fn jump<const S: usize>(&self, side: &mut Side, position: u64) {
        let capacity = self.capacity as u64;
        side.position = position;
        side.index = (position % capacity) as usize;
        side.base = self.base(position / capacity, S);
    }

    /// Goes to the next position.
    #[inline(always)]
    fn step_on<const S: usize>(&self, side: &mut Side) {
        side.position += 1;
        side.index += 1;
        if side.index == self.capacity {
            side.index = 0;
            side.base = side.base.wrapping_add(2 * self.fields.one);
        }
        if side.position.is_multiple_of(8) {
            self.new_line::<S>(side);
        }
    }

    /// The own position begins a new line of slots: looks ahead, tells others.
    #[inline(always)]
    fn new_line<const S: usize>(&self, side: &Side) {
        if self.pacing.ahead && side.skip == 0 {
            let ahead = |by: usize| {
                let index = side.index + by;
                if index >= self.capacity {
                    index - self.capacity
                } else {
                    index
                }
            };
            prefetch_write(std::ptr::from_ref(self.slot(ahead(16))).cast());
            for by in 8..16 {
                let word = self.slot(ahead(by)).load(P::relaxed(AHEAD_LOOK));
                let payload = self.lease(self.fields.cell(word)).payload;
                if S == PUSH {
                    prefetch_write(payload);
                } else {
                    prefetch_read(payload);
                }
            }
        }
        self.move_hint(S, side.position);
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

    /// The slot's word shows the own position as done: goes on, whole laps at once.
    fn advance<const S: usize>(&self, side: &mut Side, word: u64) {
        let lap = (self.fields.phase(word).wrapping_sub(1 + S as u64)) / 2;
        let next = lap
            .wrapping_mul(self.capacity as u64)
            .wrapping_add(side.index as u64 + 1);
        let far = next.wrapping_sub(side.position) > 1;
        if far || next.is_multiple_of(8) {
            let hint = self.header().hint[S].load(P::acquire(HINT_READ));
            return self.jump::<S>(side, next.max(hint));
        }
        side.position = next;
        side.index += 1;
        side.base = self.base(lap, S);
        if side.index == self.capacity {
            side.index = 0;
            side.base = self.base(lap.wrapping_add(1), S);
        }
    }

    /// Puts the own spare into the next position of the side and takes what is there.
    #[inline(always)]
    fn exchange<const S: usize>(&self, side: &mut Side) -> Result<(), Stop> {
        let word = self.slot(side.index).load(P::acquire(SLOT_LOOK));
        match self.exchange_once::<S>(side, word) {
            true => Ok(()),
            false => self.exchange_more::<S, true>(side, any),
        }
    }

    /// The expected case: nobody moved since the last call, nobody wants help.
    /// `word` is what the slot held, seen in this call.
    #[inline(always)]
    fn exchange_once<const S: usize>(&self, side: &mut Side, word: u64) -> bool {
        let slot = self.slot(side.index);
        if (word ^ side.base ^ side.armed) & !self.fields.cells != 0 {
            return false;
        }
        let turn = self.announced::<S>(side.position as usize);
        if turn.load(P::relaxed(TURN_LOOK)) != 0 {
            return false;
        }
        let mine = side.base.wrapping_add(self.fields.one) | side.spare;
        if slot
            .compare_exchange(word, mine, P::acq_rel(DECIDE))
            .is_err()
        {
            return false;
        }
        side.spare = self.fields.cell(word);
        self.step_on::<S>(side);
        true
    }

    #[cold]
    #[inline(never)]
    fn exchange_more<const S: usize, const SURE: bool>(
        &self,
        side: &mut Side,
        mut accept: impl FnMut(u64) -> bool,
    ) -> Result<(), Stop> {
        let fields = &self.fields;
        let (mut lost, mut turns) = (0, 0);
        let most = 4 * self.patience + 64;
        // Others cannot ask whether this call would take what they find: who is
        // not sure does not announce, and goes on by itself.
        while !SURE || (lost < self.patience && turns < most) {
            turns += 1;
            let slot = self.slot(side.index);
            let word = slot.load(P::acquire(SLOT_LOOK));
            let done = self.ahead_of(word, side);
            if done > 0 {
                self.advance::<S>(side, word);
                continue;
            }
            if fields.claimant(word) != 0 && self.resolve(side.index, word) == Resolved::Moved {
                lost += 1;
                continue;
            }
            // From here on the word is unclaimed, or its claim is dead.
            if word & fields.sealed != 0 && (S == PUSH || done < 0) {
                return self.closed();
            }
            if done < 0 {
                if side.armed & ARMED == 0 && side.skip == 0 {
                    pauses(self.pacing.poll); // the other side gets away undisturbed
                }
                if self.still(slot, word) {
                    side.armed |= ARMED;
                    return Err(Stop::Blocked);
                }
                lost += 1;
                continue;
            }
            if side.armed & ARMED != 0 && self.patience > 0 {
                // Blocked before, free now: begin a run, not a lock-step.
                side.armed &= !ARMED;
                if side.skip > 0 {
                    side.skip -= 1;
                } else if self.pacing.goal > 1 {
                    self.gather::<S>(side);
                    continue;
                }
            }
            if let Some((other, sequence)) = self.pending::<S>(side.position as usize) {
                self.claim_for(side, word, other, sequence);
                lost += 1;
                continue;
            }
            if !SURE && !accept(fields.cell(word)) {
                if self.still(slot, word) {
                    return Err(Stop::Declined);
                }
                continue;
            }
            let mine = (side.base.wrapping_add(fields.one) | side.spare) | word & fields.sealed;
            if slot
                .compare_exchange(word, mine, P::acq_rel(DECIDE))
                .is_ok()
            {
                side.spare = fields.cell(word);
                self.step_on::<S>(side);
                return Ok(());
            }
            if lost < 4 {
                pauses(LOST << lost);
            }
            lost = lost.saturating_add(1);
        }
        self.announce::<S>(side)
    }

    /// How many phases the slot is ahead of what this side is about to do.
    #[inline(always)]
    fn ahead_of(&self, word: u64, side: &Side) -> i64 {
        let phase = self.fields.phase(word);
        phase
            .wrapping_sub(self.fields.phase(side.base))
            .cast_signed()
    }

    /// Waits (a bounded time) until a run is ready. Where that does not help
    /// (request and reply, a slow peer) it is left alone for a while.
    #[cold]
    fn gather<const S: usize>(&self, side: &mut Side) {
        let position = side.position + self.pacing.goal as u64 - 1;
        let capacity = self.capacity as u64;
        let slot = self.slot((position % capacity) as usize);
        let wanted = 2 * (position / capacity) + S as u64;
        for _ in 0..LOOKS {
            pauses(self.pacing.look);
            if self.fields.phase(slot.load(P::relaxed(GATHER_LOOK))) >= wanted {
                side.missed = 0;
                return;
            }
        }
        side.skip = 8 << side.missed;
        side.missed = (side.missed + 1).min(7);
    }

    /// Whether the slot is unchanged: blocked is decided here.
    fn still(&self, slot: &Word, word: u64) -> bool {
        // ORDER: seq_cst: an answer must not be older than what this thread
        // (or one it heard from) did before the call.
        fence(P::seq_cst(BLOCK_FENCE));
        skip(BLOCK_LOOK) || slot.load(P::acquire(BLOCK_LOOK)) == word
    }

    #[cold]
    fn closed<T>(&self) -> Result<T, Stop> {
        // The sealer may have died before it said so.
        self.header().closed.store(1, P::release(SEAL_NOTE));
        Err(Stop::Closed)
    }

    /// The undecided operation of the participant whose turn it is, if it announced one.
    fn pending<const S: usize>(&self, turn: usize) -> Option<(usize, u64)> {
        let participant = turn & (self.participants - 1);
        let sequence = self
            .announced::<S>(participant)
            .load(P::acquire(PENDING_ANNOUNCED));
        if sequence == 0 {
            return None;
        }
        let entry = self.entry(participant, S, sequence);
        let state = entry.state.load(P::acquire(PENDING_STATE));
        (self.fields.state_sequence(state) == sequence && self.fields.status(state) == PENDING)
            .then_some((participant, sequence))
    }

    /// Claims the own position for somebody, and carries the claim out.
    fn claim_for(&self, side: &Side, word: u64, participant: usize, sequence: u64) {
        let claim = self.fields.claim(side.base, sequence, participant, word);
        let slot = self.slot(side.index);
        if slot
            .compare_exchange(word, claim, P::acq_rel(CLAIM))
            .is_ok()
        {
            self.resolve(side.index, claim);
        }
    }

    /// Decides the operation of a claim that was seen in a slot, and carries it out.
    #[cold]
    #[inline(never)]
    fn resolve(&self, index: usize, claim: u64) -> Resolved {
        let fields = &self.fields;
        let (phase, cell) = (fields.phase(claim), fields.cell(claim));
        let participant = (fields.claimant(claim).wrapping_sub(1)) as usize;
        let entry = self.entry(participant, phase as usize, fields.sequence(claim));
        let slot = self.slot(index);
        let mut state = entry.state.load(P::acquire(RESOLVE_STATE));
        let sequence = fields.state_sequence(state);
        if sequence & 3 != fields.sequence(claim) {
            return Resolved::Dead;
        }
        let done = fields.state(sequence, DONE, cell);
        if fields.status(state) == PENDING {
            // Without this look a late helper could confirm a newer operation of
            // the same two bits for a slot that has moved on.
            if !skip(RESOLVE_SLOT) && slot.load(P::acquire(RESOLVE_SLOT)) != claim {
                return Resolved::Moved;
            }
            state = match entry
                .state
                .compare_exchange(state, done, P::acq_rel(CONFIRM))
            {
                Ok(_) => done,
                Err(_) => entry.state.load(P::acquire(CONFIRM_SEEN)),
            };
        }
        if state != done {
            return Resolved::Dead;
        }
        let given = fields.cell(entry.cell.load(P::acquire(RESOLVE_CELL)));
        let next = (phase.wrapping_add(1) << fields.phase) | claim & fields.sealed | given;
        if slot
            .compare_exchange(claim, next, P::acq_rel(COMPLETE))
            .is_ok()
        {
            let position = (phase >> 1)
                .wrapping_mul(self.capacity as u64)
                .wrapping_add(index as u64 + 1);
            if position.is_multiple_of(8) {
                self.move_hint((phase & 1) as usize, position);
            }
        }
        Resolved::Moved
    }

    /// The slow way: lets everybody help.
    #[cold]
    #[inline(never)]
    fn announce<const S: usize>(&self, side: &mut Side) -> Result<(), Stop> {
        let fields = &self.fields;
        side.sequence += 1;
        let (me, sequence) = (side.participant, side.sequence);
        let entry = self.entry(me, S, sequence);
        let pending = fields.state(sequence, PENDING, 0);
        entry.cell.store(side.spare, P::relaxed(ANNOUNCE_CELL));
        entry.state.store(pending, P::release(ANNOUNCE_STATE));
        self.announced::<S>(me)
            .store(sequence, P::release(ANNOUNCE));
        fence(P::seq_cst(ANNOUNCE_FENCE));
        let outcome = loop {
            let state = entry.state.load(P::acquire(OWN_STATE));
            if fields.status(state) == DONE {
                side.spare = fields.cell(state);
                break Ok(());
            }
            let slot = self.slot(side.index);
            let word = slot.load(P::acquire(SLOT_LOOK));
            let done = self.ahead_of(word, side);
            if done > 0 {
                self.advance::<S>(side, word);
                continue;
            }
            if fields.claimant(word) != 0 && self.resolve(side.index, word) == Resolved::Moved {
                continue;
            }
            let sealed = word & fields.sealed != 0;
            let stop = match done < 0 {
                true if !self.still(slot, word) => continue,
                true if sealed => Some(Stop::Closed),
                true => Some(Stop::Blocked),
                false if sealed && S == PUSH => Some(Stop::Closed),
                false => None,
            };
            if let Some(stop) = stop {
                let blocked = fields.state(sequence, BLOCKED, 0);
                if entry
                    .state
                    .compare_exchange(pending, blocked, P::acq_rel(WITHDRAW))
                    .is_ok()
                {
                    break Err(stop);
                }
                continue; // somebody has completed it
            }
            let (participant, sequence) = self
                .pending::<S>(side.position as usize)
                .unwrap_or((me, sequence));
            self.claim_for(side, word, participant, sequence);
        };
        self.announced::<S>(me).store(0, P::release(RETIRE));
        match outcome {
            Err(Stop::Closed) => self.closed(),
            Err(Stop::Blocked) => {
                side.armed |= ARMED;
                outcome
            }
            other => other,
        }
    }

    /// Whether the side's next position is known to be blocked, found out
    /// without giving anything. It may also leave that to the exchange.
    #[inline(always)]
    fn look_before<const S: usize>(&self, side: &mut Side) -> Result<u64, Stop> {
        let word = self.slot(side.index).load(P::acquire(SLOT_LOOK));
        match (word ^ side.base ^ side.armed & LENT) & !self.fields.cells {
            0 => Ok(word),
            _ => self.look_closer::<S>(side),
        }
    }

    #[cold]
    #[inline(never)]
    fn look_closer<const S: usize>(&self, side: &mut Side) -> Result<u64, Stop> {
        if side.armed & LENT != 0 {
            return Ok(UNSEEN); // the caller says why not
        }
        for _ in 0..4 {
            let slot = self.slot(side.index);
            let word = slot.load(P::acquire(SLOT_LOOK));
            let done = self.ahead_of(word, side);
            if done > 0 {
                self.advance::<S>(side, word);
                continue;
            }
            if self.fields.claimant(word) != 0 && self.resolve(side.index, word) == Resolved::Moved
            {
                continue;
            }
            if word & self.fields.sealed != 0 && (S == PUSH || done < 0) {
                return self.closed();
            }
            if done < 0 {
                if side.armed & ARMED == 0 && side.skip == 0 {
                    pauses(self.pacing.poll);
                }
                if !self.still(slot, word) {
                    continue;
                }
                side.armed |= ARMED;
                return Err(Stop::Blocked);
            }
            break;
        }
        Ok(UNSEEN)
    }

    /// Takes a place as a participant.
    fn join<const S: usize>(&self) -> Result<Side, BuildError> {
        let me = u64::from(std::process::id()) | 1 << 32;
        for participant in 0..self.participants {
            // SAFETY: below the number of places.
            let place = unsafe { self.places.add(participant) };
            // SAFETY: words in the region.
            let words = unsafe { place.as_ref() };
            if words.owner.load(P::relaxed(JOIN_LOOK)) != 0
                || words
                    .owner
                    .compare_exchange(0, me, P::acquire(JOIN))
                    .is_err()
            {
                continue;
            }
            let mut side = Side {
                position: 0,
                index: 0,
                base: 0,
                spare: self.fields.cell(words.spare.load(P::relaxed(PLACE_READ))),
                armed: if self.patience == 0 { ARMED } else { 0 },
                sequence: words.sequence[S].load(P::relaxed(PLACE_READ)),
                participant,
                skip: 0,
                missed: 0,
                kind: S,
                place,
                home: fork_generation(),
            };
            let hint = self.header().hint[S].load(P::acquire(HINT_READ));
            self.jump::<S>(&mut side, hint);
            return Ok(side);
        }
        Err(BuildError::NoHandle(format!(
            "all {} participants are out; drop or release one, or build the ring for more (max_threads)",
            self.participants
        )))
    }

    /// The first position of a side that is not done, at some moment of the call.
    fn frontier(&self, side: usize) -> u64 {
        let capacity = self.capacity as u64;
        let mut position = self.header().hint[side].load(P::acquire(LOOK_HINT));
        // A hint is behind by as much as is in flight; others move on meanwhile,
        // and a hostile process may have written anything.
        for _ in 0..self.capacity + 16 * self.participants {
            let index = position % capacity;
            let word = self.slot(index as usize).load(P::acquire(LOOK_SLOT));
            let phase = self.fields.phase(word);
            if phase <= 2 * (position / capacity) + side as u64 {
                break;
            }
            let lap = (phase - 1 - side as u64) / 2;
            position = lap.wrapping_mul(capacity).wrapping_add(index + 1);
        }
        position
    }
}

fn pauses(n: u32) {
    for _ in 0..n {
        pause();
    }
}

// SAFETY: linearizable at the steps of the module's table (I1-I7); the checks
// are listed under Evidence.
unsafe impl<Sh: Shape, P: Profile> RawRing<Sh> for ExchangeRing<Sh, P> {
    const TRAITS: Traits = Traits {
        name: "wait_free",
        producers: Arity::Many,
        consumers: Arity::Many,
        returns: "always, within O(participants) of its own shared accesses",
        stopped_thread: "holds up nobody",
        survives_kill: false,
        shared: false,
        records: true,
        source: "own design: the exchange ring, after Herlihy 1991, Kogan and Petrank 2012",
        steps: STEPS,
    };
    type Producer = Side;
    type Consumer = Side;

    fn footprint(geometry: &Geometry<Sh>) -> Result<Layout, BuildError> {
        if geometry.capacity as u64 > 1 << 32 || geometry.participants > 1 << 16 {
            return Err(BuildError::Invalid(
                "capacity is above 2^32, or max_threads above 65,536".into(),
            ));
        }
        Self::parts(geometry).map(|parts| parts.whole)
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
            for index in 0..ring.capacity {
                (&raw mut (*ring.slots.as_ptr().add(index)).word).write(Word::new(index as u64));
            }
            for participant in 0..ring.participants {
                for side in 0..2 {
                    let word = ring.announced.add(side * ring.participants + participant);
                    word.write(Word::new(0));
                    let record = ring.records.as_ptr().add(participant);
                    for turn in 0..2 {
                        let entry = &raw mut (*record).entries[side][turn];
                        (&raw mut (*entry).state).write(Word::new(0));
                        (&raw mut (*entry).cell).write(Word::new(0));
                    }
                    let place = ring.places.as_ptr().add(participant);
                    (&raw mut (*place).sequence[side]).write(Word::new(0));
                }
                let place = ring.places.as_ptr().add(participant);
                (&raw mut (*place).owner).write(Word::new(0));
                (&raw mut (*place).spare).write(Word::new((ring.capacity + participant) as u64));
            }
            for cell in 0..ring.capacity + ring.participants {
                let at = ring.cells.as_ptr().add(cell * ring.layout.stride);
                at.cast::<Tracker>().write(Tracker::new());
            }
        }
    }

    unsafe fn attach(at: NonNull<u8>, geometry: &Geometry<Sh>) -> Self {
        let parts =
            Self::parts(geometry).expect("the footprint of this geometry was computed before");
        let participants = geometry.participants.next_power_of_two();
        // SAFETY: the offsets lie inside the footprint.
        unsafe {
            Self {
                header: at.cast(),
                slots: at.add(parts.slots).cast(),
                cells: at.add(parts.cells),
                announced: at.add(parts.announced).cast(),
                records: at.add(parts.records).cast(),
                places: at.add(parts.places).cast(),
                capacity: geometry.capacity,
                participants,
                patience: geometry.patience,
                fields: Fields::of(geometry.capacity, participants),
                layout: Self::cell_layout(geometry.shape.size(), geometry.shape.align()),
                pacing: Pacing::of(geometry.capacity),
                profile: PhantomData,
            }
        }
    }

    unsafe fn finish(&self) {
        // SAFETY: the caller is the last user; `init` wrote these words.
        unsafe {
            for index in 0..self.capacity {
                self.slots.add(index).drop_in_place();
            }
            for participant in 0..self.participants {
                self.announced.add(participant).drop_in_place();
                self.announced
                    .add(self.participants + participant)
                    .drop_in_place();
                self.records.add(participant).drop_in_place();
                self.places.add(participant).drop_in_place();
            }
            for cell in 0..self.capacity + self.participants {
                let at = self.cells.as_ptr().add(cell * self.layout.stride);
                at.cast::<Tracker>().drop_in_place();
            }
            self.header.drop_in_place();
        }
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn positions(&self) -> (u64, u64) {
        let popped = self.frontier(POP);
        (self.frontier(PUSH), popped)
    }

    fn new_producer(&self) -> Result<Side, BuildError> {
        self.join::<PUSH>()
    }

    fn new_consumer(&self) -> Result<Side, BuildError> {
        self.join::<POP>()
    }

    #[inline(always)]
    unsafe fn try_claim(&self, side: &mut Side) -> Result<Lease, PushRefusal> {
        match self.look_before::<PUSH>(side) {
            Ok(_) if side.armed & LENT != 0 => Err(PushRefusal::Lent),
            Ok(word) => Ok(Lease {
                ticket: word, // what the commit expects to find
                ..self.lease(side.spare)
            }),
            Err(stop) => Err(stop.into()),
        }
    }

    #[inline(always)]
    unsafe fn try_commit(&self, side: &mut Side, claim: Lease) -> Result<(), (Lease, PushRefusal)> {
        if self.exchange_once::<PUSH>(side, claim.ticket) {
            return Ok(());
        }
        match self.exchange_more::<PUSH, true>(side, any) {
            Ok(()) => Ok(()),
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
        if side.armed & LENT != 0 {
            return Err(PopRefusal::Lent);
        }
        let likes = |cell| accept(self.lease(cell).payload);
        match self.exchange_more::<POP, false>(side, likes) {
            Ok(()) => Ok(Some(self.lease(side.spare))),
            Err(Stop::Declined) => Ok(None),
            Err(stop) => Err(stop.into()),
        }
    }

    #[inline(always)]
    unsafe fn try_take(&self, side: &mut Side) -> Result<Lease, PopRefusal> {
        let word = self.slot(side.index).load(P::acquire(SLOT_LOOK));
        if !self.exchange_once::<POP>(side, word) {
            if side.armed & LENT != 0 {
                return Err(PopRefusal::Lent);
            }
            self.exchange_more::<POP, true>(side, any)?;
        }
        Ok(self.lease(side.spare))
    }

    #[inline(always)]
    unsafe fn push_straight(&self, side: &mut Side, write: impl FnOnce(*mut u8)) -> bool {
        let word = self.slot(side.index).load(P::acquire(SLOT_LOOK));
        if (word ^ side.base ^ side.armed) & !self.fields.cells != 0 {
            return false;
        }
        // SAFETY: the own spare, which is not lent.
        unsafe { self.lease(side.spare).write(write) };
        self.exchange_once::<PUSH>(side, word)
    }

    #[inline(always)]
    unsafe fn pop_straight(&self, side: &mut Side, read: impl FnOnce(*mut u8)) -> bool {
        let word = self.slot(side.index).load(P::acquire(SLOT_LOOK));
        if !self.exchange_once::<POP>(side, word) {
            return false;
        }
        // SAFETY: the cell is this participant's now.
        unsafe { self.lease(side.spare).read(read) };
        true
    }

    #[inline(always)]
    unsafe fn release(&self, _: &mut Side, _: Lease) {}

    #[inline]
    unsafe fn push_run(
        &self,
        side: &mut Side,
        n: usize,
        mut fill: impl FnMut(*mut u8) -> bool,
    ) -> Result<usize, PushRefusal> {
        let mut pushed = 0;
        while pushed < n {
            // SAFETY: the caller's promise.
            let pushing = unsafe { self.try_claim(side) }.and_then(|claim| {
                // SAFETY: the own spare.
                if !unsafe { claim.write(&mut fill) } {
                    return Ok(false);
                }
                self.exchange::<PUSH>(side).map_err(PushRefusal::from)?;
                Ok(true)
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
        let mut popped = 0;
        while popped < n {
            match self.exchange::<POP>(side) {
                Ok(()) => {
                    // SAFETY: the cell is this participant's now.
                    unsafe { self.lease(side.spare).read(&mut read) };
                    popped += 1;
                }
                Err(stop) if popped == 0 => return Err(stop.into()),
                Err(_) => break,
            }
        }
        Ok(popped)
    }

    fn note_claim(&self, side: &mut Side) {
        side.armed |= LENT;
    }

    fn note_take(&self, side: &mut Side) {
        side.armed |= LENT;
    }

    unsafe fn claim_at(&self, side: &mut Side, payload: *mut u8) -> Option<Lease> {
        let lease = self.lease(side.spare);
        (side.armed & LENT != 0 && lease.payload == payload).then(|| {
            side.armed &= !LENT;
            Lease {
                ticket: UNSEEN,
                ..lease
            }
        })
    }

    unsafe fn taken_at(&self, side: &mut Side, payload: *mut u8) -> Option<Lease> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.claim_at(side, payload) }
    }

    fn seal(&self) -> bool {
        let capacity = self.capacity as u64;
        loop {
            let position = self.frontier(PUSH);
            let index = (position % capacity) as usize;
            let slot = self.slot(index);
            let word = slot.load(P::acquire(SEAL_LOOK));
            if self.fields.phase(word) > 2 * (position / capacity) {
                continue; // this position was pushed meanwhile
            }
            if word & self.fields.sealed != 0 {
                break;
            }
            if self.fields.claimant(word) != 0 && self.resolve(index, word) == Resolved::Moved {
                continue;
            }
            let plain = word & !((self.fields.sealed - 1) & !self.fields.cells);
            if slot
                .compare_exchange(word, plain | self.fields.sealed, P::acq_rel(SEAL_MARK))
                .is_ok()
            {
                break;
            }
        }
        self.header().closed.store(1, P::release(SEAL_NOTE));
        true
    }

    fn is_sealed(&self) -> bool {
        self.header().closed.load(P::acquire(LOOK_CLOSED)) != 0
    }

    unsafe fn for_each_left(&self, mut f: impl FnMut(*mut u8)) {
        let capacity = self.capacity as u64;
        let first = self.frontier(POP);
        for position in first..first + capacity {
            let index = (position % capacity) as usize;
            let mut word = self.slot(index).load(P::acquire(LOOK_SLOT));
            if self.fields.claimant(word) != 0 && self.resolve(index, word) == Resolved::Moved {
                word = self.slot(index).load(P::acquire(LOOK_SLOT));
            }
            if self.fields.phase(word) != 2 * (position / capacity) + 1 {
                break;
            }
            f(self.lease(self.fields.cell(word)).payload);
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
