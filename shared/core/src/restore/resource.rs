//! A restored resource as Cloud Control API knows it: by the type that it has in a template, and its identifier.

use serde_json::{Value, json};

use crate::plan::ResourceType;
use crate::rebuild::request::RUN_TAG;
use crate::run::RunId;

/// Type and primary identifier of the resource with this ARN; `None` where Cloud Control API has no such type, or the ARN
/// names no resource yet.
///
/// `FSx` has none that can be changed (`NON_PROVISIONABLE` in the CloudFormation registry).
#[must_use]
pub fn template_resource(resource_type: ResourceType, arn: &str) -> Option<(&'static str, &str)> {
    let type_name = template_type(resource_type)?;
    let identifier = arn.rsplit([':', '/']).next().filter(|id| !id.is_empty())?;
    Some((type_name, identifier))
}

/// The type of a resource in a template.
#[must_use]
pub fn template_type(resource_type: ResourceType) -> Option<&'static str> {
    match resource_type {
        ResourceType::S3 => Some("AWS::S3::Bucket"),
        ResourceType::DynamoDb => Some("AWS::DynamoDB::Table"),
        ResourceType::Rds => Some("AWS::RDS::DBInstance"),
        ResourceType::Aurora => Some("AWS::RDS::DBCluster"),
        ResourceType::Ebs => Some("AWS::EC2::Volume"),
        ResourceType::Ec2 => Some("AWS::EC2::Instance"),
        ResourceType::Efs => Some("AWS::EFS::FileSystem"),
        ResourceType::Fsx => None,
    }
}

/// The property that holds the tags.
fn tags_property(resource_type: ResourceType) -> &'static str {
    match resource_type {
        ResourceType::Efs => "FileSystemTags",
        ResourceType::S3
        | ResourceType::DynamoDb
        | ResourceType::Rds
        | ResourceType::Aurora
        | ResourceType::Ebs
        | ResourceType::Ec2
        | ResourceType::Fsx => "Tags",
    }
}

/// The run whose tag is among the properties.
#[must_use]
pub fn run_of(resource_type: ResourceType, properties: &Value) -> Option<&str> {
    properties
        .get(tags_property(resource_type))?
        .as_array()?
        .iter()
        .find(|tag| tag.get("Key").and_then(Value::as_str) == Some(RUN_TAG))?
        .get("Value")?
        .as_str()
}

/// The JSON Patch that adds the tag of a run to the properties: the whole list, so that a repeat adds nothing.
#[must_use]
pub fn mark(resource_type: ResourceType, properties: &Value, run: &RunId) -> Value {
    let property = tags_property(resource_type);
    let mut tags = properties
        .get(property)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    tags.retain(|tag| tag.get("Key").and_then(Value::as_str) != Some(RUN_TAG));
    tags.push(json!({ "Key": RUN_TAG, "Value": run }));
    json!([{ "op": "add", "path": format!("/{property}"), "value": tags }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_known_by_the_end_of_its_arn() {
        let known = |resource_type, arn| template_resource(resource_type, arn);
        assert_eq!(
            known(
                ResourceType::Rds,
                "arn:aws:rds:eu-central-1:333333333333:db:orders"
            ),
            Some(("AWS::RDS::DBInstance", "orders"))
        );
        assert_eq!(
            known(
                ResourceType::Ebs,
                "arn:aws:ec2:eu-central-1:333333333333:volume/vol-1"
            ),
            Some(("AWS::EC2::Volume", "vol-1"))
        );
        assert_eq!(
            known(ResourceType::Ebs, "arn:aws:ec2:eu-central-1:333333333333:volume/"),
            None
        );
        assert_eq!(
            known(
                ResourceType::Fsx,
                "arn:aws:fsx:eu-central-1:333333333333:file-system/fs-1"
            ),
            None
        );
    }

    #[test]
    fn the_tag_of_a_run_is_added_once_and_found_again() {
        let run = RunId::try_from("orders-0123456789ab".to_owned()).unwrap();
        for (resource_type, property) in [(ResourceType::Rds, "Tags"), (ResourceType::Efs, "FileSystemTags")]
        {
            assert_eq!(run_of(resource_type, &json!({})), None);
            let first = mark(resource_type, &json!({}), &run);
            assert_eq!(first[0]["path"], format!("/{property}"));
            let tagged = json!({ property: first[0]["value"] });
            assert_eq!(run_of(resource_type, &tagged), Some(run.as_str()));
            let more = mark(
                resource_type,
                &json!({ property: [{"Key": "a", "Value": "b"}] }),
                &run,
            );
            assert_eq!(more[0]["path"], format!("/{property}"));
            assert_eq!(more[0]["value"][0], json!({"Key": "a", "Value": "b"}));
            let marked = json!({ property: more[0]["value"] });
            assert_eq!(run_of(resource_type, &marked), Some(run.as_str()));
            assert_eq!(mark(resource_type, &marked, &run), more);
            let foreign = json!({ property: [{"Key": RUN_TAG, "Value": "another"}] });
            let ours = mark(resource_type, &foreign, &run);
            assert_eq!(ours[0]["value"], first[0]["value"]);
        }
    }
}
