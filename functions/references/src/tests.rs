use std::collections::BTreeMap;
use std::sync::Mutex;

use blackstart_aws::analyzer::Checked;
use blackstart_aws::documents::Unread;
use blackstart_core::artifact::Digest;
use blackstart_core::references::services::SERVICES;
use blackstart_core::references::{DocumentKind, Slot};
use blackstart_core::task::StateContext;
use serde_json::json;

use super::*;

const OLD: &str = "111111111111";
const SIBLING: &str = "555555555555";

fn account(id: &str) -> AccountId {
    AccountId::try_from(id.to_owned()).unwrap()
}

fn run() -> RunId {
    RunId::try_from("orders-0123456789ab".to_owned()).unwrap()
}

fn artifact(key: &str) -> ArtifactRef {
    ArtifactRef {
        bucket: "artifacts".to_owned(),
        key: key.to_owned(),
        version: None,
        sha256: Digest::of(key.as_bytes()),
        bytes: 0,
    }
}

fn task(input: Operation) -> Task<Operation> {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    Task {
        context: StateContext {
            execution: "arn:aws:states:us-east-1:444444444444:execution:recovery:x".to_owned(),
            started: now,
            state: "Inventory sibling".to_owned(),
            entered: now,
            retry_count: 0,
            redrive_count: 0,
        },
        run: Some(run()),
        input,
    }
}

#[derive(Default)]
struct Shelf {
    identifiers: serde_json::Value,
    regions: Vec<&'static str>,
    snapshots: Option<serde_json::Value>,
    policy_checks: bool,
    written: Mutex<BTreeMap<String, InventoryDocument>>,
}

impl Artifacts for Shelf {
    async fn plan(&self, _: &ArtifactRef) -> Result<Plan, ArtifactError> {
        let plan = json!({
            "schema": "blackstart.plan/1",
            "workload": "orders",
            "region": "us-east-1",
            "accounts": {"old": OLD, "validation": "333333333333", "rebuild": "222222222222",
                "log_archive": "444444444444", "siblings": [SIBLING]},
            "timeline": {"sources": [{"kind": "cloudtrail", "bucket": "logs"}]},
            "resources": [{"id": "data", "arn": "arn:aws:s3:::orders", "type": "S3", "restore_to": "orders-new"}],
            "validation": {"vault": {"name": "vault"}},
            "approval": {"approvers": [{"person": "a", "identities": ["arn:aws:iam::444444444444:user/a"]}], "quorum": 1},
            "rebuild": {"stacks": [], "allowed_resource_types": []},
            "references": {"identifiers": self.identifiers,
                "waivers": [{"document": "arn:aws:iam::555555555555:role/waived", "reason": "kept for the audit", "by": "grace"}],
                "regions": self.regions, "access_analyzer": self.regions.len() > 1, "policy_checks": self.policy_checks,
                "config_snapshots": self.snapshots},
            "cutover": {"zone": "Z1", "names": [], "health": {"address": "192.0.2.1", "port": 443, "path": "/health",
                "nonce": {"bucket": "nonce", "key": "nonce"}}},
        });
        Ok(serde_json::from_value(plan).unwrap())
    }

    async fn inventory(&self, inventory: &ArtifactRef) -> Result<InventoryDocument, ArtifactError> {
        Ok(self.written.lock().unwrap().get(&inventory.key).cloned().unwrap())
    }

    async fn put(
        &self,
        _: &RunId,
        path: &str,
        inventory: &InventoryDocument,
    ) -> Result<ArtifactRef, ArtifactError> {
        self.written
            .lock()
            .unwrap()
            .insert(path.to_owned(), inventory.clone());
        Ok(artifact(path))
    }
}

fn shelf() -> Shelf {
    Shelf {
        identifiers: json!([]),
        ..Shelf::default()
    }
}

#[derive(Clone)]
struct Shop {
    roles: Vec<Reading>,
    keys: PortError,
    asked: std::sync::Arc<Mutex<Vec<String>>>,
}

impl Shop {
    fn new(roles: Vec<Reading>, keys: PortError) -> Self {
        Self {
            roles,
            keys,
            asked: std::sync::Arc::default(),
        }
    }
}

impl SiblingDocuments for Shop {
    async fn read(&self, region: &str, service: &'static Service) -> Result<Vec<Reading>, PortError> {
        self.asked
            .lock()
            .unwrap()
            .push(format!("{region}/{}", service.name));
        match service.name {
            "iam-roles" => Ok(self.roles.clone()),
            "kms-keys" => Err(self.keys.clone()),
            _ => Ok(Vec::new()),
        }
    }

    async fn findings(&self, region: &str) -> Result<Option<Vec<Observed>>, PortError> {
        Ok((region == "us-east-1").then(Vec::new))
    }
}

struct Organisation {
    sibling: Result<Shop, PortError>,
    snapshots: Vec<Snapshot>,
}

fn organisation(sibling: Result<Shop, PortError>) -> Organisation {
    Organisation {
        sibling,
        snapshots: Vec::new(),
    }
}

impl SiblingAccounts for Organisation {
    type Account = Shop;

    async fn open(&self, _: &RunId, _: &Plan, _: &AccountId, sought: Vec<String>) -> Result<Shop, PortError> {
        assert_eq!(sought, [OLD]);
        self.sibling.clone()
    }

    async fn snapshots(
        &self,
        _: &RunId,
        _: &Plan,
        _: &SnapshotPlace,
        _: &AccountId,
    ) -> Result<Vec<Snapshot>, PortError> {
        Ok(self.snapshots.clone())
    }
}

/// Objects to whatever names a role `odd`, and cannot check what names a role `unseen`.
struct Judge;

impl PolicyChecks for Judge {
    async fn validate(&self, policy: &str, _: DocumentKind) -> Result<Checked, PortError> {
        if policy.contains("unseen") {
            return Err(refused("validating"));
        }
        Ok(if policy.contains("odd") {
            Checked::Failed(vec!["INVALID_ARN".to_owned()])
        } else {
            Checked::Passed
        })
    }

    async fn equivalent(&self, one: &str, other: &str) -> Result<Checked, PortError> {
        assert!(one.contains(OLD) && other.contains(OLD));
        Ok(Checked::Passed)
    }
}

fn refused(what: &str) -> PortError {
    PortError::Refused {
        what: what.to_owned(),
        why: "AccessDenied".to_owned(),
    }
}

fn role(name: &str, text: Result<Option<String>, PortError>) -> Reading {
    let what = format!("role trust policy of `arn:aws:iam::{SIBLING}:role/{name}`");
    let text = text.map_err(|error| Unread { what, error })?;
    Ok(Observed::Document {
        slot: Slot {
            account: account(SIBLING),
            region: String::new(),
            kind: DocumentKind::RoleTrust,
            arn: format!("arn:aws:iam::{SIBLING}:role/{name}"),
        },
        text,
    })
}

fn trusting(principal: &str) -> Result<Option<String>, PortError> {
    Ok(Some(
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}]})
            .to_string(),
    ))
}

async fn inventory_with(
    siblings: Organisation,
    artifacts: Shelf,
    retry_count: u32,
) -> Result<InventoryDocument, InventoryError> {
    let deps = Deps {
        artifacts,
        siblings,
        checks: Judge,
    };
    let mut task = task(Operation::Inventory {
        plan: artifact("plan"),
        account: account(SIBLING),
    });
    task.context.retry_count = retry_count;
    handle(task, &deps).await?;
    let written = deps.artifacts.written.lock().unwrap();
    Ok(written.get("references/555555555555.json").cloned().unwrap())
}

async fn inventory(siblings: Organisation) -> Result<InventoryDocument, InventoryError> {
    inventory_with(siblings, shelf(), 0).await
}

fn names(document: &InventoryDocument) -> Vec<String> {
    document
        .failures
        .iter()
        .map(|gap| format!("{} {}", gap.name(), gap.what))
        .collect()
}

#[tokio::test]
async fn what_a_sibling_does_not_show_is_listed_and_the_rest_is_read() {
    let roles = vec![
        role("deploy", trusting(&format!("arn:aws:iam::{OLD}:root"))),
        role("other", trusting("666666666666")),
        role("hidden", Err(refused("reading"))),
    ];
    let document = inventory(organisation(Ok(Shop::new(roles, refused("listing the keys")))))
        .await
        .unwrap();
    assert_eq!(document.documents_read, 2);
    let found: Vec<&str> = document
        .documents
        .iter()
        .map(|one| one.slot.arn.as_str())
        .collect();
    assert_eq!(found, ["arn:aws:iam::555555555555:role/deploy"]);
    assert_eq!(
        names(&document),
        [
            "555555555555/global/iam-roles role trust policy of `arn:aws:iam::555555555555:role/hidden`",
            "555555555555/us-east-1/kms-keys everything of kms-keys",
        ]
    );
    // What is neither covered nor a gap was not looked at: there is no such service.
    assert_eq!(document.coverage.len(), SERVICES.len() - 1);
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_is_a_gap_in_the_inventory() {
    let document = inventory(organisation(Err(refused("assuming the role"))))
        .await
        .unwrap();
    assert_eq!(document.documents_read, 0);
    assert_eq!(
        names(&document),
        ["555555555555/global/every-service every document"]
    );
}

#[tokio::test]
async fn what_may_succeed_later_is_asked_again_and_is_a_gap_in_the_end() {
    let throttled = PortError::Transient {
        what: "listing".to_owned(),
        why: "Throttling".to_owned(),
    };
    for sibling in [Ok(Shop::new(Vec::new(), throttled.clone())), Err(throttled)] {
        let error = inventory(organisation(sibling.clone())).await.unwrap_err();
        assert_eq!(error.name(), ErrorName::Transient);
        let document = inventory_with(organisation(sibling), shelf(), 3).await.unwrap();
        assert_eq!(document.failures.len(), 1);
    }
}

#[tokio::test]
async fn every_region_of_the_plan_is_read_and_a_region_without_an_analyzer_is_a_gap() {
    let shop = Shop::new(Vec::new(), refused("listing the keys"));
    let asked = std::sync::Arc::clone(&shop.asked);
    let artifacts = Shelf {
        regions: vec!["eu-west-1", "us-east-1"],
        ..shelf()
    };
    let document = inventory_with(organisation(Ok(shop)), artifacts, 0)
        .await
        .unwrap();
    let asked = asked.lock().unwrap();
    for service in SERVICES {
        let regions = asked
            .iter()
            .filter(|one| one.ends_with(&format!("/{}", service.name)))
            .count();
        let global = service.scope == blackstart_core::references::services::Scope::Global;
        assert_eq!(regions, if global { 1 } else { 2 }, "{}", service.name);
    }
    assert_eq!(
        names(&document),
        [
            "555555555555/eu-west-1/access-analyzer findings of external access",
            "555555555555/eu-west-1/kms-keys everything of kms-keys",
            "555555555555/us-east-1/kms-keys everything of kms-keys",
        ]
    );
}

#[tokio::test]
async fn a_config_snapshot_shows_what_no_reader_reads_and_what_a_refused_one_would_have() {
    let item = |kind: &str, name: &str, field: &str| {
        json!({"awsAccountId": SIBLING, "configurationItemStatus": "OK", "resourceType": kind, "ARN": name,
            "awsRegion": "us-east-1", "configuration": {field: {"AWS": OLD}}})
    };
    let snapshot = json!({"configurationItems": [
        item("AWS::SNS::Topic", "read by a reader", "Policy"),
        item("AWS::KMS::Key", "refused to the reader", "Policy"),
        item("AWS::MSK::Cluster", "no reader", "ClusterPolicy"),
    ]});
    let mut siblings = organisation(Ok(Shop::new(Vec::new(), refused("listing the keys"))));
    siblings.snapshots = vec![Snapshot {
        region: "us-east-1".to_owned(),
        key: "k".to_owned(),
        stored: snapshot.to_string().into_bytes(),
    }];
    let place = || Shelf {
        snapshots: Some(json!({"bucket": "config"})),
        ..shelf()
    };
    let document = inventory_with(siblings, place(), 0).await.unwrap();
    let found: Vec<String> = document.unhandled.iter().map(|item| item.name()).collect();
    assert_eq!(found, ["no reader", "refused to the reader"]);

    let shop = Shop::new(Vec::new(), refused("listing the keys"));
    let document = inventory_with(organisation(Ok(shop)), place(), 0).await.unwrap();
    assert!(
        names(&document)
            .contains(&"555555555555/us-east-1/config-snapshot the snapshot of AWS Config".to_owned())
    );
}

#[tokio::test]
async fn a_rewrite_that_access_analyzer_objects_to_is_not_handled_and_one_it_cannot_see_is_a_gap() {
    let roles = ["plain", "odd", "unseen"]
        .map(|name| role(name, trusting(&format!("arn:aws:iam::{OLD}:role/{name}"))));
    let artifacts = Shelf {
        policy_checks: true,
        ..shelf()
    };
    let shop = Shop::new(roles.to_vec(), refused("listing the keys"));
    let document = inventory_with(organisation(Ok(shop)), artifacts, 0)
        .await
        .unwrap();
    let handled: Vec<u64> = document.documents.iter().map(|one| one.handled).collect();
    assert_eq!(handled, [0, 1, 1]);
    assert_eq!((document.measure.handled, document.measure.unhandled), (2, 1));
    assert!(
        names(&document)
            .iter()
            .any(|gap| gap.starts_with("555555555555/global/policy-checks"))
    );
}

#[tokio::test]
async fn merging_counts_what_no_waiver_names() {
    let roles = vec![
        role("deploy", trusting(&format!("arn:aws:iam::{OLD}:role/ci"))),
        role("unclear", trusting("arn:aws:iam::1111*:role/ci")),
        role("waived", trusting("arn:aws:iam::1111*:role/audit")),
    ];
    let deps = Deps {
        artifacts: shelf(),
        siblings: organisation(Ok(Shop::new(roles, refused("listing the keys")))),
        checks: Judge,
    };
    let plan = artifact("plan");
    let one = Operation::Inventory {
        plan: plan.clone(),
        account: account(SIBLING),
    };
    let Answer::Inventory(one) = handle(task(one), &deps).await.unwrap() else {
        panic!("another answer");
    };
    let merged = Operation::Merge {
        plan,
        inventories: vec![one.inventory],
    };
    let Answer::Merged(merged) = handle(task(merged), &deps).await.unwrap() else {
        panic!("another answer");
    };
    assert_eq!(
        (merged.documents, merged.tokens, merged.handled, merged.unhandled),
        (3, 3, 1, 1)
    );
    let written = deps.artifacts.written.lock().unwrap();
    assert_eq!(written["references/inventory.json"].measure.waived, 1);
}

#[tokio::test]
async fn an_account_outside_of_the_plan_and_a_contradicting_map_are_refused() {
    let deps = |identifiers| Deps {
        artifacts: Shelf {
            identifiers,
            ..Shelf::default()
        },
        siblings: organisation(Err(refused("never asked"))),
        checks: Judge,
    };
    let outside = Operation::Inventory {
        plan: artifact("plan"),
        account: account("999999999999"),
    };
    let error = handle(task(outside), &deps(json!([]))).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PolicyRefused);
    let circle = json!([{"kind": "account", "old": "222222222222", "new": "777777777777"}]);
    let siblings = Operation::Siblings {
        plan: artifact("plan"),
    };
    let error = handle(task(siblings), &deps(circle)).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::InvalidInput);
}
