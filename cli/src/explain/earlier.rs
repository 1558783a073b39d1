//! Whether an event was decided before: one source and id are one event, whatever else is in it.

use serde::Serialize;
use spine_core::decision::Decision;
use spine_core::key::EventKey;
use spine_nats::decisions;
use spine_runtime::config::Config;

use crate::connect;

/// What is known of earlier messages with an event's source and id.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Earlier {
    /// Their decisions, the first first; none if it was not decided yet, or longer ago than the stream keeps.
    Decisions(Vec<Decision>),
    /// Nothing, for this reason.
    NotLookedFor(String),
}

impl Earlier {
    /// Asks the DECISIONS stream. That it can't be asked is an answer as well: the rules can be explained without.
    pub(crate) async fn look_for(config: &Config, key: &EventKey) -> Self {
        match decided(config, key).await {
            Ok(decisions) => Self::Decisions(decisions),
            Err(error) => Self::NotLookedFor(format!("{error:#}")),
        }
    }

    /// Whether this run was started then.
    pub(crate) fn started(&self, run: &str) -> bool {
        let Self::Decisions(decisions) = self else { return false };
        decisions.iter().flat_map(|decision| &decision.verdicts).any(|verdict| verdict.run.as_deref() == Some(run))
    }
}

async fn decided(config: &Config, key: &EventKey) -> anyhow::Result<Vec<Decision>> {
    let nats = connect::nats(config, "spine explain").await?;
    Ok(decisions::of_key(&async_nats::jetstream::new(nats), key).await?)
}
