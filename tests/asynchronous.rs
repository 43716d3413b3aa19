//! Futures: `push_async`, `pop_async`, `stream`. A future here is polled only when it was woken,
//! so a wake-up that is lost hangs the test, and the executor says so.
#![allow(clippy::disallowed_types)] // counters of the tests

mod support;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_core::Stream;
use support::executor::{Wakes, block_on, poll_once};
use support::{Random, wait_until};
use turtle_buffers::strategy::{Arity, Engine};
use turtle_buffers::{Consumer, PopError, Producer, PushError, Ring};

const ELEMENTS: u64 = if cfg!(miri) { 50 } else { 20_000 };

fn one_of_each<T: Send, S: Engine>(
    capacity: usize,
) -> (Ring<T, S>, Producer<T, S>, Consumer<T, S>) {
    let ring = Ring::new(capacity).unwrap();
    let sides = (ring.producer().unwrap(), ring.consumer().unwrap());
    (ring, sides.0, sides.1)
}

fn many<S: Engine>() -> (usize, usize) {
    let traits = Ring::<u64, S>::new(1).unwrap().traits();
    let count = |arity| if arity == Arity::Many { 3 } else { 1 };
    (count(traits.producers), count(traits.consumers))
}

pub(crate) fn what_is_there_needs_no_waiting<S: Engine>() {
    let (ring, mut tx, mut rx) = one_of_each::<String, S>(2);
    let wakes = Arc::new(Wakes::default());
    assert_eq!(
        poll_once(&mut tx.push_async("a".into()), &wakes),
        Poll::Ready(Ok(()))
    );
    assert_eq!(
        poll_once(&mut tx.push_async("b".into()), &wakes),
        Poll::Ready(Ok(()))
    );
    assert!(poll_once(&mut tx.push_async("c".into()), &wakes).is_pending());
    assert_eq!(
        poll_once(&mut rx.pop_async(), &wakes),
        Poll::Ready(Ok("a".to_string()))
    );
    assert_eq!(ring.len(), 1);
    ring.close();
    let refused = poll_once(&mut tx.push_async("d".into()), &wakes);
    assert_eq!(refused, Poll::Ready(Err(PushError::Closed("d".into()))));
    assert_eq!(
        poll_once(&mut rx.pop_async(), &wakes),
        Poll::Ready(Ok("b".to_string()))
    );
    assert_eq!(
        poll_once(&mut rx.pop_async(), &wakes),
        Poll::Ready(Err(PopError::Closed))
    );
}

pub(crate) fn a_waiting_future_is_woken_by_the_other_side<S: Engine>() {
    let (ring, mut tx, mut rx) = one_of_each::<u32, S>(1);
    let wakes = Arc::new(Wakes::default());
    let mut pop = rx.pop_async();
    assert!(poll_once(&mut pop, &wakes).is_pending());
    assert!(
        poll_once(&mut pop, &wakes).is_pending(),
        "a second poll changes nothing"
    );
    assert_eq!(wakes.count(), 0);
    tx.try_push(1).unwrap();
    assert!(wakes.count() > 0);
    assert_eq!(poll_once(&mut pop, &wakes), Poll::Ready(Ok(1)));

    tx.try_push(2).unwrap();
    let wakes = Arc::new(Wakes::default());
    let mut push = tx.push_async(3);
    assert!(poll_once(&mut push, &wakes).is_pending());
    assert_eq!(rx.try_pop(), Ok(2));
    assert!(wakes.count() > 0);
    assert_eq!(poll_once(&mut push, &wakes), Poll::Ready(Ok(())));
    assert_eq!(rx.try_pop(), Ok(3));

    let wakes = Arc::new(Wakes::default());
    let mut pop = rx.pop_async();
    assert!(poll_once(&mut pop, &wakes).is_pending());
    ring.close();
    assert!(wakes.count() > 0, "closing wakes");
    assert_eq!(
        poll_once(&mut pop, &wakes),
        Poll::Ready(Err(PopError::Closed))
    );
}

/// Two elements for two waiters: the second is not swallowed because the first
/// one has been woken and has not looked yet.
pub(crate) fn each_element_wakes_a_waiter_of_its_own<S: Engine>() {
    if many::<S>().1 == 1 {
        return; // one consumer cannot wait twice
    }
    let ring = Ring::<u32, S>::new(4).unwrap();
    let mut tx = ring.producer().unwrap();
    let mut consumers: Vec<_> = (0..3).map(|_| ring.consumer().unwrap()).collect();
    let wakes: Vec<_> = consumers
        .iter()
        .map(|_| Arc::new(Wakes::default()))
        .collect();
    let mut waiting: Vec<_> = consumers.iter_mut().map(Consumer::pop_async).collect();
    for (future, wakes) in waiting.iter_mut().zip(&wakes) {
        assert!(poll_once(future, wakes).is_pending());
    }
    for i in 0..3 {
        tx.try_push(i).unwrap();
    }
    assert!(wakes.iter().all(|w| w.count() > 0), "{wakes:?}");
    let mut got = Vec::new();
    for (future, wakes) in waiting.iter_mut().zip(&wakes) {
        let Poll::Ready(Ok(value)) = poll_once(future, wakes) else {
            panic!("pending")
        };
        got.push(value);
    }
    got.sort_unstable();
    assert_eq!(got, [0, 1, 2]);
}

/// A wake-up that a cancelled future had got goes to the next one.
pub(crate) fn a_cancelled_waiter_passes_its_wake_up_on<S: Engine>() {
    if many::<S>().1 == 1 {
        return;
    }
    let ring = Ring::<u32, S>::new(4).unwrap();
    let mut tx = ring.producer().unwrap();
    let (mut a, mut b) = (ring.consumer().unwrap(), ring.consumer().unwrap());
    let (wakes_a, wakes_b) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    let (mut first, mut second) = (a.pop_async(), b.pop_async());
    assert!(poll_once(&mut first, &wakes_a).is_pending());
    assert!(poll_once(&mut second, &wakes_b).is_pending());
    tx.try_push(7).unwrap();
    if wakes_a.count() > 0 {
        drop(first);
        assert!(wakes_b.count() > 0);
        assert_eq!(poll_once(&mut second, &wakes_b), Poll::Ready(Ok(7)));
    } else {
        drop(second);
        assert!(wakes_a.count() > 0);
        assert_eq!(poll_once(&mut first, &wakes_a), Poll::Ready(Ok(7)));
    }
}

/// Futures that are polled when they were woken, as an executor would.
struct Waiting<F> {
    future: F,
    wakes: Arc<Wakes>,
    seen: usize,
}

impl<F: Future + Unpin> Waiting<F> {
    /// One that has to wait; `None` if it was ready at once.
    fn new(mut future: F) -> Option<Self> {
        let wakes = Arc::new(Wakes::default());
        poll_once(&mut future, &wakes).is_pending().then_some(Self {
            future,
            wakes,
            seen: 0,
        })
    }

    fn is_woken(&self) -> bool {
        self.wakes.count() > self.seen
    }

    /// Polls those that were woken until nobody is; answers what came out.
    fn run(waiting: &mut Vec<Self>) -> Vec<F::Output> {
        let mut ready = Vec::new();
        while let Some(at) = waiting.iter().position(Self::is_woken) {
            let one = &mut waiting[at];
            one.seen = one.wakes.count();
            if let Poll::Ready(output) = poll_once(&mut one.future, &one.wakes) {
                ready.push(output);
                waiting.remove(at);
            }
        }
        ready
    }
}

/// A waiter that was woken for an element behind a push that is halfway can do nothing with it. When that
/// push is done it may wake another: what is left then belongs to the first.
pub(crate) fn a_wake_up_that_came_too_early_is_passed_on<S: Engine>() {
    if many::<S>() == (1, 1) {
        return; // one consumer has nobody to pass it on to
    }
    let ring = Ring::<u32, S>::new(4).unwrap();
    let (mut a, mut b) = (ring.producer().unwrap(), ring.producer().unwrap());
    let mut consumers: Vec<_> = (0..3).map(|_| ring.consumer().unwrap()).collect();
    let halfway = a.try_claim().unwrap();
    let mut waiting: Vec<_> = consumers
        .iter_mut()
        .filter_map(|rx| Waiting::new(rx.pop_async()))
        .collect();
    assert_eq!(waiting.len(), 3);
    b.try_push(2).unwrap();
    b.try_push(3).unwrap();
    let early = Waiting::run(&mut waiting);
    halfway.commit(1).unwrap();
    let mut got: Vec<_> = early
        .into_iter()
        .chain(Waiting::run(&mut waiting))
        .collect();
    got.sort_by_key(|value| value.unwrap());
    assert_eq!(
        (got, ring.len()),
        (vec![Ok(1), Ok(2), Ok(3)], 0),
        "somebody waits beside an element"
    );
}

/// Void slots come free together, with one pop that wakes one producer: it passes that on.
pub(crate) fn room_that_comes_at_once_wakes_all_whom_it_holds<S: Engine>() {
    if many::<S>().0 == 1 {
        return;
    }
    let ring = Ring::<u32, S>::new(4).unwrap();
    let mut rx = ring.consumer().unwrap();
    let mut producers: Vec<_> = (0..4).map(|_| ring.producer().unwrap()).collect();
    // An element, two claims that will be void, an element.
    producers[0].try_push(0).unwrap();
    let mut handles = producers.iter_mut();
    let claims: Vec<_> = handles
        .by_ref()
        .take(2)
        .map(|tx| tx.try_claim().unwrap())
        .collect();
    handles.next().unwrap().try_push(9).unwrap();
    drop(claims);
    let mut waiting: Vec<_> = producers
        .iter_mut()
        .zip(1..)
        .filter_map(|(tx, value)| Waiting::new(tx.push_async(value)))
        .collect();
    let mut done = 4 - waiting.len();
    for expected in [0, 9] {
        assert_eq!(rx.try_pop(), Ok(expected));
        done += Waiting::run(&mut waiting).len();
    }
    assert!(
        waiting.is_empty() || ring.is_full(),
        "{} wait beside room for {}",
        waiting.len(),
        ring.capacity() - ring.len()
    );
    assert_eq!(done, 4, "a ring of four has room for four");
}

/// A claim that ends while others wait: those that it held up are woken.
pub(crate) fn the_end_of_a_claim_wakes_whom_it_held_up<S: Engine>() {
    if many::<S>().0 == 1 {
        return;
    }
    for commit in [true, false] {
        // Producers that find no room but the claimed slot.
        let ring = Ring::<u32, S>::new(1).unwrap();
        let (mut a, mut b) = (ring.producer().unwrap(), ring.producer().unwrap());
        let mut rx = ring.consumer().unwrap();
        let claim = a.try_claim().unwrap();
        let wakes = Arc::new(Wakes::default());
        let mut push = b.push_async(2);
        if poll_once(&mut push, &wakes).is_pending() {
            if commit {
                claim.commit(1).unwrap();
                assert_eq!(rx.try_pop(), Ok(1));
            } else {
                drop(claim);
            }
            assert!(wakes.count() > 0, "commit {commit}");
            assert_eq!(poll_once(&mut push, &wakes), Poll::Ready(Ok(())));
            assert_eq!(rx.try_pop(), Ok(2));
        } // else the engine's claims hold nobody up

        // Consumers of a closed ring, all of whom have something to hear.
        let ring = Ring::<u32, S>::new(4).unwrap();
        let mut a = ring.producer().unwrap();
        let mut consumers: Vec<_> = (0..many::<S>().1)
            .map(|_| ring.consumer().unwrap())
            .collect();
        let claim = a.try_claim().unwrap();
        ring.close();
        let wakes: Vec<_> = consumers
            .iter()
            .map(|_| Arc::new(Wakes::default()))
            .collect();
        let mut waiting: Vec<_> = consumers.iter_mut().map(Consumer::pop_async).collect();
        let held_up = waiting
            .iter_mut()
            .zip(&wakes)
            .filter_map(|(future, wakes)| poll_once(future, wakes).is_pending().then_some(()))
            .count();
        let committed = if commit {
            claim.commit(1).is_ok()
        } else {
            drop(claim);
            false
        };
        if held_up == waiting.len() {
            assert!(
                wakes.iter().all(|w| w.count() > 0),
                "commit {commit}: {wakes:?}"
            );
            let answers: Vec<_> = waiting
                .iter_mut()
                .zip(&wakes)
                .map(|(f, w)| poll_once(f, w))
                .collect();
            let got = answers.iter().filter(|a| **a == Poll::Ready(Ok(1))).count();
            let closed = answers
                .iter()
                .filter(|a| **a == Poll::Ready(Err(PopError::Closed)))
                .count();
            assert_eq!(
                (got, got + closed),
                (usize::from(committed), answers.len()),
                "{answers:?}"
            );
        }
    }
}

pub(crate) fn futures_cross_threads<S: Engine>() {
    let (producers, consumers) = many::<S>();
    for capacity in [1, 4] {
        let share = ELEMENTS / producers as u64 / if capacity == 1 { 4 } else { 1 };
        let ring = Ring::<u64, S>::new(capacity).unwrap();
        let pushing = AtomicUsize::new(producers);
        let sums: Vec<u64> = std::thread::scope(|scope| {
            for id in 0..producers as u64 {
                let mut tx = ring.producer().unwrap();
                let (ring, pushing) = (&ring, &pushing);
                scope.spawn(move || {
                    block_on(async {
                        for i in 0..share {
                            tx.push_async(id * share + i).await.unwrap();
                        }
                    });
                    if pushing.fetch_sub(1, Ordering::SeqCst) == 1 {
                        ring.close();
                    }
                });
            }
            let poppers: Vec<_> = (0..consumers)
                .map(|_| {
                    let mut rx = ring.consumer().unwrap();
                    scope.spawn(move || {
                        block_on(async {
                            let mut sum = 0;
                            loop {
                                match rx.pop_async().await {
                                    Ok(value) => sum += value,
                                    Err(why) => {
                                        assert_eq!(why, PopError::Closed);
                                        return sum;
                                    }
                                }
                            }
                        })
                    })
                })
                .collect();
            poppers.into_iter().map(|p| p.join().unwrap()).collect()
        });
        let n = share * producers as u64;
        assert_eq!(sums.iter().sum::<u64>(), n * (n - 1) / 2);
    }
}

/// A thread that blocks on one side, a future on the other.
pub(crate) fn futures_and_threads_wake_each_other<S: Engine>() {
    let (ring, mut tx, mut rx) = one_of_each::<u64, S>(2);
    let blocking = std::thread::spawn(move || {
        for i in 0..ELEMENTS {
            tx.push(i).unwrap();
        }
    });
    block_on(async {
        for i in 0..ELEMENTS {
            assert_eq!(rx.pop_async().await, Ok(i));
        }
    });
    blocking.join().unwrap();
    let mut tx = ring.producer().unwrap();
    let blocking = std::thread::spawn(move || rx.iter().sum::<u64>());
    block_on(async {
        for i in 0..ELEMENTS {
            tx.push_async(i).await.unwrap();
        }
    });
    ring.close();
    assert_eq!(blocking.join().unwrap(), ELEMENTS * (ELEMENTS - 1) / 2);
}

pub(crate) fn a_stream_ends_with_the_ring<S: Engine>() {
    let (ring, mut tx, mut rx) = one_of_each::<u64, S>(4);
    let popper = std::thread::spawn(move || {
        block_on(async {
            let mut stream = rx.stream();
            let mut got = Vec::new();
            while let Some(value) = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
                got.push(value);
            }
            let again = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await;
            assert_eq!(again, None, "it stays at its end");
            got
        })
    });
    for i in 0..1000 {
        tx.push(i).unwrap();
    }
    ring.close();
    assert_eq!(popper.join().unwrap(), Vec::from_iter(0..1000));
}

/// Futures dropped at random points have taken nothing and lost nothing. One
/// thread, so that the model knows what is inside.
pub(crate) fn cancelling_loses_nothing<S: Engine>() {
    for seed in 0..if cfg!(miri) { 2 } else { 200 } {
        let mut random = Random::new(seed);
        let capacity = 1 + random.below(4);
        let (_ring, mut tx, mut rx) = one_of_each::<u64, S>(capacity);
        let mut model = VecDeque::new();
        let mut next = 0;
        let wakes = Arc::new(Wakes::default());
        for _ in 0..60 {
            match random.below(4) {
                0 => {
                    let mut push = tx.push_async(next);
                    for _ in 0..random.below(3) {
                        match poll_once(&mut push, &wakes) {
                            Poll::Ready(outcome) => {
                                outcome.unwrap();
                                model.push_back(next);
                                break;
                            }
                            Poll::Pending => assert_eq!(model.len(), capacity),
                        }
                    }
                    next += 1; // a cancelled value is gone with its future
                }
                1 => {
                    let mut pop = rx.pop_async();
                    for _ in 0..random.below(3) {
                        match poll_once(&mut pop, &wakes) {
                            Poll::Ready(value) => {
                                assert_eq!(value.ok(), model.pop_front());
                                break;
                            }
                            Poll::Pending => assert!(model.is_empty()),
                        }
                    }
                }
                // A future that waits while the other side moves, dropped before it looks.
                2 => {
                    let mut pop = rx.pop_async();
                    let waits = poll_once(&mut pop, &wakes);
                    assert_eq!(waits.is_pending(), model.is_empty());
                    if let Poll::Ready(value) = waits {
                        assert_eq!(value.ok(), model.pop_front());
                    } else {
                        tx.try_push(next).unwrap();
                        model.push_back(next);
                        next += 1;
                    }
                }
                _ => {
                    let mut push = tx.push_async(next);
                    match poll_once(&mut push, &wakes) {
                        Poll::Ready(outcome) => {
                            outcome.unwrap();
                            model.push_back(next);
                        }
                        Poll::Pending => assert_eq!(rx.try_pop().ok(), model.pop_front()),
                    }
                    next += 1;
                }
            }
        }
        let mut rest = Vec::new();
        while let Ok(value) = rx.try_pop() {
            rest.push(value);
        }
        assert_eq!(rest, Vec::from(model));
    }
}

/// The same between threads: half of all waits are cancelled, everything arrives.
pub(crate) fn cancelling_between_threads_loses_nothing<S: Engine>() {
    let (producers, consumers) = many::<S>();
    let ring = Ring::<u64, S>::new(2).unwrap();
    let share = ELEMENTS / 10;
    let pushing = AtomicUsize::new(producers);
    let mut got: Vec<u64> = std::thread::scope(|scope| {
        for id in 0..producers as u64 {
            let mut tx = ring.producer().unwrap();
            let (ring, pushing) = (&ring, &pushing);
            scope.spawn(move || {
                let mut random = Random::new(id);
                for i in 0..share {
                    // A cancelled push drops its value: the number is tried again.
                    loop {
                        let polls = if random.one_in(2) {
                            1 + random.below(2)
                        } else {
                            usize::MAX
                        };
                        match block_on(limited(tx.push_async(id * share + i), polls)) {
                            Some(outcome) => break outcome.unwrap(),
                            None => std::thread::yield_now(),
                        }
                    }
                }
                if pushing.fetch_sub(1, Ordering::SeqCst) == 1 {
                    ring.close();
                }
            });
        }
        let poppers: Vec<_> = (0..consumers as u64)
            .map(|id| {
                let mut rx = ring.consumer().unwrap();
                scope.spawn(move || {
                    let mut random = Random::new(100 + id);
                    let mut got = Vec::new();
                    loop {
                        let polls = if random.one_in(2) {
                            1 + random.below(2)
                        } else {
                            usize::MAX
                        };
                        match block_on(limited(rx.pop_async(), polls)) {
                            Some(Ok(value)) => got.push(value),
                            Some(Err(why)) => {
                                assert_eq!(why, PopError::Closed);
                                return got;
                            }
                            None => std::thread::yield_now(),
                        }
                    }
                })
            })
            .collect();
        poppers
            .into_iter()
            .flat_map(|p| p.join().unwrap())
            .collect()
    });
    got.sort_unstable();
    assert_eq!(got, Vec::from_iter(0..share * producers as u64));
}

/// Polls at most `polls` times, then gives up and drops the future.
async fn limited<F: Future + Unpin>(mut future: F, mut polls: usize) -> Option<F::Output> {
    poll_fn(
        move |context: &mut Context<'_>| match Pin::new(&mut future).poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => {
                polls -= 1;
                if polls == 0 {
                    Poll::Ready(None)
                } else {
                    Poll::Pending
                }
            }
        },
    )
    .await
}

pub(crate) fn a_waiting_future_may_move_to_another_thread<S: Engine>() {
    let (ring, mut tx, mut rx) = one_of_each::<u32, S>(1);
    let wakes = Arc::new(Wakes::default());
    std::thread::scope(|scope| {
        let mut pop = rx.pop_async();
        assert!(poll_once(&mut pop, &wakes).is_pending());
        // Polled again with another waker: that one counts now.
        let popper = scope.spawn(move || block_on(pop));
        wait_until("the future waits elsewhere", || {
            // One push is enough, whenever it comes.
            tx.try_push(5).is_ok()
        });
        assert_eq!(popper.join().unwrap(), Ok(5));
    });
    assert!(ring.is_empty());
}

macro_rules! suite {
    ($(($variant:ident, $module:ident, $engine:ident),)+) => {$(
        mod $module {
            use turtle_buffers::strategy::$engine as Under;
            bodies! {
                what_is_there_needs_no_waiting,
                a_waiting_future_is_woken_by_the_other_side,
                each_element_wakes_a_waiter_of_its_own,
                a_cancelled_waiter_passes_its_wake_up_on,
                a_wake_up_that_came_too_early_is_passed_on,
                room_that_comes_at_once_wakes_all_whom_it_holds,
                the_end_of_a_claim_wakes_whom_it_held_up,
                futures_cross_threads,
                futures_and_threads_wake_each_other,
                a_stream_ends_with_the_ring,
                cancelling_loses_nothing,
                cancelling_between_threads_loses_nothing,
                a_waiting_future_may_move_to_another_thread,
            }
        }
    )+};
}
macro_rules! bodies {
    ($($body:ident,)+) => {$(
        #[test] fn $body() { crate::$body::<Under>(); }
    )+};
}
turtle_buffers::for_each_strategy!(suite);

#[cfg(target_os = "linux")]
mod between_processes {
    use super::*;
    use support::peer::{Name, Peer, case, listen, say};
    use turtle_buffers::{OpenMode, Options, RingBuffer, Strategy};

    fn open(name: &str, strategy: Strategy, open: OpenMode) -> RingBuffer<u64> {
        let options = Options {
            strategy: Some(strategy),
            capacity: 4,
            path: Some(name.into()),
            open,
            ..Options::default()
        };
        Ring::open(&options).unwrap()
    }

    /// What peers do; in the test program itself it is nothing.
    #[test]
    fn child_entry() {
        let Some((case, argument)) = case() else {
            return;
        };
        let (strategy, name) = argument.split_once(' ').unwrap();
        let ring = open(name, strategy.parse().unwrap(), OpenMode::Attach);
        match case.as_str() {
            "push" => {
                let mut tx = ring.producer().unwrap();
                say("ready");
                while let Ok(number) = listen().parse() {
                    block_on(tx.push_async(number)).unwrap();
                    say("pushed");
                }
                ring.close();
            }
            "pop" => {
                let mut rx = ring.consumer().unwrap();
                say("ready");
                block_on(async {
                    while let Ok(value) = rx.pop_async().await {
                        say(&value.to_string());
                    }
                });
                say("closed");
            }
            other => panic!("no case {other}"),
        }
    }

    #[test]
    fn futures_are_woken_by_another_process() {
        for &strategy in Strategy::ALL.iter().filter(|s| s.traits().shared) {
            let name = Name::new(&format!("async-{strategy}"));
            let ring = open(&name.0, strategy, OpenMode::CreateNew);
            let argument = format!("{strategy} {}", name.0);
            let mut pusher = Peer::start("push", &argument);
            let mut rx = ring.consumer().unwrap();
            pusher.expect("ready");
            for number in 0..20_u64 {
                let wakes = Arc::new(Wakes::default());
                let mut pop = rx.pop_async();
                assert!(poll_once(&mut pop, &wakes).is_pending());
                pusher.tell(&number.to_string());
                wait_until("the watcher wakes the future", || wakes.count() > 0);
                assert_eq!(block_on(pop), Ok(number));
                pusher.expect("pushed");
            }
            pusher.tell("enough");
            assert_eq!(block_on(rx.pop_async()), Err(PopError::Closed));
            pusher.finish();
        }
    }

    #[test]
    fn a_future_in_another_process_is_woken() {
        for &strategy in Strategy::ALL.iter().filter(|s| s.traits().shared) {
            let name = Name::new(&format!("async-pop-{strategy}"));
            let ring = open(&name.0, strategy, OpenMode::CreateNew);
            let mut popper = Peer::start("pop", &format!("{strategy} {}", name.0));
            popper.expect("ready");
            let mut tx = ring.producer().unwrap();
            for number in 0..20_u64 {
                tx.push(number).unwrap();
                popper.expect(&number.to_string());
            }
            ring.close();
            popper.expect("closed");
            popper.finish();
        }
    }
}
