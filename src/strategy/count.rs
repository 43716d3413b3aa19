//! A count for the statistics, of one process.
#![allow(clippy::disallowed_types)] // no algorithm rests on it, so it is no step

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The same count for all views of a ring.
#[derive(Clone, Debug, Default)]
pub(super) struct Count(Arc<AtomicU64>);

impl Count {
    #[cold]
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
