//! `report`: writes what happened.
// The future of the Lambda runtime around the SDK nests deeper than the default limit.
#![recursion_limit = "256"]

use blackstart_aws::artifacts::ArtifactStore;
use blackstart_aws::histories::Histories;
use blackstart_aws::ledger::Ledger;
use blackstart_aws::signer::KmsSigner;
use blackstart_aws::{clients, env, harness, telemetry};
use report::config::Config;
use report::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let config = Config::read(&env::process)?;
    let aws = clients::own().await;
    let deps = Deps {
        artifacts: ArtifactStore::new(&aws, config.artifact_bucket),
        ledger: Ledger::new(&aws, config.ledger_table),
        histories: Histories::new(&aws),
        evidence: ArtifactStore::new(&aws, config.evidence_bucket),
        signer: KmsSigner::new(&aws, config.evidence_key),
    };
    // Boxed: the future holds every document of the run.
    harness::run(&deps.ledger, |task, now| Box::pin(handle(task, &deps, now))).await
}
