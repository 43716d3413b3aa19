//! turtle's engines beside other queues.
//!
//! Every figure is a ratio of two subjects measured in one process, run after run in turn: the
//! reference before, between and after (see [`runner`]). Stamps are taken inside the workers, the
//! workers are pinned and start together, and every run checks the sum of all items and the order
//! of each producer's items.
//!
//! What this does not show: how a queue scales beyond the cores of the machine at hand. Rows with
//! more threads than cores mostly show path length, layout and whether a waiting thread yields.

#[cfg(all(feature = "turtle", have_c_shim))]
pub mod cabi;
pub mod cpp;
#[cfg(all(feature = "turtle", have_c_shim, have_cpp_shim))]
pub mod hpp;
pub mod machine;
pub mod queue;
pub mod report;
pub mod runner;
pub mod scenario;
pub mod stats;
pub mod subjects;
#[cfg(feature = "turtle")]
pub mod turtle;
pub mod wake;
pub mod work;
