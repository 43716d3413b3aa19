//! One run of each kind, on a fresh ring of the engine asked for.

mod hand_over;

use std::fmt;
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use turtle_buffers::os::machine::machine;
use turtle_buffers::os::thread::pin_to_core;
use turtle_buffers::strategy::Engine;
use turtle_buffers::{Batch, Consumer, Options, Producer, Ring, Strategy, TryPopError};

/// A throughput run's shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) strategy: Strategy,
    pub(crate) producers: usize,
    pub(crate) consumers: usize,
    pub(crate) capacity: usize,
    /// Items a call moves; 1 for the calls that move one.
    pub(crate) batch: usize,
    /// Of engines that keep records.
    pub(crate) max_threads: u32,
    pub(crate) patience: Option<u32>,
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            strategy,
            producers,
            consumers,
            batch,
            ..
        } = self;
        write!(f, "{strategy} {producers}x{consumers}, {batch} at a time")
    }
}

/// The three runs for one engine. What is measured is the engine itself, without the branch of a
/// choice at run time.
struct Runs {
    throughput: fn(&Job, u64) -> Duration,
    lone: fn(usize, usize) -> Vec<u64>,
    wake: fn(usize, usize) -> Vec<u64>,
}

impl Runs {
    fn of<S: Engine>() -> Self {
        Self {
            throughput: throughput_of::<S>,
            lone: hand_over::lone::<S>,
            wake: hand_over::wake::<S>,
        }
    }
}

macro_rules! define_runs {
    ($(($variant:ident, $module:ident, $engine:ident),)+) => {
        fn runs(strategy: Strategy) -> Runs {
            match strategy {
                $(Strategy::$variant => Runs::of::<turtle_buffers::strategy::$module::$engine>(),)+
            }
        }
    };
}
turtle_buffers::for_each_strategy!(define_runs);

/// Items that a run of about `time` moves.
pub(crate) fn items_for(job: &Job, time: Duration) -> u64 {
    let trial = 20_000;
    let run = runs(job.strategy).throughput;
    run(job, trial); // the first one pays for pages and branch tables
    let took = run(job, trial).as_secs_f64().max(1e-6);
    let items = trial as f64 * time.as_secs_f64() / took;
    (items as u64).clamp(trial, 1 << 30)
}

/// Million items a second.
pub(crate) fn throughput(job: &Job, items: u64) -> f64 {
    let took = (runs(job.strategy).throughput)(job, items);
    each(job, items) as f64 * job.producers as f64 / took.as_secs_f64() / 1e6
}

/// Latencies, in ns, of `count` lone items: the ring is empty, its consumer polls, and the next item
/// comes 0 to 2 µs after the last one was taken.
pub(crate) fn lone(strategy: Strategy, capacity: usize, count: usize) -> Vec<u64> {
    (runs(strategy).lone)(capacity, count)
}

/// Times, in ns, from just before a push until the blocking pop that slept has returned, `count` of
/// them.
pub(crate) fn wake(strategy: Strategy, capacity: usize, count: usize) -> Vec<u64> {
    (runs(strategy).wake)(capacity, count)
}

/// What each producer pushes, so that it divides evenly among the consumers.
fn each(job: &Job, items: u64) -> u64 {
    let consumers = job.consumers as u64;
    items.div_ceil(job.producers as u64 * consumers) * consumers
}

fn cores() -> (Vec<usize>, Vec<usize>) {
    let allowed = machine().cores_allowed;
    let mut shifted = allowed.clone();
    shifted.rotate_left(1);
    (allowed, shifted)
}

/// Waiting after a refused try: a few pauses, then the processor goes to whoever has work.
#[derive(Default)]
struct Patience(u32);

impl Patience {
    fn wait(&mut self) {
        if self.0 < 64 {
            self.0 += 1;
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

/// What a consumer saw.
struct Tally {
    sum: u64,
    /// Next sequence number at least, by producer.
    next: Vec<u64>,
    in_order: bool,
}

/// Bits of an item that hold its sequence number; the producer's number lies above.
const SEQUENCE: u32 = 40;

impl Tally {
    fn new(producers: usize) -> Self {
        Self {
            sum: 0,
            next: vec![0; producers],
            in_order: true,
        }
    }
    #[inline]
    fn see(&mut self, item: u64) {
        let (producer, sequence) = ((item >> SEQUENCE) as usize, item & ((1 << SEQUENCE) - 1));
        let next = &mut self.next[producer];
        self.in_order &= sequence >= *next;
        *next = sequence + 1;
        self.sum = self.sum.wrapping_add(item);
    }
}

fn throughput_of<S: Engine>(job: &Job, items: u64) -> Duration {
    let each = each(job, items);
    let quota = each * job.producers as u64 / job.consumers as u64;
    let options = Options {
        capacity: job.capacity,
        max_threads: job.max_threads,
        patience: job.patience,
        ..Options::default()
    };
    let ring = Ring::<u64, S>::with_options(&options).expect("an engine that runs here");
    let gate = Barrier::new(job.producers + job.consumers);
    let stamps = Mutex::new(Vec::new());
    let tallies = Mutex::new(Vec::new());
    let (ours, theirs) = cores();
    std::thread::scope(|scope| {
        let (gate, stamps, tallies) = (&gate, &stamps, &tallies);
        let timed = move |work: &mut dyn FnMut()| {
            gate.wait();
            let start = Instant::now();
            work();
            let end = Instant::now();
            stamps.lock().expect("no worker panics").push((start, end));
        };
        for id in 0..job.producers {
            let core = ours[id % ours.len()];
            let mut producer = ring.producer().expect("the shape fits the engine's arity");
            scope.spawn(move || {
                pin_to_core(core);
                timed(&mut || push_all(&mut producer, (id as u64) << SEQUENCE, each, job.batch));
            });
        }
        for id in 0..job.consumers {
            let core = theirs[id % theirs.len()];
            let mut consumer = ring.consumer().expect("the shape fits the engine's arity");
            scope.spawn(move || {
                pin_to_core(core);
                let mut tally = Tally::new(job.producers);
                timed(&mut || pop_all(&mut consumer, &mut tally, quota, job.batch));
                tallies.lock().expect("no worker panics").push(tally);
            });
        }
    });
    let tallies = tallies.into_inner().expect("no worker panics");
    let sum = tallies
        .iter()
        .fold(0_u64, |sum, tally| sum.wrapping_add(tally.sum));
    let wanted = (0..job.producers as u64)
        .flat_map(|id| [(id << SEQUENCE).wrapping_mul(each), triangle(each)]);
    assert_eq!(
        sum,
        wanted.fold(0, u64::wrapping_add),
        "{job}: an item was lost, doubled or changed"
    );
    assert!(
        tallies.iter().all(|tally| tally.in_order),
        "{job}: a producer's items came out of order"
    );
    assert!(ring.is_empty(), "{job}: more came out than went in");
    let stamps = stamps.into_inner().expect("no worker panics");
    let start = stamps
        .iter()
        .map(|stamp| stamp.0)
        .min()
        .expect("there are workers");
    let end = stamps
        .iter()
        .map(|stamp| stamp.1)
        .max()
        .expect("there are workers");
    end - start
}

/// 0 + 1 + … + (n - 1).
fn triangle(n: u64) -> u64 {
    (u128::from(n) * u128::from(n.saturating_sub(1)) / 2) as u64
}

fn push_all<S: Engine>(producer: &mut Producer<u64, S>, base: u64, count: u64, batch: usize) {
    let mut next = base;
    let end = base + count;
    let mut patience = Patience::default();
    while next < end {
        let pushed = if batch == 1 {
            producer.try_push(next).map(|()| 1).map_err(|_| ())
        } else {
            let upto = end.min(next + batch as u64);
            let mut values = Batch::new(Exact { next, end: upto });
            producer.try_push_batch(&mut values).map_err(|_| ())
        };
        match pushed {
            Ok(n) => {
                next += n as u64;
                patience = Patience::default();
            }
            Err(()) => patience.wait(),
        }
    }
}

/// `next..end`: ranges of `u64` do not know their length exactly.
struct Exact {
    next: u64,
    end: u64,
}

impl Iterator for Exact {
    type Item = u64;
    #[inline]
    fn next(&mut self) -> Option<u64> {
        let item = self.next;
        (item < self.end).then(|| {
            self.next += 1;
            item
        })
    }
    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.end - self.next) as usize;
        (left, Some(left))
    }
}
impl ExactSizeIterator for Exact {}

fn pop_all<S: Engine>(
    consumer: &mut Consumer<u64, S>,
    tally: &mut Tally,
    quota: u64,
    batch: usize,
) {
    let mut left = quota;
    let mut patience = Patience::default();
    let mut items = Vec::with_capacity(batch);
    while left > 0 {
        let popped = if batch == 1 {
            consumer.try_pop().map(|item| {
                tally.see(item);
                1
            })
        } else {
            let max = batch.min(usize::try_from(left).unwrap_or(batch));
            let popped = consumer.try_pop_batch(&mut items, max);
            items.drain(..).for_each(|item| tally.see(item));
            popped
        };
        match popped {
            Ok(n) => {
                left -= n as u64;
                patience = Patience::default();
            }
            Err(TryPopError::Closed) => unreachable!("nobody closes it"),
            Err(TryPopError::Empty | TryPopError::Busy) => patience.wait(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_passes_its_runs() {
        for strategy in Strategy::ALL {
            for batch in [1, 64] {
                let job = Job {
                    strategy: *strategy,
                    producers: 1,
                    consumers: 1,
                    capacity: 16,
                    batch,
                    max_threads: 2,
                    patience: Some(1),
                };
                assert!(throughput(&job, 5_000) > 0.0, "{job}");
            }
            assert_eq!(lone(*strategy, 8, 200).len(), 200);
            assert_eq!(wake(*strategy, 8, 3).len(), 3);
        }
    }

    #[test]
    fn shapes_divide_evenly() {
        let job = |producers, consumers| Job {
            strategy: Strategy::default(),
            producers,
            consumers,
            capacity: 4,
            batch: 1,
            max_threads: 0,
            patience: None,
        };
        for (producers, consumers) in [(1, 1), (3, 2), (2, 3), (4, 4)] {
            let job = job(producers, consumers);
            let each = each(&job, 1000);
            assert!(each * producers as u64 >= 1000);
            assert_eq!(each * producers as u64 % consumers as u64, 0, "{job}");
        }
        assert!(throughput(&job(3, 2), 1000) > 0.0);
    }

    #[test]
    fn a_tally_notices_disorder() {
        let mut tally = Tally::new(2);
        for item in [0, 1 << SEQUENCE, 1, 5] {
            tally.see(item);
        }
        assert!(tally.in_order);
        tally.see(4);
        assert!(!tally.in_order);
    }

    #[test]
    fn triangles() {
        assert_eq!([triangle(0), triangle(1), triangle(5)], [0, 0, 10]);
    }
}
