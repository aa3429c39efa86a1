//! Which actions a rule can match at all, so that records of other actions need not be parsed for it.

use std::collections::BTreeSet;

use rsigma_parser::value::SigmaValue;
use rsigma_parser::{
    ConditionExpr, Detection, DetectionItem, Detections, Quantifier, SelectorPattern, SigmaRule,
};

/// The field of a CloudTrail record that names its action.
const FIELD: &str = "eventName";

/// Lower-case names; nothing when the rule may match records of any action.
pub(crate) fn of(rule: &SigmaRule) -> Option<BTreeSet<String>> {
    let conditions = &rule.detection.conditions;
    union(
        conditions
            .iter()
            .map(|condition| of_condition(condition, &rule.detection)),
    )
}

/// Records must satisfy one of the parts: all of their actions, if each part says which.
fn union(parts: impl Iterator<Item = Option<BTreeSet<String>>>) -> Option<BTreeSet<String>> {
    let mut all = None;
    for part in parts {
        all.get_or_insert_with(BTreeSet::new).extend(part?);
    }
    all
}

/// Records must satisfy all parts: the actions of the part that admits fewest.
fn fewest(parts: impl Iterator<Item = Option<BTreeSet<String>>>) -> Option<BTreeSet<String>> {
    parts.flatten().min_by_key(BTreeSet::len)
}

fn of_condition(condition: &ConditionExpr, detections: &Detections) -> Option<BTreeSet<String>> {
    match condition {
        ConditionExpr::And(parts) => fewest(parts.iter().map(|part| of_condition(part, detections))),
        ConditionExpr::Or(parts) => union(parts.iter().map(|part| of_condition(part, detections))),
        ConditionExpr::Not(_) => None,
        ConditionExpr::Identifier(name) => detections.named.get(name).and_then(of_detection),
        ConditionExpr::Selector { quantifier, pattern } => {
            let named = |selected: fn(&SelectorPattern, &str) -> bool| {
                detections
                    .named
                    .iter()
                    .filter(move |(name, _)| selected(pattern, name))
                    .map(|(_, detection)| of_detection(detection))
            };
            match quantifier {
                Quantifier::All => fewest(named(surely_selected)),
                Quantifier::Any | Quantifier::Count(_) => union(named(perhaps_selected)),
            }
        }
    }
}

/// Whether a selector may mean this detection; what is meant is never left out.
fn perhaps_selected(pattern: &SelectorPattern, name: &str) -> bool {
    match pattern {
        SelectorPattern::Them => true,
        SelectorPattern::Pattern(pattern) => name.starts_with(pattern.split('*').next().unwrap_or_default()),
    }
}

/// Whether a selector certainly means this detection; what is not meant is never taken in.
fn surely_selected(pattern: &SelectorPattern, name: &str) -> bool {
    match pattern {
        SelectorPattern::Them => !name.starts_with('_'),
        SelectorPattern::Pattern(pattern) => match pattern.strip_suffix('*') {
            Some(start) => !start.contains('*') && name.starts_with(start),
            None => name == pattern,
        },
    }
}

fn of_detection(detection: &Detection) -> Option<BTreeSet<String>> {
    match detection {
        Detection::AllOf(items) => fewest(items.iter().map(of_item)),
        Detection::And(parts) => fewest(parts.iter().map(of_detection)),
        Detection::AnyOf(parts) => union(parts.iter().map(of_detection)),
        Detection::Keywords(_) | Detection::ArrayMatch { .. } | Detection::Conditional { .. } => None,
    }
}

/// The actions that an item asks for, if it asks for whole names.
fn of_item(item: &DetectionItem) -> Option<BTreeSet<String>> {
    if item.field.name.as_deref() != Some(FIELD) || !item.field.modifiers.is_empty() {
        return None;
    }
    item.values
        .iter()
        .map(|value| match value {
            SigmaValue::String(text) => text.as_plain().map(|name| name.to_ascii_lowercase()),
            SigmaValue::Integer(_) | SigmaValue::Float(_) | SigmaValue::Bool(_) | SigmaValue::Null => None,
        })
        .collect()
}
