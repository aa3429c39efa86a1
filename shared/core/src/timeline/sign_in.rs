//! The session of a person at the console, from the sign-in to the last of its credentials.
//!
//! A sign-in has no access key, and the console then calls with one temporary key for each service. What they share is the
//! time at which the session began: the records of each key name it (`sessionContext.attributes.creationDate`, CloudTrail
//! user guide, "userIdentity element"), and it is the time of the sign-in. So the session stands as a credential of its
//! own, which the sign-in made, and which makes the keys: whoever signed in as an actor is followed to all addresses from
//! which the session was used, and the life of a stolen session begins at its sign-in.

use jiff::{SignedDuration, Timestamp};

use super::cloudtrail::Record;
use super::facts::{Issued, Seen, Who, who};

/// Seconds by which the sign-in and the beginning of its session may differ.
const APART: i64 = 2;

/// What temporary access keys begin with (IAM user guide, "Unique identifiers").
pub(super) const TEMPORARY: &str = "ASIA";

/// The action of a sign-in.
pub(super) const SIGN_IN: &str = "ConsoleLogin";

/// The name of a session as a credential.
pub(super) fn session(principal: &str, began: Timestamp) -> String {
    format!("session of {principal} since {}", began.as_second())
}

/// A record's part in a session.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// The sessions as ways of acting, at the place of the record.
    pub(super) acting: Vec<Who>,
    /// What the record shows to have been made.
    pub(super) issued: Vec<Issued>,
}

/// The part of a record in the session of a user, if it has one.
pub(super) fn part(record: &Record<'_>, seen: &Seen) -> Part {
    let mut part = Part::default();
    if !record.is_user() || record.is_service() || record.principal().is_empty() {
        return part;
    }
    let by = who(record);
    let acting = |began: Timestamp| Who {
        credential: session(record.principal(), began),
        ..by.clone()
    };
    let issued = |by: Who, credential: String| Issued {
        seen: seen.clone(),
        by,
        credential,
        shared: String::new(),
    };
    if record.service() == "signin" && record.name() == SIGN_IN {
        if succeeded(record) {
            for seconds in -APART..=APART {
                if let Ok(began) = seen.at.checked_add(SignedDuration::from_secs(seconds)) {
                    let acting = acting(began);
                    part.issued.push(issued(by.clone(), acting.credential.clone()));
                    part.acting.push(acting);
                }
            }
        }
    } else if record.credential().starts_with(TEMPORARY)
        && let Some(began) = record.session_began()
    {
        let acting = acting(began);
        part.issued.push(issued(acting.clone(), by.credential.clone()));
        part.acting.push(acting);
    }
    part
}

fn succeeded(record: &Record<'_>) -> bool {
    record.error().is_none()
        && record
            .response_elements
            .and_then(|raw| serde_json::from_str::<serde_json::Value>(raw.get()).ok())
            .is_some_and(|answer| answer.get(SIGN_IN).and_then(serde_json::Value::as_str) == Some("Success"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::timeline::boundary::establish;
    use crate::timeline::facts::{Kind, Reader};
    use crate::timeline::indicator::Table;

    fn sign_in(minute: u8, address: &str, answer: &str) -> Value {
        json!({"eventID": format!("s{minute}"), "eventTime": format!("2026-01-01T00:{minute:02}:00Z"),
            "eventSource": "signin.amazonaws.com", "eventName": "ConsoleLogin", "sourceIPAddress": address,
            "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111111111111:user/ann", "userName": "ann"},
            "responseElements": {"ConsoleLogin": answer}})
    }

    fn call(minute: u8, address: &str, key: &str, began: u8, event: &str) -> Value {
        let (service, action) = event.split_once(':').unwrap();
        json!({"eventID": format!("c{minute}"), "eventTime": format!("2026-01-01T00:{minute:02}:00Z"),
            "eventSource": format!("{service}.amazonaws.com"), "eventName": action, "sourceIPAddress": address,
            "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111111111111:user/ann", "userName": "ann",
                "accessKeyId": key,
                "sessionContext": {"attributes": {"creationDate": format!("2026-01-01T00:{began:02}:01Z")}}},
            "requestParameters": {"name": "t"}})
    }

    fn boundary(records: &[Value]) -> (Timestamp, Timestamp, Vec<String>) {
        let reader = Reader::new(Table::default(), "2030-01-01T00:00:00Z".parse().unwrap());
        let text = json!({ "Records": records }).to_string();
        let facts = reader.read("o", text.as_bytes(), Kind::CloudTrail);
        let document = establish(&[facts], &[], &[]).document;
        let found = document.boundary.unwrap();
        let addresses = document
            .actors
            .iter()
            .flat_map(|a| a.addresses.iter().cloned())
            .collect();
        (found.best, found.floor, addresses)
    }

    fn minute(minute: u8) -> Timestamp {
        format!("2026-01-01T00:{minute:02}:00Z").parse().unwrap()
    }

    #[test]
    fn a_key_that_many_calls_show_is_made_once() {
        let calls: Vec<_> = (10..60)
            .rev()
            .map(|minute| call(minute, "203.0.113.5", "ASIA1", 5, "s3:ListBuckets"))
            .collect();
        let reader = Reader::new(Table::default(), "2030-01-01T00:00:00Z".parse().unwrap());
        let text = json!({ "Records": calls }).to_string();
        let facts = reader.read("o", text.as_bytes(), Kind::CloudTrail);
        let made: Vec<_> = facts
            .issued
            .iter()
            .map(|made| (made.credential.as_str(), made.seen.at))
            .collect();
        assert_eq!(made, [("ASIA1", minute(10))]);
    }

    #[test]
    fn a_stolen_session_lives_from_its_sign_in_which_accuses_nobody() {
        let records = [
            sign_in(10, "203.0.113.5", "Success"),
            call(12, "203.0.113.5", "ASIA1", 10, "s3:ListBuckets"),
            call(20, "198.51.100.7", "ASIA2", 10, "ec2:DescribeInstances"),
            call(30, "198.51.100.7", "ASIA2", 10, "cloudtrail:StopLogging"),
        ];
        let (best, floor, addresses) = boundary(&records);
        assert_eq!((best, floor), (minute(20), minute(10)));
        assert_eq!(addresses, ["198.51.100.7"]);
    }

    #[test]
    fn an_actor_who_signs_in_is_followed_wherever_the_session_is_used() {
        let hostile = [
            sign_in(10, "198.51.100.7", "Success"),
            call(11, "198.51.100.7", "ASIA1", 10, "cloudtrail:StopLogging"),
        ];
        let elsewhere = |began| call(15, "203.0.113.9", "ASIA2", began, "s3:ListBuckets");
        let with = |record: Value| boundary(&[hostile.to_vec(), vec![record]].concat()).2;
        assert_eq!(with(elsewhere(10)), ["198.51.100.7", "203.0.113.9"]);
        assert_eq!(
            with(elsewhere(5)),
            ["198.51.100.7"],
            "another session of the same user"
        );
        let refused = [
            sign_in(10, "198.51.100.7", "Failure"),
            hostile[1].clone(),
            elsewhere(10),
        ];
        assert_eq!(boundary(&refused).2, ["198.51.100.7"]);
    }
}
