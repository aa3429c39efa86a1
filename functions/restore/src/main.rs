//! The Lambda function of stage 4, second half: data from the approved recovery set.
#![recursion_limit = "256"]

use blackstart_aws::artifacts::ArtifactStore;
use blackstart_aws::clients::{self, Accounts};
use blackstart_aws::env::StageSettings;
use blackstart_aws::ledger::Ledger;
use blackstart_aws::{env, harness, telemetry};
use restore::port::{AwsRebuildAccount, AwsRun};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let settings = StageSettings::parse(&env::process)?;
    let aws = clients::own().await;
    let ledger = Ledger::new(&aws, settings.ledger_table);
    let deps = restore::Deps {
        run: AwsRun {
            artifacts: ArtifactStore::new(&aws, settings.artifact_bucket),
            ledger: ledger.clone(),
        },
        records: ledger.clone(),
        account: AwsRebuildAccount(Accounts::new(aws, settings.external_id)),
    };
    harness::run(&ledger, |task, now| restore::handle(task, &deps, now)).await
}
