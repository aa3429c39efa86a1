//! Restore jobs with child jobs: the whole is what all of them together are.
//!
//! A composite recovery point groups the points of the resources of one stack. It cannot be restored itself, its nested
//! points can (AWS Backup Developer Guide, "CloudFormation stack backups"): here each is the point of a resource of the
//! plan, with a mapping and an idempotency token of its own, and the composite one is no candidate
//! ([`crate::validation::candidates`]). A job can have child jobs all the same (`IsParent` of `DescribeRestoreJob`, and
//! `ByParentJobId` of `ListRestoreJobs`), and what its own status says about them is written nowhere.

use crate::validation::verdict::RestoreState;

/// What AWS Backup says about one restore job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Job id.
    pub id: String,
    /// Its state.
    pub state: RestoreState,
    /// What is said about it; of a completed job it means issues.
    pub message: Option<String>,
    /// ARN of what was made.
    pub created: Option<String>,
}

impl Told {
    fn is_at_work(&self) -> bool {
        match &self.state {
            RestoreState::Running => true,
            // The first state of a job, which only lists show.
            RestoreState::Other(name) => name == "CREATED",
            RestoreState::Completed | RestoreState::Aborted | RestoreState::Failed => false,
        }
    }
}

/// A job together with its child jobs: complete only when all are, at work while one is, and with everything that was
/// said about any of them.
#[must_use]
pub fn whole(own: Told, mut children: Vec<Told>) -> Told {
    children.sort_by(|a, b| a.id.cmp(&b.id));
    let all = || std::iter::once(&own).chain(&children);
    let state = if all().any(Told::is_at_work) {
        RestoreState::Running
    } else if children.is_empty() && own.state == RestoreState::Completed {
        // Nothing is known of the parts that it has.
        RestoreState::Other("COMPLETED without a child job".to_owned())
    } else {
        all()
            .map(|job| &job.state)
            .max_by_key(|state| gravity(state))
            .cloned()
            .unwrap_or(RestoreState::Running)
    };
    let messages: Vec<String> = own
        .message
        .iter()
        .cloned()
        .chain(children.iter().filter_map(|child| {
            let what = child.message.clone().or_else(|| {
                (child.state != RestoreState::Completed && !child.is_at_work())
                    .then(|| format!("{:?}", child.state))
            })?;
            Some(format!("child job `{}`: {what}", child.id))
        }))
        .collect();
    // A whole that failed has made something if one of its parts has.
    let created = own.created.clone().or_else(|| {
        let failed = state != RestoreState::Completed;
        children
            .iter()
            .filter(|_| failed)
            .find_map(|child| child.created.clone())
    });
    Told {
        id: own.id,
        state,
        message: (!messages.is_empty()).then(|| messages.join("; ")),
        created,
    }
}

/// The gravest state is that of the whole.
fn gravity(state: &RestoreState) -> u8 {
    match state {
        RestoreState::Completed => 0,
        RestoreState::Running => 1,
        RestoreState::Aborted => 2,
        RestoreState::Failed => 3,
        RestoreState::Other(_) => 4,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(id: &str, state: RestoreState, message: Option<&str>) -> Told {
        Told {
            id: id.to_owned(),
            state,
            message: message.map(str::to_owned),
            created: None,
        }
    }

    fn states() -> impl Strategy<Value = RestoreState> {
        prop_oneof![
            Just(RestoreState::Running),
            Just(RestoreState::Completed),
            Just(RestoreState::Aborted),
            Just(RestoreState::Failed),
            Just(RestoreState::Other("CREATED".to_owned())),
            Just(RestoreState::Other("PAUSED".to_owned())),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn the_whole_is_complete_only_when_every_part_is_and_no_message_is_lost(
            own in states(), children in prop::collection::vec((states(), any::<bool>()), 0..5)
        ) {
            let jobs: Vec<Told> = children
                .iter()
                .enumerate()
                .map(|(i, (state, said))| {
                    let message = format!("message {i}");
                    told(&format!("job-{i}"), state.clone(), said.then_some(message.as_str()))
                })
                .collect();
            let whole = whole(told("parent", own.clone(), Some("of the parent")), jobs.clone());
            let complete = own == RestoreState::Completed
                && !jobs.is_empty()
                && jobs.iter().all(|job| job.state == RestoreState::Completed);
            prop_assert_eq!(whole.state == RestoreState::Completed, complete);
            let at_work = |state: &RestoreState| {
                matches!(state, RestoreState::Running) || *state == RestoreState::Other("CREATED".to_owned())
            };
            let one_works = at_work(&own) || jobs.iter().any(|job| at_work(&job.state));
            prop_assert_eq!(whole.state == RestoreState::Running, one_works);
            let text = whole.message.unwrap_or_default();
            prop_assert!(text.contains("of the parent"));
            for job in &jobs {
                prop_assert!(job.message.iter().all(|message| text.contains(message.as_str())), "{}", text);
            }
        }
    }

    #[test]
    fn a_part_that_failed_is_named_and_what_another_made_is_not_forgotten() {
        let mut made = told("job-2", RestoreState::Completed, None);
        made.created = Some("arn:aws:ec2:eu-central-1:333333333333:volume/vol-1".to_owned());
        let parts = vec![made.clone(), told("job-1", RestoreState::Failed, None)];
        let failed = whole(told("parent", RestoreState::Completed, None), parts);
        assert_eq!(failed.state, RestoreState::Failed);
        assert_eq!(failed.message.as_deref(), Some("child job `job-1`: Failed"));
        assert_eq!(failed.created, made.created);
    }
}
