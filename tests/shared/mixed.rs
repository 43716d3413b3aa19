//! Processes that have the asymmetric barrier, and processes that do not.

use super::*;
use turtle_buffers::os::barrier;

const WITHOUT: [(&str, &str); 1] = [("TURTLE_NO_MEMBARRIER", "1")];
/// Elements before the close, one round each.
const ROUNDS: u64 = 60;

/// Whether this process has it; without, there is nothing to mix.
fn is_here() -> bool {
    let here = barrier::register(true);
    if !here {
        println!("SKIP: no membarrier here");
    }
    here
}

/// Opens rings, pushes, or pops and closes, as it is told.
pub(crate) fn without(_: &str) {
    assert!(!barrier::register(true));
    let mut ring = None;
    loop {
        let told = listen();
        let mut words = told.split(' ');
        match words.next().unwrap() {
            "create" => {
                let strategy = words.next().unwrap().parse().unwrap();
                let name = words.next().unwrap();
                let options = options(name, strategy, 4, OpenMode::CreateNew);
                ring = Some(Ring::<u64>::open(&options).unwrap());
                say("open");
            }
            "attach" => {
                let options = Options {
                    capacity: 0,
                    path: Some(words.next().unwrap().into()),
                    open: OpenMode::Attach,
                    ..Options::default()
                };
                match Ring::<u64>::open(&options) {
                    Ok(there) => {
                        ring = Some(there);
                        say("open");
                    }
                    Err(BuildError::Unsupported(why)) => say(&format!("unsupported: {why}")),
                    Err(other) => panic!("{other}"),
                }
            }
            "push" => say(&push_until_closed(ring.as_ref().unwrap()).to_string()),
            "drain" => {
                let close_after = words.next().unwrap().parse().unwrap();
                say(&drain(ring.as_ref().unwrap(), close_after).to_string());
            }
            _ => return,
        }
    }
}

/// How many went in before the ring was closed.
fn push_until_closed(ring: &RingBuffer<u64>) -> u64 {
    let mut tx = ring.producer().unwrap();
    (0..)
        .find(|&number| match tx.push(number) {
            Ok(()) => false,
            Err(why) => {
                assert_eq!(why, PushError::Closed(number));
                true
            }
        })
        .unwrap()
}

/// How many came out, in order, of a ring that is closed after so many.
fn drain(ring: &RingBuffer<u64>, close_after: u64) -> u64 {
    let mut rx = ring.consumer().unwrap();
    for number in 0..close_after {
        assert_eq!(rx.pop(), Ok(number));
    }
    ring.close();
    let mut got = close_after;
    while let Ok(number) = rx.pop() {
        assert_eq!(number, got);
        got += 1;
    }
    assert_eq!(rx.try_pop(), Err(TryPopError::Closed));
    got
}

/// Whichever process pushes, and whichever made the ring: what a push was told is in is popped
/// before anybody hears `Closed`.
#[test]
fn closing_is_exact_between_processes_with_and_without_the_barrier() {
    if !is_here() {
        return;
    }
    for strategy in strategies() {
        let mut peer = Peer::start_with("without", "-", &WITHOUT);
        for round in 0..ROUNDS {
            let name = Name::new(&format!("mixed-{strategy}"));
            let ring = if round % 2 == 0 {
                let ring = create(&name, strategy, 4);
                peer.tell(&format!("attach {}", name.0));
                peer.expect("open");
                ring
            } else {
                peer.tell(&format!("create {strategy} {}", name.0));
                peer.expect("open");
                attach(&name.0)
            };
            let (pushed, popped) = if round % 4 < 2 {
                peer.tell(&format!("drain {round}"));
                let pushed = push_until_closed(&ring);
                (pushed, peer.hear().parse().unwrap())
            } else {
                peer.tell("push");
                let popped = drain(&ring, round);
                (peer.hear().parse().unwrap(), popped)
            };
            assert_eq!(pushed, popped, "{strategy}, round {round}");
        }
        peer.tell("enough");
        peer.finish();
    }
}

/// A producer that relies on everybody's barrier cannot be told otherwise in the middle of a push:
/// a process without one waits until that producer is gone.
#[test]
fn a_process_without_the_barrier_joins_no_producer_that_relies_on_it() {
    if !is_here() {
        return;
    }
    for strategy in strategies() {
        let one = strategy.traits().producers == Arity::One;
        let name = Name::new(&format!("joins-{strategy}"));
        let ring = create(&name, strategy, 4);
        let tx = ring.producer().unwrap();
        let mut peer = Peer::start_with("without", "-", &WITHOUT);
        let attach = format!("attach {}", name.0);
        peer.tell(&attach);
        let answer = peer.hear();
        if one {
            assert!(answer.starts_with("unsupported") && answer.contains("membarrier"));
            drop(tx);
            peer.tell(&attach);
            assert_eq!(peer.hear(), "open", "nobody pushes now");
        } else {
            assert_eq!(answer, "open", "{strategy} rests on no barrier");
            drop(tx);
        }
        // From then on producers fence, and whoever comes is welcome beside them.
        let mut tx = ring.producer().unwrap();
        let mut other = Peer::start_with("without", "-", &WITHOUT);
        other.tell(&attach);
        other.expect("open");
        tx.push(0).unwrap();
        other.tell("drain 1");
        other.expect("1");
        assert_eq!(tx.try_push(1), Err(TryPushError::Closed(1)));
        for mut peer in [peer, other] {
            peer.tell("enough");
            peer.finish();
        }
    }
}
