//! The history checker against hand-made histories, against the exhaustive search on very many
//! small ones, and on large ones.

#[path = "check/by_hand.rs"]
mod by_hand;
#[path = "check/compare.rs"]
mod compare;
#[path = "check/lockstep.rs"]
mod lockstep;
#[path = "check/peers.rs"]
mod peers;
#[path = "check/simulate.rs"]
mod simulate;
#[path = "check/smallest.rs"]
mod small;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Instant;

use simulate::{Random, Shape, simulate};
use turtle_buffers::check::Op::*;
use turtle_buffers::check::{Event, History, Op, PENDING, Recorder, Spec, Violation, check};

/// Events of a large history.
const LARGE: usize = if cfg!(miri) {
    500
} else if cfg!(debug_assertions) {
    100_000
} else {
    1_000_000
};

fn name(violation: &Violation) -> String {
    let text = format!("{violation:?}");
    text.split([' ', '{', '(']).next().unwrap().to_string()
}

fn list(history: &History) -> String {
    history
        .events()
        .iter()
        .map(|e| format!("  {e}\n"))
        .collect()
}

// Large histories.

fn large(capacity: Option<usize>, threads: usize) -> Shape {
    Shape {
        events: LARGE,
        threads,
        capacity,
        batches: 5,
        deaths: 0,
        closes: 0,
        coarse: 1,
        initial: 0,
    }
}

#[test]
fn a_large_history_is_checked_quickly() {
    for (capacity, threads) in [(Some(16), 8), (Some(1000), 3), (None, 200)] {
        let (history, spec) = simulate(&mut Random::new(1), large(capacity, threads));
        let start = Instant::now();
        let report = check(&history, &spec).unwrap_or_else(|violation| panic!("{violation}"));
        println!("{:.2} s: {report}", start.elapsed().as_secs_f64());
        assert!(report.events >= LARGE && report.overlap > 1);
        assert!(
            report.pushed > LARGE / 5 && report.popped > LARGE / 5,
            "{report}"
        );
    }
}

#[test]
fn one_error_in_a_large_history_is_found() {
    let (history, spec) = simulate(&mut Random::new(2), large(Some(16), 4));
    let pops: Vec<usize> = (0..history.len())
        .filter(|&i| matches!(history.events()[i].op, Pop(_)))
        .collect();
    let (a, b) = (pops[pops.len() / 2], pops[pops.len() / 2 + 40]);
    let mut events = history.events().to_vec();
    (events[a].op, events[b].op) = (events[b].op, events[a].op);
    let violation = check(&events.into(), &spec).unwrap_err();
    println!("{violation}");
    assert!(
        matches!(
            name(&violation).as_str(),
            "OrderInversion" | "PoppedBeforePush"
        ),
        "{violation}"
    );
}

/// Everything overlaps everything: the sort has no order in time to lean on.
#[test]
fn a_history_without_any_order_is_checked_quickly() {
    let n = LARGE as u64 / 2;
    let pushes = (0..n).map(|v| Event {
        thread: v as usize,
        op: Push(v),
        call: v,
        ret: 3 * n + v,
    });
    let pops = (0..n).map(|v| Event {
        thread: v as usize,
        op: Pop((v * 7919) % n),
        call: n + v,
        ret: 2 * n + v,
    });
    let start = Instant::now();
    let report = check(&pushes.chain(pops).collect(), &Spec::unbounded().drained()).unwrap();
    println!("{:.2} s: {report}", start.elapsed().as_secs_f64());
    assert_eq!(report.popped as u64, n);
    assert_eq!(report.overlap as u64, 2 * n);
}

// Recording.

/// A bounded queue behind a lock, with closing and batches.
#[derive(Default)]
struct Locked(Mutex<(VecDeque<u64>, bool)>);

impl Locked {
    fn push(&self, values: &[u64], capacity: usize) -> Vec<Op> {
        let mut inside = self.0.lock().unwrap();
        if inside.1 {
            return vec![PushClosed];
        }
        let room = values.len().min(capacity - inside.0.len());
        inside.0.extend(&values[..room]);
        if room == 0 {
            vec![PushFull]
        } else {
            values[..room].iter().map(|&v| Push(v)).collect()
        }
    }

    fn pop(&self, count: usize) -> Vec<Op> {
        let mut inside = self.0.lock().unwrap();
        let count = count.min(inside.0.len());
        let taken: Vec<Op> = inside.0.drain(..count).map(Pop).collect();
        if taken.is_empty() {
            vec![if inside.1 { PopClosed } else { PopEmpty }]
        } else {
            taken
        }
    }
}

#[test]
fn recorded_threads_are_explained() {
    const CAPACITY: usize = 5;
    const EACH: u64 = if cfg!(miri) { 20 } else { 5_000 };
    let (queue, recorder) = (Locked::default(), Recorder::new());
    std::thread::scope(|threads| {
        let producers: Vec<_> = (0..2)
            .map(|p| {
                let (queue, mut log) = (&queue, recorder.log());
                threads.spawn(move || {
                    let mut next = p * EACH;
                    while next < (p + 1) * EACH {
                        let end = (next + 1 + next % 3).min((p + 1) * EACH);
                        let values: Vec<u64> = (next..end).collect();
                        let call = log.begin_batch(values.iter().map(|&v| Push(v)));
                        let answers = queue.push(&values, CAPACITY);
                        next += answers.iter().filter(|op| matches!(op, Push(_))).count() as u64;
                        log.ret_batch(call, answers);
                        std::thread::yield_now();
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            let (queue, mut log) = (&queue, recorder.log());
            threads.spawn(move || {
                loop {
                    let call = log.call();
                    let answers = queue.pop(1 + log.thread() % 2);
                    let closed = answers == [PopClosed];
                    log.ret_batch(call, answers);
                    if closed {
                        return;
                    }
                    std::thread::yield_now();
                }
            });
        }
        for producer in producers {
            producer.join().unwrap();
        }
        let mut log = recorder.log();
        let call = log.begin(Close);
        queue.0.lock().unwrap().1 = true;
        log.ret(call, Close);
    });
    let history = recorder.finish();
    let report =
        check(&history, &Spec::bounded(CAPACITY).drained()).unwrap_or_else(|v| panic!("{v}"));
    println!("{report}");
    assert_eq!(
        (report.pushed as u64, report.popped as u64),
        (2 * EACH, 2 * EACH)
    );
    assert_eq!(report.closed, 2);
    assert!(report.fullest <= CAPACITY);
}

#[test]
fn a_recorded_stack_is_not_a_queue() {
    let recorder = Recorder::new();
    let (mut stack, mut log) = (Vec::new(), recorder.log());
    for value in [1, 2] {
        let call = log.call();
        stack.push(value);
        log.ret(call, Push(value));
    }
    while let Some(value) = {
        let call = log.call();
        let taken = stack.pop();
        log.ret(call, taken.map_or(PopEmpty, Pop));
        taken
    } {
        assert!(value > 0);
    }
    drop(log);
    let violation = check(&recorder.finish(), &Spec::unbounded()).unwrap_err();
    let Violation::OrderInversion { first, second } = &violation else {
        panic!("{violation}")
    };
    assert_eq!((first.push.op, second.push.op), (Push(1), Push(2)));
    assert_eq!(
        (first.pop.unwrap().op, second.pop.unwrap().op),
        (Pop(1), Pop(2))
    );
    println!("{violation}");
}

#[test]
fn a_panicking_thread_leaves_its_calls_pending() {
    let recorder = Recorder::new();
    let mut log = recorder.log();
    let died = catch_unwind(AssertUnwindSafe(move || {
        let call = log.begin(Push(3));
        log.ret(call, Push(3));
        let inner = log.begin_batch([Push(4), Push(5)]);
        panic!("inside the call that began at {}", inner.stamp());
    }));
    assert!(died.is_err());
    let mut log = recorder.log();
    let call = log.call();
    log.pending(call, PopUnknown);
    drop(log);
    let history = recorder.finish();
    let ops: Vec<(usize, Op, bool)> = history
        .events()
        .iter()
        .map(|e| (e.thread, e.op, e.ret == PENDING))
        .collect();
    assert_eq!(
        ops,
        [
            (0, Push(3), false),
            (0, Push(4), true),
            (0, Push(5), true),
            (1, PopUnknown, true)
        ]
    );
    check(&history, &Spec::bounded(3).drained()).unwrap();
}

#[test]
fn a_history_with_an_open_log_is_refused() {
    let recorder = Recorder::new();
    let mut log = recorder.log();
    let call = log.call();
    log.ret(call, PopEmpty);
    assert!(recorder.delivered().is_empty());
    let refused = catch_unwind(AssertUnwindSafe(|| recorder.finish())).unwrap_err();
    let text = refused.downcast_ref::<String>().expect("a message");
    assert!(text.contains("1 log(s) still open"), "{text}");
}
