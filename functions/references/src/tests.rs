use std::collections::BTreeMap;
use std::sync::Mutex;

use blackstart_core::artifact::Digest;
use blackstart_core::references::Slot;
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
                "waivers": [{"document": "arn:aws:iam::555555555555:role/waived", "reason": "kept for the audit"}]},
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
struct Sibling {
    roles: Vec<Read>,
    keys: PortError,
}

impl SiblingDocuments for Sibling {
    async fn read_all(&self, kind: DocumentKind) -> Result<Vec<Read>, PortError> {
        match kind {
            DocumentKind::RoleTrust => Ok(self.roles.clone()),
            DocumentKind::KeyPolicy => Err(self.keys.clone()),
            DocumentKind::BucketPolicy | DocumentKind::QueuePolicy => Ok(Vec::new()),
        }
    }
}

struct Organisation(Result<Sibling, PortError>);

impl SiblingAccounts for Organisation {
    type Account = Sibling;

    async fn open(&self, _: &RunId, _: &Plan, _: &AccountId) -> Result<Sibling, PortError> {
        self.0.clone()
    }
}

fn refused(what: &str) -> PortError {
    PortError::Refused {
        what: what.to_owned(),
        why: "AccessDenied".to_owned(),
    }
}

fn role(name: &str, text: Result<Option<String>, PortError>) -> Read {
    Read {
        slot: Slot {
            account: account(SIBLING),
            region: String::new(),
            kind: DocumentKind::RoleTrust,
            arn: format!("arn:aws:iam::{SIBLING}:role/{name}"),
        },
        text,
    }
}

fn trusting(principal: &str) -> Result<Option<String>, PortError> {
    Ok(Some(
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}]})
            .to_string(),
    ))
}

async fn inventory(siblings: Organisation) -> Result<InventoryDocument, InventoryError> {
    let deps = Deps {
        artifacts: shelf(),
        siblings,
    };
    let input = Operation::Inventory {
        plan: artifact("plan"),
        account: account(SIBLING),
    };
    handle(task(input), &deps).await?;
    let written = deps.artifacts.written.lock().unwrap();
    Ok(written.get("references/555555555555.json").cloned().unwrap())
}

#[tokio::test]
async fn what_a_sibling_does_not_show_is_listed_and_the_rest_is_read() {
    let sibling = Sibling {
        roles: vec![
            role("deploy", trusting(&format!("arn:aws:iam::{OLD}:root"))),
            role("other", trusting("666666666666")),
            role("hidden", Err(refused("reading"))),
        ],
        keys: refused("listing the keys"),
    };
    let document = inventory(Organisation(Ok(sibling))).await.unwrap();
    assert_eq!(document.documents_read, 2);
    let found: Vec<&str> = document
        .documents
        .iter()
        .map(|one| one.slot.arn.as_str())
        .collect();
    assert_eq!(found, ["arn:aws:iam::555555555555:role/deploy"]);
    let failures: Vec<&str> = document.failures.iter().map(|one| one.what.as_str()).collect();
    assert_eq!(
        failures,
        [
            "every key policy",
            "role trust policy of `arn:aws:iam::555555555555:role/hidden`"
        ]
    );
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_is_a_failure_in_the_inventory() {
    let document = inventory(Organisation(Err(refused("assuming the role"))))
        .await
        .unwrap();
    assert_eq!(document.documents_read, 0);
    assert_eq!(document.failures.len(), 1);
}

#[tokio::test]
async fn what_may_succeed_later_is_asked_again() {
    let throttled = PortError::Transient {
        what: "listing".to_owned(),
        why: "Throttling".to_owned(),
    };
    let sibling = Sibling {
        roles: Vec::new(),
        keys: throttled.clone(),
    };
    for siblings in [Organisation(Ok(sibling)), Organisation(Err(throttled))] {
        let error = inventory(siblings).await.unwrap_err();
        assert_eq!(error.name(), ErrorName::Transient);
    }
}

#[tokio::test]
async fn merging_counts_what_no_waiver_names() {
    let sibling = Sibling {
        roles: vec![
            role("deploy", trusting(&format!("arn:aws:iam::{OLD}:role/ci"))),
            role("unclear", trusting("arn:aws:iam::1111*:role/ci")),
            role("waived", trusting("arn:aws:iam::1111*:role/audit")),
        ],
        keys: refused("listing the keys"),
    };
    let deps = Deps {
        artifacts: shelf(),
        siblings: Organisation(Ok(sibling)),
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
}

#[tokio::test]
async fn an_account_outside_of_the_plan_and_a_contradicting_map_are_refused() {
    let deps = |identifiers| Deps {
        artifacts: Shelf {
            identifiers,
            ..Shelf::default()
        },
        siblings: Organisation(Err(refused("never asked"))),
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
