//! The Lambda function of stage 4, first half: infrastructure from code.
#![recursion_limit = "256"]

use blackstart_aws::artifacts::ArtifactStore;
use blackstart_aws::clients::{self, Accounts};
use blackstart_aws::env::StageSettings;
use blackstart_aws::ledger::Ledger;
use blackstart_aws::{env, harness, telemetry};
use rebuild::port::{AwsBuilders, AwsDocuments};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let settings = StageSettings::parse(&env::process)?;
    let aws = clients::own().await;
    let ledger = Ledger::new(&aws, settings.ledger_table);
    let deps = rebuild::Deps {
        documents: AwsDocuments(ArtifactStore::new(&aws, settings.artifact_bucket)),
        records: ledger.clone(),
        builders: AwsBuilders(Accounts::new(aws, settings.external_id)),
    };
    harness::run(&ledger, |task, _now| rebuild::handle(task, &deps)).await
}
