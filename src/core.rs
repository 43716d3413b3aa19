//! One ring: its memory, its engine, its waiters, its numbers. The typed and
//! the erased face are both thin layers over this.
#![allow(clippy::disallowed_types)] // counters and notes of this process; no algorithm rests on them

mod places;

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ffi::{OsString, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use crate::asynchronous::Tasks;
use crate::error::BuildError;
use crate::options::{MAX_THREADS, OpenMode, Options};
use crate::os::event::{Event, Fifo};
use crate::os::fork::{fork_generation, fork_guard};
use crate::os::segment::{RoleLock, Segment, SegmentError};
use crate::segment::{BENCHES_AT, ENGINE_AT, FLAG_RECORDS, HEAD_BYTES, Head};
use crate::strategy::{Arity, Geometry, PopRefusal, PushRefusal, RawRing, Shape, Strategy};
use crate::wait::{Bench, Benches, RECHECK, RECHECK_UNCERTAIN, WaitEnd};

/// Numbers of one ring. Positions are exact and shared by all processes; the
/// others count what this process saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Elements it can hold.
    pub capacity: u64,
    /// Elements inside, about.
    pub len: u64,
    /// Elements pushed since the ring was built (an abandoned claim counts
    /// in `turn`, on both sides).
    pub pushed: u64,
    /// Elements popped since the ring was built.
    pub popped: u64,
    /// Pushes answered `Full`.
    pub full: u64,
    /// Pops answered `Empty`.
    pub empty: u64,
    /// Calls answered `Busy`.
    pub busy: u64,
    /// Times that a blocking call went to sleep.
    pub waits: u64,
    /// Wake-ups sent to sleepers.
    pub wakes: u64,
    /// Calls of others that calls of this process took up, so that they end
    /// (engines that help).
    pub helps: u64,
    /// Participants that this process found dead (shared rings of engines that
    /// keep records).
    pub dead_participants: u64,
    /// Whether the ring has been closed.
    pub closed: bool,
}

/// Counters of one handle: written by its thread only.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    full: AtomicU64,
    empty: AtomicU64,
    busy: AtomicU64,
    waits: AtomicU64,
}

impl Tally {
    #[cold]
    fn add(counter: &AtomicU64) {
        // One writer for a handle's tally; where several threads share one
        // (the erased face without handles) a lost count is the price of no
        // locked instruction.
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
    pub(crate) fn push_refused(&self, why: PushRefusal) {
        match why {
            PushRefusal::Full => Self::add(&self.full),
            PushRefusal::Busy => Self::add(&self.busy),
            PushRefusal::Closed | PushRefusal::Lent => {}
        }
    }
    pub(crate) fn pop_refused(&self, why: PopRefusal) {
        match why {
            PopRefusal::Empty => Self::add(&self.empty),
            PopRefusal::Busy => Self::add(&self.busy),
            PopRefusal::Closed | PopRefusal::Lent => {}
        }
    }
    pub(crate) fn slept(&self) {
        Self::add(&self.waits);
    }
    fn add_to(&self, stats: &mut Stats) {
        stats.full += self.full.load(Ordering::Relaxed);
        stats.empty += self.empty.load(Ordering::Relaxed);
        stats.busy += self.busy.load(Ordering::Relaxed);
        stats.waits += self.waits.load(Ordering::Relaxed);
    }
}

/// What to do with elements that are left when the last handle goes.
#[derive(Clone, Copy)]
pub(crate) struct Dropper {
    pub(crate) call: unsafe fn(*mut u8, *mut c_void),
    pub(crate) context: *mut c_void,
}

// SAFETY: whoever supplies a dropper promises that any thread may call it.
unsafe impl Send for Dropper {}
// SAFETY: as above.
unsafe impl Sync for Dropper {}

enum Region {
    Heap { base: NonNull<u8>, layout: Layout },
    Shared(Segment),
}

/// What a child hears that uses its parent's private ring.
pub(crate) const FORKED: &str = "a private ring cannot be used in a forked child; open it by name";

/// More than can wait at a gate.
const EVERYONE: usize = u32::MAX as usize;

/// The roles of strategies that allow one producer or one consumer: bytes
/// that are locked in the segment, flags otherwise.
const ROLE_PRODUCER: u64 = 1;
const ROLE_CONSUMER: u64 = 2;

/// Proof of owning a side, where an engine allows one or has a record of each.
/// It goes after the side: what the side leaves in its record is done then.
#[derive(Debug, Default)]
pub(crate) struct Role {
    _flag: Option<Flag>,
    _ours: Option<places::Ours>,
    _lock: Option<RoleLock>,
    session: Option<RoleLock>,
}

/// A side of a ring in private memory.
#[derive(Debug)]
struct Flag(Arc<AtomicBool>);

impl Role {
    /// Whether the side is known by a session.
    pub(crate) fn is_session(&self) -> bool {
        self.session.is_some()
    }
}

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

pub(crate) struct Core<Sh: Shape, R: RawRing<Sh>> {
    raw: R,
    geometry: Geometry<Sh>,
    records: bool,
    benches: NonNull<Benches>,
    region: Region,
    dropper: Option<Dropper>,
    pub(crate) pop_event: Tasks,
    pub(crate) push_event: Tasks,
    /// The process that built or attached it.
    home: u32,
    interrupts: AtomicU64,
    wakes: AtomicU64,
    producer_out: Arc<AtomicBool>,
    consumer_out: Arc<AtomicBool>,
    watched: AtomicBool,
    /// In shared memory, of engines that have them.
    places: Option<places::Places>,
    /// What `event_fd` hands out.
    event: OnceLock<Event>,
    /// The announcement of who polls it, after which every thread has passed
    /// the barrier; 0: none.
    event_stands: AtomicU64,
    /// To ring for the pollers of other processes, if none are here.
    bell: OnceLock<Fifo>,
    tallies: Mutex<(Vec<Weak<Tally>>, Stats)>,
}

// SAFETY: the region is reached through words and leases only; the dropper is
// the supplier's promise.
unsafe impl<Sh: Shape, R: RawRing<Sh>> Send for Core<Sh, R> {}
// SAFETY: as above.
unsafe impl<Sh: Shape, R: RawRing<Sh>> Sync for Core<Sh, R> {}

/// The parts of a strategy that building needs, for engines known to the
/// compiler and for the one chosen at run time.
pub(crate) struct Maker<Sh: Shape, R> {
    pub(crate) strategy: Strategy,
    pub(crate) footprint: fn(Strategy, &Geometry<Sh>) -> Result<Layout, BuildError>,
    pub(crate) init: unsafe fn(Strategy, NonNull<u8>, &Geometry<Sh>),
    pub(crate) attach: unsafe fn(Strategy, NonNull<u8>, &Geometry<Sh>) -> R,
}

impl<Sh: Shape, R: RawRing<Sh>> Core<Sh, R> {
    /// Builds a ring in private memory.
    pub(crate) fn private(
        maker: &Maker<Sh, R>,
        options: &Options,
        shape: Sh,
        dropper: Option<Dropper>,
    ) -> Result<Self, BuildError> {
        let capacity = options.capacity;
        let geometry = geometry_of(options, capacity, options.participants()?, shape, false)?;
        let (layout, engine_at) = whole(maker, &geometry)?;
        // SAFETY: the layout has a size above zero.
        let Some(base) = NonNull::new(unsafe { alloc_zeroed(layout) }) else {
            return Err(BuildError::NoMemory(format!(
                "no memory for {} bytes ({capacity} elements)",
                layout.size()
            )));
        };
        // SAFETY: fresh, zeroed, and of the computed layout.
        let raw = unsafe {
            Benches::init(base.add(BENCHES_AT).cast());
            (maker.init)(maker.strategy, base.add(engine_at), &geometry);
            (maker.attach)(maker.strategy, base.add(engine_at), &geometry)
        };
        Ok(Self::assemble(
            raw,
            geometry,
            options.records,
            Region::Heap { base, layout },
            dropper,
        ))
    }

    /// Builds or attaches a ring in shared memory.
    pub(crate) fn shared(
        maker: &Maker<Sh, R>,
        options: &Options,
        shape: Sh,
    ) -> Result<Self, BuildError> {
        let name = options.path.as_deref().expect("the caller saw a path");
        let keeps_records = maker.strategy.traits().records;
        let asked = |capacity: usize, participants: Option<usize>| -> Result<_, BuildError> {
            let geometry = geometry_of(options, capacity, participants, shape, true)?;
            let (layout, engine_at) = whole(maker, &geometry)?;
            #[allow(clippy::cast_possible_truncation)] // at most `MAX_THREADS`
            let head = Head {
                strategy: maker.strategy as u32,
                capacity: capacity as u64,
                elem_size: shape.size() as u64,
                elem_align: shape.align() as u64,
                flags: if options.records { FLAG_RECORDS } else { 0 },
                participants: if keeps_records {
                    geometry.participants as u32
                } else {
                    0
                },
                length: layout.size() as u64,
            };
            Ok((geometry, head, engine_at))
        };
        let create =
            |segment_len: usize, geometry: &Geometry<Sh>, head: &Head, engine_at: usize| {
                let init = |base: *mut u8| {
                    // SAFETY: `create` hands out zeroed bytes of the length asked.
                    unsafe {
                        let base = NonNull::new_unchecked(base);
                        Benches::init(base.add(BENCHES_AT).cast());
                        (maker.init)(maker.strategy, base.add(engine_at), geometry);
                        base.cast::<[u8; HEAD_BYTES]>().write(head.encode());
                    }
                    Ok(())
                };
                match options.open {
                    OpenMode::CreateNew => {
                        Segment::create(name, segment_len, options.mode, init).map(|s| (s, true))
                    }
                    _ => Segment::open_or_create(name, segment_len, options.mode, init),
                }
            };
        let describe = |error: SegmentError| match error {
            SegmentError::Exists => BuildError::Exists(format!(
                "{name} exists already; attach to it, or unlink it first"
            )),
            SegmentError::NotFound => not_found(name),
            other => BuildError::from(other),
        };
        let segment = if options.open == OpenMode::Attach {
            Segment::open(name).map_err(describe)?
        } else {
            let (geometry, head, engine_at) = asked(options.capacity, options.participants()?)?;
            #[allow(clippy::cast_possible_truncation)] // it came from a usize
            create(head.length as usize, &geometry, &head, engine_at)
                .map_err(describe)?
                .0
        };
        // SAFETY: the segment is mapped for its length.
        let there = unsafe { Head::read(segment.base(), segment.len()) }
            .map_err(|error| name_it(error, name))?;
        let capacity = if options.open == OpenMode::Attach && options.capacity == 0 {
            usize::try_from(there.capacity).unwrap_or(usize::MAX)
        } else {
            options.capacity
        };
        let participants = match options.participants()? {
            // Of another strategy: the difference is told below.
            None if keeps_records && there.strategy == maker.strategy as u32 => {
                Some(participants_of(&there, name)?)
            }
            other => other,
        };
        // Overflows of a hostile capacity end in an error here.
        let (geometry, mut wanted, engine_at) = asked(capacity, participants)?;
        let difference = there.difference(&wanted);
        if !difference.is_empty() {
            return Err(BuildError::Mismatch(format!("{name}: {difference}")));
        }
        wanted.length = there.length;
        if there != wanted || segment.len() < whole(maker, &geometry)?.0.size() {
            return Err(BuildError::Corrupt(format!(
                "{name} is {} bytes long, a ring of its geometry needs {}",
                segment.len(),
                whole(maker, &geometry)?.0.size()
            )));
        }
        // SAFETY: the geometry's footprint fits the mapping, and the head says
        // that such a ring was built there.
        let raw =
            unsafe { (maker.attach)(maker.strategy, segment.base().add(engine_at), &geometry) };
        let no_producer = || {
            segment
                .role_is_owned(ROLE_PRODUCER)
                .is_ok_and(|owned| !owned)
        };
        if !crate::os::barrier::register(true) && !raw.do_without_barrier(no_producer) {
            return Err(BuildError::Unsupported(format!(
                "{name} has a producer that relies on membarrier(2), which this process may not call; open it \
                 while no producer is out, or start the process that pushes with TURTLE_NO_MEMBARRIER=1"
            )));
        }
        Ok(Self::assemble(
            raw,
            geometry,
            options.records,
            Region::Shared(segment),
            None,
        ))
    }

    fn assemble(
        raw: R,
        geometry: Geometry<Sh>,
        records: bool,
        region: Region,
        dropper: Option<Dropper>,
    ) -> Self {
        fork_guard();
        crate::os::barrier::register(geometry.shared);
        let base = match &region {
            Region::Heap { base, .. } => *base,
            Region::Shared(segment) => segment.base(),
        };
        let places = if geometry.shared { raw.places() } else { 0 };
        Self {
            raw,
            geometry,
            records,
            places: places::Places::new(places),
            // SAFETY: inside the region; written when it was built.
            benches: unsafe { base.add(BENCHES_AT) }.cast(),
            region,
            dropper,
            pop_event: Tasks::default(),
            push_event: Tasks::default(),
            home: fork_generation(),
            interrupts: AtomicU64::new(0),
            wakes: AtomicU64::new(0),
            producer_out: Arc::default(),
            consumer_out: Arc::default(),
            watched: AtomicBool::new(false),
            event: OnceLock::new(),
            event_stands: AtomicU64::new(0),
            bell: OnceLock::new(),
            tallies: Mutex::default(),
        }
    }

    #[inline(always)]
    pub(crate) fn raw(&self) -> &R {
        &self.raw
    }
    pub(crate) fn shape(&self) -> Sh {
        self.geometry.shape
    }
    /// Of engines that keep records: how many were asked for.
    pub(crate) fn participants(&self) -> usize {
        self.geometry.participants
    }
    pub(crate) fn is_shared(&self) -> bool {
        self.geometry.shared
    }
    pub(crate) fn has_records(&self) -> bool {
        self.records
    }
    pub(crate) fn segment(&self) -> Option<&Segment> {
        match &self.region {
            Region::Shared(segment) => Some(segment),
            Region::Heap { .. } => None,
        }
    }

    #[inline(always)]
    pub(crate) fn benches(&self) -> &Benches {
        // SAFETY: inside the region, which lives as long as `self`. They are
        // words only, so another process's writes are no data race.
        unsafe { self.benches.as_ref() }
    }

    /// Where consumers sleep; inside the region, which lives as long as `self`.
    pub(crate) fn pop_bench(&self) -> NonNull<Bench> {
        NonNull::from(&self.benches().pop.0)
    }
    /// Where producers sleep, likewise.
    pub(crate) fn push_bench(&self) -> NonNull<Bench> {
        NonNull::from(&self.benches().push.0)
    }

    pub(crate) fn new_tally(&self) -> Arc<Tally> {
        let tally = Arc::new(Tally::default());
        let mut all = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        all.0.push(Arc::downgrade(&tally));
        tally
    }

    pub(crate) fn retire_tally(&self, tally: &Arc<Tally>) {
        let mut all = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tally.add_to(&mut all.1);
        all.0.retain(|other| other.as_ptr() != Arc::as_ptr(tally));
    }

    pub(crate) fn stats(&self) -> Stats {
        self.reclaim();
        let (pushed, popped) = self.raw.positions();
        let all = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stats = all.1;
        for tally in all.0.iter().filter_map(Weak::upgrade) {
            tally.add_to(&mut stats);
        }
        stats.capacity = self.raw.capacity() as u64;
        stats.len = self.raw.len_hint() as u64;
        stats.pushed = pushed;
        stats.popped = popped;
        stats.wakes = self.wakes.load(Ordering::Relaxed);
        stats.helps = self.raw.helps();
        stats.closed = self.raw.is_sealed();
        stats.dead_participants = self.places.as_ref().map_or(0, places::Places::dead);
        stats
    }

    /// Takes the producer's side where only one is allowed.
    pub(crate) fn own_producer(&self) -> Result<Role, BuildError> {
        let arity = self.raw.traits().producers;
        self.own(arity, &self.producer_out, ROLE_PRODUCER, "producer")
    }

    /// Takes the consumer's side where only one is allowed.
    pub(crate) fn own_consumer(&self) -> Result<Role, BuildError> {
        let arity = self.raw.traits().consumers;
        self.own(arity, &self.consumer_out, ROLE_CONSUMER, "consumer")
    }

    fn own(
        &self,
        arity: Arity,
        flag: &Arc<AtomicBool>,
        role: u64,
        word: &str,
    ) -> Result<Role, BuildError> {
        if !self.geometry.shared && self.home != fork_generation() {
            return Err(BuildError::Invalid(FORKED.into()));
        }
        if arity == Arity::Many {
            return Ok(Role::default());
        }
        let taken = || {
            BuildError::NoHandle(format!(
                "{} allows one {word}, and it is out; drop or release it first",
                self.raw.traits().name
            ))
        };
        if let Some(segment) = self.segment() {
            // The kernel frees the lock when its process dies, however it dies,
            // and a forked child does not inherit it.
            let lock = segment.try_own(role)?.ok_or_else(taken)?;
            return Ok(Role {
                _lock: Some(lock),
                ..Role::default()
            });
        }
        if flag.swap(true, Ordering::Acquire) {
            return Err(taken());
        }
        Ok(Role {
            _flag: Some(Flag(flag.clone())),
            ..Role::default()
        })
    }

    /// In a forked child: whether a handle of the parent's may go on here. Where
    /// one is allowed it stays the parent's, and what is private is a copy that
    /// nobody else sees.
    pub(crate) fn settle(&self, arity: Arity) -> bool {
        match self.segment() {
            Some(segment) if arity == Arity::Many => {
                crate::os::barrier::register(true);
                segment.attend().is_ok()
            }
            _ => false,
        }
    }

    /// One push: `write` fills the payload. `raw` is the caller's own copy of
    /// the view, nearer to it than the one in here.
    ///
    /// # Safety
    /// `raw` and `side` is this ring's, used by this thread only; arity holds; `write`
    /// writes the whole payload and does not panic.
    #[inline(always)]
    pub(crate) unsafe fn try_push_on(
        &self,
        raw: &R,
        side: &mut R::Producer,
        write: impl FnOnce(*mut u8),
    ) -> Result<(), PushRefusal> {
        // SAFETY: the caller's promise; the claim is committed or abandoned.
        unsafe {
            let claim = raw.try_claim(side)?;
            claim.write(write);
            if let Err((claim, why)) = raw.try_commit(side, claim) {
                raw.abandon(side, claim);
                self.refused_late(why);
                return Err(why);
            }
        }
        self.pushed(1);
        Ok(())
    }

    /// One pop: `read` moves the payload out.
    ///
    /// # Safety
    /// `raw` and `side` is this ring's, used by this thread only; arity holds; `read`
    /// does not panic.
    #[inline(always)]
    pub(crate) unsafe fn try_pop_on<T>(
        &self,
        raw: &R,
        side: &mut R::Consumer,
        read: impl FnOnce(*mut u8) -> T,
    ) -> Result<T, PopRefusal> {
        // SAFETY: the caller's promise; the take is released.
        let value = unsafe {
            let taken = raw.try_take(side)?;
            let value = taken.read(read);
            raw.release(side, taken);
            value
        };
        self.popped(1);
        Ok(value)
    }

    /// Tells sleeping consumers of `n` new elements.
    #[inline(always)]
    pub(crate) fn pushed(&self, n: usize) {
        if self.benches().pop.anyone() {
            self.wake_consumers(n);
        }
    }

    /// Tells sleeping producers of `n` free slots.
    #[inline(always)]
    pub(crate) fn popped(&self, n: usize) {
        if self.benches().push.anyone() {
            self.wake_producers(n);
        }
    }

    /// A push was refused after it had begun to decide. A consumer of a ring
    /// that is being closed may have seen it and be waiting for its outcome.
    #[cold]
    #[inline(never)]
    pub(crate) fn refused_late(&self, why: PushRefusal) {
        if why == PushRefusal::Closed {
            self.pushed(1);
        }
    }

    /// A claim was given back, or a run ended early: consumers may have to
    /// skip what is void, and a producer can clear it.
    #[cold]
    #[inline(never)]
    pub(crate) fn voided(&self) {
        self.pushed(1);
        self.popped(1);
    }

    /// A pop was refused. It may have given void slots back on its way, which
    /// a producer waits for that found one of them halfway.
    pub(crate) fn refused_pop(&self, tally: &Tally, why: PopRefusal) {
        tally.pop_refused(why);
        self.popped(1);
    }

    /// If the ring is being closed, completes that: the closer may have met a
    /// push that was halfway, or have died. `true`: look once more.
    pub(crate) fn finish_closing(&self) -> bool {
        self.raw.is_sealed() && {
            self.raw.seal();
            true
        }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn wake_consumers(&self, n: usize) {
        // On a closed ring this may be the last element: whoever does not get
        // it has `Closed` to hear.
        let n = if self.raw.is_sealed() { EVERYONE } else { n };
        let woken = self
            .benches()
            .pop
            .wake(n, &self.pop_event, self.geometry.shared, || self.ring());
        self.wakes.fetch_add(woken as u64, Ordering::Relaxed);
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn wake_producers(&self, n: usize) {
        let woken = self
            .benches()
            .push
            .wake(n, &self.push_event, self.geometry.shared, || {});
        self.wakes.fetch_add(woken as u64, Ordering::Relaxed);
    }

    /// Makes the event descriptors of this ring readable: this process's, and
    /// in shared memory everybody's.
    #[cold]
    fn ring(&self) {
        if let Some(event) = self.event.get() {
            event.ring();
        } else if let Some(segment) = self.segment() {
            // Not found: its name was removed before this process needed it. Not
            // allowed, or not a FIFO: somebody is in the way. Pollers have a timer.
            if self.bell.get().is_none()
                && let Ok(bell) = Fifo::find(segment)
            {
                let _ = self.bell.set(bell); // two at once: either will do
            }
            if let Some(bell) = self.bell.get() {
                let _ = bell.signal();
            }
        }
    }

    /// Makes the event descriptor quiet and ready to be signalled again.
    /// `true`: look once more, something may have come meanwhile; if so, tell
    /// `stay_readable`.
    #[inline]
    pub(crate) fn rearm_event_fd(&self) -> bool {
        match self.event.get() {
            None => false,
            Some(event) => self.rearm(event),
        }
    }

    #[cold]
    fn rearm(&self, event: &Event) -> bool {
        if !event.is_ours() {
            return false; // the parent's, until this process asks for its own
        }
        self.look_for_dead();
        let rung = event.drain();
        let (bench, shared) = (&self.benches().pop, self.geometry.shared);
        // ORDER: relaxed: an older announcement does not stand any more.
        let stands = self.event_stands.load(Ordering::Relaxed);
        // As long as nobody has answered it an announcement need not be repeated,
        // which would cost every running thread a barrier.
        let mut certain = !rung && stands != 0 && bench.stands(stands);
        if !certain {
            let announced;
            (announced, certain) = bench.announce_poll(shared);
            let stands = if certain { announced } else { 0 };
            self.event_stands.store(stands, Ordering::Relaxed);
        }
        event.remind(if certain { RECHECK } else { RECHECK_UNCERTAIN });
        true
    }

    /// The look after `rearm_event_fd` has found something. There may be more,
    /// and in shared memory others poll too: the descriptor is quiet only after
    /// the answer `Empty` (or `Busy`).
    #[cold]
    #[inline(never)]
    pub(crate) fn stay_readable(&self) {
        if let Some(event) = self.event.get() {
            event.ring();
        }
    }

    /// What a waiter does before each sleep. If that ends what it waits for, the
    /// gate has moved and it does not sleep.
    fn sleeps(&self, tally: &Tally) {
        tally.slept();
        self.look_for_dead();
    }

    /// Blocks on the producers' bench. The first attempt has been made.
    #[cold]
    pub(crate) fn block_push<T>(
        &self,
        timeout: Option<Duration>,
        tally: &Tally,
        attempt: impl FnMut() -> Option<T>,
    ) -> Result<T, WaitEnd> {
        let seen = self.interrupts.load(Ordering::Acquire);
        let end = self.benches().push.block(
            timeout,
            self.geometry.shared,
            attempt,
            || self.interrupts.load(Ordering::Acquire) != seen,
            || self.sleeps(tally),
            || self.wake_producers(1),
        );
        if end.is_ok() {
            self.pass_on_room();
        }
        end
    }

    /// After a push that waited, as `pass_on_elements` after a pop. Room for
    /// several also comes with one pop: one that clears void slots.
    pub(crate) fn pass_on_room(&self) {
        if self.raw.len_hint() < self.raw.capacity() {
            self.popped(1);
        }
    }

    /// Blocks on the consumers' bench. The first attempt has been made.
    #[cold]
    pub(crate) fn block_pop<T>(
        &self,
        timeout: Option<Duration>,
        tally: &Tally,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Result<T, WaitEnd> {
        let seen = self.interrupts.load(Ordering::Acquire);
        let end = self.benches().pop.block(
            timeout,
            self.geometry.shared,
            || {
                attempt().or_else(|| {
                    if self.finish_closing() {
                        attempt()
                    } else {
                        None
                    }
                })
            },
            || self.interrupts.load(Ordering::Acquire) != seen,
            || self.sleeps(tally),
            || self.wake_consumers(1),
        );
        if end.is_ok() {
            self.pass_on_elements();
        }
        end
    }

    /// After a pop that waited. An earlier wake-up may have been for the
    /// element behind this one and have found this one's push halfway
    /// (`Busy`): passes it on.
    pub(crate) fn pass_on_elements(&self) {
        if self.raw.len_hint() > 0 {
            self.pushed(1);
        }
    }

    /// Closes the ring: idempotent, by anyone, wakes everyone.
    pub(crate) fn close(&self) {
        self.raw.seal();
        self.wake_everyone();
    }

    /// Ends every wait of this process once.
    pub(crate) fn interrupt(&self) {
        self.interrupts.fetch_add(1, Ordering::AcqRel);
        self.wake_everyone();
    }

    fn wake_everyone(&self) {
        let benches = self.benches();
        let shared = self.geometry.shared;
        let ring = || self.ring();
        benches.pop.wake_all(&self.pop_event, shared, ring);
        benches.push.wake_all(&self.push_event, shared, || {});
    }

    /// Whether asynchronous waiters need a watcher: a peer in another process
    /// cannot call their wakers, and without the barrier none may be called.
    fn needs_watcher(&self) -> bool {
        self.geometry.shared || !crate::os::barrier::register(false)
    }
}

impl<Sh, R> Core<Sh, R>
where
    Sh: Shape + 'static,
    R: RawRing<Sh> + 'static,
{
    /// A descriptor that becomes readable when an element may be there.
    pub(crate) fn event_fd(self: &Arc<Self>) -> std::io::Result<i32> {
        let old = self.event.get();
        if old.is_none_or(|event| !event.is_ours()) {
            match old {
                Some(parents) => parents.renew()?,
                None => {
                    let event = match self.segment() {
                        Some(segment) => {
                            segment.attend()?; // a forked child is one of them from now on
                            Event::shared(segment)?
                        }
                        None => Event::private(crate::os::barrier::register(false))?,
                    };
                    // Two threads at once: one of the two is dropped.
                    let _ = self.event.set(event);
                }
            }
            let event = self.event.get().expect("set above");
            if !event.reminds() && self.needs_watcher() {
                self.watch(); // no timer on this system
            }
            self.rearm(event);
            if self.raw.len_hint() > 0 || self.raw.is_sealed() {
                event.ring();
            }
        }
        Ok(self.event.get().expect("set above").raw_fd())
    }

    /// Starts the watcher thread if this ring needs one and has none: it
    /// sleeps at both benches and wakes asynchronous waiters. It ends with
    /// the ring.
    pub(crate) fn watch(self: &Arc<Self>) {
        if !self.needs_watcher() || self.watched.swap(true, Ordering::AcqRel) {
            return;
        }
        for consumers in [true, false] {
            let weak = Arc::downgrade(self);
            let body = move || {
                while let Some(core) = weak.upgrade() {
                    let shared = core.geometry.shared;
                    core.look_for_dead();
                    if consumers {
                        core.benches().pop.watch(shared);
                        core.pop_event.notify_all();
                        if let Some(event) = core.event.get()
                            && !event.reminds()
                            && (core.raw.len_hint() > 0 || core.raw.is_sealed())
                        {
                            event.ring();
                        }
                    } else {
                        core.benches().push.watch(shared);
                        core.push_event.notify_all();
                    }
                }
            };
            // If the system has no thread left, waiters re-check when polled.
            let _ = std::thread::Builder::new()
                .name("turtle-watcher".into())
                .spawn(body);
        }
    }
}

impl<Sh: Shape, R: RawRing<Sh>> Drop for Core<Sh, R> {
    fn drop(&mut self) {
        let Region::Heap { base, layout } = self.region else {
            return; // shared data outlives every process that looks at it
        };
        /// Frees the memory even if a drop of an element panics; the elements
        /// after that one are dropped too, as far as they do not panic.
        struct Rest<'a, Sh: Shape, R: RawRing<Sh>> {
            raw: &'a R,
            left: Vec<*mut u8>,
            dropper: Option<Dropper>,
            base: NonNull<u8>,
            layout: Layout,
            shape: std::marker::PhantomData<Sh>,
        }
        impl<Sh: Shape, R: RawRing<Sh>> Rest<'_, Sh, R> {
            fn drop_elements(&mut self) {
                if let Some(Dropper { call, context }) = self.dropper {
                    while let Some(payload) = self.left.pop() {
                        // SAFETY: still inside, and visited once.
                        unsafe { call(payload, context) };
                    }
                }
            }
        }
        impl<Sh: Shape, R: RawRing<Sh>> Drop for Rest<'_, Sh, R> {
            fn drop(&mut self) {
                if !self.left.is_empty() {
                    // A drop panicked: go on with the others. One more panic
                    // here aborts, as it does for the standard collections.
                    self.drop_elements();
                }
                // SAFETY: the last owner; allocated with this layout.
                unsafe {
                    self.raw.finish();
                    self.base.add(BENCHES_AT).cast::<Benches>().drop_in_place();
                    dealloc(self.base.as_ptr(), self.layout);
                }
            }
        }
        let mut rest = Rest {
            raw: &self.raw,
            left: Vec::new(),
            dropper: self.dropper,
            base,
            layout,
            shape: std::marker::PhantomData::<Sh>,
        };
        if rest.dropper.is_some() {
            // SAFETY: the last handle is gone, nobody else uses the ring.
            unsafe { self.raw.for_each_left(|payload| rest.left.push(payload)) };
            rest.left.reverse(); // oldest first
        }
        rest.drop_elements();
    }
}

impl<Sh: Shape, R: RawRing<Sh>> std::fmt::Debug for Core<Sh, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring")
            .field("strategy", &self.raw.traits().name)
            .field("capacity", &self.raw.capacity())
            .field("len", &self.raw.len_hint())
            .field("closed", &self.raw.is_sealed())
            .finish_non_exhaustive()
    }
}

/// What the options ask for, with what they leave open taken from the caller.
fn geometry_of<Sh: Shape>(
    options: &Options,
    capacity: usize,
    participants: Option<usize>,
    shape: Sh,
    shared: bool,
) -> Result<Geometry<Sh>, BuildError> {
    let usual = Geometry::new(capacity, shape, shared);
    let patience = match options.patience {
        Some(attempts) => attempts,
        None => patience_of_the_process()?.unwrap_or(usual.patience),
    };
    Ok(Geometry {
        participants: participants.unwrap_or(usual.participants),
        patience,
        ..usual
    })
}

/// `TURTLE_PATIENCE`, read once: for services that cannot be changed, and so that
/// any test can be run on the slow path.
fn patience_of_the_process() -> Result<Option<u32>, BuildError> {
    static SAID: OnceLock<Option<OsString>> = OnceLock::new();
    let Some(said) = SAID.get_or_init(|| std::env::var_os("TURTLE_PATIENCE")) else {
        return Ok(None);
    };
    let number = said.to_str().and_then(|said| said.parse().ok());
    number.map(Some).ok_or_else(|| {
        BuildError::Invalid(format!(
            "TURTLE_PATIENCE is {said:?}; it must be 0 to {} attempts",
            u32::MAX
        ))
    })
}

/// The participants of a ring that is there, of an engine with records.
fn participants_of(there: &Head, name: &str) -> Result<usize, BuildError> {
    match there.participants {
        n @ 1..=MAX_THREADS => Ok(n as usize),
        n => Err(BuildError::Corrupt(format!(
            "{name}: the head says {n} participants; a ring of its strategy has 1 to {MAX_THREADS}"
        ))),
    }
}

/// The layout of a whole region, and where the engine's part begins.
fn whole<Sh: Shape, R>(
    maker: &Maker<Sh, R>,
    geometry: &Geometry<Sh>,
) -> Result<(Layout, usize), BuildError> {
    if geometry.capacity == 0 {
        return Err(BuildError::Invalid(
            "capacity is 0; a bounded ring holds at least 1 element".into(),
        ));
    }
    let engine = (maker.footprint)(maker.strategy, geometry)?;
    let head_end = BENCHES_AT + size_of::<Benches>();
    let head = Layout::from_size_align(head_end.max(ENGINE_AT), 128).expect("small and aligned");
    let (layout, at) = head.extend(engine).map_err(|_| {
        BuildError::Invalid(format!(
            "{} elements do not fit the address space",
            geometry.capacity
        ))
    })?;
    Ok((layout.pad_to_align(), at))
}

fn not_found(name: &str) -> BuildError {
    BuildError::NotFound(format!(
        "there is no ring called {name}; create it first (`turtle doctor` lists what is there)"
    ))
}

fn name_it(error: BuildError, name: &str) -> BuildError {
    match error {
        BuildError::Corrupt(text) => BuildError::Corrupt(format!("{name}: {text}")),
        BuildError::Mismatch(text) => BuildError::Mismatch(format!("{name}: {text}")),
        other => other,
    }
}

/// Fills in what the options leave to the ring that is there: the strategy
/// if none is named, element size, alignment and records if the size is 0.
pub(crate) fn resolve(options: &Options) -> Result<Options, BuildError> {
    let mut options = options.clone();
    let open = options.strategy.is_none() || options.elem_size == 0;
    if !open || options.open == OpenMode::CreateNew {
        return Ok(options);
    }
    let name = options.path.as_deref().unwrap_or_default();
    let segment = match Segment::open(name) {
        Ok(segment) => segment,
        Err(SegmentError::NotFound) if options.open == OpenMode::Attach => {
            return Err(not_found(name));
        }
        Err(SegmentError::NotFound) => return Ok(options), // creating says the rest
        Err(error) => return Err(error.into()),
    };
    // SAFETY: mapped for its length.
    let head = unsafe { Head::read(segment.base(), segment.len()) }
        .map_err(|error| name_it(error, name))?;
    if options.strategy.is_none() {
        let strategy = Strategy::from_number(head.strategy).ok_or_else(|| {
            BuildError::Unsupported(format!(
                "{name} uses strategy number {}, which this build does not have",
                head.strategy
            ))
        })?;
        options.strategy = Some(strategy);
    }
    if options.elem_size == 0 {
        let whole = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        options.records = head.flags & FLAG_RECORDS != 0;
        options.elem_align = whole(head.elem_align);
        let lead = if options.records {
            options.elem_align.max(8)
        } else {
            0
        };
        options.elem_size = whole(head.elem_size).saturating_sub(lead);
        if options.capacity == 0 {
            options.capacity = whole(head.capacity);
        }
    }
    Ok(options)
}
