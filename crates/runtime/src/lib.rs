//! How our processes are configured, seen and stopped: config, secrets, telemetry, metrics, health, task tracking, shutdown.
//!
//! Invariants:
//! - Configuration is read once, checked whole and passed on as values; nothing here reads it again.
//! - A [`secret::Secret`] shows its text only through [`secret::Secret::expose`].
//! - Every metric name is a constant in [`metrics::names`], and every label set exists from the start.
//! - Every task has a name and an owner that joins it ([`tasks::Tasks`]); none is detached.
//!
//! This crate knows nothing of events, activities or any adapter.

pub mod backoff;
pub mod config;
pub mod health;
pub mod metrics;
pub mod secret;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
