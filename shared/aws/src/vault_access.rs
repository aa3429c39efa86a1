//! Access to a vault that an approval team guards (AWS multi-party approval): asking for it, and what became of it.
//!
//! Voting is possible in the team's own portal only, and on approval AWS carries the request out by itself, with the
//! permissions of whoever asked. So the session that asks needs `mpa:StartSession`, which is called by AWS Backup and
//! never from here.

use aws_config::SdkConfig;
use blackstart_core::approval::outer::{Access, TeamSession};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::port::{Effect, PortError};
use crate::signed::{Endpoint, Operation, Protocol, Signed};

const BACKUP: Endpoint = Endpoint {
    id: "Backup",
    host: "backup",
    signing: "backup",
};
const TEAMS: Endpoint = Endpoint {
    id: "MPA",
    host: "mpa",
    signing: "mpa",
};

const CREATE: Operation = Operation {
    endpoint: BACKUP,
    permission: "backup:CreateRestoreAccessBackupVault",
    // By its request id.
    effect: Effect::IdempotentWrite,
    protocol: Protocol::Rest { method: "PUT" },
};
const DESCRIBE: Operation = Operation {
    endpoint: BACKUP,
    permission: "backup:DescribeBackupVault",
    effect: Effect::Read,
    protocol: Protocol::Rest { method: "GET" },
};
const SESSION: Operation = Operation {
    endpoint: TEAMS,
    permission: "mpa:GetSession",
    effect: Effect::Read,
    protocol: Protocol::Rest { method: "GET" },
};

/// What stays as it is in a label of a path (RFC 3986, unreserved).
const LABEL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Vault access as one account asks for it.
#[derive(Debug, Clone)]
pub struct VaultAccess {
    signed: Signed,
}

impl VaultAccess {
    /// With these credentials, in the region of the vault.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self::over(Signed::new(config))
    }

    /// Over another connection.
    #[must_use]
    pub fn over(signed: Signed) -> Self {
        Self { signed }
    }

    /// Asks for a restore access vault of this name, which opens a session of the team. A repeat opens no second one.
    ///
    /// # Errors
    /// [`PortError`] as AWS Backup answers.
    pub async fn ask(&self, source: &str, name: &str, comment: &str) -> Result<(), PortError> {
        let what = format!("asking for access to `{source}`");
        let request = json!({
            "SourceBackupVaultArn": source,
            "BackupVaultName": name,
            "CreatorRequestId": name,
            "RequesterComment": comment,
        });
        let asked = self
            .signed
            .json(&CREATE, &what, "/restore-access-backup-vaults", &request)
            .await;
        match asked {
            Ok(_) => Ok(()),
            // The name is made from run and package: it is ours, and its session says what it is about.
            Err(PortError::Refused { why, .. }) if why.starts_with("AlreadyExistsException") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What has become of the request for the vault of this name.
    ///
    /// # Errors
    /// [`PortError`] as AWS Backup and the team's service answer. A vault that is not there yet is no error.
    pub async fn look(&self, name: &str) -> Result<Access, PortError> {
        let what = format!("looking at the vault `{name}`");
        let path = format!("/backup-vaults/{}", utf8_percent_encode(name, LABEL));
        let vault = match self.signed.json(&DESCRIBE, &what, &path, &Value::Null).await {
            Ok(vault) => vault,
            Err(PortError::NotFound { .. }) => return Ok(Access::default()),
            Err(error) => return Err(error),
        };
        let session = match text(&vault, "MpaSessionArn") {
            Some(arn) => Some(self.session(arn).await?),
            None => None,
        };
        Ok(Access {
            vault: text(&vault, "VaultState"),
            source: text(&vault, "SourceBackupVaultArn"),
            session,
        })
    }

    async fn session(&self, arn: String) -> Result<TeamSession, PortError> {
        let what = format!("looking at the approval session `{arn}`");
        // Teams live in another region than most vaults, and their sessions with them.
        let region = arn.split(':').nth(3).unwrap_or_default();
        let path = format!("/sessions/{}", utf8_percent_encode(&arn, LABEL));
        let session = self
            .signed
            .in_region(region)
            .json(&SESSION, &what, &path, &Value::Null)
            .await?;
        let responses = session.get("ApproverResponses").and_then(Value::as_array);
        let approvals = responses
            .into_iter()
            .flatten()
            .filter(|response| response.get("Response").and_then(Value::as_str) == Some("APPROVED"));
        Ok(TeamSession {
            status: text(&session, "Status").unwrap_or_default(),
            code: text(&session, "StatusCode"),
            execution: text(&session, "ExecutionStatus"),
            comment: text(&session, "RequesterComment"),
            team: text(&session, "ApprovalTeamArn"),
            completed: text(&session, "CompletionTime").and_then(|at| at.parse::<Timestamp>().ok()),
            approvals: approvals.count(),
            arn,
        })
    }
}

fn text(answer: &Value, name: &str) -> Option<String> {
    Some(answer.get(name)?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::testing::Wire;

    const ARN: &str = "arn:aws:mpa:us-east-1:777777777777:session/recovery/s-1";

    fn access(wire: &Wire) -> VaultAccess {
        VaultAccess::over(Signed::over(&wire.config(), wire.connector()))
    }

    #[tokio::test]
    async fn the_session_of_a_vault_is_asked_where_it_lives() {
        let wire = Wire::new(|asked| {
            let answer = if asked.uri.contains("/sessions/") {
                json!({
                    "Status": "APPROVED", "ExecutionStatus": "EXECUTED", "RequesterComment": "c",
                    "ApprovalTeamArn": "t", "CompletionTime": "2026-03-01T12:00:00.000Z",
                    "ApproverResponses": [{"Response": "APPROVED"}, {"Response": "NO_RESPONSE"}],
                })
            } else {
                json!({"VaultState": "CREATING", "SourceBackupVaultArn": "v", "MpaSessionArn": ARN})
            };
            (200, answer.to_string())
        });
        let found = access(&wire).look("blackstart-1").await.unwrap();
        assert_eq!(
            (found.vault.as_deref(), found.source.as_deref()),
            (Some("CREATING"), Some("v"))
        );
        let session = found.session.unwrap();
        assert_eq!((session.status.as_str(), session.approvals), ("APPROVED", 1));
        assert_eq!(session.completed, Some("2026-03-01T12:00:00Z".parse().unwrap()));
        let asked = wire.asked();
        let uris: Vec<&str> = asked.iter().map(|asked| asked.uri.as_str()).collect();
        assert_eq!(
            uris,
            [
                "https://backup.eu-west-1.amazonaws.com/backup-vaults/blackstart-1",
                "https://mpa.us-east-1.amazonaws.com/sessions/\
                 arn%3Aaws%3Ampa%3Aus-east-1%3A777777777777%3Asession%2Frecovery%2Fs-1",
            ]
        );
        assert!(asked.iter().all(|asked| asked.method == "GET"));
    }

    #[tokio::test]
    async fn a_vault_that_is_not_there_yet_is_no_error_and_a_repeat_is_no_second_request() {
        let wire = Wire::new(|asked| {
            let code = if asked.method == "PUT" {
                "AlreadyExistsException"
            } else {
                "ResourceNotFoundException"
            };
            (400, json!({"__type": code, "message": "m"}).to_string())
        });
        assert_eq!(
            access(&wire).look("blackstart-1").await.unwrap(),
            Access::default()
        );
        access(&wire).ask("v", "blackstart-1", "why").await.unwrap();
        let body: Value = serde_json::from_str(&wire.asked()[1].body).unwrap();
        assert_eq!(body["CreatorRequestId"], "blackstart-1");
        assert_eq!(body["RequesterComment"], "why");

        let refusing = Wire::new(|_| (400, json!({"__type": "InvalidRequestException"}).to_string()));
        let refused = access(&refusing).ask("v", "blackstart-1", "why").await;
        assert!(matches!(refused, Err(PortError::Refused { .. })), "{refused:?}");
    }
}
