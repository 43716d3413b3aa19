//! Known defects of other queues, as small models: the checker finds each, and finds nothing in the
//! same model without the defect.
//!
//! The models follow public descriptions, which docs/checking.md names. They run step by step in
//! random interleavings; the first that goes wrong is the recorded history in `histories`, which
//! this test compares, or writes with `TURTLE_BLESS=1`.

use std::collections::VecDeque;
use std::path::Path;

use turtle_buffers::check::Op::{self, *};
use turtle_buffers::check::{History, Spec, check, exhaustive, smallest};

use super::lockstep::{Script, Thread, run};

/// Interleavings that are tried, of the model with its defect and of the one without.
const SEEDS: u64 = if cfg!(miri) { 10 } else { 10_000 };

/// A model: whether it has the defect, and what its threads do.
type Model<S> = fn(defect: bool) -> (S, Vec<Script<S>>);

/// Searches an interleaving that goes wrong, compares it with the recorded one, and shows that the
/// model without its defect never goes wrong.
fn found<S: Send>(name: &str, kind: &str, spec: &Spec, model: Model<S>) {
    let history = |seed, defect| {
        let (shared, scripts) = model(defect);
        run(seed, shared, &scripts)
    };
    for seed in 0..SEEDS / 10 {
        let history = history(seed, false);
        if let Err(violation) = check(&history, spec) {
            panic!("{name} without its defect, seed {seed}: {violation}");
        }
    }
    if cfg!(miri) {
        return;
    }
    let (seed, history, violation) = (0..SEEDS)
        .find_map(|seed| {
            let history = history(seed, true);
            let violation = check(&history, spec).err()?;
            (violation.kind() == kind).then_some((seed, history, violation))
        })
        .unwrap_or_else(|| panic!("{name}: no interleaving of {SEEDS} is wrong"));
    println!("{name}, seed {seed}:\n{violation}");
    assert!(exhaustive(&history, spec).is_err());
    let small = smallest(&history, spec, &violation);
    assert!(small.minimal && small.violation.kind() == kind);
    assert!(exhaustive(&small.history, &small.spec).is_err());
    recorded(name, &history, spec);
}

fn recorded(name: &str, history: &History, spec: &Spec) {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/check/histories/{name}.jsonl"));
    let mut text = Vec::new();
    history.write_lines(spec, &mut text).unwrap();
    if std::env::var_os("TURTLE_BLESS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let there = std::fs::read(&file).expect("it is checked in");
    assert!(
        there == text,
        "{} differs; TURTLE_BLESS=1 writes it anew",
        file.display()
    );
}

fn script<S>(act: impl Fn(&Thread<'_, S>) + Send + Sync + 'static) -> Script<S> {
    Box::new(act)
}

// The turn ring whose pop looks at one slot only.

/// Slots with their turns, and the tickets of both sides.
struct TurnRing {
    slots: Vec<(u64, u64)>,
    head: u64,
    tail: u64,
}

impl TurnRing {
    fn slot(&mut self, ticket: u64) -> &mut (u64, u64) {
        let places = self.slots.len() as u64;
        &mut self.slots[(ticket % places) as usize]
    }

    fn lap(&self, ticket: u64) -> u64 {
        ticket / self.slots.len() as u64
    }
}

fn turn_push(me: &Thread<'_, TurnRing>, value: u64) -> Op {
    let mut ticket = me.step(|ring| ring.tail);
    loop {
        let free = me.step(|ring| ring.slot(ticket).0 == 2 * ring.lap(ticket));
        if free {
            let claimed = me.step(|ring| {
                let mine = ring.tail == ticket;
                ring.tail += u64::from(mine);
                mine
            });
            if claimed {
                me.step(|ring| ring.slot(ticket).1 = value);
                me.step(|ring| ring.slot(ticket).0 += 1);
                return Push(value);
            }
        }
        let before = ticket;
        ticket = me.step(|ring| ring.tail);
        if !free && before == ticket {
            return PushFull;
        }
    }
}

/// `exact`: before it answers Empty it asks whether anything was claimed behind the slot; if so, a
/// push is halfway.
fn turn_pop(me: &Thread<'_, TurnRing>, exact: bool) -> Op {
    let mut ticket = me.step(|ring| ring.head);
    loop {
        let ready = me.step(|ring| ring.slot(ticket).0 == 2 * ring.lap(ticket) + 1);
        if ready {
            let claimed = me.step(|ring| {
                let mine = ring.head == ticket;
                ring.head += u64::from(mine);
                mine
            });
            if claimed {
                let value = me.step(|ring| ring.slot(ticket).1);
                me.step(|ring| ring.slot(ticket).0 += 1);
                return Pop(value);
            }
        }
        let before = ticket;
        ticket = me.step(|ring| ring.head);
        if ready || before != ticket {
            continue;
        }
        if !exact || me.step(|ring| ring.tail) <= ticket {
            return PopEmpty;
        }
        // Again, for the push may have ended meanwhile, and then this one is not Busy.
        if me.step(|ring| ring.slot(ticket).0 != 2 * ring.lap(ticket) + 1 && ring.head == ticket) {
            return PopBusy;
        }
    }
}

fn turn_ring(defect: bool) -> (TurnRing, Vec<Script<TurnRing>>) {
    let ring = TurnRing {
        slots: vec![(0, 0); 4],
        head: 0,
        tail: 0,
    };
    let producer = |values: [u64; 2]| {
        script(move |me| {
            for value in values {
                me.call(|| turn_push(me, value));
            }
        })
    };
    let consumer = script(move |me| (0..4).for_each(|_| me.call(|| turn_pop(me, !defect))));
    (ring, vec![producer([1, 2]), producer([11, 12]), consumer])
}

#[test]
fn the_false_empty_of_turn_rings_is_found() {
    found(
        "turn-false-empty",
        "false-empty",
        &Spec::bounded(4),
        turn_ring,
    );
}

// A ring whose positions come back after two laps.

const PLACES: u64 = 2;

/// Positions count to twice the number of places and start again; a place says whether it is ready.
struct LapRing {
    places: [Option<u64>; PLACES as usize],
    read: u64,
    write: u64,
    /// How often a position changed: the stamp that the defective ring lacks.
    writes: u64,
}

/// `stamped`: the claim compares a count that does not come back.
fn lap_push(me: &Thread<'_, LapRing>, value: u64, stamped: bool) -> Op {
    loop {
        let (read, write, writes) = me.step(|ring| (ring.read, ring.write, ring.writes));
        if (write + 2 * PLACES - read) % (2 * PLACES) >= PLACES {
            return PushFull;
        }
        let claimed = me.step(|ring| {
            let mine = ring.write == write && (!stamped || ring.writes == writes);
            if mine {
                ring.write = (write + 1) % (2 * PLACES);
                ring.writes += 1;
            }
            mine
        });
        if claimed {
            me.step(|ring| ring.places[(write % PLACES) as usize] = Some(value));
            return Push(value);
        }
    }
}

fn lap_pop(me: &Thread<'_, LapRing>) -> Op {
    let (read, write) = me.step(|ring| (ring.read, ring.write));
    if read == write {
        return PopEmpty;
    }
    let Some(value) = me.step(|ring| ring.places[(read % PLACES) as usize].take()) else {
        return PopBusy;
    };
    me.step(|ring| ring.read = (read + 1) % (2 * PLACES));
    Pop(value)
}

fn lap_ring(defect: bool) -> (LapRing, Vec<Script<LapRing>>) {
    let ring = LapRing {
        places: [None; PLACES as usize],
        read: 0,
        write: 0,
        writes: 0,
    };
    let slow = script(move |me| me.call(|| lap_push(me, 100, !defect)));
    let fast = script(move |me| {
        for value in 1..=8 {
            me.call(|| lap_push(me, value, !defect));
        }
    });
    let consumer = script(|me| (0..8).for_each(|_| me.call(|| lap_pop(me))));
    (ring, vec![slow, fast, consumer])
}

#[test]
fn the_lost_element_of_a_ring_without_lap_stamps_is_found() {
    found(
        "lap-overtaken",
        "order-inversion",
        &Spec::bounded(PLACES as usize),
        lap_ring,
    );
}

// wCQ: a pop whose quick attempt fails asks for help; the place found for it is looked at once more.

/// A place of the ring: of which lap, what is in it, and whether a late push may still use it.
#[derive(Clone, Copy, PartialEq)]
struct Cell {
    lap: i64,
    value: Option<u64>,
    safe: bool,
}

struct Wcq {
    cells: Vec<Cell>,
    head: i64,
    tail: i64,
    /// Below zero the ring is known to be empty.
    threshold: i64,
    /// Producers that have not ended: not of the ring, but of the model.
    producers: usize,
}

impl Wcq {
    fn cell(&mut self, ticket: i64) -> &mut Cell {
        let cells = self.cells.len() as i64;
        &mut self.cells[(ticket % cells) as usize]
    }

    fn lap(&self, ticket: i64) -> i64 {
        ticket / self.cells.len() as i64
    }

    /// What a pop with this ticket does to a place that has nothing for it: a late push must not
    /// use it any more.
    fn spoil(&mut self, ticket: i64) {
        let lap = self.lap(ticket);
        let cell = self.cell(ticket);
        if cell.lap < lap {
            match cell.value {
                None => cell.lap = lap,
                Some(_) => cell.safe = false,
            }
        }
    }

    fn has(&mut self, ticket: i64) -> Option<u64> {
        let lap = self.lap(ticket);
        let cell = *self.cell(ticket);
        cell.value.filter(|_| cell.lap == lap)
    }
}

fn wcq_push(me: &Thread<'_, Wcq>, value: u64) -> Op {
    loop {
        let ticket = me.step(|ring| {
            ring.tail += 1;
            ring.tail - 1
        });
        let put = me.step(|ring| {
            let (lap, head) = (ring.lap(ticket), ring.head);
            let cell = ring.cell(ticket);
            let mine = cell.lap < lap && cell.value.is_none() && (cell.safe || head <= ticket);
            if mine {
                *cell = Cell {
                    lap,
                    value: Some(value),
                    safe: true,
                };
            }
            mine
        });
        if put {
            me.step(|ring| ring.threshold = 3 * ring.cells.len() as i64 / 2 - 1);
            return Push(value);
        }
    }
}

/// A pop with a patience of one: a single quick attempt, then the slow path. `defect`: the last
/// test compares the whole entry, index and all, with the lap, so it holds for no index that a
/// push would ever store.
fn wcq_pop(me: &Thread<'_, Wcq>, defect: bool) -> Op {
    if me.step(|ring| ring.threshold < 0) {
        return PopEmpty;
    }
    let ticket = me.step(|ring| {
        ring.head += 1;
        ring.head - 1
    });
    let taken = me.step(|ring| {
        let value = ring.has(ticket);
        match value {
            Some(_) => ring.cell(ticket).value = None,
            None => ring.spoil(ticket),
        }
        value
    });
    if let Some(value) = taken {
        return Pop(value);
    }
    let empty = me.step(|ring| {
        let none = ring.tail <= ticket + 1;
        if none {
            ring.tail = ring.tail.max(ring.head);
        }
        none
    });
    let threshold = me.step(|ring| {
        ring.threshold -= 1;
        ring.threshold
    });
    if empty || threshold < 0 {
        return PopEmpty;
    }
    // The slow path. Helpers, of which there are none here, would do the same.
    let ticket = loop {
        let ticket = me.step(|ring| {
            ring.head += 1;
            ring.threshold -= 1;
            ring.head - 1
        });
        let ready = me.step(|ring| {
            let ready = ring.has(ticket).is_some();
            if !ready {
                ring.spoil(ticket);
            }
            ready
        });
        // Found, or given up: the request is final with this ticket.
        let behind = me.step(|ring| {
            if !ready && ring.tail <= ticket + 1 {
                ring.tail = ring.tail.max(ticket + 1);
            }
            ring.threshold < 0
        });
        if ready || behind {
            break ticket;
        }
    };
    let taken = me.step(|ring| {
        let value = ring.has(ticket).filter(|_| !defect);
        if value.is_some() {
            ring.cell(ticket).value = None;
        }
        value
    });
    taken.map_or(PopEmpty, Pop)
}

fn wcq(defect: bool) -> (Wcq, Vec<Script<Wcq>>) {
    let empty = Cell {
        lap: -1,
        value: None,
        safe: true,
    };
    let ring = Wcq {
        cells: vec![empty; 8],
        head: 0,
        tail: 0,
        threshold: -1,
        producers: 2,
    };
    let producer = |value| {
        script(move |me| {
            me.call(|| wcq_push(me, value));
            me.step(|ring| ring.producers -= 1);
        })
    };
    // In the end, when nobody pushes any more, it takes what is left.
    let consumer = script(move |me| {
        (0..3).for_each(|_| me.call(|| wcq_pop(me, defect)));
        while me.step(|ring| ring.producers > 0) {}
        (0..3).for_each(|_| me.call(|| wcq_pop(me, defect)));
    });
    (ring, vec![producer(1), producer(2), consumer])
}

#[test]
fn the_lost_element_of_wcq_is_found() {
    found("wcq-lost", "lost", &Spec::unbounded().drained(), wcq);
}

// .NET's ConcurrentQueue: a segment is frozen in two steps.

const SEGMENT: u64 = 2;
const FREEZE: u64 = 2 * SEGMENT;

/// The first segment with its flag, and whatever comes behind it, as one step.
struct Segments {
    slots: [(u64, u64); SEGMENT as usize],
    head: u64,
    tail: u64,
    frozen: bool,
    behind: Option<VecDeque<u64>>,
}

/// `defect`: the flag is set before the tail is moved; else the other way round.
fn segment_push(me: &Thread<'_, Segments>, value: u64, defect: bool) -> Op {
    loop {
        let ticket = me.step(|queue| queue.tail);
        let slot = (ticket % SEGMENT) as usize;
        let turn = me.step(|queue| queue.slots[slot].0);
        if turn == ticket {
            let claimed = me.step(|queue| {
                let mine = queue.tail == ticket;
                queue.tail += u64::from(mine);
                mine
            });
            if claimed {
                me.step(|queue| queue.slots[slot].1 = value);
                me.step(|queue| queue.slots[slot].0 = ticket + 1);
                return Push(value);
            }
        } else if turn < ticket {
            break;
        }
    }
    if defect {
        me.step(|queue| queue.frozen = true);
        me.step(|queue| queue.tail += FREEZE);
    } else {
        me.step(|queue| queue.tail += FREEZE);
        me.step(|queue| queue.frozen = true);
    }
    me.step(|queue| queue.behind.get_or_insert_default().push_back(value));
    Push(value)
}

/// The oldest of the first segment, or `None` if it is empty.
fn segment_take(me: &Thread<'_, Segments>) -> Option<u64> {
    loop {
        let ticket = me.step(|queue| queue.head);
        let slot = (ticket % SEGMENT) as usize;
        let turn = me.step(|queue| queue.slots[slot].0);
        if turn == ticket + 1 {
            let claimed = me.step(|queue| {
                let mine = queue.head == ticket;
                queue.head += u64::from(mine);
                mine
            });
            if claimed {
                let value = me.step(|queue| queue.slots[slot].1);
                me.step(|queue| queue.slots[slot].0 = ticket + SEGMENT);
                return Some(value);
            }
        } else if turn <= ticket {
            let frozen = me.step(|queue| queue.frozen);
            let tail = me.step(|queue| queue.tail);
            if tail <= ticket || (frozen && tail <= ticket + FREEZE) {
                return None;
            }
            // A push is halfway: look again.
        }
    }
}

fn segment_pop(me: &Thread<'_, Segments>) -> Op {
    if let Some(value) = segment_take(me) {
        return Pop(value);
    }
    if me.step(|queue| queue.behind.is_none()) {
        return PopEmpty;
    }
    // What was pushed between the look at the segment and the look behind it.
    if let Some(value) = segment_take(me) {
        return Pop(value);
    }
    let behind = me.step(|queue| queue.behind.as_mut().and_then(VecDeque::pop_front));
    behind.map_or(PopEmpty, Pop)
}

fn segments(defect: bool) -> (Segments, Vec<Script<Segments>>) {
    let queue = Segments {
        slots: [(0, 0), (1, 0)],
        head: 0,
        tail: 0,
        frozen: false,
        behind: None,
    };
    let one = script(move |me| me.call(|| segment_push(me, 1, defect)));
    let two = script(move |me| {
        for value in [2, 3] {
            me.call(|| segment_push(me, value, defect));
        }
    });
    // It comes late: a pop that began early may say that the queue was empty then.
    let consumer = script(|me| {
        (0..12).for_each(|_| me.step(|_| ()));
        (0..2).for_each(|_| me.call(|| segment_pop(me)));
    });
    (queue, vec![one, two, consumer])
}

#[test]
fn the_false_empty_of_a_segment_that_is_frozen_is_found() {
    found(
        "freeze-false-empty",
        "false-empty",
        &Spec::unbounded(),
        segments,
    );
}
