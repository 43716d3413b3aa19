//! Clients whose outcomes are written down by hand: several rings, claims that
//! are given back, elements that own something, calls that wait.

use std::sync::{Arc, Mutex};

use turtle_buffers::atomic::Tracker;
use turtle_buffers::strategy::{Arity, Engine};
use turtle_buffers::{PopError, PushError, Ring, TryPopError, TryPushError};

use super::clients::{Client, traits};
use super::program::left;
use super::raw::RawQueue;
use super::{Answer, line, outcomes, thread};

/// All that fit the engine's arity.
pub fn clients<E: Engine>() -> Vec<Client> {
    let promises = traits::<E>();
    let many = promises.producers == Arity::Many && promises.consumers == Arity::Many;
    let mut all = one_to_one::<E>(promises.name == "turn");
    if many {
        all.extend(many_to_many::<E>());
    }
    all
}

fn client(
    name: &'static str,
    hazard: &'static str,
    bound: usize,
    allowed: &[&str],
    body: impl Fn() -> String + Send + Sync + 'static,
) -> Client {
    Client {
        name,
        hazard,
        bound,
        allowed: outcomes(allowed.iter().copied()),
        rare: outcomes([]),
        waits: ["wait_", "close_", "interrupt"]
            .iter()
            .any(|start| name.starts_with(start)),
        body: Box::new(body),
    }
}

fn one_to_one<E: Engine>(busy: bool) -> Vec<Client> {
    // What only an engine with `Busy` does comes last in each list.
    let list =
        |all: &'static [&'static str], without: usize| if busy { all } else { &all[..without] };
    vec![
        client(
            "crossed_empty",
            "two answers Empty, each older than the other thread's push",
            3,
            list(
                &["2 | 1", "empty | 1", "2 | empty", "busy | 1", "2 | busy"],
                3,
            ),
            crossed_empty::<E>,
        ),
        client(
            "crossed_full",
            "two answers Full, each older than the other thread's pop",
            3,
            list(
                &[
                    "ok | ok",
                    "full | ok",
                    "ok | full",
                    "busy | ok",
                    "ok | busy",
                ],
                3,
            ),
            crossed_full::<E>,
        ),
        client(
            "abandon",
            "an abandoned claim is popped, or blocks what comes after it",
            3,
            list(
                &[
                    "ok | empty,empty | left 2",
                    "ok | empty,2 | left -",
                    "ok | 2,empty | left -",
                    "ok | empty,busy | left 2",
                    "ok | busy,empty | left 2",
                    "ok | busy,busy | left 2",
                    "ok | busy,2 | left -",
                ],
                3,
            ),
            abandon::<E>,
        ),
        client(
            "reject",
            "a pop that declines an element loses it",
            3,
            list(
                &[
                    "no,no | ok | left 1,2",
                    "empty,no | ok | left 1,2",
                    "empty,empty | ok | left 1,2",
                    "empty,busy | ok | left 1,2",
                    "busy,busy | ok | left 1,2",
                    "busy,no | ok | left 1,2",
                ],
                3,
            ),
            reject::<E>,
        ),
        client(
            "by_address",
            "a lease known by its address only is another slot's",
            3,
            list(
                &[
                    "ok | empty | left 1",
                    "ok | 1 | left -",
                    "ok | busy | left 1",
                ],
                2,
            ),
            by_address::<E>,
        ),
        client(
            "seal_message",
            "what was done before closing is not visible to who hears Closed",
            3,
            &["closed"],
            seal_message::<E>,
        ),
        client(
            "positions",
            "an observer sees more popped than pushed",
            3,
            // The turn ring's claims carry no order to an observer: it may see
            // a pop and not yet its push.
            if busy {
                &["0,0", "1,0", "1,1", "0,1"]
            } else {
                &["0,0", "1,0", "1,1"]
            },
            positions::<E>,
        ),
        client(
            "drops",
            "an element is dropped twice or never",
            3,
            list(&["2 in, 0 out, 2 dropped", "2 in, 1 out, 2 dropped"], 2),
            drops::<E>,
        ),
        client(
            "wait_pop",
            "a sleeping consumer is not woken",
            3,
            &["1"],
            wait_pop::<E>,
        ),
        client(
            "wait_push",
            "a sleeping producer is not woken",
            3,
            &["1 | ok | 2"],
            wait_push::<E>,
        ),
        client(
            "wait_both",
            "both sides sleep",
            2,
            &["ok,ok | 1,2"],
            wait_both::<E>,
        ),
        client(
            "wait_runs",
            "a run wakes nobody",
            2,
            &["+2 | 1,2"],
            wait_runs::<E>,
        ),
        client(
            "wait_again",
            "a sleeper that was woken in vain is forgotten",
            2,
            &["2"],
            wait_again::<E>,
        ),
        client(
            "wait_claim",
            "an element built in place wakes nobody; an abandoned claim hides one",
            1,
            &["1,2"],
            wait_claim::<E>,
        ),
        client(
            "close_pop",
            "closing leaves a consumer asleep",
            3,
            &["closed"],
            close_pop::<E>,
        ),
        client(
            "close_push",
            "closing leaves a producer asleep",
            3,
            &["closed | 1,closed"],
            close_push::<E>,
        ),
        client(
            "close_twice",
            "closing twice loses an element or leaves a sleeper",
            2,
            &["1,closed"],
            close_twice::<E>,
        ),
        client(
            "close_race",
            "a push that races with closing is lost, or a sleeper with it",
            2,
            &["ok | 1,closed", "closed | closed"],
            close_race::<E>,
        ),
        client(
            "interrupt",
            "an interrupt is missed by a sleeper",
            2,
            &["1", "interrupted"],
            interrupt::<E>,
        ),
    ]
}

fn many_to_many<E: Engine>() -> Vec<Client> {
    vec![
        client(
            "void_full",
            "a void slot is cleared twice, or never",
            3,
            &[
                "ok | empty | left 1",
                "ok | 1 | left -",
                "ok | busy | left 1",
                "busy | empty | left -",
            ],
            void_full::<E>,
        ),
        client(
            "abandon_reuse",
            "a slot is written anew while its abandoned claim is",
            3,
            &[
                "busy | ok | left 1",
                "busy | full | left -",
                "empty | ok | left 1",
                "empty | full | left -",
            ],
            abandon_reuse::<E>,
        ),
        client(
            "wait_busy",
            "the push that made a consumer wait wakes nobody",
            1,
            &["1,2", "2,1"],
            wait_busy::<E>,
        ),
        client(
            "wait_sleepers",
            "two sleepers, two elements, one wake-up",
            1,
            &["1 | 2", "2 | 1"],
            wait_sleepers::<E>,
        ),
    ]
}

fn crossed_empty<E: Engine>() -> String {
    let (x, y) = (RawQueue::<E>::new(1), RawQueue::<E>::new(1));
    let (mut push_x, mut pop_x, mut push_y, mut pop_y) =
        (x.pusher(), x.popper(), y.pusher(), y.popper());
    let other = thread::spawn(move || {
        assert_eq!(push_x.push(1), Answer::Ok);
        pop_y.pop()
    });
    assert_eq!(push_y.push(2), Answer::Ok);
    let mine = pop_x.pop();
    drop((push_y, pop_x));
    format!("{} | {mine}", other.join().unwrap())
}

fn crossed_full<E: Engine>() -> String {
    let (x, y) = (RawQueue::<E>::new(1), RawQueue::<E>::new(1));
    let (mut push_x, mut pop_x, mut push_y, mut pop_y) =
        (x.pusher(), x.popper(), y.pusher(), y.popper());
    assert_eq!((push_x.push(1), push_y.push(2)), (Answer::Ok, Answer::Ok));
    let other = thread::spawn(move || {
        assert_eq!(pop_x.pop(), Answer::Got(1));
        push_y.push(3)
    });
    assert_eq!(pop_y.pop(), Answer::Got(2));
    let mine = push_x.push(4);
    drop((push_x, pop_y));
    format!("{} | {mine}", other.join().unwrap())
}

fn abandon<E: Engine>() -> String {
    let queue = RawQueue::<E>::new(2);
    let (mut pusher, mut popper) = (queue.pusher(), queue.popper());
    let other = thread::spawn(move || {
        assert_eq!(pusher.claim(), Answer::Ok);
        pusher.scribble();
        pusher.abandon();
        pusher.push(2)
    });
    let mine = [popper.pop(), popper.pop()];
    drop(popper);
    format!(
        "{} | {} | {}",
        other.join().unwrap(),
        line(&mine),
        left(&queue.left())
    )
}

fn reject<E: Engine>() -> String {
    let queue = RawQueue::<E>::new(2);
    let (mut pusher, mut popper) = (queue.pusher(), queue.popper());
    let other = thread::spawn(move || {
        assert_eq!(pusher.push(1), Answer::Ok);
        pusher.push(2)
    });
    let mut decline = || match popper.pop_if(|value| value == 2) {
        Ok(None) => "no".to_string(),
        Ok(Some(value)) => value.to_string(),
        Err(why) => Answer::from(why).to_string(),
    };
    let mine = [decline(), decline()].join(",");
    drop(popper);
    format!(
        "{mine} | {} | {}",
        other.join().unwrap(),
        left(&queue.left())
    )
}

fn by_address<E: Engine>() -> String {
    let queue = RawQueue::<E>::new(1);
    let (mut pusher, mut popper) = (queue.pusher(), queue.popper());
    let other = thread::spawn(move || {
        assert_eq!(pusher.claim(), Answer::Ok);
        pusher.claim_by_address();
        pusher.commit(1)
    });
    let mine = popper.pop_by_address();
    drop(popper);
    format!(
        "{} | {mine} | {}",
        other.join().unwrap(),
        left(&queue.left())
    )
}

fn abandon_reuse<E: Engine>() -> String {
    let queue = RawQueue::<E>::new(1);
    let (mut abandoner, mut pusher, mut popper) = (queue.pusher(), queue.pusher(), queue.popper());
    let other = thread::spawn(move || {
        if abandoner.claim() == Answer::Ok {
            abandoner.scribble();
            abandoner.abandon();
        }
    });
    let mine = [popper.pop(), pusher.push(1)];
    drop((pusher, popper));
    other.join().unwrap();
    format!("{} | {} | {}", mine[0], mine[1], left(&queue.left()))
}

fn seal_message<E: Engine>() -> String {
    let queue = RawQueue::<E>::new(1);
    let mut popper = queue.popper();
    let message = Arc::new(Tracker::new());
    let closer = thread::spawn({
        let (queue, message) = (queue.clone(), message.clone());
        move || {
            message.writing(|| ());
            queue.seal();
        }
    });
    let end = loop {
        match popper.pop() {
            Answer::Empty => thread::yield_now(),
            end => break end,
        }
    };
    message.reading(|| ());
    drop(popper);
    closer.join().unwrap();
    end.to_string()
}

fn positions<E: Engine>() -> String {
    let queue = RawQueue::<E>::new(1);
    let (mut pusher, mut popper) = (queue.pusher(), queue.popper());
    let pushing = thread::spawn(move || pusher.push(1));
    let popping = thread::spawn(move || popper.pop());
    let (pushed, popped) = queue.positions();
    pushing.join().unwrap();
    popping.join().unwrap();
    format!("{pushed},{popped}")
}

fn void_full<E: Engine>() -> String {
    let queue = RawQueue::<E>::new(1);
    let (mut pusher, mut popper) = (queue.pusher(), queue.popper());
    assert_eq!(pusher.claim(), Answer::Ok);
    pusher.abandon();
    let other = thread::spawn(move || pusher.push(1));
    let mine = popper.pop();
    drop(popper);
    format!(
        "{} | {mine} | {}",
        other.join().unwrap(),
        left(&queue.left())
    )
}

/// Counts how often it is dropped.
struct Token(Arc<Mutex<usize>>);

impl Drop for Token {
    fn drop(&mut self) {
        *self.0.lock().unwrap() += 1;
    }
}

fn drops<E: Engine>() -> String {
    let dropped = Arc::new(Mutex::new(0));
    let ring = Ring::<Token, E>::new(2).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let other = thread::spawn({
        let dropped = dropped.clone();
        move || {
            (0..2)
                .filter(|_| producer.try_push(Token(dropped.clone())).is_ok())
                .count()
        }
    });
    let out = usize::from(consumer.try_pop().is_ok());
    let pushed = other.join().unwrap();
    assert_eq!(*dropped.lock().unwrap(), out);
    drop((consumer, ring));
    format!(
        "{pushed} in, {out} out, {} dropped",
        dropped.lock().unwrap()
    )
}

fn say_pop(popped: Result<u64, PopError>) -> String {
    match popped {
        Ok(value) => value.to_string(),
        Err(PopError::Closed) => "closed".into(),
        Err(PopError::Interrupted) => "interrupted".into(),
        Err(other) => panic!("{other:?}"),
    }
}

fn say_push(pushed: Result<(), PushError<u64>>) -> &'static str {
    match pushed {
        Ok(()) => "ok",
        Err(PushError::Closed(_)) => "closed",
        Err(other) => panic!("{other:?}"),
    }
}

fn wait_pop<E: Engine>() -> String {
    let ring = Ring::<u64, E>::new(1).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let other = thread::spawn(move || producer.try_push(1).unwrap());
    let mine = say_pop(consumer.pop());
    other.join().unwrap();
    mine
}

fn wait_push<E: Engine>() -> String {
    let ring = Ring::<u64, E>::new(1).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    producer.try_push(1).unwrap();
    let other = thread::spawn(move || (consumer.try_pop().unwrap(), consumer));
    let pushed = say_push(producer.push(2));
    let (popped, mut consumer) = other.join().unwrap();
    format!("{popped} | {pushed} | {}", consumer.try_pop().unwrap())
}

fn wait_both<E: Engine>() -> String {
    let ring = Ring::<u64, E>::new(1).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let other =
        thread::spawn(move || [say_push(producer.push(1)), say_push(producer.push(2))].join(","));
    let mine = [say_pop(consumer.pop()), say_pop(consumer.pop())].join(",");
    format!("{} | {mine}", other.join().unwrap())
}

fn wait_runs<E: Engine>() -> String {
    let ring = Ring::<u64, E>::new(2).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let other = thread::spawn(move || producer.push_batch(&mut vec![1, 2].into_iter()).unwrap());
    let mut got = Vec::new();
    while got.len() < 2 {
        consumer.pop_batch(&mut got, 2).unwrap();
    }
    format!("+{} | {},{}", other.join().unwrap(), got[0], got[1])
}

fn wait_again<E: Engine>() -> String {
    let ring = Ring::<u64, E>::new(2).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let other = thread::spawn(move || {
        drop(producer.try_claim().unwrap());
        producer.try_push(2).unwrap();
    });
    let mine = say_pop(consumer.pop());
    other.join().unwrap();
    mine
}

fn wait_claim<E: Engine>() -> String {
    let ring = Ring::<u64, E>::new(2).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let other = thread::spawn(move || {
        producer.try_claim().unwrap().commit(1).unwrap();
        drop(producer.try_claim());
        say_push(producer.push(2))
    });
    let mine = [say_pop(consumer.pop()), say_pop(consumer.pop())].join(",");
    assert_eq!(other.join().unwrap(), "ok");
    mine
}

fn close_pop<E: Engine>() -> String {
    let ring = Ring::<u64, E>::new(1).unwrap();
    let mut consumer = ring.consumer().unwrap();
    let other = thread::spawn({
        let ring = ring.clone();
        move || ring.close()
    });
    let mine = say_pop(consumer.pop());
    other.join().unwrap();
    mine
}

fn close_push<E: Engine>() -> String {
    let ring = Ring::<u64, E>::new(1).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    producer.try_push(1).unwrap();
    let other = thread::spawn({
        let ring = ring.clone();
        move || ring.close()
    });
    let mine = say_push(producer.push(2));
    other.join().unwrap();
    let rest = [say_pop(consumer.pop()), say_pop(consumer.pop())].join(",");
    format!("{mine} | {rest}")
}

fn close_twice<E: Engine>() -> String {
    let ring = Ring::<u64, E>::new(2).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    producer.try_push(1).unwrap();
    let other = thread::spawn({
        let ring = ring.clone();
        move || {
            ring.close();
            ring.close();
        }
    });
    let mine = [say_pop(consumer.pop()), say_pop(consumer.pop())].join(",");
    other.join().unwrap();
    assert_eq!(producer.try_push(2), Err(TryPushError::Closed(2)));
    assert_eq!(consumer.try_pop(), Err(TryPopError::Closed));
    mine
}

fn close_race<E: Engine>() -> String {
    let ring = Ring::<u64, E>::new(1).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let closer = thread::spawn({
        let ring = ring.clone();
        move || ring.close()
    });
    let pusher = thread::spawn(move || match producer.try_push(1) {
        Ok(()) => "ok",
        Err(TryPushError::Closed(_)) => "closed",
        Err(other) => panic!("{other:?}"),
    });
    let mut mine = Vec::new();
    while mine.last().is_none_or(|last| last != "closed") {
        mine.push(say_pop(consumer.pop()));
    }
    closer.join().unwrap();
    format!("{} | {}", pusher.join().unwrap(), mine.join(","))
}

fn interrupt<E: Engine>() -> String {
    let ring = Ring::<u64, E>::new(1).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let other = thread::spawn({
        let ring = ring.clone();
        move || {
            ring.interrupt();
            producer.try_push(1).unwrap();
        }
    });
    let mine = say_pop(consumer.pop());
    other.join().unwrap();
    mine
}

fn wait_busy<E: Engine>() -> String {
    let ring = Ring::<u64, E>::new(2).unwrap();
    let mut consumer = ring.consumer().unwrap();
    let others = [1, 2].map(|value| {
        let mut producer = ring.producer().unwrap();
        thread::spawn(move || producer.try_push(value).unwrap())
    });
    let mine = [say_pop(consumer.pop()), say_pop(consumer.pop())].join(",");
    for other in others {
        other.join().unwrap();
    }
    mine
}

fn wait_sleepers<E: Engine>() -> String {
    let ring = Ring::<u64, E>::new(2).unwrap();
    let mut producer = ring.producer().unwrap();
    let others = [(); 2].map(|()| {
        let mut consumer = ring.consumer().unwrap();
        thread::spawn(move || say_pop(consumer.pop()))
    });
    for value in [1, 2] {
        producer.try_push(value).unwrap();
    }
    others.map(|other| other.join().unwrap()).join(" | ")
}
