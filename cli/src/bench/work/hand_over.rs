//! One item at a time from one thread to another: to a consumer that polls, and to one that sleeps.

use std::time::{Duration, Instant};

use turtle_buffers::os::thread::pin_to_core;
use turtle_buffers::strategy::Engine;
use turtle_buffers::{Consumer, Producer, Ring, TryPushError};

use super::{Patience, cores};
use crate::bench::stats::Rng;

/// Pushes into a ring that has room.
fn push_now<S: Engine>(producer: &mut Producer<u64, S>, item: u64) {
    let mut patience = Patience::default();
    while let Err(TryPushError::Full(_) | TryPushError::Busy(_)) = producer.try_push(item) {
        patience.wait();
    }
}

fn poll<S: Engine>(consumer: &mut Consumer<u64, S>) -> u64 {
    let mut patience = Patience::default();
    loop {
        match consumer.try_pop() {
            Ok(item) => return item,
            Err(_) => patience.wait(),
        }
    }
}

/// Two threads and two rings: items go one way, receipts the other. `take` receives an item;
/// `before` runs on the sender's side before each one. The item is the time at which it was sent.
fn hand_over<S: Engine>(
    capacity: usize,
    count: usize,
    mut before: impl FnMut(&Ring<u64, S>) + Send,
    mut take: impl FnMut(&mut Consumer<u64, S>) -> u64 + Send,
) -> Vec<u64> {
    let there = Ring::<u64, S>::new(capacity).expect("an engine that runs here");
    let back = Ring::<u64, S>::new(capacity).expect("an engine that runs here");
    let (ours, theirs) = cores();
    let epoch = Instant::now();
    let nanos = move || epoch.elapsed().as_nanos() as u64;
    std::thread::scope(|scope| {
        let mut items = there.consumer().expect("a new ring has one");
        let mut receipts = back.producer().expect("a new ring has one");
        let receiver = scope.spawn(move || {
            pin_to_core(theirs[0]);
            let mut latencies = Vec::with_capacity(count);
            for _ in 0..count {
                let sent = take(&mut items);
                latencies.push(nanos().saturating_sub(sent));
                push_now(&mut receipts, sent);
            }
            latencies
        });
        let mut items = there.producer().expect("a new ring has one");
        let mut receipts = back.consumer().expect("a new ring has one");
        let sender = scope.spawn(move || {
            pin_to_core(ours[0]);
            for _ in 0..count {
                before(&there);
                let sent = nanos();
                push_now(&mut items, sent);
                assert_eq!(poll(&mut receipts), sent, "an item came back changed");
            }
        });
        sender.join().expect("the sender ends well");
        receiver.join().expect("the receiver ends well")
    })
}

pub(super) fn lone<S: Engine>(capacity: usize, count: usize) -> Vec<u64> {
    let mut rng = Rng::new(count as u64 | 1);
    let gap = move |_: &Ring<u64, S>| {
        let gap = Duration::from_nanos(rng.below(2000));
        let since = Instant::now();
        while since.elapsed() < gap {
            std::hint::spin_loop();
        }
    };
    hand_over::<S>(capacity, count, gap, poll)
}

pub(super) fn wake<S: Engine>(capacity: usize, count: usize) -> Vec<u64> {
    let mut slept = 0;
    let asleep = move |ring: &Ring<u64, S>| {
        // The count rises just before the system call, so give that a moment, too. Every sleeper looks
        // around after 10 ms by itself; the count passes over that.
        let since = Instant::now();
        while ring.stats().waits == slept && since.elapsed() < Duration::from_millis(100) {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(200));
        slept = ring.stats().waits;
    };
    let blocking = |consumer: &mut Consumer<u64, S>| consumer.pop().expect("nobody closes it");
    hand_over::<S>(capacity, count, asleep, blocking)
}
