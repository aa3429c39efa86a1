//! What is found, and where.

use super::*;

#[test]
fn every_spelling_is_found_in_its_place() {
    use Position::*;
    let issuer = "oidc.eks.us-east-1.amazonaws.com/id/ABCDEF0123456789";
    let map = map(&[
        (
            IdentifierKind::Issuer,
            issuer,
            "oidc.eks.us-east-1.amazonaws.com/id/FEDCBA9876543210",
        ),
        (
            IdentifierKind::UniqueId,
            "AROAEXAMPLEOLDROLE123",
            "AROAEXAMPLENEWROLE456",
        ),
        (IdentifierKind::CanonicalUser, &"ab".repeat(32), &"cd".repeat(32)),
        (IdentifierKind::Bucket, "orders-data", "orders-data-rebuilt"),
        (
            IdentifierKind::VpcEndpoint,
            "vpce-0aaaaaaaaaaaaaaaa",
            "vpce-0bbbbbbbbbbbbbbbb",
        ),
    ]);
    for (statement, expected) in [
        (json!({"Principal": {"AWS": OLD}}), vec![Principal]),
        (
            json!({"Principal": {"AWS": [format!("arn:aws:iam::{OLD}:role/team/app")]}}),
            vec![Principal],
        ),
        (
            json!({"Principal": {"AWS": format!("arn:aws:sts::{OLD}:assumed-role/R/S")}}),
            vec![Principal],
        ),
        (
            json!({"Principal": {"AWS": "AROAEXAMPLEOLDROLE123"}}),
            vec![Principal],
        ),
        (
            json!({"Principal": {"CanonicalUser": "ab".repeat(32)}}),
            vec![Principal],
        ),
        (json!({"NotPrincipal": {"AWS": OLD}}), vec![NotPrincipal]),
        (
            json!({"Principal": {"Federated": format!("arn:aws:iam::{OLD}:oidc-provider/{issuer}")},
                   "Condition": {"StringEquals": {format!("{issuer}:sub"): "x"}}}),
            vec![ConditionKey, Principal, Principal],
        ),
        (
            json!({"Condition": {"StringEquals": {"AWS:sourceACCOUNT": OLD}}}),
            vec![Source],
        ),
        (
            json!({"Condition": {"ArnLike": {"aws:SourceArn": format!("arn:aws:sns:*:{OLD}:*")}}}),
            vec![Source],
        ),
        (
            json!({"Condition": {"StringLike": {"aws:userId": "AROAEXAMPLEOLDROLE123:*"}}}),
            vec![Caller],
        ),
        (
            json!({"Condition": {"StringEquals": {"aws:SourceVpce": "vpce-0aaaaaaaaaaaaaaaa"}}}),
            vec![Source],
        ),
        (
            json!({"Condition": {"StringEquals": {"aws:ResourceAccount": [OLD]}}}),
            vec![ResourceOwner],
        ),
        (
            json!({"Condition": {"StringEquals": {"sts:ExternalId": OLD}}}),
            vec![ExternalId],
        ),
        (
            json!({"Resource": format!("arn:aws:s3:::logs/AWSLogs/{OLD}/*")}),
            vec![LogPath],
        ),
        (
            json!({"Resource": format!("arn:aws:s3:::logs/AWSLogs/o-abc123/{OLD}/*")}),
            vec![LogPath],
        ),
        (json!({"Resource": "arn:aws:s3:::orders-data/*"}), vec![Resource]),
        (json!({"Resource": "arn:aws:s3:::orders-data-2/*"}), vec![]),
        (
            json!({"Resource": format!("arn:aws:s3:::app-{OLD}/*")}),
            vec![InName],
        ),
        (
            json!({"Resource": format!("arn:aws:s3:::logs/AWSLogs/aws-account-id={OLD}/*")}),
            vec![LogPath],
        ),
        (
            json!({"Condition": {"StringEquals": {"aws:PrincipalTag/home": OLD}}}),
            vec![FreeText],
        ),
        (
            json!({"Condition": {"StringLike": {"sts:RoleSessionName": format!("from-{OLD}")}}}),
            vec![FreeText],
        ),
        (
            json!({"Condition": {"ArnEquals": {"KMS:EncryptionContext:aws:s3:arn": format!("arn:aws:sqs:us-east-1:{OLD}:q")}}}),
            vec![OtherCondition],
        ),
        (
            json!({"Condition": {"StringEquals": {"Refactor-Spaces:RouteCreatedByAccount": OLD, "ec2:Owner": OLD}}}),
            vec![ResourceOwner, ResourceOwner],
        ),
        (json!({"NotAction": format!("sts:{OLD}")}), vec![Elsewhere]),
        (json!({"Sid": format!("For{OLD}")}), vec![Cosmetic]),
        (json!({"Action": OLD}), vec![Elsewhere]),
        (
            json!({"Condition": {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::1111*:role/x"}}}),
            vec![PartialWildcard],
        ),
        (
            json!({"Condition": {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::3333*:role/x"}}}),
            vec![],
        ),
        (
            json!({"Condition": {"StringEquals": {"aws:PrincipalArn": format!("9{OLD}")}}}),
            vec![],
        ),
    ] {
        let mut found: Vec<Position> = positions(&policy(&json!([statement])), POLICY, &map)
            .into_iter()
            .map(|(position, _)| position)
            .collect();
        found.sort_by_key(ToString::to_string);
        assert_eq!(found, expected, "{statement}");
    }
}

#[test]
fn tokens_are_found_through_every_encoding() {
    let inner =
        policy(&json!([{"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{OLD}:root")}}]));
    let in_json =
        json!({"Policy": inner, "QueueUrl": format!("https://sqs.us-east-1.amazonaws.com/{OLD}/q")})
            .to_string();
    let twice = json!({"Body": in_json}).to_string();
    let escaped = inner.replace('"', "\\\"");
    let url = Encoding::Url.encode(&inner);
    for (text, form, expected) in [
        (inner.as_str(), POLICY, vec![Position::Principal]),
        (&url, POLICY, vec![Position::Principal]),
        (&escaped, POLICY, vec![Position::Principal]),
        (&in_json, Form::Config, vec![Position::Principal, Position::Url]),
        (&twice, Form::Config, vec![Position::Principal, Position::Url]),
    ] {
        let found = positions(text, form, &accounts());
        assert_eq!(
            found.iter().map(|one| one.0).collect::<Vec<_>>(),
            expected,
            "{text}"
        );
        assert!(found.iter().all(|one| one.1 == OLD), "{text}");
        let swapped = rewrite(text, form, &accounts(), Mode::Swap).unwrap();
        assert_eq!(swapped.after, text.replace(OLD, NEW));
    }
}

#[test]
fn configuration_text_is_read_by_line() {
    let text = format!(
        "role: arn:aws:iam::{OLD}:role/app\nexternal_id: \"{OLD}\"\nimage: {OLD}.dkr.ecr.us-east-1.amazonaws.com/app\n\
         bucket: app-{OLD}\n"
    );
    let found = positions(&text, Form::Config, &accounts());
    assert_eq!(
        found.iter().map(|one| one.0).collect::<Vec<_>>(),
        [
            Position::Arn,
            Position::ExternalId,
            Position::Url,
            Position::InName
        ]
    );
}

#[test]
fn prose_and_base64_are_for_people() {
    use base64::Engine as _;
    let packed =
        base64::engine::general_purpose::STANDARD.encode(format!("#!/bin/sh\naws s3 ls s3://app-{OLD}"));
    let text = json!({
        "Note": format!("moved from {OLD} in spring"),
        "UserData": packed,
        "Description": format!("moved from {OLD}"),
        "Command": format!("--role-arn arn:aws:iam::{OLD}:role/x"),
        "Digest": "c29tZXRoaW5nIGVsc2UgYWx0b2dldGhlcg==",
    })
    .to_string();
    let mut found: Vec<Position> = scan(&text, Form::Config, &accounts())
        .unwrap()
        .into_iter()
        .map(|token| token.position)
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            Position::Arn,
            Position::Cosmetic,
            Position::FreeText,
            Position::Base64
        ]
    );
    let refused = rewrite(&text, Form::Config, &accounts(), Mode::Swap).unwrap_err();
    assert!(matches!(refused, Refused::Unhandled { tokens } if tokens.len() == 2));
}

#[test]
fn hosts_are_found_in_any_case_and_rewritten_in_theirs() {
    let map = map(&[(IdentifierKind::Host, "api.old.example", "api.new.example")]);
    let with = |host: &str| json!({"endpoint": format!("https://{host}/v1")}).to_string();
    let done = rewrite(&with("api.old.example"), Form::Config, &map, Mode::Swap).unwrap();
    assert_eq!(done.after, with("api.new.example"));
    let refused = rewrite(&with("API.Old.example"), Form::Config, &map, Mode::Swap).unwrap_err();
    assert!(
        refused.to_string().contains("write it plainly first"),
        "{refused}"
    );
    assert_eq!(
        rewrite(&with("api.old.example.org"), Form::Config, &map, Mode::Swap).unwrap_err(),
        Refused::NothingToRewrite
    );
}

#[test]
fn every_url_and_host_form_of_an_account_is_a_reference() {
    for text in [
        format!("https://sqs.us-east-1.amazonaws.com/{OLD}/orders"),
        format!("{OLD}.dkr.ecr.us-east-1.amazonaws.com/app:1"),
        format!("https://{OLD}.signin.aws.amazon.com/console"),
        format!("https://sqs.us-east-1.amazonaws.com/{OLD}%2Forders"),
    ] {
        let document = json!({"value": text}).to_string();
        let found = scan(&document, Form::Config, &accounts()).unwrap();
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!(found[0].position, Position::Url, "{text}");
        let done = rewrite(&document, Form::Config, &accounts(), Mode::Swap).unwrap();
        assert_eq!(done.after, document.replace(OLD, NEW));
    }
}

#[test]
fn many_identifiers_are_found_in_one_pass_and_the_longest_wins() {
    let buckets: Vec<(String, String)> = (0..500)
        .map(|number| (format!("data-{number}"), format!("rebuilt-{number}")))
        .collect();
    let pairs: Vec<_> = buckets
        .iter()
        .map(|(old, new)| (IdentifierKind::Bucket, old.as_str(), new.as_str()))
        .collect();
    let map = map(&pairs);
    let text = policy(&json!([{"Effect": "Allow", "Principal": "*", "Action": "s3:*",
        "Resource": ["arn:aws:s3:::data-4", "arn:aws:s3:::data-42/*", "arn:aws:s3:::data-421"]}]));
    let done = rewrite(&text, POLICY, &map, Mode::Swap).unwrap();
    assert_eq!(
        done.after,
        text.replace("data-421", "rebuilt-421")
            .replace("data-42/", "rebuilt-42/")
            .replace("data-4\"", "rebuilt-4\"")
    );
}
