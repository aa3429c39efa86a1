//! The accounts of the local AWS, and how to reach one of them.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use blackstart_core::run::AccountId;

/// The region of everything local.
pub const REGION: &str = "us-east-1";

/// The hub: Blackstart itself, plans, ledger, evidence, the hosted zone.
pub const RECOVERY: &str = "111111111111";
/// Where candidates are restored for validation.
pub const VALIDATION: &str = "222222222222";
/// Where the workload is rebuilt.
pub const REBUILD: &str = "333333333333";
/// Owner of the log bucket.
pub const LOG_ARCHIVE: &str = "444444444444";
/// The compromised production account: the one in which the recorded attack took place.
pub const OLD: &str = "218007301253";
/// Accounts that hold references to the old one.
pub const SIBLINGS: [&str; 2] = ["555555555555", "666666666666"];

/// The secret that the emulator expects from an account's root.
const ROOT_SECRET: &str = "test";

/// One of the constants above, or any other text of 12 digits, as an account id.
///
/// # Errors
/// [`blackstart_core::run::InvalidAccountId`] when it is not 12 digits.
pub fn account(id: &str) -> Result<AccountId, blackstart_core::run::InvalidAccountId> {
    AccountId::try_from(id.to_owned())
}

/// Configuration of a client that acts as the root of an account: in the emulator an access key id of 12 digits.
#[must_use]
pub fn root_of(endpoint: &str, account: &str) -> SdkConfig {
    with_credentials(
        endpoint,
        Credentials::new(account, ROOT_SECRET, None, None, "account root"),
    )
}

/// Configuration of a client with these credentials.
#[must_use]
pub fn with_credentials(endpoint: &str, credentials: Credentials) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}
