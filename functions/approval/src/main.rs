//! Stage 3: the gate. One binary with two surfaces: what the state machine asks, and where people vote.
// The future of the Lambda runtime around the SDK nests deeper than the default limit.
#![recursion_limit = "256"]

use approval::Deps;
use approval::config::{Config, Surface};
use blackstart_aws::harness::now;
use blackstart_aws::{clients, env, harness, telemetry};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::start();
    let config = Config::from_environment(&env::process)?;
    let deps = &Deps::of(&clients::own().await, &config);
    match config.surface {
        Surface::Stage => {
            Box::pin(harness::run(&deps.records, |task, now| {
                approval::handle(task, deps, now)
            }))
            .await
        }
        Surface::Gateway => {
            let serve = |event: LambdaEvent<Value>| async move {
                Ok::<_, Error>(approval::gateway::serve(event.payload, deps, now()).await)
            };
            lambda_runtime::run(service_fn(serve)).await
        }
    }
}
