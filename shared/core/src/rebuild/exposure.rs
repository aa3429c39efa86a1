//! What makes a resource type reachable from outside, or lets it reach out.

use serde_json::Value;

use super::intrinsics::{Known, Scope};

/// One way in which a resource is exposed, or may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exposure {
    /// It connects to another network.
    OtherNetwork,
    /// It may: the property that decides is not known.
    MaybeOtherNetwork,
    /// It has a public address, for this reason.
    PublicAddress(&'static str),
    /// It may have one: the property that decides is not known.
    MaybePublic(&'static str),
    /// It lets in traffic from everywhere.
    OpenIngress(String),
    /// It lets in a range that is not known before the stack exists.
    MaybeIngress,
    /// There is no rule for this type, so nothing is known about it.
    UnknownType,
}

/// Ways to networks outside the account's own.
const NETWORKS: [&str; 15] = [
    "AWS::EC2::CarrierGateway",
    "AWS::EC2::ClientVpnEndpoint",
    "AWS::EC2::CustomerGateway",
    "AWS::EC2::EgressOnlyInternetGateway",
    "AWS::EC2::InternetGateway",
    "AWS::EC2::NatGateway",
    "AWS::EC2::TransitGateway",
    "AWS::EC2::TransitGatewayAttachment",
    "AWS::EC2::TransitGatewayPeeringAttachment",
    "AWS::EC2::TransitGatewayVpcAttachment",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::EC2::VPCPeeringConnection",
    "AWS::EC2::VPNConnection",
    "AWS::EC2::VPNGateway",
    "AWS::VpcLattice::ServiceNetworkVpcAssociation",
];

/// How the names of endpoint services begin that are AWS's own.
const SERVICES_OF_AWS: [&str; 4] = ["aws.", "cn.com.amazonaws.", "com.amazonaws.", "eu.amazonaws."];

/// Public by nature.
const PUBLIC: [&str; 8] = [
    "AWS::ApiGateway::RestApi",
    "AWS::ApiGatewayV2::Api",
    "AWS::AppRunner::Service",
    "AWS::AppSync::GraphQLApi",
    "AWS::CloudFront::Distribution",
    "AWS::EC2::EIP",
    "AWS::EC2::EIPAssociation",
    "AWS::GlobalAccelerator::Accelerator",
];

/// Neither connected nor addressable by themselves; who may use them is decided by policies, which the template check reads.
const INERT: [&str; 41] = [
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::Backup::BackupPlan",
    "AWS::Backup::BackupSelection",
    "AWS::Backup::BackupVault",
    "AWS::CertificateManager::Certificate",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::DynamoDB::Table",
    "AWS::EC2::NetworkAcl",
    "AWS::EC2::NetworkAclEntry",
    "AWS::EC2::RouteTable",
    "AWS::EC2::SubnetNetworkAclAssociation",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPC",
    "AWS::EC2::Volume",
    "AWS::ECR::Repository",
    "AWS::ECS::Cluster",
    "AWS::ECS::TaskDefinition",
    "AWS::EFS::FileSystem",
    "AWS::EFS::MountTarget",
    "AWS::Events::EventBus",
    "AWS::Events::Rule",
    "AWS::IAM::InstanceProfile",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::IAM::User",
    "AWS::KMS::Alias",
    "AWS::KMS::Key",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::Logs::LogGroup",
    "AWS::RDS::DBParameterGroup",
    "AWS::RDS::DBSubnetGroup",
    "AWS::S3::BucketPolicy",
    "AWS::SQS::Queue",
    "AWS::SSM::Parameter",
    "AWS::StepFunctions::StateMachine",
];

/// More of them: kept apart because their policies are resources of their own.
const INERT_POLICIES: [&str; 4] = [
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::SecretsManager::ResourcePolicy",
    "AWS::SecretsManager::Secret",
];

/// How a resource with these properties is exposed. Empty only if it is known not to be.
pub(super) fn exposure(scope: &Scope<'_>, kind: &str, properties: Option<&Value>) -> Vec<Exposure> {
    let property = |name: &str| properties.and_then(|properties| properties.get(name));
    if NETWORKS.contains(&kind) {
        return vec![Exposure::OtherNetwork];
    }
    if PUBLIC.contains(&kind) {
        return vec![Exposure::PublicAddress("is public by nature")];
    }
    match kind {
        "AWS::EC2::Subnet" => flag(
            scope,
            property("MapPublicIpOnLaunch"),
            "gives out public addresses",
            false,
        ),
        "AWS::RDS::DBInstance" => flag(
            scope,
            property("PubliclyAccessible"),
            "is publicly accessible",
            true,
        ),
        "AWS::EC2::Instance" => property("NetworkInterfaces")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .flat_map(|interface| {
                flag(
                    scope,
                    interface.get("AssociatePublicIpAddress"),
                    "has a public address",
                    false,
                )
            })
            .collect(),
        "AWS::ElasticLoadBalancingV2::LoadBalancer" => match property("Scheme").map(|v| scope.resolve(v)) {
            Some(Known::Text(scheme)) if scheme == "internal" => Vec::new(),
            Some(Known::Text(_)) | None => vec![Exposure::PublicAddress("faces the internet")],
            Some(Known::OwnResource | Known::Unknown) => vec![Exposure::MaybePublic("may face the internet")],
        },
        "AWS::Lambda::Url" => match property("AuthType").map(|v| scope.resolve(v)) {
            Some(Known::Text(auth)) if auth == "AWS_IAM" => Vec::new(),
            _ => vec![Exposure::PublicAddress("answers anybody")],
        },
        "AWS::S3::Bucket" => match property("AccessControl").map(|v| scope.resolve(v)) {
            None => Vec::new(),
            Some(Known::Text(acl)) if !acl.starts_with("Public") && acl != "AuthenticatedRead" => Vec::new(),
            Some(Known::Text(_)) => vec![Exposure::PublicAddress("is readable by anybody")],
            Some(Known::OwnResource | Known::Unknown) => {
                vec![Exposure::MaybePublic("may be readable by anybody")]
            }
        },
        "AWS::EC2::Route" => {
            let targets = [
                "CarrierGatewayId",
                "CoreNetworkArn",
                "EgressOnlyInternetGatewayId",
                "GatewayId",
                "LocalGatewayId",
                "NatGatewayId",
                "TransitGatewayId",
                "VpcPeeringConnectionId",
            ];
            if targets.iter().any(|target| property(target).is_some()) {
                vec![Exposure::OtherNetwork]
            } else {
                Vec::new()
            }
        }
        // A function that is in no network of the account is in one of AWS's, and that one reaches the internet.
        "AWS::Lambda::Function" => match property("VpcConfig").and_then(|network| network.get("SubnetIds")) {
            Some(Value::Array(subnets)) if !subnets.is_empty() => Vec::new(),
            None | Some(Value::Array(_)) => vec![Exposure::OtherNetwork],
            Some(_) => vec![Exposure::MaybeOtherNetwork],
        },
        // An endpoint for a service of AWS stays with AWS; one for a service of somebody else leads to somebody else.
        "AWS::EC2::VPCEndpoint" => match property("ServiceName").map(|name| scope.resolve(name)) {
            Some(Known::Text(name)) if name.contains("vpce-svc-") => vec![Exposure::OtherNetwork],
            // A part that is not known may hold what makes it somebody else's; the region is known.
            Some(Known::Text(name)) if name.contains('\u{0}') => vec![Exposure::MaybeOtherNetwork],
            Some(Known::Text(name)) if is_service_of_aws(&name) => Vec::new(),
            Some(Known::Text(_)) => vec![Exposure::OtherNetwork],
            None | Some(Known::OwnResource | Known::Unknown) => vec![Exposure::MaybeOtherNetwork],
        },
        "AWS::SNS::Topic" => match property("Subscription") {
            None => Vec::new(),
            Some(Value::Array(subscriptions)) => subscriptions
                .iter()
                .filter_map(|subscription| subscribed(scope, subscription.get("Protocol")))
                .collect(),
            Some(_) => vec![Exposure::MaybeOtherNetwork],
        },
        "AWS::SNS::Subscription" => subscribed(scope, property("Protocol")).into_iter().collect(),
        "AWS::EC2::SecurityGroup" => match property("SecurityGroupIngress") {
            None => Vec::new(),
            Some(Value::Array(rules)) => rules.iter().flat_map(|rule| ingress(scope, Some(rule))).collect(),
            Some(_) => vec![Exposure::MaybeIngress],
        },
        "AWS::EC2::SecurityGroupIngress" => ingress(scope, properties),
        "AWS::EC2::SecurityGroupEgress" => Vec::new(),
        _ if INERT.contains(&kind) || INERT_POLICIES.contains(&kind) => Vec::new(),
        _ => vec![Exposure::UnknownType],
    }
}

/// Whether an endpoint for this service stays with AWS.
pub(super) fn is_service_of_aws(name: &str) -> bool {
    !name.contains("vpce-svc-") && SERVICES_OF_AWS.iter().any(|of| name.starts_with(of))
}

/// A subscription by mail, phone or web request leaves the account.
fn subscribed(scope: &Scope<'_>, protocol: Option<&Value>) -> Option<Exposure> {
    match protocol.map(|protocol| scope.resolve(protocol)) {
        Some(Known::Text(protocol)) if ["firehose", "lambda", "sqs"].contains(&protocol.as_str()) => None,
        Some(Known::Text(_)) => Some(Exposure::OtherNetwork),
        None | Some(Known::OwnResource | Known::Unknown) => Some(Exposure::MaybeOtherNetwork),
    }
}

/// A property that is `true` where the resource is public; `needed` says whether leaving it out is unsafe.
fn flag(scope: &Scope<'_>, value: Option<&Value>, why: &'static str, needed: bool) -> Vec<Exposure> {
    match value.map(|value| scope.resolve(value)) {
        None if needed => vec![Exposure::MaybePublic(why)],
        None => Vec::new(),
        Some(Known::Text(text)) if text.eq_ignore_ascii_case("false") => Vec::new(),
        Some(Known::Text(text)) if text.eq_ignore_ascii_case("true") => vec![Exposure::PublicAddress(why)],
        Some(Known::Text(_) | Known::OwnResource | Known::Unknown) => vec![Exposure::MaybePublic(why)],
    }
}

fn ingress(scope: &Scope<'_>, rule: Option<&Value>) -> Vec<Exposure> {
    let range = |name: &str| rule.and_then(|rule| rule.get(name));
    if ["SourceSecurityGroupId", "SourceSecurityGroupName"]
        .iter()
        .any(|source| range(source).is_some())
    {
        return Vec::new();
    }
    ["CidrIp", "CidrIpv6"]
        .iter()
        .find_map(|name| range(name))
        .map_or_else(
            || vec![Exposure::MaybeIngress],
            |value| match scope.resolve(value) {
                // A prefix of length zero is everybody, however the address before it is written.
                Known::Text(text) if text.trim_end().ends_with("/0") => {
                    vec![Exposure::OpenIngress(text.escape_debug().to_string())]
                }
                Known::Text(text) if text.contains('/') && !text.contains('\u{0}') => Vec::new(),
                Known::Text(_) | Known::OwnResource | Known::Unknown => vec![Exposure::MaybeIngress],
            },
        )
}
