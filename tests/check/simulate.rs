//! Histories for the checkers: of a simulated correct queue, damaged ones, and plain nonsense.

use std::collections::VecDeque;

use turtle_buffers::check::{Event, History, Op, PENDING, Spec};

/// A small generator of random numbers (xorshift*), so that a seed names a history for good.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// What a simulated run looks like.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) events: usize,
    pub(crate) threads: usize,
    pub(crate) capacity: Option<usize>,
    /// One call in so many moves several elements; 0 for none.
    pub(crate) batches: usize,
    /// One step in so many kills a thread inside a call; 0 for none.
    pub(crate) deaths: usize,
    /// One call in so many closes the queue; 0 for none.
    pub(crate) closes: usize,
    /// The clock ticks at one stamp in so many.
    pub(crate) coarse: usize,
    pub(crate) initial: usize,
}

enum Kind {
    Push(Vec<u64>),
    Pop(usize),
    Abandon,
    Close,
}

struct Flight {
    kind: Kind,
    call: u64,
    done: Vec<Op>,
    /// The next thing it does is to return.
    returns: bool,
}

impl Flight {
    /// Whether an opposite call may blame it: it has moved an element, or holds a slot.
    fn in_the_way_of(&self, push: bool) -> bool {
        match self.kind {
            Kind::Push(_) => !push && matches!(self.done.first(), Some(Op::Push(_))),
            Kind::Abandon => !push,
            Kind::Pop(_) => push && matches!(self.done.first(), Some(Op::Pop(_))),
            Kind::Close => false,
        }
    }
}

/// A correct queue and threads that use it one atomic step at a time.
struct World<'r> {
    random: &'r mut Random,
    shape: Shape,
    clock: u64,
    next_value: u64,
    queue: VecDeque<u64>,
    closed: bool,
    threads: Vec<Option<Flight>>,
    dead: Vec<bool>,
    events: Vec<Event>,
}

/// Runs the simulation. The history is correct for the returned specification.
pub(crate) fn simulate(random: &mut Random, shape: Shape) -> (History, Spec) {
    let initial: Vec<u64> = (1..=shape.initial as u64).collect();
    let mut world = World {
        random,
        shape,
        clock: 0,
        next_value: initial.len() as u64,
        queue: initial.iter().copied().collect(),
        closed: false,
        threads: (0..shape.threads).map(|_| None).collect(),
        dead: vec![false; shape.threads],
        events: Vec::new(),
    };
    while world.events.len() < shape.events && !world.dead.iter().all(|&d| d) {
        world.step();
    }
    for t in 0..shape.threads {
        world.die(t);
    }
    let drained = world.queue.is_empty();
    let spec = Spec {
        capacity: shape.capacity,
        initial,
        drained,
    };
    (world.events.into(), spec)
}

impl World<'_> {
    fn now(&mut self) -> u64 {
        if self.random.one_in(self.shape.coarse) {
            self.clock += 1;
        }
        self.clock
    }

    fn step(&mut self) {
        let t = self.random.below(self.threads.len());
        if self.dead[t] {
            return;
        }
        if self.shape.deaths > 0 && self.random.one_in(self.shape.deaths) {
            return self.die(t);
        }
        match self.threads[t].take() {
            None => self.threads[t] = Some(self.call()),
            Some(flight) if flight.returns => self.record(t, flight.call, flight.done),
            Some(mut flight) => {
                self.act(t, &mut flight);
                self.threads[t] = Some(flight);
            }
        }
    }

    fn call(&mut self) -> Flight {
        let count = match self.shape.batches {
            0 => 1,
            n if self.random.one_in(n) => 2 + self.random.below(2),
            _ => 1,
        };
        let kind = if self.shape.closes > 0 && self.random.one_in(self.shape.closes) {
            Kind::Close
        } else if self.random.one_in(24) {
            Kind::Abandon
        } else if self.random.one_in(2) {
            let first = self.next_value + 1;
            self.next_value += count as u64;
            Kind::Push((first..first + count as u64).collect())
        } else {
            Kind::Pop(count)
        };
        Flight {
            kind,
            call: self.now(),
            done: Vec::new(),
            returns: false,
        }
    }

    /// One atomic step inside a call.
    fn act(&mut self, t: usize, flight: &mut Flight) {
        let some = !flight.done.is_empty();
        let busy = |world: &mut Self, push: bool| {
            let others = world
                .threads
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != t);
            let reason = others
                .filter_map(|(_, f)| f.as_ref())
                .any(|f| f.in_the_way_of(push));
            reason && !some && world.random.one_in(3)
        };
        let (op, wanted) = match &flight.kind {
            Kind::Abandon => (Op::PushAbandoned, 1),
            Kind::Close => {
                self.closed = true;
                (Op::Close, 1)
            }
            Kind::Push(values) => {
                let op = if self.closed {
                    Op::PushClosed
                } else if self.shape.capacity == Some(self.queue.len()) {
                    Op::PushFull
                } else if busy(self, true) {
                    Op::PushBusy
                } else {
                    let value = values[flight.done.len()];
                    self.queue.push_back(value);
                    Op::Push(value)
                };
                (op, values.len())
            }
            Kind::Pop(count) => {
                let op = if busy(self, false) {
                    Op::PopBusy
                } else if let Some(value) = self.queue.pop_front() {
                    Op::Pop(value)
                } else if self.closed {
                    Op::PopClosed
                } else {
                    Op::PopEmpty
                };
                (op, *count)
            }
        };
        let refused = !matches!(op, Op::Push(_) | Op::Pop(_));
        // A batch that moved something returns that, not the reason why it stopped.
        if !(refused && some) {
            flight.done.push(op);
        }
        flight.returns = refused || flight.done.len() == wanted;
    }

    /// The thread dies, inside its call if it is in one.
    fn die(&mut self, t: usize) {
        self.dead[t] = true;
        let Some(flight) = self.threads[t].take() else {
            return;
        };
        let known = self.random.one_in(4);
        let ops: Vec<Op> = match flight.kind {
            Kind::Push(values) => values.into_iter().map(Op::Push).collect(),
            // Sometimes it is known what was taken, else only that something may have been.
            Kind::Pop(_) if known => flight
                .done
                .into_iter()
                .filter(|op| matches!(op, Op::Pop(_)))
                .collect(),
            Kind::Pop(count) => vec![Op::PopUnknown; count],
            Kind::Abandon => vec![Op::PushAbandoned],
            Kind::Close => vec![Op::Close],
        };
        let event = |op| Event {
            thread: t,
            op,
            call: flight.call,
            ret: PENDING,
        };
        self.events.extend(ops.into_iter().map(event));
    }

    fn record(&mut self, thread: usize, call: u64, ops: Vec<Op>) {
        let ret = self.now();
        self.events.extend(ops.into_iter().map(|op| Event {
            thread,
            op,
            call,
            ret,
        }));
    }
}

fn answer(random: &mut Random, values: u64, fresh: &mut u64) -> Op {
    match random.below(20) {
        0..=6 => {
            *fresh += 1;
            Op::Push(*fresh)
        }
        7..=13 => Op::Pop(1 + random.below(values.max(1) as usize) as u64),
        14 => Op::PopEmpty,
        15 => Op::PopUnknown,
        16 => [Op::PushBusy, Op::PopBusy, Op::PushAbandoned][random.below(3)],
        17 => [Op::PushClosed, Op::PopClosed][random.below(2)],
        18 => Op::Close,
        _ => Op::PushFull,
    }
}

/// Damages a correct history in one to three places. It may stay correct.
pub(crate) fn damage(random: &mut Random, history: &History, full: bool) -> History {
    let mut events = history.events().to_vec();
    let mut fresh = 1000;
    for _ in 0..1 + random.below(3) {
        if events.is_empty() {
            break;
        }
        let (i, j) = (random.below(events.len()), random.below(events.len()));
        match random.below(7) {
            // Two answers, or two intervals, change places.
            0 | 1 if events[i].op.is_pop() == events[j].op.is_pop() => {
                (events[i].op, events[j].op) = (events[j].op, events[i].op);
            }
            2 => {
                let (a, b) = (events[i], events[j]);
                (events[i].call, events[i].ret) = (b.call, b.ret);
                (events[j].call, events[j].ret) = (a.call, a.ret);
            }
            // The interval shrinks to its first or its last part.
            3 if events[i].ret != PENDING => {
                let length = (events[i].ret - events[i].call) as usize;
                let cut = random.below(length + 1) as u64;
                if random.one_in(2) {
                    events[i].call += cut
                } else {
                    events[i].ret -= cut
                }
            }
            4 => {
                events.swap_remove(i);
            }
            // Another answer.
            _ => events[i].op = answer(random, 6, &mut fresh),
        }
    }
    tidy(&mut events, full);
    events.into()
}

/// A history without sense: intervals of sequential threads, answers by dice.
pub(crate) fn nonsense(random: &mut Random, count: usize, threads: usize, full: bool) -> History {
    let mut last = vec![0; threads];
    let (mut events, mut fresh, mut clock) = (Vec::new(), 0, 0);
    let values = 1 + count as u64 / 2;
    for _ in 0..count {
        let thread = random.below(threads);
        // Calls as well as returns move the clock now and then; intervals of threads overlap.
        clock += random.below(3) as u64;
        let call = last[thread].max(clock.saturating_sub(random.below(4) as u64));
        let ret = call + random.below(5) as u64;
        last[thread] = ret + random.below(2) as u64;
        let batch = 1 + if random.one_in(8) { random.below(3) } else { 0 };
        let ret = if random.one_in(16) { PENDING } else { ret };
        for _ in 0..batch {
            events.push(Event {
                thread,
                op: answer(random, values, &mut fresh),
                call,
                ret,
            });
        }
        if ret == PENDING {
            last[thread] = 1 << 40;
        }
    }
    events.truncate(count);
    tidy(&mut events, full);
    events.into()
}

/// Mends what would only be a fault of the recording: a pending answer, a thread that calls on
/// after its pending call. Without `full`, takes out the answers Full.
fn tidy(events: &mut Vec<Event>, full: bool) {
    for event in events.iter_mut() {
        if event.call >= 1 << 40 {
            event.call = 9;
            event.ret = event.ret.max(9);
        }
        let may = matches!(
            event.op,
            Op::Push(_) | Op::Pop(_) | Op::PushAbandoned | Op::PopUnknown | Op::Close
        );
        if event.ret == PENDING && !may {
            event.ret = event.call + 3;
        }
        if event.ret != PENDING && event.ret >= 1 << 40 {
            event.ret = event.call + 2;
        }
    }
    events.retain(|event| full || event.op != Op::PushFull);
}
