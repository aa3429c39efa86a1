//! YAML that people write, as the JSON value it stands for, and the line of everything in it.
//!
//! Only what JSON can say is taken: string keys, no custom tags, no aliases (a few of which expand to more than memory
//! holds), no documents after the first.

use std::collections::BTreeMap;

use saphyr::Scalar;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use serde_json::{Map, Number, Value};

/// How deep sequences and mappings may nest.
const DEPTH_LIMIT: usize = 64;

/// A YAML document that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What it says.
    pub value: Value,
    /// The line, from 1, of every value by its path, for example `rebuild.stacks[0].template`; `.` is the whole.
    pub lines: BTreeMap<String, usize>,
}

/// The text is not YAML that stands for one JSON value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Malformed {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// Reads the text.
///
/// # Errors
/// [`Malformed`] at the first place that cannot be read.
pub fn read(text: &str) -> Result<Document, Malformed> {
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| unreadable(&error))?;
        reader.take(event, span)?;
    }
    let value = reader
        .whole
        .ok_or_else(|| malformed(1, "the document is empty"))?;
    Ok(Document {
        value,
        lines: reader.lines,
    })
}

/// Where a value that begins goes.
enum Open {
    Sequence {
        path: String,
        items: Vec<Value>,
    },
    Mapping {
        path: String,
        members: Map<String, Value>,
        key: Option<String>,
    },
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    lines: BTreeMap<String, usize>,
    whole: Option<Value>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Malformed> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, _, tag) => self.scalar(text, style, tag.as_deref(), line),
            Event::SequenceStart(_, tag) => {
                let path = self.begin(tag.as_deref(), line)?;
                self.open.push(Open::Sequence {
                    path,
                    items: Vec::new(),
                });
                Ok(())
            }
            Event::MappingStart(_, tag) => {
                let path = self.begin(tag.as_deref(), line)?;
                self.open.push(Open::Mapping {
                    path,
                    members: Map::new(),
                    key: None,
                });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                match self.open.pop() {
                    Some(Open::Sequence { items, .. }) => self.place(Value::Array(items)),
                    Some(Open::Mapping { members, .. }) => self.place(Value::Object(members)),
                    None => {}
                }
                Ok(())
            }
            Event::Alias(_) => Err(malformed(
                line,
                "aliases (`*name`) are not taken: write the value out",
            )),
            Event::DocumentStart(_) if self.whole.is_some() => {
                Err(malformed(line, "a second document begins here: one is wanted"))
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: std::borrow::Cow<'_, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        line: usize,
    ) -> Result<(), Malformed> {
        if let Some(Open::Mapping {
            path,
            members,
            key: key @ None,
        }) = self.open.last_mut()
        {
            if members.contains_key(text.as_ref()) {
                return Err(malformed(
                    line,
                    &format!("`{}` is given twice", text.escape_debug()),
                ));
            }
            let at = member_path(path, &text);
            *key = Some(text.into_owned());
            self.lines.insert(at, line);
            return Ok(());
        }
        let path = self.path()?;
        self.lines.entry(path).or_insert(line);
        let tag = tag.cloned().map(std::borrow::Cow::Owned);
        let shown = text.escape_debug().to_string();
        let scalar = Scalar::parse_from_cow_and_metadata(text, style, tag.as_ref())
            .ok_or_else(|| malformed(line, &format!("`{shown}` does not match its tag")))?;
        let value = match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(value) => Value::Bool(value),
            Scalar::Integer(value) => Value::Number(value.into()),
            Scalar::FloatingPoint(value) => Number::from_f64(value.into_inner())
                .map(Value::Number)
                .ok_or_else(|| malformed(line, &format!("`{shown}` is no number that JSON has")))?,
            Scalar::String(value) => Value::String(value.into_owned()),
        };
        self.place(value);
        Ok(())
    }

    /// A sequence or mapping begins: its path.
    fn begin(&mut self, tag: Option<&Tag>, line: usize) -> Result<String, Malformed> {
        if tag.is_some_and(|tag| !tag.is_yaml_core_schema()) {
            return Err(malformed(line, "custom tags (`!name`) are not taken"));
        }
        if self.open.len() >= DEPTH_LIMIT {
            return Err(malformed(line, &format!("nested deeper than {DEPTH_LIMIT}")));
        }
        if let Some(Open::Mapping { key: None, .. }) = self.open.last() {
            return Err(malformed(line, "a key must be a text"));
        }
        let path = self.path()?;
        self.lines.entry(path.clone()).or_insert(line);
        Ok(path)
    }

    /// The path of the value that comes next.
    fn path(&self) -> Result<String, Malformed> {
        Ok(match self.open.last() {
            None => ".".to_owned(),
            Some(Open::Sequence { path, items }) => {
                let within = if path == "." { "" } else { path };
                format!("{within}[{}]", items.len())
            }
            Some(Open::Mapping { path, key, .. }) => member_path(path, key.as_deref().unwrap_or_default()),
        })
    }

    fn place(&mut self, value: Value) {
        match self.open.last_mut() {
            None => self.whole = Some(value),
            Some(Open::Sequence { items, .. }) => items.push(value),
            Some(Open::Mapping { members, key, .. }) => {
                if let Some(key) = key.take() {
                    members.insert(key, value);
                }
            }
        }
    }
}

fn member_path(path: &str, key: &str) -> String {
    if path == "." {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn malformed(line: usize, what: &str) -> Malformed {
    Malformed {
        line,
        what: what.to_owned(),
    }
}

fn unreadable(error: &ScanError) -> Malformed {
    malformed(error.marker().line(), error.info())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn refused(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn types_paths_and_lines_are_those_of_the_text() {
        let document =
            read("# a plan\na: 1\nb:\n  - x: '012345678901'\n    y: true\n  - ~\nc: {d: [1.5, text]}\n")
                .unwrap();
        assert_eq!(
            document.value,
            json!({"a": 1, "b": [{"x": "012345678901", "y": true}, null], "c": {"d": [1.5, "text"]}})
        );
        for (path, line) in [
            ("a", 2),
            ("b", 3),
            ("b[0].x", 4),
            ("b[0].y", 5),
            ("b[1]", 6),
            ("c.d[1]", 7),
        ] {
            assert_eq!(document.lines.get(path), Some(&line), "{path}");
        }
    }

    #[test]
    fn what_json_cannot_say_is_refused_where_it_is() {
        assert_eq!(refused("a: 1\na: 2\n"), "line 2: `a` is given twice");
        assert!(refused("a: &x 1\nb: *x\n").starts_with("line 2: aliases"));
        assert!(refused("a: 1\n---\nb: 2\n").contains("second document"));
        assert!(refused("? [a]\n: 1\n").contains("a key must be a text"));
        assert!(refused("a: .inf\n").contains("no number"));
        assert!(refused("a: !secret [x]\n").contains("custom tags"));
        assert_eq!(refused(""), "line 1: the document is empty");
        assert!(refused("a: [1\n").starts_with("line "));
    }

    #[test]
    fn depth_is_bounded() {
        assert!(refused(&"- ".repeat(100_000)).contains("nested deeper"));
        assert!(refused(&"[".repeat(100_000)).contains("recursion limit"));
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-z]{1,6}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_is_yaml(value in values()) {
            prop_assert_eq!(read(&value.to_string()).unwrap().value, value);
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,80}") {
            let _ = read(&text);
        }
    }
}
