//! The fast checker against the exhaustive one, on very many tiny random histories.

use std::collections::{BTreeMap, HashSet};

use turtle_buffers::check::Op::*;
use turtle_buffers::check::{
    Event, History, INITIAL, Inside, Op, Spec, Violation, check, exhaustive,
};

use super::simulate::{Random, Shape, damage, nonsense, simulate};
use super::{list, name};

/// Random histories of each of the three kinds, for unbounded queues and again for bounded ones:
/// six times as many in all. `TURTLE_CHECK_ROUNDS` says another number; docs/checking.md has the
/// command for a long run.
fn rounds() -> u64 {
    let said = std::env::var("TURTLE_CHECK_ROUNDS").ok();
    said.map_or(
        if cfg!(miri) {
            30
        } else if cfg!(debug_assertions) {
            60_000
        } else {
            200_000
        },
        |number| number.parse().expect("TURTLE_CHECK_ROUNDS is a number"),
    )
}

#[derive(Default)]
struct Tally {
    correct: u64,
    found: BTreeMap<String, u64>,
    missed: u64,
}

impl Tally {
    /// Runs both checkers. `Ok` and `Err` may differ in one case only: the fast checker misses
    /// something, and the queue is bounded.
    fn compare(&mut self, seed: u64, history: &History, spec: &Spec) {
        let say = || format!("seed {seed}, {spec:?}:\n{}", list(history));
        match (check(history, spec), exhaustive(history, spec)) {
            (Ok(_), Ok(order)) => {
                self.correct += 1;
                for (i, a) in order.iter().enumerate() {
                    assert!(
                        order[i..]
                            .iter()
                            .all(|b| b.ret >= a.call || b.op == PopUnknown),
                        "not an order in time: {}",
                        say()
                    );
                }
            }
            (Err(violation), Ok(order)) => panic!("false alarm: {violation}\n{}{order:#?}", say()),
            (Err(violation), Err(_)) => {
                assert!(is_shown(&violation), "no proof: {violation}\n{}", say());
                let explainable = name(&violation) != "OrderCycle" || has_batch(history);
                assert!(
                    explainable,
                    "two elements would show it: {violation}\n{}",
                    say()
                );
                *self.found.entry(name(&violation)).or_default() += 1;
            }
            (Ok(_), Err(_)) => {
                assert!(
                    spec.capacity.is_some() || uses_the_exception(history),
                    "missed: {}",
                    say()
                );
                self.missed += 1;
            }
        }
    }

    fn wrong(&self) -> u64 {
        self.found.values().sum::<u64>() + self.missed
    }

    fn print(&self, title: &str) {
        let rate = 100.0 * self.missed as f64 / self.wrong().max(1) as f64;
        println!(
            "{title}: {} correct, {} wrong, missed {} ({rate:.3} %)",
            self.correct,
            self.wrong(),
            self.missed
        );
        println!("    {:?}", self.found);
    }
}

/// Whether the events in a violation show it, as far as they do by themselves.
fn is_shown(violation: &Violation) -> bool {
    let before = |a: &Event, b: &Event| a.ret < b.call;
    match violation {
        Violation::OrderInversion { first, second } => {
            let popped = second.pop.as_ref().unwrap();
            (first.push.thread == INITIAL || before(&first.push, &second.push))
                && first.pop.is_none_or(|pop| before(popped, &pop))
        }
        Violation::OrderCycle { elements } => {
            let distinct: HashSet<Op> = elements.iter().map(|e| e.push.op).collect();
            elements.len() > 1 && distinct.len() == elements.len()
        }
        Violation::FalseEmpty { empty, inside } => {
            let in_time = |e: &Inside| !before(empty, &e.push);
            let still_in = |e: &Inside| e.pop.is_none_or(|pop| !before(&pop, empty));
            !inside.is_empty() && inside.iter().all(|e| in_time(e) && still_in(e))
        }
        Violation::FalseFull {
            full,
            capacity,
            most,
        } => full.op == PushFull && capacity.is_some_and(|c| *most < c),
        Violation::OverCapacity { capacity, inside } => {
            let apart = |a: &Inside, b: &Inside| a.pop.is_some_and(|pop| before(&pop, &b.push));
            inside.len() == capacity + 1
                && inside.iter().all(|a| inside.iter().all(|b| !apart(a, b)))
        }
        Violation::ClosedWithItems { answer, inside } => {
            inside.pop.is_none_or(|pop| before(answer, &pop))
        }
        Violation::AcceptedAfterClose { push, closed } => before(closed, push),
        Violation::ClosedTooEarly { answer, close } => close.is_none_or(|c| before(answer, &c)),
        Violation::PoppedBeforePush { push, pop } => before(pop, push),
        _ => true,
    }
}

/// Whether one call moved several elements.
fn has_batch(history: &History) -> bool {
    let moves = |e: &&Event| matches!(e.op, Push(_) | Pop(_));
    let calls: Vec<_> = history
        .events()
        .iter()
        .filter(moves)
        .map(|e| (e.thread, e.call, e.ret))
        .collect();
    calls.iter().collect::<HashSet<_>>().len() < calls.len()
}

/// The documented exception: a batch of pushes one of which was never popped, and a pop with
/// unknown answer that may have taken it.
fn uses_the_exception(history: &History) -> bool {
    let events = history.events();
    let popped = |value| events.iter().any(|e| e.op == Pop(value));
    let stayed = |e: &&Event| matches!(e.op, Push(value) if !popped(value));
    let in_batch = |a: &Event| {
        let mate = |b: &&Event| {
            matches!(b.op, Push(_))
                && *b != a
                && (a.thread, a.call, a.ret) == (b.thread, b.call, b.ret)
        };
        events.iter().any(|b| mate(&b))
    };
    events.iter().any(|e| e.op == PopUnknown) && events.iter().filter(stayed).any(in_batch)
}

fn small(random: &mut Random, capacity: Option<usize>) -> Shape {
    let or_never = |random: &mut Random, n| if random.one_in(2) { n } else { 0 };
    let room = capacity.unwrap_or(2).min(2);
    Shape {
        events: 2 + random.below(8),
        threads: 1 + random.below(4),
        capacity,
        batches: or_never(random, 4),
        deaths: or_never(random, 24),
        closes: or_never(random, 8),
        coarse: 1 + random.below(2),
        initial: if random.one_in(4) {
            random.below(room + 1)
        } else {
            0
        },
    }
}

/// Correct histories, damaged ones and nonsense; `bounded` decides about capacity and Full.
fn tally(bounded: bool) -> [Tally; 3] {
    let mut tallies = [Tally::default(), Tally::default(), Tally::default()];
    for seed in 0..rounds() {
        let mut random = Random::new(seed);
        let capacity = bounded.then(|| 1 + random.below(3));
        let shape = small(&mut random, capacity);
        let (history, spec) = simulate(&mut random, shape);
        tallies[0].compare(seed, &history, &spec);
        let damaged = damage(&mut random, &history, bounded);
        tallies[1].compare(seed, &damaged, &spec);
        let nonsense = nonsense(
            &mut random,
            2 + seed as usize % 7,
            1 + seed as usize % 4,
            bounded,
        );
        tallies[2].compare(
            seed,
            &nonsense,
            &Spec {
                capacity,
                ..Spec::default()
            },
        );
    }
    tallies
}

fn examine(title: &str, tallies: [Tally; 3]) -> BTreeMap<String, u64> {
    let [correct, damaged, nonsense] = tallies;
    correct.print(&format!("{title}, correct"));
    damaged.print(&format!("{title}, damaged"));
    nonsense.print(&format!("{title}, nonsense"));
    assert_eq!(correct.wrong(), 0, "a simulated correct queue");
    assert_eq!(correct.correct, rounds());
    let mut found = damaged.found;
    for (reason, count) in nonsense.found {
        *found.entry(reason).or_default() += count;
    }
    if !cfg!(miri) {
        assert!(
            damaged.correct > rounds() / 10 && nonsense.correct > rounds() / 100,
            "too few correct ones to mean anything"
        );
    }
    found
}

const REASONS: [&str; 10] = [
    "NeverPushed",
    "PoppedBeforePush",
    "PoppedTwice",
    "OrderInversion",
    "OrderCycle",
    "FalseEmpty",
    "UnjustifiedBusy",
    "ClosedTooEarly",
    "AcceptedAfterClose",
    "ClosedWithItems",
];

#[test]
fn unbounded_verdicts_equal_the_exhaustive_ones() {
    let found = examine("unbounded", tally(false));
    if !cfg!(miri) {
        for reason in REASONS.into_iter().chain(["Lost"]) {
            assert!(
                found.get(reason).is_some_and(|&n| n > 10),
                "{reason} was hardly ever met: {found:?}"
            );
        }
    }
}

#[test]
fn bounded_verdicts_are_never_false_alarms() {
    let found = examine("bounded", tally(true));
    if !cfg!(miri) {
        for reason in REASONS
            .into_iter()
            .chain(["Lost", "FalseFull", "OverCapacity"])
        {
            assert!(
                found.get(reason).is_some_and(|&n| n > 10),
                "{reason} was hardly ever met: {found:?}"
            );
        }
    }
}
