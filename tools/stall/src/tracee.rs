//! One thread of another process, stepped instruction by instruction.
//!
//! Only this thread is attached to, so it alone stops; the other threads of
//! its process keep running.

use std::io;
use std::mem::offset_of;
use std::time::{Duration, Instant};

/// The signal by which the victim hands itself over, before and after its call.
pub(crate) const HAND_OVER: i32 = libc::SIGUSR2;

/// Why the thread runs no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// After an instruction, or at the breakpoint.
    Trap,
    /// It handed itself over.
    HandOver,
}

/// What can go wrong with a traced thread.
#[derive(Debug)]
pub(crate) enum Lost {
    /// It has ended.
    Ended,
    /// It did not stop in time.
    Late,
    /// The system refused.
    Io(io::Error),
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ended => f.write_str("the victim process ended"),
            Self::Late => f.write_str("the stopped call did not return after it was let go"),
            Self::Io(error) => write!(f, "ptrace: {error}"),
        }
    }
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// An attached thread.
#[derive(Debug)]
pub(crate) struct Tracee {
    tid: libc::pid_t,
}

/// Makes waiting with a limit possible: to be called once, before any wait.
pub(crate) fn prepare_waiting() {
    // SAFETY: a set of our own; SIGCHLD is only ever waited for here.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// Keeps this process and its children on one processor: only one thread of
/// them runs at a time, and stepping is twice as fast if none has to be woken
/// elsewhere. Where the system refuses, it is slower.
pub(crate) fn stay_on_one_processor() {
    // SAFETY: a set of our own; the number is a processor's or fails the test.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if let Ok(processor) = usize::try_from(libc::sched_getcpu())
            && processor < libc::CPU_SETSIZE.cast_unsigned() as usize
        {
            libc::CPU_SET(processor, &mut set);
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
        }
    }
}

fn check(answer: libc::c_long) -> io::Result<()> {
    if answer == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

impl Tracee {
    /// Attaches to a thread. It keeps running until it hands itself over.
    ///
    /// # Errors
    /// `PermissionDenied` where tracing is not allowed.
    pub(crate) fn seize(tid: u32) -> io::Result<Self> {
        let tid = libc::pid_t::try_from(tid).expect("a kernel's number");
        // SAFETY: no memory is passed; the thread belongs to a child of ours.
        check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid, 0, libc::PTRACE_O_EXITKILL) })?;
        Ok(Self { tid })
    }

    /// A child that asked to be traced, and hands itself over before anything.
    pub(crate) fn of_child(tid: libc::pid_t) -> Self {
        Self { tid }
    }

    /// Runs one instruction (a system call counts as one).
    pub(crate) fn step(&mut self) -> Result<Stop, Lost> {
        self.resume(libc::PTRACE_SINGLESTEP)?;
        self.wait(Duration::from_secs(20))
    }

    /// Runs to the end of its next system call. `false`: that is the one by
    /// which it hands itself over.
    pub(crate) fn pass_system_call(&mut self) -> Result<bool, Lost> {
        for _ in ["its beginning", "its end"] {
            self.resume(libc::PTRACE_SYSCALL)?;
            if self.wait(Duration::from_secs(20))? == Stop::HandOver {
                return Ok(false);
            }
            if self.registers()?.orig_rax == libc::SYS_tgkill.cast_unsigned() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lets it run.
    pub(crate) fn go(&mut self) -> Result<(), Lost> {
        self.resume(libc::PTRACE_CONT)
    }

    fn resume(&mut self, how: libc::c_uint) -> Result<(), Lost> {
        // SAFETY: the thread is stopped; the signal that stopped it is dropped.
        check(unsafe { libc::ptrace(how, self.tid, 0, 0) })?;
        Ok(())
    }

    /// Waits for the next stop.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<Stop, Lost> {
        let deadline = Instant::now() + limit;
        loop {
            let mut status = 0;
            // SAFETY: `status` is live; only our own thread is waited for.
            let who =
                unsafe { libc::waitpid(self.tid, &raw mut status, libc::__WALL | libc::WNOHANG) };
            if who < 0 {
                return Err(io::Error::last_os_error().into());
            }
            if who > 0 {
                if !libc::WIFSTOPPED(status) {
                    return Err(Lost::Ended);
                }
                match libc::WSTOPSIG(status) {
                    libc::SIGTRAP => return Ok(Stop::Trap),
                    HAND_OVER => return Ok(Stop::HandOver),
                    // Not ours to keep: pass it on and go on waiting.
                    // SAFETY: the thread is stopped.
                    other => check(unsafe { libc::ptrace(libc::PTRACE_CONT, self.tid, 0, other) })?,
                }
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Lost::Late);
            }
            wait_for_a_child(left);
        }
    }

    /// Waits until it hands itself over.
    pub(crate) fn wait_for_hand_over(&mut self, limit: Duration) -> Result<(), Lost> {
        loop {
            match self.wait(limit)? {
                Stop::HandOver => return Ok(()),
                Stop::Trap => self.go()?,
            }
        }
    }

    /// Its registers.
    pub(crate) fn registers(&self) -> Result<libc::user_regs_struct, Lost> {
        // SAFETY: plain numbers, filled in by the kernel.
        unsafe {
            let mut registers: libc::user_regs_struct = std::mem::zeroed();
            check(libc::ptrace(
                libc::PTRACE_GETREGS,
                self.tid,
                0,
                &raw mut registers,
            ))?;
            Ok(registers)
        }
    }

    /// The address of its next instruction.
    pub(crate) fn at(&self) -> Result<u64, Lost> {
        Ok(self.registers()?.rip)
    }

    /// Eight bytes of its memory.
    pub(crate) fn peek(&self, address: u64) -> Result<u64, Lost> {
        // SAFETY: errno is this thread's; the answer may be any number, so
        // errno tells an error from a value.
        unsafe {
            *libc::__errno_location() = 0;
            let word = libc::ptrace(libc::PTRACE_PEEKDATA, self.tid, address, 0);
            if *libc::__errno_location() != 0 {
                return Err(io::Error::last_os_error().into());
            }
            Ok(word.cast_unsigned())
        }
    }

    /// Runs until the next instruction is `address` for the `times`-th time
    /// from now on, or the thread hands itself over. Uses a debug register of
    /// the processor, so the program's text, which other threads are running,
    /// stays as it is. `address` is not the current one.
    pub(crate) fn run_to(&mut self, address: u64, times: u32) -> Result<Stop, Lost> {
        // Local enable of breakpoint 0: on execution (all other bits clear).
        if self
            .debug_register(0, address)
            .and_then(|()| self.debug_register(7, 1))
            .is_err()
        {
            return self.step_to(address, times);
        }
        let mut stop = Stop::Trap;
        for _ in 0..times {
            self.resume(libc::PTRACE_CONT)?;
            stop = self.wait(Duration::from_secs(20))?;
            if stop == Stop::HandOver {
                break;
            }
        }
        self.debug_register(7, 0)?;
        Ok(stop)
    }

    /// The same without a debug register: slower.
    fn step_to(&mut self, address: u64, mut times: u32) -> Result<Stop, Lost> {
        while times > 0 {
            if self.step()? == Stop::HandOver {
                return Ok(Stop::HandOver);
            }
            times -= u32::from(self.at()? == address);
        }
        Ok(Stop::Trap)
    }

    /// Takes note of its end, after its process was killed: until its tracer
    /// has done so, the process cannot end.
    pub(crate) fn bury(&mut self) {
        loop {
            let mut status = 0;
            // SAFETY: `status` is live; only our own thread is waited for.
            let who = unsafe { libc::waitpid(self.tid, &raw mut status, libc::__WALL) };
            if who < 0 || !libc::WIFSTOPPED(status) {
                return;
            }
        }
    }

    fn debug_register(&self, number: usize, value: u64) -> Result<(), Lost> {
        let at = offset_of!(libc::user, u_debugreg) + number * size_of::<u64>();
        // SAFETY: the thread is stopped; the offset is a debug register's.
        check(unsafe { libc::ptrace(libc::PTRACE_POKEUSER, self.tid, at, value) })?;
        Ok(())
    }
}

/// Sleeps until a child (or a traced thread) has something to tell.
fn wait_for_a_child(limit: Duration) {
    let limit = limit.min(Duration::from_millis(100));
    // SAFETY: a set and a time of our own. SIGCHLD is blocked, so one that
    // came since the last look is still pending and ends this at once.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        let time = libc::timespec {
            tv_sec: 0,
            tv_nsec: i64::from(limit.subsec_nanos()),
        };
        libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const time);
    }
}
