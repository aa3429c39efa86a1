//! Each layer's word in the verdict of a set.

use blackstart_core::artifact::Digest;
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::ledger::Key;
use blackstart_core::run::{RunId, WorkloadName};
use blackstart_core::task::validation::Operation;
use blackstart_core::validation::{SetVerdict, Verdict};

use super::clean_up::{files, with_files};
use super::machine::{
    DATA, TABLE, artifact, ask_at, at, change_plan, point, prepared, reasons, run, select, selection,
    set_boundary, walk, with_rules, world,
};

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
async fn the_figures_of_a_function_are_needed_and_are_not_compared_with_an_older_point() {
    use blackstart_core::validation::check_function::Called;

    let world = with_files("EFS");
    change_plan(&world, |plan| {
        plan["validation"]["invariants"] = serde_json::json!([
            {"check": "function", "resource": "a-files", "function": "blackstart-check-files"}
        ]);
    });
    let earlier = RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "earlier");
    let answers = |figures: serde_json::Value| {
        let answer = serde_json::json!({"verdict": "clean", "figures": figures});
        let called = Called::Returned(answer.to_string().into_bytes());
        let mut state = world.0.lock().unwrap();
        state
            .functions
            .insert("blackstart-check-files".to_owned(), called);
    };
    let forget_the_run = || {
        let mut state = world.0.lock().unwrap();
        let partition = Key::run_partition(&run());
        state.items.retain(|key, _| key.pk != partition);
        for (_, text) in state.items.values_mut() {
            *text = text.replace(run().as_str(), earlier.as_str());
        }
        drop(state);
        set_boundary(&world, at(10 * 1440));
    };
    forget_the_run();
    answers(serde_json::json!({}));
    assert_eq!(walk(&world, &mut 0).await.found, None);

    forget_the_run();
    answers(serde_json::json!({"rows": 7}));
    assert!(walk(&world, &mut 100).await.found.is_some());

    forget_the_run();
    answers(serde_json::json!({"rows": 9000}));
    {
        let mut state = world.0.lock().unwrap();
        let kept = state.artifacts.clone();
        for (key, bytes) in kept.into_iter().filter(|(key, _)| key.contains("manifest")) {
            // Whoever reads the older figures fails.
            let bytes = if key.contains("a-files") {
                Vec::new()
            } else {
                bytes
            };
            state
                .artifacts
                .insert(key.replace(run().as_str(), earlier.as_str()), bytes);
        }
        state
            .points
            .extend([point(DATA, 3), point(TABLE, 3), files("EFS", 3)]);
        let clean = state.contents[&point(DATA, 1).arn].clone();
        state.contents.insert(point(DATA, 3).arn, clean);
    }
    let walked = walk(&world, &mut 200).await;
    let document = selection(&world, &select(&world, prepared(walked)).await);
    assert_eq!(document.set.newest, at(3 * 1440 + 5));
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
