//! What the other accounts say about the old one.

use aws_sdk_kms::Client as Kms;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

use super::partners::Partners;
use crate::LocalAws;
use crate::accounts::{OLD, REGION, SIBLINGS};
use crate::step::{Doing, StepFailed};

/// The documents of one sibling that name the old account, and one that does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sibling {
    /// The account.
    pub account: String,
    /// Role whose trust policy names the old account.
    pub role: String,
    /// Role that has nothing to do with it, and its trust policy.
    pub bystander: (String, String),
    /// Bucket whose policy names it.
    pub bucket: String,
    /// URL of the queue whose policy names it.
    pub queue: String,
    /// Id of the key whose policy, and one of whose grants, names it.
    pub key: String,
    /// What names it in further services.
    pub partners: Partners,
}

impl Sibling {
    /// Every place in which this sibling names the old account, as a writer addresses it: kind and ARN.
    #[must_use]
    pub fn places(&self) -> Vec<(&'static str, String)> {
        let account = &self.account;
        let regional = |service: &str, rest: &str| format!("arn:aws:{service}:{REGION}:{account}:{rest}");
        let key = regional("kms", &format!("key/{}", self.key));
        let mut places = vec![
            ("role_trust", format!("arn:aws:iam::{account}:role/{}", self.role)),
            ("bucket_policy", format!("arn:aws:s3:::{}", self.bucket)),
            ("queue_policy", regional("sqs", "order-events")),
            ("key_policy", key.clone()),
            ("key_grants", key),
        ];
        places.extend(self.partners.places(&regional));
        places
    }
}

/// A document as it stands in a sibling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What it is, for people: `trust policy of role partner-orders in 555555555555`.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Makes the documents of all siblings.
///
/// # Errors
/// [`StepFailed`] when the emulator refuses one.
pub async fn establish(local: &LocalAws) -> Result<Vec<Sibling>, StepFailed> {
    let mut siblings = Vec::new();
    for account in SIBLINGS {
        siblings.push(establish_in(local, account).await?);
    }
    Ok(siblings)
}

/// Makes the documents of one sibling.
///
/// # Errors
/// [`StepFailed`] when the emulator refuses one.
pub async fn establish_in(local: &LocalAws, account: &str) -> Result<Sibling, StepFailed> {
    let config = local.root_of(account);

    let iam = aws_sdk_iam::Client::new(&config);
    let role = "partner-orders".to_owned();
    let bystander = ("partner-billing".to_owned(), billing_trust(account).to_string());
    for (name, trust) in [
        (&role, orders_trust().to_string()),
        (&bystander.0, bystander.1.clone()),
    ] {
        iam.create_role()
            .role_name(name)
            .assume_role_policy_document(trust)
            .send()
            .await
            .doing(format!("making role {name} in {account}"))?;
    }

    let s3 = aws_sdk_s3::Client::new(&config);
    let bucket = format!("partner-inbox-{account}");
    s3.create_bucket()
        .bucket(&bucket)
        .send()
        .await
        .doing(format!("making bucket {bucket}"))?;
    s3.put_bucket_policy()
        .bucket(&bucket)
        .policy(bucket_policy(&bucket, account).to_string())
        .send()
        .await
        .doing(format!("writing the policy of bucket {bucket}"))?;

    let sqs = aws_sdk_sqs::Client::new(&config);
    let queue = sqs
        .create_queue()
        .queue_name("order-events")
        .attributes(
            QueueAttributeName::Policy,
            queue_policy(&format!("arn:aws:sqs:{REGION}:{account}:order-events")).to_string(),
        )
        .send()
        .await
        .doing(format!("making a queue in {account}"))?
        .queue_url
        .doing("reading the address of a queue")?;

    let key = Kms::new(&config)
        .create_key()
        .description("Letters from the order desk")
        .policy(key_policy(account).to_string())
        .send()
        .await
        .doing(format!("making a key in {account}"))?
        .key_metadata
        .doing("reading the id of a key")?
        .key_id;
    Ok(Sibling {
        partners: Partners::establish(local, account, &key).await?,
        account: account.to_owned(),
        role,
        bystander,
        bucket,
        queue,
        key,
    })
}

/// Reads the documents that named the old account, as they stand now.
///
/// # Errors
/// [`StepFailed`] when one cannot be read.
pub async fn documents(local: &LocalAws, sibling: &Sibling) -> Result<Vec<Document>, StepFailed> {
    let account = &sibling.account;
    let config = local.root_of(account);
    let bucket = aws_sdk_s3::Client::new(&config)
        .get_bucket_policy()
        .bucket(&sibling.bucket)
        .send()
        .await
        .doing(format!("reading the policy of bucket {}", sibling.bucket))?
        .policy
        .unwrap_or_default();
    let queue = aws_sdk_sqs::Client::new(&config)
        .get_queue_attributes()
        .queue_url(&sibling.queue)
        .attribute_names(QueueAttributeName::Policy)
        .send()
        .await
        .doing(format!("reading the policy of a queue in {account}"))?
        .attributes
        .and_then(|mut attributes| attributes.remove(&QueueAttributeName::Policy))
        .unwrap_or_default();
    let key = Kms::new(&config)
        .get_key_policy()
        .key_id(&sibling.key)
        .policy_name("default")
        .send()
        .await
        .doing(format!("reading the policy of a key in {account}"))?
        .policy
        .unwrap_or_default();
    let mut documents = vec![
        Document {
            name: format!("trust policy of role {} in {account}", sibling.role),
            text: trust_policy(local, account, &sibling.role).await?,
        },
        Document {
            name: format!("policy of bucket {} in {account}", sibling.bucket),
            text: bucket,
        },
        Document {
            name: format!("policy of queue order-events in {account}"),
            text: queue,
        },
        Document {
            name: format!("policy of key {} in {account}", sibling.key),
            text: key,
        },
    ];
    documents.extend(sibling.partners.documents(local, account, &sibling.key).await?);
    Ok(documents)
}

/// The trust policy of a role, as text.
///
/// # Errors
/// [`StepFailed`] when it cannot be read.
pub async fn trust_policy(local: &LocalAws, account: &str, role: &str) -> Result<String, StepFailed> {
    let document = aws_sdk_iam::Client::new(&local.root_of(account))
        .get_role()
        .role_name(role)
        .send()
        .await
        .doing(format!("reading role {role} in {account}"))?
        .role
        .and_then(|role| role.assume_role_policy_document)
        .unwrap_or_default();
    // IAM answers with the document URL-encoded.
    percent_encoding::percent_decode_str(&document)
        .decode_utf8()
        .map(|text| text.into_owned())
        .doing(format!("reading the trust policy of role {role} in {account}"))
}

fn orders_trust() -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "OrderDesk",
            "Effect": "Allow",
            "Principal": {"AWS": format!("arn:aws:iam::{OLD}:root")},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": "order-desk"}},
        }],
    })
}

fn billing_trust(account: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"AWS": format!("arn:aws:iam::{account}:root")},
            "Action": "sts:AssumeRole",
        }],
    })
}

fn bucket_policy(bucket: &str, account: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "OwnAccountReads",
                "Effect": "Allow",
                "Principal": {"AWS": format!("arn:aws:iam::{account}:root")},
                "Action": "s3:GetObject",
                "Resource": format!("arn:aws:s3:::{bucket}/*"),
            },
            {
                "Sid": "OrderDeskDelivers",
                "Effect": "Allow",
                "Principal": {"AWS": [format!("arn:aws:iam::{OLD}:root")]},
                "Action": ["s3:PutObject"],
                "Resource": format!("arn:aws:s3:::{bucket}/orders/*"),
                "Condition": {"StringEquals": {"aws:PrincipalAccount": OLD}},
            },
        ],
    })
}

fn queue_policy(queue: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "OrderEvents",
            "Effect": "Allow",
            "Principal": {"AWS": OLD},
            "Action": "sqs:SendMessage",
            "Resource": queue,
        }],
    })
}

fn key_policy(account: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "IamDecides",
                "Effect": "Allow",
                "Principal": {"AWS": format!("arn:aws:iam::{account}:root")},
                "Action": "kms:*",
                "Resource": "*",
            },
            {
                "Sid": "OrderDeskSeals",
                "Effect": "Allow",
                "Principal": {"AWS": format!("arn:aws:iam::{OLD}:root")},
                "Action": ["kms:Encrypt", "kms:GenerateDataKey"],
                "Resource": "*",
            },
        ],
    })
}
