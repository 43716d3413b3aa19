//! Real threads, many elements, every kind of call mixed: nothing lost, nothing twice, in order,
//! and every answer explained by the history checker.
//!
//! Shows: what luck and length find. Cannot show: rare schedules and weak orderings (the models).
//! The recorder's clock orders everything, so the unrecorded runs matter as much as the recorded.
#![allow(clippy::disallowed_types)] // counters of the tests

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use support::{Random, finishes};
use turtle_buffers::check::{Call, Log, Op, Recorder, Report, Spec, check};
use turtle_buffers::strategy::{Arity, Engine};
use turtle_buffers::{
    Batch, Consumer, PopError, Producer, PushError, Ring, TryPopError, TryPushError,
};

/// Elements of an unrecorded run, and calls of each thread in a recorded one.
const ELEMENTS: u64 = if cfg!(miri) { 60 } else { 200_000 };
const CALLS: u64 = if cfg!(miri) { 40 } else { 4_000 };
const ROUNDS: u64 = if cfg!(miri) { 1 } else { 8 };

/// Thread counts this engine allows.
fn crowds<S: Engine>() -> Vec<(usize, usize)> {
    let traits = Ring::<u64, S>::new(1).unwrap().traits();
    let all = [(1, 1), (2, 2), (4, 4), (1, 4), (4, 1)];
    all.into_iter()
        .filter(|&(p, _)| p == 1 || traits.producers == Arity::Many)
        .filter(|&(_, c)| c == 1 || traits.consumers == Arity::Many)
        .collect()
}

/// Now and then a moment away, so that the others overtake.
fn dawdle(random: &mut Random) {
    match random.below(64) {
        0 => std::thread::yield_now(),
        1..4 => (0..random.below(400)).for_each(|_| std::hint::spin_loop()),
        _ => {}
    }
}

/// An element that shows if it was torn: three copies of producer and number.
type Torn = [u64; 3];

fn torn(producer: usize, number: u64) -> Torn {
    let value = (producer as u64) << 48 | number;
    [value, !value, value.rotate_left(17)]
}

/// Producer and number, if it is whole.
fn whole(element: Torn) -> (usize, u64) {
    let [value, inverse, rotated] = element;
    assert!(
        inverse == !value && rotated == value.rotate_left(17),
        "torn: {element:x?}"
    );
    ((value >> 48) as usize, value & ((1 << 48) - 1))
}

fn push_some<S: Engine>(tx: &mut Producer<Torn, S>, id: usize, share: u64, random: &mut Random) {
    let mut number = 0;
    while number < share {
        dawdle(random);
        match random.below(8) {
            0 | 1 => {
                let many = (1 + random.below(20) as u64).min(share - number);
                let mut batch = Batch::new(
                    (number..number + many)
                        .map(|n| torn(id, n))
                        .collect::<Vec<_>>(),
                );
                if random.one_in(2) {
                    assert_eq!(tx.push_batch(&mut batch).unwrap(), many as usize);
                    number += many;
                } else {
                    number += tx.try_push_batch(&mut batch).unwrap_or(0) as u64;
                }
            }
            2 => drop(tx.try_claim()),
            3 => {
                if let Ok(claim) = tx.try_claim() {
                    dawdle(random);
                    // Engines that decide late may find it full only now.
                    match claim.commit(torn(id, number)) {
                        Ok(()) => number += 1,
                        Err(why) => assert_eq!(why, TryPushError::Full(torn(id, number))),
                    }
                }
            }
            4 => match tx.push_timeout(torn(id, number), Duration::from_micros(50)) {
                Ok(()) => number += 1,
                Err(why) => assert_eq!(why, PushError::Timeout(torn(id, number))),
            },
            5 => {
                tx.push(torn(id, number)).unwrap();
                number += 1;
            }
            _ => match tx.try_push(torn(id, number)) {
                Ok(()) => number += 1,
                Err(TryPushError::Closed(_)) => panic!("nobody closed it"),
                Err(_) => std::thread::yield_now(),
            },
        }
    }
}

fn pop_all<S: Engine>(rx: &mut Consumer<Torn, S>, random: &mut Random) -> Vec<(usize, u64)> {
    let mut got = Vec::new();
    let mut batch = Vec::new();
    loop {
        dawdle(random);
        let outcome = match random.below(6) {
            0 => rx.pop_batch(&mut batch, 1 + random.below(20)).map(drop),
            1 => rx
                .try_pop_batch(&mut batch, 1 + random.below(20))
                .map(drop)
                .map_err(Into::into),
            2 => rx.try_peek().map_err(Into::into).map(|peek| {
                let before = *peek;
                dawdle(random);
                assert_eq!(*peek, before, "nobody writes what was taken");
                batch.push(peek.take());
            }),
            3 => rx.pop().map(|element| batch.push(element)),
            4 => rx
                .pop_timeout(Duration::from_micros(50))
                .map(|element| batch.push(element)),
            _ => rx
                .try_pop()
                .map(|element| batch.push(element))
                .map_err(Into::into),
        };
        got.extend(batch.drain(..).map(whole));
        match outcome {
            Ok(()) | Err(PopError::Timeout) => {}
            Err(PopError::Closed) => return got,
            Err(PopError::Empty | PopError::Busy) => std::thread::yield_now(),
            Err(PopError::Interrupted) => panic!("nobody interrupted"),
        }
    }
}

/// Everything arrives once, and each consumer sees each producer's elements in order.
pub(crate) fn nothing_is_lost_nothing_comes_twice<S: Engine>() {
    for (producers, consumers) in crowds::<S>() {
        for capacity in [1, 3, 64] {
            let share = ELEMENTS / if capacity == 1 { 8 } else { 2 } / producers as u64;
            let ring = support::ring::<Torn, S>(capacity);
            let pushers: Vec<_> = (0..producers)
                .map(|id| {
                    let mut tx = ring.producer().unwrap();
                    let mut random = Random::new(100 + id as u64);
                    std::thread::spawn(move || push_some(&mut tx, id, share, &mut random))
                })
                .collect();
            let poppers: Vec<_> = (0..consumers)
                .map(|id| {
                    let mut rx = ring.consumer().unwrap();
                    let mut random = Random::new(200 + id as u64);
                    std::thread::spawn(move || pop_all(&mut rx, &mut random))
                })
                .collect();
            let what = format!("{producers}x{consumers}, capacity {capacity}");
            let got: Vec<Vec<(usize, u64)>> = finishes(&what, move || {
                pushers.into_iter().for_each(|p| p.join().unwrap());
                ring.close();
                poppers.into_iter().map(|p| p.join().unwrap()).collect()
            });
            let mut seen = vec![vec![false; share as usize]; producers];
            for stream in &got {
                let mut last = vec![None; producers];
                for &(id, number) in stream {
                    assert!(
                        last[id] < Some(number),
                        "{what}: {number} of {id} after {:?}",
                        last[id]
                    );
                    last[id] = Some(number);
                    assert!(
                        !std::mem::replace(&mut seen[id][number as usize], true),
                        "{what}: twice"
                    );
                }
            }
            assert!(seen.iter().flatten().all(|&s| s), "{what}: lost");
        }
    }
}

// ---- with the history checker ---------------------------------------------------------------

struct Recorded<'a> {
    log: Log,
    random: Random,
    /// The next value; values are different from each other.
    next: &'a AtomicU64,
    /// Whether claims are given up. An engine may keep a void slot for each until
    /// it is the oldest (`turn` says so). Then its `Full` is not the queue's, and
    /// a push can be `Busy` because a call that finds nothing else clears a void:
    /// neither is recorded. Everything else is.
    abandons: bool,
}

impl Recorded<'_> {
    fn value(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn refused<T>(&mut self, call: Call, why: &TryPushError<T>) {
        match why {
            TryPushError::Full(_) | TryPushError::Busy(_) if self.abandons => {}
            TryPushError::Full(_) => self.log.ret(call, Op::PushFull),
            TryPushError::Busy(_) => self.log.ret(call, Op::PushBusy),
            TryPushError::Closed(_) => self.log.ret(call, Op::PushClosed),
        }
    }

    fn nothing(why: TryPopError) -> Op {
        match why {
            TryPopError::Empty => Op::PopEmpty,
            TryPopError::Busy => Op::PopBusy,
            TryPopError::Closed => Op::PopClosed,
        }
    }

    fn push<S: Engine>(&mut self, tx: &mut Producer<u64, S>, blocking: bool) {
        let value = self.value();
        match self.random.below(if blocking { 5 } else { 4 }) {
            0 => {
                let mut values: Vec<u64> = vec![value];
                values.extend((1..1 + self.random.below(4)).map(|_| self.value()));
                let mut batch = Batch::new(values.clone());
                let call = self.log.call();
                match tx.try_push_batch(&mut batch) {
                    Ok(n) => self
                        .log
                        .ret_batch(call, values[..n].iter().map(|&v| Op::Push(v))),
                    Err(why) => self.refused(call, &why),
                }
            }
            // Abandoned: in flight from its call on, whatever other calls come between.
            1 if self.abandons && self.random.one_in(2) => {
                let call = self.log.call();
                match tx.try_claim() {
                    Ok(claim) => {
                        dawdle(&mut self.random);
                        drop(claim);
                        self.log.ret(call, Op::PushAbandoned);
                    }
                    Err(why) => self.refused(call, &why),
                }
            }
            1 => {
                let call = self.log.call();
                match tx.try_claim() {
                    Ok(claim) => {
                        dawdle(&mut self.random);
                        match claim.commit(value) {
                            Ok(()) => self.log.ret(call, Op::Push(value)),
                            Err(why) => self.refused(call, &why),
                        }
                    }
                    Err(why) => self.refused(call, &why),
                }
            }
            4 => {
                let call = self.log.call();
                match tx.push(value) {
                    Ok(()) => self.log.ret(call, Op::Push(value)),
                    Err(why) => {
                        assert_eq!(why, PushError::Closed(value));
                        self.log.ret(call, Op::PushClosed);
                    }
                }
            }
            _ => {
                let call = self.log.call();
                match tx.try_push(value) {
                    Ok(()) => self.log.ret(call, Op::Push(value)),
                    Err(why) => self.refused(call, &why),
                }
            }
        }
    }

    /// `false` once it heard `Closed`.
    fn pop<S: Engine>(&mut self, rx: &mut Consumer<u64, S>, blocking: bool) -> bool {
        let mut out = Vec::new();
        let call;
        let outcome = match self.random.below(if blocking { 6 } else { 5 }) {
            0 => {
                call = self.log.call();
                rx.try_pop_batch(&mut out, 1 + self.random.below(4))
                    .map(drop)
            }
            1 => {
                call = self.log.call();
                rx.try_peek().map(|peek| {
                    dawdle(&mut self.random);
                    out.push(peek.take());
                })
            }
            5 => {
                call = self.log.call();
                match rx.pop() {
                    Ok(value) => {
                        out.push(value);
                        Ok(())
                    }
                    Err(why) => {
                        assert_eq!(why, PopError::Closed);
                        Err(TryPopError::Closed)
                    }
                }
            }
            _ => {
                call = self.log.call();
                rx.try_pop().map(|value| out.push(value))
            }
        };
        match outcome {
            Ok(()) => self.log.ret_batch(call, out.iter().map(|&v| Op::Pop(v))),
            Err(why) => self.log.ret(call, Self::nothing(why)),
        }
        outcome != Err(TryPopError::Closed)
    }
}

/// One recorded run; `closes` says after how many pushes of the first producer.
fn recorded<S: Engine>(
    producers: usize,
    consumers: usize,
    capacity: usize,
    seed: u64,
    closes: Option<u64>,
    blocking: bool,
    abandons: bool,
) -> Report {
    let recorder = Recorder::new();
    let ring = support::ring::<u64, S>(capacity);
    let next = AtomicU64::new(0);
    let pushing = AtomicU64::new(producers as u64);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for id in 0..producers {
            let mut tx = ring.producer().unwrap();
            let mut thread = Recorded {
                log: recorder.log(),
                random: Random::new(seed * 100 + id as u64),
                next: &next,
                abandons,
            };
            let (ring, pushing, done) = (&ring, &pushing, &done);
            scope.spawn(move || {
                for call in 0..CALLS / producers as u64 {
                    dawdle(&mut thread.random);
                    if id == 0 && closes == Some(call) {
                        let call = thread.log.call();
                        ring.close();
                        thread.log.ret(call, Op::Close);
                    }
                    thread.push(&mut tx, blocking);
                }
                if pushing.fetch_sub(1, Ordering::SeqCst) == 1 {
                    // The last one: consumers that block hear it this way.
                    let call = thread.log.call();
                    ring.close();
                    thread.log.ret(call, Op::Close);
                    done.store(true, Ordering::SeqCst);
                }
            });
        }
        for id in 0..consumers {
            let mut rx = ring.consumer().unwrap();
            let mut thread = Recorded {
                log: recorder.log(),
                random: Random::new(seed * 100 + 50 + id as u64),
                next: &next,
                abandons,
            };
            scope.spawn(move || {
                while thread.pop(&mut rx, blocking) {
                    dawdle(&mut thread.random);
                }
            });
        }
    });
    assert!(done.load(Ordering::SeqCst));
    let history = recorder.finish();
    match check(&history, &Spec::bounded(capacity).drained()) {
        Ok(report) => report,
        Err(violation) => panic!(
            "{producers}x{consumers}, capacity {capacity}, seed {seed}, closes {closes:?}: {violation}"
        ),
    }
}

pub(crate) fn every_answer_is_explained<S: Engine>() {
    let mut total = [0; 5];
    for (producers, consumers) in crowds::<S>() {
        for capacity in [1, 2, 5, 32] {
            for seed in 0..ROUNDS {
                // Some rounds wait where they may; the others only try.
                let blocking = seed % 4 == 3;
                let report = recorded::<S>(
                    producers,
                    consumers,
                    capacity,
                    seed,
                    None,
                    blocking,
                    seed % 2 == 1,
                );
                assert!(report.fullest <= capacity);
                for (sum, n) in total.iter_mut().zip([
                    report.pushed,
                    report.full,
                    report.empty,
                    report.busy,
                    usize::from(report.overlap > 1),
                ]) {
                    *sum += n;
                }
            }
        }
    }
    println!(
        "pushed {}, full {}, empty {}, busy {}, concurrent runs {}",
        total[0], total[1], total[2], total[3], total[4]
    );
    assert!(total[4] > 0, "the threads never overlapped");
    assert!(total[1] > 0 && total[2] > 0, "both ends were reached");
}

pub(crate) fn closing_in_the_middle_is_exact<S: Engine>() {
    for (producers, consumers) in crowds::<S>() {
        for capacity in [1, 4, 16] {
            for seed in 0..3 * ROUNDS {
                let closes = Some(CALLS / producers as u64 / 8 * (1 + seed % 6));
                let blocking = seed % 2 == 0;
                let report = recorded::<S>(
                    producers,
                    consumers,
                    capacity,
                    1000 + seed,
                    closes,
                    blocking,
                    seed % 3 == 0,
                );
                assert!(report.closed > consumers, "pushes were refused, too");
            }
        }
    }
}

/// Handles come and go while others work.
pub(crate) fn handles_may_change_hands<S: Engine>() {
    let ring = support::ring::<u64, S>(4);
    let share = ELEMENTS / 20;
    let pusher = {
        let ring = ring.clone();
        std::thread::spawn(move || {
            for value in 0..share {
                ring.producer().unwrap().push(value).unwrap();
            }
            ring.close();
        })
    };
    let got = finishes("changing hands", move || {
        let mut got = Vec::new();
        while let Ok(value) = ring.consumer().unwrap().pop() {
            got.push(value);
        }
        got
    });
    pusher.join().unwrap();
    assert_eq!(got, Vec::from_iter(0..share));
}

macro_rules! suite {
    ($(($variant:ident, $module:ident, $engine:ident),)+) => {$(
        mod $module {
            use turtle_buffers::strategy::$engine as Under;
            #[test] fn nothing_is_lost_nothing_comes_twice() { crate::nothing_is_lost_nothing_comes_twice::<Under>(); }
            #[test] fn every_answer_is_explained() { crate::every_answer_is_explained::<Under>(); }
            #[test] fn closing_in_the_middle_is_exact() { crate::closing_in_the_middle_is_exact::<Under>(); }
            #[test] fn handles_may_change_hands() { crate::handles_may_change_hands::<Under>(); }
        }
    )+};
}
turtle_buffers::for_each_strategy!(suite);

/// Who is helped: each call lets others help, or tries once alone.
macro_rules! helped {
    ($($module:ident: $patience:expr,)+) => {$(
        mod $module {
            use turtle_buffers::strategy::WaitFree as Under;
            fn set() { crate::support::set_patience(Some($patience)); }
            #[test] fn nothing_is_lost_nothing_comes_twice() { set(); crate::nothing_is_lost_nothing_comes_twice::<Under>(); }
            #[test] fn every_answer_is_explained() { set(); crate::every_answer_is_explained::<Under>(); }
            #[test] fn closing_in_the_middle_is_exact() { set(); crate::closing_in_the_middle_is_exact::<Under>(); }
            #[test] fn handles_may_change_hands() { set(); crate::handles_may_change_hands::<Under>(); }
        }
    )+};
}
helped! { wait_free_announced: 0, wait_free_impatient: 1, }
