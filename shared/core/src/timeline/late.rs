//! What is said beside the logs: findings that come while a run is under way, and people.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::facts::{Hit, ObjectFacts, Seen, Who, plausible, printable};
use super::indicator::{Aim, Class, Mark};
use super::sources::SourceFacts;
use super::{actor, findings, guardduty};
use crate::artifact::Digest;
use crate::ledger::Key;
use crate::run::{RunId, Trigger};

/// Actors that are kept of one finding.
const ACTORS_KEPT: usize = 16;

/// When the activity of a finding began, and whose it is, as far as the finding says.
#[must_use]
pub fn sighting(finding: &Value) -> (Option<Timestamp>, Vec<Who>) {
    let read = findings::parse(finding.to_string().as_bytes());
    let Some((_, finding)) = read.findings.into_iter().next() else {
        return (None, Vec::new());
    };
    let first = finding.moments.iter().filter_map(|moment| moment.at).min();
    let actors: BTreeSet<Who> = finding
        .moments
        .into_iter()
        .map(|moment| moment.who)
        .filter(|who| *who != Who::default())
        .collect();
    (first, actors.into_iter().take(ACTORS_KEPT).collect())
}

/// What a trigger says about the event, as if it were a log object of its own; nothing if it says nothing.
///
/// `sha256` is the digest of the trigger as the ledger keeps it. A time that cannot be is a coverage gap.
#[must_use]
pub fn of(run: &RunId, trigger: &Trigger, sha256: Digest, now: Timestamp) -> Option<ObjectFacts> {
    let key = |id: &str| format!("ledger:{}", Key::trigger(run, id).sk);
    let (object, hits) = match trigger {
        Trigger::Finding {
            id,
            finding_type,
            first_seen: Some(at),
            actors,
            ..
        } => {
            let nobody = [Who::default()];
            let who = if actors.is_empty() {
                &nobody
            } else {
                actors.as_slice()
            };
            let hits = who.iter().map(|who| Hit {
                seen: Seen {
                    at: *at,
                    event_id: format!("{id}/{}/{}", who.credential, who.address),
                    record: 0,
                },
                indicator: format!("{}{finding_type}", guardduty::PREFIX),
                who: who.clone(),
                what: printable(&format!("finding `{finding_type}`")),
                mark: None,
            });
            (key(id), hits.collect::<Vec<_>>())
        }
        Trigger::Manual {
            requested_by,
            boundary: Some(at),
        } => {
            let hit = Hit {
                seen: Seen {
                    at: *at,
                    event_id: String::new(),
                    record: 0,
                },
                indicator: actor::PERSON.to_owned(),
                who: Who::default(),
                what: printable(&format!("the boundary as `{requested_by}` sees it")),
                mark: Some(Mark {
                    class: Class::Strong,
                    aim: Aim::Impact,
                }),
            };
            (key(requested_by), vec![hit])
        }
        Trigger::Finding { .. } | Trigger::Manual { .. } => return None,
    };
    let (hits, impossible): (Vec<Hit>, Vec<Hit>) = hits
        .into_iter()
        .partition(|hit| plausible(Some(hit.seen.at), now).is_ok());
    let mut problems: Vec<String> = impossible
        .iter()
        .filter_map(|hit| plausible(Some(hit.seen.at), now).err())
        .map(str::to_owned)
        .collect();
    problems.dedup();
    Some(ObjectFacts {
        object,
        sha256,
        records: 0,
        first: None,
        last: None,
        problems,
        uses: Vec::new(),
        hits,
        issued: Vec::new(),
        logging: Vec::new(),
        sources: SourceFacts::default(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::run::{AccountId, WorkloadName};
    use crate::timeline::boundary::establish;
    use crate::timeline::facts::{Kind, Reader};
    use crate::timeline::indicator::Table;

    const NOW: &str = "2026-02-01T00:00:00Z";

    fn run() -> RunId {
        RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "e")
    }

    fn minute(minute: u16) -> Timestamp {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        start + jiff::SignedDuration::from_mins(i64::from(minute))
    }

    fn finding(kind: &str, at: Timestamp, actors: &[Who]) -> Trigger {
        Trigger::Finding {
            id: "f".to_owned(),
            account: AccountId::try_from("111111111111".to_owned()).unwrap(),
            finding_type: kind.to_owned(),
            severity: 8.0,
            first_seen: Some(at),
            actors: actors.to_vec(),
        }
    }

    fn said(trigger: &Trigger) -> Vec<ObjectFacts> {
        of(&run(), trigger, Digest::of(b"trigger"), NOW.parse().unwrap())
            .into_iter()
            .collect()
    }

    fn person(at: Timestamp) -> Trigger {
        Trigger::Manual {
            requested_by: "ada".to_owned(),
            boundary: Some(at),
        }
    }

    /// Records of few keys and addresses: (event, key, address, minute).
    fn logs(records: &[(u8, u8, u8, u16)]) -> Vec<ObjectFacts> {
        let records: Vec<_> = records
            .iter()
            .enumerate()
            .map(|(i, (event, key, address, at))| {
                let (service, name) = match event % 6 {
                    0 => ("cloudtrail", "StopLogging"),
                    1 => ("backup", "DeleteRecoveryPoint"),
                    2 => ("s3", "DeleteBucket"),
                    _ => ("s3", "GetObject"),
                };
                json!({"eventID": format!("e{i:03}"), "eventTime": minute(*at).to_string(), "eventName": name,
                    "eventSource": format!("{service}.amazonaws.com"), "sourceIPAddress": format!("198.51.100.{}", address % 3),
                    "userIdentity": {"arn": format!("arn:aws:iam::111111111111:user/u{}", key % 3), "accessKeyId": format!("AKIA{}", key % 3)}})
            })
            .collect();
        let reader = Reader::new(Table::default(), NOW.parse().unwrap());
        let text = json!({ "Records": records }).to_string();
        vec![reader.read("o", text.as_bytes(), Kind::CloudTrail)]
    }

    #[test]
    fn a_finding_moves_the_boundary_to_the_first_act_of_its_actor() {
        // The thief of key 1 reads for an hour; nothing it does is hostile by itself.
        let logs = logs(&[
            (3, 0, 0, 5),
            (3, 1, 1, 60),
            (3, 1, 1, 90),
            (3, 1, 2, 10),
            (0, 2, 2, 500),
        ]);
        let alone = establish(&logs, &[], &[]).document.boundary.unwrap();
        assert_eq!(
            alone.best,
            minute(10),
            "key 2 acts from address 2, where key 1 was before"
        );
        let thief = Who {
            credential: "AKIA1".to_owned(),
            address: "198.51.100.1".to_owned(),
            ..Who::default()
        };
        let found = said(&finding(
            "Exfiltration:S3/AnomalousBehavior",
            minute(85),
            std::slice::from_ref(&thief),
        ));
        let with = establish(&logs[..1], &[], &found).document;
        let boundary = with.boundary.unwrap();
        assert_eq!(boundary.best, minute(10));
        assert!(
            with.actors
                .iter()
                .any(|actor| actor.credentials.contains("AKIA1"))
        );
        assert!(
            boundary
                .reasons
                .iter()
                .any(|r| r.indicator == "guardduty:Exfiltration:S3/AnomalousBehavior")
        );

        let quiet = self::logs(&[(3, 0, 0, 5), (3, 1, 1, 60), (3, 1, 1, 90)]);
        assert!(establish(&quiet, &[], &[]).document.boundary.is_none());
        let boundary = establish(&quiet, &[], &found).document.boundary.unwrap();
        assert_eq!((boundary.best, boundary.not_later_than), (minute(60), minute(85)));
        let context = said(&finding("Discovery:S3/AnomalousBehavior", minute(85), &[thief]));
        assert!(establish(&quiet, &[], &context).document.boundary.is_none());
    }

    #[test]
    fn a_person_sets_the_boundary_where_the_logs_show_nothing() {
        let quiet = logs(&[(3, 0, 0, 5)]);
        let document = establish(&quiet, &[], &said(&person(minute(3)))).document;
        let boundary = document.boundary.unwrap();
        assert_eq!(boundary.best, minute(3));
        assert_eq!(boundary.reasons[0].what, "the boundary as `ada` sees it");
        assert!(
            document.actors.is_empty(),
            "a person accuses nobody: {:?}",
            document.actors
        );
        // Later than what the logs show, it changes nothing.
        let loud = logs(&[(0, 0, 0, 5)]);
        let best = |late: &[ObjectFacts]| establish(&loud, &[], late).document.boundary.unwrap().best;
        assert_eq!(best(&said(&person(minute(100)))), minute(5));
    }

    #[test]
    fn a_time_that_cannot_be_is_a_gap_and_no_boundary() {
        for at in ["1970-01-01T00:00:00Z", "2031-01-01T00:00:00Z"] {
            let at = at.parse().unwrap();
            for trigger in [person(at), finding("Impact:S3/AnomalousBehavior.Delete", at, &[])] {
                let document = establish(&logs(&[(3, 0, 0, 5)]), &[], &said(&trigger)).document;
                assert!(document.boundary.is_none(), "{trigger:?}");
                let gaps = &document.coverage.gaps;
                let said = gaps.iter().filter(|gap| gap.what.starts_with("ledger:")).count();
                assert_eq!(said, 1, "{trigger:?}: {gaps:?}");
            }
        }
    }

    #[test]
    fn a_finding_says_who_and_since_when() {
        let detail = json!({"id": "f", "type": "Impact:S3/AnomalousBehavior.Delete", "accountId": "111111111111",
            "resource": {"accessKeyDetails": {"accessKeyId": "AKIA1"}},
            "service": {"eventFirstSeen": "2026-01-01T01:25:00Z",
                "action": {"awsApiCallAction": {"remoteIpDetails": {"ipAddressV4": "198.51.100.1"}}}}});
        let (at, who) = sighting(&detail);
        assert_eq!(at, Some(minute(85)));
        assert_eq!(
            (who[0].credential.as_str(), who[0].address.as_str()),
            ("AKIA1", "198.51.100.1")
        );
        assert_eq!(sighting(&json!({})), (None, vec![]));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn late_evidence_never_moves_the_boundary_later(
            records in proptest::collection::vec((any::<u8>(), any::<u8>(), any::<u8>(), 0..2000_u16), 1..30),
            (key, address, at) in (0..5_u8, 0..5_u8, 0..3000_u16), by_person in any::<bool>(),
        ) {
            let logs = logs(&records);
            let who = Who { credential: format!("AKIA{key}"), address: format!("198.51.100.{address}"), ..Who::default() };
            let trigger = if by_person { person(minute(at)) } else { finding("Impact:IAMUser/AnomalousBehavior", minute(at), &[who]) };
            let with = establish(&logs, &[], &said(&trigger)).document.boundary.unwrap();
            prop_assert!(with.best <= minute(at));
            if let Some(alone) = establish(&logs, &[], &[]).document.boundary {
                prop_assert!(with.best <= alone.best);
                prop_assert!(with.not_later_than <= alone.not_later_than);
                prop_assert!(with.floor <= alone.floor);
            }
        }
    }
}
