//! Spine as its users have it: the `spine` binary, real servers, one process a service.

mod arrows;
mod commands;
mod dev;
mod events;
mod faults;
mod world;
