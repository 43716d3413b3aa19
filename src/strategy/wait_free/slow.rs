//! What a call does when somebody is in its way: goes on to where its side is,
//! helps, waits a bounded moment, announces itself.

use super::words::{BLOCKED, PART, PENDING, WHOLE};
use super::{
    ANNOUNCE, ANNOUNCE_CELL, ANNOUNCE_FENCE, ANNOUNCE_STATE, ARMED, ASIDE, BLOCK_FENCE, BLOCK_LOOK,
    CLAIM, CLOSING_LOOK, COMPLETE, CONFIRM, CONFIRM_SEEN, DEAD_STAYS, DECIDE, Entry, ExchangeRing,
    GATHER_HINT, GATHER_LOOK, HINT_READ, LENT, OWN_STATE, PENDING_ANNOUNCED, PENDING_STATE, POP,
    PUSH, RESOLVE_CELL, RESOLVE_SLOT, RESOLVE_STATE, RETIRE, ROOM_HINT, ROOM_LOOK, ROOM_MOVE,
    ROOM_PEEK, SEAL_NOTE, SEALED, SINGLE, SLOT_FIRST, SLOT_LOOK, Side, Stop, TAKE_PART, WITHDRAW,
};
use crate::atomic::{Profile, Word, fence, mutate::skip, pause};
use crate::strategy::{PushRefusal, Shape};

/// Looks at whether a run has gathered, at the most.
const LOOKS: u32 = 24;
/// So many looks without any progress of the other side end it.
const UNMOVED: u32 = 4;
/// Pauses after a lost slot; doubled three times.
const LOST: u16 = 32;

/// Turns that no call makes unless a hostile process writes into the ring.
const ENDLESS: u32 = 1 << 16;

/// What became of a claim.
#[derive(PartialEq)]
enum Resolved {
    /// The slot has moved on.
    Moved,
    /// The claim is nobody's any more: the word counts as a plain one.
    Dead,
}

/// Whether there is room for a push.
enum Room {
    /// [`Side::room`] is above the own position.
    Known,
    /// None, as long as this slot holds this word.
    Full { index: usize, word: u64 },
    /// Others moved too much; look again.
    Moved,
}

fn pauses(n: u16) {
    for _ in 0..n {
        pause();
    }
}

impl<Sh: Shape, P: Profile> ExchangeRing<Sh, P> {
    /// Turns of a loop that no ring needs unless a hostile process writes into it.
    ///
    /// Each participant may be stopped before it moves a hint, which is then 16
    /// positions behind for it, 64 where some push or pop long runs; twice that.
    fn too_many(&self) -> u32 {
        let turns = 256 + 128 * self.participants();
        u32::try_from(turns)
            .unwrap_or(u32::MAX)
            .saturating_add(self.patience.saturating_mul(4))
    }

    /// Pushes 1 to `n` of the elements in the own spare.
    #[cold]
    #[inline(never)]
    pub(super) fn push_more(&self, side: &mut Side, n: u64) -> Result<u64, Stop> {
        let fields = &self.fields;
        let (mut lost, mut turns, mut paused) = (0, 0, false);
        let most = self.patience.saturating_mul(4).saturating_add(64);
        while lost < self.patience && turns < most {
            turns += 1;
            let slot = self.slot(side.index());
            let word = slot.load(P::acquire(SLOT_LOOK));
            if self.is_done(side, word) {
                self.advance::<PUSH>(side, word);
                continue;
            }
            if fields.claimant(word) != 0 && self.resolve(side.index(), word) == Resolved::Moved {
                lost += 1;
                continue;
            }
            // From here on the word is unclaimed, or its claim is dead.
            if word & fields.sealed != 0 {
                return self.closed();
            }
            if self.header().closed.load(P::relaxed(CLOSING_LOOK)) != 0 {
                // Somebody closes the ring: helps, so that it ends.
                self.mark_sealed();
                return self.closed();
            }
            if side.position >= side.room {
                match self.find_room(side) {
                    Room::Known => {}
                    Room::Moved => {
                        lost += 1;
                        continue;
                    }
                    Room::Full { index, word } => {
                        if side.flags & ARMED == 0 && side.skip == 0 && !paused {
                            paused = true;
                            pauses(self.pacing.poll); // the other side gets away undisturbed
                        }
                        if self.still(self.slot(index), word) {
                            side.block();
                            return Err(Stop::Blocked);
                        }
                        lost += 1;
                        continue;
                    }
                }
            }
            if side.flags & ARMED != 0 && self.patience > 0 {
                // Blocked before, free now: begin a run, not a lock-step.
                side.flags &= !ARMED;
                if side.skip > 0 {
                    side.skip -= 1;
                } else if self.pacing.goal > 1 {
                    self.gather::<PUSH>(side);
                    continue;
                }
            }
            if let Some((other, sequence)) = self.pending::<PUSH>(side.position, 1) {
                self.claim_for(side, word, other, sequence);
                lost += 1;
                continue;
            }
            let asked = n;
            let n = n
                .min(side.room.saturating_sub(side.position).max(1))
                .min(self.longest(side));
            let free = 1 + self.wanted::<PUSH>(side.position.wrapping_add(1), n - 1);
            let n = n.min(free);
            if n == 1 && asked > 1 {
                self.make_single(side);
            }
            self.note_attempt(side, word, n);
            let mine = side.base.wrapping_add(fields.one) | fields.run_of(n) | side.spare;
            if slot
                .compare_exchange(word, mine, P::acq_rel(DECIDE))
                .is_ok()
            {
                side.spare = fields.cell(word);
                self.open_way(side);
                self.note_done(side, n);
                self.step_on::<PUSH>(side, n);
                return Ok(n);
            }
            self.note_lost(side);
            if lost < 4 {
                pauses(LOST << lost);
            }
            lost += 1;
        }
        if n > 1 {
            self.make_single(side);
        }
        self.announce::<PUSH>(side)
    }

    /// Pops 1 to `wanted` elements of the run at the front: where they are,
    /// [`taken`](Self::taken) tells.
    #[cold]
    #[inline(never)]
    pub(super) fn take<const SURE: bool>(
        &self,
        side: &mut Side,
        wanted: u64,
        mut accept: impl FnMut(*mut u8) -> bool,
    ) -> Result<u64, Stop> {
        let fields = &self.fields;
        let (mut lost, mut turns, mut paused) = (0, 0, false);
        let most = self.patience.saturating_mul(4).saturating_add(64);
        // Others cannot ask whether this call would take what they find: who is
        // not sure does not announce, and goes on by itself.
        while (!SURE && turns < ENDLESS) || (lost < self.patience && turns < most) {
            turns += 1;
            let slot = self.slot(side.index());
            let word = slot.load(P::acquire(SLOT_LOOK));
            if self.is_done(side, word) {
                self.advance::<POP>(side, word);
                continue;
            }
            if fields.claimant(word) != 0 && self.resolve(side.index(), word) == Resolved::Moved {
                lost += 1;
                continue;
            }
            if self.is_behind(side, word) {
                if word & fields.sealed != 0 {
                    return self.closed();
                }
                if side.flags & ARMED == 0 && side.skip == 0 && !paused {
                    paused = true;
                    pauses(self.pacing.poll);
                }
                if self.still(slot, word) {
                    side.flags |= ARMED;
                    return Err(Stop::Blocked);
                }
                lost += 1;
                continue;
            }
            if side.flags & ARMED != 0 && self.patience > 0 {
                side.flags &= !ARMED;
                if side.skip > 0 {
                    side.skip -= 1;
                } else if self.pacing.goal > 1 {
                    self.gather::<POP>(side);
                    continue;
                }
            }
            let left = fields.left(word);
            let mut n = wanted.min(left);
            if n == left
                && let Some((other, sequence)) =
                    self.pending::<POP>(side.position, fields.length(word))
            {
                // The last element of this run is somebody else's.
                if left == 1 {
                    self.claim_for(side, word, other, sequence);
                    lost += 1;
                    continue;
                }
                n = left - 1;
            }
            let element = self.front(word);
            if !SURE && !accept(element.payload) {
                if self.still(slot, word) {
                    return Err(Stop::Declined);
                }
                continue;
            }
            let done = if n == left {
                self.take_whole(side, word)
            } else if self.shared {
                n = 1;
                self.take_one_claimed(side, word)
            } else {
                // The copy is worth something only if the word is still the same.
                self.copy_aside(side, element.payload, n as usize);
                let less = fields.plain(word).wrapping_add(fields.more_popped(n));
                let done = slot
                    .compare_exchange(word, less, P::acq_rel(TAKE_PART))
                    .is_ok();
                if done {
                    side.taken = ASIDE;
                }
                done
            };
            if done {
                return Ok(n);
            }
            if lost < 4 {
                pauses(LOST << lost);
            }
            lost = lost.saturating_add(1);
        }
        if !SURE {
            return Err(Stop::Blocked); // the words are not a ring's any more
        }
        self.announce::<POP>(side)
    }

    /// Exchanges the own spare for what is left of the run.
    fn take_whole(&self, side: &mut Side, word: u64) -> bool {
        let fields = &self.fields;
        let mine = side.base.wrapping_add(fields.one)
            | word & fields.sealed
            | fields.length_field(word)
            | side.spare;
        let n = fields.left(word);
        self.note_attempt(side, word, n);
        let done = self
            .slot(side.index())
            .compare_exchange(word, mine, P::acq_rel(DECIDE))
            .is_ok();
        if done {
            side.spare = fields.cell(word);
            side.taken = match fields.length(word) {
                1 => SINGLE,
                _ => fields.popped(word) as u32,
            };
            self.note_done(side, n);
            self.step_on::<POP>(side, fields.length(word));
        } else {
            self.note_lost(side);
        }
        done
    }

    /// In shared memory: takes one element of a run by a claim that nobody else
    /// makes, so that it stands in the own entry whether it was taken.
    fn take_one_claimed(&self, side: &mut Side, word: u64) -> bool {
        let (entry, sequence) = self.open_entry::<POP>(side);
        self.copy_aside(side, self.front(word).payload, 1);
        self.claim_for(side, word, side.participant, sequence);
        let state = entry.state.load(P::acquire(OWN_STATE));
        let done = self.fields.status(state) == PART || !self.withdraw(entry, sequence); // nobody else could: taken after all
        if done {
            side.taken = ASIDE;
            self.note_done(side, 1);
        } else {
            self.note_lost(side);
        }
        done
    }

    /// The slow way: lets everybody help.
    #[cold]
    #[inline(never)]
    fn announce<const S: usize>(&self, side: &mut Side) -> Result<u64, Stop> {
        let fields = &self.fields;
        let (entry, sequence) = self.open_entry::<S>(side);
        let (me, announced) = (side.participant, self.announced::<S>(side.participant));
        announced.store(sequence, P::release(ANNOUNCE));
        fence(P::seq_cst(ANNOUNCE_FENCE));
        let mut turns = 0;
        let outcome = loop {
            let state = entry.state.load(P::acquire(OWN_STATE));
            match fields.status(state) {
                WHOLE => {
                    side.spare = fields.cell(state);
                    // Of a longer run the last one has others before it.
                    side.taken = match fields.state_run(state) {
                        0 => SINGLE,
                        last => last as u32,
                    };
                    break Ok(1);
                }
                PART => {
                    side.taken = ASIDE;
                    break Ok(1);
                }
                _ => {}
            }
            turns += 1;
            if turns > self.too_many() && self.withdraw(entry, sequence) {
                break Err(Stop::Blocked); // the words are not a ring's any more
            }
            let early = match skip(SLOT_FIRST) {
                true => self.pending::<S>(side.position, 1),
                false => None,
            };
            let slot = self.slot(side.index());
            let word = slot.load(P::acquire(SLOT_LOOK));
            if self.is_done(side, word) {
                self.advance::<S>(side, word);
                continue;
            }
            if fields.claimant(word) != 0 && self.resolve(side.index(), word) == Resolved::Moved {
                continue;
            }
            let stop = if S == PUSH {
                self.push_stop(side, word)
            } else if !self.is_behind(side, word) {
                Some(None)
            } else if !self.still(slot, word) {
                None
            } else if word & fields.sealed != 0 {
                Some(Some(Stop::Closed))
            } else {
                Some(Some(Stop::Blocked))
            };
            match stop {
                None => continue, // it changed meanwhile
                Some(None) => {}
                Some(Some(stop)) => {
                    if self.withdraw(entry, sequence) {
                        break Err(stop);
                    }
                    continue; // somebody has completed it
                }
            }
            let whose = if S == POP && fields.left(word) > 1 {
                self.copy_aside(side, self.front(word).payload, 1);
                None
            } else {
                let length = if S == POP { fields.length(word) } else { 1 };
                early.or_else(|| self.pending::<S>(side.position, length))
            };
            let (whose, sequence) = whose.unwrap_or((me, sequence));
            self.claim_for(side, word, whose, sequence);
        };
        announced.store(0, P::release(RETIRE));
        match outcome {
            Ok(n) => {
                self.open_way(side);
                self.note_done(side, n);
            }
            Err(stop) => {
                self.note_lost(side);
                match stop {
                    Stop::Closed => return self.closed(),
                    _ if S == PUSH => side.block(),
                    _ => side.flags |= ARMED,
                }
            }
        }
        outcome
    }

    /// What stops an announced push here: `None`: look again; `Some(None)`: nothing.
    #[allow(clippy::option_option)] // three answers of one question
    fn push_stop(&self, side: &mut Side, word: u64) -> Option<Option<Stop>> {
        if word & self.fields.sealed != 0 {
            return Some(Some(Stop::Closed));
        }
        if self.header().closed.load(P::relaxed(CLOSING_LOOK)) != 0 {
            self.mark_sealed();
            return Some(Some(Stop::Closed));
        }
        if side.position < side.room {
            return Some(None);
        }
        match self.find_room(side) {
            Room::Known => Some(None),
            Room::Full { index, word } if self.still(self.slot(index), word) => {
                Some(Some(Stop::Blocked))
            }
            Room::Full { .. } | Room::Moved => None,
        }
    }

    /// Writes down an operation that others may decide once it is announced or claimed.
    fn open_entry<const S: usize>(&self, side: &mut Side) -> (&Entry, u64) {
        side.sequence = side.sequence.wrapping_add(1);
        let sequence = side.sequence;
        self.note_slow(side);
        let entry = self.entry(side.participant, S, sequence);
        let pending = self.fields.state(sequence, PENDING, 0, 0);
        entry.cell.store(side.spare, P::relaxed(ANNOUNCE_CELL));
        entry.state.store(pending, P::release(ANNOUNCE_STATE));
        (entry, sequence)
    }

    /// Takes the own operation back; `false`: it has been decided.
    fn withdraw(&self, entry: &Entry, sequence: u64) -> bool {
        let pending = self.fields.state(sequence, PENDING, 0, 0);
        let blocked = self.fields.state(sequence, BLOCKED, 0, 0);
        entry
            .state
            .compare_exchange(pending, blocked, P::acq_rel(WITHDRAW))
            .is_ok()
    }

    /// Whether the slot shows the own position as done.
    #[inline(always)]
    pub(super) fn is_done(&self, side: &Side, word: u64) -> bool {
        let next = side.base.wrapping_add(self.fields.one);
        word.wrapping_sub(next).cast_signed() >= 0
    }

    /// Whether the other side has not been there yet.
    #[inline(always)]
    pub(super) fn is_behind(&self, side: &Side, word: u64) -> bool {
        word.wrapping_sub(side.base).cast_signed() < 0
    }

    /// Elements that a run may have here: one, once in many laps, so that no
    /// slot is passed over for so long that its phase would look new again.
    #[inline(always)]
    pub(super) fn longest(&self, side: &Side) -> u64 {
        if side.base & self.refresh == self.refresh {
            1
        } else {
            self.layout.elements as u64
        }
    }

    /// Where the own side is known to go on after a slot that shows `position`
    /// as done: a position at which a run begins.
    pub(super) fn after<const S: usize>(&self, position: u64, word: u64) -> u64 {
        let fields = &self.fields;
        let count = self.slot_count as u64;
        let (lap, index) = (position / count, position % count);
        let phase = fields.phase(word);
        // Only the low bits of a lap are in the word.
        let later = phase.wrapping_sub(lap.wrapping_mul(2)) & (!0 >> fields.phase);
        let pushes_claim = later & 1 == 0 && fields.claimant(word) != 0;
        if S == PUSH {
            let laps = lap.wrapping_add(if pushes_claim {
                later / 2
            } else {
                later.wrapping_sub(1) / 2
            });
            let run = if pushes_claim { 0 } else { fields.length(word) };
            laps.wrapping_mul(count).wrapping_add(index + run)
        } else if later == 2 && !pushes_claim {
            position.wrapping_add(fields.length(word))
        } else {
            // The slot is in use again. Who did that had seen to it that the
            // hint is beyond (I9).
            self.header().hint[POP].load(P::acquire(HINT_READ))
        }
    }

    /// The slot's word shows the own position as done: goes on, whole laps at once.
    #[cold]
    pub(super) fn advance<const S: usize>(&self, side: &mut Side, word: u64) {
        let mut next = self.after::<S>(side.position, word);
        if next.wrapping_sub(side.position) > 16 || (next ^ side.position) >> self.pacing.hints != 0
        {
            next = next.max(self.header().hint[S].load(P::acquire(HINT_READ)));
        }
        self.jump::<S>(side, next);
    }

    /// Finds out how far pushes may go: `capacity` beyond what is popped. And
    /// sees to it that the hint of the pops is as far (I9).
    fn find_room(&self, side: &mut Side) -> Room {
        let fields = &self.fields;
        let hint = &self.header().hint[POP];
        let (capacity, count) = (self.capacity as u64, self.slot_count as u64);
        let known = hint.load(P::acquire(ROOM_HINT));
        if known.wrapping_add(capacity) > side.position {
            side.room = known.wrapping_add(capacity);
            self.behind_pops(side);
            return Room::Known;
        }
        let mut run = side.seen.max(known);
        // As many runs as there are slots, and some that change under its eyes.
        for _ in 0..2 * self.slot_count + 64 {
            let index = (run % count) as usize;
            let base = self.base(run / count, POP);
            let word = self.slot(index).load(P::acquire(ROOM_LOOK));
            let phases = word.wrapping_sub(base).cast_signed() >> fields.phase;
            let front = match phases {
                ..0 => run, // nothing is inside
                0 => {
                    if fields.claimant(word) != 0 && self.resolve(index, word) == Resolved::Moved {
                        continue;
                    }
                    let front = run.wrapping_add(fields.popped(word));
                    if front.wrapping_add(capacity) <= side.position {
                        side.seen = run;
                        return Room::Full { index, word };
                    }
                    front
                }
                _ => {
                    run = self.after::<POP>(run, word).max(run);
                    continue;
                }
            };
            side.seen = run;
            side.room = front.wrapping_add(capacity);
            if side.room <= side.position || !self.push_hint(run) {
                break; // no ring looks so
            }
            self.behind_pops(side);
            return Room::Known;
        }
        Room::Moved
    }

    /// So little room means that the pops are followed closely, each line
    /// fetched while they still write it: better to let some gather.
    fn behind_pops(&self, side: &mut Side) {
        let near =
            |side: &Side| side.room.wrapping_sub(side.position) < u64::from(self.pacing.near);
        if self.patience == 0 || !near(side) {
            return;
        }
        if side.skip > 0 {
            side.skip -= 1;
            return;
        }
        pauses(self.pacing.rest);
        let known = self.header().hint[POP].load(P::acquire(ROOM_HINT));
        side.room = side.room.max(known.wrapping_add(self.capacity as u64));
        if near(side) {
            side.leave_alone();
        } else {
            side.missed = 0;
        }
    }

    /// Sees to it that the hint of the pops is at `run` or beyond.
    fn push_hint(&self, run: u64) -> bool {
        let hint = &self.header().hint[POP];
        for _ in 0..self.too_many() {
            let was = hint.load(P::relaxed(ROOM_PEEK));
            if was >= run
                || hint
                    .compare_exchange(was, run, P::release(ROOM_MOVE))
                    .is_ok()
            {
                return true;
            }
        }
        false
    }

    /// Waits (a bounded time) until a run is ready. Where that does not help
    /// (request and reply, a slow peer) it is left alone for a while.
    #[cold]
    fn gather<const S: usize>(&self, side: &mut Side) {
        let goal = side.position.wrapping_add(u64::from(self.pacing.goal));
        let other = &self.header().hint[1 - S];
        let lead = if S == PUSH { self.capacity as u64 } else { 0 };
        let count = self.slot_count as u64;
        let slot = self.slot((goal.wrapping_sub(1) % count) as usize);
        let wanted = self.base(goal.wrapping_sub(1) / count, S);
        let (mut told, mut unmoved) = (other.load(P::relaxed(GATHER_HINT)), 0);
        for _ in 0..LOOKS {
            pauses(self.pacing.look);
            // A push has nothing to see there, and would take the line away.
            let filled = S == POP && {
                let word = slot.load(P::relaxed(GATHER_LOOK));
                word.wrapping_sub(wanted).cast_signed() >= 0
            };
            let now = other.load(P::relaxed(GATHER_HINT));
            if filled || now.wrapping_add(lead) >= goal {
                side.missed = 0;
                return;
            }
            unmoved = if now == told { unmoved + 1 } else { 0 };
            told = now;
            if unmoved == UNMOVED {
                break;
            }
        }
        side.leave_alone();
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
        self.header().closed.fetch_or(SEALED, P::release(SEAL_NOTE));
        Err(Stop::Closed)
    }

    /// The undecided operation of a participant whose turn it is at one of the
    /// `n` positions from here on. Each time round another one comes first.
    fn pending<const S: usize>(&self, position: u64, n: u64) -> Option<(usize, u64)> {
        let first = position / self.participants() as u64;
        (0..n).find_map(|by| self.pending_at::<S>(position.wrapping_add((first + by) % n)))
    }

    fn pending_at<const S: usize>(&self, position: u64) -> Option<(usize, u64)> {
        let participant = self.turn(position);
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
    fn claim_for(&self, side: &mut Side, word: u64, participant: usize, sequence: u64) {
        let claim = self.fields.claim(side.base, sequence, participant, word);
        let slot = self.slot(side.index());
        if slot
            .compare_exchange(word, claim, P::acq_rel(CLAIM))
            .is_ok()
        {
            if participant != side.participant {
                self.helps.add();
            }
            self.resolve(side.index(), claim);
        }
    }

    /// Whether the slot has moved on, its claim carried out; otherwise the claim
    /// is dead.
    pub(super) fn carry_out(&self, index: usize, claim: u64) -> bool {
        self.resolve(index, claim) == Resolved::Moved
    }

    /// Whether a push is known to be refused, found out without giving
    /// anything. It may also leave that to the exchange.
    #[cold]
    #[inline(never)]
    pub(super) fn look_before_push(&self, side: &mut Side) -> Result<(), PushRefusal> {
        if side.flags & LENT != 0 {
            return Err(PushRefusal::Lent);
        }
        for turn in 0..4 {
            let word = self.slot(side.index()).load(P::acquire(SLOT_LOOK));
            if self.is_done(side, word) {
                self.advance::<PUSH>(side, word);
                continue;
            }
            if self.fields.claimant(word) != 0 && self.carry_out(side.index(), word) {
                continue;
            }
            if word & self.fields.sealed != 0 {
                return self.closed().map_err(PushRefusal::from);
            }
            if side.position < side.room {
                break;
            }
            match self.find_room(side) {
                Room::Known => break,
                Room::Moved => {}
                Room::Full { index, word } => {
                    if side.flags & ARMED == 0 && side.skip == 0 && turn == 0 {
                        pauses(self.pacing.poll);
                    }
                    if self.still(self.slot(index), word) {
                        side.block();
                        return Err(PushRefusal::Full);
                    }
                }
            }
        }
        Ok(())
    }

    /// Decides the operation of a claim that was seen in a slot, and carries it out.
    #[cold]
    #[inline(never)]
    fn resolve(&self, index: usize, claim: u64) -> Resolved {
        let fields = &self.fields;
        let (phase, cell) = (fields.phase(claim), fields.cell(claim));
        let dead = || {
            if skip(DEAD_STAYS) {
                let plain = fields.plain(claim);
                let _ = self
                    .slot(index)
                    .compare_exchange(claim, plain, P::acq_rel(COMPLETE));
                return Resolved::Moved;
            }
            Resolved::Dead
        };
        let participant = (fields.claimant(claim).wrapping_sub(1)) as usize;
        let side = (phase & 1) as usize;
        let entry = self.entry(participant, side, fields.sequence(claim));
        let slot = self.slot(index);
        let mut state = entry.state.load(P::acquire(RESOLVE_STATE));
        let sequence = fields.state_sequence(state);
        if sequence & 3 != fields.sequence(claim) {
            return dead();
        }
        let part = side == POP && fields.left(claim) > 1;
        let status = if part { PART } else { WHOLE };
        let popped = if side == POP { fields.popped(claim) } else { 0 };
        let done = fields.state(sequence, status, popped, cell);
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
            return dead();
        }
        let next = if part {
            fields.plain(claim).wrapping_add(fields.more_popped(1))
        } else {
            let given = fields.cell(entry.cell.load(P::acquire(RESOLVE_CELL)));
            let length = if side == POP {
                fields.length_field(claim)
            } else {
                0
            };
            ((phase.wrapping_add(1)) << fields.phase) | claim & fields.sealed | length | given
        };
        if slot
            .compare_exchange(claim, next, P::acq_rel(COMPLETE))
            .is_ok()
            && !part
        {
            self.tell(side, index, claim);
        }
        Resolved::Moved
    }
}
