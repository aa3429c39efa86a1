//! A workload's points, and the state machine's way through the stage over them.

use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::ledger::Key;
use blackstart_core::run::{RunId, WorkloadName};
use blackstart_core::task::rebuild::Rebuilt;
use blackstart_core::task::references::Inventoried;
use blackstart_core::task::timeline::Merged;
use blackstart_core::task::validation::{BranchResult, Branches, NextRound, Operation, Selected, Walked};
use blackstart_core::task::{Progress, StateContext, Task};
use blackstart_core::timeline::CurrentBoundary;
use blackstart_core::validation::candidates::{PointStatus, RecoveryPoint};
use blackstart_core::validation::{SelectionDocument, SetVerdict};
use jiff::{SignedDuration, Timestamp};
use validation::error::ValidationError;
use validation::{Answer, handle};

use super::fake::World;

pub(super) const DATA: &str = "arn:aws:s3:::orders-data";

pub(super) const TABLE: &str = "arn:aws:dynamodb:us-east-1:444444444444:table/orders";

pub(super) fn at(minutes: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

pub(super) fn run() -> RunId {
    RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x")
}

pub(super) fn artifact(key: &str) -> ArtifactRef {
    ArtifactRef {
        bucket: "artifacts".to_owned(),
        key: key.to_owned(),
        version: None,
        sha256: Digest::of(b""),
        bytes: 0,
    }
}

pub(super) fn point(resource: &str, day: i64) -> RecoveryPoint {
    RecoveryPoint {
        arn: format!("{resource}/point/{day}"),
        resource_arn: Some(resource.to_owned()),
        resource_type: Some(if resource == DATA { "S3" } else { "DynamoDB" }.to_owned()),
        status: PointStatus::Completed,
        initiated: None,
        created: Some(at(day * 1440)),
        completed: Some(at(day * 1440 + 5)),
        delete_at: None,
        bytes: None,
        is_parent: false,
    }
}

/// Four days of backups: the newest with a note, the next encrypted, the third with malware, the oldest clean.
pub(super) fn world() -> World {
    let world = World::default();
    let mut state = world.0.lock().unwrap();
    let text = "id;customer;total\n1;Ada;12.50\n".repeat(20).into_bytes();
    let noise: Vec<u8> = (0_u32..200)
        .flat_map(|i| Digest::of(&i.to_le_bytes()).as_str().as_bytes().to_vec())
        .collect::<Vec<u8>>()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let note = b"Your files have been encrypted! To decrypt them pay in bitcoin.".to_vec();
    for day in 1..=4 {
        let mut objects = vec![("a.csv".to_owned(), text.clone())];
        match day {
            4 => objects.push(("READ.txt".to_owned(), note.clone())),
            3 => objects.push(("b.csv".to_owned(), noise.clone())),
            2 => state.threats.push(point(DATA, day).arn),
            _ => {}
        }
        state.contents.insert(point(DATA, day).arn, objects);
        state.contents.insert(
            point(TABLE, day).arn,
            vec![("{\"id\":1}".to_owned(), b"{}".to_vec())],
        );
        state.points.extend([point(DATA, day), point(TABLE, day)]);
    }
    let plan = serde_json::json!({
        "schema": "blackstart.plan/1",
        "workload": "orders",
        "region": "us-east-1",
        "accounts": {
            "old": "444444444444", "validation": "222222222222", "rebuild": "333333333333",
            "log_archive": "555555555555", "siblings": []
        },
        "timeline": { "sources": [] },
        "resources": [
            { "id": "data", "arn": DATA, "type": "S3", "restore_to": "orders-new" },
            { "id": "table", "arn": TABLE, "type": "DynamoDB", "restore_to": "orders" }
        ],
        "validation": { "vault": { "name": "orders" } },
        "approval": { "approvers": [], "quorum": 1 },
        "rebuild": { "stacks": [], "allowed_resource_types": [] },
        "references": {},
        "cutover": {
            "zone": "Z1", "names": [],
            "health": { "address": "127.0.0.1", "port": 80, "path": "/", "nonce": { "bucket": "b", "key": "k" } }
        }
    });
    state
        .artifacts
        .insert("plan".to_owned(), plan.to_string().into_bytes());
    drop(state);
    world
}

pub(super) fn set_boundary(world: &World, boundary: Timestamp) {
    let document = CurrentBoundary {
        boundary,
        document: artifact("boundary"),
    };
    let text = serde_json::to_string(&document).unwrap();
    let mut state = world.0.lock().unwrap();
    state.items.insert(Key::boundary(&run()), (1, text));
    let timeline = serde_json::json!({
        "schema": "blackstart.boundary/1", "boundary": null,
        "coverage": blackstart_core::timeline::Coverage::default(),
    });
    state
        .artifacts
        .entry("boundary".to_owned())
        .or_insert_with(|| timeline.to_string().into_bytes());
}

pub(super) fn verdict(world: &World, set: &str) -> Option<SetVerdict> {
    let state = world.0.lock().unwrap();
    let (_, text) = state.items.get(&Key::set_verdict(&run(), set))?;
    Some(serde_json::from_str(text).unwrap())
}

pub(super) async fn ask_at(world: &World, input: Operation, minute: i64) -> Result<Answer, ValidationError> {
    let task = Task {
        context: StateContext {
            execution: "arn:e".to_owned(),
            started: at(0),
            state: "Any".to_owned(),
            entered: at(minute),
            retry_count: 0,
            redrive_count: 0,
        },
        run: Some(run()),
        input,
    };
    handle(task, &world.deps(), at(minute)).await
}

/// Asks, and asks again as the state machine does for a transient error.
pub(super) async fn ask(world: &World, input: Operation, minute: i64) -> Answer {
    for _ in 0..6 {
        match ask_at(world, input.clone(), minute).await {
            Ok(answer) => return answer,
            Err(error) if error.name() == ErrorName::Transient => {}
            Err(error) => panic!("{input:?}: {error}"),
        }
    }
    panic!("{input:?} never came through");
}

/// What happens between two looks at a trial.
pub(super) trait Wakes {
    async fn wait(&mut self, world: &World, set: &str, minute: i64);
}

/// No event ever comes.
pub(super) struct NoEvents;

impl Wakes for NoEvents {
    async fn wait(&mut self, world: &World, set: &str, minute: i64) {
        wait_for(world, set, 0, minute).await;
        world.wait_is_over();
    }
}

/// Enters the state that waits for a trial. If its function fails, the machine waits without it.
pub(super) async fn wait_for(world: &World, set: &str, woken: u32, minute: i64) {
    let wait = Operation::Wait {
        plan: artifact("plan"),
        set: set.to_owned(),
        woken,
        token: world.new_token(),
    };
    if let Err(error) = ask_at(world, wait, minute).await {
        assert_eq!(error.name(), ErrorName::Transient, "{error}");
        world.wait_is_over();
    }
}

pub(super) async fn walk(world: &World, minute: &mut i64) -> Walked {
    walk_with(world, minute, &mut NoEvents).await
}

/// What `validation.asl.json` does. The minute counts the states.
pub(super) async fn walk_with(world: &World, minute: &mut i64, wakes: &mut impl Wakes) -> Walked {
    let plan = artifact("plan");
    let Answer::Candidates(candidates) =
        ask(world, Operation::Candidates { plan: plan.clone() }, *minute).await
    else {
        panic!("no candidates");
    };
    let sets = candidates.sets;
    for _ in 0..20 {
        *minute += 1;
        let next = Operation::Next {
            plan: plan.clone(),
            sets: sets.clone(),
        };
        match ask(world, next, *minute).await {
            Answer::Next(NextRound::Validate { sets: round }) => {
                for set in round {
                    try_set_with(world, &sets, &set, *minute, wakes).await;
                }
            }
            Answer::Next(NextRound::Found { set }) => {
                return Walked {
                    sets,
                    found: Some(set),
                };
            }
            Answer::Next(NextRound::Exhausted {}) => return Walked { sets, found: None },
            other => panic!("{other:?}"),
        }
    }
    panic!("the walk does not end");
}

pub(super) async fn try_set(world: &World, sets: &ArtifactRef, set: &str, minute: i64) {
    try_set_with(world, sets, set, minute, &mut NoEvents).await;
}

async fn try_set_with(world: &World, sets: &ArtifactRef, set: &str, minute: i64, wakes: &mut impl Wakes) {
    let (plan, sets, set) = (artifact("plan"), sets.clone(), set.to_owned());
    let start = Operation::Start {
        plan: plan.clone(),
        sets: sets.clone(),
        set: set.clone(),
    };
    let mut answer = ask(world, start, minute).await;
    while let Answer::Trial(trial) = &answer
        && trial.progress == Progress::Running
    {
        wakes.wait(world, &set, minute).await;
        let poll = Operation::Poll {
            plan: plan.clone(),
            set: set.clone(),
        };
        answer = ask(world, poll, minute).await;
    }
    let judge = Operation::Judge {
        plan: plan.clone(),
        sets,
        set: set.clone(),
        failure: None,
    };
    ask(world, judge, minute).await;
    ask(world, Operation::CleanUp { plan, set }, minute).await;
}

pub(super) fn branches(walked: Walked) -> Branches {
    Branches {
        timeline: BranchResult::Ok {
            result: Merged::Boundary {
                boundary: at(0),
                document: artifact("boundary"),
                timeline: artifact("timeline"),
                covered: true,
            },
        },
        validation: BranchResult::Ok { result: walked },
        rebuild: BranchResult::<Rebuilt>::Failed {
            error: String::new(),
            cause: String::new(),
        },
        references: BranchResult::<Inventoried>::Failed {
            error: String::new(),
            cause: String::new(),
        },
    }
}

pub(super) fn prepared(walked: Walked) -> Branches {
    Branches {
        rebuild: BranchResult::Ok {
            result: Rebuilt {
                document: artifact("rebuild"),
                isolated: true,
            },
        },
        references: BranchResult::Ok {
            result: Inventoried {
                inventory: artifact("inventory"),
                documents: 0,
                tokens: 0,
                handled: 0,
                unhandled: 0,
            },
        },
        ..branches(walked)
    }
}

pub(super) async fn select(world: &World, branches: Branches) -> Selected {
    let select = Operation::Select {
        plan: artifact("plan"),
        branches,
    };
    match ask(world, select, 900).await {
        Answer::Selected(selected) => *selected,
        other => panic!("{other:?}"),
    }
}

pub(super) fn selection(world: &World, selected: &Selected) -> SelectionDocument {
    let Selected::Selected { selection, .. } = selected else {
        panic!("{selected:?}");
    };
    let state = world.0.lock().unwrap();
    serde_json::from_slice(&state.artifacts[&selection.key]).unwrap()
}

/// Changes the plan of a world.
pub(super) fn change_plan(world: &World, change: impl FnOnce(&mut serde_json::Value)) {
    let mut state = world.0.lock().unwrap();
    let mut plan = serde_json::from_slice(&state.artifacts["plan"]).unwrap();
    change(&mut plan);
    state
        .artifacts
        .insert("plan".to_owned(), plan.to_string().into_bytes());
}

/// Freezes a file of rules beside the plan, as `intake` does, and names it in the plan.
pub(super) fn with_rules(world: &World, key: &str, text: &str) {
    let digest = Digest::of(text.as_bytes());
    change_plan(world, |plan| {
        let rules = &mut plan["validation"]["yara_rules"];
        let mut files = rules.as_array().cloned().unwrap_or_default();
        files.push(serde_json::json!({"key": key, "sha256": digest}));
        *rules = files.into();
    });
    let path = format!("runs/{}/rules/{digest}.yar", run());
    world
        .0
        .lock()
        .unwrap()
        .artifacts
        .insert(path, text.as_bytes().to_vec());
}

pub(super) fn reasons(document: &SelectionDocument, set: usize) -> String {
    document.considered[set].reasons.join(" | ")
}
