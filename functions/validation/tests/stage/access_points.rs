//! Trials by access point against the fake account.

use std::collections::BTreeMap;

use blackstart_core::plan::Layer;
use blackstart_core::validation::Verdict;
use serde_json::json;

use super::fake::{Fault, World};
use super::machine::{
    DATA, at, change_plan, point, prepared, select, selection, set_boundary, verdict, walk, world,
};

fn by_access_point() -> World {
    let world = world();
    change_plan(&world, |plan| plan["validation"]["trial"] = json!("access_point"));
    world.0.lock().unwrap().access_points = Some(BTreeMap::new());
    set_boundary(&world, at(100_000));
    world
}

/// Nothing is left in the account: no copy, no access point.
fn is_clean(world: &World) {
    let state = world.0.lock().unwrap();
    assert!(state.existing.is_empty(), "left behind: {:?}", state.existing);
    assert!(
        state.access_points.iter().all(BTreeMap::is_empty),
        "{:?}",
        state.access_points
    );
}

#[tokio::test(flavor = "current_thread")]
async fn buckets_are_judged_without_a_restore_and_the_answer_is_the_same() {
    let restored = world();
    set_boundary(&restored, at(100_000));
    let expected = walk(&restored, &mut 0).await;
    let world = by_access_point();
    let walked = walk(&world, &mut 0).await;
    assert_eq!(walked.found, expected.found);
    is_clean(&world);
    let created = world.0.lock().unwrap().ever_created;
    assert_eq!(created, 4, "only the tables were restored");
    let said = verdict(&world, &walked.found.clone().unwrap()).unwrap();
    let reasons = &said.layers[&Layer::TrialRestore].reasons;
    assert!(
        reasons
            .iter()
            .any(|reason| reason.contains("it was not restored")),
        "{reasons:?}"
    );
    let document = selection(&world, &select(&world, prepared(walked)).await);
    assert_eq!(document.verdict.verdict, Verdict::Clean);
}

#[tokio::test(flavor = "current_thread")]
async fn where_no_access_point_can_be_made_or_used_the_point_is_restored_and_the_reason_told() {
    let refused = by_access_point();
    refused.0.lock().unwrap().access_points = None;
    let broken = by_access_point();
    broken.0.lock().unwrap().broken_access = (1..=4).map(|day| point(DATA, day).arn).collect();
    for (world, reason) in [(refused, "the vault allows none"), (broken, "it is FAILED")] {
        let walked = walk(&world, &mut 0).await;
        let said = verdict(&world, &walked.found.unwrap()).unwrap();
        let reasons = &said.layers[&Layer::TrialRestore].reasons;
        assert!(
            reasons
                .iter()
                .any(|told| told.contains("no access point could be used") && told.contains(reason)),
            "{reasons:?}"
        );
        assert_eq!(world.0.lock().unwrap().ever_created, 8);
        is_clean(&world);
    }
}

/// A fault at every call, before and after its effect: the same answer, and nothing is left behind.
#[tokio::test(flavor = "current_thread")]
async fn a_fault_at_any_call_leaves_no_access_point_behind() {
    let smooth = by_access_point();
    let expected = walk(&smooth, &mut 0).await.found;
    let calls = smooth.0.lock().unwrap().calls;
    for at in 1..=calls {
        for when in [Fault::Before, Fault::After] {
            let world = by_access_point();
            world.0.lock().unwrap().fault = Some((at, when));
            let walked = walk(&world, &mut 0).await;
            assert_eq!(walked.found, expected, "call {at}, {when:?}");
            is_clean(&world);
        }
    }
}
