//! Master passwords of databases.
//!
//! RDS never shows a password, so the database carries the version of the secret that it was set from as a tag, written
//! after the password was accepted.

use serde_json::{Map, Value};

use super::{NotAnObject, SecretValue};

/// Tag of a database: the version of the secret whose password it has.
pub const VERSION_TAG: &str = "blackstart:password";

/// What a database says about its master password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterPassword {
    /// The version in its tag.
    pub version: Option<String>,
    /// Whether a new password was accepted and is not in force yet.
    pub pending: bool,
    /// Whether the database takes changes.
    pub available: bool,
}

/// What is still to be done for a database, once its secret has the run's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordStep {
    /// Give it the password of the secret.
    Set,
    /// It is being changed: look again later.
    Wait,
    /// It has the password of the secret, and no other.
    Done,
}

/// Decides what is to be done next for a database whose secret has this version.
#[must_use]
pub fn next_password_step(version: &str, database: &MasterPassword) -> PasswordStep {
    let noted = database.version.as_deref() == Some(version);
    match (noted, database.available && !database.pending) {
        (true, true) => PasswordStep::Done,
        (_, false) => PasswordStep::Wait,
        (false, true) => PasswordStep::Set,
    }
}

/// The password within the value of a secret: the whole of it, or one key of a JSON object.
///
/// # Errors
/// [`NotAnObject`] when there is no such key.
pub fn password_of(secret: &str, value: &SecretValue, key: Option<&str>) -> Result<SecretValue, NotAnObject> {
    let Some(key) = key else {
        return Ok(value.clone());
    };
    // The parser's own message could quote the value.
    serde_json::from_str::<Map<String, Value>>(value.expose())
        .ok()
        .and_then(|object| Some(SecretValue::new(object.get(key)?.as_str()?.to_owned())))
        .ok_or_else(|| NotAnObject {
            name: secret.to_owned(),
            why: format!("has no key `{}`", key.escape_debug()),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_done_only_when_the_password_of_this_version_is_in_force() {
        let database = |version: Option<&str>, pending, available| MasterPassword {
            version: version.map(str::to_owned),
            pending,
            available,
        };
        let next = |database: &MasterPassword| next_password_step("v", database);
        assert_eq!(next(&database(Some("v"), false, true)), PasswordStep::Done);
        assert_eq!(next(&database(Some("v"), true, true)), PasswordStep::Wait);
        assert_eq!(next(&database(Some("v"), false, false)), PasswordStep::Wait);
        assert_eq!(next(&database(Some("u"), false, true)), PasswordStep::Set);
        assert_eq!(next(&database(None, false, true)), PasswordStep::Set);
        assert_eq!(next(&database(None, true, true)), PasswordStep::Wait);
    }

    #[test]
    fn the_password_is_the_value_or_one_key_of_it_and_is_never_in_an_error() {
        let value = SecretValue::new(r#"{"user":"app","password":"hidden"}"#.to_owned());
        assert_eq!(
            password_of("s", &value, Some("password")).unwrap().expose(),
            "hidden"
        );
        assert_eq!(password_of("s", &value, None).unwrap(), value);
        let error = password_of("s", &value, Some("pasword")).unwrap_err().to_string();
        assert!(error.contains("pasword") && !error.contains("hidden"), "{error}");
    }
}
