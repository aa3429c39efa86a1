use blackstart_core::references::entries::{entries_of, grant_entry};
use blackstart_core::references::same_document;
use serde_json::{Map, Value, json};

use super::*;
use crate::signed::testing::Wire;

fn slot(kind: &str, arn: &str) -> Slot {
    serde_json::from_value(serde_json::json!({
        "account": "333333333333", "region": "eu-west-1", "kind": kind, "arn": arn,
    }))
    .unwrap()
}

#[test]
fn resources_are_addressed_by_the_last_part_of_their_arn() {
    let role = slot("role_trust", "arn:aws:iam::333333333333:role/team/partner");
    assert_eq!(last_part(&role, '/').unwrap(), "partner");
    assert_eq!(
        last_part(&slot("bucket_policy", "arn:aws:s3:::shared"), ':').unwrap(),
        "shared"
    );
    for bad in ["role", "arn:aws:iam::333333333333:role/"] {
        assert!(
            matches!(
                last_part(&slot("role_trust", bad), '/'),
                Err(PortError::Refused { .. })
            ),
            "{bad}"
        );
    }
}

const KEY: &str = "arn:aws:kms:eu-west-1:333333333333:key/k";

fn grant(account: &str) -> Value {
    let operations = ["Decrypt".to_owned()];
    grant_entry(
        None,
        &format!("arn:aws:iam::{account}:role/app"),
        None,
        operations,
        Map::new(),
    )
}

fn listed(account: &str, id: &str) -> Value {
    let mut grant = grant(account);
    grant["GrantId"] = id.into();
    grant["KeyId"] = KEY.into();
    grant
}

/// A key that AWS itself uses too, by a grant that is nobody else's business.
fn keyed(fails: &'static str) -> Wire {
    Wire::new(move |asked| {
        if asked.target.ends_with(fails) {
            return (500, json!({"__type": "KMSInternalException"}).to_string());
        }
        let answer = if asked.target.ends_with("ListGrants") {
            json!({"Truncated": false, "Grants": [
                listed("111111111111", "old"),
                {"GrantId": "aws", "KeyId": KEY, "GranteePrincipal": "rds.eu-west-1.amazonaws.com", "Operations": ["Decrypt"]},
            ]})
        } else {
            json!({"GrantId": "new", "GrantToken": "t"})
        };
        (200, answer.to_string())
    })
}

#[tokio::test]
async fn a_grant_is_made_under_a_name_before_the_other_is_revoked_and_the_services_own_is_left_alone() {
    let wire = keyed("nothing");
    let session = DocumentSession::new(&wire.config(), slot("key_grants", KEY));
    let before = session.read().await.unwrap();
    assert_eq!(entries_of(&before).unwrap(), [grant("111111111111")]);
    session
        .write(&before.replace("111111111111", "222222222222"))
        .await
        .unwrap();
    let calls: Vec<String> = wire
        .asked()
        .iter()
        .map(|asked| asked.target.rsplit('.').next().unwrap().to_owned())
        .collect();
    assert_eq!(calls, ["ListGrants", "ListGrants", "CreateGrant", "RevokeGrant"]);
    let asked = wire.asked();
    assert!(
        asked[2].body.contains("\"Name\":\"recovered-"),
        "{}",
        asked[2].body
    );
    assert!(asked[3].body.contains("\"GrantId\":\"old\""), "{}", asked[3].body);
}

#[tokio::test]
async fn nothing_is_revoked_when_the_new_grant_cannot_be_made() {
    let wire = keyed("CreateGrant");
    let session = DocumentSession::new(&wire.config(), slot("key_grants", KEY));
    let wanted = blackstart_core::references::entries::entries_text([grant("222222222222")]);
    let error = session.write(&wanted).await.unwrap_err();
    // A repetition is harmless, because the grant has a name.
    assert!(matches!(error, PortError::Transient { .. }), "{error}");
    assert!(
        wire.asked()
            .iter()
            .all(|asked| !asked.target.ends_with("RevokeGrant"))
    );
}

#[tokio::test]
async fn a_lost_answer_to_a_revocation_is_of_unknown_outcome() {
    let wire = keyed("RevokeGrant");
    let session = DocumentSession::new(&wire.config(), slot("key_grants", KEY));
    let wanted = blackstart_core::references::entries::entries_text([grant("222222222222")]);
    let error = session.write(&wanted).await.unwrap_err();
    assert!(matches!(error, PortError::OutcomeUnknown { .. }), "{error}");
}

const FUNCTION: &str = "arn:aws:lambda:eu-west-1:333333333333:function:f";

fn policy(statements: &[(&str, &str)]) -> String {
    let statements: Vec<Value> = statements
        .iter()
        .map(|(id, account)| {
            json!({"Sid": id, "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{account}:root")},
                "Action": "lambda:InvokeFunction", "Resource": FUNCTION})
        })
        .collect();
    json!({"Version": "2012-10-17", "Id": "default", "Statement": statements}).to_string()
}

#[tokio::test]
async fn a_permission_is_added_before_the_other_is_removed_each_against_the_revision_it_was_read_at() {
    let wire = Wire::new(|asked| {
        let answer = match asked.method.as_str() {
            "GET" => json!({"Policy": policy(&[("partner", "111111111111")]), "RevisionId": "r1"}),
            "POST" => json!({"Statement": "{}"}),
            _ => return (204, String::new()),
        };
        (200, answer.to_string())
    });
    let session = DocumentSession::new(&wire.config(), slot("function_permissions", FUNCTION));
    let before = session.read().await.unwrap();
    session
        .write(&before.replace("111111111111", "222222222222"))
        .await
        .unwrap();
    let asked = wire.asked();
    let changes: Vec<_> = asked.iter().filter(|asked| asked.method != "GET").collect();
    assert_eq!(changes[0].method, "POST");
    assert!(
        changes[0].body.contains("\"Principal\":\"222222222222\""),
        "{}",
        changes[0].body
    );
    assert!(changes[0].body.contains("\"RevisionId\":\"r1\""));
    assert_eq!(changes[1].method, "DELETE");
    assert!(changes[1].uri.contains("/policy/partner") && changes[1].uri.contains("RevisionId=r1"));
}

#[tokio::test]
async fn a_table_policy_is_written_only_over_the_revision_that_was_read() {
    let wire = Wire::new(|asked| {
        let answer = if asked.target.ends_with("GetResourcePolicy") {
            json!({"Policy": "{}", "RevisionId": "7"})
        } else {
            json!({"RevisionId": "8"})
        };
        (200, answer.to_string())
    });
    let arn = "arn:aws:dynamodb:eu-west-1:333333333333:table/t";
    let session = DocumentSession::new(&wire.config(), slot("table_policy", arn));
    session.write("{\"Statement\":[]}").await.unwrap();
    assert!(wire.asked()[1].body.contains("\"ExpectedRevisionId\":\"7\""));
}

/// What a service gives back is the same document as what was written, whatever it does to the text.
#[test]
fn entries_read_back_equal_whatever_the_order_and_the_names() {
    let one = blackstart_core::references::entries::entries_text([grant("1"), grant("2")]);
    let other = "{\"Entries\":[".to_owned()
        + &[grant("2"), grant("1")].map(|entry| entry.to_string()).join(",")
        + "]}";
    assert!(same_document(&one, &other));
}
