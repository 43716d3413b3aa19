//! The same face over fixed-size byte records, without generics. All bindings
//! sit on it: an engine is compiled once here for every language.
//!
//! [`DynRing`] is used by any thread: where an engine needs private state it
//! is kept per side, and on `spsc` the first thread to push (pop) owns that
//! side until it releases it or ends. [`DynProducer`] and [`DynConsumer`] are
//! explicit handles, one thread at a time each, and a little faster.
//!
//! An address that is no slot, a second commit, a forked child using a private
//! ring: all of these are answers, not accidents. A dangling element pointer
//! is the caller's.
#![allow(clippy::disallowed_types)] // owner tokens and length words; no algorithm rests on them

mod seats;
mod session;
mod straight;

use std::cell::UnsafeCell;
use std::fmt::Debug;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::core::{Core, Dropper, Role, Stats, Tally};
use crate::error::BuildError;
use crate::options::Options;
use crate::os::fork::{fork_generation, fork_guard};
use crate::os::thread::thread_token;
use crate::strategy::{
    Arity, Bytes, Direction, Engine, Fixed, Lease, PopRefusal, PushRefusal, RawRing, Shape,
    Strategy,
};
use crate::wait::{Bench, WaitEnd};

pub use crate::ring::Recovered;
use seats::Seats;
pub use session::{Element, through_consumer, through_producer};
pub use straight::{Otherwise, Straight, Way};

/// How a call ended. The numbers are those of the C interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Outcome {
    /// Done.
    Ok = 0,
    /// The ring was full at some moment of the call.
    Full = 1,
    /// The ring was empty at some moment of the call.
    Empty = 2,
    /// Another call is halfway through the next slot.
    Busy = 3,
    /// The ring has been closed (and, for a pop, drained).
    Closed = 4,
    /// The time is up.
    Timeout = 5,
    /// `interrupt` ended the wait.
    Interrupted = 6,
    /// An argument that cannot be: no such slot, too long a record, a private
    /// ring after `fork`; or a slot of this side is lent out, and the engine
    /// lends one at a time.
    Invalid = -1,
    /// Another thread owns this side; or, of an engine that keeps a record of
    /// each participant, all places are taken, or the handle's session is that of
    /// the parent of this process.
    NoHandle = -6,
}

impl From<PushRefusal> for Outcome {
    fn from(why: PushRefusal) -> Self {
        match why {
            PushRefusal::Full => Self::Full,
            PushRefusal::Busy => Self::Busy,
            PushRefusal::Closed => Self::Closed,
            PushRefusal::Lent => Self::Invalid,
        }
    }
}

impl From<PopRefusal> for Outcome {
    fn from(why: PopRefusal) -> Self {
        match why {
            PopRefusal::Empty => Self::Empty,
            PopRefusal::Busy => Self::Busy,
            PopRefusal::Closed => Self::Closed,
            PopRefusal::Lent => Self::Invalid,
        }
    }
}

impl From<WaitEnd> for Outcome {
    fn from(end: WaitEnd) -> Self {
        match end {
            WaitEnd::Timeout => Self::Timeout,
            WaitEnd::Interrupted => Self::Interrupted,
        }
    }
}

/// What a producer can do with byte records.
///
/// # Safety of the methods
/// `elem` is valid for `elem_size` bytes (`data` for `len`, `elems` for
/// `n * elem_size`), in whatever alignment.
pub trait Push {
    /// Appends one element, or says at once why not.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn try_push(&self, elem: *const u8) -> Outcome;
    /// Appends one element; `None` waits for ever, zero is `try_push`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn push(&self, elem: *const u8, timeout: Option<Duration>) -> Outcome;
    /// Appends as many of `n` elements as there is room for; `done` says how many.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn try_push_n(&self, elems: *const u8, n: usize, done: &mut usize) -> Outcome;
    /// Appends a record of `len` bytes (rings with records only).
    ///
    /// # Safety
    /// See the trait.
    unsafe fn push_record(&self, data: *const u8, len: usize, timeout: Option<Duration>)
    -> Outcome;
    /// Lends a slot to write in.
    fn claim(&self, slot: &mut *mut u8) -> Outcome;
    /// As `claim`, waiting for room; `None` waits for ever, zero is `claim`.
    fn claim_within(&self, slot: &mut *mut u8, timeout: Option<Duration>) -> Outcome;
    /// Publishes a claimed slot; a refusal keeps the claim.
    ///
    /// # Safety
    /// The slot's bytes are written.
    unsafe fn commit(&self, slot: *mut u8) -> Outcome;
    /// Publishes a claimed slot as a record of `len` bytes (rings with records only).
    ///
    /// # Safety
    /// `len` bytes of the slot are written.
    unsafe fn commit_record(&self, slot: *mut u8, len: usize) -> Outcome;
    /// Gives a claimed slot back without a trace.
    fn abandon(&self, slot: *mut u8) -> Outcome;
}

/// What a consumer can do with byte records.
///
/// # Safety of the methods
/// `elem` is valid for writing `elem_size` bytes (`data` for `cap`, `elems`
/// for `max * elem_size`), in whatever alignment.
pub trait Pop {
    /// Takes the oldest element, or says at once why not.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn try_pop(&self, elem: *mut u8) -> Outcome;
    /// Takes the oldest element; `None` waits for ever, zero is `try_pop`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn pop(&self, elem: *mut u8, timeout: Option<Duration>) -> Outcome;
    /// Waits for one element, then takes up to `max` without waiting.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn pop_n(
        &self,
        elems: *mut u8,
        max: usize,
        timeout: Option<Duration>,
        done: &mut usize,
    ) -> Outcome;
    /// Takes the oldest record into `cap` bytes and sets `len`. If it does not
    /// fit: `Invalid`, `len` set, nothing taken.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn pop_record(
        &self,
        data: *mut u8,
        cap: usize,
        len: &mut usize,
        timeout: Option<Duration>,
    ) -> Outcome;
    /// Takes the oldest element and lends its slot to read; `len` is the
    /// record's length, or the element's size.
    fn peek(&self, slot: &mut *const u8, len: &mut usize) -> Outcome;
    /// As `peek`, waiting for an element; `None` waits for ever, zero is `peek`.
    fn peek_within(
        &self,
        slot: &mut *const u8,
        len: &mut usize,
        timeout: Option<Duration>,
    ) -> Outcome;
    /// Gives a slot that was peeked at back.
    fn release(&self, slot: *const u8) -> Outcome;
}

/// A ring of byte records, whatever its engine.
pub trait DynRing: Push + Pop + Debug + Send + Sync {
    /// An explicit producer handle.
    fn producer(self: Arc<Self>) -> Result<Box<dyn DynProducer>, BuildError>;
    /// An explicit consumer handle.
    fn consumer(self: Arc<Self>) -> Result<Box<dyn DynConsumer>, BuildError>;
    /// An explicit producer handle that is known by a session, and what became
    /// of the session's pushes; see [`Ring::producer_as`](crate::Ring::producer_as).
    fn producer_as(
        self: Arc<Self>,
        session: u64,
    ) -> Result<(Box<dyn DynProducer>, Recovered<Element>), BuildError>;
    /// An explicit consumer handle, likewise.
    fn consumer_as(
        self: Arc<Self>,
        session: u64,
    ) -> Result<(Box<dyn DynConsumer>, Recovered<Element>), BuildError>;
    /// Ends a session that nobody has now; see
    /// [`Ring::forget_session`](crate::Ring::forget_session).
    fn forget_session(&self, direction: Direction, session: u64) -> Result<(), BuildError>;
    /// Up to `max` elements that dead consumers without a session had taken; see
    /// [`Ring::take_orphans`](crate::Ring::take_orphans).
    fn take_orphans(&self, max: usize) -> Vec<Element>;
    /// Looks for dead participants; see [`Ring::reclaim`](crate::Ring::reclaim).
    fn reclaim(&self) -> usize;
    /// Gives back what the calling thread owns of this ring.
    fn release_thread(&self);
    /// Closes the ring.
    fn close(&self);
    /// Whether it has been closed.
    fn is_closed(&self) -> bool;
    /// Ends every wait of this process once.
    fn interrupt(&self);
    /// Elements inside, about.
    fn len(&self) -> usize;
    /// Whether nothing is inside, about.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Elements it can hold.
    fn capacity(&self) -> usize;
    /// Bytes of an element, or of the longest record.
    fn elem_size(&self) -> usize;
    /// Alignment of an element.
    fn elem_align(&self) -> usize;
    /// Whether slots hold records of varying length.
    fn has_records(&self) -> bool;
    /// Which engine it is.
    fn strategy(&self) -> Strategy;
    /// What has happened so far.
    fn stats(&self) -> Stats;
    /// Whether it lies in shared memory.
    fn is_shared(&self) -> bool;
    /// A descriptor that is readable when an element may be there (poll it,
    /// then pop until `Empty`). It belongs to the ring.
    fn event_fd(self: Arc<Self>) -> std::io::Result<i32>;
    /// Why a call answers `Invalid` for reasons of its own, if it does so now.
    fn trouble(&self) -> Option<&'static str>;
    /// The straight way of a single push. Good for as long as the ring.
    fn push_way(&self) -> Way;
    /// The straight way of a single pop.
    fn pop_way(&self) -> Way;
}

/// An explicit producer handle: one thread at a time.
pub trait DynProducer: Push + Debug + Send {
    /// The straight way of a single push. Good for as long as the handle.
    fn push_way(&self) -> Way;
}
/// An explicit consumer handle: one thread at a time.
pub trait DynConsumer: Pop + Debug + Send {
    /// The straight way of a single pop. Good for as long as the handle.
    fn pop_way(&self) -> Way;
}

/// What to call for elements that are left when a private ring ends:
/// `call(element, context)`, from whichever thread drops the last handle.
#[derive(Clone, Copy, Debug)]
pub struct DropHook {
    /// The function.
    pub call: unsafe extern "C" fn(*mut std::ffi::c_void, *mut std::ffi::c_void),
    /// Passed through.
    pub context: *mut std::ffi::c_void,
}

/// Opens a ring of byte records as `options` say.
///
/// `drop` is called for what is left inside; private rings only.
///
/// # Errors
/// See [`BuildError`].
///
/// # Safety
/// `drop`, if given, may be called from any thread.
pub unsafe fn open(
    options: &Options,
    drop: Option<DropHook>,
) -> Result<Arc<dyn DynRing>, BuildError> {
    fork_guard();
    let options = if options.path.is_some() {
        crate::core::resolve(options)?
    } else {
        options.clone()
    };
    let shape = record_shape(&options)?;
    let strategy = options.strategy.unwrap_or_default();
    by_strategy(strategy, &options, shape, drop)
}

macro_rules! define_by_strategy {
    ($(($variant:ident, $module:ident, $engine:ident),)+) => {
        fn by_strategy(
            strategy: Strategy,
            options: &Options,
            shape: Bytes,
            drop: Option<DropHook>,
        ) -> Result<Arc<dyn DynRing>, BuildError> {
            match strategy {
                $(Strategy::$variant => {
                    by_shape::<crate::strategy::$module::$engine>(options, shape, drop)
                })+
            }
        }
    };
}
crate::for_each_strategy!(define_by_strategy);

/// The slot's shape: with records, a length word comes first.
fn record_shape(options: &Options) -> Result<Bytes, BuildError> {
    let element = Bytes::new(options.elem_size, options.elem_align)?;
    if !options.records {
        return Ok(element);
    }
    let lead = LENGTH_BYTES.next_multiple_of(element.align().max(8));
    // No rounding up: the longest record is what was asked for, exactly.
    Ok(Bytes::record(lead + element.size(), element.align().max(8)))
}

const LENGTH_BYTES: usize = 8;

fn by_shape<S: Engine>(
    options: &Options,
    shape: Bytes,
    drop: Option<DropHook>,
) -> Result<Arc<dyn DynRing>, BuildError> {
    // Common sizes get strides and copies that the compiler knows.
    match (shape.size(), shape.align()) {
        (8, 8) => make::<S, _>(options, Fixed::<8>, drop),
        (16, 8) => make::<S, _>(options, Fixed::<16>, drop),
        (64, 8) => make::<S, _>(options, Fixed::<64>, drop),
        _ => make::<S, _>(options, shape, drop),
    }
}

unsafe fn call_hook(payload: *mut u8, context: *mut std::ffi::c_void) {
    let hook = context.cast::<DropHook>();
    // SAFETY: the context is the hook that `make` boxed; it lives as long as
    // the ring. The payload is an element that is still inside.
    unsafe { ((*hook).call)(payload.cast(), (*hook).context) };
}

fn make<S, Sh>(
    options: &Options,
    shape: Sh,
    drop: Option<DropHook>,
) -> Result<Arc<dyn DynRing>, BuildError>
where
    S: Engine,
    Sh: Shape + 'static,
    S::Raw<Sh>: 'static,
{
    let maker = crate::ring::maker::<Sh, S>(S::STRATEGY.unwrap_or_default());
    let hook = drop.map(Box::new);
    let core = if options.path.is_some() {
        if drop.is_some() {
            return Err(BuildError::Invalid(
                "drop is for private rings; elements in shared memory are plain data".into(),
            ));
        }
        Core::shared(&maker, options, shape)?
    } else {
        let dropper = hook.as_deref().map(|hook| Dropper {
            call: call_hook,
            context: std::ptr::from_ref(hook).cast_mut().cast(),
        });
        Core::private(&maker, options, shape, dropper)?
    };
    let lead = if options.records {
        LENGTH_BYTES.next_multiple_of(shape.align())
    } else {
        0
    };
    let tally = core.new_tally();
    Ok(Arc::new_cyclic(|this: &Weak<Records<Sh, S::Raw<Sh>>>| {
        Records {
            producer: Seats::new(core.raw().traits(), core.participants()),
            consumer: Seats::new(core.raw().traits(), core.participants()),
            generation: AtomicU32::new(fork_generation()),
            arriving: Mutex::new(()),
            strategy: maker.strategy,
            calls: Calls {
                raw: core.raw().clone(),
                lead,
                consumers: core.pop_bench(),
                producers: core.push_bench(),
                tally,
                core: Arc::new(core),
            },
            this: this.clone(),
            _hook: hook,
        }
    }))
}

struct Records<Sh: Shape, R: RawRing<Sh>> {
    producer: Seats<R::Producer>,
    consumer: Seats<R::Consumer>,
    generation: AtomicU32,
    /// Held by the thread that makes a forked child at home here.
    arriving: Mutex<()>,
    strategy: Strategy,
    calls: Calls<Sh, R>,
    this: Weak<Self>,
    _hook: Option<Box<DropHook>>,
}

// SAFETY: the hook's owner promised that any thread may call it; everything
// else is `Send + Sync`.
unsafe impl<Sh: Shape, R: RawRing<Sh>> Send for Records<Sh, R> {}
// SAFETY: as above.
unsafe impl<Sh: Shape, R: RawRing<Sh>> Sync for Records<Sh, R> {}

impl<Sh: Shape, R: RawRing<Sh>> Debug for Records<Sh, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.calls.core.fmt(f)
    }
}

/// Sides to leave when a thread ends.
trait Leave {
    fn leave(&self, token: usize);
}

thread_local! {
    static SEATS: std::cell::RefCell<Taken> = const { std::cell::RefCell::new(Taken(Vec::new())) };
}

/// The rings in which a thread has seats.
struct Taken(Vec<Weak<dyn Leave>>);

impl Drop for Taken {
    fn drop(&mut self) {
        for seat in self.0.drain(..) {
            if let Some(ring) = seat.upgrade() {
                ring.leave(thread_token());
            }
        }
    }
}

impl<Sh: Shape, R: RawRing<Sh>> Leave for Records<Sh, R> {
    fn leave(&self, token: usize) {
        self.producer.get_up(token);
        self.consumer.get_up(token);
    }
}

impl<Sh, R> Records<Sh, R>
where
    Sh: Shape + 'static,
    R: RawRing<Sh> + 'static,
{
    /// Refuses a private ring after fork; takes stock again for a shared one.
    #[inline(always)]
    fn here(&self) -> bool {
        self.generation.load(Ordering::Relaxed) == fork_generation() || self.after_fork()
    }

    #[cold]
    #[inline(never)]
    fn after_fork(&self) -> bool {
        let Some(segment) = self.calls.core.segment() else {
            return false;
        };
        let _alone = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
        if self.generation.load(Ordering::Relaxed) == fork_generation() {
            return true;
        }
        // The parent's sides are the parent's: this process starts without.
        // SAFETY: nobody uses a seat before the generation is this process's,
        // and this thread alone is changing that.
        unsafe {
            self.producer.clear();
            self.consumer.clear();
        }
        crate::os::barrier::register(true);
        if segment.attend().is_err() {
            return false;
        }
        self.generation.store(fork_generation(), Ordering::Relaxed);
        true
    }

    /// Runs `call` with the producer's side for this thread.
    #[inline(always)]
    fn as_producer(&self, call: impl FnOnce(&mut R::Producer) -> Outcome) -> Outcome {
        if !self.here() {
            return Outcome::Invalid;
        }
        if const { R::TRAITS.kept(R::TRAITS.producers) } {
            let (token, records) = (thread_token(), const { R::TRAITS.records });
            // SAFETY: this thread's token; `call` is not re-entered, for it runs
            // no code of the user's.
            let side = unsafe { self.producer.at_hand(token, records) }
                .or_else(|| self.sit_down_producer(token));
            match side {
                Some(side) => call(side),
                None => Outcome::NoHandle,
            }
        } else {
            let was = self.producer.hint.load(Ordering::Relaxed);
            let mut side = self.calls.raw.resume_producer(was);
            let outcome = call(&mut side);
            let now = R::producer_hint(&side);
            if now != was {
                self.producer.hint.store(now, Ordering::Relaxed);
            }
            outcome
        }
    }

    /// Runs `call` with the consumer's side for this thread.
    #[inline(always)]
    fn as_consumer(&self, call: impl FnOnce(&mut R::Consumer) -> Outcome) -> Outcome {
        if !self.here() {
            return Outcome::Invalid;
        }
        if const { R::TRAITS.kept(R::TRAITS.consumers) } {
            let (token, records) = (thread_token(), const { R::TRAITS.records });
            // SAFETY: this thread's token; `call` is not re-entered, for it runs
            // no code of the user's.
            let side = unsafe { self.consumer.at_hand(token, records) }
                .or_else(|| self.sit_down_consumer(token));
            match side {
                Some(side) => call(side),
                None => Outcome::NoHandle,
            }
        } else {
            let was = self.consumer.hint.load(Ordering::Relaxed);
            let mut side = self.calls.raw.resume_consumer(was);
            let outcome = call(&mut side);
            let now = R::consumer_hint(&side);
            if now != was {
                self.consumer.hint.store(now, Ordering::Relaxed);
            }
            outcome
        }
    }

    #[cold]
    #[inline(never)]
    #[allow(clippy::mut_from_ref)] // of the calling thread's own seat
    fn sit_down_producer(&self, token: usize) -> Option<&mut R::Producer> {
        let core = &self.calls.core;
        let make = || {
            let seated = core.new_producer().ok()?;
            self.leave_at_the_end();
            Some(seated)
        };
        // SAFETY: as in `as_producer`.
        unsafe { self.producer.search(token, R::TRAITS.records, make) }
    }

    #[cold]
    #[inline(never)]
    #[allow(clippy::mut_from_ref)] // as above
    fn sit_down_consumer(&self, token: usize) -> Option<&mut R::Consumer> {
        let core = &self.calls.core;
        let make = || {
            let seated = core.new_consumer().ok()?;
            self.leave_at_the_end();
            Some(seated)
        };
        // SAFETY: as in `as_consumer`.
        unsafe { self.consumer.search(token, R::TRAITS.records, make) }
    }

    /// When this thread ends, its seats are free again.
    fn leave_at_the_end(&self) {
        let leave: Weak<dyn Leave> = self.this.clone();
        let _ = SEATS.try_with(|seats| seats.borrow_mut().0.push(leave));
    }
}

/// The calls of one side, once, for seats and explicit handles alike.
///
/// One object, so that a call has one address to keep; what every call reads
/// comes first.
struct Calls<Sh: Shape, R: RawRing<Sh>> {
    /// A copy of the core's view: one pointer less to follow.
    raw: R,
    /// Bytes of the length word before a record, 0 without records.
    lead: usize,
    /// Where consumers and producers sleep; both live as long as `core`.
    consumers: NonNull<Bench>,
    producers: NonNull<Bench>,
    core: Arc<Core<Sh, R>>,
    tally: Arc<Tally>,
}

impl<Sh: Shape, R: RawRing<Sh>> Calls<Sh, R> {
    fn size(&self) -> usize {
        self.core.shape().size()
    }

    #[cold]
    #[inline(never)]
    fn push_refused(&self, why: PushRefusal) -> Outcome {
        self.tally.push_refused(why);
        why.into()
    }

    #[cold]
    #[inline(never)]
    fn pop_refused(&self, why: PopRefusal) -> Outcome {
        self.core.refused_pop(&self.tally, why);
        why.into()
    }

    #[inline(always)]
    fn count_push(&self, outcome: Result<(), PushRefusal>) -> Outcome {
        match outcome {
            Ok(()) => Outcome::Ok,
            Err(why) => self.push_refused(why),
        }
    }

    #[inline(always)]
    fn count_pop(&self, outcome: Result<(), PopRefusal>) -> Outcome {
        match outcome {
            Ok(()) => Outcome::Ok,
            Err(why) => self.pop_refused(why),
        }
    }

    #[inline(always)]
    unsafe fn try_push(&self, side: &mut R::Producer, elem: *const u8) -> Outcome {
        if self.lead != 0 {
            return Outcome::Invalid;
        }
        // SAFETY: the caller gives `elem_size` bytes; the side is its own.
        self.count_push(unsafe {
            self.core.try_push_on(&self.raw, side, |slot| {
                std::ptr::copy_nonoverlapping(elem, slot, self.core.shape().size());
            })
        })
    }

    #[inline(always)]
    unsafe fn try_pop(&self, side: &mut R::Consumer, elem: *mut u8) -> Outcome {
        if self.lead != 0 {
            return Outcome::Invalid;
        }
        // SAFETY: as above.
        self.count_pop(unsafe {
            self.core.try_pop_on(&self.raw, side, |slot| {
                std::ptr::copy_nonoverlapping(slot, elem, self.core.shape().size());
            })
        })
    }

    /// `or_rearm` of one `try_pop`, without a loop that would cost the fast
    /// path registers.
    #[inline(always)]
    unsafe fn try_pop_or_rearm(&self, side: &mut R::Consumer, elem: *mut u8) -> Outcome {
        // SAFETY: the caller's promise.
        match unsafe { self.try_pop(side, elem) } {
            // SAFETY: as above.
            Outcome::Empty | Outcome::Busy if self.core.rearm_event_fd() => unsafe {
                self.try_pop_again(side, elem)
            },
            other => other,
        }
    }

    #[cold]
    #[inline(never)]
    unsafe fn try_pop_again(&self, side: &mut R::Consumer, elem: *mut u8) -> Outcome {
        // SAFETY: the caller's promise.
        let outcome = unsafe { self.try_pop(side, elem) };
        if !matches!(outcome, Outcome::Empty | Outcome::Busy) {
            self.core.stay_readable();
        }
        outcome
    }

    /// Before a pop answers `Empty` to someone who polls the event
    /// descriptor: arms it again and looks once more.
    #[inline(always)]
    fn or_rearm(&self, mut attempt: impl FnMut() -> Outcome) -> Outcome {
        let mut again = true;
        loop {
            // One place, so that the attempt is inlined.
            match attempt() {
                Outcome::Empty | Outcome::Busy if again && self.core.rearm_event_fd() => {
                    again = false;
                }
                other => {
                    if !again && !matches!(other, Outcome::Empty | Outcome::Busy) {
                        self.core.stay_readable();
                    }
                    return other;
                }
            }
        }
    }

    /// A push that may wait: `attempt` again and again.
    #[inline(always)]
    fn push_within(
        &self,
        timeout: Option<Duration>,
        mut attempt: impl FnMut() -> Outcome,
    ) -> Outcome {
        match attempt() {
            Outcome::Full | Outcome::Busy if timeout != Some(Duration::ZERO) => self
                .core
                .block_push(timeout, &self.tally, || match attempt() {
                    Outcome::Full | Outcome::Busy => None,
                    other => Some(other),
                })
                .unwrap_or_else(Outcome::from),
            other => other,
        }
    }

    /// A pop that may wait: `attempt` again and again.
    #[inline(always)]
    fn pop_within(
        &self,
        timeout: Option<Duration>,
        mut attempt: impl FnMut() -> Outcome,
    ) -> Outcome {
        match self.or_rearm(&mut attempt) {
            Outcome::Empty | Outcome::Busy if timeout != Some(Duration::ZERO) => self
                .core
                .block_pop(timeout, &self.tally, || match attempt() {
                    Outcome::Empty | Outcome::Busy => None,
                    other => Some(other),
                })
                .unwrap_or_else(Outcome::from),
            other => other,
        }
    }

    unsafe fn try_push_n(
        &self,
        side: &mut R::Producer,
        elems: *const u8,
        n: usize,
        done: &mut usize,
    ) -> Outcome {
        *done = 0;
        if self.lead != 0 {
            return Outcome::Invalid;
        }
        if n == 0 {
            return Outcome::Ok;
        }
        let size = self.core.shape().size();
        // SAFETY: the caller gives `n` elements; at most `n` slots are filled.
        let outcome = unsafe { self.raw.push_copies(side, elems, n, size) };
        if let Err(why) = outcome {
            self.core.refused_late(why);
        }
        self.count_push(outcome.map(|pushed| {
            *done = pushed;
            self.core.pushed(pushed);
        }))
    }

    unsafe fn pop_n(
        &self,
        side: &mut R::Consumer,
        elems: *mut u8,
        max: usize,
        timeout: Option<Duration>,
        done: &mut usize,
    ) -> Outcome {
        *done = 0;
        if self.lead != 0 {
            return Outcome::Invalid;
        }
        if max == 0 {
            return Outcome::Ok;
        }
        let size = self.core.shape().size();
        self.pop_within(timeout, || {
            // SAFETY: the caller gives room for `max` elements.
            let outcome = unsafe { self.raw.pop_copies(side, elems, max, size) };
            self.count_pop(outcome.map(|popped| {
                *done = popped;
                self.core.popped(popped);
            }))
        })
    }

    unsafe fn push_record(
        &self,
        side: &mut R::Producer,
        data: *const u8,
        len: usize,
        timeout: Option<Duration>,
    ) -> Outcome {
        if self.lead == 0 || len > self.size() - self.lead {
            return Outcome::Invalid;
        }
        self.push_within(timeout, || {
            // SAFETY: the slot has room for the length word and `len` bytes.
            self.count_push(unsafe {
                self.core.try_push_on(&self.raw, side, |slot| {
                    length_word(slot).store(len as u64, Ordering::Relaxed);
                    std::ptr::copy_nonoverlapping(data, slot.add(self.lead), len);
                })
            })
        })
    }

    unsafe fn pop_record(
        &self,
        side: &mut R::Consumer,
        data: *mut u8,
        cap: usize,
        len: &mut usize,
        timeout: Option<Duration>,
    ) -> Outcome {
        if self.lead == 0 {
            return Outcome::Invalid;
        }
        let raw = &self.raw;
        self.pop_within(timeout, || {
            // Any record fits: nobody is asked, so that all can help with it.
            let taken = if cap >= self.size() - self.lead {
                // SAFETY: the side is the caller's; the take is released below.
                unsafe { raw.try_take(side) }.map(Some)
            } else {
                // The length is read before the take decides: a record that does
                // not fit stays. If someone else takes it meanwhile, the take
                // fails and looks at the next one.
                // SAFETY: slots of such a ring begin with a length word.
                let fits = |slot: *mut u8| unsafe {
                    *len = self.record_len(slot);
                    *len <= cap
                };
                // SAFETY: as above.
                unsafe { raw.try_take_if(side, fits) }
            };
            match taken {
                Ok(Some(taken)) => {
                    // SAFETY: taken, so this thread's alone; `cap` bytes of room
                    // and the slot's own size bound the copy.
                    unsafe {
                        *len = self.record_len(taken.payload()).min(cap);
                        taken.read(|slot| {
                            std::ptr::copy_nonoverlapping(slot.add(self.lead), data, *len);
                        });
                        raw.release(side, taken);
                    }
                    self.core.popped(1);
                    Outcome::Ok
                }
                Ok(None) => Outcome::Invalid,
                Err(why) => self.count_pop(Err(why)),
            }
        })
    }

    /// The length of a record, never more than the slot holds whatever a peer
    /// wrote there.
    unsafe fn record_len(&self, slot: *mut u8) -> usize {
        // SAFETY: the caller gives a slot that begins with a length word.
        let len = unsafe { length_word(slot) }.load(Ordering::Relaxed);
        usize::try_from(len)
            .unwrap_or(usize::MAX)
            .min(self.size() - self.lead)
    }

    fn claim(&self, side: &mut R::Producer, slot: &mut *mut u8) -> Outcome {
        // SAFETY: the side is the caller's. An engine that allows one claim
        // refuses the second (`Lent`): the first was noted.
        match unsafe { self.raw.try_claim(side) } {
            Ok(lease) => {
                self.raw.note_claim(side);
                // SAFETY: the payload has at least `lead` bytes.
                *slot = unsafe { lease.payload().add(self.lead) };
                Outcome::Ok
            }
            Err(why) => self.count_push(Err(why)),
        }
    }

    /// The lease of a claim whose user holds only `slot`.
    fn claimed(&self, side: &mut R::Producer, slot: *mut u8) -> Option<Lease> {
        let payload = slot.wrapping_sub(self.lead);
        // SAFETY: the side is the caller's; any address may be asked about.
        unsafe { self.raw.claim_at(side, payload) }
    }

    unsafe fn commit(&self, side: &mut R::Producer, slot: *mut u8, len: Option<usize>) -> Outcome {
        let room = self.size() - self.lead;
        if len.is_some() != (self.lead != 0) || len.is_some_and(|len| len > room) {
            return Outcome::Invalid;
        }
        let Some(lease) = self.claimed(side, slot) else {
            return Outcome::Invalid;
        };
        if let Some(len) = len {
            // SAFETY: claimed, so this thread's alone.
            unsafe { length_word(lease.payload()) }.store(len as u64, Ordering::Relaxed);
        }
        // SAFETY: a claim of this ring; the caller wrote the payload.
        match unsafe { self.raw.try_commit(side, lease) } {
            Ok(()) => {
                self.core.pushed(1);
                Outcome::Ok
            }
            Err((_, why)) => {
                self.raw.note_claim(side); // it stays claimed
                self.core.refused_late(why);
                self.count_push(Err(why))
            }
        }
    }

    fn abandon(&self, side: &mut R::Producer, slot: *mut u8) -> Outcome {
        let Some(lease) = self.claimed(side, slot) else {
            return Outcome::Invalid;
        };
        // SAFETY: a claim of this ring.
        unsafe { self.raw.abandon(side, lease) };
        self.core.voided();
        Outcome::Ok
    }

    fn peek(&self, side: &mut R::Consumer, slot: &mut *const u8, len: &mut usize) -> Outcome {
        // SAFETY: the side is the caller's.
        match unsafe { self.raw.try_take(side) } {
            Ok(lease) => {
                self.raw.note_take(side);
                // SAFETY: taken; the payload has at least `lead` bytes.
                unsafe {
                    *len = if self.lead == 0 {
                        self.size()
                    } else {
                        self.record_len(lease.payload())
                    };
                    *slot = lease.payload().add(self.lead);
                }
                Outcome::Ok
            }
            Err(why) => self.count_pop(Err(why)),
        }
    }

    fn release(&self, side: &mut R::Consumer, slot: *const u8) -> Outcome {
        let payload = slot.cast_mut().wrapping_sub(self.lead);
        // SAFETY: the side is the caller's; any address may be asked about.
        let Some(lease) = (unsafe { self.raw.taken_at(side, payload) }) else {
            return Outcome::Invalid;
        };
        // SAFETY: a take of this ring; its bytes are plain, nothing to move out.
        unsafe { self.raw.release(side, lease) };
        self.core.popped(1);
        Outcome::Ok
    }
}

/// The length word of a record's slot. All accesses to it are atomic, because
/// a consumer reads it before its take has decided.
unsafe fn length_word<'a>(slot: *mut u8) -> &'a AtomicU64 {
    // SAFETY: the caller gives a slot of a ring with records: 8 aligned bytes.
    unsafe { AtomicU64::from_ptr(slot.cast()) }
}

/// An explicit handle.
struct Handle<P, Sh: Shape, R: RawRing<Sh>> {
    side: UnsafeCell<P>,
    calls: Calls<Sh, R>,
    ring: Arc<Records<Sh, R>>,
    /// Where the handle was made, or is at home since.
    generation: AtomicU32,
    arity: Arity,
    /// Makes another side, in a forked child.
    join: Join<P, Sh, R>,
    role: UnsafeCell<Role>,
}

type Join<P, Sh, R> = fn(&Core<Sh, R>) -> Result<(P, Role), BuildError>;

impl<P, Sh: Shape + 'static, R: RawRing<Sh> + 'static> Handle<P, Sh, R> {
    fn new(
        (side, role): (P, Role),
        arity: Arity,
        join: Join<P, Sh, R>,
        ring: Arc<Records<Sh, R>>,
    ) -> Self {
        Self {
            side: UnsafeCell::new(side),
            calls: Calls {
                raw: ring.calls.raw.clone(),
                lead: ring.calls.lead,
                consumers: ring.calls.consumers,
                producers: ring.calls.producers,
                core: ring.calls.core.clone(),
                tally: ring.calls.core.new_tally(),
            },
            ring,
            generation: AtomicU32::new(fork_generation()),
            arity,
            join,
            role: UnsafeCell::new(role),
        }
    }

    /// Why the handle cannot be used in this process, if so.
    #[inline(always)]
    fn refusal(&self) -> Option<Outcome> {
        if self.generation.load(Ordering::Relaxed) == fork_generation() {
            return None;
        }
        self.refusal_after_fork()
    }

    #[cold]
    #[inline(never)]
    fn refusal_after_fork(&self) -> Option<Outcome> {
        if !self.ring.here() {
            return Some(Outcome::Invalid);
        }
        if self.arity == Arity::One {
            return Some(Outcome::NoHandle); // the only one is the parent's
        }
        let core = &self.calls.core;
        // SAFETY: one thread at a time uses a handle, and it is in no call yet.
        let settled = unsafe {
            let (side, role) = (&mut *self.side.get(), &mut *self.role.get());
            core.move_over(side, role, || (self.join)(core))
        };
        if !settled {
            return Some(Outcome::NoHandle);
        }
        self.generation.store(fork_generation(), Ordering::Relaxed);
        None
    }
}

// SAFETY: used by one thread at a time, which is the handle's documented rule.
unsafe impl<P: Send, Sh: Shape, R: RawRing<Sh>> Send for Handle<P, Sh, R> {}

impl<P, Sh: Shape, R: RawRing<Sh>> Debug for Handle<P, Sh, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Handle").field(&self.ring).finish()
    }
}

impl<P, Sh: Shape, R: RawRing<Sh>> Drop for Handle<P, Sh, R> {
    fn drop(&mut self) {
        self.calls.core.retire_tally(&self.calls.tally);
    }
}

/// Gives the calls and the side of whoever pushes.
trait WithPush<Sh: Shape, R: RawRing<Sh>> {
    fn with_push(&self, call: impl FnOnce(&Calls<Sh, R>, &mut R::Producer) -> Outcome) -> Outcome;
}
/// Gives the calls and the side of whoever pops.
trait WithPop<Sh: Shape, R: RawRing<Sh>> {
    fn with_pop(&self, call: impl FnOnce(&Calls<Sh, R>, &mut R::Consumer) -> Outcome) -> Outcome;
}

impl<Sh: Shape + 'static, R: RawRing<Sh> + 'static> WithPush<Sh, R> for Records<Sh, R> {
    #[inline(always)]
    fn with_push(&self, call: impl FnOnce(&Calls<Sh, R>, &mut R::Producer) -> Outcome) -> Outcome {
        self.as_producer(|side| call(&self.calls, side))
    }
}
impl<Sh: Shape + 'static, R: RawRing<Sh> + 'static> WithPop<Sh, R> for Records<Sh, R> {
    #[inline(always)]
    fn with_pop(&self, call: impl FnOnce(&Calls<Sh, R>, &mut R::Consumer) -> Outcome) -> Outcome {
        self.as_consumer(|side| call(&self.calls, side))
    }
}
impl<Sh: Shape + 'static, R: RawRing<Sh> + 'static> WithPush<Sh, R> for Handle<R::Producer, Sh, R> {
    #[inline(always)]
    fn with_push(&self, call: impl FnOnce(&Calls<Sh, R>, &mut R::Producer) -> Outcome) -> Outcome {
        if let Some(why) = self.refusal() {
            return why;
        }
        // SAFETY: one thread at a time, and `call` does not come back here.
        call(&self.calls, unsafe { &mut *self.side.get() })
    }
}
impl<Sh: Shape + 'static, R: RawRing<Sh> + 'static> WithPop<Sh, R> for Handle<R::Consumer, Sh, R> {
    #[inline(always)]
    fn with_pop(&self, call: impl FnOnce(&Calls<Sh, R>, &mut R::Consumer) -> Outcome) -> Outcome {
        if let Some(why) = self.refusal() {
            return why;
        }
        // SAFETY: one thread at a time, and `call` does not come back here.
        call(&self.calls, unsafe { &mut *self.side.get() })
    }
}

macro_rules! impl_push {
    ($($target:ty),+) => {$(
        #[allow(clippy::undocumented_unsafe_blocks)] // each forwards the trait's own contract
        impl<Sh: Shape + 'static, R: RawRing<Sh> + 'static> Push for $target {
            unsafe fn try_push(&self, elem: *const u8) -> Outcome {
                self.with_push(|calls, side| unsafe { calls.try_push(side, elem) })
            }
            unsafe fn push(&self, elem: *const u8, timeout: Option<Duration>) -> Outcome {
                self.with_push(|calls, side| {
                    calls.push_within(timeout, || unsafe { calls.try_push(side, elem) })
                })
            }
            unsafe fn try_push_n(&self, elems: *const u8, n: usize, done: &mut usize) -> Outcome {
                self.with_push(|calls, side| unsafe { calls.try_push_n(side, elems, n, done) })
            }
            unsafe fn push_record(
                &self,
                data: *const u8,
                len: usize,
                timeout: Option<Duration>,
            ) -> Outcome {
                self.with_push(|calls, side| unsafe { calls.push_record(side, data, len, timeout) })
            }
            fn claim(&self, slot: &mut *mut u8) -> Outcome {
                self.with_push(|calls, side| calls.claim(side, slot))
            }
            fn claim_within(&self, slot: &mut *mut u8, timeout: Option<Duration>) -> Outcome {
                self.with_push(|calls, side| {
                    calls.push_within(timeout, || calls.claim(side, slot))
                })
            }
            unsafe fn commit(&self, slot: *mut u8) -> Outcome {
                self.with_push(|calls, side| unsafe { calls.commit(side, slot, None) })
            }
            unsafe fn commit_record(&self, slot: *mut u8, len: usize) -> Outcome {
                self.with_push(|calls, side| unsafe { calls.commit(side, slot, Some(len)) })
            }
            fn abandon(&self, slot: *mut u8) -> Outcome {
                self.with_push(|calls, side| calls.abandon(side, slot))
            }
        }
    )+};
}

macro_rules! impl_pop {
    ($($target:ty),+) => {$(
        #[allow(clippy::undocumented_unsafe_blocks)] // each forwards the trait's own contract
        impl<Sh: Shape + 'static, R: RawRing<Sh> + 'static> Pop for $target {
            unsafe fn try_pop(&self, elem: *mut u8) -> Outcome {
                self.with_pop(|calls, side| unsafe { calls.try_pop_or_rearm(side, elem) })
            }
            unsafe fn pop(&self, elem: *mut u8, timeout: Option<Duration>) -> Outcome {
                self.with_pop(|calls, side| {
                    calls.pop_within(timeout, || unsafe { calls.try_pop(side, elem) })
                })
            }
            unsafe fn pop_n(
                &self,
                elems: *mut u8,
                max: usize,
                timeout: Option<Duration>,
                done: &mut usize,
            ) -> Outcome {
                self.with_pop(|calls, side| unsafe { calls.pop_n(side, elems, max, timeout, done) })
            }
            unsafe fn pop_record(
                &self,
                data: *mut u8,
                cap: usize,
                len: &mut usize,
                timeout: Option<Duration>,
            ) -> Outcome {
                self.with_pop(|calls, side| unsafe {
                    calls.pop_record(side, data, cap, len, timeout)
                })
            }
            fn peek(&self, slot: &mut *const u8, len: &mut usize) -> Outcome {
                self.with_pop(|calls, side| calls.or_rearm(|| calls.peek(side, slot, len)))
            }
            fn peek_within(
                &self,
                slot: &mut *const u8,
                len: &mut usize,
                timeout: Option<Duration>,
            ) -> Outcome {
                self.with_pop(|calls, side| {
                    calls.pop_within(timeout, || calls.peek(side, slot, len))
                })
            }
            fn release(&self, slot: *const u8) -> Outcome {
                self.with_pop(|calls, side| calls.release(side, slot))
            }
        }
    )+};
}

impl_push!(Records<Sh, R>, Handle<R::Producer, Sh, R>);
impl_pop!(Records<Sh, R>, Handle<R::Consumer, Sh, R>);

impl<Sh: Shape + 'static, R: RawRing<Sh> + 'static> DynProducer for Handle<R::Producer, Sh, R> {
    fn push_way(&self) -> Way {
        straight::push_of_handle(self)
    }
}
impl<Sh: Shape + 'static, R: RawRing<Sh> + 'static> DynConsumer for Handle<R::Consumer, Sh, R> {
    fn pop_way(&self) -> Way {
        straight::pop_of_handle(self)
    }
}

impl<Sh: Shape + 'static, R: RawRing<Sh> + 'static> DynRing for Records<Sh, R> {
    fn producer(self: Arc<Self>) -> Result<Box<dyn DynProducer>, BuildError> {
        self.refuse_after_fork()?;
        let seated = self.calls.core.new_producer()?;
        let (arity, join) = (R::TRAITS.producers, Core::new_producer);
        Ok(Box::new(Handle::new(seated, arity, join, self)))
    }
    fn consumer(self: Arc<Self>) -> Result<Box<dyn DynConsumer>, BuildError> {
        self.refuse_after_fork()?;
        let seated = self.calls.core.new_consumer()?;
        let (arity, join) = (R::TRAITS.consumers, Core::new_consumer);
        Ok(Box::new(Handle::new(seated, arity, join, self)))
    }
    fn producer_as(
        self: Arc<Self>,
        session: u64,
    ) -> Result<(Box<dyn DynProducer>, Recovered<Element>), BuildError> {
        self.open_producer(session)
    }
    fn consumer_as(
        self: Arc<Self>,
        session: u64,
    ) -> Result<(Box<dyn DynConsumer>, Recovered<Element>), BuildError> {
        self.open_consumer(session)
    }
    fn forget_session(&self, direction: Direction, session: u64) -> Result<(), BuildError> {
        self.forget(direction, session)
    }
    fn take_orphans(&self, max: usize) -> Vec<Element> {
        self.orphans(max)
    }
    fn reclaim(&self) -> usize {
        self.calls.core.reclaim()
    }
    fn release_thread(&self) {
        self.leave(thread_token());
    }
    fn close(&self) {
        self.calls.core.close();
    }
    fn is_closed(&self) -> bool {
        self.calls.core.raw().is_sealed()
    }
    fn interrupt(&self) {
        self.calls.core.interrupt();
    }
    fn len(&self) -> usize {
        self.calls.core.raw().len_hint()
    }
    fn capacity(&self) -> usize {
        self.calls.core.raw().capacity()
    }
    fn elem_size(&self) -> usize {
        self.calls.core.shape().size() - self.calls.lead
    }
    fn elem_align(&self) -> usize {
        self.calls.core.shape().align()
    }
    fn has_records(&self) -> bool {
        self.calls.core.has_records()
    }
    fn strategy(&self) -> Strategy {
        self.strategy
    }
    fn stats(&self) -> Stats {
        self.calls.core.stats()
    }
    fn is_shared(&self) -> bool {
        self.calls.core.is_shared()
    }
    fn event_fd(self: Arc<Self>) -> std::io::Result<i32> {
        self.calls.core.event_fd()
    }
    fn push_way(&self) -> Way {
        straight::push_of_ring(self)
    }
    fn pop_way(&self) -> Way {
        straight::pop_of_ring(self)
    }
    fn trouble(&self) -> Option<&'static str> {
        (!self.here()).then_some(crate::core::FORKED)
    }
}

impl<Sh: Shape + 'static, R: RawRing<Sh> + 'static> Records<Sh, R> {
    fn refuse_after_fork(&self) -> Result<(), BuildError> {
        match self.trouble() {
            Some(why) => Err(BuildError::Invalid(why.into())),
            None => Ok(()),
        }
    }
}
