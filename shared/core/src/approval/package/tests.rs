use serde_json::from_value;

use super::*;
use crate::approval::fixtures::{Inputs, document, inputs};
use crate::plan::{CheckWaiver, Layer, WaivableCheck, Waiver};
use crate::rebuild::{CheckStatus, Objection};
use crate::validation::Verdict;

fn problems(inputs: &Inputs) -> Vec<String> {
    match inputs.build() {
        Ok(_) => Vec::new(),
        Err(PackageRefused::Inconsistent(problems)) => problems.into_iter().map(|p| p.at).collect(),
        Err(PackageRefused::Unwritable(error)) => panic!("{error}"),
    }
}

#[test]
fn consistent_inputs_give_the_same_package_twice() {
    let one = inputs().build().unwrap();
    assert_eq!(one, inputs().build().unwrap());
    assert_eq!(one.digest, Digest::of(&one.bytes));
    assert_eq!(one.package.references.len(), 2);
    assert_eq!(one.package.decide_by, "2026-03-02T12:00:00Z".parse().unwrap());
    assert_eq!(one.package.execute_by, "2026-03-03T12:00:00Z".parse().unwrap());
    assert!(
        one.package
            .identifiers
            .iter()
            .any(|pair| pair.old == "444444444444" && pair.new == "333333333333")
    );
    let read: DecisionPackage = serde_json::from_slice(&one.bytes).unwrap();
    assert_eq!(read, one.package);
}

type Change = fn(&mut Inputs);

#[test]
fn whatever_does_not_add_up_is_refused_at_its_place() {
    let cases: [(Change, &str); 20] = [
        (
            |i| i.selection.verdict.verdict = Verdict::Unknown,
            "selection.verdict",
        ),
        (
            |i| i.selection.verdict.set = "other".into(),
            "selection.verdict.set",
        ),
        (
            |i| {
                i.selection.verdict.layers.remove(&Layer::MalwareScan);
            },
            "selection.verdict.layers",
        ),
        (
            |i| i.selection.set.newest = "2026-02-20T23:00:01Z".parse().unwrap(),
            "selection.set.newest",
        ),
        (
            |i| i.selection.set.newest = "2026-02-19T00:00:00Z".parse().unwrap(),
            "selection.set.newest",
        ),
        (|i| i.selection.set.points.clear(), "selection.set.points.data"),
        (
            |i| i.selection.verdict.manifests.clear(),
            "selection.verdict.manifests.data",
        ),
        (
            |i| i.rebuild.isolation[0].status = CheckStatus::Unknown,
            "rebuild.isolation.egress",
        ),
        (|i| i.rebuild.isolation.clear(), "rebuild.isolation"),
        (
            |i| i.rebuild.stacks[0].template = Digest::of(b"other"),
            "rebuild.stacks.app",
        ),
        (|i| i.rebuild.stacks.clear(), "rebuild.stacks.app"),
        (
            |i| i.rebuild.schema = "blackstart.rebuild/2".into(),
            "rebuild.schema",
        ),
        (|i| i.inventory.documents.swap(0, 1), "inventory.documents"),
        (
            |i| i.inventory.documents[0] = from_value(document("one", 2, 1)).unwrap(),
            "inventory.documents.arn:aws:iam::666666666666:role/one",
        ),
        (
            |i| i.inventory.documents[0].slot.account = "777777777777".to_owned().try_into().unwrap(),
            "inventory.documents.arn:aws:iam::666666666666:role/one",
        ),
        (
            |i| {
                i.inventory.failures.push(crate::references::ReadFailure {
                    account: "666666666666".to_owned().try_into().unwrap(),
                    region: "us-east-1".into(),
                    service: "kms-keys".into(),
                    what: "keys".into(),
                    reason: "denied".into(),
                });
            },
            "inventory.failures.666666666666",
        ),
        (|i| i.plan.approval.quorum = 4, "plan.approval.quorum"),
        (|i| i.boundary.boundary = None, "boundary"),
        (
            |i| i.boundary.boundary.as_mut().unwrap().best = "2026-02-21T00:00:01Z".parse().unwrap(),
            "boundary.best",
        ),
        (
            |i| i.selection.boundary.document.sha256 = Digest::of(b"other"),
            "boundary",
        ),
    ];
    for (n, (change, at)) in cases.into_iter().enumerate() {
        let mut inputs = inputs();
        change(&mut inputs);
        assert!(
            problems(&inputs).iter().any(|p| p == at),
            "case {n}: {:?}",
            problems(&inputs)
        );
    }
}

#[test]
fn what_a_check_does_not_prove_passes_by_a_waiver_that_names_it_and_by_no_other() {
    let mut inputs = inputs();
    inputs.rebuild.isolation[0] = crate::rebuild::IsolationCheck {
        check: "drift".to_owned(),
        status: CheckStatus::Unknown,
        evidence: "2 resources".to_owned(),
        objections: vec![Objection {
            subject: "app/Schedule".to_owned(),
            status: CheckStatus::Unknown,
            what: "was not compared".to_owned(),
        }],
    };
    assert_eq!(problems(&inputs), ["rebuild.isolation.drift"]);
    let waiver = |subject: &str| CheckWaiver {
        check: WaivableCheck::Drift,
        subject: subject.to_owned(),
        reason: "its type cannot be compared".to_owned(),
        by: "grace".to_owned(),
    };
    inputs.plan.rebuild.waivers.push(waiver("app/Queue"));
    assert_eq!(problems(&inputs), ["rebuild.isolation.drift"]);
    inputs.plan.rebuild.waivers.push(waiver("app/Schedule"));
    assert_eq!(problems(&inputs), Vec::<String>::new());
    inputs.rebuild.isolation[0].objections[0].status = CheckStatus::Fail;
    assert_eq!(problems(&inputs), ["rebuild.isolation.drift"]);
}

#[test]
fn a_quorum_that_needs_the_requester_is_no_quorum() {
    let mut inputs = inputs();
    inputs.plan.approval.quorum = 3;
    assert_eq!(problems(&inputs), Vec::<String>::new());
    inputs.requester = Some("ada".into());
    assert_eq!(problems(&inputs), ["plan.approval.quorum"]);
}

#[test]
fn a_waived_document_is_shown_and_left_alone() {
    let mut inputs = inputs();
    inputs.inventory.documents[0] = from_value(document("one", 2, 1)).unwrap();
    inputs.plan.references.waivers.push(Waiver {
        document: "arn:aws:iam::666666666666:role/one".into(),
        reason: "unused".into(),
        by: "grace".into(),
    });
    let package = inputs.build().unwrap().package;
    assert_eq!(package.references.len(), 1);
    assert_eq!(
        package.references[0].slot.arn,
        "arn:aws:iam::666666666666:role/two"
    );
    assert_eq!(package.waivers.len(), 1);
}

#[test]
fn a_gap_and_an_item_without_a_writer_need_a_waiver_that_names_them() {
    let mut inputs = inputs();
    inputs.inventory.unhandled.push(
        from_value(serde_json::json!({
            "resource": {"account": "666666666666", "region": "us-east-1", "kind": "AWS::EFS::FileSystem",
                "name": "arn:aws:elasticfilesystem:us-east-1:666666666666:file-system/fs-1"},
            "part": "policy", "seen": [{"at": "Statement[0]", "source": "reader", "tokens": 1}], "reason": "no writer",
        }))
        .unwrap(),
    );
    inputs.inventory.failures.push(
        from_value(serde_json::json!({"account": "666666666666", "region": "eu-west-1", "service": "ram", "what": "every share",
            "reason": "denied"}))
        .unwrap(),
    );
    let item = "arn:aws:elasticfilesystem:us-east-1:666666666666:file-system/fs-1#policy";
    let unhandled = format!("inventory.unhandled.{item}");
    assert_eq!(
        problems(&inputs),
        ["inventory.failures.666666666666", unhandled.as_str()]
    );
    for document in [item, "666666666666/eu-west-1/ram"] {
        inputs.plan.references.waivers.push(Waiver {
            document: document.into(),
            reason: "moved by hand".into(),
            by: "grace".into(),
        });
    }
    assert_eq!(problems(&inputs), Vec::<String>::new());
}

#[test]
fn all_problems_are_told_at_once() {
    let mut inputs = inputs();
    inputs.rebuild.isolation.clear();
    inputs.selection.verdict.verdict = Verdict::Tainted;
    assert_eq!(problems(&inputs), ["rebuild.isolation", "selection.verdict"]);
}
