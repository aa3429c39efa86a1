//! Stage 5 of a plan: how traffic moves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::Digest;
use crate::run::AccountId;

/// Stage 5 of a plan: how traffic moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CutoverPlan {
    /// Whether the old account has been cut off by means outside Blackstart (a deny-all SCP, say).
    /// Only then are references first expanded and later contracted; otherwise they are swapped at once,
    /// because keeping both accounts trusted keeps the intruder trusted.
    #[serde(default)]
    pub old_account_contained: bool,
    /// What Blackstart itself cuts the old account off with, before anything else changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contain: Option<ContainPlan>,
    /// Hosted zone, in the recovery account.
    pub zone: String,
    /// Names whose traffic moves.
    pub names: Vec<TrafficName>,
    /// How their traffic moves.
    #[serde(default, skip_serializing_if = "Shift::is_at_once")]
    pub shift: Shift,
    /// What proves that the new environment serves.
    pub health: HealthPlan,
    /// Refuse when more than this share of the zone's records would change.
    #[serde(default = "default_max_changed_percent")]
    pub max_changed_percent: u8,
    /// Refuse when more than this share of the zone's records would be deleted without a record of the same name and
    /// type in their place.
    #[serde(default = "default_max_deleted_percent")]
    pub max_deleted_percent: u8,
}

fn default_max_deleted_percent() -> u8 {
    30
}

impl CutoverPlan {
    /// Whether the old account is cut off before references change, by whatever means: only then may both accounts be
    /// trusted for a while.
    #[must_use]
    pub fn contains_the_old_account(&self) -> bool {
        self.old_account_contained || self.contain.is_some()
    }
}

/// Policies of AWS Organizations that cut the old account off. They exist already; Blackstart attaches them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainPlan {
    /// The management account, or a delegated administrator for policies.
    pub account: AccountId,
    /// The role in it that `infra/accounts/management.yaml` creates.
    #[serde(default = "default_containment_role")]
    pub role: String,
    /// What is attached where, in this order. At least one to the old account.
    pub policies: Vec<PolicyAttachment>,
}

fn default_containment_role() -> String {
    "BlackstartContainment".to_owned()
}

/// A policy and its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyAttachment {
    /// Policy id, for example `p-0123456789`: a service control policy that denies everything, or a resource control
    /// policy that denies everything to the old account.
    pub policy: String,
    /// Account id, organisational unit (`ou-…`) or root (`r-…`).
    pub target: String,
}

fn default_max_changed_percent() -> u8 {
    50
}

/// A DNS name and its new targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrafficName {
    /// Fully qualified name with final dot.
    pub name: String,
    /// Record type, `A`, `AAAA` or `CNAME`.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Values in the new environment.
    pub new: Vec<String>,
    /// Values of the static holding page, served while the new environment is not healthy. Never the old account.
    pub holding: Vec<String>,
    /// Time to live in seconds.
    #[serde(default = "default_ttl")]
    pub ttl: u32,
}

fn default_ttl() -> u32 {
    60
}

/// How traffic moves. Until a name is served by the new environment alone, the rest of its answers is the holding page:
/// never the old account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Shift {
    /// In one batch, to a failover pair.
    #[default]
    AtOnce,
    /// In one batch per share, each only while the new environment is healthy, the last one to the failover pair.
    Weighted {
        /// Shares of the answers that name the new environment, in percent: rising, and at last 100.
        #[serde(default = "default_shares")]
        shares: Vec<u8>,
        /// Seconds for which a share is looked at before the next; at least as long as answers live.
        #[serde(default = "default_hold_seconds")]
        hold_seconds: u32,
    },
}

impl Shift {
    /// Whether there is one step only.
    #[must_use]
    pub fn is_at_once(&self) -> bool {
        *self == Self::AtOnce
    }

    /// The shares, in percent.
    #[must_use]
    pub fn shares(&self) -> &[u8] {
        match self {
            Self::AtOnce => &[100],
            Self::Weighted { shares, .. } => shares,
        }
    }

    /// Seconds for which a share is looked at before the next.
    #[must_use]
    pub fn hold_seconds(&self) -> u32 {
        match self {
            Self::AtOnce => 0,
            Self::Weighted { hold_seconds, .. } => *hold_seconds,
        }
    }
}

fn default_shares() -> Vec<u8> {
    vec![1, 5, 25, 100]
}

fn default_hold_seconds() -> u32 {
    300
}

/// What proves that the new environment serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthPlan {
    /// Address that the Route 53 checkers ask.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Path of the health document.
    pub path: String,
    /// Where the names are served by HTTPS: the checkers and we ask so, and every certificate is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsPlan>,
    /// Where the run's nonce is published, in the rebuild account, for the new environment to serve.
    pub nonce: NoncePlace,
}

/// What the certificates of the new environment must prove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsPlan {
    /// Port at which the new values of every name are asked for their certificate.
    #[serde(default = "default_tls_port")]
    pub port: u16,
    /// The only authorities that are trusted, for a drill say; else those that the system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities: Option<Authorities>,
}

fn default_tls_port() -> u16 {
    443
}

/// Certificates of private authorities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Authorities {
    /// The certificates, PEM (RFC 7468).
    pub pem: String,
    /// SHA-256 of that text, by which people compare it.
    pub sha256: Digest,
}

/// An object in the rebuild account from which the new environment serves the run's nonce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoncePlace {
    /// Bucket name.
    pub bucket: String,
    /// Object key.
    pub key: String,
}
