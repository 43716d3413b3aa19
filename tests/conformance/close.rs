//! Closing, timeouts, interrupts.

use std::time::{Duration, Instant};

use turtle_buffers::strategy::Engine;
use turtle_buffers::{Batch, PopError, PushError, TryPopError, TryPushError};

use crate::one_of_each;
use crate::support::{finishes, wait_until};

pub(crate) fn closing_drains_before_it_says_closed<S: Engine>() {
    for capacity in [1, 2, 3, 8] {
        for inside in 0..=capacity {
            let (ring, mut tx, mut rx) = one_of_each::<String, S>(capacity);
            for i in 0..inside {
                tx.push(i.to_string()).unwrap();
            }
            assert!(!ring.is_closed());
            ring.close();
            ring.close(); // a second time changes nothing
            assert!(ring.is_closed());
            assert_eq!(
                tx.try_push("late".into()),
                Err(TryPushError::Closed("late".into()))
            );
            assert_eq!(
                tx.push("late".into()),
                Err(PushError::Closed("late".into()))
            );
            assert_eq!(ring.len(), inside);
            for i in 0..inside {
                assert_eq!(rx.pop().unwrap(), i.to_string());
                ring.close();
            }
            for _ in 0..2 {
                assert_eq!(rx.try_pop(), Err(TryPopError::Closed));
                assert_eq!(rx.pop(), Err(PopError::Closed));
                assert_eq!(
                    rx.pop_timeout(Duration::from_secs(3600)),
                    Err(PopError::Closed)
                );
                assert_eq!(rx.try_peek().err(), Some(TryPopError::Closed));
            }
            assert!(ring.is_closed() && ring.is_empty());
            assert!(ring.stats().closed);
        }
    }
}

pub(crate) fn every_kind_of_push_is_refused_after_closing<S: Engine>() {
    let (ring, mut tx, mut rx) = one_of_each::<u32, S>(4);
    tx.push(1).unwrap();
    ring.clone().close(); // by any handle
    let mut values = Batch::new([2, 3]);
    assert_eq!(
        tx.try_push_batch(&mut values),
        Err(TryPushError::Closed(()))
    );
    assert_eq!(tx.push_batch(&mut values), Err(PushError::Closed(0)));
    assert_eq!(
        values.clone().collect::<Vec<_>>(),
        [2, 3],
        "nothing was taken from the iterator"
    );
    assert_eq!(
        tx.push_timeout(4, Duration::ZERO),
        Err(PushError::Closed(4))
    );
    // An engine may refuse the claim or its commit.
    match tx.try_claim() {
        Err(why) => assert_eq!(why, TryPushError::Closed(())),
        Ok(claim) => assert_eq!(claim.commit(5), Err(TryPushError::Closed(5))),
    }
    assert_eq!(rx.iter().collect::<Vec<_>>(), [1]);
    let mut out = Vec::new();
    assert_eq!(rx.try_pop_batch(&mut out, 3), Err(TryPopError::Closed));
    assert_eq!(rx.pop_batch(&mut out, 3), Err(PopError::Closed));
    assert!(out.is_empty());
}

/// A claim that is out while the ring is closed: either its commit counts, and
/// then nobody hears `Closed` before it was popped, or it is refused and the
/// value comes back.
pub(crate) fn a_claim_held_across_closing_is_popped_or_refused<S: Engine>() {
    for commit in [true, false] {
        let (ring, mut tx, mut rx) = one_of_each::<String, S>(4);
        tx.push("first".into()).unwrap();
        let claim = tx.try_claim().unwrap();
        ring.close();
        assert_eq!(rx.try_pop().unwrap(), "first");
        let open = rx.try_pop().unwrap_err();
        if commit {
            match claim.commit("held".into()) {
                Ok(()) => {
                    assert_ne!(open, TryPopError::Closed, "told too early");
                    assert_eq!(rx.try_pop().unwrap(), "held");
                }
                Err(why) => assert_eq!(why, TryPushError::Closed("held".into())),
            }
        } else {
            drop(claim);
        }
        assert_eq!(rx.try_pop(), Err(TryPopError::Closed));
        assert_eq!(
            tx.try_push("late".into()),
            Err(TryPushError::Closed("late".into()))
        );
    }
}

pub(crate) fn a_refused_commit_in_place_keeps_the_claim_and_its_value<S: Engine>() {
    let (ring, mut tx, mut rx) = one_of_each::<Box<u32>, S>(2);
    let mut claim = tx.try_claim().unwrap();
    claim.slot().write(Box::new(7));
    ring.close();
    // SAFETY: written just above.
    match unsafe { claim.commit_in_place() } {
        Ok(()) => assert_eq!(rx.pop(), Ok(Box::new(7))),
        Err((why, mut claim)) => {
            assert_eq!(why, TryPushError::Closed(()));
            // SAFETY: refused, so the value is still there and still ours.
            assert_eq!(*unsafe { claim.slot().assume_init_read() }, 7);
        }
    }
    assert_eq!(rx.pop(), Err(PopError::Closed));
}

pub(crate) fn closing_wakes_everyone_who_waits<S: Engine>() {
    // Waiting to push, one by one and as a batch.
    let (ring, mut tx, rx) = one_of_each::<u32, S>(1);
    tx.push(0).unwrap();
    let pusher = std::thread::spawn(move || {
        let single = tx.push(1);
        let batch = tx.push_batch(&mut Batch::new([2, 3]));
        (single, batch)
    });
    wait_until("the pusher sleeps", || ring.stats().waits > 0);
    ring.close();
    let outcome = finishes("a pusher", || pusher.join().unwrap());
    assert_eq!(
        outcome,
        (Err(PushError::Closed(1)), Err(PushError::Closed(0)))
    );
    drop(rx);

    let (ring, mut tx, rx) = one_of_each::<u32, S>(2);
    let pusher = std::thread::spawn(move || tx.push_batch(&mut Batch::new(0..5)));
    wait_until("the batch sleeps", || ring.stats().waits > 0);
    assert!(ring.is_full());
    ring.close();
    assert_eq!(
        finishes("a batch", || pusher.join().unwrap()),
        Err(PushError::Closed(2))
    );
    drop(rx);

    // Waiting to pop.
    for batch in [false, true] {
        let (ring, _tx, mut rx) = one_of_each::<u32, S>(1);
        let popper = std::thread::spawn(move || {
            if batch {
                rx.pop_batch(&mut Vec::new(), 9).map(|n| n as u32)
            } else {
                rx.pop()
            }
        });
        wait_until("the popper sleeps", || ring.stats().waits > 0);
        ring.close();
        assert_eq!(
            finishes("a popper", || popper.join().unwrap()),
            Err(PopError::Closed)
        );
    }
}

pub(crate) fn a_zero_timeout_is_a_try<S: Engine>() {
    let (ring, mut tx, mut rx) = one_of_each::<u32, S>(1);
    assert_eq!(rx.pop_timeout(Duration::ZERO), Err(PopError::Empty));
    assert_eq!(
        rx.pop_batch_timeout(&mut Vec::new(), 2, Duration::ZERO),
        Err(PopError::Empty)
    );
    assert_eq!(tx.push_timeout(1, Duration::ZERO), Ok(()));
    assert_eq!(tx.push_timeout(2, Duration::ZERO), Err(PushError::Full(2)));
    assert_eq!(rx.pop_timeout(Duration::ZERO), Ok(1));
    assert_eq!(ring.stats().waits, 0, "nobody slept");
    ring.close();
    assert_eq!(
        tx.push_timeout(2, Duration::ZERO),
        Err(PushError::Closed(2))
    );
    assert_eq!(rx.pop_timeout(Duration::ZERO), Err(PopError::Closed));
}

pub(crate) fn a_timeout_ends_a_wait_and_not_too_early<S: Engine>() {
    let (_ring, mut tx, mut rx) = one_of_each::<String, S>(1);
    for wait in [1, 5, 30].map(Duration::from_millis) {
        let begun = Instant::now();
        assert_eq!(rx.pop_timeout(wait), Err(PopError::Timeout));
        assert!(begun.elapsed() >= wait, "{:?} of {wait:?}", begun.elapsed());
        let mut out = Vec::new();
        assert_eq!(
            rx.pop_batch_timeout(&mut out, 3, wait),
            Err(PopError::Timeout)
        );
        tx.push("in".into()).unwrap();
        let begun = Instant::now();
        assert_eq!(
            tx.push_timeout("out".into(), wait),
            Err(PushError::Timeout("out".into()))
        );
        assert!(begun.elapsed() >= wait);
        assert_eq!(rx.pop_timeout(wait), Ok("in".to_string()));
    }
    // A time that cannot be added to now is for ever.
    tx.push("soon".into()).unwrap();
    assert_eq!(rx.pop_timeout(Duration::MAX), Ok("soon".to_string()));
    tx.push_timeout("soon".into(), Duration::MAX).unwrap();
}

pub(crate) fn a_wait_ends_when_the_other_side_moves<S: Engine>() {
    let (ring, mut tx, mut rx) = one_of_each::<u32, S>(1);
    let forever = Duration::MAX;
    let popper = std::thread::spawn(move || (rx.pop_timeout(forever), rx));
    wait_until("the popper sleeps", || ring.stats().waits > 0);
    tx.push(1).unwrap();
    let (got, mut rx) = finishes("the popper", || popper.join().unwrap());
    assert_eq!(got, Ok(1));
    tx.push(2).unwrap();
    let waits = ring.stats().waits;
    let pusher = std::thread::spawn(move || (tx.push_timeout(3, forever), tx));
    wait_until("the pusher sleeps", || ring.stats().waits > waits);
    assert_eq!(rx.pop(), Ok(2));
    assert_eq!(finishes("the pusher", || pusher.join().unwrap()).0, Ok(()));
    assert_eq!(rx.pop(), Ok(3));
}

pub(crate) fn an_interrupt_ends_waits_once<S: Engine>() {
    let (ring, mut tx, mut rx) = one_of_each::<String, S>(1);
    // Before the call: no effect on it.
    ring.interrupt();
    assert_eq!(
        rx.pop_timeout(Duration::from_millis(2)),
        Err(PopError::Timeout)
    );

    // An element that comes right behind the interrupt is for the next call.
    for _ in 0..50 {
        let waits = ring.stats().waits;
        let popper = std::thread::spawn(move || (rx.pop(), rx));
        wait_until("the popper sleeps", || ring.stats().waits > waits);
        ring.interrupt();
        tx.push("late".into()).unwrap();
        let got;
        (got, rx) = finishes("the popper", || popper.join().unwrap());
        assert_eq!(got, Err(PopError::Interrupted));
        assert_eq!(rx.pop(), Ok("late".to_string()));
    }

    tx.push("inside".into()).unwrap();
    let waits = ring.stats().waits;
    let pusher = std::thread::spawn(move || {
        let single = tx.push("back".into());
        let batch = tx.push_batch(&mut Batch::new(vec!["x".to_string()]));
        (single, batch)
    });
    wait_until("the pusher sleeps", || ring.stats().waits > waits);
    ring.interrupt();
    // The batch that follows is a call of its own, to be interrupted again.
    let begun = Instant::now();
    while !pusher.is_finished() {
        assert!(begun.elapsed() < crate::support::LONG);
        ring.interrupt();
        std::thread::yield_now();
    }
    let outcome = pusher.join().unwrap();
    assert_eq!(outcome.0, Err(PushError::Interrupted("back".into())));
    assert_eq!(outcome.1, Err(PushError::Interrupted(0)));
    assert_eq!(
        rx.pop(),
        Ok("inside".to_string()),
        "an interrupt loses nothing"
    );
    assert!(!ring.is_closed());
}

pub(crate) fn a_blocked_batch_goes_in_whole<S: Engine>() {
    for capacity in [1, 3, 8] {
        let (ring, mut tx, mut rx) = one_of_each::<u64, S>(capacity);
        let pusher = std::thread::spawn(move || {
            tx.push_batch(&mut Batch::new((0..500_u64).collect::<Vec<_>>()))
        });
        let got = finishes("batches", move || {
            let mut out = Vec::new();
            while out.len() < 500 {
                let before = out.len();
                let n = rx.pop_batch(&mut out, 7).unwrap();
                assert!((1..=7).contains(&n) && out.len() == before + n);
            }
            out
        });
        assert_eq!(pusher.join().unwrap(), Ok(500));
        assert_eq!(got, Vec::from_iter(0..500));
        assert!(ring.is_empty());
    }
}

pub(crate) fn iterating_ends_with_the_ring<S: Engine>() {
    let (ring, mut tx, mut rx) = one_of_each::<u64, S>(4);
    let sum = std::thread::spawn(move || rx.iter().sum::<u64>());
    for i in 0..1000 {
        tx.push(i).unwrap();
    }
    ring.close();
    assert_eq!(finishes("the sum", || sum.join().unwrap()), 499_500);
}
