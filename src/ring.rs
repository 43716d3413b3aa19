//! The safe face: `Ring`, `Producer`, `Consumer`, generic over the element
//! and the engine. Everything here is written once for all engines.

mod session;
pub use session::Recovered;

use std::fmt;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::Batch;
use crate::core::{Core, Dropper, Maker, Role, Stats, Tally};
use crate::error::{BuildError, PopError, PushError, TryPopError, TryPushError};
use crate::options::Options;
use crate::os::fork::fork_generation;
use crate::strategy::any::{Any, AnyRing};
use crate::strategy::{Engine, Lease, PopRefusal, PushRefusal, RawRing, Shape, Strategy, Typed};
use crate::wait::{Bench, WaitEnd};

type Raw<T, S> = <S as Engine>::Raw<Typed<T>>;
type RawProducer<T, S> = <Raw<T, S> as RawRing<Typed<T>>>::Producer;
type RawConsumer<T, S> = <Raw<T, S> as RawRing<Typed<T>>>::Consumer;

/// A bounded FIFO of `T` whose engine is chosen when it is built.
///
/// ```
/// use turtle_buffers::{RingBuffer, Strategy};
///
/// let ring = RingBuffer::<String>::builder().strategy(Strategy::Spsc).capacity(8).build()?;
/// let mut producer = ring.producer().unwrap();
/// let mut consumer = ring.consumer().unwrap();
/// producer.push("hello".to_string()).unwrap();
/// assert_eq!(consumer.pop().unwrap(), "hello");
/// # Ok::<(), turtle_buffers::BuildError>(())
/// ```
pub type RingBuffer<T> = Ring<T, Any>;

/// A bounded FIFO of `T` over the engine `S`.
///
/// A `Ring` is a handle: clones are the same ring. Elements go in through a
/// [`Producer`] and out through a [`Consumer`]; make as many of each as the
/// engine allows. What is left inside is dropped with the last handle.
///
/// Thread rules: any thread may use a `Ring`; each `Producer` and `Consumer`
/// belongs to one thread at a time.
///
/// After `fork`, in the child: handles of a private [`RingBuffer`] answer
/// `Closed`, and no ring in private memory makes new ones. A shared ring goes
/// on, but a handle where the engine allows one, and one of a session, is the
/// parent's and answers `Closed`; make another when the parent gave it up. Where
/// the engine keeps a record of each participant, the child's handles become
/// participants of their own on first use, and answer `Closed` if there is no
/// place for them. Guards and futures that
/// were out at the fork are the parent's: forget them. Handles of an engine
/// that the type names are private and do not look, which would cost each call
/// a load and a branch: the child has a copy of the ring with nobody at the
/// other end.
pub struct Ring<T, S: Engine = Any> {
    core: Arc<Core<Typed<T>, Raw<T, S>>>,
}

/// How the engine `S` is made: the compiler's choice, or the options'.
pub(crate) fn maker<Sh: Shape, S: Engine>(strategy: Strategy) -> Maker<Sh, S::Raw<Sh>> {
    Maker {
        strategy,
        footprint: |_, geometry| S::Raw::<Sh>::footprint(geometry),
        // SAFETY: the caller of the field keeps `init`'s contract.
        init: |_, at, geometry| unsafe { S::Raw::<Sh>::init(at, geometry) },
        // SAFETY: the caller of the field keeps `attach`'s contract.
        attach: |_, at, geometry| unsafe { S::Raw::<Sh>::attach(at, geometry) },
    }
}

fn any_maker<Sh: Shape>(strategy: Strategy) -> Maker<Sh, AnyRing<Sh>> {
    Maker {
        strategy,
        footprint: AnyRing::footprint_of,
        init: AnyRing::init_as,
        attach: AnyRing::attach_as,
    }
}

/// Drops one element where it lies.
unsafe fn drop_element<T>(payload: *mut u8, _: *mut std::ffi::c_void) {
    // SAFETY: the core calls this once for an element that is still inside.
    unsafe { payload.cast::<T>().drop_in_place() };
}

fn dropper<T>() -> Option<Dropper> {
    std::mem::needs_drop::<T>().then_some(Dropper {
        call: drop_element::<T>,
        context: std::ptr::null_mut(),
    })
}

/// Whether rings of `S` may lie in shared memory: [`Ring::open`] answers only
/// rings whose engine is chosen at run time. These also look for a fork.
const fn may_be_shared<S: Engine>() -> bool {
    S::STRATEGY.is_none()
}

/// Where a guard works on an element whose slot is lent: in the slot or, where
/// another process may write to that, on a copy that the handle keeps.
fn place<T>(shared: bool, aside: &mut Option<Box<MaybeUninit<T>>>, slot: *mut u8) -> *mut T {
    if shared {
        aside.get_or_insert_with(Box::new_uninit).as_mut_ptr()
    } else {
        slot.cast()
    }
}

impl<T: Send, S: Engine> Ring<T, S> {
    /// Builds a ring of exactly `capacity` elements in private memory.
    ///
    /// # Errors
    /// `Invalid` for capacity 0 or one that the address space cannot hold,
    /// `NoMemory`.
    pub fn new(capacity: usize) -> Result<Self, BuildError> {
        let maker = maker::<Typed<T>, S>(S::STRATEGY.unwrap_or_default());
        let options = Options {
            capacity,
            ..Options::default()
        };
        let core = Core::private(&maker, &options, Typed::new(), dropper::<T>())?;
        Ok(Self {
            core: Arc::new(core),
        })
    }

    /// As [`new`](Self::new), with every option that a private ring of a known
    /// engine has: capacity, participants, patience.
    ///
    /// ```
    /// use turtle_buffers::{Options, Ring, strategy::Turn};
    /// let options = Options { capacity: 8, max_threads: 4, ..Options::default() };
    /// assert_eq!(Ring::<u64, Turn>::with_options(&options)?.capacity(), 8);
    /// # Ok::<(), turtle_buffers::BuildError>(())
    /// ```
    ///
    /// # Errors
    /// As `new`; also `Invalid` for an option out of range, a path (see
    /// [`Ring::open`]) or another strategy than `S`.
    pub fn with_options(options: &Options) -> Result<Self, BuildError> {
        let strategy = S::STRATEGY.unwrap_or_default();
        if options.path.is_some() {
            return Err(BuildError::Invalid(
                "a ring with a path is opened with Ring::open".into(),
            ));
        }
        if options.strategy.is_some_and(|asked| asked != strategy) {
            return Err(BuildError::Invalid(format!(
                "this type is for {strategy}; RingBuffer::builder chooses when it is built"
            )));
        }
        let maker = maker::<Typed<T>, S>(strategy);
        let core = Core::private(&maker, options, Typed::new(), dropper::<T>())?;
        Ok(Self {
            core: Arc::new(core),
        })
    }

    /// A producer, or `None` when the engine allows no further one.
    #[must_use]
    pub fn producer(&self) -> Option<Producer<T, S>> {
        self.try_producer().ok()
    }

    /// As [`producer`](Self::producer), with the reason for a refusal.
    pub fn try_producer(&self) -> Result<Producer<T, S>, BuildError> {
        let (side, role) = self.core.new_producer()?;
        Ok(self.producer_with(side, role))
    }

    fn producer_with(&self, side: RawProducer<T, S>, role: Role) -> Producer<T, S> {
        Producer {
            raw: self.core.raw().clone(),
            side,
            sleepers: self.core.pop_bench(),
            home: fork_generation(),
            aside: None,
            tally: self.core.new_tally(),
            core: self.core.clone(),
            role,
        }
    }

    /// A consumer, or `None` when the engine allows no further one.
    #[must_use]
    pub fn consumer(&self) -> Option<Consumer<T, S>> {
        self.try_consumer().ok()
    }

    /// As [`consumer`](Self::consumer), with the reason for a refusal.
    pub fn try_consumer(&self) -> Result<Consumer<T, S>, BuildError> {
        let (side, role) = self.core.new_consumer()?;
        Ok(self.consumer_with(side, role))
    }

    fn consumer_with(&self, side: RawConsumer<T, S>, role: Role) -> Consumer<T, S> {
        Consumer {
            raw: self.core.raw().clone(),
            side,
            sleepers: self.core.push_bench(),
            home: fork_generation(),
            aside: None,
            tally: self.core.new_tally(),
            core: self.core.clone(),
            role,
        }
    }
}

impl<T: Send> Ring<T, Any> {
    /// Chooses engine, capacity and memory step by step.
    #[must_use]
    pub fn builder() -> Builder<T> {
        Builder {
            options: Options::default(),
            element: PhantomData,
        }
    }

    fn private_any(options: &Options) -> Result<Self, BuildError> {
        let maker = any_maker(options.strategy.unwrap_or_default());
        let core = Core::private(&maker, options, Typed::new(), dropper::<T>())?;
        Ok(Self {
            core: Arc::new(core),
        })
    }
}

impl<T: Plain> Ring<T, Any> {
    /// Builds or attaches the ring in shared memory that `options` names.
    ///
    /// # Errors
    /// `Mismatch` when a ring of that name has another geometry (both are
    /// named), `Exists`, `NotFound`, `Corrupt`, `NoMemory` for a full
    /// `/dev/shm`, `Unsupported` off Linux.
    pub fn open(options: &Options) -> Result<Self, BuildError> {
        if options.path.is_none() {
            return Self::private_any(options);
        }
        let options = crate::core::resolve(options)?;
        let maker = any_maker(options.strategy.unwrap_or_default());
        let core = Core::shared(&maker, &options, Typed::new())?;
        Ok(Self {
            core: Arc::new(core),
        })
    }
}

/// What may lie in memory that other processes write: any bytes are a valid
/// value, there is no padding to leak, and it has no references.
///
/// Implemented for every type with `zerocopy`'s `FromBytes`, `IntoBytes` and
/// `Immutable`; derive those for your own.
pub trait Plain:
    zerocopy::FromBytes + zerocopy::IntoBytes + zerocopy::Immutable + Copy + Send
{
}
impl<T> Plain for T where
    T: zerocopy::FromBytes + zerocopy::IntoBytes + zerocopy::Immutable + Copy + Send
{
}

/// Builds a [`RingBuffer`].
#[derive(Clone, Debug)]
pub struct Builder<T> {
    options: Options,
    element: PhantomData<fn() -> T>,
}

impl<T: Send> Builder<T> {
    /// Elements, at least 1; 1,024 if not said.
    #[must_use]
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.options.capacity = capacity;
        self
    }
    /// The engine; `wait_free` if not said.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.options.strategy = Some(strategy);
        self
    }
    /// Participants of each side, for engines that keep a record of each; 64 if
    /// not said. See [`Options::max_threads`].
    #[must_use]
    pub fn max_threads(mut self, max_threads: u32) -> Self {
        self.options.max_threads = max_threads;
        self
    }
    /// Attempts before a call of such an engine lets others help. See
    /// [`Options::patience`].
    #[must_use]
    pub fn patience(mut self, attempts: u32) -> Self {
        self.options.patience = Some(attempts);
        self
    }
    /// Builds it in private memory.
    ///
    /// # Errors
    /// As [`Ring::new`]; `Invalid` for more than 65,536 participants.
    pub fn build(self) -> Result<RingBuffer<T>, BuildError> {
        Ring::private_any(&self.options)
    }
}

impl<T: Plain> Builder<T> {
    /// Builds or attaches it in shared memory, under a name such as `"/ticks"`.
    ///
    /// # Errors
    /// As [`Ring::open`].
    pub fn open(mut self, path: &str) -> Result<RingBuffer<T>, BuildError> {
        self.options.path = Some(path.to_string());
        Ring::open(&self.options)
    }
    /// What to do about a name that exists, or does not.
    #[must_use]
    pub fn mode(mut self, open: crate::options::OpenMode) -> Self {
        self.options.open = open;
        self
    }
}

impl<T, S: Engine> Ring<T, S> {
    /// Closes the ring: pushes answer `Closed` from now on, pops once all
    /// that was accepted is taken, and every waiter wakes. Idempotent; any
    /// thread, any process.
    pub fn close(&self) {
        self.core.close();
    }
    /// Whether it has been closed. Elements may still be inside.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.core.raw().is_sealed()
    }
    /// Ends every blocking call of this process once, with `Interrupted`.
    pub fn interrupt(&self) {
        self.core.interrupt();
    }
    /// Elements it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.core.raw().capacity()
    }
    /// Elements inside; exact while nobody else is active.
    #[must_use]
    pub fn len(&self) -> usize {
        self.core.raw().len_hint()
    }
    /// Whether nothing is inside; as exact as [`len`](Self::len).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Whether every slot is taken; as exact as [`len`](Self::len).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }
    /// What has happened so far. Looks for dead participants first, as
    /// [`reclaim`](Self::reclaim) does.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }
    /// Whether everything is where it belongs, as far as the engine can tell.
    /// For tests: nobody else may be active, and the dead have been reclaimed.
    #[doc(hidden)]
    pub fn audit(&self) -> Result<(), String> {
        self.core.raw().audit()
    }
    /// What the engine promises.
    #[must_use]
    pub fn traits(&self) -> crate::strategy::Traits {
        self.core.raw().traits()
    }
}

impl<T, S: Engine> Clone for Ring<T, S> {
    fn clone(&self) -> Self {
        Self {
            core: self.core.clone(),
        }
    }
}

impl<T, S: Engine> fmt::Debug for Ring<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

/// Puts elements in. One thread at a time; send it where it is needed.
pub struct Producer<T, S: Engine = Any> {
    raw: Raw<T, S>,
    side: RawProducer<T, S>,
    /// Where consumers sleep, in the region that `core` keeps.
    sleepers: NonNull<Bench>,
    /// The process it is at home in.
    home: u32,
    /// Where the guards of a shared ring work, once there was one.
    aside: Option<Box<MaybeUninit<T>>>,
    tally: Arc<Tally>,
    core: Arc<Core<Typed<T>, Raw<T, S>>>,
    role: Role,
}

/// Takes elements out. One thread at a time; send it where it is needed.
pub struct Consumer<T, S: Engine = Any> {
    raw: Raw<T, S>,
    side: RawConsumer<T, S>,
    /// Where producers sleep, in the region that `core` keeps.
    sleepers: NonNull<Bench>,
    /// The process it is at home in.
    home: u32,
    /// Where the guards of a shared ring work, once there was one.
    aside: Option<Box<MaybeUninit<T>>>,
    tally: Arc<Tally>,
    core: Arc<Core<Typed<T>, Raw<T, S>>>,
    role: Role,
}

// SAFETY: a producer is a view, private state that is `Send`, and counters;
// sending it sends the right to put `T`s in, which needs `T: Send`.
unsafe impl<T: Send, S: Engine> Send for Producer<T, S> {}
// SAFETY: as above, for taking them out.
unsafe impl<T: Send, S: Engine> Send for Consumer<T, S> {}

impl<T: Send, S: Engine> Producer<T, S> {
    /// Appends `value`, or says at once why not and gives it back.
    ///
    /// Makes no system call, except one to wake a consumer that sleeps.
    ///
    /// # Errors
    /// `Full` if the ring held `capacity` elements at some moment during the
    /// call, `Busy` if another call is halfway through the next slot (only
    /// engines that say so), `Closed`.
    #[inline]
    pub fn try_push(&mut self, value: T) -> Result<(), TryPushError<T>> {
        if self.is_elsewhere() {
            return Err(TryPushError::Closed(value));
        }
        // SAFETY: this handle's own side; the claim is committed or abandoned.
        let claim = match unsafe { self.raw.try_claim(&mut self.side) } {
            Ok(claim) => claim,
            Err(why) => {
                self.tally.push_refused(why);
                return Err(TryPushError::new(why, value));
            }
        };
        // SAFETY: as above; the value is moved into the slot once, and out of
        // it again if the commit is refused.
        unsafe {
            claim.write(|_| ()); // a write, for the model checker; the value itself
            claim.payload().cast::<T>().write(value); // moves without a closure: one copy
            if let Err((claim, why)) = self.raw.try_commit(&mut self.side, claim) {
                return Err(self.refused_late(claim, why));
            }
        }
        self.pushed(1);
        Ok(())
    }

    /// Whether this is a forked child, where the handle is none.
    #[inline(always)]
    fn is_elsewhere(&mut self) -> bool {
        may_be_shared::<S>() && self.home != fork_generation() && !self.settles()
    }

    #[cold]
    #[inline(never)]
    fn settles(&mut self) -> bool {
        let settled = self.core.settle_producer(&mut self.side, &mut self.role);
        self.home = if settled {
            fork_generation()
        } else {
            self.home
        };
        settled
    }

    /// Tells sleeping consumers of `n` new elements.
    #[inline(always)]
    fn pushed(&self, n: usize) {
        // SAFETY: in the region that `core` keeps.
        if unsafe { self.sleepers.as_ref() }.anyone() {
            self.core.wake_consumers(n);
        }
    }

    /// Takes the value of a refused claim back.
    #[cold]
    #[inline(never)]
    fn refused_late(&mut self, claim: Lease, why: PushRefusal) -> TryPushError<T> {
        // SAFETY: written by this thread, not committed, and read back once.
        let value = unsafe { claim.write(|slot| slot.cast::<T>().read()) };
        // SAFETY: this handle's own claim.
        unsafe { self.raw.abandon(&mut self.side, claim) };
        self.core.refused_late(why);
        self.tally.push_refused(why);
        TryPushError::new(why, value)
    }

    /// Appends `value`, waiting while the ring is full.
    ///
    /// # Errors
    /// `Closed`; `Interrupted` by [`Ring::interrupt`]. The value comes back.
    pub fn push(&mut self, value: T) -> Result<(), PushError<T>> {
        self.push_within(value, None)
    }

    /// As [`push`](Self::push), waiting `timeout` at the longest; zero is `try_push`.
    ///
    /// # Errors
    /// Also `Timeout`; with a zero timeout `Full` or `Busy` instead.
    pub fn push_timeout(&mut self, value: T, timeout: Duration) -> Result<(), PushError<T>> {
        self.push_within(value, Some(timeout))
    }

    fn push_within(&mut self, value: T, timeout: Option<Duration>) -> Result<(), PushError<T>> {
        let mut held = match self.try_push(value) {
            Ok(()) => return Ok(()),
            Err(TryPushError::Closed(value)) => return Err(PushError::Closed(value)),
            Err(error) if timeout == Some(Duration::ZERO) => return Err(error.into()),
            Err(TryPushError::Full(value) | TryPushError::Busy(value)) => Some(value),
        };
        let core = self.core.clone();
        let tally = self.tally.clone();
        let end = core.block_push(timeout, &tally, || match self.try_push(held.take()?) {
            Ok(()) => Some(Ok(())),
            Err(TryPushError::Closed(value)) => Some(Err(PushError::Closed(value))),
            Err(error) => {
                held = Some(error.into_inner());
                None
            }
        });
        match (end, held) {
            (Ok(outcome), _) => outcome,
            (Err(WaitEnd::Timeout), Some(value)) => Err(PushError::Timeout(value)),
            (Err(WaitEnd::Interrupted), Some(value)) => Err(PushError::Interrupted(value)),
            (Err(_), None) => unreachable!("the value is held while its push is refused"),
        }
    }

    /// Appends as many of `values` as there is room for, in order, and leaves
    /// the others in the batch. Answers how many, at least 1 unless it was
    /// empty. Whether they are appended with one decision, so that no other
    /// producer's come between, is the engine's business: its module says.
    ///
    /// `values` is advanced between the claim and the publication of a slot:
    /// keep it cheap (a drained vector, a copied slice). If it panics or ends
    /// early, slots claimed for the rest are void: pops skip them.
    ///
    /// # Errors
    /// As [`try_push`](Self::try_push), with nothing taken from `values`.
    #[inline]
    pub fn try_push_batch(
        &mut self,
        values: &mut Batch<impl ExactSizeIterator<Item = T>>,
    ) -> Result<usize, TryPushError<()>> {
        let wanted = values.len();
        if wanted == 0 {
            return Ok(0);
        }
        if self.is_elsewhere() {
            return Err(TryPushError::Closed(()));
        }
        /// If the iterator unwinds: others learn of what it gave, and of the rest.
        struct Unwinding<F: Fn()>(F);
        impl<F: Fn()> Drop for Unwinding<F> {
            fn drop(&mut self) {
                (self.0)();
            }
        }
        let core = &self.core;
        let unwinding = Unwinding(|| {
            core.pushed(wanted);
            core.voided();
        });
        let mut ended = false;
        let Batch { values, back } = values;
        // An engine hands back one at the most, after it has asked for it.
        let mut again = None;
        // SAFETY: this handle's own side; a whole `T` is written for `true`,
        // and moved out again if it comes back.
        let outcome = unsafe {
            self.raw.push_run(
                &mut self.side,
                wanted,
                |slot| match back.take().or_else(|| values.next()) {
                    Some(value) => {
                        slot.cast::<T>().write(value);
                        true
                    }
                    None => {
                        ended = true;
                        false
                    }
                },
                |slot| again = Some(slot.cast::<T>().read()),
            )
        };
        *back = back.take().or(again);
        std::mem::forget(unwinding);
        match outcome {
            Ok(n) => {
                core.pushed(n);
                if ended {
                    core.voided();
                }
                Ok(n)
            }
            Err(why) => {
                core.refused_late(why);
                self.tally.push_refused(why);
                Err(TryPushError::new(why, ()))
            }
        }
    }

    /// Appends copies of as many of `values` as there is room for, in order,
    /// in as few decisions as the engine makes. Answers how many, at least 1
    /// unless there are none.
    ///
    /// # Errors
    /// As [`try_push`](Self::try_push), with nothing appended.
    #[inline]
    pub fn try_push_slice(&mut self, values: &[T]) -> Result<usize, TryPushError<()>>
    where
        T: Copy,
    {
        if values.is_empty() {
            return Ok(0);
        }
        if self.is_elsewhere() {
            return Err(TryPushError::Closed(()));
        }
        // SAFETY: this handle's own side; whole values, which are `Copy`.
        let outcome = unsafe {
            self.raw.push_copies(
                &mut self.side,
                values.as_ptr().cast(),
                values.len(),
                size_of::<T>(),
            )
        };
        match outcome {
            Ok(n) => {
                self.pushed(n);
                Ok(n)
            }
            Err(why) => {
                self.core.refused_late(why);
                self.tally.push_refused(why);
                Err(TryPushError::new(why, ()))
            }
        }
    }

    /// Appends all of `values`, in order, waiting for room as needed; other
    /// producers' elements may come between. Answers how many.
    ///
    /// # Errors
    /// `Closed` or `Interrupted` with how many had been appended.
    pub fn push_batch(
        &mut self,
        values: &mut Batch<impl ExactSizeIterator<Item = T>>,
    ) -> Result<usize, PushError<usize>> {
        let mut done = 0;
        loop {
            match self.try_push_batch(values) {
                Ok(0) => return Ok(done), // it ended before it said
                Ok(n) => done += n,
                Err(TryPushError::Closed(())) => return Err(PushError::Closed(done)),
                Err(_) => {
                    let core = self.core.clone();
                    let tally = self.tally.clone();
                    let more =
                        core.block_push(None, &tally, || match self.try_push_batch(values) {
                            Ok(n) => Some(Ok(n)),
                            Err(TryPushError::Closed(())) => Some(Err(())),
                            Err(_) => None,
                        });
                    match more {
                        Ok(Ok(0)) => return Ok(done),
                        Ok(Ok(n)) => done += n,
                        Ok(Err(())) => return Err(PushError::Closed(done)),
                        Err(_) => return Err(PushError::Interrupted(done)),
                    }
                }
            }
            if values.len() == 0 {
                return Ok(done);
            }
        }
    }

    /// Lends a slot to build an element in place; nothing is visible before
    /// [`Claim::commit`]. In shared memory it is built beside the slot and
    /// copied there by the commit.
    ///
    /// # Errors
    /// As [`try_push`](Self::try_push).
    pub fn try_claim(&mut self) -> Result<Claim<'_, T, S>, TryPushError<()>> {
        if self.is_elsewhere() {
            return Err(TryPushError::Closed(()));
        }
        // SAFETY: this handle's own side; the guard keeps it borrowed, so one
        // claim is out at a time.
        match unsafe { self.raw.try_claim(&mut self.side) } {
            Ok(lease) => {
                let shared = self.core.is_shared();
                Ok(Claim {
                    place: place(shared, &mut self.aside, lease.payload()),
                    producer: self,
                    lease: Some(lease),
                })
            }
            Err(why) => {
                self.tally.push_refused(why);
                Err(TryPushError::new(why, ()))
            }
        }
    }

    /// The ring this producer belongs to.
    #[must_use]
    pub fn ring(&self) -> Ring<T, S> {
        Ring {
            core: self.core.clone(),
        }
    }
}

impl<T: Send, S: Engine> Consumer<T, S> {
    /// Takes the oldest element, or says at once why not.
    ///
    /// Makes no system call, except one to wake a producer that sleeps.
    ///
    /// # Errors
    /// `Empty` if nothing was inside at some moment during the call, `Busy`
    /// if another call is halfway through the next slot (only engines that
    /// say so), `Closed` once the ring is closed and drained.
    #[inline]
    pub fn try_pop(&mut self) -> Result<T, TryPopError> {
        let mut why = PopRefusal::Empty;
        self.take(&mut why).ok_or(why.into())
    }

    /// What is there, without waiting: ends at the first refusal, whatever the
    /// reason ([`try_pop`](Self::try_pop) tells it).
    ///
    /// The fastest way to pop arrays of bytes: beside an error the compiler
    /// moves them in two pieces, at odd addresses (rustc 1.95; types aligned
    /// to 2 and more are not concerned).
    #[inline]
    pub fn try_iter(&mut self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.take(&mut PopRefusal::Empty))
    }

    #[inline(always)]
    fn take(&mut self, refusal: &mut PopRefusal) -> Option<T> {
        if self.is_elsewhere() {
            *refusal = PopRefusal::Closed;
            return None;
        }
        // SAFETY: this handle's own side; the take is released.
        let taken = match unsafe { self.raw.try_take(&mut self.side) } {
            Ok(taken) => taken,
            Err(why) => {
                self.core.refused_pop(&self.tally, why);
                *refusal = why;
                return None;
            }
        };
        // SAFETY: as above; the value is moved out once.
        let value = unsafe {
            taken.read(|_| ()); // as in `try_push`
            let value = Some(taken.payload().cast::<T>().read());
            self.raw.release(&mut self.side, taken);
            value
        };
        self.popped(1);
        value
    }

    /// Whether this is a forked child, where the handle is none.
    #[inline(always)]
    fn is_elsewhere(&mut self) -> bool {
        may_be_shared::<S>() && self.home != fork_generation() && !self.settles()
    }

    #[cold]
    #[inline(never)]
    fn settles(&mut self) -> bool {
        let settled = self.core.settle_consumer(&mut self.side, &mut self.role);
        self.home = if settled {
            fork_generation()
        } else {
            self.home
        };
        settled
    }

    /// Tells sleeping producers of `n` free slots.
    #[inline(always)]
    fn popped(&self, n: usize) {
        // SAFETY: in the region that `core` keeps.
        if unsafe { self.sleepers.as_ref() }.anyone() {
            self.core.wake_producers(n);
        }
    }

    /// Takes the oldest element, waiting while the ring is empty.
    ///
    /// # Errors
    /// `Closed` once the ring is closed and drained; `Interrupted`.
    pub fn pop(&mut self) -> Result<T, PopError> {
        self.pop_within(None)
    }

    /// As [`pop`](Self::pop), waiting `timeout` at the longest; zero is `try_pop`.
    ///
    /// # Errors
    /// Also `Timeout`; with a zero timeout `Empty` or `Busy` instead.
    pub fn pop_timeout(&mut self, timeout: Duration) -> Result<T, PopError> {
        self.pop_within(Some(timeout))
    }

    fn pop_within(&mut self, timeout: Option<Duration>) -> Result<T, PopError> {
        match self.try_pop() {
            Ok(value) => return Ok(value),
            Err(why) if why == TryPopError::Closed || timeout == Some(Duration::ZERO) => {
                return Err(why.into());
            }
            Err(_) => {}
        }
        self.wait_for(timeout, Self::try_pop)
    }

    fn wait_for<R>(
        &mut self,
        timeout: Option<Duration>,
        mut take: impl FnMut(&mut Self) -> Result<R, TryPopError>,
    ) -> Result<R, PopError> {
        let core = self.core.clone();
        let tally = self.tally.clone();
        let end = core.block_pop(timeout, &tally, || match take(self) {
            Ok(value) => Some(Ok(value)),
            Err(TryPopError::Closed) => Some(Err(PopError::Closed)),
            Err(_) => None,
        });
        match end {
            Ok(outcome) => outcome,
            Err(WaitEnd::Timeout) => Err(PopError::Timeout),
            Err(WaitEnd::Interrupted) => Err(PopError::Interrupted),
        }
    }

    /// Takes up to `max` elements without waiting and appends them to
    /// `out`. Answers how many, at least 1 unless `max` is 0.
    ///
    /// # Errors
    /// As [`try_pop`](Self::try_pop), with `out` unchanged.
    #[inline]
    pub fn try_pop_batch(&mut self, out: &mut Vec<T>, max: usize) -> Result<usize, TryPopError> {
        if max == 0 {
            return Ok(0);
        }
        if self.is_elsewhere() {
            return Err(TryPopError::Closed);
        }
        let max = max.min(self.raw.capacity());
        out.reserve(max);
        let start = out.len();
        let to = out.spare_capacity_mut().as_mut_ptr();
        // SAFETY: this handle's own side; at most `max` values are moved, into
        // room reserved above.
        let outcome = unsafe {
            self.raw
                .pop_copies(&mut self.side, to.cast(), max, size_of::<T>())
        };
        match outcome {
            Ok(n) => {
                // SAFETY: `n` values were moved in behind the old ones.
                unsafe { out.set_len(start + n) };
                self.popped(n);
                Ok(n)
            }
            Err(why) => {
                self.core.refused_pop(&self.tally, why);
                Err(why.into())
            }
        }
    }

    /// Waits for one element, then takes up to `max` without waiting.
    ///
    /// # Errors
    /// As [`pop`](Self::pop).
    pub fn pop_batch(&mut self, out: &mut Vec<T>, max: usize) -> Result<usize, PopError> {
        self.pop_batch_within(out, max, None)
    }

    /// As [`pop_batch`](Self::pop_batch), waiting `timeout` at the longest.
    ///
    /// # Errors
    /// As [`pop_timeout`](Self::pop_timeout).
    pub fn pop_batch_timeout(
        &mut self,
        out: &mut Vec<T>,
        max: usize,
        timeout: Duration,
    ) -> Result<usize, PopError> {
        self.pop_batch_within(out, max, Some(timeout))
    }

    fn pop_batch_within(
        &mut self,
        out: &mut Vec<T>,
        max: usize,
        timeout: Option<Duration>,
    ) -> Result<usize, PopError> {
        match self.try_pop_batch(out, max) {
            Ok(n) => return Ok(n),
            Err(why) if why == TryPopError::Closed || timeout == Some(Duration::ZERO) => {
                return Err(why.into());
            }
            Err(_) => {}
        }
        self.wait_for(timeout, |consumer| consumer.try_pop_batch(out, max))
    }

    /// Takes the oldest element and lends its slot to read in place; the slot
    /// goes back to the producers when the guard is dropped. In shared memory
    /// the guard shows a copy, which no other process can change.
    ///
    /// # Errors
    /// As [`try_pop`](Self::try_pop).
    pub fn try_peek(&mut self) -> Result<Peek<'_, T, S>, TryPopError> {
        if self.is_elsewhere() {
            return Err(TryPopError::Closed);
        }
        // SAFETY: this handle's own side; the guard keeps it borrowed, so one
        // take is out at a time.
        match unsafe { self.raw.try_take(&mut self.side) } {
            Ok(lease) => {
                let shared = self.core.is_shared();
                let place = place::<T>(shared, &mut self.aside, lease.payload());
                if shared {
                    // SAFETY: taken, so written, and plain data, of which there
                    // may be two; the copy is this handle's own.
                    unsafe { lease.read(|slot| place.copy_from_nonoverlapping(slot.cast(), 1)) };
                }
                Ok(Peek {
                    consumer: self,
                    lease: ManuallyDrop::new(lease),
                    place,
                })
            }
            Err(why) => {
                self.core.refused_pop(&self.tally, why);
                Err(why.into())
            }
        }
    }

    /// Blocking iterator: ends when the ring is closed and drained, or
    /// interrupted.
    pub fn iter(&mut self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.pop().ok())
    }

    /// The ring this consumer belongs to.
    #[must_use]
    pub fn ring(&self) -> Ring<T, S> {
        Ring {
            core: self.core.clone(),
        }
    }

    pub(crate) fn core(&self) -> &Arc<Core<Typed<T>, Raw<T, S>>> {
        &self.core
    }
}

impl<T: Send, S: Engine> Producer<T, S> {
    pub(crate) fn core(&self) -> &Arc<Core<Typed<T>, Raw<T, S>>> {
        &self.core
    }
}

impl<T, S: Engine> Drop for Producer<T, S> {
    fn drop(&mut self) {
        self.core.retire_tally(&self.tally);
    }
}

impl<T, S: Engine> Drop for Consumer<T, S> {
    fn drop(&mut self) {
        self.core.retire_tally(&self.tally);
    }
}

macro_rules! debug_as_ring {
    ($($name:ident),+) => {$(
        impl<T, S: Engine> fmt::Debug for $name<T, S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.core).finish()
            }
        }
    )+};
}
debug_as_ring!(Producer, Consumer);

/// A slot lent to a producer. Dropped without a commit, it leaves no element;
/// leaked, it keeps its slot (`turn`) or is lent again (`spsc`, `wait_free`).
///
/// In private memory the element is built in its slot. In shared memory it is
/// built beside it and copied by the commit: no Rust reference may lead to
/// bytes that another process can write.
pub struct Claim<'a, T: Send, S: Engine> {
    producer: &'a mut Producer<T, S>,
    lease: Option<Lease>,
    /// Where the element is built: the slot, or the producer's `aside`.
    place: *mut T,
}

impl<T: Send, S: Engine> Claim<'_, T, S> {
    /// Where to build the element. Uninitialised.
    pub fn slot(&mut self) -> &mut MaybeUninit<T> {
        // SAFETY: the claim's payload, or the producer's copy, is this handle's
        // alone until the claim ends; the guard keeps it borrowed.
        unsafe { &mut *self.place.cast() }
    }

    /// Publishes `value`, built elsewhere or in [`slot`](Self::slot).
    ///
    /// # Errors
    /// As [`Producer::try_push`]; the value comes back and the claim is given up.
    pub fn commit(mut self, value: T) -> Result<(), TryPushError<T>> {
        self.slot().write(value);
        // SAFETY: just written.
        unsafe { self.commit_in_place() }.map_err(|(why, mut claim)| {
            // SAFETY: refused, so the value in the slot is still ours.
            let value = unsafe { claim.slot().assume_init_read() };
            match why {
                TryPushError::Full(()) => TryPushError::Full(value),
                TryPushError::Busy(()) => TryPushError::Busy(value),
                TryPushError::Closed(()) => TryPushError::Closed(value),
            }
        })
    }

    /// Publishes what was built in [`slot`](Self::slot).
    ///
    /// # Safety
    /// The slot holds a valid `T`.
    ///
    /// # Errors
    /// As [`Producer::try_push`]; the claim comes back, with the value in it.
    pub unsafe fn commit_in_place(mut self) -> Result<(), (TryPushError<()>, Self)> {
        let lease = self.lease.take().expect("held until it is committed");
        // SAFETY: the lease came from this side; the payload is written (the
        // access tells the model checker so), or is here from beside it.
        let outcome = unsafe {
            lease.write(|slot| {
                if !std::ptr::eq(slot, self.place.cast()) {
                    slot.cast::<T>().copy_from_nonoverlapping(self.place, 1);
                }
            });
            self.producer.raw.try_commit(&mut self.producer.side, lease)
        };
        match outcome {
            Ok(()) => {
                self.producer.core.pushed(1);
                Ok(())
            }
            Err((lease, why)) => {
                self.lease = Some(lease);
                self.producer.core.refused_late(why);
                self.producer.tally.push_refused(why);
                Err((TryPushError::new(why, ()), self))
            }
        }
    }
}

impl<T: Send, S: Engine> Drop for Claim<'_, T, S> {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            // SAFETY: the lease came from this side and was not committed.
            unsafe { self.producer.raw.abandon(&mut self.producer.side, lease) };
            self.producer.core.voided();
        }
    }
}

impl<T: Send, S: Engine> fmt::Debug for Claim<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.lease).finish()
    }
}

/// An element that has been taken, still in its slot. Dropping the guard drops
/// the element and gives the slot back; leaked, it keeps its slot (`turn`),
/// is taken again (`spsc`), or loses the element (`wait_free`).
///
/// In private memory it leads to the slot. In shared memory it leads to a copy
/// made when it was taken: no Rust reference may lead to bytes that another
/// process can write. [`Consumer::try_pop`] makes one copy less than
/// [`take`](Peek::take) there.
pub struct Peek<'a, T: Send, S: Engine> {
    consumer: &'a mut Consumer<T, S>,
    lease: ManuallyDrop<Lease>,
    /// Where the element is: the slot, or the consumer's `aside`.
    place: *mut T,
}

impl<T: Send, S: Engine> Peek<'_, T, S> {
    /// Moves the element out and gives the slot back.
    #[must_use]
    pub fn take(self) -> T {
        let mut guard = ManuallyDrop::new(self);
        // SAFETY: taken by this guard and moved out once: its drop is skipped.
        let value = unsafe { guard.lease.read(|_| guard.place.read()) };
        guard.give_back();
        value
    }

    fn give_back(&mut self) {
        // SAFETY: called once, by `take` or by the drop.
        let lease = unsafe { ManuallyDrop::take(&mut self.lease) };
        // SAFETY: the lease came from this side; its payload is moved out.
        unsafe { self.consumer.raw.release(&mut self.consumer.side, lease) };
        self.consumer.core.popped(1);
    }
}

impl<T: Send, S: Engine> std::ops::Deref for Peek<'_, T, S> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: taken, so this guard's alone until it is given back; in
        // shared memory the consumer's own copy.
        unsafe { &*self.place }
    }
}

impl<T: Send, S: Engine> std::ops::DerefMut for Peek<'_, T, S> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.place }
    }
}

impl<T: Send, S: Engine> Drop for Peek<'_, T, S> {
    fn drop(&mut self) {
        /// Gives the slot back even if the element's drop panics.
        struct Back<'b, 'a, T: Send, S: Engine>(&'b mut Peek<'a, T, S>);
        impl<T: Send, S: Engine> Drop for Back<'_, '_, T, S> {
            fn drop(&mut self) {
                self.0.give_back();
            }
        }
        let back = Back(self);
        // SAFETY: the element is dropped once, here.
        unsafe { back.0.lease.read(|_| back.0.place.drop_in_place()) };
    }
}

impl<T: Send + fmt::Debug, S: Engine> fmt::Debug for Peek<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Peek").field(&**self).finish()
    }
}
