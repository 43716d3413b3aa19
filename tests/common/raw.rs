//! A ring at the lowest level: an engine over memory of its own, without the
//! safe face and its waiters, so that a model has no accesses but the engine's.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

use turtle_buffers::strategy::{
    Direction, Engine, Geometry, Lease, Left, PopRefusal, PushRefusal, RawRing, Standing, Typed,
};

use super::Answer;

/// How often engines that can be helped try alone, unless a client says otherwise.
pub const USUAL_PATIENCE: u32 = 8;

/// The algorithm of an engine over elements that begin with a word.
pub type Algorithm<E, T = u64> = <E as Engine>::Raw<Typed<T>>;

/// An element as large as a line: no two of them are one run.
pub type Wide = [u64; 8];

struct Region<T, R: RawRing<Typed<T>>> {
    base: NonNull<u8>,
    layout: Layout,
    raw: R,
    element: PhantomData<fn() -> T>,
}

// SAFETY: the memory is reached through the ring's words and leases only.
unsafe impl<T, R: RawRing<Typed<T>>> Send for Region<T, R> {}
// SAFETY: as above.
unsafe impl<T, R: RawRing<Typed<T>>> Sync for Region<T, R> {}

impl<T, R: RawRing<Typed<T>>> Drop for Region<T, R> {
    fn drop(&mut self) {
        // SAFETY: the last owner; built by `init`, allocated with this layout.
        unsafe {
            self.raw.finish();
            dealloc(self.base.as_ptr(), self.layout);
        }
    }
}

/// A ring of `u64`, or of elements that begin with one. Clones are the same
/// ring; drop the last one in the thread that has joined all others.
pub struct RawQueue<E: Engine, T = u64> {
    region: Arc<Region<T, Algorithm<E, T>>>,
    geometry: Geometry<Typed<T>>,
    raw: Algorithm<E, T>,
}

impl<E: Engine, T> Clone for RawQueue<E, T> {
    fn clone(&self) -> Self {
        self.patient(self.geometry.patience)
    }
}

impl<E: Engine> RawQueue<E> {
    /// An empty ring.
    pub fn new(capacity: usize) -> Self {
        Self::with(capacity, 4) // what no client exceeds
    }

    /// An empty ring for so many producers and so many consumers.
    pub fn with(capacity: usize, participants: usize) -> Self {
        let mut geometry = Geometry::new(capacity, Typed::new(), false);
        geometry.participants = participants;
        geometry.patience = USUAL_PATIENCE;
        Self::of(geometry)
    }
}

impl<E: Engine, T> RawQueue<E, T> {
    /// An empty ring of this geometry.
    pub fn of(geometry: Geometry<Typed<T>>) -> Self {
        let layout = Algorithm::<E, T>::footprint(&geometry).expect("a small ring");
        // SAFETY: the layout is not empty; zeroed, fresh, and of the footprint.
        let (base, raw, own) = unsafe {
            let base = NonNull::new(alloc_zeroed(layout)).expect("memory");
            Algorithm::<E, T>::init(base, &geometry);
            let raw = Algorithm::<E, T>::attach(base, &geometry);
            (base, raw, Algorithm::<E, T>::attach(base, &geometry))
        };
        Self {
            region: Arc::new(Region {
                base,
                layout,
                raw,
                element: PhantomData,
            }),
            geometry,
            raw: own,
        }
    }

    /// The same ring for a thread of this patience: handles that are made from
    /// it give up trying alone after so many attempts.
    pub fn patient(&self, patience: u32) -> Self {
        let mut geometry = self.geometry;
        geometry.patience = patience;
        // SAFETY: a ring of this geometry was made there, and lives as long as
        // the region; the patience is no part of it.
        let raw = unsafe { Algorithm::<E, T>::attach(self.region.base, &geometry) };
        Self {
            region: self.region.clone(),
            geometry,
            raw,
        }
    }

    fn raw(&self) -> &Algorithm<E, T> {
        &self.raw
    }

    /// A producer. The client keeps to the engine's arity.
    pub fn pusher(&self) -> Pusher<E, T> {
        Pusher {
            side: self.raw().new_producer().expect("a place"),
            queue: self.clone(),
            claim: None,
        }
    }

    /// A consumer. The client keeps to the engine's arity.
    pub fn popper(&self) -> Popper<E, T> {
        Popper {
            side: self.raw().new_consumer().expect("a place"),
            queue: self.clone(),
        }
    }

    /// What a place looks like to who has not its lock.
    pub fn standing(&self, direction: Direction, place: usize) -> Standing {
        self.raw().standing(direction, place).0
    }

    /// Puts right what the dead owner of a place left.
    ///
    /// # Safety
    /// Its last owner is dead or gone, and nobody else recovers it.
    pub unsafe fn recover(&self, direction: Direction, place: usize) -> Left {
        // SAFETY: the caller's promise; it stands for the lock of the place.
        unsafe { self.raw().recover(direction, place) }
    }

    /// Sits down at a place that was recovered.
    ///
    /// # Safety
    /// As [`recover`](Self::recover); it is free.
    pub unsafe fn pusher_at(&self, place: usize) -> Pusher<E, T> {
        Pusher {
            // SAFETY: the caller's promise.
            side: unsafe { self.raw().producer_at(place, 0) },
            queue: self.clone(),
            claim: None,
        }
    }

    /// Marks it closed; whether that is complete.
    pub fn seal(&self) -> bool {
        self.raw().seal()
    }

    /// Whether it is marked closed.
    pub fn is_sealed(&self) -> bool {
        self.raw().is_sealed()
    }

    /// A process without the asymmetric barrier joins, while nobody pushes.
    pub fn do_without_barrier(&self) {
        assert!(self.raw().do_without_barrier(|| true));
        // The ring has noted it: the next such process need not ask who pushes.
        assert!(self.raw().do_without_barrier(|| false));
    }

    /// Elements pushed and popped.
    pub fn positions(&self) -> (u64, u64) {
        self.raw().positions()
    }

    /// What it had taken.
    pub fn orphans(&self, place: usize) -> Vec<u64> {
        let mut orphans = Vec::new();
        let read = |payload: *mut u8| {
            // SAFETY: a written word.
            orphans.push(unsafe { payload.cast::<u64>().read() });
        };
        // SAFETY: the place was put right, and nobody has sat down there again.
        unsafe { self.raw().take_orphans(place, usize::MAX, read) };
        orphans
    }

    /// Whether the ring's own accounts agree. Nobody else may be active.
    pub fn audit(&self) -> Result<(), String> {
        self.raw().audit()
    }

    /// What is inside. Nobody else may be active.
    pub fn left(&self) -> Vec<u64> {
        let mut left = Vec::new();
        // SAFETY: the client's promise; each payload is a written word.
        unsafe {
            self.raw()
                .for_each_left(|payload| left.push(payload.cast::<u64>().read()))
        };
        left
    }
}

/// One producer.
pub struct Pusher<E: Engine, T = u64> {
    queue: RawQueue<E, T>,
    side: <Algorithm<E, T> as RawRing<Typed<T>>>::Producer,
    claim: Option<Lease>,
}

// SAFETY: a claim that is out belongs to this producer, wherever it goes.
unsafe impl<E: Engine, T> Send for Pusher<E, T> {}

/// One consumer.
pub struct Popper<E: Engine, T = u64> {
    queue: RawQueue<E, T>,
    side: <Algorithm<E, T> as RawRing<Typed<T>>>::Consumer,
}

// SAFETY: as for `Pusher`.
unsafe impl<E: Engine, T> Send for Popper<E, T> {}

impl From<PushRefusal> for Answer {
    fn from(why: PushRefusal) -> Self {
        match why {
            PushRefusal::Full => Answer::Full,
            PushRefusal::Busy => Answer::Busy,
            PushRefusal::Closed => Answer::Closed,
            PushRefusal::Lent => unreachable!("a client ends what it claimed by address"),
        }
    }
}

impl From<PopRefusal> for Answer {
    fn from(why: PopRefusal) -> Self {
        match why {
            PopRefusal::Empty => Answer::Empty,
            PopRefusal::Busy => Answer::Busy,
            PopRefusal::Closed => Answer::Closed,
            PopRefusal::Lent => unreachable!("a client ends what it took by address"),
        }
    }
}

impl<E: Engine, T> Pusher<E, T> {
    /// Its owner has died: it does not leave its place.
    pub fn die(self) {
        std::mem::forget(self.side);
    }

    /// One push.
    pub fn push(&mut self, value: u64) -> Answer {
        match self.claim() {
            Answer::Ok => match self.commit(value) {
                Answer::Ok => Answer::Ok,
                refused => {
                    self.abandon();
                    refused
                }
            },
            refused => refused,
        }
    }

    /// One push as the C border makes it.
    pub fn push_straight(&mut self, value: u64) -> Answer {
        assert!(self.claim.is_none());
        // SAFETY: this ring's side, used by its owner only; the payload is a word.
        let pushed = unsafe {
            self.queue
                .raw()
                .push_straight(&mut self.side, |payload| payload.cast::<u64>().write(value))
        };
        if pushed { Answer::Ok } else { self.push(value) }
    }

    /// Its first half.
    pub fn claim(&mut self) -> Answer {
        assert!(self.claim.is_none());
        // SAFETY: this ring's side, used by its owner only.
        match unsafe { self.queue.raw().try_claim(&mut self.side) } {
            Ok(lease) => {
                self.claim = Some(lease);
                Answer::Ok
            }
            Err(why) => why.into(),
        }
    }

    /// Its second half; a refusal keeps the claim.
    pub fn commit(&mut self, value: u64) -> Answer {
        let lease = self.claim.take().expect("claimed before");
        // SAFETY: the claim of this side; its payload is a word.
        let committed = unsafe {
            lease.write(|payload| payload.cast::<u64>().write(value));
            self.queue.raw().try_commit(&mut self.side, lease)
        };
        match committed {
            Ok(()) => Answer::Ok,
            Err((lease, why)) => {
                self.claim = Some(lease);
                why.into()
            }
        }
    }

    /// Writes to the claimed slot, and leaves it claimed.
    pub fn scribble(&mut self) {
        let lease = self.claim.as_ref().expect("claimed before");
        // SAFETY: a claim that is out; its payload is a word.
        unsafe { lease.write(|payload| payload.cast::<u64>().write(u64::MAX)) };
    }

    /// Forgets the claim but for its address, and asks for it by that.
    pub fn claim_by_address(&mut self) {
        let address = self.claim.take().expect("claimed before").payload();
        self.queue.raw().note_claim(&mut self.side);
        // SAFETY: this ring's side, used by its owner only.
        let claim = unsafe { self.queue.raw().claim_at(&mut self.side, address) };
        self.claim = Some(claim.expect("the claim is out"));
    }

    /// Gives the claim back.
    pub fn abandon(&mut self) {
        let lease = self.claim.take().expect("claimed before");
        // SAFETY: the claim of this side.
        unsafe { self.queue.raw().abandon(&mut self.side, lease) };
    }

    /// Pushes a run: as many of `values` as there is room for.
    pub fn push_run(&mut self, values: &[u64]) -> Answer {
        let mut next = values.iter();
        // SAFETY: as above; a whole word is written for `true`.
        let pushed = unsafe {
            self.queue.raw().push_run(
                &mut self.side,
                values.len(),
                |payload| {
                    next.next()
                        .map(|value| payload.cast::<u64>().write(*value))
                        .is_some()
                },
                |_| {},
            )
        };
        match pushed {
            Ok(n) => Answer::Pushed(n),
            Err(why) => why.into(),
        }
    }
}

impl<E: Engine> Pusher<E> {
    /// As `push_run`, copied from where the values lie.
    pub fn push_copies(&mut self, values: &[u64]) -> Answer {
        // SAFETY: as above; as many words as said.
        let pushed = unsafe {
            let from = values.as_ptr().cast();
            self.queue
                .raw()
                .push_copies(&mut self.side, from, values.len(), size_of::<u64>())
        };
        match pushed {
            Ok(n) => Answer::Pushed(n),
            Err(why) => why.into(),
        }
    }
}

impl<E: Engine, T> Popper<E, T> {
    /// Its owner has died: it does not leave its place.
    pub fn die(self) {
        std::mem::forget(self.side);
    }

    /// The same consumer, of another patience from now on.
    pub fn patient(&mut self, patience: u32) {
        self.queue = self.queue.patient(patience);
    }

    /// One pop as the C border makes it.
    pub fn pop_straight(&mut self) -> Answer {
        let mut value = 0;
        // SAFETY: this ring's side, used by its owner only; a written word is
        // copied out.
        let popped = unsafe {
            self.queue.raw().pop_straight(&mut self.side, |payload| {
                value = payload.cast::<u64>().read();
            })
        };
        if popped {
            Answer::Got(value)
        } else {
            self.pop()
        }
    }

    /// One pop.
    pub fn pop(&mut self) -> Answer {
        // SAFETY: this ring's side, used by its owner only; the word is copied
        // out before its slot is released.
        unsafe {
            match self.queue.raw().try_take(&mut self.side) {
                Ok(taken) => {
                    let value = taken.read(|payload| payload.cast::<u64>().read());
                    self.queue.raw().release(&mut self.side, taken);
                    Answer::Got(value)
                }
                Err(why) => why.into(),
            }
        }
    }

    /// One pop; `meanwhile` runs between its two halves.
    pub fn pop_and_meanwhile(&mut self, meanwhile: impl FnOnce()) -> Answer {
        // SAFETY: as above.
        unsafe {
            match self.queue.raw().try_take(&mut self.side) {
                Ok(taken) => {
                    let value = taken.read(|payload| payload.cast::<u64>().read());
                    meanwhile();
                    self.queue.raw().release(&mut self.side, taken);
                    Answer::Got(value)
                }
                Err(why) => why.into(),
            }
        }
    }

    /// One pop that forgets what it took but for its address.
    pub fn pop_by_address(&mut self) -> Answer {
        // SAFETY: as above.
        unsafe {
            match self.queue.raw().try_take(&mut self.side) {
                Ok(taken) => {
                    let address = taken.payload();
                    self.queue.raw().note_take(&mut self.side);
                    let taken = self.queue.raw().taken_at(&mut self.side, address);
                    let taken = taken.expect("the take is out");
                    let value = taken.read(|payload| payload.cast::<u64>().read());
                    self.queue.raw().release(&mut self.side, taken);
                    Answer::Got(value)
                }
                Err(why) => why.into(),
            }
        }
    }

    /// Pops the oldest element if `accept` likes it.
    pub fn pop_if(&mut self, accept: impl Fn(u64) -> bool) -> Result<Option<u64>, PopRefusal> {
        // SAFETY: as above. The models run one thread at a time, so the early
        // look at the word meets no store.
        let taken = unsafe {
            self.queue.raw().try_take_if(&mut self.side, |payload| {
                accept(payload.cast::<u64>().read_volatile())
            })?
        };
        Ok(taken.map(|taken| {
            // SAFETY: taken, copied out, released.
            unsafe {
                let value = taken.read(|payload| payload.cast::<u64>().read());
                self.queue.raw().release(&mut self.side, taken);
                value
            }
        }))
    }
}

impl<E: Engine> Popper<E> {
    /// As `pop_run`, copied to where the values shall lie.
    pub fn pop_copies(&mut self, n: usize) -> Answer {
        let mut values = [0; 4];
        let room = n.min(values.len());
        // SAFETY: as above; room for as many words.
        let popped = unsafe {
            let to = values.as_mut_ptr().cast();
            self.queue
                .raw()
                .pop_copies(&mut self.side, to, room, size_of::<u64>())
        };
        match popped {
            Ok(n) => Answer::Run(values, n),
            Err(why) => why.into(),
        }
    }

    /// Pops up to `n` at once, at most four.
    pub fn pop_run(&mut self, n: usize) -> Answer {
        let mut values = [0; 4];
        let mut next = 0;
        // SAFETY: as above; `read` does not panic for n up to 4.
        let popped = unsafe {
            self.queue
                .raw()
                .pop_run(&mut self.side, n.min(4), |payload| {
                    values[next] = payload.cast::<u64>().read();
                    next += 1;
                })
        };
        match popped {
            Ok(n) => {
                assert_eq!(n, next, "as many as were read");
                Answer::Run(values, n)
            }
            Err(why) => why.into(),
        }
    }
}
