//! One run of each kind: throughput, a pair on one thread, a lone item handed over.
//!
//! Every run builds a fresh queue, pins its threads, starts them together and checks the result.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use crate::machine::{cores, ns_per_tick, pin, ticks, ticks_after_loads};
use crate::queue::{Arena, MAX_BATCH, Pop, Push, Queue, Sink, Source, Tally, Typed, Wait};
use crate::stats::{Rng, quantile};

/// Shape of a throughput run.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Producing threads.
    pub producers: usize,
    /// Consuming threads.
    pub consumers: usize,
    /// Slots asked for.
    pub capacity: usize,
    /// Items a call moves; 1 for the single calls.
    pub batch: usize,
}

/// A place on its own pair of cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Alone<T>(T);

/// Starts threads at the same moment.
#[derive(Debug)]
struct Gate {
    missing: Alone<AtomicUsize>,
}

impl Gate {
    fn new(threads: usize) -> Self {
        Self {
            missing: Alone(AtomicUsize::new(threads)),
        }
    }

    fn pass(&self) {
        self.missing.0.fetch_sub(1, Ordering::AcqRel);
        let mut wait = Wait::new();
        while self.missing.0.load(Ordering::Acquire) != 0 {
            wait.pause();
        }
    }
}

/// Core of producer `i` and of consumer `i`: neighbours start on different cores.
pub fn placement(cores: &[usize], i: usize) -> (usize, usize) {
    (cores[i % cores.len()], cores[(i + 1) % cores.len()])
}

/// What the consumers of a run must have seen together.
fn expected(producers: usize, each: u64) -> Tally {
    let sequences = (each as u128 * (each as u128 - 1) / 2) as u64;
    let sum = (0..producers as u64)
        .map(|producer| (producer << 32).wrapping_mul(each).wrapping_add(sequences))
        .fold(0, u64::wrapping_add);
    Tally {
        count: producers as u64 * each,
        sum,
        disorder: 0,
    }
}

/// Moves about `items` items through a fresh queue; seconds from the first start to the last end,
/// and the number of items really moved.
///
/// # Panics
/// If an item was lost, came twice, out of order or in pieces.
pub fn throughput<A: Arena>(shape: Shape, items: u64) -> (f64, u64) {
    let Shape {
        producers,
        consumers,
        capacity,
        batch,
    } = shape;
    let each_consumer = items.div_ceil((producers * consumers) as u64) * producers as u64;
    let each_producer = each_consumer * consumers as u64 / producers as u64;
    assert!(each_producer < 1 << 32, "sequence numbers have 32 bits");

    let arena = A::with_capacity(capacity);
    let cores = cores();
    let gate = Gate::new(producers + consumers);
    let stamps = Mutex::new(Vec::new());
    let seen = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        let (gate, stamps, seen) = (&gate, &stamps, &seen);
        for i in 0..producers {
            let core = placement(&cores, i).0;
            let mut source = arena.source();
            scope.spawn(move || {
                pin(core);
                gate.pass();
                let start = Instant::now();
                source.run(i as u64, each_producer, batch);
                stamps
                    .lock()
                    .expect("no worker panics")
                    .push((start, Instant::now()));
            });
        }
        for i in 0..consumers {
            let core = placement(&cores, i).1;
            let mut sink = arena.sink();
            scope.spawn(move || {
                pin(core);
                gate.pass();
                let start = Instant::now();
                let tally = sink.run(each_consumer, batch, producers);
                stamps
                    .lock()
                    .expect("no worker panics")
                    .push((start, Instant::now()));
                let mut seen = seen.lock().expect("no worker panics");
                seen.count += tally.count;
                seen.sum = seen.sum.wrapping_add(tally.sum);
                seen.disorder += tally.disorder;
            });
        }
    });

    let seen = seen.into_inner().expect("no worker panics");
    assert_eq!(
        seen,
        expected(producers, each_producer),
        "{}: items lost, doubled or out of order",
        name_of::<A>()
    );
    let stamps = stamps.into_inner().expect("no worker panics");
    let start = stamps.iter().map(|s| s.0).min().expect("there are workers");
    let end = stamps.iter().map(|s| s.1).max().expect("there are workers");
    ((end - start).as_secs_f64(), seen.count)
}

fn name_of<A>() -> &'static str {
    std::any::type_name::<A>()
}

/// Pushes and pops `items` items in turn on one pinned thread; the seconds it took.
///
/// # Panics
/// If the sum of what came out is wrong.
pub fn pair<A: Arena>(capacity: usize, items: u64, run: fn(&A, u64) -> u64) -> f64 {
    let core = cores()[0];
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || {
            pin(core);
            let arena = A::with_capacity(capacity);
            // One lap, so that every page and line of the ring has been touched.
            arena_lap::<A>(&arena, capacity as u64);
            let arena = A::with_capacity(capacity);
            let start = Instant::now();
            let sum = run(&arena, items);
            let seconds = start.elapsed().as_secs_f64();
            assert_eq!(sum, expected(1, items).sum, "{}: wrong sum", name_of::<A>());
            seconds
        });
        worker.join().expect("the worker ends well")
    })
}

fn arena_lap<A: Arena>(arena: &A, items: u64) {
    assert_eq!(
        arena.pairs(items),
        expected(1, items).sum,
        "{}: wrong sum",
        name_of::<A>()
    );
}

/// Hands `count` items over, one at a time, to a consumer that polls an empty queue, after an idle
/// gap of 0 to 2 µs each; every hand-over's latency in nanoseconds, sorted.
///
/// The stamp travels as the item. The acknowledgement is a word apart, so that the way back is the
/// same for every subject.
///
/// # Panics
/// If a stamp was lost or changed.
pub fn lone<Q: Queue<u64>>(capacity: usize, count: usize) -> Vec<f64> {
    let queue = Q::with_capacity(capacity);
    let cores = cores();
    let (here, there) = placement(&cores, 0);
    let gate = Gate::new(2);
    let taken = Alone(AtomicU64::new(0));
    let rate = ns_per_tick();
    let gap_limit = (2000.0 / rate) as usize;
    std::thread::scope(|scope| {
        let (gate, taken) = (&gate, &taken.0);
        let (mut producer, mut consumer) = (queue.producer(), queue.consumer());
        let sender = scope.spawn(move || {
            pin(here);
            let mut rng = Rng::new(count as u64);
            let mut sum = 0_u64;
            gate.pass();
            for i in 0..count as u64 {
                let gap = rng.below(gap_limit) as u64;
                let since = ticks();
                while ticks() - since < gap {
                    std::hint::spin_loop();
                }
                let stamp = ticks();
                producer.push(stamp);
                sum = sum.wrapping_add(stamp);
                let mut wait = Wait::new();
                while taken.load(Ordering::Acquire) != i + 1 {
                    wait.pause();
                }
            }
            sum
        });
        let receiver = scope.spawn(move || {
            pin(there);
            let mut latencies = Vec::with_capacity(count);
            let mut sum = 0_u64;
            gate.pass();
            for i in 0..count as u64 {
                let stamp = consumer.pop();
                let now = ticks_after_loads();
                sum = sum.wrapping_add(stamp);
                latencies.push(now.saturating_sub(stamp));
                taken.store(i + 1, Ordering::Release);
            }
            (latencies, sum)
        });
        let sent = sender.join().expect("the sender ends well");
        let (mut latencies, received) = receiver.join().expect("the receiver ends well");
        assert_eq!(
            sent,
            received,
            "{}: a stamp was lost or changed",
            name_of::<Q>()
        );
        latencies.sort_unstable();
        latencies
            .into_iter()
            .map(|ticks| ticks as f64 * rate)
            .collect()
    })
}

/// Median and 99th percentile of [`lone`].
pub fn lone_percentiles<Q: Queue<u64>>(capacity: usize, count: usize) -> [f64; 2] {
    let sorted = lone::<Q>(capacity, count);
    [quantile(&sorted, 0.5), quantile(&sorted, 0.99)]
}

/// `items` pairs on the calling thread and nothing else, for counting instructions.
pub fn count_pairs<A: Arena>(items: u64) {
    arena_lap(&A::with_capacity(1024), items);
}

/// `items` items in batches of [`MAX_BATCH`] on the calling thread, for counting instructions.
///
/// # Panics
/// If the queue holds less than a batch, or the sum of what came out is wrong.
pub fn count_batches<Q: Queue<u64>>(items: u64) {
    let queue = Q::with_capacity(1024);
    let (mut producer, mut consumer) = (queue.producer(), queue.consumer());
    let (mut next, mut sum) = (0, 0_u64);
    let mut buffer = [0_u64; MAX_BATCH];
    while next < items {
        for slot in &mut buffer {
            *slot = next;
            next += 1;
        }
        assert_eq!(producer.push_batch(&buffer), MAX_BATCH);
        let popped = consumer.pop_batch(MAX_BATCH, |item| sum = sum.wrapping_add(*item));
        assert_eq!(popped, MAX_BATCH);
    }
    assert_eq!(sum, expected(1, next).sum);
}

/// Worker loops over the handles of `Q`, for `u64`.
pub type Words<Q> = Typed<Q, u64>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects::{ArrayQueue, Rtrb};

    /// Loses every hundredth item: pops it and answers "empty" once more.
    struct Lossy(ArrayQueue<u64>);
    struct LossyPop<'a>(<ArrayQueue<u64> as Queue<u64>>::C<'a>, u64);

    impl Queue<u64> for Lossy {
        type P<'a> = <ArrayQueue<u64> as Queue<u64>>::P<'a>;
        type C<'a> = LossyPop<'a>;
        fn with_capacity(capacity: usize) -> Self {
            Self(ArrayQueue::with_capacity(capacity))
        }
        fn producer(&self) -> Self::P<'_> {
            self.0.producer()
        }
        fn consumer(&self) -> Self::C<'_> {
            LossyPop(self.0.consumer(), 0)
        }
    }

    impl Pop<u64> for LossyPop<'_> {
        fn try_pop(&mut self) -> Option<u64> {
            let value = self.0.try_pop()?;
            self.1 += 1;
            // The wrong value stands for a lost one, so that the run still ends.
            Some(if self.1.is_multiple_of(100) {
                value + 1
            } else {
                value
            })
        }
    }

    #[test]
    fn a_good_queue_passes_in_every_shape() {
        for (producers, consumers) in [(1, 1), (2, 3), (4, 4)] {
            let shape = Shape {
                producers,
                consumers,
                capacity: 16,
                batch: 1,
            };
            let (seconds, moved) = throughput::<Words<ArrayQueue<u64>>>(shape, 2000);
            assert!(moved >= 2000 && seconds > 0.0);
        }
        let shape = Shape {
            producers: 1,
            consumers: 1,
            capacity: 16,
            batch: 8,
        };
        throughput::<Typed<Rtrb<[u8; 64]>, [u8; 64]>>(shape, 2000);
    }

    #[test]
    #[should_panic(expected = "lost, doubled or out of order")]
    fn a_run_with_a_wrong_item_is_refused() {
        let shape = Shape {
            producers: 1,
            consumers: 1,
            capacity: 16,
            batch: 1,
        };
        throughput::<Words<Lossy>>(shape, 2000);
    }

    #[test]
    #[should_panic(expected = "the worker ends well")]
    fn a_pair_run_with_a_wrong_item_is_refused() {
        pair::<Words<Lossy>>(16, 2000, Arena::pairs);
    }

    #[test]
    fn hand_overs_are_all_stamped() {
        let sorted = lone::<ArrayQueue<u64>>(16, 500);
        assert_eq!(sorted.len(), 500);
        assert!(sorted.windows(2).all(|w| w[0] <= w[1]));
        assert!(sorted[499] > 0.0);
    }

    #[test]
    fn neighbours_start_on_different_cores() {
        assert_eq!(placement(&[4, 7], 0), (4, 7));
        assert_eq!(placement(&[4, 7], 1), (7, 4));
        assert_eq!(placement(&[3], 5), (3, 3));
    }
}
