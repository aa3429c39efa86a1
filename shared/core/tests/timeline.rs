//! The event boundary on real logs whose truth is known.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

use std::path::{Path, PathBuf};

use blackstart_core::timeline::boundary::{Established, establish};
use blackstart_core::timeline::facts::{Kind, ObjectFacts, Reader};
use blackstart_core::timeline::indicator::Table;
use jiff::Timestamp;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data")
        .join(name)
}

fn reader() -> Reader {
    Reader::new(Table::default(), "2030-01-01T00:00:00Z".parse().unwrap())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.to_string_lossy().contains(".json") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn read_folder(folder: &Path) -> Vec<ObjectFacts> {
    let reader = reader();
    files(folder)
        .iter()
        .filter(|path| !path.ends_with("ground_truth.json"))
        .map(|path| {
            reader.read(
                &path.file_name().unwrap().to_string_lossy(),
                &std::fs::read(path).unwrap(),
                Kind::CloudTrail,
            )
        })
        .collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn invictus() -> Vec<ObjectFacts> {
    read_folder(&data("invictus-ir/CloudTrail"))
}

#[test]
fn the_boundary_of_a_real_intrusion_is_right_to_the_second() {
    let Established { document, .. } = establish(&invictus(), &[], &[]);
    let boundary = document.boundary.unwrap();
    assert_eq!(boundary.best, at("2023-07-10T11:54:33Z"));
    assert!(boundary.not_later_than > boundary.best);
    assert!(boundary.floor <= boundary.best);
    assert!(!boundary.unbounded);
    for actor in &document.actors {
        assert!(
            !actor.principals.iter().any(|p| p.ends_with(":user/benjamin")),
            "{:?}",
            actor.principals
        );
        assert!(!actor.addresses.contains("10.8.8.10"), "{:?}", actor.addresses);
    }
    assert_eq!(document.coverage.records, 2900);
}

#[test]
fn neither_order_nor_repetition_nor_packing_changes_the_answer() {
    let facts = invictus();
    let expected = establish(&facts, &[], &[]).document;

    let mut turned: Vec<_> = facts.iter().rev().cloned().collect();
    turned.extend(facts.iter().take(20).cloned());
    assert_eq!(establish(&turned, &[], &[]).document, expected);

    // All records in one object, each of them twice.
    let mut records = Vec::new();
    for path in files(&data("invictus-ir/CloudTrail")) {
        let whole: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        records.extend(whole["Records"].as_array().unwrap().clone());
    }
    records.extend(records.clone());
    let packed = serde_json::json!({ "Records": records }).to_string();
    let packed = vec![reader().read("packed.json", packed.as_bytes(), Kind::CloudTrail)];
    let (got, expected) = (establish(&packed, &[], &[]).document, expected);
    let (got_boundary, expected_boundary) = (got.boundary.unwrap(), expected.boundary.unwrap());
    assert_eq!(got_boundary.best, expected_boundary.best);
    assert_eq!(got_boundary.not_later_than, expected_boundary.not_later_than);
    assert_eq!(got_boundary.floor, expected_boundary.floor);
    assert_eq!(got.actors, expected.actors);
}

#[test]
fn a_planted_attack_is_found_to_the_second_whatever_the_background() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 1..=10_u8 {
        let seed = seed.to_string();
        let corpus = folder.path().join(&seed);
        let made = std::process::Command::new("python3")
            .arg(data("generate_cloudtrail.py"))
            .arg("--templates")
            .arg(data("invictus-ir/CloudTrail"))
            .args(["--mb", "1", "--records-per-file", "100", "--seed", &seed, "--out"])
            .arg(&corpus)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let truth: serde_json::Value =
            serde_json::from_slice(&std::fs::read(corpus.join("ground_truth.json")).unwrap()).unwrap();
        let planted = truth["first_malicious"]["eventTime"].as_str().unwrap();
        let Established { document, .. } = establish(&read_folder(&corpus), &[], &[]);
        let boundary = document.boundary.unwrap();
        assert_eq!(boundary.best, at(planted), "seed {seed}");
        assert!(boundary.not_later_than >= boundary.best && boundary.floor <= boundary.best);
        let first = boundary
            .reasons
            .iter()
            .find(|reason| reason.at == boundary.best)
            .unwrap();
        assert_eq!(
            first.evidence.event_id,
            truth["first_malicious"]["eventID"].as_str().unwrap()
        );
    }
}

/// Techniques that leave no record which is hostile by itself, and why.
const NO_STRONG_SIGNAL: &[(&str, &str)] = &[
    (
        "aws.credential-access.ec2-steal-instance-credentials",
        "two ordinary calls by a role; GuardDuty sees the foreign address",
    ),
    (
        "aws.discovery.ec2-download-user-data",
        "reading start-up scripts is what consoles do; weak",
    ),
    (
        "aws.execution.ec2-launch-unusual-instances",
        "starting an instance is ordinary work",
    ),
    (
        "aws.execution.ec2-user-data",
        "changing a start-up script is ordinary work",
    ),
    (
        "aws.execution.ssm-send-command",
        "commands are how instances are administered; weak",
    ),
    (
        "aws.execution.ssm-start-session",
        "sessions are how instances are administered; weak",
    ),
    (
        "aws.exfiltration.ec2-security-group-open-port-22-ingress",
        "an open port is a mistake more often than an attack; weak",
    ),
    (
        "aws.impact.bedrock-invoke-model",
        "using a model is ordinary work",
    ),
    (
        "aws.initial-access.console-login-without-mfa",
        "many accounts allow it; weak",
    ),
    (
        "aws.lateral-movement.ec2-instance-connect",
        "keys are pushed to administer instances; weak",
    ),
    (
        "aws.lateral-movement.ec2-serial-console-send-ssh-public-key",
        "keys are pushed to administer instances; weak",
    ),
    (
        "aws.persistence.lambda-layer-extension",
        "a new layer is an ordinary release; weak",
    ),
    (
        "aws.persistence.lambda-overwrite-code",
        "new code is an ordinary release; weak",
    ),
];

#[test]
fn every_known_technique_gives_a_strong_hit_or_is_known_not_to() {
    let mut quiet = Vec::new();
    for path in files(&data("stratus-red-team")) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let facts = reader().read(&name, &std::fs::read(&path).unwrap(), Kind::CloudTrail);
        assert!(facts.problems.is_empty(), "{name}: {:?}", facts.problems);
        assert!(facts.records > 0, "{name}");
        if establish(&[facts], &[], &[]).document.boundary.is_none() {
            quiet.push(name);
        }
    }
    let known: Vec<_> = NO_STRONG_SIGNAL
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(quiet, known);
}

#[test]
#[expect(clippy::print_stdout, reason = "recall and precision are to be read")]
fn labelled_records_of_others_are_matched_as_they_are_labelled() {
    let rules: &[(&str, &[&str])] = &[
        (
            "AWS.Bedrock.DeleteModelInvocationLoggingConfiguration",
            &["bedrock.model-logging-off"],
        ),
        (
            "AWS.CloudTrail.Stopped",
            &["cloudtrail.stop-logging", "cloudtrail.delete-trail"],
        ),
        ("AWS.ConfigService.DisabledDeleted", &["config.stop-recorder"]),
        ("AWS.EC2.EBS.Encryption.Disabled", &["ec2.guard-rails-off"]),
        ("AWS.IAM.AttachAdminRolePolicy", &["iam.attach-administrator"]),
        ("AWS.IAM.AttachAdminUserPolicy", &["iam.attach-administrator"]),
        ("AWS.IAM.Backdoor.User.Keys", &["iam.key-for-another"]),
        ("AWS.RDS.SnapshotDeleted", &["rds.delete-snapshot"]),
        ("AWS.S3.BucketDeleted", &["s3.delete-buckets"]),
        (
            "AWS.S3.CopyObject.CrossAccount.Encryption.KMS",
            &["s3.foreign-kms-key"],
        ),
        (
            "AWS.S3.CopyObjectWithClientSideEncryption",
            &["s3.customer-key-rewrite"],
        ),
        ("AWS.S3.DeleteObject", &["s3.mass-delete"]),
        ("AWS.S3.DeleteObjects", &["s3.mass-delete"]),
        ("AWS.S3.RansomwareNoteUpload", &["s3.ransom-note"]),
        ("AWS.S3.SuspendVersioning", &["s3.versioning-off"]),
        ("AWS.Suspicious.SAML.Activity", &["iam.identity-provider"]),
    ];
    let (mut right, mut missed, mut wrong) = (0, Vec::new(), Vec::new());
    let lines = std::fs::read_to_string(data("panther-tests/aws_cloudtrail_rules.jsonl")).unwrap();
    for line in lines.lines() {
        let labelled: serde_json::Value = serde_json::from_str(line).unwrap();
        let rule = labelled["rule"].as_str().unwrap();
        let Some((_, ids)) = rules.iter().find(|(name, _)| *name == rule) else {
            continue;
        };
        let text = serde_json::json!({ "Records": [labelled["log"]] }).to_string();
        let facts = reader().read(rule, text.as_bytes(), Kind::CloudTrail);
        if facts.records == 0 {
            // Shortened to a record without time, which no timeline can hold.
            assert_eq!(facts.problems.len(), 1);
            continue;
        }
        let hit = facts.hits.iter().any(|hit| ids.contains(&hit.indicator.as_str()));
        let what = format!("{rule}: {}", labelled["test"].as_str().unwrap());
        match (labelled["expect"].as_bool().unwrap(), hit) {
            (true, true) => right += 1,
            (true, false) => missed.push(what),
            (false, true) => wrong.push(what),
            (false, false) => {}
        }
    }
    println!("{right} right, missed {missed:#?}, wrong {wrong:#?}");
    let (right, missed, wrong) = (f64::from(right), missed.len() as f64, wrong.len() as f64);
    let (recall, precision) = (right / (right + missed), right / (right + wrong));
    println!("recall {recall:.2}, precision {precision:.2}");
    assert!(
        recall >= 0.9 && precision >= 0.8,
        "recall {recall:.2}, precision {precision:.2}"
    );
}

mod properties {
    use std::sync::LazyLock;

    use blackstart_core::timeline::Gap;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// A record of a small world, in which keys, addresses and people meet often.
    fn record(id: usize, choice: (u8, u8, u8, u8, u16)) -> Value {
        let (event, person, key, address, minute) = choice;
        let (service, name, request, response) = match event % 8 {
            0 => ("cloudtrail", "StopLogging", json!({"name": "t"}), Value::Null),
            1 => ("backup", "DeleteRecoveryPoint", json!({}), Value::Null),
            2 => (
                "iam",
                "CreateAccessKey",
                json!({"userName": "other"}),
                json!({"accessKey": {"accessKeyId": format!("AKIA{}", key.wrapping_add(1) % 4)}}),
            ),
            3 => (
                "sts",
                "AssumeRole",
                json!({}),
                json!({"credentials": {"accessKeyId": format!("AKIA{}", key.wrapping_add(2) % 4)}}),
            ),
            4 => ("s3", "DeleteBucket", json!({}), Value::Null),
            5 => ("sts", "GetCallerIdentity", Value::Null, Value::Null),
            _ => ("s3", "GetObject", json!({}), Value::Null),
        };
        json!({
            "eventID": format!("e{id:04}"),
            "eventTime": at("2026-01-01T00:00:00Z").checked_add(jiff::SignedDuration::from_mins(i64::from(minute))).unwrap().to_string(),
            "eventSource": format!("{service}.amazonaws.com"), "eventName": name,
            "sourceIPAddress": format!("198.51.100.{}", address % 4),
            "userIdentity": {"type": "IAMUser", "arn": format!("arn:aws:iam::111111111111:user/u{}", person % 3), "accessKeyId": format!("AKIA{}", key % 4)},
            "requestParameters": request, "responseElements": response,
        })
    }

    fn read(files: &[Vec<Value>]) -> Vec<ObjectFacts> {
        files
            .iter()
            .enumerate()
            .map(|(i, records)| {
                let text = json!({ "Records": records }).to_string();
                reader().read(&format!("f{i}"), text.as_bytes(), Kind::CloudTrail)
            })
            .collect()
    }

    fn answer(files: &[Vec<Value>]) -> (Option<(Timestamp, Timestamp, Timestamp)>, Vec<String>) {
        let document = establish(&read(files), &[], &[]).document;
        let boundary = document.boundary.map(|b| (b.best, b.not_later_than, b.floor));
        let actors = document.actors.iter().map(|a| format!("{a:?}")).collect();
        (boundary, actors)
    }

    fn choices() -> impl Strategy<Value = Vec<(u8, u8, u8, u8, u16)>> {
        proptest::collection::vec(
            (any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>(), 0..3000_u16),
            1..40,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn packing_order_and_repetition_change_nothing(choices in choices(), places in proptest::collection::vec((0..4_usize, any::<bool>()), 40)) {
            let records: Vec<_> = choices.iter().enumerate().map(|(i, c)| record(i, *c)).collect();
            let mut files = vec![Vec::new(); 5];
            for (record, (place, twice)) in records.iter().zip(&places).rev() {
                files[*place].push(record.clone());
                if *twice {
                    files[4].push(record.clone());
                }
            }
            prop_assert_eq!(answer(&files), answer(&[records]));
        }

        #[test]
        fn the_interval_is_in_order(choices in choices()) {
            let records: Vec<_> = choices.iter().enumerate().map(|(i, c)| record(i, *c)).collect();
            if let (Some((best, not_later_than, floor)), _) = answer(&[records]) {
                prop_assert!(floor <= best && best <= not_later_than);
            }
        }

        #[test]
        fn what_others_do_elsewhere_never_moves_the_boundary(choices in choices(), benign in proptest::collection::vec((5..8_u8, 0..3000_u16), 0..30)) {
            let mut records: Vec<_> = choices.iter().enumerate().map(|(i, c)| record(i, *c)).collect();
            let alone = answer(std::slice::from_ref(&records));
            for (i, (event, minute)) in benign.into_iter().enumerate() {
                let mut other = record(1000 + i, (event, 0, 0, 0, minute));
                other["userIdentity"] = json!({"type": "IAMUser", "arn": "arn:aws:iam::111111111111:user/benign", "accessKeyId": "AKIABENIGN"});
                other["sourceIPAddress"] = json!("203.0.113.9");
                records.push(other);
            }
            prop_assert_eq!(answer(&[records]), alone);
        }

        /// However the objects of a real intrusion are lost: a later boundary is never given without saying so.
        #[test]
        fn lost_evidence_is_a_gap_before_it_is_a_later_boundary(lost in proptest::collection::vec(proptest::option::weighted(0.3, 0..3_u8), 80)) {
            static WHOLE: LazyLock<Vec<ObjectFacts>> = LazyLock::new(invictus);
            let truth = at("2023-07-10T11:54:33Z");
            let (mut facts, mut gaps) = (Vec::new(), Vec::new());
            for (object, lost) in WHOLE.iter().zip(&lost) {
                match lost {
                    None => facts.push(object.clone()),
                    Some(0) => gaps.push(Gap { what: object.object.clone(), reason: "NoSuchKey".to_owned() }),
                    Some(1) => facts.push(reader().read(&object.object, b"\x1f\x8b\x08", Kind::CloudTrail)),
                    Some(_) => facts.push(reader().read(&object.object, b"{\"Records\":[{", Kind::CloudTrail)),
                }
            }
            let document = establish(&facts, &gaps, &[]).document;
            let right = document.boundary.as_ref().is_some_and(|b| b.best <= truth);
            prop_assert!(right || !document.coverage.gaps.is_empty(), "{:?}", document.boundary.map(|b| b.best));
            let named = document.coverage.gaps.len();
            prop_assert!(named >= lost.iter().take(WHOLE.len()).flatten().count().min(1));
        }

        /// What the intruder stopped the trail from recording is a gap of that trail.
        #[test]
        fn a_trail_that_was_stopped_is_a_gap_whatever_else_is_there(choices in choices(), minute in 0..3000_u16) {
            let mut records: Vec<_> = choices.iter().enumerate().map(|(i, c)| record(i, *c)).collect();
            records.push(record(9999, (0, 0, 0, 0, minute)));
            let document = establish(&read(&[records]), &[], &[]).document;
            prop_assert!(document.coverage.gaps.iter().any(|gap| gap.what == "trail `t`"));
            prop_assert!(document.boundary.is_some());
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in any::<bool>()) {
            let kind = if kind { Kind::CloudTrail } else { Kind::GuardDuty };
            let facts = reader().read("x", &bytes, kind);
            prop_assert!(facts.hits.is_empty());
        }
    }
}
