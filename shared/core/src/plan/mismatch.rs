//! Every place of a plan that does not match the schema, where a deserializer stops at the first.

use std::collections::BTreeSet;

use serde_json::Value;
use serde_path_to_error::{Error, Segment};

use super::{Plan, Problem, STARTING_POINT};
use crate::yaml;

/// Reads a plan: JSON when it begins like an object, YAML otherwise.
pub(super) fn read(bytes: &[u8]) -> Result<Plan, Vec<Problem>> {
    let json = bytes.trim_ascii_start().starts_with(b"{");
    if json { from_json(bytes) } else { from_yaml(bytes) }
}

fn from_json(bytes: &[u8]) -> Result<Plan, Vec<Problem>> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let first = match serde_path_to_error::deserialize::<_, Plan>(&mut reader) {
        Ok(plan) => {
            return match reader.end() {
                Ok(()) => Ok(plan),
                Err(error) => Err(vec![whole(error.to_string())]),
            };
        }
        Err(error) => error,
    };
    let mut problems = serde_json::from_slice(bytes).map(mismatches).unwrap_or_default();
    // What only the text shows: where it breaks off, or a field that is given twice.
    if problems.is_empty() {
        problems.push(problem(&first));
    }
    Err(problems)
}

fn from_yaml(bytes: &[u8]) -> Result<Plan, Vec<Problem>> {
    let text = std::str::from_utf8(bytes).map_err(|error| vec![whole(format!("not UTF-8: {error}"))])?;
    let document = yaml::read(text).map_err(|error| vec![whole(error.to_string())])?;
    serde_path_to_error::deserialize(&document.value).map_err(|_| mismatches(document.value))
}

/// Every mismatch. What is wrong is replaced by what the starting point has there, so that the next one is seen.
fn mismatches(mut document: Value) -> Vec<Problem> {
    let donor = yaml::read(STARTING_POINT)
        .map(|donor| donor.value)
        .unwrap_or_default();
    let mut found = Vec::new();
    let mut replaced = BTreeSet::new();
    let mut unknown_only = true;
    loop {
        let error = match serde_path_to_error::deserialize::<_, Plan>(&document) {
            Ok(plan) => {
                // The starting point's values are not to be judged beside the plan's own.
                if unknown_only {
                    found.extend(plan.problems());
                }
                break;
            }
            Err(error) => error,
        };
        let said = problem(&error);
        let path: Vec<&Segment> = error.path().iter().collect();
        let what = error.inner().to_string();
        found.push(said);
        if remove_unknown(&mut document, &path, &what) {
            continue;
        }
        unknown_only = false;
        let missing = quoted(&what, "missing field `");
        let mended = (0..=path.len()).rev().any(|length| {
            let at = path.get(..length).unwrap_or_default();
            let missing = missing.filter(|_| length == path.len());
            replaced.insert(format!("{}/{}", shown(at), missing.unwrap_or_default()))
                && replace(&mut document, &donor, at, missing)
        });
        if !mended {
            break;
        }
    }
    found
}

fn problem(error: &Error<serde_json::Error>) -> Problem {
    let what = error.inner().to_string();
    // An account id that is not quoted is a number in YAML, and loses its leading zeros.
    let hint = if what.starts_with("invalid type: integer") && what.ends_with("expected a string") {
        "; put it in quotes"
    } else {
        ""
    };
    Problem {
        at: error.path().to_string(),
        what: format!("{what}{hint}"),
    }
}

fn whole(what: String) -> Problem {
    Problem {
        at: ".".to_owned(),
        what,
    }
}

fn quoted<'a>(what: &'a str, before: &str) -> Option<&'a str> {
    what.strip_prefix(before)?.split_once('`').map(|(name, _)| name)
}

fn shown(path: &[&Segment]) -> String {
    path.iter().map(|segment| format!("/{segment}")).collect()
}

fn remove_unknown(document: &mut Value, path: &[&Segment], what: &str) -> bool {
    let Some(field) = quoted(what, "unknown field `") else {
        return false;
    };
    let path = match path.split_last() {
        Some((Segment::Map { key }, rest)) if key == field => rest,
        _ => path,
    };
    place(document, path)
        .and_then(Value::as_object_mut)
        .is_some_and(|object| object.remove(field).is_some())
}

/// Puts the starting point's value at this place, or at the missing field of the object there.
fn replace(document: &mut Value, donor: &Value, path: &[&Segment], missing: Option<&str>) -> bool {
    let Some(sound) = sound(donor, path) else {
        return false;
    };
    let Some(place) = place(document, path) else {
        return false;
    };
    match missing {
        None => {
            let changed = place != sound;
            place.clone_from(sound);
            changed
        }
        Some(field) => match (place.as_object_mut(), sound.get(field)) {
            (Some(object), Some(value)) => object.insert(field.to_owned(), value.clone()).is_none(),
            _ => false,
        },
    }
}

fn place<'a>(document: &'a mut Value, path: &[&Segment]) -> Option<&'a mut Value> {
    path.iter().try_fold(document, |place, segment| match segment {
        Segment::Seq { index } => place.get_mut(*index),
        Segment::Map { key } => place.get_mut(key),
        Segment::Enum { .. } | Segment::Unknown => Some(place),
    })
}

/// The starting point's value there; every element of a list is like its first.
fn sound<'a>(donor: &'a Value, path: &[&Segment]) -> Option<&'a Value> {
    path.iter().try_fold(donor, |place, segment| match segment {
        Segment::Seq { .. } => place.get(0),
        Segment::Map { key } => place.get(key),
        Segment::Enum { .. } | Segment::Unknown => Some(place),
    })
}
