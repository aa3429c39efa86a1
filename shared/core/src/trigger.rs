//! From whatever starts an execution to a request for a recovery, or to a reason why not.
//!
//! A trigger is a hint from outside. Findings of the old account may be forged by the intruder, so a trigger only
//! ever starts what destroys nothing.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::run::{AccountId, Mode, RunId, Trigger, WorkloadName};
use crate::timeline::late;

/// A trigger that asks for a recovery.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Incident or drill.
    pub mode: Mode,
    /// The workload, where the trigger names one; a finding names only an account.
    pub workload: Option<WorkloadName>,
    /// The run whose lock is taken over, because its execution no longer lives.
    pub supersede: Option<RunId>,
    /// What is recorded.
    pub trigger: Trigger,
}

/// Why a trigger starts nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotARequest {
    /// Neither an event nor a manual input.
    #[error("the input is neither an EventBridge event nor `{{\"workload\": …}}`: {0}")]
    Unreadable(String),
    /// An event of another source or type.
    #[error("events of `{source_name}` / `{detail_type}` start nothing; GuardDuty findings do")]
    OtherEvent {
        /// `source` of the event.
        source_name: String,
        /// `detail-type` of the event.
        detail_type: String,
    },
    /// A finding that lacks what is needed.
    #[error("the GuardDuty finding is malformed: {0}")]
    MalformedFinding(String),
    /// A sample finding. Anyone who may call `CreateSampleFindings` can make one.
    #[error("finding `{0}` is a sample")]
    Sample(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manual {
    workload: WorkloadName,
    #[serde(default = "incident")]
    mode: Mode,
    #[serde(default)]
    requested_by: Option<String>,
    #[serde(default)]
    boundary: Option<Timestamp>,
    #[serde(default)]
    supersede: Option<RunId>,
}

fn incident() -> Mode {
    Mode::Incident
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    id: String,
    account_id: AccountId,
    #[serde(rename = "type")]
    finding_type: String,
    severity: f64,
    #[serde(default)]
    service: Service,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Service {
    additional_info: AdditionalInfo,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AdditionalInfo {
    sample: Value,
}

/// Reads the input of an execution.
///
/// `execution` stands for the requester where a manual input names none.
///
/// # Errors
/// [`NotARequest`] says why the input starts nothing.
pub fn read(input: &Value, execution: &str) -> Result<Request, NotARequest> {
    let Some(fields) = input.as_object() else {
        return Err(NotARequest::Unreadable("it is no JSON object".to_owned()));
    };
    if !fields.contains_key("source") && !fields.contains_key("detail-type") {
        return manual(input, execution);
    }
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("source") != "aws.guardduty" || text("detail-type") != "GuardDuty Finding" {
        return Err(NotARequest::OtherEvent {
            source_name: text("source").to_owned(),
            detail_type: text("detail-type").to_owned(),
        });
    }
    finding(fields.get("detail").unwrap_or(&Value::Null))
}

fn manual(input: &Value, execution: &str) -> Result<Request, NotARequest> {
    let manual = Manual::deserialize(input).map_err(|error| NotARequest::Unreadable(error.to_string()))?;
    Ok(Request {
        mode: manual.mode,
        workload: Some(manual.workload),
        supersede: manual.supersede,
        trigger: Trigger::Manual {
            requested_by: manual.requested_by.unwrap_or_else(|| execution.to_owned()),
            boundary: manual.boundary,
        },
    })
}

fn finding(detail: &Value) -> Result<Request, NotARequest> {
    let finding =
        Finding::deserialize(detail).map_err(|error| NotARequest::MalformedFinding(error.to_string()))?;
    if !is_finding_id(&finding.id) {
        return Err(NotARequest::MalformedFinding(
            "`id` is not 1 to 300 printable ASCII characters".to_owned(),
        ));
    }
    // GuardDuty writes the flag as a boolean in events and as text in exports.
    let sample = &finding.service.additional_info.sample;
    if sample.as_bool() == Some(true) || sample.as_str() == Some("true") {
        return Err(NotARequest::Sample(finding.id));
    }
    let (first_seen, actors) = late::sighting(detail);
    Ok(Request {
        mode: Mode::Incident,
        workload: None,
        supersede: None,
        trigger: Trigger::Finding {
            id: finding.id,
            account: finding.account_id,
            finding_type: finding.finding_type,
            severity: finding.severity,
            first_seen,
            actors,
        },
    })
}

/// `GetFindings` allows ids of 1 to 300 characters (GuardDuty API, `FindingId`).
fn is_finding_id(id: &str) -> bool {
    (1..=300).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
}

/// Which of the planned workloads a request is about.
///
/// # Errors
/// A sentence that says why none is, and what to do.
pub fn workload_of<'a>(
    request: &Request,
    planned: impl IntoIterator<Item = (&'a WorkloadName, &'a AccountId)>,
) -> Result<WorkloadName, String> {
    let planned: Vec<_> = planned.into_iter().collect();
    if let Some(workload) = &request.workload {
        return if planned.iter().any(|(name, _)| *name == workload) {
            Ok(workload.clone())
        } else {
            Err(format!(
                "there is no plan for workload `{workload}`; upload `plans/{workload}.json` first"
            ))
        };
    }
    let Trigger::Finding { account, .. } = &request.trigger else {
        return Err("the trigger names no workload".to_owned());
    };
    let mut matching: Vec<_> = planned
        .iter()
        .filter(|(_, old)| *old == account)
        .map(|(name, _)| name.as_str())
        .collect();
    matching.sort_unstable();
    match matching.as_slice() {
        [] => Err(format!("no plan recovers account {account}")),
        [one] => WorkloadName::try_from((*one).to_owned()).map_err(|error| error.to_string()),
        several => Err(format!(
            "account {account} carries several workloads ({}); start each by hand with {{\"workload\": …}}",
            several.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({
            "source": "aws.guardduty", "detail-type": "GuardDuty Finding",
            "detail": {"id": "f1", "accountId": "218007301253", "type": "Impact:S3/AnomalousBehavior.Delete",
                       "severity": 8.0, "service": {"eventFirstSeen": "2023-07-10T12:20:00Z"}}
        })
    }

    fn name(text: &str) -> WorkloadName {
        WorkloadName::try_from(text.to_owned()).unwrap()
    }

    fn account(text: &str) -> AccountId {
        AccountId::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn real_findings_are_read_and_samples_are_not() {
        for file in ["ec2-duty-event.json", "iam-duty-event.json"] {
            let path = format!(
                "{}/../../tests/data/eventbridge/{file}",
                env!("CARGO_MANIFEST_DIR")
            );
            let input: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            match read(&input, "e") {
                Ok(request) => assert!(matches!(request.trigger, Trigger::Finding { .. }), "{file}"),
                Err(error) => assert!(matches!(error, NotARequest::Sample(_)), "{file}: {error}"),
            }
        }
        for sample in [json!(true), json!("true")] {
            let mut input = event();
            input["detail"]["service"]["additionalInfo"] = json!({"sample": sample});
            assert_eq!(
                read(&input, "e").unwrap_err(),
                NotARequest::Sample("f1".to_owned())
            );
        }
    }

    #[test]
    fn what_is_no_finding_and_no_manual_input_starts_nothing() {
        let mut other = event();
        other["detail-type"] = json!("GuardDuty finding");
        assert!(matches!(read(&other, "e"), Err(NotARequest::OtherEvent { .. })));
        let mut imported = event();
        imported["source"] = json!("custom.guardduty");
        assert!(matches!(
            read(&imported, "e"),
            Err(NotARequest::OtherEvent { .. })
        ));
        let mut malformed = event();
        malformed["detail"]["accountId"] = json!("x");
        assert!(matches!(
            read(&malformed, "e"),
            Err(NotARequest::MalformedFinding(_))
        ));
        for input in [
            json!(null),
            json!([]),
            json!({}),
            json!({"workload": "Orders"}),
            json!({"workload": "o", "x": 1}),
        ] {
            assert!(
                matches!(read(&input, "e"), Err(NotARequest::Unreadable(_))),
                "{input}"
            );
        }
    }

    #[test]
    fn a_finding_belongs_to_the_one_workload_of_its_account() {
        let request = read(&event(), "e").unwrap();
        let (orders, billing) = (name("orders"), name("billing"));
        let (hit, other) = (account("218007301253"), account("999999999999"));
        assert_eq!(
            workload_of(&request, [(&orders, &hit), (&billing, &other)]).unwrap(),
            orders
        );
        assert!(
            workload_of(&request, [(&billing, &other)])
                .unwrap_err()
                .contains("218007301253")
        );
        let both = workload_of(&request, [(&orders, &hit), (&billing, &hit)]).unwrap_err();
        assert!(both.contains("billing, orders"), "{both}");
    }

    #[test]
    fn a_manual_start_needs_a_plan_and_names_its_requester() {
        let request = read(&json!({"workload": "orders", "mode": "drill"}), "arn:e").unwrap();
        assert_eq!(request.mode, Mode::Drill);
        assert_eq!(
            request.trigger,
            Trigger::Manual {
                requested_by: "arn:e".to_owned(),
                boundary: None,
            }
        );
        let (billing, old) = (name("billing"), account("999999999999"));
        assert!(
            workload_of(&request, [(&billing, &old)])
                .unwrap_err()
                .contains("plans/orders.json")
        );
    }
}
