//! Sigma rules of a user over CloudTrail records, as further strong indicators or as context.
//!
//! Rules are parsed and matched by the `rsigma` crates. They see single records; which of them are strong is decided
//! by their level, by default from `high` on: by the Sigma rules specification those are worth an alert of their own,
//! whereas rules up to `medium` describe what administrators do every day. Measured on real intrusions, the earliest
//! hit of *any* public rule lies hours before the event.
#![warn(missing_docs)]

use std::collections::BTreeSet;
use std::fmt;

use blackstart_core::plan::Severity;
use blackstart_core::timeline::indicator::{Aim, Class, Mark};
use blackstart_core::timeline::rules::{Marked, RecordRules};
use rsigma_eval::Engine;
use rsigma_eval::event::JsonEvent;
use rsigma_parser::{Level, LogSource, parse_sigma_yaml};
use serde_json::Value;

mod actions;

/// Begins the indicator name of every Sigma rule.
pub const PREFIX: &str = "sigma:";

/// Something in the rules that cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Name of the file.
    pub file: String,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.file, self.what)
    }
}

/// Rules that are applied, and what is known about those that are not.
#[derive(Debug)]
pub struct Loaded {
    /// The rules.
    pub rules: Rules,
    /// Rules that are well-formed but are not about CloudTrail records, or need more than one record. To be said,
    /// never to be silent about.
    pub passed_over: Vec<Problem>,
}

/// Sigma rules, ready to be matched.
pub struct Rules {
    engine: Engine,
    /// Lower-case names of the actions that a rule can match; nothing when a rule does not say.
    actions: Option<BTreeSet<String>>,
    strong_from: Severity,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("rules", &self.engine.rule_count())
            .field("actions", &self.actions)
            .field("strong_from", &self.strong_from)
            .finish()
    }
}

/// Reads rule files: their names and their text, one YAML document or several in each.
///
/// # Errors
/// Every problem of every file: what cannot be parsed, what cannot be compiled, ids that are used twice.
pub fn load<'f>(
    files: impl IntoIterator<Item = (&'f str, &'f str)>,
    strong_from: Severity,
) -> Result<Loaded, Vec<Problem>> {
    let mut engine = Engine::new();
    let mut actions = Some(BTreeSet::new());
    let (mut problems, mut passed_over) = (Vec::new(), Vec::new());
    let mut names = BTreeSet::new();
    for (file, text) in files {
        let said = |what: String| Problem {
            file: file.to_owned(),
            what,
        };
        let collection = match parse_sigma_yaml(text) {
            Ok(collection) => collection,
            Err(error) => {
                problems.push(said(error.to_string()));
                continue;
            }
        };
        problems.extend(collection.errors.iter().map(|error| said(error.clone())));
        if collection.rules.is_empty() && collection.correlations.is_empty() && collection.errors.is_empty() {
            problems.push(said("holds no Sigma rule".to_owned()));
        }
        for correlation in &collection.correlations {
            passed_over.push(said(format!(
                "`{}` correlates several records; only rules over single records are applied",
                correlation.title
            )));
        }
        for filter in &collection.filters {
            passed_over.push(said(format!(
                "`{}` is a filter; filters are not applied",
                filter.title
            )));
        }
        for rule in &collection.rules {
            if let Some(why) = foreign(&rule.logsource) {
                passed_over.push(said(format!("`{}` {why}", rule.title)));
                continue;
            }
            if !names.insert(name(rule.id.as_deref(), &rule.title)) {
                problems.push(said(format!("the id or title of `{}` is used twice", rule.title)));
            }
            match engine.add_rule(rule) {
                Ok(()) => {
                    actions = actions.zip(actions::of(rule)).map(|(mut all, its)| {
                        all.extend(its);
                        all
                    })
                }
                Err(error) => problems.push(said(format!("`{}`: {error}", rule.title))),
            }
        }
    }
    if !problems.is_empty() {
        problems.sort();
        return Err(problems);
    }
    Ok(Loaded {
        rules: Rules {
            engine,
            actions,
            strong_from,
        },
        passed_over,
    })
}

/// Why a rule is not about CloudTrail records.
fn foreign(source: &LogSource) -> Option<String> {
    let is = |field: Option<&str>, wanted: &str| field.is_none_or(|f| f.eq_ignore_ascii_case(wanted));
    let ours = is(source.product.as_deref(), "aws")
        && is(source.service.as_deref(), "cloudtrail")
        && source.category.is_none()
        && (source.product.is_some() || source.service.is_some());
    (!ours).then(|| {
        let text = |field: &Option<String>| field.clone().unwrap_or_else(|| "–".to_owned());
        format!(
            "is for product {}, service {}, category {}; only product `aws`, service `cloudtrail` is read here",
            text(&source.product),
            text(&source.service),
            text(&source.category)
        )
    })
}

/// The rule's id, or its title where it has none.
fn name(id: Option<&str>, title: &str) -> String {
    format!("{PREFIX}{}", id.unwrap_or(title))
}

fn severity(level: Option<Level>) -> Severity {
    match level {
        Some(Level::Critical) => Severity::Critical,
        Some(Level::High) => Severity::High,
        Some(Level::Medium) => Severity::Medium,
        Some(Level::Low) => Severity::Low,
        Some(Level::Informational) | None => Severity::Informational,
    }
}

/// The aim that a rule's tags name, by the tactics of MITRE ATT&CK.
fn aim(tags: &[String]) -> Aim {
    let has = |tactic: &str| {
        tags.iter().any(|tag| {
            tag.strip_prefix("attack.")
                .is_some_and(|t| t.replace('_', "-").eq_ignore_ascii_case(tactic))
        })
    };
    if has("impact") {
        Aim::Impact
    } else if has("exfiltration") || has("collection") {
        Aim::Exfiltration
    } else if has("defense-evasion") || has("defense-impairment") || has("stealth") {
        Aim::BlindDefender
    } else if has("discovery") || has("reconnaissance") {
        Aim::Reconnaissance
    } else {
        Aim::Identity
    }
}

impl Rules {
    /// How many rules are applied.
    #[must_use]
    pub fn count(&self) -> usize {
        self.engine.rule_count()
    }
}

impl RecordRules for Rules {
    fn watches(&self, event: &str) -> bool {
        // Sigma compares texts without regard to case.
        self.actions
            .as_ref()
            .is_none_or(|actions| actions.contains(&event.to_ascii_lowercase()))
    }

    fn matching(&self, record: &Value) -> Vec<Marked> {
        let mut found: Vec<Marked> = self
            .engine
            .evaluate(&JsonEvent::borrow(record))
            .into_iter()
            .map(|result| {
                let header = result.header;
                let strong = severity(header.level) >= self.strong_from;
                Marked {
                    id: name(header.rule_id.as_deref(), &header.rule_title),
                    mark: Mark {
                        class: if strong { Class::Strong } else { Class::Weak },
                        aim: aim(&header.tags),
                    },
                    title: header.rule_title,
                }
            })
            .collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found.dedup();
        found
    }
}

#[cfg(test)]
mod tests;
