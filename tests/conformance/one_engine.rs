//! What only one engine promises, as its module says under "Limits"; and the tools for choosing.

use std::time::{Duration, Instant};

use turtle_buffers::erased::Outcome;
use turtle_buffers::strategy::{Any, Arity, Spsc, Turn, WaitFree};
use turtle_buffers::{Batch, BuildError, Ring, RingBuffer, Strategy, TryPopError, TryPushError};

use crate::erased::{Checked, element, records, ring};
use crate::one_of_each;

#[test]
fn turn_a_leaked_claim_keeps_its_slot() {
    let (ring, mut tx, mut rx) = one_of_each::<String, Turn>(3);
    tx.push("before".into()).unwrap();
    std::mem::forget(tx.try_claim().unwrap());
    tx.push("behind".into()).unwrap();
    assert_eq!(rx.pop().unwrap(), "before");
    assert_eq!(rx.try_pop(), Err(TryPopError::Busy));
    ring.close();
    assert_eq!(
        rx.try_pop(),
        Err(TryPopError::Busy),
        "documented: the price of this engine"
    );
    // What lies behind is dropped with the ring all the same (checked under Miri).
}

#[test]
fn turn_a_leaked_peek_keeps_its_slot() {
    let (_ring, mut tx, mut rx) = one_of_each::<String, Turn>(2);
    tx.push("leaked".into()).unwrap();
    tx.push("next".into()).unwrap();
    std::mem::forget(rx.try_peek().unwrap());
    assert_eq!(rx.pop().unwrap(), "next");
    assert_eq!(rx.try_pop(), Err(TryPopError::Empty));
    // Slot 0 never comes back: the lap ends there.
    assert_eq!(
        tx.try_push("again".into()),
        Err(TryPushError::Busy("again".into()))
    );
}

#[test]
fn spsc_a_leaked_guard_is_lent_again() {
    let (ring, mut tx, mut rx) = one_of_each::<String, Spsc>(1);
    std::mem::forget(tx.try_claim().unwrap());
    tx.push("first".into()).unwrap();
    let mut peek = rx.try_peek().unwrap();
    peek.push('!');
    std::mem::forget(peek);
    assert_eq!(ring.len(), 1);
    assert_eq!(rx.pop().unwrap(), "first!");
    assert_eq!(rx.try_pop(), Err(TryPopError::Empty));
}

#[test]
fn spsc_a_long_run_is_seen_before_it_ends() {
    let (_ring, mut tx, mut rx) = one_of_each::<[u64; 100], Spsc>(32);
    let mut seen = Vec::new();
    let values = (0..20_u32).map(u64::from).map(|n| {
        seen.extend(rx.try_iter().map(|value| value[0]));
        if n < 5 {
            assert!(seen.is_empty(), "4 KiB are five slots and a bit");
        }
        [n; 100]
    });
    let mut values = Batch::new(values);
    assert_eq!(tx.try_push_batch(&mut values), Ok(20));
    assert!(seen.len() >= 12, "{seen:?}");
    seen.extend(rx.try_iter().map(|value| value[0]));
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
}

#[test]
fn several_claims_are_out_at_once_where_several_producers_are() {
    for &strategy in Strategy::ALL {
        let traits = strategy.traits();
        if traits.producers == Arity::One || traits.consumers == Arity::One {
            continue;
        }
        let ring = RingBuffer::<u32>::builder()
            .strategy(strategy)
            .capacity(4)
            .build()
            .unwrap();
        let (mut a, mut b) = (ring.producer().unwrap(), ring.producer().unwrap());
        let mut rx = ring.consumer().unwrap();
        let mut other = ring.consumer().unwrap();
        let first = a.try_claim().unwrap();
        b.push(2).unwrap();
        // Whatever the engine decides by, the two come out once each.
        first.commit(1).unwrap();
        let mut got = [rx.pop().unwrap(), other.pop().unwrap()];
        got.sort_unstable();
        assert_eq!(got, [1, 2], "{strategy}");
        // An abandoned claim between two elements holds nobody up.
        let claim = a.try_claim().unwrap();
        b.push(3).unwrap();
        drop(claim);
        assert_eq!(rx.pop(), Ok(3), "{strategy}");
        let peek = {
            b.push(4).unwrap();
            rx.try_peek().unwrap()
        };
        b.push(5).unwrap();
        assert_eq!(other.pop(), Ok(5), "{strategy}");
        assert_eq!(peek.take(), 4);
    }
}

#[test]
fn a_strategy_has_one_name_and_one_number() {
    for (at, &strategy) in Strategy::ALL.iter().enumerate() {
        assert_eq!(Strategy::from_number(strategy as u32), Some(strategy));
        assert!(
            at == 0 || strategy as u32 > Strategy::ALL[at - 1] as u32,
            "in order of the numbers"
        );
        assert_eq!(strategy.to_string(), strategy.name());
        assert_eq!(strategy.name().parse::<Strategy>().unwrap(), strategy);
        let ring = RingBuffer::<u8>::builder()
            .strategy(strategy)
            .capacity(3)
            .build()
            .unwrap();
        assert_eq!(ring.traits().name, strategy.name());
    }
    assert_eq!(Strategy::from_number(u32::MAX), None);
    assert_eq!(Strategy::default(), Strategy::WaitFree);
}

#[test]
fn an_unknown_strategy_is_answered_with_those_there_are() {
    for wrong in ["", "Turn", "turn ", "vyukov"] {
        let why = wrong.parse::<Strategy>().unwrap_err();
        assert!(matches!(why, BuildError::Invalid(_)));
        let text = why.to_string();
        assert!(
            text.contains(&format!("{wrong:?}")),
            "names what was asked: {text}"
        );
        assert!(
            Strategy::ALL.iter().all(|s| text.contains(s.name())),
            "and what there is: {text}"
        );
    }
}

#[test]
fn the_builder_builds_what_was_said() {
    let ring = RingBuffer::<u64>::builder().build().unwrap();
    assert_eq!(ring.capacity(), 1024);
    assert_eq!(ring.traits().name, Strategy::default().name());
    let why = RingBuffer::<u64>::builder()
        .capacity(0)
        .build()
        .unwrap_err();
    assert!(why.to_string().contains("at least 1"), "{why}");
    let why = RingBuffer::<u64>::builder()
        .capacity(usize::MAX)
        .build()
        .unwrap_err();
    assert!(matches!(why, BuildError::Invalid(_)), "{why:?}");
    assert_eq!(Ring::<u8, Any>::new(3).unwrap().capacity(), 3);
}

#[test]
fn an_error_says_its_reason_without_printing_the_value() {
    struct Unprintable;
    let ring = Ring::<Unprintable, Turn>::new(1).unwrap();
    let mut tx = ring.producer().unwrap();
    assert!(tx.try_push(Unprintable).is_ok());
    let full = tx
        .try_push(Unprintable)
        .map_err(|e| (format!("{e:?}"), e.to_string()))
        .unwrap_err();
    assert_eq!(
        full,
        (
            "TryPushError(the ring is full)".into(),
            "the ring is full".into()
        )
    );
    ring.close();
    let closed = tx.push(Unprintable).unwrap_err();
    assert_eq!(closed.to_string(), "the ring is closed");
    fn is_error<E: std::error::Error>(_: &E) {}
    is_error(&closed);
}

/// The erased face knows a lent slot by its address only: nothing else may use it meanwhile, and
/// what was lent is its borrower's until it ends that.
#[test]
fn spsc_a_lent_slot_is_not_used_meanwhile() {
    for capacity in [2, 3, 8] {
        let ring = ring(Strategy::Spsc, capacity, 8);
        for lap in 0..3 * capacity {
            let (mut first, mut second) = (std::ptr::null_mut(), std::ptr::null_mut());
            assert_eq!(ring.claim(&mut first), Outcome::Ok);
            // SAFETY: claimed, 8 bytes.
            unsafe { first.copy_from(element(8, lap).as_ptr(), 8) };
            let mut done = 0;
            let full = ring.stats().full;
            assert_eq!(ring.claim(&mut second), Outcome::Invalid);
            assert!(second.is_null(), "a refusal writes nothing");
            assert_eq!(ring.claim_within(&mut second, None), Outcome::Invalid);
            assert_eq!(ring.put(&[1; 8]), Outcome::Invalid);
            // SAFETY: 16 bytes are two elements.
            unsafe {
                assert_eq!(ring.push([1; 8].as_ptr(), None), Outcome::Invalid);
                assert_eq!(
                    ring.try_push_n([1; 16].as_ptr(), 2, &mut done),
                    Outcome::Invalid
                );
            }
            assert_eq!((done, ring.len(), ring.stats().full), (0, 0, full));
            assert_eq!(
                ring.get(),
                Err(Outcome::Empty),
                "the other side is not concerned"
            );
            // SAFETY: written above.
            assert_eq!(unsafe { ring.commit(first) }, Outcome::Ok);
            // The claim gone, what was known of the room is known again.
            let rest: Vec<u8> = (1..capacity).flat_map(|i| element(8, lap + i)).collect();
            // SAFETY: as many elements.
            unsafe {
                assert_eq!(
                    ring.try_push_n(rest.as_ptr(), capacity - 1, &mut done),
                    Outcome::Ok
                );
            }
            assert_eq!(done, capacity - 1);
            assert_eq!(ring.put(&[1; 8]), Outcome::Full);

            let (mut oldest, mut next, mut len) = (std::ptr::null(), std::ptr::null(), 0);
            assert_eq!(ring.peek(&mut oldest, &mut len), Outcome::Ok);
            assert_eq!(ring.peek(&mut next, &mut len), Outcome::Invalid);
            assert!(next.is_null());
            assert_eq!(
                ring.peek_within(&mut next, &mut len, None),
                Outcome::Invalid
            );
            assert_eq!(ring.get(), Err(Outcome::Invalid));
            let mut room = [0; 16];
            // SAFETY: room for two elements.
            unsafe {
                assert_eq!(
                    ring.pop_n(room.as_mut_ptr(), 2, None, &mut done),
                    Outcome::Invalid
                );
                assert_eq!(ring.pop(room.as_mut_ptr(), None), Outcome::Invalid);
            }
            assert_eq!((done, ring.len()), (0, capacity));
            // SAFETY: peeked at, 8 bytes.
            let found = unsafe { std::slice::from_raw_parts(oldest, 8) };
            assert_eq!(found, element(8, lap));
            assert_eq!(ring.release(oldest), Outcome::Ok);
            for i in 1..capacity {
                assert_eq!(ring.get().unwrap(), element(8, lap + i));
            }
            assert_eq!(ring.get(), Err(Outcome::Empty));
        }
        // Refused by closing, a claim is kept: still nothing else may use its slot.
        let mut slot = std::ptr::null_mut();
        assert_eq!(ring.claim(&mut slot), Outcome::Ok);
        // SAFETY: claimed, 8 bytes.
        unsafe { slot.write_bytes(3, 8) };
        ring.close();
        for _ in 0..2 {
            // SAFETY: written above.
            assert_eq!(unsafe { ring.commit(slot) }, Outcome::Closed);
            assert_eq!(ring.claim(&mut std::ptr::null_mut()), Outcome::Invalid);
            assert_eq!(ring.put(&[1; 8]), Outcome::Invalid);
        }
        assert_eq!(ring.abandon(slot), Outcome::Ok);
        assert_eq!(ring.put(&[1; 8]), Outcome::Closed);
    }
}

#[test]
fn spsc_a_lent_record_is_not_used_meanwhile() {
    let ring = records(Strategy::Spsc, 2, 16);
    let mut slot = std::ptr::null_mut();
    assert_eq!(ring.claim(&mut slot), Outcome::Ok);
    assert_eq!(ring.put_record(b"no"), Outcome::Invalid);
    // SAFETY: claimed, 16 bytes.
    unsafe {
        slot.copy_from(b"yes".as_ptr(), 3);
        assert_eq!(ring.commit_record(slot, 3), Outcome::Ok);
    }
    assert_eq!(ring.put_record(b"and"), Outcome::Ok);
    let (mut read, mut len) = (std::ptr::null(), 0);
    assert_eq!(ring.peek(&mut read, &mut len), Outcome::Ok);
    assert_eq!(ring.get_record(16).0, Outcome::Invalid);
    // SAFETY: peeked at, `len` bytes.
    assert_eq!(unsafe { std::slice::from_raw_parts(read, len) }, b"yes");
    assert_eq!(ring.release(read), Outcome::Ok);
    assert_eq!(ring.get_record(16).2[..3], *b"and");
}

/// A guard is a cell of its own: it keeps no slot, and concerns nobody but the thread that has it.
#[test]
fn wait_free_a_lent_cell_concerns_its_owner_only() {
    let ring = ring(Strategy::WaitFree, 2, 8);
    let mut slot = std::ptr::null_mut();
    assert_eq!(ring.claim(&mut slot), Outcome::Ok);
    assert_eq!(ring.claim(&mut std::ptr::null_mut()), Outcome::Invalid);
    assert_eq!(ring.put(&element(8, 9)), Outcome::Invalid);
    std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            assert_eq!(ring.get(), Err(Outcome::Empty), "nobody is halfway");
            assert_eq!(ring.put(&element(8, 0)), Outcome::Ok);
            assert_eq!(ring.put(&element(8, 1)), Outcome::Ok);
            assert_eq!(ring.put(&element(8, 2)), Outcome::Full);
        });
        others.join().unwrap();
    });
    // SAFETY: claimed, 8 bytes; written before it is committed.
    unsafe {
        slot.copy_from(element(8, 2).as_ptr(), 8);
        assert_eq!(ring.commit(slot), Outcome::Full, "the room was others'");
    }
    let (mut oldest, mut len) = (std::ptr::null(), 0);
    assert_eq!(ring.peek(&mut oldest, &mut len), Outcome::Ok);
    assert_eq!(ring.peek(&mut std::ptr::null(), &mut len), Outcome::Invalid);
    assert_eq!(ring.get(), Err(Outcome::Invalid));
    // SAFETY: the claim was kept; written above.
    let committed = unsafe { ring.commit(slot) };
    assert_eq!(committed, Outcome::Ok, "a peek leaves room");
    assert_eq!(ring.len(), 2);
    // SAFETY: peeked at, 8 bytes.
    let found = unsafe { std::slice::from_raw_parts(oldest, 8) };
    assert_eq!(found, element(8, 0));
    assert_eq!(ring.release(oldest), Outcome::Ok);
    assert_eq!(ring.get().unwrap(), element(8, 1));
    assert_eq!(ring.get().unwrap(), element(8, 2));
}

#[test]
fn wait_free_a_leaked_guard_is_lent_again() {
    let (ring, mut tx, mut rx) = one_of_each::<String, WaitFree>(1);
    std::mem::forget(tx.try_claim().unwrap());
    tx.push("first".into()).unwrap();
    std::mem::forget(rx.try_peek().unwrap()); // taken, and leaked with the guard
    assert_eq!(ring.len(), 0);
    tx.push("second".into()).unwrap();
    assert_eq!(rx.pop().unwrap(), "second");
    assert_eq!(rx.try_pop(), Err(TryPopError::Empty));
}

#[test]
#[cfg_attr(miri, ignore = "it waits for a rare schedule")]
fn helping_is_counted() {
    let options = |strategy| {
        RingBuffer::<u64>::builder()
            .strategy(strategy)
            .capacity(2)
            .patience(0)
    };
    // Whether anybody is met halfway is for the scheduler to say; in the end it happens.
    let ring = options(Strategy::WaitFree).build().unwrap();
    assert_eq!(ring.stats().helps, 0);
    let began = Instant::now();
    let helped = || ring.stats().helps > 0 || began.elapsed() > Duration::from_secs(60);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
            scope.spawn(move || {
                while !helped() {
                    for n in 0..1_000 {
                        let _ = tx.try_push(n);
                    }
                }
            });
            scope.spawn(move || {
                while !helped() {
                    for _ in 0..1_000 {
                        let _ = rx.try_pop();
                    }
                }
            });
        }
    });
    assert!(ring.stats().helps > 0, "handles that are gone count");
    let alone = options(Strategy::WaitFree).build().unwrap();
    let (mut tx, mut rx) = (alone.producer().unwrap(), alone.consumer().unwrap());
    for n in 0..100 {
        tx.push(n).unwrap();
        assert_eq!(rx.pop().unwrap(), n);
    }
    assert_eq!(alone.stats().helps, 0, "nobody to help");
}
