//! One module a command; each is called once, from here.

pub(crate) mod apply;
mod check;
mod config;
mod demo;
mod diff;
mod dlq;
mod explain;
mod files;
mod get;
mod keys;
mod kind;
mod manage;
mod outbox;
pub(crate) mod provision;
mod publish;
mod runs;
mod schedules;
mod serve;
mod show;
mod tasks;
mod test;
mod trace;

use clap::CommandFactory as _;
use spine_runtime::telemetry;

use crate::args::{Args, Command, Global, LogFormat};
use crate::failure::invalid;
use crate::services::Service;

/// Runs the command to its end.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let Args { global, command } = args;
    match command {
        Command::Check(check) => check::run(global.output, &check),
        Command::Test(options) => test::run(global.output, &options),
        Command::Config(crate::args::Config::Show) => config::show(&global),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "spine", &mut std::io::stdout());
            Ok(())
        }
        Command::Version => {
            println!("spine {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        served => start(global, served),
    }
}

/// Commands that talk to servers.
fn start(global: Global, command: Command) -> anyhow::Result<()> {
    let service = matches!(command, Command::Ingress | Command::Router | Command::Worker | Command::Relay);
    let level = if service { tracing::Level::INFO } else { tracing::Level::WARN };
    let format = match global.log_format {
        LogFormat::Text => telemetry::LogFormat::Text,
        LogFormat::Json => telemetry::LogFormat::Json,
    };
    telemetry::init(format, level).map_err(|error| invalid(format!("{:#}", anyhow::Error::new(error))))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(dispatch(global, command))
}

async fn dispatch(global: Global, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Dev(options) => crate::dev::run(&global, &options).await,
        Command::Demo => demo::run(&global).await,
        Command::Ingress => serve::run(&global, Service::Ingress).await,
        Command::Router => serve::run(&global, Service::Router).await,
        Command::Worker => serve::run(&global, Service::Worker).await,
        Command::Relay => serve::run(&global, Service::Relay).await,
        Command::Provision => provision::run(&global).await,
        Command::Apply(options) => apply::run(&global, &options).await,
        Command::Diff(options) => diff::run(&global, &options).await,
        Command::Get(options) => get::run(&global, &options).await,
        Command::Show(options) => show::run(&global, &options).await,
        Command::History(options) => show::history(&global, &options).await,
        Command::Rollback(options) => manage::rollback(&global, &options).await,
        Command::Enable(options) => manage::toggle(&global, &options, true).await,
        Command::Disable(options) => manage::toggle(&global, &options, false).await,
        Command::Delete(options) => manage::delete(&global, &options).await,
        Command::Keys(command) => keys::run(&global, &command),
        Command::Publish(options) => publish::run(&global, &options).await,
        Command::Runs(options) => runs::run(&global, &options).await,
        Command::Tasks(options) => tasks::run(&global, &options).await,
        Command::Dlq(options) => dlq::run(&global, &options).await,
        Command::Outbox(options) => outbox::run(&global, &options).await,
        Command::Schedules(options) => schedules::run(&global, &options).await,
        Command::Trace(options) => trace::run(&global, &options).await,
        Command::Explain(options) => explain::run(&global, &options).await,
        Command::Check(_) | Command::Test(_) | Command::Config(_) | Command::Completions { .. } | Command::Version => {
            Ok(())
        }
    }
}
