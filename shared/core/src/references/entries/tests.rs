use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::references::{DocumentKind, canonical_digest_of, same_document, shutout};

const OLD: &str = "111111111111";
const NEW: &str = "222222222222";

fn map() -> IdentifierMap {
    let account = |id: &str| AccountId::try_from(id.to_owned()).unwrap();
    IdentifierMap::of_accounts(&account(OLD), &account(NEW)).unwrap()
}

fn grant(account: &str, role: &str, context: Option<&str>) -> Value {
    let constraints = context.map(|arn| json!({"EncryptionContextEquals": {"aws:s3:arn": arn}}));
    grant_entry(
        Some("orders"),
        &format!("arn:aws:iam::{account}:role/{role}"),
        Some(&format!("arn:aws:iam::{account}:root")),
        ["Encrypt".to_owned(), "Decrypt".to_owned()],
        constraints
            .and_then(|it| it.as_object().cloned())
            .unwrap_or_default(),
    )
}

#[test]
fn a_grant_is_replaced_by_its_image_and_expanded_by_it() {
    let other = grant("999999999999", "audit", None);
    let before = entries_text([grant(OLD, "app", None), other.clone()]);
    let swapped = rewrite(&before, DocumentKind::KeyGrants, &map(), Mode::Swap).unwrap();
    assert!(same_document(
        &swapped.after,
        &entries_text([other.clone(), grant(NEW, "app", None)])
    ));
    let expanded = rewrite(&before, DocumentKind::KeyGrants, &map(), Mode::Expand).unwrap();
    assert!(same_document(
        &expanded.after,
        &entries_text([grant(NEW, "app", None), grant(OLD, "app", None), other])
    ));
    let old = AccountId::try_from(OLD.to_owned()).unwrap();
    assert_eq!(shutout(&swapped.after, &old), Shutout::Denied);
    assert!(matches!(
        shutout(&expanded.after, &old),
        Shutout::AdmittedByName { .. }
    ));
}

#[test]
fn the_new_is_made_before_the_old_is_taken_away_and_the_way_back_is_the_same() {
    let (old, new) = (grant(OLD, "app", None), grant(NEW, "app", None));
    let before = entries_text([old.clone()]);
    let both = entries_text([old.clone(), new.clone()]);
    let after = entries_text([new.clone()]);
    let steps = |live: &str, wanted: &str| changes(live, wanted).unwrap();
    assert_eq!(steps(&before, &both).make, std::slice::from_ref(&new));
    assert_eq!(steps(&before, &both).take_away, Vec::<Value>::new());
    assert_eq!(steps(&both, &after).take_away, std::slice::from_ref(&old));
    assert_eq!(steps(&both, &before).take_away, std::slice::from_ref(&new));
    assert_eq!(
        steps(&after, &before),
        Changes {
            make: vec![old],
            take_away: vec![new]
        }
    );
    assert_eq!(
        steps(&both, &both),
        Changes {
            make: vec![],
            take_away: vec![]
        }
    );
}

#[test]
fn a_grant_that_somebody_else_made_meanwhile_is_not_revoked() {
    let mut foreign = grant("999999999999", "other", None);
    foreign["Operations"] = json!(["GenerateDataKey"]);
    let live = entries_text([grant(OLD, "app", None), foreign]);
    let error = changes(&live, &entries_text([grant(NEW, "app", None)])).unwrap_err();
    assert!(error.to_string().contains("somebody else"), "{error}");
}

#[test]
fn a_made_up_name_is_stable_and_no_part_of_the_entry() {
    let entry = grant(NEW, "app", None);
    let name = idempotency_name(&entry);
    assert_eq!(name, idempotency_name(&entry));
    assert_ne!(name, idempotency_name(&grant(NEW, "web", None)));
    assert!(is_made_up(&name) && !is_made_up("recovered-by-hand"));
    let unnamed = grant_entry(None, "p", None, ["Decrypt".to_owned()], Map::new());
    let named = grant_entry(
        Some(&idempotency_name(&unnamed)),
        "p",
        None,
        ["Decrypt".to_owned()],
        Map::new(),
    );
    assert_eq!(unnamed, named);
}

#[test]
fn lambda_permissions_are_read_without_ids_and_made_again_from_their_parameters() {
    let policy = json!({"Version": "2012-10-17", "Id": "default", "Statement": [
        {"Sid": "a", "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{OLD}:root")},
         "Action": "lambda:InvokeFunction", "Resource": "arn:aws:lambda:us-east-1:555555555555:function:f"},
        {"Sid": "b", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
         "Action": "lambda:InvokeFunction", "Resource": "arn:aws:lambda:us-east-1:555555555555:function:f",
         "Condition": {"StringEquals": {"AWS:SourceAccount": OLD}, "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::orders"}}},
    ]});
    let entries = permission_entries(&policy.to_string()).unwrap();
    let ids: Vec<&str> = entries.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    let service = &entries[1].1.clone();
    let permission = permission_of(service).unwrap();
    assert_eq!(permission.principal, "s3.amazonaws.com");
    assert_eq!(permission.source_account.as_deref(), Some(OLD));
    assert_eq!(permission.source_arn.as_deref(), Some("arn:aws:s3:::orders"));
    assert_eq!(permission_of(&entries[0].1).unwrap().principal, OLD);

    let text = entries_text(entries.into_iter().map(|(_, entry)| entry));
    let expanded = rewrite(&text, DocumentKind::FunctionPermissions, &map(), Mode::Expand).unwrap();
    assert_eq!(entries_of(&expanded.after).unwrap().len(), 4);

    let mut odd = service.clone();
    odd["Condition"] = json!({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}});
    assert!(permission_of(&odd).is_err());
}

#[test]
fn what_is_no_set_of_entries_is_refused_and_never_dropped() {
    for text in [
        "",
        "[]",
        "{}",
        r#"{"Entries":{}}"#,
        r#"{"Entries":[1]}"#,
        r#"{"Entries":[],"more":1}"#,
    ] {
        assert!(entries_of(text).is_err(), "{text}");
        assert!(
            rewrite(text, DocumentKind::KeyGrants, &map(), Mode::Swap).is_err(),
            "{text}"
        );
    }
}

fn any_grant() -> impl Strategy<Value = Value> {
    let account = prop_oneof![Just(OLD), Just("999999999999"), Just("333333333333")];
    let context = proptest::option::of(prop_oneof![
        Just(format!("arn:aws:s3:::{OLD}-x/y")),
        Just(format!("arn:aws:sqs:us-east-1:{OLD}:q")),
        Just("arn:aws:sqs:us-east-1:999999999999:q".to_owned()),
    ]);
    (account, "[a-c]", context).prop_map(|(account, role, context)| grant(account, &role, context.as_deref()))
}

proptest! {
    /// Order and repetition of what a service lists say nothing.
    #[test]
    fn the_same_grants_are_the_same_document(mut grants in proptest::collection::vec(any_grant(), 0..6)) {
        let text = entries_text(grants.clone());
        grants.extend(grants.clone());
        grants.reverse();
        prop_assert_eq!(canonical_digest_of(&text), canonical_digest_of(&entries_text(grants)));
    }

    /// Applying the changes to what is live gives what is wanted, for every step of a cutover and of its way back.
    #[test]
    fn changes_lead_from_any_image_to_any_other(grants in proptest::collection::vec(any_grant(), 1..6)) {
        let before = entries_text(grants);
        let Ok(swapped) = rewrite(&before, DocumentKind::KeyGrants, &map(), Mode::Swap) else { return Ok(()) };
        let expanded = rewrite(&before, DocumentKind::KeyGrants, &map(), Mode::Expand).unwrap();
        let images = [before, expanded.after, swapped.after];
        for live in &images {
            for wanted in &images {
                let steps = changes(live, wanted).unwrap();
                let mut entries = entries_of(live).unwrap();
                entries.extend(steps.make);
                entries.retain(|entry| !steps.take_away.contains(entry));
                prop_assert!(same_document(&entries_text(entries), wanted));
            }
        }
    }
}
