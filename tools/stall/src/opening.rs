//! Calls that open a ring in shared memory: the process in which one is
//! stopped, and the other process, the tracer's, that opens the same ring.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use turtle_buffers::erased::{self, DynRing, Outcome as Told};
use turtle_buffers::os::segment::Segment;
use turtle_buffers::strategy::Arity;
use turtle_buffers::{BuildError, OpenMode, Options, Strategy};

use crate::calls::{Call, ROUNDS};
use crate::markers::measured;
use crate::page::{Page, Request};
use crate::victim::{introduce, serve, settle, start_victim};
use crate::worlds::{Answer, Op, Outcome};

/// What opening came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// There is no such ring.
    NotFound,
    /// There is one already.
    Exists,
    /// A ring, of the capacity asked for.
    Ring,
    /// Anything else: wrong here.
    Error,
}

type Opening = Result<Arc<dyn DynRing>, BuildError>;

fn describe(opening: &Opening, capacity: usize) -> Opened {
    match opening {
        Ok(ring) if ring.capacity() == capacity => Opened::Ring,
        Err(BuildError::NotFound(_)) => Opened::NotFound,
        Err(BuildError::Exists(_)) => Opened::Exists,
        Ok(_) => Opened::Error,
        Err(error) => {
            eprintln!("opening: {error}");
            Opened::Error
        }
    }
}

fn told(outcome: Told) -> Answer {
    match outcome {
        Told::Ok => Answer::Done,
        Told::Full => Answer::Full,
        Told::Empty => Answer::Empty,
        Told::Busy => Answer::Busy,
        Told::Closed => Answer::Closed,
        _ => Answer::Other,
    }
}

fn push(ring: &dyn DynRing, value: u64) -> (Op, Answer) {
    let elem = value.to_ne_bytes();
    // SAFETY: eight bytes, the element size asked for.
    (
        Op::Push(value),
        told(unsafe { ring.try_push(elem.as_ptr()) }),
    )
}

fn pop(ring: &dyn DynRing) -> (Op, Answer) {
    let mut elem = [0; 8];
    // SAFETY: eight bytes, to be written.
    let answer = told(unsafe { ring.try_pop(elem.as_mut_ptr()) });
    (Op::Pop(u64::from_ne_bytes(elem)), answer)
}

/// The names and modes of one scenario.
#[derive(Clone, Debug)]
struct Scenario {
    call: Call,
    options: Options,
}

impl Scenario {
    fn new(call: Call, strategy: Strategy, capacity: usize, victim: u32) -> Self {
        let options = Options {
            strategy: Some(strategy),
            capacity,
            path: Some(name(victim)),
            // A few: each has its record, which is a loop when the ring is made.
            max_threads: 2,
            ..Options::default()
        };
        Self { call, options }
    }

    fn open(&self, open: OpenMode) -> Opening {
        let options = Options {
            open,
            ..self.options.clone()
        };
        // SAFETY: there is no drop hook.
        unsafe { erased::open(&options, None) }
    }

    /// How the stopped thread opens it.
    fn stopped(&self) -> Opening {
        self.open(match self.call {
            Call::Create => OpenMode::CreateNew,
            Call::CreateRaced => OpenMode::CreateOrAttach,
            _ => OpenMode::Attach,
        })
    }

    /// How the other process opens it.
    fn other(&self) -> Opening {
        self.open(match self.call {
            Call::CreateRaced => OpenMode::CreateOrAttach,
            _ => OpenMode::Attach,
        })
    }
}

fn name(victim: u32) -> String {
    format!("/turtle-stall-{victim}")
}

/// Removes what a victim process may have left behind.
pub(crate) fn clear_up(victim: u32) {
    let _ = Segment::unlink(&name(victim)); // mostly there is nothing
}

/// The victim process for one opening call.
pub(crate) fn run(page: &'static Page, call: Call, strategy: Strategy, capacity: usize) -> ! {
    settle();
    introduce(page);
    let scenario = Scenario::new(call, strategy, capacity, std::process::id());
    let stopped = scenario.clone();
    let (start, returned) = start_victim(page, move |()| {
        let opening = measured(|| stopped.stopped());
        let good = describe(&opening, capacity) == Opened::Ring;
        let answer = if good { Answer::Done } else { Answer::Other };
        page.victim.set(&Outcome {
            answer,
            count: 0,
            values: Vec::new(),
        });
        opening
    });
    let note = move |(op, answer)| page.note(op, answer);
    let mut held: Option<Arc<dyn DynRing>> = None;
    serve(page, move |request, _| match request {
        Request::Setup => {
            clear_up(std::process::id());
            if call == Call::Attach {
                let ring = scenario.open(OpenMode::CreateNew).expect("a fresh segment");
                // Taking a side is no part of a call that is made again and again.
                note(push(&*ring, 1));
                note(pop(&*ring));
                held = Some(ring);
            }
            start.send(()).expect("the victim thread lives");
        }
        Request::Probe => {
            // Both sides stay this thread's where there is one of each.
            if let Some(ring) = &held {
                for value in 1..=u64::from(ROUNDS) {
                    note(push(&**ring, value));
                    note(pop(&**ring));
                }
            }
        }
        Request::Finish => {
            // What the other process has pushed comes out here.
            if let Some(ring) = held.take() {
                note(push(&*ring, 1));
                ring.release_thread();
            }
            if let Ok(ring) = returned.recv().expect("the victim thread lives") {
                note(pop(&*ring));
                note(push(&*ring, 2));
                note(pop(&*ring));
                note(pop(&*ring));
            }
            clear_up(std::process::id());
        }
    })
}

/// What the other process is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    /// Open it, and use it if it is there.
    Use,
    /// Push the value 1 through what was opened, now or before.
    Push,
}

/// What it found.
#[derive(Debug)]
pub(crate) struct Found {
    /// What opening came to.
    pub(crate) opened: Opened,
    /// The calls it made on the ring.
    pub(crate) log: Vec<(Op, Answer)>,
}

/// A thread of the tracer's process that opens the ring that the victim opens.
#[derive(Debug)]
pub(crate) struct Other {
    tasks: Sender<Task>,
    found: Receiver<Found>,
}

impl Other {
    /// Starts it.
    pub(crate) fn start(call: Call, strategy: Strategy, capacity: usize, victim: u32) -> Self {
        let scenario = Scenario::new(call, strategy, capacity, victim);
        let (tasks, asked) = channel();
        let (answers, found) = channel();
        std::thread::spawn(move || {
            let mut held: Option<Arc<dyn DynRing>> = None;
            for task in asked {
                let opening = match (&held, task) {
                    (Some(ring), Task::Push) => Ok(ring.clone()),
                    _ => scenario.other(),
                };
                let opened = describe(&opening, capacity);
                let mut log = Vec::new();
                if let Ok(ring) = opening {
                    // Where the victim's process has the sides, there is nothing to use.
                    if scenario.call != Call::Attach || strategy.traits().producers == Arity::Many {
                        log.push(push(&*ring, 1));
                        if task == Task::Use {
                            log.push(pop(&*ring));
                        }
                        ring.release_thread();
                    }
                    held =
                        (scenario.call == Call::CreateRaced && task == Task::Use).then_some(ring);
                }
                if answers.send(Found { opened, log }).is_err() {
                    return;
                }
            }
        });
        Self { tasks, found }
    }

    /// Opens the ring and uses it if it is there. `None`: no answer in time.
    pub(crate) fn open_and_use(&self) -> Option<Found> {
        self.tasks.send(Task::Use).ok()?;
        self.wait()
    }

    /// Pushes the value 1.
    pub(crate) fn push(&self) -> Option<Found> {
        self.tasks.send(Task::Push).ok()?;
        self.wait()
    }

    fn wait(&self) -> Option<Found> {
        self.found.recv_timeout(Duration::from_secs(3)).ok()
    }
}
