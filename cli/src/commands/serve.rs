//! `spine ingress|router|worker|relay`: one service in one process.

use crate::args::Global;
use crate::connect;
use crate::services::{self, Service};

pub(crate) async fn run(global: &Global, service: Service) -> anyhow::Result<()> {
    let config = connect::config(global)?;
    services::run(&config, service).await
}
