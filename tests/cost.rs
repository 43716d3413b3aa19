//! Costs: the shipped engines on simulated cores (`src/atomic/cost.rs`).
//!
//! `RUSTFLAGS="--cfg turtle_cost" cargo test --release --test cost`
//!
//! The model itself is held against cases whose answer is known (`cost/known.rs`);
//! what an item costs each engine is counted (`cost/items.rs`), and so are the
//! most accesses that a call makes when the schedule is against it
//! (`cost/bounds.rs`). Both end up in `docs/cost.md`, which is compared with
//! what was counted; `TURTLE_BLESS=1` writes it anew. Not shown here: time on
//! any real machine, and schedules that were not drawn.
#![cfg(turtle_cost)]

mod common;

#[path = "cost/bounds.rs"]
mod bounds;
#[path = "cost/directed.rs"]
mod directed;
#[path = "cost/items.rs"]
mod items;
#[path = "cost/killed.rs"]
mod killed;
#[path = "cost/known.rs"]
mod known;
#[cfg(turtle_mutate)]
#[path = "cost/left_out.rs"]
mod left_out;
#[path = "cost/page.rs"]
mod page;
