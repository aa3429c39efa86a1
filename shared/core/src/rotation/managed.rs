//! Master passwords that RDS makes and keeps itself, in a secret of its own.
//!
//! Nobody else writes that secret, so the run cannot give its version an id. The database carries a note instead,
//! written before RDS is asked: the run, and the version that was current then. Another version is the run's.

use crate::run::RunId;

/// Tag of a database: the run that asked for another password, and the version that was current before.
pub const NOTE_TAG: &str = "blackstart:rotation";

/// What RDS says about a database whose password it is to manage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManagedPassword {
    /// The secret, where RDS manages the password already.
    pub secret: Option<ManagedSecret>,
    /// Whether the database takes changes.
    pub available: bool,
    /// The note in its tag.
    pub note: Option<String>,
}

/// The secret that RDS keeps a password in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedSecret {
    /// ARN.
    pub arn: String,
    /// `creating`, `active`, `rotating` or `impaired` (`MasterUserSecret` in the API reference).
    pub status: String,
}

/// What is still to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManagedStep {
    /// Have RDS manage the password, which makes a new one.
    Manage,
    /// Write this note.
    Note(String),
    /// Have RDS make another password.
    Rotate,
    /// It is being changed: look again later.
    Wait,
    /// The password is the run's.
    Done {
        /// Version of the secret.
        version: String,
    },
    /// RDS cannot use the secret or its key any more.
    Impaired,
}

/// Decides what is to be done next; `current` is the secret's current version.
///
/// A password of which only the note is lost is made once more: that costs nothing and leaves no old one in use.
#[must_use]
pub fn next_managed_step(run: &RunId, database: &ManagedPassword, current: Option<&str>) -> ManagedStep {
    let Some(secret) = &database.secret else {
        return if database.available {
            ManagedStep::Manage
        } else {
            ManagedStep::Wait
        };
    };
    match (secret.status.as_str(), current) {
        ("impaired", _) => ManagedStep::Impaired,
        ("active", Some(current)) if database.available => {
            let noted = database.note.as_deref().and_then(|note| note.split_once(':'));
            match noted {
                Some((by, before)) if by == run.as_str() && before == current => ManagedStep::Rotate,
                Some((by, _)) if by == run.as_str() => ManagedStep::Done {
                    version: current.to_owned(),
                },
                _ => ManagedStep::Note(format!("{run}:{current}")),
            }
        }
        _ => ManagedStep::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RunId {
        RunId::try_from("orders-0123456789ab".to_owned()).unwrap()
    }

    fn database(status: Option<&str>, available: bool, note: Option<&str>) -> ManagedPassword {
        ManagedPassword {
            secret: status.map(|status| ManagedSecret {
                arn: "arn".to_owned(),
                status: status.to_owned(),
            }),
            available,
            note: note.map(str::to_owned),
        }
    }

    #[test]
    fn a_password_is_the_runs_once_another_version_than_the_noted_one_is_current() {
        let next = |database: &ManagedPassword| next_managed_step(&run(), database, Some("v1"));
        let note = ManagedStep::Note("orders-0123456789ab:v1".to_owned());
        assert_eq!(next(&database(None, true, None)), ManagedStep::Manage);
        assert_eq!(next(&database(Some("active"), true, None)), note);
        let earlier = Some("orders-ffffffffffff:v0");
        assert_eq!(next(&database(Some("active"), true, earlier)), note);
        let ours = Some("orders-0123456789ab:v1");
        assert_eq!(next(&database(Some("active"), true, ours)), ManagedStep::Rotate);
        let before = Some("orders-0123456789ab:v0");
        let done = ManagedStep::Done {
            version: "v1".to_owned(),
        };
        assert_eq!(next(&database(Some("active"), true, before)), done);
    }

    #[test]
    fn nothing_is_asked_of_a_database_that_is_being_changed() {
        for (status, available) in [
            (None, false),
            (Some("active"), false),
            (Some("creating"), true),
            (Some("rotating"), true),
            (Some("something new"), true),
        ] {
            let database = database(status, available, None);
            assert_eq!(
                next_managed_step(&run(), &database, Some("v1")),
                ManagedStep::Wait
            );
        }
        let active = database(Some("active"), true, None);
        assert_eq!(next_managed_step(&run(), &active, None), ManagedStep::Wait);
        let broken = database(Some("impaired"), true, None);
        assert_eq!(next_managed_step(&run(), &broken, None), ManagedStep::Impaired);
    }
}
