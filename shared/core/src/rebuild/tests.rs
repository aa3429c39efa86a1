use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::failure::{StackEvent, first_cause};
use super::isolation::{StackFacts, StackResource, examine};
use super::request::{request_token, session_policy, stack_tags};
use super::templates::{Template, check, check_one};
use super::waves::{Advance, ObservedStack, Removal, StackState, advance, removal};
use super::{CheckStatus, IsolationCheck, RebuildDocument};
use crate::artifact::Digest;
use crate::plan::{Plan, Stack};
use crate::run::{RunId, WorkloadName};

const PLAN: &str = include_str!("../../../../tests/data/plan/orders.json");
const OLD: &str = "999999999999";

fn plan_of(templates: &[(&str, &Value)]) -> (Plan, BTreeMap<String, Vec<u8>>) {
    let mut plan = Plan::parse(PLAN.as_bytes()).unwrap();
    let mut bytes = BTreeMap::new();
    plan.rebuild
        .stacks
        .retain(|stack| templates.iter().any(|(name, _)| stack.name == *name));
    for (name, template) in templates {
        let text = serde_json::to_vec(template).unwrap();
        let stack = plan.rebuild.stacks.iter_mut().find(|s| s.name == *name).unwrap();
        stack.template.sha256 = Digest::of(&text);
        bytes.insert((*name).to_owned(), text);
    }
    (plan, bytes)
}

fn role(principal: &Value) -> Value {
    json!({
        "Parameters": { "Trusted": { "Type": "String" } },
        "Resources": { "Role": { "Type": "AWS::IAM::Role", "Properties": { "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal }]
        } } } }
    })
}

fn problems(template: &Value) -> Vec<String> {
    let (plan, bytes) = plan_of(&[("orders-app", template)]);
    match check(&plan, &bytes) {
        Ok(_) => Vec::new(),
        Err(refused) => refused.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn principals_of_the_rebuild_account_and_services_pass_however_they_are_written() {
    for principal in [
        json!({ "Service": "lambda.amazonaws.com" }),
        json!({ "Service": ["lambda.amazonaws.com", { "Fn::Sub": "states.${AWS::URLSuffix}" }] }),
        json!({ "AWS": "333333333333" }),
        json!({ "AWS": "arn:aws:iam::333333333333:root" }),
        json!({ "AWS": { "Ref": "AWS::AccountId" } }),
        json!({ "AWS": { "Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/x" } }),
        json!({ "AWS": { "Fn::Join": [":", ["arn", "aws", "iam", "", { "Ref": "AWS::AccountId" }, "root"]] } }),
        json!({ "AWS": { "Fn::GetAtt": ["Role", "Arn"] } }),
        json!({ "AWS": { "Fn::Sub": "${Role.Arn}" } }),
        json!({ "AWS": { "Fn::Sub": ["arn:aws:iam::${A}:root", { "A": { "Ref": "AWS::AccountId" } }] } }),
    ] {
        assert_eq!(problems(&role(&principal)), Vec::<String>::new(), "{principal}");
    }
}

#[test]
fn every_other_principal_is_refused_with_its_place() {
    for principal in [
        json!("*"),
        json!({ "AWS": "*" }),
        json!({ "AWS": "888888888888" }),
        json!({ "AWS": ["333333333333", "arn:aws:iam::888888888888:root"] }),
        json!({ "AWS": { "Ref": "Trusted" } }),
        json!({ "AWS": { "Fn::ImportValue": "partner-role" } }),
        json!({ "AWS": { "Fn::Sub": "arn:aws:iam::${Trusted}:root" } }),
        json!({ "AWS": { "Fn::Sub": "${Trusted}:iam::333333333333:root" } }),
        // What is not known could hold colons, and an account of its own.
        json!({ "AWS": { "Fn::Sub": "arn:${Trusted}:iam::333333333333:root" } }),
        json!({ "AWS": { "Fn::If": ["C", "333333333333", "888888888888"] } }),
        json!({ "Service": "evil.example.com" }),
        json!({ "Service": "evil.example.com/.amazonaws.com" }),
        json!({ "Federated": "accounts.google.com" }),
        json!({ "CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be" }),
        json!({ "Fn::If": ["C", { "AWS": "888888888888" }, { "AWS": "333333333333" }] }),
    ] {
        let found = problems(&role(&principal));
        assert_eq!(found.len(), 1, "{principal}: {found:?}");
        assert!(
            found[0].starts_with(
                "orders-app: Resources.Role.Properties.AssumeRolePolicyDocument.Statement[0].Principal"
            ),
            "{found:?}"
        );
    }
}

#[test]
fn a_statement_cannot_hide_from_the_reader() {
    let allow = json!({ "Effect": "Allow", "Action": "*", "Principal": { "AWS": "888888888888" } });
    let document = json!({ "Statement": [allow] });
    let hidden = [
        json!({ "Statement": allow }),
        json!({ "Statement": { "Fn::If": ["C", [allow], { "Ref": "AWS::NoValue" }] } }),
        json!({ "Statement": [{ "Fn::If": ["C", { "Ref": "AWS::NoValue" }, allow] }] }),
        json!({ "Fn::If": ["C", document, document] }),
        json!(document.to_string()),
        json!({ "Fn::Sub": document.to_string() }),
        json!({ "Ref": "Trusted" }),
        json!([document]),
        json!({ "Statement": [{ "Effect": "Allow", "Action": "*", "NotPrincipal": { "AWS": "888888888888" } }] }),
        json!({ "Statement": [{ "Effect": { "Ref": "Trusted" }, "Principal": "*" }] }),
    ];
    for hidden in hidden {
        let template = json!({ "Resources": { "Q": { "Type": "AWS::SQS::Queue", "Properties": { "PolicyDocument": hidden } } } });
        assert!(!problems(&template).is_empty(), "{hidden}");
    }
    let denied = json!({ "Statement": [{ "Effect": "Deny", "Principal": "*", "Action": "*" }] });
    let template = json!({ "Resources": { "Q": { "Type": "AWS::SQS::Queue", "Properties": { "PolicyDocument": denied } } } });
    assert_eq!(problems(&template), Vec::<String>::new());
}

#[test]
fn all_problems_of_all_templates_are_reported_at_once() {
    let template = json!({
        "Description": format!("moved from {OLD}"),
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {
            "Gateway": { "Type": "AWS::EC2::InternetGateway" },
            "Nested": { "Type": "AWS::CloudFormation::Stack" },
            "Odd": {},
            "Role": { "Type": "AWS::IAM::Role", "Properties": { (OLD): 999_999_999_999_u64 } },
            "Queue": { "Type": "AWS::SQS::Queue", "Properties": {
                "QueueName": { "Fn::Join": ["", ["q-999999", "999999"]] },
                "Tags": [{ "Fn::Transform": { "Name": "AWS::Include" } }]
            } }
        }
    });
    let (plan, mut bytes) = plan_of(&[
        ("orders-app", &template),
        ("orders-foundation", &role(&json!("*"))),
    ]);
    let refused = check(&plan, &bytes).unwrap_err();
    let found: Vec<_> = refused.0.iter().map(|problem| problem.at.as_str()).collect();
    for expected in [
        "orders-foundation: Resources.Role.Properties.AssumeRolePolicyDocument.Statement[0].Principal",
        "orders-app: Description",
        "orders-app: Transform",
        "orders-app: Resources.Gateway.Type",
        "orders-app: Resources.Nested.Type",
        "orders-app: Resources.Odd.Type",
        "orders-app: Resources.Role.Properties.999999999999",
        "orders-app: Resources.Queue.Properties.QueueName",
        "orders-app: Resources.Queue.Properties.Tags[0].Fn::Transform",
    ] {
        assert!(found.contains(&expected), "{expected} is not in {found:?}");
    }

    bytes.remove("orders-app");
    assert!(
        check(&plan, &bytes).is_err(),
        "a template that was not read is no passed template"
    );
}

#[test]
fn a_template_with_another_digest_is_not_looked_into() {
    let (plan, mut bytes) = plan_of(&[("orders-app", &role(&json!({ "Service": "lambda.amazonaws.com" })))]);
    bytes.get_mut("orders-app").unwrap().push(b' ');
    let refused = check(&plan, &bytes).unwrap_err();
    assert_eq!(refused.0.len(), 1);
    assert!(refused.0[0].what.contains("has the digest"), "{refused}");
}

fn run() -> RunId {
    RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x")
}

fn observed(status: &str, template: &Digest) -> ObservedStack {
    ObservedStack {
        id: "arn:aws:cloudformation:eu-central-1:333333333333:stack/orders-app/1".to_owned(),
        status: status.to_owned(),
        reason: None,
        tags: stack_tags(&run(), template),
        parameters: BTreeMap::new(),
        outputs: BTreeMap::new(),
    }
}

#[test]
fn a_stack_counts_only_if_this_run_made_it_from_this_template() {
    let digest = Digest::of(b"template");
    let stack = observed("CREATE_COMPLETE", &digest);
    assert_eq!(
        StackState::of(&run(), &digest, Some(&stack)),
        StackState::Complete
    );
    assert_eq!(StackState::of(&run(), &digest, None), StackState::Absent);
    let foreign = |stack: &ObservedStack, digest: &Digest| {
        matches!(
            StackState::of(&run(), digest, Some(stack)),
            StackState::Foreign { .. }
        )
    };
    assert!(foreign(&stack, &Digest::of(b"another")));
    assert!(foreign(&observed("UPDATE_COMPLETE", &digest), &digest));
    let mut other = stack;
    other.tags.insert(
        super::request::RUN_TAG.to_owned(),
        "orders-000000000000".to_owned(),
    );
    assert!(foreign(&other, &digest));
    other.tags.clear();
    assert!(foreign(&other, &digest));
}

fn stacks(waves: &[u16]) -> Vec<Stack> {
    let (plan, _) = plan_of(&[("orders-app", &json!({}))]);
    let template = &plan.rebuild.stacks[0];
    waves
        .iter()
        .enumerate()
        .map(|(i, wave)| Stack {
            name: format!("s{i}"),
            wave: *wave,
            ..template.clone()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn advancing_builds_every_stack_once_and_no_wave_before_the_one_below(
        waves in proptest::collection::vec(0_u16..4, 0..8),
        finish in proptest::collection::vec(any::<bool>(), 64),
    ) {
        let stacks = stacks(&waves);
        let mut states: BTreeMap<String, StackState> = BTreeMap::new();
        let mut finish = finish.into_iter().cycle();
        loop {
            match advance(&stacks, &states) {
                Advance::Start(next) => {
                    prop_assert!(!next.is_empty());
                    for stack in next {
                        let below_done = stacks.iter().filter(|other| other.wave < stack.wave)
                            .all(|other| states.get(&other.name) == Some(&StackState::Complete));
                        prop_assert!(below_done, "{} was started too early", stack.name);
                        prop_assert_eq!(states.insert(stack.name.clone(), StackState::Creating), None);
                    }
                }
                Advance::Wait => {
                    let creating: Vec<_> = states.iter().filter(|(_, s)| **s == StackState::Creating).map(|(n, _)| n.clone()).collect();
                    prop_assert!(!creating.is_empty(), "waits for nothing");
                    for (i, name) in creating.into_iter().enumerate() {
                        if i == 0 || finish.next().unwrap_or(true) {
                            states.insert(name, StackState::Complete);
                        }
                    }
                }
                Advance::Done => break,
                Advance::Stop(blocked) => prop_assert!(false, "{blocked:?}"),
            }
        }
        prop_assert_eq!(states.len(), stacks.len());

        loop {
            match removal(&stacks, &states) {
                Removal::Delete(next) => for stack in next {
                    let above_gone = stacks.iter().filter(|other| other.wave > stack.wave)
                        .all(|other| !states.contains_key(&other.name));
                    prop_assert!(above_gone, "{} was deleted too early", stack.name);
                    states.insert(stack.name.clone(), StackState::Deleting);
                },
                Removal::Wait => states.retain(|_, state| *state != StackState::Deleting),
                Removal::Done => break,
                Removal::Stop(stuck) => prop_assert!(false, "{stuck:?}"),
            }
        }
        prop_assert!(states.is_empty());
    }
}

#[test]
fn a_failed_or_foreign_stack_stops_and_a_foreign_one_is_never_deleted() {
    let stacks = stacks(&[0, 1, 1]);
    let foreign = StackState::Foreign {
        why: "it has no tag".to_owned(),
    };
    let failed = StackState::Failed {
        status: "ROLLBACK_COMPLETE".to_owned(),
    };
    let states = BTreeMap::from([("s1".to_owned(), foreign), ("s2".to_owned(), failed)]);
    let Advance::Stop(blocked) = advance(&stacks, &states) else {
        panic!("must stop");
    };
    assert_eq!(blocked.len(), 2);
    assert_eq!(removal(&stacks, &states), Removal::Delete(vec![&stacks[2]]));

    let failed = StackState::Failed {
        status: "DELETE_FAILED".to_owned(),
    };
    let states = BTreeMap::from([("s0".to_owned(), failed)]);
    assert!(matches!(removal(&stacks, &states), Removal::Stop(_)));
}

fn event(second: i64, id: &str, kind: &str, status: &str, reason: &str) -> StackEvent {
    StackEvent {
        at: jiff::Timestamp::from_second(second).unwrap(),
        id: format!("{second}-{id}"),
        logical_id: id.to_owned(),
        resource_type: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
    }
}

#[test]
fn the_cause_is_the_first_failure_that_is_no_consequence() {
    let stack = "AWS::CloudFormation::Stack";
    let mut events = vec![
        event(
            1,
            "Queue",
            "AWS::SQS::Queue",
            "CREATE_FAILED",
            "Resource creation cancelled",
        ),
        event(
            2,
            "Role",
            "AWS::IAM::Role",
            "CREATE_FAILED",
            "is not authorized\u{202e}",
        ),
        event(3, "Topic", "AWS::SNS::Topic", "CREATE_FAILED", "limit exceeded"),
        event(
            0,
            "app",
            stack,
            "ROLLBACK_IN_PROGRESS",
            "The following resource(s) failed: [Role]",
        ),
        event(0, "Key", "AWS::KMS::Key", "CREATE_COMPLETE", ""),
    ];
    let cause = first_cause(&events).unwrap();
    assert_eq!(
        cause,
        "`Role` (AWS::IAM::Role) is CREATE_FAILED: is not authorized\\u{202e}"
    );
    events.reverse();
    assert_eq!(first_cause(&events).unwrap(), cause);
    events.retain(|event| event.resource_type == stack);
    assert!(first_cause(&events).unwrap().contains("failed: [Role]"));
    assert_eq!(first_cause(&[]), None);
}

fn examined(template: &Value, change: impl FnOnce(&mut StackFacts)) -> Vec<IsolationCheck> {
    let (mut plan, bytes) = plan_of(&[("orders-app", template)]);
    let mut fact = StackFacts {
        stack: observed("CREATE_COMPLETE", &plan.rebuild.stacks[0].template.sha256),
        template: Some(serde_json::to_string_pretty(template).unwrap()),
        resources: template["Resources"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, resource)| StackResource {
                logical_id: name.clone(),
                resource_type: resource["Type"].as_str().unwrap().to_owned(),
                physical_id: Some(format!("{name}-1")),
                status: "CREATE_COMPLETE".to_owned(),
            })
            .collect(),
    };
    fact.stack
        .parameters
        .clone_from(&plan.rebuild.stacks[0].parameters);
    plan.rebuild.allowed_resource_types.extend(
        template["Resources"]
            .as_object()
            .unwrap()
            .values()
            .map(|resource| resource["Type"].as_str().unwrap().to_owned()),
    );
    change(&mut fact);
    let body = String::from_utf8(bytes["orders-app"].clone()).unwrap();
    let digest = Digest::of(body.as_bytes());
    let templates = BTreeMap::from([("orders-app".to_owned(), Template { body, digest })]);
    examine(
        &plan,
        &templates,
        &BTreeMap::from([("orders-app".to_owned(), fact)]),
    )
}

fn status(checks: &[IsolationCheck], name: &str) -> CheckStatus {
    checks.iter().find(|check| check.check == name).unwrap().status
}

#[test]
fn what_is_closed_passes_every_check() {
    let checks = examined(&role(&json!({ "Service": "lambda.amazonaws.com" })), |_| {});
    assert!(
        checks.iter().all(|check| check.status == CheckStatus::Pass),
        "{checks:?}"
    );
    let document = RebuildDocument {
        schema: super::SCHEMA.to_owned(),
        stacks: Vec::new(),
        isolation: checks,
        items: Vec::new(),
    };
    assert!(document.is_isolated());
    assert!(
        !RebuildDocument {
            isolation: Vec::new(),
            ..document
        }
        .is_isolated()
    );
}

#[test]
fn each_way_out_fails_its_check() {
    let of = |kind: &str, properties: Value| json!({ "Resources": { "R": { "Type": kind, "Properties": properties } } });
    let open = json!({ "SecurityGroupIngress": [{ "CidrIp": "10.0.0.0/8" }, { "CidrIpv6": "0::/0" }] });
    let unknown = json!({ "CidrIp": { "Fn::ImportValue": "range" } });
    for (template, check, expected) in [
        (
            of("AWS::EC2::InternetGateway", json!({})),
            "network",
            CheckStatus::Fail,
        ),
        (
            of("AWS::EC2::VPCPeeringConnection", json!({})),
            "network",
            CheckStatus::Fail,
        ),
        (
            of("AWS::EC2::Route", json!({ "NatGatewayId": "x" })),
            "network",
            CheckStatus::Fail,
        ),
        (of("Custom::Anything", json!({})), "network", CheckStatus::Unknown),
        (
            of("AWS::EC2::EIP", json!({})),
            "public_address",
            CheckStatus::Fail,
        ),
        (
            of("AWS::EC2::Subnet", json!({ "MapPublicIpOnLaunch": true })),
            "public_address",
            CheckStatus::Fail,
        ),
        (
            of(
                "AWS::EC2::Subnet",
                json!({ "MapPublicIpOnLaunch": { "Ref": "P" } }),
            ),
            "public_address",
            CheckStatus::Unknown,
        ),
        (
            of("AWS::RDS::DBInstance", json!({})),
            "public_address",
            CheckStatus::Unknown,
        ),
        (
            of("AWS::ElasticLoadBalancingV2::LoadBalancer", json!({})),
            "public_address",
            CheckStatus::Fail,
        ),
        (
            of("AWS::S3::Bucket", json!({ "AccessControl": "PublicRead" })),
            "public_address",
            CheckStatus::Fail,
        ),
        (
            of("AWS::EC2::SecurityGroup", open),
            "security_groups",
            CheckStatus::Fail,
        ),
        (
            of("AWS::EC2::SecurityGroupIngress", unknown),
            "security_groups",
            CheckStatus::Unknown,
        ),
        (
            role(&json!({ "AWS": "888888888888" })),
            "trust",
            CheckStatus::Fail,
        ),
    ] {
        let checks = examined(&template, |_| {});
        assert_eq!(status(&checks, check), expected, "{template}");
    }
}

#[test]
fn what_was_not_seen_or_differs_does_not_pass() {
    let template = role(&json!({ "Service": "lambda.amazonaws.com" }));
    type Change = fn(&mut StackFacts);
    let cases: [(Change, &str, CheckStatus); 7] = [
        (|fact| fact.template = None, "template", CheckStatus::Unknown),
        (
            |fact| fact.template = Some("{}".to_owned()),
            "template",
            CheckStatus::Fail,
        ),
        (
            |fact| fact.stack.parameters.clear(),
            "trust",
            CheckStatus::Unknown,
        ),
        (
            |fact| {
                drop(
                    fact.stack
                        .outputs
                        .insert("Role".to_owned(), format!("arn:aws:iam::{OLD}:role/x")),
                )
            },
            "trust",
            CheckStatus::Fail,
        ),
        (|fact| fact.resources.clear(), "complete", CheckStatus::Unknown),
        (
            |fact| fact.resources[0].status = "CREATE_FAILED".to_owned(),
            "complete",
            CheckStatus::Unknown,
        ),
        (
            |fact| fact.resources[0].logical_id = "Extra".to_owned(),
            "complete",
            CheckStatus::Fail,
        ),
    ];
    for (change, check, expected) in cases {
        let checks = examined(&template, change);
        assert_eq!(status(&checks, check), expected, "{check}: {checks:?}");
    }
    let (plan, _) = plan_of(&[("orders-app", &template)]);
    let checks = examine(&plan, &BTreeMap::new(), &BTreeMap::new());
    assert!(checks.iter().all(|check| check.status == CheckStatus::Unknown));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hostile_templates_never_pass_with_the_old_account_in_them_and_never_panic(
        noise in "\\PC{0,40}",
        split in 1_usize..12,
        nested in 0_usize..3,
    ) {
        let (head, tail) = OLD.split_at(split);
        let mut value = json!({ "Fn::Join": ["", [noise, head, { "Fn::Sub": tail }]] });
        for _ in 0..nested {
            value = json!([{ "Value": value }]);
        }
        let template = json!({ "Resources": { "Q": { "Type": "AWS::SQS::Queue", "Properties": { "Tags": value } } } });
        prop_assert!(!problems(&template).is_empty());
        let (plan, _) = plan_of(&[("orders-app", &template)]);
        let _ = check_one(&plan, &plan.rebuild.stacks[0], noise.as_bytes());
        let sub = json!({ "Resources": { "Q": { "Type": "AWS::SQS::Queue", "Properties": { "QueueName": { "Fn::Sub": noise } } } } });
        let _ = problems(&sub);
    }
}

#[test]
fn requests_are_the_same_when_repeated_and_differ_in_everything_else() {
    let stacks = stacks(&[0, 0]);
    let token = request_token(&run(), &stacks[0], "create");
    assert_eq!(token, request_token(&run(), &stacks[0], "create"));
    assert_ne!(token, request_token(&run(), &stacks[0], "delete"));
    assert_ne!(token, request_token(&run(), &stacks[1], "create"));
    assert!(
        token.len() <= 128 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
        "{token}"
    );
}

#[test]
fn a_session_is_bound_to_the_plans_stacks_and_fits_the_limit_of_sts() {
    let (mut plan, _) = plan_of(&[("orders-app", &json!({}))]);
    let policy = session_policy(&plan);
    assert!(policy.contains(":333333333333:stack/orders-app/*"), "{policy}");
    assert!(!policy.contains("stack/*"), "{policy}");
    plan.rebuild.stacks = stacks(&[0; 100]);
    assert!(session_policy(&plan).len() <= 2_048);
}

#[test]
fn the_rules_of_a_plan_hold_for_every_resource_of_their_type() {
    let queue = |properties: Value| json!({ "Parameters": { "Sse": { "Type": "String", "Default": "true" } }, "Resources": { "Queue": { "Type": "AWS::SQS::Queue", "Properties": properties } } });
    let broken = |template: &Value, must: Value| {
        let (mut plan, bytes) = plan_of(&[("orders-app", template)]);
        let rule = json!({"type": "AWS::SQS::Queue", "property": "/Sse/Enabled", "must": must, "reason": "names of customers"});
        plan.rebuild.rules = vec![serde_json::from_value(rule).unwrap()];
        assert!(plan.problems().is_empty(), "{:?}", plan.problems());
        check(&plan, &bytes).err().map(|refused| refused.to_string())
    };
    let be_true = || json!({"be": [true]});
    for good in [
        json!({"Sse": {"Enabled": true}}),
        json!({"Sse": {"Enabled": "true"}}),
        json!({"Sse": {"Enabled": {"Ref": "Sse"}}}),
    ] {
        assert_eq!(broken(&queue(good), be_true()), None);
    }
    for (bad, what) in [
        (json!({}), "is missing"),
        (json!({"Sse": {"Enabled": false}}), "is `false`, not true"),
        (
            json!({"Sse": {"Enabled": {"Fn::ImportValue": "x"}}}),
            "not known before the stack exists",
        ),
    ] {
        let said = broken(&queue(bad), be_true()).unwrap();
        assert!(
            said.contains("orders-app: Resources.Queue.Properties.Sse.Enabled: ")
                && said.contains(what)
                && said.contains("names of customers"),
            "{said}"
        );
    }
    let given = queue(json!({"Sse": {"Enabled": false}}));
    assert_eq!(broken(&given, json!("exist")), None);
    assert!(broken(&given, json!("not_exist")).is_some());
    assert!(broken(&queue(json!({})), json!("exist")).is_some());
}

#[test]
fn a_rule_that_can_never_be_broken_or_says_no_reason_is_a_problem_of_the_plan() {
    let mut plan = Plan::parse(PLAN.as_bytes()).unwrap();
    let rule = json!({"type": "AWS::S3::Bucket", "property": "Name", "must": {"be": []}, "reason": " "});
    plan.rebuild.rules = vec![serde_json::from_value(rule).unwrap()];
    let at: Vec<String> = plan.problems().into_iter().map(|problem| problem.at).collect();
    let fields = ["type", "property", "must", "reason"];
    assert_eq!(at, fields.map(|field| format!("rebuild.rules[0].{field}")));
}
