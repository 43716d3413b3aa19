//! A ring: open, use from any thread, close, free.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Arc;

use turtle_buffers::Strategy;
use turtle_buffers::erased::{self, DynRing, Way};
use turtle_buffers::os::segment::Segment;

use crate::boundary::{Refused, guard, guard_or, invalid, refuse, usable};
use crate::calls::{Side, write_sized};
use crate::options::{self, turtle_options};
use crate::stats::{self, turtle_stats};
use crate::status::{TURTLE_ERR_IO, turtle_status};

/// A ring. Any thread may use it, several at once.
#[derive(Debug)]
pub struct turtle_buffer {
    push: Way,
    pop: Way,
    /// Where `ring` points. Following the `Arc` costs every call a look at the alignment of what is inside.
    direct: *const dyn DynRing,
    pub(crate) ring: Arc<dyn DynRing>,
}

/// The ring behind a pointer.
///
/// # Safety
/// `buffer` is null, misaligned, or a ring that nobody frees during `'a`.
#[inline(always)]
pub(crate) unsafe fn ring<'a>(buffer: *const turtle_buffer) -> Result<&'a turtle_buffer, Refused> {
    if !usable(buffer) {
        return Err(invalid(
            "the turtle_buffer is null or misaligned; turtle_open makes one",
        ));
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { &*buffer })
}

impl turtle_buffer {
    #[inline(always)]
    fn side(&self) -> Side<'_, dyn DynRing> {
        // SAFETY: `ring` keeps it alive.
        let side = unsafe { &*self.direct };
        Side {
            side,
            ring: &self.ring,
        }
    }

    /// Refuses what would touch locks or memory that belong to the parent of this process.
    pub(crate) fn here(&self) -> Result<&Arc<dyn DynRing>, Refused> {
        match self.ring.trouble() {
            None => Ok(&self.ring),
            Some(why) => Err(invalid(why)),
        }
    }
}

const NULL_OUT: &str = "out is null or misaligned; pass the address of a variable";

/// Builds a ring, or attaches to one, as the options say.
///
/// `*out` is written on success only; turtle_free ends it. A shared ring outlives the processes that use it, until
/// turtle_unlink removes its name and the last one detaches.
/// Returns TURTLE_OK; TURTLE_ERR_INVALID for an option out of range; TURTLE_ERR_NOMEM; TURTLE_ERR_UNSUPPORTED for a
/// strategy, durability or path that this build does not have; and with a path TURTLE_ERR_IO, TURTLE_ERR_EXISTS,
/// TURTLE_ERR_NOT_FOUND, TURTLE_ERR_MISMATCH or TURTLE_ERR_CORRUPT. turtle_last_error says which value and what would do.
/// Threads: any. Progress: may allocate and make system calls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_open(
    options: *const turtle_options,
    out: *mut *mut turtle_buffer,
) -> turtle_status {
    guard(|| {
        if !usable(out) {
            return Err(invalid(NULL_OUT));
        }
        // SAFETY: a struct of the size it states; a path that ends with a NUL; a `drop` that any thread may call.
        // These are the caller's promises, as documented.
        let ring = unsafe {
            let options = options::read(options)?;
            let (options, hook) = options::translate(&options)?;
            erased::open(&options, hook)?
        };
        let buffer = Box::new(turtle_buffer {
            push: ring.push_way(),
            pop: ring.pop_way(),
            direct: Arc::as_ptr(&ring),
            ring,
        });
        // SAFETY: checked above.
        unsafe { out.write(Box::into_raw(buffer)) };
        Ok(())
    })
}

/// Ends the use of a ring in this process. Null is allowed and does nothing.
///
/// A private ring is freed with its last handle; `drop` is called for what is left inside. A shared one is detached,
/// with everything in it staying for others. Explicit handles stay valid until they are freed themselves. In a forked
/// child a private ring of the parent is left alone: nothing is called, its memory goes when the child ends.
/// Threads: any, but no other call with this pointer may run now or later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_free(buffer: *mut turtle_buffer) {
    guard_or((), || {
        if !usable(buffer) {
            return;
        }
        // SAFETY: made by `turtle_open`, and the caller gives it up.
        let buffer = unsafe { Box::from_raw(buffer) };
        if buffer.here().is_err() {
            // The parent's elements are not this process's to drop.
            std::mem::forget(buffer);
        }
    });
}

/// Removes the name of a shared ring, and the FIFO of its event descriptors. Processes that are attached keep it; the next turtle_open builds a new one.
///
/// Returns TURTLE_OK, TURTLE_ERR_NOT_FOUND, TURTLE_ERR_INVALID, TURTLE_ERR_UNSUPPORTED or TURTLE_ERR_IO.
/// Threads: any. Progress: one system call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_unlink(path: *const c_char) -> turtle_status {
    guard(|| {
        // SAFETY: a text that ends with a NUL, as documented.
        let Some(name) = (unsafe { options::path_of(path) })? else {
            return Err(invalid(
                "the path is null; pass the name of a shared ring, such as \"/ticks\"",
            ));
        };
        Segment::unlink(&name).map_err(|error| turtle_buffers::BuildError::from(error).into())
    })
}

/// The straight way, or everything else. There is nothing here that could panic.
///
/// # Safety
/// As turtle_push.
#[inline(always)]
unsafe fn push(buffer: *mut turtle_buffer, elem: *const c_void, timeout_ns: u64) -> turtle_status {
    let elem = elem.cast_mut();
    // SAFETY: the caller's promise, once the pointers are known to be usable.
    unsafe {
        if !usable(buffer) || elem.is_null() {
            return push_anyway(buffer.cast(), elem, timeout_ns);
        }
        (*buffer)
            .push
            .go(elem, timeout_ns, buffer.cast(), push_anyway)
    }
}

/// # Safety
/// As turtle_pop.
#[inline(always)]
unsafe fn pop(buffer: *mut turtle_buffer, elem: *mut c_void, timeout_ns: u64) -> turtle_status {
    // SAFETY: as in `push`.
    unsafe {
        if !usable(buffer) || elem.is_null() {
            return pop_anyway(buffer.cast(), elem, timeout_ns);
        }
        (*buffer)
            .pop
            .go(elem, timeout_ns, buffer.cast(), pop_anyway)
    }
}

/// A push that is not done yet.
///
/// # Safety
/// As turtle_push.
#[inline(never)]
unsafe extern "C" fn push_anyway(
    buffer: *mut c_void,
    elem: *mut c_void,
    timeout_ns: u64,
) -> turtle_status {
    // SAFETY: the caller's promise.
    guard(|| unsafe {
        ring(buffer.cast::<turtle_buffer>())?
            .side()
            .push(elem, timeout_ns)
    })
}

/// A pop that is not done yet.
///
/// # Safety
/// As turtle_pop.
#[inline(never)]
unsafe extern "C" fn pop_anyway(
    buffer: *mut c_void,
    elem: *mut c_void,
    timeout_ns: u64,
) -> turtle_status {
    // SAFETY: the caller's promise.
    guard(|| unsafe {
        ring(buffer.cast::<turtle_buffer>())?
            .side()
            .pop(elem, timeout_ns)
    })
}

/// Appends one element, or says at once why not.
///
/// Copies `elem_size` bytes from `elem`, which may lie at any address.
/// Returns TURTLE_OK, TURTLE_FULL, TURTLE_BUSY, TURTLE_CLOSED; TURTLE_ERR_NO_HANDLE, TURTLE_ERR_INVALID.
/// Threads: any; the first thread to push owns that side of TURTLE_SPSC.
/// Progress: always returns, no system call but to wake a sleeper.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_try_push(
    buffer: *mut turtle_buffer,
    elem: *const c_void,
) -> turtle_status {
    // SAFETY: the caller's promises, here and below: a live ring, readable or writable memory as each call says.
    unsafe { push(buffer, elem, 0) }
}

/// Takes the oldest element, or says at once why not.
///
/// Copies `elem_size` bytes to `elem`, which may lie at any address.
/// Returns TURTLE_OK, TURTLE_EMPTY, TURTLE_BUSY, TURTLE_CLOSED; TURTLE_ERR_NO_HANDLE, TURTLE_ERR_INVALID.
/// Threads: any; the first thread to pop owns that side of TURTLE_SPSC.
/// Progress: always returns, no system call but to wake a sleeper
/// (two or three when it answers TURTLE_EMPTY after turtle_event_fd).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_try_pop(
    buffer: *mut turtle_buffer,
    elem: *mut c_void,
) -> turtle_status {
    // SAFETY: as above.
    unsafe { pop(buffer, elem, 0) }
}

/// Appends one element; waits for room up to `timeout_ns` nanoseconds, or TURTLE_FOREVER.
///
/// 0 is the same as turtle_try_push. A signal does not end the wait; turtle_interrupt and turtle_close do.
/// Returns as turtle_try_push, and TURTLE_TIMEOUT, TURTLE_INTERRUPTED; TURTLE_FULL and TURTLE_BUSY only for time 0.
/// Threads: any, as turtle_try_push. Progress: waits; spins a little, then sleeps.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_push(
    buffer: *mut turtle_buffer,
    elem: *const c_void,
    timeout_ns: u64,
) -> turtle_status {
    // SAFETY: as above.
    unsafe { push(buffer, elem, timeout_ns) }
}

/// Takes the oldest element; waits for one up to `timeout_ns` nanoseconds, or TURTLE_FOREVER.
///
/// 0 is the same as turtle_try_pop. A signal does not end the wait; turtle_interrupt and turtle_close do.
/// Returns as turtle_try_pop, and TURTLE_TIMEOUT, TURTLE_INTERRUPTED; TURTLE_EMPTY and TURTLE_BUSY only for time 0.
/// Threads: any, as turtle_try_pop. Progress: waits; spins a little, then sleeps.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_pop(
    buffer: *mut turtle_buffer,
    elem: *mut c_void,
    timeout_ns: u64,
) -> turtle_status {
    // SAFETY: as above.
    unsafe { pop(buffer, elem, timeout_ns) }
}

/// Appends as many of `n` elements as there is room for, in order; never waits.
///
/// The elements lie one after the other, `elem_size` bytes each. `*done` says how many were pushed.
/// Returns TURTLE_OK with `*done` above 0 (or `n` 0), otherwise the reason as turtle_try_push with `*done` 0.
/// Threads: any, as turtle_try_push.
/// Progress: always returns, no system call but to wake a sleeper.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_try_push_n(
    buffer: *mut turtle_buffer,
    elems: *const c_void,
    n: usize,
    done: *mut usize,
) -> turtle_status {
    // SAFETY: as above.
    guard(|| unsafe { ring(buffer)?.side().try_push_n(elems, n, done) })
}

/// Waits for one element, then takes up to `max` without waiting.
///
/// `elems` has room for `max` elements of `elem_size` bytes. `*done` says how many were taken.
/// Returns TURTLE_OK with `*done` above 0 (or `max` 0), otherwise the reason as turtle_pop with `*done` 0.
/// Threads: any, as turtle_try_pop. Progress: waits as turtle_pop; `timeout_ns` 0 always returns at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_pop_n(
    buffer: *mut turtle_buffer,
    elems: *mut c_void,
    max: usize,
    timeout_ns: u64,
    done: *mut usize,
) -> turtle_status {
    // SAFETY: as above.
    guard(|| unsafe { ring(buffer)?.side().pop_n(elems, max, timeout_ns, done) })
}

/// Appends a record of `len` bytes, 0 to `elem_size`, to a ring opened with TURTLE_RECORDS.
///
/// Returns as turtle_push; TURTLE_ERR_INVALID also for a record that is too long, or a ring without records.
/// Threads: any, as turtle_try_push. Progress: waits as turtle_push; `timeout_ns` 0 always returns at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_push_record(
    buffer: *mut turtle_buffer,
    data: *const c_void,
    len: usize,
    timeout_ns: u64,
) -> turtle_status {
    // SAFETY: as above.
    guard(|| unsafe { ring(buffer)?.side().push_record(data, len, timeout_ns) })
}

/// Takes the oldest record into `cap` bytes at `data`; `*len` says how many it has.
///
/// If it has more than `cap`: TURTLE_ERR_INVALID, `*len` is set, and nothing is taken. Room for `elem_size` bytes is
/// always enough. Otherwise returns as turtle_pop.
/// Threads: any, as turtle_try_pop. Progress: waits as turtle_pop; `timeout_ns` 0 always returns at once (wait_free: with less
/// room than `elem_size` lock-free only).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_pop_record(
    buffer: *mut turtle_buffer,
    data: *mut c_void,
    cap: usize,
    len: *mut usize,
    timeout_ns: u64,
) -> turtle_status {
    // SAFETY: as above.
    guard(|| unsafe { ring(buffer)?.side().pop_record(data, cap, len, timeout_ns) })
}

/// Lends a slot to write in: `elem_size` bytes, aligned as the options say. turtle_commit publishes it.
///
/// What the bytes are before is unspecified. Each claim is ended by one commit or abandon; one that is forgotten keeps
/// its slot: later pops of TURTLE_TURN answer TURTLE_BUSY there. TURTLE_SPSC lends one slot at a time: until it is
/// committed or abandoned, every other push and claim answers TURTLE_ERR_INVALID; so does TURTLE_WAIT_FREE to the thread (or
/// handle) that has the claim, and to no other. There a claim keeps no slot: turtle_commit may answer TURTLE_FULL.
/// TURTLE_SPSC says TURTLE_CLOSED at the commit only.
/// Returns as turtle_try_push; `*slot` is written on success only.
/// Threads: any, as turtle_try_push.
/// Progress: always returns, no system call but to wake a sleeper.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_claim(
    buffer: *mut turtle_buffer,
    slot: *mut *mut c_void,
) -> turtle_status {
    // SAFETY: as above.
    guard(|| unsafe { ring(buffer)?.side().claim(slot, 0) })
}

/// As turtle_claim; waits for room up to `timeout_ns` nanoseconds, or TURTLE_FOREVER.
///
/// Returns as turtle_push. Threads and progress: as turtle_push.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_claim_timeout(
    buffer: *mut turtle_buffer,
    slot: *mut *mut c_void,
    timeout_ns: u64,
) -> turtle_status {
    // SAFETY: as above.
    guard(|| unsafe { ring(buffer)?.side().claim(slot, timeout_ns) })
}

/// Publishes a claimed slot.
///
/// Returns TURTLE_OK; TURTLE_FULL or TURTLE_CLOSED, which keep the claim: commit again or abandon it;
/// TURTLE_ERR_INVALID if the slot is not claimed from this ring now (a second commit, another address).
/// Threads: any on TURTLE_TURN, otherwise the one that was lent the slot. Progress: always returns; a system call
/// only to wake a sleeper.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_commit(
    buffer: *mut turtle_buffer,
    slot: *mut c_void,
) -> turtle_status {
    // SAFETY: as above.
    guard(|| unsafe { ring(buffer)?.side().commit(slot) })
}

/// Publishes a claimed slot of a ring with records; its first `len` bytes are the record.
///
/// Returns as turtle_commit; TURTLE_ERR_INVALID also for `len` above `elem_size`.
/// Threads and progress: as turtle_commit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_commit_record(
    buffer: *mut turtle_buffer,
    slot: *mut c_void,
    len: usize,
) -> turtle_status {
    // SAFETY: as above.
    guard(|| unsafe { ring(buffer)?.side().commit_record(slot, len) })
}

/// Gives a claimed slot back; consumers never see it.
///
/// Returns TURTLE_OK, or TURTLE_ERR_INVALID if the slot is not claimed from this ring now.
/// Threads and progress: as turtle_commit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_abandon(
    buffer: *mut turtle_buffer,
    slot: *mut c_void,
) -> turtle_status {
    // SAFETY: as above.
    guard(|| unsafe { ring(buffer)?.side().abandon(slot) })
}

/// Takes the oldest element and lends its slot to read, until turtle_release.
///
/// The slot counts as taken for the room in the ring only when it is released; on TURTLE_WAIT_FREE at once. TURTLE_SPSC
/// lends one at a time, TURTLE_WAIT_FREE one to each thread (or handle): until it is released, every other pop and peek
/// (of that thread) answers TURTLE_ERR_INVALID.
/// Returns as turtle_try_pop; `*slot` is written on success only.
/// Threads: any, as turtle_try_pop.
/// Progress: always returns, no system call but to wake a sleeper.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_peek(
    buffer: *mut turtle_buffer,
    slot: *mut *const c_void,
) -> turtle_status {
    // SAFETY: as above.
    guard(|| unsafe { ring(buffer)?.side().peek(slot, None, 0) })
}

/// As turtle_peek; `*len` says how many bytes the record has (without records: `elem_size`).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_peek_record(
    buffer: *mut turtle_buffer,
    slot: *mut *const c_void,
    len: *mut usize,
) -> turtle_status {
    // SAFETY: as above.
    guard(|| unsafe { ring(buffer)?.side().peek(slot, Some(len), 0) })
}

/// As turtle_peek_record; waits for an element up to `timeout_ns` nanoseconds, or TURTLE_FOREVER. `len` may be null.
///
/// Returns as turtle_pop. Threads and progress: as turtle_pop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_peek_timeout(
    buffer: *mut turtle_buffer,
    slot: *mut *const c_void,
    len: *mut usize,
    timeout_ns: u64,
) -> turtle_status {
    let len = (!len.is_null()).then_some(len);
    // SAFETY: as above.
    guard(|| unsafe { ring(buffer)?.side().peek(slot, len, timeout_ns) })
}

/// Gives a slot that was peeked at back to the producers.
///
/// Returns TURTLE_OK, or TURTLE_ERR_INVALID if the slot is not lent by a peek of this ring now.
/// Threads: any on TURTLE_TURN, otherwise the one that was lent the slot. Progress: always returns; a system call
/// only to wake a sleeper.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_release(
    buffer: *mut turtle_buffer,
    slot: *const c_void,
) -> turtle_status {
    // SAFETY: as above.
    guard(|| unsafe { ring(buffer)?.side().release(slot) })
}

/// Gives back what the calling thread owns of a ring: the sides of TURTLE_SPSC, its places where the strategy keeps a
/// record of each participant. A thread that ends does so by itself.
///
/// Returns TURTLE_OK, also when it owned nothing, or TURTLE_ERR_INVALID.
/// Threads: any. Progress: always returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_release_thread(buffer: *mut turtle_buffer) -> turtle_status {
    guard(|| {
        // SAFETY: as above.
        unsafe { ring(buffer)? }.here()?.release_thread();
        Ok(())
    })
}

/// Closes a ring, for all processes and for good. Everybody who waits is woken.
///
/// From now on pushes answer TURTLE_CLOSED. Pops take what was accepted before, then answer TURTLE_CLOSED.
/// Returns TURTLE_OK, also for a ring that is closed already, or TURTLE_ERR_INVALID.
/// Threads: any. Progress: always returns; system calls to wake sleepers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_close(buffer: *mut turtle_buffer) -> turtle_status {
    guard(|| {
        // SAFETY: as above.
        unsafe { ring(buffer)? }.here()?.close();
        Ok(())
    })
}

/// Tells whether a ring has been closed. True for null.
///
/// Threads: any. Progress: always returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_is_closed(buffer: *const turtle_buffer) -> bool {
    guard_or(true, || {
        // SAFETY: as above.
        let buffer = unsafe { ring(buffer) };
        buffer.map_or(true, |buffer| buffer.ring.is_closed())
    })
}

/// Ends every wait of this process on this ring, once, with TURTLE_INTERRUPTED. Nothing is taken or lost by it.
///
/// Calls that begin later are not concerned. Returns TURTLE_OK or TURTLE_ERR_INVALID.
/// Threads: any; not for signal handlers. Progress: always returns; system calls to wake sleepers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_interrupt(buffer: *mut turtle_buffer) -> turtle_status {
    guard(|| {
        // SAFETY: as above.
        unsafe { ring(buffer)? }.here()?.interrupt();
        Ok(())
    })
}

/// Tells how many elements are inside: exact when nobody is active, otherwise true for some moment nearby. 0 for null.
///
/// Threads: any. Progress: always returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_len(buffer: *const turtle_buffer) -> usize {
    guard_or(0, || {
        // SAFETY: as above.
        let buffer = unsafe { ring(buffer) };
        buffer.map_or(0, |buffer| buffer.ring.len())
    })
}

/// Tells how many elements fit. 0 for null.
///
/// Threads: any. Progress: always returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_capacity(buffer: *const turtle_buffer) -> usize {
    guard_or(0, || {
        // SAFETY: as above.
        let buffer = unsafe { ring(buffer) };
        buffer.map_or(0, |buffer| buffer.ring.capacity())
    })
}

/// Writes what the ring is and what has happened to it. `out->struct_size` says how much of the struct is known.
///
/// Looks for dead participants first, as turtle_reclaim does.
/// Returns TURTLE_OK or TURTLE_ERR_INVALID. Threads: any. Progress: takes a lock that only this call and the making
/// and freeing of handles take.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_get_stats(
    buffer: *const turtle_buffer,
    out: *mut turtle_stats,
) -> turtle_status {
    guard(|| {
        // SAFETY: as above; `out` is a struct of the size it states.
        unsafe {
            let stats = stats::of(ring(buffer)?.here()?.as_ref());
            write_sized(out, stats, "turtle_stats")
        }
    })
}

/// Gives a descriptor for poll, select or epoll that is readable when an element may be there, or the ring is closed.
///
/// Wait for it, then pop until TURTLE_EMPTY or TURTLE_CLOSED: the answer TURTLE_EMPTY makes it quiet and ready again.
/// That of a shared ring is also readable 10 ms after it became quiet: a peer may be killed before it tells.
/// One descriptor a ring and process, for one consumer loop; it belongs to the ring, do not read or close it. Several
/// processes may poll the same ring. A forked child asks again and gets its own, under the same number.
/// Returns TURTLE_OK; TURTLE_ERR_IO when the process is out of descriptors, or something else has the place of the FIFO
/// beside a shared ring, which turtle_last_error names; TURTLE_ERR_INVALID.
/// Threads: any; none is made. Progress: the first call makes system calls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_event_fd(
    buffer: *mut turtle_buffer,
    fd: *mut c_int,
) -> turtle_status {
    guard(|| {
        if !usable(fd) {
            return Err(invalid(NULL_OUT));
        }
        // SAFETY: as above.
        let ring = unsafe { ring(buffer)? }.here()?.clone();
        let event = ring
            .event_fd()
            .map_err(|error| refuse(TURTLE_ERR_IO, format!("no descriptor for events: {error}")))?;
        // SAFETY: checked above.
        unsafe { fd.write(event) };
        Ok(())
    })
}

/// Tells the name of a strategy, "turn" for TURTLE_TURN; null if this build does not have the number.
///
/// Numbers begin at 0 and have no gaps. The text is static. Threads: any. Progress: always returns.
#[unsafe(no_mangle)]
pub extern "C" fn turtle_strategy_name(strategy: u32) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let position = Strategy::ALL
            .iter()
            .position(|&known| known as u32 == strategy);
        position.map_or(std::ptr::null(), |position| names()[position].as_ptr())
    })
}

/// The names, each with the NUL that C wants; made once.
fn names() -> &'static [std::ffi::CString] {
    static NAMES: std::sync::OnceLock<Vec<std::ffi::CString>> = std::sync::OnceLock::new();
    NAMES.get_or_init(|| {
        let name = |s: &Strategy| std::ffi::CString::new(s.name()).expect("names are words");
        Strategy::ALL.iter().map(name).collect()
    })
}

/// Tells the version of the library, "0.1.0". Compare with TURTLE_VERSION, which is the header's.
///
/// The text is static. Threads: any. Progress: always returns.
#[unsafe(no_mangle)]
pub extern "C" fn turtle_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("the version is a word"),
        };
    VERSION.as_ptr()
}
