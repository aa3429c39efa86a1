//! Stage 2 as a Lambda function.
#![recursion_limit = "256"]

use blackstart_aws::artifacts::ArtifactStore;
use blackstart_aws::callbacks::StepFunctions;
use blackstart_aws::ledger::Ledger;
use blackstart_aws::tokens::KmsKey;
use blackstart_aws::trial_waits::TrialWaits;
use blackstart_aws::{clients, env, harness, telemetry};
use validation::config::Config;
use validation::deps::{Deps, Enter, Records};

// Several threads: objects are scanned side by side.
#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let config = Config::read(&env::process)?;
    let own = clients::own().await;
    let ledger = Ledger::new(&own, config.ledger_table);
    let artifacts = ArtifactStore::new(&own, config.artifact_bucket);
    let waits = TrialWaits {
        records: ledger.clone(),
        cipher: KmsKey::new(&own, config.trial_token_key),
        callbacks: StepFunctions::new(&own),
    };
    let accounts = clients::Accounts::new(own, config.external_id);
    let recorder = ledger.clone();
    let deps = Deps {
        records: Records {
            ledger,
            artifacts,
            waits,
        },
        enter: Enter { accounts },
    };
    harness::run(&recorder, |task, now| {
        Box::pin(validation::handle(task, &deps, now))
    })
    .await
}
