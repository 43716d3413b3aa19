//! What an item costs: lines moved, read-modify-writes, accesses, time.

use std::cell::Cell;
use std::fmt::Write as _;
use std::rc::Rc;

use turtle_buffers::atomic::cost::{Core, Counts, Model, Report, Simulation};
use turtle_buffers::atomic::{pause, yield_now};
use turtle_buffers::strategy::{Arity, Engine, Geometry, Spsc, Typed};

use crate::common::Answer;
use crate::common::clients::traits;
use crate::common::raw::RawQueue;
use crate::page;

const CAPACITY: usize = 1024;
const ITEMS: u64 = 8192;
const SEEDS: u64 = 3;

/// An empty ring for so many.
pub(crate) fn ring<E: Engine>(
    capacity: usize,
    participants: usize,
    patience: Option<u32>,
) -> RawQueue<E> {
    let mut geometry = Geometry::new(capacity, Typed::new(), false);
    geometry.participants = participants;
    geometry.patience = patience.unwrap_or(geometry.patience);
    RawQueue::of(geometry)
}

/// Refused: a pause, and after 63 of them the processor is given away, as in
/// the measurements beside rivals.
fn wait(core: &Core, refused: &mut u32) {
    core.refused();
    *refused += 1;
    if refused.is_multiple_of(64) {
        yield_now();
    } else {
        pause();
    }
}

/// `producers` cores push `ITEMS` elements in all, `consumers` pop them. Each
/// consumer must see each producer's in order, and all together all.
fn hand_over<E: Engine>(simulation: Simulation, producers: usize, consumers: usize) -> Report {
    let queue = ring::<E>(CAPACITY, producers + consumers, None);
    let share = ITEMS / producers as u64;
    let popped = Rc::new(Cell::new((0, 0_u64)));
    let seen = popped.clone();
    let report = simulation.run(producers + consumers, move |core| {
        let mut refused = 0;
        if core.id() < producers {
            let mut pusher = queue.pusher();
            for number in 0..share {
                let value = (core.id() as u64) << 32 | number;
                while core.call("push", || pusher.push(value)) != Answer::Ok {
                    wait(core, &mut refused);
                }
                refused = 0;
            }
            return;
        }
        let mut popper = queue.popper();
        let mut next = vec![0; producers];
        while popped.get().0 < share * producers as u64 {
            match core.call("pop", || popper.pop()) {
                Answer::Got(value) => {
                    let (from, number) = ((value >> 32) as usize, value & 0xffff_ffff);
                    assert!(next[from] <= number, "out of order");
                    next[from] = number + 1;
                    let (count, sum) = popped.get();
                    popped.set((count + 1, sum + number));
                    refused = 0;
                }
                _ => wait(core, &mut refused),
            }
        }
    });
    let all = share * producers as u64;
    let sum = producers as u64 * (share * (share - 1) / 2);
    assert_eq!(seen.get(), (all, sum), "lost or doubled");
    report
}

/// One core pushes and pops by turns.
fn alone<E: Engine>(simulation: Simulation) -> Report {
    let queue = ring::<E>(CAPACITY, 2, None);
    simulation.run(1, move |core| {
        let (mut pusher, mut popper) = (queue.pusher(), queue.popper());
        for value in 0..ITEMS {
            assert_eq!(core.call("push", || pusher.push(value)), Answer::Ok);
            assert_eq!(core.call("pop", || popper.pop()), Answer::Got(value));
        }
    })
}

/// Several runs together, by the item.
#[derive(Default)]
struct Rows {
    runs: Vec<Report>,
}

impl Rows {
    fn of(run: impl Fn(Simulation) -> Report) -> Self {
        let runs = (1..=SEEDS).map(|seed| {
            let report = run(Simulation::new(seed));
            let twice = seed == 1 && report.cores.len() <= 8;
            assert!(
                !twice || report == run(Simulation::new(seed)),
                "the same seed, other numbers"
            );
            report
        });
        Self {
            runs: runs.collect(),
        }
    }

    fn an_item(&self, count: impl Fn(&Counts) -> u64) -> f64 {
        let all: u64 = self.runs.iter().map(|run| count(&run.total())).sum();
        all as f64 / (self.runs.len() as u64 * ITEMS) as f64
    }

    fn refusals(&self) -> f64 {
        let calls = |run: &Report| run.calls("push").completed + run.calls("pop").completed;
        let all: u64 = self.runs.iter().map(calls).sum();
        all as f64 / (self.runs.len() as u64 * ITEMS) as f64 - 2.0
    }

    fn ns(&self) -> Vec<f64> {
        let mut ns: Vec<_> = self.runs.iter().map(|r| r.ns() / ITEMS as f64).collect();
        ns.sort_by(f64::total_cmp);
        ns
    }

    /// The steps that moved lines, most first.
    fn movers(&self) -> String {
        let mut movers: Vec<(&str, f64)> = Vec::new();
        for name in self.runs[0].steps.keys() {
            let moved: u64 = (self.runs.iter())
                .filter_map(|run| run.steps.get(name))
                .map(Counts::moved)
                .sum();
            let moved = moved as f64 / (self.runs.len() as u64 * ITEMS) as f64;
            if moved >= 0.01 {
                movers.push((name, moved));
            }
        }
        movers.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        let words: Vec<_> = movers
            .iter()
            .take(6)
            .map(|(name, moved)| match *name {
                "payload" | "prefetch" => format!("{name} {moved:.2}"),
                step => format!("`{step}` {moved:.2}"),
            })
            .collect();
        words.join(", ")
    }
}

const CROWDS: [(usize, usize); 5] = [(1, 1), (2, 2), (4, 4), (16, 16), (64, 64)];

/// The table of one engine; its rows for the crowds that its arity allows.
fn table<E: Engine>() -> (String, Vec<Rows>) {
    let arity = traits::<E>().producers;
    let mut text = String::from(
        "| cores | transfers | upgrades | read-modify-writes | accesses | fences | refusals | ns an item | lines are moved by |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---|\n",
    );
    let mut rows = vec![(String::from("1, by turns"), Rows::of(alone::<E>))];
    for (producers, consumers) in CROWDS {
        if arity == Arity::Many || producers == 1 {
            rows.push((
                format!("{producers} + {consumers}"),
                Rows::of(|simulation| hand_over::<E>(simulation, producers, consumers)),
            ));
        }
    }
    for (name, row) in &rows {
        let ns = row.ns();
        writeln!(
            text,
            "| {name} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} ({:.1}–{:.1}) | {} |",
            row.an_item(|c| c.transfers),
            row.an_item(|c| c.upgrades),
            row.an_item(|c| c.rmws),
            row.an_item(Counts::accesses),
            row.an_item(|c| c.fences),
            row.refusals(),
            ns[ns.len() / 2],
            ns[0],
            ns[ns.len() - 1],
            row.movers(),
        )
        .unwrap();
    }
    (text, rows.into_iter().map(|(_, row)| row).collect())
}

/// What holds of every engine, then the page.
fn counted<E: Engine>(name: &str) {
    let (text, rows) = table::<E>();
    let alone = &rows[0];
    assert!(
        alone.an_item(Counts::moved) == 0.0,
        "one core moves nothing between cores"
    );
    assert!(
        rows[1].an_item(Counts::moved) > 0.1,
        "an element that goes to another core moves lines"
    );
    page::says(&format!("items of {name}"), &text);
}

/// What the numbers that nobody measured do to the result.
fn guesses<E: Engine>(name: &str) {
    let mine = Model::REFERENCE;
    let models = [
        ("as calibrated", mine),
        (
            "what is read is shared",
            Model {
                migratory: false,
                ..mine
            },
        ),
        ("a line does not stay", Model { hold: 0, ..mine }),
        (
            "an upgrade is two transfers",
            Model {
                upgrade: 2 * mine.transfer,
                ..mine
            },
        ),
    ];
    let mut text = String::from("| model |");
    let crowds: Vec<_> = (CROWDS.into_iter().take(4))
        .filter(|(producers, _)| traits::<E>().producers == Arity::Many || *producers == 1)
        .collect();
    for (producers, consumers) in &crowds {
        write!(text, " {producers} + {consumers} |").unwrap();
    }
    text.push_str("\n|---|");
    text.push_str(&"---:|".repeat(crowds.len()));
    for (what, model) in models {
        write!(text, "\n| {what} |").unwrap();
        for &(producers, consumers) in &crowds {
            let simulation = Simulation {
                model,
                ..Simulation::new(1)
            };
            let report = hand_over::<E>(simulation, producers, consumers);
            let moved = report.total().moved() as f64 / ITEMS as f64;
            let ns = report.ns() / ITEMS as f64;
            write!(text, " {moved:.2}, {ns:.0} ns |").unwrap();
        }
    }
    page::says(&format!("guesses of {name}"), &text);
}

macro_rules! items {
    ($(($variant:ident, $module:ident, $engine:ident),)+) => {
        $(
            mod $module {
                type E = turtle_buffers::strategy::$engine;
                #[test]
                fn an_item() {
                    super::counted::<E>(stringify!($module));
                }
                #[test]
                fn by_other_models() {
                    super::guesses::<E>(stringify!($module));
                }
            }
        )+
    };
}
turtle_buffers::for_each_strategy!(items);

/// One producer and one consumer need no read-modify-write.
#[test]
fn spsc_has_no_read_modify_write() {
    let report = hand_over::<Spsc>(Simulation::new(1), 1, 1);
    assert_eq!(report.total().rmws, 0);
}
