//! Participants of engines that keep a record of each: as many as the ring was built for, found
//! when they die, known by their sessions when they come back.

use super::*;
use std::time::Instant;
use turtle_buffers::Direction;
use turtle_buffers::erased::{through_consumer, through_producer};

/// Long enough for any machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn recorders() -> impl Iterator<Item = Strategy> {
    strategies().filter(|s| s.traits().records)
}

fn create_for(
    name: &Name,
    strategy: Strategy,
    capacity: usize,
    max_threads: u32,
) -> RingBuffer<u64> {
    Ring::open(&Options {
        max_threads,
        ..options(&name.0, strategy, capacity, OpenMode::CreateNew)
    })
    .unwrap()
}

fn no_handle<T>(answer: Result<T, BuildError>) -> String {
    match answer {
        Err(BuildError::NoHandle(why)) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("there was a place"),
    }
}

fn signal(peer: &Peer, signal: i32) {
    // SAFETY: a child of this process that was not waited for.
    assert_eq!(unsafe { libc::kill(peer.id(), signal) }, 0);
}

/// Until a stop signal has taken effect.
fn wait_until_stopped(peer: &Peer) {
    let mut status = 0;
    // SAFETY: as above; `status` is writable.
    let found = unsafe { libc::waitpid(peer.id(), &raw mut status, libc::WUNTRACED) };
    assert!(found == peer.id() && libc::WIFSTOPPED(status));
}

// ---- what peers do ------------------------------------------------------------

/// Pushes its own index, from where the session is, until it is killed.
pub(crate) fn count_up(argument: &str) {
    let (session, name) = argument.split_once(' ').unwrap();
    let ring = attach(name);
    let (mut tx, was) = ring.producer_as(session.parse().unwrap()).unwrap();
    say(&format!("{} {}", was.done, was.died));
    for number in was.done.. {
        // One at a time and in batches, as it comes.
        if number % 7 == 0 {
            tx.push(number).unwrap();
        } else if tx.push_timeout(number, Duration::from_secs(60)).is_err() {
            return;
        }
    }
}

/// Pops under a session as fast as it can, until it is killed.
pub(crate) fn count_down(argument: &str) {
    let (session, name) = argument.split_once(' ').unwrap();
    let ring = attach(name);
    let (mut rx, was) = ring.consumer_as(session.parse().unwrap()).unwrap();
    say(&format!("{} {} {:?}", was.done, was.died, was.orphans));
    while rx.pop().is_ok() {}
}

/// Takes an element, with a session or without, and keeps it until it is killed.
pub(crate) fn hold(argument: &str) {
    let (session, name) = argument.split_once(' ').unwrap();
    let ring = attach(name);
    let session: u64 = session.parse().unwrap();
    let mut rx = match session {
        0 => ring.consumer().unwrap(),
        _ => ring.consumer_as(session).unwrap().0,
    };
    let held = rx.try_peek().unwrap();
    say(&held.to_string());
    listen();
}

/// Has a place of each side until it is told to end.
pub(crate) fn sit(name: &str) {
    let ring = attach(name);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.push(1).unwrap();
    rx.pop().unwrap();
    say("ready");
    listen();
    tx.push(2).unwrap();
    rx.pop().unwrap();
}

/// Comes, pushes a few and goes, again and again, until it is killed. There are fewer places than
/// such processes.
pub(crate) fn churn(argument: &str) {
    let (number, name) = argument.split_once(' ').unwrap();
    let ring = attach(name);
    let mut next = number.parse::<u64>().unwrap() << 32;
    say("ready");
    loop {
        let mut tx = match ring.try_producer() {
            Ok(tx) => tx,
            Err(BuildError::NoHandle(_)) => {
                std::thread::yield_now();
                continue;
            }
            Err(other) => panic!("{other}"),
        };
        for _ in 0..1 + next % 5 {
            if tx.push(next).is_err() {
                return;
            }
            next += 1;
        }
    }
}

pub(crate) fn fork_places(argument: &str) {
    let (strategy, name) = argument.split_once(' ').unwrap();
    let options = Options {
        max_threads: 2,
        ..options(name, strategy.parse().unwrap(), 16, OpenMode::CreateNew)
    };
    let ring: RingBuffer<u64> = Ring::open(&options).unwrap();
    let mut tx = ring.producer();
    let (mut rx, _) = ring.consumer_as(5).unwrap();
    tx.as_mut().unwrap().push(1).unwrap();
    let child = forked::in_child(|| {
        // The child is a participant of its own, beside the parent ...
        let own = tx.as_mut().unwrap();
        own.push(2).unwrap();
        // ... which has the session.
        assert_eq!(rx.try_pop(), Err(TryPopError::Closed));
        let why = no_handle(ring.consumer_as(5));
        assert!(why.contains("alive"), "{why}");
        // Two are out, the parent's and the child's.
        assert!(no_handle(ring.try_producer()).contains("max_threads"));
        own.push(3).unwrap();
        tx = None;
        let mut another = ring.producer().unwrap();
        another.push(4).unwrap();
        7 // and ends without giving that back
    });
    assert_eq!(child, 7);
    tx.as_mut().unwrap().push(5).unwrap();
    // The dead child's place is found by who needs it.
    let mut second = ring.producer().unwrap();
    second.push(6).unwrap();
    assert_eq!(
        rx.try_iter().collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6],
        "each once, whoever pushed it"
    );
    drop(rx);
    assert_eq!(ring.consumer_as(5).unwrap().1.done, 6);

    // The same through the erased face: handles and threads.
    drop((tx, second));
    let erased = open_erased(&Options {
        capacity: 0,
        elem_size: 0,
        path: Some(name.into()),
        open: OpenMode::Attach,
        ..Options::default()
    })
    .unwrap();
    let handle = erased.clone().producer().unwrap();
    let push = |value: u64| {
        // SAFETY: one element.
        unsafe { handle.try_push((&raw const value).cast()) }
    };
    let (session, was) = erased.clone().producer_as(9).unwrap();
    assert_eq!((was.done, was.died), (0, false));
    assert_eq!(push(1), Outcome::Ok);
    let child = forked::in_child(|| {
        let element = 3_u64;
        // SAFETY: one element.
        let as_parent = unsafe { session.try_push((&raw const element).cast()) };
        assert_eq!(as_parent, Outcome::NoHandle, "the session is the parent's");
        // Both places are the parent's.
        assert_eq!(push(2), Outcome::NoHandle);
        8
    });
    assert_eq!(child, 8);
    assert_eq!(push(4), Outcome::Ok);
    drop(session);
    erased.forget_session(Direction::Push, 9).unwrap();
    assert_eq!(
        forked::in_child(|| push(5) as i32 + 50),
        Outcome::Ok as i32 + 50
    );
    let mut rx = ring.consumer().unwrap();
    assert_eq!(rx.try_iter().collect::<Vec<_>>(), [1, 4, 5]);
    Segment::unlink(name).unwrap();
    say("fine");
}

// ---- participants ------------------------------------------------------------

#[test]
fn a_ring_has_places_for_as_many_as_were_asked_for() {
    for strategy in recorders() {
        let name = Name::new(&format!("many-{strategy}"));
        let ring = create_for(&name, strategy, 4, 2);
        let both = [ring.producer().unwrap(), ring.producer().unwrap()];
        let why = no_handle(ring.try_producer());
        for word in ["all 2 places", "producers", &name.0, "max_threads"] {
            assert!(why.contains(word), "{word} in {why}");
        }
        // Sides are apart, and objects and threads share the places.
        let other = attach(&name.0);
        let consumers = [ring.consumer().unwrap(), other.consumer().unwrap()];
        assert!(no_handle(other.try_consumer()).contains("consumers"));
        let erased = open_erased(&options(&name.0, strategy, 4, OpenMode::Attach)).unwrap();
        // SAFETY: one element.
        let push = || unsafe { erased.try_push([7; 8].as_ptr()) };
        assert_eq!(push(), Outcome::NoHandle);
        let [first, second] = both;
        drop(first);
        assert_eq!(push(), Outcome::Ok);
        assert!(ring.producer().is_none(), "the thread keeps its place");
        erased.release_thread();
        drop((second, consumers));
        // Places are used again without end.
        for round in 0..200 {
            let (mut tx, mut rx) = (ring.producer().unwrap(), other.consumer().unwrap());
            rx.try_pop().ok();
            tx.push(round).unwrap();
        }

        // What a session keeps is said, and given back when it is forgotten.
        let (kept, _) = ring.producer_as(3).unwrap();
        drop(kept);
        let one = ring.producer().unwrap();
        let why = no_handle(ring.try_producer());
        assert!(why.contains("1 for sessions"), "{why}");
        assert!(why.contains("1 of them by participants"), "{why}");
        ring.forget_session(Direction::Push, 3).unwrap();
        let two = ring.producer().unwrap();
        drop((one, two));
    }
}

#[test]
fn participants_are_part_of_the_geometry() {
    for strategy in recorders() {
        let name = Name::new(&format!("mismatch-{strategy}"));
        let _ring = create_for(&name, strategy, 4, 2);
        let asked = |max_threads| {
            Ring::<u64>::open(&Options {
                max_threads,
                ..options(&name.0, strategy, 4, OpenMode::Attach)
            })
        };
        match asked(4) {
            Err(BuildError::Mismatch(why)) => {
                assert!(why.contains("max_threads 2 there, 4 asked"), "{why}");
            }
            other => panic!("{other:?}"),
        }
        for fits in [0, 2] {
            asked(fits).unwrap();
        }
    }
}

#[test]
fn a_number_of_participants_out_of_range_is_an_error() {
    for strategy in Strategy::ALL {
        for max_threads in [65_537, u32::MAX] {
            let answer = RingBuffer::<u64>::builder()
                .strategy(*strategy)
                .max_threads(max_threads)
                .build();
            assert!(
                matches!(&answer, Err(BuildError::Invalid(why)) if why.contains("65536")),
                "{answer:?}"
            );
        }
        let few = RingBuffer::<u64>::builder()
            .strategy(*strategy)
            .max_threads(1)
            .patience(0)
            .build()
            .unwrap();
        let (mut tx, mut rx) = (few.producer().unwrap(), few.consumer().unwrap());
        tx.push(1).unwrap();
        assert_eq!(rx.pop(), Ok(1));
        assert_eq!(few.reclaim(), 0, "a private ring has nothing to reclaim");
    }
}

/// What comes of building a ring in this environment.
pub(crate) fn patience() {
    let built = RingBuffer::<u64>::builder()
        .capacity(4)
        .strategy(Strategy::WaitFree)
        .build();
    match built {
        Ok(ring) => {
            ring.producer().unwrap().push(1).unwrap();
            say(&format!(
                "popped {}",
                ring.consumer().unwrap().pop().unwrap()
            ));
        }
        Err(why) => say(&why.to_string()),
    }
}

#[test]
fn the_environment_says_how_patient_calls_are() {
    let hear = |attempts: &str| {
        let mut peer = Peer::start_with("patience", "", &[("TURTLE_PATIENCE", attempts)]);
        let said = peer.hear();
        peer.finish();
        said
    };
    for attempts in ["0", "1", "4294967295"] {
        assert_eq!(hear(attempts), "popped 1");
    }
    for wrong in ["lots", "", "-1", "4294967296"] {
        let said = hear(wrong);
        assert!(
            said.contains("TURTLE_PATIENCE is") && said.contains("0 to"),
            "{said}"
        );
    }
}

#[test]
fn a_stopped_participant_is_not_dead() {
    for strategy in recorders() {
        let name = Name::new(&format!("stopped-{strategy}"));
        let ring = create_for(&name, strategy, 4, 1);
        let mut peer = Peer::start("sit", &name.0);
        peer.expect("ready");
        signal(&peer, libc::SIGSTOP);
        wait_until_stopped(&peer);
        assert_eq!(ring.reclaim(), 0);
        assert!(no_handle(ring.try_producer()).contains("alive"));
        assert!(ring.consumer().is_none());
        signal(&peer, libc::SIGCONT);
        peer.tell("go on");
        peer.finish();
        assert_eq!(ring.stats().dead_participants, 0, "it left in order");
        let mut peer = Peer::start("sit", &name.0);
        peer.expect("ready");
        peer.kill();
        assert_eq!(ring.reclaim(), 2, "one of each side");
        assert_eq!(ring.reclaim(), 0);
        assert_eq!(ring.stats().dead_participants, 2);
        ring.producer().unwrap().push(1).unwrap();
        assert_eq!(ring.consumer().unwrap().pop(), Ok(1));
    }
}

/// Many come and go, and some are killed at whatever instruction of joining, pushing or leaving: no
/// two have one place, and in the end all places are free.
#[test]
fn places_pass_from_hand_to_hand_whoever_dies() {
    for strategy in recorders() {
        let name = Name::new(&format!("churn-{strategy}"));
        let ring = create_for(&name, strategy, 64, 2);
        let mut rx = ring.consumer().unwrap();
        let mut last = std::collections::HashMap::new();
        let mut check = |value: u64| {
            let next = last.entry(value >> 32).or_insert(0);
            assert_eq!(
                value & 0xffff_ffff,
                *next,
                "{strategy}: of process {}",
                value >> 32
            );
            *next += 1;
        };
        let mut number = 0;
        let mut start = || {
            let mut peer = Peer::start("churn", &format!("{number} {}", name.0));
            number += 1;
            peer.expect("ready");
            peer
        };
        let mut peers: Vec<Peer> = (0..4).map(|_| start()).collect();
        for round in 0..24 {
            for _ in 0..150 + 31 * round {
                check(rx.pop_timeout(PATIENCE).unwrap());
            }
            let victim = &mut peers[round % 4];
            victim.kill();
            *victim = start();
        }
        ring.close();
        rx.iter().for_each(&mut check);
        peers.into_iter().for_each(Peer::finish);
        assert_eq!(ring.stats().pushed, ring.stats().popped);
        let all = [ring.producer().unwrap(), ring.producer().unwrap()];
        assert_eq!(ring.reclaim(), 0);
        drop(all);
    }
}

/// Without traffic, by somebody who only waits, and within 100 ms.
#[test]
fn a_waiter_notices_the_dead() {
    for strategy in recorders() {
        let name = Name::new(&format!("noticed-{strategy}"));
        let ring = create(&name, strategy, 1);
        let mut peer = Peer::start("sit", &name.0);
        peer.expect("ready");
        let mut rx = ring.consumer().unwrap();
        let waiter = std::thread::spawn(move || rx.pop());
        let segment = Segment::open(&name.0).unwrap();
        let bare = death::bare(&segment, strategy, 1);
        let taken = || {
            (0..bare.places())
                .filter(|&place| {
                    bare.standing(Direction::Push, place).0
                        == turtle_buffers::strategy::Standing::Taken
                })
                .count()
        };
        assert_eq!(taken(), 1, "{strategy}");
        peer.kill();
        let dead = Instant::now();
        while taken() > 0 {
            assert!(dead.elapsed() < PATIENCE, "{strategy}: nobody notices");
            std::thread::yield_now();
        }
        println!("{strategy}: noticed after {:?}", dead.elapsed());
        ring.close();
        assert_eq!(waiter.join().unwrap(), Err(PopError::Closed));
        assert_eq!(ring.stats().dead_participants, 2);
    }
}

// ---- sessions ------------------------------------------------------------

#[test]
fn sessions_need_a_shared_ring_of_an_engine_with_records() {
    for strategy in Strategy::ALL {
        let private = RingBuffer::<u64>::builder()
            .strategy(*strategy)
            .build()
            .unwrap();
        assert!(matches!(
            private.producer_as(1),
            Err(BuildError::Unsupported(_))
        ));
        assert!(matches!(
            private.forget_session(Direction::Pop, 1),
            Err(BuildError::Unsupported(_))
        ));
        assert_eq!(private.take_orphans(), []);
    }
    for strategy in strategies() {
        let name = Name::new(&format!("session-{strategy}"));
        let ring = create(&name, strategy, 4);
        let zero = ring.producer_as(0).unwrap_err();
        assert!(matches!(zero, BuildError::Invalid(_)), "{zero}");
        if !strategy.traits().records {
            let why = ring.consumer_as(1).unwrap_err();
            assert!(matches!(why, BuildError::Unsupported(_)), "{why}");
        }
        assert_eq!(ring.take_orphans(), []);
        assert_eq!(ring.reclaim(), 0);
    }
}

#[test]
fn a_session_is_one_participants_at_a_time() {
    for strategy in recorders() {
        let name = Name::new(&format!("one-{strategy}"));
        let ring = create_for(&name, strategy, 4, 3);
        let (mut tx, was) = ring.producer_as(7).unwrap();
        assert_eq!((was.done, was.died), (0, false));
        assert!(no_handle(attach(&name.0).producer_as(7)).contains("session 7 is alive"));
        let why = no_handle(ring.forget_session(Direction::Push, 7).map(drop));
        assert!(why.contains("alive"), "{why}");
        // Another session, and the other side's of that number.
        let (_other, _) = ring.producer_as(8).unwrap();
        let (mut rx, was) = ring.consumer_as(7).unwrap();
        assert_eq!((was.done, was.orphans.len()), (0, 0));
        for value in 0..3 {
            tx.push(value).unwrap();
        }
        assert_eq!((rx.pop(), rx.pop()), (Ok(0), Ok(1)));
        drop((tx, rx));
        let (tx, was) = ring.producer_as(7).unwrap();
        assert_eq!((was.done, was.died), (3, false));
        let (rx, was) = ring.consumer_as(7).unwrap();
        assert_eq!((was.done, was.died, was.orphans), (2, false, vec![]));
        drop((tx, rx));
        ring.forget_session(Direction::Push, 7).unwrap();
        let again = ring.forget_session(Direction::Push, 7).unwrap_err();
        assert!(matches!(again, BuildError::NotFound(_)), "{again}");
        assert_eq!(ring.producer_as(7).unwrap().1.done, 0, "it began anew");
    }
}

/// Killed again and again at whatever instruction, it continues without loss or duplicate.
#[test]
fn a_killed_producer_goes_on_where_it_was() {
    for strategy in recorders() {
        let name = Name::new(&format!("again-{strategy}"));
        let ring = create(&name, strategy, 16);
        let mut rx = ring.consumer().unwrap();
        let mut next = 0;
        for round in 0..12 {
            let mut peer = Peer::start("count-up", &format!("7 {}", name.0));
            let said = peer.hear();
            let (done, died) = said.split_once(' ').unwrap();
            let done: u64 = done.parse().unwrap();
            assert_eq!(
                done, next,
                "{strategy}, round {round}: exactly what came out"
            );
            assert_eq!(died, if round == 0 { "false" } else { "true" });
            for _ in 0..500 + 37 * round {
                assert_eq!(rx.pop(), Ok(next), "{strategy}, round {round}");
                next += 1;
            }
            peer.kill();
            // Those that it pushed after the last one that was waited for.
            while let Ok(value) = rx.try_pop() {
                assert_eq!(value, next, "{strategy}, round {round}");
                next += 1;
            }
        }
        let (_tx, was) = ring.producer_as(7).unwrap();
        assert!(was.died);
        assert_eq!(was.done, next, "{strategy}: exactly what came out");
        assert_eq!(ring.stats().pushed, next);
    }
}

#[test]
fn a_killed_consumer_knows_what_it_took() {
    for strategy in recorders() {
        let name = Name::new(&format!("taker-{strategy}"));
        let ring = create(&name, strategy, 16);
        let mut tx = ring.producer().unwrap();
        let mut next = 0;
        for round in 0..8 {
            let mut peer = Peer::start("count-down", &format!("9 {}", name.0));
            let was = peer.hear();
            assert!(round == 0 || was.contains("true"), "{was}");
            for _ in 0..300 + 41 * round {
                tx.push(next).unwrap();
                next += 1;
            }
            peer.kill();
        }
        let (mut rx, was) = ring.consumer_as(9).unwrap();
        assert!(was.died);
        let left: Vec<u64> = rx.try_iter().collect();
        assert_eq!(was.done + left.len() as u64, next, "{strategy}");
        assert_eq!(left, Vec::from_iter(was.done..next), "{strategy}");
        // What was on its way to the application is the last that was taken.
        let from = was.done - was.orphans.len() as u64;
        assert_eq!(was.orphans, Vec::from_iter(from..was.done), "{strategy}");
    }
}

// ---- orphans ------------------------------------------------------------

#[test]
fn what_a_dead_consumer_had_taken_is_handed_out_once() {
    for strategy in recorders() {
        let name = Name::new(&format!("orphan-{strategy}"));
        let ring = create_for(&name, strategy, 4, 1);
        let mut tx = ring.producer().unwrap();
        for value in 10..14 {
            tx.push(value).unwrap();
        }
        let mut peer = Peer::start("hold", &format!("0 {}", name.0));
        peer.expect("10");
        peer.kill();
        // It keeps its place until somebody takes the element.
        let why = no_handle(ring.try_consumer());
        assert!(why.contains("take_orphans"), "{why}");
        assert_eq!(ring.stats().dead_participants, 1);
        assert_eq!(ring.take_orphans(), [10]);
        assert_eq!(ring.take_orphans(), []);
        let mut rx = ring.consumer().unwrap();
        assert_eq!(rx.try_iter().collect::<Vec<_>>(), [11, 12, 13]);
        tx.push(14).unwrap();
        assert_eq!(rx.pop(), Ok(14));
    }
}

#[test]
fn the_orphans_of_a_session_are_its_own() {
    for strategy in recorders() {
        let name = Name::new(&format!("own-orphan-{strategy}"));
        let ring = create(&name, strategy, 4);
        let mut tx = ring.producer().unwrap();
        tx.push(20).unwrap();
        tx.push(21).unwrap();
        let mut peer = Peer::start("hold", &format!("6 {}", name.0));
        peer.expect("20");
        peer.kill();
        assert_eq!(ring.reclaim(), 1);
        assert_eq!(ring.take_orphans(), [], "not for everybody");
        let why = ring.forget_session(Direction::Pop, 6).unwrap_err();
        assert!(matches!(why, BuildError::Invalid(_)), "{why}");
        let (mut rx, was) = ring.consumer_as(6).unwrap();
        assert_eq!((was.done, was.orphans), (1, vec![20]));
        assert_eq!(rx.pop(), Ok(21));
        drop(rx);
        let (rx, was) = ring.consumer_as(6).unwrap();
        assert_eq!((was.done, was.orphans), (2, vec![]));
        drop(rx);
        ring.forget_session(Direction::Pop, 6).unwrap();
    }
}

/// Whoever finds a dead participant first, its session is told.
#[test]
fn a_death_is_remembered_until_the_session_comes_back() {
    for strategy in recorders() {
        let name = Name::new(&format!("remembered-{strategy}"));
        let ring = create(&name, strategy, 4);
        for round in 0..3 {
            let mut peer = Peer::start("count-up", &format!("5 {}", name.0));
            assert!(peer.hear().ends_with(&(round > 0).to_string()));
            peer.kill();
            assert_eq!(ring.reclaim(), 1);
            assert_eq!(ring.reclaim(), 0);
        }
        let (tx, was) = ring.producer_as(5).unwrap();
        assert!(was.died, "{strategy}");
        drop(tx);
        let (_tx, was) = ring.producer_as(5).unwrap();
        assert!(!was.died, "{strategy}: it was given back");
    }
}

// ---- the erased face ------------------------------------------------------------

#[test]
fn records_have_sessions_too() {
    for strategy in recorders() {
        let name = Name::new(&format!("records-{strategy}"));
        let ring = open_erased(&Options {
            elem_size: 40,
            records: true,
            ..options(&name.0, strategy, 4, OpenMode::CreateNew)
        })
        .unwrap();
        let (side, was) = ring.clone().producer_as(7).unwrap();
        assert_eq!((was.done, was.died, was.orphans.len()), (0, false, 0));
        let mine = through_producer(ring.clone(), side);
        // SAFETY: slices, here and below.
        let push = |to: &dyn DynRing, text: &str| unsafe {
            to.push_record(text.as_ptr(), text.len(), Some(Duration::ZERO))
        };
        assert_eq!(push(&*mine, "mine"), Outcome::Ok);
        assert_eq!(push(&*ring, "not mine"), Outcome::Ok);
        drop(mine);
        let (side, was) = ring.clone().producer_as(7).unwrap();
        assert_eq!(was.done, 1);
        drop(side);
        let (side, _) = ring.clone().consumer_as(8).unwrap();
        let mine = through_consumer(ring.clone(), side);
        let pop = |from: &dyn DynRing| {
            let (mut text, mut len) = ([0; 40], 0);
            let room = Some(Duration::ZERO);
            // SAFETY: room for 40 bytes.
            let outcome = unsafe { from.pop_record(text.as_mut_ptr(), 40, &mut len, room) };
            assert_eq!(outcome, Outcome::Ok);
            String::from_utf8(text[..len].to_vec()).unwrap()
        };
        assert_eq!(
            (pop(&*mine), pop(&*ring)),
            ("mine".into(), "not mine".into())
        );
        // One thread at a time.
        assert_eq!(push(&*ring, "one"), Outcome::Ok);
        let (mut slot, mut len) = (std::ptr::null(), 0);
        assert_eq!(mine.peek(&mut slot, &mut len), Outcome::Ok);
        assert_eq!(mine.release(slot), Outcome::Ok);
        drop(mine);
        assert_eq!(ring.clone().consumer_as(8).unwrap().1.done, 2);
        assert_eq!(ring.take_orphans(9).len(), 0);
        assert_eq!(ring.reclaim(), 0);
    }
}

#[test]
fn a_forked_child_is_a_participant_of_its_own() {
    for strategy in recorders() {
        let name = Name::new(&format!("fork-places-{strategy}"));
        let mut peer = Peer::start("fork-places", &format!("{strategy} {}", name.0));
        peer.expect("fine");
        peer.finish();
    }
}
