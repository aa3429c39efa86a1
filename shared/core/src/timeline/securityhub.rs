//! Security Hub findings, in the AWS Security Finding Format (ASFF) of Security Hub CSPM and in OCSF, the form of the
//! new Security Hub.
//!
//! By the Security Hub API reference (`AwsSecurityFinding`) and the OCSF class *Detection Finding* (2004). What
//! GuardDuty found comes a second time through Security Hub; it keeps its GuardDuty id and type here, so that it
//! counts once. Checks of configuration and lists of vulnerabilities report no activity.

use serde_json::Value;

use super::facts::Who;
use super::findings::{Finding, Moment, Read, WEAK, at, items, text, time};
use super::guardduty;

/// Begins the indicator name of every finding that is not GuardDuty's.
pub const PREFIX: &str = "securityhub:";

/// ASFF type namespaces that report an intruder's act (ASFF, "Types taxonomy").
const ACTS: &[&str] = &["TTPs", "Effects", "Unusual Behaviors"];

/// Least severity of a finding that stands alone: `HIGH` (ASFF `Severity.Normalized`, OCSF `severity_id` 4).
const HIGH: i64 = 70;

/// Reads one finding in ASFF.
pub(super) fn of_asff(value: &Value) -> Read {
    let id = text(value, "Id");
    if id.is_empty() {
        return Read::Unknown;
    }
    if at(value, "Compliance").is_some_and(|c| !c.is_null()) || is_sample(value) {
        return Read::Nothing;
    }
    let fields = value.get("ProductFields").unwrap_or(&Value::Null);
    let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let first_type = items(value, "Types").find_map(Value::as_str).unwrap_or_default();
    let product = [
        text(value, "ProductName"),
        field("aws/securityhub/ProductName").to_owned(),
        "unknown product".to_owned(),
    ]
    .into_iter()
    .find(|name| !name.is_empty())
    .unwrap_or_default();
    let address = action_address(value, field);
    let credential = items(value, "Resources")
        .map(|resource| text(resource, "Details.AwsIamAccessKey.AccessKeyId"))
        .find(|key| !key.is_empty())
        .unwrap_or_default();
    let severity = at(value, "FindingProviderFields.Severity")
        .filter(|severity| severity.is_object())
        .or_else(|| at(value, "Severity"));
    let acts = items(value, "Types")
        .filter_map(Value::as_str)
        .any(|kind| ACTS.contains(&kind.split('/').next().unwrap_or_default()));
    // Created after the activity: a bound, if nothing better is known.
    let first_seen = time(value, "FirstObservedAt").or_else(|| time(value, "CreatedAt"));
    let who = Who {
        credential,
        address,
        ..Who::default()
    };
    finding(Parts {
        strong: acts && severity.is_some_and(is_high),
        guardduty: guardduty_id(&id).map(|id| (id, guardduty_type(first_type))),
        kind: first_type.to_owned(),
        title: text(value, "Title"),
        account: text(value, "AwsAccountId"),
        region: text(value, "Region"),
        id,
        product,
        first_seen,
        who,
    })
}

fn is_sample(value: &Value) -> bool {
    value.get("Sample").is_some_and(|v| v == true)
        || value
            .pointer("/ProductFields/additionalInfo~1sample")
            .is_some_and(|v| v == "true")
        || text(value, "Title").starts_with("[SAMPLE FINDING]")
}

/// The far end, from `Action` or from what GuardDuty copies into `ProductFields`.
fn action_address<'f>(value: &Value, field: impl Fn(&str) -> &'f str) -> String {
    let of_action = at(value, "Action")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|action| action.values())
        .map(|detail| text(detail, "RemoteIpDetails.IpAddressV4"))
        .find(|address| !address.is_empty());
    of_action.unwrap_or_else(|| {
        [
            "action/awsApiCallAction/remoteIpDetails/ipAddressV4",
            "aws/guardduty/service/action/awsApiCallAction/remoteIpDetails/ipAddressV4",
            "aws/guardduty/service/action/networkConnectionAction/remoteIpDetails/ipAddressV4",
        ]
        .iter()
        .map(|name| field(name))
        .find(|address| !address.is_empty())
        .unwrap_or_default()
        .to_owned()
    })
}

fn is_high(severity: &Value) -> bool {
    matches!(text(severity, "Label").as_str(), "HIGH" | "CRITICAL")
        || at(severity, "Normalized")
            .and_then(Value::as_i64)
            .is_some_and(|normalized| normalized >= HIGH)
}

/// Reads one finding in OCSF.
pub(super) fn of_ocsf(value: &Value) -> Read {
    const DETECTION: i64 = 2004;
    const HIGH_ID: i64 = 4;
    let class = at(value, "class_uid").and_then(Value::as_i64);
    let id = match text(value, "finding_info.uid") {
        uid if uid.is_empty() => text(value, "metadata.uid"),
        uid => uid,
    };
    if id.is_empty() {
        return Read::Unknown;
    }
    if class != Some(DETECTION) {
        return Read::Nothing;
    }
    let kind = items(value, "finding_info.types")
        .find_map(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let severity = at(value, "severity_id").and_then(Value::as_i64).unwrap_or(0);
    let of_evidence = |path: &str| {
        items(value, "evidences")
            .map(|evidence| text(evidence, path))
            .find(|found| !found.is_empty())
            .unwrap_or_default()
    };
    let first_seen = [
        "finding_info.first_seen_time_dt",
        "finding_info.first_seen_time",
        "finding_info.created_time_dt",
        "finding_info.created_time",
        "time_dt",
        "time",
    ]
    .iter()
    .find_map(|path| time(value, path));
    let product = text(value, "metadata.product.name");
    let from_guardduty = guardduty_id(&id)
        .or_else(|| guardduty_id(&text(value, "metadata.uid")))
        .or_else(|| (product == "GuardDuty").then(|| id.clone()));
    finding(Parts {
        strong: severity >= HIGH_ID,
        guardduty: from_guardduty.map(|id| (id, guardduty_type(&kind))),
        title: text(value, "finding_info.title"),
        account: text(value, "cloud.account.uid"),
        region: text(value, "cloud.region"),
        who: Who {
            credential: of_evidence("actor.user.credential_uid"),
            address: of_evidence("src_endpoint.ip"),
            ..Who::default()
        },
        id,
        kind,
        product,
        first_seen,
    })
}

struct Parts {
    id: String,
    kind: String,
    product: String,
    title: String,
    account: String,
    region: String,
    first_seen: Option<jiff::Timestamp>,
    who: Who,
    /// GuardDuty's own id and type, if it found this.
    guardduty: Option<(String, String)>,
    strong: bool,
}

fn finding(parts: Parts) -> Read {
    let (source, id, indicator, kind) = match parts.guardduty {
        Some((id, kind)) => ("guardduty", id, format!("{}{kind}", guardduty::PREFIX), kind),
        None => {
            let weak = if parts.strong { "" } else { WEAK };
            let indicator = format!("{weak}{PREFIX}{}/{}", parts.product, parts.kind);
            ("securityhub", parts.id, indicator, parts.kind)
        }
    };
    Read::Finding(Box::new(Finding {
        source,
        indicator,
        kind,
        account: parts.account,
        region: parts.region,
        moments: vec![Moment {
            id: id.clone(),
            at: parts.first_seen,
            what: parts.title,
            who: parts.who,
        }],
        id,
    }))
}

/// GuardDuty's id in an ARN `arn:…:guardduty:…:detector/…/finding/ID`.
fn guardduty_id(arn: &str) -> Option<String> {
    let (detector, id) = arn.rsplit_once("/finding/")?;
    detector.contains(":guardduty:").then(|| id.to_owned())
}

/// GuardDuty's type in an ASFF type: `TTPs/Initial Access/UnauthorizedAccess:EC2-SSHBruteForce` is
/// `UnauthorizedAccess:EC2/SSHBruteForce` (GuardDuty user guide, "Integration with Security Hub").
fn guardduty_type(kind: &str) -> String {
    let last = if kind.contains(':') {
        let colon = kind.find(':').unwrap_or(0);
        let start = kind
            .get(..colon)
            .and_then(|head| head.rfind('/'))
            .map_or(0, |i| i + 1);
        kind.get(start..).unwrap_or(kind)
    } else {
        kind
    };
    if last.contains('/') {
        last.to_owned()
    } else {
        last.replacen('-', "/", 1)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::timeline::findings::parse;

    fn data(name: &str) -> String {
        std::fs::read_to_string(format!("{}/../../tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn asff() -> Value {
        json!({"SchemaVersion": "2018-10-08", "Id": "x1", "ProductArn": "arn:aws:securityhub:eu-central-1::product/acme/edr",
            "ProductName": "EDR", "AwsAccountId": "111111111111", "Region": "eu-central-1", "Title": "ransomware",
            "Types": ["Effects/Data Destruction"], "Severity": {"Label": "CRITICAL"},
            "FirstObservedAt": "2026-01-02T00:00:00Z", "CreatedAt": "2026-01-03T00:00:00Z"})
    }

    fn one(value: &Value) -> Finding {
        let read = parse(value.to_string().as_bytes());
        assert!(read.problems.is_empty(), "{:?}", read.problems);
        read.findings[0].1.clone()
    }

    #[test]
    fn a_guardduty_finding_that_security_hub_hands_over_is_the_same_finding() {
        let read = parse(data("eventbridge/event-securityhub-iamkey-finding-action.json").as_bytes());
        let finding = &read.findings[0].1;
        assert_eq!(finding.id, "4cb5a629e9757b650d102f683cdbcd7b");
        assert_eq!(
            finding.indicator,
            "guardduty:UnauthorizedAccess:IAMUser/ConsoleLogin"
        );
        let moment = &finding.moments[0];
        assert_eq!(moment.at, "2019-06-12T15:11:20Z".parse().ok());
        assert_eq!(moment.who.address, "208.115.85.104");
        for (asff, own) in [
            (
                "TTPs/Initial Access/UnauthorizedAccess:EC2-SSHBruteForce",
                "UnauthorizedAccess:EC2/SSHBruteForce",
            ),
            (
                "Impact:S3/AnomalousBehavior.Delete",
                "Impact:S3/AnomalousBehavior.Delete",
            ),
            (
                "AttackSequence:S3-CompromisedData",
                "AttackSequence:S3/CompromisedData",
            ),
        ] {
            assert_eq!(guardduty_type(asff), own);
        }
    }

    #[test]
    fn real_findings_of_another_product_are_read_with_key_and_address() {
        let lines = data("panther-tests/aws_securityfinding_rules.jsonl");
        for line in lines.lines() {
            let log = serde_json::from_str::<Value>(line).unwrap()["log"].clone();
            let finding = one(&log);
            assert_eq!(finding.source, "securityhub");
            assert_eq!(finding.indicator, "securityhub:DecoyDetector/Unusual Behaviors");
            assert_eq!(
                finding.moments[0].who.address,
                log["Action"]["AwsApiCallAction"]["RemoteIpDetails"]["IpAddressV4"]
            );
            assert_eq!(finding.moments[0].who.credential.len(), 20);
            assert!(finding.moments[0].at.is_some());
        }
    }

    #[test]
    fn only_acts_of_high_severity_stand_alone() {
        let indicator = |change: &dyn Fn(&mut Value)| {
            let mut value = asff();
            change(&mut value);
            one(&value).indicator
        };
        assert_eq!(indicator(&|_| {}), "securityhub:EDR/Effects/Data Destruction");
        assert!(indicator(&|v| v["Severity"] = json!({"Label": "MEDIUM"})).starts_with(WEAK));
        assert!(indicator(&|v| v["Types"] = json!(["Sensitive Data Identifications/PII"])).starts_with(WEAK));
        assert!(!indicator(&|v| v["Severity"] = json!({"Normalized": 90})).starts_with(WEAK));
    }

    #[test]
    fn checks_and_samples_report_no_activity() {
        for (field, content) in [
            ("Compliance", json!({"Status": "FAILED"})),
            ("Sample", json!(true)),
            ("ProductFields", json!({"additionalInfo/sample": "true"})),
        ] {
            let mut value = asff();
            value[field] = content;
            let read = parse(value.to_string().as_bytes());
            assert!(read.findings.is_empty() && read.problems.is_empty(), "{field}");
        }
    }

    #[test]
    fn the_ocsf_form_and_the_times_it_may_lack() {
        let event = json!({"detail-type": "Findings Imported V2", "source": "aws.securityhub", "detail": {"findings": [{
            "class_uid": 2004, "severity_id": 5, "time": 1_767_398_400_000_i64,
            "metadata": {"product": {"name": "GuardDuty"}},
            "cloud": {"account": {"uid": "111111111111"}, "region": "eu-central-1"},
            "finding_info": {"uid": "arn:aws:guardduty:eu-central-1:111111111111:detector/d/finding/f1", "title": "t",
                "types": ["Impact:S3/AnomalousBehavior.Delete"], "first_seen_time": 1_767_312_000_000_i64},
            "evidences": [{"actor": {"user": {"credential_uid": "AKIA1"}}, "src_endpoint": {"ip": "198.51.100.7"}}]}]}});
        let finding = one(&event);
        assert_eq!(finding.id, "f1");
        assert_eq!(finding.indicator, "guardduty:Impact:S3/AnomalousBehavior.Delete");
        assert_eq!(finding.moments[0].at, "2026-01-02T00:00:00Z".parse().ok());
        assert_eq!(finding.moments[0].who.credential, "AKIA1");
        let mut late = event.clone();
        late["detail"]["findings"][0]["finding_info"]["first_seen_time"] = Value::Null;
        assert_eq!(one(&late).moments[0].at, "2026-01-03T00:00:00Z".parse().ok());
        let mut check = event;
        check["detail"]["findings"][0]["class_uid"] = json!(2003);
        let read = parse(check.to_string().as_bytes());
        assert!(read.findings.is_empty() && read.problems.is_empty());
    }

    #[test]
    fn what_has_no_id_is_said() {
        for text in ["{\"SchemaVersion\":\"2018-10-08\"}", "{\"class_uid\":2004}"] {
            assert_eq!(parse(text.as_bytes()).problems.len(), 1);
        }
    }
}
