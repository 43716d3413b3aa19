//! Sessions over byte records, and rings that push or pop through one handle.

use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use super::{DynConsumer, DynProducer, DynRing, Handle, Outcome, Pop, Push, Records, Way};
use crate::core::{Core, Stats};
use crate::error::BuildError;
use crate::ring::Recovered;
use crate::strategy::{Direction, RawRing, Shape, Strategy};

/// The bytes of one element, or of one record without its length.
pub type Element = Box<[u8]>;

impl<Sh: Shape + 'static, R: RawRing<Sh> + 'static> Records<Sh, R> {
    pub(super) fn open_producer(
        self: Arc<Self>,
        session: u64,
    ) -> Result<(Box<dyn DynProducer>, Recovered<Element>), BuildError> {
        self.refuse_after_fork()?;
        let (side, role, left) = self.calls.core.producer_as(session)?;
        let join = Core::new_producer;
        let handle = Handle::new((side, role), R::TRAITS.producers, join, self);
        Ok((Box::new(handle), Recovered::new(left, Vec::new())))
    }

    pub(super) fn open_consumer(
        self: Arc<Self>,
        session: u64,
    ) -> Result<(Box<dyn DynConsumer>, Recovered<Element>), BuildError> {
        self.refuse_after_fork()?;
        let mut orphans = Vec::new();
        let (side, role, left) = self
            .calls
            .core
            .consumer_as(session, |slot| orphans.push(self.element(slot)))?;
        let join = Core::new_consumer;
        let handle = Handle::new((side, role), R::TRAITS.consumers, join, self);
        Ok((Box::new(handle), Recovered::new(left, orphans)))
    }

    pub(super) fn orphans(&self, max: usize) -> Vec<Element> {
        let mut orphans = Vec::new();
        if self.here() {
            let read = |slot| orphans.push(self.element(slot));
            self.calls.core.take_orphans(max, read);
        }
        orphans
    }

    pub(super) fn forget(&self, direction: Direction, session: u64) -> Result<(), BuildError> {
        self.refuse_after_fork()?;
        self.calls.core.forget_session(direction, session)
    }

    /// A copy of what lies in a slot that the engine hands out.
    fn element(&self, slot: *mut u8) -> Element {
        let lead = self.calls.lead;
        let len = if lead == 0 {
            self.calls.size()
        } else {
            // SAFETY: a slot of this ring.
            unsafe { self.calls.record_len(slot) }
        };
        let mut bytes = Vec::with_capacity(len);
        // SAFETY: the slot has that many bytes behind its lead; there is room for
        // them. No reference is made to what another process may write.
        unsafe {
            std::ptr::copy_nonoverlapping(slot.add(lead), bytes.as_mut_ptr(), len);
            bytes.set_len(len);
        }
        bytes.into_boxed_slice()
    }
}

/// The ring, with all its pushes through this handle. Where the ring would let
/// any thread push, one at a time does: another one hears `NoHandle` meanwhile.
#[must_use]
pub fn through_producer(ring: Arc<dyn DynRing>, side: Box<dyn DynProducer>) -> Arc<dyn DynRing> {
    Arc::new(Through {
        ring,
        push: Some(Mutex::new(side)),
        pop: None,
    })
}

/// The ring, with all its pops through this handle; see [`through_producer`].
#[must_use]
pub fn through_consumer(ring: Arc<dyn DynRing>, side: Box<dyn DynConsumer>) -> Arc<dyn DynRing> {
    Arc::new(Through {
        ring,
        push: None,
        pop: Some(Mutex::new(side)),
    })
}

#[derive(Debug)]
struct Through {
    ring: Arc<dyn DynRing>,
    push: Option<Mutex<Box<dyn DynProducer>>>,
    pop: Option<Mutex<Box<dyn DynConsumer>>>,
}

/// Runs a call with the handle.
fn with<S: ?Sized>(side: &Mutex<Box<S>>, call: impl FnOnce(&S) -> Outcome) -> Outcome {
    match side.try_lock() {
        Ok(side) => call(&**side),
        // No call leaves a handle half-changed.
        Err(TryLockError::Poisoned(side)) => call(&**side.into_inner()),
        Err(TryLockError::WouldBlock) => Outcome::NoHandle,
    }
}

/// A call with the handle of this side, or with the ring where there is none.
macro_rules! through {
    ($this:ident.$side:ident, |$to:ident| $call:expr) => {
        match &$this.$side {
            Some(side) => with(side, |$to| $call),
            None => {
                let $to = &*$this.ring;
                $call
            }
        }
    };
}

#[allow(clippy::undocumented_unsafe_blocks)] // each forwards the trait's own contract
impl Push for Through {
    unsafe fn try_push(&self, elem: *const u8) -> Outcome {
        through!(self.push, |to| unsafe { to.try_push(elem) })
    }
    unsafe fn push(&self, elem: *const u8, timeout: Option<Duration>) -> Outcome {
        through!(self.push, |to| unsafe { to.push(elem, timeout) })
    }
    unsafe fn try_push_n(&self, elems: *const u8, n: usize, done: &mut usize) -> Outcome {
        *done = 0;
        through!(self.push, |to| unsafe { to.try_push_n(elems, n, done) })
    }
    unsafe fn push_record(
        &self,
        data: *const u8,
        len: usize,
        timeout: Option<Duration>,
    ) -> Outcome {
        through!(self.push, |to| unsafe {
            to.push_record(data, len, timeout)
        })
    }
    fn claim(&self, slot: &mut *mut u8) -> Outcome {
        self.claim_within(slot, Some(Duration::ZERO))
    }
    fn claim_within(&self, slot: &mut *mut u8, timeout: Option<Duration>) -> Outcome {
        through!(self.push, |to| to.claim_within(slot, timeout))
    }
    unsafe fn commit(&self, slot: *mut u8) -> Outcome {
        through!(self.push, |to| unsafe { to.commit(slot) })
    }
    unsafe fn commit_record(&self, slot: *mut u8, len: usize) -> Outcome {
        through!(self.push, |to| unsafe { to.commit_record(slot, len) })
    }
    fn abandon(&self, slot: *mut u8) -> Outcome {
        through!(self.push, |to| to.abandon(slot))
    }
}

#[allow(clippy::undocumented_unsafe_blocks)] // as above
impl Pop for Through {
    unsafe fn try_pop(&self, elem: *mut u8) -> Outcome {
        through!(self.pop, |to| unsafe { to.try_pop(elem) })
    }
    unsafe fn pop(&self, elem: *mut u8, timeout: Option<Duration>) -> Outcome {
        through!(self.pop, |to| unsafe { to.pop(elem, timeout) })
    }
    unsafe fn pop_n(
        &self,
        elems: *mut u8,
        max: usize,
        timeout: Option<Duration>,
        done: &mut usize,
    ) -> Outcome {
        *done = 0;
        through!(self.pop, |to| unsafe {
            to.pop_n(elems, max, timeout, done)
        })
    }
    unsafe fn pop_record(
        &self,
        data: *mut u8,
        cap: usize,
        len: &mut usize,
        timeout: Option<Duration>,
    ) -> Outcome {
        through!(self.pop, |to| unsafe {
            to.pop_record(data, cap, len, timeout)
        })
    }
    fn peek(&self, slot: &mut *const u8, len: &mut usize) -> Outcome {
        through!(self.pop, |to| to.peek(slot, len))
    }
    fn peek_within(
        &self,
        slot: &mut *const u8,
        len: &mut usize,
        timeout: Option<Duration>,
    ) -> Outcome {
        through!(self.pop, |to| to.peek_within(slot, len, timeout))
    }
    fn release(&self, slot: *const u8) -> Outcome {
        through!(self.pop, |to| to.release(slot))
    }
}

impl DynRing for Through {
    fn producer(self: Arc<Self>) -> Result<Box<dyn DynProducer>, BuildError> {
        self.ring.clone().producer()
    }
    fn consumer(self: Arc<Self>) -> Result<Box<dyn DynConsumer>, BuildError> {
        self.ring.clone().consumer()
    }
    fn producer_as(
        self: Arc<Self>,
        session: u64,
    ) -> Result<(Box<dyn DynProducer>, Recovered<Element>), BuildError> {
        self.ring.clone().producer_as(session)
    }
    fn consumer_as(
        self: Arc<Self>,
        session: u64,
    ) -> Result<(Box<dyn DynConsumer>, Recovered<Element>), BuildError> {
        self.ring.clone().consumer_as(session)
    }
    fn forget_session(&self, direction: Direction, session: u64) -> Result<(), BuildError> {
        self.ring.forget_session(direction, session)
    }
    fn take_orphans(&self, max: usize) -> Vec<Element> {
        self.ring.take_orphans(max)
    }
    fn reclaim(&self) -> usize {
        self.ring.reclaim()
    }
    fn release_thread(&self) {
        self.ring.release_thread();
    }
    fn close(&self) {
        self.ring.close();
    }
    fn is_closed(&self) -> bool {
        self.ring.is_closed()
    }
    fn interrupt(&self) {
        self.ring.interrupt();
    }
    fn len(&self) -> usize {
        self.ring.len()
    }
    fn capacity(&self) -> usize {
        self.ring.capacity()
    }
    fn elem_size(&self) -> usize {
        self.ring.elem_size()
    }
    fn elem_align(&self) -> usize {
        self.ring.elem_align()
    }
    fn has_records(&self) -> bool {
        self.ring.has_records()
    }
    fn strategy(&self) -> Strategy {
        self.ring.strategy()
    }
    fn stats(&self) -> Stats {
        self.ring.stats()
    }
    fn is_shared(&self) -> bool {
        self.ring.is_shared()
    }
    fn event_fd(self: Arc<Self>) -> std::io::Result<i32> {
        self.ring.clone().event_fd()
    }
    fn trouble(&self) -> Option<&'static str> {
        self.ring.trouble()
    }
    fn push_way(&self) -> Way {
        Way::none()
    }
    fn pop_way(&self) -> Way {
        Way::none()
    }
}
