//! Access control lists of S3 buckets. They name accounts by canonical user id, which holds no account id: a list
//! names the old account only if the plan maps its canonical id.

use blackstart_core::references::Form;
use serde_json::json;

use super::{Documents, Reading, Unread, bucket};
use crate::artifacts::s3_client;
use crate::port::{Effect, PortError, classify};

pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let buckets = bucket::list(documents).await?;
    Ok(documents
        .each(buckets, |bucket| async move {
            let arn = bucket.arn(documents);
            let what = format!("reading the access control list of `{arn}`");
            let answer = s3_client(&documents.in_region(&bucket.region))
                .get_bucket_acl()
                .bucket(&bucket.name)
                .expected_bucket_owner(documents.account.as_str())
                .send()
                .await
                .map_err(|error| classify(what.as_str(), Effect::Read, &error));
            let grants = match answer {
                Ok(answer) => answer.grants.unwrap_or_default(),
                Err(error) => return vec![Err(Unread { what, error })],
            };
            let grants: Vec<_> = grants
                .iter()
                .map(|grant| {
                    let grantee = grant.grantee.as_ref();
                    json!({
                        "Permission": grant.permission.as_ref().map(|permission| permission.as_str()),
                        "Grantee": grantee.and_then(|grantee| grantee.id.as_deref().or(grantee.uri.as_deref())),
                    })
                })
                .collect();
            let text = json!({ "Grants": grants }).to_string();
            vec![documents.configuration("AWS::S3::Bucket", &bucket.region, &arn, "acl", Form::Config, text)]
        })
        .await)
}
