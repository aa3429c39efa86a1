//! Execution histories, without inputs and outputs: those can hold task tokens.

use aws_sdk_sfn::types;
use blackstart_core::history::{ExecutionHistory, HistoryEvent};
use jiff::Timestamp;

use crate::port::{Effect, PortError, classify};

/// Most events of one execution (quota of Standard workflows).
const MOST_EVENTS: usize = 25_000;
/// Events per page: the most that Step Functions gives.
const PAGE: i32 = 1_000;

/// Reads executions.
#[derive(Debug, Clone)]
pub struct Histories {
    client: aws_sdk_sfn::Client,
}

impl Histories {
    /// Step Functions of this account.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            client: aws_sdk_sfn::Client::new(config),
        }
    }

    /// The execution's status and all its events.
    ///
    /// # Errors
    /// [`PortError`]; Express executions have no history.
    pub async fn of(&self, execution: &str) -> Result<ExecutionHistory, PortError> {
        let what = || format!("reading the history of `{execution}`");
        let described = self
            .client
            .describe_execution()
            .execution_arn(execution)
            .included_data(types::IncludedData::MetadataOnly)
            .send()
            .await
            .map_err(|error| classify(what(), Effect::Read, &error))?;
        let mut pages = self
            .client
            .get_execution_history()
            .execution_arn(execution)
            .include_execution_data(false)
            .max_results(PAGE)
            .into_paginator()
            .send();
        let mut events = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| classify(what(), Effect::Read, &error))?;
            events.extend(page.events.iter().filter_map(event));
            if events.len() > MOST_EVENTS {
                break;
            }
        }
        Ok(ExecutionHistory {
            execution: execution.to_owned(),
            status: described.status.as_str().to_owned(),
            started: instant(&described.start_date).unwrap_or_default(),
            ended: described.stop_date.as_ref().and_then(instant),
            events,
        })
    }
}

fn instant(at: &aws_smithy_types::DateTime) -> Option<Timestamp> {
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}

fn event(event: &types::HistoryEvent) -> Option<HistoryEvent> {
    let entered = event.state_entered_event_details().map(|details| &details.name);
    let exited = event.state_exited_event_details().map(|details| &details.name);
    let error = event
        .task_failed_event_details()
        .and_then(|details| details.error())
        .or_else(|| {
            event
                .task_timed_out_event_details()
                .and_then(|details| details.error())
        })
        .or_else(|| {
            event
                .task_submit_failed_event_details()
                .and_then(|details| details.error())
        })
        .or_else(|| {
            event
                .task_start_failed_event_details()
                .and_then(|details| details.error())
        })
        .or_else(|| {
            event
                .execution_failed_event_details()
                .and_then(|details| details.error())
        });
    Some(HistoryEvent {
        id: event.id,
        previous: event.previous_event_id,
        at: instant(&event.timestamp)?,
        kind: event.r#type.as_str().to_owned(),
        state: entered.or(exited).cloned(),
        resource: event
            .task_scheduled_event_details()
            .map(|details| format!("{}:{}", details.resource_type, details.resource)),
        error: error.map(str::to_owned),
    })
}
