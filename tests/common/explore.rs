//! Loom: runs a client in every schedule up to a bound and collects outcomes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Outcomes;

/// What a search has found.
#[derive(Debug)]
pub struct Seen {
    /// Every outcome.
    pub outcomes: Outcomes,
    /// Schedules that were run.
    pub executions: u64,
    /// How long it took.
    pub time: Duration,
}

// Of the search that is running, for a report when it ends in a panic.
static EXECUTIONS: Mutex<u64> = Mutex::new(0);

/// Schedules of the last search in this process.
pub fn executions() -> u64 {
    *EXECUTIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `body` in every schedule with up to `bound` preemptions.
///
/// Panics if one of them panics, deadlocks, has a race on a payload, or does
/// not end.
pub fn explore(bound: usize, body: impl Fn() -> String + Send + Sync + 'static) -> Seen {
    explore_until(bound, body, |_| ())
}

/// As [`explore`]; `look` is called for each outcome at once.
pub fn explore_until(
    bound: usize,
    body: impl Fn() -> String + Send + Sync + 'static,
    look: impl Fn(&str) + Send + Sync + 'static,
) -> Seen {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(bound);
    // Far more than any client needs: a call that does not end is reported.
    model.max_branches = 5_000;
    let found = Arc::new(Mutex::new((Outcomes::new(), 0)));
    let started = Instant::now();
    model.check({
        let found = found.clone();
        move || {
            let outcome = body();
            look(&outcome);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.0.insert(outcome);
            found.1 += 1;
            *EXECUTIONS.lock().unwrap_or_else(PoisonError::into_inner) = found.1;
        }
    });
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
    Seen {
        outcomes: std::mem::take(&mut found.0),
        executions: found.1,
        time: started.elapsed(),
    }
}
