//! The command line.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use turtle_buffers::{Ring, Strategy};

use crate::calls::Call;
use crate::drive::Victim;
use crate::measure::measure;
use crate::page::Page;
use crate::queue::Shared;
use crate::report;
use crate::rival::{Classical, Flaw};
use crate::row::{Row, Subject};

/// Stops one thread after every instruction of a call and checks what the
/// others see.
///
/// Without options: measures everything and prints the table.
#[derive(Debug, Parser)]
#[command(name = "turtle-stall", version)]
struct Options {
    /// Also run the self-test, print PASS and FAIL lines, and fail if
    /// anything does.
    #[arg(long)]
    check: bool,
    /// Run the self-test only: queues with known faults have to be caught.
    #[arg(long)]
    self_test: bool,
    /// Measure a queue with a known fault instead: rigtorp-like, waiting, torn.
    #[arg(long, value_name = "NAME")]
    rival: Option<String>,
    /// Only this strategy.
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,
    /// Only calls whose name contains this.
    #[arg(long, value_name = "TEXT")]
    call: Option<String>,
    /// Capacities, in elements.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [64, 2, 1])]
    capacity: Vec<usize>,
    /// Write everything found to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the documentation page to this file.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Kill participants of a shared ring after every instruction of a call, and
    /// check what their sessions say. With --call: only calls of such a name.
    #[arg(long)]
    kill: bool,
    /// With --kill: only every so many boundaries.
    #[arg(long, value_name = "N", default_value_t = 1)]
    stride: usize,
    /// With --kill: experiments with two or three victims at random boundaries.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    together: u64,
    /// Kill processes that work on one shared ring, so many in all, and stop
    /// some now and then; check that nothing is lost, doubled or held up.
    #[arg(long, value_name = "KILLS")]
    torture: Option<u64>,
    /// With --torture: how many work at a time.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [4, 8])]
    processes: Vec<usize>,
    /// Where the random numbers begin.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Act as the process in which a thread is stopped.
    #[arg(long, hide = true, value_name = "SCENARIO", requires = "page")]
    victim: Option<String>,
    /// The descriptor of the page shared with the tracer.
    #[arg(long, hide = true, value_name = "FD")]
    page: Option<i32>,
}

/// Counts of the verdict line.
#[derive(Default)]
struct Tally {
    passed: u32,
    failed: u32,
}

impl Tally {
    fn note(&mut self, name: &str, passed: bool) {
        println!("{}: {name}", if passed { "PASS" } else { "FAIL" });
        if passed {
            self.passed += 1
        } else {
            self.failed += 1
        }
    }
    fn end(&self, skipped: u32) -> ExitCode {
        println!(
            "{} passed, {} failed, {skipped} skipped",
            self.passed, self.failed
        );
        ExitCode::from(u8::from(self.failed > 0))
    }
}

/// The tool.
pub(crate) fn main() -> ExitCode {
    let options = Options::parse();
    if let (Some(scenario), Some(fd)) = (&options.victim, options.page) {
        be_victim(scenario, fd);
    }
    if let Some(kills) = options.torture {
        return torture(&options, kills, &mut Tally::default());
    }
    crate::tracee::prepare_waiting();
    crate::tracee::stay_on_one_processor();
    if let Err(error) = Victim::start("turn:0:1").and_then(|mut victim| {
        victim
            .set_up()
            .map_err(|lost| std::io::Error::other(lost.to_string()))
    }) {
        let refused = error.kind() == ErrorKind::PermissionDenied;
        let reason = if refused {
            "ptrace is not permitted here"
        } else {
            "single-stepping does not work here"
        };
        println!("SKIP: {reason}: {error}");
        return Tally::default().end(1);
    }
    match run(&options) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("turtle-stall: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> std::io::Result<ExitCode> {
    let began = Instant::now();
    let mut tally = Tally::default();
    if options.self_test {
        self_test(&mut tally)?;
        return Ok(tally.end(0));
    }
    if options.kill {
        return kill(options, &mut tally);
    }
    let rows = measure_all(options)?;
    println!("{}", report::table(&rows));
    for text in rows
        .iter()
        .map(report::faults)
        .filter(|text| !text.is_empty())
    {
        print!("{text}");
    }
    if let Some(path) = &options.json {
        std::fs::write(
            path,
            serde_json::to_string_pretty(&report::json(&rows))? + "\n",
        )?;
    }
    if let Some(path) = &options.markdown {
        let capacities: Vec<String> = options.capacity.iter().map(ToString::to_string).collect();
        std::fs::write(path, report::markdown(&rows, &capacities.join(", ")))?;
    }
    let holds = rows.iter().all(Row::holds);
    if !options.check {
        return Ok(ExitCode::from(u8::from(!holds)));
    }
    for group in report::groups(&rows) {
        tally.note(&group.name(), group.holds());
    }
    self_test(&mut tally)?;
    println!("{:.1} s", began.elapsed().as_secs_f64());
    Ok(tally.end(0))
}

fn torture(options: &Options, kills: u64, tally: &mut Tally) -> ExitCode {
    for &processes in &options.processes {
        let each = kills.div_ceil(options.processes.len() as u64);
        let effort = crate::torture::Effort {
            kills: each,
            processes: (processes.clamp(4, 32) + 1) & !1,
            capacity: 64,
            seed: options.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        };
        let (sum, outcome) = crate::torture::run(effort);
        if let Err(fault) = &outcome {
            println!("  {effort:?}: {fault}");
        }
        let name = format!(
            "torture of {processes} processes: {} killed, {} stopped, {} elements, {} orphans, {} in hand, \
             {} found dead, longest wait {:.0} ms, longest try_ call {:.1} ms, {:.1} s",
            sum.kills,
            sum.stops,
            sum.elements,
            sum.orphans,
            sum.in_hand,
            sum.dead,
            sum.longest_wait.as_secs_f64() * 1e3,
            sum.longest_call.as_secs_f64() * 1e3,
            sum.time.as_secs_f64()
        );
        tally.note(&name, outcome.is_ok());
    }
    tally.end(0)
}

fn kill(options: &Options, tally: &mut Tally) -> std::io::Result<ExitCode> {
    let effort = crate::killed::Effort {
        stride: options.stride.max(1),
        together: options.together,
        seed: options.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
    };
    crate::killed::run(effort, options.call.as_deref(), |group| {
        for fault in &group.faults {
            println!("  {fault}");
        }
        let name = format!(
            "killed in {}: {} boundaries, {} killed, {} orphans, {} in hand, {:.1} s",
            group.name,
            group.boundaries,
            group.kills,
            group.orphans,
            group.in_hand,
            group.time.as_secs_f64()
        );
        tally.note(&name, group.faults.is_empty() && group.kills > 0);
    })
    .map_err(std::io::Error::other)?;
    Ok(tally.end(0))
}

fn invalid(text: String) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidInput, text)
}

fn measure_all(options: &Options) -> std::io::Result<Vec<Row>> {
    let subjects: Vec<Subject> = match (&options.rival, &options.strategy) {
        (Some(name), _) => vec![Subject::Rival(flaw(name).map_err(invalid)?)],
        (None, Some(name)) => {
            vec![Subject::Engine(
                name.parse().map_err(|error| invalid(format!("{error}")))?,
            )]
        }
        (None, None) => Strategy::ALL.iter().copied().map(Subject::Engine).collect(),
    };
    let slow = |subject: &Subject| match subject {
        Subject::Engine(strategy) if strategy.traits().records => Some(Subject::Slow(*strategy)),
        _ => None,
    };
    let subjects: Vec<Subject> = {
        let slow: Vec<Subject> = subjects.iter().filter_map(slow).collect();
        subjects.into_iter().chain(slow).collect()
    };
    let mut rows = Vec::new();
    for subject in subjects {
        let (calls, shared): (&[Call], bool) = match subject {
            Subject::Engine(strategy) => (&Call::ALL, strategy.traits().shared),
            Subject::Slow(_) => (&Call::ALL, false),
            Subject::Rival(_) => (&Call::BASIC, false),
        };
        let wanted = |call: &&Call| {
            let named = options
                .call
                .as_ref()
                .is_none_or(|text| call.name().contains(text.as_str()));
            let slow = matches!(subject, Subject::Slow(_)) && call.sleeps();
            // Its records make that so long that only the page's run does it.
            let long = options.check && **call == Call::Create && subject.in_parts();
            named && !slow && !long && (shared || !(call.opens() || call.has_sleeper()))
        };
        for call in calls.iter().filter(wanted) {
            // Opening depends on the capacity in the length of a loop only, and
            // waking takes its time: the first one, the first and the last.
            let wanted = |at: &usize| match (call.opens(), call.has_sleeper() || call.sleeps()) {
                (true, _) => *at == 0,
                (_, true) => *at == 0 || at + 1 == options.capacity.len(),
                _ => true,
            };
            for at in (0..options.capacity.len()).filter(wanted) {
                let mut capacity = options.capacity[at];
                if subject.in_parts() && call.is_batch() {
                    // Parts may be anywhere between elements of others: there
                    // are too many ways in a large ring.
                    capacity = capacity.min(6);
                }
                let name = format!("{}: {}, capacity {capacity}", subject.name(), call.name());
                let row = measure(subject, *call, capacity)
                    .map_err(|error| std::io::Error::other(format!("{name}: {error}")))?;
                eprintln!(
                    "{name}: {} places, {:.1} s",
                    row.boundaries,
                    row.time.as_secs_f64()
                );
                rows.push(row);
            }
        }
    }
    if rows.is_empty() {
        return Err(invalid(
            "nothing to measure: no call has such a name".into(),
        ));
    }
    Ok(rows)
}

fn flaw(name: &str) -> Result<Flaw, String> {
    Flaw::ALL
        .into_iter()
        .find(|flaw| flaw.name() == name)
        .ok_or_else(|| {
            let known: Vec<&str> = Flaw::ALL.iter().map(|flaw| flaw.name()).collect();
            format!(
                "there is no queue called {name:?} here; there are {}",
                known.join(", ")
            )
        })
}

/// Every known fault has to be found, in a push and in a pop.
fn self_test(tally: &mut Tally) -> std::io::Result<()> {
    for flaw in Flaw::ALL {
        for call in [Call::TryPush, Call::TryPop] {
            let row = measure(Subject::Rival(flaw), call, 4)?;
            let caught = match flaw {
                Flaw::Reports | Flaw::Tears => !row.false_at.is_empty() && row.hangs.is_empty(),
                Flaw::Waits => !row.hangs.is_empty() && row.false_at.is_empty(),
            };
            let found = format!("{} false, {} hangs", row.false_at.len(), row.hangs.len());
            let name = format!(
                "self-test: {} {} is caught ({found})",
                flaw.name(),
                call.name()
            );
            tally.note(&name, caught && row.boundaries > 0);
        }
    }
    Ok(())
}

/// The other process. The scenario is `name:number of the call:capacity`.
fn be_victim(scenario: &str, fd: i32) -> ! {
    let page = Page::open(fd).expect("the tracer's page");
    let mut parts = scenario.split(':');
    let mut part = || parts.next().expect("three parts");
    let (name, call, capacity) = (part(), part(), part());
    let call = Call::from_number(call.parse().expect("a number"));
    let capacity = capacity.parse().expect("a number");
    match flaw(name) {
        Ok(Flaw::Reports) => {
            crate::victim::run::<Classical<{ Flaw::Reports as u8 }>>(page, call, capacity)
        }
        Ok(Flaw::Waits) => {
            crate::victim::run::<Classical<{ Flaw::Waits as u8 }>>(page, call, capacity)
        }
        Ok(Flaw::Tears) => {
            crate::victim::run::<Classical<{ Flaw::Tears as u8 }>>(page, call, capacity)
        }
        Err(_) => {
            let (name, slow) = match name.split_once(',') {
                Some((name, _)) => (name, true),
                None => (name, false),
            };
            crate::queue::SLOW.store(slow, std::sync::atomic::Ordering::Relaxed);
            be_engine(page, name.parse().expect("a strategy"), call, capacity)
        }
    }
}

macro_rules! define_be_engine {
    ($(($variant:ident, $module:ident, $engine:ident),)+) => {
        fn be_engine(page: &'static Page, strategy: Strategy, call: Call, capacity: usize) -> ! {
            if call.opens() {
                crate::opening::run(page, call, strategy, capacity);
            }
            match strategy {
                $(Strategy::$variant => {
                    type Engine = turtle_buffers::strategy::$module::$engine;
                    if call.has_sleeper() {
                        crate::victim::run::<Shared<Engine>>(page, call, capacity)
                    }
                    crate::victim::run::<Ring<u64, Engine>>(page, call, capacity)
                })+
            }
        }
    };
}
turtle_buffers::for_each_strategy!(define_be_engine);
