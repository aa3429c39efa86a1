//! A plan that asks for a second gate.

use blackstart_core::approval::second;
use blackstart_core::error_name::ErrorName;

use super::*;

const LATER: &str = "2026-03-01T18:00:00Z";

impl Scenario {
    fn with_second_gate() -> Self {
        let mut asks = plan();
        asks.approval.second_gate = true;
        Self::by(&asks, true, &SIBLINGS.map(str::to_owned), 2)
    }

    /// Puts this cutover plan through the second gate, which ends in this state.
    async fn decide_again(&self, cutover: &ArtifactRef, state: GateState) {
        let approved = self.approved();
        let bytes = self.deps.world.artifact(cutover).await.unwrap();
        let document: CutoverDocument = serde_json::from_slice(&bytes).unwrap();
        let made = second::package(
            &self.package,
            &approved.digest,
            (&document, cutover),
            &plan().approval,
            LATER.parse().unwrap(),
        );
        let sealed = made.unwrap();
        let artifact = self
            .deps
            .world
            .with(|inner| put(inner, &format!("{}.json", sealed.digest), sealed.bytes));
        let digest = sealed.digest.clone();
        let mut gate = GateRecord::open(
            &sealed.package,
            artifact,
            digest.clone(),
            None,
            LATER.parse().unwrap(),
        );
        gate.state = state;
        assert!(
            self.deps
                .records
                .put_new(&Key::gate(&self.run, &digest), &gate)
                .await
                .unwrap()
        );
    }
}

fn approved() -> GateState {
    GateState::Approved {
        at: LATER.parse().unwrap(),
        by: vec!["ada".to_owned()],
    }
}

async fn refused_untouched(scenario: &Scenario) {
    let before = scenario.effects();
    let refused = scenario.apply_all(Phase::Expand).await.unwrap_err();
    assert_eq!(refused.name(), ErrorName::PolicyRefused, "{refused}");
    assert_eq!(scenario.effects(), before);
    assert_eq!(scenario.drive("exec-1").await, Ending::GivenBack);
    assert_eq!(
        scenario.effects(),
        before,
        "nothing was done, so nothing is undone"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn without_the_second_approval_nothing_is_touched() {
    refused_untouched(&Scenario::with_second_gate()).await;
    let at = LATER.parse().unwrap();
    for state in [
        GateState::Open {},
        GateState::Refused {
            at,
            by: "ada".to_owned(),
        },
        GateState::Expired { at },
        GateState::Void { at },
    ] {
        let scenario = Scenario::with_second_gate();
        let planned = scenario.plan().await.unwrap();
        assert!(planned.second_gate);
        scenario.decide_again(&planned.cutover, state).await;
        refused_untouched(&scenario).await;
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_finished_plan_that_was_approved_is_carried_out() {
    let scenario = Scenario::with_second_gate();
    let planned = scenario.plan().await.unwrap();
    scenario.decide_again(&planned.cutover, approved()).await;
    assert_eq!(scenario.drive("exec-1").await, Ending::Recovered);
    scenario.assert_recovered().await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_approval_of_another_finished_plan_opens_nothing() {
    let scenario = Scenario::with_second_gate();
    let planned = scenario.plan().await.unwrap();
    let bytes = scenario.deps.world.artifact(&planned.cutover).await.unwrap();
    let mut other: CutoverDocument = serde_json::from_slice(&bytes).unwrap();
    other.steps.pop();
    let bytes = canonical_json(&other).unwrap();
    let other = scenario
        .deps
        .world
        .with(|inner| put(inner, "other-plan.json", bytes));
    scenario.decide_again(&other, approved()).await;
    refused_untouched(&scenario).await;
}
