//! The face over byte records, which all bindings use.
#![allow(clippy::disallowed_types)] // counts drops

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use turtle_buffers::erased::{DropHook, DynRing, Outcome, Pop, Push, open};
use turtle_buffers::strategy::Arity;
use turtle_buffers::{BuildError, Options, Strategy};

use crate::support::{finishes, wait_until};

pub(crate) fn build(options: Options) -> Arc<dyn DynRing> {
    // SAFETY: no hook.
    unsafe { open(&options, None) }.unwrap()
}

fn ring(strategy: Strategy, capacity: usize, elem_size: usize) -> Arc<dyn DynRing> {
    build(Options { strategy: Some(strategy), capacity, elem_size, ..Options::default() })
}

fn records(strategy: Strategy, capacity: usize, longest: usize) -> Arc<dyn DynRing> {
    build(Options {
        strategy: Some(strategy),
        capacity,
        elem_size: longest,
        records: true,
        ..Options::default()
    })
}

/// The calls with slices instead of pointers.
pub(crate) trait Checked: Push + Pop {
    fn size(&self) -> usize;
    fn put(&self, elem: &[u8]) -> Outcome {
        assert_eq!(elem.len(), self.size());
        // SAFETY: a slice of the element size.
        unsafe { self.try_push(elem.as_ptr()) }
    }
    fn get(&self) -> Result<Vec<u8>, Outcome> {
        let mut elem = vec![0xee; self.size()];
        // SAFETY: as above.
        match unsafe { self.try_pop(elem.as_mut_ptr()) } {
            Outcome::Ok => Ok(elem),
            why => {
                assert!(elem.iter().all(|&b| b == 0xee), "a refusal writes nothing");
                Err(why)
            }
        }
    }
    fn put_record(&self, data: &[u8]) -> Outcome {
        // SAFETY: a slice.
        unsafe { self.push_record(data.as_ptr(), data.len(), Some(Duration::ZERO)) }
    }
    fn get_record(&self, cap: usize) -> (Outcome, usize, Vec<u8>) {
        let mut data = vec![0xee; cap];
        let mut len = usize::MAX;
        // SAFETY: a slice of `cap` bytes.
        let outcome =
            unsafe { self.pop_record(data.as_mut_ptr(), cap, &mut len, Some(Duration::ZERO)) };
        (outcome, len, data)
    }
}

impl Checked for dyn DynRing {
    fn size(&self) -> usize {
        self.elem_size()
    }
}

fn element(size: usize, number: usize) -> Vec<u8> {
    (0..size).map(|at| (number.wrapping_mul(31) + at * 7 + (at >> 8)) as u8).collect()
}

pub(crate) fn capacity_is_exact_for_every_size(strategy: Strategy) {
    for size in [1, 2, 3, 7, 8, 9, 16, 24, 63, 64, 65, 1000, 4096, 16384] {
        for capacity in [1, 2, 3, 8, 100] {
            let ring = ring(strategy, capacity, size);
            assert_eq!((ring.capacity(), ring.elem_size(), ring.strategy()), (capacity, size, strategy));
            assert!(!ring.is_shared() && !ring.has_records() && ring.trouble().is_none());
            for lap in 0..3 {
                for i in 0..capacity {
                    assert_eq!(ring.len(), i);
                    assert_eq!(ring.put(&element(size, lap + i)), Outcome::Ok);
                }
                assert_eq!(ring.put(&element(size, 0)), Outcome::Full, "{capacity} of {size}");
                for i in 0..capacity {
                    assert_eq!(ring.get().unwrap(), element(size, lap + i), "{capacity} of {size}");
                }
                assert_eq!(ring.get(), Err(Outcome::Empty));
                assert!(ring.is_empty());
            }
        }
    }
    let default = build(Options { strategy: Some(strategy), ..Options::default() });
    assert_eq!((default.capacity(), default.elem_size(), default.elem_align()), (1024, 8, 8));
}

pub(crate) fn elements_need_no_alignment_of_the_caller(strategy: Strategy) {
    for size in [8, 16, 24, 64] {
        let ring = ring(strategy, 3, size);
        for at in 0..8 {
            let mut bytes = vec![0; at];
            bytes.extend(element(size, at));
            assert_eq!(ring.put(&bytes[at..]), Outcome::Ok);
            let mut out = vec![0; at + size];
            // SAFETY: `size` bytes from `at` on.
            assert_eq!(unsafe { ring.try_pop(out[at..].as_mut_ptr()) }, Outcome::Ok);
            assert_eq!(out[at..], element(size, at));
        }
    }
    for elem_align in [1, 2, 16, 64, 4096] {
        let ring = build(Options { strategy: Some(strategy), capacity: 5, elem_size: 24, elem_align, ..Options::default() });
        assert_eq!(ring.elem_align(), elem_align);
        for _ in 0..7 {
            let mut slot = std::ptr::null_mut();
            assert_eq!(ring.claim(&mut slot), Outcome::Ok);
            assert_eq!(slot.addr() % elem_align, 0);
            // SAFETY: a claimed slot of 24 bytes.
            unsafe {
                slot.write_bytes(3, 24);
                assert_eq!(ring.commit(slot), Outcome::Ok);
            }
            assert_eq!(ring.get().unwrap(), [3; 24]);
        }
    }
}

pub(crate) fn batches_are_partial_or_whole(strategy: Strategy) {
    for size in [1, 8, 12, 64] {
        for capacity in [1, 3, 8] {
            let ring = ring(strategy, capacity, size);
            let (mut next, mut expected) = (0, 0);
            for round in 0..12 {
                let n = round % (capacity + 3);
                let elems: Vec<u8> = (next..next + n).flat_map(|i| element(size, i)).collect();
                let mut done = usize::MAX;
                // SAFETY: `n` elements.
                let outcome = unsafe { ring.try_push_n(elems.as_ptr(), n, &mut done) };
                let room = capacity - (next - expected);
                assert_eq!(done, n.min(room));
                assert_eq!(outcome, if n > 0 && done == 0 { Outcome::Full } else { Outcome::Ok });
                next += done;
                let max = (round * 3 + 1) % (capacity + 2);
                let mut out = vec![0; max * size];
                // SAFETY: room for `max` elements.
                let outcome = unsafe { ring.pop_n(out.as_mut_ptr(), max, Some(Duration::ZERO), &mut done) };
                assert_eq!(done, max.min(next - expected));
                assert_eq!(outcome, if max > 0 && done == 0 { Outcome::Empty } else { Outcome::Ok });
                for elem in out.chunks_exact(size).take(done) {
                    assert_eq!(elem, element(size, expected));
                    expected += 1;
                }
            }
            assert!(next > capacity);
        }
    }
}

pub(crate) fn records_keep_their_length(strategy: Strategy) {
    for (longest, elem_align) in [(1, 0), (5, 0), (8, 0), (56, 0), (100, 64), (3000, 4096)] {
        let ring = build(Options {
            strategy: Some(strategy),
            capacity: 3,
            elem_size: longest,
            elem_align,
            records: true,
            ..Options::default()
        });
        assert!(ring.has_records() && ring.elem_size() >= longest);
        for lap in 0..4 {
            let lengths = [0, longest, longest / 2];
            for (i, len) in lengths.into_iter().enumerate() {
                assert_eq!(ring.put_record(&element(len, lap + i)), Outcome::Ok);
            }
            assert_eq!(ring.put_record(&[]), Outcome::Full);
            for (i, len) in lengths.into_iter().enumerate() {
                let (outcome, got, data) = ring.get_record(longest + 1);
                assert_eq!((outcome, got), (Outcome::Ok, len));
                assert_eq!(data[..len], element(len, lap + i));
                assert!(data[len..].iter().all(|&b| b == 0xee), "nothing beyond the record");
            }
            assert_eq!(ring.get_record(8).0, Outcome::Empty);
        }
        let too_long = element(ring.elem_size() + 1, 0);
        assert_eq!(ring.put_record(&too_long), Outcome::Invalid);
        assert!(ring.is_empty());
    }
}

pub(crate) fn a_record_that_does_not_fit_stays(strategy: Strategy) {
    let ring = records(strategy, 2, 40);
    ring.put_record(b"the first one");
    ring.put_record(b"x");
    for cap in [0, 1, 12] {
        let (outcome, len, data) = ring.get_record(cap);
        assert_eq!((outcome, len), (Outcome::Invalid, 13));
        assert!(data.iter().all(|&b| b == 0xee));
        assert_eq!(ring.len(), 2);
    }
    let (outcome, len, data) = ring.get_record(13);
    assert_eq!((outcome, len, data.as_slice()), (Outcome::Ok, 13, &b"the first one"[..]));
    assert_eq!(ring.get_record(1), (Outcome::Ok, 1, b"x".to_vec()));
}

pub(crate) fn plain_and_record_calls_do_not_mix(strategy: Strategy) {
    let plain = ring(strategy, 2, 16);
    assert_eq!(plain.put_record(b"no"), Outcome::Invalid);
    assert_eq!(plain.get_record(16).0, Outcome::Invalid);
    let recorded = records(strategy, 2, 16);
    let mut buffer = [0; 64];
    let mut done = 0;
    // SAFETY: the buffer is longer than any element here.
    unsafe {
        assert_eq!(recorded.try_push(buffer.as_ptr()), Outcome::Invalid);
        assert_eq!(recorded.push(buffer.as_ptr(), None), Outcome::Invalid);
        assert_eq!(recorded.try_push_n(buffer.as_ptr(), 1, &mut done), Outcome::Invalid);
        assert_eq!(recorded.try_pop(buffer.as_mut_ptr()), Outcome::Invalid);
        assert_eq!(recorded.pop(buffer.as_mut_ptr(), None), Outcome::Invalid);
        assert_eq!(recorded.pop_n(buffer.as_mut_ptr(), 1, None, &mut done), Outcome::Invalid);
    }
    assert!(plain.is_empty() && recorded.is_empty());
    assert_eq!((plain.stats().pushed, recorded.stats().pushed), (0, 0));
}

pub(crate) fn a_claimed_slot_is_committed_or_abandoned_once(strategy: Strategy) {
    for capacity in [1, 2, 3, 8] {
        let ring = ring(strategy, capacity, 8);
        for lap in 0..3 * capacity {
            let mut slot = std::ptr::null_mut();
            assert_eq!(ring.claim(&mut slot), Outcome::Ok);
            // SAFETY: claimed, 8 bytes; asking about it again is part of the test.
            unsafe {
                slot.copy_from(element(8, lap).as_ptr(), 8);
                assert_eq!(ring.commit_record(slot, 8), Outcome::Invalid, "no records here");
                assert_eq!(ring.commit(slot), Outcome::Ok);
                assert_eq!(ring.commit(slot), Outcome::Invalid, "capacity {capacity}: a second commit");
            }
            assert_eq!(ring.abandon(slot), Outcome::Invalid, "it is the ring's now");
            assert_eq!(ring.release(slot), Outcome::Invalid, "it was not peeked at");
            assert_eq!(ring.len(), 1);
            assert_eq!(ring.get().unwrap(), element(8, lap));
            assert_eq!(ring.get(), Err(Outcome::Empty));

            assert_eq!(ring.claim(&mut slot), Outcome::Ok);
            assert_eq!(ring.abandon(slot), Outcome::Ok);
            assert_eq!(ring.abandon(slot), Outcome::Invalid, "a second time");
            // SAFETY: as above.
            assert_eq!(unsafe { ring.commit(slot) }, Outcome::Invalid, "it was given back");
            assert_eq!(ring.get(), Err(Outcome::Empty));
        }
        // A slot that was claimed a lap ago is not claimed now.
        let mut slot = std::ptr::null_mut();
        assert_eq!(ring.claim(&mut slot), Outcome::Ok);
        // SAFETY: as above.
        assert_eq!(unsafe { ring.commit(slot) }, Outcome::Ok);
        for _ in 1..capacity {
            assert_eq!(ring.put(&[0; 8]), Outcome::Ok);
        }
        // SAFETY: as above.
        assert_eq!(unsafe { ring.commit(slot) }, Outcome::Invalid);
        assert_eq!(ring.put(&[0; 8]), Outcome::Full);
        assert_eq!(ring.len(), capacity);
        assert_eq!(ring.claim(&mut slot), Outcome::Full);
    }
}

pub(crate) fn a_claimed_record_is_committed_with_its_length(strategy: Strategy) {
    let ring = records(strategy, 2, 32);
    let mut slot = std::ptr::null_mut();
    assert_eq!(ring.claim(&mut slot), Outcome::Ok);
    // SAFETY: claimed, 32 bytes.
    unsafe {
        slot.copy_from(b"in place".as_ptr(), 8);
        assert_eq!(ring.commit(slot), Outcome::Invalid, "a record needs its length");
        assert_eq!(ring.commit_record(slot, ring.elem_size() + 1), Outcome::Invalid);
        assert_eq!(ring.commit_record(slot, 8), Outcome::Ok);
        assert_eq!(ring.commit_record(slot, 8), Outcome::Invalid);
    }
    let (mut read, mut len) = (std::ptr::null(), 0);
    assert_eq!(ring.peek(&mut read, &mut len), Outcome::Ok);
    assert_eq!(len, 8);
    // SAFETY: peeked at, 8 bytes.
    assert_eq!(unsafe { std::slice::from_raw_parts(read, len) }, b"in place");
    assert_eq!(ring.release(read), Outcome::Ok);
    assert!(ring.is_empty());
}

pub(crate) fn a_peeked_slot_is_released_once(strategy: Strategy) {
    for capacity in [1, 2, 3, 8] {
        let ring = ring(strategy, capacity, 16);
        for lap in 0..3 * capacity {
            for i in 0..capacity {
                assert_eq!(ring.put(&element(16, lap + i)), Outcome::Ok);
            }
            let (mut slot, mut len) = (std::ptr::null(), 0);
            assert_eq!(ring.peek(&mut slot, &mut len), Outcome::Ok);
            assert_eq!(len, 16);
            // SAFETY: peeked at, 16 bytes.
            assert_eq!(unsafe { std::slice::from_raw_parts(slot, len) }, element(16, lap));
            assert!(matches!(ring.put(&[0; 16]), Outcome::Full | Outcome::Busy));
            assert_eq!(ring.abandon(slot.cast_mut()), Outcome::Invalid, "it was not claimed");
            assert_eq!(ring.release(slot), Outcome::Ok);
            assert_eq!(ring.release(slot), Outcome::Invalid, "capacity {capacity}: a second release");
            for i in 1..capacity {
                assert_eq!(ring.get().unwrap(), element(16, lap + i));
            }
            assert_eq!(ring.get(), Err(Outcome::Empty));
            assert_eq!(ring.release(slot), Outcome::Invalid, "nothing is out");
            assert_eq!(ring.len(), 0);
            let stats = ring.stats();
            assert_eq!(stats.pushed, stats.popped);
        }
        assert_eq!(ring.peek(&mut std::ptr::null(), &mut 0), Outcome::Empty);
    }
}

pub(crate) fn addresses_that_are_no_slot_are_refused(strategy: Strategy) {
    let ring = ring(strategy, 4, 24);
    let mut slot = std::ptr::null_mut();
    assert_eq!(ring.claim(&mut slot), Outcome::Ok);
    let mut elsewhere = [0_u8; 64];
    let strange = [
        std::ptr::null_mut(),
        elsewhere.as_mut_ptr(),
        slot.wrapping_add(1),
        slot.wrapping_sub(1),
        slot.wrapping_add(8),
        slot.wrapping_add(24 * 64),
        slot.wrapping_sub(24 * 64),
        std::ptr::without_provenance_mut(usize::MAX),
        std::ptr::without_provenance_mut(1),
    ];
    for address in strange {
        // SAFETY: the address is refused before anything is written there.
        unsafe {
            assert_eq!(ring.commit(address), Outcome::Invalid, "{address:?}");
        }
        assert_eq!(ring.abandon(address), Outcome::Invalid, "{address:?}");
        assert_eq!(ring.release(address), Outcome::Invalid, "{address:?}");
    }
    // SAFETY: claimed, 24 bytes.
    unsafe {
        slot.write_bytes(9, 24);
        assert_eq!(ring.commit(slot), Outcome::Ok);
    }
    assert_eq!(ring.get().unwrap(), [9; 24]);
}

pub(crate) fn closing_drains_before_it_says_closed(strategy: Strategy) {
    let ring = ring(strategy, 3, 8);
    ring.put(&element(8, 1));
    ring.put(&element(8, 2));
    ring.close();
    ring.close();
    assert!(ring.is_closed());
    assert_eq!(ring.put(&element(8, 3)), Outcome::Closed);
    let mut done = 0;
    let many = [0; 64];
    // SAFETY: eight elements.
    assert_eq!(unsafe { ring.try_push_n(many.as_ptr(), 8, &mut done) }, Outcome::Closed);
    // SAFETY: one element.
    assert_eq!(unsafe { ring.push(many.as_ptr(), None) }, Outcome::Closed);
    assert_eq!(ring.get().unwrap(), element(8, 1));
    let (mut slot, mut len) = (std::ptr::null(), 0);
    assert_eq!(ring.peek(&mut slot, &mut len), Outcome::Ok);
    assert_eq!(ring.release(slot), Outcome::Ok);
    assert_eq!(ring.get(), Err(Outcome::Closed));
    let mut out = [0; 8];
    // SAFETY: one element.
    assert_eq!(unsafe { ring.pop(out.as_mut_ptr(), None) }, Outcome::Closed);
    // SAFETY: as above.
    assert_eq!(unsafe { ring.pop_n(out.as_mut_ptr(), 1, None, &mut done) }, Outcome::Closed);
    assert_eq!(ring.peek(&mut slot, &mut len), Outcome::Closed);
    let mut slot = std::ptr::null_mut();
    let claimed = ring.claim(&mut slot);
    // SAFETY: claimed if at all; nothing is read from it.
    let end = if claimed == Outcome::Ok { unsafe { ring.commit(slot) } } else { claimed };
    assert_eq!(end, Outcome::Closed);
    if claimed == Outcome::Ok {
        assert_eq!(ring.abandon(slot), Outcome::Ok, "a refused commit keeps the claim");
    }
    assert_eq!(ring.get(), Err(Outcome::Closed));
}

pub(crate) fn waits_time_out_and_are_interrupted(strategy: Strategy) {
    let ring = ring(strategy, 1, 8);
    let mut elem = [0; 8];
    let mut done = 9;
    let short = Some(Duration::from_millis(2));
    // SAFETY: one element, here and below.
    unsafe {
        assert_eq!(ring.pop(elem.as_mut_ptr(), Some(Duration::ZERO)), Outcome::Empty);
        assert_eq!(ring.pop(elem.as_mut_ptr(), short), Outcome::Timeout);
        assert_eq!(ring.pop_n(elem.as_mut_ptr(), 1, short, &mut done), Outcome::Timeout);
        assert_eq!(done, 0);
        assert_eq!(ring.push(elem.as_ptr(), short), Outcome::Ok);
        assert_eq!(ring.push(elem.as_ptr(), Some(Duration::ZERO)), Outcome::Full);
        assert_eq!(ring.push(elem.as_ptr(), short), Outcome::Timeout);
        assert_eq!(ring.pop(elem.as_mut_ptr(), short), Outcome::Ok);
    }
    ring.interrupt(); // nobody waits: no effect later
    // SAFETY: one element.
    assert_eq!(unsafe { ring.pop(elem.as_mut_ptr(), short) }, Outcome::Timeout);
    ring.release_thread();
    let waits = ring.stats().waits;
    let sleeper = {
        let ring = ring.clone();
        // SAFETY: one element.
        std::thread::spawn(move || unsafe { ring.pop([0; 8].as_mut_ptr(), None) })
    };
    wait_until("the popper sleeps", || ring.stats().waits > waits);
    ring.interrupt();
    assert_eq!(finishes("the popper", || sleeper.join().unwrap()), Outcome::Interrupted);
}

pub(crate) fn waits_end_when_the_other_side_moves(strategy: Strategy) {
    let ring = ring(strategy, 2, 8);
    let sum = {
        let ring = ring.clone();
        std::thread::spawn(move || {
            let mut sum = 0;
            let mut many = [0_u64; 5];
            loop {
                let mut done = 0;
                // SAFETY: room for five elements.
                match unsafe { ring.pop_n(many.as_mut_ptr().cast(), 5, None, &mut done) } {
                    Outcome::Ok => sum += many[..done].iter().sum::<u64>(),
                    Outcome::Closed => return sum,
                    other => panic!("{other:?}"),
                }
            }
        })
    };
    for i in 0..2000_u64 {
        // SAFETY: one element.
        let outcome = unsafe { ring.push((&raw const i).cast(), None) };
        assert_eq!(outcome, Outcome::Ok);
    }
    ring.close();
    assert_eq!(finishes("the sum", || sum.join().unwrap()), 1999 * 1000);
}

/// Counts, and remembers what it was called for.
unsafe extern "C" fn note(elem: *mut c_void, context: *mut c_void) {
    // SAFETY: the tests below pass such a mutex and keep it alive.
    let notes = unsafe { &*context.cast::<Mutex<Vec<u64>>>() };
    // SAFETY: an element of 8 bytes aligned to 8.
    notes.lock().unwrap().push(unsafe { elem.cast::<u64>().read() });
}

pub(crate) fn the_hook_sees_what_is_left_once(strategy: Strategy) {
    for (capacity, inside) in [(1, 1), (4, 0), (4, 3), (5, 5)] {
        let notes = Mutex::new(Vec::<u64>::new());
        let context = (&raw const notes).cast_mut().cast();
        let options = Options { strategy: Some(strategy), capacity, ..Options::default() };
        // SAFETY: `note` may be called from anywhere while `notes` lives.
        let ring = unsafe { open(&options, Some(DropHook { call: note, context })) }.unwrap();
        for i in 0..capacity as u64 {
            ring.put(&i.to_ne_bytes());
            ring.get().unwrap();
        }
        for i in 0..inside as u64 {
            ring.put(&(100 + i).to_ne_bytes());
        }
        assert!(notes.lock().unwrap().is_empty(), "what is popped is its owner's");
        let other = ring.clone();
        drop(ring);
        assert!(notes.lock().unwrap().is_empty());
        drop(other);
        assert_eq!(*notes.lock().unwrap(), Vec::from_iter(100..100 + inside as u64));
    }
}

/// Any thread may call. Where a side is for one, the first to use it owns it
/// until it gives it back or ends.
pub(crate) fn threads_take_and_leave_their_sides(strategy: Strategy) {
    let ring = ring(strategy, 4, 8);
    let on_a_thread = |call: fn(&dyn DynRing) -> Outcome| {
        let ring = ring.clone();
        std::thread::spawn(move || call(&*ring)).join().unwrap()
    };
    // SAFETY: one element.
    let push: fn(&dyn DynRing) -> Outcome = |r| unsafe { r.try_push([0; 8].as_ptr()) };
    // SAFETY: as above.
    let pop: fn(&dyn DynRing) -> Outcome = |r| unsafe { r.try_pop([0; 8].as_mut_ptr()) };
    let claim: fn(&dyn DynRing) -> Outcome = |r| {
        let mut slot = std::ptr::null_mut();
        match r.claim(&mut slot) {
            Outcome::Ok => r.abandon(slot),
            other => other,
        }
    };
    let traits = strategy.traits();
    let others = |arity| if arity == Arity::Many { Outcome::Ok } else { Outcome::NoHandle };

    assert_eq!(push(&*ring), Outcome::Ok);
    assert_eq!(on_a_thread(push), others(traits.producers));
    assert_eq!(on_a_thread(claim), others(traits.producers));
    assert_eq!(on_a_thread(pop), Outcome::Ok, "the thread's end gives the side back");
    assert_eq!(push(&*ring), Outcome::Ok);
    assert_eq!(pop(&*ring), Outcome::Ok, "now it is this thread's");
    assert_eq!(on_a_thread(pop), if traits.consumers == Arity::Many { Outcome::Ok } else { Outcome::NoHandle });
    ring.release_thread();
    assert_eq!(on_a_thread(push), Outcome::Ok);
    assert_eq!(on_a_thread(pop), Outcome::Ok);
    ring.release_thread(); // owning nothing: no effect
    // Explicit handles count as owners, too.
    let producer = ring.clone().producer().unwrap();
    assert_eq!(push(&*ring), others(traits.producers));
    drop(producer);
    assert_eq!(push(&*ring), Outcome::Ok);
}

pub(crate) fn explicit_handles_obey_the_arity(strategy: Strategy) {
    let ring = ring(strategy, 4, 8);
    let traits = strategy.traits();
    let producer = ring.clone().producer().unwrap();
    let consumer = ring.clone().consumer().unwrap();
    if traits.producers == Arity::One {
        assert!(matches!(ring.clone().producer().unwrap_err(), BuildError::NoHandle(_)));
    }
    if traits.consumers == Arity::One {
        assert!(matches!(ring.clone().consumer().unwrap_err(), BuildError::NoHandle(_)));
    }
    drop(ring);
    let mut out = 0_u64;
    for i in 0..20_u64 {
        // SAFETY: one element.
        unsafe {
            assert_eq!(producer.try_push((&raw const i).cast()), Outcome::Ok);
            assert_eq!(consumer.try_pop((&raw mut out).cast()), Outcome::Ok);
        }
        assert_eq!(out, i);
    }
    let (mut slot, mut read, mut len) = (std::ptr::null_mut(), std::ptr::null(), 0);
    assert_eq!(producer.claim(&mut slot), Outcome::Ok);
    // SAFETY: claimed, 8 bytes.
    unsafe {
        slot.cast::<u64>().write(77);
        assert_eq!(producer.commit(slot), Outcome::Ok);
        assert_eq!(consumer.peek(&mut read, &mut len), Outcome::Ok);
        assert_eq!(read.cast::<u64>().read(), 77);
    }
    assert_eq!(consumer.release(read), Outcome::Ok);
    assert!(format!("{producer:?} {consumer:?}").contains(traits.name));
    let moved = std::thread::spawn(move || {
        // SAFETY: one element.
        unsafe { producer.push([1; 8].as_ptr(), None) }
    });
    // SAFETY: as above.
    assert_eq!(unsafe { consumer.pop((&raw mut out).cast(), None) }, Outcome::Ok);
    assert_eq!(moved.join().unwrap(), Outcome::Ok);
}

/// Whether the descriptor is readable within `milliseconds`.
fn readable(fd: i32, milliseconds: i32) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one descriptor to look at.
    let n = unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
    n == 1 && poll.revents & libc::POLLIN != 0
}

pub(crate) fn the_event_descriptor_tells_of_elements(strategy: Strategy) {
    const LONG: i32 = 60_000;
    let ring = ring(strategy, 4, 8);
    let fd = ring.clone().event_fd().unwrap();
    assert_eq!(ring.clone().event_fd().unwrap(), fd, "there is one");
    assert!(!readable(fd, 0));
    for round in 0..3 {
        let pusher = {
            let ring = ring.clone();
            std::thread::spawn(move || {
                ring.put(&[1; 8]);
                ring.put(&[2; 8]);
            })
        };
        assert!(readable(fd, LONG), "round {round}");
        pusher.join().unwrap();
        assert!(readable(fd, 0), "it stays so until `Empty` was heard");
        assert_eq!(ring.get().unwrap(), [1; 8]);
        assert_eq!(ring.get().unwrap(), [2; 8]);
        assert_eq!(ring.get(), Err(Outcome::Empty));
        assert!(!readable(fd, 0), "round {round}");
    }
    let closer = {
        let ring = ring.clone();
        std::thread::spawn(move || ring.close())
    };
    assert!(readable(fd, LONG), "closing is an event");
    closer.join().unwrap();
    assert_eq!(ring.get(), Err(Outcome::Closed));
}

pub(crate) fn statistics_count_what_happened(strategy: Strategy) {
    let ring = ring(strategy, 2, 8);
    for _ in 0..3 {
        ring.put(&[0; 8]);
    }
    for _ in 0..4 {
        let _ = ring.get();
    }
    let producer = ring.clone();
    let stats = ring.stats();
    assert_eq!((stats.capacity, stats.pushed, stats.popped), (2, 2, 2));
    assert_eq!((stats.full, stats.empty, stats.busy, stats.closed), (1, 2, 0, false));
    ring.release_thread();
    let explicit = producer.clone().producer().unwrap();
    for _ in 0..3 {
        // SAFETY: one element.
        unsafe { explicit.try_push([0; 8].as_ptr()) };
    }
    assert_eq!(ring.stats().full, 2);
    drop(explicit);
    assert_eq!((ring.stats().full, ring.stats().pushed), (2, 4));
}

static CALLED: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn impossible_options_are_errors(strategy: Strategy) {
    let base = Options { strategy: Some(strategy), capacity: 4, ..Options::default() };
    let refused = |options: Options, words: &[&str]| {
        // SAFETY: no hook.
        let why = unsafe { open(&options, None) }.unwrap_err();
        assert!(matches!(why, BuildError::Invalid(_)), "{options:?}: {why:?}");
        let text = why.to_string();
        assert!(words.iter().all(|w| text.contains(w)), "{words:?} in {text:?}");
    };
    refused(Options { capacity: 0, ..base.clone() }, &["capacity is 0", "at least 1"]);
    refused(Options { capacity: usize::MAX, ..base.clone() }, &[]);
    refused(Options { capacity: 1 << 60, elem_size: 4096, ..base.clone() }, &[]);
    refused(Options { elem_size: 0, ..base.clone() }, &["elem_size is 0", "16777216"]);
    refused(Options { elem_size: (16 << 20) + 1, ..base.clone() }, &["16777217", "16777216"]);
    refused(Options { elem_size: usize::MAX, records: true, ..base.clone() }, &["elem_size"]);
    refused(Options { elem_align: 3, ..base.clone() }, &["elem_align is 3", "power of two"]);
    refused(Options { elem_align: 8192, ..base.clone() }, &["8192", "4096"]);
    build(Options { elem_size: 16 << 20, capacity: 1, ..base.clone() });

    unsafe extern "C" fn count(_: *mut c_void, _: *mut c_void) {
        CALLED.fetch_add(1, Ordering::Relaxed);
    }
    let shared = Options { path: Some("/turtle-test-never-made".into()), ..base };
    let hook = DropHook { call: count, context: std::ptr::null_mut() };
    // SAFETY: the hook only counts.
    let why = unsafe { open(&shared, Some(hook)) }.unwrap_err();
    assert!(why.to_string().contains("private"), "{why}");
    assert_eq!(CALLED.load(Ordering::Relaxed), 0);
}
