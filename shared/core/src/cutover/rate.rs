//! How fast a cutover may write: a token bucket per account and API, full jitter after throttling, and a budget of
//! retries. Times are milliseconds of any one clock, and are passed in.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chart::axis::duration;
use crate::references::DocumentKind;
use crate::run::AccountId;

/// Thousandths of a token: the unit in which buckets are kept, so that nothing is rounded away.
const TOKEN: u64 = 1_000;
/// Mean pause before the first retry after throttling, doubled, in milliseconds.
const FIRST_BACKOFF: u64 = 200;
/// Longest pause before a retry, in milliseconds.
const LONGEST_BACKOFF: u64 = 10_000;
/// What a call earns for later retries, in thousandths of one: a tenth of the calls may be repeated.
const EARNED: u64 = 100;
/// Most retries that can be saved up, and what a budget begins with.
const SAVED: u64 = 10 * TOKEN;

/// What an API allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Calls at once after a rest.
    pub burst: u32,
    /// Calls per 1,000 seconds in the long run.
    pub per_thousand_seconds: u32,
}

impl Limit {
    const fn per_second(burst: u32, calls: u32) -> Self {
        Self {
            burst,
            per_thousand_seconds: calls * 1_000,
        }
    }
}

/// What a cutover allows itself, per account and API: half of what is documented, because the account's own work goes
/// on beside. One token is one document written, however many calls that takes.
#[must_use]
pub const fn limit_of(kind: DocumentKind) -> Limit {
    match kind {
        // Chosen: IAM documents no rates (IAM and STS quotas), and has one control plane for the world.
        DocumentKind::RoleTrust => Limit::per_second(2, 1),
        // AWS Lambda quotas, *API requests*: 15 per second for all of the control plane together. A document is written
        // by two calls.
        DocumentKind::FunctionPermissions => Limit::per_second(3, 3),
        // AWS KMS developer guide, *Request quotas*: `PutKeyPolicy` 15 per second.
        DocumentKind::KeyPolicy => Limit::per_second(7, 7),
        // The same: `CreateGrant` 50 and `RevokeGrant` 50 per second.
        DocumentKind::KeyGrants => Limit::per_second(25, 25),
        // AWS Secrets Manager quotas: 50 per second for `GetResourcePolicy` and `PutResourcePolicy` together. A document
        // is read twice for each write.
        DocumentKind::SecretPolicy => Limit::per_second(8, 8),
        // Chosen, below what these have been seen to refuse. Amazon S3, SQS, SNS, DynamoDB and AWS Backup document no
        // rates for the calls that write policies; Amazon ECR and EventBridge document rates for others of their calls.
        DocumentKind::BucketPolicy
        | DocumentKind::QueuePolicy
        | DocumentKind::TopicPolicy
        | DocumentKind::RepositoryPolicy
        | DocumentKind::BusPolicy
        | DocumentKind::TablePolicy
        | DocumentKind::VaultPolicy => Limit::per_second(4, 2),
    }
}

/// A token bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    limit: Limit,
    level: u64,
    at: u64,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn full(limit: Limit, now: u64) -> Self {
        Self {
            level: u64::from(limit.burst) * TOKEN,
            limit,
            at: now,
        }
    }

    /// Takes a token, and says after how many milliseconds it may be used: the call is made then, and needs to ask no
    /// more.
    pub fn take(&mut self, now: u64) -> u64 {
        let rate = u64::from(self.limit.per_thousand_seconds.max(1));
        // A millisecond earns `rate` thousandths of a thousandth. What is not enough for a thousandth of a token stays
        // in the clock.
        let earned = now.saturating_sub(self.at).saturating_mul(rate) / 1_000;
        self.at = self.at.saturating_add(earned.saturating_mul(1_000) / rate);
        self.level = self.level.saturating_add(earned);
        let whole = u64::from(self.limit.burst) * TOKEN;
        if self.level >= whole {
            self.level = whole;
            self.at = self.at.max(now);
        }
        if self.level >= TOKEN {
            self.level -= TOKEN;
            return 0;
        }
        // The missing part is earned while the caller waits, after what callers before it wait for.
        let missing = (TOKEN - self.level).saturating_mul(1_000).div_ceil(rate);
        self.level = 0;
        self.at = self.at.saturating_add(missing);
        self.at.saturating_sub(now)
    }
}

/// The pause before retry number `retry`, from 0: uniform between nothing and twice the last mean.
///
/// That is *full jitter* (AWS Architecture Blog, "Exponential Backoff And Jitter"). `random` is any number, uniformly
/// drawn.
#[must_use]
pub fn full_jitter(retry: u32, random: u64) -> u64 {
    let ceiling = FIRST_BACKOFF
        .saturating_mul(1_u64.checked_shl(retry).unwrap_or(u64::MAX))
        .saturating_mul(2)
        .min(LONGEST_BACKOFF);
    random % (ceiling + 1)
}

/// A budget of retries: what is throttled everywhere is not made worse by repeating everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryBudget(u64);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(SAVED)
    }
}

impl RetryBudget {
    /// A call was made.
    pub fn earn(&mut self) {
        self.0 = (self.0 + EARNED).min(SAVED);
    }

    /// Whether a retry can be afforded; it is then paid for.
    pub fn spend(&mut self) -> bool {
        let affordable = self.0 >= TOKEN;
        if affordable {
            self.0 -= TOKEN;
        }
        affordable
    }
}

/// The buckets of all accounts and APIs that were written to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pace {
    buckets: BTreeMap<(AccountId, DocumentKind), Bucket>,
}

impl Pace {
    /// How many milliseconds to wait before a document of this kind is written in this account.
    pub fn wait(&mut self, account: &AccountId, kind: DocumentKind, now: u64) -> u64 {
        self.buckets
            .entry((account.clone(), kind))
            .or_insert_with(|| Bucket::full(limit_of(kind), now))
            .take(now)
    }
}

/// Where the time of a cutover's writes went, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    /// Waiting for a token, or after throttling.
    pub rate_limits: u64,
    /// Waiting until a written value, or a principal, was visible.
    pub propagation: u64,
    /// Everything else: reading, writing, the journal.
    pub itself: u64,
}

impl Spent {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            rate_limits: self.rate_limits.saturating_add(other.rate_limits),
            propagation: self.propagation.saturating_add(other.propagation),
            itself: self.itself.saturating_add(other.itself),
        }
    }

    /// What was added since.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            rate_limits: self.rate_limits.saturating_sub(earlier.rate_limits),
            propagation: self.propagation.saturating_sub(earlier.propagation),
            itself: self.itself.saturating_sub(earlier.itself),
        }
    }

    /// All of it, in milliseconds.
    #[must_use]
    pub fn whole(self) -> u64 {
        self.rate_limits
            .saturating_add(self.propagation)
            .saturating_add(self.itself)
    }

    /// Whether no time was spent.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.whole() == 0
    }
}

impl std::fmt::Display for Spent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = |milliseconds: u64| duration(milliseconds as f64 / 1_000.0);
        write!(
            f,
            "waited {} for rate limits and {} for propagation, {} in itself",
            seconds(self.rate_limits),
            seconds(self.propagation),
            seconds(self.itself)
        )
    }
}

#[cfg(test)]
#[path = "rate_tests.rs"]
mod tests;
