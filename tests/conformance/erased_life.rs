//! The face over byte records: closing, waiting, threads, handles, events.

use std::sync::Arc;
use std::time::Duration;

use turtle_buffers::erased::{DynRing, Outcome};
use turtle_buffers::strategy::Arity;
use turtle_buffers::{BuildError, Strategy};

use crate::erased::{Checked, element, ring};
use crate::support::{finishes, wait_until};

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
    assert_eq!(
        // SAFETY: eight elements.
        unsafe { ring.try_push_n(many.as_ptr(), 8, &mut done) },
        Outcome::Closed
    );
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
    assert_eq!(
        // SAFETY: as above.
        unsafe { ring.pop_n(out.as_mut_ptr(), 1, None, &mut done) },
        Outcome::Closed
    );
    assert_eq!(ring.peek(&mut slot, &mut len), Outcome::Closed);
    let mut slot = std::ptr::null_mut();
    let claimed = ring.claim(&mut slot);
    let end = if claimed == Outcome::Ok {
        // SAFETY: claimed if at all; nothing is read from it.
        unsafe { ring.commit(slot) }
    } else {
        claimed
    };
    assert_eq!(end, Outcome::Closed);
    if claimed == Outcome::Ok {
        assert_eq!(
            ring.abandon(slot),
            Outcome::Ok,
            "a refused commit keeps the claim"
        );
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
        assert_eq!(
            ring.pop(elem.as_mut_ptr(), Some(Duration::ZERO)),
            Outcome::Empty
        );
        assert_eq!(ring.pop(elem.as_mut_ptr(), short), Outcome::Timeout);
        assert_eq!(
            ring.pop_n(elem.as_mut_ptr(), 1, short, &mut done),
            Outcome::Timeout
        );
        assert_eq!(done, 0);
        assert_eq!(ring.push(elem.as_ptr(), short), Outcome::Ok);
        assert_eq!(
            ring.push(elem.as_ptr(), Some(Duration::ZERO)),
            Outcome::Full
        );
        assert_eq!(ring.push(elem.as_ptr(), short), Outcome::Timeout);
        assert_eq!(ring.pop(elem.as_mut_ptr(), short), Outcome::Ok);
    }
    ring.interrupt(); // nobody waits: no effect later
    assert_eq!(
        // SAFETY: one element.
        unsafe { ring.pop(elem.as_mut_ptr(), short) },
        Outcome::Timeout
    );
    ring.release_thread();
    let waits = ring.stats().waits;
    let sleeper = {
        let ring = ring.clone();
        // SAFETY: one element.
        std::thread::spawn(move || unsafe { ring.pop([0; 8].as_mut_ptr(), None) })
    };
    wait_until("the popper sleeps", || ring.stats().waits > waits);
    ring.interrupt();
    assert_eq!(
        finishes("the popper", || sleeper.join().unwrap()),
        Outcome::Interrupted
    );
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
    let others = |arity| {
        if arity == Arity::Many {
            Outcome::Ok
        } else {
            Outcome::NoHandle
        }
    };

    assert_eq!(push(&*ring), Outcome::Ok);
    assert_eq!(on_a_thread(push), others(traits.producers));
    assert_eq!(on_a_thread(claim), others(traits.producers));
    assert_eq!(
        on_a_thread(pop),
        Outcome::Ok,
        "the thread's end gives the side back"
    );
    assert_eq!(push(&*ring), Outcome::Ok);
    assert_eq!(pop(&*ring), Outcome::Ok, "now it is this thread's");
    assert_eq!(
        on_a_thread(pop),
        if traits.consumers == Arity::Many {
            Outcome::Ok
        } else {
            Outcome::NoHandle
        }
    );
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
        assert!(matches!(
            ring.clone().producer().unwrap_err(),
            BuildError::NoHandle(_)
        ));
    }
    if traits.consumers == Arity::One {
        assert!(matches!(
            ring.clone().consumer().unwrap_err(),
            BuildError::NoHandle(_)
        ));
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
    assert_eq!(
        // SAFETY: as above.
        unsafe { consumer.pop((&raw mut out).cast(), None) },
        Outcome::Ok
    );
    assert_eq!(moved.join().unwrap(), Outcome::Ok);
}

/// Whether the descriptor is readable within `milliseconds`.
fn readable(fd: i32, milliseconds: i32) -> bool {
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one descriptor to look at.
    let n = unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
    n == 1 && poll.revents & libc::POLLIN != 0
}

/// Whether the answer `Empty` makes it quiet. Where a signal may fail to come it is readable again
/// soon, and this process may have been slow in between.
fn quiet(ring: &Arc<dyn DynRing>, fd: i32) -> bool {
    (0..1000).any(|_| {
        assert_eq!(ring.get(), Err(Outcome::Empty));
        !readable(fd, 0)
    })
}

pub(crate) fn the_event_descriptor_tells_of_elements(strategy: Strategy) {
    const LONG: i32 = 60_000;
    let ring = ring(strategy, 4, 8);
    let fd = ring.clone().event_fd().unwrap();
    assert_eq!(ring.clone().event_fd().unwrap(), fd, "there is one");
    assert!(quiet(&ring, fd));
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
        assert!(quiet(&ring, fd), "round {round}");
        // Every call that may answer `Empty` does that.
        ring.put(&[3; 8]);
        let (mut slot, mut len) = (std::ptr::null(), 0);
        assert_eq!(ring.peek(&mut slot, &mut len), Outcome::Ok);
        assert_eq!(ring.release(slot), Outcome::Ok);
        assert!(readable(fd, 0));
        let peeked_quiet = (0..1000).any(|_| {
            assert_eq!(ring.peek(&mut slot, &mut len), Outcome::Empty);
            !readable(fd, 0)
        });
        assert!(peeked_quiet, "round {round}");
        ring.release_thread(); // the side that pushes is the next pusher's
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
    assert_eq!(
        (stats.full, stats.empty, stats.busy, stats.closed),
        (1, 2, 0, false)
    );
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
