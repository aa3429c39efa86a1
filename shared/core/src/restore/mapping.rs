//! Restore metadata: what a recovery point remembers of the resource that it was taken of, made into what
//! `StartRestoreJob` is told in another account.
//!
//! A recovery point remembers the network, keys, roles and names of the old account. Each of them is replaced by what
//! the plan says, or nothing is restored: a database that comes up in a network that nobody planned is no recovery.
//! The keys are those of the AWS Backup Developer Guide, "Restore a backup by resource type" (one page per type) and
//! "Restore testing inferred metadata", which also says that keys are compared without regard to case.

mod foreign;
mod keys;

use std::collections::BTreeMap;

pub use self::keys::is_set_by_us;
use self::keys::{Keys, keys};
use crate::plan::{Plan, Problem, Resource, ResourceType};
use crate::rebuild::RebuildDocument;
use crate::run::AccountId;

/// `${STACK.OUTPUT}` in a value of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placeholder<'a> {
    /// Stack name.
    pub stack: &'a str,
    /// Name of its output.
    pub output: &'a str,
}

/// A `${` in a value is the beginning of no placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("holds `${{` that is no `${{STACK.OUTPUT}}`")]
pub struct NoPlaceholder;

/// Every placeholder of a value, in order.
///
/// # Errors
/// [`NoPlaceholder`].
pub fn placeholders(value: &str) -> Result<Vec<Placeholder<'_>>, NoPlaceholder> {
    let mut found = Vec::new();
    for piece in value.split("${").skip(1) {
        let (inside, _) = piece.split_once('}').ok_or(NoPlaceholder)?;
        let (stack, output) = inside.split_once('.').ok_or(NoPlaceholder)?;
        if stack.is_empty() || output.is_empty() {
            return Err(NoPlaceholder);
        }
        found.push(Placeholder { stack, output });
    }
    Ok(found)
}

/// The value with the outputs of the rebuilt stacks in it.
fn resolved(value: &str, rebuilt: &RebuildDocument) -> Result<String, String> {
    let mut text = value.to_owned();
    for Placeholder { stack, output } in placeholders(value).map_err(|error| error.to_string())? {
        let known = rebuilt
            .stacks
            .iter()
            .find(|built| built.name == stack)
            .and_then(|built| built.outputs.get(output))
            .ok_or_else(|| format!("stack `{stack}` has no output `{output}`"))?;
        text = text.replace(&format!("${{{stack}.{output}}}"), known);
    }
    Ok(text)
}

/// What the plan says about the restore of one resource, with the outputs of the rebuilt stacks in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    resource: String,
    resource_type: ResourceType,
    name: String,
    metadata: BTreeMap<String, String>,
    identifiers: BTreeMap<String, String>,
    old: AccountId,
    own: AccountId,
}

impl Declared {
    /// Reads the plan.
    ///
    /// # Errors
    /// Every output that no rebuilt stack has.
    pub fn of(plan: &Plan, resource: &Resource, rebuilt: &RebuildDocument) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut read = |at: &str, values: &BTreeMap<String, String>| {
            let mut known = BTreeMap::new();
            for (key, value) in values {
                match resolved(value, rebuilt) {
                    Ok(value) => drop(known.insert(key.clone(), value)),
                    Err(what) => problems.push(Problem {
                        at: format!("{at}.{}", key.escape_debug()),
                        what,
                    }),
                }
            }
            known
        };
        let metadata = read(&format!("restores.{}.metadata", resource.id), &resource.metadata);
        let identifiers = read("restore.identifiers", &plan.restore.identifiers);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            resource: resource.id.clone(),
            resource_type: resource.resource_type,
            name: resource.restore_to.clone(),
            metadata,
            identifiers,
            old: plan.accounts.old.clone(),
            own: plan.accounts.rebuild.clone(),
        })
    }

    /// The same before anything is rebuilt: outputs of stacks stay placeholders. It is enough to say what the plan does not
    /// map.
    #[must_use]
    pub fn before_rebuild(plan: &Plan, resource: &Resource) -> Self {
        Self {
            resource: resource.id.clone(),
            resource_type: resource.resource_type,
            name: resource.restore_to.clone(),
            metadata: resource.metadata.clone(),
            identifiers: plan.restore.identifiers.clone(),
            old: plan.accounts.old.clone(),
            own: plan.accounts.rebuild.clone(),
        }
    }

    /// The same for the trial of one point, into a throw-away resource of this name in the validation account, where
    /// nothing of the plan is rebuilt.
    #[must_use]
    pub fn for_trial(plan: &Plan, resource: &Resource, name: &str) -> Self {
        Self {
            resource: resource.id.clone(),
            resource_type: resource.resource_type,
            name: name.to_owned(),
            metadata: resource.trial_metadata.clone(),
            identifiers: BTreeMap::new(),
            old: plan.accounts.old.clone(),
            own: plan.accounts.validation.clone(),
        }
    }

    /// What is known before the recovery point is asked, and what people approve: the new name, what Blackstart sets
    /// itself, and the plan's own metadata.
    #[must_use]
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let keys = keys(self.resource_type);
        let mut metadata = BTreeMap::new();
        for (key, value) in keys.defaults {
            put(&mut metadata, key, (*value).to_owned());
        }
        for (key, value) in &self.metadata {
            put(&mut metadata, key, value.clone());
        }
        for (key, value) in keys.fixed {
            put(&mut metadata, key, (*value).to_owned());
        }
        for key in keys.name {
            put(&mut metadata, key, self.name.clone());
        }
        metadata
    }

    /// What `StartRestoreJob` is told: [`Declared::metadata`], and of the recovery point's own metadata everything
    /// that names nothing of the old account, or whose names the plan maps.
    ///
    /// # Errors
    /// Everything of the old account that is not mapped, and everything without which AWS Backup would restore into
    /// the account's default network.
    pub fn map(&self, original: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Vec<Problem>> {
        let keys = keys(self.resource_type);
        let mut mapped = self.metadata();
        let mut problems = Vec::new();
        let mut problem = |key: &str, what: String| {
            problems.push(Problem {
                at: format!("restores.{}.metadata.{}", self.resource, key.escape_debug()),
                what,
            });
        };
        for (key, value) in original {
            if keys.drops(key) || contains(&self.metadata, key) || self.replaces(&keys, key) {
                continue;
            }
            if keys.keeps(key) {
                put(&mut mapped, key, value.clone());
                continue;
            }
            if let Some(new) = self.identifiers.get(value) {
                put(&mut mapped, key, new.clone());
                continue;
            }
            if keys.is_name(key) && !is_default(value) {
                problem(
                    key,
                    format!(
                        "`{}` is a name in the old account: map it in `restore.identifiers` or set the key in the resource's `metadata`",
                        value.escape_debug()
                    ),
                );
                continue;
            }
            let outcome = foreign::replace(value, &self.identifiers, &self.old, &self.own);
            for unmapped in outcome.unmapped {
                problem(
                    key,
                    format!(
                        "`{}` is of the old account: map it in `restore.identifiers` or set the key in the resource's `metadata`",
                        unmapped.escape_debug()
                    ),
                );
            }
            // Where the plan leaves the choice to us, the recovery point's own answer is the better one.
            put(&mut mapped, key, outcome.text);
        }
        let is_inside = keys.inside.is_some_and(|key| contains(&mapped, key));
        for key in keys.required.iter().filter(|_| !is_inside) {
            if mapped
                .iter()
                .all(|(name, value)| !name.eq_ignore_ascii_case(key) || value.trim().is_empty())
            {
                problem(
                    key,
                    "is missing: without it AWS Backup restores into the default network of the account; set it in the resource's `metadata`".to_owned(),
                );
            }
        }
        if problems.is_empty() {
            Ok(mapped)
        } else {
            problems.sort();
            problems.dedup();
            Err(problems)
        }
    }

    /// Whether the recovery point has no say in this key.
    fn replaces(&self, keys: &Keys, key: &str) -> bool {
        let is_ours = keys
            .fixed
            .iter()
            .map(|(name, _)| name)
            .chain(keys.name)
            .any(|name| name.eq_ignore_ascii_case(key));
        // A key of the old account goes with the kind of encryption that the plan has chosen instead.
        let chosen = keys.encryption.is_some_and(|(kind, of)| {
            contains(&self.metadata, kind) && (key.eq_ignore_ascii_case(of) || key.eq_ignore_ascii_case(kind))
        });
        is_ours || chosen
    }
}

fn is_default(value: &str) -> bool {
    let bare = value.trim_matches(|c: char| c == '"' || c.is_whitespace());
    bare.is_empty() || bare == "null" || bare.starts_with("default.") || bare.starts_with("default:")
}

fn contains(metadata: &BTreeMap<String, String>, key: &str) -> bool {
    metadata.keys().any(|name| name.eq_ignore_ascii_case(key))
}

/// Sets a key, in place of any other spelling of it.
fn put(metadata: &mut BTreeMap<String, String>, key: &str, value: String) {
    metadata.retain(|name, _| !name.eq_ignore_ascii_case(key));
    metadata.insert(key.to_owned(), value);
}

#[cfg(test)]
mod tests;
