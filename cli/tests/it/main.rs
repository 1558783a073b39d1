//! Spine as its users have it: the `spine` binary, real servers, one process a service.

#![expect(clippy::unwrap_used, reason = "what can't be had fails the test")]

mod arrows;
mod calls;
mod change;
mod chaos;
mod commands;
mod contexts;
mod dev;
mod dlq;
mod endpoint;
mod events;
mod explain;
mod faults;
mod heartbeats;
mod histories;
mod inbox;
mod instances;
mod outbox;
mod people;
mod registry;
mod runs;
mod schedules;
mod sources;
mod tasks;
mod tasks_http;
mod tasks_nats;
mod ticks;
mod undo;
mod waits;
mod world;
