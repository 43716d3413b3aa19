//! Traces: what real threads do, word by word, with the steps' names.
//!
//! `RUSTFLAGS="--cfg turtle_trace" cargo test --test trace`
//!
//! Every step in a trace belongs to the engine; calls and returns nest; each
//! read finds what the last write in the trace left; the answers are those of
//! a queue; every step of the engine is seen. Not shown here: memory orderings
//! (one lock is held across each access) and schedules that did not happen.
#![cfg(turtle_trace)]

mod common;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Barrier, Mutex};

use common::Answer;
use common::clients::traits;
use common::raw::{Popper, Pusher, RawQueue};
use turtle_buffers::atomic::Step;
use turtle_buffers::atomic::trace::{self, Event};
use turtle_buffers::check::{self, History, Op, Spec, check};
use turtle_buffers::strategy::{Arity, Engine, Spsc, Turn};
use turtle_buffers::{Batch, Consumer, Producer, Ring, TryPopError, TryPushError};

/// Rounds of the scenario with threads.
const ROUNDS: u64 = 150;
/// Calls of each thread in a round.
const CALLS: u64 = 12;

/// The recorder is one for the process: scenarios take turns.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What a trace has shown.
#[derive(Debug, Default)]
struct Shown {
    events: usize,
    calls: usize,
    steps: BTreeSet<&'static str>,
    switches: usize,
}

impl Shown {
    fn add(&mut self, other: Shown) {
        self.events += other.events;
        self.calls += other.calls;
        self.steps.extend(other.steps);
        self.switches += other.switches;
    }
}

/// Runs `call` as one operation of the trace.
fn traced(operation: &'static str, argument: u64, call: impl FnOnce() -> Answer) -> Answer {
    trace::call(operation, argument);
    let answer = call();
    let (outcome, value) = match answer {
        Answer::Got(value) => ("ok", value),
        Answer::Ok => ("ok", 0),
        Answer::Full => ("full", 0),
        Answer::Empty => ("empty", 0),
        Answer::Busy => ("busy", 0),
        Answer::Closed => ("closed", 0),
        Answer::Pushed(_) | Answer::Run(..) => ("run", 0),
    };
    trace::ret(outcome, value);
    answer
}

/// A handle, made as an operation of its own: making one reads words too.
fn pusher<E: Engine>(queue: &RawQueue<E>) -> Pusher<E> {
    let mut made = None;
    traced("producer", 0, || {
        made = Some(queue.pusher());
        Answer::Ok
    });
    made.expect("just made")
}

fn popper<E: Engine>(queue: &RawQueue<E>) -> Popper<E> {
    let mut made = None;
    traced("consumer", 0, || {
        made = Some(queue.popper());
        Answer::Ok
    });
    made.expect("just made")
}

/// Why a trace is none.
type Fault = String;

/// Is this a trace of an engine with these steps?
fn verify(events: &[Event], steps: &[Step]) -> Result<Shown, Fault> {
    let mut shown = Shown {
        events: events.len(),
        ..Shown::default()
    };
    let mut words: HashMap<usize, u64> = HashMap::new();
    let mut inside: HashMap<u32, bool> = HashMap::new();
    let mut last = None;
    for (at, event) in events.iter().enumerate() {
        let fault = |what: &str| Err(format!("event {at}: {what}: {event:?}"));
        let (Event::Call { thread, .. }
        | Event::Return { thread, .. }
        | Event::Fence { thread, .. }
        | Event::Access { thread, .. }) = event;
        shown.switches += usize::from(last.is_some_and(|last| last != *thread));
        last = Some(*thread);
        let inside = inside.entry(*thread).or_default();
        match event {
            Event::Call { .. } if *inside => return fault("a call inside a call"),
            Event::Call { .. } => {
                *inside = true;
                shown.calls += 1;
            }
            Event::Return { .. } if !*inside => return fault("a return without a call"),
            Event::Return { .. } => *inside = false,
            Event::Access { .. } | Event::Fence { .. } if !*inside => {
                return fault("a step outside of a call");
            }
            Event::Fence { step, .. } | Event::Access { step, .. }
                if !steps.iter().any(|known| known.name() == *step) =>
            {
                return fault("not a step of this engine");
            }
            Event::Fence { step, .. } => {
                shown.steps.insert(step);
            }
            Event::Access {
                step,
                kind,
                word,
                read,
                written,
                done,
                ..
            } => {
                shown.steps.insert(step);
                if *kind != "store" {
                    // Whatever a word holds at first, it holds on.
                    let holds = *words.entry(*word).or_insert(*read);
                    if holds != *read {
                        return fault(&format!("reads {read}, and the word holds {holds}"));
                    }
                }
                let writes = match *kind {
                    "load" => false,
                    "cas" => *done,
                    "store" | "or" | "add" => true,
                    _ => return fault("no such access"),
                };
                if writes {
                    words.insert(*word, *written);
                }
            }
        }
    }
    if let Some((thread, _)) = inside.iter().find(|(_, inside)| **inside) {
        return Err(format!("thread {thread} is still inside a call at the end"));
    }
    Ok(shown)
}

/// The calls and answers of a trace, with places in the trace as time.
fn history(events: &[Event]) -> History {
    let mut open = HashMap::new();
    let mut history = History::new();
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Call {
                thread,
                operation,
                value,
            } => {
                open.insert(*thread, (*operation, *value, at as u64));
            }
            Event::Return {
                thread,
                outcome,
                value,
            } => {
                let (operation, argument, call) = open.remove(thread).expect("verified before");
                let op = match (operation, *outcome) {
                    ("push", "ok") => Op::Push(argument),
                    ("push", "full") => Op::PushFull,
                    ("push", "busy") => Op::PushBusy,
                    ("push", "closed") => Op::PushClosed,
                    ("pop", "ok") => Op::Pop(*value),
                    ("pop", "empty") => Op::PopEmpty,
                    ("pop", "busy") => Op::PopBusy,
                    ("pop", "closed") => Op::PopClosed,
                    ("close", _) => Op::Close,
                    _ => continue,
                };
                history.push(check::Event {
                    thread: *thread as usize,
                    op,
                    call,
                    ret: at as u64,
                });
            }
            Event::Access { .. } | Event::Fence { .. } => {}
        }
    }
    history
}

/// Every answer and every corner by one thread with several handles.
fn corners<E: Engine>() -> Vec<Event> {
    trace::set_thread(0);
    let queue = RawQueue::<E>::new(2);
    let mut one = pusher(&queue);
    let mut out = popper(&queue);
    let push = |from: &mut Pusher<E>, value| traced("push", value, || from.push(value));
    let pop = |from: &mut Popper<E>| traced("pop", 0, || from.pop());
    assert_eq!(pop(&mut out), Answer::Empty);
    assert_eq!(push(&mut one, 1), Answer::Ok);
    assert_eq!(push(&mut one, 2), Answer::Ok);
    assert_eq!(push(&mut one, 3), Answer::Full);
    assert_eq!(pop(&mut out), Answer::Got(1));
    traced("push_run", 0, || one.push_run(&[4, 5]));
    traced("pop_run", 0, || out.pop_run(2));
    traced("claim", 0, || one.claim());
    if traits::<E>().consumers == Arity::Many {
        // A claim that is out makes the pop behind it `Busy`; a take that is
        // out does the same to a push.
        let mut other = popper(&queue);
        assert_eq!(traced("blocked pop", 0, || other.pop()), Answer::Busy);
    }
    traced("abandon", 0, || {
        one.abandon();
        Answer::Ok
    });
    traced("pop past a void slot", 0, || out.pop());
    traced("lease by address", 0, || {
        assert_eq!(one.claim(), Answer::Ok);
        one.claim_by_address();
        assert_eq!(one.commit(6), Answer::Ok);
        out.pop_by_address()
    });
    if traits::<E>().consumers == Arity::Many {
        let mut other = pusher(&queue);
        traced("blocked push", 0, || {
            assert_eq!(other.push_run(&[7, 8]), Answer::Pushed(2));
            out.pop_and_meanwhile(|| assert_eq!(other.push(9), Answer::Busy))
        });
        traced("pop_run", 0, || out.pop_run(2));
    }
    traced("look", 0, || {
        let _ = queue.positions();
        assert!(!queue.is_sealed());
        Answer::Ok
    });
    traced("close", 0, || {
        assert!(queue.seal());
        Answer::Ok
    });
    assert_eq!(traced("late push", 0, || one.push(10)), Answer::Closed);
    assert_eq!(
        traced("late pop", 0, || {
            while matches!(out.pop(), Answer::Got(_)) {}
            out.pop()
        }),
        Answer::Closed
    );
    // The same end beside a process without the asymmetric barrier.
    let fenced = RawQueue::<E>::new(2);
    traced("join without the barrier", 0, || {
        fenced.do_without_barrier();
        Answer::Ok
    });
    let mut last = pusher(&fenced);
    traced("fenced push", 0, || last.push(11));
    traced("fenced close", 0, || {
        assert!(fenced.seal());
        last.push(12)
    });
    traced("drop", 0, || {
        drop((one, out, queue, last, fenced));
        Answer::Ok
    });
    trace::take()
}

/// Threads that push and pop at once: two of each where the engine allows it.
fn crowd<E: Engine>(round: u64) -> Vec<Event> {
    let queue = RawQueue::<E>::new(1 + (round % 3) as usize);
    let many = traits::<E>().producers == Arity::Many;
    let sides: &[bool] = if many {
        &[true, true, false]
    } else {
        &[true, false]
    };
    let start = Barrier::new(sides.len());
    std::thread::scope(|threads| {
        for (number, pushes) in sides.iter().enumerate() {
            let (queue, start) = (queue.clone(), &start);
            threads.spawn(move || {
                trace::set_thread(number as u32 + 1);
                if *pushes {
                    let mut handle = pusher(&queue);
                    start.wait();
                    for n in 0..CALLS {
                        let value = 1000 * (number as u64 + 1) + n;
                        traced("push", value, || handle.push(value));
                    }
                } else {
                    let mut handle = popper(&queue);
                    start.wait();
                    for _ in 0..CALLS {
                        traced("pop", 0, || handle.pop());
                    }
                }
            });
        }
    });
    let mut rest = popper(&queue);
    while let Answer::Got(_) = traced("pop", 0, || rest.pop()) {}
    let events = trace::take();
    drop(rest);
    let _ = trace::take();
    events
}

fn traces<E: Engine>() {
    let _turn = ONE_AT_A_TIME.lock().unwrap();
    let engine = traits::<E>();
    let mut shown = Shown::default();
    let events = corners::<E>();
    shown.add(verify(&events, engine.steps).unwrap());
    trace::set_thread(0);
    for round in 0..ROUNDS {
        let events = crowd::<E>(round);
        shown.add(verify(&events, engine.steps).unwrap());
        let capacity = 1 + (round % 3) as usize;
        if let Err(violation) = check(&history(&events), &Spec::bounded(capacity).drained()) {
            panic!("round {round}: {violation}");
        }
    }
    let unseen: Vec<_> = engine
        .steps
        .iter()
        .map(|step| step.name())
        .filter(|s| !shown.steps.contains(s))
        .collect();
    println!(
        "{}: {} events, {} calls, {} changes of thread, {} of {} steps seen",
        engine.name,
        shown.events,
        shown.calls,
        shown.switches,
        shown.steps.len(),
        engine.steps.len(),
    );
    assert_eq!(
        unseen,
        NEVER_SEEN
            .iter()
            .filter(|(e, _, _)| *e == engine.name)
            .map(|(_, s, _)| *s)
            .collect::<Vec<_>>()
    );
    for (engine, step, why) in NEVER_SEEN.iter().filter(|(e, _, _)| *e == engine.name) {
        println!("{engine}: {step} is not seen: {why}");
    }
    assert!(
        shown.switches > ROUNDS as usize,
        "the threads did not meet: {shown:?}"
    );
}

/// Engine, step, and why no scenario here comes by.
const NEVER_SEEN: &[(&str, &str, &str)] = &[];

#[test]
fn turn_traces_are_those_of_a_queue() {
    traces::<Turn>();
}

#[test]
fn spsc_traces_are_those_of_a_queue() {
    traces::<Spsc>();
}

/// The ring of `spsc_calls_return_within_their_bound`: half of it is a run worth waiting for.
const CAPACITY: usize = 64;

type Sides = (Producer<u64, Spsc>, Consumer<u64, Spsc>);
/// A call, and one move of the other side.
type Moves = (Box<dyn FnMut() -> &'static str>, Box<dyn FnMut()>);

/// Makes a call in every state that matters: from empty to full, while the other side stands still or
/// moves one element before each access, and the ring closed before each access in turn. Answers the
/// most shared accesses that the call made, and how it ended.
fn worst(moves: impl Fn(Sides) -> Moves) -> (usize, BTreeSet<&'static str>) {
    /// More than any call has.
    const PLACES: usize = 24;
    let (mut most, mut answers) = (0, BTreeSet::new());
    for inside in [0, 1, CAPACITY / 2, CAPACITY - 1, CAPACITY] {
        for (others_move, close_at) in (0..2 * PLACES).map(|n| (n % 2 == 1, n / 2)) {
            let ring = Ring::<u64, Spsc>::new(CAPACITY).unwrap();
            let mut filler = ring.producer().unwrap();
            (0..inside as u64).for_each(|value| filler.try_push(value).unwrap());
            drop(filler);
            // Handles that know nothing of the other side yet.
            let (mut call, mut other) = moves((ring.producer().unwrap(), ring.consumer().unwrap()));
            let mut at = 0;
            trace::set_thread(0);
            let _ = trace::take();
            let interrupted = trace::interrupted_by(move || {
                trace::set_thread(1);
                if at == close_at {
                    ring.close();
                }
                if others_move {
                    other();
                }
                at += 1;
                trace::set_thread(0);
            });
            answers.insert(call());
            drop(interrupted);
            let mine = |event: &&Event| matches!(event, Event::Access { thread: 0, .. });
            most = most.max(trace::take().iter().filter(mine).count());
        }
    }
    let _ = trace::take();
    (most, answers)
}

fn pushing(
    call: fn(&mut Producer<u64, Spsc>) -> Result<usize, TryPushError<()>>,
) -> (usize, BTreeSet<&'static str>) {
    worst(|(mut tx, mut rx)| {
        let call = move || match call(&mut tx) {
            Ok(_) => "done",
            Err(TryPushError::Full(())) => "full",
            Err(TryPushError::Busy(())) => "busy",
            Err(TryPushError::Closed(())) => "closed",
        };
        (Box::new(call), Box::new(move || drop(rx.try_pop())))
    })
}

fn popping(
    call: fn(&mut Consumer<u64, Spsc>) -> Result<usize, TryPopError>,
) -> (usize, BTreeSet<&'static str>) {
    worst(|(mut tx, mut rx)| {
        let call = move || match call(&mut rx) {
            Ok(_) => "done",
            Err(TryPopError::Empty) => "empty",
            Err(TryPopError::Busy) => "busy",
            Err(TryPopError::Closed) => "closed",
        };
        (Box::new(call), Box::new(move || drop(tx.try_push(7))))
    })
}

/// What the traits promise is what the calls do: no more in any state, and as many in one.
#[test]
fn spsc_calls_return_within_their_bound() {
    let _turn = ONE_AT_A_TIME.lock().unwrap();
    let mut bound = 0;
    let mut note = |call: &str, (most, answers): (usize, BTreeSet<&str>), refused: &str| {
        println!("{call}: {most} shared accesses at most; {answers:?}");
        assert_eq!(
            answers,
            BTreeSet::from(["done", refused, "closed"]),
            "{call}"
        );
        bound = bound.max(most);
    };
    let push = pushing(|tx| match tx.try_push(1) {
        Ok(()) => Ok(1),
        Err(TryPushError::Full(_)) => Err(TryPushError::Full(())),
        Err(TryPushError::Busy(_)) => Err(TryPushError::Busy(())),
        Err(TryPushError::Closed(_)) => Err(TryPushError::Closed(())),
    });
    note("try_push", push, "full");
    let run = pushing(|tx| tx.try_push_batch(&mut Batch::new([1, 2, 3])));
    note("try_push_batch", run, "full");
    note(
        "try_push_slice",
        pushing(|tx| tx.try_push_slice(&[1, 2, 3])),
        "full",
    );
    note("try_pop", popping(|rx| rx.try_pop().map(|_| 1)), "empty");
    let run = popping(|rx| rx.try_pop_batch(&mut Vec::new(), 3));
    note("try_pop_batch", run, "empty");
    let returns = traits::<Spsc>().returns;
    let promised = returns.split(' ').find_map(|word| word.parse().ok());
    assert_eq!(Some(bound), promised, "{returns}");
}

/// A wrong log is rejected, whatever is wrong with it.
#[test]
fn wrong_logs_are_rejected() {
    let _turn = ONE_AT_A_TIME.lock().unwrap();
    let good = corners::<Turn>();
    let steps = traits::<Turn>().steps;
    verify(&good, steps).unwrap();
    let find = |wanted: fn(&Event) -> bool| good.iter().position(wanted).expect("in the log");
    let is_publish = |e: &Event| {
        matches!(
            e,
            Event::Access {
                step: "PUSH_PUBLISH",
                ..
            }
        )
    };
    let is_load = |e: &Event| {
        matches!(
            e,
            Event::Access {
                kind: "load",
                step: "POP_TURN",
                ..
            }
        )
    };

    let mut without_a_store = good.clone();
    without_a_store.remove(find(is_publish));

    let mut with_another_value = good.clone();
    // Not the first access of its word: that one says what the word holds.
    let at = good.iter().rposition(is_load).expect("in the log");
    if let Event::Access { read, .. } = &mut with_another_value[at] {
        *read += 1;
    }

    let mut with_another_step = good.clone();
    if let Event::Access { step, .. } = &mut with_another_step[find(is_load)] {
        *step = "POP_SOMETHING";
    }

    let mut without_a_return = good.clone();
    without_a_return.remove(find(|e| matches!(e, Event::Return { .. })));

    let mut out_of_order = good.clone();
    // The publication before the claim it belongs to: its call reads the old turn.
    let at = find(is_publish);
    out_of_order.swap(at, at + 1);

    for (what, log) in [
        ("a store is missing", without_a_store),
        ("a value is wrong", with_another_value),
        ("a step is unknown", with_another_step),
        ("a return is missing", without_a_return),
        ("a step after its return", out_of_order),
    ] {
        match verify(&log, steps) {
            Ok(_) => panic!("{what}, and nobody noticed"),
            Err(fault) => println!("{what}: {fault}"),
        }
    }

    // And a log whose words are right and whose answers are not.
    let mut lies = good;
    let answer = lies.iter_mut().rev().find_map(|event| match event {
        Event::Return { outcome, value, .. } if *outcome == "ok" && *value == 1 => Some(value),
        _ => None,
    });
    *answer.expect("the pop of 1") = 2;
    verify(&lies, steps).unwrap();
    assert!(
        check(&history(&lies), &Spec::bounded(2)).is_err(),
        "a wrong answer was explained"
    );
}
