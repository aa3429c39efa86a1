//! The evidence of a run: verifying it offline, and fetching it.

mod export;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use blackstart_aws::artifacts::ArtifactError;
use blackstart_core::artifact::Digest;
use blackstart_core::evidence::bundle::{Attested, BundleFault, verify};
use blackstart_core::evidence::dsse::{NotPem, PublicKey};
use blackstart_core::run::RunId;
use clap::{Args, Subcommand};

/// What can be done with evidence.
#[derive(Debug, Args)]
pub(crate) struct Evidence {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Verifies a bundle and says what it proves and what it does not. 0: verified, 1: not, 2: it could not be read.
    Verify {
        /// The exported evidence of a run: `evidence.intoto.jsonl`.
        bundle: PathBuf,
        /// The public key that must have signed, PEM or DER, from where the bundle is not from.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// A folder with the run's artifacts, by their paths within the run; each is compared with its digest.
        #[arg(long, value_name = "FOLDER")]
        artifacts: Option<PathBuf>,
        /// Shows every link.
        #[arg(long)]
        links: bool,
    },
    Export(export::Export),
}

/// The evidence cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvidenceError {
    /// A file cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The key is none.
    #[error("`{}` is no public key in PEM or DER", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: NotPem,
    },
    /// A file cannot be written.
    #[error("`{}` cannot be written", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The report function did not export it.
    #[error("the evidence of run `{run}` was not exported: {why}")]
    NotExported {
        /// The run.
        run: RunId,
        /// Why.
        why: String,
    },
    /// What was exported cannot be fetched.
    #[error(transparent)]
    Artifact(Box<ArtifactError>),
    /// The answer cannot be shown.
    #[error("the answer cannot be written")]
    Output(#[source] std::io::Error),
}

/// Whether a key made an ECDSA P-256 SHA-256 signature, in DER, over a message.
pub fn signed(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.der())
        .verify(message, signature)
        .is_ok()
}

/// Verifies a bundle with the real signature algorithm.
///
/// # Errors
/// Every fault found.
pub fn verified(bytes: &[u8], key: Option<&PublicKey>) -> Result<Attested, Vec<BundleFault>> {
    verify(bytes, key, &signed)
}

impl Evidence {
    /// Does what was asked and says so on `out`. `true`: the evidence holds.
    pub(crate) async fn run(&self, out: &mut dyn Write) -> Result<bool, EvidenceError> {
        let (bundle, key, artifacts, links) = match &self.action {
            Action::Verify {
                bundle,
                key,
                artifacts,
                links,
            } => (bundle, key, artifacts, links),
            Action::Export(export) => {
                // Verifying is done offline, so nobody asks for credentials before.
                let config = crate::own().await;
                export.run(&config, jiff::Timestamp::now(), out).await?;
                return Ok(true);
            }
        };
        let bytes = read(bundle)?;
        let key = key.as_deref().map(read_key).transpose()?;
        let (text, holds) = match verified(&bytes, key.as_ref()) {
            Ok(attested) => {
                let compared = artifacts
                    .as_deref()
                    .map(|folder| Compared::with(folder, &attested.artifacts));
                let holds = compared.as_ref().is_none_or(Compared::holds);
                (words(&attested, compared.as_ref(), *links), holds)
            }
            Err(faults) => (complaint(&faults), false),
        };
        out.write_all(shown(&text).as_bytes())
            .map_err(EvidenceError::Output)?;
        Ok(holds)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, EvidenceError> {
    std::fs::read(path).map_err(|source| EvidenceError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn read_key(path: &Path) -> Result<PublicKey, EvidenceError> {
    let bytes = read(path)?;
    // A DER structure begins with the tag of a sequence.
    if bytes.first() == Some(&0x30) {
        return Ok(PublicKey::of_der(bytes));
    }
    PublicKey::of_pem(&String::from_utf8_lossy(&bytes)).map_err(|source| EvidenceError::NoKey {
        path: path.to_owned(),
        source,
    })
}

/// Artifacts, compared with the digests of the bundle.
#[derive(Debug, Default)]
struct Compared {
    same: usize,
    missing: Vec<String>,
    different: Vec<String>,
}

impl Compared {
    fn with(folder: &Path, artifacts: &BTreeMap<String, Digest>) -> Self {
        let mut compared = Self::default();
        for (name, wanted) in artifacts {
            match within(folder, name).and_then(|path| std::fs::read(path).ok()) {
                Some(bytes) if Digest::of(&bytes) == *wanted => compared.same += 1,
                Some(_) => compared.different.push(name.clone()),
                None => compared.missing.push(name.clone()),
            }
        }
        compared
    }

    fn holds(&self) -> bool {
        self.different.is_empty()
    }
}

/// A path below the folder. A name in a bundle is hostile text: it must not lead anywhere else.
fn within(folder: &Path, name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    plain.then(|| folder.join(path))
}

fn complaint(faults: &[BundleFault]) -> String {
    let mut text = String::from("The evidence does not hold. Nothing in it is proven.\n");
    for fault in faults {
        let _infallible = writeln!(text, "  ✗ {fault}");
    }
    text
}

fn words(attested: &Attested, compared: Option<&Compared>, links: bool) -> String {
    let mut proven = vec![format!(
        "every line was signed by key {}, {}, and no byte was changed since",
        attested.key.id(),
        if attested.pinned {
            "the one that you gave"
        } else {
            "the one in the bundle"
        }
    )];
    proven.push(format!(
        "{} links, none edited, exchanged, missing, out of order or at a place twice; the last is {}",
        attested.proven.links, attested.proven.head
    ));
    if !attested.checkpoints.is_empty() {
        let stages: Vec<String> = attested
            .checkpoints
            .iter()
            .map(|(stage, seq)| format!("{stage} up to link {seq}"))
            .collect();
        proven.push(format!(
            "the chain is the one of {} checkpoints that were signed while the run lived: {}",
            stages.len(),
            stages.join(", ")
        ));
    }
    proven.push(format!(
        "{} effects past the gate, each after an approval of exactly its package by a quorum",
        attested.approved_effects
    ));
    for approval in &attested.approvals {
        let people: Vec<&str> = approval.people.iter().map(String::as_str).collect();
        proven.push(format!(
            "package {} was approved by {} ({} needed)",
            approval.package,
            people.join(", "),
            approval.quorum
        ));
    }
    if let Some(compared) = compared.filter(|compared| compared.same > 0) {
        proven.push(format!(
            "{} artifacts of your folder are byte for byte those of the run",
            compared.same
        ));
    }

    let mut open = Vec::new();
    if !attested.pinned {
        open.push(
            "whose key it is: whoever made this file could have made the key too; get the key elsewhere and pin it \
             with --key"
                .to_owned(),
        );
    }
    match compared {
        None => open.push(format!(
            "that the {} artifacts are the ones of the run: give their folder with --artifacts",
            attested.artifacts.len()
        )),
        Some(compared) if !compared.missing.is_empty() => open.push(format!(
            "anything about {} artifacts that are not in your folder: {}",
            compared.missing.len(),
            compared.missing.join(", ")
        )),
        Some(_) => {}
    }
    open.push(format!(
        "anything that happened after {}, when it was exported",
        attested.at
    ));
    open.push(
        "that what the functions recorded was true when they recorded it: only that nobody changed it afterwards"
            .to_owned(),
    );

    let mut text = format!("Run {}, evidence of {}\n\nProven\n", attested.run, attested.at);
    for line in proven {
        let _infallible = writeln!(text, "  ✓ {line}");
    }
    if let Some(compared) = compared.filter(|compared| !compared.holds()) {
        text.push_str("\nRefuted\n");
        for name in &compared.different {
            let _infallible = writeln!(text, "  ✗ `{name}` in your folder is not the artifact of the run");
        }
    }
    text.push_str("\nNot proven\n");
    for line in open {
        let _infallible = writeln!(text, "  · {line}");
    }
    if links {
        text.push_str("\nLinks\n");
        for link in &attested.links {
            let kind: &str = link.event.kind.into();
            let facts: Vec<String> = link
                .event
                .facts
                .iter()
                .map(|(name, value)| format!("{name}={value:?}"))
                .collect();
            let _infallible = writeln!(
                text,
                "{:>5}  {}  {kind}  {}",
                link.seq,
                link.event.at,
                facts.join(" ")
            );
        }
    }
    text
}

/// Text from votes, names and errors, made harmless for a terminal.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| {
            let hostile = (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
            if hostile { '\u{fffd}' } else { c }
        })
        .collect()
}

#[cfg(test)]
mod tests;
