//! Which orderings are needed: each step that asks for one is weakened to
//! relaxed in turn, under loom, and some client must notice. The result is
//! `profiles/<module>.toml`; the test fails when reality and the file differ.
//!
//! `RUSTFLAGS="--cfg turtle_loom --cfg turtle_mutate" cargo test --release --test orders`
//!
//! `TURTLE_BLESS=1` writes the files anew. This is bounded model checking: an
//! ordering is shown to be needed *by these clients*, and the whole set to be
//! enough *for these clients*, up to the bounds in the file.
#![cfg(all(turtle_loom, turtle_mutate))]

mod common;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use common::cases::{self, Case, Change, Found, Job, Verdict, engine_clients};
use common::ordered;
use common::sources::{MODULES, Module, Row};
use turtle_buffers::atomic::Step;

/// Module, step, and why no client misses its ordering.
const NOT_MISSED: &[(&str, &str, &str)] = &[
    (
        "turn",
        "PUSH_RECHECK",
        "stronger than needed: the turn is only compared; a retry acquires it again",
    ),
    (
        "turn",
        "POP_RECHECK",
        "stronger than needed: the turn is only compared; a retry acquires it again",
    ),
    (
        "turn",
        "LOOK_PUSH",
        "lengths and diagnosis: nothing is read on the strength of it",
    ),
    (
        "turn",
        "LOOK_POP",
        "lengths and diagnosis: claims are relaxed, so there is nothing to acquire from them",
    ),
    (
        "spsc",
        "PUSH_LEAVE",
        "stronger than needed: a relaxed store after the fence before it publishes as much",
    ),
    (
        "spsc",
        "SEAL_MARK",
        "stronger than needed: the barrier that follows is a full fence of every thread",
    ),
    (
        "spsc",
        "SEAL_LOOK",
        "only the answer whether a push is deciding; the caller may seal again",
    ),
    (
        "spsc",
        "LOOK_WRITTEN",
        "lengths, and a new handle, whose maker has synchronised with the last owner",
    ),
    (
        "spsc",
        "LOOK_SEALED",
        "diagnosis, and a Closed that promises nothing about other memory",
    ),
    (
        "wait_free",
        "PENDING_STATE",
        "stronger than needed: PENDING_ANNOUNCED has acquired what it reads, and RESOLVE_STATE does so again",
    ),
    (
        "wait_free",
        "RESOLVE_SLOT",
        "stronger than needed: the word is only compared with one that was acquired before, and no value comes twice (I2)",
    ),
    (
        "wait_free",
        "CONFIRM_SEEN",
        "stronger than needed: the state is only compared; what goes into the slot came with the claim",
    ),
    (
        "wait_free",
        "RESOLVE_CELL",
        "stronger than needed: the cell was written before the state that RESOLVE_STATE acquired; with the cell of a \
         newer operation the exchange fails, for the slot has moved on (I7)",
    ),
    (
        "wait_free",
        "BLOCK_LOOK",
        "stronger than needed: the word is only compared with one that was acquired before (I2)",
    ),
    (
        "wait_free",
        "ANNOUNCE_FENCE",
        "progress only: the operation is not left in a store buffer while its owner tries; nothing else rests on it, \
         for who looks does not fence",
    ),
    (
        "wait_free",
        "WITHDRAW",
        "stronger than needed: an operation that is taken back leaves nothing to read; that it is not decided as \
         well the exchange sees to, whatever its order",
    ),
    (
        "wait_free",
        "RETIRE",
        "stronger than needed: a 0 tells whoever reads it to look at nothing else",
    ),
    (
        "wait_free",
        "SIT_DOWN",
        "stronger than needed: whoever acts on the look (RECOVER_LOOK) takes the lock of the place or of the session \
         and looks again; the lock orders both",
    ),
    (
        "wait_free",
        "RECOVER_LOOK",
        "stronger than needed: as SIT_DOWN",
    ),
    (
        "wait_free",
        "RECOVER_ANNOUNCED",
        "stronger than needed: as RETIRE",
    ),
    (
        "wait_free",
        "RECOVER_WITHDRAW",
        "stronger than needed: as WITHDRAW; if it has been decided, RECOVER_STATE acquires that",
    ),
    (
        "wait_free",
        "RECOVER_TAG",
        "stronger than needed: the last of a row of looks, nothing is read after it; those before it are acquires",
    ),
    (
        "wait_free",
        "LOOK_SLOT",
        "lengths and diagnosis: phases are only compared, and later looks at the same slot are no older; who closes \
         reads its slot again (SEAL_LOOK)",
    ),
    (
        "wait",
        "WAIT_ANNOUNCE",
        "stronger than needed: the barrier that follows is a full fence of every thread",
    ),
    (
        "wait",
        "WAKE_SEEN",
        "orders the flag of asynchronous waiters, which no client here has",
    ),
];

/// The engine that a module's steps are weakened in, and its clients.
fn engine(module: &str) -> &'static str {
    match module {
        "spsc" => "spsc",
        "wait_free" => "wait_free",
        _ => "turn",
    }
}

/// Of the exchange ring, whose clients are many and large: those for one
/// ordering each (`common/ordered.rs`), and enough others to miss each that is
/// missed by what a queue does.
const WAIT_FREE_CLIENTS: &[&str] = &[
    "crossed_empty",
    "crossed_full",
    "reuse_1",
    "run_apart",
    "seal_message",
    "positions",
    "join_2",
    "helped_push",
    "helped_pop",
    "withdraw_race",
];

fn client_names(module: &str) -> Vec<&'static str> {
    if module == "wait_free" {
        let ordered = ordered::clients();
        let ordered = ordered.iter().map(|client| client.name);
        return WAIT_FREE_CLIENTS.iter().copied().chain(ordered).collect();
    }
    let waits = module == "wait";
    engine_clients(engine(module))
        .iter()
        .filter(|c| c.waits == waits)
        .map(|c| c.name)
        .collect()
}

fn path(module: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("profiles")
        .join(format!("{module}.toml"))
}

/// The client that noticed last time: it is tried first.
fn remembered(module: &str, step: &str) -> Option<String> {
    let text = std::fs::read_to_string(path(module)).ok()?;
    let from = text.find(&format!("name = \"{step}\""))?;
    let entry = text[from..].split("\n\n").next()?;
    let by = entry.lines().find_map(|line| line.strip_prefix("by = "))?;
    Some(by.trim_matches('"').to_string())
}

/// For each step the clients that come by it: the others run the same without.
fn jobs(module: Module, clean: &[(&'static str, &[Step])]) -> Vec<Job> {
    let ordered = |row: &&Row| row.order != "relaxed" && row.order != "–";
    let rows = module.table();
    let steps = rows.iter().filter(ordered).map(|row| {
        *module
            .steps
            .iter()
            .find(|step| step.name() == row.step)
            .expect("a step of the module")
    });
    steps
        .map(|step| {
            let come_by = clean.iter().filter(|(_, steps)| steps.contains(&step));
            let mut clients: Vec<_> = come_by.map(|(client, _)| *client).collect();
            if let Some(first) = remembered(module.name, step.name()) {
                clients.sort_by_key(|name| *name != first);
            }
            Job {
                engine: engine(module.name),
                change: Change::Weaken(step),
                clients,
            }
        })
        .collect()
}

fn lock_version(package: &str) -> String {
    let lock = include_str!("../Cargo.lock");
    let from = lock
        .find(&format!("name = \"{package}\"\n"))
        .expect("in the lock file");
    let line = lock[from..].lines().nth(1).expect("a version");
    line.trim_start_matches("version = ")
        .trim_matches('"')
        .to_string()
}

/// What must not change unnoticed. Counts of executions are written down for
/// the reader; they move with every change of the code and are not compared.
fn same(written: &str, now: &str) -> bool {
    let essence = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| !line.starts_with("rustc = "))
            .map(|line| {
                line.split(", executions = ")
                    .next()
                    .unwrap_or(line)
                    .to_string()
            })
            .filter(|line| !line.starts_with("executions = ") && !line.starts_with("how = "))
            .collect()
    };
    essence(written) == essence(now)
}

fn profile(
    module: Module,
    clean: &[(&str, u64)],
    found: &[Found],
    wrong: &mut Vec<String>,
) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "# Orderings of `{}`. Written by tests/orders.rs (TURTLE_BLESS=1); do not edit.",
        module.name
    );
    text.push_str("#\n# Each step with an ordering was weakened to relaxed; `by` is a client that then fails.\n");
    text.push_str("# Model: loom with a shadow read-modify-write before each access. Bounded: see `clients`.\n\n");
    let _ = writeln!(text, "module = \"{}\"", module.name);
    let _ = writeln!(text, "engine = \"{}\"", engine(module.name));
    let _ = writeln!(text, "loom = \"{}\"", lock_version("loom"));
    let _ = writeln!(text, "rustc = \"{}\"", rustc());
    let _ = writeln!(text, "weakened_bound = {}", cases::WEAKENED_BOUND);
    text.push_str(
        "\n# Every client passes with the orderings as written. bound: preemptions.\n[clients]\n",
    );
    let clients = engine_clients(engine(module.name));
    for (name, executions) in clean {
        let client = clients.iter().find(|c| c.name == *name).expect("a client");
        let bound = client.bound;
        let _ = writeln!(
            text,
            "{name} = {{ bound = {bound}, executions = {executions} }}"
        );
    }
    for row in module.table() {
        let _ = write!(
            text,
            "\n[[step]]\nname = \"{}\"\naccess = \"{}\"\n",
            row.step, row.access
        );
        let _ = writeln!(text, "order = \"{}\"", row.order);
        let weakened = found
            .iter()
            .find(|f| matches!(f.job.change, Change::Weaken(step) if step.name() == row.step));
        let reason = NOT_MISSED
            .iter()
            .find(|(m, s, _)| (*m, *s) == (module.name, row.step.as_str()));
        match (weakened, reason) {
            (None, _) => text.push_str("weakened = \"has no ordering\"\n"),
            (
                Some(Found {
                    caught: Some((client, how)),
                    executions,
                    ..
                }),
                reason,
            ) => {
                let _ = writeln!(
                    text,
                    "weakened = \"caught\"\nby = \"{client}\"\nhow = \"{how}\""
                );
                let _ = writeln!(text, "executions = {executions}");
                if reason.is_some() {
                    wrong.push(format!(
                        "{} {}: missed by {client}, and listed as not missed",
                        module.name, row.step
                    ));
                }
            }
            (Some(found), _) if found.job.clients.is_empty() => {
                wrong.push(format!("{} {}: no client comes by", module.name, row.step))
            }
            (Some(found), Some((_, _, why))) => {
                let _ = writeln!(text, "weakened = \"not missed\"\nwhy = \"{why}\"");
                let _ = writeln!(text, "executions = {}", found.executions);
            }
            (Some(found), None) => wrong.push(format!(
                "{} {}: nobody misses {} in {} executions, and no reason is listed",
                module.name, row.step, row.order, found.executions
            )),
        }
    }
    text
}

fn rustc() -> String {
    let rustc = std::process::Command::new("rustc")
        .arg("--version")
        .output();
    let text = rustc
        .map(|out| String::from_utf8_lossy(&out.stdout).to_string())
        .unwrap_or_default();
    text.split(' ').nth(1).unwrap_or("unknown").to_string()
}

/// The doc tables and the code name the same steps with the same orderings.
#[test]
fn tables_say_what_the_code_asks_for() {
    for module in MODULES {
        let rows = module.table();
        let named: Vec<_> = rows.iter().map(|row| row.step.as_str()).collect();
        let declared: Vec<_> = module.steps.iter().map(|step| step.name()).collect();
        assert_eq!(
            named, declared,
            "{}: the table's steps and the code's",
            module.name
        );
        for row in &rows {
            let written = module.written(&row.step);
            let table: Vec<_> = if row.order == "–" {
                vec![]
            } else {
                vec![row.order.as_str()]
            };
            assert_eq!(
                written, table,
                "{} {}: code and table",
                module.name, row.step
            );
        }
    }
}

#[test]
fn each_ordering_is_needed_or_has_a_reason() {
    let mut wrong = Vec::new();
    // As written, everything passes; the same runs count the executions.
    let mut clean = Vec::new();
    for module in MODULES {
        for client in client_names(module.name) {
            clean.push((module.name, client));
        }
    }
    let as_written: Vec<_> = clean
        .iter()
        .map(|(module, client)| Job {
            engine: engine(module),
            change: Change::Nothing,
            clients: vec![client],
        })
        .collect();
    let passed = cases::sweep(as_written);
    for ((module, client), found) in clean.iter().zip(&passed) {
        if let Some((_, how)) = &found.caught {
            wrong.push(format!("{module} {client}: fails as written: {how}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));

    let mut all = Vec::new();
    for module in MODULES {
        let mine: Vec<_> = clean
            .iter()
            .zip(&passed)
            .filter(|((m, _), _)| *m == module.name)
            .map(|((_, client), found)| (*client, found.steps.as_slice()))
            .collect();
        let jobs = jobs(*module, &mine);
        all.extend(jobs.into_iter().map(|job| (module.name, job)));
    }
    let found = cases::sweep(all.iter().map(|(_, job)| job.clone()).collect());
    for module in MODULES {
        let mine: Vec<_> = all
            .iter()
            .zip(&found)
            .filter(|((m, _), _)| *m == module.name)
            .map(|(_, f)| f.clone())
            .collect();
        let counts: Vec<_> = clean
            .iter()
            .zip(&passed)
            .filter(|((m, _), _)| *m == module.name)
            .map(|((_, client), f)| (*client, f.executions))
            .collect();
        let now = profile(*module, &counts, &mine, &mut wrong);
        for found in &mine {
            let Change::Weaken(step) = found.job.change else {
                continue;
            };
            match &found.caught {
                Some((client, how)) => println!(
                    "{:<5} {:<16} caught by {client}: {how} ({} executions)",
                    module.name,
                    step.name(),
                    found.executions
                ),
                None => println!(
                    "{:<5} {:<16} not missed ({} executions)",
                    module.name,
                    step.name(),
                    found.executions
                ),
            }
        }
        let path = path(module.name);
        if std::env::var_os("TURTLE_BLESS").is_some_and(|v| v == "1") {
            std::fs::write(&path, &now).expect("write the profile");
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        if !same(&written, &now) {
            wrong.push(format!(
                "profiles/{}.toml differs from what was found (TURTLE_BLESS=1 writes it):\n{now}",
                module.name
            ));
        }
    }
    for (module, step, _) in NOT_MISSED {
        if !all.iter().any(|(m, job)| {
            m == module && matches!(job.change, Change::Weaken(s) if s.name() == *step)
        }) {
            wrong.push(format!(
                "{module} {step} is listed as not missed, and has no ordering"
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Started again by the test above with a case in the environment. By itself
/// it shows that a case notices what is wrong, and only that.
#[test]
fn one_case() {
    cases::perform_if_asked();
    let turn = Module::named("turn");
    let step = |name: &str| {
        *turn
            .steps
            .iter()
            .find(|s| s.name() == name)
            .expect("a step")
    };
    let case = |change| Case {
        engine: "turn",
        client: "reuse_1",
        change,
    };
    let publish = cases::run(&case(Change::Weaken(step("PUSH_PUBLISH"))));
    assert!(
        matches!(&publish, Verdict::Caught { how, .. } if how == "race"),
        "{publish:?}"
    );
    let relaxed = cases::run(&case(Change::Weaken(step("PUSH_TICKET"))));
    assert!(matches!(relaxed, Verdict::Survived { .. }), "{relaxed:?}");
}
