//! Order, capacity, batches, claims and peeks, on one thread.

use turtle_buffers::strategy::Engine;
use turtle_buffers::{Batch, Ring, TryPopError, TryPushError};

use crate::support::Random;
use crate::{CAPACITIES, one_of_each};

pub(crate) fn capacity_is_exact<S: Engine>() {
    for capacity in CAPACITIES {
        let (ring, mut tx, mut rx) = one_of_each::<u64, S>(capacity);
        assert_eq!(ring.capacity(), capacity);
        let mut next = 0;
        for lap in 0..4 {
            for inside in 0..capacity {
                assert_eq!(ring.len(), inside);
                assert!(!ring.is_full());
                tx.try_push(next).unwrap();
                next += 1;
            }
            assert!(ring.is_full() && !ring.is_empty());
            assert_eq!(
                tx.try_push(999),
                Err(TryPushError::Full(999)),
                "capacity {capacity}, lap {lap}"
            );
            assert_eq!(
                tx.try_push(998),
                Err(TryPushError::Full(998)),
                "a second look answers the same"
            );
            let first = next - capacity as u64;
            for (taken, value) in (first..next).enumerate() {
                assert_eq!(ring.len(), capacity - taken);
                assert_eq!(rx.try_pop(), Ok(value), "capacity {capacity}, lap {lap}");
            }
            assert!(ring.is_empty());
            assert_eq!(rx.try_pop(), Err(TryPopError::Empty));
            assert_eq!(
                rx.try_pop(),
                Err(TryPopError::Empty),
                "a second look answers the same"
            );
        }
    }
}

pub(crate) fn values_come_out_in_order_whatever_the_fill<S: Engine>() {
    for capacity in CAPACITIES {
        let (ring, mut tx, mut rx) = one_of_each::<u64, S>(capacity);
        let mut random = Random::new(capacity as u64);
        let (mut pushed, mut popped) = (0, 0);
        for _ in 0..40 {
            for _ in 0..random.below(capacity + 1) {
                let full = pushed - popped == capacity as u64;
                match tx.try_push(pushed) {
                    Ok(()) => {
                        assert!(!full);
                        pushed += 1;
                    }
                    Err(why) => assert!(full && why == TryPushError::Full(pushed)),
                }
            }
            for _ in 0..random.below(capacity + 1) {
                let empty = pushed == popped;
                match rx.try_pop() {
                    Ok(value) => {
                        assert_eq!(value, popped);
                        popped += 1;
                    }
                    Err(why) => assert!(empty && why == TryPopError::Empty),
                }
            }
            assert_eq!(ring.len() as u64, pushed - popped);
        }
    }
}

pub(crate) fn a_batch_fills_what_room_there_is<S: Engine>() {
    for capacity in CAPACITIES {
        let (_ring, mut tx, mut rx) = one_of_each::<usize, S>(capacity);
        let mut next = 0; // values are consecutive
        let mut expected = 0;
        // Every start offset, so that batches lie across the end of the array.
        for start in 0..capacity.min(12) {
            let more = capacity + 3;
            let mut values = Batch::new(next..next + more);
            assert_eq!(
                tx.try_push_batch(&mut values),
                Ok(capacity),
                "start {start}"
            );
            assert_eq!(values.len(), 3, "the rest stays in the iterator");
            next += capacity;
            assert_eq!(tx.try_push_batch(&mut values), Err(TryPushError::Full(())));
            assert_eq!(values.len(), 3, "a refusal takes nothing");

            let mut out = vec![usize::MAX];
            let half = capacity.div_ceil(2);
            assert_eq!(rx.try_pop_batch(&mut out, half), Ok(half));
            assert_eq!(
                rx.try_pop_batch(&mut out, usize::MAX).unwrap_or(0),
                capacity - half
            );
            assert_eq!(out[0], usize::MAX, "a batch is appended");
            assert_eq!(out[1..], Vec::from_iter(expected..expected + capacity));
            expected += capacity;
            let before = out.clone();
            assert_eq!(rx.try_pop_batch(&mut out, 5), Err(TryPopError::Empty));
            assert_eq!(out, before);

            // Move on by one.
            tx.try_push(next).unwrap();
            assert_eq!(rx.try_pop(), Ok(next));
            next += 1;
            expected += 1;
        }
    }
}

pub(crate) fn partial_batches_say_how_many<S: Engine>() {
    let (_ring, mut tx, mut rx) = one_of_each::<u32, S>(8);
    for i in 0..5 {
        tx.try_push(i).unwrap();
    }
    let mut values = Batch::new([5, 6, 7, 8, 9]);
    assert_eq!(tx.try_push_batch(&mut values), Ok(3));
    assert_eq!(values.clone().collect::<Vec<_>>(), [8, 9]);
    let mut out = Vec::new();
    assert_eq!(rx.try_pop_batch(&mut out, 6), Ok(6));
    assert_eq!(tx.try_push_batch(&mut values), Ok(2));
    assert_eq!(rx.try_pop_batch(&mut out, 6), Ok(4));
    assert_eq!(out, Vec::from_iter(0..10));
}

/// Slices against a model, at every place of the array and over its end, with a size that leaves a
/// gap behind each element in a slot and with one that does not.
pub(crate) fn slices_are_copied_in_order_over_the_end<S: Engine>() {
    slices::<u64, S>(|n| n);
    slices::<[u8; 5], S>(|n| [n as u8, 1, 2, (n >> 8) as u8, 4]);
    slices::<[u64; 100], S>(|n| [n; 100]); // long runs are published in pieces
    slices::<(), S>(|_| ());
}

fn slices<T: Copy + Send + PartialEq + std::fmt::Debug, S: Engine>(make: fn(u64) -> T) {
    for capacity in CAPACITIES {
        let (ring, mut tx, mut rx) = one_of_each::<T, S>(capacity);
        let mut random = Random::new(capacity as u64);
        let (mut pushed, mut popped) = (0, 0);
        for _ in 0..60 {
            let wanted = random.below(capacity + 2);
            let values: Vec<T> = (pushed..pushed + wanted as u64).map(make).collect();
            let room = capacity - (pushed - popped) as usize;
            let expected = match (wanted, room) {
                (0, _) => Ok(0),
                (_, 0) => Err(TryPushError::Full(())),
                _ => Ok(wanted.min(room)),
            };
            assert_eq!(tx.try_push_slice(&values), expected, "capacity {capacity}");
            pushed += expected.unwrap_or(0) as u64;
            let mut out = Vec::new();
            let max = random.below(capacity + 2);
            if random.below(2) == 0 {
                let _ = rx.try_pop_batch(&mut out, max);
            } else {
                out.extend(rx.try_iter().take(max));
            }
            let inside = (pushed - popped) as usize;
            assert_eq!(out.len(), max.min(inside), "capacity {capacity}");
            for value in out {
                assert_eq!(value, make(popped), "capacity {capacity}");
                popped += 1;
            }
        }
        ring.close();
        assert_eq!(tx.try_push_slice(&[make(0)]), Err(TryPushError::Closed(())));
        assert_eq!(rx.try_iter().count() as u64, pushed - popped);
        assert_eq!(rx.try_iter().next(), None);
    }
}

pub(crate) fn an_empty_batch_is_done_at_once<S: Engine>() {
    let (ring, mut tx, mut rx) = one_of_each::<u32, S>(2);
    let mut out = Vec::new();
    for _ in 0..3 {
        assert_eq!(
            tx.try_push_batch(&mut Batch::new(std::iter::empty())),
            Ok(0)
        );
        assert_eq!(tx.push_batch(&mut Batch::new(std::iter::empty())), Ok(0));
        assert_eq!(rx.try_pop_batch(&mut out, 0), Ok(0));
        assert_eq!(rx.pop_batch(&mut out, 0), Ok(0));
        tx.try_push(1).unwrap_or(());
    }
    assert_eq!(ring.len(), 2);
}

pub(crate) fn a_claim_is_invisible_until_it_is_committed<S: Engine>() {
    for capacity in [1, 2, 3, 8] {
        let (_ring, mut tx, mut rx) = one_of_each::<String, S>(capacity);
        for lap in 0..2 * capacity + 1 {
            let claim = tx.try_claim().unwrap();
            // `Empty` is true; an engine whose claims decide may say `Busy`.
            let before = rx.try_pop();
            assert!(
                matches!(before, Err(TryPopError::Empty | TryPopError::Busy)),
                "{before:?}"
            );
            claim.commit(format!("lap {lap}")).unwrap();
            assert_eq!(rx.try_pop().unwrap(), format!("lap {lap}"));
            assert_eq!(rx.try_pop(), Err(TryPopError::Empty));
        }
    }
}

pub(crate) fn a_claim_can_be_built_in_place<S: Engine>() {
    let (_ring, mut tx, mut rx) = one_of_each::<[u64; 4], S>(2);
    for i in 0..5 {
        let mut claim = tx.try_claim().unwrap();
        claim.slot().write([i; 4]);
        // SAFETY: written just above.
        assert!(unsafe { claim.commit_in_place() }.is_ok());
        assert_eq!(rx.try_pop(), Ok([i; 4]));
    }
}

pub(crate) fn an_abandoned_claim_leaves_no_element<S: Engine>() {
    for capacity in CAPACITIES.into_iter().filter(|&c| c <= 100) {
        let (_ring, mut tx, mut rx) = one_of_each::<u64, S>(capacity);
        for lap in 0..3 * capacity as u64 {
            drop(tx.try_claim().unwrap());
            assert_eq!(
                rx.try_pop(),
                Err(TryPopError::Empty),
                "capacity {capacity}, lap {lap}"
            );
            drop(tx.try_claim().unwrap());
            // The void of the claim must not cost capacity once it is the oldest.
            for i in 0..capacity as u64 {
                tx.try_push(lap + i).unwrap();
            }
            assert_eq!(tx.try_push(0), Err(TryPushError::Full(0)));
            for i in 0..capacity as u64 {
                assert_eq!(rx.try_pop(), Ok(lap + i));
            }
        }
    }
}

pub(crate) fn abandoned_claims_between_elements_are_skipped<S: Engine>() {
    let (_ring, mut tx, mut rx) = one_of_each::<u64, S>(8);
    for lap in 0..20 {
        tx.try_push(lap).unwrap();
        drop(tx.try_claim().unwrap());
        tx.try_push(lap + 100).unwrap();
        drop(tx.try_claim().unwrap());
        drop(tx.try_claim().unwrap());
        tx.try_push(lap + 200).unwrap();
        let mut out = Vec::new();
        if lap % 2 == 0 {
            while rx.try_pop_batch(&mut out, 8).is_ok() {}
        } else {
            out.extend(std::iter::from_fn(|| rx.try_pop().ok()));
        }
        assert_eq!(out, [lap, lap + 100, lap + 200]);
        assert_eq!(rx.try_pop(), Err(TryPopError::Empty));
    }
}

pub(crate) fn a_full_ring_refuses_a_claim<S: Engine>() {
    let (_ring, mut tx, mut rx) = one_of_each::<u64, S>(3);
    for i in 0..3 {
        tx.try_claim().unwrap().commit(i).unwrap();
    }
    assert_eq!(tx.try_claim().err(), Some(TryPushError::Full(())));
    assert_eq!(rx.try_pop(), Ok(0));
    tx.try_claim().unwrap().commit(3).unwrap();
    assert_eq!(tx.try_claim().err(), Some(TryPushError::Full(())));
    assert_eq!(
        [1, 2, 3].map(Ok),
        [rx.try_pop(), rx.try_pop(), rx.try_pop()]
    );
}

pub(crate) fn a_peek_reads_in_place_and_keeps_the_slot<S: Engine>() {
    for capacity in [1, 2, 3, 8] {
        let (ring, mut tx, mut rx) = one_of_each::<String, S>(capacity);
        for lap in 0..2 * capacity + 1 {
            for i in 0..capacity {
                tx.try_push(format!("{lap}:{i}")).unwrap();
            }
            let mut peek = rx.try_peek().unwrap();
            assert_eq!(*peek, format!("{lap}:0"));
            // With cells of its own the consumer has given another one for it.
            let exchanged = ring.traits().records;
            if !exchanged {
                let refused = tx.try_push("no room yet".into()).unwrap_err();
                assert!(
                    matches!(refused, TryPushError::Full(_) | TryPushError::Busy(_)),
                    "{refused:?}"
                );
            } else {
                tx.try_push("room".into()).unwrap();
            }
            peek.push('!');
            assert_eq!(peek.take(), format!("{lap}:0!"));
            if !exchanged {
                tx.try_push("room".into()).unwrap();
            }
            for i in 1..capacity {
                let peek = rx.try_peek().unwrap();
                assert_eq!(format!("{peek:?}"), format!("Peek(\"{lap}:{i}\")"));
                drop(peek);
            }
            assert_eq!(rx.try_peek().unwrap().take(), "room");
            assert_eq!(rx.try_peek().err(), Some(TryPopError::Empty));
        }
    }
}

pub(crate) fn every_kind_of_call_keeps_one_order<S: Engine>() {
    let mut random = Random::new(7);
    for capacity in [1, 2, 5, 16] {
        let (_ring, mut tx, mut rx) = one_of_each::<u64, S>(capacity);
        let (mut pushed, mut popped) = (0, 0);
        let mut out = Vec::new();
        for _ in 0..2000 {
            match random.below(7) {
                0 => pushed += u64::from(tx.try_push(pushed).is_ok()),
                1 => {
                    if let Ok(claim) = tx.try_claim() {
                        claim.commit(pushed).unwrap();
                        pushed += 1;
                    }
                }
                2 => drop(tx.try_claim()),
                3 => {
                    let mut values = Batch::new(
                        (pushed..pushed + 1 + random.below(4) as u64).collect::<Vec<_>>(),
                    );
                    pushed += tx.try_push_batch(&mut values).unwrap_or(0) as u64;
                }
                4 => out.extend(rx.try_pop()),
                5 => out.extend(rx.try_peek().map(turtle_buffers::Peek::take)),
                _ => drop(rx.try_pop_batch(&mut out, 1 + random.below(4))),
            }
            for value in out.drain(..) {
                assert_eq!(value, popped);
                popped += 1;
            }
        }
        assert!(pushed > 500 / 4, "the test did push: {pushed}");
    }
}

/// An engine's name leads to the same engine, whichever way it is written.
pub(crate) fn the_ring_says_which_engine_it_is<S: Engine>() {
    let ring = Ring::<u8, S>::new(1).unwrap();
    let traits = ring.traits();
    let strategy: turtle_buffers::Strategy = traits.name.parse().unwrap();
    assert_eq!(strategy, S::STRATEGY.unwrap_or_default());
    assert!(format!("{ring:?}").contains(traits.name), "{ring:?}");
}
