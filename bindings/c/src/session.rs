//! Sessions: participants that are known again after they died. And what the dead leave.

use std::collections::VecDeque;
use std::ffi::c_void;

use turtle_buffers::Direction;
use turtle_buffers::erased::{DynRing, Element, Recovered};

use crate::boundary::{Answer, Refused, guard, invalid, usable};
use crate::calls::write_sized;
use crate::consumer::turtle_consumer;
use crate::producer::turtle_producer;
use crate::ring::{ring, turtle_buffer};
use crate::status::{TURTLE_EMPTY, TURTLE_ERR_INVALID, turtle_status};

/// Side of a ring: those who push.
pub const TURTLE_PRODUCER: u32 = 0;
/// Side of a ring: those who pop.
pub const TURTLE_CONSUMER: u32 = 1;

/// What a participant learns that opens its session again. Set `struct_size` to sizeof(turtle_recovered) first.
///
/// Fields are appended, never reordered.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct turtle_recovered {
    /// Bytes of this struct as the caller knows it. Set by the caller.
    pub struct_size: usize,
    /// Elements that were pushed (popped) under this session so far, exactly. 0: the session is new.
    pub done: u64,
    /// Of a consumer: elements that the last one had taken, of which nobody knows whether it used them;
    /// turtle_consumer_orphans hands them out. They count in `done`.
    pub orphans: u64,
    /// 1 if the last one that had the session did not give it back: it was killed, or ended without freeing its
    /// handle.
    pub died: u32,
    /// 0.
    pub reserved: u32,
}

// No padding: a caller that knows fewer fields gets whole ones.
const _: () = assert!(size_of::<turtle_recovered>() == 32);

const NULL_OUT: &str = "out is null or misaligned; pass the address of a variable";

/// Refuses what could not be told afterwards, before anything is opened.
///
/// # Safety
/// `recovered` is null, or a struct of the size it states.
unsafe fn ready<T>(recovered: *mut turtle_recovered, out: *mut T) -> Answer {
    if !usable(out) {
        return Err(invalid(NULL_OUT));
    }
    // SAFETY: the caller's promise.
    unsafe { tell(recovered, turtle_recovered::default()) }
}

/// # Safety
/// As `ready`.
unsafe fn tell(recovered: *mut turtle_recovered, what: turtle_recovered) -> Answer {
    if recovered.is_null() {
        return Ok(());
    }
    // SAFETY: the caller's promise.
    unsafe { write_sized(recovered, what, "turtle_recovered") }
}

fn translate(was: &Recovered<Element>) -> turtle_recovered {
    turtle_recovered {
        struct_size: size_of::<turtle_recovered>(),
        done: was.done,
        orphans: was.orphans.len() as u64,
        died: u32::from(was.died),
        reserved: 0,
    }
}

/// Makes an explicit producer that is known by `session`, any number but 0, and tells what became of the session's
/// pushes so far: a producer that was killed goes on behind element `recovered->done`, without loss or duplicate.
///
/// For shared rings of strategies that keep a record of each participant. As long as the producer is not freed and its
/// process lives nobody else has the session. The session keeps its place, one of `max_threads`, until
/// turtle_forget_session. In a forked child the handle is the parent's and answers TURTLE_ERR_NO_HANDLE.
/// `recovered` may be null. `*out` is written on success only; turtle_producer_free gives the session back.
/// Returns TURTLE_OK; TURTLE_ERR_NO_HANDLE while its owner is alive, or when there is no free place;
/// TURTLE_ERR_UNSUPPORTED for a private ring or another strategy; TURTLE_ERR_INVALID; TURTLE_ERR_IO.
/// Threads: any. Progress: allocates and makes system calls; may wait up to a second for another process that is
/// putting the session's place right.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_producer_open(
    buffer: *mut turtle_buffer,
    session: u64,
    recovered: *mut turtle_recovered,
    out: *mut *mut turtle_producer,
) -> turtle_status {
    guard(|| {
        // SAFETY: a struct of the size it states, and a live ring: the caller's promises.
        unsafe {
            ready(recovered, out)?;
            let ring = ring(buffer)?.here()?.clone();
            let (side, was) = ring.clone().producer_as(session)?;
            tell(recovered, translate(&was))?;
            out.write(turtle_producer::make(side, ring));
        }
        Ok(())
    })
}

/// Makes an explicit consumer that is known by `session`, and tells what became of the session's pops so far.
///
/// As turtle_producer_open; sessions of producers and of consumers are apart. `recovered->orphans` elements wait in
/// the new handle for turtle_consumer_orphans (of records: turtle_consumer_orphan_record): take them first, they go
/// with it. turtle_consumer_free gives the session back.
/// Returns and threads as turtle_producer_open. Progress: as turtle_producer_open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_consumer_open(
    buffer: *mut turtle_buffer,
    session: u64,
    recovered: *mut turtle_recovered,
    out: *mut *mut turtle_consumer,
) -> turtle_status {
    guard(|| {
        // SAFETY: a struct of the size it states, and a live ring: the caller's promises.
        unsafe {
            ready(recovered, out)?;
            let ring = ring(buffer)?.here()?.clone();
            let (side, was) = ring.clone().consumer_as(session)?;
            tell(recovered, translate(&was))?;
            out.write(turtle_consumer::make(side, ring, was.orphans.into()));
        }
        Ok(())
    })
}

/// Gives what the last consumer of this one's session had taken and perhaps not used, oldest first, each once.
///
/// `elems` has room for `max` elements of `elem_size` bytes. `*done` says how many were given.
/// Returns TURTLE_OK with `*done` above 0 (or `max` 0); TURTLE_EMPTY when there are no more; TURTLE_ERR_INVALID, also
/// on a ring of records.
/// Threads: one at a time. Progress: always returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_consumer_orphans(
    consumer: *mut turtle_consumer,
    elems: *mut c_void,
    max: usize,
    done: *mut usize,
) -> turtle_status {
    guard(|| {
        // SAFETY: a handle that one thread uses; room for `max` elements.
        unsafe {
            let (ring, orphans) = turtle_consumer::orphans(consumer)?;
            elements(ring.as_ref(), elems, max, done, |n| {
                orphans.drain(..n.min(orphans.len())).collect()
            })
        }
    })
}

/// As turtle_consumer_orphans, for a ring of records: one record, into `cap` bytes at `data`; `*len` says how long it
/// is.
///
/// Returns TURTLE_OK; TURTLE_EMPTY when there are no more; TURTLE_ERR_INVALID, also when `cap` is less than
/// `elem_size`, and nothing is taken then.
/// Threads: one at a time. Progress: always returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_consumer_orphan_record(
    consumer: *mut turtle_consumer,
    data: *mut c_void,
    cap: usize,
    len: *mut usize,
) -> turtle_status {
    guard(|| {
        // SAFETY: a handle that one thread uses; room for `cap` bytes.
        unsafe {
            let (ring, orphans) = turtle_consumer::orphans(consumer)?;
            record(ring.as_ref(), data, cap, len, || orphans.pop_front())
        }
    })
}

/// Gives elements that consumers without a session had taken when they died, of which nobody knows whether they were
/// used. Each is given once, to whoever asks first; until then they keep the places of their consumers.
///
/// `elems` has room for `max` elements of `elem_size` bytes. `*done` says how many were given.
/// Returns TURTLE_OK with `*done` above 0 (or `max` 0); TURTLE_EMPTY when there are none; TURTLE_ERR_INVALID, also on
/// a ring of records.
/// Threads: any. Progress: never waits; makes system calls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_take_orphans(
    buffer: *mut turtle_buffer,
    elems: *mut c_void,
    max: usize,
    done: *mut usize,
) -> turtle_status {
    guard(|| {
        // SAFETY: a live ring; room for `max` elements.
        unsafe {
            let ring = ring(buffer)?.here()?;
            elements(ring.as_ref(), elems, max, done, |n| {
                ring.take_orphans(n).into()
            })
        }
    })
}

/// As turtle_take_orphans, for a ring of records: one record, into `cap` bytes at `data`; `*len` says how long it is.
///
/// Returns TURTLE_OK; TURTLE_EMPTY when there are none; TURTLE_ERR_INVALID, also when `cap` is less than `elem_size`,
/// and nothing is taken then.
/// Threads: any. Progress: never waits; makes system calls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_take_orphan_record(
    buffer: *mut turtle_buffer,
    data: *mut c_void,
    cap: usize,
    len: *mut usize,
) -> turtle_status {
    guard(|| {
        // SAFETY: a live ring; room for `cap` bytes.
        unsafe {
            let ring = ring(buffer)?.here()?;
            record(ring.as_ref(), data, cap, len, || ring.take_orphans(1).pop())
        }
    })
}

/// Ends a session that nobody has now: its count is forgotten and its place is free. `side` is TURTLE_PRODUCER or
/// TURTLE_CONSUMER.
///
/// Returns TURTLE_OK; TURTLE_ERR_NOT_FOUND; TURTLE_ERR_NO_HANDLE while its owner is alive; TURTLE_ERR_INVALID, also
/// while elements wait for its next consumer; TURTLE_ERR_UNSUPPORTED and TURTLE_ERR_IO as turtle_producer_open.
/// Threads: any. Progress: as turtle_producer_open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_forget_session(
    buffer: *mut turtle_buffer,
    side: u32,
    session: u64,
) -> turtle_status {
    guard(|| {
        let direction = match side {
            TURTLE_PRODUCER => Direction::Push,
            TURTLE_CONSUMER => Direction::Pop,
            _ => {
                return Err(invalid(
                    "side is neither TURTLE_PRODUCER nor TURTLE_CONSUMER",
                ));
            }
        };
        // SAFETY: a live ring: the caller's promise.
        unsafe { ring(buffer)? }
            .here()?
            .forget_session(direction, session)?;
        Ok(())
    })
}

/// Looks for participants that died and puts right what they left; `*found` says how many there were. `found` may be
/// null.
///
/// Nobody has to call it: who waits looks about every 50 ms, and so does who finds no free place. 0 for private rings
/// and for strategies that keep no record of their participants. A stopped participant is not dead.
/// Returns TURTLE_OK or TURTLE_ERR_INVALID. Threads: any. Progress: never waits; a system call for each participant of
/// another process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_reclaim(
    buffer: *mut turtle_buffer,
    found: *mut usize,
) -> turtle_status {
    guard(|| {
        if !found.is_null() && !usable(found) {
            return Err(invalid(
                "found is misaligned; pass null or the address of a size_t",
            ));
        }
        // SAFETY: a live ring: the caller's promise.
        let dead = unsafe { ring(buffer)? }.here()?.reclaim();
        if !found.is_null() {
            // SAFETY: checked above.
            unsafe { found.write(dead) };
        }
        Ok(())
    })
}

/// # Safety
/// `elems` is null or writable for `max` elements, `done` null or writable.
unsafe fn elements(
    ring: &dyn DynRing,
    elems: *mut c_void,
    max: usize,
    done: *mut usize,
    take: impl FnOnce(usize) -> VecDeque<Element>,
) -> Answer {
    if !usable(done) {
        return Err(invalid(NULL_OUT));
    }
    if ring.has_records() {
        return Err(invalid(
            "this ring holds records: use the _orphan_record call",
        ));
    }
    if elems.is_null() && max != 0 {
        return Err(invalid("elems is null; pass room for max elements"));
    }
    let mut given = 0;
    for element in take(max) {
        // SAFETY: at most `max` are taken, each `elem_size` bytes.
        unsafe {
            let to = elems.cast::<u8>().add(given * element.len());
            std::ptr::copy_nonoverlapping(element.as_ptr(), to, element.len());
        }
        given += 1;
    }
    // SAFETY: checked above.
    unsafe { done.write(given) };
    if given == 0 && max != 0 {
        return Err(empty());
    }
    Ok(())
}

/// # Safety
/// `data` is null or writable for `cap` bytes, `len` null or writable.
unsafe fn record(
    ring: &dyn DynRing,
    data: *mut c_void,
    cap: usize,
    len: *mut usize,
    take: impl FnOnce() -> Option<Element>,
) -> Answer {
    if !usable(len) {
        return Err(invalid(NULL_OUT));
    }
    if !ring.has_records() {
        return Err(invalid(
            "this ring holds single elements: use the _orphans call",
        ));
    }
    if data.is_null() || cap < ring.elem_size() {
        let room = ring.elem_size();
        return Err(crate::boundary::refuse(
            TURTLE_ERR_INVALID,
            format!("a record may have {room} bytes; pass that much room"),
        ));
    }
    let Some(record) = take() else {
        return Err(empty());
    };
    // SAFETY: no record is longer than `elem_size`.
    unsafe {
        std::ptr::copy_nonoverlapping(record.as_ptr(), data.cast(), record.len());
        len.write(record.len());
    }
    Ok(())
}

fn empty() -> Refused {
    Refused(std::num::NonZeroI32::new(TURTLE_EMPTY).expect("not TURTLE_OK"))
}
