//! What can be said after `spine tasks`.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Tasks {
    /// List tasks that people do, the most urgent first; without --status those that wait for somebody
    List(List),
    /// Show one task: what is asked, its form, who has it
    Show {
        #[command(flatten)]
        named: Named,
    },
    /// Say that you do a task; nobody else can complete it then
    Claim {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        who: Who,
    },
    /// Complete a task with an answer that fits its form; exit code 2, and nothing changed, if it does not
    Complete {
        #[command(flatten)]
        named: Named,
        /// The answer as JSON, `@FILE` for one in a file, `@-` for stdin
        #[arg(short, long, value_name = "JSON|@FILE")]
        data: String,
        #[command(flatten)]
        who: Who,
    },
    /// Say that a task can't be done; its run fails then
    Fail {
        #[command(flatten)]
        named: Named,
        /// Why
        #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
        reason: String,
        #[command(flatten)]
        who: Who,
    },
    /// Ask others to do a task, whoever has claimed it
    Reassign {
        #[command(flatten)]
        named: Named,
        /// People and groups who are asked instead
        #[arg(long, required = true, num_args = 1.., value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
        to: Vec<String>,
        #[command(flatten)]
        who: Who,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct List {
    /// Only those that this person or group is asked, or that they have claimed
    #[arg(long, value_name = "NAME")]
    pub(crate) assignee: Option<String>,
    /// Only those that stand here
    #[arg(long, value_enum)]
    pub(crate) status: Option<Status>,
    /// Only of this activity
    #[arg(long)]
    pub(crate) activity: Option<String>,
    /// Only of this run
    #[arg(long)]
    pub(crate) run: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Status {
    /// Nobody has claimed it
    Open,
    /// Somebody does it
    Claimed,
    /// It has ended
    Closed,
    /// Any of these
    All,
}

/// Which task.
#[derive(Clone, Debug, Args)]
pub(crate) struct Named {
    /// The task's id as `list` prints it, or its first 4 digits or more, or RUN/TASK[/INDEX]
    pub(crate) task: String,
}

/// Who does something.
#[derive(Clone, Debug, Args)]
pub(crate) struct Who {
    /// Who you are [default: the login name]
    #[arg(long, value_name = "WHO", value_parser = NonEmptyStringValueParser::new())]
    by: Option<String>,
}

impl Who {
    /// The person's name.
    pub(crate) fn name(&self) -> String {
        self.by.clone().unwrap_or_else(crate::commands::apply::author)
    }
}
