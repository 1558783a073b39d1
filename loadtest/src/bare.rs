//! The peer: a Temporal client that starts workflows and does nothing else.

use std::time::Instant;

use anyhow::anyhow;
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions, WorkflowStartOptions};
use temporalio_common::UntypedWorkflow;
use temporalio_common::data_converters::RawValue;

/// A client of its own connection. Nobody takes what it starts.
pub(crate) struct Bare(Client);

impl Bare {
    pub(crate) async fn connect(address: &str) -> anyhow::Result<Self> {
        let target: url::Url = format!("http://{address}").parse()?;
        let connection = Connection::connect(ConnectionOptions::new(target).build()).await?;
        let client =
            Client::new(connection, ClientOptions::new("default").build()).map_err(|error| anyhow!("{error}"))?;
        Ok(Self(client))
    }

    /// Starts one workflow; returns how long the request took, in seconds.
    pub(crate) async fn start(&self, n: u32) -> anyhow::Result<f64> {
        let options = WorkflowStartOptions::new("bench-bare", format!("bare/{n}")).build();
        let began = Instant::now();
        self.0.start_workflow(UntypedWorkflow::new("Bare"), RawValue::empty(), options).await?;
        Ok(began.elapsed().as_secs_f64())
    }
}
