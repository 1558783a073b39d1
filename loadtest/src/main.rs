//! `spine-bench`: measures a running `spine dev` from outside, beside a bare Temporal client in the same
//! run, and prints a table of name, value, unit and ratio.
//!
//! Absolute times drift on a shared machine; believe the ratios.

mod bare;
mod report;
mod spine;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;

use report::{Report, Row};
use spine::Spine;

/// Measures Spine, and prints a table.
#[derive(Debug, Parser)]
struct Args {
    /// The spine binary
    #[arg(long)]
    spine: PathBuf,
    /// Where the same figures go as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// How many rounds; each takes a share of events and as many bare starts
    #[arg(long, default_value_t = 6)]
    rounds: u32,
    /// How many events and bare starts a round takes
    #[arg(long, default_value_t = 50)]
    share: u32,
}

/// What an idle `spine dev` process may have in memory, in MB.
const RSS_CEILING: f64 = 150.0;
/// How long `spine dev` may take until it is ready, in seconds.
const READY_CEILING: f64 = 10.0;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let folder = tempfile::tempdir().context("make a folder")?;
    let mut spine = Spine::start(&args.spine, folder.path()).await?;
    let rows = measure(&mut spine, &args).await;
    spine.stop().await?;
    let report = Report { rows: rows? };
    println!("{report}");
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// Both are measured in turns, so that what slows the machine slows both.
async fn measure(spine: &mut Spine, args: &Args) -> anyhow::Result<Vec<Row>> {
    let idle = spine.resident_megabytes()?;
    let bare = bare::Bare::connect(spine.temporal_address()).await?;
    let mut start_requests = Vec::new();
    let (mut completions, mut own) = (Vec::new(), spine.start_issue().await?);
    for round in 0..args.rounds {
        for n in 0..args.share {
            completions.push(spine.run_one(round * args.share + n).await?);
            start_requests.push(bare.start(round * args.share + n).await?);
        }
    }
    own = spine.start_issue().await?.since(own);
    let (request, run) = (median(&mut start_requests), median(&mut completions));
    Ok(vec![
        Row::new("spine dev: until ready", spine.ready_seconds(), "s").against("ceiling", READY_CEILING),
        Row::new("spine dev: resident memory, idle", idle, "MB").against("ceiling", RSS_CEILING),
        Row::new("bare Temporal: one start request, median", request * 1e6, "µs"),
        Row::new("router: delivery to start request issued, mean", own.mean_seconds() * 1e6, "µs")
            .against("bare start request", request * 1e6),
        Row::new("spine: published to run completed and told, median", run * 1e3, "ms")
            .against("bare start request", request * 1e3),
    ])
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
