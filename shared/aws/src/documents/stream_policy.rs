//! Resource policies of Kinesis streams. Those of their consumers are not read.

use blackstart_core::references::Form;
use serde_json::{Value, json};

use super::repository::pages;
use super::{Documents, Reading, Unread};
use crate::port::{Effect, PortError};
use crate::signed::{Endpoint, Operation, Protocol};

const SERVICE: Endpoint = Endpoint {
    id: "Kinesis",
    host: "kinesis",
    signing: "kinesis",
};

const LIST: Operation = Operation {
    endpoint: SERVICE,
    permission: "kinesis:ListStreams",
    effect: Effect::Read,
    protocol: Protocol::Json {
        version: "1.1",
        target: "Kinesis_20131202.ListStreams",
    },
};

const GET: Operation = Operation {
    endpoint: SERVICE,
    permission: "kinesis:GetResourcePolicy",
    effect: Effect::Read,
    protocol: Protocol::Json {
        version: "1.1",
        target: "Kinesis_20131202.GetResourcePolicy",
    },
};

pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let what = format!("listing the streams of {}", documents.account);
    let streams = pages(documents, &LIST, &what, "StreamSummaries", "NextToken", json!({})).await?;
    Ok(documents
        .each(streams, |stream| async move {
            let Some(arn) = stream.get("StreamARN").and_then(Value::as_str) else {
                return Vec::new();
            };
            let what = format!("reading the policy of `{arn}`");
            let request = json!({ "ResourceARN": arn });
            let policy = match documents.signed().json(&GET, &what, "/", &request).await {
                Ok(answer) => answer.get("Policy").and_then(Value::as_str).map(str::to_owned),
                Err(PortError::NotFound { .. }) => None,
                Err(error) => return vec![Err(Unread { what, error })],
            };
            let policy = policy.filter(|policy| !policy.is_empty() && policy != "{}");
            let kind = "AWS::Kinesis::Stream";
            policy
                .map(|text| {
                    documents.configuration(kind, &documents.region, arn, "policy", Form::Policy(None), text)
                })
                .into_iter()
                .collect()
        })
        .await)
}
