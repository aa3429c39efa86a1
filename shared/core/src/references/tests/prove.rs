//! That the prover is not fooled.

use super::*;

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
        let after = crate::references::edit::apply(&before, &edits);
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

/// Every element of the policy language that changes who is allowed: evaluated, or taken as it is, never overlooked.
/// The careless expansion is the successor in the list; where it is not exact the prover must say so.
#[test]
fn every_element_of_the_language_is_evaluated_or_taken_as_it_is() {
    let list = json!([OLD, NEW]);
    let allow = |more: Value| {
        let mut statement = json!({"Effect": "Allow", "Principal": {"AWS": "333333333333"}, "Action": "s3:*", "Resource": "*"});
        for (key, value) in more.as_object().unwrap() {
            statement[key] = value.clone();
        }
        statement
    };
    let source =
        |operator: &str, value: &Value| allow(json!({"Condition": {operator: {"aws:SourceAccount": value}}}));
    let with = |more: Value, value: &Value| {
        let mut statement = source("StringEquals", value);
        for (key, value) in more.as_object().unwrap() {
            statement[key] = value.clone();
        }
        statement
    };
    // Operators on the account of the source, and whether they are understood and asserted.
    let operators = [
        ("StringEquals", true),
        ("StringLike", true),
        ("StringEqualsIfExists", true),
        ("ForAnyValue:StringEquals", true),
        ("ForAllValues:StringEquals", true),
        ("StringNotEquals", false),
        ("StringNotLike", false),
        ("StringNotEqualsIfExists", false),
        ("ForAnyValue:StringNotEquals", false),
        ("ForAllValues:StringNotEquals", false),
        // Not understood, so only the statement once more is taken.
        ("StringEqualsIgnoreCase", false),
        ("NumericEquals", false),
    ];
    let queues = |value: &Value| -> Vec<String> {
        let accounts = value.as_array().map_or_else(|| vec![value.clone()], Clone::clone);
        let of = |account: &Value| format!("arn:aws:sqs:*:{}:q", account.as_str().unwrap());
        accounts.iter().map(of).collect()
    };
    type Shape<'a> = (&'a str, Box<dyn Fn(&Value) -> Value + 'a>, bool);
    let mut shapes: Vec<Shape<'_>> = vec![
        (
            "a set operator on a key with many values",
            Box::new(|value| {
                allow(json!({"Condition": {"ForAllValues:StringEquals": {"x:accounts": value}}}))
            }),
            false,
        ),
        // Other elements beside a value that is evaluated.
        (
            "NotAction",
            Box::new(|value| with(json!({"NotAction": "s3:Delete*", "Action": null}), value)),
            true,
        ),
        (
            "NotResource",
            Box::new(|value| with(json!({"NotResource": "arn:aws:s3:::a", "Resource": null}), value)),
            true,
        ),
        (
            "a variable in a resource",
            Box::new(|value| with(json!({"Resource": "arn:aws:s3:::a/${aws:username}"}), value)),
            true,
        ),
        (
            "Null on the same key",
            Box::new(|value| {
                allow(
                    json!({"Condition": {"StringEqualsIfExists": {"aws:SourceAccount": value},
                    "Null": {"aws:SourceAccount": false}}}),
                )
            }),
            true,
        ),
        (
            "NotPrincipal",
            Box::new(
                |value| json!({"Effect": "Allow", "NotPrincipal": {"AWS": value}, "Action": "s3:*", "Resource": "*"}),
            ),
            false,
        ),
        (
            "a list of resources that is excluded",
            Box::new(
                |value| json!({"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "NotResource": queues(value)}),
            ),
            false,
        ),
        (
            "a list of resources",
            Box::new(
                |value| json!({"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": queues(value)}),
            ),
            true,
        ),
    ];
    for (operator, exact) in operators {
        shapes.push((operator, Box::new(move |value| source(operator, value)), exact));
    }
    for (name, shape, exact) in shapes {
        let clean = |mut statement: Value| {
            statement
                .as_object_mut()
                .unwrap()
                .retain(|_, value| !value.is_null());
            policy(&json!([statement]))
        };
        let (before, after) = (clean(shape(&json!(OLD))), clean(shape(&list)));
        let result = prove(
            &before,
            &after,
            POLICY,
            &accounts(),
            Mode::Expand,
            &insertions(&before, &after),
        );
        assert_eq!(result.is_ok(), exact, "{name}: {before} => {after}: {result:?}");
        // Either way there is an exact form, and it is found.
        let done = rewrite(&before, POLICY, &accounts(), Mode::Expand);
        assert!(done.is_ok(), "{name}: {done:?}");
    }
}

/// The insertions that make one text of the other, where there are no others.
fn insertions(before: &str, after: &str) -> Vec<Edit> {
    let mut edits: Vec<Edit> = Vec::new();
    let mut rest = before.char_indices().peekable();
    for character in after.chars() {
        match rest.peek() {
            Some((_, next)) if *next == character => {
                rest.next();
            }
            place => {
                let at = place.map_or(before.len(), |(at, _)| *at);
                match edits.last_mut().filter(|edit| edit.span.start == at) {
                    Some(edit) => edit.text.push(character),
                    None => edits.push(crate::references::edit::insertion(at, character.to_string())),
                }
            }
        }
    }
    edits
}

#[test]
fn null_is_read_as_presence() {
    let deny = |absent: Value| {
        json!([{"Effect": "Allow", "Principal": "*", "Action": "*"},
        {"Effect": "Deny", "Principal": "*", "Action": "*", "Condition": {"Null": {"aws:PrincipalAccount": absent}}}])
    };
    // Every caller of an account has the key.
    assert!(denies(&policy(&deny(json!("false"))), &account(OLD)));
    assert!(!denies(&policy(&deny(json!([true]))), &account(OLD)));
}

#[test]
fn a_key_that_the_rewriter_makes_double_is_not_accepted() {
    let before = policy(&json!([{"Effect": "Allow", "Principal": {"AWS": OLD}, "Action": "s3:*"}]));
    let done = rewrite(&before, POLICY, &accounts(), Mode::Expand).unwrap();
    let at = before.find("\"Action\"").unwrap();
    let mut edits = done.edits;
    // The last one counts for one reader, the first for another.
    edits.push(crate::references::edit::insertion(at, "\"Action\":\"*\","));
    edits.sort_by_key(|edit| edit.span.start);
    let after = crate::references::edit::apply(&before, &edits);
    let refused = prove(&before, &after, POLICY, &accounts(), Mode::Expand, &edits).unwrap_err();
    assert!(refused.to_string().contains("stands twice"), "{refused}");
}

#[test]
fn a_log_path_is_no_way_to_keep_anything_else() {
    let before = policy(
        &json!([{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": format!("arn:aws:sqs:*:{OLD}:q")}]),
    );
    let after = policy(&json!([{"Effect": "Allow", "Principal": "*", "Action": "s3:*",
        "Resource": [format!("arn:aws:sqs:*:{OLD}:q"), format!("arn:aws:sqs:*:{NEW}:q")]}]));
    let edits = insertions(&before, &after);
    assert!(prove(&before, &after, POLICY, &accounts(), Mode::Swap, &edits).is_err());
    // Nor to bring something in.
    let log = |account: &str| format!("arn:aws:s3:::logs/AWSLogs/{account}/*");
    let before =
        policy(&json!([{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": log(OLD)}]));
    let after = policy(
        &json!([{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": [log(OLD), log(NEW), "*"]}]),
    );
    let edits = insertions(&before, &after);
    assert!(prove(&before, &after, POLICY, &accounts(), Mode::Swap, &edits).is_err());
}
