//! Participants of a ring in shared memory that are killed before any one of
//! their accesses, while others go on, and put right while others go on.
//!
//! Nothing is lost, nothing comes twice, each cell is somewhere once, and what
//! the ring says about the dead is exact. Kills of real processes, at their
//! instructions: `tools/stall`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use turtle_buffers::atomic::cost::{Core, Schedule, Simulation, Turn, Until};
use turtle_buffers::strategy::{Direction, Geometry, Typed, WaitFree};

use crate::common::raw::RawQueue;
use crate::common::{Answer, Dice};

/// The cores.
const RECOVERS: usize = 0;
const DIES: usize = 1;
const OTHER: usize = 2;

/// The other one sits down first.
const PLACE: usize = 1;
/// Values of the one that dies begin here.
const ITS_OWN: u64 = 1000;

/// What happens in one run.
#[derive(Clone, Copy, Debug)]
struct Plan {
    number: u64,
    capacity: usize,
    /// The one that dies pops; else it pushes.
    pops: bool,
    /// So many elements a call, if more than one as a run.
    run: usize,
    patience: u32,
    /// Calls of the other one before all else, amid the last call, and after it.
    before: u64,
    amid: u64,
    after: u64,
    /// Accesses of the one that dies.
    first: u64,
    then: u64,
}

impl Plan {
    fn new(number: u64) -> Self {
        let mut dice = Dice::of(number);
        let capacity = [1, 2, 4, 16][dice.below(4) as usize];
        Self {
            number,
            capacity,
            pops: dice.below(2) == 0,
            run: [1, 1, 3][dice.below(3) as usize],
            patience: [0, 1, 8][dice.below(3) as usize],
            before: dice.below(2 * capacity as u64 + 2),
            amid: [0, 0, 1, 2, 5, 40][dice.below(6) as usize],
            after: [0, 0, 1, 2, 5, 40][dice.below(6) as usize],
            first: 4 + dice.below(60),
            then: dice.below(20),
        }
    }

    /// First by hand, then by turns of a few accesses while the dead one is put right.
    fn script(&self) -> &'static [Turn] {
        let turn = |core, until| Turn { core, until };
        let mut turns = vec![
            turn(OTHER, Until::Completed(1 + self.before)),
            turn(DIES, Until::Made(self.first)),
            turn(OTHER, Until::Completed(self.amid)),
            turn(DIES, Until::Made(self.then)),
            turn(OTHER, Until::Completed(self.after)),
            turn(DIES, Until::Killed),
        ];
        let mut dice = Dice::of(!self.number);
        for _ in 0..100 {
            turns.push(turn(RECOVERS, Until::Made(1 + dice.below(4))));
            turns.push(turn(OTHER, Until::Made(dice.below(12))));
        }
        turns.leak()
    }
}

/// What everybody knows in the end.
#[derive(Debug, Default)]
struct Known {
    /// By the other one, acknowledged.
    pushed: Vec<u64>,
    popped: Vec<u64>,
    /// By the one that died, acknowledged.
    its_pushes: Vec<u64>,
    its_pops: Vec<u64>,
    /// What the ring says about it.
    done: u64,
    orphans: Vec<u64>,
    /// Calls of the other one that were still to be made when it was put right.
    alongside: bool,
    ended: bool,
}

fn goes_on(core: &Core, queue: &RawQueue<WaitFree>, plan: &Plan, known: &RefCell<Known>) {
    let (mut pusher, mut popper) = (queue.pusher(), queue.popper());
    core.call("sits down", || ());
    let mut dice = Dice::of(plan.number ^ 0xABCD);
    let calls = plan.before + plan.amid + plan.after + 20;
    let mut next = 0;
    for call in 0..calls {
        // It fills the ring at first, half of the time.
        let pushes = dice.below(2) == 0 || call < plan.before && plan.number % 2 == 0;
        let n = [1, 1, 2][dice.below(3) as usize];
        if pushes {
            let values: Vec<_> = (next..next + n).collect();
            match core.call("push", || pusher.push_copies(&values)) {
                Answer::Pushed(n) => {
                    known.borrow_mut().pushed.extend(&values[..n]);
                    next += n as u64;
                }
                Answer::Full => {}
                other => panic!("{other}"),
            }
        } else {
            match core.call("pop", || popper.pop_copies(n as usize)) {
                Answer::Run(values, n) => known.borrow_mut().popped.extend(&values[..n]),
                Answer::Empty => {}
                other => panic!("{other}"),
            }
        }
    }
    known.borrow_mut().ended = true;
}

fn dies(core: &Core, queue: &RawQueue<WaitFree>, plan: &Plan, known: &RefCell<Known>) {
    let queue = queue.patient(plan.patience);
    if plan.pops {
        let mut popper = queue.popper();
        loop {
            match core.call("its pop", || match plan.run {
                1 => popper.pop(),
                n => popper.pop_copies(n),
            }) {
                Answer::Got(value) => known.borrow_mut().its_pops.push(value),
                Answer::Run(values, n) => known.borrow_mut().its_pops.extend(&values[..n]),
                _ => {}
            }
        }
    }
    let mut pusher = queue.pusher();
    let mut next = ITS_OWN;
    loop {
        let values: Vec<_> = (next..next + plan.run as u64).collect();
        let n = match core.call("its push", || match values[..] {
            [value] => pusher.push(value),
            _ => pusher.push_copies(&values),
        }) {
            Answer::Ok => 1,
            Answer::Pushed(n) => n,
            _ => 0,
        };
        known.borrow_mut().its_pushes.extend(&values[..n]);
        next += n as u64;
    }
}

fn run(plan: Plan) -> Result<Known, String> {
    let mut geometry = Geometry::new(plan.capacity, Typed::new(), true);
    geometry.participants = 2;
    geometry.patience = 8;
    let queue = RawQueue::<WaitFree>::of(geometry);
    let known = Rc::new(RefCell::new(Known::default()));
    let (ring, knows) = (queue.clone(), known.clone());
    let simulation = Simulation {
        schedule: Schedule::Script(plan.script()),
        limit: 1_000_000,
        ..Simulation::new(plan.number)
    };
    let _ = simulation.run(3, move |core| match core.id() {
        RECOVERS => {
            let direction = [Direction::Push, Direction::Pop][usize::from(plan.pops)];
            let alongside = !knows.borrow().ended;
            // SAFETY: nobody sits there any more, and nobody else puts it right.
            let left = unsafe { ring.recover(direction, PLACE) };
            let orphans = ring.orphans(PLACE);
            let mut knows = knows.borrow_mut();
            if orphans.len() != left.orphans {
                knows.orphans.push(u64::MAX); // no element: it is found below
            }
            knows.done = left.done;
            knows.orphans.extend(orphans);
            knows.alongside = alongside;
        }
        DIES => dies(core, &ring, &plan, &knows),
        _ => goes_on(core, &ring, &plan, &knows),
    });
    let known = std::mem::take(&mut *known.borrow_mut());
    let left = queue.left();
    let fault = |what: &str| format!("{what}: {known:?}, left {left:?}");
    queue.audit().map_err(|why| fault(&why))?;
    // What it pushed: what was acknowledged, one call more at the most.
    let its_own = |value: &&u64| **value >= ITS_OWN;
    let came: Vec<_> = known.popped.iter().chain(&left).filter(its_own).collect();
    let acknowledged = known.its_pushes.len() + known.its_pops.len();
    if known.done < acknowledged as u64 || known.done > (acknowledged + plan.run) as u64 {
        return Err(fault("done is not what was acknowledged, or a little more"));
    }
    if !plan.pops && !came.iter().map(|v| **v).eq(ITS_OWN..ITS_OWN + known.done) {
        return Err(fault("what arrived is not the first so many elements"));
    }
    // What it popped, what of that nobody knows whether it was handed out, and
    // of a batch the runs that had reached the caller's buffer before the last.
    let its: BTreeSet<_> = known.its_pops.iter().chain(&known.orphans).collect();
    let buffered = known.done as usize
        - if plan.pops {
            its.len()
        } else {
            known.done as usize
        };
    if buffered >= plan.run {
        return Err(fault("popped and orphans are not as many as done"));
    }
    let mut all: Vec<_> = its
        .into_iter()
        .chain(&known.popped)
        .chain(&left)
        .copied()
        .collect();
    all.retain(|value| *value < ITS_OWN);
    all.sort_unstable();
    let mut missing = known.pushed.clone();
    missing.retain(|value| all.binary_search(value).is_err());
    if all.windows(2).any(|pair| pair[0] == pair[1]) || missing.len() != buffered {
        return Err(fault("lost or twice"));
    }
    // Its place is somebody else's now, and the ring is whole.
    let (mut pusher, mut popper) = (queue.pusher(), queue.popper());
    let first = match popper.pop() {
        Answer::Got(value) => Some(value),
        _ => None,
    };
    if first != left.first().copied() || pusher.push(7) != Answer::Ok {
        return Err(fault("the ring does not go on"));
    }
    drop((pusher, popper));
    queue.audit()?;
    Ok(known)
}

const RUNS: u64 = 40_000;

/// As many plans.
fn all() -> Result<(), String> {
    let (mut alongside, mut in_doubt, mut orphans, mut tried) = (0, 0, 0, 0);
    for number in 0..RUNS {
        let plan = Plan::new(number);
        let known = run(plan).map_err(|why| format!("{plan:?}: {why}"))?;
        tried += 1;
        let acknowledged = known.its_pushes.len() + known.its_pops.len();
        alongside += u64::from(known.alongside);
        in_doubt += u64::from(known.done > acknowledged as u64);
        orphans += known.orphans.len();
    }
    println!(
        "{tried} killed, {in_doubt} of them between effect and acknowledgement; {orphans} orphans; \
         {alongside} put right while others went on"
    );
    assert!(alongside > tried / 4 && in_doubt > tried / 50 && orphans > 0);
    Ok(())
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice() {
    all().expect("exact");
}

/// Closing is killed before any of its accesses, others push and pop on. Once a push
/// was refused as closed all are, and what was pushed until then is all that comes out.
fn a_closer_that_is_killed() -> Result<(), String> {
    let (mut closed, mut open) = (0, 0);
    for number in 0..2000 {
        let mut dice = Dice::of(number);
        let made = dice.below(24);
        let queue = RawQueue::<WaitFree>::with([1, 2, 8][dice.below(3) as usize], 2);
        let patience = [0, 8][dice.below(2) as usize];
        let turn = |core, until| Turn { core, until };
        let mut turns = vec![turn(OTHER, Until::Made(dice.below(60)))];
        for _ in 0..made {
            turns.push(turn(OTHER, Until::Made(dice.below(8))));
            turns.push(turn(DIES, Until::Made(1)));
        }
        turns.push(turn(DIES, Until::Killed));
        let simulation = Simulation {
            schedule: Schedule::Script(turns.leak()),
            ..Simulation::new(number)
        };
        let fault = Rc::new(RefCell::new(None));
        let (ring, found) = (queue.clone(), fault.clone());
        let _ = simulation.run(3, move |core| {
            if core.id() == DIES {
                ring.seal();
            }
            if core.id() != OTHER {
                return;
            }
            let ring = ring.patient(patience);
            let (mut pusher, mut popper) = (ring.pusher(), ring.popper());
            let (mut pushed, mut popped, mut refused) = (Vec::new(), Vec::new(), false);
            let told = |what: &str| *found.borrow_mut() = Some(format!("{number}: {what}"));
            for value in 0..40 {
                match pusher.push(value) {
                    Answer::Ok if refused => told("pushed into a closed ring"),
                    Answer::Ok => pushed.push(value),
                    Answer::Closed => refused = true,
                    _ => {}
                }
                if value % 3 != 0 {
                    continue;
                }
                match popper.pop() {
                    Answer::Got(value) => popped.push(value),
                    Answer::Closed if !refused && ring.left().is_empty() => refused = true,
                    Answer::Closed if popped != pushed => told("closed, and something is left"),
                    Answer::Empty if refused => told("empty, though it is closed"),
                    _ => {}
                }
            }
            while let Answer::Got(value) = popper.pop() {
                popped.push(value);
            }
            if popped != pushed {
                told("not what was pushed");
            }
            if refused != ring.is_sealed() {
                told("refused is not closed");
            }
        });
        if let Some(fault) = fault.borrow_mut().take() {
            return Err(fault);
        }
        closed += u64::from(queue.is_sealed());
        open += u64::from(!queue.is_sealed());
    }
    println!("closed {closed}, open {open}");
    assert!(closed > 100 && open > 20);
    Ok(())
}

#[test]
fn closing_is_finished_or_has_not_begun() {
    a_closer_that_is_killed().expect("exact");
}

/// Each step that writes down, or puts right, is needed.
#[cfg(turtle_mutate)]
#[test]
fn mutants_are_caught() {
    // Not `RECOVER_ANNOUNCED`: progress only; what it takes back is withdrawn anyway.
    for name in [
        "FIND_OUT",
        "NOTE_WRITE",
        "NOTE_BEGIN",
        "NOTE_END",
        "TAG_WRITE",
        "RECOVER_WITHDRAW",
        "RECOVER_WRITE",
    ] {
        let _ = crate::left_out::without(name, "killed::mutants_are_caught", all);
    }
    let closing = a_closer_that_is_killed;
    let _ = crate::left_out::without("SEAL_MARK", "killed::mutants_are_caught", closing);
}
