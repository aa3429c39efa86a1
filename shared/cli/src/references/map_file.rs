//! The file of identifiers: YAML or JSON, a list of `kind`, `old` and `new`, alone or under `identifiers`.

use std::collections::BTreeMap;

use blackstart_core::plan::{IdentifierKind, IdentifierPair};
use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};

/// Reads the pairs of a file. JSON is read as the YAML that it is.
///
/// # Errors
/// Every problem with its line.
pub(super) fn pairs(text: &str) -> Result<Vec<IdentifierPair>, Vec<String>> {
    let documents = MarkedYaml::load_from_str(text).map_err(|error| {
        vec![format!(
            "line {}: {}",
            error.marker().line(),
            error.info().escape_debug()
        )]
    })?;
    let top = match documents.as_slice() {
        [top] => top,
        [] => return Err(vec!["it is empty".to_owned()]),
        _ => return Err(vec!["it holds several YAML documents".to_owned()]),
    };
    let (place, list) = match top.data.as_mapping_get("identifiers") {
        Some(under) => (under, under.data.as_sequence()),
        None => (top, top.data.as_sequence()),
    };
    let Some(list) = list else {
        return Err(vec![at(
            place,
            "a list of `kind`, `old` and `new` is needed, alone or under `identifiers`",
        )]);
    };
    let source: Vec<char> = text.chars().collect();
    let mut problems = Vec::new();
    let mut pairs = Vec::new();
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for entry in list {
        match pair(entry, &source) {
            Ok(pair) => {
                let line = entry.span.start.line();
                match first.get(&pair.old) {
                    Some(before) => problems.push(at(
                        entry,
                        &format!("`{}` stands already in line {before}", pair.old.escape_debug()),
                    )),
                    None => {
                        first.insert(pair.old.clone(), line);
                        pairs.push(pair);
                    }
                }
            }
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() {
        Ok(pairs)
    } else {
        Err(problems)
    }
}

fn at(node: &MarkedYaml<'_>, what: &str) -> String {
    format!("line {}: {what}", node.span.start.line())
}

fn pair(entry: &MarkedYaml<'_>, source: &[char]) -> Result<IdentifierPair, Vec<String>> {
    let YamlData::Mapping(members) = &entry.data else {
        return Err(vec![at(entry, "`kind`, `old` and `new` are needed")]);
    };
    let mut problems = Vec::new();
    let (mut kind, mut old, mut new) = (None, None, None);
    for (key, value) in members {
        let name = text_of(key, source).unwrap_or_default();
        let Some(text) = text_of(value, source) else {
            problems.push(at(value, &format!("`{}` is no text", name.escape_debug())));
            continue;
        };
        match name.as_str() {
            "kind" => match serde_json::from_value::<IdentifierKind>(text.into()) {
                Ok(known) => kind = Some(known),
                Err(error) => problems.push(at(value, &error.to_string())),
            },
            "old" => old = Some(text),
            "new" => new = Some(text),
            other => problems.push(at(key, &format!("`{}` is unknown here", other.escape_debug()))),
        }
    }
    match (kind, old, new) {
        (Some(kind), Some(old), Some(new)) if problems.is_empty() => Ok(IdentifierPair { kind, old, new }),
        (kind, old, new) => {
            if problems.is_empty() {
                for (name, missing) in [
                    ("kind", kind.is_none()),
                    ("old", old.is_none()),
                    ("new", new.is_none()),
                ] {
                    if missing {
                        problems.push(at(entry, &format!("`{name}` is missing")));
                    }
                }
            }
            Err(problems)
        }
    }
}

/// A scalar as it is written: an account id without quotes is a number to YAML, but its zeros count.
fn text_of(node: &MarkedYaml<'_>, source: &[char]) -> Option<String> {
    let YamlData::Value(scalar) = &node.data else {
        return None;
    };
    match scalar {
        Scalar::String(text) => Some(text.to_string()),
        Scalar::Integer(_) | Scalar::FloatingPoint(_) => {
            let span = node.span.start.index()..node.span.end.index();
            Some(source.get(span)?.iter().collect::<String>().trim().to_owned())
        }
        Scalar::Null | Scalar::Boolean(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_say_the_same_and_zeros_stay() {
        let yaml = "# the rebuilt account\n- kind: account\n  old: 012345678901\n  new: \"222222222222\"\n\
                    - {kind: bucket, old: orders-data, new: orders-data-2}\n";
        let json = r#"{"identifiers": [{"kind": "account", "old": "012345678901", "new": "222222222222"},
            {"kind": "bucket", "old": "orders-data", "new": "orders-data-2"}]}"#;
        let read = pairs(yaml).unwrap();
        assert_eq!(read, pairs(json).unwrap());
        assert_eq!(read[0].old, "012345678901");
    }

    #[test]
    fn every_problem_has_its_line() {
        let yaml = "- kind: acount\n  old: a\n  new: b\n- old: c\n  new: d\n- kind: host\n  old: e.example\n  new: f.example\n\
                    - kind: host\n  old: e.example\n  new: g.example\n  note: x\n- kind: host\n  old: e.example\n  new: h.example\n- 3\n";
        let problems = pairs(yaml).unwrap_err();
        let expected = [
            ("line 1:", "unknown variant `acount`"),
            ("line 4:", "`kind` is missing"),
            ("line 12:", "`note` is unknown here"),
            ("line 13:", "stands already in line 6"),
            ("line 16:", "are needed"),
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for (problem, (line, part)) in problems.iter().zip(expected) {
            assert!(problem.starts_with(line) && problem.contains(part), "{problem}");
        }
        assert!(pairs("a: [").unwrap_err()[0].starts_with("line "));
        assert!(pairs("").is_err());
        assert!(pairs("other: []").unwrap_err()[0].contains("alone or under `identifiers`"));
    }
}
