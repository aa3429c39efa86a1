//! Verifying the evidence of a run, offline.

use std::io::Write;
use std::path::PathBuf;

use blackstart_core::evidence::{Bundle, Fault, Proven, verify};
use clap::{Args, Subcommand};

/// What can be done with evidence.
#[derive(Debug, Args)]
pub(crate) struct Evidence {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Verifies the hash chain of a bundle and says what it proves.
    Verify {
        /// The exported evidence of a run, a JSON file.
        bundle: PathBuf,
    },
}

/// The evidence proves nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvidenceError {
    /// The file cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no bundle.
    #[error("`{}` is no evidence bundle", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The chain does not hold.
    #[error("the evidence was tampered with: {}", list(.0))]
    Faulty(Vec<Fault>),
    /// The answer cannot be shown.
    #[error("the answer cannot be written")]
    Output(#[source] std::io::Error),
}

fn list(faults: &[Fault]) -> String {
    faults
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

impl Evidence {
    /// Does what was asked and says so on `out`.
    pub(crate) fn run(&self, out: &mut dyn Write) -> Result<(), EvidenceError> {
        let Action::Verify { bundle: path } = &self.action;
        let bytes = std::fs::read(path).map_err(|source| EvidenceError::Unreadable {
            path: path.clone(),
            source,
        })?;
        let bundle: Bundle = serde_json::from_slice(&bytes).map_err(|source| EvidenceError::Malformed {
            path: path.clone(),
            source,
        })?;
        let proven = verify(&bundle).map_err(EvidenceError::Faulty)?;
        out.write_all(words(&bundle, &proven).as_bytes())
            .map_err(EvidenceError::Output)
    }
}

fn words(bundle: &Bundle, proven: &Proven) -> String {
    let mut text = format!(
        "The evidence of run {} is a chain of {} links, none edited, exchanged, missing or out of order.\n\
         It ends in {}.\n",
        bundle.run, proven.links, proven.head
    );
    text.push_str(&match proven.vouched {
        Some(last) => format!("Up to link {last} a checkpoint vouches that nothing was cut off.\n"),
        None => {
            "No checkpoint vouches for its length: links at the end could have been cut off.\n".to_owned()
        }
    });
    for link in &bundle.links {
        let kind: &str = link.event.kind.into();
        let facts = link
            .event
            .facts
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"));
        let facts: Vec<String> = facts.collect();
        text.push_str(&format!(
            "{:>4}  {}  {kind}  {}\n",
            link.seq,
            link.event.at,
            facts.join(" ")
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use blackstart_core::evidence::{Event, Kind, SCHEMA, append};
    use blackstart_core::run::{RunId, WorkloadName};

    use super::*;

    fn bundle() -> Bundle {
        let run = RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x");
        let event =
            Event::new(Kind::VoteTaken, jiff::Timestamp::UNIX_EPOCH).fact("rationale", "\u{1b}[2Jclean");
        let links = vec![append(&run, None, event).unwrap()];
        Bundle {
            schema: SCHEMA.to_owned(),
            run,
            links,
            checkpoints: Vec::new(),
        }
    }

    fn verified(bundle: &Bundle) -> Result<String, EvidenceError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        serde_json::to_writer(file.as_file(), bundle).unwrap();
        let mut out = Vec::new();
        Evidence {
            action: Action::Verify {
                bundle: file.path().to_owned(),
            },
        }
        .run(&mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_whole_chain_is_explained_without_obeying_its_text() {
        let text = verified(&bundle()).unwrap();
        assert!(
            text.contains("a chain of 1 links") && text.contains("No checkpoint vouches"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn a_faulty_chain_is_an_error_that_says_where() {
        let mut faulty = bundle();
        faulty.links[0].event.facts.insert("person".into(), "eve".into());
        let error = verified(&faulty).unwrap_err();
        assert!(error.to_string().contains("link 0 was edited"), "{error}");
    }
}
