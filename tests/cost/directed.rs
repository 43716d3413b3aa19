//! Schedules by hand, for what few draws would ever find: a helper that is late
//! by four operations, many helpers that are late together, participants that
//! are killed before any of their accesses.
//!
//! For each there is a mutant of the engine that it catches.

use std::cell::RefCell;
use std::rc::Rc;

use turtle_buffers::atomic::cost::{Schedule, Simulation, Turn, Until};
use turtle_buffers::strategy::{Engine, Geometry, Turn as TurnRing, Typed, WaitFree};

use crate::common::Answer;
use crate::common::raw::RawQueue;

/// A ring such as lies in shared memory: what is tried is written down.
fn shared(capacity: usize, participants: usize, patience: u32) -> RawQueue<WaitFree> {
    let mut geometry = Geometry::new(capacity, Typed::new(), true);
    geometry.participants = participants;
    geometry.patience = patience;
    RawQueue::of(geometry)
}

fn by(turns: Vec<Turn>) -> Simulation {
    Simulation {
        schedule: Schedule::Script(turns.leak()),
        ..Simulation::new(1)
    }
}

fn turn(core: usize, until: Until) -> Turn {
    Turn { core, until }
}

/// A pop looks at the oldest element to see whether it wants it. Meanwhile that
/// is popped, and its slot filled again: what is declined must be the oldest.
fn declined_is_the_oldest<E: Engine>() {
    let queue = RawQueue::<E>::new(2);
    let (mut pusher, mut popper, mut other) = (queue.pusher(), queue.popper(), queue.popper());
    assert_eq!([pusher.push(2), pusher.push(3)], [Answer::Ok, Answer::Ok]);
    let mut turns = 0;
    let meanwhile = || {
        if turns == 0 {
            assert_eq!(other.pop(), Answer::Got(2));
            assert_eq!(pusher.push(100), Answer::Ok);
        }
        turns += 1;
    };
    let got = popper.pop_if_after(meanwhile, |value| value < 10);
    assert!(matches!(got, Ok(Some(3))), "{got:?}");
    // And it still declines: 100 is the oldest now.
    let got = popper.pop_if(|value| value < 10);
    assert!(matches!(got, Ok(None)), "{got:?}");
    assert_eq!(queue.left(), [100]);
}

#[test]
fn turn_declines_the_oldest() {
    declined_is_the_oldest::<TurnRing>();
}

#[test]
fn wait_free_declines_the_oldest() {
    declined_is_the_oldest::<WaitFree>();
}

/// A helper has read that a pop of A waits to be decided, and is late. A ends it
/// and three more, all refused; two bits do not tell the next one from the first.
/// That one is for nobody else to decide, and the helper must not.
fn a_help_for_an_older_operation() -> Result<(), String> {
    const A: usize = 0;
    const HELPER: usize = 1;
    const PUSHES: usize = 2;
    const OTHER: usize = 3;
    let queue = shared(8, 4, 8);
    let left = queue.clone();
    let popped = Rc::new(RefCell::new(Vec::new()));
    let seen = popped.clone();
    let to_the_end = Until::Completed(9);
    let simulation = by(vec![
        turn(A, Until::Before("OWN_STATE")),
        turn(HELPER, Until::Before("PENDING_STATE")),
        turn(HELPER, Until::Before("SLOT_LOOK")),
        turn(A, Until::Completed(4)),
        turn(PUSHES, to_the_end),
        turn(A, Until::Before("CLAIM")),
        turn(OTHER, Until::Completed(1)),
        turn(HELPER, Until::Completed(1)),
        turn(A, to_the_end),
    ]);
    let _ = simulation.run(4, move |core| {
        if core.id() == PUSHES {
            let mut pusher = queue.pusher();
            core.call("push", || pusher.push_copies(&[10, 11]));
            return;
        }
        let mut popper = queue.popper();
        let pop = |popper: &mut _| {
            let popper: &mut crate::common::raw::Popper<WaitFree> = popper;
            if let Answer::Got(value) = core.call("pop", || popper.pop()) {
                seen.borrow_mut().push(value);
            }
        };
        if core.id() == A {
            popper.patient(0);
            for _ in 0..4 {
                pop(&mut popper);
            }
            popper.patient(8);
        }
        if core.id() == HELPER {
            popper.patient(0);
        }
        pop(&mut popper);
    });
    let mut all = popped.borrow().clone();
    all.extend(left.left());
    all.sort_unstable();
    if all != [10, 11] {
        return Err(format!("popped and left: {all:?}, not 10 and 11"));
    }
    left.audit()
}

/// As many helpers as `late` have read that a pop of A waits to be decided, and
/// come one after another, long after A was refused, while somebody pops: how
/// many accesses that takes.
fn late_helpers(late: usize) -> u64 {
    const A: usize = 0;
    const PUSHES: usize = 1;
    const VICTIM: usize = 2;
    const FIRST: usize = 3;
    let mut geometry = Geometry::new(64, Typed::<u64>::new(), false);
    geometry.participants = late + 2;
    let queue = RawQueue::<WaitFree>::of(geometry);
    let mut turns = vec![
        turn(A, Until::Before("WITHDRAW")),
        turn(PUSHES, Until::Completed(9)),
    ];
    turns.extend((0..late).map(|i| turn(FIRST + i, Until::Before("CLAIM"))));
    turns.push(turn(A, Until::Completed(1)));
    turns.push(turn(VICTIM, Until::Before("CLAIM")));
    for i in 0..late {
        turns.push(turn(FIRST + i, Until::Made(1)));
        turns.push(turn(VICTIM, Until::Before("CLAIM")));
    }
    turns.push(turn(VICTIM, Until::Completed(1)));
    let report = by(turns).run(late + 3, move |core| {
        if core.id() == PUSHES {
            let mut pusher = queue.pusher();
            for value in 0..32 {
                core.call("push", || pusher.push(value));
            }
            return;
        }
        let patience = if core.id() >= FIRST { 8 } else { 0 };
        let mut popper = queue.patient(patience).popper();
        let name = if core.id() == VICTIM { "victim" } else { "pop" };
        core.call(name, || popper.pop());
    });
    report.calls("victim").most
}

fn late_helpers_cost_the_same() -> Result<(), String> {
    let most = [1, 4, 16].map(late_helpers);
    println!("accesses beside 1, 4, 16 late helpers: {most:?}");
    if most.iter().all(|n| *n <= most[0] + 8) {
        Ok(())
    } else {
        Err(format!(
            "each late helper costs a call: {most:?} accesses beside 1, 4, 16"
        ))
    }
}

#[test]
fn late_help() {
    a_help_for_an_older_operation().expect("a queue");
    late_helpers_cost_the_same().expect("one attempt, however many are late");
}

#[cfg(turtle_mutate)]
mod mutants {
    use super::{a_help_for_an_older_operation, late_helpers_cost_the_same};
    use crate::left_out::without;

    #[test]
    fn the_record_before_the_slot() {
        let said = without(
            "SLOT_FIRST",
            "directed::mutants::the_record_before_the_slot",
            a_help_for_an_older_operation,
        );
        println!("the record read before the slot: {said:?}");
    }

    #[test]
    fn a_dead_claim_rolled_back() {
        let said = without(
            "DEAD_STAYS",
            "directed::mutants::a_dead_claim_rolled_back",
            late_helpers_cost_the_same,
        );
        println!("a dead claim rolled back: {said:?}");
    }
}
