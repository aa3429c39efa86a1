//! What marks a CloudTrail record as hostile: typed data, and its evaluation.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::catalogue;
use super::cloudtrail::Record;
use super::rules::RecordRules;
use crate::plan::{Outcome, OwnIndicator, TimelinePlan};

mod predicate;
mod words;

pub use predicate::Test;
use predicate::{Documents, When};
pub use words::Words;

/// What an indicator says about an intruder's aim.
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
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Aim {
    /// Data is encrypted, deleted, or set to expire.
    Impact,
    /// Backups, snapshots, keys and versions that recovery needs are removed.
    DenyRecovery,
    /// Logs, detectors and alarms are switched off.
    BlindDefender,
    /// Rights and credentials are taken or made.
    Identity,
    /// Data leaves the account.
    Exfiltration,
    /// The account is looked at.
    Reconnaissance,
}

/// How much one matching record means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Enough by itself to look for the actor behind it.
    Strong,
    /// As strong as [`Class::Strong`] once one actor has reached this many in one hour.
    Burst(usize),
    /// Context: shown, never the reason to look for an actor.
    Weak,
}

/// A rule over single records.
#[derive(Debug, Clone, Copy)]
pub struct Indicator {
    /// Stable id, `service.what`; plans switch indicators off by it.
    pub id: &'static str,
    /// What it shows, for people.
    pub title: &'static str,
    /// What it says about the intruder's aim.
    pub aim: Aim,
    /// How much one record means.
    pub class: Class,
    /// Service without `.amazonaws.com`.
    pub service: &'static str,
    /// Action names.
    pub events: &'static [&'static str],
    /// What must hold for the request.
    pub when: Test,
    /// Whether a refused or failed call counts.
    pub denied_counts: bool,
    /// Where the rule comes from.
    pub source: &'static str,
}

/// How much a mark means and what it says, where that is not what the built-in indicator of its id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mark {
    /// How much it means.
    pub class: Class,
    /// What it says about the intruder's aim.
    pub aim: Aim,
}

impl Mark {
    /// What a mark of this id means: what is said with it, or else what the built-in indicator says.
    #[must_use]
    pub fn of(id: &str, said: Option<Self>) -> Option<Self> {
        said.or_else(|| {
            by_id(id).map(|indicator| Self {
                class: indicator.class,
                aim: indicator.aim,
            })
        })
    }
}

/// An indicator in force: a built-in one, as the plan weights it, or one of the plan's own.
#[derive(Debug)]
pub struct Rule {
    /// Stable id.
    pub id: Cow<'static, str>,
    /// What it shows, for people.
    pub title: Cow<'static, str>,
    /// What it says about the intruder's aim.
    pub aim: Aim,
    /// How much one record means.
    pub class: Class,
    service: Cow<'static, str>,
    outcome: Outcome,
    when: When,
}

impl Rule {
    fn built_in(indicator: &'static Indicator, class: Option<Class>) -> Self {
        Self {
            id: indicator.id.into(),
            title: indicator.title.into(),
            aim: indicator.aim,
            class: class.unwrap_or(indicator.class),
            service: indicator.service.into(),
            outcome: if indicator.denied_counts {
                Outcome::Any
            } else {
                Outcome::Succeeded
            },
            when: When::BuiltIn(indicator.when),
        }
    }

    fn own(indicator: &OwnIndicator) -> Self {
        Self {
            id: indicator.id.clone().into(),
            title: indicator.reason.clone().into(),
            aim: indicator.aim,
            class: indicator.class,
            service: indicator.service.clone().into(),
            outcome: indicator.outcome,
            when: When::Own(indicator.when.clone()),
        }
    }

    /// What has to be said with a hit of this rule.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        let own = Mark {
            class: self.class,
            aim: self.aim,
        };
        (Mark::of(&self.id, None) != Some(own)).then_some(own)
    }

    /// What a hit of this rule shows, for people. A built-in rule's title is known by its id.
    #[must_use]
    pub fn shows(&self, call: String) -> String {
        match self.when {
            When::BuiltIn(_) => call,
            When::Own(_) => format!("{}: {call}", self.title),
        }
    }

    /// Whether every call of its action that did what was asked is context, whatever it asked for.
    fn is_context_alone(&self) -> bool {
        self.class == Class::Weak && matches!(self.when, When::BuiltIn(Test::Always))
    }
}

/// The indicators in force, by action name.
#[derive(Debug)]
pub struct Table {
    by_event: BTreeMap<Cow<'static, str>, Vec<Arc<Rule>>>,
    /// By action: what a record's text must hold for an indicator to match that asks for more than the action; nothing
    /// where it need not hold anything.
    words: BTreeMap<Cow<'static, str>, OnceLock<Option<Words>>>,
    omitted: Option<Arc<Rule>>,
    external: Option<Box<dyn RecordRules>>,
}

/// A record whose request was left out, so that no indicator could look at it. An intruder can make that
/// happen by padding the request.
pub const OMITTED: Indicator = Indicator {
    id: "cloudtrail.omitted-request",
    title: "the request was too large to be logged",
    aim: Aim::BlindDefender,
    class: Class::Strong,
    service: "iam",
    events: &[],
    when: Test::Is("omitted", &["true"]),
    denied_counts: false,
    source: "technique described by elastic/detection-rules, defense_evasion_cloudtrail_logging_evasion",
};

impl Table {
    /// The built-in indicators but those that the plan switches off, weighted as it says, and the plan's own.
    #[must_use]
    pub fn of(plan: &TimelinePlan) -> Self {
        let class = |id: &str| plan.indicator_classes.get(id).copied();
        let mut table = Self {
            by_event: BTreeMap::new(),
            words: BTreeMap::new(),
            omitted: (!plan.disabled_indicators.contains(OMITTED.id))
                .then(|| Arc::new(Rule::built_in(&OMITTED, class(OMITTED.id)))),
            external: None,
        };
        for indicator in catalogue::all().filter(|i| !plan.disabled_indicators.contains(i.id)) {
            let rule = Arc::new(Rule::built_in(indicator, class(indicator.id)));
            for event in indicator.events {
                table.add((*event).into(), &rule);
            }
        }
        for indicator in &plan.own_indicators {
            let rule = Arc::new(Rule::own(indicator));
            for event in &indicator.events {
                table.add(event.clone().into(), &rule);
            }
        }
        table
    }

    /// The same, and rules of another engine.
    #[must_use]
    pub fn with_rules(mut self, rules: Box<dyn RecordRules>) -> Self {
        self.external = Some(rules);
        self
    }

    /// The rules of another engine. Where there are any, no record may be passed over for its action alone.
    #[must_use]
    pub fn rules(&self) -> Option<&dyn RecordRules> {
        self.external.as_deref()
    }

    fn add(&mut self, event: Cow<'static, str>, rule: &Arc<Rule>) {
        self.words.entry(event.clone()).or_default();
        self.by_event.entry(event).or_default().push(Arc::clone(rule));
    }

    /// Whether records of this action, of any service, may match an indicator beside those of `context`.
    #[must_use]
    pub fn watch(&self, event: &str) -> Watch<'_> {
        let Some((rules, words)) = self.by_event.get(event).zip(self.words.get(event)) else {
            return Watch::Never;
        };
        match words.get_or_init(|| self.searcher(rules)) {
            None => Watch::Always,
            Some(words) => Watch::WithWords(words),
        }
    }

    /// The indicators of this action if there are such as every call of it without an error matches as context: whether
    /// one of this service is among them is asked with [`is_context`].
    #[must_use]
    pub(super) fn context(&self, event: &str) -> &[Arc<Rule>] {
        let rules = self.by_event.get(event).map_or(&[][..], Vec::as_slice);
        let has_any = rules.iter().any(|rule| rule.is_context_alone());
        if has_any { rules } else { &[] }
    }

    /// Looks for the words of which a record must hold one; nothing where it need not hold any.
    fn searcher(&self, rules: &[Arc<Rule>]) -> Option<Words> {
        let omitted = self.omitted.iter().map(|_| OMITTED.when.words());
        let asking = rules.iter().filter(|rule| !rule.is_context_alone());
        let words: Option<Vec<_>> = asking.map(|rule| rule.when.words()).chain(omitted).collect();
        Words::of(&words?.concat())
    }

    /// Every indicator that matches.
    #[must_use]
    pub fn matching(&self, record: &Record<'_>) -> Vec<&Rule> {
        let Some(candidates) = self.by_event.get(record.name()) else {
            return Vec::new();
        };
        if record.is_service() {
            return Vec::new();
        }
        let denied = record.error().is_some();
        let candidates: Vec<&Rule> = candidates
            .iter()
            .map(Arc::as_ref)
            .filter(|rule| rule.service == record.service() && rule.outcome.admits(denied))
            .collect();
        if candidates.is_empty() {
            return Vec::new();
        }
        let documents = Documents::of(record);
        if let Some(omitted) = &self.omitted
            && OMITTED.when.holds(&documents)
        {
            return vec![omitted.as_ref()];
        }
        candidates
            .into_iter()
            .filter(|rule| rule.when.holds(&documents))
            .collect()
    }
}

/// Whether calls of an event source, as records name it, are context by one of these indicators.
pub(super) fn is_context(rules: &[Arc<Rule>], source: &[u8]) -> bool {
    let service = source.strip_suffix(b".amazonaws.com").unwrap_or(source);
    let mut rules = rules.iter().filter(|rule| rule.is_context_alone());
    rules.any(|rule| rule.service.as_bytes() == service)
}

/// When a record of an action must be looked at for indicators that ask for more than the action.
#[derive(Debug, Clone, Copy)]
pub enum Watch<'t> {
    /// No such indicator asks for the action.
    Never,
    /// Where its text holds one of these words; where it does not, none can match.
    WithWords(&'t Words),
    /// In any case.
    Always,
}

impl Default for Table {
    fn default() -> Self {
        Self::of(&TimelinePlan::default())
    }
}

/// The built-in indicator with this id.
#[must_use]
pub fn by_id(id: &str) -> Option<&'static Indicator> {
    catalogue::all().chain([&OMITTED]).find(|i| i.id == id)
}

/// The ids of all built-in indicators.
pub fn ids() -> impl Iterator<Item = &'static str> {
    catalogue::all().chain([&OMITTED]).map(|i| i.id)
}
