//! Engines that are wrong on purpose: the real ones, with one thing changed
//! outside of them. The clients must notice.

use std::alloc::Layout;
use std::marker::PhantomData;
use std::ptr::NonNull;

use turtle_buffers::BuildError;
use turtle_buffers::atomic::{Profile, Step, Tuned, Word};
use turtle_buffers::strategy::{
    Engine, Geometry, Lease, PopRefusal, PushRefusal, RawRing, Shape, Strategy, Traits,
};

/// Publishes a slot before its payload is written.
#[derive(Debug)]
pub struct Early<E>(PhantomData<E>);

/// Closes by a flag beside the ring, which pushes look at before they decide.
#[derive(Debug)]
pub struct FlagClose<E>(PhantomData<E>);

/// As `FlagClose`, and closing again opens.
#[derive(Debug)]
pub struct ToggleClose<E>(PhantomData<E>);

const EARLY: u8 = 0;
const FLAG: u8 = 1;
const TOGGLE: u8 = 2;

impl<E: Engine> Engine for Early<E> {
    type Raw<Sh: Shape> = Wrong<E::Raw<Sh>, EARLY>;
    const STRATEGY: Option<Strategy> = E::STRATEGY;
}
impl<E: Engine> Engine for FlagClose<E> {
    type Raw<Sh: Shape> = Wrong<E::Raw<Sh>, FLAG>;
    const STRATEGY: Option<Strategy> = E::STRATEGY;
}
impl<E: Engine> Engine for ToggleClose<E> {
    type Raw<Sh: Shape> = Wrong<E::Raw<Sh>, TOGGLE>;
    const STRATEGY: Option<Strategy> = E::STRATEGY;
}

const FLAG_STEP: Step = Step::new("FLAG");

/// A real ring, a word behind it, and something wrong.
#[derive(Clone, Debug)]
pub struct Wrong<R, const HOW: u8> {
    ring: R,
    flag: NonNull<Word>,
}

// SAFETY: the word may be accessed by any thread.
unsafe impl<R: Send, const HOW: u8> Send for Wrong<R, HOW> {}
// SAFETY: as above.
unsafe impl<R: Sync, const HOW: u8> Sync for Wrong<R, HOW> {}

impl<R, const HOW: u8> Wrong<R, HOW> {
    fn flag(&self) -> &Word {
        // SAFETY: written by `init`, in the same memory as the ring.
        unsafe { self.flag.as_ref() }
    }

    fn closed(&self) -> bool {
        HOW != EARLY && self.flag().load(Tuned::acquire(FLAG_STEP)) & 1 != 0
    }

    fn behind<Sh: Shape>(geometry: &Geometry<Sh>) -> Result<(Layout, usize), BuildError>
    where
        R: RawRing<Sh>,
    {
        let ring = R::footprint(geometry)?;
        Ok(ring.extend(Layout::new::<Word>()).expect("a small ring"))
    }

    fn ended(&self, why: PopRefusal) -> PopRefusal {
        if why == PopRefusal::Empty && self.closed() {
            PopRefusal::Closed
        } else {
            why
        }
    }
}

// SAFETY: it is not linearizable; that is its purpose. Its memory is the
// ring's, and no slot is reached but through the ring's leases.
unsafe impl<Sh: Shape, R: RawRing<Sh>, const HOW: u8> RawRing<Sh> for Wrong<R, HOW> {
    const TRAITS: Traits = R::TRAITS;
    type Producer = R::Producer;
    type Consumer = R::Consumer;

    fn footprint(geometry: &Geometry<Sh>) -> Result<Layout, BuildError> {
        Self::behind(geometry).map(|(layout, _)| layout.pad_to_align())
    }

    unsafe fn init(at: NonNull<u8>, geometry: &Geometry<Sh>) {
        let (_, flag) = Self::behind(geometry).expect("a small ring");
        // SAFETY: the caller's promise; the word lies behind the ring.
        unsafe {
            R::init(at, geometry);
            at.add(flag).cast::<Word>().write(Word::new(0));
        }
    }

    unsafe fn attach(at: NonNull<u8>, geometry: &Geometry<Sh>) -> Self {
        let (_, flag) = Self::behind(geometry).expect("a small ring");
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                ring: R::attach(at, geometry),
                flag: at.add(flag).cast(),
            }
        }
    }

    unsafe fn finish(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            self.ring.finish();
            self.flag.drop_in_place();
        }
    }

    fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    fn positions(&self) -> (u64, u64) {
        self.ring.positions()
    }

    fn new_producer(&self) -> Result<R::Producer, BuildError> {
        self.ring.new_producer()
    }

    fn new_consumer(&self) -> Result<R::Consumer, BuildError> {
        self.ring.new_consumer()
    }

    unsafe fn try_claim(&self, side: &mut R::Producer) -> Result<Lease, PushRefusal> {
        if self.closed() {
            return Err(PushRefusal::Closed);
        }
        // SAFETY: the caller's promise. A lease has no drop, so a copy of it
        // is an address like any other.
        unsafe {
            let claim = self.ring.try_claim(side)?;
            if HOW != EARLY {
                return Ok(claim);
            }
            let copy = std::ptr::read(&raw const claim);
            match self.ring.try_commit(side, claim) {
                Ok(()) => Ok(copy),
                Err((claim, why)) => {
                    self.ring.abandon(side, claim);
                    Err(why)
                }
            }
        }
    }

    unsafe fn try_commit(
        &self,
        side: &mut R::Producer,
        claim: Lease,
    ) -> Result<(), (Lease, PushRefusal)> {
        if HOW == EARLY {
            return Ok(()); // done before the payload was written
        }
        // SAFETY: the caller's promise.
        unsafe { self.ring.try_commit(side, claim) }
    }

    unsafe fn abandon(&self, side: &mut R::Producer, claim: Lease) {
        // SAFETY: the caller's promise.
        unsafe { self.ring.abandon(side, claim) }
    }

    unsafe fn try_take(&self, side: &mut R::Consumer) -> Result<Lease, PopRefusal> {
        // SAFETY: the caller's promise.
        unsafe { self.ring.try_take(side) }.map_err(|why| self.ended(why))
    }

    unsafe fn try_take_if(
        &self,
        side: &mut R::Consumer,
        accept: impl FnMut(*mut u8) -> bool,
    ) -> Result<Option<Lease>, PopRefusal> {
        // SAFETY: the caller's promise.
        unsafe { self.ring.try_take_if(side, accept) }.map_err(|why| self.ended(why))
    }

    unsafe fn release(&self, side: &mut R::Consumer, taken: Lease) {
        // SAFETY: the caller's promise.
        unsafe { self.ring.release(side, taken) }
    }

    unsafe fn push_run(
        &self,
        side: &mut R::Producer,
        n: usize,
        fill: impl FnMut(*mut u8) -> bool,
        back: impl FnMut(*mut u8),
    ) -> Result<usize, PushRefusal> {
        if self.closed() {
            return Err(PushRefusal::Closed);
        }
        // SAFETY: the caller's promise.
        unsafe { self.ring.push_run(side, n, fill, back) }
    }

    unsafe fn pop_run(
        &self,
        side: &mut R::Consumer,
        n: usize,
        read: impl FnMut(*mut u8),
    ) -> Result<usize, PopRefusal> {
        // SAFETY: the caller's promise.
        unsafe { self.ring.pop_run(side, n, read) }.map_err(|why| self.ended(why))
    }

    fn note_claim(&self, side: &mut R::Producer) {
        self.ring.note_claim(side);
    }

    fn note_take(&self, side: &mut R::Consumer) {
        self.ring.note_take(side);
    }

    unsafe fn claim_at(&self, side: &mut R::Producer, payload: *mut u8) -> Option<Lease> {
        // SAFETY: the caller's promise.
        unsafe { self.ring.claim_at(side, payload) }
    }

    unsafe fn taken_at(&self, side: &mut R::Consumer, payload: *mut u8) -> Option<Lease> {
        // SAFETY: the caller's promise.
        unsafe { self.ring.taken_at(side, payload) }
    }

    fn seal(&self) -> bool {
        match HOW {
            EARLY => self.ring.seal(),
            FLAG => {
                self.flag().fetch_or(1, Tuned::acq_rel(FLAG_STEP));
                true
            }
            _ => {
                self.flag().fetch_add(1, Tuned::acq_rel(FLAG_STEP));
                true
            }
        }
    }

    fn is_sealed(&self) -> bool {
        if HOW == EARLY {
            self.ring.is_sealed()
        } else {
            self.closed()
        }
    }

    unsafe fn for_each_left(&self, f: impl FnMut(*mut u8)) {
        // SAFETY: the caller's promise.
        unsafe { self.ring.for_each_left(f) }
    }
}
