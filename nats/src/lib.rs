//! Speaks JetStream: topology, wire format, publish, consume, catalog, dead letters.
//!
//! Invariants: nothing counts as published before JetStream's ack; every message that we publish has a
//! `Nats-Msg-Id`, so publishing again after a lost ack stores nothing twice; a delivery is settled by a
//! request that the server confirms; whatever waits for a server waits with a growing pause.

pub mod catalog;
mod connect;
pub mod consume;
pub mod dead_letters;
pub mod decisions;
pub mod given_up;
mod pause;
pub mod publish;
mod raw;
mod read;
pub mod tail;
pub mod topology;
pub mod unreadable;
mod violations;
pub mod wire;

pub use connect::{ConnectError, connect, connect_watched};
pub use read::ReadError;
pub use violations::{Violations, Watch};
