//! Records runs of the engines, access by access, for the checkers that are
//! extracted from their models (`proofs`).
//!
//! `RUSTFLAGS="--cfg turtle_trace --cfg turtle_cost" cargo test --release --test replay`
//! writes `$TURTLE_TRACES/*.trace` (`target/traces` if that is not set), one line
//! an event; `scripts/test-proofs.sh` has them replayed. Here it is checked that
//! something was recorded; whether the model allows it, is checked there.
//!
//! The participants are simulated cores (`src/atomic/cost.rs`): any schedule can
//! be drawn, and the same numbers give the same runs.
#![cfg(all(turtle_trace, turtle_cost))]

mod common;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use common::clients::traits;
use common::raw::{Popper, Pusher, RawQueue};
use common::{Answer, Dice};
use turtle_buffers::atomic::cost::{Schedule, Simulation};
use turtle_buffers::atomic::trace::{self, Event};
use turtle_buffers::strategy::{Arity, Engine, Spsc, Turn, WaitFree};

/// The recorder is one for the process: engines take turns.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Participants of a side that rings of `wait_free` are made for.
const TURNS: usize = 4;
/// Elements of its longest run of words.
const LONGEST: usize = 8;

#[derive(Clone, Copy, Debug)]
enum Act {
    One,
    Run(usize),
    /// Element by element where the engine can.
    Each(usize),
    /// As the C interface does it.
    Straight,
    /// Claimed and given back.
    Back,
    /// Lengths.
    Look,
    Close,
}

/// One participant: whether it pushes, its place, how patient it is, what it does.
#[derive(Clone, Debug)]
struct Actor {
    pushes: bool,
    place: usize,
    patience: u32,
    acts: Vec<Act>,
}

fn actors(dice: &mut Dice, arity: Arity, voids: bool) -> Vec<Actor> {
    let straight = arity == Arity::One;
    let most_of_a_side = if straight { 1 } else { 2 };
    let mut side = || 1 + dice.below(most_of_a_side) as usize;
    let (producers, consumers) = (side(), side());
    let same = [None, Some(0), Some(1)][dice.below(3) as usize];
    // Most runs are short, because a ring is closed once.
    let (least, most) = [(1, 4), (1, 8), (8, 24)][dice.below(3) as usize];
    let closers = dice.below(3);
    (0..producers + consumers)
        .map(|number| {
            let pushes = number < producers;
            let mut acts: Vec<_> = (0..least + dice.below(most))
                .map(|_| match dice.below(8) {
                    0 => Act::Run(1 + dice.below(4) as usize),
                    1 => Act::Each(1 + dice.below(4) as usize),
                    2 if voids && pushes => Act::Back,
                    3 if straight => Act::Straight,
                    4 if voids || straight => Act::Look,
                    _ => Act::One,
                })
                .collect();
            if pushes && (number as u64) < closers {
                let at = dice.below(acts.len() as u64 + 1) as usize;
                acts.insert(at, Act::Close);
            }
            Actor {
                pushes,
                place: if pushes { number } else { number - producers },
                patience: same.unwrap_or([0, 1, 2, 8][dice.below(4) as usize]),
                acts,
            }
        })
        .collect()
}

fn schedule(dice: &mut Dice) -> Schedule {
    match dice.below(6) {
        0 => Schedule::Random,
        1 => Schedule::Bursts { most: 3 },
        2 => Schedule::Bursts { most: 30 },
        3 => Schedule::Drowsy {
            calls: 1 + dice.below(6),
        },
        4 => Schedule::StarveRmw {
            calls: 1 + dice.below(3),
        },
        _ => Schedule::Priorities {
            changes: 60,
            within: 1500,
        },
    }
}

/// A call, and what came of it. A trace has one number for each, so they are
/// kept beside it.
#[derive(Clone, Debug)]
enum Call {
    Push(Vec<u64>),
    /// A push of these, or a pop.
    Straight(Vec<u64>),
    Back,
    Look,
    Pop(usize),
    Close,
}

type Said = Vec<(Call, bool, Answer)>;

enum Hand<E: Engine> {
    Pushes(Pusher<E>),
    Pops(Popper<E>),
}

/// Makes one call; whether it was one for a run, too.
fn act<E: Engine>(
    act: Act,
    hand: &mut Hand<E>,
    queue: &RawQueue<E>,
    next: &mut u64,
) -> (Call, bool, Answer) {
    let mut values = |n: usize| -> Vec<u64> {
        *next += n as u64;
        (*next - n as u64..*next).collect()
    };
    match (act, hand) {
        (Act::Close, _) => {
            let sealed = queue.seal();
            (
                Call::Close,
                false,
                if sealed { Answer::Ok } else { Answer::Busy },
            )
        }
        (Act::Look, _) => {
            let _ = (queue.positions(), queue.is_sealed());
            (Call::Look, false, Answer::Ok)
        }
        (Act::One, Hand::Pushes(pusher)) => {
            let values = values(1);
            let answer = pusher.push(values[0]);
            (Call::Push(values), false, answer)
        }
        (Act::Straight, Hand::Pushes(pusher)) => {
            let values = values(1);
            let answer = pusher.push_straight(values[0]);
            (Call::Straight(values), false, answer)
        }
        (Act::Straight, Hand::Pops(popper)) => {
            (Call::Straight(vec![]), false, popper.pop_straight())
        }
        (Act::Run(n), Hand::Pushes(pusher)) => {
            let values = values(n);
            let answer = pusher.push_copies(&values);
            (Call::Push(values), true, answer)
        }
        (Act::Each(n), Hand::Pushes(pusher)) => {
            let values = values(n);
            let answer = pusher.push_run(&values);
            (Call::Push(values), true, answer)
        }
        (Act::Back, Hand::Pushes(pusher)) => {
            let answer = pusher.claim();
            if answer == Answer::Ok {
                pusher.abandon();
            }
            (Call::Back, true, answer)
        }
        (Act::One | Act::Back, Hand::Pops(popper)) => (Call::Pop(1), false, popper.pop()),
        (Act::Run(n), Hand::Pops(popper)) => (Call::Pop(n), true, popper.pop_copies(n)),
        (Act::Each(n), Hand::Pops(popper)) => (Call::Pop(n), true, popper.pop_run(n)),
    }
}

/// How a checker wants to read a run.
struct Dialect {
    capacity: usize,
    actors: Vec<Actor>,
    events: Vec<Event>,
    said: Vec<Said>,
}

fn record<E: Engine>(number: u64, voids: bool) -> Dialect {
    let mut dice = Dice::of(number);
    let capacity = 1 + dice.below(4) as usize;
    let mut actors = actors(&mut dice, traits::<E>().producers, voids);
    if traits::<E>().records {
        // Its elements one by one are single pushes: another call for the model.
        for act in actors.iter_mut().flat_map(|actor| &mut actor.acts) {
            if let Act::Each(n) = *act {
                *act = Act::Run(n);
            }
        }
    }
    let queue = RawQueue::<E>::with(capacity, TURNS);
    // Made in order, and before anything is recorded.
    let hands: Vec<_> = actors
        .iter()
        .map(|actor| {
            let queue = queue.patient(actor.patience);
            Some(match actor.pushes {
                true => Hand::Pushes(queue.pusher()),
                false => Hand::Pops(queue.popper()),
            })
        })
        .collect();
    let hands = Rc::new(RefCell::new(hands));
    let all = Rc::new(RefCell::new(vec![Said::new(); actors.len()]));
    let simulation = Simulation {
        schedule: schedule(&mut dice),
        ..Simulation::new(number)
    };
    trace::set_thread(0);
    let _ = trace::take();
    let (cores, saying, kept) = (actors.clone(), all.clone(), hands.clone());
    let _ = simulation.run(actors.len(), move |core| {
        let me = core.id();
        let mut hand = kept.borrow_mut()[me].take().expect("one each");
        let mut next = 1000 * (me as u64 + 1);
        for what in &cores[me].acts {
            trace::call("call", 0);
            let made = core.call("call", || act(*what, &mut hand, &queue, &mut next));
            trace::ret("ok", 0);
            if matches!(
                made.2,
                Answer::Full | Answer::Empty | Answer::Closed | Answer::Busy
            ) {
                core.refused();
            }
            saying.borrow_mut()[me].push(made);
        }
        kept.borrow_mut()[me] = Some(hand);
    });
    let events = trace::take();
    drop(hands);
    let _ = trace::take();
    let said = all.take();
    Dialect {
        capacity,
        actors,
        events,
        said,
    }
}

fn list(values: &[u64]) -> String {
    values.iter().map(|value| format!(" {value}")).collect()
}

impl Dialect {
    /// The events, calls and answers in the words of `call` and `answer`.
    fn lines(
        &self,
        text: &mut String,
        call: impl Fn(&(Call, bool, Answer)) -> String,
        answer: impl Fn(&(Call, bool, Answer)) -> String,
        fence: &str,
        access: impl Fn(u32, &str, &str, usize, [u64; 2], bool) -> String,
    ) {
        let mut next = vec![0; self.actors.len()];
        for e in &self.events {
            let line = match e {
                Event::Call { thread, .. } => {
                    let thread = *thread as usize;
                    call(&self.said[thread][next[thread]]).replace("THREAD", &thread.to_string())
                }
                Event::Return { thread, .. } => {
                    let thread = *thread as usize;
                    next[thread] += 1;
                    answer(&self.said[thread][next[thread] - 1])
                        .replace("THREAD", &thread.to_string())
                }
                Event::Fence { thread, step } => format!("{fence} {thread} {step}"),
                Event::Access {
                    thread,
                    step,
                    kind,
                    word,
                    read,
                    written,
                    done,
                } => access(*thread, step, kind, *word, [*read, *written], *done),
            };
            let _ = writeln!(text, "{line}");
        }
    }

    /// As `proofs/explore/replay.ml` reads it.
    fn of_wait_free(&self) -> String {
        let mut text = format!(
            "wait_free capacity {} slots {} turns {TURNS} longest {LONGEST}\n",
            self.capacity,
            self.capacity + LONGEST - 1
        );
        for actor in &self.actors {
            let side = if actor.pushes { "push" } else { "pop" };
            let (place, patience) = (actor.place, actor.patience);
            let _ = writeln!(text, "actor {side} {place} patience {patience}");
        }
        let call = |(call, run, _): &(Call, bool, Answer)| match call {
            Call::Push(values) if *run => format!("c THREAD push_run{}", list(values)),
            Call::Push(values) => format!("c THREAD push{}", list(values)),
            Call::Pop(n) if *run => format!("c THREAD pop_run {n}"),
            Call::Pop(_) => "c THREAD pop".into(),
            Call::Close => "c THREAD close".into(),
            Call::Straight(_) | Call::Back | Call::Look => {
                unreachable!("nothing of its own for this engine")
            }
        };
        let answer = |(call, _, answer): &(Call, bool, Answer)| match (call, answer) {
            (Call::Close, _) => "r THREAD sealed".into(), // always at once
            (_, Answer::Ok) => "r THREAD pushed 1".into(),
            (_, Answer::Pushed(n)) => format!("r THREAD pushed {n}"),
            (_, Answer::Got(value)) => format!("r THREAD popped {value}"),
            (_, Answer::Run(values, n)) => format!("r THREAD popped{}", list(&values[..*n])),
            (_, Answer::Full) => "r THREAD full".into(),
            (_, Answer::Empty) => "r THREAD empty".into(),
            (_, Answer::Closed) => "r THREAD closed".into(),
            (_, Answer::Busy) => panic!("never"),
        };
        let access = |thread, step: &str, kind: &str, word, [read, written]: [u64; 2], done| {
            let done = u8::from(done);
            format!("a {thread} {step} {kind} {word:x} {read:x} {written:x} {done}")
        };
        self.lines(&mut text, call, answer, "f", access);
        text
    }

    /// As `proofs/replay/driver.ml` reads it.
    fn of(&self, engine: &str) -> String {
        let mut text = format!("ring {engine} {}\n", self.capacity);
        let call = |(call, run, _): &(Call, bool, Answer)| match call {
            Call::Push(values) if *run => format!("call THREAD push_run{}", list(values)),
            Call::Push(values) => format!("call THREAD push{}", list(values)),
            Call::Back => "call THREAD push_run -".into(),
            Call::Straight(values) if values.is_empty() => "call THREAD pop_straight".into(),
            Call::Straight(values) => format!("call THREAD push_straight{}", list(values)),
            Call::Pop(n) if *run => format!("call THREAD pop_run {n}"),
            Call::Pop(_) => "call THREAD pop".into(),
            Call::Close => "call THREAD close".into(),
            Call::Look => "call THREAD look".into(),
        };
        let answer = |(call, run, answer): &(Call, bool, Answer)| match (call, answer) {
            (Call::Back, Answer::Ok) => "return THREAD run 0".into(),
            (_, Answer::Ok) => "return THREAD ok".into(),
            (_, Answer::Pushed(n)) => format!("return THREAD run {n}"),
            (_, Answer::Got(value)) if !run => format!("return THREAD ok {value}"),
            (_, Answer::Got(value)) => format!("return THREAD run {value}"),
            (_, Answer::Run(values, n)) => format!("return THREAD run{}", list(&values[..*n])),
            (_, Answer::Full) => "return THREAD full".into(),
            (_, Answer::Empty) => "return THREAD empty".into(),
            (_, Answer::Closed) => "return THREAD closed".into(),
            (_, Answer::Busy) => "return THREAD busy".into(),
        };
        let access = |thread, step: &str, kind: &str, word, [read, written]: [u64; 2], done| {
            let what = match kind {
                "load" => format!("{read}"),
                "store" => format!("{written}"),
                "cas" if done => format!("{read} {written} done"),
                "cas" => format!("{read} {written} lost"),
                _ => format!("{read} {written}"),
            };
            format!("access {thread} {step} {kind} {word} {what}")
        };
        self.lines(&mut text, call, answer, "fence", access);
        text
    }
}

/// Records so many runs into one file.
fn runs(name: &str, runs: u64, run: impl Fn(u64) -> String) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = std::env::var_os("TURTLE_TRACES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/traces"),
        PathBuf::from,
    );
    std::fs::create_dir_all(&folder).expect("a folder for the traces");
    let file = std::fs::File::create(folder.join(name)).expect("a file");
    let mut file = std::io::BufWriter::new(file);
    let mut events = 0;
    for number in 0..runs {
        let text = run(number);
        events += text.lines().count();
        file.write_all(text.as_bytes()).expect("room for a trace");
    }
    file.flush().expect("room for a trace");
    println!("{name}: {runs} runs, {events} events");
    assert!(events as u64 > 50 * runs, "{events}");
}

#[test]
fn runs_of_wait_free() {
    runs("wait_free.trace", 12_000, |number| {
        record::<WaitFree>(number, false).of_wait_free()
    });
}

#[test]
fn runs_of_spsc() {
    runs("spsc.trace", 6000, |number| {
        record::<Spsc>(number, false).of("spsc")
    });
}

#[test]
fn runs_of_turn() {
    runs("turn.trace", 3000, |number| {
        record::<Turn>(number, true).of("turn")
    });
}
