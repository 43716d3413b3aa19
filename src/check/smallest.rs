//! The few operations that show an error, out of a history that may have millions.
//!
//! A removal must never make a right history wrong: else the remainder would accuse a queue that
//! has done nothing. So what may go is decided by rules that hold for every history, whatever is
//! wrong with it, and only then the checker is asked whether the remainder is still wrong:
//!
//! - an answer that moved nothing (Full, Empty, Busy, Closed) may always go;
//! - an element goes as a whole, its push with its pops. Without it the others keep their order,
//!   Empty stays true, and there is more room. Only a Full during whose call the element may have
//!   been inside might need it, and a Busy of the other side that it overlaps: then it stays;
//! - a claim that was given up may go unless it overlaps a Busy of the other side;
//! - a close may go unless an answer Closed is left;
//! - a pop with an unknown answer may go if everything else had returned when it was called, and
//!   the queue was not drained. (Else it may have been what made room, or took what is missing.)

use std::collections::{HashMap, HashSet};

use super::history::{Event, History, Op};
use super::table::{Input, NEVER};
use super::violation::Violation;
use super::{Spec, check};

/// How many events all checks of one search may have together. A search that would need more
/// gives what it has.
const EFFORT: usize = 20_000_000;

/// A part of a history that is wrong for the same kind of reason, and from which nothing more can
/// be left out. See [`smallest`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Smallest {
    /// The operations that are left, in the order of the whole history.
    pub history: History,
    /// The numbers of these operations in the whole history, counted from 0.
    pub events: Vec<usize>,
    /// The specification, with those of the initial elements that are left.
    pub spec: Spec,
    /// What is wrong with the part. The same kind of error as in the whole.
    pub violation: Violation,
    /// Whether it is known that no further removal leaves an error of this kind. False if the
    /// search was ended because it took too long, and for faults of the recording.
    pub minimal: bool,
}

/// Finds a smallest part of a wrong history that is still wrong, to be read or drawn.
///
/// `violation` is what [`check`] found in `history`.
///
/// *Part*: operations are left out only where that cannot make a right history wrong, so the part
/// proves the error by itself. An element goes with its push and its pops together; what may have
/// filled a queue that answered Full stays, and so do calls that may excuse a Busy, closes as long
/// as an answer Closed is left, and pops with unknown answers. *Smallest*: no single removal that
/// these rules allow, be it an element or another operation, leaves an error of the same kind.
/// (Another part with fewer operations may exist all the same.) For most kinds one to four
/// operations are left; for Full as many elements as may have been inside, and for a capacity that
/// was exceeded one element more than fit.
///
/// ```
/// use turtle_buffers::check::{Event, History, Op::*, Spec, check, smallest};
///
/// let event = |thread, op, call, ret| Event { thread, op, call, ret };
/// let history: History = (0..100)
///     .flat_map(|n| [event(0, Push(n), 4 * n, 4 * n + 1), event(1, Pop(n), 4 * n + 2, 4 * n + 3)])
///     .chain([event(0, Push(100), 1000, 1001), event(1, PopEmpty, 1002, 1003)])
///     .collect();
/// let spec = Spec::unbounded();
/// let violation = check(&history, &spec).unwrap_err();
/// let small = smallest(&history, &spec, &violation);
/// assert_eq!(small.events, [200, 201]);
/// ```
pub fn smallest(history: &History, spec: &Spec, violation: &Violation) -> Smallest {
    let input = Input::new(history, spec);
    let named = numbers(&input, &violation.events());
    let whole: Vec<usize> = (0..input.len()).collect();
    if violation.is_fault_of_recording() {
        let part = Part::of(&input, spec, &named);
        return part.told(violation.clone(), false);
    }

    let mut effort = EFFORT;
    let mut judge = |part: &[usize]| {
        effort = effort.checked_sub(part.len())?;
        let part = Part::of(&input, spec, part);
        let found = check(&part.history, &part.spec).err();
        Some(found.is_some_and(|found| found.kind() == violation.kind()))
    };
    // What the violation names is mostly enough. Where a window was cut by something else (a close,
    // a batch, a pop with unknown answer) that is needed, too.
    let mut part = [Reach::Named, Reach::Cuts, Reach::Batches]
        .into_iter()
        .map(|reach| close_over(&input, spec, &whole, reach.widen(&input, &named)))
        .find(|part| judge(part) == Some(true))
        .unwrap_or(whole);

    let minimal = reduce(&input, spec, &mut part, &mut judge).is_some();
    let part = Part::of(&input, spec, &part);
    match check(&part.history, &part.spec) {
        Err(found) => part.told(found, minimal),
        // Only if `violation` is not one of this history.
        Ok(_) => part.told(violation.clone(), false),
    }
}

/// A history and a specification made of some operations of another.
struct Part {
    history: History,
    events: Vec<usize>,
    spec: Spec,
}

impl Part {
    fn of(input: &Input<'_>, spec: &Spec, numbers: &[usize]) -> Self {
        let first = spec.initial.len();
        let split = numbers.partition_point(|&i| i < first);
        let (initial, events) = numbers.split_at(split);
        Self {
            history: events.iter().map(|&i| input.event(i)).collect(),
            events: events.iter().map(|&i| i - first).collect(),
            spec: Spec {
                initial: initial.iter().map(|&i| spec.initial[i]).collect(),
                ..spec.clone()
            },
        }
    }

    fn told(self, violation: Violation, minimal: bool) -> Smallest {
        Smallest {
            history: self.history,
            events: self.events,
            spec: self.spec,
            violation,
            minimal,
        }
    }
}

/// The numbers of these events, in ascending order.
fn numbers(input: &Input<'_>, events: &[Event]) -> Vec<usize> {
    let mut wanted: HashSet<Event> = events.iter().copied().collect();
    (0..input.len())
        .filter(|&i| wanted.remove(&input.event(i)))
        .collect()
}

/// How much is taken along with what a violation names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Named,
    /// And what may have cut the windows of these: whatever closes, and, if there are pops with
    /// unknown answers, whatever they may have taken.
    Cuts,
    /// And all batches that these are in.
    Batches,
}

impl Reach {
    fn widen(self, input: &Input<'_>, named: &[usize]) -> HashSet<usize> {
        let mut keep: HashSet<usize> = named.iter().copied().collect();
        if self == Reach::Named {
            return keep;
        }
        let shows = |op| matches!(op, Op::Close | Op::PushClosed | Op::PopClosed);
        keep.extend(input.which(|op| op == Op::Close));
        keep.extend(input.which(shows).min_by_key(|&i| input.leave(i)));
        if input.which(|op| op == Op::PopUnknown).next().is_some() {
            let popped: HashSet<u64> = (0..input.len())
                .filter_map(|i| match input.event(i).op {
                    Op::Pop(value) => Some(value),
                    _ => None,
                })
                .collect();
            keep.extend(input.which(|op| matches!(op, Op::Push(v) if !popped.contains(&v))));
        }
        if self == Reach::Batches {
            batches(input, &mut keep);
        }
        keep
    }
}

/// Adds whatever shares a batch with something in `keep`, or with something added.
fn batches(input: &Input<'_>, keep: &mut HashSet<usize>) {
    type Names = (Option<u64>, (usize, u64, u64, bool));
    let names = |i: usize| -> Names {
        let event = input.event(i);
        let value = match event.op {
            Op::Push(value) | Op::Pop(value) => Some(value),
            _ => None,
        };
        (
            value,
            (event.thread, event.call, event.ret, event.op.is_push()),
        )
    };
    let moves = |op: Op| matches!(op, Op::Push(_) | Op::Pop(_));
    let mut mates: HashMap<_, Vec<usize>> = HashMap::new();
    let mut of_value: HashMap<u64, Vec<usize>> = HashMap::new();
    for i in input.which(moves) {
        let (value, call) = names(i);
        mates.entry(call).or_default().push(i);
        of_value
            .entry(value.unwrap_or_default())
            .or_default()
            .push(i);
    }
    let mut left: Vec<usize> = keep
        .iter()
        .copied()
        .filter(|&i| moves(input.event(i).op))
        .collect();
    while let Some(i) = left.pop() {
        let (value, call) = names(i);
        let same = value
            .and_then(|value| of_value.get(&value))
            .into_iter()
            .flatten();
        for &j in mates.get(&call).into_iter().flatten().chain(same) {
            if keep.insert(j) {
                left.push(j);
            }
        }
    }
}

/// Intervals, merged: whether another one overlaps any of them is one search.
struct Union(Vec<(u64, u64)>);

impl Union {
    fn of(intervals: impl Iterator<Item = (u64, u64)>) -> Self {
        let mut sorted: Vec<_> = intervals.collect();
        sorted.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (begin, end) in sorted {
            match merged.last_mut() {
                Some(last) if begin <= last.1 => last.1 = last.1.max(end),
                _ => merged.push((begin, end)),
            }
        }
        Self(merged)
    }

    fn meets(&self, begin: u64, end: u64) -> bool {
        let place = self.0.partition_point(|&(_, until)| until <= begin);
        self.0.get(place).is_some_and(|&(from, _)| from < end)
    }
}

/// The part of `whole` that has `keep` and whatever the rules at the head of this file keep for it.
fn close_over(
    input: &Input<'_>,
    spec: &Spec,
    whole: &[usize],
    mut keep: HashSet<usize>,
) -> Vec<usize> {
    let op = |i: usize| input.event(i).op;
    // From the call of the push to the return of the last pop, for each element.
    let mut lives: HashMap<u64, (u64, u64)> = HashMap::new();
    for &i in whole {
        if let Op::Push(value) = op(i) {
            lives.entry(value).or_insert((0, 0)).0 = input.enter(i);
        }
    }
    for &i in whole {
        if let Op::Pop(value) = op(i) {
            let life = lives.entry(value).or_default();
            life.1 = life.1.max(input.leave(i));
        }
    }
    for life in lives.values_mut().filter(|life| life.1 == 0) {
        life.1 = NEVER;
    }

    loop {
        let before = keep.len();
        let during = |wanted: Op| {
            let calls = keep.iter().filter(|&&i| op(i) == wanted);
            Union::of(calls.map(|&i| (input.enter(i), input.leave(i))))
        };
        let (pushes_busy, pops_busy) = (during(Op::PushBusy), during(Op::PopBusy));
        let full = during(Op::PushFull);
        let closed = (keep.iter()).any(|&i| matches!(op(i), Op::PushClosed | Op::PopClosed));
        let last = (keep.iter().copied())
            .filter(|&i| !may_be_left_out(input, i))
            .map(|i| input.leave(i))
            .max();
        let values: HashSet<u64> = (keep.iter())
            .filter_map(|&i| match op(i) {
                Op::Push(value) | Op::Pop(value) => Some(value),
                _ => None,
            })
            .collect();
        for &i in whole {
            let (enter, leave) = (input.enter(i), input.leave(i));
            let excuses = op(i).holds_up() && {
                let busy = if op(i).is_push() {
                    &pops_busy
                } else {
                    &pushes_busy
                };
                busy.meets(enter, leave)
            };
            let needed = match op(i) {
                Op::Push(value) | Op::Pop(value) => {
                    values.contains(&value) || {
                        let (begin, end) = lives[&value];
                        full.meets(begin, end)
                    }
                }
                Op::PopUnknown => spec.drained || last.is_some_and(|last| enter < last),
                Op::Close => closed,
                _ => false,
            };
            if excuses || needed {
                keep.insert(i);
            }
        }
        if keep.len() == before {
            break;
        }
    }
    let mut part: Vec<usize> = whole.iter().copied().filter(|i| keep.contains(i)).collect();
    part.sort_unstable();
    part
}

/// Whether an explanation of the history may do without this operation.
fn may_be_left_out(input: &Input<'_>, i: usize) -> bool {
    match input.event(i).op {
        Op::PopUnknown | Op::PushAbandoned | Op::Close => true,
        Op::Push(_) => input.leave(i) == NEVER,
        _ => false,
    }
}

/// What can only go together: an element, or one other operation.
fn units(input: &Input<'_>, part: &[usize]) -> Vec<Vec<usize>> {
    let mut units: Vec<Vec<usize>> = Vec::new();
    let mut of_value: HashMap<u64, usize> = HashMap::new();
    for &i in part {
        match input.event(i).op {
            Op::Push(value) | Op::Pop(value) => {
                let unit = *of_value.entry(value).or_insert_with(|| {
                    units.push(Vec::new());
                    units.len() - 1
                });
                units[unit].push(i);
            }
            _ => units.push(vec![i]),
        }
    }
    units
}

/// Leaves out halves, quarters, and so on down to single units, while the remainder is wrong.
/// `None` if the judge gave up.
fn reduce(
    input: &Input<'_>,
    spec: &Spec,
    part: &mut Vec<usize>,
    judge: &mut impl FnMut(&[usize]) -> Option<bool>,
) -> Option<()> {
    let mut size = units(input, part).len().div_ceil(2).max(1);
    loop {
        let mut less = false;
        // From the back: what came first is mostly what is wanted.
        let mut end = units(input, part).len();
        while end > 0 {
            let begin = end.saturating_sub(size);
            let all = units(input, part);
            let stay = all[..begin].iter().chain(&all[end.min(all.len())..]);
            let keep: HashSet<usize> = stay.flatten().copied().collect();
            let try_this = close_over(input, spec, part, keep);
            if try_this.len() < part.len() && judge(&try_this)? {
                *part = try_this;
                less = true;
            }
            end = begin.min(units(input, part).len());
        }
        match (size, less) {
            (1, false) => return Some(()),
            (1, true) => {}
            _ => size = size.div_ceil(2).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::exhaustive;
    use super::*;
    use std::collections::VecDeque;

    /// xorshift*.
    struct Random(u64);

    impl Random {
        fn below(&mut self, n: u64) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
        }
    }

    /// What a queue did one by one, each at an instant of which the stamps around it are drawn: a
    /// right history.
    fn right(random: &mut Random) -> (History, Spec) {
        let capacity = [None, Some(1), Some(2), Some(3)][random.below(4) as usize];
        let mut queue: VecDeque<u64> = (0..random.below(2)).collect();
        let mut spec = Spec {
            capacity,
            initial: queue.iter().copied().collect(),
            drained: false,
        };
        let (mut closed, mut fresh, mut events) = (false, 100, Vec::new());
        for n in 1..3 + random.below(7) {
            let full = Some(queue.len()) == capacity;
            let op = match random.below(20) {
                0..8 if closed => Op::PushClosed,
                0..8 if full => Op::PushFull,
                0..8 => {
                    fresh += 1;
                    queue.push_back(fresh);
                    Op::Push(fresh)
                }
                8..10 => {
                    queue.pop_front();
                    Op::PopUnknown
                }
                10 => {
                    closed = true;
                    Op::Close
                }
                11 => Op::PushAbandoned,
                12 => [Op::PushBusy, Op::PopBusy][random.below(2) as usize],
                _ => match queue.pop_front() {
                    Some(value) => Op::Pop(value),
                    None if closed => Op::PopClosed,
                    None => Op::PopEmpty,
                },
            };
            let ret = match 10 * n + random.below(25) {
                _ if op == Op::PopUnknown => super::super::PENDING,
                _ if op.may_be_pending() && random.below(8) == 0 => super::super::PENDING,
                ret => ret,
            };
            let call = (10 * n).saturating_sub(random.below(25));
            events.push(Event {
                thread: n as usize,
                op,
                call,
                ret,
            });
        }
        spec.drained = queue.is_empty();
        (events.into(), spec)
    }

    /// The rules of removal: what is left of a right history is right.
    #[test]
    fn a_part_of_a_right_history_is_right() {
        let rounds = if cfg!(miri) { 20 } else { 20_000 };
        let mut random = Random(1);
        let (mut right_ones, mut cut) = (0, 0);
        for _ in 0..rounds {
            let (history, spec) = right(&mut random);
            // A Busy may lack its excuse.
            if exhaustive(&history, &spec).is_err() {
                continue;
            }
            right_ones += 1;
            let input = Input::new(&history, &spec);
            let whole: Vec<usize> = (0..input.len()).collect();
            for _ in 0..8 {
                let keep = whole
                    .iter()
                    .copied()
                    .filter(|_| random.below(2) == 0)
                    .collect();
                let part = close_over(&input, &spec, &whole, keep);
                cut += usize::from(part.len() < whole.len());
                let part = Part::of(&input, &spec, &part);
                assert!(
                    exhaustive(&part.history, &part.spec).is_ok(),
                    "{spec:?}\n{:#?}\nleft: {:?}",
                    history.events(),
                    part.events
                );
            }
        }
        assert!(cfg!(miri) || (right_ones > rounds / 2 && cut > 3 * right_ones));
    }
}
