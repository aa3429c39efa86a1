//! Drift and isolation: what is proven, what is not, and what is recorded.

use blackstart_core::rebuild::surroundings::{Kind, Live};

use super::*;

/// Has every stack compared, and the environment examined. Transient failures are tried again.
pub(super) async fn proven(fake: &Fake) -> Rebuilt {
    let mut detections = BTreeMap::new();
    let mut compared = false;
    for _ in 0..20 {
        let (plan, detected) = (artifact(), detections.clone());
        let next = if compared {
            Operation::Preflight {
                plan,
                detections: detected,
            }
        } else {
            Operation::DetectDrift {
                plan,
                detections: detected,
            }
        };
        match ask(fake, next).await {
            Ok(Output::Compared(now)) => {
                compared = now.progress == Progress::Done;
                detections = now.detections;
            }
            Ok(Output::Rebuilt(rebuilt)) => return rebuilt,
            Ok(other) => panic!("{other:?}"),
            Err(error) => assert_eq!(error.name(), ErrorName::Transient, "{error}"),
        }
    }
    panic!("never proven");
}

#[tokio::test(flavor = "current_thread")]
async fn a_resource_that_was_changed_by_hand_is_named_with_its_properties_and_what_was_not_compared_is_unknown()
 {
    let fake = fake();
    until_done(&fake, &advance()).await;
    for (status, expected) in [
        ("MODIFIED", CheckStatus::Fail),
        ("UNSUPPORTED", CheckStatus::Unknown),
    ] {
        fake.world().drifted.insert("Queue".to_owned(), status);
        let rebuilt = proven(&fake).await;
        assert!(!rebuilt.isolated);
        let kept = fake.world().kept.last().unwrap().clone();
        let check = kept.not_passed().next().unwrap();
        assert_eq!((check.check.as_str(), check.status), ("drift", expected));
        assert_eq!(check.objections[0].subject, "orders-foundation/Queue");
        assert!(
            status == "UNSUPPORTED" || check.evidence.contains("`/DelaySeconds` NOT_EQUAL"),
            "{}",
            check.evidence
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_failure_at_any_call_of_the_proof_changes_nothing_in_the_end() {
    for (n, lost) in every_loss(40) {
        let fake = fake();
        until_done(&fake, &advance()).await;
        fake.lose(n, lost);
        assert!(proven(&fake).await.isolated, "call {n}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn without_a_comparison_nothing_is_proven() {
    let fake = fake();
    until_done(&fake, &advance()).await;
    let preflight = Operation::Preflight {
        plan: artifact(),
        detections: BTreeMap::new(),
    };
    let Ok(Output::Rebuilt(rebuilt)) = ask(&fake, preflight).await else {
        panic!("another answer");
    };
    assert!(!rebuilt.isolated);
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_not_isolated_is_recorded_as_such_and_what_is_not_built_is_not_examined() {
    let fake = fake();
    let preflight = Operation::Preflight {
        plan: artifact(),
        detections: BTreeMap::new(),
    };
    let error = ask(&fake, preflight).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PreconditionChanged);
    until_done(&fake, &advance()).await;
    fake.world().stacks.get_mut("orders-app").unwrap().new.template = "{\"Resources\":{}}".to_owned();
    let rebuilt = proven(&fake).await;
    assert!(!rebuilt.isolated);
    assert!(!fake.world().kept[0].is_isolated());
}

#[tokio::test(flavor = "current_thread")]
async fn what_somebody_put_into_the_account_is_not_isolated() {
    let fake = fake();
    until_done(&fake, &advance()).await;
    let peering = Live {
        id: "pcx-1".to_owned(),
        says: vec![OLD.to_owned()],
        ..Live::default()
    };
    fake.world().besides.push((Kind::VpcPeering, peering));
    assert!(!proven(&fake).await.isolated);
    let kept = fake.world().kept.last().unwrap().clone();
    let check = kept.not_passed().next().unwrap();
    assert_eq!(
        (check.check.as_str(), check.status),
        ("network", CheckStatus::Fail)
    );
    assert!(
        check.evidence.contains("`AWS::EC2::VPCPeeringConnection/pcx-1`") && check.evidence.contains(OLD),
        "{}",
        check.evidence
    );
}
