//! Predicates over the documents of a record: the built-in indicators' and the plan's.

use serde_json::Value;

use super::words::{Document, Word, is_plain_text};
use crate::plan::Predicate;
use crate::timeline::cloudtrail::Record;
use crate::timeline::selectors::Selected;

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
    /// The request's event selectors let a trail no longer record what is changed.
    HidesWrites,
}

/// The record's documents, parsed once, and only for records whose action has an indicator.
pub(super) struct Documents<'r> {
    record: &'r Record<'r>,
    request: Value,
    response: Value,
    additional: Value,
}

impl<'r> Documents<'r> {
    pub(super) fn of(record: &'r Record<'r>) -> Self {
        Self {
            request: parsed(record.request_parameters),
            response: parsed(record.response_elements),
            additional: parsed(record.additional_event_data),
            record,
        }
    }
}

fn parsed(raw: Option<&serde_json::value::RawValue>) -> Value {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or(Value::Null)
}

impl Test {
    pub(super) fn holds(&self, d: &Documents<'_>) -> bool {
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
            Self::HidesWrites => Selected::by(&d.request).is_some_and(|selected| selected.hides_writes()),
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

/// What must hold of a record beyond service, action and outcome.
#[derive(Debug)]
pub(super) enum When {
    BuiltIn(Test),
    Own(Vec<Predicate>),
}

impl When {
    /// Words of which a record's text holds one at least, if this holds; nothing if there are none.
    pub(super) fn words(&self) -> Option<Vec<Word<'_>>> {
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

    pub(super) fn holds(&self, documents: &Documents<'_>) -> bool {
        match self {
            Self::BuiltIn(test) => test.holds(documents),
            Self::Own(predicates) => predicates.iter().all(|p| own_holds(p, documents)),
        }
    }
}

impl Test {
    /// As [`When::words`]. A key or text with an escape is none of these words: such records are parsed anyway.
    pub(super) fn words(&self) -> Option<Vec<Word<'static>>> {
        let with_values = |document, path, values: &'static [&'static str]| {
            Some(vec![Word {
                values: Some(values).filter(|values| values.iter().all(|value| is_plain_text(value))),
                ..Word::key(document, path)?
            }])
        };
        match *self {
            Self::Always | Self::HidesWrites => None,
            Self::All(tests) => tests
                .iter()
                .filter_map(Self::words)
                .max_by_key(|words| words.iter().map(|word| word.key.len()).min()),
            Self::Any(tests) => {
                let words: Option<Vec<_>> = tests.iter().map(Self::words).collect();
                Some(words?.into_iter().flatten().collect())
            }
            Self::Is(path, values) | Self::Contains(path, values) => {
                with_values(Document::Request, path, values)
            }
            Self::Additional(path, values) => with_values(Document::Additional, path, values),
            Self::Response(path, values) => with_values(Document::Response, path, values),
            Self::Has(path)
            | Self::AtMost(path, _)
            | Self::ForeignAccount(path)
            | Self::OtherUser(path)
            | Self::AllowsEverything(path)
            | Self::TrustsForeign(path) => Some(vec![Word::key(Document::Request, path)?]),
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
