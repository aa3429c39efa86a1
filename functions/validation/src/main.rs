//! Stage 2 as a Lambda function.
#![recursion_limit = "256"]

use blackstart_aws::env::StageSettings;
use blackstart_aws::{artifacts::ArtifactStore, clients, env, harness, ledger::Ledger, telemetry};
use validation::deps::{Deps, Enter, Records};

// Several threads: objects are scanned side by side.
#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let settings = StageSettings::parse(&env::process)?;
    let own = clients::own().await;
    let ledger = Ledger::new(&own, settings.ledger_table);
    let artifacts = ArtifactStore::new(&own, settings.artifact_bucket);
    let accounts = clients::Accounts::new(own, settings.external_id);
    let recorder = ledger.clone();
    let deps = Deps {
        records: Records { ledger, artifacts },
        enter: Enter { accounts },
    };
    harness::run(&recorder, |task, now| {
        Box::pin(validation::handle(task, &deps, now))
    })
    .await
}
