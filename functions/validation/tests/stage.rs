//! The whole of stage 2 against a fake account, with a fault at every call.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test says by panicking what is wrong"
)]

mod fake;

use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::ledger::Key;
use blackstart_core::run::{RunId, WorkloadName};
use blackstart_core::task::rebuild::Rebuilt;
use blackstart_core::task::references::Inventoried;
use blackstart_core::task::timeline::Merged;
use blackstart_core::task::validation::{BranchResult, Branches, NextRound, Operation, Selected, Walked};
use blackstart_core::task::{Failure, Progress, StateContext, Task};
use blackstart_core::timeline::CurrentBoundary;
use blackstart_core::validation::candidates::{PointStatus, RecoveryPoint};
use blackstart_core::validation::{SelectionDocument, SetVerdict, Verdict};
use fake::{Fault, World};
use jiff::{SignedDuration, Timestamp};
use validation::error::ValidationError;
use validation::{Answer, handle};

const DATA: &str = "arn:aws:s3:::orders-data";
const TABLE: &str = "arn:aws:dynamodb:us-east-1:444444444444:table/orders";

fn at(minutes: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

fn run() -> RunId {
    RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x")
}

fn artifact(key: &str) -> ArtifactRef {
    ArtifactRef {
        bucket: "artifacts".to_owned(),
        key: key.to_owned(),
        version: None,
        sha256: Digest::of(b""),
        bytes: 0,
    }
}

fn point(resource: &str, day: i64) -> RecoveryPoint {
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
fn world() -> World {
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

fn set_boundary(world: &World, boundary: Timestamp) {
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

fn verdict(world: &World, set: &str) -> Option<SetVerdict> {
    let state = world.0.lock().unwrap();
    let (_, text) = state.items.get(&Key::set_verdict(&run(), set))?;
    Some(serde_json::from_str(text).unwrap())
}

async fn ask_at(world: &World, input: Operation, minute: i64) -> Result<Answer, ValidationError> {
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
async fn ask(world: &World, input: Operation, minute: i64) -> Answer {
    for _ in 0..6 {
        match ask_at(world, input.clone(), minute).await {
            Ok(answer) => return answer,
            Err(error) if error.name() == ErrorName::Transient => {}
            Err(error) => panic!("{input:?}: {error}"),
        }
    }
    panic!("{input:?} never came through");
}

/// What `validation.asl.json` does. The minute counts the states.
async fn walk(world: &World, minute: &mut i64) -> Walked {
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
                    try_set(world, &sets, &set, *minute).await;
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

async fn try_set(world: &World, sets: &ArtifactRef, set: &str, minute: i64) {
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

fn branches(walked: Walked) -> Branches {
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

fn prepared(walked: Walked) -> Branches {
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

async fn select(world: &World, branches: Branches) -> Selected {
    let select = Operation::Select {
        plan: artifact("plan"),
        branches,
    };
    match ask(world, select, 900).await {
        Answer::Selected(selected) => *selected,
        other => panic!("{other:?}"),
    }
}

fn selection(world: &World, selected: &Selected) -> SelectionDocument {
    let Selected::Selected { selection, .. } = selected else {
        panic!("{selected:?}");
    };
    let state = world.0.lock().unwrap();
    serde_json::from_slice(&state.artifacts[&selection.key]).unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn the_oldest_set_is_chosen_and_every_newer_one_has_its_reason() {
    let world = world();
    set_boundary(&world, at(10 * 1440));
    let walked = walk(&world, &mut 0).await;
    let selected = select(&world, prepared(walked.clone())).await;
    let document = selection(&world, &selected);
    assert_eq!(Some(&document.set.id), walked.found.as_ref());
    let told: Vec<(Option<Verdict>, String)> = document
        .considered
        .iter()
        .map(|set| (set.verdict, set.reasons.join(" | ")))
        .collect();
    for (i, reason) in [
        "reads like a ransom note",
        "encrypted: text by its name",
        "found threats",
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(told[i].0, Some(Verdict::Tainted));
        assert!(told[i].1.contains(reason), "{told:#?}");
    }
    assert_eq!(told[3].0, Some(Verdict::Clean));
    let state = world.0.lock().unwrap();
    assert!(state.existing.is_empty(), "left behind: {:?}", state.existing);
    assert_eq!(state.ever_created, 8);
    assert_eq!(state.results.values().filter(|valid| **valid).count(), 2);
    assert_eq!(document.verdict.manifests.len(), 2);
}

#[tokio::test(flavor = "current_thread")]
async fn a_later_run_reuses_what_is_known_about_a_point() {
    let world = world();
    set_boundary(&world, at(10 * 1440));
    let first = walk(&world, &mut 0).await;
    {
        // Another run begins with empty records of its own.
        let mut state = world.0.lock().unwrap();
        let partition = Key::run_partition(&run());
        state.items.retain(|key, _| key.pk != partition);
    }
    set_boundary(&world, at(10 * 1440));
    let second = walk(&world, &mut 100).await;
    assert_eq!(first.found, second.found);
    let document = selection(&world, &select(&world, prepared(second)).await);
    assert_eq!(document.verdict.manifests.len(), 2);
    assert!(
        document.considered[3]
            .reasons
            .iter()
            .any(|reason| reason.contains("as run orders-"))
    );
    assert_eq!(document.considered[0].verdict, Some(Verdict::Tainted));
    assert_eq!(
        world.0.lock().unwrap().ever_created,
        8,
        "nothing was restored again"
    );
}

/// Whatever call fails, before or after its effect: the same choice, and nothing left behind.
#[tokio::test(flavor = "current_thread")]
async fn a_fault_at_any_call_changes_nothing() {
    let fewer = || {
        let world = world();
        let (newest, oldest) = ("/4", "/1");
        let mut state = world.0.lock().unwrap();
        state
            .points
            .retain(|point| point.arn.ends_with(newest) || point.arn.ends_with(oldest));
        drop(state);
        world
    };
    let undisturbed = fewer();
    set_boundary(&undisturbed, at(10 * 1440));
    let expected = walk(&undisturbed, &mut 0).await;
    let calls = undisturbed.0.lock().unwrap().calls;
    assert!(calls > 60, "{calls}");
    for call in 1..=calls {
        for when in [Fault::Before, Fault::After] {
            let world = fewer();
            set_boundary(&world, at(10 * 1440));
            world.0.lock().unwrap().fault = Some((call, when));
            let walked = walk(&world, &mut 0).await;
            assert_eq!(walked, expected, "call {call}, {when:?}");
            let state = world.0.lock().unwrap();
            assert!(
                state.existing.is_empty(),
                "call {call}, {when:?}: {:?}",
                state.existing
            );
            assert_eq!(state.ever_created, 4, "call {call}, {when:?}");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_earlier_boundary_reuses_verdicts_and_changes_the_choice() {
    let world = world();
    {
        let mut state = world.0.lock().unwrap();
        let clean = state.contents[&point(DATA, 1).arn].clone();
        state.contents.insert(point(DATA, 4).arn, clean);
    }
    let mut minute = 0;
    let walked = walk(&world, &mut minute).await;
    set_boundary(&world, at(10 * 1440));
    let first = selection(&world, &select(&world, prepared(walked.clone())).await);
    assert_eq!(first.set.newest, at(4 * 1440 + 5));
    assert!(
        first.considered[3].verdict.is_none(),
        "the oldest was not looked at"
    );

    set_boundary(&world, at(4 * 1440));
    assert_eq!(
        select(&world, prepared(walked)).await,
        Selected::NeedsValidation {}
    );
    let again = walk(&world, &mut minute).await;
    let second = selection(&world, &select(&world, prepared(again)).await);
    assert_eq!(second.set.newest, at(1440 + 5));
    assert_eq!(second.considered[0].verdict, Some(Verdict::Clean));
    assert!(!second.considered[0].eligible);
    let state = world.0.lock().unwrap();
    assert_eq!(state.ever_created, 8, "no set was restored twice");
    assert!(state.existing.is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn a_restore_with_issues_is_never_clean() {
    let world = world();
    {
        let mut state = world.0.lock().unwrap();
        let message = "2 objects were skipped".to_owned();
        state.restore_messages.insert(point(DATA, 1).arn, message);
    }
    set_boundary(&world, at(10 * 1440));
    let walked = walk(&world, &mut 0).await;
    assert_eq!(walked.found, None);
    let Selected::NoCleanPoint { reason } = select(&world, prepared(walked)).await else {
        panic!("something was selected");
    };
    assert!(reason.contains("3 tainted, 1 unknown"), "{reason}");
    assert!(world.0.lock().unwrap().existing.is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn a_set_that_never_comes_to_a_verdict_ends_as_unknown() {
    let world = world();
    let Answer::Candidates(found) = ask(
        &world,
        Operation::Candidates {
            plan: artifact("plan"),
        },
        0,
    )
    .await
    else {
        panic!("no candidates");
    };
    for minute in 1..=9 {
        let next = Operation::Next {
            plan: artifact("plan"),
            sets: found.sets.clone(),
        };
        let answer = ask(&world, next.clone(), minute).await;
        assert_eq!(
            answer,
            ask(&world, next, minute).await,
            "a repeat is the same round"
        );
        if let Answer::Next(NextRound::Exhausted {}) = answer {
            assert_eq!(minute, 7, "two rounds of two sets, three offers each");
            return;
        }
    }
    panic!("the walk does not end");
}

#[tokio::test(flavor = "current_thread")]
async fn clean_up_waits_for_a_running_restore_and_refuses_a_foreign_name() {
    let world = world();
    let Answer::Candidates(found) = ask(
        &world,
        Operation::Candidates {
            plan: artifact("plan"),
        },
        0,
    )
    .await
    else {
        panic!("no candidates");
    };
    let Answer::Next(NextRound::Validate { sets }) = ask(
        &world,
        Operation::Next {
            plan: artifact("plan"),
            sets: found.sets.clone(),
        },
        1,
    )
    .await
    else {
        panic!("nothing to validate");
    };
    let set = sets[0].clone();
    let clean_up = Operation::CleanUp {
        plan: artifact("plan"),
        set: set.clone(),
    };
    let Answer::CleanedUp(nothing) = ask(&world, clean_up.clone(), 1).await else {
        panic!("no answer");
    };
    assert_eq!(nothing.removed, 0, "nothing was started");
    let start = Operation::Start {
        plan: artifact("plan"),
        sets: found.sets,
        set: set.clone(),
    };
    ask(&world, start, 1).await;
    let error = ask_at(&world, clean_up.clone(), 1).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::Transient);
    {
        let mut state = world.0.lock().unwrap();
        let (_, text) = state.items.get_mut(&Key::trial(&run(), &set)).unwrap();
        let mut record: serde_json::Value = serde_json::from_str(text).unwrap();
        record["resources"]["data"]["target"] = "production".into();
        *text = record.to_string();
    }
    let mut last = ask_at(&world, clean_up.clone(), 1).await;
    for _ in 0..3 {
        last = ask_at(&world, clean_up.clone(), 1).await;
    }
    assert_eq!(last.unwrap_err().name(), ErrorName::Defect);
}

#[tokio::test(flavor = "current_thread")]
async fn without_a_boundary_or_a_branch_nothing_is_proposed_and_all_reasons_are_told() {
    let world = world();
    let walked = Walked {
        sets: artifact("sets"),
        found: None,
    };
    let Selected::NotPossible { reason } = select(&world, branches(walked)).await else {
        panic!("something was selected");
    };
    for part in [
        "event boundary",
        "Rebuild infrastructure failed",
        "Find references failed",
    ] {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(verdict(&world, "any"), None);
}

#[tokio::test(flavor = "current_thread")]
async fn a_failed_trial_is_unknown_for_its_reason() {
    let world = world();
    let judge = Operation::Judge {
        plan: artifact("plan"),
        sets: artifact("sets"),
        set: "abc".to_owned(),
        failure: Some(Failure {
            error: "Recovery.PolicyRefused".to_owned(),
            cause: "assuming role `x` was refused".to_owned(),
        }),
    };
    let Answer::Judged(judged) = ask(&world, judge, 1).await else {
        panic!("no answer");
    };
    assert_eq!(judged.verdict, "unknown");
    let said = serde_json::to_string(&verdict(&world, "abc").unwrap()).unwrap();
    assert!(said.contains("Recovery.PolicyRefused"), "{said}");
}

/// Changes the plan of a world.
fn change_plan(world: &World, change: impl FnOnce(&mut serde_json::Value)) {
    let mut state = world.0.lock().unwrap();
    let mut plan = serde_json::from_slice(&state.artifacts["plan"]).unwrap();
    change(&mut plan);
    state
        .artifacts
        .insert("plan".to_owned(), plan.to_string().into_bytes());
}

/// Freezes a file of rules beside the plan, as `intake` does, and names it in the plan.
fn with_rules(world: &World, key: &str, text: &str) {
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

fn reasons(document: &SelectionDocument, set: usize) -> String {
    document.considered[set].reasons.join(" | ")
}

#[tokio::test(flavor = "current_thread")]
async fn rules_of_the_starter_set_and_of_the_plan_taint_what_they_match() {
    let world = world();
    with_rules(
        &world,
        "rules/desk.yar",
        "rule desk_marker { meta: description = \"left by the intruder\" strings: $a = \"gr33tings\" condition: $a }",
    );
    {
        let mut state = world.0.lock().unwrap();
        let clean = state.contents[&point(DATA, 1).arn].clone();
        let mut with = |day, key: &str, bytes: &[u8]| {
            let mut objects = clean.clone();
            objects.push((key.to_owned(), bytes.to_vec()));
            state.contents.insert(point(DATA, day).arn, objects);
        };
        with(4, "notes.txt", b"gr33tings");
        // Known by the rules alone: nothing else of the content scan looks for it in the middle of a file.
        with(3, "mail.eml", &[b"attached:\n".as_slice(), &eicar()].concat());
    }
    set_boundary(&world, at(10 * 1440));
    let walked = walk(&world, &mut 0).await;
    let document = selection(&world, &select(&world, prepared(walked)).await);
    assert_eq!(document.set.newest, at(1440 + 5));
    for (set, reason) in [
        (
            0,
            "YARA rule `desk_marker` (rules/desk.yar) matches: left by the intruder",
        ),
        (1, "YARA rule `eicar_test_file` (starter set) matches"),
        (2, "found threats"),
    ] {
        assert!(
            reasons(&document, set).contains(reason),
            "{}",
            reasons(&document, set)
        );
    }
}

/// In two parts, so that no scanner takes this file for the test file.
fn eicar() -> Vec<u8> {
    [
        br"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-".as_slice(),
        b"STANDARD-ANTIVIRUS-TEST-FILE!$H+H*",
    ]
    .concat()
}

#[tokio::test(flavor = "current_thread")]
async fn rules_that_cannot_be_applied_stop_the_stage_before_its_first_trial_with_every_problem() {
    let world = world();
    with_rules(
        &world,
        "rules/a.yar",
        "rule one { condition: $x }\nrule two { condition: nothing }",
    );
    with_rules(&world, "rules/gone.yar", "rule three { condition: true }");
    world
        .0
        .lock()
        .unwrap()
        .artifacts
        .retain(|_, bytes| !bytes.starts_with(b"rule three"));
    let error = ask_at(
        &world,
        Operation::Candidates {
            plan: artifact("plan"),
        },
        0,
    )
    .await
    .unwrap_err();
    assert_eq!(error.name(), ErrorName::InvalidInput);
    let told = error.to_string();
    for part in [
        "rules/a.yar:1: ",
        "rules/a.yar:2: ",
        "rules/gone.yar:1: was not in the bucket",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(world.0.lock().unwrap().ever_created, 0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_function_of_the_plan_gives_its_verdict_and_silence_is_unknown() {
    use blackstart_core::validation::check_function::Called;

    for (called, expected, reason) in [
        (
            Some(Called::Returned(
                br#"{"verdict": "clean", "figures": {"rows": 7}}"#.to_vec(),
            )),
            Some(Verdict::Clean),
            "rows: 7",
        ),
        (
            Some(Called::Returned(
                br#"{"verdict": "tainted", "reasons": ["no orders"]}"#.to_vec(),
            )),
            Some(Verdict::Tainted),
            "no orders",
        ),
        (None, Some(Verdict::Unknown), "gave no answer within 300 s"),
    ] {
        let world = world();
        change_plan(&world, |plan| {
            plan["validation"]["invariants"] = serde_json::json!([
                {"check": "function", "resource": "table", "function": "blackstart-check-orders"}
            ]);
        });
        {
            let mut state = world.0.lock().unwrap();
            state.points.retain(|point| point.arn.ends_with("/1"));
            state
                .functions
                .extend(called.map(|called| ("blackstart-check-orders".to_owned(), called)));
        }
        set_boundary(&world, at(10 * 1440));
        let walked = walk(&world, &mut 0).await;
        let state = world.0.lock().unwrap();
        let asked = &state.asked[0];
        assert!(
            asked
                .arn
                .ends_with(&format!(":222222222222:table/{}", asked.name)),
            "{asked:?}"
        );
        assert_eq!(
            (state.asked.len(), asked.recovery_point.as_str()),
            (1, point(TABLE, 1).arn.as_str())
        );
        let said = state
            .items
            .iter()
            .find(|(key, _)| {
                key.pk == Key::run_partition(&run()) && key.sk.starts_with(Key::SET_VERDICT_PREFIX)
            })
            .map(|(_, (_, text))| serde_json::from_str::<SetVerdict>(text).unwrap())
            .unwrap();
        assert_eq!(Some(said.verdict), expected);
        assert_eq!(walked.found.is_some(), expected == Some(Verdict::Clean));
        let told = serde_json::to_string(&said).unwrap();
        assert!(told.contains(reason), "{told}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_an_earlier_run_found_clean_is_compared_with() {
    let world = world();
    let texts = |changed: usize| -> Vec<(String, Vec<u8>)> {
        (0..8_u32)
            .map(|i| {
                let dense: Vec<u8> = (0..40_u32)
                    .flat_map(|j| {
                        Digest::of(&[i.to_le_bytes(), j.to_le_bytes()].concat())
                            .as_str()
                            .as_bytes()
                            .to_vec()
                    })
                    .collect::<Vec<u8>>()
                    .chunks(2)
                    .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                    .collect();
                let plain = format!("order {i}: Ada Lovelace, 12.50\n")
                    .repeat(40)
                    .into_bytes();
                // Names that promise nothing: only the comparison can tell.
                let bytes = if (i as usize) < changed { dense } else { plain };
                (format!("record-{i}"), bytes)
            })
            .collect()
    };
    {
        let mut state = world.0.lock().unwrap();
        state.points.retain(|point| point.arn.ends_with("/1"));
        state.contents.insert(point(DATA, 1).arn, texts(0));
    }
    set_boundary(&world, at(10 * 1440));
    assert!(walk(&world, &mut 0).await.found.is_some());
    {
        // Days later, in a run with empty records of its own; a reused verdict names the run that gave it.
        let mut state = world.0.lock().unwrap();
        let partition = Key::run_partition(&run());
        let earlier = RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "earlier");
        state.items.retain(|key, _| key.pk != partition);
        for (_, text) in state.items.values_mut() {
            *text = text.replace(run().as_str(), earlier.as_str());
        }
        let moved: Vec<_> = state
            .artifacts
            .iter()
            .map(|(key, bytes)| (key.replace(run().as_str(), earlier.as_str()), bytes.clone()))
            .collect();
        state.artifacts.extend(moved);
        state.points.extend([point(DATA, 3), point(TABLE, 3)]);
        state.contents.insert(point(DATA, 3).arn, texts(3));
    }
    set_boundary(&world, at(10 * 1440));
    let walked = walk(&world, &mut 100).await;
    let document = selection(&world, &select(&world, prepared(walked)).await);
    assert_eq!(document.set.newest, at(1440 + 5));
    let told = reasons(&document, 0);
    assert!(
        told.contains("3 entries turned dense since the point of 2026-01-02T00:05:00Z"),
        "{told}"
    );
    assert!(told.contains("`record-0`"), "{told}");
    assert_eq!(document.considered[0].verdict, Some(Verdict::Tainted));
}

#[tokio::test(flavor = "current_thread")]
async fn a_foreign_indicator_in_the_backup_window_makes_the_walk_go_on() {
    let world = world();
    {
        let mut state = world.0.lock().unwrap();
        let clean = state.contents[&point(DATA, 1).arn].clone();
        state.contents.insert(point(DATA, 4).arn, clean.clone());
        state.contents.insert(point(DATA, 3).arn, clean);
        let timeline = serde_json::json!({
            "schema": "blackstart.boundary/1", "boundary": null,
            "suspects": [{
                "at": at(4 * 1440 + 3), "what": "s3:DeleteObjects", "indicator": "s3.mass-delete",
                "evidence": {"object": "o", "sha256": Digest::of(b""), "record": 0, "event_id": "e"}
            }],
            "coverage": blackstart_core::timeline::Coverage::default(),
        });
        state
            .artifacts
            .insert("boundary".to_owned(), timeline.to_string().into_bytes());
    }
    set_boundary(&world, at(10 * 1440));
    let walked = walk(&world, &mut 0).await;
    let document = selection(&world, &select(&world, prepared(walked)).await);
    assert_eq!(document.set.newest, at(3 * 1440 + 5));
    assert_eq!(document.considered[0].verdict, Some(Verdict::Unknown));
    assert!(reasons(&document, 0).contains("data: `s3:DeleteObjects` (s3.mass-delete)"));
}
