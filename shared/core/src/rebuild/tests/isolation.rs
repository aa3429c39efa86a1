//! What the isolation of the rebuilt network is decided from.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::drift::{Detection, DriftFacts, ResourceDrift};
use super::super::isolation::{StackFacts, StackResource, examine};
use super::super::surroundings::Survey;
use super::super::templates::Template;
use super::super::{CheckStatus, IsolationCheck, RebuildDocument};
use super::surroundings::empty_account;
use super::templates::role;
use super::{OLD, observed, plan_of};
use crate::artifact::Digest;

fn examined(template: &Value, change: impl FnOnce(&mut StackFacts)) -> Vec<IsolationCheck> {
    examined_in(&empty_account(), template, change)
}

/// The same, in an account that holds this besides.
pub(super) fn examined_in(
    survey: &Survey,
    template: &Value,
    change: impl FnOnce(&mut StackFacts),
) -> Vec<IsolationCheck> {
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
        drift: DriftFacts {
            detection: Detection::Complete,
            resources: Vec::new(),
        },
    };
    fact.drift.resources = fact
        .resources
        .iter()
        .map(|resource| ResourceDrift {
            logical_id: resource.logical_id.clone(),
            resource_type: resource.resource_type.clone(),
            status: "IN_SYNC".to_owned(),
            reason: None,
            differences: Vec::new(),
        })
        .collect();
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
        survey,
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
        schema: crate::rebuild::SCHEMA.to_owned(),
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
    let checks = examine(&plan, &BTreeMap::new(), &BTreeMap::new(), &Survey::default());
    assert!(checks.iter().all(|check| check.status == CheckStatus::Unknown));
}

#[test]
fn only_endpoints_of_aws_lead_out() {
    let of = |kind: &str, properties: Value| {
        let template = json!({ "Resources": { "R": { "Type": kind, "Properties": properties } } });
        status(&examined(&template, |_| {}), "network")
    };
    let endpoint = |name: Value| {
        of(
            "AWS::EC2::VPCEndpoint",
            json!({ "ServiceName": name, "VpcId": "vpc-1" }),
        )
    };
    assert_eq!(
        endpoint(json!({ "Fn::Sub": "com.amazonaws.${AWS::Region}.s3" })),
        CheckStatus::Pass
    );
    // The service of another account has a name that begins like AWS's own.
    assert_eq!(
        endpoint(json!(
            "com.amazonaws.vpce.eu-central-1.vpce-svc-0123456789abcdef0"
        )),
        CheckStatus::Fail
    );
    let elsewhere = json!({ "Fn::ImportValue": "service" });
    assert_eq!(endpoint(elsewhere.clone()), CheckStatus::Unknown);

    let function = |network: Value| of("AWS::Lambda::Function", network);
    assert_eq!(
        function(json!({ "VpcConfig": { "SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"] } })),
        CheckStatus::Pass
    );
    assert_eq!(function(json!({})), CheckStatus::Fail);
    assert_eq!(
        function(json!({ "VpcConfig": { "SubnetIds": [] } })),
        CheckStatus::Fail
    );
    assert_eq!(
        function(json!({ "VpcConfig": { "SubnetIds": elsewhere } })),
        CheckStatus::Unknown
    );

    let topic = |protocol: Value| {
        of(
            "AWS::SNS::Topic",
            json!({ "Subscription": [{ "Protocol": protocol, "Endpoint": "e" }] }),
        )
    };
    assert_eq!(topic(json!("sqs")), CheckStatus::Pass);
    assert_eq!(topic(json!("https")), CheckStatus::Fail);
    let subscription = |protocol: Value| of("AWS::SNS::Subscription", json!({ "Protocol": protocol }));
    assert_eq!(subscription(json!("email")), CheckStatus::Fail);
    assert_eq!(
        subscription(json!({ "Fn::ImportValue": "p" })),
        CheckStatus::Unknown
    );
}
