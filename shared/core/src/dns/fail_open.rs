//! The ways in which DNS failover serves what it should not, found before anything is changed.
//!
//! Source: Amazon Route 53 Developer Guide, "How Amazon Route 53 determines whether a health check is healthy" and
//! "How Amazon Route 53 chooses records when health checking is configured".

use super::{HOLDING, RecordSet, TrafficChange};

/// The health check that a cutover relies on, and what is done beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckPlan {
    /// Whether the check asks by HTTPS.
    pub https: bool,
    /// What must stand in the first 5,120 bytes of the answer.
    pub search: Option<String>,
    /// Whether the check is switched off.
    pub disabled: bool,
    /// Whether it follows an alarm, and counts as healthy while that has no data (`InsufficientDataHealthStatus`).
    pub alarm_without_data_counts: bool,
    /// Whether traffic waits until checkers have reported the nonce.
    pub waits_for_reports: bool,
    /// Whether name, chain and expiry of the certificate are probed besides.
    pub own_tls_probe: bool,
}

/// A way in which the gate would let traffic through although nothing healthy is behind it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FailOpen {
    /// A check without data counts as healthy.
    #[error("the health check is new, and counts as healthy until the checkers have reported")]
    NewCheck,
    /// A check that is switched off counts as healthy.
    #[error("the health check is disabled, and a disabled check counts as healthy")]
    DisabledCheck,
    /// An alarm without history is in no state, and a check that follows it may count as healthy.
    #[error("the health check follows an alarm, and counts as healthy while that has no data")]
    AlarmWithoutData,
    /// A record without a check counts as healthy.
    #[error("`{0}` carries no health check, and counts as healthy")]
    NoCheck(String),
    /// Where everything is unhealthy, everything (or the primary) is served.
    #[error("`{0}` has no last resort: when everything is unhealthy, Route 53 serves it all the same")]
    NoLastResort(String),
    /// A record of weight 0 is served when all others are unhealthy.
    #[error("`{0}` has weight 0, and comes back when the others are unhealthy; remove it instead")]
    WeightZero(String),
    /// Where every record of a weighted group has weight 0, all are served alike.
    #[error("every record of `{0}` has weight 0: Route 53 then serves all of them alike")]
    AllWeightsZero(String),
    /// HTTPS checks do not look at certificates.
    #[error("an HTTPS health check accepts any certificate, and nothing else probes it")]
    AnyCertificate,
    /// Any answer will do.
    #[error("the health check looks for no text that only the new environment serves")]
    AnyAnswer,
}

/// Every way in which this change fails open.
#[must_use]
pub fn fail_open(change: &TrafficChange, check: &CheckPlan) -> Vec<FailOpen> {
    let mut found = Vec::new();
    if !check.waits_for_reports {
        found.push(FailOpen::NewCheck);
    }
    if check.disabled {
        found.push(FailOpen::DisabledCheck);
    }
    if check.alarm_without_data_counts {
        found.push(FailOpen::AlarmWithoutData);
    }
    if check.https && !check.own_tls_probe {
        found.push(FailOpen::AnyCertificate);
    }
    if check.search.as_deref().unwrap_or_default().is_empty() {
        found.push(FailOpen::AnyAnswer);
    }
    for set in &change.after {
        if set.weight == Some(0) {
            found.push(FailOpen::WeightZero(set.to_string()));
            let mut group = change
                .after
                .iter()
                .filter(|other| other.name == set.name && other.record_type == set.record_type);
            let zero = FailOpen::AllWeightsZero(set.name.clone());
            if group.all(|other| other.weight == Some(0)) && !found.contains(&zero) {
                found.push(zero);
            }
        }
        if is_last_resort(set) {
            continue;
        }
        let target_counts = set
            .alias
            .as_ref()
            .is_some_and(|alias| alias.evaluate_target_health);
        if set.health_check.is_none() && !target_counts {
            found.push(FailOpen::NoCheck(set.to_string()));
        }
        let resort = change.after.iter().any(|other| {
            other.name == set.name && other.record_type == set.record_type && is_last_resort(other)
        });
        if !resort {
            found.push(FailOpen::NoLastResort(set.to_string()));
        }
    }
    found
}

/// The holding page: unchecked, so that it is always there; SECONDARY of a pair, or with a weight of its own.
fn is_last_resort(set: &RecordSet) -> bool {
    let secondary = set.failover.as_deref() == Some("SECONDARY");
    let weighted =
        set.set_identifier.as_deref() == Some(HOLDING) && set.weight.is_some_and(|weight| weight > 0);
    set.health_check.is_none() && (secondary || weighted)
}
