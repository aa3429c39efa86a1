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
use strum::IntoEnumIterator as _;

use crate::history::{self, Activity, ExecutionHistory, Visit};

mod bars;
mod stage;
#[cfg(test)]
mod tests;

pub use bars::{Bar, BarKind, partition};
pub use stage::{OPERATOR, Stage};

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

/// When a stage ran, and what it did in that time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageTime {
    /// Its first state was entered.
    pub from: Timestamp,
    /// Its last state ended.
    pub to: Timestamp,
    /// How long it ran, in seconds: less than from beginning to end if another stage ran in between.
    pub seconds: f64,
    /// What went on. The bars do not overlap and are together as long as the stage.
    pub bars: Vec<Bar>,
    /// Its states, by when they were first entered.
    pub states: Vec<StateTime>,
}

/// One state of a stage, with the Wait state that puts its next visit off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateTime {
    /// State name.
    pub state: String,
    /// How often it was entered.
    pub visits: u32,
    /// Attempts that failed.
    pub failed_attempts: u32,
    /// What went on.
    pub bars: Vec<Bar>,
}

impl StageTime {
    /// Seconds of one kind.
    #[must_use]
    pub fn seconds_of(&self, kind: BarKind) -> f64 {
        self.bars
            .iter()
            .filter(|bar| bar.kind == kind)
            .map(Bar::seconds)
            .sum()
    }
}

impl StateTime {
    fn new(state: &str) -> Self {
        Self {
            state: state.to_owned(),
            visits: 0,
            failed_attempts: 0,
            bars: Vec::new(),
        }
    }

    /// Seconds in which anything went on.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.bars.iter().map(Bar::seconds).sum()
    }
}

/// What it would have saved if one stage had been shorter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhatIf {
    /// The stage.
    pub stage: Stage,
    /// By how many seconds it would have been shorter: half its time.
    pub shorter: f64,
    /// By how many seconds the recovery would have been shorter.
    pub saves: f64,
}

/// The measured critical path. All durations in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CriticalPath {
    /// When each stage ran; a stage that did not run is absent.
    pub stages: BTreeMap<Stage, StageTime>,
    /// From the start of the execution to the end of its last step.
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
    /// All stages one after the other, the corrected ones included: what would have been without parallel stages.
    pub sequential: f64,
    /// `sequential − measured`: what running in parallel saved. Negative: less than orchestration cost.
    pub saved: f64,
    /// The branch that the gate waited for.
    pub binding: Option<Stage>,
    /// How much longer each branch could have taken without delaying the gate.
    pub slack: BTreeMap<Stage, f64>,
    /// What half of each stage's time would have saved.
    pub what_ifs: Vec<WhatIf>,
    /// Whether the histories of all executions were read. Without them waiting between two looks does not show.
    pub histories_read: bool,
}

fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

/// When people decided, if they did: it ends the approval stage where no history shows when its state was left.
pub type Decided = Option<Timestamp>;

/// What is known about the time of a run.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// When the execution began.
    pub started: Timestamp,
    /// What functions recorded.
    pub steps: &'a [RecordedStep],
    /// Histories of the recovery's execution and of those it started.
    pub histories: &'a [ExecutionHistory],
    /// When people decided.
    pub decided: Decided,
    /// Now: visits that are still open last until then.
    pub until: Timestamp,
}

/// What a measurement is based on, kept with the report so that anyone can measure again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// Always `blackstart.recording/1`.
    pub schema: String,
    /// When the execution began.
    pub started: Timestamp,
    /// When people decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Decided,
    /// When this was recorded.
    pub until: Timestamp,
    /// What functions recorded.
    pub steps: Vec<RecordedStep>,
    /// Histories of the recovery's execution and of those it started.
    pub histories: Vec<ExecutionHistory>,
}

/// The schema of a [`Recording`].
pub const RECORDING_SCHEMA: &str = "blackstart.recording/1";

impl Recording {
    /// What is to be measured.
    #[must_use]
    pub fn observed(&self) -> Observed<'_> {
        Observed {
            started: self.started,
            steps: &self.steps,
            histories: &self.histories,
            decided: self.decided,
            until: self.until,
        }
    }

    /// What had been recorded by this moment: the run as it looked then.
    #[must_use]
    pub fn as_of(&self, moment: Timestamp) -> Self {
        let histories = self.histories.iter().filter(|history| history.started <= moment);
        Self {
            schema: self.schema.clone(),
            started: self.started,
            decided: self.decided.filter(|decided| *decided <= moment),
            until: moment,
            steps: self
                .steps
                .iter()
                .filter(|step| step.ended <= moment)
                .cloned()
                .collect(),
            histories: histories.map(|history| history.as_of(moment)).collect(),
        }
    }
}

/// Measures a run. The order of steps and histories does not matter.
#[must_use]
pub fn measure(observed: &Observed<'_>) -> CriticalPath {
    let visits = staged(observed);
    let stages: BTreeMap<Stage, StageTime> = Stage::iter()
        .filter_map(|stage| Some((stage, stage_time(stage, &visits, observed.until)?)))
        .collect();
    let ended = observed
        .steps
        .iter()
        .filter(|step| !stage::is_tidying(&step.state))
        .map(|step| step.ended)
        .chain(stages.values().map(|time| time.to))
        .max()
        .unwrap_or(observed.started);
    let measured = seconds_between(observed.started, ended);
    let t = |stage: Stage| stages.get(&stage).map_or(0.0, |time| time.seconds);

    let branches = branch_seconds(&t);
    let longest = branches.values().copied().fold(0.0, f64::max);
    let corrected = longest + after_the_gate(&t);
    let sequential: f64 = Stage::iter().map(t).sum();
    let what_ifs = stages
        .iter()
        .map(|(stage, time)| {
            let shorter = time.seconds / 2.0;
            WhatIf {
                stage: *stage,
                shorter,
                saves: saves(&t, *stage, shorter),
            }
        })
        .collect();
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
        sequential,
        saved: sequential - measured,
        binding: branches
            .iter()
            .filter(|(stage, _)| stages.contains_key(stage))
            .max_by(|(a, x), (b, y)| x.total_cmp(y).then(b.cmp(a)))
            .map(|(stage, _)| *stage),
        slack: branches
            .iter()
            .filter(|(stage, _)| stages.contains_key(stage))
            .map(|(stage, seconds)| (*stage, longest - seconds))
            .collect(),
        what_ifs,
        histories_read: !observed.histories.is_empty(),
        stages,
    }
}

/// The visits that belong to a stage, in order.
fn staged(observed: &Observed<'_>) -> Vec<(Stage, Visit)> {
    let mut before_operator = Stage::Restore;
    let mut staged = Vec::new();
    let mut visits = history::observe(observed.histories, observed.steps);
    // Where only the function that asked is known, the decision ends the wait. A history knows better, and what people
    // decided last may have been a second gate.
    if observed.histories.is_empty()
        && let Some(asked) = visits.iter_mut().rfind(|visit| visit.state == "Await approval")
        && asked.exited.is_some()
        && asked.exited == asked.attempts.last().and_then(|attempt| attempt.to)
    {
        asked.exited = asked.exited.max(observed.decided);
    }
    for visit in visits {
        let own = Stage::of(&visit.state, &visit.execution);
        if let Some(stage @ (Stage::Restore | Stage::Rotate | Stage::Cutover)) = own {
            before_operator = stage;
        }
        let stage = match own {
            None if matches!(visit.state.as_str(), OPERATOR | "Wait for operator channel") => {
                Some(before_operator)
            }
            own => own,
        };
        staged.extend(stage.map(|stage| (stage, visit)));
    }
    staged
}

fn stage_time(stage: Stage, visits: &[(Stage, Visit)], until: Timestamp) -> Option<StageTime> {
    let spells = spells(stage, visits, until);
    let (from, to) = (spells.first()?.0, spells.last()?.1);
    let mut spans = Vec::new();
    let mut states: Vec<(StateTime, Vec<Bar>)> = Vec::new();
    for (_, visit) in visits.iter().filter(|(of, _)| *of == stage) {
        let begin = spans.len();
        bars::of_visit(visit, until, &mut spans);
        if visit.activity == Activity::Container {
            continue;
        }
        let name = stage::poll_of(&visit.state);
        // That a wait for the next look ran its time is no failure.
        let attempts = (visit.activity != Activity::Events).then_some(&visit.attempts);
        let failed = attempts
            .into_iter()
            .flatten()
            .filter(|attempt| attempt.error.is_some())
            .count();
        let place = states.iter().position(|(time, _)| time.state == name);
        let place = place.unwrap_or_else(|| {
            states.push((StateTime::new(name), Vec::new()));
            states.len() - 1
        });
        if let Some((time, own)) = states.get_mut(place) {
            // A wait between two looks is no visit of its own, and neither is one for who redrives.
            let counts = match visit.activity {
                Activity::Events => false,
                Activity::People => !visit.attempts.is_empty(),
                Activity::Work | Activity::Container | Activity::Passing => true,
            };
            time.visits = time.visits.saturating_add(u32::from(counts));
            time.failed_attempts = time
                .failed_attempts
                .saturating_add(u32::try_from(failed).unwrap_or(u32::MAX));
            own.extend(spans.iter().skip(begin).copied());
        }
    }
    let bars: Vec<Bar> = spells
        .iter()
        .flat_map(|(from, to)| partition(*from, *to, &spans, Some(BarKind::Orchestration)))
        .collect();
    Some(StageTime {
        from,
        to,
        seconds: spells.iter().map(|(from, to)| seconds_between(*from, *to)).sum(),
        bars,
        states: states
            .into_iter()
            .map(|(time, own)| StateTime {
                bars: partition(from, to, &own, None),
                ..time
            })
            .collect(),
    })
}

/// The stretches of time in which a stage ran. Those after Prepare follow each other; one that is run again after
/// another, because an operator resumed or the boundary moved, has several.
fn spells(stage: Stage, visits: &[(Stage, Visit)], until: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let mut spells: Vec<(Timestamp, Timestamp)> = Vec::new();
    let mut interrupted = true;
    for (of, visit) in visits {
        if *of == stage {
            let (from, to) = (visit.entered, visit.exited.unwrap_or(until).max(visit.entered));
            match spells.last_mut() {
                Some(last) if !interrupted || stage.is_parallel() || from <= last.1 => {
                    last.1 = last.1.max(to)
                }
                _ => spells.push((from, to)),
            }
            interrupted = false;
        } else if !of.is_parallel() && !is_within(visit, spells.last()) {
            interrupted = true;
        }
    }
    spells
}

fn is_within(visit: &Visit, spell: Option<&(Timestamp, Timestamp)>) -> bool {
    spell.is_some_and(|(from, to)| *from <= visit.entered && visit.entered < *to)
}

fn after_the_gate(t: &impl Fn(Stage) -> f64) -> f64 {
    t(Stage::Approval) + t(Stage::Restore) + t(Stage::Rotate) + t(Stage::Cutover)
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
    saves(
        &|stage| path.stages.get(&stage).map_or(0.0, |time| time.seconds),
        stage,
        less,
    )
}

fn saves(t: &impl Fn(Stage) -> f64, stage: Stage, less: f64) -> f64 {
    let shorter = |s: Stage| {
        if s == stage { (t(s) - less).max(0.0) } else { t(s) }
    };
    let total = |t: &dyn Fn(Stage) -> f64| {
        branch_seconds(&t).values().copied().fold(0.0, f64::max) + after_the_gate(&t)
    };
    total(t) - total(&shorter)
}
