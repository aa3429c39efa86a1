//! How long a recovery took, what bound it, and what would have made it faster.
//!
//! The formulas are those of the *parallel recovery stages* pattern
//! (`T_timeline + T_validation + T_approval + T_rebuild + T_restore + T_cutover` one after the other,
//! `max(T_timeline, T_validation, T_rebuild) + T_approval + T_restore + T_cutover` in parallel) and their
//! correction: validation needs the boundary, so what is left of it once the boundary is known follows the
//! timeline, and finding references and rotating credentials take time too.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoEnumIterator as _, IntoStaticStr};

/// One invocation of a state, as the ledger keeps it under [`crate::ledger::Key::step`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedStep {
    /// When Step Functions entered the state.
    pub entered: Timestamp,
    /// When the handler began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// State name.
    pub state: String,
    /// Operation of the function.
    pub operation: String,
    /// ARN of the execution.
    pub execution: String,
    /// `ok`, or the error name.
    pub outcome: String,
    /// Retry of the state, from 0.
    pub retry_count: u32,
}

/// The stages whose durations the formulas add up.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumIter,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Stage {
    /// Logs to boundary.
    Timeline,
    /// The walk that started before the boundary was known.
    Validation,
    /// What was left of the walk under the final boundary.
    ResidualValidation,
    /// Infrastructure from code.
    Rebuild,
    /// The inventory of references.
    References,
    /// From the decision package to the decision: waiting for people.
    Approval,
    /// Data from the approved set.
    Restore,
    /// New credentials.
    Rotate,
    /// References and traffic.
    Cutover,
}

impl Stage {
    /// The stage of a state, by its name in `infra/statemachine`.
    ///
    /// States that only open, close and report belong to none: they are orchestration.
    #[must_use]
    pub fn of(step: &RecordedStep) -> Option<Self> {
        Some(match step.state.as_str() {
            "Establish timeline" | "Scan batch" | "Merge timeline" => Self::Timeline,
            "List candidates" | "Next round" | "Start trial" | "Await trial" | "Judge set"
            | "Judge failed trial" | "Clean up trial" => {
                if step.execution.contains("-walk-") {
                    Self::ResidualValidation
                } else {
                    Self::Validation
                }
            }
            "Rebuild infrastructure" | "Create stacks" | "Isolation preflight" => Self::Rebuild,
            "Find references" | "Inventory sibling" | "Merge inventories" => Self::References,
            "Prepare decision" | "Await approval" => Self::Approval,
            "Restore data" | "Await restore" | "Verify restored data" => Self::Restore,
            "Rotate credentials" => Self::Rotate,
            "Plan cutover"
            | "Precheck"
            | "Prepare traffic"
            | "Expand in account"
            | "Verify expanded"
            | "Probe"
            | "Shift traffic"
            | "Await sync"
            | "Contract in account"
            | "Probe old is shut out"
            | "Next"
            | "Revert step" => Self::Cutover,
            _ => return None,
        })
    }

    /// Whether the stage is one of the branches of Prepare.
    #[must_use]
    pub fn is_parallel(self) -> bool {
        matches!(
            self,
            Self::Timeline | Self::Validation | Self::Rebuild | Self::References
        )
    }
}

/// When a stage ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Its first state was entered.
    pub from: Timestamp,
    /// Its last state ended.
    pub to: Timestamp,
}

impl Interval {
    /// Length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        seconds_between(self.from, self.to)
    }
}

/// The measured critical path. All durations in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CriticalPath {
    /// When each stage ran; a stage that did not run is absent.
    pub stages: BTreeMap<Stage, Interval>,
    /// From the start of the execution to its last step.
    pub measured: f64,
    /// The seed's formula for stages one after the other.
    pub seed_sequential: f64,
    /// The seed's formula for parallel stages.
    pub seed_parallel: f64,
    /// `max(T_timeline + residual, T_validation, T_rebuild, T_references) + T_approval + T_restore + T_rotate +
    /// T_cutover`.
    pub corrected: f64,
    /// `measured − corrected`: starting, passing on, reporting.
    pub orchestration: f64,
    /// All stages one after the other, the corrected ones included, less `measured`: what running in parallel saved.
    pub saved: f64,
    /// The branch that the gate waited for.
    pub binding: Option<Stage>,
    /// How much longer each branch could have taken without delaying the gate.
    pub slack: BTreeMap<Stage, f64>,
}

fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

/// When people decided, if they did: it ends the approval stage, which has no step of its own at that moment.
pub type Decided = Option<Timestamp>;

/// Measures a run from its steps. The order of the steps does not matter.
#[must_use]
pub fn measure(started: Timestamp, steps: &[RecordedStep], decided: Decided) -> CriticalPath {
    let mut stages: BTreeMap<Stage, Interval> = BTreeMap::new();
    let mut include = |stage: Stage, from: Timestamp, to: Timestamp| {
        let interval = stages.entry(stage).or_insert(Interval { from, to });
        interval.from = interval.from.min(from);
        interval.to = interval.to.max(to);
    };
    for step in steps {
        if let Some(stage) = Stage::of(step) {
            include(stage, step.entered, step.ended);
            if let (Stage::Approval, Some(decided)) = (stage, decided) {
                include(Stage::Approval, step.entered, decided);
            }
        }
    }
    let ended = steps.iter().map(|step| step.ended).max().unwrap_or(started);
    let measured = seconds_between(started, ended);
    let t = |stage: Stage| stages.get(&stage).map_or(0.0, Interval::seconds);

    let branches = branch_seconds(&t);
    let longest = branches.values().copied().fold(0.0, f64::max);
    let after_the_gate = t(Stage::Approval) + t(Stage::Restore) + t(Stage::Rotate) + t(Stage::Cutover);
    let corrected = longest + after_the_gate;
    let one_after_the_other: f64 = Stage::iter().map(t).sum();
    CriticalPath {
        measured,
        seed_sequential: t(Stage::Timeline)
            + t(Stage::Validation)
            + t(Stage::Approval)
            + t(Stage::Rebuild)
            + t(Stage::Restore)
            + t(Stage::Cutover),
        seed_parallel: t(Stage::Timeline)
            .max(t(Stage::Validation))
            .max(t(Stage::Rebuild))
            + t(Stage::Approval)
            + t(Stage::Restore)
            + t(Stage::Cutover),
        corrected,
        orchestration: measured - corrected,
        saved: one_after_the_other - measured,
        binding: branches
            .iter()
            .filter(|(stage, _)| stages.contains_key(stage))
            .max_by(|(a, x), (b, y)| x.total_cmp(y).then(b.cmp(a)))
            .map(|(stage, _)| *stage),
        slack: branches
            .iter()
            .map(|(stage, seconds)| (*stage, longest - seconds))
            .collect(),
        stages,
    }
}

/// What each branch adds to the wait for the gate: the residual of validation follows the timeline.
fn branch_seconds(t: &impl Fn(Stage) -> f64) -> BTreeMap<Stage, f64> {
    Stage::iter()
        .filter(|stage| stage.is_parallel())
        .map(|stage| {
            let residual = if stage == Stage::Timeline {
                t(Stage::ResidualValidation)
            } else {
                0.0
            };
            (stage, t(stage) + residual)
        })
        .collect()
}

/// By how many seconds the recovery would be shorter if `stage` were shorter by `less` seconds.
#[must_use]
pub fn what_if_shorter(path: &CriticalPath, stage: Stage, less: f64) -> f64 {
    let t = |s: Stage| {
        let seconds = path.stages.get(&s).map_or(0.0, Interval::seconds);
        if s == stage {
            (seconds - less).max(0.0)
        } else {
            seconds
        }
    };
    let longest = branch_seconds(&t).values().copied().fold(0.0, f64::max);
    let total = longest + t(Stage::Approval) + t(Stage::Restore) + t(Stage::Rotate) + t(Stage::Cutover);
    path.corrected - total
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + second.seconds()
    }

    fn step(state: &str, execution: &str, from: i64, to: i64) -> RecordedStep {
        RecordedStep {
            entered: at(from),
            began: at(from),
            ended: at(to),
            state: state.to_owned(),
            operation: String::new(),
            execution: execution.to_owned(),
            outcome: "ok".to_owned(),
            retry_count: 0,
        }
    }

    /// Durations: timeline, validation, residual, rebuild, references, approval, restore, rotate, cutover.
    fn run(d: [i64; 9]) -> (Vec<RecordedStep>, Timestamp) {
        let [
            timeline,
            validation,
            residual,
            rebuild,
            references,
            approval,
            restore,
            rotate,
            cutover,
        ] = d;
        let mut steps = vec![
            step("Merge timeline", "r", 0, timeline),
            step("Judge set", "r-speculative", 0, validation),
            step("Create stacks", "r", 0, rebuild),
            step("Inventory sibling", "r", 0, references),
        ];
        // The residual walk follows the Parallel; its length is what counts.
        let prepared = timeline.max(validation).max(rebuild).max(references);
        steps.push(step("Judge set", "r-walk-1", prepared, prepared + residual));
        let mut now = prepared + residual;
        for (state, length) in [
            ("Await approval", approval),
            ("Restore data", restore),
            ("Rotate credentials", rotate),
            ("Shift traffic", cutover),
        ] {
            steps.push(step(state, "r", now, now + length));
            now += length;
        }
        (steps, at(0))
    }

    /// The longest path through the stages as a graph, by trying every path.
    fn brute_force(d: [i64; 9]) -> i64 {
        let [
            timeline,
            validation,
            residual,
            rebuild,
            references,
            approval,
            restore,
            rotate,
            cutover,
        ] = d;
        let edges: [(usize, usize, i64); 9] = [
            (0, 1, timeline),
            (1, 2, residual),
            (0, 2, validation),
            (0, 2, rebuild),
            (0, 2, references),
            (2, 3, approval),
            (3, 4, restore),
            (4, 5, rotate),
            (5, 6, cutover),
        ];
        fn longest(from: usize, edges: &[(usize, usize, i64)]) -> i64 {
            edges
                .iter()
                .filter(|(a, _, _)| *a == from)
                .map(|(_, b, w)| w + longest(*b, edges))
                .max()
                .unwrap_or(0)
        }
        longest(0, &edges)
    }

    proptest! {
        #[test]
        fn the_corrected_formula_is_the_longest_path(d in prop::array::uniform9(0_i64..10_000), seed in any::<u64>()) {
            let (mut steps, started) = run(d);
            let by = usize::try_from(seed % 9).unwrap();
            steps.rotate_left(by);
            let path = measure(started, &steps, None);
            prop_assert!((path.corrected - brute_force(d) as f64).abs() < 1e-6);
            prop_assert!(path.slack.values().all(|slack| *slack >= 0.0));
            prop_assert!(path.slack.values().any(|slack| *slack == 0.0));
        }

        #[test]
        fn shortening_a_branch_with_slack_saves_nothing(d in prop::array::uniform9(1_i64..10_000)) {
            let (steps, started) = run(d);
            let path = measure(started, &steps, None);
            for (stage, slack) in &path.slack {
                let saved = what_if_shorter(&path, *stage, 1.0);
                prop_assert!((-1e-6..=1.0 + 1e-6).contains(&saved));
                if *slack > 0.0 {
                    prop_assert!(saved.abs() < 1e-6, "{stage:?}");
                }
            }
            prop_assert!((what_if_shorter(&path, Stage::Approval, 1.0) - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn waiting_for_people_ends_with_their_decision() {
        let steps = [
            step("Prepare decision", "r", 10, 11),
            step("Await approval", "r", 11, 12),
        ];
        let path = measure(at(0), &steps, Some(at(100)));
        assert_eq!(
            path.stages[&Stage::Approval],
            Interval {
                from: at(10),
                to: at(100)
            }
        );
    }

    #[test]
    fn a_run_without_steps_has_no_critical_path() {
        let path = measure(at(0), &[], None);
        assert_eq!((path.measured, path.corrected, path.binding), (0.0, 0.0, None));
    }
}
