//! The pieces together: what is found, how it is rewritten, what is refused, and that the prover is not fooled.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::plan::{IdentifierKind, IdentifierPair};
use crate::run::AccountId;

const OLD: &str = "111111111111";
const NEW: &str = "222222222222";

fn account(id: &str) -> AccountId {
    AccountId::try_from(id.to_owned()).unwrap()
}

fn accounts() -> IdentifierMap {
    IdentifierMap::of_accounts(&account(OLD), &account(NEW)).unwrap()
}

fn map(more: &[(IdentifierKind, &str, &str)]) -> IdentifierMap {
    IdentifierMap::new(
        more.iter()
            .chain(&[(IdentifierKind::Account, OLD, NEW)])
            .map(|(kind, old, new)| IdentifierPair {
                kind: *kind,
                old: (*old).to_owned(),
                new: (*new).to_owned(),
            }),
    )
    .unwrap()
}

fn policy(statements: &Value) -> String {
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

fn positions(text: &str, form: Form, map: &IdentifierMap) -> Vec<(Position, String)> {
    scan(text, form, map)
        .unwrap()
        .into_iter()
        .map(|token| (token.position, text.get(token.span).unwrap().to_owned()))
        .collect()
}

const POLICY: Form = Form::Policy(None);

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

#[test]
fn a_document_shuts_the_old_account_out_only_when_nothing_names_it() {
    let old = account(OLD);
    let allow = |principal: Value| json!({"Effect": "Allow", "Principal": principal, "Action": "*"});
    assert!(denies(&policy(&json!([allow(json!({"AWS": NEW}))])), &old));
    assert_eq!(
        shutout(
            &policy(&json!([allow(json!({"AWS": NEW})), allow(json!({"AWS": OLD}))])),
            &old
        ),
        Shutout::AdmittedByName { statement: 1 }
    );
    assert_eq!(
        shutout(
            &policy(&json!([allow(
                json!({"AWS": format!("arn:aws:iam::{OLD}:role/x")})
            )])),
            &old
        ),
        Shutout::AdmittedByName { statement: 0 }
    );
    assert_eq!(
        shutout(&policy(&json!([allow(json!("*"))])), &old),
        Shutout::AdmittedByWildcard { statement: 0 }
    );
    let guarded = json!([allow(json!("*")), {"Effect": "Deny", "Principal": {"AWS": OLD}, "Action": "*"}]);
    assert!(denies(&policy(&guarded), &old));
    let restricted = json!([{"Effect": "Allow", "Principal": "*", "Action": "*", "Condition": {"StringEquals": {"aws:PrincipalAccount": NEW}}}]);
    assert!(denies(&policy(&restricted), &old));
    assert!(matches!(shutout("{", &old), Shutout::NotUnderstood { .. }));
}

#[test]
fn the_prover_refuses_what_a_wrong_rewriter_could_produce() {
    let before = policy(&json!([
        {"Effect": "Allow", "Principal": {"AWS": OLD}, "Action": "sqs:*", "Condition": {"StringEquals": {"aws:SourceAccount": OLD}}}
    ]));
    let at = |needle: &str| before.find(needle).unwrap();
    let insertion = |at: usize, text: &str| Edit {
        span: at..at,
        text: text.to_owned(),
    };
    let wrapped = |needle: &str, new: &str| {
        let start = at(needle);
        vec![
            insertion(start, "["),
            insertion(start + needle.len(), &format!(",\"{new}\"]")),
        ]
    };
    let principal = format!("\"{OLD}\"}},\"Action\"");
    let list = |new: &str| {
        let start = at(&principal);
        vec![
            insertion(start, "["),
            insertion(start + 14, &format!(",\"{new}\"]")),
        ]
    };
    for (name, edits) in [
        ("everybody let in", list("*")),
        ("a third account let in", list("333333333333")),
        ("both lists, which mixes old and new", {
            let mut edits = wrapped(&format!("\"{OLD}\"}}}}"), NEW);
            edits[1].span = edits[0].span.start + 14..edits[0].span.start + 14;
            edits.splice(0..0, list(NEW));
            edits.sort_by_key(|edit| edit.span.start);
            edits
        }),
        ("nothing let in", vec![]),
    ] {
        let after = super::rewrite::apply(&before, &edits);
        let result = prove(&before, &after, POLICY, &accounts(), Mode::Expand, &edits);
        assert!(result.is_err(), "{name}: {after}: {result:?}");
    }
    let swapped = before.replace(OLD, NEW);
    for (name, after) in [
        ("one reference forgotten", before.replacen(OLD, NEW, 1)),
        ("effect turned", swapped.replace("Allow", "Deny")),
        ("action widened", swapped.replace("sqs:*", "*")),
    ] {
        let edits: Vec<Edit> = before
            .match_indices(OLD)
            .map(|(start, _)| Edit {
                span: start..start + 12,
                text: NEW.to_owned(),
            })
            .collect();
        let result = prove(&before, &after, POLICY, &accounts(), Mode::Swap, &edits);
        assert!(result.is_err(), "{name}: {result:?}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let account = prop::sample::select(vec![OLD, "333333333333", "444444444444"]);
    account.prop_flat_map(|account| {
        prop::sample::select(vec![
            json!(account),
            json!(format!("arn:aws:iam::{account}:root")),
            json!(format!("arn:aws:iam::{account}:role/app")),
        ])
    })
}

fn any_condition() -> impl Strategy<Value = Value> {
    let operator = prop::sample::select(vec![
        "StringEquals",
        "StringNotEquals",
        "StringLike",
        "StringEqualsIfExists",
        "ForAnyValue:StringEquals",
        "ForAllValues:StringNotEquals",
        "StringEqualsIgnoreCase",
    ]);
    let key = prop::sample::select(vec![
        "aws:SourceAccount",
        "aws:PrincipalAccount",
        "aws:ResourceAccount",
        "s3:prefix",
    ]);
    let account = prop::sample::select(vec![OLD, "333333333333"]);
    prop::option::weighted(0.6, (operator, key, account)).prop_map(|one| {
        one.map_or(
            json!({}),
            |(operator, key, account)| json!({operator: {key: account}}),
        )
    })
}

prop_compose! {
    fn any_statement()(
        effect in prop::sample::select(vec!["Allow", "Allow", "Allow", "Deny"]),
        principals in prop::collection::vec(any_value(), 1..3),
        not in prop::bool::weighted(0.15),
        everybody in prop::bool::weighted(0.2),
        condition in any_condition(),
        action in prop::sample::select(vec!["s3:GetObject", "s3:*"]),
        sid in prop::option::of("[A-Z][a-z]{1,5}"),
    ) -> Value {
        let mut statement = json!({"Effect": effect, "Action": action, "Resource": "*", "Condition": condition});
        let name = if not && effect == "Deny" { "NotPrincipal" } else { "Principal" };
        statement[name] = if everybody && name == "Principal" { json!("*") } else { json!({"AWS": principals}) };
        if let Some(sid) = sid {
            statement["Sid"] = json!(sid);
        }
        statement
    }
}

fn any_policy() -> impl Strategy<Value = String> {
    prop::collection::vec(any_statement(), 1..4).prop_map(|mut statements| {
        for (index, statement) in statements.iter_mut().enumerate() {
            if let Some(sid) = statement
                .get("Sid")
                .and_then(Value::as_str)
                .map(ToOwned::to_owned)
            {
                statement["Sid"] = json!(format!("{sid}{index}"));
            }
        }
        policy(&json!(statements))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_swap_is_undone_by_the_inverse_and_leaves_no_token(text in any_policy()) {
        match rewrite(&text, POLICY, &accounts(), Mode::Swap) {
            Ok(done) => {
                prop_assert!(scan(&done.after, POLICY, &accounts()).unwrap().is_empty());
                let back = IdentifierMap::of_accounts(&account(NEW), &account(OLD)).unwrap();
                prop_assert_eq!(rewrite(&done.after, POLICY, &back, Mode::Swap).unwrap().after, text);
            }
            Err(Refused::NothingToRewrite) => prop_assert!(!text.contains(OLD)),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn an_expansion_allows_the_union_by_an_evaluator_of_concrete_requests(text in any_policy()) {
        if let Ok(done) = rewrite(&text, POLICY, &accounts(), Mode::Expand) {
            let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            let (before, image, after) = (read(&text), read(&text.replace(OLD, NEW)), read(&done.after));
            for request in concrete::requests() {
                let wanted = concrete::allows(&before, &request) || concrete::allows(&image, &request);
                prop_assert_eq!(concrete::allows(&after, &request), wanted, "{:?}: {} => {}", request, text, done.after);
            }
        }
    }

    #[test]
    fn allow_statements_can_always_be_expanded(text in any_policy()) {
        prop_assume!(!text.contains("Deny") && text.contains(OLD));
        prop_assert!(rewrite(&text, POLICY, &accounts(), Mode::Expand).is_ok());
    }

    #[test]
    fn no_text_makes_anything_panic(text in "[\\[\\]{}\",:*\\\\%a-z1]{0,60}", form in prop::bool::ANY) {
        let form = if form { POLICY } else { Form::Config };
        let _ = scan(&text, form, &accounts());
        let _ = rewrite(&text, form, &accounts(), Mode::Swap);
        let _ = rewrite(&text, form, &accounts(), Mode::Expand);
        let _ = canonical_digest_of(&text);
    }
}

/// A small evaluator over concrete requests, written apart from the prover's.
mod concrete {
    use serde_json::Value;

    #[derive(Debug, Clone)]
    pub(super) struct Request {
        caller: String,
        role: bool,
        action: &'static str,
        keys: Vec<(&'static str, String)>,
    }

    pub(super) fn requests() -> Vec<Request> {
        let accounts = ["111111111111", "222222222222", "333333333333", "555555555555"];
        let mut all = Vec::new();
        for caller in accounts {
            for role in [false, true] {
                for action in ["s3:GetObject", "s3:PutObject"] {
                    for source in accounts.into_iter().map(Some).chain([None]) {
                        for owner in [None, Some("111111111111"), Some("222222222222")] {
                            for prefix in [None, Some("111111111111"), Some("222222222222"), Some("x")] {
                                let mut keys = vec![("aws:PrincipalAccount", caller.to_owned())];
                                keys.extend(source.map(|one| ("aws:SourceAccount", one.to_owned())));
                                keys.extend(owner.map(|one| ("aws:ResourceAccount", one.to_owned())));
                                keys.extend(prefix.map(|one| ("s3:prefix", one.to_owned())));
                                all.push(Request {
                                    caller: caller.to_owned(),
                                    role,
                                    action,
                                    keys,
                                });
                            }
                        }
                    }
                }
            }
        }
        all
    }

    fn covers(principal: &Value, request: &Request) -> bool {
        if principal == "*" {
            return true;
        }
        principal["AWS"].as_array().unwrap().iter().any(|one| {
            let one = one.as_str().unwrap();
            one == request.caller
                || one == format!("arn:aws:iam::{}:root", request.caller)
                || request.role && one == format!("arn:aws:iam::{}:role/app", request.caller)
        })
    }

    fn holds(operator: &str, key: &str, wanted: &Value, request: &Request) -> bool {
        let wanted: Vec<&str> = match wanted {
            Value::Array(all) => all.iter().map(|one| one.as_str().unwrap()).collect(),
            one @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                vec![one.as_str().unwrap()]
            }
        };
        let value = request
            .keys
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.as_str());
        match (operator, value) {
            ("StringNotEquals" | "ForAllValues:StringNotEquals" | "StringEqualsIfExists", None) => true,
            (_, None) => false,
            ("StringNotEquals" | "ForAllValues:StringNotEquals", Some(value)) => !wanted.contains(&value),
            (_, Some(value)) => wanted.contains(&value),
        }
    }

    pub(super) fn allows(policy: &Value, request: &Request) -> bool {
        let mut allowed = false;
        for statement in policy["Statement"].as_array().unwrap() {
            let who = match (statement.get("Principal"), statement.get("NotPrincipal")) {
                (Some(principal), _) => covers(principal, request),
                (_, Some(excepted)) => !covers(excepted, request),
                _ => true,
            };
            let action = statement["Action"] == "s3:*" || statement["Action"] == request.action;
            let conditions = statement["Condition"]
                .as_object()
                .unwrap()
                .iter()
                .all(|(operator, keys)| {
                    keys.as_object()
                        .unwrap()
                        .iter()
                        .all(|(key, wanted)| holds(operator, key, wanted, request))
                });
            if who && action && conditions {
                if statement["Effect"] == "Deny" {
                    return false;
                }
                allowed = true;
            }
        }
        allowed
    }
}
