//! The Lambda function of stage 4, last part: credentials are made new.
#![recursion_limit = "256"]

use blackstart_aws::artifacts::ArtifactStore;
use blackstart_aws::clients::{self, Accounts};
use blackstart_aws::ledger::Ledger;
use blackstart_aws::{env, harness, telemetry};
use rotation::config::Config;
use rotation::port::{AwsRebuildAccount, AwsRun};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let config = Config::parse(&env::process)?;
    let aws = clients::own().await;
    let ledger = Ledger::new(&aws, config.ledger_table);
    let deps = rotation::Deps {
        run: AwsRun {
            artifacts: ArtifactStore::new(&aws, config.artifact_bucket),
            ledger: ledger.clone(),
        },
        account: AwsRebuildAccount(Accounts::new(aws, config.external_id)),
    };
    harness::run(&ledger, |task, now| rotation::handle(task, &deps, now)).await
}
