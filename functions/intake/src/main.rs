//! `intake`: opens and closes runs, and hears the events that end a wait before its time.
// The future of the Lambda runtime around the SDK nests deeper than the default limit.
#![recursion_limit = "256"]

use blackstart_aws::artifacts::ArtifactStore;
use blackstart_aws::callbacks::StepFunctions;
use blackstart_aws::guardduty::Findings;
use blackstart_aws::harness::Failure;
use blackstart_aws::ledger::Ledger;
use blackstart_aws::tokens::KmsKey;
use blackstart_aws::trial_waits::TrialWaits;
use blackstart_aws::{clients, env, harness, telemetry};
use intake::config::Config;
use intake::{Deps, events, handle};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let config = Config::read(&env::process)?;
    let aws = clients::own().await;
    let ledger = Ledger::new(&aws, config.ledger_table);
    let waits = TrialWaits {
        records: ledger.clone(),
        cipher: KmsKey::new(&aws, config.trial_token_key),
        callbacks: StepFunctions::new(&aws),
    };
    let deps = Deps {
        artifacts: ArtifactStore::new(&aws, config.artifact_bucket),
        ledger,
        plan_bucket: config.plan_bucket,
        findings: config.detector.map(|detector| Findings::new(&aws, detector)),
    };
    let (deps, waits) = (&deps, &waits);
    let task = |task, now| handle(task, deps, now);
    let task = &task;
    lambda_runtime::run(service_fn(move |invocation: LambdaEvent<Value>| async move {
        let payload = invocation.payload;
        if events::is_event(&payload) {
            let heard = events::hear(&payload, waits, harness::now()).await;
            return heard.map_err(|error| Diagnostic::from(Failure::from(error)));
        }
        harness::invoke(payload, &deps.ledger, task)
            .await
            .map_err(Diagnostic::from)
    }))
    .await
}
