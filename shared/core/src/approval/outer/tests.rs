use proptest::prelude::*;

use super::*;
use crate::approval::fixtures::{NOW, inputs, workload};
use crate::plan::OuterGatePlan;
use crate::task::approval::TeamDecision;

const TEAM: &str = "arn:aws:mpa:us-east-1:777777777777:approval-team/recovery";
const VAULT_ARN: &str = "arn:aws:backup:us-east-1:222222222222:backup-vault:vault";

const STATUS: [&str; 6] = ["PENDING", "CREATING", "APPROVED", "FAILED", "CANCELLED", "NEW"];
const CODE: [Option<&str>; 6] = [
    None,
    Some("REJECTED"),
    Some("EXPIRED"),
    Some("CONFIGURATION_CHANGED"),
    Some("ALL_APPROVERS_IN_SESSION"),
    Some("NEW"),
];
const EXECUTION: [Option<&str>; 5] = [
    None,
    Some("PENDING"),
    Some("EXECUTED"),
    Some("FAILED"),
    Some("NEW"),
];
const VAULT: [Option<&str>; 5] = [
    None,
    Some("CREATING"),
    Some("AVAILABLE"),
    Some("FAILED"),
    Some("NEW"),
];

fn run() -> RunId {
    RunId::of_execution(&workload(), "x")
}

fn gate() -> OuterGate {
    OuterGate {
        team: TEAM.to_owned(),
        vault: VAULT_ARN.to_owned(),
    }
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn later(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

/// Asked now, with an hour to decide.
fn asked() -> OuterRecord {
    OuterRecord::ask(&run(), &Digest::of(b"this"), gate(), later(60), now())
}

fn approved() -> Access {
    Access {
        vault: Some("AVAILABLE".to_owned()),
        source: Some(VAULT_ARN.to_owned()),
        session: Some(TeamSession {
            arn: "arn:session".to_owned(),
            status: "APPROVED".to_owned(),
            execution: Some("EXECUTED".to_owned()),
            comment: Some(comment(&run(), &Digest::of(b"this"))),
            team: Some(TEAM.to_owned()),
            ..TeamSession::default()
        }),
    }
}

#[test]
fn of_everything_that_aws_can_say_one_thing_opens() {
    let (digest, other) = (Digest::of(b"this"), Digest::of(b"that"));
    let ours = comment(&run(), &digest);
    let gate = gate();
    let run = run();
    let expected = Expected {
        run: &run,
        digest: &digest,
        gate: &gate,
    };
    let mut opened = Vec::new();
    for status in STATUS {
        for code in CODE {
            for execution in EXECUTION {
                for vault in VAULT {
                    let session = Session {
                        status,
                        code,
                        execution,
                        comment: Some(&ours),
                        team: Some(TEAM),
                        vault,
                    };
                    if outcome(&session, &expected) == Outcome::Open {
                        opened.push(session);
                    }
                    let of_other = Expected {
                        digest: &other,
                        ..expected
                    };
                    assert_eq!(outcome(&session, &of_other), Outcome::OtherPackage);
                    let by_other = Session {
                        team: Some("arn:aws:mpa:us-east-1:777777777777:approval-team/friends"),
                        ..session
                    };
                    assert_eq!(outcome(&by_other, &expected), Outcome::OtherTeam);
                    let by_nobody = Session {
                        team: None,
                        ..session
                    };
                    assert_eq!(outcome(&by_nobody, &expected), Outcome::OtherTeam);
                }
            }
        }
    }
    // Codes that are not refusals may accompany it.
    assert_eq!(opened.len(), 3, "{opened:?}");
    for session in opened {
        assert_eq!(
            (session.status, session.execution, session.vault),
            ("APPROVED", Some("EXECUTED"), Some("AVAILABLE"))
        );
    }
}

#[test]
fn each_end_is_told_from_the_others() {
    let digest = Digest::of(b"this");
    let ours = comment(&run(), &digest);
    let (run, gate) = (run(), gate());
    let said = |status, code, execution, vault| {
        let session = Session {
            status,
            code,
            execution,
            comment: Some(&ours),
            team: Some(TEAM),
            vault,
        };
        let expected = Expected {
            run: &run,
            digest: &digest,
            gate: &gate,
        };
        outcome(&session, &expected)
    };
    assert_eq!(said("FAILED", Some("REJECTED"), None, None), Outcome::Refused);
    assert_eq!(said("FAILED", Some("EXPIRED"), None, None), Outcome::Expired);
    assert_eq!(
        said("FAILED", Some("CONFIGURATION_CHANGED"), None, None),
        Outcome::ConfigurationChanged
    );
    assert_eq!(said("CANCELLED", None, None, None), Outcome::Cancelled);
    assert_eq!(said("PENDING", None, None, None), Outcome::Waiting);
    assert_eq!(
        said("APPROVED", None, Some("EXECUTED"), Some("CREATING")),
        Outcome::Waiting
    );
    for failed in [
        said("APPROVED", None, Some("FAILED"), None),
        said("APPROVED", None, Some("EXECUTED"), Some("FAILED")),
        said("FAILED", None, None, None),
        said("", None, None, None),
    ] {
        assert!(matches!(failed, Outcome::Failed(_)), "{failed:?}");
    }
}

#[test]
fn comment_and_name_fit_into_what_aws_takes() {
    let longest = RunId::try_from(format!("{}-0123456789ab", "a".repeat(40))).unwrap();
    let digest = Digest::of(b"x");
    assert!(comment(&longest, &digest).chars().count() <= LONGEST_COMMENT);
    let name = vault_name(&longest, &digest);
    assert!(name.len() <= 50 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    assert_ne!(name, vault_name(&longest, &Digest::of(b"y")));
    assert_eq!(name, vault_name(&longest, &digest));
}

#[test]
fn the_package_names_the_team_except_in_a_drill() {
    let mut inputs = inputs();
    inputs.plan.approval.outer_gate = Some(OuterGatePlan {
        team: TEAM.to_owned(),
        wait_minutes: 60,
        in_drills: false,
    });
    assert_eq!(guard(&inputs.plan, Mode::Incident), Some(gate()));
    // The fixtures' run is a drill.
    let local = inputs.build().unwrap();
    assert_eq!(local.package.outer_gate, None);
    inputs.plan.approval.outer_gate.as_mut().unwrap().in_drills = true;
    let guarded = inputs.build().unwrap();
    assert_eq!(guarded.package.outer_gate, Some(gate()));
    assert_ne!(
        local.digest, guarded.digest,
        "what guards the vault is approved, too"
    );
}

#[test]
fn only_an_opening_in_time_opens_and_it_stays_what_it_is() {
    let open = asked().state_after(&approved(), false, later(1));
    assert_eq!(open, OuterState::Open { at: later(1) });
    let decided = OuterRecord {
        state: open.clone(),
        ..asked()
    };
    assert_eq!(decided.state_after(&Access::default(), true, later(100)), open);
    assert_eq!(decided.decision(later(100)), TeamDecision::Open {});

    // Seen late; approved in time, late, or nobody knows when.
    let completed = |at| {
        let mut access = approved();
        access.session.as_mut().unwrap().completed = at;
        asked().state_after(&access, false, later(61))
    };
    assert_eq!(completed(Some(later(60))), OuterState::Open { at: later(61) });
    assert_eq!(completed(Some(later(61))), OuterState::Expired { at: later(61) });
    assert_eq!(completed(None), OuterState::Expired { at: later(61) });

    assert_eq!(
        asked().state_after(&approved(), true, later(1)),
        OuterState::Void { at: later(1) }
    );
    let mut elsewhere = approved();
    elsewhere.source = Some("arn:aws:backup:us-east-1:222222222222:backup-vault:other".to_owned());
    assert!(matches!(
        asked().state_after(&elsewhere, false, later(1)),
        OuterState::Failed { .. }
    ));
}

#[test]
fn what_aws_does_not_know_yet_is_waited_for_until_the_time_is_over() {
    let creating = Access {
        vault: Some("CREATING".to_owned()),
        ..Access::default()
    };
    for access in [Access::default(), creating] {
        assert_eq!(
            asked().state_after(&access, false, later(60)),
            OuterState::Asked {}
        );
        assert_eq!(
            asked().state_after(&access, false, later(61)),
            OuterState::Expired { at: later(61) }
        );
    }
    let shut = Access {
        vault: Some("FAILED".to_owned()),
        ..Access::default()
    };
    assert!(matches!(
        asked().state_after(&shut, false, later(1)),
        OuterState::Failed { .. }
    ));
    assert_eq!(decide_by(60, later(30), now()), later(30));
    assert_eq!(decide_by(60, later(90), now()), later(60));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_day_of_looking_fits_into_an_execution(minutes in 1_i64..=1440) {
        let (asked, end) = (now(), later(minutes));
        let (mut at, mut looks) = (asked, 0_u32);
        while at < end {
            at += SignedDuration::from_secs(i64::from(pause(asked, at)));
            looks += 1;
        }
        // Task, choice and wait: nine events a look.
        prop_assert!(looks * 9 < 8_000, "{}", looks);
    }
}
