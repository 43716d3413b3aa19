//! The C interface: `turtle.h` is generated from this crate.
//!
//! A function here checks its arguments, calls one method of the erased face
//! and translates the outcome. No panic leaves it. What the interface promises
//! is written at each function, because it is copied into the header.
//!
//! Names are those of the header, so that one search finds both.
#![allow(non_camel_case_types)]
// Each function names its caller's duties once, in the header's conventions.
#![allow(clippy::missing_safety_doc)]

mod boundary;
mod calls;
mod consumer;
mod history;
mod options;
mod producer;
mod ring;
mod session;
mod stats;
mod status;

pub use boundary::turtle_last_error;
pub use calls::TURTLE_FOREVER;
pub use consumer::*;
pub use history::*;
pub use options::*;
pub use producer::*;
pub use ring::*;
pub use session::*;
pub use stats::*;
pub use status::*;
