//! The ledger: one DynamoDB table, every write conditional.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use blackstart_core::critical_path::RecordedStep;
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::evidence::operations::{Evident, failed, run_of};
use blackstart_core::ledger::Key;
use blackstart_core::task::Task;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::evidence::record_once;
use crate::harness::{Failure, Step, StepRecorder};
use crate::port::{Effect, PortError, classify};

/// The ledger table.
#[derive(Debug, Clone)]
pub struct Ledger {
    dynamodb: aws_sdk_dynamodb::Client,
    table: String,
}

/// A document with the version that a conditional write needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The document.
    pub document: T,
    /// Its version, from 1.
    pub version: u64,
}

/// A ledger item that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// DynamoDB did not answer as hoped.
    #[error(transparent)]
    Port(#[from] PortError),
    /// An item does not hold what its key promises.
    #[error("ledger item `{pk}` / `{sk}` is malformed")]
    Malformed {
        /// Partition key.
        pk: String,
        /// Sort key.
        sk: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A document has no JSON form.
    #[error("the document cannot be written")]
    NotJson(#[source] serde_json::Error),
}

impl StageError for LedgerError {
    fn name(&self) -> ErrorName {
        match self {
            Self::Port(error) => error.name(),
            Self::Malformed { .. } | Self::NotJson(_) => ErrorName::Defect,
        }
    }
}

impl Ledger {
    /// The ledger in this table.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, table: String) -> Self {
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(config),
            table,
        }
    }

    /// Writes a document if its key is free. `false`: another was there first, and is untouched.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn put_new<T: Serialize>(&self, key: &Key, document: &T) -> Result<bool, LedgerError> {
        let put = self
            .put(key, 1, document)?
            .condition_expression("attribute_not_exists(pk)");
        written(key, put.send().await)
    }

    /// Writes two documents if both keys are free. `false`: one was taken, or somebody was writing there at the same
    /// time, and nothing was written.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn put_new_both<A: Serialize, B: Serialize>(
        &self,
        first: (&Key, &A),
        second: (&Key, &B),
    ) -> Result<bool, LedgerError> {
        let what = name(first.0);
        let items = [
            self.new_item(first.0, first.1)?,
            self.new_item(second.0, second.1)?,
        ];
        let answer = self
            .dynamodb
            .transact_write_items()
            .set_transact_items(Some(items.to_vec()))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(service)) if lost_a_race(service.err()) => Ok(false),
            // A lost answer: a repeat either writes or finds its own documents.
            Err(error) => Err(classify(format!("writing {what}"), Effect::IdempotentWrite, &error).into()),
        }
    }

    /// Replaces a document if its version is still `expected`. `false`: it changed meanwhile, and is untouched.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn replace<T: Serialize>(
        &self,
        key: &Key,
        expected: u64,
        document: &T,
    ) -> Result<bool, LedgerError> {
        let put = self
            .put(key, expected.saturating_add(1), document)?
            .condition_expression("version = :expected")
            .expression_attribute_values(":expected", AttributeValue::N(expected.to_string()));
        written(key, put.send().await)
    }

    /// Removes a document if its version is still `expected`. `false`: it changed meanwhile or is gone.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn remove(&self, key: &Key, expected: u64) -> Result<bool, LedgerError> {
        let answer = self
            .dynamodb
            .delete_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(key.pk.clone()))
            .key("sk", AttributeValue::S(key.sk.clone()))
            .condition_expression("version = :expected")
            .expression_attribute_values(":expected", AttributeValue::N(expected.to_string()))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => {
                Ok(false)
            }
            Err(error) => {
                Err(classify(format!("removing {}", name(key)), Effect::IdempotentWrite, &error).into())
            }
        }
    }

    /// Reads a document, strongly consistent.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<Versioned<T>>, LedgerError> {
        let answer = self
            .dynamodb
            .get_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(key.pk.clone()))
            .key("sk", AttributeValue::S(key.sk.clone()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| classify(format!("reading {}", name(key)), Effect::Read, &error))?;
        answer
            .item
            .map(|item| read(&item).map(|(_, document)| document))
            .transpose()
    }

    /// Reads all documents of a partition whose sort key begins with `prefix`, in order of sort key, strongly
    /// consistent.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn query<T: DeserializeOwned>(
        &self,
        pk: &str,
        prefix: &str,
    ) -> Result<Vec<(Key, Versioned<T>)>, LedgerError> {
        let mut found = Vec::new();
        let mut pages = self
            .dynamodb
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
            .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                classify(
                    format!("reading ledger items `{pk}` / `{prefix}…`"),
                    Effect::Read,
                    &error,
                )
            })?;
            for item in page.items.unwrap_or_default() {
                found.push(read(&item)?);
            }
        }
        Ok(found)
    }

    /// Reads the document of a partition with the greatest sort key that begins with `prefix`, strongly consistent.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn last<T: DeserializeOwned>(
        &self,
        pk: &str,
        prefix: &str,
    ) -> Result<Option<Versioned<T>>, LedgerError> {
        let answer = self
            .dynamodb
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
            .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
            .scan_index_forward(false)
            .limit(1)
            .send()
            .await
            .map_err(|error| {
                let what = format!("reading the last ledger item `{pk}` / `{prefix}…`");
                classify(what, Effect::Read, &error)
            })?;
        answer
            .items()
            .first()
            .map(|item| read(item).map(|(_, document)| document))
            .transpose()
    }

    fn new_item<T: Serialize>(&self, key: &Key, document: &T) -> Result<TransactWriteItem, LedgerError> {
        let text = serde_json::to_string(document).map_err(LedgerError::NotJson)?;
        let put = Put::builder()
            .table_name(&self.table)
            .item("pk", AttributeValue::S(key.pk.clone()))
            .item("sk", AttributeValue::S(key.sk.clone()))
            .item("version", AttributeValue::N("1".to_owned()))
            .item("document", AttributeValue::S(text))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .map_err(|error| PortError::Refused {
                what: format!("writing {}", name(key)),
                why: error.to_string(),
            })?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn put<T: Serialize>(
        &self,
        key: &Key,
        version: u64,
        document: &T,
    ) -> Result<aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder, LedgerError> {
        let text = serde_json::to_string(document).map_err(LedgerError::NotJson)?;
        Ok(self
            .dynamodb
            .put_item()
            .table_name(&self.table)
            .item("pk", AttributeValue::S(key.pk.clone()))
            .item("sk", AttributeValue::S(key.sk.clone()))
            .item("version", AttributeValue::N(version.to_string()))
            .item("document", AttributeValue::S(text)))
    }
}

/// Whether a transaction failed because of a key that was taken or is being written, and of nothing else.
fn lost_a_race(error: &TransactWriteItemsError) -> bool {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else {
        return false;
    };
    let mut reasons = cancelled
        .cancellation_reasons()
        .iter()
        .filter_map(|reason| reason.code())
        .filter(|code| *code != "None")
        .peekable();
    reasons.peek().is_some()
        && reasons.all(|code| matches!(code, "ConditionalCheckFailed" | "TransactionConflict"))
}

fn name(key: &Key) -> String {
    format!("ledger item `{}` / `{}`", key.pk, key.sk)
}

fn written<T>(
    key: &Key,
    answer: Result<T, SdkError<PutItemError, aws_smithy_runtime_api::client::orchestrator::HttpResponse>>,
) -> Result<bool, LedgerError> {
    match answer {
        Ok(_) => Ok(true),
        Err(SdkError::ServiceError(service)) if service.err().is_conditional_check_failed_exception() => {
            Ok(false)
        }
        // A lost answer to a conditional put: a repeat either writes or finds its own document.
        Err(error) => Err(classify(format!("writing {}", name(key)), Effect::IdempotentWrite, &error).into()),
    }
}

fn read<T: DeserializeOwned>(
    item: &HashMap<String, AttributeValue>,
) -> Result<(Key, Versioned<T>), LedgerError> {
    let text = |attribute: &str| {
        item.get(attribute)
            .and_then(|value| value.as_s().ok())
            .map(String::as_str)
            .unwrap_or_default()
    };
    let key = Key {
        pk: text("pk").to_owned(),
        sk: text("sk").to_owned(),
    };
    let version = item
        .get("version")
        .and_then(|value| value.as_n().ok())
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    let document = serde_json::from_str(text("document")).map_err(|source| LedgerError::Malformed {
        pk: key.pk.clone(),
        sk: key.sk.clone(),
        source,
    })?;
    Ok((key, Versioned { document, version }))
}

impl<Operation: Evident + Sync> StepRecorder<Operation> for Ledger {
    async fn witness(&self, task: &Task<Operation>, answer: &Value, at: Timestamp) -> Result<(), Failure> {
        let Some(run) = run_of(task.run.as_ref(), answer) else {
            return Ok(());
        };
        for event in task.input.events(answer, at) {
            record_once(self, &run, event).await?;
        }
        Ok(())
    }

    async fn witness_failure(
        &self,
        task: &Task<Operation>,
        operation: &str,
        failure: &Failure,
        at: Timestamp,
    ) -> Result<(), Failure> {
        let Some(run) = &task.run else { return Ok(()) };
        let event = failed(&task.context, operation, failure.name, &failure.message, at);
        record_once(self, run, event).await?;
        Ok(())
    }

    async fn record(&self, step: Step<'_, Operation>) -> Result<(), PortError> {
        let Some(run) = &step.task.run else { return Ok(()) };
        let context = &step.task.context;
        let recorded = RecordedStep {
            state: context.state.clone(),
            operation: step.operation.to_owned(),
            execution: context.execution.clone(),
            entered: context.entered,
            began: step.began,
            ended: step.ended,
            outcome: step.outcome.to_owned(),
            retry_count: context.retry_count,
        };
        let key = Key::step(run, &context.state, &step.began.to_string());
        match self.put_new(&key, &recorded).await {
            Ok(_) => Ok(()),
            Err(LedgerError::Port(error)) => Err(error),
            Err(other) => Err(PortError::Refused {
                what: "recording the step".to_owned(),
                why: other.to_string(),
            }),
        }
    }
}
