//! SDK configuration: timeouts, few retries, and roles in other accounts.

pub use aws_config::SdkConfig;
use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::types::{PolicyDescriptorType, Tag};
use blackstart_core::plan::Plan;
use blackstart_core::rebuild::request::RUN_TAG;
use blackstart_core::run::{AccountId, Mode, RunId};

use crate::port::{Effect, PortError, classify};

/// Attempts per call, the first included. The state machine retries on top of that, and only what is safe.
const ATTEMPTS: u32 = 3;
/// Session tag: the workload that the run recovers.
const WORKLOAD_TAG: &str = "blackstart:workload";
/// Session tag: `incident` or `drill`, where the caller knows it.
const MODE_TAG: &str = "blackstart:mode";
/// Length of an assumed session: the shortest that STS grants.
const SESSION_SECONDS: i32 = 900;

/// The function's own configuration.
pub async fn own() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                .operation_attempt_timeout(Duration::from_secs(30))
                .operation_timeout(Duration::from_secs(90))
                .build(),
        )
        .load()
        .await
}

/// Assumes the roles that `infra/accounts` creates.
#[derive(Debug, Clone)]
pub struct Accounts {
    own: SdkConfig,
    external_id: String,
    mode: Option<Mode>,
    policies: Vec<String>,
}

/// Whose role, for what.
#[derive(Debug, Clone)]
pub struct Assume<'a> {
    /// AWS partition.
    pub partition: &'a str,
    /// The account.
    pub account: &'a AccountId,
    /// Role name.
    pub role: &'a str,
    /// The run: session name and source identity.
    pub run: &'a RunId,
    /// Region of the clients.
    pub region: &'a str,
    /// What the session may do at most, as a policy document. A stolen session cannot roam beyond it.
    pub session_policy: Option<String>,
}

impl Assume<'_> {
    /// ARN of the role.
    #[must_use]
    pub fn role_arn(&self) -> String {
        format!("arn:{}:iam::{}:role/{}", self.partition, self.account, self.role)
    }
}

impl Accounts {
    /// `external_id` is unique per deployment and demanded by every role's trust policy.
    #[must_use]
    pub fn new(own: SdkConfig, external_id: String) -> Self {
        Self {
            own,
            external_id,
            mode: None,
            policies: Vec::new(),
        }
    }

    /// The same, for a run whose mode is known: its sessions say so in a tag.
    #[must_use]
    pub fn in_mode(&self, mode: Mode) -> Self {
        Self {
            mode: Some(mode),
            ..self.clone()
        }
    }

    /// The same, for sessions that may also do what these managed policies of the other account allow, as far as the role
    /// itself may. The inline session policy stays what it is.
    #[must_use]
    pub fn with_policies(&self, arns: impl IntoIterator<Item = String>) -> Self {
        Self {
            policies: arns.into_iter().collect(),
            ..self.clone()
        }
    }

    /// What every session says of itself, to policies (`aws:PrincipalTag`) and to CloudTrail.
    fn session_tags(&self, run: &RunId) -> BTreeMap<&'static str, String> {
        let mut tags = BTreeMap::from([
            (RUN_TAG, run.to_string()),
            (WORKLOAD_TAG, run.workload().to_owned()),
        ]);
        if let Some(mode) = self.mode {
            tags.insert(MODE_TAG, <&str>::from(mode).to_owned());
        }
        tags
    }

    /// The function's own account: the recovery account.
    ///
    /// # Errors
    /// [`PortError`] as STS answers.
    pub async fn home(&self) -> Result<Option<AccountId>, PortError> {
        let answer = aws_sdk_sts::Client::new(&self.own)
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| classify("asking for the own account", Effect::Read, &error))?;
        Ok(answer
            .account
            .and_then(|account| AccountId::try_from(account).ok()))
    }

    /// Configuration for clients in the rebuild account of a plan, good for 15 minutes.
    ///
    /// # Errors
    /// [`PortError`] as STS answers.
    pub async fn in_rebuild_account(
        &self,
        plan: &Plan,
        run: &RunId,
        session_policy: String,
    ) -> Result<SdkConfig, PortError> {
        self.assume(&Assume {
            partition: &plan.partition,
            account: &plan.accounts.rebuild,
            role: &plan.roles.rebuild,
            run,
            region: &plan.region,
            session_policy: Some(session_policy),
        })
        .await
    }

    /// Configuration for clients in another account, good for 15 minutes.
    ///
    /// # Errors
    /// [`PortError`] as STS answers.
    pub async fn assume(&self, assume: &Assume<'_>) -> Result<SdkConfig, PortError> {
        let what = format!("assuming role `{}`", assume.role_arn());
        let tags = self
            .session_tags(assume.run)
            .into_iter()
            .map(|(key, value)| Tag::builder().key(key).value(value).build())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| PortError::Refused {
                what: what.clone(),
                why: error.to_string(),
            })?;
        let policies = self
            .policies
            .iter()
            .map(|arn| PolicyDescriptorType::builder().arn(arn).build())
            .collect::<Vec<_>>();
        let answer = aws_sdk_sts::Client::new(&self.own)
            .assume_role()
            .role_arn(assume.role_arn())
            .role_session_name(format!("blackstart-{}", assume.run))
            .external_id(&self.external_id)
            .source_identity(assume.run.as_str())
            .set_tags(Some(tags))
            .duration_seconds(SESSION_SECONDS)
            .set_policy(assume.session_policy.clone())
            .set_policy_arns((!policies.is_empty()).then_some(policies))
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        let session = answer.credentials.ok_or_else(|| PortError::Transient {
            what,
            why: "the answer holds no credentials".to_owned(),
        })?;
        let expiry = std::time::SystemTime::try_from(session.expiration).ok();
        let credentials = Credentials::new(
            session.access_key_id,
            session.secret_access_key,
            Some(session.session_token),
            expiry,
            "blackstart-assumed-role",
        );
        Ok(self
            .own
            .to_builder()
            .region(Region::new(assume.region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "signed")]
    use crate::signed::testing::Wire;

    #[test]
    fn a_session_names_its_run_its_workload_and_the_mode_where_it_is_known() {
        let run = RunId::try_from("order-desk-0123456789ab".to_owned()).unwrap();
        let accounts = Accounts::new(SdkConfig::builder().build(), "an external id".to_owned());
        let known = BTreeMap::from([
            ("blackstart:run", "order-desk-0123456789ab".to_owned()),
            ("blackstart:workload", "order-desk".to_owned()),
        ]);
        assert_eq!(accounts.session_tags(&run), known);
        let tags = accounts.in_mode(Mode::Drill).session_tags(&run);
        assert_eq!(tags.get("blackstart:mode").map(String::as_str), Some("drill"));
        assert_eq!(tags.len(), 3);
    }

    #[cfg(feature = "signed")]
    #[tokio::test(flavor = "current_thread")]
    async fn a_session_is_bounded_by_its_own_policy_and_by_managed_ones() {
        let wire = Wire::new(|_| (403, String::new()));
        let run = RunId::try_from("order-desk-0123456789ab".to_owned()).unwrap();
        let account = AccountId::try_from("333333333333".to_owned()).unwrap();
        let assume = Assume {
            partition: "aws",
            account: &account,
            role: "BlackstartRebuild",
            run: &run,
            region: "eu-west-1",
            session_policy: Some("{}".to_owned()),
        };
        let accounts = Accounts::new(wire.config(), "an external id".to_owned());
        let reading = accounts.with_policies(["arn:aws:iam::333333333333:policy/Read".to_owned()]);
        for accounts in [&accounts, &reading] {
            assert!(accounts.assume(&assume).await.is_err());
        }
        let sent: Vec<String> = wire.asked().into_iter().map(|asked| asked.body).collect();
        assert!(!sent[0].contains("PolicyArns"), "{}", sent[0]);
        let named = "PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3A333333333333%3Apolicy%2FRead";
        assert!(
            sent[1].contains(named) && sent[1].contains("&Policy=%7B%7D"),
            "{}",
            sent[1]
        );
    }
}
