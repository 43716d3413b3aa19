//! The system-call room: everything that asks the kernel or the processor for something.
//!
//! | module | what it gives |
//! |---|---|
//! | [`barrier`] | the asymmetric barrier (`membarrier`): one side pays, the other is free |
//! | [`event`] | descriptors that can be polled: inside a process and between processes |
//! | [`fork`] | how many forks away this process is, and what a forked child gives up |
//! | [`futex`] | sleeping on a word and waking the sleepers |
//! | [`machine`] | facts about this machine, for `turtle doctor` |
//! | [`segment`] | shared memory by name or by descriptor, and who is alive in it |
//! | [`thread`] | thread token, pinning, processor time |
//!
//! Linux on x86-64 and aarch64 has all of it. Other Unix systems have private memory only: segments
//! answer [`SegmentError::Unsupported`](segment::SegmentError), the futex becomes bounded
//! yielding and the barrier says that it is not available. No other room of the crate needs a
//! `cfg` for this.

pub mod barrier;
pub mod event;
// Elsewhere nobody has locks to give up, and the table stays empty.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub mod fork;
pub mod futex;
pub mod machine;
#[cfg_attr(
    not(target_os = "linux"),
    path = "segment/unsupported.rs",
    allow(dead_code)
)]
pub mod segment;
pub mod thread;
