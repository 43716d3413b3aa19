//! Clients whose outcomes are written down by hand: several rings, claims that
//! are given back, leases by address, observers.

use std::sync::Arc;

use turtle_buffers::atomic::Tracker;
use turtle_buffers::strategy::{Arity, Engine};

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
        all.extend(many_to_many::<E>(promises.name == "turn"));
    }
    all.extend(super::waiting::clients::<E>(many));
    all
}

pub(super) fn client(
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
        exact: true,
        waits: ["wait_", "close_", "interrupt"]
            .iter()
            .any(|start| name.starts_with(start)),
        body: Box::new(body),
    }
}

/// What only an engine with `Busy` does comes last in each list.
fn lists(busy: bool) -> impl Fn(&'static [&'static str], usize) -> &'static [&'static str] {
    move |all, without| if busy { all } else { &all[..without] }
}

fn one_to_one<E: Engine>(busy: bool) -> Vec<Client> {
    let list = lists(busy);
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
    ]
}

fn many_to_many<E: Engine>(busy: bool) -> Vec<Client> {
    let list = lists(busy);
    vec![
        client(
            "void_full",
            "a void slot is cleared twice, or never",
            3,
            list(
                &[
                    "ok | empty | left 1",
                    "ok | 1 | left -",
                    "ok | busy | left 1",
                    "busy | empty | left -",
                ],
                2,
            ),
            void_full::<E>,
        ),
        client(
            "abandon_reuse",
            "a slot is written anew while its abandoned claim is",
            3,
            // Where an abandoned claim leaves no trace the rest is not seen.
            list(
                &[
                    "empty | ok | left 1",
                    "busy | ok | left 1",
                    "busy | full | left -",
                    "empty | full | left -",
                ],
                1,
            ),
            abandon_reuse::<E>,
        ),
    ]
}

/// For engines that give places to their participants.
pub fn joining<E: Engine>() -> Client {
    client(
        "join_2",
        "two producers get one place",
        3,
        &["ok | ok | left 1,2", "ok | ok | left 2,1"],
        || {
            let queue = RawQueue::<E>::with(2, 2);
            let other = thread::spawn({
                let queue = queue.clone();
                move || queue.pusher().push(1)
            });
            let mine = queue.pusher().push(2);
            let other = other.join().unwrap();
            format!("{other} | {mine} | {}", left(&queue.left()))
        },
    )
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
