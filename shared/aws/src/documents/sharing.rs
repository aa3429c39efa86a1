//! What is shared by a list of accounts: snapshots, machine images, and resource shares of RAM.

use blackstart_core::references::Form;
use serde_json::{Value, json};

use super::{Documents, Reading};
use crate::port::{Effect, PortError};
use crate::signed::{Endpoint, Operation, Protocol, elements};

const EC2: Endpoint = Endpoint {
    id: "EC2",
    host: "ec2",
    signing: "ec2",
};

/// Version of EC2's query protocol.
const EC2_VERSION: &str = "2016-11-15";

const SNAPSHOTS: Operation = Operation {
    endpoint: EC2,
    permission: "ec2:DescribeSnapshots",
    effect: Effect::Read,
    protocol: Protocol::Query,
};

const IMAGES: Operation = Operation {
    endpoint: EC2,
    permission: "ec2:DescribeImages",
    effect: Effect::Read,
    protocol: Protocol::Query,
};

const PRINCIPALS: Operation = Operation {
    endpoint: Endpoint {
        id: "RAM",
        host: "ram",
        signing: "ram",
    },
    permission: "ram:ListPrincipals",
    effect: Effect::Read,
    protocol: Protocol::Rest { method: "POST" },
};

/// Snapshots and images that the sought accounts may use. EC2 answers this in one question each: which of mine may
/// that account restore, or launch.
pub(super) async fn images(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let mut read = Vec::new();
    for account in &documents.sought {
        for (operation, action, by, id, kind, part) in [
            (
                &SNAPSHOTS,
                "DescribeSnapshots",
                "RestorableBy.1",
                "snapshotId",
                "AWS::EC2::Snapshot",
                "create-volume-permission",
            ),
            (
                &IMAGES,
                "DescribeImages",
                "ExecutableBy.1",
                "imageId",
                "AWS::EC2::Image",
                "launch-permission",
            ),
        ] {
            let noun = if part.starts_with("create") {
                "snapshot"
            } else {
                "image"
            };
            for found in shared(documents, operation, action, by, account, id).await? {
                let arn = format!(
                    "arn:{}:ec2:{}:{}:{noun}/{found}",
                    documents.partition, documents.region, documents.account
                );
                let text = json!([{ "UserId": account }]).to_string();
                read.push(documents.configuration(kind, &documents.region, &arn, part, Form::Config, text));
            }
        }
    }
    Ok(read)
}

async fn shared(
    documents: &Documents,
    operation: &Operation,
    action: &str,
    by: &str,
    account: &str,
    id: &str,
) -> Result<Vec<String>, PortError> {
    let what = format!(
        "asking what {} shares with {account} ({action})",
        documents.account
    );
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let mut form = vec![
            ("Action", action),
            ("Version", EC2_VERSION),
            ("Owner.1", "self"),
            (by, account),
            ("MaxResults", "1000"),
        ];
        if !token.is_empty() {
            form.push(("NextToken", token.as_str()));
        }
        let xml = documents.signed().query(operation, &what, &form).await?;
        found.extend(elements(&xml, id));
        let next = elements(&xml, "nextToken").pop().unwrap_or_default();
        if next.is_empty() || next == token {
            // An image's own snapshots are listed inside of it.
            found.sort_unstable();
            found.dedup();
            return Ok(found);
        }
        token = next;
    }
}

/// With whom the account shares by RAM, per share.
pub(super) async fn resource_shares(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let what = format!("listing with whom {} shares resources", documents.account);
    let mut read = Vec::new();
    let mut request = json!({"resourceOwner": "SELF"});
    loop {
        let answer = documents
            .signed()
            .json(&PRINCIPALS, &what, "/listprincipals", &request)
            .await?;
        for principal in answer
            .get("principals")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let member = |name: &str| principal.get(name).and_then(Value::as_str);
            if let (Some(id), Some(share)) = (member("id"), member("resourceShareArn")) {
                let text = json!({ "Principals": [id] }).to_string();
                let kind = "AWS::RAM::ResourceShare";
                read.push(documents.configuration(
                    kind,
                    &documents.region,
                    share,
                    "principals",
                    Form::Config,
                    text,
                ));
            }
        }
        let known = request.get("nextToken").cloned();
        match answer.get("nextToken") {
            Some(Value::String(next)) if !next.is_empty() && known != Some(next.clone().into()) => {
                request = json!({"resourceOwner": "SELF", "nextToken": next});
            }
            _ => return Ok(read),
        }
    }
}
