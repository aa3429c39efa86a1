use proptest::prelude::*;

use super::*;
use crate::approval::{DecisionPackage, PlannedReference};
use crate::artifact::ArtifactRef;
use crate::dns::{RecordSet, ZoneRecords};
use crate::plan::{IdentifierKind, IdentifierPair, Shift, TrafficName, Waiver};
use crate::references::{
    DocumentKind, InventoryDocument, ReadFailure, ReferenceDocument, Shutout, same_document, shutout,
};
use crate::run::{Mode, RunId, WorkloadName};
use crate::validation::RecoverySet;

const OLD: &str = "111111111111";
const NEW: &str = "222222222222";

fn account(id: &str) -> AccountId {
    AccountId::try_from(id.to_owned()).unwrap()
}

fn artifact() -> ArtifactRef {
    ArtifactRef {
        bucket: "b".to_owned(),
        key: "k".to_owned(),
        version: None,
        sha256: Digest::of(b""),
        bytes: 0,
    }
}

fn trust(text: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{text}"}},"Action":"sts:AssumeRole"}}]}}"#
    )
}

fn document(sibling: &str, kind: DocumentKind, arn: &str, text: &str) -> ReferenceDocument {
    ReferenceDocument {
        slot: Slot {
            account: account(sibling),
            region: String::new(),
            kind,
            arn: arn.to_owned(),
        },
        text: text.to_owned(),
        before: canonical_digest_of(text),
        tokens: 1,
        handled: 1,
        unhandled: Vec::new(),
    }
}

fn inventory() -> InventoryDocument {
    let principal = format!("arn:aws:iam::{OLD}:role/app");
    let bucket = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"s3:GetObject","Resource":"arn:aws:s3:::shared/*"}}]}}"#
    );
    InventoryDocument {
        documents_read: 9,
        documents: vec![
            document(
                "333333333333",
                DocumentKind::RoleTrust,
                "arn:aws:iam::333333333333:role/partner",
                &trust(&principal),
            ),
            document(
                "444444444444",
                DocumentKind::BucketPolicy,
                "arn:aws:s3:::shared",
                &bucket,
            ),
        ],
        ..InventoryDocument::empty()
    }
}

fn package(inventory: &InventoryDocument, expand: bool) -> DecisionPackage {
    let workload = WorkloadName::try_from("orders".to_owned()).unwrap();
    DecisionPackage {
        schema: "blackstart.decision/1".to_owned(),
        run: RunId::of_execution(&workload, "x"),
        workload,
        mode: Mode::Incident,
        plan: artifact(),
        boundary: jiff::Timestamp::UNIX_EPOCH,
        boundary_document: artifact(),
        boundary_evidence: serde_json::from_value(serde_json::json!({
            "schema": "blackstart.boundary/1", "boundary": null,
            "coverage": {"objects": 0, "records": 0, "first": null, "last": null, "gaps": []},
        }))
        .unwrap(),
        set: serde_json::from_value::<RecoverySet>(serde_json::json!({
            "id": "set", "newest": "2026-01-01T00:00:00Z", "oldest": "2026-01-01T00:00:00Z", "points": {}
        }))
        .unwrap(),
        verdict: serde_json::from_value(serde_json::json!({
            "set": "set", "verdict": "clean", "layers": {}, "manifests": {}, "at": "2026-01-01T00:00:00Z",
        }))
        .unwrap(),
        selection: artifact(),
        rebuild: artifact(),
        stacks: Vec::new(),
        isolation: Vec::new(),
        check_waivers: Vec::new(),
        restores: Vec::new(),
        secrets: Vec::new(),
        credentials: Vec::new(),
        inventory: artifact(),
        references: inventory
            .documents
            .iter()
            .map(|document| PlannedReference {
                slot: document.slot.clone(),
                before: document.before.clone(),
            })
            .collect(),
        identifiers: vec![IdentifierPair {
            kind: IdentifierKind::Account,
            old: OLD.to_owned(),
            new: NEW.to_owned(),
        }],
        expand,
        waivers: Vec::new(),
        zone: "Z1".to_owned(),
        names: vec![TrafficName {
            name: "shop.example.com.".to_owned(),
            record_type: "A".to_owned(),
            new: vec!["198.51.100.7".to_owned()],
            holding: vec!["203.0.113.9".to_owned()],
            ttl: 60,
        }],
        shift: Shift::default(),
        outer_gate: None,
        finished: None,
        decide_by: jiff::Timestamp::UNIX_EPOCH,
        execute_by: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn zone() -> ZoneRecords {
    let record = |name: &str, record_type: &str, value: &str| RecordSet {
        name: name.to_owned(),
        record_type: record_type.to_owned(),
        set_identifier: None,
        failover: None,
        weight: None,
        ttl: Some(300),
        values: vec![value.to_owned()],
        alias: None,
        health_check: None,
    };
    ZoneRecords {
        records: vec![
            record("example.com.", "NS", "ns1.example.net."),
            record("example.com.", "SOA", "ns1.example.net. x 1 2 3 4 5"),
            record("shop.example.com.", "A", "192.0.2.1"),
        ],
        other_routing: std::collections::BTreeSet::new(),
    }
}

fn plan_of(
    package: &DecisionPackage,
    inventory: &InventoryDocument,
) -> Result<CutoverDocument, CutoverRefused> {
    plan(&CutoverFacts {
        package,
        digest: &Digest::of(b"package"),
        inventory,
        contain: None,
        zone: &zone(),
        max_changed_percent: 50,
        max_deleted_percent: 30,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Beside the digest of the inventory: what was approved is compared document by document.
    #[test]
    fn an_inventory_that_changed_after_the_approval_changes_no_step(expand in any::<bool>(), at in any::<prop::sample::Index>(), mask in 1..=255u8) {
        let inventory = inventory();
        let package = package(&inventory, expand);
        let mut bytes = serde_json::to_vec(&inventory).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        if let Ok(changed) = serde_json::from_slice::<InventoryDocument>(&bytes)
            && let Ok(plan) = plan_of(&package, &changed)
        {
            let wanted = plan_of(&package, &inventory).unwrap();
            prop_assert_eq!(plan.steps.len(), wanted.steps.len());
            for (step, wanted) in plan.steps.iter().zip(&wanted.steps) {
                prop_assert_eq!(&step.slot, &wanted.slot);
                prop_assert!(same_document(&step.after, &wanted.after));
            }
        }
    }

    /// Whoever could exchange the package would still not get a document rewritten that it does not hold.
    #[test]
    fn documents_beyond_the_approved_ones_are_refused(keep in 0..2usize) {
        let inventory = inventory();
        let mut package = package(&inventory, true);
        package.references.truncate(keep);
        prop_assert!(plan_of(&package, &inventory).is_err());
    }
}

#[test]
fn an_old_account_that_is_not_contained_is_never_trusted_beside_the_new_one() {
    let inventory = inventory();
    let document = plan_of(&package(&inventory, false), &inventory).unwrap();
    assert_eq!(document.steps.len(), 2);
    for step in &document.steps {
        assert_eq!(step.phase, Phase::Expand);
        assert!(same_document(&step.after, &step.before.replace(OLD, NEW)));
        assert_eq!(shutout(&step.after, &account(OLD)), Shutout::Denied);
    }
    assert_eq!(
        document,
        plan_of(&package(&inventory, false), &inventory).unwrap()
    );
}

#[test]
fn a_contained_account_is_expanded_and_then_contracted_to_the_image() {
    let inventory = inventory();
    let document = plan_of(&package(&inventory, true), &inventory).unwrap();
    assert_eq!(document.steps.len(), 4);
    let (expand, contract) = document.steps.split_at(2);
    for (one, two) in expand.iter().zip(contract) {
        assert_eq!((one.phase, two.phase), (Phase::Expand, Phase::Contract));
        assert_eq!(one.after, two.before);
        assert!(one.after.contains(OLD) && one.after.contains(NEW));
        assert_eq!(shutout(&two.after, &account(OLD)), Shutout::Denied);
        assert!(same_document(&two.after, &one.before.replace(OLD, NEW)));

        let stand = |step, live: &str| document.stand(step, &canonical_digest_of(live));
        assert_eq!(stand(one, &one.before), Stand::Ready);
        assert_eq!(stand(two, &one.before), Stand::NotYet);
        assert_eq!(stand(one, &one.after), Stand::AlreadyDone);
        assert_eq!(stand(two, &one.after), Stand::Ready);
        assert_eq!(stand(one, &two.after), Stand::AlreadyDone);
        assert_eq!(stand(two, &two.after), Stand::AlreadyDone);
        assert_eq!(stand(one, &trust("*")), Stand::Drifted);
        assert_eq!(stand(two, &trust("*")), Stand::Drifted);
    }
    let order: Vec<_> = document
        .journal_steps()
        .into_iter()
        .map(|step| step.kind)
        .collect();
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn everything_that_stands_in_the_way_is_named() {
    let mut found = inventory();
    let package = {
        let mut package = package(&found, false);
        package.references.pop();
        package
    };
    found.failures.push(ReadFailure {
        account: account("333333333333"),
        region: "us-east-1".to_owned(),
        service: "sqs".to_owned(),
        what: "queue policies".to_owned(),
        reason: "access denied".to_owned(),
    });
    found.documents[0].text = trust("arn:aws:iam::111111111111:root");
    let mut foreign = document(
        "333333333333",
        DocumentKind::KeyPolicy,
        "arn:aws:kms:::key/1",
        "{}",
    );
    foreign.unhandled.push("part of a longer name".to_owned());
    found.unhandled.push(
        serde_json::from_value(serde_json::json!({
            "resource": {"account": "333333333333", "region": "", "kind": "AWS::IAM::Policy", "name": "policy/deploy"},
            "seen": [{"at": "Statement[0].Resource", "source": "reader", "tokens": 2}], "reason": "no writer",
        }))
        .unwrap(),
    );
    found.documents.push(foreign);
    let reasons = plan_of(&package, &found).unwrap_err().0.join("\n");
    for part in [
        "could not be read: access denied",
        "is not the document that was approved",
        "but was not approved",
        "no waiver names",
        "`policy/deploy` names the old account 2 time(s)",
    ] {
        assert!(reasons.contains(part), "`{part}` not in\n{reasons}");
    }
}

#[test]
fn a_waived_document_is_left_alone() {
    let mut found = inventory();
    found.documents[1].unhandled.push("a wildcard".to_owned());
    let mut package = package(&found, false);
    package.waivers.push(Waiver {
        document: "arn:aws:s3:::shared".to_owned(),
        reason: "frozen".to_owned(),
        by: "grace".to_owned(),
    });
    let document = plan_of(&package, &found).unwrap();
    assert_eq!(document.steps.len(), 1);
}

#[test]
fn a_session_can_write_one_document_and_nothing_else() {
    let inventory = inventory();
    insta::assert_snapshot!(
        session_policy(&inventory.documents[1].slot),
        @r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetBucketPolicy","s3:PutBucketPolicy"],"Resource":"arn:aws:s3:::shared"}]}"#
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_service_may_respell_any_value_of_the_chain(which in 0usize..3, compact in any::<bool>()) {
        let inventory = inventory();
        let document = plan_of(&package(&inventory, true), &inventory).unwrap();
        let (expand, contract) = (&document.steps[0], &document.steps[2]);
        let text = [&expand.before, &expand.after, &contract.after][which];
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let respelled = if compact { value.to_string() } else { serde_json::to_string_pretty(&value).unwrap() };
        let live = canonical_digest_of(&respelled);
        let stands = [
            (Stand::Ready, Stand::NotYet),
            (Stand::AlreadyDone, Stand::Ready),
            (Stand::AlreadyDone, Stand::AlreadyDone),
        ];
        prop_assert_eq!((document.stand(expand, &live), document.stand(contract, &live)), stands[which]);
    }
}

/// Of grants, a crash in the middle of a write leaves a set that is neither *before* nor *after*.
#[test]
fn a_half_written_set_of_grants_is_ours_only_after_an_intent_of_ours() {
    let entries = |accounts: &[&str]| {
        let grants: Vec<String> = accounts
            .iter()
            .map(|id| format!(r#"{{"GranteePrincipal":"arn:aws:iam::{id}:root","Operations":["Decrypt"]}}"#))
            .collect();
        format!(r#"{{"Entries":[{}]}}"#, grants.join(","))
    };
    let arn = "arn:aws:kms:us-east-1:333333333333:key/k";
    let text = entries(&[OLD, "999999999999"]);
    let found = InventoryDocument {
        documents_read: 1,
        documents: vec![document("333333333333", DocumentKind::KeyGrants, arn, &text)],
        ..InventoryDocument::empty()
    };
    let plan = plan_of(&package(&found, false), &found).unwrap();
    let step = &plan.steps[0];
    let half = entries(&[OLD, NEW, "999999999999"]);

    let mut journal = journal::Journal::new(&plan.journal_steps());
    let opened = journal::Event::Opened {
        package: Digest::of(b"package"),
        cutover: artifact(),
    };
    journal.record(&opened).unwrap();
    assert_eq!(plan.stand_in(&journal, step, &half), Stand::Drifted);
    let intent = journal::Event::Intent {
        step: step.id.clone(),
        before: step.before_digest(),
        after: step.after_digest(),
    };
    journal.record(&intent).unwrap();
    assert_eq!(plan.stand_in(&journal, step, &half), Stand::Ready);
    assert_eq!(plan.stand_in(&journal, step, &step.after), Stand::AlreadyDone);
    for foreign in [
        entries(&[OLD, NEW]),
        entries(&[OLD, NEW, "999999999999", "888888888888"]),
    ] {
        assert_eq!(
            plan.stand_in(&journal, step, &foreign),
            Stand::Drifted,
            "{foreign}"
        );
    }
}
