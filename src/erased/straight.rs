//! The straight way of a single push or pop, for callers that nothing can be
//! inlined into: the C border.
//!
//! A call that meets nothing in its way (its own process, its own side, room
//! known, nobody asleep, no call in between) is short. What makes it slow
//! there is what it keeps ready for the other cases: registers saved, checks
//! in several layers, a result translated twice. So a [`Way`] is one plain C
//! function that does the short case and nothing else, and jumps, without a
//! frame of its own, to what the caller gave for every other case. Until then
//! nothing has been done and nothing decided.
//!
//! Measured (`docs/benchmarks.md`, row `c`): pairs on `turn` 1.33 of Rust's own
//! time without, 1.21 with; on `spsc`, where Rust inlines all of it, 1.82 and 1.66.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use super::{Calls, Handle, Records};
use crate::os::fork::fork_generation;
use crate::os::thread::thread_token;
use crate::strategy::{RawRing, Shape};

/// What to do when something stands in the way: gets the caller's context,
/// element and timeout back. Its answer is the call's.
pub type Otherwise =
    unsafe extern "C" fn(context: *mut c_void, elem: *mut c_void, timeout_ns: u64) -> i32;

/// A push from, or a pop to, `elem`: 0 if it is done, or what `otherwise` says.
pub type Straight = unsafe extern "C" fn(
    object: *const c_void,
    elem: *mut c_void,
    timeout_ns: u64,
    context: *mut c_void,
    otherwise: Otherwise,
) -> i32;

/// A function and what it is for.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    object: *const c_void,
    call: Straight,
}

// SAFETY: the object is a ring, or a handle that moves with its way.
unsafe impl Send for Way {}
// SAFETY: as above; who may call is said at `go`.
unsafe impl Sync for Way {}

impl Way {
    /// Goes it.
    ///
    /// # Safety
    /// The ring or handle that gave the way is still there, and used by the
    /// threads that may use it; `elem` is valid for reading (push) or writing
    /// (pop) an element, in whatever alignment; `otherwise` may be called with
    /// these arguments.
    #[inline(always)]
    pub unsafe fn go(
        &self,
        elem: *mut c_void,
        timeout_ns: u64,
        context: *mut c_void,
        otherwise: Otherwise,
    ) -> i32 {
        // SAFETY: the caller's promise.
        unsafe { (self.call)(self.object, elem, timeout_ns, context, otherwise) }
    }

    /// For what has no straight way.
    pub(super) fn none() -> Self {
        Self {
            object: std::ptr::null(),
            call: never,
        }
    }

    fn new<T>(object: &T, records: bool, call: Straight) -> Self {
        Self {
            object: std::ptr::from_ref(object).cast(),
            // A ring with records has no single elements.
            call: if records { never } else { call },
        }
    }
}

unsafe extern "C" fn never(
    _: *const c_void,
    elem: *mut c_void,
    timeout_ns: u64,
    context: *mut c_void,
    otherwise: Otherwise,
) -> i32 {
    // SAFETY: `Way::go`'s promise.
    unsafe { otherwise(context, elem, timeout_ns) }
}

pub(super) fn push_of_ring<Sh: Shape + 'static, R: RawRing<Sh> + 'static>(
    ring: &Records<Sh, R>,
) -> Way {
    Way::new(ring, ring.calls.lead != 0, push_on_ring::<Sh, R>)
}

pub(super) fn pop_of_ring<Sh: Shape + 'static, R: RawRing<Sh> + 'static>(
    ring: &Records<Sh, R>,
) -> Way {
    Way::new(ring, ring.calls.lead != 0, pop_on_ring::<Sh, R>)
}

pub(super) fn push_of_handle<Sh: Shape + 'static, R: RawRing<Sh> + 'static>(
    handle: &Handle<R::Producer, Sh, R>,
) -> Way {
    Way::new(handle, handle.calls.lead != 0, push_on_handle::<Sh, R>)
}

pub(super) fn pop_of_handle<Sh: Shape + 'static, R: RawRing<Sh> + 'static>(
    handle: &Handle<R::Consumer, Sh, R>,
) -> Way {
    Way::new(handle, handle.calls.lead != 0, pop_on_handle::<Sh, R>)
}

unsafe extern "C" fn push_on_ring<Sh: Shape + 'static, R: RawRing<Sh> + 'static>(
    object: *const c_void,
    elem: *mut c_void,
    timeout_ns: u64,
    context: *mut c_void,
    otherwise: Otherwise,
) -> i32 {
    // SAFETY: `Way::new` took it from such a ring, which is still there.
    let ring = unsafe { &*object.cast::<Records<Sh, R>>() };
    let done = ring.generation.load(Ordering::Relaxed) == fork_generation()
        && if const { R::TRAITS.kept(R::TRAITS.producers) } {
            // SAFETY: this thread's token; nothing in here comes back.
            let side = unsafe {
                ring.producer
                    .at_hand(thread_token(), const { R::TRAITS.records })
            };
            // SAFETY: a side of this ring, this thread's own; the caller gives
            // an element.
            side.is_some_and(|side| unsafe { ring.calls.push_straight(side, elem) })
        } else {
            let hint = ring.producer.hint.load(Ordering::Relaxed);
            let mut side = ring.calls.raw.resume_producer(hint);
            // SAFETY: as above.
            unsafe { ring.calls.push_straight(&mut side, elem) }
        };
    // SAFETY: `Way::go`'s promise.
    unsafe { pushed(&ring.calls, done, elem, timeout_ns, context, otherwise) }
}

unsafe extern "C" fn pop_on_ring<Sh: Shape + 'static, R: RawRing<Sh> + 'static>(
    object: *const c_void,
    elem: *mut c_void,
    timeout_ns: u64,
    context: *mut c_void,
    otherwise: Otherwise,
) -> i32 {
    // SAFETY: as in `push_on_ring`, here and below.
    let ring = unsafe { &*object.cast::<Records<Sh, R>>() };
    let done = ring.generation.load(Ordering::Relaxed) == fork_generation()
        && if const { R::TRAITS.kept(R::TRAITS.consumers) } {
            // SAFETY: this thread's token; nothing in here comes back.
            let side = unsafe {
                ring.consumer
                    .at_hand(thread_token(), const { R::TRAITS.records })
            };
            // SAFETY: a side of this ring, this thread's own; the caller gives
            // an element.
            side.is_some_and(|side| unsafe { ring.calls.pop_straight(side, elem) })
        } else {
            let hint = ring.consumer.hint.load(Ordering::Relaxed);
            let mut side = ring.calls.raw.resume_consumer(hint);
            // SAFETY: as above.
            unsafe { ring.calls.pop_straight(&mut side, elem) }
        };
    // SAFETY: as above.
    unsafe { popped(&ring.calls, done, elem, timeout_ns, context, otherwise) }
}

unsafe extern "C" fn push_on_handle<Sh: Shape + 'static, R: RawRing<Sh> + 'static>(
    object: *const c_void,
    elem: *mut c_void,
    timeout_ns: u64,
    context: *mut c_void,
    otherwise: Otherwise,
) -> i32 {
    // SAFETY: `Way::new` took it from such a handle, which is still there.
    let handle = unsafe { &*object.cast::<Handle<R::Producer, Sh, R>>() };
    // SAFETY: one thread at a time uses a handle; the caller gives an element.
    let done = handle.generation.load(Ordering::Relaxed) == fork_generation()
        && unsafe { handle.calls.push_straight(&mut *handle.side.get(), elem) };
    // SAFETY: `Way::go`'s promise.
    unsafe { pushed(&handle.calls, done, elem, timeout_ns, context, otherwise) }
}

unsafe extern "C" fn pop_on_handle<Sh: Shape + 'static, R: RawRing<Sh> + 'static>(
    object: *const c_void,
    elem: *mut c_void,
    timeout_ns: u64,
    context: *mut c_void,
    otherwise: Otherwise,
) -> i32 {
    // SAFETY: as in `push_on_handle`, here and below.
    let handle = unsafe { &*object.cast::<Handle<R::Consumer, Sh, R>>() };
    // SAFETY: as above.
    let done = handle.generation.load(Ordering::Relaxed) == fork_generation()
        && unsafe { handle.calls.pop_straight(&mut *handle.side.get(), elem) };
    // SAFETY: as above.
    unsafe { popped(&handle.calls, done, elem, timeout_ns, context, otherwise) }
}

/// The end of a push: done, done with somebody to wake, or not begun.
#[inline(always)]
unsafe fn pushed<Sh: Shape + 'static, R: RawRing<Sh> + 'static>(
    calls: &Calls<Sh, R>,
    done: bool,
    elem: *mut c_void,
    timeout_ns: u64,
    context: *mut c_void,
    otherwise: Otherwise,
) -> i32 {
    if !done {
        // SAFETY: `Way::go`'s promise.
        return unsafe { otherwise(context, elem, timeout_ns) };
    }
    // SAFETY: the bench lives as long as the ring.
    if unsafe { calls.consumers.as_ref() }.anyone() {
        return wake_consumers(calls);
    }
    0
}

/// The end of a pop, likewise.
#[inline(always)]
unsafe fn popped<Sh: Shape + 'static, R: RawRing<Sh> + 'static>(
    calls: &Calls<Sh, R>,
    done: bool,
    elem: *mut c_void,
    timeout_ns: u64,
    context: *mut c_void,
    otherwise: Otherwise,
) -> i32 {
    if !done {
        // SAFETY: `Way::go`'s promise.
        return unsafe { otherwise(context, elem, timeout_ns) };
    }
    // SAFETY: the bench lives as long as the ring.
    if unsafe { calls.producers.as_ref() }.anyone() {
        return wake_producers(calls);
    }
    0
}

/// Wakes, and answers what the push does: it is done, whatever a waker of an
/// asynchronous task does on its way.
#[cold]
#[inline(never)]
extern "C" fn wake_consumers<Sh: Shape + 'static, R: RawRing<Sh> + 'static>(
    calls: &Calls<Sh, R>,
) -> i32 {
    let _ = catch_unwind(AssertUnwindSafe(|| calls.core.wake_consumers(1)));
    0
}

#[cold]
#[inline(never)]
extern "C" fn wake_producers<Sh: Shape + 'static, R: RawRing<Sh> + 'static>(
    calls: &Calls<Sh, R>,
) -> i32 {
    let _ = catch_unwind(AssertUnwindSafe(|| calls.core.wake_producers(1)));
    0
}

impl<Sh: Shape, R: RawRing<Sh>> Calls<Sh, R> {
    /// # Safety
    /// The side is the caller's, and `elem` is readable for an element.
    #[inline(always)]
    unsafe fn push_straight(&self, side: &mut R::Producer, elem: *const c_void) -> bool {
        // SAFETY: the caller's promise; the copy is the whole payload.
        unsafe {
            self.raw.push_straight(side, |slot| {
                std::ptr::copy_nonoverlapping(elem.cast(), slot, self.core.shape().size());
            })
        }
    }

    /// # Safety
    /// The side is the caller's, and `elem` is writable for an element.
    #[inline(always)]
    unsafe fn pop_straight(&self, side: &mut R::Consumer, elem: *mut c_void) -> bool {
        // SAFETY: as above.
        unsafe {
            self.raw.pop_straight(side, |slot| {
                std::ptr::copy_nonoverlapping(slot, elem.cast(), self.core.shape().size());
            })
        }
    }
}
