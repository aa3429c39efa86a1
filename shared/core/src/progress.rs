//! How far a run is while it lives, and how long it may still take, by what earlier runs took.

use jiff::Timestamp;
use strum::IntoEnumIterator as _;

use crate::critical_path::{self, BarKind, CriticalPath, Observed, Stage};
use crate::history::{self, Activity, Visit};
use crate::report::Standing;
use crate::report::trend::{RunDurations, expected};

/// How a run is getting on.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// How it stands.
    pub standing: Standing,
    /// Since it began, in seconds.
    pub elapsed: f64,
    /// What is probably left, in seconds; `None` without earlier runs.
    pub left: Option<f64>,
    /// Every stage, in the order in which a run goes through them.
    pub stages: Vec<StageProgress>,
}

/// How a stage is getting on.
#[derive(Debug, Clone, PartialEq)]
pub struct StageProgress {
    /// The stage.
    pub stage: Stage,
    /// Where it is.
    pub state: StageState,
    /// How long it has been at work, in seconds.
    pub seconds: f64,
    /// How long it took before, in seconds: the middle of earlier runs.
    pub expected: Option<f64>,
    /// The states that are open in it, and what goes on in each.
    pub open: Vec<(String, BarKind)>,
}

/// Where a stage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageState {
    /// Not begun.
    Ahead,
    /// At work.
    Running,
    /// Through.
    Done,
    /// Ended with an error, which the run takes as data.
    Failed,
}

impl StageProgress {
    /// How much of it is done, 0 to 1; `None` where nothing is known about it. A stage that takes longer than before
    /// stays short of its end.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        match (self.state, self.expected) {
            (StageState::Done | StageState::Failed, _) => Some(1.0),
            (StageState::Ahead, _) => Some(0.0),
            (StageState::Running, Some(expected)) if expected > 0.0 => {
                Some((self.seconds / expected).min(0.99))
            }
            (StageState::Running, _) => None,
        }
    }

    /// What is probably left of it, in seconds.
    fn left(&self) -> f64 {
        match self.state {
            StageState::Ahead => self.expected.unwrap_or(0.0),
            StageState::Running => (self.expected.unwrap_or(0.0) - self.seconds).max(0.0),
            StageState::Done | StageState::Failed => 0.0,
        }
    }
}

/// Looks at a run. `execution` is that of the recovery machine.
#[must_use]
pub fn progress(observed: &Observed<'_>, execution: &str, earlier: &[RunDurations]) -> Progress {
    let path = critical_path::measure(observed);
    let visits = history::observe(observed.histories, observed.steps);
    let standing = Standing::of(observed.histories, execution);
    let ended = standing == Standing::BrokenOff;
    let (branches, after): (Vec<Stage>, Vec<Stage>) = Stage::iter().partition(|stage| stage.is_parallel());
    let stages: Vec<StageProgress> = branches
        .into_iter()
        .chain(after)
        .map(|stage| stage_progress(stage, &path, &visits, ended, expected(earlier, stage)))
        .collect();
    Progress {
        standing,
        elapsed: observed
            .until
            .duration_since(observed.started)
            .as_secs_f64()
            .max(0.0),
        left: (!earlier.is_empty() && !ended).then(|| left(&stages)),
        stages,
    }
}

fn stage_progress(
    stage: Stage,
    path: &CriticalPath,
    visits: &[Visit],
    ended: bool,
    expected: Option<f64>,
) -> StageProgress {
    let open: Vec<(String, BarKind)> = visits
        .iter()
        .filter(|visit| visit.exited.is_none() && Stage::of(&visit.state, &visit.execution) == Some(stage))
        .filter_map(|visit| {
            let kind = match visit.activity {
                Activity::Work => BarKind::Work,
                Activity::People => BarKind::People,
                Activity::Events => BarKind::Events,
                Activity::Container | Activity::Passing => return None,
            };
            Some((visit.state.clone(), kind))
        })
        .collect();
    let passed = |name: &str| visits.iter().any(|visit| visit.state == name);
    let (done, failed) = match stage {
        Stage::Timeline => ("Timeline done", "Timeline failed"),
        Stage::Validation => ("Validation done", "Validation failed"),
        Stage::Rebuild => ("Rebuild done", "Rebuild failed"),
        Stage::References => ("References done", "References failed"),
        Stage::ResidualValidation | Stage::Approval | Stage::Restore | Stage::Rotate | Stage::Cutover => {
            ("", "")
        }
    };
    let time = path.stages.get(&stage);
    // After Prepare, a stage is through when a later one has begun.
    let overtaken = path
        .stages
        .iter()
        .any(|(other, later)| !other.is_parallel() && time.is_some_and(|time| later.from > time.from));
    let closing = passed("Write report");
    let state = match time {
        None => StageState::Ahead,
        Some(_) if stage.is_parallel() && passed(failed) => StageState::Failed,
        Some(_) if stage.is_parallel() && passed(done) => StageState::Done,
        Some(_) if ended || closing || (overtaken && open.is_empty()) => StageState::Done,
        Some(_) => StageState::Running,
    };
    StageProgress {
        stage,
        state,
        seconds: time.map_or(0.0, |time| time.seconds),
        expected,
        open,
    }
}

/// The longest branch that is left, and everything after the gate. A residual walk that has not begun is not counted:
/// most runs have none.
fn left(stages: &[StageProgress]) -> f64 {
    let branches = stages
        .iter()
        .filter(|stage| stage.stage.is_parallel())
        .map(StageProgress::left)
        .fold(0.0, f64::max);
    let after: f64 = stages
        .iter()
        .filter(|stage| !stage.stage.is_parallel())
        .filter(|stage| stage.stage != Stage::ResidualValidation || stage.state == StageState::Running)
        .map(StageProgress::left)
        .sum();
    branches + after
}

impl StageState {
    /// Its name, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Ahead => "ahead",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// When a run that goes on as before is through.
#[must_use]
pub fn eta(progress: &Progress, now: Timestamp) -> Option<Timestamp> {
    let left = jiff::SignedDuration::try_from_secs_f64(progress.left?).ok()?;
    now.checked_add(left).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::history::script::{at, running};
    use crate::run::{Conclusion, Mode, RunId, WorkloadName};

    const RUN: &str = "arn:aws:states:us-east-1:111111111111:execution:blackstart-recovery:x";

    fn before(timeline: f64, rebuild: f64, approval: f64) -> RunDurations {
        let workload = WorkloadName::try_from("orders".to_owned()).unwrap();
        RunDurations {
            schema: String::new(),
            run: RunId::of_execution(&workload, "y"),
            mode: Mode::Drill,
            started: at(-1_000),
            conclusion: Conclusion::Rehearsed,
            measured: 0.0,
            stages: BTreeMap::from([
                (Stage::Timeline, timeline),
                (Stage::Rebuild, rebuild),
                (Stage::Approval, approval),
            ]),
        }
    }

    #[test]
    fn what_is_left_is_the_longest_branch_and_everything_after_the_gate() {
        let history = running(
            RUN,
            "
             0 enters Establish timeline
             0 enters Rebuild infrastructure
             10 leaves Rebuild infrastructure
             10 passes Rebuild done
            ",
        );
        let observed = Observed {
            started: at(0),
            steps: &[],
            histories: std::slice::from_ref(&history),
            decided: None,
            until: at(20),
        };
        let progress = progress(
            &observed,
            RUN,
            &[before(50.0, 90.0, 100.0), before(70.0, 90.0, 300.0)],
        );
        let stage = |wanted| {
            progress
                .stages
                .iter()
                .find(|stage| stage.stage == wanted)
                .unwrap()
        };
        assert_eq!(stage(Stage::Timeline).state, StageState::Running);
        assert_eq!(stage(Stage::Timeline).expected, Some(60.0));
        assert_eq!(
            stage(Stage::Timeline).open,
            [("Establish timeline".to_owned(), BarKind::Work)]
        );
        assert_eq!(stage(Stage::Rebuild).state, StageState::Done);
        assert_eq!(stage(Stage::Approval).state, StageState::Ahead);
        // 40 s of the timeline, none of the rebuild that is done, and the gate.
        assert_eq!(progress.left, Some(240.0));
        assert_eq!(eta(&progress, at(20)), Some(at(260)));
    }
}
