//! One participant process stopped at random instants: what the others get done.
//!
//! Two pinned survivors, a producer and a consumer, work on a ring in shared memory. A third
//! participant, a process of its own, pushes and pops, too, and is stopped (`SIGSTOP`) for 50 ms
//! again and again, or, as a control, sleeps as long of its own accord, outside any call: what that
//! costs is the price of its company, not of the stops. Each run has a fresh ring; million completed
//! calls a second of the two survivors, medians, and of the ratios all there is between.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rivals::machine::Machine;
use rivals::stats::Rng;
use turtle_buffers::os::thread::pin_to_core;
use turtle_buffers::{OpenMode, Options, RingBuffer, Strategy};

const WINDOW: Duration = Duration::from_millis(1500);
const STOPPED: Duration = Duration::from_millis(50);

fn open(name: &str, strategy: Strategy, mode: OpenMode) -> RingBuffer<u64> {
    RingBuffer::open(&Options {
        strategy: Some(strategy),
        capacity: 1024,
        path: Some(name.to_owned()),
        open: mode,
        ..Options::default()
    })
    .expect("a ring in shared memory")
}

/// What the third participant does.
#[derive(Clone, Copy, PartialEq)]
enum Third {
    None,
    Sleeps,
    Stopped,
}

/// Pushes and pops for ever; in between it sleeps, if asked to.
fn victim(name: &str, strategy: Strategy, sleeps: bool) -> ! {
    let ring = open(name, strategy, OpenMode::Attach);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    println!("ready");
    let mut random = Rng::new(1);
    loop {
        let (begin, work) = (Instant::now(), short(&mut random));
        while !sleeps || begin.elapsed() < work {
            let _ = tx.try_push(1);
            let _ = rx.try_pop();
        }
        std::thread::sleep(STOPPED);
    }
}

/// Between two stops: the instant is to be a random one.
fn short(random: &mut Rng) -> Duration {
    Duration::from_micros(500 + random.below(4500) as u64)
}

fn start_victim(name: &str, strategy: Strategy, third: Third) -> Child {
    let how = if third == Third::Sleeps {
        "sleeps"
    } else {
        "works"
    };
    let me = std::env::current_exe().expect("this program");
    let mut child = Command::new(me)
        .args(["victim", name, strategy.name(), how])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut line = String::new();
    let out = child.stdout.as_mut().expect("piped");
    BufReader::new(out).read_line(&mut line).expect("its word");
    child
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: the child has not been waited for, so the number is its own.
    unsafe { libc::kill(child.id().cast_signed(), signal) };
}

/// Million completed calls a second of both survivors, and the longest time without one, ms.
fn window(strategy: Strategy, third: Third, random: &mut Rng) -> (f64, f64) {
    let name = format!("/turtle-stops-{}", std::process::id());
    let ring = open(&name, strategy, OpenMode::CreateNew);
    let done = [AtomicU64::new(0), AtomicU64::new(0)];
    let (end, longest) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut child = (third != Third::None).then(|| start_victim(&name, strategy, third));
    let mut rate = 0.0;
    std::thread::scope(|scope| {
        let cores = rivals::machine::cores();
        for side in 0..2 {
            let (ring, done, end, longest) = (&ring, &done, &end, &longest);
            let core = cores[side % cores.len()];
            scope.spawn(move || {
                let _ = pin_to_core(core);
                let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
                let (mut count, mut last) = (0_u64, Instant::now());
                while !end.load(Ordering::Relaxed) {
                    let moved = if side == 0 {
                        tx.try_push(2).is_ok()
                    } else {
                        rx.try_pop().is_ok()
                    };
                    if moved {
                        count += 1;
                        if count.is_multiple_of(64) {
                            let gap = last.elapsed().as_micros() as u64;
                            longest.fetch_max(gap, Ordering::Relaxed);
                            last = Instant::now();
                            done[side].store(count, Ordering::Relaxed);
                        }
                    } else {
                        std::hint::spin_loop();
                    }
                }
                longest.fetch_max(last.elapsed().as_micros() as u64, Ordering::Relaxed);
            });
        }
        let begin = Instant::now();
        while begin.elapsed() < WINDOW {
            std::thread::sleep(short(random));
            if let (Some(child), Third::Stopped) = (&child, third) {
                signal(child, libc::SIGSTOP);
                std::thread::sleep(STOPPED);
                signal(child, libc::SIGCONT);
            }
        }
        let calls: u64 = done.iter().map(|n| n.load(Ordering::Relaxed)).sum();
        rate = calls as f64 / begin.elapsed().as_secs_f64() / 1e6;
        end.store(true, Ordering::Relaxed);
    });
    if let Some(child) = &mut child {
        child.kill().expect("it is there");
        child.wait().expect("it is there");
    }
    turtle_buffers::os::segment::Segment::unlink(&name).expect("its name");
    (rate, longest.load(Ordering::Relaxed) as f64 / 1e3)
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, word, name, strategy, how] = &args[..]
        && word == "victim"
    {
        victim(name, strategy.parse().expect("a strategy"), how == "sleeps");
    }
    let reps = args.get(1).map_or(7, |n| n.parse().expect("repetitions"));
    println!("{}", Machine::describe().line());
    println!(
        "{:<10} {:>9} {:>9} {:>9} {:>24} {:>24} {:>24} {:>20}",
        "engine",
        "two alone",
        "it sleeps",
        "stopped",
        "stopped / it sleeps",
        "it sleeps / two alone",
        "stopped / two alone",
        "longest standstill"
    );
    let mut random = Rng::new(0x7374_6f70);
    for strategy in [Strategy::Turn, Strategy::WaitFree] {
        let mut rates = [vec![], vec![], vec![]];
        let mut ratios = [vec![], vec![], vec![]];
        let mut gaps = vec![];
        for _ in 0..reps {
            let mut run = |third| window(strategy, third, &mut random);
            let (before, _) = run(Third::None);
            let (sleeps, _) = run(Third::Sleeps);
            let (stopped, gap) = run(Third::Stopped);
            let (after, _) = run(Third::None);
            let alone = (before * after).sqrt();
            for (list, value) in rates.iter_mut().zip([alone, sleeps, stopped]) {
                list.push(value);
            }
            let now = [stopped / sleeps, sleeps / alone, stopped / alone];
            for (list, value) in ratios.iter_mut().zip(now) {
                list.push(value);
            }
            gaps.push(gap);
        }
        for list in rates.iter_mut().chain(&mut ratios).chain([&mut gaps]) {
            list.sort_by(f64::total_cmp);
        }
        let middle = reps / 2;
        print!("{:<10}", strategy.name());
        for list in &rates {
            print!(" {:>9.1}", list[middle]);
        }
        for list in &ratios {
            let (least, most) = (list[0], list[reps - 1]);
            print!(" {:>8.2} [{least:>5.2}, {most:>5.2}]", list[middle]);
        }
        println!(" {:>5.1} ms ({:.1})", gaps[middle], gaps[reps - 1]);
    }
}
