//! The operations of every function, as its types have them.

use std::collections::{BTreeMap, BTreeSet};

use blackstart_core::task::{
    Task, approval, cutover, intake, rebuild, references, report, restore, rotation, timeline, validation,
};
use schemars::{Schema, schema_for};
use serde_json::Value;

/// The schema of every function's payload, by the folder of the function.
pub(crate) fn payloads() -> BTreeMap<&'static str, Schema> {
    BTreeMap::from([
        ("approval", schema_for!(Task<approval::Operation>)),
        ("cutover", schema_for!(Task<cutover::Operation>)),
        ("intake", schema_for!(Task<intake::Operation>)),
        ("rebuild", schema_for!(Task<rebuild::Operation>)),
        ("references", schema_for!(Task<references::Operation>)),
        ("report", schema_for!(Task<report::Operation>)),
        ("restore", schema_for!(Task<restore::Operation>)),
        ("rotation", schema_for!(Task<rotation::Operation>)),
        ("timeline", schema_for!(Task<timeline::Operation>)),
        ("validation", schema_for!(Task<validation::Operation>)),
    ])
}

/// Reads a payload as its function does.
pub(crate) fn read(function: &str, payload: Value) -> Result<(), serde_json::Error> {
    match function {
        "approval" => serde_json::from_value::<Task<approval::Operation>>(payload).map(drop),
        "cutover" => serde_json::from_value::<Task<cutover::Operation>>(payload).map(drop),
        "intake" => serde_json::from_value::<Task<intake::Operation>>(payload).map(drop),
        "rebuild" => serde_json::from_value::<Task<rebuild::Operation>>(payload).map(drop),
        "references" => serde_json::from_value::<Task<references::Operation>>(payload).map(drop),
        "report" => serde_json::from_value::<Task<report::Operation>>(payload).map(drop),
        "restore" => serde_json::from_value::<Task<restore::Operation>>(payload).map(drop),
        "rotation" => serde_json::from_value::<Task<rotation::Operation>>(payload).map(drop),
        "timeline" => serde_json::from_value::<Task<timeline::Operation>>(payload).map(drop),
        "validation" => serde_json::from_value::<Task<validation::Operation>>(payload).map(drop),
        other => panic!("there is no function `{other}`"),
    }
}

/// The fields of one operation.
#[derive(Debug)]
pub(crate) struct Fields {
    pub(crate) required: BTreeSet<String>,
    pub(crate) known: BTreeSet<String>,
}

/// Every operation of every function: (function, operation) to its fields.
pub(crate) fn all() -> BTreeMap<(String, String), Fields> {
    let mut found = BTreeMap::new();
    for (function, schema) in payloads() {
        let schema = schema.to_value();
        let reference = schema["properties"]["input"]["$ref"].as_str().unwrap();
        let operations = schema.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        for variant in operations["oneOf"].as_array().unwrap() {
            let properties = variant["properties"].as_object().unwrap();
            let name = properties["operation"]["const"].as_str().unwrap();
            let fields = Fields {
                required: variant["required"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|field| field.as_str().unwrap().to_owned())
                    .collect(),
                known: properties.keys().cloned().collect(),
            };
            found.insert((function.to_owned(), name.to_owned()), fields);
        }
    }
    found
}

#[test]
fn operations_are_read_from_the_types() {
    let operations = all();
    assert!(operations.len() > 30, "{}", operations.len());
    let scan = &operations[&("timeline".to_owned(), "scan".to_owned())];
    assert_eq!(
        scan.required,
        ["batch", "operation", "plan"].map(str::to_owned).into()
    );
}
