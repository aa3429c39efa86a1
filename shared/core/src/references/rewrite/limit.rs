//! How large a document of each service may be, by that service's own counting rule.

use super::{DocumentKind, Refused};

/// Sizes of trust policies that an account's quota can allow.
const TRUST_QUOTAS: [usize; 3] = [2_048, 4_096, 8_192];

pub(super) fn check(kind: DocumentKind, before: &str, after: &str) -> Result<(), Refused> {
    let (size, unit, limit) = match kind {
        DocumentKind::RoleTrust => {
            // IAM does not count whitespace. The quota is per account; the document shows how far it was raised.
            let count = |text: &str| {
                text.chars()
                    .filter(|character| !character.is_whitespace())
                    .count()
            };
            let now = count(before);
            let quota = TRUST_QUOTAS.into_iter().find(|quota| now <= *quota);
            (
                count(after),
                "characters without whitespace",
                quota.unwrap_or(now),
            )
        }
        DocumentKind::BucketPolicy => (after.len(), "bytes", 20 * 1024),
        DocumentKind::QueuePolicy => (after.len(), "bytes", 8_192),
        DocumentKind::KeyPolicy => (after.len(), "bytes", 32_768),
        // `SetTopicAttributes` takes the policy with a limit of 30 KB.
        DocumentKind::TopicPolicy => (after.len(), "bytes", 30 * 1024),
        DocumentKind::SecretPolicy => (after.len(), "bytes", 20_480),
        DocumentKind::RepositoryPolicy => (after.len(), "bytes", 10_240),
        DocumentKind::BusPolicy => (after.len(), "bytes", 10 * 1024),
        // DynamoDB counts whitespace too.
        DocumentKind::TablePolicy => (after.len(), "bytes", 20 * 1024),
        // Neither AWS Backup nor the service behind these entries states a size.
        DocumentKind::VaultPolicy | DocumentKind::KeyGrants | DocumentKind::FunctionPermissions => {
            return Ok(());
        }
    };
    if size > limit {
        return Err(Refused::TooLarge { size, unit, limit });
    }
    if kind == DocumentKind::QueuePolicy {
        let statements = serde_json::from_str::<serde_json::Value>(after)
            .ok()
            .and_then(|policy| policy.get("Statement")?.as_array().map(Vec::len))
            .unwrap_or(1);
        if statements > 20 {
            return Err(Refused::TooLarge {
                size: statements,
                unit: "statements",
                limit: 20,
            });
        }
    }
    Ok(())
}
