//! What is compared with what, and the bars.

use std::time::{Duration, Instant};

use crate::queue::{Arena, Item, Queue, Typed};
use crate::runner::{Contender, Figure, Group, Metric, Sample, Subject, Work};
use crate::stats::Bar;
use crate::subjects::{ArrayQueue, ConcurrentQueue, Crossfire, MutexDeque, Ringbuf, Rtrb, Scq};
#[cfg(feature = "turtle")]
use crate::turtle::{BlockingSpsc, BlockingTurn, Spsc, Turn, WaitFree};
use crate::wake::{Futex, Monitor, idle, wake};
use crate::work::{self, Shape, Words, lone_percentiles};

const THROUGHPUT: [Metric; 1] = [Metric {
    name: "throughput",
    unit: "M/s",
    figure: Figure::Ratio,
}];
const PAIR: [Metric; 1] = [Metric {
    name: "time",
    unit: "ns",
    figure: Figure::Ratio,
}];
const LATENCY: [Metric; 2] = [
    Metric {
        name: "p50",
        unit: "ns",
        figure: Figure::Ratio,
    },
    Metric {
        name: "p99",
        unit: "ns",
        figure: Figure::Ratio,
    },
];
const IDLE: [Metric; 1] = [Metric {
    name: "cpu share",
    unit: "core",
    figure: Figure::Value,
}];

/// A bar on the geometric mean over the rows of a scenario.
#[derive(Debug, Clone, Copy)]
pub struct MeanBar {
    /// Scenario whose rows count.
    pub scenario: &'static str,
    /// Subject whose rows count.
    pub subject: &'static str,
    /// Reference whose rows count.
    pub reference: &'static str,
    /// What is asked of the mean.
    pub bar: Bar,
}

/// Bars on means; bars on single rows stand with the rows.
pub const MEAN_BARS: [MeanBar; 11] = [
    MeanBar {
        scenario: "single",
        subject: "turn",
        reference: "ArrayQueue",
        bar: Bar::AtLeast(1.2),
    },
    MeanBar {
        scenario: "batch",
        subject: "turn",
        reference: "ArrayQueue",
        bar: Bar::AtLeast(5.0),
    },
    MeanBar {
        scenario: "batch",
        subject: "wait_free",
        reference: "ArrayQueue",
        bar: Bar::AtLeast(5.0),
    },
    MeanBar {
        scenario: "wait-free",
        subject: "wait_free",
        reference: "ArrayQueue",
        bar: Bar::AtLeast(1.3),
    },
    MeanBar {
        scenario: "wait-free-64",
        subject: "wait_free",
        reference: "ArrayQueue",
        bar: Bar::AtLeast(0.8),
    },
    MeanBar {
        scenario: "wait-free-size",
        subject: "wait_free",
        reference: "ArrayQueue",
        bar: Bar::AtLeast(1.0),
    },
    MeanBar {
        scenario: "wait-free-peers",
        subject: "wait_free",
        reference: "boost::lockfree::queue",
        bar: Bar::AtLeast(5.0),
    },
    MeanBar {
        scenario: "wait-free-peers",
        subject: "wait_free",
        reference: "lfqueue (SCQ)",
        bar: Bar::AtLeast(5.0),
    },
    MeanBar {
        scenario: "cpp-single",
        subject: "turn by C++",
        reference: "boost::lockfree::queue",
        bar: Bar::AtLeast(10.0),
    },
    MeanBar {
        scenario: "cpp-single",
        subject: "turn by C++",
        reference: "TBB",
        bar: Bar::AtLeast(8.0),
    },
    MeanBar {
        scenario: "cpp-single",
        subject: "turn by C++",
        reference: "moodycamel (unbounded)",
        bar: Bar::AtLeast(1.0),
    },
];

fn throughput<A: Arena>(name: &str, shape: Shape) -> Contender {
    Contender {
        name: name.to_owned(),
        work: Work::Fill,
        run: Box::new(move |items| {
            let (seconds, moved) = work::throughput::<A>(shape, items);
            Sample {
                seconds,
                values: vec![moved as f64 / seconds / 1e6],
            }
        }),
    }
}

fn pair<A: Arena + 'static>(name: &str) -> Contender {
    in_turn::<A>(name, A::pairs)
}

fn in_turn<A: Arena + 'static>(name: &str, how: fn(&A, u64) -> u64) -> Contender {
    Contender {
        name: name.to_owned(),
        work: Work::Fill,
        run: Box::new(move |items| {
            let seconds = work::pair::<A>(1024, items, how);
            Sample {
                seconds,
                values: vec![seconds * 1e9 / items as f64],
            }
        }),
    }
}

fn lone<Q: Queue<u64>>(name: &str) -> Contender {
    Contender {
        name: name.to_owned(),
        work: Work::Fill,
        run: Box::new(|items| {
            let start = Instant::now();
            let values = lone_percentiles::<Q>(1024, items as usize).to_vec();
            Sample {
                seconds: start.elapsed().as_secs_f64(),
                values,
            }
        }),
    }
}

fn waking<Q: Queue<u64>>(name: &str, count: u64) -> Contender {
    Contender {
        name: name.to_owned(),
        work: Work::Fixed(count),
        run: Box::new(|count| {
            let start = Instant::now();
            let values = wake::<Q>(1024, count as usize).to_vec();
            Sample {
                seconds: start.elapsed().as_secs_f64(),
                values,
            }
        }),
    }
}

fn idling<Q: Queue<u64>>(name: &str, millis: u64) -> Contender {
    Contender {
        name: name.to_owned(),
        work: Work::Fixed(millis),
        run: Box::new(|millis| {
            let share = idle::<Q>(1024, Duration::from_millis(millis));
            Sample {
                seconds: millis as f64 / 1e3,
                values: vec![share],
            }
        }),
    }
}

/// A subject without a bar.
fn plain(contender: Contender) -> Subject {
    Subject {
        contender,
        bars: Vec::new(),
    }
}

/// A subject with the same bar on every metric.
#[cfg(feature = "turtle")]
fn barred(contender: Contender, bar: Bar, metrics: usize) -> Subject {
    Subject {
        contender,
        bars: vec![Some(bar); metrics],
    }
}

/// What the caller may choose.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Capacities of the `single` rows.
    pub capacities: Vec<usize>,
    /// Shorter fixed counts.
    pub quick: bool,
}

/// Every row, in the order of the report.
pub fn groups(choice: &Choice) -> Vec<Group> {
    let mut groups = Vec::new();
    pairs(&mut groups);
    for capacity in &choice.capacities {
        for threads in [1, 2, 4, 8] {
            single(&mut groups, threads, *capacity);
        }
    }
    for threads in [1, 4] {
        batch(&mut groups, threads);
    }
    #[cfg(feature = "turtle")]
    wait_free(&mut groups);
    lone_items(&mut groups);
    spsc(&mut groups);
    size::<64>(&mut groups, 1024);
    size::<1024>(&mut groups, 256);
    size::<16384>(&mut groups, 64);
    #[cfg(all(feature = "turtle", have_c_shim))]
    if crate::cabi::present() {
        c_interface(&mut groups);
    }
    #[cfg(all(feature = "turtle", have_c_shim, have_cpp_shim))]
    if crate::hpp::present() {
        cpp_interface(&mut groups);
    }
    wakes(&mut groups, choice.quick);
    groups.retain(|group| !group.subjects.is_empty());
    groups
}

fn pairs(groups: &mut Vec<Group>) {
    let row = || "push+pop, one thread, cap 1024".to_owned();
    groups.push(Group {
        scenario: "pair",
        row: row(),
        metrics: &PAIR,
        reference: pair::<Words<ArrayQueue<u64>>>("ArrayQueue"),
        subjects: vec![
            #[cfg(feature = "turtle")]
            barred(pair::<Words<Turn<u64>>>("turn"), Bar::AtMost(1.05), 1),
            #[cfg(feature = "turtle")]
            barred(
                pair::<Words<WaitFree<u64>>>("wait_free"),
                Bar::AtMost(1.5),
                1,
            ),
            plain(pair::<Words<ConcurrentQueue<u64>>>("concurrent-queue")),
            plain(pair::<Words<Crossfire<u64, false>>>("crossfire (try)")),
            plain(pair::<Words<MutexDeque<u64>>>("Mutex<VecDeque>")),
            #[cfg(have_moodycamel)]
            plain(pair::<crate::cpp::Moodycamel>("moodycamel")),
        ],
    });
    groups.push(Group {
        scenario: "pair",
        row: "8 pushes, 8 pops, one thread, cap 1024".to_owned(),
        metrics: &PAIR,
        reference: in_turn::<Words<ArrayQueue<u64>>>("ArrayQueue", Words::eights),
        subjects: vec![
            #[cfg(feature = "turtle")]
            plain(in_turn::<Words<Turn<u64>>>("turn", Words::eights)),
            #[cfg(feature = "turtle")]
            barred(
                in_turn::<Words<WaitFree<u64>>>("wait_free", Words::eights),
                Bar::AtMost(0.8),
                1,
            ),
        ],
    });
    groups.push(Group {
        scenario: "pair",
        row: row(),
        metrics: &PAIR,
        reference: pair::<Words<Rtrb<u64>>>("rtrb"),
        subjects: vec![
            #[cfg(feature = "turtle")]
            plain(pair::<Words<Spsc<u64>>>("spsc")),
            plain(pair::<Words<Ringbuf<u64>>>("ringbuf")),
            #[cfg(have_boost)]
            plain(pair::<crate::cpp::Boost>("boost")),
        ],
    });
}

fn single(groups: &mut Vec<Group>, threads: usize, capacity: usize) {
    let shape = Shape {
        producers: threads,
        consumers: threads,
        capacity,
        batch: 1,
    };
    let row = format!("{threads}x{threads}, cap {capacity}");
    groups.push(Group {
        scenario: "single",
        row: row.clone(),
        metrics: &THROUGHPUT,
        reference: throughput::<Words<ArrayQueue<u64>>>("ArrayQueue", shape),
        subjects: vec![
            #[cfg(feature = "turtle")]
            barred(
                throughput::<Words<Turn<u64>>>("turn", shape),
                Bar::AtLeast(0.9),
                1,
            ),
            plain(throughput::<Words<Crossfire<u64, true>>>(
                "crossfire (blocking)",
                shape,
            )),
            plain(throughput::<Words<Crossfire<u64, false>>>(
                "crossfire (try)",
                shape,
            )),
            plain(throughput::<Words<ConcurrentQueue<u64>>>(
                "concurrent-queue",
                shape,
            )),
            plain(throughput::<Words<MutexDeque<u64>>>(
                "Mutex<VecDeque>",
                shape,
            )),
            #[cfg(have_moodycamel)]
            plain(throughput::<crate::cpp::Moodycamel>(
                "moodycamel (unbounded)",
                shape,
            )),
        ],
    });
    groups.push(Group {
        scenario: "single",
        row,
        metrics: &THROUGHPUT,
        reference: throughput::<Words<Crossfire<u64, true>>>("crossfire (blocking)", shape),
        subjects: vec![
            #[cfg(feature = "turtle")]
            barred(
                throughput::<Words<Turn<u64>>>("turn", shape),
                Bar::AtLeast(1.0),
                1,
            ),
        ],
    });
}

/// The engine in which nobody waits: where it is promised to be fast, where it is
/// not (64 slots are few lines), larger elements, and the others of its kind.
#[cfg(feature = "turtle")]
fn wait_free(groups: &mut Vec<Group>) {
    let of = |threads, capacity| Shape {
        producers: threads,
        consumers: threads,
        capacity,
        batch: 1,
    };
    for capacity in [64, 256, 1024, 4096] {
        for threads in [1, 2, 4, 8] {
            let shape = of(threads, capacity);
            let subject = throughput::<Words<WaitFree<u64>>>("wait_free", shape);
            groups.push(Group {
                scenario: if capacity == 64 {
                    "wait-free-64"
                } else {
                    "wait-free"
                },
                row: format!("{threads}x{threads}, cap {capacity}"),
                metrics: &THROUGHPUT,
                reference: throughput::<Words<ArrayQueue<u64>>>("ArrayQueue", shape),
                subjects: vec![if capacity == 64 {
                    plain(subject)
                } else {
                    barred(subject, Bar::AtLeast(1.0), 1)
                }],
            });
        }
    }
    sized_wait_free::<24>(groups);
    sized_wait_free::<64>(groups);
    sized_wait_free::<256>(groups);
    #[cfg(have_boost_queue)]
    for threads in [1, 2, 4, 8] {
        let shape = of(threads, 1024);
        groups.push(Group {
            scenario: "wait-free-peers",
            row: format!("{threads}x{threads}, cap 1024"),
            metrics: &THROUGHPUT,
            reference: throughput::<crate::cpp::BoostQueue>("boost::lockfree::queue", shape),
            subjects: vec![plain(throughput::<Words<WaitFree<u64>>>(
                "wait_free",
                shape,
            ))],
        });
        groups.push(Group {
            scenario: "wait-free-peers",
            row: format!("{threads}x{threads}, cap 1024"),
            metrics: &THROUGHPUT,
            reference: throughput::<Words<Scq<u64>>>("lfqueue (SCQ)", shape),
            subjects: vec![plain(throughput::<Words<WaitFree<u64>>>(
                "wait_free",
                shape,
            ))],
        });
    }
}

#[cfg(feature = "turtle")]
fn sized_wait_free<const N: usize>(groups: &mut Vec<Group>)
where
    [u8; N]: Item,
{
    for threads in [1, 4] {
        let shape = Shape {
            producers: threads,
            consumers: threads,
            capacity: 1024,
            batch: 1,
        };
        groups.push(Group {
            scenario: "wait-free-size",
            row: format!("{N} bytes, {threads}x{threads}, cap 1024"),
            metrics: &THROUGHPUT,
            reference: throughput::<Typed<ArrayQueue<[u8; N]>, [u8; N]>>("ArrayQueue", shape),
            subjects: vec![plain(throughput::<Typed<WaitFree<[u8; N]>, [u8; N]>>(
                "wait_free",
                shape,
            ))],
        });
    }
}

fn batch(groups: &mut Vec<Group>, threads: usize) {
    let one = Shape {
        producers: threads,
        consumers: threads,
        capacity: 1024,
        batch: 1,
    };
    #[cfg(any(feature = "turtle", have_moodycamel))]
    let many = Shape { batch: 64, ..one };
    groups.push(Group {
        scenario: "batch",
        row: format!("64 at a time against 1, {threads}x{threads}, cap 1024"),
        metrics: &THROUGHPUT,
        reference: throughput::<Words<ArrayQueue<u64>>>("ArrayQueue", one),
        subjects: vec![
            #[cfg(feature = "turtle")]
            barred(
                throughput::<Words<Turn<u64>>>("turn", many),
                Bar::AtLeast(3.5),
                1,
            ),
            #[cfg(feature = "turtle")]
            plain(throughput::<Words<WaitFree<u64>>>("wait_free", many)),
            #[cfg(have_moodycamel)]
            plain(throughput::<crate::cpp::Moodycamel>(
                "moodycamel (unbounded)",
                many,
            )),
        ],
    });
    #[cfg(have_moodycamel)]
    groups.push(Group {
        scenario: "batch",
        row: format!("64 at a time, {threads}x{threads}, cap 1024"),
        metrics: &THROUGHPUT,
        reference: throughput::<crate::cpp::Moodycamel>("moodycamel (unbounded)", many),
        subjects: vec![
            #[cfg(feature = "turtle")]
            barred(
                throughput::<Words<Turn<u64>>>("turn", many),
                Bar::AtLeast(1.2),
                1,
            ),
        ],
    });
}

fn lone_items(groups: &mut Vec<Group>) {
    let row = || "idle ring, gap 0-2 us, cap 1024".to_owned();
    groups.push(Group {
        scenario: "lone",
        row: row(),
        metrics: &LATENCY,
        reference: lone::<ArrayQueue<u64>>("ArrayQueue"),
        subjects: vec![
            #[cfg(feature = "turtle")]
            barred(lone::<Turn<u64>>("turn"), Bar::AtMost(1.05), 2),
            #[cfg(feature = "turtle")]
            Subject {
                contender: lone::<WaitFree<u64>>("wait_free"),
                bars: vec![Some(Bar::AtMost(1.0)), None],
            },
            plain(lone::<ConcurrentQueue<u64>>("concurrent-queue")),
            plain(lone::<Crossfire<u64, false>>("crossfire (try)")),
            plain(lone::<Crossfire<u64, true>>("crossfire (blocking)")),
        ],
    });
    groups.push(Group {
        scenario: "lone",
        row: row(),
        metrics: &LATENCY,
        reference: lone::<Rtrb<u64>>("rtrb"),
        subjects: vec![
            #[cfg(feature = "turtle")]
            barred(lone::<Spsc<u64>>("spsc"), Bar::AtMost(1.05), 2),
            plain(lone::<Ringbuf<u64>>("ringbuf")),
        ],
    });
}

fn spsc(groups: &mut Vec<Group>) {
    for (scenario, batch, row, rtrb_bar) in [
        ("spsc", 1, "one at a time, 1x1, cap 1024", 1.1),
        ("spsc-batch", 64, "64 at a time, 1x1, cap 1024", 1.0),
    ] {
        let shape = Shape {
            producers: 1,
            consumers: 1,
            capacity: 1024,
            batch,
        };
        #[cfg(feature = "turtle")]
        let ours = |bar: f64| {
            barred(
                throughput::<Words<Spsc<u64>>>("spsc", shape),
                Bar::AtLeast(bar),
                1,
            )
        };
        #[cfg(not(feature = "turtle"))]
        let _ = rtrb_bar;
        groups.push(Group {
            scenario,
            row: row.to_owned(),
            metrics: &THROUGHPUT,
            reference: throughput::<Words<Rtrb<u64>>>("rtrb", shape),
            subjects: vec![
                #[cfg(feature = "turtle")]
                ours(rtrb_bar),
                plain(throughput::<Words<Ringbuf<u64>>>("ringbuf", shape)),
                #[cfg(have_boost)]
                plain(throughput::<crate::cpp::Boost>("boost", shape)),
                plain(throughput::<Words<ArrayQueue<u64>>>("ArrayQueue", shape)),
            ],
        });
        groups.push(Group {
            scenario,
            row: row.to_owned(),
            metrics: &THROUGHPUT,
            reference: throughput::<Words<Ringbuf<u64>>>("ringbuf", shape),
            subjects: vec![
                #[cfg(feature = "turtle")]
                ours(1.0),
            ],
        });
        #[cfg(have_boost)]
        groups.push(Group {
            scenario,
            row: row.to_owned(),
            metrics: &THROUGHPUT,
            reference: throughput::<crate::cpp::Boost>("boost", shape),
            subjects: vec![
                #[cfg(feature = "turtle")]
                if batch == 1 {
                    plain(ours(1.0).contender)
                } else {
                    ours(1.0)
                },
            ],
        });
    }
}

fn size<const N: usize>(groups: &mut Vec<Group>, capacity: usize)
where
    [u8; N]: Item,
{
    let shape = Shape {
        producers: 1,
        consumers: 1,
        capacity,
        batch: 1,
    };
    let row = format!("{N} bytes, 1x1, cap {capacity}");
    groups.push(Group {
        scenario: "size",
        row: row.clone(),
        metrics: &THROUGHPUT,
        reference: throughput::<Typed<ArrayQueue<[u8; N]>, [u8; N]>>("ArrayQueue", shape),
        subjects: vec![
            #[cfg(feature = "turtle")]
            barred(
                throughput::<Typed<Turn<[u8; N]>, [u8; N]>>("turn", shape),
                Bar::AtLeast(1.0),
                1,
            ),
            #[cfg(feature = "turtle")]
            plain(throughput::<Typed<WaitFree<[u8; N]>, [u8; N]>>(
                "wait_free",
                shape,
            )),
            plain(throughput::<Typed<ConcurrentQueue<[u8; N]>, [u8; N]>>(
                "concurrent-queue",
                shape,
            )),
        ],
    });
    groups.push(Group {
        scenario: "size",
        row,
        metrics: &THROUGHPUT,
        reference: throughput::<Typed<Rtrb<[u8; N]>, [u8; N]>>("rtrb", shape),
        subjects: vec![
            #[cfg(feature = "turtle")]
            barred(
                throughput::<Typed<Spsc<[u8; N]>, [u8; N]>>("spsc", shape),
                Bar::AtLeast(1.0),
                1,
            ),
            plain(throughput::<Typed<Ringbuf<[u8; N]>, [u8; N]>>(
                "ringbuf", shape,
            )),
        ],
    });
}

/// turtle's C interface against turtle's own typed face.
#[cfg(all(feature = "turtle", have_c_shim))]
fn c_interface(groups: &mut Vec<Group>) {
    use crate::cabi::CRing;
    const TURN: u32 = turtle_buffers::Strategy::Turn as u32;
    const SPSC: u32 = turtle_buffers::Strategy::Spsc as u32;
    let row = || "push+pop, one thread, cap 1024".to_owned();
    groups.push(Group {
        scenario: "c",
        row: row(),
        metrics: &PAIR,
        reference: pair::<Words<Turn<u64>>>("turn"),
        subjects: vec![barred(
            pair::<CRing<u64, TURN>>("turn by C"),
            Bar::AtMost(1.3),
            1,
        )],
    });
    groups.push(Group {
        scenario: "c",
        row: row(),
        metrics: &PAIR,
        reference: pair::<Words<Spsc<u64>>>("spsc"),
        subjects: vec![barred(
            pair::<CRing<u64, SPSC>>("spsc by C"),
            Bar::AtMost(1.3),
            1,
        )],
    });
    fn sized<const N: usize>(groups: &mut Vec<Group>, capacity: usize)
    where
        [u8; N]: Item,
    {
        let shape = Shape {
            producers: 1,
            consumers: 1,
            capacity,
            batch: 1,
        };
        let row = format!("{N} bytes, 1x1, cap {capacity}");
        groups.push(Group {
            scenario: "c-size",
            row: row.clone(),
            metrics: &THROUGHPUT,
            reference: throughput::<Typed<Turn<[u8; N]>, [u8; N]>>("turn", shape),
            subjects: vec![barred(
                throughput::<CRing<[u8; N], TURN>>("turn by C", shape),
                Bar::AtLeast(0.9),
                1,
            )],
        });
        groups.push(Group {
            scenario: "c-size",
            row,
            metrics: &THROUGHPUT,
            reference: throughput::<Typed<Spsc<[u8; N]>, [u8; N]>>("spsc", shape),
            subjects: vec![barred(
                throughput::<CRing<[u8; N], SPSC>>("spsc by C", shape),
                Bar::AtLeast(0.9),
                1,
            )],
        });
    }
    sized::<64>(groups, 1024);
    sized::<1024>(groups, 256);
    sized::<16384>(groups, 64);
}

/// turtle.hpp against the C interface in the same loops, and against what C++ programs use.
#[cfg(all(feature = "turtle", have_c_shim, have_cpp_shim))]
fn cpp_interface(groups: &mut Vec<Group>) {
    use crate::hpp::{HEADER, Hpp, OPTIONAL, PLAIN};
    const TURN: u32 = turtle_buffers::Strategy::Turn as u32;
    const SPSC: u32 = turtle_buffers::Strategy::Spsc as u32;
    fn header<const STRATEGY: u32>(groups: &mut Vec<Group>, engine: &str) {
        groups.push(Group {
            scenario: "cpp",
            row: "push+pop, one thread, cap 1024".to_owned(),
            metrics: &PAIR,
            reference: pair::<Hpp<STRATEGY, PLAIN>>(&format!("{engine} by C")),
            subjects: vec![
                barred(
                    pair::<Hpp<STRATEGY, HEADER>>(&format!("{engine} by C++")),
                    Bar::AtMost(1.02),
                    1,
                ),
                plain(pair::<Hpp<STRATEGY, OPTIONAL>>(&format!(
                    "{engine} by C++ (optional)"
                ))),
            ],
        });
    }
    header::<TURN>(groups, "turn");
    header::<SPSC>(groups, "spsc");
    for threads in [1, 2, 4, 8] {
        let shape = Shape {
            producers: threads,
            consumers: threads,
            capacity: 1024,
            batch: 1,
        };
        #[allow(unused_mut, reason = "no header, no rival")]
        let mut rivals: Vec<Contender> = Vec::new();
        #[cfg(have_boost_queue)]
        rivals.push(throughput::<crate::cpp::BoostQueue>(
            "boost::lockfree::queue",
            shape,
        ));
        #[cfg(have_tbb)]
        rivals.push(throughput::<crate::cpp::Tbb>("TBB", shape));
        #[cfg(have_moodycamel)]
        rivals.push(throughput::<crate::cpp::Moodycamel>(
            "moodycamel (unbounded)",
            shape,
        ));
        for reference in rivals {
            groups.push(Group {
                scenario: "cpp-single",
                row: format!("{threads}x{threads}, cap 1024"),
                metrics: &THROUGHPUT,
                reference,
                subjects: vec![plain(throughput::<Hpp<TURN, HEADER>>("turn by C++", shape))],
            });
        }
    }
}

fn wakes(groups: &mut Vec<Group>, quick: bool) {
    let count = if quick { 50 } else { 300 };
    groups.push(Group {
        scenario: "wake",
        row: "pop blocked until a push".to_owned(),
        metrics: &LATENCY,
        reference: waking::<Futex>("futex", count),
        subjects: vec![
            #[cfg(feature = "turtle")]
            Subject {
                contender: waking::<BlockingTurn<u64>>("turn", count),
                bars: vec![Some(Bar::AtMost(1.2)), None],
            },
            #[cfg(feature = "turtle")]
            Subject {
                contender: waking::<BlockingSpsc<u64>>("spsc", count),
                bars: vec![Some(Bar::AtMost(1.2)), None],
            },
            plain(waking::<Crossfire<u64, true>>(
                "crossfire (blocking)",
                count,
            )),
            plain(waking::<Monitor>("Mutex+Condvar", count)),
        ],
    });
    let millis = if quick { 200 } else { 1000 };
    groups.push(Group {
        scenario: "idle",
        row: format!("pop blocked for {millis} ms"),
        metrics: &IDLE,
        reference: idling::<Futex>("futex", millis),
        subjects: vec![
            #[cfg(feature = "turtle")]
            barred(
                idling::<BlockingTurn<u64>>("turn", millis),
                Bar::AtMost(0.001),
                1,
            ),
            #[cfg(feature = "turtle")]
            barred(
                idling::<BlockingSpsc<u64>>("spsc", millis),
                Bar::AtMost(0.001),
                1,
            ),
            plain(idling::<Crossfire<u64, true>>(
                "crossfire (blocking)",
                millis,
            )),
        ],
    });
}

/// A loop that does nothing but move items on one thread, for counting instructions.
pub type Countable = (&'static str, fn(u64));

/// Everything whose instructions can be counted.
pub fn countables() -> Vec<Countable> {
    #[allow(unused_mut)]
    let mut list: Vec<Countable> = vec![
        ("ArrayQueue", work::count_pairs::<Words<ArrayQueue<u64>>>),
        (
            "concurrent-queue",
            work::count_pairs::<Words<ConcurrentQueue<u64>>>,
        ),
        (
            "crossfire",
            work::count_pairs::<Words<Crossfire<u64, false>>>,
        ),
        ("rtrb", work::count_pairs::<Words<Rtrb<u64>>>),
        ("rtrb-batch", work::count_batches::<Rtrb<u64>>),
        ("ringbuf", work::count_pairs::<Words<Ringbuf<u64>>>),
        ("ringbuf-batch", work::count_batches::<Ringbuf<u64>>),
    ];
    #[cfg(have_boost)]
    list.push(("boost", work::count_pairs::<crate::cpp::Boost>));
    #[cfg(have_moodycamel)]
    list.push(("moodycamel", work::count_pairs::<crate::cpp::Moodycamel>));
    #[cfg(all(feature = "turtle", have_c_shim, have_cpp_shim))]
    if crate::hpp::present() {
        use crate::hpp::{HEADER, Hpp, OPTIONAL, PLAIN};
        const TURN: u32 = turtle_buffers::Strategy::Turn as u32;
        const SPSC: u32 = turtle_buffers::Strategy::Spsc as u32;
        list.extend([
            (
                "turn-by-c",
                work::count_pairs::<Hpp<TURN, PLAIN>> as fn(u64),
            ),
            ("turn-by-c++", work::count_pairs::<Hpp<TURN, HEADER>>),
            (
                "turn-by-c++-optional",
                work::count_pairs::<Hpp<TURN, OPTIONAL>>,
            ),
            ("spsc-by-c", work::count_pairs::<Hpp<SPSC, PLAIN>>),
            ("spsc-by-c++", work::count_pairs::<Hpp<SPSC, HEADER>>),
            (
                "spsc-by-c++-optional",
                work::count_pairs::<Hpp<SPSC, OPTIONAL>>,
            ),
        ]);
    }
    #[cfg(feature = "turtle")]
    list.extend([
        ("turn", work::count_pairs::<Words<Turn<u64>>> as fn(u64)),
        ("turn-batch", work::count_batches::<Turn<u64>>),
        ("spsc", work::count_pairs::<Words<Spsc<u64>>>),
        ("spsc-batch", work::count_batches::<Spsc<u64>>),
    ]);
    list
}
