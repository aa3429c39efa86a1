//! The Lambda function of stage 1.
// The handler nests futures of several SDK calls.
#![recursion_limit = "256"]

use blackstart_aws::{clients, env, harness, telemetry};
use timeline::{Aws, Config, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let config = Config::from_environment(&env::process)?;
    let deps = Aws::new(clients::own().await, config);
    harness::run(deps.ledger(), |task, now| handle(task, &deps, now)).await
}
