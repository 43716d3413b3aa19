//! Waiting: who sleeps is woken, who is not needed sleeps on, and nobody pays who does not wait.
//!
//! Cannot show: that no wake-up is ever lost (the models), nor how fast one is (the benchmarks).

mod support;

use std::time::{Duration, Instant};

use support::{finishes, wait_until};
use turtle_buffers::os::thread::thread_cpu_time;
use turtle_buffers::strategy::{Arity, Engine};
use turtle_buffers::wait::{RECHECK, RECHECK_PRIVATE};
use turtle_buffers::{Batch, PopError, PushError, Ring};

fn ring<S: Engine>(capacity: usize) -> Ring<u64, S> {
    Ring::new(capacity).unwrap()
}

fn consumers<S: Engine>() -> usize {
    if ring::<S>(1).traits().consumers == Arity::Many {
        8
    } else {
        1
    }
}

fn producers<S: Engine>() -> usize {
    if ring::<S>(1).traits().producers == Arity::Many {
        8
    } else {
        1
    }
}

pub(crate) fn every_sleeping_consumer_gets_its_element<S: Engine>() {
    let ring = ring::<S>(16);
    let n = consumers::<S>();
    for round in 0..20 {
        let before = ring.stats().waits;
        let sleepers: Vec<_> = (0..n)
            .map(|_| {
                let mut rx = ring.consumer().unwrap();
                std::thread::spawn(move || rx.pop().unwrap())
            })
            .collect();
        wait_until("they sleep", || ring.stats().waits >= before + n as u64);
        let mut tx = ring.producer().unwrap();
        if round % 2 == 0 {
            (0..n as u64).for_each(|i| tx.push(i).unwrap());
        } else {
            tx.push_batch(&mut Batch::new((0..n as u64).collect::<Vec<_>>()))
                .unwrap();
        }
        let mut got: Vec<_> = finishes("the sleepers", || {
            sleepers.into_iter().map(|s| s.join().unwrap()).collect()
        });
        got.sort_unstable();
        assert_eq!(got, Vec::from_iter(0..n as u64));
    }
    assert!(ring.stats().wakes > 0);
}

pub(crate) fn every_sleeping_producer_gets_its_slot<S: Engine>() {
    let ring = ring::<S>(1);
    let n = producers::<S>();
    for _ in 0..20 {
        ring.producer().unwrap().push(100).unwrap();
        let before = ring.stats().waits;
        let sleepers: Vec<_> = (0..n as u64)
            .map(|i| {
                let mut tx = ring.producer().unwrap();
                std::thread::spawn(move || tx.push(i).unwrap())
            })
            .collect();
        wait_until("they sleep", || ring.stats().waits >= before + n as u64);
        let mut rx = ring.consumer().unwrap();
        let mut got = finishes("the sleepers", move || {
            let got: Vec<_> = (0..=n).map(|_| rx.pop().unwrap()).collect();
            sleepers.into_iter().for_each(|s| s.join().unwrap());
            got
        });
        assert_eq!(got.remove(0), 100);
        got.sort_unstable();
        assert_eq!(got, Vec::from_iter(0..n as u64));
    }
}

pub(crate) fn closing_and_interrupting_wake_everyone<S: Engine>() {
    for close in [true, false] {
        let ring = ring::<S>(4);
        let n = consumers::<S>();
        let sleepers: Vec<_> = (0..n)
            .map(|_| {
                let mut rx = ring.consumer().unwrap();
                std::thread::spawn(move || rx.pop())
            })
            .collect();
        wait_until("they sleep", || ring.stats().waits >= n as u64);
        let expected = if close {
            PopError::Closed
        } else {
            PopError::Interrupted
        };
        let begun = Instant::now();
        loop {
            // A sleeper that had not begun when it was interrupted is interrupted again.
            if close {
                ring.close()
            } else {
                ring.interrupt()
            }
            if sleepers.iter().all(std::thread::JoinHandle::is_finished) {
                break;
            }
            assert!(begun.elapsed() < support::LONG);
            std::thread::yield_now();
        }
        for sleeper in sleepers {
            assert_eq!(sleeper.join().unwrap(), Err(expected));
        }
    }
}

/// An element for somebody who sleeps, again and again. If wake-ups were lost and found by the
/// re-check, each would take about that long.
pub(crate) fn wake_ups_are_not_left_to_the_recheck<S: Engine>() {
    const LAPS: u32 = if cfg!(miri) { 5 } else { 300 };
    let (there, back) = (ring::<S>(1), ring::<S>(1));
    let (mut tx, mut rx) = (there.producer().unwrap(), back.consumer().unwrap());
    let (mut echo_rx, mut echo_tx) = (there.consumer().unwrap(), back.producer().unwrap());
    let echo = std::thread::spawn(move || {
        while let Ok(value) = echo_rx.pop() {
            echo_tx.push(value).unwrap();
        }
    });
    let mut took = Duration::ZERO;
    let mut waits = 0;
    for i in 0..u64::from(LAPS) {
        wait_until("the echo sleeps", || there.stats().waits > waits);
        waits = there.stats().waits;
        let begun = Instant::now();
        tx.push(i).unwrap();
        assert_eq!(rx.pop(), Ok(i));
        took += begun.elapsed();
    }
    let wakes = there.stats().wakes;
    there.close();
    echo.join().unwrap();
    println!("{LAPS} laps in {took:?}, {wakes} wake-ups");
    assert!(wakes > u64::from(LAPS) / 2, "{wakes}");
    assert!(took < RECHECK * LAPS / 2, "{took:?}");
}

/// Nobody waits: no wake-up is sent, so no system call is made.
pub(crate) fn who_does_not_wait_is_not_woken<S: Engine>() {
    let ring = ring::<S>(8);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for i in 0..1000 {
        tx.try_push(i).unwrap();
        assert_eq!(rx.try_pop(), Ok(i));
    }
    assert_eq!((ring.stats().wakes, ring.stats().waits), (0, 0));
    // Somebody waited and gave up: the next call finds nobody, and says so for the ones after it.
    // Long enough to get to sleep on a busy machine, where yielding takes milliseconds.
    let enough = Duration::from_millis(50);
    assert_eq!(rx.pop_timeout(enough), Err(PopError::Timeout));
    for i in 0..8 {
        tx.try_push(i).unwrap();
    }
    assert_eq!(tx.push_timeout(9, enough), Err(PushError::Timeout(9)));
    while rx.try_pop().is_ok() {}
    let after = ring.stats();
    assert_eq!(after.wakes, 0);
    assert!(after.waits >= 2);
}

/// An idle sleeper of a private ring costs next to nothing: it looks up about every 100 ms. (One of
/// a shared ring does so every 10 ms: `docs/waiting.md`.)
pub(crate) fn an_idle_sleeper_costs_next_to_nothing<S: Engine>() {
    let ring = ring::<S>(8);
    let mut rx = ring.consumer().unwrap();
    let idle = Duration::from_secs(1);
    let (used, asleep) = std::thread::spawn(move || {
        let (before, begun) = (thread_cpu_time(), Instant::now());
        assert_eq!(rx.pop_timeout(idle), Err(PopError::Timeout));
        (thread_cpu_time() - before, begun.elapsed())
    })
    .join()
    .unwrap();
    let waits = ring.stats().waits;
    println!("{used:?} of processor time in {asleep:?}, {waits} looks");
    // Without the barrier it looks every millisecond instead.
    let barrier = std::env::var_os("TURTLE_NO_MEMBARRIER").is_none();
    let (share, recheck) = if barrier {
        (50, RECHECK_PRIVATE)
    } else {
        (10, RECHECK / 10)
    };
    assert!(used < asleep / share, "{used:?} in {asleep:?}");
    assert!(
        u128::from(waits) <= asleep.as_nanos() / recheck.as_nanos() + 5,
        "{waits}"
    );
}

/// Signals end no wait.
#[cfg(target_os = "linux")]
pub(crate) fn a_signal_does_not_end_a_wait<S: Engine>() {
    extern "C" fn handler(_: libc::c_int) {}
    let ring = ring::<S>(1);
    let mut rx = ring.consumer().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let sleeper = std::thread::spawn(move || {
        // SAFETY: a handler that does nothing, installed without SA_RESTART.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as extern "C" fn(libc::c_int) as usize;
            libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut());
            tell.send(libc::pthread_self()).unwrap();
        }
        (
            rx.pop_timeout(Duration::from_secs(600)),
            rx.pop_timeout(Duration::from_millis(20)),
        )
    });
    let thread = told.recv().unwrap();
    wait_until("it sleeps", || ring.stats().waits > 0);
    let mut tx = ring.producer().unwrap();
    for _ in 0..50 {
        // SAFETY: the thread waits for the element that is pushed below.
        unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
        std::thread::yield_now();
    }
    tx.push(1).unwrap();
    let got = finishes("the sleeper", || sleeper.join().unwrap());
    assert_eq!(got, (Ok(1), Err(PopError::Timeout)));
}

macro_rules! suite {
    ($(($variant:ident, $module:ident, $engine:ident),)+) => {$(
        mod $module {
            use turtle_buffers::strategy::$engine as Under;
            bodies! {
                every_sleeping_consumer_gets_its_element,
                every_sleeping_producer_gets_its_slot,
                closing_and_interrupting_wake_everyone,
                wake_ups_are_not_left_to_the_recheck,
                who_does_not_wait_is_not_woken,
                an_idle_sleeper_costs_next_to_nothing,
            }
            #[cfg(target_os = "linux")]
            bodies! { a_signal_does_not_end_a_wait, }
        }
    )+};
}
macro_rules! bodies {
    ($($body:ident,)+) => {$(
        #[test] fn $body() { crate::$body::<Under>(); }
    )+};
}
turtle_buffers::for_each_strategy!(suite);

/// All of the above once more in a process that must do without the asymmetric
/// barrier: sleepers look again every millisecond instead.
#[test]
#[cfg(target_os = "linux")]
fn all_of_it_holds_without_the_barrier() {
    if std::env::var_os("TURTLE_NO_MEMBARRIER").is_some() {
        return; // this is that process
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .env("TURTLE_NO_MEMBARRIER", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("test result: ok. ") && !said.contains(" 0 passed"),
        "{said}"
    );
}
