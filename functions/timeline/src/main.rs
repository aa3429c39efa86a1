//! The Lambda function of stage 1.
// The handler nests futures of several SDK calls.
#![recursion_limit = "256"]

use blackstart_aws::env::StageSettings;
use blackstart_aws::{clients, env, harness, telemetry};
use timeline::{Aws, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let settings = StageSettings::parse(&env::process)?;
    let deps = Aws::new(clients::own().await, settings);
    harness::run(deps.ledger(), |task, now| handle(task, &deps, now)).await
}
