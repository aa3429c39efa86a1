//! Rewrites a document by edits in its original bytes, and has every result proven.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::edit::{Edit, apply, swap, written};
use super::encoding::decode;
use super::json::Unreadable;
use super::logs::swap_beside_logs;
use super::map::IdentifierMap;
use super::positions::{Disposition, Position};
use super::prove::{NotProven, Proof, prove};
use super::tokens::{Token, scan_decoded, settle_spelling};
use super::{DocumentKind, Form};

mod expand;
mod limit;

/// How references change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Mode {
    /// Every old identifier becomes its successor: the new environment in, the old one out.
    Swap,
    /// The successor is let in beside the old identifier.
    Expand,
}

/// A rewritten document with its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rewritten {
    /// The new text.
    pub after: String,
    /// What the prover showed.
    pub proof: Proof,
    /// The edits that make `after` from the original, in order.
    pub edits: Vec<Edit>,
    /// What a person should look at all the same.
    pub notices: Vec<String>,
}

/// Why a document is not rewritten.
#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "refused", rename_all = "snake_case")]
pub enum Refused {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It names nothing of the old environment.
    #[error("names nothing of the old environment")]
    NothingToRewrite,
    /// It holds references that no rewriter owns.
    #[error("{} reference(s) that no rewriter owns: {}", tokens.len(), list(tokens))]
    Unhandled {
        /// The references.
        tokens: Vec<Token>,
    },
    /// The successor is already there, so that the rewrite could not be undone.
    #[error("already contains `{identifier}`: a rewrite could not be told from what was there")]
    NewAlreadyPresent {
        /// The new identifier.
        identifier: String,
    },
    /// No candidate lets the new environment in without changing anything else.
    #[error("cannot be expanded exactly, only swapped: {reason}")]
    NoExactExpansion {
        /// Why the last candidate was not good.
        reason: String,
    },
    /// The result is larger than the service accepts.
    #[error("the result has {size} {unit}, the limit is {limit}")]
    TooLarge {
        /// Size by the service's own counting rule.
        size: usize,
        /// What is counted.
        unit: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The prover did not accept the result.
    #[error("not proven: {reason}")]
    NotProven {
        /// Its reason.
        #[source]
        reason: NotProven,
    },
}

fn list(tokens: &[Token]) -> String {
    tokens
        .iter()
        .map(|token| {
            let why = match token.disposition {
                Disposition::Unhandled(why) | Disposition::Keep(why) => why,
                Disposition::Rewrite => "",
            };
            format!(
                "`{}` at {} ({why})",
                token.old.escape_debug(),
                token.path.escape_debug()
            )
        })
        .collect::<Vec<_>>()
        .join("; ")
}

/// Rewrites a document and proves the result.
///
/// # Errors
/// [`Refused`]: nothing is rewritten in part.
pub fn rewrite(
    text: &str,
    form: impl Into<Form>,
    map: &IdentifierMap,
    mode: Mode,
) -> Result<Rewritten, Refused> {
    let form = form.into();
    if form == Form::Config && mode == Mode::Expand && super::entries::entries_of(text).is_ok() {
        return super::entries::expand(text, map);
    }
    let decoded = decode(text);
    let (mut tokens, tree) = scan_decoded(&decoded, form, map)?;
    for token in &mut tokens {
        settle_spelling(token, &decoded.text);
    }
    let (unhandled, rest): (Vec<_>, Vec<_>) = tokens
        .into_iter()
        .partition(|token| matches!(token.disposition, Disposition::Unhandled(_)));
    if !unhandled.is_empty() {
        let mut tokens = unhandled;
        for token in &mut tokens {
            token.span = decoded.written(&token.span);
        }
        return Err(Refused::Unhandled { tokens });
    }
    let owned: Vec<Token> = rest
        .into_iter()
        .filter(|token| token.disposition == Disposition::Rewrite)
        .collect();
    if owned.is_empty() {
        return Err(Refused::NothingToRewrite);
    }
    if let Some(pair) = map
        .pairs()
        .iter()
        .find(|pair| text.contains(pair.new.as_str()) || decoded.text.contains(pair.new.as_str()))
    {
        return Err(Refused::NewAlreadyPresent {
            identifier: pair.new.clone(),
        });
    }
    let (edits, proof) = match mode {
        Mode::Swap => {
            let edits = match (&tree, form) {
                (Some(tree), Form::Policy(_)) => swap_beside_logs(&decoded.text, tree, &owned),
                _ => swap(&decoded.text, &owned),
            };
            let edits = written(&decoded, &edits);
            let after = apply(text, &edits);
            let proof = prove(text, &after, form, map, mode, &edits)
                .map_err(|reason| Refused::NotProven { reason })?;
            (edits, proof)
        }
        Mode::Expand => {
            let Some(tree) = tree.filter(|_| matches!(form, Form::Policy(_))) else {
                return Err(Refused::NoExactExpansion {
                    reason: "it is configuration, not a policy: there is no way to name two accounts"
                        .to_owned(),
                });
            };
            expand::expand(text, &decoded, &tree, form, &owned, map)?
        }
    };
    let after = apply(text, &edits);
    if let Form::Policy(Some(kind)) = form {
        limit::check(kind, text, &after)?;
    }
    Ok(Rewritten {
        after,
        proof,
        notices: notices(&owned, mode, &edits),
        edits,
    })
}

/// How many of the notices of one kind are listed.
const MOST_NOTICES: usize = 20;

fn notices(tokens: &[Token], mode: Mode, edits: &[Edit]) -> Vec<String> {
    let kept = edits.iter().any(|edit| edit.span.is_empty());
    let mut notices: Vec<String> = tokens
        .iter()
        .filter_map(|token| {
            let path = token.path.escape_debug();
            if token.position == Position::LogPath {
                let what = match mode {
                    Mode::Expand => return None,
                    Mode::Swap if kept && token.path.contains(".Resource") => {
                        "the old log path stays beside the new one: logs from before the move are below it"
                    }
                    Mode::Swap => {
                        "logs from before the move stay below the old account's path, which this no longer covers"
                    }
                };
                return Some(format!("{path}: {what}"));
            }
            let bound = token.path.to_ascii_lowercase().contains("kms:encryptioncontext:");
            (bound && mode == Mode::Swap).then(|| {
                format!(
                    "{path}: what was encrypted under the old context can only be decrypted under the old context"
                )
            })
        })
        .collect();
    notices.dedup();
    if notices.len() > MOST_NOTICES {
        let more = notices.len() - MOST_NOTICES;
        notices.truncate(MOST_NOTICES);
        notices.push(format!("and {more} more places of this kind"));
    }
    notices
}
