//! Stage 5, first half, as a Lambda function.
// The futures of the SDK clients nest deeper than the default allows.
#![recursion_limit = "256"]

use blackstart_aws::analyzer::Analyzer;
use blackstart_aws::artifacts::ArtifactStore;
use blackstart_aws::env::StageSettings;
use blackstart_aws::ledger::Ledger;
use blackstart_aws::{clients, env, harness, telemetry};
use references::{AssumedRoles, Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let settings = StageSettings::parse(&env::process)?;
    let own = clients::own().await;
    let ledger = Ledger::new(&own, settings.ledger_table);
    let deps = Deps {
        checks: Analyzer::new(&own),
        artifacts: ArtifactStore::new(&own, settings.artifact_bucket),
        siblings: AssumedRoles(clients::Accounts::new(own, settings.external_id)),
    };
    harness::run(&ledger, |task, _now| handle(task, &deps)).await
}
