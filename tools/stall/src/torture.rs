//! Processes on one shared ring, killed and stopped at any moment, again and again.
//!
//! Each worker is a forked child with a session. What it was told it notes in
//! memory that all share, so that the next one under its session, and the end,
//! can compare: what was acknowledged is there, nothing comes twice, each
//! producer's elements come in order.
#![allow(clippy::disallowed_types)] // the tool's own notes

use std::ops::Deref;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use turtle_buffers::os::segment::Segment;
use turtle_buffers::{
    BuildError, Consumer, OpenMode, Options, PopError, Producer, PushError, Ring, Strategy,
    TryPopError, TryPushError,
};

/// Elements that a producer may push in a round.
const MOST: u64 = 1 << 23;
/// Workers at the most.
const WORKERS: usize = 64;
/// Elements of a batch.
const BATCH: usize = 12;
/// Kills of a round: then everything is drained and compared.
const ROUND: u64 = 1000;
/// A blocking call never waits that long while others work, for every four
/// processes: there may be two processors.
const WAIT: Duration = Duration::from_secs(1);
/// A `try_` call never uses the processor that long.
const CALL: Duration = Duration::from_millis(50);

type Result<T> = std::result::Result<T, String>;

/// What is wrong, as a number that a worker can leave behind.
const FAULTS: [&str; 10] = [
    "nothing",
    "a session counts fewer than were acknowledged",
    "an element came twice",
    "elements of a producer came out of order",
    "an element that nobody pushed",
    "a blocking call waited too long",
    "a try_ call took too long",
    "a session cannot be opened",
    "a call answers what it must not",
    "an orphan had been handed out before",
];

/// Of one worker, for its next life and for the end.
#[repr(C, align(128))]
struct Notes {
    /// Elements that it was told are pushed (popped), in this round.
    told: AtomicU64,
    /// What its session said last.
    done: AtomicU64,
    orphans: AtomicU64,
    /// Elements that it looked at and had not released yet.
    looked_at: AtomicU64,
    /// The next number of each producer that it may see.
    next: [AtomicU64; WORKERS],
    /// How often it was stopped.
    stops: AtomicU64,
    longest_wait: AtomicU64,
    longest_call: AtomicU64,
}

#[repr(C)]
struct Shared {
    fault: AtomicU64,
    about: AtomicU64,
    end: AtomicU64,
    workers: [Notes; WORKERS],
}

/// Zeroed memory that forked children share.
struct Map<T: ?Sized + 'static>(&'static T, usize);

impl<T: ?Sized> Deref for Map<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0
    }
}

impl<T: ?Sized> Drop for Map<T> {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`; borrowed from `self` only.
        unsafe { libc::munmap(std::ptr::from_ref(self.0).cast_mut().cast(), self.1) };
    }
}

fn map(bytes: usize) -> Result<*mut u8> {
    // SAFETY: fresh memory.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    match at {
        libc::MAP_FAILED => Err("no memory".into()),
        at => Ok(at.cast()),
    }
}

/// What is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) kills: u64,
    pub(crate) processes: usize,
    pub(crate) capacity: usize,
    pub(crate) seed: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    pub(crate) kills: u64,
    pub(crate) stops: u64,
    pub(crate) elements: u64,
    pub(crate) orphans: u64,
    /// Handed out to a worker that was killed before it could note them.
    pub(crate) in_hand: u64,
    pub(crate) dead: u64,
    pub(crate) longest_wait: Duration,
    pub(crate) longest_call: Duration,
    pub(crate) time: Duration,
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        // G. Marsaglia, "Xorshift RNGs", 2003.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

fn options(name: &str, open: OpenMode) -> Options {
    Options {
        strategy: Some(Strategy::WaitFree),
        capacity: 0,
        path: Some(name.into()),
        open,
        ..Options::default()
    }
}

/// Time of this thread on the processor.
fn busy() -> Duration {
    // SAFETY: filled in by the kernel.
    unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}

// ---- a worker ------------------------------------------------------------

struct Worker<'a> {
    shared: &'a Shared,
    /// Who got each element, plus 1; a row for each producer.
    got: &'a [AtomicU8],
    number: usize,
    random: Random,
    /// What a blocking call may take.
    patience: Duration,
}

impl Worker<'_> {
    fn notes(&self) -> &Notes {
        &self.shared.workers[self.number]
    }

    fn fault(&self, which: u64, about: u64) -> ! {
        if self.shared.fault.swap(which, Ordering::SeqCst) == 0 {
            self.shared.about.store(about, Ordering::SeqCst);
        }
        self.shared.end.store(1, Ordering::SeqCst);
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(9) };
    }

    fn ends(&self) -> bool {
        self.shared.end.load(Ordering::Relaxed) != 0
    }

    /// A `try_` call, held to its bound.
    fn tries<R>(&self, call: impl FnOnce() -> R) -> R {
        let began = busy();
        let answer = call();
        let took = busy() - began;
        let nanos = took.as_nanos() as u64;
        self.notes()
            .longest_call
            .fetch_max(nanos, Ordering::Relaxed);
        if took > CALL {
            self.fault(6, nanos);
        }
        answer
    }

    /// A blocking call, likewise, unless this process was stopped meanwhile.
    fn waits<R>(&self, call: impl FnOnce() -> R) -> R {
        let stops = self.notes().stops.load(Ordering::SeqCst);
        let began = Instant::now();
        let answer = call();
        let took = began.elapsed();
        if self.notes().stops.load(Ordering::SeqCst) == stops && !self.ends() {
            let nanos = took.as_nanos() as u64;
            self.notes()
                .longest_wait
                .fetch_max(nanos, Ordering::Relaxed);
            if took > self.patience {
                self.fault(5, nanos);
            }
        }
        answer
    }

    fn produce(&mut self, ring: &Ring<u64>) {
        let (mut tx, was) = match ring.producer_as(self.number as u64 + 1) {
            Ok(found) => found,
            Err(_) => self.fault(7, self.number as u64),
        };
        if was.done < self.notes().told.load(Ordering::SeqCst) {
            self.fault(1, was.done);
        }
        let mut next = was.done;
        let value = |next: u64| (self.number as u64) << 32 | next;
        while !self.ends() && next + (BATCH as u64) < MOST {
            let what = self.random.below(8);
            let n = self.random.below(BATCH as u64) + 1;
            let pushed = match what {
                0..3 => match self.waits(|| tx.push_timeout(value(next), 2 * self.patience)) {
                    Ok(()) => 1,
                    Err(PushError::Timeout(_)) => 0, // judged by `waits`
                    Err(_) => self.fault(8, what),
                },
                3..5 => match self.tries(|| tx.try_push(value(next))) {
                    Ok(()) => 1,
                    Err(TryPushError::Full(_)) => 0,
                    Err(_) => self.fault(8, what),
                },
                5..7 => {
                    let batch: Vec<u64> = (next..next + n).map(value).collect();
                    match self.tries(|| tx.try_push_slice(&batch)) {
                        Ok(n) => n as u64,
                        Err(TryPushError::Full(())) => 0,
                        Err(_) => self.fault(8, what),
                    }
                }
                _ => self.tries(|| match tx.try_claim() {
                    Ok(claim) => u64::from(claim.commit(value(next)).is_ok()),
                    Err(_) => 0,
                }),
            };
            next += pushed;
            self.notes().told.store(next, Ordering::SeqCst);
            if pushed == 0 {
                std::thread::yield_now();
            } else if self.random.below(50) == 0 {
                // In order, now and then.
                return self.leave_and_come_back(tx, ring);
            }
        }
    }

    fn leave_and_come_back(&mut self, tx: Producer<u64>, ring: &Ring<u64>) {
        drop(tx);
        self.produce(ring);
    }

    /// An element that was handed out.
    fn take(&self, value: u64) {
        let (producer, number) = ((value >> 32) as usize, value & 0xffff_ffff);
        if producer >= WORKERS || number >= MOST {
            self.fault(4, value);
        }
        let next = &self.notes().next[producer];
        if number < next.load(Ordering::SeqCst) {
            self.fault(3, value);
        }
        let cell = &self.got[producer * MOST as usize + number as usize];
        if cell.swap(self.number as u8 + 1, Ordering::SeqCst) != 0 {
            self.fault(2, value);
        }
        next.store(number + 1, Ordering::SeqCst);
    }

    fn consume(&mut self, ring: &Ring<u64>) {
        let (mut rx, was) = match ring.consumer_as(self.number as u64 + 1) {
            Ok(found) => found,
            Err(_) => self.fault(7, self.number as u64),
        };
        let orphans = was.orphans.len() as u64;
        self.notes().orphans.fetch_add(orphans, Ordering::SeqCst);
        let looked_at = self.notes().looked_at.load(Ordering::SeqCst);
        for orphan in was.orphans {
            let (producer, number) = ((orphan >> 32) as usize, orphan & 0xffff_ffff);
            if producer >= WORKERS || number >= MOST {
                self.fault(4, orphan);
            }
            let cell = &self.got[producer * MOST as usize + number as usize];
            match cell.load(Ordering::SeqCst) {
                0 => self.take(orphan),
                // It was noted, and its release had not come.
                _ if orphan == looked_at => {
                    self.notes().next[producer].store(number + 1, Ordering::SeqCst);
                }
                _ => self.fault(9, orphan),
            }
        }
        let mut out: Vec<u64> = Vec::with_capacity(BATCH);
        while !self.ends() {
            let what = self.random.below(8);
            let n = self.random.below(BATCH as u64) as usize + 1;
            out.clear();
            match what {
                0..3 => match self.waits(|| rx.pop_timeout(2 * self.patience)) {
                    Ok(value) => out.push(value),
                    Err(PopError::Timeout) => {} // judged by `waits`
                    Err(_) => self.fault(8, what),
                },
                3..5 => match self.tries(|| rx.try_pop()) {
                    Ok(value) => out.push(value),
                    Err(TryPopError::Empty) => {}
                    Err(_) => self.fault(8, what),
                },
                5..7 => match self.tries(|| rx.try_pop_batch(&mut out, n)) {
                    Ok(_) | Err(TryPopError::Empty) => {}
                    Err(_) => self.fault(8, what),
                },
                _ => match rx.try_peek() {
                    Ok(peek) => {
                        self.notes().looked_at.store(*peek, Ordering::SeqCst);
                        if self.random.below(64) == 0 {
                            // Long enough to be killed with it.
                            std::thread::sleep(Duration::from_millis(1));
                        }
                        self.take(*peek);
                        drop(peek);
                        self.notes().looked_at.store(!0, Ordering::SeqCst);
                        continue;
                    }
                    Err(TryPopError::Empty) => {}
                    Err(_) => self.fault(8, what),
                },
            }
            for value in &out {
                self.take(*value);
            }
            if out.is_empty() {
                std::thread::yield_now();
            }
        }
    }
}

// ---- the supervisor ------------------------------------------------------------

struct Crew<'a> {
    name: String,
    shared: &'a Shared,
    got: &'a [AtomicU8],
    effort: Effort,
    pids: Vec<libc::pid_t>,
    random: Random,
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        for number in 0..self.pids.len() {
            self.kill(number);
        }
    }
}

impl Crew<'_> {
    fn start(&mut self, number: usize) -> Result<()> {
        let seed = self.random.below(u64::from(u32::MAX)) << 8 | 1;
        // SAFETY: this process has one thread.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: plain numbers.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let ring: Ring<u64> =
                Ring::open(&options(&self.name, OpenMode::Attach)).expect("attached");
            let mut worker = Worker {
                shared: self.shared,
                got: self.got,
                number,
                random: Random(seed),
                patience: WAIT * (self.pids.len() as u32).div_ceil(4),
            };
            if number.is_multiple_of(2) {
                worker.produce(&ring);
            } else {
                worker.consume(&ring);
            }
            drop(ring);
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(0) };
        }
        if pid < 0 {
            return Err("no process".into());
        }
        self.pids[number] = pid;
        Ok(())
    }

    fn kill(&mut self, number: usize) {
        let pid = std::mem::take(&mut self.pids[number]);
        if pid != 0 {
            // SAFETY: a child of ours that was not waited for.
            unsafe {
                libc::kill(pid, libc::SIGKILL);
                libc::waitpid(pid, std::ptr::null_mut(), 0);
            }
        }
    }

    fn signal(&self, number: usize, signal: i32) {
        // SAFETY: a child of ours that was not waited for.
        unsafe { libc::kill(self.pids[number], signal) };
    }

    fn check(&self) -> Result<()> {
        match self.shared.fault.load(Ordering::SeqCst) {
            0 => Ok(()),
            fault => Err(format!(
                "{} ({:#x})",
                FAULTS[(fault as usize).min(FAULTS.len() - 1)],
                self.shared.about.load(Ordering::SeqCst)
            )),
        }
    }

    /// Lets the others work while up to three are stopped; then these go on.
    fn stop_some(&mut self) -> Result<u64> {
        let n = self.effort.processes;
        let many = (1 + self.random.below(3)).min(n as u64 - 2);
        let mut stopped = Vec::new();
        while (stopped.len() as u64) < many {
            let number = self.random.below(n as u64) as usize;
            let left = (0..n).filter(|i| i % 2 == number % 2 && !stopped.contains(i));
            if !stopped.contains(&number) && left.count() > 1 {
                stopped.push(number);
            } else if self.random.below(20) == 0 {
                break;
            }
        }
        for &number in &stopped {
            self.shared.workers[number]
                .stops
                .fetch_add(1, Ordering::SeqCst);
            self.signal(number, libc::SIGSTOP);
        }
        // The others: elements go in and come out, many of them.
        let told = |side: usize, of_stopped: bool| {
            (0..n)
                .filter(|i| i % 2 == side && stopped.contains(i) == of_stopped)
                .map(|i| {
                    let notes = &self.shared.workers[i];
                    match side {
                        0 => notes.told.load(Ordering::SeqCst),
                        _ => notes.next.iter().map(|n| n.load(Ordering::SeqCst)).sum(),
                    }
                })
                .sum::<u64>()
        };
        let begun = [told(0, false), told(1, false)];
        let since = Instant::now();
        while (0..2).any(|side| told(side, false) < begun[side] + 200) {
            self.check()?;
            if since.elapsed() > 10 * WAIT {
                return Err(format!(
                    "with {stopped:?} stopped the others do not go on: {begun:?}, {:?}",
                    [told(0, false), told(1, false)]
                ));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let held: Vec<u64> = (0..2).map(|side| told(side, true)).collect();
        for &number in &stopped {
            self.signal(number, libc::SIGCONT);
        }
        let since = Instant::now();
        while (0..2)
            .any(|side| stopped.iter().any(|i| i % 2 == side) && told(side, true) == held[side])
        {
            self.check()?;
            if since.elapsed() > 10 * WAIT {
                return Err(format!("{stopped:?} do not go on after they were stopped"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(stopped.len() as u64)
    }
}

fn said(error: BuildError) -> String {
    error.to_string()
}

/// One ring, until so many were killed.
fn round(effort: Effort, kills: u64, random: u64, sum: &mut Sum) -> Result<()> {
    let name = format!("/turtle-torture-{}", std::process::id());
    let ring: Ring<u64> = Ring::open(&Options {
        capacity: effort.capacity,
        max_threads: effort.processes as u32 / 2 + 1,
        ..options(&name, OpenMode::CreateNew)
    })
    .map_err(said)?;
    let outcome = on_ring(&ring, &name, effort, kills, random, sum);
    let _ = Segment::unlink(&name);
    outcome
}

fn on_ring(
    ring: &Ring<u64>,
    name: &str,
    effort: Effort,
    kills: u64,
    random: u64,
    sum: &mut Sum,
) -> Result<()> {
    // SAFETY: zeros are a `Shared`, and such a row of bytes; both are unmapped
    // by their owners, when nobody borrows from them.
    let (shared, got) = unsafe {
        let bytes = size_of::<Shared>();
        let shared: Map<Shared> = Map(&*map(bytes)?.cast(), bytes);
        let bytes = effort.processes * MOST as usize;
        let row = std::slice::from_raw_parts(map(bytes)?.cast::<AtomicU8>(), bytes);
        (shared, Map(row, bytes))
    };
    let n = effort.processes;
    for worker in &shared.workers {
        worker.looked_at.store(!0, Ordering::SeqCst);
    }
    let mut crew = Crew {
        name: name.into(),
        shared: &shared,
        got: &got,
        effort,
        pids: vec![0; n],
        random: Random(random | 1),
    };
    for number in 0..n {
        crew.start(number)?;
    }
    for kill in 0..kills {
        let pause = crew.random.below(3) * crew.random.below(1000);
        std::thread::sleep(Duration::from_micros(pause));
        if kill % 40 == 39 {
            sum.stops += crew.stop_some()?;
        }
        let number = crew.random.below(n as u64) as usize;
        crew.kill(number);
        sum.kills += 1;
        crew.check()?;
        crew.start(number)?;
    }
    // Everybody ends, producers first, one way or the other.
    shared.end.store(1, Ordering::SeqCst);
    for number in 0..n {
        if number % 3 == 0 {
            crew.kill(number);
        } else {
            let mut status = 0;
            let since = Instant::now();
            // SAFETY: a child of ours.
            while unsafe { libc::waitpid(crew.pids[number], &raw mut status, libc::WNOHANG) } == 0 {
                if since.elapsed() > 60 * WAIT {
                    return Err(format!("worker {number} does not end"));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            crew.pids[number] = 0;
        }
    }
    crew.check()?;
    ring.reclaim();
    ring.audit()?;

    // What is left, what the sessions say, and what everybody noted.
    let drain = Worker {
        shared: &shared,
        got: &got,
        number: n,
        random: Random(1),
        patience: WAIT,
    };
    let mut rx: Consumer<u64> = ring.try_consumer().map_err(said)?;
    let left: Vec<u64> = rx.try_iter().collect();
    for value in &left {
        drain.take(*value);
    }
    crew.check()?;
    let (mut pushed, mut popped, mut in_hand) = (0, left.len() as u64, 0);
    for number in (0..n).step_by(2) {
        let (tx, was) = ring.producer_as(number as u64 + 1).map_err(said)?;
        if was.done < shared.workers[number].told.load(Ordering::SeqCst) {
            return Err(format!("producer {number}: {was:?} in the end"));
        }
        pushed += was.done;
        // Nothing that is not counted came out.
        let row = &got[number * MOST as usize..][..MOST as usize];
        if row[was.done as usize..]
            .iter()
            .take(1 << 12)
            .any(|c| c.load(Ordering::SeqCst) != 0)
        {
            return Err(format!("producer {number}: more came out than {was:?}"));
        }
        in_hand += (row[..was.done as usize].iter())
            .filter(|cell| cell.load(Ordering::SeqCst) == 0)
            .count() as u64;
        drop(tx);
        ring.forget_session(turtle_buffers::Direction::Push, number as u64 + 1)
            .map_err(said)?;
    }
    let mut not_noted = 0;
    for number in (1..n).step_by(2) {
        let (again, was) = ring.consumer_as(number as u64 + 1).map_err(said)?;
        popped += was.done;
        for orphan in &was.orphans {
            let cell = &got[((orphan >> 32) * MOST + (orphan & 0xffff_ffff)) as usize];
            if cell.swap(number as u8 + 1, Ordering::SeqCst) == 0 {
                in_hand -= 1;
            } else if *orphan != shared.workers[number].looked_at.load(Ordering::SeqCst) {
                return Err(format!("orphan {orphan:#x} had been handed out before"));
            }
        }
        sum.orphans +=
            was.orphans.len() as u64 + shared.workers[number].orphans.load(Ordering::SeqCst);
        let noted = (got.iter())
            .filter(|cell| cell.load(Ordering::Relaxed) == number as u8 + 1)
            .count() as u64;
        if noted > was.done {
            return Err(format!("consumer {number} had {noted}, and {was:?}"));
        }
        not_noted += was.done - noted;
        drop(again);
        ring.forget_session(turtle_buffers::Direction::Pop, number as u64 + 1)
            .map_err(said)?;
    }
    // Every element that went in came out, to somebody whose session counts it.
    if pushed != popped || in_hand != not_noted {
        return Err(format!(
            "{pushed} pushed, {popped} popped; {in_hand} nowhere, {not_noted} handed out to the dead"
        ));
    }
    if in_hand > (kills + n as u64) * BATCH as u64 {
        return Err(format!("{in_hand} were handed out to {kills} that died"));
    }
    ring.audit()?;
    drop(rx);
    let all = |_| Ok((ring.try_producer()?, ring.try_consumer()?));
    let handles: std::result::Result<Vec<_>, _> = (0..=n / 2).map(all).collect();
    drop(handles.map_err(said)?);
    ring.audit()?;

    sum.elements += pushed;
    sum.in_hand += in_hand;
    sum.dead += ring.stats().dead_participants;
    for notes in &shared.workers {
        let nanos = |word: &AtomicU64| Duration::from_nanos(word.load(Ordering::Relaxed));
        sum.longest_wait = sum.longest_wait.max(nanos(&notes.longest_wait));
        sum.longest_call = sum.longest_call.max(nanos(&notes.longest_call));
    }
    drop(crew);
    Ok(())
}

/// All rounds.
///
/// # Errors
/// What was found to be wrong.
pub(crate) fn run(effort: Effort) -> (Sum, Result<()>) {
    let (began, mut sum) = (Instant::now(), Sum::default());
    let mut random = Random(effort.seed | 1);
    let mut outcome = Ok(());
    while outcome.is_ok() && sum.kills < effort.kills {
        let kills = ROUND.min(effort.kills - sum.kills);
        let seed = random.below(u64::from(u32::MAX));
        outcome = round(effort, kills, seed, &mut sum);
    }
    sum.time = began.elapsed();
    (sum, outcome)
}
