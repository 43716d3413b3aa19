//! Mutants: every step that writes, every fence and every re-check is left out
//! in turn, and a few engines are wrong by hand. A named client must notice
//! each, or the mutant is listed here with the reason why nobody can.
//!
//! `RUSTFLAGS="--cfg turtle_loom --cfg turtle_mutate" cargo test --release --test mutants`
#![cfg(all(turtle_loom, turtle_mutate))]

mod common;

use common::cases::{self, Change, Found, Job, engine_clients};
use common::sources::{MODULES, Module};

/// Module, step, and the client that notices when it is left out.
const CAUGHT: &[(&str, &str, &str)] = &[
    ("turn", "PUSH_CLAIM", "producers_2"),
    ("turn", "PUSH_PUBLISH", "empty"),
    ("turn", "PUSH_VOID", "abandon"),
    ("turn", "PUSH_FENCE", "crossed_full"),
    ("turn", "PUSH_POP_TICKET", "full"),
    ("turn", "PUSH_RECHECK", "reuse_2"),
    ("turn", "POP_CLAIM", "consumers_2"),
    ("turn", "POP_RECYCLE", "reuse_1"),
    ("turn", "POP_FENCE", "crossed_empty"),
    ("turn", "POP_PUSH_TICKET", "empty"),
    ("turn", "POP_RECHECK", "reuse_2"),
    ("turn", "SEAL_MARK", "seal_push"),
    ("spsc", "PUSH_FENCE", "crossed_full"),
    ("spsc", "PUSH_ENTER", "seal_push"),
    ("spsc", "PUSH_LEAVE", "seal_push"),
    ("spsc", "PUSH_PUBLISH", "empty"),
    ("spsc", "POP_FENCE", "crossed_empty"),
    ("spsc", "POP_RELEASE", "reuse_1"),
    ("spsc", "SEAL_MARK", "seal_push"),
    ("spsc", "SEAL_FENCE", "seal_fenced"),
    ("spsc", "SEAL_DONE", "seal_pop"),
    ("spsc", "FENCE_ASK", "seal_fenced"),
    ("wait_free", "DECIDE", "reuse_1"),
    ("wait_free", "TAKE_PART", "run_apart"),
    ("wait_free", "CLAIM", "helped_push"),
    ("wait_free", "RESOLVE_SLOT", "late_help"),
    ("wait_free", "CONFIRM", "withdraw_race"),
    ("wait_free", "COMPLETE", "announced_1"),
    ("wait_free", "BLOCK_FENCE", "crossed_empty"),
    ("wait_free", "BLOCK_LOOK", "crossed_empty"),
    ("wait_free", "ANNOUNCE_CELL", "announced_1"),
    ("wait_free", "ANNOUNCE_STATE", "announced_1"),
    ("wait_free", "ANNOUNCE", "recover_help"),
    ("wait_free", "SEAL_MARK", "seal_push"),
    ("wait_free", "JOIN", "join_2"),
    ("wait_free", "PLACE_WRITE", "join_2"),
    ("wait_free", "LEAVE", "reuse_1"),
    ("wait_free", "SIT_DOWN", "recover_look"),
    ("wait_free", "NOTE_WRITE", "recover_passed"),
    ("wait_free", "NOTE_BEGIN", "recover_passed"),
    ("wait_free", "NOTE_END", "recover_idle"),
    ("wait_free", "TAG_WRITE", "recover_tried"),
    ("wait_free", "RECOVER_WITHDRAW", "recover_help"),
    ("wait_free", "RECOVER_WRITE", "recover_two"),
    ("wait", "WAIT_CHECK", "wait_again"),
    ("wait", "WAIT_ANNOUNCE", "wait_both"),
    ("wait", "WAIT_LOOK", "wait_pop"),
    ("wait", "WAKE_LOOK", "wait_pop"),
    ("wait", "WAKE_CLEAR", "wait_both"),
];

/// Module, step, and why leaving it out changes nothing that can be seen here.
const SURVIVE: &[(&str, &str, &str)] = &[
    ("wait_free", "HINT_MOVE", HINTS),
    ("wait_free", "ROOM_MOVE", HINTS),
    (
        "wait_free",
        "ANNOUNCE_FENCE",
        "progress only: when others begin to help",
    ),
    (
        "wait_free",
        "WITHDRAW",
        "needs a help between its two halves: tests/model_shuttle/stopped.rs",
    ),
    (
        "wait_free",
        "RETIRE",
        "progress only: the entry says that there is nothing more to help with",
    ),
    ("wait_free", "RECOVER_ANNOUNCED", "progress only: as RETIRE"),
    (
        "wait_free",
        "SEAL_ASK",
        "progress only: the sealer marks the slot itself",
    ),
    (
        "wait_free",
        "SEAL_NOTE",
        "a note of what the slots say: who asks them hears the same",
    ),
];
const HINTS: &str = "an exchange that is not one moves the hint back at the most: a lower bound still; \
     that the hint of the pops must be beyond a slot that is used again needs a lap, longer than any client here";

/// Choices of an engine (`wait_free::CHOICES`), and the client that notices
/// when one is undone; or which test does, because no model is that large.
const CHOICES: &[(&str, Result<&str, &str>)] = &[
    ("OWN_RECORDS", Ok("helped_push")),
    (
        "SLOT_FIRST",
        Err("tests/cost/directed.rs: five operations of one participant beside a late helper"),
    ),
    (
        "DEAD_STAYS",
        Err("tests/cost/directed.rs: how many accesses a call makes beside many late helpers"),
    ),
    (
        "FIND_OUT",
        Err("tests/cost/killed.rs: recovery of the dead, in shared memory only"),
    ),
];

/// For a step that nobody misses these show that it is come by.
const SHOWN: &[&str] = &[
    "reuse_1",
    "gather",
    "hints",
    "run_apart",
    "helped_push",
    "announced_seal",
    "withdraw_race",
    "recover_help",
];

/// Engines that are wrong by hand, what is wrong, and the client that notices.
const BY_HAND: &[(&str, &str, &str)] = &[
    ("turn-early", "published before it is written", "reuse_1"),
    ("spsc-early", "published before it is written", "reuse_1"),
    (
        "turn-flag",
        "a push succeeds after closing: the mark is not where pushes decide",
        "seal_push",
    ),
    (
        "spsc-flag",
        "a push succeeds after closing: the mark is not where pushes decide",
        "seal_push",
    ),
    ("turn-toggle", "closing twice opens again", "seal_twice"),
    ("spsc-toggle", "closing twice opens again", "seal_twice"),
];

/// The clients for a change in this module, the expected one first.
fn order(engine: &str, waits: bool, first: Option<&'static str>) -> Vec<&'static str> {
    let mut names: Vec<_> = engine_clients(engine)
        .iter()
        .filter(|c| c.waits == waits)
        .map(|c| c.name)
        .collect();
    if let Some(first) = first {
        names.retain(|name| *name != first);
        names.insert(0, first);
    }
    names
}

fn jobs(module: Module) -> Vec<Job> {
    let rows = module.table();
    let waits = module.name == "wait";
    let engine = if waits { "turn" } else { module.name };
    let left_out = module.steps.iter().filter(|step| {
        let row = rows.iter().find(|row| row.step == step.name());
        module.can_be_left_out(row.unwrap_or_else(|| panic!("{} has no row", step.name())))
    });
    left_out
        .map(|step| {
            let expected = CAUGHT
                .iter()
                .find(|(m, s, _)| (*m, *s) == (module.name, step.name()));
            let survives = |(m, s, _): &&(&str, &str, &str)| (*m, *s) == (module.name, step.name());
            let clients = if engine == "wait_free" && SURVIVE.iter().any(|row| survives(&row)) {
                SHOWN.to_vec()
            } else {
                order(engine, waits, expected.map(|(_, _, client)| *client))
            };
            Job {
                engine,
                change: Change::LeaveOut(*step),
                clients,
            }
        })
        .collect()
}

fn report(module: &str, found: &Found, wrong: &mut Vec<String>) {
    let Change::LeaveOut(step) = found.job.change else {
        unreachable!()
    };
    let step = step.name();
    let expected = CAUGHT.iter().find(|(m, s, _)| (*m, *s) == (module, step));
    let reason = SURVIVE.iter().find(|(m, s, _)| (*m, *s) == (module, step));
    match &found.caught {
        Some((client, how)) => {
            println!(
                "{module:<5} without {step:<16} caught by {client}: {how} ({} executions)",
                found.executions
            );
            match expected {
                Some((_, _, named)) if named == client => {}
                Some((_, _, named)) => {
                    wrong.push(format!("{module} {step}: {client} notices, not {named}"))
                }
                None => wrong.push(format!(
                    "(\"{module}\", \"{step}\", \"{client}\"), // missing in CAUGHT"
                )),
            }
            if reason.is_some() {
                wrong.push(format!(
                    "{module} {step}: is caught, and listed as a survivor"
                ));
            }
        }
        None => {
            let why = reason.map_or("NO REASON", |(_, _, why)| why);
            println!(
                "{module:<5} without {step:<16} survives: {why} ({} executions, left out {} times)",
                found.executions, found.times
            );
            if reason.is_none() {
                wrong.push(format!(
                    "{module} {step}: survives, left out {} times in {} executions",
                    found.times, found.executions
                ));
            }
            if found.times == 0 {
                wrong.push(format!("{module} {step}: no client comes by"));
            }
        }
    }
}

#[test]
fn every_step_left_out_is_noticed() {
    let mut wrong = Vec::new();
    let mut all = Vec::new();
    for module in MODULES {
        all.extend(jobs(*module).into_iter().map(|job| (module.name, job)));
    }
    let found = cases::sweep(all.iter().map(|(_, job)| job.clone()).collect());
    for ((module, _), found) in all.iter().zip(&found) {
        report(module, found, &mut wrong);
    }
    let caught = found.iter().filter(|f| f.caught.is_some()).count();
    println!("{caught} of {} mutants caught", found.len());
    for (module, step, _) in CAUGHT.iter().chain(SURVIVE) {
        if !all.iter().any(|(m, job)| {
            m == module && matches!(job.change, Change::LeaveOut(s) if s.name() == *step)
        }) {
            wrong.push(format!(
                "{module} {step} is in a list, and is no step that can be left out"
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn engines_that_are_wrong_by_hand_are_noticed() {
    let jobs = BY_HAND
        .iter()
        .map(|(engine, _, client)| Job {
            engine,
            change: Change::Nothing,
            clients: vec![client],
        })
        .collect();
    let mut survived = Vec::new();
    for (found, (engine, what, client)) in cases::sweep(jobs).iter().zip(BY_HAND) {
        match &found.caught {
            Some((_, how)) => println!(
                "{engine}: {what}: caught by {client}: {how} ({} executions)",
                found.executions
            ),
            None => survived.push(format!("{engine}: {what}: {client} does not notice")),
        }
    }
    assert!(survived.is_empty(), "\n{}", survived.join("\n"));
}

#[test]
fn choices_that_are_undone_are_noticed() {
    use turtle_buffers::strategy::wait_free;

    let listed: Vec<_> = CHOICES.iter().map(|(name, _)| *name).collect();
    let known: Vec<_> = wait_free::CHOICES.iter().map(|step| step.name()).collect();
    assert!(known.iter().all(|name| listed.contains(name)), "{known:?}");
    let step = |name: &str| {
        let mut all = wait_free::CHOICES.iter();
        *all.find(|step| step.name() == name).expect("a choice")
    };
    let here = CHOICES.iter().filter_map(|(name, verdict)| match verdict {
        Ok(client) => Some((*name, *client)),
        Err(elsewhere) => {
            println!("{name} undone: {elsewhere}");
            None
        }
    });
    let here: Vec<_> = here.collect();
    let jobs = here.iter().map(|(name, client)| Job {
        engine: "wait_free",
        change: Change::LeaveOut(step(name)),
        clients: vec![client],
    });
    let mut wrong = Vec::new();
    for (found, (name, _)) in cases::sweep(jobs.collect()).iter().zip(&here) {
        match &found.caught {
            Some((client, how)) => println!(
                "{name} undone: caught by {client}: {how} ({} executions)",
                found.executions
            ),
            None => wrong.push(format!("{name} undone: {found:?}")),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Started again by the tests above with a case in the environment. By itself
/// it shows that the cases notice nothing where nothing is wrong.
#[test]
fn one_case() {
    cases::perform_if_asked();
    let case = |engine| cases::Case {
        engine,
        client: "reuse_1",
        change: Change::Nothing,
    };
    for engine in ["turn", "spsc"] {
        let verdict = cases::run(&case(engine));
        assert!(
            matches!(verdict, cases::Verdict::Survived { times: 0, .. }),
            "{engine}: {verdict:?}"
        );
    }
}
