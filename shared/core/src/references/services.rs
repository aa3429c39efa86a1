//! The registry: which services of a sibling are read, how, and what is then done with what they say.
//!
//! A service is a row of [`SERVICES`]. Where Cloud Control can list and read it, the row is all there is; else it
//! also has a file among the adapters. The table in the documentation, the permissions of the reading role and what
//! of a Config snapshot counts as already read all come from here.

use strum::IntoStaticStr;

use super::document::DocumentKind;

/// A service, or the part of one that holds one sort of document.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// Name in coverage, gaps and waivers.
    pub name: &'static str,
    /// Whether it is read once, or once per region.
    pub scope: Scope,
    /// How it is read.
    pub reader: Reader,
    /// The operations of AWS that write what is read here, and what becomes of it.
    pub operations: &'static [(&'static str, &'static str, Fate)],
    /// Resource types of AWS Config, each with the fields that this reader reads itself.
    pub covers: &'static [(&'static str, &'static [&'static str])],
}

/// Where a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One answer for the account.
    Global,
    /// One answer per region.
    Regional,
}

/// What becomes of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Cutover rewrites it.
    Handled(DocumentKind),
    /// It is found, and changed by people: it needs a waiver, or has to be gone before a cutover.
    ReadOnly,
}

/// How a service is read.
#[derive(Debug, Clone, Copy)]
pub enum Reader {
    /// By an adapter of its own.
    Native(Native),
    /// By Cloud Control (`ListResources`, `GetResource`), whose answer has the resource's properties as
    /// CloudFormation knows them.
    CloudControl(CloudControl),
}

/// Services with an adapter of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the services' own")]
pub enum Native {
    Roles,
    IdentityPolicies,
    Buckets,
    BucketAcls,
    Queues,
    Keys,
    KeyGrants,
    Topics,
    Functions,
    Layers,
    Secrets,
    Repositories,
    Buses,
    Rules,
    Tables,
    Vaults,
    Streams,
    SharedImages,
    ResourceShares,
    GlueCatalog,
    SearchDomains,
}

/// A resource type that Cloud Control can list.
#[derive(Debug, Clone, Copy)]
pub struct CloudControl {
    /// Its type.
    pub kind: &'static str,
    /// The parts that are looked at: name and JSON pointer into the properties.
    pub parts: &'static [(&'static str, &'static str)],
    /// Its ARN.
    pub arn: Arn,
    /// What the handlers of the type ask the service itself, with the permissions of the caller: from the type's
    /// schema, less the writing ones that some schemas list for reading.
    pub permissions: &'static [&'static str],
}

/// Where the ARN of a resource comes from.
#[derive(Debug, Clone, Copy)]
pub enum Arn {
    /// From a property.
    Property(&'static str),
    /// From the identifier: `{partition}`, `{region}`, `{account}` and `{id}` are filled in.
    Template(&'static str),
}

impl Service {
    /// The service with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SERVICES.iter().find(|service| service.name == name)
    }

    /// The service whose reader reads this field of this resource type itself.
    ///
    /// `path` is the path of a value in a Config item: `supplementaryConfiguration.BucketPolicy.policyText`.
    #[must_use]
    pub fn owning(kind: &str, path: &str) -> Option<&'static Self> {
        let has = |field: &str| {
            path.split('.').any(|segment| {
                segment
                    .split('[')
                    .next()
                    .is_some_and(|name| name.eq_ignore_ascii_case(field))
            })
        };
        SERVICES.iter().find(|service| {
            service
                .covers
                .iter()
                .any(|(of, fields)| *of == kind && fields.iter().any(|field| has(field)))
        })
    }

    /// What becomes of what this operation of AWS writes; `None` when no reader reads it.
    #[must_use]
    pub fn fate(service: &str, operation: &str) -> Option<Fate> {
        SERVICES
            .iter()
            .flat_map(|row| row.operations)
            .find(|(of, name, _)| *of == service && *name == operation)
            .map(|(_, _, fate)| *fate)
    }
}

/// The name of the service that holds documents of this kind.
#[must_use]
pub const fn service_of(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::RoleTrust => "iam-roles",
        DocumentKind::BucketPolicy => "s3-buckets",
        DocumentKind::QueuePolicy => "sqs",
        DocumentKind::KeyPolicy => "kms-keys",
        DocumentKind::KeyGrants => "kms-grants",
        DocumentKind::TopicPolicy => "sns",
        DocumentKind::FunctionPermissions => "lambda-functions",
        DocumentKind::SecretPolicy => "secretsmanager",
        DocumentKind::RepositoryPolicy => "ecr",
        DocumentKind::BusPolicy => "eventbridge-buses",
        DocumentKind::TablePolicy => "dynamodb",
        DocumentKind::VaultPolicy => "backup-vaults",
    }
}

const fn native(name: &'static str, scope: Scope, reader: Native) -> Service {
    Service {
        name,
        scope,
        reader: Reader::Native(reader),
        operations: &[],
        covers: &[],
    }
}

const fn cloud_control(
    name: &'static str,
    kind: &'static str,
    arn: Arn,
    parts: &'static [(&'static str, &'static str)],
    permissions: &'static [&'static str],
) -> Service {
    Service {
        name,
        scope: Scope::Regional,
        reader: Reader::CloudControl(CloudControl {
            kind,
            parts,
            arn,
            permissions,
        }),
        operations: &[],
        covers: &[],
    }
}

impl Service {
    const fn writes(mut self, operations: &'static [(&'static str, &'static str, Fate)]) -> Self {
        self.operations = operations;
        self
    }

    const fn covers(mut self, covers: &'static [(&'static str, &'static [&'static str])]) -> Self {
        self.covers = covers;
        self
    }
}

use DocumentKind as Kind;
use Fate::{Handled, ReadOnly};
use Scope::{Global, Regional};

/// Every service that is read.
///
/// Not here, because nothing that is in use can read them: resource types without a list handler and write-only
/// properties (the principals of a RAM share are such a property, so RAM is asked itself). What no row covers is left
/// to the Config snapshot and to Access Analyzer.
pub const SERVICES: &[Service] = &[
    native("iam-roles", Global, Native::Roles)
        .writes(&[
            ("iam", "UpdateAssumeRolePolicy", Handled(Kind::RoleTrust)),
            ("iam", "CreateRole", Handled(Kind::RoleTrust)),
        ])
        .covers(&[("AWS::IAM::Role", &["assumeRolePolicyDocument"])]),
    // Not rewritten on purpose: who may write identity policies may give himself anything, and the writer's boundary
    // denies it.
    native("iam-identity-policies", Global, Native::IdentityPolicies)
        .writes(&[
            ("iam", "CreatePolicy", ReadOnly),
            ("iam", "CreatePolicyVersion", ReadOnly),
            ("iam", "PutGroupPolicy", ReadOnly),
            ("iam", "PutRolePolicy", ReadOnly),
            ("iam", "PutUserPolicy", ReadOnly),
        ])
        .covers(&[
            ("AWS::IAM::Role", &["rolePolicyList"]),
            ("AWS::IAM::User", &["userPolicyList"]),
            ("AWS::IAM::Group", &["groupPolicyList"]),
            ("AWS::IAM::Policy", &["policyVersionList"]),
        ]),
    native("s3-buckets", Global, Native::Buckets)
        .writes(&[("s3", "PutBucketPolicy", Handled(Kind::BucketPolicy))])
        .covers(&[("AWS::S3::Bucket", &["BucketPolicy"])]),
    native("s3-acls", Global, Native::BucketAcls).covers(&[("AWS::S3::Bucket", &["AccessControlList"])]),
    native("sqs", Regional, Native::Queues).covers(&[("AWS::SQS::Queue", &["Policy"])]),
    native("kms-keys", Regional, Native::Keys)
        .writes(&[("kms", "PutKeyPolicy", Handled(Kind::KeyPolicy))])
        .covers(&[("AWS::KMS::Key", &["Policy", "KeyPolicy"])]),
    native("kms-grants", Regional, Native::KeyGrants),
    native("sns", Regional, Native::Topics).covers(&[("AWS::SNS::Topic", &["Policy"])]),
    native("lambda-functions", Regional, Native::Functions).covers(&[(
        "AWS::Lambda::Function",
        &["Policy", "environment", "layers", "deadLetterConfig", "kmsKeyArn"],
    )]),
    native("lambda-layers", Regional, Native::Layers),
    native("secretsmanager", Regional, Native::Secrets)
        .writes(&[("secretsmanager", "PutResourcePolicy", Handled(Kind::SecretPolicy))])
        .covers(&[
            ("AWS::SecretsManager::Secret", &["ResourcePolicy"]),
            ("AWS::SecretsManager::ResourcePolicy", &["ResourcePolicy"]),
        ]),
    native("ecr", Regional, Native::Repositories)
        .writes(&[("ecr", "SetRepositoryPolicy", Handled(Kind::RepositoryPolicy))])
        .covers(&[("AWS::ECR::Repository", &["RepositoryPolicyText"])]),
    native("eventbridge-buses", Regional, Native::Buses)
        .writes(&[("events", "PutPermission", Handled(Kind::BusPolicy))])
        .covers(&[("AWS::Events::EventBus", &["Policy"])]),
    native("eventbridge-rules", Regional, Native::Rules)
        .covers(&[("AWS::Events::Rule", &["Targets", "EventPattern"])]),
    native("dynamodb", Regional, Native::Tables)
        .writes(&[("dynamodb", "PutResourcePolicy", Handled(Kind::TablePolicy))])
        .covers(&[("AWS::DynamoDB::Table", &["ResourcePolicy"])]),
    native("backup-vaults", Regional, Native::Vaults)
        .writes(&[("backup", "PutBackupVaultAccessPolicy", Handled(Kind::VaultPolicy))])
        .covers(&[("AWS::Backup::BackupVault", &["AccessPolicy"])]),
    native("kinesis", Regional, Native::Streams)
        .writes(&[("kinesis", "PutResourcePolicy", ReadOnly)])
        .covers(&[("AWS::Kinesis::Stream", &["ResourcePolicy"])]),
    native("ec2-sharing", Regional, Native::SharedImages),
    native("ram", Regional, Native::ResourceShares),
    native("glue", Regional, Native::GlueCatalog).writes(&[("glue", "PutResourcePolicy", ReadOnly)]),
    native("opensearch", Regional, Native::SearchDomains)
        .writes(&[
            ("opensearch", "UpdateDomainConfig", ReadOnly),
            ("es", "UpdateElasticsearchDomainConfig", ReadOnly),
        ])
        .covers(&[
            ("AWS::OpenSearch::Domain", &["AccessPolicies"]),
            ("AWS::Elasticsearch::Domain", &["AccessPolicies"]),
        ]),
    cloud_control(
        "s3-access-points",
        "AWS::S3::AccessPoint",
        Arn::Property("/Arn"),
        &[("policy", "/Policy")],
        &[
            "s3:ListAccessPoints",
            "s3:GetAccessPoint",
            "s3:GetAccessPointPolicy",
        ],
    )
    .writes(&[("s3control", "PutAccessPointPolicy", ReadOnly)])
    .covers(&[("AWS::S3::AccessPoint", &["Policy"])]),
    cloud_control(
        "ecr-registry",
        "AWS::ECR::RegistryPolicy",
        Arn::Template("arn:{partition}:ecr:{region}:{account}:registry"),
        &[("policy", "/PolicyText")],
        &["ecr:GetRegistryPolicy"],
    )
    .writes(&[("ecr", "PutRegistryPolicy", ReadOnly)])
    .covers(&[("AWS::ECR::RegistryPolicy", &["PolicyText"])]),
    cloud_control(
        "efs",
        "AWS::EFS::FileSystem",
        Arn::Property("/Arn"),
        &[
            ("policy", "/FileSystemPolicy"),
            ("replication", "/ReplicationConfiguration"),
        ],
        &[
            "elasticfilesystem:DescribeBackupPolicy",
            "elasticfilesystem:DescribeFileSystemPolicy",
            "elasticfilesystem:DescribeFileSystems",
            "elasticfilesystem:DescribeLifecycleConfiguration",
            "elasticfilesystem:DescribeReplicationConfigurations",
        ],
    )
    .writes(&[("efs", "PutFileSystemPolicy", ReadOnly)])
    .covers(&[(
        "AWS::EFS::FileSystem",
        &["FileSystemPolicy", "ReplicationConfiguration"],
    )]),
    cloud_control(
        "logs-destinations",
        "AWS::Logs::Destination",
        Arn::Property("/Arn"),
        &[
            ("policy", "/DestinationPolicy"),
            ("target", "/TargetArn"),
            ("role", "/RoleArn"),
        ],
        &["logs:DescribeDestinations"],
    )
    .writes(&[("logs", "PutDestinationPolicy", ReadOnly)])
    .covers(&[(
        "AWS::Logs::Destination",
        &["DestinationPolicy", "TargetArn", "RoleArn"],
    )]),
    cloud_control(
        "logs-resource-policies",
        "AWS::Logs::ResourcePolicy",
        Arn::Template("arn:{partition}:logs:{region}:{account}:resource-policy:{id}"),
        &[("policy", "/PolicyDocument")],
        &["logs:DescribeResourcePolicies"],
    )
    .writes(&[("logs", "PutResourcePolicy", ReadOnly)]),
    cloud_control(
        "api-gateway",
        "AWS::ApiGateway::RestApi",
        Arn::Template("arn:{partition}:apigateway:{region}::/restapis/{id}"),
        &[("policy", "/Policy")],
        &["apigateway:GET"],
    )
    .covers(&[("AWS::ApiGateway::RestApi", &["Policy"])]),
    cloud_control(
        "vpc-endpoint-services",
        "AWS::EC2::VPCEndpointServicePermissions",
        Arn::Template("arn:{partition}:ec2:{region}:{account}:vpc-endpoint-service/{id}"),
        &[("allowed-principals", "/AllowedPrincipals")],
        &["ec2:DescribeVpcEndpointServicePermissions"],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use strum::IntoEnumIterator as _;

    use super::*;

    #[test]
    fn every_name_and_every_operation_stands_once_and_every_kind_has_a_reader() {
        let names: BTreeSet<&str> = SERVICES.iter().map(|service| service.name).collect();
        assert_eq!(names.len(), SERVICES.len());
        let operations: Vec<_> = SERVICES.iter().flat_map(|service| service.operations).collect();
        let distinct: BTreeSet<_> = operations.iter().map(|(of, name, _)| (of, name)).collect();
        assert_eq!(distinct.len(), operations.len());
        // Attributes and statements are no operations that write a policy.
        let elsewhere = [
            Kind::QueuePolicy,
            Kind::TopicPolicy,
            Kind::KeyGrants,
            Kind::FunctionPermissions,
        ];
        for kind in DocumentKind::iter().filter(|kind| !elsewhere.contains(kind)) {
            assert!(Service::named(service_of(kind)).is_some());
            assert!(
                operations.iter().any(|(_, _, fate)| *fate == Handled(kind)),
                "{kind}"
            );
        }
    }

    #[test]
    fn a_field_belongs_to_the_reader_that_reads_it_and_the_rest_of_the_resource_to_nobody() {
        let owner = |kind, path| Service::owning(kind, path).map(|service| service.name);
        assert_eq!(
            owner(
                "AWS::IAM::Role",
                "configuration.assumeRolePolicyDocument.Statement[0].Principal.AWS"
            ),
            Some("iam-roles")
        );
        assert_eq!(
            owner("AWS::IAM::Role", "configuration.rolePolicyList[2].policyDocument"),
            Some("iam-identity-policies")
        );
        assert_eq!(
            owner(
                "AWS::S3::Bucket",
                "supplementaryConfiguration.BucketReplicationConfiguration.rules[0]"
            ),
            None
        );
        assert_eq!(owner("AWS::FSx::FileSystem", "configuration.Policy"), None);
    }
}
