//! The most accesses to shared words that one call makes when the schedule is
//! against it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use turtle_buffers::atomic::cost::{Report, Schedule, Simulation, VICTIM};
use turtle_buffers::strategy::{Arity, Engine, Geometry, Typed};

use crate::common::Answer;
use crate::common::clients::traits;
use crate::common::raw::RawQueue;
use crate::{items, page};

/// Calls of all together in one run, about.
const CALLS: usize = 1200;

/// Participants.
const CROWDS: [usize; 6] = [2, 4, 8, 16, 32, 64];

/// A run of `cores` participants, of which `poppers` pop; the victim, core 0,
/// pops if `pops`, else it pushes.
fn run<E: Engine>(
    queue: RawQueue<E>,
    simulation: Simulation,
    cores: usize,
    poppers: usize,
    pops: bool,
) -> Report {
    let calls = (CALLS / cores).max(16);
    simulation.run(cores, move |core| {
        let from_the_end = cores - 1 - core.id();
        let popping = if pops { core.id() } else { from_the_end } < poppers;
        if popping {
            let mut popper = queue.popper();
            for _ in 0..calls {
                if !matches!(core.call("pop", || popper.pop()), Answer::Got(_)) {
                    core.refused();
                }
            }
            return;
        }
        let mut pusher = queue.pusher();
        for value in 0..calls {
            if core.call("push", || pusher.push(value as u64)) != Answer::Ok {
                core.refused();
            }
        }
    })
}

fn adversaries(n: usize) -> Vec<Schedule> {
    let calls = n as u64;
    vec![
        Schedule::Starve { calls: 1 },
        Schedule::Starve { calls },
        Schedule::StarveRmw { calls: 1 },
        Schedule::StarveRmw { calls },
        Schedule::Drowsy { calls: 1 },
        Schedule::Drowsy { calls },
        Schedule::Random,
        Schedule::Bursts { most: 30 },
        Schedule::Priorities {
            changes: 30,
            within: 8000,
        },
    ]
}

/// The worst call found, and how.
#[derive(Clone, Debug, Default)]
struct Worst {
    most: u64,
    how: String,
}

/// How long to look: `TURTLE_COST_SEEDS=20` looks 20 times as long, and then
/// what was found is printed and not compared with the page.
fn seeds() -> u64 {
    let asked = std::env::var("TURTLE_COST_SEEDS");
    asked.map_or(1, |n| n.parse().expect("a number of seeds"))
}

fn worst<E: Engine>(n: usize, patience: Option<u32>) -> Worst {
    let mut worst = Worst::default();
    let mut crowds = vec![n / 2, 1, n - 1];
    crowds.dedup();
    let tries = (0..seeds()).flat_map(|seed| adversaries(n).into_iter().map(move |a| (seed, a)));
    for (seed, schedule) in tries {
        for capacity in [1, 2, n, (4 * n).max(64)] {
            for &poppers in &crowds {
                for pops in [false, true] {
                    let simulation = Simulation {
                        schedule,
                        ..Simulation::new((capacity + poppers) as u64 + 1000 * seed)
                    };
                    let queue = items::ring::<E>(capacity, n, patience);
                    let most = run(queue, simulation, n, poppers, pops).most();
                    if most > worst.most {
                        let how = format!(
                            "`{schedule:?}`, capacity {capacity}, {} + {poppers}",
                            n - poppers
                        );
                        worst = Worst { most, how };
                    }
                }
            }
        }
    }
    worst
}

/// What a call may cost, as the engine's module doc promises it; `None` where
/// the others may hold it up for ever.
///
/// `spsc`: 14, of which 1 is the face's.
///
/// `wait_free`, n participants, single elements. Before it announces anything a
/// call loses at most `patience` attempts; a lost one is a look at the slot and a
/// claim carried out for another: 10 accesses. (A call that finds the ring blocked
/// before has 24 looks of gathering, two accesses each, and 2 for each position
/// that it goes beyond; the 128 hold these.) What is announced is decided within n
/// positions: each is looked at, resolved once and gone beyond, 16 accesses. The
/// code as it stands does not exclude more (four changes of a slot in each phase,
/// hints 16 n behind, 64 n where long runs are among them); no schedule was found
/// that comes near.
fn limit(name: &str, n: u64, patience: u32) -> Option<u64> {
    match name {
        "spsc" => Some(13),
        "wait_free" => Some(128 + 10 * u64::from(patience) + 16 * n),
        _ => None,
    }
}

/// What participants have if nobody says otherwise.
fn usual_patience() -> u32 {
    Geometry::new(1, Typed::<u64>::new(), false).patience
}

fn bounded<E: Engine>(name: &str) {
    let traits = traits::<E>();
    // Patience means something only to engines that can be helped.
    let patiences = match traits.records {
        true => vec![0, usual_patience()],
        false => vec![usual_patience()],
    };
    let mut text = String::from(
        "| participants | patience | most accesses of a call | bound | found with |\n\
         |---:|---:|---:|---:|---|\n",
    );
    let mut broken = Vec::new();
    for patience in patiences {
        for n in CROWDS {
            if traits.producers == Arity::One && n > 2 {
                continue;
            }
            let worst = worst::<E>(n, Some(patience));
            let limit = limit(name, n as u64, patience);
            let shown = |there: bool, number: u64| match there {
                true => number.to_string(),
                false => "–".to_string(),
            };
            writeln!(
                text,
                "| {n} | {} | {} | {} | {} |",
                shown(traits.records, patience.into()),
                worst.most,
                shown(limit.is_some(), limit.unwrap_or(0)),
                worst.how
            )
            .unwrap();
            if limit.is_some_and(|limit| worst.most > limit) {
                broken.push(format!("{n} participants, patience {patience}: {worst:?}"));
            }
        }
    }
    assert!(broken.is_empty(), "{name} is over its bound: {broken:#?}");
    match seeds() {
        1 => page::says(&format!("bounds of {name}"), &text),
        _ => println!("{text}"),
    }
}

/// The victim makes one push, or one pop of a ring that is half full. Before each
/// of its read-modify-writes the others push and pop at least once, and so often in
/// all. Answers how many accesses it made, and whether it was told the truth: there
/// is room, and something to take.
fn starved_in<E: Engine>(pops: bool, others: usize, rounds: u64, patience: u32) -> (u64, bool) {
    let done = Arc::new(AtomicBool::new(false));
    let outcome = done.clone();
    let queue = items::ring::<E>(64, 1 + 2 * others, Some(patience));
    if pops {
        let mut pusher = queue.pusher();
        for value in 0..32 {
            assert_eq!(pusher.push(value), Answer::Ok);
        }
    }
    let simulation = Simulation {
        schedule: Schedule::StarveRmw {
            calls: 2 * others as u64,
        },
        ..Simulation::new(1)
    };
    let report = simulation.run(1 + others, move |core| {
        if core.id() == VICTIM {
            let truth = if pops {
                let mut popper = queue.popper();
                matches!(core.call("victim", || popper.pop()), Answer::Got(_))
            } else {
                let mut pusher = queue.pusher();
                core.call("victim", || pusher.push(0)) == Answer::Ok
            };
            outcome.store(truth, Ordering::Relaxed);
            return;
        }
        let (mut pusher, mut popper) = (queue.pusher(), queue.popper());
        for _ in 0..rounds / others as u64 {
            core.call("push", || pusher.push(1));
            core.call("pop", || popper.pop());
        }
    });
    (report.calls("victim").most, done.load(Ordering::Relaxed))
}

fn starved<E: Engine>(others: usize, rounds: u64, patience: u32) -> (u64, bool) {
    starved_in::<E>(false, others, rounds, patience)
}

/// An engine that is chosen at run time promises what it promises by its name:
/// a pop that went the conditional way (`try_take_if`) would be starved.
#[test]
fn an_engine_chosen_at_run_time_keeps_its_bound() {
    use turtle_buffers::strategy::{Any, WaitFree};

    for others in [1, 3, 15] {
        let named = starved_in::<WaitFree>(true, others, ROUNDS[2], 0);
        let chosen = starved_in::<Any>(true, others, ROUNDS[2], 0);
        let limit = limit("wait_free", 1 + 2 * others as u64, 0).expect("a bound");
        for (most, got) in [named, chosen] {
            assert!(got && most <= limit, "{most} accesses, {limit} at most");
        }
    }
}

const ROUNDS: [u64; 3] = [60, 600, 6000];

fn starving<E: Engine>(name: &str) {
    let traits = traits::<E>();
    if traits.producers == Arity::One {
        return; // there are no others on its side
    }
    let mut text = String::from("| others | patience |");
    for rounds in ROUNDS {
        write!(text, " {rounds} pairs |").unwrap();
    }
    text.push_str("\n|---:|---:|---:|---:|---:|\n");
    let patiences = match traits.records {
        true => vec![0, usual_patience()],
        false => vec![usual_patience()],
    };
    for patience in patiences {
        for others in [1, 3, 15] {
            let most: Vec<_> = (ROUNDS.iter())
                .map(|rounds| {
                    let (most, pushed) = starved::<E>(others, *rounds, patience);
                    assert!(pushed, "{name}: refused beside room");
                    most
                })
                .collect();
            let shown = match traits.records {
                true => patience.to_string(),
                false => "–".into(),
            };
            write!(text, "| {others} | {shown} |").unwrap();
            for most in &most {
                write!(text, " {most} |").unwrap();
            }
            text.push('\n');
            match limit(name, 1 + 2 * others as u64, patience) {
                Some(limit) => assert!(most[2] <= limit, "{name}: {most:?} > {limit}"),
                // Ten times as many rounds, ten times as long: the bound of an
                // engine that helps would not be kept.
                None => {
                    assert!(most[2] > 8 * most[1] && most[1] > 4 * most[0], "{most:?}");
                    let others = limit("wait_free", 1 + 2 * others as u64, 0);
                    assert!(Some(most[2]) > others, "{most:?}");
                }
            }
        }
    }
    page::says(&format!("{name} starved"), &text);
}

macro_rules! bounds {
    ($(($variant:ident, $module:ident, $engine:ident),)+) => {
        $(
            mod $module {
                #[test]
                fn keeps_its_bound() {
                    super::bounded::<turtle_buffers::strategy::$engine>(stringify!($module));
                }
                #[test]
                fn starved() {
                    super::starving::<turtle_buffers::strategy::$engine>(stringify!($module));
                }
            }
        )+
    };
}
turtle_buffers::for_each_strategy!(bounds);

/// An engine that announces nothing is not helped, and its bound is broken:
/// these checks can fail. In a process of its own, because what is left out is
/// left out in all threads.
#[cfg(turtle_mutate)]
#[test]
fn an_engine_that_is_not_helped_is_caught() {
    use turtle_buffers::atomic::mutate;
    use turtle_buffers::strategy::WaitFree;

    const CHILD: &str = "TURTLE_COST_MUTANT";
    if std::env::var_os(CHILD).is_none() {
        let name = "bounds::an_engine_that_is_not_helped_is_caught";
        let mut child = std::process::Command::new(std::env::current_exe().expect("this test"));
        let ended = child.args(["--exact", name]).env(CHILD, "1").output();
        let ended = ended.expect("a process");
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(
            ended.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    }
    let steps = traits::<WaitFree>().steps;
    let announce = steps.iter().find(|step| step.name() == "ANNOUNCE");
    mutate::leave_out(Some(*announce.expect("how it asks for help")));
    for others in [1, 3, 15] {
        let (most, pushed) = starved::<WaitFree>(others, ROUNDS[2], 0);
        let limit = limit("wait_free", 1 + 2 * others as u64, 0);
        // It may also give up, as it does where somebody spoils its words.
        assert!(Some(most) > limit || !pushed, "{others} others: {most}");
    }
    assert!(mutate::times_left_out() > 0);
}
