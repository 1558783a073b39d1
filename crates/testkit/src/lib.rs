//! Boots real servers, for tests and for `spine dev`: one way, used by both.
//!
//! Invariant: no child outlives its parent, however the parent ends. The kernel ends a child when the thread
//! that spawned it does, so all are spawned from one thread that lives as long as the process.

pub mod error;
pub mod locate;
mod managed;
pub mod nats;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod shop;
pub mod stack;
pub mod temporal;
pub mod wait;
