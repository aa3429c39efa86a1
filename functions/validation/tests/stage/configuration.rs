//! The configuration layer against the fake account.

use std::collections::BTreeMap;

use blackstart_core::artifact::Digest;
use blackstart_core::plan::{Layer, ResourceType};
use blackstart_core::task::validation::{NextRound, Operation};
use blackstart_core::validation::configuration::{Observation, Observed, compared, not_carried};
use blackstart_core::validation::{SetVerdict, Verdict};
use serde_json::{Value, json};

use super::fake::World;
use super::machine::{DATA, TABLE, artifact, ask, point, run, try_set, verdict, world};
use validation::Answer;

const TEMPLATE: &str = r#"{"Resources": {
    "Data": {"Type": "AWS::S3::Bucket"},
    "Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"BillingMode": "PAY_PER_REQUEST"}}
}}"#;

/// One clean set whose plan asks for the layer; `frozen` is what intake froze.
fn with_template(frozen: Option<&str>) -> World {
    let world = world();
    {
        let mut state = world.0.lock().unwrap();
        state
            .points
            .retain(|one| one.arn == point(DATA, 1).arn || one.arn == point(TABLE, 1).arn);
        let mut plan: Value = serde_json::from_slice(&state.artifacts["plan"]).unwrap();
        let known = |id: &str, name: &str, resource_type| {
            let lost: BTreeMap<&str, &str> = not_carried(resource_type)
                .iter()
                .map(|name| (*name, "no backup brings it back"))
                .collect();
            json!({
                "resource": id, "logical_id": name, "not_compared": lost,
                "template": {"key": "templates/orders.json", "sha256": Digest::of(TEMPLATE.as_bytes())},
            })
        };
        plan["validation"]["layers"] =
            json!(["trial_restore", "content_scan", "invariants", "configuration"]);
        plan["validation"]["configuration"] = json!([
            known("data", "Data", ResourceType::S3),
            known("table", "Table", ResourceType::DynamoDb)
        ]);
        state
            .artifacts
            .insert("plan".to_owned(), plan.to_string().into_bytes());
        if let Some(text) = frozen {
            let path = format!(
                "runs/{}/templates/{}.json",
                run(),
                Digest::of(TEMPLATE.as_bytes())
            );
            state.artifacts.insert(path, text.as_bytes().to_vec());
        }
        let absent = |resource_type| -> BTreeMap<&'static str, Observation> {
            compared(resource_type)
                .iter()
                .map(|name| (*name, Observation::Absent))
                .collect()
        };
        let bucket = absent(ResourceType::S3);
        let mut table = absent(ResourceType::DynamoDb);
        table.insert("BillingMode", Observation::Is(json!("PAY_PER_REQUEST")));
        state.configurations.insert(point(DATA, 1).arn, Observed(bucket));
        state.configurations.insert(point(TABLE, 1).arn, Observed(table));
    }
    world
}

async fn judged(world: &World) -> SetVerdict {
    let plan = artifact("plan");
    let Answer::Candidates(candidates) = ask(world, Operation::Candidates { plan: plan.clone() }, 0).await
    else {
        panic!("no candidates");
    };
    let next = Operation::Next {
        plan,
        sets: candidates.sets.clone(),
    };
    let Answer::Next(NextRound::Validate { sets }) = ask(world, next, 1).await else {
        panic!("nothing to validate");
    };
    try_set(world, &candidates.sets, &sets[0], 1).await;
    verdict(world, &sets[0]).unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn a_set_that_is_configured_as_approved_is_clean() {
    let said = judged(&with_template(Some(TEMPLATE))).await;
    assert_eq!(said.verdict, Verdict::Clean, "{said:#?}");
    let reasons = &said.layers[&Layer::Configuration].reasons;
    assert_eq!(
        reasons
            .iter()
            .filter(|reason| reason.contains("as the template declares"))
            .count(),
        2
    );
    // What was not compared, and why, is what the approvers read.
    assert_eq!(
        reasons
            .iter()
            .filter(|reason| reason.contains("no backup brings it back"))
            .count(),
        7
    );
}

#[tokio::test(flavor = "current_thread")]
async fn a_difference_is_told_with_its_resource_and_the_set_is_not_clean() {
    let world = with_template(Some(TEMPLATE));
    {
        let mut state = world.0.lock().unwrap();
        let table = state.configurations.get_mut(&point(TABLE, 1).arn).unwrap();
        let keys = json!([{"AttributeName": "id", "KeyType": "HASH"}]);
        table.0.insert("KeySchema", Observation::Is(keys));
    }
    let said = judged(&world).await;
    assert_eq!(said.verdict, Verdict::Unknown);
    let layer = &said.layers[&Layer::Configuration];
    assert!(
        layer
            .reasons
            .iter()
            .any(|reason| reason.starts_with("table: `KeySchema` is")),
        "{layer:#?}"
    );
    assert!(
        world.0.lock().unwrap().existing.is_empty(),
        "a trial restore was left behind"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn without_the_approved_template_nothing_is_clean() {
    for frozen in [None, Some("{}")] {
        let said = judged(&with_template(frozen)).await;
        assert_eq!(said.verdict, Verdict::Unknown);
        assert!(
            said.layers[&Layer::Configuration].reasons[0].contains("digest"),
            "{said:#?}"
        );
    }
}
