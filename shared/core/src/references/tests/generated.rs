//! Properties over generated policies.

use proptest::prelude::*;

use super::*;

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

pub(super) fn any_policy() -> impl Strategy<Value = String> {
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
    #![proptest_config(ProptestConfig::with_cases(128))]

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

/// What a wrong rewriter could write instead.
const MISTAKES: [(&str, &str); 12] = [
    (NEW, "333333333333"),
    (NEW, "*"),
    ("\"222222222222\"", "\"222222222222\",\"*\""),
    ("\"222222222222\"", "\"111111111111\""),
    ("\"Deny\"", "\"Allow\""),
    ("\"Allow\"", "\"Deny\""),
    ("s3:GetObject", "s3:*"),
    ("StringEquals", "StringNotEquals"),
    ("StringNotEquals", "StringEquals"),
    ("StringEquals", "StringEqualsIfExists"),
    ("NotPrincipal", "Principal"),
    ("aws:SourceAccount", "aws:PrincipalAccount"),
];

/// Whether the result allows what the rewrite promises, by the evaluator of concrete requests.
fn is_as_promised(before: &str, after: &str, mode: Mode) -> Result<(), String> {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let (p, image, q) = (read(before), read(&before.replace(OLD, NEW)), read(after));
    for request in concrete::requests() {
        let by_image = concrete::allows(&image, &request);
        let wanted = match mode {
            Mode::Swap => by_image,
            Mode::Expand => by_image || concrete::allows(&p, &request),
        };
        if concrete::allows(&q, &request) != wanted {
            return Err(format!("{request:?}: {before} => {after}"));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_mistake_of_a_rewriter_is_accepted_that_changes_rights(
        text in any_policy(),
        mistake in prop::sample::select(&MISTAKES[..]),
        which in any::<prop::sample::Index>(),
        forgotten in prop::bool::weighted(0.2),
        swap in prop::bool::ANY,
    ) {
        let mode = if swap { Mode::Swap } else { Mode::Expand };
        if let Ok(done) = rewrite(&text, POLICY, &accounts(), mode) {
            let mut edits = done.edits;
            let at = which.index(edits.len());
            if forgotten {
                edits.remove(at);
            } else {
                edits[at].text = edits[at].text.replacen(mistake.0, mistake.1, 1);
            }
            let after = crate::references::edit::apply(&text, &edits);
            if prove(&text, &after, POLICY, &accounts(), mode, &edits).is_ok() {
                prop_assert_eq!(is_as_promised(&text, &after, mode), Ok(()));
            }
        }
    }

    /// The careless expansion: the successor beside every identifier, in whatever list it stands.
    #[test]
    fn the_careless_expansion_is_accepted_only_where_it_is_exact(text in any_policy()) {
        let mut edits = Vec::new();
        for (start, _) in text.match_indices(OLD) {
            let (before, rest) = text.split_at(start);
            let open = before.rfind('"').unwrap();
            let close = start + rest.find('"').unwrap() + 1;
            let (lead, quoted) = text.split_at(open);
            let (quoted, follow) = quoted.split_at(close - open);
            let listed = lead.ends_with('[') || (lead.ends_with(',') && !lead.ends_with("\",")) || follow.starts_with(']');
            let successor = quoted.replace(OLD, NEW);
            if listed {
                edits.push(crate::references::edit::insertion(close, format!(",{successor}")));
            } else {
                edits.push(crate::references::edit::insertion(open, "["));
                edits.push(crate::references::edit::insertion(close, format!(",{successor}]")));
            }
        }
        let after = crate::references::edit::apply(&text, &edits);
        if serde_json::from_str::<Value>(&after).is_ok()
            && prove(&text, &after, POLICY, &accounts(), Mode::Expand, &edits).is_ok()
        {
            prop_assert_eq!(is_as_promised(&text, &after, Mode::Expand), Ok(()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A third evaluator, of another author: the crate `iam-rs`. It takes an account for its root only, which the
    /// equation does not depend on.
    #[test]
    fn iam_rs_agrees_with_what_is_proven(text in any_policy()) {
        for mode in [Mode::Swap, Mode::Expand] {
            let Ok(done) = rewrite(&text, POLICY, &accounts(), mode) else { continue };
            let read = |text: &str| serde_json::from_str::<iam_rs::IAMPolicy>(text).unwrap();
            let (p, image, q) = (read(&text), read(&text.replace(OLD, NEW)), read(&done.after));
            for request in concrete::requests() {
                let request = request.for_iam_rs();
                let allows = |policy| iam_rs::evaluate_policy(policy, &request).unwrap() == iam_rs::Decision::Allow;
                let wanted = allows(&image) || (mode == Mode::Expand && allows(&p));
                prop_assert_eq!(allows(&q), wanted, "{:?}: {} => {}", request, text, done.after);
            }
        }
    }

    /// The two evaluators of concrete requests agree where `iam-rs` follows AWS: for callers that are named as they are.
    #[test]
    fn iam_rs_agrees_with_the_evaluator_of_these_tests(text in any_policy()) {
        prop_assume!(!text.contains("NotPrincipal"));
        let (ours, theirs) = (
            serde_json::from_str::<Value>(&text).unwrap(),
            serde_json::from_str::<iam_rs::IAMPolicy>(&text).unwrap(),
        );
        for request in concrete::requests().into_iter().filter(|request| !request.is_role()) {
            let decision = iam_rs::evaluate_policy(&theirs, &request.for_iam_rs()).unwrap();
            prop_assert_eq!(
                decision == iam_rs::Decision::Allow,
                concrete::allows(&ours, &request),
                "{:?}: {}", request, text
            );
        }
    }
}
