//! How a trial waits: for the next look at its jobs, which an event of AWS Backup may bring forward.
//!
//! An event says nothing but *look now*. AWS Backup sends them in a best-effort manner (developer guide, "Monitoring AWS
//! Backup events using Amazon EventBridge"), and whoever rules the account that forwards them can make some up. So no
//! outcome is read from one: `DescribeRestoreJob` and `DescribeScanJob` decide, at whatever moment they are asked.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::content::shown;
use super::trial::TrialRecord;
use crate::run::RunId;

/// The shortest time between two looks, in seconds.
pub const SHORTEST: u32 = 30;

/// The longest time between two looks, in seconds.
pub const LONGEST: u32 = 600;

/// A trial that has taken this many times as long is looked at this many times as seldom: an end is noticed at most a
/// fifteenth of the trial's time late, and a day of trials stays within the events that an execution may have.
const PART_OF_ELAPSED: u32 = 15;

/// How often an event may bring the next look of a trial forward. Afterwards it is looked at when it is due: whoever sends
/// events without end pays for no more than this.
pub const MOST_WAKES: u32 = 24;

/// Longest job id that is looked up. AWS Backup's are UUIDs.
const LONGEST_ID: usize = 64;

/// Seconds from now to the next look at a trial that was started then.
#[must_use]
pub fn seconds_to_next_look(started: Option<Timestamp>, now: Timestamp) -> u32 {
    let elapsed = started.map_or(0, |started| now.duration_since(started).as_secs());
    let part = u32::try_from(elapsed.max(0)).unwrap_or(u32::MAX) / PART_OF_ELAPSED;
    part.clamp(SHORTEST, LONGEST)
}

/// Whether events may still bring the next look forward, after they did so this many times.
#[must_use]
pub fn listens(woken: u32) -> bool {
    woken < MOST_WAKES
}

/// The trial that a job belongs to, under [`crate::ledger::Key::backup_job`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialOfJob {
    /// The run.
    pub run: RunId,
    /// The recovery set.
    pub set: String,
}

/// An event that names no job of AWS Backup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAJob {
    /// Another kind of event.
    #[error("an event of kind `{0}` is about no restore or scan job")]
    Kind(String),
    /// The id is missing or has another form.
    #[error("`{field}` of the event is no job id: {found}")]
    Id {
        /// Where it should be.
        field: &'static str,
        /// What is there.
        found: String,
    },
}

/// The id of the job that an event is about. It is all that is read of an event.
///
/// # Errors
/// [`NotAJob`].
pub fn job_of(event: &Value) -> Result<&str, NotAJob> {
    let kind = event
        .get("detail-type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let (field, pointer) = match kind {
        "Restore Job State Change" => ("restoreJobId", "/detail/restoreJobId"),
        "Scan Job State Change" => ("scanJobId", "/detail/scanJobId"),
        other => return Err(NotAJob::Kind(shown(other))),
    };
    let found = event.pointer(pointer);
    found
        .and_then(Value::as_str)
        .filter(|id| !id.is_empty() && id.len() <= LONGEST_ID)
        .filter(|id| {
            id.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
        .ok_or_else(|| NotAJob::Id {
            field,
            found: found.map_or_else(|| "nothing".to_owned(), |found| shown(&found.to_string())),
        })
}

impl TrialRecord {
    /// Ids of the jobs whose end is waited for.
    #[must_use]
    pub fn waiting_for(&self) -> Vec<&str> {
        self.jobs()
            .filter(|job| job.said.is_none())
            .filter_map(|job| job.id.as_deref())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::validation::testing::at;

    #[test]
    fn looks_grow_rarer_as_a_trial_takes_longer() {
        assert_eq!(seconds_to_next_look(None, at(0)), SHORTEST);
        for (minutes, seconds) in [(0, 30), (5, 30), (10, 40), (60, 240), (150, 600), (24 * 60, 600)] {
            assert_eq!(
                seconds_to_next_look(Some(at(0)), at(minutes)),
                seconds,
                "{minutes}"
            );
        }
        assert_eq!(
            seconds_to_next_look(Some(at(5)), at(0)),
            SHORTEST,
            "a clock that ran back"
        );
    }

    #[test]
    fn the_job_is_all_that_is_read_of_an_event() {
        let restore = json!({"detail-type": "Restore Job State Change",
            "detail": {"restoreJobId": "4B2EE98A-5BAB-FAC3", "status": "COMPLETED"}});
        let created = json!({"detail-type": "Restore Job State Change",
            "detail": {"restoreJobId": "4B2EE98A-5BAB-FAC3", "state": "CREATED"}});
        assert_eq!(job_of(&restore), Ok("4B2EE98A-5BAB-FAC3"));
        assert_eq!(job_of(&created), job_of(&restore));
        let scan =
            json!({"detail-type": "Scan Job State Change", "detail": {"scanJobId": "4d5fc12e", "state": 7}});
        assert_eq!(job_of(&scan), Ok("4d5fc12e"));
    }

    #[test]
    fn what_names_no_job_is_told_what_it_lacks() {
        let told = |event: Value| job_of(&event).unwrap_err().to_string();
        assert_eq!(
            told(json!({"detail-type": "Backup Job State Change"})),
            "an event of kind `Backup Job State Change` is about no restore or scan job"
        );
        let restore = |id: Value| {
            told(json!({"detail-type": "Restore Job State Change", "detail": {"restoreJobId": id}}))
        };
        assert_eq!(
            restore(Value::Null),
            "`restoreJobId` of the event is no job id: null"
        );
        for id in [json!(""), json!("a#b"), json!("x".repeat(65)), json!(["a"])] {
            assert!(restore(id).starts_with("`restoreJobId` of the event is no job id"));
        }
        let lacking = json!({"detail-type": "Scan Job State Change"});
        assert_eq!(told(lacking), "`scanJobId` of the event is no job id: nothing");
    }

    proptest! {
        /// Whatever time passes, the next look comes, and not much later than the trial has already taken.
        #[test]
        fn the_next_look_is_never_far(minutes in 0_i64..3_000) {
            let wait = seconds_to_next_look(Some(at(0)), at(minutes));
            prop_assert!((SHORTEST..=LONGEST).contains(&wait));
            prop_assert!(i64::from(wait) <= (minutes * 60 / 15).max(30));
        }
    }
}
