//! Handles, arity, statistics.

use turtle_buffers::strategy::{Arity, Engine};
use turtle_buffers::{Batch, BuildError, Ring, Stats, TryPopError};

use crate::one_of_each;

fn refused<H>(handle: Result<H, BuildError>, side: &str) {
    let Err(why) = handle else {
        panic!("a second {side} where one is allowed")
    };
    assert!(matches!(why, BuildError::NoHandle(_)), "{why:?}");
    let text = why.to_string();
    assert!(
        text.contains(side) && text.contains("release"),
        "says what to do: {text}"
    );
}

pub(crate) fn each_side_has_as_many_handles_as_promised<S: Engine>() {
    let ring = Ring::<u64, S>::new(8).unwrap();
    let traits = ring.traits();
    // Those who keep records have as many as the ring was built for: 64 here.
    let many = if traits.records { 63 } else { 100 };
    let one = (ring.producer().unwrap(), ring.consumer().unwrap());
    match traits.producers {
        Arity::One => {
            refused(ring.try_producer(), "producer");
            assert!(ring.clone().producer().is_none());
        }
        Arity::Many => drop(
            (0..many)
                .map(|_| ring.producer().unwrap())
                .collect::<Vec<_>>(),
        ),
    }
    match traits.consumers {
        Arity::One => {
            refused(ring.try_consumer(), "consumer");
            assert!(ring.clone().consumer().is_none());
        }
        Arity::Many => drop(
            (0..many)
                .map(|_| ring.consumer().unwrap())
                .collect::<Vec<_>>(),
        ),
    }
    drop(one);
    let again = ring
        .try_producer()
        .map(drop)
        .and(ring.try_consumer().map(drop));
    assert!(again.is_ok(), "a dropped handle can be replaced: {again:?}");
}

pub(crate) fn a_new_handle_goes_on_where_the_old_one_was<S: Engine>() {
    for capacity in [1, 2, 3, 7] {
        let ring = Ring::<u64, S>::new(capacity).unwrap();
        let (mut next, mut expected) = (0, 0);
        for round in 0..20 {
            let mut tx = ring.producer().unwrap();
            for _ in 0..=round % capacity {
                next += u64::from(tx.try_push(next).is_ok());
            }
            drop(tx);
            let mut rx = ring.consumer().unwrap();
            for _ in 0..=round % 3 {
                if let Ok(value) = rx.try_pop() {
                    assert_eq!(value, expected);
                    expected += 1;
                }
            }
        }
        let mut rx = ring.consumer().unwrap();
        while let Ok(value) = rx.try_pop() {
            assert_eq!(value, expected);
            expected += 1;
        }
        assert_eq!(expected, next);
        assert!(next > 10);
    }
}

pub(crate) fn handles_outlive_the_ring_they_came_from<S: Engine>() {
    let (ring, mut tx, mut rx) = one_of_each::<String, S>(2);
    drop(ring);
    tx.push("still here".into()).unwrap();
    assert_eq!(tx.ring().len(), 1);
    assert_eq!(rx.ring().capacity(), 2);
    let late = rx.ring();
    assert_eq!(rx.pop().unwrap(), "still here");
    drop((tx, rx));
    late.producer().unwrap().push("again".into()).unwrap();
    assert_eq!(late.consumer().unwrap().pop().unwrap(), "again");
}

pub(crate) fn several_handles_of_a_side_share_one_order<S: Engine>() {
    let ring = Ring::<u64, S>::new(16).unwrap();
    let traits = ring.traits();
    let count = |arity| if arity == Arity::Many { 3 } else { 1 };
    let mut producers: Vec<_> = (0..count(traits.producers))
        .map(|_| ring.producer().unwrap())
        .collect();
    let mut consumers: Vec<_> = (0..count(traits.consumers))
        .map(|_| ring.consumer().unwrap())
        .collect();
    for value in 0..200 {
        let n = producers.len();
        producers[value as usize % n].try_push(value).unwrap();
        if value % 10 == 9 {
            for expected in value - 9..=value {
                let n = consumers.len();
                assert_eq!(consumers[expected as usize % n].try_pop(), Ok(expected));
            }
        }
    }
}

pub(crate) fn statistics_count_what_happened<S: Engine>() {
    let (ring, mut tx, mut rx) = one_of_each::<u64, S>(2);
    let fresh = Stats {
        capacity: 2,
        ..Stats::default()
    };
    assert_eq!(ring.stats(), fresh);
    for i in 0..5 {
        tx.try_push(i).unwrap_or(());
    }
    assert_eq!(tx.try_push_batch(&mut Batch::new([1])).ok(), None);
    let full = ring.stats();
    assert_eq!(
        (full.len, full.pushed, full.popped, full.full),
        (2, 2, 0, 4)
    );
    assert_eq!(rx.try_pop_batch(&mut Vec::new(), 5), Ok(2));
    assert_eq!(rx.try_pop(), Err(TryPopError::Empty));
    assert!(rx.try_peek().is_err());
    let empty = ring.stats();
    assert_eq!(
        (empty.len, empty.pushed, empty.popped, empty.empty),
        (0, 2, 2, 2)
    );
    drop((tx, rx));
    assert_eq!(ring.stats(), empty, "numbers of dropped handles are kept");
    let mut tx = ring.producer().unwrap();
    tx.try_push_batch(&mut Batch::new([1, 2, 3])).unwrap();
    assert!(tx.try_push(9).is_err());
    ring.close();
    let last = ring.stats();
    assert_eq!(
        (last.len, last.pushed, last.full, last.busy, last.closed),
        (2, 4, 5, 0, true)
    );
}

pub(crate) fn every_part_can_be_printed<S: Engine>() {
    let (ring, mut tx, mut rx) = one_of_each::<u64, S>(2);
    tx.push(5).unwrap();
    let handles = format!("{ring:?} {tx:?} {rx:?}");
    let shown = format!("{handles} {:?}", rx.try_peek().unwrap());
    for part in [
        "Ring",
        "Producer",
        "Consumer",
        "Peek(5)",
        "capacity: 2",
        "len: 1",
        "closed: false",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(format!("{:?}", tx.try_claim().unwrap()).starts_with("Claim"));
}

pub(crate) fn impossible_capacities_are_errors<S: Engine>() {
    for (capacity, word) in [
        (0, "at least 1"),
        (usize::MAX, ""),
        (usize::MAX / 2, ""),
        (1 << 60, ""),
    ] {
        let why = Ring::<[u64; 8], S>::new(capacity).unwrap_err();
        assert!(matches!(why, BuildError::Invalid(_)), "{capacity}: {why:?}");
        assert!(why.to_string().contains(word), "{why}");
    }
}
