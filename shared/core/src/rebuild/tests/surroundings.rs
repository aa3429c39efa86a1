//! What the account holds beside the stacks.

use serde_json::json;

use super::super::surroundings::{Kind, Live, Survey, session_policy};
use super::super::{CheckStatus, IsolationCheck, RebuildDocument};
use super::OLD;
use super::isolation::examined_in;
use crate::plan::{CheckWaiver, WaivableCheck};
use crate::rebuild::request::MAX_SESSION_POLICY;
use crate::run::AccountId;

const HOME: &str = "111111111111";
const REBUILD: &str = "333333333333";

/// An account that holds nothing but the stacks.
pub(super) fn empty_account() -> Survey {
    Survey {
        home: Some(AccountId::try_from(HOME.to_owned()).unwrap()),
        found: Kind::all().map(|kind| (kind, Ok(Vec::new()))).collect(),
    }
}

fn live(id: &str, says: &[&str]) -> Live {
    Live {
        id: id.to_owned(),
        says: says.iter().map(|text| (*text).to_owned()).collect(),
        ..Live::default()
    }
}

fn holding(kind: Kind, live: Live) -> Vec<IsolationCheck> {
    let mut survey = empty_account();
    survey.found.insert(kind, Ok(vec![live]));
    let template = json!({ "Resources": { "Queue": { "Type": "AWS::SQS::Queue" } } });
    examined_in(&survey, &template, |_| {})
}

/// What speaks against the isolation: check, subject and status.
fn objections(checks: &[IsolationCheck]) -> Vec<(&str, &str, CheckStatus)> {
    checks
        .iter()
        .flat_map(|check| {
            let objections = check.objections.iter();
            objections.map(|found| (check.check.as_str(), found.subject.as_str(), found.status))
        })
        .collect()
}

#[test]
fn whatever_leads_out_of_the_account_or_lets_in_is_found_by_name() {
    for (kind, says, check) in [
        (Kind::ClientVpnEndpoint, &[][..], "network"),
        (Kind::EgressOnlyInternetGateway, &[], "network"),
        (Kind::InternetGateway, &["vpc-1"], "network"),
        (Kind::NatGateway, &["vpc-1"], "network"),
        (Kind::TransitGatewayAttachment, &["999999999999"], "network"),
        (
            Kind::VpcEndpoint,
            &["com.amazonaws.vpce.eu-central-1.vpce-svc-1"],
            "network",
        ),
        (Kind::VpcPeering, &["333333333333", "999999999999"], "network"),
        (Kind::VpnConnection, &[], "network"),
        (Kind::VpnGateway, &[], "network"),
        (Kind::Address, &["203.0.113.7"], "public_address"),
        (Kind::NetworkInterface, &["203.0.113.7"], "public_address"),
        (
            Kind::SecurityGroup,
            &["10.0.0.0/8", "0.0.0.0/0"],
            "security_groups",
        ),
    ] {
        let checks = holding(kind, live("x-1", says));
        let subject = format!("{}/x-1", kind.type_name());
        assert_eq!(
            objections(&checks),
            [(check, subject.as_str(), CheckStatus::Fail)]
        );
    }
}

#[test]
fn what_stays_inside_or_is_no_more_is_no_objection() {
    let gone = Live {
        state: Some("Deleted".to_owned()),
        ..live("x-1", &[])
    };
    for (kind, live) in [
        (Kind::NatGateway, gone),
        (Kind::VpcEndpoint, live("x-1", &["com.amazonaws.eu-central-1.s3"])),
        (Kind::NetworkInterface, live("x-1", &[])),
        (Kind::SecurityGroup, live("x-1", &["10.0.0.0/8"])),
    ] {
        let checks = holding(kind, live);
        assert!(objections(&checks).is_empty(), "{checks:?}");
    }
}

fn trusting(principal: &serde_json::Value) -> Vec<IsolationCheck> {
    let policy =
        json!({ "Statement": { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal } });
    holding(Kind::Role, live("R", &[&policy.to_string()]))
}

#[test]
fn a_role_may_trust_its_account_the_recovery_account_and_services_and_nobody_else() {
    for inside in [
        json!({ "Service": ["lambda.amazonaws.com"] }),
        json!({ "AWS": format!("arn:aws:iam::{REBUILD}:root") }),
        json!({ "AWS": [REBUILD, format!("arn:aws:iam::{HOME}:root")] }),
        json!({ "Federated": format!("arn:aws:iam::{REBUILD}:saml-provider/AWSSSO_1_DO_NOT_DELETE") }),
    ] {
        assert!(objections(&trusting(&inside)).is_empty(), "{inside}");
    }
    let role = "AWS::IAM::Role/R";
    for (outside, status) in [
        (
            json!({ "AWS": format!("arn:aws:iam::{OLD}:root") }),
            CheckStatus::Fail,
        ),
        (json!({ "AWS": OLD }), CheckStatus::Fail),
        (
            json!({ "Federated": format!("arn:aws:iam::{OLD}:oidc-provider/x") }),
            CheckStatus::Fail,
        ),
        (json!("*"), CheckStatus::Fail),
        (json!({ "AWS": ["*"] }), CheckStatus::Fail),
        (
            json!({ "AWS": "arn:aws:iam::555555555555:root" }),
            CheckStatus::Unknown,
        ),
        (json!({ "AWS": "AROAEXAMPLE" }), CheckStatus::Unknown),
        (
            json!({ "Federated": "accounts.google.com" }),
            CheckStatus::Unknown,
        ),
        (json!({ "AWS": { "Ref": "x" } }), CheckStatus::Unknown),
    ] {
        let checks = trusting(&outside);
        assert_eq!(objections(&checks), [("trust", role, status)], "{outside}");
    }
    let checks = holding(Kind::Role, live("R", &["no policy"]));
    assert_eq!(objections(&checks), [("trust", role, CheckStatus::Unknown)]);
    let checks = holding(Kind::Role, live("R", &[]));
    assert_eq!(objections(&checks), [("trust", role, CheckStatus::Unknown)]);
}

#[test]
fn what_a_stack_made_is_judged_by_its_template_but_a_rule_added_to_its_group_is_seen() {
    let template =
        json!({ "Resources": { "Group": { "Type": "AWS::EC2::SecurityGroup", "Properties": {} } } });
    let mut survey = empty_account();
    let of_the_stack = Live {
        aliases: vec!["Group-1".to_owned()],
        ..live("eni-1", &["203.0.113.7"])
    };
    survey
        .found
        .insert(Kind::NetworkInterface, Ok(vec![of_the_stack]));
    let group = live("Group-1", &["::/0"]);
    survey.found.insert(Kind::SecurityGroup, Ok(vec![group]));
    let checks = examined_in(&survey, &template, |_| {});
    assert_eq!(
        objections(&checks),
        [("security_groups", "orders-app/Group", CheckStatus::Fail)]
    );
}

#[test]
fn what_cannot_be_listed_is_unknown_and_let_pass_by_name_alone() {
    let mut survey = empty_account();
    survey
        .found
        .insert(Kind::VpcPeering, Err("listing was refused".to_owned()));
    survey.found.remove(&Kind::Role);
    let template = json!({ "Resources": { "Queue": { "Type": "AWS::SQS::Queue" } } });
    let document = RebuildDocument {
        schema: super::super::SCHEMA.to_owned(),
        stacks: Vec::new(),
        isolation: examined_in(&survey, &template, |_| {}),
        items: Vec::new(),
    };
    assert_eq!(
        objections(&document.isolation),
        [
            ("trust", "AWS::IAM::Role", CheckStatus::Unknown),
            ("network", "AWS::EC2::VPCPeeringConnection", CheckStatus::Unknown),
        ]
    );
    let waiver = |check, subject: &str| CheckWaiver {
        check,
        subject: subject.to_owned(),
        reason: "the account is new".to_owned(),
        by: "ada".to_owned(),
    };
    let of_roles = waiver(WaivableCheck::Trust, "AWS::IAM::Role");
    let of_peerings = waiver(WaivableCheck::Network, "AWS::EC2::VPCPeeringConnection");
    assert_eq!(document.not_let_pass(std::slice::from_ref(&of_roles)).len(), 1);
    assert!(document.not_let_pass(&[of_roles, of_peerings]).is_empty());
}

#[test]
fn trust_of_the_old_account_is_never_let_pass() {
    let checks = trusting(&json!({ "AWS": OLD }));
    let objection = checks.iter().flat_map(|check| &check.objections).next().unwrap();
    let waiver = CheckWaiver {
        check: WaivableCheck::Trust,
        subject: objection.subject.clone(),
        reason: "it must".to_owned(),
        by: "mallory".to_owned(),
    };
    assert!(!waiver.covers("trust", objection));
}

#[test]
fn the_session_that_looks_around_only_lists() {
    let policy = session_policy();
    assert!(policy.len() <= MAX_SESSION_POLICY, "{}", policy.len());
    for kind in Kind::all() {
        let action = kind.permission();
        assert!(policy.contains(action));
        assert!(
            action.contains(":Describe") || action.contains(":List"),
            "{action}"
        );
    }
}
