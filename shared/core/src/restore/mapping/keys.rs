//! What the keys of restore metadata mean, by resource type.

use crate::plan::ResourceType;

/// What becomes of the keys of one resource type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    /// These get the new name.
    pub(super) name: &'static [&'static str],
    /// These get a value of ours, whatever anybody says.
    pub(super) fixed: &'static [(&'static str, &'static str)],
    /// These get a value of ours, if neither plan nor recovery point has one.
    pub(super) defaults: &'static [(&'static str, &'static str)],
    /// These are not taken over: they name the old resource, or what a restore elsewhere must not repeat.
    dropped: &'static [&'static str],
    /// These are taken over as they are, although they name something of the old account: AWS Backup asks for them.
    kept: &'static [&'static str],
    /// These hold names, which nothing tells from other words: each must be mapped.
    names: &'static [&'static str],
    /// Without these AWS Backup would choose the default network, which an isolated account does not have.
    pub(super) required: &'static [&'static str],
    /// What has this key is restored into something that has a network already.
    pub(super) inside: Option<&'static str>,
    /// The kind of encryption, and the key that goes with one of the kinds.
    pub(super) encryption: Option<(&'static str, &'static str)>,
}

const NONE: Keys = Keys {
    name: &[],
    fixed: &[],
    defaults: &[],
    dropped: &[],
    kept: &[],
    names: &[],
    required: &[],
    inside: None,
    encryption: None,
};

/// `StartRestoreJob` in the AWS Backup Developer Guide names one page of keys for each type: `restoring-s3`,
/// `restoring-dynamodb`, `restoring-rds`, `restoring-aur`, `restoring-ebs`, `restoring-ec2`, `restoring-efs` and
/// `restoring-fsx`. What databases and file systems can be told is in the parameters of
/// `RestoreDBInstanceFromDBSnapshot`, `RestoreDBClusterFromSnapshot` (an Aurora cluster without groups gets the default
/// one), `CreateFileSystemFromBackup` and `CreateVolumeFromBackup` of the RDS and `FSx` API References. A restored Aurora
/// cluster has no instances (`restoring-aur`).
pub(super) const fn keys(resource_type: ResourceType) -> Keys {
    match resource_type {
        ResourceType::S3 => Keys {
            name: &["DestinationBucketName"],
            // An object that is there already would be skipped: only a new bucket can be compared.
            fixed: &[("NewBucket", "true"), ("Encrypted", "true")],
            defaults: &[("EncryptionType", "SSE-S3")],
            dropped: &["CreationToken", "ItemsToRestore", "RestoreTime"],
            encryption: Some(("EncryptionType", "KMSKey")),
            ..NONE
        },
        ResourceType::DynamoDb => Keys {
            name: &["targetTableName"],
            defaults: &[("encryptionType", "Default")],
            dropped: &["originalTableName"],
            encryption: Some(("encryptionType", "kmsMasterKeyArn")),
            ..NONE
        },
        ResourceType::Rds => Keys {
            name: &["DBInstanceIdentifier"],
            fixed: &[("PubliclyAccessible", "false")],
            // A zone contradicts several zones, and AWS chooses one of the subnet group; `DBName` is refused for three of
            // the engines, and a plan for another one can set it.
            dropped: &[
                "DBSnapshotIdentifier",
                "DBClusterSnapshotIdentifier",
                "AvailabilityZone",
                "DBName",
            ],
            names: &[
                "CustomIamInstanceProfile",
                "DBParameterGroupName",
                "DBSubnetGroupName",
                "DomainIAMRoleName",
                "OptionGroupName",
            ],
            required: &["DBSubnetGroupName", "VpcSecurityGroupIds"],
            ..NONE
        },
        ResourceType::Aurora => Keys {
            name: &["DBClusterIdentifier"],
            fixed: &[("PubliclyAccessible", "false")],
            dropped: &[
                "SnapshotIdentifier",
                "DBClusterSnapshotIdentifier",
                "AvailabilityZones",
            ],
            names: &[
                "DBClusterParameterGroupName",
                "DBSubnetGroupName",
                "DomainIAMRoleName",
                "OptionGroupName",
            ],
            required: &["DBSubnetGroupName", "VpcSecurityGroupIds"],
            ..NONE
        },
        ResourceType::Ebs => Keys {
            fixed: &[("encrypted", "true")],
            dropped: &["volumeId", "outpostArn"],
            required: &["availabilityZone"],
            ..NONE
        },
        ResourceType::Ec2 => Keys {
            fixed: &[("RequireIMDSv2", "true")],
            // Interfaces carry the old subnets, groups and addresses beside the keys for them; SSH keys are credentials,
            // which are made new; user data is code of the old account.
            dropped: &[
                "NetworkInterfaces",
                "KeyName",
                "UserData",
                "VpcId",
                "PrivateIpAddress",
            ],
            names: &["IamInstanceProfileName"],
            required: &["SubnetId", "SecurityGroupIds"],
            ..NONE
        },
        ResourceType::Efs => Keys {
            name: &["CreationToken"],
            fixed: &[("newFileSystem", "true"), ("Encrypted", "true")],
            dropped: &["ItemsToRestore"],
            // "The ID of the Amazon EFS file system that is backed up", required also for a new file system.
            kept: &["file-system-id"],
            ..NONE
        },
        // `CreateFileSystemFromBackup` demands subnets, and takes the default group where none is named; which groups a file
        // system has is told by no later request, so no recovery point remembers them. ONTAP is backed up by volume, and
        // a volume goes into a file system that is there (`CreateVolumeFromBackup`).
        ResourceType::Fsx => Keys {
            dropped: &["fileSystemId", "volumeId", "VpcId", "DNSName", "ResourceARN"],
            required: &["SubnetIds", "SecurityGroupIds"],
            inside: Some("OntapConfiguration"),
            ..NONE
        },
    }
}

impl Keys {
    /// Whether the recovery point's value is left out. What begins with `aws:` or `InformationalOnly:` is a note of AWS
    /// Backup's own.
    pub(super) fn drops(&self, key: &str) -> bool {
        let lower = key.to_ascii_lowercase();
        lower.starts_with("aws:") || lower.starts_with("informationalonly:") || is_one_of(self.dropped, key)
    }

    pub(super) fn keeps(&self, key: &str) -> bool {
        is_one_of(self.kept, key)
    }

    pub(super) fn is_name(&self, key: &str) -> bool {
        is_one_of(self.names, key)
    }
}

fn is_one_of(keys: &[&str], key: &str) -> bool {
    keys.iter().any(|name| name.eq_ignore_ascii_case(key))
}

/// Whether a plan has no say in this key.
#[must_use]
pub fn is_set_by_us(resource_type: ResourceType, key: &str) -> bool {
    let keys = keys(resource_type);
    keys.fixed
        .iter()
        .map(|(name, _)| name)
        .chain(keys.name)
        .any(|name| name.eq_ignore_ascii_case(key))
}
