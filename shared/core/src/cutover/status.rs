//! How far a cutover is, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::CutoverDocument;
use crate::journal::{Command, Direction, Entry, IllegalEvent, Journal, StepKind, StepState};
use crate::run::RunId;

/// Steps of one state that are listed by name; of more only the number is told.
const LISTED: usize = 20;

/// How far a cutover is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A plan was made, and nothing of it done.
    NothingDone,
    /// Under way, or interrupted where it can simply go on.
    Forward,
    /// Being undone.
    Back,
    /// Everything is done and verified.
    Complete,
    /// Everything is as it was before.
    GivenBack,
    /// A person must decide.
    AwaitsOperator,
    /// A person gave up; what is open stays open.
    Abandoned,
}

impl Standing {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NothingDone => "planned, nothing done",
            Self::Forward => "under way",
            Self::Back => "being undone",
            Self::Complete => "complete",
            Self::GivenBack => "given back",
            Self::AwaitsOperator => "needs an operator",
            Self::Abandoned => "abandoned, journal open",
        }
    }

    /// Whether a person has to look.
    #[must_use]
    pub fn needs_a_person(self) -> bool {
        matches!(self, Self::AwaitsOperator | Self::Abandoned)
    }
}

/// A journal as a person reads it.
#[derive(Debug)]
pub struct Status<'a> {
    run: &'a RunId,
    document: &'a CutoverDocument,
    entries: &'a [Entry],
    journal: Journal,
}

impl<'a> Status<'a> {
    /// Replays the entries.
    ///
    /// # Errors
    /// [`IllegalEvent`] at the first entry that cannot follow from those before it.
    pub fn new(
        run: &'a RunId,
        document: &'a CutoverDocument,
        entries: &'a [Entry],
    ) -> Result<Self, IllegalEvent> {
        Ok(Self {
            run,
            document,
            entries,
            journal: Journal::replay(&document.journal_steps(), entries)?,
        })
    }

    /// How far the cutover is.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self.journal.next() {
            Command::Abandoned => Standing::Abandoned,
            Command::CallOperator { .. } => Standing::AwaitsOperator,
            Command::GivenBack => Standing::GivenBack,
            Command::Revert(_) | Command::Decide(Direction::Back) => Standing::Back,
            Command::Decide(Direction::Forward) | Command::Resume => self.forward(),
        }
    }

    fn forward(&self) -> Standing {
        let done = |step: &crate::journal::Step| {
            let state = self.journal.state(&step.id);
            state == StepState::Contracted
                || (state == StepState::Verified && step.kind != StepKind::Contract)
        };
        let steps = self.document.journal_steps();
        if steps.iter().all(done) {
            Standing::Complete
        } else if self
            .journal
            .states()
            .all(|(_, state)| state == StepState::Planned)
        {
            Standing::NothingDone
        } else {
            Standing::Forward
        }
    }

    /// The page: what stands, what comes next, every open step with its document, and where the runbook says what to
    /// do. Text that came from services and people cannot steer a terminal.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = String::new();
        let standing = self.standing();
        let mut line = |text: String| {
            let _infallible = writeln!(page, "{}", harmless(&text));
        };
        line(format!("cutover of run {}: {}", self.run, standing.words()));
        if let Some(direction) = self.journal.direction() {
            line(format!("direction: {}", direction_words(direction)));
        }
        line(format!("next: {}", self.next()));
        if let Some(last) = self.entries.last() {
            line(format!(
                "journal: {} entries, the last at {} by {}",
                self.entries.len(),
                last.at,
                last.by
            ));
        }
        if let Some(share) = self.share() {
            line(format!(
                "traffic: {share} % of the answers name the new environment"
            ));
        }
        let spent = super::spent(self.document, self.entries);
        if !spent.is_none() {
            line(format!("time: {spent}"));
        }
        let mut by_state: BTreeMap<StepState, Vec<&str>> = BTreeMap::new();
        for (id, state) in self.journal.states() {
            by_state.entry(state).or_default().push(id);
        }
        line("steps:".to_owned());
        for (state, steps) in &by_state {
            line(format!("  {} {}", steps.len(), state.words()));
            if state.heading().is_none() {
                continue;
            }
            for id in steps.iter().take(LISTED) {
                let arn = self.document.step(id).map_or("", |step| step.slot.arn.as_str());
                let why = self.last_reason(id).unwrap_or_default();
                line(format!("    {id} {arn}{why}"));
            }
            if steps.len() > LISTED {
                line(format!("    and {} more", steps.len() - LISTED));
            }
        }
        let headings: Vec<&str> = by_state.keys().filter_map(|state| state.heading()).collect();
        if standing.needs_a_person() || !headings.is_empty() {
            line("runbook (infra/docs/runbook.md):".to_owned());
            if standing.needs_a_person() {
                line(format!("  {}", STATE_HEADING));
            }
            for heading in headings {
                line(format!("  {heading}"));
            }
        }
        page
    }

    /// The share of the last step of traffic that is done, where traffic moves share by share.
    fn share(&self) -> Option<u8> {
        if self.document.traffic_stages.is_empty() {
            return None;
        }
        let steps = self.document.course().steps();
        let done = |id: &str| matches!(self.journal.state(id), StepState::Applied | StepState::Verified);
        let last = steps.iter().rev().find(|step| done(&step.id));
        Some(last.map_or(0, |step| step.share))
    }

    fn next(&self) -> String {
        match self.journal.next() {
            Command::Resume if self.standing() == Standing::Complete => "nothing".to_owned(),
            Command::Resume => "go on forward".to_owned(),
            Command::Decide(direction) => format!("decide to go {}", direction_words(direction)),
            Command::Revert(step) => format!("undo step {step}"),
            Command::GivenBack => "nothing".to_owned(),
            Command::CallOperator { reason } => format!("a person decides: {reason}"),
            Command::Abandoned => "nothing, until a person decides otherwise".to_owned(),
        }
    }

    /// Why the step is where it is, if the journal says.
    fn last_reason(&self, id: &str) -> Option<String> {
        self.entries.iter().rev().find_map(|entry| {
            let (step, reason) = entry.event.reason()?;
            (step == id).then(|| format!(": {reason}"))
        })
    }
}

/// The runbook's heading for the state in which the state machine waits for an operator.
pub const STATE_HEADING: &str = "State: Await operator";

fn direction_words(direction: Direction) -> &'static str {
    match direction {
        Direction::Forward => "forward",
        Direction::Back => "back",
    }
}

/// Text without characters that steer a terminal or turn the direction of reading.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}
