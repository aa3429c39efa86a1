//! Access that is given by entries, not by a policy: the grants of a KMS key, the permissions of a Lambda function.
//!
//! Neither can be edited. An entry is made and another is taken away, each for itself, and what is allowed is the
//! union of what the entries allow. So the rewrite is a rewrite of the set: a swap replaces every entry that names the
//! old environment by its image, an expansion puts the image beside it; both are exact by construction, and the order
//! *make the new, verify, take the old away* follows from the difference of two sets ([`changes`]).
//!
//! As a document such a set is `{"Entries":[…]}`, canonical and sorted, without what AWS assigns (ids, dates). A name
//! that was made up for an entry is not part of it: [`idempotency_name`] gives the same entry the same name again, so
//! that a repeated `CreateGrant` finds the first one's grant.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::edit::{Edit, apply};
use super::map::IdentifierMap;
use super::prove::{NotProven, Proof};
use super::rewrite::{Mode, Refused, Rewritten, rewrite};
use super::{Form, Shutout};
use crate::artifact::{Digest, canonical_json};
use crate::run::AccountId;

/// The only member of such a document.
const ENTRIES: &str = "Entries";
/// How names begin that were made up here.
const MADE_UP: &str = "recovered-";

/// A set of entries is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a set of entries: {0}")]
pub struct NotEntries(pub String);

/// Writes entries as a document: sorted, each once.
#[must_use]
pub fn entries_text(entries: impl IntoIterator<Item = Value>) -> String {
    let mut texts: Vec<String> = entries.into_iter().map(|entry| text_of(&entry)).collect();
    texts.sort_unstable();
    texts.dedup();
    format!("{{\"{ENTRIES}\":[{}]}}", texts.join(","))
}

/// The canonical text of one entry.
fn text_of(entry: &Value) -> String {
    canonical_json(entry)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_else(|| entry.to_string())
}

/// Reads the entries of a document.
///
/// # Errors
/// [`NotEntries`] when it is no such document.
pub fn entries_of(text: &str) -> Result<Vec<Value>, NotEntries> {
    let document: Value = serde_json::from_str(text).map_err(|error| NotEntries(error.to_string()))?;
    let members = document
        .as_object()
        .filter(|members| members.len() == 1)
        .and_then(|members| members.get(ENTRIES));
    let entries = members
        .and_then(Value::as_array)
        .ok_or_else(|| NotEntries(format!("`{ENTRIES}` is not its only member, or no list")))?;
    match entries.iter().find(|entry| !entry.is_object()) {
        Some(other) => Err(NotEntries(format!("an entry is {other}"))),
        None => Ok(entries.clone()),
    }
}

/// The canonical form of such a document; `None` for any other text.
pub(super) fn canonical_entries(text: &str) -> Option<String> {
    entries_of(text).ok().map(entries_text)
}

/// Whether a set is what an interrupted change leaves behind.
///
/// Nothing is in it that is neither in `before` nor in `after`, and nothing is missing that is in both. `false` for
/// documents that are no sets of entries: those are written whole.
#[must_use]
pub fn is_between(live: &str, before: &str, after: &str) -> bool {
    let texts = |document: &str| -> Option<BTreeSet<String>> {
        Some(entries_of(document).ok()?.iter().map(text_of).collect())
    };
    let (Some(live), Some(before), Some(after)) = (texts(live), texts(before), texts(after)) else {
        return false;
    };
    let known = |entry: &String| before.contains(entry) || after.contains(entry);
    live.iter().all(known) && before.intersection(&after).all(|entry| live.contains(entry))
}

/// A name for an entry, the same for the same entry: letters, digits and `-`, 42 characters.
///
/// KMS takes it as the name of a grant, and answers a repetition with the grant that is there. Lambda takes it as the
/// id of a statement, and refuses a repetition.
#[must_use]
pub fn idempotency_name(entry: &Value) -> String {
    let digest = Digest::of(text_of(entry).as_bytes()).to_string();
    let hex: String = digest.chars().filter(char::is_ascii_hexdigit).take(32).collect();
    format!("{MADE_UP}{hex}")
}

/// Whether a name was made up here, and so says nothing about the entry.
#[must_use]
pub fn is_made_up(name: &str) -> bool {
    name.strip_prefix(MADE_UP)
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// What turns one set into another: first everything that is made, then everything that is taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Entries to make, in order.
    pub make: Vec<Value>,
    /// Entries to take away, in order, after all of `make` are there.
    pub take_away: Vec<Value>,
}

/// The difference between the live entries and the wanted ones.
///
/// # Errors
/// [`NotEntries`] when either is no set of entries, or when an entry would be taken away that has no counterpart in
/// the wanted set: entries are replaced and put back here, never just dropped.
pub fn changes(live: &str, wanted: &str) -> Result<Changes, NotEntries> {
    let (live, wanted) = (entries_of(live)?, entries_of(wanted)?);
    let missing = |from: &[Value], of: &[Value]| -> Vec<Value> {
        from.iter().filter(|entry| !of.contains(entry)).cloned().collect()
    };
    let take_away = missing(&live, &wanted);
    for entry in &take_away {
        if !wanted.iter().any(|other| is_counterpart(entry, other)) {
            return Err(NotEntries(format!(
                "nothing in the wanted set stands for {}: somebody else made it",
                text_of(entry)
            )));
        }
    }
    Ok(Changes {
        make: missing(&wanted, &live),
        take_away,
    })
}

/// Whether two entries give the same rights, perhaps to somebody else.
fn is_counterpart(one: &Value, other: &Value) -> bool {
    ["Operations", "Action", "Effect"]
        .iter()
        .all(|member| one.get(*member) == other.get(*member))
}

/// Puts the image of every entry that names the old environment beside it, and proves the result.
///
/// # Errors
/// [`Refused`]: nothing is rewritten in part.
pub(super) fn expand(text: &str, map: &IdentifierMap) -> Result<Rewritten, Refused> {
    let not_understood = |NotEntries(what)| Refused::NotProven {
        reason: NotProven::NotUnderstood { what },
    };
    let before = entries_of(text).map_err(not_understood)?;
    let swapped = rewrite(text, Form::Config, map, Mode::Swap)?;
    let images = entries_of(&swapped.after).map_err(not_understood)?;
    let added: Vec<String> = images
        .iter()
        .filter(|image| !before.contains(image))
        .map(text_of)
        .collect();
    let end = text
        .rfind(']')
        .ok_or_else(|| not_understood(NotEntries("the list has no end".to_owned())))?;
    let edit = Edit {
        span: end..end,
        text: added.iter().map(|entry| format!(",{entry}")).collect(),
    };
    let after = apply(text, std::slice::from_ref(&edit));
    let proof = prove_expansion(&before, &images, &after).map_err(|reason| Refused::NotProven { reason })?;
    Ok(Rewritten {
        after,
        proof,
        edits: vec![edit],
        notices: swapped.notices,
    })
}

/// The expanded set is exactly the union of the entries and their images, which the swap's own proof vouches for.
fn prove_expansion(before: &[Value], images: &[Value], after: &str) -> Result<Proof, NotProven> {
    let after = entries_of(after).map_err(|NotEntries(what)| NotProven::NotUnderstood { what })?;
    let union: Vec<&Value> = before.iter().chain(images).collect();
    let unknown = after.iter().position(|entry| !union.contains(&entry));
    let missing = union.iter().any(|entry| !after.contains(entry));
    match (unknown, missing) {
        (None, false) => Ok(Proof {
            mode: Mode::Expand,
            changed: after.len().saturating_sub(before.len()),
            requests: 0,
            kept_log_paths: 0,
        }),
        (Some(index), _) => Err(NotProven::NotTheImage {
            path: format!("{ENTRIES}[{index}]"),
        }),
        (None, true) => Err(NotProven::NotUnderstood {
            what: "an entry is missing after the expansion".to_owned(),
        }),
    }
}

/// Whether any entry still lets this account in; `None` for any other text.
pub(super) fn shutout_of_entries(text: &str, account: &AccountId) -> Option<Shutout> {
    let entries = entries_of(text).ok()?;
    let named = entries
        .iter()
        .position(|entry| text_of(entry).contains(account.as_str()));
    let open = entries
        .iter()
        .position(|entry| entry.get("Principal").is_some_and(is_everybody));
    Some(match (named, open) {
        (Some(statement), _) => Shutout::AdmittedByName { statement },
        (None, Some(statement)) => Shutout::AdmittedByWildcard { statement },
        (None, None) => Shutout::Denied,
    })
}

fn is_everybody(principal: &Value) -> bool {
    principal == "*" || principal.get("AWS").is_some_and(|aws| aws == "*")
}

/// A grant of a KMS key as an entry: what `ListGrants` says, less what KMS assigns, and less a made-up name.
///
/// `constraints` is `GrantConstraints` as JSON, empty where there are none.
#[must_use]
pub fn grant_entry(
    name: Option<&str>,
    grantee: &str,
    retiring: Option<&str>,
    operations: impl IntoIterator<Item = String>,
    constraints: Map<String, Value>,
) -> Value {
    let mut operations: Vec<String> = operations.into_iter().collect();
    operations.sort_unstable();
    operations.dedup();
    let mut entry = Map::new();
    entry.insert("GranteePrincipal".to_owned(), grantee.into());
    entry.insert("Operations".to_owned(), operations.into());
    if let Some(retiring) = retiring.filter(|principal| !principal.is_empty()) {
        entry.insert("RetiringPrincipal".to_owned(), retiring.into());
    }
    if let Some(name) = name.filter(|name| !name.is_empty() && !is_made_up(name)) {
        entry.insert("Name".to_owned(), name.into());
    }
    if !constraints.is_empty() {
        entry.insert("Constraints".to_owned(), constraints.into());
    }
    Value::Object(entry)
}

/// The permissions of a Lambda function as entries: the statements of `GetPolicy` without their ids.
///
/// # Errors
/// [`NotEntries`] when the text is no policy.
pub fn permission_entries(policy: &str) -> Result<Vec<(String, Value)>, NotEntries> {
    let policy: Value = serde_json::from_str(policy).map_err(|error| NotEntries(error.to_string()))?;
    let statements = policy
        .get("Statement")
        .and_then(Value::as_array)
        .ok_or_else(|| NotEntries("the policy has no list of statements".to_owned()))?;
    statements
        .iter()
        .map(|statement| {
            let mut entry = statement
                .as_object()
                .cloned()
                .ok_or_else(|| NotEntries(format!("a statement is {statement}")))?;
            let id = entry
                .remove("Sid")
                .and_then(|id| id.as_str().map(str::to_owned))
                .unwrap_or_default();
            if let Some(Value::Object(principal)) = entry.get_mut("Principal")
                && let Some(Value::String(aws)) = principal.get_mut("AWS")
            {
                *aws = super::canonical::account_of_root(aws);
            }
            Ok((id, Value::Object(entry)))
        })
        .collect()
}

/// What `AddPermission` takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the parameters of the operation, by their own names")]
pub struct Permission {
    pub action: String,
    pub principal: String,
    pub source_arn: Option<String>,
    pub source_account: Option<String>,
    pub principal_org_id: Option<String>,
    pub event_source_token: Option<String>,
    pub function_url_auth_type: Option<String>,
}

/// The parameters with which `AddPermission` makes this entry.
///
/// # Errors
/// [`NotEntries`] for an entry that it cannot make.
pub fn permission_of(entry: &Value) -> Result<Permission, NotEntries> {
    let cannot = |what: &str| NotEntries(format!("`AddPermission` cannot make {}: {what}", text_of(entry)));
    let text = |value: &Value| {
        let one = match value.as_array().map(Vec::as_slice) {
            Some([one]) => one,
            Some(_) => return None,
            None => value,
        };
        one.as_str().map(str::to_owned)
    };
    if entry.get("Effect").and_then(Value::as_str) != Some("Allow") {
        return Err(cannot("it does not allow"));
    }
    let action = entry
        .get("Action")
        .and_then(text)
        .ok_or_else(|| cannot("one action is needed"))?;
    let principal = match entry.get("Principal") {
        Some(Value::String(everybody)) if everybody == "*" => everybody.clone(),
        Some(Value::Object(kinds)) if kinds.len() == 1 => kinds
            .get("AWS")
            .or_else(|| kinds.get("Service"))
            .and_then(text)
            .ok_or_else(|| cannot("one principal is needed"))?,
        _ => return Err(cannot("one principal is needed")),
    };
    let mut permission = Permission {
        action,
        principal,
        ..Permission::default()
    };
    let no_conditions = Map::new();
    let conditions = match entry.get("Condition") {
        None => &no_conditions,
        Some(Value::Object(conditions)) => conditions,
        Some(_) => return Err(cannot("its condition is no object")),
    };
    for (operator, keys) in conditions {
        for (key, value) in keys
            .as_object()
            .ok_or_else(|| cannot("a condition has no keys"))?
        {
            let value = text(value).ok_or_else(|| cannot("a condition has several values"))?;
            let place = match (operator.as_str(), key.to_ascii_lowercase().as_str()) {
                ("ArnLike" | "ArnEquals", "aws:sourcearn") => &mut permission.source_arn,
                ("StringEquals", "aws:sourceaccount") => &mut permission.source_account,
                ("StringEquals", "aws:principalorgid") => &mut permission.principal_org_id,
                ("StringEquals", "lambda:eventsourcetoken") => &mut permission.event_source_token,
                ("StringEquals", "lambda:functionurlauthtype") => &mut permission.function_url_auth_type,
                _ => {
                    return Err(cannot(&format!(
                        "it has no parameter for `{operator}` on `{key}`"
                    )));
                }
            };
            *place = Some(value);
        }
    }
    Ok(permission)
}

#[cfg(test)]
mod tests;
