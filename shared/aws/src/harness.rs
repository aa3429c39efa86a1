//! The Lambda shell of every stage: payload in, one of the six error names out.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use blackstart_core::error_name::{ErrorName, StageError, error_chain};
use blackstart_core::task::Task;
use futures_util::FutureExt as _;
use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::Instrument as _;

/// The largest state that Step Functions passes on, in bytes (service quota).
const LARGEST_STATE_BYTES: usize = 262_144;

/// An error as the state machine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The error name.
    pub name: ErrorName,
    /// The whole chain of messages, once.
    pub message: String,
}

impl<E: StageError> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            name: error.name(),
            message: error_chain(&error),
        }
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self {
            error_type: failure.name.as_str().to_owned(),
            error_message: failure.message,
        }
    }
}

/// What one invocation did and how long it took, for the measured critical path.
#[derive(Debug, Clone, PartialEq)]
pub struct Step<'a, Operation> {
    /// The task as it was given.
    pub task: &'a Task<Operation>,
    /// The `operation` tag.
    pub operation: &'a str,
    /// When the handler began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// `ok`, or the error name.
    pub outcome: &'a str,
}

/// Where steps are recorded. The ledger, in production.
pub trait StepRecorder<Operation>: Sync {
    /// Records one step. A failure to record is logged and does not change the step's outcome.
    fn record(
        &self,
        step: Step<'_, Operation>,
    ) -> impl Future<Output = Result<(), crate::port::PortError>> + Send;

    /// Records in the chain of evidence what an answer means. Without its evidence no answer counts: the step then
    /// fails, and its repetition finds done what was done.
    fn witness(
        &self,
        _task: &Task<Operation>,
        _answer: &Value,
        _at: Timestamp,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        std::future::ready(Ok(()))
    }

    /// Records in the chain of evidence that a step failed. A failure to record it is logged.
    fn witness_failure(
        &self,
        _task: &Task<Operation>,
        _operation: &str,
        _failure: &Failure,
        _at: Timestamp,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        std::future::ready(Ok(()))
    }
}

/// Serves invocations until Lambda ends the process.
///
/// # Errors
/// Only if the Lambda runtime itself cannot go on.
pub async fn run<Operation, Output, E, Handler, Answer, Recorder>(
    recorder: &Recorder,
    handler: Handler,
) -> Result<(), lambda_runtime::Error>
where
    Operation: DeserializeOwned + Clone + Sync,
    Output: Serialize,
    E: StageError,
    Handler: Fn(Task<Operation>, Timestamp) -> Answer,
    Answer: Future<Output = Result<Output, E>>,
    Recorder: StepRecorder<Operation>,
{
    let handler = &handler;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        invoke(event.payload, recorder, handler)
            .await
            .map_err(Diagnostic::from)
    }))
    .await
}

/// One invocation, without the runtime: what [`run`] does and what tests call.
///
/// # Errors
/// [`Failure`] under one of the six names: a payload that does not match is `Recovery.InvalidInput`, a panic or an
/// answer too large for the state is `Recovery.Defect`.
pub async fn invoke<Operation, Output, E, Handler, Answer, Recorder>(
    payload: Value,
    recorder: &Recorder,
    handler: &Handler,
) -> Result<Value, Failure>
where
    Operation: DeserializeOwned + Clone,
    Output: Serialize,
    E: StageError,
    Handler: Fn(Task<Operation>, Timestamp) -> Answer,
    Answer: Future<Output = Result<Output, E>>,
    Recorder: StepRecorder<Operation>,
{
    let operation = payload
        .pointer("/input/operation")
        .and_then(Value::as_str)
        .unwrap_or("none")
        .to_owned();
    let task: Task<Operation> = serde_path_to_error::deserialize(&payload).map_err(|error| Failure {
        name: ErrorName::InvalidInput,
        message: format!(
            "the payload does not match at `{}`: {}",
            error.path(),
            error.inner()
        ),
    })?;
    let span = tracing::info_span!(
        "task",
        run = task.run.as_ref().map(tracing::field::display),
        execution = %task.context.execution,
        state = %task.context.state,
        retry_count = task.context.retry_count,
        redrive_count = task.context.redrive_count,
        operation = %operation,
    );
    async {
        let began = now();
        let answer = AssertUnwindSafe(async { Box::pin(handler(task.clone(), began)).await }).catch_unwind().await;
        let result = match answer {
            Ok(Ok(output)) => serialize(&output),
            Ok(Err(error)) => Err(Failure::from(error)),
            Err(panic) => Err(Failure { name: ErrorName::Defect, message: panic_text(panic.as_ref()) }),
        };
        let ended = now();
        let result = witnessed(result, recorder, &task, &operation, ended).await;
        let outcome = result.as_ref().map_or_else(|failure| failure.name.as_str(), |_| "ok");
        let duration_ms = ended.duration_since(began).as_millis();
        tracing::info!(outcome, duration_ms = i64::try_from(duration_ms).unwrap_or(i64::MAX), "task ended");
        if let Err(error) = recorder.record(Step { task: &task, operation: &operation, began, ended, outcome }).await {
            tracing::error!(error = %error_chain(&error), "the step was not recorded; the report will miss it");
        }
        result
    }
    .instrument(span)
    .await
}

/// The result, with its evidence in the chain.
async fn witnessed<Operation, Recorder: StepRecorder<Operation>>(
    result: Result<Value, Failure>,
    recorder: &Recorder,
    task: &Task<Operation>,
    operation: &str,
    at: Timestamp,
) -> Result<Value, Failure> {
    let failure = match result {
        Ok(answer) => match recorder.witness(task, &answer, at).await {
            Ok(()) => return Ok(answer),
            Err(unrecorded) => unrecorded,
        },
        Err(failure) => failure,
    };
    if let Err(unrecorded) = recorder.witness_failure(task, operation, &failure, at).await {
        tracing::error!(error = %unrecorded.message, "the failure is not in the chain of evidence");
    }
    Err(failure)
}

fn serialize<Output: Serialize>(output: &Output) -> Result<Value, Failure> {
    let defect = |message: String| Failure {
        name: ErrorName::Defect,
        message,
    };
    let value =
        serde_json::to_value(output).map_err(|error| defect(format!("the answer is no JSON: {error}")))?;
    let bytes = value.to_string().len();
    if bytes > LARGEST_STATE_BYTES {
        return Err(defect(format!(
            "the answer has {bytes} bytes; a state holds {LARGEST_STATE_BYTES}"
        )));
    }
    Ok(value)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    format!("panicked: {text}")
}

/// The wall clock: the shell reads it, the core is given it.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;

    use super::*;

    #[derive(Debug, Clone, serde::Deserialize)]
    #[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
    enum Operation {
        Work { role: String },
    }

    #[derive(Debug, thiserror::Error)]
    enum WorkError {
        #[error("could not update role `{role}`")]
        Iam {
            role: String,
            #[source]
            source: std::io::Error,
        },
    }
    impl StageError for WorkError {
        fn name(&self) -> ErrorName {
            ErrorName::Transient
        }
    }

    #[derive(Default)]
    struct Recorded(Mutex<Vec<String>>);
    impl StepRecorder<Operation> for Recorded {
        async fn record(&self, step: Step<'_, Operation>) -> Result<(), crate::port::PortError> {
            let entry = format!("{} {} {}", step.task.context.state, step.operation, step.outcome);
            self.0.lock().unwrap().push(entry);
            Ok(())
        }
    }

    fn payload(input: &Value) -> Value {
        json!({
            "context": {"execution": "arn:e", "started": "2026-11-22T12:00:00Z", "state": "Expand",
                        "entered": "2026-11-22T12:00:00Z"},
            "input": input,
        })
    }

    async fn work(task: Task<Operation>, _now: Timestamp) -> Result<Value, WorkError> {
        let Operation::Work { role } = task.input;
        match role.as_str() {
            "missing" => Err(WorkError::Iam {
                role,
                source: std::io::Error::other("throttled"),
            }),
            "broken" => panic!("an invariant of {role}"),
            "large" => Ok(json!("x".repeat(LARGEST_STATE_BYTES))),
            _ => Ok(json!({"role": role})),
        }
    }

    async fn outcome(input: Value) -> (Result<Value, Failure>, Vec<String>) {
        let recorded = Recorded::default();
        let result = invoke(payload(&input), &recorded, &work).await;
        (result, recorded.0.into_inner().unwrap())
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_answer_is_returned_and_recorded() {
        let (result, steps) = outcome(json!({"operation": "work", "role": "app"})).await;
        assert_eq!(result.unwrap(), json!({"role": "app"}));
        assert_eq!(steps, ["Expand work ok"]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_bad_payload_names_the_place() {
        for input in [
            json!({"operation": "work", "rolle": "x"}),
            json!({"operation": "play"}),
            json!(7),
        ] {
            let failure = outcome(input).await.0.unwrap_err();
            assert_eq!(failure.name, ErrorName::InvalidInput);
            assert!(failure.message.contains("input"), "{}", failure.message);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_stage_error_keeps_its_name_and_its_chain() {
        let (result, steps) = outcome(json!({"operation": "work", "role": "missing"})).await;
        let diagnostic = Diagnostic::from(result.unwrap_err());
        assert_eq!(diagnostic.error_type, "Recovery.Transient");
        assert_eq!(
            diagnostic.error_message,
            "could not update role `missing`: throttled"
        );
        assert_eq!(steps, ["Expand work Recovery.Transient"]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_panic_and_an_oversized_answer_are_defects() {
        let failure = outcome(json!({"operation": "work", "role": "broken"}))
            .await
            .0
            .unwrap_err();
        assert_eq!(
            (failure.name, failure.message.as_str()),
            (ErrorName::Defect, "panicked: an invariant of broken")
        );
        let failure = outcome(json!({"operation": "work", "role": "large"}))
            .await
            .0
            .unwrap_err();
        assert_eq!(failure.name, ErrorName::Defect);
    }
}
