//! What marks a CloudTrail record as hostile: typed data, and its evaluation.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::IntoStaticStr;

use super::catalogue;
use super::cloudtrail::Record;
use super::rules::RecordRules;
use crate::plan::{Outcome, OwnIndicator, Predicate, TimelinePlan};

mod words;

pub use words::Words;
use words::{Document, Word, is_plain_text};

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

/// A predicate over a record. Paths are dotted, pass through arrays, and ignore the case of keys.
#[derive(Debug, Clone, Copy)]
pub enum Test {
    /// Holds always.
    Always,
    /// All hold.
    All(&'static [Test]),
    /// One holds at least.
    Any(&'static [Test]),
    /// A request value is one of these texts, ignoring case. Booleans and numbers compare by their text.
    Is(&'static str, &'static [&'static str]),
    /// A request value is present and not null.
    Has(&'static str),
    /// A request number is at most this.
    AtMost(&'static str, i64),
    /// A request text contains one of these, ignoring case.
    Contains(&'static str, &'static [&'static str]),
    /// A request text names an account that is not the record's own.
    ForeignAccount(&'static str),
    /// A request text names another IAM user than the caller.
    OtherUser(&'static str),
    /// A request text is a policy document that allows every action.
    AllowsEverything(&'static str),
    /// A request text is a trust policy that names everyone or a foreign account.
    TrustsForeign(&'static str),
    /// A value of `additionalEventData` is one of these.
    Additional(&'static str, &'static [&'static str]),
    /// A value of `responseElements` is one of these.
    Response(&'static str, &'static [&'static str]),
}

/// The record's documents, parsed once, and only for records whose action has an indicator.
struct Documents<'r> {
    record: &'r Record<'r>,
    request: Value,
    response: Value,
    additional: Value,
}

fn parsed(raw: Option<&serde_json::value::RawValue>) -> Value {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or(Value::Null)
}

impl Test {
    fn holds(&self, d: &Documents<'_>) -> bool {
        let in_request =
            |path: &str, test: &dyn Fn(&str) -> bool| any_at(&d.request, path, &|v| test(&as_text(v)));
        match *self {
            Self::Always => true,
            Self::All(tests) => tests.iter().all(|t| t.holds(d)),
            Self::Any(tests) => tests.iter().any(|t| t.holds(d)),
            Self::Is(path, wanted) => {
                in_request(path, &|text| wanted.iter().any(|w| w.eq_ignore_ascii_case(text)))
            }
            Self::Has(path) => any_at(&d.request, path, &|v| !v.is_null()),
            Self::AtMost(path, most) => {
                in_request(path, &|text| text.parse::<i64>().is_ok_and(|n| n <= most))
            }
            Self::Contains(path, parts) => in_request(path, &|text| {
                let text = text.to_ascii_lowercase();
                parts.iter().any(|p| text.contains(p))
            }),
            Self::ForeignAccount(path) => {
                in_request(path, &|text| names_foreign_account(text, d.record.account()))
            }
            Self::OtherUser(path) => {
                in_request(path, &|text| !text.is_empty() && text != d.record.user_name())
            }
            Self::AllowsEverything(path) => in_request(path, &allows_everything),
            Self::TrustsForeign(path) => in_request(path, &|text| trusts_foreign(text, d.record.account())),
            Self::Additional(path, wanted) => any_at(&d.additional, path, &|v| {
                wanted.iter().any(|w| w.eq_ignore_ascii_case(&as_text(v)))
            }),
            Self::Response(path, wanted) => any_at(&d.response, path, &|v| {
                wanted.iter().any(|w| w.eq_ignore_ascii_case(&as_text(v)))
            }),
        }
    }
}

fn as_text(value: &Value) -> std::borrow::Cow<'_, str> {
    value
        .as_str()
        .map_or_else(|| value.to_string().into(), std::borrow::Cow::Borrowed)
}

/// Whether `test` holds for a value at `path`. An empty path is the value itself.
fn any_at(value: &Value, path: &str, test: &dyn Fn(&Value) -> bool) -> bool {
    if let Value::Array(items) = value {
        return items.iter().any(|item| any_at(item, path, test));
    }
    if path.is_empty() {
        return test(value);
    }
    let (key, rest) = path.split_once('.').unwrap_or((path, ""));
    value.as_object().is_some_and(|object| {
        object
            .iter()
            .filter(|(k, _)| k.eq_ignore_ascii_case(key))
            .any(|(_, v)| any_at(v, rest, test))
    })
}

/// Whether the text is, or contains as a part of an ARN, an account id other than `own`.
fn names_foreign_account(text: &str, own: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|part| part.len() == 12 && part.bytes().all(|b| b.is_ascii_digit()) && part != own)
}

/// Statements that allow, of a policy document given as text or as JSON value.
fn allowing_statements(text: &str) -> Vec<Value> {
    let Ok(document) = serde_json::from_str::<Value>(text) else {
        return Vec::new();
    };
    let statements = match document.get("Statement") {
        Some(Value::Array(items)) => items.clone(),
        Some(one @ Value::Object(_)) => vec![one.clone()],
        _ => Vec::new(),
    };
    statements
        .into_iter()
        .filter(|s| s.get("Effect").and_then(Value::as_str) == Some("Allow"))
        .collect()
}

fn allows_everything(text: &str) -> bool {
    allowing_statements(text).iter().any(|s| {
        any_at(s, "Action", &|v| {
            matches!(as_text(v).as_ref(), "*" | "*:*" | "iam:*")
        })
    })
}

fn trusts_foreign(text: &str, own: &str) -> bool {
    allowing_statements(text).iter().any(|s| {
        s.get("Principal").is_some_and(|principal| {
            principal == "*"
                || any_at(principal, "AWS", &|v| {
                    let who = as_text(v);
                    who == "*" || names_foreign_account(&who, own)
                })
        })
    })
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

/// What must hold of a record beyond service, action and outcome.
#[derive(Debug)]
enum When {
    BuiltIn(Test),
    Own(Vec<Predicate>),
}

impl When {
    /// Words of which a record's text holds one at least, if this holds; nothing if there are none.
    fn words(&self) -> Option<Vec<Word<'_>>> {
        match self {
            Self::BuiltIn(test) => test.words(),
            Self::Own(predicates) => {
                predicates
                    .iter()
                    .filter(|predicate| !predicate.not)
                    .find_map(|predicate| {
                        let (document, path) = predicate.document()?;
                        Some(vec![Word::key(Document::named(document), path)?])
                    })
            }
        }
    }
}

impl Test {
    /// As [`When::words`]. A key or text with an escape is none of these words: such records are parsed anyway.
    fn words(&self) -> Option<Vec<Word<'static>>> {
        let with_values = |document, path, values: &'static [&'static str]| {
            Some(vec![Word {
                values: Some(values).filter(|values| values.iter().all(|value| is_plain_text(value))),
                ..Word::key(document, path)?
            }])
        };
        match *self {
            Self::Always => None,
            Self::All(tests) => tests
                .iter()
                .filter_map(Self::words)
                .max_by_key(|words| words.iter().map(|word| word.key.len()).min()),
            Self::Any(tests) => {
                let words: Option<Vec<_>> = tests.iter().map(Self::words).collect();
                Some(words?.into_iter().flatten().collect())
            }
            Self::Is(path, values) => with_values(Document::Request, path, values),
            Self::Additional(path, values) => with_values(Document::Additional, path, values),
            Self::Response(path, values) => with_values(Document::Response, path, values),
            Self::Has(path)
            | Self::AtMost(path, _)
            | Self::Contains(path, _)
            | Self::ForeignAccount(path)
            | Self::OtherUser(path)
            | Self::AllowsEverything(path)
            | Self::TrustsForeign(path) => Some(vec![Word::key(Document::Request, path)?]),
        }
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

    fn holds(&self, documents: &Documents<'_>) -> bool {
        match &self.when {
            When::BuiltIn(test) => test.holds(documents),
            When::Own(predicates) => predicates.iter().all(|p| own_holds(p, documents)),
        }
    }
}

/// Whether a predicate of the plan holds. Paths begin with the record's field, as the predicate was checked.
fn own_holds(predicate: &Predicate, documents: &Documents<'_>) -> bool {
    let Some((document, path)) = predicate.document() else {
        return false;
    };
    let value = match document {
        "requestParameters" => &documents.request,
        "responseElements" => &documents.response,
        _ => &documents.additional,
    };
    let found = any_at(value, path, &|v| {
        let text = as_text(v);
        let number = || text.parse::<i64>().ok();
        let lower = || text.to_ascii_lowercase();
        !v.is_null()
            && (predicate.one_of.is_empty() || predicate.one_of.iter().any(|w| w.eq_ignore_ascii_case(&text)))
            && (predicate.contains.is_empty()
                || predicate
                    .contains
                    .iter()
                    .any(|part| lower().contains(&part.to_ascii_lowercase())))
            && predicate
                .at_most
                .is_none_or(|most| number().is_some_and(|n| n <= most))
            && predicate
                .at_least
                .is_none_or(|least| number().is_some_and(|n| n >= least))
            && (!predicate.foreign_account || names_foreign_account(&text, documents.record.account()))
    });
    found != predicate.not
}

/// The indicators in force, by action name.
#[derive(Debug)]
pub struct Table {
    by_event: BTreeMap<Cow<'static, str>, Vec<Arc<Rule>>>,
    /// By action: what a record's text must hold for an indicator that is more than context; nothing where it need
    /// not hold anything.
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

    /// Whether records of this action, of any service, may match an indicator that is more than context.
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

    /// Looks for the words of which a record must hold one; nothing where it need not hold any.
    fn searcher(&self, rules: &[Arc<Rule>]) -> Option<Words> {
        let omitted = self.omitted.iter().map(|_| OMITTED.when.words());
        let seeds = rules.iter().filter(|rule| rule.class != Class::Weak);
        let words: Option<Vec<_>> = seeds.map(|rule| rule.when.words()).chain(omitted).collect();
        Words::of(&words?.concat())
    }

    /// Every indicator that matches.
    #[must_use]
    pub fn matching(&self, record: &Record<'_>) -> Vec<&Rule> {
        self.matching_of(record, |_| true)
    }

    /// Every indicator that matches and is more than context.
    #[must_use]
    pub fn seeds(&self, record: &Record<'_>) -> Vec<&Rule> {
        self.matching_of(record, |rule| rule.class != Class::Weak)
    }

    fn matching_of(&self, record: &Record<'_>, of: impl Fn(&Rule) -> bool) -> Vec<&Rule> {
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
        let documents = Documents {
            record,
            request: parsed(record.request_parameters),
            response: parsed(record.response_elements),
            additional: parsed(record.additional_event_data),
        };
        if let Some(omitted) = &self.omitted
            && OMITTED.when.holds(&documents)
        {
            return [omitted.as_ref()].into_iter().filter(|rule| of(rule)).collect();
        }
        candidates
            .into_iter()
            .filter(|rule| of(rule) && rule.holds(&documents))
            .collect()
    }
}

/// When a record of an action must be looked at for indicators that are more than context.
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
