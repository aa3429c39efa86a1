//! Master passwords of databases: the Query API of RDS, signed here. A client crate would be most of the build.

use aws_config::SdkConfig;
use blackstart_core::plan::DatabaseKind;
use blackstart_core::rotation::SecretValue;
use blackstart_core::rotation::database::{MasterPassword, VERSION_TAG};

use crate::port::{Effect, PortError};
use crate::signed::{Endpoint, Operation, Protocol, Signed, elements};

const RDS: Endpoint = Endpoint {
    id: "RDS",
    host: "rds",
    signing: "rds",
};

const fn operation(permission: &'static str, effect: Effect) -> Operation {
    Operation {
        endpoint: RDS,
        permission,
        effect,
        protocol: Protocol::Query,
    }
}

const DESCRIBE_INSTANCE: Operation = operation("rds:DescribeDBInstances", Effect::Read);
const DESCRIBE_CLUSTER: Operation = operation("rds:DescribeDBClusters", Effect::Read);
// The same password set twice is the same password.
const MODIFY_INSTANCE: Operation = operation("rds:ModifyDBInstance", Effect::IdempotentWrite);
const MODIFY_CLUSTER: Operation = operation("rds:ModifyDBCluster", Effect::IdempotentWrite);
const TAG: Operation = operation("rds:AddTagsToResource", Effect::IdempotentWrite);

/// Version of the Query API.
const VERSION: &str = "2014-10-31";

/// Databases of one account and region.
#[derive(Debug, Clone)]
pub struct Databases {
    client: Signed,
}

impl Databases {
    /// RDS under this configuration.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: Signed::new(config),
        }
    }

    async fn describe(&self, kind: DatabaseKind, name: &str) -> Result<String, PortError> {
        let what = format!("describing database `{name}`");
        let (operation, action, key) = match kind {
            DatabaseKind::Instance => (&DESCRIBE_INSTANCE, "DescribeDBInstances", "DBInstanceIdentifier"),
            DatabaseKind::Cluster => (&DESCRIBE_CLUSTER, "DescribeDBClusters", "DBClusterIdentifier"),
        };
        let form = [("Action", action), ("Version", VERSION), (key, name)];
        self.client.query(operation, &what, &form).await
    }

    /// What a database says about its master password: never the password.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn master_password(&self, kind: DatabaseKind, name: &str) -> Result<MasterPassword, PortError> {
        let answer = self.describe(kind, name).await?;
        let status = match kind {
            DatabaseKind::Instance => "DBInstanceStatus",
            DatabaseKind::Cluster => "Status",
        };
        let tagged = answer.split("<Tag>").skip(1).find_map(|tag| {
            let key = elements(tag, "Key").into_iter().next()?;
            (key == VERSION_TAG).then(|| elements(tag, "Value").into_iter().next())?
        });
        Ok(MasterPassword {
            version: tagged,
            // What is pending is shown as asterisks.
            pending: !elements(&answer, "MasterUserPassword").is_empty(),
            available: elements(&answer, status)
                .iter()
                .any(|status| status == "available"),
        })
    }

    /// Gives a database a new master password at once, and then notes the version that it is of as a tag: a tag that is
    /// there says that the password was accepted.
    ///
    /// # Errors
    /// [`PortError`], which never holds the password.
    pub async fn set_master_password(
        &self,
        kind: DatabaseKind,
        name: &str,
        password: &SecretValue,
        version: &str,
    ) -> Result<(), PortError> {
        let what = format!("giving database `{name}` its new password");
        let (operation, action, key, arn) = match kind {
            DatabaseKind::Instance => (
                &MODIFY_INSTANCE,
                "ModifyDBInstance",
                "DBInstanceIdentifier",
                "DBInstanceArn",
            ),
            DatabaseKind::Cluster => (
                &MODIFY_CLUSTER,
                "ModifyDBCluster",
                "DBClusterIdentifier",
                "DBClusterArn",
            ),
        };
        let form = [
            ("Action", action),
            ("Version", VERSION),
            (key, name),
            ("MasterUserPassword", password.expose()),
            ("ApplyImmediately", "true"),
        ];
        let answer = self.client.query(operation, &what, &form).await?;
        let arn = elements(&answer, arn)
            .into_iter()
            .next()
            .ok_or_else(|| PortError::Transient {
                what: what.clone(),
                why: "the answer names no database".to_owned(),
            })?;
        let form = [
            ("Action", "AddTagsToResource"),
            ("Version", VERSION),
            ("ResourceName", arn.as_str()),
            ("Tags.Tag.1.Key", VERSION_TAG),
            ("Tags.Tag.1.Value", version),
        ];
        self.client.query(&TAG, &what, &form).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::testing::Wire;

    const DESCRIBED: &str = "<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances><DBInstance>\
        <DBInstanceIdentifier>orders</DBInstanceIdentifier><DBInstanceStatus>available</DBInstanceStatus>\
        <DBInstanceArn>arn:aws:rds:eu-west-1:333333333333:db:orders</DBInstanceArn>\
        <PendingModifiedValues/><TagList><Tag><Key>team</Key><Value>x</Value></Tag>\
        <Tag><Key>blackstart:password</Key><Value>v1</Value></Tag></TagList>\
        </DBInstance></DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>";

    fn databases(answer: &'static str) -> (Databases, Wire) {
        let wire = Wire::new(move |_| (200, answer.to_owned()));
        let client = Signed::over(&wire.config(), wire.connector());
        (Databases { client }, wire)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_a_database_says_is_read_from_its_tag_and_its_pending_changes() {
        let (client, _) = databases(DESCRIBED);
        let said = client
            .master_password(DatabaseKind::Instance, "orders")
            .await
            .unwrap();
        assert_eq!(
            said,
            MasterPassword {
                version: Some("v1".to_owned()),
                pending: false,
                available: true
            }
        );
        let (client, _) = databases(
            "<DBClusters><DBCluster><Status>available</Status><PendingModifiedValues>\
             <MasterUserPassword>****</MasterUserPassword></PendingModifiedValues></DBCluster></DBClusters>",
        );
        let said = client
            .master_password(DatabaseKind::Cluster, "orders")
            .await
            .unwrap();
        assert!(said.pending && said.version.is_none() && said.available);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_password_is_set_at_once_and_its_version_noted_afterwards() {
        let (client, wire) = databases(DESCRIBED);
        let password = SecretValue::new("s3cret&value".to_owned());
        client
            .set_master_password(DatabaseKind::Instance, "orders", &password, "v2")
            .await
            .unwrap();
        let asked = wire.asked();
        assert!(
            asked[0].body.contains("Action=ModifyDBInstance")
                && asked[0].body.contains("ApplyImmediately=true")
        );
        assert!(asked[0].body.contains("MasterUserPassword=s3cret%26value"));
        assert!(
            asked[1].body.contains("Action=AddTagsToResource")
                && asked[1].body.contains("Tags.Tag.1.Value=v2")
        );
        assert!(!asked[1].body.contains("s3cret"));
    }
}
