//! `spine explain`: why an event does, or did, what it does.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spine_core::decision::Outcome;
use spine_core::rehearsal::{Given, GivenResult, NotGiven};

use crate::args::{Explain, Global};
use crate::commands::files;
use crate::explain::definitions::Definitions;
use crate::explain::earlier::Earlier;
use crate::explain::near::NearType;
use crate::explain::{self, people};
use crate::failure::invalid;
use crate::trace::{self, EventTrace};
use crate::{connect, output};

pub(crate) async fn run(global: &Global, options: &Explain) -> anyhow::Result<()> {
    match options.event.as_str() {
        "-" => predict(global, options, &read_stdin()?).await,
        file if Path::new(file).is_file() => {
            predict(global, options, &std::fs::read(file).with_context(|| format!("read {file}"))?).await
        }
        id => recorded(global, options, id).await,
    }
}

fn read_stdin() -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).context("read stdin")?;
    Ok(bytes)
}

/// What would become of this event, by files or by the registry as it is now.
async fn predict(global: &Global, options: &Explain, bytes: &[u8]) -> anyhow::Result<()> {
    let config = connect::config(global)?;
    let definitions = match options.files.as_slice() {
        [] => Definitions::of_registry(&connect::store(&config).await?).await?,
        files => Definitions::of(files::all(files)?)?,
    };
    let given = given(options.given.as_deref(), config.values.clone().into_iter().collect())?;
    let mut prediction = explain::predict(&definitions, bytes, &given);
    if options.files.is_empty()
        && let Some(event) = &prediction.event
    {
        let earlier = Earlier::look_for(&config, &event.key()).await;
        prediction.remember(earlier);
    }
    output::print(global.output, &prediction, |prediction| people::prediction(prediction, options.all))
}

/// What stands in a `--given` file: as `given` in a test of activities.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenFile {
    #[serde(default)]
    config: std::collections::BTreeMap<String, Value>,
    #[serde(default)]
    context: std::collections::BTreeMap<String, Value>,
    #[serde(default)]
    tasks: std::collections::BTreeMap<String, OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(GivenResult),
    Many(Vec<GivenResult>),
}

fn given(file: Option<&Path>, config: serde_json::Map<String, Value>) -> anyhow::Result<Given> {
    let read = match file {
        None => GivenFile::default(),
        Some(file) => {
            let text =
                std::fs::read_to_string(file).map_err(|error| invalid(format!("read {}: {error}", file.display())))?;
            serde_norway::from_str(&text).map_err(|error| invalid(format!("{}: {error}", file.display())))?
        }
    };
    let results = |one: OneOrMany| match one {
        OneOrMany::One(result) => vec![result],
        OneOrMany::Many(results) => results,
    };
    let config = config.into_iter().chain(read.config).collect();
    let tasks = read.tasks.into_iter().map(|(id, one)| (id, results(one))).collect();
    Ok(Given { config: Value::Object(config), context: read.context, tasks, not_given: NotGiven::Unknown })
}

/// What became of an event, and types that were probably meant.
#[derive(Serialize)]
struct Recorded {
    #[serde(flatten)]
    trace: EventTrace,
    near: Vec<NearType>,
}

async fn recorded(global: &Global, options: &Explain, id: &str) -> anyhow::Result<()> {
    if options.given.is_some() || !options.files.is_empty() {
        return Err(invalid(format!(
            "{id:?} is no file, so it is the id of an event that was published; --file and --given are for an event file"
        )));
    }
    let config = connect::config(global)?;
    let jetstream = async_nats::jetstream::new(connect::nats(&config, "spine explain").await?);
    let store = connect::store(&config).await?;
    let sources = trace::Sources { jetstream: &jetstream, store: &store, temporal: None };
    let traces = trace::event(&sources, options.source.as_deref(), id).await?;
    if traces.is_empty() {
        bail!(
            "{id:?} is no file, and nothing is known of an event with this id: it was never published, is not routed yet, or is older than the streams keep"
        );
    }
    let definitions = Definitions::of_registry(&store).await?;
    let near = |trace: &EventTrace| {
        let unmatched = trace.decisions.first().filter(|first| first.outcome == Outcome::Unmatched);
        unmatched.map(|first| definitions.near(&first.event_type, &first.verdicts)).unwrap_or_default()
    };
    let recorded: Vec<Recorded> = traces.into_iter().map(|trace| Recorded { near: near(&trace), trace }).collect();
    output::print(global.output, &recorded, |all| {
        all.iter().map(|one| people::recorded(&one.trace, &one.near, options.all)).collect::<Vec<_>>().join("\n\n")
    })
}
