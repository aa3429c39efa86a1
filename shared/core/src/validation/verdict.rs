//! Verdicts in a closed world: clean is only what every required layer called clean.

use std::collections::{BTreeMap, BTreeSet};

use super::{LayerVerdict, SetVerdict, Verdict};
use crate::plan::{Layer, ResourceType};

/// State of a restore job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreState {
    /// Not started or still at work.
    Running,
    /// Ended well, unless a message says otherwise.
    Completed,
    /// Stopped by someone.
    Aborted,
    /// Ended badly.
    Failed,
    /// Absent, or a state that this version does not know.
    Other(String),
}

/// State of a malware scan job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanState {
    /// Not started or still at work.
    Running,
    /// Everything was scanned.
    Completed,
    /// Something was skipped or failed.
    CompletedWithIssues,
    /// Ended badly.
    Failed,
    /// Stopped by someone.
    Canceled,
    /// A state that this version does not know.
    Other(String),
}

/// What a malware scan job found. It may be absent although the job is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanResult {
    /// No threats.
    NoThreats,
    /// At least one threat.
    Threats,
    /// AWS does not know, or the value is not one that this version knows.
    Other(String),
}

impl LayerVerdict {
    /// A verdict with one reason.
    #[must_use]
    pub fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            verdict,
            reasons: vec![reason.into()],
        }
    }

    /// The worse of both, with the reasons of both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.verdict = self.verdict.max(other.verdict);
        self.reasons.extend(other.reasons);
        self
    }
}

/// What a restore job says, once it has ended.
///
/// A job that is `COMPLETED` with a message was completed with issues: AWS Backup has no state of its own for that.
#[must_use]
pub fn of_restore(state: &RestoreState, message: Option<&str>) -> Option<LayerVerdict> {
    let told = message.filter(|text| !text.trim().is_empty());
    let because = |what: &str| match told {
        Some(text) => format!("{what}: {text}"),
        None => what.to_owned(),
    };
    let (verdict, reason) = match state {
        RestoreState::Running => return None,
        RestoreState::Completed if told.is_none() => (Verdict::Clean, "restored".to_owned()),
        RestoreState::Completed => (Verdict::Unknown, because("restored with issues")),
        RestoreState::Aborted => (Verdict::Unknown, because("the restore was aborted")),
        RestoreState::Failed => (Verdict::Unknown, because("the restore failed")),
        RestoreState::Other(state) => (
            Verdict::Unknown,
            because(&format!("the restore is in the unknown state `{state}`")),
        ),
    };
    Some(LayerVerdict::new(verdict, reason))
}

/// What a malware scan job says, once it has ended.
///
/// `COMPLETED_WITH_ISSUES` with `NO_THREATS_FOUND` says nothing about what was skipped, and a `COMPLETED` job may
/// carry no result; both are unknown. Threats count in whatever state they were found.
#[must_use]
pub fn of_scan(
    state: &ScanState,
    result: Option<&ScanResult>,
    message: Option<&str>,
) -> Option<LayerVerdict> {
    let told = message.filter(|text| !text.trim().is_empty());
    let because = |what: String| match told {
        Some(text) => format!("{what}: {text}"),
        None => what,
    };
    if *state == ScanState::Running {
        return None;
    }
    if result == Some(&ScanResult::Threats) {
        return Some(LayerVerdict::new(
            Verdict::Tainted,
            because("the malware scan found threats".to_owned()),
        ));
    }
    let unknown = |what: String| Some(LayerVerdict::new(Verdict::Unknown, because(what)));
    match (state, result) {
        (ScanState::Completed, Some(ScanResult::NoThreats)) => Some(LayerVerdict::new(
            Verdict::Clean,
            "the malware scan found no threats",
        )),
        (ScanState::Completed, None) => unknown("the malware scan ended without a result".to_owned()),
        (ScanState::Completed, Some(ScanResult::Other(result))) => {
            unknown(format!("the malware scan ended with the result `{result}`"))
        }
        (ScanState::CompletedWithIssues, _) => {
            unknown("the malware scan skipped or failed on some files".to_owned())
        }
        (ScanState::Failed, _) => unknown("the malware scan failed".to_owned()),
        (ScanState::Canceled, _) => unknown("the malware scan was cancelled".to_owned()),
        (ScanState::Other(state), _) => {
            unknown(format!("the malware scan is in the unknown state `{state}`"))
        }
        (ScanState::Running | ScanState::Completed, _) => None,
    }
}

/// Whether a layer can look at a resource of this type at all.
///
/// AWS Backup scans EBS, EC2 and S3 recovery points (`ScanResourceType`); a table holds no files. What is behind a network
/// or a file system has neither bytes nor settings to look at from outside: the plan's function judges it, as an invariant.
#[must_use]
pub fn applies(layer: Layer, resource_type: ResourceType) -> bool {
    match layer {
        Layer::MalwareScan => matches!(
            resource_type,
            ResourceType::S3 | ResourceType::Ebs | ResourceType::Ec2
        ),
        Layer::ContentScan | Layer::Configuration => resource_type.is_readable(),
        Layer::TrialRestore | Layer::Invariants => true,
    }
}

/// One verdict for a layer from its verdicts on the set's resources.
///
/// Every resource that the layer applies to must have one; a layer that applied to no resource looked at nothing
/// and is unknown.
#[must_use]
pub fn of_layer(
    layer: Layer,
    resources: &BTreeMap<String, ResourceType>,
    said: &BTreeMap<String, LayerVerdict>,
) -> LayerVerdict {
    let mut verdict: Option<Verdict> = None;
    let mut reasons = Vec::new();
    for (id, resource_type) in resources {
        let one = match said.get(id) {
            Some(one) => one.clone(),
            None if applies(layer, *resource_type) => {
                LayerVerdict::new(Verdict::Unknown, "there is no answer of this layer")
            }
            None => {
                let name: &str = resource_type.into();
                reasons.push(format!("{id}: does not apply to {name}"));
                continue;
            }
        };
        verdict = Some(verdict.map_or(one.verdict, |worst| worst.max(one.verdict)));
        reasons.extend(one.reasons.iter().map(|reason| format!("{id}: {reason}")));
    }
    let verdict = verdict.unwrap_or_else(|| {
        reasons.push("the layer looked at nothing".to_owned());
        Verdict::Unknown
    });
    LayerVerdict { verdict, reasons }
}

/// The verdict on a set.
///
/// Tainted if any layer says so, required or not; clean only if every required layer said clean and there is at
/// least one; unknown otherwise.
#[must_use]
pub fn of_set(required: &BTreeSet<Layer>, layers: &BTreeMap<Layer, LayerVerdict>) -> Verdict {
    if layers.values().any(|layer| layer.verdict == Verdict::Tainted) {
        return Verdict::Tainted;
    }
    let all_clean = required.iter().all(|layer| {
        layers
            .get(layer)
            .is_some_and(|said| said.verdict == Verdict::Clean)
    });
    if all_clean && !required.is_empty() {
        Verdict::Clean
    } else {
        Verdict::Unknown
    }
}

/// Whether a new verdict on a set may take the place of a recorded one.
///
/// Tainted stays tainted. Clean gives way only to tainted, which is evidence; unknown is the lack of it.
#[must_use]
pub fn may_replace(recorded: &SetVerdict, new: &SetVerdict) -> bool {
    match (recorded.verdict, new.verdict) {
        (Verdict::Unknown, _) | (Verdict::Clean, Verdict::Tainted) => true,
        (Verdict::Tainted, _) | (Verdict::Clean, Verdict::Clean | Verdict::Unknown) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::validation::testing::at;

    const VERDICTS: [Verdict; 3] = [Verdict::Clean, Verdict::Unknown, Verdict::Tainted];
    const LAYERS: [Layer; 5] = [
        Layer::MalwareScan,
        Layer::TrialRestore,
        Layer::ContentScan,
        Layer::Invariants,
        Layer::Configuration,
    ];

    fn set_verdict(verdict: Verdict) -> SetVerdict {
        SetVerdict {
            set: "s".to_owned(),
            verdict,
            layers: BTreeMap::new(),
            manifests: BTreeMap::new(),
            at: at(0),
        }
    }

    #[test]
    fn only_a_completed_restore_without_a_message_is_clean() {
        let clean = |state, message| of_restore(&state, message).map(|said| said.verdict);
        assert_eq!(clean(RestoreState::Running, None), None);
        assert_eq!(clean(RestoreState::Completed, None), Some(Verdict::Clean));
        assert_eq!(clean(RestoreState::Completed, Some(" ")), Some(Verdict::Clean));
        for (state, message) in [
            (RestoreState::Completed, Some("3 objects were skipped")),
            (RestoreState::Aborted, None),
            (RestoreState::Failed, None),
            (RestoreState::Other("NEW".to_owned()), None),
        ] {
            assert_eq!(clean(state, message), Some(Verdict::Unknown));
        }
    }

    #[test]
    fn only_a_completed_scan_without_threats_is_clean() {
        let states = [
            ScanState::Completed,
            ScanState::CompletedWithIssues,
            ScanState::Failed,
            ScanState::Canceled,
            ScanState::Other("NEW".to_owned()),
        ];
        let results = [
            None,
            Some(ScanResult::NoThreats),
            Some(ScanResult::Threats),
            Some(ScanResult::Other("UNKNOWN".to_owned())),
        ];
        for state in &states {
            for result in &results {
                let expected = match (state, result) {
                    (_, Some(ScanResult::Threats)) => Verdict::Tainted,
                    (ScanState::Completed, Some(ScanResult::NoThreats)) => Verdict::Clean,
                    _ => Verdict::Unknown,
                };
                let said = of_scan(state, result.as_ref(), None).unwrap();
                assert_eq!(said.verdict, expected, "{state:?} {result:?}");
            }
        }
        assert_eq!(of_scan(&ScanState::Running, None, None), None);
    }

    #[test]
    fn a_scan_that_no_resource_allows_has_looked_at_nothing() {
        let table = BTreeMap::from([("table".to_owned(), ResourceType::DynamoDb)]);
        let said = of_layer(Layer::MalwareScan, &table, &BTreeMap::new());
        assert_eq!(said.verdict, Verdict::Unknown);
        let both = BTreeMap::from([
            ("table".to_owned(), ResourceType::DynamoDb),
            ("data".to_owned(), ResourceType::S3),
        ]);
        let clean = BTreeMap::from([("data".to_owned(), LayerVerdict::new(Verdict::Clean, "ok"))]);
        assert_eq!(
            of_layer(Layer::MalwareScan, &both, &clean).verdict,
            Verdict::Clean
        );
        assert_eq!(
            of_layer(Layer::ContentScan, &both, &clean).verdict,
            Verdict::Unknown
        );
    }

    #[test]
    fn what_has_no_settings_to_compare_does_not_keep_a_set_from_being_clean() {
        let mixed = BTreeMap::from([
            ("data".to_owned(), ResourceType::S3),
            ("database".to_owned(), ResourceType::Rds),
            ("files".to_owned(), ResourceType::Fsx),
        ]);
        let clean = BTreeMap::from([("data".to_owned(), LayerVerdict::new(Verdict::Clean, "ok"))]);
        let said = of_layer(Layer::Configuration, &mixed, &clean);
        assert_eq!(said.verdict, Verdict::Clean, "{said:?}");
        assert!(
            said.reasons
                .contains(&"database: does not apply to RDS".to_owned()),
            "{said:?}"
        );
    }

    #[test]
    fn tainted_never_becomes_anything_and_clean_only_tainted() {
        for old in VERDICTS {
            for new in VERDICTS {
                let expected = old == Verdict::Unknown || (old == Verdict::Clean && new == Verdict::Tainted);
                assert_eq!(
                    may_replace(&set_verdict(old), &set_verdict(new)),
                    expected,
                    "{old:?} {new:?}"
                );
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn clean_means_that_every_required_layer_said_clean(
            required in prop::collection::btree_set(prop::sample::select(&LAYERS[..]), 0..6),
            said in prop::collection::btree_map(
                prop::sample::select(&LAYERS[..]), prop::sample::select(&VERDICTS[..]), 0..5),
        ) {
            let layers: BTreeMap<Layer, LayerVerdict> = said
                .iter()
                .map(|(layer, verdict)| (*layer, LayerVerdict::new(*verdict, "r")))
                .collect();
            let verdict = of_set(&required, &layers);
            let clean = !required.is_empty()
                && required.iter().all(|layer| said.get(layer) == Some(&Verdict::Clean))
                && !said.values().any(|v| *v == Verdict::Tainted);
            prop_assert_eq!(verdict == Verdict::Clean, clean);
            prop_assert_eq!(
                verdict == Verdict::Tainted,
                said.values().any(|v| *v == Verdict::Tainted)
            );
        }
    }
}
