//! Clients of the safe face: elements that own something, calls that wait,
//! closing.

use std::sync::{Arc, Mutex};

use turtle_buffers::erased::{self, DynConsumer, DynRing, Outcome};
use turtle_buffers::strategy::Engine;
use turtle_buffers::{Batch, Options, PopError, PushError, Ring, TryPopError, TryPushError};

use super::by_hand::client;
use super::clients::{Client, traits};
use super::thread;

/// An empty ring for two on each side.
fn ring<T: Send, E: Engine>(capacity: usize) -> Ring<T, E> {
    let options = Options {
        capacity,
        max_threads: 2,
        ..Options::default()
    };
    Ring::with_options(&options).unwrap()
}

/// All of them, with those for many on each side if asked.
pub fn clients<E: Engine>(many: bool) -> Vec<Client> {
    let mut all = vec![
        client(
            "drops",
            "an element is dropped twice or never",
            3,
            &["2 in, 0 out, 2 dropped", "2 in, 1 out, 2 dropped"],
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
            "wait_polled",
            "a consumer that polls the event descriptor is not told",
            2,
            &["1,2"],
            wait_polled::<E>,
        ),
        client(
            "close_polled",
            "closing does not tell a consumer that polls",
            2,
            &["closed"],
            close_polled::<E>,
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
    ];
    if many {
        all.extend([
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
        ]);
    }
    all
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
    let ring = ring::<Token, E>(2);
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
    let ring = ring::<u64, E>(1);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let other = thread::spawn(move || producer.try_push(1).unwrap());
    let mine = say_pop(consumer.pop());
    other.join().unwrap();
    mine
}

fn wait_push<E: Engine>() -> String {
    let ring = ring::<u64, E>(1);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    producer.try_push(1).unwrap();
    let other = thread::spawn(move || (consumer.try_pop().unwrap(), consumer));
    let pushed = say_push(producer.push(2));
    let (popped, mut consumer) = other.join().unwrap();
    format!("{popped} | {pushed} | {}", consumer.try_pop().unwrap())
}

fn wait_both<E: Engine>() -> String {
    let ring = ring::<u64, E>(1);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let other =
        thread::spawn(move || [say_push(producer.push(1)), say_push(producer.push(2))].join(","));
    let mine = [say_pop(consumer.pop()), say_pop(consumer.pop())].join(",");
    format!("{} | {mine}", other.join().unwrap())
}

fn wait_runs<E: Engine>() -> String {
    let ring = ring::<u64, E>(2);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let other = thread::spawn(move || producer.push_batch(&mut Batch::new(vec![1, 2])).unwrap());
    let mut got = Vec::new();
    while got.len() < 2 {
        consumer.pop_batch(&mut got, 2).unwrap();
    }
    format!("+{} | {},{}", other.join().unwrap(), got[0], got[1])
}

fn wait_again<E: Engine>() -> String {
    let ring = ring::<u64, E>(2);
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
    let ring = ring::<u64, E>(2);
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

/// A ring of two places, with its event descriptor. The descriptor is the kernel's and no step of the
/// model: what is done with it happens together with the step before.
fn polled<E: Engine>() -> (Arc<dyn DynRing>, i32) {
    let options = Options {
        strategy: Some(traits::<E>().name.parse().unwrap()),
        capacity: 2,
        elem_size: 8,
        ..Options::default()
    };
    // SAFETY: no hook.
    let ring = unsafe { erased::open(&options, None) }.unwrap();
    let descriptor = ring.clone().event_fd().unwrap();
    (ring, descriptor)
}

/// Pops by polling only: a descriptor that stays quiet for ever ends the model in an error.
fn pop_polled(consumer: &dyn DynConsumer, descriptor: i32) -> Option<u64> {
    let mut value = 0_u64;
    loop {
        // SAFETY: one element.
        match unsafe { consumer.try_pop((&raw mut value).cast()) } {
            Outcome::Ok => return Some(value),
            Outcome::Closed => return None,
            _ => {}
        }
        let mut poll = libc::pollfd {
            fd: descriptor,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one live pollfd, no waiting.
        while unsafe { libc::poll(&raw mut poll, 1, 0) } != 1 {
            thread::yield_now();
        }
    }
}

fn wait_polled<E: Engine>() -> String {
    let (ring, descriptor) = polled::<E>();
    let producer = ring.clone().producer().unwrap();
    let consumer = ring.clone().consumer().unwrap();
    let other = thread::spawn(move || {
        for value in [1_u64, 2] {
            // SAFETY: one element.
            let outcome = unsafe { producer.try_push((&raw const value).cast()) };
            assert_eq!(outcome, Outcome::Ok);
        }
    });
    let mine = [(); 2].map(|()| pop_polled(&*consumer, descriptor).unwrap().to_string());
    other.join().unwrap();
    mine.join(",")
}

fn close_polled<E: Engine>() -> String {
    let (ring, descriptor) = polled::<E>();
    let consumer = ring.clone().consumer().unwrap();
    let other = thread::spawn({
        let ring = ring.clone();
        move || ring.close()
    });
    let mine = pop_polled(&*consumer, descriptor);
    other.join().unwrap();
    mine.map_or("closed".into(), |value| value.to_string())
}

fn close_pop<E: Engine>() -> String {
    let ring = ring::<u64, E>(1);
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
    let ring = ring::<u64, E>(1);
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
    let ring = ring::<u64, E>(2);
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
    let ring = ring::<u64, E>(1);
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
    let ring = ring::<u64, E>(1);
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
    let ring = ring::<u64, E>(2);
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
    let ring = ring::<u64, E>(2);
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
