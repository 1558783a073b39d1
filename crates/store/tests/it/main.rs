//! The store on a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "tests")]

mod inbox;
mod instances;
mod outbox;
mod people;
mod query;
mod registry;
mod runs;
mod summaries;
mod support;
mod ticks;
