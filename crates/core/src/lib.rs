//! Names the things and decides: event, activity, matching, admission, planning, expressions.
//!
//! Invariant: nothing in here does I/O, reads a clock, an environment variable or a random number,
//! or iterates an unordered map. What goes in decides what comes out, so the router, the worker, the
//! CLI and a replayed workflow all reach the same answer.

pub mod activity;
pub mod admission;
pub mod canonical;
pub mod catalog;
pub mod compatibility;
pub mod decision;
pub mod document;
pub mod event;
pub mod expression;
pub mod inbox;
pub mod key;
pub mod matching;
pub mod names;
pub mod notice;
pub mod pattern;
pub mod planning;
pub mod rehearsal;
pub mod run;
pub mod signature;
pub mod subject;
pub mod ticks;
pub mod words;
