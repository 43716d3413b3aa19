//! Simulated cores: coroutines of one thread, of which one runs at a time.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::model::{Directory, Found, Kind, MOST_CORES, Model, NS, Random, Time};
use super::report::{Counts, Done, Report};
use super::schedule::{Chooser, Schedule, Seen, first_two};

/// Bytes of a core's stack.
const STACK: usize = 256 << 10;

thread_local! {
    /// Between two accesses nobody borrows it.
    static MACHINE: RefCell<Option<Machine>> = const { RefCell::new(None) };
}

/// What a simulation is made of.
#[derive(Clone, Copy, Debug)]
pub struct Simulation {
    /// What things cost.
    pub model: Model,
    /// Who goes next.
    pub schedule: Schedule,
    /// Of all chance.
    pub seed: u64,
    /// Accesses in all after which it is taken to have no end.
    pub limit: u64,
}

impl Simulation {
    /// The reference machine, by the clock.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            model: Model::REFERENCE,
            schedule: Schedule::Clock,
            seed,
            limit: 200_000_000,
        }
    }

    /// Runs `body` once on each core, to the end.
    ///
    /// Words that are accessed outside of a simulation cost nothing, so rings
    /// are built before it; their lines are nobody's at the start.
    ///
    /// # Panics
    /// If a body panics, if there are too many cores, if there is no end.
    #[must_use]
    pub fn run(&self, cores: usize, body: impl Fn(&Core) + 'static) -> Report {
        assert!(cores > 0 && cores <= MOST_CORES, "1 to {MOST_CORES} cores");
        let body = Rc::new(body);
        let mut bodies: Vec<Coroutine<(), (), ()>> = (0..cores)
            .map(|id| {
                let body = body.clone();
                let stack = DefaultStack::new(STACK).expect("memory for a stack");
                Coroutine::with_stack(stack, move |yielder, ()| {
                    with(|machine| machine.cores[id].yielder = yielder);
                    body(&Core { id });
                })
            })
            .collect();
        // Dropped before the bodies: what their destructors access is not simulated.
        let off = Off;
        MACHINE.with_borrow_mut(|machine| {
            assert!(machine.is_none(), "a simulation in a simulation");
            *machine = Some(Machine::new(self, cores));
        });
        while let Some(next) = with(Machine::choose) {
            if let CoroutineResult::Return(()) = bodies[next].resume(()) {
                with(|machine| machine.finish(next));
            }
        }
        // Who was killed leaves everything as it was.
        for body in bodies.iter_mut().filter(|body| !body.done()) {
            // SAFETY: nothing leads to its stack any more: the machine knows its
            // yielder, and never resumes it.
            unsafe { body.force_reset() };
        }
        let report = with(|machine| machine.report());
        drop(off);
        report
    }
}

struct Off;

impl Drop for Off {
    fn drop(&mut self) {
        MACHINE.set(None);
    }
}

/// What a body knows of the core that it runs on.
#[derive(Debug)]
pub struct Core {
    id: usize,
}

impl Core {
    /// Its number, from 0.
    #[must_use]
    pub fn id(&self) -> usize {
        self.id
    }

    /// Its clock.
    #[must_use]
    pub fn now(&self) -> Time {
        with(|machine| machine.seen[self.id].now)
    }

    /// Bodies that have not returned, this one included.
    #[must_use]
    pub fn live(&self) -> usize {
        with(|machine| machine.seen.iter().filter(|core| core.live).count())
    }

    /// Runs `call` as one call of the kind `name`.
    pub fn call<R>(&self, name: &'static str, call: impl FnOnce() -> R) -> R {
        with(|machine| {
            let core = &mut machine.cores[self.id];
            core.call = Some((name, core.counts.accesses()));
        });
        let result = call();
        with(|machine| {
            machine.end_call(self.id, true);
            machine.calls += 1;
        });
        result
    }

    /// The last call was refused: some schedules let others go first now.
    pub fn refused(&self) {
        with(|machine| machine.chooser.refused(self.id));
    }
}

/// One core, but for what the schedule sees of it.
#[derive(Debug)]
struct State {
    /// Of its next access.
    step: &'static str,
    /// The call it is in, and the accesses made before it.
    call: Option<(&'static str, u64)>,
    counts: Counts,
    calls: BTreeMap<&'static str, super::report::Calls>,
    /// When the stores that are on their way will be done, in order.
    stores: VecDeque<Time>,
    /// When the lines asked for in advance will be there.
    prefetches: Vec<Time>,
    /// Of its coroutine, once that has begun.
    yielder: *const Yielder<(), ()>,
}

#[derive(Debug)]
struct Machine {
    model: Model,
    directory: Directory,
    random: Random,
    chooser: Chooser,
    cores: Vec<State>,
    seen: Vec<Seen>,
    running: usize,
    /// By the clock: the running core goes on until another is behind it.
    horizon: (Time, Time, usize),
    steps: BTreeMap<&'static str, Counts>,
    /// Completed.
    calls: u64,
    accesses: u64,
    limit: u64,
}

/// The machine of this thread, which is there.
fn with<R>(f: impl FnOnce(&mut Machine) -> R) -> R {
    MACHINE.with_borrow_mut(|machine| f(machine.as_mut().expect("a simulation")))
}

/// Does `f` if this thread simulates.
pub(super) fn simulated<R>(f: impl FnOnce(&mut Running<'_>) -> R) -> Option<R> {
    MACHINE.with_borrow_mut(|machine| machine.as_mut().map(|m| f(&mut Running(m))))
}

/// What the door may do to a machine.
pub(super) struct Running<'a>(&'a mut Machine);

impl Running<'_> {
    /// The next access is this step's.
    pub(super) fn step(&mut self, name: &'static str) {
        self.0.core().step = name;
    }
    #[cfg(turtle_trace)]
    pub(super) fn core(&self) -> u32 {
        self.0.running as u32
    }
    pub(super) fn pauses(&mut self) {
        self.0.core().counts.pauses += 1;
        *self.0.clock() += self.0.model.pause;
    }
    pub(super) fn yields(&mut self) {
        *self.0.clock() += self.0.model.yields;
    }
    /// Asleep for a wake-up's time.
    pub(super) fn sleeps(&mut self) -> Time {
        *self.0.clock() += self.0.model.wake;
        self.0.model.wake
    }
    /// A full fence: the own stores are done.
    pub(super) fn fences(&mut self) {
        let core = self.0.core();
        core.counts.fences += 1;
        let stored = core.stores.back().copied().unwrap_or(0);
        core.stores.clear();
        let fence = self.0.model.fence;
        let now = self.0.clock();
        *now = stored.max(*now) + fence;
    }
}

/// Something that a core does to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// An access to a shared word: a step.
    Word,
    /// An access to a payload.
    Payload,
    /// A prefetch: nobody waits.
    Ahead,
}

/// The running core accesses `address`; others go first if it is their turn.
pub(super) fn access(address: usize, kind: Kind, what: What) {
    let Some(mut go_on) = simulated(|machine| machine.0.ask(address, kind, what)) else {
        return;
    };
    // Out of the clock's order a step is offered to the others once.
    while !go_on {
        give_way();
        go_on = with(|machine| machine.asks_again(address, kind, what));
    }
    with(|machine| machine.charge(address, kind, what));
}

/// Lets the others run, as the schedule has it.
pub(super) fn give_way() {
    let yielder = with(|machine| machine.core().yielder);
    // SAFETY: the yielder of the coroutine that is running now, on whose stack
    // this call is; no borrow of the machine is held.
    unsafe { (*yielder).suspend(()) };
}

impl Machine {
    fn new(what: &Simulation, cores: usize) -> Self {
        let mut random = Random::new(what.seed);
        let model = what.model;
        let seen = |random: &mut Random| Seen {
            live: true,
            queued: false,
            before_rmw: false,
            step: "",
            made: 0,
            // Nobody starts in step.
            now: match model.jitter {
                0 => 0,
                _ => random.below(100 * NS),
            },
            since: 0,
            calls: 0,
        };
        let state = || State {
            step: "",
            call: None,
            counts: Counts::default(),
            calls: BTreeMap::new(),
            stores: VecDeque::new(),
            prefetches: Vec::new(),
            yielder: std::ptr::null(),
        };
        Self {
            model,
            directory: Directory::new(model),
            cores: (0..cores).map(|_| state()).collect(),
            seen: (0..cores).map(|_| seen(&mut random)).collect(),
            chooser: Chooser::new(what.schedule, cores, what.seed),
            random,
            running: 0,
            horizon: (0, 0, 0),
            steps: BTreeMap::new(),
            calls: 0,
            accesses: 0,
            limit: what.limit,
        }
    }

    fn core(&mut self) -> &mut State {
        &mut self.cores[self.running]
    }

    fn clock(&mut self) -> &mut Time {
        &mut self.seen[self.running].now
    }

    /// The core that goes next, unless all are done.
    fn choose(&mut self) -> Option<usize> {
        while let Some(core) = self.chooser.killed(&self.seen) {
            self.finish(core);
        }
        if !self.seen.iter().any(|core| core.live) {
            return None;
        }
        if self.chooser.by_clock() {
            (self.running, self.horizon) = first_two(&self.seen);
        } else {
            self.running = self.chooser.next(&self.seen, self.calls);
        }
        Some(self.running)
    }

    /// Whether the running core may do this at once.
    fn ask(&mut self, address: usize, kind: Kind, what: What) -> bool {
        let step = self.core().step;
        let seen = &mut self.seen[self.running];
        seen.since = seen.now;
        seen.before_rmw = kind == Kind::Rmw;
        seen.step = step;
        if self.chooser.by_clock() {
            return self.asks_again(address, kind, what);
        }
        what != What::Word
    }

    /// The same after others went first.
    fn asks_again(&mut self, address: usize, kind: Kind, what: What) -> bool {
        if !self.chooser.by_clock() {
            return true;
        }
        let me = self.running;
        let found = self.directory.finds(me, address, kind);
        let seen = &mut self.seen[me];
        // A line is waited for only when it is this core's turn to do so.
        if found != Found::Hit && what != What::Ahead && (seen.now, seen.since, me) <= self.horizon
        {
            if self.directory.waits_behind(me, address, seen.now) {
                seen.queued = true;
                return false;
            }
            seen.now = seen.now.max(self.directory.free(address));
        }
        (seen.now, seen.since, me) <= self.horizon
    }

    fn charge(&mut self, address: usize, kind: Kind, what: What) {
        self.accesses += 1;
        assert!(
            self.accesses <= self.limit,
            "no end after {} accesses",
            self.limit
        );
        let me = self.running;
        let found = self.directory.finds(me, address, kind);
        let price = self
            .random
            .about(self.directory.price(found), self.model.jitter);
        if what == What::Ahead {
            return self.prefetch(address, kind, found, price);
        }
        let arrives = self.directory.arrives(me, address);
        let free = match found {
            Found::Hit => 0,
            _ => self.directory.free(address),
        };
        let model = self.model;
        let core = &mut self.cores[me];
        let now = &mut self.seen[me].now;
        let stored = core.stores.back().copied().unwrap_or(0);
        // When the line is there; a store is done then, the others a moment later.
        let there = match kind {
            Kind::Load => {
                let there = (*now).max(arrives).max(free) + price;
                *now = there + model.hit;
                there
            }
            Kind::Rmw => {
                let there = (*now).max(arrives).max(free).max(stored) + price;
                core.stores.clear();
                *now = there + model.rmw;
                match found {
                    Found::Hit => *now,
                    _ => there,
                }
            }
            Kind::Store => {
                *now += model.hit;
                core.stores.retain(|done| *done > *now);
                if core.stores.len() >= model.stores {
                    *now = core.stores.pop_front().expect("some are on their way");
                }
                let there = (*now).max(arrives).max(free).max(stored) + price;
                if there > *now {
                    core.stores.push_back(there);
                }
                there
            }
        };
        self.directory.take(me, address, kind, found, there, false);
        if let Some((next, free)) = self.directory.next_in_line(me, address) {
            self.seen[next].queued = false;
            let seen = &mut self.seen[next];
            seen.now = seen.now.max(free);
            self.horizon = self.horizon.min((seen.now, seen.since, next));
        }
        let name = match what {
            What::Word => self.cores[me].step,
            _ => "payload",
        };
        for counts in [
            &mut self.cores[me].counts,
            self.steps.entry(name).or_default(),
        ] {
            counts.count(found);
            match what {
                What::Word => counts.count_word(kind),
                _ => counts.payloads += 1,
            }
        }
        self.seen[me].made += u64::from(what == What::Word);
    }

    /// A line in flight, and more lines than can be waited for, are not asked for.
    fn prefetch(&mut self, address: usize, kind: Kind, found: Found, price: Time) {
        let me = self.running;
        let core = &mut self.cores[me];
        self.seen[me].now += self.model.hit;
        let now = self.seen[me].now;
        core.prefetches.retain(|there| *there > now);
        if found == Found::Hit
            || self.directory.busy(address, now)
            || core.prefetches.len() >= self.model.prefetches
        {
            return;
        }
        core.prefetches.push(now + price);
        self.directory
            .take(me, address, kind, found, now + price, true);
        for counts in [
            &mut self.cores[me].counts,
            self.steps.entry("prefetch").or_default(),
        ] {
            counts.count(found);
            counts.prefetches += 1;
        }
    }

    fn end_call(&mut self, core: usize, completed: bool) {
        let (core, seen) = (&mut self.cores[core], &mut self.seen[core]);
        let Some((name, before)) = core.call.take() else {
            return;
        };
        let made = core.counts.accesses() - before;
        let calls = core.calls.entry(name).or_default();
        calls.most = calls.most.max(made);
        if completed {
            calls.completed += 1;
            calls.accesses += made;
            seen.calls += 1;
        }
    }

    fn finish(&mut self, core: usize) {
        self.end_call(core, false);
        self.seen[core].live = false;
    }

    fn report(&mut self) -> Report {
        Report {
            cores: self
                .cores
                .iter()
                .zip(&self.seen)
                .map(|(core, seen)| Done {
                    counts: core.counts,
                    calls: core.calls.clone(),
                    time: seen.now,
                })
                .collect(),
            steps: std::mem::take(&mut self.steps),
        }
    }
}
