//! The calls of one side, written once for rings and for explicit handles: check, call, translate.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

use turtle_buffers::erased::{DynRing, Outcome, Pop, Push};

use crate::boundary::{Answer, answer, invalid, leave_text, refuse, usable};
use crate::status::TURTLE_ERR_INVALID;

/// Timeout: wait for ever.
pub const TURTLE_FOREVER: u64 = u64::MAX;

fn limit(timeout_ns: u64) -> Option<Duration> {
    (timeout_ns != TURTLE_FOREVER).then(|| Duration::from_nanos(timeout_ns))
}

/// Which family of calls was used, for the text of an error.
#[derive(Clone, Copy)]
enum Family {
    Elements,
    Put { len: usize },
    Take { len: usize, cap: usize },
    Lend,
    Slot { records: Option<bool>, len: usize },
}

/// One side of a ring, and the ring itself for explanations.
pub(crate) struct Side<'a, S: ?Sized> {
    pub(crate) side: &'a S,
    /// In the object that the caller's pointer leads to: a call has nothing else to keep for explanations.
    pub(crate) ring: &'a Arc<dyn DynRing>,
}

const NULL_ELEM: &str = "the element pointer is null; pass elem_size bytes";
const NULL_OUT: &str = "an out-pointer is null or misaligned; pass the address of a variable";

/// Leaves the text for an error that a call with single elements met.
#[cold]
#[inline(never)]
fn explain_elements(ring: &Arc<dyn DynRing>, outcome: Outcome) {
    explain(ring, outcome, Family::Elements);
}

/// Leaves the text for an error that the ring answered.
#[cold]
#[inline(never)]
fn explain(ring: &Arc<dyn DynRing>, outcome: Outcome, family: Family) {
    if outcome == Outcome::NoHandle {
        let name = ring.strategy().name();
        if ring.strategy().traits().records {
            return leave_text(format!(
                "all places for participants of this side of the {name} ring are taken, or the session of this handle \
                 is that of the parent process: turtle_release_thread, freeing a handle and turtle_forget_session give \
                 one back; max_threads says how many a new ring has"
            ));
        }
        return leave_text(format!(
            "{name} allows one thread on each side, and another one has this side; \
             it gives it back with turtle_release_thread, by freeing its handle, or when it ends"
        ));
    }
    if let Some(why) = ring.trouble() {
        return leave_text(why.into());
    }
    let room = ring.elem_size();
    let text = match (family, ring.has_records()) {
        (Family::Elements, true) => "this ring holds records: use the _record calls".into(),
        (Family::Put { .. } | Family::Take { .. }, false)
        | (
            Family::Slot {
                records: Some(true),
                ..
            },
            false,
        ) => "this ring holds single elements: open it with TURTLE_RECORDS, or use the plain calls"
            .into(),
        (
            Family::Slot {
                records: Some(false),
                ..
            },
            true,
        ) => "this ring holds records: turtle_commit_record says how long this one is".into(),
        (Family::Put { len } | Family::Slot { len, .. }, true) if len > room => {
            format!("a record of {len} bytes does not fit: elem_size is {room}")
        }
        (Family::Take { len, cap }, true) if len > cap => {
            format!("the next record has {len} bytes and stays; pass that much room")
        }
        (Family::Elements | Family::Put { .. } | Family::Take { .. } | Family::Lend, _) => {
            format!(
                "{} lends one slot at a time on each side, and this side's is out: first end the claim with \
                 turtle_commit or turtle_abandon, the peek with turtle_release",
                ring.strategy().name()
            )
        }
        (Family::Slot { .. }, _) => {
            "this is no slot that is lent out now: not from this ring, or given back already".into()
        }
    };
    leave_text(text);
}

impl<P: Push + ?Sized> Side<'_, P> {
    /// # Safety
    /// `elem` is null or readable for `elem_size` bytes.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, elem: *const c_void, timeout_ns: u64) -> Answer {
        if elem.is_null() {
            return Err(invalid(NULL_ELEM));
        }
        // SAFETY: the caller's promise.
        let outcome = unsafe { self.side.push(elem.cast(), limit(timeout_ns)) };
        answer(outcome, |why| explain_elements(self.ring, why))
    }

    /// # Safety
    /// `elems` is null or readable for `n` elements, `done` null or writable.
    #[inline(always)]
    pub(crate) unsafe fn try_push_n(
        &self,
        elems: *const c_void,
        n: usize,
        done: *mut usize,
    ) -> Answer {
        if !usable(done) {
            return Err(invalid(NULL_OUT));
        }
        if elems.is_null() && n != 0 {
            return Err(invalid(NULL_ELEM));
        }
        let mut pushed = 0;
        // SAFETY: the caller's promise.
        let outcome = unsafe { self.side.try_push_n(elems.cast(), n, &mut pushed) };
        // SAFETY: checked above.
        unsafe { done.write(pushed) };
        answer(outcome, |why| explain_elements(self.ring, why))
    }

    /// # Safety
    /// `data` is null or readable for `len` bytes.
    #[inline(always)]
    pub(crate) unsafe fn push_record(
        &self,
        data: *const c_void,
        len: usize,
        timeout_ns: u64,
    ) -> Answer {
        if data.is_null() && len != 0 {
            return Err(invalid("the record is null; pass len bytes"));
        }
        let data = if len == 0 {
            std::ptr::dangling()
        } else {
            data.cast::<u8>()
        };
        // SAFETY: the caller's promise.
        let outcome = unsafe { self.side.push_record(data, len, limit(timeout_ns)) };
        answer(outcome, |why| explain(self.ring, why, Family::Put { len }))
    }

    /// # Safety
    /// `slot` is null or writable.
    #[inline(always)]
    pub(crate) unsafe fn claim(&self, slot: *mut *mut c_void, timeout_ns: u64) -> Answer {
        if !usable(slot) {
            return Err(invalid(NULL_OUT));
        }
        let mut lent = std::ptr::null_mut();
        let outcome = match timeout_ns {
            0 => self.side.claim(&mut lent),
            _ => self.side.claim_within(&mut lent, limit(timeout_ns)),
        };
        if outcome == Outcome::Ok {
            // SAFETY: checked above.
            unsafe { slot.write(lent.cast()) };
        }
        answer(outcome, |why| explain(self.ring, why, Family::Lend))
    }

    /// # Safety
    /// If `slot` is a claimed one, its bytes are written.
    #[inline(always)]
    pub(crate) unsafe fn commit(&self, slot: *mut c_void) -> Answer {
        // SAFETY: the caller's promise; any address may be asked about.
        let outcome = unsafe { self.side.commit(slot.cast()) };
        answer(outcome, |why| {
            explain(
                self.ring,
                why,
                Family::Slot {
                    records: Some(false),
                    len: 0,
                },
            )
        })
    }

    /// # Safety
    /// If `slot` is a claimed one, `len` of its bytes are written.
    #[inline(always)]
    pub(crate) unsafe fn commit_record(&self, slot: *mut c_void, len: usize) -> Answer {
        // SAFETY: the caller's promise; any address may be asked about.
        let outcome = unsafe { self.side.commit_record(slot.cast(), len) };
        answer(outcome, |why| {
            explain(
                self.ring,
                why,
                Family::Slot {
                    records: Some(true),
                    len,
                },
            )
        })
    }

    #[inline(always)]
    pub(crate) fn abandon(&self, slot: *mut c_void) -> Answer {
        let outcome = self.side.abandon(slot.cast());
        answer(outcome, |why| {
            explain(
                self.ring,
                why,
                Family::Slot {
                    records: None,
                    len: 0,
                },
            )
        })
    }
}

impl<C: Pop + ?Sized> Side<'_, C> {
    /// # Safety
    /// `elem` is null or writable for `elem_size` bytes.
    #[inline(always)]
    pub(crate) unsafe fn pop(&self, elem: *mut c_void, timeout_ns: u64) -> Answer {
        if elem.is_null() {
            return Err(invalid(NULL_ELEM));
        }
        // SAFETY: the caller's promise.
        let outcome = unsafe { self.side.pop(elem.cast(), limit(timeout_ns)) };
        answer(outcome, |why| explain_elements(self.ring, why))
    }

    /// # Safety
    /// `elems` is null or writable for `max` elements, `done` null or writable.
    #[inline(always)]
    pub(crate) unsafe fn pop_n(
        &self,
        elems: *mut c_void,
        max: usize,
        timeout_ns: u64,
        done: *mut usize,
    ) -> Answer {
        if !usable(done) {
            return Err(invalid(NULL_OUT));
        }
        if elems.is_null() && max != 0 {
            return Err(invalid(NULL_ELEM));
        }
        let mut popped = 0;
        // SAFETY: the caller's promise.
        let outcome = unsafe {
            self.side
                .pop_n(elems.cast(), max, limit(timeout_ns), &mut popped)
        };
        // SAFETY: checked above.
        unsafe { done.write(popped) };
        answer(outcome, |why| explain_elements(self.ring, why))
    }

    /// # Safety
    /// `data` is null or writable for `cap` bytes, `len` null or writable.
    #[inline(always)]
    pub(crate) unsafe fn pop_record(
        &self,
        data: *mut c_void,
        cap: usize,
        len: *mut usize,
        timeout_ns: u64,
    ) -> Answer {
        if !usable(len) {
            return Err(invalid(NULL_OUT));
        }
        if data.is_null() && cap != 0 {
            return Err(invalid("data is null; pass room for cap bytes"));
        }
        let data = if cap == 0 {
            std::ptr::dangling_mut()
        } else {
            data.cast::<u8>()
        };
        let mut found = 0;
        // SAFETY: the caller's promise.
        let outcome = unsafe {
            self.side
                .pop_record(data, cap, &mut found, limit(timeout_ns))
        };
        if outcome == Outcome::Ok || (outcome == Outcome::Invalid && found > cap) {
            // SAFETY: checked above.
            unsafe { len.write(found) };
        }
        answer(outcome, |why| {
            explain(self.ring, why, Family::Take { len: found, cap })
        })
    }

    /// # Safety
    /// `slot` and `len` are null or writable.
    #[inline(always)]
    pub(crate) unsafe fn peek(
        &self,
        slot: *mut *const c_void,
        len: Option<*mut usize>,
        timeout_ns: u64,
    ) -> Answer {
        if !usable(slot) || len.is_some_and(|len| !usable(len)) {
            return Err(invalid(NULL_OUT));
        }
        let mut lent = std::ptr::null();
        let mut bytes = 0;
        let outcome = match timeout_ns {
            0 => self.side.peek(&mut lent, &mut bytes),
            _ => self
                .side
                .peek_within(&mut lent, &mut bytes, limit(timeout_ns)),
        };
        if outcome == Outcome::Ok {
            // SAFETY: checked above.
            unsafe {
                slot.write(lent.cast());
                if let Some(len) = len {
                    len.write(bytes);
                }
            }
        }
        answer(outcome, |why| explain(self.ring, why, Family::Lend))
    }

    #[inline(always)]
    pub(crate) fn release(&self, slot: *const c_void) -> Answer {
        let outcome = self.side.release(slot.cast());
        answer(outcome, |why| {
            explain(
                self.ring,
                why,
                Family::Slot {
                    records: None,
                    len: 0,
                },
            )
        })
    }
}

/// Writes the head of a struct whose size the caller states: older callers know fewer fields.
///
/// # Safety
/// `out` is null, or begins with a `size_t` and is writable for that many bytes.
pub(crate) unsafe fn write_sized<T: Copy>(out: *mut T, value: T, name: &str) -> Answer {
    if !usable(out) {
        return Err(refuse(
            TURTLE_ERR_INVALID,
            format!("out is null or misaligned; pass the address of a {name}"),
        ));
    }
    // SAFETY: begins with its size.
    let size = unsafe { out.cast::<usize>().read() };
    if size < size_of::<usize>() || size % 8 != 0 || size > 4096 {
        return Err(refuse(
            TURTLE_ERR_INVALID,
            format!("struct_size is {size}; set it to sizeof({name}) first"),
        ));
    }
    let value = MaybeUninit::new(value);
    let (head, known) = (size_of::<usize>(), size_of::<T>());
    // SAFETY: the caller's struct has `size` bytes; the size itself stays as it is.
    unsafe {
        let (to, from) = (out.cast::<u8>(), value.as_ptr().cast::<u8>());
        std::ptr::copy_nonoverlapping(from.add(head), to.add(head), size.min(known) - head);
        if size > known {
            to.add(known).write_bytes(0, size - known);
        }
    }
    Ok(())
}
