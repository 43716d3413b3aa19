//! What may be true while one call is stopped halfway.
//!
//! One thread, the *victim*, is stopped inside its call; the others work one
//! call after the other. A *world* is one way things can be: the contents of
//! the queue, whether it is closed, and whether the victim's call has taken
//! effect yet. Every answer the others get strikes out the worlds in which it
//! would be wrong. If none is left, the answer was false: there is no moment
//! at which the victim's call could have happened to make it true.
//!
//! This is linearizability, decided exactly: with one call pending, the set
//! of worlds is small enough to keep.

use std::collections::VecDeque;
use std::fmt;

/// How a call ended. One number in every process of this tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Answer {
    /// Done.
    Done = 0,
    /// The ring held its capacity at some moment of the call.
    Full = 1,
    /// The ring held nothing at some moment of the call.
    Empty = 2,
    /// Another call is halfway through the next slot.
    Busy = 3,
    /// Closed, and for a pop drained.
    Closed = 4,
    /// Anything else: always wrong here.
    Other = 5,
}

impl Answer {
    /// The answer of this number.
    pub(crate) fn from_number(number: u64) -> Self {
        [
            Self::Done,
            Self::Full,
            Self::Empty,
            Self::Busy,
            Self::Closed,
        ]
        .into_iter()
        .find(|answer| *answer as u64 == number)
        .unwrap_or(Self::Other)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Full => "Full",
            Self::Empty => "Empty",
            Self::Busy => "Busy",
            Self::Closed => "Closed",
            Self::Other => "another answer",
        })
    }
}

/// What one of the others called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// A push of this value.
    Push(u64),
    /// A pop; the value it brought, if any.
    Pop(u64),
    /// The ring was closed.
    Close,
}

/// What the victim's call does when it takes effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Appends these, or (a batch) as many of them as there is room for.
    Push(Vec<u64>),
    /// Takes up to this many.
    Pop(usize),
    /// Closes the ring.
    Close,
    /// Nothing that others could see.
    Nothing,
}

/// What the victim's call answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Outcome {
    /// How it ended.
    pub(crate) answer: Answer,
    /// How many elements it moved.
    pub(crate) count: usize,
    /// Which ones, if it was a pop.
    pub(crate) values: Vec<u64>,
}

impl Outcome {
    fn refused(answer: Answer) -> Self {
        Self {
            answer,
            count: 0,
            values: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct World {
    queue: VecDeque<u64>,
    closed: bool,
    /// A consumer has been told so: from then on nothing comes in any more,
    /// not even from a push that was halfway when the ring was closed.
    told: bool,
    /// How the victim's call will end; `None`: it has not taken effect.
    victim: Option<Outcome>,
}

/// Every way things can be.
#[derive(Clone, Debug)]
pub(crate) struct Worlds {
    all: Vec<World>,
    capacity: usize,
    effect: Effect,
    /// The victim waits instead of answering `Full` or `Empty`.
    blocking: bool,
    /// The engine may answer `Busy` at all.
    busy_allowed: bool,
    /// A batch takes effect part by part: elements of others may come between.
    in_parts: bool,
    in_flight: bool,
}

impl Worlds {
    /// A ring that holds `start`, and a victim whose call has begun.
    pub(crate) fn new(
        capacity: usize,
        start: impl IntoIterator<Item = u64>,
        effect: Effect,
        blocking: bool,
        busy_allowed: bool,
    ) -> Self {
        let world = World {
            queue: start.into_iter().collect(),
            closed: false,
            told: false,
            victim: None,
        };
        let all = vec![world];
        Self {
            all,
            capacity,
            effect,
            blocking,
            busy_allowed,
            in_parts: false,
            in_flight: true,
        }
    }

    /// Of an engine that says that a batch is a sequence of decisions.
    pub(crate) fn in_parts(self, in_parts: bool) -> Self {
        Self { in_parts, ..self }
    }

    /// Whether the victim's call may take effect now, or go on doing so.
    fn may_take_effect(&self, world: &World) -> bool {
        let most = match &self.effect {
            Effect::Push(values) => values.len(),
            Effect::Pop(most) => *most,
            Effect::Close | Effect::Nothing => 1,
        };
        match &world.victim {
            None => true,
            Some(so_far) => {
                self.in_parts && so_far.answer == Answer::Done && so_far.count < most && most > 1
            }
        }
    }

    /// Adds the worlds in which the victim's call takes effect now.
    fn expand(&mut self) {
        if !self.in_flight {
            return;
        }
        let mut more = Vec::new();
        for world in self.all.iter().filter(|world| self.may_take_effect(world)) {
            self.take_effect(world, &mut more);
        }
        for world in more {
            if !self.all.contains(&world) {
                self.all.push(world);
            }
        }
    }

    fn take_effect(&self, world: &World, more: &mut Vec<World>) {
        let (had, values_so_far) = world
            .victim
            .as_ref()
            .map_or((0, &[][..]), |part| (part.count, &part.values));
        let mut refuse = |answer| {
            if world.victim.is_none() {
                more.push(World {
                    victim: Some(Outcome::refused(answer)),
                    ..world.clone()
                });
            }
        };
        match &self.effect {
            Effect::Push(values) => {
                if world.closed {
                    refuse(Answer::Closed);
                }
                if world.told {
                    return;
                }
                let room = self.capacity - world.queue.len();
                if room == 0 && !self.blocking && !world.closed {
                    refuse(Answer::Full);
                }
                for count in 1..=(values.len() - had).min(room) {
                    let mut next = world.clone();
                    next.queue.extend(&values[had..had + count]);
                    let answer = Answer::Done;
                    next.victim = Some(Outcome {
                        answer,
                        count: had + count,
                        values: Vec::new(),
                    });
                    more.push(next);
                }
            }
            Effect::Pop(_) if world.queue.is_empty() => {
                if world.closed {
                    refuse(Answer::Closed);
                } else if !self.blocking {
                    refuse(Answer::Empty);
                }
            }
            Effect::Pop(most) => {
                for count in 1..=(*most - had).min(world.queue.len()) {
                    let mut next = world.clone();
                    let mut values = values_so_far.to_vec();
                    values.extend(next.queue.drain(..count));
                    next.victim = Some(Outcome {
                        answer: Answer::Done,
                        count: had + count,
                        values,
                    });
                    more.push(next);
                }
            }
            Effect::Close => {
                let mut next = world.clone();
                next.closed = true;
                next.victim = Some(Outcome::refused(Answer::Done));
                more.push(next);
            }
            Effect::Nothing => {}
        }
    }

    /// One of the others called `op` and was told `answer`.
    ///
    /// # Errors
    /// In words why that cannot be.
    pub(crate) fn observe(&mut self, op: Op, answer: Answer) -> Result<(), String> {
        self.expand();
        if answer == Answer::Busy {
            return self.judge_busy(op);
        }
        let before = self.describe();
        let (capacity, in_flight) = (self.capacity, self.in_flight);
        self.all.retain_mut(|world| {
            let len = world.queue.len();
            match (op, answer) {
                (Op::Push(value), Answer::Done) => {
                    world.queue.push_back(value);
                    len < capacity && !world.closed
                }
                (Op::Push(_), Answer::Full) => len == capacity && !world.closed,
                (Op::Push(_), Answer::Closed) => world.closed,
                (Op::Pop(value), Answer::Done) => world.queue.pop_front() == Some(value),
                // While a push or the close is halfway, a closed ring may still
                // be called empty: it is.
                (Op::Pop(_), Answer::Empty) => len == 0 && (!world.closed || in_flight),
                (Op::Pop(_), Answer::Closed) => {
                    world.told = true;
                    len == 0 && world.closed
                }
                (Op::Close, Answer::Done) => {
                    world.closed = true;
                    true
                }
                _ => false,
            }
        });
        if self.all.is_empty() {
            return Err(format!("{} was false: {before}", Said(op, answer)));
        }
        Ok(())
    }

    fn judge_busy(&self, op: Op) -> Result<(), String> {
        let said = Said(op, Answer::Busy);
        if !self.busy_allowed {
            return Err(format!("{said}: this engine never has a reason to say so"));
        }
        let opposite = matches!(
            (op, &self.effect),
            (Op::Push(_), Effect::Pop(_)) | (Op::Pop(_), Effect::Push(_))
        );
        if !(opposite && self.in_flight) {
            return Err(format!("{said}: no opposite call was in flight"));
        }
        Ok(())
    }

    /// The victim's call has returned.
    ///
    /// # Errors
    /// In words why it cannot have ended like this.
    pub(crate) fn victim_returned(&mut self, outcome: &Outcome) -> Result<(), String> {
        if self.effect == Effect::Nothing {
            self.in_flight = false;
            return Ok(());
        }
        self.expand();
        let before = self.describe();
        self.all
            .retain(|world| world.victim.as_ref() == Some(outcome));
        self.in_flight = false;
        if self.all.is_empty() {
            return Err(format!(
                "the stopped call itself answered {} ({} elements {:?}), which cannot be: {before}",
                outcome.answer, outcome.count, outcome.values
            ));
        }
        Ok(())
    }

    /// Everything has been taken out: nothing may be left in any world.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn drained(&self) -> Result<(), String> {
        match self
            .all
            .iter()
            .map(|world| &world.queue)
            .min_by_key(|queue| queue.len())
        {
            Some(queue) if !queue.is_empty() => Err(format!("lost: {queue:?} never came out")),
            _ => Ok(()),
        }
    }

    fn describe(&self) -> String {
        let lengths = self.all.iter().map(|world| world.queue.len());
        let (least, most) = (
            lengths.clone().min().unwrap_or(0),
            lengths.max().unwrap_or(0),
        );
        let held = if least == most {
            least.to_string()
        } else {
            format!("{least} to {most}")
        };
        let head = self.all.first().and_then(|world| world.queue.front());
        let head = head.map_or(String::new(), |value| format!(", oldest perhaps {value}"));
        format!("{held} of {} inside{head}", self.capacity)
    }
}

struct Said(Op, Answer);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Op::Push(value) => write!(f, "`{}` to a push of {value}", self.1),
            Op::Pop(value) if self.1 == Answer::Done => write!(f, "a pop of {value}"),
            Op::Pop(_) => write!(f, "`{}` to a pop", self.1),
            Op::Close => write!(f, "`{}` to a close", self.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushing(capacity: usize) -> Worlds {
        Worlds::new(capacity, [1], Effect::Push(vec![90]), false, true)
    }

    fn done(count: usize, values: &[u64]) -> Outcome {
        Outcome {
            answer: Answer::Done,
            count,
            values: values.to_vec(),
        }
    }

    #[test]
    fn empty_with_a_completed_push_inside_is_false() {
        let mut worlds = pushing(4);
        worlds.observe(Op::Push(2), Answer::Done).unwrap();
        assert!(worlds.observe(Op::Pop(0), Answer::Empty).is_err());
    }

    #[test]
    fn a_stopped_push_may_or_may_not_be_inside() {
        for inside in [true, false] {
            let mut worlds = pushing(4);
            worlds.observe(Op::Pop(1), Answer::Done).unwrap();
            if inside {
                worlds.observe(Op::Pop(90), Answer::Done).unwrap();
            }
            worlds.observe(Op::Pop(0), Answer::Empty).unwrap();
            worlds.victim_returned(&done(1, &[])).unwrap();
            if !inside {
                assert!(worlds.drained().is_err());
                worlds.observe(Op::Pop(90), Answer::Done).unwrap();
            }
            worlds.drained().unwrap();
            assert!(
                worlds.observe(Op::Pop(90), Answer::Done).is_err(),
                "not twice"
            );
        }
    }

    #[test]
    fn full_counts_the_stopped_push_and_then_remembers_it() {
        let mut worlds = pushing(2);
        worlds.observe(Op::Push(2), Answer::Full).unwrap();
        worlds.observe(Op::Pop(1), Answer::Done).unwrap();
        assert!(worlds.observe(Op::Pop(0), Answer::Empty).is_err());
    }

    #[test]
    fn full_with_room_to_spare_is_false() {
        assert!(pushing(3).observe(Op::Push(2), Answer::Full).is_err());
    }

    #[test]
    fn busy_needs_an_opposite_call_and_permission() {
        assert!(pushing(2).observe(Op::Pop(0), Answer::Busy).is_ok());
        assert!(pushing(2).observe(Op::Push(5), Answer::Busy).is_err());
        let mut returned = pushing(2);
        returned.victim_returned(&done(1, &[])).unwrap();
        assert!(returned.observe(Op::Pop(0), Answer::Busy).is_err());
        let mut never = Worlds::new(2, [1], Effect::Push(vec![90]), false, false);
        assert!(never.observe(Op::Pop(0), Answer::Busy).is_err());
    }

    #[test]
    fn values_come_out_in_order() {
        let mut worlds = Worlds::new(4, [1, 2, 3], Effect::Pop(2), false, true);
        assert!(
            worlds.observe(Op::Pop(2), Answer::Done).is_ok(),
            "the victim took 1"
        );
        assert!(worlds.victim_returned(&done(2, &[1, 2])).is_err());
        let mut worlds = Worlds::new(4, [1, 2, 3], Effect::Pop(1), false, true);
        assert!(worlds.observe(Op::Pop(3), Answer::Done).is_err());
    }

    #[test]
    fn closed_before_a_push_that_was_accepted_is_false() {
        let mut worlds = Worlds::new(2, [], Effect::Push(vec![90]), false, true);
        worlds.observe(Op::Close, Answer::Done).unwrap();
        worlds.observe(Op::Pop(0), Answer::Closed).unwrap();
        assert!(worlds.victim_returned(&done(1, &[])).is_err());
    }

    #[test]
    fn a_push_that_is_halfway_when_the_ring_closes_may_get_in_until_someone_is_told() {
        let mut worlds = Worlds::new(2, [], Effect::Push(vec![90]), false, true);
        worlds.observe(Op::Close, Answer::Done).unwrap();
        worlds.observe(Op::Pop(0), Answer::Empty).unwrap();
        worlds.victim_returned(&done(1, &[])).unwrap();
        assert!(worlds.clone().observe(Op::Pop(0), Answer::Closed).is_err());
        worlds.observe(Op::Pop(90), Answer::Done).unwrap();
        worlds.observe(Op::Pop(0), Answer::Closed).unwrap();
    }

    #[test]
    fn a_batch_in_parts_lets_others_come_between() {
        let whole = Worlds::new(4, [], Effect::Push(vec![90, 91]), false, false);
        for in_parts in [false, true] {
            let mut worlds = whole.clone().in_parts(in_parts);
            worlds.observe(Op::Pop(90), Answer::Done).unwrap();
            worlds.observe(Op::Pop(0), Answer::Empty).unwrap();
            let answer = worlds.victim_returned(&done(2, &[]));
            assert_eq!(answer.is_ok(), in_parts);
            if in_parts {
                worlds.observe(Op::Pop(91), Answer::Done).unwrap();
            }
        }
    }

    #[test]
    fn a_blocking_call_is_never_refused() {
        let mut worlds = Worlds::new(2, [], Effect::Pop(1), true, true);
        assert!(
            worlds
                .victim_returned(&Outcome::refused(Answer::Empty))
                .is_err()
        );
    }
}
