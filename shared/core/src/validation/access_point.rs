//! Reading a bucket's recovery point through an access point, without restoring it.
//!
//! AWS Backup makes access points for S3 recovery points only (`CreateBackupAccessPoint`). Where it refuses to, or one cannot
//! be used, the point is restored like any other, and the verdict says why.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::trial::TrialResource;
use super::{LayerVerdict, Verdict};
use crate::plan::{ResourceType, TrialBy};

/// The state of an access point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessPointState {
    /// AWS Backup makes it.
    Creating,
    /// It can be read.
    Available {
        /// The name that S3 takes in place of a bucket's.
        alias: String,
    },
    /// It cannot be read and will not be, for this reason.
    Unusable(String),
}

/// The access point of one trial. Its name is the trial's target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialAccess {
    /// ARN of the access point; absent until it is made.
    pub arn: Option<String>,
    /// The name by which S3 reads it; absent until it is available.
    pub alias: Option<String>,
    /// Why the point is restored after all.
    pub given_up: Option<String>,
}

impl TrialResource {
    /// Asks for an access point instead of a restore, where the plan wants it, the type allows it and nothing was begun.
    pub fn prefer(&mut self, by: TrialBy) {
        let begun = self.restore.id.is_some() || self.restore.said.is_some();
        if by == TrialBy::AccessPoint && self.resource_type == ResourceType::S3 && !begun {
            self.access.get_or_insert_default();
        }
    }

    /// The access point that is in use or on its way.
    #[must_use]
    pub fn access_point(&self) -> Option<&TrialAccess> {
        self.access.as_ref().filter(|access| access.given_up.is_none())
    }

    /// The name under which the data is read: an alias, or the throw-away bucket or table.
    #[must_use]
    pub fn place(&self) -> &str {
        let alias = self.access_point().and_then(|access| access.alias.as_deref());
        alias.unwrap_or(&self.target)
    }

    /// Takes note of what AWS Backup says about the access point.
    pub fn accessed(&mut self, state: AccessPointState) {
        match (state, &mut self.access) {
            (AccessPointState::Available { alias }, Some(access)) => {
                access.alias = Some(alias);
                self.restore.said = Some(LayerVerdict::new(
                    Verdict::Clean,
                    "readable through an access point of AWS Backup; it was not restored",
                ));
            }
            (AccessPointState::Unusable(why), _) => self.give_up_access(why),
            (AccessPointState::Creating, _) | (AccessPointState::Available { .. }, None) => {}
        }
    }

    /// Restores after all.
    pub fn give_up_access(&mut self, why: String) {
        if let Some(access) = &mut self.access {
            access.given_up = Some(why);
        }
    }

    /// What the restore says, with the reason why there was one although the plan prefers an access point.
    #[must_use]
    pub fn restore_said(&self) -> Option<LayerVerdict> {
        let said = self.restore.said.clone()?;
        let given_up = self.access.as_ref().and_then(|access| access.given_up.as_deref());
        Some(match given_up {
            Some(why) => {
                let reason = format!("no access point could be used: {}", super::content::shown(why));
                said.and(LayerVerdict::new(Verdict::Clean, reason))
            }
            None => said,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::run::{RunId, WorkloadName};
    use crate::validation::testing::{at, set};
    use crate::validation::trial::TrialRecord;

    fn trial(resource_type: ResourceType) -> TrialResource {
        let run = RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x");
        let mut set = set("a", 0);
        for point in set.points.values_mut() {
            point.resource_type = resource_type;
        }
        let mut record = TrialRecord::default();
        record.prepare(&run, &set, &BTreeSet::new(), at(0));
        record.resources.remove("data").unwrap()
    }

    #[test]
    fn only_buckets_are_read_through_access_points_and_only_where_the_plan_says_so() {
        for (resource_type, by, wanted) in [
            (ResourceType::S3, TrialBy::AccessPoint, true),
            (ResourceType::S3, TrialBy::Restore, false),
            (ResourceType::DynamoDb, TrialBy::AccessPoint, false),
        ] {
            let mut trial = trial(resource_type);
            trial.prefer(by);
            assert_eq!(trial.access_point().is_some(), wanted, "{resource_type:?} {by:?}");
        }
        let mut begun = trial(ResourceType::S3);
        begun.restore.id = Some("job".to_owned());
        begun.prefer(TrialBy::AccessPoint);
        assert_eq!(begun.access_point(), None);
    }

    #[test]
    fn an_access_point_that_fails_leads_to_a_restore_with_its_reason() {
        let mut trial = trial(ResourceType::S3);
        trial.prefer(TrialBy::AccessPoint);
        let target = trial.target.clone();
        trial.accessed(AccessPointState::Creating);
        assert_eq!((trial.place(), trial.restore_said()), (target.as_str(), None));
        trial.accessed(AccessPointState::Unusable("it is FAILED".to_owned()));
        assert_eq!(trial.access_point(), None);
        trial.restore.said = Some(LayerVerdict::new(Verdict::Clean, "restored"));
        let said = trial.restore_said().unwrap();
        assert_eq!(
            said.reasons,
            ["restored", "no access point could be used: it is FAILED"]
        );
        assert_eq!(said.verdict, Verdict::Clean);
    }

    #[test]
    fn an_available_access_point_is_where_the_data_is_read() {
        let mut trial = trial(ResourceType::S3);
        trial.prefer(TrialBy::AccessPoint);
        let alias = "blackstart-trial-x-s3alias".to_owned();
        trial.accessed(AccessPointState::Available { alias: alias.clone() });
        assert_eq!(trial.place(), alias);
        assert_eq!(trial.restore_said().unwrap().verdict, Verdict::Clean);
    }
}
