//! What the rebuild account holds around the stacks: put there before the run, or by somebody else.
//!
//! The templates say nothing of it, so the services are asked. What a stack of the run made is judged by its template;
//! everything else that leads out, has a public address, lets everybody in, or trusts somebody outside speaks against
//! the isolation until a waiver names it. What cannot be listed is unknown.

use std::collections::BTreeMap;

use serde_json::Value;
use strum::{EnumIter, IntoEnumIterator as _};

use super::CheckStatus;
use super::exposure::is_service_of_aws;
use super::intrinsics::{arn_account, shown};
use crate::plan::{Plan, WaivableCheck};
use crate::run::AccountId;

/// What is listed, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter)]
pub enum Kind {
    /// Endpoints by which clients come in from outside.
    ClientVpnEndpoint,
    /// Ways out for IPv6.
    EgressOnlyInternetGateway,
    /// Ways out, and in.
    InternetGateway,
    /// Ways out.
    NatGateway,
    /// Whatever hangs on a transit gateway: networks, VPNs, Direct Connect, other transit gateways.
    TransitGatewayAttachment,
    /// Ways to a service, which may be somebody else's.
    VpcEndpoint,
    /// Ways to another network, perhaps in another account.
    VpcPeering,
    /// VPNs.
    VpnConnection,
    /// The ends of VPNs and of Direct Connect.
    VpnGateway,
    /// Public addresses that are kept.
    Address,
    /// Whatever has an address in a network: instances, load balancers, databases.
    NetworkInterface,
    /// Who is let in to them.
    SecurityGroup,
    /// Who is trusted.
    Role,
}

impl Kind {
    /// Every kind.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::iter()
    }

    /// The type, as in a template.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            Self::ClientVpnEndpoint => "AWS::EC2::ClientVpnEndpoint",
            Self::EgressOnlyInternetGateway => "AWS::EC2::EgressOnlyInternetGateway",
            Self::InternetGateway => "AWS::EC2::InternetGateway",
            Self::NatGateway => "AWS::EC2::NatGateway",
            Self::TransitGatewayAttachment => "AWS::EC2::TransitGatewayAttachment",
            Self::VpcEndpoint => "AWS::EC2::VPCEndpoint",
            Self::VpcPeering => "AWS::EC2::VPCPeeringConnection",
            Self::VpnConnection => "AWS::EC2::VPNConnection",
            Self::VpnGateway => "AWS::EC2::VPNGateway",
            Self::Address => "AWS::EC2::EIP",
            Self::NetworkInterface => "AWS::EC2::NetworkInterface",
            Self::SecurityGroup => "AWS::EC2::SecurityGroup",
            Self::Role => "AWS::IAM::Role",
        }
    }

    /// The permission that listing them takes.
    #[must_use]
    pub fn permission(self) -> &'static str {
        match self {
            Self::ClientVpnEndpoint => "ec2:DescribeClientVpnEndpoints",
            Self::EgressOnlyInternetGateway => "ec2:DescribeEgressOnlyInternetGateways",
            Self::InternetGateway => "ec2:DescribeInternetGateways",
            Self::NatGateway => "ec2:DescribeNatGateways",
            Self::TransitGatewayAttachment => "ec2:DescribeTransitGatewayAttachments",
            Self::VpcEndpoint => "ec2:DescribeVpcEndpoints",
            Self::VpcPeering => "ec2:DescribeVpcPeeringConnections",
            Self::VpnConnection => "ec2:DescribeVpnConnections",
            Self::VpnGateway => "ec2:DescribeVpnGateways",
            Self::Address => "ec2:DescribeAddresses",
            Self::NetworkInterface => "ec2:DescribeNetworkInterfaces",
            Self::SecurityGroup => "ec2:DescribeSecurityGroups",
            Self::Role => "iam:ListRoles",
        }
    }

    /// The check to which what is found belongs.
    #[must_use]
    pub fn check(self) -> WaivableCheck {
        match self {
            Self::ClientVpnEndpoint
            | Self::EgressOnlyInternetGateway
            | Self::InternetGateway
            | Self::NatGateway
            | Self::TransitGatewayAttachment
            | Self::VpcEndpoint
            | Self::VpcPeering
            | Self::VpnConnection
            | Self::VpnGateway => WaivableCheck::Network,
            Self::Address | Self::NetworkInterface => WaivableCheck::PublicAddress,
            Self::SecurityGroup => WaivableCheck::SecurityGroups,
            Self::Role => WaivableCheck::Trust,
        }
    }

    /// What an objection to something of this kind is about: `TYPE/ID`.
    #[must_use]
    pub fn subject(self, id: &str) -> String {
        format!("{}/{}", self.type_name(), id.escape_debug())
    }

    /// The kind of which a subject is: `TYPE/ID`, or `TYPE` for the list as a whole.
    #[must_use]
    pub fn of_subject(subject: &str) -> Option<Self> {
        let name = subject.split_once('/').map_or(subject, |(name, _)| name);
        Self::all().find(|kind| kind.type_name() == name)
    }
}

/// One thing that a service listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Live {
    /// Its id; the name of a role.
    pub id: String,
    /// Other names by which a stack may know it, or what it hangs on.
    pub aliases: Vec<String>,
    /// Its state, if it has one: what is gone is still listed for a while.
    pub state: Option<String>,
    /// What decides: the accounts of a peering, the service of an endpoint, the public addresses of an interface, the
    /// ranges that a security group lets in, the trust policy of a role.
    pub says: Vec<String>,
}

/// What an account holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The recovery account: the one that asks.
    pub home: Option<AccountId>,
    /// What was listed of each kind, or why it was not.
    pub found: BTreeMap<Kind, Result<Vec<Live>, String>>,
}

/// States of what is no more (EC2 API reference: peering connections, NAT gateways, attachments, VPNs, endpoints).
const GONE: [&str; 5] = ["deleted", "expired", "failed", "rejected", "rolling-back"];

/// One thing that speaks against a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) subject: String,
    pub(super) status: CheckStatus,
    pub(super) what: String,
}

/// What speaks against a check among everything of one kind, and how much was looked at. `owner` names the stack and
/// logical id of a physical id that a stack of the run made.
pub(super) fn judge(
    plan: &Plan,
    survey: &Survey,
    kind: Kind,
    owner: impl Fn(&str) -> Option<String>,
) -> (usize, Vec<Finding>) {
    let listed = match survey.found.get(&kind) {
        Some(Ok(listed)) => listed,
        missing => {
            let why = match missing {
                Some(Err(why)) => why.escape_debug().to_string(),
                _ => "nobody asked".to_owned(),
            };
            let unknown = Finding {
                subject: kind.type_name().to_owned(),
                status: CheckStatus::Unknown,
                what: format!("could not be listed in the account: {why}"),
            };
            return (0, vec![unknown]);
        }
    };
    let mut findings = Vec::new();
    for live in listed {
        let gone = |state: &String| GONE.contains(&state.to_ascii_lowercase().as_str());
        if live.state.as_ref().is_some_and(gone) {
            continue;
        }
        let owned = std::iter::once(&live.id)
            .chain(&live.aliases)
            .find_map(|name| owner(name));
        let subject = owned.clone().unwrap_or_else(|| kind.subject(&live.id));
        findings.extend(
            objections(plan, survey.home.as_ref(), kind, live, owned.is_some())
                .into_iter()
                .map(|(status, what)| Finding {
                    subject: subject.clone(),
                    status,
                    what,
                }),
        );
    }
    (listed.len(), findings)
}

fn objections(
    plan: &Plan,
    home: Option<&AccountId>,
    kind: Kind,
    live: &Live,
    owned: bool,
) -> Vec<(CheckStatus, String)> {
    let says = live.says.iter().map(|text| text.escape_debug().to_string());
    let fail = |what: String| (CheckStatus::Fail, what);
    match kind {
        Kind::Role if live.says.is_empty() => {
            vec![(CheckStatus::Unknown, "shows no trust policy".to_owned())]
        }
        Kind::VpcEndpoint if live.says.is_empty() && !owned => {
            vec![(
                CheckStatus::Unknown,
                "shows no service to which it leads".to_owned(),
            )]
        }
        // A rule can be added to a group of a stack that declares none, and no drift is seen.
        Kind::SecurityGroup => live
            .says
            .iter()
            .filter(|range| range.trim_end().ends_with("/0"))
            .map(|range| fail(format!("lets in {}", range.escape_debug())))
            .collect(),
        Kind::Role => live
            .says
            .iter()
            .flat_map(|policy| trust(plan, home, policy))
            // The trust of a stack's role is in its template, where the plan allows what it names.
            .filter(|(status, _)| !owned || *status == CheckStatus::Fail)
            .collect(),
        _ if owned => Vec::new(),
        Kind::NetworkInterface => says
            .map(|at| fail(format!("has the public address {at}")))
            .collect(),
        Kind::Address => vec![fail(
            "is a public address that no stack of the run made".to_owned(),
        )],
        Kind::VpcEndpoint => live
            .says
            .iter()
            .filter(|service| !is_service_of_aws(service))
            .map(|service| fail(format!("leads to `{}`", service.escape_debug())))
            .collect(),
        Kind::ClientVpnEndpoint
        | Kind::EgressOnlyInternetGateway
        | Kind::InternetGateway
        | Kind::NatGateway
        | Kind::TransitGatewayAttachment
        | Kind::VpcPeering
        | Kind::VpnConnection
        | Kind::VpnGateway => {
            let whose: Vec<String> = says.collect();
            let whose = if whose.is_empty() {
                String::new()
            } else {
                format!(" ({})", whose.join(", "))
            };
            vec![fail(format!("is a way out that no stack of the run made{whose}"))]
        }
    }
}

/// What a trust policy lets in that is neither the account itself, nor the recovery account, nor a service.
///
/// That the old account or everybody is let in disproves the check; of any other account nothing is known.
fn trust(plan: &Plan, home: Option<&AccountId>, policy: &str) -> Vec<(CheckStatus, String)> {
    let Ok(policy) = serde_json::from_str::<Value>(policy) else {
        return vec![(
            CheckStatus::Unknown,
            "has a trust policy that cannot be read".to_owned(),
        )];
    };
    let mut found = Vec::new();
    for statement in many(policy.get("Statement")) {
        // Anything that is not literally `Deny` is read as `Allow`.
        if statement.get("Effect").and_then(Value::as_str) == Some("Deny") {
            continue;
        }
        if statement.get("NotPrincipal").is_some() {
            found.push((CheckStatus::Fail, "trusts everybody but the named".to_owned()));
        }
        match statement.get("Principal") {
            None => {}
            Some(Value::Object(kinds)) => {
                for (kind, principals) in kinds {
                    for principal in many(Some(principals)) {
                        found.extend(trusted(plan, home, kind, principal));
                    }
                }
            }
            Some(principal) => found.extend(trusted(plan, home, "AWS", principal)),
        }
    }
    found
}

fn trusted(
    plan: &Plan,
    home: Option<&AccountId>,
    kind: &str,
    principal: &Value,
) -> Option<(CheckStatus, String)> {
    let unknown = |what: String| Some((CheckStatus::Unknown, what));
    let Some(text) = principal.as_str() else {
        return unknown("trusts what is no principal".to_owned());
    };
    if kind == "Service" {
        return None;
    }
    if text == "*" {
        return Some((CheckStatus::Fail, "trusts everybody".to_owned()));
    }
    let digits = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    let account = if digits { Some(text) } else { arn_account(text) };
    match account {
        Some(account) if account == plan.accounts.rebuild.as_str() => None,
        Some(account) if home.is_some_and(|home| home.as_str() == account) && kind == "AWS" => None,
        Some(account) if account == plan.accounts.old.as_str() => Some((
            CheckStatus::Fail,
            format!("trusts the old account: `{}`", shown(text)),
        )),
        _ => unknown(format!("trusts `{}`, of which nothing is known", shown(text))),
    }
}

fn many(value: Option<&Value>) -> &[Value] {
    match value {
        None => &[],
        Some(Value::Array(items)) => items,
        Some(one) => std::slice::from_ref(one),
    }
}

/// What a session that looks around the account may do at most.
#[must_use]
pub fn session_policy() -> String {
    let permissions: Vec<&str> = Kind::all().map(Kind::permission).collect();
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": permissions, "Resource": "*" }],
    })
    .to_string()
}
