//! Master passwords of databases: the Query API of RDS, signed here. A client crate would be most of the build.

use aws_config::SdkConfig;
use blackstart_core::plan::DatabaseKind;
use blackstart_core::rotation::SecretValue;
use blackstart_core::rotation::database::{MasterPassword, VERSION_TAG};
use blackstart_core::rotation::managed::{ManagedPassword, ManagedSecret, NOTE_TAG};

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
        Ok(MasterPassword {
            version: tag_of(&answer, VERSION_TAG),
            // What is pending is shown as asterisks.
            pending: !elements(&answer, "MasterUserPassword").is_empty(),
            available: is_available(kind, &answer),
        })
    }

    /// What a database says about a master password that RDS manages.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn managed_password(
        &self,
        kind: DatabaseKind,
        name: &str,
    ) -> Result<ManagedPassword, PortError> {
        let answer = self.describe(kind, name).await?;
        let of_secret = |element| elements(&answer, element).into_iter().next();
        Ok(ManagedPassword {
            secret: of_secret("SecretArn").map(|arn| ManagedSecret {
                arn,
                status: of_secret("SecretStatus").unwrap_or_default(),
            }),
            available: is_available(kind, &answer),
            note: tag_of(&answer, NOTE_TAG),
        })
    }

    /// Has RDS manage the master password, or make another one where it does (`rotate`), at once.
    ///
    /// # Errors
    /// [`PortError`]; that the database is being changed is transient.
    pub async fn manage_password(
        &self,
        kind: DatabaseKind,
        name: &str,
        rotate: bool,
    ) -> Result<(), PortError> {
        let what = format!("having RDS manage the password of database `{name}`");
        let parameter = if rotate {
            "RotateMasterUserPassword"
        } else {
            "ManageMasterUserPassword"
        };
        let (operation, action, key) = modify(kind);
        let form = [
            ("Action", action),
            ("Version", VERSION),
            (key, name),
            (parameter, "true"),
            ("ApplyImmediately", "true"),
        ];
        match self.client.query(operation, &what, &form).await {
            Ok(_) => Ok(()),
            Err(PortError::Refused { what, why })
                if why.starts_with("InvalidDB") && why.contains("State") =>
            {
                Err(PortError::Transient { what, why })
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the note of a rotation to a database. A repeat is harmless.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn note_rotation(&self, kind: DatabaseKind, name: &str, note: &str) -> Result<(), PortError> {
        let what = format!("noting the rotation of database `{name}`");
        let answer = self.describe(kind, name).await?;
        self.tag(kind, &answer, &what, NOTE_TAG, note).await
    }

    /// Tags the database that an answer describes.
    async fn tag(
        &self,
        kind: DatabaseKind,
        answer: &str,
        what: &str,
        key: &str,
        value: &str,
    ) -> Result<(), PortError> {
        let element = match kind {
            DatabaseKind::Instance => "DBInstanceArn",
            DatabaseKind::Cluster => "DBClusterArn",
        };
        let arn = elements(answer, element)
            .into_iter()
            .next()
            .ok_or_else(|| PortError::Transient {
                what: what.to_owned(),
                why: "the answer names no database".to_owned(),
            })?;
        let form = [
            ("Action", "AddTagsToResource"),
            ("Version", VERSION),
            ("ResourceName", arn.as_str()),
            ("Tags.Tag.1.Key", key),
            ("Tags.Tag.1.Value", value),
        ];
        self.client.query(&TAG, what, &form).await.map(|_| ())
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
        let (operation, action, key) = modify(kind);
        let form = [
            ("Action", action),
            ("Version", VERSION),
            (key, name),
            ("MasterUserPassword", password.expose()),
            ("ApplyImmediately", "true"),
        ];
        let answer = self.client.query(operation, &what, &form).await?;
        self.tag(kind, &answer, &what, VERSION_TAG, version).await
    }
}

fn modify(kind: DatabaseKind) -> (&'static Operation, &'static str, &'static str) {
    match kind {
        DatabaseKind::Instance => (&MODIFY_INSTANCE, "ModifyDBInstance", "DBInstanceIdentifier"),
        DatabaseKind::Cluster => (&MODIFY_CLUSTER, "ModifyDBCluster", "DBClusterIdentifier"),
    }
}

fn is_available(kind: DatabaseKind, answer: &str) -> bool {
    let status = match kind {
        DatabaseKind::Instance => "DBInstanceStatus",
        DatabaseKind::Cluster => "Status",
    };
    elements(answer, status)
        .iter()
        .any(|status| status == "available")
}

fn tag_of(answer: &str, name: &str) -> Option<String> {
    answer.split("<Tag>").skip(1).find_map(|tag| {
        let key = elements(tag, "Key").into_iter().next()?;
        (key == name).then(|| elements(tag, "Value").into_iter().next())?
    })
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

    #[tokio::test(flavor = "current_thread")]
    async fn a_password_that_rds_manages_is_known_by_its_secret_and_the_note() {
        let (client, _) = databases(DESCRIBED);
        let said = client
            .managed_password(DatabaseKind::Instance, "orders")
            .await
            .unwrap();
        assert_eq!((said.secret, said.available, said.note), (None, true, None));
        let (client, _) = databases(
            "<DBCluster><Status>available</Status><MasterUserSecret><SecretStatus>rotating</SecretStatus><SecretArn>\
             arn:aws:secretsmanager:eu-west-1:333333333333:secret:rds!cluster-1</SecretArn></MasterUserSecret><TagList>\
             <Tag><Key>blackstart:rotation</Key><Value>r:v1</Value></Tag></TagList></DBCluster>",
        );
        let said = client
            .managed_password(DatabaseKind::Cluster, "orders")
            .await
            .unwrap();
        let secret = said.secret.unwrap();
        assert!(secret.arn.ends_with("secret:rds!cluster-1"), "{}", secret.arn);
        assert_eq!(
            (secret.status.as_str(), said.note.as_deref()),
            ("rotating", Some("r:v1"))
        );
    }

    #[tokio::test(flavor = "current_thread")]
    async fn rds_is_asked_to_manage_or_to_rotate_and_a_database_in_change_is_asked_again() {
        let (client, wire) = databases(DESCRIBED);
        for (rotate, parameter) in [
            (false, "ManageMasterUserPassword=true"),
            (true, "RotateMasterUserPassword=true"),
        ] {
            client
                .manage_password(DatabaseKind::Instance, "orders", rotate)
                .await
                .unwrap();
            let body = wire.asked().last().unwrap().body.clone();
            assert!(
                body.contains(parameter) && body.contains("ApplyImmediately=true"),
                "{body}"
            );
            assert!(
                !body.contains("MasterUserPassword=&") && body.matches("MasterUserPassword").count() == 1,
                "{body}"
            );
        }
        client
            .note_rotation(DatabaseKind::Instance, "orders", "r:v1")
            .await
            .unwrap();
        let body = wire.asked().last().unwrap().body.clone();
        assert!(
            body.contains("Tags.Tag.1.Key=blackstart%3Arotation&Tags.Tag.1.Value=r%3Av1"),
            "{body}"
        );

        let wire = Wire::new(|_| {
            let busy = "<ErrorResponse><Error><Code>InvalidDBInstanceState</Code><Message>busy</Message></Error></ErrorResponse>";
            (400, busy.to_owned())
        });
        let client = Databases {
            client: Signed::over(&wire.config(), wire.connector()),
        };
        let waits = client
            .manage_password(DatabaseKind::Instance, "orders", true)
            .await;
        assert!(matches!(waits, Err(PortError::Transient { .. })), "{waits:?}");
    }
}
