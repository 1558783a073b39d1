//! The ingress as its clients see it: real HTTP, a real nats-server.

#![expect(clippy::unwrap_used, reason = "what can't be had fails the test")]

mod access;
mod batch;
mod broker;
mod docs;
mod events;
mod hooks;
mod hostile;
mod limits;
mod openapi;
#[expect(dead_code, reason = "shared with the tests of `nats`, which use all of it")]
#[path = "../../../nats/tests/it/server.rs"]
mod server;
mod support;
