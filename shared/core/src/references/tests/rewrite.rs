//! How documents are rewritten, and what is refused.

use super::*;

/// The table of statement shapes: what an expansion must look like, or that there is none.
#[test]
fn expansion_takes_the_shortest_exact_form_of_every_shape() {
    let source = |operator: &str, value: &str| json!({operator: {"aws:SourceAccount": value}});
    enum Form {
        InList,
        Duplicate,
        Refused,
    }
    use Form::*;
    let allow = |principal: Value, condition: Value| json!({"Effect": "Allow", "Principal": principal, "Action": "sqs:*", "Condition": condition});
    let everybody = json!({"Effect": "Allow", "Principal": "*", "Action": "sqs:*"});
    for (name, statements, expected) in [
        (
            "one position",
            json!([allow(json!({"AWS": OLD}), json!({}))]),
            InList,
        ),
        (
            "one position in a condition",
            json!([allow(json!("*"), source("StringEquals", OLD))]),
            InList,
        ),
        (
            "caller and source",
            json!([allow(json!({"AWS": OLD}), source("StringEquals", OLD))]),
            Duplicate,
        ),
        (
            "two names of the caller move together",
            json!([allow(
                json!({"AWS": OLD}),
                json!({"StringEquals": {"aws:PrincipalAccount": OLD}})
            )]),
            InList,
        ),
        (
            "two names of the source move together",
            json!([allow(
                json!({"Service": "sns.amazonaws.com"}),
                json!({"StringEquals": {"aws:SourceAccount": OLD}, "ArnLike": {"aws:SourceArn": format!("arn:aws:sns:*:{OLD}:*")}})
            )]),
            InList,
        ),
        (
            "negated",
            json!([allow(json!("*"), source("StringNotEquals", OLD))]),
            Duplicate,
        ),
        (
            "caller but not source",
            json!([allow(json!({"AWS": OLD}), source("StringNotEquals", OLD))]),
            Duplicate,
        ),
        (
            "everybody else is denied",
            json!([everybody, {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Condition": {"StringNotEquals": {"aws:PrincipalAccount": OLD}}}]),
            InList,
        ),
        (
            "everybody else is denied, by NotPrincipal",
            json!([allow(json!({"AWS": OLD}), json!({})), {"Effect": "Deny", "NotPrincipal": {"AWS": OLD}, "Action": "sqs:*"}]),
            InList,
        ),
        (
            "denied by name",
            json!([everybody, {"Effect": "Deny", "Principal": {"AWS": OLD}, "Action": "sqs:*"}]),
            Refused,
        ),
        (
            "confused-deputy guard",
            json!([everybody, {"Effect": "Deny", "Principal": {"AWS": OLD}, "Action": "sqs:*", "Condition": source("StringNotEquals", OLD)}]),
            Refused,
        ),
        (
            "an operator that is not understood",
            json!([allow(
                json!("*"),
                json!({"StringEqualsIgnoreCase": {"aws:PrincipalArn": format!("arn:aws:iam::{OLD}:role/x")}})
            )]),
            Duplicate,
        ),
        (
            "IfExists is not the same as presence",
            json!([allow(json!({"AWS": OLD}), source("StringEqualsIfExists", OLD))]),
            Duplicate,
        ),
    ] {
        let text = policy(&statements);
        let result = rewrite(&text, POLICY, &accounts(), Mode::Expand);
        let count = |text: &str| {
            serde_json::from_str::<Value>(text).unwrap()["Statement"]
                .as_array()
                .unwrap()
                .len()
        };
        match (expected, result) {
            (InList, Ok(done)) => assert_eq!(count(&done.after), count(&text), "{name}: {}", done.after),
            (Duplicate, Ok(done)) => {
                assert_eq!(count(&done.after), count(&text) + 1, "{name}: {}", done.after)
            }
            (Refused, Err(super::Refused::NoExactExpansion { .. })) => {}
            (_, other) => panic!("{name}: {other:?}"),
        }
        // A swap is exact in every shape.
        let swapped = rewrite(&text, POLICY, &accounts(), Mode::Swap).unwrap();
        assert_eq!(swapped.after, text.replace(OLD, NEW), "{name}");
    }
}

#[test]
fn a_mixed_policy_duplicates_only_where_it_must() {
    let text = format!(
        r#"{{
  "Version": "2012-10-17",
  "Statement": [
    {{ "Sid": "One", "Effect": "Allow", "Principal": {{ "AWS": ["333333333333",
        "{OLD}"] }}, "Action": "sqs:*" }},
    {{ "Sid": "Two", "Effect": "Allow", "Principal": {{ "AWS": "{OLD}" }}, "Action": "sqs:*",
      "Condition": {{ "StringEquals": {{ "aws:SourceAccount": "{OLD}" }} }} }}
  ]
}}
"#
    );
    let done = rewrite(&text, DocumentKind::QueuePolicy, &accounts(), Mode::Expand).unwrap();
    insta::assert_snapshot!(done.after);
    assert_eq!(done.proof.changed, 2);
}

#[test]
fn what_cannot_be_rewritten_safely_is_refused_with_the_reason() {
    let statement = |principal: &str| json!([{"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}]);
    let long = json!([{"Effect": "Allow", "Principal": {"AWS": (0..45).map(|n| format!("arn:aws:iam::{OLD}:role/a-rather-long-name-{n}")).collect::<Vec<_>>()}}]);
    for (text, mode, part) in [
        (policy(&statement("333333333333")), Mode::Swap, "names nothing"),
        (
            policy(&statement(&format!("arn:aws:iam::{NEW}:role/{OLD}"))),
            Mode::Swap,
            "already contains",
        ),
        (
            policy(&statement("arn:aws:iam::1111*:role/x")),
            Mode::Swap,
            "a person must decide",
        ),
        (
            policy(&statement(&format!("arn:aws:iam::{OLD}:role/x-{OLD}"))),
            Mode::Swap,
            "part of a longer name",
        ),
        (
            policy(&statement(OLD)).replace(OLD, "\\u003111111111111"),
            Mode::Swap,
            "unusual escapes",
        ),
        (policy(&long), Mode::Expand, "the limit is 4096"),
        (
            format!("{{\"Statement\":[{{\"Sid\":\"{OLD}\","),
            Mode::Swap,
            "cut off",
        ),
        ("{\"a\":1}".to_owned(), Mode::Swap, "no `Statement`"),
    ] {
        let error = rewrite(&text, DocumentKind::RoleTrust, &accounts(), mode)
            .expect_err(&text)
            .to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn labels_and_external_ids_stay() {
    let text = policy(
        &json!([{"Sid": format!("Trust{OLD}"), "Effect": "Allow", "Principal": {"AWS": OLD},
        "Action": "sts:AssumeRole", "Condition": {"StringEquals": {"sts:ExternalId": OLD}}}]),
    );
    let done = rewrite(&text, POLICY, &accounts(), Mode::Swap).unwrap();
    let after: Value = serde_json::from_str(&done.after).unwrap();
    assert_eq!(after["Statement"][0]["Sid"], json!(format!("Trust{OLD}")));
    assert_eq!(
        after["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"],
        json!(OLD)
    );
    assert_eq!(after["Statement"][0]["Principal"]["AWS"], json!(NEW));
}

/// What was logged before the move stays below the old path: a swap puts the new path beside it, and says so.
#[test]
fn a_log_path_stays_beside_its_successor() {
    let log = |account: &str| format!("arn:aws:s3:::logs/AWSLogs/{account}/*");
    let with = |principal: &str, resource: Value| {
        policy(
            &json!([{"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "s3:GetObject", "Resource": resource}]),
        )
    };
    let other = "arn:aws:s3:::logs/AWSLogs/333333333333/*";
    for (before, after, kept) in [
        (json!(log(OLD)), json!([log(OLD), log(NEW)]), 1),
        (json!([other, log(OLD)]), json!([other, log(OLD), log(NEW)]), 1),
        (
            json!([log(OLD), format!("arn:aws:sqs:*:{OLD}:q")]),
            json!([log(OLD), log(NEW), format!("arn:aws:sqs:*:{NEW}:q")]),
            1,
        ),
        (
            json!([format!("arn:aws:sqs:*:{OLD}:q/AWSLogs/{OLD}")]),
            json!([format!("arn:aws:sqs:*:{NEW}:q/AWSLogs/{NEW}")]),
            0,
        ),
    ] {
        let done = rewrite(&with(OLD, before), POLICY, &accounts(), Mode::Swap).unwrap();
        assert_eq!(done.after, with(NEW, after));
        assert_eq!(done.proof.kept_log_paths, kept);
        // Nothing is left to do, and who may come in is the new account alone.
        let left = scan(&done.after, POLICY, &accounts()).unwrap();
        assert!(
            left.iter()
                .all(|token| matches!(token.disposition, Disposition::Keep(_)))
        );
        assert_eq!(left.len(), kept);
        assert!(denies(&done.after, &account(OLD)));
        assert_eq!(
            rewrite(&done.after, POLICY, &accounts(), Mode::Swap).unwrap_err(),
            Refused::NothingToRewrite
        );
    }
    // Where everything but the path is meant, it is replaced.
    let text = policy(
        &json!([{"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "NotResource": log(OLD)}]),
    );
    let done = rewrite(&text, POLICY, &accounts(), Mode::Swap).unwrap();
    assert_eq!(done.after, text.replace(OLD, NEW));
    assert!(
        done.notices
            .iter()
            .any(|notice| notice.contains("no longer covers"))
    );
}

#[test]
fn identifiers_are_written_as_the_document_around_them_is() {
    let (old, new) = ("oidc.example.com/id/OLD", "oidc.example.com/id/NEW");
    let map = map(&[(IdentifierKind::Issuer, old, new)]);
    let text = policy(
        &json!([{"Effect": "Allow", "Principal": {"Federated": format!("arn:aws:iam::{OLD}:oidc-provider/{old}")},
        "Action": "sts:AssumeRoleWithWebIdentity", "Condition": {"StringEquals": {format!("{old}:sub"): "app"}}}]),
    );
    let expected = text.replace(OLD, NEW).replace(old, new);
    for pack in [
        (|text: &str| text.to_owned()) as fn(&str) -> String,
        |text| Encoding::Url.encode(text),
        |text| Encoding::JsonString.encode(text),
        |text| text.replace('/', "\\/"),
    ] {
        let done = rewrite(&pack(&text), POLICY, &map, Mode::Swap).unwrap();
        assert_eq!(done.after, pack(&expected));
    }
}
