//! The process in which one thread is stopped.
//!
//! Three threads: the *victim* makes the call that is stopped, the *other*
//! carries out the tracer's requests, and where a call wakes somebody, a
//! *sleeper* sleeps. Everything they find goes to the shared page.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::calls::{Call, ROUNDS, SLEEPER_VALUE, Script, Side, VICTIM_VALUES};
use crate::markers::{addresses, hand_over, measured};
use crate::page::{Page, Request, now};
use crate::queue::{Pop, Push, Queue, popped, pushed};
use crate::worlds::{Answer, Op, Outcome};

/// What a thread makes its call on.
enum Handle<Q: Queue> {
    Push(Q::Push),
    Pop(Q::Pop),
    Ring(Q),
}

/// Settles this process: it ends with the tracer, and a panic ends it.
pub(crate) fn settle() {
    // SAFETY: an option with a plain number.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    std::panic::set_hook(Box::new(|info| {
        eprintln!("victim process: {info}");
        // SAFETY: ends the process at once, whatever its threads do.
        unsafe { libc::_exit(101) };
    }));
}

/// Tells the tracer where to look.
pub(crate) fn introduce(page: &Page) {
    let (begins, ends) = addresses();
    page.begins.store(begins, Ordering::Relaxed);
    page.ends.store(ends, Ordering::Relaxed);
    page.base.store(program_base(), Ordering::Relaxed);
    // SAFETY: no arguments.
    page.other_tid
        .store(unsafe { libc::gettid() }.cast_unsigned(), Ordering::Relaxed);
}

/// Where this program is mapped; 0 if the system does not say.
fn program_base() -> u64 {
    let program = std::env::current_exe().unwrap_or_default();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.lines()
        .find(|line| line.ends_with(&*program.to_string_lossy()))
        .and_then(|line| line.split('-').next())
        .and_then(|start| u64::from_str_radix(start, 16).ok())
        .unwrap_or(0)
}

/// Starts the thread that is going to be stopped: it does what it is sent,
/// between two hand-overs. The first thing it does is to say who it is.
pub(crate) fn start_victim<J: Send + 'static, R: Send + 'static>(
    page: &'static Page,
    mut work: impl FnMut(J) -> R + Send + 'static,
) -> (Sender<J>, Receiver<R>) {
    let (send, jobs) = channel::<J>();
    let (answers, results) = channel();
    std::thread::spawn(move || {
        // SAFETY: no arguments.
        let (process, thread) = unsafe { (libc::getpid(), libc::gettid()) };
        page.victim_tid
            .store(thread.cast_unsigned(), Ordering::Release);
        for job in jobs {
            hand_over(process, thread);
            let result = work(job);
            hand_over(process, thread);
            if answers.send(result).is_err() {
                return;
            }
        }
    });
    while page.victim_tid.load(Ordering::Acquire) == 0 {
        std::thread::yield_now();
    }
    (send, results)
}

/// Serves the tracer for ever.
pub(crate) fn serve(page: &Page, mut carry_out: impl FnMut(Request, u32)) -> ! {
    let mut number = page.request.get();
    page.reply.ring(1);
    loop {
        let next = page.request.wait_while(number, Duration::from_secs(3600));
        if next != number {
            number = next;
            let (request, argument) = page.asked();
            carry_out(request, argument);
            page.reply.ring(number + 1);
        }
    }
}

/// The stopped call. Answers the handle for the clearing up.
fn perform<Q: Queue>(page: &Page, call: Call, mut handle: Handle<Q>) -> Handle<Q> {
    let value = VICTIM_VALUES[0];
    let outcome = match (&mut handle, call) {
        (Handle::Push(p), Call::TryPush | Call::TryPushFull | Call::PushWakes) => {
            pushed(measured(|| p.try_push(value)))
        }
        (Handle::Push(p), Call::PushBatch | Call::BatchWakes) => {
            let (answer, count) = measured(|| p.try_push_batch(&VICTIM_VALUES));
            Outcome {
                answer,
                count,
                values: Vec::new(),
            }
        }
        (Handle::Push(p), Call::ClaimCommit) => pushed(measured(|| p.claim_commit(value))),
        (Handle::Push(p), _) => pushed(measured(|| p.push(value))),
        (Handle::Pop(p), Call::TryPop | Call::TryPopEmpty | Call::PopWakes) => {
            popped(measured(|| p.try_pop()))
        }
        (Handle::Pop(p), Call::PopBatch) => {
            let mut values = Vec::with_capacity(VICTIM_VALUES.len());
            let answer = measured(|| p.try_pop_batch(&mut values, VICTIM_VALUES.len()));
            Outcome {
                answer,
                count: values.len(),
                values,
            }
        }
        (Handle::Pop(p), Call::PeekRelease) => popped(measured(|| p.peek_release())),
        (Handle::Pop(p), _) => popped(measured(|| p.pop())),
        (Handle::Ring(ring), _) => {
            measured(|| ring.close());
            Outcome {
                answer: Answer::Done,
                count: 0,
                values: Vec::new(),
            }
        }
    };
    page.victim.set(&outcome);
    handle
}

/// The thread that sleeps until the stopped call wakes it.
fn start_sleeper<Q: Queue>(page: &'static Page) -> (Sender<Handle<Q>>, Receiver<Handle<Q>>) {
    let (send, jobs) = channel::<Handle<Q>>();
    let (answers, results) = channel();
    std::thread::spawn(move || {
        for mut handle in jobs {
            let outcome = match &mut handle {
                Handle::Push(p) => pushed(p.push(SLEEPER_VALUE)),
                Handle::Pop(p) => popped(p.pop()),
                Handle::Ring(_) => unreachable!("a sleeper is a producer or a consumer"),
            };
            page.sleeper_at.store(now(), Ordering::Relaxed);
            page.sleeper.set(&outcome);
            page.sleeper_done.ring(1);
            if answers.send(handle).is_err() {
                return;
            }
        }
    });
    (send, results)
}

/// What the others have, and the calls they make.
struct Others<Q: Queue> {
    page: &'static Page,
    ring: Q,
    push: Option<Q::Push>,
    pop: Option<Q::Pop>,
    next: u64,
    capacity: usize,
}

impl<Q: Queue> Others<Q> {
    fn push(&mut self) -> Option<Answer> {
        let value = self.next;
        let answer = self.push.as_mut()?.try_push(value);
        self.next += 1;
        self.page.note(Op::Push(value), answer);
        Some(answer)
    }

    fn pop(&mut self) -> Option<Answer> {
        let (answer, value) = self.pop.as_mut()?.try_pop();
        self.page.note(Op::Pop(value), answer);
        Some(answer)
    }

    /// Until refused twice in a row, or this side is not ours.
    fn fill(&mut self) {
        let mut refused = 0;
        for _ in 0..self.capacity + 8 {
            match self.push() {
                Some(Answer::Done) => refused = 0,
                Some(_) if refused == 0 => refused = 1,
                _ => return,
            }
        }
    }

    fn drain(&mut self) {
        let mut refused = 0;
        for _ in 0..2 * self.capacity + 8 {
            match self.pop() {
                Some(Answer::Done) => refused = 0,
                Some(_) if refused == 0 => refused = 1,
                _ => return,
            }
        }
    }

    fn run(&mut self, script: Script, call: Call) {
        match script {
            Script::Pairs => {
                self.push();
                self.push();
                self.drain();
                for _ in 0..ROUNDS {
                    self.push();
                    self.pop();
                }
                match call.side() {
                    Side::Push => self.drain(),
                    Side::Pop | Side::Ring => {
                        self.push();
                    }
                }
            }
            Script::Full => {
                self.fill();
                self.pop();
                self.push();
                self.push();
            }
            Script::Empty => {
                self.drain();
                self.push();
                self.pop();
                self.pop();
            }
            Script::Close => {
                self.push();
                self.pop();
                self.ring.close();
                self.page.note(Op::Close, Answer::Done);
                self.push();
                self.drain();
            }
            Script::Feed if call.side() == Side::Pop => {
                self.push();
                self.pop();
                self.push();
            }
            Script::Feed => {
                self.pop();
                self.push();
                self.pop();
            }
            Script::Crowd => match call.side() {
                Side::Push => drop(self.push()),
                Side::Pop => drop(self.pop()),
                Side::Ring => {
                    self.ring.close();
                    self.page.note(Op::Close, Answer::Done);
                }
            },
            Script::Watch | Script::Open => {}
        }
    }
}

/// The victim process for one call on queues of one kind.
pub(crate) fn run<Q: Queue>(page: &'static Page, call: Call, capacity: usize) -> ! {
    settle();
    introduce(page);
    let (start, returned) = start_victim(page, move |handle| perform::<Q>(page, call, handle));
    let (rest, risen) = start_sleeper::<Q>(page);
    let mut others: Option<Others<Q>> = None;
    serve(page, |request, argument| match request {
        Request::Setup => {
            let (fresh, handle, sleeper) = set_up::<Q>(page, call, capacity);
            if let Some(sleeper) = sleeper {
                rest.send(sleeper).expect("the sleeper thread lives");
                while fresh.ring.sleeps() == 0 {
                    std::thread::yield_now();
                }
            }
            others = Some(fresh);
            start.send(handle).expect("the victim thread lives");
        }
        Request::Probe => {
            if let Some(others) = &mut others {
                others.run(Script::from_number(argument), call);
            }
        }
        Request::Finish => {
            let others = others.as_mut().expect("set up before");
            // Handles come back: what the engine allows one of is here again.
            let mut back = vec![returned.recv().expect("the victim thread lives")];
            if call.has_sleeper() {
                back.push(risen.recv().expect("the sleeper thread lives"));
            }
            for handle in back {
                match handle {
                    Handle::Push(push) => others.push = others.push.take().or(Some(push)),
                    Handle::Pop(pop) => others.pop = others.pop.take().or(Some(pop)),
                    Handle::Ring(_) => {}
                }
            }
            others.drain();
        }
    })
}

type Parts<Q> = (Others<Q>, Handle<Q>, Option<Handle<Q>>);

fn set_up<Q: Queue>(page: &'static Page, call: Call, capacity: usize) -> Parts<Q> {
    let ring = Q::build(capacity);
    let push = || ring.producer().expect("one producer at least");
    let pop = || ring.consumer().expect("one consumer at least");
    let mut handle: Handle<Q> = match call.side() {
        Side::Push => Handle::Push(push()),
        Side::Pop => Handle::Pop(pop()),
        Side::Ring => Handle::Ring(ring.clone()),
    };
    let mut sleeper: Option<Handle<Q>> = match call {
        Call::PushWakes | Call::BatchWakes | Call::CloseWakes => Some(Handle::Pop(pop())),
        Call::PopWakes => Some(Handle::Push(push())),
        _ => None,
    };
    let (mut own_push, own_pop) = (ring.producer(), ring.consumer());
    let start = call.start(capacity);
    for value in 1..=start {
        let answer = match (&mut own_push, &mut handle, &mut sleeper) {
            (Some(push), _, _) | (None, Handle::Push(push), _) => push.try_push(value),
            (None, _, Some(Handle::Push(push))) => push.try_push(value),
            _ => unreachable!("somebody is the producer"),
        };
        assert_eq!(answer, Answer::Done, "filling a fresh ring");
    }
    let others = Others {
        page,
        ring,
        push: own_push,
        pop: own_pop,
        next: start + 1,
        capacity,
    };
    (others, handle, sleeper)
}
