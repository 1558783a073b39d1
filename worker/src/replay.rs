//! Whether this worker's workflow code still takes the path that a history recorded.

use temporalio_client::WorkflowHistory;
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};

use crate::workflow::{ActivityInstance, RunActivity};

/// Why a history does not replay.
#[derive(Debug, thiserror::Error)]
#[error("the workflow code does not replay this history: {0}")]
pub struct ReplayError(String);

/// Replays one history with the workflow code of this build. Fails where the code would do something else
/// than what was recorded: a run with that history would be stuck after a deployment of this build.
pub async fn replay(history: WorkflowHistory) -> Result<(), ReplayError> {
    let failed = |error: &dyn std::fmt::Display| ReplayError(error.to_string());
    let options = WorkflowReplayerOptions::new()
        .register_workflow::<RunActivity>()
        .map_err(|error| failed(&error))?
        .register_workflow::<ActivityInstance>()
        .map_err(|error| failed(&error))?
        .build();
    let replayer = WorkflowReplayer::new(options).map_err(|error| failed(&error))?;
    replayer.replay_workflow(history).await.map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn recorded() -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("histories");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        files
            .iter()
            .map(|file| (file.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(file).unwrap()))
            .collect()
    }

    #[tokio::test]
    async fn recorded_histories_replay() {
        let recorded = recorded();
        assert!(recorded.len() >= 27, "{} histories are left", recorded.len());
        // Those that no other test misses.
        for kind in ["instance", "instance-cancelled", "instance-expired", "instance-handed-over"] {
            assert!(recorded.iter().any(|(name, _)| name == kind), "{kind} is not recorded");
        }
        for (name, bytes) in recorded {
            let history = WorkflowHistory::from_json(&bytes).unwrap();
            replay(history).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    /// The replay can fail at all: a history in which a task was started under another name.
    #[tokio::test]
    async fn another_path_is_noticed() {
        let (_, bytes) = recorded().into_iter().find(|(name, _)| name == "one-task").unwrap();
        let other = String::from_utf8(bytes).unwrap().replace("\"RunTask\"", "\"DoTask\"");
        let error = replay(WorkflowHistory::from_json(other.as_bytes()).unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("Task"), "{error}");
    }
}
