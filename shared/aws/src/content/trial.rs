//! Removing what a trial restored.

use blackstart_core::plan::ResourceType;
use blackstart_core::restore::removal::CopyState;
use blackstart_core::run::RunId;

use super::ContentReader;
use crate::port::PortError;

impl ContentReader {
    /// Removes what a trial restored, as [`ContentReader::remove`]. What has no name of its own gets the tag of its run
    /// first: a session may remove nothing else of its type.
    ///
    /// # Errors
    /// [`PortError`]; that the tag is not there yet is transient.
    pub async fn remove_trial(
        &self,
        resource_type: ResourceType,
        name: &str,
        arn: &str,
        run: &RunId,
    ) -> Result<bool, PortError> {
        let nameless = matches!(
            resource_type,
            ResourceType::Ebs | ResourceType::Ec2 | ResourceType::Efs
        );
        if nameless {
            let what = format!("deleting `{arn}`");
            let later = |why: &str| PortError::Transient {
                what: what.clone(),
                why: why.to_owned(),
            };
            match self.other(resource_type, arn).await? {
                CopyState::Absent => return Ok(false),
                CopyState::Deleting => return Err(later("it is being deleted")),
                CopyState::Unknown => {
                    let why = "nothing says which of its type it is".to_owned();
                    return Err(PortError::Refused { what, why });
                }
                CopyState::Present { run: None } => {
                    self.mark_other(resource_type, arn, run).await?;
                    return Err(later("it does not carry the tag of the run yet"));
                }
                CopyState::Present { run: Some(owner) } if owner == run.as_str() => {}
                CopyState::Present { run: Some(owner) } => {
                    let why = format!("it carries the tag of `{}`", owner.escape_debug());
                    return Err(PortError::Refused { what, why });
                }
            }
        }
        self.remove(resource_type, name, arn).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud_control::CloudControl;
    use crate::signed::Signed;
    use crate::signed::testing::Wire;

    const VOLUME: &str = "arn:aws:ec2:eu-west-1:222222222222:volume/vol-1";

    /// An account with one volume that has these tags, or with none.
    fn account(properties: Option<&'static str>) -> (ContentReader, Wire) {
        let wire = Wire::new(move |asked| {
            if !asked.target.ends_with("GetResource") {
                return (
                    200,
                    r#"{"ProgressEvent":{"OperationStatus":"IN_PROGRESS"}}"#.to_owned(),
                );
            }
            match properties {
                Some(properties) => {
                    let found = serde_json::json!({"ResourceDescription": {"Properties": properties}});
                    (200, found.to_string())
                }
                None => (
                    400,
                    r#"{"__type":"ResourceNotFoundException","Message":"no"}"#.to_owned(),
                ),
            }
        });
        let config = wire.config();
        let reader = ContentReader {
            others: CloudControl::over(Signed::over(&config, wire.connector()), None),
            ..ContentReader::new(&config, None)
        };
        (reader, wire)
    }

    async fn remove(reader: &ContentReader) -> Result<bool, PortError> {
        let run = RunId::try_from("orders-0123456789ab".to_owned()).unwrap();
        reader
            .remove_trial(ResourceType::Ebs, "trial", VOLUME, &run)
            .await
    }

    fn asked(wire: &Wire) -> Vec<String> {
        let targets = wire.asked().into_iter().map(|asked| asked.target);
        targets
            .map(|target| target.replace("CloudApiService.", ""))
            .collect()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_volume_is_marked_first_and_removed_only_once_it_carries_the_tag() {
        let (reader, wire) = account(Some("{}"));
        assert!(matches!(remove(&reader).await, Err(PortError::Transient { .. })));
        assert_eq!(asked(&wire), ["GetResource", "GetResource", "UpdateResource"]);
        let tagged = r#"{"Tags":[{"Key":"blackstart:run","Value":"orders-0123456789ab"}]}"#;
        let (reader, wire) = account(Some(tagged));
        assert!(remove(&reader).await.unwrap());
        assert_eq!(asked(&wire), ["GetResource", "DeleteResource"]);
        let of_another_run = r#"{"Tags":[{"Key":"blackstart:run","Value":"orders-ffffffffffff"}]}"#;
        let (reader, wire) = account(Some(of_another_run));
        assert!(matches!(remove(&reader).await, Err(PortError::Refused { .. })));
        assert_eq!(asked(&wire), ["GetResource"]);
        let (reader, _) = account(None);
        assert!(!remove(&reader).await.unwrap());
    }
}
