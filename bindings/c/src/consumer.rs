//! Explicit consumers: one thread at a time each, and a little faster than calls on the ring.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::Arc;

use turtle_buffers::erased::{DynConsumer, DynRing, Element, Way};

use crate::boundary::{Refused, guard, guard_or, invalid, usable};
use crate::calls::Side;
use crate::ring::{ring, turtle_buffer};
use crate::status::turtle_status;

/// An explicit consumer of a ring: one thread at a time may use it, and it may move between threads.
#[derive(Debug)]
pub struct turtle_consumer {
    way: Way,
    side: Box<dyn DynConsumer>,
    ring: Arc<dyn DynRing>,
    /// Of its session: what has not been given yet.
    orphans: VecDeque<Element>,
}

impl turtle_consumer {
    pub(crate) fn make(
        side: Box<dyn DynConsumer>,
        ring: Arc<dyn DynRing>,
        orphans: VecDeque<Element>,
    ) -> *mut Self {
        Box::into_raw(Box::new(Self {
            way: side.pop_way(),
            side,
            ring,
            orphans,
        }))
    }

    /// The ring and the orphans of a handle.
    ///
    /// # Safety
    /// As `handle`, and nobody has these now.
    pub(crate) unsafe fn orphans<'a>(
        consumer: *mut Self,
    ) -> Result<(&'a Arc<dyn DynRing>, &'a mut VecDeque<Element>), Refused> {
        // SAFETY: the caller's promise.
        unsafe {
            handle(consumer)?;
            Ok((&(*consumer).ring, &mut (*consumer).orphans))
        }
    }
}

/// The handle behind a pointer.
///
/// # Safety
/// `consumer` is null, misaligned, or a handle that nobody frees and no other thread uses during `'a`.
#[inline(always)]
unsafe fn handle<'a>(consumer: *mut turtle_consumer) -> Result<Side<'a, dyn DynConsumer>, Refused> {
    if !usable(consumer) {
        return Err(invalid(
            "the turtle_consumer is null or misaligned; turtle_consumer_new makes one",
        ));
    }
    // SAFETY: the caller's promise.
    let consumer = unsafe { &*consumer };
    Ok(Side {
        side: consumer.side.as_ref(),
        ring: &consumer.ring,
    })
}

/// Makes an explicit consumer. It keeps the ring alive after turtle_free, until it is freed itself.
///
/// `*out` is written on success only.
/// Returns TURTLE_OK; TURTLE_ERR_NO_HANDLE when the strategy, or `max_threads`, allows no more; TURTLE_ERR_INVALID.
/// Threads: any. Progress: allocates.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_consumer_new(
    buffer: *mut turtle_buffer,
    out: *mut *mut turtle_consumer,
) -> turtle_status {
    guard(|| {
        if !usable(out) {
            return Err(invalid(
                "out is null or misaligned; pass the address of a variable",
            ));
        }
        // SAFETY: the caller's promise: a live ring.
        let ring = unsafe { ring(buffer)? }.here()?.clone();
        let side = ring.clone().consumer()?;
        // SAFETY: checked above.
        unsafe { out.write(turtle_consumer::make(side, ring, VecDeque::new())) };
        Ok(())
    })
}

/// Closes the ring of a consumer, as turtle_close does.
///
/// Returns TURTLE_OK, also for a ring that is closed already, or TURTLE_ERR_INVALID.
/// Threads: any, also while another one uses the consumer. Progress: always returns; system calls to wake sleepers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_consumer_close(consumer: *mut turtle_consumer) -> turtle_status {
    guard(|| {
        if !usable(consumer) {
            return Err(invalid(
                "the turtle_consumer is null or misaligned; turtle_consumer_new makes one",
            ));
        }
        // SAFETY: the caller's promise: a live handle. Only its ring is looked at, which any thread may use.
        let ring = unsafe { &(*consumer).ring };
        if let Some(why) = ring.trouble() {
            return Err(invalid(why));
        }
        ring.close();
        Ok(())
    })
}

/// Frees a consumer; where the strategy allows one, the next one may be made. Null is allowed and does nothing.
///
/// Threads: any, but no other call with this pointer may run now or later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_consumer_free(consumer: *mut turtle_consumer) {
    guard_or((), || {
        if !usable(consumer) {
            return;
        }
        // SAFETY: made by `turtle_consumer_new`, and the caller gives it up.
        let consumer = unsafe { Box::from_raw(consumer) };
        if consumer.ring.trouble().is_some() {
            // In a forked child: what belongs to the parent is left alone.
            std::mem::forget(consumer);
        }
    });
}

/// The straight way, or everything else. There is nothing here that could panic.
///
/// # Safety
/// As turtle_consumer_pop.
#[inline(always)]
unsafe fn pop(consumer: *mut turtle_consumer, elem: *mut c_void, timeout_ns: u64) -> turtle_status {
    // SAFETY: the caller's promise, once the pointers are known to be usable.
    unsafe {
        if !usable(consumer) || elem.is_null() {
            return pop_anyway(consumer.cast(), elem, timeout_ns);
        }
        (*consumer)
            .way
            .go(elem, timeout_ns, consumer.cast(), pop_anyway)
    }
}

/// A pop that is not done yet.
///
/// # Safety
/// As turtle_consumer_pop.
#[inline(never)]
unsafe extern "C" fn pop_anyway(
    consumer: *mut c_void,
    elem: *mut c_void,
    timeout_ns: u64,
) -> turtle_status {
    // SAFETY: the caller's promise.
    guard(|| unsafe { handle(consumer.cast::<turtle_consumer>())?.pop(elem, timeout_ns) })
}

/// As turtle_try_pop, through this handle.
/// Threads: one at a time. Progress: as turtle_try_pop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_consumer_try_pop(
    consumer: *mut turtle_consumer,
    elem: *mut c_void,
) -> turtle_status {
    // SAFETY: the caller's promises, as documented.
    unsafe { pop(consumer, elem, 0) }
}

/// As turtle_pop, through this handle.
/// Threads: one at a time. Progress: as turtle_pop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_consumer_pop(
    consumer: *mut turtle_consumer,
    elem: *mut c_void,
    timeout_ns: u64,
) -> turtle_status {
    // SAFETY: the caller's promises, as documented.
    unsafe { pop(consumer, elem, timeout_ns) }
}

/// As turtle_pop_n, through this handle.
/// Threads: one at a time. Progress: as turtle_pop_n.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_consumer_pop_n(
    consumer: *mut turtle_consumer,
    elems: *mut c_void,
    max: usize,
    timeout_ns: u64,
    done: *mut usize,
) -> turtle_status {
    // SAFETY: the caller's promises, as documented.
    guard(|| unsafe { handle(consumer)?.pop_n(elems, max, timeout_ns, done) })
}

/// As turtle_pop_record, through this handle.
/// Threads: one at a time. Progress: as turtle_pop_record.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_consumer_pop_record(
    consumer: *mut turtle_consumer,
    data: *mut c_void,
    cap: usize,
    len: *mut usize,
    timeout_ns: u64,
) -> turtle_status {
    // SAFETY: the caller's promises, as documented.
    guard(|| unsafe { handle(consumer)?.pop_record(data, cap, len, timeout_ns) })
}

/// As turtle_peek, through this handle.
/// Threads: one at a time. Progress: as turtle_peek.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_consumer_peek(
    consumer: *mut turtle_consumer,
    slot: *mut *const c_void,
) -> turtle_status {
    // SAFETY: the caller's promises, as documented.
    guard(|| unsafe { handle(consumer)?.peek(slot, None, 0) })
}

/// As turtle_peek_record, through this handle.
/// Threads: one at a time. Progress: as turtle_peek_record.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_consumer_peek_record(
    consumer: *mut turtle_consumer,
    slot: *mut *const c_void,
    len: *mut usize,
) -> turtle_status {
    // SAFETY: the caller's promises, as documented.
    guard(|| unsafe { handle(consumer)?.peek(slot, Some(len), 0) })
}

/// As turtle_peek_timeout, through this handle.
/// Threads: one at a time. Progress: as turtle_peek_timeout.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_consumer_peek_timeout(
    consumer: *mut turtle_consumer,
    slot: *mut *const c_void,
    len: *mut usize,
    timeout_ns: u64,
) -> turtle_status {
    let len = (!len.is_null()).then_some(len);
    // SAFETY: the caller's promises, as documented.
    guard(|| unsafe { handle(consumer)?.peek(slot, len, timeout_ns) })
}

/// As turtle_release, through this handle.
/// Threads: one at a time. Progress: as turtle_release.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_consumer_release(
    consumer: *mut turtle_consumer,
    slot: *const c_void,
) -> turtle_status {
    // SAFETY: the caller's promises, as documented.
    guard(|| unsafe { handle(consumer)?.release(slot) })
}
