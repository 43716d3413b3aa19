//! Every engine: whether it runs here, what it promises, and those still to come.

use serde_json::{Value, json};
use turtle_buffers::Strategy;
use turtle_buffers::os::machine::Machine;
use turtle_buffers::strategy::{Arity, Traits};

use crate::table::{table, yes};

/// One engine, built in or planned.
#[derive(Debug)]
pub(super) struct Row {
    name: &'static str,
    number: u32,
    built: Option<Traits>,
    /// Whether it can run here, in private and in shared memory.
    private: bool,
    shared: bool,
    /// Why not, or what to know.
    reason: String,
}

/// Engines with a number and no code yet. One that has landed is found in `Strategy` and is left out
/// here.
const PLANNED: [(u32, &str, &str); 5] = [
    (
        2,
        "wait_free",
        "a ring that a stopped or killed thread cannot hold up",
    ),
    (
        3,
        "epoch",
        "an unbounded queue with epoch-based reclamation, private memory only",
    ),
    (
        4,
        "htm",
        "operations on several buffers at once, atomically",
    ),
    (
        5,
        "persistent",
        "a ring file that survives kill -9 and power cuts",
    ),
    (
        6,
        "lanes",
        "one lane per producer: order per producer only, more throughput",
    ),
];

/// What a planned engine will find on this machine.
fn outlook(name: &str, found: &Machine) -> &'static str {
    match name {
        "htm" if found.features.rtm_usable() => "; transactions can commit here",
        "htm" if found.features.rtm => "; transactions always abort here, so its fallback will run",
        "htm" => "; this processor has no transactions, so its fallback will run",
        "persistent" if found.features.clwb => "; the processor has CLWB",
        _ => "",
    }
}

pub(super) fn all(found: &Machine) -> Vec<Row> {
    let mut rows: Vec<_> = Strategy::ALL
        .iter()
        .map(|strategy| built(*strategy, found))
        .collect();
    for (number, name, what) in PLANNED {
        if Strategy::from_number(number).is_none() {
            let reason = format!("not in this version: {what}{}", outlook(name, found));
            rows.push(Row {
                name,
                number,
                built: None,
                private: false,
                shared: false,
                reason,
            });
        }
    }
    rows.sort_by_key(|row| row.number);
    rows
}

/// Whether an engine runs is found out by making one and moving an element through it.
fn built(strategy: Strategy, found: &Machine) -> Row {
    let traits = strategy.traits();
    let private = trial(strategy);
    let (shared, reason) = match (&private, traits.shared, found.shared_memory) {
        (Err(why), ..) => (false, why.clone()),
        (Ok(()), false, _) => (false, "private memory only".into()),
        (Ok(()), true, None) => (
            false,
            "private memory only: there is no /dev/shm here".into(),
        ),
        (Ok(()), true, Some((all, 0))) if all > 0 => {
            (false, "private memory only: /dev/shm is full".into())
        }
        (Ok(()), true, Some(_)) => (true, String::new()),
    };
    Row {
        name: traits.name,
        number: strategy as u32,
        built: Some(traits),
        private: private.is_ok(),
        shared,
        reason,
    }
}

fn trial(strategy: Strategy) -> Result<(), String> {
    let ring = turtle_buffers::RingBuffer::<u64>::builder()
        .strategy(strategy)
        .capacity(2)
        .build()
        .map_err(|error| error.to_string())?;
    let mut producer = ring.try_producer().map_err(|error| error.to_string())?;
    let mut consumer = ring.try_consumer().map_err(|error| error.to_string())?;
    producer.try_push(7).map_err(|error| error.to_string())?;
    match consumer.try_pop() {
        Ok(7) => Ok(()),
        other => Err(format!("it was given 7 and answered {other:?}")),
    }
}

fn count(arity: Arity) -> &'static str {
    match arity {
        Arity::One => "one",
        Arity::Many => "many",
    }
}

impl Row {
    pub(super) fn json(&self) -> Value {
        let of = |f: fn(&Traits) -> Value| self.built.as_ref().map_or(Value::Null, f);
        json!({
            "name": self.name,
            "number": self.number,
            "planned": self.built.is_none(),
            "runs": self.private,
            "runs_shared": self.shared,
            "reason": self.reason,
            "producers": of(|t| count(t.producers).into()),
            "consumers": of(|t| count(t.consumers).into()),
            "returns": of(|t| t.returns.into()),
            "stopped_thread": of(|t| t.stopped_thread.into()),
            "survives_kill": of(|t| t.survives_kill.into()),
            "shared": of(|t| t.shared.into()),
            "source": of(|t| t.source.into()),
        })
    }
}

pub(super) fn print(rows: &[Row]) {
    let mut table = table(&[
        "strategy",
        "runs here",
        "shared",
        "sides",
        "a stopped or killed thread",
    ]);
    for row in rows {
        let Some(traits) = &row.built else { continue };
        let mut here = yes(row.private).to_owned();
        if !row.reason.is_empty() {
            here = format!("{here}: {}", row.reason);
        }
        table.add_row([
            row.name,
            &here,
            yes(row.shared),
            &format!("{} : {}", count(traits.producers), count(traits.consumers)),
            traits.stopped_thread,
        ]);
    }
    println!("\nStrategies\n{table}");
    for row in rows.iter().filter(|row| row.built.is_none()) {
        println!("  {:<11} {}", row.name, row.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_is_listed_once_in_order() {
        let rows = all(&turtle_buffers::os::machine::machine());
        let numbers: Vec<_> = rows.iter().map(|row| row.number).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6]);
        for strategy in Strategy::ALL {
            let row = &rows[*strategy as usize];
            assert_eq!(row.name, strategy.name());
            assert!(row.built.is_some() && row.private, "{row:?}");
        }
        for row in rows.iter().filter(|row| row.built.is_none()) {
            assert!(row.reason.starts_with("not in this version: "), "{row:?}");
        }
    }
}
