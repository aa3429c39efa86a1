//! Logs, detectors and alarms are switched off.

use crate::timeline::indicator::Aim::BlindDefender;
use crate::timeline::indicator::Class::{Strong, Weak};
use crate::timeline::indicator::Indicator;
use crate::timeline::indicator::Test::{Always, AtMost, HidesWrites, Is};

const fn blinds(
    id: &'static str,
    title: &'static str,
    service: &'static str,
    events: &'static [&'static str],
    source: &'static str,
) -> Indicator {
    Indicator {
        id,
        title,
        aim: BlindDefender,
        class: Strong,
        service,
        events,
        when: Always,
        denied_counts: false,
        source,
    }
}

pub(super) const INDICATORS: &[Indicator] = &[
    blinds(
        "cloudtrail.stop-logging",
        "a trail stops logging",
        "cloudtrail",
        &["StopLogging"],
        "Stratus Red Team cloudtrail-stop; Sigma aws_cloudtrail_disable_logging",
    ),
    blinds(
        "cloudtrail.delete-trail",
        "a trail or event data store is deleted",
        "cloudtrail",
        &["DeleteTrail", "DeleteEventDataStore"],
        "Stratus Red Team cloudtrail-delete",
    ),
    Indicator {
        when: HidesWrites,
        ..blinds(
            "cloudtrail.narrow-selectors",
            "a trail no longer records changes of the account or of objects",
            "cloudtrail",
            &["PutEventSelectors"],
            "Stratus Red Team cloudtrail-event-selectors",
        )
    },
    Indicator {
        class: Weak,
        ..blinds(
            "cloudtrail.update-trail",
            "a trail is changed",
            "cloudtrail",
            &["UpdateTrail"],
            "Sigma aws_cloudtrail_disable_logging",
        )
    },
    blinds(
        "guardduty.delete-detector",
        "a GuardDuty detector is deleted",
        "guardduty",
        &["DeleteDetector"],
        "Sigma aws_guardduty_disruption; elastic/detection-rules defense_evasion_guardduty_detector_deletion",
    ),
    Indicator {
        when: Is("enable", &["false"]),
        ..blinds(
            "guardduty.disable-detector",
            "a GuardDuty detector is disabled",
            "guardduty",
            &["UpdateDetector"],
            "TrailDiscover UpdateDetector",
        )
    },
    blinds(
        "guardduty.trusted-list",
        "an address list that GuardDuty trusts is made or changed",
        "guardduty",
        &["CreateIPSet", "UpdateIPSet"],
        "Sigma aws_guardduty_disruption",
    ),
    Indicator {
        when: Is("action", &["ARCHIVE"]),
        ..blinds(
            "guardduty.archive-filter",
            "findings are archived before anyone sees them",
            "guardduty",
            &["CreateFilter", "UpdateFilter"],
            "TrailDiscover CreateFilter",
        )
    },
    blinds(
        "guardduty.leave-administrator",
        "an account is taken out of central detection",
        "guardduty",
        &[
            "DeleteMembers",
            "StopMonitoringMembers",
            "DisassociateMembers",
            "DisassociateFromAdministratorAccount",
            "DisassociateFromMasterAccount",
            "DeletePublishingDestination",
        ],
        "TrailDiscover; elastic/detection-rules defense_evasion_guardduty_member_manipulation",
    ),
    blinds(
        "securityhub.disable",
        "Security Hub is switched off",
        "securityhub",
        &["DisableSecurityHub", "DisableSecurityHubV2"],
        "Sigma aws_securityhub_finding_evasion",
    ),
    Indicator {
        class: Weak,
        when: Is("workflow.status", &["SUPPRESSED"]),
        ..blinds(
            "securityhub.suppress",
            "findings are suppressed",
            "securityhub",
            &["BatchUpdateFindings"],
            "Sigma aws_securityhub_finding_evasion",
        )
    },
    blinds(
        "config.stop-recorder",
        "AWS Config stops recording",
        "config",
        &[
            "StopConfigurationRecorder",
            "DeleteConfigurationRecorder",
            "DeleteDeliveryChannel",
        ],
        "Sigma aws_config_disable_recording",
    ),
    blinds(
        "ec2.delete-flow-logs",
        "flow logs of a network are deleted",
        "ec2",
        &["DeleteFlowLogs"],
        "Stratus Red Team vpc-remove-flow-logs",
    ),
    Indicator {
        class: Weak,
        ..blinds(
            "logs.delete",
            "a log group or stream is deleted",
            "logs",
            &["DeleteLogGroup", "DeleteLogStream"],
            "elastic/detection-rules impact_cloudwatch_log_group_deletion",
        )
    },
    Indicator {
        class: Weak,
        when: AtMost("retentionInDays", 1),
        ..blinds(
            "logs.short-retention",
            "logs are kept for a day only",
            "logs",
            &["PutRetentionPolicy"],
            "own reading",
        )
    },
    blinds(
        "route53resolver.query-logs-off",
        "the logging of DNS queries is switched off",
        "route53resolver",
        &[
            "DeleteResolverQueryLogConfig",
            "DisassociateResolverQueryLogConfig",
        ],
        "Stratus Red Team dns-delete-logs",
    ),
    blinds(
        "wafv2.delete-acl",
        "a web firewall or its log is removed",
        "wafv2",
        &["DeleteWebACL", "DeleteLoggingConfiguration"],
        "elastic/detection-rules defense_evasion_waf_acl_deletion",
    ),
    blinds(
        "bedrock.model-logging-off",
        "the logging of model invocations is switched off",
        "bedrock",
        &["DeleteModelInvocationLoggingConfiguration"],
        "panther-analysis AWS.Bedrock.DeleteModelInvocationLoggingConfiguration",
    ),
    blinds(
        "cloudwatch.delete-alarms",
        "the actions of alarms are switched off",
        "monitoring",
        &["DisableAlarmActions"],
        "elastic/detection-rules defense_evasion_cloudwatch_alarm_deletion",
    ),
];
