//! The order of the elements: one order that agrees with all pushes, all pops and all batches, or
//! a proof that there is none.
//!
//! Element `a` comes before `b` if `a` had certainly gone in before `b` did, or had certainly come
//! out before `b` did, or stands before it in a batch. The elements have an order exactly if these
//! relations have no circle, and a topological sort finds that out. The relations by time have
//! quadratically many pairs, so they are never written down: "nothing that is left went in
//! certainly before `b`" is one comparison with the earliest end among the windows that are left.
//! Peeling off an element that nothing precedes is the decrease-and-conquer step of Lee and Mathur.
//!
//! Without batches a circle always contains two elements that alone contradict each other
//! (Henzinger, Sezgin and Vafeiadis). For if a went in before b, b out before c, c in before d, d
//! out before a, then, windows being intervals, a went in before d or c before b, which leaves a
//! shorter circle.

use super::sort::sort_by_number;
use super::table::{Element, Input, NONE};
use super::violation::Violation;

/// All elements in an order that explains every push and pop.
pub(super) fn order(input: &Input<'_>, elements: &[Element]) -> Result<Vec<usize>, Violation> {
    let mut sort = Sort::new(elements);
    sort.run();
    if sort.done.len() == elements.len() {
        return Ok(sort.done);
    }
    if let Some((a, b)) = inversion(elements) {
        let (first, second) = (elements[a].inside(input), elements[b].inside(input));
        return Err(Violation::OrderInversion { first, second });
    }
    let elements = sort
        .circle()
        .into_iter()
        .map(|x| elements[x].inside(input))
        .collect();
    Err(Violation::OrderCycle { elements })
}

/// The numbers of the elements, sorted by one end of one window.
fn sorted(elements: &[Element], key: impl Fn(&Element) -> u64) -> Vec<(u64, usize)> {
    let mut keys: Vec<_> = elements
        .iter()
        .enumerate()
        .map(|(x, e)| (key(e), x))
        .collect();
    sort_by_number(&mut keys);
    keys
}

/// One of the two sides, pushes or pops, of the sort in progress.
struct Side {
    /// Elements by the begin of their window; those before `free` are not preceded on this side.
    by_begin: Vec<(u64, usize)>,
    free: usize,
    /// Elements by the end of their window; those before `first` are done.
    by_end: Vec<(u64, usize)>,
    first: usize,
}

impl Side {
    fn new(elements: &[Element], window: impl Fn(&Element) -> (u64, u64)) -> Self {
        let by_begin = sorted(elements, |e| window(e).0);
        let by_end = sorted(elements, |e| window(e).1);
        Self {
            by_begin,
            free: 0,
            by_end,
            first: 0,
        }
    }

    /// Calls `release` for each element that nothing left precedes on this side any more.
    fn advance(&mut self, is_done: &[bool], mut release: impl FnMut(usize)) {
        while self
            .by_end
            .get(self.first)
            .is_some_and(|&(_, x)| is_done[x])
        {
            self.first += 1;
        }
        let Some(&(earliest, _)) = self.by_end.get(self.first) else {
            return;
        };
        while let Some(&(begin, x)) = self.by_begin.get(self.free) {
            if begin > earliest {
                return;
            }
            self.free += 1;
            release(x);
        }
    }
}

struct Sort<'a> {
    elements: &'a [Element],
    puts: Side,
    takes: Side,
    /// How many reasons each element still has to wait: one a side, one for each predecessor in a batch.
    waits: Vec<u8>,
    is_done: Vec<bool>,
    done: Vec<usize>,
}

impl<'a> Sort<'a> {
    fn new(elements: &'a [Element]) -> Self {
        let mut waits = vec![2; elements.len()];
        for next in elements.iter().flat_map(|e| [e.next_put, e.next_take]) {
            if next != NONE {
                waits[next] += 1;
            }
        }
        Self {
            elements,
            puts: Side::new(elements, |e| e.put),
            takes: Side::new(elements, |e| e.take),
            waits,
            is_done: vec![false; elements.len()],
            done: Vec::with_capacity(elements.len()),
        }
    }

    /// Sorts as far as possible.
    fn run(&mut self) {
        let mut ready = Vec::new();
        loop {
            let waits = &mut self.waits;
            let mut release = |x: usize| {
                waits[x] -= 1;
                if waits[x] == 0 {
                    ready.push(x);
                }
            };
            self.puts.advance(&self.is_done, &mut release);
            self.takes.advance(&self.is_done, &mut release);
            let Some(x) = ready.pop() else { return };
            self.is_done[x] = true;
            self.done.push(x);
            for next in [self.elements[x].next_put, self.elements[x].next_take] {
                if next != NONE {
                    self.waits[next] -= 1;
                    if self.waits[next] == 0 {
                        ready.push(next);
                    }
                }
            }
        }
    }

    /// A circle among the elements that could not be sorted: each of them waits for one that is
    /// also left, so walking from reason to reason must come back.
    fn circle(&self) -> Vec<usize> {
        let left = |x: &usize| !self.is_done[*x];
        let first_put = self.puts.by_end[self.puts.first].1;
        let first_take = self.takes.by_end[self.takes.first].1;
        let mut before = vec![[NONE; 2]; self.elements.len()];
        for (x, e) in self.elements.iter().enumerate().filter(|(x, _)| left(x)) {
            if e.next_put != NONE {
                before[e.next_put][0] = x;
            }
            if e.next_take != NONE {
                before[e.next_take][1] = x;
            }
        }
        let reason = |x: usize| {
            if before[x][0] != NONE {
                before[x][0]
            } else if before[x][1] != NONE {
                before[x][1]
            } else if self.elements[x].put.0 > self.elements[first_put].put.1 {
                first_put
            } else {
                first_take
            }
        };
        let mut place = vec![NONE; self.elements.len()];
        let mut walk = Vec::new();
        let mut x = first_put;
        while place[x] == NONE {
            place[x] = walk.len();
            walk.push(x);
            x = reason(x);
        }
        walk.drain(..place[x]);
        walk.reverse();
        walk
    }
}

/// Elements `a` and `b` such that `a` went in certainly before `b` and `b` came out certainly
/// before `a`, among them those with the earliest end of a pop of a `b`.
fn inversion(elements: &[Element]) -> Option<(usize, usize)> {
    let by_put_begin = sorted(elements, |e| e.put.0);
    let mut latecomers = by_put_begin.into_iter().rev().peekable();
    // Of the elements that went in certainly after the one at hand: the one that came out first.
    let mut soonest: Option<usize> = None;
    let mut found: Option<(usize, usize)> = None;
    for (put_end, a) in sorted(elements, |e| e.put.1).into_iter().rev() {
        while let Some((_, b)) = latecomers.next_if(|&(begin, _)| begin > put_end) {
            if soonest.is_none_or(|s| elements[b].take.1 < elements[s].take.1) {
                soonest = Some(b);
            }
        }
        let Some(b) = soonest else { continue };
        let earlier = found.is_none_or(|(_, known)| elements[b].take.1 <= elements[known].take.1);
        if elements[b].take.1 < elements[a].take.0 && earlier {
            found = Some((a, b));
        }
    }
    found
}
