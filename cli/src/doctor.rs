//! `turtle doctor`: what this machine can run and why not.

mod places;
mod strategies;

use clap::Args;
use serde_json::{Value, json};
use turtle_buffers::os::machine::{Cache, Features, Machine, machine};

use crate::fail::Fail;
use crate::rings::{self, Found};
use crate::table::{bytes, table, yes};

/// Say what this machine can run, and why it cannot run the rest.
///
/// Processor features, cores, caches, memory, shared memory, file systems (for the
/// persistent engine, which is planned), every engine with what it promises, and the shared rings
/// that are there. Nothing is changed; the exit status is 0 whatever is found.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

/// What a processor feature is called, whether it is here, and what it is for.
type Feature = (&'static str, bool, &'static str);

fn features(found: &Features) -> Vec<Feature> {
    vec![
        ("rtm", found.rtm, "hardware transactions"),
        (
            "rtm_always_abort",
            found.rtm_always_abort,
            "transactions exist and never commit",
        ),
        (
            "rtm_usable",
            found.rtm_usable(),
            "transactions can commit, as far as the processor says",
        ),
        (
            "cldemote",
            found.cldemote,
            "hint that moves a line towards the shared cache",
        ),
        (
            "waitpkg",
            found.waitpkg,
            "waiting on a line without spinning (UMWAIT, TPAUSE)",
        ),
        (
            "clwb",
            found.clwb,
            "writing a line back to memory and keeping it",
        ),
        (
            "clflushopt",
            found.clflushopt,
            "writing a line back without waiting for others",
        ),
        ("cx16", found.cx16, "compare-and-swap of 16 bytes"),
        (
            "invariant_tsc",
            found.invariant_tsc,
            "a time stamp counter of constant rate",
        ),
        ("lse", found.lse, "aarch64: single-instruction atomics"),
    ]
}

/// Cells of "what the kernel says", "" when it says nothing.
fn line(path: &str) -> Option<String> {
    std::fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_owned())
}

/// The machine as JSON: the block that `doctor`, `bench` and reports share.
pub(crate) fn machine_json() -> Value {
    json_of(&machine())
}

fn json_of(found: &Machine) -> Value {
    let room = found.shared_memory;
    let pages = &found.huge_pages;
    json!({
        "os": found.system.0,
        "arch": found.system.1,
        "kernel": found.kernel,
        "cpu": found.cpu_model,
        "cores_online": found.cores_online,
        "cores_allowed": found.cores_allowed,
        "numa_nodes": line("/sys/devices/system/node/online"),
        "cache_line": found.cache_line,
        "caches": found.caches.iter().map(|cache| json!({
            "level": cache.level, "kind": cache.kind, "bytes": cache.bytes, "shared_by": cache.shared_by,
        })).collect::<Vec<_>>(),
        "features": features(&found.features).into_iter().map(|(name, here, _)| (name.to_owned(), json!(here)))
            .collect::<serde_json::Map<_, _>>(),
        "memory": found.memory,
        "shared_memory": room.map(|(all, free)| json!({"bytes": all, "free": free})),
        "huge_pages": {
            "bytes": pages.bytes, "total": pages.total, "free": pages.free,
            "transparent": pages.transparent, "transparent_shared": pages.transparent_shared,
        },
        "membarrier": {"private": found.membarrier.0, "shared": found.membarrier.1},
        "perf_event_paranoid": found.perf_event_paranoid,
        "ptrace_scope": found.ptrace_scope,
    })
}

/// Sentences on what is here and will be felt; empty when all is well.
fn notes(found: &Machine) -> Vec<String> {
    let mut notes = Vec::new();
    let here = found.cores_allowed.len();
    if here < 2 {
        notes.push(
            "One core: two threads take turns, and hand-over latencies are those of the scheduler."
                .into(),
        );
    } else if here < found.cores_online {
        notes.push(format!(
            "This process may use {here} of {} cores (cgroup or taskset).",
            found.cores_online
        ));
    }
    if found.features.rtm_always_abort {
        notes.push(
            "The processor has transactions that always abort (a microcode update): code that uses them runs its fallback."
                .into(),
        );
    }
    match found.membarrier {
        (true, true) => {}
        (private, _) => notes.push(format!(
            "No asymmetric barrier {}: a wake-up may be missed, so a blocked call looks again every millisecond.",
            if private { "between processes" } else { "at all" }
        )),
    }
    match found.shared_memory {
        None => notes.push("No /dev/shm: rings by name cannot be made; private memory works.".into()),
        Some((all, free)) if all > 0 && free < 64 << 20 => notes.push(format!(
            "/dev/shm has {} free of {}: a larger ring is refused when it is made (docker: --shm-size).",
            bytes(free),
            bytes(all)
        )),
        Some(_) => {}
    }
    if found.perf_event_paranoid.is_some_and(|level| level > 2) {
        notes.push(
            "perf_event_paranoid is above 2: no hardware counters for ordinary users.".into(),
        );
    }
    notes
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fail> {
    let found = machine();
    let rings = rings::found();
    if arguments.json {
        let all = json!({
            "schema": "turtle-doctor-1",
            "version": turtle_buffers::VERSION,
            "machine": json_of(&found),
            "places": places::all().iter().map(places::Place::json).collect::<Vec<_>>(),
            "strategies": strategies::all(&found).iter().map(strategies::Row::json).collect::<Vec<_>>(),
            "rings": rings.iter().map(Found::json).collect::<Vec<_>>(),
            "notes": notes(&found),
        });
        println!("{all:#}");
        return Ok(());
    }
    println!("turtle-buffers {}", turtle_buffers::VERSION);
    print_machine(&found);
    print_features(&found.features);
    places::print(&places::all());
    strategies::print(&strategies::all(&found));
    println!("\nShared rings\n{}", rings::text(&rings));
    let notes = notes(&found);
    if !notes.is_empty() {
        println!("\nNotes");
        for note in notes {
            println!("  {note}");
        }
    }
    Ok(())
}

fn cache(found: &Cache) -> String {
    let kind = match &*found.kind {
        "Data" => "d",
        "Instruction" => "i",
        _ => "",
    };
    format!("L{}{kind} {}", found.level, bytes(found.bytes))
}

fn print_machine(found: &Machine) {
    let unknown = || "unknown".to_owned();
    let cores: Vec<_> = found
        .cores_allowed
        .iter()
        .map(ToString::to_string)
        .collect();
    let caches: Vec<_> = found.caches.iter().map(cache).collect();
    let pages = &found.huge_pages;
    let transparent = |word: &Option<String>| word.clone().unwrap_or_else(unknown);
    let rows = [
        ("processor", found.cpu_model.clone().unwrap_or_else(unknown)),
        (
            "system",
            format!(
                "{} {}, {}",
                found.system.0,
                found.kernel.clone().unwrap_or_else(unknown),
                found.system.1
            ),
        ),
        (
            "cores",
            format!(
                "{} online, {} allowed here: {}",
                found.cores_online,
                cores.len(),
                cores.join(" ")
            ),
        ),
        (
            "NUMA nodes",
            line("/sys/devices/system/node/online").unwrap_or_else(unknown),
        ),
        (
            "caches",
            format!(
                "{}; line {}",
                if caches.is_empty() {
                    unknown()
                } else {
                    caches.join(", ")
                },
                found
                    .cache_line
                    .map_or_else(unknown, |line| format!("{line} B"))
            ),
        ),
        ("memory", found.memory.map_or_else(unknown, bytes)),
        (
            "shared memory",
            found.shared_memory.map_or_else(
                || "no /dev/shm".into(),
                |(all, free)| {
                    if all == 0 {
                        "/dev/shm without a limit".into()
                    } else {
                        format!("/dev/shm, {} free of {}", bytes(free), bytes(all))
                    }
                },
            ),
        ),
        (
            "huge pages",
            format!(
                "{} of {}, {} free; unasked: {}, for shared memory: {}",
                pages.total,
                pages.bytes.map_or_else(unknown, bytes),
                pages.free,
                transparent(&pages.transparent),
                transparent(&pages.transparent_shared)
            ),
        ),
        (
            "membarrier",
            format!(
                "in a process: {}, between processes: {}",
                yes(found.membarrier.0),
                yes(found.membarrier.1)
            ),
        ),
    ];
    println!("\nMachine");
    for (what, value) in rows {
        println!("  {what:<14} {value}");
    }
}

fn print_features(found: &Features) {
    let mut table = table(&["feature", "here", "what it is"]);
    for (name, here, what) in features(found) {
        table.add_row([name, yes(here), what]);
    }
    println!("\nProcessor features\n{table}");
}
