//! How large a document of each service may be, by that service's own counting rule.

use serde_json::Value;

use super::{DocumentKind, Refused};
use crate::references::encoding::decode;

/// Sizes of trust policies that an account's quota can allow.
const TRUST_QUOTAS: [usize; 3] = [2_048, 4_096, 8_192];

/// Refuses a document that its service would refuse for its size.
///
/// Sources: IAM user guide, *IAM and STS quotas* (whitespace is not counted; the quota of trust policies can be raised);
/// Amazon S3 user guide, *Bucket policies* (20 KB); Amazon SQS developer guide, *Quotas related to policies* (8,192
/// bytes); AWS KMS developer guide, *Resource quotas* (32 KB).
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
    };
    if size > limit {
        return Err(Refused::TooLarge { size, unit, limit });
    }
    if kind == DocumentKind::QueuePolicy {
        return queue(after);
    }
    Ok(())
}

/// Amazon SQS developer guide, *Quotas related to policies*: statements, principals and conditions of one policy.
fn queue(after: &str) -> Result<(), Refused> {
    let policy: Value = serde_json::from_str(&decode(after).text).unwrap_or_default();
    let statements = policy.get("Statement").map_or(&[][..], listed);
    let of = |name: &'static str| statements.iter().filter_map(move |statement| statement.get(name));
    let members = |value: &'_ Value| {
        value
            .as_object()
            .map_or(1, |members| members.values().map(|one| listed(one).len()).sum())
    };
    let principals: usize = of("Principal").chain(of("NotPrincipal")).map(members).sum();
    let conditions: usize = of("Condition")
        .filter_map(Value::as_object)
        .flat_map(|operators| operators.values())
        .map(|keys| keys.as_object().map_or(0, serde_json::Map::len))
        .sum();
    for (size, unit, limit) in [
        (statements.len(), "statements", 20),
        (principals, "principals", 50),
        (conditions, "conditions", 10),
    ] {
        if size > limit {
            return Err(Refused::TooLarge { size, unit, limit });
        }
    }
    Ok(())
}

fn listed(value: &Value) -> &[Value] {
    value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn size_of(kind: DocumentKind, before: &str, after: &str) -> Option<(usize, &'static str, usize)> {
        match check(kind, before, after) {
            Err(Refused::TooLarge { size, unit, limit }) => Some((size, unit, limit)),
            Ok(()) => None,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_trust_policy_is_counted_without_whitespace_and_against_the_quota_that_it_already_uses() {
        let text = |count: usize| format!("{} {}", "x".repeat(count), " \n".repeat(9_000));
        for (before, after, over) in [
            (10, 2_048, None),
            (10, 2_049, Some(2_048)),
            (2_049, 4_096, None),
            (2_049, 4_097, Some(4_096)),
            (5_000, 8_193, Some(8_192)),
            (9_000, 9_001, Some(9_000)),
        ] {
            let found = size_of(DocumentKind::RoleTrust, &text(before), &text(after));
            assert_eq!(found.map(|one| one.2), over, "{before} {after}");
        }
    }

    #[test]
    fn a_queue_policy_has_limits_for_statements_principals_and_conditions() {
        let statement = |principals: usize, keys: usize| {
            let conditions: serde_json::Map<String, Value> =
                (0..keys).map(|key| (format!("x:{key}"), json!("y"))).collect();
            let principals: Vec<String> = (0..principals).map(|one| one.to_string()).collect();
            json!({"Effect": "Allow", "Principal": {"AWS": principals}, "Condition": {"StringEquals": conditions}})
        };
        let of = |statements: Vec<Value>| {
            size_of(
                DocumentKind::QueuePolicy,
                "",
                &json!({"Statement": statements}).to_string(),
            )
        };
        assert_eq!(of(vec![statement(25, 5), statement(25, 5)]), None);
        assert_eq!(
            of(vec![statement(26, 0), statement(25, 0)]),
            Some((51, "principals", 50))
        );
        assert_eq!(
            of(vec![statement(1, 5), statement(1, 6)]),
            Some((11, "conditions", 10))
        );
        assert_eq!(of(vec![statement(1, 0); 21]), Some((21, "statements", 20)));
        assert_eq!(of(vec![json!({"Principal": "*"}); 20]), None);
    }

    #[test]
    fn other_policies_are_counted_in_bytes_with_whitespace() {
        for (kind, limit) in [
            (DocumentKind::BucketPolicy, 20 * 1024),
            (DocumentKind::QueuePolicy, 8_192),
            (DocumentKind::KeyPolicy, 32_768),
        ] {
            assert_eq!(size_of(kind, "", &" ".repeat(limit)), None);
            assert_eq!(
                size_of(kind, "", &" ".repeat(limit + 1)),
                Some((limit + 1, "bytes", limit))
            );
        }
    }
}
