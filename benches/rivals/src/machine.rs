//! The machine: cores, pinning, clock, and what a record says about it.

use std::fs;
use std::time::{Duration, Instant};

use serde::Serialize;

/// The cores this process may use, in order.
pub fn cores() -> Vec<usize> {
    // SAFETY: an all-zero set is an empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is ours and its size is the one given.
    let rc = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
    assert_eq!(
        rc,
        0,
        "sched_getaffinity: {}",
        std::io::Error::last_os_error()
    );
    // SAFETY: every index is below the set's size.
    (0..libc::CPU_SETSIZE as usize)
        .filter(|core| unsafe { libc::CPU_ISSET(*core, &set) })
        .collect()
}

/// Ties the calling thread to one core.
///
/// # Panics
/// If the kernel refuses.
pub fn pin(core: usize) {
    // SAFETY: an all-zero set is an empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `core` came from a set of the same size.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the set is ours and its size is the one given; 0 is the calling thread.
    let rc = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
    assert_eq!(
        rc,
        0,
        "sched_setaffinity to core {core}: {}",
        std::io::Error::last_os_error()
    );
}

/// Thread number of the caller, as `/proc` names it.
pub fn thread_id() -> i32 {
    // SAFETY: takes no argument and cannot fail.
    unsafe { libc::gettid() }
}

/// Whether a thread of this process sleeps in the kernel.
pub fn asleep(thread: i32) -> bool {
    fs::read_to_string(format!("/proc/self/task/{thread}/stat")).is_ok_and(|stat| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('S'))
    })
}

/// Processor time that the calling thread has used.
pub fn thread_cpu() -> Duration {
    read_clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Processor time that this process has used.
pub fn process_cpu() -> Duration {
    read_clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn read_clock(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is ours to write.
    let rc = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(rc, 0, "clock_gettime: {}", std::io::Error::last_os_error());
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The cheapest clock that all cores share, in its own units.
#[inline(always)]
pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has it.
    return unsafe { std::arch::x86_64::_rdtsc() };
    #[cfg(not(target_arch = "x86_64"))]
    return read_clock(libc::CLOCK_MONOTONIC).as_nanos() as u64;
}

/// [`ticks`], not before earlier loads have their values.
#[inline(always)]
pub fn ticks_after_loads() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_lfence()
    };
    ticks()
}

/// Length of a tick, measured once against the monotonic clock.
pub fn ns_per_tick() -> f64 {
    static RATE: std::sync::OnceLock<f64> = std::sync::OnceLock::new();
    *RATE.get_or_init(|| {
        let (start, first) = (Instant::now(), ticks());
        while start.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let (last, elapsed) = (ticks(), start.elapsed());
        elapsed.as_nanos() as f64 / (last - first) as f64
    })
}

/// Whether [`ticks`] may be compared between cores.
pub fn clock_is_shared() -> bool {
    if !cfg!(target_arch = "x86_64") {
        return true;
    }
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = info
        .lines()
        .find(|line| line.starts_with("flags"))
        .unwrap_or_default();
    ["constant_tsc", "nonstop_tsc"]
        .iter()
        .all(|flag| flags.split(' ').any(|f| f == *flag))
}

/// Busy processor time of the whole machine since boot, stolen time included.
fn machine_busy() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<u64> = stat
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .filter_map(|f| f.parse().ok())
        .collect();
    // user, nice, system, (idle, iowait,) irq, softirq, steal
    let jiffies: u64 = [0, 1, 2, 5, 6, 7]
        .iter()
        .filter_map(|i| fields.get(*i))
        .sum();
    // SAFETY: no preconditions.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as u64;
    Some(Duration::from_millis(jiffies * 1000 / per_second))
}

/// Measures how much of the machine others used meanwhile.
#[derive(Debug)]
pub struct Foreign {
    start: Instant,
    busy: Option<Duration>,
    own: Duration,
}

impl Foreign {
    /// Starts watching.
    pub fn watch() -> Self {
        Self {
            start: Instant::now(),
            busy: machine_busy(),
            own: process_cpu(),
        }
    }

    /// Cores that everybody else kept busy since, on average. The kernel counts the machine in
    /// steps of 10 ms, so a step a core is forgiven.
    pub fn cores(&self) -> Option<f64> {
        let busy = machine_busy()?.saturating_sub(self.busy?).as_secs_f64();
        let own = (process_cpu() - self.own).as_secs_f64();
        let forgiven = 0.01 * std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
        Some((busy - own - forgiven).max(0.0) / self.start.elapsed().as_secs_f64())
    }
}

/// What a record says about where it was taken.
#[derive(Debug, Serialize)]
pub struct Machine {
    cpu: String,
    allowed_cores: Vec<usize>,
    kernel: String,
    governor: String,
    shared_clock: bool,
    rustc: &'static str,
    rustflags: &'static str,
    cxx: &'static str,
    profile: &'static str,
    commit: String,
    load_average: String,
}

impl Machine {
    /// Reads it all; what cannot be read is "unknown".
    pub fn describe() -> Self {
        let read = |path: &str| {
            fs::read_to_string(path)
                .ok()
                .map(|text| text.trim().to_owned())
        };
        let unknown = || "unknown".to_owned();
        let cpu = read("/proc/cpuinfo").and_then(|info| {
            let line = info.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        Self {
            cpu: cpu.unwrap_or_else(unknown),
            allowed_cores: cores(),
            kernel: read("/proc/sys/kernel/osrelease").unwrap_or_else(unknown),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                .unwrap_or_else(unknown),
            shared_clock: clock_is_shared(),
            rustc: env!("RIVALS_RUSTC"),
            rustflags: env!("RIVALS_RUSTFLAGS"),
            cxx: env!("RIVALS_CXX"),
            profile: if cfg!(debug_assertions) {
                "debug: timings mean nothing"
            } else {
                "release, opt-level 3, fat LTO, 1 codegen unit, panic=abort"
            },
            commit: std::env::var("TURTLE_COMMIT").unwrap_or_else(|_| unknown()),
            load_average: read("/proc/loadavg").unwrap_or_else(unknown),
        }
    }

    /// One line for people.
    pub fn line(&self) -> String {
        format!(
            "{}, {} cores, Linux {}, governor {}; {}; commit {}; load {}",
            self.cpu,
            self.allowed_cores.len(),
            self.kernel,
            self.governor,
            self.rustc,
            self.commit,
            self.load_average
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_can_be_pinned_to_each_allowed_core() {
        for core in cores() {
            std::thread::spawn(move || {
                pin(core);
                assert_eq!(cores(), [core]);
            })
            .join()
            .expect("the pinned thread ends");
        }
    }

    #[test]
    fn a_blocked_thread_is_seen_asleep() {
        let (tell, told) = std::sync::mpsc::channel();
        let (wake, woken) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            tell.send(thread_id()).expect("the test listens");
            woken.recv().is_ok()
        });
        let id = told.recv().expect("the thread answers");
        while !asleep(id) {
            std::thread::yield_now();
        }
        assert!(!asleep(thread_id()), "the caller runs");
        wake.send(()).expect("the thread listens");
        assert!(thread.join().expect("the thread ends"));
    }
}
