//! The face over byte records, which all bindings use.
#![allow(clippy::disallowed_types)] // counts drops

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use turtle_buffers::erased::{DropHook, DynRing, Outcome, Pop, Push, open};
use turtle_buffers::{BuildError, Options, Strategy};

pub(crate) fn build(options: Options) -> Arc<dyn DynRing> {
    // SAFETY: no hook.
    unsafe { open(&options, None) }.unwrap()
}

pub(crate) fn ring(strategy: Strategy, capacity: usize, elem_size: usize) -> Arc<dyn DynRing> {
    build(Options {
        strategy: Some(strategy),
        capacity,
        elem_size,
        ..Options::default()
    })
}

pub(crate) fn records(strategy: Strategy, capacity: usize, longest: usize) -> Arc<dyn DynRing> {
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

pub(crate) fn element(size: usize, number: usize) -> Vec<u8> {
    (0..size)
        .map(|at| (number.wrapping_mul(31) + at * 7 + (at >> 8)) as u8)
        .collect()
}

pub(crate) fn capacity_is_exact_for_every_size(strategy: Strategy) {
    for size in [1, 2, 3, 7, 8, 9, 16, 24, 63, 64, 65, 1000, 4096, 16384] {
        for capacity in [1, 2, 3, 8, 100] {
            let ring = ring(strategy, capacity, size);
            assert_eq!(
                (ring.capacity(), ring.elem_size(), ring.strategy()),
                (capacity, size, strategy)
            );
            assert!(!ring.is_shared() && !ring.has_records() && ring.trouble().is_none());
            for lap in 0..3 {
                for i in 0..capacity {
                    assert_eq!(ring.len(), i);
                    assert_eq!(ring.put(&element(size, lap + i)), Outcome::Ok);
                }
                assert_eq!(
                    ring.put(&element(size, 0)),
                    Outcome::Full,
                    "{capacity} of {size}"
                );
                for i in 0..capacity {
                    assert_eq!(
                        ring.get().unwrap(),
                        element(size, lap + i),
                        "{capacity} of {size}"
                    );
                }
                assert_eq!(ring.get(), Err(Outcome::Empty));
                assert!(ring.is_empty());
            }
        }
    }
    let default = build(Options {
        strategy: Some(strategy),
        ..Options::default()
    });
    assert_eq!(
        (
            default.capacity(),
            default.elem_size(),
            default.elem_align()
        ),
        (1024, 8, 8)
    );
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
        let ring = build(Options {
            strategy: Some(strategy),
            capacity: 5,
            elem_size: 24,
            elem_align,
            ..Options::default()
        });
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
                assert_eq!(
                    outcome,
                    if n > 0 && done == 0 {
                        Outcome::Full
                    } else {
                        Outcome::Ok
                    }
                );
                next += done;
                let max = (round * 3 + 1) % (capacity + 2);
                let mut out = vec![0; max * size];
                // SAFETY: room for `max` elements.
                let outcome =
                    unsafe { ring.pop_n(out.as_mut_ptr(), max, Some(Duration::ZERO), &mut done) };
                assert_eq!(done, max.min(next - expected));
                assert_eq!(
                    outcome,
                    if max > 0 && done == 0 {
                        Outcome::Empty
                    } else {
                        Outcome::Ok
                    }
                );
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
                assert!(
                    data[len..].iter().all(|&b| b == 0xee),
                    "nothing beyond the record"
                );
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
    assert_eq!(
        (outcome, len, data.as_slice()),
        (Outcome::Ok, 13, &b"the first one"[..])
    );
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
        assert_eq!(
            recorded.try_push_n(buffer.as_ptr(), 1, &mut done),
            Outcome::Invalid
        );
        assert_eq!(recorded.try_pop(buffer.as_mut_ptr()), Outcome::Invalid);
        assert_eq!(recorded.pop(buffer.as_mut_ptr(), None), Outcome::Invalid);
        assert_eq!(
            recorded.pop_n(buffer.as_mut_ptr(), 1, None, &mut done),
            Outcome::Invalid
        );
    }
    assert!(plain.is_empty() && recorded.is_empty());
    assert_eq!((plain.stats().pushed, recorded.stats().pushed), (0, 0));
}

/// Counts, and remembers what it was called for.
unsafe extern "C" fn note(elem: *mut c_void, context: *mut c_void) {
    // SAFETY: the tests below pass such a mutex and keep it alive.
    let notes = unsafe { &*context.cast::<Mutex<Vec<u64>>>() };
    // SAFETY: an element of 8 bytes aligned to 8.
    notes
        .lock()
        .unwrap()
        .push(unsafe { elem.cast::<u64>().read() });
}

pub(crate) fn the_hook_sees_what_is_left_once(strategy: Strategy) {
    for (capacity, inside) in [(1, 1), (4, 0), (4, 3), (5, 5)] {
        let notes = Mutex::new(Vec::<u64>::new());
        let context = (&raw const notes).cast_mut().cast();
        let options = Options {
            strategy: Some(strategy),
            capacity,
            ..Options::default()
        };
        // SAFETY: `note` may be called from anywhere while `notes` lives.
        let ring = unsafe {
            open(
                &options,
                Some(DropHook {
                    call: note,
                    context,
                }),
            )
        }
        .unwrap();
        for i in 0..capacity as u64 {
            ring.put(&i.to_ne_bytes());
            ring.get().unwrap();
        }
        for i in 0..inside as u64 {
            ring.put(&(100 + i).to_ne_bytes());
        }
        assert!(
            notes.lock().unwrap().is_empty(),
            "what is popped is its owner's"
        );
        let other = ring.clone();
        drop(ring);
        assert!(notes.lock().unwrap().is_empty());
        drop(other);
        assert_eq!(
            *notes.lock().unwrap(),
            Vec::from_iter(100..100 + inside as u64)
        );
    }
}

static CALLED: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn impossible_options_are_errors(strategy: Strategy) {
    let base = Options {
        strategy: Some(strategy),
        capacity: 4,
        ..Options::default()
    };
    let refused = |options: Options, words: &[&str]| {
        // SAFETY: no hook.
        let why = unsafe { open(&options, None) }.unwrap_err();
        assert!(
            matches!(why, BuildError::Invalid(_)),
            "{options:?}: {why:?}"
        );
        let text = why.to_string();
        assert!(
            words.iter().all(|w| text.contains(w)),
            "{words:?} in {text:?}"
        );
    };
    refused(
        Options {
            capacity: 0,
            ..base.clone()
        },
        &["capacity is 0", "at least 1"],
    );
    refused(
        Options {
            capacity: usize::MAX,
            ..base.clone()
        },
        &[],
    );
    refused(
        Options {
            capacity: 1 << 60,
            elem_size: 4096,
            ..base.clone()
        },
        &[],
    );
    refused(
        Options {
            elem_size: 0,
            ..base.clone()
        },
        &["elem_size is 0", "16777216"],
    );
    refused(
        Options {
            elem_size: (16 << 20) + 1,
            ..base.clone()
        },
        &["16777217", "16777216"],
    );
    refused(
        Options {
            elem_size: usize::MAX,
            records: true,
            ..base.clone()
        },
        &["elem_size"],
    );
    refused(
        Options {
            elem_align: 3,
            ..base.clone()
        },
        &["elem_align is 3", "power of two"],
    );
    refused(
        Options {
            elem_align: 8192,
            ..base.clone()
        },
        &["8192", "4096"],
    );
    build(Options {
        elem_size: 16 << 20,
        capacity: 1,
        ..base.clone()
    });

    unsafe extern "C" fn count(_: *mut c_void, _: *mut c_void) {
        CALLED.fetch_add(1, Ordering::Relaxed);
    }
    let shared = Options {
        path: Some("/turtle-test-never-made".into()),
        ..base
    };
    let hook = DropHook {
        call: count,
        context: std::ptr::null_mut(),
    };
    // SAFETY: the hook only counts.
    let why = unsafe { open(&shared, Some(hook)) }.unwrap_err();
    assert!(why.to_string().contains("private"), "{why}");
    assert_eq!(CALLED.load(Ordering::Relaxed), 0);
}
