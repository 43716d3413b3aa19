//! Loom: every schedule of small clients, up to a bound on preemptions, under
//! a weak memory. The set of outcomes seen must be the set that is allowed.
//!
//! `RUSTFLAGS="--cfg turtle_loom" cargo test --release --test model_loom`
//!
//! Not shown here: more than three threads, load buffering, `SeqCst` accesses
//! (loom takes them for acquire and release), more preemptions than the bound.
#![cfg(turtle_loom)]

mod common;

use common::clients::{clients, traits};
use common::explore::explore;
use turtle_buffers::strategy::{Engine, Spsc, Turn};

fn every_client<E: Engine>() {
    let engine = traits::<E>().name;
    let mut wrong = Vec::new();
    for client in clients::<E>() {
        let seen = explore(client.bound, client.body);
        println!(
            "{engine:<5} {:<15} bound {} {:>7} executions {:>6.2} s {:>3} outcomes  {}",
            client.name,
            client.bound,
            seen.executions,
            seen.time.as_secs_f64(),
            seen.outcomes.len(),
            client.hazard,
        );
        if seen.executions < 2 {
            wrong.push(format!("{engine} {}: one execution is no search", client.name));
        }
        for outcome in seen.outcomes.difference(&client.allowed) {
            wrong.push(format!("{engine} {}: not allowed: {outcome}", client.name));
        }
        for outcome in client.allowed.difference(&seen.outcomes) {
            if !client.rare.contains(outcome) {
                wrong.push(format!("{engine} {}: never seen: {outcome}", client.name));
            }
        }
        for outcome in client.rare.intersection(&seen.outcomes) {
            wrong.push(format!("{engine} {}: seen, and listed as never seen: {outcome}", client.name));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn turn_has_exactly_the_outcomes_of_a_queue() {
    every_client::<Turn>();
}

#[test]
fn spsc_has_exactly_the_outcomes_of_a_queue() {
    every_client::<Spsc>();
}
