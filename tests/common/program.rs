//! Programs: straight-line clients written as data, so that the outcomes that
//! a queue allows can be computed from the same text (`spec.rs`).

use turtle_buffers::strategy::{Arity, Engine};

use super::raw::{Popper, Pusher, RawQueue, USUAL_PATIENCE};
use super::spec::Promise;
use super::{Answer, line, thread};

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Push this value.
    Push(u64),
    /// Pop.
    Pop,
    /// Push this value the straight way, and if that is barred the ordinary one.
    PushStraight(u64),
    /// Pop likewise.
    PopStraight,
    /// Push these with one decision.
    PushRun(&'static [u64]),
    /// Pop up to this many with one decision.
    PopRun(usize),
    /// As `PushRun`, copied from an array.
    PushCopies(&'static [u64]),
    /// As `PopRun`, copied to an array.
    PopCopies(usize),
    /// Close.
    Seal,
    /// A process without the asymmetric barrier joins (only before threads start).
    NoBarrier,
}

impl Op {
    /// Whether it needs the producing side.
    pub fn pushes(self) -> bool {
        matches!(
            self,
            Op::Push(_) | Op::PushStraight(_) | Op::PushRun(_) | Op::PushCopies(_)
        )
    }
    /// Whether it is several elements.
    pub fn is_a_batch(self) -> bool {
        matches!(
            self,
            Op::PushRun(_) | Op::PushCopies(_) | Op::PopRun(_) | Op::PopCopies(_)
        )
    }
    /// Whether it needs the consuming side.
    pub fn pops(self) -> bool {
        matches!(
            self,
            Op::Pop | Op::PopStraight | Op::PopRun(_) | Op::PopCopies(_)
        )
    }
}

/// A client: what happens before the threads start, and what each does. What
/// is left inside is popped at the end.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// Its name in the tables.
    pub name: &'static str,
    /// What could go wrong here.
    pub hazard: &'static str,
    /// Elements.
    pub capacity: usize,
    /// By one thread, before the others exist.
    pub setup: &'a [Op],
    /// One list a thread; the last one runs on the main thread.
    pub threads: &'a [&'a [Op]],
    /// Loom's limit on preemptions.
    pub bound: usize,
}

impl Program<'static> {
    /// Whether an engine of this arity can run it.
    pub fn fits(&self, producers: Arity, consumers: Arity) -> bool {
        let sides = |side: fn(Op) -> bool| {
            self.threads
                .iter()
                .filter(|ops| ops.iter().any(|op| side(*op)))
                .count()
        };
        (producers == Arity::Many || sides(Op::pushes) <= 1)
            && (consumers == Arity::Many || sides(Op::pops) <= 1)
    }

    /// Threads of the side that has more of them.
    fn participants(&self) -> usize {
        let sides = |side: fn(Op) -> bool| {
            let takes_part = |ops: &&&[Op]| ops.iter().any(|op| side(*op));
            self.threads.iter().filter(takes_part).count()
        };
        sides(Op::pushes).max(sides(Op::pops)).max(1)
    }

    /// Whether a call is of several elements.
    pub fn has_batches(&self) -> bool {
        let mut calls = self.threads.iter().copied().flatten().chain(self.setup);
        calls.any(|op| op.is_a_batch())
    }

    /// Every outcome that a queue of this promise can have.
    pub fn allowed(&self, promise: Promise) -> super::Outcomes {
        super::spec::allowed(self, promise)
    }

    /// Runs it once on the engine `E`.
    pub fn run<E: Engine>(&self) -> String {
        self.run_with::<E>(&[])
    }

    /// Runs it once with these patiences of its threads (none: the usual ones).
    pub fn run_with<E: Engine>(&self, patiences: &[u32]) -> String {
        let patience = |thread: usize| *patiences.get(thread).unwrap_or(&USUAL_PATIENCE);
        let queue = RawQueue::<E>::with(self.capacity, self.participants());
        perform(&mut Hands::new(&queue, self.setup), self.setup);
        let (last, others) = self.threads.split_last().expect("a program has threads");
        // Its participants are the first ones.
        let mut hands = Hands::new(&queue.patient(patience(others.len())), last);
        let running: Vec<_> = (0..)
            .zip(others)
            .map(|(thread, ops)| {
                let mut hands = Hands::new(&queue.patient(patience(thread)), ops);
                let ops = *ops;
                thread::spawn(move || perform(&mut hands, ops))
            })
            .collect();
        let mine = perform(&mut hands, last);
        drop(hands);
        let mut lines: Vec<_> = running
            .into_iter()
            .map(|t| line(&t.join().expect("no panic")))
            .collect();
        lines.push(line(&mine));

        let inside = queue.left();
        let mut popper = queue.popper();
        let mut drained = Vec::new();
        let end = loop {
            match popper.pop() {
                Answer::Got(value) => drained.push(value),
                end => break end,
            }
        };
        let sealed = self
            .setup
            .iter()
            .chain(self.threads.iter().copied().flatten());
        let sealed = sealed.clone().any(|op| *op == Op::Seal);
        assert_eq!(
            end,
            if sealed {
                Answer::Closed
            } else {
                Answer::Empty
            },
            "after the drain"
        );
        assert_eq!(inside, drained, "what was left, looked at and popped");
        let (pushed, popped) = queue.positions();
        assert_eq!(pushed, popped, "as many popped as pushed");
        lines.push(left(&drained));
        lines.join(" | ")
    }
}

/// The part of an outcome that says what was left inside.
pub fn left(values: &[u64]) -> String {
    let values: Vec<_> = values.iter().map(u64::to_string).collect();
    format!(
        "left {}",
        if values.is_empty() {
            "-".into()
        } else {
            values.join(",")
        }
    )
}

struct Hands<E: Engine> {
    pusher: Option<Pusher<E>>,
    popper: Option<Popper<E>>,
    queue: RawQueue<E>,
}

impl<E: Engine> Hands<E> {
    /// The handles that these calls need.
    fn new(queue: &RawQueue<E>, ops: &[Op]) -> Self {
        Self {
            pusher: ops.iter().any(|op| op.pushes()).then(|| queue.pusher()),
            popper: ops.iter().any(|op| op.pops()).then(|| queue.popper()),
            queue: queue.clone(),
        }
    }
}

fn perform<E: Engine>(hands: &mut Hands<E>, ops: &[Op]) -> Vec<Answer> {
    ops.iter()
        .map(|op| match *op {
            Op::Push(value) => hands.pusher.as_mut().expect("a producer").push(value),
            Op::Pop => hands.popper.as_mut().expect("a consumer").pop(),
            Op::PushStraight(value) => hands
                .pusher
                .as_mut()
                .expect("a producer")
                .push_straight(value),
            Op::PopStraight => hands.popper.as_mut().expect("a consumer").pop_straight(),
            Op::PushRun(values) => hands.pusher.as_mut().expect("a producer").push_run(values),
            Op::PopRun(n) => hands.popper.as_mut().expect("a consumer").pop_run(n),
            Op::PushCopies(values) => {
                let pusher = hands.pusher.as_mut().expect("a producer");
                pusher.push_copies(values)
            }
            Op::PopCopies(n) => hands.popper.as_mut().expect("a consumer").pop_copies(n),
            Op::Seal => {
                hands.queue.seal();
                Answer::Ok
            }
            Op::NoBarrier => {
                hands.queue.do_without_barrier();
                Answer::Ok
            }
        })
        .collect()
}
