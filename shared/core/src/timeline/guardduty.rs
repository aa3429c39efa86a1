//! GuardDuty findings: GuardDuty API reference, `Finding` and `Sequence`; EventBridge events and exports to S3 have
//! the same fields in other letters.
//!
//! Samples are no evidence. Archived findings are: a suppression rule that archives may be the intruder's.

use serde_json::Value;

use super::facts::Who;
use super::findings::{Finding, Moment, Read, at, items, text, time};

/// Begins the indicator name of every finding.
pub const PREFIX: &str = "guardduty:";

/// Finding types that are context only: they report looking around and settings, not an intruder's act.
const CONTEXT: &[&str] = &["Discovery:", "Policy:", "Recon:"];

/// Pairs of an actor and an endpoint that are kept of one signal.
const PAIRS_PER_SIGNAL: usize = 16;

/// Whether a finding of this type alone is enough to look for the actor behind it.
///
/// By the GuardDuty documentation of finding types and attack sequences.
#[must_use]
pub fn is_strong(finding_type: &str) -> bool {
    !CONTEXT.iter().any(|prefix| finding_type.starts_with(prefix))
}

/// Reads one finding.
pub(super) fn of(value: &Value) -> Read {
    let sample = at(value, "service.additionalInfo.sample");
    if sample.is_some_and(|v| v == true || v == "true") {
        return Read::Nothing;
    }
    let (id, kind) = (text(value, "id"), text(value, "type"));
    if id.is_empty() || kind.is_empty() {
        return Read::Unknown;
    }
    let title = text(value, "title");
    let mut moments = vec![Moment {
        id: id.clone(),
        // What a finding reports has happened before the finding was made: a bound, if nothing better is known.
        at: time(value, "service.eventFirstSeen").or_else(|| time(value, "createdAt")),
        what: title.clone(),
        who: Who {
            credential: text(value, "resource.accessKeyDetails.accessKeyId"),
            address: remote_address(value),
            ..Who::default()
        },
    }];
    moments.extend(signals(value, &id, &title));
    Read::Finding(Box::new(Finding {
        source: "guardduty",
        indicator: format!("{PREFIX}{kind}"),
        id,
        kind,
        account: text(value, "accountId"),
        region: text(value, "region"),
        moments,
    }))
}

/// The far end of the finding's action, whatever kind of action it is.
fn remote_address(value: &Value) -> String {
    let of = |detail: &Value| {
        ["remoteIpDetails.ipAddressV4", "remoteIpDetails.ipAddressV6"]
            .iter()
            .map(|path| text(detail, path))
            .find(|address| !address.is_empty())
    };
    at(value, "service.action")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|action| action.values())
        .find_map(|detail| {
            of(detail)
                .or_else(|| items(detail, "portProbeDetails").find_map(of))
                .or_else(|| {
                    let source = text(detail, "sourceIPs.0");
                    (!source.is_empty()).then_some(source)
                })
        })
        .unwrap_or_default()
}

/// Each signal of an attack sequence with its own time, actors and endpoints.
fn signals(value: &Value, id: &str, title: &str) -> Vec<Moment> {
    const SEQUENCE: &str = "service.detection.sequence";
    let Some(sequence) = at(value, SEQUENCE) else {
        return Vec::new();
    };
    // Signals name actors and endpoints by the ids that the sequence gives them.
    let actor = |named: &str| items(sequence, "actors").find(|a| text(a, "id") == named);
    let endpoint = |named: &str| items(sequence, "endpoints").find(|e| text(e, "id") == named);
    let mut moments = Vec::new();
    for (number, signal) in items(sequence, "signals").enumerate() {
        let at = time(signal, "firstSeenAt").or_else(|| time(signal, "createdAt"));
        let ids = |path: &str| -> Vec<String> {
            items(signal, path)
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        let actors: Vec<_> = ids("actorIds").iter().filter_map(|id| actor(id)).collect();
        let endpoints: Vec<_> = ids("endpointIds").iter().filter_map(|id| endpoint(id)).collect();
        let mut whos = Vec::new();
        for actor in some_or_none(&actors) {
            for endpoint in some_or_none(&endpoints) {
                whos.push(Who {
                    credential: actor.map_or_else(String::new, |a| text(a, "user.credentialUid")),
                    address: endpoint.map_or_else(String::new, |e| text(e, "ip")),
                    ..Who::default()
                });
            }
        }
        let name = text(signal, "name");
        let what = if name.is_empty() {
            title.to_owned()
        } else {
            format!("{title}: {name}")
        };
        let uid = match text(signal, "uid") {
            uid if uid.is_empty() => number.to_string(),
            uid => uid,
        };
        moments.extend(
            whos.into_iter()
                .take(PAIRS_PER_SIGNAL)
                .enumerate()
                .map(|(pair, who)| Moment {
                    id: format!("{id}/{uid}/{pair}"),
                    at,
                    what: what.clone(),
                    who,
                }),
        );
    }
    moments
}

/// Every item, or once nothing where there is no item.
fn some_or_none<'i>(items: &[&'i Value]) -> Vec<Option<&'i Value>> {
    if items.is_empty() {
        vec![None]
    } else {
        items.iter().copied().map(Some).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::timeline::cloudtrail::parse_time;
    use crate::timeline::findings::parse;

    fn example() -> Value {
        json!({
            "id": "f1", "type": "Impact:S3/AnomalousBehavior.Delete", "title": "t", "createdAt": "2026-01-03T00:00:00Z",
            "accountId": "111111111111", "region": "eu-central-1",
            "resource": {"accessKeyDetails": {"accessKeyId": "AKIA1", "userName": "u"}},
            "service": {"eventFirstSeen": "2026-01-02T00:00:00Z", "additionalInfo": {"sample": false}, "archived": true,
                "action": {"actionType": "AWS_API_CALL", "awsApiCallAction": {"remoteIpDetails": {"ipAddressV4": "198.51.100.7"}}}}
        })
    }

    fn one(value: &Value) -> Finding {
        let read = parse(value.to_string().as_bytes());
        assert!(read.problems.is_empty(), "{:?}", read.problems);
        read.findings[0].1.clone()
    }

    #[test]
    fn the_same_finding_in_every_form() {
        let finding = example();
        let api = json!({"Findings": [{"Id": "f1", "Type": "Impact:S3/AnomalousBehavior.Delete", "Title": "t",
            "AccountId": "111111111111", "Region": "eu-central-1",
            "Resource": {"AccessKeyDetails": {"AccessKeyId": "AKIA1"}},
            "Service": {"EventFirstSeen": "2026-01-02T00:00:00Z", "Archived": true,
                "Action": {"AwsApiCallAction": {"RemoteIpDetails": {"IpAddressV4": "198.51.100.7"}}}}}]});
        let bridge = json!({"detail-type": "GuardDuty Finding", "detail": finding});
        let lines = format!("{finding}\n{finding}\n");
        let expected = one(&finding);
        assert_eq!(expected.moments[0].who.address, "198.51.100.7");
        assert_eq!(expected.moments[0].at, parse_time("2026-01-02T00:00:00Z"));
        for form in [
            api.to_string(),
            bridge.to_string(),
            lines,
            json!([finding]).to_string(),
        ] {
            let read = parse(form.as_bytes());
            assert!(read.problems.is_empty(), "{:?}", read.problems);
            assert_eq!(read.findings[0].1, expected, "{form}");
        }
    }

    #[test]
    fn a_sample_is_no_evidence() {
        for sample in [json!(true), json!("true")] {
            let mut finding = example();
            finding["service"]["additionalInfo"]["sample"] = sample;
            let read = parse(finding.to_string().as_bytes());
            assert!(read.findings.is_empty() && read.problems.is_empty());
        }
    }

    #[test]
    fn a_finding_without_time_of_activity_is_bounded_by_its_creation() {
        let mut finding = example();
        finding["service"]["eventFirstSeen"] = Value::Null;
        assert_eq!(one(&finding).moments[0].at, parse_time("2026-01-03T00:00:00Z"));
    }

    #[test]
    fn every_signal_of_an_attack_sequence_has_its_own_time_and_actors() {
        let mut finding = example();
        finding["type"] = json!("AttackSequence:S3/CompromisedData");
        finding["service"]["detection"] = json!({"sequence": {
        "actors": [{"id": "a1", "user": {"credentialUid": "AKIA9"}}, {"id": "a2", "user": {"credentialUid": "ASIA8"}}],
        "endpoints": [{"id": "e1", "ip": "203.0.113.5"}],
        "signals": [
            {"uid": "s1", "name": "s3:ListBuckets", "firstSeenAt": 1_767_225_600, "actorIds": ["a1", "a2"], "endpointIds": ["e1"]},
            {"uid": "s2", "firstSeenAt": "2026-01-01T12:00:00Z", "actorIds": ["a2"]},
            {"createdAt": 1_767_312_000_000_i64, "endpointIds": ["e1", "gone"]}
        ]}});
        let found = one(&finding);
        let moments: Vec<_> = found
            .moments
            .iter()
            .map(|m| {
                (
                    m.id.as_str(),
                    m.at.unwrap().to_string(),
                    m.who.credential.as_str(),
                    m.who.address.as_str(),
                )
            })
            .collect();
        let at = |hour: &str| format!("2026-01-{hour}:00:00Z");
        assert_eq!(
            moments,
            [
                ("f1", at("02T00"), "AKIA1", "198.51.100.7"),
                ("f1/s1/0", at("01T00"), "AKIA9", "203.0.113.5"),
                ("f1/s1/1", at("01T00"), "ASIA8", "203.0.113.5"),
                ("f1/s2/0", at("01T12"), "ASIA8", ""),
                ("f1/2/0", at("02T00"), "", "203.0.113.5"),
            ]
        );
        assert_eq!(found.moments[1].what, "t: s3:ListBuckets");
    }

    #[test]
    fn the_far_end_of_every_kind_of_action() {
        for action in [
            json!({"networkConnectionAction": {"remoteIpDetails": {"ipAddressV6": "2001:db8::1"}}}),
            json!({"portProbeAction": {"portProbeDetails": [{"remoteIpDetails": {"ipAddressV4": "2001:db8::1"}}]}}),
            json!({"kubernetesApiCallAction": {"sourceIPs": ["2001:db8::1"]}}),
            json!({"rdsLoginAttemptAction": {"remoteIpDetails": {"ipAddressV4": "2001:db8::1"}}}),
        ] {
            let mut finding = example();
            finding["service"]["action"] = action;
            assert_eq!(one(&finding).moments[0].who.address, "2001:db8::1");
        }
    }
}
