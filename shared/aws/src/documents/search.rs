//! Access policies of OpenSearch (and Elasticsearch) domains.

use blackstart_core::references::Form;
use serde_json::Value;

use super::{Documents, Reading, Unread};
use crate::port::{Effect, PortError};
use crate::signed::{Endpoint, Operation, Protocol};

const SERVICE: Endpoint = Endpoint {
    id: "OpenSearch",
    host: "es",
    signing: "es",
};

const LIST: Operation = Operation {
    endpoint: SERVICE,
    permission: "es:ListDomainNames",
    effect: Effect::Read,
    protocol: Protocol::Rest { method: "GET" },
};

const DESCRIBE: Operation = Operation {
    endpoint: SERVICE,
    permission: "es:DescribeDomain",
    effect: Effect::Read,
    protocol: Protocol::Rest { method: "GET" },
};

pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let what = format!("listing the search domains of {}", documents.account);
    let answer = documents
        .signed()
        .json(&LIST, &what, "/2021-01-01/domain", &Value::Null)
        .await?;
    let names: Vec<String> = answer
        .get("DomainNames")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|domain| domain.get("DomainName")?.as_str().map(str::to_owned))
        .collect();
    Ok(documents
        .each(names, |name| async move {
            let what = format!("reading search domain `{name}`");
            let path = format!("/2021-01-01/opensearch/domain/{name}");
            let answer = match documents
                .signed()
                .json(&DESCRIBE, &what, &path, &Value::Null)
                .await
            {
                Ok(answer) => answer,
                Err(error) => return vec![Err(Unread { what, error })],
            };
            let member = |name: &str| {
                answer
                    .pointer(&format!("/DomainStatus/{name}"))
                    .and_then(Value::as_str)
            };
            let (Some(arn), Some(policy)) = (member("ARN"), member("AccessPolicies")) else {
                return Vec::new();
            };
            if policy.is_empty() {
                return Vec::new();
            }
            let (kind, text) = ("AWS::OpenSearch::Domain", policy.to_owned());
            vec![documents.configuration(kind, &documents.region, arn, "policy", Form::Policy(None), text)]
        })
        .await)
}
