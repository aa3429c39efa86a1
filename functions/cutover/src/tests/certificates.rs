//! Names that are served by HTTPS: nothing moves to an endpoint that does not prove what it is.

use blackstart_core::dns::Untrusted;
use blackstart_core::task::Progress;
use blackstart_core::task::cutover::Phase;

use crate::tests::scenario::{Ending, Scenario};

#[tokio::test(flavor = "current_thread")]
async fn a_name_that_is_served_by_https_is_checked_under_its_name_and_moves() {
    let scenario = Scenario::secure();
    assert_eq!(scenario.drive("exec-1").await, Ending::Recovered);
    assert_eq!(scenario.asked_as().as_deref(), Some("shop.example.com"));
    scenario.assert_recovered().await;
}

#[tokio::test(flavor = "current_thread")]
async fn traffic_stays_while_the_certificate_proves_nothing_and_people_read_why() {
    let scenario = Scenario::secure();
    scenario.plan_and_prepare().await;
    scenario.apply_all(Phase::Expand).await.unwrap();
    scenario.verify(Phase::Expand).await.unwrap();
    while scenario.probe().await.unwrap().progress != Progress::Done {}
    for (untrusted, told) in [
        (Untrusted::SelfSigned, "self-signed"),
        (Untrusted::Expired(None), "expired"),
        (
            Untrusted::WrongName(vec!["other.example.com".to_owned()]),
            "other.example.com",
        ),
    ] {
        scenario.certify(Some(untrusted));
        let asked = scenario.probe().await.unwrap();
        assert_eq!(asked.progress, Progress::Running);
        assert!(
            asked.observed.contains(told) && asked.observed.contains("198.51.100.7"),
            "{}",
            asked.observed
        );
    }
    // What was sound before traffic moved is looked at again after.
    let synced = scenario.shift_and_ask().await.unwrap();
    assert_eq!(synced.progress, Progress::Running);
    scenario.certify(None);
    assert_eq!(scenario.shift_and_ask().await.unwrap().progress, Progress::Done);
}
