//! `turtle bench`: how fast the engines are on this machine, and the report about it.
//!
//! Every run checks what came out: number, sum, and the order of each producer's items. A run that is
//! wrong ends the program.

pub(crate) mod record;
pub(crate) mod stats;
mod work;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use turtle_buffers::Strategy;
use turtle_buffers::strategy::Arity;

use crate::fail::Fail;
use crate::table::table;
use crate::{doctor, report};
use record::{Latency, Record, Throughput};
use work::Job;

/// Measure the engines on this machine and write a report.
///
/// Three questions for each engine: how many 8-byte items a second it moves, one at a time and 64 at
/// a time; how long a lone item takes through an idle ring to a consumer that polls; how long it
/// takes to wake a consumer that sleeps. Every run checks its result. Threads are pinned. Leave the
/// machine alone meanwhile: other work shows as spread.
///
/// These figures are this library's own; a comparison with other queues comes from benches/rivals
/// (`make bench` runs both), whose record --rivals puts at the head of the report.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Engines to measure, or all.
    #[arg(long, value_name = "all|A,B", default_value = "all")]
    strategy: String,
    /// Elements that a ring holds.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    capacity: u32,
    /// Producers and consumers of the throughput runs. Engines with one of each are measured at 1x1.
    #[arg(long, value_name = "PxC,…", default_value = "1x1,2x2,4x4", value_delimiter = ',', value_parser = shape)]
    threads: Vec<(usize, usize)>,
    /// Participants of each side that the rings of the throughput runs are built for, with engines
    /// that keep a record of each; 0 for the default.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=65536))]
    max_threads: u32,
    /// Attempts before a call of such an engine lets others help, in the throughput runs; 0: none.
    #[arg(long, value_name = "N")]
    patience: Option<u32>,
    /// Times that each figure is taken.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    reps: Option<u32>,
    /// A look that takes seconds: short runs, 3 repetitions.
    #[arg(long)]
    quick: bool,
    /// Write a page with plots that needs nothing else: no network, no script.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write every figure and every raw sample.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A record of benches/rivals to lead the report with.
    #[arg(long, value_name = "FILE")]
    rivals: Option<PathBuf>,
}

/// "2x4": two producers, four consumers.
fn shape(text: &str) -> Result<(usize, usize), String> {
    let (producers, consumers) = text
        .split_once('x')
        .ok_or("such as 2x2: producers x consumers")?;
    let number = |text: &str| match text.parse() {
        Ok(n @ 1..=64) => Ok(n),
        _ => Err(format!("{text:?} is not a number of threads from 1 to 64")),
    };
    Ok((number(producers)?, number(consumers)?))
}

impl Arguments {
    fn strategies(&self) -> Result<Vec<Strategy>, Fail> {
        if self.strategy == "all" {
            return Ok(Strategy::ALL.to_vec());
        }
        let parse = |name: &str| {
            name.parse()
                .map_err(|error| Fail::Usage(format!("--strategy: {error}")))
        };
        self.strategy.split(',').map(parse).collect()
    }
}

/// Items a batch call moves.
const BATCH: usize = 64;

/// How long and how often.
#[derive(Clone, Copy, Debug)]
struct Effort {
    reps: u32,
    run: Duration,
    lone: usize,
    wakes: usize,
}

impl Effort {
    fn of(arguments: &Arguments) -> Self {
        let all = if arguments.quick {
            Self {
                reps: 3,
                run: Duration::from_millis(10),
                lone: 2_000,
                wakes: 30,
            }
        } else {
            Self {
                reps: 9,
                run: Duration::from_millis(40),
                lone: 10_000,
                wakes: 100,
            }
        };
        Self {
            reps: arguments.reps.unwrap_or(all.reps),
            ..all
        }
    }
}

/// The throughput runs: every shape that an engine's arity allows, one at a time and in batches.
fn jobs(strategies: &[Strategy], arguments: &Arguments) -> Vec<Job> {
    let mut jobs = Vec::new();
    for &(producers, consumers) in &arguments.threads {
        for &strategy in strategies {
            let traits = strategy.traits();
            let fits = |arity, count| arity == Arity::Many || count == 1;
            if !fits(traits.producers, producers) || !fits(traits.consumers, consumers) {
                continue;
            }
            for batch in [1, BATCH] {
                let capacity = arguments.capacity as usize;
                jobs.push(Job {
                    strategy,
                    producers,
                    consumers,
                    capacity,
                    batch,
                    max_threads: arguments.max_threads,
                    patience: arguments.patience,
                });
            }
        }
    }
    jobs
}

struct Progress(ProgressBar);

impl Progress {
    /// A bar on a terminal; a file gets a line for each repetition instead.
    fn new(steps: u64) -> Self {
        let bar = ProgressBar::new(steps);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}")
            .expect("the template is a constant");
        bar.set_style(style);
        Self(bar)
    }
    fn step(&self, what: String) {
        self.0.set_message(what);
        self.0.inc(1);
    }
}

/// Everything is measured once before it is measured again, so that a machine that changes speed
/// changes all of them.
fn measure(strategies: &[Strategy], arguments: &Arguments) -> Record {
    let effort = Effort::of(arguments);
    let jobs = jobs(strategies, arguments);
    let capacity = arguments.capacity as usize;
    let steps = jobs.len() + effort.reps as usize * (jobs.len() + 2 * strategies.len());
    let progress = Progress::new(steps as u64);
    let mut throughput: Vec<Throughput> = jobs
        .iter()
        .map(|job| {
            progress.step(format!("trying {job}"));
            Throughput::new(*job, work::items_for(job, effort.run))
        })
        .collect();
    let mut lone: Vec<Latency> = strategies.iter().map(|s| Latency::new(*s)).collect();
    let mut wake = lone.clone();
    for rep in 1..=effort.reps {
        if progress.0.is_hidden() {
            eprintln!("turtle: repetition {rep} of {}", effort.reps);
        }
        for row in &mut throughput {
            progress.step(format!("{rep}/{} {}", effort.reps, row.job));
            row.samples.push(work::throughput(&row.job, row.items));
        }
        for row in &mut lone {
            progress.step(format!(
                "{rep}/{} {}: lone items",
                effort.reps, row.strategy
            ));
            row.add(work::lone(row.strategy, capacity, effort.lone));
        }
        for row in &mut wake {
            progress.step(format!("{rep}/{} {}: waking", effort.reps, row.strategy));
            row.add(work::wake(row.strategy, capacity, effort.wakes));
        }
    }
    progress.0.finish_and_clear();
    Record {
        throughput,
        lone,
        wake,
    }
}

fn settings(arguments: &Arguments) -> Value {
    let effort = Effort::of(arguments);
    json!({
        "capacity": arguments.capacity,
        "max_threads": arguments.max_threads,
        "patience": arguments.patience,
        "threads": arguments.threads.iter().map(|(p, c)| format!("{p}x{c}")).collect::<Vec<_>>(),
        "reps": effort.reps,
        "run_ms": effort.run.as_millis() as u64,
        "quick": arguments.quick,
        "item_bytes": 8,
        "pinning": "producer i on allowed core i mod n, consumer i on allowed core (i + 1) mod n",
        "waiting": "a refused try: 64 pauses, then the scheduler's yield, afresh after each success",
        "checked": "number and sum of the items, and the order of each producer's, in every run",
        "debug_build": cfg!(debug_assertions),
    })
}

fn read_rivals(arguments: &Arguments) -> Result<Option<Value>, Fail> {
    let Some(path) = &arguments.rivals else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(path).map_err(|error| Fail::doing(path.display(), error))?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| Fail::Corrupt(format!("{}: {error}", path.display())))?;
    report::rivals::check(&value).map_err(|why| {
        Fail::Corrupt(format!(
            "{}: no record of benches/rivals: {why}",
            path.display()
        ))
    })?;
    Ok(Some(value))
}

fn write(path: &PathBuf, text: &str) -> Result<(), Fail> {
    std::fs::write(path, text).map_err(|error| Fail::doing(path.display(), error))
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fail> {
    let strategies = arguments.strategies()?;
    if jobs(&strategies, arguments).is_empty() {
        return Err(Fail::Usage(
            "no engine among --strategy can have these --threads".into(),
        ));
    }
    // Found out before the measuring, not after it.
    let rivals = read_rivals(arguments)?;
    for path in [&arguments.html, &arguments.json].into_iter().flatten() {
        write(path, "")?;
    }
    if cfg!(debug_assertions) {
        eprintln!("turtle: this is a debug build; the figures mean nothing");
    }
    let record = measure(&strategies, arguments);
    let finished = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let whole = json!({
        "schema": "turtle-bench-1",
        "version": turtle_buffers::VERSION,
        "finished_unix": finished,
        "machine": doctor::machine_json(),
        "settings": settings(arguments),
        "throughput": record.throughput.iter().map(Throughput::json).collect::<Vec<_>>(),
        "lone": record.lone.iter().map(Latency::json).collect::<Vec<_>>(),
        "wake": record.wake.iter().map(Latency::json).collect::<Vec<_>>(),
        "bars": rivals.as_ref().map(report::rivals::bars_json),
        "rivals": rivals,
    });
    if let Some(path) = &arguments.json {
        write(path, &format!("{whole:#}\n"))?;
    }
    if let Some(path) = &arguments.html {
        write(path, &report::page(&whole, &record))?;
    }
    print(&record);
    for path in [&arguments.html, &arguments.json].into_iter().flatten() {
        println!("written: {}", path.display());
    }
    Ok(())
}

fn print(record: &Record) {
    let mut rates = table(&[
        "strategy",
        "threads",
        "items a call",
        "million items/s",
        "lowest",
        "highest",
    ]);
    for row in &record.throughput {
        let spread = row.spread();
        rates.add_row([
            row.job.strategy.to_string(),
            format!("{}x{}", row.job.producers, row.job.consumers),
            row.job.batch.to_string(),
            format!("{:.1}", spread.median),
            format!("{:.1}", spread.low),
            format!("{:.1}", spread.high),
        ]);
    }
    println!("{rates}\n");
    let mut delays = table(&["strategy", "latency, ns", "p50", "p99", "p99.9", "highest"]);
    for (what, rows) in [
        ("lone item, polling consumer", &record.lone),
        ("waking a sleeper", &record.wake),
    ] {
        for row in rows {
            let mut cells = vec![row.strategy.to_string(), what.to_owned()];
            cells.extend([0.5, 0.99, 0.999, 1.0].map(|q| row.quantile(q).to_string()));
            delays.add_row(cells);
        }
    }
    println!("{delays}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_two_numbers() {
        assert_eq!(shape("2x4"), Ok((2, 4)));
        for wrong in ["", "2", "x", "0x1", "1x0", "1x65", "1x2x3", "-1x1", "ax1"] {
            assert!(shape(wrong).is_err(), "{wrong}");
        }
    }
}
