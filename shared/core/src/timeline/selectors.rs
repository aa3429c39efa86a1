//! What a trail records by the selectors that it is given.

use serde_json::Value;

/// How much of one kind of event is recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Extent {
    /// None of it.
    #[default]
    Nothing,
    /// What a name, a source or a resource picks out.
    Part,
    All,
}

/// How much of the calls that read and of those that write is recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Share {
    reads: Extent,
    writes: Extent,
}

impl Share {
    fn add(&mut self, extent: Extent, reads: bool, writes: bool) {
        for (known, is_meant) in [(&mut self.reads, reads), (&mut self.writes, writes)] {
            if is_meant {
                *known = extent.max(*known);
            }
        }
    }

    fn is_all(self) -> bool {
        (self.reads, self.writes) == (Extent::All, Extent::All)
    }
}

/// What selectors let through (CloudTrail API reference, `PutEventSelectors`, `EventSelector`,
/// `AdvancedEventSelector`). Several add up; whatever narrows one leaves a part, however large that is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Selected {
    management: Share,
    /// Of the objects in S3. Other resources' data events are neither asked for nor missed.
    data: Share,
}

impl Selected {
    /// What a request of `PutEventSelectors` selects, which replaces all that the trail had; nothing where it has no
    /// selectors. Of a request that was left out nothing is known, so it selects nothing.
    pub(super) fn by(request: &Value) -> Option<Self> {
        let basic = list(request, "eventSelectors");
        let advanced = list(request, "advancedEventSelectors");
        let is_omitted = text(request, "omitted").as_deref() == Some("true");
        if basic.is_empty() && advanced.is_empty() && !is_omitted {
            return None;
        }
        let mut selected = Self::default();
        basic.iter().for_each(|selector| selected.add_basic(selector));
        advanced
            .iter()
            .for_each(|selector| selected.add_advanced(selector));
        Some(selected)
    }

    /// Whether all management events are recorded.
    pub(super) fn has_management(&self) -> bool {
        self.management.is_all()
    }

    /// Whether all reading, writing and deleting of objects is recorded.
    pub(super) fn has_data(&self) -> bool {
        self.data.is_all()
    }

    /// Whether changes go unseen: of the account, or of objects whose reading is recorded.
    pub(super) fn hides_writes(&self) -> bool {
        let hides = |share: Share| share.reads != Extent::Nothing && share.writes == Extent::Nothing;
        self.management.writes == Extent::Nothing || hides(self.data)
    }

    fn add_basic(&mut self, selector: &Value) {
        let kinds = text(selector, "readWriteType").unwrap_or_else(|| "All".to_owned());
        let is_meant = |kind: &str| kinds.eq_ignore_ascii_case("All") || kinds.eq_ignore_ascii_case(kind);
        let (reads, writes) = (is_meant("ReadOnly"), is_meant("WriteOnly"));
        if text(selector, "includeManagementEvents").as_deref() != Some("false") {
            let is_whole = list(selector, "excludeManagementEventSources").is_empty();
            let extent = if is_whole { Extent::All } else { Extent::Part };
            self.management.add(extent, reads, writes);
        }
        for resource in list(selector, "dataResources") {
            if text(resource, "type").as_deref() == Some(OBJECTS) {
                let named = list(resource, "values");
                let extent = match named {
                    [] => Extent::Nothing,
                    _ if named.iter().any(is_every_bucket) => Extent::All,
                    _ => Extent::Part,
                };
                self.data.add(extent, reads, writes);
            }
        }
    }

    fn add_advanced(&mut self, selector: &Value) {
        let fields = list(selector, "fieldSelectors");
        let named = |name: &'static str| {
            let mut fields = fields.iter();
            fields
                .find(move |field| text(field, "field").is_some_and(|field| field.eq_ignore_ascii_case(name)))
        };
        let is = |field: Option<&Value>, wanted: &str| {
            field.is_some_and(|field| list(field, "equals").iter().any(|value| value == wanted))
        };
        let category = named("eventCategory");
        let kind = named("resources.type");
        let share = if is(category, "Management") {
            &mut self.management
        } else if is(category, "Data") && (kind.is_none() || is(kind, OBJECTS)) {
            &mut self.data
        } else {
            return;
        };
        let read_only = named("readOnly");
        let is_known = |field: &Value| {
            let is_one = [category, kind, read_only]
                .into_iter()
                .flatten()
                .any(|known| known == field);
            is_one
                && OTHER_OPERATORS
                    .iter()
                    .all(|operator| list(field, operator).is_empty())
        };
        let extent = if fields.iter().all(is_known) {
            Extent::All
        } else {
            Extent::Part
        };
        let is_meant = |value: &str| read_only.is_none() || is(read_only, value);
        share.add(extent, is_meant("true"), is_meant("false"));
    }
}

/// The type of data events of S3.
const OBJECTS: &str = "AWS::S3::Object";

/// What a field selector may say beside `equals`.
const OTHER_OPERATORS: [&str; 5] = [
    "notEquals",
    "startsWith",
    "notStartsWith",
    "endsWith",
    "notEndsWith",
];

/// Whether a value stands for all buckets: `arn:aws:s3`, in any partition.
fn is_every_bucket(value: &Value) -> bool {
    let mut parts = value.as_str().unwrap_or_default().split(':');
    (parts.next(), parts.nth(1)) == (Some("arn"), Some("s3")) && parts.all(str::is_empty)
}

/// A value under a key that is spelled with either case.
fn value<'v>(of: &'v Value, key: &str) -> Option<&'v Value> {
    let mut fields = of.as_object()?.iter();
    fields
        .find(|(name, _)| name.eq_ignore_ascii_case(key))
        .map(|(_, value)| value)
}

fn list<'v>(of: &'v Value, key: &str) -> &'v [Value] {
    value(of, key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A value as text.
pub(super) fn text(of: &Value, key: &str) -> Option<String> {
    let value = value(of, key).filter(|value| !value.is_null())?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Whether all management events, all data events, and no longer writes are recorded.
    fn judged(request: &Value) -> (bool, bool, bool) {
        let selected = Selected::by(request).unwrap();
        (
            selected.has_management(),
            selected.has_data(),
            selected.hides_writes(),
        )
    }

    fn advanced(selectors: &[&[Value]]) -> Value {
        let selectors: Vec<_> = selectors
            .iter()
            .map(|fields| json!({"name": "n", "fieldSelectors": fields}))
            .collect();
        json!({"trailName": "t", "advancedEventSelectors": selectors})
    }

    fn field(name: &str, operator: &str, value: &str) -> Value {
        let mut field = json!({"field": name});
        field[operator] = json!([value]);
        field
    }

    #[test]
    fn whatever_narrows_an_advanced_selector_leaves_a_part() {
        let management = field("eventCategory", "equals", "Management");
        let data = field("eventCategory", "equals", "Data");
        let objects = field("resources.type", "equals", OBJECTS);
        let one = |fields: &[&Value]| {
            let fields: Vec<_> = fields.iter().map(|field| (*field).clone()).collect();
            judged(&advanced(&[&fields]))
        };
        let reads = field("readOnly", "equals", "true");
        let writes = field("readOnly", "equals", "false");
        assert_eq!(one(&[&management]), (true, false, false));
        assert_eq!(one(&[&management, &reads]), (false, false, true));
        assert_eq!(one(&[&management, &writes]), (false, false, false));
        let no_keys = field("eventSource", "notEquals", "kms.amazonaws.com");
        assert_eq!(one(&[&management, &no_keys]), (false, false, false));
        let twice = json!({"field": "eventCategory", "equals": ["Management"], "notEquals": ["Data"]});
        assert_eq!(one(&[&twice]), (false, false, false));
        // Without management events changes of the account go unseen.
        assert_eq!(one(&[&data, &objects]), (false, true, true));
        for narrow in [
            field("resources.ARN", "startsWith", "arn:aws:s3:::other/"),
            field("eventName", "equals", "PutObject"),
            reads.clone(),
            writes,
        ] {
            let selectors = advanced(&[
                std::slice::from_ref(&management),
                &[data.clone(), objects.clone(), narrow.clone()],
            ]);
            assert_eq!(judged(&selectors), (true, false, narrow == reads), "{narrow}");
        }
        let functions = field("resources.type", "equals", "AWS::Lambda::Function");
        assert_eq!(one(&[&data, &functions]), (false, false, true));
    }

    #[test]
    fn whatever_narrows_a_basic_selector_leaves_a_part() {
        let one = |kinds: &str, management: bool, values: &[&str]| {
            judged(
                &json!({"trailName": "t", "eventSelectors": [{"readWriteType": kinds,
                "includeManagementEvents": management,
                "dataResources": [{"type": OBJECTS, "values": values}]}]}),
            )
        };
        for every in ["arn:aws:s3", "arn:aws:s3:::", "arn:aws-cn:s3"] {
            assert_eq!(one("All", true, &[every]), (true, true, false));
        }
        assert_eq!(one("All", true, &["arn:aws:s3:::other/"]), (true, false, false));
        assert_eq!(one("All", true, &[]), (true, false, false));
        assert_eq!(one("ReadOnly", true, &["arn:aws:s3"]), (false, false, true));
        assert_eq!(one("WriteOnly", true, &["arn:aws:s3"]), (false, false, false));
        assert_eq!(one("All", false, &["arn:aws:s3"]), (false, true, true));
        let excluded = json!({"eventSelectors": [{"excludeManagementEventSources": ["kms.amazonaws.com"]}]});
        assert_eq!(judged(&excluded), (false, false, false));
    }

    #[test]
    fn selectors_add_up_and_a_request_that_was_left_out_selects_nothing() {
        let management = field("eventCategory", "equals", "Management");
        let both = ["true", "false"].map(|only| [management.clone(), field("readOnly", "equals", only)]);
        assert_eq!(judged(&advanced(&[&both[0], &both[1]])), (true, false, false));
        let basic =
            json!({"eventSelectors": [{"readWriteType": "ReadOnly"}, {"readWriteType": "WriteOnly"}]});
        assert_eq!(judged(&basic), (true, false, false));
        assert_eq!(judged(&json!({"omitted": true})), (false, false, true));
        assert_eq!(
            Selected::by(&json!({"trailName": "t", "advancedEventSelectors": []})),
            None
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn one_more_condition_never_records_more(
            category in prop::sample::select(vec!["Management", "Data"]),
            conditions in prop::collection::vec((0..5_usize, 0..3_usize, 0..3_usize), 1..4),
        ) {
            let names = ["readOnly", "eventSource", "eventName", "resources.ARN", "resources.type"];
            let operators = ["equals", "notEquals", "startsWith"];
            let mut fields = vec![field("eventCategory", "equals", category)];
            for (name, operator, value) in conditions {
                let before = judged(&advanced(&[&fields]));
                if fields.iter().any(|field| field["field"] == names[name]) {
                    continue;
                }
                fields.push(field(names[name], operators[operator], ["true", "false", OBJECTS][value]));
                let after = judged(&advanced(&[&fields]));
                prop_assert!((before.0 || !after.0) && (before.1 || !after.1) && (after.2 || !before.2));
            }
        }
    }
}
