//! The Lambda function of stage 4, first half: infrastructure from code.
#![recursion_limit = "256"]

use blackstart_aws::artifacts::ArtifactStore;
use blackstart_aws::clients::{self, Accounts};
use blackstart_aws::ledger::Ledger;
use blackstart_aws::{env, harness, telemetry};
use rebuild::config::Config;
use rebuild::port::{AwsBuilders, AwsDocuments};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let config = Config::parse(&env::process)?;
    let aws = clients::own().await;
    let ledger = Ledger::new(&aws, config.ledger_table);
    let deps = rebuild::Deps {
        documents: AwsDocuments(ArtifactStore::new(&aws, config.artifact_bucket)),
        records: ledger.clone(),
        builders: AwsBuilders(Accounts::new(aws, config.external_id)),
    };
    harness::run(&ledger, |task, _now| rebuild::handle(task, &deps)).await
}
