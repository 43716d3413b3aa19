//! The tracer's side of one victim process.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::page::{Page, Request};
use crate::tracee::{Lost, Stop, Tracee};

/// Time on the processor within one `try_` call that counts as a hang.
const HANG_CPU: Duration = Duration::from_millis(60);
/// How often in a row, 20 ms apart, a thread is seen asleep there for the same.
const HANG_ASLEEP: u32 = 6;
/// Time on the clock that does, however little of the processor it got.
const HANG_CLOCK: Duration = Duration::from_secs(3);
/// What an idle thread may take to do as it is asked.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the stopped call may take to return once it runs again.
pub(crate) const RETURN: Duration = Duration::from_secs(5);
/// How many instructions before a boundary a breakpoint may lie.
const WINDOW: usize = 256;

/// The path of one undisturbed call: where it is at each boundary.
#[derive(Debug, Default)]
pub(crate) struct Path {
    /// The address of the next instruction.
    pub(crate) at: Vec<u64>,
    /// How often that address has come up, this time included; 0 where a
    /// breakpoint would not count right.
    nth: Vec<u32>,
}

impl Path {
    pub(crate) fn finish(&mut self) {
        let mut seen = std::collections::HashMap::new();
        let mut repeats = std::collections::HashSet::from([self.at[0]]);
        for pair in self.at.windows(2) {
            if pair[0] == pair[1] {
                repeats.insert(pair[0]); // a repeated string instruction
            }
        }
        for address in &self.at {
            let nth = seen.entry(*address).or_insert(0);
            *nth += 1;
            self.nth
                .push(if repeats.contains(address) { 0 } else { *nth });
        }
    }

    /// The cheapest place at or before `boundary` to run to.
    pub(crate) fn landing(&self, boundary: usize) -> Option<(usize, u32)> {
        let first = boundary.saturating_sub(WINDOW).max(1);
        (first..=boundary)
            .filter(|at| self.nth[*at] > 0)
            .map(|at| (at, self.nth[at]))
            .min_by_key(|(at, nth)| boundary - at + *nth as usize)
            .filter(|(at, nth)| (boundary - at) + (*nth as usize) < boundary)
    }
}

/// How far a path is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// To the end of the call.
    End,
    /// To where the call falls asleep.
    Sleep,
}

/// One victim process, its stopped thread and its page.
#[derive(Debug)]
pub(crate) struct Victim {
    process: Child,
    page: &'static Page,
    fd: i32,
    tracee: Tracee,
    begins: u64,
    ends: u64,
    base: u64,
    last_at: u64,
}

/// How the others' script went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// They came through.
    Through,
    /// They made no progress within one call until the victim was let go.
    Hung,
}

impl Victim {
    /// Starts the process for `spec` and attaches to its victim thread.
    ///
    /// # Errors
    /// The system's; `PermissionDenied` where tracing is not allowed.
    pub(crate) fn start(spec: &str) -> std::io::Result<Self> {
        let (page, fd) = Page::create()?;
        let process = Command::new(std::env::current_exe()?)
            .args(["--victim", spec, "--page", &fd.to_string()])
            .stdin(Stdio::null())
            .spawn()?;
        let mut starting = Starting(Some(process));
        if page.reply.wait_while(0, PATIENCE) == 0 {
            return Err(std::io::Error::other("the victim process does not start"));
        }
        let tracee = Tracee::seize(page.victim_tid.load(Ordering::Acquire))?;
        Ok(Self {
            process: starting.0.take().expect("just started"),
            page,
            fd,
            tracee,
            begins: page.begins.load(Ordering::Relaxed),
            ends: page.ends.load(Ordering::Relaxed),
            base: page.base.load(Ordering::Relaxed),
            last_at: 0,
        })
    }

    /// The shared page.
    pub(crate) fn page(&self) -> &Page {
        self.page
    }

    /// Where the recorded call was stopped last.
    pub(crate) fn last_at(&self) -> u64 {
        self.last_at
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// An address as an offset in the program, if it lies there.
    pub(crate) fn offset(&self, address: u64) -> Option<u64> {
        address
            .checked_sub(self.base)
            .filter(|offset| self.base != 0 && *offset < 1 << 30)
    }

    fn ask(&self, request: Request, argument: u32) -> Result<(), Lost> {
        let number = self.page.ask(request, argument);
        match self.page.reply.wait_while(number, PATIENCE) {
            reply if reply == number + 1 => Ok(()),
            _ => Err(Lost::Late),
        }
    }

    /// A fresh ring; the victim thread is stopped at boundary 0 of its call.
    pub(crate) fn set_up(&mut self) -> Result<(), Lost> {
        self.page.clear_log();
        self.page.sleeper_done.ring(0);
        self.ask(Request::Setup, 0)?;
        self.tracee.wait_for_hand_over(PATIENCE)?;
        if self.tracee.run_to(self.begins, 1)? == Stop::HandOver {
            return Err(Lost::Ended);
        }
        let back = self.tracee.peek(self.tracee.registers()?.rsp)?;
        self.tracee.run_to(back, 1)?;
        Ok(())
    }

    /// Records the path of a call, from boundary 0 on. `at_each` is called at
    /// every boundary with its number.
    pub(crate) fn record(
        &mut self,
        until: Until,
        mut at_each: impl FnMut(&mut Self, usize) -> Result<(), Lost>,
    ) -> Result<Path, Lost> {
        let mut path = Path::default();
        loop {
            let registers = self.tracee.registers()?;
            self.last_at = registers.rip;
            at_each(self, path.at.len())?;
            path.at.push(registers.rip);
            if registers.rip == self.ends {
                break;
            }
            if until == Until::Sleep && self.at_futex_wait(&registers)? {
                break;
            }
            if self.tracee.step()? == Stop::HandOver {
                return Err(Lost::Ended);
            }
        }
        path.finish();
        Ok(path)
    }

    /// Whether the next instruction is a system call.
    fn at_system_call(&self) -> Result<bool, Lost> {
        Ok(self.tracee.peek(self.tracee.at()?)? & 0xffff == 0x050f)
    }

    /// Lets the call make that many system calls. `false`: it has fewer.
    pub(crate) fn pass_system_calls(&mut self, count: usize) -> Result<bool, Lost> {
        for _ in 0..count {
            if !self.tracee.pass_system_call()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn at_futex_wait(&self, registers: &libc::user_regs_struct) -> Result<bool, Lost> {
        let waits = registers.rax == libc::SYS_futex.cast_unsigned()
            && registers.rsi & 0x7f == u64::from(libc::FUTEX_WAIT.cast_unsigned());
        Ok(waits && self.at_system_call()?)
    }

    /// Brings the victim from boundary 0 to a later one. `None`: the call
    /// ended before, on another path. Otherwise whether it is where the
    /// recorded path says.
    pub(crate) fn seek(&mut self, path: &Path, boundary: usize) -> Result<Option<bool>, Lost> {
        let mut from = 0;
        if let Some((at, nth)) = path.landing(boundary) {
            if self.tracee.run_to(path.at[at], nth)? == Stop::HandOver {
                return Ok(None);
            }
            from = at;
        }
        for _ in from..boundary {
            if self.tracee.step()? == Stop::HandOver {
                return Ok(None);
            }
        }
        Ok(Some(self.tracee.at()? == path.at[boundary]))
    }

    /// Lets the others run a script while the victim is stopped.
    pub(crate) fn probe(&mut self, script: u32) -> Result<Probe, Lost> {
        let number = self.page.ask(Request::Probe, script);
        let (mut noted, mut since, mut cpu) = (self.page.noted(), Instant::now(), self.cpu());
        let mut asleep = 0;
        loop {
            if self
                .page
                .reply
                .wait_while(number, Duration::from_millis(20))
                == number + 1
            {
                return Ok(Probe::Through);
            }
            let now = self.page.noted();
            if now != noted {
                (noted, since, cpu, asleep) = (now, Instant::now(), self.cpu(), 0);
                continue;
            }
            asleep = if self.is_asleep() { asleep + 1 } else { 0 };
            let used = self
                .cpu()
                .zip(cpu)
                .map(|(now, then)| now.saturating_sub(then));
            let used_up = used.is_some_and(|used| used >= HANG_CPU);
            if used_up || asleep >= HANG_ASLEEP || since.elapsed() >= HANG_CLOCK {
                break;
            }
        }
        // Does it end when the victim goes on?
        self.tracee.go()?;
        if self.page.reply.wait_while(number, RETURN) == number + 1 {
            return Ok(Probe::Hung);
        }
        Err(Lost::Late)
    }

    /// Processor time of the thread that carries out requests.
    fn cpu(&self) -> Option<Duration> {
        let text = self.about_other("schedstat")?;
        text.split(' ')
            .next()?
            .parse()
            .ok()
            .map(Duration::from_nanos)
    }

    /// Whether that thread sleeps: it waits for something, not for its turn.
    fn is_asleep(&self) -> bool {
        let state = self.about_other("stat");
        let state = state.as_deref().and_then(|text| text.rsplit(')').next());
        state.is_some_and(|rest| rest.trim_start().starts_with('S'))
    }

    fn about_other(&self, what: &str) -> Option<String> {
        let tid = self.page.other_tid.load(Ordering::Relaxed);
        std::fs::read_to_string(format!("/proc/{}/task/{tid}/{what}", self.process.id())).ok()
    }

    /// Lets the stopped call run to its end (unless it is doing so already).
    pub(crate) fn let_return(&mut self, running: bool) -> Result<(), Lost> {
        if !running {
            self.tracee.go()?;
        }
        self.tracee.wait_for_hand_over(RETURN)
    }

    /// Takes everything out and checks; afterwards `set_up` may come again.
    pub(crate) fn finish(&mut self) -> Result<(), Lost> {
        self.tracee.go()?;
        self.ask(Request::Finish, 0)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // A child of ours, by its handle; it may have ended already.
        let _ = self.process.kill();
        self.tracee.bury();
        let _ = self.process.wait();
        // SAFETY: whoever borrowed the page borrowed it from `self`, and keeps
        // nothing of it.
        unsafe { Page::unmap(self.page, self.fd) };
    }
}

/// Ends a process that is given up half-started.
struct Starting(Option<Child>);

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(mut process) = self.0.take() {
            // A child of ours; it may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
