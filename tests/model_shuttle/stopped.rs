//! Threads that stop for good before any of their accesses: all others finish
//! meanwhile, within their bound of own accesses, and what everybody saw is
//! what a queue does. The stopped ones go on when all others have ended, so
//! that nothing is lost and every cell is somewhere once.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::Condvar;
use shuttle::sync::Mutex as ModelMutex;
use turtle_buffers::atomic::watch;
use turtle_buffers::check::{Log, Op, Recorder, Report, Spec, check};
use turtle_buffers::strategy::WaitFree;

use super::common::raw::{Popper, Pusher, RawQueue};
use super::common::{Answer, thread};
use super::{DEPTH, Dice, Sum, schedule};

/// Executions by each scheduler, in the ordinary run and in the long one.
const FEW: usize = 12_000;
const MANY: usize = 300_000;

#[derive(Clone, Copy, Debug)]
enum Act {
    Push,
    Pop,
    PushRun(usize),
    PopRun(usize),
    Close,
}

/// A thread, and after how many of its accesses it stops.
#[derive(Clone, Debug)]
struct Actor {
    acts: Vec<Act>,
    patience: u32,
    stops: Option<u64>,
}

#[derive(Clone, Debug)]
struct Plan {
    capacity: usize,
    before: usize,
    actors: Vec<Actor>,
}

impl Plan {
    fn new(number: u64) -> Self {
        let mut dice = Dice(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..4 {
            dice.below(2);
        }
        let threads = 2 + dice.below(3);
        let capacity = [1, 2, 4][dice.below(3) as usize];
        // Of half the plans each thread is as impatient as the others.
        let same = (dice.below(2) == 0).then(|| dice.below(3));
        let runs = dice.below(3) == 0;
        let closer = dice.below(6) == 0;
        // In half of them one or two stop, never all.
        let stopping = match dice.below(4) {
            0 | 1 => 0,
            2 => 1,
            _ => 2.min(threads - 1),
        };
        let actors = (0..threads)
            .map(|number| {
                let leaning = dice.below(3);
                let mut acts: Vec<_> = (0..1 + dice.below(4))
                    .map(|_| {
                        let pushes = match leaning {
                            0 => true,
                            1 => false,
                            _ => dice.below(2) == 0,
                        };
                        let run = (runs && dice.below(2) == 0).then(|| 2 + dice.below(2) as usize);
                        match (pushes, run) {
                            (true, None) => Act::Push,
                            (true, Some(n)) => Act::PushRun(n),
                            (false, None) => Act::Pop,
                            (false, Some(n)) => Act::PopRun(n),
                        }
                    })
                    .collect();
                if closer && number == 0 {
                    acts.push(Act::Close);
                }
                Actor {
                    acts,
                    patience: [0, 1, 8][same.unwrap_or_else(|| dice.below(3)) as usize],
                    stops: (number < stopping).then(|| dice.below(60)),
                }
            })
            .collect();
        Self {
            capacity,
            before: dice.below(capacity as u64 + 1) as usize,
            actors,
        }
    }

    /// One thread announces as many pushes as two bits tell apart, and more,
    /// while another is late with its help.
    #[cfg(turtle_mutate)]
    fn late(number: u64) -> Self {
        let mut dice = Dice(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..4 {
            dice.below(2);
        }
        let actor = |acts: Vec<Act>| Actor {
            acts,
            patience: 0,
            stops: None,
        };
        let helper = if dice.below(2) == 0 {
            Act::Push
        } else {
            Act::Pop
        };
        Self {
            capacity: 8,
            before: 0,
            actors: vec![
                actor(vec![Act::Push; 5 + dice.below(3) as usize]),
                actor(vec![helper; 1 + dice.below(2) as usize]),
            ],
        }
    }

    /// Pops of a ring that is empty now and then, all announced.
    #[cfg(turtle_mutate)]
    fn empty(_: u64) -> Self {
        let actor = |act: Act| Actor {
            acts: vec![act; 3],
            patience: 0,
            stops: None,
        };
        Self {
            capacity: 4,
            before: 0,
            actors: vec![actor(Act::Pop), actor(Act::Push), actor(Act::Pop)],
        }
    }

    /// Own accesses of a call, at the most (as in `docs/cost.md`).
    fn bound(&self, actor: usize) -> u64 {
        let participants = (self.actors.len() + 1).next_power_of_two() as u64;
        128 + 10 * u64::from(self.actors[actor].patience) + 16 * participants
    }
}

/// Who is in the middle of what.
#[derive(Default)]
struct Stage {
    /// The actor of each thread of the model.
    actors: Vec<(usize, usize)>,
    /// Own accesses: all of them, and of this call.
    all: Vec<u64>,
    call: Vec<u64>,
    most: Vec<u64>,
    stopped: usize,
}

/// What all runs together have come to.
#[derive(Default)]
struct Totals {
    stopped: AtomicU64,
    most: AtomicU64,
}

struct Play {
    plan: Plan,
    stage: Mutex<Stage>,
    goes_on: ModelMutex<bool>,
    told: Condvar,
}

impl Play {
    /// Before each access.
    fn step(&self) {
        let me = usize::from(shuttle::current::me());
        let stops = {
            let mut stage = self.stage.lock().unwrap();
            let Some(&(_, actor)) = stage.actors.iter().find(|(task, _)| *task == me) else {
                return;
            };
            stage.all[actor] += 1;
            stage.call[actor] += 1;
            stage.most[actor] = stage.most[actor].max(stage.call[actor]);
            let stops = self.plan.actors[actor].stops == Some(stage.all[actor]);
            stage.stopped += usize::from(stops);
            stops
        };
        if stops {
            let mut goes_on = self.goes_on.lock().unwrap();
            while !*goes_on {
                goes_on = self.told.wait(goes_on).unwrap();
            }
        }
    }

    fn begin(&self, actor: usize) {
        self.stage.lock().unwrap().call[actor] = 0;
    }
}

struct Hands {
    pusher: Option<Pusher<WaitFree>>,
    popper: Option<Popper<WaitFree>>,
    queue: RawQueue<WaitFree>,
    log: Log,
    next: u64,
}

impl Hands {
    fn act(&mut self, act: Act) {
        let first = self.next;
        let call = self.log.call();
        let pusher = self.pusher.as_mut();
        let answer = match act {
            Act::Push => {
                self.next += 1;
                pusher.expect("a producer").push(first)
            }
            Act::PushRun(n) => {
                self.next += n as u64;
                let values: Vec<_> = (first..self.next).collect();
                pusher.expect("a producer").push_copies(&values)
            }
            Act::Pop => self.popper.as_mut().expect("a consumer").pop(),
            Act::PopRun(n) => self.popper.as_mut().expect("a consumer").pop_copies(n),
            Act::Close => {
                self.queue.seal();
                return self.log.ret(call, Op::Close);
            }
        };
        let pushes = matches!(act, Act::Push | Act::PushRun(_));
        match answer {
            Answer::Ok => self.log.ret(call, Op::Push(first)),
            Answer::Got(value) => self.log.ret(call, Op::Pop(value)),
            Answer::Pushed(n) => {
                let values = first..first + n as u64;
                self.log.ret_batch(call, values.map(Op::Push));
            }
            Answer::Run(values, n) => {
                let popped = values[..n].iter().copied().map(Op::Pop);
                self.log.ret_batch(call, popped);
            }
            Answer::Full => self.log.ret(call, Op::PushFull),
            Answer::Empty => self.log.ret(call, Op::PopEmpty),
            Answer::Closed if pushes => self.log.ret(call, Op::PushClosed),
            Answer::Closed => self.log.ret(call, Op::PopClosed),
            Answer::Busy => panic!("nobody holds up anybody"),
        }
    }

    /// Pops until nothing is left.
    fn drain(&mut self) {
        loop {
            let before = self.log.call();
            match self.popper.as_mut().expect("a consumer").pop() {
                Answer::Got(value) => self.log.ret(before, Op::Pop(value)),
                Answer::Empty => break self.log.ret(before, Op::PopEmpty),
                Answer::Closed => break self.log.ret(before, Op::PopClosed),
                other => panic!("{other}"),
            }
        }
    }
}

fn run(plan: &Plan, totals: &Totals) -> Result<Report, String> {
    let n = plan.actors.len();
    let queue = RawQueue::<WaitFree>::with(plan.capacity, n + 1);
    let recorder = Recorder::new();
    let play = Arc::new(Play {
        plan: plan.clone(),
        stage: Mutex::new(Stage {
            all: vec![0; n],
            call: vec![0; n],
            most: vec![0; n],
            ..Stage::default()
        }),
        goes_on: ModelMutex::new(false),
        told: Condvar::new(),
    });
    let hands = |patience: u32, first: u64, pushes: bool, pops: bool| {
        let queue = queue.patient(patience);
        Hands {
            pusher: pushes.then(|| queue.pusher()),
            popper: pops.then(|| queue.popper()),
            queue,
            log: recorder.log(),
            next: first,
        }
    };
    let mut all: Vec<_> = (1..)
        .zip(&plan.actors)
        .map(|(number, actor)| hands(actor.patience, 100 * number, true, true))
        .collect();
    let mut last = hands(8, 0, false, true);
    for _ in 0..plan.before {
        all[0].act(Act::Push);
    }
    watch(Some({
        let play = play.clone();
        Rc::new(move || play.step())
    }));
    let mut running: Vec<_> = all
        .into_iter()
        .enumerate()
        .map(|(actor, mut hands)| {
            let play = play.clone();
            let running = thread::spawn(move || {
                let me = usize::from(shuttle::current::me());
                play.stage.lock().unwrap().actors.push((me, actor));
                for act in play.plan.actors[actor].acts.clone() {
                    play.begin(actor);
                    hands.act(act);
                }
                play.begin(actor);
            });
            (actor, running)
        })
        .collect();
    let stopping = |actor: &usize| plan.actors[*actor].stops.is_some();
    let held: Vec<_> = running
        .extract_if(.., |(actor, _)| stopping(actor))
        .collect();
    for (_, thread) in running {
        thread.join().unwrap();
    }
    last.drain();
    *play.goes_on.lock().unwrap() = true;
    play.told.notify_all();
    for (_, thread) in held {
        thread.join().unwrap();
    }
    last.drain();
    watch(None);
    drop(last);
    queue.audit()?;
    {
        let stage = play.stage.lock().unwrap();
        totals.stopped.fetch_add(stage.stopped as u64, Relaxed);
        for (actor, most) in stage.most.iter().enumerate() {
            let batch = plan.actors[actor].acts.iter().map(|act| match act {
                Act::PushRun(n) | Act::PopRun(n) => *n as u64,
                _ => 1,
            });
            let batch = batch.max().unwrap_or(1);
            if batch == 1 {
                totals.most.fetch_max(*most, Relaxed);
            }
            let bound = batch * plan.bound(actor);
            if *most > bound {
                return Err(format!(
                    "{most} accesses in a call, more than {bound}: {plan:?}"
                ));
            }
        }
    }
    let history = recorder.finish();
    check(&history, &Spec::bounded(plan.capacity).drained()).map_err(|violation| {
        let events = history.events().iter().map(|event| format!("  {event}\n"));
        format!("{violation}\n{plan:?}\n{}", events.collect::<String>())
    })
}

/// Runs so many plans, one a schedule, by each scheduler.
fn plans(seed: u64, schedules: usize) {
    let (sum, totals) = perform(seed, schedules, Plan::new);
    println!(
        "wait_free: {} executions, {} threads stopped, {} calls: {} Full, {} Empty, {} Closed, up to {} at once, at most {} accesses in a call",
        sum.executions,
        totals.stopped.load(Relaxed),
        sum.calls,
        sum.full,
        sum.empty,
        sum.closed,
        sum.overlap,
        totals.most.load(Relaxed),
    );
    assert!(sum.wrong.is_empty(), "\n{}", sum.wrong.join("\n"));
    assert!(totals.stopped.load(Relaxed) as usize > schedules / 4);
    assert!(sum.full > 0 && sum.empty > 0 && sum.closed > 0 && sum.overlap > 1);
}

fn perform(seed: u64, schedules: usize, plan: fn(u64) -> Plan) -> (Sum, Arc<Totals>) {
    let sum = Arc::new(Mutex::new(Sum::default()));
    let totals = Arc::new(Totals::default());
    let next = Arc::new(AtomicU64::new(seed << 32));
    let body = {
        let totals = totals.clone();
        move || run(&plan(next.fetch_add(1, Relaxed)), &totals)
    };
    schedule(
        RandomScheduler::new_from_seed(seed, schedules),
        &"plans",
        &sum,
        body.clone(),
    );
    schedule(
        PctScheduler::new_from_seed(seed, DEPTH, schedules),
        &"plans",
        &sum,
        body,
    );
    let sum = std::mem::take(&mut *sum.lock().unwrap());
    (sum, totals)
}

#[test]
fn wait_free_goes_on_whoever_stops() {
    plans(1, FEW);
}

#[test]
#[ignore = "a long run: 600,000 executions"]
fn wait_free_goes_on_whoever_stops_long_a() {
    plans(2, MANY);
}

#[test]
#[ignore = "a long run: 600,000 executions"]
fn wait_free_goes_on_whoever_stops_long_b() {
    plans(3, MANY);
}

/// What the models of `tests/mutants.rs` are too small for.
#[cfg(turtle_mutate)]
mod mutants {
    use turtle_buffers::atomic::{Step, mutate};
    use turtle_buffers::strategy::wait_free;

    use super::{Plan, perform};

    /// Whether random schedules notice that this step is left out: what they say.
    fn left_out(name: &str, schedules: usize, plan: fn(u64) -> Plan) -> Option<String> {
        let is_it = |step: &&Step| step.name() == name;
        let mut all = wait_free::STEPS.iter().chain(wait_free::CHOICES);
        mutate::leave_out(all.find(is_it).copied());
        let run = std::panic::AssertUnwindSafe(|| perform(7, schedules, plan));
        let outcome = std::panic::catch_unwind(run);
        let times = mutate::times_left_out();
        mutate::leave_out(None);
        turtle_buffers::atomic::watch(None);
        assert!(times > 0, "{name}: nobody comes by");
        match outcome {
            Ok((sum, _)) => {
                let said = sum
                    .wrong
                    .first()
                    .map(|text| text.lines().next().unwrap_or_default().to_string());
                println!("without {name}: {said:?} in {} executions", sum.executions);
                said
            }
            Err(_) => {
                println!("without {name}: a panic");
                Some("a panic".into())
            }
        }
    }

    #[test]
    fn steps_that_only_many_calls_need_are_missed() {
        assert!(left_out("RESOLVE_SLOT", 40_000, Plan::late).is_some());
        assert!(left_out("WITHDRAW", 20_000, Plan::empty).is_some());
    }

    #[test]
    #[ignore = "a survey"]
    fn survey() {
        for name in [
            "HINT_MOVE",
            "ROOM_MOVE",
            "SLOT_FIRST",
            "DEAD_STAYS",
            "ANNOUNCE",
            "RETIRE",
            "SEAL_ASK",
            "SEAL_NOTE",
            "ANNOUNCE_FENCE",
            "WITHDRAW",
        ] {
            left_out(name, 20_000, Plan::new);
        }
    }
}
