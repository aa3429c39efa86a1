//! What a resource loses when AWS Backup restores it, by type, and where that is written.

use crate::plan::ResourceType;

/// One thing that is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Its name in a plan.
    pub what: &'static str,
    /// Properties of the template's type that put it back.
    pub properties: &'static [&'static str],
    /// Where AWS says so.
    pub source: &'static str,
}

const fn loss(what: &'static str, properties: &'static [&'static str], source: &'static str) -> Loss {
    Loss {
        what,
        properties,
        source,
    }
}

const TABLES: &str =
    "DynamoDB Developer Guide, `Restoring a DynamoDB table from a backup`: to be set up by hand";
const BUCKETS: &str = "AWS Backup Developer Guide, `Amazon S3 backups`: objects, tags and ACLs are backed up, the bucket's configuration is not";
const DATABASES: &str =
    "RDS User Guide, `Restoring to a DB instance`, and `RestoreDBInstanceFromDBSnapshot`: defaults apply";
const CLUSTERS: &str =
    "AWS Backup Developer Guide, `Restoring an Amazon Aurora cluster`, and `RestoreDBClusterFromSnapshot`";
const VOLUMES: &str =
    "AWS Backup Developer Guide, `Restoring an Amazon EBS volume`: a new volume that is attached to nothing";
const MACHINES: &str = "AWS Backup Developer Guide, `Restoring an Amazon EC2 instance`";
const FILES: &str = "AWS Backup Developer Guide, `Restoring an Amazon EFS file system`: only files come back, below a new directory";
const SHARES: &str =
    "AWS Backup Developer Guide, `Restoring an FSx file system`, and `CreateFileSystemFromBackup`";
const ALARMS: &str = "CloudWatch alarms and dashboards name the old resource";

/// Everything that a resource of this type loses.
#[must_use]
pub const fn losses(resource_type: ResourceType) -> &'static [Loss] {
    match resource_type {
        ResourceType::S3 => {
            const {
                &[
                    loss("versioning", &["VersioningConfiguration"], BUCKETS),
                    loss("lifecycle", &["LifecycleConfiguration"], BUCKETS),
                    loss("notifications", &["NotificationConfiguration"], BUCKETS),
                    loss("tags", &["Tags"], BUCKETS),
                    loss("cors", &["CorsConfiguration"], BUCKETS),
                    loss("access_logging", &["LoggingConfiguration"], BUCKETS),
                    loss("replication", &["ReplicationConfiguration"], BUCKETS),
                    loss("bucket_policy", &[], BUCKETS),
                ]
            }
        }
        ResourceType::DynamoDb => {
            const {
                &[
                    loss("stream", &["StreamSpecification"], TABLES),
                    loss("time_to_live", &["TimeToLiveSpecification"], TABLES),
                    loss(
                        "point_in_time_recovery",
                        &["PointInTimeRecoverySpecification"],
                        TABLES,
                    ),
                    loss("deletion_protection", &["DeletionProtectionEnabled"], TABLES),
                    loss("tags", &["Tags"], TABLES),
                    loss("autoscaling", &[], TABLES),
                    loss("alarms", &[], TABLES),
                ]
            }
        }
        ResourceType::Rds => {
            const {
                &[
                    loss("parameter_group", &["DBParameterGroupName"], DATABASES),
                    loss("deletion_protection", &["DeletionProtection"], DATABASES),
                    loss("backup_retention", &["BackupRetentionPeriod"], DATABASES),
                    loss("monitoring", &["MonitoringInterval"], DATABASES),
                    loss("performance_insights", &["EnablePerformanceInsights"], DATABASES),
                    loss("tags", &["Tags"], DATABASES),
                    loss("alarms", &[], ALARMS),
                ]
            }
        }
        ResourceType::Aurora => {
            const {
                &[
                    loss("instances", &[], CLUSTERS),
                    loss("parameter_group", &["DBClusterParameterGroupName"], CLUSTERS),
                    loss("deletion_protection", &["DeletionProtection"], CLUSTERS),
                    loss("backup_retention", &["BackupRetentionPeriod"], CLUSTERS),
                    loss("autoscaling", &[], CLUSTERS),
                    loss("tags", &["Tags"], CLUSTERS),
                    loss("alarms", &[], ALARMS),
                ]
            }
        }
        ResourceType::Ebs => {
            const {
                &[
                    loss("attachment", &[], VOLUMES),
                    loss("tags", &["Tags"], VOLUMES),
                    loss("snapshot_policy", &[], VOLUMES),
                ]
            }
        }
        ResourceType::Ec2 => {
            const {
                &[
                    loss("user_data", &[], MACHINES),
                    loss("key_pair", &[], MACHINES),
                    loss("addresses", &[], MACHINES),
                    loss("termination_protection", &["DisableApiTermination"], MACHINES),
                    loss("target_groups", &[], MACHINES),
                    loss("tags", &["Tags"], MACHINES),
                    loss("alarms", &[], ALARMS),
                ]
            }
        }
        ResourceType::Efs => {
            const {
                &[
                    loss("mount_targets", &[], FILES),
                    loss("access_points", &[], FILES),
                    loss("lifecycle", &["LifecyclePolicies"], FILES),
                    loss("file_system_policy", &["FileSystemPolicy"], FILES),
                    loss("backup_policy", &["BackupPolicy"], FILES),
                    loss("recovery_directory", &[], FILES),
                    loss("tags", &["FileSystemTags"], FILES),
                ]
            }
        }
        ResourceType::Fsx => {
            const {
                &[
                    loss("dns_aliases", &[], SHARES),
                    loss("tags", &[], SHARES),
                    loss("alarms", &[], ALARMS),
                ]
            }
        }
    }
}

/// Whether a resource of this type loses something of this name.
#[must_use]
pub fn is_known(resource_type: ResourceType, what: &str) -> bool {
    losses(resource_type).iter().any(|loss| loss.what == what)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_loss_has_a_name_of_its_own_and_a_source() {
        for resource_type in [
            ResourceType::S3,
            ResourceType::DynamoDb,
            ResourceType::Rds,
            ResourceType::Aurora,
            ResourceType::Ebs,
            ResourceType::Ec2,
            ResourceType::Efs,
            ResourceType::Fsx,
        ] {
            let names: BTreeSet<&str> = losses(resource_type).iter().map(|loss| loss.what).collect();
            assert_eq!(names.len(), losses(resource_type).len());
            assert!(losses(resource_type).iter().all(|loss| !loss.source.is_empty()));
        }
        assert!(is_known(ResourceType::DynamoDb, "time_to_live"));
        assert!(!is_known(ResourceType::S3, "time_to_live"));
    }
}
