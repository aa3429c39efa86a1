//! Replacing one credential: observe, decide, one step, and again, so that a repeat goes on where the last one ended.

use std::collections::BTreeMap;

use blackstart_aws::port::PortError;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::plan::{Credential, DatabaseKind, Plan, Secret};
use blackstart_core::rotation::certificate;
use blackstart_core::rotation::database::{PasswordStep, next_password_step, password_of};
use blackstart_core::rotation::hook::HookRequest;
use blackstart_core::rotation::managed::{ManagedStep, next_managed_step};
use blackstart_core::rotation::{
    CURRENT, KeyStep, ParameterStep, RotatedCredential, SecretValue, Step, access_key_of, access_key_secret,
    next_key_step, next_parameter_step, next_step, parameter_label, version_of, with_new_keys,
};
use blackstart_core::run::RunId;

use crate::RotateError;
use crate::port::Credentials;

/// Steps per credential after which it is given up: one write, and a label for each of the 20 that a secret can have.
const MAX_STEPS: u32 = 22;

/// How far a credential is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is replaced.
    Done(Vec<RotatedCredential>),
    /// The service is still at work on it: look again later.
    Waits,
}

/// Gives a secret a new value, until the run's version is the only labelled one.
pub(crate) async fn secret(
    run: &RunId,
    secret: &Secret,
    account: &impl Credentials,
) -> Result<RotatedCredential, RotateError> {
    let version = version_of(run, &secret.name);
    for _ in 0..MAX_STEPS {
        let step = next_step(&version, &account.versions(&secret.name).await?);
        if step == Step::Write {
            let value = new_value(secret, account).await?;
            // An existing version is found by the next look.
            account.put(&secret.name, &version, &value).await?;
        } else if settled(&secret.name, step, account).await? {
            return Ok(done(&secret.name, version));
        }
    }
    Err(RotateError::Restless(secret.name.clone()))
}

/// Replaces a credential of another kind; an access key is two: the key, and the secret that holds it.
pub(crate) async fn credential(
    run: &RunId,
    plan: &Plan,
    package: &DecisionPackage,
    credential: &Credential,
    account: &impl Credentials,
) -> Result<Turn, RotateError> {
    let done_at_once = match credential {
        Credential::AccessKey { user, secret } => access_key(run, user, secret, account).await?,
        Credential::Database {
            database,
            of,
            secret,
            key,
            length,
        } => {
            let secret = Secret {
                name: secret.clone(),
                length: *length,
                keys: key.iter().cloned().collect(),
            };
            return master_password(run, *of, database, &secret, account).await;
        }
        Credential::ManagedPassword { database, of } => {
            return managed_password(run, *of, database, account).await;
        }
        Credential::Certificate { name, stack, output } => {
            let not_new = |why| RotateError::NotNew {
                name: name.clone(),
                why,
            };
            let arn = certificate::arn_of(plan, &package.stacks, stack, output).map_err(not_new)?;
            match certificate::judge(&account.certificate(&arn).await?, package.boundary) {
                certificate::Verdict::New { serial } => vec![done(name, serial)],
                certificate::Verdict::NotNew(why) => return Err(not_new(why)),
                certificate::Verdict::Wait => return Ok(Turn::Waits),
            }
        }
        Credential::Parameter { name, length } => vec![parameter(run, name, *length, account).await?],
        Credential::Hook { name, function } => {
            let request = HookRequest {
                operation: "rotate",
                run: run.to_string(),
                credential: name.clone(),
                token: version_of(run, name),
            };
            let answer = account.ask_hook(function, &request).await?;
            vec![done(name, answer.version)]
        }
    };
    Ok(Turn::Done(done_at_once))
}

fn done(name: &str, version: String) -> RotatedCredential {
    RotatedCredential {
        name: name.to_owned(),
        version,
    }
}

async fn new_value(secret: &Secret, account: &impl Credentials) -> Result<SecretValue, RotateError> {
    if secret.keys.is_empty() {
        return Ok(account.random(secret.length).await?);
    }
    let mut new = BTreeMap::new();
    for key in &secret.keys {
        new.insert(key.clone(), account.random(secret.length).await?);
    }
    let current = account.value(&secret.name, None).await?;
    Ok(with_new_keys(&secret.name, &current, &new)?)
}

/// Does what is left once the run's version of a secret is there. `true`: nothing is.
async fn settled(name: &str, step: Step, account: &impl Credentials) -> Result<bool, RotateError> {
    match step {
        Step::Done => Ok(true),
        Step::Retire { version, label } => {
            account.take_label(name, &version, &label).await?;
            Ok(false)
        }
        Step::Write => Ok(false),
        Step::Overtaken { by } => Err(RotateError::Overtaken {
            name: name.to_owned(),
            by,
        }),
    }
}

async fn access_key(
    run: &RunId,
    user: &str,
    secret: &str,
    account: &impl Credentials,
) -> Result<Vec<RotatedCredential>, RotateError> {
    let version = version_of(run, secret);
    for _ in 0..MAX_STEPS {
        let step = next_step(&version, &account.versions(secret).await?);
        let written = match step {
            Step::Write => None,
            Step::Done | Step::Retire { .. } | Step::Overtaken { .. } => {
                access_key_of(&account.value(secret, Some(&version)).await?)
            }
        };
        if !matches!(step, Step::Write | Step::Done) {
            settled(secret, step, account).await?;
            continue;
        }
        match next_key_step(&account.access_keys(user).await?, written.as_deref()) {
            KeyStep::Delete { id } => account.delete_access_key(user, &id).await?,
            KeyStep::Make => {
                let (id, key) = account.make_access_key(user).await?;
                // A version that another executor wrote meanwhile is found by the next look, and this key goes.
                account
                    .put(secret, &version, &access_key_secret(&id, &key))
                    .await?;
            }
            KeyStep::Deactivate { id } => account.deactivate(user, &id).await?,
            KeyStep::Done => {
                let id = written.unwrap_or_default();
                return Ok(vec![done(user, id), done(secret, version)]);
            }
            KeyStep::Lost => {
                return Err(RotateError::KeyLost {
                    user: user.to_owned(),
                    secret: secret.to_owned(),
                });
            }
        }
    }
    Err(RotateError::Restless(user.to_owned()))
}

/// The secret first, then the database, then the labels of older values: at no time has the database a password that no
/// version of the secret holds. A database takes minutes for it.
async fn master_password(
    run: &RunId,
    of: DatabaseKind,
    database: &str,
    secret: &Secret,
    account: &impl Credentials,
) -> Result<Turn, RotateError> {
    let version = version_of(run, &secret.name);
    for _ in 0..MAX_STEPS {
        let step = next_step(&version, &account.versions(&secret.name).await?);
        if step == Step::Write {
            let value = new_value(secret, account).await?;
            account.put(&secret.name, &version, &value).await?;
            continue;
        }
        if matches!(step, Step::Overtaken { .. }) {
            settled(&secret.name, step, account).await?;
            continue;
        }
        match next_password_step(&version, &account.master_password(of, database).await?) {
            PasswordStep::Set => {
                let value = account.value(&secret.name, Some(&version)).await?;
                let key = secret.keys.first().map(String::as_str);
                let password = password_of(&secret.name, &value, key)?;
                account
                    .set_master_password(of, database, &password, &version)
                    .await?;
            }
            PasswordStep::Wait => return Ok(Turn::Waits),
            PasswordStep::Done => {
                if settled(&secret.name, step, account).await? {
                    let both = vec![done(database, version.clone()), done(&secret.name, version)];
                    return Ok(Turn::Done(both));
                }
            }
        }
    }
    Err(RotateError::Restless(database.to_owned()))
}

/// Every change takes RDS a while, so at most one is asked for in a call.
async fn managed_password(
    run: &RunId,
    of: DatabaseKind,
    database: &str,
    account: &impl Credentials,
) -> Result<Turn, RotateError> {
    for _ in 0..MAX_STEPS {
        let said = account.managed_password(of, database).await?;
        let current = match &said.secret {
            Some(secret) => {
                let versions = account.versions(&secret.arn).await?;
                let current = versions.into_iter().find(|(_, labels)| labels.contains(CURRENT));
                current.map(|(version, _)| version)
            }
            None => None,
        };
        match next_managed_step(run, &said, current.as_deref()) {
            ManagedStep::Note(note) => account.note_rotation(of, database, &note).await?,
            ManagedStep::Manage => {
                account.manage_password(of, database, false).await?;
                return Ok(Turn::Waits);
            }
            ManagedStep::Rotate => {
                account.manage_password(of, database, true).await?;
                return Ok(Turn::Waits);
            }
            ManagedStep::Wait => return Ok(Turn::Waits),
            ManagedStep::Done { version } => return Ok(Turn::Done(vec![done(database, version)])),
            ManagedStep::Impaired => {
                return Err(RotateError::NotNew {
                    name: database.to_owned(),
                    why: "RDS cannot use the secret that it keeps the password in: look at its key"
                        .to_owned(),
                });
            }
        }
    }
    Err(RotateError::Restless(database.to_owned()))
}

async fn parameter(
    run: &RunId,
    name: &str,
    length: u16,
    account: &impl Credentials,
) -> Result<RotatedCredential, RotateError> {
    let label = parameter_label(run);
    for _ in 0..MAX_STEPS {
        let versions = account.parameter_versions(name).await?;
        match next_parameter_step(&label, &versions) {
            ParameterStep::Write => {
                let value = account.random(length).await?;
                let new_for = versions.is_empty().then_some(run);
                if let Some(version) = account.put_parameter(name, &value, new_for).await? {
                    account.label_parameter(name, version, &label).await?;
                }
            }
            ParameterStep::Done { version } => return Ok(done(name, version.to_string())),
            ParameterStep::Overtaken { by } => {
                return Err(RotateError::Overtaken {
                    name: name.to_owned(),
                    by: by.to_string(),
                });
            }
        }
    }
    Err(RotateError::Restless(name.to_owned()))
}

/// Removes what a credential left beside the stacks of a drill, if it carries the drill's tag.
pub(crate) async fn remove(
    run: &RunId,
    credential: &Credential,
    account: &impl Credentials,
) -> Result<Vec<String>, RotateError> {
    let is_ours = |owner: Result<Option<String>, PortError>| match owner {
        Ok(owner) => Ok(owner.is_some_and(|owner| owner == run.as_str())),
        Err(PortError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    };
    let mut removed = Vec::new();
    match credential {
        // A user that still has keys cannot be deleted with its stack.
        Credential::AccessKey { user, .. } => {
            if is_ours(account.run_of_user(user).await)? {
                for key in account.access_keys(user).await? {
                    account.delete_access_key(user, &key.id).await?;
                    removed.push(key.id);
                }
            }
        }
        Credential::Parameter { name, .. } => {
            if is_ours(account.run_of_parameter(name).await)? {
                account.delete_parameter(name).await?;
                removed.push(name.clone());
            }
        }
        // What a hook made belongs to its function, a database goes with its copy, a certificate with its stack.
        Credential::Hook { .. }
        | Credential::Database { .. }
        | Credential::ManagedPassword { .. }
        | Credential::Certificate { .. } => {}
    }
    Ok(removed)
}
