//! Shuttle: random and PCT schedules of larger programs than loom can search,
//! each recorded and held against a queue by `turtle_buffers::check`. A call
//! that sleeps for ever is a deadlock, which shuttle reports: there is no
//! re-check after some time in the model.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test --release --test model_shuttle`
//!
//! A million and more executions with stopped threads: `-- --ignored long_`.
//! With `--cfg turtle_mutate` too, steps are left out that the models of
//! `tests/mutants.rs` are too small to miss.
//!
//! Not shown here: memory orderings (shuttle takes all for sequentially
//! consistent), and schedules that were not drawn.
#![cfg(shuttle)]

mod common;
#[path = "model_shuttle/stopped.rs"]
mod stopped;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use common::clients::traits;
use common::mutants::FlagClose;
use common::spec::promise;
use common::thread;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};
use turtle_buffers::check::{Log, Op, Recorder, Report, Spec, check};
use turtle_buffers::strategy::{Arity, Engine, Spsc, Turn, WaitFree};
use turtle_buffers::{
    Batch, Consumer, Options, PopError, Producer, Ring, TryPopError, TryPushError,
};

/// Programs a kind, and schedules of each by each scheduler.
const PROGRAMS: u64 = 60;
const SCHEDULES: usize = 600;
/// Preemptions that PCT places.
const DEPTH: usize = 4;

/// One step of a producer.
#[derive(Clone, Copy, Debug)]
enum Put {
    Try,
    Wait,
    TryRun(usize),
    WaitRun(usize),
    Claim,
    Abandon,
}

/// One step of a consumer.
#[derive(Clone, Copy, Debug)]
enum Get {
    Try,
    Wait,
    TryRun(usize),
    WaitRun(usize),
    Peek,
}

/// What each thread does; values are numbered as they are used.
#[derive(Clone, Debug)]
struct Program {
    capacity: usize,
    puts: Vec<Vec<Put>>,
    gets: Vec<Vec<Get>>,
    /// A thread that closes while the others are at it. Without it the ring
    /// is closed when the producers have ended.
    closer: bool,
    /// Of engines that are helped; 0: every call is announced.
    patience: u32,
}

/// A small generator, so that a program is known by its number.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % n
    }
}

impl Program {
    fn new(number: u64, many: bool, waiting: bool) -> Self {
        let mut dice = Dice(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..4 {
            dice.below(2);
        }
        let sides = |dice: &mut Dice| if many { 1 + dice.below(2) as usize } else { 1 };
        let (producers, consumers) = (sides(&mut dice), sides(&mut dice));
        let steps = 2 + dice.below(3);
        let put = |dice: &mut Dice| match dice.below(if waiting { 10 } else { 6 }) {
            0..=2 => Put::Try,
            3 => Put::TryRun(2),
            4 => Put::Claim,
            5 => Put::Abandon,
            6..=8 => Put::Wait,
            _ => Put::WaitRun(2),
        };
        let get = |dice: &mut Dice| match dice.below(if waiting { 9 } else { 5 }) {
            0..=2 => Get::Try,
            3 => Get::TryRun(2),
            4 => Get::Peek,
            5..=7 => Get::Wait,
            _ => Get::WaitRun(2),
        };
        let puts = (0..producers)
            .map(|_| (0..steps).map(|_| put(&mut dice)).collect())
            .collect();
        let gets = (0..consumers)
            .map(|_| (0..steps).map(|_| get(&mut dice)).collect())
            .collect();
        let closer = dice.below(2) == 0;
        Self {
            capacity: 1 + dice.below(3) as usize,
            puts,
            gets,
            closer,
            patience: [0, 1, 8][number as usize % 3],
        }
    }

    /// Runs it once and checks what was recorded.
    fn run<E: Engine>(&self) -> Result<Report, String> {
        let options = Options {
            capacity: self.capacity,
            max_threads: 2,
            patience: Some(self.patience),
            ..Options::default()
        };
        let ring = Ring::<u64, E>::with_options(&options).unwrap();
        let recorder = Recorder::new();
        let mut producing = Vec::new();
        for (number, puts) in self.puts.iter().enumerate() {
            let mut producer = ring.producer().unwrap();
            let (puts, mut log) = (puts.clone(), recorder.log());
            producing.push(thread::spawn(move || {
                let mut value = 100 * (number as u64 + 1);
                for put in puts {
                    perform_put(put, &mut producer, &mut log, &mut value);
                }
            }));
        }
        let mut others = Vec::new();
        for gets in &self.gets {
            let mut consumer = ring.consumer().unwrap();
            let (gets, mut log) = (gets.clone(), recorder.log());
            others.push(thread::spawn(move || {
                for get in gets {
                    perform_get(get, &mut consumer, &mut log);
                }
                // A consumer that stopped would leave a waiting producer alone.
                while pop_wait(&mut consumer, &mut log) {}
            }));
        }
        if self.closer {
            let (ring, mut log) = (ring.clone(), recorder.log());
            // Where closing waits for a push that is deciding, it takes effect
            // some time after the call.
            let late = promise(traits::<E>().name).late_close;
            others.push(thread::spawn(move || close(&ring, &mut log, late)));
        }
        for producer in producing {
            producer.join().unwrap();
        }
        let mut log = recorder.log();
        close(&ring, &mut log, false);
        drop(log);
        for other in others {
            other.join().unwrap();
        }
        let mut history = recorder.finish();
        if self
            .puts
            .iter()
            .flatten()
            .any(|put| matches!(put, Put::Abandon))
        {
            // A claim that is out, or void and not the oldest, takes a slot:
            // `Full` is true of the slots then, not of the elements. And the
            // call halfway that makes a push `Busy` may be another push, which
            // clears a void slot.
            let counted = history
                .events()
                .iter()
                .filter(|e| !matches!(e.op, Op::PushFull | Op::PushBusy));
            history = counted.copied().collect();
        }
        check(&history, &Spec::bounded(self.capacity).drained()).map_err(|violation| {
            let mut text = format!("{violation}\n{self:?}\n");
            for event in history.events() {
                let _ = writeln!(text, "  {event}");
            }
            text
        })
    }
}

fn close<E: Engine>(ring: &Ring<u64, E>, log: &mut Log, late: bool) {
    let call = log.call();
    ring.close();
    if late {
        log.pending(call, Op::Close);
    } else {
        log.ret(call, Op::Close);
    }
}

fn refused<T>(why: &TryPushError<T>) -> Op {
    match why {
        TryPushError::Full(_) => Op::PushFull,
        TryPushError::Busy(_) => Op::PushBusy,
        TryPushError::Closed(_) => Op::PushClosed,
    }
}

fn nothing(why: TryPopError) -> Op {
    match why {
        TryPopError::Empty => Op::PopEmpty,
        TryPopError::Busy => Op::PopBusy,
        TryPopError::Closed => Op::PopClosed,
    }
}

fn perform_put<E: Engine>(
    put: Put,
    producer: &mut Producer<u64, E>,
    log: &mut Log,
    next: &mut u64,
) {
    let first = *next;
    let call = log.call();
    match put {
        Put::Try => {
            *next += 1;
            let op = producer
                .try_push(first)
                .map_or_else(|why| refused(&why), |()| Op::Push(first));
            log.ret(call, op);
        }
        Put::Wait => {
            *next += 1;
            let op = producer
                .push(first)
                .map_or(Op::PushClosed, |()| Op::Push(first));
            log.ret(call, op);
        }
        Put::TryRun(n) => {
            *next += n as u64;
            match producer.try_push_batch(&mut Batch::new(
                (first..first + n as u64).collect::<Vec<_>>(),
            )) {
                Ok(n) => log.ret_batch(call, (first..first + n as u64).map(Op::Push)),
                Err(why) => log.ret(call, refused(&why)),
            }
        }
        Put::WaitRun(n) => {
            // Several decisions: recorded as one call that pushed them all.
            *next += n as u64;
            let values = (first..first + n as u64).collect::<Vec<_>>();
            match producer.push_batch(&mut Batch::new(values)) {
                Ok(n) => log.ret_batch(call, (first..first + n as u64).map(Op::Push)),
                Err(turtle_buffers::PushError::Closed(0)) => log.ret(call, Op::PushClosed),
                Err(turtle_buffers::PushError::Closed(n)) => {
                    log.ret_batch(call, (first..first + n as u64).map(Op::Push));
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        Put::Claim => {
            *next += 1;
            let op = match producer.try_claim() {
                Ok(claim) => claim
                    .commit(first)
                    .map_or_else(|why| refused(&why), |()| Op::Push(first)),
                Err(why) => refused(&why),
            };
            log.ret(call, op);
        }
        Put::Abandon => {
            let op = match producer.try_claim() {
                Ok(claim) => {
                    drop(claim);
                    Op::PushAbandoned
                }
                Err(why) => refused(&why),
            };
            log.ret(call, op);
        }
    }
}

/// A pop that waits; `false` once closed.
fn pop_wait<E: Engine>(consumer: &mut Consumer<u64, E>, log: &mut Log) -> bool {
    let call = log.call();
    match consumer.pop() {
        Ok(value) => {
            log.ret(call, Op::Pop(value));
            true
        }
        Err(PopError::Closed) => {
            log.ret(call, Op::PopClosed);
            false
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn perform_get<E: Engine>(get: Get, consumer: &mut Consumer<u64, E>, log: &mut Log) {
    let call = log.call();
    let mut out = Vec::new();
    let refusal = match get {
        Get::Try => consumer.try_pop().map(|value| out.push(value)).err(),
        Get::Peek => consumer
            .try_peek()
            .map(|guard| out.push(guard.take()))
            .err(),
        Get::TryRun(n) => consumer.try_pop_batch(&mut out, n).err(),
        Get::Wait => consumer
            .pop()
            .map(|value| out.push(value))
            .err()
            .map(closed),
        Get::WaitRun(n) => consumer.pop_batch(&mut out, n).err().map(closed),
    };
    match refusal {
        Some(why) => log.ret(call, nothing(why)),
        None => log.ret_batch(call, out.into_iter().map(Op::Pop)),
    }
}

fn closed(error: PopError) -> TryPopError {
    assert_eq!(error, PopError::Closed);
    TryPopError::Closed
}

/// What was seen over all runs.
#[derive(Debug, Default)]
struct Sum {
    executions: usize,
    calls: usize,
    full: usize,
    empty: usize,
    busy: usize,
    closed: usize,
    overlap: usize,
    wrong: Vec<String>,
}

fn schedule<S: Scheduler + 'static>(
    scheduler: S,
    program: &dyn std::fmt::Debug,
    sum: &Arc<Mutex<Sum>>,
    body: impl Fn() -> Result<Report, String> + Send + Sync + 'static,
) {
    let mut config = Config::new();
    config.stack_size = 0x20000;
    let runner = Runner::new(scheduler, config);
    let run = std::panic::AssertUnwindSafe(|| {
        runner.run({
            let sum = sum.clone();
            move || {
                let outcome = body();
                let mut sum = sum.lock().unwrap();
                match outcome {
                    Ok(report) => {
                        sum.calls += report.events;
                        sum.full += report.full;
                        sum.empty += report.empty;
                        sum.busy += report.busy;
                        sum.closed += report.closed;
                        sum.overlap = sum.overlap.max(report.overlap);
                    }
                    Err(text) if sum.wrong.len() < 3 => sum.wrong.push(text),
                    Err(_) => {}
                }
            }
        })
    });
    match std::panic::catch_unwind(run) {
        Ok(executions) => sum.lock().unwrap().executions += executions,
        Err(panic) => {
            println!("fails: {program:?}");
            std::panic::resume_unwind(panic);
        }
    }
}

fn programs<E: Engine>(waiting: bool) -> Sum {
    let engine = traits::<E>();
    let many = engine.producers == Arity::Many;
    let sum = Arc::new(Mutex::new(Sum::default()));
    for number in 1..=PROGRAMS {
        let program = Program::new(number, many, waiting);
        let body = {
            let program = program.clone();
            move || program.run::<E>()
        };
        schedule(
            RandomScheduler::new_from_seed(number, SCHEDULES),
            &program,
            &sum,
            body.clone(),
        );
        schedule(
            PctScheduler::new_from_seed(number, DEPTH, SCHEDULES),
            &program,
            &sum,
            body,
        );
    }
    let sum = Arc::try_unwrap(sum)
        .expect("all ended")
        .into_inner()
        .unwrap();
    println!(
        "{} {}: {} executions of {PROGRAMS} programs, {} calls: {} Full, {} Empty, {} Busy, {} Closed, up to {} at once",
        engine.name,
        if waiting {
            "with waiting calls"
        } else {
            "try only"
        },
        sum.executions,
        sum.calls,
        sum.full,
        sum.empty,
        sum.busy,
        sum.closed,
        sum.overlap,
    );
    sum
}

fn all_explained<E: Engine>(busy: bool) {
    for waiting in [false, true] {
        let sum = programs::<E>(waiting);
        assert!(sum.wrong.is_empty(), "\n{}", sum.wrong.join("\n"));
        assert!(
            sum.executions as u64 >= PROGRAMS * SCHEDULES as u64,
            "{sum:?}"
        );
        // The programs reach what they are for.
        assert!(
            sum.full > 0 && sum.empty > 0 && sum.closed > 0 && sum.overlap > 1,
            "{sum:?}"
        );
        assert_eq!(sum.busy > 0, busy, "{sum:?}");
    }
}

#[test]
fn turn_histories_are_those_of_a_queue_and_nobody_sleeps_for_ever() {
    all_explained::<Turn>(true);
}

#[test]
fn spsc_histories_are_those_of_a_queue_and_nobody_sleeps_for_ever() {
    all_explained::<Spsc>(false);
}

#[test]
fn wait_free_histories_are_those_of_a_queue_and_nobody_sleeps_for_ever() {
    all_explained::<WaitFree>(false);
}

/// As many elements as waiting pops, and nobody else pops: a wake-up that was
/// spent on a consumer that found the push before it halfway is not lost.
fn pops_that_wait<E: Engine>() -> Result<Report, String> {
    let ring = Ring::<u64, E>::new(2).unwrap();
    let popping = [(); 2].map(|()| {
        let mut consumer = ring.consumer().unwrap();
        thread::spawn(move || consumer.pop().unwrap())
    });
    let pushing = [1, 2].map(|value| {
        let mut producer = ring.producer().unwrap();
        thread::spawn(move || producer.try_push(value).unwrap())
    });
    for thread in pushing {
        thread.join().unwrap();
    }
    let popped = popping.map(|thread| thread.join().unwrap());
    if popped.iter().sum::<u64>() == 3 {
        Ok(Report::default())
    } else {
        Err(format!("{popped:?}"))
    }
}

/// The same for pushes.
fn pushes_that_wait<E: Engine>() -> Result<Report, String> {
    let ring = Ring::<u64, E>::new(2).unwrap();
    let mut producer = ring.producer().unwrap();
    for value in [1, 2] {
        producer.try_push(value).unwrap();
    }
    let pushing = [3, 4].map(|value| {
        let mut producer = ring.producer().unwrap();
        thread::spawn(move || producer.push(value).unwrap())
    });
    let popping = [(); 2].map(|()| {
        let mut consumer = ring.consumer().unwrap();
        // `Busy` while the other pop is halfway.
        thread::spawn(move || consumer.try_pop().map_err(|_| consumer.pop().unwrap()))
    });
    for thread in popping {
        let _either_way_one = thread.join().unwrap();
    }
    for thread in pushing {
        thread.join().unwrap();
    }
    if ring.len() == 2 {
        Ok(Report::default())
    } else {
        Err(format!("{} left", ring.len()))
    }
}

#[test]
fn every_sleeper_that_has_something_to_do_is_woken() {
    for (name, body) in [
        (
            "pops",
            pops_that_wait::<Turn> as fn() -> Result<Report, String>,
        ),
        ("pushes", pushes_that_wait::<Turn>),
    ] {
        let sum = Arc::new(Mutex::new(Sum::default()));
        schedule(RandomScheduler::new_from_seed(1, 40_000), &name, &sum, body);
        schedule(
            PctScheduler::new_from_seed(1, DEPTH, 40_000),
            &name,
            &sum,
            body,
        );
        let sum = sum.lock().unwrap();
        println!("{name} that wait: {} executions", sum.executions);
        assert!(sum.wrong.is_empty(), "{:?}", sum.wrong);
    }
}

/// The same programs on a ring whose closing is wrong: the checker says so.
#[test]
fn a_ring_that_closes_by_a_flag_is_rejected() {
    let sum = programs::<FlagClose<Turn>>(false);
    assert!(!sum.wrong.is_empty(), "a wrong ring was explained");
    println!("{}", sum.wrong[0].lines().next().unwrap_or_default());
}
