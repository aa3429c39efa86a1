//! What recovery needs is removed: backups, versions, keys, retention.

use crate::timeline::indicator::Aim::DenyRecovery;
use crate::timeline::indicator::Class::{Burst, Strong, Weak};
use crate::timeline::indicator::Indicator;
use crate::timeline::indicator::Test::{All, Always, Any, AtMost, ForeignAccount, Has, Is, TrustsForeign};

const fn denies_recovery(
    id: &'static str,
    title: &'static str,
    service: &'static str,
    events: &'static [&'static str],
    source: &'static str,
) -> Indicator {
    Indicator {
        id,
        title,
        aim: DenyRecovery,
        class: Strong,
        service,
        events,
        when: Always,
        denied_counts: false,
        source,
    }
}

pub(super) const INDICATORS: &[Indicator] = &[
    Indicator {
        when: Any(&[
            Is("VersioningConfiguration.Status", &["Suspended", "Disabled"]),
            Is("VersioningConfiguration.MfaDelete", &["Disabled"]),
        ]),
        ..denies_recovery(
            "s3.versioning-off",
            "versioning or MFA delete of a bucket is switched off",
            "s3",
            &["PutBucketVersioning"],
            "AWS customer playbook Ransom_Response_S3; panther-analysis AWS.S3 rules",
        )
    },
    Indicator {
        class: Weak,
        ..denies_recovery(
            "s3.replication-removed",
            "a bucket's replication is removed",
            "s3",
            &["DeleteBucketReplication"],
            "AWS customer playbook Ransom_Response_S3",
        )
    },
    Indicator {
        when: Is("bypassGovernanceRetention", &["true"]),
        ..denies_recovery(
            "s3.retention-bypassed",
            "the retention of an object is bypassed",
            "s3",
            &["PutObjectRetention", "DeleteObject", "DeleteObjects"],
            "own reading",
        )
    },
    denies_recovery(
        "kms.schedule-key-deletion",
        "a key is scheduled for deletion",
        "kms",
        &["ScheduleKeyDeletion"],
        "panther-analysis AWS.KMS.CustomerManagedKeyLoss; elastic/detection-rules impact_kms_cmk_disabled_or_scheduled_for_deletion",
    ),
    denies_recovery(
        "kms.disable-key",
        "a key is disabled",
        "kms",
        &["DisableKey"],
        "panther-analysis AWS.KMS.CustomerManagedKeyLoss",
    ),
    denies_recovery(
        "kms.delete-key-material",
        "imported key material is deleted: everything under the key is lost at once",
        "kms",
        &["DeleteImportedKeyMaterial"],
        "elastic/detection-rules impact_kms_imported_key_material_deleted",
    ),
    Indicator {
        class: Weak,
        ..denies_recovery(
            "kms.import-key-material",
            "foreign key material is imported",
            "kms",
            &["ImportKeyMaterial"],
            "Sigma aws_kms_import_key_material",
        )
    },
    Indicator {
        class: Weak,
        when: TrustsForeign("policy"),
        ..denies_recovery(
            "kms.open-key-policy",
            "a key policy lets a foreign account in",
            "kms",
            &["PutKeyPolicy"],
            "elastic/detection-rules privilege_escalation_kms_key_policy_put",
        )
    },
    Indicator {
        class: Weak,
        when: ForeignAccount("granteePrincipal"),
        ..denies_recovery(
            "kms.foreign-grant",
            "a foreign account is granted the use of a key",
            "kms",
            &["CreateGrant"],
            "own reading",
        )
    },
    denies_recovery(
        "backup.delete-recovery-point",
        "a recovery point is deleted",
        "backup",
        &["DeleteRecoveryPoint"],
        "elastic/detection-rules impact_backup_recovery_point_deleted",
    ),
    denies_recovery(
        "backup.delete-vault",
        "a backup vault or its lock is deleted",
        "backup",
        &["DeleteBackupVault", "DeleteBackupVaultLockConfiguration"],
        "elastic/detection-rules impact_backup_vault_deleted_or_lock_removed",
    ),
    Indicator {
        when: AtMost("lifecycle.deleteAfterDays", 7),
        ..denies_recovery(
            "backup.shorten-recovery-point",
            "a recovery point is set to expire within days",
            "backup",
            &["UpdateRecoveryPointLifecycle"],
            "own reading",
        )
    },
    denies_recovery(
        "backup.disassociate-recovery-point",
        "a recovery point is given up by AWS Backup",
        "backup",
        &["DisassociateRecoveryPoint", "DisassociateRecoveryPointFromParent"],
        "own reading",
    ),
    Indicator {
        class: Weak,
        ..denies_recovery(
            "backup.plan-changed",
            "backups are switched off for resources",
            "backup",
            &[
                "DeleteBackupPlan",
                "DeleteBackupSelection",
                "UpdateRegionSettings",
                "StopBackupJob",
            ],
            "own reading",
        )
    },
    Indicator {
        class: Weak,
        when: TrustsForeign("policy"),
        ..denies_recovery(
            "backup.open-vault",
            "a vault policy lets a foreign account in",
            "backup",
            &["PutBackupVaultAccessPolicy"],
            "own reading",
        )
    },
    denies_recovery(
        "backup.approval-team-removed",
        "the multi-party approval of a vault is removed",
        "backup",
        &["DisassociateBackupVaultMpaApprovalTeam"],
        "own reading",
    ),
    denies_recovery(
        "mpa.delete-team",
        "an approval team is deleted",
        "mpa",
        &["StartActiveApprovalTeamDeletion"],
        "own reading",
    ),
    Indicator {
        class: Burst(3),
        ..denies_recovery(
            "ec2.delete-snapshots",
            "snapshots or machine images are deleted in bulk",
            "ec2",
            &["DeleteSnapshot", "DeregisterImage"],
            "Code Spaces incident, 2014 (TrailDiscover); AWS customer playbook Ransom_Response_EC2",
        )
    },
    denies_recovery(
        "ec2.unlock-snapshot",
        "the lock of a snapshot is removed",
        "ec2",
        &["UnlockSnapshot"],
        "own reading",
    ),
    Indicator {
        class: Weak,
        ..denies_recovery(
            "ec2.guard-rails-off",
            "the default encryption or the sharing block of snapshots is switched off",
            "ec2",
            &[
                "DisableEbsEncryptionByDefault",
                "DisableSnapshotBlockPublicAccess",
            ],
            "elastic/detection-rules impact_ec2_disable_ebs_encryption",
        )
    },
    denies_recovery(
        "rbin.rule-removed",
        "a rule of the recycle bin is deleted or unlocked",
        "rbin",
        &["DeleteRule", "UnlockRule"],
        "own reading",
    ),
    denies_recovery(
        "rds.delete-snapshot",
        "a database snapshot or automated backup is deleted",
        "rds",
        &[
            "DeleteDBSnapshot",
            "DeleteDBClusterSnapshot",
            "DeleteDBInstanceAutomatedBackup",
            "DeleteDBClusterAutomatedBackup",
        ],
        "AWS customer playbook Ransom_Response_RDS; elastic/detection-rules impact_rds_snapshot_deleted",
    ),
    Indicator {
        when: Any(&[
            Is("backupRetentionPeriod", &["0"]),
            Is("deletionProtection", &["false"]),
        ]),
        ..denies_recovery(
            "rds.protection-off",
            "a database's backups or deletion protection are switched off",
            "rds",
            &["ModifyDBInstance", "ModifyDBCluster"],
            "elastic/detection-rules impact_rds_instance_cluster_deletion_protection_disabled",
        )
    },
    denies_recovery(
        "dynamodb.delete-backup",
        "a table backup is deleted",
        "dynamodb",
        &["DeleteBackup"],
        "own reading",
    ),
    Indicator {
        when: Is(
            "pointInTimeRecoverySpecification.pointInTimeRecoveryEnabled",
            &["false"],
        ),
        ..denies_recovery(
            "dynamodb.point-in-time-off",
            "a table's point-in-time recovery is switched off",
            "dynamodb",
            &["UpdateContinuousBackups"],
            "own reading",
        )
    },
    Indicator {
        when: Is("backupPolicy.status", &["DISABLED"]),
        ..denies_recovery(
            "efs.backup-off",
            "a file system's backups are switched off",
            "elasticfilesystem",
            &["PutBackupPolicy"],
            "own reading",
        )
    },
    denies_recovery(
        "fsx.delete-backup",
        "a file system backup is deleted",
        "fsx",
        &["DeleteBackup"],
        "own reading",
    ),
    denies_recovery(
        "drs.stop-replication",
        "disaster recovery of a server is given up",
        "drs",
        &["DeleteSourceServer", "DisconnectSourceServer", "StopReplication"],
        "own reading",
    ),
    Indicator {
        when: All(&[Has("minRetentionDays"), AtMost("minRetentionDays", 1)]),
        ..denies_recovery(
            "backup.lock-weakened",
            "the lock of a vault is weakened",
            "backup",
            &["PutBackupVaultLockConfiguration"],
            "own reading",
        )
    },
];
