//! The raw trait, the table of strategies, and what they share.
//!
//! An algorithm supplies [`RawRing`]; everything users see is written once
//! over it, in `ring.rs`, `wait.rs` and `erased.rs`.

pub mod any;
mod count;
pub mod pace;
mod shape;
pub mod spsc;
pub mod turn;
pub mod wait_free;

pub use any::Any;
pub use shape::{Bytes, Fixed, Geometry, Shape, SlotLayout, Typed};
pub use spsc::Spsc;
pub use turn::Turn;
pub use wait_free::WaitFree;

use std::alloc::Layout;
use std::fmt::Debug;
use std::ptr::NonNull;

use crate::atomic::Tracker;
use crate::error::BuildError;

/// The engines. The numbers are part of the C interface: they are appended
/// to and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Strategy {
    /// Turn ring: many producers, many consumers; the baseline.
    Turn = 0,
    /// One producer, one consumer, cached indices.
    Spsc = 1,
    /// The exchange ring: nobody waits for anybody.
    WaitFree = 2,
}

/// Calls `$then!` with one row per strategy: `(Variant, module, Engine)`.
///
/// The one list of strategies. Tests, dispatch and the printed table come
/// from it; a missing row fails to compile in [`Strategy::traits`].
#[macro_export]
macro_rules! for_each_strategy {
    ($then:path) => {
        $then! {
            (Turn, turn, Turn),
            (Spsc, spsc, Spsc),
            (WaitFree, wait_free, WaitFree),
        }
    };
}

/// How many threads may be on a side at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// One at a time; further claims are refused.
    One,
    /// Any number.
    Many,
}

/// What an engine promises and where that stands: printed, compared with the
/// README by a test, never branched on.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// The name used in every language, `"turn"`.
    pub name: &'static str,
    /// Producers at once.
    pub producers: Arity,
    /// Consumers at once.
    pub consumers: Arity,
    /// When a `try_` call returns.
    pub returns: &'static str,
    /// What a stopped or killed thread does to the others.
    pub stopped_thread: &'static str,
    /// Whether a killed process may be restarted and go on where it was.
    pub survives_kill: bool,
    /// Whether the ring can live in shared memory.
    pub shared: bool,
    /// Whether it keeps a record of each participant: a side is made once and
    /// kept, and there may be as many as the ring was built for.
    pub records: bool,
    /// Where the algorithm comes from.
    pub source: &'static str,
    /// Its atomic steps, in the order of the module's table.
    pub steps: &'static [crate::atomic::Step],
}

impl Traits {
    /// Whether the sides of a direction, of this arity, are kept by who uses
    /// them: where one is allowed, and where the engine has a record of each.
    #[must_use]
    pub(crate) const fn kept(&self, arity: Arity) -> bool {
        self.records || matches!(arity, Arity::One)
    }
}

/// Why a push did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushRefusal {
    /// Every slot was taken at some moment of the call.
    Full,
    /// A pop that frees the next slot has taken effect and not returned, or a call
    /// is clearing an abandoned claim away.
    Busy,
    /// The ring has been sealed.
    Closed,
    /// The one slot this side may claim at a time is claimed, by its address
    /// ([`RawRing::note_claim`]).
    Lent,
}

/// Why a pop did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PopRefusal {
    /// Nothing was inside at some moment of the call.
    Empty,
    /// A push into the next slot has taken effect and not returned.
    Busy,
    /// The ring has been sealed and everything accepted was taken.
    Closed,
    /// The one slot this side may take at a time is taken, by its address
    /// ([`RawRing::note_take`]).
    Lent,
}

/// One slot lent to one thread, by a claim (to write) or a take (to read).
#[derive(Debug)]
pub struct Lease {
    pub(crate) payload: *mut u8,
    pub(crate) tracker: *const Tracker,
    pub(crate) ticket: u64,
}

impl Lease {
    /// Where the payload lies: the ring's element size, at its alignment.
    #[inline(always)]
    #[must_use]
    pub fn payload(&self) -> *mut u8 {
        self.payload
    }

    /// Runs `write` on the payload, seen by the model checker as a write.
    ///
    /// # Safety
    /// The lease is a claim that has not been committed or abandoned.
    #[inline(always)]
    pub unsafe fn write<R>(&self, write: impl FnOnce(*mut u8) -> R) -> R {
        // SAFETY: a lease's tracker lives in the ring, which outlives it.
        unsafe { (*self.tracker).writing(|| write(self.payload)) }
    }

    /// Runs `read` on the payload. It may move the value out.
    ///
    /// # Safety
    /// The lease is a take that has not been released.
    #[inline(always)]
    pub unsafe fn read<R>(&self, read: impl FnOnce(*mut u8) -> R) -> R {
        // SAFETY: as above. Moving out counts as a write: nobody else may look.
        unsafe { (*self.tracker).writing(|| read(self.payload)) }
    }
}

/// `RawRing::try_take` of an engine that promises the same either way.
///
/// # Safety
/// As there.
#[inline(always)]
unsafe fn take_any<Sh: Shape, R: RawRing<Sh>>(
    ring: &R,
    side: &mut R::Consumer,
) -> Result<Lease, PopRefusal> {
    // SAFETY: the caller's promise.
    match unsafe { ring.try_take_if(side, |_| true) } {
        Ok(Some(taken)) => Ok(taken),
        Ok(None) => unreachable!("every element is accepted"),
        Err(why) => Err(why),
    }
}

/// A side of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The producers'.
    Push = 0,
    /// The consumers'.
    Pop = 1,
}

/// What is known of one place of an engine that keeps records of its
/// participants, without having it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody's.
    Free,
    /// Somebody's, or of somebody who died: the lock of the place tells.
    Taken,
    /// Its last owner left in order; it is kept for a session.
    Kept,
    /// A dead consumer had taken elements that wait there
    /// ([`RawRing::take_orphans`]).
    Orphans,
}

/// What [`RawRing::recover`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// The last owner did not leave in order.
    pub died: bool,
    /// Elements that it had pushed (popped) under its session, exactly.
    pub done: u64,
    /// Elements that it had taken and of which nobody knows whether it handed
    /// them out. They count in `done`.
    pub orphans: usize,
}

/// What every algorithm supplies, over slots of a given shape.
///
/// The value is a view: pointers into a region that someone else owns. It is
/// cheap to clone, and every handle keeps a clone of its own.
///
/// A push is `try_claim`, a write into the lease, `try_commit`; a pop is
/// `try_take`, a read, `release`. Which of the two push steps decides is the
/// engine's business: one may answer `Full` when claiming, another when
/// committing.
///
/// # Safety
/// An implementor is a bounded FIFO queue, linearizable at the steps its
/// module names: each committed payload is taken once, in order. `Full` and
/// `Empty` are true at some moment of the call; when another call in progress
/// prevents an answer, it is `Busy`. After `seal`, pushes answer `Closed`, and
/// pops answer it once everything accepted was taken. A lease's payload
/// belongs to its holder alone, and lies inside the region whatever other
/// processes wrote there.
pub unsafe trait RawRing<Sh: Shape>: Clone + Send + Sync + Debug {
    /// Name, arity, progress, source, steps.
    const TRAITS: Traits;
    /// As `TRAITS`, for the engine that is really there.
    fn traits(&self) -> Traits {
        Self::TRAITS
    }
    /// Private state of one producer.
    type Producer: Send + Debug;
    /// Private state of one consumer.
    type Consumer: Send + Debug;

    /// Bytes and alignment that a ring of this geometry needs.
    fn footprint(geometry: &Geometry<Sh>) -> Result<Layout, BuildError>;

    /// Writes an empty ring at `at`.
    ///
    /// # Safety
    /// `at` is valid for the footprint, zeroed, and nobody else looks at it.
    unsafe fn init(at: NonNull<u8>, geometry: &Geometry<Sh>);

    /// A view of the ring at `at`.
    ///
    /// # Safety
    /// `at` holds a ring of exactly this geometry, and stays valid while the
    /// view or a clone of it is used.
    unsafe fn attach(at: NonNull<u8>, geometry: &Geometry<Sh>) -> Self;

    /// Ends the ring: drops what the words themselves own (model checkers
    /// keep state in them).
    ///
    /// # Safety
    /// Nobody uses the ring any more; it was built by `init` in this process.
    unsafe fn finish(&self);

    /// Elements it can hold.
    fn capacity(&self) -> usize;
    /// Elements pushed and popped since it was built. Each is exact at some
    /// moment of the call; not both at the same one.
    fn positions(&self) -> (u64, u64);
    /// Elements inside, about: exact when nobody else is active.
    fn len_hint(&self) -> usize {
        let (pushed, popped) = self.positions();
        usize::try_from(pushed.saturating_sub(popped))
            .unwrap_or(usize::MAX)
            .min(self.capacity())
    }

    /// A producer's state. The caller sees to the arity.
    ///
    /// # Errors
    /// `NoHandle`: as many participants are out as the ring was built for.
    fn new_producer(&self) -> Result<Self::Producer, BuildError>;
    /// A consumer's state. The caller sees to the arity.
    ///
    /// # Errors
    /// As for a producer.
    fn new_consumer(&self) -> Result<Self::Consumer, BuildError>;

    /// Places that it has for the participants of each direction; 0 for engines
    /// that keep no [`records`](Traits::records).
    ///
    /// In private memory the two calls above find a free place. In shared memory
    /// a place belongs to who holds its lock, which the kernel takes from the
    /// dead; whoever has the lock recovers the place, then sits down.
    fn places(&self) -> usize {
        0
    }
    /// What a place looks like, and its session (0: none). Old news.
    fn standing(&self, _: Direction, _place: usize) -> (Standing, u64) {
        (Standing::Free, 0)
    }
    /// Puts right what the last owner of a place left halfway. Nobody waits
    /// meanwhile. Afterwards the place is `Free`, `Kept` or `Orphans`.
    ///
    /// # Safety
    /// The caller alone has the lock of the place.
    unsafe fn recover(&self, _: Direction, _place: usize) -> Left {
        Left::default()
    }
    /// Sits down at a place as a producer. A `session` other than 0 is written
    /// down; the place's own goes on counting. Without places: any producer.
    ///
    /// # Safety
    /// The caller has the lock of the place, for as long as the side lives; the
    /// place was recovered and is `Free`, or `Kept` for this session.
    unsafe fn producer_at(&self, _place: usize, _session: u64) -> Self::Producer {
        self.new_producer().expect("a side that costs nothing")
    }
    /// As [`producer_at`](Self::producer_at), as a consumer.
    ///
    /// # Safety
    /// As there.
    unsafe fn consumer_at(&self, _place: usize, _session: u64) -> Self::Consumer {
        self.new_consumer().expect("a side that costs nothing")
    }
    /// Moves up to `n` elements out that wait at a consumers' place, oldest
    /// first; answers how many. After the last one it is `Free` or `Kept`.
    ///
    /// # Safety
    /// The caller alone has the lock of the place, which was recovered; `read`
    /// does not panic.
    unsafe fn take_orphans(&self, _place: usize, _n: usize, _read: impl FnMut(*mut u8)) -> usize {
        0
    }
    /// Ends the session of a place that is `Kept`: it is `Free` then.
    ///
    /// # Safety
    /// The caller alone has the lock of the place, which was recovered.
    unsafe fn forget(&self, _: Direction, _place: usize) {}
    /// Whether everything is where it belongs: no cell lost, none in two places.
    /// Nobody else may be active, and every place of the dead has been recovered.
    ///
    /// # Errors
    /// What is wrong, in words.
    fn audit(&self) -> Result<(), String> {
        Ok(())
    }
    /// How often a call through this view or a clone of it took up a call of
    /// somebody else.
    fn helps(&self) -> u64 {
        0
    }

    /// As `new_producer`, where a side is made for each call: `hint` is what
    /// [`producer_hint`](Self::producer_hint) last said of one of this ring, or 0.
    ///
    /// # Panics
    /// On an engine that keeps [`records`](Traits::records): there a side is kept.
    fn resume_producer(&self, _hint: u32) -> Self::Producer {
        self.new_producer().expect("a side that costs nothing")
    }
    /// As [`resume_producer`](Self::resume_producer), for a consumer.
    fn resume_consumer(&self, _hint: u32) -> Self::Consumer {
        self.new_consumer().expect("a side that costs nothing")
    }
    /// What is worth keeping of a side that is not kept. It only makes calls
    /// faster: any value may be lost, repeated or another side's.
    fn producer_hint(_side: &Self::Producer) -> u32 {
        0
    }
    /// As [`producer_hint`](Self::producer_hint), for a consumer.
    fn consumer_hint(_side: &Self::Consumer) -> u32 {
        0
    }

    /// Lends a slot to write in.
    ///
    /// # Safety
    /// `side` came from this ring; no other thread uses it now; arity holds.
    /// At most as many claims are outstanding on one side as the engine's
    /// module says.
    unsafe fn try_claim(&self, side: &mut Self::Producer) -> Result<Lease, PushRefusal>;

    /// Publishes a claim. A refusal gives it back, still claimed.
    ///
    /// # Safety
    /// As `try_claim`; the claim came from this ring, its payload is written.
    unsafe fn try_commit(
        &self,
        side: &mut Self::Producer,
        claim: Lease,
    ) -> Result<(), (Lease, PushRefusal)>;

    /// Gives a claim back without a trace.
    ///
    /// # Safety
    /// As `try_claim`; the claim came from this ring.
    unsafe fn abandon(&self, side: &mut Self::Producer, claim: Lease);

    /// Takes the oldest element and lends its slot to read from.
    ///
    /// # Safety
    /// `side` came from this ring; no other thread uses it now; arity holds.
    // No default: by `try_take_if` an engine may promise less (`wait_free` is
    // only lock-free there).
    unsafe fn try_take(&self, side: &mut Self::Consumer) -> Result<Lease, PopRefusal>;

    /// As `try_take`, if `accept` likes the oldest element; `None` if not.
    /// `accept` may be called several times, and for an element that another
    /// thread takes at the same time: it may only make atomic accesses.
    ///
    /// # Safety
    /// As `try_take`; `accept` reads the payload atomically and does not panic.
    unsafe fn try_take_if(
        &self,
        side: &mut Self::Consumer,
        accept: impl FnMut(*mut u8) -> bool,
    ) -> Result<Option<Lease>, PopRefusal>;

    /// Gives a taken slot back to the producers.
    ///
    /// # Safety
    /// As `try_take`; the lease came from it and its payload was moved out.
    unsafe fn release(&self, side: &mut Self::Consumer, taken: Lease);

    /// One push, if nothing stands in the way of it: no call in between, room
    /// known, not sealed. `false`: nothing has been done, nothing is decided,
    /// and the ordinary way finds out what there is to say.
    ///
    /// For callers that keep no registers across a call (the C border): it has
    /// no slow part inside.
    ///
    /// # Safety
    /// As `try_claim`, with no claim out. `write` writes the whole payload and
    /// does not panic.
    #[inline(always)]
    unsafe fn push_straight(&self, _: &mut Self::Producer, _: impl FnOnce(*mut u8)) -> bool {
        false
    }

    /// One pop likewise; `read` moves the payload out.
    ///
    /// # Safety
    /// As `try_take`, with no take out. `read` does not panic.
    #[inline(always)]
    unsafe fn pop_straight(&self, _: &mut Self::Consumer, _: impl FnOnce(*mut u8)) -> bool {
        false
    }

    /// Pushes up to `n` (at least 1) elements, with one decision or several: `fill` is
    /// called for slot 0, 1, … in order and answers whether it wrote one; the
    /// first `false` ends the run. Answers how many were pushed, at least 1
    /// unless `fill` refused at once.
    ///
    /// An engine that decides after the payload is written hands the last one
    /// to `back` if it finds no room for it then, to be moved out again.
    ///
    /// # Safety
    /// As `try_claim`. `fill` writes the whole payload when it answers `true`;
    /// `back` does not panic.
    unsafe fn push_run(
        &self,
        side: &mut Self::Producer,
        n: usize,
        fill: impl FnMut(*mut u8) -> bool,
        back: impl FnMut(*mut u8),
    ) -> Result<usize, PushRefusal>;

    /// Pops up to `n` (at least 1) elements, with one decision or several: `read` is
    /// called for each in order and moves it out. Answers how many, at least 1.
    ///
    /// # Safety
    /// As `try_take`. `read` does not panic.
    unsafe fn pop_run(
        &self,
        side: &mut Self::Consumer,
        n: usize,
        read: impl FnMut(*mut u8),
    ) -> Result<usize, PopRefusal>;

    /// As `push_run`, for elements that lie one behind the other, `size` bytes
    /// each: what can be copied as a block is.
    ///
    /// # Safety
    /// As `push_run`; `from` is valid for reading `n * size` bytes, and `size`
    /// is the shape's.
    #[inline]
    unsafe fn push_copies(
        &self,
        side: &mut Self::Producer,
        mut from: *const u8,
        n: usize,
        size: usize,
    ) -> Result<usize, PushRefusal> {
        // SAFETY: the caller's promise; `push_run` asks for at most `n`.
        unsafe {
            let fill = |slot: *mut u8| {
                std::ptr::copy_nonoverlapping(from, slot, size);
                from = from.add(size);
                true
            };
            self.push_run(side, n, fill, |_| {})
        }
    }

    /// As `pop_run`, to elements one behind the other.
    ///
    /// # Safety
    /// As `pop_run`; `to` is valid for writing `n * size` bytes, and `size` is
    /// the shape's.
    #[inline]
    unsafe fn pop_copies(
        &self,
        side: &mut Self::Consumer,
        mut to: *mut u8,
        n: usize,
        size: usize,
    ) -> Result<usize, PopRefusal> {
        // SAFETY: the caller's promise; `pop_run` reads at most `n`.
        unsafe {
            self.pop_run(side, n, |slot| {
                std::ptr::copy_nonoverlapping(slot, to, size);
                to = to.add(size);
            })
        }
    }

    /// Notes that the claim just made, or a refused commit of it, will be known
    /// by its address only. An engine that lends one slot at a time answers
    /// `Lent` to whatever else would push until [`claim_at`](Self::claim_at) has
    /// found it and it was committed or abandoned.
    fn note_claim(&self, _side: &mut Self::Producer) {}
    /// As [`note_claim`](Self::note_claim), for the take just made.
    fn note_take(&self, _side: &mut Self::Consumer) {}

    /// The claim or take whose payload lies at `payload`, if one is out. For
    /// bindings, whose users hold nothing but the address. Ends what the note
    /// began: commit it, abandon it, or note it again.
    ///
    /// # Safety
    /// `side` as for `try_claim`.
    unsafe fn claim_at(&self, side: &mut Self::Producer, payload: *mut u8) -> Option<Lease>;
    /// As [`claim_at`](Self::claim_at), for a take.
    ///
    /// # Safety
    /// `side` as for `try_take`.
    unsafe fn taken_at(&self, side: &mut Self::Consumer, payload: *mut u8) -> Option<Lease>;

    /// Marks the ring closed in the word that deciding pushes compare.
    /// Idempotent; any thread; answers whether closing is complete (it may
    /// wait for a push that is halfway; then seal again later).
    fn seal(&self) -> bool;
    /// Whether it has been sealed.
    fn is_sealed(&self) -> bool;

    /// For a process without the asymmetric barrier, before it uses a ring in
    /// shared memory: makes the ring do without. `no_producer` tells whether
    /// the producer's side has no owner at this moment; of a producer that takes
    /// it afterwards, it happens before. `false`: a producer is active that
    /// relies on everybody's barrier.
    fn do_without_barrier(&self, _no_producer: impl Fn() -> bool) -> bool {
        true // no step of this engine relies on it
    }

    /// Calls `f` for the payload of every element that is still inside.
    ///
    /// # Safety
    /// Nobody else uses the ring, now or later.
    unsafe fn for_each_left(&self, f: impl FnMut(*mut u8));
}

/// An engine for any shape of slot: the name users write, `Turn`.
pub trait Engine: Debug + Send + Sync + 'static {
    /// The algorithm over slots of shape `Sh`.
    type Raw<Sh: Shape>: RawRing<Sh>;
    /// Its number.
    const STRATEGY: Option<Strategy>;
}

macro_rules! table {
    ($(($variant:ident, $module:ident, $engine:ident),)+) => {
        impl Strategy {
            /// Every strategy, in the order of their numbers.
            pub const ALL: &'static [Strategy] = &[$(Strategy::$variant),+];

            /// What it promises.
            #[must_use]
            pub const fn traits(self) -> Traits {
                match self {
                    $(Strategy::$variant => {
                        <<$module::$engine as Engine>::Raw<Fixed<8>> as RawRing<Fixed<8>>>::TRAITS
                    })+
                }
            }

            /// The strategy of this number.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                $(if number == Strategy::$variant as u32 { return Some(Strategy::$variant); })+
                None
            }
        }
    };
}
for_each_strategy!(table);

impl Strategy {
    /// Its name in every language, `"turn"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.traits().name
    }
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Strategy {
    type Err = BuildError;
    fn from_str(name: &str) -> Result<Self, BuildError> {
        Self::ALL
            .iter()
            .copied()
            .find(|s| s.name() == name)
            .ok_or_else(|| {
                let known: Vec<_> = Self::ALL.iter().map(|s| s.name()).collect();
                BuildError::Invalid(format!(
                    "there is no strategy called {name:?}; this build has {}",
                    known.join(", ")
                ))
            })
    }
}

impl Default for Strategy {
    /// What a user who names nothing gets: the one that nobody can hold up.
    fn default() -> Self {
        Strategy::WaitFree
    }
}
