//! Everything that touches AWS: the Lambda harness, clients, and one adapter per service.
//!
//! Each service is a module behind a cargo feature, so that a function's dependency list says what it can reach.
#![warn(missing_docs)]

#[cfg(feature = "iam")]
pub mod access_keys;
#[cfg(feature = "analyzer")]
pub mod analyzer;
#[cfg(feature = "artifacts")]
pub mod artifacts;
#[cfg(feature = "backup")]
pub mod backup;
#[cfg(feature = "sfn")]
pub mod callbacks;
#[cfg(feature = "certificates")]
pub mod certificates;
#[cfg(feature = "lambda")]
pub mod check_function;
pub mod clients;
#[cfg(feature = "signed")]
pub mod cloud_control;
#[cfg(feature = "cloudformation")]
pub mod cloudformation;
#[cfg(all(feature = "backup", feature = "content"))]
pub mod configuration;
#[cfg(feature = "content")]
pub mod content;
#[cfg(feature = "databases")]
pub mod databases;
#[cfg(feature = "digests")]
pub mod digest_signature;
#[cfg(feature = "documents")]
pub mod documents;
#[cfg(feature = "document-writes")]
pub mod documents_write;
pub mod env;
#[cfg(feature = "ledger")]
pub mod evidence;
#[cfg(any(test, feature = "memory"))]
pub mod faults;
#[cfg(all(feature = "artifacts", feature = "ledger"))]
pub mod gate;
#[cfg(feature = "guardduty")]
pub mod guardduty;
pub mod harness;
#[cfg(feature = "sfn")]
pub mod histories;
#[cfg(feature = "lambda")]
pub mod hooks;
#[cfg(feature = "ledger")]
pub mod ledger;
#[cfg(all(feature = "artifacts", feature = "s3"))]
pub mod logs;
#[cfg(feature = "sns")]
pub mod notices;
#[cfg(feature = "organizations")]
pub mod organizations;
#[cfg(feature = "parameters")]
pub mod parameters;
pub mod port;
#[cfg(feature = "ledger")]
pub mod records;
#[cfg(feature = "route53")]
pub mod route53;
#[cfg(feature = "secretsmanager")]
pub mod secretsmanager;
#[cfg(feature = "sign-in")]
pub mod sign_in;
#[cfg(feature = "signed")]
pub mod signed;
#[cfg(feature = "kms")]
pub mod signer;
#[cfg(feature = "surroundings")]
pub mod surroundings;
pub mod telemetry;
#[cfg(feature = "tokens")]
pub mod tokens;
#[cfg(all(feature = "sfn", feature = "tokens"))]
pub mod trial_waits;
#[cfg(feature = "vault-access")]
pub mod vault_access;
