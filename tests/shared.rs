//! Rings in shared memory between real, unrelated processes: finding each other, refusing what does
//! not fit, dying at bad moments, forking.
#![cfg(target_os = "linux")]

#[path = "shared/death.rs"]
mod death;
#[path = "shared/forked.rs"]
mod forked;
#[path = "shared/mixed.rs"]
mod mixed;
#[path = "shared/names.rs"]
mod names;
#[path = "shared/places.rs"]
mod places;
#[path = "shared/polled.rs"]
mod polled;
mod support;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use support::peer::{Name, Peer, case, listen, say};
use support::wait_until;
use turtle_buffers::erased::{self, DynRing, Outcome};
use turtle_buffers::os::segment::Segment;
use turtle_buffers::strategy::any::AnyRing;
use turtle_buffers::strategy::{Arity, Geometry, RawRing, Typed};
use turtle_buffers::{
    BuildError, OpenMode, Options, PopError, PushError, Ring, RingBuffer, Strategy, TryPopError,
    TryPushError,
};

fn strategies() -> impl Iterator<Item = Strategy> {
    Strategy::ALL.iter().copied().filter(|s| s.traits().shared)
}

fn options(name: &str, strategy: Strategy, capacity: usize, open: OpenMode) -> Options {
    Options {
        strategy: Some(strategy),
        capacity,
        path: Some(name.into()),
        open,
        ..Options::default()
    }
}

fn create(name: &Name, strategy: Strategy, capacity: usize) -> RingBuffer<u64> {
    Ring::open(&options(&name.0, strategy, capacity, OpenMode::CreateNew)).unwrap()
}

fn attach(name: &str) -> RingBuffer<u64> {
    let whatever = Options {
        capacity: 0,
        path: Some(name.into()),
        open: OpenMode::Attach,
        ..Options::default()
    };
    Ring::open(&whatever).unwrap()
}

fn open_erased(options: &Options) -> Result<Arc<dyn DynRing>, BuildError> {
    // SAFETY: no hook.
    unsafe { erased::open(options, None) }
}

// ---- what peers do ------------------------------------------------------------

#[test]
fn child_entry() {
    let Some((case, name)) = case() else { return };
    match case.as_str() {
        "echo" => echo(&name),
        "race" => race(&name),
        "own" => own(&name),
        "sleep" => sleep(&name),
        "publish" => death::publish(&name),
        "make-room" => death::make_room(&name),
        "fork" => forked::fork(&name),
        "without" => mixed::without(&name),
        "fork-poll" => forked::fork_poll(&name),
        "poll-echo" => polled::echo(&name),
        "poll-one" => polled::take_one(&name),
        "count-up" => places::count_up(&name),
        "count-down" => places::count_down(&name),
        "hold" => places::hold(&name),
        "churn" => places::churn(&name),
        "sit" => places::sit(&name),
        "fork-places" => places::fork_places(&name),
        "patience" => places::patience(),
        "push-until-killed" => push_until_killed(&name),
        other => panic!("no case {other}"),
    }
}

/// Pops from one ring, pushes to the other, until the first is closed.
fn echo(names: &str) {
    let (from, to) = names.split_once(' ').unwrap();
    let (from, to) = (attach(from), attach(to));
    let (mut rx, mut tx) = (from.consumer().unwrap(), to.producer().unwrap());
    say("ready");
    while let Ok(value) = rx.pop() {
        tx.push(value + 1).unwrap();
    }
    to.close();
}

fn race(argument: &str) {
    let (strategy, name) = argument.split_once(' ').unwrap();
    let strategy = strategy.parse().unwrap();
    listen();
    let ring: RingBuffer<u64> =
        Ring::open(&options(name, strategy, 8, OpenMode::CreateOrAttach)).unwrap();
    say("open");
    while let Some((side, number)) = listen()
        .split_once(' ')
        .map(|(s, n)| (s.to_string(), n.to_string()))
    {
        match side.as_str() {
            "push" => {
                ring.producer()
                    .unwrap()
                    .push(number.parse().unwrap())
                    .unwrap();
                say("pushed");
            }
            _ => {
                let got = ring.consumer().unwrap().pop().unwrap();
                say(&got.to_string());
            }
        }
    }
}

/// Takes both sides, pushes two elements, and keeps them until it dies.
fn own(name: &str) {
    let ring = attach(name);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.push(1).unwrap();
    tx.push(2).unwrap();
    assert_eq!(rx.try_pop(), Ok(1));
    say("mine");
    listen();
}

fn sleep(name: &str) {
    let ring = attach(name);
    let mut rx = ring.consumer().unwrap();
    say("ready");
    let got = rx.pop();
    say(&format!("{got:?}"));
}

fn push_until_killed(name: &str) {
    let ring = attach(name);
    let mut tx = ring.producer().unwrap();
    say("ready");
    let mut number = 0;
    loop {
        tx.push(number).unwrap();
        number += 1;
    }
}

// ---- elements ------------------------------------------------------------

#[test]
fn elements_pass_between_processes() {
    for strategy in strategies() {
        let (there, back) = (
            Name::new(&format!("there-{strategy}")),
            Name::new(&format!("back-{strategy}")),
        );
        let to = create(&there, strategy, 4);
        let from = create(&back, strategy, 3);
        let mut peer = Peer::start("echo", &format!("{} {}", there.0, back.0));
        peer.expect("ready");
        let (mut tx, mut rx) = (to.producer().unwrap(), from.consumer().unwrap());
        let pusher = std::thread::spawn(move || {
            for i in 0..20_000 {
                tx.push(i).unwrap();
            }
            to.close(); // the peer drains it, and closes the other one
            to
        });
        let got: Vec<u64> = rx.iter().collect();
        assert_eq!(got, Vec::from_iter(1..20_001), "{strategy}");
        assert_eq!(rx.try_pop(), Err(TryPopError::Closed));
        let to = pusher.join().unwrap();
        assert_eq!(
            (to.stats().pushed, to.stats().popped),
            (20_000, 20_000),
            "positions are shared"
        );
        peer.finish();
    }
}

/// Guards of a shared ring work beside it: what another process writes to the slot meanwhile is not
/// seen through them, and nothing unfinished is in the slot.
#[test]
fn guards_of_a_shared_ring_are_out_of_reach_of_others() {
    const HERE: u64 = 0x6865_7265_6865_7265;
    const THERE: u64 = 0x7468_6572_6574_6865;
    for strategy in strategies() {
        let name = Name::new(&format!("guards-{strategy}"));
        let ring = create(&name, strategy, 4);
        // Somebody else's mapping of the same bytes.
        let segment = Segment::open(&name.0).unwrap();
        let words = |value: u64| -> Vec<*mut u64> {
            let base = segment.base().as_ptr().cast::<u64>();
            // SAFETY: inside the mapping; nobody writes at the same time.
            (0..segment.len() / 8)
                .map(|at| unsafe { base.add(at) })
                .filter(|word| unsafe { word.read_volatile() } == value)
                .collect()
        };
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        for lap in 0..6 {
            let mut claim = tx.try_claim().unwrap();
            claim.slot().write(HERE);
            assert_eq!(words(HERE), [], "{strategy}: not in the ring yet");
            // SAFETY: written above.
            unsafe { claim.commit_in_place() }.unwrap();
            tx.try_claim().unwrap().commit(lap).unwrap();
            let [slot] = words(HERE)[..] else {
                panic!("{strategy}: committed once")
            };

            let mut peek = rx.try_peek().unwrap();
            assert_eq!(*peek, HERE);
            // SAFETY: the word found above.
            unsafe { slot.write_volatile(THERE) };
            assert_eq!(*peek, HERE, "{strategy}: somebody else's write is seen");
            *peek += 1;
            assert_eq!(peek.take(), HERE + 1);
            assert_eq!(words(THERE), [slot], "{strategy}: and not overwritten");
            // SAFETY: as above.
            unsafe { slot.write_volatile(0) };
            assert_eq!(*rx.try_peek().unwrap(), lap);
            assert_eq!(rx.try_peek().err(), Some(TryPopError::Empty));
        }
        // What a refused commit keeps is the value, not what lies in the slot.
        let mut claim = tx.try_claim().unwrap();
        claim.slot().write(HERE);
        ring.close();
        // SAFETY: written above.
        match unsafe { claim.commit_in_place() } {
            Ok(()) => assert_eq!(rx.try_pop(), Ok(HERE)), // it decided before the close
            Err((why, mut claim)) => {
                assert_eq!(why, TryPushError::Closed(()));
                // SAFETY: written above.
                assert_eq!(unsafe { claim.slot().assume_init() }, HERE);
            }
        }
    }
}

#[test]
fn of_several_that_create_or_attach_one_creates() {
    for strategy in strategies() {
        let name = Name::new(&format!("race-{strategy}"));
        let mut peers: Vec<_> = (0..4)
            .map(|_| Peer::start("race", &format!("{strategy} {}", name.0)))
            .collect();
        for peer in &mut peers {
            peer.tell("go");
        }
        for peer in &mut peers {
            peer.expect("open");
        }
        // All have the same ring: what one pushes another one pops.
        for number in 0..8 {
            peers[number % 4].tell(&format!("push {number}"));
            peers[number % 4].expect("pushed");
            let other = &mut peers[(number + 1) % 4];
            other.tell("pop -");
            other.expect(&number.to_string());
        }
        peers.into_iter().for_each(Peer::finish);
    }
}

#[test]
fn closing_wakes_sleepers_in_other_processes() {
    for strategy in strategies() {
        let name = Name::new(&format!("close-{strategy}"));
        let ring = create(&name, strategy, 4);
        let mut sleeper = Peer::start("sleep", &name.0);
        sleeper.expect("ready");
        ring.close();
        assert_eq!(sleeper.hear(), "Err(Closed)");
        sleeper.finish();
        assert_eq!(
            attach(&name.0).producer().unwrap().try_push(1),
            Err(TryPushError::Closed(1))
        );
    }
}

#[test]
fn a_sleeper_that_is_killed_disturbs_nobody() {
    for strategy in strategies() {
        let name = Name::new(&format!("killed-{strategy}"));
        let ring = create(&name, strategy, 4);
        for round in 0..3 {
            let mut sleeper = Peer::start("sleep", &name.0);
            sleeper.expect("ready");
            sleeper.kill();
            let mut tx = ring.producer().unwrap();
            let mut rx = ring.consumer().unwrap();
            for i in 0..4 {
                tx.push(round * 10 + i).unwrap();
            }
            for i in 0..4 {
                assert_eq!(rx.pop(), Ok(round * 10 + i), "{strategy}");
            }
        }
    }
}
