use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

pub(super) const PLAN: &str = include_str!("../../../../tests/data/plan/orders.json");

pub(super) fn sound() -> Value {
    serde_json::from_str(PLAN).unwrap()
}

pub(super) fn problems(document: &Value) -> Vec<String> {
    match Plan::parse(document.to_string().as_bytes()) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.0.into_iter().map(|problem| problem.at).collect(),
    }
}

fn set(document: &mut Value, pointer: &str, value: Value) {
    *document.pointer_mut(pointer).unwrap() = value;
}

#[test]
fn a_sound_plan_has_no_problem() {
    assert_eq!(problems(&sound()), Vec::<String>::new());
}

#[test]
fn each_problem_is_found_at_its_place() {
    let long = "x".repeat(4_097);
    let cases: Vec<(&str, Value, &str)> = vec![
        ("/schema", json!("blackstart.plan/9"), "schema"),
        ("/accounts/rebuild", json!("999999999999"), "accounts.rebuild"),
        (
            "/accounts/siblings",
            json!(["333333333333"]),
            "accounts.siblings[0]",
        ),
        (
            "/accounts/siblings",
            json!(["555555555555", "555555555555"]),
            "accounts.siblings[1]",
        ),
        ("/accounts/old", json!("99999999999"), "accounts.old"),
        ("/timeline/sources", json!([]), "timeline.sources"),
        ("/resources", json!([]), "resources"),
        ("/resources/1/id", json!("orders-data"), "resources[1].id"),
        (
            "/resources/0/restore_to",
            json!("Orders"),
            "resources[0].restore_to",
        ),
        ("/resources/1/restore_to", json!("a/b"), "resources[1].restore_to"),
        ("/resources/0/arn", json!("orders-data"), "resources[0].arn"),
        (
            "/resources/0/arn",
            json!("arn:aws-cn:s3:::orders-data"),
            "resources[0].arn",
        ),
        (
            "/resources/1/arn",
            json!("arn:aws:dynamodb:eu-central-1:888888888888:table/orders"),
            "resources[1].arn",
        ),
        ("/resources/1/type", json!("S3"), "resources[1].arn"),
        (
            "/validation/invariants/0/resource",
            json!("other"),
            "validation.invariants[0].resource",
        ),
        ("/approval/quorum", json!(3), "approval.quorum"),
        ("/approval/quorum", json!(0), "approval.quorum"),
        (
            "/approval/approvers/1/person",
            json!("ada"),
            "approval.approvers[1].person",
        ),
        (
            "/approval/approvers/1/identities",
            json!(["arn:aws:iam::111111111111:user/ada"]),
            "approval.approvers[1].identities",
        ),
        (
            "/rebuild/stacks/1/name",
            json!("orders-foundation"),
            "rebuild.stacks[1].name",
        ),
        ("/rebuild/stacks/1/name", json!("*"), "rebuild.stacks[1].name"),
        (
            "/rebuild/stacks/1/parameters/DataBucket",
            json!("x-999999999999"),
            "rebuild.stacks[1].parameters",
        ),
        (
            "/rebuild/allowed_resource_types",
            json!(["AWS::CloudFormation::Stack"]),
            "rebuild.allowed_resource_types",
        ),
        (
            "/rotation/secrets/0/name",
            json!("orders/*"),
            "rotation.secrets[0].name",
        ),
        (
            "/rotation/secrets/0/name",
            json!(long),
            "rotation.secrets[0].name",
        ),
        (
            "/rotation/secrets",
            json!([{"name": "a"}, {"name": "a"}]),
            "rotation.secrets[1].name",
        ),
        (
            "/rotation/secrets",
            json!([{"name": "a", "length": 8}]),
            "rotation.secrets[0].length",
        ),
        (
            "/cutover/names/0/name",
            json!("orders.example.com"),
            "cutover.names[0].name",
        ),
        ("/cutover/names/0/type", json!("MX"), "cutover.names[0].type"),
        ("/cutover/names/0/holding", json!([]), "cutover.names[0]"),
        ("/cutover/names", json!([]), "cutover.names"),
    ];
    for (pointer, value, at) in cases {
        let mut document = sound();
        set(&mut document, pointer, value.clone());
        let found = problems(&document);
        assert!(
            found.iter().any(|place| place == at),
            "{pointer} = {value}: {found:?}"
        );
    }
}

#[test]
fn every_unknown_field_is_reported_together_with_everything_else() {
    let mut document = sound();
    document["regoin"] = json!("eu-central-1");
    document["accounts"]["sibling"] = json!([]);
    document["timeline"]["sources"][0]["bukcet"] = json!("x");
    document["rebuild"]["stacks"][1]["waves"] = json!(1);
    document["approval"]["quorum"] = json!(9);
    let invalid = Plan::parse(document.to_string().as_bytes()).unwrap_err();
    let text = invalid.to_string();
    for part in ["`regoin`", "`sibling`", "`bukcet`", "`waves`", "approval.quorum"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(invalid.0.len(), 5, "{text}");
}

#[test]
fn a_field_that_is_given_twice_is_a_problem() {
    let twice = PLAN.replacen(
        "\"workload\": \"orders\",",
        "\"workload\": \"orders\", \"workload\": \"other\",",
        1,
    );
    assert!(Plan::parse(twice.as_bytes()).is_err());
    assert!(
        Plan::parse(format!("{PLAN} {{}}").as_bytes()).is_err(),
        "something follows the plan"
    );
}

#[test]
fn the_starting_point_is_sound_and_names_every_optional_section() {
    let plan = Plan::parse(STARTING_POINT.as_bytes()).unwrap();
    let written = serde_json::to_value(&plan).unwrap();
    let said = crate::yaml::read(STARTING_POINT).unwrap();
    for (section, fields) in written.as_object().unwrap() {
        for field in fields.as_object().into_iter().flat_map(|fields| fields.keys()) {
            let path = format!("{section}.{field}");
            // Names of roles are those that the account templates create.
            assert!(said.lines.contains_key(&path) || section == "roles", "{path}");
        }
    }
}

#[test]
fn yaml_says_the_same_as_json() {
    let json = serde_json::to_string(&crate::yaml::read(STARTING_POINT).unwrap().value).unwrap();
    assert_eq!(
        Plan::parse(json.as_bytes()).unwrap(),
        Plan::parse(STARTING_POINT.as_bytes()).unwrap()
    );
}

#[test]
fn every_mismatch_is_reported_at_once_with_its_line() {
    let bad = STARTING_POINT
        .replace("old: \"999999999999\"", "old: 999999999999")
        .replace("quorum: 2", "quorum: two")
        .replace("    restore_to: orders-restored\n", "")
        .replace("speculation: 2", "speculaton: 2")
        .replace("type: S3", "type: S4");
    let problems = Plan::parse(bad.as_bytes()).unwrap_err().0;
    let line = |needle: &str| bad.lines().position(|line| line.contains(needle)).unwrap() + 1;
    for (at, what, needle) in [
        ("accounts.old", "put it in quotes", "old: 999999999999"),
        ("approval.quorum", "expected u8", "quorum: two"),
        ("resources[1]", "missing field `restore_to`", "- id: orders-table"),
        ("validation.speculaton", "unknown field", "speculaton"),
        ("resources[0].type", "unknown variant `S4`", "type: S4"),
    ] {
        let problem = problems.iter().find(|problem| problem.at == at);
        let problem = problem.unwrap_or_else(|| panic!("{at} is not among {problems:#?}"));
        assert!(problem.what.contains(what), "{problem}");
        assert_eq!(line_of(&bad, at), line(needle), "{at}");
    }
    assert_eq!(problems.len(), 5, "{problems:#?}");
}

#[test]
fn yaml_that_is_none_is_reported_where_it_breaks() {
    let twice = format!("{STARTING_POINT}region: eu-west-1\n");
    let problems = Plan::parse(twice.as_bytes()).unwrap_err().0;
    assert!(
        problems[0].what.contains("`region` is given twice"),
        "{problems:?}"
    );
    assert_eq!(line_of(&twice, "."), twice.lines().count());
    assert!(Plan::parse(b"").is_err());
    assert!(Plan::parse(b"[]").is_err());
    assert!(
        Plan::parse(&[b'a', b':', 0xff])
            .unwrap_err()
            .to_string()
            .contains("UTF-8")
    );
}

#[test]
fn a_problem_has_the_line_of_its_value() {
    let line = |needle: &str| PLAN.lines().position(|line| line.contains(needle)).unwrap() + 1;
    for (at, needle) in [
        ("region", "\"region\""),
        ("accounts.siblings[1]", "\"siblings\""),
        ("resources[1].restore_to", "orders-restored"),
        ("rebuild.stacks[1].parameters.DataBucket", "DataBucket"),
        ("cutover.health.nonce", "\"nonce\""),
    ] {
        let expected = if at == "rebuild.stacks[1].parameters.DataBucket" {
            line("\"DataBucket\"")
        } else {
            line(needle)
        };
        assert_eq!(line_of(PLAN, at), expected, "{at}");
    }
    assert_eq!(line_of(PLAN, "."), 1);
    assert_eq!(line_of(PLAN, "accounts.missing"), line("\"accounts\""));
    assert_eq!(line_of("{", "accounts.missing"), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,80}", cut in any::<prop::sample::Index>(), at in "[a-z.\\[\\]0-9]{0,20}") {
        let _ = Plan::parse(text.as_bytes());
        let _ = line_of(&text, &at);
        let whole = PLAN.trim_end();
        let cut = whole.get(..cut.index(whole.len())).unwrap_or_default();
        prop_assert!(Plan::parse(cut.as_bytes()).is_err());
        prop_assert!(line_of(cut, &at) <= cut.lines().count() + 1);
    }
}

#[test]
fn shares_that_do_not_rise_to_all_and_authorities_that_are_none_are_found() {
    let bundle = |pem: &str, digest_of: &str| json!({"authorities": {"pem": pem, "sha256": Digest::of(digest_of.as_bytes())}});
    let begin = "-----BEGIN CERTIFICATE-----";
    let key = "-----BEGIN CERTIFICATE----- -----BEGIN PRIVATE KEY-----";
    let weighted =
        |shares: &[u8], hold: u32| json!({"kind": "weighted", "shares": shares, "hold_seconds": hold});
    for (at, field, value, place) in [
        ("", "shift", weighted(&[5, 5, 100], 60), "cutover.shift.shares"),
        ("", "shift", weighted(&[1, 50], 60), "cutover.shift.shares"),
        ("", "shift", weighted(&[0, 100], 60), "cutover.shift.shares"),
        ("", "shift", weighted(&[], 60), "cutover.shift.shares"),
        (
            "",
            "shift",
            weighted(&[100], 86_400),
            "cutover.shift.hold_seconds",
        ),
        (
            "/health",
            "tls",
            bundle(begin, "another"),
            "cutover.health.tls.authorities.sha256",
        ),
        (
            "/health",
            "tls",
            bundle("none", "none"),
            "cutover.health.tls.authorities.pem",
        ),
        (
            "/health",
            "tls",
            bundle(key, key),
            "cutover.health.tls.authorities.pem",
        ),
    ] {
        let mut document = sound();
        let cutover = document.pointer_mut(&format!("/cutover{at}")).unwrap();
        cutover[field] = value.clone();
        let found = problems(&document);
        assert!(
            found.iter().any(|found| found == place),
            "{field} = {value}: {found:?}"
        );
    }
    let mut document = sound();
    document["cutover"]["shift"] = json!({"kind": "weighted"});
    document["cutover"]["health"]["tls"] = bundle(begin, begin);
    assert_eq!(problems(&document), Vec::<String>::new());
}
