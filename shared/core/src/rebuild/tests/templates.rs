//! What a set of templates may hold.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::templates::{check, check_one};
use super::{OLD, PLAN, plan_of};
use crate::plan::Plan;

pub(super) fn role(principal: &Value) -> Value {
    json!({
        "Parameters": { "Trusted": { "Type": "String" } },
        "Resources": { "Role": { "Type": "AWS::IAM::Role", "Properties": { "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal }]
        } } } }
    })
}

pub(super) fn problems(template: &Value) -> Vec<String> {
    let (plan, bytes) = plan_of(&[("orders-app", template)]);
    match check(&plan, &bytes) {
        Ok(_) => Vec::new(),
        Err(refused) => refused.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
pub(super) fn principals_of_the_rebuild_account_and_services_pass_however_they_are_written() {
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
pub(super) fn every_other_principal_is_refused_with_its_place() {
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
pub(super) fn a_statement_cannot_hide_from_the_reader() {
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
pub(super) fn all_problems_of_all_templates_are_reported_at_once() {
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
pub(super) fn a_template_with_another_digest_is_not_looked_into() {
    let (plan, mut bytes) = plan_of(&[("orders-app", &role(&json!({ "Service": "lambda.amazonaws.com" })))]);
    bytes.get_mut("orders-app").unwrap().push(b' ');
    let refused = check(&plan, &bytes).unwrap_err();
    assert_eq!(refused.0.len(), 1);
    assert!(refused.0[0].what.contains("has the digest"), "{refused}");
}

#[test]
pub(super) fn the_rules_of_a_plan_hold_for_every_resource_of_their_type() {
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
pub(super) fn a_rule_that_can_never_be_broken_or_says_no_reason_is_a_problem_of_the_plan() {
    let mut plan = Plan::parse(PLAN.as_bytes()).unwrap();
    let rule = json!({"type": "AWS::S3::Bucket", "property": "Name", "must": {"be": []}, "reason": " "});
    plan.rebuild.rules = vec![serde_json::from_value(rule).unwrap()];
    let at: Vec<String> = plan.problems().into_iter().map(|problem| problem.at).collect();
    let fields = ["type", "property", "must", "reason"];
    assert_eq!(at, fields.map(|field| format!("rebuild.rules[0].{field}")));
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
