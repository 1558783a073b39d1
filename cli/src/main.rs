//! `spine`: the composition root and the operator's tool.
//!
//! The only crate that knows all others. It parses, connects, and hands what it has to one library function.

mod args;
mod commands;
mod connect;
mod dev;
mod example;
mod explain;
mod failure;
mod inbox;
mod messages;
mod output;
mod schedules;
mod services;
mod trace;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match commands::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}
