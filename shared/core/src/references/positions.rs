//! What the place of an identifier means, and so what is done with it.

use std::fmt;
use std::ops::Range;

use serde::Serialize;
use strum::IntoStaticStr;

use super::json::Node;
use super::spellings::Found;
use crate::plan::IdentifierKind;

/// What is done with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "disposition", content = "reason", rename_all = "snake_case")]
pub enum Disposition {
    /// A rewriter owns it.
    Rewrite,
    /// No reference, though it looks like one: it is never touched, and does not count.
    Keep(&'static str),
    /// A reference that no rewriter owns. Cutover refuses while there is any.
    Unhandled(&'static str),
}

/// What the place of a token means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "kebab-case")]
pub enum Position {
    /// `Principal`.
    Principal,
    /// `NotPrincipal`.
    NotPrincipal,
    /// A condition on who calls: `aws:PrincipalArn`, `kms:CallerAccount` and their like.
    Caller,
    /// A condition on whose resource calls through a service: `aws:SourceArn` and its like.
    Source,
    /// A condition on whose resource is called: `aws:ResourceAccount` and its like.
    ResourceOwner,
    /// A condition on something else.
    OtherCondition,
    /// The name of a condition key, which can embed an issuer.
    ConditionKey,
    /// `Resource` or `NotResource`.
    Resource,
    /// The account below `AWSLogs/`.
    LogPath,
    /// A host name or URL.
    Url,
    /// An ARN in a configuration value.
    Arn,
    /// A configuration value.
    Value,
    /// The name of a configuration key.
    Key,
    /// `sts:ExternalId`: a shared secret that may look like an account id.
    ExternalId,
    /// `Sid`, `Id`, a description, a tag.
    Cosmetic,
    /// Prose, or a text that people choose: a session name, the value of a tag in a condition.
    FreeText,
    /// Inside base64 text.
    Base64,
    /// Part of a longer name, which another account may own.
    InName,
    /// A wildcard that covers the old account among others.
    PartialWildcard,
    /// A place of a policy where no identifier belongs.
    Elsewhere,
}

impl Position {
    pub(super) fn disposition(self) -> Disposition {
        match self {
            Self::Principal
            | Self::NotPrincipal
            | Self::Caller
            | Self::Source
            | Self::ResourceOwner
            | Self::OtherCondition
            | Self::ConditionKey
            | Self::Resource
            | Self::LogPath
            | Self::Url
            | Self::Arn
            | Self::Value
            | Self::Key => Disposition::Rewrite,
            Self::ExternalId => Disposition::Keep("an external id is a shared secret, not a reference"),
            Self::Cosmetic => Disposition::Keep("a label decides nothing"),
            Self::InName => Disposition::Unhandled(
                "part of a longer name: add the whole name to the identifier map, or waive the document",
            ),
            Self::FreeText => Disposition::Unhandled("stands in free text: a person must read what it says"),
            Self::Base64 => {
                Disposition::Unhandled("inside base64: decode it, change it and encode it again by hand")
            }
            Self::PartialWildcard => Disposition::Unhandled(
                "a wildcard that covers the old account among others: a person must decide",
            ),
            Self::Elsewhere => Disposition::Unhandled("no rewriter owns this place"),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.into())
    }
}
/// Where in a document the walk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Outside of any policy.
    Config,
    /// The members of a policy.
    Policy,
    /// The members of a statement.
    Statement,
    /// Operators of a condition block.
    Operators,
    /// Keys below an operator.
    ConditionKeys,
    /// Values that all mean this.
    Values(Position),
}

impl Place {
    pub(super) fn below(self, key: &str, value: &Node<'_>) -> Self {
        match self {
            Self::Config => {
                if key == "Statement" && value.elements().iter().all(|one| one.member("Effect").is_some()) {
                    return Self::Statement;
                }
                label(key).map_or(Self::Config, Self::Values)
            }
            Self::Policy => match key {
                "Statement" => Self::Statement,
                "Id" => Self::Values(Position::Cosmetic),
                _ => Self::Values(Position::Elsewhere),
            },
            Self::Statement => match key {
                "Principal" => Self::Values(Position::Principal),
                "NotPrincipal" => Self::Values(Position::NotPrincipal),
                "Resource" | "NotResource" => Self::Values(Position::Resource),
                "Condition" => Self::Operators,
                "Sid" => Self::Values(Position::Cosmetic),
                _ => Self::Values(Position::Elsewhere),
            },
            Self::Operators => Self::ConditionKeys,
            Self::ConditionKeys => Self::Values(condition_position(key)),
            Self::Values(position) => Self::Values(position),
        }
    }

    /// What a token in the name of a member means.
    pub(super) fn of_key(self) -> Position {
        match self {
            Self::Config => Position::Key,
            Self::ConditionKeys => Position::ConditionKey,
            Self::Values(kept @ (Position::Cosmetic | Position::ExternalId)) => kept,
            Self::Policy | Self::Statement | Self::Operators | Self::Values(_) => Position::Elsewhere,
        }
    }

    /// What a token in a value means.
    pub(super) fn of_value(self) -> Position {
        match self {
            Self::Values(position) => position,
            Self::Config => Position::Value,
            Self::Policy | Self::Statement | Self::Operators | Self::ConditionKeys => Position::Elsewhere,
        }
    }
}

/// Configuration keys whose values are no references.
pub(super) fn label(key: &str) -> Option<Position> {
    let plain: String = key
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    match plain.as_str() {
        "externalid" | "stsexternalid" => Some(Position::ExternalId),
        "sid" | "description" | "comment" | "tags" | "tag" | "tagset" | "metadata" => {
            Some(Position::Cosmetic)
        }
        _ => None,
    }
}

/// What a condition key asks about.
///
/// Keys are compared without regard to case: services write `AWS:SourceArn` as well. The keys are those of the
/// service authorization reference whose values can name an account or something in it.
fn condition_position(key: &str) -> Position {
    let key = key.to_ascii_lowercase();
    match key.as_str() {
        "sts:externalid" => Position::ExternalId,
        "aws:principalarn"
        | "aws:principalaccount"
        | "aws:userid"
        | "aws:username"
        | "aws:federatedprovider"
        | "ec2:add/userid"
        | "ec2:remove/userid"
        | "kms:calleraccount"
        | "kms:granteeprincipal"
        | "kms:retiringprincipal"
        | "lambda:principal"
        | "ram:principal"
        | "redshift:consumerarn" => Position::Caller,
        "aws:sourcearn"
        | "aws:sourceaccount"
        | "aws:sourceowner"
        | "aws:sourcevpc"
        | "aws:sourcevpce"
        | "aws:sourcevpcarn"
        | "aws:vpceaccount"
        | "lambda:sourcefunctionarn"
        | "ec2:sourceinstancearn"
        | "events:creatoraccount"
        | "vpc-lattice-svcs:sourcevpcowneraccount" => Position::Source,
        "aws:resourceaccount"
        | "s3:resourceaccount"
        | "s3:dataaccesspointaccount"
        | "s3:dataaccesspointarn"
        | "s3:accessgrantsinstancearn"
        | "backup:mpaapprovalteamarn"
        | "ec2:acceptervpc"
        | "ec2:owner"
        | "ec2:parentsnapshot"
        | "ec2:requestervpc"
        | "ec2:vpceserviceowner"
        | "iam:associatedresourcearn"
        | "iam:permissionsboundary"
        | "iam:policyarn"
        | "lambda:functionarn"
        | "logs:deliverydestinationresourcearn"
        | "mpa:protectedresourceaccount"
        | "ram:resourcearn"
        | "ram:shareowneraccountid"
        | "secretsmanager:rotationlambdaarn"
        | "secretsmanager:secretid"
        | "securityhub:targetaccount"
        | "servicediscovery:servicecreatedbyaccount" => Position::ResourceOwner,
        "sts:rolesessionname" | "sts:sourceidentity" | "aws:sourceidentity" | "aws:tagkeys" => {
            Position::FreeText
        }
        _ if ["aws:principaltag/", "aws:requesttag/", "aws:resourcetag/"]
            .iter()
            .any(|tag| key.starts_with(tag)) =>
        {
            Position::FreeText
        }
        _ if (key.starts_with("refactor-spaces:") && key.ends_with("createdbyaccount"))
            || (key.starts_with("cognito-identity-") && key.ends_with(":accountid"))
            || key.starts_with("s3express:")
            || key.starts_with("s3-outposts:") =>
        {
            Position::ResourceOwner
        }
        _ => Position::OtherCondition,
    }
}

/// How far around an identifier its word is looked at, in bytes.
const WORD: usize = 512;

/// The word around an identifier, without white space and quotes, and what of it stands before the identifier.
/// Bounded, so that many identifiers in one long text cost no more than the text.
fn word<'t>(text: &'t str, span: &Range<usize>) -> (&'t str, &'t str) {
    let ends =
        |character: char| character.is_whitespace() || matches!(character, '"' | '\'' | '`' | '<' | '>');
    let mut from = span.start.saturating_sub(WORD);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let mut to = text.len().min(span.end + WORD);
    while !text.is_char_boundary(to) {
        to -= 1;
    }
    let before = text.get(from..span.start).unwrap_or_default();
    let before = before.rfind(ends).map_or(before, |at| {
        before.get(at..).unwrap_or_default().trim_start_matches(ends)
    });
    let after = text.get(span.end..to).unwrap_or_default();
    let after = after
        .find(ends)
        .map_or(after, |at| after.get(..at).unwrap_or_default());
    let word = text.get(span.start - before.len()..span.end + after.len());
    (word.unwrap_or_default(), before)
}

/// What a token means, seen from within its string.
pub(super) fn refined(position: Position, text: &str, found: &Found<'_>) -> Position {
    if matches!(
        position,
        Position::Cosmetic | Position::ExternalId | Position::FreeText | Position::Elsewhere
    ) {
        return position;
    }
    if !found.whole {
        return Position::InName;
    }
    let (word, before) = word(text, &found.span);
    if found.pair.kind == IdentifierKind::Account
        && let Some((_, below)) = before.rsplit_once("AWSLogs/")
        && (below.is_empty()
            || below == "aws-account-id="
            || (below.starts_with("o-") && below.ends_with('/')))
    {
        return Position::LogPath;
    }
    if position == Position::Value {
        if before.contains("://")
            || word.contains(".amazonaws.com")
            || found.pair.kind == IdentifierKind::Host
        {
            return Position::Url;
        }
        if before.contains("arn:") {
            return Position::Arn;
        }
    }
    position
}

/// A bare identifier among words of prose.
pub(super) fn in_prose(position: Position, text: &str, span: &Range<usize>) -> bool {
    let beside = |side: Option<char>| side.is_some_and(char::is_whitespace);
    let before = text
        .get(..span.start)
        .and_then(|before| before.chars().next_back());
    let after = text.get(span.end..).and_then(|after| after.chars().next());
    position == Position::Value && (beside(before) || beside(after))
}
