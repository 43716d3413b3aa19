//! The places of the participants: who sits there, what they leave, and in
//! shared memory what they were doing when they died.

use std::cell::UnsafeCell;
use std::ptr::NonNull;

use super::words::{BLOCKED, LONGEST, PART, PENDING, WHOLE};
use super::{
    ARMED, Entry, ExchangeRing, FIND_OUT, HINT_READ, JOIN, JOIN_LOOK, LEAVE, LENT, LOOK_SLOT,
    NOTE_BEGIN, NOTE_END, NOTE_WRITE, PLACE_READ, PLACE_WRITE, POP, PUSH, RECOVER_ANNOUNCED,
    RECOVER_LOOK, RECOVER_PLACE, RECOVER_SLOT, RECOVER_STATE, RECOVER_TAG, RECOVER_WITHDRAW,
    RECOVER_WRITE, SINGLE, SIT_DOWN, TAG_READ, TAG_WRITE,
};
use crate::atomic::{Profile, Tracker, Tuned, Word, mutate::skip};
use crate::error::BuildError;
use crate::os::fork::fork_generation;
use crate::strategy::{Left, Shape, Standing};

/// Instead of a slot word: the attempt is an announced (or claimed) operation,
/// and its sequence stands where the position does otherwise.
const SLOW: u64 = !0;
/// In `Place::taken`: the elements are in the place itself, not in the spare.
const ASIDE: u64 = 1 << 32;

/// A participant's own lines. In private memory only the second is in use.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Place {
    // What it does, written before and after each attempt, in shared memory.
    /// Number of the attempt that began last.
    begun: Word,
    /// Twice the number of the last one that ended; odd: and what it took has
    /// been handed out, or it took nothing.
    ended: Word,
    /// Position of the attempt.
    position: Word,
    /// What it expects in the slot, or [`SLOW`].
    word: Word,
    /// Elements done when it has succeeded.
    then: Word,
    /// Tag of the cell that it gives.
    tag: Word,
    /// The cell that is this participant's.
    spare: Word,
    /// Elements done under the session.
    done: Word,
    // Who it is.
    owner: Word,
    session: Word,
    sequence: Word,
    /// Elements taken and perhaps not handed out: first, count << 8, [`ASIDE`].
    taken: Word,
    /// Not 0: its last owner died, until somebody sits there again.
    died: Word,
    _reserved: [u64; 3],
    /// Elements that were taken from a run of which others are left.
    aside: UnsafeCell<[u64; LONGEST]>,
    pub(super) tracker: Tracker,
}

impl Place {
    pub(super) fn new(spare: u64) -> Self {
        let zero = || Word::new(0);
        Self {
            begun: zero(),
            ended: Word::new(1),
            position: zero(),
            word: zero(),
            then: zero(),
            tag: zero(),
            spare: Word::new(spare),
            done: zero(),
            owner: zero(),
            session: zero(),
            sequence: zero(),
            taken: zero(),
            died: zero(),
            _reserved: [0; 3],
            aside: UnsafeCell::new([0; LONGEST]),
            tracker: Tracker::new(),
        }
    }
    pub(super) fn aside(&self) -> *mut u8 {
        self.aside.get().cast()
    }
}

/// A participant: one producer or one consumer.
#[derive(Debug)]
pub struct Side {
    /// The own position of this side: all below are done (I1), and here a run
    /// begins.
    pub(super) position: u64,
    /// Where its lap began.
    pub(super) lap: u64,
    /// Its phase, shifted to its place in a slot word.
    pub(super) base: u64,
    /// The cell that this participant owns.
    pub(super) spare: u64,
    /// Of a producer: positions below have room and nothing bars the short path.
    pub(super) limit: u64,
    /// Positions below have room.
    pub(super) room: u64,
    /// [`ARMED`] and [`LENT`].
    pub(super) flags: u64,
    /// Of a consumer: where in its cell what it took last begins, or
    /// [`ASIDE`](super::ASIDE).
    pub(super) taken: u32,
    pub(super) participant: usize,
    pub(super) place: NonNull<Place>,
    /// From blocked to free without waiting, so many times more.
    pub(super) skip: u32,
    /// The next such number, as a power of 2.
    pub(super) missed: u32,
    /// Of a producer: all pops below are done, and here a run begins.
    pub(super) seen: u64,
    pub(super) sequence: u64,
    /// Attempts begun, elements done: what the place says too.
    begun: u64,
    done: u64,
    /// The process that joined.
    home: u32,
}

// SAFETY: the place is words in a region that outlives the side, and its aside
// is this participant's.
unsafe impl Send for Side {}

impl Side {
    /// Blocked: the next call leaves the short path.
    pub(super) fn block(&mut self) {
        self.flags |= ARMED;
        self.limit = 0;
    }

    /// Waiting for a run did not help: not again for a while.
    pub(super) fn leave_alone(&mut self) {
        self.skip = 8 << self.missed;
        self.missed = (self.missed + 1).min(7);
    }

    /// Lent: likewise.
    pub(super) fn lend(&mut self) {
        self.flags |= LENT;
        self.limit = 0;
    }

    /// The slot of the own position.
    #[inline(always)]
    pub(super) fn index(&self) -> usize {
        self.position.wrapping_sub(self.lap) as usize
    }

    #[inline(always)]
    pub(super) fn place(&self) -> &Place {
        // SAFETY: faces drop the sides before the region.
        unsafe { self.place.as_ref() }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if self.home != fork_generation() {
            return; // the parent's
        }
        let place = self.place();
        // ORDER: release, for who recovers another place reads this one: it
        // must not see the end and miss what came before it.
        let write = Tuned::release(PLACE_WRITE);
        place.spare.store(self.spare, write);
        place.sequence.store(self.sequence, write);
        place.taken.store(0, write);
        let ended = self.begun.wrapping_mul(2) + 1;
        place.ended.store(ended, write);
        place.owner.store(0, Tuned::release(LEAVE));
    }
}

impl<Sh: Shape, P: Profile> ExchangeRing<Sh, P> {
    pub(super) fn place_at(&self, side: usize, participant: usize) -> NonNull<Place> {
        let participant = participant & (self.turns);
        // SAFETY: two rows of `participants` places.
        unsafe { self.places.add(side * self.participants() + participant) }
    }

    fn words(&self, side: usize, participant: usize) -> &Place {
        // SAFETY: in the region, which outlives the view. Its `aside` is not
        // touched through this.
        unsafe { self.place_at(side, participant).as_ref() }
    }

    fn tag(&self, cell: u64) -> &Word {
        // SAFETY: inside the region; in shared memory a cell has a tag.
        unsafe { &*self.cell(cell).add(self.layout.tag).cast::<Word>() }
    }

    /// Takes a free place, in private memory.
    pub(super) fn join<const S: usize>(&self) -> Result<Side, BuildError> {
        let free = (0..self.asked).find(|&participant| {
            let owner = &self.words(S, participant).owner;
            owner.load(P::relaxed(JOIN_LOOK)) == 0
                && owner.compare_exchange(0, 1, P::acquire(JOIN)).is_ok()
        });
        match free {
            Some(participant) => Ok(self.sit_down::<S>(participant)),
            None => Err(BuildError::NoHandle(format!(
                "all {} {} are out; drop or release one, or build the ring for more (max_threads)",
                self.asked,
                ["producers", "consumers"][S]
            ))),
        }
    }

    /// The side of a place that is the caller's.
    pub(super) fn sit_down<const S: usize>(&self, participant: usize) -> Side {
        let words = self.words(S, participant);
        let read = |word: &Word| word.load(P::relaxed(PLACE_READ));
        let mut side = Side {
            position: 0,
            lap: 0,
            base: 0,
            spare: self.fields.cell(read(&words.spare)),
            limit: 0,
            room: 0,
            flags: if self.patience == 0 { ARMED } else { 0 },
            taken: 0,
            participant,
            place: self.place_at(S, participant),
            skip: 0,
            missed: 0,
            seen: 0,
            sequence: read(&words.sequence),
            begun: read(&words.begun),
            done: read(&words.done),
            home: fork_generation(),
        };
        let hint = self.header().hint[S].load(P::acquire(HINT_READ));
        self.jump::<S>(&mut side, hint);
        side
    }

    /// In shared memory: writes down what is about to be tried.
    #[inline(always)]
    pub(super) fn note_attempt(&self, side: &mut Side, word: u64, n: u64) {
        if self.shared {
            self.note(side, side.position, word, n);
        }
    }

    /// As [`note_attempt`](Self::note_attempt), for one that others may decide.
    pub(super) fn note_slow(&self, side: &mut Side) {
        if self.shared {
            self.note(side, side.sequence, SLOW, 1);
        }
    }

    #[inline(never)] // apart, for the sake of private rings
    fn note(&self, side: &mut Side, position: u64, word: u64, n: u64) {
        let place = side.place();
        let note = P::release(NOTE_WRITE);
        place.position.store(position, note);
        place.word.store(word, note);
        place.then.store(side.done.wrapping_add(n), note);
        // Whoever pushes a cell changes its tag before it gives the cell away.
        let tag = self.tag(side.spare);
        let value = if side.base & self.fields.one == 0 {
            let value = (side.begun << 17 | side.participant as u64) << 1 | 1;
            tag.store(value, P::relaxed(TAG_WRITE));
            value
        } else {
            tag.load(P::relaxed(TAG_READ))
        };
        place.tag.store(value, note);
        side.begun = side.begun.wrapping_add(1);
        side.place().begun.store(side.begun, P::release(NOTE_BEGIN));
    }

    /// The attempt has succeeded.
    #[inline(always)]
    pub(super) fn note_done(&self, side: &mut Side, n: u64) {
        if self.shared {
            self.note_success(side, n);
        }
    }

    #[inline(never)]
    fn note_success(&self, side: &mut Side, n: u64) {
        side.done = side.done.wrapping_add(n);
        let place = side.place();
        let note = P::release(NOTE_WRITE);
        place.spare.store(side.spare, note);
        place.done.store(side.done, note);
        let mut ended = side.begun.wrapping_mul(2);
        if side.base & self.fields.one == 0 {
            ended += 1;
        } else {
            let (from, aside) = match side.taken {
                super::ASIDE => (0, ASIDE),
                SINGLE => (0, 0),
                first => (u64::from(first), 0),
            };
            place.taken.store(from | n << 8 | aside, note);
        }
        place.ended.store(ended, P::release(NOTE_END));
    }

    /// The attempt has failed.
    #[inline(always)]
    pub(super) fn note_lost(&self, side: &Side) {
        if self.shared {
            let ended = side.begun.wrapping_mul(2) + 1;
            side.place().ended.store(ended, P::release(NOTE_END));
        }
    }

    /// What was taken has been handed out.
    #[inline(always)]
    pub(super) fn note_given(&self, side: &Side) {
        self.note_lost(side);
    }

    pub(super) fn standing_of(&self, side: usize, participant: usize) -> (Standing, u64) {
        let place = self.words(side, participant);
        let look = |word: &Word| word.load(P::acquire(RECOVER_LOOK));
        let session = look(&place.session);
        let standing = if look(&place.owner) != 0 {
            Standing::Taken
        } else if look(&place.taken) != 0 {
            Standing::Orphans
        } else if session != 0 {
            Standing::Kept
        } else {
            Standing::Free
        };
        (standing, session)
    }

    /// Takes a place over, in shared memory. The caller has its lock.
    pub(super) fn occupy<const S: usize>(&self, participant: usize, session: u64) -> Side {
        let place = self.words(S, participant);
        let write = P::release(PLACE_WRITE);
        if session == 0 || place.session.load(P::relaxed(PLACE_READ)) != session {
            place.done.store(0, write);
            place.session.store(session, write);
        }
        place.died.store(0, write);
        place.owner.store(1, P::release(SIT_DOWN));
        self.sit_down::<S>(participant)
    }

    pub(super) fn forget_at(&self, side: usize, participant: usize) {
        let place = self.words(side, participant);
        place.session.store(0, P::release(PLACE_WRITE));
        place.done.store(0, P::release(PLACE_WRITE));
    }

    /// Moves what a dead consumer had taken out of its place.
    pub(super) fn orphans_at(
        &self,
        participant: usize,
        most: usize,
        mut read: impl FnMut(*mut u8),
    ) -> usize {
        let place = self.words(POP, participant);
        let taken = place.taken.load(P::relaxed(PLACE_READ));
        let (from, count) = ((taken & 0xff) as usize, (taken >> 8 & 0xff) as usize);
        let n = count.min(most).min(self.layout.elements);
        for i in from..from + n {
            let spare = place.spare.load(P::relaxed(PLACE_READ));
            let payload = if taken & ASIDE != 0 {
                // SAFETY: a slot of the aside, which holds `elements`.
                unsafe {
                    place
                        .aside()
                        .add(i.min(self.layout.elements - 1) * self.size)
                }
            } else if (from, count) == (0, 1) {
                // Of a longer run one element is left only behind others.
                self.single(spare).payload
            } else {
                self.element(spare, i).payload
            };
            read(payload);
        }
        let rest = match count - n.min(count) {
            0 => 0,
            rest => (from + n) as u64 | (rest as u64) << 8 | taken & ASIDE,
        };
        place.taken.store(rest, P::release(PLACE_WRITE));
        n
    }

    /// Puts right what the last owner of a place left halfway. Others go on
    /// meanwhile; the caller alone has the place's lock.
    pub(super) fn recover_at(&self, side: usize, participant: usize) -> Left {
        let place = self.words(side, participant);
        let read = |word: &Word| word.load(P::acquire(RECOVER_PLACE));
        // ORDER: release, for who recovers another place meanwhile, as when one
        // is left in order.
        let write = P::release(RECOVER_WRITE);
        if read(&place.owner) == 0 {
            return Left {
                died: read(&place.died) != 0,
                done: read(&place.done),
                orphans: (read(&place.taken) >> 8 & 0xff) as usize,
            };
        }
        // Nobody decides anything for it any more.
        let announced = self.announced_of(side, participant);
        announced.store(0, P::release(RECOVER_ANNOUNCED));
        let mut newest = 0;
        for turn in 0..2 {
            let entry = self.entry(participant, side, turn);
            let state = entry.state.load(P::acquire(RECOVER_STATE));
            let sequence = self.fields.state_sequence(state);
            newest = newest.max(sequence);
            if self.fields.status(state) == PENDING {
                let blocked = self.fields.state(sequence, BLOCKED, 0, 0);
                // Lost: somebody has decided it.
                let _ = entry
                    .state
                    .compare_exchange(state, blocked, P::acq_rel(RECOVER_WITHDRAW));
            }
        }
        place.sequence.store(newest, write);
        let (begun, ended) = (read(&place.begun), read(&place.ended));
        let mut taken = 0;
        if ended >> 1 != begun {
            // It died in the middle of an attempt.
            let word = read(&place.word);
            let outcome = if word == SLOW {
                self.slow_outcome(side, participant, read(&place.position))
            } else {
                self.fast_outcome(side, participant, word)
            };
            if let Some((spare, got)) = outcome
                && !skip(FIND_OUT)
            {
                place.spare.store(spare, write);
                place.done.store(read(&place.then), write);
                taken = got;
            }
        } else if ended & 1 == 0 {
            taken = read(&place.taken);
        }
        if side == PUSH {
            taken = 0;
        }
        place.taken.store(taken, write);
        place.begun.store(begun, write);
        // Even while something is taken: who finds this one dead right here reads
        // `taken` again.
        let ended = begun.wrapping_mul(2) + u64::from(taken == 0);
        place.ended.store(ended, write);
        place.died.store(1, write);
        place.owner.store(0, P::release(LEAVE));
        Left {
            died: true,
            done: read(&place.done),
            orphans: (taken >> 8 & 0xff) as usize,
        }
    }

    /// Of an operation that others could decide: the cell it owns then, and
    /// what it took. `None`: it had no effect.
    fn slow_outcome(&self, side: usize, participant: usize, sequence: u64) -> Option<(u64, u64)> {
        let fields = &self.fields;
        let entry: &Entry = self.entry(participant, side, sequence);
        let state = entry.state.load(P::acquire(RECOVER_STATE));
        let spare = self
            .words(side, participant)
            .spare
            .load(P::acquire(RECOVER_PLACE));
        if fields.state_sequence(state) != sequence {
            return None; // it had not even been written down
        }
        match fields.status(state) {
            WHOLE => Some((fields.cell(state), fields.state_run(state) | 1 << 8)),
            PART => Some((spare, ASIDE | 1 << 8)),
            _ => None,
        }
    }

    /// Likewise, of an attempt to exchange the own cell for the one in `word`.
    fn fast_outcome(&self, side: usize, participant: usize, word: u64) -> Option<(u64, u64)> {
        let fields = &self.fields;
        let place = self.words(side, participant);
        let read = |word: &Word| word.load(P::acquire(RECOVER_PLACE));
        let (gave, got) = (read(&place.spare), fields.cell(word));
        let taken = fields.popped(word) | fields.left(word) << 8;
        if gave == got {
            return Some((got, taken)); // it had come so far as to write that down
        }
        let position = read(&place.position);
        let count = self.slot_count as u64;
        let slot = self.slot((position % count) as usize);
        let next = self.base(position / count, side).wrapping_add(fields.one);
        let now = slot.load(P::acquire(RECOVER_SLOT));
        let phases = now.wrapping_sub(next).cast_signed() >> fields.phase;
        let it_happened = match phases {
            ..0 => false,                  // the position is not done
            0 => fields.cell(now) == gave, // by whom?
            // The slot has moved on: is the cell anywhere else?
            _ => self.circulates(side, participant, gave, position),
        };
        it_happened.then_some((got, taken))
    }

    /// Whether a cell that this participant owned, and meant to give at
    /// `position`, which is done and passed by the other side, is anywhere else.
    ///
    /// If it was given, it went the way slot, the other side's place, and so on
    /// until its next push, which writes another tag. So looking at these in
    /// this order and at the tag in the end cannot miss it (I10).
    fn circulates(&self, side: usize, participant: usize, cell: u64, position: u64) -> bool {
        let found = if side == PUSH {
            self.is_at_a_place(POP, None, cell, position)
                || self.is_in_a_slot(cell)
                || self.is_at_a_place(PUSH, Some(participant), cell, position)
        } else {
            self.is_at_a_place(PUSH, None, cell, position)
        };
        let tag = self
            .words(side, participant)
            .tag
            .load(P::acquire(RECOVER_PLACE));
        found || self.tag(cell).load(P::acquire(RECOVER_TAG)) != tag
    }

    /// I3, where nothing is in flight. The spares of handles that are out count
    /// in shared memory only: in private memory they are in the handle.
    pub(super) fn every_cell_once(&self) -> Result<(), String> {
        let mut where_is = vec![None; self.cell_count];
        let mut found = |cell: u64, place: String| {
            let known = usize::try_from(cell).ok().and_then(|i| where_is.get_mut(i));
            match known {
                None => Err(format!("{place} has cell {cell}, which there is not")),
                Some(known) => match known.replace(place.clone()) {
                    Some(other) => Err(format!("cell {cell} is in {other} and in {place}")),
                    None => Ok(()),
                },
            }
        };
        for index in 0..self.slot_count {
            let word = self.slot(index).load(P::acquire(LOOK_SLOT));
            found(self.fields.cell(word), format!("slot {index}"))?;
        }
        for (side, name) in [(PUSH, "producer"), (POP, "consumer")] {
            for i in 0..self.participants() {
                let spare = &self.words(side, i).spare;
                let spare = spare.load(P::acquire(RECOVER_PLACE));
                found(spare, format!("the place of {name} {i}"))?;
            }
        }
        match where_is.iter().position(Option::is_none) {
            Some(cell) => Err(format!("cell {cell} is nowhere")),
            None => Ok(()),
        }
    }

    fn is_in_a_slot(&self, cell: u64) -> bool {
        (0..self.slot_count).any(|index| {
            let word = self.slot(index).load(P::acquire(RECOVER_SLOT));
            self.fields.cell(word) == cell
        })
    }

    /// Whether a participant of a side (but for one) has the cell, not counting
    /// what it had before `position`.
    fn is_at_a_place(&self, side: usize, but: Option<usize>, cell: u64, position: u64) -> bool {
        let fields = &self.fields;
        (0..self.participants())
            .filter(|i| Some(*i) != but)
            .any(|i| {
                let place = self.words(side, i);
                let read = |word: &Word| word.load(P::acquire(RECOVER_PLACE));
                let first = read(&place.begun);
                loop {
                    let (begun, ended) = (read(&place.begun), read(&place.ended));
                    let at = read(&place.position);
                    let (word, spare) = (read(&place.word), read(&place.spare));
                    let has = if ended >> 1 == begun {
                        spare == cell
                    } else if word == SLOW {
                        let entry = self.entry(i, side, at);
                        let state = entry.state.load(P::acquire(RECOVER_STATE));
                        if fields.state_sequence(state) == at && fields.status(state) == WHOLE {
                            fields.cell(state) == cell
                        } else {
                            spare == cell
                        }
                    } else {
                        // What it had before that position is another matter.
                        at >= position && (spare == cell || fields.cell(word) == cell)
                    };
                    // Unchanged: what was read belongs together.
                    if read(&place.begun) == begun && read(&place.ended) == ended {
                        break has;
                    }
                    // What it had when this began it has given away since.
                    if begun.wrapping_sub(first) >= 2 {
                        break false;
                    }
                }
            })
    }
}
