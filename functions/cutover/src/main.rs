//! Stage 5, second half: applies approved changes of references and moves traffic.
// The future of the Lambda runtime around the SDK nests deeper than the default limit.
#![recursion_limit = "256"]

use blackstart_aws::ledger::Ledger;
use blackstart_aws::{clients, env, harness, telemetry};
use cutover::aws::Aws;
use cutover::config::Config;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let config = Config::read(&env::process)?;
    let own = clients::own().await;
    let ledger = Ledger::new(&own, config.ledger_table.clone());
    let deps = cutover::production(Aws::new(&own, &config), ledger.clone(), &own, &config);
    harness::run(&ledger, |task, now| cutover::handle(task, &deps, now)).await
}
