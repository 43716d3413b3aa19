//! Models of queues run one step at a time: their threads take turns, and a seed says whose it is.
//!
//! A step is one access to shared state, and nothing else happens meanwhile. So a model is ordinary
//! code, an interleaving is a number, and what is recorded is what the model did.

use std::sync::{Condvar, Mutex};

use turtle_buffers::check::{Event, History, Op, PENDING};

use super::simulate::Random;

struct Inside<S> {
    shared: S,
    random: Random,
    /// How often each thread is chosen, so that some are slow and others fast. 0: it has ended.
    weights: Vec<usize>,
    /// Until which step each thread sleeps.
    asleep: Vec<usize>,
    steps: usize,
    turn: usize,
    clock: u64,
    events: Vec<Event>,
}

impl<S> Inside<S> {
    /// Now and then the thread whose turn it was is put to sleep for a while, as a scheduler does.
    fn next(&mut self) {
        self.steps += 1;
        if self.random.one_in(12) {
            self.asleep[self.turn] = self.steps + self.random.below(100);
        }
        if !(0..self.asleep.len()).any(|thread| self.weight(thread) > 0) {
            self.asleep.fill(0);
        }
        let sum: usize = (0..self.asleep.len())
            .map(|thread| self.weight(thread))
            .sum();
        if sum == 0 {
            return; // all have ended
        }
        let mut lot = self.random.below(sum);
        for thread in 0..self.asleep.len() {
            let weight = self.weight(thread);
            if lot < weight {
                self.turn = thread;
                return;
            }
            lot -= weight;
        }
    }

    /// How likely this thread is the next.
    fn weight(&self, thread: usize) -> usize {
        let awake = self.asleep[thread] <= self.steps;
        if awake { self.weights[thread] } else { 0 }
    }
}

/// Shared state, and whose turn it is.
struct World<S> {
    inside: Mutex<Inside<S>>,
    changed: Condvar,
}

/// One thread of a model.
pub(crate) struct Thread<'w, S> {
    world: &'w World<S>,
    id: usize,
}

impl<S> Thread<'_, S> {
    /// One access to the shared state, when it is this thread's turn.
    pub(crate) fn step<R>(&self, access: impl FnOnce(&mut S) -> R) -> R {
        self.turn(|inside| access(&mut inside.shared))
    }

    fn turn<R>(&self, act: impl FnOnce(&mut Inside<S>) -> R) -> R {
        let inside = self.world.inside.lock().unwrap();
        let mut inside = (self.world.changed)
            .wait_while(inside, |inside| inside.turn != self.id)
            .unwrap();
        let result = act(&mut inside);
        inside.next();
        self.world.changed.notify_all();
        result
    }

    /// Records one call of the model.
    pub(crate) fn call(&self, call: impl FnOnce() -> Op) {
        let stamp = |inside: &mut Inside<S>| {
            inside.clock += 1;
            inside.clock
        };
        let begun = self.turn(stamp);
        let op = call();
        self.turn(|inside| {
            let ret = stamp(inside);
            inside.events.push(Event {
                thread: self.id,
                op,
                call: begun,
                ret,
            });
        });
    }
}

/// A thread of a model: what it does.
pub(crate) type Script<S> = Box<dyn Fn(&Thread<'_, S>) + Send + Sync>;

/// Runs the scripts to their ends, in the interleaving of this seed.
pub(crate) fn run<S: Send>(seed: u64, shared: S, scripts: &[Script<S>]) -> History {
    let mut random = Random::new(seed);
    let weights = scripts
        .iter()
        .map(|_| [1, 5, 25][random.below(3)])
        .collect();
    let mut inside = Inside {
        shared,
        random,
        weights,
        asleep: vec![0; scripts.len()],
        steps: 0,
        turn: 0,
        clock: 0,
        events: Vec::new(),
    };
    inside.next();
    let world = World {
        inside: Mutex::new(inside),
        changed: Condvar::new(),
    };
    std::thread::scope(|threads| {
        for (id, script) in scripts.iter().enumerate() {
            let world = &world;
            threads.spawn(move || {
                let thread = Thread { world, id };
                script(&thread);
                thread.turn(|inside| inside.weights[id] = 0);
            });
        }
    });
    let mut events = world.inside.into_inner().unwrap().events;
    assert!(events.iter().all(|event| event.ret != PENDING));
    events.sort_by_key(|event| event.call);
    events.into()
}
