//! The table: for people, for programs, for the documentation.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::row::{MEDIAN_DELAY, Row, Subject};

/// Rows of one call, one for each capacity.
#[derive(Debug)]
pub(crate) struct Group<'a>(pub(crate) Vec<&'a Row>);

/// Rows by call, in their order.
pub(crate) fn groups(rows: &[Row]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for row in rows {
        match groups.last_mut() {
            Some(Group(same)) if same[0].subject == row.subject && same[0].call == row.call => {
                same.push(row);
            }
            _ => groups.push(Group(vec![row])),
        }
    }
    groups
}

impl Group<'_> {
    /// `turn: try_push`.
    pub(crate) fn name(&self) -> String {
        format!("{}: {}", self.0[0].subject.name(), self.0[0].call.name())
    }

    /// Whether every row of it holds.
    pub(crate) fn holds(&self) -> bool {
        self.0.iter().all(|row| row.holds())
    }

    fn cell(&self, cell: impl Fn(&Row) -> String) -> String {
        let cells: Vec<String> = self.0.iter().map(|row| cell(row)).collect();
        match cells.iter().all(|cell| *cell == cells[0]) {
            true => cells[0].clone(),
            false => cells.join(" / "),
        }
    }

    fn cells(&self) -> [String; 8] {
        [
            self.0[0].subject.name().to_string(),
            self.0[0].call.name().to_string(),
            self.cell(|row| row.boundaries.to_string()),
            self.cell(|row| ranges(&row.busy)),
            self.cell(|row| ranges(&row.false_at)),
            self.cell(|row| ranges(&row.hangs)),
            self.cell(|row| match (row.median_delay(), row.delays.iter().max()) {
                (Some(median), Some(most)) => {
                    format!(
                        "{:.1} ({:.0})",
                        median.as_secs_f64() * 1e3,
                        most.as_secs_f64() * 1e3
                    )
                }
                _ => "–".into(),
            }),
            if self.holds() { "holds" } else { "FAILS" }.to_string(),
        ]
    }
}

const HEADS: [&str; 8] = [
    "strategy",
    "call",
    "boundaries",
    "others are `Busy` at",
    "false answers",
    "hangs",
    "sleeper late by ms",
    "verdict",
];

/// `3 (5–7)`: how many, and which.
fn ranges(numbers: &BTreeSet<usize>) -> String {
    if numbers.is_empty() {
        return "0".into();
    }
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == *number => *end = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let shown: Vec<String> = runs
        .iter()
        .take(4)
        .map(|(start, end)| {
            if start == end {
                start.to_string()
            } else {
                format!("{start}–{end}")
            }
        })
        .collect();
    let more = if runs.len() > 4 { ", …" } else { "" };
    format!("{} ({}{more})", numbers.len(), shown.join(", "))
}

/// The table, its columns as wide as they need to be.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut lines = vec![HEADS.map(String::from)];
    lines.extend(groups(rows).iter().map(Group::cells));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..HEADS.len())
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
        if number == 0 {
            let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            let _ = writeln!(text, "|-{}-|", dashes.join("-|-"));
        }
    }
    text
}

/// What went wrong, in words.
pub(crate) fn faults(row: &Row) -> String {
    let mut text = String::new();
    for fault in &row.faults {
        let place = fault
            .offset
            .map_or(String::new(), |offset| format!(" (program + {offset:#x})"));
        let _ = writeln!(
            text,
            "  {}: {}, capacity {}, boundary {}{place}, others: {:?}: {}",
            row.subject.name(),
            row.call.name(),
            row.capacity,
            fault.boundary,
            fault.script,
            fault.text
        );
    }
    if !row.hangs.is_empty() {
        let name = (row.subject.name(), row.call.name());
        let _ = writeln!(
            text,
            "  {}: {}: hangs at {}",
            name.0,
            name.1,
            ranges(&row.hangs)
        );
    }
    text
}

/// Everything that was found.
pub(crate) fn json(rows: &[Row]) -> Value {
    let millis = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "strategy": row.subject.name(),
                "call": row.call.name(),
                "capacity": row.capacity,
                "boundaries": row.boundaries,
                "busy_allowed": row.subject.busy_allowed(),
                "busy_at": row.busy,
                "false_at": row.false_at,
                "hangs_at": row.hangs,
                "faults": row.faults.iter().map(|fault| json!({
                    "boundary": fault.boundary,
                    "offset": fault.offset,
                    "others": format!("{:?}", fault.script),
                    "text": fault.text,
                })).collect::<Vec<_>>(),
                "delay_ms_median": row.median_delay().map(millis),
                "delay_ms_max": row.delays.iter().max().copied().map(millis),
                "calls_of_others": row.calls,
                "off_the_recorded_path": row.strayed,
                "offsets": row.offsets,
                "seconds": row.time.as_secs_f64(),
                "holds": row.holds(),
            })
        })
        .collect();
    json!({ "version": turtle_buffers::VERSION, "rows": rows })
}

/// The page `docs/stall.md`.
pub(crate) fn markdown(rows: &[Row], capacities: &str) -> String {
    let stops: usize = rows.iter().map(|row| row.boundaries).sum();
    let calls: usize = rows.iter().map(|row| row.calls).sum();
    let mut engines: Vec<Subject> = Vec::new();
    for row in rows {
        if !engines.contains(&row.subject) {
            engines.push(row.subject);
        }
    }
    let promised: String = engines
        .iter()
        .filter_map(|subject| match subject {
            Subject::Engine(strategy) => Some(strategy.traits()),
            Subject::Slow(_) | Subject::Rival(_) => None,
        })
        .map(|traits| {
            format!(
                "| `{}` | {} | {} |\n",
                traits.name, traits.returns, traits.stopped_thread
            )
        })
        .collect();
    format!(
        "{HEAD}{promised}{METHOD}
At capacities {capacities}: {stops} places in all; the others made {calls} calls while a thread was stopped or just after.
A cell with several values has one for each capacity; calls that wake or sleep were stopped at the first and the last of them,
calls that open a ring at the first.

{table}{TAIL}",
        table = table(rows).replace("0 / 0 / 0", "0"),
        METHOD = METHOD.replace("{delay}", &MEDIAN_DELAY.as_millis().to_string()),
    )
}

const HEAD: &str = "<!-- Generated: cargo run --release -p turtle-stall -- --markdown docs/stall.md -->

# A thread stopped anywhere

What happens to everybody else when one thread stops in the middle of a call: preempted, swapped out, held in a debugger, or
killed. The table below is measured, at every single instruction.

What is promised:

| strategy | a `try_` call returns | a stopped thread |
|---|---|---|
";

const METHOD: &str = "
## Method

1. A process of its own makes one call on a fresh ring. Another process traces the thread that makes it (`ptrace`), and no other
   thread.
2. The thread runs to the k-th instruction of the call and is stopped there. A boundary is the gap between two instructions;
   boundary 0 is before the first.
3. While it is stopped, another thread of its process uses the ring: two pushes and pops until refused, then 50 rounds of
   both; or it fills the ring; or drains it; or closes it. On a strategy with one producer and one consumer it has the side
   that the stopped thread has not.
4. The stopped thread goes on and returns, and everything is taken out.
5. This is done for every k until the call has returned, and for each of the things that the other thread does, with a fresh
   ring and a fresh call each time.

Every answer is judged. As long as a call is stopped it may have taken effect or not, so there are several ways things can be;
each answer (of the stopped call itself and of the draining, too) strikes out those in which it would be wrong. An answer that
leaves none is false. A batch of `wait_free` is judged as what its module calls it, a sequence of runs: elements of others may come
between two of them; in a ring of 6 elements instead of 64, where these ways can be counted. So `Empty` is false if a push had completed and its element was certainly inside, `Full` is false if there
certainly was room, and elements that are lost, doubled or out of order are found in the same way. `Busy` is false unless a call
of the opposite side was halfway, on a strategy that says it may happen. A *hang* is 60 ms of processor time inside one call of
the others, or being found asleep there over and over, or 3 s on the clock.

Where a call wakes somebody, another thread sleeps in a blocking call, on a ring in shared memory. Its return is timed while the
waker is stopped: once the waker's call has taken effect, the sleeper must come back by itself, the middle one of the delays
within {delay} ms; it looks again every 10 ms. Then the same with somebody else waking the same sleeper at the same time. A call
that goes to sleep is stopped on its whole way there, and is then brought what it waits for, or the ring is closed.

Calls that open a ring in shared memory are stopped while another process attaches to the same name (it must find no ring, or
the whole ring) and while those who have the ring use it. *Raced*: the other process creates it too, between any two system
calls of the stopped one; both must end up with the same ring.

The checker is checked: `turtle-stall --self-test` runs the same test on three queues with known faults (false `Empty` and
`Full`; waiting inside a `try_` call; a torn claim) and fails unless each is caught, in pushes and in pops.

## Reading the table

* **Slow path**: the same strategy with `patience` 0: every call is announced, and others may carry it out.
* **Boundaries**: at how many places the call was stopped. It depends on the compiler, its settings and the processor, and
  includes a few instructions around the call; a short wait for company (`spsc`, capacity 64) makes a call longer. What the other
  columns say does not depend on that.
* **Others are `Busy` at**: how many of them, and which. Everywhere else the others get on as if the stopped thread were not
  there. In `turn` these are the places between the claim of a slot and its publication: in a batch until its last slot,
  between claim and commit all of them.
* **Sleeper late by**: the middle and, in brackets, the greatest delay, on the machine that wrote this page, which may have had
  other things to do.
";

const TAIL: &str = "
## What the table does not show

* Closing `spsc` while a push is halfway. The push may still be accepted after `close` has returned. Until that is decided
  consumers hear `Empty`; after one has heard `Closed` nothing comes in. The test holds the library to that.
* Asynchronous waiters. Waking a task takes a lock, so a thread that is stopped while it does so holds up others that have to wake
  a task of the same ring. Rings without tasks never take it.
* Taking a side of a shared `spsc` ring (the first call of a thread in C and Python, `producer()` and `consumer()` in Rust) takes a
  lock of the process, as opening does.
* Several stopped threads, and others that run at the same instant: that is the business of the models, the stress tests and
  `--kill` below.
* The order in which a processor makes stores visible to others: a stopped thread's stores are all visible. The model checkers
  look at orders (`docs/memory-model.md`).
* Killing is not the same as stopping where the kernel clears up after the dead (the sides of `spsc` in shared memory) and where
  somebody puts right what they left (`wait_free`): see below.
* Processors other than x86-64: the tool says `SKIP` there.

## Killed anywhere

`turtle-stall --kill` asks the same of death, on `wait_free` in shared memory. A victim is a process of its own with a session. It is
stepped to the k-th instruction of one call (push, pop, batches of 10, claim and commit, peek and release, joining, leaving, and
putting right what another dead one left) on a ring that is empty, half full, full, or has a run of which some are popped, of 8
elements or 2, on the fast path or the slow one. While it is stopped there another participant moves the ring on by none, one,
two or three laps; then the victim is killed by `SIGKILL`, and the other one makes 50 rounds more before anybody looks for the
dead. Required at every k:

* nobody is in the way: the others' pushes find room and their pops an element, whoever is stopped or dead;
* `reclaim` finds exactly the dead, and finds them once;
* `done` of the session is what is really in the ring: an element came out if and only if its push was counted;
* an element that was taken and counted is among the session's orphans, or was in the victim's registers, on its stack or in its
  buffer when it died; none is anywhere twice, each producer's come in order;
* recovery may itself be killed at any instruction: the next one finds the same orphans;
* every cell is once in a slot or a place, and all places can be taken again.

Then two or three victims at random boundaries at once; each is killed, at once or later, or goes on and must answer what its
session counts.

`turtle-stall --torture KILLS` lets 4, 8 or 16 processes work on one ring of 64 elements with calls of every kind, kills one of them
every moment and starts it again under its session; of every 40 times once, one to three are stopped while the others must go on, and
go on themselves afterwards. Nothing that was acknowledged may be missing, nothing may come twice (orphans included), each
producer's elements come in order; no `try_` call may use 50 ms of the processor, no blocking call wait for 1 s (for every four
processes); and at the end of every 1000 kills the sessions' counts, the elements, the cells and the places are compared.

A share of both is in every test run (`scripts/test-stall.sh`). The long runs, every k and 20,000 kills, take about an hour:

```sh
cargo run --release -p turtle-stall -- --kill
cargo run --release -p turtle-stall -- --torture 20000 --processes 4,8,16
```

What was run is in the evidence of [guarantees.md](guarantees.md#evidence).
";
