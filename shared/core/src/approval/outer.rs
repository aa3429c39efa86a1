//! The outer gate: AWS Backup's multi-party approval of access to the vault, by people and in an organisation that
//! Blackstart does not know.
//!
//! What AWS says is read closed-world: only an approval that was executed, for our digest, with a vault that is there,
//! opens. States and codes are those of `GetSession` (MPA API reference) and `DescribeBackupVault` (AWS Backup API
//! reference).

use crate::artifact::Digest;
use crate::run::RunId;

/// Longest `RequesterComment` of `CreateRestoreAccessBackupVault`, in characters.
pub const LONGEST_COMMENT: usize = 200;

/// What is sent with the request for access, and is shown to those who approve it.
#[must_use]
pub fn comment(run: &RunId, digest: &Digest) -> String {
    format!("Blackstart run {run}, decision package sha256 {digest}")
}

/// An approval session as AWS describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session<'a> {
    /// `Status`.
    pub status: &'a str,
    /// `StatusCode`.
    pub code: Option<&'a str>,
    /// `ExecutionStatus`: what became of the operation that was approved.
    pub execution: Option<&'a str>,
    /// `RequesterComment`.
    pub comment: Option<&'a str>,
    /// `VaultState` of the restore access vault, once there is one.
    pub vault: Option<&'a str>,
}

/// What follows from a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet: ask again.
    Waiting,
    /// Approved and executed, and the vault is there.
    Open,
    /// The team said no.
    Refused,
    /// The team did not decide in time.
    Expired,
    /// The team was changed while it decided; AWS ends such sessions.
    ConfigurationChanged,
    /// The request was taken back.
    Cancelled,
    /// It was approved, and AWS could not carry it out; or AWS says something that is none of the above.
    Failed(String),
    /// The session is not about this package.
    OtherPackage,
}

/// What a session means for the package with this digest.
#[must_use]
pub fn outcome(session: &Session<'_>, run: &RunId, digest: &Digest) -> Outcome {
    if session.comment != Some(comment(run, digest).as_str()) {
        return Outcome::OtherPackage;
    }
    match (session.status, session.code) {
        (_, Some("REJECTED")) => Outcome::Refused,
        (_, Some("EXPIRED")) => Outcome::Expired,
        (_, Some("CONFIGURATION_CHANGED")) => Outcome::ConfigurationChanged,
        ("CANCELLED", _) => Outcome::Cancelled,
        ("CREATING" | "PENDING", _) => Outcome::Waiting,
        ("APPROVED", _) => match (session.execution, session.vault) {
            (Some("EXECUTED"), Some("AVAILABLE")) => Outcome::Open,
            (Some("FAILED"), _) => Outcome::Failed("the approved operation failed".to_owned()),
            (_, Some("FAILED")) => Outcome::Failed("the vault could not be made".to_owned()),
            (None | Some("PENDING" | "EXECUTED"), None | Some("CREATING" | "AVAILABLE")) => Outcome::Waiting,
            (execution, vault) => Outcome::Failed(format!(
                "approved, but execution is `{}` and the vault `{}`",
                execution.unwrap_or("unknown").escape_debug(),
                vault.unwrap_or("unknown").escape_debug()
            )),
        },
        (status, code) => Outcome::Failed(format!(
            "the session is `{}` with code `{}`",
            status.escape_debug(),
            code.unwrap_or("none").escape_debug()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::fixtures::workload;

    const STATUS: [&str; 6] = ["PENDING", "CREATING", "APPROVED", "FAILED", "CANCELLED", "NEW"];
    const CODE: [Option<&str>; 6] = [
        None,
        Some("REJECTED"),
        Some("EXPIRED"),
        Some("CONFIGURATION_CHANGED"),
        Some("ALL_APPROVERS_IN_SESSION"),
        Some("NEW"),
    ];
    const EXECUTION: [Option<&str>; 5] = [
        None,
        Some("PENDING"),
        Some("EXECUTED"),
        Some("FAILED"),
        Some("NEW"),
    ];
    const VAULT: [Option<&str>; 5] = [
        None,
        Some("CREATING"),
        Some("AVAILABLE"),
        Some("FAILED"),
        Some("NEW"),
    ];

    fn run() -> RunId {
        RunId::of_execution(&workload(), "x")
    }

    #[test]
    fn of_everything_that_aws_can_say_one_thing_opens() {
        let (digest, other) = (Digest::of(b"this"), Digest::of(b"that"));
        let ours = comment(&run(), &digest);
        let mut opened = Vec::new();
        for status in STATUS {
            for code in CODE {
                for execution in EXECUTION {
                    for vault in VAULT {
                        let session = Session {
                            status,
                            code,
                            execution,
                            comment: Some(&ours),
                            vault,
                        };
                        if outcome(&session, &run(), &digest) == Outcome::Open {
                            opened.push(session);
                        }
                        assert_eq!(outcome(&session, &run(), &other), Outcome::OtherPackage);
                    }
                }
            }
        }
        // Codes that are not refusals may accompany it.
        assert_eq!(opened.len(), 3, "{opened:?}");
        for session in opened {
            assert_eq!(
                (session.status, session.execution, session.vault),
                ("APPROVED", Some("EXECUTED"), Some("AVAILABLE"))
            );
        }
    }

    #[test]
    fn each_end_is_told_from_the_others() {
        let digest = Digest::of(b"this");
        let ours = comment(&run(), &digest);
        let said = |status, code, execution, vault| {
            let session = Session {
                status,
                code,
                execution,
                comment: Some(&ours),
                vault,
            };
            outcome(&session, &run(), &digest)
        };
        assert_eq!(said("FAILED", Some("REJECTED"), None, None), Outcome::Refused);
        assert_eq!(said("FAILED", Some("EXPIRED"), None, None), Outcome::Expired);
        assert_eq!(
            said("FAILED", Some("CONFIGURATION_CHANGED"), None, None),
            Outcome::ConfigurationChanged
        );
        assert_eq!(said("CANCELLED", None, None, None), Outcome::Cancelled);
        assert_eq!(said("PENDING", None, None, None), Outcome::Waiting);
        assert_eq!(
            said("APPROVED", None, Some("EXECUTED"), Some("CREATING")),
            Outcome::Waiting
        );
        for failed in [
            said("APPROVED", None, Some("FAILED"), None),
            said("APPROVED", None, Some("EXECUTED"), Some("FAILED")),
            said("FAILED", None, None, None),
            said("", None, None, None),
        ] {
            assert!(matches!(failed, Outcome::Failed(_)), "{failed:?}");
        }
    }

    #[test]
    fn the_longest_comment_fits() {
        let longest = RunId::try_from(format!("{}-0123456789ab", "a".repeat(40))).unwrap();
        assert!(comment(&longest, &Digest::of(b"x")).chars().count() <= LONGEST_COMMENT);
    }
}
