//! Forked children.

use super::*;
use turtle_buffers::Batch;

/// Runs `body` in a forked child; answers what it answers, a small number.
pub(crate) fn in_child(body: impl FnOnce() -> i32) -> i32 {
    // SAFETY: this process has the test's thread and one that waits for it; the
    // child uses this library, and ends without unwinding or running destructors.
    unsafe {
        let child = libc::fork();
        assert!(child >= 0);
        if child == 0 {
            libc::alarm(30);
            let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            libc::_exit(answer.unwrap_or(111));
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        assert!(libc::WIFEXITED(status), "the child was killed: {status:#x}");
        libc::WEXITSTATUS(status)
    }
}

/// A small number for an answer of the typed face: the element, or why not.
fn got<E>(answer: Result<u64, E>, closed: impl Fn(&E) -> bool) -> i32 {
    match answer {
        Ok(value) => i32::try_from(value).unwrap(),
        Err(why) if closed(&why) => 100,
        Err(_) => 101,
    }
}

/// A private ring of the parent is closed to the child, in every kind of call, and as it was to the parent.
fn typed_private(strategy: Strategy) {
    let ring = RingBuffer::<u64>::builder()
        .strategy(strategy)
        .capacity(4)
        .build()
        .unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.push(1).unwrap();
    let refused = in_child(|| {
        assert_eq!(tx.try_push(2), Err(TryPushError::Closed(2)));
        assert_eq!(tx.push(3), Err(PushError::Closed(3)), "nobody to wait for");
        assert_eq!(
            tx.try_push_batch(&mut Batch::new([4])),
            Err(TryPushError::Closed(()))
        );
        assert_eq!(tx.try_push_slice(&[5]), Err(TryPushError::Closed(())));
        assert!(tx.try_claim().is_err());
        assert_eq!(rx.try_pop(), Err(TryPopError::Closed));
        assert_eq!(rx.pop(), Err(PopError::Closed));
        assert_eq!(rx.try_iter().next(), None);
        assert_eq!(
            rx.try_pop_batch(&mut Vec::new(), 4),
            Err(TryPopError::Closed)
        );
        assert_eq!(rx.try_peek().err(), Some(TryPopError::Closed));
        assert!(matches!(ring.try_producer(), Err(BuildError::Invalid(_))));
        assert!(matches!(ring.try_consumer(), Err(BuildError::Invalid(_))));
        7
    });
    assert_eq!(refused, 7);
    assert_eq!(rx.pop(), Ok(1));
    assert_eq!(tx.try_push(6), Ok(()));
    assert!(!ring.is_closed());
}

/// A shared ring goes on in the child, without the sides that only one may have.
fn typed_shared(strategy: Strategy, name: &str) {
    let many = strategy.traits().producers == Arity::Many;
    let ring: RingBuffer<u64> =
        Ring::open(&options(name, strategy, 4, OpenMode::CreateNew)).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.push(1).unwrap();
    let push = |tx: &mut turtle_buffers::Producer<u64>, value| {
        got(tx.try_push(value).map(|()| 0), |why| {
            matches!(why, TryPushError::Closed(_))
        })
    };
    let pop = |rx: &mut turtle_buffers::Consumer<u64>| {
        got(rx.try_pop(), |why| *why == TryPopError::Closed)
    };
    assert_eq!(in_child(|| push(&mut tx, 2)), if many { 0 } else { 100 });
    assert_eq!(in_child(|| pop(&mut rx)), if many { 1 } else { 100 });
    // What the parent has, it has still, and nothing came or went unseen.
    assert_eq!(pop(&mut rx), if many { 2 } else { 1 });
    assert_eq!(push(&mut tx, 3), 0);
    assert_eq!(
        in_child(|| i32::from(ring.producer().is_some())),
        i32::from(many)
    );
    // A side that is free the child may have.
    drop(rx);
    let child = in_child(|| pop(&mut ring.consumer().unwrap()));
    assert_eq!(child, 3);
    assert_eq!(push(&mut tx, 4), 0);
    assert_eq!(pop(&mut ring.consumer().unwrap()), 4);
    Segment::unlink(name).unwrap();
}

pub(crate) fn fork(argument: &str) {
    let (strategy, name) = argument.split_once(' ').unwrap();
    let strategy: Strategy = strategy.parse().unwrap();
    typed_private(strategy);
    typed_shared(strategy, &format!("{name}-typed"));
    let push = |ring: &dyn DynRing, value: u64| {
        // SAFETY: one element.
        unsafe { ring.try_push((&raw const value).cast()) as i32 + 50 }
    };
    let pop = |ring: &dyn DynRing| {
        let mut value = 0_u64;
        // SAFETY: one element.
        match unsafe { ring.try_pop((&raw mut value).cast()) } {
            Outcome::Ok => i32::try_from(value).unwrap(),
            why => why as i32 + 50,
        }
    };
    let code = |outcome: Outcome| outcome as i32 + 50;

    // Private: refused in the child, untouched in the parent.
    let private = open_erased(&Options {
        strategy: Some(strategy),
        capacity: 4,
        ..Options::default()
    })
    .unwrap();
    let handle = private.clone().consumer().unwrap();
    assert_eq!(push(&*private, 1), code(Outcome::Ok));
    assert_eq!(in_child(|| push(&*private, 2)), code(Outcome::Invalid));
    assert_eq!(in_child(|| i32::from(private.trouble().is_some())), 1);
    assert_eq!(
        in_child(|| i32::from(private.clone().producer().is_err())),
        1
    );
    let mut out = 0_u64;
    assert_eq!(
        // SAFETY: one element.
        in_child(|| code(unsafe { handle.try_pop((&raw mut out).cast()) })),
        code(Outcome::Invalid)
    );
    drop(handle);
    assert_eq!(pop(&*private), 1);

    // Shared: the child is a process of its own.
    let shared = open_erased(&options(name, strategy, 8, OpenMode::CreateNew)).unwrap();
    let traits = strategy.traits();
    let allowed = |arity, outcome| {
        if arity == Arity::Many {
            outcome
        } else {
            code(Outcome::NoHandle)
        }
    };
    assert_eq!(push(&*shared, 1), code(Outcome::Ok)); // this thread sits on the producer's side
    assert_eq!(
        in_child(|| push(&*shared, 2)),
        allowed(traits.producers, code(Outcome::Ok))
    );
    let expected = if traits.producers == Arity::Many {
        2
    } else {
        1
    };
    assert_eq!(shared.len(), expected);
    // The side that nobody has is free for a child, and free again after it.
    for _ in 0..expected {
        assert!([1, 2].contains(&in_child(|| pop(&*shared))));
    }
    assert_eq!(pop(&*shared), code(Outcome::Empty));
    // What the parent gives back the child can have at once.
    shared.release_thread();
    assert_eq!(in_child(|| push(&*shared, 3)), code(Outcome::Ok));
    assert_eq!(pop(&*shared), 3);
    shared.release_thread();
    // Explicit handles: the parent's, where one is allowed.
    let (producer, consumer) = (
        shared.clone().producer().unwrap(),
        shared.clone().consumer().unwrap(),
    );
    let four = 4_u64;
    // SAFETY: one element, here and below.
    let pushed = in_child(|| code(unsafe { producer.try_push((&raw const four).cast()) }));
    assert_eq!(pushed, allowed(traits.producers, code(Outcome::Ok)));
    assert_eq!(
        // SAFETY: as above.
        unsafe { producer.try_push((&raw const four).cast()) },
        Outcome::Ok
    );
    // SAFETY: as above.
    let popped = in_child(|| code(unsafe { consumer.try_pop((&raw mut out).cast()) }));
    assert_eq!(popped, allowed(traits.consumers, code(Outcome::Ok)));
    assert_eq!(
        // SAFETY: as above.
        unsafe { consumer.try_pop((&raw mut out).cast()) },
        Outcome::Ok
    );
    // A child that ends takes nothing of the parent's with it.
    assert_eq!(in_child(|| 0), 0);
    assert_eq!(
        // SAFETY: as above.
        unsafe { producer.try_push((&raw const four).cast()) },
        Outcome::Ok
    );
    if traits.producers == Arity::One {
        assert!(shared.clone().producer().is_err(), "still this process's");
        // A child may take the side over when the parent gave it back after the fork.
        let (mut read, mut write) = ([0; 2], 0);
        // SAFETY: two descriptors.
        assert_eq!(unsafe { libc::pipe(read.as_mut_ptr()) }, 0);
        std::mem::swap(&mut write, &mut read[1]);
        // SAFETY: as in `in_child`.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::alarm(30);
                libc::close(write);
                let mut byte = 0_u8;
                libc::read(read[0], (&raw mut byte).cast(), 1); // until the parent closes it
                libc::_exit(push(&*shared, 5));
            }
            drop(producer);
            libc::close(write);
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
            assert_eq!(libc::WEXITSTATUS(status), code(Outcome::Ok));
        }
    }
    say("fine");
}

#[test]
fn a_forked_child_uses_shared_rings_only_and_no_side_of_its_parent() {
    for strategy in strategies() {
        let name = Name::new(&format!("fork-{strategy}"));
        let mut peer = Peer::start("fork", &format!("{strategy} {}", name.0));
        peer.expect("fine");
        peer.finish();
    }
}

/// Parent and child poll the same ring through descriptors of the same number, which are not the
/// same: the child's timer is its own.
pub(crate) fn fork_poll(argument: &str) {
    let (strategy, name) = argument.split_once(' ').unwrap();
    let strategy: Strategy = strategy.parse().unwrap();
    let ring = open_erased(&options(name, strategy, 8, OpenMode::CreateNew)).unwrap();
    let fd = ring.clone().event_fd().unwrap();
    assert_eq!(polled::pop(&*ring), Err(Outcome::Empty));
    ring.release_thread();
    let answer = in_child(|| {
        // Until it asks for its own it does not touch its parent's.
        assert_eq!(polled::pop(&*ring), Err(Outcome::Empty));
        assert_eq!(ring.clone().event_fd().unwrap(), fd);
        for value in 0..20 {
            assert_eq!(polled::pop(&*ring), Err(Outcome::Empty));
            polled::push(&*ring, value);
            assert!(polled::readable(fd, 20_000));
            assert_eq!(polled::pop(&*ring), Ok(value));
        }
        // Its timer runs out, so that of the parent, set before the fork, has done so too.
        assert_eq!(polled::pop(&*ring), Err(Outcome::Empty));
        assert!(polled::readable(fd, 20_000));
        // Now it is set again: the child's, not the parent's.
        assert_eq!(polled::pop(&*ring), Err(Outcome::Empty));
        4
    });
    assert_eq!(answer, 4);
    assert!(polled::readable(fd, 0), "the parent has a timer of its own");
    // It is told by a child as by anyone.
    assert_eq!(polled::pop(&*ring), Err(Outcome::Empty));
    ring.release_thread();
    assert_eq!(
        in_child(|| {
            polled::push(&*ring, 9);
            3
        }),
        3
    );
    assert!(polled::readable(fd, 20_000));
    assert_eq!(polled::pop(&*ring), Ok(9));
    say("fine");
}

#[test]
fn a_forked_child_polls_for_itself() {
    for strategy in strategies() {
        let name = Name::new(&format!("fork-poll-{strategy}"));
        let mut peer = Peer::start("fork-poll", &format!("{strategy} {}", name.0));
        peer.expect("fine");
        peer.finish();
    }
}
