mod isolation;
mod surroundings;
mod templates;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::failure::{StackEvent, first_cause};
use super::request::{drift_read_policy, request_token, session_policy, stack_tags};
use super::waves::{Advance, ObservedStack, Phase, Removal, StackState, advance, removal};
use crate::artifact::Digest;
use crate::plan::{Plan, Stack};
use crate::run::{RunId, WorkloadName};

const PLAN: &str = include_str!("../../../../tests/data/plan/orders.json");
const OLD: &str = "999999999999";

fn plan_of(templates: &[(&str, &Value)]) -> (Plan, BTreeMap<String, Vec<u8>>) {
    let mut plan = Plan::parse(PLAN.as_bytes()).unwrap();
    let mut bytes = BTreeMap::new();
    plan.rebuild
        .stacks
        .retain(|stack| templates.iter().any(|(name, _)| stack.name == *name));
    for (name, template) in templates {
        let text = serde_json::to_vec(template).unwrap();
        let stack = plan.rebuild.stacks.iter_mut().find(|s| s.name == *name).unwrap();
        stack.template.sha256 = Digest::of(&text);
        bytes.insert((*name).to_owned(), text);
    }
    (plan, bytes)
}

fn run() -> RunId {
    RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x")
}

fn observed(status: &str, template: &Digest) -> ObservedStack {
    ObservedStack {
        id: "arn:aws:cloudformation:eu-central-1:333333333333:stack/orders-app/1".to_owned(),
        status: status.to_owned(),
        reason: None,
        tags: stack_tags(&run(), template),
        parameters: BTreeMap::new(),
        outputs: BTreeMap::new(),
        change_sets: BTreeSet::new(),
    }
}

#[test]
fn a_stack_counts_only_if_this_run_made_it_from_this_template() {
    let digest = Digest::of(b"template");
    let stack = observed("CREATE_COMPLETE", &digest);
    assert_eq!(
        StackState::of(&run(), &digest, Some(&stack)),
        StackState::Complete
    );
    assert_eq!(StackState::of(&run(), &digest, None), StackState::Absent);
    let foreign = |stack: &ObservedStack, digest: &Digest| {
        matches!(
            StackState::of(&run(), digest, Some(stack)),
            StackState::Foreign { .. }
        )
    };
    assert!(foreign(&stack, &Digest::of(b"another")));
    assert!(matches!(
        StackState::of(&run(), &digest, Some(&observed("UPDATE_COMPLETE", &digest))),
        StackState::Changed { .. }
    ));
    let mut other = stack;
    other.tags.insert(
        super::request::RUN_TAG.to_owned(),
        "orders-000000000000".to_owned(),
    );
    assert!(matches!(
        StackState::of(&run(), &digest, Some(&other)),
        StackState::Earlier {
            phase: Phase::Idle,
            ..
        }
    ));
    other
        .tags
        .insert(super::request::RUN_TAG.to_owned(), "mine".to_owned());
    assert!(foreign(&other, &digest));
    other.tags.clear();
    assert!(foreign(&other, &digest));
}

#[test]
fn a_name_that_waits_belongs_to_the_run_of_its_change_set() {
    let digest = Digest::of(b"template");
    let mut stack = observed("REVIEW_IN_PROGRESS", &digest);
    assert_eq!(
        StackState::of(&run(), &digest, Some(&stack)),
        StackState::Proposed
    );
    // Its tags come with the stack itself, which is not there yet.
    stack.tags.clear();
    stack.change_sets = BTreeSet::from([super::change_set::name(&run())]);
    assert_eq!(
        StackState::of(&run(), &digest, Some(&stack)),
        StackState::Proposed
    );
    stack.change_sets = BTreeSet::from(["blackstart-orders-000000000000".to_owned()]);
    assert!(matches!(
        StackState::of(&run(), &digest, Some(&stack)),
        StackState::Earlier {
            phase: Phase::Idle,
            ..
        }
    ));
    for names in [
        vec![],
        vec!["deploy"],
        vec!["blackstart-orders-000000000000", "deploy"],
    ] {
        stack.change_sets = names.into_iter().map(str::to_owned).collect();
        assert!(matches!(
            StackState::of(&run(), &digest, Some(&stack)),
            StackState::Foreign { .. }
        ));
    }
}

fn stacks(waves: &[u16]) -> Vec<Stack> {
    let (plan, _) = plan_of(&[("orders-app", &json!({}))]);
    let template = &plan.rebuild.stacks[0];
    waves
        .iter()
        .enumerate()
        .map(|(i, wave)| Stack {
            name: format!("s{i}"),
            wave: *wave,
            ..template.clone()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn advancing_builds_every_stack_once_and_no_wave_before_the_one_below(
        waves in proptest::collection::vec(0_u16..4, 0..8),
        finish in proptest::collection::vec(any::<bool>(), 64),
        left in proptest::collection::vec(any::<bool>(), 8),
    ) {
        let stacks = stacks(&waves);
        let earlier = |phase| StackState::Earlier {
            run: RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "y"),
            phase,
        };
        let is_earlier = |state: &StackState| matches!(state, StackState::Earlier { .. });
        let mut states: BTreeMap<String, StackState> = stacks
            .iter()
            .zip(left)
            .filter(|(_, left)| *left)
            .map(|(stack, _)| (stack.name.clone(), earlier(Phase::Idle)))
            .collect();
        let mut finish = finish.into_iter().cycle();
        loop {
            match advance(&stacks, &states) {
                Advance::Clear(next) => for stack in next {
                    let above_gone = stacks.iter().filter(|other| other.wave > stack.wave)
                        .all(|other| !states.get(&other.name).is_some_and(is_earlier));
                    prop_assert!(above_gone, "{} was cleared too early", stack.name);
                    let before = states.insert(stack.name.clone(), earlier(Phase::Moving));
                    prop_assert_eq!(before, Some(earlier(Phase::Idle)));
                },
                Advance::Wait if states.values().any(is_earlier) => {
                    states.retain(|_, state| *state != earlier(Phase::Moving));
                }
                Advance::Start(next) => {
                    prop_assert!(!next.is_empty());
                    prop_assert!(!states.values().any(is_earlier), "something is left of an earlier run");
                    for stack in next {
                        let below_done = stacks.iter().filter(|other| other.wave < stack.wave)
                            .all(|other| states.get(&other.name) == Some(&StackState::Complete));
                        prop_assert!(below_done, "{} was started too early", stack.name);
                        prop_assert_eq!(states.insert(stack.name.clone(), StackState::Creating), None);
                    }
                }
                Advance::Wait => {
                    let creating: Vec<_> = states.iter().filter(|(_, s)| **s == StackState::Creating).map(|(n, _)| n.clone()).collect();
                    prop_assert!(!creating.is_empty(), "waits for nothing");
                    for (i, name) in creating.into_iter().enumerate() {
                        if i == 0 || finish.next().unwrap_or(true) {
                            states.insert(name, StackState::Complete);
                        }
                    }
                }
                Advance::Done => break,
                Advance::Stop(blocked) => prop_assert!(false, "{blocked:?}"),
            }
        }
        prop_assert_eq!(states.len(), stacks.len());

        loop {
            match removal(&stacks, &states) {
                Removal::Delete(next) => for stack in next {
                    let above_gone = stacks.iter().filter(|other| other.wave > stack.wave)
                        .all(|other| !states.contains_key(&other.name));
                    prop_assert!(above_gone, "{} was deleted too early", stack.name);
                    states.insert(stack.name.clone(), StackState::Deleting);
                },
                Removal::Wait => states.retain(|_, state| *state != StackState::Deleting),
                Removal::Done => break,
                Removal::Stop(stuck) => prop_assert!(false, "{stuck:?}"),
            }
        }
        prop_assert!(states.is_empty());
    }
}

#[test]
fn a_failed_or_foreign_stack_stops_and_a_foreign_one_is_never_deleted() {
    let stacks = stacks(&[0, 1, 1]);
    let foreign = StackState::Foreign {
        why: "it has no tag".to_owned(),
    };
    let failed = StackState::Failed {
        status: "ROLLBACK_COMPLETE".to_owned(),
    };
    let states = BTreeMap::from([("s1".to_owned(), foreign), ("s2".to_owned(), failed)]);
    let Advance::Stop(blocked) = advance(&stacks, &states) else {
        panic!("must stop");
    };
    assert_eq!(blocked.len(), 2);
    assert_eq!(removal(&stacks, &states), Removal::Delete(vec![&stacks[2]]));

    let failed = StackState::Failed {
        status: "DELETE_FAILED".to_owned(),
    };
    let states = BTreeMap::from([("s0".to_owned(), failed)]);
    assert!(matches!(removal(&stacks, &states), Removal::Stop(_)));
}

fn event(second: i64, id: &str, kind: &str, status: &str, reason: &str) -> StackEvent {
    StackEvent {
        at: jiff::Timestamp::from_second(second).unwrap(),
        id: format!("{second}-{id}"),
        logical_id: id.to_owned(),
        resource_type: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
    }
}

#[test]
fn the_cause_is_the_first_failure_that_is_no_consequence() {
    let stack = "AWS::CloudFormation::Stack";
    let mut events = vec![
        event(
            1,
            "Queue",
            "AWS::SQS::Queue",
            "CREATE_FAILED",
            "Resource creation cancelled",
        ),
        event(
            2,
            "Role",
            "AWS::IAM::Role",
            "CREATE_FAILED",
            "is not authorized\u{202e}",
        ),
        event(3, "Topic", "AWS::SNS::Topic", "CREATE_FAILED", "limit exceeded"),
        event(
            0,
            "app",
            stack,
            "ROLLBACK_IN_PROGRESS",
            "The following resource(s) failed: [Role]",
        ),
        event(0, "Key", "AWS::KMS::Key", "CREATE_COMPLETE", ""),
    ];
    let cause = first_cause(&events).unwrap();
    assert_eq!(
        cause,
        "`Role` (AWS::IAM::Role) is CREATE_FAILED: is not authorized\\u{202e}"
    );
    events.reverse();
    assert_eq!(first_cause(&events).unwrap(), cause);
    events.retain(|event| event.resource_type == stack);
    assert!(first_cause(&events).unwrap().contains("failed: [Role]"));
    assert_eq!(first_cause(&[]), None);
}

#[test]
fn requests_are_the_same_when_repeated_and_differ_in_everything_else() {
    let stacks = stacks(&[0, 0]);
    let token = request_token(&run(), &stacks[0], "create");
    assert_eq!(token, request_token(&run(), &stacks[0], "create"));
    assert_ne!(token, request_token(&run(), &stacks[0], "delete"));
    assert_ne!(token, request_token(&run(), &stacks[1], "create"));
    assert!(
        token.len() <= 128 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
        "{token}"
    );
}

#[test]
fn a_session_is_bound_to_the_plans_stacks_and_fits_the_limit_of_sts() {
    let (mut plan, _) = plan_of(&[("orders-app", &json!({}))]);
    let policy = session_policy(&plan);
    assert!(policy.contains(":333333333333:stack/orders-app/*"), "{policy}");
    assert!(!policy.contains("stack/*"), "{policy}");
    assert_eq!(
        drift_read_policy(&plan),
        "arn:aws:iam::333333333333:policy/BlackstartDriftRead"
    );
    plan.rebuild.stacks = stacks(&[0; 100]);
    assert!(session_policy(&plan).len() <= 2_048);
}
