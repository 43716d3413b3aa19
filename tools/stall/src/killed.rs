//! Participants of a shared ring that are killed after any instruction of a call.
//!
//! The tracer is a participant itself, the *survivor*. Each victim is a forked
//! child with a ring object, a place and a session of its own; it is stepped to
//! a boundary of its call, the survivor uses the ring meanwhile, and then the
//! victim is killed there (or goes on). In the end every element has to be
//! accounted for by what the sessions say.
#![allow(clippy::disallowed_types)] // the tool's own mailbox

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use turtle_buffers::os::segment::Segment;
use turtle_buffers::{
    Consumer, Direction, OpenMode, Options, Producer, Ring, Strategy, TryPopError, TryPushError,
};

use crate::drive::Path;
use crate::markers::{addresses, hand_over, measured};
use crate::tracee::{Lost, Stop, Tracee};

/// What a victim may take to get ready.
const PATIENCE: Duration = Duration::from_secs(20);
/// Seconds after which a survivor hangs.
const HANG: u32 = 60;
/// Push-and-pop rounds of the survivor.
const ROUNDS: u32 = 50;
/// Participants of each side: the survivor and three victims.
const PLACES: u32 = 4;
/// Elements of a batch.
const BATCH: u64 = 10;
/// The survivor's number; victims count from 1.
const SURVIVOR: u64 = 90;
/// So many bytes of a victim's stack are searched for what it had been given.
const STACK: usize = 16 << 10;

type Result<T> = std::result::Result<T, String>;

/// The call in which a victim is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is described by `name`
pub(crate) enum Act {
    Push,
    PushBatch,
    ClaimCommit,
    Pop,
    PopBatch,
    PeekRelease,
    JoinPush,
    JoinPop,
    LeavePush,
    LeavePop,
    /// It puts right what somebody left who died before.
    Reclaim,
}

impl Act {
    pub(crate) const ALL: [Act; 11] = [
        Act::Push,
        Act::PushBatch,
        Act::ClaimCommit,
        Act::Pop,
        Act::PopBatch,
        Act::PeekRelease,
        Act::JoinPush,
        Act::JoinPop,
        Act::LeavePush,
        Act::LeavePop,
        Act::Reclaim,
    ];
    /// Those that move elements.
    const MOVES: [Act; 6] = [
        Act::Push,
        Act::PushBatch,
        Act::ClaimCommit,
        Act::Pop,
        Act::PopBatch,
        Act::PeekRelease,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::PushBatch => "push batch of 10",
            Self::ClaimCommit => "claim, commit",
            Self::Pop => "pop",
            Self::PopBatch => "pop batch of 10",
            Self::PeekRelease => "peek, release",
            Self::JoinPush => "join as a producer",
            Self::JoinPop => "join as a consumer",
            Self::LeavePush => "leave as a producer",
            Self::LeavePop => "leave as a consumer",
            Self::Reclaim => "reclaim of a dead consumer",
        }
    }

    fn pops(self) -> bool {
        matches!(
            self,
            Self::Pop | Self::PopBatch | Self::PeekRelease | Self::JoinPop | Self::LeavePop
        )
    }

    fn moves(self) -> bool {
        Self::MOVES.contains(&self)
    }
}

/// What is inside when the first victim begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    Empty,
    Half,
    Full,
    /// A run of which some are popped, and another one.
    Part,
}

impl Fill {
    const ALL: [Fill; 4] = [Fill::Empty, Fill::Half, Fill::Full, Fill::Part];
}

/// What becomes of a stopped victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Killed before the next victim begins.
    KilledFirst,
    /// Killed after the survivor used the ring.
    Killed,
    /// It goes on after that.
    GoesOn,
}

/// One victim.
#[derive(Clone, Copy, Debug)]
struct Stopped {
    act: Act,
    boundary: usize,
    fate: Fate,
}

/// One ring, its victims, and what the survivor does.
#[derive(Clone, Debug)]
struct Plan {
    capacity: usize,
    patience: Option<u32>,
    fill: Fill,
    /// How often round the ring the survivor goes before anybody is killed.
    laps: usize,
    victims: Vec<Stopped>,
}

/// What a victim tells, in memory that it shares with the tracer.
#[repr(C)]
struct Sheet {
    /// Where its batch goes.
    buffer: AtomicU64,
    /// Elements that its call moved, and those that it popped.
    moved: AtomicU64,
    values: [AtomicU64; BATCH as usize],
}

/// A victim process.
struct Victim {
    number: u64,
    what: Stopped,
    pid: libc::pid_t,
    tracee: Tracee,
    sheet: &'static Sheet,
    /// What was in its registers, on its stack and in its buffer in the end.
    memory: Vec<u64>,
    killed: bool,
    ended: bool,
}

impl Drop for Victim {
    fn drop(&mut self) {
        if self.pid != 0 {
            self.kill();
        }
    }
}

impl Victim {
    fn kill(&mut self) {
        // SAFETY: a child of ours that was not waited for.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        self.tracee.bury();
        self.pid = 0;
    }

    /// Remembers what it holds, then ends it where it is.
    fn kill_there(&mut self) -> Result<()> {
        let registers = self.tracee.registers().map_err(text)?;
        let numbers = size_of_val(&registers) / 8;
        // SAFETY: plain numbers.
        self.memory.extend_from_slice(unsafe {
            std::slice::from_raw_parts((&raw const registers).cast::<u64>(), numbers)
        });
        let stack = registers.rsp & !7;
        for (from, bytes) in [
            (stack - 256, STACK + 256),
            (
                self.sheet.buffer.load(Ordering::Relaxed),
                8 * BATCH as usize,
            ),
        ] {
            let mut into = vec![0_u64; bytes / 8];
            let local = libc::iovec {
                iov_base: into.as_mut_ptr().cast(),
                iov_len: bytes,
            };
            let remote = libc::iovec {
                iov_base: from as *mut libc::c_void,
                iov_len: bytes,
            };
            // SAFETY: reads into our own buffer; what is not there is left out.
            unsafe {
                libc::process_vm_readv(self.pid, &raw const local, 1, &raw const remote, 1, 0)
            };
            self.memory.append(&mut into);
        }
        self.killed = true;
        self.kill();
        Ok(())
    }
}

fn text(lost: Lost) -> String {
    lost.to_string()
}

fn value(number: u64, count: u64) -> u64 {
    (number | 0x7e57_0000) << 32 | count
}

fn options(name: &str, plan: &Plan, open: OpenMode) -> Options {
    let attach = open == OpenMode::Attach;
    Options {
        strategy: Some(Strategy::WaitFree),
        capacity: if attach { 0 } else { plan.capacity },
        path: Some(name.into()),
        max_threads: if attach { 0 } else { PLACES },
        patience: plan.patience,
        open,
        ..Options::default()
    }
}

/// The child: makes its call between two hand-overs, and waits.
fn be_victim(sheet: &Sheet, name: &str, plan: &Plan, number: u64, act: Act) -> ! {
    // SAFETY: plain numbers.
    let (process, thread) = unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
        libc::alarm(0);
        (libc::getpid(), libc::gettid())
    };
    std::panic::set_hook(Box::new(|info| {
        eprintln!("victim process: {info}");
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(101) };
    }));
    let ring: Ring<u64> = Ring::open(&options(name, plan, OpenMode::Attach)).expect("attached");
    let joins = matches!(act, Act::JoinPush | Act::JoinPop | Act::Reclaim);
    let mut tx = (!joins && !act.pops()).then(|| ring.producer_as(number).expect("a place").0);
    let mut rx = (!joins && act.pops()).then(|| ring.consumer_as(number).expect("a place").0);
    let mut out = Vec::with_capacity(BATCH as usize);
    sheet.buffer.store(out.as_ptr() as u64, Ordering::Relaxed);
    let batch: Vec<u64> = (0..BATCH).map(|i| value(number, i)).collect();
    let mut moved = 0;
    hand_over(process, thread);
    match act {
        Act::Push => {
            let tx = tx.as_mut().expect("ours");
            moved = u64::from(measured(|| tx.try_push(batch[0])).is_ok());
        }
        Act::PushBatch => {
            let tx = tx.as_mut().expect("ours");
            moved = measured(|| tx.try_push_slice(&batch)).unwrap_or(0) as u64;
        }
        Act::ClaimCommit => {
            let tx = tx.as_mut().expect("ours");
            let done = measured(|| match tx.try_claim() {
                Ok(claim) => claim.commit(batch[0]).is_ok(),
                Err(_) => false,
            });
            moved = u64::from(done);
        }
        Act::Pop => {
            let rx = rx.as_mut().expect("ours");
            out.extend(measured(|| rx.try_pop()).ok());
        }
        Act::PopBatch => {
            let rx = rx.as_mut().expect("ours");
            let _ = measured(|| rx.try_pop_batch(&mut out, BATCH as usize));
        }
        Act::PeekRelease => {
            let rx = rx.as_mut().expect("ours");
            out.extend(measured(|| rx.try_peek().map(|peek| *peek).ok()));
        }
        Act::JoinPush => tx = Some(measured(|| ring.producer_as(number).expect("a place").0)),
        Act::JoinPop => rx = Some(measured(|| ring.consumer_as(number).expect("a place").0)),
        Act::LeavePush => measured(|| drop(tx.take())),
        Act::LeavePop => measured(|| drop(rx.take())),
        Act::Reclaim => {
            measured(|| ring.reclaim());
        }
    }
    for (to, from) in sheet.values.iter().zip(&out) {
        to.store(*from, Ordering::Relaxed);
    }
    sheet
        .moved
        .store(moved + out.len() as u64, Ordering::Release);
    hand_over(process, thread);
    drop((tx, rx, ring));
    // SAFETY: ends the process at once.
    unsafe { libc::_exit(0) };
}

fn start(
    name: &str,
    plan: &Plan,
    number: u64,
    what: Stopped,
    path: Option<&Path>,
) -> Result<Victim> {
    // SAFETY: a fresh page; it stays for the life of the experiment.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size_of::<Sheet>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return Err("no memory".into());
    }
    // SAFETY: zeros are a sheet; unmapped when the experiment has ended.
    let sheet: &'static Sheet = unsafe { &*page.cast::<Sheet>() };
    // SAFETY: this process has one thread.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        be_victim(sheet, name, plan, number, what.act);
    }
    if pid < 0 {
        return Err("no process".into());
    }
    let mut victim = Victim {
        number,
        what,
        pid,
        tracee: Tracee::of_child(pid),
        sheet,
        memory: Vec::new(),
        killed: false,
        ended: false,
    };
    victim.tracee.wait_for_hand_over(PATIENCE).map_err(text)?;
    victim.tracee.run_to(addresses().0, 1).map_err(text)?;
    let stack = victim.tracee.registers().map_err(text)?.rsp;
    let back = victim.tracee.peek(stack).map_err(text)?;
    victim.tracee.run_to(back, 1).map_err(text)?;
    if let Some(path) = path {
        victim.seek(path).map_err(text)?;
    }
    Ok(victim)
}

impl Victim {
    /// Goes to its boundary, along the path if that is known so far.
    fn seek(&mut self, path: &Path) -> std::result::Result<(), Lost> {
        let boundary = self.what.boundary;
        let mut from = 0;
        if boundary < path.at.len()
            && let Some((at, nth)) = path.landing(boundary)
        {
            if self.tracee.run_to(path.at[at], nth)? == Stop::HandOver {
                self.ended = true;
                return Ok(());
            }
            from = at;
        }
        for _ in from..boundary {
            if self.tracee.step()? == Stop::HandOver {
                self.ended = true;
                return Ok(());
            }
        }
        Ok(())
    }

    /// The path of its call, to the end.
    fn record(&mut self) -> std::result::Result<Path, Lost> {
        let mut path = Path::default();
        loop {
            let at = self.tracee.at()?;
            path.at.push(at);
            if at == addresses().1 || self.tracee.step()? == Stop::HandOver {
                break;
            }
        }
        path.finish();
        Ok(path)
    }
}

/// The participant that goes on.
struct Survivor {
    tx: Producer<u64>,
    rx: Consumer<u64>,
    pushed: u64,
    popped: Vec<u64>,
    /// Refused answers in a row that victims may be the reason of.
    most: usize,
}

impl Survivor {
    fn push(&mut self) -> Result<bool> {
        match self.tx.try_push(value(SURVIVOR, self.pushed)) {
            Ok(()) => {
                self.pushed += 1;
                Ok(true)
            }
            Err(TryPushError::Full(_)) => Ok(false),
            Err(other) => Err(format!("the survivor's push answers {other}")),
        }
    }

    fn pop(&mut self) -> Result<bool> {
        match self.rx.try_pop() {
            Ok(value) => {
                self.popped.push(value);
                Ok(true)
            }
            Err(TryPopError::Empty) => Ok(false),
            Err(other) => Err(format!("the survivor's pop answers {other}")),
        }
    }

    fn push_batch(&mut self, n: u64) -> Result<()> {
        let batch: Vec<u64> = (0..n).map(|i| value(SURVIVOR, self.pushed + i)).collect();
        match self.tx.try_push_slice(&batch) {
            Ok(n) => self.pushed += n as u64,
            Err(TryPushError::Full(())) => {}
            Err(other) => return Err(format!("the survivor's batch answers {other}")),
        }
        Ok(())
    }

    fn fill(&mut self, fill: Fill, capacity: usize) -> Result<()> {
        match fill {
            Fill::Empty => {}
            Fill::Half => {
                for _ in 0..capacity / 2 {
                    self.push()?;
                }
            }
            Fill::Full => {
                self.push()?;
                self.push_batch(3)?;
                while self.push()? {}
            }
            Fill::Part => {
                self.push_batch(capacity as u64 * 3 / 4)?;
                self.pop()?;
                self.push()?;
            }
        }
        Ok(())
    }

    /// Goes round the ring, one by one or in batches, and leaves as much inside.
    fn go_round(&mut self, laps: usize, slots: usize) -> Result<()> {
        for lap in 0..laps {
            for _ in 0..slots.div_ceil(if lap % 2 == 1 { 3 } else { 1 }) {
                if lap % 2 == 1 {
                    let mut out = Vec::new();
                    let _ = self.rx.try_pop_batch(&mut out, 3);
                    self.push_batch(out.len().max(1) as u64)?;
                    self.popped.append(&mut out);
                } else if self.pop()? {
                    self.push()?;
                } else {
                    self.push()?;
                    self.pop()?;
                }
            }
        }
        Ok(())
    }

    /// Nobody is in the way: after as many tries as there may be others, a
    /// push finds room and a pop an element.
    fn rounds(&mut self) -> Result<()> {
        for round in 0..ROUNDS {
            let mut tries = 0;
            while !self.push()? {
                self.pop()?;
                tries += 1;
                if tries > self.most {
                    return Err(format!("round {round}: the survivor cannot push"));
                }
            }
            tries = 0;
            while !self.pop()? {
                self.push()?;
                tries += 1;
                if tries > self.most {
                    return Err(format!("round {round}: the survivor cannot pop"));
                }
            }
        }
        Ok(())
    }
}

/// What came of an experiment.
#[derive(Default)]
struct Found {
    /// The last victim's call had ended before its boundary.
    ended: bool,
    kills: usize,
    orphans: usize,
    /// Handed out to somebody who was killed before saying so.
    in_hand: usize,
}

fn experiment(name: &str, plan: &Plan, paths: &[&Path]) -> Result<Found> {
    let ring: Ring<u64> =
        Ring::open(&options(name, plan, OpenMode::CreateNew)).map_err(|e| e.to_string())?;
    let outcome = on_ring(&ring, name, plan, paths);
    let _ = Segment::unlink(name);
    outcome
}

fn on_ring(ring: &Ring<u64>, name: &str, plan: &Plan, paths: &[&Path]) -> Result<Found> {
    let handle = |e: turtle_buffers::BuildError| e.to_string();
    let mut survivor = Survivor {
        tx: ring.try_producer().map_err(handle)?,
        rx: ring.try_consumer().map_err(handle)?,
        pushed: 0,
        popped: Vec::new(),
        most: plan.victims.len() * BATCH as usize + plan.capacity,
    };
    survivor.fill(plan.fill, plan.capacity)?;
    let mut found = Found::default();
    let mut victims: Vec<Victim> = Vec::new();
    for (at, what) in plan.victims.iter().enumerate() {
        let mut victim = start(name, plan, at as u64 + 1, *what, Some(paths[at]))?;
        if what.fate == Fate::KilledFirst {
            victim.kill_there()?;
        }
        found.ended = victim.ended;
        victims.push(victim);
    }
    survivor.go_round(plan.laps, plan.capacity + 6)?;
    for victim in &mut victims {
        match victim.what.fate {
            Fate::KilledFirst => {}
            Fate::Killed => victim.kill_there()?,
            Fate::GoesOn => {
                if !victim.ended {
                    victim.tracee.go().map_err(text)?;
                    victim.tracee.wait_for_hand_over(PATIENCE).map_err(text)?;
                }
                victim.tracee.go().map_err(text)?;
                victim.tracee.bury();
                victim.pid = 0;
            }
        }
    }
    // Nobody has looked for the dead so far, and nobody has to.
    survivor.rounds()?;
    let killed = victims.iter().filter(|v| v.killed);
    let sure = killed.clone().filter(|v| v.what.act.moves()).count();
    let at_most = killed
        .clone()
        .filter(|v| v.what.act != Act::Reclaim)
        .count();
    let reclaimed = victims.iter().any(|v| v.what.act == Act::Reclaim);
    let dead = ring.reclaim();
    if dead > at_most || (dead < sure && !reclaimed) {
        return Err(format!("reclaim found {dead} dead, of {sure} to {at_most}"));
    }
    if ring.reclaim() != 0 {
        return Err("reclaim found the same dead again".into());
    }
    ring.audit()?;
    found.kills = killed.count();

    // What the sessions say.
    let mut done_by = BTreeMap::new();
    let mut got: Vec<u64> = Vec::new();
    let mut in_hand = 0;
    let mut sessions = Vec::new();
    for victim in victims.iter().filter(|v| v.what.act != Act::Reclaim) {
        let (number, told) = (victim.number, victim.sheet.moved.load(Ordering::Acquire));
        let (done, died) = if victim.what.act.pops() {
            let (rx, was) = ring.consumer_as(number).map_err(handle)?;
            if !was.orphans.is_sorted() || was.orphans.len() as u64 > was.done {
                return Err(format!("victim {number}: {was:?}"));
            }
            found.orphans += was.orphans.len();
            in_hand += was.done - was.orphans.len() as u64;
            if !victim.killed {
                let of_it = victim.sheet.values.iter().take(told as usize);
                got.extend(of_it.map(|v| v.load(Ordering::Relaxed)));
                in_hand -= was.done.min(told);
            }
            got.extend(&was.orphans);
            sessions.push((Direction::Pop, number));
            drop(rx);
            (was.done, was.died)
        } else {
            let (tx, was) = ring.producer_as(number).map_err(handle)?;
            done_by.insert(number, was.done);
            sessions.push((Direction::Push, number));
            drop(tx);
            (was.done, was.died)
        };
        if (!victim.killed || victim.ended) && done != told {
            return Err(format!(
                "victim {number} was told {told} and its session says {done}"
            ));
        }
        if victim.what.act.moves() && died != victim.killed {
            return Err(format!("victim {number}: its session says died: {died}"));
        }
    }
    survivor.rounds()?;
    while survivor.pop()? {}
    done_by.insert(SURVIVOR, survivor.pushed);

    // Every element that was counted is somewhere, once.
    let mut last = BTreeMap::new();
    for value in &survivor.popped {
        if last
            .insert(value >> 32, *value)
            .is_some_and(|last| last >= *value)
        {
            return Err(format!("{value:#x} comes out of order or twice"));
        }
    }
    let mut expected: BTreeMap<u64, bool> = done_by
        .iter()
        .flat_map(|(number, done)| (0..*done).map(|i| (value(*number, i), false)))
        .collect();
    for value in survivor.popped.iter().chain(&got) {
        match expected.insert(*value, true) {
            Some(false) => {}
            Some(true) => return Err(format!("{value:#x} came out twice")),
            None => return Err(format!("{value:#x} came out and is not counted as pushed")),
        }
    }
    let missing: Vec<u64> = (expected.iter().filter(|(_, out)| !**out))
        .map(|(value, _)| *value)
        .collect();
    if missing.len() as u64 != in_hand {
        return Err(format!(
            "{} elements are nowhere ({:#x?}), {in_hand} are counted as handed out",
            missing.len(),
            missing.first()
        ));
    }
    for value in &missing {
        let holds = |v: &&Victim| v.killed && v.what.act.pops() && v.memory.contains(value);
        if victims.iter().find(holds).is_none() {
            return Err(format!("{value:#x} counts as handed out and nobody had it"));
        }
    }
    found.in_hand = missing.len();

    // All places and cells are back.
    for (direction, number) in sessions {
        ring.forget_session(direction, number).map_err(handle)?;
    }
    ring.audit()?;
    drop(survivor);
    let all = |_| Ok((ring.try_producer()?, ring.try_consumer()?));
    let handles: std::result::Result<Vec<_>, _> = (0..PLACES).map(all).collect();
    drop(handles.map_err(handle)?);
    ring.audit()?;
    for victim in &victims {
        // SAFETY: mapped by `start`; nobody looks at it any more.
        unsafe {
            libc::munmap(
                std::ptr::from_ref(victim.sheet).cast_mut().cast(),
                size_of::<Sheet>(),
            )
        };
    }
    Ok(found)
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Every so many boundaries one is taken.
    pub(crate) stride: usize,
    /// Random experiments with two or three victims.
    pub(crate) together: u64,
    pub(crate) seed: u64,
}

/// Counts of a group of experiments.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) boundaries: usize,
    pub(crate) kills: usize,
    pub(crate) orphans: usize,
    pub(crate) in_hand: usize,
    pub(crate) faults: Vec<String>,
    pub(crate) time: Duration,
}

impl Group {
    fn note(&mut self, plan: &Plan, outcome: Result<Found>) -> bool {
        self.boundaries += plan.victims.len();
        match outcome {
            Ok(found) => {
                self.kills += found.kills;
                self.orphans += found.orphans;
                self.in_hand += found.in_hand;
                found.ended
            }
            Err(why) => {
                self.faults.push(format!("{plan:?}: {why}"));
                self.faults.len() > 20
            }
        }
    }
}

fn random(state: &mut u64, below: usize) -> usize {
    // G. Marsaglia, "Xorshift RNGs", 2003.
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
}

/// The path of one call on a fresh ring.
fn path_of(name: &str, plan: &Plan) -> Result<Path> {
    let ring: Ring<u64> =
        Ring::open(&options(name, plan, OpenMode::CreateNew)).map_err(|e| e.to_string())?;
    let outcome = (|| {
        let mut survivor = Survivor {
            tx: ring.producer().ok_or("no place")?,
            rx: ring.consumer().ok_or("no place")?,
            pushed: 0,
            popped: Vec::new(),
            most: plan.capacity,
        };
        survivor.fill(plan.fill, plan.capacity)?;
        let (last, others) = plan.victims.split_last().expect("one at least");
        for (at, what) in others.iter().enumerate() {
            let path = Path::default();
            start(name, plan, at as u64 + 1, *what, Some(&path))?.kill_there()?;
        }
        start(name, plan, plan.victims.len() as u64, *last, None)?
            .record()
            .map_err(text)
    })();
    let _ = Segment::unlink(name);
    outcome
}

/// One call, on rings of every fill, with every patience, after every so many laps.
fn one_call(act: Act, effort: Effort, name: &str, state: &mut u64) -> Result<Group> {
    let began = Instant::now();
    let mut group = Group {
        name: act.name().into(),
        ..Group::default()
    };
    let victim = |boundary| Stopped {
        act,
        boundary,
        fate: Fate::Killed,
    };
    let long = !act.moves() && act != Act::Reclaim;
    for capacity in [8, 2] {
        for patience in [None, Some(0)] {
            for fill in Fill::ALL {
                for laps in 0..=3 {
                    // Joining and leaving leaves the ring alone.
                    if long && (fill != Fill::Half || patience.is_some() || laps > 1) {
                        continue;
                    }
                    let mut plan = Plan {
                        capacity,
                        patience,
                        fill,
                        laps,
                        victims: vec![victim(0)],
                    };
                    if act == Act::Reclaim {
                        if laps != 0 || fill == Fill::Empty {
                            continue;
                        }
                        let first = [Act::Pop, Act::PopBatch, Act::PeekRelease];
                        plan.victims.insert(
                            0,
                            Stopped {
                                act: first[random(state, 3)],
                                boundary: 0,
                                fate: Fate::KilledFirst,
                            },
                        );
                        // Behind its decision, and before the end mostly.
                        let length = path_of(
                            name,
                            &Plan {
                                victims: vec![plan.victims[0]],
                                ..plan.clone()
                            },
                        )?
                        .at
                        .len();
                        plan.victims[0].boundary = length / 2 + random(state, length / 2);
                    }
                    let path = path_of(name, &plan)?;
                    let stride = effort.stride * if path.at.len() > 1500 { 5 } else { 1 };
                    let mut boundary = random(state, stride);
                    let mut handed_out = None;
                    if act == Act::Reclaim {
                        let nothing = Path::default();
                        handed_out = Some(experiment(name, &plan, &[&nothing, &path])?.in_hand);
                    }
                    loop {
                        plan.victims.last_mut().expect("one").boundary = boundary;
                        let nothing = Path::default();
                        let paths = if plan.victims.len() == 2 {
                            vec![&nothing, &path]
                        } else {
                            vec![&path]
                        };
                        announce(&plan);
                        let outcome = experiment(name, &plan, &paths).and_then(|found| {
                            // It is the same whoever puts right what is left, and however
                            // often. (Orphans are fewer if that comes before others help.)
                            match handed_out {
                                Some(n) if n != found.in_hand => {
                                    Err(format!("{} count as handed out, not {n}", found.in_hand))
                                }
                                _ => Ok(found),
                            }
                        });
                        if group.note(&plan, outcome) {
                            break;
                        }
                        boundary += stride;
                    }
                    if effort.stride > 1 && long {
                        break;
                    }
                }
            }
        }
    }
    group.time = began.elapsed();
    Ok(group)
}

/// Two or three victims at random boundaries; some are killed, others go on.
fn together(effort: Effort, name: &str, state: &mut u64) -> Result<Group> {
    let began = Instant::now();
    let mut group = Group {
        name: "two or three at once".into(),
        ..Group::default()
    };
    let nothing = Path::default();
    for _ in 0..effort.together {
        let n = 2 + random(state, 2);
        let victims = (0..n).map(|_| Stopped {
            act: Act::MOVES[random(state, Act::MOVES.len())],
            boundary: {
                let most = [40, 120, 250, 450][random(state, 4)];
                random(state, most)
            },
            fate: [Fate::KilledFirst, Fate::Killed, Fate::Killed, Fate::GoesOn][random(state, 4)],
        });
        let mut victims: Vec<Stopped> = victims.collect();
        if random(state, 4) == 0 {
            victims[n - 1] = Stopped {
                act: Act::Reclaim,
                boundary: random(state, 2500),
                fate: Fate::Killed,
            };
            victims[0].fate = Fate::KilledFirst;
        }
        let plan = Plan {
            capacity: [2, 3, 8, 16][random(state, 4)],
            patience: [None, Some(0)][random(state, 2)],
            fill: Fill::ALL[random(state, 4)],
            laps: random(state, 4),
            victims,
        };
        announce(&plan);
        let paths = vec![&nothing; n];
        group.note(&plan, experiment(name, &plan, &paths));
        if group.faults.len() > 20 {
            break;
        }
    }
    group.time = began.elapsed();
    Ok(group)
}

/// What is going on, for the handler of the alarm.
static NOW: AtomicU64 = AtomicU64::new(0);
static LENGTH: AtomicU64 = AtomicU64::new(0);

fn announce(plan: &Plan) {
    let text = format!("FAIL: somebody hangs in {plan:?}\n").into_bytes();
    LENGTH.store(0, Ordering::Relaxed);
    let old = NOW.swap(
        Box::leak(text.clone().into_boxed_slice()).as_ptr() as u64,
        Ordering::Relaxed,
    );
    LENGTH.store(text.len() as u64, Ordering::Relaxed);
    let _ = old; // a few bytes for each experiment
    // SAFETY: a plain number.
    unsafe { libc::alarm(HANG) };
}

extern "C" fn hung(_: libc::c_int) {
    // SAFETY: bytes that are never freed; then this process ends.
    unsafe {
        libc::write(
            1,
            NOW.load(Ordering::Relaxed) as *const libc::c_void,
            LENGTH.load(Ordering::Relaxed) as usize,
        );
        libc::_exit(1);
    }
}

/// Every call, then several at once. `each` is told of a group when it is done.
///
/// # Errors
/// What kept it from being done.
pub(crate) fn run(effort: Effort, only: Option<&str>, mut each: impl FnMut(&Group)) -> Result<()> {
    let name = format!("/turtle-killed-{}", std::process::id());
    let mut state = effort.seed | 1;
    // SAFETY: a handler that only writes and ends.
    unsafe { libc::signal(libc::SIGALRM, hung as *const () as libc::sighandler_t) };
    for act in Act::ALL {
        if only.is_none_or(|text| act.name().contains(text)) {
            each(&one_call(act, effort, &name, &mut state)?);
        }
    }
    if only.is_none_or(|text| "two or three at once".contains(text)) {
        each(&together(effort, &name, &mut state)?);
    }
    // SAFETY: a plain number.
    unsafe { libc::alarm(0) };
    Ok(())
}
