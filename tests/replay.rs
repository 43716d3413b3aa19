//! Records runs of the exchange ring, access by access, for the checker that is
//! extracted from its model (`proofs/wait_free`, `proofs/explore`).
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
use std::path::PathBuf;
use std::rc::Rc;

use common::Answer;
use common::raw::{Popper, Pusher, RawQueue};
use turtle_buffers::atomic::cost::{Schedule, Simulation};
use turtle_buffers::atomic::trace::{self, Event};
use turtle_buffers::strategy::WaitFree;

/// Runs that are recorded.
const RUNS: u64 = 2000;
/// Participants of a side that the rings are made for.
const TURNS: usize = 4;
/// Elements of the longest run of words.
const LONGEST: usize = 8;

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    One,
    Run(usize),
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

fn actors(dice: &mut Dice) -> Vec<Actor> {
    let (producers, consumers) = (1 + dice.below(2) as usize, 1 + dice.below(2) as usize);
    let same = [None, Some(0), Some(1)][dice.below(3) as usize];
    let closer = dice.below(5) == 0;
    (0..producers + consumers)
        .map(|number| {
            let pushes = number < producers;
            let mut acts: Vec<_> = (0..8 + dice.below(24))
                .map(|_| match dice.below(4) {
                    0 => Act::Run(1 + dice.below(4) as usize),
                    _ => Act::One,
                })
                .collect();
            if closer && number == 0 {
                acts.push(Act::Close);
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

fn said(answer: Answer) -> (&'static str, Vec<u64>) {
    match answer {
        Answer::Ok => ("pushed", vec![1]),
        Answer::Pushed(n) => ("pushed", vec![n as u64]),
        Answer::Got(value) => ("popped", vec![value]),
        Answer::Run(values, n) => ("popped", values[..n].to_vec()),
        Answer::Full => ("full", vec![]),
        Answer::Empty => ("empty", vec![]),
        Answer::Closed => ("closed", vec![]),
        Answer::Busy => panic!("never"),
    }
}

/// Calls and answers are kept by the threads: a trace has one number for each.
type Said = Vec<(String, String)>;

/// What one participant says of its calls, and what it has in the end.
type Saying = Rc<RefCell<Vec<Said>>>;

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

enum Hand {
    Pushes(Pusher<WaitFree>),
    Pops(Popper<WaitFree>),
}

/// Makes one call; what it was, and what came of it.
fn act(act: Act, hand: &mut Hand, queue: &RawQueue<WaitFree>, next: &mut u64) -> (String, String) {
    let mut values = |n: usize| -> Vec<u64> {
        *next += n as u64;
        (*next - n as u64..*next).collect()
    };
    let list = |values: &[u64]| -> String { values.iter().map(|v| format!(" {v}")).collect() };
    let (call, answer) = match (act, hand) {
        (Act::Close, _) => {
            assert!(queue.seal());
            return ("close".into(), "sealed".into());
        }
        (Act::One, Hand::Pushes(pusher)) => {
            let value = values(1)[0];
            (format!("push {value}"), pusher.push(value))
        }
        (Act::Run(n), Hand::Pushes(pusher)) => {
            let values = values(n);
            let answer = pusher.push_copies(&values);
            (format!("push_run{}", list(&values)), answer)
        }
        (Act::One, Hand::Pops(popper)) => ("pop".into(), popper.pop()),
        (Act::Run(n), Hand::Pops(popper)) => (format!("pop_run {n}"), popper.pop_copies(n)),
    };
    let (what, values) = said(answer);
    (call, format!("{what}{}", list(&values)))
}

fn record(number: u64) -> String {
    let mut dice = Dice(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    dice.below(2);
    let capacity = 1 + dice.below(4) as usize;
    let actors = actors(&mut dice);
    let queue = RawQueue::<WaitFree>::with(capacity, TURNS);
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
    let all: Saying = Rc::new(RefCell::new(vec![Said::new(); actors.len()]));
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
            let (call, answer) = core.call("call", || act(*what, &mut hand, &queue, &mut next));
            trace::ret("ok", 0);
            if matches!(&answer[..], "full" | "empty" | "closed") {
                core.refused();
            }
            saying.borrow_mut()[me].push((call, answer));
        }
        kept.borrow_mut()[me] = Some(hand);
    });
    let events = trace::take();
    drop(hands);
    let _ = trace::take();
    text(capacity, &actors, &events, &all.borrow())
}

/// The lines of a trace; what they mean is at the head of `proofs/explore/replay.ml`.
fn text(capacity: usize, actors: &[Actor], events: &[Event], said: &[Said]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "wait_free capacity {capacity} slots {} turns {TURNS} longest {LONGEST}",
        capacity + LONGEST - 1
    );
    for actor in actors {
        let side = if actor.pushes { "push" } else { "pop" };
        let _ = writeln!(
            text,
            "actor {side} {} patience {}",
            actor.place, actor.patience
        );
    }
    let mut next = vec![0; actors.len()];
    for event in events {
        let _ = match event {
            Event::Call { thread, .. } => {
                let (call, _) = &said[*thread as usize][next[*thread as usize]];
                writeln!(text, "c {thread} {call}")
            }
            Event::Return { thread, .. } => {
                let (_, answer) = &said[*thread as usize][next[*thread as usize]];
                next[*thread as usize] += 1;
                writeln!(text, "r {thread} {answer}")
            }
            Event::Fence { thread, step } => writeln!(text, "f {thread} {step}"),
            Event::Access {
                thread,
                step,
                kind,
                word,
                read,
                written,
                done,
            } => writeln!(
                text,
                "a {thread} {step} {kind} {word:x} {read:x} {written:x} {}",
                u8::from(*done)
            ),
        };
    }
    text
}

#[test]
fn runs_are_recorded() {
    let folder = std::env::var_os("TURTLE_TRACES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/traces"),
        PathBuf::from,
    );
    std::fs::create_dir_all(&folder).expect("a folder for the traces");
    let mut events = 0;
    for number in 0..RUNS {
        let text = record(number);
        events += text.lines().count();
        let file = folder.join(format!("wait_free-{number:04}.trace"));
        std::fs::write(file, text).expect("room for a trace");
    }
    println!("{RUNS} runs, {events} events");
    assert!(events as u64 > 100 * RUNS, "{events}");
}
