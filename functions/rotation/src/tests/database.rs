//! The master password of a database, ours or RDS's, and certificates.

use blackstart_core::rebuild::BuiltStack;
use blackstart_core::rotation::certificate::Certificate;
use blackstart_core::rotation::managed::ManagedSecret;

use super::fake::MANAGED;
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
    for _ in 0..8 {
        match rotate(fake).await {
            Ok(rotated) if rotated.progress == Progress::Done => return rotated,
            Ok(waits) => assert_eq!(waits.document, None, "nothing is told before all is done"),
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
    let waits = rotate(&fake).await.unwrap();
    assert_eq!(
        (waits.progress, waits.document),
        (Progress::Running, None),
        "it takes the password some time later"
    );
    assert!(fake.world().kept.is_empty());
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

/// A database of which RDS manages the password already, or does not yet.
fn a_managed_database(already: bool) -> Fake {
    let fake = one_secret();
    {
        let mut world = fake.world();
        let credentials = json!([{"kind": "managed_password", "database": "orders-restored"}]);
        world.plan["rotation"] = json!({"credentials": credentials});
        world.package.secrets = Vec::new();
        world.package.credentials = serde_json::from_value(credentials).unwrap();
        if already {
            let stolen = ("stolen".to_owned(), BTreeSet::from([CURRENT.to_owned()]));
            world
                .secrets
                .insert(MANAGED.to_owned(), BTreeMap::from([("old".to_owned(), stolen)]));
            world.managed.secret = Some(ManagedSecret {
                arn: MANAGED.to_owned(),
                status: "active".to_owned(),
            });
        }
    }
    fake
}

fn current_of_rds(fake: &Fake) -> String {
    let world = fake.world();
    let mut current = world.secrets[MANAGED].iter();
    let found = current.find(|(_, (_, labels))| labels.contains(CURRENT));
    found.unwrap().0.clone()
}

#[tokio::test(flavor = "current_thread")]
async fn rds_makes_another_password_and_a_repeat_makes_no_more() {
    for already in [true, false] {
        let fake = a_managed_database(already);
        assert_eq!(rotate(&fake).await.unwrap().progress, Progress::Running);
        let first = insist(&fake).await;
        assert_eq!(first.rotated, 1);
        let made = fake.world().made;
        let current = current_of_rds(&fake);
        assert_eq!(current, format!("made-{made}"));
        assert_eq!(insist(&fake).await, first);
        assert_eq!(fake.world().made, made, "a repeat makes no more");
        let world = fake.world();
        let said = format!("{:?} {:?}", world.kept, world.events);
        assert!(said.contains(&current) && !said.contains("by RDS"), "{said}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn whichever_call_fails_rds_has_made_the_password_that_is_current() {
    for already in [true, false] {
        for (n, lost) in every_loss(25) {
            let fake = a_managed_database(already);
            fake.lose(n, lost);
            insist(&fake).await;
            assert_ne!(current_of_rds(&fake), "old");
            let note = fake.world().managed.note.clone();
            let kept = fake.world().kept.clone();
            let version = &kept.last().unwrap().rotated[0].version;
            assert_eq!(*version, current_of_rds(&fake));
            let before = note.unwrap();
            assert!(
                !before.ends_with(version.as_str()),
                "call {n}: {before} is not before {version}"
            );
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_secret_that_rds_cannot_use_is_reported() {
    let fake = a_managed_database(true);
    fake.world().managed.secret.as_mut().unwrap().status = "impaired".to_owned();
    let error = rotate(&fake).await.unwrap_err();
    assert!(matches!(error, RotateError::NotNew { .. }), "{error}");
}

/// A certificate that the stack `orders-app` asked for.
fn a_certificate() -> Fake {
    let fake = one_secret();
    {
        let mut world = fake.world();
        let credentials = json!([
            {"kind": "certificate", "name": "orders.example.com", "stack": "orders-app", "output": "Certificate"},
        ]);
        world.plan["rotation"] = json!({"credentials": credentials});
        world.package.secrets = Vec::new();
        world.package.credentials = serde_json::from_value(credentials).unwrap();
        world.package.stacks = vec![BuiltStack {
            name: "orders-app".to_owned(),
            id: "id".to_owned(),
            template: Digest::of(b"template"),
            outputs: BTreeMap::from([("Certificate".to_owned(), CERTIFICATE.to_owned())]),
        }];
        world.certificate = Certificate {
            status: "ISSUED".to_owned(),
            origin: "AMAZON_ISSUED".to_owned(),
            created: Some(world.package.boundary + jiff::SignedDuration::from_secs(1)),
            serial: Some("01:ab".to_owned()),
        };
    }
    fake
}

const CERTIFICATE: &str = "arn:aws:acm:eu-central-1:333333333333:certificate/1";

#[tokio::test(flavor = "current_thread")]
async fn a_certificate_of_the_rebuilt_stack_is_proven_to_be_new() {
    let fake = a_certificate();
    assert_eq!(rotate(&fake).await.unwrap().rotated, 1);
    assert_eq!(fake.world().described, BTreeSet::from([CERTIFICATE.to_owned()]));
    let kept = format!("{:?}", fake.world().kept);
    assert!(kept.contains("01:ab"), "{kept}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_certificate_from_before_the_event_or_with_a_key_of_somebody_elses_is_not() {
    let fake = a_certificate();
    let boundary = fake.world().package.boundary;
    fake.world().certificate.created = Some(boundary);
    let error = rotate(&fake).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PreconditionChanged);
    assert!(error.to_string().contains("before the event boundary"), "{error}");
    let fake = a_certificate();
    fake.world().certificate.origin = "IMPORTED".to_owned();
    assert!(matches!(rotate(&fake).await, Err(RotateError::NotNew { .. })));
    let fake = a_certificate();
    fake.world().certificate.status = "PENDING_VALIDATION".to_owned();
    assert_eq!(rotate(&fake).await.unwrap().progress, Progress::Running);
    let fake = a_certificate();
    fake.world().package.stacks.clear();
    assert!(matches!(rotate(&fake).await, Err(RotateError::NotNew { .. })));
}
