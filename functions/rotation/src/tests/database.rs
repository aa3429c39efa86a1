//! The master password of a database.

use super::*;

/// A database whose password is a key of a secret.
fn a_database() -> Fake {
    let fake = one_secret();
    {
        let mut world = fake.world();
        let credentials = json!([
            {"kind": "database", "database": "orders-restored", "secret": "orders/database", "key": "password"},
        ]);
        world.plan["rotation"] = json!({"credentials": credentials});
        world.package.secrets = Vec::new();
        world.package.credentials = serde_json::from_value(credentials).unwrap();
        let stolen = r#"{"host":"db.example","password":"stolen"}"#.to_owned();
        world.secrets.insert(
            "orders/database".to_owned(),
            BTreeMap::from([("old".to_owned(), (stolen, BTreeSet::from([CURRENT.to_owned()])))]),
        );
    }
    fake
}

/// Rotates as the state machine does: a change that is being made is looked at again.
async fn insist(fake: &Fake) -> Rotated {
    for _ in 0..5 {
        match rotate(fake).await {
            Ok(rotated) => return rotated,
            Err(error) => assert_eq!(error.name(), ErrorName::Transient, "{error}"),
        }
    }
    panic!("never done")
}

fn has_only_the_new_password(fake: &Fake) {
    let world = fake.world();
    let labelled: Vec<&String> = world.secrets["orders/database"]
        .values()
        .filter(|(_, labels)| !labels.is_empty())
        .map(|(value, _)| value)
        .collect();
    assert_eq!(labelled.len(), 1, "no label leads to the stolen password");
    let secret: Value = serde_json::from_str(labelled[0]).unwrap();
    assert_eq!(secret["host"], "db.example");
    assert_ne!(world.database.0, "stolen");
    assert_eq!(
        secret["password"], world.database.0,
        "consumers read the password that the database has"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn the_database_and_its_consumers_have_the_same_new_password() {
    let fake = a_database();
    let waits = rotate(&fake).await.unwrap_err();
    assert_eq!(
        waits.name(),
        ErrorName::Transient,
        "it takes the password some time later"
    );
    assert_eq!(insist(&fake).await.rotated, 2);
    has_only_the_new_password(&fake);
    let password = fake.world().database.0.clone();
    insist(&fake).await;
    assert_eq!(fake.world().database.0, password, "a repeat sets no other");
    let world = fake.world();
    let said = format!("{:?} {:?} {:?}", world.kept, world.events, world.items);
    assert!(
        !said.contains(&password) && said.contains("orders-restored"),
        "{said}"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn whichever_call_fails_no_old_password_is_left() {
    for (n, lost) in every_loss(20) {
        let fake = a_database();
        fake.lose(n, lost);
        insist(&fake).await;
        has_only_the_new_password(&fake);
    }
}
