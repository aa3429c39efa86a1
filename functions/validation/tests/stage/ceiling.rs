//! The plan's ceiling of cost against the fake account.

use serde_json::{Value, json};

use super::fake::World;
use super::machine::{
    DATA, artifact, ask, ask_at, at, point, prepared, run, select, selection, set_boundary, try_set, walk,
    world,
};
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::task::validation::{NextRound, Operation, Selected, Walked};
use blackstart_core::validation::candidates::RecoveryPoint;
use validation::Answer;

/// Every point holds a gigabyte; a set costs 1 for its bucket, 2 for the scan and 1 for its table.
fn with_ceiling(ceiling: &str) -> World {
    let world = world();
    {
        let mut state = world.0.lock().unwrap();
        for point in &mut state.points {
            point.bytes = Some(1_000_000_000);
        }
        let mut plan: Value = serde_json::from_slice(&state.artifacts["plan"]).unwrap();
        plan["validation"]["speculation"] = json!(2);
        plan["validation"]["cost"] = json!({
            "currency": "USD", "ceiling": ceiling,
            "prices": {
                "S3": {"restored_per_gb": "1", "scanned_per_gb": "2"},
                "DynamoDB": {"restored_per_gb": "1"},
            },
        });
        state
            .artifacts
            .insert("plan".to_owned(), plan.to_string().into_bytes());
    }
    world
}

/// The walk as far as it comes: how many sets were tried, and how it ended.
async fn walked(world: &World) -> (usize, Walked, Option<String>) {
    let plan = artifact("plan");
    let Answer::Candidates(candidates) = ask(world, Operation::Candidates { plan: plan.clone() }, 0).await
    else {
        panic!("no candidates");
    };
    let (sets, mut tried) = (candidates.sets, 0);
    for minute in 1..20 {
        let next = Operation::Next {
            plan: plan.clone(),
            sets: sets.clone(),
        };
        match ask(world, next, minute).await {
            Answer::Next(NextRound::Validate { sets: round }) => {
                tried += round.len();
                for set in round {
                    try_set(world, &sets, &set, minute).await;
                }
            }
            Answer::Next(NextRound::Found { set }) => {
                let found = Some(set);
                return (tried, Walked { sets, found }, None);
            }
            Answer::Next(NextRound::OverCeiling { reason }) => {
                return (tried, Walked { sets, found: None }, Some(reason));
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("the walk does not end");
}

#[tokio::test(flavor = "current_thread")]
async fn the_walk_stops_before_the_ceiling_and_the_selection_says_why() {
    // The fourth set is the clean one: 16 in all.
    let world = with_ceiling("15.99");
    set_boundary(&world, at(100_000));
    let (tried, walked, reason) = walked(&world).await;
    assert_eq!(tried, 3);
    assert!(reason.unwrap().contains("12.00 of the plan's 15.99 USD"));
    let Selected::NoCleanPoint { reason } = select(&world, prepared(walked)).await else {
        panic!("a set beyond the ceiling");
    };
    assert!(
        reason.contains("would cost about 4.00 USD") && reason.contains("validation.cost.ceiling"),
        "{reason}"
    );
    assert!(world.0.lock().unwrap().existing.is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn under_the_ceiling_the_selection_tells_what_was_spent() {
    let world = with_ceiling("16");
    set_boundary(&world, at(100_000));
    let (tried, walked, _) = walked(&world).await;
    assert_eq!(tried, 4);
    let selected = select(&world, prepared(walked)).await;
    let cost = selection(&world, &selected).cost.unwrap();
    assert_eq!(
        (cost.spent.to_string(), cost.currency),
        ("16.00".to_owned(), "USD".to_owned())
    );
}

#[tokio::test(flavor = "current_thread")]
async fn a_point_of_unknown_size_cannot_be_kept_below_a_ceiling() {
    let world = with_ceiling("1000");
    let newest = point(DATA, 4).arn;
    for point in &mut world.0.lock().unwrap().points {
        if point.arn == newest {
            point.bytes = None;
        }
    }
    set_boundary(&world, at(100_000));
    let (tried, _, reason) = walked(&world).await;
    assert_eq!(tried, 0);
    assert!(reason.unwrap().contains("does not say how large"));
}

#[tokio::test(flavor = "current_thread")]
async fn a_verdict_that_is_reused_costs_nothing() {
    let world = with_ceiling("16");
    set_boundary(&world, at(100_000));
    walk(&world, &mut 0).await;
    {
        // Another run: the ledger keeps the points' verdicts, and nothing else of the first.
        let mut state = world.0.lock().unwrap();
        let run = blackstart_core::ledger::Key::run_partition(&run());
        state.items.retain(|key, _| key.pk != run);
        let mut plan: Value = serde_json::from_slice(&state.artifacts["plan"]).unwrap();
        plan["validation"]["cost"]["ceiling"] = json!("0");
        state
            .artifacts
            .insert("plan".to_owned(), plan.to_string().into_bytes());
    }
    set_boundary(&world, at(100_000));
    let restored = world.0.lock().unwrap().ever_created;
    let (tried, _, reason) = walked(&world).await;
    assert_eq!((tried, reason), (4, None));
    assert_eq!(world.0.lock().unwrap().ever_created, restored);
}

#[tokio::test(flavor = "current_thread")]
async fn a_round_reads_what_it_can_come_to_and_no_more() {
    let calls = |days| async move {
        let world = with_ceiling("1000");
        {
            let mut state = world.0.lock().unwrap();
            for day in 5..days {
                state
                    .points
                    .extend([super::machine::TABLE, DATA].map(|resource| RecoveryPoint {
                        bytes: Some(1),
                        ..point(resource, day)
                    }));
            }
        }
        super::machine::change_plan(&world, |plan| plan["validation"]["max_sets"] = json!(3));
        set_boundary(&world, at(1_000_000));
        let plan = artifact("plan");
        let Answer::Candidates(candidates) =
            ask(&world, Operation::Candidates { plan: plan.clone() }, 0).await
        else {
            panic!("no candidates");
        };
        assert!(candidates.count + 1 >= u32::try_from(days).unwrap() - 1);
        let before = world.0.lock().unwrap().calls;
        let next = Operation::Next {
            plan,
            sets: candidates.sets,
        };
        ask(&world, next, 1).await;
        let after = world.0.lock().unwrap().calls;
        after - before
    };
    assert_eq!(calls(6).await, calls(300).await);
}

#[tokio::test(flavor = "current_thread")]
async fn a_trial_whose_cost_is_not_known_is_not_started() {
    let world = with_ceiling("1000");
    set_boundary(&world, at(100_000));
    let plan = artifact("plan");
    let Answer::Candidates(candidates) = ask(&world, Operation::Candidates { plan: plan.clone() }, 0).await
    else {
        panic!("no candidates");
    };
    let next = Operation::Next {
        plan: plan.clone(),
        sets: candidates.sets.clone(),
    };
    let Answer::Next(NextRound::Validate { sets }) = ask(&world, next, 1).await else {
        panic!("nothing to validate");
    };
    super::machine::change_plan(&world, |plan| {
        let prices = plan["validation"]["cost"]["prices"].as_object_mut().unwrap();
        prices.remove("DynamoDB");
    });
    let start = Operation::Start {
        plan,
        sets: candidates.sets,
        set: sets[0].clone(),
    };
    let error = ask_at(&world, start, 1).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PolicyRefused);
    assert!(error.to_string().contains("no price for `DynamoDB`"), "{error}");
    assert!(world.0.lock().unwrap().restores.is_empty());
}
