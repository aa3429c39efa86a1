//! Bad documents: each problem is named with its place, and nothing panics or takes long.

use super::*;

fn refusal(text: &str, mode: Mode) -> String {
    rewrite(text, POLICY, &accounts(), mode)
        .expect_err("a bad document is refused")
        .to_string()
}

#[test]
fn a_truncated_policy_is_named_wherever_it_ends() {
    let whole = policy(
        &json!([{"Sid": "A\u{e9}", "Effect": "Allow", "Principal": {"AWS": [OLD, "*"]}, "Action": "s3:*",
        "Condition": {"Bool": {"aws:SecureTransport": true}, "NumericLessThan": {"s3:max-keys": 10}}}]),
    );
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        let error = scan(whole.get(..end).unwrap(), POLICY, &accounts()).expect_err("it is cut off");
        assert!(matches!(error, Unreadable::CutOff { .. }), "{end}: {error}");
    }
}

#[test]
fn a_key_that_stands_twice_is_refused_with_its_line() {
    let text = format!(
        "{{\n \"Statement\": [{{\n  \"Effect\": \"Allow\",\n  \"Effect\": \"Deny\",\n  \"Principal\": {{\"AWS\": \"{OLD}\"}}\n }}]\n}}"
    );
    let said = refusal(&text, Mode::Swap);
    assert!(
        said.contains("`Effect` stands twice") && said.contains("line 4"),
        "{said}"
    );
    // Inside a string it is no document, so nothing in it is trusted to mean one thing.
    let inside = json!({"Policy": text}).to_string();
    let tokens = scan(&inside, Form::Config, &accounts()).unwrap();
    assert!(tokens.iter().all(|token| token.encoding.is_empty()), "{tokens:?}");
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for text in [
        format!("{{\"Statement\":{}", "[".repeat(100_000)),
        format!("{{\"Statement\":{}{}}}", "[".repeat(500), "]".repeat(500)),
        format!("{}{OLD}{}", "{\"a\":".repeat(200), "}".repeat(200)),
    ] {
        assert!(refusal(&text, Mode::Swap).contains("deeper than"), "{:.40}", text);
    }
    // Strings in strings are followed to a depth, and what is below counts as text.
    let mut text = policy(&json!([{"Effect": "Allow", "Principal": {"AWS": OLD}, "Action": "s3:*"}]));
    for _ in 0..7 {
        text = json!({"body": text}).to_string();
    }
    let tokens = scan(&text, Form::Config, &accounts()).unwrap();
    assert_eq!(tokens.len(), 1, "{tokens:?}");
}

#[test]
fn an_account_inside_a_longer_number_is_no_reference() {
    let text = policy(
        &json!([{"Effect": "Allow", "Principal": {"AWS": format!("9{OLD}")}, "Action": "s3:*",
        "Condition": {"StringEquals": {"aws:RequestTag/at": format!("{OLD}000"), "s3:prefix": format!("1{OLD}2")}}}]),
    );
    assert!(scan(&text, POLICY, &accounts()).unwrap().is_empty());
    assert_eq!(
        rewrite(&text, POLICY, &accounts(), Mode::Swap).unwrap_err(),
        Refused::NothingToRewrite
    );
}

#[test]
fn wildcards_alone_are_nothing_and_a_partial_one_is_for_people() {
    let with = |principal: &str| {
        policy(
            &json!([{"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "*", "Resource": "*",
            "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:*:*:*:*"}}}]),
        )
    };
    assert_eq!(
        rewrite(&with("*"), POLICY, &accounts(), Mode::Expand).unwrap_err(),
        Refused::NothingToRewrite
    );
    let said = refusal(&with("arn:aws:iam::11111111????:role/x"), Mode::Expand);
    assert!(
        said.contains("11111111????") && said.contains("a person must decide"),
        "{said}"
    );
}

#[test]
fn a_successor_that_is_already_there_is_refused_in_every_spelling() {
    let text = policy(&json!([{"Effect": "Allow", "Principal": {"AWS": [OLD, NEW]}, "Action": "s3:*"}]));
    for packed in [
        text.clone(),
        Encoding::Url.encode(&text),
        Encoding::JsonString.encode(&text),
    ] {
        for mode in [Mode::Swap, Mode::Expand] {
            assert!(refusal(&packed, mode).contains(&format!("already contains `{NEW}`")));
        }
    }
}

#[test]
fn an_empty_map_is_no_map() {
    assert!(
        IdentifierMap::new([])
            .unwrap_err()
            .to_string()
            .contains("is empty")
    );
}

#[test]
fn bytes_that_are_no_text_and_documents_larger_than_any_are_named() {
    assert_eq!(text_of(b"{\"a\":\"\xff\"}"), Err(Unreadable::NotUtf8 { at: 6 }));
    let large = vec![b' '; LARGEST + 1];
    assert!(matches!(text_of(&large), Err(Unreadable::TooLarge { .. })));
}

/// A megabyte of statements that each need a second one: the size at which work per pair of statements would not end.
#[test]
fn a_policy_of_a_megabyte_is_rewritten_both_ways() {
    let statements: Vec<Value> = (0..5_000)
        .map(|number| {
            json!({"Sid": format!("S{number}"), "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{OLD}:role/r{number}")},
                "Action": "sqs:SendMessage", "Resource": "*", "Condition": {"StringEquals": {"aws:SourceAccount": OLD}}})
        })
        .collect();
    let text = policy(&json!(statements));
    assert!(text.len() > 900_000, "{}", text.len());
    let swapped = rewrite(&text, POLICY, &accounts(), Mode::Swap).unwrap();
    assert_eq!(swapped.after, text.replace(OLD, NEW));
    let expanded = rewrite(&text, POLICY, &accounts(), Mode::Expand).unwrap();
    assert_eq!(expanded.proof.changed, 5_000);
    assert_eq!(expanded.edits.len(), 5_000);
}

/// One statement with as many principals as fit into a megabyte, and one long text full of tokens.
#[test]
fn long_lists_and_long_texts_are_no_trouble() {
    let principals: Vec<String> = (0..20_000)
        .map(|number| format!("arn:aws:iam::{OLD}:role/r{number}"))
        .collect();
    let text = policy(&json!([{"Effect": "Allow", "Principal": {"AWS": principals}, "Action": "s3:*"}]));
    let expanded = rewrite(&text, POLICY, &accounts(), Mode::Expand).unwrap();
    assert_eq!(expanded.edits.len(), 20_000);
    let prose = json!({"log": format!("arn:aws:iam::{OLD}:role/x,").repeat(30_000)}).to_string();
    assert_eq!(scan(&prose, Form::Config, &accounts()).unwrap().len(), 30_000);
}

/// More combinations than can be looked at are refused, or shown without looking at each.
#[test]
fn too_many_constants_are_refused_and_do_not_blow_up() {
    let globs: Vec<String> = (0..40)
        .map(|number| format!("arn:aws:iam::{OLD}:role/*-n{number}*"))
        .collect();
    let arn_like = json!({"ArnLike": {"aws:PrincipalArn": globs}});
    let allow = json!({"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Condition": arn_like});
    // The statement once more as its image is the union whatever the constants are.
    let done = rewrite(&policy(&json!([allow])), POLICY, &accounts(), Mode::Expand).unwrap();
    assert_eq!(done.proof.requests, 0);
    let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Condition": arn_like});
    let said = refusal(&policy(&json!([allow, deny])), Mode::Expand);
    assert!(said.contains("too many constants"), "{said}");
}
