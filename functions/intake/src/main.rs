//! `intake`: opens and closes runs.
// The future of the Lambda runtime around the SDK nests deeper than the default limit.
#![recursion_limit = "256"]

use blackstart_aws::artifacts::ArtifactStore;
use blackstart_aws::guardduty::Findings;
use blackstart_aws::ledger::Ledger;
use blackstart_aws::{clients, env, harness, telemetry};
use intake::config::Config;
use intake::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let config = Config::read(&env::process)?;
    let aws = clients::own().await;
    let deps = Deps {
        artifacts: ArtifactStore::new(&aws, config.artifact_bucket),
        ledger: Ledger::new(&aws, config.ledger_table),
        plan_bucket: config.plan_bucket,
        findings: config.detector.map(|detector| Findings::new(&aws, detector)),
    };
    harness::run(&deps.ledger, |task, now| handle(task, &deps, now)).await
}
