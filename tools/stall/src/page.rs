//! The page that the tracer and the victim process share.
#![allow(clippy::disallowed_types)] // the tool's own mailbox; no algorithm of the library rests on it

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use turtle_buffers::os::futex::{futex_wait, futex_wake};

use crate::worlds::{Answer, Op, Outcome};

/// Calls that fit the log between two set-ups.
const LOG: usize = 4096;
/// Values of an outcome that fit.
pub(crate) const VALUES: usize = 4;

/// What the tracer asks of the victim process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Request {
    /// Build a fresh ring and start the victim thread's call.
    Setup = 1,
    /// Run the script whose number is the argument.
    Probe = 2,
    /// The call has returned: take everything out.
    Finish = 3,
}

/// A word that can be waited on.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Bell(AtomicU32);

impl Bell {
    /// The number now.
    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
    /// Sets the number and wakes whoever waits for it.
    pub(crate) fn ring(&self, number: u32) {
        self.0.store(number, Ordering::Release);
        // SAFETY: the word is mapped for the life of the process.
        unsafe { futex_wake(&raw const self.0, u32::MAX, true) };
    }
    /// Waits until the number is no longer `old`, `limit` at the longest.
    pub(crate) fn wait_while(&self, old: u32, limit: Duration) -> u32 {
        let deadline = Instant::now() + limit;
        loop {
            let now = self.get();
            let left = deadline.saturating_duration_since(Instant::now());
            if now != old || left.is_zero() {
                return now;
            }
            // SAFETY: as above. Every return is followed by another look.
            let _ = unsafe { futex_wait(&raw const self.0, old, Some(left), true) };
        }
    }
}

/// How a call ended, for the other process to read.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Verdict {
    answer: AtomicU64,
    count: AtomicU64,
    values: [AtomicU64; VALUES],
}

impl Verdict {
    /// Writes it down. The reader is told by other means.
    pub(crate) fn set(&self, outcome: &Outcome) {
        self.answer.store(outcome.answer as u64, Ordering::Relaxed);
        self.count.store(outcome.count as u64, Ordering::Relaxed);
        for (word, value) in self
            .values
            .iter()
            .zip(outcome.values.iter().chain(std::iter::repeat(&0)))
        {
            word.store(*value, Ordering::Relaxed);
        }
    }
    /// Reads it; `pop`: the values count.
    pub(crate) fn get(&self, pop: bool) -> Outcome {
        let count = usize::try_from(self.count.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let taken = if pop { count.min(VALUES) } else { 0 };
        Outcome {
            answer: Answer::from_number(self.answer.load(Ordering::Relaxed)),
            count,
            values: self.values[..taken]
                .iter()
                .map(|v| v.load(Ordering::Relaxed))
                .collect(),
        }
    }
}

/// The page. All of it starts as zero.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Page {
    /// Number of the latest request.
    pub(crate) request: Bell,
    /// Number of the latest request that has been carried out; 1 at first,
    /// when the victim process is ready.
    pub(crate) reply: Bell,
    kind: AtomicU32,
    argument: AtomicU32,
    /// Kernel numbers of the threads.
    pub(crate) victim_tid: AtomicU32,
    /// The thread that works while the victim is stopped.
    pub(crate) other_tid: AtomicU32,
    /// Where the measured call begins and ends.
    pub(crate) begins: AtomicU64,
    /// See `begins`.
    pub(crate) ends: AtomicU64,
    /// Where the program was loaded.
    pub(crate) base: AtomicU64,
    /// How the victim's call ended.
    pub(crate) victim: Verdict,
    /// Rung when the sleeper's call has returned.
    pub(crate) sleeper_done: Bell,
    /// When it returned, nanoseconds on the monotonic clock.
    pub(crate) sleeper_at: AtomicU64,
    /// How the sleeper's call ended.
    pub(crate) sleeper: Verdict,
    logged: AtomicU32,
    log: [AtomicU64; LOG],
}

impl Page {
    /// A new page and its descriptor, which children inherit.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn create() -> std::io::Result<(&'static Page, i32)> {
        // SAFETY: the name is a C string; the flags are valid.
        let fd = unsafe { libc::memfd_create(c"turtle-stall".as_ptr(), 0) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        let length = libc::off_t::try_from(size_of::<Page>()).expect("small");
        // SAFETY: a descriptor of our own.
        if unsafe { libc::ftruncate(fd, length) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok((Self::open(fd)?, fd))
    }

    /// The page behind an inherited descriptor.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open(fd: i32) -> std::io::Result<&'static Page> {
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Page>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd,
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: page-aligned, long enough, all atomics, never unmapped
        // (`unmap` is called when nobody holds the reference any more).
        Ok(unsafe { &*at.cast::<Page>() })
    }

    /// Gives the mapping and the descriptor back.
    ///
    /// # Safety
    /// Nobody uses the page in this process any more.
    pub(crate) unsafe fn unmap(page: &'static Page, fd: i32) {
        // SAFETY: mapped by `open` with this length; the caller's promise.
        unsafe {
            libc::munmap(
                std::ptr::from_ref(page).cast_mut().cast(),
                size_of::<Page>(),
            );
            libc::close(fd);
        }
    }

    /// Asks for something; answers the number of the request.
    pub(crate) fn ask(&self, kind: Request, argument: u32) -> u32 {
        self.kind.store(kind as u32, Ordering::Relaxed);
        self.argument.store(argument, Ordering::Relaxed);
        let number = self.request.get() + 1;
        self.request.ring(number);
        number
    }

    /// What was asked for last.
    pub(crate) fn asked(&self) -> (Request, u32) {
        let argument = self.argument.load(Ordering::Relaxed);
        match self.kind.load(Ordering::Relaxed) {
            1 => (Request::Setup, argument),
            2 => (Request::Probe, argument),
            3 => (Request::Finish, argument),
            other => unreachable!("request {other}"),
        }
    }

    /// Forgets the log.
    pub(crate) fn clear_log(&self) {
        self.logged.store(0, Ordering::Release);
    }

    /// Notes one finished call. The count is also the sign of progress.
    pub(crate) fn note(&self, op: Op, answer: Answer) {
        let (code, value) = match op {
            Op::Push(value) => (0, value),
            Op::Pop(value) => (1, value),
            Op::Close => (2, 0),
        };
        let at = self.logged.load(Ordering::Relaxed);
        let word = code << 56 | (answer as u64) << 48 | value & 0xffff_ffff;
        self.log[at as usize].store(word, Ordering::Relaxed);
        self.logged.store(at + 1, Ordering::Release);
    }

    /// Finished calls so far.
    pub(crate) fn noted(&self) -> u32 {
        self.logged.load(Ordering::Acquire)
    }

    /// The calls from number `from` on.
    pub(crate) fn log(&self, from: u32) -> Vec<(Op, Answer)> {
        let end = self.noted() as usize;
        let read = |word: &AtomicU64| {
            let word = word.load(Ordering::Relaxed);
            let value = word & 0xffff_ffff;
            let op = match word >> 56 {
                0 => Op::Push(value),
                1 => Op::Pop(value),
                _ => Op::Close,
            };
            (op, Answer::from_number(word >> 48 & 0xff))
        };
        self.log[(from as usize).min(end)..end]
            .iter()
            .map(read)
            .collect()
    }
}

/// Nanoseconds on the monotonic clock, which all processes share.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a valid clock and a live timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}
