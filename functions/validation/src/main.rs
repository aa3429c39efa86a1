//! Stage 2 as a Lambda function.
#![recursion_limit = "256"]

use blackstart_aws::{artifacts::ArtifactStore, clients, env, harness, ledger::Ledger, telemetry};
use validation::config::Config;
use validation::deps::{Deps, Enter, Records};

// Several threads: objects are scanned side by side.
#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let config = Config::parse(&env::process)?;
    let own = clients::own().await;
    let ledger = Ledger::new(&own, config.ledger_table);
    let artifacts = ArtifactStore::new(&own, config.artifact_bucket);
    let accounts = clients::Accounts::new(own, config.external_id);
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
