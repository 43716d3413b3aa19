//! One bounded FIFO, many engines, every language.
//!
//! A service picks an engine with one word and swaps it with one word:
//! [`Strategy`] lists them and what each promises. The same ring is used from
//! Rust, C, C++ and Python, inside one process and between processes.
//!
//! ```
//! use turtle_buffers::{Ring, strategy::Turn};
//!
//! let ring = Ring::<u64, Turn>::new(1024)?;
//! let mut producer = ring.producer().unwrap();
//! let mut consumer = ring.consumer().unwrap();
//!
//! let worker = std::thread::spawn(move || consumer.iter().sum::<u64>());
//! for i in 1..=1000 {
//!     producer.push(i).unwrap(); // waits while the ring is full
//! }
//! ring.close(); // wakes the consumer; it drains what is left first
//! assert_eq!(worker.join().unwrap(), 500_500);
//! # Ok::<(), turtle_buffers::BuildError>(())
//! ```
//!
//! Every call follows one rule: `try_` never waits, the plain word may wait,
//! `_timeout` waits that long at most. `docs/architecture.md` is the map of
//! the code; `docs/guarantees.md` says what holds and what shows it.

// First, so that its message is the first.
mod platform;

pub mod asynchronous;
pub mod atomic;
mod batch;
pub mod check;
mod core;
pub mod erased;
pub mod error;
pub mod options;
pub mod os;
pub mod ring;
pub mod segment;
pub mod strategy;
pub mod wait;

pub use crate::batch::Batch;
pub use crate::core::Stats;
pub use error::{BuildError, PopError, PushError, TryPopError, TryPushError};
pub use options::{OpenMode, Options};
pub use ring::{Builder, Claim, Consumer, Peek, Plain, Producer, Recovered, Ring, RingBuffer};
pub use strategy::{Direction, Strategy};

/// The version of this library, `"0.1.0"`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
