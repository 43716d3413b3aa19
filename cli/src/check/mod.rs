//! `turtle check`: is this recorded history one of a first-in-first-out queue?

mod read;

use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use turtle_buffers::check::{
    Event, Names, Op, PENDING, Report, Smallest, Spec, Timeline, Violation, check, smallest,
};

use crate::fail::Fail;
use read::Input;

/// Check a recorded history of a queue: was every answer right?
///
/// The history is a file of JSON lines, one operation of any FIFO queue a line, with the stamps of
/// its call and its return; docs/checking.md describes it. It is right if the calls can be put in
/// an order, each at one instant between its call and its return, in which a simple queue gives the
/// same answers. If it is wrong, the few operations that show it are printed, and drawn with --svg.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// The history, as JSON lines; - reads standard input.
    file: PathBuf,
    /// The exact capacity of the queue, whatever the file says.
    #[arg(long, value_name = "N", conflicts_with = "unbounded")]
    capacity: Option<usize>,
    /// The queue has no limit, whatever the file says: any answer Full is wrong.
    #[arg(long)]
    unbounded: bool,
    /// Everything was popped in the end: an element that never came out is lost.
    #[arg(long)]
    drained: bool,
    /// Draw the operations that show the error, as SVG; of a short history the others too, in pale
    /// colours. Of a right history nothing is drawn.
    #[arg(long, value_name = "OUT")]
    svg: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

const AFTER: &str = "\
Exit status: 0 every answer can be explained; 1 one cannot; 2 wrong usage, or a file that is no history.

A line:        {\"thread\":0,\"call\":10,\"ret\":12,\"op\":\"push\",\"value\":7}
Operations:    push pop push_full push_busy push_closed push_abandoned pop_empty pop_busy pop_closed
               pop_unknown close; \"ret\" is null for a call that never returned
First line:    {\"history\":1,\"capacity\":64,\"initial\":[1,2],\"drained\":true,\"unit\":\"ns\"}, if you like

Examples:
  turtle check history.jsonl --capacity 64
  my-test | turtle check - --unbounded --svg error.svg";

/// The most operations that are all drawn.
const SHORT: usize = 30;

/// How long the two halves of the work took.
struct Times {
    read: Duration,
    checked: Duration,
}

impl Times {
    /// Operations that were checked in a second.
    fn rate(&self, operations: usize) -> f64 {
        operations as f64 / self.checked.as_secs_f64().max(1e-9)
    }

    fn text(&self, operations: usize) -> String {
        format!(
            "read in {:.2} s, checked in {:.2} s: {:.1} million operations a second",
            self.read.as_secs_f64(),
            self.checked.as_secs_f64(),
            self.rate(operations) / 1e6
        )
    }
}

fn read(arguments: &Arguments, name: &str) -> Result<Input, Fail> {
    let tell = |operations: usize| eprintln!("turtle: {operations} operations read so far");
    let outcome = if arguments.file.as_os_str() == "-" {
        Input::read(io::stdin().lock(), tell)
    } else {
        let file =
            File::open(&arguments.file).map_err(|error| Fail::Usage(format!("{name}: {error}")))?;
        Input::read(BufReader::with_capacity(1 << 18, file), tell)
    };
    let mut input = outcome.map_err(|bad| Fail::Usage(format!("{name}: {bad}")))?;
    if arguments.unbounded {
        input.spec.capacity = None;
    } else if arguments.capacity.is_some() {
        input.spec.capacity = arguments.capacity;
    } else if !input.capacity_said {
        let full = |event: &Event| event.op == Op::PushFull;
        if let Some(full) = input.history.events().iter().position(full) {
            return Err(Fail::Usage(format!(
                "{name}: line {}: a push answered Full, and nothing says what fits: give --capacity N (or --unbounded)",
                input.line_of(full)
            )));
        }
    }
    input.spec.drained |= arguments.drained;
    Ok(input)
}

/// A fault of the recording: bad input, with the lines that show it.
fn refuse(input: &Input, name: &str, small: &Smallest) -> Fail {
    let lines: Vec<String> = small
        .events
        .iter()
        .map(|&i| input.line_of(i).to_string())
        .collect();
    let place = match &lines[..] {
        [] => String::new(),
        [one] => format!("line {one}: "),
        many => format!("lines {}: ", many.join(" and ")),
    };
    let what = match &small.violation {
        Violation::Malformed { why, .. } => (*why).to_owned(),
        other => format!(
            "{} Give each element a value of its own.",
            input.named(&other.sentence(&Names::default()))
        ),
    };
    Fail::Usage(format!("{name}: {place}{what}"))
}

fn draw(input: &Input, small: &Smallest) -> String {
    let value = |value: u64| input.value_of(value).to_string();
    let thread = |thread: usize| match input.thread_of(thread) {
        read::Original::Number(number) => format!("thread {number}"),
        read::Original::Text(name) => name.to_owned(),
    };
    let names = Names {
        value: &value,
        thread: &thread,
    };
    let timeline = if input.history.len() <= SHORT {
        Timeline::among(small, &input.history, &input.spec)
    } else {
        Timeline::of(small)
    };
    timeline.names(names).unit(&input.unit).to_string()
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Fail> {
    if let Some(path) = &arguments.svg {
        // Found out before the checking, not after it.
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(Fail::Usage(format!(
                "{}: there is no such folder",
                path.display()
            )));
        }
    }
    let name = match arguments.file.as_os_str() {
        dash if dash == "-" => "standard input".to_owned(),
        file => file.display().to_string(),
    };
    let begun = Instant::now();
    let input = read(arguments, &name)?;
    let read = begun.elapsed();
    let operations = input.history.len();
    if read > Duration::from_secs(2) {
        eprintln!("turtle: checking {operations} operations");
    }
    let begun = Instant::now();
    let verdict = check(&input.history, &input.spec);
    let times = Times {
        read,
        checked: begun.elapsed(),
    };
    let small = verdict
        .as_ref()
        .err()
        .map(|violation| smallest(&input.history, &input.spec, violation));
    if let Some(small) = small
        .as_ref()
        .filter(|small| small.violation.is_fault_of_recording())
    {
        return Err(refuse(&input, &name, small));
    }
    if let (Some(path), Some(small)) = (&arguments.svg, &small) {
        std::fs::write(path, draw(&input, small))
            .map_err(|error| Fail::Usage(format!("{}: {error}", path.display())))?;
    }
    if arguments.json {
        println!(
            "{:#}",
            to_json(&input, &name, &times, verdict.as_ref().ok(), small.as_ref())
        );
    } else {
        match &verdict {
            Ok(report) => println!("{name}: fine\n{report}"),
            Err(violation) => {
                if let Some(small) = &small {
                    print!("{}", told(&input, &name, violation, small));
                }
            }
        }
        println!("{}", times.text(operations));
        if let (Some(path), Some(_)) = (&arguments.svg, &small) {
            println!("written: {}", path.display());
        }
    }
    Ok(ExitCode::from(u8::from(verdict.is_err())))
}

/// The verdict on a wrong history.
fn told(input: &Input, name: &str, violation: &Violation, small: &Smallest) -> String {
    let sentence = small.violation.sentence(&Names::default());
    let mut text = format!("{name}: wrong, {}\n{sentence}\n", violation.kind());
    if let Violation::Lost { lost, .. } = violation
        && *lost > 1
    {
        text += &format!("{lost} elements were lost in all.\n");
    }
    let (all, left) = (input.history.len(), small.history.len());
    let initial = match small.spec.initial.len() {
        0 => String::new(),
        some => format!(" and {some} inside from the start"),
    };
    let smallest = if small.minimal {
        "The smallest part"
    } else {
        "A part"
    };
    text += &format!("\n{smallest} that is wrong, {left} of {all} operations{initial}:\n");
    for (event, &number) in small.history.events().iter().zip(&small.events) {
        text += &format!("  line {:<6} {event}\n", input.line_of(number));
    }
    text += &format!("\nWhy: {}\n", small.violation);
    input.named(&text)
}

fn to_json(
    input: &Input,
    name: &str,
    times: &Times,
    report: Option<&Report>,
    small: Option<&Smallest>,
) -> Value {
    let operations = input.history.len();
    json!({
        "schema": "turtle-check-1",
        "version": turtle_buffers::VERSION,
        "file": name,
        "verdict": if small.is_some() { "wrong" } else { "fine" },
        "operations": operations,
        "capacity": input.spec.capacity,
        "seconds_read": times.read.as_secs_f64(),
        "seconds_checked": times.checked.as_secs_f64(),
        "operations_per_second": times.rate(operations),
        "report": report.map(report_json),
        "violation": small.map(|small| json!({
            "kind": small.violation.kind(),
            "sentence": input.named(&small.violation.sentence(&Names::default())),
            "text": input.named(&small.violation.to_string()),
        })),
        "smallest": small.map(|small| part_json(input, small)),
    })
}

fn report_json(report: &Report) -> Value {
    json!({
        "pushed": report.pushed, "popped": report.popped, "full": report.full, "empty": report.empty,
        "busy": report.busy, "closed": report.closed, "unknown": report.unknown,
        "fullest": report.fullest, "overlap": report.overlap,
    })
}

/// The part, in the words of the file, each operation with its line.
fn part_json(input: &Input, small: &Smallest) -> Value {
    let event = |(event, &number): (&Event, &usize)| {
        let mut one = json!({
            "line": input.line_of(number),
            "thread": input.thread_of(event.thread),
            "call": event.call,
            "ret": (event.ret != PENDING).then_some(event.ret),
            "op": event.op.word(),
        });
        if let Op::Push(value) | Op::Pop(value) = event.op {
            one["value"] = json!(input.value_of(value));
        }
        one
    };
    let Spec { initial, .. } = &small.spec;
    json!({
        "minimal": small.minimal,
        "initial": initial.iter().map(|&value| input.value_of(value)).collect::<Vec<_>>(),
        "events": small.history.events().iter().zip(&small.events).map(event).collect::<Vec<_>>(),
    })
}
