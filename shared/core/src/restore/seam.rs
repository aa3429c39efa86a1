//! How a rebuilt stack takes a restored resource: by a parameter that names it, or by importing it.
//!
//! Either way through a change set that is looked at before it is executed, and proven afterwards: the stack owns the
//! resource, or resources of the stack refer to it, and drift detection (`DetectStackResourceDrift`) finds them as their
//! template says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use strum::IntoEnumIterator as _;

use super::resource::template_type;
use crate::artifact::Digest;
use crate::plan::{ResourceType, Seam};
use crate::rebuild::change_set::{Change, ObservedChangeSet};
use crate::rebuild::drift::ResourceDrift;
use crate::rebuild::isolation::StackResource;
use crate::rebuild::waves::ObservedStack;
use crate::run::RunId;

/// The change set by which a run's stack takes one resource: its name, which makes a repeat harmless.
#[must_use]
pub fn change_set_name(run: &RunId, resource: &str) -> String {
    let digest = Digest::of(format!("{run}\n{resource}\nseam").as_bytes());
    let short: String = digest.as_str().chars().take(32).collect();
    format!("seam-{short}")
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask for the change set.
    Propose,
    /// Look again later.
    Wait,
    /// Execute the change set with this id.
    Execute(String),
    /// The stack has it: prove that.
    Prove,
    /// A person must look, for this reason.
    Stop(String),
}

/// Decides what is to be done next; `id` is the resource's own, `set` the change set of [`change_set_name`].
#[must_use]
pub fn next(
    seam: &Seam,
    id: &str,
    stack: Option<&ObservedStack>,
    resources: &[StackResource],
    set: Option<&ObservedChangeSet>,
) -> Step {
    let Some(stack) = stack else {
        return Step::Stop(format!("stack `{}` is not there", seam.stack()));
    };
    if stack.status.ends_with("_IN_PROGRESS") {
        return Step::Wait;
    }
    let at_rest = matches!(
        stack.status.as_str(),
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE"
    );
    if !at_rest {
        return Step::Stop(format!(
            "stack `{}` is {}: {}",
            seam.stack(),
            stack.status.escape_debug(),
            stack.reason.as_deref().map_or_else(
                || "no reason given".to_owned(),
                |reason| reason.escape_debug().to_string()
            )
        ));
    }
    let taken = match seam {
        Seam::Parameter { parameter, .. } => stack.parameters.get(parameter).map(String::as_str) == Some(id),
        Seam::Import { logical_id, .. } => match resources.iter().find(|one| one.logical_id == *logical_id) {
            Some(owned) if owned.physical_id.as_deref() == Some(id) => true,
            Some(other) => {
                return Step::Stop(format!(
                    "stack `{}` has `{}` as `{logical_id}`",
                    seam.stack(),
                    other.physical_id.as_deref().unwrap_or_default().escape_debug()
                ));
            }
            None => false,
        },
    };
    if taken {
        return Step::Prove;
    }
    let Some(set) = set else {
        return Step::Propose;
    };
    match (set.status.as_str(), set.execution.as_str()) {
        ("CREATE_PENDING" | "CREATE_IN_PROGRESS", _)
        | ("CREATE_COMPLETE", "UNAVAILABLE" | "EXECUTE_IN_PROGRESS") => Step::Wait,
        ("CREATE_COMPLETE", "AVAILABLE") => match surprise(seam, set) {
            None => match foreign_value(seam, id, set) {
                None => Step::Execute(set.id.clone()),
                Some(what) => Step::Stop(format!("the change set of stack `{}` {what}", seam.stack())),
            },
            Some(what) => Step::Stop(format!("the change set of stack `{}` {what}", seam.stack())),
        },
        (status, execution) => Step::Stop(format!(
            "the change set of stack `{}` is {} and {}: {}",
            seam.stack(),
            status.escape_debug(),
            execution.escape_debug(),
            set.reason.as_deref().map_or_else(
                || "no reason given".to_owned(),
                |reason| reason.escape_debug().to_string()
            )
        )),
    }
}

/// What else than the restored resource a change set would give to its parameter.
fn foreign_value(seam: &Seam, id: &str, set: &ObservedChangeSet) -> Option<String> {
    let Seam::Parameter { parameter, .. } = seam else {
        return None;
    };
    let given = set.parameters.get(parameter).map(String::as_str);
    (given != Some(id)).then(|| {
        format!(
            "would set `{parameter}` to `{}`, not to `{id}`",
            given.unwrap_or_default().escape_debug()
        )
    })
}

/// Whether a change takes away a resource that holds data: what replaces it is empty.
fn loses_data(change: &Change) -> bool {
    let holds_data = ResourceType::iter()
        .filter_map(template_type)
        .any(|data| data == change.resource_type);
    holds_data && !matches!(change.replacement.as_str(), "" | "False")
}

/// What a change set would do beside taking the resource.
fn surprise(seam: &Seam, set: &ObservedChangeSet) -> Option<String> {
    let expected = |action: &str, of: &str| match seam {
        Seam::Parameter { .. } => action == "Modify",
        Seam::Import { logical_id, .. } => action == "Import" && of == logical_id,
    };
    if set.changes.is_empty() {
        return Some("would do nothing".to_owned());
    }
    let others: Vec<String> = set
        .changes
        .iter()
        .filter(|change| !expected(&change.action, &change.logical_id))
        .map(|change| {
            format!(
                "{} `{}`",
                change.action.escape_debug(),
                change.logical_id.escape_debug()
            )
        })
        .collect();
    if !others.is_empty() {
        return Some(format!("would also {}", others.join(", ")));
    }
    let replaced: Vec<String> = set
        .changes
        .iter()
        .filter(|change| loses_data(change))
        .map(|change| format!("`{}`", change.logical_id.escape_debug()))
        .collect();
    (!replaced.is_empty()).then(|| format!("would replace {}, and with it the data", replaced.join(", ")))
}

/// Property of the identifier of a type, as `ResourcesToImport` names it, and whether a template gives it as a property.
fn identifier(resource_type: ResourceType) -> Option<(&'static str, bool)> {
    match resource_type {
        ResourceType::S3 => Some(("BucketName", true)),
        ResourceType::DynamoDb => Some(("TableName", true)),
        ResourceType::Rds => Some(("DBInstanceIdentifier", true)),
        ResourceType::Aurora => Some(("DBClusterIdentifier", true)),
        ResourceType::Ebs => Some(("VolumeId", false)),
        ResourceType::Ec2 => Some(("InstanceId", false)),
        ResourceType::Efs => Some(("FileSystemId", false)),
        ResourceType::Fsx => None,
    }
}

/// What is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The stack's template with the resource in it.
    pub template: String,
    /// Name in the template.
    pub logical_id: String,
    /// Resource type.
    pub type_name: String,
    /// `ResourceIdentifier`.
    pub identifier: BTreeMap<String, String>,
}

/// The import of a resource into a stack with this template. It stays when the stack is deleted: it is data.
///
/// # Errors
/// Why it cannot be imported.
pub fn import(
    resource_type: ResourceType,
    id: &str,
    logical_id: &str,
    properties: &Map<String, Value>,
    template: &str,
) -> Result<Import, String> {
    let (Some(type_name), Some((key, is_property))) =
        (template_type(resource_type), identifier(resource_type))
    else {
        return Err("CloudFormation imports no resource of this type".to_owned());
    };
    let mut template: Value =
        serde_json::from_str(template).map_err(|error| format!("its template is no JSON: {error}"))?;
    let declared = template
        .get_mut("Resources")
        .and_then(Value::as_object_mut)
        .ok_or("its template has no resources")?;
    if declared.contains_key(logical_id) {
        return Err(format!("its template has a `{logical_id}` already"));
    }
    let mut properties = properties.clone();
    if is_property {
        properties.insert(key.to_owned(), id.into());
    }
    declared.insert(
        logical_id.to_owned(),
        json!({
            "Type": type_name,
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": properties,
        }),
    );
    Ok(Import {
        template: template.to_string(),
        logical_id: logical_id.to_owned(),
        type_name: type_name.to_owned(),
        identifier: BTreeMap::from([(key.to_owned(), id.to_owned())]),
    })
}

/// Names in the template whose drift proves the seam: the imported resource, or every resource that refers to the
/// parameter.
#[must_use]
pub fn witnesses(seam: &Seam, template: &str) -> BTreeSet<String> {
    match seam {
        Seam::Import { logical_id, .. } => BTreeSet::from([logical_id.clone()]),
        Seam::Parameter { parameter, .. } => {
            let template: Value = serde_json::from_str(template).unwrap_or_default();
            template
                .get("Resources")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .filter(|(_, resource)| refers(resource, parameter))
                .map(|(logical_id, _)| logical_id.clone())
                .collect()
        }
    }
}

fn refers(value: &Value, parameter: &str) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(name, inner)| match (name.as_str(), inner) {
            ("Ref", Value::String(of)) => of == parameter,
            ("Fn::Sub", Value::String(text)) => text.contains(&format!("${{{parameter}}}")),
            (_, inner) => refers(inner, parameter),
        }),
        Value::Array(members) => members.iter().any(|inner| {
            refers(inner, parameter)
                || inner
                    .as_str()
                    .is_some_and(|text| text.contains(&format!("${{{parameter}}}")))
        }),
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => false,
    }
}

/// Reads the proof: one witness at least is as its template says, and none is otherwise.
///
/// # Errors
/// What speaks against it. A witness that drift detection cannot look at proves nothing.
pub fn prove(seam: &Seam, witnesses: &[ResourceDrift]) -> Result<String, Vec<String>> {
    let mut problems: Vec<String> = witnesses
        .iter()
        .filter(|drift| matches!(drift.status.as_str(), "MODIFIED" | "DELETED"))
        .map(|drift| {
            let paths: Vec<String> = drift
                .differences
                .iter()
                .map(|difference| difference.path.escape_debug().to_string())
                .collect();
            format!(
                "`{}` of stack `{}` is {} ({})",
                drift.logical_id,
                seam.stack(),
                drift.status,
                paths.join(", ")
            )
        })
        .collect();
    let proven: Vec<&str> = witnesses
        .iter()
        .filter(|drift| drift.status == "IN_SYNC")
        .map(|drift| drift.logical_id.as_str())
        .collect();
    if proven.is_empty() && problems.is_empty() {
        problems.push(format!(
            "nothing of stack `{}` is proven to {} it: {}",
            seam.stack(),
            match seam {
                Seam::Parameter { .. } => "refer to",
                Seam::Import { .. } => "own",
            },
            witnesses
                .iter()
                .map(|drift| format!("`{}` is {}", drift.logical_id, drift.status.escape_debug()))
                .collect::<Vec<_>>()
                .join(", ")
        ));
    }
    if problems.is_empty() {
        let verb = match seam {
            Seam::Parameter { .. } => "is referred to by",
            Seam::Import { .. } => "is owned as",
        };
        Ok(format!(
            "{verb} {} of stack {}, in sync",
            proven.join(", "),
            seam.stack()
        ))
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter() -> Seam {
        Seam::Parameter {
            stack: "app".to_owned(),
            parameter: "Bucket".to_owned(),
        }
    }

    fn imported() -> Seam {
        Seam::Import {
            stack: "app".to_owned(),
            logical_id: "Table".to_owned(),
            properties: Map::new(),
        }
    }

    fn stack(status: &str, bucket: &str) -> ObservedStack {
        ObservedStack {
            id: "arn:stack".to_owned(),
            status: status.to_owned(),
            reason: None,
            tags: BTreeMap::new(),
            parameters: BTreeMap::from([("Bucket".to_owned(), bucket.to_owned())]),
            outputs: BTreeMap::new(),
            change_sets: BTreeSet::new(),
        }
    }

    fn set(status: &str, execution: &str, changes: &[(&str, &str)]) -> ObservedChangeSet {
        ObservedChangeSet {
            id: "arn:set".to_owned(),
            status: status.to_owned(),
            execution: execution.to_owned(),
            reason: None,
            changes: changes
                .iter()
                .map(|(action, logical_id)| Change {
                    action: (*action).to_owned(),
                    logical_id: (*logical_id).to_owned(),
                    resource_type: String::new(),
                    replacement: String::new(),
                })
                .collect(),
            parameters: BTreeMap::from([("Bucket".to_owned(), "new".to_owned())]),
            tags: BTreeMap::new(),
            template: None,
        }
    }

    fn owned(id: &str) -> Vec<StackResource> {
        vec![StackResource {
            logical_id: "Table".to_owned(),
            resource_type: "AWS::DynamoDB::Table".to_owned(),
            physical_id: Some(id.to_owned()),
            status: "IMPORT_COMPLETE".to_owned(),
        }]
    }

    #[test]
    fn a_stack_takes_a_resource_step_by_step() {
        let (param, import) = (parameter(), imported());
        let at = |seam: &Seam, stack: ObservedStack, set: Option<ObservedChangeSet>| {
            next(seam, "new", Some(&stack), &[], set.as_ref())
        };
        for seam in [&param, &import] {
            assert_eq!(at(seam, stack("CREATE_COMPLETE", "none"), None), Step::Propose);
            assert_eq!(
                at(
                    seam,
                    stack("CREATE_COMPLETE", "none"),
                    Some(set("CREATE_IN_PROGRESS", "UNAVAILABLE", &[]))
                ),
                Step::Wait
            );
            assert_eq!(at(seam, stack("UPDATE_IN_PROGRESS", "none"), None), Step::Wait);
            assert!(matches!(
                at(seam, stack("UPDATE_ROLLBACK_COMPLETE", "none"), None),
                Step::Stop(_)
            ));
            assert!(matches!(
                at(
                    seam,
                    stack("CREATE_COMPLETE", "none"),
                    Some(set("FAILED", "UNAVAILABLE", &[]))
                ),
                Step::Stop(_)
            ));
            assert!(matches!(next(seam, "new", None, &[], None), Step::Stop(_)));
        }
        let modify = set("CREATE_COMPLETE", "AVAILABLE", &[("Modify", "Role")]);
        assert_eq!(
            at(&param, stack("CREATE_COMPLETE", "none"), Some(modify)),
            Step::Execute("arn:set".to_owned())
        );
        assert_eq!(at(&param, stack("UPDATE_COMPLETE", "new"), None), Step::Prove);
        assert_eq!(
            next(
                &import,
                "new",
                Some(&stack("IMPORT_COMPLETE", "")),
                &owned("new"),
                None
            ),
            Step::Prove
        );
        let other = next(
            &import,
            "new",
            Some(&stack("IMPORT_COMPLETE", "")),
            &owned("old"),
            None,
        );
        assert!(matches!(other, Step::Stop(_)), "{other:?}");
    }

    #[test]
    fn a_change_set_that_does_anything_else_is_not_executed() {
        let cases: [(&Seam, &[(&str, &str)]); 4] = [
            (&parameter(), &[("Modify", "Role"), ("Remove", "Queue")]),
            (&parameter(), &[]),
            (&imported(), &[("Import", "Table"), ("Modify", "Role")]),
            (&imported(), &[("Import", "Other")]),
        ];
        for (seam, changes) in cases {
            let set = set("CREATE_COMPLETE", "AVAILABLE", changes);
            let step = next(
                seam,
                "new",
                Some(&stack("CREATE_COMPLETE", "none")),
                &[],
                Some(&set),
            );
            assert!(matches!(step, Step::Stop(_)), "{changes:?}: {step:?}");
        }
    }

    /// What is replaced is empty, and what the parameter names must be what was restored.
    #[test]
    fn a_change_set_that_replaces_data_or_names_another_resource_is_not_executed() {
        let step = |change: fn(&mut ObservedChangeSet)| {
            let mut set = set("CREATE_COMPLETE", "AVAILABLE", &[("Modify", "Role")]);
            change(&mut set);
            let stack = stack("CREATE_COMPLETE", "none");
            next(&parameter(), "new", Some(&stack), &[], Some(&set))
        };
        let replaced = |kind: &str, replacement: &str| Change {
            action: "Modify".to_owned(),
            logical_id: "Table".to_owned(),
            resource_type: kind.to_owned(),
            replacement: replacement.to_owned(),
        };
        assert_eq!(step(|_| {}), Step::Execute("arn:set".to_owned()));
        for replacement in ["True", "Conditional"] {
            let mut set = set("CREATE_COMPLETE", "AVAILABLE", &[]);
            set.changes.push(replaced("AWS::DynamoDB::Table", replacement));
            let stack = stack("CREATE_COMPLETE", "none");
            let step = next(&parameter(), "new", Some(&stack), &[], Some(&set));
            assert!(
                matches!(&step, Step::Stop(why) if why.contains("`Table`")),
                "{step:?}"
            );
            set.changes = vec![replaced("AWS::ECS::TaskDefinition", replacement)];
            let step = next(&parameter(), "new", Some(&stack), &[], Some(&set));
            assert!(matches!(step, Step::Execute(_)), "{step:?}");
        }
        let other = step(|set| drop(set.parameters.insert("Bucket".to_owned(), "theirs".to_owned())));
        assert!(
            matches!(&other, Step::Stop(why) if why.contains("`theirs`")),
            "{other:?}"
        );
        assert!(matches!(step(|set| set.parameters.clear()), Step::Stop(_)));
    }

    #[test]
    fn what_is_imported_stays_and_is_added_to_the_template_once() {
        let template = r#"{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}"#;
        let import = |template: &str| {
            super::import(
                ResourceType::DynamoDb,
                "orders-restored",
                "Table",
                &Map::new(),
                template,
            )
        };
        let first = import(template).unwrap();
        assert_eq!(
            first.identifier,
            BTreeMap::from([("TableName".to_owned(), "orders-restored".to_owned())])
        );
        let sent: Value = serde_json::from_str(&first.template).unwrap();
        assert_eq!(sent["Resources"]["Table"]["DeletionPolicy"], "Retain");
        assert_eq!(
            sent["Resources"]["Table"]["Properties"]["TableName"],
            "orders-restored"
        );
        assert_eq!(sent["Resources"]["Queue"], json!({"Type": "AWS::SQS::Queue"}));
        assert!(import(&first.template).is_err());
        assert!(super::import(ResourceType::Fsx, "fs-1", "Share", &Map::new(), template).is_err());
        let volume = super::import(ResourceType::Ebs, "vol-1", "Disk", &Map::new(), template).unwrap();
        assert!(
            !volume.template.contains("vol-1"),
            "an id that AWS gave is no property"
        );
    }

    #[test]
    fn only_what_is_in_sync_and_refers_to_it_is_a_proof() {
        let template = r#"{"Resources": {
            "A": {"Properties": {"Bucket": {"Ref": "Bucket"}}},
            "B": {"Properties": {"Arn": {"Fn::Sub": "arn:aws:s3:::${Bucket}/*"}}},
            "C": {"Properties": {"Arn": {"Fn::Sub": ["${x}-${Bucket}", {"x": "y"}]}}},
            "D": {"Properties": {"Name": "Bucket"}}
        }}"#;
        let names: Vec<String> = witnesses(&parameter(), template).into_iter().collect();
        assert_eq!(names, ["A", "B", "C"]);
        let drift = |logical_id: &str, status: &str| ResourceDrift {
            logical_id: logical_id.to_owned(),
            resource_type: String::new(),
            status: status.to_owned(),
            reason: None,
            differences: Vec::new(),
        };
        assert!(prove(&parameter(), &[drift("A", "IN_SYNC"), drift("B", "NOT_CHECKED")]).is_ok());
        for bad in [
            vec![],
            vec![drift("A", "NOT_CHECKED")],
            vec![drift("A", "UNSUPPORTED"), drift("B", "UNKNOWN")],
            vec![drift("A", "IN_SYNC"), drift("B", "MODIFIED")],
            vec![drift("A", "DELETED")],
        ] {
            assert!(prove(&parameter(), &bad).is_err(), "{bad:?}");
        }
    }
}
