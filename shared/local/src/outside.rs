//! The end state, checked from outside: by other means than the functions' own, and as another principal.

use std::collections::BTreeMap;

use aws_sdk_route53::types::RrType;
use blackstart_core::rebuild::request::RUN_TAG;

use crate::accounts::{REBUILD, RECOVERY};
use crate::organisation::plan::{MAILER, NAME, NEW_ADDRESS, OLD_ADDRESS, RESTORED_BUCKET, RESTORED_TABLE};
use crate::organisation::siblings::{self, Sibling};
use crate::organisation::{Organisation, names_old, workload};
use crate::step::{Doing, StepFailed};
use crate::{LocalAws, adopted, leaks};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What must hold.
    pub what: String,
    /// Whether it does.
    pub holds: bool,
    /// What was seen.
    pub seen: String,
}

impl Check {
    fn new(what: impl Into<String>, holds: bool, seen: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            holds,
            seen: seen.into(),
        }
    }
}

/// How the world must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The new account serves, and the old one is shut out.
    CutOver,
    /// Nothing past the gate happened: siblings and DNS are as they were, and nothing was restored.
    Untouched,
}

/// Looks at everything. What does not hold is in the result, not an error.
///
/// # Errors
/// [`StepFailed`] when something cannot be looked at.
pub async fn checks(
    local: &LocalAws,
    organisation: &Organisation,
    end: End,
) -> Result<Vec<Check>, StepFailed> {
    let mut checks = Vec::new();
    for sibling in &organisation.siblings {
        checks.extend(sibling_checks(local, sibling, end).await?);
    }
    checks.push(dns_check(local, organisation, end).await?);
    checks.extend(restored_checks(local, end).await?);
    if end == End::CutOver {
        checks.extend(adopted::checks(local).await?);
        checks.extend(rotated_checks(local).await?);
    }
    checks.push(leaks::check(local).await?);
    Ok(checks)
}

async fn sibling_checks(local: &LocalAws, sibling: &Sibling, end: End) -> Result<Vec<Check>, StepFailed> {
    let mut checks = Vec::new();
    for document in siblings::documents(local, sibling).await? {
        let (old, new) = (names_old(&document.text), document.text.contains(REBUILD));
        checks.push(match end {
            End::CutOver => Check::new(
                format!("{} trusts the new account and not the old one", document.name),
                new && !old,
                document.text,
            ),
            End::Untouched => Check::new(
                format!("{} is as it was", document.name),
                old && !new,
                document.text,
            ),
        });
    }
    let (role, before) = &sibling.bystander;
    let now = siblings::trust_policy(local, &sibling.account, role).await?;
    checks.push(Check::new(
        format!("trust policy of role {role} in {} is untouched", sibling.account),
        same_json(before, &now),
        now,
    ));
    Ok(checks)
}

fn same_json(a: &str, b: &str) -> bool {
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    parsed(a).is_some() && parsed(a) == parsed(b)
}

async fn dns_check(local: &LocalAws, organisation: &Organisation, end: End) -> Result<Check, StepFailed> {
    let answer = aws_sdk_route53::Client::new(&local.standin_root_of(RECOVERY))
        .test_dns_answer()
        .hosted_zone_id(&organisation.zone)
        .record_name(NAME)
        .record_type(RrType::A)
        .send()
        .await
        .doing("asking for the DNS answer")?
        .record_data;
    let wanted = match end {
        End::CutOver => NEW_ADDRESS,
        End::Untouched => OLD_ADDRESS,
    };
    Ok(Check::new(
        format!("DNS answers {wanted} for {NAME}"),
        answer == [wanted],
        answer.join(", "),
    ))
}

async fn restored_checks(local: &LocalAws, end: End) -> Result<Vec<Check>, StepFailed> {
    let config = local.root_of(REBUILD);
    let s3 = aws_sdk_s3::Client::new(&config);
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    if end == End::Untouched {
        let bucket = s3.head_bucket().bucket(RESTORED_BUCKET).send().await.is_ok();
        let table = dynamodb
            .describe_table()
            .table_name(RESTORED_TABLE)
            .send()
            .await
            .is_ok();
        return Ok(vec![Check::new(
            "nothing was restored into the rebuild account",
            !bucket && !table,
            format!("bucket exists: {bucket}, table exists: {table}"),
        )]);
    }
    let expected = workload::expected()?;
    let objects = objects(&s3, RESTORED_BUCKET).await?;
    let table = dynamodb
        .scan()
        .table_name(RESTORED_TABLE)
        .consistent_read(true)
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>()
        .await
        .doing("reading the restored table")?;
    let items: BTreeMap<_, BTreeMap<_, _>> = table
        .into_iter()
        .filter_map(|item| {
            let key = item.get(workload::KEY)?.as_s().ok()?.clone();
            Some((key, item.into_iter().collect()))
        })
        .collect();
    Ok(vec![
        Check::new(
            "restored objects equal the newest clean ones byte for byte",
            objects == expected.objects,
            format!("{} objects, {} expected", objects.len(), expected.objects.len()),
        ),
        Check::new(
            "restored items equal the newest clean ones",
            items == expected.items,
            format!("{} items, {} expected", items.len(), expected.items.len()),
        ),
    ])
}

/// Credentials, as consumers read them.
async fn rotated_checks(local: &LocalAws) -> Result<Vec<Check>, StepFailed> {
    let config = local.root_of(REBUILD);
    let secrets = aws_sdk_secretsmanager::Client::new(&config);
    let secret = async |name: &str| -> Result<serde_json::Value, StepFailed> {
        let found = secrets
            .get_secret_value()
            .secret_id(name)
            .send()
            .await
            .doing(format!("reading secret {name}"))?;
        serde_json::from_str(found.secret_string.as_deref().unwrap_or_default())
            .doing(format!("reading secret {name}"))
    };
    let carrier = secret("orders/carrier").await?;
    let login = |key: &str| {
        carrier
            .get(key)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    };
    let key = secret("orders/mailer-key").await?;
    let active: Vec<String> = aws_sdk_iam::Client::new(&config)
        .list_access_keys()
        .user_name(MAILER)
        .send()
        .await
        .doing("listing access keys")?
        .access_key_metadata
        .into_iter()
        .filter(|key| key.status != Some(aws_sdk_iam::types::StatusType::Inactive))
        .filter_map(|key| key.access_key_id)
        .collect();
    Ok(vec![
        Check::new(
            "of a login only the password is new",
            login("user") == "orders" && login("password").len() == 40,
            format!("a password of {} characters", login("password").len()),
        ),
        Check::new(
            "the one active access key is the one that consumers read",
            active.len() == 1
                && key.get("access_key_id").and_then(|id| id.as_str()) == active.first().map(String::as_str),
            active.join(", "),
        ),
    ])
}

async fn objects(s3: &aws_sdk_s3::Client, bucket: &str) -> Result<BTreeMap<String, Vec<u8>>, StepFailed> {
    let listed = s3
        .list_objects_v2()
        .bucket(bucket)
        .into_paginator()
        .send()
        .collect::<Result<Vec<_>, _>>()
        .await
        .doing(format!("listing bucket {bucket}"))?;
    let mut objects = BTreeMap::new();
    for key in listed
        .into_iter()
        .flat_map(|page| page.contents.unwrap_or_default())
        .filter_map(|object| object.key)
    {
        let object = s3
            .get_object()
            .bucket(bucket)
            .key(&key)
            .send()
            .await
            .doing(format!("reading {key} of bucket {bucket}"))?;
        let body = object
            .body
            .collect()
            .await
            .doing(format!("reading {key} of bucket {bucket}"))?;
        objects.insert(key, body.to_vec());
    }
    Ok(objects)
}

/// Everything of a workload that stands in the rebuild account; the account's own roles are not listed.
///
/// # Errors
/// [`StepFailed`] when something cannot be listed.
pub async fn rebuilt(local: &LocalAws) -> Result<Vec<String>, StepFailed> {
    let config = local.root_of(REBUILD);
    let stacks = aws_sdk_cloudformation::Client::new(&config)
        .describe_stacks()
        .send()
        .await
        .doing("listing stacks")?
        .stacks
        .unwrap_or_default()
        .into_iter()
        .filter(|stack| stack.tags().iter().any(|tag| tag.key() == Some(RUN_TAG)))
        .filter_map(|stack| Some(format!("stack {}", stack.stack_name?)));
    let buckets = aws_sdk_s3::Client::new(&config)
        .list_buckets()
        .send()
        .await
        .doing("listing buckets")?
        .buckets
        .unwrap_or_default()
        .into_iter()
        .filter_map(|bucket| Some(format!("bucket {}", bucket.name?)));
    let tables = aws_sdk_dynamodb::Client::new(&config)
        .list_tables()
        .send()
        .await
        .doing("listing tables")?
        .table_names
        .unwrap_or_default()
        .into_iter()
        .map(|table| format!("table {table}"));
    let queues = aws_sdk_sqs::Client::new(&config)
        .list_queues()
        .send()
        .await
        .doing("listing queues")?
        .queue_urls
        .unwrap_or_default()
        .into_iter()
        .map(|queue| format!("queue {queue}"));
    let secrets = aws_sdk_secretsmanager::Client::new(&config)
        .list_secrets()
        .send()
        .await
        .doing("listing secrets")?
        .secret_list
        .unwrap_or_default()
        .into_iter()
        .filter_map(|secret| Some(format!("secret {}", secret.name?)));
    let roles = aws_sdk_iam::Client::new(&config)
        .list_roles()
        .send()
        .await
        .doing("listing roles")?
        .roles
        .into_iter()
        .filter(|role| !role.role_name.starts_with("Blackstart"))
        .map(|role| format!("role {}", role.role_name));
    let users = aws_sdk_iam::Client::new(&config)
        .list_users()
        .send()
        .await
        .doing("listing users")?
        .users
        .into_iter()
        .map(|user| format!("user {}", user.user_name));
    Ok(stacks
        .chain(users)
        .chain(buckets)
        .chain(tables)
        .chain(queues)
        .chain(secrets)
        .chain(roles)
        .collect())
}
