//! The end state, checked from outside: by other means than the functions' own, and as another principal.

use std::collections::BTreeMap;

use aws_sdk_route53::types::RrType;

use crate::accounts::{REBUILD, RECOVERY};
use crate::organisation::plan::{NAME, NEW_ADDRESS, OLD_ADDRESS, RESTORED_BUCKET, RESTORED_TABLE};
use crate::organisation::siblings::{self, Sibling};
use crate::organisation::{Organisation, names_old, workload};
use crate::step::{Doing, StepFailed};
use crate::{LocalAws, leaks};

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
