//! `blackstart up`: the local AWS with Blackstart deployed, for people who want to look around in it.

use std::io::Write;

use blackstart_core::error_name::error_chain;
use blackstart_local::organisation::PEOPLE;
use blackstart_local::page::Page;
use blackstart_local::project::Project;
use clap::Args;

use crate::drill::Play;
use crate::drill::play::{DrillFailed, Stage, Trigger};

/// Starts the local AWS with the organisation and Blackstart in it, and keeps it until Ctrl-C.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// What the organisation has been through.
    #[arg(long, value_enum, default_value = "incident")]
    scenario: Play,
    /// Start a recovery at once, so that the page has something to show.
    #[arg(long)]
    start: bool,
}

impl Up {
    /// Starts it, prints how to reach it, and waits for Ctrl-C.
    ///
    /// # Errors
    /// [`DrillFailed`] when it does not start.
    pub(crate) async fn run(self, project: &Project, out: &mut dyn Write) -> Result<(), DrillFailed> {
        let io = |error: std::io::Error| DrillFailed::Call {
            doing: "writing",
            cause: error_chain(&error),
        };
        let stage = Stage::set(project, self.scenario.scenario(), &mut |text| {
            // A closed terminal ends the talking, not the start.
            let _closed = writeln!(out, "· {text}");
        })
        .await?;
        for (name, value) in stage.local.environment() {
            writeln!(out, "export {name}={value}").map_err(io)?;
        }
        for (name, value) in &stage.deployed.outputs {
            writeln!(out, "# {name}: {value}").map_err(io)?;
        }
        // Who only wants to look around can do without the page.
        let page = Page::open(&stage.local, &stage.deployed, &stage.ready.plan).await;
        match &page {
            Ok(page) => writeln!(
                out,
                "# Page of the gate: {}/runs/RUN, for {}",
                page.origin(),
                PEOPLE.join(" and ")
            ),
            Err(error) => writeln!(
                out,
                "# The page of the gate is not served: {}",
                error_chain(error)
            ),
        }
        .map_err(io)?;
        if self.start {
            let trigger = Trigger::Input(serde_json::json!({"workload": stage.ready.plan.workload}));
            let run = stage.start(&trigger).await?.run;
            writeln!(out, "# Run {run} comes to its gate in a minute").map_err(io)?;
        }
        writeln!(out, "# Ctrl-C ends it").map_err(io)?;
        tokio::signal::ctrl_c().await.map_err(io)?;
        stage.local.stop().await;
        Ok(())
    }
}
