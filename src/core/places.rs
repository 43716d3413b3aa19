//! Who sits where, in a ring in shared memory of an engine that keeps a record
//! of each participant.
//!
//! A *place* is the record of one producer or one consumer. It belongs to who
//! holds its lock, a byte of the segment's file that the kernel frees when its
//! owner dies, however it dies. A stopped owner keeps it: it is not dead.
//!
//! | byte | lock | meaning |
//! |---|---|---|
//! | [`PLACES`] `+ 2 place + direction` | write | one participant, or somebody who puts right what a dead one left |
//! | [`SESSIONS`] `+` 61 bits | write | the one that has a session now, wherever its place is |
//!
//! Whoever has the lock of a place recovers it, and then sits down or gives the
//! lock back. The words of the place say what it is meanwhile
//! ([`Standing`]); they are old news for everybody else, and what another
//! process wrote there: nothing here waits for them for more than a second.
//!
//! Nobody waits for a dead participant, so finding it is no hurry: whoever
//! needs a place, whoever waits (every [`LOOK`]) and who asks looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Core, Role};
use crate::error::BuildError;
use crate::os::fork::fork_generation;
use crate::os::segment::{RoleLock, Segment};
use crate::strategy::{Direction, Left, RawRing, Shape, Standing};

/// The first place's byte. Those before are for roles that are not places.
const PLACES: u64 = 16;
/// The first session's byte.
const SESSIONS: u64 = 1 << 62;
/// How often waiters look for the dead: with the 10 ms after which they look up
/// anyway, each is found within 100 ms.
const LOOK: Duration = Duration::from_millis(50);
/// How long to try for a lock that only those hold who put a place right, a few
/// system calls long. If one is stopped then, there is an error instead.
const PATIENCE: Duration = Duration::from_secs(1);

/// What this process knows of the places of a ring.
#[derive(Debug)]
pub(super) struct Places {
    /// For each place, producers' first: the fork generation in which this ring
    /// object sat down there, plus 1; 0: it does not. A look saved, no more.
    ours: Arc<[AtomicU32]>,
    dead: AtomicU64,
    /// The last look, in milliseconds after `since`.
    looked: AtomicU64,
    since: Instant,
}

/// A place that this process has, for [`Role`].
#[derive(Debug)]
pub(super) struct Ours {
    all: Arc<[AtomicU32]>,
    at: usize,
}

impl Drop for Ours {
    fn drop(&mut self) {
        // ORDER: relaxed: at worst somebody looks at the lock in vain.
        self.all[self.at].store(0, Ordering::Relaxed);
    }
}

impl Places {
    /// For a ring in shared memory with `n` places for each direction.
    pub(super) fn new(n: usize) -> Option<Self> {
        (n > 0).then(|| Self {
            ours: (0..2 * n).map(|_| AtomicU32::new(0)).collect(),
            dead: AtomicU64::new(0),
            looked: AtomicU64::new(0),
            since: Instant::now(),
        })
    }

    fn len(&self) -> usize {
        self.ours.len() / 2
    }

    fn at(&self, direction: Direction, place: usize) -> usize {
        direction as usize * self.len() + place
    }

    fn is_ours(&self, direction: Direction, place: usize) -> bool {
        let made = self.ours[self.at(direction, place)].load(Ordering::Relaxed);
        made == fork_generation().wrapping_add(1)
    }

    fn note(&self, direction: Direction, place: usize) -> Ours {
        let at = self.at(direction, place);
        self.ours[at].store(fork_generation().wrapping_add(1), Ordering::Relaxed);
        Ours {
            all: self.ours.clone(),
            at,
        }
    }

    /// Participants that this process found dead.
    pub(super) fn dead(&self) -> u64 {
        self.dead.load(Ordering::Relaxed)
    }
}

/// What a participant finds that opens a session again.
pub(crate) type Found<P> = (P, Role, Left);

fn role_of(direction: Direction, place: usize) -> u64 {
    PLACES + 2 * place as u64 + direction as u64
}

fn role_of_session(direction: Direction, session: u64) -> u64 {
    // Mixed (Steele, Lea, Flood: SplitMix64), so that numbers that people make
    // up do not meet in the bits that are left.
    let mixed = session.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    SESSIONS + (((mixed ^ mixed >> 31) >> 4) << 1 | direction as u64)
}

fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Push => "producer",
        Direction::Pop => "consumer",
    }
}

impl<Sh: Shape, R: RawRing<Sh>> Core<Sh, R> {
    /// A producer's side, and what it has to keep: where the engine allows one,
    /// or has places, ownership.
    pub(crate) fn new_producer(&self) -> Result<(R::Producer, Role), BuildError> {
        let role = self.own_producer()?;
        if self.places.is_some() {
            // SAFETY: `sit` has the lock and gives it to the role, which goes
            // after the side; the place is free.
            return self.sit(Direction::Push, |place| unsafe {
                self.raw.producer_at(place, 0)
            });
        }
        Ok((self.raw.new_producer()?, role))
    }

    /// A consumer's side, likewise.
    pub(crate) fn new_consumer(&self) -> Result<(R::Consumer, Role), BuildError> {
        let role = self.own_consumer()?;
        if self.places.is_some() {
            // SAFETY: as above.
            return self.sit(Direction::Pop, |place| unsafe {
                self.raw.consumer_at(place, 0)
            });
        }
        Ok((self.raw.new_consumer()?, role))
    }

    /// A producer that is known by its session, dead or alive.
    pub(crate) fn producer_as(&self, session: u64) -> Result<Found<R::Producer>, BuildError> {
        let none = |_: *mut u8| {};
        // SAFETY: as above; or the place is kept for this session.
        self.sit_as(Direction::Push, session, none, |place| unsafe {
            self.raw.producer_at(place, session)
        })
    }

    /// A consumer likewise. `orphan` is called for each element that the last
    /// one had taken and perhaps not handed out, oldest first; it must not panic.
    pub(crate) fn consumer_as(
        &self,
        session: u64,
        orphan: impl FnMut(*mut u8),
    ) -> Result<Found<R::Consumer>, BuildError> {
        // SAFETY: as above.
        self.sit_as(Direction::Pop, session, orphan, |place| unsafe {
            self.raw.consumer_at(place, session)
        })
    }

    /// In a forked child: gives a handle of the parent's a side of this process.
    /// The parent goes on with its own, which is left as it is. `false`: there
    /// is none to be had, or the handle's session is the parent's.
    pub(crate) fn settle_producer(&self, side: &mut R::Producer, role: &mut Role) -> bool {
        self.settle(self.raw.traits().producers)
            && self.move_over(side, role, || self.new_producer())
    }

    /// As `settle_producer`.
    pub(crate) fn settle_consumer(&self, side: &mut R::Consumer, role: &mut Role) -> bool {
        self.settle(self.raw.traits().consumers)
            && self.move_over(side, role, || self.new_consumer())
    }

    /// The second half of settling, for faces that did the first.
    pub(crate) fn move_over<P>(
        &self,
        side: &mut P,
        role: &mut Role,
        make: impl FnOnce() -> Result<(P, Role), BuildError>,
    ) -> bool {
        if self.places.is_none() {
            return true; // a side says nothing about who has it
        }
        if role.is_session() {
            return false;
        }
        match make() {
            Ok((own, owned)) => {
                std::mem::forget(std::mem::replace(side, own)); // the parent's
                *role = owned;
                true
            }
            Err(_) => false,
        }
    }

    /// Puts right what participants left that died; answers how many there were.
    pub(crate) fn reclaim(&self) -> usize {
        let (Some(places), Some(segment)) = (&self.places, self.segment()) else {
            return 0;
        };
        let mut found = 0;
        for direction in [Direction::Push, Direction::Pop] {
            for place in 0..places.len() {
                if self.may_be_dead(places, segment, direction, place)
                    && let Ok(Some(lock)) = segment.try_own(role_of(direction, place))
                {
                    found += usize::from(self.put_right(places, &lock, direction, place).0);
                }
            }
        }
        found
    }

    /// `reclaim`, if the last look is a while ago. For those who wait.
    pub(crate) fn look_for_dead(&self) {
        let Some(places) = &self.places else { return };
        let now = u64::try_from(places.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = places.looked.load(Ordering::Relaxed);
        let due = last.saturating_add(LOOK.as_millis() as u64);
        if now >= due
            && places
                .looked
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.reclaim();
        }
    }

    /// Moves up to `max` elements out that dead consumers without a session had
    /// taken; `read` does not panic. Answers how many.
    pub(crate) fn take_orphans(&self, max: usize, mut read: impl FnMut(*mut u8)) -> usize {
        let (Some(places), Some(segment)) = (&self.places, self.segment()) else {
            return 0;
        };
        self.reclaim();
        let mut taken = 0;
        let theirs = (Standing::Orphans, 0);
        for place in 0..places.len() {
            if taken < max
                && self.raw.standing(Direction::Pop, place) == theirs
                && let Ok(Some(lock)) = segment.try_own(role_of(Direction::Pop, place))
            {
                self.put_right(places, &lock, Direction::Pop, place);
                if self.raw.standing(Direction::Pop, place) == theirs {
                    // SAFETY: the lock is ours, the place was recovered; `read`
                    // is as the caller promises.
                    taken += unsafe { self.raw.take_orphans(place, max - taken, &mut read) };
                }
            }
        }
        if taken > 0 {
            self.voided();
        }
        taken
    }

    /// Ends a session that nobody has: its place is free for others.
    pub(crate) fn forget_session(
        &self,
        direction: Direction,
        session: u64,
    ) -> Result<(), BuildError> {
        let (_held, found) = self.session(direction, session)?;
        let Some((place, _lock, left)) = found else {
            return Err(BuildError::NotFound(format!(
                "there is no {} session {session}",
                word(direction)
            )));
        };
        if self.raw.standing(direction, place).0 == Standing::Orphans {
            return Err(BuildError::Invalid(format!(
                "{} elements that consumer session {session} had taken wait for it: open it again \
                 (consumer_as) to get them, then forget it",
                left.orphans
            )));
        }
        // SAFETY: the lock is ours; the place was recovered.
        unsafe { self.raw.forget(direction, place) };
        Ok(())
    }

    /// Whether a place is somebody's who may have died. A look, without its lock.
    fn may_be_dead(
        &self,
        places: &Places,
        segment: &Segment,
        direction: Direction,
        place: usize,
    ) -> bool {
        self.raw.standing(direction, place).0 == Standing::Taken
            && !places.is_ours(direction, place)
            && segment
                .role_is_owned(role_of(direction, place))
                .is_ok_and(|owned| !owned)
    }

    /// Recovers a place; `true`: its owner had died.
    fn put_right(
        &self,
        places: &Places,
        _lock: &RoleLock,
        direction: Direction,
        place: usize,
    ) -> (bool, Left) {
        let was = self.raw.standing(direction, place).0;
        // SAFETY: the lock, which the caller shows, is ours.
        let left = unsafe { self.raw.recover(direction, place) };
        // Later looks at what a dead one left may say so again.
        let died = was == Standing::Taken && left.died;
        if died {
            places.dead.fetch_add(1, Ordering::Relaxed);
            // What it had announced may have been done on this way.
            self.voided();
        }
        (died, left)
    }

    /// Finds a free place and makes a side there: one that is known as free, or
    /// else one of somebody who died.
    fn sit<P>(
        &self,
        direction: Direction,
        make: impl Fn(usize) -> P,
    ) -> Result<(P, Role), BuildError> {
        let (Some(places), Some(segment)) = (&self.places, self.segment()) else {
            unreachable!("only rings in shared memory have places");
        };
        let began = Instant::now();
        loop {
            for wanted in [Standing::Free, Standing::Taken] {
                for place in 0..places.len() {
                    let worth_a_try = match wanted {
                        Standing::Taken => self.may_be_dead(places, segment, direction, place),
                        _ => self.raw.standing(direction, place).0 == Standing::Free,
                    };
                    if !worth_a_try {
                        continue;
                    }
                    let Some(lock) = segment.try_own(role_of(direction, place))? else {
                        continue;
                    };
                    self.put_right(places, &lock, direction, place);
                    if self.raw.standing(direction, place).0 == Standing::Free {
                        let role = Role {
                            _lock: Some(lock),
                            _ours: Some(places.note(direction, place)),
                            ..Role::default()
                        };
                        return Ok((make(place), role));
                    }
                }
            }
            // A free one whose lock somebody had: who sits down there, or gives
            // it back in a moment.
            let free = |place| self.raw.standing(direction, place).0 == Standing::Free;
            if !(0..places.len()).any(free) || began.elapsed() > PATIENCE {
                return Err(self.no_place(direction));
            }
            std::thread::yield_now();
        }
    }

    /// Sits down at the place of a session, or at a free one if it has none.
    fn sit_as<P>(
        &self,
        direction: Direction,
        session: u64,
        mut orphan: impl FnMut(*mut u8),
        make: impl Fn(usize) -> P,
    ) -> Result<Found<P>, BuildError> {
        let (held, found) = self.session(direction, session)?;
        let (side, role, left) = match found {
            None => {
                let (side, role) = self.sit(direction, make)?;
                (side, role, Left::default())
            }
            Some((place, lock, mut left)) => {
                if self.raw.standing(direction, place).0 == Standing::Orphans {
                    let most = self.raw.capacity();
                    // SAFETY: the lock is ours, the place was recovered; `orphan`
                    // is as the caller promises.
                    left.orphans = unsafe { self.raw.take_orphans(place, most, &mut orphan) };
                }
                if !matches!(
                    self.raw.standing(direction, place).0,
                    Standing::Free | Standing::Kept
                ) {
                    return Err(BuildError::Corrupt(format!(
                        "the place of {} session {session} is not what it should be: \
                         somebody writes to the segment",
                        word(direction)
                    )));
                }
                let role = Role {
                    _lock: Some(lock),
                    _ours: self
                        .places
                        .as_ref()
                        .map(|places| places.note(direction, place)),
                    ..Role::default()
                };
                (make(place), role, left)
            }
        };
        let role = Role {
            session: Some(held),
            ..role
        };
        Ok((side, role, left))
    }

    /// The lock of a session and, if it has a place, that place, locked and
    /// recovered.
    #[allow(clippy::type_complexity)] // said above
    fn session(
        &self,
        direction: Direction,
        session: u64,
    ) -> Result<(RoleLock, Option<(usize, RoleLock, Left)>), BuildError> {
        let word = word(direction);
        if session == 0 {
            return Err(BuildError::Invalid(
                "0 is no session; choose any other number and keep it for this participant".into(),
            ));
        }
        let (Some(places), Some(segment)) = (&self.places, self.segment()) else {
            let name = self.raw.traits().name;
            return Err(BuildError::Unsupported(if self.raw.traits().records {
                format!(
                    "a private ring has no sessions: they are for a ring with a path, which outlives its {word}s"
                )
            } else {
                format!(
                    "{name} keeps no record of its {word}s, so it has no sessions; see the table of strategies"
                )
            }));
        };
        let held = segment
            .try_own(role_of_session(direction, session))?
            .ok_or_else(|| {
                BuildError::NoHandle(format!(
                    "the {word} of session {session} is alive, in this process or in another one; \
                     it gives the session back when it is dropped or ends"
                ))
            })?;
        // Only this process can give the session a place now.
        let began = Instant::now();
        loop {
            let has_it = |place: &usize| {
                let (standing, of) = self.raw.standing(direction, *place);
                standing != Standing::Free && of == session
            };
            let Some(place) = (0..places.len()).find(has_it) else {
                return Ok((held, None));
            };
            if let Some(lock) = segment.try_own(role_of(direction, place))?
                && has_it(&place)
            {
                let left = self.put_right(places, &lock, direction, place).1;
                return Ok((held, Some((place, lock, left))));
            }
            if began.elapsed() > PATIENCE {
                return Err(BuildError::NoHandle(format!(
                    "somebody keeps the place of {word} session {session} locked, perhaps a stopped \
                     process that was about to recover it; try again when it runs"
                )));
            }
            std::thread::yield_now();
        }
    }

    /// Why there is no place, and what to do about it.
    #[cold]
    fn no_place(&self, direction: Direction) -> BuildError {
        let count = |wanted: Standing| {
            (0..self.raw.places())
                .filter(|&place| self.raw.standing(direction, place).0 == wanted)
                .count()
        };
        let (kept, orphans) = (count(Standing::Kept), count(Standing::Orphans));
        let mut text = format!(
            "all {} places for {}s of {} are taken, {} of them by participants that are alive",
            self.raw.places(),
            word(direction),
            self.segment().and_then(Segment::name).unwrap_or("the ring"),
            // Each was counted at another moment, and somebody may scribble.
            self.raw.places().saturating_sub(kept + orphans),
        );
        if kept > 0 {
            text += &format!(", {kept} for sessions that may come back (forget_session ends one)");
        }
        if orphans > 0 {
            text += &format!(", {orphans} by elements of dead consumers (take_orphans frees them)");
        }
        text += "; drop or release one, or build the ring for more (max_threads)";
        BuildError::NoHandle(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lock_has_a_byte_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        for direction in [Direction::Push, Direction::Pop] {
            for place in 0..crate::options::MAX_THREADS as usize {
                assert!(seen.insert(role_of(direction, place)));
            }
            for session in (1..5000).chain((1..64).map(|bit| (1 << bit) + 6000)) {
                assert!(
                    seen.insert(role_of_session(direction, session)),
                    "{session}"
                );
            }
        }
        // 0 is presence, 1 and 2 are the sides of spsc; locks end before 2^63 - 1.
        assert!(
            seen.iter()
                .all(|&role| (16..i64::MAX as u64).contains(&role))
        );
    }

    #[test]
    fn places_of_this_process_are_known_until_they_are_left() {
        let places = Places::new(3).unwrap();
        assert!(Places::new(0).is_none());
        let ours = places.note(Direction::Pop, 1);
        let all = || {
            let is_ours = |direction| (0..3).map(move |place| (direction, place));
            [Direction::Push, Direction::Pop]
                .into_iter()
                .flat_map(is_ours)
                .filter(|&(direction, place)| places.is_ours(direction, place))
                .collect::<Vec<_>>()
        };
        assert_eq!(all(), [(Direction::Pop, 1)]);
        drop(ours);
        assert_eq!(all(), []);
    }
}
