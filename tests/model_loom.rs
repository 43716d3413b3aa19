//! Loom: every schedule of small clients, up to a bound on preemptions, under
//! a weak memory. The set of outcomes seen must be the set that is allowed.
//!
//! `RUSTFLAGS="--cfg turtle_loom" cargo test --release --test model_loom`
//!
//! Not shown here: more than three threads, load buffering, `SeqCst` accesses
//! (loom takes them for acquire and release), more preemptions than the bound.
#![cfg(turtle_loom)]

mod common;

use common::clients::{Client, HELPED, clients, traits};
use common::explore::explore;
use turtle_buffers::strategy::{Engine, Spsc, Turn, WaitFree};

fn every_client<E: Engine>() {
    these_clients::<E>(|_| true);
}

/// Whether it is of those that exist because of helping.
fn helped(client: &Client) -> bool {
    HELPED
        .iter()
        .any(|(_, program)| program.name == client.name)
}

fn these_clients<E: Engine>(chosen: impl Fn(&Client) -> bool) {
    let engine = traits::<E>().name;
    let mut wrong = Vec::new();
    for client in clients::<E>().into_iter().filter(chosen) {
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
            wrong.push(format!(
                "{engine} {}: one execution is no search",
                client.name
            ));
        }
        for outcome in seen.outcomes.difference(&client.allowed) {
            wrong.push(format!("{engine} {}: not allowed: {outcome}", client.name));
        }
        for outcome in client.allowed.difference(&seen.outcomes) {
            if client.exact && !client.rare.contains(outcome) {
                wrong.push(format!("{engine} {}: never seen: {outcome}", client.name));
            }
        }
        for outcome in client.rare.intersection(&seen.outcomes) {
            wrong.push(format!(
                "{engine} {}: seen, and listed as never seen: {outcome}",
                client.name
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn turn_has_exactly_the_outcomes_of_a_queue() {
    every_client::<Turn>();
}

#[test]
fn wait_free_has_exactly_the_outcomes_of_a_queue() {
    these_clients::<WaitFree>(|client| !helped(client));
}

/// With patience 0 too: then every call is announced.
#[test]
fn wait_free_has_them_too_when_calls_are_announced() {
    these_clients::<WaitFree>(helped);
}

#[test]
fn spsc_has_exactly_the_outcomes_of_a_queue() {
    every_client::<Spsc>();
}

/// The checker itself: what it must find, and what it must not invent.
mod the_door {
    use std::sync::Arc;

    use turtle_buffers::atomic::{Gate, Profile, Step, Tracker, Tuned, Word, fence};

    use super::common::explore::explore;
    use super::common::{outcomes, thread};

    const X: Step = Step::new("X");
    const Y: Step = Step::new("Y");

    /// Bare loom runs one execution here and sees one outcome: it forgets the
    /// load by one thread when the other loads and then stores.
    #[test]
    fn a_load_and_a_load_then_a_store_have_two_outcomes() {
        let seen = explore(3, || {
            let x = Arc::new(Word::new(0));
            let other = thread::spawn({
                let x = x.clone();
                move || x.load(Tuned::relaxed(X))
            });
            let _ = x.load(Tuned::relaxed(X));
            x.store(1, Tuned::relaxed(X));
            other.join().unwrap().to_string()
        });
        println!("{} executions", seen.executions);
        assert_eq!(seen.outcomes, outcomes(["0", "1"]));
    }

    fn store_buffering(fenced: bool) -> String {
        let words = Arc::new([Word::new(0), Word::new(0)]);
        let side = move |words: &[Word; 2], mine: usize| {
            words[mine].store(1, Tuned::relaxed(X));
            if fenced {
                fence(Tuned::seq_cst(Y));
            }
            words[1 - mine].load(Tuned::relaxed(Y))
        };
        let other = thread::spawn({
            let words = words.clone();
            move || side(&words, 1)
        });
        let mine = side(&words, 0);
        format!("{mine},{}", other.join().unwrap())
    }

    #[test]
    fn two_stores_and_two_loads_need_their_fences() {
        let seen = explore(3, || store_buffering(false));
        assert_eq!(seen.outcomes, outcomes(["0,0", "0,1", "1,0", "1,1"]));
        let seen = explore(3, || store_buffering(true));
        assert_eq!(seen.outcomes, outcomes(["0,1", "1,0", "1,1"]));
    }

    fn message(publish: turtle_buffers::atomic::Order) -> String {
        let shared = Arc::new((Word::new(0), Tracker::new()));
        let other = thread::spawn({
            let shared = shared.clone();
            move || {
                shared.1.writing(|| ());
                shared.0.store(1, publish);
            }
        });
        let told = shared.0.load(Tuned::acquire(Y)) == 1;
        if told {
            shared.1.reading(|| ());
        }
        other.join().unwrap();
        told.to_string()
    }

    #[test]
    fn a_released_message_is_received() {
        let seen = explore(3, || message(Tuned::release(X)));
        assert_eq!(seen.outcomes, outcomes(["false", "true"]));
    }

    #[test]
    #[should_panic(expected = "Causality violation")]
    fn a_relaxed_message_is_a_race() {
        explore(3, || message(Tuned::relaxed(X)));
    }

    /// What waiting rests on: of a thread that publishes and then looks who
    /// sleeps, and one that announces itself and then looks at what is
    /// published, one sees the other.
    #[test]
    fn the_asymmetric_barrier_orders_both_sides() {
        let pair = |both: bool| {
            let words = Arc::new([Word::new(0), Word::new(0)]);
            let other = thread::spawn({
                let words = words.clone();
                move || {
                    words[0].store(1, Tuned::relaxed(X));
                    turtle_buffers::atomic::light_barrier();
                    words[1].load(Tuned::relaxed(Y))
                }
            });
            words[1].store(1, Tuned::relaxed(Y));
            if both {
                assert!(Gate::heavy_barrier(false));
            }
            let mine = words[0].load(Tuned::relaxed(X));
            format!("{mine},{}", other.join().unwrap())
        };
        let seen = explore(3, move || pair(true));
        assert_eq!(seen.outcomes, outcomes(["0,1", "1,0", "1,1"]));
        let seen = explore(3, move || pair(false));
        assert!(
            seen.outcomes.contains("0,0"),
            "without its expensive side it orders nothing"
        );
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn a_gate_that_nobody_opens_is_a_deadlock() {
        explore(1, || {
            let gate = Gate::new();
            let seen = gate.sequence();
            gate.wait(seen, std::time::Duration::from_millis(1), false);
            "awake".into()
        });
    }
}
