//! Command line of the comparison with other queues.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser;
use rivals::machine::Machine;
use rivals::runner::{Effort, Group, measure};
use rivals::scenario::{Choice, countables, groups};
use rivals::stats::Rng;
use rivals::{cpp, report};

/// Measures turtle's engines beside other queues.
///
/// Throughput ratios are subject / reference (above 1: the subject is faster); ratios of times are
/// subject / reference too (below 1: the subject is faster).
#[derive(Debug, Parser)]
struct Args {
    /// Only rows whose "scenario | row | reference" contains one of these texts.
    #[arg(long, value_delimiter = ';')]
    filter: Vec<String>,
    /// Only these subjects (texts that their names begin with).
    #[arg(long, value_delimiter = ',')]
    subjects: Vec<String>,
    /// Repetitions of each row; 7 or more for a record.
    #[arg(long, default_value_t = 9)]
    reps: usize,
    /// Length of one run, milliseconds.
    #[arg(long, default_value_t = 40)]
    run_ms: u64,
    /// A quick look: short runs, 3 repetitions.
    #[arg(long)]
    quick: bool,
    /// Capacities of the `single` rows.
    #[arg(long, value_delimiter = ',', default_value = "1024")]
    capacities: Vec<usize>,
    /// Writes every raw repetition here.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Prints the rows and ends.
    #[arg(long)]
    list: bool,
    /// Exits with an error if a judged bar misses.
    #[arg(long)]
    strict: bool,
    /// Counts instructions for each item under `valgrind --tool=callgrind`, and ends.
    #[arg(long)]
    instructions: bool,
    /// Moves exactly this many items through `--queue` on one thread, and ends.
    #[arg(long, value_name = "ITEMS", requires = "queue")]
    count_only: Option<u64>,
    /// The queue for `--count-only`.
    #[arg(long)]
    queue: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let (Some(items), Some(queue)) = (args.count_only, &args.queue) {
        return count_only(items, queue);
    }
    if args.instructions {
        return instructions(&args.subjects);
    }
    for (name, reason) in cpp::missing() {
        eprintln!("left out: {name}: {reason}");
    }
    let rows = chosen(&args);
    if args.list {
        for group in &rows {
            let names: Vec<_> = group.subjects.iter().map(|s| &*s.contender.name).collect();
            println!("{}: {}", key(group), names.join(", "));
        }
        return ExitCode::SUCCESS;
    }
    compare(&args, &rows)
}

fn key(group: &Group) -> String {
    format!(
        "{} | {} | {}",
        group.scenario, group.row, group.reference.name
    )
}

fn chosen(args: &Args) -> Vec<Group> {
    let mut rows = groups(&Choice {
        capacities: args.capacities.clone(),
        quick: args.quick,
    });
    rows.retain(|group| {
        args.filter.is_empty() || args.filter.iter().any(|text| key(group).contains(text))
    });
    for group in &mut rows {
        group.subjects.retain(|subject| {
            args.subjects.is_empty()
                || args
                    .subjects
                    .iter()
                    .any(|text| subject.contender.name.starts_with(text))
        });
    }
    rows.retain(|group| !group.subjects.is_empty());
    rows
}

fn compare(args: &Args, rows: &[Group]) -> ExitCode {
    if rows.is_empty() {
        eprintln!("no row is left; --list shows what there is");
        return ExitCode::FAILURE;
    }
    let effort = if args.quick {
        Effort {
            reps: 3,
            run_seconds: 0.01,
        }
    } else {
        Effort {
            reps: args.reps.max(1),
            run_seconds: args.run_ms as f64 / 1e3,
        }
    };
    let machine = Machine::describe();
    println!("{}\n{}\n", machine.line(), report::HEADER);
    if !rivals::machine::clock_is_shared() {
        println!("The cores' clocks may differ: hand-over latencies mean nothing here.");
    }
    if cfg!(debug_assertions) {
        println!("This is a debug build: timings mean nothing.");
    }

    let mut rng = Rng::new(0x7269_7661_6c73);
    let mut measured = Vec::new();
    for (i, group) in rows.iter().enumerate() {
        eprintln!("[{}/{}] {}", i + 1, rows.len(), key(group));
        let row = measure(group, effort, &mut rng, |_| ());
        println!("{}", report::title(&row));
        row.lines
            .iter()
            .for_each(|line| println!("{}", report::line(line)));
        measured.push(row);
    }
    let means = report::means(&measured);
    if !means.is_empty() {
        println!("\ngeometric means");
        means
            .iter()
            .for_each(|mean| println!("{}", report::mean(mean)));
    }

    if let Some(path) = &args.json {
        let record = report::Record {
            machine: &machine,
            reps: effort.reps,
            run_seconds: effort.run_seconds,
            quick: args.quick,
            pinning: "producer i on allowed core i mod n, consumer i on allowed core (i + 1) mod n",
            waiting: "pause up to 63 times, then sched_yield; afresh after each success; blocking subjects wait themselves",
            missing: cpp::missing(),
            rows: &measured,
            means: &means,
        };
        let written = serde_json::to_vec_pretty(&record)
            .map_err(std::io::Error::from)
            .and_then(|text| std::fs::write(path, text));
        if let Err(error) = written {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
        eprintln!("wrote {}", path.display());
    }

    let (holding, judged) = report::score(&measured, &means);
    let few = if effort.reps < 7 {
        " (fewer than 7 repetitions: a look, not a record)"
    } else {
        ""
    };
    println!("\nbars: {holding} of {judged} hold{few}");
    if args.strict && holding < judged {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn count_only(items: u64, queue: &str) -> ExitCode {
    let list = countables();
    let Some((_, run)) = list.iter().find(|(name, _)| *name == queue) else {
        let names: Vec<_> = list.iter().map(|(name, _)| *name).collect();
        eprintln!("no queue {queue:?}; there are {}", names.join(", "));
        return ExitCode::FAILURE;
    };
    run(items);
    ExitCode::SUCCESS
}

/// Runs this program under callgrind with two counts; the difference is the loop alone.
fn instructions(only: &[String]) -> ExitCode {
    const COUNTS: [u64; 2] = [6_400, 70_400];
    let collected = |queue: &str, items: u64| -> Result<u64, String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let out = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(program)
            .args(["--queue", queue, "--count-only", &items.to_string()])
            .output()
            .map_err(|e| format!("valgrind: {e}"))?;
        let log = String::from_utf8_lossy(&out.stderr);
        let count = log
            .lines()
            .find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
        count
            .filter(|_| out.status.success())
            .ok_or_else(|| format!("valgrind: {log}"))
    };
    println!("instructions for each item pushed and popped, one thread (batches: 64)");
    for (queue, _) in countables() {
        if !only.is_empty() && !only.iter().any(|text| queue.starts_with(text.as_str())) {
            continue;
        }
        match collected(queue, COUNTS[0]).and_then(|few| Ok((few, collected(queue, COUNTS[1])?))) {
            Ok((few, many)) => {
                println!(
                    "  {queue:<18} {:>8.2}",
                    (many - few) as f64 / (COUNTS[1] - COUNTS[0]) as f64
                );
            }
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
