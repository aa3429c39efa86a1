//! What an account holds, whoever made it: one list of each kind that can break isolation.
//!
//! EC2 lists things with all that is asked of them; Cloud Control would take a request for each. Its lists are signed
//! here: the client crate of EC2 is most of a build.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use blackstart_core::rebuild::surroundings::{Kind, Live};
use percent_encoding::percent_decode_str;

use crate::port::{Effect, PortError, classify};
use crate::signed::xml::Element;
use crate::signed::{Endpoint, Operation, Protocol, Signed};

const EC2: Endpoint = Endpoint {
    id: "EC2",
    host: "ec2",
    signing: "ec2",
};

/// Version of the Query API.
const VERSION: &str = "2016-11-15";

/// Pages after which a list is given up: at EC2's smallest page, of five, more than any quota allows.
const MAX_PAGES: usize = 10_000;

/// How EC2 lists a kind: the elements that hold what is asked, as paths below one thing.
struct List {
    kind: Kind,
    set: &'static str,
    id: &'static str,
    state: &'static [&'static str],
    aliases: &'static [&'static [&'static str]],
    says: &'static [&'static [&'static str]],
}

/// Elements as in the EC2 API reference.
const LISTS: [List; 12] = [
    List {
        kind: Kind::ClientVpnEndpoint,
        set: "clientVpnEndpoint",
        id: "clientVpnEndpointId",
        state: &["status", "code"],
        aliases: &[],
        says: &[],
    },
    List {
        kind: Kind::EgressOnlyInternetGateway,
        set: "egressOnlyInternetGatewaySet",
        id: "egressOnlyInternetGatewayId",
        state: &[],
        aliases: &[],
        says: &[&["attachmentSet", "item", "vpcId"]],
    },
    List {
        kind: Kind::InternetGateway,
        set: "internetGatewaySet",
        id: "internetGatewayId",
        state: &[],
        aliases: &[],
        says: &[&["attachmentSet", "item", "vpcId"]],
    },
    List {
        kind: Kind::NatGateway,
        set: "natGatewaySet",
        id: "natGatewayId",
        state: &["state"],
        aliases: &[],
        says: &[&["vpcId"]],
    },
    List {
        kind: Kind::TransitGatewayAttachment,
        set: "transitGatewayAttachments",
        id: "transitGatewayAttachmentId",
        state: &["state"],
        aliases: &[],
        says: &[&["transitGatewayOwnerId"], &["transitGatewayId"]],
    },
    List {
        kind: Kind::VpcEndpoint,
        set: "vpcEndpointSet",
        id: "vpcEndpointId",
        state: &["state"],
        aliases: &[],
        says: &[&["serviceName"]],
    },
    List {
        kind: Kind::VpcPeering,
        set: "vpcPeeringConnectionSet",
        id: "vpcPeeringConnectionId",
        state: &["status", "code"],
        aliases: &[],
        says: &[&["requesterVpcInfo", "ownerId"], &["accepterVpcInfo", "ownerId"]],
    },
    List {
        kind: Kind::VpnConnection,
        set: "vpnConnectionSet",
        id: "vpnConnectionId",
        state: &["state"],
        aliases: &[],
        says: &[],
    },
    List {
        kind: Kind::VpnGateway,
        set: "vpnGatewaySet",
        id: "vpnGatewayId",
        state: &["state"],
        aliases: &[],
        says: &[&["attachments", "item", "vpcId"]],
    },
    List {
        kind: Kind::Address,
        set: "addressesSet",
        id: "allocationId",
        state: &[],
        // CloudFormation knows an address by itself.
        aliases: &[&["publicIp"]],
        says: &[&["publicIp"]],
    },
    List {
        kind: Kind::NetworkInterface,
        set: "networkInterfaceSet",
        id: "networkInterfaceId",
        state: &[],
        aliases: &[
            &["attachment", "instanceId"],
            &["association", "publicIp"],
            // `ELB app/NAME/ID`: what a load balancer's ARN ends with.
            &["description"],
        ],
        says: &[
            &["association", "publicIp"],
            &["privateIpAddressesSet", "item", "association", "publicIp"],
        ],
    },
    List {
        kind: Kind::SecurityGroup,
        set: "securityGroupInfo",
        id: "groupId",
        state: &[],
        aliases: &[],
        says: &[
            &["ipPermissions", "item", "ipRanges", "item", "cidrIp"],
            &["ipPermissions", "item", "ipv6Ranges", "item", "cidrIpv6"],
        ],
    },
];

/// EC2 and IAM of one account and region.
#[derive(Debug, Clone)]
pub struct Surroundings {
    ec2: Signed,
    iam: aws_sdk_iam::Client,
}

impl Surroundings {
    /// The account under this configuration.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            ec2: Signed::new(config),
            iam: aws_sdk_iam::Client::new(config),
        }
    }

    /// What the account holds of every kind, or why that cannot be listed.
    ///
    /// # Errors
    /// [`PortError::Transient`]: what could not be asked now can be asked later.
    pub async fn look_around(&self) -> Result<BTreeMap<Kind, Result<Vec<Live>, String>>, PortError> {
        let mut found = BTreeMap::new();
        for kind in Kind::all() {
            let listed = match LISTS.iter().find(|list| list.kind == kind) {
                Some(list) => self.list(list).await,
                None => self.roles().await,
            };
            let listed = match listed {
                Ok(listed) => Ok(listed),
                Err(error @ PortError::Transient { .. }) => return Err(error),
                Err(error) => Err(error.to_string()),
            };
            found.insert(kind, listed);
        }
        Ok(found)
    }

    async fn list(&self, list: &List) -> Result<Vec<Live>, PortError> {
        let permission = list.kind.permission();
        let operation = Operation {
            endpoint: EC2,
            permission,
            effect: Effect::Read,
            protocol: Protocol::Query,
        };
        let action = permission.trim_start_matches("ec2:");
        let what = format!("listing {}", list.kind.type_name());
        let unreadable = |why: &str| PortError::Refused {
            what: what.clone(),
            why: why.to_owned(),
        };
        let mut all = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut form = vec![("Action", action), ("Version", VERSION)];
            if let Some(token) = &token {
                form.push(("NextToken", token));
            }
            let answer = self.ec2.query(&operation, &what, &form).await?;
            let answer = Element::parse(&answer).ok_or_else(|| unreadable("the answer is no XML"))?;
            // An empty list is there all the same; without it the answer is to another question.
            if answer.all(&[list.set]).is_empty() {
                return Err(unreadable(&format!("the answer holds no `{}`", list.set)));
            }
            for item in answer.all(&[list.set, "item"]) {
                all.push(live(list, item).ok_or_else(|| unreadable("the answer lists what has no id"))?);
            }
            match answer.text(&["nextToken"]) {
                Some(next) if Some(&next) != token.as_ref() => token = Some(next),
                _ => return Ok(all),
            }
        }
        Err(unreadable("the list does not end"))
    }

    async fn roles(&self) -> Result<Vec<Live>, PortError> {
        let roles = self
            .iam
            .list_roles()
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(|error| classify("listing roles", Effect::Read, &error))?;
        Ok(roles
            .into_iter()
            .map(|role| Live {
                // IAM encodes the document as in a URL (RFC 3986).
                says: role
                    .assume_role_policy_document
                    .map(|policy| percent_decode_str(&policy).decode_utf8_lossy().into_owned())
                    .into_iter()
                    .collect(),
                id: role.role_name,
                aliases: vec![role.arn],
                state: None,
            })
            .collect())
    }
}

fn live(list: &List, item: &Element) -> Option<Live> {
    let texts = |paths: &[&[&str]]| -> Vec<String> {
        let mut texts: Vec<String> = paths.iter().flat_map(|path| item.texts(path)).collect();
        texts.sort();
        texts.dedup();
        texts
    };
    let aliases = texts(list.aliases)
        .into_iter()
        .map(|alias| alias.strip_prefix("ELB ").map_or(alias.clone(), str::to_owned))
        .collect();
    Some(Live {
        // An address without an allocation is known by itself.
        id: item.text(&[list.id]).or_else(|| item.text(&["publicIp"]))?,
        aliases,
        state: if list.state.is_empty() {
            None
        } else {
            item.text(list.state)
        },
        says: texts(list.says),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::testing::{Asked, Wire};

    fn over(answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> (Surroundings, Wire) {
        let wire = Wire::new(answer);
        let config = wire.config();
        let surroundings = Surroundings {
            ec2: Signed::over(&config, wire.connector()),
            iam: aws_sdk_iam::Client::new(&config),
        };
        (surroundings, wire)
    }

    /// An account with nothing in it but what is given for one action.
    fn answering(action: &'static str, body: &'static str) -> impl Fn(&Asked) -> (u16, String) {
        move |asked| {
            let named = |name: &str| asked.body.contains(&format!("Action={name}&"));
            if named(action) {
                return (200, body.to_owned());
            }
            if named("ListRoles") {
                let empty = "<ListRolesResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ListRolesResult>\
                    <IsTruncated>false</IsTruncated><Roles/></ListRolesResult></ListRolesResponse>";
                return (200, empty.to_owned());
            }
            let list = LISTS
                .iter()
                .find(|list| named(list.kind.permission().trim_start_matches("ec2:")))
                .unwrap();
            (200, format!("<Response><{}/></Response>", list.set))
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn every_kind_is_listed_once_and_an_empty_account_holds_nothing() {
        let (account, wire) = over(answering("None", ""));
        let found = account.look_around().await.unwrap();
        assert!(
            Kind::all().all(|kind| found[&kind] == Ok(Vec::new())),
            "{found:?}"
        );
        assert_eq!(wire.asked().len(), Kind::all().count());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_is_listed_says_what_decides() {
        let (account, _) = over(answering(
            "DescribeSecurityGroups",
            "<Response><securityGroupInfo><item><groupId>sg-1</groupId><ipPermissions><item><ipRanges><item>\
             <cidrIp>10.0.0.0/8</cidrIp></item></ipRanges><ipv6Ranges><item><cidrIpv6>::/0</cidrIpv6></item>\
             </ipv6Ranges></item></ipPermissions></item></securityGroupInfo></Response>",
        ));
        let found = account.look_around().await.unwrap();
        let group = &found[&Kind::SecurityGroup].as_ref().unwrap()[0];
        assert_eq!(
            (group.id.as_str(), group.says.as_slice()),
            ("sg-1", &["10.0.0.0/8".to_owned(), "::/0".to_owned()][..])
        );

        let (account, _) = over(answering(
            "DescribeNetworkInterfaces",
            "<Response><networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId><description>ELB \
             app/front/0123</description><association><publicIp>203.0.113.7</publicIp></association></item>\
             </networkInterfaceSet></Response>",
        ));
        let found = account.look_around().await.unwrap();
        let interface = &found[&Kind::NetworkInterface].as_ref().unwrap()[0];
        assert_eq!(interface.says, ["203.0.113.7"]);
        assert!(
            interface.aliases.contains(&"app/front/0123".to_owned()),
            "{interface:?}"
        );

        let (account, _) = over(answering(
            "ListRoles",
            "<ListRolesResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ListRolesResult><IsTruncated>false\
             </IsTruncated><Roles><member><Path>/</Path><RoleName>Old</RoleName><RoleId>AROA1</RoleId>\
             <Arn>arn:aws:iam::333333333333:role/Old</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate>\
             <AssumeRolePolicyDocument>%7B%22Statement%22%3A%5B%5D%7D</AssumeRolePolicyDocument></member></Roles>\
             </ListRolesResult></ListRolesResponse>",
        ));
        let found = account.look_around().await.unwrap();
        let role = &found[&Kind::Role].as_ref().unwrap()[0];
        assert_eq!(
            (role.id.as_str(), role.says.as_slice()),
            ("Old", &["{\"Statement\":[]}".to_owned()][..])
        );
    }

    #[tokio::test(flavor = "current_thread")]
    async fn pages_are_put_together() {
        let (account, wire) = over(|asked| {
            if !asked.body.contains("DescribeInternetGateways") {
                return answering("None", "")(asked);
            }
            let (id, next) = if asked.body.contains("NextToken=more") {
                ("igw-2", "")
            } else {
                ("igw-1", "<nextToken>more</nextToken>")
            };
            let item = format!("<item><internetGatewayId>{id}</internetGatewayId></item>");
            (
                200,
                format!("<R><internetGatewaySet>{item}</internetGatewaySet>{next}</R>"),
            )
        });
        let found = account.look_around().await.unwrap();
        let ids: Vec<&str> = found[&Kind::InternetGateway]
            .as_ref()
            .unwrap()
            .iter()
            .map(|live| live.id.as_str())
            .collect();
        assert_eq!(ids, ["igw-1", "igw-2"]);
        assert_eq!(wire.asked().len(), Kind::all().count() + 1);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_cannot_be_listed_is_said_and_an_answer_to_another_question_is_no_empty_list() {
        for (status, body) in [
            (
                403,
                "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>",
            ),
            (200, "<Response/>"),
            (200, "ok"),
        ] {
            let (account, _) = over(move |asked| {
                if asked.body.contains("DescribeNatGateways") {
                    return (status, body.to_owned());
                }
                answering("None", "")(asked)
            });
            let found = account.look_around().await.unwrap();
            assert!(found[&Kind::NatGateway].is_err(), "{body}");
            assert_eq!(found[&Kind::InternetGateway], Ok(Vec::new()));
        }
    }
}
