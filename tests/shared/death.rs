//! Processes that are killed at bad moments.

use super::*;

/// The system's monotonic clock, the same for all processes.
pub(crate) fn now() -> Duration {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is live and writable.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// The engine alone, without the face that wakes sleepers: what a process has
/// done that was killed between publishing and waking.
pub(crate) fn bare(segment: &Segment, strategy: Strategy, capacity: usize) -> AnyRing<Typed<u64>> {
    let geometry = Geometry::new(capacity, Typed::new(), true);
    let align = AnyRing::footprint_of(strategy, &geometry).unwrap().align();
    // The engine's region follows the benches (src/segment.rs).
    let at = 640_usize.next_multiple_of(align);
    // SAFETY: the callers created a ring of this geometry there, and keep it mapped.
    unsafe { AnyRing::attach_as(strategy, segment.base().add(at), &geometry) }
}

fn bare_argument(argument: &str) -> (Strategy, Segment, usize) {
    let (strategy, name) = argument.split_once(' ').unwrap();
    (strategy.parse().unwrap(), Segment::open(name).unwrap(), 1)
}

pub(crate) fn publish(argument: &str) {
    let (strategy, segment, capacity) = bare_argument(argument);
    let ring = bare(&segment, strategy, capacity);
    let mut side = ring.new_producer().unwrap();
    say("ready");
    listen();
    // SAFETY: the only producer; the payload is written.
    unsafe {
        let claim = ring.try_claim(&mut side).unwrap();
        claim.write(|slot| slot.cast::<u64>().write(7));
        ring.try_commit(&mut side, claim).unwrap();
    }
    die_now();
}

pub(crate) fn make_room(argument: &str) {
    let (strategy, segment, capacity) = bare_argument(argument);
    let ring = bare(&segment, strategy, capacity);
    let mut side = ring.new_consumer().unwrap();
    say("ready");
    listen();
    // SAFETY: the only consumer; nothing is to be moved out.
    unsafe {
        let taken = ring.try_take(&mut side).unwrap();
        ring.release(&mut side, taken);
    }
    die_now();
}

/// Says when it was, and is killed.
fn die_now() {
    say(&now().as_nanos().to_string());
    // SAFETY: signals this process.
    unsafe { libc::raise(libc::SIGKILL) };
}

#[test]
fn a_killed_owner_leaves_its_side_to_others() {
    for strategy in strategies() {
        let name = Name::new(&format!("own-{strategy}"));
        let ring = create(&name, strategy, 4);
        let erased = open_erased(&options(&name.0, strategy, 4, OpenMode::Attach)).unwrap();
        let mut owner = Peer::start("own", &name.0);
        owner.expect("mine");
        let traits = strategy.traits();
        if traits.producers == Arity::One {
            assert!(matches!(
                ring.try_producer().unwrap_err(),
                BuildError::NoHandle(_)
            ));
            assert_eq!(
                // SAFETY: one element.
                unsafe { erased.try_push([0; 8].as_ptr()) },
                Outcome::NoHandle
            );
        }
        if traits.consumers == Arity::One {
            assert!(matches!(
                ring.try_consumer().unwrap_err(),
                BuildError::NoHandle(_)
            ));
            assert_eq!(
                // SAFETY: one element.
                unsafe { erased.try_pop([0; 8].as_mut_ptr()) },
                Outcome::NoHandle
            );
        }
        owner.kill();
        let mut tx = ring.producer().unwrap();
        let mut rx = ring.consumer().unwrap();
        tx.push(3).unwrap();
        assert_eq!(
            (rx.pop(), rx.pop()),
            (Ok(2), Ok(3)),
            "{strategy}: it goes on where the dead one was"
        );
        assert_eq!(rx.try_pop(), Err(TryPopError::Empty));
    }
}

/// Killed at some moment of pushing as fast as it can: what it pushed is there,
/// in order, and where the engine promises it the ring goes on.
#[test]
fn a_killed_producer_spoils_no_element() {
    for strategy in strategies() {
        for _ in 0..5 {
            let name = Name::new(&format!("spoil-{strategy}"));
            let ring = create(&name, strategy, 16);
            let mut peer = Peer::start("push-until-killed", &name.0);
            peer.expect("ready");
            let mut rx = ring.consumer().unwrap();
            for number in 0..1000 {
                assert_eq!(rx.pop(), Ok(number));
            }
            peer.kill();
            let mut next = 1000;
            while let Ok(number) = rx.try_pop() {
                assert_eq!(number, next);
                next += 1;
            }
            // `turn`: the slot it died in may stay; the others say so, and do not hang.
            match ring
                .producer()
                .unwrap()
                .push_timeout(next, Duration::from_millis(30))
            {
                Ok(()) => {}
                Err(why) => assert_eq!(why, PushError::Timeout(next)),
            }
            let held = rx.try_pop();
            assert!(
                matches!(held, Ok(n) if n == next) || held == Err(TryPopError::Busy),
                "{held:?}"
            );
            if strategy.traits().producers == Arity::One {
                assert_eq!(held, Ok(next), "it holds up only the other side");
            }
        }
    }
}

/// Delays of a sleeper whose peer was killed before it could wake anyone.
fn delays_without_a_wake_up(strategy: Strategy, case: &str) -> Vec<Duration> {
    (0..9)
        .map(|_| {
            let name = Name::new(&format!("{case}-{strategy}"));
            let ring = create(&name, strategy, 1);
            let sleeper = if case == "publish" {
                let mut rx = ring.consumer().unwrap();
                std::thread::spawn(move || (rx.pop().unwrap(), now()))
            } else {
                let mut tx = ring.producer().unwrap();
                tx.push(1).unwrap();
                std::thread::spawn(move || {
                    tx.push(2).unwrap();
                    (7, now())
                })
            };
            let mut peer = Peer::start(case, &format!("{strategy} {}", name.0));
            peer.expect("ready");
            wait_until("it sleeps", || ring.stats().waits > 0);
            let wakes = ring.stats().wakes;
            peer.tell("go");
            let done = Duration::from_nanos(peer.hear().parse().unwrap());
            let (value, woken) = sleeper.join().unwrap();
            assert_eq!(
                (value, ring.stats().wakes),
                (7, wakes),
                "nobody was there to wake it"
            );
            woken.saturating_sub(done)
        })
        .collect()
}

#[test]
fn a_peer_killed_before_it_wakes_delays_a_sleeper_by_20_ms_at_most() {
    for strategy in strategies() {
        for case in ["publish", "make-room"] {
            // A machine that is busy elsewhere may spoil one measurement, not three.
            let holds = (1..=3).any(|attempt| {
                let mut delays = delays_without_a_wake_up(strategy, case);
                delays.sort_unstable();
                println!("{strategy}, {case}, attempt {attempt}: {delays:?}");
                delays[delays.len() / 2] <= Duration::from_millis(20)
                    && delays[delays.len() - 1] <= Duration::from_millis(100)
            });
            assert!(holds, "{strategy}, {case}");
        }
    }
}
