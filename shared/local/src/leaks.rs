//! Looks for what must be nowhere, in everything that a drill wrote: task tokens, and the values of secrets.

use std::collections::BTreeSet;

use aws_sdk_sfn::types::HistoryEvent;

use crate::LocalAws;
use crate::accounts::{LOG_ARCHIVE, REBUILD, RECOVERY, SIBLINGS, VALIDATION};
use crate::deploy::Deployed;
use crate::outside::Check;
use crate::step::{Doing, StepFailed};

/// The queue that hears every notice.
const NOTICES: &str = "notices-as-they-were-sent";

/// Something that must be found nowhere.
struct Secret {
    what: &'static str,
    value: Vec<u8>,
}

/// Has every notice of the stack's topic kept, to be searched later.
///
/// # Errors
/// [`StepFailed`].
pub async fn keep_notices(local: &LocalAws, deployed: &Deployed) -> Result<(), StepFailed> {
    let step = "subscribing to the notices";
    let config = local.root_of(RECOVERY);
    // Without a policy of its own the queue takes nothing from a topic, and the search would find nothing in nothing.
    let topic = deployed.output("NotificationTopic")?;
    let policy = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": "*", "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }],
    });
    let queue = aws_sdk_sqs::Client::new(&config)
        .create_queue()
        .queue_name(NOTICES)
        .attributes(aws_sdk_sqs::types::QueueAttributeName::Policy, policy.to_string())
        .send()
        .await
        .doing(step)?;
    let url = queue
        .queue_url
        .ok_or_else(|| StepFailed::new(step, "the queue has no address"))?;
    let attribute = aws_sdk_sqs::types::QueueAttributeName::QueueArn;
    let attributes = aws_sdk_sqs::Client::new(&config)
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(attribute.clone())
        .send()
        .await
        .doing(step)?;
    let arn = attributes
        .attributes
        .and_then(|mut attributes| attributes.remove(&attribute))
        .ok_or_else(|| StepFailed::new(step, "the queue has no ARN"))?;
    aws_sdk_sns::Client::new(&config)
        .subscribe()
        .topic_arn(topic)
        .protocol("sqs")
        .endpoint(arn)
        .send()
        .await
        .doing(step)?;
    Ok(())
}

/// Searches everything.
///
/// # Errors
/// [`StepFailed`] when something cannot be read.
pub async fn check(local: &LocalAws) -> Result<Check, StepFailed> {
    let secrets = secrets(local).await?;
    let mut found = BTreeSet::new();
    let mut searched = 0_usize;
    let mut look = |place: &str, text: &[u8]| {
        searched += 1;
        for secret in &secrets {
            if contains(text, &secret.value) {
                found.insert(format!("{} in {place}", secret.what));
            }
        }
    };

    let log = std::fs::read(local.ministack().log()).doing("reading the emulator's log")?;
    look("the emulator's log", &log);
    for account in [RECOVERY, VALIDATION, REBUILD, LOG_ARCHIVE]
        .into_iter()
        .chain(SIBLINGS)
    {
        for (place, body) in objects(local, account).await? {
            look(&place, &body);
        }
        for (place, item) in items(local, account).await? {
            look(&place, item.as_bytes());
        }
    }
    for (group, message) in log_messages(local).await? {
        look(&format!("log group {group}"), message.as_bytes());
    }
    let notices = notices(local).await?;
    for notice in &notices {
        look("a notice", notice.as_bytes());
    }
    for (execution, text) in histories(local).await? {
        look(&format!("the history of {execution}"), text.as_bytes());
    }
    let count = |what| secrets.iter().filter(|secret| secret.what == what).count();
    let (tokens, pauses) = (count(TOKEN), count(PAUSE));
    // Everybody who is waited for is told.
    if tokens > 0 && notices.is_empty() {
        found.insert("no notice at all, although people were waited for".to_owned());
    }
    Ok(Check {
        what: "no task token and no secret stands in a log, an object, an item, a notice or a history"
            .to_owned(),
        holds: found.is_empty(),
        seen: format!(
            "{searched} texts ({} notices) searched for {} tokens and {} secrets; found: [{}]",
            notices.len(),
            tokens + pauses,
            secrets.len() - tokens - pauses,
            found.into_iter().collect::<Vec<_>>().join(", ")
        ),
    })
}

const TOKEN: &str = "a task token";
const PAUSE: &str = "the task token of a wait for jobs";

/// Every token that Step Functions issued, and every secret that was made.
async fn secrets(local: &LocalAws) -> Result<Vec<Secret>, StepFailed> {
    let tokens = local
        .ministack()
        .task_tokens()
        .doing("reading the record of task tokens")?;
    let mut secrets: Vec<Secret> = tokens
        .into_iter()
        .map(|(for_people, token)| Secret {
            what: if for_people { TOKEN } else { PAUSE },
            value: token.into_bytes(),
        })
        .collect();
    let manager = aws_sdk_secretsmanager::Client::new(&local.root_of(REBUILD));
    let listed = manager
        .list_secrets()
        .send()
        .await
        .doing("listing the rebuilt secrets")?;
    for name in listed
        .secret_list
        .unwrap_or_default()
        .into_iter()
        .filter_map(|secret| secret.name)
    {
        let value = manager
            .get_secret_value()
            .secret_id(&name)
            .send()
            .await
            .doing(format!("reading secret {name}"))?
            .secret_string;
        for value in value.into_iter().flat_map(parts) {
            secrets.push(Secret {
                what: "the value of a secret",
                value: value.into_bytes(),
            });
        }
    }
    Ok(secrets)
}

/// What is secret in a secret: itself, or where it is a JSON object, what stands in it. A value of a few letters would
/// be found by chance, and the id of an access key is none.
fn parts(value: String) -> Vec<String> {
    let parts = match serde_json::from_str::<serde_json::Value>(&value) {
        Ok(serde_json::Value::Object(object)) => object
            .into_iter()
            .filter(|(key, _)| key != "access_key_id" && key != "host")
            .filter_map(|(_, part)| part.as_str().map(str::to_owned))
            .collect(),
        Ok(_) | Err(_) => vec![value],
    };
    parts.into_iter().filter(|part| part.len() >= 12).collect()
}

/// Every object of an account, in every version.
async fn objects(local: &LocalAws, account: &str) -> Result<Vec<(String, Vec<u8>)>, StepFailed> {
    let s3 = aws_sdk_s3::Client::new(&local.root_of(account));
    let buckets = s3.list_buckets().send().await.doing("listing buckets")?.buckets;
    let mut found = Vec::new();
    for bucket in buckets
        .unwrap_or_default()
        .into_iter()
        .filter_map(|bucket| bucket.name)
    {
        // What the deployment tool uploaded are the functions themselves.
        if bucket.starts_with("aws-sam-cli-") {
            continue;
        }
        let versions = s3
            .list_object_versions()
            .bucket(&bucket)
            .send()
            .await
            .doing(format!("listing bucket {bucket}"))?;
        let more = versions.is_truncated == Some(true);
        if more {
            let step = format!("listing bucket {bucket}");
            return Err(StepFailed::new(step, "it holds more than one page of versions"));
        }
        for version in versions.versions.unwrap_or_default() {
            let Some(key) = version.key else { continue };
            let id = version.version_id.filter(|id| id != "null");
            let place = format!("s3://{bucket}/{key}");
            let object = s3
                .get_object()
                .bucket(&bucket)
                .key(&key)
                .set_version_id(id)
                .send()
                .await
                .doing(format!("reading {place}"))?;
            let body = object.body.collect().await.doing(format!("reading {place}"))?;
            found.push((place, body.to_vec()));
        }
    }
    Ok(found)
}

async fn items(local: &LocalAws, account: &str) -> Result<Vec<(String, String)>, StepFailed> {
    let dynamodb = aws_sdk_dynamodb::Client::new(&local.root_of(account));
    let tables = dynamodb
        .list_tables()
        .send()
        .await
        .doing("listing tables")?
        .table_names;
    let mut found = Vec::new();
    for table in tables.unwrap_or_default() {
        let items = dynamodb
            .scan()
            .table_name(&table)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .doing(format!("reading table {table}"))?;
        found.extend(
            items
                .into_iter()
                .map(|item| (format!("an item of table {table}"), format!("{item:?}"))),
        );
    }
    Ok(found)
}

/// What the functions have logged: the group and the message.
///
/// # Errors
/// [`StepFailed`].
pub async fn log_messages(local: &LocalAws) -> Result<Vec<(String, String)>, StepFailed> {
    let logs = aws_sdk_cloudwatchlogs::Client::new(&local.root_of(RECOVERY));
    let groups = logs
        .describe_log_groups()
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>()
        .await
        .doing("listing log groups")?;
    let mut messages = Vec::new();
    for group in groups.into_iter().filter_map(|group| group.log_group_name) {
        let events = logs
            .filter_log_events()
            .log_group_name(&group)
            .into_paginator()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .doing(format!("reading log group {group}"))?;
        let found = events
            .into_iter()
            .flat_map(|page| page.events.unwrap_or_default());
        messages.extend(found.filter_map(|event| Some((group.clone(), event.message?))));
    }
    Ok(messages)
}

async fn notices(local: &LocalAws) -> Result<Vec<String>, StepFailed> {
    let sqs = aws_sdk_sqs::Client::new(&local.root_of(RECOVERY));
    let listed = sqs
        .list_queues()
        .queue_name_prefix(NOTICES)
        .send()
        .await
        .doing("listing queues")?;
    let Some(queue) = listed.queue_urls.unwrap_or_default().into_iter().next() else {
        return Ok(Vec::new());
    };
    let mut read: Vec<aws_sdk_sqs::types::Message> = Vec::new();
    loop {
        let received = sqs
            .receive_message()
            .queue_url(&queue)
            .max_number_of_messages(10)
            .send()
            .await
            .doing("reading the notices")?;
        let messages = received.messages.unwrap_or_default();
        if messages.is_empty() {
            break;
        }
        read.extend(messages);
    }
    // Given back at once: a run that waits for an operator is searched while it waits, and again at its end.
    for receipt in read.iter().filter_map(|message| message.receipt_handle()) {
        sqs.change_message_visibility()
            .queue_url(&queue)
            .receipt_handle(receipt)
            .visibility_timeout(0)
            .send()
            .await
            .doing("giving the notices back")?;
    }
    Ok(read.into_iter().filter_map(|message| message.body).collect())
}

/// What the histories of all executions say, without the input of the very task that is given the token.
async fn histories(local: &LocalAws) -> Result<Vec<(String, String)>, StepFailed> {
    let sfn = aws_sdk_sfn::Client::new(&local.root_of(RECOVERY));
    let machines = sfn
        .list_state_machines()
        .send()
        .await
        .doing("listing state machines")?;
    let mut found = Vec::new();
    for machine in machines.state_machines {
        let executions = sfn
            .list_executions()
            .state_machine_arn(&machine.state_machine_arn)
            .send()
            .await
            .doing("listing executions")?;
        for execution in executions.executions {
            let events = sfn
                .get_execution_history()
                .execution_arn(&execution.execution_arn)
                .into_paginator()
                .items()
                .send()
                .collect::<Result<Vec<_>, _>>()
                .await
                .doing(format!("reading the history of {}", execution.name))?;
            found.extend(
                events
                    .iter()
                    .flat_map(texts)
                    .map(|text| (execution.name.clone(), text.to_owned())),
            );
        }
    }
    Ok(found)
}

/// The texts of an event. Its debug form is redacted by the SDK, so they are named one by one.
fn texts(event: &HistoryEvent) -> Vec<&str> {
    let started = event.execution_started_event_details();
    let succeeded = event.execution_succeeded_event_details();
    let failed = event.execution_failed_event_details();
    let entered = event.state_entered_event_details();
    let exited = event.state_exited_event_details();
    let done = event.task_succeeded_event_details();
    let submitted = event.task_submitted_event_details();
    let broken = event.task_failed_event_details();
    [
        started.and_then(|details| details.input()),
        succeeded.and_then(|details| details.output()),
        failed.and_then(|details| details.cause()),
        entered.and_then(|details| details.input()),
        exited.and_then(|details| details.output()),
        done.and_then(|details| details.output()),
        submitted.and_then(|details| details.output()),
        broken.and_then(|details| details.cause()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    !wanted.is_empty() && text.windows(wanted.len()).any(|window| window == wanted)
}
