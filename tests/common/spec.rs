//! What a bounded queue allows: every interleaving of a program's calls on a
//! queue whose calls take effect at one moment.
//!
//! Written without a look at the engines. A call is three steps: it begins, it
//! takes effect, it returns; between the last two it is *halfway*. `Full` and
//! `Empty` are answered only when they are true at the moment of effect, and
//! `Busy` only when the very slot that is wanted is held by a call halfway.

use std::collections::HashSet;

use super::program::{Op, Program, left};
use super::{Answer, Outcomes, line};

/// What an engine promises beyond order.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// It may answer `Busy`.
    pub busy: bool,
    /// Closing is complete only when no push is deciding any more: a push that
    /// began before the mark may still get in, and until closing is complete
    /// pops may hear `Empty` instead of `Closed`.
    pub late_close: bool,
    /// A run ends at the end of the slots.
    pub runs_end: bool,
    /// A batch is several decisions: those of others may come between.
    pub piecewise: bool,
    /// It has a patience, and others complete what is announced after it.
    pub helps: bool,
}

impl Promise {
    /// The longest run from this position on.
    fn longest(self, program: &Program<'_>, position: u64) -> u64 {
        let capacity = program.capacity as u64;
        if self.runs_end {
            capacity - position % capacity
        } else {
            capacity
        }
    }
}

/// Of the engine that this word names.
pub fn promise(engine: &str) -> Promise {
    match engine {
        "turn" => Promise {
            busy: true,
            late_close: false,
            runs_end: false,
            piecewise: false,
            helps: false,
        },
        "spsc" => Promise {
            busy: false,
            late_close: true,
            runs_end: false,
            piecewise: false,
            helps: false,
        },
        "wait_free" => Promise {
            busy: false,
            late_close: false,
            runs_end: false,
            piecewise: true,
            helps: true,
        },
        other => panic!("no promise is written down for {other}"),
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Between,
    /// Began; `before_mark`: before the ring was sealed; `least`: the fewest
    /// places (for a push) or elements (for a pop) that were surely there at
    /// some moment since.
    Begun {
        before_mark: bool,
        least: u64,
    },
    /// A batch of an engine that decides piece by piece: so many are done.
    Midway {
        done: usize,
        got: [u64; 4],
    },
    /// Took effect on these positions.
    Halfway {
        answer: Answer,
        from: u64,
        to: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    inside: Vec<u64>,
    pushed: u64,
    popped: u64,
    sealed: bool,
    told_closed: bool,
    phases: Vec<Phase>,
    answers: Vec<Vec<Answer>>,
}

struct Search<'a> {
    program: &'a Program<'a>,
    promise: Promise,
    seen: HashSet<State>,
    outcomes: Outcomes,
}

pub(super) fn allowed(program: &Program<'_>, promise: Promise) -> Outcomes {
    let threads = program.threads.len();
    let start = State {
        inside: Vec::new(),
        pushed: 0,
        popped: 0,
        sealed: false,
        told_closed: false,
        phases: vec![Phase::Between; threads],
        answers: vec![Vec::new(); threads],
    };
    // The setup is a program of one thread with one outcome.
    let setup = [program.setup];
    let alone = Program {
        threads: &setup,
        setup: &[],
        ..*program
    };
    let mut first = State {
        phases: vec![Phase::Between],
        answers: vec![Vec::new()],
        ..start
    };
    for done in 0..program.setup.len() {
        while first.answers[0].len() == done {
            let mut next = Vec::new();
            moves(&alone, promise, &first, 0, &mut next);
            assert_eq!(next.len(), 1, "{}: the setup has one outcome", program.name);
            first = next.remove(0);
        }
    }
    first.phases = vec![Phase::Between; threads];
    first.answers = vec![Vec::new(); threads];
    let mut search = Search {
        program,
        promise,
        seen: HashSet::new(),
        outcomes: Outcomes::new(),
    };
    search.visit(first);
    search.outcomes
}

impl Search<'_> {
    fn visit(&mut self, state: State) {
        if !self.seen.insert(state.clone()) {
            return;
        }
        let mut next = Vec::new();
        for thread in 0..self.program.threads.len() {
            moves(self.program, self.promise, &state, thread, &mut next);
        }
        if next.is_empty() {
            let mut lines: Vec<_> = state.answers.iter().map(|a| line(a)).collect();
            lines.push(left(&state.inside));
            self.outcomes.insert(lines.join(" | "));
        }
        for state in next {
            self.visit(state);
        }
    }
}

/// The states that one step of `thread` leads to.
fn moves(
    program: &Program<'_>,
    promise: Promise,
    state: &State,
    thread: usize,
    next: &mut Vec<State>,
) {
    let ops = program.threads[thread];
    let Some(op) = ops.get(state.answers[thread].len()).copied() else {
        return;
    };
    match state.phases[thread].clone() {
        Phase::Between => {
            let mut state = state.clone();
            let before_mark = !state.sealed;
            state.phases[thread] = if promise.piecewise && op.is_a_batch() {
                Phase::Midway {
                    done: 0,
                    got: [0; 4],
                }
            } else {
                Phase::Begun {
                    before_mark,
                    least: u64::MAX,
                }
            };
            next.push(settled(program, state));
        }
        Phase::Midway { done, got } => next.push(piece(program, state, thread, op, done, got)),
        Phase::Halfway { answer, .. } => {
            let mut state = state.clone();
            state.phases[thread] = Phase::Between;
            state.answers[thread].push(answer);
            next.push(settled(program, state));
        }
        Phase::Begun { before_mark, least } => {
            let mut effect = |answer: Answer, pushed: &[u64], popped: u64| {
                let mut state = state.clone();
                let (from, to) = if op.pushes() {
                    (state.pushed, state.pushed + pushed.len() as u64)
                } else {
                    (state.popped, state.popped + popped)
                };
                state.inside.extend_from_slice(pushed);
                state.pushed += pushed.len() as u64;
                state.inside.drain(..popped as usize);
                state.popped += popped;
                state.sealed |= op == Op::Seal;
                state.told_closed |= answer == Answer::Closed && op.pops();
                state.phases[thread] = Phase::Halfway { answer, from, to };
                next.push(settled(program, state));
            };
            match op {
                Op::Seal | Op::NoBarrier => effect(Answer::Ok, &[], 0),
                Op::Push(value) | Op::PushStraight(value) => {
                    push(program, promise, state, before_mark, least, &[value], |k| {
                        let answer = k.map_or_else(|why| why, |_| Answer::Ok);
                        effect(
                            answer,
                            if k.is_ok() {
                                std::slice::from_ref(&value)
                            } else {
                                &[]
                            },
                            0,
                        );
                    })
                }
                Op::PushRun(values) | Op::PushCopies(values) => {
                    push(
                        program,
                        promise,
                        state,
                        before_mark,
                        least,
                        values,
                        |k| match k {
                            Ok(k) => effect(Answer::Pushed(k), &values[..k], 0),
                            Err(why) => effect(why, &[], 0),
                        },
                    );
                }
                Op::Pop | Op::PopStraight => pop(program, promise, state, least, 1, |k| match k {
                    Ok(_) => effect(Answer::Got(state.inside[0]), &[], 1),
                    Err(why) => effect(why, &[], 0),
                }),
                Op::PopRun(n) | Op::PopCopies(n) => {
                    pop(program, promise, state, least, n, |k| match k {
                        Ok(k) => {
                            let mut values = [0; 4];
                            values[..k].copy_from_slice(&state.inside[..k]);
                            effect(Answer::Run(values, k), &[], k as u64);
                        }
                        Err(why) => effect(why, &[], 0),
                    })
                }
            }
        }
    }
}

fn push(
    program: &Program<'_>,
    promise: Promise,
    state: &State,
    before_mark: bool,
    least: u64,
    values: &[u64],
    mut effect: impl FnMut(Result<usize, Answer>),
) {
    if state.sealed {
        effect(Err(Answer::Closed));
        if !(promise.late_close && before_mark) {
            return;
        }
    }
    let room = program.capacity as u64 - (state.pushed - state.popped);
    if room == 0 {
        effect(Err(Answer::Full));
        return;
    }
    if promise.busy && popping(program, state, state.pushed) {
        effect(Err(Answer::Busy));
    }
    if !state.told_closed {
        let longest = promise.longest(program, state.pushed);
        let most = room.min(values.len() as u64).min(longest);
        for k in least.min(most).max(1)..=most {
            effect(Ok(k as usize));
        }
    }
}

fn pop(
    program: &Program<'_>,
    promise: Promise,
    state: &State,
    least: u64,
    n: usize,
    mut effect: impl FnMut(Result<usize, Answer>),
) {
    let ready = state.pushed - state.popped;
    if ready == 0 {
        if state.sealed {
            effect(Err(Answer::Closed));
            let deciding = (0..program.threads.len()).any(|thread| {
                let op = program.threads[thread].get(state.answers[thread].len());
                state.phases[thread] != Phase::Between
                    && op.is_some_and(|op| op.pushes() || *op == Op::Seal)
            });
            if !(promise.late_close && deciding) {
                return;
            }
        }
        effect(Err(Answer::Empty));
        return;
    }
    if promise.busy && pushing(program, state, state.popped) {
        effect(Err(Answer::Busy));
    }
    let most = ready
        .min(n as u64)
        .min(promise.longest(program, state.popped));
    for k in least.min(most).max(1)..=most {
        effect(Ok(k as usize));
    }
}

/// The next element of a batch that is decided piece by piece, or its end.
fn piece(
    program: &Program<'_>,
    state: &State,
    thread: usize,
    op: Op,
    done: usize,
    mut got: [u64; 4],
) -> State {
    let mut state = state.clone();
    let room = program.capacity as u64 - (state.pushed - state.popped);
    let end = |answer| Phase::Halfway {
        answer,
        from: 0,
        to: 0,
    };
    let more = |got| Phase::Midway {
        done: done + 1,
        got,
    };
    state.phases[thread] = match op {
        Op::PushRun(values) | Op::PushCopies(values) => match values.get(done) {
            Some(_) if state.sealed && done == 0 => end(Answer::Closed),
            Some(_) if room == 0 && done == 0 => end(Answer::Full),
            Some(value) if !state.sealed && room > 0 => {
                state.inside.push(*value);
                state.pushed += 1;
                more(got)
            }
            _ => end(Answer::Pushed(done)),
        },
        Op::PopRun(n) | Op::PopCopies(n) => {
            if done < n && !state.inside.is_empty() {
                got[done] = state.inside.remove(0);
                state.popped += 1;
                more(got)
            } else if done > 0 {
                end(Answer::Run(got, done))
            } else if state.sealed {
                state.told_closed = true;
                end(Answer::Closed)
            } else {
                end(Answer::Empty)
            }
        }
        _ => unreachable!("not a batch"),
    };
    settled(program, state)
}

/// Whether the pop that frees the slot of this push position is halfway.
fn popping(program: &Program<'_>, state: &State, position: u64) -> bool {
    position
        .checked_sub(program.capacity as u64)
        .is_some_and(|p| halfway(program, state, p, Op::pops))
}

/// Whether the push of this position is halfway.
fn pushing(program: &Program<'_>, state: &State, position: u64) -> bool {
    halfway(program, state, position, Op::pushes)
}

fn halfway(program: &Program<'_>, state: &State, position: u64, side: fn(Op) -> bool) -> bool {
    state.phases.iter().enumerate().any(|(thread, phase)| {
        let op = program.threads[thread].get(state.answers[thread].len());
        matches!(phase, Phase::Halfway { from, to, .. } if (*from..*to).contains(&position))
            && op.is_some_and(|op| side(*op))
    })
}

/// Notes in every call that has begun how much is surely there now.
fn settled(program: &Program<'_>, mut state: State) -> State {
    let room = program.capacity as u64 - (state.pushed - state.popped);
    let ready = state.pushed - state.popped;
    let free = (0..room)
        .take_while(|i| !popping(program, &state, state.pushed + i))
        .count() as u64;
    let full = (0..ready)
        .take_while(|i| !pushing(program, &state, state.popped + i))
        .count() as u64;
    for thread in 0..state.phases.len() {
        let op = program.threads[thread]
            .get(state.answers[thread].len())
            .copied();
        if let Phase::Begun { least, .. } = &mut state.phases[thread] {
            *least = (*least).min(if op.is_some_and(Op::pushes) {
                free
            } else {
                full
            });
        }
    }
    state
}
