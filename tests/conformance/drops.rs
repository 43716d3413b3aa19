//! Who drops what, and elements of every kind: sizes, alignments, zero-sized, not `Sync`.
#![allow(clippy::disallowed_types)] // counts drops

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use turtle_buffers::strategy::Engine;
use turtle_buffers::{Batch, Ring, TryPopError, TryPushError};

use crate::one_of_each;

/// Writes its number down when it is dropped.
#[derive(Debug)]
struct Noted {
    number: usize,
    notes: Arc<Mutex<Vec<usize>>>,
    panics: bool,
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.notes.lock().unwrap().push(self.number);
        if self.panics {
            panic!("drop of {}", self.number);
        }
    }
}

#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<usize>>>);

impl Notes {
    fn make(&self, number: usize) -> Noted {
        Noted {
            number,
            notes: self.0.clone(),
            panics: false,
        }
    }
    fn make_panicking(&self, number: usize) -> Noted {
        Noted {
            number,
            notes: self.0.clone(),
            panics: true,
        }
    }
    fn dropped(&self) -> Vec<usize> {
        let mut dropped = self.0.lock().unwrap().clone();
        dropped.sort_unstable();
        dropped
    }
}

pub(crate) fn the_last_handle_drops_what_is_left_once<S: Engine>() {
    for capacity in [1, 3, 8] {
        for inside in 0..=capacity {
            for last in 0..3 {
                let notes = Notes::default();
                let (ring, mut tx, mut rx) = one_of_each::<Noted, S>(capacity);
                // Not at the start of the array.
                for i in 0..capacity / 2 + 1 {
                    tx.try_push(notes.make(1000 + i)).unwrap();
                    drop(rx.try_pop().unwrap());
                }
                notes.0.lock().unwrap().clear();
                for i in 0..inside {
                    tx.try_push(notes.make(i)).unwrap();
                }
                match last {
                    0 => {
                        drop((tx, rx));
                        assert_eq!(notes.dropped(), []);
                        drop(ring);
                    }
                    1 => {
                        drop((ring, rx));
                        assert_eq!(notes.dropped(), []);
                        drop(tx);
                    }
                    _ => {
                        drop((tx, ring));
                        assert_eq!(notes.dropped(), []);
                        drop(rx);
                    }
                }
                assert_eq!(notes.dropped(), Vec::from_iter(0..inside));
            }
        }
    }
}

pub(crate) fn what_was_popped_is_dropped_by_its_owner<S: Engine>() {
    let notes = Notes::default();
    let (ring, mut tx, mut rx) = one_of_each::<Noted, S>(4);
    for i in 0..4 {
        tx.push(notes.make(i)).unwrap();
    }
    let kept = rx.pop().unwrap();
    drop(rx.try_peek().unwrap()); // 1
    let taken = rx.try_peek().unwrap().take(); // 2
    assert_eq!(notes.dropped(), [1]);
    let refused = {
        tx.push(notes.make(4)).unwrap();
        tx.push(notes.make(5)).unwrap();
        tx.push(notes.make(6)).unwrap();
        tx.try_push(notes.make(7)).unwrap_err()
    };
    assert_eq!(notes.dropped(), [1], "a refused value is not dropped");
    assert_eq!(refused.into_inner().number, 7);
    assert_eq!(notes.dropped(), [1, 7]);
    drop((ring, tx, rx));
    assert_eq!(notes.dropped(), [1, 3, 4, 5, 6, 7]);
    drop((kept, taken));
    assert_eq!(notes.dropped(), [0, 1, 2, 3, 4, 5, 6, 7]);
}

pub(crate) fn batches_drop_nothing_twice<S: Engine>() {
    let notes = Notes::default();
    let (ring, mut tx, mut rx) = one_of_each::<Noted, S>(3);
    let mut values = Batch::new((0..5).map(|i| notes.make(i)).collect::<Vec<_>>());
    assert_eq!(tx.try_push_batch(&mut values).ok(), Some(3));
    let mut out = Vec::new();
    assert_eq!(rx.try_pop_batch(&mut out, 2), Ok(2));
    assert_eq!(tx.try_push_batch(&mut values).ok(), Some(2));
    assert_eq!(notes.dropped(), []);
    drop((ring, tx, rx));
    assert_eq!(notes.dropped(), [2, 3, 4]);
    drop((out, values));
    assert_eq!(notes.dropped(), [0, 1, 2, 3, 4]);
}

pub(crate) fn a_closed_ring_still_drops_what_is_left<S: Engine>() {
    let notes = Notes::default();
    let (ring, mut tx, mut rx) = one_of_each::<Noted, S>(3);
    for i in 0..3 {
        tx.push(notes.make(i)).unwrap();
    }
    ring.close();
    drop(rx.pop().unwrap());
    drop((ring, tx, rx));
    assert_eq!(notes.dropped(), [0, 1, 2]);
}

pub(crate) fn an_abandoned_claim_drops_nothing<S: Engine>() {
    let notes = Notes::default();
    let (ring, mut tx, rx) = one_of_each::<Noted, S>(4);
    tx.push(notes.make(0)).unwrap();
    drop(tx.try_claim().unwrap());
    tx.push(notes.make(1)).unwrap();
    drop((ring, tx, rx));
    assert_eq!(notes.dropped(), [0, 1]);
}

pub(crate) fn a_panicking_drop_leaks_nothing_else<S: Engine>() {
    for bad in 0..4 {
        let notes = Notes::default();
        let (ring, mut tx, rx) = one_of_each::<Noted, S>(4);
        for i in 0..4 {
            let value = if i == bad {
                notes.make_panicking(i)
            } else {
                notes.make(i)
            };
            assert!(tx.try_push(value).is_ok());
        }
        drop((tx, rx));
        let outcome = catch_unwind(AssertUnwindSafe(|| drop(ring)));
        assert!(
            outcome.is_err(),
            "the panic reaches whoever dropped the last handle"
        );
        assert_eq!(notes.dropped(), [0, 1, 2, 3], "number {bad} panicked");
    }
}

pub(crate) fn a_panicking_drop_in_a_peek_gives_the_slot_back<S: Engine>() {
    let notes = Notes::default();
    let (_ring, mut tx, mut rx) = one_of_each::<Noted, S>(1);
    for lap in 0..3 {
        assert!(tx.try_push(notes.make_panicking(lap)).is_ok());
        let outcome = catch_unwind(AssertUnwindSafe(|| drop(rx.try_peek().unwrap())));
        assert!(outcome.is_err());
        assert_eq!(rx.try_pop().unwrap_err(), TryPopError::Empty);
    }
    assert_eq!(notes.dropped(), [0, 1, 2]);
}

/// A batch whose iterator panics, or ends before it said: what it gave is in,
/// nothing else is, and the ring goes on with its whole capacity.
pub(crate) fn a_batch_whose_iterator_breaks_loses_nothing<S: Engine>() {
    struct Breaks {
        notes: Notes,
        given: usize,
        gives: usize,
        says: usize,
        panics: bool,
    }
    impl Iterator for Breaks {
        type Item = Noted;
        fn next(&mut self) -> Option<Noted> {
            if self.given == self.gives {
                assert!(!self.panics, "the iterator breaks");
                return None;
            }
            self.given += 1;
            Some(self.notes.make(self.given - 1))
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (self.says, Some(self.says))
        }
    }
    impl ExactSizeIterator for Breaks {}

    for capacity in [1, 2, 5, 8] {
        for gives in 0..capacity {
            for panics in [true, false] {
                let notes = Notes::default();
                let (_ring, mut tx, mut rx) = one_of_each::<Noted, S>(capacity);
                let mut values = Batch::new(Breaks {
                    notes: notes.clone(),
                    given: 0,
                    gives,
                    says: capacity,
                    panics,
                });
                let outcome = catch_unwind(AssertUnwindSafe(|| tx.try_push_batch(&mut values)));
                match outcome {
                    Err(_) => assert!(panics),
                    Ok(Ok(n)) => assert!(!panics && n == gives),
                    Ok(Err(why)) => panic!("{why:?}"),
                }
                for number in 0..gives {
                    assert_eq!(rx.try_pop().unwrap().number, number);
                }
                assert_eq!(rx.try_pop().unwrap_err(), TryPopError::Empty);
                assert_eq!(notes.dropped(), Vec::from_iter(0..gives));
                for number in 0..capacity {
                    assert!(tx.try_push(notes.make(100 + number)).is_ok());
                }
                assert!(matches!(
                    tx.try_push(notes.make(0)),
                    Err(TryPushError::Full(_))
                ));
            }
        }
    }
}

/// An iterator that promises elements for ever and has none must not make the
/// blocking call spin.
pub(crate) fn a_blocking_batch_ends_with_its_iterator<S: Engine>() {
    struct Liar(u32);
    impl Iterator for Liar {
        type Item = u32;
        fn next(&mut self) -> Option<u32> {
            self.0 = self.0.checked_sub(1)?;
            Some(self.0)
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (3, Some(3))
        }
    }
    impl ExactSizeIterator for Liar {}
    for gives in 0..3 {
        let (_ring, mut tx, _rx) = one_of_each::<u32, S>(8);
        let done = crate::support::finishes("a batch of a liar", move || {
            tx.push_batch(&mut Batch::new(Liar(gives)))
        });
        assert_eq!(done, Ok(gives as usize));
    }
}

pub(crate) fn zero_sized_elements_are_counted<S: Engine>() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    static GATE: Mutex<()> = Mutex::new(()); // the static is shared by the engines' tests
    struct Nothing;
    impl Drop for Nothing {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::Relaxed);
        }
    }
    let _alone = GATE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    for capacity in [1, 2, 3, 100] {
        DROPS.store(0, Ordering::Relaxed);
        let (ring, mut tx, mut rx) = one_of_each::<Nothing, S>(capacity);
        for _ in 0..capacity {
            assert!(tx.try_push(Nothing).is_ok());
        }
        assert!(matches!(
            tx.try_push(Nothing),
            Err(TryPushError::Full(Nothing))
        ));
        assert_eq!(DROPS.load(Ordering::Relaxed), 1);
        let mut out = Vec::new();
        assert_eq!(rx.try_pop_batch(&mut out, usize::MAX), Ok(capacity));
        assert_eq!(out.len(), capacity);
        drop(out);
        assert_eq!(DROPS.load(Ordering::Relaxed), 1 + capacity);
        let n = tx.try_push_batch(&mut Batch::new(
            (0..capacity).map(|_| Nothing).collect::<Vec<_>>(),
        ));
        assert_eq!(n.unwrap_or(0), capacity);
        drop((ring, tx, rx));
        assert_eq!(DROPS.load(Ordering::Relaxed), 1 + 2 * capacity);
    }
}

macro_rules! aligned {
    ($($name:ident = $align:literal),+) => {$(
        #[repr(align($align))]
        #[derive(Clone, Copy, Debug, PartialEq)]
        struct $name(u8);
    )+};
}
aligned!(A64 = 64, A128 = 128, A4096 = 4096);

pub(crate) fn over_aligned_elements_lie_where_they_must<S: Engine>() {
    fn lies_well<T: Send + Copy + PartialEq + std::fmt::Debug, S: Engine>(make: fn(u8) -> T) {
        for capacity in [1, 3, 4] {
            let (_ring, mut tx, mut rx) = one_of_each::<T, S>(capacity);
            for lap in 0..3_u8 {
                for i in 0..capacity as u8 {
                    let mut claim = tx.try_claim().unwrap();
                    let at = claim.slot().as_ptr();
                    assert!(at.is_aligned(), "{at:?} for {}", align_of::<T>());
                    claim.commit(make(lap * 16 + i)).unwrap();
                }
                for i in 0..capacity as u8 {
                    let peek = rx.try_peek().unwrap();
                    assert!(std::ptr::from_ref(&*peek).is_aligned());
                    assert_eq!(*peek, make(lap * 16 + i));
                }
            }
        }
    }
    lies_well::<_, S>(A64);
    lies_well::<_, S>(A128);
    lies_well::<_, S>(A4096);
    lies_well::<u8, S>(|n| n);
    lies_well::<u128, S>(|n| u128::MAX - u128::from(n));
    lies_well::<[u16; 3], S>(|n| [n.into(); 3]);
}

pub(crate) fn large_elements_arrive_whole<S: Engine>() {
    let (_ring, mut tx, mut rx) = one_of_each::<[u64; 2048], S>(3);
    for lap in 0..5 {
        for i in 0..3 {
            tx.try_push(std::array::from_fn(|at| {
                lap * 1_000_000 + i * 10_000 + at as u64
            }))
            .unwrap();
        }
        for i in 0..3 {
            let got = rx.try_pop().unwrap();
            assert!(
                got.iter()
                    .enumerate()
                    .all(|(at, &w)| w == lap * 1_000_000 + i * 10_000 + at as u64)
            );
        }
    }
}

pub(crate) fn elements_need_not_be_sync<S: Engine>() {
    let (_ring, mut tx, mut rx) = one_of_each::<Cell<u32>, S>(2);
    let sender = std::thread::spawn(move || {
        for i in 0..100 {
            tx.push(Cell::new(i)).unwrap();
        }
    });
    for i in 0..100 {
        assert_eq!(rx.pop().unwrap().into_inner(), i);
    }
    sender.join().unwrap();
    let boxed = Ring::<Box<dyn FnOnce() -> u32 + Send>, S>::new(1).unwrap();
    boxed.producer().unwrap().push(Box::new(|| 42)).unwrap();
    assert_eq!(boxed.consumer().unwrap().pop().unwrap()(), 42);
}
