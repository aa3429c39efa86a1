//! Rights and credentials are taken or made, and the account is looked at.

use crate::timeline::indicator::Aim::{Identity, Impact, Reconnaissance};
use crate::timeline::indicator::Class::{Burst, Strong, Weak};
use crate::timeline::indicator::Indicator;
use crate::timeline::indicator::Test::{
    Additional, All, AllowsEverything, Always, Any, Contains, Is, OtherUser, Response, TrustsForeign,
};

const fn identity(
    id: &'static str,
    title: &'static str,
    service: &'static str,
    events: &'static [&'static str],
    source: &'static str,
) -> Indicator {
    Indicator {
        id,
        title,
        aim: Identity,
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
        when: OtherUser("userName"),
        ..identity(
            "iam.key-for-another",
            "an access key is made for another user",
            "iam",
            &["CreateAccessKey"],
            "Stratus Red Team iam-backdoor-user; Sigma aws_iam_backdoor_users_keys",
        )
    },
    Indicator {
        when: OtherUser("userName"),
        ..identity(
            "iam.password-for-another",
            "a console password is set for another user",
            "iam",
            &["CreateLoginProfile", "UpdateLoginProfile"],
            "Stratus Red Team iam-create-user-login-profile and iam-update-user-login-profile",
        )
    },
    Indicator {
        when: AllowsEverything("policyDocument"),
        ..identity(
            "iam.self-made-administrator",
            "a policy that allows everything is written",
            "iam",
            &[
                "PutUserPolicy",
                "PutGroupPolicy",
                "PutRolePolicy",
                "CreatePolicy",
                "CreatePolicyVersion",
            ],
            "TrailDiscover PutUserPolicy; panther-analysis AWS.IAM rules",
        )
    },
    Indicator {
        when: Contains(
            "policyArn",
            &[":policy/administratoraccess", ":policy/iamfullaccess"],
        ),
        ..identity(
            "iam.attach-administrator",
            "administrator rights are attached",
            "iam",
            &["AttachUserPolicy", "AttachGroupPolicy", "AttachRolePolicy"],
            "Stratus Red Team iam-create-admin-user; elastic/detection-rules privilege_escalation_iam_administratoraccess_policy_attached",
        )
    },
    Indicator {
        when: Contains("policyArn", &[":policy/awscompromisedkeyquarantine"]),
        ..identity(
            "iam.key-quarantined",
            "AWS itself quarantined a leaked key",
            "iam",
            &["AttachUserPolicy", "PutUserPolicy"],
            "panther-analysis AWS.CloudTrail.IAMCompromisedKeyQuarantine",
        )
    },
    Indicator {
        when: Any(&[
            TrustsForeign("policyDocument"),
            TrustsForeign("assumeRolePolicyDocument"),
        ]),
        ..identity(
            "iam.trust-abroad",
            "a role lets a foreign account in",
            "iam",
            &["UpdateAssumeRolePolicy", "CreateRole"],
            "Stratus Red Team iam-backdoor-role and iam-create-backdoor-role",
        )
    },
    identity(
        "iam.identity-provider",
        "an identity provider is made, changed or deleted",
        "iam",
        &[
            "CreateSAMLProvider",
            "UpdateSAMLProvider",
            "DeleteSAMLProvider",
            "CreateOpenIDConnectProvider",
        ],
        "elastic/detection-rules persistence_iam_oidc_provider_created; panther-analysis",
    ),
    Indicator {
        when: OtherUser("userName"),
        ..identity(
            "iam.mfa-removed",
            "another user's second factor is removed",
            "iam",
            &["DeactivateMFADevice", "DeleteVirtualMFADevice"],
            "Sigma aws_iam mfa rules; elastic/detection-rules impact_iam_deactivate_mfa_device",
        )
    },
    identity(
        "sts.federation-token",
        "a long-lived token is made that outlives its key",
        "sts",
        &["GetFederationToken"],
        "Stratus Red Team sts-federation-token",
    ),
    Indicator {
        class: Weak,
        ..identity(
            "sts.session-token",
            "a session is made from an access key",
            "sts",
            &["GetSessionToken"],
            "Sigma aws_sts_getsessiontoken_misuse",
        )
    },
    identity(
        "rolesanywhere.trust-anchor",
        "a foreign certificate authority is trusted",
        "rolesanywhere",
        &["CreateTrustAnchor"],
        "Stratus Red Team rolesanywhere-create-trust-anchor",
    ),
    Indicator {
        class: Weak,
        when: All(&[
            Response("ConsoleLogin", &["Success"]),
            Additional("MFAUsed", &["No"]),
        ]),
        ..identity(
            "signin.console-without-mfa",
            "a console sign-in without second factor",
            "signin",
            &["ConsoleLogin"],
            "Stratus Red Team console-login-without-mfa; panther-analysis AWS.Console.LoginWithoutMFA",
        )
    },
    Indicator {
        class: Weak,
        ..identity(
            "signin.root",
            "the root user changes its own access",
            "iam",
            &["CreateVirtualMFADevice", "EnableMFADevice"],
            "own reading",
        )
    },
    identity(
        "organizations.policy-removed",
        "a guard rail of the organisation is removed",
        "organizations",
        &["DetachPolicy", "DeletePolicy", "DisablePolicyType"],
        "elastic/detection-rules; TrailDiscover",
    ),
    Indicator {
        when: Is("principal", &["*"]),
        ..identity(
            "lambda.open-function",
            "a function may be invoked by everyone",
            "lambda",
            &[
                "AddPermission20150331v2",
                "AddPermission20150331",
                "AddPermission",
            ],
            "Stratus Red Team lambda-backdoor-function",
        )
    },
    Indicator {
        class: Burst(20),
        ..identity(
            "secretsmanager.mass-read",
            "secrets are read in bulk",
            "secretsmanager",
            &["GetSecretValue"],
            "Stratus Red Team secretsmanager-retrieve-secrets",
        )
    },
    Indicator {
        class: Burst(5),
        ..identity(
            "secretsmanager.batch-read",
            "secrets are read in bulk, up to twenty by one call",
            "secretsmanager",
            &["BatchGetSecretValue"],
            "Stratus Red Team secretsmanager-batch-retrieve-secrets",
        )
    },
    Indicator {
        class: Burst(20),
        when: Is("withDecryption", &["true"]),
        ..identity(
            "ssm.mass-read",
            "secure parameters are read in bulk",
            "ssm",
            &["GetParameter"],
            "Stratus Red Team ssm-retrieve-securestring-parameters",
        )
    },
    Indicator {
        class: Burst(3),
        when: Is("withDecryption", &["true"]),
        ..identity(
            "ssm.batch-read",
            "secure parameters are read in bulk, up to ten by one call",
            "ssm",
            &["GetParameters"],
            "Stratus Red Team ssm-retrieve-securestring-parameters",
        )
    },
    Indicator {
        class: Weak,
        ..identity(
            "ec2.shell",
            "a way into an instance is opened",
            "ec2-instance-connect",
            &["SendSSHPublicKey", "SendSerialConsoleSSHPublicKey"],
            "Stratus Red Team ec2-instance-connect",
        )
    },
    Indicator {
        class: Weak,
        ..identity(
            "ssm.shell",
            "commands are run on instances",
            "ssm",
            &["SendCommand", "StartSession"],
            "Stratus Red Team ssm-send-command and ssm-start-session",
        )
    },
    Indicator {
        class: Weak,
        when: Any(&[
            Is("ipPermissions.items.ipRanges.items.cidrIp", &["0.0.0.0/0"]),
            Is("cidrIp", &["0.0.0.0/0"]),
        ]),
        ..identity(
            "ec2.open-to-everyone",
            "a security group lets everyone in",
            "ec2",
            &["AuthorizeSecurityGroupIngress"],
            "Stratus Red Team ec2-security-group-open-port-22-ingress",
        )
    },
    Indicator {
        aim: Impact,
        class: Weak,
        ..identity(
            "lambda.code-changed",
            "a function's code or layers are replaced",
            "lambda",
            &[
                "UpdateFunctionCode20150331v2",
                "UpdateFunctionConfiguration20150331v2",
            ],
            "Stratus Red Team lambda-overwrite-code and lambda-layer-extension",
        )
    },
    Indicator {
        aim: Reconnaissance,
        class: Weak,
        ..identity(
            "sts.who-am-i",
            "the caller asks who it is",
            "sts",
            &["GetCallerIdentity"],
            "seen first in published intrusions; Sigma aws_sts_getcalleridentity_trufflehog",
        )
    },
    Indicator {
        aim: Reconnaissance,
        class: Weak,
        denied_counts: true,
        ..identity(
            "iam.look-around",
            "users, roles and their rights are listed",
            "iam",
            &[
                "ListUsers",
                "ListRoles",
                "ListAccessKeys",
                "ListAttachedUserPolicies",
                "GetAccountAuthorizationDetails",
                "SimulatePrincipalPolicy",
            ],
            "TrailDiscover",
        )
    },
    Indicator {
        aim: Reconnaissance,
        class: Weak,
        denied_counts: true,
        ..identity(
            "ec2.user-data",
            "start-up scripts of instances are read",
            "ec2",
            &["DescribeInstanceAttribute"],
            "Stratus Red Team ec2-download-user-data",
        )
    },
];
