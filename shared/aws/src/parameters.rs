//! Encrypted parameters (`SecureString`) of the Systems Manager Parameter Store.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use blackstart_core::rebuild::request::RUN_TAG;
use blackstart_core::rotation::SecretValue;
use blackstart_core::run::RunId;
use serde_json::{Value, json};

use crate::port::{Effect, PortError};
use crate::signed::{Endpoint, Operation, Protocol, Signed};

const SSM: Endpoint = Endpoint {
    id: "SSM",
    host: "ssm",
    signing: "ssm",
};

const HISTORY: Operation = Operation {
    endpoint: SSM,
    permission: "ssm:GetParameterHistory",
    effect: Effect::Read,
    protocol: Protocol::Json {
        version: "1.1",
        target: "AmazonSSM.GetParameterHistory",
    },
};

const PUT: Operation = Operation {
    endpoint: SSM,
    permission: "ssm:PutParameter",
    // A repeat writes another new value; only the newest is read.
    effect: Effect::IdempotentWrite,
    protocol: Protocol::Json {
        version: "1.1",
        target: "AmazonSSM.PutParameter",
    },
};

const LABEL: Operation = Operation {
    endpoint: SSM,
    permission: "ssm:LabelParameterVersion",
    effect: Effect::IdempotentWrite,
    protocol: Protocol::Json {
        version: "1.1",
        target: "AmazonSSM.LabelParameterVersion",
    },
};

const TAGS: Operation = Operation {
    endpoint: SSM,
    permission: "ssm:ListTagsForResource",
    effect: Effect::Read,
    protocol: Protocol::Json {
        version: "1.1",
        target: "AmazonSSM.ListTagsForResource",
    },
};

const DELETE: Operation = Operation {
    endpoint: SSM,
    permission: "ssm:DeleteParameter",
    effect: Effect::IdempotentWrite,
    protocol: Protocol::Json {
        version: "1.1",
        target: "AmazonSSM.DeleteParameter",
    },
};

/// Parameters of one account and region.
#[derive(Debug, Clone)]
pub struct Parameters {
    client: Signed,
}

impl Parameters {
    /// The Parameter Store under this configuration.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: Signed::new(config),
        }
    }

    /// The versions of a parameter with the labels of each, without any value. Empty: there is no such parameter.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn versions(&self, name: &str) -> Result<BTreeMap<i64, BTreeSet<String>>, PortError> {
        let what = format!("reading the versions of parameter `{name}`");
        let mut versions = BTreeMap::new();
        let mut next = Value::Null;
        loop {
            let mut body = json!({ "Name": name, "WithDecryption": false, "MaxResults": 50 });
            if let (Some(fields), false) = (body.as_object_mut(), next.is_null()) {
                fields.insert("NextToken".to_owned(), next);
            }
            let mut page = match self.client.json(&HISTORY, &what, "/", &body).await {
                Ok(page) => page,
                Err(PortError::NotFound { .. }) => return Ok(versions),
                Err(error) => return Err(error),
            };
            let parameters = page.get("Parameters").and_then(Value::as_array);
            for parameter in parameters.into_iter().flatten() {
                let Some(version) = parameter.get("Version").and_then(Value::as_i64) else {
                    continue;
                };
                let labels = parameter.get("Labels").and_then(Value::as_array);
                let labels = labels.into_iter().flatten().filter_map(Value::as_str);
                versions.insert(version, labels.map(str::to_owned).collect());
            }
            next = page.get_mut("NextToken").map_or(Value::Null, Value::take);
            if next.is_null() {
                return Ok(versions);
            }
        }
    }

    /// Writes a value as the newest version, as a `SecureString`, and returns the version's number. A parameter that is
    /// new gets the run's tag. `None`: it was made meanwhile, by an earlier attempt or by somebody else; look again.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn put(
        &self,
        name: &str,
        value: &SecretValue,
        new_for: Option<&RunId>,
    ) -> Result<Option<i64>, PortError> {
        let what = format!("storing a new value of parameter `{name}`");
        let mut body = json!({ "Name": name, "Value": value.expose(), "Type": "SecureString" });
        if let Some(fields) = body.as_object_mut() {
            // Tags are taken only where nothing is overwritten.
            match new_for {
                Some(run) => fields.insert("Tags".to_owned(), json!([{ "Key": RUN_TAG, "Value": run }])),
                None => fields.insert("Overwrite".to_owned(), Value::Bool(true)),
            };
        }
        match self.client.json(&PUT, &what, "/", &body).await {
            Ok(answer) => Ok(answer.get("Version").and_then(Value::as_i64)),
            Err(PortError::Refused { why, .. }) if why.contains("ParameterAlreadyExists") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The run whose tag the parameter carries. [`PortError::NotFound`]: there is no such parameter.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn run_of(&self, name: &str) -> Result<Option<String>, PortError> {
        let what = format!("reading the tags of parameter `{name}`");
        let body = json!({ "ResourceType": "Parameter", "ResourceId": name });
        let answer = self.client.json(&TAGS, &what, "/", &body).await?;
        let tags = answer.get("TagList").and_then(Value::as_array);
        Ok(tags
            .into_iter()
            .flatten()
            .find(|tag| tag.get("Key").and_then(Value::as_str) == Some(RUN_TAG))
            .and_then(|tag| tag.get("Value")?.as_str())
            .map(str::to_owned))
    }

    /// Deletes a parameter with all its versions; one that is gone already is no error.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn delete(&self, name: &str) -> Result<(), PortError> {
        let what = format!("deleting parameter `{name}`");
        match self
            .client
            .json(&DELETE, &what, "/", &json!({ "Name": name }))
            .await
        {
            Ok(_) | Err(PortError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives a version a label, taken from whichever version has it.
    ///
    /// # Errors
    /// [`PortError`]; a label that the service does not take is [`PortError::Refused`].
    pub async fn label(&self, name: &str, version: i64, label: &str) -> Result<(), PortError> {
        let what = format!("labelling version {version} of parameter `{name}`");
        let body = json!({ "Name": name, "ParameterVersion": version, "Labels": [label] });
        let answer = self.client.json(&LABEL, &what, "/", &body).await?;
        let invalid = answer.get("InvalidLabels").and_then(Value::as_array);
        if invalid.is_some_and(|labels| !labels.is_empty()) {
            return Err(PortError::Refused {
                what,
                why: format!("`{label}` is no label"),
            });
        }
        Ok(())
    }
}
