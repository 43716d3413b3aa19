//! Explicit producers: one thread at a time each, and a little faster than calls on the ring.

use std::ffi::c_void;
use std::sync::Arc;

use turtle_buffers::erased::{DynProducer, DynRing, Way};

use crate::boundary::{Refused, guard, guard_or, invalid, usable};
use crate::calls::Side;
use crate::ring::{ring, turtle_buffer};
use crate::status::turtle_status;

/// An explicit producer of a ring: one thread at a time may use it, and it may move between threads.
#[derive(Debug)]
pub struct turtle_producer {
    way: Way,
    side: Box<dyn DynProducer>,
    ring: Arc<dyn DynRing>,
}

impl turtle_producer {
    pub(crate) fn make(side: Box<dyn DynProducer>, ring: Arc<dyn DynRing>) -> *mut Self {
        Box::into_raw(Box::new(Self {
            way: side.push_way(),
            side,
            ring,
        }))
    }
}

/// The handle behind a pointer.
///
/// # Safety
/// `producer` is null, misaligned, or a handle that nobody frees and no other thread uses during `'a`.
#[inline(always)]
unsafe fn handle<'a>(producer: *mut turtle_producer) -> Result<Side<'a, dyn DynProducer>, Refused> {
    if !usable(producer) {
        return Err(invalid(
            "the turtle_producer is null or misaligned; turtle_producer_new makes one",
        ));
    }
    // SAFETY: the caller's promise.
    let producer = unsafe { &*producer };
    Ok(Side {
        side: producer.side.as_ref(),
        ring: &producer.ring,
    })
}

/// Makes an explicit producer. It keeps the ring alive after turtle_free, until it is freed itself.
///
/// `*out` is written on success only.
/// Returns TURTLE_OK; TURTLE_ERR_NO_HANDLE when the strategy, or `max_threads`, allows no more; TURTLE_ERR_INVALID.
/// Threads: any. Progress: allocates.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_producer_new(
    buffer: *mut turtle_buffer,
    out: *mut *mut turtle_producer,
) -> turtle_status {
    guard(|| {
        if !usable(out) {
            return Err(invalid(
                "out is null or misaligned; pass the address of a variable",
            ));
        }
        // SAFETY: the caller's promise: a live ring.
        let ring = unsafe { ring(buffer)? }.here()?.clone();
        let side = ring.clone().producer()?;
        // SAFETY: checked above.
        unsafe { out.write(turtle_producer::make(side, ring)) };
        Ok(())
    })
}

/// Closes the ring of a producer, as turtle_close does.
///
/// Returns TURTLE_OK, also for a ring that is closed already, or TURTLE_ERR_INVALID.
/// Threads: any, also while another one uses the producer. Progress: always returns; system calls to wake sleepers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_producer_close(producer: *mut turtle_producer) -> turtle_status {
    guard(|| {
        if !usable(producer) {
            return Err(invalid(
                "the turtle_producer is null or misaligned; turtle_producer_new makes one",
            ));
        }
        // SAFETY: the caller's promise: a live handle. Only its ring is looked at, which any thread may use.
        let ring = unsafe { &(*producer).ring };
        if let Some(why) = ring.trouble() {
            return Err(invalid(why));
        }
        ring.close();
        Ok(())
    })
}

/// Frees a producer; where the strategy allows one, the next one may be made. Null is allowed and does nothing.
///
/// Threads: any, but no other call with this pointer may run now or later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_producer_free(producer: *mut turtle_producer) {
    guard_or((), || {
        if !usable(producer) {
            return;
        }
        // SAFETY: made by `turtle_producer_new`, and the caller gives it up.
        let producer = unsafe { Box::from_raw(producer) };
        if producer.ring.trouble().is_some() {
            // In a forked child: what belongs to the parent is left alone.
            std::mem::forget(producer);
        }
    });
}

/// The straight way, or everything else. There is nothing here that could panic.
///
/// # Safety
/// As turtle_producer_push.
#[inline(always)]
unsafe fn push(
    producer: *mut turtle_producer,
    elem: *const c_void,
    timeout_ns: u64,
) -> turtle_status {
    let elem = elem.cast_mut();
    // SAFETY: the caller's promise, once the pointers are known to be usable.
    unsafe {
        if !usable(producer) || elem.is_null() {
            return push_anyway(producer.cast(), elem, timeout_ns);
        }
        (*producer)
            .way
            .go(elem, timeout_ns, producer.cast(), push_anyway)
    }
}

/// A push that is not done yet.
///
/// # Safety
/// As turtle_producer_push.
#[inline(never)]
unsafe extern "C" fn push_anyway(
    producer: *mut c_void,
    elem: *mut c_void,
    timeout_ns: u64,
) -> turtle_status {
    // SAFETY: the caller's promise.
    guard(|| unsafe { handle(producer.cast::<turtle_producer>())?.push(elem, timeout_ns) })
}

/// As turtle_try_push, through this handle.
/// Threads: one at a time. Progress: as turtle_try_push.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_producer_try_push(
    producer: *mut turtle_producer,
    elem: *const c_void,
) -> turtle_status {
    // SAFETY: the caller's promises, as documented.
    unsafe { push(producer, elem, 0) }
}

/// As turtle_push, through this handle.
/// Threads: one at a time. Progress: as turtle_push.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_producer_push(
    producer: *mut turtle_producer,
    elem: *const c_void,
    timeout_ns: u64,
) -> turtle_status {
    // SAFETY: the caller's promises, as documented.
    unsafe { push(producer, elem, timeout_ns) }
}

/// As turtle_try_push_n, through this handle.
/// Threads: one at a time. Progress: as turtle_try_push_n.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_producer_try_push_n(
    producer: *mut turtle_producer,
    elems: *const c_void,
    n: usize,
    done: *mut usize,
) -> turtle_status {
    // SAFETY: the caller's promises, as documented.
    guard(|| unsafe { handle(producer)?.try_push_n(elems, n, done) })
}

/// As turtle_push_record, through this handle.
/// Threads: one at a time. Progress: as turtle_push_record.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_producer_push_record(
    producer: *mut turtle_producer,
    data: *const c_void,
    len: usize,
    timeout_ns: u64,
) -> turtle_status {
    // SAFETY: the caller's promises, as documented.
    guard(|| unsafe { handle(producer)?.push_record(data, len, timeout_ns) })
}

/// As turtle_claim, through this handle.
/// Threads: one at a time. Progress: as turtle_claim.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_producer_claim(
    producer: *mut turtle_producer,
    slot: *mut *mut c_void,
) -> turtle_status {
    // SAFETY: the caller's promises, as documented.
    guard(|| unsafe { handle(producer)?.claim(slot, 0) })
}

/// As turtle_claim_timeout, through this handle.
/// Threads: one at a time. Progress: as turtle_claim_timeout.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_producer_claim_timeout(
    producer: *mut turtle_producer,
    slot: *mut *mut c_void,
    timeout_ns: u64,
) -> turtle_status {
    // SAFETY: the caller's promises, as documented.
    guard(|| unsafe { handle(producer)?.claim(slot, timeout_ns) })
}

/// As turtle_commit, through this handle.
/// Threads: one at a time. Progress: as turtle_commit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_producer_commit(
    producer: *mut turtle_producer,
    slot: *mut c_void,
) -> turtle_status {
    // SAFETY: the caller's promises, as documented.
    guard(|| unsafe { handle(producer)?.commit(slot) })
}

/// As turtle_commit_record, through this handle.
/// Threads: one at a time. Progress: as turtle_commit_record.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_producer_commit_record(
    producer: *mut turtle_producer,
    slot: *mut c_void,
    len: usize,
) -> turtle_status {
    // SAFETY: the caller's promises, as documented.
    guard(|| unsafe { handle(producer)?.commit_record(slot, len) })
}

/// As turtle_abandon, through this handle.
/// Threads: one at a time. Progress: as turtle_abandon.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_producer_abandon(
    producer: *mut turtle_producer,
    slot: *mut c_void,
) -> turtle_status {
    // SAFETY: the caller's promises, as documented.
    guard(|| unsafe { handle(producer)?.abandon(slot) })
}
