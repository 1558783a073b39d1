//! What can be said on the command line.

pub(crate) mod dlq;
pub(crate) mod outbox;
pub(crate) mod runs;
pub(crate) mod tasks;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::output::Format;

/// Turns CloudEvents on NATS JetStream into durable work on Temporal.
#[derive(Debug, Parser)]
#[command(name = "spine", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where things are, for every command.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Global {
    /// The configuration file [default: spine.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE", env = "SPINE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The folder of a running `spine dev`, whose servers are used
    #[arg(long, global = true, value_name = "DIR", default_value = ".spine")]
    pub(crate) state: PathBuf,
    /// NATS servers, comma-separated
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) nats_url: Option<String>,
    /// Temporal's frontend
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub(crate) temporal_address: Option<String>,
    /// Temporal's namespace
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) temporal_namespace: Option<String>,
    /// Spine's PostgreSQL database
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// How data is printed
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub(crate) output: Format,
    /// How logs are printed, to stderr
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
}

/// How logs are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything on this machine: servers, and all services in one process
    Dev(Dev),
    /// Run the web-shop example on a throw-away stack and check every outcome
    Demo,
    /// Run the HTTP ingress
    Ingress,
    /// Run the router: JetStream to Temporal
    Router,
    /// Run the worker: activities on Temporal
    Worker,
    /// Run the relay: outbox to JetStream, registry to catalog
    Relay,
    /// Migrate the database, make streams and consumers, make schedules equal to the registry
    Provision,
    /// Make activities, event types and sources current
    Apply(Apply),
    /// Check files without any server; exit code 2 if one is wrong
    Check(Check),
    /// Show what `apply` would change; exit code 1 if there is something, 2 if that can't be told
    Diff(Diff),
    /// List activities, event types or sources
    Get(Get),
    /// Show one activity, event type or source with its document
    Show(Show),
    /// List the revisions of an activity, and who changed it when
    History(History),
    /// Make an older revision of an activity current again
    Rollback(Rollback),
    /// Let activities start runs
    Enable(Toggle),
    /// Stop activities from starting runs; those in flight go on
    Disable(Toggle),
    /// Delete activities, event types or sources; runs in flight go on
    Delete(Delete),
    /// Publish an event to JetStream
    Publish(Publish),
    /// Make keys that events are signed with
    #[command(subcommand)]
    Keys(Keys),
    /// Look at runs
    #[command(subcommand)]
    Runs(Runs),
    /// Do what waits for a person: list, claim, complete, fail, reassign
    #[command(subcommand)]
    Tasks(tasks::Tasks),
    /// Deal with dead letters: list, show, stats, redrive, edit, drop
    #[command(subcommand)]
    Dlq(dlq::Dlq),
    /// Deal with what could not be published: list, retry, drop
    #[command(subcommand)]
    Outbox(outbox::Outbox),
    /// Look at schedules, pause them, ask for ticks
    #[command(subcommand)]
    Schedules(Schedules),
    /// Show what became of an event: admission, matches and why, runs, tasks, emitted events
    Trace(Trace),
    /// Say why an event does what it does: which activities match and by which condition, and what they decide
    Explain(Explain),
    /// Run tests of activities (`*.test.yaml`), without any server
    Test(Test),
    /// Look at the configuration
    #[command(subcommand)]
    Config(Config),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Dev {
    /// Keep nothing: a throw-away state folder and free ports
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// Apply the web-shop example and run stand-ins for the shop's own services
    #[arg(long)]
    pub(crate) example: bool,
    /// Port of nats-server [default: 4222, or a free one]
    #[arg(long, value_name = "PORT")]
    pub(crate) nats_port: Option<u16>,
    /// Port of Temporal's frontend [default: 7233, or a free one]
    #[arg(long, value_name = "PORT")]
    pub(crate) temporal_port: Option<u16>,
    /// Port of PostgreSQL [default: 5432, or a free one]
    #[arg(long, value_name = "PORT")]
    pub(crate) postgres_port: Option<u16>,
    /// Port of the HTTP ingress [default: 8080, or a free one]
    #[arg(long, value_name = "PORT")]
    pub(crate) ingress_port: Option<u16>,
    /// Port of metrics and health [default: 9464, or a free one]
    #[arg(long, value_name = "PORT")]
    pub(crate) metrics_port: Option<u16>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Apply {
    /// Files or folders; folders are read to the bottom for .yaml, .yml and .json
    #[arg(short, long = "file", required = true, num_args = 1.., value_name = "PATH")]
    pub(crate) files: Vec<PathBuf>,
    /// Say what would change, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Delete every activity, event type and source that the files do not hold, after a question
    #[arg(long)]
    pub(crate) prune: bool,
    /// With --prune: ask nobody
    #[arg(long, requires = "prune")]
    pub(crate) yes: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Diff {
    /// Files or folders; folders are read to the bottom for .yaml, .yml and .json
    #[arg(short, long = "file", required = true, num_args = 1.., value_name = "PATH")]
    pub(crate) files: Vec<PathBuf>,
    /// Show as well what `apply --prune` would delete
    #[arg(long)]
    pub(crate) prune: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Show {
    /// The name of an activity, or a kind (`activity`, `event-type`, `source`) and a name
    #[arg(num_args = 1..=2, required = true, value_name = "NAME")]
    pub(crate) what: Vec<String>,
    /// This revision instead of the current one
    #[arg(long, value_name = "N")]
    pub(crate) revision: Option<u32>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct History {
    /// The activity
    pub(crate) name: String,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Rollback {
    /// The activity
    pub(crate) name: String,
    /// The revision [default: the one that was current before the present one]
    #[arg(long, value_name = "N")]
    pub(crate) to: Option<u32>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Toggle {
    /// The activities; all of them or none
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Delete {
    /// `activity`, `event-type` or `source`
    pub(crate) kind: String,
    /// What is deleted; all of them or none
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Ask nobody
    #[arg(long)]
    pub(crate) yes: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Check {
    /// Files or folders; folders are read to the bottom for .yaml, .yml and .json
    #[arg(required = true, value_name = "PATH")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Get {
    /// `activities`, `event-types` or `sources`
    #[arg(default_value = "activities", value_name = "KIND")]
    pub(crate) kind: String,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Publish {
    /// A CloudEvent in the JSON event format, `-` for stdin; other flags change what it says
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The event's type
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event_type: Option<String>,
    /// The event's source
    #[arg(long, value_name = "URI")]
    pub(crate) source: Option<String>,
    /// The event's id [default: a new one]
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// The event's subject
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// The event's data, as JSON
    #[arg(short, long, value_name = "JSON")]
    pub(crate) data: Option<String>,
    /// Sign the event with the private key in this file, as `keys generate` writes it
    #[arg(long, value_name = "KEYFILE")]
    pub(crate) sign: Option<PathBuf>,
    /// With --sign: the key's id in the source's document [default: the one that `keys generate` prints]
    #[arg(long, value_name = "ID", requires = "sign")]
    pub(crate) key_id: Option<String>,
    /// The NATS content mode
    #[arg(long, value_enum, default_value_t)]
    pub(crate) mode: Mode,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make a key, and print what stands for it under `keys` in a document of `kind: Source`
    Generate {
        /// The file that gets the private key; it must not be there yet
        file: PathBuf,
    },
}

/// The content mode of the CloudEvents NATS binding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// The whole event is the message's payload
    #[default]
    Structured,
    /// The data is the payload, the attributes are headers
    Binary,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Runs {
    /// List runs, the newest first
    List(runs::List),
    /// Show one run as a timeline: what happened when, from its event to its end
    Show(runs::Show),
    /// Wait until runs have ended; exit code 0 if all completed, 1 if one did not, 3 if the time was over
    Wait(runs::Wait),
    /// Cancel a run; what it did is undone first
    Cancel(runs::Cancel),
    /// Let a run that failed or was cancelled go on from what is done
    Retry(runs::Retry),
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Schedules {
    /// List schedules: next tick, last tick and what became of it, and what is not in Temporal as it should be
    List,
    /// Show one schedule: its policies, its next ticks, and what became of the last ones
    Show {
        /// The activity, or with several schedules `NAME/INDEX`
        name: String,
    },
    /// Pause a schedule; it stays so until it is resumed, whatever is applied
    Pause {
        /// The activity, or with several schedules `NAME/INDEX`
        name: String,
        /// Why, for those who wonder later
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Let a paused schedule tick again
    Resume {
        /// The activity, or with several schedules `NAME/INDEX`
        name: String,
    },
    /// Start one run now, paused or not
    Trigger {
        /// The activity, or with several schedules `NAME/INDEX`
        name: String,
    },
    /// Run the ticks of a time that is past, those that have run already not again
    Backfill {
        /// The activity, or with several schedules `NAME/INDEX`
        name: String,
        /// The first time, RFC 3339
        #[arg(long, value_name = "TIME")]
        from: String,
        /// The last time, RFC 3339 [default: now]
        #[arg(long, value_name = "TIME")]
        to: Option<String>,
    },
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Trace {
    /// The event's id
    pub(crate) event: String,
    /// The event's source, where several use the same id
    #[arg(long)]
    pub(crate) source: Option<String>,
    /// Wait until a decision is there and all its runs have ended, at most this many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30")]
    pub(crate) wait: Option<u64>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Explain {
    /// A file with an event (JSON event format, `-` for stdin) to say what would become of it, or the id of an
    /// event that was published to say what became of it
    #[arg(value_name = "EVENT_FILE|EVENT_ID")]
    pub(crate) event: String,
    /// Of an event file: decide by these files and folders instead of the registry
    #[arg(short, long = "file", num_args = 1.., value_name = "PATH")]
    pub(crate) files: Vec<PathBuf>,
    /// Of an event file: YAML or JSON that says what the outside world answers, `{config: …, context: …, tasks: …}`
    #[arg(long, value_name = "FILE")]
    pub(crate) given: Option<PathBuf>,
    /// Show every activity that does not match and every type that is near, not only the nearest
    #[arg(long)]
    pub(crate) all: bool,
    /// Of an event id: the event's source, where several use the same id
    #[arg(long)]
    pub(crate) source: Option<String>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Test {
    /// Files, or folders that are searched to the bottom for `*.test.yaml`
    #[arg(default_value = ".", value_name = "PATH")]
    pub(crate) files: Vec<PathBuf>,
    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) case: Option<String>,
    /// Write what came out into the golden files; read the difference before you keep it
    #[arg(long)]
    pub(crate) update: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Config {
    /// Print every setting, its value with secrets redacted, and where it comes from
    Show,
}
